/**
 * strace on a running process: what it asks of the kernel, in order, and calls that take long or fail because the test
 * says so. The tracer sees every call begin and end, and a thread goes on only after it has seen it: what caused what is
 * in the order of the trace.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { eventually } from "../listeners/socket.ts"

/** More than any buffer that the broker reads or writes at once. */
const LONGEST_STRING = 2_000_000

export interface SystemCall {
  /** 0 if only one is watched. */
  readonly thread: number
  readonly name: string
  /** What its first argument refers to: a path, or `socket:[...]`. */
  readonly file: string
  /** The last of its arguments, as a number. */
  readonly lastArgument: number
  /** The bytes written or read. */
  readonly bytes: Buffer
  /** What it returned; undefined: it had not ended when the trace did. */
  readonly result: number | undefined
}

/** A line of the trace: a call begins, or ends. */
export interface Moment {
  readonly call: SystemCall
  readonly isEnd: boolean
}

/** What strace is to do to calls: to delay them, or to fail them without asking the kernel. */
export const faults = {
  delay: (calls: readonly string[], milliseconds: number) => `${calls}:delay_enter=${milliseconds * 1000}`,
  /** `which`: by their number, as `3..5`; default: all. */
  fail: (calls: readonly string[], error: string, which = "1+") => `${calls}:error=${error}:when=${which}`,
}

/** A process or a thread with strace attached to it. */
export class Strace {
  private readonly folder = mkdtempSync(join(tmpdir(), "manju-strace-"))
  private readonly child: Bun.Subprocess<"ignore", "ignore", "pipe">
  private readonly listening: Promise<void>
  private said = ""
  private detaching: Promise<Moment[]> | undefined

  private constructor(options: readonly string[]) {
    const command = ["strace", "-y", "-xx", "-s", String(LONGEST_STRING), "-o", this.path, ...options]
    this.child = Bun.spawn(command, { stdin: "ignore", stdout: "ignore", stderr: "pipe" })
    this.listening = this.listen()
  }

  /** Watches these calls of all threads of a process, and does to some what `fault` says. */
  static process(pid: number, calls: readonly string[], fault?: string): Promise<Strace> {
    return Strace.attach(["-f", "-p", String(pid)], calls, fault)
  }

  /** Does what `fault` says to one thread, while the others run at full speed. */
  static thread(thread: number, calls: readonly string[], fault: string): Promise<Strace> {
    return Strace.attach(["-p", String(thread)], calls, fault)
  }

  /** What has been seen so far. */
  get moments(): Moment[] {
    return parseTrace(readFileSync(this.path, "latin1"))
  }

  /** Lets go of the process, which goes on undisturbed, and gives what has been seen. */
  detach(): Promise<Moment[]> {
    return (this.detaching ??= this.end())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.detach()
  }

  private static async attach(options: string[], calls: readonly string[], fault: string | undefined): Promise<Strace> {
    if (Bun.which("strace") === null) throw new Error("strace is not installed: apt install strace")
    const injection = fault === undefined ? [] : ["-e", `inject=${fault}`]
    const strace = new Strace(["-e", `trace=${calls}`, ...injection, ...options])
    const { child } = strace
    await eventually(() => strace.said.includes(" attached") || child.exitCode !== null, "strace to attach")
    if (child.exitCode === null) return strace
    await strace.listening
    throw new Error(`strace cannot attach to the broker: ${strace.said}`)
  }

  private get path(): string {
    return join(this.folder, "trace")
  }

  private async end(): Promise<Moment[]> {
    this.child.kill("SIGINT")
    await this.child.exited
    const { moments } = this
    rmSync(this.folder, { recursive: true })
    return moments
  }

  private async listen(): Promise<void> {
    for await (const chunk of this.child.stderr.pipeThrough(new TextDecoderStream())) this.said += chunk
  }
}

/** The thread of a process that syncs files; `act` makes it do so. */
export async function syncingThread(pid: number, act: () => Promise<unknown>): Promise<number> {
  const strace = await Strace.process(pid, syncs)
  await act()
  const threads = new Set((await strace.detach()).map(({ call }) => call.thread))
  if (threads.size !== 1) throw new Error(`${threads.size} threads have synced a file`)
  return [...threads][0]!
}

/** The calls that sync a file. */
export const syncs = ["fsync", "fdatasync"]

/** The number of the thread is left out where it can be only one. */
const callLine = /^(?:(\d+) +)?(?:<\.\.\. )?(\w+)(\(| resumed>)(.*)$/
const unfinished = " <unfinished ...>"

/** Reads what strace writes with -y and -xx. */
export function parseTrace(text: string): Moment[] {
  const moments: Moment[] = []
  const begun = new Map<string, { text: string; at: number }>()
  for (const line of text.split("\n")) {
    const [, thread = "0", name, mark, rest] = line.match(callLine) ?? []
    if (name === undefined) continue // the end of a thread, or a signal
    if (rest!.endsWith(unfinished)) {
      const text = rest!.slice(0, -unfinished.length)
      begun.set(thread, { text, at: moments.length })
      moments.push({ call: parseCall(Number(thread), name, `${text}) = ?`), isEnd: false })
      continue
    }
    const beginning = mark === "(" ? undefined : begun.get(thread)
    const call = parseCall(Number(thread), name, (beginning?.text ?? "") + rest)
    if (beginning === undefined) moments.push({ call, isEnd: false })
    else moments[beginning.at] = { call, isEnd: false }
    moments.push({ call, isEnd: true })
  }
  return moments
}

/** `3<file>, "bytes", 4, 0) = 4` */
function parseCall(thread: number, name: string, text: string): SystemCall {
  const [, args = "", returned = ""] = text.match(/^(.*)\) += (.*)$/) ?? []
  const result = Number.parseInt(returned, 10)
  const [, file = ""] = args.match(/^\d+<([^>]*)>/) ?? []
  const [, quoted = "", ellipsis] = args.match(/"([^"]*)"(\.\.\.)?/) ?? []
  if (ellipsis !== undefined) throw new Error(`${name} with more bytes than strace was told to print`)
  return {
    thread,
    name,
    file: bytesOf(file).toString(),
    lastArgument: Number(args.slice(args.lastIndexOf(",") + 1)),
    bytes: bytesOf(quoted),
    result: Number.isNaN(result) ? undefined : result,
  }
}

/** `\x4d\x51` -> the bytes. */
function bytesOf(escaped: string): Buffer {
  return Buffer.from(escaped.replaceAll("\\x", ""), "hex")
}

/**
 * The brokers under measurement: how each is launched, that it is up, and that it is gone afterwards. Every
 * measurement has a fresh process on a fresh loopback port, and a fresh folder for its files.
 *
 * A launch is named on the command line: `manju`, `mosquitto`, `relay`, or a command in which `{port}` stands for the port
 * and `{folder}` for the folder; `NAME=` in front says what it is called in tables.
 */
import { existsSync, writeFileSync } from "node:fs"
import { basename, join } from "node:path"
import manifest from "../../package.json"
import { splitLabel, UsageError } from "./options.ts"
import { loggingCollections, PauseLog, type Pauses } from "./pauses.ts"
import { pinned } from "./site.ts"

export const host = "127.0.0.1"
const repository = join(import.meta.dir, "../..")
const startSeconds = 15
/** A broker that keeps its sessions when it ends may have a million messages to write. */
const stopSeconds = 60

/** What a measurement wants of a broker. */
export type Place = {
  /** For the files of the broker. */
  directory: string
  /** Sessions and their messages are to be kept there, and gone on with after a restart. */
  isKept: boolean
}

export type Launch = {
  label: string
  version: string
  /** It cannot keep sessions, and is left out where that is measured. */
  forgets?: true
  /** It is what a broker can be measured against, and no broker. */
  isYardstick?: true
  command(port: number, place: Place): string[]
}

export function manju(): Launch {
  const commit = Bun.which("git") ? output(["git", "-C", repository, "rev-parse", "--short", "HEAD"]) : ""
  const options = ["--host", host, "--allow-anonymous", "--log-level", "warn"]
  return {
    label: "manju",
    version: [manifest.version, commit].filter(Boolean).join(" "),
    command(port, { directory, isKept }) {
      const data = isKept ? ["--data", join(directory, "manju.db")] : []
      return [
        process.execPath,
        "src/cli.ts",
        "start",
        ...options,
        "--tcp",
        String(port),
        "--no-ws",
        "--no-http",
        ...data,
      ]
    },
  }
}

/**
 * The launch that a command line names; throws `UsageError` where there is none.
 *
 *     launchOf("mosquitto")
 *     launchOf("NanoMQ 0.24=nanomq start --url nmq-tcp://127.0.0.1:{port}")
 */
export function launchOf(specification: string): Launch {
  const { label, broker } = splitLabel(specification)
  if (label !== undefined) return { ...launchOf(broker), label }
  if (specification === "manju") return manju()
  if (specification === "mosquitto") return mosquitto()
  if (specification === "relay") return relay()
  const words = specification.match(/"[^"]*"|'[^']*'|\S+/g)?.map((word) => word.replace(/^(["'])(.*)\1$/, "$2")) ?? []
  const program = words[0] ?? ""
  if (!words.some((word) => word.includes("{port}")))
    throw new UsageError(`'${specification}' is neither manju, mosquitto, relay, nor a command that contains {port}`)
  if (!Bun.which(program, { cwd: repository }) && !existsSync(join(repository, program)))
    throw new UsageError(`'${program}' was not found`)
  return {
    label: basename(program),
    version: "",
    command: (port, { directory }) =>
      words.map((word) => word.replaceAll("{port}", String(port)).replaceAll("{folder}", directory)),
  }
}

/** One by one, in the order given; those of the same name are told apart by a number: `manju`, `manju (2)`. */
export function launchesOf(specifications: readonly string[]): Launch[] {
  const seen = new Map<string, number>()
  return specifications.map(launchOf).map((launch) => {
    const count = (seen.get(launch.label) ?? 0) + 1
    seen.set(launch.label, count)
    return count === 1 ? launch : { ...launch, label: `${launch.label} (${count})` }
  })
}

function relay(): Launch {
  return {
    label: "relay",
    version: "",
    forgets: true,
    isYardstick: true,
    command: (port) => [process.execPath, join(import.meta.dir, "relay.ts"), String(port)],
  }
}

/**
 * Unthrottled and lossless, so that it is as fast as it can be: no queue or window limit, no delay, no logging. Where
 * sessions are kept, its persistence is as it comes: written every half hour and at the end, and nothing in between.
 */
function mosquitto(): Launch {
  const path = Bun.which("mosquitto") ?? Bun.which("mosquitto", { PATH: "/usr/sbin:/usr/local/sbin" })
  if (!path)
    throw new UsageError(
      "mosquitto was not found in PATH, /usr/sbin or /usr/local/sbin: install it, or name another broker",
    )
  return {
    label: "mosquitto",
    version: /version (\S+)/.exec(output([path, "-h"]))?.[1] ?? "",
    command(port, { directory, isKept }) {
      const file = join(directory, `mosquitto-${port}.conf`)
      const settings = [
        `listener ${port} ${host}`,
        "allow_anonymous true",
        "max_queued_messages 0",
        "max_inflight_messages 0",
        "set_tcp_nodelay true",
        `persistence ${isKept}`,
        `persistence_location ${directory}/`,
        "user root", // root becomes another user otherwise, who may not write there
        "connection_messages false",
        "log_type error",
      ]
      writeFileSync(file, `${settings.join("\n")}\n`)
      return [path, "-c", file]
    },
  }
}

function output(command: string[]): string {
  const { stdout } = Bun.spawnSync(command, { stderr: "ignore" })
  return stdout.toString().trim()
}

export class RunningBroker {
  readonly port: number
  readonly pid: number
  readonly startMilliseconds: number
  readonly #process: Bun.Subprocess<"ignore", "ignore", "pipe">
  readonly #log: PauseLog

  private constructor(
    process: Bun.Subprocess<"ignore", "ignore", "pipe">,
    port: number,
    startMilliseconds: number,
    log: PauseLog,
  ) {
    this.#process = process
    this.#log = log
    this.port = port
    this.pid = process.pid
    this.startMilliseconds = startMilliseconds
  }

  /** Of its garbage collector, so far; undefined for a broker that tells of none, or was not asked to. */
  get pauses(): Pauses | undefined {
    return this.#log.pauses
  }

  /**
   * Resolves when the port accepts; throws with the broker's last words when that doesn't happen. `tellsPauses`: it is asked to tell of its
   * garbage collections.
   */
  static async start(
    launch: Launch,
    place: Place,
    cpu: number | undefined,
    signal: AbortSignal,
    { tellsPauses = false } = {},
  ): Promise<RunningBroker> {
    const port = freePort()
    const startedAt = performance.now()
    const child = Bun.spawn([...pinned(cpu), ...launch.command(port, place)], {
      cwd: repository,
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
      signal,
      env: { ...process.env, ...(tellsPauses && loggingCollections) },
    })
    const log = new PauseLog()
    const broker = () => new RunningBroker(child, port, performance.now() - startedAt, log)
    const words = lastLines(child.stderr, log)
    while (!(await accepts(port))) {
      if (child.exitCode !== null)
        throw new Error(`${launch.label} ended with code ${child.exitCode}: ${await words.ended}`)
      if (performance.now() - startedAt > startSeconds * 1000) {
        await broker().stop()
        throw new Error(`${launch.label} did not accept on port ${port} within ${startSeconds} s: ${words.soFar()}`)
      }
      await Bun.sleep(5)
    }
    return broker()
  }

  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    this.#process.kill(signal)
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), stopSeconds * 1000)
    await this.#process.exited
    clearTimeout(timer)
  }
}

/** Reads a stream to its end, so that its writer never blocks, and keeps the tail; `log` sees all of it. */
function lastLines(stream: ReadableStream<Uint8Array>, log: PauseLog) {
  const decoder = new TextDecoder()
  let tail = ""
  const soFar = () => tail.trim().split("\n").slice(-3).join(" / ")
  const read = async () => {
    for await (const chunk of stream) {
      const text = decoder.decode(chunk, { stream: true })
      log.read(text)
      tail = (tail + text).slice(-2000)
    }
    return soFar()
  }
  return { soFar, ended: read() }
}

async function accepts(port: number): Promise<boolean> {
  try {
    const socket = await Bun.connect({ hostname: host, port, socket: { data() {} } })
    socket.terminate()
    return true
  } catch {
    return false
  }
}

/** Below the range that the system gives to outgoing connections, of which the idle scenario has thousands. */
function freePort(): number {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000)
    try {
      Bun.listen({ hostname: host, port, socket: { data() {} } }).stop(true)
      return port
    } catch {
      // taken: try another
    }
  }
}

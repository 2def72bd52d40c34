/** The command as a process that serves clients: started on a free port, watched, ended. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { manjuCommand, plain } from "./command.ts"

/** How long a broker may take to listen. */
const PATIENCE_MS = 30_000
/** A free port, and nothing else unless more flags say so. */
const ONE_PORT = ["--tcp", "0", "--no-ws", "--no-http"]

/** A folder for a test's files; gone with `using`. */
export function temporaryFolder() {
  const path = mkdtempSync(join(tmpdir(), "manju-"))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

export class BrokerProcess {
  /** What it has said on standard output, and on standard error. */
  said = ""
  logged = ""
  private readonly child: Bun.Subprocess<"ignore", "pipe", "pipe">
  /** When it has said where it listens, or nothing more can come. */
  private readonly announced: Promise<void>
  private readonly silent: Promise<unknown>

  private constructor(command: readonly string[], environment: Readonly<Record<string, string>> = {}) {
    const pipes = { stdin: "ignore", stdout: "pipe", stderr: "pipe" } as const
    // What it logs into a pipe is JSON; tests read what people do.
    const env = { ...plain, MANJU_LOG_FORMAT: "human", ...environment }
    this.child = Bun.spawn([...command], { ...pipes, env })
    const { promise, resolve } = Promise.withResolvers<void>()
    this.announced = promise
    const said = this.read("said", () => this.isListening && resolve()).finally(resolve)
    this.silent = Promise.all([said, this.read("logged")])
  }

  /** Starts `manju start` on a free port, and waits for nothing. */
  static spawn(...flags: string[]): BrokerProcess {
    return new BrokerProcess(manjuCommand("start", ...ONE_PORT, ...flags))
  }

  /** Starts `manju start` on a free port, and where the flags say, and waits until it listens. Killed with `await using`. */
  static start(...flags: string[]): Promise<BrokerProcess> {
    return BrokerProcess.run("start", ...ONE_PORT, ...flags)
  }

  /** Runs `manju` with these arguments alone, and waits until it listens. Killed with `await using`. */
  static run(...args: string[]): Promise<BrokerProcess> {
    return BrokerProcess.runWith({}, ...args)
  }

  /** As `run`, with these variables. */
  static runWith(environment: Readonly<Record<string, string>>, ...args: string[]): Promise<BrokerProcess> {
    return BrokerProcess.of(manjuCommand(...args), environment)
  }

  /** Runs another command line that starts a broker, and waits until it listens. Killed with `await using`. */
  static async of(
    command: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ): Promise<BrokerProcess> {
    const broker = new BrokerProcess(command, environment)
    const timer = setTimeout(() => broker.child.kill("SIGKILL"), PATIENCE_MS)
    await broker.announced
    clearTimeout(timer)
    if (broker.isListening) return broker
    await broker.kill()
    throw new Error(`${command.join(" ")} does not listen: ${broker.said}${broker.logged}`)
  }

  get pid(): number {
    return this.child.pid
  }

  /** Of MQTT over TCP. */
  get port(): number {
    return this.portOf("mqtt")
  }

  /** The port in the address with that scheme where it says that it listens. */
  portOf(scheme: "mqtt" | "mqtts" | "ws" | "wss" | "http"): number {
    const port = new RegExp(`${scheme}://[^ ,]+:(\\d+)`).exec(this.said)?.[1]
    if (port === undefined) throw new Error(`it has no ${scheme}: ${this.said}`)
    return Number(port)
  }

  /** Ends it at once. Afterwards `said` and `logged` are complete. */
  async kill(): Promise<void> {
    this.child.kill("SIGKILL")
    await this.ended()
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name)
  }

  /** Resolves with its exit code. Afterwards `said` and `logged` are complete. */
  async ended(): Promise<number> {
    await this.silent
    return this.child.exited
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill()
  }

  /** It says all of it at once. */
  private get isListening(): boolean {
    return this.said.endsWith("\n")
  }

  private async read(name: "said" | "logged", then?: () => void): Promise<void> {
    const stream = name === "said" ? this.child.stdout : this.child.stderr
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      this[name] += text
      then?.()
    }
  }
}

/** The command as a process that serves clients: started on a free port, watched, ended. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const cli = join(import.meta.dir, "../../src/cli.ts")

/** How long a broker may take to listen. */
const PATIENCE_MS = 30_000

/** A folder for a test's files; gone with `using`. */
export function temporaryFolder() {
  const path = mkdtempSync(join(tmpdir(), "manju-"))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

export class BrokerProcess {
  port = 0
  /** What it has said on standard error. */
  logged = ""
  private readonly child: Bun.Subprocess<"ignore", "pipe", "pipe">
  private readonly listening: Promise<void>

  private constructor(args: readonly string[]) {
    this.child = Bun.spawn([process.execPath, cli, "start", "--tcp", "0", "--no-ws", "--no-http", ...args], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined },
    })
    this.listening = this.listen()
  }

  /** Starts `manju start` on a free port, and waits for nothing. */
  static spawn(...args: string[]): BrokerProcess {
    return new BrokerProcess(args)
  }

  /** Starts `manju start` on a free port, and waits until it listens. Killed with `await using`. */
  static async start(...args: string[]): Promise<BrokerProcess> {
    const broker = BrokerProcess.spawn(...args)
    const timer = setTimeout(() => broker.child.kill("SIGKILL"), PATIENCE_MS)
    let said = ""
    for await (const chunk of broker.child.stdout.pipeThrough(new TextDecoderStream())) {
      said += chunk
      if (said.split("\n").length > 2) break // both of its lines
    }
    clearTimeout(timer)
    broker.port = Number(said.match(/mqtt:\/\/[^ ]+:(\d+)/)?.[1])
    if (broker.port) return broker
    await broker.kill()
    throw new Error(`manju start ${args.join(" ")} does not listen: ${said}${broker.logged}`)
  }

  get pid(): number {
    return this.child.pid
  }

  /** Ends it at once. Afterwards `logged` is complete. */
  async kill(): Promise<void> {
    this.child.kill("SIGKILL")
    await this.ended()
  }

  /** Asks it to end. */
  terminate(): void {
    this.child.kill("SIGTERM")
  }

  /** Resolves with its exit code. Afterwards `logged` is complete. */
  async ended(): Promise<number> {
    await this.listening
    return this.child.exited
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill()
  }

  private async listen(): Promise<void> {
    for await (const chunk of this.child.stderr.pipeThrough(new TextDecoderStream())) this.logged += chunk
  }
}

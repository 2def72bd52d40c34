/** A command as a process that says one line after the other: to be waited for, told something and ended. */
import { eventually } from "../listeners/socket.ts"
import { plain } from "./command.ts"

export class LineProcess implements AsyncDisposable {
  /** What it has said on standard output, and on standard error. */
  out = ""
  err = ""
  private readonly child: Bun.Subprocess<"pipe", "pipe", "pipe">
  private readonly silent: Promise<unknown>
  private taken = 0

  /** Starts it. Killed with `await using`. */
  constructor(command: readonly string[], environment: Record<string, string> = {}) {
    const stdio = { stdin: "pipe", stdout: "pipe", stderr: "pipe" } as const
    this.child = Bun.spawn([...command], { ...stdio, env: { ...plain, ...environment } })
    this.silent = Promise.all([this.read("out"), this.read("err")])
  }

  get pid(): number {
    return this.child.pid
  }

  /** The next line of standard output. */
  async line(): Promise<string> {
    const end = () => this.out.indexOf("\n", this.taken)
    await this.until(() => end() >= 0, "a line")
    const line = this.out.slice(this.taken, end())
    this.taken = end() + 1
    return line
  }

  /** Waits until standard error has that in it. */
  complains(text: string): Promise<void> {
    return this.until(() => this.err.includes(text), `«${text}» on standard error`)
  }

  /** Writes to its standard input. */
  async tell(text: string | Uint8Array): Promise<void> {
    this.child.stdin.write(text)
    await this.child.stdin.flush()
  }

  /** Ends its standard input. */
  async hangUp(): Promise<void> {
    await this.child.stdin.end()
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name)
  }

  /** Resolves with its exit code. Afterwards `out` and `err` are complete. */
  async ended(): Promise<number> {
    await this.silent
    return this.child.exited
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL")
    await this.ended()
  }

  private until(condition: () => boolean, what: string): Promise<void> {
    const isOver = () => condition() || this.child.exitCode !== null
    return eventually(isOver, what).then(async () => {
      if (this.child.exitCode !== null) await this.silent
      if (!condition()) throw new Error(`it has ended without ${what}: ${this.out}${this.err}`)
    })
  }

  private async read(name: "out" | "err"): Promise<void> {
    const stream = name === "out" ? this.child.stdout : this.child.stderr
    for await (const text of stream.pipeThrough(new TextDecoderStream())) this[name] += text
  }
}

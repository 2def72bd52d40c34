/** A pseudo-terminal: commands that run at it one after another, what they show, and keys to press. */
import { eventually } from "../listeners/socket.ts"
import { plain } from "./command.ts"

export class Terminal implements Disposable {
  /** Everything that has been on the screen, without colours. */
  shown = ""
  /** The same as it came. */
  painted = ""
  private readonly terminal: Bun.Terminal
  private child: Bun.Subprocess | undefined

  constructor() {
    const decoder = new TextDecoder()
    const data = (_: unknown, bytes: Uint8Array) => {
      const text = decoder.decode(bytes, { stream: true })
      this.painted += text
      this.shown += Bun.stripANSI(text)
    }
    this.terminal = new Bun.Terminal({ data })
  }

  /** Of the command that runs. */
  get pid(): number {
    return this.child!.pid
  }

  /** Starts a command; the one before must have ended. */
  run(command: readonly string[], environment: Record<string, string | undefined> = {}): void {
    this.child = Bun.spawn([...command], { env: { ...plain, ...environment }, terminal: this.terminal })
  }

  /** Waits until it has shown that, or has ended. */
  shows(text: string): Promise<void> {
    return eventually(() => this.shown.includes(text) || this.child!.exitCode !== null, `«${text}» at the terminal`)
  }

  press(keys: string): void {
    this.terminal.write(keys)
  }

  /** Gives it another size, in columns and lines. The command is told, as it would be by a terminal that it is controlled by. */
  resize(columns: number, rows: number): void {
    this.terminal.resize(columns, rows)
    if (this.child?.exitCode === null) this.child.kill("SIGWINCH")
  }

  signal(signal: NodeJS.Signals): void {
    this.child!.kill(signal)
  }

  /** Waits for the end of the command and for its last line: its exit code, and all that has been shown. */
  async ended(last: string): Promise<{ code: number; shown: string }> {
    const code = await this.child!.exited
    await eventually(() => this.shown.includes(last) && this.shown.endsWith("\n"), `«${last}» at the terminal`)
    return { code, shown: this.shown }
  }

  /** Waits for the end of the command: its exit code. */
  exited(): Promise<number> {
    return this.child!.exited
  }

  /** How the terminal is set, in stty's words. */
  async settings(): Promise<string> {
    const before = this.shown.length
    this.run(["stty", "-g"])
    await this.child!.exited
    await eventually(() => this.shown.endsWith("\n") && this.shown.length > before, "what stty says")
    return this.shown.slice(before)
  }

  /** Takes the terminal away from the command. */
  close(): void {
    this.terminal.close()
  }

  [Symbol.dispose](): void {
    this.child?.kill("SIGKILL")
    this.terminal.close()
  }
}

/**
 * Standard output for results. What is written within a turn goes out at once; while its reader takes nothing, no more than
 * that waits, and the broker is made to wait in turn. A result that cannot be written is a failure; a reader who wants no more is none.
 */
import { CommandFailure } from "./failure.ts"

/** From here on the next message has to wait until these are out. */
const MOST_WAITING_BYTES = 256 * 1024

export class Output {
  /** Resolves when whoever has read it wants no more; rejects with a `CommandFailure` when writing fails otherwise. */
  readonly closed: Promise<void>
  private readonly stream: NodeJS.WriteStream
  private readonly closing = Promise.withResolvers<void>()
  private waiting: Buffer[] = []
  private waitingBytes = 0
  /** Resolves when what waits now is written, or cannot be; undefined: nothing waits. */
  private next: PromiseWithResolvers<boolean> | undefined
  /** The same for what is being written. */
  private current: PromiseWithResolvers<boolean> | undefined
  private hasFailed = false

  constructor(stream: NodeJS.WriteStream = process.stdout) {
    this.stream = stream
    this.closed = this.closing.promise
    this.closed.catch(() => {}) // nobody need wait for it
    stream.on("error", (error) => this.fail(error))
  }

  /** Takes the bytes. A promise: there is too much already, and it resolves when they are written, or cannot be. */
  write(bytes: Buffer): Promise<boolean> | undefined {
    this.waiting.push(bytes)
    this.waitingBytes += bytes.length
    if (this.next === undefined) {
      this.next = Promise.withResolvers<boolean>()
      setImmediate(() => this.flush())
    }
    return this.waitingBytes > MOST_WAITING_BYTES ? this.next.promise : undefined
  }

  /**
   * Writes at once what waits. Resolves when that is over, with whether everything is written: what is not, nobody has got. Why it
   * could not be is then said by `closed` already.
   */
  async drain(): Promise<boolean> {
    const last = this.next ?? this.current
    this.flush()
    return (await last?.promise) ?? !this.hasFailed
  }

  /** Writes at once what waits. Resolves when that is over, or nobody reads it; rejects with a `CommandFailure` when writing fails. */
  async end(): Promise<void> {
    const drained = async () => {
      if (!(await this.drain())) await this.closed
    }
    await Promise.race([this.closed, drained()])
  }

  private flush(): void {
    const { next, waiting } = this
    if (this.current !== undefined || next === undefined) return
    this.current = next
    this.next = undefined
    this.waiting = []
    this.waitingBytes = 0
    this.stream.write(Buffer.concat(waiting), (error) => {
      if (error) this.fail(error)
      this.current = undefined
      next.resolve(!this.hasFailed)
      this.flush()
    })
  }

  private fail(error: NodeJS.ErrnoException): void {
    this.hasFailed = true
    if (error.code === "EPIPE") this.closing.resolve()
    else this.closing.reject(new CommandFailure(`cannot write to standard output: ${error.message}`, { cause: error }))
  }
}

/** Writes a text, and resolves when it is written, or its reader wants no more. Rejects with a `CommandFailure` when that fails. */
export function print(text: string): Promise<void> {
  const output = new Output()
  void output.write(Buffer.from(text))
  return output.end()
}

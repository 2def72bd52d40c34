/**
 * Standard output for messages. What is written within a turn goes out at once; while its reader takes nothing, no more than
 * that waits, and the broker is made to wait in turn.
 */
import { CommandFailure } from "../failure.ts"

/** From here on the next message has to wait until these are out. */
const MOST_WAITING_BYTES = 256 * 1024

export class Output {
  /** Resolves when whoever has read it wants no more; rejects with a `CommandFailure` when writing fails otherwise. */
  readonly closed: Promise<void>
  private readonly stream: NodeJS.WriteStream
  private waiting: Buffer[] = []
  private waitingBytes = 0
  /** Resolves when what waits now is written; undefined: nothing waits. */
  private next: PromiseWithResolvers<void> | undefined
  /** The same for what is being written. */
  private current: PromiseWithResolvers<void> | undefined

  constructor(stream: NodeJS.WriteStream = process.stdout) {
    this.stream = stream
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.closed = promise
    promise.catch(() => {}) // nobody need wait for it
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") resolve()
      else reject(new CommandFailure(`cannot write to standard output: ${error.message}`, { cause: error }))
    })
  }

  /** Takes the bytes. A promise: there is too much already, and it resolves when they are written. */
  write(bytes: Buffer): Promise<void> | undefined {
    this.waiting.push(bytes)
    this.waitingBytes += bytes.length
    if (this.next === undefined) {
      this.next = Promise.withResolvers<void>()
      setImmediate(() => this.flush())
    }
    return this.waitingBytes > MOST_WAITING_BYTES ? this.next.promise : undefined
  }

  /** Writes at once what waits, and resolves when everything is written. */
  async drain(): Promise<void> {
    const last = this.next ?? this.current
    this.flush()
    await last?.promise
  }

  private flush(): void {
    const { next, waiting } = this
    if (this.current !== undefined || next === undefined) return
    this.current = next
    this.next = undefined
    this.waiting = []
    this.waitingBytes = 0
    this.stream.write(Buffer.concat(waiting), () => {
      this.current = undefined
      next.resolve()
      this.flush()
    })
  }
}

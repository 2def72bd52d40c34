/**
 * Much work of one kind, a slice of it in each turn of the event loop: what comes from the sockets is served in between. Who has to
 * wait goes on in the order in which they came.
 */

/** As it is when this is loaded: a test that replaces the timers does not mean this one. */
const { setImmediate } = globalThis
const SLICE = 250

export class Pace {
  private readonly slice: number
  private taken = 0
  private waiting: (() => void)[] = []
  private isScheduled = false

  /** `slice`: how many pieces of work in a turn. Default: 250, for those of some microseconds. */
  constructor(slice = SLICE) {
    this.slice = slice
  }

  /** Asks for the next piece of work. Undefined: it may be done at once. */
  next(): Promise<void> | undefined {
    this.schedule()
    if (this.taken === this.slice) return new Promise((resolve) => this.waiting.push(resolve))
    this.taken++
    return undefined
  }

  private schedule(): void {
    if (this.isScheduled) return
    this.isScheduled = true
    setImmediate(() => this.begin())
  }

  private begin(): void {
    this.isScheduled = false
    const next = this.waiting.splice(0, this.slice)
    this.taken = next.length
    if (next.length > 0) this.schedule()
    for (const resolve of next) resolve()
  }
}

/** Lets so many jobs run at once; the others wait their turn, first come, first served. Up to a bound: ask `isFull`. */
export class Gate {
  private running = 0
  private readonly waiting: (() => void)[] = []
  private readonly width: number
  private readonly mostWaiting: number

  constructor(width: number, mostWaiting: number) {
    this.width = width
    this.mostWaiting = mostWaiting
  }

  /** Whether as many wait as may. */
  get isFull(): boolean {
    return this.waiting.length >= this.mostWaiting
  }

  async run<A>(job: () => Promise<A>): Promise<A> {
    if (this.running === this.width) await new Promise<void>((resolve) => this.waiting.push(resolve))
    else this.running++
    try {
      return await job()
    } finally {
      const next = this.waiting.shift()
      if (next === undefined) this.running--
      else next() // takes this place
    }
  }
}

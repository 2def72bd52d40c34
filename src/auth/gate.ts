/**
 * Lets so many jobs run at once; the others wait. Networks take turns and the jobs of one go in their order: however many
 * come from one, somebody from elsewhere waits for as many others as there are networks.
 */
import { networkOf } from "../broker/ports.ts"

export class Gate {
  private running = 0
  /** What waits, by network; first the one whose turn it is. */
  private readonly waiting = new Map<string, (() => void)[]>()
  private readonly width: number
  private readonly mostWaitingOfOne: number

  /** `mostWaitingOfOne`: how many jobs of one network may wait; ask `isFullFor`. */
  constructor(width: number, mostWaitingOfOne: number) {
    this.width = width
    this.mostWaitingOfOne = mostWaitingOfOne
  }

  /** Whether as many from there wait as may. */
  isFullFor(address: string): boolean {
    return (this.waiting.get(partyOf(address))?.length ?? 0) >= this.mostWaitingOfOne
  }

  /** Runs a job for somebody at that address. */
  async run<A>(address: string, job: () => Promise<A>): Promise<A> {
    if (this.running === this.width) await new Promise<void>((resolve) => this.wait(partyOf(address), resolve))
    else this.running++
    try {
      return await job()
    } finally {
      const next = this.takeNext()
      if (next === undefined) this.running--
      else next() // takes this place
    }
  }

  private wait(party: string, proceed: () => void): void {
    const queue = this.waiting.get(party)
    if (queue === undefined) this.waiting.set(party, [proceed])
    else queue.push(proceed)
  }

  private takeNext(): (() => void) | undefined {
    for (const [party, queue] of this.waiting) {
      this.waiting.delete(party)
      const next = queue.shift()
      if (queue.length > 0) this.waiting.set(party, queue) // behind the others
      return next
    }
    return undefined
  }
}

/** Who takes turns: a network, or all who have no IP address, like the processes at a Unix socket. */
function partyOf(address: string): string {
  return networkOf(address) ?? address
}

/**
 * How often JavaScript's garbage is collected, and how long that takes: in young ones of what was made lately, in full ones of everything.
 * Counted is from the first time that somebody asks, and while they go on asking; a broker that nobody looks at does without.
 */
import { GCProfiler } from "node:v8"
import type { Clock } from "../broker/ports.ts"

/** How often the profiler's list is emptied, and for how long after the last question. */
const EMPTY_EVERY_MS = 10_000
const MOST_UNASKED = 60

interface Collected {
  readonly count: number
  readonly seconds: number
}

/** By kind. */
export interface CollectionCounts {
  readonly young: Collected
  readonly full: Collected
}

export class Collections {
  private readonly young = { count: 0, seconds: 0 }
  private readonly full = { count: 0, seconds: 0 }
  private readonly profiler = new GCProfiler()
  private readonly clock: Clock
  private stopTimer: (() => void) | undefined
  private unasked = 0

  constructor(clock: Clock) {
    this.clock = clock
  }

  /** What there has been since the first call. */
  read(): CollectionCounts {
    this.unasked = 0
    if (this.stopTimer === undefined) {
      this.profiler.start()
      this.stopTimer = this.clock.every(EMPTY_EVERY_MS, () => {
        if (++this.unasked > MOST_UNASKED) this.close()
        else this.count()
      })
    } else this.count()
    return { young: { ...this.young }, full: { ...this.full } }
  }

  close(): void {
    this.stopTimer?.()
    this.stopTimer = undefined
    this.profiler.stop()
  }

  private count(): void {
    const { statistics } = this.profiler.stop()!
    this.profiler.start()
    for (const { gcType, cost } of statistics) {
      const collected = gcType === "Scavenge" ? this.young : this.full
      collected.count++
      collected.seconds += cost / 1e6
    }
  }
}

/**
 * Every deadline of the broker on one wheel: keep-alive, session expiry, will delay, connect timeout.
 *
 * A deadline is rounded up to the next tick; a bucket per tick holds what is due then. One interval turns the wheel, and
 * only while something is on it. Ten thousand keep-alives are so many entries in a few buckets, not so many timers.
 *
 * How late that interval comes is how long whatever was at hand has kept everybody waiting: the event loop's lag, for nothing.
 */
import { Histogram } from "./histogram.ts"
import type { Clock } from "./ports.ts"

export const TICK_MS = 250
const LAG_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

/** What waits for a deadline. */
export interface Timer {
  cancel(): void
}

/** What is due at one tick. */
class Bucket extends Set<Entry> {
  readonly tick: number
  private readonly wheel: Map<number, Bucket>

  constructor(tick: number, wheel: Map<number, Bucket>) {
    super()
    this.tick = tick
    this.wheel = wheel
    wheel.set(tick, this)
  }

  /** An empty bucket goes too: a client that comes and goes leaves nothing behind for each of its expiries. */
  remove(entry: Entry): void {
    if (this.delete(entry) && this.size === 0) this.wheel.delete(this.tick)
  }
}

class Entry implements Timer {
  readonly due: (subject: unknown) => void
  readonly subject: unknown
  private readonly bucket: Bucket

  constructor(bucket: Bucket, due: (subject: unknown) => void, subject: unknown) {
    this.bucket = bucket
    this.due = due
    this.subject = subject
    bucket.add(this)
  }

  cancel(): void {
    this.bucket.remove(this)
  }
}

export class Timers {
  /** By how much ticks were late. */
  readonly lag = new Histogram(LAG_SECONDS)
  private readonly buckets = new Map<number, Bucket>()
  private turned: number
  /** When it last did, or began to, in milliseconds of the clock. */
  private turnedAt = 0
  private stop: (() => void) | undefined
  private readonly clock: Clock
  private readonly onBug: (error: unknown) => void

  constructor(clock: Clock, onBug: (error: unknown) => void) {
    this.clock = clock
    this.onBug = onBug
    this.turned = tickOf(clock.now())
  }

  /**
   * Calls `due` at `at` (milliseconds of the clock) or up to a tick later, never before. Where there are many of a kind, one
   * function for all and a `subject` for each take less memory than a closure each.
   */
  schedule(at: number, due: () => void): Timer
  schedule<Subject>(at: number, due: (subject: Subject) => void, subject: Subject): Timer
  schedule<Subject>(at: number, due: (subject: Subject) => void, subject?: Subject): Timer {
    if (this.stop === undefined) this.start()
    const tick = Math.max(tickOf(at) + 1, this.turned + 1)
    return new Entry(
      this.buckets.get(tick) ?? new Bucket(tick, this.buckets),
      due as (subject: unknown) => void,
      subject,
    )
  }

  close(): void {
    this.stop?.()
    this.stop = undefined
    this.buckets.clear()
  }

  private start(): void {
    this.turnedAt = this.clock.now()
    this.turned = tickOf(this.turnedAt)
    this.stop = this.clock.every(TICK_MS, () => this.turn())
  }

  private turn(): void {
    const at = this.clock.now()
    this.lag.observe(Math.max(0, at - this.turnedAt - TICK_MS) / 1000)
    this.turnedAt = at
    const now = tickOf(at)
    const passed = now - this.turned
    this.turned = now
    if (passed <= this.buckets.size) for (let tick = now - passed + 1; tick <= now; tick++) this.ring(tick)
    else
      for (const tick of [...this.buckets.keys()].filter((each) => each <= now).sort((a, b) => a - b)) this.ring(tick)
    if (this.buckets.size === 0) this.close()
  }

  private ring(tick: number): void {
    const bucket = this.buckets.get(tick)
    if (bucket === undefined) return
    this.buckets.delete(tick)
    for (const entry of bucket) {
      bucket.delete(entry)
      try {
        entry.due(entry.subject)
      } catch (error) {
        this.onBug(error) // one deadline's fault is not the others'
      }
    }
  }
}

function tickOf(ms: number): number {
  return Math.floor(ms / TICK_MS)
}

/**
 * Every deadline of the broker on one wheel: keep-alive, session expiry, will delay, connect timeout.
 *
 * A deadline is rounded up to the next tick; a bucket per tick holds what is due then. The wheel turns only while something
 * is on it, and rests over ticks of which it knows that nothing is due, up to a second: each turn wakes a machine that
 * could be asleep. Ten thousand keep-alives are so many entries in a few buckets, not so many timers.
 *
 * How late a turn comes is how long whatever was at hand has kept everybody waiting: the event loop's lag, for nothing.
 */
import { Histogram } from "./histogram.ts"
import type { Clock } from "./ports.ts"

export const TICK_MS = 250
/** How many ticks the wheel rests at most: the lag is to be looked at now and then, too. */
const LONGEST_REST = 4
const LAG_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

/** What waits for a deadline. */
export interface Timer {
  cancel(): void
}

/** What is due at one tick: a chain, in which ten thousand come and go without a table of them. */
class Bucket {
  first: Entry | undefined = undefined
  private last: Entry | undefined = undefined
  private readonly tick: number
  private readonly wheel: Map<number, Bucket>

  constructor(tick: number, wheel: Map<number, Bucket>) {
    this.tick = tick
    this.wheel = wheel
    wheel.set(tick, this)
  }

  add(entry: Entry): void {
    entry.previous = this.last
    if (this.last === undefined) this.first = entry
    else this.last.next = entry
    this.last = entry
  }

  /** An empty bucket goes too: a client that comes and goes leaves nothing behind for each of its expiries. */
  remove(entry: Entry): void {
    const { previous, next } = entry
    if (previous === undefined) this.first = next
    else previous.next = next
    if (next === undefined) this.last = previous
    else next.previous = previous
    if (this.first === undefined) this.wheel.delete(this.tick)
  }
}

class Entry implements Timer {
  /** Its neighbours. */
  previous: Entry | undefined = undefined
  next: Entry | undefined = undefined
  readonly due: (subject: unknown) => void
  readonly subject: unknown
  /** Undefined: it is over. */
  private bucket: Bucket | undefined

  constructor(bucket: Bucket, due: (subject: unknown) => void, subject: unknown) {
    this.bucket = bucket
    this.due = due
    this.subject = subject
    bucket.add(this)
  }

  cancel(): void {
    const { bucket } = this
    this.bucket = undefined
    bucket?.remove(this)
  }
}

export class Timers {
  /** By how much ticks were late. */
  readonly lag = new Histogram(LAG_SECONDS)
  private readonly buckets = new Map<number, Bucket>()
  private turned: number
  /** The tick at which it turns next, unless it stands still. */
  private next = 0
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
    if (this.stop === undefined) this.turned = tickOf(this.clock.now())
    const tick = Math.max(tickOf(at) + 1, this.turned + 1)
    const bucket = this.buckets.get(tick) ?? new Bucket(tick, this.buckets)
    if (this.stop === undefined || tick < this.next) this.rest()
    return new Entry(bucket, due as (subject: unknown) => void, subject)
  }

  close(): void {
    this.stop?.()
    this.stop = undefined
    this.buckets.clear()
  }

  /** Until the next tick at which something is due, or the last that it may rest to. */
  private rest(): void {
    const now = this.clock.now()
    const last = tickOf(now) + LONGEST_REST
    let next = this.turned + 1
    while (next < last && !this.buckets.has(next)) next++
    this.next = next
    this.stop?.()
    this.stop = this.clock.every(Math.max(1, next * TICK_MS - now), () => this.turn())
  }

  private turn(): void {
    const at = this.clock.now()
    this.lag.observe(Math.max(0, at - this.next * TICK_MS) / 1000)
    const now = tickOf(at)
    const passed = now - this.turned
    this.turned = now
    if (passed <= this.buckets.size) for (let tick = now - passed + 1; tick <= now; tick++) this.ring(tick)
    else
      for (const tick of [...this.buckets.keys()].filter((each) => each <= now).sort((a, b) => a - b)) this.ring(tick)
    if (this.buckets.size === 0) this.close()
    else this.rest()
  }

  private ring(tick: number): void {
    const bucket = this.buckets.get(tick)
    if (bucket === undefined) return
    for (let entry = bucket.first; entry !== undefined; entry = bucket.first) {
      entry.cancel()
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

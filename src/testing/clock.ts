import type { Clock } from "../broker/ports.ts"

/**
 * A clock that stands still until a test moves it: everything of the broker that takes time goes by it. It begins on
 * 14 November 2023.
 *
 * @example
 * const clock = new ManualClock()
 * const broker = new Broker({ clock })
 * clock.advance(60) // whoever was silent for its keep-alive is gone
 */
export class ManualClock implements Clock {
  private time = 1_700_000_000_000
  private readonly recurring = new Set<{ intervalMs: number; next: number; tick: () => void }>()

  now(): number {
    return this.time
  }

  every(intervalMs: number, tick: () => void): () => void {
    const entry = { intervalMs, next: this.time + intervalMs, tick }
    this.recurring.add(entry)
    return () => this.recurring.delete(entry)
  }

  /** How many recurring calls are asked for: 0 is an idle broker. */
  get recurringCount(): number {
    return this.recurring.size
  }

  /** Lets `seconds` pass; what is due on the way is called at its time, in order. What that sends is on its way then. */
  advance(seconds: number): void {
    const end = this.time + seconds * 1000
    for (;;) {
      const due = [...this.recurring].sort((a, b) => a.next - b.next)[0]
      if (due === undefined || due.next > end) break
      this.time = Math.max(this.time, due.next)
      due.next += due.intervalMs
      due.tick()
    }
    this.time = end
  }
}

import type { Clock } from "../../src/broker/ports.ts"

/** A clock that stands still until a test moves it. */
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

  /** Lets `seconds` pass; what is due on the way is called at its time. */
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

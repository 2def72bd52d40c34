/** The sums that go on with the next run: into the store go those that have changed. */

import type { Journal } from "./journal.ts"
import { Metrics } from "./metrics.ts"
import type { Store } from "./ports.ts"

export class Totals {
  private measuredBytes = 0
  private readonly saved = new Map<string, number>()
  private readonly metrics: Metrics
  private readonly changes: Journal
  private readonly store: Store | undefined

  constructor(metrics: Metrics, changes: Journal, store: Store | undefined) {
    this.metrics = metrics
    this.changes = changes
    this.store = store
  }

  /** Takes what the store has written since the last look into the sums. */
  measureStore(): void {
    const written = this.store?.bytesWritten ?? 0
    this.metrics.storeBytesWritten += written - this.measuredBytes
    this.measuredBytes = written
  }

  save(): void {
    if (!this.changes.isActive || this.changes.isStrained) return
    this.measureStore()
    for (const name of Metrics.totals) {
      const value = this.metrics[name]
      if (value === (this.saved.get(name) ?? 0)) continue
      this.saved.set(name, value)
      this.changes.append({ kind: "total", name, value })
    }
  }
}

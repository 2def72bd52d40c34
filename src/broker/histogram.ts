/**
 * How often something has taken how long: counts by upper bound, as Prometheus takes them. Fixed in size, and cheap enough to be kept
 * whether or not anybody looks.
 */

/** What a histogram has counted. */
export interface HistogramSnapshot {
  /** Upper bounds in seconds, ascending, and how many were at most that long; those beyond the last are in `count` alone. */
  readonly buckets: readonly { readonly atMostSeconds: number; readonly count: number }[]
  readonly count: number
  readonly sumSeconds: number
}

export class Histogram {
  count = 0
  sumSeconds = 0
  private readonly bounds: readonly number[]
  private readonly counts: number[]

  /** `bounds`: in seconds, ascending. */
  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.counts = bounds.map(() => 0)
  }

  observe(seconds: number): void {
    this.count++
    this.sumSeconds += seconds
    const index = this.bounds.findIndex((bound) => seconds <= bound)
    if (index >= 0) this.counts[index]!++
  }

  snapshot(): HistogramSnapshot {
    let count = 0
    const buckets = this.bounds.map((atMostSeconds, index) => {
      count += this.counts[index]!
      return { atMostSeconds, count }
    })
    return { buckets, count: this.count, sumSeconds: this.sumSeconds }
  }
}

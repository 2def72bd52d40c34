/**
 * A latency histogram in constant memory: logarithmic buckets, 64 to a doubling, so that a percentile is right to
 * within 1 %. One microsecond is the finest it tells apart.
 */
const bucketsPerDoubling = 64

/** In milliseconds. */
export type LatencySummary = { p50: number; p99: number; p999: number; maximum: number; samples: number }

export class Latencies {
  samples = 0
  maximum = 0
  readonly #counts = new Uint32Array(bucketsPerDoubling * 32)

  record(milliseconds: number): void {
    const bucket = Math.round(Math.log2(Math.max(1, milliseconds * 1000)) * bucketsPerDoubling)
    const last = this.#counts.length - 1
    this.#counts[Math.min(bucket, last)]! += 1
    this.samples++
    if (milliseconds > this.maximum) this.maximum = milliseconds
  }

  /** Takes in all samples of another. */
  add(other: Latencies): void {
    for (const [bucket, count] of other.#counts.entries()) this.#counts[bucket]! += count
    this.samples += other.samples
    this.maximum = Math.max(this.maximum, other.maximum)
  }

  clear(): void {
    this.#counts.fill(0)
    this.samples = 0
    this.maximum = 0
  }

  /** In milliseconds; 0 without samples. */
  percentile(percent: number): number {
    let remaining = Math.ceil((this.samples * percent) / 100)
    if (remaining === 0) return 0
    const bucket = this.#counts.findIndex((count) => (remaining -= count) <= 0)
    return 2 ** (bucket / bucketsPerDoubling) / 1000
  }

  get summary(): LatencySummary {
    const { samples, maximum } = this
    return { p50: this.percentile(50), p99: this.percentile(99), p999: this.percentile(99.9), maximum, samples }
  }
}

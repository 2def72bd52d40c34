/** How long something takes that is too short for a clock, and what is left of it in memory. */
import { heapStats } from "bun:jsc"
import { sampleProcess } from "../proc.ts"
import { median } from "../table.ts"
import type { Memory } from "./results.ts"

const WARMUP_MS = 150
const MEASURED_MS = 300
const FEWEST_BATCHES = 5

/**
 * Nanoseconds that one of `operations` takes, which `batch` does all: the median over batches, after some that warm up. `before` is done
 * before each of them and not counted, `after` likewise.
 */
export function nanosecondsEach(
  operations: number,
  batch: () => void,
  { before, after }: { before?: () => void; after?: () => void } = {},
): number {
  const once = () => {
    before?.()
    const startedAt = Bun.nanoseconds()
    batch()
    const nanoseconds = Bun.nanoseconds() - startedAt
    after?.()
    return nanoseconds
  }
  const until = (milliseconds: number) => {
    const taken: number[] = []
    for (
      const startedAt = performance.now();
      performance.now() - startedAt < milliseconds || taken.length < FEWEST_BATCHES;
    )
      taken.push(once())
    return taken
  }
  Bun.gc(true) // of what came before, so that it is not collected meanwhile
  until(WARMUP_MS)
  return median(until(MEASURED_MS)) / operations
}

/** Fewer say nothing: the rest of the process moves by some hundred KiB. */
const FEWEST_ENTRIES = 10_000

/** What `entries` take that `fill` makes. */
export async function memoryOf(entries: number, fill: () => void): Promise<Memory> {
  const before = await settledMemory()
  fill()
  const after = await settledMemory()
  if (entries < FEWEST_ENTRIES) return { residentBytesPerEntry: undefined, heapBytesPerEntry: undefined }
  return {
    residentBytesPerEntry: (after.residentBytes - before.residentBytes) / entries,
    heapBytesPerEntry: (after.heapBytes - before.heapBytes) / entries,
  }
}

/** After what is garbage has gone, and its pages with it. */
async function settledMemory() {
  for (let i = 0; i < 3; i++) {
    Bun.gc(true)
    await Bun.sleep(100)
  }
  return { residentBytes: sampleProcess(process.pid).residentBytes, heapBytes: heapStats().heapSize }
}

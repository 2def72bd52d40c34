/** How long something takes that is too short for a clock, and what is left of it in memory. */
import { edenGC, heapStats } from "bun:jsc"
import { sampleProcess } from "../proc.ts"
import { median } from "../table.ts"
import type { Memory } from "./results.ts"

const WARMUP_MS = 60
const MEASURED_MS = 120
const FEWEST_BATCHES = 3
/** In a batch: fewer would be measured with the clock that they are measured by. */
const FEWEST_OPERATIONS = 100

/**
 * Nanoseconds that one of `operations` takes, which `batch` does all: the median over batches, after some that warm up. `before` is done
 * before each of them and not counted, `after` likewise. Where there is neither, a short batch is done as often as makes a long one.
 */
export function nanosecondsEach(
  operations: number,
  batch: () => void,
  { before, after }: { before?: () => void; after?: () => void } = {},
): number {
  const times = before || after ? 1 : Math.ceil(FEWEST_OPERATIONS / operations)
  const once = () => {
    before?.()
    const startedAt = Bun.nanoseconds()
    for (let time = 0; time < times; time++) batch()
    const nanoseconds = Bun.nanoseconds() - startedAt
    after?.()
    return nanoseconds
  }
  const until = (milliseconds: number, fewest: number) => {
    const taken: number[] = []
    for (const startedAt = performance.now(); performance.now() - startedAt < milliseconds || taken.length < fewest; )
      taken.push(once())
    return taken
  }
  edenGC() // of what came before, so that it is not collected meanwhile; a full one takes seconds where there is a million
  until(WARMUP_MS, 1)
  return median(until(MEASURED_MS, FEWEST_BATCHES)) / (operations * times)
}

/** Fewer say nothing: the rest of the process moves by some hundred KiB. */
const FEWEST_ENTRIES = 10_000

/** What `entries` take that `fill` makes. */
export async function memoryOf(entries: number, fill: () => void): Promise<Memory> {
  if (entries < FEWEST_ENTRIES) {
    fill()
    return { residentBytesPerEntry: undefined, heapBytesPerEntry: undefined }
  }
  const before = await settledMemory()
  fill()
  const after = await settledMemory()
  return {
    residentBytesPerEntry: (after.residentBytes - before.residentBytes) / entries,
    heapBytesPerEntry: (after.heapBytes - before.heapBytes) / entries,
  }
}

/** After what is garbage has gone, and its pages with it. */
async function settledMemory() {
  for (let i = 0; i < 2; i++) {
    Bun.gc(true)
    await Bun.sleep(100)
  }
  return { residentBytes: sampleProcess(process.pid).residentBytes, heapBytes: heapStats().heapSize }
}

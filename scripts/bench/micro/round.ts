/**
 * One round of measurements in a process of its own: `bun scripts/bench/micro/round.ts times NAME...` prints `Times` as JSON,
 * `... allocations NAME...` `Allocations`.
 *
 * All cases there are run before the first is measured, whichever those are: so the engine has compiled each function for everything
 * that it will see in a broker, and not for the one kind of packet that a lone case would show it. A time is the lower quartile of some
 * thousand runs: one that was interrupted, or in which garbage was collected, does not count. What there was to collect is seen in the
 * bytes, by which the heap grows in a process that never collects.
 */
import { do_not_optimize, measure } from "mitata"
import { median } from "../table.ts"
import { calibrate } from "./calibration.ts"
import { type Case, runChecked } from "./case.ts"
import { allCases } from "./cases/index.ts"

export interface Times {
  /** What the fixed piece of work takes: the median over a measurement before each case. */
  calibrationNanoseconds: number
  /** What an operation takes, by name. */
  nanoseconds: Record<string, number>
}

/** Bytes for each operation, by name. */
export type Allocations = Record<string, number>

const WARMUP_MS = 30
const CALIBRATION_MS = 10
const FEWEST_CALIBRATIONS = 10
const MEASURED_MS = 50
const MOST_ALLOCATED = 1 << 20
const MOST_OPERATIONS = 1_000_000

async function times(cases: readonly Case[]): Promise<Times> {
  const nanoseconds: Times["nanoseconds"] = {}
  const calibrations: number[] = []
  const measureCalibration = async () => calibrations.push(await lowerQuartile(calibrate, CALIBRATION_MS))
  for (let i = 0; i < FEWEST_CALIBRATIONS; i++) await measureCalibration()
  for (const each of cases) {
    await measureCalibration()
    Bun.gc(true)
    nanoseconds[each.name] = (await lowerQuartile(each.run, MEASURED_MS)) / each.operations
    runChecked(each)
  }
  return { calibrationNanoseconds: median(calibrations), nanoseconds }
}

function warmUp(cases: readonly Case[]): void {
  for (const each of cases) {
    const end = performance.now() + WARMUP_MS
    do runChecked(each)
    while (performance.now() < end)
  }
}

/** Of how long a run takes, in nanoseconds. */
async function lowerQuartile(run: () => number, milliseconds: number): Promise<number> {
  const eachRunAlone = { batch_threshold: -1, warmup_threshold: -1, gc: false }
  const { p25 } = await measure(() => do_not_optimize(run()), { ...eachRunAlone, min_cpu_time: milliseconds * 1e6 })
  return p25
}

function allocations(cases: readonly Case[]): Allocations {
  return Object.fromEntries(cases.map((each) => [each.name, allocatedBytes(each)]))
}

const heapBytes = () => process.memoryUsage().heapTotal

function allocatedBytes({ run, operations }: Case): number {
  const before = heapBytes()
  let done = 0
  for (let runs = 1; done < MOST_OPERATIONS && heapBytes() - before < MOST_ALLOCATED; runs *= 2) {
    for (let i = 0; i < runs; i++) do_not_optimize(run())
    done += runs * operations
  }
  return (heapBytes() - before) / done
}

const [what, ...names] = process.argv.slice(2)
const all = allCases()
warmUp(all)
const cases = all.filter(({ name }) => names.includes(name))
console.log(JSON.stringify(what === "times" ? await times(cases) : allocations(cases)))

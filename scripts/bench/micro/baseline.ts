/**
 * What a run is held against: figures of an earlier one, in a file of the repository.
 *
 * A process in which the engine has compiled a function otherwise, or that was disturbed, gives figures that are 30 % off for some case
 * or other. So single rounds decide nothing: a case is slower only if even its faster rounds (the lower quartile; of three the fastest)
 * take longer, by more than the threshold, than the slower rounds of the baseline (the upper quartile). Times are compared in units of
 * the calibration, which each round measures in between. Bytes are compared as they are: between processes they hardly differ, but for
 * what an engine has optimized away in one and not in another; so the fewest are held against the most of the baseline.
 */
import { median } from "../table.ts"
import type { Allocations, Times } from "./round.ts"

export interface Baseline {
  readonly date: string
  readonly cpu: string
  readonly bun: string
  readonly rounds: number
  /** The median of what the fixed piece of work took; the figures are those of a moment in which it takes just that. */
  readonly calibrationNanoseconds: number
  /** By name. */
  readonly cases: Readonly<Record<string, Expected>>
}

/** For each operation. */
export interface Expected {
  /** The median of the rounds. */
  readonly nanoseconds: number
  /** The upper quartile of the rounds. */
  readonly slowNanoseconds: number
  /** The median of the rounds that count them. */
  readonly bytes: number
  readonly mostBytes: number
}

/** What was measured: a few rounds of times, and one or more of bytes. */
export interface Measured {
  readonly rounds: readonly Times[]
  readonly allocations: readonly Allocations[]
}

export function baselineOf({ rounds, allocations }: Measured, place: Pick<Baseline, "date" | "cpu" | "bun">): Baseline {
  const calibrationNanoseconds = calibrationOf(rounds)
  const cases = namesOf(rounds).map((name) => {
    const relative = relativeTimes(rounds, name)
    const slow = relative[Math.ceil(relative.length * 0.75) - 1]!
    const bytes = allocatedBytes(allocations, name)
    const expected: Expected = {
      nanoseconds: rounded(median(relative) * calibrationNanoseconds),
      slowNanoseconds: rounded(slow * calibrationNanoseconds),
      bytes: rounded(median(bytes)),
      mostBytes: rounded(Math.max(...bytes)),
    }
    return [name, expected] as const
  })
  const figures = { rounds: rounds.length, calibrationNanoseconds: rounded(calibrationNanoseconds) }
  return { ...place, ...figures, cases: Object.fromEntries(cases) }
}

/** The median of the rounds. */
export function calibrationOf(rounds: readonly Times[]): number {
  return median(rounds.map(({ calibrationNanoseconds }) => calibrationNanoseconds))
}

/** The first round measures all cases, later ones perhaps some of them. */
const namesOf = ([first]: readonly Times[]) => Object.keys(first?.nanoseconds ?? {})

/** In units of the calibration, the fastest first. */
function relativeTimes(rounds: readonly Times[], name: string): number[] {
  return rounds
    .filter(({ nanoseconds }) => name in nanoseconds)
    .map(({ nanoseconds, calibrationNanoseconds }) => nanoseconds[name]! / calibrationNanoseconds)
    .sort((a, b) => a - b)
}

function allocatedBytes(allocations: readonly Allocations[], name: string): number[] {
  return allocations.flatMap((round) => round[name] ?? [])
}

/** To thousandths, of which there is more than enough. */
const rounded = (value: number) => Number(value.toPrecision(4))

export interface Comparison {
  readonly name: string
  /** The median of the rounds. */
  readonly nanoseconds: number
  readonly bytes: number
  /** What the baseline says, for the speed that the machine has now; undefined: it does not know the case. */
  readonly expectedNanoseconds: number | undefined
  readonly expectedBytes: number | undefined
  readonly isSlower: boolean
  readonly isLarger: boolean
}

/** Growth that may be chance: of the heap a block of 16 KiB is the least that is seen, in a million operations or in a few hundred. */
const BYTES_SHARE = 0.15
const BYTES_MARGIN = 2

/** Each case beside its baseline, in the order in which they were measured; `threshold` is a share, 0.1 by default on the command line. */
export function compare(
  { rounds, allocations }: Measured,
  baseline: Baseline | undefined,
  threshold: number,
): Comparison[] {
  const now = calibrationOf(rounds)
  return namesOf(rounds).map((name) => {
    const times = relativeTimes(rounds, name)
    const bytes = allocatedBytes(allocations, name)
    const measured = { name, nanoseconds: median(times) * now, bytes: median(bytes) }
    const expected = baseline?.cases[name]
    if (baseline === undefined || expected === undefined) {
      return { ...measured, expectedNanoseconds: undefined, expectedBytes: undefined, isSlower: false, isLarger: false }
    }
    const before = baseline.calibrationNanoseconds
    const fast = times[Math.floor(times.length / 4)]!
    return {
      ...measured,
      expectedNanoseconds: (expected.nanoseconds / before) * now,
      expectedBytes: expected.bytes,
      isSlower: fast > (expected.slowNanoseconds / before) * (1 + threshold),
      isLarger: Math.min(...bytes) > expected.mostBytes * (1 + BYTES_SHARE) + BYTES_MARGIN,
    }
  })
}

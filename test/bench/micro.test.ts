/** Micro-benchmarks: each case does what it is measured for, and what is slower than the baseline is told. */
import { describe, expect, test } from "bun:test"
import baseline from "../../scripts/bench/micro/baseline.json"
import { type Baseline, baselineOf, compare, type Measured } from "../../scripts/bench/micro/baseline.ts"
import { CALIBRATION, calibrate } from "../../scripts/bench/micro/calibration.ts"
import { runChecked } from "../../scripts/bench/micro/case.ts"
import { allCases } from "../../scripts/bench/micro/cases/index.ts"
import { regressions, report } from "../../scripts/bench/micro/report.ts"

const cases = allCases()

describe("each case does its work, however often it is run", () => {
  test.each(cases)("$name", (each) => {
    for (let run = 0; run < 3; run++) runChecked(each)
  })

  test("one that does not is found", () => {
    const [first] = cases
    expect(() => runChecked({ ...first!, expected: first!.expected + 1 })).toThrow(first!.name)
  })

  test("the baseline knows no other", () => {
    const names = cases.map(({ name }) => name)
    expect(Object.keys(baseline.cases).filter((name) => !names.includes(name))).toEqual([])
  })

  test("the fixed piece of work is the one that baselines go by", () => {
    expect([calibrate(), calibrate()]).toEqual([CALIBRATION, CALIBRATION])
  })
})

/** Rounds of one case; the fixed piece of work takes a microsecond. */
function measured(nanoseconds: readonly number[], { bytes = 100, calibration = 1000 } = {}): Measured {
  return {
    rounds: nanoseconds.map((match) => ({ calibrationNanoseconds: calibration, nanoseconds: { match } })),
    allocations: [{ match: bytes }],
  }
}

const place = { date: "2026-01-01T00:00:00.000Z", cpu: "a processor", bun: "1.4.5" }
const before: Baseline = baselineOf(measured([98, 100, 102, 99, 101, 100, 130, 103]), place)
const worse = (now: Measured) => regressions(compare(now, before, 0.15))

describe("a case beside its baseline", () => {
  test("a baseline has the median of its rounds, and what three of four were faster than", () => {
    expect(before.cases).toEqual({ match: { nanoseconds: 100.5, slowNanoseconds: 102, bytes: 100, mostBytes: 100 } })
  })

  test("as fast as before is fast enough", () => expect(worse(measured([101, 99, 104]))).toEqual([]))

  test("slower in each of three rounds is slower", () => {
    expect(worse(measured([125, 120, 140]))).toEqual(["match: 125 ns in place of 101 for each operation"])
  })

  test("slower in some rounds may be chance", () => expect(worse(measured([150, 104, 150]))).toEqual([]))

  test("up to the threshold is not slower", () => {
    expect(worse(measured([117, 117, 117]))).toEqual([])
    expect(worse(measured([118, 118, 118]))).toHaveLength(1)
  })

  test("on a machine of half the speed all takes twice as long", () => {
    expect(worse(measured([200, 204, 206], { calibration: 2000 }))).toEqual([])
    expect(worse(measured([240, 250, 245], { calibration: 2000 }))).toEqual([
      "match: 245 ns in place of 201 for each operation",
    ])
  })

  test("more bytes are told, and a few more are chance", () => {
    expect(worse(measured([100], { bytes: 116 }))).toEqual([])
    expect(worse(measured([100], { bytes: 148 }))).toEqual(["match: 148 bytes in place of 100 for each operation"])
    const twice = { ...measured([100]), allocations: [{ match: 148 }, { match: 101 }] }
    expect(worse(twice)).toEqual([])
  })

  test("one that the baseline does not know is neither", () => {
    const now = { rounds: [{ calibrationNanoseconds: 1000, nanoseconds: { visit: 5 } }], allocations: [{ visit: 0 }] }
    expect(worse(now)).toEqual([])
    const comparisons = compare(now, before, 0.15)
    expect(report(comparisons, [{ name: "visit", title: "a visit" }], { markdown: true })).toContain(
      "| visit | a visit | 5.00 |  | new | 0 |  |",
    )
  })

  test("what was measured again counts together with what was before: of six rounds one may be fast by chance", () => {
    expect(worse(measured([125, 120, 140, 101, 126, 124]))).toHaveLength(1)
    expect(worse(measured([125, 120, 140, 101, 126, 104]))).toEqual([])
  })

  test("later rounds may be of some cases only", () => {
    const first = { calibrationNanoseconds: 1000, nanoseconds: { match: 125, visit: 5 } }
    const again = { calibrationNanoseconds: 1000, nanoseconds: { match: 101 } }
    const comparisons = compare({ rounds: [first, again], allocations: [{ match: 100, visit: 0 }] }, before, 0.15)
    expect(comparisons.map(({ name, nanoseconds }) => [name, nanoseconds])).toEqual([
      ["match", 113],
      ["visit", 5],
    ])
  })
})

/** Cases beside their baseline, and what has become worse. */
import pc from "picocolors"
import { grouped, rendered, significant, type Table } from "../table.ts"
import type { Comparison } from "./baseline.ts"
import type { Case } from "./case.ts"

export function report(
  comparisons: readonly Comparison[],
  cases: readonly Pick<Case, "name" | "title">[],
  options: { markdown: boolean },
): string {
  const titles = new Map(cases.map(({ name, title }) => [name, title]))
  const table: Table = {
    head: ["case", "operation", "ns", "baseline ns", "ratio", "bytes", "baseline bytes"],
    rows: comparisons.map((each) => [each.name, titles.get(each.name) ?? "", ...figures(each)]),
  }
  return rendered(table, options)
}

function figures({ nanoseconds, bytes, expectedNanoseconds, expectedBytes, isSlower, isLarger }: Comparison): string[] {
  const own = significant(nanoseconds)
  if (expectedNanoseconds === undefined) return [own, "", pc.dim("new"), grouped(bytes), ""]
  const ratio = `${(nanoseconds / expectedNanoseconds).toFixed(2)}x`
  const colour = isSlower ? pc.red : (text: string) => text
  const bytesColour = isLarger ? pc.red : (text: string) => text
  return [own, significant(expectedNanoseconds), colour(ratio), bytesColour(grouped(bytes)), grouped(expectedBytes!)]
}

/** A line for each case that has become worse. */
export function regressions(comparisons: readonly Comparison[]): string[] {
  return comparisons.flatMap((each) => {
    const { name, nanoseconds, bytes, expectedNanoseconds, expectedBytes, isSlower, isLarger } = each
    const worse: string[] = []
    if (isSlower) worse.push(`${significant(nanoseconds)} ns in place of ${significant(expectedNanoseconds!)}`)
    if (isLarger) worse.push(`${significant(bytes)} bytes in place of ${significant(expectedBytes!)}`)
    return worse.length > 0 ? [`${name}: ${worse.join(", ")} for each operation`] : []
  })
}

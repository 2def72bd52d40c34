/** How long a message takes at a fixed rate: the median, one in a hundred and one in a thousand, of each broker. */
import { type Drawing, width } from "../drawing.ts"
import { figures, Outcomes, type Role } from "../outcomes.ts"
import { byRole } from "../palette.ts"
import type { Results } from "../results.ts"
import { headHeight, heading, rowsOfText, scale } from "./parts.ts"

const shown = ["latency-100", "gateway-100"]

const axisHeight = 22
const rowHeight = 19
const gapHeight = 10
const namesWidth = 116
const labelsWidth = 146

/** A symbol for each percentile. */
const symbols = ["circle", "diamond", "triangle"]
const legend = "ms: ● p50 / ◆ p99 / ▲ p99.9"

type Row = { name: string; role: Role; percentiles: number[] }

export function latency(results: Results): Drawing | undefined {
  if (!results.latency) return undefined
  const outcomes = new Outcomes(results.latency)
  const panels = shown
    .map((name) => ({ title: outcomes.titleOf(name), rows: rowsIn(outcomes, name) }))
    .filter(({ rows }) => rows.length > 0)
  if (panels.length === 0) return undefined
  const tops: number[] = []
  let top = 0
  for (const { rows } of panels) {
    tops.push(top)
    top += headHeight + rows.length * rowHeight + axisHeight + gapHeight
  }
  const all = panels.flatMap(({ rows }) => rows.flatMap(({ percentiles }) => percentiles))
  const min = 10 ** Math.floor(Math.log10(Math.min(...all)))
  const max = 10 ** Math.ceil(Math.log10(Math.max(...all)))
  const description = panels.map(({ title, rows }) => {
    return `${title}: ${rows.map(({ name, percentiles }) => `${name} ${written(percentiles)}`).join(", ")}.`
  })
  return {
    title: "Milliseconds from PUBLISH to delivery: p50, p99 and p99.9",
    description: description.join(" "),
    height: top,
    option: {
      title: panels.flatMap(({ title }, index) => heading(title, legend, tops[index]!)),
      grid: panels.map(({ rows }, index) => ({
        left: namesWidth,
        top: tops[index]! + headHeight,
        width: width - namesWidth - labelsWidth,
        height: rows.length * rowHeight,
      })),
      xAxis: panels.map((_, gridIndex) => ({ type: "log", gridIndex, min, max, ...scale() })),
      yAxis: panels.flatMap(({ rows }, gridIndex) => [
        {
          gridIndex,
          ...rowsOfText(
            rows.map(({ name, role }) => ({ text: name, role })),
            "left",
          ),
        },
        {
          gridIndex,
          ...rowsOfText(
            rows.map(({ percentiles, role }) => ({ text: written(percentiles), role })),
            "right",
          ),
        },
      ]),
      series: panels.flatMap(({ rows }, index) =>
        rows.map(({ role, percentiles }, row) => ({
          type: "line",
          xAxisIndex: index,
          yAxisIndex: index * 2,
          symbolSize: 8,
          lineStyle: { color: byRole[role], ...(role === "yardstick" ? { width: 1, type: [3, 2] } : { width: 2 }) },
          itemStyle: { color: byRole[role] },
          data: percentiles.map((value, at) => ({ value: [value, row], symbol: symbols[at] })),
        })),
      ),
    },
  }
}

const written = (percentiles: readonly number[]) => percentiles.map((value) => Number(value.toPrecision(2))).join(" / ")

/** The lowest p99 first, the yardstick last. */
function rowsIn(outcomes: Outcomes, scenario: string): Row[] {
  const { p50Milliseconds, p99Milliseconds, p999Milliseconds } = figures
  const rows = outcomes.brokers.map((name) => ({
    name,
    role: outcomes.role(name),
    percentiles: [p50Milliseconds, p99Milliseconds, p999Milliseconds]
      .map((figure) => outcomes.median(scenario, name, figure))
      .filter((value) => value !== undefined),
  }))
  const rank = ({ role }: Row) => Number(role === "yardstick")
  return rows
    .filter(({ percentiles }) => percentiles.length === symbols.length)
    .toSorted((a, b) => rank(a) - rank(b) || a.percentiles[1]! - b.percentiles[1]!)
}

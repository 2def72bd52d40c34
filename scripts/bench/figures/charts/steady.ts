/** Memory and latency of manju over a long run at half of what it can do, while clients come and go. */
import type { SteadyResult } from "../../load/scenarios.ts"
import { type Drawing, width } from "../drawing.ts"
import { compact } from "../numbers.ts"
import { light } from "../palette.ts"
import type { Results } from "../results.ts"
import { base, headHeight, heading, nameAtEnd, scale } from "./parts.ts"

const panelHeight = 170
const axisHeight = 26
const ticksWidth = 44
const namesWidth = 60

type Line = { name: string; colour: string; points: [minutes: number, value: number][] }

export function steady(results: Results): Drawing | undefined {
  const own = results.steady?.versions.brokers[0]?.label
  const result = results.steady?.outcomes
    .filter(({ broker }) => broker === own)
    .map((outcome) => outcome.result)
    .find((each): each is SteadyResult => each.kind === "steady")
  if (!result) return undefined
  const line = (name: string, colour: string, of: (sample: SteadyResult["samples"][number]) => number): Line => {
    const points = result.samples.map((sample): [number, number] => [sample.seconds / 60, of(sample)])
    return { name, colour, points }
  }
  const panels = [
    {
      title: "Memory",
      unit: "MiB, resident",
      yAxis: { type: "value", min: 0 },
      lines: [line(own!, light.own, ({ residentBytes }) => residentBytes / 1024 / 1024)],
    },
    {
      title: "Latency, of each ten seconds",
      unit: "ms",
      yAxis: { type: "log" },
      lines: [
        line("p50", light.own, ({ p50Milliseconds }) => p50Milliseconds),
        line("p99", light.olive, ({ p99Milliseconds }) => p99Milliseconds),
        line("p99.9", light.rose, ({ p999Milliseconds }) => p999Milliseconds),
      ],
    },
  ]
  const description = panels.map(({ title, unit, lines }) => {
    const told = lines.map(({ name, points }) => {
      const values = points.map(([, value]) => value)
      return `${name} ${compact(Math.min(...values))} to ${compact(Math.max(...values))}`
    })
    return `${title} (${unit}): ${told.join(", ")}.`
  })
  return {
    title: `${compact(result.messagesPerSecond)} messages per second for ${Math.round(result.seconds / 60)} minutes`,
    description: description.join(" "),
    height: panels.length * panelHeight,
    option: {
      title: panels.flatMap(({ title, unit }, index) => heading(title, unit, index * panelHeight)),
      grid: panels.map((_, index) => ({
        left: ticksWidth,
        top: index * panelHeight + headHeight,
        width: width - ticksWidth - namesWidth,
        height: panelHeight - headHeight - axisHeight,
      })),
      xAxis: panels.map((_, gridIndex) => ({
        type: "value",
        gridIndex,
        min: 0,
        max: result.samples.at(-1)!.seconds / 60,
        ...base((minutes) => (Number.isInteger(minutes) ? `${minutes} min` : "")),
      })),
      yAxis: panels.map(({ yAxis }, gridIndex) => ({ gridIndex, splitNumber: 4, ...yAxis, ...scale() })),
      series: panels.flatMap(({ lines }, index) =>
        lines.map(({ name, colour, points }) => ({
          type: "line",
          xAxisIndex: index,
          yAxisIndex: index,
          showSymbol: false,
          lineStyle: { color: colour, width: 2 },
          itemStyle: { color: colour },
          data: points,
          ...nameAtEnd(name),
        })),
      ),
    },
  }
}

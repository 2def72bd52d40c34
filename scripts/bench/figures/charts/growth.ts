/** What a message, a match and one more entry cost, from one subscription or retained message to a million, by their kind. */
import {
  type Cost,
  type Kind,
  kinds,
  type MapCost,
  type RetainedCost,
  type SubscriptionCost,
  summarized,
} from "../../growth/results.ts"
import { type Drawing, width } from "../drawing.ts"
import { compact, shortest } from "../numbers.ts"
import { lines as colours, light } from "../palette.ts"
import type { Results } from "../results.ts"
import { base, fontSize, headHeight, heading, nameAtEnd, rowsOfText, scale } from "./parts.ts"

const panelHeight = 176
const axisHeight = 28
const ticksWidth = 44
const namesWidth = 92
const barHeight = 17

const names: Record<Kind, string> = {
  exact: "exact",
  plus: "with +",
  hash: "with #",
  shared: "$share",
  retained: "retained",
  map: "a Map",
}
const symbols = ["circle", "rect", "triangle", "diamond", "emptyCircle", "none"]
/** A yardstick stands back. */
const colourOf = (kind: Kind) => (kind === "map" ? light.others : colours[kinds.indexOf(kind)])

type Panel = {
  title: string
  unit: string
  ofSubscription(cost: SubscriptionCost): number
  ofRetained(cost: RetainedCost): number
  /** For a panel in which there is something to compare with. */
  ofMap?(cost: MapCost): number
}

const panels: Panel[] = [
  {
    title: "PUBLISH to a topic seen before, or retained",
    unit: "ns",
    ofSubscription: (cost) => cost.publishKnownNanoseconds,
    ofRetained: (cost) => cost.replaceNanoseconds,
  },
  {
    title: "A match for the first time",
    unit: "ns",
    ofSubscription: (cost) => cost.matchFirstNanoseconds,
    ofRetained: (cost) => cost.matchExactNanoseconds,
    ofMap: (cost) => cost.matchFirstNanoseconds,
  },
  {
    title: "One more: SUBSCRIBE, or a retained message",
    unit: "µs",
    ofSubscription: (cost) => cost.subscribeNanoseconds / 1000,
    ofRetained: (cost) => cost.addNanoseconds / 1000,
  },
]

export function growth(results: Results): Drawing | undefined {
  if (!results.growth) return undefined
  const costs = summarized(results.growth.costs).toSorted((a, b) => a.entries - b.entries)
  const most = costs.at(-1)!.entries
  const measured = kinds.filter((kind) => costs.some((cost) => cost.kind === kind))
  const drawn = panels.map((panel) => ({
    ...panel,
    lines: measured.map((kind) => lineOf(kind, panel, costs)).filter(({ points }) => points.length > 0),
  }))
  const memory = memoryOf(costs)
  const memoryTop = panels.length * panelHeight
  const memoryTitle = `Memory of each, of ${shortest(memory[0]?.entries ?? 0)}`
  const description = [
    ...drawn.map(({ title, unit, lines }) => {
      const told = lines.map(({ kind, points }) => {
        const [first, last] = [points[0]!, points.at(-1)!].map(
          ([entries, value]) => `${compact(value)} with ${shortest(entries)}`,
        )
        return `${names[kind]} ${first}, ${last}`
      })
      return `${title} (${unit}): ${told.join("; ")}.`
    }),
    ...(memory.length > 0
      ? [`${memoryTitle} (bytes): ${memory.map(({ kind, bytes }) => `${names[kind]} ${compact(bytes)}`).join(", ")}.`]
      : []),
  ]
  return {
    title: "Cost by the number of subscriptions and of retained messages",
    description: description.join(" "),
    height: memoryTop + (memory.length > 0 ? headHeight + memory.length * barHeight + 8 : 0),
    option: {
      title: [
        ...drawn.flatMap(({ title, unit }, index) => heading(title, unit, index * panelHeight)),
        ...(memory.length > 0 ? heading(memoryTitle, "bytes", memoryTop) : []),
      ],
      grid: [
        ...drawn.map((_, index) => ({
          left: ticksWidth,
          top: index * panelHeight + headHeight,
          width: width - ticksWidth - namesWidth,
          height: panelHeight - headHeight - axisHeight,
        })),
        {
          left: namesWidth,
          top: memoryTop + headHeight,
          width: width - namesWidth * 2,
          height: memory.length * barHeight,
        },
      ],
      xAxis: [
        ...drawn.map((_, gridIndex) => ({ type: "log", gridIndex, min: 1, max: most, ...base(shortest) })),
        { type: "value", gridIndex: drawn.length, min: 0, show: false },
      ],
      yAxis: [
        ...drawn.map((_, gridIndex) => ({ type: "value", gridIndex, min: 0, splitNumber: 3, ...scale(shortest) })),
        {
          gridIndex: drawn.length,
          ...rowsOfText(
            memory.map(({ kind }) => ({ text: names[kind], role: "other" })),
            "left",
          ),
        },
      ],
      series: [
        ...drawn.flatMap(({ lines }, index) =>
          lines.map(({ kind, points }) => ({
            type: "line",
            xAxisIndex: index,
            yAxisIndex: index,
            symbol: symbols[kinds.indexOf(kind)],
            symbolSize: 6,
            lineStyle: { color: colourOf(kind), width: 1.5, type: kind === "map" ? "dashed" : "solid" },
            itemStyle: { color: colourOf(kind) },
            data: points,
            ...nameAtEnd(names[kind]),
          })),
        ),
        {
          type: "bar",
          xAxisIndex: drawn.length,
          yAxisIndex: drawn.length,
          barWidth: barHeight - 5,
          data: memory.map(({ kind, bytes }) => ({
            value: bytes,
            itemStyle: { color: colourOf(kind) },
            label: {
              show: true,
              position: "right",
              formatter: compact(bytes),
              fontSize,
              color: light.ink,
              textBorderWidth: 0,
            },
          })),
        },
      ],
    },
  }
}

type Line = { kind: Kind; points: [entries: number, value: number][] }

function lineOf(kind: Kind, panel: Panel, costs: readonly Cost[]): Line {
  const valueIn = (cost: Cost) => {
    if (cost.kind === "map") return panel.ofMap?.(cost)
    return cost.kind === "retained" ? panel.ofRetained(cost) : panel.ofSubscription(cost)
  }
  const own = costs.filter((cost) => cost.kind === kind)
  return {
    kind,
    points: own.flatMap((cost) => {
      const value = valueIn(cost)
      return value === undefined ? [] : [[cost.entries, value]]
    }),
  }
}

/** Of as many as there are at the most: with few it cannot be told. */
function memoryOf(costs: readonly Cost[]): { kind: Kind; entries: number; bytes: number }[] {
  const told = costs.flatMap(({ kind, entries, residentBytesPerEntry }) =>
    typeof residentBytesPerEntry === "number" ? [{ kind, entries, bytes: residentBytesPerEntry }] : [],
  )
  return told.filter(({ entries }) => entries === told.at(-1)!.entries)
}

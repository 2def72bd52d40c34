/** Bytes a second by the size of a payload: how near a broker comes to what a relay does that looks at nothing. */
import { type Drawing, width } from "../drawing.ts"
import { bytes, compact, shortest } from "../numbers.ts"
import { figures, Outcomes, type Role } from "../outcomes.ts"
import { byRole, light } from "../palette.ts"
import type { Results } from "../results.ts"
import { base, headHeight, heading, nameAtEnd, scale, weight } from "./parts.ts"

const height = 290
const axisHeight = 24
const ticksWidth = 52
const namesWidth = 108

type Line = { name: string; role: Role; points: [payloadBytes: number, bytesPerSecond: number][] }

export function payload(results: Results): Drawing | undefined {
  if (!results.payload) return undefined
  const outcomes = new Outcomes(results.payload)
  const sizes = sizesIn(outcomes)
  if (sizes.length < 2) return undefined
  const lines = outcomes.brokers.map((name): Line => {
    const points = sizes.flatMap(({ scenario, payloadBytes }): Line["points"] => {
      const value = outcomes.median(scenario, name, figures.payloadBytesPerSecond)
      return value === undefined ? [] : [[payloadBytes, value]]
    })
    return { name, role: outcomes.role(name), points }
  })
  const description = lines.map(({ name, points }) => {
    return `${name}: ${points.map(([size, value]) => `${bytes(size)} ${compact(value)}`).join(", ")}.`
  })
  return {
    title: "Bytes of payload per second, by the size of a payload",
    description: description.join(" "),
    height,
    option: {
      title: heading("10 pairs, QoS 0, by the size of a payload", "bytes/s", 0),
      grid: {
        left: ticksWidth,
        top: headHeight,
        width: width - ticksWidth - namesWidth,
        height: height - headHeight - axisHeight,
      },
      xAxis: {
        type: "log",
        logBase: 16,
        min: sizes[0]!.payloadBytes,
        max: sizes.at(-1)!.payloadBytes,
        ...base(bytes),
      },
      yAxis: { type: "log", ...scale(shortest) },
      series: lines.map(({ name, role, points }) => ({
        type: "line",
        z: role === "other" ? 2 : 3,
        symbol: role === "yardstick" ? "none" : "circle",
        symbolSize: 5,
        lineStyle: {
          color: byRole[role],
          width: role === "own" ? 3 : 1.5,
          ...(role === "yardstick" && { type: [4, 3] }),
        },
        itemStyle: { color: byRole[role] },
        data: points,
        ...nameAtEnd(name, role === "other" ? light.muted : light.ink, weight(role)),
      })),
    },
  }
}

/** The scenarios that differ from pairs-10 in the size alone, by their size; of nothing there are no bytes a second. */
function sizesIn(outcomes: Outcomes): { scenario: string; payloadBytes: number }[] {
  const sizes = outcomes.scenarios.flatMap((scenario) =>
    /^pairs-10(-|$)/.test(scenario.name) && "payloadBytes" in scenario && scenario.payloadBytes > 0
      ? [{ scenario: scenario.name, payloadBytes: scenario.payloadBytes }]
      : [],
  )
  return sizes.toSorted((a, b) => a.payloadBytes - b.payloadBytes)
}

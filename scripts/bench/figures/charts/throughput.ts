/** Messages a second of each broker, in the scenarios that stand for the others. */
import type { Drawing } from "../drawing.ts"
import { compact } from "../numbers.ts"
import { figures, Outcomes } from "../outcomes.ts"
import type { Results } from "../results.ts"
import { type Bar, barsOf } from "./bars.ts"

const shown = ["pairs-10", "fanout-100", "qos1-10"]

export function throughput(results: Results): Drawing | undefined {
  if (!results.throughput) return undefined
  const outcomes = new Outcomes(results.throughput)
  const groups = shown
    .map((name) => ({ title: outcomes.titleOf(name), unit: "messages/s", bars: barsIn(outcomes, name) }))
    .filter(({ bars }) => bars.length > 0)
  if (groups.length === 0) return undefined
  const description = groups.map(({ title, bars }) => {
    return `${title}: ${bars.map(({ name, label }) => `${name} ${label}`).join(", ")}.`
  })
  return { title: "Messages per second", description: description.join(" "), ...barsOf(groups) }
}

/** The fastest first, the yardstick last. */
function barsIn(outcomes: Outcomes, scenario: string): Bar[] {
  const bars = outcomes.brokers.flatMap((name): Bar[] => {
    const value = outcomes.median(scenario, name, figures.messagesPerSecond)
    if (value === undefined) return []
    const label = outcomes.isFaulty(scenario, name) ? `${compact(value)}, with losses` : compact(value)
    return [{ name, role: outcomes.role(name), value, label }]
  })
  const rank = ({ role }: Bar) => Number(role === "yardstick")
  return bars.toSorted((a, b) => rank(a) - rank(b) || b.value - a.value)
}

/** One measurement in a process of its own: `bun scripts/bench/growth/probe.ts KIND ENTRIES ROUND` prints a `Cost` as JSON. */
import { mapCost } from "./map.ts"
import type { Cost, Kind } from "./results.ts"
import { retainedCost } from "./retained.ts"
import { subscriptionCost } from "./subscriptions.ts"

const [kind, entries, round] = process.argv.slice(2) as [Kind, string, string]
const counts = [Number(entries), Number(round)] as const
const cost: Cost =
  kind === "retained"
    ? await retainedCost(...counts)
    : kind === "map"
      ? await mapCost(...counts)
      : await subscriptionCost(kind, ...counts)
console.log(JSON.stringify(cost))

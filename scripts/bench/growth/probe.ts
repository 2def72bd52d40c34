/** One measurement in a process of its own: `bun scripts/bench/growth/probe.ts KIND ENTRIES ROUND` prints a `Cost` as JSON. */
import type { Cost, Kind } from "./results.ts"
import { retainedCost } from "./retained.ts"
import { subscriptionCost } from "./subscriptions.ts"

const [kind, entries, round] = process.argv.slice(2) as [Kind, string, string]
const cost: Cost =
  kind === "retained"
    ? await retainedCost(Number(entries), Number(round))
    : await subscriptionCost(kind, Number(entries), Number(round))
console.log(JSON.stringify(cost))

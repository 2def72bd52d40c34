/** From raw results to tables: a row for each kind and number of entries, its cells the medians over the rounds. */
import { grouped, rendered, significant, type Table } from "../table.ts"
import {
  type Cost,
  type MapCost,
  type Memory,
  type RetainedCost,
  type SubscriptionCost,
  summarized,
} from "./results.ts"

type Column<T> = { title: string; value: (cost: T) => number | undefined; format: (value: number) => string }

const microseconds = (nanoseconds: number) => (nanoseconds / 1000).toFixed(2)

// biome-ignore format: a table reads best with a row a line
const memory: Column<Partial<Memory>>[] = [
  { title: "RSS B/entry", value: (cost) => cost.residentBytesPerEntry, format: grouped },
  { title: "heap B/entry", value: (cost) => cost.heapBytesPerEntry, format: grouped },
]

// biome-ignore format: a table reads best with a row a line
const subscriptionColumns: Column<Partial<Omit<SubscriptionCost, "kind">>>[] = [
  { title: "match known ns", value: (cost) => cost.matchKnownNanoseconds, format: grouped },
  { title: "first ns", value: (cost) => cost.matchFirstNanoseconds, format: grouped },
  { title: "look-ups", value: (cost) => cost.matchFirstLookups, format: significant },
  { title: "none ns", value: (cost) => cost.matchNoneNanoseconds, format: grouped },
  { title: "after a change ns", value: (cost) => cost.matchAfterChangeNanoseconds, format: grouped },
  { title: "PUBLISH known ns", value: (cost) => cost.publishKnownNanoseconds, format: grouped },
  { title: "first ns", value: (cost) => cost.publishFirstNanoseconds, format: grouped },
  { title: "SUBSCRIBE µs", value: (cost) => cost.subscribeNanoseconds, format: microseconds },
  { title: "slowest ms", value: (cost) => cost.slowestSubscribeMilliseconds, format: significant },
  { title: "UNSUBSCRIBE µs", value: (cost) => cost.unsubscribeNanoseconds, format: microseconds },
  ...memory,
]

// biome-ignore format: a table reads best with a row a line
const retainedColumns: Column<RetainedCost>[] = [
  { title: "replace µs", value: (cost) => cost.replaceNanoseconds, format: microseconds },
  { title: "add µs", value: (cost) => cost.addNanoseconds, format: microseconds },
  { title: "clear µs", value: (cost) => cost.removeNanoseconds, format: microseconds },
  { title: "match exact µs", value: (cost) => cost.matchExactNanoseconds, format: microseconds },
  { title: "+ µs", value: (cost) => cost.matchPlusNanoseconds, format: microseconds },
  { title: "# µs", value: (cost) => cost.matchHashNanoseconds, format: microseconds },
  { title: "+ for every site µs", value: (cost) => cost.matchAcrossNanoseconds, format: microseconds },
  { title: "SUBSCRIBE, replay µs", value: (cost) => cost.replayNanoseconds, format: microseconds },
  { title: "to # turn ms", value: (cost) => cost.everythingMilliseconds, format: significant },
  ...memory,
]

function tabulate<T extends Cost>(costs: readonly T[], columns: readonly Column<T>[]): Table {
  const cell = (cost: T, { value, format }: Column<T>) => {
    const number = value(cost)
    return number === undefined ? "" : format(number)
  }
  const rows = summarized(costs).map((cost) => [
    cost.kind,
    grouped(cost.entries),
    ...columns.map((column) => cell(cost, column)),
  ])
  return { head: ["of", "entries", ...columns.map(({ title }) => title)], rows }
}

export function report(costs: readonly Cost[], options: { markdown: boolean }): string {
  const isRetained = (cost: Cost): cost is RetainedCost => cost.kind === "retained"
  const isSubscription = (cost: Cost): cost is SubscriptionCost | MapCost => cost.kind !== "retained"
  const tables = [
    tabulate(costs.filter(isSubscription), subscriptionColumns),
    tabulate(costs.filter(isRetained), retainedColumns),
  ]
  const parts = tables.filter(({ rows }) => rows.length > 0).map((table) => rendered(table, options))
  if (costs.some(({ kind }) => kind === "map")) parts.push(explanation)
  return parts.join("\n\n")
}

const explanation = `A first match looks up as much among a million as among a few (look-ups). What it takes longer is what a look-up takes longer in a plain
Map of as many topics (map): what is looked at is in none of the processor's caches.`

/** One line about one measurement, while the run goes on. */
export function brief(cost: Cost): string {
  const title = `${cost.kind.padEnd(8)} ${grouped(cost.entries).padStart(9)} `
  if (cost.kind === "retained") {
    return `${title} replace ${microseconds(cost.replaceNanoseconds)} µs, # ${microseconds(cost.matchHashNanoseconds)} µs`
  }
  const known = `known ${grouped(cost.matchKnownNanoseconds)} ns`
  const first = `first ${grouped(cost.matchFirstNanoseconds)} ns`
  if (cost.kind === "map") return `${title} ${known}, ${first}`
  return `${title} ${known}, ${first}, SUBSCRIBE ${microseconds(cost.subscribeNanoseconds)} µs`
}

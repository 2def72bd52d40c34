/**
 * What `bun run bench growth --json` writes, and from which charts are drawn. Figures per round, as they were measured; `summarized` gives the
 * medians.
 */
import { median } from "../table.ts"

/** What there are many of: subscriptions, by their filter, or retained messages; or the keys of a plain Map, to compare with. */
export const kinds = ["exact", "plus", "hash", "shared", "retained", "map"] as const
export type Kind = (typeof kinds)[number]

/** What an entry takes, with all that it needs of indexes; undefined where there are too few to tell. */
export interface Memory {
  /** Of the process, after a collection. */
  residentBytesPerEntry: number | undefined
  /** Of the JavaScript heap, with what its objects hold outside. */
  heapBytesPerEntry: number | undefined
}

/** `entries` subscriptions of one kind, of which each topic asked for matches one. */
export interface SubscriptionCost extends Memory {
  kind: Exclude<Kind, "retained" | "map">
  entries: number
  round: number
  /** Who gets a topic: known from its last message. */
  matchKnownNanoseconds: number
  /** The same for its first message: found among all filters. */
  matchFirstNanoseconds: number
  /** How often something is looked up in a Map meanwhile. */
  matchFirstLookups: number
  /** The same for a topic to which nobody subscribes. */
  matchNoneNanoseconds: number
  /** The same for a topic that was known before somebody subscribed to something else. */
  matchAfterChangeNanoseconds: number
  /** A PUBLISH of QoS 0, from the bytes received to the bytes written; the topic known, or not. */
  publishKnownNanoseconds: number
  publishFirstNanoseconds: number
  /** One more SUBSCRIBE, or UNSUBSCRIBE, from the bytes received to the answer written. */
  subscribeNanoseconds: number
  unsubscribeNanoseconds: number
  /** The slowest of all the SUBSCRIBEs that led here. */
  slowestSubscribeMilliseconds: number
}

/** The yardstick: a Map of the same topics, and what a look-up in it costs. */
export interface MapCost extends Memory {
  kind: "map"
  entries: number
  round: number
  /** One of a thousand topics that are asked for again and again, as those are whose receivers are known. */
  matchKnownNanoseconds: number
  matchFirstNanoseconds: number
  matchFirstLookups: 1
  matchNoneNanoseconds: number
}

/** `entries` retained messages. */
export interface RetainedCost extends Memory {
  kind: "retained"
  entries: number
  round: number
  /** A PUBLISH that replaces what is retained, one for a new topic, and one that clears it. */
  replaceNanoseconds: number
  addNanoseconds: number
  removeNanoseconds: number
  /** What a filter matches: one message by its topic, those of one device by `+` and by `#`, of which there are ten. */
  matchExactNanoseconds: number
  matchPlusNanoseconds: number
  matchHashNanoseconds: number
  /** One message by a `+` in place of its site: every site has to be asked. */
  matchAcrossNanoseconds: number
  /** The SUBSCRIBE of one device's ten, until they have been written. */
  replayNanoseconds: number
  /** The slowest turn of a SUBSCRIBE to everything. */
  everythingMilliseconds: number
}

export type Cost = SubscriptionCost | MapCost | RetainedCost

/** The medians over the rounds, one for each kind and number of entries. */
export function summarized<Each extends Cost>(costs: readonly Each[]): Each[] {
  const rounds = Map.groupBy(costs, ({ kind, entries }) => `${kind} ${entries}`)
  return Array.from(rounds.values(), (group) => {
    const medianOf = (name: string) => {
      const values = group.map((each) => each[name as keyof Each])
      return values.every((value) => typeof value === "number") ? median(values) : values[0]
    }
    return Object.fromEntries(Object.keys(group[0]!).map((name) => [name, medianOf(name)])) as unknown as Each
  })
}

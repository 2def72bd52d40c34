/** What `bun run bench growth` asks for is what it says: of however many there are, one matches. */
import { describe, expect, test } from "bun:test"
import { retained, sample, subscriptions } from "../../scripts/bench/growth/entries.ts"
import { report } from "../../scripts/bench/growth/report.ts"
import { kinds, type MapCost, type SubscriptionCost, summarized } from "../../scripts/bench/growth/results.ts"
import { matches, parseTopicFilter } from "../../src/router/index.ts"

const limits = { maximumTopicBytes: 65_535, maximumTopicLevels: 128 }
const entries = 1200
const all = Array.from({ length: entries }, (_, entry) => entry)

for (const kind of kinds.filter((each) => each !== "retained" && each !== "map"))
  test(`a topic is matched by one filter of all those of the kind ${kind}`, () => {
    const shape = subscriptions[kind]
    const patterns = new Set(all.map((entry) => parseTopicFilter(shape.filter(entry), limits)!.pattern))
    for (const entry of sample(100, entries)) {
      expect([...patterns].filter((pattern) => matches(pattern, shape.topic(entry)))).toHaveLength(1)
    }
  })

test("a client has one subscription of each filter, and about as many as the others", () => {
  for (const shape of Object.values(subscriptions)) {
    const clients = shape.clients(entries)
    const owned = all.map((entry) => `${shape.client(entry, clients)} ${shape.filter(entry)}`)
    expect(new Set(owned).size).toBe(entries)
    for (const entry of all) expect(shape.client(entry, clients)).toBeWithin(0, clients)
  }
})

describe("of retained messages", () => {
  const topics = all.map((entry) => retained.topic(entry))
  const count = (pattern: string) => topics.filter((topic) => matches(pattern, topic)).length

  test("one has a topic, ten are a device's, and one matches whatever the site", () => {
    for (const entry of sample(20, entries)) {
      const { topic, plus, hash, across } = retained
      const found = [topic, plus, hash, across].map((filter) => count(filter(entry)))
      expect(found).toEqual([1, retained.perDevice(entries), retained.perDevice(entries), 1])
    }
  })
})

test("a sample has no number twice", () => {
  for (const [asked, of] of [
    [10, 1],
    [1000, 1000],
    [1000, 1_000_000],
  ] as const) {
    const drawn = sample(asked, of)
    expect(new Set(drawn).size).toBe(Math.min(asked, of))
    for (const entry of drawn) expect(entry).toBeWithin(0, of)
  }
})

describe("of several rounds", () => {
  const cost = (round: number, nanoseconds: number): SubscriptionCost => ({
    ...{ kind: "exact", entries: 10, round },
    ...{ matchKnownNanoseconds: 1, matchFirstNanoseconds: nanoseconds, matchFirstLookups: 1, matchNoneNanoseconds: 1 },
    ...{ matchAfterChangeNanoseconds: 1, publishKnownNanoseconds: 1, publishFirstNanoseconds: 1 },
    ...{ subscribeNanoseconds: 1500, unsubscribeNanoseconds: 1, slowestSubscribeMilliseconds: 1 },
    ...{ residentBytesPerEntry: undefined, heapBytesPerEntry: undefined },
  })
  const rounds = [cost(1, 900), cost(2, 100), cost(3, 200)]

  test("the median stands, and what was not measured stays open", () => {
    const [summary, ...others] = summarized(rounds)
    expect(others).toEqual([])
    expect(summary).toMatchObject({ kind: "exact", entries: 10, matchFirstNanoseconds: 200 })
    expect(summary!.residentBytesPerEntry).toBeUndefined()
  })

  test("the table has a row for them", () => {
    const lines = report(rounds, { markdown: true }).split("\n")
    expect(lines).toHaveLength(3)
    expect(lines[2]).toContain("| exact | 10 | 1 | 200 |")
    expect(lines[2]).toContain("| 1.50 |")
  })

  test("beside a Map, which has no subscriptions, it says what the Map is there for", () => {
    const yardstick: MapCost = {
      ...{ kind: "map", entries: 10, round: 1 },
      ...{ matchKnownNanoseconds: 1, matchFirstNanoseconds: 40, matchFirstLookups: 1, matchNoneNanoseconds: 1 },
      ...{ residentBytesPerEntry: undefined, heapBytesPerEntry: undefined },
    }
    const text = report([...rounds, yardstick], { markdown: true })
    expect(text).toContain("| map | 10 | 1 | 40 | 1.00 | 1 |  |")
    expect(text.length).toBeGreaterThan(report(rounds, { markdown: true }).length + 200)
  })
})

/**
 * The yardstick: what a look-up costs in a plain Map of as many topics, of which a processor's caches hold the fewer the more there are. It too
 * looks at one place, however many there are.
 */
import { sample, subscriptions } from "./entries.ts"
import type { MapCost } from "./results.ts"
import { FIRST_TOPICS, KNOWN_TOPICS } from "./subscriptions.ts"
import { memoryOf, nanosecondsEach } from "./timing.ts"

export async function mapCost(entries: number, round: number): Promise<MapCost> {
  const { topic } = subscriptions.exact
  const map = new Map<string, { value: number }>()
  const memory = await memoryOf(entries, () => {
    for (let entry = 0; entry < entries; entry++) map.set(decoded(topic(entry)), { value: 1 })
  })
  const looking = (names: readonly string[], expected: number) =>
    nanosecondsEach(names.length, () => {
      let found = 0
      for (const name of names) found += map.get(name)?.value ?? 0
      if (found !== expected * names.length) throw new Error(`${found} of ${names.length} topics are in the Map`)
    })
  const names = sample(FIRST_TOPICS, entries).map((entry) => decoded(topic(entry)))
  const matchFirstNanoseconds = looking(names, 1)
  const matchNoneNanoseconds = looking(
    names.map((name) => decoded(name.replace("/device/", "/gateway/"))),
    0,
  )
  const matchKnownNanoseconds = looking(names.slice(0, KNOWN_TOPICS), 1)
  return {
    ...{ kind: "map", entries, round },
    ...{ matchKnownNanoseconds, matchFirstNanoseconds, matchFirstLookups: 1, matchNoneNanoseconds },
    ...memory,
  }
}

/** As one that has come over the wire: in one piece, and the same as no other. */
const decoded = (text: string) => Buffer.from(text).toString()

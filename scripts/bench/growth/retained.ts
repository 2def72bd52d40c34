/** What retained messages cost, each and all: in the process in which this runs, which should be a fresh one. */
import { Client, encodePublish, encodeSubscribe, encodeUnsubscribe, newCore } from "./client.ts"
import { retained, sample } from "./entries.ts"
import type { RetainedCost } from "./results.ts"
import { memoryOf, nanosecondsEach } from "./timing.ts"

const ASKED = 1000
/** A walk over every site is long. */
const ASKED_ACROSS = 20
const PAYLOAD = "20.5"
/** Turns in which nothing is written, after which nothing more is expected. */
const QUIET_TURNS = 20

export async function retainedCost(entries: number, round: number): Promise<RetainedCost> {
  const core = newCore()
  const publisher = new Client(core, "publisher")
  const memory = await memoryOf(entries, () => {
    for (let entry = 0; entry < entries; entry++) {
      publisher.send(encodePublish(retained.topic(entry), { retain: true, payload: PAYLOAD }))
    }
  })
  if (core.retained.count !== entries) throw new Error(`${core.retained.count} of ${entries} messages are retained`)

  const asked = sample(ASKED, entries)
  const matching = (filters: readonly string[], expected: number) =>
    nanosecondsEach(filters.length, () => {
      let found = 0
      for (const filter of filters) core.retained.match(filter, () => found++)
      if (found !== expected * filters.length) throw new Error(`${found} messages for ${filters.length} filters`)
    })
  const perDevice = retained.perDevice(entries)
  const matchExactNanoseconds = matching(asked.map(retained.topic), 1)
  const matchPlusNanoseconds = matching(asked.map(retained.plus), perDevice)
  const matchHashNanoseconds = matching(asked.map(retained.hash), perDevice)
  const matchAcrossNanoseconds = matching(asked.slice(0, ASKED_ACROSS).map(retained.across), 1)

  const subscriber = new Client(core, "subscriber")
  const filters = asked.map(retained.hash)
  const subscribes = filters.map(encodeSubscribe)
  const unsubscribes = filters.map(encodeUnsubscribe)
  const replayNanoseconds = nanosecondsEach(asked.length, sending(subscriber, subscribes), {
    after: sending(subscriber, unsubscribes),
  })

  const encoded = (entry: number, payload: string) => encodePublish(retained.topic(entry), { retain: true, payload })
  const replaceNanoseconds = nanosecondsEach(
    asked.length,
    sending(
      publisher,
      asked.map((entry) => encoded(entry, PAYLOAD)),
    ),
  )
  const more = Array.from({ length: ASKED }, (_, index) => entries + index)
  const add = sending(
    publisher,
    more.map((entry) => encoded(entry, PAYLOAD)),
  )
  const remove = sending(
    publisher,
    more.map((entry) => encoded(entry, "")),
  )
  const addNanoseconds = nanosecondsEach(ASKED, add, { after: remove })
  const removeNanoseconds = nanosecondsEach(ASKED, remove, { before: add })
  return {
    ...{ kind: "retained", entries, round },
    ...{ replaceNanoseconds, addNanoseconds, removeNanoseconds },
    ...{ matchExactNanoseconds, matchPlusNanoseconds, matchHashNanoseconds, matchAcrossNanoseconds, replayNanoseconds },
    everythingMilliseconds: await slowestTurn(new Client(core, "reader of everything")),
    ...memory,
  }
}

const sending = (client: Client, packets: readonly Buffer[]) => () => {
  for (const packet of packets) client.send(packet)
}

/** Of those that a SUBSCRIBE to everything causes, for somebody whose socket is soon full. */
async function slowestTurn(client: Client): Promise<number> {
  client.isReading = false
  let startedAt = performance.now()
  client.send(encodeSubscribe("#"))
  let slowest = performance.now() - startedAt
  for (let turn = 0; turn < QUIET_TURNS; turn++) {
    startedAt = performance.now()
    await new Promise(setImmediate)
    slowest = Math.max(slowest, performance.now() - startedAt)
  }
  return slowest
}

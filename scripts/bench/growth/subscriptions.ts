/** What subscriptions cost, each and all: in the process in which this runs, which should be a fresh one. */
import { type Route, Topic } from "../../../src/router/index.ts"
import { Client, encodePublish, encodeSubscribe, encodeUnsubscribe, newCore } from "./client.ts"
import { type Subscriptions, sample, subscriptions } from "./entries.ts"
import type { SubscriptionCost } from "./results.ts"
import { memoryOf, nanosecondsEach } from "./timing.ts"

/** Topics that the table of topics holds at once, and ones enough that their filters are in no cache of the processor. */
export const KNOWN_TOPICS = 1000
export const FIRST_TOPICS = 50_000
/** SUBSCRIBEs in a batch. */
const GUESTS = 1000
/** Until the table of topics has grown to their number. */
const TIMES_PUBLISHED = 100
const PUBLISHES_PER_CHUNK = 50
const REHEARSAL_MS = 300

export async function subscriptionCost(
  kind: SubscriptionCost["kind"],
  entries: number,
  round: number,
): Promise<SubscriptionCost> {
  const shape = subscriptions[kind]
  rehearse(shape)
  const core = newCore()
  const { router } = core
  const count = shape.clients(entries)
  const clients = Array.from({ length: count }, (_, index) => new Client(core, `subscriber-${index}`))
  let slowestNanoseconds = 0
  const memory = await memoryOf(entries, () => {
    for (let entry = 0; entry < entries; entry++) {
      const packet = encodeSubscribe(shape.filter(entry))
      const startedAt = Bun.nanoseconds()
      clients[shape.client(entry, count)]!.send(packet)
      slowestNanoseconds = Math.max(slowestNanoseconds, Bun.nanoseconds() - startedAt)
    }
  })
  if (router.subscriptionCount !== entries) throw new Error(`${router.subscriptionCount} of ${entries} subscriptions`)

  const held = (name: string) => router.topics.named(name)!
  const receivers = ({ targets, groups }: Route<unknown>) => targets.length + groups.length
  const routing = (topics: readonly Topic[], expected: number, change?: () => void) =>
    nanosecondsEach(
      topics.length,
      () => {
        let found = 0
        for (const topic of topics) found += receivers(router.route(topic))
        if (found !== expected * topics.length) throw new Error(`${found} receivers for ${topics.length} topics`)
      },
      change && { before: change },
    )
  const names = sample(FIRST_TOPICS, entries).map((entry) => shape.topic(entry))
  const unknown = names.map(unheld)
  const matchFirstNanoseconds = routing(unknown, 1)
  const matchNoneNanoseconds = routing(
    names.map((name) => unheld(name.replace("/device/", "/gateway/"))),
    0,
  )
  const often = names.slice(0, KNOWN_TOPICS)
  for (let time = 0; time < TIMES_PUBLISHED; time++) for (const name of often) held(name)
  const known = often.map(held).filter(({ cached }) => cached)
  const matchKnownNanoseconds = routing(known, 1)
  const stranger = new Client(core, "stranger")
  const other = subscriptions[kind].filter(0).replace(/site\/(\d+|\+)/, "elsewhere/1")
  const changes = [encodeSubscribe(other), encodeUnsubscribe(other)]
  const matchAfterChangeNanoseconds = routing(known, 1, () => {
    for (const change of changes) stranger.send(change)
  })

  const publisher = new Client(core, "publisher")
  const publishes = often.map((topic) => encodePublish(topic, { retain: false, payload: "20.5" }))
  const chunks: Buffer[] = []
  for (let at = 0; at < publishes.length; at += PUBLISHES_PER_CHUNK)
    chunks.push(Buffer.concat(publishes.slice(at, at + PUBLISHES_PER_CHUNK)))
  const publish = () => {
    for (const chunk of chunks) publisher.send(chunk)
  }
  const received = () => clients.reduce((sum, { bytesReceived }) => sum + bytesReceived, 0)
  const receivedBefore = received()
  publish()
  if (received() === receivedBefore) throw new Error("nobody got what was published")
  const publishKnownNanoseconds = nanosecondsEach(publishes.length, publish)
  const publishFirstNanoseconds = nanosecondsEach(publishes.length, publish, {
    before: () => router.topics.forgetRoutes(),
  })

  const guests = Array.from({ length: 10 }, (_, index) => new Client(core, `guest-${index}`))
  const filters = Array.from({ length: GUESTS }, (_, index) => shape.filter(entries + index))
  const sending = (packets: readonly Buffer[]) => () => {
    for (const [index, packet] of packets.entries()) guests[index % guests.length]!.send(packet)
  }
  const subscribe = sending(filters.map(encodeSubscribe))
  const unsubscribe = sending(filters.map(encodeUnsubscribe))
  const subscribeNanoseconds = nanosecondsEach(GUESTS, subscribe, { after: unsubscribe })
  const unsubscribeNanoseconds = nanosecondsEach(GUESTS, unsubscribe, { before: subscribe })
  if (router.subscriptionCount !== entries) throw new Error("not every guest has left")
  const matchFirstLookups = lookups(() => unknown.forEach((topic) => void router.route(topic))) / unknown.length
  return {
    ...{ kind, entries, round },
    ...{
      matchKnownNanoseconds,
      matchFirstNanoseconds,
      matchFirstLookups,
      matchNoneNanoseconds,
      matchAfterChangeNanoseconds,
    },
    ...{ publishKnownNanoseconds, publishFirstNanoseconds, subscribeNanoseconds, unsubscribeNanoseconds },
    slowestSubscribeMilliseconds: slowestNanoseconds / 1e6,
    ...memory,
  }
}

/** A topic that the table of topics does not hold has no route of its own: it is matched every time. */
const unheld = (name: string) => new Topic(name, Buffer.from(name), 0)

/** All of it on another broker, so that what is then measured is compiled already. */
function rehearse({ filter, topic }: Subscriptions): void {
  const core = newCore()
  const client = new Client(core, "rehearsing")
  const entries = Array.from({ length: GUESTS }, (_, entry) => entry)
  const filters = entries.map(filter)
  const topics = entries.map((entry) => unheld(topic(entry)))
  const publishes = topics.map(({ name }) => encodePublish(name, { retain: false, payload: "" }))
  const subscribes = filters.map(encodeSubscribe)
  const unsubscribes = filters.map(encodeUnsubscribe)
  const startedAt = performance.now()
  while (performance.now() - startedAt < REHEARSAL_MS) {
    for (const packet of subscribes) client.send(packet)
    for (const packet of publishes) client.send(packet)
    for (const each of topics) core.router.route(each)
    for (const packet of unsubscribes) client.send(packet)
  }
}

/** How often something is looked up in a Map, whichever. */
function lookups(act: () => void): number {
  const { get } = Map.prototype
  let count = 0
  Map.prototype.get = function (key) {
    count++
    return get.call(this, key)
  }
  try {
    act()
  } finally {
    Map.prototype.get = get
  }
  return count
}

/** What the store and its thread say to each other comes over as it was, byte for byte. */
import { describe, expect, test } from "bun:test"
import type { Stored, StoredChange, StoredDelivery, StoredMessage } from "../../../src/broker/ports.ts"
import {
  type Parcel,
  packDeliveries,
  packItems,
  unpackDeliveries,
  unpackItems,
} from "../../../src/store/sqlite/protocol.ts"
import { Random } from "../../support/bytes.ts"
import {
  plain,
  randomDelivery,
  randomMessage,
  randomSession,
  randomSubscription,
  randomWill,
} from "../../support/stored.ts"

type Item = StoredChange | Stored

const RUNS = 200

/** As it arrives in another thread. */
const sent = (parcel: Parcel): Parcel => structuredClone(parcel, { transfer: [parcel.bytes.buffer as ArrayBuffer] })
const exchanged = (items: readonly Item[]) => unpackItems<Item>(sent(packItems(items)))

/** A message in any state that a delivery of it can be in. */
function anyDelivery(random: Random, sequence: number, message: StoredMessage): StoredDelivery {
  const delivery = randomDelivery(random, random.text(3), sequence, message)
  if (random.chance(0.5)) return delivery
  return { ...delivery, packetId: random.between(1, 65_535), message: random.chance(0.5) ? message : undefined }
}

/** One of every kind there is. */
const kinds: { [kind in Item["kind"]]: (random: Random, message: StoredMessage) => Extract<Item, { kind: kind }> } = {
  session: (random) => ({ kind: "session", session: randomSession(random) }),
  sessionRemoved: (random) => ({ kind: "sessionRemoved", clientId: random.text(5) }),
  subscribed: (random) => ({ kind: "subscribed", subscription: randomSubscription(random) }),
  unsubscribed: (random) => ({ kind: "unsubscribed", clientId: random.text(5), topicFilter: random.text(5) }),
  queued: (random, message) => ({ kind: "queued", delivery: anyDelivery(random, random.below(100) - 50, message) }),
  inflight: (random, message) => ({ kind: "inflight", delivery: anyDelivery(random, random.below(100), message) }),
  sent: (random) => ({ kind: "sent", owner: random.text(5), sequence: -1, packetId: random.between(1, 65_535) }),
  released: (random) => ({ kind: "released", owner: "", sequence: random.below(2 ** 31) }),
  settled: (random) => ({ kind: "settled", owner: "a\0b", sequence: random.below(2 ** 31) }),
  received: (random) => ({ kind: "received", clientId: random.text(5), packetId: random.between(1, 65_535) }),
  completed: (random) => ({ kind: "completed", clientId: random.text(5), packetId: random.between(1, 65_535) }),
  retained: (_, message) => ({ kind: "retained", message }),
  unretained: (random) => ({ kind: "unretained", topicName: random.text(5) }),
  total: (random) => ({ kind: "total", name: random.text(5), value: Number.MAX_SAFE_INTEGER - random.below(9) }),
  queue: (random) => ({
    kind: "queue",
    queue: { owner: random.text(5), count: random.below(9), bytes: random.below(9), lastSequence: random.below(9) },
  }),
  lastMessageId: (random) => ({ kind: "lastMessageId", id: random.below(2 ** 31) }),
}
const names = Object.keys(kinds) as Item["kind"][]

describe("changes, and what is loaded", () => {
  for (const kind of names)
    test(`${kind}: with everything in it, and with everything left out that may be`, () => {
      const random = new Random(kind.length)
      for (let run = 0; run < RUNS; run++) {
        const item = kinds[kind](random, randomMessage(random, run))
        expect(plain(exchanged([item]))).toEqual(plain([item]))
      }
    })

  test("of all kinds in any order, some of them about the same message", () => {
    for (let seed = 1; seed <= RUNS; seed++) {
      const random = new Random(seed)
      const messages = Array.from({ length: random.between(1, 5) }, (_, id) => randomMessage(random, id))
      const items = Array.from({ length: random.below(40) }, () =>
        kinds[random.pick(names)](random, random.pick(messages)),
      )
      const before = plain(items)
      expect([seed, plain(exchanged(items))]).toEqual([seed, before])
      expect([seed, plain(items)]).toEqual([seed, before])
    }
  })

  test("the byte strings of messages and of wills don't mix", () => {
    const will = (text: string) => ({ ...randomWill(new Random(1)), payload: Buffer.from(text) })
    const message = (text: string) => ({ ...randomMessage(new Random(2), 1), payload: Buffer.from(text) })
    const items: Item[] = [
      { kind: "session", session: { ...randomSession(new Random(1)), will: will("first will") } },
      { kind: "retained", message: message("first message") },
      { kind: "session", session: { ...randomSession(new Random(1)), will: will("") } },
      { kind: "retained", message: message("") },
      { kind: "session", session: { ...randomSession(new Random(1)), will: will("third will") } },
      { kind: "retained", message: message("third message") },
    ]
    expect(plain(exchanged(items))).toEqual(plain(items))
  })

  test("nothing at all", () => expect(exchanged([])).toEqual([]))
})

describe("a message that several refer to", () => {
  const message = { ...randomMessage(new Random(3), 1), payload: Buffer.alloc(1000, 1), properties: Buffer.alloc(10) }
  const twin = { ...message }
  const delivery = (of: StoredMessage, sequence: number) => randomDelivery(new Random(sequence), "a", sequence, of)

  test("is sent once, and is one object again", () => {
    const deliveries = [1, 2, 3].map((sequence) => delivery(message, sequence))
    const items: Item[] = [...deliveries.map((each) => ({ kind: "queued", delivery: each }) as const)]
    const parcel = packItems([...items, { kind: "retained", message }])
    expect(parcel.bytes.length).toBe(1010)
    const found = unpackItems<Item>(parcel).map((item) =>
      item.kind === "queued" ? item.delivery.message : item.kind === "retained" ? item.message : undefined,
    )
    expect(new Set(found).size).toBe(1)
    expect(plain(found)).toEqual(plain([message, message, message, message]))
  })

  test("is another where it is another object, alike or not", () => {
    const parcel = packDeliveries([delivery(message, 1), delivery(twin, 2)])
    expect(parcel.bytes.length).toBe(2020)
    expect(new Set(unpackDeliveries(parcel).map((each) => each.message)).size).toBe(2)
  })
})

test("a page of deliveries", () => {
  for (let seed = 1; seed <= RUNS; seed++) {
    const random = new Random(seed)
    const messages = Array.from({ length: random.between(1, 9) }, (_, id) => randomMessage(random, id))
    const deliveries = Array.from({ length: random.below(30) }, (_, i) => anyDelivery(random, i, random.pick(messages)))
    expect([seed, plain(unpackDeliveries(sent(packDeliveries(deliveries))))]).toEqual([seed, plain(deliveries)])
  }
})

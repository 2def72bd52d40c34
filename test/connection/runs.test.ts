/**
 * Messages that come in one chunk. Where each goes to the same clients as the one before, the broker does not turn to each of these
 * again: nobody must be able to tell.
 */
import { describe, expect, test } from "bun:test"
import mqtt from "mqtt-packet"
import type { Auth } from "../../src/broker/ports.ts"
import type { ProtocolLevel } from "../../src/codec/index.ts"
import { Message } from "../../src/session/index.ts"
import { settled } from "../../src/testing/settled.ts"
import { Random } from "../support/bytes.ts"
import { Harness, type TestClient } from "../support/harness.ts"

interface Publish {
  readonly topic: string
  readonly payload: string
  readonly qos?: 0 | 1
  readonly retain?: boolean
  readonly properties?: mqtt.IPublishPacket["properties"]
}

const encode = (level: ProtocolLevel, message: Publish) =>
  mqtt.generate({ cmd: "publish", qos: 0, retain: false, dup: false, messageId: 1, ...message } as mqtt.Packet, {
    protocolVersion: level,
  })

/** Sends them as one chunk. */
const sendAtOnce = (publisher: TestClient, ...messages: readonly Publish[]) =>
  publisher.sendBytes(Buffer.concat(messages.map((message) => encode(publisher.level, message))))

const many = (topic: string, ...payloads: string[]) => payloads.map((payload) => ({ topic, payload }))

/** How often the broker has turned to the client to give it a message. */
function countDeliveries({ connection }: TestClient): { deliveries: number } {
  const counted = { deliveries: 0 }
  const { link } = connection
  const transmit = link.transmit.bind(link)
  link.transmit = (...message) => {
    counted.deliveries++
    return transmit(...message)
  }
  return counted
}

describe("a message that goes to the same clients as the one before it, in the same chunk", () => {
  test("reaches all of them, and the broker has turned to each for the first only", () => {
    const harness = new Harness()
    const subscribers = ["a", "b", "c"].map((id) => harness.client(id).subscribe("t"))
    const counts = subscribers.map(countDeliveries)
    sendAtOnce(harness.client("publisher"), ...many("t", "1", "2", "3"))
    for (const subscriber of subscribers) expect(subscriber.messages()).toEqual(["t 1", "t 2", "t 3"])
    expect(counts.map(({ deliveries }) => deliveries)).toEqual([1, 1, 1])
  })

  test("is counted: for the broker, for each client, and in what waits for a socket", () => {
    const harness = new Harness()
    const subscribers = ["a", "b"].map((id) => harness.client(id).subscribe("t"))
    const { metrics } = harness.core
    const before = { ...metrics }
    subscribers[1]!.capacity = 0
    sendAtOnce(harness.client("publisher"), ...many("t", "1", "22", "333"))
    expect(metrics.publishSent - before.publishSent).toBe(6)
    expect(metrics.packetsSent - before.packetsSent).toBe(6 + 1) // and the CONNACK of the publisher
    expect(metrics.publishBytesSent - before.publishBytesSent).toBe(12)
    for (const { connection } of subscribers) expect(connection.link.view.counters.messagesSent).toBe(3)
    expect(subscribers.map(({ connection }) => connection.link.backlogPackets)).toEqual([0, 3])
  })

  test("reaches whoever has subscribed meanwhile, and nobody who has not", () => {
    const harness = new Harness()
    const first = harness.client("first").subscribe("t")
    const second = harness.client("second")
    harness.core.hooks.use({
      onMessage: ({ payload }) => {
        if (String(payload) === "2") second.subscribe("t")
        if (String(payload) === "4") first.send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: ["t"] })
      },
    })
    sendAtOnce(harness.client("publisher"), ...many("t", "1", "2", "3", "4", "5"))
    expect([first.messages(), second.messages()]).toEqual([
      ["t 1", "t 2", "t 3"],
      ["t 2", "t 3", "t 4", "t 5"],
    ])
  })

  test("does not go to one that has been sent away meanwhile, and is not counted for it", () => {
    const harness = new Harness()
    const [stays, goes] = ["stays", "goes"].map((id) => harness.client(id).subscribe("t")) as [TestClient, TestClient]
    harness.core.hooks.use({
      onMessage: ({ payload }) => {
        if (String(payload) === "3") goes.disconnect()
      },
    })
    sendAtOnce(harness.client("publisher"), ...many("t", "1", "2", "3", "4"))
    expect([stays.messages(), goes.messages()]).toEqual([
      ["t 1", "t 2", "t 3", "t 4"],
      ["t 1", "t 2"],
    ])
    expect(harness.core.metrics.publishSent).toBe(6)
  })

  test("comes behind what one of them has been sent in between", () => {
    const harness = new Harness()
    const [plain, busy] = ["plain", "busy"].map((id) => harness.client(id).subscribe("t")) as [TestClient, TestClient]
    harness.core.hooks.use({
      onMessage: ({ payload }) => {
        if (String(payload) === "2") busy.send({ cmd: "pingreq" })
      },
    })
    sendAtOnce(harness.client("publisher"), ...many("t", "1", "2", "3"))
    expect(plain.messages()).toEqual(["t 1", "t 2", "t 3"])
    const told = busy.take().map(({ cmd, payload }) => (cmd === "publish" ? String(payload) : cmd))
    expect(told.slice(1)).toEqual(["1", "pingresp", "2", "3"])
  })

  test("comes behind what the embedding service publishes to one of them in between", () => {
    const harness = new Harness()
    const { core } = harness
    const [plain, busy] = ["plain", "busy"].map((id) => harness.client(id).subscribe("t")) as [TestClient, TestClient]
    busy.subscribe("other")
    busy.take()
    core.hooks.use({
      onMessage: ({ payload }) => {
        if (String(payload) !== "3") return
        core.publish(Message.create(core.router.topics.named("other")!, payload, 0, false, {}, core.now()), undefined)
      },
    })
    sendAtOnce(harness.client("publisher"), ...many("t", "1", "2", "3", "4"))
    expect(plain.messages()).toEqual(["t 1", "t 2", "t 3", "t 4"])
    expect(busy.messages()).toEqual(["t 1", "t 2", "other 3", "t 3", "t 4"])
  })

  test("is shown to whoever has begun to look at what goes to clients", () => {
    const harness = new Harness()
    harness.client("subscriber").subscribe("t")
    const shown: string[] = []
    const onDeliver = ({ payload }: { payload: Uint8Array }) => void shown.push(String(payload))
    harness.core.hooks.use({
      onMessage: ({ payload }) => {
        if (String(payload) === "3") harness.core.hooks.use({ onDeliver })
      },
    })
    sendAtOnce(harness.client("publisher"), ...many("t", "1", "2", "3", "4"))
    expect(shown).toEqual(["3", "4"])
  })

  test("does not go to one that may not have it any more, where the chunk was interrupted", async () => {
    const harness = new Harness()
    const subscribers = Array.from({ length: 120 }, (_, i) => harness.client(`s${i}`).subscribe("t"))
    const publisher = harness.client("publisher")
    sendAtOnce(publisher, ...many("t", ...Array<string>(120).fill("x".repeat(1000))))
    expect(publisher.isPaused).toBe(true)
    const { link } = subscribers[7]!.connection
    const before = link.view.counters.messagesSent
    link.admit(link.client!, { authority: { authorize: () => false } })
    while (publisher.isPaused) await settled()
    for (let turns = 0; turns < 10; turns++) await settled()
    const counts = subscribers.map((subscriber) => subscriber.messages().length)
    expect(counts).toEqual(subscribers.map((_, i) => (i === 7 ? before : 120)))
  })

  test("is decided on for each client whose auth decides on what it receives", () => {
    let asked = 0
    const auth: Auth = {
      authenticate: () => ({ authenticated: true }),
      authorize: ({ clientId }, action) => action !== "receive" || clientId !== "careful" || ++asked !== 2,
    }
    const harness = new Harness({ auth })
    const subscribers = ["careful", "free"].map((id) => harness.client(id).subscribe("t"))
    sendAtOnce(harness.client("publisher"), ...many("t", "1", "2", "3"))
    expect(subscribers.map((each) => each.messages())).toEqual([
      ["t 1", "t 3"],
      ["t 1", "t 2", "t 3"],
    ])
  })
})

/** What a client is like. */
const kinds: ((harness: Harness, id: string) => TestClient)[] = [
  (harness, id) => harness.client(id, { level: 4 }).subscribe("#"),
  (harness, id) => harness.client(id, { level: 4 }).subscribe(["a", "b"]),
  (harness, id) => harness.client(id, { level: 5 }).subscribe("a"),
  (harness, id) => harness.client(id, { level: 5 }).subscribe("+", { qos: 1, rap: true }),
  (harness, id) => harness.client(id, { level: 5, properties: { maximumPacketSize: 40 } }).subscribe("#"),
  (harness, id) => harness.client(id, { level: 5, properties: { topicAliasMaximum: 3 } }).subscribe("a"),
  (harness, id) => harness.client(id, { level: 5 }).subscribe("b", { properties: { subscriptionIdentifier: 7 } }),
  (harness, id) => harness.client(id, { level: 4 }).subscribe(["$share/g/a", "b"]),
  (harness, id) => {
    const client = harness.client(id, { level: 4 }).subscribe("a")
    client.capacity = 100
    return client
  },
]

function randomMessage(random: Random): Publish {
  return {
    topic: random.pick(["a", "a", "a", "b", "c"]),
    payload: "x".repeat(random.pick([0, 1, 5, 30, 70])) + random.below(1000),
    qos: random.chance(0.1) ? 1 : 0,
    retain: random.chance(0.05),
    ...(random.chance(0.2) && { properties: random.pick([{ contentType: "text" }, { topicAlias: 1 }]) }),
  }
}

/** What everybody has got in the end, and what has been counted, where the chunks are as long as that. */
async function outcome(seed: number, mostInChunk: number) {
  const random = new Random(seed)
  const harness = new Harness()
  const clients = Array.from({ length: 2 + random.below(6) }, (_, i) => random.pick(kinds)(harness, `s${i}`))
  const level = random.pick([4, 5] as const)
  const publisher = harness.client("publisher", { level })
  if (random.chance(0.3)) publisher.subscribe("a", { nl: level === 5 })
  for (const client of clients) client.take()
  for (let round = 0; round < 4; round++) {
    const messages = Array.from({ length: 30 }, () => randomMessage(random))
    for (let i = 0; i < messages.length; i += mostInChunk) {
      sendAtOnce(publisher, ...messages.slice(i, i + mostInChunk))
      while (publisher.isPaused) await settled()
    }
    const late = random.pick(clients)
    late.subscribe("c").drain()
  }
  for (const client of clients) client.drain()
  const { publishSent, packetsSent, publishBytesSent, bytesSent, dropped } = harness.core.metrics
  return {
    received: [...clients, publisher].map((each) => each.bytes.toString("latin1")),
    counted: [publishSent, packetsSent, publishBytesSent, bytesSent, dropped],
    each: clients.map(({ connection }) => connection.link.view.counters),
  }
}

describe("whoever subscribes to whatever in whatever way gets the same", () => {
  for (let seed = 1; seed <= 60; seed++)
    test(`in chunks of one message, of three and of thirty: ${seed}`, async () => {
      const alone = await outcome(seed, 1)
      expect(await outcome(seed, 3)).toEqual(alone)
      expect(await outcome(seed, 30)).toEqual(alone)
    })
})

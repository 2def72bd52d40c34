/** `onPacketReceived` and `onPacketSent`: every packet of a connection as it was on the wire, in its order. */
import { describe, expect, test } from "bun:test"
import mqtt from "mqtt-packet"
import type { ConnectedClient, WirePacket } from "../../src/broker/hooks.ts"
import { PacketType } from "../../src/codec/index.ts"
import { type ConnectFields, durable, Harness } from "../support/harness.ts"
import { LateStore, microtasks } from "../support/store.ts"
import { connectBytes, levels } from "./wire.ts"

/** Notes packets both ways. */
function traced(options: ConstructorParameters<typeof Harness>[0] = {}) {
  const harness = new Harness(options)
  const received: (WirePacket & { client: ConnectedClient | undefined })[] = []
  const sent: typeof received = []
  harness.core.hooks.use({
    onPacketReceived: (packet, client) => received.push({ ...packet, client }),
    onPacketSent: (packet, client) => sent.push({ ...packet, client }),
  })
  return { harness, received, sent }
}

const bytesOf = (packets: readonly WirePacket[]) => Buffer.concat(packets.map(({ bytes }) => bytes))
const typesOf = (packets: readonly WirePacket[]) => packets.map(({ type }) => type)
const { CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK } = PacketType
const { UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT } = PacketType

describe("every packet that goes out is seen, byte for byte", () => {
  for (const level of levels)
    test(`level ${level}: of all types`, async () => {
      const { harness, sent } = traced()
      const client = harness.connect({ clientId: "a", level }).subscribe("#", { qos: 2 })
      for (const qos of [0, 1, 2] as const) client.publish("t", `${qos}`, { qos })
      for (const { cmd, messageId, qos } of client.received.slice()) {
        if (cmd === "publish" && qos === 2) client.ack("pubrec", messageId!)
      }
      client.ack("pubrel", 3).send({ cmd: "pingreq" })
      client.send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: ["#"] })
      await microtasks()
      expect(typesOf(sent)).toEqual([
        ...[CONNACK, SUBACK, PUBLISH, PUBLISH, PUBACK, PUBLISH, PUBREC],
        ...[PUBREL, PUBCOMP, PINGRESP, UNSUBACK],
      ])
      expect(bytesOf(sent)).toEqual(client.bytes)
    })

  test("in however many parts the socket takes them", async () => {
    const { harness, sent } = traced()
    const client = harness.client("a").subscribe("#", { qos: 1 })
    const publisher = harness.open()
    publisher.connect({ clientId: "p" })
    await microtasks()
    sent.splice(0)
    client.bytes = Buffer.alloc(0)
    client.capacity = 0
    for (let i = 0; i < 5; i++) publisher.publish("t", `${i}`.repeat(200), { qos: 1 })
    await microtasks()
    expect(sent.filter(({ client }) => client?.clientId === "a")).toEqual([])
    for (let taken = 0; taken < 2000; taken += 7) {
      client.drain(7)
      await microtasks()
      const seen = bytesOf(sent.filter(({ client }) => client?.clientId === "a"))
      expect(client.bytes.subarray(0, seen.length)).toEqual(seen) // never before they have gone
      expect(client.bytes.length - seen.length).toBeLessThan(210)
    }
    client.drain()
    await microtasks()
    const toClient = sent.filter(({ client }) => client?.clientId === "a")
    expect(typesOf(toClient)).toEqual(Array(5).fill(PUBLISH))
    expect(bytesOf(toClient)).toEqual(client.bytes)
  })

  test("in however many it takes a large one, beside others", async () => {
    const { harness, sent } = traced({ limits: { maximumPacketBytes: 1 << 20, maximumBacklogBytes: 1 << 22 } })
    const client = harness.client("a").subscribe("#")
    client.capacity = 100_000
    const publisher = harness.client("p")
    for (const bytes of [1, 300_000, 70_000, 2, 65_536, 3]) publisher.publish("t", Buffer.alloc(bytes, "x"))
    for (let i = 0; i < 10; i++) client.drain(50_001)
    await microtasks()
    const toClient = sent.filter(({ client }) => client?.clientId === "a")
    expect(toClient.length).toBe(8)
    expect(bytesOf(toClient).equals(client.bytes)).toBe(true)
  })

  test("what was never sent is not seen", async () => {
    const { harness, sent } = traced()
    const client = harness.client("a").subscribe("#", { qos: 1 })
    const before = sent.length
    client.capacity = 3
    harness.client("p").publish("t", "x", { qos: 1 })
    client.drop()
    await microtasks()
    expect(typesOf(sent.slice(before)).filter((type) => type === PUBLISH)).toEqual([])
  })

  test("those that waited for the store when they go, not before", async () => {
    const store = new LateStore()
    const { harness, sent } = traced({ store })
    const client = harness.connect({ clientId: "a", ...durable() })
    await store.commitAll()
    client.subscribe("t", { qos: 1 })
    await microtasks()
    expect(typesOf(sent)).toEqual([CONNACK])
    await store.commitAll()
    expect(typesOf(sent)).toEqual([CONNACK, SUBACK])
  })
})

describe("every packet that comes is seen, byte for byte", () => {
  const chunk = (level: 3 | 4 | 5) =>
    Buffer.concat([
      connectBytes({ level }),
      ...(
        [
          { cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "t", qos: 1, nl: false, rap: false, rh: 0 }] },
          { cmd: "publish", topic: "t", payload: "x", qos: 2, messageId: 2, dup: false, retain: false },
          { cmd: "pubrel", messageId: 2 },
          { cmd: "pingreq" },
          { cmd: "unsubscribe", messageId: 3, unsubscriptions: ["t"] },
          { cmd: "disconnect" },
        ] as mqtt.Packet[]
      ).map((packet) => mqtt.generate(packet, { protocolVersion: level })),
    ])
  const types = [CONNECT, SUBSCRIBE, PUBLISH, PUBREL, PINGREQ, UNSUBSCRIBE, DISCONNECT]
  for (const level of levels)
    for (const size of [1, 5, 10_000])
      test(`level ${level}: in chunks of ${size}`, async () => {
        const { harness, received } = traced()
        const client = harness.open(level)
        const bytes = chunk(level)
        for (let at = 0; at < bytes.length; at += size) client.sendBytes(bytes.subarray(at, at + size))
        await microtasks()
        expect(typesOf(received)).toEqual(types)
        expect(bytesOf(received)).toEqual(bytes)
      })

  test("and stays, whatever becomes of the chunk", async () => {
    const { harness, received } = traced()
    const client = harness.client("a")
    const bytes = Buffer.from("30040001746f", "hex")
    client.connection.receive(bytes)
    bytes.fill(0)
    await microtasks()
    expect(bytesOf(received).subarray(-6)).toEqual(Buffer.from("30040001746f", "hex"))
  })

  test("one that is against the protocol too, and none behind it", async () => {
    const { harness, received } = traced()
    const client = harness.client("a")
    await microtasks()
    received.splice(0)
    client.sendBytes(Buffer.concat([connectBytes(), Buffer.from("c000", "hex")]))
    await microtasks()
    expect(typesOf(received)).toEqual([CONNECT])
  })
})

describe("whose packets they are", () => {
  test("nobody's, before the client is let in, and its own from then on", async () => {
    const { harness, received, sent } = traced()
    const client = harness.client("a").send({ cmd: "pingreq" })
    client.disconnect()
    await microtasks()
    const view = received.at(-1)!.client
    expect(view?.clientId).toBe("a")
    expect(received.map(({ client }) => client)).toEqual([undefined, view, view])
    expect(sent.map(({ client }) => client)).toEqual([view, view])
  })
  const refused: ConnectFields[] = [{ level: 4 }, { level: 5 }]
  for (const fields of refused)
    test(`level ${fields.level}: nobody's, of one that is refused`, async () => {
      const { harness, received, sent } = traced({ auth: null })
      harness.connect(fields)
      await microtasks()
      expect([typesOf(received), typesOf(sent)]).toEqual([[CONNECT], [CONNACK]])
      expect([...received, ...sent].map(({ client }) => client)).toEqual([undefined, undefined])
    })
  test("the DISCONNECT with which a client is sent away is its own", async () => {
    const { harness, sent } = traced()
    harness.client("a")
    harness.core.clients.get("a")!.view.disconnect()
    await microtasks()
    expect(sent.map(({ type, client }) => [type, client?.clientId])).toEqual([
      [CONNACK, "a"],
      [DISCONNECT, "a"],
    ])
  })
})

test("what goes out is seen of connections that were made after it was registered, what comes in of all", async () => {
  const harness = new Harness()
  const early = harness.client("early")
  const received: string[] = []
  const sent: string[] = []
  const remove = harness.core.hooks.use({
    onPacketReceived: ({ type }, client) => received.push(`${type} ${client?.clientId}`),
    onPacketSent: ({ type }, client) => sent.push(`${type} ${client?.clientId}`),
  })
  const late = harness.client("late")
  early.send({ cmd: "pingreq" })
  late.send({ cmd: "pingreq" })
  await microtasks()
  expect(received).toEqual(["1 undefined", "12 early", "12 late"])
  expect(sent).toEqual(["2 late", "13 late"])
  remove()
  late.send({ cmd: "pingreq" })
  await microtasks()
  expect([received.length, sent.length]).toEqual([3, 2])
})

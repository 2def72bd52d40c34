/** What a client may not do, and how it ends: with its reason in 5.0, with the bare close in 3.x. */
import { describe, expect, test } from "bun:test"
import type { Limits, ListenerLimits } from "../../src/broker/limits.ts"
import type { ProtocolLevel } from "../../src/codec/index.ts"
import { hex, textHex } from "../support/bytes.ts"
import { Harness } from "../support/harness.ts"
import { LateStore, microtasks } from "../support/store.ts"
import { block, connectBytes, fate, levels, packet, thrownOut, told } from "./wire.ts"

interface Violation {
  name: string
  bytes: (level: ProtocolLevel) => Buffer
  reason: string
  only?: ProtocolLevel
  limits?: Partial<Limits>
  listener?: Partial<ListenerLimits>
}

const publish = (topic: string, properties = "") => packet("30", textHex(topic) + block(5, properties))
const violations: Violation[] = [
  { name: "a second CONNECT", bytes: (level) => connectBytes({ level }), reason: "82" },
  { name: "a CONNACK", bytes: () => hex("20020000"), reason: "82" },
  { name: "packet type 0", bytes: () => hex("0000"), reason: "82" },
  { name: "a PUBLISH of QoS 3", bytes: (level) => packet("36", `${textHex("a")}0001${block(level)}`), reason: "81" },
  { name: "a PUBLISH of QoS 0 with DUP", bytes: (level) => packet("38", textHex("a") + block(level)), reason: "81" },
  { name: "an empty PUBLISH", bytes: () => hex("3000"), reason: "81" },
  { name: "a topic longer than its packet", bytes: () => packet("30", "000561"), reason: "81" },
  { name: "a PUBLISH that ends before its packet id", bytes: () => packet("32", `${textHex("a")}00`), reason: "81" },
  { name: "a topic name with +", bytes: (level) => packet("30", textHex("a/+") + block(level)), reason: "90" },
  { name: "a topic name with #", bytes: (level) => packet("30", textHex("#") + block(level)), reason: "90" },
  { name: "an empty topic name", bytes: (level) => packet("30", `0000${block(level)}`), reason: "82" },
  { name: "a PUBACK of one byte", bytes: () => hex("400100"), reason: "81" },
  { name: "a PUBREL with nothing in it", bytes: () => hex("6200"), reason: "81" },
  { name: "a SUBSCRIBE to nothing", bytes: (level) => packet("82", `0001${block(level)}`), reason: "82" },
  { name: "a SUBSCRIBE cut off", bytes: (level) => packet("82", `0001${block(level)}0005`), reason: "81" },
  { name: "an UNSUBSCRIBE from nothing", bytes: (level) => packet("a2", `0001${block(level)}`), reason: "82" },
  { name: "a PINGREQ with a body", bytes: () => hex("c00100"), reason: "81" },
  {
    name: "a packet above the limit, at its header",
    bytes: () => hex("30e40f"),
    reason: "95",
    limits: { maximumPacketBytes: 2000 },
  },
  {
    name: "a QoS above the listener's",
    bytes: (level) => packet("34", `${textHex("a")}0001${block(level)}`),
    reason: "9b",
    listener: { maximumQoS: 1 },
  },
  {
    name: "a retained message where nothing is retained",
    bytes: (level) => packet("31", textHex("a") + block(level)),
    reason: "9a",
    listener: { retainAvailable: false },
  },
  { name: "AUTH without a method", bytes: () => hex("f000"), reason: "82" },
  { name: "a reason that PUBACK has not", bytes: () => hex("4003000155"), reason: "82", only: 5 },
  { name: "a property that PUBLISH has not", bytes: () => publish("a", "2100ff"), reason: "81", only: 5 },
  { name: "a property twice", bytes: () => publish("a", "01010101"), reason: "82", only: 5 },
  { name: "a payload format of 2", bytes: () => publish("a", "0102"), reason: "82", only: 5 },
  { name: "a subscription identifier in PUBLISH", bytes: () => publish("a", "0b01"), reason: "82", only: 5 },
  { name: "a response topic with #", bytes: () => publish("a", `08${textHex("#")}`), reason: "82", only: 5 },
  { name: "topic alias 0", bytes: () => publish("a", "230000"), reason: "94", only: 5 },
  { name: "a topic alias that is not set", bytes: () => publish("", "230001"), reason: "82", only: 5 },
  {
    name: "a topic alias above the maximum",
    bytes: () => publish("a", "230003"),
    reason: "94",
    only: 5,
    listener: { topicAliasMaximum: 2 },
  },
  {
    name: "subscription identifier 0",
    bytes: () => packet("82", `0001${block(5, "0b00")}${textHex("a")}00`),
    reason: "82",
    only: 5,
  },
  {
    name: "No Local on a shared subscription",
    bytes: () => packet("82", `000100${textHex("$share/g/a")}04`),
    reason: "82",
    only: 5,
  },
  {
    name: "reserved bits in the subscription options",
    bytes: () => packet("82", `000100${textHex("a")}40`),
    reason: "81",
    only: 5,
  },
]

describe("[MQTT-4.13.1-1] [v3.1.1 MQTT-4.8.0-1] a violation closes the connection it came on, and no other", () => {
  for (const level of levels)
    for (const { name, bytes, reason, only = level, limits = {}, listener = {} } of violations) {
      if (only !== level) continue
      test(`level ${level}: ${name}`, () => {
        const harness = new Harness({ limits, listener })
        const watcher = harness.client("watcher").subscribe("#")
        watcher.take()
        const will = { topic: "w", payload: Buffer.from("gone"), qos: 0, retain: false } as const
        const client = harness.client("a", { level, will })
        const ping = hex("c000")
        client.sendBytes(Buffer.concat([ping, bytes(level), ping]))
        const disconnect = client.received.find(({ cmd }) => cmd === "disconnect")
        // [MQTT-3.14.2-2] no Session Expiry Interval, nor anything else but the reason
        expect(Object.keys(disconnect?.properties ?? {}).filter((key) => key !== "reasonString")).toEqual([])
        expect(told(client)).toBe(`pingresp, ${thrownOut(level, reason)}`)
        watcher.send({ cmd: "pingreq" })
        expect(told(watcher)).toBe("publish, pingresp, open")
      })
    }
  test("[MQTT-3.14.2-1] [MQTT-3.14.2-2] the reasons above are in table 3-10, and no DISCONNECT has a Session Expiry", () => {
    const table = [
      ...[0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a],
      ...[0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2],
    ]
    for (const { bytes, limits = {}, listener = {} } of violations) {
      const client = new Harness({ limits, listener }).client("a", { properties: { sessionExpiryInterval: 10 } })
      const [disconnect] = client.sendBytes(bytes(5)).take()
      expect(table).toContain(disconnect!.reasonCode)
      expect(disconnect!.properties).not.toHaveProperty("sessionExpiryInterval")
    }
  })
})

describe("[v3.1.1 MQTT-4.8.0-2] an error of ours while a packet is handled closes the connection it came on", () => {
  for (const level of levels)
    for (const when of ["at once", "late"] as const)
      test(`level ${level}: ${when}`, async () => {
        const late = { authenticate: () => true, authorize: async () => true }
        const harness = new Harness(when === "late" ? { auth: late } : {})
        const bystander = harness.client("bystander").subscribe("t", { qos: 1 })
        const client = harness.client("a", { level })
        const { core } = harness
        const { publish: working } = core
        core.publish = () => {
          throw new Error("a bug")
        }
        client.publish("t", "x", { qos: 1 }).publish("t", "y", { qos: 1 })
        await microtasks()
        core.publish = working
        expect(told(client)).toBe(thrownOut(level, "80"))
        expect(harness.logged.filter((line) => line.startsWith("error") && line.includes("a bug"))).toHaveLength(1)
        harness.client("c").publish("t", "z")
        await microtasks()
        expect(bystander.messages()).toEqual(["t z"])
      })
})

describe("the largest packet", () => {
  for (const level of levels) {
    const limits = { maximumPacketBytes: 100 }
    const head = 5 + (level === 5 ? 1 : 0)
    test(`[MQTT-3.2.2-15] level ${level}: one of 100 bytes is taken where that is the limit, one of 101 is not`, () => {
      const harness = new Harness({ limits })
      const client = harness.client("a", { level }).subscribe("a")
      client.take()
      client.publish("a", Buffer.alloc(100 - head, 0x78))
      expect(client.messages()).toHaveLength(1)
      client.publish("a", Buffer.alloc(101 - head, 0x78))
      expect(told(client)).toBe(thrownOut(level, "95"))
      expect(harness.core.metrics.limitsHit["packet size"]).toBe(1)
    })
    test(`[MQTT-3.2.2-15] level ${level}: the header alone says so, whole or byte by byte`, () => {
      const whole = new Harness({ limits }).client("a", { level }).sendBytes("30 ff ff ff 7f")
      expect(told(whole)).toBe(thrownOut(level, "95"))
      const cut = new Harness({ limits }).client("a", { level })
      for (const byte of hex("30ffffff7f")) cut.sendBytes(Buffer.of(byte))
      expect(told(cut)).toBe(thrownOut(level, "95"))
    })
    test(`level ${level}: a CONNECT above it is closed without a word`, () => {
      const harness = new Harness({ limits })
      const payload = textHex("a".repeat(200))
      expect(fate(harness.open(level).sendBytes(connectBytes({ level, payload })))).toBe("closed")
    })
  }
  test("[MQTT-3.1.2-24] [MQTT-3.1.2-25] a message above the client's is not sent to it, counted, and settled", () => {
    const harness = new Harness()
    const lasting = {
      clean: false,
      properties: { sessionExpiryInterval: 100, maximumPacketSize: 50, receiveMaximum: 1 },
    }
    const client = harness.client("a", lasting).subscribe("t", { qos: 2 })
    client.take()
    const publisher = harness.client("b")
    const sizes = (qos: 0 | 1 | 2) => [50, 51].map((bytes) => Buffer.alloc(bytes - (qos === 0 ? 6 : 8), 0x78))
    for (const qos of [0, 1, 2] as const) {
      const [fits, tooLarge] = sizes(qos)
      const before = client.bytes.length
      publisher.publish("t", tooLarge!, { qos }).publish("t", fits!, { qos })
      expect(client.bytes.length - before).toBe(50)
      const messageId = client.take()[0]!.messageId!
      if (qos === 1) client.ack("puback", messageId)
      if (qos === 2) client.ack("pubrec", messageId).ack("pubcomp", messageId)
    }
    expect(harness.core.metrics.dropped["packet too large"]).toBe(3)
    client.take()
    client.drop()
    expect(told(harness.connect({ clientId: "a", ...lasting }))).toBe("connack 00, open")
  })
})

describe("[MQTT-3.3.4-7] more than the Receive Maximum unacknowledged: DISCONNECT 0x93", () => {
  test("messages of QoS 2 that are not released", () => {
    const harness = new Harness({ limits: { receiveMaximum: 3 } })
    const client = harness.client("a")
    for (let i = 0; i < 3; i++) client.publish("t", "", { qos: 2 })
    client.publish("t", "", { qos: 0 })
    expect(told(client)).toBe("pubrec 10, pubrec 10, pubrec 10, open")
    client.ack("pubrel", 1).publish("t", "", { qos: 2 })
    expect(told(client)).toBe("pubcomp 00, pubrec 10, open")
    client.publish("t", "", { qos: 1 })
    expect(told(client)).toBe("disconnect 93, closed")
    expect(harness.core.metrics.limitsHit["receive maximum"]).toBe(1)
  })
  for (const qos of [1, 2] as const)
    test(`messages of QoS ${qos} whose acknowledgement waits for the store, each counted once`, async () => {
      const store = new LateStore()
      const harness = new Harness({ store, limits: { receiveMaximum: 4 } })
      const lasting = { clean: false, properties: { sessionExpiryInterval: 100 } }
      const client = harness.connect({ clientId: "a", ...lasting }).subscribe("t", { qos: 1 })
      await store.commitAll()
      client.take()
      for (let i = 0; i < 4; i++) client.publish("t", `${i}`, { qos })
      // A SUBACK that waits is none of them.
      client.subscribe("u")
      await microtasks()
      expect(client.isClosed).toBe(false)
      client.publish("t", "4", { qos })
      expect(client.take().at(-1)).toMatchObject({ cmd: "disconnect", reasonCode: 0x93 })
    })
})

describe("nothing that a client sends grows without bound", () => {
  for (const level of levels)
    test(`level ${level}: one that does not read the answers to its packets is let go`, () => {
      const harness = new Harness({ limits: { maximumBacklogBytes: 1024, maximumPacketBytes: 1024 } })
      const client = harness.client("a", { level })
      client.capacity = 0
      let pings = 0
      while (!client.isClosed && client.connection.link.state === "open" && pings < 10_000) {
        client.sendBytes("c000".repeat(100))
        pings += 100
      }
      expect(pings).toBeWithin(1500, 1800)
      client.drain()
      expect(client.isClosed).toBe(true)
    })
  for (const level of levels)
    test(`level ${level}: one that outruns the store waits for it, and loses nothing`, async () => {
      const store = new LateStore()
      const harness = new Harness({ store, limits: { receiveMaximum: 10 } })
      const lasting = { level, clean: false, ...(level === 5 && { properties: { sessionExpiryInterval: 100 } }) }
      const client = harness.connect({ clientId: "a", ...lasting })
      await store.commitAll()
      client.take()
      for (let i = 1; i <= 100; i++) {
        client.send({ cmd: "subscribe", messageId: i, subscriptions: [{ topic: `t/${i}`, qos: 0 }] })
      }
      expect([client.isPaused, harness.core.sessions.get("a")!.subscriptions.size]).toEqual([true, 21])
      await store.commitAll()
      expect(client.take().map(({ messageId }) => messageId)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1))
      expect(client.isPaused).toBe(false)
    })
})

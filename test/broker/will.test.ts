import { describe, expect, test } from "bun:test"
import { type ConnectFields, durable, Harness, type TestClient } from "../support/harness.ts"
import { microtasks } from "../support/store.ts"

const levels = [3, 4, 5] as const
type Will = NonNullable<ConnectFields["will"]>

const will = (fields: Partial<Will> = {}): { will: Will } => ({
  will: { topic: "will", payload: Buffer.from("bye"), qos: 0, retain: false, ...fields },
})
const delayed = (willDelayInterval: number, fields: Partial<Will> = {}) =>
  will({ properties: { willDelayInterval }, ...fields })
const expiring = (sessionExpiryInterval: number): ConnectFields => ({
  clean: false,
  properties: { sessionExpiryInterval },
})

/** Time passes, and what became due is written. */
async function pass(harness: Harness, seconds: number): Promise<void> {
  harness.clock.advance(seconds)
  await microtasks()
}

function witnessed() {
  const harness = new Harness()
  const witness = harness.client("witness", { keepalive: 0 }).subscribe("#", { qos: 2 })
  witness.take()
  return { harness, witness }
}

/** Ways for a connection to end without a DISCONNECT that forgets the will. */
const ends: Record<string, (client: TestClient, harness: Harness) => unknown> = {
  "the network fails": (client) => client.drop(),
  "the keep-alive runs out": (_, harness) => pass(harness, 16),
  "the client breaks the protocol": (client) => client.connect(),
  "the client sends what is malformed": (client) => client.sendBytes("8000"),
  "another client takes over the id": (_, harness) => void harness.client("a", { level: 4 }),
}

describe("[MQTT-3.1.2-7] [MQTT-3.1.2-8] [v3.1.1 MQTT-3.1.2-8] the will is published when the connection has ended", () => {
  for (const level of levels)
    for (const [how, end] of Object.entries(ends))
      test(`level ${level}: ${how}`, async () => {
        const { harness, witness } = witnessed()
        const client = harness.client("a", { level, keepalive: 10, ...will() })
        expect(witness.take()).toEqual([])
        await end(client, harness)
        expect(witness.messages()).toEqual(["will bye"])
      })

  for (const level of levels)
    for (const qos of [0, 1, 2] as const)
      test(`level ${level}: with its own QoS ${qos}`, () => {
        const { harness, witness } = witnessed()
        harness.client("a", { level, ...will({ qos, payload: Buffer.from([0, 255]) }) }).drop()
        expect(witness.take()).toMatchObject([{ topic: "will", qos, retain: false, payload: Buffer.from([0, 255]) }])
      })

  test("an empty payload is a message too", () => {
    const { harness, witness } = witnessed()
    harness.client("a", will({ payload: Buffer.alloc(0) })).drop()
    expect(witness.messages()).toEqual(["will "])
  })

  test("level 5: DISCONNECT with reason 0x04, or an error, leaves it due", () => {
    for (const reason of [0x04, 0x80, 0x82]) {
      const { harness, witness } = witnessed()
      harness.client("a", will()).disconnect(reason)
      expect(witness.messages()).toEqual(["will bye"])
    }
  })

  test("[v3.1.1 MQTT-3.1.2-12] without the flag nothing is published", () => {
    for (const level of levels) {
      const { harness, witness } = witnessed()
      harness.client("a", { level }).drop()
      expect(witness.take()).toEqual([])
    }
  })
})

describe("[MQTT-3.14.4-3] [v3.1.1 MQTT-3.14.4-3] [MQTT-3.1.2-10] [v3.1.1 MQTT-3.1.2-10] DISCONNECT forgets the will", () => {
  for (const level of levels)
    test(`level ${level}: it is never published`, async () => {
      const { harness, witness } = witnessed()
      const client = harness.client("a", { ...durable(level), ...will() })
      client.sendBytes("e000").drop()
      harness.resume("a", durable(level)).drop()
      await pass(harness, 7200)
      expect(witness.take()).toEqual([])
    })

  test("level 5: one that was to be delayed as well", async () => {
    const { harness, witness } = witnessed()
    harness.client("a", { ...expiring(100), ...delayed(10) }).disconnect()
    await pass(harness, 200)
    expect(witness.take()).toEqual([])
  })
})

describe("[MQTT-3.1.2-10] [v3.1.1 MQTT-3.1.2-10] the will is published once", () => {
  for (const level of levels)
    test(`level ${level}: the next connection has none unless it brings one`, async () => {
      const { harness, witness } = witnessed()
      harness.client("a", { ...durable(level), ...will() }).drop()
      harness.resume("a", durable(level)).drop()
      await pass(harness, 7200)
      expect(witness.messages()).toEqual(["will bye"])
    })

  test("the will of the connection counts, not that of an earlier one", async () => {
    const { harness, witness } = witnessed()
    harness.client("a", { ...durable(), ...delayed(10) }).drop()
    harness.resume("a", { ...durable(), ...will({ payload: Buffer.from("second") }) }).drop()
    await pass(harness, 100)
    expect(witness.messages()).toEqual(["will second"])
  })
})

describe("[MQTT-3.1.2-8] the Will Delay Interval", () => {
  test("is waited for", async () => {
    const { harness, witness } = witnessed()
    harness.client("a", { ...expiring(100), ...delayed(10) }).drop()
    await pass(harness, 9.9)
    expect(witness.take()).toEqual([])
    await pass(harness, 0.6)
    expect(witness.messages()).toEqual(["will bye"])
    await pass(harness, 200)
    expect(witness.take()).toEqual([])
  })

  test("ends with the session, if that is earlier", async () => {
    const { harness, witness } = witnessed()
    harness.client("a", { ...expiring(5), ...delayed(10) }).drop()
    await pass(harness, 4.9)
    expect(witness.take()).toEqual([])
    await pass(harness, 0.6)
    expect(witness.messages()).toEqual(["will bye"])
    await pass(harness, 20)
    expect(witness.take()).toEqual([])
  })

  test("is none where the session ends with the connection", () => {
    const { harness, witness } = witnessed()
    harness.client("a", delayed(10)).drop()
    expect(witness.messages()).toEqual(["will bye"])
  })

  test("is none where DISCONNECT 0x04 says that the session ends now", () => {
    const { harness, witness } = witnessed()
    harness.client("a", { ...expiring(100), ...delayed(10) }).disconnect(4, { sessionExpiryInterval: 0 })
    expect(witness.messages()).toEqual(["will bye"])
  })

  test("is waited for after DISCONNECT 0x04", async () => {
    const { harness, witness } = witnessed()
    harness.client("a", { ...expiring(100), ...delayed(10) }).disconnect(4)
    await pass(harness, 9.9)
    expect(witness.take()).toEqual([])
    await pass(harness, 0.6)
    expect(witness.messages()).toEqual(["will bye"])
  })

  test("[MQTT-3.1.3-9] a client that comes back in time is no reason for its will", async () => {
    const { harness, witness } = witnessed()
    harness.client("a", { ...expiring(100), ...delayed(10) }).drop()
    await pass(harness, 5)
    harness.resume("a", expiring(100))
    await pass(harness, 20)
    expect(witness.take()).toEqual([])
  })

  test("[MQTT-3.1.3-9] nor is one that takes over its own session", async () => {
    const { harness, witness } = witnessed()
    harness.client("a", { ...expiring(100), ...delayed(10) })
    harness.resume("a", expiring(100))
    await pass(harness, 20)
    expect(witness.take()).toEqual([])
  })

  test("a clean start ends the session, and the will is due then", async () => {
    const { harness, witness } = witnessed()
    harness.client("a", { ...expiring(100), ...delayed(10) }).drop()
    await pass(harness, 5)
    harness.client("a", { clean: true })
    expect(witness.messages()).toEqual(["will bye"])
    await pass(harness, 20)
    expect(witness.take()).toEqual([])
  })

  test("a clean start that takes over does too, once", () => {
    const { harness, witness } = witnessed()
    harness.client("a", { ...expiring(100), ...delayed(10) })
    harness.client("a", { clean: true })
    expect(witness.messages()).toEqual(["will bye"])
  })
})

describe("a retained will", () => {
  for (const level of levels) {
    test(`level ${level}: [MQTT-3.1.2-15] [v3.1.1 MQTT-3.1.2-17] is retained`, () => {
      const { harness } = witnessed()
      harness.client("a", { level, ...will({ retain: true, qos: 1 }) }).drop()
      const late = harness.client("late", { level }).subscribe("will", { qos: 1 })
      expect(late.take().at(-1)).toMatchObject({ cmd: "publish", topic: "will", retain: true, qos: 1 })
    })

    test(`level ${level}: [MQTT-3.1.2-14] [v3.1.1 MQTT-3.1.2-16] another is not`, () => {
      const { harness } = witnessed()
      const asPublished = harness.client("rap").subscribe("will", { rap: true })
      asPublished.take()
      harness.client("a", { level, ...will() }).drop()
      expect(asPublished.take()).toMatchObject([{ cmd: "publish", retain: false }])
      expect(harness.client("late", { level }).subscribe("will").messages()).toEqual([])
    })
  }
})

describe("the properties of a will", () => {
  test("[MQTT-3.1.3-10] [MQTT-3.1.2-7] are the message's, User Properties in their order", () => {
    const { harness, witness } = witnessed()
    const text = (value: string) => `${value.length.toString(16).padStart(4, "0")}${Buffer.from(value).toString("hex")}`
    const user = (name: string, value: string) => `26${text(name)}${text(value)}`
    const properties = `${user("a", "1")}0101${user("b", "2")}03${text("t")}08${text("r")}0900021f00${user("a", "3")}`
    const length = (properties.length / 2).toString(16).padStart(2, "0")
    const rest = `0004 4d515454 05 06 0000 00 ${text("a")} ${length} ${properties} ${text("will")} ${text("bye")}`
    const body = Buffer.from(rest.replaceAll(" ", ""), "hex")
    const client = harness.open().sendBytes(Buffer.concat([Buffer.from([0x10, body.length]), body]))
    const before = witness.bytes.length
    client.drop()
    const sent = witness.bytes.toString("hex", before)
    const order = [user("a", "1"), user("b", "2"), user("a", "3")]
    expect(sent).toContain(order.join(""))
    for (const property of ["0101", `03${text("t")}`, `08${text("r")}`, "0900021f00"]) expect(sent).toContain(property)
  })

  test("its Message Expiry Interval begins when it is published", async () => {
    const { harness, witness } = witnessed()
    const properties = { willDelayInterval: 10, messageExpiryInterval: 30 }
    harness.client("a", { ...expiring(100), ...will({ retain: true, properties }) }).drop()
    await pass(harness, 10.5)
    expect(witness.take()).toMatchObject([{ properties: { messageExpiryInterval: 30 } }])
    await pass(harness, 10)
    const [, retained] = harness.client("late").subscribe("will").take()
    expect(retained!.properties).toMatchObject({ messageExpiryInterval: 20 })
    await pass(harness, 21)
    expect(harness.client("later").subscribe("will").messages()).toEqual([])
  })
})

test("a will does not come to the session that left it, where that has No Local", () => {
  const { harness, witness } = witnessed()
  const client = harness.client("a", { ...durable(), ...will({ qos: 1 }) })
  client.subscribe("will", { qos: 1, nl: true }).drop()
  expect(witness.messages()).toEqual(["will bye"])
  expect(harness.resume("a").received).toEqual([])
})

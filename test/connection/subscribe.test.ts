/** SUBSCRIBE and SUBACK: what is granted, what is refused, and what each says. MQTT 5 §3.8, §3.9 */
import { describe, expect, test } from "bun:test"
import type { Auth, Permission } from "../../src/broker/ports.ts"
import { Reason } from "../../src/codec/index.ts"
import { durable, Harness, type TestClient } from "../support/harness.ts"
import { LateStore, microtasks } from "../support/store.ts"

const levels = [3, 4, 5] as const

/** Everybody is let in; `authorize` decides on filters. */
const subscribeAuth = (authorize: (filter: string) => Permission | Promise<Permission>): Auth => ({
  authenticate: () => true,
  authorize: (_client, action, topic) => (action === "subscribe" ? authorize(topic) : true),
})

const packets = (client: TestClient) => client.take().map(({ cmd }) => cmd)

/** A SUBSCRIBE or UNSUBSCRIBE by hand: first byte, then the body behind the packet id and, at level 5, no properties. */
function packet(level: 3 | 4 | 5, first: string, body: string, id = "1234"): Buffer {
  const bytes = Buffer.from((id + (level === 5 ? "00" : "") + body).replaceAll(" ", ""), "hex")
  return Buffer.concat([Buffer.from(first, "hex"), Buffer.from([bytes.length]), bytes])
}

/** The connection has been ended for that reason: said at level 5, silently before. */
function expectEnded(client: TestClient, reason: number): void {
  const said = client.take().map(({ cmd, reasonCode }) => [cmd, reasonCode])
  expect(said).toEqual(client.level === 5 ? [["disconnect", reason]] : [])
  expect(client.isClosed).toBe(true)
}

for (const level of levels)
  describe(`level ${level}: a SUBSCRIBE that cannot be read`, () => {
    const a = "0001 61"
    test("[MQTT-3.8.1-1] [v3.1.1 MQTT-3.8.1-1] has other flags than 0010", () => {
      for (const flags of [0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]) {
        if (level === 3 && flags === 10) continue // MQTT 3.1 has the DUP flag here
        const client = new Harness().client("a", { level })
        client.sendBytes(packet(level, `8${flags.toString(16)}`, `${a} 00`))
        expectEnded(client, Reason.MalformedPacket)
      }
    })

    test("[MQTT-3.8.3-1] [v3.1.1 MQTT-3.8.3-1] holds a filter that is not UTF-8", () => {
      for (const filter of ["0002 c328", "0003 eda080", "0003 61 00 62", "0005 61"]) {
        const client = new Harness().client("a", { level })
        client.sendBytes(packet(level, "82", `${filter} 00`))
        expectEnded(client, Reason.MalformedPacket)
      }
    })

    test("[MQTT-3.8.3-2] [v3.1.1 MQTT-3.8.3-3] holds no filter", () => {
      const client = new Harness().client("a", { level }).sendBytes(packet(level, "82", ""))
      expectEnded(client, Reason.ProtocolError)
    })

    test("ends before the options of its filter", () => {
      const client = new Harness().client("a", { level }).sendBytes(packet(level, "82", a))
      expectEnded(client, Reason.MalformedPacket)
    })

    test("[MQTT-3.8.3-5] [v3.1.1 MQTT-3.8.3-4] has a reserved bit, or QoS 3", () => {
      const malformed = level === 5 ? ["40", "80", "c1"] : ["03", "04", "08", "10", "40", "80"]
      const wrong = level === 5 ? ["03", "30"] : []
      for (const options of [...malformed, ...wrong]) {
        const client = new Harness().client("a", { level }).sendBytes(packet(level, "82", `${a} ${options}`))
        expectEnded(client, wrong.includes(options) ? Reason.ProtocolError : Reason.MalformedPacket)
      }
    })
  })

for (const level of levels)
  describe(`level ${level}: SUBACK`, () => {
    test("[MQTT-3.8.4-1] [v3.1.1 MQTT-3.8.4-1] answers a SUBSCRIBE, granted or refused", () => {
      const refuses = subscribeAuth((filter) => filter !== "no")
      const client = new Harness({ auth: refuses }).client("a", { level })
      for (const filter of ["yes", "no", "a/#/b"]) {
        expect(packets(client.subscribe(filter))).toEqual(["suback"])
      }
      expect(client.isClosed).toBe(false)
    })

    test("[MQTT-3.8.4-2] [v3.1.1 MQTT-3.8.4-2] [MQTT-2.2.1-6] [v3.1.1 MQTT-2.3.1-7] has the packet id of its SUBSCRIBE", () => {
      const client = new Harness().client("a", { level })
      for (const id of ["0001", "00ff", "abcd", "ffff"]) {
        client.sendBytes(packet(level, "82", "0001 61 01", id))
        const expected = level === 5 ? `9004${id}0001` : `9003${id}01`
        expect(client.bytes.toString("hex")).toEndWith(expected)
      }
    })

    test("[MQTT-3.8.4-6] [MQTT-3.8.4-7] [v3.1.1 MQTT-3.8.4-5] grants each filter the QoS asked for", () => {
      const client = new Harness().client("a", { level })
      const subscriptions = [0, 1, 2, 1].map((qos, index) => ({ topic: `t/${index % 3}`, qos: qos as 0 | 1 | 2 }))
      client.send({ cmd: "subscribe", messageId: 7, subscriptions })
      expect(client.take()).toMatchObject([{ cmd: "suback", messageId: 7, granted: [0, 1, 2, 1] }])
    })

    test("[MQTT-3.8.4-5] [v3.1.1 MQTT-3.8.4-4] is one for several filters, and those not refused are in force", () => {
      const harness = new Harness({ auth: subscribeAuth((filter) => filter !== "b") })
      const client = harness.client("a", { level }).subscribe(["a", "b", "c"])
      expect(packets(client)).toEqual(["suback"])
      for (const topic of ["a", "b", "c"]) harness.client("p").publish(topic, "x")
      expect(client.messages()).toEqual(["a x", "c x"])
    })

    test("[MQTT-3.9.3-1] [v3.1.1 MQTT-3.9.3-1] keeps the order of the filters while decisions come in another", async () => {
      const decided = new Map<string, (permission: Permission) => void>()
      const auth = subscribeAuth((filter) => new Promise((resolve) => void decided.set(filter, resolve)))
      const client = new Harness({ auth }).client("a", { level })
      const subscriptions = [
        { topic: "t/1", qos: 2 as const },
        { topic: "t/#/x", qos: 0 as const },
        { topic: "t/2", qos: 0 as const },
        { topic: "t/3", qos: 1 as const },
      ]
      client.send({ cmd: "subscribe", messageId: 1, subscriptions })
      while (decided.size > 0) {
        for (const [filter, decide] of [...decided].reverse()) {
          decided.delete(filter)
          decide(filter !== "t/2")
        }
        await microtasks()
      }
      const refused = { 3: [2, 0, 0, 1], 4: [2, 0x80, 0x80, 1], 5: [2, 0x8f, 0x87, 1] }[level]
      expect(client.take()).toMatchObject([{ cmd: "suback", granted: refused }])
    })

    test("of a durable session waits for the store, in its order among the acknowledgements", async () => {
      const store = new LateStore()
      const harness = new Harness({ store })
      const client = harness.connect({ clientId: "a", ...durable(level) })
      await store.commitAll()
      expect(packets(client)).toEqual(["connack"])
      client.subscribe("a").publish("b", "x", { qos: 1 })
      client.send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: ["a"] })
      await microtasks()
      expect(client.take()).toEqual([])
      await store.commitAll()
      expect(packets(client)).toEqual(["suback", "puback", "unsuback"])
    })
  })

describe("a filter is refused", () => {
  const foreign = [Reason.GrantedQoS1, Reason.DisconnectWithWill, Reason.PayloadFormatInvalid, Reason.ServerMoved, 0xff]
  const own = [0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2]
  const refuse = (reason: number) => new Harness({ auth: subscribeAuth(() => reason as Reason) })

  test("[MQTT-3.9.3-2] level 5: with the reason that auth gives, if a SUBACK may say it", () => {
    for (const reason of own) {
      const [suback] = refuse(reason).client("a").subscribe("a").take()
      expect(suback?.granted).toEqual([reason])
    }
    for (const reason of foreign) {
      const [suback] = refuse(reason).client("a").subscribe("a").take()
      expect(suback?.granted).toEqual([Reason.NotAuthorized])
    }
  })

  test("[v3.1.1 MQTT-3.9.3-2] level 4: with 0x80, whatever the reason", () => {
    for (const reason of [...own, ...foreign]) {
      const [suback] = refuse(reason).client("a", { level: 4 }).subscribe("a").take()
      expect(suback?.granted).toEqual([0x80])
    }
  })

  test("level 3: without a word, and nothing is delivered (MQTT 3.1 §3.8)", () => {
    const harness = refuse(Reason.NotAuthorized)
    const client = harness.client("a", { level: 3 }).subscribe("a", { qos: 2 })
    expect(client.take()).toMatchObject([{ cmd: "suback", granted: [0] }])
    harness.client("p").publish("a", "x")
    expect(client.messages()).toEqual([])
  })

  test("by an auth that throws, now or later", async () => {
    for (const level of [4, 5] as const) {
      const failing = [() => Promise.reject(new Error("later")), () => raise(new Error("now"))]
      for (const authorize of failing) {
        const harness = new Harness({ auth: subscribeAuth(authorize) })
        const client = harness.client("a", { level }).subscribe("a")
        await microtasks()
        expect(client.take()).toMatchObject([{ cmd: "suback", granted: [level === 5 ? 0x87 : 0x80] }])
        expect(harness.logged.filter((line) => line.startsWith("error"))).toHaveLength(1)
      }
    }
  })

  test("[MQTT-3.9.2-1] [MQTT-3.9.2-2] and the SUBACK, explained or not, fits a small Maximum Packet Size", () => {
    const harness = refuse(Reason.NotAuthorized)
    const client = harness.client("a", { properties: { maximumPacketSize: 32 } }).subscribe("a")
    const [suback] = client.take()
    expect(suback).toMatchObject({ cmd: "suback", granted: [0x87] })
    expect(suback!.length! + 2).toBeLessThanOrEqual(32)
  })

  test("beyond the subscriptions of one client with 0x97, while others are still replaced", () => {
    const harness = new Harness({ limits: { maximumSubscriptionsPerClient: 2 } })
    const client = harness.client("a").subscribe(["a", "b", "c"])
    expect(client.take()[0]?.granted).toEqual([0, 0, Reason.QuotaExceeded])
    expect(client.subscribe(["b", "$share/g/b"], { qos: 1 }).take()[0]?.granted).toEqual([1, Reason.QuotaExceeded])
    expect(harness.core.metrics.limitsHit.subscriptions).toBe(2)
    expect(harness.core.router.subscriptionCount).toBe(2)
    client.send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: ["a"] }).take()
    expect(client.subscribe("c").take()[0]?.granted).toEqual([0])
  })
})

for (const level of levels)
  describe(`level ${level}: a subscription`, () => {
    test("[MQTT-3.8.4-8] [v3.1.1 MQTT-3.8.4-6] gets the lower of the QoS published and granted, live, queued and retained", () => {
      for (const published of [0, 1, 2] as const)
        for (const granted of [0, 1, 2] as const) {
          const harness = new Harness()
          const publisher = harness.client("p")
          const client = harness.client("s", durable(level)).subscribe("a", { qos: granted })
          publisher.publish("a", "live", { qos: published, retain: true })
          client.drop()
          publisher.publish("a", "queued", { qos: published })
          const resumed = harness.resume("s", durable(level))
          const later = harness.client("r", { level }).subscribe("a", { qos: granted })
          const qos = Math.min(published, granted)
          const received = (from: TestClient) =>
            from
              .take()
              .filter(({ cmd }) => cmd === "publish")
              .map((each) => `${each.payload} ${each.qos}`)
          expect(received(client)).toEqual([`live ${qos}`])
          expect(received(resumed)).toEqual(qos === 0 ? [] : [`live ${qos}`, `queued ${qos}`])
          expect(received(later)).toEqual([`live ${qos}`])
        }
    })

    test("[MQTT-3.8.4-3] [v3.1.1 MQTT-3.8.4-3] takes the place of the one with the same filter", () => {
      const harness = new Harness()
      const client = harness.client("s", { level }).subscribe("a/+", { qos: 0 }).subscribe("a/+", { qos: 1 })
      expect(harness.core.router.subscriptionCount).toBe(1)
      client.take()
      harness.client("p").publish("a/b", "x", { qos: 2 })
      expect(client.take()).toMatchObject([{ cmd: "publish", qos: 1 }])
    })

    test("[MQTT-3.8.4-4] [v3.1.1 MQTT-3.8.4-3] replaced gets what is retained again, and loses nothing on the way", () => {
      const harness = new Harness()
      const publisher = harness.client("p").publish("a", "kept", { retain: true })
      const client = harness.client("s", durable(level)).subscribe("a", { qos: 1 })
      publisher.publish("a", "1", { qos: 1 })
      client.subscribe("a", { qos: 2 })
      publisher.publish("a", "2", { qos: 1 })
      expect(client.messages()).toEqual(["a kept", "a 1", "a kept", "a 2"])
    })
  })

test("[MQTT-3.8.4-3] level 5: a replaced subscription has the new identifier and options, and not the old", () => {
  const harness = new Harness()
  const client = harness.client("s").subscribe("a", { nl: true, rap: true, properties: { subscriptionIdentifier: 5 } })
  client.subscribe("a", { qos: 1, properties: { subscriptionIdentifier: 6 } }).take()
  client.publish("a", "own", { retain: true })
  expect(client.take()).toMatchObject([
    { cmd: "publish", payload: Buffer.from("own"), retain: false, properties: { subscriptionIdentifier: 6 } },
  ])
  client.subscribe("a", { rh: 2 }).take()
  client.publish("a", "own", { retain: true })
  const [message] = client.take()
  expect(message?.properties?.subscriptionIdentifier).toBeUndefined()
})

for (const level of [4, 5] as const)
  test(`level ${level}: [MQTT-4.5.0-1] [v3.1.1 MQTT-4.5.0-1] a message goes to every session that subscribes to it, there or not, and to no other`, () => {
    const harness = new Harness()
    for (const [id, filter] of Object.entries({ one: "a/b", two: "a/#", other: "a/c" })) {
      harness.client(id, durable(level)).subscribe(filter, { qos: 1 }).drop()
    }
    const online = harness.client("online", { level }).subscribe("+/b")
    harness.client("p").publish("a/b", "x", { qos: 1 })
    expect(online.messages()).toEqual(["a/b x"])
    expect(harness.resume("one", durable(level)).messages()).toEqual(["a/b x"])
    expect(harness.resume("two", durable(level)).messages()).toEqual(["a/b x"])
    expect(harness.resume("other", durable(level)).messages()).toEqual([])
  })

test("packets behind a SUBSCRIBE that waits for a decision wait with it", async () => {
  let allow: (permission: Permission) => void = () => {}
  const auth = subscribeAuth(() => new Promise((resolve) => void (allow = resolve)))
  const harness = new Harness({ auth })
  const client = harness.client("a").subscribe("a").publish("a", "x").send({ cmd: "pingreq" })
  expect(client.take()).toEqual([])
  expect(client.isPaused).toBe(true)
  allow(true)
  await microtasks()
  expect(packets(client)).toEqual(["suback", "publish", "pingresp"])
  expect(client.isPaused).toBe(false)
})

function raise(error: Error): never {
  throw error
}

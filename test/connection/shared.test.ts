/** Shared subscriptions: who gets a message, and what becomes of one that its member does not finish. MQTT 5 §4.8.2 */
import { describe, expect, test } from "bun:test"
import { Reason } from "../../src/codec/index.ts"
import { durable, Harness, type TestClient } from "../support/harness.ts"
import { microtasks } from "../support/store.ts"

/** The payloads that have come. */
const payloads = (client: TestClient) => client.messages().map((message) => message.split(" ")[1])

/** A member of the group; nothing in `received`. */
function member(
  harness: Harness,
  clientId: string,
  qos: 0 | 1 | 2 = 1,
  fields = {},
  filter = "$share/g/t",
): TestClient {
  const client = harness.client(clientId, fields).subscribe(filter, { qos })
  client.take()
  return client
}

for (const level of [3, 4, 5] as const)
  describe(`level ${level}: [MQTT-4.8.2-1] [MQTT-4.8.2-2] a share needs a name without wildcards, and a filter`, () => {
    test("which is refused without", () => {
      const client = new Harness().client("a", { level })
      const malformed = ["$share//t", "$share/", "$share//", "$share/g", "$share/g/", "$share/+/t", "$share/g+/t"]
      for (const filter of [...malformed, "$share/#/t", "$share/g#/t", "$share/g/t/#/u", "$share/g/a+"]) {
        const [suback] = client.subscribe(filter).take()
        expect([filter, suback?.granted]).toEqual([filter, [{ 3: 0, 4: 0x80, 5: Reason.TopicFilterInvalid }[level]]])
      }
    })

    test("and works with, next to a topic of that name", () => {
      const harness = new Harness()
      const client = harness.client("a", { level }).subscribe(["$share/g/t", "$share/Ünï €/t/+/#", "$share/$x/$y"])
      client.take()
      harness.client("p").publish("t", "1").publish("t/a/b", "2").publish("$y", "3").publish("$share/g/t", "4")
      expect(payloads(client)).toEqual(["1", "2", "3"])
    })
  })

describe("a message goes to one member", () => {
  for (const qos of [0, 1, 2] as const)
    test(`in turn, at QoS ${qos}`, () => {
      const harness = new Harness()
      const members = ["a", "b", "c"].map((id) => member(harness, id, qos))
      const publisher = harness.client("p")
      for (let i = 1; i <= 7; i++) publisher.publish("t", String(i), { qos })
      expect(members.map(payloads)).toEqual([
        ["1", "4", "7"],
        ["2", "5"],
        ["3", "6"],
      ])
    })

  test("of each group, and each has its own turn", () => {
    const harness = new Harness()
    const a = harness.client("a").subscribe(["$share/g/t", "$share/h/t"])
    const b = harness.client("b").subscribe(["$share/g/t", "$share/h/+"])
    const all = harness.client("all").subscribe("t")
    for (const client of [a, b, all]) client.take()
    const publisher = harness.client("p")
    for (const payload of ["1", "2", "3", "4"]) publisher.publish("t", payload)
    expect([payloads(a), payloads(b)]).toEqual([
      ["1", "1", "2", "3", "3", "4"],
      ["1", "2", "2", "3", "4", "4"],
    ])
    expect(payloads(all)).toEqual(["1", "2", "3", "4"])
  })

  test("who is online; a member that is away gets nothing while another can take it", () => {
    const harness = new Harness()
    const away = member(harness, "away", 1, durable())
    const here = member(harness, "here", 0)
    away.drop()
    const publisher = harness.client("p")
    for (let i = 0; i < 4; i++) publisher.publish("t", String(i), { qos: 1 })
    expect(payloads(here)).toEqual(["0", "1", "2", "3"])
    expect(harness.resume("away").take()).toEqual([])
  })

  test("who has room; one with a full window is passed over", () => {
    const harness = new Harness()
    const narrow = member(harness, "narrow", 1, { properties: { receiveMaximum: 1 } })
    const wide = member(harness, "wide", 1)
    const publisher = harness.client("p")
    for (let i = 1; i <= 4; i++) publisher.publish("t", String(i), { qos: 1 })
    expect([payloads(narrow), payloads(wide)]).toEqual([["1"], ["2", "3", "4"]])
    narrow.ack("puback", 1)
    publisher.publish("t", "5", { qos: 1 }).publish("t", "6", { qos: 1 })
    expect([payloads(narrow), payloads(wide)]).toEqual([["5"], ["6"]])
  })

  test("who reads; one whose socket is full is passed over, at QoS 0 too", () => {
    const harness = new Harness({ limits: { maximumBacklogBytes: 1024 } })
    const stuck = member(harness, "stuck", 0)
    const here = member(harness, "here", 0)
    stuck.capacity = 0
    const publisher = harness.client("p")
    for (let i = 0; i < 10; i++) publisher.publish("t", `${i}${"x".repeat(600)}`)
    expect(payloads(here).map((payload) => payload![0])).toEqual(["1", "3", "4", "5", "6", "7", "8", "9"])
    for (let i = 0; i < 5; i++) stuck.drain()
    expect(payloads(stuck).map((payload) => payload![0])).toEqual(["0", "2"])
    expect(harness.core.metrics.droppedTotal).toBe(0)
  })

  test("also its own publisher", () => {
    const client = member(new Harness(), "a")
    expect(payloads(client.publish("t", "own"))).toEqual(["own"])
  })

  test("[MQTT-4.8.2-3] at no more than the QoS that it was granted", () => {
    for (const published of [0, 1, 2] as const) {
      const harness = new Harness()
      const members = ([0, 1, 2] as const).map((qos) => member(harness, `m${qos}`, qos))
      const publisher = harness.client("p")
      for (let i = 0; i < 3; i++) publisher.publish("t", "x", { qos: published })
      const received = members.map((client) => client.take().map(({ qos }) => qos as number))
      expect(received).toEqual([[0], [Math.min(1, published)], [published]])
    }
  })

  test("with the identifier of that member's subscription", () => {
    const harness = new Harness()
    for (const [id, subscriptionIdentifier] of Object.entries({ a: 1, b: 2 })) {
      const client = harness.client(id).subscribe("$share/g/t", { properties: { subscriptionIdentifier } })
      client.take()
      harness.client("p").publish("t", "x")
      expect(client.take()).toMatchObject([{ properties: { subscriptionIdentifier } }])
      client.disconnect()
    }
  })

  test("who is still a member: another goes on alone, and a new one has its turn", () => {
    const harness = new Harness()
    const a = member(harness, "a")
    const b = member(harness, "b")
    const publisher = harness.client("p")
    a.send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: ["$share/g/t"] }).take()
    publisher.publish("t", "1").publish("t", "2")
    expect([payloads(a), payloads(b)]).toEqual([[], ["1", "2"]])
    member(harness, "c", 1).disconnect()
    const d = member(harness, "d")
    for (const payload of ["3", "4", "5", "6"]) publisher.publish("t", payload)
    expect([payloads(b).length, payloads(d).length]).toEqual([2, 2])
  })

  test("once, though it subscribed twice; its second subscription counts", () => {
    const harness = new Harness()
    const a = member(harness, "a", 0)
    a.subscribe("$share/g/t", { qos: 2 }).take()
    harness.client("p").publish("t", "x", { qos: 2 }).publish("t", "y", { qos: 1 })
    expect(a.take()).toMatchObject([{ qos: 2 }, { qos: 1 }])
    expect(harness.core.router.sharedCount).toBe(1)
  })
})

describe("a message that its member does not finish", () => {
  test("moves on when the session ends with the connection, at QoS 1", () => {
    const harness = new Harness()
    const a = member(harness, "a")
    const b = member(harness, "b")
    const publisher = harness.client("p")
    for (const payload of ["1", "2", "3", "4"]) publisher.publish("t", payload, { qos: 1 })
    expect([payloads(a), payloads(b)]).toEqual([
      ["1", "3"],
      ["2", "4"],
    ])
    a.ack("puback", 1).drop()
    expect(b.take()).toMatchObject([{ payload: Buffer.from("3"), dup: false, qos: 1 }])
    expect(harness.core.inflightCount).toBe(3)
  })

  test("stays while the session may come back, and is sent to it again", () => {
    const harness = new Harness()
    const a = member(harness, "a", 1, durable())
    const b = member(harness, "b")
    harness.client("p").publish("t", "1", { qos: 1 })
    expect(payloads(a)).toEqual(["1"])
    a.drop()
    expect(b.take()).toEqual([])
    expect(harness.resume("a").take()).toMatchObject([{ payload: Buffer.from("1"), dup: true }])
  })

  test("moves on when the session has expired, or was replaced by a clean start", async () => {
    const ends = [
      (harness: Harness) => harness.clock.advance(3601),
      (harness: Harness) => harness.client("a", { clean: true }),
    ]
    for (const end of ends) {
      const harness = new Harness()
      const a = member(harness, "a", 1, durable())
      const b = member(harness, "b", 0)
      harness.client("p").publish("t", "1", { qos: 1 })
      a.drop()
      expect(b.take()).toEqual([])
      end(harness)
      await microtasks()
      expect(b.take()).toMatchObject([{ payload: Buffer.from("1"), qos: 0 }])
    }
  })

  test("[MQTT-4.8.2-4] at QoS 2 is completed by the member that began it, and comes to no other", async () => {
    for (const isReceived of [false, true]) {
      const harness = new Harness()
      const a = member(harness, "a", 2, durable())
      const b = member(harness, "b", 2)
      harness.client("p").publish("t", "1", { qos: 2 })
      expect(payloads(a)).toEqual(["1"])
      if (isReceived) a.ack("pubrec", 1)
      a.drop()
      const resumed = harness.resume("a")
      if (!isReceived) {
        expect(resumed.take()).toMatchObject([{ cmd: "publish", messageId: 1, dup: true, qos: 2 }])
        resumed.ack("pubrec", 1)
      }
      expect(resumed.take()).toMatchObject([{ cmd: "pubrel", messageId: 1 }])
      resumed.ack("pubcomp", 1).drop()
      harness.clock.advance(3601)
      await microtasks()
      expect(b.take()).toEqual([])
      expect(harness.core.inflightCount).toBe(0)
    }
  })

  test("[MQTT-4.8.2-5] at QoS 2 goes to no other member when the session ends", async () => {
    for (const isReceived of [false, true])
      for (const fields of [{}, durable()]) {
        const harness = new Harness()
        const a = member(harness, "a", 2, fields)
        const b = member(harness, "b", 2)
        harness.client("p").publish("t", "1", { qos: 2 })
        expect(payloads(a)).toEqual(["1"])
        if (isReceived) a.ack("pubrec", 1)
        a.drop()
        harness.clock.advance(3601)
        await microtasks()
        expect(b.take()).toEqual([])
        expect(harness.core.inflightCount).toBe(0)
      }
  })

  for (const [qos, ack] of [
    [1, "puback"],
    [2, "pubrec"],
  ] as const)
    test(`[MQTT-4.8.2-6] is done with a ${ack} of 0x80 or more: nobody gets it again`, async () => {
      for (const reason of [0x80, 0x83, 0x87, 0x97]) {
        const harness = new Harness()
        const a = member(harness, "a", qos, durable())
        const b = member(harness, "b", qos)
        harness.client("p").publish("t", "1", { qos })
        expect(payloads(a)).toEqual(["1"])
        a.ack(ack, 1, reason)
        expect([a.take(), b.take()]).toEqual([[], []])
        a.drop()
        expect(harness.resume("a").take()).toEqual([])
        harness.clock.advance(3601)
        await microtasks()
        expect(b.take()).toEqual([])
      }
    })

  test("is completed after the member has unsubscribed, and moves on if it does not live to", () => {
    const harness = new Harness()
    const a = member(harness, "a")
    const b = member(harness, "b")
    const publisher = harness.client("p").publish("t", "1", { qos: 1 }).publish("t", "2", { qos: 1 })
    publisher.publish("t", "3", { qos: 1 })
    expect([payloads(a), payloads(b)]).toEqual([["1", "3"], ["2"]])
    a.send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: ["$share/g/t"] }).ack("puback", 1)
    expect(b.take()).toEqual([])
    a.drop()
    expect(payloads(b)).toEqual(["3"])
  })

  test("is gone with the last member", () => {
    const harness = new Harness()
    const a = member(harness, "a")
    harness.client("p").publish("t", "1", { qos: 1 })
    a.drop()
    expect(member(harness, "b").take()).toEqual([])
    expect([harness.core.queueBytes, harness.core.inflightCount]).toEqual([0, 0])
  })
})

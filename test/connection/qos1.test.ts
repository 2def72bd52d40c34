import { describe, expect, test } from "bun:test"
import { durable, Harness, type TestClient } from "../support/harness.ts"
import { LateStore, ownerOf } from "../support/store.ts"

const levels = [3, 4, 5] as const

/** What came, in short: `publish 1 dup`, `puback 7 0x10`. */
const heard = (client: TestClient) =>
  client.take().map(({ cmd, messageId, dup, reasonCode }) => {
    const reason = reasonCode ? ` 0x${reasonCode.toString(16)}` : ""
    return `${cmd} ${messageId}${dup ? " dup" : ""}${reason}`
  })

describe("a message of QoS 1 from the client", () => {
  for (const level of levels) {
    test(`level ${level}: [MQTT-4.3.2-4] [MQTT-2.2.1-5] [v3.1.1 MQTT-4.3.2-2] [v3.1.1 MQTT-2.3.1-6] is answered with a PUBACK of its packet id`, () => {
      const harness = new Harness()
      harness.client("sub", { level }).subscribe("a", { qos: 1 })
      const client = harness.client("pub", { level })
      const before = client.bytes.length
      for (const messageId of [1, 0x1234, 0xffff]) client.publish("a", "x", { qos: 1, messageId })
      expect(client.bytes.subarray(before).toString("hex")).toBe("4002000140021234" + "4002ffff")
    })

    test(`level ${level}: [MQTT-4.3.2-5] [v3.1.1 MQTT-4.3.2-2] is a new one after the PUBACK, whatever its id and DUP say`, () => {
      const harness = new Harness()
      const subscriber = harness.client("sub", { level }).subscribe("a", { qos: 1 })
      subscriber.take()
      const client = harness.client("pub", { level })
      client.publish("a", "x", { qos: 1, messageId: 7 }).publish("a", "x", { qos: 1, messageId: 7, dup: true })
      expect(heard(client)).toEqual(["puback 7", "puback 7"])
      expect(subscriber.messages()).toEqual(["a x", "a x"])
    })
  }

  test("[MQTT-4.3.2-4] is acknowledged when it has been accepted, not before: the PUBACK comes after the commit", async () => {
    const store = new LateStore()
    const harness = new Harness({ store })
    const pending = harness.connect({ clientId: "sub", ...durable() })
    await store.commitAll()
    pending.subscribe("a", { qos: 1 })
    await store.commitAll()
    pending.drop()
    const client = harness.client("pub")
    client.publish("a", "x", { qos: 1 })
    expect(heard(client)).toEqual([])
    await store.commitAll()
    expect(heard(client)).toEqual(["puback 1"])
    expect(store.committed.map((change) => [change.kind, ownerOf(change)])).toContainEqual(["queued", "sub"])
  })
})

describe("a message of QoS 1 to the client", () => {
  for (const level of levels) {
    test(`level ${level}: [MQTT-4.3.2-2] [v3.1.1 MQTT-4.3.2-1] goes out with DUP 0, QoS 1 and a packet id`, () => {
      const harness = new Harness()
      const subscriber = harness.client("sub", { level }).subscribe("a", { qos: 1 })
      const before = subscriber.bytes.length
      harness.client("pub", { level }).publish("a", "x", { qos: 1, messageId: 999 })
      const properties = level === 5 ? "00" : ""
      const length = level === 5 ? "07" : "06"
      expect(subscriber.bytes.subarray(before).toString("hex")).toBe(`32${length}0001610001${properties}78`)
    })

    test(`level ${level}: [MQTT-4.3.2-1] [MQTT-2.2.1-4] [v3.1.1 MQTT-4.3.2-1] [v3.1.1 MQTT-2.3.1-4] has an id that no unacknowledged one has`, () => {
      const harness = new Harness()
      const subscriber = harness.client("sub", { level }).subscribe("a", { qos: 1 })
      subscriber.take()
      const publisher = harness.client("pub", { level })
      for (let i = 0; i < 40; i++) publisher.publish("a", `${i}`, { qos: 1 })
      const ids = subscriber.take().map(({ messageId }) => messageId as number)
      expect(ids).toHaveLength(40)
      expect(new Set(ids).size).toBe(40)
      expect(ids).not.toContain(0)
    })

    test(`level ${level}: [MQTT-4.3.2-3] [MQTT-4.4.0-1] [MQTT-3.3.1-1] [v3.1.1 MQTT-4.3.2-1] [v3.1.1 MQTT-4.4.0-1] [v3.1.1 MQTT-3.3.1-1] [v3.1.1 MQTT-2.3.1-4] without PUBACK is sent again after a reconnect, same id, DUP 1`, () => {
      const harness = new Harness()
      const first = harness.client("sub", durable(level)).subscribe("a", { qos: 1 })
      first.take()
      const publisher = harness.client("pub", { level })
      for (const payload of ["x", "y", "z"]) publisher.publish("a", payload, { qos: 1 })
      expect(heard(first)).toEqual(["publish 1", "publish 2", "publish 3"])
      first.ack("puback", 2).drop()
      const second = harness.resume("sub", durable(level))
      expect(second.received.map(({ messageId, dup, payload }) => `${messageId} ${dup} ${payload}`)).toEqual([
        "1 true x",
        "3 true z",
      ])
      second.ack("puback", 1).ack("puback", 3).drop()
      expect(harness.resume("sub", durable(level)).received).toEqual([])
    })
  }

  test("[MQTT-4.4.0-1] is sent again on no other occasion", () => {
    const harness = new Harness()
    const subscriber = harness.client("sub", durable()).subscribe("a", { qos: 1 })
    harness.client("pub").publish("a", "x", { qos: 1 })
    subscriber.take()
    for (let minute = 0; minute < 60; minute++) {
      harness.clock.advance(60)
      subscriber.sendBytes("c000")
    }
    expect(new Set(heard(subscriber))).toEqual(new Set(["pingresp undefined"]))
  })

  for (const reasonCode of [0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99])
    test(`[MQTT-4.4.0-2] is done by a PUBACK of 0x${reasonCode.toString(16)} too: never sent again, its id free`, () => {
      const harness = new Harness()
      const subscriber = harness.client("sub", durable()).subscribe("a", { qos: 1 })
      harness.client("pub").publish("a", "x", { qos: 1 })
      subscriber.take()
      subscriber.ack("puback", 1, reasonCode)
      expect(harness.core.inflightCount).toBe(0)
      subscriber.drop()
      expect(harness.resume("sub").received).toEqual([])
    })

  test("[MQTT-4.4.0-2] acknowledged after a reconnect before its turn came is not sent again", () => {
    const harness = new Harness()
    const narrow = { ...durable(), properties: { sessionExpiryInterval: 3600, receiveMaximum: 1 } }
    const first = harness.client("sub", durable()).subscribe("a", { qos: 1 })
    const publisher = harness.client("pub")
    for (const payload of ["x", "y", "z"]) publisher.publish("a", payload, { qos: 1 })
    first.drop()
    const second = harness.resume("sub", narrow)
    expect(heard(second)).toEqual(["publish 1 dup"])
    second.ack("puback", 2) // what the first connection had brought
    second.take()
    second.ack("puback", 1)
    expect(heard(second)).toEqual(["publish 3 dup"])
    second.ack("puback", 3)
    publisher.publish("a", "more", { qos: 1 })
    expect(second.messages()).toEqual(["a more"])
    expect(harness.core.inflightCount).toBe(1)
  })

  test("acknowledged with an id that is not in use is not counted twice", () => {
    const harness = new Harness()
    const subscriber = harness.client("sub").subscribe("a", { qos: 1 })
    harness.client("pub").publish("a", "x", { qos: 1 })
    subscriber.ack("puback", 1).ack("puback", 1).ack("puback", 77)
    expect(harness.core.inflightCount).toBe(0)
    expect(subscriber.isClosed).toBe(false)
  })
})

describe("[MQTT-3.4.2-1] the reason of a PUBACK is one of its table", () => {
  test("a client's with another is a protocol error", () => {
    const harness = new Harness()
    const subscriber = harness.client("sub").subscribe("a", { qos: 1 })
    harness.client("pub").publish("a", "x", { qos: 1 })
    subscriber.take()
    subscriber.sendBytes("40 04 0001 9b 00")
    expect(heard(subscriber)[0]).toMatch(/^disconnect undefined 0x8[12]$/)
    expect(subscriber.isClosed).toBe(true)
  })

  test("nobody subscribes: 0x10 to a 5.0 client, success to the others", () => {
    const harness = new Harness()
    expect(heard(harness.client("five").publish("a", "x", { qos: 1 }))).toEqual(["puback 1 0x10"])
    for (const level of [3, 4] as const) {
      expect(heard(harness.client("old", { level }).publish("a", "x", { qos: 1 }))).toEqual(["puback 1"])
    }
  })
})

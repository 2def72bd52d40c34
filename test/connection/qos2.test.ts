import { describe, expect, test } from "bun:test"
import type { Auth } from "../../src/broker/ports.ts"
import { Reason } from "../../src/codec/index.ts"
import { durable, Harness, type TestClient } from "../support/harness.ts"

const levels = [3, 4, 5] as const

/** What came, in short: `publish 1 dup`, `pubrec 7 0x10`. */
const heard = (client: TestClient) =>
  client.take().map(({ cmd, messageId, dup, reasonCode }) => {
    const reason = reasonCode ? ` 0x${reasonCode.toString(16)}` : ""
    return `${cmd} ${messageId}${dup ? " dup" : ""}${reason}`
  })

function subscribed(level: 3 | 4 | 5 = 5) {
  const harness = new Harness()
  const subscriber = harness.client("sub", durable(level)).subscribe("a", { qos: 2 })
  subscriber.take()
  return { harness, subscriber, publisher: harness.client("pub", { level }) }
}

describe("a message of QoS 2 from the client", () => {
  for (const level of levels) {
    describe(`level ${level}`, () => {
      test("[MQTT-4.3.3-8] [MQTT-4.3.3-11] [MQTT-2.2.1-5] [v3.1.1 MQTT-4.3.3-2] [v3.1.1 MQTT-2.3.1-6] is answered by PUBREC, its PUBREL by PUBCOMP, all of one id", () => {
        const { publisher } = subscribed(level)
        const before = publisher.bytes.length
        publisher.publish("a", "x", { qos: 2, messageId: 0x1234 }).sendBytes("6202 1234").sendBytes("6202 1234")
        const again = level === 5 ? "7003123492" : "70021234"
        expect(publisher.bytes.subarray(before).toString("hex")).toBe(`5002123470021234${again}`)
      })

      test("[MQTT-4.3.3-10] [v3.1.1 MQTT-4.3.3-2] is acknowledged again and not delivered again until its PUBREL", () => {
        const { publisher, subscriber } = subscribed(level)
        publisher.publish("a", "x", { qos: 2, messageId: 7 }).publish("a", "x", { qos: 2, messageId: 7, dup: true })
        expect(heard(publisher)).toEqual(["pubrec 7", "pubrec 7"])
        expect(subscriber.messages()).toEqual(["a x"])
      })

      test("[MQTT-4.3.3-10] [v3.1.1 MQTT-4.3.3-2] [v3.1.1 MQTT-4.1.0-1] is not delivered again over a reconnect either", () => {
        const { harness, subscriber } = subscribed(level)
        const first = harness.client("p", durable(level)).publish("a", "x", { qos: 2, messageId: 7 })
        first.drop()
        const second = harness.resume("p", durable(level))
        second.publish("a", "x", { qos: 2, messageId: 7, dup: true }).ack("pubrel", 7)
        expect(heard(second)).toEqual(["pubrec 7", "pubcomp 7"])
        expect(subscriber.messages()).toEqual(["a x"])
      })

      test("[MQTT-4.3.3-12] [v3.1.1 MQTT-4.3.3-2] after PUBCOMP is a new one, whatever its DUP says", () => {
        const { publisher, subscriber } = subscribed(level)
        publisher.publish("a", "x", { qos: 2, messageId: 7 }).ack("pubrel", 7)
        publisher.publish("a", "y", { qos: 2, messageId: 7, dup: true }).ack("pubrel", 7)
        expect(heard(publisher)).toEqual(["pubrec 7", "pubcomp 7", "pubrec 7", "pubcomp 7"])
        expect(subscriber.messages()).toEqual(["a x", "a y"])
      })
    })
  }

  test("[MQTT-4.3.3-9] after a PUBREC of 0x80 or above is a new one", () => {
    let isAllowed = false
    const auth: Auth = { authenticate: () => true, authorize: (_, action) => action !== "publish" || isAllowed }
    const harness = new Harness({ auth })
    const subscriber = harness.client("sub").subscribe("a", { qos: 2 })
    const publisher = harness.client("pub").publish("a", "x", { qos: 2, messageId: 7 })
    expect(heard(publisher)).toEqual(["pubrec 7 0x87"])
    isAllowed = true
    publisher.publish("a", "y", { qos: 2, messageId: 7 })
    expect(heard(publisher)).toEqual(["pubrec 7"])
    expect(subscriber.messages()).toEqual(["a y"])
  })

  test("[MQTT-4.3.3-13] is acknowledged to the end although it has expired", () => {
    const { harness, publisher } = subscribed()
    publisher.publish("a", "x", { qos: 2, messageId: 7, properties: { messageExpiryInterval: 1 } })
    harness.clock.advance(5)
    publisher.publish("a", "x", { qos: 2, messageId: 7, dup: true, properties: { messageExpiryInterval: 1 } })
    publisher.ack("pubrel", 7)
    expect(heard(publisher)).toEqual(["pubrec 7", "pubrec 7", "pubcomp 7"])
  })

  test("ends with its session: the id means nothing to the next one", () => {
    const { harness, subscriber } = subscribed()
    harness.client("p").publish("a", "x", { qos: 2, messageId: 7 }).drop()
    harness.client("p").publish("a", "y", { qos: 2, messageId: 7 })
    expect(subscriber.messages()).toEqual(["a x", "a y"])
  })
})

describe("a message of QoS 2 to the client", () => {
  for (const level of levels) {
    describe(`level ${level}`, () => {
      test("[MQTT-4.3.3-2] [v3.1.1 MQTT-4.3.3-1] goes out with DUP 0, QoS 2 and a packet id", () => {
        const { publisher, subscriber } = subscribed(level)
        const before = subscriber.bytes.length
        publisher.publish("a", "x", { qos: 2, messageId: 999 })
        const [length, properties] = level === 5 ? ["07", "00"] : ["06", ""]
        expect(subscriber.bytes.subarray(before).toString("hex")).toBe(`34${length}0001610001${properties}78`)
      })

      test("[MQTT-4.3.3-4] [MQTT-2.2.1-5] [MQTT-3.6.1-1] [v3.1.1 MQTT-4.3.3-1] [v3.1.1 MQTT-2.3.1-6] PUBREC is answered by PUBREL of the same id and flags 0010", () => {
        const { publisher, subscriber } = subscribed(level)
        for (const payload of ["x", "y"]) publisher.publish("a", payload, { qos: 2 })
        const before = subscriber.bytes.length
        subscriber.ack("pubrec", 2).ack("pubrec", 1)
        expect(subscriber.bytes.subarray(before).toString("hex")).toBe("6202000262020001")
      })

      test("[MQTT-4.3.3-3] [MQTT-4.4.0-1] [MQTT-3.3.1-1] [v3.1.1 MQTT-4.3.3-1] [v3.1.1 MQTT-4.4.0-1] [v3.1.1 MQTT-3.3.1-1] without PUBREC is sent again after a reconnect, same id, DUP 1", () => {
        const { harness, publisher, subscriber } = subscribed(level)
        publisher.publish("a", "x", { qos: 2 })
        subscriber.drop()
        const again = harness.resume("sub", durable(level))
        expect(again.received).toMatchObject([{ cmd: "publish", messageId: 1, dup: true, qos: 2, topic: "a" }])
        expect(`${again.received[0]!.payload}`).toBe("x")
      })

      test("[MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-4.4.0-1] [v3.1.1 MQTT-4.3.3-1] [v3.1.1 MQTT-4.4.0-1] without PUBCOMP its PUBREL is sent again after a reconnect, and no PUBLISH", () => {
        const { harness, publisher, subscriber } = subscribed(level)
        publisher.publish("a", "x", { qos: 2 })
        subscriber.ack("pubrec", 1).drop()
        const second = harness.resume("sub", durable(level))
        expect(heard(second)).toEqual(["pubrel 1"])
        second.ack("pubrec", 1) // late, a second time
        expect(heard(second)).toEqual(["pubrel 1"])
        second.drop()
        const third = harness.resume("sub", durable(level))
        expect(heard(third)).toEqual(["pubrel 1"])
        third.ack("pubcomp", 1).drop()
        expect(harness.resume("sub", durable(level)).received).toEqual([])
        expect(harness.core.inflightCount).toBe(0)
      })

      test("[MQTT-4.4.0-1] [v3.1.1 MQTT-4.4.0-1] [v3.1.1 MQTT-4.1.0-1] PUBLISH of both QoS and PUBREL are all sent again, with their ids and nothing else", () => {
        const { harness, publisher, subscriber } = subscribed(level)
        publisher.publish("a", "1", { qos: 2 }).publish("a", "2", { qos: 1 })
        publisher.publish("a", "3", { qos: 2 }).publish("a", "4", { qos: 1 }).publish("a", "5", { qos: 2 })
        subscriber.ack("pubrec", 1).ack("puback", 4).ack("pubrec", 5).ack("pubcomp", 5).drop()
        expect(heard(harness.resume("sub", durable(level)))).toEqual(["pubrel 1", "publish 2 dup", "publish 3 dup"])
      })
    })
  }

  test("[MQTT-4.3.3-1] [MQTT-2.2.1-4] [v3.1.1 MQTT-4.3.3-1] [v3.1.1 MQTT-2.3.1-4] keeps its id until PUBCOMP, while 70,000 others pass", () => {
    const { harness, publisher, subscriber } = subscribed(4)
    publisher.publish("a", "held", { qos: 2 }).publish("a", "released", { qos: 2 })
    subscriber.ack("pubrec", 2).take()
    const seen = new Uint32Array(65_536)
    for (let i = 0; i < 70_000; i++) {
      subscriber.bytes = publisher.bytes = Buffer.alloc(0)
      publisher.publish("a", "x", { qos: 1, messageId: 1 })
      const { messageId } = subscriber.take()[0]!
      seen[messageId!]!++
      subscriber.ack("puback", messageId!)
    }
    expect([...seen.subarray(0, 3)]).toEqual([0, 0, 0])
    expect(seen[65_535]).toBe(1)
    expect(Math.max(...seen)).toBe(2) // round once and on
    expect(harness.core.inflightCount).toBe(2)
  })

  test("[MQTT-4.3.3-4] a PUBREC of 0x10 is answered by PUBREL", () => {
    const { publisher, subscriber } = subscribed()
    publisher.publish("a", "x", { qos: 2 })
    subscriber.take()
    subscriber.ack("pubrec", 1, 0x10)
    expect(heard(subscriber)).toEqual(["pubrel 1"])
  })

  for (const reasonCode of [0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99])
    test(`[MQTT-4.3.3-4] [MQTT-4.4.0-2] a PUBREC of 0x${reasonCode.toString(16)} ends it: no PUBREL, nothing sent again, the id free`, () => {
      const { harness, publisher, subscriber } = subscribed()
      publisher.publish("a", "x", { qos: 2 })
      subscriber.take()
      subscriber.ack("pubrec", 1, reasonCode)
      expect(heard(subscriber)).toEqual([])
      expect(harness.core.inflightCount).toBe(0)
      subscriber.drop()
      expect(harness.resume("sub").received).toEqual([])
    })

  test("[MQTT-4.3.3-7] that has been sent is sent again and completed although it has expired", () => {
    const { harness, publisher, subscriber } = subscribed()
    publisher.publish("a", "x", { qos: 2, properties: { messageExpiryInterval: 5 } })
    subscriber.drop()
    harness.clock.advance(10)
    const again = harness.resume("sub")
    expect(heard(again)).toEqual(["publish 1 dup"])
    again.ack("pubrec", 1).ack("pubcomp", 1)
    expect(heard(again)).toEqual(["pubrel 1"])
  })

  test("a PUBREC for no message of ours is answered by PUBREL 0x92, so that the client can forget it", () => {
    const { subscriber } = subscribed()
    expect(heard(subscriber.ack("pubrec", 77))).toEqual(["pubrel 77 0x92"])
  })

  for (const [sent, what] of [
    ["4002 0001", "a PUBACK"],
    ["7002 0001", "a PUBCOMP before its PUBREC"],
  ] as const)
    test(`${what} for a message of QoS 2 is a protocol error`, () => {
      const { publisher, subscriber } = subscribed()
      publisher.publish("a", "x", { qos: 2 })
      subscriber.take()
      expect(heard(subscriber.sendBytes(sent))).toEqual(["disconnect undefined 0x82"])
    })
})

describe("reasons", () => {
  for (const [clause, sent] of [
    ["[MQTT-3.5.2-1] PUBREC", "50 04 0001 92 00"],
    ["[MQTT-3.6.2-1] PUBREL", "62 04 0001 55 00"],
    ["[MQTT-3.7.2-1] PUBCOMP", "70 04 0001 80 00"],
  ] as const)
    test(`${clause} with a reason that is not of its table is a protocol error`, () => {
      const client = new Harness().client("a").sendBytes(sent)
      expect(heard(client)[0]).toMatch(/^disconnect undefined 0x8[12]$/)
      expect(client.isClosed).toBe(true)
    })

  test("[MQTT-3.7.2-1] a PUBREL of an open flow is answered with 0x00, of an unknown id with 0x92", () => {
    const client = new Harness()
      .client("a")
      .publish("t", "x", { qos: 2, messageId: 5 })
      .ack("pubrel", 5)
      .ack("pubrel", 6)
    expect(heard(client)).toEqual(["pubrec 5 0x10", "pubcomp 5", "pubcomp 6 0x92"])
  })

  for (const qos of [1, 2] as const)
    test(`[MQTT-3.4.2-1] [MQTT-3.5.2-1] QoS ${qos}: whatever auth says, the client gets a reason of the table`, () => {
      const allowed = [0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]
      for (const reason of Object.values(Reason)) {
        const auth: Auth = { authenticate: () => true, authorize: () => reason }
        const [ack] = new Harness({ auth }).client("a").publish("t", "x", { qos }).take()
        expect(ack!.cmd).toBe(qos === 1 ? "puback" : "pubrec")
        expect(ack!.reasonCode!).toBe(reason === 0 ? 0x10 : allowed.includes(reason) ? reason : 0x87)
      }
    })
})

describe("[MQTT-3.6.1-1] [v3.1.1 MQTT-3.6.1-1] the flags of PUBREL are 0010", () => {
  for (const level of [4, 5] as const)
    for (let flags = 0; flags < 16; flags++)
      test(`level ${level}: ${flags.toString(2).padStart(4, "0")}`, () => {
        const client = new Harness().client("a", { level }).publish("t", "x", { qos: 2, messageId: 1 })
        client.take()
        client.sendBytes(Buffer.from([0x60 | flags, 2, 0, 1]))
        if (flags === 2) expect(heard(client)).toEqual(["pubcomp 1"])
        else expect(heard(client)).toEqual(level === 5 ? ["disconnect undefined 0x81"] : [])
        expect(client.isClosed).toBe(flags !== 2)
      })
})

describe("acknowledgements fit the client's Maximum Packet Size, whatever could explain them", () => {
  for (const [clause, send] of [
    ["[MQTT-3.4.2-2] [MQTT-3.4.2-3] PUBACK", (c: TestClient) => c.publish("denied", "x", { qos: 1, messageId: 9 })],
    ["[MQTT-3.5.2-2] [MQTT-3.5.2-3] PUBREC", (c: TestClient) => c.publish("denied", "x", { qos: 2, messageId: 9 })],
    ["[MQTT-3.6.2-2] [MQTT-3.6.2-3] PUBREL", (c: TestClient) => c.ack("pubrec", 9)],
    ["[MQTT-3.7.2-2] [MQTT-3.7.2-3] PUBCOMP", (c: TestClient) => c.ack("pubrel", 9)],
  ] as const)
    test(clause, () => {
      const auth: Auth = { authenticate: () => true, authorize: () => false }
      // the smallest in which a CONNACK fits
      const client = new Harness({ auth }).client("a", { properties: { maximumPacketSize: 18 } })
      const before = client.bytes.length
      send(client)
      expect(client.take()).toMatchObject([{ messageId: 9 }])
      expect(client.bytes.length - before).toBeLessThanOrEqual(18)
    })
})

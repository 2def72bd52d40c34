import { describe, expect, test } from "bun:test"
import type { Auth } from "../../src/broker/ports.ts"
import { type ConnectFields, durable, Harness, type TestClient } from "../support/harness.ts"
import { LateStore } from "../support/store.ts"

const heard = (client: TestClient) =>
  client.take().map(({ cmd, messageId, reasonCode }) => {
    const reason = reasonCode ? ` 0x${reasonCode.toString(16)}` : ""
    return `${cmd}${messageId === undefined ? "" : ` ${messageId}`}${reason}`
  })

const withMaximum = (receiveMaximum: number): ConnectFields => ({
  ...durable(),
  properties: { sessionExpiryInterval: 3600, receiveMaximum },
})

/** A subscriber with a Receive Maximum, at QoS 1 and 2, and a publisher. */
function narrow(receiveMaximum: number, limits = {}) {
  const harness = new Harness({ limits })
  const subscriber = harness.client("sub", withMaximum(receiveMaximum)).subscribe("a/#", { qos: 2 })
  subscriber.take()
  const publisher = harness.client("pub")
  const publish = (count: number, qos: 0 | 1 | 2) => {
    for (let i = 0; i < count; i++) {
      publisher.bytes = Buffer.alloc(0)
      publisher.publish("a/b", "x", qos === 0 ? {} : { qos, messageId: 1 })
      if (qos === 2) publisher.ack("pubrel", 1)
    }
    publisher.take()
  }
  return { harness, subscriber, publish }
}

describe("[MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2] to the client: no more unacknowledged than its Receive Maximum", () => {
  for (const receiveMaximum of [1, 2, 7])
    for (const qos of [1, 2] as const)
      test(`QoS ${qos}, ${receiveMaximum}`, () => {
        const { subscriber, publish } = narrow(receiveMaximum)
        publish(20, qos)
        expect(subscriber.take()).toHaveLength(receiveMaximum)
      })

  test("each PUBACK lets one more go", () => {
    const { subscriber, publish } = narrow(2)
    publish(5, 1)
    expect(heard(subscriber)).toEqual(["publish 1", "publish 2"])
    expect(heard(subscriber.ack("puback", 2))).toEqual(["publish 3"])
    expect(heard(subscriber.ack("puback", 1, 0x80))).toEqual(["publish 4"])
    expect(heard(subscriber.ack("puback", 1))).toEqual([]) // not twice
  })

  test("PUBCOMP and a PUBREC of 0x80 or above let one more go, a PUBREC below does not", () => {
    const { subscriber, publish } = narrow(2)
    publish(5, 2)
    expect(heard(subscriber)).toEqual(["publish 1", "publish 2"])
    expect(heard(subscriber.ack("pubrec", 1))).toEqual(["pubrel 1"])
    expect(heard(subscriber.ack("pubcomp", 1))).toEqual(["publish 3"])
    expect(heard(subscriber.ack("pubrec", 2, 0x97))).toEqual(["publish 4"])
    expect(heard(subscriber.ack("pubrec", 3, 0x10))).toEqual(["pubrel 3"])
    expect(heard(subscriber.ack("pubcomp", 3, 0x92))).toEqual(["publish 5"])
  })

  test("what is sent again after a reconnect counts, with the maximum of the new connection", () => {
    const { harness, subscriber, publish } = narrow(5)
    publish(8, 1)
    subscriber.drop()
    const second = harness.resume("sub", withMaximum(2))
    expect(heard(second)).toEqual(["publish 1", "publish 2"])
    expect(heard(second.ack("puback", 1).ack("puback", 2))).toEqual(["publish 3", "publish 4"])
    second.drop()
    const third = harness.resume("sub", withMaximum(100))
    expect(heard(third)).toEqual(["publish 3", "publish 4", "publish 5", "publish 6", "publish 7", "publish 8"])
  })

  test("a PUBREL that is sent again does not count, and its PUBCOMP lets nothing more go", () => {
    const { harness, subscriber, publish } = narrow(2)
    publish(2, 2)
    subscriber.ack("pubrec", 1).ack("pubrec", 2).drop()
    publish(5, 1)
    const second = harness.resume("sub", withMaximum(2))
    expect(heard(second)).toEqual(["pubrel 1", "pubrel 2", "publish 3", "publish 4"])
    expect(heard(second.ack("pubcomp", 1).ack("pubcomp", 2))).toEqual([])
    expect(heard(second.ack("puback", 3))).toEqual(["publish 5"])
  })

  test("absent, it is 65535, of which the broker's own bound leaves less", () => {
    const harness = new Harness({ limits: { maximumInflight: 30 } })
    const subscriber = harness.client("sub").subscribe("a", { qos: 1 })
    subscriber.take()
    const publisher = harness.client("pub")
    for (let i = 0; i < 50; i++) publisher.publish("a", "x", { qos: 1 })
    expect(subscriber.take()).toHaveLength(30)
  })

  test("0 in CONNECT is a protocol error", () => {
    const client = new Harness().open().sendBytes("10 11 0004 4d515454 05 02 0000 03 210000 0001 61")
    expect(client.take()).toMatchObject([{ cmd: "connack", reasonCode: 0x82 }])
    expect(client.isClosed).toBe(true)
  })
})

describe("a client that answers with PUBREC and never with PUBCOMP", () => {
  test("gets no more packet ids than the broker's bound, however often it connects", () => {
    const { harness, subscriber, publish } = narrow(10, { maximumInflight: 25 })
    publish(100, 2)
    let client = subscriber
    for (let connection = 0; connection < 20; connection++) {
      const released = client.take().filter(({ cmd }) => cmd === "publish")
      for (const { messageId } of released) client.ack("pubrec", messageId!)
      expect(harness.core.inflightCount).toBeLessThanOrEqual(25)
      client.drop()
      client = harness.resume("sub", withMaximum(10))
    }
    expect(harness.core.inflightCount).toBe(25)
    const pubrels = client.take()
    expect(pubrels.map(({ cmd }) => cmd)).toEqual(new Array(25).fill("pubrel"))
    for (const { messageId } of pubrels) client.ack("pubcomp", messageId!)
    expect(client.take()).toHaveLength(10) // the whole window is open again
  })

  test("cannot make the broker look for an id when all 65535 are taken", () => {
    const { harness, subscriber, publish } = narrow(65_535, {
      maximumInflight: 65_535,
      maximumQueuedMessages: 100_000,
    })
    const receiveAll = (client: TestClient) => {
      client.bytes = Buffer.alloc(0)
      const ids = client.take().flatMap(({ cmd, messageId }) => (cmd === "publish" ? [messageId!] : []))
      client.sendBytes(Buffer.concat(ids.map((id) => Buffer.from([0x50, 2, id >> 8, id & 0xff]))))
      return ids.length
    }
    subscriber.drop()
    publish(66_000, 2)
    const second = harness.resume("sub", withMaximum(65_535))
    expect(receiveAll(second)).toBe(65_535)
    second.drop()
    const third = harness.resume("sub", withMaximum(65_535))
    expect(receiveAll(third)).toBe(0)
    third.take()
    expect(heard(third.ack("pubcomp", 77))).toEqual(["publish 77"])
  }, 30_000)
})

describe("[MQTT-3.3.4-10] [MQTT-4.9.0-3] with the window full everything else goes on", () => {
  test("PINGRESP, SUBACK, UNSUBACK, PUBACK, PUBREC, PUBCOMP, PUBREL and messages of QoS 0", () => {
    const { subscriber, publish } = narrow(1)
    publish(3, 2)
    subscriber.take()
    subscriber.sendBytes("c000").subscribe("b").publish("c", "x", { qos: 1 }).publish("c", "x", { qos: 2 })
    subscriber.send({ cmd: "unsubscribe", messageId: 99, unsubscriptions: ["b"] })
    publish(1, 0)
    subscriber.ack("pubrel", 4).ack("pubrec", 1)
    expect(subscriber.take().map(({ cmd }) => cmd)).toEqual([
      "pingresp",
      "suback",
      "puback",
      "pubrec",
      "unsuback",
      "publish",
      "pubcomp",
      "pubrel",
    ])
  })
})

describe("[MQTT-3.3.4-7] from the client: no more unacknowledged than the broker's Receive Maximum", () => {
  test("CONNACK says it", () => {
    const connack = new Harness({ limits: { receiveMaximum: 3 } }).connect().take()[0]!
    expect(connack.properties.receiveMaximum).toBe(3)
  })

  test("one more than that without PUBREL: DISCONNECT 0x93", () => {
    const harness = new Harness({ limits: { receiveMaximum: 3 } })
    const client = harness.client("a")
    for (let i = 0; i < 3; i++) client.publish("t", "x", { qos: 2 })
    expect(client.take()).toHaveLength(3)
    client.publish("t", "x", { qos: 1 })
    expect(heard(client)).toEqual(["disconnect 0x93"])
    expect(client.isClosed).toBe(true)
    expect(harness.core.metrics.limitsHit["receive maximum"]).toBe(1)
  })

  for (const level of [3, 4] as const)
    test(`level ${level} knows no such thing`, () => {
      const client = new Harness({ limits: { receiveMaximum: 3 } }).client("a", { level })
      for (let i = 0; i < 9; i++) client.publish("t", "x", { qos: 2 })
      expect(client.take()).toHaveLength(9)
    })

  test("PUBACK, PUBCOMP and a PUBREC of 0x80 or above end one each", () => {
    const auth: Auth = { authenticate: () => true, authorize: (_client, _action, topic) => topic !== "no" }
    const client = new Harness({ limits: { receiveMaximum: 2 }, auth }).client("a")
    client.publish("t", "x", { qos: 2, messageId: 1 }) // stays
    for (let i = 0; i < 10; i++) {
      client.publish("t", "x", { qos: 1, messageId: 2 })
      client.publish("no", "x", { qos: 1, messageId: 2 })
      client.publish("t", "x", { qos: 2, messageId: 2 }).ack("pubrel", 2)
      client.publish("no", "x", { qos: 2, messageId: 2 })
    }
    expect(client.isClosed).toBe(false)
    client.publish("t", "x", { qos: 2, messageId: 2 }).publish("t", "x", { qos: 2, messageId: 3 })
    expect(heard(client).at(-1)).toBe("disconnect 0x93")
  })

  describe("while acknowledgements wait for the store", () => {
    async function connected(receiveMaximum: number) {
      const store = new LateStore()
      const harness = new Harness({ store, limits: { receiveMaximum } })
      const client = harness.connect({ clientId: "a", ...durable() })
      await store.commitAll()
      client.take()
      return { store, harness, client }
    }

    for (const qos of [1, 2] as const)
      test(`QoS ${qos}: exactly as many are taken`, async () => {
        const { client, store, harness } = await connected(4)
        harness.client("keeper").subscribe("t", { qos: 1 })
        for (let i = 0; i < 4; i++) client.publish("t", `${i}`, { qos, retain: true })
        expect(client.isClosed).toBe(false)
        expect(heard(client)).toEqual([])
        await store.commitAll()
        expect(heard(client)).toHaveLength(4)
        for (let i = 0; i < (qos === 1 ? 5 : 1); i++) client.publish("t", `${i}`, { qos, retain: true })
        expect(heard(client)).toEqual(["disconnect 0x93"])
      })

    test("other acknowledgements that wait don't count", async () => {
      const { client, store } = await connected(2)
      client.subscribe("b").subscribe("c").subscribe("d").ack("pubrel", 77)
      client.publish("t", "x", { qos: 1, retain: true }).publish("t", "x", { qos: 1, retain: true })
      await store.commitAll()
      expect(heard(client)).toHaveLength(6)
      expect(client.isClosed).toBe(false)
    })
  })

  test("flows of an earlier connection are none of this one's: PUBREL is sent again beside a full window", async () => {
    const store = new LateStore()
    const harness = new Harness({ store, limits: { receiveMaximum: 2 } })
    const first = harness.connect({ clientId: "a", ...durable() })
    await store.commitAll()
    first.publish("t", "x", { qos: 2, messageId: 1 }).publish("t", "x", { qos: 2, messageId: 2 })
    await store.commitAll()
    first.drop()
    const second = harness.connect({ clientId: "a", ...durable() })
    await store.commitAll()
    second.take()
    second.ack("pubrel", 1).ack("pubrel", 2)
    second.publish("t", "x", { qos: 2, messageId: 3 }).publish("t", "x", { qos: 2, messageId: 4 })
    await store.commitAll()
    expect(heard(second)).toEqual(["pubcomp 1", "pubcomp 2", "pubrec 3 0x10", "pubrec 4 0x10"])
  })
})

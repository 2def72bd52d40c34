import { describe, expect, test } from "bun:test"
import { durable, Harness } from "../support/harness.ts"

const maximum = (maximumPacketSize: number, receiveMaximum = 100) => ({
  ...durable(),
  properties: { sessionExpiryInterval: 3600, maximumPacketSize, receiveMaximum },
})
/** A PUBLISH of QoS 1 to `a` has 8 bytes beside its payload. */
const payload = (packetBytes: number) => "x".repeat(packetBytes - 8)

describe("[MQTT-3.1.2-24] a message too large for its receiver is not sent", () => {
  for (const [way, prepare] of [
    ["live", (harness: Harness) => harness.client("sub", maximum(50)).subscribe("a", { qos: 1 })],
    [
      "among others with the same bytes",
      (harness: Harness) => {
        harness.client("wide").subscribe("a", { qos: 1 })
        return harness.client("sub", maximum(50)).subscribe("a", { qos: 1 })
      },
    ],
  ] as const)
    test(`${way}: 51 bytes are dropped and counted, 50 are sent`, () => {
      const harness = new Harness()
      const subscriber = prepare(harness)
      subscriber.take()
      harness.client("pub").publish("a", payload(51), { qos: 1 }).publish("a", payload(50), { qos: 1 })
      expect(subscriber.take()).toMatchObject([{ cmd: "publish", length: 48 }])
      expect(harness.core.metrics.dropped["packet too large"]).toBe(1)
    })

  for (const qos of [0, 1, 2] as const) {
    test(`QoS ${qos}, with everything that is the receiver's own: identifier, alias`, () => {
      const harness = new Harness()
      const properties = { ...maximum(40).properties, topicAliasMaximum: 5 }
      const subscriber = harness.client("sub", { ...durable(), properties })
      subscriber.subscribe("t/#", { qos, properties: { subscriptionIdentifier: 268_435_455 } })
      let before = subscriber.bytes.length
      const publisher = harness.client("pub")
      for (let size = 0; size < 50; size++) {
        publisher.publish("t/1234567890", "x".repeat(size), { qos })
        expect(subscriber.bytes.length - before).toBeLessThanOrEqual(40)
        before = subscriber.bytes.length
      }
      const sent = subscriber.take().filter(({ cmd }) => cmd === "publish").length
      expect(sent).toBeGreaterThan(5)
      expect(harness.core.metrics.dropped["packet too large"]).toBe(50 - sent)
    })

    test(`QoS ${qos}, retained`, () => {
      const harness = new Harness()
      const publisher = harness.client("pub")
      publisher.publish("t/1", payload(60), { qos, retain: true }).publish("t/2", "x", { qos, retain: true })
      const subscriber = harness.client("sub", maximum(50)).subscribe("t/#", { qos })
      expect(subscriber.messages()).toEqual(["t/2 x"])
      expect(harness.core.metrics.dropped["packet too large"]).toBe(1)
    })
  }

  test("CONNACK and SUBACK fit as well", () => {
    const harness = new Harness()
    const client = harness.client("sub", maximum(50)).subscribe(["a/#/b", "b"], { qos: 1 })
    expect(client.bytes.length).toBeLessThanOrEqual(100)
  })
})

describe("[MQTT-3.1.2-25] a message too large for its receiver is as good as delivered", () => {
  for (const qos of [1, 2] as const) {
    test(`QoS ${qos}: it keeps nothing of the window, live`, () => {
      const harness = new Harness()
      const subscriber = harness.client("sub", maximum(50, 1)).subscribe("a", { qos })
      subscriber.take()
      const publisher = harness.client("pub")
      for (let i = 0; i < 10; i++) publisher.publish("a", payload(60), { qos })
      publisher.publish("a", "x", { qos })
      expect(subscriber.messages()).toEqual(["a x"])
      expect([harness.core.inflightCount, harness.core.queueBytes]).toEqual([1, 0])
    })

    test(`QoS ${qos}: it keeps nothing of the window of a volatile session`, () => {
      const harness = new Harness()
      const subscriber = harness.client("sub", { properties: { maximumPacketSize: 50, receiveMaximum: 1 } })
      subscriber.subscribe("a", { qos }).take()
      const publisher = harness.client("pub")
      for (let i = 0; i < 10; i++) publisher.publish("a", payload(60), { qos })
      publisher.publish("a", "x", { qos })
      expect(subscriber.messages()).toEqual(["a x"])
      expect([harness.core.inflightCount, harness.core.sessions.get("sub")!.inflightCount]).toEqual([1, 1])
    })

    test(`QoS ${qos}: nor from the queue, and those behind it follow`, () => {
      const harness = new Harness()
      harness.client("sub", durable()).subscribe("a", { qos }).drop()
      const publisher = harness.client("pub")
      for (const message of [payload(60), "x", payload(60), payload(60), "y"]) publisher.publish("a", message, { qos })
      const subscriber = harness.resume("sub", maximum(50, 2))
      expect(subscriber.messages()).toEqual(["a x", "a y"])
      expect([harness.core.inflightCount, harness.core.queueBytes]).toEqual([2, 0])
      expect(harness.core.metrics.dropped["packet too large"]).toBe(3)
    })

    test(`QoS ${qos}: nor when it was sent before, to a client that took more then; it never comes again`, () => {
      const harness = new Harness()
      const first = harness.client("sub", durable()).subscribe("a", { qos })
      const publisher = harness.client("pub")
      for (const message of [payload(60), "x", "y"]) publisher.publish("a", message, { qos })
      first.drop()
      const second = harness.resume("sub", maximum(50, 1))
      const came = second.take().map(({ cmd, messageId, payload }) => `${cmd} ${messageId} ${payload ?? ""}`)
      expect(came).toEqual(["publish 2 x", ...(qos === 2 ? ["pubrel 1 "] : [])]) // its id is free, or has to be released
      if (qos === 2) second.ack("pubcomp", 1)
      second.drop()
      const third = harness.resume("sub")
      expect(third.messages()).toEqual(["a x", "a y"])
      expect(harness.core.inflightCount).toBe(2)
    })
  }

  test("the publisher and other subscribers notice nothing", () => {
    const harness = new Harness()
    harness.client("sub", maximum(50)).subscribe("a", { qos: 1 })
    const other = harness.client("other").subscribe("a", { qos: 1 })
    other.take()
    const publisher = harness.client("pub").publish("a", payload(60), { qos: 1 })
    expect(publisher.take()).toMatchObject([{ cmd: "puback", reasonCode: 0 }])
    expect(other.take()).toHaveLength(1)
  })
})

import { describe, expect, test } from "bun:test"
import { durable, Harness, type TestClient } from "../support/harness.ts"
import { LateStore } from "../support/store.ts"

const expiring = (seconds: number) => ({ properties: { messageExpiryInterval: seconds } })

/** Payload and Message Expiry Interval of the messages that have come. */
const heard = (client: TestClient) =>
  client
    .take()
    .filter(({ cmd }) => cmd === "publish")
    .map(({ payload, properties }) => `${payload} ${properties?.messageExpiryInterval ?? "-"}`)

describe("[MQTT-3.3.2-6] the Message Expiry Interval is forwarded less the time that the message has waited", () => {
  test("live: as it came", () => {
    const harness = new Harness()
    const subscriber = harness.client("sub").subscribe("a", { qos: 2 })
    const publisher = harness.client("pub")
    publisher.publish("a", "0", expiring(10)).publish("a", "1", { qos: 1, ...expiring(0xffffffff) })
    publisher.publish("a", "2", { qos: 2, ...expiring(1) }).publish("a", "3")
    expect(heard(subscriber)).toEqual(["0 10", "1 4294967295", "2 1", "3 -"])
  })

  for (const qos of [1, 2] as const)
    test(`QoS ${qos}, from the queue of a session that was away`, () => {
      const harness = new Harness()
      harness.client("sub", durable()).subscribe("a", { qos }).drop()
      const publisher = harness.client("pub")
      publisher.publish("a", "x", { qos, ...expiring(10) })
      harness.clock.advance(3)
      publisher.publish("a", "y", { qos, ...expiring(10) }).publish("a", "z", { qos })
      harness.clock.advance(1)
      expect(heard(harness.resume("sub"))).toEqual(["x 6", "y 9", "z -"])
    })

  test("from the queue before a window that was full", () => {
    const harness = new Harness({ limits: { maximumInflight: 1 } })
    const subscriber = harness.client("sub").subscribe("a", { qos: 1 })
    const publisher = harness.client("pub")
    for (const payload of ["x", "y"]) publisher.publish("a", payload, { qos: 1, ...expiring(10) })
    harness.clock.advance(4)
    subscriber.ack("puback", 1)
    expect(heard(subscriber)).toEqual(["x 10", "y 6"])
  })

  test("sent again", () => {
    const harness = new Harness()
    const subscriber = harness.client("sub", durable()).subscribe("a", { qos: 1 })
    harness.client("pub").publish("a", "x", { qos: 1, ...expiring(10) })
    subscriber.drop()
    harness.clock.advance(4)
    expect(heard(harness.resume("sub"))).toEqual(["x 6"])
  })

  test("retained", () => {
    const harness = new Harness()
    harness.client("pub").publish("a", "x", { retain: true, ...expiring(10) })
    harness.clock.advance(4)
    expect(heard(harness.client("sub").subscribe("a"))).toEqual(["x 6"])
  })

  test("for a share group whose members were all away", () => {
    const harness = new Harness()
    harness.client("sub", durable()).subscribe("$share/g/a", { qos: 1 }).drop()
    harness.client("pub").publish("a", "x", { qos: 1, ...expiring(10) })
    harness.clock.advance(4)
    expect(heard(harness.resume("sub"))).toEqual(["x 6"])
  })

  test("a receiver of 3.1.1 sees none of it, and gets nothing that has expired", () => {
    const harness = new Harness()
    harness.client("sub", durable(4)).subscribe("a", { qos: 1 }).drop()
    const publisher = harness.client("pub")
    publisher.publish("a", "x", { qos: 1, ...expiring(2) }).publish("a", "y", { qos: 1, ...expiring(10) })
    harness.clock.advance(4)
    expect(heard(harness.resume("sub", durable(4)))).toEqual(["y -"])
  })
})

describe("[MQTT-3.3.2-5] a message that has expired before it could be sent is dropped, and counted", () => {
  for (const qos of [1, 2] as const)
    test(`QoS ${qos}, in the queue of a session that was away; those beside it are not`, () => {
      const harness = new Harness()
      harness.client("sub", durable()).subscribe("a", { qos }).drop()
      const publisher = harness.client("pub")
      publisher.publish("a", "0", { qos }).publish("a", "x", { qos, ...expiring(10) })
      publisher.publish("a", "1", { qos }).publish("a", "y", { qos, ...expiring(11) })
      publisher.publish("a", "2", { qos, ...expiring(12) })
      harness.clock.advance(11)
      expect(heard(harness.resume("sub"))).toEqual(["0 -", "1 -", "2 1"])
      expect(harness.core.metrics.dropped["message expired"]).toBe(2)
      expect(harness.core.queueBytes).toBe(0)
    })

  test("the copies that were sent in time are not touched", () => {
    const harness = new Harness()
    const connected = harness.client("here").subscribe("a", { qos: 1 })
    harness.client("away", durable()).subscribe("a", { qos: 1 }).drop()
    harness.client("pub").publish("a", "x", { qos: 1, ...expiring(10) })
    harness.clock.advance(11)
    expect(heard(connected)).toEqual(["x 10"])
    expect(heard(harness.resume("away"))).toEqual([])
  })

  test("in the queue before a window that was full", () => {
    const harness = new Harness({ limits: { maximumInflight: 1 } })
    const subscriber = harness.client("sub").subscribe("a", { qos: 1 })
    const publisher = harness.client("pub")
    publisher.publish("a", "x", { qos: 1 })
    for (let i = 0; i < 5; i++) publisher.publish("a", "y", { qos: 1, ...expiring(1) })
    publisher.publish("a", "z", { qos: 1 })
    harness.clock.advance(2)
    subscriber.ack("puback", 1)
    expect(heard(subscriber)).toEqual(["x -", "z -"])
    expect([harness.core.metrics.dropped["message expired"], harness.core.queueBytes]).toEqual([5, 0])
  })

  test("makes room in a queue that is full", () => {
    const harness = new Harness({ limits: { maximumQueuedMessages: 2 } })
    harness.client("sub", durable()).subscribe("a", { qos: 1 }).drop()
    const publisher = harness.client("pub")
    for (const payload of ["x", "y"]) publisher.publish("a", payload, { qos: 1, ...expiring(1) })
    harness.clock.advance(2)
    publisher.publish("a", "z", { qos: 1 })
    expect(heard(harness.resume("sub"))).toEqual(["z -"])
  })

  test("waiting for a share group", () => {
    const harness = new Harness()
    harness.client("sub", durable()).subscribe("$share/g/a", { qos: 1 }).drop()
    const publisher = harness.client("pub")
    publisher.publish("a", "x", { qos: 1, ...expiring(1) }).publish("a", "y", { qos: 1 })
    harness.clock.advance(2)
    expect(heard(harness.resume("sub"))).toEqual(["y -"])
    expect(harness.core.queueBytes).toBe(0)
  })

  test("at QoS 2, while it waited to be durable and its client was away", async () => {
    const store = new LateStore()
    const harness = new Harness({ store })
    const first = harness.connect({ clientId: "sub", ...durable() })
    await store.commitAll()
    first.subscribe("a", { qos: 2 })
    await store.commitAll()
    first.take()
    harness.client("pub").publish("a", "x", { qos: 2, ...expiring(5) })
    expect(first.take()).toEqual([])
    first.drop()
    await store.commitAll()
    harness.clock.advance(10)
    const second = harness.connect({ clientId: "sub", ...durable() })
    await store.commitAll()
    expect(heard(second)).toEqual([])
    expect([harness.core.inflightCount, harness.core.metrics.dropped["message expired"]]).toEqual([0, 1])
  })

  test("retained: it is gone for subscribers at its time, and from memory", () => {
    const harness = new Harness()
    const publisher = harness.client("pub")
    publisher.publish("a", "x", { retain: true, ...expiring(10) }).publish("b", "y", { retain: true })
    harness.clock.advance(9.9)
    expect(heard(harness.client("one").subscribe("#"))).toEqual(["x 1", "y -"])
    harness.clock.advance(0.1)
    expect(heard(harness.client("two").subscribe("#"))).toEqual(["y -"])
    harness.clock.advance(1)
    expect(harness.core.retained.count).toBe(1)
  })

  test("retained and replaced: only the expiry of the last one counts, and no timer is left of the others", () => {
    const harness = new Harness()
    const publisher = harness.client("pub")
    for (let i = 0; i < 100; i++) publisher.publish("a", `${i}`, { retain: true, ...expiring(10 + i) })
    publisher.publish("b", "x", { retain: true, ...expiring(10) }).publish("b", "", { retain: true })
    publisher.publish("a", "last", { retain: true })
    harness.clock.advance(1)
    expect(harness.clock.recurringCount).toBe(0) // nothing waits for any of them
    publisher.publish("a", "soon", { retain: true, ...expiring(5) })
    publisher.publish("a", "late", { retain: true, ...expiring(20) })
    harness.clock.advance(10)
    expect(heard(harness.client("sub").subscribe("a"))).toEqual(["late 10"])
    harness.clock.advance(11)
    expect([harness.core.retained.count, harness.clock.recurringCount]).toEqual([0, 0])
  })
})

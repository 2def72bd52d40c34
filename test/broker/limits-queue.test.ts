import { describe, expect, test } from "bun:test"
import { durable, Harness } from "../support/harness.ts"

const OVERHEAD_BYTES = 200
/** What a message to `t` weighs in a queue, with its payload. */
const weight = (payloadBytes: number) => OVERHEAD_BYTES + 1 + payloadBytes

function away(limits: ConstructorParameters<typeof Harness>[0] = {}, clientIds = ["a"]) {
  const harness = new Harness(limits)
  for (const clientId of clientIds) harness.client(clientId, durable()).subscribe("t", { qos: 2 }).drop()
  return { harness, publisher: harness.client("pub", { level: 4 }) }
}

describe("the messages that wait for a session", () => {
  for (const qos of [1, 2] as const)
    test(`QoS ${qos}: the newest is dropped where there are maximumQueuedMessages`, () => {
      const { harness, publisher } = away({ limits: { maximumQueuedMessages: 3 } })
      for (let i = 0; i < 5; i++) publisher.publish("t", `${i}`, { qos })
      expect(harness.core.metrics.dropped["queue full"]).toBe(2)
      expect(harness.resume("a").messages()).toEqual(["t 0", "t 1", "t 2"])
      expect(harness.core.queueBytes).toBe(0)
    })

  test("0 of them: what is in flight is kept, nothing beside it", () => {
    const { harness, publisher } = away({ limits: { maximumQueuedMessages: 0 } })
    publisher.publish("t", "x", { qos: 1 })
    const client = harness.resume("a")
    publisher.publish("t", "y", { qos: 1 })
    client.drop()
    expect(harness.resume("a").messages()).toEqual(["t y"])
    expect(harness.core.metrics.dropped["queue full"]).toBe(1)
  })

  test("the same where maximumQueuedBytes would be passed; a smaller one behind may fit", () => {
    const { harness, publisher } = away({ limits: { maximumQueuedBytes: weight(100) + weight(50) } })
    for (const size of [100, 100, 51, 50, 0]) publisher.publish("t", "x".repeat(size), { qos: 1 })
    expect(harness.core.metrics.dropped["queue full"]).toBe(3)
    expect(harness.core.queueBytes).toBe(weight(100) + weight(50))
    expect(
      harness
        .resume("a")
        .messages()
        .map((line) => line.length - 2),
    ).toEqual([100, 50])
  })

  test("the same where all sessions together pass maximumQueueMemoryBytes, counted as that", () => {
    const { harness, publisher } = away({ limits: { maximumQueueMemoryBytes: 3 * weight(10) } }, ["a", "b"])
    for (let i = 0; i < 2; i++) publisher.publish("t", "x".repeat(10), { qos: 1 })
    expect(harness.core.metrics.dropped["queue memory full"]).toBe(1)
    expect(harness.core.queueBytes).toBe(3 * weight(10))
    const first = harness.resume("a")
    expect(first.messages()).toHaveLength(2)
    expect(harness.core.queueBytes).toBe(weight(10))
    publisher.publish("t", "y", { qos: 1 }) // there is room again
    expect(harness.resume("b").messages()).toHaveLength(2)
    expect(harness.core.queueBytes).toBe(0)
    expect(harness.core.metrics.droppedTotal).toBe(1)
  })

  test("those of QoS 0 are none: they wait for nobody, and are not counted as dropped", () => {
    const { harness, publisher } = away()
    publisher.publish("t", "x")
    expect([harness.core.queueBytes, harness.core.metrics.droppedTotal]).toEqual([0, 0])
    expect(harness.resume("a").messages()).toEqual([])
  })

  test("topic and properties weigh as well", () => {
    const { harness } = away()
    const properties = { contentType: "t".repeat(100) }
    harness.client("five").publish("t", "x", { qos: 1, properties })
    expect(harness.core.queueBytes).toBe(weight(1) + 103)
  })

  test("a queue drops without its publisher or others noticing", () => {
    const { harness, publisher } = away({ limits: { maximumQueuedMessages: 1 } })
    const other = harness.client("other").subscribe("t", { qos: 1 })
    other.take()
    for (let i = 0; i < 5; i++) publisher.publish("t", `${i}`, { qos: 1 })
    expect(publisher.take().map(({ cmd }) => cmd)).toEqual(new Array(5).fill("puback"))
    expect(other.take()).toHaveLength(5)
  })

  test("those that are given back when the session ends by a clean start", () => {
    const { harness, publisher } = away({}, ["a", "b"])
    for (let i = 0; i < 10; i++) publisher.publish("t", "x", { qos: 1 })
    expect(harness.core.queueBytes).toBe(20 * weight(1))
    harness.client("a", { clean: true })
    expect(harness.core.queueBytes).toBe(10 * weight(1))
    harness.clock.advance(3601)
    expect(harness.core.queueBytes).toBe(0)
  })

  test("a share group whose members are all away has the same bounds", () => {
    const harness = new Harness({ limits: { maximumQueuedMessages: 2, maximumQueueMemoryBytes: 3 * weight(1) } })
    for (const clientId of ["a", "b"]) harness.client(clientId, durable()).subscribe("$share/g/t", { qos: 1 }).drop()
    harness.client("c", durable()).subscribe("t", { qos: 1 }).drop()
    const publisher = harness.client("pub", { level: 4 })
    for (let i = 0; i < 4; i++) publisher.publish("t", "x", { qos: 1 })
    const { dropped } = harness.core.metrics
    expect(dropped["queue full"] + dropped["queue memory full"]).toBe(8 - 3)
    expect(harness.core.queueBytes).toBe(3 * weight(1))
    harness.clock.advance(3601)
    expect(harness.core.queueBytes).toBe(0)
  })
})

describe("the messages in flight to a client", () => {
  test("are maximumInflight at most, the rest waits in order", () => {
    const harness = new Harness({ limits: { maximumInflight: 2, maximumQueuedMessages: 3 } })
    const client = harness.client("a").subscribe("t", { qos: 1 })
    client.take()
    const publisher = harness.client("pub", { level: 4 })
    for (let i = 0; i < 7; i++) publisher.publish("t", `${i}`, { qos: 1 })
    const got: string[] = []
    for (let packets = client.take(); packets.length > 0; packets = client.take()) {
      expect(packets.length).toBeLessThanOrEqual(2)
      for (const { messageId, payload } of packets) {
        got.push(`${payload}`)
        client.ack("puback", messageId!)
      }
    }
    expect(got).toEqual(["0", "1", "2", "3", "4"])
    expect(harness.core.metrics.dropped["queue full"]).toBe(2)
    expect([harness.core.inflightCount, harness.core.queueBytes]).toEqual([0, 0])
  })
})

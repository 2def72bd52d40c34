/** The options of a subscription: No Local, Retain Handling, Retain As Published, the Subscription Identifier. MQTT 5 §3.8.3.1 */
import { describe, expect, test } from "bun:test"
import { Reason } from "../../src/codec/index.ts"
import { Message } from "../../src/session/index.ts"
import { durable, Harness } from "../support/harness.ts"

/** What is seen of the messages: payload and RETAIN flag. */
const seen = (client: { take(): Record<string, unknown>[] }) =>
  client
    .take()
    .filter(({ cmd }) => cmd === "publish")
    .map(({ payload, retain }) => `${payload}${retain ? " retained" : ""}`)

describe("[MQTT-3.8.3-3] No Local", () => {
  test("0: a client gets its own messages", () => {
    const client = new Harness().client("a").subscribe("t")
    expect(client.publish("t", "own").messages()).toEqual(["t own"])
  })

  for (const qos of [0, 1, 2] as const)
    test(`1: a client does not get its own, at QoS ${qos}, but those of others`, () => {
      const harness = new Harness()
      const client = harness.client("a").subscribe("t", { qos, nl: true })
      client.publish("t", "own", { qos })
      harness.client("b").publish("t", "other", { qos })
      expect(client.messages()).toEqual(["t other"])
    })

  test("1: nor later, from the queue of its session", () => {
    const harness = new Harness()
    const fields = { clean: false, properties: { sessionExpiryInterval: 3600, receiveMaximum: 1 } }
    const client = harness.client("a", fields).subscribe("t", { qos: 1, nl: true })
    const other = harness.client("b").publish("t", "1", { qos: 1 })
    client.publish("t", "own", { qos: 1 })
    other.publish("t", "2", { qos: 1 })
    client.drop()
    const resumed = harness.resume("a", fields)
    expect(resumed.take()).toMatchObject([{ payload: Buffer.from("1"), dup: true }])
    expect(resumed.ack("puback", 1).take()).toMatchObject([{ payload: Buffer.from("2"), dup: false }])
  })

  test("1: it is the client id that counts, not the connection: own will included", () => {
    const harness = new Harness()
    const will = { topic: "t", payload: Buffer.from("will"), qos: 1 as const, retain: false }
    const client = harness.client("a", { ...durable(), will }).subscribe("t", { qos: 1, nl: true })
    const other = harness.client("b").subscribe("t")
    other.take()
    client.drop()
    expect(other.messages()).toEqual(["t will"])
    expect(harness.resume("a").take()).toEqual([])
  })

  test("1: what the broker itself publishes is nobody's own", () => {
    const harness = new Harness()
    const client = harness.client("a").subscribe("t", { nl: true })
    const topic = harness.core.router.topics.named("t")!
    harness.core.publish(Message.create(topic, Buffer.from("x"), 0, false, {}, harness.clock.now()), undefined)
    harness.core.turn.end()
    expect(client.messages()).toEqual(["t x"])
  })

  test("[MQTT-3.8.3-4] 1 on a shared subscription is a protocol error", () => {
    for (const filters of [["$share/g/a"], ["a", "$share/g/a"], ["$share//a"]]) {
      const client = new Harness().client("a").subscribe(filters, { nl: true })
      expect(client.take()).toMatchObject([{ cmd: "disconnect", reasonCode: Reason.ProtocolError }])
      expect(client.isClosed).toBe(true)
    }
  })
})

describe("Retain Handling", () => {
  const withRetained = () => {
    const harness = new Harness()
    harness.client("p").publish("a/b", "kept", { retain: true, qos: 1 })
    return harness
  }

  for (const level of [3, 4, 5] as const)
    test(`[MQTT-3.3.1-9] [v3.1.1 MQTT-3.3.1-6] [v3.1.1 MQTT-3.3.1-8] 0, level ${level}: retained messages come with every SUBSCRIBE, RETAIN set`, () => {
      const client = withRetained().client("a", { level })
      for (const filter of ["a/b", "a/b", "a/+", "#", "a/b"]) {
        client.subscribe(filter, { qos: 1 })
        expect(seen(client)).toEqual(["kept retained"])
      }
    })

  test("[MQTT-3.3.1-10] 1: they come with a new subscription only", () => {
    const harness = withRetained()
    const client = harness.client("a", durable()).subscribe("a/+", { rh: 1 })
    expect(seen(client)).toEqual(["kept retained"])
    expect(seen(client.subscribe("a/+", { rh: 1, qos: 2 }))).toEqual([])
    client.drop()
    const resumed = harness.resume("a")
    expect(seen(resumed.subscribe("a/+", { rh: 1 }))).toEqual([])
    resumed.send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: ["a/+"] })
    expect(seen(resumed.subscribe("a/+", { rh: 1 }))).toEqual(["kept retained"])
  })

  test("[MQTT-3.3.1-11] 2: they never come; live messages do", () => {
    const harness = withRetained()
    const client = harness.client("a").subscribe("a/+", { rh: 2 })
    expect(seen(client.subscribe("a/+", { rh: 2 }))).toEqual([])
    harness.client("q").publish("a/c", "live", { retain: true })
    expect(seen(client)).toEqual(["live"])
  })

  test("they do not come with a shared subscription", () => {
    const client = withRetained().client("a")
    for (const rh of [0, 1, 2] as const) expect(seen(client.subscribe("$share/g/a/+", { rh }))).toEqual([])
  })

  test("each filter of a SUBSCRIBE brings its own, after the SUBACK", () => {
    const client = withRetained().client("a").subscribe(["a/b", "a/#", "x"])
    expect(client.take().map(({ cmd }) => cmd)).toEqual(["suback", "publish", "publish"])
  })

  test("the window and the socket bound how fast they come, and none is lost", () => {
    const harness = new Harness({ limits: { maximumBacklogBytes: 1024 } })
    const publisher = harness.client("p")
    const topics = Array.from({ length: 50 }, (_, index) => `t/${index}`)
    for (const topic of topics) publisher.publish(topic, "x".repeat(4000), { retain: true, qos: 1 })
    const slow = harness.client("slow")
    slow.capacity = 0
    slow.subscribe("t/+")
    expect(slow.connection.link.backlogBytes).toBeLessThan(1024 + 65_536 + 4100) // one turn gathers a block more
    const gentle = harness.client("gentle", { properties: { receiveMaximum: 3 } }).subscribe("t/+", { qos: 1 })
    expect(gentle.received.filter(({ cmd }) => cmd === "publish")).toHaveLength(3)
    for (let id = 1; id <= 50; id++) gentle.ack("puback", id)
    for (let turn = 0; turn < 10; turn++) slow.drain()
    for (const client of [slow, gentle]) {
      const names = client.take().flatMap(({ cmd, topic }) => (cmd === "publish" ? [topic] : []))
      expect(names).toEqual(topics)
    }
    expect(harness.core.metrics.droppedTotal).toBe(0)
  })
})

describe("Retain As Published", () => {
  for (const level of [3, 4, 5] as const)
    test(`[MQTT-3.3.1-12] [v3.1.1 MQTT-3.3.1-9] 0, level ${level}: a live message has RETAIN 0, as the queued one has`, () => {
      const harness = new Harness()
      const client = harness.client("a", durable(level)).subscribe("t", { qos: 1 })
      const publisher = harness.client("p").publish("t", "live", { retain: true, qos: 0 })
      expect(seen(client)).toEqual(["live"])
      client.drop()
      publisher.publish("t", "queued", { retain: true, qos: 1 })
      expect(seen(harness.resume("a", durable(level)))).toEqual(["queued"])
    })

  test("[MQTT-3.3.1-13] 1: RETAIN is as the publisher set it, live and queued", () => {
    const harness = new Harness()
    const client = harness.client("a", durable()).subscribe("t", { qos: 1, rap: true })
    const publisher = harness.client("p").publish("t", "1", { retain: true }).publish("t", "2")
    expect(seen(client)).toEqual(["1 retained", "2"])
    client.drop()
    publisher.publish("t", "3", { retain: true, qos: 1 }).publish("t", "4", { qos: 1 })
    expect(seen(harness.resume("a"))).toEqual(["3 retained", "4"])
  })

  test("[MQTT-3.3.1-13] 1: also in a share group, at once and from its queue", () => {
    const harness = new Harness()
    const client = harness.client("a", durable()).subscribe("$share/g/t", { qos: 1, rap: true })
    const publisher = harness.client("p").publish("t", "1", { retain: true }).publish("t", "2", { qos: 1 })
    expect(seen(client)).toEqual(["1 retained", "2"])
    client.ack("puback", 1).drop()
    publisher.publish("t", "3", { retain: true, qos: 1 })
    expect(seen(harness.resume("a"))).toEqual(["3 retained"])
  })
})

describe("a Subscription Identifier", () => {
  const identifierOf = (packet: Record<string, unknown> | undefined) =>
    (packet?.properties as { subscriptionIdentifier?: unknown } | undefined)?.subscriptionIdentifier

  for (const identifier of [1, 127, 128, 16_384, 268_435_455])
    test(`[MQTT-3.3.4-3] ${identifier} comes with the live, the queued and the retained message`, () => {
      const harness = new Harness()
      const client = harness.client("a", durable())
      client.subscribe("t", { qos: 1, properties: { subscriptionIdentifier: identifier } }).take()
      const publisher = harness.client("p").publish("t", "0", { retain: true }).publish("t", "1", { qos: 1 })
      expect(client.take().map(identifierOf)).toEqual([identifier, identifier])
      client.ack("puback", 1).drop()
      publisher.publish("t", "2", { qos: 1 })
      const resumed = harness.resume("a")
      expect(resumed.take().map(identifierOf)).toEqual([identifier])
      resumed.subscribe("t", { properties: { subscriptionIdentifier: identifier } })
      expect(resumed.take().map(identifierOf)).toEqual([undefined, identifier])
    })

  test("is of its filter alone, and not for a client of another level", () => {
    const harness = new Harness()
    const client = harness
      .client("a")
      .subscribe("t", { properties: { subscriptionIdentifier: 7 } })
      .subscribe("u")
    const old = harness.client("old", { level: 4 }).subscribe("t")
    client.take()
    old.take()
    harness.client("p").publish("t", "x").publish("u", "y")
    expect(client.take().map(identifierOf)).toEqual([7, undefined])
    expect(old.messages()).toEqual(["t x"])
  })

  test("[MQTT-3.3.4-6] in a PUBLISH of a client is a protocol error", () => {
    const client = new Harness().client("a").sendBytes("30 06 0001 61 02 0b05")
    expect(client.take()).toMatchObject([{ cmd: "disconnect", reasonCode: Reason.ProtocolError }])
  })
})

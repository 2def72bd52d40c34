import { describe, expect, test } from "bun:test"
import { settled } from "../../src/testing/settled.ts"
import { Harness, type TestClient } from "../support/harness.ts"

const levels = [3, 4, 5] as const

/** What a client gets that subscribes now: topic, payload, RETAIN and QoS. */
const retainedFor = (harness: Harness, filter: string, level: 3 | 4 | 5 = 5) => {
  const client = harness.client("late", { level }).subscribe(filter, { qos: 2 })
  return client
    .take()
    .filter(({ cmd }) => cmd === "publish")
    .map(({ topic, payload, retain, qos }) => `${topic} ${payload}${retain ? " retained" : ""} ${qos}`)
}

for (const level of levels)
  describe(`level ${level}`, () => {
    const retain = { retain: true } as const

    test("[MQTT-3.3.1-5] [v3.1.1 MQTT-3.3.1-5] [v3.1.1 MQTT-3.3.1-8] the last retained message of a topic is kept, with its QoS, and comes with RETAIN 1", () => {
      const harness = new Harness()
      const publisher = harness.client("pub", { level })
      publisher.publish("a", "x", { ...retain, qos: 2 }).publish("a", "y", { ...retain, qos: 1 })
      expect(retainedFor(harness, "a", level)).toEqual(["a y retained 1"])
      expect(harness.core.retained.count).toBe(1)
    })

    test("[v3.1.1 MQTT-3.3.1-7] one of QoS 0 replaces it too", () => {
      const harness = new Harness()
      const publisher = harness.client("pub", { level })
      publisher.publish("a", "x", { ...retain, qos: 1 }).publish("a", "y", retain)
      expect(retainedFor(harness, "a", level)).toEqual(["a y retained 0"])
    })

    for (const qos of [0, 1, 2] as const)
      test(`[MQTT-3.3.1-6] [v3.1.1 MQTT-3.3.1-10] an empty one of QoS ${qos} removes it, and is delivered as any other`, () => {
        const harness = new Harness()
        const witness = harness.client("witness", { level }).subscribe("a", { qos })
        const publisher = harness.client("pub", { level }).publish("a", "x", retain)
        witness.take()
        publisher.publish("a", "", { ...retain, qos })
        expect(witness.take()).toMatchObject([{ topic: "a", qos, retain: false, payload: Buffer.alloc(0) }])
        expect(retainedFor(harness, "a", level)).toEqual([])
        expect(harness.core.retained.count).toBe(0)
      })

    test("[MQTT-3.3.1-7] [v3.1.1 MQTT-3.3.1-11] an empty one is not kept", () => {
      const harness = new Harness()
      harness
        .client("pub", { level })
        .publish("a", "", retain)
        .publish("a/b", "", { ...retain, qos: 1 })
      expect(retainedFor(harness, "#", level)).toEqual([])
      expect(harness.core.retained.count).toBe(0)
    })

    test("[MQTT-3.3.1-8] [v3.1.1 MQTT-3.3.1-12] a message without RETAIN neither replaces nor removes it, nor is kept", () => {
      const harness = new Harness()
      const publisher = harness.client("pub", { level }).publish("a", "x", retain)
      publisher.publish("a", "y").publish("a", "").publish("b", "z", { qos: 1 })
      expect(retainedFor(harness, "#", level)).toEqual(["a x retained 0"])
    })

    test("[MQTT-3.3.1-12] [v3.1.1 MQTT-3.3.1-9] who is subscribed already gets it with RETAIN 0", () => {
      const harness = new Harness()
      const witness = harness.client("witness", { level }).subscribe("a")
      witness.take()
      harness.client("pub", { level }).publish("a", "x", retain)
      expect(witness.take()).toMatchObject([{ payload: Buffer.from("x"), retain: false }])
    })

    test("[v3.1.1 MQTT-3.3.1-6] a new subscription gets that of every topic it matches", () => {
      const harness = new Harness()
      const publisher = harness.client("pub", { level })
      for (const topic of ["a", "a/b", "a/b/c", "b", "a/"]) publisher.publish(topic, "x", retain)
      const topics = (filter: string) => retainedFor(harness, filter, level).map((line) => line.split(" ")[0])
      expect(topics("a/#").sort()).toEqual(["a", "a/", "a/b", "a/b/c"])
      expect(topics("a/+").sort()).toEqual(["a/", "a/b"])
      expect(topics("+").sort()).toEqual(["a", "b"])
    })

    test("[v3.1.1 MQTT-3.1.2-7] it outlives the session of its publisher", () => {
      const harness = new Harness()
      harness.client("pub", { level }).publish("a", "x", retain).sendBytes("e000").drop()
      expect(harness.core.sessions.get("pub")).toBeUndefined()
      expect(retainedFor(harness, "a", level)).toEqual(["a x retained 0"])
    })
  })

test("[MQTT-3.3.1-5] properties are kept with it", () => {
  const harness = new Harness()
  const properties = { contentType: "t", responseTopic: "r", correlationData: Buffer.from([1]) }
  harness.client("pub").publish("a", "x", { retain: true, properties })
  expect(harness.client("late").subscribe("a").take()[1]!.properties).toMatchObject(properties)
})

test("[MQTT-3.3.1-13] with Retain As Published a live message keeps its RETAIN flag", () => {
  const harness = new Harness()
  const witness = harness.client("witness").subscribe("a", { rap: true })
  witness.take()
  harness.client("pub").publish("a", "x", { retain: true }).publish("a", "y")
  expect(witness.take().map(({ retain }) => retain)).toEqual([true, false])
})

describe("[MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] Retain Handling", () => {
  for (const [rh, counts] of [
    [0, [1, 1]],
    [1, [1, 0]],
    [2, [0, 0]],
  ] as const)
    test(`${rh}: a new subscription gets ${counts[0]}, one that was there ${counts[1]}`, () => {
      const harness = new Harness()
      const publisher = harness.client("pub").publish("a", "x", { retain: true })
      const client = harness.client("sub")
      expect(client.subscribe("a", { rh }).messages()).toHaveLength(counts[0])
      expect(client.subscribe("a", { rh }).messages()).toHaveLength(counts[1])
      client.send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: ["a"] }).take()
      expect(client.subscribe("a", { rh }).messages()).toHaveLength(counts[0])
      publisher.publish("a", "live")
      expect(client.messages()).toEqual(["a live"])
    })
})

describe("many retained messages and a reader that is slow", () => {
  const count = 5000
  const topics = Array.from({ length: count }, (_, index) => `t/${index}`)

  /** Messages of 400 bytes, so that a backlog of 64 KiB holds some 160 of them. */
  function prepared() {
    const harness = new Harness({ limits: { maximumBacklogBytes: 65_536, maximumQueuedMessages: 10 } })
    const publisher = harness.client("pub")
    for (const topic of topics) publisher.publish(topic, "x".repeat(400), { retain: true, qos: 1 })
    const subscriber = harness.client("sub")
    subscriber.capacity = 0
    return { harness, publisher, subscriber }
  }

  /** Lets the socket take `bytes` a time until nothing comes any more. */
  async function drainAll(client: TestClient, qos: number): Promise<string[]> {
    const got: string[] = []
    for (let before = -1; before !== client.bytes.length; ) {
      client.bytes = Buffer.alloc(0)
      before = 0
      client.drain(30_000)
      await settled()
      for (const { cmd, topic, messageId } of client.take()) {
        if (cmd === "publish") got.push(topic)
        if (cmd === "publish" && qos > 0) client.ack("puback", messageId!)
      }
    }
    return got
  }

  for (const qos of [0, 1] as const)
    test(`QoS ${qos}: all come, each once, and no more than the backlog is in memory`, async () => {
      const { harness, subscriber } = prepared()
      subscriber.subscribe("t/#", { qos })
      expect(subscriber.connection.link.backlogBytes).toBeLessThan(2 * 65_536)
      const got = await drainAll(subscriber, qos)
      expect(got).toHaveLength(count)
      expect(new Set(got)).toEqual(new Set(topics))
      expect(harness.core.metrics.droppedTotal).toBe(0)
      expect([harness.core.queueBytes, harness.core.inflightCount]).toEqual([0, 0])
    })

  test("each is sent as it is when its turn comes; what has gone meanwhile is not", async () => {
    const { publisher, subscriber } = prepared()
    subscriber.subscribe("t/#", { rh: 0 })
    publisher.publish("t/4999", "new", { retain: true }).publish("t/4998", "", { retain: true })
    const got: string[] = []
    for (let before = -1; before !== got.length; ) {
      before = got.length
      subscriber.drain(60_000)
      await settled()
      got.push(...subscriber.messages())
    }
    expect(got.filter((line) => line.startsWith("t/4999 ")).at(-1)).toBe("t/4999 new")
    expect(got.filter((line) => line.startsWith("t/4998 x"))).toEqual([])
  })

  test("UNSUBSCRIBE ends it", async () => {
    const { subscriber } = prepared()
    subscriber.subscribe("t/#").send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: ["t/#"] })
    expect((await drainAll(subscriber, 0)).length).toBeLessThan(400)
  })

  test("subscribing again and again starts it anew and does not pile up", async () => {
    const { subscriber } = prepared()
    for (let i = 0; i < 20; i++) subscriber.subscribe("t/#")
    expect((await drainAll(subscriber, 0)).length).toBeLessThan(2 * count)
  })

  test("a live message of QoS 1 comes through as well", async () => {
    const { harness, publisher, subscriber } = prepared()
    subscriber.subscribe("t/#", { qos: 1 }).subscribe("live", { qos: 1 })
    publisher.publish("live", "x", { qos: 1 })
    const got = await drainAll(subscriber, 1)
    expect(got.filter((topic) => topic === "live")).toHaveLength(1)
    expect(got).toHaveLength(count + 1)
    expect([harness.core.queueBytes, harness.core.inflightCount]).toEqual([0, 0])
  })

  test("a backlog bound smaller than what a turn gathers holds nothing up", () => {
    const harness = new Harness({ limits: { maximumBacklogBytes: 1024 } })
    const publisher = harness.client("pub")
    for (let i = 0; i < 100; i++) publisher.publish(`t/${i}`, "x".repeat(400), { retain: true })
    expect(harness.client("sub").subscribe("t/#").messages()).toHaveLength(100)
  })
})

describe("the limit of retained messages", () => {
  for (const level of levels)
    test(`level ${level}: a topic beyond it is not retained but routed; those that are there can be replaced and removed`, () => {
      const harness = new Harness({ limits: { maximumRetainedMessages: 2 } })
      const witness = harness.client("witness").subscribe("#")
      witness.take()
      const publisher = harness.client("pub", { level })
      for (const topic of ["a", "b", "c"]) publisher.publish(topic, "x", { retain: true })
      expect(witness.messages()).toEqual(["a x", "b x", "c x"])
      publisher
        .publish("a", "y", { retain: true })
        .publish("b", "", { retain: true })
        .publish("c", "z", { retain: true })
      expect(retainedFor(harness, "#").sort()).toEqual(["a y retained 0", "c z retained 0"])
      expect(harness.core.metrics.limitsHit["retained messages"]).toBe(1)
      expect(harness.core.metrics.dropped["retained limit"]).toBe(1)
    })

  for (const qos of [1, 2] as const)
    test(`level 5, QoS ${qos}: the publisher is told 0x97, and nothing is taken`, () => {
      const harness = new Harness({ limits: { maximumRetainedMessages: 0 } })
      const witness = harness.client("witness").subscribe("#")
      witness.take()
      const publisher = harness.client("pub").publish("a", "x", { retain: true, qos })
      expect(publisher.take()).toMatchObject([{ cmd: qos === 1 ? "puback" : "pubrec", reasonCode: 0x97 }])
      expect(witness.take()).toEqual([])
    })
})

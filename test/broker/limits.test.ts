/** The publish rate, the bound of retained messages, and the options themselves. */
import { describe, expect, test } from "bun:test"
import { type Limits, limitDefinitions, resolveLimits } from "../../src/broker/limits.ts"
import { Reason } from "../../src/codec/index.ts"
import { durable, Harness, type TestClient } from "../support/harness.ts"
import { microtasks } from "../support/store.ts"

/** PUBLISH packets of QoS 0 to `t`, numbered, in one chunk. */
const chunk = (from: number, to: number) =>
  Buffer.concat(
    Array.from({ length: to - from + 1 }, (_, index) => {
      const payload = Buffer.from(String(from + index))
      return Buffer.concat([Buffer.from([0x30, 3 + payload.length, 0, 1, 0x74]), payload])
    }),
  )

const numbers = (client: TestClient) => client.messages().map((message) => Number(message.split(" ")[1]))

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

/** Lets seconds pass one quarter at a time, as they do. */
async function pass(harness: Harness, seconds: number): Promise<void> {
  for (let quarter = 0; quarter < seconds * 4; quarter++) {
    harness.clock.advance(0.25)
    await microtasks()
  }
}

function limited(maximumPublishRate: number, limits: Partial<Limits> = {}) {
  const harness = new Harness({ limits: { maximumPublishRate, ...limits } })
  const subscriber = harness.client("s", { level: 4 }).subscribe("t", { qos: 2 })
  subscriber.take()
  return { harness, subscriber, publisher: harness.client("p", { level: 4 }) }
}

describe("above the publish rate", () => {
  test("a client's messages wait for the next seconds; none is lost, none overtakes another", async () => {
    const { harness, subscriber, publisher } = limited(10)
    publisher.sendBytes(chunk(1, 35))
    expect(numbers(subscriber)).toEqual(range(1, 10))
    expect(publisher.isPaused).toBe(true)
    publisher.sendBytes(chunk(36, 40))
    expect(numbers(subscriber)).toEqual([])
    const seconds: number[][] = []
    for (let second = 0; second < 5; second++) {
      await pass(harness, 1)
      seconds.push(numbers(subscriber))
    }
    expect(seconds.flat()).toEqual(range(11, 40))
    for (const each of seconds) expect(each.length).toBeLessThanOrEqual(10)
    expect(publisher.isPaused).toBe(false)
    expect(harness.core.metrics.limitsHit["publish rate"]).toBe(3)
    expect(harness.core.metrics.droppedTotal).toBe(0)
  })

  test("other clients are not held up, and each has its own rate", async () => {
    const { harness, subscriber, publisher } = limited(5)
    publisher.sendBytes(chunk(1, 10))
    const other = harness.client("q", { level: 4 }).sendBytes(chunk(101, 105))
    expect(numbers(subscriber)).toEqual([...range(1, 5), ...range(101, 105)])
    expect(other.isPaused).toBe(false)
    await pass(harness, 2)
    expect(numbers(subscriber)).toEqual(range(6, 10))
  })

  test("acknowledgements wait with their messages, and what follows waits too", async () => {
    for (const qos of [1, 2] as const) {
      const { harness, publisher } = limited(1)
      publisher.publish("t", "1", { qos }).publish("t", "2", { qos }).send({ cmd: "pingreq" })
      const ack = qos === 1 ? "puback" : "pubrec"
      expect(publisher.take().map(({ cmd }) => cmd)).toEqual([ack])
      await pass(harness, 2)
      expect(publisher.take().map(({ cmd }) => cmd)).toEqual([ack, "pingresp"])
    }
  })

  test("a client that stays below it never waits", async () => {
    const { harness, subscriber, publisher } = limited(10)
    for (let second = 0; second < 5; second++) {
      publisher.sendBytes(chunk(second * 10 + 1, second * 10 + 10))
      await pass(harness, 1)
    }
    expect(numbers(subscriber)).toEqual(range(1, 50))
    expect(harness.core.metrics.limitsHit["publish rate"]).toBe(0)
  })

  test("a client whose messages wait is not taken for silent", async () => {
    const harness = new Harness({ limits: { maximumPublishRate: 1 } })
    const subscriber = harness.client("s").subscribe("t")
    subscriber.take()
    const publisher = harness.client("p", { level: 4, keepalive: 2 }).sendBytes(chunk(1, 30))
    await pass(harness, 32)
    expect(numbers(subscriber)).toEqual(range(1, 30))
    expect(publisher.isClosed).toBe(false)
    await pass(harness, 5)
    expect(publisher.isClosed).toBe(true)
  })

  test("[MQTT-3.3.2-5] [MQTT-3.3.2-6] a message that expires while it waits goes to nobody, another has less time left", async () => {
    for (const qos of [0, 1, 2] as const) {
      const harness = new Harness({ limits: { maximumPublishRate: 1 } })
      const subscriber = harness.client("s").subscribe("t")
      subscriber.take()
      const publisher = harness.client("p")
      for (const [payload, messageExpiryInterval] of Object.entries({ first: 9, short: 1, long: 9 })) {
        publisher.publish("t", payload, { qos, properties: { messageExpiryInterval } })
      }
      await pass(harness, 4)
      const received = subscriber
        .take()
        .map(({ payload, properties }) => [String(payload), properties?.messageExpiryInterval])
      expect(received).toHaveLength(2)
      expect(received[0]).toEqual(["first", 9])
      expect(received[1]![0]).toBe("long")
      expect(received[1]![1]).toBeLessThan(9)
      expect(harness.core.metrics.dropped["message expired"]).toBe(1)
      const ack = { 0: [], 1: ["puback 0"], 2: ["pubrec 0"] }[qos]
      const said = () => publisher.take().map(({ cmd, reasonCode }) => `${cmd} ${reasonCode ?? 0}`)
      expect(said()).toEqual([...ack, ...ack, ...ack])
      if (qos < 2) continue
      for (const id of [1, 2, 3]) publisher.ack("pubrel", id)
      expect(said()).toEqual(["pubcomp 0", "pubcomp 0", "pubcomp 0"])
    }
  })

  test("nothing is routed for a client that has gone meanwhile", async () => {
    const { harness, subscriber, publisher } = limited(1)
    publisher.sendBytes(chunk(1, 3))
    publisher.drop()
    await pass(harness, 5)
    expect(numbers(subscriber)).toEqual([1])
  })
})

describe("above the bound of retained messages", () => {
  for (const level of [3, 4, 5] as const)
    test(`level ${level}: a topic that has one may change it, another is not kept, and it is counted`, () => {
      const harness = new Harness({ limits: { maximumRetainedMessages: 1 } })
      const subscriber = harness.client("s").subscribe("+", { qos: 2 })
      subscriber.take()
      const client = harness.client("p", { level })
      client.publish("a", "1", { retain: true, qos: 1 }).publish("b", "1", { retain: true, qos: 1 })
      client.publish("b", "2", { retain: true, qos: 2 }).publish("b", "3", { retain: true })
      client.publish("a", "2", { retain: true, qos: 1 }).publish("b", "4", { qos: 1 })
      const acks = client.take().map(({ cmd, reasonCode }) => [cmd, reasonCode ?? 0])
      const quota = level === 5 ? Reason.QuotaExceeded : 0
      expect(acks).toEqual([
        ["puback", 0],
        ["puback", quota],
        ["pubrec", quota],
        ["puback", 0],
        ["puback", 0],
      ])
      expect(harness.core.metrics.dropped["retained limit"]).toBe(3)
      expect(harness.core.metrics.limitsHit["retained messages"]).toBe(3)
      expect(harness.client("later").subscribe("+").messages()).toEqual(["a 2"])
      // What a 5.0 client is told was refused goes to nobody; the rest is delivered, only not kept.
      const delivered = subscriber.messages()
      expect(delivered).toEqual(level === 5 ? ["a 1", "b 3", "a 2", "b 4"] : ["a 1", "b 1", "b 2", "b 3", "a 2", "b 4"])
    })

  test("one that is deleted or expires makes room", async () => {
    const harness = new Harness({ limits: { maximumRetainedMessages: 1 } })
    const client = harness.client("p").publish("a", "x", { retain: true }).publish("a", "", { retain: true })
    client.publish("b", "x", { retain: true, properties: { messageExpiryInterval: 5 } })
    await pass(harness, 6)
    client.publish("c", "x", { retain: true })
    expect(harness.client("s").subscribe("+").messages()).toEqual(["c x"])
    expect(harness.core.metrics.dropped["retained limit"]).toBe(0)
  })

  test("a bound of 0 keeps nothing", () => {
    const harness = new Harness({ limits: { maximumRetainedMessages: 0 } })
    harness.client("p").publish("a", "x", { retain: true }).publish("a", "", { retain: true })
    expect(harness.client("s").subscribe("+").messages()).toEqual([])
  })
})

test("the subscriptions of a session count over its connections", () => {
  const harness = new Harness({ limits: { maximumSubscriptionsPerClient: 2 } })
  harness.client("a", durable()).subscribe(["a", "b"]).drop()
  const client = harness.resume("a").subscribe(["c", "a"])
  expect(client.take()[0]?.granted).toEqual([Reason.QuotaExceeded, 0])
  expect(harness.client("b").subscribe(["a", "b"]).take()[0]?.granted).toEqual([0, 0])
})

describe("the options", () => {
  test("have defaults within their bounds", () => {
    const limits = resolveLimits()
    for (const [name, { default: standard, minimum, maximum }] of Object.entries(limitDefinitions)) {
      expect(limits[name as keyof Limits]).toBe(standard)
      expect(standard).toBeGreaterThanOrEqual(minimum)
      expect(standard).toBeLessThanOrEqual(maximum)
      expect(resolveLimits({ [name]: minimum })[name as keyof Limits]).toBe(minimum)
      expect(resolveLimits({ [name]: undefined })[name as keyof Limits]).toBe(standard)
    }
  })

  test("are refused out of their bounds, and when they are none, by their name", () => {
    const wrong: object[] = Object.entries(limitDefinitions).flatMap(([name, { minimum, maximum }]) =>
      [minimum - 1, maximum + 1, Number.NaN, 1.5, "10", null].map((value) => ({ [name]: value })),
    )
    for (const limits of [...wrong, { maximumQuality: 1 }]) {
      expect(() => resolveLimits(limits)).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }))
      expect(() => resolveLimits(limits)).toThrow(Object.keys(limits)[0]!)
    }
  })
})

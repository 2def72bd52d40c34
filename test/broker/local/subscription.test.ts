/** Subscriptions of the embedding service: what comes into them, in which form and in which order. */
import { describe, expect, test } from "bun:test"
import { Broker } from "../../../src/broker/broker.ts"
import { ManjuError } from "../../../src/broker/errors.ts"
import type { SubscribeOptions } from "../../../src/broker/local/subscription.ts"
import { memory } from "../../../src/store/memory.ts"
import { ManualClock } from "../../../src/testing/clock.ts"
import { embed, take, takeAll } from "../../support/embedded.ts"
import { microtasks } from "../../support/store.ts"

describe("a subscription gets", () => {
  test("what clients and the service itself publish to its filter, and nothing else", async () => {
    const { broker, client } = await embed()
    const subscription = broker.subscribe("a/+")
    const publisher = client("p", { level: 4 })
    publisher.publish("a/b", "one").publish("b/a", "another")
    await broker.publish("a/c", "two")
    await broker.publish("a/c/d", "another")
    publisher.publish("a/", "three")
    expect(await take(subscription, 3)).toEqual(["one", "two", "three"])
  })

  test("each message with its topic, payload and properties", async () => {
    const { broker, client } = await embed()
    const messages = broker.subscribe("t/#", { qos: 2 })[Symbol.asyncIterator]()
    const properties = {
      contentType: "text/plain",
      responseTopic: "re/é",
      correlationData: Buffer.from([1, 2]),
      payloadFormatIndicator: true,
      messageExpiryInterval: 60,
      userProperties: { a: "1" },
    }
    client("p").publish("t/ü", Buffer.from([0xff, 0]), { qos: 1, properties })
    const { value } = await messages.next()
    expect(value).toMatchObject({ topic: "t/ü", qos: 1, retain: false })
    expect(value?.payload).toEqual(Buffer.from([0xff, 0]))
    expect(value?.properties).toEqual({
      contentType: "text/plain",
      responseTopic: "re/é",
      correlationData: Buffer.from([1, 2]),
      payloadFormatIndicator: true,
      messageExpirySeconds: 60,
      userProperties: [["a", "1"]],
    })
  })

  for (const qos of [0, 1, 2] as const)
    test(`at most QoS ${qos}, if that is what it asks for; 0 if it does not ask`, async () => {
      const { broker, core } = await embed()
      const options = qos === 0 ? [] : [{ qos }]
      const messages = broker.subscribe("t", ...options)[Symbol.asyncIterator]()
      for (const published of [0, 1, 2] as const) {
        await broker.publish("t", "x", { qos: published })
        expect((await messages.next()).value?.qos).toBe(Math.min(published, qos) as 0 | 1 | 2)
        expect(core.inflightCount).toBe(0)
      }
    })

  test("a message once, however many of its filters match, at the highest QoS", async () => {
    const { broker } = await embed()
    await broker.publish("a/b", "retained", { retain: true, qos: 1 })
    const subscription = broker.subscribe(["a/b", "a/+", "#", "a/b"], { qos: 1 })
    await broker.publish("a/b", "live", { qos: 1 })
    await broker.publish("c", "last")
    expect(await take(subscription, 3)).toEqual(["retained", "live", "last"])
  })

  test("what the service may keep: the bytes of a socket are used for something else", async () => {
    const { broker, client } = await embed()
    const messages = broker.subscribe("t")[Symbol.asyncIterator]()
    const chunk = Buffer.from("300700017468656c6c", "hex")
    client("p", { level: 4 }).connection.receive(chunk)
    chunk.fill(0x78)
    const { value } = await messages.next()
    chunk.fill(0x79)
    expect([value?.topic, value?.text()]).toEqual(["t", "hell"])
  })

  test("$SYS, if it asks for that", async () => {
    const { broker, clock } = await embed({ limits: { sysIntervalSeconds: 10 } })
    const version = broker.subscribe("$SYS/broker/version")[Symbol.asyncIterator]()
    expect((await version.next()).value?.text()).toMatch(/^manju version/)
    const everything = broker.subscribe("#")
    const uptime = broker.subscribe("$SYS/broker/uptime", { retainHandling: 2 })
    clock.advance(11)
    expect(await take(uptime, 1)).toEqual(["10 seconds"])
    await broker.publish("t", "not $SYS")
    expect(await take(everything, 1)).toEqual(["not $SYS"])
  })

  test("nothing of what other brokers in the process publish", async () => {
    const [one, other] = [await embed(), await embed()]
    const subscriptions = [one.broker.subscribe("t"), other.broker.subscribe("t")]
    await one.broker.publish("t", "one")
    await other.broker.publish("t", "other")
    for (const { broker } of [one, other]) await broker.close({ timeoutMs: 1 })
    expect(await Promise.all(subscriptions.map(takeAll))).toEqual([["one"], ["other"]])
  })

  test("nothing that its hooks have kept for certain clients", async () => {
    const { broker, client } = await embed()
    broker.use({ onMessage: (message) => message.with({ allowClients: ["ops"] }) })
    const subscription = broker.subscribe("t")
    client("p").publish("t", "for ops")
    await broker.publish("t", "for all")
    expect(await take(subscription, 1)).toEqual(["for all"])
  })
})

describe("what is retained", () => {
  for (const [options, expected] of [
    [{}, ["a", "b", "live"]],
    [{ retainHandling: 0 }, ["a", "b", "live"]],
    [{ retainHandling: 1 }, ["a", "b", "live"]],
    [{ retainHandling: 2 }, ["live"]],
  ] as const)
    test(`comes first, unless retainHandling is 2: ${JSON.stringify(options)}`, async () => {
      const { broker } = await embed()
      await broker.publish("t/a", "a", { retain: true })
      await broker.publish("t/b", "b", { retain: true, qos: 1 })
      await broker.publish("u", "another", { retain: true })
      const subscription = broker.subscribe("t/#", { qos: 1, ...options })
      await broker.publish("t/c", "live")
      expect((await take(subscription, expected.length)).toSorted()).toEqual([...expected])
    })

  test("has its flag; what is published now has it only with retainAsPublished", async () => {
    for (const retainAsPublished of [false, true]) {
      const { broker } = await embed()
      await broker.publish("t", "before", { retain: true })
      const messages = broker.subscribe("t", { retainAsPublished })[Symbol.asyncIterator]()
      await broker.publish("t", "now", { retain: true })
      expect((await messages.next()).value).toMatchObject({ retain: true })
      expect((await messages.next()).value).toMatchObject({ retain: retainAsPublished })
    }
  })

  test("comes as the consumer takes it, however much there is of it, and none is dropped", async () => {
    const { broker, core } = await embed()
    const all = Array.from({ length: 50 }, (_, i) => String(i))
    for (const payload of all) await broker.publish(`t/${payload}`, payload, { retain: true })
    const subscription = broker.subscribe("t/+", { buffer: 3 })
    expect(await take(subscription, 50)).toEqual(all)
    const handled: string[] = []
    broker.subscribe("t/+", (message) => handled.push(message.text()), { buffer: 3 })
    await microtasks()
    expect(handled).toEqual(all)
    expect(core.metrics.droppedTotal).toBe(0)
  })

  test("comes out of the store, if the subscription is the first thing to ask for it", async () => {
    const store = memory()
    const before = new Broker({ store })
    await before.publish("t", "kept", { retain: true, qos: 1 })
    await before.close()
    await using broker = new Broker({ store, clock: new ManualClock() })
    const subscription = broker.subscribe("t")
    expect(await take(subscription, 1)).toEqual(["kept"])
  })
})

test("what is retained comes before what is published next, with a store as well", async () => {
  const { broker, client } = await embed({ store: memory() })
  await broker.publish("t", "kept", { retain: true })
  const publisher = client("p")
  await microtasks()
  const subscription = broker.subscribe("t")
  publisher.publish("t", "next", { retain: true })
  expect(await take(subscription, 2)).toEqual(["kept", "next"])
})

test("a store that cannot be read ends the subscription", async () => {
  const store = memory()
  store.load = () => {
    throw new Error("no such disk")
  }
  await using broker = new Broker({ store, clock: new ManualClock() })
  const subscription = broker.subscribe("t")
  await expect(subscription.closed).rejects.toMatchObject({ code: "STORE_FAILED" })
  await expect(takeAll(subscription)).rejects.toMatchObject({ code: "STORE_FAILED" })
})

test("messages come in the order in which they were published, whoever published them, at whatever QoS", async () => {
  const { broker, client } = await embed()
  const publishers = [client("a"), client("b", { level: 4 })]
  const subscription = broker.subscribe("#", { qos: 2 })
  const expected: string[] = []
  for (let i = 0; i < 30; i++) {
    const payload = String(i)
    expected.push(payload)
    const qos = (i % 3) as 0 | 1 | 2
    if (i % 5 === 0) broker.publish(`t/${i % 2}`, payload, { qos })
    else publishers[i % 2]!.publish(`t/${i % 2}`, payload, { qos })
  }
  expect(await take(subscription, 30)).toEqual(expected)
})

describe("a message that expires", () => {
  test("while it waits for the consumer is dropped, and counted", async () => {
    const { broker, core, clock } = await embed()
    const subscription = broker.subscribe("t", { qos: 1 })
    for (const qos of [0, 1] as const) {
      await broker.publish("t", "short", { qos, properties: { messageExpirySeconds: 5 } })
      await broker.publish("t", `long ${qos}`, { qos, properties: { messageExpirySeconds: 60 } })
    }
    clock.advance(6)
    expect(await take(subscription, 2)).toEqual(["long 0", "long 1"])
    expect(core.metrics.dropped["message expired"]).toBe(2)
    expect(core.inflightCount).toBe(0)
  })

  test("says what is left of its time when it is taken", async () => {
    const { broker, clock } = await embed()
    const messages = broker.subscribe("t")[Symbol.asyncIterator]()
    await broker.publish("t", "x", { properties: { messageExpirySeconds: 60 } })
    clock.advance(50)
    expect((await messages.next()).value?.properties.messageExpirySeconds).toBe(10)
  })
})

test("a subscription is no client: nobody sees one, and no hook is asked", async () => {
  const { broker, core } = await embed()
  const called: string[] = []
  broker.use({
    onSubscribe: () => void called.push("onSubscribe"),
    onSubscribed: () => void called.push("onSubscribed"),
    onDeliver: () => void called.push("onDeliver"),
    onDelivered: () => void called.push("onDelivered"),
    onAcknowledged: () => void called.push("onAcknowledged"),
    onUnsubscribed: () => void called.push("onUnsubscribed"),
  })
  const subscription = broker.subscribe("t", { qos: 2 })
  for (const qos of [0, 1, 2] as const) await broker.publish("t", "x", { qos })
  await take(subscription, 3)
  expect([core.sessions.size, core.inflightCount, [...broker.clients()]]).toEqual([0, 0, []])
  subscription.close()
  await microtasks()
  expect(called).toEqual([])
})

/** The code of the `ManjuError` that it throws there and then. */
function codeOf(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    expect(error).toBeInstanceOf(ManjuError)
    return (error as ManjuError).code
  }
  return "(nothing thrown)"
}

describe("is refused at once, and leaves nothing:", () => {
  const filters = ["", "a/#/b", "a+", "#a", "$share/g", "$share//t", "$share/+/t", "a\0b", "\ud800", "x".repeat(65_536)]
  for (const filter of [...filters, [], ["a", "b+"], 7, undefined, [undefined], "/".repeat(128)])
    test(`the filter ${Bun.inspect(filter).slice(0, 40)}`, async () => {
      const { broker, core } = await embed()
      expect(codeOf(() => broker.subscribe(filter as string))).toBe("INVALID_TOPIC")
      expect(core.router.subscriptionCount).toBe(0)
    })

  const wrong: object[] = [
    { qos: 3 },
    { qos: "1" },
    { retainHandling: 3 },
    { buffer: 0 },
    { buffer: 1.5 },
    { buffer: Number.POSITIVE_INFINITY },
    { overflow: "drop" },
    { signal: new AbortController() },
  ]
  for (const options of wrong)
    test(`the option ${Object.entries(options).flat().join(": ")}`, async () => {
      const { broker, core } = await embed()
      expect(codeOf(() => broker.subscribe("t", options as SubscribeOptions))).toBe("INVALID_OPTION")
      expect(codeOf(() => broker.subscribe("t", () => {}, options as SubscribeOptions))).toBe("INVALID_OPTION")
      expect(core.router.subscriptionCount).toBe(0)
    })

  test("a handler that is no function", async () => {
    const { broker } = await embed()
    expect(codeOf(() => broker.subscribe("t", "handler" as never))).toBe("INVALID_OPTION")
  })

  test("any, once the broker closes", async () => {
    const { broker } = await embed()
    const closing = broker.close()
    expect(codeOf(() => broker.subscribe("t"))).toBe("CLOSED")
    await closing
  })
})

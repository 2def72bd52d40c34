/** `allowClients`: a message that only some may get, of those who subscribe to it. */
import { describe, expect, test } from "bun:test"
import { ApplicationMessage } from "../../src/broker/application-message.ts"
import type { QoS } from "../../src/codec/index.ts"
import { type ConnectFields, durable, Harness, type TestClient } from "../support/harness.ts"
import { observe } from "../support/observed.ts"
import { Runs } from "../support/runs.ts"
import { levels, told } from "./wire.ts"

const allQoS = [0, 1, 2] as const satisfies QoS[]

/** A broker whose messages go to these clients only, unless their topic begins with `all`. */
function limited(allowClients: Iterable<string>, options: ConstructorParameters<typeof Harness>[0] = {}): Harness {
  const harness = new Harness(options)
  harness.core.hooks.use({
    onMessage: (message) => (message.topic.startsWith("all") ? undefined : message.with({ allowClients })),
  })
  return harness
}

function subscribers(
  harness: Harness,
  ids: string,
  filter: string,
  fields: ConnectFields = {},
  qos: QoS = 2,
): TestClient[] {
  const clients = [...ids].map((id) => harness.client(id, fields).subscribe(filter, { qos }))
  for (const client of clients) client.take()
  return clients
}

const messagesOf = (clients: TestClient[]) => clients.map((client) => client.messages())

describe("of those who subscribe, only these get it", () => {
  for (const level of levels)
    for (const qos of allQoS)
      test(`level ${level}, QoS ${qos}`, () => {
        const harness = limited(["a", "c", "nobody"])
        const clients = subscribers(harness, "abcd", "t/+", { level })
        const publisher = harness.client("p").publish("t/x", "some", { qos }).publish("all", "x")
        expect(messagesOf(clients)).toEqual([["t/x some"], [], ["t/x some"], []])
        expect(harness.core.metrics.droppedTotal).toBe(0)
        if (qos === 1) expect(told(publisher)).toBe("puback 00, open")
      })
  test("each once, with all its identifiers, where its filters overlap", () => {
    const harness = limited(["a"])
    const clients = [..."ab"].map((id) => {
      const client = harness.client(id)
      client.subscribe("t/+", { qos: 1, properties: { subscriptionIdentifier: 1 } })
      client.subscribe("#", { qos: 2, properties: { subscriptionIdentifier: 2 } })
      client.take()
      return client
    })
    harness.client("p").publish("t/x", "some", { qos: 2 })
    const [message, ...rest] = clients[0]!.take()
    expect([message?.qos, message?.properties, rest]).toEqual([2, { subscriptionIdentifier: [2, 1] }, []])
    expect(clients[1]!.take()).toEqual([])
  })
  test("the publisher too, if it is one of them and does not mind its own", () => {
    const harness = limited(["a", "b"])
    const [a, b] = subscribers(harness, "ab", "t")
    b!.subscribe("t", { nl: true }).take()
    a!.publish("t", "1")
    b!.publish("t", "2")
    expect(messagesOf([a!, b!])).toEqual([["t 1", "t 2"], ["t 1"]])
  })
  test("nobody, where none is allowed: the publisher is told so", () => {
    const harness = limited([])
    const clients = subscribers(harness, "a", "t")
    const publisher = harness.client("p").publish("t", "x", { qos: 1 }).publish("t", "x", { qos: 2 })
    expect(told(publisher)).toBe("puback 10, pubrec 10, open")
    expect(messagesOf(clients)).toEqual([[]])
  })
  test("RETAIN is as published for those who want it so, but nothing is retained", async () => {
    const harness = limited(["a"])
    const observed = observe(harness.core.hooks, "onRetained", "onPublished")
    const asPublished = harness.client("a").subscribe("t", { rap: true })
    asPublished.take()
    const publisher = harness.client("p").publish("all", "kept", { retain: true }).publish("t", "x", { retain: true })
    publisher.publish("t", "", { retain: true })
    expect(asPublished.take()).toMatchObject([{ payload: Buffer.from("x"), retain: true }, { retain: true }])
    expect(harness.client("a").subscribe("#").messages()).toEqual(["all kept"])
    expect(await observed()).toEqual([
      "retained all kept 0 retain",
      "published all kept 0 retain by p",
      "published t x 0 retain by p",
      "published t  0 retain by p",
    ])
  })
  test("what was retained before stays", () => {
    const harness = limited(["a"])
    let isLimited = false
    harness.core.hooks.use({
      onMessage: () => (isLimited ? undefined : ApplicationMessage.create("t", "all", { retain: true })),
    })
    const publisher = harness.client("p").publish("all")
    isLimited = true
    publisher.publish("t", "some", { retain: true }).publish("t", "", { retain: true })
    expect(harness.client("b").subscribe("t").messages()).toEqual(["t all"])
  })
  test("no room for retained messages is no reason to refuse it", () => {
    const harness = limited(["a"], { limits: { maximumRetainedMessages: 1 } })
    const clients = subscribers(harness, "a", "t")
    const publisher = harness.client("p").publish("all", "kept", { retain: true })
    publisher.publish("t", "x", { qos: 1, retain: true })
    expect([told(publisher), messagesOf(clients)]).toEqual(["puback 00, open", [["t x"]]])
  })
  test("a hook behind it sees who may, and may change that", () => {
    const harness = limited(["a", "b"])
    const seen: unknown[] = []
    harness.core.hooks.use({
      onMessage(message) {
        seen.push(message.allowClients)
        return message.with({ allowClients: ["b", "c"] })
      },
    })
    const clients = subscribers(harness, "abc", "t")
    harness.client("p").publish("t", "x")
    expect(seen).toEqual([new Set(["a", "b"])])
    expect(messagesOf(clients)).toEqual([[], ["t x"], ["t x"]])
  })
  test("wills too", () => {
    const harness = new Harness()
    harness.core.hooks.use({ onWill: (message) => message.with({ allowClients: ["b"] }) })
    const clients = subscribers(harness, "ab", "w")
    harness.client("p", { will: { topic: "w", payload: Buffer.from("x"), qos: 1, retain: true } }).drop()
    expect([messagesOf(clients), harness.core.retained.count]).toEqual([[[], ["w x"]], 0])
  })
})

describe("sessions without a connection", () => {
  for (const level of levels)
    test(`level ${level}: those who are allowed find it when they come back`, () => {
      const harness = limited(["a"])
      for (const client of subscribers(harness, "ab", "t", durable(level))) client.drop()
      harness.client("p").publish("t", "0").publish("t", "1", { qos: 1 }).publish("t", "2", { qos: 2 })
      expect(harness.resume("a", durable(level)).messages()).toEqual(["t 1", "t 2"])
      expect(harness.resume("b", durable(level)).messages()).toEqual([])
    })
  test("a crash changes nothing", async () => {
    const runs = new Runs()
    for (const id of ["a", "b"]) {
      const client = await runs.client(id)
      await runs.subscribe(client, "t", { qos: 1 })
      await runs.drop(client)
    }
    runs.harness.core.hooks.use({ onMessage: (message) => message.with({ allowClients: ["a"] }) })
    await runs.publish("t", ["1", "2"])
    await runs.restart()
    expect(await runs.drain(await runs.resume("a"))).toEqual(["1", "2"])
    expect(await runs.drain(await runs.resume("b"))).toEqual([])
  })
})

describe("of a share group one member gets it who is allowed", () => {
  for (const qos of allQoS)
    test(`QoS ${qos}: those in turn`, () => {
      const harness = limited(["a", "c"])
      const clients = subscribers(harness, "abcd", "$share/g/t")
      const publisher = harness.client("p")
      for (let i = 1; i <= 5; i++) publisher.publish("t", `${i}`, { qos })
      expect(messagesOf(clients)).toEqual([["t 1", "t 3", "t 5"], [], ["t 2", "t 4"], []])
    })
  test("and whoever has a subscription of its own beside", () => {
    const harness = limited(["a", "b"])
    const members = subscribers(harness, "abc", "$share/g/t")
    members[1]!.subscribe("t").take()
    harness.client("p").publish("t", "1")
    expect(messagesOf(members)).toEqual([["t 1"], ["t 1"], []])
  })
  test("one that is ready before one that is not", () => {
    const harness = limited(["a", "b"])
    const [a, b] = subscribers(harness, "ab", "$share/g/t", durable())
    a!.drop()
    const publisher = harness.client("p").publish("t", "1", { qos: 1 }).publish("t", "2", { qos: 1 })
    expect(b!.messages()).toEqual(["t 1", "t 2"])
    publisher.drop()
  })
  test("where none of them is connected it waits for one of them, and for no other", () => {
    const harness = limited(["a"])
    const [a, b] = subscribers(harness, "ab", "$share/g/t", durable())
    a!.drop()
    harness.client("p").publish("t", "1", { qos: 1 }).publish("t", "0")
    expect(b!.messages()).toEqual([])
    expect(harness.resume("a").messages()).toEqual(["t 1"])
  })
  test("nor does another get it when the one who had it has gone for good", () => {
    const harness = limited(["a"])
    const [a, b] = subscribers(harness, "ab", "$share/g/t")
    harness.client("p").publish("t", "1", { qos: 1 })
    expect(a!.messages()).toEqual(["t 1"])
    a!.drop()
    expect([b!.messages(), harness.core.inflightCount]).toEqual([[], 0])
  })
  test("nobody, where no member is allowed", () => {
    const harness = limited(["x"])
    const clients = subscribers(harness, "ab", "$share/g/t")
    harness.client("p").publish("t", "1", { qos: 1 })
    expect([messagesOf(clients), harness.core.queueBytes]).toEqual([[[], []], 0])
  })
})

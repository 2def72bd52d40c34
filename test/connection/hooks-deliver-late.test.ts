/** `onDeliver` that takes its time, and what it does itself in the middle of a message being handed round. */
import { describe, expect, test } from "bun:test"
import { ApplicationMessage } from "../../src/broker/application-message.ts"
import type { Hooks } from "../../src/broker/hooks.ts"
import { type ProtocolLevel, Reason } from "../../src/codec/index.ts"
import { durable, Harness, type HarnessOptions, type TestClient } from "../support/harness.ts"
import { allQoS } from "../support/hooked.ts"
import { Late } from "../support/late.ts"
import { observe } from "../support/observed.ts"
import { LateStore, microtasks } from "../support/store.ts"
import { levels, told } from "./wire.ts"

type OnDeliver = NonNullable<Hooks["onDeliver"]>

/** A broker with this hook, and a client of that level that subscribes to everything. */
function hooked(onDeliver: OnDeliver, level: ProtocolLevel = 5, options: HarnessOptions = {}) {
  const harness = new Harness(options)
  const client = harness.client("a", durable(level)).subscribe("#", { qos: 2 })
  client.take()
  const remove = harness.core.hooks.use({ onDeliver })
  return { harness, client, publisher: harness.client("p"), remove }
}

/** Nothing is in flight any more, and the window is as open as at the beginning. */
async function isSettled(harness: Harness, client: TestClient, publisher: TestClient): Promise<void> {
  expect(harness.core.inflightCount).toBe(0)
  expect(harness.core.sessions.get("a")!.inflightCount).toBe(0)
  const window = Math.min(harness.core.limits.maximumInflight, 20)
  for (let i = 0; i < window; i++) publisher.publish("window", `${i}`, { qos: 1 })
  await microtasks()
  expect(client.received.filter(({ cmd }) => cmd === "publish")).toHaveLength(window)
}

describe("while it thinks", () => {
  const waiting = (level: ProtocolLevel = 5, options: HarnessOptions = {}) => {
    const late = new Late<ApplicationMessage | false | undefined>()
    const decide: OnDeliver = (message, { clientId }) =>
      clientId === "a" && message.text().startsWith("l") ? late.ask(message.text()) : undefined
    return { late, ...hooked(decide, level, options) }
  }

  for (const level of levels) {
    test(`level ${level}: what is behind waits too, in its order, and nobody else does`, async () => {
      const { late, harness, client, publisher } = waiting(level)
      const other = harness.client("b", { level }).subscribe("#")
      other.take()
      publisher.publish("t", "l1", { qos: 1 }).publish("t", "2").publish("t", "l3", { qos: 2 })
      publisher.publish("t", "4", { qos: 2 }).publish("t", "l5").publish("t", "6", { qos: 1 })
      client.send({ cmd: "pingreq" })
      expect(late.asked).toEqual(["l1", "l3", "l5"])
      expect(other.messages()).toHaveLength(6)
      expect(client.take().map(({ cmd }) => cmd)).toEqual(["pingresp"])
      await late.give("l5", undefined)
      await late.give("l3", false)
      expect(client.messages()).toEqual([])
      await late.give("l1", ApplicationMessage.create("t", "changed"))
      expect(client.messages()).toEqual(["t changed", "t 2", "t 4", "t l5", "t 6"])
      publisher.publish("t", "7")
      expect(client.messages()).toEqual(["t 7"])
    })
    test(`level ${level}: a client that goes away is asked about again when it comes back`, async () => {
      const { late, harness, client, publisher } = waiting(level)
      const observed = observe(harness.core.hooks, "onDelivered", "onDropped")
      publisher.publish("t", "late", { qos: 1 }).publish("t", "l0")
      client.drop()
      await late.give("late", undefined)
      expect(await observed()).toEqual([])
      expect(late.asked.splice(0)).toEqual(["late", "l0"])
      const again = harness.resume("a", durable(level))
      await late.give("late", undefined)
      expect([late.asked, again.messages()]).toEqual([["late"], ["t late"]])
      expect(await observed()).toEqual(["delivered t late 1 to a"])
    })
  }
  test("a client that takes over gets what its predecessor waited for, once", async () => {
    const { late, harness, client, publisher } = waiting()
    publisher.publish("t", "late", { qos: 2 })
    const next = harness.resume("a")
    expect(late.asked).toEqual(["late", "late"])
    await late.give("late", undefined)
    expect(next.messages()).toEqual(["t late"])
    expect(told(client)).toBe("disconnect 8e, closed")
  })
  test("the message is the one that came, whatever its chunk holds by then", async () => {
    const { late, client, publisher } = waiting()
    const chunk = Buffer.from("30070001 7400 6c6174".replaceAll(" ", ""), "hex")
    publisher.connection.receive(chunk)
    chunk.fill(0xff)
    await late.give("lat", undefined)
    expect(client.messages()).toEqual(["t lat"])
  })
  test("one that expires does not go out any more [MQTT-3.3.2-5], and its window is free", async () => {
    const { late, harness, client, publisher } = waiting()
    const dropped = observe(harness.core.hooks, "onDropped")
    for (const qos of allQoS) {
      publisher.publish("t", `l${qos}`, { qos, properties: { messageExpiryInterval: 5 } })
    }
    harness.clock.advance(6)
    for (const qos of allQoS) await late.give(`l${qos}`, undefined)
    expect(client.take()).toEqual([])
    expect(await dropped()).toEqual(allQoS.map((qos) => `dropped t l${qos} ${qos} for a: message expired`))
    await isSettled(harness, client, publisher)
  })
  test("one that had begun to go out before does, expired or not", async () => {
    const { late, harness, client, publisher, remove } = waiting()
    remove()
    publisher.publish("t", "late", { qos: 1, properties: { messageExpiryInterval: 5 } })
    expect(client.messages()).toEqual(["t late"])
    client.drop()
    harness.core.hooks.use({ onDeliver: (message) => late.ask(message.text()) })
    const again = harness.resume("a")
    harness.clock.advance(6)
    await late.give("late", undefined)
    expect(again.take()).toMatchObject([{ dup: true, properties: { messageExpiryInterval: 0 } }])
  })
  test("no more QoS 0 is held for a client than its backlog may have", async () => {
    const { late, harness, client, publisher } = waiting(5, { limits: { maximumBacklogBytes: 1024 } })
    publisher.publish("t", "l", { qos: 0 })
    for (let i = 0; i < 20; i++) publisher.publish("t", `${i}`.padEnd(200))
    expect(harness.core.metrics.dropped["backlog full"]).toBeGreaterThan(10)
    await late.give("l", undefined)
    const dropped = harness.core.metrics.dropped["backlog full"]
    expect(client.messages().length).toBe(21 - dropped)
    publisher.publish("t", "l again").publish("t", "and what is behind")
    await late.give("l again", undefined)
    expect(client.messages()).toEqual(["t l again", "t and what is behind"])
    expect(harness.core.metrics.dropped["backlog full"]).toBe(dropped)
  })
  test("what is held goes out, however much comes behind it", async () => {
    const { late, harness, client, publisher } = waiting(5, { limits: { maximumBacklogBytes: 1024 } })
    publisher.publish("t", "l").publish("t", "x".repeat(5000))
    await late.give("l", undefined)
    expect(client.messages().map((message) => message.length)).toEqual([3, 5002])
    expect(harness.core.metrics.droppedTotal).toBe(0)
  })
  test("what is retained is sent as fast as it decides: nothing of it is dropped", async () => {
    const harness = new Harness({ limits: { maximumBacklogBytes: 1024 } })
    const publisher = harness.client("p")
    for (let i = 10; i < 60; i++) publisher.publish(`r/${i}`, "x".repeat(100), { retain: true })
    const late = new Late<undefined>()
    harness.core.hooks.use({ onDeliver: ({ topic }) => late.ask(topic) })
    const client = harness.client("a").subscribe("r/+")
    let answered = 0
    while (answered < late.asked.length) {
      expect(late.asked.length - answered).toBeLessThan(10)
      await late.give(late.asked[answered++]!, undefined)
    }
    expect(client.messages()).toHaveLength(50)
    expect(harness.core.metrics.droppedTotal).toBe(0)
  })
  test("a publisher's acknowledgement waits for the store alone", async () => {
    const store = new LateStore()
    const late = new Late<undefined>()
    const harness = new Harness({ store })
    harness.core.hooks.use({ onDeliver: (message) => late.ask(message.text()) })
    const client = harness.connect({ clientId: "a", ...durable() })
    await store.commitAll()
    client.subscribe("t", { qos: 2 })
    await store.commitAll()
    client.take()
    const publisher = harness.client("p").publish("t", "1", { qos: 1 }).publish("t", "2", { qos: 2 })
    await microtasks()
    expect([late.asked, told(publisher)]).toEqual([["1"], "open"]) // QoS 2 waits to be stored before it goes anywhere
    await store.commitAll()
    expect([late.asked, told(publisher)]).toEqual([["1", "2"], "puback 00, pubrec 00, open"])
    await late.give("2", undefined)
    expect(client.take()).toEqual([])
    await late.give("1", undefined)
    expect(client.messages()).toEqual(["t 1", "t 2"])
  })
})

describe("what it does in the middle of a message being handed round comes after that", () => {
  /** Three subscribers, of whom the first one's delivery is where something happens. */
  function fanOut(act: (harness: Harness) => unknown, fields = {}) {
    const harness = new Harness()
    const clients = ["a", "b", "c"].map((id) => harness.client(id, fields).subscribe("#", { qos: 1 }))
    for (const client of clients) client.take()
    let done = false
    harness.core.hooks.use({
      onDeliver(_, { clientId }) {
        if (clientId !== "a" || done) return
        done = true
        act(harness)
      },
    })
    return { harness, clients, publisher: harness.client("p") }
  }
  for (const qos of allQoS) {
    test(`QoS ${qos}: it sends away whom it has been asked about, and others`, async () => {
      const { harness, clients, publisher } = fanOut(({ core }) => {
        for (const id of ["a", "b"]) core.clients.get(id)!.view.disconnect(Reason.QuotaExceeded)
      })
      publisher.publish("t", "x", { qos })
      await microtasks()
      expect(clients.map(told)).toEqual([
        "publish, disconnect 97, closed",
        "publish, disconnect 97, closed",
        "publish, open",
      ])
      expect(harness.core.router.subscriptionCount).toBe(1)
      clients[2]!.ack("puback", 1)
      expect(harness.core.inflightCount).toBe(0)
    })
    test(`QoS ${qos}: sessions that outlive that keep what they have not acknowledged`, async () => {
      const { harness, publisher } = fanOut(({ core }) => core.clients.get("a")!.view.disconnect(), durable())
      publisher.publish("t", "x", { qos })
      await microtasks()
      expect(harness.resume("a").messages()).toEqual(qos > 0 ? ["t x"] : [])
    })
    test(`QoS ${qos}: it sends away the publisher, whose will comes after the message`, async () => {
      const { harness, clients } = fanOut(({ core }) => core.clients.get("w")!.view.disconnect())
      const publisher = harness.client("w", {
        will: { topic: "w", payload: Buffer.from("bye"), qos: 0, retain: false },
      })
      publisher.publish("t", "x", { qos })
      await microtasks()
      expect(clients.map((client) => client.messages())).toEqual(Array(3).fill(["t x", "w bye"]))
      expect(publisher.isClosed).toBe(true)
    })
  }
})

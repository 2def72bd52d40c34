/** `onDeliver`: what one client gets of a message, with nothing of its flow left behind. */
import { describe, expect, test } from "bun:test"
import { ApplicationMessage, type MessageChanges } from "../../src/broker/application-message.ts"
import type { Hooks } from "../../src/broker/hooks.ts"
import { type ProtocolLevel, Reason } from "../../src/codec/index.ts"
import { ways } from "../support/door.ts"
import { durable, Harness, type HarnessOptions, type TestClient } from "../support/harness.ts"
import { allQoS, drain } from "../support/hooked.ts"
import { Late } from "../support/late.ts"
import { Runs } from "../support/runs.ts"
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

describe("is asked about each message on its way to each client that may receive it", () => {
  for (const level of levels)
    test(`level ${level}: with the QoS and the RETAIN that it has there`, async () => {
      const asked: Record<string, unknown> = {}
      const { harness, publisher } = hooked(({ topic, qos, retain }, { clientId }) => {
        asked[clientId] = [topic, qos, retain]
      }, level)
      harness.client("b", { level }).subscribe("t", { qos: 1 })
      publisher.publish("t", "x", { qos: 2, retain: true })
      harness.client("c", { level }).subscribe("t", { qos: 0 })
      expect(asked).toEqual({ a: ["t", 2, false], b: ["t", 1, false], c: ["t", 0, true] })
    })
  test("not what the auth does not let it receive", async () => {
    for (const [, give] of ways) {
      const asked: string[] = []
      const { harness, publisher } = hooked(({ topic }, { clientId }) => void asked.push(`${clientId} ${topic}`))
      const authorize = (_: unknown, action: string, topic: string) => give(action !== "receive" || topic !== "secret")
      const listener = harness.listener({}, { authenticate: () => true, authorize })
      harness.client("b", {}, listener).subscribe("#")
      await microtasks()
      publisher.publish("secret").publish("open")
      await microtasks()
      expect(asked).toEqual(["a secret", "a open", "b open"])
    }
  })
  test("what is retained and what was queued too, and a message that goes out again", async () => {
    const asked: string[] = []
    const { harness, client, publisher } = hooked((message) => void asked.push(message.text()))
    publisher.publish("t", "sent", { qos: 1 })
    client.drop()
    publisher.publish("t", "queued", { qos: 2 }).publish("r", "retained", { retain: true, qos: 1 })
    expect(asked.splice(0)).toEqual(["sent"])
    const again = harness.resume("a")
    expect(asked.splice(0)).toEqual(["sent", "queued", "retained"])
    expect(again.take().map(({ dup }) => dup)).toEqual([true, false, false])
    again.subscribe("r", { qos: 1 })
    expect(asked).toEqual(["retained"])
  })
  test("of `$SYS` too: its payload may change, and its topic stays", async () => {
    const harness = new Harness()
    const { core } = harness
    const onDeliver: OnDeliver = (message) => message.with({ payload: `${message.text()}!` })
    core.hooks.use({ onDeliver })
    const client = harness.client("a").subscribe("$SYS/#")
    client.take()
    const message = ApplicationMessage.create("$SYS/broker/uptime", "1")
    core.publish(message.toMessage(core.router.topics.named("$SYS/broker/uptime")!, 0), undefined)
    await microtasks()
    expect(client.messages()).toEqual(["$SYS/broker/uptime 1!"])
    expect(core.metrics.hooksFailed).toBe(0)
  })
  test("nothing of it is there any more when it has been taken out", () => {
    const { client, publisher, remove } = hooked(() => false)
    publisher.publish("t", "1")
    remove()
    publisher.publish("t", "2", { qos: 1 })
    expect(client.messages()).toEqual(["t 2"])
  })
})

describe("what it makes of a message is what this client gets, and nobody else", () => {
  const changes: [change: MessageChanges, expected: object][] = [
    [{ topic: "moved/é" }, { topic: "moved/é" }],
    [{ payload: "other" }, { payload: Buffer.from("other") }],
    [{ payload: "" }, { payload: Buffer.alloc(0) }],
    [
      { properties: { contentType: "new", userProperties: [["a", "b"]] } },
      { properties: { contentType: "new", userProperties: { a: "b" } } },
    ],
    [{ qos: 0, retain: true, allowClients: [] }, {}], // these are settled
  ]
  for (const level of levels)
    for (const [when, give] of ways)
      for (const [change, expected] of changes)
        test(`level ${level}, ${when}: ${JSON.stringify(change)}`, async () => {
          const { harness, client, publisher } = hooked(
            (message, { clientId }) => give(clientId === "a" ? message.with(change) : undefined),
            level,
          )
          const other = harness.client("b", { level }).subscribe("#", { qos: 2 })
          other.take()
          for (const qos of allQoS) publisher.publish("t", "x", { qos })
          await microtasks()
          const original = { cmd: "publish", topic: "t", payload: Buffer.from("x"), retain: false }
          const { properties, ...inAnyLevel } = expected as { properties?: object }
          const changed = { ...original, ...inAnyLevel, ...(level === 5 && properties && { properties }) }
          expect(client.take()).toMatchObject(allQoS.map((qos) => ({ ...changed, qos })))
          expect(other.take()).toMatchObject(allQoS.map((qos) => ({ ...original, qos })))
        })
  test("each its own, in one fan-out", () => {
    const { harness, client, publisher } = hooked((message, { clientId }) =>
      message.with({ payload: `for ${clientId}` }),
    )
    const others = ["b", "c"].map((id) => harness.client(id).subscribe("t"))
    publisher.publish("t", "x", { retain: true })
    expect([client, ...others].map((each) => each.messages())).toEqual([["t for a"], ["t for b"], ["t for c"]])
    expect(String(harness.core.retainedMessage("t")!.payload)).toContain("x")
  })
  test("with the identifiers of its subscriptions and an alias", () => {
    const { harness, publisher } = hooked((message) => message.with({ topic: "moved" }), 5, {
      listener: { outgoingTopicAliasMaximum: 5 },
    })
    const client = harness.client("b", { properties: { topicAliasMaximum: 5 } })
    client.subscribe("t", { properties: { subscriptionIdentifier: 7 } }).take()
    publisher.publish("t", "1").publish("t", "2")
    expect(client.take()).toMatchObject([
      { topic: "moved", properties: { subscriptionIdentifier: 7, topicAlias: 1 } },
      { topic: "", properties: { subscriptionIdentifier: 7, topicAlias: 1 } },
    ])
  })
  test("behind its mount point", () => {
    const { harness, publisher } = hooked((message) => message.with({ topic: `${message.topic}/moved` }))
    const client = harness.client("b", {}, harness.listener({ mountPoint: "site/" })).subscribe("t")
    publisher.publish("site/t", "x")
    expect(client.messages()).toEqual(["t/moved x"])
  })
  test("as large as it has become: what is too large for the client is dropped", async () => {
    const { harness, publisher } = hooked((message) => message.with({ payload: "x".repeat(500) }))
    const client = harness.client("b", { properties: { maximumPacketSize: 200 } }).subscribe("t", { qos: 1 })
    client.take()
    publisher.publish("t", "small", { qos: 1 })
    expect(client.take()).toEqual([])
    expect(harness.core.metrics.dropped["packet too large"]).toBe(1)
    expect(harness.core.sessions.get("b")!.inflightCount).toBe(0)
  })
  test("also where the topic is one that nobody could publish to any more", async () => {
    const runs = new Runs()
    const client = await runs.client("a")
    await runs.subscribe(client, "#", { qos: 1 })
    await runs.drop(client)
    await runs.publish("a/b/c", "x")
    await runs.restart(0, { maximumTopicLevels: 2 })
    runs.harness.core.hooks.use({ onDeliver: (message) => message.with({ payload: `${message.text()}!` }) })
    expect(await runs.drain(await runs.resume("a"))).toEqual(["x!"])
  })
  test("a message of before that it has kept", async () => {
    let first: ApplicationMessage | undefined
    const { client, publisher } = hooked((message) => {
      first ??= message
      return first
    })
    publisher.publish("t", "1").publish("u", "2", { qos: 1 })
    expect(client.messages()).toEqual(["t 1", "t 1"])
  })
  test("what is left of its time is told, also where it is rewritten [MQTT-3.3.2-6]", async () => {
    for (const rewrite of [false, true]) {
      const late = new Late<undefined>()
      const { harness, client, publisher } = hooked(async (message) => {
        await late.ask("m")
        return rewrite ? message.with({ payload: "y" }) : undefined
      })
      publisher.publish("t", "x", { properties: { messageExpiryInterval: 10 } })
      harness.clock.advance(4)
      await late.give("m", undefined)
      expect(client.take()).toMatchObject([{ properties: { messageExpiryInterval: 6 } }])
    }
  })
})

describe("what it refuses this client does not get, and its window stays open", () => {
  const failing: [how: string, onDeliver: OnDeliver, isFailure: boolean][] = [
    ["false", () => false, false],
    ["a reason", () => Reason.QuotaExceeded as never, false],
    [
      "an exception",
      () => {
        throw new Error("broken")
      },
      true,
    ],
    ["nonsense", () => "x" as never, true],
    ["a topic under `$SYS`", (message) => message.with({ topic: "$SYS/x" }), true],
    ["what is no topic", (message) => message.with({ topic: "#" }), true],
  ]
  for (const level of levels)
    for (const when of ["at once", "late"])
      for (const [how, decide, isFailure] of failing)
        test(`level ${level}: by ${how}, ${when}`, async () => {
          const onDeliver: OnDeliver = (message, client) => {
            if (client.clientId !== "a" || message.topic !== "secret") return undefined
            return when === "late" ? Promise.try(decide, message, client) : decide(message, client)
          }
          const limits = { maximumInflight: 3 }
          const { harness, client, publisher } = hooked(onDeliver, level, { limits })
          const other = harness.client("b", { level }).subscribe("#")
          other.take()
          for (const qos of allQoS) for (let i = 0; i < 5; i++) publisher.publish("secret", `${qos}`, { qos })
          publisher.publish("open", "x", { qos: 2 })
          await microtasks()
          expect(await drain(client)).toEqual(["open x"])
          expect(other.messages()).toHaveLength(16)
          expect(harness.core.metrics.dropped["refused by hook"]).toBe(15)
          expect(harness.core.metrics.hooksFailed).toBe(isFailure ? 15 : 0)
          await isSettled(harness, client, publisher)
        })

  for (const [when, give] of ways) {
    test(`what is queued and replayed goes on behind it, ${when}`, async () => {
      const { harness, client, publisher } = hooked((message) => give(message.text() === "no" ? false : undefined), 5, {
        limits: { maximumInflight: 2 },
      })
      client.drop()
      const payloads = ["1", "no", "no", "no", "2", "no", "3"]
      for (const [i, payload] of payloads.entries()) publisher.publish("q", payload, { qos: i % 2 ? 1 : 2 })
      for (const [i, payload] of payloads.entries()) publisher.publish(`r/${i}`, payload, { qos: 0, retain: true })
      const again = harness.resume("a")
      const queued = await drain(again)
      expect(queued).toEqual(["q 1", "q 2", "q 3"])
      again.subscribe("r/+", { qos: 2 })
      expect((await drain(again)).sort()).toEqual(["r/0 1", "r/4 2", "r/6 3"])
      await isSettled(harness, again, publisher)
    })
    test(`one that had been sent before, ${when}: at QoS 1 it is forgotten, at QoS 2 its id is released`, async () => {
      let isRefusing = false
      const { harness, client, publisher } = hooked(() => give(isRefusing ? false : undefined))
      publisher.publish("t", "1", { qos: 1 }).publish("t", "2", { qos: 2 })
      await microtasks()
      const [one, two] = client.take()
      client.drop()
      isRefusing = true
      const again = harness.resume("a")
      await microtasks()
      expect(again.take()).toMatchObject([{ cmd: "pubrel", messageId: two!.messageId }])
      again.ack("puback", one!.messageId!).ack("pubcomp", two!.messageId!)
      expect(told(again)).toBe("open")
      isRefusing = false
      await isSettled(harness, again, publisher)
    })
    test(`of a share group, ${when}: another member gets it, and the window stays open`, async () => {
      const harness = new Harness({ limits: { maximumInflight: 2 } })
      harness.core.hooks.use({ onDeliver: (_, { clientId }) => give(clientId === "a" ? false : undefined) })
      const [a, b] = ["a", "b"].map((id) => harness.client(id, durable()).subscribe("$share/g/t", { qos: 1 }))
      const publisher = harness.client("p")
      for (const client of [a!, b!]) client.take()
      const got: string[] = []
      for (let i = 1; i <= 8; i++) {
        publisher.publish("t", `${i}`, { qos: 1 })
        expect(await drain(a!)).toEqual([])
        got.push(...(await drain(b!)))
      }
      expect(got).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((i) => `t ${i}`))
      expect(harness.core.metrics.droppedTotal).toBe(0)
      expect([harness.core.inflightCount, harness.core.queueBytes]).toEqual([0, 0])
    })
  }

  test("with a store what is refused is settled there", async () => {
    for (const [, give] of ways) {
      const store = new LateStore()
      const harness = new Harness({ store })
      harness.core.hooks.use({ onDeliver: () => give(false) })
      const client = harness.connect({ clientId: "a", ...durable() })
      await store.commitAll()
      client.subscribe("t", { qos: 2 })
      await store.commitAll()
      client.take()
      const publisher = harness.client("p").publish("t", "1", { qos: 1 }).publish("t", "2", { qos: 2 })
      await store.commitAll()
      expect(told(publisher)).toBe("puback 00, pubrec 00, open")
      expect([client.take(), harness.core.inflightCount]).toEqual([[], 0])
      const kinds = store.committed.map(({ kind }) => kind)
      expect(kinds.filter((kind) => kind === "settled").length).toBe(kinds.filter((kind) => kind === "queued").length)
    }
  })
})

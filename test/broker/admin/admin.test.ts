/** What `broker.admin` shows of clients, sessions, subscriptions and retained messages, and does to them. */
import { describe, expect, test } from "bun:test"
import { Reason } from "../../../src/codec/index.ts"
import { memory } from "../../../src/store/memory.ts"
import { type Embedded, embed } from "../../support/embedded.ts"
import { durable } from "../../support/harness.ts"
import { LateStore, microtasks } from "../../support/store.ts"

/** What it is refused with. */
const refusal = (promise: Promise<unknown>) => promise.catch((error) => [error.code, error.message])

describe("clients", () => {
  async function populated(): Promise<Embedded> {
    const embedded = await embed()
    embedded.client("pump-1", { username: "Ada" })
    embedded.client("pump-2", { username: "bob" })
    embedded.client("lamp")
    embedded.client("away", durable()).drop()
    return embedded
  }
  const ids = async ({ broker }: Embedded, query: object) =>
    (await broker.admin.clients(query)).items.map(({ clientId }) => clientId)

  test("are those that are connected, by client id, as hooks see them", async () => {
    const embedded = await populated()
    const { items, total, next } = await embedded.broker.admin.clients()
    expect(items.map(({ clientId }) => clientId)).toEqual(["lamp", "pump-1", "pump-2"])
    expect([total, next]).toEqual([3, undefined])
    expect(items[1]).toBe(embedded.broker.client("pump-1")!)
  })

  test("can be looked for by parts of their names and address, by user and by listener, and all of it must fit", async () => {
    const embedded = await populated()
    expect(await ids(embedded, { text: "PUMP" })).toEqual(["pump-1", "pump-2"])
    expect(await ids(embedded, { text: "aDa" })).toEqual(["pump-1"])
    expect(await ids(embedded, { text: "192.0.2." })).toEqual(["lamp", "pump-1", "pump-2"])
    expect(await ids(embedded, { text: "198.51" })).toEqual([])
    expect(await ids(embedded, { username: "bob" })).toEqual(["pump-2"])
    expect(await ids(embedded, { username: "Bob" })).toEqual([])
    expect(await ids(embedded, { listener: "test", text: "lamp" })).toEqual(["lamp"])
    expect(await ids(embedded, { listener: "other" })).toEqual([])
  })
})

describe("sessions", () => {
  async function populated() {
    const embedded = await embed()
    const { clock } = embedded
    const here = embedded.client("here", { username: "ada" }).subscribe(["a/#", "b"], { qos: 1 })
    embedded
      .client("away", { ...durable(), username: "bob" })
      .subscribe("c", { qos: 1 })
      .drop()
    const leftAt = clock.now()
    const will = { topic: "wills/forever", payload: Buffer.from("x"), properties: { willDelayInterval: 7200 } }
    embedded
      .client("forever", { level: 5, clean: false, will, properties: { sessionExpiryInterval: 0xffff_ffff } })
      .drop()
    await embedded.broker.publish("c", "for away", { qos: 1 })
    await embedded.broker.publish("b", "for here", { qos: 1 })
    return { ...embedded, here, leftAt }
  }

  test("are those of clients that are connected and of those that are away", async () => {
    const { broker, leftAt } = await populated()
    const { items, total } = await broker.admin.sessions()
    expect(total).toBe(3)
    const none = { inflightMessages: 0, queuedMessages: 0, queuedBytes: 0, willTopic: undefined }
    const away = {
      ...{ clientId: "away", username: "bob", isConnected: false, expirySeconds: 3600 },
      ...{ disconnectedAt: leftAt, expiresAt: leftAt + 3_600_000, subscriptions: 1 },
      ...{ ...none, queuedMessages: 1, queuedBytes: items[0]!.queuedBytes },
    }
    const forever = {
      ...{ clientId: "forever", username: undefined, isConnected: false, expirySeconds: 0xffff_ffff },
      ...{ disconnectedAt: leftAt, expiresAt: undefined, subscriptions: 0, ...none, willTopic: "wills/forever" },
    }
    const here = {
      ...{ clientId: "here", username: "ada", isConnected: true, expirySeconds: 0 },
      ...{ disconnectedAt: undefined, expiresAt: undefined, subscriptions: 2, ...none, inflightMessages: 1 },
    }
    expect(items).toEqual([away, forever, here])
    expect(items[0]!.queuedBytes).toBeGreaterThan("for away".length)
    expect(broker.admin.session("here")).toEqual(here)
    expect(broker.admin.session("nobody")).toBeUndefined()
  })

  test("can be looked for by parts of their names, by user, and by whether there is a connection", async () => {
    const { broker } = await populated()
    const ids = async (query: object) => (await broker.admin.sessions(query)).items.map(({ clientId }) => clientId)
    expect(await ids({ text: "R" })).toEqual(["forever", "here"])
    expect(await ids({ text: "bo" })).toEqual(["away"])
    expect(await ids({ username: "ada" })).toEqual(["here"])
    expect(await ids({ isConnected: true })).toEqual(["here"])
    expect(await ids({ isConnected: false })).toEqual(["away", "forever"])
    expect(await ids({ isConnected: false, username: "ada" })).toEqual([])
  })

  test("end when they are deleted: the client is sent away, its subscriptions and messages are gone, its will is published", async () => {
    const { broker, core, client, here } = await populated()
    const watcher = client("watcher").subscribe("wills/#")
    watcher.take()
    expect(await broker.admin.deleteSession("forever")).toBe(true)
    await microtasks()
    expect(watcher.messages()).toEqual(["wills/forever x"])
    expect(await broker.admin.deleteSession("away")).toBe(true)
    expect(core.queueBytes).toBe(0)
    here.take()
    expect(await broker.admin.deleteSession("here")).toBe(true)
    expect(here.take()).toMatchObject([{ cmd: "disconnect", reasonCode: Reason.AdministrativeAction }])
    expect([here.isClosed, core.router.subscriptionCount, core.inflightCount]).toEqual([true, 1, 0])
    expect((await broker.admin.sessions()).items.map(({ clientId }) => clientId)).toEqual(["watcher"])
    expect(await broker.admin.deleteSession("here")).toBe(false)
  })

  test("are deleted when that is durable, and not at all while the store fails", async () => {
    const store = new LateStore()
    const { broker, client } = await embed({ store })
    client("away", durable())
    await store.commitAll()
    broker.client("away")!.disconnect()
    let isDeleted = false
    const deleting = broker.admin.deleteSession("away").then(() => {
      isDeleted = true
    })
    await microtasks()
    expect([isDeleted, broker.admin.session("away")]).toEqual([false, undefined])
    await store.commitAll()
    await deleting
    expect(store.committed.at(-1)).toMatchObject({ kind: "sessionRemoved", clientId: "away" })

    client("other", durable())
    await store.commitAll()
    void broker.publish("t", "x", { qos: 1, retain: true })
    await microtasks()
    store.pending.shift()!.reject(new Error("disk full"))
    await microtasks()
    expect(await refusal(broker.admin.deleteSession("other"))).toMatchObject(["STORE_FAILED", expect.anything()])
    expect(broker.admin.session("other")).toBeDefined()
  })
})

describe("subscriptions", () => {
  async function populated() {
    const embedded = await embed()
    embedded
      .client("a")
      .subscribe("x/+", { qos: 2, nl: true, rap: true, rh: 1, properties: { subscriptionIdentifier: 7 } })
    embedded.client("a2").subscribe(["x/1", "$share/g/x/#"])
    embedded.client("b", durable()).subscribe("x/1", { qos: 1 }).drop()
    embedded.broker.subscribe("x/1")
    return embedded.broker.admin
  }
  const brief = ({ items }: { items: readonly { clientId: string; topicFilter: string }[] }) =>
    items.map(({ clientId, topicFilter }) => `${clientId} ${topicFilter}`)

  test("are those of clients, by client id and filter, with their options", async () => {
    const admin = await populated()
    const page = await admin.subscriptions()
    expect(brief(page)).toEqual(["a x/+", "a2 $share/g/x/#", "a2 x/1", "b x/1"])
    expect(page.items[0]).toEqual({
      ...{ clientId: "a", isConnected: true, topicFilter: "x/+", qos: 2, noLocal: true, retainAsPublished: true },
      ...{ retainHandling: 1, identifier: 7 },
    })
    expect(page.items[3]).toMatchObject({ isConnected: false, qos: 1, identifier: undefined })
  })

  test("can be looked for by client, by filter, and by a topic that they match", async () => {
    const admin = await populated()
    expect(brief(await admin.subscriptions({ clientId: "a2" }))).toEqual(["a2 $share/g/x/#", "a2 x/1"])
    expect(brief(await admin.subscriptions({ clientId: "nobody" }))).toEqual([])
    expect(brief(await admin.subscriptions({ topicFilter: "x/1" }))).toEqual(["a2 x/1", "b x/1"])
    expect(brief(await admin.subscriptions({ topic: "x/2" }))).toEqual(["a x/+", "a2 $share/g/x/#"])
    expect(brief(await admin.subscriptions({ topic: "x/1", clientId: "b" }))).toEqual(["b x/1"])
  })

  test("come in pages that may end in the middle of a client's", async () => {
    const admin = await populated()
    const first = await admin.subscriptions({ limit: 2 })
    const second = await admin.subscriptions({ limit: 2, cursor: first.next! })
    expect([brief(first), brief(second)]).toEqual([
      ["a x/+", "a2 $share/g/x/#"],
      ["a2 x/1", "b x/1"],
    ])
    expect([first.total, second.total, second.next]).toEqual([4, 4, undefined])
  })
})

describe("retained messages", () => {
  async function populated(store = memory()) {
    const embedded = await embed({ store })
    const { broker } = embedded
    for (const topic of ["b/2", "a", "b/1", "b/1/deep"]) {
      await broker.publish(topic, `of ${topic}`, { retain: true, qos: 1, properties: { contentType: "text/plain" } })
    }
    await broker.publish("brief", "x", { retain: true, properties: { messageExpirySeconds: 10 } })
    return embedded
  }
  const topics = ({ items }: { items: readonly { topic: string }[] }) => items.map(({ topic }) => topic)

  test("are listed by topic, as many as a filter matches", async () => {
    const { broker } = await populated()
    const page = await broker.admin.retained()
    expect(topics(page)).toEqual(["a", "b/1", "b/1/deep", "b/2", "brief"])
    expect([page.items[0]!.text(), page.items[0]!.properties]).toEqual(["of a", { contentType: "text/plain" }])
    expect(topics(await broker.admin.retained({ topicFilter: "b/+" }))).toEqual(["b/1", "b/2"])
    const first = await broker.admin.retained({ topicFilter: "b/#", limit: 2 })
    const rest = await broker.admin.retained({ topicFilter: "b/#", limit: 2, cursor: first.next! })
    expect([topics(first), topics(rest), first.total]).toEqual([["b/1", "b/1/deep"], ["b/2"], 3])
  })

  test("are not listed when they have expired", async () => {
    const { broker, clock } = await populated()
    clock.advance(9)
    expect(broker.admin.retainedMessage("brief")?.properties.messageExpirySeconds).toBe(1)
    clock.advance(1)
    expect(topics(await broker.admin.retained({ topicFilter: "+" }))).toEqual(["a"])
    expect(broker.admin.retainedMessage("brief")).toBeUndefined()
  })

  test("are forgotten by filter, durably, and subscribers are not told", async () => {
    const store = memory()
    const { broker, client } = await populated(store)
    const watcher = client("watcher")
    await microtasks()
    watcher.subscribe("#", { rh: 2 }).take()
    expect(await broker.admin.deleteRetained("b/#")).toBe(3)
    expect(topics(await broker.admin.retained())).toEqual(["a", "brief"])
    expect(watcher.messages()).toEqual([])
    const stored: string[] = []
    for await (const item of store.load()) if (item.kind === "retained") stored.push(item.message.topic)
    expect(stored).toEqual(["a"])
    expect(await broker.admin.deleteRetained("b/#")).toBe(0)
  })

  test("are forgotten by the thousand without waiting for the end of it", async () => {
    const { broker } = await embed({ store: memory() })
    for (let n = 0; n < 3500; n++) void broker.publish(`many/${n}`, "x", { retain: true })
    await microtasks()
    expect(await broker.admin.deleteRetained("many/+")).toBe(3500)
    expect((await broker.admin.retained()).total).toBe(0)
  })

  test("of $SYS are the broker's own, and stay", async () => {
    const { broker } = await embed({ limits: { sysIntervalSeconds: 10 } })
    expect((await broker.admin.retained({ topicFilter: "$SYS/broker/clients/+" })).total).toBeGreaterThan(3)
    for (const topicFilter of ["$SYS/#", "$SYS", "$SYS/broker/version"]) {
      expect(await refusal(broker.admin.deleteRetained(topicFilter))).toMatchObject([
        "INVALID_TOPIC",
        expect.anything(),
      ])
    }
    expect(await broker.admin.deleteRetained("#")).toBe(0)
    expect(broker.admin.retainedMessage("$SYS/broker/version")).toBeDefined()
  })

  test("what is no topic filter, or one of a share, is refused", async () => {
    const { broker } = await embed()
    for (const topicFilter of ["", "a/#/b", "$share/g/a"]) {
      const code = ["INVALID_TOPIC", expect.stringContaining("topic filter")]
      expect(await refusal(broker.admin.retained({ topicFilter }))).toMatchObject(code)
      expect(await refusal(broker.admin.deleteRetained(topicFilter))).toMatchObject(code)
    }
  })
})

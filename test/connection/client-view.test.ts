/** A connected client as the embedding service sees it: what it is, what it has, and that it can be sent away. */
import { describe, expect, test } from "bun:test"
import type { ManjuError } from "../../src/broker/errors.ts"
import type { ConnectedClient } from "../../src/broker/hooks.ts"
import { Reason } from "../../src/codec/index.ts"
import { embed } from "../support/embedded.ts"
import { type ConnectFields, durable, Harness } from "../support/harness.ts"
import { microtasks } from "../support/store.ts"
import { levels, told } from "./wire.ts"

const viewOf = (harness: Harness, clientId = "a") => harness.core.clients.get(clientId)!.view
const NEVER = 0xffff_ffff

describe("who it is", () => {
  for (const level of levels)
    test(`level ${level}: id, user, version, and where it comes from`, () => {
      const harness = new Harness()
      const connectedAt = harness.clock.now()
      harness.client("a", { level, username: "ada", keepalive: 30 })
      harness.clock.advance(10)
      expect(viewOf(harness)).toMatchObject({
        clientId: "a",
        username: "ada",
        protocolLevel: level,
        remoteAddress: "192.0.2.1",
        listener: "test",
        isConnected: true,
        cleanStart: true,
        keepAliveSeconds: 30,
        connectedAt,
      })
    })
  test("the id that it was given, and no user", () => {
    const harness = new Harness()
    harness.connect({ clientId: "" })
    const [clientId] = harness.core.clients.keys()
    expect(viewOf(harness, clientId)).toMatchObject({ clientId, username: undefined })
    expect(clientId).not.toBe("")
  })
  const sessions: [fields: ConnectFields, cleanStart: boolean, sessionExpirySeconds: number][] = [
    [{ level: 3, clean: true }, true, 0],
    [{ level: 3, clean: false }, false, NEVER],
    [{ level: 4, clean: false }, false, NEVER],
    [{ level: 5, clean: true, properties: { sessionExpiryInterval: 60 } }, true, 60],
    [{ level: 5, clean: false }, false, 0],
    [{ level: 5, clean: false, properties: { sessionExpiryInterval: NEVER } }, false, NEVER],
  ]
  for (const [fields, cleanStart, sessionExpirySeconds] of sessions)
    test(`its session: ${JSON.stringify(fields)}`, () => {
      const harness = new Harness()
      harness.client("a", fields)
      expect(viewOf(harness)).toMatchObject({ cleanStart, sessionExpirySeconds })
    })
  test("its keep-alive and its session as they were granted", () => {
    const harness = new Harness({ limits: { maximumKeepAliveSeconds: 20, maximumSessionExpirySeconds: 100 } })
    harness.client("a", { keepalive: 60, properties: { sessionExpiryInterval: NEVER } })
    expect(viewOf(harness)).toMatchObject({ keepAliveSeconds: 20, sessionExpirySeconds: 100 })
  })
})

describe("what it has is what it has now", () => {
  test("subscriptions, as they were granted, and behind the mount point", () => {
    const harness = new Harness({ listener: { mountPoint: "site/", maximumQoS: 1 } })
    const client = harness.client("a").subscribe("x", { qos: 2, nl: true, rap: true, rh: 1 }).subscribe("$share/g/y")
    const view = viewOf(harness)
    const share = { qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
    expect(view.subscriptions).toEqual([
      { topicFilter: "site/x", qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 1 },
      { topicFilter: "$share/g/site/y", ...share },
    ])
    client.send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: ["x"] })
    expect(view.subscriptions).toEqual([{ topicFilter: "$share/g/site/y", ...share }])
    ;(view.subscriptions as unknown[]).length = 0
    expect(view.subscriptions).toHaveLength(1) // what it gives is the service's
  })
  test("messages in flight and in its queue", () => {
    const harness = new Harness({ limits: { maximumInflight: 2 } })
    const client = harness.client("a").subscribe("t", { qos: 1 })
    const view = viewOf(harness)
    const publisher = harness.client("p")
    const numbers = () => [view.inflightMessages, view.queuedMessages]
    expect(numbers()).toEqual([0, 0])
    for (let i = 0; i < 5; i++) publisher.publish("t", `${i}`, { qos: 1 })
    expect(numbers()).toEqual([2, 3])
    client.ack("puback", 1)
    expect(numbers()).toEqual([2, 2])
    for (let id = 2; id <= 5; id++) client.ack("puback", id)
    expect(numbers()).toEqual([0, 0])
  })
  test("what waits for its socket", () => {
    const harness = new Harness()
    const client = harness.client("a").subscribe("t")
    client.capacity = 10
    harness.client("p").publish("t", "x".repeat(100))
    expect(viewOf(harness).backlogBytes).toBe(106 - 10)
    expect(viewOf(harness).counters.bytesSent).toBe(client.bytes.length)
    client.drain()
    expect(viewOf(harness).backlogBytes).toBe(0)
  })
  test("counters of its connection", () => {
    const harness = new Harness()
    const client = harness.client("a", durable())
    const { counters: atFirst } = viewOf(harness)
    expect(atFirst).toEqual({
      bytesReceived: expect.any(Number),
      bytesSent: client.bytes.length,
      messagesReceived: 0,
      messagesSent: 0,
    })
    client.sendBytes("8207 0001 00 000174 01")
    client.publish("t", "1", { qos: 1 }).publish("t", "2", { qos: 2, messageId: 7 }).publish("u", "3")
    client.publish("t", "2", { qos: 2, messageId: 7, dup: true })
    const { counters } = viewOf(harness)
    expect(counters).toMatchObject({ messagesReceived: 4, messagesSent: 2, bytesSent: client.bytes.length })
    expect(counters.bytesReceived - atFirst.bytesReceived).toBe(9 + 9 + 9 + 7 + 9)
    client.drop()
    harness.resume("a")
    expect(viewOf(harness).counters).toMatchObject({ messagesReceived: 0, messagesSent: 2 }) // both again
  })
  test("counters are as they were when they were asked for", () => {
    const harness = new Harness()
    const client = harness.client("a")
    const { counters } = viewOf(harness)
    client.publish("t")
    expect(counters.messagesReceived).toBe(0)
  })
})

describe("one connection has one view", () => {
  test("the same for whoever asks and is told, and another for the next connection", async () => {
    const harness = new Harness()
    const seen = new Set<ConnectedClient | undefined>()
    const note = (client: ConnectedClient | undefined) => void seen.add(client)
    harness.core.hooks.use({
      onConnected: note,
      onMessage: (_, client) => note(client),
      onDeliver: (_, client) => note(client),
      onSubscribe: (_, client) => note(client),
      onUnsubscribe: (_, client) => note(client),
      onSubscribed: (_, client) => note(client),
      onUnsubscribed: (_, client) => note(client),
      onPublished: (_, client) => note(client),
      onDelivered: (_, client) => note(client),
      onAcknowledged: (_, client) => note(client),
      onPacketReceived: (_, client) => client && note(client),
      onPacketSent: (_, client) => note(client),
      onDisconnected: note,
    })
    const client = harness.client("a", durable()).subscribe("t", { qos: 1 }).publish("t", "x", { qos: 1 })
    const view = viewOf(harness)
    client.ack("puback", 1).send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: ["t"] })
    await microtasks()
    harness.resume("a")
    const next = viewOf(harness)
    await microtasks()
    expect([...seen]).toEqual([view, next])
    expect([view.isConnected, next.isConnected]).toEqual([false, true])
  })

  for (const [name, fields] of [
    ["that ends with it", {}],
    ["that outlives it", durable()],
  ] as const)
    test(`when the connection has ended it stays as it was, whatever becomes of its session, one ${name}`, async () => {
      const harness = new Harness({ limits: { maximumInflight: 1 } })
      const client = harness
        .client("a", { ...fields, username: "ada", keepalive: 30 })
        .subscribe(["x", "y"], { qos: 1 })
      const view = viewOf(harness)
      const publisher = harness.client("p")
      for (const payload of "123") publisher.publish("x", payload, { qos: 1 })
      const keys = ["clientId", "username", "protocolLevel", "remoteAddress", "listener", "cleanStart"] as const
      const more = ["sessionExpirySeconds", "keepAliveSeconds", "connectedAt", "subscriptions"] as const
      const last = ["inflightMessages", "queuedMessages"] as const
      const shown = () => Object.fromEntries([...keys, ...more, ...last].map((key) => [key, view[key]]))
      const before = shown()
      expect(before).toMatchObject({ inflightMessages: 1, queuedMessages: 2 })
      client.drop()
      expect([view.isConnected, shown()]).toEqual([false, before])
      const properties = { sessionExpiryInterval: 7 }
      const next = harness.client("a", { ...fields, clean: false, username: "ada", properties })
      next.subscribe("z").publish("t")
      for (const id of [1, 2, 3]) next.ack("puback", id)
      await microtasks()
      expect([view.isConnected, shown()]).toEqual([false, before])
      expect(view.counters.messagesReceived).toBe(0)
    })

  test("and what it says about sending away is nobody's any more", () => {
    const harness = new Harness()
    harness.client("a").drop()
    harness.client("a")
    const view = viewOf(harness)
    const client = harness.client("a")
    view.disconnect()
    expect(told(client)).toBe("open")
  })
})

describe("disconnect", () => {
  const will = { topic: "w", payload: Buffer.from("bye"), qos: 0, retain: false } as const
  for (const level of levels)
    test(`level ${level}: ends the connection, and the will is due`, async () => {
      const harness = new Harness()
      const witness = harness.client("witness").subscribe("w")
      const client = harness.client("a", { level, will })
      viewOf(harness).disconnect()
      await microtasks()
      expect(told(client)).toBe(level === 5 ? "disconnect 98, closed" : "closed")
      expect(witness.messages()).toEqual(["w bye"])
      expect([harness.core.clients.has("a"), harness.core.sessions.get("a")]).toEqual([false, undefined])
    })
  test("tells the reason, and says it in words", () => {
    const harness = new Harness()
    const client = harness.client("a")
    viewOf(harness).disconnect(Reason.QuotaExceeded, "too chatty")
    expect(client.take()).toMatchObject([{ reasonCode: 0x97, properties: { reasonString: "too chatty" } }])
  })
  test("but not words that cannot be sent, or that the client does not want", () => {
    for (const [words, properties] of [
      ["\ud800", {}],
      ["x".repeat(1000), { maximumPacketSize: 100 }],
      ["why", { requestProblemInformation: false }],
    ] as const) {
      const harness = new Harness()
      const client = harness.client("a", { properties })
      viewOf(harness).disconnect(Reason.QuotaExceeded, words)
      const [disconnect] = client.take()
      expect([disconnect!.reasonCode, disconnect!.properties?.reasonString]).toEqual([0x97, undefined])
    }
  })
  for (const reason of [Reason.Success, Reason.DisconnectWithWill, Reason.BadUserNameOrPassword, 0x42, 1000])
    test(`0x${reason.toString(16)} is no reason for it [MQTT-3.14.2-1]`, () => {
      const harness = new Harness()
      const client = harness.client("a")
      let code: string | undefined
      try {
        viewOf(harness).disconnect(reason as Reason)
      } catch (error) {
        code = (error as ManjuError).code
      }
      expect([code, client.isClosed]).toEqual(["INVALID_OPTION", false])
    })
  test("leaves a session that outlives it", () => {
    const harness = new Harness()
    harness.client("a", durable()).subscribe("t", { qos: 1 })
    viewOf(harness).disconnect()
    harness.client("p").publish("t", "x", { qos: 1 })
    expect(harness.resume("a").messages()).toEqual(["t x"])
  })
  test("twice is once", async () => {
    const harness = new Harness()
    const client = harness.client("a")
    let ended = 0
    harness.core.hooks.use({ onDisconnected: () => void ended++ })
    const view = viewOf(harness)
    view.disconnect()
    view.disconnect(Reason.QuotaExceeded)
    await microtasks()
    expect([told(client), ended]).toEqual(["disconnect 98, closed", 1])
  })
})

describe("broker.clients() and broker.client()", () => {
  const idsOf = (clients: Iterable<ConnectedClient>) => Array.from(clients, ({ clientId }) => clientId)

  test("are those who are in now, in the order in which they came", async () => {
    const { broker, client, core } = await embed()
    expect(idsOf(broker.clients())).toEqual([])
    const a = client("a")
    client("b")
    expect(idsOf(broker.clients())).toEqual(["a", "b"])
    expect(broker.client("b")).toBe([...broker.clients()][1])
    expect(broker.client("b")).toBe(core.clients.get("b")?.view)
    a.drop()
    expect([idsOf(broker.clients()), broker.client("a"), broker.client("never")]).toEqual([["b"], undefined, undefined])
  })
  test("do not have those who have not been let in, or are being sent away", async () => {
    const { broker, client, core } = await embed()
    broker.use({ onAuthenticate: ({ clientId }) => (clientId === "late" ? new Promise(() => {}) : clientId !== "no") })
    client("late")
    client("no")
    client("gone")
    broker.client("gone")!.disconnect()
    expect(idsOf(broker.clients())).toEqual([])
    expect(core.peers.size).toBeGreaterThan(0)
  })
  test("can be gone through while clients go", async () => {
    const { broker, client } = await embed()
    for (const id of "abc") client(id)
    const gone: string[] = []
    for (const each of broker.clients()) {
      gone.push(each.clientId)
      each.disconnect()
    }
    expect([gone, idsOf(broker.clients())]).toEqual([["a", "b", "c"], []])
  })
  test("of one broker are none of another's", async () => {
    const [one, other] = [await embed(), await embed()]
    one.client("a")
    other.client("b")
    const messages: string[] = []
    one.broker.use({ onMessage: (_, client) => void messages.push(client.clientId) })
    one.client("p").publish("t", "x")
    other.client("p").publish("t", "x")
    expect([idsOf(one.broker.clients()), idsOf(other.broker.clients())]).toEqual([
      ["a", "p"],
      ["b", "p"],
    ])
    expect([one.broker.client("b"), other.broker.client("a"), messages]).toEqual([undefined, undefined, ["p"]])
  })
})

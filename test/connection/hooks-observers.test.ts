/** What observers are told of clients: each thing once, when it has happened, with its own values. */
import { describe, expect, test } from "bun:test"
import type { Disconnection } from "../../src/broker/hooks.ts"
import { Reason } from "../../src/codec/index.ts"
import { durable, Harness, type TestClient } from "../support/harness.ts"
import { observe } from "../support/observed.ts"
import { LateStore, microtasks } from "../support/store.ts"
import { levels } from "./wire.ts"

const will = { topic: "will", payload: Buffer.from("bye"), qos: 1, retain: false } as const

describe("onConnected", () => {
  for (const level of levels)
    test(`level ${level}: when the client is in, with whether its session was there`, async () => {
      const harness = new Harness()
      const told = observe(harness.core.hooks, "onConnected")
      harness.client("a", durable(level)).drop()
      expect(await told()).toEqual(["connected a"])
      harness.resume("a", durable(level))
      expect(await told()).toEqual(["connected a again"])
      harness.client("b", { level }).publish("t").subscribe("t")
      expect(await told()).toEqual(["connected b"])
    })
  test("not of one that is refused", async () => {
    const harness = new Harness({ auth: null })
    const told = observe(harness.core.hooks, "onConnected", "onDisconnected")
    harness.connect()
    harness.open().sendBytes("1000")
    expect(await told()).toEqual([])
  })
  test("once its session is stored, not before", async () => {
    const store = new LateStore()
    const harness = new Harness({ store })
    const told = observe(harness.core.hooks, "onConnected", "onDisconnected")
    const client = harness.connect({ clientId: "a", ...durable() })
    expect(await told()).toEqual([])
    await store.commitAll()
    expect(client.take()).toMatchObject([{ cmd: "connack" }])
    expect(await told()).toEqual(["connected a"])
    harness.connect({ clientId: "b", ...durable() }).drop() // it was never in
    await store.commitAll()
    expect(await told()).toEqual([])
  })
  test("with the client as `broker.client` knows it, before what waits for it goes out", async () => {
    const harness = new Harness()
    harness.client("a", durable()).subscribe("t", { qos: 1 }).drop()
    harness.client("p").publish("t", "x", { qos: 1 })
    const told = observe(harness.core.hooks, "onConnected", "onDelivered")
    const views: unknown[] = []
    harness.core.hooks.use({ onConnected: (client) => views.push(client, client.isConnected) })
    harness.resume("a")
    expect(await told()).toEqual(["connected a again", "delivered t x 1 to a"])
    expect(views).toEqual([harness.core.clients.get("a")!.view, true])
  })
})

describe("onDisconnected says how a connection has ended", () => {
  type End = (client: TestClient, harness: Harness) => unknown
  const ends: [how: string, by: Disconnection["by"], reason: Reason | undefined, end: End][] = [
    ["by DISCONNECT", "client", Reason.Success, (client) => client.disconnect()],
    ["when the network fails", "network", undefined, (client) => client.drop()],
    ["when the socket is destroyed", "network", undefined, (client) => client.destroy()],
    ["after its keep-alive", "broker", Reason.KeepAliveTimeout, (_, harness) => harness.clock.advance(16)],
    ["by a takeover", "broker", Reason.SessionTakenOver, (_, harness) => harness.client("a")],
    ["by a malformed packet", "broker", Reason.MalformedPacket, (client) => client.sendBytes("8000")],
    ["by a second CONNECT", "broker", Reason.ProtocolError, (client) => client.connect()],
    [
      "by the embedding service",
      "broker",
      Reason.AdministrativeAction,
      (_, harness) => harness.core.clients.get("a")!.view.disconnect(),
    ],
    [
      "by the embedding service, with its reason",
      "broker",
      Reason.QuotaExceeded,
      (_, harness) => harness.core.clients.get("a")!.view.disconnect(Reason.QuotaExceeded, "too chatty"),
    ],
    [
      "when the broker closes",
      "broker",
      Reason.ServerShuttingDown,
      (_, harness) => harness.core.clients.get("a")!.disconnect(Reason.ServerShuttingDown),
    ],
  ]
  for (const level of levels)
    for (const [how, by, reason, end] of ends)
      test(`level ${level}: ${how}`, async () => {
        const harness = new Harness()
        const client = harness.client("a", { level, keepalive: 10 })
        await microtasks()
        const ended: unknown[] = []
        harness.core.hooks.use({
          onDisconnected: (view, disconnection) => ended.push(view.clientId, view.isConnected, disconnection),
        })
        await end(client, harness)
        client.drop()
        await microtasks()
        expect(ended).toEqual(["a", false, { by, reason }])
      })
  for (const reason of [Reason.DisconnectWithWill, Reason.UnspecifiedError])
    test(`level 5: by DISCONNECT with the reason 0x${reason.toString(16)}`, async () => {
      const harness = new Harness()
      const told = observe(harness.core.hooks, "onDisconnected")
      harness.client("a").disconnect(reason)
      expect(await told()).toEqual([`disconnected a by client ${reason.toString(16).padStart(2, "0")}`])
    })
  test("before the will, and a takeover before the next connection", async () => {
    const harness = new Harness()
    const told = observe(harness.core.hooks, "onConnected", "onDisconnected", "onPublished")
    harness.client("a", { will })
    harness.client("a", { will }).drop()
    expect(await told()).toEqual([
      "connected a",
      "disconnected a by broker 8e",
      "published will bye 1 by nobody",
      "connected a",
      "disconnected a by network -",
      "published will bye 1 by nobody",
    ])
  })
  test("what the client can be seen to have had is still there", async () => {
    const harness = new Harness({ limits: { maximumInflight: 1 } })
    let seen: unknown
    harness.core.hooks.use({
      onDisconnected: ({ subscriptions, inflightMessages, queuedMessages, sessionExpirySeconds }) => {
        seen = {
          filters: subscriptions.map(({ topicFilter }) => topicFilter),
          inflightMessages,
          queuedMessages,
          sessionExpirySeconds,
        }
      },
    })
    const client = harness.client("a", { properties: { sessionExpiryInterval: 7 } }).subscribe(["x", "y"], { qos: 1 })
    const publisher = harness.client("p")
    for (const payload of "123") publisher.publish("x", payload, { qos: 1 })
    client.disconnect(0, { sessionExpiryInterval: 0 })
    await microtasks()
    expect(seen).toEqual({ filters: ["x", "y"], inflightMessages: 1, queuedMessages: 2, sessionExpirySeconds: 0 })
  })
})

describe("onSubscribed and onUnsubscribed", () => {
  for (const level of levels)
    test(`level ${level}: each filter, with the QoS granted`, async () => {
      const harness = new Harness({ listener: { maximumQoS: 1 } })
      const told = observe(harness.core.hooks, "onSubscribed", "onUnsubscribed")
      const client = harness.client("a", { level }).subscribe(["x", "$share/g/y", "a/#/b"], { qos: 2 })
      expect(await told()).toEqual(["subscribed a x 1", "subscribed a $share/g/y 1"])
      client.subscribe("x", { qos: 0 })
      expect(await told()).toEqual(["subscribed a x 0"])
      client.send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: ["x", "never", "$share/g/y"] })
      expect(await told()).toEqual(["unsubscribed a x", "unsubscribed a $share/g/y"])
    })
  test("with the options that were asked for, and the mount point", async () => {
    const harness = new Harness({ listener: { mountPoint: "site/" } })
    const subscribed: unknown[] = []
    harness.core.hooks.use({ onSubscribed: (subscription) => subscribed.push(subscription) })
    harness.client("a").subscribe("x", { qos: 1, nl: true, rap: true, rh: 2 })
    await microtasks()
    expect(subscribed).toEqual([
      { topicFilter: "site/x", qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 2 },
    ])
  })
  test("a filter that is given up because it is not allowed any more", async () => {
    const harness = new Harness()
    let isAllowed = true
    const auth = { authenticate: () => true, authorize: () => isAllowed }
    const told = observe(harness.core.hooks, "onUnsubscribed")
    harness.client("a", {}, harness.listener({}, auth)).subscribe("x")
    isAllowed = false
    for (const peer of harness.core.peers) peer.recheck(auth)
    expect(await told()).toEqual(["unsubscribed a x"])
  })
  test("neither when a session ends nor when it is found again", async () => {
    const harness = new Harness()
    harness.client("a", durable()).subscribe("x").drop()
    const told = observe(harness.core.hooks, "onSubscribed", "onUnsubscribed")
    harness.resume("a").drop()
    harness.client("a")
    expect(await told()).toEqual([])
  })
})

describe("onSessionExpired", () => {
  test("when the time of a session without a connection is over, and not when it ends otherwise", async () => {
    const harness = new Harness()
    const told = observe(harness.core.hooks, "onSessionExpired")
    harness.client("a", durable()).drop()
    harness.client("b").drop()
    harness.client("c", durable()).disconnect(0, { sessionExpiryInterval: 0 })
    harness.client("d", durable()).drop()
    harness.client("d")
    harness.clock.advance(3599)
    expect(await told()).toEqual([])
    harness.clock.advance(2)
    expect(await told()).toEqual(["session expired a"])
  })
})

test("of one message observers are told in the order of its way", async () => {
  const harness = new Harness()
  const told = observe(harness.core.hooks)
  const client = harness.client("a").subscribe("t", { qos: 1 })
  client.publish("t", "x", { qos: 1, retain: true })
  client.ack("puback", client.take().find(({ cmd }) => cmd === "publish")!.messageId!)
  client.disconnect()
  expect(await told()).toEqual([
    "connected a",
    "subscribed a t 1",
    "retained t x 1 retain",
    "delivered t x 1 to a",
    "published t x 1 retain by a",
    "acknowledged t x 1 by a",
    "disconnected a by client 00",
  ])
})

test("what an observer publishes comes after what it was told of, and what came with that", async () => {
  const harness = new Harness()
  const witness = harness.client("w").subscribe("#")
  witness.take()
  const { core } = harness
  core.hooks.use({
    onPublished({ topic }) {
      if (topic.startsWith("echo/")) return
      harness.client("echoing").publish(`echo/${topic}`)
    },
  })
  harness.client("a").publish("1").publish("2")
  await microtasks()
  expect(witness.messages()).toEqual(["1 ", "2 ", "echo/1 ", "echo/2 "])
})

/** `onSubscribe` and `onUnsubscribe`: each filter by itself, changed, refused or granted. */
import { describe, expect, test } from "bun:test"
import type { ConnectedClient, Hooks } from "../../src/broker/hooks.ts"
import { Reason, type SubscribeRequest } from "../../src/codec/index.ts"
import { ways } from "../support/door.ts"
import { durable, Harness, type TestClient } from "../support/harness.ts"
import { hooked } from "../support/hooked.ts"
import { Late } from "../support/late.ts"
import { observe } from "../support/observed.ts"
import { LateStore, microtasks } from "../support/store.ts"
import { levels, told } from "./wire.ts"

type Answer = ReturnType<NonNullable<Hooks["onSubscribe"]>>

/** The filters that a session has, with their QoS. */
const subscribed = (harness: Harness, clientId = "a") =>
  Array.from(harness.core.sessions.get(clientId)!.subscriptions.values(), ({ filter, qos }) => `${filter.text} ${qos}`)

const granted = (client: TestClient) => client.take().find(({ cmd }) => cmd === "suback")?.granted
const unsubscribe = (client: TestClient, ...unsubscriptions: string[]) =>
  client.send({ cmd: "unsubscribe", messageId: 77, unsubscriptions })

describe("onSubscribe", () => {
  for (const level of levels)
    test(`level ${level}: is asked about each filter in its order, with its options`, () => {
      const asked: unknown[] = []
      const harness = hooked({ onSubscribe: (request, client) => void asked.push(request, client) })
      const options = level === 5 ? { nl: true, rap: true, rh: 2 as const } : {}
      harness.client("a", { level }).subscribe(["x", "y/#"], { qos: 1, ...options })
      const { view } = harness.core.clients.get("a")!
      const rest =
        level === 5
          ? { qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 2 }
          : { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 }
      expect(asked).toEqual([{ topicFilter: "x", ...rest }, view, { topicFilter: "y/#", ...rest }, view])
    })

  const refusals: [name: string, answer: Answer, code5: number][] = [
    ["false", false, 0x87],
    ["QuotaExceeded", Reason.QuotaExceeded, 0x97],
    ["ImplementationSpecificError", Reason.ImplementationSpecificError, 0x83],
    ["TopicFilterInvalid", Reason.TopicFilterInvalid, 0x8f],
    ["WildcardSubscriptionsNotSupported", Reason.WildcardSubscriptionsNotSupported, 0xa2],
    ["ServerBusy, which no SUBACK knows", Reason.ServerBusy, 0x87],
    ["Success, which is no refusal", Reason.Success, 0x87],
    ["GrantedQoS1, which is none either", Reason.GrantedQoS1, 0x87],
  ]
  for (const level of levels)
    for (const [when, give] of ways)
      for (const [name, answer, code5] of refusals)
        test(`level ${level}: refuses one ${when} with ${name}, the others are granted`, async () => {
          const onSubscribe: Hooks["onSubscribe"] = ({ topicFilter }) =>
            give(topicFilter === "secret" ? answer : undefined) as Answer
          const harness = hooked({ onSubscribe })
          const client = harness.client("a", { level }).subscribe(["x", "secret", "y"], { qos: 1 })
          await microtasks()
          // MQTT 3.1 §3.8: that version knows no refusal
          expect(granted(client)).toEqual([1, level === 5 ? code5 : level === 4 ? 0x80 : 0, 1])
          expect(subscribed(harness)).toEqual(["x 1", "y 1"])
          expect(harness.core.metrics.hooksFailed).toBe(0)
        })

  for (const [how, onSubscribe] of [
    [
      "throws",
      () => {
        throw new Error("broken")
      },
    ],
    ["rejects", () => Promise.reject(new Error("broken"))],
    ["answers nonsense", () => true as never],
    ["names what is no filter", () => ({ topicFilter: "a/#/b" })],
    ["names what cannot be sent", () => ({ topicFilter: "a\ud800" })],
    ["names none", () => ({ topicFilter: "" })],
    ["names what is deeper than the limits", () => ({ topicFilter: "a/".repeat(1000) })],
  ] as [string, NonNullable<Hooks["onSubscribe"]>][])
    test(`that ${how} has refused, which is counted and reported`, async () => {
      const harness = hooked({ onSubscribe })
      const told = observe(harness.core.hooks, "onError", "onSubscribed")
      const client = harness.client("a").subscribe("x")
      await microtasks()
      expect(granted(client)).toEqual([0x83])
      expect([harness.core.metrics.hooksFailed, subscribed(harness)]).toEqual([1, []])
      expect(await told()).toEqual([expect.stringMatching(/^error in onSubscribe: /)])
    })

  test("why, in words, is the first refusal's", () => {
    const harness = hooked({
      onSubscribe: ({ topicFilter }) => (topicFilter === "x" ? undefined : Reason.QuotaExceeded),
    })
    const [suback] = harness.client("a").subscribe(["x", "y"]).take()
    expect(suback!.properties).toEqual({ reasonString: "quota exceeded" })
  })

  for (const [when, give] of ways) {
    test(`changes the QoS ${when}, up or down`, async () => {
      const harness = hooked({ onSubscribe: ({ topicFilter }) => give({ qos: topicFilter === "up" ? 2 : 0 } as const) })
      const client = harness.client("a").subscribe(["up", "down"], { qos: 1 })
      await microtasks()
      expect(granted(client)).toEqual([2, 0])
      const publisher = harness.client("p").publish("up", "", { qos: 2 }).publish("down", "", { qos: 2 })
      expect(client.take().map(({ topic, qos }) => `${topic} ${qos}`)).toEqual(["up 2", "down 0"])
      publisher.drop()
    })
    test(`changes the filter ${when}, and what is retained for that one is replayed`, async () => {
      const harness = hooked({ onSubscribe: () => give({ topicFilter: "tenant/x" }) })
      harness.client("p").publish("x", "not", { retain: true }).publish("tenant/x", "this", { retain: true })
      const client = harness.client("a").subscribe("x")
      await microtasks()
      expect(subscribed(harness)).toEqual(["tenant/x 0"])
      expect(client.messages()).toEqual(["tenant/x this"])
    })
  }
  test("its QoS is at most the listener's maximum", () => {
    const harness = hooked({ onSubscribe: () => ({ qos: 2 }) }, { listener: { maximumQoS: 1 } })
    expect(granted(harness.client("a").subscribe("x", { qos: 0 }))).toEqual([1])
  })
  test("its Retain Handling decides what is replayed", () => {
    const harness = hooked({ onSubscribe: ({ topicFilter }) => ({ retainHandling: topicFilter === "x" ? 2 : 0 }) })
    harness.client("p").publish("x", "1", { retain: true }).publish("y", "2", { retain: true })
    expect(harness.client("a").subscribe(["x", "y"], { rh: 2 }).messages()).toEqual(["y 2"])
  })
  test("its No Local and Retain As Published hold", () => {
    const harness = hooked({ onSubscribe: () => ({ noLocal: true, retainAsPublished: true }) })
    const client = harness.client("a", { level: 4 }).subscribe("x")
    client.publish("x", "own")
    harness.client("p").publish("x", "other", { retain: true })
    expect(client.take().slice(1)).toMatchObject([{ cmd: "publish", retain: true }])
  })
  test("may put the client into a share group, or take it out of one", async () => {
    const rewritten: Record<string, string> = { x: "$share/g/x", "$share/g/y": "y" }
    const harness = hooked({ onSubscribe: ({ topicFilter }) => ({ topicFilter: rewritten[topicFilter]! }) })
    const publisher = harness.client("p").publish("x", "0", { retain: true }).publish("y", "0", { retain: true })
    const clients = ["a", "b"].map((id) => harness.client(id).subscribe(["x", "$share/g/y"]))
    for (let i = 1; i <= 4; i++) publisher.publish("x", `${i}`)
    publisher.publish("y", "1")
    expect(clients.map((client) => client.messages())).toEqual([
      ["y 0", "x 1", "x 3", "y 1"],
      ["y 0", "x 2", "x 4", "y 1"],
    ])
  })
  test("two filters that become one are one subscription, the last one's", () => {
    const harness = hooked({
      onSubscribe: ({ topicFilter }) => ({ topicFilter: "t", qos: topicFilter === "x" ? 0 : 1 }),
    })
    const client = harness.client("a").subscribe(["x", "y"])
    expect([granted(client), subscribed(harness)]).toEqual([[0, 1], ["t 1"]])
  })
  test("sees and gives filters behind the mount point", () => {
    const asked: string[] = []
    const harness = hooked(
      {
        onSubscribe({ topicFilter }) {
          asked.push(topicFilter)
          return topicFilter === "site/x" ? { topicFilter: "shared/x" } : undefined
        },
      },
      { listener: { mountPoint: "site/" } },
    )
    const client = harness.client("a").subscribe(["x", "$share/g/y"])
    expect(asked).toEqual(["site/x", "$share/g/site/y"])
    expect(subscribed(harness)).toEqual(["shared/x 0", "$share/g/site/y 0"])
    client.take()
  })
  test("is not asked about what the auth refuses, nor about what is none or switched off", () => {
    const asked: string[] = []
    const harness = new Harness({
      auth: { authenticate: () => true, authorize: (_, __, topic) => topic !== "secret" },
      listener: { wildcardSubscriptionAvailable: false, sharedSubscriptionAvailable: false },
    })
    harness.core.hooks.use({ onSubscribe: ({ topicFilter }) => void asked.push(topicFilter) })
    const client = harness.client("a").subscribe(["secret", "x", "y/#", "$share/g/z", "a/#/b"])
    expect(granted(client)).toEqual([0x87, 0, 0xa2, 0x9e, 0x8f])
    expect(asked).toEqual(["x"])
  })
  test("is asked by the name that the client has been given, not for sessions that come back", () => {
    const asked: string[] = []
    const harness = hooked({
      onSubscribe: ({ topicFilter }, client) => void asked.push(`${client.clientId} ${topicFilter}`),
    })
    harness.client("a", durable()).subscribe("x").drop()
    harness.resume("a")
    expect(asked).toEqual(["a x"])
  })

  for (const level of levels)
    test(`level ${level}: while one is waited for, the client's other packets wait, and the answer is one`, async () => {
      const late = new Late<Partial<SubscribeRequest> | false | undefined>()
      const harness = hooked({
        onSubscribe: ({ topicFilter }) => (topicFilter[0] === "l" ? late.ask(topicFilter) : undefined),
      })
      const client = harness.client("a", { level }).subscribe(["l1", "x", "l2"]).publish("x", "mine")
      expect([late.asked, client.isPaused, client.received]).toEqual([["l1"], true, []])
      await late.give("l1", undefined)
      expect([late.asked, client.received]).toEqual([["l1", "l2"], []])
      await late.give("l2", { qos: 1 })
      expect(client.take().map(({ cmd }) => cmd)).toEqual(["suback", "publish"])
      expect([subscribed(harness), client.isPaused]).toEqual([["l1 0", "x 0", "l2 1"], false])
    })

  test("a client that goes away meanwhile is not subscribed", async () => {
    const late = new Late<undefined>()
    const harness = hooked({ onSubscribe: ({ topicFilter }) => late.ask(topicFilter) })
    harness.client("a", durable()).subscribe(["x", "y"]).drop()
    await late.give("x", undefined)
    expect([subscribed(harness), late.asked, harness.core.router.subscriptionCount]).toEqual([[], ["x"], 0])
  })
  for (const [name, fields] of [
    ["that ends with it", {}],
    ["that outlives it", durable()],
  ] as const)
    test(`a hook that ends the connection has not subscribed its session, one ${name}`, () => {
      const onSubscribe = (_: unknown, client: ConnectedClient) => client.disconnect()
      const onUnsubscribe = (_: unknown, client: ConnectedClient) => client.disconnect()
      const harness = hooked({ onSubscribe, onUnsubscribe })
      const client = harness.client("a", fields).subscribe(["x", "y"])
      expect([told(client), harness.core.router.subscriptionCount]).toEqual(["disconnect 98, closed", 0])
      const other = harness.client("b", fields)
      const { core } = harness
      core.subscribe(
        core.sessions.get("b")!,
        core.parseFilter("x")!,
        { topicFilter: "x", qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 },
        undefined,
      )
      unsubscribe(other, "x")
      expect(told(other)).toBe("disconnect 98, closed")
      expect(core.router.subscriptionCount).toBe(name === "that outlives it" ? 1 : 0)
    })
  test("with a store the SUBACK waits for what was recorded", async () => {
    const store = new LateStore()
    const harness = hooked({ onSubscribe: async () => ({ topicFilter: "y" }) }, { store })
    const client = harness.connect({ clientId: "a", ...durable() })
    await store.commitAll()
    client.take()
    client.subscribe("x")
    await microtasks()
    expect(client.take()).toEqual([])
    expect(store.pending.flatMap(({ changes }) => changes)).toMatchObject([
      { kind: "subscribed", subscription: { clientId: "a", topicFilter: "y", qos: 0 } },
    ])
    await store.commitAll()
    expect(granted(client)).toEqual([0])
  })
})

describe("onUnsubscribe", () => {
  for (const level of levels)
    for (const [when, give] of ways)
      test(`level ${level}: is asked about each filter, and refuses ${when}`, async () => {
        const asked: unknown[] = []
        const harness = hooked({
          onUnsubscribe(topicFilter, client) {
            asked.push(topicFilter, client.clientId)
            return give(topicFilter === "kept" ? (false as const) : undefined)
          },
        })
        const client = harness.client("a", { level }).subscribe(["x", "kept"])
        client.take()
        unsubscribe(client, "x", "kept", "never")
        await microtasks()
        expect(asked).toEqual(["x", "a", "kept", "a", "never", "a"])
        expect(client.take()).toMatchObject([{ cmd: "unsuback", ...(level === 5 && { granted: [0, 0x87, 0x11] }) }])
        expect(subscribed(harness)).toEqual(["kept 0"])
      })
  const reasons: [answer: Reason, code: number][] = [
    [Reason.ImplementationSpecificError, 0x83],
    [Reason.UnspecifiedError, 0x80],
    [Reason.QuotaExceeded, 0x87], // none of an UNSUBACK
    [Reason.Success, 0x87],
    [Reason.NoSubscriptionExisted, 0x87],
  ]
  for (const [answer, code] of reasons)
    test(`the reason 0x${answer.toString(16)} becomes 0x${code.toString(16)}`, () => {
      const harness = hooked({ onUnsubscribe: () => answer })
      const client = harness.client("a").subscribe("x")
      client.take()
      unsubscribe(client, "x")
      expect(client.take()).toMatchObject([{ cmd: "unsuback", granted: [code] }])
      expect(subscribed(harness)).toEqual(["x 0"])
    })
  test("one that fails has refused", async () => {
    for (const onUnsubscribe of [
      () => {
        throw new Error("broken")
      },
      () => Promise.reject(new Error("broken")),
      () => 0.5 as never,
    ]) {
      const harness = hooked({ onUnsubscribe })
      const client = harness.client("a").subscribe("x")
      client.take()
      unsubscribe(client, "x")
      await microtasks()
      expect(client.take()).toMatchObject([{ cmd: "unsuback", granted: [0x83] }])
      expect([subscribed(harness), harness.core.metrics.hooksFailed]).toEqual([["x 0"], 1])
    }
  })
  test("names another in its place, behind the mount point: what onSubscribe has changed is found again", () => {
    const asked: string[] = []
    const moved = (topicFilter: string) => {
      asked.push(topicFilter)
      return topicFilter.replace("site/", "tenant/")
    }
    const harness = hooked(
      { onSubscribe: ({ topicFilter }) => ({ topicFilter: moved(topicFilter) }), onUnsubscribe: moved },
      { listener: { mountPoint: "site/" } },
    )
    const client = harness.client("a").subscribe("x")
    expect(subscribed(harness)).toEqual(["tenant/x 0"])
    client.take()
    unsubscribe(client, "x")
    expect(client.take()).toMatchObject([{ granted: [0] }])
    expect([subscribed(harness), asked]).toEqual([[], ["site/x", "site/x"]])
  })
  test("is not asked about what is no filter", () => {
    let asked = 0
    const harness = hooked({ onUnsubscribe: () => void asked++ })
    const client = unsubscribe(harness.client("a"), "a/#/b")
    expect([client.take()[0]?.granted, asked]).toEqual([[0x8f], 0])
  })
  test("while one is waited for, the client's other packets wait; one that goes away keeps what it had", async () => {
    const late = new Late<undefined>()
    const harness = hooked({ onUnsubscribe: (topicFilter) => late.ask(topicFilter) })
    const client = harness.client("a", durable()).subscribe(["x", "y"])
    client.take()
    unsubscribe(client, "x", "y").publish("y", "still")
    await late.give("x", undefined)
    expect([client.take(), subscribed(harness)]).toEqual([[], ["x 0", "y 0"]])
    client.drop()
    await late.give("y", undefined)
    expect(subscribed(harness)).toEqual(["x 0", "y 0"])
  })
})

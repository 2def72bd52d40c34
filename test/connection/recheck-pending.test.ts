/** A change of what auths decide finds clients in the middle of something; and what auths do wrong is nobody else's fault. */
import { describe, expect, test } from "bun:test"
import type { Auth, Decision, Exchange, ExchangeStep, Permission } from "../../src/broker/ports.ts"
import { deciding, noting, openDoor, sendAuth, withMethod } from "../support/door.ts"
import { durable, Harness } from "../support/harness.ts"
import { LateStore, microtasks } from "../support/store.ts"
import { told } from "./wire.ts"

const will = { topic: "w", payload: Buffer.from("gone"), qos: 0, retain: false } as const

describe("a change finds the clients that are just coming in", () => {
  test("decided before the change, let in after it: may it stay?", async () => {
    const { promise, resolve } = Promise.withResolvers<Decision>()
    const harness = new Harness()
    const { listener, change } = openDoor(harness, { authenticate: () => promise, mayStay: () => false })
    const client = harness.connect({}, listener)
    await change()
    resolve(true) // what it had read before the change
    await microtasks()
    expect(told(client)).toEndWith("closed")
  })
  test("the same in one turn: the decision is there, its promise not yet heard", async () => {
    let isAllowed = true
    const harness = new Harness()
    const { listener, change } = openDoor(harness, { authenticate: async () => isAllowed, mayStay: () => isAllowed })
    const client = harness.connect({}, listener)
    isAllowed = false
    await change()
    expect(told(client)).toEndWith("closed")
  })
  test("admitted, and waiting for the store with its CONNACK", async () => {
    let isAllowed = true
    const store = new LateStore()
    const harness = new Harness({ store })
    const { listener, change } = openDoor(harness, { authenticate: () => isAllowed, mayStay: () => isAllowed })
    const client = harness.connect(durable(), listener)
    isAllowed = false
    await change()
    await store.commitAll()
    expect(told(client)).toEndWith("closed")
  })
  test("what it was told of its will is remembered beyond the change", async () => {
    let isAllowed = true
    const store = new LateStore()
    const harness = new Harness({ store })
    const { authority } = noting((_, action) => action !== "publish" || isAllowed)
    const { listener, change } = openDoor(harness, authority)
    const client = harness.connect({ ...durable(), will }, listener)
    isAllowed = false
    await change()
    await store.commitAll()
    client.take()
    client.publish("w", "", { qos: 1 })
    await microtasks()
    expect(told(client)).toBe("puback 87, open")
  })
  test("while its will is decided", async () => {
    const { promise, resolve } = Promise.withResolvers<Permission>()
    const harness = new Harness()
    const { listener, change } = openDoor(harness, { authorize: () => promise, mayStay: () => false })
    const client = harness.connect({ will }, listener)
    await change()
    resolve(true)
    await microtasks()
    expect(told(client)).toEndWith("closed")
  })
  test("in an exchange whose last step was asked before", async () => {
    const { promise, resolve } = Promise.withResolvers<ExchangeStep>()
    const harness = new Harness()
    const { listener, change } = openDoor(harness, { exchange: () => ({ next: () => promise }), mayStay: () => false })
    const client = harness.connect(withMethod, listener)
    await change()
    resolve(true)
    await microtasks()
    expect(told(client)).toEndWith("closed")
  })
  test("re-authentication whose step was asked before the change", async () => {
    const { promise, resolve } = Promise.withResolvers<ExchangeStep>()
    const steps: (ExchangeStep | Promise<ExchangeStep>)[] = [true, promise]
    const harness = new Harness()
    const { listener, change } = openDoor(harness, {
      exchange: (): Exchange => ({ next: () => steps.shift()! }),
      mayStay: ({ username }) => username !== "bob",
    })
    const client = harness.client("a", withMethod, listener)
    await sendAuth(client, 0x19)
    await change() // bob is not welcome any more
    resolve({ authenticated: true, username: "bob" })
    await microtasks()
    expect(told(client)).toEndWith("closed")
  })
})

describe("a change finds the subscriptions that are just being made", () => {
  for (const filters of [["late"], ["t", "late"]])
    test(`${filters}`, async () => {
      let isAllowed = true
      const { promise, resolve } = Promise.withResolvers<Permission>()
      let isFirst = true
      const harness = new Harness()
      const authorize: Auth["authorize"] = (_, __, topic) => {
        if (topic !== "late" || !isFirst) return isAllowed
        isFirst = false
        return promise
      }
      const { listener, change } = openDoor(harness, { authorize })
      const client = harness.client("a", {}, listener).subscribe(filters)
      isAllowed = false
      await change()
      resolve(true) // what it had read before the change
      await microtasks()
      expect(harness.core.sessions.get("a")?.subscriptions.size ?? 0).toBe(0)
      expect(told(client)).toMatch(/closed$|^suback/)
    })
})

describe("faults", () => {
  for (const [kind, fields] of [
    ["CONNECT", {}],
    ["exchange", withMethod],
  ] as const)
    test(`B1 { authenticated: false } is a refusal: ${kind}`, async () => {
      const no = { authenticated: false } as unknown as Decision
      const harness = new Harness()
      const client = harness.connect(
        fields,
        openDoor(
          harness,
          deciding(() => no),
        ).listener,
      )
      await microtasks()
      expect(told(client)).toBe("connack 87, closed")
    })

  test("re-authentication keeps the order of messages that wait to be allowed", async () => {
    const { promise, resolve } = Promise.withResolvers<Permission>()
    let isFirst = true
    const harness = new Harness()
    const { listener } = openDoor(harness, {
      ...deciding(() => true),
      authorize(_, action) {
        if (action !== "receive" || !isFirst) return true
        isFirst = false
        return promise
      },
    })
    const client = harness.client("a", withMethod, listener).subscribe("t", { qos: 1 })
    client.take()
    const publisher = harness.client("publisher").publish("t", "1", { qos: 1 })
    await sendAuth(client, 0x19)
    publisher.publish("t", "2", { qos: 1 })
    resolve(true)
    await microtasks()
    expect(client.messages()).toEqual(["t 1", "t 2"])
  })
  test("what waits to be allowed stays bounded, however often a client authenticates again", async () => {
    const harness = new Harness({ limits: { maximumBacklogBytes: 1024 } })
    const never = new Promise<Permission>(() => {})
    const { listener } = openDoor(harness, {
      ...deciding(() => true),
      authorize: (_, action) => (action === "receive" ? never : true),
    })
    const client = harness.client("a", withMethod, listener).subscribe("t")
    const publisher = harness.client("publisher")
    let held = 0
    for (let i = 0; i < 50; i++) {
      const before = harness.core.metrics.dropped["backlog full"]
      for (let j = 0; j < 20; j++) publisher.publish("t", Buffer.alloc(100))
      held += 20 - (harness.core.metrics.dropped["backlog full"] - before)
      await sendAuth(client, 0x19)
    }
    expect(held * 100).toBeLessThan(3000)
  })

  /** A client in the middle of a re-authentication; an exchange is the same object each time if `isShared`. */
  function reauthenticating(isShared: boolean, ...answers: ExchangeStep[]) {
    const steps: ExchangeStep[] = [true, { challenge: Buffer.from("who?") }, ...answers]
    const create = (): Exchange => ({ next: () => steps.shift()! })
    const shared = create()
    const harness = new Harness({ limits: { connectTimeoutSeconds: 5 } })
    const { listener } = openDoor(harness, { exchange: () => (isShared ? shared : create()) })
    const client = harness.client("a", withMethod, listener)
    void sendAuth(client, 0x19)
    client.take()
    return { harness, client }
  }
  test("a client that goes away while it authenticates again is not refused afterwards", () => {
    const { harness, client } = reauthenticating(false)
    client.drop()
    harness.logged.length = 0
    harness.clock.advance(10)
    expect([harness.core.metrics.connectsRefused, harness.logged]).toEqual([0, []])
  })
  test("an auth whose exchanges have no state of their own: the second re-authentication has its own time", () => {
    const { harness, client } = reauthenticating(true, true, { challenge: Buffer.from("who?") })
    harness.clock.advance(4)
    void sendAuth(client, 0x18)
    void sendAuth(client, 0x19)
    harness.clock.advance(2)
    expect(told(client)).toBe("auth 00, auth 18, open")
  })
  test("and no clock runs on for it", () => {
    const { harness, client } = reauthenticating(false)
    client.drop()
    harness.clock.advance(1)
    expect(harness.clock.recurringCount).toBe(0)
  })

  for (const [name, reason] of [
    ["busy", 0x89],
    ["sent elsewhere", 0x9c],
    ["moved", 0x9d],
    ["over quota", 0x97],
  ] as const)
    test(`B4 who is turned away because of us is no offender: ${name}`, () => {
      const harness = new Harness()
      const { listener } = openDoor(harness, { authenticate: () => ({ reason }) })
      for (let i = 0; i < 6; i++) expect(told(harness.connect({}, listener))).toEndWith("closed")
    })
  test("nor who comes while the auth itself fails", () => {
    const harness = new Harness()
    const { listener } = openDoor(harness, {
      authenticate: () => {
        throw new Error("the directory is away")
      },
    })
    for (let i = 0; i < 6; i++) expect(told(harness.connect({}, listener))).toEndWith("closed")
  })
  test("a second re-authentication is begun by who the client is since the first", async () => {
    const names: (string | undefined)[] = []
    const users = ["ada", "bob", "eve"]
    const harness = new Harness()
    const { listener } = openDoor(harness, {
      exchange: ({ username }) => {
        names.push(username)
        return { next: () => ({ authenticated: true, username: users.shift()! }) }
      },
    })
    const client = harness.client("a", { ...withMethod, username: "claimed" }, listener)
    await sendAuth(client, 0x19)
    await sendAuth(client, 0x19)
    expect(names).toEqual(["claimed", "ada", "bob"])
  })
})

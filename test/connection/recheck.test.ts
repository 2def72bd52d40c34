/** What ends when an auth says that its decisions may be others now, and what stays. */
import { describe, expect, test } from "bun:test"
import type { Auth, Client } from "../../src/broker/ports.ts"
import type { StoredChange } from "../../src/broker/stored.ts"
import { openDoor, ways } from "../support/door.ts"
import { durable, Harness } from "../support/harness.ts"
import { LateStore, microtasks } from "../support/store.ts"
import { levels, thrownOut, told } from "./wire.ts"

const will = { topic: "w", payload: Buffer.from("gone"), qos: 0, retain: false } as const

/** Allows everything but to subscribe to these filters; the test changes them. */
function denying(filters: Set<string>): Partial<Auth> {
  return { authorize: (_, action, topic) => action !== "subscribe" || !filters.has(topic) }
}

describe("a client that may not stay", () => {
  const failing = () => {
    throw new Error("the directory is away")
  }
  const answers: [name: string, mayStay: NonNullable<Auth["mayStay"]>, isFailure: boolean][] = [
    ...ways.map(([when, give]) => [`false ${when}`, () => give(false), false] as [string, () => boolean, boolean]),
    ["an exception", failing, true],
    ["a rejected promise", async () => failing(), true],
    ["nothing at all", (() => undefined) as unknown as () => boolean, false],
  ]
  for (const level of levels)
    for (const [name, mayStay, isFailure] of answers)
      test(`level ${level}: ${name}: it goes, and its will is dropped, which is counted`, async () => {
        const harness = new Harness()
        const watcher = harness.client("watcher").subscribe("w")
        watcher.take()
        const { listener, change } = openDoor(harness, { mayStay })
        const client = harness.client("a", { level, will }, listener).subscribe("t")
        client.take()
        await change()
        expect(told(client)).toBe(thrownOut(level, "98"))
        expect([watcher.messages(), harness.core.metrics.dropped["not authorized"]]).toEqual([[], 1])
        expect([...harness.core.sessions.all()].map(({ clientId }) => clientId)).toEqual(["watcher"])
        const errors = harness.logged.filter((line) => line.startsWith("error"))
        expect(errors).toEqual(isFailure ? ["error auth failed for a (192.0.2.1): Error: the directory is away"] : [])
      })
  test("keeps its session, with the subscriptions that it has, for the day when it may come back", async () => {
    const harness = new Harness()
    const { listener, change } = openDoor(harness, { ...denying(new Set(["t"])), mayStay: () => false })
    harness.client("a", durable(), listener).subscribe("u", { qos: 1 })
    await change()
    harness.client("publisher").publish("u", "1", { qos: 1 })
    expect(harness.resume("a", durable(), listener).messages()).toEqual(["u 1"])
  })
  test("has no last word after its will's delay, nor after a crash", async () => {
    const store = new LateStore()
    const harness = new Harness({ store })
    const watcher = harness.client("watcher").subscribe("w")
    watcher.take()
    const { listener, change } = openDoor(harness, { mayStay: () => false })
    const properties = { sessionExpiryInterval: 3600 }
    const delayed = { ...will, properties: { willDelayInterval: 10 } }
    const client = harness.connect({ clientId: "a", clean: false, properties, will: delayed }, listener)
    await store.commitAll()
    expect(told(client)).toBe("connack 00, open")
    await change()
    await store.commitAll()
    const [, last] = store.committed.filter((each) => each.kind === "session")
    expect(last).toMatchObject({ session: { clientId: "a", will: undefined } })
    harness.clock.advance(3601)
    expect([harness.core.sessions.get("a"), watcher.messages()]).toEqual([undefined, []])
  })
  test("is asked by the name that it came in with, once a change", async () => {
    const asked: Client[] = []
    const harness = new Harness()
    const { listener, change } = openDoor(harness, { mayStay: (client) => asked.push(client) > 0 })
    harness.client("a", { username: "ada", level: 4 }, listener)
    await change()
    const ada = { clientId: "a", username: "ada", protocolLevel: 4, remoteAddress: "192.0.2.1", listener: "test" }
    expect(asked).toEqual([ada] as Client[])
    await change()
    expect(asked.length).toBe(2)
  })
})

describe("a client that may stay", () => {
  for (const level of levels)
    for (const [when, give] of ways)
      test(`level ${level}, ${when}: hears nothing of it, and has what it had`, async () => {
        const harness = new Harness()
        const parts: Partial<Auth> = { mayStay: () => give(true), authorize: () => give(true) }
        const { listener, change } = openDoor(harness, parts)
        const client = harness.client("a", { level }, listener).subscribe(["t", "u/#"])
        await microtasks()
        client.take()
        await change()
        expect(told(client)).toBe("open")
        harness.client("publisher").publish("t", "1").publish("u/v", "2")
        await microtasks()
        expect(client.messages()).toEqual(["t 1", "u/v 2"])
      })
  test("is every one, of an auth that has no opinion on it", async () => {
    const harness = new Harness()
    const { listener, change } = openDoor(harness, {})
    const client = harness.client("a", {}, listener)
    await change()
    expect(told(client)).toBe("open")
  })
})

describe("a will that is not allowed any more", () => {
  const setUp = (parts: (isAllowed: () => boolean) => Partial<Auth>) => {
    let isAllowed = true
    const harness = new Harness()
    const watcher = harness.client("watcher").subscribe("#")
    watcher.take()
    const door = openDoor(
      harness,
      parts(() => isAllowed),
      { mountPoint: "house/" },
    )
    const forbid = () => {
      isAllowed = false
      return door.change()
    }
    return { harness, watcher, forbid, ...door }
  }
  for (const level of levels)
    for (const [when, give] of ways)
      test(`level ${level}, ${when}: is dropped and counted, and the client, which may stay, hears nothing of it`, async () => {
        const { harness, watcher, listener, forbid } = setUp((isAllowed) => ({
          authorize: (_, action, topic) => give(action !== "publish" || topic !== "house/w" || isAllowed()),
        }))
        const client = harness.connect({ clientId: "a", level, will }, listener)
        await microtasks()
        client.take()
        await forbid()
        expect([told(client), harness.core.metrics.dropped["not authorized"]]).toEqual(["open", 1])
        client.drop()
        expect(watcher.messages()).toEqual([])
      })
  test("is dropped in the store, too: a crash does not publish it", async () => {
    let isAllowed = true
    const store = new LateStore()
    const harness = new Harness({ store })
    const { listener, change } = openDoor(harness, { authorize: () => isAllowed })
    const client = harness.connect({ clientId: "a", ...durable(), will }, listener)
    await store.commitAll()
    isAllowed = false
    await change()
    await store.commitAll()
    expect(told(client)).toBe("connack 00, open")
    const wills = store.committed.flatMap((each) =>
      each.kind === "session" ? [each.session.will?.topic ?? "none"] : [],
    )
    expect(wills).toEqual(["w", "none"])
  })
  test("stays, if it is allowed: it is published when the client has gone", async () => {
    const { harness, watcher, listener, forbid } = setUp((isAllowed) => ({
      authorize: (_, action) => action === "publish" || isAllowed(),
    }))
    const client = harness.client("a", { will }, listener).subscribe("t")
    client.take()
    await forbid()
    expect(told(client)).toBe("disconnect 87, closed") // for its subscription
    expect(watcher.messages()).toEqual(["house/w gone"])
  })
  test("is not published either when its client loses a subscription as well, and goes", async () => {
    const { harness, watcher, listener, forbid } = setUp((isAllowed) => ({ authorize: () => isAllowed() }))
    const client = harness.client("a", { will }, listener).subscribe("t")
    client.take()
    await forbid()
    expect(told(client)).toBe("disconnect 87, closed")
    expect([watcher.messages(), harness.core.metrics.dropped["not authorized"]]).toEqual([[], 1])
  })
  test("is dropped where the auth fails, which is said", async () => {
    const { harness, watcher, listener, forbid } = setUp((isAllowed) => ({
      authorize: () => {
        if (isAllowed()) return true
        throw new Error("no")
      },
    }))
    const client = harness.client("a", { will }, listener)
    await forbid()
    client.drop()
    expect(watcher.messages()).toEqual([])
    expect(harness.logged).toContain("error auth failed for a (192.0.2.1): Error: no")
  })
})

describe("subscriptions that are not allowed any more", () => {
  for (const level of levels)
    for (const [when, give] of ways)
      test(`level ${level}, ${when}: end, and the client is told; the others stay, and so do those of others`, async () => {
        const denied = new Set<string>()
        const harness = new Harness()
        const { authorize } = denying(denied)
        const { listener, change } = openDoor(harness, {
          authorize: (...question) => give(authorize!(...question) as boolean),
        })
        const client = harness.client("a", durable(level), listener)
        const other = harness.client("b", durable(level), listener)
        client.subscribe(["t", "u", "v/+"], { qos: 1 })
        other.subscribe("u")
        await microtasks()
        for (const each of [client, other]) each.take()
        for (const filter of ["t", "v/+"]) denied.add(filter)
        await change()
        expect(told(client)).toBe(thrownOut(level, "87"))
        expect(told(other)).toBe("open")
        const publisher = harness.client("publisher")
        for (const topic of ["t", "u", "v/w"]) publisher.publish(topic, "!", { qos: 1 })
        const again = harness.resume("a", durable(level), listener)
        await microtasks()
        expect(again.messages()).toEqual(["u !"])
        expect([...harness.core.sessions.get("a")!.subscriptions.keys()]).toEqual(["u"])
      })
  test("end in the store, too", async () => {
    const denied = new Set<string>()
    const store = new LateStore()
    const harness = new Harness({ store })
    const { listener, change } = openDoor(harness, denying(denied))
    const client = harness.connect({ clientId: "a", ...durable() }, listener)
    await store.commitAll()
    client.subscribe(["t", "u"])
    await store.commitAll()
    store.committed.length = 0
    denied.add("t")
    await change()
    await store.commitAll()
    const about = (kind: StoredChange["kind"]) => store.committed.filter((each) => each.kind === kind)
    expect(about("unsubscribed")).toEqual([{ kind: "unsubscribed", clientId: "a", topicFilter: "t" }])
    expect(about("subscribed")).toEqual([])
  })
  test("are those of shared subscriptions, too, and stand behind the mount point", async () => {
    const denied = new Set<string>()
    const harness = new Harness()
    const { listener, change } = openDoor(harness, denying(denied), { mountPoint: "house/" })
    const client = harness.client("a", durable(), listener).subscribe(["$share/g/t", "u"])
    client.take()
    denied.add("t").add("u") // not what the filters are behind it
    await change()
    expect(told(client)).toBe("open")
    denied.add("house/t")
    await change()
    expect(told(client)).toBe("disconnect 87, closed")
    expect([...harness.core.sessions.get("a")!.subscriptions.keys()]).toEqual(["house/u"])
  })
  for (const [when, give] of ways)
    test(`are also those on which the auth fails, or says nothing any more, ${when}`, async () => {
      let hasChanged = false
      const harness = new Harness()
      const authorize: Auth["authorize"] = (_, __, topic) => {
        if (hasChanged && topic === "t") throw new Error("no")
        return give(hasChanged && topic === "u" ? undefined : true)
      }
      const { listener, change } = openDoor(harness, { authorize })
      const client = harness.client("a", durable(), listener).subscribe(["t", "u", "v"])
      await microtasks()
      client.take()
      hasChanged = true
      await change()
      expect(told(client)).toBe("disconnect 87, closed")
      expect([...harness.core.sessions.get("a")!.subscriptions.keys()]).toEqual(["v"])
      const errors = harness.logged.filter((line) => line.startsWith("error"))
      expect(errors).toEqual(["error auth failed for a (192.0.2.1): Error: no"])
    })
  test("do not matter to a client that has to go anyway: it is told that alone", async () => {
    const asked: string[] = []
    const harness = new Harness()
    const authorize: Auth["authorize"] = (_, __, topic) => asked.push(topic) > 0
    const { listener, change } = openDoor(harness, { authorize, mayStay: () => false })
    const client = harness.client("a", durable(), listener).subscribe("t")
    client.take()
    asked.length = 0
    await change()
    expect([told(client), asked]).toEqual(["disconnect 98, closed", []])
  })
})

describe("who is asked", () => {
  test("the clients of that auth, through whatever listener, and nobody else", async () => {
    const asked: string[] = []
    const parts = (name: string): Partial<Auth> => ({
      isCacheable: true,
      mayStay: ({ clientId }) => asked.push(`${name}: ${clientId} stays`) < 0,
      authorize: ({ clientId }, action) => asked.push(`${name}: ${clientId} ${action}`) > 0,
    })
    const harness = new Harness()
    const one = openDoor(harness, parts("one"))
    const two = openDoor(harness, parts("two"))
    const a = harness.client("a", {}, one.listener)
    const b = harness.client("b", {}, harness.listener({}, one.auth))
    const c = harness.client("c", {}, two.listener).publish("t")
    const d = harness.client("d")
    asked.length = 0
    await one.change()
    expect([a, b, c, d].map(told)).toEqual([...Array(2).fill("disconnect 98, closed"), "open", "open"])
    c.publish("t")
    expect(asked).toEqual(["one: a stays", "one: b stays"]) // what the other one has said is still remembered
  })
  test("the authority that the auth has named, not the auth itself", async () => {
    const asked: string[] = []
    const harness = new Harness()
    const authority = { mayStay: ({ clientId }: Client) => asked.push(clientId) < 0 }
    const { listener, change } = openDoor(harness, {
      authenticate: ({ clientId }) => (clientId === "a" ? { authenticated: true, authority } : true),
      mayStay: () => true,
      authorize: (_, action) => action !== "subscribe",
    })
    const clients = ["a", "b"].map((clientId) => harness.client(clientId, {}, listener))
    clients[0]!.subscribe("t").take()
    await change()
    expect(clients.map(told)).toEqual(["disconnect 98, closed", "open"])
    expect(asked).toEqual(["a"])
  })
  test("nobody who has been refused, has gone, or has sent nothing yet", async () => {
    const asked: string[] = []
    const harness = new Harness()
    const { listener, change } = openDoor(harness, {
      authenticate: ({ clientId }) => clientId !== "refused",
      mayStay: ({ clientId }) => asked.push(clientId) < 0,
    })
    harness.connect({ clientId: "refused" }, listener)
    harness.client("gone", durable(), listener).drop()
    const silent = harness.open(5, listener)
    await change()
    expect([asked, harness.logged.filter((line) => line.startsWith("error"))]).toEqual([[], []])
    silent.connect({ clientId: "later" })
    expect(told(silent)).toBe("connack 00, open") // on what holds now
  })
})

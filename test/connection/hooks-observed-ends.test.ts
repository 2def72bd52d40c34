/** What observers are told of messages that get no further, of what is retained, and of failures. */
import { describe, expect, test } from "bun:test"
import { SysTree } from "../../src/broker/sys.ts"
import { durable, Harness } from "../support/harness.ts"
import { observe } from "../support/observed.ts"
import { LateStore, microtasks } from "../support/store.ts"

const will = { topic: "will", payload: Buffer.from("bye"), qos: 1, retain: false } as const

describe("onDropped says which message did not reach whom, and why", () => {
  test("queue full", async () => {
    const harness = new Harness({ limits: { maximumQueuedMessages: 1 } })
    const told = observe(harness.core.hooks, "onDropped")
    harness.client("a", durable()).subscribe("t", { qos: 1 }).drop()
    harness.client("p").publish("t", "1", { qos: 1 }).publish("t", "2", { qos: 1 })
    expect(await told()).toEqual(["dropped t 2 1 for a: queue full"])
  })
  test("queue full, of a share group", async () => {
    const harness = new Harness({ limits: { maximumQueuedMessages: 1 } })
    const told = observe(harness.core.hooks, "onDropped")
    harness.client("a", durable()).subscribe("$share/g/t", { qos: 1 }).drop()
    harness.client("p").publish("t", "1", { qos: 1 }).publish("t", "2", { qos: 1 })
    expect(await told()).toEqual(["dropped t 2 1 for $share/g/t: queue full"])
  })
  test("queue memory full", async () => {
    const harness = new Harness({ limits: { maximumQueueMemoryBytes: 300 } })
    const told = observe(harness.core.hooks, "onDropped")
    harness.client("a", durable()).subscribe("t", { qos: 1 }).drop()
    harness.client("p").publish("t", "1", { qos: 1 }).publish("t", "2", { qos: 1 })
    expect(await told()).toEqual(["dropped t 2 1 for a: queue memory full"])
  })
  test("message expired, in a queue", async () => {
    const harness = new Harness()
    const told = observe(harness.core.hooks, "onDropped")
    harness.client("a", durable()).subscribe("t", { qos: 1 }).drop()
    harness.client("p").publish("t", "1", { qos: 1, properties: { messageExpiryInterval: 1 } })
    harness.clock.advance(2)
    harness.resume("a")
    expect(await told()).toEqual(["dropped t 1 1 for a: message expired"])
  })
  test("not authorized, to publish and to receive", async () => {
    const harness = new Harness()
    const told = observe(harness.core.hooks, "onDropped")
    const listener = harness.listener(
      {},
      { authenticate: () => true, authorize: (_, action) => action === "subscribe" },
    )
    const client = harness.client("a", {}, listener).subscribe("t", { qos: 1 })
    client.publish("t", "mine", { qos: 1 })
    harness.client("p").publish("t", "1", { qos: 1 })
    expect(await told()).toEqual(["dropped t mine 1 for a: not authorized", "dropped t 1 1 for a: not authorized"])
  })
  test("outside mount point", async () => {
    const harness = new Harness()
    const told = observe(harness.core.hooks, "onDropped")
    harness.core.hooks.use({ onDeliver: (message) => message.with({ topic: "elsewhere" }) })
    harness.client("a", {}, harness.listener({ mountPoint: "site/" })).subscribe("t", { qos: 1 })
    harness.client("p").publish("site/t", "1", { qos: 1 })
    expect(await told()).toEqual(["dropped elsewhere 1 1 for a: outside mount point"])
    expect(harness.core.inflightCount).toBe(0)
  })
  test("retained limit", async () => {
    const harness = new Harness({ limits: { maximumRetainedMessages: 1 } })
    const told = observe(harness.core.hooks, "onDropped", "onRetained")
    const client = harness.client("a").publish("x", "1", { retain: true }).publish("y", "2", { retain: true })
    client.publish("y", "3", { retain: true, qos: 1 })
    expect(await told()).toEqual([
      "retained x 1 0 retain",
      "dropped y 2 0 retain for -: retained limit",
      "dropped y 3 1 retain for a: retained limit",
    ])
  })
  test("store failing", async () => {
    const store = new LateStore()
    const harness = new Harness({ store })
    const told = observe(harness.core.hooks, "onDropped", "onError")
    const client = harness.client("a")
    client.publish("x", "1", { retain: true, qos: 1 })
    await microtasks()
    store.pending[0]!.reject(new Error("disk full"))
    expect(await told()).toEqual(["error in store: disk full"])
    client.publish("x", "2", { retain: true, qos: 1 })
    expect(await told()).toEqual(["dropped x 2 1 retain for a: store failing"])
  })
  test("refused by hook", async () => {
    const harness = new Harness()
    const told = observe(harness.core.hooks, "onDropped")
    harness.core.hooks.use({
      onMessage: ({ topic }) => (topic === "m" ? false : undefined),
      onDeliver: ({ topic }) => (topic === "d" ? false : undefined),
      onWill: () => false,
    })
    harness.client("s").subscribe("#")
    harness.client("a", { will }).publish("m", "1").publish("d", "2").drop()
    expect(await told()).toEqual([
      "dropped m 1 0 for a: refused by hook",
      "dropped d 2 0 for s: refused by hook",
      "dropped will bye 1 for a: refused by hook",
    ])
  })
})

describe("onRetained and onRetainedExpired", () => {
  test("a new message, another, and none any more", async () => {
    const harness = new Harness()
    const told = observe(harness.core.hooks, "onRetained", "onRetainedExpired")
    const client = harness.client("a").publish("t", "1", { retain: true }).publish("t", "2", { retain: true, qos: 1 })
    client.publish("t", "not retained")
    expect(await told()).toEqual(["retained t 1 0 retain", "retained t 2 1 retain"])
    client.publish("t", "", { retain: true })
    expect(await told()).toEqual(["retained t  0 retain"])
    client.publish("t", "", { retain: true, qos: 1 }) // nothing was there
    expect(await told()).toEqual([])
  })
  test("a will that is retained", async () => {
    const harness = new Harness()
    const told = observe(harness.core.hooks, "onRetained")
    harness.client("a", { will: { ...will, retain: true } }).drop()
    expect(await told()).toEqual(["retained will bye 1 retain"])
  })
  test("one that expires, once", async () => {
    const harness = new Harness()
    const told = observe(harness.core.hooks, "onRetained", "onRetainedExpired")
    const expiring = (seconds: number) => ({ retain: true, properties: { messageExpiryInterval: seconds } })
    const client = harness.client("a").publish("x", "1", expiring(10)).publish("y", "1", expiring(10))
    client.publish("y", "2", expiring(20))
    await told()
    harness.clock.advance(9)
    expect(await told()).toEqual([])
    harness.clock.advance(2)
    expect(await told()).toEqual(["expired x 1 0 retain"])
    client.publish("y", "", { retain: true })
    await told()
    harness.clock.advance(60)
    expect(await told()).toEqual([])
  })
  test("not `$SYS`", async () => {
    const harness = new Harness()
    const told = observe(harness.core.hooks, "onRetained", "onRetainedExpired", "onPublished")
    const sys = new SysTree(harness.core, "1")
    sys.start()
    harness.clock.advance(60)
    sys.stop()
    expect(await told()).toEqual([])
    expect(harness.core.retained.count).toBeGreaterThan(10)
  })
})

describe("onError: what no client is to blame for", () => {
  test("an auth that fails, wherever it is asked", async () => {
    const harness = new Harness()
    const told = observe(harness.core.hooks, "onError")
    let isBroken = true
    const fail = (what: string) => {
      if (isBroken) throw new Error(what)
      return true
    }
    const listener = (when: "at once" | "late") =>
      harness.listener(
        {},
        {
          authenticate: () => (when === "late" ? Promise.try(fail, "authenticate") : fail("authenticate")),
          authorize: (_, action) => (when === "late" ? Promise.try(fail, action) : fail(action)),
        },
      )
    for (const when of ["at once", "late"] as const) {
      isBroken = true
      harness.connect({}, listener(when))
      expect(await told()).toEqual(["error in auth: authenticate"])
      isBroken = false
      const client = harness.connect({ clientId: "a" }, listener(when)).subscribe("t")
      await microtasks()
      isBroken = true
      client.publish("x").subscribe("y")
      await microtasks()
      harness.client("p").publish("t")
      expect(await told()).toEqual(["error in auth: publish", "error in auth: subscribe", "error in auth: receive"])
      client.drop()
    }
  })
  test("a hook that fails, observers included; but not itself", async () => {
    const harness = new Harness()
    const told = observe(harness.core.hooks, "onError")
    const broken = (what: string) => (): never => {
      throw new Error(what)
    }
    harness.core.hooks.use({
      onMessage: broken("message"),
      onConnected: broken("connected"),
      onError: broken("error"),
      onDisconnected: (async () => broken("late")()) as () => void,
    })
    harness.client("a").publish("t").drop()
    expect((await told()).toSorted()).toEqual([
      "error in onConnected: connected",
      "error in onDisconnected: late",
      "error in onMessage: message",
    ])
    expect(harness.core.metrics.hooksFailed).toBe(6)
    expect(harness.logged.filter((line) => line.startsWith("error hook onError failed: Error: error"))).toHaveLength(3)
  })
  test("a store that fails: when that begins, not at every attempt", async () => {
    const store = new LateStore()
    const harness = new Harness({ store })
    const told = observe(harness.core.hooks, "onError")
    harness.connect({ clientId: "a", ...durable() })
    for (let attempt = 0; attempt < 3; attempt++) {
      await microtasks()
      store.pending.shift()!.reject(new Error("disk full"))
      expect(await told()).toEqual(attempt === 0 ? ["error in store: disk full"] : [])
      harness.clock.advance(1)
    }
    await store.commitAll()
    harness.connect({ clientId: "b", ...durable() })
    await microtasks()
    store.pending.shift()!.reject(new Error("again"))
    expect(await told()).toEqual(["error in store: again"])
  })
  test("a fault of manju's own", async () => {
    const harness = new Harness()
    const told = observe(harness.core.hooks, "onError")
    const client = harness.client("a")
    client.connection.link.session!.acknowledge = () => {
      throw new Error("bug")
    }
    client.ack("puback", 1)
    expect(await told()).toEqual(["error in manju: bug"])
    expect(client.isClosed).toBe(true)
    harness.core.timers.schedule(harness.clock.now(), () => {
      throw new Error("late bug")
    })
    harness.clock.advance(1)
    expect(await told()).toEqual(["error in manju: late bug"])
  })
})

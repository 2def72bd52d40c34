/** How subscriptions of the embedding service end, and that nothing is left of them. */
import { describe, expect, test } from "bun:test"
import type { LocalSubscription } from "../../../src/broker/local/subscription.ts"
import { type Embedded, embed, take, takeAll } from "../../support/embedded.ts"
import { microtasks } from "../../support/store.ts"

const ended = { value: undefined, done: true } as const

/** What is left in the broker of what subscribes. */
const left = ({ core, open }: Embedded) => ({
  ...open(),
  filters: core.router.subscriptionCount,
  shared: core.router.sharedCount,
  inflight: core.inflightCount,
  queueBytes: core.queueBytes,
})
const nothing = { subscriptions: 0, requests: 0, filters: 0, shared: 0, inflight: 0, queueBytes: 0 }

const ways: Record<string, (subscription: LocalSubscription, abort: AbortController) => void> = {
  "is closed": (subscription) => subscription.close(),
  "is aborted": (_, abort) => abort.abort(),
  "is disposed": (subscription) => subscription[Symbol.dispose](),
  "is disposed asynchronously": (subscription) => void subscription[Symbol.asyncDispose](),
  "is left by its loop": (subscription) => void subscription[Symbol.asyncIterator]().return!(),
}

for (const [how, end] of Object.entries(ways))
  describe(`a subscription that ${how}`, () => {
    test("leaves nothing, with all that waits at every QoS", async () => {
      const embedded = await embed()
      const { broker } = embedded
      const abort = new AbortController()
      const options = { qos: 2, buffer: 4, signal: abort.signal } as const
      const subscription = broker.subscribe(["t", "a/#", "$share/g/t"], options)
      for (const qos of [0, 1, 2, 0, 1, 2, 1] as const) await broker.publish("t", "x", { qos })
      expect(left(embedded)).toMatchObject({ subscriptions: 1, filters: 3, shared: 1, inflight: 2 })
      expect(embedded.core.queueBytes).toBeGreaterThan(0)
      end(subscription, abort)
      expect(left(embedded)).toEqual(nothing)
      await broker.publish("t", "later", { qos: 1 })
      expect(left(embedded)).toEqual(nothing)
      expect(await takeAll(subscription)).toEqual([])
      await subscription.closed
    })

    test("lets those who wait for a message go", async () => {
      const { broker } = await embed()
      const abort = new AbortController()
      const subscription = broker.subscribe("t", { signal: abort.signal })
      const messages = subscription[Symbol.asyncIterator]()
      const waiting = [messages.next(), messages.next(), subscription[Symbol.asyncIterator]().next()]
      await microtasks()
      end(subscription, abort)
      for (const each of waiting) expect(await each).toEqual(ended)
    })

    test("does not end twice", async () => {
      const { broker } = await embed()
      const abort = new AbortController()
      const subscription = broker.subscribe("t", { signal: abort.signal })
      end(subscription, abort)
      for (const end of Object.values(ways)) end(subscription, abort)
      expect(await takeAll(subscription)).toEqual([])
    })
  })

test("a loop that is left closes its subscription, by break and by an exception", async () => {
  const embedded = await embed()
  for (const leave of [() => "break", () => Promise.reject(new Error("in the loop"))]) {
    const loop = (async () => {
      for await (const message of embedded.broker.subscribe("t")) if (message && (await leave())) break
    })()
    await embedded.broker.publish("t", "x")
    await loop.catch(() => {})
    expect(left(embedded)).toEqual(nothing)
  }
})

test("a signal that is aborted already makes a subscription that has ended", async () => {
  const embedded = await embed()
  await embedded.broker.publish("t", "retained", { retain: true })
  const signal = AbortSignal.abort()
  const handled: unknown[] = []
  const subscriptions = [
    embedded.broker.subscribe("t", { signal }),
    embedded.broker.subscribe("t", (message) => handled.push(message), { signal }),
  ]
  expect(left(embedded)).toEqual(nothing)
  expect(await takeAll(subscriptions[0]!)).toEqual([])
  for (const { closed } of subscriptions) await closed
  await microtasks()
  expect(handled).toEqual([])
})

test("a signal is let go with the subscription", async () => {
  const { broker } = await embed()
  const { signal } = new AbortController()
  const listeners = new Set<unknown>()
  signal.addEventListener = (_: string, listener: unknown) => void listeners.add(listener)
  signal.removeEventListener = (_: string, listener: unknown) => void listeners.delete(listener)
  const subscription = broker.subscribe("t", { signal })
  expect(listeners.size).toBe(1)
  subscription.close()
  expect(listeners.size).toBe(0)
})

describe("when the broker closes", () => {
  test("what has come can still be taken, then it ends", async () => {
    const embedded = await embed()
    const { broker } = embedded
    const subscription = broker.subscribe("t", { qos: 2 })
    for (const qos of [0, 1, 2] as const) await broker.publish("t", String(qos), { qos })
    await broker.close({ timeoutMs: 1 })
    await subscription.closed
    expect(left(embedded)).toEqual(nothing)
    expect(await take(subscription, 1)).toEqual(["0"])
    expect(await takeAll(subscription)).toEqual(["1", "2"])
    expect(await takeAll(subscription)).toEqual([])
    expect(left(embedded)).toEqual(nothing)
  })

  test("a handler gets what has come", async () => {
    const { broker } = await embed()
    const handled: string[] = []
    const busy = Promise.withResolvers<void>()
    broker.subscribe("t", async (message) => {
      handled.push(message.text())
      await busy.promise
    })
    for (const payload of ["1", "2", "3"]) await broker.publish("t", payload)
    await broker.close({ timeoutMs: 1 })
    expect(handled).toEqual(["1"])
    busy.resolve()
    await microtasks()
    expect(handled).toEqual(["1", "2", "3"])
  })

  test("whoever waits is let go", async () => {
    const { broker } = await embed()
    const next = broker.subscribe("t")[Symbol.asyncIterator]().next()
    await broker.close({ timeoutMs: 1 })
    expect(await next).toEqual(ended)
  })

  test("closing it forgets what has come", async () => {
    const { broker } = await embed()
    const subscription = broker.subscribe("t")
    await broker.publish("t", "x")
    await broker.close({ timeoutMs: 1 })
    subscription.close()
    expect(await takeAll(subscription)).toEqual([])
  })

  test("the wills of those who are sent away are among what has come", async () => {
    const { broker, client } = await embed()
    client("a", { will: { topic: "w", payload: Buffer.from("gone"), qos: 0, retain: false } })
    const subscription = broker.subscribe("w")
    await broker.close({ timeoutMs: 1 })
    expect(await takeAll(subscription)).toEqual(["gone"])
  })
})

for (const qos of [0, 1, 2] as const)
  test(`a subscription that a hook closes in the middle of routing gets nothing more, and leaves nothing: QoS ${qos}`, async () => {
    const embedded = await embed()
    const { broker, client } = embedded
    const subscriber = client("c").subscribe("t")
    subscriber.take()
    const subscription = broker.subscribe(["t", "$share/g/t"], { qos })
    broker.use({ onDeliver: () => subscription.close() })
    await broker.publish("t", "x", { qos })
    await microtasks()
    expect(await takeAll(subscription)).toEqual([])
    expect(subscriber.messages()).toEqual(["t x"])
    subscriber.drop()
    expect(left(embedded)).toEqual(nothing)
  })

test("two iterators take from one line, and either ends both", async () => {
  const { broker } = await embed()
  const subscription = broker.subscribe("t")
  const [a, b] = [subscription[Symbol.asyncIterator](), subscription[Symbol.asyncIterator]()]
  for (const payload of ["1", "2", "3"]) await broker.publish("t", payload)
  expect((await a.next()).value?.text()).toBe("1")
  expect((await b.next()).value?.text()).toBe("2")
  await a.return!()
  expect(await b.next()).toEqual(ended)
})

test("many that wait at once get the messages in the order in which they asked", async () => {
  const { broker } = await embed()
  const messages = broker.subscribe("t")[Symbol.asyncIterator]()
  const waiting = [messages.next(), messages.next(), messages.next()]
  for (const payload of ["1", "2", "3"]) await broker.publish("t", payload)
  expect((await Promise.all(waiting)).map(({ value }) => value?.text())).toEqual(["1", "2", "3"])
})

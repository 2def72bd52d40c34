/** What waits for a consumer in the process: how much of it may, and what becomes of the rest. */
import { describe, expect, test } from "bun:test"
import { type Embedded, embed, take, takeAll } from "../../support/embedded.ts"
import { microtasks } from "../../support/store.ts"

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => String(from + i))

/** Publishes the numbers from `from` to `to`. */
async function publish({ broker }: Embedded, from: number, to: number, qos: 0 | 1 | 2 = 0): Promise<void> {
  for (const payload of numbers(from, to)) await broker.publish("t", payload, { qos })
}

describe("QoS 0 beyond the buffer", () => {
  test("drops the oldest, unless the subscription wants something else; each is counted and told", async () => {
    const embedded = await embed()
    const { broker, core } = embedded
    const told: unknown[] = []
    broker.use({ onDropped: (message, reason) => void told.push([message.text(), reason]) })
    const subscription = broker.subscribe("t", { buffer: 3 })
    await publish(embedded, 1, 5)
    expect(core.metrics.dropped["backlog full"]).toBe(2)
    expect(await take(subscription, 3)).toEqual(["3", "4", "5"])
    await publish(embedded, 6, 6)
    expect(await take(subscription, 1)).toEqual(["6"])
    expect(told).toEqual([
      ["1", "backlog full"],
      ["2", "backlog full"],
    ])
  })

  test("drops the newest", async () => {
    const embedded = await embed()
    const subscription = embedded.broker.subscribe("t", { buffer: 3, overflow: "drop-newest" })
    await publish(embedded, 1, 5)
    expect(embedded.core.metrics.dropped["backlog full"]).toBe(2)
    expect(await take(subscription, 3)).toEqual(["1", "2", "3"])
    await publish(embedded, 6, 6)
    expect(await take(subscription, 1)).toEqual(["6"])
  })

  test("ends the subscription: all that came before, then the error", async () => {
    const embedded = await embed()
    const { broker, core } = embedded
    const subscription = broker.subscribe("t", { buffer: 3, overflow: "close" })
    await publish(embedded, 1, 5)
    expect(core.metrics.dropped["backlog full"]).toBe(1)
    expect(core.router.subscriptionCount).toBe(0)
    await expect(subscription.closed).rejects.toMatchObject({ code: "OVERFLOW" })
    const messages = subscription[Symbol.asyncIterator]()
    for (const expected of ["1", "2", "3"]) expect((await messages.next()).value?.text()).toBe(expected)
    await expect(messages.next()).rejects.toMatchObject({ code: "OVERFLOW" })
    expect(await messages.next()).toEqual({ value: undefined, done: true })
  })

  test("ends the subscription without a gap: in the turn in which it has overflowed nothing more gets in", async () => {
    const { broker, core, client } = await embed()
    const publisher = client("p")
    const subscription = broker.subscribe("t", { buffer: 2, overflow: "close", qos: 1 })
    const messages = subscription[Symbol.asyncIterator]()
    for (const payload of numbers(1, 2)) publisher.publish("t", payload)
    const first = messages.next() // makes room, before the end
    queueMicrotask(() => publisher.publish("t", "4").publish("t", "5", { qos: 1 }))
    publisher.publish("t", "3")
    expect((await first).value?.text()).toBe("1")
    expect((await messages.next()).value?.text()).toBe("2")
    await expect(messages.next()).rejects.toMatchObject({ code: "OVERFLOW" })
    expect([core.router.subscriptionCount, core.inflightCount, core.queueBytes]).toEqual([0, 0, 0])
    expect(core.metrics.dropped["backlog full"]).toBe(2)
  })

  test("ends a subscription that has a handler, after what came before, and is reported", async () => {
    const embedded = await embed()
    const { broker, logged } = embedded
    const handled: string[] = []
    const busy = Promise.withResolvers<void>()
    const handler = async (message: { text(): string }) => {
      handled.push(message.text())
      await busy.promise
    }
    const subscription = broker.subscribe("t", handler, { buffer: 2, overflow: "close" })
    await publish(embedded, 1, 1)
    await microtasks()
    await publish(embedded, 2, 5)
    await expect(subscription.closed).rejects.toMatchObject({ code: "OVERFLOW" })
    expect(logged.filter((line) => line.startsWith("error"))).toMatchObject([expect.stringContaining("more messages")])
    busy.resolve()
    await microtasks()
    expect(handled).toEqual(["1", "2", "3"])
  })

  test("drops what comes, where all that waits is of QoS 1 and 2", async () => {
    const embedded = await embed()
    const subscription = embedded.broker.subscribe("t", { buffer: 2, qos: 1 })
    await publish(embedded, 1, 2, 1)
    await publish(embedded, 3, 3)
    expect(embedded.core.metrics.dropped["backlog full"]).toBe(1)
    expect(await take(subscription, 2)).toEqual(["1", "2"])
  })

  test("drops the oldest of QoS 0 from between those that stay", async () => {
    const embedded = await embed()
    const subscription = embedded.broker.subscribe("t", { buffer: 4, qos: 2 })
    await publish(embedded, 1, 1, 2)
    await publish(embedded, 2, 2)
    await publish(embedded, 3, 3, 1)
    await publish(embedded, 4, 6)
    expect(embedded.core.metrics.dropped["backlog full"]).toBe(2)
    expect(await take(subscription, 4)).toEqual(["1", "3", "5", "6"])
  })
})

describe("what comes in one turn while the consumer waits fills no buffer", () => {
  /** One chunk with that many messages. */
  const chunk = (count: number) =>
    Buffer.concat(
      Array.from({ length: count }, (_, i) => Buffer.from([0x30, 0x05, 0x00, 0x01, 0x74, i >> 8, i & 0xff])),
    )

  test("of a handler", async () => {
    const { broker, client, core } = await embed()
    let handled = 0
    broker.subscribe("t", () => handled++, { buffer: 10, overflow: "close" })
    const publisher = client("p", { level: 4 })
    await microtasks()
    for (let turn = 1; turn <= 3; turn++) {
      publisher.connection.receive(chunk(5000))
      expect(handled).toBe((turn - 1) * 5000)
      await microtasks()
      expect(handled).toBe(turn * 5000)
    }
    expect(core.metrics.droppedTotal).toBe(0)
  })

  test("of a loop", async () => {
    const { broker, client, core } = await embed()
    const publisher = client("p", { level: 4 })
    const subscription = broker.subscribe("t", { buffer: 10, overflow: "close" })
    const messages = subscription[Symbol.asyncIterator]()
    const first = messages.next()
    await microtasks()
    publisher.connection.receive(chunk(5000))
    await first
    for (let i = 1; i < 5000; i++) expect((await messages.next()).done).toBe(false)
    expect(core.metrics.droppedTotal).toBe(0)
  })

  test("and counts from then on, while it has not been taken", async () => {
    const { broker, client, core } = await embed()
    const publisher = client("p", { level: 4 })
    const subscription = broker.subscribe("t", { buffer: 10, overflow: "drop-newest" })
    const messages = subscription[Symbol.asyncIterator]()
    const first = messages.next()
    await microtasks()
    publisher.connection.receive(chunk(20))
    await first
    publisher.publish("t", "too many")
    expect(core.metrics.dropped["backlog full"]).toBe(1)
    expect((await take(subscription, 19)).length).toBe(19)
    publisher.publish("t", "21st")
    expect(await take(subscription, 1)).toEqual(["21st"])
  })

  test("but no buffer is needed for a consumer that is there and has not asked", async () => {
    const { broker, client, core } = await embed()
    broker.subscribe("t", { buffer: 10 })
    client("p", { level: 4 }).connection.receive(chunk(15))
    expect(core.metrics.dropped["backlog full"]).toBe(5)
  })
})

/** Limits by which the queue of a session has room for two messages. */
const full = [
  [{ maximumQueuedMessages: 2 }, "queue full"],
  [{ maximumQueueMemoryBytes: 500 }, "queue memory full"],
] as const

for (const qos of [1, 2] as const)
  describe(`QoS ${qos} beyond the buffer waits in the queue of the session`, () => {
    test("in flight is what the consumer has not taken, at most the buffer", async () => {
      const embedded = await embed()
      const { broker, core } = embedded
      const subscription = broker.subscribe("t", { buffer: 3, qos })
      await publish(embedded, 1, 10, qos)
      expect(core.inflightCount).toBe(3)
      expect(core.queueBytes).toBeGreaterThan(0)
      expect(await take(subscription, 7)).toEqual(numbers(1, 7))
      expect([core.inflightCount, core.queueBytes]).toEqual([3, 0])
      expect(await take(subscription, 3)).toEqual(numbers(8, 10))
      expect([core.inflightCount, core.metrics.droppedTotal]).toEqual([0, 0])
    })

    test("behind QoS 0 that fills the buffer, too", async () => {
      const embedded = await embed()
      const { broker, core } = embedded
      const subscription = broker.subscribe("t", { buffer: 2, qos })
      await publish(embedded, 1, 2)
      await publish(embedded, 3, 5, qos)
      expect([core.inflightCount, core.queueBytes > 0]).toEqual([0, true])
      expect(await take(subscription, 5)).toEqual(numbers(1, 5))
      expect([core.inflightCount, core.queueBytes]).toEqual([0, 0])
    })

    test("in flight are at most as many as the broker's limit says", async () => {
      const embedded = await embed({ limits: { maximumInflight: 2 } })
      const { broker, core } = embedded
      const subscription = broker.subscribe("t", { qos })
      await publish(embedded, 1, 5, qos)
      expect(core.inflightCount).toBe(2)
      expect(await take(subscription, 5)).toEqual(numbers(1, 5))
    })

    test("more than 65,535 can be asked for", async () => {
      const embedded = await embed()
      const subscription = embedded.broker.subscribe("t", { buffer: 1_000_000, qos })
      await publish(embedded, 1, 3, qos)
      expect(await take(subscription, 3)).toEqual(numbers(1, 3))
    })

    for (const [limits, reason] of full)
      test(`under the broker's limits: ${reason}`, async () => {
        const embedded = await embed({ limits })
        const { broker, core } = embedded
        const subscription = broker.subscribe("t", { buffer: 1, qos })
        await publish(embedded, 1, 5, qos)
        expect(core.metrics.dropped[reason]).toBe(2)
        expect(await take(subscription, 3)).toEqual(numbers(1, 3))
      })

    for (const [limits, reason] of full)
      test(`and ends a subscription that is to end when it overflows: ${reason}`, async () => {
        const embedded = await embed({ limits })
        const { broker, core } = embedded
        const subscription = broker.subscribe("t", { buffer: 2, qos, overflow: "close" })
        await publish(embedded, 1, 4, qos)
        expect([core.inflightCount, core.router.subscriptionCount]).toEqual([2, 1])
        await publish(embedded, 5, 6, qos)
        await expect(subscription.closed).rejects.toMatchObject({ code: "OVERFLOW" })
        expect(core.metrics.dropped[reason]).toBe(1)
        expect([core.inflightCount, core.queueBytes, core.router.subscriptionCount]).toEqual([0, 0, 0])
        const got: string[] = []
        const reading = (async () => {
          for await (const message of subscription) got.push(message.text())
        })()
        await expect(reading).rejects.toMatchObject({ code: "OVERFLOW" })
        expect(got).toEqual(["1", "2"])
      })
  })

test("a subscription that overflows while its share group is served leaves nothing in the group", async () => {
  const embedded = await embed({ limits: { maximumQueuedMessages: 1 } })
  const { broker, core } = embedded
  const subscription = broker.subscribe(["t", "$share/g/t"], { qos: 1, buffer: 1, overflow: "close" })
  await publish(embedded, 1, 3, 1)
  await expect(subscription.closed).rejects.toMatchObject({ code: "OVERFLOW" })
  expect([core.router.subscriptionCount, core.inflightCount, core.queueBytes]).toEqual([0, 0, 0])
})

test("a buffer of 1,000 is what a subscription has that does not ask", async () => {
  const embedded = await embed()
  const subscription = embedded.broker.subscribe("t")
  await publish(embedded, 1, 1001)
  expect(embedded.core.metrics.dropped["backlog full"]).toBe(1)
  await embedded.broker.close({ timeoutMs: 1 })
  expect(await takeAll(subscription)).toEqual(numbers(2, 1001))
})

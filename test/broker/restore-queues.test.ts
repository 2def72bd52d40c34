/** Queues of sessions over a restart: order, whatever of a queue is in memory and whatever in the store, and bounds. */
import { describe, expect, test } from "bun:test"
import { Broker } from "../../src/broker/broker.ts"
import type { Store } from "../../src/broker/ports.ts"
import { memory } from "../../src/store/memory.ts"
import { coreOf } from "../listeners/socket.ts"
import { type ConnectFields, durable } from "../support/harness.ts"
import { Runs } from "../support/runs.ts"
import { microtasks } from "../support/store.ts"

/** As many as a queue keeps in memory. */
const HEAD = 1000

/** `first` to `last` as payloads. */
const numbers = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => String(first + i))
const window = (receiveMaximum: number): ConnectFields => ({
  clean: false,
  properties: { sessionExpiryInterval: 3600, receiveMaximum },
})

/** Runs with a session, away, that is subscribed to `t`. */
async function away(qos: 1 | 2 = 1, store?: Store): Promise<Runs> {
  const runs = new Runs({ maximumQueuedMessages: 100_000 }, store)
  const client = await runs.client("a")
  await runs.subscribe(client, "t", { qos })
  await runs.drop(client)
  return runs
}

/** A store that reads a page when it is asked for it, and gives it when the test says so. */
function withLatePages() {
  const store = memory()
  const asked: (() => void)[] = []
  const page: Store["page"] = async (owner, after, limit) => {
    const found = await store.page(owner, after, limit)
    await new Promise<void>((resolve) => asked.push(resolve))
    return found
  }
  const late: Store = {
    load: () => store.load(),
    commit: (changes) => store.commit(changes),
    page,
    close: () => store.close(),
  }
  const answer = async () => {
    for (const resolve of asked.splice(0)) resolve()
    await microtasks()
  }
  return { late, asked, answer }
}

/** Nothing is left of what was counted and stored. */
async function expectEmpty(runs: Runs): Promise<void> {
  const { core } = runs.harness
  expect([core.queueBytes, core.inflightCount]).toEqual([0, 0])
  for (const session of core.sessions.all()) expect([session.queuedCount, session.queuedBytes]).toEqual([0, 0])
  const stored = await runs.stored("inflight", "queue")
  expect(stored.filter((item) => item.kind !== "queue" || item.queue.count > 0)).toEqual([])
}

describe("the queue of a session comes in order and whole", () => {
  for (const qos of [1, 2] as const)
    for (const count of [1, HEAD - 1, HEAD, HEAD + 1, 2 * HEAD, 3 * HEAD + 7])
      test(`QoS ${qos}: ${count} messages, read anew after a restart`, async () => {
        const runs = await away(qos)
        await runs.publish("t", numbers(1, count), { qos })
        await runs.restart()
        expect(runs.harness.core.queueBytes).toBe(0) // nothing of it is in memory yet
        expect(runs.harness.core.sessions.get("a")!.queuedCount).toBe(count)
        expect(await runs.drain(await runs.resume("a"))).toEqual(numbers(1, count))
        await expectEmpty(runs)
      })

  test("without a restart: the head from memory, the rest from the store", async () => {
    const runs = await away()
    await runs.publish("t", numbers(1, 2 * HEAD + 500))
    const { core } = runs.harness
    expect(core.queueBytes).toBeGreaterThan(0)
    expect(core.queueBytes).toBeLessThan(core.sessions.get("a")!.queuedBytes / 2)
    expect(await runs.drain(await runs.resume("a"))).toEqual(numbers(1, 2 * HEAD + 500))
    await expectEmpty(runs)
  })

  test("what comes while all of it is still in the store goes behind it", async () => {
    const runs = await away()
    await runs.publish("t", numbers(1, HEAD + 500))
    await runs.restart()
    await runs.publish("t", numbers(HEAD + 501, HEAD + 600))
    await runs.restart()
    await runs.publish("t", numbers(HEAD + 601, 2 * HEAD))
    expect(await runs.drain(await runs.resume("a"))).toEqual(numbers(1, 2 * HEAD))
    await expectEmpty(runs)
  })

  test("drained in part, then restarted: what was in flight comes first", async () => {
    const runs = await away()
    await runs.publish("t", numbers(1, 2 * HEAD))
    const got: string[] = []
    for (const receiveMaximum of [700, 9, 600]) {
      await runs.restart()
      const client = await runs.resume("a", window(receiveMaximum))
      const packets = client.take()
      expect(packets).toHaveLength(receiveMaximum)
      for (const { messageId, payload } of packets.slice(0, -3)) {
        got.push(String(payload))
        client.ack("puback", messageId!)
      }
      await runs.settled()
    }
    await runs.restart()
    got.push(...(await runs.drain(await runs.resume("a"))))
    expect(got).toEqual(numbers(1, 2 * HEAD))
    await expectEmpty(runs)
  })

  test("each with the QoS, RETAIN and identifiers it was queued with", async () => {
    const runs = new Runs()
    const client = await runs.client("a")
    await runs.subscribe(client, "t", { qos: 2, rap: true, properties: { subscriptionIdentifier: 1 } })
    await runs.subscribe(client, "+", { qos: 1, properties: { subscriptionIdentifier: 2 } })
    await runs.drop(client)
    await runs.publish("t", "kept", { qos: 2, retain: true })
    await runs.publish("u", "x", { qos: 2 })
    await runs.restart()
    const packets = (await runs.resume("a")).take()
    expect(
      packets.map(({ qos, retain, dup, properties }) => [qos, retain, dup, properties.subscriptionIdentifier]),
    ).toEqual([
      [2, true, false, [1, 2]],
      [1, false, false, 2],
    ])
  })
})

describe("while a page of a queue is being read", () => {
  test("what comes meanwhile goes behind it, once", async () => {
    const { late, asked, answer } = withLatePages()
    const runs = await away(1, late)
    await runs.publish("t", numbers(1, HEAD + 200))
    await runs.restart()
    const client = await runs.resume("a")
    const got: string[] = []
    let last = HEAD + 200
    for (let pages = 0; asked.length > 0; pages++) {
      expect(pages).toBeLessThan(10)
      if (pages < 3) await runs.publish("t", numbers(last + 1, (last += 10)))
      expect(client.take()).toEqual([]) // it waits behind what is being read
      await answer()
      got.push(...(await runs.drain(client)))
    }
    expect(got).toEqual(numbers(1, last))
    await expectEmpty(runs)
  })

  test("a client that goes and comes again finds it whole", async () => {
    const { late, asked, answer } = withLatePages()
    const runs = await away(1, late)
    await runs.publish("t", numbers(1, 5))
    await runs.restart()
    await runs.drop(await runs.resume("a"))
    const again = await runs.resume("a")
    expect(asked).toHaveLength(1)
    await answer()
    expect(await runs.drain(again)).toEqual(numbers(1, 5))
  })

  test("a session that ends gets none of it, nor does the one that follows it", async () => {
    const { late, answer } = withLatePages()
    const runs = await away(1, late)
    await runs.publish("t", numbers(1, 5))
    await runs.restart()
    await runs.drop(await runs.resume("a"))
    const fresh = await runs.client("a", { ...durable(), clean: true })
    await answer()
    expect(fresh.take()).toEqual([])
    expect(runs.harness.core.queueBytes).toBe(0)
    expect(await runs.stored("inflight", "queue")).toEqual([])
  })
})

describe("the bounds of a queue", () => {
  test("are bytes on disk by default where there is a store: 1 GiB, and any number of messages", async () => {
    const limitsOf = async (options: ConstructorParameters<typeof Broker>[0]) => {
      await using broker = new Broker(options)
      const { maximumQueuedMessages, maximumQueuedBytes } = coreOf(broker).limits
      return [maximumQueuedMessages, maximumQueuedBytes]
    }
    expect(await limitsOf({ store: memory() })).toEqual([Number.MAX_SAFE_INTEGER, 1024 ** 3])
    expect(await limitsOf({})).toEqual([10_000, 64 * 1024 ** 2])
    const limits = { maximumQueuedMessages: 5, maximumQueuedBytes: 6 }
    expect(await limitsOf({ store: memory(), limits })).toEqual([5, 6])
  })

  test("count what is in the store: a restart makes no room, a drain does", async () => {
    const runs = await away()
    await runs.publish("t", numbers(1, 5))
    const { queuedBytes } = runs.harness.core.sessions.get("a")!
    for (const limits of [{ maximumQueuedMessages: 5 }, { maximumQueuedBytes: queuedBytes }]) {
      await runs.restart(0, limits)
      expect(runs.harness.core.sessions.get("a")!.queuedBytes).toBe(queuedBytes)
      await runs.publish("t", "too much")
      expect(runs.harness.core.metrics.dropped["queue full"]).toBe(1)
    }
    const client = await runs.resume("a")
    expect(await runs.drain(client)).toEqual(numbers(1, 5))
    await runs.drop(client)
    await runs.publish("t", numbers(5, 9))
    expect(await runs.drain(await runs.resume("a"))).toEqual(numbers(5, 9))
    await expectEmpty(runs)
  })

  test("a smaller one drops nothing of what is stored already", async () => {
    const runs = await away()
    await runs.publish("t", numbers(1, 5))
    await runs.restart(0, { maximumQueuedMessages: 2, maximumQueuedBytes: 1, maximumQueueMemoryBytes: 1 })
    expect(await runs.drain(await runs.resume("a"))).toEqual(numbers(1, 5))
    await expectEmpty(runs)
  })
})

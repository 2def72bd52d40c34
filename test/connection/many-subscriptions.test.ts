/** Clients with thousands of subscriptions, and filters with thousands of subscribers: nobody else waits while they come and go. */
import { describe, expect, test } from "bun:test"
import { durable, Harness, type TestClient } from "../support/harness.ts"
import { microtasks } from "../support/store.ts"
import { workOf } from "../support/work.ts"

const COUNT = 5000
const filters = Array.from({ length: COUNT }, (_, index) => `t/${index}`)

/** Lets the event loop turn until it is so; how often that was. */
async function turnsUntil(isSo: () => boolean): Promise<number> {
  for (let turns = 0; turns < 10_000; turns++) {
    if (isSo()) return turns
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
  throw new Error("it never is")
}

async function subscribed(harness: Harness, clientId: string, fields = {}, of = filters, qos: 0 | 1 = 1) {
  const client = harness.client(clientId, fields).subscribe(of, { qos })
  await turnsUntil(() => client.received.length > 0)
  client.take()
  return client
}

const unsubscribe = (client: TestClient, unsubscriptions: string[]) =>
  client.send({ cmd: "unsubscribe", messageId: 9, unsubscriptions })

describe("a session that ends with thousands of subscriptions", () => {
  test("leaves them in slices: others are served in between", async () => {
    const harness = new Harness()
    const client = await subscribed(harness, "a")
    client.drop()
    expect(harness.core.router.subscriptionCount).toBeGreaterThan(0)
    expect(harness.core.sessions.size).toBe(0)
    await turnsUntil(() => harness.core.router.subscriptionCount === 0)
  })

  test("gets nothing any more, and nothing waits for it", async () => {
    const harness = new Harness()
    for (const fields of [{}, durable()]) {
      const client = await subscribed(harness, "a", fields)
      client.disconnect(0, { sessionExpiryInterval: 0 })
      const publisher = harness.client("publisher")
      for (const qos of [0, 1, 2] as const) publisher.publish(`t/${COUNT - 1}`, "x", { qos })
      expect([harness.core.queueBytes, harness.core.inflightCount]).toEqual([0, 0])
      await turnsUntil(() => harness.core.router.subscriptionCount === 0)
      publisher.disconnect()
    }
    expect(harness.core.metrics.droppedTotal).toBe(0)
  })

  test("is none of those who come after it under its name", async () => {
    const harness = new Harness()
    const client = await subscribed(harness, "a", durable())
    client.drop()
    const again = harness.client("a").subscribe("t/4999", { qos: 1 })
    again.take()
    expect(harness.core.router.subscriptionCount).toBeGreaterThan(1)
    harness.client("publisher").publish("t/4999", "x", { qos: 1 })
    expect(again.messages()).toEqual(["t/4999 x"])
    await turnsUntil(() => harness.core.router.subscriptionCount === 1)
  })

  test("gives what its share groups had for it to their other members", async () => {
    const harness = new Harness()
    const shared = filters.map((filter) => `$share/g/${filter}`)
    const client = await subscribed(harness, "a", {}, shared)
    const last = `t/${COUNT - 1}`
    harness.client("publisher").publish(last, "x", { qos: 1 })
    const other = harness.client("b").subscribe(`$share/g/${last}`, { qos: 1 })
    other.take()
    client.drop()
    expect(other.messages()).toEqual([`${last} x`])
    harness.core.hooks.use({ onMessage: (message) => message.with({ allowClients: ["a", "b"] }) })
    harness.client("publisher").publish(last, "y", { qos: 1 })
    expect(other.messages()).toEqual([`${last} y`])
    await turnsUntil(() => harness.core.router.sharedCount === 1)
  })
})

describe("a client that reads nothing, and is to be sent what thousands of its filters retain", () => {
  const choked = (count: number, filtersPerPacket: number) => {
    const harness = new Harness({ limits: { maximumBacklogBytes: 1024 } })
    const publisher = harness.client("publisher")
    for (const topic of filters.slice(0, 4)) publisher.publish(topic, "x".repeat(700), { retain: true })
    const client = harness.client("a")
    client.capacity = 0
    for (let from = 0; from < count; from += filtersPerPacket) {
      client.subscribe(filters.slice(from, from + filtersPerPacket).map((filter) => `${filter}/#`))
    }
    return client
  }

  test("one filter more or less is as much work as with a few", () => {
    for (const act of [
      (client: TestClient) => client.subscribe("t/+"),
      (client: TestClient) => unsubscribe(client, [`${filters[40]}/#`]),
    ]) {
      const [few, many] = [50, 2000].map((count) => {
        const client = choked(count, 50)
        return workOf(() => act(client))
      })
      expect(many).toBe(few!)
    }
  })

  test("gets it in the order of the filters when it reads, of a filter that it gave up nothing", async () => {
    const client = choked(4, 1)
    unsubscribe(client, ["t/2/#"])
    client.drain()
    const topics = () => client.received.filter(({ cmd }) => cmd === "publish").map(({ topic }) => topic)
    await turnsUntil(() => topics().length === 3)
    expect(topics()).toEqual(["t/0", "t/1", "t/3"])
  })
})

describe("one packet with thousands of filters", () => {
  for (const [name, act, answer] of [
    ["SUBSCRIBE", (client: TestClient) => client.subscribe(filters), "suback"],
    ["UNSUBSCRIBE", (client: TestClient) => unsubscribe(client, filters), "unsuback"],
  ] as const)
    test(`${name}: is worked on in slices, and answered once, for each in its order`, async () => {
      const harness = new Harness({ limits: { maximumSubscriptionsPerClient: COUNT - 1 } })
      const client = harness.client("a")
      if (name === "UNSUBSCRIBE") {
        client.subscribe(filters.slice(0, -1))
        await turnsUntil(() => client.received.length > 0)
        client.take()
      }
      act(client)
      client.send({ cmd: "pingreq" })
      expect(client.received).toEqual([])
      expect(await turnsUntil(() => client.received.length > 0)).toBeGreaterThan(1)
      await microtasks()
      const [first, second] = client.take()
      expect([first?.cmd, second?.cmd]).toEqual([answer, "pingresp"])
      const reasons: number[] = first!.granted
      expect(reasons).toHaveLength(COUNT)
      expect([reasons[0], reasons.at(-1)]).toEqual(name === "SUBSCRIBE" ? [0, 0x97] : [0, 17])
    })

  test("is left where the client leaves meanwhile", async () => {
    const harness = new Harness()
    const client = harness.client("a").subscribe(filters)
    client.drop()
    await turnsUntil(() => harness.core.router.subscriptionCount === 0 && harness.core.sessions.size === 0)
  })
})

describe("a filter with thousands of subscribers", () => {
  const auth = { authenticate: () => true, authorize: () => true }
  const world = (size: number) => {
    const harness = new Harness({ auth })
    for (let i = 0; i < size; i++) harness.client(`s${i}`, durable()).subscribe("t/+", { qos: 1 }).take()
    return harness
  }

  test("one that leaves is as much work as among a few", () => {
    const [few, many] = [50, 3000]
      .map(world)
      .map(({ core }) => workOf(() => core.sessions.end(core.sessions.get("s7")!)))
    expect(many).toBe(few!)
  })

  test("one that comes back for what waits, and whose auth decides, is as much work as among a few", async () => {
    const works: number[] = []
    for (const harness of [50, 3000].map(world)) {
      harness.core.clients.get("s7")!.view.disconnect()
      const publisher = harness.client("publisher")
      publisher.publish("t/1", "x", { qos: 1 }).publish("t/2", "y", { qos: 1 })
      await turnsUntil(() => !publisher.isPaused) // until the first has been written to all
      works.push(workOf(() => expect(harness.resume("s7").messages()).toEqual(["t/1 x", "t/2 y"])))
    }
    const [few, many] = works
    expect(many).toBe(few!)
  })
})

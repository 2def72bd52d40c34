/** Share groups with members in the process: they take their turn with clients, and leave to others what they do not finish. */
import { describe, expect, test } from "bun:test"
import { Broker } from "../../../src/broker/broker.ts"
import { memory } from "../../../src/store/memory.ts"
import { ManualClock } from "../../../src/testing/clock.ts"
import { type Embedded, embed, take, takeAll } from "../../support/embedded.ts"
import { durable } from "../../support/harness.ts"
import { microtasks } from "../../support/store.ts"

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => String(from + i))

async function publish({ broker }: Embedded, from: number, to: number, qos: 0 | 1 | 2): Promise<void> {
  for (const payload of numbers(from, to)) await broker.publish("t", payload, { qos })
}

for (const qos of [0, 1, 2] as const)
  test(`members in the process and clients take turns, at QoS ${qos}`, async () => {
    const embedded = await embed()
    const { broker, client } = embedded
    const first = broker.subscribe("$share/g/t", { qos })
    const second = client("c").subscribe("$share/g/t", { qos })
    second.take()
    const handled: string[] = []
    broker.subscribe("$share/g/+", () => handled.push("another group"), { qos })
    broker.subscribe("$share/g/t", (message) => handled.push(message.text()), { qos })
    await publish(embedded, 1, 6, qos)
    expect(await take(first, 2)).toEqual(["1", "4"])
    expect(second.messages()).toEqual(["t 2", "t 5"])
    await microtasks()
    expect(handled.filter((text) => text !== "another group")).toEqual(["3", "6"])
    expect(handled.length).toBe(2 + 6)
  })

test("a share has no retained messages", async () => {
  const { broker } = await embed()
  await broker.publish("t", "retained", { retain: true })
  const subscription = broker.subscribe("$share/g/t")
  await broker.publish("t", "live")
  expect(await take(subscription, 1)).toEqual(["live"])
})

test("a message comes through a share and through another filter: two subscriptions, twice", async () => {
  const embedded = await embed()
  const subscription = embedded.broker.subscribe(["$share/g/t", "t"])
  await publish(embedded, 1, 1, 0)
  expect(await take(subscription, 2)).toEqual(["1", "1"])
})

for (const qos of [0, 1] as const)
  test(`a member whose buffer is full is passed over, at QoS ${qos}`, async () => {
    const embedded = await embed()
    const { broker, client, core } = embedded
    const full = broker.subscribe("$share/g/t", { qos, buffer: 1 })
    const other = client("c").subscribe("$share/g/t", { qos })
    other.take()
    await publish(embedded, 1, 4, qos)
    expect(other.messages()).toEqual(["t 2", "t 3", "t 4"])
    expect(await take(full, 1)).toEqual(["1"])
    await publish(embedded, 5, 5, qos)
    expect(await take(full, 1)).toEqual(["5"])
    expect(core.metrics.droppedTotal).toBe(0)
  })

test("what no member has room for waits, and goes to whoever takes or comes first", async () => {
  const embedded = await embed()
  const { broker, core } = embedded
  const first = broker.subscribe("$share/g/t", { qos: 1, buffer: 1 })
  await publish(embedded, 1, 5, 1)
  expect(core.inflightCount).toBe(1)
  const second = broker.subscribe("$share/g/t", { qos: 1, buffer: 2 })
  expect(await take(second, 2)).toEqual(["2", "3"])
  expect(await take(first, 1)).toEqual(["1"])
  second.close()
  expect(await take(first, 2)).toEqual(["4", "5"])
  expect([core.inflightCount, core.queueBytes]).toEqual([0, 0])
})

test("what a member has not taken when it ends goes to the others, at QoS 1 and in order", async () => {
  const embedded = await embed()
  const { broker, client, core } = embedded
  const leaving = broker.subscribe("$share/g/t", { qos: 1 })
  await publish(embedded, 1, 3, 1)
  await publish(embedded, 4, 4, 0)
  const staying = client("c").subscribe("$share/g/t", { qos: 1 })
  staying.take()
  leaving.close()
  await microtasks()
  expect(staying.messages()).toEqual(["t 1", "t 2", "t 3"])
  expect(await takeAll(leaving)).toEqual([])
  const local = broker.subscribe("$share/g/t", { qos: 1 })
  staying.drop()
  expect(await take(local, 3)).toEqual(["1", "2", "3"])
  expect([core.inflightCount, core.queueBytes]).toEqual([0, 0])
})

describe("with a store and a member that survives", () => {
  /** A broker whose group has a client that is away and a subscription of its own, with three messages for that. */
  async function begin(qos: 1 | 2) {
    const store = memory()
    const embedded = await embed({ store })
    const client = embedded.client("c", durable()).subscribe("$share/g/t", { qos })
    await microtasks()
    client.drop()
    const subscription = embedded.broker.subscribe(["$share/g/t", "u"], { qos })
    await publish(embedded, 1, 1, qos)
    await embedded.broker.publish("u", "its own", { qos })
    await publish(embedded, 2, 3, qos)
    return { ...embedded, store, subscription }
  }

  test("what it has not taken when the broker closes comes to the others with the next run, and not to it", async () => {
    const { broker, store, subscription } = await begin(1)
    expect(await take(subscription, 1)).toEqual(["1"])
    await broker.close({ timeoutMs: 1 })
    expect(await takeAll(subscription)).toEqual(["its own"])
    const next = await embed({ store })
    const client = next.client("c", durable())
    await microtasks()
    expect(client.messages()).toEqual(["t 2", "t 3"])
  })

  test("at QoS 2 it stays with it: nobody gets it twice", async () => {
    const { broker, store, subscription } = await begin(2)
    await broker.close({ timeoutMs: 1 })
    expect(await takeAll(subscription)).toEqual(["1", "its own", "2", "3"])
    const next = await embed({ store })
    const client = next.client("c", durable())
    await microtasks()
    expect(client.take()).toMatchObject([{ cmd: "connack", sessionPresent: true }])
  })

  test("what waited for the group in the last run comes to it, if it subscribes before anybody else", async () => {
    const { broker, store, subscription } = await begin(1)
    subscription.close()
    await broker.close({ timeoutMs: 1 })
    await using next = new Broker({ store, clock: new ManualClock() })
    expect(await take(next.subscribe("$share/g/t", { qos: 1 }), 3)).toEqual(["1", "2", "3"])
  })
})

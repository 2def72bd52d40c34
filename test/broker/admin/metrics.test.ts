/** The figures of `broker.admin.metrics`. */
import { describe, expect, test } from "bun:test"
import { Histogram } from "../../../src/broker/histogram.ts"
import { memory } from "../../../src/store/memory.ts"
import { embed } from "../../support/embedded.ts"
import { durable } from "../../support/harness.ts"
import { LateStore, microtasks } from "../../support/store.ts"

describe("messages and their payloads", () => {
  test("are counted by QoS, in both directions", async () => {
    const { broker, client } = await embed()
    const publisher = client("publisher")
    client("subscriber").subscribe("#", { qos: 2 })
    client("modest").subscribe("#", { qos: 0 })
    for (const [qos, count] of [
      [0, 3],
      [1, 2],
      [2, 1],
    ] as const) {
      for (let n = 0; n < count; n++) publisher.publish("t", "12345", { qos })
    }
    expect(await broker.admin.metrics()).toMatchObject({
      messagesReceived: [3, 2, 1],
      payloadBytesReceived: [15, 10, 5],
      messagesSent: [3 + 6, 2, 1],
      payloadBytesSent: [15 + 30, 10, 5],
    })
  })

  test("are counted by QoS where a receiver's packets are its own, too", async () => {
    const { broker, client } = await embed()
    client("subscriber").subscribe("#", { qos: 2, properties: { subscriptionIdentifier: 3 } })
    client("publisher").publish("t", "123", { qos: 1 }).publish("t", "1", { qos: 2 }).publish("t", "")
    const { messagesSent, payloadBytesSent } = await broker.admin.metrics()
    expect([messagesSent, payloadBytesSent]).toEqual([
      [1, 1, 1],
      [0, 3, 1],
    ])
  })

  test("are those of this run: what an earlier one has counted is not among them", async () => {
    const store = memory()
    const first = await embed({ store })
    const publisher = first.client("publisher")
    await microtasks()
    publisher.publish("t", "x").publish("t", "x", { qos: 1 })
    publisher.drop()
    await first.broker.close()
    const { broker, core } = await embed({ store })
    expect(core.metrics.publishReceived).toBe(2)
    const { messagesReceived, payloadBytesReceived, packetsReceived, bytesReceived } = await broker.admin.metrics()
    expect([messagesReceived, payloadBytesReceived, packetsReceived, bytesReceived]).toEqual([
      [0, 0, 0],
      [0, 0, 0],
      0,
      0,
    ])
  })
})

test("gauges are how things are", async () => {
  const { broker, client } = await embed()
  client("a", durable()).subscribe(["t", "$share/g/u"], { qos: 1 }).drop()
  client("b").subscribe("t", { qos: 1 })
  await broker.publish("t", "x", { qos: 1, retain: true })
  expect(await broker.admin.metrics()).toMatchObject({
    ...{ connections: 1, clients: 1, sessions: 2, subscriptions: 3, sharedSubscriptions: 1, retainedMessages: 1 },
    ...{ inflightMessages: 1, queuedMessages: 1, store: undefined },
  })
  const { queuedBytes, memory, startedAt, time } = await broker.admin.metrics()
  expect(queuedBytes).toBeGreaterThan(0)
  expect(memory.residentBytes).toBeGreaterThan(1_000_000)
  expect(time).toBeGreaterThanOrEqual(startedAt)
})

test("who is not who they say they are is counted, and nobody else", async () => {
  const { broker, core, client } = await embed()
  const { authFailures } = await broker.admin.metrics()
  expect(authFailures).toBe(0)
  broker.use({ onAuthenticate: ({ username }) => (username === "mallory" ? false : undefined) })
  client("a", { username: "mallory" })
  client("b", { username: "bob" })
  expect((await broker.admin.metrics()).authFailures).toBe(1)
  expect(core.metrics.connectsRefused).toBe(1)
})

describe("with a store", () => {
  test("commits are counted and timed", async () => {
    const store = new LateStore()
    const { broker } = await embed({ store })
    const published = broker.publish("t", "x", { qos: 1, retain: true })
    await microtasks()
    expect((await broker.admin.metrics()).store).toMatchObject({ isReady: true, commits: 0, commitTimes: { count: 0 } })
    expect((await broker.admin.metrics()).store!.unstoredBytes).toBeGreaterThan(0)
    await store.commitAll()
    await published
    const { store: after } = await broker.admin.metrics()
    expect(after).toMatchObject({ isReady: true, commits: 1, failures: 0, unstoredBytes: 0, commitTimes: { count: 1 } })
    expect(after!.commitTimes.sumSeconds).toBeGreaterThan(0)
  })

  test("one that fails is told, and its commit takes until it is done", async () => {
    const store = new LateStore()
    const { broker, clock } = await embed({ store })
    const published = broker.publish("t", "x", { qos: 1, retain: true })
    await microtasks()
    store.pending.shift()!.reject(new Error("disk full"))
    await microtasks()
    expect((await broker.admin.metrics()).store).toMatchObject({
      isReady: false,
      failures: 1,
      commitTimes: { count: 0 },
    })
    clock.advance(1)
    await store.commitAll()
    await published
    expect((await broker.admin.metrics()).store).toMatchObject({ isReady: true, commits: 1, commitTimes: { count: 1 } })
  })
})

describe("the event loop's lag", () => {
  test("is looked at once a second or more while anything is timed, a keep-alive say, and never else", async () => {
    const { broker, clock, client } = await embed()
    clock.advance(10)
    expect((await broker.admin.metrics()).eventLoopLag.count).toBe(0)
    client("a", { keepalive: 60 })
    clock.advance(10)
    const { eventLoopLag } = await broker.admin.metrics()
    expect(eventLoopLag.count).toBe(10)
    expect(eventLoopLag.buckets[0]).toEqual({ atMostSeconds: 0.001, count: 10 })
  })
})

describe("a histogram", () => {
  test("counts what is at most as long as each bound, what is beyond the last, and the sum", () => {
    const histogram = new Histogram([0.1, 0.5, 1])
    for (const seconds of [0, 0.1, 0.11, 0.5, 0.9, 2]) histogram.observe(seconds)
    const { buckets, count, sumSeconds } = histogram.snapshot()
    expect(buckets).toEqual([
      { atMostSeconds: 0.1, count: 2 },
      { atMostSeconds: 0.5, count: 4 },
      { atMostSeconds: 1, count: 5 },
    ])
    expect(count).toBe(6)
    expect(sumSeconds).toBeCloseTo(3.61, 10)
  })
})

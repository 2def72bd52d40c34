/**
 * Share groups over a restart: what waited for a group, what its members had in flight, and what a member that does not
 * survive had on loan. MQTT 5 §4.8.2
 */
import { describe, expect, test } from "bun:test"
import { type ConnectFields, durable, type TestClient } from "../support/harness.ts"
import { Runs } from "../support/runs.ts"

const FILTER = "$share/g/t"
/** As many as the broker reads of a group's queue at once. */
const PAGE = 1000

const numbers = (count: number) => Array.from({ length: count }, (_, i) => String(i + 1))
const lasting = (sessionExpiryInterval: number, receiveMaximum = 65_535): ConnectFields => ({
  clean: false,
  properties: { sessionExpiryInterval, receiveMaximum },
})
/** A client whose session ends with its connection. */
const passing = lasting(0)

/** A member that is connected. */
async function member(runs: Runs, clientId: string, fields: ConnectFields = durable(), qos: 0 | 1 | 2 = 1) {
  const client = await runs.client(clientId, fields)
  await runs.subscribe(client, FILTER, { qos })
  return client
}

/** A member that is away. */
async function absent(runs: Runs, clientId: string, fields: ConnectFields = durable(), qos: 0 | 1 | 2 = 1) {
  await runs.drop(await member(runs, clientId, fields, qos))
}

const told = (client: TestClient) =>
  client.take().map(({ payload, messageId, qos, dup }) => `${payload} ${messageId} q${qos}${dup ? " dup" : ""}`)

/** What waits in the store for the group. */
async function waiting(runs: Runs): Promise<string[]> {
  await runs.settled()
  const page = await runs.store.page(FILTER, Number.MIN_SAFE_INTEGER, 10_000)
  return page.map(({ message }) => Buffer.from(message!.payload).toString())
}

describe("what waits for a share group", () => {
  for (const qos of [1, 2] as const)
    test(`QoS ${qos}: is there for whichever member comes, in order`, async () => {
      const runs = new Runs()
      for (const id of ["a", "b"]) await absent(runs, id, durable(), qos)
      await runs.publish("t", numbers(5), { qos })
      await runs.restart()
      expect(await runs.drain(await runs.resume("b"))).toEqual(numbers(5))
      expect(await runs.drain(await runs.resume("a"))).toEqual([])
      expect(await waiting(runs)).toEqual([])
      expect([runs.harness.core.queueBytes, runs.harness.core.inflightCount]).toEqual([0, 0])
    })

  test("is whole, however long, and what comes later goes behind it", async () => {
    const runs = new Runs()
    await absent(runs, "a")
    const all = numbers(2 * PAGE + 10)
    await runs.publish("t", all.slice(0, -5))
    await runs.restart()
    await runs.publish("t", all.slice(-5))
    await runs.restart()
    expect(await runs.drain(await runs.resume("a"))).toEqual(all)
    expect(await waiting(runs)).toEqual([])
  })

  test("is shared by those who come, each taking what its window lets it", async () => {
    const runs = new Runs()
    for (const id of ["a", "b"]) await absent(runs, id, lasting(3600, 2))
    await runs.publish("t", numbers(5))
    await runs.restart()
    expect((await runs.resume("a", lasting(3600, 2))).messages()).toEqual(["t 1", "t 2"])
    expect((await runs.resume("b", lasting(3600, 2))).messages()).toEqual(["t 3", "t 4"])
    expect(await waiting(runs)).toEqual(["5"])
  })

  test("has the bounds that it had", async () => {
    const runs = new Runs({ maximumQueuedMessages: 3 })
    await absent(runs, "a")
    await runs.publish("t", numbers(3))
    await runs.restart()
    await runs.publish("t", "too much")
    expect(runs.harness.core.metrics.dropped["queue full"]).toBe(1)
    expect(await runs.drain(await runs.resume("a"))).toEqual(numbers(3))
    expect(runs.harness.core.queueBytes).toBe(0)
  })

  test("goes with the last member: its session expired while the broker was down", async () => {
    const runs = new Runs()
    await absent(runs, "a", lasting(100))
    await runs.publish("t", numbers(3))
    await runs.restart(200)
    await runs.moment()
    expect(await waiting(runs)).toEqual([])
    expect(runs.harness.core.queueBytes).toBe(0)
    const client = await member(runs, "a")
    expect(client.take()).toEqual([])
    await runs.publish("t", "new")
    expect(told(client)).toEqual(["new 1 q1"])
  })

  test("goes where a smaller limit allows nobody the filter any more", async () => {
    const runs = new Runs()
    const filter = "$share/g/t/#"
    const client = await runs.client("a")
    await runs.subscribe(client, filter, { qos: 1 })
    await runs.drop(client)
    await runs.publish("t", numbers(3))
    await runs.restart(0, { maximumTopicLevels: 1 })
    await runs.restart(0, {})
    expect(await runs.store.page(filter, Number.MIN_SAFE_INTEGER, 10)).toEqual([])
    expect((await runs.resume("a")).take()).toEqual([])
    expect(runs.harness.core.queueBytes).toBe(0)
  })

  test("is not stored for members none of whom survives", async () => {
    const runs = new Runs()
    await member(runs, "a", lasting(0, 1))
    await runs.publish("t", numbers(3))
    expect(await runs.stored("queue", "inflight")).toEqual([])
  })
})

describe("what a member that survives has in flight", () => {
  test("is its own after the restart, not the others'", async () => {
    const runs = new Runs()
    await member(runs, "a")
    await runs.publish("t", numbers(2))
    await absent(runs, "b")
    await runs.restart()
    expect((await runs.resume("b")).take()).toEqual([])
    expect(told(await runs.resume("a"))).toEqual(["1 1 q1 dup", "2 2 q1 dup"])
  })

  for (const [qos, moves] of [
    [1, ["1", "2"]],
    [2, []],
  ] as const)
    test(`goes to the others when its session ends: at QoS ${qos} ${moves.length > 0 ? "all" : "nothing [MQTT-4.8.2-5]"}`, async () => {
      const runs = new Runs()
      await member(runs, "a", lasting(100), qos)
      await runs.publish("t", numbers(2), { qos })
      await absent(runs, "b", durable(), qos)
      await runs.restart()
      await runs.pass(101)
      expect(await waiting(runs)).toEqual([...moves])
      await runs.restart()
      expect(await runs.drain(await runs.resume("b"))).toEqual([...moves])
      expect(await waiting(runs)).toEqual([])
      expect(await runs.stored("inflight")).toEqual([])
    })

  test("what it gives back goes before what waits, over a restart too", async () => {
    const runs = new Runs()
    await absent(runs, "b")
    await member(runs, "a", lasting(100, 2))
    await runs.publish("t", numbers(5))
    await runs.restart()
    await runs.pass(101)
    await runs.restart()
    await runs.publish("t", "6")
    expect(await runs.drain(await runs.resume("b"))).toEqual(numbers(6))
  })

  test("what several give back, one run after the other, is all there", async () => {
    const runs = new Runs()
    await absent(runs, "b")
    await member(runs, "a1", lasting(50, 1))
    await member(runs, "a2", lasting(100, 1))
    await runs.publish("t", numbers(3))
    await runs.restart()
    await runs.pass(51)
    expect(await waiting(runs)).toEqual(["1", "3"])
    await runs.restart()
    await runs.pass(101)
    expect(await waiting(runs)).toEqual(["2", "1", "3"]) // the last that was given back is the first
    await runs.restart()
    expect(await runs.drain(await runs.resume("b"))).toEqual(["2", "1", "3"])
    expect(await waiting(runs)).toEqual([])
  })

  test("is the same message to the store that waited for the group", async () => {
    const runs = new Runs()
    await absent(runs, "a")
    await runs.publish("t", "1")
    await runs.resume("a")
    const [item] = await runs.stored("inflight")
    expect(item).toMatchObject({ delivery: { group: FILTER, message: { id: 1 } } })
  })
})

describe("what a member that does not survive has in flight is on loan", () => {
  test("and comes back to the group, in its place, before what waits", async () => {
    const runs = new Runs()
    await absent(runs, "a")
    const borrower = await member(runs, "b", lasting(0, 2))
    await runs.publish("t", numbers(4))
    expect(borrower.messages()).toEqual(["t 1", "t 2"])
    await runs.restart()
    expect(told(await runs.resume("a"))).toEqual(["1 1 q1", "2 2 q1", "3 3 q1", "4 4 q1"])
  })

  test("also what it took from the queue", async () => {
    const runs = new Runs()
    await absent(runs, "a")
    await runs.publish("t", numbers(3))
    const borrower = await member(runs, "b", lasting(0, 2))
    expect(await waiting(runs)).toEqual(numbers(3))
    borrower.ack("puback", 1)
    expect(await waiting(runs)).toEqual(["2", "3"])
    await runs.restart()
    expect(told(await runs.resume("a"))).toEqual(["2 1 q1", "3 2 q1"])
  })

  test("unless it has acknowledged it", async () => {
    const runs = new Runs()
    await absent(runs, "a")
    const borrower = await member(runs, "b", passing)
    await runs.publish("t", numbers(3))
    for (const messageId of [1, 3]) borrower.ack("puback", messageId)
    await runs.restart()
    expect(told(await runs.resume("a"))).toEqual(["2 1 q1"])
  })

  test("[MQTT-4.8.2-5] at QoS 2 it is lost with the session, what it took from the queue too", async () => {
    const runs = new Runs()
    await absent(runs, "a", durable(), 2)
    await runs.publish("t", "1", { qos: 2 })
    await member(runs, "b", passing, 2)
    await runs.publish("t", "2", { qos: 2 })
    expect(await waiting(runs)).toEqual([])
    await runs.restart()
    expect((await runs.resume("a")).take()).toEqual([])
  })

  test("given back before the crash, it is there once", async () => {
    const runs = new Runs()
    await absent(runs, "a")
    const borrower = await member(runs, "b", lasting(0, 2))
    await runs.publish("t", numbers(4))
    borrower.ack("puback", 1)
    await runs.drop(borrower)
    expect(await waiting(runs)).toEqual(["2", "3", "4"])
    await runs.restart()
    expect(await runs.drain(await runs.resume("a"))).toEqual(["2", "3", "4"])
    expect(await waiting(runs)).toEqual([])
  })

  test("lent anew after a restart, whatever was lent before", async () => {
    const runs = new Runs()
    await absent(runs, "a")
    for (const published of [1, 2, 3]) {
      const borrower = await runs.client("b", passing)
      const [, ...lent] = await runs.subscribe(borrower, FILTER, { qos: 1 })
      await runs.publish("t", String(published))
      lent.push(...borrower.take())
      expect(lent.map(({ payload }) => String(payload))).toEqual(numbers(published))
      await runs.restart()
    }
    expect(await runs.drain(await runs.resume("a"))).toEqual(numbers(3))
    expect(await waiting(runs)).toEqual([])
  })
})

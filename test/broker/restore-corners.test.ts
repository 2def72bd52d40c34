/** Restores that are not the first, or come with other limits: what several starts in a row make of sessions and wills. */
import { expect, test } from "bun:test"
import type { Store } from "../../src/broker/ports.ts"
import { StoreDatabase } from "../../src/store/sqlite/database.ts"
import { type ConnectFields, Harness } from "../support/harness.ts"
import { Runs } from "../support/runs.ts"

const lasting = (sessionExpiryInterval: number): ConnectFields => ({
  clean: false,
  properties: { sessionExpiryInterval },
})
const delayed = (willDelayInterval: number): ConnectFields => ({
  will: { topic: "will", payload: Buffer.from("bye"), qos: 1, retain: false, properties: { willDelayInterval } },
})
const hasSession = (runs: Runs) => runs.harness.core.sessions.get("a") !== undefined
/** The SQLite store without its thread. */
const sqliteInProcess = (database: StoreDatabase): Store => ({
  load: async function* () {
    yield* database.load()
  },
  commit: async (changes) => database.commit(changes),
  page: async (...asked) => database.page(...asked),
  close: async () => database.close(),
})

test("the expiry counts from the disconnect, not from the publication of the will", async () => {
  const runs = new Runs()
  await runs.drop(await runs.client("a", { ...lasting(100), ...delayed(60) }))
  await runs.pass(61)
  await runs.restart(40)
  await runs.moment()
  expect(hasSession(runs)).toBe(false)
})

test("nor from a restart after which the will was due", async () => {
  const runs = new Runs()
  await runs.drop(await runs.client("a", { ...lasting(100), ...delayed(10) }))
  await runs.restart(50)
  await runs.moment()
  await runs.restart(50)
  await runs.moment()
  expect(hasSession(runs)).toBe(false)
})

test("of a client connected at the crash the expiry begins with the first restart, not with each", async () => {
  const runs = new Runs()
  await runs.client("a", lasting(100))
  for (let run = 0; run < 3; run++) await runs.restart(60)
  await runs.moment()
  expect(hasSession(runs)).toBe(false)
})

test("so does the delay of its will", async () => {
  const runs = new Runs()
  await runs.subscribe(await runs.client("witness"), "will", { qos: 1 })
  await runs.client("a", { ...lasting(1000), ...delayed(60) })
  await runs.restart()
  await runs.pass(40)
  await runs.restart()
  await runs.pass(40)
  expect((await runs.resume("witness")).messages()).toEqual(["will bye"])
})

async function resumedToEnd(runs: Runs) {
  const client = await runs.client("a", lasting(100))
  await runs.subscribe(client, "t", { qos: 1 })
  await runs.drop(client)
  await runs.publish("t", ["1", "2"])
  await runs.resume("a", { ...lasting(0), ...delayed(0) })
}

test("a session that was to end with its connection is gone from the store after a crash", async () => {
  const runs = new Runs()
  await resumedToEnd(runs)
  await runs.restart()
  await runs.moment()
  expect(hasSession(runs)).toBe(false)
  expect(await runs.stored("session", "subscribed", "inflight")).toEqual([])
})

test("and its will is published once, not at every start", async () => {
  const runs = new Runs()
  await runs.subscribe(await runs.client("witness"), "will", { qos: 1 })
  await resumedToEnd(runs)
  for (let run = 0; run < 3; run++) {
    await runs.restart()
    await runs.moment()
  }
  expect((await runs.resume("witness")).messages()).toEqual(["will bye"])
})

test("a client that comes back at once keeps what it is acknowledged", async () => {
  const runs = new Runs()
  await resumedToEnd(runs)
  await runs.restart()
  const client = runs.harness.connect({ clientId: "a", ...lasting(100) })
  await runs.subscribe(client, "u", { qos: 1 })
  await runs.drop(client)
  await runs.restart()
  await runs.moment()
  const again = runs.harness.connect({ clientId: "a", ...lasting(100) })
  await runs.settled()
  await runs.publish("u", "x")
  expect(again.messages()).toContain("u x")
})

test("its name may be used again: messages are the new session's, whole", async () => {
  const runs = new Runs({}, sqliteInProcess(new StoreDatabase(":memory:", "process")))
  await resumedToEnd(runs)
  await runs.restart()
  await runs.moment()
  const client = runs.harness.connect({ clientId: "a", ...lasting(100) })
  await runs.settled()
  await runs.subscribe(client, "t", { qos: 2, properties: { subscriptionIdentifier: 7 } })
  await runs.drop(client)
  await runs.publish("t", "new", { qos: 2 })
  await runs.restart()
  const packets = (await runs.resume("a", lasting(100))).take()
  expect(
    packets.map(({ payload, qos, properties }) => [`${payload}`, qos as number, properties?.subscriptionIdentifier]),
  ).toEqual([["new", 2, 7]])
})

test("a session that expired while the broker was down is not found by a client that comes at once", async () => {
  const runs = new Runs()
  await runs.subscribe(await runs.client("witness"), "will", { qos: 1 })
  await runs.drop(await runs.client("a", { ...lasting(100), ...delayed(50) }))
  await runs.restart(1000)
  await runs.client("a", lasting(100)) // throws if the session is present
  expect((await runs.resume("witness")).messages()).toEqual(["will bye"])
})

test("what a share group was left before a limit became smaller is delivered all the same", async () => {
  const runs = new Runs({}, sqliteInProcess(new StoreDatabase(":memory:", "process")))
  const client = await runs.client("a")
  await runs.subscribe(client, "$share/g/#", { qos: 1, rap: true })
  await runs.drop(client)
  await runs.publish("t", "1")
  await runs.publish("t/2/3", ["2", "3"])
  await runs.restart(0, { maximumTopicLevels: 2 })
  await runs.publish("t", "4")
  expect(await runs.drain(await runs.resume("a"))).toEqual(["1", "2", "3", "4"])
})

test("so is what waits for a session, and nothing is left", async () => {
  const runs = new Runs()
  const client = await runs.client("a")
  await runs.subscribe(client, "#", { qos: 1 })
  await runs.drop(client)
  await runs.publish("t/2/3", "2")
  await runs.publish("t", "1")
  await runs.restart(0, { maximumTopicLevels: 2 })
  expect(await runs.drain(await runs.resume("a"))).toEqual(["2", "1"])
  const session = runs.harness.core.sessions.get("a")!
  expect([session.queuedCount, session.queuedBytes]).toEqual([0, 0])
  expect(await runs.store.page("a", 0, 10)).toEqual([])
})

test("so is what is in flight, under its packet id, which nobody else gets", async () => {
  const runs = new Runs()
  const client = await runs.client("a")
  await runs.subscribe(client, "#", { qos: 1 })
  await runs.publish("t/2/3", "2")
  await runs.restart(0, { maximumTopicLevels: 2 })
  const resumed = await runs.resume("a")
  await runs.publish("t", "1")
  expect(resumed.take().map(({ messageId, payload }) => [messageId, String(payload)])).toEqual([
    [1, "2"],
    [2, "1"],
  ])
  await runs.restart(0, {})
  expect((await runs.resume("a")).messages()).toEqual(["t/2/3 2", "t 1"])
})

for (const level of [3, 4, 5] as const)
  test(`level ${level}: no client may be called like a share group, whose messages are kept under that name`, () => {
    const client = new Harness().connect({ clientId: "$share/g/t", level })
    const [connack] = client.take()
    expect([connack!.reasonCode ?? connack!.returnCode, client.isClosed]).toEqual([level === 5 ? 0x85 : 2, true])
  })

/**
 * Time goes on while the broker is down: when a session ends, when a will is due, when a message expires. Whoever was
 * connected when the broker crashed has lost its connection at the restart.
 */
import { describe, expect, test } from "bun:test"
import { type ConnectFields, durable } from "../support/harness.ts"
import { Runs } from "../support/runs.ts"

type Will = NonNullable<ConnectFields["will"]>

const lasting = (sessionExpiryInterval: number): ConnectFields => ({
  clean: false,
  properties: { sessionExpiryInterval },
})
const will = (fields: Partial<Will> = {}): { will: Will } => ({
  will: { topic: "will", payload: Buffer.from("bye"), qos: 1, retain: false, ...fields },
})
const delayed = (willDelayInterval: number, fields: Partial<Will> = {}) =>
  will({ properties: { willDelayInterval }, ...fields })
const hasSession = (runs: Runs, clientId: string) => runs.harness.core.sessions.get(clientId) !== undefined

describe("the session expiry", () => {
  test("is counted from the disconnect, before, while and after the broker is down", async () => {
    const runs = new Runs()
    await runs.drop(await runs.client("a", lasting(100)))
    await runs.pass(30)
    await runs.restart(30)
    await runs.pass(20)
    await runs.restart(10)
    await runs.pass(9.5)
    expect(hasSession(runs, "a")).toBe(true)
    await runs.pass(1)
    expect(hasSession(runs, "a")).toBe(false)
    expect(runs.harness.core.metrics.sessionsExpired).toBe(1)
  })

  test("that passes while the broker is down ends the session: nothing of it is left", async () => {
    const runs = new Runs()
    const client = await runs.client("a", lasting(100))
    await runs.subscribe(client, ["t", "$share/g/t"], { qos: 1 })
    await runs.publish("t", "in flight")
    client.publish("u", "x", { qos: 2 })
    await runs.drop(client)
    await runs.publish("t", "queued")
    await runs.restart(101)
    await runs.moment()
    expect(runs.harness.core.sessions.size).toBe(0)
    expect(runs.harness.core.router.subscriptionCount).toBe(0)
    expect([runs.harness.core.queueBytes, runs.harness.core.inflightCount]).toEqual([0, 0])
    expect(await runs.stored("session", "subscribed", "received", "inflight")).toEqual([])
    await runs.restart()
    expect((await runs.client("a", lasting(100))).take()).toEqual([])
  })

  test("of a client that was connected at the crash begins with the restart, however long the broker was down", async () => {
    const runs = new Runs()
    await runs.client("a", lasting(100))
    await runs.restart(1000)
    await runs.pass(99.5)
    expect(hasSession(runs, "a")).toBe(true)
    await runs.pass(1)
    expect(hasSession(runs, "a")).toBe(false)
  })

  test("that DISCONNECT changes is the one that counts", async () => {
    const runs = new Runs()
    const client = await runs.client("a", lasting(10))
    client.disconnect(0, { sessionExpiryInterval: 100 })
    await runs.restart(50)
    await runs.moment()
    expect(hasSession(runs, "a")).toBe(true)
    await runs.pass(50)
    expect(hasSession(runs, "a")).toBe(false)
  })

  test("that a later connection asked for is the one that counts", async () => {
    const runs = new Runs()
    await runs.drop(await runs.client("a", lasting(1000)))
    await runs.drop(await runs.resume("a", lasting(10)))
    await runs.restart(11)
    await runs.moment()
    expect(hasSession(runs, "a")).toBe(false)
  })

  test("begins anew with each connection", async () => {
    const runs = new Runs()
    await runs.drop(await runs.client("a", lasting(100)))
    await runs.restart(60)
    await runs.drop(await runs.resume("a", lasting(100)))
    await runs.restart(60)
    await runs.moment()
    expect(hasSession(runs, "a")).toBe(true)
  })

  for (const [what, fields] of [
    ["level 3 with clean session 0", durable(3)],
    ["level 4 with clean session 0", durable(4)],
    ["level 5 with 0xFFFFFFFF", lasting(0xffff_ffff)],
  ] as const)
    test(`is never for ${what}`, async () => {
      const runs = new Runs()
      await runs.drop(await runs.client("a", fields))
      await runs.restart(200 * 365 * 86_400)
      await runs.moment()
      await runs.resume("a", fields)
    })
})

describe("the will of a client that was connected at the crash", () => {
  for (const level of [3, 4, 5] as const)
    test(`level ${level}: is published at the restart, once, with all that it carries`, async () => {
      const runs = new Runs()
      await runs.subscribe(await runs.client("witness"), "will", { qos: 2 })
      const payload = Buffer.from([0, 255])
      const properties =
        level === 5
          ? {
              contentType: "c",
              responseTopic: "r",
              correlationData: payload,
              userProperties: { b: "1", a: ["2", "3"] },
            }
          : undefined
      const carried = properties === undefined ? {} : { properties }
      await runs.client("a", { ...durable(level), ...will({ qos: 2, payload, retain: true, ...carried }) })
      await runs.restart(10)
      const witness = await runs.resume("witness")
      expect(witness.take()).toMatchObject([{ topic: "will", qos: 2, payload, dup: false, ...carried }])
      witness.ack("pubrec", 1)
      await runs.drain(witness)
      await runs.restart(10)
      expect((await runs.resume("witness")).take()).toEqual([])
      const [, retained] = await runs.subscribe(await runs.client("late"), "will", { qos: 2 })
      expect(retained).toMatchObject({ retain: true, payload, ...carried })
    })

  test("waits for its delay, which begins with the restart", async () => {
    const runs = new Runs()
    await runs.client("a", { ...lasting(100), ...delayed(20) })
    await runs.restart(1000)
    const witness = await runs.client("witness")
    await runs.subscribe(witness, "will")
    await runs.pass(19.5)
    expect(witness.take()).toEqual([])
    await runs.pass(1)
    expect(witness.messages()).toEqual(["will bye"])
    await runs.restart()
    const again = await runs.resume("witness")
    await runs.pass(200)
    expect(again.take()).toEqual([])
  })

  test("[MQTT-3.1.3-9] is not published if the client comes back in time", async () => {
    const runs = new Runs()
    await runs.client("a", { ...lasting(100), ...delayed(20) })
    await runs.restart()
    const witness = await runs.client("witness")
    await runs.subscribe(witness, "will")
    await runs.pass(10)
    await runs.drop(await runs.resume("a", lasting(100)))
    await runs.pass(200)
    expect(witness.take()).toEqual([])
    await runs.restart(10)
    const again = await runs.resume("witness")
    await runs.pass(200)
    expect(again.take()).toEqual([])
  })

  test("[MQTT-3.1.3-9] nor is the one that it comes back with", async () => {
    const runs = new Runs()
    await runs.subscribe(await runs.client("witness"), "will", { qos: 1 })
    await runs.client("a", { ...lasting(100), ...delayed(20) })
    await runs.restart()
    await runs.resume("a", { ...lasting(100), ...will() })
    await runs.pass(50)
    expect((await runs.resume("witness")).take()).toEqual([])
  })

  test("[MQTT-3.1.2-10] is that of its last connection", async () => {
    const runs = new Runs()
    await runs.subscribe(await runs.client("witness"), "will", { qos: 1 })
    await runs.drop(await runs.client("a", { ...lasting(100), ...delayed(20) }))
    await runs.resume("a", { ...lasting(100), ...will({ payload: Buffer.from("second") }) })
    await runs.restart(1)
    expect((await runs.resume("witness")).messages()).toEqual(["will second"])
  })

  test("is lost with a session that ends with its connection", async () => {
    const runs = new Runs()
    await runs.subscribe(await runs.client("witness"), "will", { qos: 1 })
    await runs.client("a", { level: 4, ...will() })
    await runs.restart(1)
    await runs.moment()
    expect((await runs.resume("witness")).take()).toEqual([])
  })
})

describe("the will of a client that was away already", () => {
  const away = async (fields: ConnectFields) => {
    const runs = new Runs()
    await runs.subscribe(await runs.client("witness"), "will", { qos: 1 })
    await runs.drop(await runs.client("a", fields))
    return runs
  }

  test("waits for the rest of its delay, which goes on while the broker is down", async () => {
    const runs = await away({ ...lasting(1000), ...delayed(60) })
    await runs.pass(20)
    await runs.restart(20)
    const witness = await runs.resume("witness")
    await runs.pass(19.5)
    expect(witness.take()).toEqual([])
    await runs.pass(1)
    expect(witness.messages()).toEqual(["will bye"])
  })

  test("is published at the restart if its delay passed while the broker was down, once", async () => {
    const runs = await away({ ...lasting(1000), ...delayed(60) })
    await runs.restart(100)
    await runs.moment()
    const witness = await runs.resume("witness")
    expect(witness.messages()).toEqual(["will bye"])
    witness.ack("puback", 1)
    await runs.restart(100)
    await runs.moment()
    expect((await runs.resume("witness")).take()).toEqual([])
  })

  test("is published when the session ends, if that is earlier", async () => {
    for (const passed of [6, 5000]) {
      const runs = await away({ ...lasting(5), ...delayed(60) })
      await runs.restart(passed)
      await runs.moment()
      expect(hasSession(runs, "a")).toBe(false)
      expect((await runs.resume("witness")).messages()).toEqual(["will bye"])
    }
  })

  test("is not published again if it has been", async () => {
    for (const fields of [will(), delayed(10)]) {
      const runs = await away({ ...lasting(1000), ...fields })
      await runs.pass(11)
      await runs.restart(10)
      await runs.moment()
      expect((await runs.resume("witness")).messages()).toEqual(["will bye"])
    }
  })

  test("[MQTT-3.14.4-3] is none after DISCONNECT, and waits after DISCONNECT 0x04", async () => {
    for (const [reason, messages] of [
      [0, []],
      [4, ["will bye"]],
    ] as const) {
      const runs = new Runs()
      await runs.subscribe(await runs.client("witness"), "will", { qos: 1 })
      const client = await runs.client("a", { ...lasting(1000), ...delayed(60) })
      client.disconnect(reason)
      await runs.restart(100)
      await runs.moment()
      expect((await runs.resume("witness")).messages()).toEqual([...messages])
    }
  })

  test("its Message Expiry Interval begins when it is published", async () => {
    const properties = { willDelayInterval: 60, messageExpiryInterval: 30 }
    const runs = await away({ ...lasting(1000), ...will({ properties }) })
    await runs.restart(100)
    await runs.moment()
    await runs.pass(10)
    expect((await runs.resume("witness")).take()).toMatchObject([{ properties: { messageExpiryInterval: 20 } }])
  })
})

describe("[MQTT-3.3.2-5] [MQTT-3.3.2-6] the Message Expiry Interval goes on while the broker is down", () => {
  const expiring = (messageExpiryInterval: number) => ({ properties: { messageExpiryInterval } })

  test("in a queue: what is left is told, what has expired is dropped and counted", async () => {
    const runs = new Runs()
    const client = await runs.client("a")
    await runs.subscribe(client, "t", { qos: 1 })
    await runs.drop(client)
    await runs.publish("t", "short", expiring(50))
    await runs.publish("t", "long", expiring(100))
    await runs.publish("t", "for ever")
    await runs.pass(10)
    await runs.restart(30)
    await runs.restart(30)
    const resumed = await runs.resume("a")
    expect(resumed.take().map(({ payload, properties }) => [`${payload}`, properties?.messageExpiryInterval])).toEqual([
      ["long", 30],
      ["for ever", undefined],
    ])
    expect(runs.harness.core.metrics.dropped["message expired"]).toBe(1)
    for (const messageId of [1, 2]) resumed.ack("puback", messageId)
    expect(await runs.stored("inflight")).toEqual([])
    expect(await runs.store.page("a", 0, 10)).toEqual([])
  })

  test("in flight: it comes again, with what is left", async () => {
    const runs = new Runs()
    await runs.subscribe(await runs.client("a"), "t", { qos: 1 })
    await runs.publish("t", "x", expiring(50))
    await runs.restart(40)
    expect((await runs.resume("a")).take()).toMatchObject([{ dup: true, properties: { messageExpiryInterval: 10 } }])
  })

  test("in the queue of a share group", async () => {
    const runs = new Runs()
    const client = await runs.client("a")
    await runs.subscribe(client, "$share/g/t", { qos: 1 })
    await runs.drop(client)
    await runs.publish("t", "short", expiring(50))
    await runs.publish("t", "long", expiring(100))
    await runs.restart(60)
    const packets = (await runs.resume("a")).take()
    expect(packets).toMatchObject([{ properties: { messageExpiryInterval: 40 } }])
    expect(packets.map(({ payload }) => `${payload}`)).toEqual(["long"])
    expect(runs.harness.core.metrics.dropped["message expired"]).toBe(1)
  })
})

/**
 * Retained messages and the sums of `$SYS` over a restart. What `$SYS` retains is made anew by every run and never stored;
 * of its figures those go on that are totals.
 */
import { describe, expect, test } from "bun:test"
import { Metrics } from "../../src/broker/metrics.ts"
import { SysTree } from "../../src/broker/sys.ts"
import { Runs } from "../support/runs.ts"

/** What a client that comes now gets for a filter. */
async function retained(runs: Runs, filter = "#") {
  const client = await runs.client("late", { level: 5 })
  const [suback, ...packets] = await runs.subscribe(client, filter, { qos: 2 })
  expect(suback?.cmd).toBe("suback")
  await runs.drop(client)
  return packets
}
const messages = async (runs: Runs, filter?: string) =>
  (await retained(runs, filter)).map(({ topic, payload }) => `${topic} ${payload}`).sort()

describe("retained messages", () => {
  test("are there with topic, payload, QoS and properties to the byte", async () => {
    const runs = new Runs()
    const properties = {
      payloadFormatIndicator: true,
      contentType: "text/plain",
      responseTopic: "answers",
      correlationData: Buffer.from([0, 1, 255]),
      userProperties: { b: ["2", "1"], a: "é🙂" },
    }
    const payload = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
    for (const qos of [0, 1, 2] as const) {
      await runs.publish(`q/${qos}/é🙂`, "", { qos, retain: true, payload, properties })
    }
    await runs.publish("bare", "x", { retain: true })
    await runs.pass(2)
    const before = await retained(runs)
    expect(before.map(({ qos, retain }) => [qos as number, retain]).sort()).toEqual([
      [0, true],
      [1, true],
      [1, true],
      [2, true],
    ])
    await runs.restart()
    const after = await retained(runs)
    expect(after.map(({ topic }) => topic).sort()).toEqual(before.map(({ topic }) => topic).sort())
    for (const packet of before) expect(after.find(({ topic }) => topic === packet.topic)).toEqual(packet)
  })

  test("[MQTT-3.3.1-5] [MQTT-3.3.1-6] are the last of their topics, or none", async () => {
    const runs = new Runs()
    for (const payload of ["1", "2"]) await runs.publish("replaced", payload, { retain: true })
    await runs.publish("removed", ["1", ""], { retain: true })
    await runs.publish("never", "")
    await runs.restart()
    expect(await messages(runs)).toEqual(["replaced 2"])
    await runs.publish("replaced", "", { retain: true })
    await runs.publish("removed", "3", { retain: true })
    await runs.restart()
    expect(await messages(runs)).toEqual(["removed 3"])
  })

  test("of QoS 0 are stored a second later, the last of each topic", async () => {
    const runs = new Runs()
    for (const payload of ["1", "2", "3"]) await runs.publish("t", payload, { qos: 0, retain: true })
    expect(await runs.stored("retained")).toEqual([])
    await runs.pass(1.5)
    await runs.publish("t", "4", { qos: 0, retain: true })
    await runs.restart()
    expect(await messages(runs)).toEqual(["t 3"])
    await runs.publish("t", "", { qos: 0, retain: true })
    await runs.pass(1.5)
    await runs.restart()
    expect(await messages(runs)).toEqual([])
  })

  test("[MQTT-3.3.2-6] expire while the broker is down, and tell what is left", async () => {
    const runs = new Runs()
    for (const messageExpiryInterval of [50, 100]) {
      const properties = { messageExpiryInterval }
      await runs.publish(`t/${messageExpiryInterval}`, "x", { retain: true, properties })
    }
    await runs.pass(10)
    await runs.restart(30)
    await runs.restart(30)
    const packets = await retained(runs)
    expect(packets.map(({ topic, properties }) => [topic, properties.messageExpiryInterval])).toEqual([["t/100", 30]])
    await runs.moment()
    expect(await runs.stored("retained")).toHaveLength(1)
    await runs.pass(30)
    expect(await messages(runs)).toEqual([])
    expect(await runs.stored("retained")).toEqual([])
  })

  test("are the same message to the store as what waits for a session: it is kept once", async () => {
    const runs = new Runs()
    for (const id of ["a", "b"]) await runs.drop(await subscribed(runs, id))
    await runs.publish("t", "x", { retain: true })
    const ids = async () => {
      const pages = await Promise.all(["a", "b"].map((id) => runs.store.page(id, 0, 10)))
      const kept = (await runs.stored("retained")).map((item) => item.kind === "retained" && item.message.id)
      return [...pages.flat().map(({ message }) => message!.id), ...kept]
    }
    expect(await ids()).toEqual([1, 1, 1])
    await runs.restart()
    await runs.publish("u", "y", { retain: true })
    expect(await ids()).toEqual([1, 1, 1, 2])
  })

  test("count in their limit from the start", async () => {
    const runs = new Runs({ maximumRetainedMessages: 2 })
    for (const topic of ["a", "b"]) await runs.publish(topic, "x", { retain: true })
    await runs.restart()
    await runs.publish("c", "x", { retain: true })
    await runs.publish("b", "y", { retain: true })
    expect(await messages(runs)).toEqual(["a x", "b y"])
    expect(runs.harness.core.metrics.limitsHit["retained messages"]).toBe(1)
  })
})

async function subscribed(runs: Runs, clientId: string) {
  const client = await runs.client(clientId)
  await runs.subscribe(client, "t", { qos: 1 })
  return client
}

describe("$SYS", () => {
  /** A restart with `$SYS`, as the public broker does it. */
  const restarted = async (runs: Runs) => {
    await runs.restart(10)
    new SysTree(runs.harness.core, "1.2.3").start()
  }
  const figure = (runs: Runs, name: string) => {
    const message = runs.harness.core.retained.get(`$SYS/broker/${name}`)
    return Number(message?.payload.subarray(message.payloadStart, message.payloadEnd))
  }

  test("is never stored, even where a client subscribes to it for good", async () => {
    const runs = new Runs()
    await restarted(runs)
    const client = await runs.client("a")
    await runs.subscribe(client, "$SYS/#", { qos: 2 })
    await runs.drop(client)
    await runs.pass(200)
    expect(await runs.stored("retained", "inflight", "queue")).toEqual([])
    await runs.restart()
    expect(runs.harness.core.retained.count).toBe(0)
    expect(await messages(runs, "$SYS/#")).toEqual([])
  })

  test("its totals go on; they are stored every minute or so", async () => {
    const runs = new Runs()
    await restarted(runs)
    for (let i = 0; i < 5; i++) await runs.publish("t", "12345")
    await runs.drop(await runs.client("a", { clean: false, properties: { sessionExpiryInterval: 1 } }))
    await runs.pass(75)
    const { metrics } = runs.harness.core
    const before = Metrics.totals.map((name) => [name, metrics[name]] as const)
    expect(before).toContainEqual(["publishReceived", 5])
    expect(before).toContainEqual(["publishBytesReceived", 25])
    expect(before).toContainEqual(["sessionsExpired", 1])
    expect(before).toContainEqual(["clientsMaximum", 1])
    for (let run = 0; run < 3; run++) {
      await restarted(runs)
      expect(Metrics.totals.map((name) => [name, runs.harness.core.metrics[name]] as const)).toEqual(before)
    }
    await runs.publish("t", "x")
    await runs.pass(75)
    expect(figure(runs, "publish/messages/received")).toBe(6)
    await restarted(runs)
    expect(figure(runs, "publish/messages/received")).toBe(6)
    expect(figure(runs, "clients/expired")).toBe(1)
  })

  test("what is no total begins anew", async () => {
    const runs = new Runs()
    await restarted(runs)
    await runs.client("a", { level: 5 })
    await runs.pass(100)
    expect(figure(runs, "clients/total")).toBe(1)
    await restarted(runs)
    expect(figure(runs, "clients/total")).toBe(0)
    const load = runs.harness.core.retained.get("$SYS/broker/load/bytes/received/1min")
    expect(`${load?.payload}`).toBe("0.00")
  })

  test("a total that only a newer manju knows is left alone", async () => {
    const runs = new Runs()
    await runs.store.commit([
      { kind: "total", name: "teleportations", value: 3 },
      { kind: "total", name: "dropped", value: 3 },
    ])
    await restarted(runs)
    expect(runs.harness.core.metrics.droppedTotal).toBe(0)
    expect(await runs.stored("total")).toHaveLength(2)
  })
})

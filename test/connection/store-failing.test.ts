/**
 * While the store fails: nothing that it must keep is acknowledged as a success, what needs no disk goes on, and when the
 * store works again nothing has to be done about it.
 */
import { describe, expect, test } from "bun:test"
import type { Limits } from "../../src/broker/limits.ts"
import { type ConnectFields, durable, Harness, type TestClient } from "../support/harness.ts"
import { LateStore, microtasks } from "../support/store.ts"

const QUOTA_EXCEEDED = 0x97
const IMPLEMENTATION_SPECIFIC_ERROR = 0x83

/** A broker with a lasting, offline subscriber to `kept`, a store that works, and two ways to change that. */
async function started(limits: Partial<Limits> = {}) {
  const store = new LateStore()
  const harness = new Harness({ store, limits })
  const client = async (clientId: string, fields: ConnectFields = {}) => {
    const connected = harness.connect({ clientId, ...fields })
    await store.commitAll()
    if (connected.take()[0]?.cmd !== "connack") throw new Error(`${clientId} was not let in`)
    return connected
  }
  const lasting = await client("lasting", durable())
  lasting.subscribe("kept", { qos: 2 })
  await store.commitAll()
  lasting.drop()
  await store.commitAll()
  /** The next commit fails, and the broker knows. */
  const fail = async () => {
    const trigger = await client("trigger")
    trigger.publish("trigger", "x", { qos: 1, retain: true })
    await microtasks()
    store.pending.shift()!.reject(new Error("database or disk is full"))
    await microtasks()
    expect(harness.core.changes.isFailing).toBe(true)
  }
  const recover = async () => {
    harness.clock.advance(1)
    await store.commitAll()
    expect(harness.core.changes.isFailing).toBe(false)
  }
  return { store, harness, client, fail, recover }
}

const answers = (client: TestClient) =>
  client.take().map(({ cmd, reasonCode, returnCode, granted }) => [cmd, granted ?? reasonCode ?? returnCode])

/** What the lasting session is sent when its client comes. */
async function delivered({ harness, store }: Pick<Awaited<ReturnType<typeof started>>, "harness" | "store">) {
  const lasting = harness.connect({ clientId: "lasting", ...durable() })
  await store.commitAll()
  return lasting.messages()
}

describe("while the store fails, MQTT 5 is told", () => {
  for (const [qos, ack] of [
    [1, "puback"],
    [2, "pubrec"],
  ] as const) {
    test(`a message of QoS ${qos} that a lasting session waits for is refused with 0x97 and goes to nobody`, async () => {
      const world = await started()
      const publisher = await world.client("pub")
      const online = await world.client("online")
      online.subscribe("kept", { qos: 1 }).take()
      await world.fail()
      publisher.publish("kept", "1", { qos })
      expect(answers(publisher)).toEqual([[ack, QUOTA_EXCEEDED]])
      expect([online.messages(), world.harness.core.metrics.dropped["store failing"]]).toEqual([[], 1])
      await world.recover()
      publisher.publish("kept", "2", { qos })
      await world.store.commitAll()
      expect(answers(publisher)).toEqual([[ack, 0]])
      expect(await delivered(world)).toEqual(["kept 2"])
    })
  }

  test("a message that is to be retained is refused", async () => {
    const world = await started()
    const publisher = await world.client("pub")
    await world.fail()
    publisher.publish("anywhere", "1", { qos: 1, retain: true })
    publisher.publish("anywhere", "", { qos: 1, retain: true })
    expect(answers(publisher)).toEqual([
      ["puback", QUOTA_EXCEEDED],
      ["puback", QUOTA_EXCEEDED],
    ])
    expect(world.harness.core.retained.get("anywhere")).toBeUndefined()
  })

  test("a message of QoS 2 from a lasting session is refused, whoever it is for: its id must be kept", async () => {
    const world = await started()
    const publisher = await world.client("pub", durable())
    await world.fail()
    publisher.publish("nobody", "1", { qos: 2 })
    expect(answers(publisher)).toEqual([["pubrec", QUOTA_EXCEEDED]])
  })

  test("SUBSCRIBE is refused filter by filter, UNSUBSCRIBE with 0x83, and nothing has changed", async () => {
    const world = await started()
    const subscriber = await world.client("sub", durable())
    subscriber.subscribe("before", { qos: 1 })
    await world.store.commitAll()
    subscriber.take()
    await world.fail()
    subscriber.subscribe(["a", "b/#"], { qos: 1 })
    subscriber.send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: ["before"] })
    expect(answers(subscriber)).toEqual([
      ["suback", [QUOTA_EXCEEDED, QUOTA_EXCEEDED]],
      ["unsuback", [IMPLEMENTATION_SPECIFIC_ERROR]],
    ])
    const publisher = await world.client("pub")
    for (const topic of ["a", "b/c", "before"]) publisher.publish(topic, "1")
    expect(subscriber.messages()).toEqual(["before 1"])
  })
})

describe("while the store fails, a 3.x client waits", () => {
  for (const level of [3, 4] as const) {
    test(`level ${level}: its message is acknowledged, and kept, when the store works again`, async () => {
      const world = await started()
      const publisher = await world.client("pub", { level })
      await world.fail()
      publisher.publish("kept", "1", { qos: 1 })
      publisher.publish("kept", "2", { qos: 2 })
      world.harness.clock.advance(1)
      await microtasks()
      expect(answers(publisher)).toEqual([])
      await world.recover()
      expect(publisher.take().map(({ cmd }) => cmd)).toEqual(["puback", "pubrec"])
      expect(await delivered(world)).toEqual(["kept 1", "kept 2"])
    })

    test(`level ${level}: so is its SUBSCRIBE, which holds already`, async () => {
      const world = await started()
      const subscriber = await world.client("sub", durable(level))
      await world.fail()
      subscriber.subscribe("a", { qos: 1 })
      const publisher = await world.client("pub")
      publisher.publish("a", "1")
      expect(subscriber.take().map(({ cmd }) => cmd)).toEqual(["publish"])
      await world.recover()
      expect(subscriber.take().map(({ cmd }) => cmd)).toEqual(["suback"])
    })
  }
})

describe("while the store fails, what needs no disk goes on", () => {
  test("QoS 0, for lasting sessions too; QoS 1 and 2 between clients whose sessions end with them", async () => {
    const world = await started()
    const lasting = await world.client("lasting", durable())
    const volatile = await world.client("volatile")
    volatile.subscribe("fast", { qos: 2 }).take()
    const publisher = await world.client("pub")
    await world.fail()
    publisher.publish("kept", "0")
    for (const qos of [0, 1, 2] as const) publisher.publish("fast", String(qos), { qos })
    expect(lasting.messages()).toEqual(["kept 0"])
    expect(volatile.messages()).toEqual(["fast 0", "fast 1", "fast 2"])
    expect(answers(publisher)).toEqual([
      ["puback", 0],
      ["pubrec", 0],
    ])
  })

  test("clients come and go: without a lasting session, and to one that is stored", async () => {
    const world = await started()
    await world.fail()
    const plain = world.harness.connect({ clientId: "plain" })
    expect(answers(plain)).toEqual([["connack", 0]])
    const back = world.harness.connect({ clientId: "lasting", ...durable() })
    expect(back.take()).toMatchObject([{ cmd: "connack", reasonCode: 0, sessionPresent: true }])
  })

  test("QoS 0 messages are retained, and stored when the store works again", async () => {
    const world = await started()
    const publisher = await world.client("pub")
    await world.fail()
    for (const value of ["1", "2"]) publisher.publish("value", value, { retain: true })
    world.harness.clock.advance(5)
    await microtasks()
    expect(String(world.harness.core.retained.get("value")?.payload)).toBe("2")
    await world.recover()
    world.harness.clock.advance(2)
    await world.store.commitAll()
    const stored = world.store.committed.filter(
      (change) => change.kind === "retained" && change.message.topic === "value",
    )
    expect(stored).toHaveLength(1)
  })
})

describe("while the store fails, a new session that must last is refused", () => {
  for (const [level, code] of [
    [3, 3],
    [4, 3],
    [5, QUOTA_EXCEEDED],
  ] as const)
    test(`level ${level}: CONNACK ${code}; so is a clean start that would end one`, async () => {
      const world = await started()
      await world.fail()
      expect(answers(world.harness.connect({ clientId: "new", ...durable(level) }))).toEqual([["connack", code]])
      expect(world.harness.core.sessions.get("new")).toBeUndefined()
      expect(answers(world.harness.connect({ clientId: "lasting", level }))).toEqual([["connack", code]])
      await world.recover()
      expect((await world.client("new", durable(level))).isClosed).toBe(false)
    })

  test("one that has begun and is not stored is not resumed as if it were", async () => {
    const world = await started()
    const trigger = world.harness.connect({ clientId: "new", ...durable() })
    await microtasks()
    world.store.pending.shift()!.reject(new Error("database or disk is full"))
    await microtasks()
    trigger.drop()
    expect(answers(world.harness.connect({ clientId: "new", ...durable() }))).toEqual([["connack", QUOTA_EXCEEDED]])
  })
})

describe("an outage", () => {
  test("is said once when it begins and once when it ends, and the broker is not ready between", async () => {
    const world = await started()
    const { core, logged } = world.harness
    expect(core.isReady).toBe(true)
    await world.fail()
    expect(core.isReady).toBe(false)
    for (let attempt = 0; attempt < 3; attempt++) {
      world.harness.clock.advance(1)
      await microtasks()
      world.store.pending.shift()!.reject(new Error("database or disk is full"))
      await microtasks()
    }
    await world.recover()
    expect(core.isReady).toBe(true)
    const said = logged.filter((line) => line.includes("the store"))
    expect(said).toEqual([
      "error the store cannot be written, what it must keep is refused or waits until it can: database or disk is full",
      "warn the store works again",
    ])
    expect(core.changes.failures).toBe(4)
  })

  test("of reading makes a queue wait and nothing else", async () => {
    const world = await started()
    const publisher = await world.client("pub")
    for (let i = 0; i < 1500; i++) {
      publisher.publish("kept", String(i), { qos: 1 })
      if (i % 500 === 499) await world.store.commitAll()
    }
    const { page } = world.store
    world.store.page = () => Promise.reject(new Error("disk I/O error"))
    const lasting = world.harness.connect({ clientId: "lasting", ...durable() })
    await world.store.commitAll()
    const seen: string[] = []
    const read = async () => {
      for (let isBusy = true; isBusy; ) {
        isBusy = false
        for (const { cmd, messageId, payload } of lasting.take()) {
          if (cmd !== "publish") continue
          isBusy = true
          seen.push(String(payload))
          lasting.ack("puback", messageId!)
        }
        await world.store.commitAll()
      }
    }
    await read()
    expect([seen.length, world.harness.core.isReady]).toEqual([1000, false])
    world.store.page = page
    world.harness.clock.advance(1)
    await world.store.commitAll()
    await read()
    expect(seen).toEqual(Array.from({ length: 1500 }, (_, i) => String(i)))
    expect(world.harness.core.isReady).toBe(true)
  })

  test("does not fill the memory: beyond a bound, 3.x publishers are not read from until it ends", async () => {
    const world = await started({ maximumUnstoredBytes: 4096 })
    const publisher = await world.client("pub", { level: 4 })
    await world.fail()
    for (let i = 0; i < 100; i++) publisher.publish("kept", String(i).padEnd(100), { qos: 1 })
    expect(publisher.isPaused).toBe(true)
    expect(world.harness.core.changes.unstoredBytes).toBeLessThan(2 * 4096)
    await world.recover()
    for (let i = 0; i < 100; i++) await world.store.commitAll()
    expect(publisher.take().filter(({ cmd }) => cmd === "puback")).toHaveLength(100)
    expect([publisher.isPaused, world.harness.core.changes.unstoredBytes]).toEqual([false, 0])
    expect(await delivered(world)).toEqual(Array.from({ length: 100 }, (_, i) => `kept ${String(i).padEnd(100)}`))
  })
})

test("a store that is merely slow makes publishers wait too when the bound is reached, at level 5 as well", async () => {
  const world = await started({ maximumUnstoredBytes: 4096 })
  const publisher = await world.client("pub")
  for (let i = 0; i < 100; i++) publisher.publish("kept", String(i).padEnd(100), { qos: 1 })
  expect(publisher.isPaused).toBe(true)
  for (let i = 0; i < 100; i++) await world.store.commitAll()
  expect(answers(publisher)).toEqual(Array(100).fill(["puback", 0]))
})

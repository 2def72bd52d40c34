import { describe, expect, test } from "bun:test"
import type { IUnsubscribePacket } from "mqtt-packet"
import type { StoredChange } from "../../src/broker/stored.ts"
import { type ConnectFields, durable, Harness, type TestClient } from "../support/harness.ts"
import { LateStore, microtasks } from "../support/store.ts"

const levels = [3, 4, 5] as const

const heard = (client: TestClient) =>
  client.take().map(({ cmd, messageId, dup }) => {
    return `${cmd}${messageId === undefined ? "" : ` ${messageId}`}${dup ? " dup" : ""}`
  })
const kinds = (changes: readonly StoredChange[]) => changes.map(({ kind }) => kind)

function started() {
  const store = new LateStore()
  const harness = new Harness({ store })
  /** A client that is in, whatever its session. */
  const client = async (clientId: string, fields: ConnectFields = {}) => {
    const connected = harness.connect({ clientId, ...fields })
    await store.commitAll()
    if (connected.take()[0]?.cmd !== "connack") throw new Error(`${clientId} was not let in`)
    return connected
  }
  /** Answers the commit that is asked for now, and none that it leads to. */
  const commitOne = async () => {
    await microtasks()
    store.pending.shift()?.resolve()
    await microtasks()
  }
  return { store, harness, client, commitOne }
}

/** A client of a lasting session that subscribes to `t`, and one that does not last. */
async function subscribed(qos: 0 | 1 | 2 = 2, level: 3 | 4 | 5 = 5) {
  const base = started()
  const lasting = await base.client("lasting", durable(level))
  lasting.subscribe("t", { qos })
  await base.store.commitAll()
  lasting.take()
  base.store.committed.length = 0
  const publisher = await base.client("pub", { level })
  return { ...base, lasting, publisher }
}

describe("what acknowledges a change that must survive leaves when it is durable", () => {
  for (const level of levels) {
    test(`level ${level}: CONNACK of a session that lasts`, async () => {
      const { harness, store } = started()
      const client = harness.connect({ clientId: "a", ...durable(level) })
      await microtasks()
      expect(client.take()).toEqual([])
      await store.commitAll()
      expect(heard(client)).toEqual(["connack"])
      expect(kinds(store.committed)).toEqual(["session"])
    })

    test(`level ${level}: CONNACK of a clean start that ends one`, async () => {
      const { harness, store, client } = started()
      const first = await client("a", durable(level))
      first.drop()
      await store.commitAll()
      const second = harness.connect({ clientId: "a", level })
      await microtasks()
      expect(second.take()).toEqual([])
      await store.commitAll()
      expect(heard(second)).toEqual(["connack"])
      expect(store.committed.at(-1)).toEqual({ kind: "sessionRemoved", clientId: "a" })
    })

    test(`level ${level}: SUBACK and UNSUBACK`, async () => {
      const { store, client } = started()
      const subscriber = await client("a", durable(level))
      subscriber.subscribe("t", { qos: 1 })
      expect(heard(subscriber)).toEqual([])
      await store.commitAll()
      expect(heard(subscriber)).toEqual(["suback 1"])
      subscriber.send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: ["t"] })
      expect(heard(subscriber)).toEqual([])
      await store.commitAll()
      expect(heard(subscriber)).toEqual(["unsuback 9"])
      expect(kinds(store.committed)).toEqual(["session", "subscribed", "unsubscribed"])
    })

    for (const [qos, ack] of [
      [1, "puback 1"],
      [2, "pubrec 1"],
    ] as const)
      test(`level ${level}: ${ack.split(" ")[0]!.toUpperCase()} of a message for a session that lasts, here or away`, async () => {
        for (const isAway of [false, true]) {
          const { store, lasting, publisher } = await subscribed(1, level)
          if (isAway) lasting.drop()
          await store.commitAll()
          publisher.publish("t", "x", { qos })
          await microtasks()
          expect(heard(publisher)).toEqual([])
          await store.commitAll()
          expect(heard(publisher)).toEqual([ack])
        }
      })

    test(`level ${level}: PUBACK of a retained message, and of one that removes it`, async () => {
      const { store, client } = started()
      const publisher = await client("pub", { level })
      for (const payload of ["x", ""]) {
        publisher.publish("t", payload, { qos: 1, retain: true, messageId: 1 })
        expect(heard(publisher)).toEqual([])
        await store.commitAll()
        expect(heard(publisher)).toEqual(["puback 1"])
      }
      expect(kinds(store.committed)).toEqual(["retained", "unretained"])
    })

    test(`level ${level}: PUBREC and PUBCOMP of a publisher whose session lasts`, async () => {
      const { store, client } = started()
      const publisher = await client("pub", durable(level))
      publisher.publish("t", "x", { qos: 2 })
      expect(heard(publisher)).toEqual([])
      publisher.publish("t", "x", { qos: 2, messageId: 1, dup: true })
      expect(heard(publisher)).toEqual([])
      await store.commitAll()
      expect(heard(publisher)).toEqual(["pubrec 1", "pubrec 1"])
      publisher.ack("pubrel", 1)
      expect(heard(publisher)).toEqual([])
      await store.commitAll()
      expect(heard(publisher)).toEqual(["pubcomp 1"])
      expect(kinds(store.committed)).toEqual(["session", "received", "completed"])
    })

    test(`level ${level}: PUBREL to a session that lasts`, async () => {
      const { store, lasting, publisher } = await subscribed(2, level)
      publisher.publish("t", "x", { qos: 2 })
      await store.commitAll()
      expect(heard(lasting)).toEqual(["publish 1"])
      lasting.ack("pubrec", 1)
      expect(heard(lasting)).toEqual([])
      await store.commitAll()
      expect(heard(lasting)).toEqual(["pubrel 1"])
      lasting.ack("pubcomp", 1)
      await store.commitAll()
      expect(kinds(store.committed)).toEqual(["queued", "sent", "released", "settled"])
    })
  }

  test("in the order of what it acknowledges, one commit after the other", async () => {
    const { store, client, commitOne } = started()
    const it = await client("a", durable())
    it.publish("t", "x", { qos: 2, messageId: 1 })
    await microtasks() // a commit is under way with the first
    it.publish("t", "x", { qos: 1, messageId: 2, retain: true }).subscribe("t")
    it.publish("nobody", "x", { qos: 1, messageId: 4 }) // nothing to store, but its turn has not come
    expect(heard(it)).toEqual(["publish"]) // retained, for the subscription
    await commitOne()
    expect(heard(it)).toEqual(["pubrec 1"])
    expect(store.pending).toHaveLength(1)
    await commitOne()
    expect(heard(it)).toEqual(["puback 2", "suback 3", "puback 4"])
  })

  test("what changes nothing that must survive does not wait, whoever else does", async () => {
    const { harness, publisher } = await subscribed(1)
    publisher.publish("t", "x", { qos: 1 })
    const other = harness.client("other").subscribe("u", { qos: 2 }).publish("u", "x", { qos: 1 })
    other.publish("v", "x", { qos: 2 }).ack("pubrel", 3).sendBytes("c000")
    other.send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: ["u"] })
    expect(heard(other)).toEqual([
      "suback 1",
      "publish 1",
      "puback 2",
      "pubrec 3",
      "pubcomp 3",
      "pingresp",
      "unsuback 9",
    ])
    expect(heard(publisher)).toEqual([])
  })
})

describe("deliveries", () => {
  for (const qos of [0, 1] as const)
    test(`of QoS ${qos} do not wait for the store`, async () => {
      const { lasting, publisher } = await subscribed(qos)
      publisher.publish("t", "x", { qos: 1 })
      expect(lasting.messages()).toEqual(["t x"])
    })

  test("of QoS 2 to a session that lasts wait, to another they don't", async () => {
    const { store, harness, lasting, publisher } = await subscribed()
    const brief = harness.client("brief", { properties: { receiveMaximum: 1 } }).subscribe("t", { qos: 2 })
    brief.take()
    publisher.publish("t", "x", { qos: 2 }).publish("t", "y", { qos: 2 })
    expect(brief.messages()).toEqual(["t x"])
    brief.ack("pubrec", 1).ack("pubcomp", 1)
    expect(brief.messages()).toEqual(["t y"]) // from its queue
    expect(lasting.take()).toEqual([])
    await store.commitAll()
    expect(lasting.messages()).toEqual(["t x", "t y"])
  })

  test("of QoS 2 that come together wait for one commit together, and so do their PUBRELs", async () => {
    const { store, lasting, publisher, commitOne } = await subscribed()
    for (let i = 0; i < 50; i++) publisher.publish("t", `${i}`, { qos: 1 })
    await microtasks()
    for (let i = 50; i < 100; i++) publisher.publish("t", `${i}`, { qos: 2 })
    await commitOne()
    const packets = lasting.take()
    expect(packets.map(({ payload }) => `${payload}`)).toEqual(Array.from({ length: 50 }, (_, i) => `${i}`))
    await commitOne()
    packets.push(...lasting.take())
    expect(packets.slice(50).map(({ payload, qos }) => `${payload} ${qos}`)).toEqual(
      Array.from({ length: 50 }, (_, i) => `${i + 50} 2`),
    )
    for (const { messageId } of packets.slice(50)) lasting.ack("pubrec", messageId!)
    expect(lasting.take()).toEqual([])
    await commitOne()
    expect(heard(lasting)).toHaveLength(50)
    expect(store.pending).toEqual([])
  })

  test("of QoS 1 behind one of QoS 2 that waits keep the order; QoS 0 does not wait", async () => {
    const { store, lasting, publisher } = await subscribed()
    for (const [payload, qos] of [
      ["1", 2],
      ["2", 1],
      ["3", 2],
      ["4", 1],
      ["5", 0],
    ] as const) {
      publisher.publish("t", payload, { qos })
    }
    expect(lasting.messages()).toEqual(["t 5"])
    await store.commitAll()
    expect(lasting.messages()).toEqual(["t 1", "t 2", "t 3", "t 4"])
  })

  test("of QoS 2 that waited are sent on the next connection where theirs has gone, and counted once", async () => {
    const { store, harness, lasting, publisher } = await subscribed()
    publisher.publish("t", "x", { qos: 2 })
    lasting.drop()
    await store.commitAll()
    const again = harness.connect({ clientId: "lasting", ...durable() })
    await store.commitAll()
    expect(heard(again)).toEqual(["connack", "publish 1"]) // it has never been sent: no DUP
    again.ack("pubrec", 1)
    await store.commitAll()
    again.ack("pubcomp", 1)
    expect(harness.core.inflightCount).toBe(0)
  })

  test("that are acknowledged before they were committed never reach the store", async () => {
    const { store, harness, lasting, publisher, commitOne } = await subscribed(1)
    harness.client("other").publish("r", "x", { qos: 1, retain: true })
    await microtasks() // that commit is under way
    for (let i = 0; i < 10; i++) publisher.publish("t", "x", { qos: 1 })
    for (const { messageId } of lasting.take()) lasting.ack("puback", messageId!)
    await commitOne()
    expect(heard(publisher)).toHaveLength(10)
    expect(kinds(store.committed)).toEqual(["retained"])
    expect(store.pending).toEqual([])
  })
})

describe("a store that refuses", () => {
  test("is asked again, nothing is acknowledged meanwhile, and then everything in order", async () => {
    const { store, harness, lasting, publisher } = await subscribed(1)
    for (let i = 0; i < 3; i++) publisher.publish("t", `${i}`, { qos: 1 })
    for (let attempt = 0; attempt < 5; attempt++) {
      await microtasks()
      store.pending.shift()!.reject(new Error("disk full"))
      await microtasks()
      harness.clock.advance(1)
      await microtasks()
      expect(heard(publisher)).toEqual([])
    }
    expect(harness.logged.filter((line) => line.includes("disk full"))).toHaveLength(1)
    expect(lasting.messages()).toEqual(["t 0", "t 1", "t 2"]) // QoS 1 goes on
    expect(heard(publisher.sendBytes("c000"))).toEqual(["pingresp"])
    await store.commitAll()
    expect(heard(publisher)).toEqual(["puback 1", "puback 2", "puback 3"])
  })

  test("does not stop clients that need no disk", async () => {
    const { store, harness, publisher } = await subscribed(1)
    publisher.publish("t", "x", { qos: 1 })
    await microtasks()
    store.pending.shift()!.reject(new Error("disk full"))
    const one = harness.client("one")
    one.publish("v", "x", { qos: 1 })
    expect(heard(one)).toEqual(["puback 1"])
  })
})

describe("a connection that ends while acknowledgements are held", () => {
  for (const how of ["drop", "disconnect"] as const)
    test(`by ${how}: they are forgotten, and what they were for is not done twice`, async () => {
      const { store, harness, publisher } = await subscribed(1)
      const witness = harness.client("witness").subscribe("q", { qos: 2 })
      await store.commitAll()
      witness.take()
      const first = harness.connect({ clientId: "p", ...durable() })
      await store.commitAll()
      first.take()
      first.publish("q", "x", { qos: 2, messageId: 7 })
      if (how === "drop") first.drop()
      else first.disconnect()
      await store.commitAll()
      expect(first.take()).toEqual([])
      const second = harness.connect({ clientId: "p", ...durable() })
      await store.commitAll()
      second.publish("q", "x", { qos: 2, messageId: 7, dup: true }).ack("pubrel", 7)
      await store.commitAll()
      expect(heard(second)).toEqual(["connack", "pubrec 7", "pubcomp 7"])
      expect(witness.messages()).toEqual(["q x"])
      publisher.publish("t", "x", { qos: 1 })
      await store.commitAll()
      expect(heard(publisher)).toEqual(["puback 1"])
    })

  test("before its CONNACK: the session stays, the next connection gets it", async () => {
    const { store, harness } = started()
    const first = harness.connect({ clientId: "a", ...durable() })
    first.drop()
    await store.commitAll()
    expect(first.take()).toEqual([])
    expect(harness.core.peers.size).toBe(0)
    const second = harness.connect({ clientId: "a", ...durable() })
    await store.commitAll()
    expect(second.take()).toMatchObject([{ cmd: "connack", sessionPresent: true }])
  })

  test("taken over before its CONNACK: it gets none, the other does", async () => {
    const { store, harness } = started()
    const first = harness.connect({ clientId: "a", ...durable() })
    const second = harness.connect({ clientId: "a", ...durable() })
    await store.commitAll()
    expect([first.isClosed, first.take()]).toEqual([true, []])
    expect(heard(second)).toEqual(["connack"])
  })
})

describe("what has been done already is acknowledged when it is durable, whoever did it", () => {
  test("UNSUBACK: an UNSUBSCRIBE again, on the next connection, while the store fails", async () => {
    const { store, harness, client } = started()
    const first = await client("a", durable(4))
    first.subscribe("t", { qos: 1 })
    await store.commitAll()
    const unsubscribe: IUnsubscribePacket = { cmd: "unsubscribe", messageId: 9, unsubscriptions: ["t"] }
    first.send(unsubscribe)
    await microtasks()
    store.pending.shift()!.reject(new Error("disk full"))
    await microtasks()
    first.drop()
    const second = harness.connect({ clientId: "a", ...durable(4) })
    second.send(unsubscribe)
    await microtasks()
    expect(heard(second)).toEqual(["connack"])
    harness.clock.advance(1)
    await store.commitAll()
    expect(heard(second)).toEqual(["unsuback 9"])
  })

  test("PUBACK: two clients remove the same retained message", async () => {
    const { store, client } = started()
    const [first, second] = [await client("a"), await client("b")]
    first.publish("t", "1", { qos: 1, retain: true })
    await store.commitAll()
    first.take()
    first.publish("t", "", { qos: 1, retain: true })
    await microtasks()
    second.publish("t", "", { qos: 1, retain: true })
    await microtasks()
    expect([heard(first), heard(second)]).toEqual([[], []])
    await store.commitAll()
    expect([heard(first), heard(second)]).toEqual([["puback 2"], ["puback 1"]])
  })

  test("PUBACK: a retained message removed at QoS 0, then at QoS 1", async () => {
    const { store, client } = started()
    const publisher = await client("a")
    publisher.publish("t", "1", { qos: 1, retain: true })
    await store.commitAll()
    publisher.take()
    publisher.publish("t", "", { retain: true }).publish("t", "", { qos: 1, retain: true })
    await microtasks()
    expect(heard(publisher)).toEqual([])
    await store.commitAll()
    expect(heard(publisher)).toEqual(["puback 2"])
    expect(kinds(store.committed)).toContain("unretained")
  })

  for (const between of ["taken over", "gone"])
    test(`CONNACK: a clean start after another one, which is ${between}`, async () => {
      const { store, harness, client } = started()
      const lasting = await client("a", durable())
      lasting.drop()
      await store.commitAll()
      const first = harness.connect({ clientId: "a" })
      if (between === "gone") first.drop()
      const second = harness.connect({ clientId: "a" })
      await microtasks()
      expect([first.take(), second.take()]).toEqual([[], []])
      await store.commitAll()
      expect(second.take()).toMatchObject([{ cmd: "connack", sessionPresent: false }])
      expect(kinds(store.committed)).toContain("sessionRemoved")
    })
})

test("CONNACK is not starved by a journal that is never idle", async () => {
  const { harness, publisher, commitOne } = await subscribed(1)
  publisher.publish("t", "x", { qos: 1 })
  await microtasks()
  const client = harness.connect({ clientId: "late", ...durable() })
  for (let i = 0; i < 2; i++) {
    publisher.publish("t", "x", { qos: 1 })
    await commitOne()
  }
  expect(heard(client)).toEqual(["connack"])
})

test("messages that come before CONNACK wait for it", async () => {
  const { store, harness, lasting, publisher } = await subscribed(1)
  lasting.drop()
  const again = harness.connect({ clientId: "lasting", ...durable() })
  publisher.publish("t", "x", { qos: 1 }).publish("t", "y")
  await microtasks()
  expect(again.take()).toEqual([])
  await store.commitAll()
  expect(heard(again)).toEqual(["connack", "publish 1"])
})

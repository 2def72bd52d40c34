/**
 * A member of a share group that may not have a message of it, by its auth or by a hook: the message is for the others, and nobody can
 * make it disappear. MQTT 5 §4.8.2
 */
import { describe, expect, test } from "bun:test"
import type { Client } from "../../src/broker/ports.ts"
import type { QoS } from "../../src/codec/index.ts"
import { memory } from "../../src/store/memory.ts"
import { settled } from "../../src/testing/settled.ts"
import { ways } from "../support/door.ts"
import { type ConnectFields, durable, Harness, type HarnessOptions, type TestClient } from "../support/harness.ts"
import { Runs } from "../support/runs.ts"
import { LateStore, microtasks } from "../support/store.ts"
import { levels } from "./wire.ts"

const FILTER = "$share/g/jobs/#"
type Give = (typeof ways)[number][1]

/** Whether a client gets a message: those called eve only what is public. */
const mayHave = (clientId: string, topic: string) => !clientId.startsWith("eve") || topic === "jobs/public"
const atOnce: Give = (answer) => answer

/** Who decides so: the auth of the listener, or a hook. */
const deciders: [name: string, make: (give: Give, options?: HarnessOptions) => Harness][] = [
  [
    "its auth",
    (give, options = {}) =>
      new Harness({
        ...options,
        auth: {
          authenticate: () => true,
          authorize: ({ clientId }: Client, action, topic) =>
            action === "receive" ? give(mayHave(clientId, topic)) : true,
        },
      }),
  ],
  [
    "a hook",
    (give, options = {}) => {
      const harness = new Harness(options)
      harness.core.hooks.use({
        onDeliver: ({ topic }, { clientId }) => give(mayHave(clientId, topic) ? undefined : false),
      })
      return harness
    },
  ],
]
const byAuth = deciders[0]![1]

function member(harness: Harness, clientId: string, qos: QoS = 1, fields: ConnectFields = {}): TestClient {
  const client = harness.client(clientId, fields).subscribe(FILTER, { qos })
  client.take()
  return client
}

const numbers = (count: number) => Array.from({ length: count }, (_, i) => String(i + 1))
const payloads = (client: TestClient) => client.messages().map((message) => message.split(" ")[1]!)

/** Acknowledges to the end whatever comes, until nothing more does. */
async function drain(client: TestClient): Promise<string[]> {
  const got: string[] = []
  for (;;) {
    await microtasks()
    const packets = client.take()
    if (packets.length === 0) return got
    for (const { cmd, qos, messageId, payload } of packets) {
      if (cmd === "publish") got.push(String(payload))
      if (cmd === "publish" && qos > 0) client.ack(qos === 1 ? "puback" : "pubrec", messageId!)
      if (cmd === "pubrel") client.ack("pubcomp", messageId!)
    }
  }
}

const publish = (harness: Harness, payloads: string[], qos: QoS = 1, topic = "jobs/secret") => {
  const publisher = harness.client("publisher")
  for (const payload of payloads) publisher.publish(topic, payload, { qos })
  return publisher
}

describe("goes to the other member, all of it and in order, and nothing is counted as lost", () => {
  for (const [who, make] of deciders)
    for (const [when, give] of ways)
      for (const qos of [0, 1, 2] as const)
        for (const [name, fields] of [
          ["end with their connections", () => ({})],
          ["outlive them", durable],
        ] as const)
          for (const level of levels)
            test(`level ${level}, refused by ${who} ${when}, QoS ${qos}, sessions that ${name}`, async () => {
              const limits = { maximumInflight: 3, receiveMaximum: 100 }
              const harness = make(give, { limits })
              const eve = member(harness, "eve", qos, { level, ...fields(level) })
              const ops = member(harness, "ops", qos, { level, ...fields(level) })
              const got: string[] = []
              for (const payload of numbers(10)) {
                publish(harness, [payload], qos)
                await microtasks()
                got.push(...(await drain(ops)))
              }
              expect([got, await drain(eve)]).toEqual([numbers(10), []])
              expect(harness.core.metrics.droppedTotal).toBe(0)
              expect([harness.core.inflightCount, harness.core.queueBytes]).toEqual([0, 0])
            })
  test("where the member is granted less than the message has", async () => {
    for (const [, give] of ways) {
      const harness = byAuth(give)
      const [eve, ops] = [member(harness, "eve", 0), member(harness, "ops", 0)]
      publish(harness, numbers(5), 1)
      await microtasks()
      expect([payloads(eve), payloads(ops).sort()]).toEqual([[], numbers(5)])
      expect(harness.core.metrics.droppedTotal).toBe(0)
    }
  })
  for (const [when, give] of ways)
    test(`of several, whoever may: each is asked once, ${when}`, async () => {
      const asked: string[] = []
      const harness = new Harness({
        auth: {
          authenticate: () => true,
          authorize: ({ clientId }, action, topic) => {
            if (action !== "receive") return true
            asked.push(clientId)
            return give(mayHave(clientId, topic))
          },
        },
      })
      const members = ["eve-1", "eve-2", "eve-3", "ops"].map((id) => member(harness, id))
      for (const qos of [0, 1] as const) {
        publish(harness, ["1"], qos)
        for (const _ of members) await microtasks()
        expect(members.map(payloads)).toEqual([[], [], [], ["1"]])
        expect(asked.splice(0).sort()).toEqual(["eve-1", "eve-2", "eve-3", "ops"])
      }
    })
  test("one that is too large for a member goes to one that can take it", () => {
    for (const qos of [0, 1, 2] as const) {
      const harness = new Harness()
      const small = member(harness, "small", qos, { properties: { maximumPacketSize: 50 } })
      const large = member(harness, "large", qos)
      publish(harness, ["x".repeat(60), "y".repeat(60)], qos)
      expect([payloads(small).length, payloads(large).length]).toEqual([0, 2])
      expect(harness.core.metrics.droppedTotal).toBe(0)
    }
  })
})

describe("waits, where those who may have it are not there or have no room", () => {
  for (const [who, make] of deciders)
    for (const [when, give] of ways)
      for (const qos of [1, 2] as const)
        test(`refused by ${who} ${when}, QoS ${qos}: for one who is away; the member that is there gets what it may`, async () => {
          const harness = make(give)
          member(harness, "ops", qos, durable()).drop()
          const eve = member(harness, "eve", qos)
          for (const i of numbers(5)) {
            publish(harness, [`s${i}`], qos)
            publish(harness, [`p${i}`], qos, "jobs/public")
          }
          expect(await drain(eve)).toEqual(["p1", "p2", "p3", "p4", "p5"])
          expect(harness.core.metrics.droppedTotal).toBe(0)
          const ops = harness.resume("ops")
          expect(await drain(ops)).toEqual(["s1", "s2", "s3", "s4", "s5"])
          expect([harness.core.inflightCount, harness.core.queueBytes]).toEqual([0, 0])
        })
  test("for one with a full window, who gets it before what has come later", async () => {
    const harness = byAuth(atOnce)
    const narrow = { properties: { receiveMaximum: 1 } }
    const [ops, eve] = [member(harness, "ops", 1, narrow), member(harness, "eve", 1, narrow)]
    publish(harness, ["1", "2", "3"])
    expect([payloads(ops), payloads(eve)]).toEqual([["1"], []])
    expect(await drain(ops.ack("puback", 1))).toEqual(["2", "3"])
  })
  test("for one who subscribes later", () => {
    const harness = byAuth(atOnce)
    member(harness, "away", 1, durable()).drop()
    member(harness, "eve")
    publish(harness, ["1", "2"])
    const late = harness.client("late").subscribe(FILTER, { qos: 1 })
    expect(payloads(late)).toEqual(["1", "2"])
  })
  test("what was put there while nobody was there is not swallowed by who comes first", async () => {
    for (const [, give] of ways) {
      const harness = byAuth(give)
      for (const id of ["ops", "eve"]) member(harness, id, 1, durable()).drop()
      publish(harness, numbers(5))
      expect(await drain(harness.resume("eve"))).toEqual([])
      expect(await drain(harness.resume("ops"))).toEqual(numbers(5))
      expect(harness.core.metrics.droppedTotal).toBe(0)
    }
  })
  test("within the bounds of the group's queue", () => {
    const harness = byAuth(atOnce, { limits: { maximumQueuedMessages: 3 } })
    member(harness, "ops", 1, durable()).drop()
    const eve = member(harness, "eve")
    publish(harness, numbers(5))
    expect(harness.core.metrics.dropped["queue full"]).toBe(2)
    publish(harness, ["p"], 1, "jobs/public")
    expect(payloads(eve)).toEqual(["p"])
    expect(payloads(harness.resume("ops"))).toEqual(["1", "2", "3"])
    expect(harness.core.queueBytes).toBe(0)
  })
  test("until it expires: then it is counted so, and takes no room", () => {
    const harness = byAuth(atOnce, { limits: { maximumQueuedMessages: 3 } })
    member(harness, "ops", 1, durable()).drop()
    member(harness, "eve")
    const publisher = harness.client("publisher")
    const properties = { messageExpiryInterval: 5 }
    for (const payload of numbers(3)) publisher.publish("jobs/secret", payload, { qos: 1, properties })
    harness.clock.advance(6)
    publish(harness, ["4", "5"])
    expect(harness.core.metrics.dropped).toMatchObject({ "message expired": 3, "queue full": 0 })
    expect(payloads(harness.resume("ops"))).toEqual(["4", "5"])
    expect(harness.core.queueBytes).toBe(0)
  })
  test("for the same client, if it comes back and may have it then", () => {
    let isAllowed = false
    const harness = new Harness({
      auth: { authenticate: () => true, authorize: (_, action) => action !== "receive" || isAllowed },
    })
    member(harness, "away", 1, durable()).drop()
    member(harness, "a", 1, durable())
    publish(harness, ["1", "2"])
    isAllowed = true
    expect(payloads(harness.resume("a"))).toEqual(["1", "2"])
  })
  test("thousands of them are each looked at once by each who may not have them, and come in order to who may", async () => {
    const count = 10_000
    const asked = new Map<string, number>()
    const harness = new Harness({
      auth: {
        authenticate: () => true,
        authorize: ({ clientId }, action, topic) => {
          if (action === "receive") asked.set(clientId, (asked.get(clientId) ?? 0) + 1)
          return action !== "receive" || mayHave(clientId, topic)
        },
      },
    })
    member(harness, "ops", 1, durable()).drop()
    for (const id of ["eve-1", "eve-2"]) member(harness, id, 1, durable()).drop()
    publish(harness, numbers(count))
    const [one, two] = ["eve-1", "eve-2"].map((id) => harness.resume(id))
    expect(asked.get("eve-1")).toBeLessThan(count) // others have their turn meanwhile
    for (let i = 0; i < count; i += 100) await settled()
    expect(Object.fromEntries(asked)).toEqual({ "eve-1": count, "eve-2": count })
    publish(harness, ["p1", "p2"], 1, "jobs/public")
    expect([payloads(one!), payloads(two!)].flat().sort()).toEqual(["p1", "p2"])
    expect(await drain(harness.resume("ops"))).toEqual(numbers(count))
    expect(harness.core.metrics.droppedTotal).toBe(0)
  })
})

describe("is dropped and counted once, as what the group did not get, when nobody is left who has not been asked", () => {
  const about = (harness: Harness) => {
    const told: string[] = []
    harness.core.hooks.use({
      onDropped: (message, reason, clientId) => void told.push(`${message.text()} ${clientId}: ${reason}`),
    })
    return told
  }
  for (const [who, make] of deciders)
    for (const [when, give] of ways)
      for (const qos of [0, 1, 2] as const)
        test(`refused by ${who} ${when}, QoS ${qos}`, async () => {
          const harness = make(give)
          const told = about(harness)
          for (const id of ["eve-1", "eve-2"]) member(harness, id, qos, durable())
          publish(harness, ["1"], qos)
          await microtasks()
          const reason = who === "a hook" ? "refused by hook" : "not authorized"
          expect(told).toEqual([`1 ${FILTER}: ${reason}`])
          expect(harness.core.metrics.dropped[reason]).toBe(1)
          expect([harness.core.inflightCount, harness.core.queueBytes]).toEqual([0, 0])
        })
  for (const [how, leave] of [
    [
      "unsubscribes",
      (client: TestClient) => void client.send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: [FILTER] }),
    ],
    ["ends its session", (client: TestClient) => void client.disconnect(0, { sessionExpiryInterval: 0 })],
  ] as const)
    test(`the one for whom it waited ${how}`, async () => {
      const harness = byAuth(atOnce)
      const told = about(harness)
      const narrow = { clean: false, properties: { receiveMaximum: 1, sessionExpiryInterval: 60 } }
      const ops = member(harness, "ops", 2, narrow)
      member(harness, "eve")
      publish(harness, ["1"], 2)
      publish(harness, ["2", "3"])
      expect(payloads(ops)).toEqual(["1"])
      leave(ops)
      await microtasks()
      expect(told.sort()).toEqual([`2 ${FILTER}: not authorized`, `3 ${FILTER}: not authorized`])
      expect(harness.core.queueBytes).toBe(0)
    })
})

describe("while somebody decides on it", () => {
  /** A harness in which nobody hears whether eve may have a message until the test says so. */
  function undecided() {
    const answers: ((answer: boolean) => Promise<void>)[] = []
    const harness = new Harness({
      auth: {
        authenticate: () => true,
        authorize: ({ clientId }, action) => {
          if (action !== "receive" || clientId !== "eve") return true
          const { promise, resolve } = Promise.withResolvers<boolean>()
          answers.push((answer) => {
            resolve(answer)
            return microtasks()
          })
          return promise
        },
      },
    })
    return { harness, answers }
  }
  for (const qos of [1, 2] as const)
    test(`QoS ${qos}: a member that leaves and does not come back has not had it: another gets it`, async () => {
      const { harness, answers } = undecided()
      const eve = member(harness, "eve", qos)
      publish(harness, ["1"], qos)
      const ops = member(harness, "ops", qos)
      eve.drop()
      expect(await drain(ops)).toEqual(["1"])
      await answers[0]!(false)
      expect(harness.core.metrics.droppedTotal).toBe(0)
    })
  for (const qos of [1, 2] as const)
    test(`QoS ${qos}: one that comes back is asked about anew, and sent it for the first time`, async () => {
      const { harness, answers } = undecided()
      member(harness, "eve", qos, durable()).drop()
      const eve = harness.resume("eve")
      publish(harness, ["1"], qos)
      eve.drop()
      const again = harness.resume("eve")
      await answers[0]!(false)
      expect(again.take()).toEqual([])
      await answers[1]!(true)
      expect(again.take()).toMatchObject([{ cmd: "publish", dup: false }])
      expect(harness.core.metrics.droppedTotal).toBe(0)
    })
  test("QoS 0: a member that has left the group meanwhile does not get it after all", async () => {
    const { harness, answers } = undecided()
    member(harness, "eve", 0)
    const ops = member(harness, "ops", 0)
    publish(harness, ["1"], 0)
    ops.send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: [FILTER] }).take()
    await answers[0]!(false)
    expect(ops.take()).toEqual([])
    expect(harness.core.metrics.dropped["not authorized"]).toBe(1)
  })
})

describe("with a store", () => {
  const auth = {
    authenticate: () => true,
    authorize: ({ clientId }: Client, action: string, topic: string) =>
      action !== "receive" || mayHave(clientId, topic),
  }
  test("what has waited for the store, and then cannot go to whom it was for, goes to who may have it at once", async () => {
    const store = new LateStore()
    const only: Record<string, string | undefined> = { ops: "jobs/secret", "eve-2": "jobs/public" }
    const authorize = ({ clientId }: Client, action: string, topic: string) =>
      action !== "receive" || topic === only[clientId] || topic === "own"
    const harness = new Harness({ store, auth: { authenticate: () => true, authorize } })
    const join = async (clientId: string, qos: QoS) => {
      const properties = { sessionExpiryInterval: 3600, ...(clientId === "eve-1" && { receiveMaximum: 1 }) }
      const client = harness.connect({ clientId, clean: false, properties })
      await store.commitAll()
      client.subscribe([FILTER, "own"], { qos })
      await store.commitAll()
      client.take()
      return client
    }
    const [ops, , other] = [await join("ops", 1), await join("eve-1", 2), await join("eve-2", 2)]
    publish(harness, ["1"], 2) // to ops
    publish(harness, ["2"], 2, "jobs/public") // to eve-1, who may have nothing, when it is durable
    publish(harness, ["full"], 1, "own") // so that eve-1 does not look for more
    publish(harness, ["3"], 2) // to eve-2, likewise: while 2 is being offered
    await store.commitAll()
    expect([payloads(ops), payloads(other)]).toEqual([
      ["1", "full", "3"],
      ["full", "2"],
    ])
  })

  for (const qos of [1, 2] as const)
    for (const [name, fields] of [
      ["ends with its connection", {}],
      ["outlives it", durable()],
    ] as const)
      test(`QoS ${qos}, a member whose session ${name}: a crash loses nothing, and what is done is gone`, async () => {
        const runs = new Runs({}, memory(), auth)
        const ops = await runs.client("ops")
        await runs.subscribe(ops, FILTER, { qos })
        await runs.drop(ops)
        const eve = await runs.client("eve", fields)
        await runs.subscribe(eve, FILTER, { qos })
        await runs.publish("jobs/secret", numbers(5), { qos })
        expect(eve.take()).toEqual([])
        await runs.restart()
        if (name === "outlives it") expect((await runs.resume("eve")).take()).toEqual([])
        expect(await runs.drain(await runs.resume("ops"))).toEqual(numbers(5))
        for (const owner of [FILTER, "eve", "ops"]) {
          expect(await runs.store.page(owner, Number.MIN_SAFE_INTEGER, 100)).toEqual([])
        }
        expect(await runs.stored("inflight")).toEqual([])
        expect(runs.harness.core.metrics.droppedTotal).toBe(0)
      })
})

/** `onWill`: a will that is due is changed, kept from everybody, or waits, over a crash if need be. */
import { describe, expect, test } from "bun:test"
import { ApplicationMessage } from "../../src/broker/application-message.ts"
import type { Hooks } from "../../src/broker/hooks.ts"
import { restore } from "../../src/broker/restore.ts"
import { memory } from "../../src/store/memory.ts"
import { ways } from "../support/door.ts"
import { type ConnectFields, durable, Harness } from "../support/harness.ts"
import { witnessed } from "../support/hooked.ts"
import { Late } from "../support/late.ts"
import { observe } from "../support/observed.ts"
import { LateStore, microtasks } from "../support/store.ts"
import { levels } from "./wire.ts"

type OnWill = NonNullable<Hooks["onWill"]>
type Will = NonNullable<ConnectFields["will"]>

const will = (fields: Partial<Will> = {}): { will: Will } => ({
  will: { topic: "will", payload: Buffer.from("bye"), qos: 0, retain: false, ...fields },
})

const hooked = (onWill: OnWill) => witnessed({ onWill })

describe("is asked about a will when it is due", () => {
  for (const level of levels)
    test(`level ${level}: with all of it, and whose it is`, async () => {
      const asked: unknown[] = []
      const { harness } = hooked(({ topic, qos, retain, properties, payload }, clientId) => {
        asked.push({ topic, qos, retain, properties, payload }, clientId)
      })
      const properties = level === 5 ? { properties: { contentType: "t", willDelayInterval: 0 } } : {}
      harness.client("a", { level, ...will({ qos: 2, retain: true, ...properties }) }).drop()
      expect(asked).toEqual([
        {
          topic: "will",
          qos: 2,
          retain: true,
          properties: level === 5 ? { contentType: "t" } : {},
          payload: Buffer.from("bye"),
        },
        "a",
      ])
    })
  test("not before its delay is over, and not if it is forgotten", async () => {
    const asked: string[] = []
    const { harness } = hooked((_, clientId) => void asked.push(clientId))
    const delayed = { ...durable(), ...will({ properties: { willDelayInterval: 10 } }) }
    harness.client("a", delayed).drop()
    harness.client("b", delayed).drop()
    harness.client("c", will()).disconnect()
    harness.resume("b", durable())
    harness.clock.advance(9)
    expect(asked).toEqual([])
    harness.clock.advance(2)
    expect(asked).toEqual(["a"])
  })
})

describe("what it makes of a will is published", () => {
  for (const [when, give] of ways) {
    test(`as it is, ${when}`, async () => {
      const { harness, witness } = hooked(() => give(undefined))
      harness.client("a", will({ qos: 1, retain: true })).drop()
      await microtasks()
      expect(witness.take()).toMatchObject([{ topic: "will", payload: Buffer.from("bye"), qos: 1, retain: true }])
      expect(harness.core.retained.count).toBe(1)
    })
    test(`another one, ${when}`, async () => {
      const { harness, witness } = hooked((message, clientId) =>
        give(message.with({ topic: `gone/${clientId}`, payload: `${message.text()}!`, qos: 2, retain: true })),
      )
      harness.client("a", will()).drop()
      await microtasks()
      expect(witness.take()).toMatchObject([{ topic: "gone/a", payload: Buffer.from("bye!"), qos: 2, retain: true }])
    })
    test(`not to the session that left it, where that has No Local, ${when}`, async () => {
      const { harness, witness } = hooked((message) => give(message.with({ payload: "x" })))
      harness
        .client("a", { ...durable(), ...will({ qos: 1 }) })
        .subscribe("will", { qos: 1, nl: true })
        .drop()
      await microtasks()
      expect(witness.messages()).toEqual(["will x"])
      expect(harness.resume("a").messages()).toEqual([])
    })
  }
  const refusals: [how: string, onWill: OnWill, isFailure: boolean][] = [
    ["false", () => false, false],
    [
      "an exception",
      () => {
        throw new Error("broken")
      },
      true,
    ],
    ["nonsense", () => "x" as never, true],
    ["`$SYS`", (message) => message.with({ topic: "$SYS/x" }), true],
  ]
  for (const when of ["at once", "late"])
    for (const [how, onWill, isFailure] of refusals)
      test(`nothing, by ${how}, ${when}`, async () => {
        const { harness, witness } = hooked((message, clientId) =>
          when === "late" ? Promise.try(onWill, message, clientId) : onWill(message, clientId),
        )
        const dropped = observe(harness.core.hooks, "onDropped", "onPublished")
        harness.client("a", will({ retain: true })).drop()
        expect(await dropped()).toEqual(["dropped will bye 0 retain for a: refused by hook"])
        expect(witness.take()).toEqual([])
        expect([harness.core.metrics.hooksFailed, harness.core.retained.count]).toEqual([isFailure ? 1 : 0, 0])
      })
})

describe("while it thinks", () => {
  test("everything else goes on, the client itself too, and nobody waits", async () => {
    const late = new Late<undefined>()
    const { harness, witness } = hooked((_, clientId) => late.ask(clientId))
    const published = observe(harness.core.hooks, "onPublished")
    harness.client("a", { ...durable(), ...will() }).drop()
    harness.resume("a").publish("t", "back")
    await microtasks()
    expect(witness.messages()).toEqual(["t back"])
    await late.give("a", undefined)
    expect(witness.messages()).toEqual(["will bye"])
    expect(harness.core.wills.undecided.size).toBe(0)
    expect(await published()).toEqual(["published t back 0 by a", "published will bye 0 by nobody"])
  })
  test("its time goes on [MQTT-3.3.2-6]", async () => {
    for (const rewrite of [false, true]) {
      const late = new Late<undefined>()
      const { harness, witness } = hooked(async (message, clientId) => {
        await late.ask(clientId)
        return rewrite ? message.with({ payload: "x" }) : undefined
      })
      const dropped = observe(harness.core.hooks, "onDropped")
      for (const clientId of ["a", "b"]) {
        harness.client(clientId, will({ properties: { messageExpiryInterval: 10 } })).drop()
      }
      harness.clock.advance(4)
      await late.give("a", undefined)
      expect(witness.take()).toMatchObject([{ properties: { messageExpiryInterval: 6 } }])
      harness.clock.advance(7)
      await late.give("b", undefined)
      expect(witness.take()).toEqual([])
      expect(await dropped()).toEqual([`dropped will ${rewrite ? "x" : "bye"} 0 for b: message expired`])
    }
  })
  test("and is never done, nothing is held but the will", async () => {
    const { harness } = hooked(() => new Promise(() => {}))
    for (let i = 0; i < 5; i++) harness.client("a", will()).drop()
    expect([harness.core.sessions.size, harness.core.wills.undecided.size]).toEqual([1, 5])
  })
})

describe("with a store, a will on which nobody has decided survives a crash", () => {
  let runs = 0
  /** A broker that begins with what `disk` holds, some time after the one before it. */
  async function started(disk: ReturnType<typeof memory>, onWill?: OnWill) {
    const store = new LateStore(disk)
    const harness = new Harness({ store })
    harness.clock.advance(200 * runs++)
    if (onWill !== undefined) harness.core.hooks.use({ onWill })
    const published = observe(harness.core.hooks, "onPublished", "onSessionExpired")
    await restore(harness.core, store)
    return { store, harness, published }
  }
  /** A client has gone whose will waits for an answer that never comes; all of it is stored. */
  async function undecided(fields: ConnectFields = durable()) {
    const disk = memory()
    const { store, harness } = await started(disk, () => new Promise(() => {}))
    const client = harness.connect({ clientId: "a", ...fields, ...will({ qos: 1 }) })
    await store.commitAll()
    client.drop()
    await store.commitAll()
    return disk
  }
  test("it is asked about again, by the name of its client, and published once", async () => {
    const disk = await undecided()
    const late = new Late<ApplicationMessage>()
    const second = await started(disk, (_, clientId) => late.ask(clientId))
    await second.store.commitAll()
    expect([late.asked, await second.published()]).toEqual([["a"], []])
    expect(second.harness.core.sessions.get("a")).toBeDefined()
    await late.give("a", ApplicationMessage.create("will", "decided", { qos: 1, retain: true }))
    await second.store.commitAll()
    expect(await second.published()).toEqual(["published will decided 1 retain by nobody"])
    const third = await started(disk, () => expect.unreachable())
    await third.store.commitAll()
    expect(await third.published()).toEqual([])
    expect(third.harness.core.retained.count).toBe(1)
  })
  test("crash after crash", async () => {
    const disk = await undecided()
    for (let i = 0; i < 3; i++) {
      const asked: string[] = []
      const { store } = await started(disk, (_, clientId) => {
        asked.push(clientId)
        return new Promise(() => {})
      })
      await store.commitAll()
      expect(asked).toEqual(["a"])
    }
    const { store, published } = await started(disk)
    await store.commitAll()
    expect(await published()).toEqual(["published will bye 1 by nobody"])
  })
  test("where no hook decides any more it is published", async () => {
    const { published, store, harness } = await started(await undecided())
    await store.commitAll()
    expect(await published()).toEqual(["published will bye 1 by nobody"])
    expect(harness.core.metrics.sessionsExpired).toBe(0)
  })
  test("what is decided is stored with what it causes: a crash finds the one or the other", async () => {
    const disk = memory()
    const late = new Late<undefined>()
    const { store, harness } = await started(disk, (_, clientId) => late.ask(clientId))
    const subscriber = harness.connect({ clientId: "s", ...durable() })
    await store.commitAll()
    subscriber.subscribe("will", { qos: 1 })
    await store.commitAll()
    subscriber.drop()
    const client = harness.connect({ clientId: "a", ...durable(), ...will({ qos: 1 }) })
    await store.commitAll()
    client.drop()
    await store.commitAll()
    await late.give("a", undefined)
    expect(store.pending).toHaveLength(1)
    const kinds = store.pending[0]!.changes.map((change) => change.kind)
    expect(kinds).toEqual(["queued", "sessionRemoved"])
    expect(store.pending[0]!.changes).toMatchObject([
      { delivery: { owner: "s" } },
      { clientId: expect.stringMatching(/^\$will\/[-0-9a-f]{36}\/a$/) },
    ])
  })
  test("one that is refused is gone", async () => {
    const disk = memory()
    const late = new Late<false>()
    const { store, harness } = await started(disk, (_, clientId) => late.ask(clientId))
    const client = harness.connect({ clientId: "a", ...durable(), ...will({ qos: 1 }) })
    await store.commitAll()
    client.drop()
    await store.commitAll()
    await late.give("a", false)
    await store.commitAll()
    const next = await started(disk, () => expect.unreachable())
    expect(await next.published()).toEqual([])
  })
  test("not that of a session which ends with its connection: of that nothing is stored", async () => {
    const disk = memory()
    const { store, harness } = await started(disk, () => new Promise(() => {}))
    harness.client("a", will()).drop()
    await store.commitAll()
    expect(store.committed).toEqual([])
  })
  test("one at once needs no such care", async () => {
    const disk = memory()
    const { store, harness } = await started(disk, () => undefined)
    const client = harness.connect({ clientId: "a", ...durable(), ...will() })
    await store.commitAll()
    client.drop()
    await store.commitAll()
    const names = store.committed.flatMap((change) => ("session" in change ? [change.session.clientId] : []))
    expect(new Set(names)).toEqual(new Set(["a"]))
  })
  test("its delay is not waited for again", async () => {
    const disk = memory()
    const { store, harness } = await started(disk, () => new Promise(() => {}))
    const fields = { ...durable(), ...will({ properties: { willDelayInterval: 100 } }) }
    const client = harness.connect({ clientId: "a", ...fields })
    await store.commitAll()
    client.drop()
    harness.clock.advance(101)
    await store.commitAll()
    const next = await started(disk)
    await next.store.commitAll()
    expect(await next.published()).toEqual(["published will bye 0 by nobody"])
  })
  test("the client ids by which it is kept are nobody's", () => {
    const harness = new Harness()
    for (const clientId of ["$will/x", "$share/g/t", "$local/1"]) {
      expect(harness.connect({ clientId }).take()).toMatchObject([{ cmd: "connack", reasonCode: 0x85 }])
    }
    harness.client("$willy")
  })
})

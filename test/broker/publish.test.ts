/** What the embedding service publishes itself: any value as JSON, from anywhere, hooks included. */
import { describe, expect, test } from "bun:test"
import { ApplicationMessage } from "../../src/broker/application-message.ts"
import { Broker } from "../../src/broker/broker.ts"
import { ManjuError } from "../../src/broker/errors.ts"
import type { Hooks } from "../../src/broker/hooks.ts"
import type { QoS } from "../../src/codec/index.ts"
import { told } from "../connection/wire.ts"
import { embed } from "../support/embedded.ts"
import { type ConnectFields, durable, type TestClient } from "../support/harness.ts"
import { Late } from "../support/late.ts"
import { observe } from "../support/observed.ts"
import { LateStore, microtasks } from "../support/store.ts"

/** The code of the `ManjuError` that it rejects with. */
async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  const error = await promise.then(
    () => undefined,
    (reason) => reason,
  )
  expect(error).toBeInstanceOf(ManjuError)
  return (error as ManjuError).code
}

/** A broker and somebody who gets everything. */
async function witnessed(fields: ConnectFields = {}) {
  const embedded = await embed()
  const witness = embedded.client("witness", fields).subscribe("#", { qos: 2 })
  witness.take()
  return { ...embedded, witness }
}

const unsubscribe = (client: TestClient) =>
  client.subscribe("x").send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: ["x"] })

describe("with `json` the payload is any value", () => {
  const values: unknown[] = [{ celsius: 21.5 }, [1, null], "text", "", 0, false, null, new Date(0), { toJSON: () => 5 }]
  for (const value of values)
    test(`${Bun.inspect(value, { compact: true })} is sent as its JSON`, async () => {
      const { broker, witness } = await witnessed()
      await broker.publish("t", value, { json: true })
      await microtasks()
      expect(witness.messages()).toEqual([`t ${JSON.stringify(value)}`])
    })

  const circle: Record<string, unknown> = {}
  circle.self = circle
  const unsendable: [name: string, value: unknown][] = [
    ["undefined", undefined],
    ["a function", () => 1],
    ["a symbol", Symbol("s")],
    ["a BigInt", 1n],
    ["a BigInt within", { deep: [1n] }],
    ["a circle", circle],
    [
      "what throws",
      {
        toJSON() {
          throw new Error("no")
        },
      },
    ],
  ]
  for (const [name, value] of unsendable)
    test(`${name} is refused with INVALID_OPTION`, async () => {
      const { broker, witness, client } = await witnessed()
      await expect(broker.publish("t", value, { json: true })).rejects.toThrow("cannot be sent as JSON")
      expect(await codeOf(broker.publish("t", value, { json: true }))).toBe("INVALID_OPTION")
      expect(await codeOf(broker.request("t", value, { json: true }))).toBe("INVALID_OPTION")
      let request: Parameters<Broker["reply"]>[0] | undefined
      broker.use({ onMessage: (message) => void (request = message) })
      client("p").publish("ask", "x", { properties: { responseTopic: "answer" } })
      expect(await codeOf(broker.reply(request!, value, { json: true }))).toBe("INVALID_OPTION")
      expect(witness.messages()).toEqual(["ask x"])
    })
  test("without it what is neither text nor bytes is refused", async () => {
    const { broker } = await witnessed()
    for (const value of [undefined, null, 5, {}, [1]]) {
      expect(await codeOf(broker.publish("t", value as never))).toBe("INVALID_OPTION")
    }
  })
})

test("no hook decides on it, and observers see it as nobody's", async () => {
  const { broker, core, witness } = await witnessed()
  const asked: string[] = []
  broker.use({ onMessage: () => void asked.push("message"), onWill: () => void asked.push("will") })
  const observed = observe(core.hooks, "onPublished", "onRetained", "onDelivered")
  await broker.publish("t", "x", { qos: 1, retain: true })
  expect(await observed()).toEqual([
    "retained t x 1 retain",
    "delivered t x 1 to witness",
    "published t x 1 retain by nobody",
  ])
  expect([asked, witness.messages()]).toEqual([[], ["t x"]])
})

test("onDeliver decides on it, client by client", async () => {
  const { broker, client, witness } = await witnessed()
  const other = client("other").subscribe("t")
  broker.use({ onDeliver: (message, { clientId }) => clientId === "other" && message.with({ payload: "changed" }) })
  await broker.publish("t", "x")
  await microtasks()
  expect([witness.messages(), other.messages()]).toEqual([[], ["t changed"]])
})

describe("from within a hook", () => {
  type Client = Awaited<ReturnType<typeof witnessed>>
  const will = { topic: "will", payload: Buffer.from("bye"), qos: 0, retain: false } as const
  const arrive = ({ client }: Client) => client("a", { ...durable(), will })
  const broken = () => {
    throw new Error("broken")
  }
  /** What makes the broker call each hook, and what the witness then gets, in its order. */
  const causes: [hook: keyof Hooks, cause: (given: Client) => unknown, expected: string[]][] = [
    ["onConnect", arrive, ["made "]],
    ["onAuthenticate", arrive, ["made "]],
    ["onSubscribe", (given) => arrive(given).subscribe("x"), ["made "]],
    ["onUnsubscribe", (given) => unsubscribe(arrive(given)), ["made "]],
    ["onMessage", (given) => arrive(given).publish("t", "x"), ["made ", "t x"]],
    ["onDeliver", (given) => arrive(given).publish("t", "x"), ["t x", "made "]],
    ["onWill", (given) => arrive(given).drop(), ["made ", "will bye"]],
    ["onConnected", arrive, ["made "]],
    ["onDisconnected", (given) => arrive(given).drop(), ["will bye", "made "]],
    ["onSubscribed", (given) => arrive(given).subscribe("x"), ["made "]],
    ["onUnsubscribed", (given) => unsubscribe(arrive(given)), ["made "]],
    ["onPublished", (given) => arrive(given).publish("t", "x"), ["t x", "made "]],
    ["onDelivered", (given) => arrive(given).publish("t", "x"), ["t x", "made "]],
    [
      "onAcknowledged",
      (given) => {
        arrive(given).publish("t", "x", { qos: 1 })
        given.witness.ack("puback", 1)
      },
      ["t x", "made "],
    ],
    ["onDropped", (given) => arrive(given).publish("t", "x".repeat(100)), ["made "]],
    ["onRetained", (given) => arrive(given).publish("t", "x", { retain: true }), ["t x", "made "]],
    [
      "onRetainedExpired",
      (given) => {
        arrive(given).publish("t", "x", { retain: true, properties: { messageExpiryInterval: 1 } })
        given.clock.advance(2)
      },
      ["t x", "made "],
    ],
    [
      "onSessionExpired",
      (given) => {
        given.client("a", durable()).drop()
        given.clock.advance(3601)
      },
      ["made "],
    ],
    ["onPacketReceived", arrive, ["made "]],
    [
      "onPacketSent",
      (given) => {
        given.witness.drop()
        given.witness = given.client("new").subscribe("made")
      },
      ["made "],
    ],
    [
      "onError",
      (given) => {
        given.broker.use({ onSubscribe: broken })
        arrive(given).subscribe("x")
      },
      ["made "],
    ],
  ]
  for (const [hook, cause, expected] of causes)
    test(`${hook}: in its place`, async () => {
      const isLimited = hook === "onDropped"
      const given = await witnessed(isLimited ? { properties: { maximumPacketSize: 50 } } : {})
      const published: Promise<void>[] = []
      given.broker.use({
        [hook]: () => {
          if (published.length === 0) published.push(given.broker.publish("made", ""))
        },
      })
      cause(given)
      await microtasks()
      await Promise.all(published)
      await microtasks()
      expect([published.length, given.witness.messages()]).toEqual([1, expected])
    })

  for (const qos of [0, 1, 2] as const satisfies QoS[])
    test(`onDeliver, QoS ${qos}: after the message that is being handed round, everywhere and in the order of the calls`, async () => {
      const { broker, client } = await embed()
      const clients = ["a", "b", "c"].map((id) => client(id).subscribe("#", { qos: 2 }))
      for (const each of clients) each.take()
      broker.use({
        onDeliver({ topic }, { clientId }) {
          if (topic !== "t") return
          for (const i of [1, 2]) void broker.publish(`made/${clientId}/${i}`, "", { qos })
        },
      })
      client("p").publish("t", "x", { qos })
      await microtasks()
      const expected = ["t x", ...["a", "b", "c"].flatMap((id) => [`made/${id}/1 `, `made/${id}/2 `])]
      expect(clients.map((each) => each.messages())).toEqual([expected, expected, expected])
    })

  test("an auth that publishes while it is asked who may receive comes after the message, too", async () => {
    const { broker, core, client } = await embed()
    const authority = {
      authorize(_: unknown, action: string, topic: string) {
        if (action === "receive" && topic === "t") void broker.publish("made", "")
        return true
      },
    }
    broker.use({ onAuthenticate: () => ({ authenticated: true, authority }) })
    const clients = ["a", "b"].map((id) => client(id).subscribe("#"))
    for (const each of clients) each.take()
    client("p").publish("t", "x")
    await microtasks()
    expect(clients.map((each) => each.messages())).toEqual(Array(2).fill(["t x", "made ", "made "]))
    expect(core.isAsking).toBe(false)
  })

  test("onDeliver that gives back to a share group what another member takes: what it publishes comes after all of that", async () => {
    const { broker, client } = await embed()
    const leaving = broker.subscribe("$share/g/work", { qos: 1, buffer: 1 })
    await broker.publish("work", "x", { qos: 1 })
    const clients = ["a", "b"].map((id) => client(id).subscribe("t").subscribe("made"))
    clients[0]!.subscribe("$share/g/work", { qos: 1 })
    for (const each of clients) each.take()
    let isFirst = true
    broker.use({
      onDeliver({ topic }) {
        if (topic !== "t" || !isFirst) return
        isFirst = false
        leaving.close()
        void broker.publish("made", "")
      },
    })
    client("p").publish("t", "x")
    await microtasks()
    expect(clients.map((each) => each.messages())).toEqual([
      ["t x", "work x", "made "],
      ["t x", "made "],
    ])
  })

  test("onDeliver that throws after it has published leaves the broker as it was", async () => {
    const { broker, core, client, witness } = await witnessed()
    broker.use({
      onDeliver({ topic }) {
        if (topic === "made") return
        void broker.publish("made", "")
        throw new Error("broken")
      },
    })
    client("p").publish("t", "x")
    await microtasks()
    expect([core.isAsking, witness.messages()]).toEqual([false, ["made "]])
  })

  test("a hook that waits for its own message to be stored holds up its client, and nobody else", async () => {
    const store = new LateStore()
    const { broker, client } = await embed({ store })
    const subscriber = client("s", durable())
    await store.commitAll()
    subscriber.subscribe("made", { qos: 1 })
    await store.commitAll()
    subscriber.take()
    broker.use({
      async onMessage({ topic }) {
        if (topic === "slow") await broker.publish("made", "", { qos: 1 })
      },
    })
    const slow = client("p").publish("slow", "x", { qos: 1 })
    await microtasks()
    const other = client("o").publish("quick", "x", { qos: 1 })
    await microtasks()
    slow.take()
    expect([told(slow), other.take().some(({ cmd }) => cmd === "puback")]).toEqual(["open", true])
    await store.commitAll()
    expect([told(slow), subscriber.messages()]).toEqual(["puback 10, open", ["made "]])
  })
})

describe("onStarted and onStopped", () => {
  test("once, when what the store holds is there, and when everything has ended", async () => {
    const store = new LateStore()
    const before = await embed({ store })
    before.client("a", durable())
    await store.commitAll()
    await before.broker.close({ timeoutMs: 1 })
    const broker = new Broker({ store, limits: { sysIntervalSeconds: 0 } })
    const lines: string[] = []
    broker.use({
      onStarted: () => lines.push("started"),
      onStopped: () => lines.push("stopped"),
    })
    await microtasks()
    expect(lines).toEqual([])
    await broker.open()
    await broker.open()
    await microtasks()
    expect(lines).toEqual(["started"])
    await broker.close({ timeoutMs: 50 })
    await broker.close()
    expect(lines).toEqual(["started", "stopped"])
  })
  test("those who are sent away and their wills come before the end", async () => {
    const { broker, core, client } = await embed()
    const observed = observe(core.hooks, "onDisconnected", "onPublished", "onStopped")
    const late = new Late<ApplicationMessage>()
    broker.use({ onWill: (_, clientId) => late.ask(clientId) })
    const departing = client("a", { will: { topic: "w", payload: Buffer.from("bye"), qos: 0, retain: false } })
    const closing = broker.close({ timeoutMs: 60_000 })
    await microtasks()
    departing.drop()
    await Bun.sleep(60) // by now `close` waits for nothing but the hook, whose answer comes late; earlier it would do no harm
    await late.give("a", ApplicationMessage.create("w", "late"))
    await closing
    expect(await observed()).toEqual(["disconnected a by broker 8b", "published w late 0 by nobody", "stopped 1 0 0"])
  })
})

test("hooks that fail are counted in `$SYS`", async () => {
  const { broker, client, clock } = await embed({ limits: { sysIntervalSeconds: 10 } })
  const watcher = client("w").subscribe("$SYS/broker/hooks/failed")
  expect(watcher.messages()).toEqual(["$SYS/broker/hooks/failed 0"])
  broker.use({
    onMessage() {
      throw new Error("broken")
    },
  })
  client("a").publish("t").publish("t")
  clock.advance(11)
  await microtasks()
  expect(watcher.messages()).toEqual(["$SYS/broker/hooks/failed 2"])
})

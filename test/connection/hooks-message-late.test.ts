/** `onMessage` that takes its time: what waits for it, what has ended meanwhile, and what the store is told. */
import { describe, expect, test } from "bun:test"
import { ApplicationMessage } from "../../src/broker/application-message.ts"
import type { Hooks } from "../../src/broker/hooks.ts"
import { Reason } from "../../src/codec/index.ts"
import { ways } from "../support/door.ts"
import { durable, Harness, type HarnessOptions, type TestClient } from "../support/harness.ts"
import { allQoS, witnessed } from "../support/hooked.ts"
import { Late } from "../support/late.ts"
import { LateStore, microtasks } from "../support/store.ts"
import { levels, told } from "./wire.ts"

type OnMessage = NonNullable<Hooks["onMessage"]>

const hooked = (onMessage: OnMessage, options?: HarnessOptions) => witnessed({ onMessage }, options)

async function publish(client: TestClient, ...parameters: Parameters<TestClient["publish"]>): Promise<void> {
  client.publish(...parameters)
  await microtasks()
}

describe("while a message waits for it", () => {
  const waiting = (options: HarnessOptions = {}) => {
    const late = new Late<Awaited<ReturnType<OnMessage>>>()
    const decide = (message: ApplicationMessage) =>
      message.text().startsWith("l") ? late.ask(message.text()) : undefined
    return { late, ...hooked(decide, options) }
  }

  for (const level of levels) {
    test(`level ${level}: the client's other packets wait behind it, and nobody else's`, async () => {
      const { late, harness, witness } = waiting()
      const client = harness.client("a", { level })
      client
        .publish("t", "l1", { qos: 1 })
        .publish("t", "2")
        .publish("t", "l3", { qos: 2 })
        .publish("t", "4", { qos: 1 })
      client.publish("t", "l5").send({ cmd: "pingreq" })
      harness.client("b", { level }).publish("t", "passes")
      expect([late.asked, witness.messages(), client.isPaused, client.received]).toEqual([
        ["l1"],
        ["t passes"],
        true,
        [],
      ])
      await late.give("l1", undefined)
      expect(witness.messages()).toEqual(["t l1", "t 2"])
      await late.give("l3", ApplicationMessage.create("t", "changed", { qos: 0 }))
      expect(witness.messages()).toEqual(["t changed", "t 4"])
      await late.give("l5", false)
      expect(witness.messages()).toEqual([])
      expect(client.take().map(({ cmd }) => cmd)).toEqual(["puback", "pubrec", "puback", "pingresp"])
      expect(client.isPaused).toBe(false)
    })
    for (const qos of allQoS)
      test(`level ${level}: one of QoS ${qos} whose client goes away meanwhile has not been published`, async () => {
        const { late, harness, witness } = waiting()
        const client = harness.client("a", durable(level)).publish("t", "late", { qos, messageId: 5, retain: true })
        client.drop()
        await late.give("late", undefined)
        expect([witness.messages(), harness.core.retained.count]).toEqual([[], 0])
        const again = harness.resume("a", durable(level))
        if (qos === 0) return
        again.publish("t", "late", { qos, messageId: 5, dup: true })
        await late.give("late", undefined)
        expect(witness.messages()).toEqual(["t late"])
        expect(again.take().map(({ cmd }) => cmd)).toEqual([qos === 1 ? "puback" : "pubrec"])
      })
    test(`level ${level}: nor one whose session is taken over`, async () => {
      const { late, harness, witness } = waiting()
      harness.client("a", durable(level)).publish("t", "late", { qos: 2, messageId: 5 })
      const next = harness.resume("a", durable(level)).publish("t", "mine", { qos: 1 })
      await late.give("late", undefined)
      expect(witness.messages()).toEqual(["t mine"])
      expect(next.take().map(({ cmd }) => cmd)).toEqual(["puback"])
      expect(harness.core.sessions.get("a")!.receivedIds.size).toBe(0)
    })
    test(`level ${level}: it is the one that came, whatever its chunk holds by then`, async () => {
      const { late, harness, witness } = waiting()
      const packet = Buffer.from(level === 5 ? "3007000174006c6174" : "30060001746c6174", "hex")
      harness.client("a", { level }).connection.receive(packet)
      packet.fill(0)
      await late.give("lat", undefined)
      expect(witness.messages()).toEqual(["t lat"])
    })
  }

  test("its time goes on [MQTT-3.3.2-6], also where it is rewritten", async () => {
    for (const rewrite of [false, true]) {
      const late = new Late<undefined>()
      const { harness, witness } = hooked(async (message) => {
        await late.ask("m")
        return rewrite ? message.with({ payload: "other" }) : undefined
      })
      harness.client("a").publish("t", "x", { properties: { messageExpiryInterval: 10 } })
      harness.clock.advance(4)
      await late.give("m", undefined)
      expect(witness.take()).toMatchObject([{ properties: { messageExpiryInterval: 6 } }])
    }
  })
  for (const qos of allQoS)
    for (const rewrite of [false, true])
      test(`QoS ${qos}: one that expires is taken, and goes to nobody${rewrite ? ", rewritten or not" : ""}`, async () => {
        const late = new Late<undefined>()
        const { harness, witness } = hooked(async (message) => {
          await late.ask("m")
          return rewrite ? message.with({ payload: "other" }) : undefined
        })
        const client = harness.client("a")
        client.publish("t", "x", { qos, messageId: 5, retain: true, properties: { messageExpiryInterval: 10 } })
        harness.clock.advance(11)
        await late.give("m", undefined)
        expect(witness.messages()).toEqual([])
        expect(told(client)).toBe(["open", "puback 00, open", "pubrec 00, open"][qos]!)
        expect([harness.core.metrics.dropped["message expired"], harness.core.retained.count]).toEqual([1, 0])
      })
  test("a hook that ends the connection has published nothing", async () => {
    for (const [, give] of ways) {
      const { harness, witness } = hooked((_, client) => {
        client.disconnect(Reason.QuotaExceeded)
        return give(undefined)
      })
      const client = harness.client("a", durable())
      await publish(client, "t", "x", { qos: 2, messageId: 5 })
      expect([told(client), witness.messages()]).toEqual(["disconnect 97, closed", []])
      expect(harness.core.sessions.get("a")!.receivedIds.size).toBe(0)
    }
  })
  test("one that asks the auth late and a hook late is asked about once each", async () => {
    const auth = { authenticate: () => true, authorize: async () => true }
    const { late, harness, witness } = waiting({ auth })
    await microtasks()
    witness.take()
    const client = harness.client("a")
    await publish(client, "t", "late", { qos: 1 })
    expect(late.asked).toEqual(["late"])
    await late.give("late", undefined)
    expect(witness.messages()).toEqual(["t late"])
  })
  test("one above the publish rate is asked about when its turn comes, once", async () => {
    const asked: string[] = []
    const { harness, witness } = hooked((message) => void asked.push(message.text()), {
      limits: { maximumPublishRate: 1 },
    })
    harness.client("a").publish("t", "1").publish("t", "2")
    expect(asked).toEqual(["1"])
    harness.clock.advance(2)
    await microtasks()
    expect([asked, witness.messages()]).toEqual([
      ["1", "2"],
      ["t 1", "t 2"],
    ])
  })
})

describe("with a store", () => {
  test("an acknowledgement waits for what was recorded, as without hooks", async () => {
    for (const [, give] of ways) {
      const store = new LateStore()
      const harness = new Harness({ store })
      harness.core.hooks.use({ onMessage: (message) => give(message.with({ topic: "moved" })) })
      const subscriber = harness.connect({ clientId: "s", ...durable() })
      await store.commitAll()
      subscriber.subscribe("moved", { qos: 2 })
      await store.commitAll()
      const client = harness.client("a")
      await publish(client, "t", "x", { qos: 1 })
      expect(client.take()).toEqual([])
      expect(store.pending[0]!.changes).toMatchObject([
        { kind: "queued", delivery: { owner: "s", message: { topic: "moved" } } },
        { kind: "sent" },
      ])
      await store.commitAll()
      expect(told(client)).toBe("puback 00, open")
    }
  })
  test("so does that of a message of QoS 2 that goes to nobody: a crash must not ask about it again", async () => {
    for (const [, give] of ways) {
      const store = new LateStore()
      const harness = new Harness({ store })
      harness.core.hooks.use({ onMessage: () => give(Reason.Success) })
      const client = harness.connect({ clientId: "a", ...durable() })
      await store.commitAll()
      client.take()
      await publish(client, "t", "x", { qos: 2, messageId: 5 })
      expect(client.take()).toEqual([])
      expect(store.pending[0]!.changes).toEqual([{ kind: "received", clientId: "a", packetId: 5 }])
      await store.commitAll()
      expect(told(client)).toBe("pubrec 00, open")
      client.ack("pubrel", 5)
      await store.commitAll()
      expect(told(client)).toBe("pubcomp 00, open")
    }
  })
  test("a refusal has nothing to wait for, and one for nobody at QoS 1 neither", async () => {
    const store = new LateStore()
    const harness = new Harness({ store })
    harness.core.hooks.use({ onMessage: ({ topic }) => (topic === "no" ? false : Reason.Success) })
    const client = harness.connect({ clientId: "a", ...durable() })
    await store.commitAll()
    client.take()
    client.publish("no", "x", { qos: 2, retain: true }).publish("nobody", "x", { qos: 1, retain: true })
    expect(told(client)).toBe("pubrec 87, puback 00, open")
    expect([store.pending, harness.core.changes.appended - harness.core.changes.durable]).toEqual([[], 0])
  })
  test("a message that waits for room in the journal is asked about once", async () => {
    const store = new LateStore()
    const harness = new Harness({ store, limits: { maximumUnstoredBytes: 1024 } })
    const asked: string[] = []
    harness.core.hooks.use({
      onMessage(message) {
        asked.push(message.text())
        return message.with({ payload: `${message.text()}!` })
      },
    })
    const client = harness.client("a")
    for (let i = 0; i < 4; i++) client.publish(`t${i}`, `${i}`.repeat(500), { qos: 1, retain: true })
    await store.commitAll()
    await store.commitAll()
    expect(asked.map((text) => text[0])).toEqual(["0", "1", "2", "3"])
    const kept = [0, 1, 2, 3].map((i) => harness.core.retainedMessage(`t${i}`)!.payloadBytes)
    expect(kept).toEqual([501, 501, 501, 501])
    expect(told(client)).toBe("puback 10, puback 10, puback 10, puback 10, open")
  })
})

/** A client identifier that is connected already. */
import { describe, expect, test } from "bun:test"
import type { Auth, Decision } from "../../src/broker/ports.ts"
import type { ProtocolLevel } from "../../src/codec/index.ts"
import { type ConnectFields, Harness } from "../support/harness.ts"
import { LateStore, microtasks } from "../support/store.ts"
import { levels, thrownOut, told } from "./wire.ts"

const lasting = (level: ProtocolLevel): ConnectFields => ({
  level,
  clean: false,
  ...(level === 5 && { properties: { sessionExpiryInterval: 100 } }),
})
const will = { topic: "w", payload: Buffer.from("gone"), qos: 0, retain: false } as const

describe("[MQTT-3.1.4-3] [v3.1.1 MQTT-3.1.4-2] the client that is connected is disconnected", () => {
  for (const before of levels)
    for (const after of levels) {
      test(`level ${before} by level ${after}`, () => {
        const harness = new Harness()
        const first = harness.client("a", { level: before })
        const second = harness.connect({ level: after, clientId: "a" })
        expect(told(first)).toBe(thrownOut(before, "8e"))
        expect(told(second)).toBe("connack 00, open")
        expect(harness.core.sessions.size).toBe(1)
        first.connection.closed()
        expect(told(second.send({ cmd: "pingreq" }))).toBe("pingresp, open")
      })
      test(`level ${before} by level ${after}: the session goes on, with its subscriptions and what was in flight`, () => {
        const harness = new Harness()
        const publisher = harness.client("publisher")
        const first = harness.client("a", lasting(before)).subscribe("t", { qos: 2 })
        publisher.publish("t", "1", { qos: 1 }).publish("t", "2", { qos: 2 })
        const ids = first.take().flatMap(({ cmd, messageId }) => (cmd === "publish" ? [messageId] : []))
        const second = harness.connect({ clientId: "a", ...lasting(after) })
        publisher.publish("t", "3", { qos: 1 })
        const [connack, ...messages] = second.take()
        expect(connack!.sessionPresent).toBe(after !== 3)
        expect(messages.map(({ payload, dup }) => `${payload} ${dup}`)).toEqual(["1 true", "2 true", "3 false"])
        expect(messages.slice(0, 2).map(({ messageId }) => messageId)).toEqual(ids)
      })
    }
  for (const level of levels) {
    test(`level ${level}: its will is published, and after that it gets nothing`, () => {
      const harness = new Harness()
      const watcher = harness.client("watcher").subscribe("#")
      watcher.take()
      const first = harness.client("a", { level, will }).subscribe("#")
      first.take()
      const second = harness.connect({ level, clientId: "a" })
      expect(watcher.messages()).toEqual(["w gone"])
      watcher.publish("t", "later")
      expect(told(first)).toBe(thrownOut(level, "8e"))
      expect(told(second)).toBe("connack 00, open")
    })
    test(`level ${level}: the packets of the one that was thrown out are not read any more`, () => {
      const harness = new Harness()
      const watcher = harness.client("watcher").subscribe("#")
      const first = harness.client("a", { level })
      harness.client("a", { level })
      watcher.take()
      first.publish("t", "too late").disconnect()
      expect(watcher.messages()).toEqual([])
      expect(harness.core.sessions.get("a")!.outlet).toBeDefined()
    })
    test(`level ${level}: one whose CONNECT is refused throws nobody out`, () => {
      const auth: Auth = { authenticate: ({ username }) => username === "u" }
      const harness = new Harness({ auth })
      const first = harness.client("a", { level, username: "u" })
      harness.connect({ level, clientId: "a", username: "x" })
      expect(told(first)).toBe("open")
    })
  }
  test("a will that is delayed waits for the session, and the new connection makes it void", () => {
    const harness = new Harness()
    const watcher = harness.client("watcher").subscribe("#")
    watcher.take()
    const delayed = { ...will, properties: { willDelayInterval: 5 } }
    harness.client("a", { ...lasting(5), will: delayed })
    harness.client("a", lasting(5))
    harness.clock.advance(50)
    expect(watcher.messages()).toEqual([])
  })
  test("many times over, one is left", () => {
    const harness = new Harness()
    const clients = Array.from({ length: 100 }, () => harness.connect({ clientId: "a", ...lasting(5) }))
    expect(clients.filter((client) => !client.isClosed)).toEqual([clients.at(-1)!])
    harness.clock.advance(3)
    expect([harness.core.peers.size, harness.core.sessions.size]).toEqual([1, 1])
  })
})

describe("two at once", () => {
  for (const level of levels)
    test(`level ${level}: the one that is let in last stays`, async () => {
      const pending: ((decision: Decision) => void)[] = []
      const auth: Auth = { authenticate: () => new Promise((resolve) => void pending.push(resolve)) }
      const harness = new Harness({ auth })
      const first = harness.connect({ level, clientId: "a" })
      const second = harness.connect({ level, clientId: "a" })
      pending[1]!(true)
      await microtasks()
      expect([told(first), told(second)]).toEqual(["open", "connack 00, open"])
      pending[0]!(true)
      await microtasks()
      expect([told(first), told(second)]).toEqual(["connack 00, open", thrownOut(level, "8e")])
    })
  for (const level of levels)
    test(`[MQTT-3.14.0-1] level ${level}: one that waits for its session to be durable is closed without a word`, async () => {
      const store = new LateStore()
      const harness = new Harness({ store })
      const first = harness.connect({ clientId: "a", ...lasting(level) })
      const second = harness.connect({ clientId: "a", ...lasting(level) })
      await store.commitAll()
      expect([told(first), told(second)]).toEqual(["closed", "connack 00, open"])
    })
  test("a flow of QoS 2 goes on where the other connection left it", () => {
    const harness = new Harness()
    const watcher = harness.client("watcher").subscribe("t", { qos: 2 })
    watcher.take()
    harness.client("a", lasting(5)).publish("t", "once", { qos: 2, messageId: 7 })
    const second = harness.client("a", lasting(5))
    second.publish("t", "once", { qos: 2, messageId: 7, dup: true }).ack("pubrel", 7)
    expect(told(second)).toBe("pubrec 00, pubcomp 00, open")
    expect(watcher.messages()).toEqual(["t once"])
  })
})

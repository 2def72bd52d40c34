import { describe, expect, test } from "bun:test"
import type { ProtocolLevel } from "../../src/codec/index.ts"
import { type ConnectFields, durable, Harness } from "../support/harness.ts"

const levels = [3, 4, 5] as const
const expiring = (sessionExpiryInterval: number | undefined, clean = false): ConnectFields => ({
  clean,
  ...(sessionExpiryInterval !== undefined && { properties: { sessionExpiryInterval } }),
})

/** Session Present of a client that connects now. */
const isPresent = (harness: Harness, fields: ConnectFields, clientId = "a") =>
  harness.connect({ clientId, ...fields }).take()[0]!.sessionPresent

/** The payloads that a client of that name gets which does not subscribe. */
const delivered = (harness: Harness, fields: ConnectFields, clientId = "a") =>
  harness.connect({ clientId, ...fields }).messages()

/** A harness in which client `a` of that level has left a session with a subscription and a message waiting. */
function left(level: ProtocolLevel, harness = new Harness()): Harness {
  harness.client("a", durable(level)).subscribe("t", { qos: 2 }).drop()
  harness.client("pub", { level }).publish("t", "waiting", { qos: 1 })
  return harness
}

for (const level of levels)
  describe(`level ${level}`, () => {
    const fresh: ConnectFields = { level, clean: true }

    test("[MQTT-3.1.2-5] [MQTT-3.1.4-4] [v3.1.1 MQTT-3.1.2-4] [v3.1.1 MQTT-3.1.4-3] a session that is there is resumed: its subscriptions and what waits", () => {
      const harness = left(level)
      const client = harness.resume("a", durable(level))
      expect(client.messages()).toEqual(["t waiting"])
      harness.client("pub").publish("t", "live")
      expect(client.messages()).toEqual(["t live"])
    })

    test("[MQTT-3.1.2-6] [MQTT-3.1.4-4] [v3.1.1 MQTT-3.1.2-4] [v3.1.1 MQTT-3.1.4-3] without one a session is made, which is kept", () => {
      const harness = new Harness()
      const client = harness.connect({ clientId: "a", ...durable(level) })
      expect(client.take()).toMatchObject([{ cmd: "connack", sessionPresent: false }])
      client.subscribe("t", { qos: 1 }).drop()
      harness.client("pub").publish("t", "x", { qos: 1 })
      expect(delivered(harness, durable(level))).toEqual(["t x"])
    })

    test("[MQTT-3.1.2-4] [MQTT-3.1.4-4] [v3.1.1 MQTT-3.1.2-6] [v3.1.1 MQTT-3.1.4-3] a clean start throws the old one away, and nothing of it comes back", () => {
      const harness = left(level)
      const client = harness.connect({ clientId: "a", ...fresh })
      expect(client.take()).toMatchObject([{ cmd: "connack", sessionPresent: false }])
      harness.client("pub").publish("t", "live", { qos: 1 })
      expect(client.take()).toEqual([])
      client.drop()
      expect(isPresent(harness, durable(level))).toBe(false)
      expect(delivered(harness, durable(level))).toEqual([])
      expect([harness.core.queueBytes, harness.core.inflightCount]).toEqual([0, 0])
      expect(harness.core.router.subscriptionCount).toBe(0)
    })

    test("[MQTT-3.1.2-4] [v3.1.1 MQTT-3.1.2-6] an open QoS 2 flow of the client's is thrown away with it", () => {
      const harness = new Harness()
      const witness = harness.client("witness").subscribe("t")
      witness.take()
      harness.client("a", durable(level)).publish("t", "x", { qos: 2, messageId: 1 }).drop()
      const client = harness.client("a", fresh).publish("t", "x", { qos: 2, messageId: 1 })
      expect(client.take()).toMatchObject([{ cmd: "pubrec", messageId: 1 }])
      expect(witness.messages()).toEqual(["t x", "t x"])
    })

    test("[MQTT-3.1.3-2] [v3.1.1 MQTT-3.1.3-2] the client id tells the sessions apart", () => {
      const harness = new Harness()
      harness.client("a", durable(level)).subscribe("t/a", { qos: 1 }).drop()
      harness.client("A", durable(level)).subscribe("t/A", { qos: 1 }).drop()
      harness.client("pub").publish("t/a", "for a", { qos: 1 }).publish("t/A", "for A", { qos: 1 })
      expect(delivered(harness, durable(level), "a")).toEqual(["t/a for a"])
      expect(delivered(harness, durable(level), "A")).toEqual(["t/A for A"])
      expect(isPresent(harness, durable(level), "b")).toBe(false)
    })

    test("[MQTT-4.1.0-1] [v3.1.1 MQTT-4.1.0-2] a session lasts as long as its connection", () => {
      const harness = new Harness()
      const fields = level === 5 ? expiring(1) : fresh
      const client = harness.client("a", { level, ...fields }).subscribe("t", { qos: 1 })
      client.take()
      harness.clock.advance(86_400)
      harness.client("pub").publish("t", "x", { qos: 1 })
      expect(client.messages()).toEqual(["t x"])
    })

    test("[MQTT-4.5.0-1] [v3.1.1 MQTT-4.5.0-1] [v3.1.1 MQTT-3.1.2-5] a message is kept for every session away that subscribes to it, in order, and for no other", () => {
      const harness = new Harness()
      harness.client("one", durable(level)).subscribe("t/#", { qos: 1 }).drop()
      harness.client("two", durable(level)).subscribe("t/+", { qos: 2 }).drop()
      harness.client("three", durable(level)).subscribe("u", { qos: 2 }).drop()
      harness.client("four", durable(level)).subscribe("t/#", { qos: 0 }).drop()
      const publisher = harness.client("pub", { level })
      publisher.publish("t/1", "x", { qos: 1 }).publish("t/1", "y", { qos: 2 }).publish("t/1", "z")
      for (const clientId of ["one", "two"]) {
        expect(delivered(harness, durable(level), clientId)).toEqual(["t/1 x", "t/1 y"])
      }
      for (const clientId of ["three", "four"]) expect(delivered(harness, durable(level), clientId)).toEqual([])
    })

    test("a session that is taken over is the same session", () => {
      const harness = new Harness()
      const first = harness.client("a", durable(level)).subscribe("t", { qos: 1 })
      const publisher = harness.client("pub").publish("t", "x", { qos: 1 })
      const second = harness.resume("a", durable(level))
      expect(first.isClosed).toBe(true)
      expect(second.take()).toMatchObject([{ messageId: 1, dup: true }])
      publisher.publish("t", "y", { qos: 1 })
      expect(second.messages()).toEqual(["t y"])
      first.drop() // the socket of the first goes later, and takes nothing with it
      publisher.publish("t", "z", { qos: 1 })
      expect(second.messages()).toEqual(["t z"])
    })
  })

describe("[MQTT-3.1.2-23] the Session Expiry Interval", () => {
  for (const [seconds, after, present] of [
    [undefined, 1, false],
    [0, 1, false],
    [60, 59.9, true],
    [60, 60.5, false],
    [0xfffffffe, 86_400, true],
    [0xffffffff, 86_400 * 365, true],
  ] as const)
    test(`${seconds ?? "absent"}: ${after} s after the connection the session is ${present ? "there" : "gone"}`, () => {
      const harness = new Harness()
      harness.client("a", expiring(seconds)).drop()
      harness.clock.advance(1)
      if (seconds === 0xffffffff) expect(harness.clock.recurringCount).toBe(0) // nothing will ever end it
      harness.clock.advance(after - 1)
      expect(isPresent(harness, expiring(60))).toBe(present)
    })

  test("[MQTT-4.1.0-2] when it has passed, everything of the session is gone, and nothing else", () => {
    const harness = new Harness()
    const client = harness.client("a", expiring(10)).subscribe(["t", "$share/g/t"], { qos: 2 })
    const publisher = harness.client("pub").publish("r", "kept", { retain: true, qos: 1 })
    for (let i = 0; i < 5; i++) publisher.publish("t", "x", { qos: 2 })
    client.publish("open", "x", { qos: 2 }).drop()
    for (let i = 0; i < 5; i++) publisher.publish("t", "x", { qos: 1 })
    expect(harness.core.inflightCount).toBeGreaterThan(0)
    expect(harness.core.queueBytes).toBeGreaterThan(0)
    harness.clock.advance(9.9)
    expect(harness.core.sessions.get("a")).toBeDefined()
    harness.clock.advance(0.6)
    expect(harness.core.sessions.get("a")).toBeUndefined()
    expect([harness.core.inflightCount, harness.core.queueBytes]).toEqual([0, 0])
    expect([harness.core.router.subscriptionCount, harness.core.router.sharedCount]).toEqual([0, 0])
    expect(harness.core.metrics.sessionsExpired).toBe(1)
    expect(isPresent(harness, expiring(10))).toBe(false)
    expect(harness.client("late").subscribe("r").messages()).toEqual(["r kept"])
  })

  test("begins anew with every connection, and the last CONNECT decides", () => {
    const harness = new Harness()
    harness.client("a", expiring(10)).drop()
    harness.clock.advance(8)
    harness.resume("a", expiring(100)).drop()
    harness.clock.advance(90)
    harness.resume("a", expiring(10))
    harness.clock.advance(1000)
    harness.core.sessions.get("a")!.outlet!.disconnect(0x8b)
    harness.clock.advance(10.5)
    expect(isPresent(harness, expiring(10))).toBe(false)
  })

  test("0 at a later CONNECT: the session is resumed and ends with the connection", () => {
    const harness = left(5)
    const client = harness.resume("a", expiring(0))
    expect(client.messages()).toEqual(["t waiting"])
    client.drop()
    expect([harness.core.sessions.get("a"), harness.core.inflightCount]).toEqual([undefined, 0])
  })

  test("has a ceiling, which CONNACK tells", () => {
    const harness = new Harness({ limits: { maximumSessionExpirySeconds: 30 } })
    const connack = harness.connect({ clientId: "a", ...expiring(100) }).take()[0]!
    expect(connack.properties.sessionExpiryInterval).toBe(30)
    harness.core.sessions.get("a")!.outlet!.disconnect(0x8b)
    harness.clock.advance(30.5)
    expect(isPresent(harness, expiring(100))).toBe(false)
  })

  for (const level of [3, 4] as const)
    test(`the ceiling holds for level ${level} without clean session too`, () => {
      const harness = new Harness({ limits: { maximumSessionExpirySeconds: 30 } })
      harness.client("a", durable(level)).drop()
      harness.clock.advance(30.5)
      expect(harness.core.sessions.get("a")).toBeUndefined()
    })

  test("of 1,000 clients that come and go leaves one entry each on the wheel", () => {
    const harness = new Harness()
    for (let i = 0; i < 1000; i++) {
      harness.client("a", expiring(86_400)).drop()
      harness.clock.advance(1)
    }
    harness.client("a", { clean: true })
    harness.clock.advance(1)
    expect(harness.clock.recurringCount).toBe(0)
  })
})

describe("the Session Expiry Interval of DISCONNECT", () => {
  for (const [connect, disconnect, after, present] of [
    [100, undefined, 99.9, true],
    [100, undefined, 100.5, false],
    [10, 100, 99.9, true],
    [10, 100, 100.5, false],
    [100, 10, 10.5, false],
    [100, 0, 0, false],
  ] as const)
    test(`[MQTT-4.1.0-2] ${connect} at CONNECT, ${disconnect ?? "none"} at DISCONNECT: ${after} s later the session is ${present ? "there" : "gone"}`, () => {
      const harness = new Harness()
      const properties = disconnect === undefined ? {} : { sessionExpiryInterval: disconnect }
      harness.client("a", expiring(connect)).disconnect(0, properties)
      harness.clock.advance(after)
      expect(isPresent(harness, expiring(100))).toBe(present)
    })

  test("is a protocol error where CONNECT said 0", () => {
    for (const fields of [{}, expiring(0)]) {
      const harness = new Harness()
      const client = harness.client("a", fields).disconnect(0, { sessionExpiryInterval: 10 })
      expect(client.take()).toMatchObject([{ cmd: "disconnect", reasonCode: 0x82 }])
      expect(harness.core.sessions.get("a")).toBeUndefined()
    }
  })

  test("cannot pass the ceiling; where that is 0, asking is no error", () => {
    const harness = new Harness({ limits: { maximumSessionExpirySeconds: 30 } })
    harness.client("a", expiring(10)).disconnect(0, { sessionExpiryInterval: 1000 })
    harness.clock.advance(30.5)
    expect(harness.core.sessions.get("a")).toBeUndefined()
    const none = new Harness({ limits: { maximumSessionExpirySeconds: 0 } })
    const client = none.client("a", expiring(10)).disconnect(0, { sessionExpiryInterval: 1000 })
    expect(client.take()).toEqual([])
    expect(none.core.sessions.get("a")).toBeUndefined()
  })
})

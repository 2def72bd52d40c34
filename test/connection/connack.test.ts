/** CONNACK: that it comes first and once, and tells the truth. */
import { describe, expect, test } from "bun:test"
import type { Limits, ListenerLimits } from "../../src/broker/limits.ts"
import type { Auth, Refusal } from "../../src/broker/ports.ts"
import type { ProtocolLevel, Reason } from "../../src/codec/index.ts"
import { Harness } from "../support/harness.ts"
import { LateStore, microtasks } from "../support/store.ts"
import { levels, told } from "./wire.ts"

/** An auth that lets in who has the password `good`, and refuses others for `reason`. */
function passwordAuth(refusal: Refusal): Auth {
  return { authenticate: ({ password }) => (String(password) === "good" ? true : refusal) }
}

const good = { username: "u", password: Buffer.from("good") }
/** A client whose session survives. */
const lasting = (level: ProtocolLevel) => ({
  level,
  clean: false,
  ...(level === 5 && { properties: { sessionExpiryInterval: 100 } }),
})

describe("CONNACK is the first packet, and the only CONNACK", () => {
  for (const level of levels) {
    test(`[MQTT-3.2.0-1] [v3.1.1 MQTT-3.2.0-1] level ${level}: before what waits in the session, however slow its auth`, async () => {
      const pending: ((decision: boolean) => void)[] = []
      const auth: Auth = { authenticate: () => new Promise((resolve) => void pending.push(resolve)) }
      const harness = new Harness()
      const slow = harness.listener({}, auth)
      harness.client("a", lasting(level)).subscribe("t", { qos: 1 }).drop()
      const publisher = harness.client("publisher").publish("t", "1", { qos: 1 })
      const client = harness.connect({ clientId: "a", ...lasting(level) }, slow)
      client.publish("t", "3", { qos: 1 })
      publisher.publish("t", "2", { qos: 1 }).publish("t", "0")
      await microtasks()
      expect(client.take()).toEqual([])
      pending[0]!(true)
      await microtasks()
      const packets = client.take()
      expect(packets[0]).toMatchObject({ cmd: "connack" })
      expect(packets.filter(({ cmd }) => cmd === "publish").map(({ payload }) => `${payload}`)).toEqual(["1", "2", "3"])
    })
    test(`[MQTT-3.2.0-1] [v3.1.1 MQTT-3.2.0-1] level ${level}: before what comes while the session becomes durable`, async () => {
      const store = new LateStore()
      const harness = new Harness({ store })
      harness.connect({ clientId: "a", ...lasting(level) }).subscribe("t", { qos: 1 })
      await store.commitAll()
      const client = harness.connect({ clientId: "a", ...lasting(level) })
      harness.client("publisher").publish("t", "1", { qos: 1 }).publish("t", "0")
      await microtasks()
      expect(client.take()).toEqual([])
      await store.commitAll()
      expect(client.take().map(({ cmd, payload }) => [cmd, `${payload ?? ""}`])).toEqual([
        ["connack", ""],
        ["publish", "1"],
      ])
    })
    test(`[MQTT-3.2.0-2] level ${level}: a second CONNECT brings no second one`, () => {
      const client = new Harness().connect({ level })
      client.connect({ level })
      expect(client.take().filter(({ cmd }) => cmd === "connack")).toHaveLength(1)
    })
  }
})

describe("Session Present", () => {
  for (const level of [4, 5] as const) {
    const flags = (harness: Harness, clean: boolean) => {
      const client = harness.connect({ clientId: "a", ...lasting(level), clean })
      const [byte, code] = client.bytes.subarray(2)
      client.drop()
      return [byte, code]
    }
    test(`[MQTT-3.2.2-3] [v3.1.1 MQTT-3.2.2-3] level ${level}: 0 where no session is`, () => {
      expect(flags(new Harness(), false)).toEqual([0, 0])
    })
    test(`[MQTT-3.2.2-3] [v3.1.1 MQTT-3.2.2-2] [MQTT-3.2.2-1] level ${level}: 1 where one is, and the bits beside it are 0`, () => {
      const harness = new Harness()
      harness.client("a", lasting(level)).drop()
      expect(flags(harness, false)).toEqual([1, 0])
    })
    test(`[MQTT-3.2.2-2] [v3.1.1 MQTT-3.2.2-1] level ${level}: 0 for a clean start, session or not`, () => {
      const harness = new Harness()
      expect(flags(harness, true)).toEqual([0, 0])
      harness.client("a", lasting(level)).drop()
      expect(flags(harness, true)).toEqual([0, 0])
    })
    test(`[MQTT-3.2.2-6] [v3.1.1 MQTT-3.2.2-4] level ${level}: 0 in a refusal, session or not`, () => {
      const harness = new Harness({ auth: passwordAuth({ reason: 0x86 }) })
      harness.client("a", { ...lasting(level), ...good }).drop()
      const client = harness.connect({ clientId: "a", ...lasting(level), username: "u", password: Buffer.from("bad") })
      expect([...client.bytes.subarray(2, 4)]).toEqual([0, level === 5 ? 0x86 : 4])
      const again = harness.connect({ clientId: "a", ...lasting(level), ...good })
      expect([...again.bytes.subarray(2, 4)]).toEqual([1, 0])
    })
  }
  test("level 3 has no such flag: the byte is 0", () => {
    const harness = new Harness()
    harness.client("a", lasting(3)).drop()
    expect(harness.connect({ clientId: "a", ...lasting(3) }).bytes.toString("hex")).toBe("20020000")
  })
  test("[MQTT-3.2.2-3] 0 when the session has expired", () => {
    const harness = new Harness()
    harness.client("a", lasting(5)).drop()
    harness.clock.advance(99)
    harness.client("a", lasting(5)).drop()
    harness.clock.advance(101)
    expect(harness.connect({ clientId: "a", ...lasting(5) }).take()[0]).toMatchObject({ sessionPresent: false })
  })
})

describe("what the broker does not say, the client may assume; what it says is so", () => {
  const basic = { maximumPacketSize: 2_097_152, receiveMaximum: 1024, topicAliasMaximum: 256 }
  const table: [name: string, listener: Partial<ListenerLimits>, limits: Partial<Limits>, changes: object][] = [
    ["by default", {}, {}, {}],
    ["[MQTT-3.2.2-9] Maximum QoS 1", { maximumQoS: 1 }, {}, { maximumQoS: 1 }],
    ["[MQTT-3.2.2-9] Maximum QoS 0", { maximumQoS: 0 }, {}, { maximumQoS: 0 }],
    ["[MQTT-3.2.2-14] Retain Available 0", { retainAvailable: false }, {}, { retainAvailable: false }],
    [
      "Wildcard Subscription Available 0",
      { wildcardSubscriptionAvailable: false },
      {},
      { wildcardSubscriptionAvailable: false },
    ],
    [
      "Shared Subscription Available 0",
      { sharedSubscriptionAvailable: false },
      {},
      { sharedSubscriptionAvailable: false },
    ],
    ["Topic Alias Maximum", { topicAliasMaximum: 7 }, {}, { topicAliasMaximum: 7 }],
    ["no Topic Alias Maximum", { topicAliasMaximum: 0 }, {}, { topicAliasMaximum: undefined }],
    ["Receive Maximum", {}, { receiveMaximum: 3 }, { receiveMaximum: 3 }],
    ["no Receive Maximum", {}, { receiveMaximum: 65_535 }, { receiveMaximum: undefined }],
    ["Maximum Packet Size", {}, { maximumPacketBytes: 100 }, { maximumPacketSize: 100 }],
  ]
  for (const [name, listener, limits, changes] of table)
    test(name, () => {
      const { properties } = new Harness({ listener, limits }).connect().take()[0]!
      const expected = Object.entries({ ...basic, ...changes }).filter(([, value]) => value !== undefined)
      expect({ ...properties }).toEqual(Object.fromEntries(expected))
    })

  const expiries: [asked: number | undefined, ceiling: number, told: number | undefined][] = [
    [100, 1000, undefined],
    [1001, 1000, 1000],
    [0xffff_ffff, 1000, 1000],
    [0, 1000, undefined],
    [undefined, 1000, undefined],
    [100, 0, 0],
  ]
  for (const [asked, ceiling, expected] of expiries)
    test(`Session Expiry Interval: ${asked} asked, ceiling ${ceiling}, told ${expected}`, () => {
      const harness = new Harness({ limits: { maximumSessionExpirySeconds: ceiling } })
      const client = harness.connect(asked === undefined ? {} : { properties: { sessionExpiryInterval: asked } })
      expect(client.take()[0]!.properties.sessionExpiryInterval).toBe(expected)
      client.drop()
      const kept = expected ?? asked ?? 0
      harness.clock.advance(Math.max(0, kept - 1))
      expect(harness.core.sessions.size).toBe(kept === 0 ? 0 : 1)
      harness.clock.advance(2)
      expect(harness.core.sessions.size).toBe(0)
    })

  test("[MQTT-3.2.2-16] an Assigned Client Identifier for an empty one, another each time; none otherwise", () => {
    const harness = new Harness()
    const assigned = Array.from({ length: 100 }, () => {
      return harness.connect({ clientId: "" }).take()[0]!.properties.assignedClientIdentifier as string
    })
    expect(new Set(assigned).size).toBe(100)
    expect([...harness.core.sessions.all()].map(({ clientId }) => clientId)).toEqual(assigned)
    expect(harness.connect({ clientId: "a" }).take()[0]!.properties).not.toHaveProperty("assignedClientIdentifier")
  })
  test("[MQTT-3.1.2-28] Response Information only for who asks, and only where the broker has some", () => {
    const harness = new Harness({ listener: { responseInformation: "replies/%c" } })
    const information = (server: Harness, properties: object) =>
      server.connect({ clientId: "a", properties }).take()[0]!.properties.responseInformation
    expect(information(harness, { requestResponseInformation: true })).toBe("replies/a")
    expect(information(harness, { requestResponseInformation: false })).toBeUndefined()
    expect(information(harness, {})).toBeUndefined()
    expect(information(new Harness(), { requestResponseInformation: true })).toBeUndefined()
  })
})

describe("a refusal", () => {
  /** MQTT 5 table 3-1. */
  const table = [
    ...[0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c],
    ...[0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9f],
  ]
  const refused = (level: ProtocolLevel, reason: number) =>
    told(new Harness({ auth: passwordAuth({ reason: reason as Reason }) }).connect({ level }))

  test("[MQTT-3.2.2-8] [MQTT-3.2.2-7] is one of table 3-1, whatever the auth says, and the connection is closed", () => {
    for (let reason = 1; reason < 256; reason++) {
      const expected = table.includes(reason) ? reason : 0x80
      expect([reason, refused(5, reason)]).toEqual([reason, `connack ${expected.toString(16)}, closed`])
    }
  })
  for (const level of [3, 4] as const)
    test(`[v3.1.1 MQTT-3.2.2-5] [v3.1.1 MQTT-3.2.2-6] level ${level}: one of five, or none where none applies`, () => {
      const unavailable = [0x88, 0x89, 0x97, 0x9c, 0x9d, 0x9f]
      const codes = new Map(unavailable.map((reason) => [reason, "03"]))
      codes.set(0x84, "01").set(0x85, "02").set(0x86, "04").set(0x87, "05").set(0x8a, "05").set(0x8c, "05")
      for (let reason = 1; reason < 256; reason++) {
        const code = codes.get(reason)
        const expected = code === undefined ? "closed" : `connack ${code}, closed`
        expect([reason, refused(level, reason)]).toEqual([reason, expected])
      }
    })
  test("a refusal with the reason Success is none", () => {
    expect(refused(5, 0)).toBe("connack 00, open")
  })

  test("[MQTT-3.2.2-19] [MQTT-3.2.2-20] its Reason String comes only if the packet then fits", () => {
    const reasonString = "the reason in many words, ".repeat(4)
    let withReason = 0
    for (let maximumPacketSize = 1; maximumPacketSize < 200; maximumPacketSize++) {
      const harness = new Harness({ auth: passwordAuth({ reason: 0x87, reasonString }) })
      const client = harness.connect({ properties: { maximumPacketSize } })
      expect(client.bytes.length).toBeLessThanOrEqual(maximumPacketSize)
      expect(client.isClosed).toBe(true)
      const [connack] = client.take()
      expect(connack?.reasonCode).toBe(maximumPacketSize < 5 ? undefined : 0x87)
      if (connack?.properties?.reasonString === reasonString) withReason++
    }
    expect(withReason).toBeGreaterThan(50)
  })
  test("[MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-3.1.2-24] a client that cannot be told that it is in is not let in", () => {
    const harness = new Harness()
    let letIn = 0
    for (let maximumPacketSize = 1; maximumPacketSize < 100; maximumPacketSize++) {
      const client = harness.connect({ clientId: "", properties: { maximumPacketSize } })
      expect(client.bytes.length).toBeLessThanOrEqual(maximumPacketSize)
      const [connack] = client.take()
      if (connack?.reasonCode === 0) letIn++
      else expect(connack?.reasonCode).toBe(maximumPacketSize < 5 ? undefined : 0x95)
      expect(client.isClosed).toBe(connack?.reasonCode !== 0)
    }
    expect(letIn).toBeGreaterThan(30)
    expect(harness.core.sessions.size).toBe(letIn)
  })
})

/** What a listener does not offer: told in CONNACK, and refused with its own reason. MQTT 5 §3.2.2.3 */
import { describe, expect, test } from "bun:test"
import type { ListenerLimits } from "../../src/broker/limits.ts"
import { Reason } from "../../src/codec/index.ts"
import { Harness, type TestClient } from "../support/harness.ts"

const levels = [3, 4, 5] as const

function connect(listener: Partial<ListenerLimits>, level: 3 | 4 | 5 = 5) {
  const harness = new Harness({ listener })
  const client = harness.connect({ clientId: "a", level })
  return { harness, client, connack: client.take()[0] }
}

function expectEnded(client: TestClient, reason: number): void {
  const said = client.take().map(({ cmd, reasonCode }) => [cmd, reasonCode])
  expect(said).toEqual(client.level === 5 ? [["disconnect", reason]] : [])
  expect(client.isClosed).toBe(true)
}

test("a listener that offers everything says nothing of it", () => {
  const { connack } = connect({})
  const { retainAvailable, maximumQoS, wildcardSubscriptionAvailable, ...rest } = connack?.properties ?? {}
  expect([retainAvailable, maximumQoS, wildcardSubscriptionAvailable]).toEqual([undefined, undefined, undefined])
  expect(rest.sharedSubscriptionAvailable).toBeUndefined()
  expect(rest.subscriptionIdentifiersAvailable).toBeUndefined()
})

describe("maximumQoS", () => {
  for (const maximumQoS of [0, 1] as const)
    test(`[MQTT-3.2.2-9] ${maximumQoS} is told`, () => {
      expect(connect({ maximumQoS }).connack?.properties?.maximumQoS).toBe(maximumQoS)
    })

  for (const level of levels)
    for (const maximumQoS of [0, 1] as const)
      test(`[MQTT-3.2.2-10] level ${level}: a SUBSCRIBE of any QoS is taken, and granted ${maximumQoS} at most`, () => {
        const { harness, client } = connect({ maximumQoS }, level)
        for (const qos of [0, 1, 2] as const) {
          client.subscribe("t", { qos })
          expect(client.take()).toMatchObject([{ cmd: "suback", granted: [Math.min(qos, maximumQoS)] }])
        }
        harness.client("p", {}, harness.listener()).publish("t", "x", { qos: 2 })
        expect(client.take()).toMatchObject([{ cmd: "publish", qos: maximumQoS }])
      })

  for (const level of levels)
    test(`[MQTT-3.2.2-11] level ${level}: a PUBLISH above it ends the connection with 0x9B, and goes nowhere`, () => {
      const { harness, client } = connect({ maximumQoS: 1 }, level)
      const subscriber = harness.client("s").subscribe("t", { qos: 2 })
      subscriber.take()
      client.publish("t", "1", { qos: 1 })
      expect(client.take()).toMatchObject([{ cmd: "puback" }])
      client.publish("t", "2", { qos: 2 })
      expectEnded(client, Reason.QoSNotSupported)
      expect(subscriber.messages()).toEqual(["t 1"])
    })

  test("[MQTT-3.2.2-12] a will above it is refused with 0x9B", () => {
    const will = { topic: "w", payload: Buffer.from("x"), qos: 2 as const, retain: false }
    const client = new Harness({ listener: { maximumQoS: 1 } }).connect({ will })
    expect(client.take()).toMatchObject([{ cmd: "connack", reasonCode: Reason.QoSNotSupported }])
    expect(client.isClosed).toBe(true)
  })

  test("holds for this listener alone", () => {
    const { harness } = connect({ maximumQoS: 0 })
    const client = harness.client("b", {}, harness.listener()).subscribe("t", { qos: 2 })
    expect(client.take()).toMatchObject([{ granted: [2] }])
  })
})

describe("retainAvailable: false", () => {
  test("[MQTT-3.2.2-14] is told", () => {
    expect(connect({ retainAvailable: false }).connack?.properties?.retainAvailable).toBe(false)
  })

  for (const level of levels)
    for (const qos of [0, 1, 2] as const)
      test(`[MQTT-3.2.2-14] level ${level}: a PUBLISH of QoS ${qos} with RETAIN ends the connection with 0x9A, and goes nowhere`, () => {
        const { harness, client } = connect({ retainAvailable: false }, level)
        const subscriber = harness.client("s").subscribe("t", { qos: 2 })
        client.publish("t", "plain", { qos }).take()
        client.publish("t", "kept", { qos, retain: true })
        expectEnded(client, Reason.RetainNotSupported)
        expect(subscriber.messages()).toEqual(["t plain"])
        expect(harness.core.retained.count).toBe(0)
      })

  test("[MQTT-3.2.2-13] a will with RETAIN is refused with 0x9A", () => {
    const will = { topic: "w", payload: Buffer.from("x"), qos: 0 as const, retain: true }
    const client = new Harness({ listener: { retainAvailable: false } }).connect({ will })
    expect(client.take()).toMatchObject([{ cmd: "connack", reasonCode: Reason.RetainNotSupported }])
    expect(client.isClosed).toBe(true)
  })
})

describe("wildcardSubscriptionAvailable: false", () => {
  test("is told", () => {
    const { connack } = connect({ wildcardSubscriptionAvailable: false })
    expect(connack?.properties?.wildcardSubscriptionAvailable).toBe(false)
  })

  for (const level of levels)
    test(`[v3.1.1 MQTT-3.8.3-2] level ${level}: filters with a wildcard are refused, others are not`, () => {
      const { harness, client } = connect({ wildcardSubscriptionAvailable: false }, level)
      client.subscribe(["#", "a/+", "a", "$share/g/+", "$share/g/a"])
      const refused = { 3: 0, 4: 0x80, 5: Reason.WildcardSubscriptionsNotSupported }[level]
      expect(client.take()).toMatchObject([{ granted: [refused, refused, 0, refused, 0] }])
      expect(harness.core.router.subscriptionCount).toBe(2)
    })
})

describe("sharedSubscriptionAvailable: false", () => {
  test("is told", () => {
    const { connack } = connect({ sharedSubscriptionAvailable: false })
    expect(connack?.properties?.sharedSubscriptionAvailable).toBe(false)
  })

  for (const level of levels)
    test(`level ${level}: shared subscriptions are refused, others are not`, () => {
      const { harness, client } = connect({ sharedSubscriptionAvailable: false }, level)
      client.subscribe(["#", "$share/g/+", "$share/g/a"])
      const refused = { 3: 0, 4: 0x80, 5: Reason.SharedSubscriptionsNotSupported }[level]
      expect(client.take()).toMatchObject([{ granted: [0, refused, refused] }])
      expect(harness.core.router.sharedCount).toBe(0)
    })
})

test("options that make no sense are refused, and named", () => {
  const wrong = [
    { maximumQoS: 3 },
    { topicAliasMaximum: 65_536 },
    { topicAliasMaximum: -1 },
    { outgoingTopicAliasMaximum: 1.5 },
    { retainAvailble: true },
  ]
  for (const options of wrong) {
    const refused = () => new Harness({ listener: options as Partial<ListenerLimits> })
    expect(refused).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }))
    expect(refused).toThrow(Object.keys(options)[0]!)
  }
})

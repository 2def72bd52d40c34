/** Topic aliases, those that the client sets and those that the broker sets. MQTT 5 §3.3.2.3.4 */
import { describe, expect, test } from "bun:test"
import { Reason } from "../../src/codec/index.ts"
import { durable, Harness, type Received, type TestClient } from "../support/harness.ts"

/** Publishes with an alias; without a topic the alias is meant to say it. */
function publishAs(client: TestClient, topicAlias: number, topic: string, payload: string): TestClient {
  return client.publish(topic, payload, { properties: { topicAlias } })
}

function expectEnded(client: TestClient, reason: number): void {
  expect(client.take()).toMatchObject([{ cmd: "disconnect", reasonCode: reason }])
  expect(client.isClosed).toBe(true)
}

/** Topic and alias of the messages that came. */
const seen = (client: TestClient) =>
  client
    .take()
    .filter(({ cmd }) => cmd === "publish")
    .map(({ topic, properties }: Received) => [topic, properties?.topicAlias])

describe("the client's aliases", () => {
  test("[MQTT-3.3.2-12] [MQTT-3.2.2-17] every alias up to the maximum that CONNACK names is kept, and says its topic", () => {
    const harness = new Harness({ listener: { topicAliasMaximum: 1000 } })
    const subscriber = harness.client("s").subscribe("t/+")
    const publisher = harness.connect({ clientId: "p" })
    const maximum = publisher.take()[0]?.properties?.topicAliasMaximum as number
    expect(maximum).toBe(1000)
    for (let alias = 1; alias <= maximum; alias++) publishAs(publisher, alias, `t/${alias}`, "set")
    subscriber.take()
    for (let alias = maximum; alias >= 1; alias--) publishAs(publisher, alias, "", "used")
    const expected = Array.from({ length: maximum }, (_, index) => `t/${maximum - index} used`)
    expect(subscriber.messages()).toEqual(expected)
  })

  test("the default maximum is 256, and that alias works", () => {
    const harness = new Harness()
    const subscriber = harness.client("s").subscribe("#")
    publishAs(publishAs(harness.client("p"), 256, "t", "1"), 256, "", "2")
    expect(subscriber.messages()).toEqual(["t 1", "t 2"])
  })

  test("[MQTT-3.3.2-12] an alias that is set again has its new topic", () => {
    const harness = new Harness()
    const subscriber = harness.client("s").subscribe("#")
    const publisher = harness.client("p")
    publishAs(publisher, 1, "a", "1")
    publishAs(publisher, 2, "a", "2")
    publishAs(publisher, 1, "b", "3")
    publishAs(publisher, 1, "", "4")
    publishAs(publisher, 2, "", "5")
    expect(subscriber.messages()).toEqual(["a 1", "a 2", "b 3", "b 4", "a 5"])
  })

  test("an alias is used at QoS 1 and 2 and with RETAIN as it is at QoS 0", () => {
    const harness = new Harness()
    const publisher = publishAs(harness.client("p"), 1, "a", "0")
    publisher.publish("", "1", { qos: 1, properties: { topicAlias: 1 } })
    publisher.publish("", "2", { qos: 2, retain: true, properties: { topicAlias: 1 } })
    expect(publisher.take().map(({ cmd }) => cmd)).toEqual(["puback", "pubrec"])
    expect(harness.client("s").subscribe("a").messages()).toEqual(["a 2"])
  })

  test("an alias outlives the broker's table of topics", () => {
    const harness = new Harness()
    const subscriber = harness.client("s").subscribe("kept").subscribe("wild/#")
    const publisher = harness.client("p")
    publishAs(publisher, 1, "kept", "1")
    publishAs(publisher, 2, "wild/1", "1")
    for (let i = 0; i < 5000; i++) publisher.publish(`passing/${i}`)
    publishAs(publisher, 1, "", "2")
    subscriber.send({ cmd: "unsubscribe", messageId: 1, unsubscriptions: ["kept"] }).subscribe("wild/1")
    publishAs(publisher, 1, "", "3")
    publishAs(publisher, 2, "", "2")
    const later = harness.client("later").subscribe(["kept", "+/1"])
    publishAs(publisher, 1, "", "4")
    publishAs(publisher, 2, "", "3")
    expect(subscriber.messages()).toEqual(["kept 1", "wild/1 1", "kept 2", "wild/1 2", "wild/1 3"])
    expect(later.messages()).toEqual(["kept 4", "wild/1 3"])
  })

  test("[MQTT-3.2.2-17] [MQTT-3.3.2-9] an alias above the maximum ends the connection with 0x94", () => {
    for (const topic of ["t", ""]) {
      const harness = new Harness({ listener: { topicAliasMaximum: 5 } })
      expectEnded(publishAs(harness.client("p"), 6, topic, "x"), Reason.TopicAliasInvalid)
    }
  })

  test("[MQTT-3.2.2-18] with a maximum of 0 every alias does", () => {
    const harness = new Harness({ listener: { topicAliasMaximum: 0 } })
    const publisher = harness.connect({ clientId: "p" })
    expect(publisher.take()[0]?.properties?.topicAliasMaximum).toBeUndefined()
    expectEnded(publishAs(publisher, 1, "t", "x"), Reason.TopicAliasInvalid)
  })

  test("[MQTT-3.3.2-8] alias 0 does", () => {
    expectEnded(new Harness().client("p").sendBytes("30 07 0001 61 03 230000"), Reason.TopicAliasInvalid)
  })

  test("an alias that has not been set, or none and no topic, ends it with 0x82", () => {
    expectEnded(publishAs(new Harness().client("p"), 1, "", "x"), Reason.ProtocolError)
    expectEnded(new Harness().client("p").sendBytes("30 03 0000 00"), Reason.ProtocolError)
  })

  test("a topic that is none is no topic for an alias either", () => {
    const harness = new Harness()
    const publisher = publishAs(harness.client("p"), 1, "a/+", "x")
    expectEnded(publisher, Reason.TopicNameInvalid)
  })

  test("[MQTT-3.3.2-7] they end with the connection, whatever becomes of the session", () => {
    const harness = new Harness()
    publishAs(harness.client("p", durable()), 1, "t", "x").drop()
    expectEnded(publishAs(harness.resume("p"), 1, "", "x"), Reason.ProtocolError)
    publishAs(harness.client("q"), 1, "t", "x")
    expectEnded(publishAs(harness.client("other"), 1, "", "x"), Reason.ProtocolError)
  })

  test("[MQTT-3.1.2-27] they are not passed on", () => {
    const harness = new Harness()
    const subscribers = [harness.client("s"), harness.client("old", { level: 4 })]
    for (const each of subscribers) each.subscribe("t").take()
    publishAs(publishAs(harness.client("p"), 3, "t", "1"), 3, "", "2")
    for (const each of subscribers) {
      expect(seen(each)).toEqual([
        ["t", undefined],
        ["t", undefined],
      ])
    }
  })
})

describe("the broker's aliases", () => {
  /** A subscriber to everything that takes so many aliases. */
  function subscriber(harness: Harness, topicAliasMaximum: number, clientId = "s"): TestClient {
    const client = harness.client(clientId, { properties: { topicAliasMaximum } }).subscribe("#", { qos: 1 })
    client.take()
    return client
  }

  test("[MQTT-3.1.2-26] [MQTT-3.3.2-11] [MQTT-3.3.2-8] no more than the client takes, from 1 on, each set by the first message of a topic", () => {
    const harness = new Harness()
    const client = subscriber(harness, 2)
    const publisher = harness.client("p")
    for (const topic of ["one", "two", "three", "one", "two", "three", "four"]) publisher.publish(topic, "x")
    expect(seen(client)).toEqual([
      ["one", 1],
      ["two", 2],
      ["three", undefined],
      ["", 1],
      ["", 2],
      ["three", undefined],
      ["four", undefined],
    ])
  })

  test("no more than the listener allows", () => {
    const harness = new Harness({ listener: { outgoingTopicAliasMaximum: 1 } })
    const client = subscriber(harness, 65_535)
    harness.client("p").publish("one").publish("two").publish("one")
    expect(seen(client)).toEqual([
      ["one", 1],
      ["two", undefined],
      ["", 1],
    ])
  })

  for (const [name, properties] of Object.entries({ none: {}, "0": { topicAliasMaximum: 0 } }))
    test(`[MQTT-3.1.2-27] none for a client whose Topic Alias Maximum is ${name}`, () => {
      const harness = new Harness()
      const client = harness.client("s", { properties }).subscribe("#", { qos: 2 })
      client.take()
      for (const qos of [0, 1, 2, 0] as const) harness.client("p").publish("topic", "x", { qos })
      expect(seen(client)).toEqual(new Array(4).fill(["topic", undefined]))
    })

  test("[MQTT-3.3.2-7] they end with the connection: what is sent again on the next has its topic", () => {
    const harness = new Harness()
    const fields = { clean: false, properties: { sessionExpiryInterval: 60, topicAliasMaximum: 5 } }
    const client = harness.client("s", fields).subscribe("#", { qos: 1 })
    client.take()
    const publisher = harness.client("p").publish("one", "1", { qos: 1 }).publish("one", "2", { qos: 1 })
    expect(seen(client)).toEqual([
      ["one", 1],
      ["", 1],
    ])
    client.drop()
    publisher.publish("one", "3", { qos: 1 })
    const resumed = harness.resume("s", fields)
    expect(seen(resumed)).toEqual([
      ["one", 1],
      ["", 1],
      ["", 1],
    ])
    resumed.drop()
    expect(seen(harness.resume("s", { ...durable(), properties: { sessionExpiryInterval: 60 } }))).toEqual([
      ["one", undefined],
      ["one", undefined],
      ["one", undefined],
    ])
  })

  test("each client has its own, and others of the same message have none", () => {
    const harness = new Harness()
    const [a, b, plain] = [subscriber(harness, 5, "a"), subscriber(harness, 1, "b"), subscriber(harness, 0, "c")]
    const old = harness.client("old", { level: 4 }).subscribe("#")
    old.take()
    harness.client("p").publish("one").publish("two").publish("two")
    expect(seen(a).map(([, alias]) => alias)).toEqual([1, 2, 2])
    expect(seen(b).map(([, alias]) => alias)).toEqual([1, undefined, undefined])
    for (const client of [plain, old]) expect(seen(client).map(([topic]) => topic)).toEqual(["one", "two", "two"])
  })

  test("properties, payload and identifiers travel with them", () => {
    const harness = new Harness()
    const client = harness.client("s", { properties: { topicAliasMaximum: 1 } })
    client.subscribe("t", { properties: { subscriptionIdentifier: 9 } }).take()
    const properties = { contentType: "text/plain", userProperties: { b: "1", a: "2" }, messageExpiryInterval: 30 }
    harness.client("p").publish("t", "x", { properties }).publish("t", "y", { properties })
    const common = { ...properties, topicAlias: 1, subscriptionIdentifier: 9 }
    expect(client.take()).toMatchObject([
      { topic: "t", payload: Buffer.from("x"), properties: common },
      { topic: "", payload: Buffer.from("y"), properties: common },
    ])
  })

  test("a message that is dropped sets none", () => {
    const harness = new Harness()
    const client = harness.client("s", { properties: { topicAliasMaximum: 2, maximumPacketSize: 60 } }).subscribe("#")
    client.take()
    harness.client("p").publish("one", "x".repeat(100)).publish("one", "1").publish("one", "2")
    expect(seen(client)).toEqual([
      ["one", 1],
      ["", 1],
    ])
    expect(harness.core.metrics.dropped["packet too large"]).toBe(1)
  })

  test("a message that fits the Maximum Packet Size only without one goes without one", () => {
    const harness = new Harness()
    const maximumPacketSize = 40
    const client = harness.client("s", { properties: { topicAliasMaximum: 2, maximumPacketSize } }).subscribe("#")
    client.take()
    const fits = "x".repeat(maximumPacketSize - 2 - 2 - "one".length - 1)
    harness.client("p").publish("one", `${fits}x`).publish("one", fits).publish("one", "1").publish("one", fits)
    expect(seen(client)).toEqual([
      ["one", undefined],
      ["one", 1],
      ["", 1],
    ])
    expect(harness.core.metrics.dropped["packet too large"]).toBe(1)
  })

  test("a message that a full socket drops sets none", () => {
    const harness = new Harness({ limits: { maximumBacklogBytes: 1024 } })
    const client = subscriber(harness, 5)
    client.capacity = 0
    const publisher = harness.client("p").publish("one", "x".repeat(2000))
    publisher.publish("two", "dropped")
    client.drain()
    publisher.publish("two", "sent").publish("two", "sent")
    expect(seen(client)).toEqual([
      ["one", 1],
      ["two", 2],
      ["", 2],
    ])
  })
})

/** A listener's mount point: its clients live in a part of the topics, and see no other. */
import { describe, expect, test } from "bun:test"
import type { Auth } from "../../src/broker/ports.ts"
import { Reason } from "../../src/codec/index.ts"
import { durable, Harness, type TestClient } from "../support/harness.ts"
import { microtasks } from "../support/store.ts"

const levels = [3, 4, 5] as const

/** A broker with a mounted listener beside the plain one. */
function mounted(mountPoint = "site/ä/", auth?: Auth) {
  const harness = new Harness()
  const serving = harness.listener({ mountPoint }, auth)
  return { harness, serving, client: (id: string, fields = {}) => harness.client(id, fields, serving) }
}

const granted = (client: TestClient) => client.take().flatMap(({ cmd, granted }) => (cmd === "suback" ? granted : []))

for (const level of levels)
  describe(`level ${level}: behind a mount point`, () => {
    test("what a client publishes lies under it, what it receives does not show it", () => {
      const { harness, client } = mounted()
      const outside = harness.client("outside", { level }).subscribe("#")
      const inside = client("inside", { level }).subscribe("#")
      const publisher = client("p", { level })
      for (const qos of [0, 1, 2] as const) publisher.publish(`a/${qos}`, "x", { qos })
      outside.publish("site/ä/b", "y").publish("site/c", "z").publish("d", "z").publish("site/ä", "z")
      expect(outside.messages().slice(0, 4)).toEqual(["site/ä/a/0 x", "site/ä/a/1 x", "site/ä/a/2 x", "site/ä/b y"])
      expect(inside.messages()).toEqual(["a/0 x", "a/1 x", "a/2 x", "b y"])
    })

    test("retained messages are its own", () => {
      const { harness, client } = mounted()
      client("p", { level }).publish("a", "in", { retain: true, qos: 1 })
      harness.client("q").publish("a", "out", { retain: true })
      expect(client("s", { level }).subscribe(["a", "+"], { qos: 1 }).messages()).toEqual(["a in", "a in"])
      expect(harness.client("t").subscribe(["a", "site/#"]).messages()).toEqual(["a out", "site/ä/a in"])
      client("p", { level }).publish("a", "", { retain: true })
      expect(harness.core.retained.count).toBe(1)
    })

    test("a will lies under it too", () => {
      const { harness, client } = mounted()
      const outside = harness.client("outside").subscribe("site/ä/gone")
      const inside = client("inside", { level }).subscribe("gone")
      const will = { topic: "gone", payload: Buffer.from("x"), qos: 1 as const, retain: true }
      client("p", { level, will }).drop()
      expect(outside.messages()).toEqual(["site/ä/gone x"])
      expect(inside.messages()).toEqual(["gone x"])
      expect(client("later", { level }).subscribe("gone").messages()).toEqual(["gone x"])
    })

    test("shared subscriptions share what lies under it", () => {
      const { harness, client } = mounted()
      const members = [client("a", { level }), client("b", { level })]
      for (const each of members) each.subscribe("$share/g/t/+").take()
      const outside = harness.client("outside", { level }).subscribe("$share/g/t/+")
      outside.take()
      const publisher = client("p").publish("t/1", "x").publish("t/2", "x").publish("t/3", "x")
      expect(members.map((each) => each.messages())).toEqual([["t/1 x", "t/3 x"], ["t/2 x"]])
      expect(outside.messages()).toEqual([])
      members[0]!.send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: ["$share/g/t/+"] }).take()
      publisher.publish("t/4", "x").publish("t/5", "x")
      expect(members.map((each) => each.messages())).toEqual([[], ["t/4 x", "t/5 x"]])
    })

    test("a subscription ends under the name it was made with", () => {
      const { harness, client } = mounted()
      const inside = client("a", { level }).subscribe("t")
      inside.send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: ["t"] }).take()
      client("p").publish("t", "x")
      expect(inside.take()).toEqual([])
      expect(harness.core.router.subscriptionCount).toBe(0)
    })

    test("the queue of a session and what is sent again do not show it", () => {
      const { harness, serving, client } = mounted()
      const inside = client("a", durable(level)).subscribe("t", { qos: 1 })
      const publisher = client("p").publish("t", "1", { qos: 1 })
      inside.drop()
      publisher.publish("t", "2", { qos: 1 })
      expect(harness.resume("a", durable(level), serving).messages()).toEqual(["t 1", "t 2"])
    })

    test("a filter that is none does not become one: it is refused", () => {
      const refused = { 3: 0, 4: 0x80, 5: Reason.TopicFilterInvalid }[level]
      const { harness, client } = mounted()
      for (const filter of ["$share/g", "$share/g/", "$share//a", "$share/+/a", "a/#/b", "a+"]) {
        expect([filter, granted(client("a", { level }).subscribe(filter))]).toEqual([filter, [refused]])
      }
      expect(harness.core.router.subscriptionCount).toBe(0)
    })

    test("[MQTT-4.7.3-1] [v3.1.1 MQTT-4.7.3-1] nor does an empty filter, topic name or will topic", () => {
      const { harness, serving, client } = mounted()
      const bytes = level === 5 ? "82 06 0001 00 0000 00" : "82 05 0001 0000 00"
      expect(granted(client("a", { level }).sendBytes(bytes))).not.toEqual([level === 3 ? 1 : 0])
      expect(harness.core.router.subscriptionCount).toBe(0)
      expect(client("b", { level }).sendBytes(level === 5 ? "30 03 0000 00" : "30 02 0000").isClosed).toBe(true)
      const name = level === 3 ? "0006 4d5149736470 03" : `0004 4d515454 0${level}`
      const connect = `${name} 06 0000 ${level === 5 ? "00" : ""} 0001 61 ${level === 5 ? "00" : ""} 0000 0000`
      const body = Buffer.from(connect.replaceAll(" ", ""), "hex")
      const refused = harness.open(level, serving).sendBytes(Buffer.concat([Buffer.from([0x10, body.length]), body]))
      expect(refused.isClosed).toBe(true)
      expect(harness.core.sessions.get("a")?.will).toBeUndefined()
    })

    test("[MQTT-1.5.4-1] [v3.1.1 MQTT-1.5.3-1] nor does a topic name that is no UTF-8, or [MQTT-4.7.0-1] has a wildcard", () => {
      const { harness, client } = mounted()
      const outside = harness.client("outside").subscribe("#")
      outside.take()
      for (const topic of ["0002 c328", "0003 eda080", "0003 610062", "0001 2b", "0001 23"]) {
        const body = Buffer.from((topic + (level === 5 ? "00" : "")).replaceAll(" ", ""), "hex")
        const publisher = client("p", { level })
        publisher.sendBytes(Buffer.concat([Buffer.from([0x30, body.length]), body]))
        expect(publisher.isClosed).toBe(true)
      }
      expect(outside.take()).toEqual([])
    })

    test("nobody publishes to $SYS, nor to anything that would look like it", async () => {
      const { harness, serving, client } = mounted()
      const inside = client("inside").subscribe(["#", "$SYS/#", "$SYS"])
      inside.take()
      const publisher = client("p", { level })
      for (const topic of ["$SYS", "$SYS/broker/uptime"]) publisher.publish(topic, "x", { qos: 1, retain: true })
      const acks = publisher.take().map(({ cmd, reasonCode }) => [cmd, reasonCode ?? 0])
      expect(acks).toEqual(new Array(2).fill(["puback", level === 5 ? Reason.NotAuthorized : 0]))
      const will = { topic: "$SYS/x", payload: Buffer.from("x"), qos: 0 as const, retain: false }
      const refused = harness.connect({ level, clientId: "w", will }, serving)
      await microtasks()
      expect(refused.isClosed).toBe(true)
      expect(inside.take()).toEqual([])
      expect(harness.core.retained.count).toBe(0)
    })
  })

test("topic aliases of both sides stand for names under the mount point", () => {
  const { harness, client } = mounted()
  const inside = client("s", { properties: { topicAliasMaximum: 5 } }).subscribe("t")
  const outside = harness.client("outside").subscribe("site/#")
  for (const each of [inside, outside]) each.take()
  const publisher = client("p").publish("t", "1", { properties: { topicAlias: 1 } })
  publisher.publish("", "2", { properties: { topicAlias: 1 } })
  expect(outside.messages()).toEqual(["site/ä/t 1", "site/ä/t 2"])
  expect(inside.take()).toMatchObject([
    { topic: "t", properties: { topicAlias: 1 } },
    { topic: "", properties: { topicAlias: 1 } },
  ])
})

test("the mount point itself is no topic that its clients can be told of: it is dropped and counted", () => {
  const { harness, client } = mounted("site/")
  const inside = client("s").subscribe(["#", "+"])
  inside.take()
  harness.client("p").publish("site/", "x").publish("site", "x").publish("site//", "y")
  expect(inside.messages()).toEqual(["/ y"])
  expect(harness.core.metrics.dropped["outside mount point"]).toBe(2)
})

test("a session that comes back through another listener gets nothing that lies outside, and is not held up by it", () => {
  const { harness, serving } = mounted()
  const client = harness.client("a", durable()).subscribe("#", { qos: 1 })
  client.drop()
  const publisher = harness.client("p").publish("t", "1", { qos: 1 }).publish("site/ä/t", "2", { qos: 1 })
  const inside = harness.resume(
    "a",
    { ...durable(), properties: { sessionExpiryInterval: 60, receiveMaximum: 1 } },
    serving,
  )
  expect(inside.messages()).toEqual(["t 2"])
  publisher.publish("u", "3")
  expect(inside.take()).toEqual([])
  expect(harness.core.metrics.dropped["outside mount point"]).toBe(2)
})

test("auth is asked about the whole name", () => {
  const asked: string[] = []
  const auth: Auth = {
    authenticate: () => true,
    authorize(_client, action, topic) {
      asked.push(`${action} ${topic}`)
      return true
    },
  }
  const { client } = mounted("site/", auth)
  const will = { topic: "w", payload: Buffer.from("x"), qos: 0 as const, retain: false }
  client("a", { will }).subscribe(["t/+", "$share/g/u"]).publish("t/1", "x")
  expect(asked).toEqual([
    "publish site/w",
    "subscribe site/t/+",
    "subscribe site/u",
    "publish site/t/1",
    "receive site/t/1",
  ])
})

test("the length of a topic is bounded with the mount point", () => {
  const harness = new Harness({ limits: { maximumTopicBytes: 10 }, listener: { mountPoint: "12345/" } })
  const client = harness.client("a")
  expect(granted(client.subscribe(["abcd", "abcde"]))).toEqual([0, Reason.TopicFilterInvalid])
  client.publish("abcd", "x")
  expect(client.messages()).toEqual(["abcd x"])
  client.publish("abcde", "x")
  expect(client.take()).toMatchObject([{ cmd: "disconnect", reasonCode: Reason.TopicNameInvalid }])
})

test("a mount point ends in a slash and has no wildcard", () => {
  const harness = new Harness()
  for (const mountPoint of ["a", "a/b", "+/", "#", "a\0/", "a/#/"]) {
    expect(() => harness.listener({ mountPoint })).toThrow(/mountPoint/)
  }
  for (const mountPoint of ["", "/", "a/", "a/b/"]) harness.listener({ mountPoint })
})

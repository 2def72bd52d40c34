/** `onMessage`: what a client publishes is rewritten, or kept from everybody, at every level and QoS. */
import { describe, expect, test } from "bun:test"
import { ApplicationMessage, type MessageChanges } from "../../src/broker/application-message.ts"
import type { Hooks } from "../../src/broker/hooks.ts"
import { Reason } from "../../src/codec/index.ts"
import { ways } from "../support/door.ts"
import { durable, type HarnessOptions, type TestClient } from "../support/harness.ts"
import { allQoS, witnessed } from "../support/hooked.ts"
import { observe } from "../support/observed.ts"
import { microtasks } from "../support/store.ts"
import { levels, told } from "./wire.ts"

type OnMessage = NonNullable<Hooks["onMessage"]>

const hooked = (onMessage: OnMessage, options?: HarnessOptions) => witnessed({ onMessage }, options)

async function publish(client: TestClient, ...parameters: Parameters<TestClient["publish"]>): Promise<void> {
  client.publish(...parameters)
  await microtasks()
}

describe("is asked about every message that the auth allows, with the client that sent it", () => {
  for (const level of levels)
    test(`level ${level}: as it came`, async () => {
      const asked: unknown[] = []
      const { harness } = hooked(({ topic, qos, retain, properties }, client) => {
        asked.push({ topic, qos, retain, properties, client })
      })
      const client = harness.client("a", { level })
      const properties = level === 5 ? { contentType: "t", userProperties: { k: "v" }, messageExpiryInterval: 9 } : {}
      client.publish("t", "x", { qos: 2, retain: true, ...(level === 5 && { properties }) })
      const known = { contentType: "t", userProperties: [["k", "v"]], messageExpirySeconds: 9 }
      const { view } = harness.core.clients.get("a")!
      expect(asked).toEqual([{ topic: "t", qos: 2, retain: true, properties: level === 5 ? known : {}, client: view }])
    })
  test("not what the auth refuses, not `$SYS`, not a message of QoS 2 that is known", async () => {
    const asked: string[] = []
    const auth = { authenticate: () => true, authorize: (_: unknown, __: unknown, topic: string) => topic !== "secret" }
    const { harness } = hooked(({ topic }) => void asked.push(topic), { auth })
    const client = harness.client("a").publish("secret").publish("$SYS/x").publish("t", "x", { qos: 2, messageId: 5 })
    client.publish("t", "x", { qos: 2, messageId: 5, dup: true })
    expect(asked).toEqual(["t"])
  })
  test("by the name that its alias stands for, behind the mount point", async () => {
    const asked: string[] = []
    const { harness } = hooked(({ topic }) => void asked.push(topic), {
      listener: { mountPoint: "site/", topicAliasMaximum: 5 },
    })
    const client = harness.client("a").publish("t", "1", { properties: { topicAlias: 1 } })
    client.publish("", "2", { properties: { topicAlias: 1 } })
    expect(asked).toEqual(["site/t", "site/t"])
  })
  test("not wills, nor what the broker publishes", async () => {
    let asked = 0
    const { harness } = hooked(() => void asked++)
    const { core } = harness
    harness.client("a", { will: { topic: "w", payload: Buffer.from("x"), qos: 0, retain: false } }).drop()
    core.publish(ApplicationMessage.create("t", "x").toMessage(core.router.topics.named("t")!, 0), undefined)
    expect(asked).toBe(0)
  })
  test("a payload that a hook has kept stays as it was, whatever its chunk holds later", async () => {
    const kept: ApplicationMessage[] = []
    const { harness } = hooked((message) => void kept.push(message))
    const client = harness.client("a")
    const chunk = Buffer.from("3006000174006869", "hex")
    client.connection.receive(chunk)
    chunk.fill(0xff)
    client.publish("u", "other")
    await microtasks()
    expect(kept.map((message) => `${message.topic} ${message.text()}`)).toEqual(["t hi", "u other"])
  })
  test("nothing of it is there any more when it has been taken out", () => {
    const { harness, witness, remove } = hooked(() => false)
    remove()
    harness.client("a").publish("t", "x")
    expect(witness.messages()).toEqual(["t x"])
  })
})

describe("what it makes of a message is what everybody gets", () => {
  const changes: [change: MessageChanges, expected: object][] = [
    [{ topic: "moved/é" }, { topic: "moved/é" }],
    [{ payload: "other" }, { payload: Buffer.from("other") }],
    [{ payload: "" }, { payload: Buffer.alloc(0) }],
    [{ payload: "x".repeat(100_000) }, { payload: Buffer.alloc(100_000, "x") }],
    [{ qos: 0 }, { qos: 0 }],
    [{ qos: 2 }, { qos: 2 }],
    [{ retain: false }, { retain: false }],
    [
      { properties: { contentType: "new", userProperties: [["a", "b"]], correlationData: Buffer.from("c") } },
      { properties: { contentType: "new", userProperties: { a: "b" }, correlationData: Buffer.from("c") } },
    ],
    [{ properties: { messageExpirySeconds: 7 } }, { properties: { messageExpiryInterval: 7 } }],
  ]
  for (const level of levels)
    for (const [when, give] of ways)
      for (const [change, expected] of changes)
        test(`level ${level}, ${when}: ${JSON.stringify(change).slice(0, 60)}`, async () => {
          const { harness, witness } = hooked((message) => give(message.with(change)))
          const client = harness.client("a", { level })
          await publish(client, "t", "x", { qos: 1, retain: true })
          const whole = { topic: "t", payload: Buffer.from("x"), qos: 1, retain: true }
          expect(witness.take()).toMatchObject([{ ...whole, ...expected }])
          expect(told(client)).toBe(level === 5 ? "puback 00, open" : "puback, open")
        })

  for (const [when, give] of ways)
    test(`its properties do not come again in those that are not there any more, ${when}`, async () => {
      const { harness, witness } = hooked((message) => give(message.with({ properties: {} })))
      await publish(harness.client("a"), "t", "x", { properties: { contentType: "t", messageExpiryInterval: 5 } })
      expect(witness.take()[0]!.properties).toBeUndefined()
    })

  for (const qos of allQoS)
    for (const changed of allQoS)
      test(`QoS ${qos} that becomes ${changed}: the client's flow is as it began, the receiver's as it became`, async () => {
        const { harness, witness } = hooked((message) => message.with({ qos: changed }))
        const client = harness.client("a").publish("t", "x", { qos, messageId: 9 })
        if (qos === 2) client.ack("pubrel", 9)
        expect(told(client)).toBe(["open", "puback 00, open", "pubrec 00, pubcomp 00, open"][qos]!)
        expect(witness.take()).toMatchObject([{ qos: changed }])
      })

  test("is what is retained, and what a new RETAIN makes retained", () => {
    const { harness } = hooked((message) => message.with({ payload: "other", retain: message.topic === "kept" }))
    harness.client("a").publish("t", "x", { retain: true }).publish("kept", "x")
    expect(harness.client("b").subscribe("#").messages()).toEqual(["kept other"])
  })

  test("and what is queued for those who are away", () => {
    const { harness } = hooked((message) => message.with({ payload: `${message.text()}!` }))
    harness.client("s", durable()).subscribe("t", { qos: 1 }).drop()
    harness.client("a").publish("t", "x", { qos: 1 })
    expect(harness.resume("s").messages()).toEqual(["t x!"])
  })

  test("each hook sees what those before it have made of it", () => {
    const { harness, witness } = hooked((message) => message.with({ payload: `${message.text()}1` }))
    harness.core.hooks.use({ onMessage: (message) => message.with({ payload: `${message.text()}2` }) })
    harness.client("a").publish("t", "x")
    expect(witness.messages()).toEqual(["t x12"])
  })

  test("another message altogether, even one of before", () => {
    let first: ApplicationMessage | undefined
    const { harness, witness } = hooked((message) => {
      first ??= message
      return message.topic === "new" ? ApplicationMessage.create("made", "up") : first
    })
    harness.client("a").publish("t", "1").publish("u", "2").publish("new", "3")
    expect(witness.messages()).toEqual(["t 1", "t 1", "made up"])
  })

  test("one of another broker is from then on this one's: it goes to nobody there", () => {
    let theirs: ApplicationMessage | undefined
    const { harness: other, witness: otherWitness } = hooked((message) => void (theirs = message))
    const { harness, witness } = hooked(() => theirs)
    other.client("a").publish("t", "theirs", { qos: 1, properties: { messageExpiryInterval: 9, contentType: "t" } })
    expect(otherWitness.messages()).toEqual(["t theirs"])
    harness.client("a").publish("t", "ours")
    expect(witness.take()).toMatchObject([
      {
        topic: "t",
        payload: Buffer.from("theirs"),
        qos: 1,
        properties: { messageExpiryInterval: 9, contentType: "t" },
      },
    ])
    expect(otherWitness.messages()).toEqual([])
  })

  test("No Local holds for it", () => {
    const { harness } = hooked((message) => message.with({ topic: "moved" }))
    const client = harness.client("a").subscribe("moved", { nl: true })
    client.publish("t", "x")
    expect(client.messages()).toEqual([])
  })
})

describe("what it refuses goes to nobody, and is not retained", () => {
  const reasons: [name: string, answer: Reason | false, code: number][] = [
    ["false", false, 0x87],
    ["NotAuthorized", Reason.NotAuthorized, 0x87],
    ["UnspecifiedError", Reason.UnspecifiedError, 0x80],
    ["ImplementationSpecificError", Reason.ImplementationSpecificError, 0x83],
    ["TopicNameInvalid", Reason.TopicNameInvalid, 0x90],
    ["QuotaExceeded", Reason.QuotaExceeded, 0x97],
    ["PayloadFormatInvalid", Reason.PayloadFormatInvalid, 0x99],
    ["Banned, which no acknowledgement knows", Reason.Banned, 0x87],
    ["Success", Reason.Success, 0x00],
    ["NoMatchingSubscribers", Reason.NoMatchingSubscribers, 0x10],
    ["GrantedQoS1, which no acknowledgement knows", Reason.GrantedQoS1, 0x00],
    ["DisconnectWithWill, neither", Reason.DisconnectWithWill, 0x00],
  ]
  for (const level of levels)
    for (const [when, give] of ways)
      for (const [name, answer, code] of reasons)
        test(`level ${level}, ${when}, with ${name}`, async () => {
          const { harness, witness } = hooked(({ topic }) => give(topic === "secret" ? answer : undefined))
          const dropped = observe(harness.core.hooks, "onDropped")
          const client = harness.client("a", { level })
          for (const qos of allQoS) await publish(client, "secret", "x", { qos, retain: true, messageId: 10 + qos })
          client.ack("pubrel", 12)
          await publish(client, "t", "after", { qos: 1 })
          const code5 = ` ${code.toString(16).padStart(2, "0")}`
          const isForgotten = code >= 0x80 // the flow is over [MQTT-4.3.3-9]
          const expected =
            level === 5
              ? `puback${code5}, pubrec${code5}, pubcomp ${isForgotten ? 92 : "00"}, puback 00, open`
              : "puback, pubrec, pubcomp, puback, open"
          expect(told(client)).toBe(expected)
          expect(witness.messages()).toEqual(["t after"])
          expect(harness.core.retained.count).toBe(0)
          expect(harness.core.metrics.dropped["refused by hook"]).toBe(3)
          expect(await dropped()).toEqual(allQoS.map((qos) => `dropped secret x ${qos} retain for a: refused by hook`))
        })

  test("one that is acknowledged all the same is known until its PUBREL, and takes its place in the window", async () => {
    const { harness, witness } = hooked(() => Reason.Success, { limits: { receiveMaximum: 2 } })
    const client = harness.client("a")
    client.publish("t", "1", { qos: 2, messageId: 1 }).publish("t", "1", { qos: 2, messageId: 1, dup: true })
    client.publish("t", "2", { qos: 2, messageId: 2 })
    expect(told(client)).toBe("pubrec 00, pubrec 00, pubrec 00, open")
    client.ack("pubrel", 1).ack("pubrel", 2)
    for (let id = 3; id < 10; id++) client.publish("t", "n", { qos: 2, messageId: id }).ack("pubrel", id)
    expect(client.isClosed).toBe(false)
    expect([harness.core.metrics.dropped["refused by hook"], witness.messages()]).toEqual([9, []])
  })
  test("one that is refused frees its place in the window", async () => {
    const { harness } = hooked(() => false, { limits: { receiveMaximum: 2 } })
    const client = harness.client("a")
    for (let id = 1; id < 10; id++) client.publish("t", "n", { qos: id % 2 ? 1 : 2, messageId: id })
    expect(client.isClosed).toBe(false)
  })

  for (const [how, onMessage] of [
    [
      "throws",
      () => {
        throw new Error("broken")
      },
    ],
    ["rejects", () => Promise.reject(new Error("broken"))],
    ["answers nonsense", () => "x" as never],
    ["names `$SYS`", (message: ApplicationMessage) => message.with({ topic: "$SYS/x" })],
    ["names `$SYS` late", async (message: ApplicationMessage) => message.with({ topic: "$SYS" })],
    ["names what is no topic", (message: ApplicationMessage) => message.with({ topic: "a/+" })],
    [
      "names what is deeper than the limits",
      (message: ApplicationMessage) => message.with({ topic: "a/".repeat(1000) }),
    ],
    [
      "gives a property that cannot be sent",
      (message: ApplicationMessage) => message.with({ properties: { contentType: "\0" } }),
    ],
  ] as [string, OnMessage][])
    for (const level of levels)
      test(`level ${level}: one that ${how} has refused, which is counted and reported`, async () => {
        const { harness, witness } = hooked(onMessage)
        const errors = observe(harness.core.hooks, "onError")
        const client = harness.client("a", { level })
        await publish(client, "t", "x", { qos: 1 })
        expect(told(client)).toBe(level === 5 ? "puback 83, open" : "puback, open")
        expect(witness.messages()).toEqual([])
        expect([harness.core.metrics.hooksFailed, harness.core.metrics.dropped["refused by hook"]]).toEqual([1, 1])
        expect(await errors()).toEqual([expect.stringMatching(/^error in onMessage: /)])
      })
})

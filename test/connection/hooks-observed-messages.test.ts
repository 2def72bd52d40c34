/** What observers are told of messages on their way: published, delivered, acknowledged. */
import { describe, expect, test } from "bun:test"
import { type ConnectFields, durable, Harness } from "../support/harness.ts"
import { observe } from "../support/observed.ts"
import { LateStore, microtasks } from "../support/store.ts"
import { levels } from "./wire.ts"

const will = { topic: "will", payload: Buffer.from("bye"), qos: 1, retain: false } as const

describe("onPublished", () => {
  for (const level of levels)
    test(`level ${level}: every message that was routed, with the client that sent it`, async () => {
      const harness = new Harness()
      const told = observe(harness.core.hooks, "onPublished")
      const client = harness.client("a", { level })
      for (const qos of [0, 1, 2] as const) client.publish("t", `${qos}`, { qos, retain: qos === 1 })
      expect(await told()).toEqual(["published t 0 0 by a", "published t 1 1 retain by a", "published t 2 2 by a"])
      client.publish("t", "2", { qos: 2, messageId: 2, dup: true }) // it is known
      expect(await told()).toEqual([])
    })
  test("a will, whose client may be back meanwhile: it is nobody's", async () => {
    const harness = new Harness()
    const told = observe(harness.core.hooks, "onPublished")
    harness.core.hooks.use({ onWill: async () => undefined })
    harness.client("a", { ...durable(), will }).drop()
    harness.resume("a")
    expect(await told()).toEqual(["published will bye 1 by nobody"])
  })
  test("neither what is refused nor `$SYS`", async () => {
    const harness = new Harness({ limits: { sysIntervalSeconds: 1 } })
    const told = observe(harness.core.hooks, "onPublished")
    const listener = harness.listener({}, { authenticate: () => true, authorize: () => false })
    harness.client("a", {}, listener).publish("t", "x", { qos: 1 })
    harness.client("b").publish("$SYS/x", "x", { qos: 1 })
    harness.clock.advance(5)
    expect(await told()).toEqual([])
  })
})

describe("onDelivered", () => {
  for (const level of levels)
    test(`level ${level}: what has gone out, as it went`, async () => {
      const harness = new Harness()
      const told = observe(harness.core.hooks, "onDelivered")
      const publisher = harness.client("p").publish("kept", "k", { qos: 2, retain: true })
      harness.client("a", { level }).subscribe("#", { qos: 1 })
      publisher.publish("t", "x", { qos: 2 })
      publisher.publish("t", "y")
      expect(await told()).toEqual(["delivered kept k 1 retain to a", "delivered t x 1 to a", "delivered t y 0 to a"])
    })
  test("again when it goes out again, and not while it waits", async () => {
    const harness = new Harness()
    const told = observe(harness.core.hooks, "onDelivered")
    const client = harness.client("a", durable()).subscribe("t", { qos: 1 })
    harness.client("p").publish("t", "x", { qos: 1 })
    expect(await told()).toEqual(["delivered t x 1 to a"])
    client.drop()
    harness.client("p").publish("t", "y", { qos: 1 })
    expect(await told()).toEqual([])
    harness.resume("a")
    expect(await told()).toEqual(["delivered t x 1 to a", "delivered t y 1 to a"])
  })
  test("not what is dropped", async () => {
    const harness = new Harness({ limits: { maximumBacklogBytes: 1024 } })
    const told = observe(harness.core.hooks, "onDelivered", "onDropped")
    const client = harness.client("a", { properties: { maximumPacketSize: 2000 } }).subscribe("t")
    const publisher = harness.client("p").publish("t", "x".repeat(3000))
    client.capacity = 0
    for (const letter of "abc") publisher.publish("t", letter.repeat(1000))
    const lines = (await told()).map((line) => line.replace(/ (.)\1+ /, " $1 "))
    expect(lines).toEqual([
      "dropped t x 0 for a: packet too large",
      "delivered t a 0 to a",
      "delivered t b 0 to a",
      "dropped t c 0 for a: backlog full",
    ])
  })
  test("to whoever was connected before it was registered too, and no more when it is taken out", async () => {
    const harness = new Harness()
    const client = harness.client("a").subscribe("t")
    client.take()
    const delivered: string[] = []
    const remove = harness.core.hooks.use({ onDelivered: (message) => delivered.push(message.text()) })
    const publisher = harness.client("p").publish("t", "1")
    await microtasks()
    remove()
    publisher.publish("t", "2")
    await microtasks()
    expect(delivered).toEqual(["1"])
    expect(client.messages()).toEqual(["t 1", "t 2"])
  })
})

describe("onAcknowledged: the client has a message for good", () => {
  /** Sessions that end with their connection, that outlive it, and that are stored. */
  const sessions: [name: string, fields: ConnectFields][] = levels.flatMap((level): [string, ConnectFields][] => [
    [`level ${level}, a session that ends with the connection`, { level }],
    [`level ${level}, one that outlives it`, durable(level)],
  ])
  for (const [name, fields] of sessions)
    for (const isStored of [false, true])
      test(`${name}${isStored ? ", with a store" : ""}: at PUBACK and at PUBREC, once`, async () => {
        const store = new LateStore()
        const harness = new Harness(isStored ? { store } : {})
        const told = observe(harness.core.hooks, "onAcknowledged")
        const client = harness.connect({ clientId: "a", ...fields })
        const settled = () => (isStored ? store.commitAll() : microtasks())
        await settled()
        client.subscribe("one", { qos: 1 }).subscribe("two", { qos: 2, rap: client.level === 5 })
        await settled()
        client.take()
        const publisher = harness.client("p")
        publisher.publish("one", "1", { qos: 2 })
        publisher.publish("two", "2", { qos: 2, retain: true })
        publisher.publish("two", "0")
        await settled()
        const messages = client.take().filter(({ qos }) => qos > 0)
        const idOf = (name: string) => messages.find(({ topic }) => topic === name)!.messageId!
        expect(await told()).toEqual([])
        client.ack("puback", idOf("one"))
        expect(await told()).toEqual(["acknowledged one 1 1 by a"])
        client.ack("puback", idOf("one"))
        client.ack("pubrec", idOf("two"))
        client.ack("pubrec", idOf("two"))
        await settled()
        client.ack("pubcomp", idOf("two"))
        await settled()
        expect(await told()).toEqual([`acknowledged two 2 2${client.level === 5 ? " retain" : ""} by a`])
        expect(harness.core.inflightCount).toBe(0)
      })
  test("level 5: not with a reason that says that it does not have it", async () => {
    const harness = new Harness()
    const told = observe(harness.core.hooks, "onAcknowledged")
    const client = harness.client("a").subscribe("#", { qos: 2 })
    client.take()
    harness.client("p").publish("one", "1", { qos: 1 }).publish("two", "2", { qos: 2 })
    const [one, two] = client.take()
    client.ack("puback", one!.messageId!, 0x83).ack("pubrec", two!.messageId!, 0x97)
    expect(await told()).toEqual([])
    expect([harness.core.inflightCount, client.isClosed]).toEqual([0, false])
  })
  test("not for an acknowledgement of the wrong kind", async () => {
    const harness = new Harness()
    const told = observe(harness.core.hooks, "onAcknowledged")
    const client = harness.client("a").subscribe("#", { qos: 2 })
    client.take()
    harness.client("p").publish("two", "2", { qos: 2 })
    client.ack("puback", client.take()[0]!.messageId!)
    expect(await told()).toEqual([])
    expect(client.isClosed).toBe(true)
  })
  test("of messages that were sent before it was registered it need not tell", async () => {
    const harness = new Harness()
    const client = harness.client("a").subscribe("#", { qos: 2 })
    client.take()
    const publisher = harness.client("p").publish("t", "1", { qos: 1 }).publish("t", "2", { qos: 2 })
    const told = observe(harness.core.hooks, "onAcknowledged")
    const [one, two] = client.take()
    client.ack("puback", one!.messageId!).ack("pubrec", two!.messageId!).ack("pubcomp", two!.messageId!)
    publisher.publish("t", "3", { qos: 1 })
    client.ack("puback", client.take().find(({ cmd }) => cmd === "publish")!.messageId!)
    expect(await told()).toEqual(["acknowledged t 3 1 by a"])
    expect([harness.core.inflightCount, client.isClosed]).toEqual([0, false])
  })
  test("a session of which it was being told goes on when it is taken out", async () => {
    const harness = new Harness()
    const remove = harness.core.hooks.use({ onAcknowledged() {} })
    const client = harness.client("a").subscribe("#", { qos: 2 })
    client.take()
    harness.client("p").publish("t", "1", { qos: 1 }).publish("t", "2", { qos: 2 })
    remove()
    const [one, two] = client.take()
    client.ack("puback", one!.messageId!).ack("pubrec", two!.messageId!).ack("pubcomp", two!.messageId!)
    expect(client.take()).toMatchObject([{ cmd: "pubrel" }])
    expect([harness.core.inflightCount, client.isClosed]).toEqual([0, false])
  })
})

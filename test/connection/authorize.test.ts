/** Who may publish, subscribe and receive what: decisions at once or late, with the order kept. */
import { describe, expect, test } from "bun:test"
import type { Action, Auth, Permission } from "../../src/broker/ports.ts"
import { Harness, type TestClient } from "../support/harness.ts"
import { microtasks } from "../support/store.ts"
import { levels, told } from "./wire.ts"

/** An auth that lets everybody in and has this opinion on one action; everything else is allowed. */
function opinion(action: Action, decide: (topic: string) => Permission | Promise<Permission>): Auth {
  return { authenticate: () => true, authorize: (_, asked, topic) => (asked === action ? decide(topic) : true) }
}

/** Answers that the test gives, in any order. */
class Answers {
  readonly pending = new Map<string, (permission: Permission) => void>()
  readonly asked: string[] = []

  readonly ask = (topic: string): Promise<Permission> => {
    this.asked.push(topic)
    return new Promise((resolve) => void this.pending.set(topic, resolve))
  }

  async give(topic: string, permission: Permission): Promise<void> {
    this.pending.get(topic)!(permission)
    await microtasks()
  }
}

const isPublic = (topic: string) => topic !== "secret"
const throwing = (topic: string) => {
  if (topic === "secret") throw new Error("no")
  return true
}
const rejecting = async (topic: string) => throwing(topic)
const ways: [name: string, decide: (topic: string) => Permission | Promise<Permission>][] = [
  ["at once", isPublic],
  ["late", async (topic) => isPublic(topic)],
  ["by an exception", throwing],
  ["by a rejected promise", rejecting],
  ["with a reason", (topic) => (isPublic(topic) ? 0 : 0x87)],
]

async function publish(client: TestClient, topic: string, payload: string, qos: 0 | 1 | 2): Promise<void> {
  client.publish(topic, payload, { qos })
  await microtasks()
}

describe("what may not be published is not", () => {
  for (const level of levels)
    for (const [name, decide] of ways)
      test(`level ${level}: denied ${name}, the packet is answered all the same [v3.1.1 MQTT-3.3.5-2]`, async () => {
        const harness = new Harness({ auth: opinion("publish", decide) })
        const watcher = harness.client("watcher").subscribe("#")
        const client = harness.client("a", { level })
        for (const qos of [0, 1, 2] as const) {
          await publish(client, "secret", `${qos}`, qos)
          await publish(client, "open", `${qos}`, qos)
        }
        expect(watcher.messages()).toEqual(["open 0", "open 1", "open 2"])
        const [denied, fine] = level === 5 ? [" 87", " 00"] : ["", ""]
        expect(told(client)).toBe(`puback${denied}, puback${fine}, pubrec${denied}, pubrec${fine}, open`)
        expect(harness.core.metrics.dropped["not authorized"]).toBe(3)
      })
  for (const level of levels)
    test(`level ${level}: nor is it retained`, async () => {
      const harness = new Harness({ auth: opinion("publish", ways[1]![1]) })
      harness.client("a", { level }).publish("secret", "x", { retain: true, qos: 1 })
      await microtasks()
      expect(harness.core.retained.count).toBe(0)
    })
})

describe("while a publish waits for its decision", () => {
  for (const level of levels) {
    test(`level ${level}: the client's other packets wait behind it, and nobody else's`, async () => {
      const answers = new Answers()
      const decide = (topic: string) => (topic.startsWith("late") ? answers.ask(topic) : true)
      const harness = new Harness({ auth: opinion("publish", decide) })
      const watcher = harness.client("watcher").subscribe("#", { qos: 2 })
      watcher.take()
      const client = harness.client("a", { level })
      client.publish("late/1", "1", { qos: 1 }).publish("b", "2").publish("late/2", "3", { qos: 2 })
      client.publish("b", "4", { qos: 1 }).send({ cmd: "pingreq" })
      harness.client("other", { level }).publish("c", "passes")
      expect(answers.asked).toEqual(["late/1"])
      expect(watcher.messages()).toEqual(["c passes"])
      expect([told(client), client.isPaused]).toEqual(["open", true])
      await answers.give("late/1", true)
      expect(watcher.messages()).toEqual(["late/1 1", "b 2"])
      await answers.give("late/2", true)
      expect(watcher.messages()).toEqual(["late/2 3", "b 4"])
      expect(client.take().map(({ cmd }) => cmd)).toEqual(["puback", "pubrec", "puback", "pingresp"])
      expect(client.isPaused).toBe(false)
    })
    test(`level ${level}: a client that goes away meanwhile has not published it`, async () => {
      const answers = new Answers()
      const harness = new Harness({ auth: opinion("publish", answers.ask) })
      const watcher = harness.client("watcher").subscribe("#")
      const client = harness.client("a", { level }).publish("t", "x", { qos: 1 })
      client.drop()
      await answers.give("t", true)
      expect(watcher.messages()).toEqual([])
    })
    test(`level ${level}: the message is the one that came, whatever its chunk holds by then`, async () => {
      const answers = new Answers()
      const harness = new Harness({ auth: opinion("publish", answers.ask) })
      const watcher = harness.client("watcher").subscribe("#")
      const client = harness.client("a", { level })
      const chunk = Buffer.from(level === 5 ? "3006000174006869" : "30050001746869", "hex")
      client.connection.receive(chunk)
      chunk.fill(0)
      await answers.give("t", true)
      expect(watcher.messages()).toEqual(["t hi"])
    })
  }
})

describe("what may not be subscribed to is refused, each filter by itself", () => {
  for (const level of [4, 5] as const)
    for (const [name, decide] of ways)
      test(`level ${level}: denied ${name}`, async () => {
        const harness = new Harness({ auth: opinion("subscribe", decide) })
        const client = harness.client("a", { level }).subscribe(["x", "secret", "y"], { qos: 1 })
        await microtasks()
        expect(client.take().at(-1)?.granted).toEqual([1, level === 5 ? 0x87 : 0x80, 1])
        const publisher = harness.client("publisher")
        for (const topic of ["x", "secret", "y"]) publisher.publish(topic, "!")
        expect(client.messages()).toEqual(["x !", "y !"])
      })
  test("the reasons keep the order of the filters, whatever takes longer", async () => {
    const answers = new Answers()
    const decide = (topic: string) => (topic.startsWith("late") ? answers.ask(topic) : isPublic(topic))
    const harness = new Harness({ auth: opinion("subscribe", decide) })
    const client = harness.client("a").subscribe(["late/1", "secret", "late/2", "x"], { qos: 2 })
    client.publish("x", "mine")
    await answers.give("late/1", false)
    expect(client.take()).toEqual([])
    await answers.give("late/2", true)
    const [suback, message] = client.take()
    expect(suback?.granted).toEqual([0x87, 0x87, 2, 2])
    expect(`${message?.payload}`).toBe("mine") // it came after the SUBSCRIBE, so it is matched by it
  })
  test("a client that goes away meanwhile is not subscribed", async () => {
    const answers = new Answers()
    const harness = new Harness({ auth: opinion("subscribe", answers.ask) })
    const lasting = { clean: false, properties: { sessionExpiryInterval: 100 } }
    harness.client("a", lasting).subscribe("x").drop()
    await answers.give("x", true)
    expect(harness.core.sessions.get("a")!.subscriptions.size).toBe(0)
  })
})

describe("what may not be received is not sent", () => {
  for (const level of levels)
    for (const [name, decide] of ways)
      test(`level ${level}: denied ${name}, at every QoS, and the window stays open`, async () => {
        const harness = new Harness({ limits: { maximumInflight: 2 } })
        const client = harness.client("a", { level }, harness.listener({}, opinion("receive", decide)))
        client.subscribe("#", { qos: 2 })
        const publisher = harness.client("publisher")
        for (const qos of [0, 1, 2] as const) for (let i = 0; i < 3; i++) publisher.publish("secret", `${qos}`, { qos })
        for (const qos of [0, 1, 2] as const) publisher.publish("open", `${qos}`, { qos })
        await microtasks()
        expect(client.messages()).toEqual(["open 0", "open 1", "open 2"])
        expect(harness.core.metrics.dropped["not authorized"]).toBe(9)
      })
  for (const level of levels)
    test(`level ${level}: nor replayed from what is retained`, async () => {
      const harness = new Harness()
      const publisher = harness.client("publisher").publish("secret", "s", { retain: true, qos: 1 })
      publisher.publish("open", "o", { retain: true, qos: 1 })
      const client = harness.client("a", { level }, harness.listener({}, opinion("receive", ways[1]![1])))
      client.subscribe("#", { qos: 1 })
      await microtasks()
      expect(client.messages()).toEqual(["open o"])
    })
})

describe("while a message waits for the decision whether it may be received", () => {
  /** A subscriber whose messages on `late/…` wait for an answer. */
  function waiting(level: (typeof levels)[number]) {
    const answers = new Answers()
    const decide = (topic: string) => (topic.startsWith("late") ? answers.ask(topic) : true)
    const harness = new Harness()
    const listener = harness.listener({}, opinion("receive", decide))
    const lasting = { level, clean: false, ...(level === 5 && { properties: { sessionExpiryInterval: 100 } }) }
    const client = harness.client("a", lasting, listener).subscribe("#", { qos: 2 })
    client.take()
    const reconnect = () => harness.connect({ clientId: "a", ...lasting }, listener)
    return { answers, harness, client, reconnect, publisher: harness.client("publisher") }
  }

  for (const level of levels) {
    test(`level ${level}: those behind it wait too, in their order, and it is asked once for each`, async () => {
      const { answers, client, publisher } = waiting(level)
      publisher.publish("late/1", "1", { qos: 1 }).publish("b", "2").publish("late/2", "3", { qos: 2 })
      publisher.publish("b", "4", { qos: 2 }).publish("late/3", "5").publish("b", "6", { qos: 1 })
      expect(client.messages()).toEqual([])
      await answers.give("late/3", true)
      await answers.give("late/2", false)
      expect(client.messages()).toEqual([])
      await answers.give("late/1", true)
      expect(client.messages()).toEqual(["late/1 1", "b 2", "b 4", "late/3 5", "b 6"])
      publisher.publish("b", "7")
      expect(client.messages()).toEqual(["b 7"])
      expect(answers.asked).toEqual(["late/1", "late/2", "late/3"])
    })
    test(`level ${level}: its own packets are answered meanwhile`, () => {
      const { client, publisher } = waiting(level)
      publisher.publish("late/1", "1", { qos: 1 })
      client.send({ cmd: "pingreq" })
      expect(told(client)).toBe("pingresp, open")
    })
    test(`level ${level}: a client that has gone and come back gets what was pending`, async () => {
      const { answers, client, reconnect, publisher } = waiting(level)
      publisher.publish("late/1", "1", { qos: 1 }).publish("b", "2", { qos: 1 })
      const first = answers.pending.get("late/1")!
      client.drop()
      const again = reconnect()
      expect(answers.asked).toEqual(["late/1", "late/1"])
      first(false) // the answer for the connection that has gone
      await microtasks()
      expect(again.messages()).toEqual([])
      await answers.give("late/1", true)
      expect(again.messages()).toEqual(["late/1 1", "b 2"])
      again.drop() // nothing has been acknowledged
      const third = reconnect()
      await answers.give("late/1", true)
      expect(third.messages()).toEqual(["late/1 1", "b 2"])
    })
    test(`level ${level}: [MQTT-3.14.4-1] nothing follows a DISCONNECT`, async () => {
      const { answers, client, publisher } = waiting(level)
      client.capacity = 0
      publisher.publish("late/1", "1", { qos: 1 })
      client.sendBytes("c1 00")
      await answers.give("late/1", true)
      client.drain()
      expect(told(client)).toBe(level === 5 ? "disconnect 81, closed" : "closed")
    })
  }
  test("messages of QoS 0 that wait are bounded, and what is over is counted", async () => {
    const answers = new Answers()
    const harness = new Harness({ limits: { maximumBacklogBytes: 1024 } })
    const client = harness.client("a", {}, harness.listener({}, opinion("receive", answers.ask))).subscribe("#")
    const publisher = harness.client("publisher")
    for (let i = 0; i < 100; i++) publisher.publish("t", Buffer.alloc(100))
    const dropped = harness.core.metrics.dropped["backlog full"]
    expect(dropped).toBeGreaterThan(80)
    expect(answers.asked.length).toBe(100)
    await microtasks()
    expect(client.messages()).toEqual([])
  })
})

describe("who asks and for what", () => {
  test("the action, the client as it was let in, and the topic", () => {
    const asked: unknown[] = []
    const auth: Auth = {
      authenticate: () => true,
      authorize: (client, action, topic) => {
        asked.push([client.clientId, client.username, client.protocolLevel, client.listener, action, topic])
        return true
      },
    }
    const harness = new Harness({ auth })
    const will = { topic: "will", payload: Buffer.from(""), qos: 0, retain: false } as const
    const client = harness.client("a", { level: 4, username: "u", password: Buffer.from("p"), will })
    client.subscribe(["x/+", "y"]).publish("x/1", "")
    expect(asked).toEqual([
      ["a", "u", 4, "test", "publish", "will"],
      ["a", "u", 4, "test", "subscribe", "x/+"],
      ["a", "u", 4, "test", "subscribe", "y"],
      ["a", "u", 4, "test", "publish", "x/1"],
      ["a", "u", 4, "test", "receive", "x/1"],
    ])
  })
})

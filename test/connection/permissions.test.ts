/** Who may do what with a topic: answers that say nothing, that fail, that are there at once; and who never asks at all. */
import { describe, expect, test } from "bun:test"
import type { Action, Auth, Permission } from "../../src/broker/ports.ts"
import type { Link } from "../../src/connection/link.ts"
import { type Answer, noting, openDoor, ways } from "../support/door.ts"
import { Harness, type TestClient } from "../support/harness.ts"
import { microtasks } from "../support/store.ts"
import { levels, told } from "./wire.ts"

const linkOf = (client: TestClient): Link => client.connection.link

describe("an answer that says nothing is a refusal", () => {
  for (const [name, give] of ways)
    for (const level of levels) {
      const denies = (denied: Action): Partial<Auth> => ({
        authorize: (_, action) => give(action === denied ? undefined : true),
      })

      test(`level ${level}, ${name}: of a publish`, async () => {
        const harness = new Harness()
        const watcher = harness.client("watcher").subscribe("#")
        watcher.take()
        const client = harness.client("a", { level }, openDoor(harness, denies("publish")).listener)
        for (const qos of [0, 1, 2] as const) {
          client.publish("t", "x", { qos, retain: true })
          await microtasks()
        }
        expect(told(client)).toBe(level === 5 ? "puback 87, pubrec 87, open" : "puback, pubrec, open")
        expect(watcher.take()).toEqual([])
        expect(harness.core.retained.count).toBe(0)
      })
      test(`level ${level}, ${name}: of a subscription`, async () => {
        const harness = new Harness()
        const client = harness.client("a", { level }, openDoor(harness, denies("subscribe")).listener)
        client.subscribe("t")
        await microtasks()
        // MQTT 3.1 knows no refusal: the client is told that it has what it does not get.
        expect(client.take()[0]?.granted).toEqual([{ 3: 0, 4: 0x80, 5: 0x87 }[level]])
        harness.client("publisher").publish("t", "x")
        expect(client.take()).toEqual([])
      })
      test(`level ${level}, ${name}: of a message`, async () => {
        const harness = new Harness()
        const client = harness.client("a", { level }, openDoor(harness, denies("receive")).listener).subscribe("t")
        await microtasks()
        harness.client("publisher").publish("t", "x")
        await microtasks()
        expect(client.messages()).toEqual([])
        expect(harness.core.metrics.dropped["not authorized"]).toBe(1)
      })
      test(`level ${level}, ${name}: of a will`, async () => {
        const harness = new Harness()
        const will = { topic: "t", payload: Buffer.from("x"), qos: 0, retain: false } as const
        const client = harness.connect({ level, will }, openDoor(harness, denies("publish")).listener)
        await microtasks()
        expect(told(client)).toBe(level === 5 ? "connack 87, closed" : "connack 05, closed")
      })
    }
})

describe("an exception", () => {
  const failures: [name: string, fail: () => Answer][] = [
    [
      "thrown",
      () => {
        throw new Error("the directory is away")
      },
    ],
    ["a rejected promise", () => Promise.reject(new Error("the directory is away"))],
  ]
  for (const [name, fail] of failures)
    test(`${name}: denies, is logged each time, and is not remembered`, async () => {
      let isFailing = true
      const { authority, take } = noting(() => (isFailing ? fail() : true))
      const harness = new Harness()
      const { listener } = openDoor(harness, authority)
      const client = harness.client("a", {}, listener)
      const publisher = harness.client("publisher")
      const errors = () => harness.logged.splice(0).filter((line) => line.startsWith("error"))
      const everything = async () => {
        client.subscribe("t").publish("t", "mine", { qos: 1 })
        await microtasks()
        publisher.publish("t", "theirs")
        await microtasks()
        return client.take().map(({ cmd, granted, reasonCode }) => `${cmd} ${granted ?? reasonCode ?? ""}`.trim())
      }
      expect(await everything()).toEqual(["suback 135", "puback 135"])
      expect(await everything()).toEqual(["suback 135", "puback 135"])
      expect(take()).toEqual(["subscribe t", "publish t", "subscribe t", "publish t"])
      expect(errors()).toEqual(Array(4).fill("error auth failed for a (192.0.2.1): Error: the directory is away"))
      isFailing = false
      expect(await everything()).toEqual(["suback 0", "publish", "puback 0", "publish"])
      expect(take()).toEqual(["subscribe t", "publish t", "receive t"])
      isFailing = true
      publisher.publish("other").publish("t", "remembered")
      expect(client.messages()).toEqual(["t remembered"])
      client.subscribe("other/+")
      await microtasks()
      expect(errors().length).toBe(1)
    })
  test("of an answer that many messages wait for: none of them is sent, the next one is asked for", async () => {
    const { promise, reject } = Promise.withResolvers<Permission>()
    let isFirst = true
    const { authority, take } = noting((_, action) => {
      if (action !== "receive" || !isFirst) return true
      isFirst = false
      return promise
    })
    const harness = new Harness()
    const client = harness.client("a", {}, openDoor(harness, authority).listener).subscribe("t")
    const publisher = harness.client("publisher")
    for (let i = 0; i < 3; i++) publisher.publish("t", `${i}`, { qos: 1 })
    reject(new Error("no"))
    await microtasks()
    expect([client.messages(), harness.core.metrics.dropped["not authorized"]]).toEqual([[], 3])
    expect(take()).toEqual(["subscribe t", "receive t"])
    publisher.publish("t", "3")
    expect(client.messages()).toEqual(["t 3"])
    expect(take()).toEqual(["receive t"])
  })
})

describe("answers that are there at once", () => {
  for (const isCacheable of [true, false])
    for (const level of levels)
      test(`level ${level}: cost no promise, everything is done within the turn; isCacheable: ${isCacheable}`, () => {
        const { authority } = noting((topic) => topic !== "secret", isCacheable)
        const harness = new Harness()
        const { listener } = openDoor(harness, authority)
        const watcher = harness.client("watcher", { level }, listener).subscribe(["t", "secret", "u"], { qos: 2 })
        expect(watcher.take().map(({ cmd }) => cmd)).toEqual(["suback"])
        const client = harness.client("a", { level }, listener)
        client.publish("t", "1").publish("secret", "2", { qos: 1 }).publish("u", "3", { qos: 2 })
        client.publish("t", "4", { qos: 1 }).subscribe("t")
        expect(watcher.messages()).toEqual(["t 1", "u 3", "t 4"])
        expect(client.take().map(({ cmd }) => cmd)).toEqual(["puback", "pubrec", "puback", "suback"])
        expect([linkOf(client).isBusy, linkOf(watcher).isBusy]).toEqual([false, false])
      })
  test("among some that are not: the order of the messages is kept on both sides", async () => {
    const pending: (() => void)[] = []
    const decide = (topic: string): Answer =>
      topic.startsWith("late") ? new Promise((resolve) => pending.push(() => resolve(true))) : true
    const harness = new Harness()
    const { listener } = openDoor(harness, noting(decide).authority)
    const watcher = harness.client("watcher", {}, listener).subscribe("#", { qos: 2 })
    watcher.take()
    const client = harness.client("a", {}, listener)
    const topics = ["x", "late/1", "x", "late/2", "y", "late/1", "x", "late/2", "y", "x"]
    topics.forEach((topic, i) => void client.publish(topic, `${i}`, { qos: (i % 3) as 0 | 1 | 2 }))
    expect(watcher.messages()).toEqual(["x 0"])
    while (pending.length > 0) {
      pending.pop()!()
      await microtasks()
    }
    expect(watcher.messages()).toEqual(topics.slice(1).map((topic, i) => `${topic} ${i + 1}`))
    client.publish("late/1", "at once, for it is known")
    expect(watcher.messages()).toEqual(["late/1 at once, for it is known"])
  })
})

describe("without an opinion on topics", () => {
  test("nobody is asked and nothing is looked up: the auth is not even touched", () => {
    const touched: PropertyKey[] = []
    const bare: Auth = { isCacheable: true, authenticate: () => true, mayStay: () => true }
    const auth = new Proxy(bare, {
      get(target, name, receiver) {
        touched.push(name)
        return Reflect.get(target, name, receiver)
      },
    })
    const harness = new Harness({ auth })
    const clients = levels.map((level) => harness.client(`l${level}`, { level }))
    for (const { permissions, receiving } of clients.map(linkOf)) {
      expect([permissions, receiving]).toEqual([undefined, undefined])
    }
    expect(touched).toContain("authorize") // once, when it was let in
    touched.length = 0
    for (const client of clients) client.subscribe("#", { qos: 2 }).take()
    for (const qos of [0, 1, 2] as const) clients[0]!.publish("t", `${qos}`, { qos })
    for (const client of clients) expect(client.messages()).toEqual(["t 0", "t 1", "t 2"])
    expect(touched).toEqual([])
  })
})

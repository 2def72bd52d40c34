/** What happens to a client while the answer whether it may stay is awaited. */
import { describe, expect, test } from "bun:test"
import type { Auth, Client } from "../../src/broker/ports.ts"
import { deciding, openDoor, sendAuth, withMethod } from "../support/door.ts"
import { durable, Harness } from "../support/harness.ts"
import { microtasks } from "../support/store.ts"
import { told } from "./wire.ts"

/** Answers that the test gives, in any order: each with who it is about. */
class Answers {
  readonly asked: { readonly client: Client; readonly answer: (answer: boolean) => Promise<void> }[] = []

  readonly ask = (client: Client): Promise<boolean> => {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const answer = (value: boolean) => {
      resolve(value)
      return microtasks()
    }
    this.asked.push({ client, answer })
    return promise
  }
}

describe("while an answer is awaited", () => {
  /** A client of whom it is asked whether it may stay, and the answers are the test's. */
  async function awaited(parts: Partial<Auth> = {}) {
    const answers = new Answers()
    const harness = new Harness()
    const door = openDoor(harness, { mayStay: answers.ask, ...parts })
    const connect = () =>
      harness.client(
        "a",
        { ...durable(), properties: { ...durable().properties, ...withMethod.properties } },
        door.listener,
      )
    const client = connect()
    client.subscribe("t", { qos: 1 }).take()
    await door.change()
    expect(answers.asked.length).toBe(1)
    return { answers, harness, client, connect, ...door }
  }
  const exchange = deciding(() => true)

  test("the client is served", async () => {
    const { answers, harness, client } = await awaited(exchange)
    client.send({ cmd: "pingreq" })
    harness.client("publisher").publish("t", "1")
    expect(told(client)).toBe("pingresp, publish, open")
    await answers.asked[0]!.answer(false)
    expect(told(client)).toBe("disconnect 98, closed")
  })
  for (const mayStay of [true, false])
    test(`one that leaves has left: nothing follows from the answer ${mayStay}`, async () => {
      const asked: string[] = []
      const authorize: Auth["authorize"] = (_, action) => asked.push(action) > 0
      const { answers, harness, client } = await awaited({ ...exchange, authorize })
      client.drop()
      asked.length = 0
      await answers.asked[0]!.answer(mayStay)
      expect([client.take(), asked]).toEqual([[], []])
      expect(harness.core.sessions.get("a")!.subscriptions.size).toBe(1)
    })
  test("one that is taken over has left: its successor has been let in on what holds now", async () => {
    const { answers, client, connect } = await awaited(exchange)
    const successor = connect()
    expect(told(client)).toBe("disconnect 8e, closed")
    await answers.asked[0]!.answer(false)
    expect(told(successor)).toBe("open")
  })
  test("one that leaves while its subscriptions are looked at is not told of them, nor is its successor", async () => {
    const answers = new Answers()
    let isLate = false
    const authorize: Auth["authorize"] = (client) => (isLate ? answers.ask(client) : true)
    const { answers: stays, harness, client, connect } = await awaited({ ...exchange, authorize })
    isLate = true
    await stays.asked[0]!.answer(true)
    expect(answers.asked.length).toBe(1)
    client.drop()
    isLate = false
    const successor = connect()
    await answers.asked[0]!.answer(false)
    expect([client.take(), told(successor)]).toEqual([[], "open"])
    expect(harness.core.sessions.get("a")!.subscriptions.size).toBe(1)
  })
  test("another change asks again, and whichever answer refuses, the client goes once", async () => {
    for (const order of [
      [0, 1],
      [1, 0],
    ]) {
      const { answers, client, change } = await awaited(exchange)
      await change()
      expect(answers.asked.length).toBe(2)
      for (const index of order) await answers.asked[index]!.answer(false)
      expect(told(client)).toBe("disconnect 98, closed")
    }
  })
  test("what is remembered on topics is forgotten at once, not only when the answer is there", async () => {
    let isAllowed = true
    const authorize: Auth["authorize"] = (_, action) => action !== "publish" || isAllowed
    const parts = { ...exchange, isCacheable: true, authorize }
    const { client, change } = await awaited(parts)
    client.publish("u", "", { qos: 1 })
    isAllowed = false
    void change()
    client.publish("u", "", { qos: 1 })
    expect(told(client)).toBe("puback 10, puback 87, open")
  })
  test("one that authenticates again is asked for anew, as who it is then", async () => {
    const users = ["ada", "bob"]
    const admit = deciding(() => ({ authenticated: true, username: users.shift()! }))
    const { answers, client } = await awaited(admit)
    await sendAuth(client, 0x19)
    expect(told(client)).toBe("auth 00, open")
    await answers.asked[0]!.answer(true)
    expect(answers.asked.map(({ client: { username } }) => username)).toEqual(["ada", "bob"])
    await answers.asked[1]!.answer(false)
    expect(told(client)).toBe("disconnect 98, closed")
  })
  for (const [name, isAllowed] of [
    ["goes if a subscription has ended before", false],
    ["stays if none has", true],
  ] as const)
    test(`one that authenticates again while its subscriptions are looked at ${name}`, async () => {
      const answers = new Answers()
      let isLate = false
      const authorize: Auth["authorize"] = (client, action) =>
        isLate && action === "subscribe" ? answers.ask(client) : true
      const { answers: stays, harness, client } = await awaited({ ...exchange, authorize })
      client.subscribe("u").take()
      isLate = true
      await stays.asked[0]!.answer(true)
      await answers.asked[0]!.answer(isAllowed)
      await sendAuth(client, 0x19)
      await answers.asked[1]!.answer(false) // an answer about who it was
      expect(told(client)).toBe(isAllowed ? "auth 00, open" : "auth 00, disconnect 87, closed")
      expect(harness.core.sessions.get("a")!.subscriptions.size).toBe(isAllowed ? 2 : 1)
      expect(stays.asked.length).toBe(isAllowed ? 2 : 1)
    })
})

describe("while it is awaited whether a client may still publish its will", () => {
  const will = { topic: "w", payload: Buffer.from("gone"), qos: 0, retain: false } as const

  /** A client of whose will it is asked, and the answers are the test's. */
  async function awaited() {
    const answers = new Answers()
    const harness = new Harness()
    const watcher = harness.client("watcher").subscribe("w")
    watcher.take()
    let isLate = false
    const authorize: Auth["authorize"] = (client) => (isLate ? answers.ask(client) : true)
    const { listener, change } = openDoor(harness, { ...deciding(() => true), authorize })
    const lasting = { clean: false, properties: { ...withMethod.properties, sessionExpiryInterval: 3600 } }
    const connect = () => {
      isLate = false
      return harness.client("a", { ...lasting, will }, listener)
    }
    const client = connect()
    isLate = true
    await change()
    expect(answers.asked.length).toBe(1)
    return { answers, harness, watcher, client, connect }
  }

  test("one that leaves has left, as it could have before: its will is published, once", async () => {
    const { answers, harness, watcher, client } = await awaited()
    client.drop()
    expect(watcher.messages()).toEqual(["w gone"])
    await answers.asked[0]!.answer(false)
    expect([watcher.messages(), harness.core.metrics.dropped["not authorized"]]).toEqual([[], 0])
  })
  test("one that is taken over has left, too: the will of its successor is allowed by what holds now", async () => {
    const { answers, harness, watcher, connect } = await awaited()
    const successor = connect()
    expect(watcher.messages()).toEqual(["w gone"])
    await answers.asked[0]!.answer(false)
    expect(harness.core.metrics.dropped["not authorized"]).toBe(0)
    successor.drop()
    expect(watcher.messages()).toEqual(["w gone"])
  })
  test("one that authenticates again is asked for anew, as who it is then", async () => {
    const { answers, watcher, client } = await awaited()
    await sendAuth(client, 0x19)
    await answers.asked[0]!.answer(false) // an answer about who it was
    expect(answers.asked.length).toBe(2)
    await answers.asked[1]!.answer(true)
    client.drop()
    expect(watcher.messages()).toEqual(["w gone"])
  })
})

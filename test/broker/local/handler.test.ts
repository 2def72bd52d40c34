/** Handlers of subscriptions of the embedding service: when they are called, and what becomes of what they throw. */
import { expect, test } from "bun:test"
import type { ApplicationMessage } from "../../../src/broker/application-message.ts"
import { embed, take } from "../../support/embedded.ts"
import { microtasks } from "../../support/store.ts"

test("a handler is called with one message after the other", async () => {
  const { broker, core, client } = await embed()
  const handled: string[] = []
  broker.subscribe("t", ({ qos, topic }) => handled.push(`${topic} ${qos}`), { qos: 2 })
  const publisher = client("p")
  for (const qos of [0, 1, 2] as const) publisher.publish("t", "x", { qos })
  await broker.publish("t", "x", { qos: 1 })
  await microtasks()
  expect(handled).toEqual(["t 0", "t 1", "t 2", "t 1"])
  expect(core.inflightCount).toBe(0)
})

test("a handler is not called before whoever publishes or subscribes is done", async () => {
  const { broker, client } = await embed()
  const order: string[] = []
  await broker.publish("t", "retained", { retain: true })
  const subscription = broker.subscribe("t", (message) => {
    order.push(message.text())
    if (message.text() === "2") subscription.close()
  })
  order.push("subscribed")
  await microtasks()
  client("p").publish("t", "1").publish("t", "2").publish("t", "3")
  order.push("published")
  await microtasks()
  expect(order).toEqual(["subscribed", "retained", "published", "1", "2"])
})

test("a handler's promise is awaited before the next message, and what waits meanwhile is in flight", async () => {
  const { broker, core } = await embed()
  const handled: string[] = []
  const answers: (() => void)[] = []
  const handler = (message: ApplicationMessage) => {
    handled.push(message.text())
    return new Promise<void>((resolve) => answers.push(resolve))
  }
  broker.subscribe("t", handler, { qos: 1, buffer: 2 })
  for (const payload of ["1", "2", "3", "4"]) await broker.publish("t", payload, { qos: 1 })
  await microtasks()
  expect([handled, core.inflightCount]).toEqual([["1"], 2])
  answers.shift()!()
  await microtasks()
  expect([handled, core.inflightCount]).toEqual([["1", "2"], 2])
  for (let i = 0; i < 3; i++) {
    answers.shift()!()
    await microtasks()
  }
  expect([handled, core.inflightCount]).toEqual([["1", "2", "3", "4"], 0])
})

test("a handler that throws or rejects is reported, and called with the next message", async () => {
  const { broker, logged } = await embed()
  const errors: unknown[] = []
  broker.use({ onError: (error) => void errors.push(error) })
  const handled: string[] = []
  const failure = (text: string) => new Error(`cannot handle ${text}`)
  broker.subscribe("t", (message) => {
    const text = message.text()
    handled.push(text)
    if (text === "1") throw failure(text)
    return text === "2" ? Promise.reject(failure(text)) : undefined
  })
  for (const payload of ["1", "2", "3"]) await broker.publish("t", payload)
  await microtasks()
  expect(handled).toEqual(["1", "2", "3"])
  expect(errors).toEqual([failure("1"), failure("2")])
  expect(logged.filter((line) => line.startsWith("error"))).toMatchObject([
    expect.stringContaining("cannot handle 1"),
    expect.stringContaining("cannot handle 2"),
  ])
})

test("what a handler publishes comes after what was published before, to itself as well", async () => {
  const { broker, client } = await embed()
  const handled: string[] = []
  const others = broker.subscribe("#")
  let depth = 0
  broker.subscribe("t", (message) => {
    expect(depth++).toBe(0)
    handled.push(message.text())
    if (message.text().length < 3) broker.publish("t", `${message.text()}+`)
    depth--
  })
  client("p").publish("t", "a").publish("t", "b")
  await broker.publish("t", "c")
  await microtasks()
  const expected = ["a", "b", "c", "a+", "b+", "c+", "a++", "b++", "c++"]
  expect(handled).toEqual(expected)
  expect(await take(others, 9)).toEqual(expected)
})

test("what a handler publishes to clients goes out", async () => {
  const { broker, client } = await embed()
  const echo = client("c").subscribe("out")
  echo.take()
  broker.subscribe("in", (message) => broker.publish("out", message.payload, { qos: 1 }))
  echo.publish("in", "hello").publish("in", "again")
  await microtasks()
  expect(echo.messages()).toEqual(["out hello", "out again"])
})

test("a handler that closes its subscription is not called any more", async () => {
  const { broker, core } = await embed()
  const handled: string[] = []
  const subscription = broker.subscribe("t", async (message) => {
    handled.push(message.text())
    subscription.close()
  })
  for (const payload of ["1", "2"]) await broker.publish("t", payload)
  await microtasks()
  expect([handled, core.router.subscriptionCount]).toEqual([["1"], 0])
})

test("a subscription with a handler cannot be iterated", async () => {
  const { broker } = await embed()
  const subscription = broker.subscribe("t", () => {})
  expect(() => subscription[Symbol.asyncIterator]()).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }))
})

test("a slow handler holds up nobody else", async () => {
  const { broker, client } = await embed()
  broker.subscribe("t", () => new Promise(() => {}), { buffer: 1, qos: 1 })
  const quick: string[] = []
  broker.subscribe("t", (message) => quick.push(message.text()))
  const subscriber = client("c").subscribe("t")
  subscriber.take()
  for (const payload of ["1", "2", "3"]) await broker.publish("t", payload, { qos: 1 })
  await microtasks()
  expect(quick).toEqual(["1", "2", "3"])
  expect(subscriber.messages()).toEqual(["t 1", "t 2", "t 3"])
})

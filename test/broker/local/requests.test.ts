/** Requests of the embedding service and their responses. MQTT 5 §4.10 */
import { describe, expect, test } from "bun:test"
import { ApplicationMessage } from "../../../src/broker/application-message.ts"
import { Broker } from "../../../src/broker/broker.ts"
import type { RequestOptions } from "../../../src/broker/options.ts"
import { embed, take } from "../../support/embedded.ts"
import type { TestClient } from "../../support/harness.ts"
import { LateStore, microtasks } from "../../support/store.ts"

/** What it rejects with. */
async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => "(resolved)",
    (error) => error,
  )
}

/** Responds to the requests that have come to a client; gives their topics. */
function respond(client: TestClient, payload: string, correlationData?: Buffer): string[] {
  const requests = client.take().filter(({ cmd }) => cmd === "publish")
  return requests.map(({ properties }) => {
    client.publish(properties.responseTopic, payload, {
      properties: { correlationData: correlationData ?? properties.correlationData },
    })
    return properties.responseTopic
  })
}

describe("a request", () => {
  test("resolves with the response of a client", async () => {
    const { broker, client } = await embed()
    const responder = client("r").subscribe("get")
    responder.take()
    const response = broker.request("get", "state?")
    await microtasks()
    expect(responder.received).toMatchObject([{ cmd: "publish", topic: "get", payload: Buffer.from("state?"), qos: 0 }])
    respond(responder, "fine")
    expect(await response).toBeInstanceOf(ApplicationMessage)
    expect((await response).text()).toBe("fine")
  })

  test("resolves with the response of the service itself", async () => {
    const { broker } = await embed()
    broker.subscribe("double", (request) => broker.reply(request, String(Number(request.text()) * 2)))
    const responses = ["1", "2", "3"].map((payload) => broker.request("double", payload))
    expect((await Promise.all(responses)).map((response) => response.text())).toEqual(["2", "4", "6"])
  })

  test("and its response may be JSON", async () => {
    const { broker } = await embed()
    broker.subscribe("sum", (request) => {
      const { a, b } = request.json<{ a: number; b: number }>()
      return broker.reply(request, { sum: a + b }, { json: true })
    })
    expect((await broker.request("sum", { a: 1, b: 2 }, { json: true })).json()).toEqual({ sum: 3 })
  })

  test("goes out as it is to, with a response topic and correlation data of 16 random bytes", async () => {
    const { broker, client } = await embed()
    const responder = client("r").subscribe("get", { qos: 2 })
    responder.take()
    const properties = { contentType: "text/plain", userProperties: [["a", "1"]] } as const
    const options: RequestOptions = { qos: 1, properties: { ...properties, userProperties: [["a", "1"]] } }
    for (let i = 0; i < 2; i++) broker.request("get", Buffer.from([0xff]), options).catch(() => {})
    await microtasks()
    const [first, second] = responder.take()
    expect(first).toMatchObject({ qos: 1, payload: Buffer.from([0xff]) })
    expect(first!.properties).toMatchObject({ contentType: "text/plain", userProperties: { a: "1" } })
    expect(first!.properties.responseTopic).toMatch(/^manju\/response\/[\w-]{36}$/)
    expect(first!.properties.correlationData).toHaveLength(16)
    expect(second!.properties.responseTopic).toBe(first!.properties.responseTopic)
    expect(second!.properties.correlationData).not.toEqual(first!.properties.correlationData)
  })

  test("takes the response that has its correlation data, in whatever order they come", async () => {
    const { broker } = await embed()
    const requests = broker.subscribe("get")[Symbol.asyncIterator]()
    const [a, b] = [broker.request("get", "a"), broker.request("get", "b")]
    const [first, second] = [(await requests.next()).value!, (await requests.next()).value!]
    const { responseTopic, correlationData } = first.properties
    await broker.publish(responseTopic!, "none")
    await broker.publish(responseTopic!, "another", { properties: { correlationData: Buffer.alloc(16) } })
    await broker.publish("elsewhere", "another topic", { properties: { correlationData: correlationData! } })
    await broker.reply(second, "for b")
    await broker.reply(first, "for a")
    await broker.reply(first, "too late")
    expect([(await a).text(), (await b).text()]).toEqual(["for a", "for b"])
  })

  test("at a topic of its choice, to which nothing is subscribed afterwards", async () => {
    const { broker, core, client } = await embed()
    const responder = client("r").subscribe("get")
    responder.take()
    await broker.publish("re", "retained", { retain: true })
    const responses = [broker.request("get", "1", { responseTopic: "re" }), broker.request("get", "2")]
    await microtasks()
    const [chosen, own] = respond(responder, "fine")
    expect(chosen).toBe("re")
    expect(own).toStartWith("manju/response/")
    for (const response of responses) expect((await response).text()).toBe("fine")
    expect(core.router.route(core.router.topics.named("re")!).targets).toEqual([])
  })

  test("is not answered on another's response topic", async () => {
    const { broker, clock } = await embed()
    const requests = broker.subscribe("get")[Symbol.asyncIterator]()
    const errors = ["a", "b"].map((responseTopic) => errorOf(broker.request("get", "", { responseTopic })))
    const first = (await requests.next()).value!
    const { correlationData } = first.properties
    await broker.publish("b", "misled", { properties: { correlationData: correlationData! } })
    await microtasks()
    clock.advance(6)
    for (const error of errors) expect(await error).toMatchObject({ code: "TIMEOUT" })
  })

  test("knows the response topics of no other broker", async () => {
    const topics: string[] = []
    for (const { broker } of [await embed(), await embed()]) {
      broker.subscribe("get", (request) => {
        topics.push(request.properties.responseTopic!)
        return broker.reply(request, "")
      })
      await broker.request("get", "")
    }
    expect(new Set(topics).size).toBe(2)
  })

  test("leaves one subscription for all that follow, and no timer", async () => {
    const { broker, core, clock, open } = await embed()
    broker.subscribe("get", (request) => broker.reply(request, "", { qos: 2 }))
    for (let i = 0; i < 5; i++) await broker.request("get", "")
    expect([core.router.subscriptionCount, core.inflightCount]).toEqual([2, 0])
    expect(open()).toEqual({ subscriptions: 2, requests: 0 })
    clock.advance(1)
    expect(clock.recurringCount).toBe(0)
  })

  for (const qos of [0, 1, 2] as const)
    test(`gets a response of QoS ${qos} at that`, async () => {
      const { broker } = await embed()
      broker.subscribe("get", (request) => broker.reply(request, "", { qos }))
      expect((await broker.request("get", "")).qos).toBe(qos)
    })

  test("lets its signal go", async () => {
    const { broker } = await embed()
    broker.subscribe("get", (request) => broker.reply(request, ""))
    const { signal } = new AbortController()
    const listeners = new Set<unknown>()
    signal.addEventListener = (_: string, listener: unknown) => void listeners.add(listener)
    signal.removeEventListener = (_: string, listener: unknown) => void listeners.delete(listener)
    const response = broker.request("get", "", { signal })
    expect(listeners.size).toBe(1)
    await response
    expect(listeners.size).toBe(0)
  })
})

describe("a request rejects", () => {
  test("at once where nobody is subscribed, and is not waited for", async () => {
    const { broker } = await embed()
    expect(await errorOf(broker.request("nobody", "x"))).toMatchObject({ code: "NO_RESPONDER" })
    expect(await errorOf(broker.request("nobody", "x", { qos: 1 }))).toMatchObject({ code: "NO_RESPONDER" })
  })

  for (const timeoutMs of [undefined, 60_000])
    test(`when its time is over: ${timeoutMs ?? "5,000 ms if it does not say"}`, async () => {
      const { broker, clock, core } = await embed()
      const requests = broker.subscribe("get", { retainHandling: 2 })
      const error = errorOf(broker.request("get", "x", timeoutMs === undefined ? {} : { timeoutMs }))
      let isOver = false
      error.then(() => (isOver = true))
      await microtasks()
      clock.advance((timeoutMs ?? 5000) / 1000 - 0.001)
      await microtasks()
      expect(isOver).toBe(false)
      clock.advance(0.5)
      expect(await error).toMatchObject({ code: "TIMEOUT" })
      const request = (await requests[Symbol.asyncIterator]().next()).value!
      await broker.reply(request, "too late")
      await microtasks()
      expect(core.metrics.droppedTotal).toBe(0)
    })

  test("when its signal aborts, with the signal's reason", async () => {
    const { broker, core } = await embed()
    broker.subscribe("get")
    const abort = new AbortController()
    const error = errorOf(broker.request("get", "x", { signal: abort.signal, responseTopic: "re" }))
    await microtasks()
    abort.abort(new Error("changed my mind"))
    expect(await error).toEqual(new Error("changed my mind"))
    expect(core.router.subscriptionCount).toBe(1)
  })

  test("when its signal has aborted already: nothing is published", async () => {
    const { broker, core } = await embed()
    const requests = broker.subscribe("get")
    const signal = AbortSignal.abort("no")
    expect(await errorOf(broker.request("get", "aborted", { signal }))).toBe("no")
    await broker.publish("get", "another")
    expect(await take(requests, 1)).toEqual(["another"])
    expect(core.router.subscriptionCount).toBe(1)
  })

  test("when the broker closes", async () => {
    const { broker } = await embed()
    broker.subscribe("get")
    const error = errorOf(broker.request("get", "x"))
    await microtasks()
    await broker.close({ timeoutMs: 1 })
    expect(await error).toMatchObject({ code: "CLOSED" })
    expect(await errorOf(broker.request("get", "x"))).toMatchObject({ code: "CLOSED" })
    expect(await errorOf(broker.reply(ApplicationMessage.create("a", ""), "x"))).toMatchObject({ code: "CLOSED" })
  })

  test("with what publishing fails by, and leaves nothing", async () => {
    const { broker, core } = await embed()
    broker.subscribe("get")
    for (const topic of ["a/+", "", "$SYS/x"]) {
      expect(await errorOf(broker.request(topic, "x"))).toMatchObject({ code: "INVALID_TOPIC" })
    }
    const wrong: object[] = [
      { qos: 3 },
      { timeoutMs: 0 },
      { timeoutMs: Number.NaN },
      { timeoutMs: Number.POSITIVE_INFINITY },
      { responseTopic: "a/+" },
      { responseTopic: "" },
      { responseTopic: "$share/g/t" },
      { properties: { contentType: "\0" } },
    ]
    for (const options of wrong) {
      expect(await errorOf(broker.request("get", "x", options))).toMatchObject({ code: "INVALID_OPTION" })
    }
    expect(core.router.subscriptionCount).toBeLessThanOrEqual(2)
  })
})

test("a request of QoS 1 does not wait for the store when the response is there", async () => {
  const store = new LateStore()
  const { broker, client } = await embed({ store })
  client("s", { clean: false, properties: { sessionExpiryInterval: 60 } }).subscribe("get", { qos: 1 })
  await store.commitAll()
  broker.subscribe("get", (request) => broker.reply(request, "fine", { qos: 0 }))
  expect((await broker.request("get", "x", { qos: 1 })).text()).toBe("fine")
  await store.commitAll()
})

describe("a reply", () => {
  test("has the request's QoS and correlation data, and what else it is given", async () => {
    const { broker, client } = await embed()
    const requester = client("q").subscribe("re/#", { qos: 2 })
    requester.take()
    broker.subscribe("get", (request) => broker.reply(request, "1"), { qos: 2 })
    const contentType = "text/plain"
    broker.subscribe("post", (request) => broker.reply(request, "2", { qos: 0, properties: { contentType } }), {
      qos: 2,
    })
    const properties = { responseTopic: "re/q", correlationData: Buffer.from("mine") }
    requester.publish("get", "", { qos: 1, properties }).publish("post", "", { qos: 2, properties })
    await microtasks()
    const [first, second] = requester.take().filter(({ cmd }) => cmd === "publish")
    expect(first).toMatchObject({ topic: "re/q", payload: Buffer.from("1"), qos: 1 })
    expect(first!.properties).toEqual({ correlationData: Buffer.from("mine") })
    expect(second).toMatchObject({ topic: "re/q", payload: Buffer.from("2"), qos: 0 })
    expect(second!.properties).toEqual({ correlationData: Buffer.from("mine"), contentType })
  })

  test("may be to a request without correlation data", async () => {
    const { broker } = await embed()
    const responses = broker.subscribe("re")[Symbol.asyncIterator]()
    await broker.reply(ApplicationMessage.create("get", "", { properties: { responseTopic: "re" } }), "fine")
    expect((await responses.next()).value?.properties).toEqual({})
  })

  test("is refused for a message that names no response topic, or one that only the broker publishes to", async () => {
    await using broker = new Broker()
    const reply = (properties = {}) => errorOf(broker.reply(ApplicationMessage.create("get", "", { properties }), ""))
    expect(await reply()).toMatchObject({ code: "INVALID_OPTION" })
    expect(await reply({ responseTopic: "$SYS/x" })).toMatchObject({ code: "INVALID_TOPIC" })
  })
})

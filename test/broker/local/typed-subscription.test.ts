/** Subscriptions to typed topics: what they give, and what they skip. */
import { describe, expect, test } from "bun:test"
import type { StandardSchemaV1 } from "@standard-schema/spec"
import * as v from "valibot"
import { z } from "zod"
import type { TypedMessage } from "../../../src/broker/local/typed-subscription.ts"
import type { TopicCodec } from "../../../src/broker/local/typed-topic.ts"
import { Reason } from "../../../src/codec/index.ts"
import { embed } from "../../support/embedded.ts"
import { at, lateNumbers, readings } from "../../support/schemas.ts"
import { microtasks } from "../../support/store.ts"

/** An error with that code. */
const coded = (code: string) => expect.objectContaining({ code })

describe("subscribe", () => {
  for (const [library, schema] of Object.entries(readings)) {
    test(`gives params, what the schema makes of the payload, and the message (${library})`, async () => {
      const { broker, client } = await embed()
      const topic = broker.topic("sensors/:id/temp", schema)
      const subscription = topic.subscribe({ qos: 1 })
      const sensor = client("sensor")
      sensor.publish("sensors/7/temp", `{"celsius":21.5,"at":"${at}"}`, { qos: 1 })
      await topic.publish({ id: "äpfel 🍎" }, { celsius: 4, at, unit: "C" })
      const got = []
      for await (const message of subscription) if (got.push(message) === 2) break
      expect(got.map(({ params, value }) => [params, value])).toEqual([
        [{ id: "7" }, { celsius: 21.5, unit: "K", at: new Date(at) }],
        [{ id: "äpfel 🍎" }, { celsius: 4, unit: "C", at: new Date(at) }],
      ])
      expect(got.map(({ message }) => [message.topic, message.qos])).toEqual([
        ["sensors/7/temp", 1],
        ["sensors/äpfel 🍎/temp", 0],
      ])
      sensor.take()
      sensor.publish("sensors/7/temp", "1", { qos: 1 })
      expect(sensor.take()).toMatchObject([{ cmd: "puback", reasonCode: Reason.NoMatchingSubscribers }])
    })
  }

  test("begins with what is retained, and narrows to the params that are asked for", async () => {
    const { broker, client } = await embed()
    const topic = broker.topic(":site/:kind/:path*", z.number())
    client("v5").publish("attic/temp/a/b", "1", { retain: true }).publish("attic/wind", "2", { retain: true })
    const got: unknown[] = []
    using _ = topic.subscribe(({ params, value }) => got.push([params, value]), { params: { kind: "temp" } })
    await topic.publish({ site: "cellar", kind: "temp", path: [] }, 3)
    await topic.publish({ site: "cellar", kind: "wind", path: [] }, 4)
    await microtasks()
    expect(got).toEqual([
      [{ site: "attic", kind: "temp", path: ["a", "b"] }, 1],
      [{ site: "cellar", kind: "temp", path: [] }, 3],
    ])
  })

  test("gives a name with an empty level, which others may publish to", async () => {
    const { broker, client } = await embed()
    const got: unknown[] = []
    using _ = broker.topic("a/:b/c", z.number()).subscribe(({ params }) => got.push(params))
    client("v5").publish("a//c", "1")
    await microtasks()
    expect(got).toEqual([{ b: "" }])
  })

  test("gives overlapping topics what each of them matches and takes", async () => {
    const { broker, client } = await embed()
    const got: unknown[] = []
    const note = (name: string) => (each: TypedMessage<object, unknown>) => got.push([name, each.params, each.value])
    using _all = broker.topic(":all*", z.unknown()).subscribe(note("all"))
    using _text = broker.topic("a/:b", z.string()).subscribe(note("text"))
    using _number = broker.topic("a/:b", z.number()).subscribe(note("number"))
    using _other = broker.topic(":a/b/:rest*", z.unknown()).subscribe(note("other"))
    client("v5").publish("a/b", "1").publish("$x/b", "2")
    await microtasks()
    expect(got).toContainAllValues([
      ["all", { all: ["a", "b"] }, 1],
      ["number", { b: "b" }, 1],
      ["other", { a: "a", rest: [] }, 1],
    ])
    expect(got.length).toBe(3)
  })

  test("reads $SYS where the pattern says so", async () => {
    const { broker, client, clock } = await embed({ limits: { sysIntervalSeconds: 10 } })
    const got: unknown[] = []
    const counts = broker.topic("$SYS/broker/clients/:what", z.number())
    using _ = counts.subscribe((each) => got.push([each.params, each.value]), { params: { what: "connected" } })
    client("v5")
    clock.advance(20)
    await microtasks()
    expect(got).toEqual([0, 1].map((value) => [{ what: "connected" }, value]))
  })

  test("shares with others of the same filter and share name", async () => {
    const { broker } = await embed()
    const topic = broker.topic("a/:b", z.number())
    const got: [number[], number[]] = [[], []]
    using _left = topic.subscribe(({ value }) => got[0].push(value), { share: "workers" })
    using _right = topic.subscribe(({ value }) => got[1].push(value), { share: "workers" })
    for (let i = 0; i < 10; i++) await topic.publish({ b: "x" }, i)
    await microtasks()
    expect(got.map((each) => each.length)).toEqual([5, 5])
    expect(got.flat().sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    for (const share of ["", "a/b", "+", "a#", 7 as never]) {
      expect(() => topic.subscribe({ share })).toThrow(coded("INVALID_TOPIC"))
    }
  })

  test("refuses params that make no filter, and what broker.subscribe refuses", async () => {
    const { broker } = await embed()
    const topic = broker.topic("a/:b", z.number())
    expect(() => topic.subscribe({ params: { b: "#" } })).toThrow(coded("INVALID_TOPIC"))
    expect(() => topic.subscribe({ qos: 3 as never })).toThrow(coded("INVALID_OPTION"))
    using subscription = topic.subscribe(() => {})
    expect(() => subscription[Symbol.asyncIterator]()).toThrow(coded("INVALID_OPTION"))
    await broker.close()
    expect(() => topic.subscribe()).toThrow(coded("CLOSED"))
    await subscription.closed
  })

  test.each(["an iterator", "a handler"])("keeps the order for %s while a schema thinks", async (consumer) => {
    const { broker, client } = await embed()
    const { schema, waiting } = lateNumbers()
    const topic = broker.topic("a/:b", schema)
    const got: number[] = []
    const subscription = consumer === "a handler" ? topic.subscribe(({ value }) => got.push(value)) : topic.subscribe()
    const iterating =
      consumer === "a handler"
        ? undefined
        : (async () => {
            for await (const { value } of subscription) got.push(value)
          })()
    const sensor = client("v5")
    for (let i = 0; i < 3; i++) sensor.publish("a/b", `${i}`)
    await microtasks()
    expect(waiting.map(({ value }) => value)).toEqual([0])
    for (let i = 0; i < 3; i++) {
      expect(got.length).toBe(i)
      waiting[i]!.answer()
      await microtasks()
    }
    expect(got).toEqual([0, 1, 2])
    subscription.close()
    await iterating
    await subscription.closed
  })

  test.each(["close", "signal"])("gives nothing after %s, though a schema answers later", async (how) => {
    const { broker, client } = await embed()
    const { schema, waiting } = lateNumbers()
    const aborting = new AbortController()
    const topic = broker.topic("a/:b", schema)
    const got: unknown[] = []
    const options = { signal: aborting.signal, onInvalid: () => got.push("invalid") }
    const subscriptions = [topic.subscribe(({ value }) => got.push(value), options), topic.subscribe(options)]
    const iterating = (async () => {
      for await (const { value } of subscriptions[1]!) got.push(value)
    })()
    client("v5").publish("a/b", "1").publish("a/b", "x")
    await microtasks()
    expect(waiting.length).toBe(2)
    if (how === "signal") aborting.abort()
    else for (const subscription of subscriptions) subscription.close()
    for (const { answer } of waiting) answer()
    await iterating
    await microtasks()
    expect(got).toEqual([])
    expect(waiting.length).toBe(2)
  })

  test("iterated twice, gives each message once; the end of one is the end of both", async () => {
    const { broker, client } = await embed()
    const { schema, waiting } = lateNumbers()
    const subscription = broker.topic("a", schema).subscribe()
    const [one, other] = [subscription[Symbol.asyncIterator](), subscription[Symbol.asyncIterator]()]
    const next = [one.next(), other.next(), one.next()]
    client("v5").publish("a", "1").publish("a", "2")
    for (let i = 0; i < 2; i++) {
      await microtasks()
      expect(waiting.length).toBe(i + 1) // in their order: the second waits for the first
      waiting[i]!.answer()
    }
    expect(await Promise.all(next.slice(0, 2))).toMatchObject([{ value: { value: 1 } }, { value: { value: 2 } }])
    await other.return!()
    expect(await next[2]!).toEqual({ done: true, value: undefined })
  })

  test("throws OVERFLOW to the iterator as broker.subscribe does", async () => {
    const { broker, client } = await embed()
    const subscription = broker.topic("a", z.number()).subscribe({ buffer: 1, overflow: "close" })
    for (let i = 0; i < 5; i++) client(`v5-${i}`).publish("a", `${i}`)
    await microtasks()
    const got: number[] = []
    const iterating = (async () => {
      for await (const { value } of subscription) got.push(value)
    })()
    await expect(iterating).rejects.toMatchObject({ code: "OVERFLOW" })
    expect(got).toEqual([0])
  })
})

describe("an invalid payload", () => {
  const payloads = {
    "is no JSON": "{",
    "is no UTF-8": Buffer.from([0x22, 0xff, 0x22]),
    "is of another shape": '{"celsius":"hot"}',
    "lacks a part": "{}",
  }
  const schemas = { zod: z.object({ celsius: z.number() }), valibot: v.object({ celsius: v.number() }) }

  for (const [library, schema] of Object.entries(schemas)) {
    test.each(Object.entries(payloads))(`%s: it is skipped, counted and said (${library})`, async (_, payload) => {
      const { broker, client, logged, core } = await embed()
      const subscription = broker.topic("sensors/:id/temp", schema).subscribe()
      client("v5")
        .publish("sensors/7/temp", payload as string)
        .publish("sensors/8/temp", '{"celsius":1}')
      for await (const { params } of subscription) {
        expect(params).toEqual({ id: "8" })
        break
      }
      expect(subscription.invalidMessages).toBe(1)
      const lines = logged.filter((line) => line.includes("no payload of sensors/:id/temp: sensors/7/temp: "))
      expect(lines.length).toBe(1)
      expect(lines[0]).not.toContain("hot")
      expect(Object.values(core.metrics.dropped).every((count) => count === 0)).toBe(true)
    })
  }

  test("is one that is JSON but for its bytes, which are no UTF-8", async () => {
    const { broker, client } = await embed()
    const got: string[] = []
    using subscription = broker.topic("a", z.string()).subscribe(({ value }) => got.push(value))
    client("v5").publish("a", payloads["is no UTF-8"]).publish("a", '"\\u0000 ü"')
    await microtasks()
    expect([got, subscription.invalidMessages]).toEqual([["\0 ü"], 1])
  })

  test("goes to onInvalid with its issues, and is not logged then", async () => {
    const { broker, client, logged } = await embed()
    const got: unknown[] = []
    using subscription = broker.topic("a/:b", schemas.zod).subscribe(({ value }) => got.push(value), {
      onInvalid: (message, issues) => void got.push([message.topic, message.text(), issues.map(({ path }) => path)]),
    })
    client("v5").publish("a/b", '{"celsius":"hot"}').publish("a/b", "{").publish("a/b", '{"celsius":1}')
    await microtasks()
    expect(got).toEqual([["a/b", '{"celsius":"hot"}', [["celsius"]]], ["a/b", "{", [undefined]], { celsius: 1 }])
    expect(subscription.invalidMessages).toBe(2)
    expect(logged.filter((line) => line.includes("no payload"))).toEqual([])
  })

  test("ends an iteration where onInvalid throws, and is reported where there is a handler, which goes on", async () => {
    const { broker, client } = await embed()
    const errors: unknown[] = []
    broker.use({ onError: (error) => void errors.push(error) })
    const topic = broker.topic("a", z.number())
    const onInvalid = () => {
      throw new RangeError("not in my house")
    }
    const got: number[] = []
    using _ = topic.subscribe(({ value }) => got.push(value), { onInvalid })
    const subscription = topic.subscribe({ onInvalid })
    const iterating = (async () => {
      for await (const { value } of subscription) got.push(value)
    })()
    client("v5").publish("a", "x").publish("a", "1")
    expect(await iterating.catch((error) => error)).toBeInstanceOf(RangeError)
    await subscription.closed
    await microtasks()
    expect(got).toEqual([1])
    expect(errors).toEqual([expect.any(RangeError)])
  })

  test("is one on which the schema or the codec throws, whatever it throws", async () => {
    const { broker, client } = await embed()
    const messages: string[] = []
    const onInvalid = (_: unknown, issues: readonly StandardSchemaV1.Issue[]) => messages.push(issues[0]!.message)
    const failing = z.string().transform((text) => JSON.parse(text))
    const late = v.pipeAsync(
      v.string(),
      v.transformAsync(() => Promise.reject("no")),
    )
    const codec: TopicCodec = {
      encode: String,
      decode() {
        throw new Error("no such thing")
      },
    }
    using _zod = broker.topic("a", failing).subscribe(() => {}, { onInvalid })
    using _valibot = broker.topic("a", late).subscribe(() => {}, { onInvalid })
    using _codec = broker.topic("a", z.any(), { codec }).subscribe(() => {}, { onInvalid })
    client("v5").publish("a", '"{"')
    await microtasks()
    expect(messages.sort()).toEqual([expect.stringContaining("JSON"), "no", "no such thing"])
  })

  test("is none that is empty: a retained value has gone, and nothing is said", async () => {
    const { broker, client, logged } = await embed()
    const topic = broker.topic("a/:b", z.number())
    const got: unknown[] = []
    using subscription = topic.subscribe(({ value }) => got.push(value), { onInvalid: () => got.push("invalid") })
    await topic.publish({ b: "x" }, 1, { retain: true })
    await broker.publish(topic.name({ b: "x" }), "", { retain: true })
    client("v5").publish("a/b", "", { retain: true })
    await microtasks()
    expect([got, subscription.invalidMessages]).toEqual([[1], 0])
    expect(logged.filter((line) => line.includes("no payload"))).toEqual([])
  })
})

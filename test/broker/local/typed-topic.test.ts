/** Typed topics: their types, what they publish, how values travel. */
import { describe, expect, expectTypeOf, test } from "bun:test"
import type { StandardSchemaV1 } from "@standard-schema/spec"
import * as v from "valibot"
import { z } from "zod"
import { ManjuError } from "../../../src/broker/errors.ts"
import type { TypedMessage } from "../../../src/broker/local/typed-subscription.ts"
import type { TopicCodec } from "../../../src/broker/local/typed-topic.ts"
import { embed } from "../../support/embedded.ts"
import { at, lateNumbers, readings, schemaOf } from "../../support/schemas.ts"
import { microtasks } from "../../support/store.ts"

/** What it rejects with, which must be a `ManjuError`. */
async function errorOf(promise: Promise<unknown>): Promise<ManjuError> {
  const error = await promise.then(
    () => undefined,
    (reason) => reason,
  )
  expect(error).toBeInstanceOf(ManjuError)
  return error as ManjuError
}

/** An error with that code. */
const coded = (code: string) => expect.objectContaining({ code })

describe("the types of a topic", () => {
  type Written = { celsius: number; unit?: string | undefined; at: string }
  type Read = { celsius: number; unit: string; at: Date }

  test("are the params of the literal, what the schema takes, and what it gives", async () => {
    const { broker } = await embed()
    const byZod = broker.topic(":site/sensors/:id/:path*", readings.zod)
    expectTypeOf<Parameters<typeof byZod.publish>[0]>().toEqualTypeOf<{
      site: string
      id: string
      path: readonly string[]
    }>()
    expectTypeOf<Parameters<typeof byZod.publish>[1]>().toEqualTypeOf<Written>()
    const byValibot = broker.topic("sensors/:id", readings.valibot)
    expectTypeOf<Parameters<typeof byValibot.publish>[1]>().toEqualTypeOf<Written>()
    using subscription = byZod.subscribe(({ params, value, message }) => {
      expectTypeOf(params.path).toEqualTypeOf<readonly string[]>()
      expectTypeOf(value).toEqualTypeOf<Read>()
      expectTypeOf(message.topic).toBeString()
    })
    type Of<Iterable> = Iterable extends AsyncIterable<infer Each> ? Each : never
    expectTypeOf<Of<typeof subscription>["value"]>().toEqualTypeOf<Read>()
    const iterated = byValibot.subscribe({ params: { id: "7" } })
    expectTypeOf<Of<typeof iterated>>().toEqualTypeOf<TypedMessage<{ id: string }, Read>>()
    const late = broker.topic("sensors/:id", readings["zod, async"]).subscribe()
    expectTypeOf<Of<typeof late>["value"]>().toEqualTypeOf<Read>()
  })

  test("refuse what does not fit", async () => {
    const { broker } = await embed()
    const topic = broker.topic("sensors/:id/temp", readings.zod)
    const refused = [
      // @ts-expect-error: a param is missing
      topic.publish({}, { celsius: 21, at }),
      // @ts-expect-error: another param
      topic.publish({ name: "7" }, { celsius: 21, at }),
      // @ts-expect-error: a part of the value is missing
      topic.publish({ id: "7" }, { celsius: 21 }),
      // @ts-expect-error: what is read is not what is written
      topic.publish({ id: "7" }, { celsius: 21, at: new Date() }),
    ]
    for (const publishing of refused) await errorOf(publishing)
    // @ts-expect-error: no such param
    topic.subscribe({ params: { name: "7" } }).close()
    // @ts-expect-error: no schema
    expect(() => broker.topic("a", { parse: () => 1 })).toThrow()
    // @ts-expect-error: a codec of other values
    broker.topic("a", z.number(), { codec: { encode: (value: string) => value, decode: () => 1 } })
  })

  test("are those of a schema that only says what it gives, or is a function", async () => {
    const { broker } = await embed()
    const odd = Object.assign(
      (value: unknown) => value === 1,
      schemaOf((value) => ({ value: value as 1 })),
    )
    const topic = broker.topic("a/b", odd)
    expectTypeOf<keyof Parameters<typeof topic.publish>[0]>().toBeNever()
    expectTypeOf<Parameters<typeof topic.publish>[1]>().toEqualTypeOf<1>()
    await topic.publish({}, 1)
  })

  test("are open where the pattern is only known at run time", async () => {
    const { broker } = await embed()
    const prefix: string = "attic"
    expect(broker.topic(`${prefix}/:id`, z.number()).name({ id: "7" })).toBe("attic/7")
    expect(broker.topic(["a", ":id"].join("/"), z.number()).name({ id: "7" })).toBe("a/7")
  })
})

describe("a topic is not made", () => {
  test("of a pattern with wildcards, of what is no schema, by a broker that is closed", async () => {
    const { broker } = await embed()
    expect(() => broker.topic("a/+", z.number())).toThrow(coded("INVALID_TOPIC"))
    for (const schema of [undefined, null, {}, { "~standard": {} }]) {
      expect(() => broker.topic("a", schema as never)).toThrow(coded("INVALID_OPTION"))
    }
    await broker.close()
    expect(() => broker.topic("a", z.number())).toThrow(coded("CLOSED"))
  })
})

describe("publish", () => {
  for (const [library, schema] of Object.entries(readings)) {
    test(`sends the value as it was given, as JSON (${library})`, async () => {
      const { broker, client } = await embed()
      const [new5, old] = [client("v5"), client("v4", { level: 4 })]
      for (const each of [new5, old]) each.subscribe("sensors/#", { qos: 2 }).take()
      await broker.topic("sensors/:id/temp", schema).publish({ id: "7" }, { celsius: 21.5, at }, { qos: 1 })
      const [message] = new5.take()
      expect(message).toMatchObject({ topic: "sensors/7/temp", qos: 1, retain: false })
      expect(message!.payload.toString()).toBe(`{"celsius":21.5,"at":"${at}"}`)
      expect(message!.properties).toEqual({ payloadFormatIndicator: true, contentType: "application/json" })
      expect(old.messages()).toEqual([`sensors/7/temp {"celsius":21.5,"at":"${at}"}`])
    })

    test(`throws INVALID_PAYLOAD with paths and messages, and nobody gets it (${library})`, async () => {
      const { broker, client } = await embed()
      const listening = client("v5").subscribe("#")
      listening.take()
      const topic = broker.topic("sensors/:id/temp", schema)
      const error = await errorOf(topic.publish({ id: "7" }, { celsius: "hot", at: "noon" } as never))
      expect(error.code).toBe("INVALID_PAYLOAD")
      expect(error.message).toStartWith("no payload for sensors/7/temp: celsius: Invalid ")
      expect(error.message).toContain("; at: Invalid ")
      expect((error.cause as StandardSchemaV1.Issue[]).length).toBe(2)
      expect(listening.take()).toEqual([])
    })
  }

  test("takes QoS, retain and properties; those of the service come before those of the codec", async () => {
    const { broker, client } = await embed()
    const properties = { contentType: "application/senml+json", userProperties: [["a", "b"]] as [string, string][] }
    await broker.topic("a/:b", z.number()).publish({ b: "c" }, 1, { retain: true, properties })
    const [message] = client("v5")
      .subscribe("a/#")
      .take()
      .filter(({ cmd }) => cmd === "publish")
    expect(message).toMatchObject({ topic: "a/c", retain: true })
    expect(message!.properties).toMatchObject({ contentType: "application/senml+json", payloadFormatIndicator: true })
    expect({ ...message!.properties!.userProperties }).toEqual({ a: "b" })
  })

  test("says where within the value an issue is, and no more than ten issues", async () => {
    const { broker } = await embed()
    const list = z.object({ rooms: z.array(z.object({ celsius: z.number() })) })
    const rooms = Array.from({ length: 1000 }, () => ({ celsius: "x" as never }))
    const { message } = await errorOf(broker.topic("a", list).publish({}, { rooms }))
    expect(message).toContain("rooms.0.celsius: ")
    expect(message).toContain("rooms.9.celsius: ")
    expect(message).not.toContain("rooms.10.celsius: ")
    expect(message).toEndWith("; and 990 more")
    const odd = schemaOf(() => ({ issues: [{ message: "odd", path: [{ key: "a" }, { key: 0 }, Symbol.iterator] }] }))
    expect((await errorOf(broker.topic("a", odd).publish({}, 1))).message).toEndWith(
      "for a: a.0.Symbol(Symbol.iterator): odd",
    )
  })

  test("throws INVALID_PAYLOAD for what JSON cannot say, and for a schema that throws", async () => {
    const { broker } = await embed()
    const any = broker.topic("a", z.any())
    const loop: unknown[] = []
    loop.push(loop)
    for (const value of [undefined, () => 1, 1n, loop]) {
      await expect(any.publish({}, value)).rejects.toMatchObject({ code: "INVALID_PAYLOAD" })
    }
    const failing = schemaOf((): StandardSchemaV1.Result<number> => {
      throw new Error("out of order")
    })
    const error = await errorOf(broker.topic("a", failing).publish({}, 1))
    expect([error.code, error.message]).toEqual(["INVALID_PAYLOAD", "no payload for a: out of order"])
  })

  test("asks no schema where the params make no name", async () => {
    const { broker } = await embed()
    const { schema, waiting } = lateNumbers()
    await expect(broker.topic("a/:b", schema).publish({ b: "x/y" }, 1)).rejects.toMatchObject({ code: "INVALID_TOPIC" })
    expect(waiting).toEqual([])
  })

  test("sends nothing before a schema that answers later has answered", async () => {
    const { broker, client } = await embed()
    const listening = client("v5").subscribe("#")
    listening.take()
    const { schema, waiting } = lateNumbers()
    const topic = broker.topic("a/:b", schema)
    const [good, bad] = [topic.publish({ b: "x" }, 1), topic.publish({ b: "y" }, "2" as never)]
    await microtasks()
    expect(listening.take()).toEqual([])
    for (const { answer } of waiting) answer()
    await good
    await expect(bad).rejects.toMatchObject({ code: "INVALID_PAYLOAD" })
    expect(listening.messages()).toEqual(["a/x 1"])
  })

  test("sends values in the order of the calls where the schema answers at once", async () => {
    const { broker, client } = await embed()
    const listening = client("v5").subscribe("#")
    const [a, b] = [broker.topic("a", z.number()), broker.topic("b", v.number())]
    await Promise.all([a.publish({}, 1), b.publish({}, 2), broker.publish("c", "3"), a.publish({}, 4)])
    expect(listening.messages()).toEqual(["a 1", "b 2", "c 3", "a 4"])
  })

  test("does not write to $SYS, nor to a broker that is closed", async () => {
    const { broker } = await embed()
    const topic = broker.topic("a", z.number())
    await expect(broker.topic("$SYS/:what", z.number()).publish({ what: "x" }, 1)).rejects.toMatchObject({
      code: "INVALID_TOPIC",
    })
    await broker.close()
    await expect(topic.publish({}, 1)).rejects.toMatchObject({ code: "CLOSED" })
  })
})

describe("a codec", () => {
  const floats: TopicCodec<number> = {
    encode: (value) => new Uint8Array(Float32Array.of(value).buffer),
    decode: (bytes) => {
      if (bytes.length !== 4) throw new RangeError(`4 bytes, not ${bytes.length}`)
      return new DataView(bytes.buffer, bytes.byteOffset).getFloat32(0, true)
    },
  }

  test("says what is published: bytes are said to be no text", async () => {
    const { broker, client } = await embed()
    const listening = client("v5").subscribe("#")
    listening.take()
    await broker.topic("float", z.number(), { codec: floats }).publish({}, 0.5)
    const csv: TopicCodec<string[]> = {
      contentType: "text/csv",
      encode: (values) => values.join(),
      decode: (bytes) => Buffer.from(bytes).toString().split(","),
    }
    await broker.topic("csv", v.array(v.string()), { codec: csv }).publish({}, ["a", "ü"])
    const [float, text] = listening.take()
    expect([float!.payload, float!.properties]).toEqual([Buffer.from("0000003f", "hex"), undefined as never])
    expect([text!.payload.toString(), text!.properties]).toEqual([
      "a,ü",
      { payloadFormatIndicator: true, contentType: "text/csv" },
    ])
  })

  test("says what is read, and what is refused", async () => {
    const { broker, client } = await embed()
    const got: number[] = []
    using topic = broker.topic("float", z.number().max(1), { codec: floats, rejectInvalid: true })
    using _ = topic.subscribe(({ value }) => got.push(value))
    const sensor = client("v5")
    for (const bytes of ["0000003f", "00", "00000040"]) sensor.publish("float", Buffer.from(bytes, "hex"), { qos: 1 })
    await microtasks()
    expect(sensor.take().map(({ reasonCode }) => reasonCode)).toEqual([0, 0x99, 0x99])
    expect(got).toEqual([0.5])
  })

  test("may make a value of an empty payload", async () => {
    const { broker, client } = await embed()
    const text: TopicCodec<string> = { encode: String, decode: (bytes) => Buffer.from(bytes).toString() }
    const got: string[] = []
    using _ = broker.topic("text", z.string(), { codec: text }).subscribe(({ value }) => got.push(value))
    client("v5").publish("text", "").publish("text", "a")
    await microtasks()
    expect(got).toEqual(["", "a"])
  })

  test("that cannot encode a value makes it invalid", async () => {
    const { broker } = await embed()
    const codec: TopicCodec<number> = {
      ...floats,
      encode() {
        throw new RangeError("too warm")
      },
    }
    const error = await errorOf(broker.topic("a", z.number(), { codec }).publish({}, 1))
    expect([error.code, error.message]).toEqual(["INVALID_PAYLOAD", "no payload for a: too warm"])
  })
})

/** Typed topics that refuse what clients publish to them if it is invalid. */
import { describe, expect, test } from "bun:test"
import type { StandardSchemaV1 } from "@standard-schema/spec"
import * as v from "valibot"
import { z } from "zod"
import { Reason } from "../../../src/codec/index.ts"
import { embed } from "../../support/embedded.ts"
import type { TestClient } from "../../support/harness.ts"
import { lateNumbers, schemaOf } from "../../support/schemas.ts"
import { microtasks } from "../../support/store.ts"

/** The codes of the acknowledgements that have come. */
const acks = (client: TestClient) =>
  client.take().flatMap(({ cmd, reasonCode }) => (cmd === "puback" || cmd === "pubrec" ? [`${cmd} ${reasonCode}`] : []))

/** A promise of a library's is many: every message of a client waits for those of the one before. */
async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await microtasks()
}

describe("rejectInvalid", () => {
  const schemas = {
    zod: z.object({ celsius: z.number() }),
    valibot: v.object({ celsius: v.number() }),
    "zod, async": z.object({ celsius: z.number().refine(async () => true) }),
    "valibot, async": v.objectAsync({
      celsius: v.pipeAsync(
        v.number(),
        v.checkAsync(async () => true),
      ),
    }),
  }
  const refused = Reason.PayloadFormatInvalid

  for (const [library, schema] of Object.entries(schemas)) {
    test(`refuses clients what is invalid with 0x99, and nobody gets it (${library})`, async () => {
      const { broker, client } = await embed()
      const dropped: string[] = []
      broker.use({ onDropped: ({ topic }, reason, clientId) => void dropped.push(`${topic} ${reason} ${clientId}`) })
      using _ = broker.topic("sensors/:id/temp", schema, { rejectInvalid: true })
      const listening = client("listening").subscribe("#", { qos: 2 })
      listening.take()
      const sensor = client("sensor")
      sensor.publish("sensors/7/temp", '{"celsius":"hot"}', { qos: 1, retain: true })
      sensor.publish("sensors/7/temp", "{", { qos: 2 })
      sensor.publish("sensors/7/temp", "{}", { qos: 0 })
      sensor.publish("sensors/7/temp", '{"celsius":1}', { qos: 1, retain: true })
      sensor.publish("sensors//temp", "x", { qos: 1 })
      await settled()
      expect(acks(sensor)).toEqual([`puback ${refused}`, `pubrec ${refused}`, "puback 0", `puback ${refused}`])
      const old = client("old", { level: 4 }).publish("sensors/7/temp", "{}", { qos: 1 })
      await settled()
      expect(old.take()).toMatchObject([{ cmd: "puback" }])
      expect(listening.messages()).toEqual(['sensors/7/temp {"celsius":1}'])
      expect(client("late").subscribe("#").messages()).toEqual(['sensors/7/temp {"celsius":1}'])
      expect(dropped).toEqual([
        ...Array(3).fill("sensors/7/temp refused by hook sensor"),
        "sensors//temp refused by hook sensor",
        "sensors/7/temp refused by hook old",
      ])
    })
  }

  test("looks at nothing but its topic", async () => {
    const { broker, client } = await embed()
    let asked = 0
    const schema = schemaOf((): StandardSchemaV1.Result<number> => {
      asked++
      return { issues: [{ message: "never" }] }
    })
    using _ = broker.topic("a/:b/:rest*", schema, { rejectInvalid: true })
    const sensor = client("v5").subscribe("#", { qos: 1 })
    sensor.take()
    for (const topic of ["a", "b/a", "ab/c", "A/b", "$a/b"]) sensor.publish(topic, "x", { qos: 1 })
    expect(acks(sensor)).toEqual([...Array(4).fill("puback 0"), `puback ${Reason.NoMatchingSubscribers}`])
    expect(asked).toBe(0)
    for (const topic of ["a/b", "a/", "a/b/c/d", "a/b/"]) sensor.publish(topic, "1", { qos: 1 })
    expect(acks(sensor)).toEqual(Array(4).fill(`puback ${refused}`))
    expect(asked).toBe(4)
  })

  test("lets retained messages be cleared, but nothing else that is empty", async () => {
    const { broker, client } = await embed()
    using topic = broker.topic("a/:b", z.number(), { rejectInvalid: true })
    await topic.publish({ b: "x" }, 1, { retain: true })
    const sensor = client("v5")
    sensor.publish("a/x", "", { qos: 1 })
    expect(acks(sensor)).toEqual([`puback ${refused}`])
    expect(client("still").subscribe("#").messages()).toEqual(["a/x 1"])
    sensor.publish("a/x", "", { qos: 1, retain: true })
    expect(acks(sensor)).toEqual(["puback 0"])
    expect(client("gone").subscribe("#").messages()).toEqual([])
  })

  test("makes a client wait for a schema that answers later, in order, and nobody else", async () => {
    const { broker, client } = await embed()
    const { schema, waiting } = lateNumbers()
    using _ = broker.topic("slow/:id", schema, { rejectInvalid: true })
    const [sensor, other, listening] = [client("sensor"), client("other"), client("listening").subscribe("#")]
    listening.take()
    sensor.publish("slow/1", "1", { qos: 1 }).publish("slow/2", '"x"', { qos: 1 }).publish("fast", "3", { qos: 1 })
    other.publish("fast", "4")
    await microtasks()
    expect(acks(sensor)).toEqual([])
    expect(listening.messages()).toEqual(["fast 4"])
    for (let i = 0; i < 2; i++) {
      waiting[i]!.answer()
      await microtasks()
    }
    expect(acks(sensor)).toEqual(["puback 0", `puback ${refused}`, "puback 0"])
    expect(listening.messages()).toEqual(["slow/1 1", "fast 3"])
  })

  test("keeps back a will that is invalid, and no other", async () => {
    const { broker, client } = await embed()
    using _ = broker.topic("state/:id", z.enum(["on", "off"]), { rejectInvalid: true })
    const listening = client("listening").subscribe("#")
    listening.take()
    for (const [id, payload] of Object.entries({ good: '"off"', bad: "gone", cleared: "" })) {
      const will = { topic: `state/${id}`, payload: Buffer.from(payload), qos: 0 as const, retain: id === "cleared" }
      client(id, { will }).drop()
    }
    await microtasks()
    expect(listening.messages()).toEqual(['state/good "off"', "state/cleared "])
  })

  test("judges what the hooks before it have made of a message", async () => {
    const { broker, client } = await embed()
    broker.use({ onMessage: (message) => message.with({ payload: message.text().replace(",", ".") }) })
    using _ = broker.topic("a", z.number(), { rejectInvalid: true })
    const listening = client("listening").subscribe("#")
    listening.take()
    client("v5").publish("a", "1,5")
    expect(listening.messages()).toEqual(["a 1.5"])
  })

  test("wants a message to be valid for every topic that matches", async () => {
    const { broker, client } = await embed()
    using _any = broker.topic("a/:rest*", z.number(), { rejectInvalid: true })
    using _small = broker.topic(":first/b", z.number().max(9), { rejectInvalid: true })
    using _no = broker.topic("a/:b", z.string())
    const sensor = client("v5").subscribe("#")
    sensor.take()
    for (const payload of ["1", "10", '"x"']) sensor.publish("a/b", payload, { qos: 1 })
    sensor.publish("a/c", "10", { qos: 1 }).publish("c/b", "10", { qos: 1 })
    expect(acks(sensor)).toEqual([0, refused, refused, 0, refused].map((code) => `puback ${code}`))
  })

  test("ends with the topic, whose subscriptions go on", async () => {
    const { broker, client, core } = await embed()
    const sensor = client("v5")
    const got: number[] = []
    const topic = broker.topic("a/:b", z.number(), { rejectInvalid: true })
    using _ = topic.subscribe(({ value }) => got.push(value))
    expect(acks(sensor.publish("a/b", "x", { qos: 1 }))).toEqual([`puback ${refused}`])
    topic.close()
    topic.close()
    expect(acks(sensor.publish("a/b", "x", { qos: 1 }).publish("a/b", "1", { qos: 1 }))).toEqual([
      "puback 0",
      "puback 0",
    ])
    await topic.publish({ b: "x" }, 2)
    await microtasks()
    expect(got).toEqual([1, 2])
    expect([core.hooks.message, core.hooks.will]).toEqual([undefined, undefined])
  })

  test("that is not asked for registers nothing, and the service's own messages are not looked at", async () => {
    const { broker, client, core } = await embed()
    const topic = broker.topic("a/:b", z.number())
    expect([core.hooks.message, core.hooks.will]).toEqual([undefined, undefined])
    topic.close()
    using _ = broker.topic("a/:b", z.number(), { rejectInvalid: true })
    const listening = client("listening").subscribe("#")
    await broker.publish("a/b", "as I like")
    expect(listening.messages()).toEqual(["a/b as I like"])
  })
})

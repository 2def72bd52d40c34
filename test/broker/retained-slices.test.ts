/** Many retained messages for a new subscription: they are looked for and sent in slices, and others are served meanwhile. */
import { describe, expect, spyOn, test } from "bun:test"
import type { Message } from "../../src/session/index.ts"
import { settled } from "../../src/testing/settled.ts"
import { told } from "../connection/wire.ts"
import { Harness, type TestClient } from "../support/harness.ts"

const COUNT = 3000
const topics = Array.from({ length: COUNT }, (_, index) => `t/${index}`)

function prepared(qos: 0 | 1 = 0) {
  const harness = new Harness()
  const publisher = harness.client("pub")
  for (const topic of topics) publisher.publish(topic, "x", { retain: true, qos })
  return { harness, publisher }
}

const turns = async (count: number) => {
  for (let i = 0; i < count; i++) await settled()
}
/** The topics of the messages that have come, which the client acknowledges. */
function topicsOf(client: TestClient): string[] {
  const messages = client.take().filter(({ cmd }) => cmd === "publish")
  for (const { qos, messageId } of messages) if (qos > 0) client.ack("puback", messageId!)
  return messages.map(({ topic }) => topic)
}

describe("what is retained for a new subscription", () => {
  for (const qos of [0, 1] as const)
    test(`comes a part in each turn, others are served in between, and in the end all has come, each once (QoS ${qos})`, async () => {
      const { harness, publisher } = prepared(qos)
      const other = harness.client("other")
      const client = harness.client("client").subscribe("t/#", { qos })
      for (const topic of topics.slice(0, 10)) publisher.publish(topic, "x", { retain: true, qos: 1 })
      const got: string[] = []
      for (let turn = 0; turn < 3; turn++) {
        const part = topicsOf(client)
        expect(part.length).toBeGreaterThan(0)
        expect(part.length).toBeLessThan(COUNT / 5)
        got.push(...part)
        expect(told(other.send({ cmd: "pingreq" }))).toBe("pingresp, open")
        await settled()
      }
      for (let turn = 0; turn < 20; turn++) {
        got.push(...topicsOf(client))
        await settled()
      }
      expect(new Set(got)).toEqual(new Set(topics))
      expect(got).toHaveLength(COUNT + 10) // the live ones as well
    })

  test("is one slice for all: who else subscribes waits for his turn, and nobody is forgotten", async () => {
    const { harness } = prepared()
    const clients = Array.from({ length: 20 }, (_, i) => harness.client(`c${i}`))
    const got = new Map(clients.map((client) => [client, 0]))
    const count = () => {
      let sum = 0
      for (const client of clients) {
        const part = topicsOf(client).length
        got.set(client, got.get(client)! + part)
        sum += part
      }
      return sum
    }
    for (const client of clients) client.subscribe("t/#")
    for (let sum = count(); sum > 0; sum = count()) {
      expect(sum).toBeLessThan(COUNT / 5)
      await settled()
    }
    expect([...got.values()]).toEqual(clients.map(() => COUNT))
  })

  test("is looked for in slices too: where little matches, the way is as long", async () => {
    const { harness, publisher } = prepared()
    publisher.publish("last/found", "x", { retain: true })
    let looked = 0
    const { retained } = harness.core
    const matching = retained.matching.bind(retained)
    spyOn(retained, "matching").mockImplementation(function* (pattern): Generator<Message | undefined> {
      for (const message of matching(pattern)) {
        looked++
        yield message
      }
    })
    const client = harness.client("client").subscribe("+/found")
    const first = harness.client("first").subscribe("+/+/nothing")
    for (let i = 0; i < 1000; i++)
      first.send({ cmd: "subscribe", messageId: 9, subscriptions: [{ topic: `+/+/${i}`, qos: 0 }] })
    expect(looked).toBeLessThan(20_000)
    await turns(100)
    expect(topicsOf(client)).toEqual(["last/found"])
  })

  test("is not sent any more when it has expired meanwhile", async () => {
    const { harness, publisher } = prepared()
    const properties = { messageExpiryInterval: 1 }
    for (const topic of topics) publisher.publish(topic, "x", { retain: true, properties })
    const client = harness.client("client").subscribe("t/#")
    const part = topicsOf(client).length
    expect(part).toBeGreaterThan(0)
    const now = harness.clock.now() + 2000
    harness.core.now = () => now // and the timer that removes them has not run yet
    await turns(20)
    expect(topicsOf(client)).toEqual([])
  })

  test("goes on while others publish: what is new comes at once", async () => {
    const { harness, publisher } = prepared()
    const client = harness.client("client").subscribe("t/#")
    client.take()
    publisher.publish("t/new", "y")
    expect(client.messages()).toEqual(["t/new y"])
  })

  test("ends with UNSUBSCRIBE", async () => {
    const { harness } = prepared()
    const client = harness.client("client").subscribe("t/#")
    client.send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: ["t/#"] }).take()
    await turns(3)
    expect(client.take()).toEqual([])
  })

  test("ends with the connection, and with the next one comes anew", async () => {
    const { harness } = prepared()
    harness.client("client").subscribe("t/#").drop()
    await turns(3)
    const client = harness.client("client").subscribe("t/#")
    await turns(20)
    expect(topicsOf(client)).toHaveLength(COUNT)
  })
})

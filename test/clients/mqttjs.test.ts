/** MQTT.js, the client of most Node services, in all levels. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test"
import type { IClientOptions } from "mqtt"
import { Reason } from "../../src/codec/index.ts"
import { eventually } from "../listeners/socket.ts"
import { connect, endClients } from "../support/mqttjs.ts"
import { serve } from "./support.ts"

setDefaultTimeout(60_000)

afterEach(endClients)

for (const level of [3, 4, 5] as const)
  describe(`[v3.1.1 MQTT-7.0.0-2] MQTT.js, level ${level}`, () => {
    test("publishes and subscribes at QoS 0, 1 and 2", async () => {
      await using served = await serve()
      const { client, inbox } = await connect(served.port, level)
      const granted = await client.subscribeAsync({ "q/0": { qos: 0 }, "q/1": { qos: 1 }, "q/2": { qos: 2 } })
      expect(granted.map(({ topic, qos }) => [topic, qos])).toEqual([
        ["q/0", 0],
        ["q/1", 1],
        ["q/2", 2],
      ])
      for (const subscribed of [0, 1, 2] as const)
        for (const qos of [0, 1, 2] as const) {
          await client.publishAsync(`q/${subscribed}`, `at ${qos}`, { qos })
          const message = await inbox.next()
          expect([message.topic, String(message.payload), message.qos]).toEqual([
            `q/${subscribed}`,
            `at ${qos}`,
            Math.min(qos, subscribed) as 0 | 1 | 2,
          ])
        }
      await client.unsubscribeAsync(["q/0", "q/1"])
      await client.publishAsync("q/0", "unheard")
      await client.publishAsync("q/2", "heard")
      expect(await inbox.take(1)).toEqual(["q/2 heard"])
    })

    test("a thousand messages at each QoS, and one of a megabyte, come in order", async () => {
      await using served = await serve()
      const { client, inbox } = await connect(served.port, level)
      const { client: publisher } = await connect(served.port, level)
      await client.subscribeAsync("#", { qos: 2 })
      for (const qos of [0, 1, 2] as const) {
        const published = Array.from({ length: 1000 }, (_, i) => publisher.publishAsync(`n/${qos}`, String(i), { qos }))
        expect(await inbox.take(1000)).toEqual(Array.from({ length: 1000 }, (_, i) => `n/${qos} ${i}`))
        await Promise.all(published)
      }
      const large = Buffer.alloc(1024 * 1024, "large")
      await publisher.publishAsync("large", large, { qos: 1 })
      expect(large.equals((await inbox.next()).payload as Buffer)).toBe(true)
    })

    test("gets what is retained, marked so, and nothing once it is cleared", async () => {
      await using served = await serve()
      const { client, inbox } = await connect(served.port, level)
      await client.publishAsync("kept/a", "1", { retain: true, qos: 1 })
      await client.publishAsync("kept/b", "2", { retain: true, qos: 1 })
      await client.publishAsync("kept/a", "", { retain: true, qos: 1 })
      await client.subscribeAsync("kept/#", { qos: 1 })
      const { topic, payload, retain, qos } = await inbox.next()
      expect([topic, String(payload), retain, qos]).toEqual(["kept/b", "2", true, 1])
      await client.publishAsync("kept/b", "3", { retain: true, qos: 1 })
      expect((await inbox.next()).retain).toBe(false)
    })

    test("leaves a will when its connection breaks, and none when it says goodbye", async () => {
      await using served = await serve()
      const { client, inbox } = await connect(served.port, level)
      await client.subscribeAsync("will/#")
      const will = (topic: string) => ({
        will: { topic, payload: Buffer.from("gone"), qos: 1 as const, retain: false },
      })
      const { client: polite } = await connect(served.port, level, will("will/polite"))
      const { client: broken } = await connect(served.port, level, will("will/broken"))
      await polite.endAsync()
      broken.stream.destroy()
      expect(await inbox.take(1)).toEqual(["will/broken gone"])
    })

    test("resumes its session: what came meanwhile is delivered, in order", async () => {
      await using served = await serve()
      const persistent: IClientOptions = { clientId: "keeper", clean: false, resubscribe: false }
      if (level === 5) persistent.properties = { sessionExpiryInterval: 300 }
      const first = await connect(served.port, level, persistent)
      expect(first.connack.sessionPresent).toBe(false)
      await first.client.subscribeAsync("away/#", { qos: 2 })
      await first.client.endAsync()
      const { client: publisher } = await connect(served.port, level)
      for (let i = 0; i < 20; i++) await publisher.publishAsync(`away/${i}`, `${i % 3}`, { qos: (i % 3) as 0 | 1 | 2 })
      const second = await connect(served.port, level, persistent)
      expect(second.connack.sessionPresent).toBe(level !== 3) // MQTT 3.1 has no such flag
      const expected = Array.from({ length: 20 }, (_, i) => `away/${i} ${i % 3}`).filter((line) => !line.endsWith(" 0"))
      const came = await second.inbox.take(expected.length)
      // MQTT.js hands over QoS 2 with PUBREL, so that the order shows within a QoS only.
      for (const qos of ["1", "2"]) {
        expect(came.filter((line) => line.endsWith(qos))).toEqual(expected.filter((line) => line.endsWith(qos)))
      }
    })

    test("comes back by itself when its connection breaks, and loses nothing at QoS 1 and 2", async () => {
      await using served = await serve()
      const options: IClientOptions = { clientId: "phoenix", clean: false, reconnectPeriod: 20 }
      if (level === 5) options.properties = { sessionExpiryInterval: 300 }
      const { client, inbox } = await connect(served.port, level, options)
      await client.subscribeAsync("p/#", { qos: 2 })
      const { client: publisher } = await connect(served.port, level)
      const sent: string[] = []
      for (let round = 0; round < 3; round++) {
        const reconnected = new Promise((resolve) => client.once("connect", resolve))
        for (let i = 0; i < 50; i++) {
          const [topic, payload] = [`p/${round}`, String(i)]
          sent.push(`${topic} ${payload}`)
          publisher.publish(topic, payload, { qos: 2 })
          if (i === 25) client.stream.destroy()
        }
        await reconnected
      }
      expect(await inbox.take(sent.length)).toEqual(sent)
    })

    test("of the same id takes the connection over", async () => {
      await using served = await serve()
      const { client: old } = await connect(served.port, level, { clientId: "same" })
      const closed = new Promise((resolve) => old.once("close", () => resolve("closed")))
      const said = new Promise((resolve) => old.once("disconnect", ({ reasonCode }) => resolve(reasonCode)))
      const { client: young, inbox } = await connect(served.port, level, { clientId: "same" })
      expect(await closed).toBe("closed")
      if (level === 5) expect(await said).toBe(Reason.SessionTakenOver)
      await young.subscribeAsync("t")
      await young.publishAsync("t", "mine")
      expect(await inbox.take(1)).toEqual(["t mine"])
    })
  })

describe("[v3.1.1 MQTT-7.0.0-2] MQTT.js, what only MQTT 5 has", () => {
  test("properties travel from end to end", async () => {
    await using served = await serve()
    const { client, inbox } = await connect(served.port, 5)
    await client.subscribeAsync("p", { qos: 1, properties: { subscriptionIdentifier: 77 } })
    const properties = {
      payloadFormatIndicator: true,
      messageExpiryInterval: 600,
      contentType: "text/plain",
      responseTopic: "answers/1",
      correlationData: Buffer.from([0, 1, 255]),
      userProperties: { a: ["1", "2"], ключ: "значение" },
    }
    await client.publishAsync("p", "hi", { qos: 1, properties })
    const message = await inbox.next()
    expect({ ...message.properties, userProperties: { ...message.properties?.userProperties } }).toEqual({
      ...properties,
      subscriptionIdentifier: 77,
    })
  })

  test("topic aliases in both directions", async () => {
    await using served = await serve()
    const { client, inbox, connack } = await connect(served.port, 5, {
      autoAssignTopicAlias: true,
      properties: { topicAliasMaximum: 4 },
    })
    expect(connack.properties?.topicAliasMaximum).toBeGreaterThan(0)
    const wire: (number | undefined)[] = []
    client.on("packetreceive", (packet) => {
      if (packet.cmd === "publish") wire.push(packet.properties?.topicAlias)
    })
    await client.subscribeAsync("alias/#")
    const expected: string[] = []
    for (let i = 0; i < 60; i++) {
      const topic = `alias/of/a/long/topic/${i % 6}`
      expected.push(`${topic} ${i}`)
      client.publish(topic, String(i))
    }
    expect(await inbox.take(60)).toEqual(expected)
    expect(wire.filter((alias) => alias !== undefined && alias >= 1 && alias <= 4).length).toBe(40)
  })

  test("a shared subscription gives each message to one member", async () => {
    await using served = await serve()
    const members = await Promise.all([1, 2, 3].map(() => connect(served.port, 5)))
    for (const { client } of members) await client.subscribeAsync("$share/g/work/+", { qos: 1 })
    const { client: publisher } = await connect(served.port, 5)
    for (let i = 0; i < 30; i++) await publisher.publishAsync(`work/${i}`, String(i), { qos: 1 })
    const came = await Promise.all(members.map(({ inbox }) => inbox.take(10)))
    expect(new Set(came.flat()).size).toBe(30)
  })

  test("no local, retain as published, retain handling", async () => {
    await using served = await serve()
    const { client, inbox } = await connect(served.port, 5)
    const { client: other } = await connect(served.port, 5)
    await other.publishAsync("t", "old", { retain: true, qos: 1 })
    await client.subscribeAsync("t", { qos: 1, nl: true, rap: true, rh: 2 })
    await client.publishAsync("t", "own", { qos: 1 })
    await other.publishAsync("t", "new", { retain: true, qos: 1 })
    const { payload, retain } = await inbox.next()
    expect([String(payload), retain]).toEqual(["new", true])
  })

  test("a refused filter, and a publish that nobody gets, have their reasons", async () => {
    await using served = await serve()
    const { client } = await connect(served.port, 5)
    const refused = await client.subscribeAsync("$share//x", { qos: 1 }).catch((error) => error)
    expect(refused.packet.granted).toEqual([Reason.TopicFilterInvalid])
    const acks: (number | undefined)[] = []
    client.on("packetreceive", (packet) => {
      if (packet.cmd === "puback") acks.push(packet.reasonCode)
    })
    await client.publishAsync("nobody", "there", { qos: 1 })
    expect(acks).toEqual([Reason.NoMatchingSubscribers])
  })

  test("a will with a delay waits for it, and is forgotten when its client is back", async () => {
    await using served = await serve()
    const options: IClientOptions = {
      clientId: "late",
      clean: false,
      properties: { sessionExpiryInterval: 300 },
      will: { topic: "w", payload: Buffer.from("!"), qos: 0, retain: false, properties: { willDelayInterval: 120 } },
    }
    const { client, inbox } = await connect(served.port, 5)
    await client.subscribeAsync("w")
    const { client: late } = await connect(served.port, 5, options)
    late.stream.destroy()
    await eventually(() => served.core.peers.size === 1, "the break")
    const again = await connect(served.port, 5, options)
    expect(again.connack.sessionPresent).toBe(true)
    await client.publishAsync("w", "only this")
    expect(await inbox.take(1)).toEqual(["w only this"])
  })

  test("a client without an id is told which it has been given", async () => {
    await using served = await serve()
    const { connack } = await connect(served.port, 5, { clientId: "" })
    expect(connack.properties?.assignedClientIdentifier).toStartWith("manju-")
  })

  test("the broker's end is told: 0x8B", async () => {
    const served = await serve()
    const { client } = await connect(served.port, 5)
    const said = new Promise((resolve) => client.once("disconnect", ({ reasonCode }) => resolve(reasonCode)))
    await served.broker.close()
    expect(await said).toBe(Reason.ServerShuttingDown)
  })
})

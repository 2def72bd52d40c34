/**
 * What survives a restart: sessions with their subscriptions, the state of every flow, and nothing of a session that ends
 * with its connection. Deadlines, queues and retained messages have files of their own beside this one.
 */
import { describe, expect, test } from "bun:test"
import { Reason } from "../../src/codec/index.ts"
import { durable, type TestClient } from "../support/harness.ts"
import { Runs } from "../support/runs.ts"

const levels = [3, 4, 5] as const
const window = (receiveMaximum: number) => ({
  clean: false,
  properties: { sessionExpiryInterval: 3600, receiveMaximum },
})

/** Packets in short: `publish 7 q2 dup`. */
const told = (client: TestClient) =>
  client
    .take()
    .map(({ cmd, messageId, qos, dup }) =>
      cmd === "publish" ? `${cmd} ${messageId} q${qos}${dup ? " dup" : ""}` : `${cmd} ${messageId}`,
    )

/** What the broker knows of the subscriptions of a session. */
const known = (runs: Runs, clientId: string) =>
  [...runs.harness.core.sessions.get(clientId)!.subscriptions.values()].map(({ filter, options, identifiers }) => {
    return { topicFilter: filter.text, options, identifiers }
  })

describe("a session that outlives its connection outlives the broker", () => {
  for (const level of levels) {
    test(`level ${level}: its client is told so, connected or not when the broker ended`, async () => {
      const runs = new Runs()
      await runs.client("connected", durable(level))
      await runs.drop(await runs.client("away", durable(level)))
      await runs.restart()
      await runs.resume("connected", durable(level))
      await runs.resume("away", durable(level))
    })

    test(`level ${level}: one that ends with its connection leaves nothing in the store`, async () => {
      const runs = new Runs()
      const will = { topic: "w", payload: Buffer.from("x"), qos: 1 as const, retain: false }
      const client = await runs.client("a", { level, will })
      await runs.subscribe(client, ["t", "$share/g/t"], { qos: 2 })
      for (const qos of [1, 2] as const) await runs.publish("t", "x", { qos })
      client.publish("u", "x", { qos: 2 })
      await runs.settled()
      expect(await runs.stored("session", "subscribed", "received", "inflight", "queue", "retained")).toEqual([])
      await runs.restart()
      expect(runs.harness.core.sessions.size).toBe(0)
      await runs.client("a", durable(level))
    })
  }

  test("[MQTT-3.1.2-4] a clean start ends what is stored, for every run to come", async () => {
    for (const fields of [{ level: 4 }, { level: 5 }, { ...durable(), clean: true }] as const) {
      const runs = new Runs()
      const client = await runs.client("a")
      await runs.subscribe(client, "t", { qos: 2 })
      await runs.publish("t", ["in flight", "too"], { qos: 2 })
      client.publish("u", "x", { qos: 2 })
      await runs.drop(client)
      await runs.publish("t", "queued")
      await runs.restart()
      await runs.client("a", fields)
      expect(await runs.stored("subscribed", "received", "inflight", "queue")).toEqual([])
      await runs.restart()
      const isKept = "properties" in fields
      expect(runs.harness.core.sessions.get("a") !== undefined).toBe(isKept)
      const again = await (isKept ? runs.resume("a") : runs.client("a"))
      await runs.publish("t", "x")
      expect(again.take()).toEqual([])
    }
  })

  test("one that its client ends by DISCONNECT does not come back", async () => {
    const runs = new Runs()
    const client = await runs.client("a")
    await runs.subscribe(client, "t", { qos: 1 })
    client.disconnect(0, { sessionExpiryInterval: 0 })
    await runs.restart()
    expect(await runs.stored("session", "subscribed")).toEqual([])
    await runs.client("a")
  })
})

describe("subscriptions", () => {
  for (const level of levels)
    test(`level ${level}: each with its filter and its QoS`, async () => {
      const runs = new Runs()
      const client = await runs.client("a", durable(level))
      const filters = ["a/+", "b/#", "c/é🙂"]
      for (const qos of [0, 1, 2] as const) await runs.subscribe(client, filters[qos]!, { qos })
      await runs.restart()
      const resumed = await runs.resume("a", durable(level))
      for (const topic of ["a/x", "b/x/y", "c/é🙂", "d"]) await runs.publish(topic, "x", { qos: 2 })
      expect(resumed.take().map(({ topic, qos }) => `${topic} ${qos}`)).toEqual(["a/x 0", "b/x/y 1", "c/é🙂 2"])
    })

  test("with all their options and their identifier", async () => {
    const runs = new Runs()
    const client = await runs.client("a")
    for (const [index, qos] of ([0, 1, 2] as const).entries()) {
      const options = { qos, nl: index === 1, rap: index !== 1, rh: index }
      await runs.subscribe(client, `t/${index}/#`, { ...options, properties: { subscriptionIdentifier: index + 7 } })
    }
    await runs.subscribe(client, "$share/group/t/+", { qos: 1, rap: true })
    const before = known(runs, "a")
    expect(before.map(({ identifiers }) => identifiers)).toEqual([[7], [8], [9], undefined])
    await runs.restart()
    expect(known(runs, "a")).toEqual(before)
  })

  test("No Local, Retain As Published and the identifiers have their effect", async () => {
    const runs = new Runs()
    const client = await runs.client("a")
    await runs.subscribe(client, "own", { nl: true, properties: { subscriptionIdentifier: 1 } })
    await runs.subscribe(client, "t", { rap: true, properties: { subscriptionIdentifier: 268_435_455 } })
    await runs.subscribe(client, "+", { properties: { subscriptionIdentifier: 3 }, nl: true })
    await runs.restart()
    const resumed = await runs.resume("a")
    resumed.publish("own", "mine")
    await runs.publish("own", "theirs", { qos: 0 })
    await runs.publish("t", "kept", { qos: 0, retain: true })
    const packets = resumed.take().map(({ payload, retain, properties }) => {
      return [`${payload}`, retain, [properties.subscriptionIdentifier].flat().sort()]
    })
    expect(packets).toEqual([
      ["theirs", false, [1, 3]],
      ["kept", true, [268_435_455, 3]],
    ])
  })

  test("the last of several with one filter is the one; what was unsubscribed is none", async () => {
    const runs = new Runs()
    const client = await runs.client("a")
    await runs.subscribe(client, ["t", "gone", "$share/g/gone"], { qos: 0 })
    await runs.subscribe(client, "t", { qos: 2 })
    client.send({ cmd: "unsubscribe", messageId: 99, unsubscriptions: ["gone", "$share/g/gone"] })
    await runs.restart()
    expect(known(runs, "a").map(({ topicFilter, options }) => [topicFilter, options.qos])).toEqual([["t", 2]])
    expect(runs.harness.core.router.subscriptionCount).toBe(1)
  })

  test("they are not new: nothing retained is sent for them, but for one that is made again as it asks", async () => {
    const runs = new Runs()
    await runs.subscribe(await runs.client("a"), "t")
    await runs.publish("t", "kept", { retain: true })
    await runs.restart()
    const resumed = await runs.resume("a")
    expect(resumed.take()).toEqual([])
    for (const [rh, payloads] of [
      [1, []],
      [2, []],
      [0, ["t kept"]],
    ] as const) {
      resumed.subscribe("t", { rh })
      await runs.settled()
      expect(resumed.messages()).toEqual([...payloads])
    }
  })

  test("one that a smaller limit does not allow any more is passed over, and there again with the old limit", async () => {
    const runs = new Runs()
    await runs.subscribe(await runs.client("a"), ["a/b/c", "a/b", "$share/g/a/b/c"], { qos: 1 })
    await runs.restart(0, { maximumTopicLevels: 2 })
    expect(known(runs, "a").map(({ topicFilter }) => topicFilter)).toEqual(["a/b"])
    const resumed = await runs.resume("a")
    await runs.publish("a/b", "x")
    expect(resumed.messages()).toEqual(["a/b x"])
    await runs.restart(0, {})
    expect(known(runs, "a").map(({ topicFilter }) => topicFilter)).toEqual(["a/b/c", "a/b", "$share/g/a/b/c"])
  })
})

describe("messages in flight", () => {
  test("[MQTT-4.4.0-1] come again with DUP, their packet ids, their order and all that they carried", async () => {
    const runs = new Runs()
    const client = await runs.client("a")
    await runs.subscribe(client, "t", { qos: 2, rap: true, properties: { subscriptionIdentifier: 5 } })
    const properties = {
      contentType: "text",
      userProperties: { name: ["1", "2"] },
      correlationData: Buffer.from([0, 255]),
    }
    await runs.publish("t", "one", { qos: 1, properties, retain: true })
    await runs.publish("t", ["two", ""], { qos: 2 })
    await runs.publish("t", "four")
    const before = client.take()
    expect(before.map(({ messageId, qos }) => `${messageId} ${qos}`)).toEqual(["1 1", "2 2", "3 2", "4 1"])
    await runs.restart()
    expect(runs.harness.core.inflightCount).toBe(4)
    const resumed = await runs.resume("a")
    expect(resumed.take()).toEqual(before.map((packet) => ({ ...packet, dup: true })))
  })

  test("[MQTT-4.3.3-7] one of QoS 2 that the receiver has is resumed at its PUBREL", async () => {
    for (const level of levels) {
      const runs = new Runs()
      const client = await runs.client("a", durable(level))
      await runs.subscribe(client, "t", { qos: 2 })
      await runs.publish("t", ["released", "sent", "done"], { qos: 2 })
      client.ack("pubrec", 1).ack("pubrec", 3)
      await runs.settled()
      client.ack("pubcomp", 3).take()
      await runs.restart()
      const resumed = await runs.resume("a", durable(level))
      expect(told(resumed)).toEqual(["pubrel 1", "publish 2 q2 dup"])
      await runs.restart()
      const again = await runs.resume("a", durable(level))
      again.take()
      again.ack("pubcomp", 1).ack("pubrec", 2)
      await runs.settled()
      expect(told(again)).toEqual(["pubrel 2"])
      again.ack("pubcomp", 2)
      await runs.restart()
      expect(await runs.stored("inflight")).toEqual([])
      expect((await runs.resume("a", durable(level))).take()).toEqual([])
    }
  })

  test("what is acknowledged does not come again, whatever its place", async () => {
    const runs = new Runs()
    const client = await runs.client("a")
    await runs.subscribe(client, "t", { qos: 1 })
    await runs.publish("t", ["1", "2", "3", "4", "5"])
    for (const messageId of [1, 3, 5]) client.ack("puback", messageId)
    await runs.restart()
    expect((await runs.resume("a")).messages()).toEqual(["t 2", "t 4"])
    expect(runs.harness.core.inflightCount).toBe(2)
  })

  test("what waited follows, with packet ids that no message in flight has", async () => {
    const runs = new Runs()
    const client = await runs.client("a", window(2))
    await runs.subscribe(client, "t", { qos: 1 })
    await runs.publish("t", ["1", "2", "3", "4", "5"])
    client.ack("puback", 2)
    await runs.restart()
    const resumed = await runs.resume("a")
    expect(resumed.take().map(({ messageId, payload, dup }) => `${messageId} ${payload} ${dup}`)).toEqual([
      "1 1 true",
      "3 3 true",
      "4 4 false",
      "5 5 false",
    ])
  })

  test("[MQTT-4.9.0-1] the window of the new connection bounds them", async () => {
    const runs = new Runs()
    await runs.subscribe(await runs.client("a"), "t", { qos: 1 })
    await runs.publish("t", ["1", "2", "3"])
    await runs.restart()
    const resumed = await runs.resume("a", window(1))
    expect(resumed.messages()).toEqual(["t 1"])
    for (const messageId of [1, 2, 3]) {
      resumed.ack("puback", messageId)
      await runs.settled()
    }
    expect(resumed.messages()).toEqual(["t 2", "t 3"])
    expect(runs.harness.core.inflightCount).toBe(0)
  })

  test("many restarts change nothing of them", async () => {
    const runs = new Runs()
    await runs.subscribe(await runs.client("a"), "t", { qos: 2 })
    await runs.publish("t", ["1", "2"], { qos: 2 })
    for (let run = 0; run < 4; run++) {
      await runs.restart(1)
      const resumed = await runs.resume("a")
      expect(told(resumed)).toEqual(["publish 1 q2 dup", "publish 2 q2 dup"])
    }
  })
})

describe("[MQTT-4.3.3-10] messages of QoS 2 that a client has begun to send", () => {
  for (const level of levels)
    test(`level ${level}: are not taken for new ones until they are released`, async () => {
      const runs = new Runs()
      const witness = await runs.client("witness")
      await runs.subscribe(witness, "t", { qos: 2 })
      const client = await runs.client("a", durable(level))
      for (const messageId of [5, 65_535]) client.publish("t", `${messageId}`, { qos: 2, messageId })
      await runs.settled()
      expect(await runs.drain(witness)).toEqual(["5", "65535"])
      await runs.restart()

      const watching = await runs.resume("witness")
      const resumed = await runs.resume("a", durable(level))
      for (const messageId of [5, 65_535]) resumed.publish("t", "again", { qos: 2, messageId, dup: true })
      await runs.settled()
      expect(told(resumed)).toEqual(["pubrec 5", "pubrec 65535"])
      resumed.ack("pubrel", 5)
      await runs.settled()
      expect(told(resumed)).toEqual(["pubcomp 5"])
      expect(await runs.drain(watching)).toEqual([])
      await runs.restart()

      const last = await runs.resume("a", durable(level))
      const listening = await runs.resume("witness")
      for (const messageId of [5, 65_535]) last.publish("t", `new ${messageId}`, { qos: 2, messageId })
      await runs.settled()
      expect(await runs.drain(listening)).toEqual(["new 5"])
    })

  test("a PUBREL for one that is not known any more gets its answer", async () => {
    const runs = new Runs()
    const client = await runs.client("a")
    client.publish("t", "x", { qos: 2, messageId: 5 })
    await runs.settled()
    client.ack("pubrel", 5)
    await runs.restart()
    const resumed = await runs.resume("a")
    resumed.ack("pubrel", 5)
    await runs.settled()
    expect(resumed.take()).toMatchObject([{ cmd: "pubcomp", reasonCode: Reason.PacketIdentifierNotFound }])
  })
})

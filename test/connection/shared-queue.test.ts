/** What waits for a share group while nobody in it can take it: order, bounds, and its end. MQTT 5 §4.8.2 */
import { describe, expect, test } from "bun:test"
import type mqtt from "mqtt-packet"
import { durable, Harness, type TestClient } from "../support/harness.ts"
import { LateStore, microtasks, ownerOf } from "../support/store.ts"

const payloads = (client: TestClient) => client.messages().map((message) => message.split(" ")[1])

function member(harness: Harness, clientId: string, qos: 0 | 1 | 2 = 1, fields = {}): TestClient {
  const client = harness.client(clientId, fields).subscribe("$share/g/t", { qos })
  client.take()
  return client
}

/** Publishes the payloads, at QoS 1 unless said. */
function publish(client: TestClient, payloads: string[], qos: 0 | 1 | 2 = 1): TestClient {
  for (const payload of payloads) client.publish("t", payload, { qos })
  return client
}

const narrow = (sessionExpiryInterval: number, receiveMaximum = 1) => ({
  clean: false,
  properties: { sessionExpiryInterval, receiveMaximum },
})

describe("when all members are away", () => {
  for (const qos of [1, 2] as const)
    test(`messages of QoS ${qos} wait, in order, for the first that comes back`, () => {
      const harness = new Harness()
      for (const id of ["a", "b"]) member(harness, id, qos, durable()).drop()
      publish(harness.client("p"), ["1", "2", "3"], qos)
      const resumed = harness.resume("b")
      expect(resumed.take().map((packet) => `${packet.payload} ${packet.qos} ${packet.dup}`)).toEqual([
        `1 ${qos} false`,
        `2 ${qos} false`,
        `3 ${qos} false`,
      ])
      expect(harness.resume("a").take()).toEqual([])
    })

  test("messages of QoS 0 do not wait", () => {
    const harness = new Harness()
    member(harness, "a", 1, durable()).drop()
    publish(harness.client("p"), ["1"], 0)
    expect(harness.resume("a").take()).toEqual([])
  })

  test("a new member takes what waits", () => {
    const harness = new Harness()
    member(harness, "a", 1, durable()).drop()
    publish(harness.client("p"), ["1", "2"])
    const joined = harness.client("b").subscribe("$share/g/t", { qos: 0 })
    expect(joined.take().map(({ cmd, qos }) => [cmd, qos])).toEqual([
      ["suback", 0],
      ["publish", 0],
      ["publish", 0],
    ])
  })

  test("the window of who comes back bounds what it takes, and the rest follows in order", () => {
    const harness = new Harness()
    for (const id of ["a", "b"]) member(harness, id, 1, narrow(60, 2)).drop()
    publish(harness.client("p"), ["1", "2", "3", "4", "5", "6"])
    const a = harness.resume("a", narrow(60, 2))
    expect(payloads(a)).toEqual(["1", "2"])
    const b = harness.resume("b", narrow(60, 2))
    expect(payloads(b)).toEqual(["3", "4"])
    expect(payloads(a.ack("puback", 2))).toEqual(["5"])
    expect(payloads(b.ack("puback", 1))).toEqual(["6"])
    expect(harness.core.queueBytes).toBe(0)
  })
})

describe("when all windows are full", () => {
  test("messages wait, and go to whoever has room first", () => {
    const harness = new Harness()
    const [a, b] = [member(harness, "a", 1, narrow(0)), member(harness, "b", 1, narrow(0))]
    publish(harness.client("p"), ["1", "2", "3", "4", "5"])
    expect([payloads(a), payloads(b)]).toEqual([["1"], ["2"]])
    expect(payloads(b.ack("puback", 1))).toEqual(["3"])
    expect(payloads(b.ack("puback", 2))).toEqual(["4"])
    expect(payloads(a.ack("puback", 1))).toEqual(["5"])
    expect(harness.core.metrics.droppedTotal).toBe(0)
  })

  test("what a member leaves when its session ends goes before what waits", () => {
    const harness = new Harness()
    const [a, b] = [member(harness, "a", 1, narrow(0, 2)), member(harness, "b", 1, narrow(0))]
    publish(harness.client("p"), ["1", "2", "3", "4", "5"])
    expect([payloads(a), payloads(b)]).toEqual([["1", "3"], ["2"]])
    a.drop()
    const rest = []
    for (let id = 1; id <= 5; id++) rest.push(...payloads(b.ack("puback", id)))
    expect(rest).toEqual(["1", "3", "4", "5"])
  })

  test("a message never overtakes what waits, when a socket has room before it is empty", () => {
    const harness = new Harness({ limits: { maximumBacklogBytes: 1024 } })
    const a = member(harness, "a")
    a.capacity = 0
    const publisher = publish(
      harness.client("p"),
      ["1", "2", "3"].map((name) => name + "x".repeat(600)),
    )
    a.drain(650)
    publish(publisher, ["4"])
    for (let turn = 0; turn < 5; turn++) a.drain()
    expect(payloads(a).map((payload) => payload![0])).toEqual(["1", "2", "3", "4"])
  })

  test("messages of QoS 0 still go at once", () => {
    const harness = new Harness()
    const a = member(harness, "a", 1, narrow(0))
    publish(publish(harness.client("p"), ["1", "2"]), ["0"], 0)
    expect(payloads(a)).toEqual(["1", "0"])
  })
})

describe("the queue of a group", () => {
  const away = (limits: ConstructorParameters<typeof Harness>[0]) => {
    const harness = new Harness(limits)
    member(harness, "a", 1, durable()).drop()
    return harness
  }

  test("is bounded in messages, and what does not fit is counted", () => {
    const harness = away({ limits: { maximumQueuedMessages: 2 } })
    publish(harness.client("p"), ["1", "2", "3", "4"])
    expect(harness.core.metrics.dropped["queue full"]).toBe(2)
    expect(payloads(harness.resume("a"))).toEqual(["1", "2"])
  })

  test("is bounded in bytes", () => {
    const harness = away({ limits: { maximumQueuedBytes: 1000 } })
    publish(
      harness.client("p"),
      ["a", "b", "c"].map((each) => each.repeat(300)),
    )
    expect(harness.core.metrics.dropped["queue full"]).toBe(2)
    expect(payloads(harness.resume("a"))).toEqual(["a".repeat(300)])
  })

  test("counts in the memory of all queues", () => {
    const harness = away({ limits: { maximumQueueMemoryBytes: 1000 } })
    harness.client("b", durable()).subscribe("u", { qos: 1 }).drop()
    const publisher = publish(
      harness.client("p"),
      ["a", "b"].map((each) => each.repeat(300)),
    )
    publisher.publish("u", "x".repeat(300), { qos: 1 })
    expect(harness.core.metrics.dropped["queue memory full"]).toBe(2)
    expect(payloads(harness.resume("a"))).toHaveLength(1)
    expect(harness.core.queueBytes).toBe(0)
    publisher.publish("u", "y", { qos: 1 })
    expect(payloads(harness.resume("b"))).toEqual(["y"])
  })

  test("does not hand out what has expired, nor let it take the place of others", () => {
    const harness = away({ limits: { maximumQueuedMessages: 2 } })
    const publisher = harness.client("p")
    for (const payload of ["1", "2"]) {
      publisher.publish("t", payload, { qos: 1, properties: { messageExpiryInterval: 5 } })
    }
    harness.clock.advance(6)
    publish(publisher, ["3", "4"])
    expect(harness.core.metrics.dropped).toMatchObject({ "message expired": 2, "queue full": 0 })
    expect(payloads(harness.resume("a"))).toEqual(["3", "4"])
  })

  test("ends with the last member, however that goes", async () => {
    const unsubscribe: mqtt.Packet = { cmd: "unsubscribe", messageId: 9, unsubscriptions: ["$share/g/t"] }
    const ends: ((harness: Harness) => void)[] = [
      (harness) => harness.clock.advance(3601),
      (harness) => void harness.client("a", { clean: true }),
      (harness) => void harness.resume("a", narrow(3600)).send(unsubscribe).drop(),
    ]
    for (const end of ends) {
      const harness = new Harness()
      const a = member(harness, "a", 1, narrow(3600))
      publish(harness.client("p"), ["1", "2", "3"])
      expect(payloads(a)).toEqual(["1"])
      a.drop()
      end(harness)
      await microtasks()
      expect(harness.core.queueBytes).toBe(0)
      expect(member(harness, "b").take()).toEqual([])
      expect(harness.core.router.sharedCount).toBe(1)
    }
  })

  test("is kept by the store: each message queued once, settled once, in the same batch as it becomes a member's own", async () => {
    const store = new LateStore()
    const harness = new Harness({ store })
    const connect = async (properties: object) => {
      const client = harness.connect({
        clientId: "a",
        clean: false,
        properties: { sessionExpiryInterval: 60, ...properties },
      })
      await store.commitAll()
      client.take()
      return client
    }
    const a = await connect({})
    a.subscribe("$share/g/t", { qos: 1 }).drop()
    const publisher = publish(harness.client("p"), ["1"])
    await store.commitAll()
    expect(publisher.take()).toMatchObject([{ cmd: "puback", reasonCode: 0 }])
    const owned = (owner: string) =>
      store.committed.flatMap((change) => (ownerOf(change) === owner ? [change.kind] : []))
    expect(owned("$share/g/t")).toEqual(["queued"])
    const batches = store.committed.length
    const resumed = harness.connect({ clientId: "a", ...narrow(60) })
    await store.commitAll()
    expect(payloads(resumed)).toEqual(["1"])
    expect(owned("$share/g/t")).toEqual(["queued", "settled"])
    expect(owned("a")).toEqual(["queued", "sent"])
    expect(
      store.committed
        .slice(batches)
        .map(({ kind }) => kind)
        .slice(-3),
    ).toEqual(["settled", "queued", "sent"])
    resumed.ack("puback", 1)
    await store.commitAll()
    expect(owned("a")).toEqual(["queued", "sent", "settled"])
  })
})

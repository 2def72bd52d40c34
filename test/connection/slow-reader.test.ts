/**
 * A subscriber that does not read, or reads slowly: nobody else notices, memory is bounded, messages of QoS 0 are dropped
 * and counted, those of QoS 1 and 2 wait and come in order.
 */
import { describe, expect, test } from "bun:test"
import { durable, Harness, type TestClient } from "../support/harness.ts"

const BACKLOG = 4096
/** What one turn may gather beyond the bound before the socket is asked. */
const BLOCK = 65_536

const limited = (limits = {}) => new Harness({ limits: { maximumBacklogBytes: BACKLOG, ...limits } })

/** A client whose socket is full from its SUBACK on. */
function stuck(harness: Harness, qos: 0 | 1 | 2, fields = {}): TestClient {
  const client = harness.client("slow", fields).subscribe("t/#", { qos })
  client.take()
  client.capacity = 0
  return client
}

/** Publishes messages of about 200 bytes, numbered. */
function publish(client: TestClient, from: number, to: number, qos: 0 | 1 | 2, topic = "t/x"): void {
  for (let i = from; i <= to; i++) client.publish(topic, `${i} ${"x".repeat(180)}`, { qos })
}

/** The numbers of the messages that have come. */
const numbers = (client: TestClient) =>
  client.take().flatMap(({ cmd, payload }) => (cmd === "publish" ? [Number.parseInt(String(payload), 10)] : []))

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

/** Lets the socket take `bytes` at a time until nothing comes any more; acknowledges what needs it. */
function readSlowly(client: TestClient, bytes: number): number[] {
  const read: number[] = []
  for (let before = -1; before < client.bytes.length; ) {
    before = client.bytes.length
    client.drain(bytes)
    for (const packet of client.take()) {
      if (packet.cmd === "publish") {
        read.push(Number.parseInt(String(packet.payload), 10))
        if (packet.qos === 1) client.ack("puback", packet.messageId!)
        if (packet.qos === 2) client.ack("pubrec", packet.messageId!)
      } else if (packet.cmd === "pubrel") client.ack("pubcomp", packet.messageId!)
    }
  }
  return read
}

describe("a subscriber that never reads", () => {
  for (const qos of [0, 1, 2] as const)
    test(`stalls nobody: others get every message at once, at QoS ${qos}`, () => {
      const harness = limited()
      const slow = stuck(harness, qos)
      const others = [4, 5].map((level) =>
        harness.client(`l${level}`, { level: level as 4 | 5 }).subscribe("t/+", { qos }),
      )
      const publisher = harness.client("p")
      for (const each of others) each.take()
      for (let i = 1; i <= 1000; i++) {
        publish(publisher, i, i, qos)
        for (const each of others) expect(numbers(each)).toEqual([i])
      }
      expect(publisher.take()).toHaveLength(qos === 0 ? 0 : 1000)
      expect(slow.take()).toEqual([])
    })

  test("costs no more than its backlog at QoS 0: the rest is dropped and counted", () => {
    const harness = limited()
    const slow = stuck(harness, 0)
    const publisher = harness.client("p")
    publish(publisher, 1, 1000, 0)
    const { backlogBytes } = slow.connection.link
    expect(backlogBytes).toBeGreaterThanOrEqual(BACKLOG)
    expect(backlogBytes).toBeLessThan(BACKLOG + 250)
    expect(harness.core.queueBytes).toBe(0)
    const dropped = harness.core.metrics.dropped["backlog full"]
    const read = readSlowly(slow, Number.POSITIVE_INFINITY)
    expect(read).toEqual(range(1, 1000 - dropped))
    publish(publisher, 1001, 1010, 0)
    expect(numbers(slow)).toEqual(range(1001, 1010))
  })

  test("costs no more than its backlog and its queue at QoS 1 and 2: the rest is dropped and counted", () => {
    for (const qos of [1, 2] as const) {
      const harness = limited({ maximumQueuedMessages: 100 })
      const slow = stuck(harness, qos)
      publish(harness.client("p"), 1, 1000, qos)
      const { dropped } = harness.core.metrics
      expect(slow.connection.link.backlogBytes).toBeLessThan(BACKLOG + 250)
      expect(dropped["backlog full"]).toBe(0)
      const accepted = 1000 - dropped["queue full"]
      expect(accepted).toBeGreaterThan(100)
      expect(readSlowly(slow, Number.POSITIVE_INFINITY)).toEqual(range(1, accepted))
      expect([harness.core.queueBytes, harness.core.inflightCount]).toEqual([0, 0])
    }
  })

  test("does so however the messages come: many in one chunk", () => {
    const harness = limited({ maximumQueuedMessages: 100 })
    const slow = stuck(harness, 0)
    const packet = Buffer.from(`30c801${"0003"}742f78${"00"}${"78".repeat(194)}`, "hex")
    harness.client("p").sendBytes(Buffer.concat(new Array(2000).fill(packet)))
    expect(slow.connection.link.backlogBytes).toBeLessThan(BACKLOG + BLOCK + 250)
    const dropped = harness.core.metrics.dropped["backlog full"]
    slow.drain()
    expect(slow.messages()).toHaveLength(2000 - dropped)
  })

  test("leaves nothing behind when its connection ends", () => {
    const harness = limited()
    const slow = stuck(harness, 1)
    publish(harness.client("p"), 1, 200, 1)
    expect(harness.core.queueBytes).toBeGreaterThan(0)
    slow.drop()
    expect([harness.core.queueBytes, harness.core.inflightCount, slow.connection.link.backlogBytes]).toEqual([0, 0, 0])
  })

  test("is disconnected when its keep-alive has passed, and destroyed though it never takes the last bytes", () => {
    const harness = limited()
    const slow = stuck(harness, 1, { keepalive: 10 })
    publish(harness.client("p"), 1, 200, 1)
    harness.clock.advance(15.5)
    expect(harness.core.sessions.get("slow")).toBeUndefined()
    harness.clock.advance(3)
    expect(slow.isDestroyed).toBe(true)
    expect(harness.core.peers.size).toBe(1)
  })
})

describe("a subscriber that reads slowly", () => {
  for (const qos of [1, 2] as const)
    for (const bytes of [1, 7, 100, 1500, 100_000])
      test(`gets everything at QoS ${qos}, once and in order, ${bytes} bytes at a time`, () => {
        const harness = limited()
        const slow = stuck(harness, qos, { properties: { receiveMaximum: 20 } })
        const publisher = harness.client("p")
        publish(publisher, 1, 60, qos)
        const read: number[] = []
        for (let i = 61; i <= 80; i++) {
          slow.drain(bytes)
          publish(publisher, i, i, qos)
        }
        read.push(...readSlowly(slow, bytes))
        expect(read).toEqual(range(1, 80))
        expect(harness.core.metrics.droppedTotal).toBe(0)
        expect([harness.core.queueBytes, harness.core.inflightCount]).toEqual([0, 0])
      })

  test("gets what it missed on its next connection, what was on its way first", () => {
    const harness = limited()
    const slow = stuck(harness, 1, durable())
    const publisher = harness.client("p")
    publish(publisher, 1, 100, 1)
    slow.drain(1000)
    const before = numbers(slow)
    slow.drop()
    publish(publisher, 101, 110, 1)
    const resumed = harness.resume("slow")
    const read = readSlowly(resumed, Number.POSITIVE_INFINITY)
    expect(read).toEqual(range(1, 110))
    expect(before).toEqual(range(1, before.length))
  })

  test("keeps the order of one topic at QoS 1 while QoS 0 of another is dropped", () => {
    const harness = limited()
    const slow = harness.client("slow").subscribe("t/#", { qos: 1 })
    slow.take()
    slow.capacity = 0
    const publisher = harness.client("p")
    for (let i = 1; i <= 100; i++) {
      publish(publisher, i, i, 1, "t/kept")
      publish(publisher, i, i, 0, "t/lossy")
    }
    const kept: number[] = []
    for (let turn = 0; turn < 300; turn++) {
      slow.drain(997)
      for (const packet of slow.take()) {
        if (packet.cmd !== "publish" || packet.qos === 0) continue
        kept.push(Number.parseInt(String(packet.payload), 10))
        slow.ack("puback", packet.messageId!)
      }
    }
    expect(kept).toEqual(range(1, 100))
    expect(harness.core.metrics.dropped["backlog full"]).toBeGreaterThan(50)
  })
})

describe("what has only gathered in a turn is no backlog", () => {
  test("a fast reader loses nothing of a chunk larger than the bound, and QoS 1 does not get stuck in it", () => {
    const harness = limited({ maximumBacklogBytes: 1024 })
    const client = harness.client("fast").subscribe("t/#", { qos: 1 })
    client.take()
    const qos0 = Buffer.from(`30c801${"0003"}742f78${"00"}${"78".repeat(194)}`, "hex")
    const qos1 = Buffer.from(`32 08 0003 742f79 0001 00`.replaceAll(" ", ""), "hex")
    const chunk = Buffer.concat([...new Array(1000).fill(qos0), qos1, ...new Array(10).fill(qos0)])
    harness.client("p").sendBytes(chunk)
    expect(client.take().map(({ qos }) => qos)).toEqual([...new Array(1000).fill(0), 1, ...new Array(10).fill(0)])
    expect(harness.core.metrics.droppedTotal).toBe(0)
  })
})

describe("a client that asks and does not read the answers", () => {
  for (const [name, request] of Object.entries({
    PINGREQ: Buffer.from("c000", "hex"),
    SUBSCRIBE: Buffer.from("82070001000001780000".slice(0, 18), "hex"),
    "PUBLISH QoS 1": Buffer.from("32060001780001 00".replaceAll(" ", ""), "hex"),
    "PUBLISH QoS 2 with an id in use": Buffer.from("34060001780001 00".replaceAll(" ", ""), "hex"),
  }))
    test(`costs a bounded backlog: ${name}`, () => {
      const harness = limited({ maximumPacketBytes: 1024 })
      const client = harness.client("a")
      client.capacity = 0
      const chunk = Buffer.concat(new Array(2000).fill(request))
      for (let i = 0; i < 100; i++) {
        if (client.connection.link.state !== "open") break
        client.sendBytes(chunk)
      }
      expect(client.connection.link.state).toBe("closing")
      expect(client.connection.link.backlogBytes).toBeLessThan(2 * BACKLOG + 2 * BLOCK)
      harness.clock.advance(3)
      expect(client.isDestroyed).toBe(true)
      expect(client.connection.link.backlogBytes).toBe(0)
    })
})

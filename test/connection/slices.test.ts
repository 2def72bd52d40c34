/** One chunk that causes a great deal: it is worked on in slices, and others are served in between. */
import { describe, expect, test } from "bun:test"
import mqtt from "mqtt-packet"
import { settled } from "../../src/testing/settled.ts"
import { Harness, type TestClient } from "../support/harness.ts"
import { told } from "./wire.ts"

const SUBSCRIBERS = 300
const MESSAGES = 200
/** Deliveries in a slice, at the very most. */
const MOST = (SUBSCRIBERS * MESSAGES) / 4

/** Long enough that writing them to all is work, too. */
const payloads = Array.from({ length: MESSAGES }, (_, index) => `${index}`.padEnd(1000))

function prepared() {
  const harness = new Harness()
  const subscribers = Array.from({ length: SUBSCRIBERS }, (_, i) => harness.client(`s${i}`).subscribe("t"))
  for (const subscriber of subscribers) subscriber.take()
  return { harness, subscribers, publisher: harness.client("publisher") }
}

/** Sends all messages in one chunk. */
function flood(publisher: TestClient, qos: 0 | 1 = 0): void {
  const packets = payloads.map((payload, index) => {
    const packet = {
      cmd: "publish",
      topic: "t",
      payload,
      qos,
      dup: false,
      retain: false,
      messageId: index + 1,
    } as const
    return mqtt.generate(packet, { protocolVersion: publisher.level })
  })
  publisher.sendBytes(Buffer.concat(packets))
}

async function untilDone(publisher: TestClient): Promise<void> {
  while (publisher.isPaused) await settled()
  for (let turns = 0; turns < 20; turns++) await settled() // what it has caused is written in slices, too
}

describe("a chunk of many messages for many", () => {
  test("is worked on in slices, others are served in between, and everybody gets everything in order", async () => {
    const { harness, subscribers, publisher } = prepared()
    const { metrics } = harness.core
    const other = harness.client("other").subscribe("quiet")
    other.take()
    flood(publisher)
    expect(publisher.isPaused).toBe(true)
    for (let slices = 1; publisher.isPaused; slices++) {
      expect(metrics.publishSent).toBeLessThan(slices * MOST + slices)
      expect(told(other.publish("quiet"))).toBe("publish, open")
      await settled()
    }
    await untilDone(publisher)
    for (const subscriber of subscribers)
      expect(subscriber.messages()).toEqual(payloads.map((payload) => `t ${payload}`))
  })

  test("is acknowledged in order, and what its client sends behind it comes behind it", async () => {
    const { publisher } = prepared()
    flood(publisher, 1)
    expect(publisher.isPaused).toBe(true)
    publisher.send({ cmd: "pingreq" })
    await untilDone(publisher)
    const answers = publisher.take().map(({ cmd, messageId }) => (cmd === "puback" ? messageId : cmd))
    expect(answers).toEqual([...payloads.map((_, index) => index + 1), "pingresp"])
  })

  test("goes to everybody although its client says goodbye and leaves", async () => {
    const { harness, subscribers, publisher } = prepared()
    flood(publisher)
    publisher.disconnect()
    publisher.connection.ended()
    await untilDone(publisher)
    for (const subscriber of subscribers) expect(subscriber.messages()).toHaveLength(MESSAGES)
    expect(harness.core.peers.size).toBe(SUBSCRIBERS)
  })

  test("goes to everybody although its client leaves without a word, and then its connection is over", async () => {
    const { harness, subscribers, publisher } = prepared()
    flood(publisher)
    publisher.connection.ended()
    expect(harness.core.peers.size).toBe(SUBSCRIBERS + 1)
    await untilDone(publisher)
    for (const subscriber of subscribers) expect(subscriber.messages()).toHaveLength(MESSAGES)
    expect(harness.core.peers.size).toBe(SUBSCRIBERS)
  })

  test("goes to nobody any more when its client's connection breaks; who has got a part keeps that", async () => {
    const { harness, subscribers, publisher } = prepared()
    flood(publisher)
    publisher.drop()
    for (let turns = 0; turns < 20; turns++) await settled()
    const got = new Set(subscribers.map((subscriber) => subscriber.messages().length))
    expect(got.size).toBe(1)
    expect([...got][0]).toBeGreaterThan(0)
    expect([...got][0]).toBeLessThan(MESSAGES)
    expect(harness.core.peers.size).toBe(SUBSCRIBERS)
  })

  test("does not hold up one of another client for longer than a slice: both go on in turn", async () => {
    const { harness, subscribers, publisher } = prepared()
    const second = harness.client("second")
    flood(publisher)
    flood(second)
    expect([publisher.isPaused, second.isPaused]).toEqual([true, true])
    await untilDone(publisher)
    await untilDone(second)
    for (const subscriber of subscribers) expect(subscriber.messages()).toHaveLength(2 * MESSAGES)
  })
})

test("a message for very many is written to some of them in a turn", async () => {
  const { harness, subscribers, publisher } = prepared()
  publisher.publish("t", "x")
  const hasGot = () => subscribers.filter(({ received }) => received.length > 0).length
  expect(hasGot()).toBeLessThan(SUBSCRIBERS)
  const other = harness.client("other").subscribe("quiet")
  other.take()
  expect(told(other.publish("quiet"))).toBe("publish, open")
  for (let turns = 0; turns < 5; turns++) await settled()
  expect(hasGot()).toBe(SUBSCRIBERS)
})

test("who has sent a message for very many is not read from before it is written to all", async () => {
  const { subscribers, publisher } = prepared()
  publisher.publish("t", "x")
  const hasEverybodyGotIt = () => subscribers.every(({ received }) => received.length > 0)
  expect(publisher.isPaused).toBe(true)
  while (publisher.isPaused) {
    expect(hasEverybodyGotIt()).toBe(false)
    await settled()
  }
  expect(hasEverybodyGotIt()).toBe(true)
  publisher.send({ cmd: "pingreq" })
  expect(told(publisher)).toBe("pingresp, open")
})

/** UNSUBSCRIBE and UNSUBACK. MQTT 5 §3.10, §3.11 */
import { describe, expect, test } from "bun:test"
import { Reason } from "../../src/codec/index.ts"
import { durable, Harness, type TestClient } from "../support/harness.ts"

const levels = [3, 4, 5] as const

function unsubscribe(client: TestClient, filters: string | string[], messageId = 99): TestClient {
  return client.send({ cmd: "unsubscribe", messageId, unsubscriptions: [filters].flat() })
}

/** An UNSUBSCRIBE by hand: the filters in hexadecimal behind the packet id and, at level 5, no properties. */
function packet(level: 3 | 4 | 5, first: string, filters: string): Buffer {
  const bytes = Buffer.from(`1234${level === 5 ? "00" : ""}${filters}`.replaceAll(" ", ""), "hex")
  return Buffer.concat([Buffer.from(first, "hex"), Buffer.from([bytes.length]), bytes])
}

function expectEnded(client: TestClient, reason: number): void {
  const said = client.take().map(({ cmd, reasonCode }) => [cmd, reasonCode])
  expect(said).toEqual(client.level === 5 ? [["disconnect", reason]] : [])
  expect(client.isClosed).toBe(true)
}

for (const level of levels)
  describe(`level ${level}: an UNSUBSCRIBE that cannot be read`, () => {
    test("[MQTT-3.10.1-1] [v3.1.1 MQTT-3.10.1-1] has other flags than 0010", () => {
      for (const flags of [0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]) {
        if (level === 3 && flags === 10) continue // MQTT 3.1 has the DUP flag here
        const client = new Harness().client("a", { level })
        client.sendBytes(packet(level, `a${flags.toString(16)}`, "0001 61"))
        expectEnded(client, Reason.MalformedPacket)
      }
    })

    test("[MQTT-3.10.3-1] [v3.1.1 MQTT-3.10.3-1] holds a filter that is not UTF-8, or ends within one", () => {
      for (const filters of ["0002 c328", "0003 eda080", "0003 610062", "0005 61", "0001 61 00", "0001 61 0002 62"]) {
        const client = new Harness().client("a", { level }).sendBytes(packet(level, "a2", filters))
        expectEnded(client, Reason.MalformedPacket)
      }
    })

    test("[MQTT-3.10.3-2] [v3.1.1 MQTT-3.10.3-2] holds no filter", () => {
      const client = new Harness().client("a", { level }).sendBytes(packet(level, "a2", ""))
      expectEnded(client, Reason.ProtocolError)
    })
  })

for (const level of levels)
  describe(`level ${level}: UNSUBACK`, () => {
    test("[MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-2.2.1-6] [v3.1.1 MQTT-3.10.4-4] [v3.1.1 MQTT-3.10.4-5] [v3.1.1 MQTT-2.3.1-7] answers with the packet id of the UNSUBSCRIBE, whether there was a subscription or not", () => {
      const client = new Harness().client("a", { level })
      client.subscribe("a").take()
      for (const [id, reason] of [
        ["0001", "00"],
        ["abce", "11"],
        ["ffff", "11"],
      ] as const) {
        const bytes = packet(level, "a2", "0001 61")
        bytes.write(id, 2, "hex")
        client.sendBytes(bytes)
        expect(client.bytes.toString("hex")).toEndWith(level === 5 ? `b004${id}00${reason}` : `b002${id}`)
        expect(client.take()).toHaveLength(1)
      }
    })

    test("[MQTT-3.10.4-6] [v3.1.1 MQTT-3.10.4-6] is one for several filters, which are all gone", () => {
      const harness = new Harness()
      const client = harness.client("a", { level }).subscribe(["a", "b/+", "$share/g/c"])
      client.take()
      expect(unsubscribe(client, ["a", "b/+", "$share/g/c"]).take()).toMatchObject([{ cmd: "unsuback", messageId: 99 }])
      for (const topic of ["a", "b/b", "c"]) harness.client("p").publish(topic)
      expect(client.take()).toEqual([])
      expect(harness.core.router.subscriptionCount).toBe(0)
    })

    test("[MQTT-3.10.4-1] [v3.1.1 MQTT-3.10.4-1] a filter deletes the subscription that is the same, character by character", () => {
      const harness = new Harness()
      const client = harness.client("a", { level }).subscribe("a/+")
      client.take()
      for (const other of ["a/b", "a/#", "A/+", "a/+/", "/a/+", "+/+", "a", "$share/g/a/+"]) unsubscribe(client, other)
      const reasons = client.take().map(({ granted }) => granted)
      expect(reasons).toEqual(new Array(8).fill(level === 5 ? [Reason.NoSubscriptionExisted] : undefined))
      harness.client("p").publish("a/b", "x")
      expect(client.messages()).toEqual(["a/b x"])
      unsubscribe(client, "a/+").take()
      harness.client("q").publish("a/b", "x")
      expect(client.take()).toEqual([])
    })

    test("[MQTT-3.10.4-2] [v3.1.1 MQTT-3.10.4-2] after it no message is added for the client, live or queued", () => {
      const harness = new Harness()
      const client = harness.client("a", durable(level)).subscribe("a", { qos: 1 })
      unsubscribe(client, "a").take()
      harness.client("p").publish("a", "live", { qos: 1 })
      expect(client.take()).toEqual([])
      client.drop()
      harness.client("q").publish("a", "queued", { qos: 1 })
      expect(harness.resume("a", durable(level)).take()).toEqual([])
    })

    test("[MQTT-3.10.4-3] [v3.1.1 MQTT-3.10.4-3] what has been started at QoS 1 and 2 is completed, also on another connection", () => {
      const harness = new Harness()
      const client = harness.client("a", durable(level)).subscribe("a", { qos: 2 })
      harness.client("p").publish("a", "1", { qos: 1 }).publish("a", "2", { qos: 2 })
      const [one, two] = client.take().filter(({ cmd }) => cmd === "publish")
      unsubscribe(client, "a").take()
      client.ack("pubrec", two!.messageId!)
      expect(client.take()).toMatchObject([{ cmd: "pubrel", messageId: two!.messageId }])
      client.drop()
      const resumed = harness.resume("a", durable(level))
      const again = resumed.take()
      expect(again).toMatchObject([
        { cmd: "publish", messageId: one!.messageId, dup: true },
        { cmd: "pubrel", messageId: two!.messageId },
      ])
      resumed.ack("puback", one!.messageId!).ack("pubcomp", two!.messageId!).drop()
      expect(harness.resume("a", durable(level)).take()).toEqual([])
    })
  })

describe("level 5: an UNSUBACK", () => {
  test("[MQTT-3.11.3-1] has the reasons in the order of the filters", () => {
    const client = new Harness().client("a").subscribe(["a", "b"])
    client.take()
    const [unsuback] = unsubscribe(client, ["a", "x", "b", "a"]).take()
    expect(unsuback?.granted).toEqual([0, Reason.NoSubscriptionExisted, 0, Reason.NoSubscriptionExisted])
  })

  test("[MQTT-3.11.3-2] has a reason of its own for what is no filter at all", () => {
    const client = new Harness().client("a")
    const [unsuback] = unsubscribe(client, ["a/#/b", "", "$share/g", "a"]).take()
    const { TopicFilterInvalid: invalid } = Reason
    expect(unsuback?.granted).toEqual([invalid, invalid, invalid, Reason.NoSubscriptionExisted])
  })

  test("[MQTT-3.11.2-1] [MQTT-3.11.2-2] fits a small Maximum Packet Size, explained or not", () => {
    const client = new Harness().client("a", { properties: { maximumPacketSize: 32 } })
    const [unsuback] = unsubscribe(client, ["x", "a/#/b"]).take()
    expect(unsuback).toMatchObject({ cmd: "unsuback", granted: [0x11, 0x8f] })
    expect(unsuback!.length! + 2).toBeLessThanOrEqual(32)
  })
})

test("[MQTT-3.10.4-2] retained messages that still wait for a window are not sent after it", () => {
  const harness = new Harness()
  const publisher = harness.client("p")
  for (const topic of ["a/1", "a/2", "a/3", "b"]) publisher.publish(topic, "x", { qos: 1, retain: true })
  const client = harness.client("s", { properties: { receiveMaximum: 1 } }).subscribe("a/+", { qos: 1 })
  client.subscribe("b", { qos: 1 })
  const [first] = client.take().filter(({ cmd }) => cmd === "publish")
  expect(first?.topic).toBe("a/1")
  unsubscribe(client, "a/+").take()
  client.ack("puback", first!.messageId!)
  expect(client.messages()).toEqual(["b x"])
})

import { describe, expect, test } from "bun:test"
import mqtt from "mqtt-packet"
import { Publish, type QoS, Reason } from "../../src/codec/index.ts"
import { Topic } from "../../src/router/index.ts"
import { Message, packetIdAt } from "../../src/session/message.ts"

const topic = new Topic("a/b", Buffer.from("a/b"), 0)
const NOW = 1_700_000_000_000

/** A message as it comes from the wire, and the chunk that it is a view of. */
function received(level: 4 | 5, fields: Partial<mqtt.IPublishPacket> = {}) {
  const packet = { cmd: "publish", topic: "a/b", payload: "hello", qos: 0, dup: false, retain: false, ...fields }
  const bytes = mqtt.generate(packet as mqtt.Packet, { protocolVersion: level })
  const publish = new Publish()
  const body = bytes[1]! < 0x80 ? 2 : 3
  if (publish.decode(bytes, 0, body, bytes.length, level) !== Reason.Success) throw new Error("does not decode")
  return { bytes, message: new Message().from(publish, topic, NOW) }
}

const parse = (bytes: Buffer, level: 4 | 5) => {
  const packets: mqtt.Packet[] = []
  const parser = mqtt.parser({ protocolVersion: level })
  parser.on("packet", (packet) => packets.push(packet))
  parser.parse(Buffer.from(bytes))
  return packets as mqtt.IPublishPacket[]
}

const properties = { contentType: "t", correlationData: Buffer.from([1, 2]), userProperties: { a: ["1", "2"], b: "3" } }

describe("a message from the wire", () => {
  test("leaves as the bytes that came, where the receiver's form is that of the sender", () => {
    for (const level of [4, 5] as const) {
      const { message, bytes } = received(level)
      expect(message.isWireFor(level === 5, 0, false)).toBe(true)
      expect(message.payload.subarray(message.wire.start, message.payloadEnd).toString("hex")).toBe(
        bytes.toString("hex"),
      )
      expect(message.isWireFor(level !== 5, 0, false)).toBe(false)
      expect(message.isWireFor(level === 5, 1, false)).toBe(false)
      expect(message.isWireFor(level === 5, 0, true)).toBe(false)
    }
  })

  for (const from of [4, 5] as const)
    for (const to of [4, 5] as const)
      test(`has the form of the receiver: level ${from} to ${to}, every QoS and RETAIN`, () => {
        for (const qos of [0, 1, 2] as const)
          for (const incoming of [0, 1, 2] as const)
            for (const retain of [false, true]) {
              const fields = { qos: incoming, retain: !retain, ...(incoming > 0 && { messageId: 0x1234 }) }
              const { message } = received(from, { ...fields, ...(from === 5 && { properties }) })
              const form = Buffer.from(message.form(to === 5, qos, retain).bytes)
              const idAt = packetIdAt(form, 0, 3)
              if (qos > 0) form.writeUInt16BE(77, idAt)
              const [packet] = parse(form, to)
              expect(packet).toMatchObject({ topic: "a/b", qos, retain, dup: false, payload: Buffer.from("hello") })
              if (qos > 0) expect(packet!.messageId).toBe(77)
              if (from === 5 && to === 5) expect(packet!.properties).toEqual(properties)
              else expect(packet!.properties).toBeUndefined()
            }
      })

  test("gives the same bytes to every receiver of a form until it has been handed round, and none of another message after", () => {
    const { message } = received(5, { properties: { messageExpiryInterval: 10 } })
    const first = message.form(true, 1, false)
    expect(message.form(true, 1, false)).toBe(first)
    expect(message.form(true, 2, false)).not.toBe(first)
    message.endRouting()
    expect(message.form(true, 1, false)).not.toBe(first)
  })

  test("that is kept has memory of its own, made once", () => {
    const { message, bytes } = received(5, { qos: 1, messageId: 1, properties })
    const kept = message.keep()
    expect(message.keep()).toBe(kept)
    expect(kept.keep()).toBe(kept)
    const before = kept.form(true, 1, false).bytes.toString("hex")
    kept.endRouting()
    bytes.fill(0xff)
    expect(kept.form(true, 1, false).bytes.toString("hex")).toBe(before)
    expect(kept.payload.buffer).not.toBe(bytes.buffer)
    expect(kept.payload.buffer.byteLength).toBe(kept.payloadEnd) // it pins nothing but itself
  })

  test("reads its properties back, without the expiry", () => {
    const { message } = received(5, { properties: { ...properties, messageExpiryInterval: 10 } })
    const expected = {
      contentType: "t",
      correlationData: Buffer.from([1, 2]),
      userProperties: [
        ["a", "1"],
        ["a", "2"],
        ["b", "3"],
      ],
    }
    expect(message.decodeProperties() as object).toMatchObject(expected)
    expect(message.decodeProperties().messageExpirySeconds).toBeUndefined()
  })
})

describe("the expiry", () => {
  test("counts down in whole seconds and never passes what came", () => {
    const message = Message.create(topic, Buffer.alloc(0), 1, false, { messageExpirySeconds: 10 }, NOW)
    const at = (ms: number) => [message.remainingSeconds(NOW + ms), message.isExpired(NOW + ms)]
    expect(at(-5000)).toEqual([10, false])
    expect(at(0)).toEqual([10, false])
    expect(at(4000)).toEqual([6, false])
    expect(at(9999)).toEqual([1, false])
    expect(at(10_000)).toEqual([0, true])
    expect(at(10 ** 9)).toEqual([0, true])
  })

  test("is none where none came", () => {
    const message = Message.create(topic, Buffer.alloc(0), 1, false, {}, NOW)
    expect([message.remainingSeconds(NOW), message.isExpired(Number.MAX_VALUE)]).toEqual([-1, false])
  })
})

test("a message of the broker's own has every property", () => {
  const own = {
    ...properties,
    userProperties: [
      ["a", "1"],
      ["b", "2"],
    ] as [string, string][],
    responseTopic: "r",
  }
  const message = Message.create(topic, Buffer.from("x"), 2 as QoS, true, { ...own, payloadFormatIndicator: true }, NOW)
  const form = Buffer.from(message.form(true, 2, true).bytes)
  form.writeUInt16BE(5, packetIdAt(form, 0, 3))
  const [packet] = parse(form, 5)
  expect(packet).toMatchObject({ topic: "a/b", qos: 2, retain: true, messageId: 5, payload: Buffer.from("x") })
  expect(packet!.properties).toMatchObject({ contentType: "t", responseTopic: "r", payloadFormatIndicator: true })
  expect({ ...packet!.properties!.userProperties }).toEqual({ a: "1", b: "2" })
})

test("packetIdAt finds the id behind every length of the Remaining Length", () => {
  for (const payloadBytes of [0, 100, 127, 200, 20_000, 3_000_000]) {
    const message = Message.create(topic, Buffer.alloc(payloadBytes), 1, false, {}, NOW)
    const form = Buffer.from(message.form(false, 1, false).bytes)
    form.writeUInt16BE(0xabcd, packetIdAt(form, 0, 3))
    expect(parse(form, 4)[0]!.messageId).toBe(0xabcd)
  }
})

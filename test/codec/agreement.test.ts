/** Beside mqtt-packet, which is nobody's relative: what it writes we read, what we write it reads, field by field. */
import { describe, expect, test } from "bun:test"
import mqtt from "mqtt-packet"
import {
  encodeAck,
  encodeAuth,
  encodeConnack,
  encodeDisconnect,
  encodeSuback,
  encodeUnsuback,
  outgoingPublishBytes,
  PacketType,
  type ProtocolLevel,
  type QoS,
  type Reason,
  Writer,
  writeProperties,
  writePublish,
} from "../../src/codec/index.ts"
import { Random } from "../support/bytes.ts"
import { binary, inTheirOrder, some, text, theirs, u16 } from "./random.ts"
import { readPacket } from "./read.ts"

const ROUNDS = 400

const forwarded = [
  "payloadFormatIndicator",
  "contentType",
  "responseTopic",
  "correlationData",
  "userProperties",
] as const
const publishNames = [...forwarded, "messageExpirySeconds", "topicAlias"] as const
const willNames = [...forwarded, "messageExpirySeconds", "willDelaySeconds"] as const
const reasonNames = ["reasonString", "userProperties"] as const
const connectNames = [
  "sessionExpirySeconds",
  "receiveMaximum",
  "maximumPacketBytes",
  "topicAliasMaximum",
  "requestResponseInformation",
  "requestProblemInformation",
  "userProperties",
] as const

type Case = [packet: Record<string, unknown>, expected: Record<string, unknown>]

/** Random packets that a client sends: mqtt-packet's, and what we should read. */
const fromClient: Record<string, (random: Random, level: ProtocolLevel) => Case> = {
  connect(random, level) {
    const is5 = level === 5
    const properties = is5 ? some(random, connectNames) : {}
    if (is5 && random.chance(0.5)) {
      properties.authenticationMethod = text(random)
      properties.authenticationData = binary(random)
    }
    const willProperties = is5 ? some(random, willNames) : {}
    const willTopic = `w/${text(random)}`
    const willPayload = binary(random)
    const [qos, retain] = [random.below(3), random.chance(0.5)]
    const will = random.chance(0.5)
    const username = random.chance(0.5) ? random.text(5) : undefined
    const password = username !== undefined && random.chance(0.5) ? random.bytes(10) : undefined
    const own = { clientId: `c${text(random)}`, keepalive: u16(random), clean: random.chance(0.5) }
    const packet = {
      cmd: "connect",
      protocolId: level === 3 ? "MQIsdp" : "MQTT",
      protocolVersion: level,
      ...own,
      ...(will && {
        will: { topic: willTopic, payload: willPayload, qos, retain, properties: theirs(willProperties) },
      }),
      ...(username !== undefined && { username }),
      ...(password !== undefined && { password }),
      properties: theirs(properties),
    }
    const expected = {
      level,
      cleanStart: own.clean,
      keepAliveSeconds: own.keepalive,
      clientId: own.clientId,
      will: will
        ? { topic: willTopic, payload: willPayload, qos, retain, properties: inTheirOrder(willProperties) }
        : undefined,
      username,
      password,
      properties: inTheirOrder(properties),
    }
    return [packet, expected]
  },
  publish(random, level) {
    const qos = random.below(3)
    const properties = level === 5 ? some(random, publishNames) : {}
    const fields = {
      qos,
      retain: random.chance(0.5),
      dup: qos > 0 && random.chance(0.5),
      topic: `t/${random.text(random.pick([1, 10, 60]))}`,
      payload: random.bytes(random.pick([0, 1, 100, 127, 16_384])),
    }
    const packetId = qos > 0 ? random.between(1, 65_535) : 0
    const { topicAlias = 0, messageExpirySeconds = -1, payloadFormatIndicator = false } = properties
    return [
      { cmd: "publish", ...fields, messageId: packetId, properties: theirs(properties) },
      {
        ...fields,
        packetId,
        topicAlias,
        messageExpirySeconds,
        payloadIsText: payloadFormatIndicator,
        properties: inTheirOrder(properties),
      },
    ]
  },
  acknowledgement(random, level) {
    const cmd = random.pick(["puback", "pubrec", "pubrel", "pubcomp"])
    const isRelease = cmd === "pubrel" || cmd === "pubcomp"
    const reason = level === 5 ? random.pick(isRelease ? [0, 0x92] : [0, 0x10, 0x80, 0x87, 0x97, 0x99]) : 0
    const packetId = random.between(1, 65_535)
    const properties = theirs(some(random, reasonNames))
    return [
      { cmd, messageId: packetId, reasonCode: reason, ...(properties && { properties }) },
      { packetId, reason },
    ]
  },
  subscribe(random, level) {
    const is5 = level === 5
    const properties = is5 ? some(random, ["subscriptionIdentifiers", "userProperties"]) : {}
    const packetId = random.between(1, 65_535)
    const requests = Array.from({ length: random.between(1, 6) }, () => ({
      topicFilter: `f/${text(random)}/#`,
      qos: random.below(3),
      noLocal: is5 && random.chance(0.5),
      retainAsPublished: is5 && random.chance(0.5),
      retainHandling: is5 ? random.below(3) : 0,
    }))
    const subscriptions = requests.map(({ topicFilter, qos, noLocal, retainAsPublished, retainHandling }) => {
      return { topic: topicFilter, qos, nl: noLocal, rap: retainAsPublished, rh: retainHandling }
    })
    return [
      { cmd: "subscribe", messageId: packetId, subscriptions, properties: theirs(properties) },
      { packetId, requests, properties: inTheirOrder(properties) },
    ]
  },
  unsubscribe(random, level) {
    const properties = level === 5 ? some(random, ["userProperties"]) : {}
    const packetId = random.between(1, 65_535)
    const topicFilters = Array.from({ length: random.between(1, 6) }, () => `f/${text(random)}`)
    return [
      { cmd: "unsubscribe", messageId: packetId, unsubscriptions: topicFilters, properties: theirs(properties) },
      { packetId, topicFilters, properties: inTheirOrder(properties) },
    ]
  },
  disconnect(random, level) {
    const is5 = level === 5
    const properties = is5 ? some(random, ["sessionExpirySeconds", ...reasonNames]) : {}
    const reason = is5 ? random.pick([0, 4, 0x80, 0x81, 0x82, 0x90, 0x93]) : 0
    return [
      { cmd: "disconnect", reasonCode: reason, properties: theirs(properties) },
      { reason, properties: inTheirOrder(properties) },
    ]
  },
  auth(random) {
    const properties = some(random, ["authenticationMethod", "authenticationData", ...reasonNames])
    const reason = random.pick([0, 0x18, 0x19])
    return [
      { cmd: "auth", reasonCode: reason, properties: theirs(properties) },
      { reason, properties: inTheirOrder(properties) },
    ]
  },
}

describe("what mqtt-packet writes is read as it was meant", () => {
  for (const level of [3, 4, 5] as const)
    for (const [cmd, generate] of Object.entries(fromClient)) {
      if (cmd === "auth" && level !== 5) continue
      test(`level ${level}: ${cmd}`, () => {
        const random = new Random(level)
        for (let i = 0; i < ROUNDS; i++) {
          const [packet, expected] = generate(random, level)
          const bytes = mqtt.generate(packet as unknown as mqtt.Packet, { protocolVersion: level })
          expect(readPacket(bytes, level)).toEqual(expected)
        }
      })
    }
})

/** The one packet that mqtt-packet finds in `bytes`. */
function parse(bytes: Buffer, level: ProtocolLevel): Record<string, unknown> {
  const parser = mqtt.parser({ protocolVersion: level })
  const packets: mqtt.Packet[] = []
  parser.on("packet", (packet) => packets.push(packet))
  parser.on("error", (error) => {
    throw error
  })
  expect([parser.parse(Buffer.from(bytes)), packets.length]).toEqual([0, 1])
  return packets[0]! as unknown as Record<string, unknown>
}

const connackNames = [
  "sessionExpirySeconds",
  "assignedClientIdentifier",
  "serverKeepAliveSeconds",
  "authenticationMethod",
  "authenticationData",
  "responseInformation",
  "serverReference",
  "reasonString",
  "receiveMaximum",
  "topicAliasMaximum",
  "maximumQoS",
  "retainAvailable",
  "userProperties",
  "maximumPacketBytes",
  "wildcardSubscriptionAvailable",
  "subscriptionIdentifierAvailable",
  "sharedSubscriptionAvailable",
] as const

const writer = new Writer()
const oneOf = (random: Random, reasons: number[]) => random.pick(reasons) as Reason

/** Random packets that the broker sends: ours, and what mqtt-packet should read. */
const fromBroker: Record<string, (random: Random, level: ProtocolLevel) => [Buffer, Record<string, unknown>]> = {
  connack(random, level) {
    const is5 = level === 5
    const properties = some(random, connackNames)
    const reason = oneOf(random, is5 ? [0, 0x80, 0x86, 0x9c] : [0])
    const sessionPresent = random.chance(0.5)
    return [
      encodeConnack(writer, level, reason, sessionPresent, properties),
      {
        cmd: "connack",
        sessionPresent: sessionPresent && level !== 3,
        ...(is5 ? { reasonCode: reason } : { returnCode: 0 }),
        ...(is5 && { properties: theirs(properties) }),
      },
    ]
  },
  publish(random, level) {
    const is5 = level === 5
    const travelling = some(random, forwarded)
    const own = some(random, ["messageExpirySeconds", "topicAlias"])
    if (random.chance(0.5)) own.subscriptionIdentifiers = [1, random.between(1, 268_435_455)]
    writeProperties(writer.begin(0), travelling)
    const block = Buffer.from(writer.finish())
    const at = block.length - blockBytes(block)
    const payload = random.bytes(random.pick([0, 1, 100, 127, 16_384]))
    const topic = `t/${text(random)}`
    const fields = { qos: random.below(3) as QoS, dup: random.chance(0.5), retain: random.chance(0.5) }
    const packet = {
      ...fields,
      level,
      packetId: random.between(1, 65_535),
      topic: Buffer.from(topic),
      topicAlias: own.topicAlias ?? 0,
      messageExpirySeconds: own.messageExpirySeconds ?? -1,
      subscriptionIdentifiers: own.subscriptionIdentifiers,
      properties: block,
      propertiesStart: at,
      propertiesEnd: block.length,
      payload,
      payloadStart: 0,
      payloadEnd: payload.length,
    }
    const bytes = Buffer.alloc(outgoingPublishBytes(packet))
    writePublish(packet, bytes, 0)
    return [
      bytes,
      {
        cmd: "publish",
        ...fields,
        topic,
        payload,
        ...(fields.qos > 0 && { messageId: packet.packetId }),
        ...(is5 && { properties: theirs({ ...travelling, ...own }) }),
      },
    ]
  },
  acknowledgement(random, level) {
    const name = random.pick(["PUBACK", "PUBREC", "PUBREL", "PUBCOMP"] as const)
    const isRelease = name === "PUBREL" || name === "PUBCOMP"
    const reason = oneOf(random, isRelease ? [0, 0x92] : [0, 0x10, 0x87, 0x97])
    const properties = random.chance(0.5) ? some(random, reasonNames) : undefined
    const messageId = random.between(1, 65_535)
    return [
      encodeAck(writer, PacketType[name], level, messageId, reason, properties),
      {
        cmd: name.toLowerCase(),
        messageId,
        ...(level === 5 && { reasonCode: reason, properties: properties && theirs(properties) }),
      },
    ]
  },
  suback(random, level) {
    const reasons = Array.from({ length: random.between(1, 200) }, () => oneOf(random, [0, 1, 2, 0x80, 0x87, 0x9e]))
    const properties = some(random, reasonNames)
    const is5 = level === 5
    return [
      encodeSuback(writer, level, 7, reasons, properties),
      {
        cmd: "suback",
        messageId: 7,
        granted: reasons.map((reason) => (is5 || reason < 3 ? reason : 0x80)),
        ...(is5 && { properties: theirs(properties) }),
      },
    ]
  },
  unsuback(random, level) {
    const reasons = Array.from({ length: random.between(1, 200) }, () => oneOf(random, [0, 0x11, 0x8f]))
    const properties = some(random, reasonNames)
    return [
      encodeUnsuback(writer, level, 7, reasons, properties),
      { cmd: "unsuback", messageId: 7, ...(level === 5 && { granted: reasons, properties: theirs(properties) }) },
    ]
  },
  disconnect(random) {
    const reason = oneOf(random, [0x81, 0x8b, 0x8e, 0x9c])
    const properties = random.chance(0.5) ? some(random, ["serverReference", ...reasonNames]) : undefined
    return [
      encodeDisconnect(writer, reason, properties),
      { cmd: "disconnect", reasonCode: reason, properties: properties && theirs(properties) },
    ]
  },
  auth(random) {
    const properties = some(random, ["authenticationMethod", "authenticationData", ...reasonNames])
    const reason = oneOf(random, [0, 0x18])
    return [encodeAuth(writer, reason, properties), { cmd: "auth", reasonCode: reason, properties: theirs(properties) }]
  },
}

/** How many bytes of properties a packet holds that is nothing but them. */
function blockBytes(packet: Buffer): number {
  let at = 1
  while (packet[at]! >= 0x80) at++
  at++
  let length = 0
  for (let shift = 0; ; shift += 7, at++) {
    length |= (packet[at]! & 0x7f) << shift
    if (packet[at]! < 0x80) return length
  }
}

describe("what we write mqtt-packet reads as it was meant", () => {
  for (const level of [3, 4, 5] as const)
    for (const [cmd, generate] of Object.entries(fromBroker)) {
      if ((cmd === "auth" || cmd === "disconnect") && level !== 5) continue
      test(`level ${level}: ${cmd}`, () => {
        const random = new Random(level)
        for (let i = 0; i < ROUNDS; i++) {
          const [bytes, expected] = generate(random, level)
          const read = parse(bytes, level)
          const compared = [...Object.keys(expected), "properties", "reasonCode", "returnCode", "messageId"]
          expect(Object.fromEntries(compared.map((name) => [name, read[name]]))).toEqual(expected)
        }
      })
    }
})

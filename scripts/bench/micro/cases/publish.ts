/** PUBLISH, the packet that counts: read as clients send it, and written in each form in which receivers may want it. */
import mqtt from "mqtt-packet"
import {
  outgoingPublishBytes,
  type ProtocolLevel,
  Publish,
  type QoS,
  Reason,
  writePublish,
} from "../../../../src/codec/index.ts"
import { Topic } from "../../../../src/router/index.ts"
import { Message, newOutgoingPublish } from "../../../../src/session/index.ts"
import type { Case } from "../case.ts"
import { chunkOf, publishPacket, publishPackets, written } from "../inputs.ts"

const properties: mqtt.IPublishPacket["properties"] = {
  payloadFormatIndicator: true,
  contentType: "application/json",
  responseTopic: "plant-3/answers/gateway",
  correlationData: Buffer.from("0123456789abcdef"),
  userProperties: { traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" },
}

export function publishCases(): Case[] {
  const named = publishPackets(5, 1, { properties: { topicAlias: 7 } })
  const packets = publishPackets(5, 1000, { qos: 1, properties })
  const aliased = publishPackets(5, 1000, { topic: "", properties: { topicAlias: 7 } })
  return [
    decoding("codec-publish-v4", "PUBLISH decoded: 3.1.1, QoS 0", 4, publishPackets(4, 1000)),
    decoding("codec-publish-v4-qos1", "PUBLISH decoded: 3.1.1, QoS 1", 4, publishPackets(4, 1000, { qos: 1 })),
    decoding("codec-publish-v5", "PUBLISH decoded: 5, QoS 0", 5, publishPackets(5, 1000)),
    decoding("codec-publish-v5-alias", "PUBLISH decoded: 5, QoS 0, topic alias", 5, [...named, ...aliased]),
    decoding("codec-publish-v5-properties", "PUBLISH decoded: 5, QoS 1, 5 properties", 5, packets),
    cutting(),
    ...forms(),
  ]
}

const publish = new Publish()

function decoding(name: string, title: string, level: ProtocolLevel, packets: readonly Buffer[]): Case {
  const { bytes, places } = chunkOf(packets)
  const expected = packets.reduce((sum, packet) => sum + (parsed(level, packet).payload as Buffer).length, 0)
  return {
    name,
    title,
    operations: places.length,
    expected,
    run() {
      let payloadBytes = 0
      for (const { start, body, end } of places) {
        if (publish.decode(bytes, start, body, end, level) !== Reason.Success) return Number.NaN
        payloadBytes += publish.end - publish.payloadStart
      }
      return payloadBytes
    },
  }
}

function parsed(level: ProtocolLevel, packet: Buffer): mqtt.IPublishPacket {
  const parser = mqtt.parser({ protocolVersion: level })
  let found: mqtt.Packet | undefined
  parser.on("packet", (packet) => (found = packet))
  parser.parse(packet)
  return found as mqtt.IPublishPacket
}

/** Properties that do not travel on are cut out of the block, and the rest copied. */
function cutting(): Case {
  const hop = { ...properties, messageExpiryInterval: 60, topicAlias: 7 }
  const { bytes, places } = chunkOf(publishPackets(5, 100, { qos: 1, properties: hop }))
  const travelling = incoming(5, { qos: 1, properties })
  return {
    name: "codec-publish-v5-cut",
    title: "PUBLISH decoded: the same, expiry and alias cut out",
    operations: places.length,
    expected: places.length * (travelling.propertiesEnd - travelling.propertiesStart),
    run() {
      let propertyBytes = 0
      for (const { start, body, end } of places) {
        if (publish.decode(bytes, start, body, end, 5) !== Reason.Success) return Number.NaN
        propertyBytes += publish.forwardable().length
      }
      return propertyBytes
    },
  }
}

/** The wire forms of a message for receivers that want it otherwise than it came. */
function forms(): Case[] {
  const message = incoming(4, {})
  const rich = incoming(5, { qos: 1, properties: { ...properties, messageExpiryInterval: 60 } })
  return [
    encoding("codec-form-v4-to-v5", "PUBLISH encoded once for all: 3.1.1 as 5", message, true, 0, false),
    encoding("codec-form-v5-to-v4", "PUBLISH encoded once for all: 5 as 3.1.1, QoS 1", rich, false, 1, false),
    encoding("codec-form-v5", "PUBLISH encoded once for all: 5, retained, QoS 1, 6 properties", rich, true, 1, true),
    owning(rich),
  ]
}

function incoming(level: ProtocolLevel, fields: Parameters<typeof publishPacket>[1]): Message {
  const { bytes, places } = chunkOf([publishPacket(level, fields)])
  const { start, body, end } = places[0]!
  const packet = new Publish()
  if (packet.decode(bytes, start, body, end, level) !== Reason.Success) throw new Error("a packet does not read")
  const name = bytes.subarray(packet.topicStart, packet.topicEnd)
  return new Message().from(packet, new Topic(name.toString(), Buffer.from(name), 0), 0)
}

function encoding(name: string, title: string, message: Message, isLevel5: boolean, qos: QoS, retain: boolean): Case {
  const operations = 100
  const length = written(isLevel5 ? 5 : 4, {
    cmd: "publish",
    topic: message.topic.name,
    payload: message.payload.subarray(message.payloadStart, message.payloadEnd),
    qos,
    retain,
    dup: false,
    ...(qos > 0 && { messageId: 1 }),
    ...(isLevel5 && message.expirySeconds >= 0 && { properties: { ...properties, messageExpiryInterval: 60 } }),
  }).length
  return {
    name,
    title,
    operations,
    expected: operations * length,
    run() {
      let bytes = 0
      for (let i = 0; i < operations; i++) {
        bytes += message.form(isLevel5, qos, retain).end
        message.endRouting()
      }
      return bytes
    },
  }
}

/** A packet with what is one receiver's own, written where there is room: as the outbox gets it. */
function owning(message: Message): Case {
  const operations = 100
  const outgoing = newOutgoingPublish()
  outgoing.level = 5
  outgoing.qos = 1
  outgoing.topic = message.topic.bytes
  outgoing.topicAlias = 3
  outgoing.messageExpirySeconds = 59
  outgoing.subscriptionIdentifiers = [17, 4711]
  message.fill(outgoing)
  const block = Buffer.alloc(65_536)
  const length = outgoingPublishBytes(outgoing)
  return {
    name: "codec-form-v5-own",
    title: "PUBLISH encoded for one: 5, QoS 1, alias, 2 identifiers",
    operations,
    expected: operations * (operations + 1) * 0.5 + operations * length,
    run() {
      let at = 0
      let packetIds = 0
      for (let i = 1; i <= operations; i++) {
        outgoing.packetId = i
        packetIds += i
        if (outgoingPublishBytes(outgoing) > block.length - at) return Number.NaN
        at = writePublish(outgoing, block, at)
      }
      return packetIds + at
    },
  }
}

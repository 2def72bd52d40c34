/** One packet from a client's bytes to its fields, by the codec alone: what the tables of this folder compare. */
import {
  Ack,
  type AckType,
  decodeAuth,
  decodeConnect,
  decodeDisconnect,
  decodeSubscribe,
  decodeUnsubscribe,
  describeReason,
  Framer,
  LARGEST_PACKET_BYTES,
  PacketType,
  type ProtocolLevel,
  Publish,
  publishProperties,
  Reader,
  Reason,
} from "../../src/codec/index.ts"

/** A failure as it is shown: `0x81 MalformedPacket`. */
export type Fields = Record<string, unknown> | string

/** The place of a packet: `bytes[start, end)`, its body at `body`. */
export interface Place {
  bytes: Buffer
  start: number
  body: number
  end: number
}

/** Reads the only packet in `bytes`; a failure is its reason, described. */
export function readPacket(bytes: Buffer, level: ProtocolLevel): Fields {
  const framer = new Framer(LARGEST_PACKET_BYTES)
  framer.push(bytes)
  if (!framer.next()) return framer.reason === Reason.Success ? "not whole" : describeReason(framer.reason)
  if (framer.end !== bytes.length) return "more than a packet"
  return readPlace(framer, level)
}

/** Reads the packet at that place. */
export function readPlace({ bytes, start, body, end }: Place, level: ProtocolLevel): Fields {
  const type = bytes[start]! >> 4
  const reader = new Reader().reset(bytes, body, end)
  switch (type) {
    case PacketType.CONNECT: {
      const connect = decodeConnect(reader)
      return "reason" in connect ? `${describeReason(connect.reason)} in ${connect.level}` : { ...connect }
    }
    case PacketType.PUBLISH:
      return readPublish(bytes, start, body, end, level)
    case PacketType.PUBACK:
    case PacketType.PUBREC:
    case PacketType.PUBREL:
    case PacketType.PUBCOMP: {
      const ack = new Ack()
      const failure = ack.decode(reader, type as AckType, level)
      return failure === Reason.Success ? { packetId: ack.packetId, reason: ack.reason } : describeReason(failure)
    }
    case PacketType.SUBSCRIBE:
      return orFailure(decodeSubscribe(reader, level))
    case PacketType.UNSUBSCRIBE:
      return orFailure(decodeUnsubscribe(reader, level))
    case PacketType.DISCONNECT:
      return orFailure(decodeDisconnect(reader, level))
    case PacketType.AUTH:
      return orFailure(decodeAuth(reader))
    default:
      return {}
  }
}

function orFailure(packet: object | Reason): Fields {
  return typeof packet === "number" ? describeReason(packet) : { ...packet }
}

function readPublish(bytes: Buffer, start: number, body: number, end: number, level: ProtocolLevel): Fields {
  const packet = new Publish()
  const failure = packet.decode(bytes, start, body, end, level)
  if (failure !== Reason.Success) return describeReason(failure)
  const { dup, qos, retain, packetId, topicAlias, messageExpirySeconds, payloadIsText } = packet
  return {
    dup,
    qos,
    retain,
    packetId,
    topic: bytes.toString("utf8", packet.topicStart, packet.topicEnd),
    payload: Buffer.from(bytes.subarray(packet.payloadStart, packet.end)),
    topicAlias,
    messageExpirySeconds,
    payloadIsText,
    properties: publishProperties(bytes, packet.propertiesStart, packet.propertiesEnd),
  }
}

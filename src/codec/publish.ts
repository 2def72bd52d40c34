/**
 * PUBLISH. MQTT 5 §3.3, MQTT 3.1.1 §3.3
 *
 * Decoding makes no object: one `Publish` is reused and says where in the chunk each field lies. Most messages
 * leave as they came, so the properties stay bytes. Only two of them never travel on as they are: the Topic Alias,
 * which belongs to one connection, and the Message Expiry Interval, which counts down; `forwardable` cuts them out.
 */
import { PacketType, type ProtocolLevel, type QoS, Reason } from "./constants.ts"
import { type Properties, readProperties } from "./properties.ts"
import { Reader } from "./reader.ts"
import { classify, Text } from "./utf8.ts"
import { putVarint, varintBytes } from "./writer.ts"

const EMPTY = Buffer.alloc(0)

export class Publish {
  bytes: Buffer = EMPTY
  /** The packet is `bytes[start, end)`. */
  start = 0
  end = 0
  level: ProtocolLevel = 4
  dup = false
  qos: QoS = 0
  retain = false
  /** 0 at QoS 0. */
  packetId = 0
  topicStart = 0
  topicEnd = 0
  propertiesStart = 0
  propertiesEnd = 0
  payloadStart = 0
  /** 0: none. */
  topicAlias = 0
  /** -1: none. */
  messageExpirySeconds = -1
  payloadIsText = false

  /** Reads the packet at `bytes[start, end)` whose body begins at `body`. */
  decode(bytes: Buffer, start: number, body: number, end: number, level: ProtocolLevel): Reason {
    const first = bytes[start]!
    const qos = (first >> 1) & 3
    if (qos === 3) return Reason.MalformedPacket // [MQTT-3.3.1-4]
    this.bytes = bytes
    this.start = start
    this.end = end
    this.level = level
    this.dup = (first & 8) !== 0
    this.qos = qos as QoS
    this.retain = (first & 1) !== 0
    if (this.dup && qos === 0) return Reason.MalformedPacket // [MQTT-3.3.1-2]
    const topicStart = body + 2
    if (topicStart > end) return Reason.MalformedPacket
    let at = topicStart + ((bytes[body]! << 8) | bytes[body + 1]!)
    this.topicStart = topicStart
    this.topicEnd = at
    if (qos > 0) {
      if (at + 2 > end) return Reason.MalformedPacket
      this.packetId = (bytes[at]! << 8) | bytes[at + 1]!
      if (this.packetId === 0) return Reason.ProtocolError // [MQTT-2.2.1-3]
      at += 2
    } else {
      if (at > end) return Reason.MalformedPacket
      this.packetId = 0
    }
    this.topicAlias = 0
    this.messageExpirySeconds = -1
    this.payloadIsText = false
    if (level !== 5) {
      this.propertiesStart = this.propertiesEnd = this.payloadStart = at
      return Reason.Success
    }
    if (at >= end) return Reason.MalformedPacket
    if (bytes[at] === 0) {
      this.propertiesStart = this.propertiesEnd = this.payloadStart = at + 1
      return Reason.Success
    }
    return this.scanProperties(at)
  }

  /** Whether the block holds a property that must not travel on as it is. */
  get hasHopProperties(): boolean {
    return this.topicAlias !== 0 || this.messageExpirySeconds >= 0
  }

  /** The properties that travel on unaltered, in their order [MQTT-3.3.2-18]; a copy. */
  forwardable(): Buffer {
    const { bytes, propertiesStart, propertiesEnd } = this
    const hopBytes = (this.topicAlias !== 0 ? 3 : 0) + (this.messageExpirySeconds >= 0 ? 5 : 0)
    const kept = Buffer.allocUnsafe(propertiesEnd - propertiesStart - hopBytes)
    let length = 0
    let keptFrom = propertiesStart
    for (let at = propertiesStart; at < propertiesEnd; ) {
      const next = skipProperty(bytes, at)
      const id = bytes[at]!
      if (id === TOPIC_ALIAS || id === MESSAGE_EXPIRY) {
        length += bytes.copy(kept, length, keptFrom, at)
        keptFrom = next
      }
      at = next
    }
    bytes.copy(kept, length, keptFrom, propertiesEnd)
    return kept
  }

  /** Checks the block and notes what the broker acts on. */
  private scanProperties(blockStart: number): Reason {
    const { bytes, end } = this
    reader.reset(bytes, blockStart, end)
    const length = reader.varint()
    const blockEnd = reader.at + length
    if (reader.failed || blockEnd > end) return Reason.MalformedPacket
    this.propertiesStart = reader.at
    this.propertiesEnd = this.payloadStart = blockEnd
    reader.end = blockEnd
    let seen = 0
    while (reader.at < blockEnd) {
      const id = reader.u8()
      switch (id) {
        case PAYLOAD_FORMAT: {
          const format = reader.u8()
          if (format > 1) return Reason.ProtocolError
          this.payloadIsText = format === 1
          break
        }
        case MESSAGE_EXPIRY:
          this.messageExpirySeconds = reader.u32()
          break
        case CONTENT_TYPE:
          skipText(reader)
          break
        case RESPONSE_TOPIC:
          if (hasWildcardOrNothing(reader)) return Reason.ProtocolError // [MQTT-3.3.2-14]
          break
        case CORRELATION_DATA:
          skipBinary(reader)
          break
        case SUBSCRIPTION_IDENTIFIER:
          return Reason.ProtocolError // [MQTT-3.3.4-6]
        case TOPIC_ALIAS:
          this.topicAlias = reader.u16()
          if (this.topicAlias === 0 && !reader.failed) return Reason.TopicAliasInvalid // [MQTT-3.3.2-8]
          break
        case USER_PROPERTY:
          skipText(reader)
          skipText(reader)
          break
        default:
          return Reason.MalformedPacket
      }
      const bit = once(id)
      if ((seen & bit) !== 0) return Reason.ProtocolError
      seen |= bit
    }
    return reader.failed ? Reason.MalformedPacket : Reason.Success
  }
}

const PAYLOAD_FORMAT = 0x01
const MESSAGE_EXPIRY = 0x02
const CONTENT_TYPE = 0x03
const RESPONSE_TOPIC = 0x08
const CORRELATION_DATA = 0x09
const SUBSCRIPTION_IDENTIFIER = 0x0b
const TOPIC_ALIAS = 0x23
const USER_PROPERTY = 0x26

const reader = new Reader()

/** A bit for each property that may stand only once. */
function once(id: number): number {
  return id === USER_PROPERTY ? 0 : id === TOPIC_ALIAS ? 1 : 1 << id
}

function skipBinary(from: Reader): void {
  const length = from.u16()
  if (from.at + length > from.end) from.failed = true
  from.at += length
}

function skipText(from: Reader): void {
  const start = from.at + 2
  skipBinary(from)
  if (!from.failed && classify(from.bytes, start, from.at) === Text.Invalid) from.failed = true
}

/** A Response Topic is a topic name: not empty, no wildcard. */
function hasWildcardOrNothing(from: Reader): boolean {
  const start = from.at + 2
  skipText(from)
  if (from.failed) return false
  for (let at = start; at < from.at; at++) {
    const byte = from.bytes[at]
    if (byte === 0x23 || byte === 0x2b) return true
  }
  return from.at === start
}

/** The place behind the property at `at`, in a block that `scanProperties` has passed. */
function skipProperty(bytes: Buffer, at: number): number {
  const text = (from: number) => from + 2 + ((bytes[from]! << 8) | bytes[from + 1]!)
  switch (bytes[at]) {
    case PAYLOAD_FORMAT:
      return at + 2
    case MESSAGE_EXPIRY:
      return at + 5
    case TOPIC_ALIAS:
      return at + 3
    case USER_PROPERTY:
      return text(text(at + 1))
    default:
      return text(at + 1)
  }
}

/** The properties of a block of bytes, as an object. */
export function publishProperties(bytes: Buffer, start: number, end: number): Properties {
  const properties: Properties = {}
  if (start === end) return properties
  const length = Buffer.allocUnsafe(4)
  const block = Buffer.concat([length.subarray(0, putVarint(length, 0, end - start)), bytes.subarray(start, end)])
  const reason = readProperties(new Reader().reset(block, 0, block.length), PacketType.PUBLISH, properties)
  if (reason !== Reason.Success) throw new Error(`a stored property block does not read: ${reason}`)
  return properties
}

/** What `writePublish` writes: the message, and how this one receiver gets it. */
export interface OutgoingPublish {
  level: ProtocolLevel
  dup: boolean
  qos: QoS
  retain: boolean
  packetId: number
  /** The topic name encoded; empty where the alias says it. */
  topic: Uint8Array
  /** 0: none. */
  topicAlias: number
  /** -1: none. */
  messageExpirySeconds: number
  subscriptionIdentifiers: readonly number[] | undefined
  properties: Buffer
  propertiesStart: number
  propertiesEnd: number
  payload: Buffer
  payloadStart: number
  payloadEnd: number
}

function outgoingPropertyBytes(packet: OutgoingPublish): number {
  let length = packet.propertiesEnd - packet.propertiesStart
  if (packet.messageExpirySeconds >= 0) length += 5
  if (packet.topicAlias !== 0) length += 3
  if (packet.subscriptionIdentifiers !== undefined) {
    for (const identifier of packet.subscriptionIdentifiers) length += 1 + varintBytes(identifier)
  }
  return length
}

function outgoingRemainingLength(packet: OutgoingPublish, propertyBytes: number): number {
  let length = 2 + packet.topic.length + packet.payloadEnd - packet.payloadStart
  if (packet.qos > 0) length += 2
  if (packet.level === 5) length += varintBytes(propertyBytes) + propertyBytes
  return length
}

/** How many bytes `writePublish` will write. */
export function outgoingPublishBytes(packet: OutgoingPublish): number {
  const length = outgoingRemainingLength(packet, packet.level === 5 ? outgoingPropertyBytes(packet) : 0)
  return 1 + varintBytes(length) + length
}

/** Writes the packet at `at`, where there is room for it; gives the place behind it. */
export function writePublish(packet: OutgoingPublish, into: Buffer, at: number): number {
  const propertyBytes = packet.level === 5 ? outgoingPropertyBytes(packet) : 0
  const { topic, packetId } = packet
  into[at++] = (PacketType.PUBLISH << 4) | (packet.dup ? 8 : 0) | (packet.qos << 1) | (packet.retain ? 1 : 0)
  at = putVarint(into, at, outgoingRemainingLength(packet, propertyBytes))
  at = putU16(into, at, topic.length)
  into.set(topic, at)
  at += topic.length
  if (packet.qos > 0) at = putU16(into, at, packetId)
  if (packet.level === 5) at = writeOutgoingProperties(packet, propertyBytes, into, at)
  return at + packet.payload.copy(into, at, packet.payloadStart, packet.payloadEnd)
}

function writeOutgoingProperties(packet: OutgoingPublish, propertyBytes: number, into: Buffer, at: number): number {
  at = putVarint(into, at, propertyBytes)
  if (packet.messageExpirySeconds >= 0) {
    into[at] = MESSAGE_EXPIRY
    at = into.writeUInt32BE(packet.messageExpirySeconds, at + 1)
  }
  at += packet.properties.copy(into, at, packet.propertiesStart, packet.propertiesEnd)
  if (packet.subscriptionIdentifiers !== undefined) {
    for (const identifier of packet.subscriptionIdentifiers) {
      into[at++] = SUBSCRIPTION_IDENTIFIER
      at = putVarint(into, at, identifier)
    }
  }
  if (packet.topicAlias !== 0) {
    into[at] = TOPIC_ALIAS
    at = putU16(into, at + 1, packet.topicAlias)
  }
  return at
}

function putU16(into: Uint8Array, at: number, value: number): number {
  into[at] = value >>> 8
  into[at + 1] = value & 0xff
  return at + 2
}

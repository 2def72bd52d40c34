/**
 * The properties of MQTT 5. §2.2.2
 *
 * One table says which property has which type and belongs to which packets; `readProperties` and
 * `writeProperties` follow it. The properties of a PUBLISH are read by `publish.ts`, which passes them on
 * as bytes and turns them into this shape only when somebody asks.
 */
import { PacketType, Reason } from "./constants.ts"
import type { Reader } from "./reader.ts"
import type { Writer } from "./writer.ts"

/** A name and a value that travel with a packet; what they mean is between those who use them. */
export type UserProperty = readonly [name: string, value: string]

/** Every property of the specification, absent unless it was sent. Intervals are in seconds, sizes in bytes. */
export interface Properties {
  /** True: the payload is UTF-8 text. */
  payloadFormatIndicator?: boolean
  messageExpirySeconds?: number
  contentType?: string
  responseTopic?: string
  correlationData?: Uint8Array
  /** One at most in SUBSCRIBE, one for each matching subscription in PUBLISH. */
  subscriptionIdentifiers?: number[]
  sessionExpirySeconds?: number
  assignedClientIdentifier?: string
  serverKeepAliveSeconds?: number
  authenticationMethod?: string
  authenticationData?: Uint8Array
  requestProblemInformation?: boolean
  willDelaySeconds?: number
  requestResponseInformation?: boolean
  responseInformation?: string
  serverReference?: string
  reasonString?: string
  receiveMaximum?: number
  topicAliasMaximum?: number
  topicAlias?: number
  maximumQoS?: number
  retainAvailable?: boolean
  /** In the order in which they were sent, names repeated or not. */
  userProperties?: UserProperty[]
  maximumPacketBytes?: number
  wildcardSubscriptionAvailable?: boolean
  subscriptionIdentifierAvailable?: boolean
  sharedSubscriptionAvailable?: boolean
}

type Kind = "flag" | "byte" | "u16" | "u32" | "varint" | "text" | "binary" | "pair"

interface Definition {
  id: number
  name: keyof Properties
  kind: Kind
  /** A bit for each packet type that may carry it; bit 0 stands for the will properties. */
  packets: number
  /** A zero is a protocol error. */
  positive?: true
}

/** Where a block of properties stands: a packet type, or the will inside a CONNECT. */
export const WILL = 0
export type PropertyPlace = PacketType | typeof WILL

const bit = (...places: PropertyPlace[]) => places.reduce<number>((mask, place) => mask | (1 << place), 0)
const { CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP } = PacketType
const { SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, DISCONNECT, AUTH } = PacketType
const acks = [PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK] as const

/** MQTT 5 §2.2.2.2, table 2-4 */
const definitions: Definition[] = [
  { id: 0x01, name: "payloadFormatIndicator", kind: "flag", packets: bit(PUBLISH, WILL) },
  { id: 0x02, name: "messageExpirySeconds", kind: "u32", packets: bit(PUBLISH, WILL) },
  { id: 0x03, name: "contentType", kind: "text", packets: bit(PUBLISH, WILL) },
  { id: 0x08, name: "responseTopic", kind: "text", packets: bit(PUBLISH, WILL) },
  { id: 0x09, name: "correlationData", kind: "binary", packets: bit(PUBLISH, WILL) },
  { id: 0x0b, name: "subscriptionIdentifiers", kind: "varint", packets: bit(PUBLISH, SUBSCRIBE), positive: true },
  { id: 0x11, name: "sessionExpirySeconds", kind: "u32", packets: bit(CONNECT, CONNACK, DISCONNECT) },
  { id: 0x12, name: "assignedClientIdentifier", kind: "text", packets: bit(CONNACK) },
  { id: 0x13, name: "serverKeepAliveSeconds", kind: "u16", packets: bit(CONNACK) },
  { id: 0x15, name: "authenticationMethod", kind: "text", packets: bit(CONNECT, CONNACK, AUTH) },
  { id: 0x16, name: "authenticationData", kind: "binary", packets: bit(CONNECT, CONNACK, AUTH) },
  { id: 0x17, name: "requestProblemInformation", kind: "flag", packets: bit(CONNECT) },
  { id: 0x18, name: "willDelaySeconds", kind: "u32", packets: bit(WILL) },
  { id: 0x19, name: "requestResponseInformation", kind: "flag", packets: bit(CONNECT) },
  { id: 0x1a, name: "responseInformation", kind: "text", packets: bit(CONNACK) },
  { id: 0x1c, name: "serverReference", kind: "text", packets: bit(CONNACK, DISCONNECT) },
  { id: 0x1f, name: "reasonString", kind: "text", packets: bit(CONNACK, ...acks, DISCONNECT, AUTH) },
  { id: 0x21, name: "receiveMaximum", kind: "u16", packets: bit(CONNECT, CONNACK), positive: true },
  { id: 0x22, name: "topicAliasMaximum", kind: "u16", packets: bit(CONNECT, CONNACK) },
  { id: 0x23, name: "topicAlias", kind: "u16", packets: bit(PUBLISH) },
  { id: 0x24, name: "maximumQoS", kind: "byte", packets: bit(CONNACK) },
  { id: 0x25, name: "retainAvailable", kind: "flag", packets: bit(CONNACK) },
  {
    id: 0x26,
    name: "userProperties",
    kind: "pair",
    packets: bit(CONNECT, CONNACK, PUBLISH, WILL, ...acks, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT, AUTH),
  },
  { id: 0x27, name: "maximumPacketBytes", kind: "u32", packets: bit(CONNECT, CONNACK), positive: true },
  { id: 0x28, name: "wildcardSubscriptionAvailable", kind: "flag", packets: bit(CONNACK) },
  { id: 0x29, name: "subscriptionIdentifierAvailable", kind: "flag", packets: bit(CONNACK) },
  { id: 0x2a, name: "sharedSubscriptionAvailable", kind: "flag", packets: bit(CONNACK) },
]

const byId: (Definition | undefined)[] = []
for (const definition of definitions) byId[definition.id] = definition

/**
 * Reads the property block of a packet into `into`. A property that does not belong there is malformed
 * [MQTT-2.2.2-2]; one that is repeated, or zero where it must not be, is a protocol error.
 */
export function readProperties(reader: Reader, place: PropertyPlace, into: Properties): Reason {
  const length = reader.varint()
  const end = reader.at + length
  if (reader.failed || end > reader.end) return Reason.MalformedPacket
  const packetEnd = reader.end
  reader.end = end
  while (reader.at < end) {
    const definition = byId[reader.varint()]
    if (definition === undefined || (definition.packets & (1 << place)) === 0) return Reason.MalformedPacket
    const reason = readProperty(reader, definition, place, into as Record<string, unknown>)
    if (reason !== Reason.Success) return reason
  }
  reader.end = packetEnd
  return reader.failed ? Reason.MalformedPacket : Reason.Success
}

function readProperty(
  reader: Reader,
  definition: Definition,
  place: PropertyPlace,
  into: Record<string, unknown>,
): Reason {
  const { name, kind } = definition
  const value = readValue(reader, kind)
  if (reader.failed) return Reason.MalformedPacket
  if (kind === "flag" && typeof value !== "boolean") return Reason.ProtocolError
  if (definition.positive && value === 0) return Reason.ProtocolError
  if (kind === "pair" || (kind === "varint" && place === PacketType.PUBLISH)) {
    const list = into[name] as unknown[] | undefined
    if (list === undefined) into[name] = [value]
    else list.push(value)
    return Reason.Success
  }
  if (into[name] !== undefined) return Reason.ProtocolError
  into[name] = kind === "varint" ? [value] : value
  return Reason.Success
}

function readValue(reader: Reader, kind: Kind): unknown {
  switch (kind) {
    case "flag": {
      const value = reader.u8()
      return value > 1 ? value : value === 1
    }
    case "byte":
      return reader.u8()
    case "u16":
      return reader.u16()
    case "u32":
      return reader.u32()
    case "varint":
      return reader.varint()
    case "text":
      return reader.text()
    case "binary":
      return reader.binary()
    case "pair":
      return [reader.text(), reader.text()] satisfies UserProperty
  }
}

/** Writes a property block with its length in front; undefined and absent properties are left out. */
export function writeProperties(writer: Writer, properties: Properties | undefined): void {
  if (properties === undefined) {
    writer.u8(0)
    return
  }
  const begin = writer.beginBlock()
  for (const definition of definitions) {
    const value = properties[definition.name]
    if (value === undefined) continue
    if (Array.isArray(value)) for (const each of value) writeProperty(writer, definition, each)
    else writeProperty(writer, definition, value)
  }
  writer.endBlock(begin)
}

function writeProperty(writer: Writer, { id, kind }: Definition, value: unknown): void {
  writer.u8(id)
  switch (kind) {
    case "flag":
      writer.u8(value ? 1 : 0)
      break
    case "byte":
      writer.u8(value as number)
      break
    case "u16":
      writer.u16(value as number)
      break
    case "u32":
      writer.u32(value as number)
      break
    case "varint":
      writer.varint(value as number)
      break
    case "text":
      writer.text(value as string)
      break
    case "binary":
      writer.binary(value as Uint8Array)
      break
    case "pair":
      writer.text((value as UserProperty)[0])
      writer.text((value as UserProperty)[1])
      break
  }
}

/** CONNECT, CONNACK and AUTH. MQTT 5 §3.1, §3.2, §3.15; MQTT 3.1.1 §3.1, §3.2 */
import { ConnectReturnCode, connectReturnCode, PacketType, type ProtocolLevel, type QoS, Reason } from "./constants.ts"
import { type Properties, readProperties, WILL, writeProperties } from "./properties.ts"
import type { Reader } from "./reader.ts"
import type { Writer } from "./writer.ts"

export interface WillFields {
  topic: string
  payload: Buffer
  qos: QoS
  retain: boolean
  properties: Properties
}

export interface Connect {
  level: ProtocolLevel
  cleanStart: boolean
  keepAliveSeconds: number
  clientId: string
  will: WillFields | undefined
  username: string | undefined
  password: Buffer | undefined
  properties: Properties
}

/** A CONNECT that cannot be served, and the level in which to say so (undefined: none, just close). */
export interface ConnectFailure {
  reason: Reason
  level: ProtocolLevel | undefined
}

/** MQTT 3.1 allows 1 to 23 characters in a client identifier; nobody holds to that, and we don't ask it. */
export function decodeConnect(reader: Reader): Connect | ConnectFailure {
  const name = reader.text()
  const level = reader.u8()
  if (reader.failed) return { reason: Reason.MalformedPacket, level: undefined }
  if (name !== "MQTT" && name !== "MQIsdp") {
    return { reason: Reason.UnsupportedProtocolVersion, level: undefined } // [MQTT-3.1.2-1]
  }
  if (name === "MQTT" ? level !== 4 && level !== 5 : level !== 3) {
    // A level above ours is answered in the newest that we know, one below in 3.1.1's form [MQTT-3.1.2-2]; so is that of
    // a Mosquitto bridge, which sets the high bit and tries again without it.
    return { reason: Reason.UnsupportedProtocolVersion, level: (level & 0x7f) > 5 ? 5 : 4 }
  }
  return decodeBody(reader, level as ProtocolLevel)
}

function decodeBody(reader: Reader, level: ProtocolLevel): Connect | ConnectFailure {
  const flags = reader.u8()
  const willFlag = (flags & 0x04) !== 0
  const willQoS = (flags >> 3) & 3
  const hasUsername = (flags & 0x80) !== 0
  const hasPassword = (flags & 0x40) !== 0
  const malformed = { reason: Reason.MalformedPacket, level }
  if ((flags & 0x01) !== 0) return malformed // [MQTT-3.1.2-3]
  if (willQoS === 3) return malformed // [MQTT-3.1.2-12]
  if (!willFlag && (flags & 0x38) !== 0) return malformed // [MQTT-3.1.2-11] [MQTT-3.1.2-13]
  if (hasPassword && !hasUsername && level !== 5) return malformed // [v3.1.1 MQTT-3.1.2-22]

  const keepAliveSeconds = reader.u16()
  const properties: Properties = {}
  if (level === 5) {
    const reason = readProperties(reader, PacketType.CONNECT, properties)
    if (reason !== Reason.Success) return { reason, level }
    if (properties.authenticationData !== undefined && properties.authenticationMethod === undefined) {
      return { reason: Reason.ProtocolError, level }
    }
  }
  const clientId = reader.text()
  let will: WillFields | undefined
  if (willFlag) {
    const willProperties: Properties = {}
    if (level === 5) {
      const reason = readProperties(reader, WILL, willProperties)
      if (reason !== Reason.Success) return { reason, level }
      if (!mayBeTopicName(willProperties.responseTopic)) return { reason: Reason.ProtocolError, level } // [MQTT-3.3.2-14]
    }
    const topic = reader.text()
    const payload = reader.binary()
    will = { topic, payload, qos: willQoS as QoS, retain: (flags & 0x20) !== 0, properties: willProperties }
  }
  // MQTT 3.1 §3.1: the Remaining Length has precedence over these flags, so that what they announce may be missing.
  const username = hasUsername && (level !== 3 || reader.rest > 0) ? reader.text() : undefined
  const password = hasPassword && (level !== 3 || reader.rest > 0) ? reader.binary() : undefined
  if (reader.failed || reader.rest !== 0) return malformed
  const cleanStart = (flags & 0x02) !== 0
  return { level, cleanStart, keepAliveSeconds, clientId, will, username, password, properties }
}

/** A Response Topic is a topic name: not empty, no wildcard. */
function mayBeTopicName(text: string | undefined): boolean {
  return text === undefined || !/^$|[+#]/.test(text)
}

/** What a client before MQTT 5 is told that is let in: with a new session, or with the one that it had. */
const BEGUN = Buffer.from([PacketType.CONNACK << 4, 2, 0, 0])
const RESUMED = Buffer.from([PacketType.CONNACK << 4, 2, 1, 0])

export function encodeConnack(
  writer: Writer,
  level: ProtocolLevel,
  reason: Reason,
  sessionPresent: boolean,
  properties: Properties | undefined,
): Buffer {
  const isPresent = sessionPresent && level !== 3 // MQTT 3.1 has no such flag: the byte is reserved
  if (level !== 5 && reason === Reason.Success) return isPresent ? RESUMED : BEGUN
  writer.begin(PacketType.CONNACK)
  writer.u8(isPresent ? 1 : 0)
  writer.u8(level === 5 ? reason : (connectReturnCode(reason) ?? ConnectReturnCode.ServerUnavailable))
  if (level === 5) writeProperties(writer, properties)
  return writer.finish()
}

export interface Auth {
  reason: Reason
  properties: Properties
}

/** A reason, where the packet cannot be served. */
export function decodeAuth(reader: Reader): Auth | Reason {
  const properties: Properties = {}
  if (reader.rest === 0) return { reason: Reason.Success, properties }
  const reason = reader.u8() as Reason
  if (reader.rest > 0) {
    const failure = readProperties(reader, PacketType.AUTH, properties)
    if (failure !== Reason.Success) return failure
  }
  if (reader.failed || reader.rest !== 0) return Reason.MalformedPacket
  const known =
    reason === Reason.Success || reason === Reason.ContinueAuthentication || reason === Reason.ReAuthenticate
  return known ? { reason, properties } : Reason.ProtocolError
}

export function encodeAuth(writer: Writer, reason: Reason, properties: Properties): Buffer {
  writer.begin(PacketType.AUTH)
  writer.u8(reason)
  writeProperties(writer, properties)
  return writer.finish()
}

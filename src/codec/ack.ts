/** PUBACK, PUBREC, PUBREL, PUBCOMP, and DISCONNECT. MQTT 5 §3.4 to §3.7, §3.14 */
import { isDisconnectReason, PacketType, type ProtocolLevel, Reason } from "./constants.ts"
import { type Properties, readProperties, writeProperties } from "./properties.ts"
import type { Reader } from "./reader.ts"
import type { Writer } from "./writer.ts"

export type AckType =
  | typeof PacketType.PUBACK
  | typeof PacketType.PUBREC
  | typeof PacketType.PUBREL
  | typeof PacketType.PUBCOMP

/** What the last `decodeAck` read. One object, reused: acknowledgements are as many as messages. */
export class Ack {
  packetId = 0
  reason: Reason = Reason.Success

  /** Reads the body of an acknowledgement; its properties are checked and let go. */
  decode(reader: Reader, type: AckType, level: ProtocolLevel): Reason {
    this.packetId = reader.u16()
    this.reason = Reason.Success
    if (level === 5 && reader.rest > 0) {
      this.reason = reader.u8() as Reason
      if (reader.rest > 0) {
        const failure = readProperties(reader, type, {})
        if (failure !== Reason.Success) return failure
      }
    }
    if (reader.failed || reader.rest !== 0) return Reason.MalformedPacket
    if (this.packetId === 0) return Reason.ProtocolError // [MQTT-2.2.1-3]
    return allowed(type, this.reason) ? Reason.Success : Reason.ProtocolError
  }
}

/** Whether a PUBACK or PUBREC may refuse with it. MQTT 5 tables 3-4 and 3-5 */
export function isPublishRefusal(reason: Reason): boolean {
  return reason >= 0x80 && allowed(PacketType.PUBACK, reason)
}

/** The reasons that a client may give. MQTT 5 tables 3-4 to 3-7 */
function allowed(type: AckType, reason: Reason): boolean {
  if (reason === Reason.Success) return true
  if (type === PacketType.PUBREL || type === PacketType.PUBCOMP) return reason === Reason.PacketIdentifierNotFound
  switch (reason) {
    case Reason.NoMatchingSubscribers:
    case Reason.UnspecifiedError:
    case Reason.ImplementationSpecificError:
    case Reason.NotAuthorized:
    case Reason.TopicNameInvalid:
    case Reason.PacketIdentifierInUse:
    case Reason.QuotaExceeded:
    case Reason.PayloadFormatInvalid:
      return true
    default:
      return false
  }
}

export function encodeAck(
  writer: Writer,
  type: AckType,
  level: ProtocolLevel,
  packetId: number,
  reason: Reason,
  properties?: Properties,
): Buffer {
  writer.begin(type, type === PacketType.PUBREL ? 2 : 0)
  writer.u16(packetId)
  if (level === 5 && (reason !== Reason.Success || properties !== undefined)) {
    writer.u8(reason)
    if (properties !== undefined) writeProperties(writer, properties)
  }
  return writer.finish()
}

export interface Disconnect {
  reason: Reason
  properties: Properties
}

/** A reason, where the packet cannot be served. */
export function decodeDisconnect(reader: Reader, level: ProtocolLevel): Disconnect | Reason {
  const properties: Properties = {}
  if (level !== 5 || reader.rest === 0) {
    return reader.rest === 0 ? { reason: Reason.Success, properties } : Reason.MalformedPacket
  }
  const reason = reader.u8() as Reason
  if (reader.rest > 0) {
    const failure = readProperties(reader, PacketType.DISCONNECT, properties)
    if (failure !== Reason.Success) return failure
  }
  if (reader.failed || reader.rest !== 0) return Reason.MalformedPacket
  if (properties.serverReference !== undefined) return Reason.ProtocolError // the server's alone to send
  return isDisconnectReason(reason, "client") ? { reason, properties } : Reason.ProtocolError
}

export function encodeDisconnect(writer: Writer, reason: Reason, properties?: Properties): Buffer {
  writer.begin(PacketType.DISCONNECT)
  writer.u8(reason)
  if (properties !== undefined) writeProperties(writer, properties)
  return writer.finish()
}

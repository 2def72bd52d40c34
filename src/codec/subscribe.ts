/** SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK. MQTT 5 §3.8 to §3.11 */
import { PacketType, type ProtocolLevel, type QoS, Reason } from "./constants.ts"
import { type Properties, readProperties, writeProperties } from "./properties.ts"
import type { Reader } from "./reader.ts"
import type { Writer } from "./writer.ts"

/** Retain Handling: send retained messages at every subscribe, at a new subscription only, or never. */
export type RetainHandling = 0 | 1 | 2

/** One filter of a SUBSCRIBE, and its options. MQTT 5 §3.8.3.1 */
export interface SubscribeRequest {
  topicFilter: string
  qos: QoS
  noLocal: boolean
  retainAsPublished: boolean
  retainHandling: RetainHandling
}

export interface Subscribe {
  packetId: number
  requests: SubscribeRequest[]
  properties: Properties
}

export interface Unsubscribe {
  packetId: number
  topicFilters: string[]
  properties: Properties
}

/** A reason, where the packet cannot be served. */
export function decodeSubscribe(reader: Reader, level: ProtocolLevel): Subscribe | Reason {
  const packetId = reader.u16()
  const properties: Properties = {}
  if (level === 5) {
    const reason = readProperties(reader, PacketType.SUBSCRIBE, properties)
    if (reason !== Reason.Success) return reason
  }
  const requests: SubscribeRequest[] = []
  while (reader.rest > 0) {
    const topicFilter = reader.text()
    const options = reader.u8()
    const qos = options & 3
    const retainHandling = (options >> 4) & 3
    if (qos === 3) return level === 5 ? Reason.ProtocolError : Reason.MalformedPacket // [v3.1.1 MQTT-3.8.3-4]
    if (level !== 5 && options > 2) return Reason.MalformedPacket // [v3.1.1 MQTT-3.8.3-4]
    if (retainHandling === 3) return Reason.ProtocolError
    if ((options & 0xc0) !== 0) return Reason.MalformedPacket // [MQTT-3.8.3-5]
    requests.push({
      topicFilter,
      qos: qos as QoS,
      noLocal: (options & 0x04) !== 0,
      retainAsPublished: (options & 0x08) !== 0,
      retainHandling: retainHandling as RetainHandling,
    })
  }
  if (reader.failed) return Reason.MalformedPacket
  if (packetId === 0 || requests.length === 0) return Reason.ProtocolError // [MQTT-2.2.1-3] [MQTT-3.8.3-2]
  return { packetId, requests, properties }
}

/** A reason, where the packet cannot be served. */
export function decodeUnsubscribe(reader: Reader, level: ProtocolLevel): Unsubscribe | Reason {
  const packetId = reader.u16()
  const properties: Properties = {}
  if (level === 5) {
    const reason = readProperties(reader, PacketType.UNSUBSCRIBE, properties)
    if (reason !== Reason.Success) return reason
  }
  const topicFilters: string[] = []
  while (reader.rest > 0) topicFilters.push(reader.text())
  if (reader.failed) return Reason.MalformedPacket
  if (packetId === 0 || topicFilters.length === 0) return Reason.ProtocolError // [MQTT-2.2.1-3] [MQTT-3.10.3-2]
  return { packetId, topicFilters, properties }
}

export function encodeSuback(
  writer: Writer,
  level: ProtocolLevel,
  packetId: number,
  reasons: readonly Reason[],
  properties?: Properties,
): Buffer {
  writer.begin(PacketType.SUBACK)
  writer.u16(packetId)
  if (level === 5) writeProperties(writer, properties)
  for (const reason of reasons) writer.u8(level === 5 || reason <= 2 ? reason : 0x80) // [v3.1.1 MQTT-3.9.3-2]
  return writer.finish()
}

export function encodeUnsuback(
  writer: Writer,
  level: ProtocolLevel,
  packetId: number,
  reasons: readonly Reason[],
  properties?: Properties,
): Buffer {
  writer.begin(PacketType.UNSUBACK)
  writer.u16(packetId)
  if (level === 5) {
    writeProperties(writer, properties)
    for (const reason of reasons) writer.u8(reason)
  }
  return writer.finish()
}

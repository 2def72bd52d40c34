/**
 * What the cases work on: topics and packets such as devices send, the same in every run. The packets are written by mqtt-packet, which
 * is no relative of the codec that reads them.
 */
import mqtt from "mqtt-packet"
import { Framer, LARGEST_PACKET_BYTES, type ProtocolLevel } from "../../../src/codec/index.ts"

/** `plant-3/line-1/machine-17/temperature`, all different. */
export function topicNames(count: number): string[] {
  const kinds = ["temperature", "pressure", "state", "power/phase-1", "vibration"]
  return Array.from({ length: count }, (_, i) => {
    return `plant-${i % 7}/line-${i % 3}/machine-${Math.floor(i / kinds.length)}/${kinds[i % kinds.length]}`
  })
}

/** `bytes` bytes of JSON, more or less: what they are does not matter to a broker. */
export function payload(bytes: number): Buffer {
  return Buffer.alloc(bytes, '{"value":21.5,"unit":"C"}')
}

/** A packet, and where in `bytes` it is: its body begins at `body`. */
export interface Place {
  readonly start: number
  readonly body: number
  readonly end: number
}

/** Packets one behind the other, as a socket hands them over. */
export interface Chunk {
  readonly bytes: Buffer
  readonly places: readonly Place[]
}

export function chunkOf(packets: readonly Buffer[]): Chunk {
  const bytes = Buffer.concat(packets)
  const places: Place[] = []
  const framer = new Framer(LARGEST_PACKET_BYTES)
  framer.push(bytes)
  while (framer.next()) places.push({ start: framer.start, body: framer.body, end: framer.end })
  if (places.length !== packets.length) throw new Error(`${places.length} packets of ${packets.length} are found`)
  return { bytes, places }
}

/** The packet as a client of that level writes it. */
export function written(level: ProtocolLevel, packet: mqtt.Packet): Buffer {
  return mqtt.generate(packet, { protocolVersion: level })
}

export interface PublishFields {
  topic?: string
  payloadBytes?: number
  qos?: 0 | 1 | 2
  packetId?: number
  properties?: mqtt.IPublishPacket["properties"]
}

export function publishPacket(level: ProtocolLevel, fields: PublishFields): Buffer {
  const { topic = "plant-3/line-1/machine-17/temperature", payloadBytes = 20, qos = 0, packetId, properties } = fields
  return written(level, {
    cmd: "publish",
    topic,
    payload: payload(payloadBytes),
    qos,
    dup: false,
    retain: false,
    ...(qos > 0 && { messageId: packetId ?? 1 }),
    ...(properties !== undefined && { properties }),
  })
}

/** `count` PUBLISH packets over as many topics, with payloads of 8 to 200 bytes. */
export function publishPackets(level: ProtocolLevel, count: number, fields: PublishFields = {}): Buffer[] {
  return topicNames(count).map((topic, i) => {
    return publishPacket(level, { topic, payloadBytes: 8 + ((i * 37) % 193), packetId: i + 1, ...fields })
  })
}

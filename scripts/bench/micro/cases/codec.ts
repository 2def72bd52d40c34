/** Bytes to packets and back: frames, the packets beside PUBLISH, and the text in them. */
import {
  Ack,
  type AckType,
  classify,
  decodeConnect,
  decodeSubscribe,
  decodeText,
  encodeAck,
  encodeConnack,
  encodeSuback,
  Framer,
  LARGEST_PACKET_BYTES,
  PacketType,
  type ProtocolLevel,
  Reader,
  Reason,
  Text,
  Writer,
} from "../../../../src/codec/index.ts"
import type { Case } from "../case.ts"
import { type Chunk, chunkOf, payload, publishPacket, topicNames, written } from "../inputs.ts"

const reader = new Reader()
const writer = new Writer()

export function codecCases(): Case[] {
  return [...frames(), ...acks(), ...handshakes(), ...texts()]
}

/** What a socket hands over at once under load. */
const CHUNK_BYTES = 65_536

function frames(): Case[] {
  const small = filled(publishPacket(4, { topic: "plant-3/machine-17/state", payloadBytes: 12 }))
  const large = filled(publishPacket(4, { payloadBytes: 1000 }))
  const segments: Buffer[] = []
  for (let at = 0; at < small.bytes.length; at += 1448) segments.push(small.bytes.subarray(at, at + 1448))
  return [
    framing("codec-frame", "a packet of 40 B found in 64 KiB", small, [small.bytes]),
    framing("codec-frame-1k", "a packet of 1 KB found in 64 KiB", large, new Array(16).fill(large.bytes)),
    framing("codec-frame-split", "a packet of 40 B found in segments of 1,448 B", small, segments),
  ]
}

function filled(packet: Buffer): Chunk {
  return chunkOf(new Array(Math.floor(CHUNK_BYTES / packet.length)).fill(packet))
}

function framing(name: string, title: string, { bytes, places }: Chunk, chunks: readonly Buffer[]): Case {
  const framer = new Framer(LARGEST_PACKET_BYTES)
  return {
    name,
    title,
    operations: (places.length * sumOf(chunks.map((chunk) => chunk.length))) / bytes.length,
    expected: sumOf(chunks.map((chunk) => chunk.length)),
    run() {
      let total = 0
      for (const chunk of chunks) {
        framer.push(chunk)
        while (framer.next()) total += framer.end - framer.start
        framer.release()
      }
      return total
    },
  }
}

function acks(): Case[] {
  const ids = Array.from({ length: 1000 }, (_, i) => i + 1)
  const plain = ids.map((messageId) => written(4, { cmd: "puback", messageId }))
  const refused = ids.map((messageId) => {
    return written(5, { cmd: "puback", messageId, reasonCode: 0x97, properties: { reasonString: "quota exceeded" } })
  })
  return [
    acknowledged("codec-ack-v4", "PUBACK decoded: 3.1.1", 4, PacketType.PUBACK, plain),
    acknowledged("codec-ack-v5-reason", "PUBACK decoded: 5, with reason and text", 5, PacketType.PUBACK, refused),
    acknowledging("codec-ack-v4-encode", "PUBACK encoded: 3.1.1", 4, Reason.Success),
    acknowledging("codec-ack-v5-encode", "PUBACK encoded: 5, with reason and text", 5, Reason.QuotaExceeded),
  ]
}

const sumOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0)

function acknowledged(name: string, title: string, level: ProtocolLevel, type: AckType, packets: Buffer[]): Case {
  const { bytes, places } = chunkOf(packets)
  const ack = new Ack()
  return {
    name,
    title,
    operations: places.length,
    expected: (places.length * (places.length + 1)) / 2,
    run() {
      let packetIds = 0
      for (const { body, end } of places) {
        if (ack.decode(reader.reset(bytes, body, end), type, level) !== Reason.Success) return Number.NaN
        packetIds += ack.packetId
      }
      return packetIds
    },
  }
}

function acknowledging(name: string, title: string, level: ProtocolLevel, reason: Reason): Case {
  const operations = 200
  const properties = reason === Reason.Success ? undefined : { reasonString: "quota exceeded" }
  const length = properties === undefined ? 4 : 4 + 1 + 1 + 3 + properties.reasonString.length
  return {
    name,
    title,
    operations,
    expected: operations * length,
    run() {
      let bytes = 0
      for (let id = 1; id <= operations; id++) {
        bytes += encodeAck(writer, PacketType.PUBACK, level, id, reason, properties).length
      }
      return bytes
    },
  }
}

function handshakes(): Case[] {
  const login = {
    clientId: "plant-3-machine-17",
    keepalive: 60,
    username: "machine-17",
    password: Buffer.from("secret"),
  }
  const plain = written(4, { cmd: "connect", protocolId: "MQTT", protocolVersion: 4, clean: true, ...login })
  const rich = written(5, {
    ...{ cmd: "connect", protocolId: "MQTT", protocolVersion: 5, clean: false, ...login },
    properties: { sessionExpiryInterval: 3600, receiveMaximum: 100, topicAliasMaximum: 10, maximumPacketSize: 65_536 },
    will: {
      ...{ topic: "plant-3/line-1/machine-17/state", payload: payload(40), qos: 1, retain: true },
      properties: { willDelayInterval: 5, messageExpiryInterval: 600, contentType: "application/json" },
    },
  })
  return [
    connecting("codec-connect-v4", "CONNECT decoded: 3.1.1, with a login", plain, login.keepalive),
    connecting("codec-connect-v5", "CONNECT decoded: 5, with a login, a will, 7 properties", rich, login.keepalive),
    answering(),
    subscribing("codec-subscribe", "SUBSCRIBE decoded: 5, one filter", 1),
    subscribing("codec-subscribe-10", "SUBSCRIBE decoded: 5, ten filters", 10),
    granting(),
  ]
}

function connecting(name: string, title: string, packet: Buffer, keepAliveSeconds: number): Case {
  const operations = 50
  const { body, end } = chunkOf([packet]).places[0]!
  return {
    name,
    title,
    operations,
    expected: operations * keepAliveSeconds,
    run() {
      let seconds = 0
      for (let i = 0; i < operations; i++) {
        const connect = decodeConnect(reader.reset(packet, body, end))
        if (!("clientId" in connect)) return Number.NaN
        seconds += connect.keepAliveSeconds
      }
      return seconds
    },
  }
}

function answering(): Case {
  const operations = 50
  const properties = {
    topicAliasMaximum: 10,
    receiveMaximum: 100,
    maximumPacketBytes: 1 << 20,
    assignedClientIdentifier: "a1",
  }
  return {
    name: "codec-connack",
    title: "CONNACK encoded: 5, with 4 properties",
    operations,
    expected: operations * (2 + 2 + 1 + 3 + 3 + 5 + 5),
    run() {
      let bytes = 0
      for (let i = 0; i < operations; i++) bytes += encodeConnack(writer, 5, Reason.Success, false, properties).length
      return bytes
    },
  }
}

function subscribing(name: string, title: string, filters: number): Case {
  const operations = 50
  const subscriptions = topicNames(filters).map((name, i) => ({
    topic: i % 2 === 0 ? name : `${name}/#`,
    qos: 1 as const,
  }))
  const packet = written(5, {
    cmd: "subscribe",
    messageId: 7,
    subscriptions,
    properties: { subscriptionIdentifier: 9 },
  })
  const { body, end } = chunkOf([packet]).places[0]!
  return {
    name,
    title,
    operations,
    expected: operations * sumOf(subscriptions.map(({ topic }) => topic.length)),
    run() {
      let characters = 0
      for (let i = 0; i < operations; i++) {
        const subscribe = decodeSubscribe(reader.reset(packet, body, end), 5)
        if (typeof subscribe === "number") return Number.NaN
        for (const { topicFilter } of subscribe.requests) characters += topicFilter.length
      }
      return characters
    },
  }
}

function granting(): Case {
  const operations = 50
  const reasons = new Array<Reason>(10).fill(Reason.GrantedQoS1)
  return {
    name: "codec-suback-10",
    title: "SUBACK encoded: 5, ten filters",
    operations,
    expected: operations * (2 + 2 + 1 + 10),
    run() {
      let bytes = 0
      for (let i = 0; i < operations; i++) bytes += encodeSuback(writer, 5, i + 1, reasons).length
      return bytes
    },
  }
}

function texts(): Case[] {
  const names = topicNames(100)
  const accented = names.map((name) => name.replace("machine", "mašína").replace("temperature", "температура"))
  return [
    reading("codec-text-ascii", "text of about 35 B decoded: ASCII", names, Text.Ascii),
    reading("codec-text-unicode", "text of about 40 B decoded: Unicode", accented, Text.Unicode),
  ]
}

function reading(name: string, title: string, texts: readonly string[], kind: Text): Case {
  const places: { start: number; end: number }[] = []
  let at = 0
  for (const text of texts) places.push({ start: at, end: (at += Buffer.byteLength(text)) })
  const bytes = Buffer.from(texts.join(""))
  if (places.some(({ start, end }) => classify(bytes, start, end) !== kind))
    throw new Error(`${name} is of another kind`)
  return {
    name,
    title,
    operations: places.length,
    expected: sumOf(texts.map((text) => text.length)),
    run() {
      let characters = 0
      for (const { start, end } of places) characters += decodeText(bytes, start, end)?.length ?? Number.NaN
      return characters
    },
  }
}

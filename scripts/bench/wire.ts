/**
 * MQTT bytes for the generator: everything is encoded before the clock starts, and what arrives is skipped over.
 *
 * - `MessageRing` is a publisher's supply: a block of ready PUBLISH packets that is written to the socket as it is,
 *   any run of slots in one write, again and again. A slot's number is the message's sequence number (modulo the
 *   ring) and its packet identifier minus one, so that nothing is patched but the time stamp of every 31st message.
 *   A ring holds at least twice the window; a gap in the sequence is therefore never ambiguous.
 * - `PacketReader` finds packet boundaries in what a socket delivers, without slicing or allocating. Only a packet
 *   that straddles two reads is copied.
 *
 * Payload: u16 slot, u16 publisher within its group, u8 "is stamped", 3 spare bytes, f64 time stamp in milliseconds,
 * then bytes that depend on slot and publisher and are compared with the ring now and then. One that is too short for
 * that says nothing at all, and its time stamps stay in the ring.
 */
export type Qos = 0 | 1 | 2
/** As CONNECT has it: 4 is MQTT 3.1.1. */
export type ProtocolLevel = 4 | 5

export const PacketType = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  suback: 9,
  unsubscribe: 10,
  unsuback: 11,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
} as const

/** Payload bytes before the part that is compared. */
export const payloadHeaderBytes = 16

/** Prime, so that the sampled messages wander through the bursts and don't always stand at their head. */
const stampEverySlots = 31

function text(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes])
}

function packet(firstByte: number, ...parts: Buffer[]): Buffer {
  const length: number[] = []
  let remaining = parts.reduce((sum, part) => sum + part.length, 0)
  do {
    length.push((remaining & 0x7f) | (remaining > 0x7f ? 0x80 : 0))
    remaining >>>= 7
  } while (remaining > 0)
  return Buffer.concat([Buffer.from([firstByte, ...length]), ...parts])
}

const noProperties = (level: ProtocolLevel) => Buffer.alloc(level === 5 ? 1 : 0)

export type ConnectOptions = {
  keepAliveSeconds: number
  /** How long the session survives its connections, and is gone on with; 0: not at all. MQTT 3.1.1 knows no time: it is for ever then. */
  sessionExpirySeconds: number
  will?: { topic: string; payload: Buffer; qos: Qos; retain: boolean }
}

/** A session that never expires. */
export const forever = 0xffff_ffff

export function encodeConnect(clientId: string, options: ConnectOptions, level: ProtocolLevel): Buffer {
  const { keepAliveSeconds, sessionExpirySeconds, will } = options
  const willFlags = will ? 0x04 | (will.qos << 3) | (will.retain ? 0x20 : 0) : 0
  const flags = willFlags | (sessionExpirySeconds > 0 ? 0 : 0x02)
  const header = Buffer.from([level, flags, keepAliveSeconds >> 8, keepAliveSeconds & 0xff])
  const expiry = Buffer.from([5, 0x11, 0, 0, 0, 0])
  expiry.writeUInt32BE(sessionExpirySeconds, 2)
  const properties = sessionExpirySeconds > 0 && level === 5 ? expiry : noProperties(level)
  const willParts = will ? [noProperties(level), text(will.topic), text(will.payload)] : []
  return packet(PacketType.connect << 4, text("MQTT"), header, properties, text(clientId), ...willParts)
}

export function encodeSubscribe(topicFilter: string, qos: Qos, level: ProtocolLevel): Buffer {
  const packetId = Buffer.from([0, 1])
  return packet((PacketType.subscribe << 4) | 2, packetId, noProperties(level), text(topicFilter), Buffer.from([qos]))
}

/** `packetId` is not looked at with QoS 0. */
export function encodePublish(
  topic: string,
  payload: Buffer,
  { qos, retain, packetId = 0 }: { qos: Qos; retain: boolean; packetId?: number },
  level: ProtocolLevel,
): Buffer {
  const id = qos === 0 ? Buffer.alloc(0) : Buffer.from([packetId >> 8, packetId & 0xff])
  const firstByte = (PacketType.publish << 4) | (qos << 1) | (retain ? 1 : 0)
  return packet(firstByte, text(topic), id, noProperties(level), payload)
}

/** The server's Receive Maximum in a CONNACK, 65,535 where it names none. [MQTT-3.2.2.3.3] */
export function receiveMaximum(bytes: Buffer, at: number, end: number, level: ProtocolLevel): number {
  const properties = at + 5
  if (level !== 5 || end <= properties) return 65_535
  for (let cursor = properties; cursor + 2 < end; ) {
    const id = bytes[cursor]!
    if (id === 0x21) return bytes.readUInt16BE(cursor + 1)
    if (id === 0x11 || id === 0x27) cursor += 5
    else if (id === 0x22 || id === 0x13) cursor += 3
    else if (id === 0x24 || id === 0x25 || id === 0x28 || id === 0x29 || id === 0x2a) cursor += 2
    else cursor += 3 + bytes.readUInt16BE(cursor + 1)
    if (id === 0x26) cursor += 2 + bytes.readUInt16BE(cursor)
  }
  return 65_535
}

export class MessageRing {
  readonly bytes: Buffer
  readonly packetBytes: number
  readonly slots: number
  readonly #payloadAt: number
  readonly #view: DataView
  readonly #stampEverySlots: number
  /** Where payloads have no room for them, milliseconds by slot. */
  readonly #stamps: Float64Array | undefined

  constructor(options: {
    topic: string
    qos: Qos
    payloadBytes: number
    level: ProtocolLevel
    publisher: number
    slots: number
    stampEveryMessage: boolean
  }) {
    const { topic, qos, payloadBytes, level, publisher, slots } = options
    const encode = (slot: number) => {
      const payload = Buffer.alloc(payloadBytes)
      if (payloadBytes >= payloadHeaderBytes) {
        payload.writeUInt16BE(slot, 0)
        payload.writeUInt16BE(publisher, 2)
        payload[4] = this.isStamped(slot) ? 1 : 0
      }
      for (let i = payloadHeaderBytes; i < payloadBytes; i++) payload[i] = slot * 7 + publisher * 13 + i
      return encodePublish(topic, payload, { qos, retain: false, packetId: slot + 1 }, level)
    }
    this.slots = slots
    this.#stampEverySlots = options.stampEveryMessage ? 1 : stampEverySlots
    this.#stamps = payloadBytes < payloadHeaderBytes ? new Float64Array(slots) : undefined
    this.packetBytes = encode(0).length
    this.#payloadAt = this.packetBytes - payloadBytes
    this.bytes = Buffer.alloc(this.packetBytes * slots)
    for (let slot = 0; slot < slots; slot++) encode(slot).copy(this.bytes, slot * this.packetBytes)
    this.#view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length)
  }

  /** Writes `milliseconds` into those slots of `[from, to)` that are sampled for latency. */
  stamp(from: number, to: number, milliseconds: number): void {
    const every = this.#stampEverySlots
    if (this.#stamps) this.#stamps.fill(milliseconds, from, to)
    else
      for (let slot = Math.ceil(from / every) * every; slot < to; slot += every)
        this.#view.setFloat64(slot * this.packetBytes + this.#payloadAt + 8, milliseconds)
  }

  /** Whether a slot carries a time stamp. */
  isStamped(slot: number): boolean {
    return slot % this.#stampEverySlots === 0
  }

  /** When a stamped slot was last sent, milliseconds. */
  stampOf(slot: number): number {
    return this.#stamps?.[slot] ?? this.#view.getFloat64(slot * this.packetBytes + this.#payloadAt + 8)
  }

  /** Whether a received payload, past its header, is the one that this slot was sent with. */
  hasPayload(slot: number, bytes: Buffer, payloadAt: number, end: number): boolean {
    const from = slot * this.packetBytes + this.#payloadAt + payloadHeaderBytes
    return bytes.compare(this.bytes, from, (slot + 1) * this.packetBytes, payloadAt + payloadHeaderBytes, end) === 0
  }
}

/** The size of the packet that starts at `at`, or 0 while its fixed header is incomplete. */
function packetBytes(bytes: Buffer, at: number, end: number): number {
  if (at + 2 > end) return 0
  const low = bytes[at + 1]!
  if (low < 0x80) return 2 + low
  let remaining = low & 0x7f
  for (let i = 1; i < 4 && at + 1 + i < end; i++) {
    const byte = bytes[at + 1 + i]!
    remaining |= (byte & 0x7f) << (7 * i)
    if (byte < 0x80) return 2 + i + remaining
  }
  return 0
}

export abstract class PacketReader {
  #carried = Buffer.alloc(256)
  #carriedBytes = 0

  /** One whole packet, `[at, end)` of `bytes`, which stay valid during the call only. */
  protected abstract onPacket(bytes: Buffer, at: number, end: number): void

  protected read(chunk: Buffer): void {
    const end = chunk.length
    let at = this.#carriedBytes > 0 ? this.#completeCarried(chunk) : 0
    while (at < end) {
      const size = packetBytes(chunk, at, end)
      if (size === 0 || at + size > end) break
      this.onPacket(chunk, at, at + size)
      at += size
    }
    if (at < end) this.#carry(chunk, at, end)
  }

  /** Finishes the packet that the last read left open; returns how much of `chunk` that took. */
  #completeCarried(chunk: Buffer): number {
    let taken = 0
    let size = packetBytes(this.#carried, 0, this.#carriedBytes)
    while (size === 0) {
      if (taken === chunk.length) return taken
      this.#carry(chunk, taken, ++taken)
      size = packetBytes(this.#carried, 0, this.#carriedBytes)
    }
    const wanted = Math.min(size - this.#carriedBytes, chunk.length - taken)
    this.#carry(chunk, taken, taken + wanted)
    if (this.#carriedBytes === size) {
      this.#carriedBytes = 0
      this.onPacket(this.#carried, 0, size)
    }
    return taken + wanted
  }

  #carry(chunk: Buffer, from: number, to: number): void {
    const bytes = this.#carriedBytes + to - from
    if (bytes > this.#carried.length) {
      const larger = Buffer.alloc(bytes * 2)
      this.#carried.copy(larger, 0, 0, this.#carriedBytes)
      this.#carried = larger
    }
    chunk.copy(this.#carried, this.#carriedBytes, from, to)
    this.#carriedBytes = bytes
  }
}

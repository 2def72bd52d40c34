/**
 * Cuts the bytes of a connection into packets.
 *
 * `push` takes a chunk as the socket gave it; `next` moves to the following whole packet, whose place is then
 * `bytes[start, end)` with the body at `body`. Packets that lie whole in a chunk are found in place; one that
 * spans chunks is gathered in a buffer of its own, which grows with what really arrives: a peer that announces
 * 256 MiB and sends nothing costs nothing. One chunk, or byte by byte, gives the same packets.
 */
import { Reason } from "./constants.ts"

const EMPTY = Buffer.alloc(0)
const FIRST_GATHER_BYTES = 256

export class Framer {
  bytes: Buffer = EMPTY
  start = 0
  body = 0
  end = 0
  /** The largest packet that is taken. */
  maximumPacketBytes: number
  /** Why the stream cannot be read on; `Success` while it can. */
  reason: Reason = Reason.Success

  private chunk: Buffer = EMPTY
  private at = 0
  private gathered: Buffer | undefined
  private gatheredBytes = 0

  constructor(maximumPacketBytes: number) {
    this.maximumPacketBytes = maximumPacketBytes
  }

  /** Whether bytes are waiting, of a whole packet or a part. */
  get hasPending(): boolean {
    return this.at < this.chunk.length || this.gathered !== undefined
  }

  /** What has come of a packet that is not whole yet; a view, until more is pushed. */
  get partial(): Buffer {
    return this.gathered?.subarray(0, this.gatheredBytes) ?? EMPTY
  }

  push(chunk: Buffer): void {
    this.chunk = this.at < this.chunk.length ? Buffer.concat([this.chunk.subarray(this.at), chunk]) : chunk
    this.at = 0
  }

  /** Moves to the next whole packet; false when more bytes are needed or `reason` is set. */
  next(): boolean {
    if (this.gathered !== undefined) return this.gather()
    const { chunk, at } = this
    const available = chunk.length - at
    if (available < 2) return this.keepRest()
    let length = chunk[at + 1]!
    let body = at + 2
    if (length >= 0x80) {
      const header = headerBytes(chunk, at, available)
      if (header < 0) return this.fail(Reason.MalformedPacket)
      if (header === 0) return this.keepRest()
      length = remainingLength(chunk, at, header)
      body = at + header
    }
    const end = body + length
    if (end - at > this.maximumPacketBytes) return this.fail(Reason.PacketTooLarge)
    if (end > chunk.length) return this.keepRest()
    this.bytes = chunk
    this.start = at
    this.body = body
    this.end = end
    this.at = end
    return true
  }

  /** Forgets everything, so that no chunk is pinned by an idle connection. */
  release(): void {
    if (this.at < this.chunk.length) return
    this.bytes = EMPTY
    this.chunk = EMPTY
    this.at = 0
  }

  private fail(reason: Reason): false {
    this.reason = reason
    this.chunk = EMPTY
    this.at = 0
    this.gathered = undefined
    return false
  }

  /** The chunk ends inside a packet: its beginning moves to a buffer of its own. */
  private keepRest(): false {
    const rest = this.chunk.length - this.at
    if (rest > 0) {
      this.gathered = Buffer.allocUnsafeSlow(Math.max(rest, FIRST_GATHER_BYTES))
      this.chunk.copy(this.gathered, 0, this.at)
      this.gatheredBytes = rest
    }
    this.chunk = EMPTY
    this.bytes = EMPTY
    this.at = 0
    return false
  }

  /** Fills the gathered packet from the chunk; the header first, byte by byte. */
  private gather(): boolean {
    const { chunk } = this
    let header = headerBytes(this.gathered!, 0, this.gatheredBytes)
    while (header === 0 && this.at < chunk.length) {
      this.gathered![this.gatheredBytes++] = chunk[this.at++]!
      header = headerBytes(this.gathered!, 0, this.gatheredBytes)
    }
    if (header < 0) return this.fail(Reason.MalformedPacket)
    if (header === 0) return false
    const packetBytes = header + remainingLength(this.gathered!, 0, header)
    if (packetBytes > this.maximumPacketBytes) return this.fail(Reason.PacketTooLarge)
    const taken = Math.min(packetBytes - this.gatheredBytes, chunk.length - this.at)
    this.reserve(this.gatheredBytes + taken, packetBytes)
    chunk.copy(this.gathered!, this.gatheredBytes, this.at, this.at + taken)
    this.gatheredBytes += taken
    this.at += taken
    if (this.gatheredBytes < packetBytes) return false
    this.bytes = this.gathered!
    this.start = 0
    this.body = header
    this.end = packetBytes
    this.gathered = undefined
    return true
  }

  private reserve(needed: number, packetBytes: number): void {
    const present = this.gathered!
    if (present.length >= needed) return
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, Math.min(packetBytes, present.length * 2)))
    present.copy(grown, 0, 0, this.gatheredBytes)
    this.gathered = grown
  }
}

/** Bytes of the fixed header at `at`: 2 to 5; 0 if it is not whole yet, -1 if it is malformed. */
function headerBytes(bytes: Uint8Array, at: number, available: number): number {
  for (let i = 1; i < 5; i++) {
    if (i >= available) return 0
    const byte = bytes[at + i]!
    if (byte < 0x80) return byte === 0 && i > 1 ? -1 : i + 1 // the fewest bytes only [MQTT-1.5.5-1]
  }
  return -1
}

function remainingLength(bytes: Uint8Array, at: number, header: number): number {
  let value = 0
  for (let i = 1; i < header; i++) value |= (bytes[at + i]! & 0x7f) << (7 * (i - 1))
  return value
}

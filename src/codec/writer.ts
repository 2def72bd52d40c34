/**
 * Builds one packet at a time in a buffer that grows to the largest it has seen (and is let go when that was
 * exceptional). What `finish` returns is valid until the next packet begins: the outbox copies it.
 */
const INITIAL_BYTES = 4096
const LARGEST_KEPT_BYTES = 1 << 20
/** Room for the fixed header in front of a body whose length is not known yet. */
const HEADER_ROOM = 5

export class Writer {
  private bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES)
  private at = HEADER_ROOM
  private first = 0

  /** Starts a packet whose first byte is the type and flags. */
  begin(type: number, flags = 0): this {
    if (this.bytes.length > LARGEST_KEPT_BYTES) this.bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES)
    this.at = HEADER_ROOM
    this.first = (type << 4) | flags
    return this
  }

  /** The whole packet, its fixed header put in front of the body. */
  finish(): Buffer {
    const length = this.at - HEADER_ROOM
    const start = HEADER_ROOM - 1 - varintBytes(length)
    this.bytes[start] = this.first
    putVarint(this.bytes, start + 1, length)
    return this.bytes.subarray(start, this.at)
  }

  u8(value: number): void {
    this.reserve(1)
    this.bytes[this.at++] = value
  }

  u16(value: number): void {
    this.reserve(2)
    this.bytes[this.at++] = value >>> 8
    this.bytes[this.at++] = value & 0xff
  }

  u32(value: number): void {
    this.reserve(4)
    this.at = this.bytes.writeUInt32BE(value, this.at)
  }

  varint(value: number): void {
    this.reserve(4)
    this.at = putVarint(this.bytes, this.at, value)
  }

  text(value: string): void {
    const length = Buffer.byteLength(value)
    this.reserve(length + 2)
    this.u16(length)
    this.at += this.bytes.utf8Write(value, this.at)
  }

  binary(value: Uint8Array): void {
    this.u16(value.length)
    this.raw(value)
  }

  raw(value: Uint8Array): void {
    this.reserve(value.length)
    this.bytes.set(value, this.at)
    this.at += value.length
  }

  /** Opens a block whose length goes in front of it as a Variable Byte Integer. */
  beginBlock(): number {
    return this.at
  }

  /** Closes the block: moves it up by what its length takes. */
  endBlock(begin: number): void {
    const length = this.at - begin
    const size = varintBytes(length)
    this.reserve(size)
    this.bytes.copyWithin(begin + size, begin, this.at)
    putVarint(this.bytes, begin, length)
    this.at += size
  }

  private reserve(more: number): void {
    if (this.at + more <= this.bytes.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(this.at + more, this.bytes.length * 2))
    this.bytes.copy(grown, 0, 0, this.at)
    this.bytes = grown
  }
}

/** How many bytes a Variable Byte Integer takes. MQTT 5 §1.5.5 */
export function varintBytes(value: number): 1 | 2 | 3 | 4 {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4
}

/** Writes a Variable Byte Integer and gives the place behind it. */
export function putVarint(bytes: Uint8Array, at: number, value: number): number {
  let rest = value
  while (rest >= 0x80) {
    bytes[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  bytes[at++] = rest
  return at
}

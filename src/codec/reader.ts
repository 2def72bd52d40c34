/**
 * Reads the fields of one packet in place. Failure is sticky: a read past the end or an invalid string
 * sets `failed` and gives a neutral value, so that a decoder checks once, at its end.
 */
import { decodeText } from "./utf8.ts"

const EMPTY = Buffer.alloc(0)

export class Reader {
  bytes: Buffer = EMPTY
  at = 0
  end = 0
  failed = false

  /** Points the reader at `bytes[start, end)`. */
  reset(bytes: Buffer, start: number, end: number): this {
    this.bytes = bytes
    this.at = start
    this.end = end
    this.failed = false
    return this
  }

  get rest(): number {
    return this.end - this.at
  }

  u8(): number {
    if (this.at >= this.end) return this.fail()
    return this.bytes[this.at++]!
  }

  u16(): number {
    if (this.at + 2 > this.end) return this.fail()
    const value = (this.bytes[this.at]! << 8) | this.bytes[this.at + 1]!
    this.at += 2
    return value
  }

  u32(): number {
    if (this.at + 4 > this.end) return this.fail()
    const value = this.bytes.readUInt32BE(this.at)
    this.at += 4
    return value
  }

  /** A Variable Byte Integer: at most four bytes. MQTT 5 §1.5.5 */
  varint(): number {
    let value = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.u8()
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return byte === 0 && shift > 0 ? this.fail() : value // the fewest bytes only [MQTT-1.5.5-1]
    }
    return this.fail()
  }

  /** A UTF-8 Encoded String with its length in front; an invalid one fails the packet. */
  text(): string {
    const start = this.at + 2
    const end = start + this.u16()
    if (this.failed || end > this.end) return this.failText()
    this.at = end
    return decodeText(this.bytes, start, end) ?? this.failText()
  }

  /** Binary Data with its length in front, copied: what it is kept for outlives the chunk. */
  binary(): Buffer {
    const start = this.at + 2
    const end = start + this.u16()
    if (this.failed || end > this.end) {
      this.failed = true
      return EMPTY
    }
    this.at = end
    return Buffer.from(this.bytes.subarray(start, end))
  }

  private fail(): 0 {
    this.failed = true
    this.at = this.end
    return 0
  }

  private failText(): "" {
    this.failed = true
    this.at = this.end
    return ""
  }
}

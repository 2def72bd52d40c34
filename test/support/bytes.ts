/** Bytes for tests: hexadecimal, and randomness that a seed repeats. */

/** The bytes of a hexadecimal text with spaces anywhere. */
export function hex(text: string): Buffer<ArrayBuffer> {
  const digits = text.replaceAll(/\s/g, "")
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new Error(`not hexadecimal: ${text}`)
  return Buffer.from(digits, "hex")
}

/** `a b` -> `00 03 61 20 62`: a UTF-8 Encoded String as hexadecimal. */
export function textHex(text: string): string {
  const bytes = Buffer.from(text)
  return bytes.length.toString(16).padStart(4, "0") + bytes.toString("hex")
}

/** mulberry32: the same seed gives the same run. */
export class Random {
  private state: number

  constructor(seed: number) {
    this.state = seed
  }

  /** A whole number from 0 to `below` - 1. */
  below(below: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000) * below)
  }

  between(least: number, most: number): number {
    return least + this.below(most - least + 1)
  }

  chance(probability: number): boolean {
    return this.below(1_000_000) < probability * 1_000_000
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length)
    for (let i = 0; i < length; i++) bytes[i] = this.below(256)
    return bytes
  }

  /** Text of `length` characters from one to four bytes each, none of them U+0000. */
  text(length: number): string {
    const ranges = [
      [0x01, 0x7f],
      [0x61, 0x7a],
      [0x80, 0x7ff],
      [0x800, 0xd7ff],
      [0xe000, 0xffff],
      [0x10000, 0x10ffff],
    ] as const
    let text = ""
    for (let i = 0; i < length; i++) {
      const [least, most] = this.pick(ranges)
      text += String.fromCodePoint(this.between(least, most))
    }
    return text
  }
}

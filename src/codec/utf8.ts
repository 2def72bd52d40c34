/**
 * UTF-8 Encoded Strings. MQTT 5 §1.5.4
 *
 * A string must be well-formed UTF-8: no surrogates, no overlong forms [MQTT-1.5.4-1], and must not
 * hold U+0000 [MQTT-1.5.4-2]. U+FEFF is a character like any other and stays [MQTT-1.5.4-3].
 */

import { isUtf8 } from "node:buffer"

declare global {
  /** Bun has these; its types lag. */
  interface Buffer {
    latin1Slice(start?: number, end?: number): string
    utf8Slice(start?: number, end?: number): string
    utf8Write(text: string, offset?: number, length?: number): number
  }
}

/** What a run of bytes is: pure ASCII decodes on a faster path. */
export const Text = {
  Invalid: 0,
  Ascii: 1,
  Unicode: 2,
} as const
export type Text = (typeof Text)[keyof typeof Text]

/** Classifies `bytes[start, end)`; a U+0000 or an ill-formed sequence is `Invalid`. */
export function classify(bytes: Uint8Array, start: number, end: number): Text {
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!
    if (byte >= 0x80) return isWellFormed(bytes, at, end) ? Text.Unicode : Text.Invalid
    if (byte === 0) return Text.Invalid
  }
  return Text.Ascii
}

/** The text of `bytes[start, end)`, or undefined if the bytes are not a valid MQTT string. */
export function decodeText(bytes: Buffer, start: number, end: number): string | undefined {
  switch (classify(bytes, start, end)) {
    case Text.Ascii:
      return bytes.latin1Slice(start, end)
    case Text.Unicode:
      return bytes.utf8Slice(start, end)
    default:
      return undefined
  }
}

/** Whether a payload is the UTF-8 that it says it is. It is no MQTT string: U+0000 may be in it. MQTT 5 §3.3.2.3.2 */
export function isPayloadText(bytes: Buffer, start: number, end: number): boolean {
  return isUtf8(bytes.subarray(start, end))
}

/** Whether a JavaScript string can be sent: no lone surrogate, no U+0000, at most 65,535 bytes. */
export function isEncodable(text: string): boolean {
  return text.isWellFormed() && !text.includes("\0") && Buffer.byteLength(text) <= 0xffff
}

/** The well-formed sequences of Unicode 15, table 3-7, without U+0000. */
function isWellFormed(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start
  while (at < end) {
    const lead = bytes[at++]!
    if (lead < 0x80) {
      if (lead === 0) return false
      continue
    }
    let following: number
    let lowest = 0x80
    let highest = 0xbf
    if (lead >= 0xc2 && lead <= 0xdf) following = 1
    else if (lead >= 0xe0 && lead <= 0xef) {
      following = 2
      if (lead === 0xe0) lowest = 0xa0
      else if (lead === 0xed) highest = 0x9f
    } else if (lead >= 0xf0 && lead <= 0xf4) {
      following = 3
      if (lead === 0xf0) lowest = 0x90
      else if (lead === 0xf4) highest = 0x8f
    } else return false
    if (at + following > end) return false
    const second = bytes[at++]!
    if (second < lowest || second > highest) return false
    for (; following > 1; following--) {
      if ((bytes[at++]! & 0xc0) !== 0x80) return false
    }
  }
  return true
}

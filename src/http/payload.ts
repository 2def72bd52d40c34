import { isUtf8 } from "node:buffer"

/** A payload, or the beginning of one, in JSON. */
export interface ShownPayload {
  /** How long it is, all of it. */
  payloadBytes: number
  /** As text, where it is UTF-8; else in base64. */
  payload?: string | undefined
  payloadBase64?: string | undefined
  /** There is more of it. */
  isTruncated?: true | undefined
}

/** `payloadBytes`: of the whole payload, of which `bytes` is the beginning. */
export function showPayload(bytes: Uint8Array, payloadBytes = bytes.length): ShownPayload {
  const isTruncated = payloadBytes > bytes.length
  const whole = isTruncated ? withoutPart(bytes) : bytes
  const buffer = Buffer.from(whole.buffer, whole.byteOffset, whole.length)
  return {
    payloadBytes,
    ...(isUtf8(buffer) ? { payload: buffer.toString() } : { payloadBase64: buffer.toString("base64") }),
    ...(isTruncated && { isTruncated }),
  }
}

/** Without the bytes of a character that has been cut in two. */
function withoutPart(bytes: Uint8Array): Uint8Array {
  const longest = Math.min(4, bytes.length)
  for (let back = 1; back <= longest; back++) {
    const byte = bytes[bytes.length - back]!
    if ((byte & 0b1100_0000) === 0b1000_0000) continue // inside a character
    const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
    return needed > back ? bytes.subarray(0, bytes.length - back) : bytes
  }
  return bytes
}

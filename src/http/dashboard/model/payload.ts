/** Payloads, as the API sends them, for people: what kind they are, in a line, in hexadecimal, and as numbers. */
import { type JsonReading, readJson } from "./json.ts"

/** A payload as the API has it: text where it is UTF-8, otherwise base64. */
export interface Payload {
  /** Its length, also of what is not there. */
  readonly payloadBytes: number
  readonly payload?: string | undefined
  readonly payloadBase64?: string | undefined
  /** Only the beginning is there. */
  readonly isTruncated?: boolean | undefined
}

/** How a payload is read best. */
export type PayloadKind = "empty" | "json" | "text" | "binary"

/** Of more than that nobody reads all; it would hold up the page. */
export const MOST_SHOWN_CHARACTERS = 100_000
export const MOST_SHOWN_BYTES = 16_384

const amount = /^\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?:(?:\s+|(?=[%°]))[%°\p{L}][%°\p{L}/²³]{0,9})?\s*$/u
const NO_NUMBERS: ReadonlyMap<string, number> = new Map()

/** The payload as JSON, if it is an object or an array, or the beginning of one. */
export function jsonOf({ payload, isTruncated }: Payload): JsonReading | undefined {
  if (payload === undefined || payload.length > MOST_SHOWN_CHARACTERS || !/^\s*[{[]/.test(payload)) return undefined
  return readJson(payload, isTruncated)
}

export function kindOf(payload: Payload): PayloadKind {
  if (payload.payloadBytes === 0) return "empty"
  if (payload.payload === undefined) return "binary"
  if (jsonOf(payload) !== undefined) return "json"
  return isReadable(payload.payload) ? "text" : "binary"
}

/** The numbers in it by their path; that of a payload that is one, such as `21.5` or `21.5 °C`, is `""`. */
export function numbersOf(payload: Payload): ReadonlyMap<string, number> {
  if (payload.payload === undefined) return NO_NUMBERS
  const [, number] = (payload.payload.length < 64 && !payload.isTruncated && amount.exec(payload.payload)) || []
  if (number !== undefined) return new Map([["", Number(number)]])
  return jsonOf(payload)?.numbers ?? NO_NUMBERS
}

export function bytesOf({ payload, payloadBase64 }: Payload): Uint8Array {
  if (payloadBase64 === undefined) return new TextEncoder().encode(payload ?? "")
  return Uint8Array.from(atob(payloadBase64), (character) => character.charCodeAt(0))
}

/** In one line of so many characters at most; what is not text in hexadecimal. */
export function previewOf(payload: Payload, mostCharacters = 100): string {
  if (payload.payloadBytes === 0) return ""
  const isBinary = payload.payload === undefined
  const text = isBinary
    ? Array.from(bytesOf(payload).subarray(0, mostCharacters), twoDigits).join(" ")
    : visible(payload.payload.replaceAll(/\s+/g, " ").slice(0, 2 * mostCharacters))
  if (text.length <= mostCharacters && !payload.isTruncated) return text
  return `${text
    .slice(0, mostCharacters - 1)
    .replace(/[\ud800-\udbff]$/, "")
    .trimEnd()}…`
}

/** A line of a hexadecimal dump. */
export interface HexLine {
  readonly offset: string
  readonly hex: string
  /** What of it is ASCII, and dots. */
  readonly characters: string
}

/** The first 16 KiB. */
export function hexLines(bytes: Uint8Array, perLine = 16): HexLine[] {
  const shown = bytes.subarray(0, MOST_SHOWN_BYTES)
  return Array.from({ length: Math.ceil(shown.length / perLine) }, (_, line) => {
    const part = shown.subarray(line * perLine, (line + 1) * perLine)
    return {
      offset: (line * perLine).toString(16).padStart(4, "0"),
      hex: Array.from(part, twoDigits).join(" "),
      characters: Array.from(part, (byte) => (byte > 0x1f && byte < 0x7f ? String.fromCharCode(byte) : ".")).join(""),
    }
  })
}

/**
 * Text in which nothing moves the cursor, turns the text around or is not to be seen: strangers choose topics and payloads. Lines and tabs
 * stay where `isMultiline`.
 */
export function visible(text: string, isMultiline = false): string {
  const lines = isMultiline ? text.replaceAll("\r\n", "\n") : text
  return lines.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) => {
    if (isMultiline && (character === "\n" || character === "\t")) return character
    const code = character.codePointAt(0)!.toString(16)
    return code.length > 2 ? `\\u{${code}}` : `\\x${code.padStart(2, "0")}`
  })
}

/** Not UTF-8 by chance, with characters that no text has. */
function isReadable(text: string): boolean {
  const start = text.slice(0, 1000)
  const strange = start.match(/(?![\t\n\r])\p{Cc}/gu)?.length ?? 0
  return strange * 10 <= start.length
}

function twoDigits(byte: number): string {
  return byte.toString(16).padStart(2, "0")
}

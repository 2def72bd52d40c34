/**
 * The format strings of `mosquitto_sub -F`: `%` for what a message holds, `@` for the time, `\` for characters that are hard to
 * type. Read once, to a list of functions that give a message's parts.
 *
 * Parts are strings of bytes, one character (0 to 255) each: payloads need not be text, and widths count bytes.
 */
import { printable } from "../printable.ts"
import { type Message, toMosquittoJson } from "./message.ts"
import { misuse } from "./options.ts"
import { strftime } from "./strftime.ts"

/** A message's part, as a string of bytes. */
export type Part = (message: Message) => string

export interface FormatOptions {
  /** What may be shown of bytes that others have written: all of them, or for a terminal what does it no harm. */
  readonly shown: (bytes: Buffer) => string
  /** JSON over several lines. */
  readonly isPretty: boolean
  /** Gets a line about a payload that is not what the format takes it for. */
  readonly warn: (line: string) => void
}

/** How a part is set. */
interface Field {
  readonly isLeft: boolean
  /** Before numbers and payloads; everything else is set with blanks. */
  readonly pad: " " | "0"
  readonly width: number
  /** The most bytes of a text; undefined: all. */
  readonly most: number | undefined
}

type Make = (field: Field, options: FormatOptions) => Part

const DIRECTIVE = /^%(-?)(0?)(\d*)(?:\.(\d*))?([^\d.])/s

const escapes: Record<string, string> = {
  "\\": "\\",
  "0": "\0",
  a: "\x07",
  e: "\x1b",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
}

const directives: Record<string, Make> = {
  "%": () => () => "%",
  A: (field) => number(field, ({ properties }) => properties?.topicAlias),
  C: (field, options) => text(field, options, ({ properties }) => properties?.contentType ?? ""),
  D:
    (_, { shown }) =>
    ({ properties }) =>
      shown(properties?.correlationData ?? Buffer.alloc(0)),
  E: (field) => number(field, ({ properties }) => properties?.messageExpiryInterval),
  F: (field) =>
    number(field, ({ properties }) => properties?.payloadFormatIndicator && Number(properties.payloadFormatIndicator)),
  I: (field, options) =>
    text(field, options, ({ came }) => `${strftime("F", came)}T${strftime("T", came)}${strftime("z", came)}`),
  j: (_, options) => (message) => json(message, toMosquittoJson(message, "text"), options),
  J: (_, options) => (message) => json(message, toMosquittoJson(message, "json"), options),
  l: (field) => number(field, ({ payload }) => payload.length),
  m: (field) => number(field, ({ messageId }) => messageId),
  p:
    (field, { shown }) =>
    ({ payload }) => {
      const bytes = shown(field.width > 0 ? payload.subarray(0, field.width) : payload)
      return field.isLeft ? bytes.padEnd(field.width) : bytes.padStart(field.width, field.pad)
    },
  P:
    (_, { shown }) =>
    ({ properties }) =>
      shown(Buffer.from(userProperties(properties?.userProperties))),
  q:
    () =>
    ({ qos }) =>
      String(qos),
  r:
    () =>
    ({ retain }) =>
      retain ? "1" : "0",
  R: (field, options) => {
    const set = text(field, options, ({ properties }) => properties?.responseTopic ?? "")
    return (message) => (message.properties?.responseTopic === undefined ? "" : set(message))
  },
  S: (field) => number(field, ({ properties }) => [properties?.subscriptionIdentifier].flat()[0]),
  t: (field, options) => text(field, options, ({ topic }) => topic),
  U:
    () =>
    ({ came }) =>
      `${strftime("s", came)}.${nanoseconds(came)}`,
  x: (field) => hex(field, (digits) => digits),
  X: (field) => hex(field, (digits) => digits.toUpperCase()),
}

/** Reads a format string. Throws `INVALID_OPTION` for one that mosquitto_sub would not take either. */
export function parseFormat(format: string, options: FormatOptions): Part {
  const parts: Part[] = []
  let rest = format
  while (rest !== "") {
    const [length, part] = parsePart(rest, options)
    parts.push(part)
    rest = rest.slice(length)
  }
  return (message) => parts.map((part) => part(message)).join("")
}

/** The part in front, and how many characters of the format it takes. */
function parsePart(rest: string, options: FormatOptions): [length: number, part: Part] {
  if (rest[0] === "%") return parseDirective(rest, options)
  const [next = ""] = rest.slice(1)
  if (rest[0] === "@") {
    if (next === "") throw misuse("-F: after the last @ a character is missing: @@ is an @")
    if (next === "@") return [2, () => "@"]
    return [1 + next.length, ({ came }) => (next === "N" ? nanoseconds(came) : strftime(next, came))]
  }
  if (rest[0] === "\\") {
    const character = Object.hasOwn(escapes, next) ? escapes[next]! : undefined
    if (character === undefined)
      throw misuse(`-F: \\${next} is unknown: it takes ${Object.keys(escapes).join(" ")} behind \\`)
    return [2, () => character]
  }
  const literal = /^[^%@\\]+/.exec(rest)![0]
  const bytes = Buffer.from(literal).toString("latin1")
  return [literal.length, () => bytes]
}

function parseDirective(rest: string, options: FormatOptions): [length: number, part: Part] {
  const match = DIRECTIVE.exec(rest)
  if (match === null) throw misuse("-F: the last % has no letter behind it: %% is a %")
  const [all, left, zero, width, most, letter] = match
  const make = Object.hasOwn(directives, letter!) ? directives[letter!] : undefined
  if (make === undefined) throw misuse(`-F: ${all} is unknown: it takes ${Object.keys(directives).join(" ")} behind %`)
  const field: Field = {
    isLeft: left === "-",
    pad: zero === "0" ? "0" : " ",
    width: Number(width),
    most: most === undefined ? undefined : Number(most),
  }
  return [all.length, make(field, options)]
}

function number({ isLeft, pad, width }: Field, read: (message: Message) => number | false | undefined): Part {
  return (message) => {
    const value = read(message)
    if (value === undefined) return pad.repeat(width)
    return isLeft ? String(Number(value)).padEnd(width) : String(Number(value)).padStart(width, pad)
  }
}

function text({ isLeft, width, most }: Field, { shown }: FormatOptions, textOf: (message: Message) => string): Part {
  return (message) => {
    const bytes = shown(Buffer.from(textOf(message)).subarray(0, most))
    return isLeft ? bytes.padEnd(width) : bytes.padStart(width)
  }
}

/** Of a payload at most as many bytes as the field is wide. */
function hex({ isLeft, pad, width }: Field, cased: (digits: string) => string): Part {
  return ({ payload }) => {
    const digits = cased((width > 0 ? payload.subarray(0, width) : payload).toString("hex"))
    return isLeft ? digits.padEnd(width) : digits.padStart(width, pad)
  }
}

function json({ topic }: Message, object: object | undefined, { shown, isPretty, warn }: FormatOptions): string {
  if (object !== undefined) return shown(Buffer.from(JSON.stringify(object, undefined, isPretty ? 2 : 0)))
  warn(`the payload of ${printable(topic)} is not JSON`)
  return ""
}

/** `name:value other:value` */
function userProperties(properties: Record<string, string | string[]> = {}): string {
  return Object.entries(properties)
    .flatMap(([name, values]) => [values].flat().map((value) => `${name}:${value}`))
    .join(" ")
}

function nanoseconds(date: Date): string {
  return String(date.getMilliseconds() * 1_000_000).padStart(9, "0")
}

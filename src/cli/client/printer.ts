/** How `manju sub` prints a message. */

import { printable } from "../printable.ts"
import { parseFormat } from "./format.ts"
import { type Message, toJson } from "./message.ts"

export interface PrintFlags {
  format?: string
  json?: true
  pretty?: true
  verbose?: true
  eol: boolean
}

export interface Screen {
  /** Whether somebody looks at it: what others have written must do it no harm then. */
  readonly isTerminal: boolean
  /** Makes a topic stand out, where there are colours. */
  readonly paint: (topic: string) => string
  /** Gets a line about what cannot be printed as it was asked for. */
  readonly warn: (line: string) => void
}

/** The bytes for a message: none where nothing is printed of it. Throws `INVALID_OPTION` for a format that is none. */
export function printer(flags: PrintFlags, { isTerminal, paint, warn }: Screen): (message: Message) => Buffer {
  const { format, json, pretty: isPretty = false, verbose, eol } = flags
  const end = eol ? "\n" : ""
  const shown = (bytes: Buffer) => (isTerminal ? Buffer.from(printable(bytes.toString())) : bytes).toString("latin1")
  if (format !== undefined) {
    const part = parseFormat(format, { shown, isPretty, warn })
    return (message) => Buffer.from(part(message) + end, "latin1")
  }
  if (json) {
    return (message) => Buffer.from(JSON.stringify(toJson(message), undefined, isPretty ? 2 : 0) + end)
  }
  const payloadOf = ({ payload }: Message) => (isTerminal ? Buffer.from(printable(payload.toString())) : payload)
  const endBytes = Buffer.from(end)
  if (verbose) {
    return (message) => {
      const topic = paint(isTerminal ? printable(message.topic) : message.topic)
      if (message.payload.length > 0) return Buffer.concat([Buffer.from(`${topic} `), payloadOf(message), endBytes])
      return Buffer.from(eol ? `${topic} (null)\n` : "") // as mosquitto_sub has it
    }
  }
  return (message) =>
    message.payload.length > 0 ? Buffer.concat([payloadOf(message), endBytes]) : endBytes.subarray(0, 0)
}

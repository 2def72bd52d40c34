/**
 * Standard output and standard error: whether a person reads along, and colours if so.
 *
 * A broker mostly runs where nobody does. To make `process.stdout` or `process.stderr`, and to load picocolors, which looks at the first, takes
 * it 20 ms and 7 MB; what is no device at all is asked of the operating system alone.
 */
import { fstatSync } from "node:fs"
import type pc from "picocolors"

export type Style = "dim" | "gray" | "red" | "yellow" | "green" | "bold"
export type Stream = "stdout" | "stderr"

const descriptors = { stdout: 1, stderr: 2 } as const
const terminals: Partial<Record<Stream, boolean>> = {}
const palettes: Partial<Record<Stream, ReturnType<typeof pc.createColors>>> = {}

/** Whether that stream is a terminal. */
export function isTerminal(stream: Stream): boolean {
  terminals[stream] ??= isDevice(descriptors[stream]) && process[stream].isTTY === true
  return terminals[stream]
}

/** The text in that style where the stream is a terminal; plain where it is not, or where NO_COLOR says so. */
export function styledFor(stream: Stream, style: Style | undefined, text: string): string {
  if (style === undefined || !isColourful(stream)) return text
  palettes[stream] ??= (require("picocolors") as typeof pc).createColors(true)
  return palettes[stream][style](text)
}

function isColourful(stream: Stream): boolean {
  return isTerminal(stream) ? !process.env.NO_COLOR && process.env.TERM !== "dumb" : !!process.env.FORCE_COLOR
}

function isDevice(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isCharacterDevice()
  } catch {
    return false // it is closed
  }
}

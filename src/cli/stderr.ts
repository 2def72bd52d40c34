/** Standard error: lines for people. */
import pc from "picocolors"

export type Style = "dim" | "gray" | "red" | "yellow"

/** picocolors looks at standard output; whoever sends this one to a file wants no colours in it, and the other way round. */
const isColourful = process.stderr.isTTY
  ? !process.env.NO_COLOR && process.env.TERM !== "dumb"
  : !!process.env.FORCE_COLOR
const colors = pc.createColors(isColourful)

/** A line. When this returns it is written, however slow its reader is, and the process may end. */
export function complain(line: string): void {
  // console.error would paint all of it red; process.stderr keeps in memory what nobody reads, and loses it at the end.
  console.warn(line)
}

/** The text in that style where standard error is a terminal; plain where it is not, or where NO_COLOR says so. */
export function styled(style: Style | undefined, text: string): string {
  return style === undefined ? text : colors[style](text)
}

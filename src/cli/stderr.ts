/** Standard error: lines for people. */
import { type Style, styledFor } from "./terminal.ts"

export type { Style } from "./terminal.ts"

/** A line. When this returns it is written, however slow its reader is, and the process may end. */
export function complain(line: string): void {
  // console.error would paint all of it red; process.stderr keeps in memory what nobody reads, and loses it at the end.
  console.warn(line)
}

/** The text in that style where standard error is a terminal; plain where it is not, or where NO_COLOR says so. */
export function styled(style: Style | undefined, text: string): string {
  return styledFor("stderr", style, text)
}

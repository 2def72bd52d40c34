/** A terminal as a screen of its own, with keys; as it was before when that is over, however it ends. */
import { writeSync } from "node:fs"
import { keysIn } from "./view.ts"

const STDOUT = 1
/** A page of its own without a cursor, on which lines are not broken; and back. */
const ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"
const LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
/** What is between them is shown at once, where the terminal knows them. */
const [BEGIN, END] = ["\x1b[?2026h", "\x1b[?2026l"]
const [HOME, CLEAR_LINE, CLEAR_BELOW] = ["\x1b[H", "\x1b[K", "\x1b[J"]

export class Screen implements Disposable {
  private readonly onData: (bytes: Buffer) => void
  private readonly onResize: () => void
  private readonly onGone: () => void
  private isLeft = false

  /** `onKey` is told of keys, `onResize` when there is more room, or less, `onGone` when the terminal is not there any more. */
  constructor(onKey: (key: string) => void, onResize: () => void, onGone: () => void) {
    const decoder = new TextDecoder()
    this.onData = (bytes) => {
      for (const key of keysIn(decoder.decode(bytes, { stream: true }))) onKey(key)
    }
    this.onResize = onResize
    this.onGone = onGone
    process.once("exit", this.leave) // also where something throws that nobody has foreseen
    process.stdout.on("resize", onResize).on("error", onGone)
    if (process.stdin.isTTY) {
      process.stdin.setRawMode(true)
      process.stdin.on("data", this.onData).on("end", onGone).on("error", onGone)
    }
    process.stdout.write(ENTER)
  }

  get room(): { width: number; height: number } {
    const { columns = 80, rows = 24 } = process.stdout
    return { width: columns, height: rows }
  }

  /** Shows lines, from the top. */
  draw(lines: readonly string[]): void {
    // Cleared first: behind a line that is as wide as the screen that would take its last character.
    process.stdout.write(`${BEGIN}${HOME}${lines.map((line) => CLEAR_LINE + line).join("\r\n")}${CLEAR_BELOW}${END}`)
  }

  [Symbol.dispose](): void {
    process.off("exit", this.leave)
    process.stdout.off("resize", this.onResize) // errors are still nobody's surprise
    this.leave()
  }

  private readonly leave = (): void => {
    if (this.isLeft) return
    this.isLeft = true
    if (process.stdin.isTTY) {
      process.stdin.off("data", this.onData).off("end", this.onGone)
      process.stdin.setRawMode(false)
      process.stdin.pause()
    }
    try {
      writeSync(STDOUT, LEAVE) // which is written when this returns
    } catch {
      // the terminal is gone, and needs no looking after
    }
  }
}

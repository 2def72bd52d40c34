/**
 * How long a broker's garbage collector stopped it, as far as the broker says so: a process on Bun does in its error output, where
 * JavaScriptCore's option `logGC` is on. A collection there is several stops, and in between the program runs beside the collector; a line
 * tells of each stop, or of the last of several, how long it took: `p=1.204478ms`.
 */

/** What a broker's environment needs to have it log its collections. */
export const loggingCollections = { BUN_JSC_logGC: "1" }

/** Stops of the whole program. */
export type Pauses = { count: number; longestMilliseconds: number; totalMilliseconds: number }

export class PauseLog {
  #line = ""
  readonly #seen: Pauses = { count: 0, longestMilliseconds: 0, totalMilliseconds: 0 }

  /** Takes a piece of the output; a line may come in several. */
  read(piece: string): void {
    const lines = (this.#line + piece).split("\n")
    this.#line = lines.pop()!
    for (const line of lines) for (const [, taken] of line.matchAll(/\bp=([\d.]+)ms/g)) this.#note(Number(taken))
  }

  /** Undefined: it has told of none. */
  get pauses(): Pauses | undefined {
    return this.#seen.count > 0 ? { ...this.#seen } : undefined
  }

  #note(milliseconds: number): void {
    this.#seen.count++
    this.#seen.longestMilliseconds = Math.max(this.#seen.longestMilliseconds, milliseconds)
    this.#seen.totalMilliseconds += milliseconds
  }
}

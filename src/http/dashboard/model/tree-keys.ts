/** The keyboard of a tree, as the ARIA practices have it: which row the keys lead to, and which they open and close. */
import type { TopicRow } from "./topic-tree.ts"

/** What a key does: another row becomes the active one, or the active one is opened or closed. */
export type TreeMove = { readonly to: number } | { readonly isOpen: boolean }

/** Rows that a page key leaves behind. */
const PAGE = 15

/** Undefined: nothing, and the browser does what it does with that key. `active`: an index of `rows`. */
export function moveBy(key: string, rows: readonly TopicRow[], active: number): TreeMove | undefined {
  const last = rows.length - 1
  const row = rows[active]
  if (row === undefined) return undefined
  switch (key) {
    case "ArrowDown":
      return { to: Math.min(active + 1, last) }
    case "ArrowUp":
      return { to: Math.max(active - 1, 0) }
    case "PageDown":
      return { to: Math.min(active + PAGE, last) }
    case "PageUp":
      return { to: Math.max(active - PAGE, 0) }
    case "Home":
      return { to: 0 }
    case "End":
      return { to: last }
    case "ArrowRight":
      if (row.isOpen === false) return { isOpen: true }
      return row.isOpen ? { to: active + 1 } : undefined
    case "ArrowLeft": {
      if (row.isOpen) return { isOpen: false }
      const parent = rows.findLastIndex(({ node }, index) => index < active && node === row.node.parent)
      return parent === -1 ? undefined : { to: parent }
    }
    default:
      return undefined
  }
}

/** Letters that are typed soon after each other are the beginning of a name. */
const SOON_MS = 700

/** Finds rows by the beginning of their names. */
export class TypeAhead {
  private typed = ""
  private at = Number.NEGATIVE_INFINITY

  /** Another key has been pressed: what is typed next is the beginning of a name again. */
  forget(): void {
    this.at = Number.NEGATIVE_INFINITY
  }

  /** Where the letter leads to from the active row; -1: nowhere. `now`: in milliseconds. */
  type(letter: string, rows: readonly TopicRow[], active: number, now: number): number {
    const goesOn = now - this.at < SOON_MS
    this.typed = goesOn ? this.typed + letter.toLowerCase() : letter.toLowerCase()
    this.at = now
    const isSame = [...this.typed].every((one) => one === this.typed[0]) // the same letter again and again: the next one
    const text = isSame ? this.typed[0]! : this.typed
    const from = isSame ? active + 1 : active
    const found = [...rows.keys()].find((step) => begins(rows[(from + step) % rows.length]!, text))
    return found === undefined ? -1 : (from + found) % rows.length
  }
}

function begins({ node }: TopicRow, text: string): boolean {
  return node.name.toLowerCase().startsWith(text)
}

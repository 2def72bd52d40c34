/** Tables of text, for a terminal or as Markdown, and how numbers are written in them. */
import pc from "picocolors"

/** As cells of text; the first two columns are words, the others numbers. */
export type Table = { head: string[]; rows: string[][] }

/** 1,234,567 */
export const grouped = (value: number) => Math.round(value).toLocaleString("en-US")
/** Three digits, or as many as there are before the point. */
export const significant = (value: number) => (value >= 100 ? grouped(value) : value.toPrecision(3))
/** Bytes as MiB with one decimal. */
export const mebibytes = (bytes: number) => (bytes / 1024 / 1024).toFixed(1)

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** `value` is one figure divided by another: green where that is `better`. */
export function ratio(value: number, better: "more" | "less"): string {
  const decimals = value >= 10 ? 0 : value >= 0.01 || value === 0 ? 2 : 1 - Math.ceil(Math.log10(value)) // one that tells
  const label = `${value.toFixed(decimals)}x`
  if (value === 1) return label
  return value > 1 === (better === "more") ? pc.green(label) : pc.red(label)
}

const plain = (cell: string) => Bun.stripANSI(cell)

function terminal({ head, rows }: Table): string {
  const widths = head.map((title, index) => Math.max(title.length, ...rows.map((row) => Bun.stringWidth(row[index]!))))
  const pad = (cell: string, index: number) => {
    const blanks = " ".repeat(widths[index]! - Bun.stringWidth(cell))
    return index < 2 ? cell + blanks : blanks + cell
  }
  const line = (cells: string[]) => cells.map(pad).join("  ").trimEnd()
  return [pc.dim(line(head)), ...rows.map(line)].join("\n")
}

function markdown({ head, rows }: Table): string {
  const line = (cells: string[]) => `| ${cells.map(plain).join(" | ")} |`
  return [line(head), line(head.map((_, index) => (index < 2 ? "---" : "---:"))), ...rows.map(line)].join("\n")
}

export function rendered(table: Table, options: { markdown: boolean }): string {
  return options.markdown ? markdown(table) : terminal(table)
}

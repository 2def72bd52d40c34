/** What is wrong with a configuration: all of it at once, a line each, which begins with where the mistake has been made. */
import type { ConfigFile } from "./file.ts"
import type { Source } from "./tree.ts"

/** `text` says all of it but the place in the file. */
export interface Problem {
  readonly source: Source
  readonly text: string
}

/** The lines of problems: those of the file in its order, then the others; each once. */
export async function linesOf(problems: readonly Problem[], file: ConfigFile | undefined): Promise<string[]> {
  const placed: { line: number; text: string }[] = []
  for (const { source, text } of problems) {
    const line = source.kind === "file" ? await file!.lineOf(source.path) : undefined
    placed.push({ line: line ?? Number.MAX_VALUE, text: `${placeOf(source, file, line)}${text}` })
  }
  return [...new Set(placed.sort((one, other) => one.line - other.line).map(({ text }) => text))]
}

/** `manju.toml:12: `; nothing where a name says it already. */
function placeOf(source: Source, file: ConfigFile | undefined, line: number | undefined): string {
  if (source.kind !== "file" || file === undefined) return ""
  return line === undefined ? `${file.path}: ` : `${file.path}:${line}: `
}

const LONGEST_SHOWN = 60

/** A value as a line may show it. */
export function shown(value: unknown): string {
  if (isTable(value)) return "a table"
  const text = typeof value === "string" || Array.isArray(value) ? JSON.stringify(value) : String(value)
  if (text.includes("PRIVATE KEY")) return "that"
  return text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN)}…` : text
}

/** Whether it has keys and values, and is no list and no date. */
export function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && [Object.prototype, null].includes(Object.getPrototypeOf(value))
}

/** The last lines of the log, in blocks as they came: a block never changes, so that of thousands of lines only new ones are drawn. */

export type LineLevel = "debug" | "info" | "warn" | "error"

/** A line, as the live stream has it. */
export interface LogLine {
  readonly time: number
  readonly level: LineLevel
  readonly message: string
  /** Fields: whom and what it is about. */
  readonly details?: unknown
}

/** Lines that came together. */
export interface LogBlock {
  readonly id: number
  readonly lines: readonly LogLine[]
  /** Lines before these that there was no room for. */
  readonly omitted: number
}

/** Which lines are to be seen. */
export interface LogQuery {
  /** Part of the message or a field, in small or large letters. */
  readonly text: string
  /** Undefined: all. */
  readonly area: string | undefined
  readonly level: LineLevel
}

const levels: readonly LineLevel[] = ["debug", "info", "warn", "error"]
const MOST_LINES = 3000

export class LogTail {
  private kept: readonly LogBlock[] = []
  private ids = 0
  private count = 0
  private readonly mostLines: number

  constructor(mostLines = MOST_LINES) {
    this.mostLines = mostLines
  }

  /** The oldest first. What has been given stays as it is. */
  get blocks(): readonly LogBlock[] {
    return this.kept
  }

  /** How many lines there are. */
  get size(): number {
    return this.count
  }

  add(lines: readonly LogLine[], omitted: number): void {
    if (lines.length === 0 && omitted === 0) return
    const kept = [...this.kept, { id: ++this.ids, lines: lines.slice(-this.mostLines), omitted }]
    this.count += kept.at(-1)!.lines.length
    let first = 0
    while (this.count > this.mostLines) this.count -= kept[first++]!.lines.length // whole blocks: what is drawn stays
    this.kept = kept.slice(first)
  }

  clear(): void {
    this.kept = []
    this.count = 0
  }
}

export function isShown(line: LogLine, { text, area, level }: LogQuery): boolean {
  if (levels.indexOf(line.level) < levels.indexOf(level)) return false
  if (area !== undefined && areaOf(line) !== area) return false
  if (text === "") return true
  const wanted = text.toLowerCase()
  return (
    line.message.toLowerCase().includes(wanted) ||
    fieldsOf(line).some(([, field]) => field.toLowerCase().includes(wanted))
  )
}

export function areaOf(line: LogLine): string | undefined {
  return fieldsOf(line).find(([name]) => name === "area")?.[1]
}

/** The fields of a line as text, none for what is no object. */
export function fieldsOf({ details }: LogLine): [name: string, value: string][] {
  if (typeof details !== "object" || details === null) return []
  const given = Object.entries(details).filter(([, value]) => value !== undefined && value !== null)
  return given.map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)])
}

/** The message in front of where it names the client, and behind; undefined: it does not. */
export function aroundName(message: string, clientId: string): [before: string, after: string] | undefined {
  if (clientId === "") return undefined
  const isEdge = (character: string | undefined) => character === undefined || /[\s,;:()"]/.test(character)
  for (let at = message.indexOf(clientId); at !== -1; at = message.indexOf(clientId, at + 1)) {
    const end = at + clientId.length
    if (isEdge(message[at - 1]) && isEdge(message[end])) return [message.slice(0, at), message.slice(end)]
  }
  return undefined
}

/**
 * Values of one source as a tree, as far as they have the shape of the configuration: what is no key, and what is no table or list where
 * one should be, is said and left out. Whether the values themselves will do is looked at when all sources are together.
 */
import { entriesOf, itemOf, own, type Path, type Schema, takesOf, traitsOf } from "./keys.ts"
import { noSuchKey } from "./nearest.ts"
import { isTable, type Problem, shown } from "./problems.ts"
import { leaf, type Node, nameOf, type Source, type Table } from "./tree.ts"

export class Reader {
  private readonly sourceAt: (path: Path) => Source
  private readonly problems: Problem[]

  /** `problems` grow. */
  constructor(problems: Problem[], sourceAt: (path: Path) => Source) {
    this.problems = problems
    this.sourceAt = sourceAt
  }

  read(schema: Schema, value: unknown, path: Path): Node | undefined {
    const item = itemOf(schema)
    if (item !== undefined) return this.readList(schema, item, value, path)
    if (entriesOf(schema) !== undefined) return this.readTable(schema, value, path)
    return leaf(value, this.sourceAt(path))
  }

  readTable(schema: Schema, value: unknown, path: Path): Table | undefined {
    if (!isTable(value)) {
      this.refuse(schema, value, path)
      return undefined
    }
    const entries = new Map<string, Node>()
    for (const [name, inner] of Object.entries(value)) {
      const at = [...path, name]
      const entry = own(entriesOf(schema), name)
      const node = entry && this.read(entry, inner, at)
      if (node !== undefined) entries.set(name, node)
      if (entry === undefined) this.report(at, `: ${noSuchKey(at)}`)
    }
    return { kind: "table", entries, source: this.sourceAt(path) }
  }

  private readList(schema: Schema, item: Schema, value: unknown, path: Path): Node | undefined {
    if (!Array.isArray(value)) {
      this.refuse(schema, value, path)
      return undefined
    }
    const items = value.map((each, at) => this.readTable(item, each, [...path, at]))
    return { kind: "list", items: items.filter((each) => each !== undefined), source: this.sourceAt(path) }
  }

  private refuse(schema: Schema, value: unknown, path: Path): void {
    this.report(path, ` ${takesInstead(schema, value)}`)
  }

  private report(path: Path, text: string): void {
    const source = this.sourceAt(path)
    this.problems.push({ source, text: nameOf(path, source) + text })
  }
}

/** What a key takes, and that it was something else: unless a secret may be in that. */
export function takesInstead(schema: Schema, value: unknown): string {
  const takes = `takes ${takesOf(schema)}`
  if (traitsOf(schema).isSecret) return takes
  const isOfTables = entriesOf(schema) !== undefined || itemOf(schema) !== undefined
  if (isOfTables && typeof value === "string") return `${takes}, not text`
  return `${takes}, not ${isOfTables && Array.isArray(value) ? "a list" : shown(value)}`
}

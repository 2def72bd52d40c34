import type { Database, Statement } from "bun:sqlite"

/** What SQLite takes as it is; `true` is 1. */
type Value = string | number | boolean | Uint8Array | null

/**
 * A statement that Drizzle has written and SQLite runs: for those that run for every message. Drizzle's own way from named
 * values to SQLite and back costs 2 us a call, more than the statement itself; and the objects that it makes of rows 3 us
 * each, where a list costs 0.7.
 */
export class Direct<Values extends Record<string, Value>, Row extends unknown[] = never> {
  private readonly statement: Statement<unknown, Value[]>
  private readonly names: readonly (keyof Values)[]

  constructor(sqlite: Database, prepared: { getQuery(): { sql: string; params: unknown[] } }) {
    const { sql, params } = prepared.getQuery()
    this.statement = sqlite.prepare<unknown, Value[]>(sql)
    this.names = params.map(nameOf)
  }

  run(values: Values): void {
    this.statement.run(...this.bind(values))
  }

  /** The rows as lists of what was selected. */
  rows(values: Values): Row[] {
    return this.statement.values(...this.bind(values)) as Row[]
  }

  private bind(values: Values): Value[] {
    const { names } = this
    const bound: Value[] = new Array(names.length)
    for (let i = 0; i < names.length; i++) bound[i] = values[names[i]!]!
    return bound
  }
}

/** A placeholder stands alone, or as the value of a column's parameter. */
function nameOf(param: unknown): string {
  const { name, value } = param as { name?: string; value?: { name?: string } }
  const found = name ?? value?.name
  if (found === undefined) throw new Error("a statement has a value that is no placeholder")
  return found
}

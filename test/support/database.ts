/**
 * Database files for tests, made with SQL and closed for good: nothing in this process still has them open, so that
 * whatever changes them afterwards is what the test is about.
 */
import { Database } from "bun:sqlite"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

export const fixtures = join(import.meta.dir, "../store/sqlite/versions")

/** Runs SQL on a file, made where there is none. */
export function runSql(path: string, ...statements: string[]): void {
  const sqlite = new Database(path)
  for (const statement of statements) sqlite.run(statement)
  sqlite.close(true)
}

/** Makes the database that a manju with that version of it left, all in one file. */
export function makeDatabase(path: string, version: number, ...statements: string[]): void {
  runSql(path, readFileSync(join(fixtures, `${version}.sql`), "utf8"), "PRAGMA journal_mode = WAL", ...statements)
}

/** A folder's files, byte for byte, without what SQLite makes anew whenever somebody looks: an empty log, and a log's index. */
export function filesIn(folder: string): Record<string, string> {
  const files = readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), "hex")] as const)
  const isData = ([name, content]: readonly [string, string]) =>
    !name.endsWith("-shm") && !(name.endsWith("-wal") && content === "")
  return Object.fromEntries(files.filter(isData))
}

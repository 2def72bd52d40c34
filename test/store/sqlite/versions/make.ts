/**
 * Writes the database of the present version into this folder, as the SQL that makes it: to be done once, when a migration
 * is new, and kept for ever.
 *
 *     bunx drizzle-kit generate --config scripts/drizzle.config.ts     the migration; enter it in migrations.ts
 *     (add what the new version holds to contents.ts)
 *     bun test/store/sqlite/versions/make.ts                           N.sql
 */
import { Database } from "bun:sqlite"
import { existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { StoreDatabase } from "../../../../src/store/sqlite/database.ts"
import { migrations } from "../../../../src/store/sqlite/migrations.ts"
import { temporaryFolder } from "../../../support/broker-process.ts"
import { contents } from "./contents.ts"

const version = migrations.length
const target = join(import.meta.dir, `${version}.sql`)
if (existsSync(target)) throw new Error(`${target} is there already: it is what version ${version} wrote`)
const changes = contents[version - 1]
if (changes === undefined) throw new Error(`contents.ts does not say what a database of version ${version} holds`)

using folder = temporaryFolder()
const path = join(folder.path, "manju.db")
const database = new StoreDatabase(path, "power")
database.commit(changes)
database.close()
using sqlite = new Database(path, { readonly: true })
writeFileSync(target, `${[...statements(sqlite)].join("\n")}\n`)
console.log(`${target} written`)

/** Pragmas, tables, rows: everything that makes the same database again. */
function* statements(sqlite: Database): Generator<string> {
  yield `-- What a manju with version ${version} of the database wrote; made by make.ts, never changed.`
  for (const pragma of ["application_id", "user_version"]) {
    const [value] = sqlite.query(`PRAGMA ${pragma}`).values()[0]!
    yield `PRAGMA ${pragma} = ${value};`
  }
  const made = sqlite.query("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid").values() as [string][]
  for (const [sql] of made) yield `${sql};`
  const tables = sqlite.query("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").values() as [
    string,
  ][]
  for (const [table] of tables) {
    const columns = sqlite.query("SELECT name FROM pragma_table_info(?) ORDER BY cid").values(table) as [string][]
    const quoted = columns.map(([column]) => `quote("${column}")`).join(" || ', ' || ")
    const rows = sqlite.query(`SELECT ${quoted} FROM "${table}" ORDER BY 1`).values() as [string][]
    for (const [row] of rows) yield `INSERT INTO "${table}" VALUES (${row});`
  }
}

/**
 * The database as a file: made, opened again, brought up from every earlier version; and refused, untouched, where it is
 * none of ours, broken, or written by a newer manju.
 */
import { Database } from "bun:sqlite"
import { describe, expect, test } from "bun:test"
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { memory } from "../../../src/store/memory.ts"
import { StoreDatabase } from "../../../src/store/sqlite/database.ts"
import type { Durability } from "../../../src/store/sqlite/file.ts"
import journal from "../../../src/store/sqlite/migrations/meta/_journal.json" with { type: "json" }
import { migrations } from "../../../src/store/sqlite/migrations.ts"
import { temporaryFolder } from "../../support/broker-process.ts"
import { filesIn, fixtures, makeDatabase, runSql } from "../../support/database.ts"
import { contentsOf, messageIdsIn } from "../../support/stored.ts"
import { contents } from "./versions/contents.ts"

const PAGE_BYTES = 4096
const versions = migrations.map((_, index) => index + 1)

/** What a store in memory holds after what a database of that version was given. */
async function given(version: number) {
  const store = memory()
  await store.commit(contents[version - 1]!)
  return contentsOf(store)
}

/** Tables and indices, each with the statement that made it. */
function schemaOf(path: string): unknown[] {
  using sqlite = new Database(path, { readonly: true })
  return sqlite.query("SELECT name, sql FROM sqlite_schema ORDER BY name").values()
}

/** Tables with their columns, however they came to be. */
function columnsOf(path: string): unknown[] {
  using sqlite = new Database(path, { readonly: true })
  const columns = `SELECT t.name, c.name, c.type, c."notnull", c.pk FROM sqlite_schema t, pragma_table_info(t.name) c`
  return sqlite.query(`${columns} WHERE t.type = 'table' ORDER BY t.name, c.name`).values()
}

/** A database of ours with a good many pages. */
function fill(path: string, ...statements: string[]): Buffer {
  const numbers = "WITH RECURSIVE number(n) AS (SELECT 100 UNION SELECT n + 1 FROM number WHERE n < 600)"
  makeDatabase(
    path,
    1,
    `${numbers} INSERT INTO message SELECT n, 'topic ' || n, 1, 1, zeroblob(200), x'', NULL, NULL FROM number`,
    `${numbers} INSERT INTO retained SELECT 'topic ' || n, n FROM number`,
    ...statements,
  )
  return readFileSync(path)
}

/** Opens what cannot be opened: the message, which must name the file. */
function refusal(path: string): string {
  let message = ""
  try {
    new StoreDatabase(path, "power").close()
  } catch (error) {
    message = (error as Error).message
  }
  expect(message).toStartWith(`${path} `)
  return message.slice(path.length + 1)
}

describe("a database", () => {
  for (const durability of ["power", "process"] satisfies Durability[])
    test(`durability ${durability}: is made where there is none, and found again`, async () => {
      using folder = temporaryFolder()
      const path = join(folder.path, "ü \u{1f642}.db")
      const database = new StoreDatabase(path, durability)
      expect(await contentsOf(database)).toEqual(await contentsOf(memory()))
      database.commit(contents[0]!)
      database.close()
      const again = new StoreDatabase(path, durability)
      expect(await contentsOf(again)).toEqual(await given(1))
      again.close()
    })

  test("is made of an empty file", async () => {
    using folder = temporaryFolder()
    const path = join(folder.path, "manju.db")
    writeFileSync(path, "")
    const database = new StoreDatabase(path, "power")
    database.commit(contents[0]!)
    database.close()
    const again = new StoreDatabase(path, "power")
    expect(await contentsOf(again)).toEqual(await given(1))
    again.close()
  })

  test("says whose it is and of which version", () => {
    using folder = temporaryFolder()
    const path = join(folder.path, "manju.db")
    new StoreDatabase(path, "power").close()
    using sqlite = new Database(path, { readonly: true })
    const pragma = (name: string) => sqlite.query(`PRAGMA ${name}`).values()[0]![0]
    expect([pragma("application_id"), pragma("user_version")]).toEqual([0x6d616e6a, migrations.length])
    expect(pragma("journal_mode")).toBe("wal")
  })

  test("has NULL where a session has no will", () => {
    using folder = temporaryFolder()
    const path = join(folder.path, "manju.db")
    const database = new StoreDatabase(path, "power")
    database.commit(contents[0]!)
    database.close()
    using sqlite = new Database(path, { readonly: true })
    const without = sqlite.query("SELECT client_id FROM session WHERE will IS NULL ORDER BY client_id").values()
    expect(without.flat()).toEqual(["away", "connected"])
  })

  test("is all in one file when it is closed", async () => {
    using folder = temporaryFolder()
    const [path, copy] = [join(folder.path, "manju.db"), join(folder.path, "copy.db")]
    const database = new StoreDatabase(path, "power")
    database.commit(contents[0]!)
    database.close()
    copyFileSync(path, copy)
    const found = new StoreDatabase(copy, "power")
    expect(await contentsOf(found)).toEqual(await given(1))
    found.close()
  })

  test("is found again with what was only in its log when its broker was killed", async () => {
    using folder = temporaryFolder()
    using copy = temporaryFolder()
    const database = new StoreDatabase(join(folder.path, "manju.db"), "power")
    database.commit(contents[0]!)
    for (const name of ["manju.db", "manju.db-wal"]) copyFileSync(join(folder.path, name), join(copy.path, name))
    database.close()
    const found = new StoreDatabase(join(copy.path, "manju.db"), "power")
    expect(await contentsOf(found)).toEqual(await given(1))
    found.close()
  })
})

describe("a database of every version that ever was", () => {
  test("is kept here: the migrations, their fixtures and what those were given are as many", () => {
    const kept = readdirSync(fixtures).filter((name) => name.endsWith(".sql"))
    expect(kept.sort()).toEqual(versions.map((version) => `${version}.sql`).sort()) // make.ts says how to add one
    expect(contents).toHaveLength(migrations.length)
  })

  test("every migration that drizzle-kit has written is carried along, in order", () => {
    const folder = join(import.meta.dir, "../../../src/store/sqlite/migrations")
    const written = journal.entries.map(({ tag }) => readFileSync(join(folder, `${tag}.sql`), "utf8"))
    expect(migrations).toEqual(written)
  })

  for (const version of versions) {
    test(`version ${version}: is opened, and everything is in it`, async () => {
      using folder = temporaryFolder()
      const path = join(folder.path, "manju.db")
      makeDatabase(path, version)
      const database = new StoreDatabase(path, "power")
      expect(await contentsOf(database)).toEqual(await given(version))
      database.close()
      const again = new StoreDatabase(path, "power")
      expect(await contentsOf(again)).toEqual(await given(version))
      again.close()
    })

    test(`version ${version}: has something in each table`, async () => {
      const empty = Object.entries(await given(version)).filter(([, each]) => each.length === 0)
      expect(empty).toEqual([])
    })

    test(`version ${version}: goes on as a new one would`, async () => {
      using folder = temporaryFolder()
      const [path, fresh] = [join(folder.path, "manju.db"), join(folder.path, "new.db")]
      makeDatabase(path, version)
      const database = new StoreDatabase(path, "power")
      new StoreDatabase(fresh, "power").close()
      expect(columnsOf(path)).toEqual(columnsOf(fresh))
      database.commit([
        ...["away", "connected"].map((clientId) => ({ kind: "sessionRemoved", clientId }) as const),
        ...[-1, 7].map((sequence) => ({ kind: "settled", owner: "$share/group/plain", sequence }) as const),
      ])
      const held = await contentsOf(database)
      expect([held.waiting, held.inflight]).toEqual([[], []])
      using sqlite = new Database(path, { readonly: true })
      expect(sqlite.query("SELECT id FROM message ORDER BY id").values().flat()).toEqual(messageIdsIn(held))
      database.close()
    })

    test(`version ${version}: was made by the migrations up to it, and they are still the same`, () => {
      using folder = temporaryFolder()
      const [then, now] = [join(folder.path, "then.db"), join(folder.path, "now.db")]
      makeDatabase(then, version)
      runSql(now, ...migrations.slice(0, version))
      expect(schemaOf(then)).toEqual(schemaOf(now))
    })
  }
})

describe("a file that is no database of ours is refused, in words, and left as it was", () => {
  const table: [what: string, make: (path: string) => void, why: string | RegExp][] = [
    ["text", (path) => writeFileSync(path, "# my notes\n"), /^is not a database that can be read: [^\n]+$/],
    [
      "as much as a page of noise",
      (path) => writeFileSync(path, Buffer.alloc(2 * PAGE_BYTES, 7)),
      /^is not a database that can be read: [^\n]+$/,
    ],
    [
      "another program's database",
      (path) => runSql(path, "CREATE TABLE notes (line)"),
      "is a database, but not one of manju's",
    ],
    [
      "another program's, with tables of the same names",
      (path) => runSql(path, ...migrations, `PRAGMA user_version = ${migrations.length}`),
      "is a database, but not one of manju's",
    ],
    [
      "a database of a newer version",
      (path) => fill(path, `PRAGMA user_version = ${migrations.length + 1}`),
      `was written by a newer manju (version ${migrations.length + 1} of the database, this one knows ${migrations.length})`,
    ],
    [
      "one that ends after its first page",
      (path) => writeFileSync(path, fill(path).subarray(0, PAGE_BYTES)),
      /^is not a database that can be read: /,
    ],
    [
      "one that ends half-way",
      (path) => {
        const bytes = fill(path)
        writeFileSync(path, bytes.subarray(0, bytes.length / 2))
      },
      /^is not a database that can be read: /,
    ],
    [
      "one that ends within its header",
      (path) => writeFileSync(path, fill(path).subarray(0, 60)),
      /^is not a database that can be read: /,
    ],
  ]
  for (const [what, make, why] of table)
    test(what, () => {
      using folder = temporaryFolder()
      const path = join(folder.path, "manju.db")
      make(path)
      const before = filesIn(folder.path)
      const reason = refusal(path)
      if (typeof why === "string") expect(reason).toBe(why)
      else expect(reason).toMatch(why)
      expect(filesIn(folder.path)).toEqual(before)
    })

  test("one of whose pages another has been written over, whichever it is", () => {
    using folder = temporaryFolder()
    const path = join(folder.path, "manju.db")
    const bytes = fill(path)
    const pages = bytes.length / PAGE_BYTES
    expect(pages).toBeGreaterThan(20)
    for (let page = 0; page < pages; page++) {
      const broken = Buffer.from(bytes).fill(0xa5, page * PAGE_BYTES, (page + 1) * PAGE_BYTES)
      writeFileSync(path, broken)
      expect(refusal(path)).toStartWith("is not a database that can be read: ")
      expect(readFileSync(path).equals(broken)).toBe(true)
    }
  })

  test("a newer one whose last changes are in its log: that is left as well", () => {
    using folder = temporaryFolder()
    const path = join(folder.path, "manju.db")
    fill(path)
    const sqlite = new Database(path)
    sqlite.run(`PRAGMA user_version = ${migrations.length + 1}`)
    const before = filesIn(folder.path)
    expect(before["manju.db-wal"]!.length).toBeGreaterThan(0)
    expect(refusal(path)).toStartWith("was written by a newer manju")
    expect(filesIn(folder.path)).toEqual(before)
    sqlite.close()
  })
})

describe("a path at which there can be no database", () => {
  test("in a folder that is missing: the message names it", () => {
    using folder = temporaryFolder()
    const path = join(folder.path, "missing", "manju.db")
    expect(refusal(path)).toMatch(/^cannot be used: [^\n]+$/)
    expect(existsSync(join(folder.path, "missing"))).toBe(false)
  })

  test("a folder: nothing is made in it", () => {
    using folder = temporaryFolder()
    const path = join(folder.path, "manju.db")
    mkdirSync(path)
    expect(() => new StoreDatabase(path, "power")).toThrow()
    expect(filesIn(path)).toEqual({})
    expect(readdirSync(folder.path)).toEqual(["manju.db"])
  })
})

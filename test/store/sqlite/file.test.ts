/** The database file among others: who else looks at it, what cannot be used as one and what is said of it. */
import { expect, setDefaultTimeout, test } from "bun:test"
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { StoreDatabase } from "../../../src/store/sqlite/database.ts"
import { BrokerProcess, temporaryFolder } from "../../support/broker-process.ts"
import { manju } from "../../support/command.ts"
import { makeDatabase } from "../../support/database.ts"

const flags = ["--tcp", "0", "--no-ws", "--no-http", "--log-format", "human"]

setDefaultTimeout(60_000)

function refusal(path: string): string {
  try {
    const database = new StoreDatabase(path, "power")
    database.close()
    return "opened"
  } catch (error) {
    return (error as Error).message
  }
}
/** Tests run as root in CI, whom no permission stops. */
function asNobody<T>(act: () => T): T {
  const isRoot = process.geteuid!() === 0
  if (isRoot) process.seteuid!(65_534)
  try {
    return act()
  } finally {
    if (isRoot) process.seteuid!(0)
  }
}

test("commits while others look: none is refused", async () => {
  using folder = temporaryFolder()
  const path = join(folder.path, "manju.db")
  const database = new StoreDatabase(path, "process")
  let isDone = false
  const looking = (async () => {
    for (let i = 0; i < 4; i++) {
      await manju("check", "--data", path)
      await manju("backup", "--data", path, "--to", `${path}.${i}`)
    }
    isDone = true
  })()
  let refused = 0
  for (let value = 0; !isDone; value++) {
    try {
      database.commit([{ kind: "total", name: "n", value }])
    } catch {
      refused++
    }
    if (value % 50 === 0) await Bun.sleep(0)
  }
  await looking
  expect(refused).toBe(0)
})

test("a damaged page: one line", async () => {
  using folder = temporaryFolder()
  const path = join(folder.path, "manju.db")
  makeDatabase(path, 1)
  writeFileSync(path, readFileSync(path).fill(0xa5, 8192, 12_288))
  expect(refusal(path)).toMatch(/^[^\n]+ is not a database that can be read: [^\n]+$/)
  expect((await manju("check", "--data", path)).err).toMatch(/^manju: [^\n]+\n$/)
})

test("a folder, and a path on which there can be no file: the message says so", async () => {
  using folder = temporaryFolder()
  writeFileSync(join(folder.path, "notes.txt"), "")
  for (const [name, problem] of [
    ["", "it is a folder"],
    ["missing/manju.db", "its folder is not there"],
    ["notes.txt/manju.db", "its folder is none"],
  ] as const) {
    const path = join(folder.path, name)
    expect(refusal(path)).toBe(`${path} cannot be used: ${problem}`)
    const started = await manju(...flags, "--data", path)
    expect(started).toEqual({ code: 1, out: "", err: `manju: ${path} cannot be used: ${problem}\n` })
  }
  expect((await manju("check", "--data", folder.path)).err).toBe(
    `manju: ${folder.path} cannot be used: it is a folder\n`,
  )
})

test("a path that an error's message happens to begin with is named all the same", () => {
  using folder = temporaryFolder()
  const before = process.cwd()
  process.chdir(folder.path)
  try {
    mkdirSync("d") // "disk I/O error"
    expect(refusal("d")).toBe("d cannot be used: it is a folder")
  } finally {
    process.chdir(before)
  }
})

test("a file that may not be written is refused at the start", () => {
  using folder = temporaryFolder()
  chmodSync(folder.path, 0o777)
  const path = join(folder.path, "manju.db")
  makeDatabase(path, 1)
  chmodSync(path, 0o444)
  expect(asNobody(() => refusal(path))).toStartWith(path)
})

test("a file that may not be read: the message names it", () => {
  using folder = temporaryFolder()
  chmodSync(folder.path, 0o777)
  const path = join(folder.path, "manju.db")
  makeDatabase(path, 1)
  chmodSync(path, 0)
  expect(asNobody(() => refusal(path))).toStartWith(path)
})

test("one of ours without its tables, or of version 0: the message names the file", () => {
  using folder = temporaryFolder()
  for (const [name, sql] of [
    ["tables.db", "DROP TABLE delivery"],
    ["version.db", "PRAGMA user_version = 0"],
  ] as const) {
    const path = join(folder.path, name)
    makeDatabase(path, 1, sql)
    expect(refusal(path)).toStartWith(path)
  }
})

test("backup to where it cannot be written says so", async () => {
  using folder = temporaryFolder()
  const path = join(folder.path, "manju.db")
  const to = join(folder.path, "missing", "copy.db")
  makeDatabase(path, 1)
  const { err } = await manju("backup", "--data", path, "--to", to)
  expect(err).toBe(`manju: ${to} cannot be used: its folder is not there\n`)
})

test("backup --to nothing does not claim to have copied", async () => {
  using folder = temporaryFolder()
  const path = join(folder.path, "manju.db")
  makeDatabase(path, 1)
  expect(await manju("backup", "--data", path, "--to", "")).toMatchObject({ code: 2, out: "" })
})

test("a second broker on the same file is refused", async () => {
  using folder = temporaryFolder()
  const path = join(folder.path, "manju.db")
  await using _first = await BrokerProcess.start("--data", path)
  expect(await manju(...flags, "--data", path)).toEqual({
    code: 1,
    out: "",
    err: `manju: ${path} cannot be used: another broker is using it\n`,
  })
})

test("check leaves nothing behind", async () => {
  using folder = temporaryFolder()
  const path = join(folder.path, "manju.db")
  makeDatabase(path, 1)
  await manju("check", "--data", path)
  expect([existsSync(`${path}-wal`), existsSync(`${path}-shm`)]).toEqual([false, false])
})

test("check can read a closed database in a folder that may not be written", async () => {
  using folder = temporaryFolder()
  const path = join(folder.path, "manju.db")
  makeDatabase(path, 1)
  chmodSync(folder.path, 0o555)
  const { inspect } = await import("../../../src/store/sqlite/inspect.ts")
  expect(asNobody(() => inspect(path)).sessions).toBe(4)
})

/**
 * The database file: whose it is, of which version, whether it is sound, and who is using it. One that a newer manju has
 * written, or that is none, is refused and left as it was. Every error names the file.
 *
 * One broker at a time: it holds a lock on a small file beside the database for as long as it lives, a lock that the system
 * takes from it however it ends. Looking at the database and copying it need none.
 */
import { constants, Database } from "bun:sqlite"
import { accessSync, existsSync, constants as may, rmSync, statSync } from "node:fs"
import { dirname } from "node:path"
import { pathToFileURL } from "node:url"
import { DrizzleQueryError } from "drizzle-orm"
import { migrations } from "./migrations.ts"

/** `power`: a commit survives a power cut. `process`: it survives the process, and most power cuts. */
export type Durability = "power" | "process"

/** "manj": how a file says that it is ours. */
const APPLICATION_ID = 0x6d616e6a
/** To this the log is cut when a long transaction or a backup has made it longer. */
const LARGEST_LOG_BYTES = 67_108_864
/** How long a commit waits for somebody who looks at the database or copies it. */
const BUSY_MS = 5000
/** How often a lock is tried whose file goes away meanwhile. */
const LOCK_ATTEMPTS = 10

/** The database, open, ours and up to date, and what lets go of it. */
export interface OpenFile {
  readonly sqlite: Database
  close(): void
}

/** Opens or makes the database, for this process alone. Throws an `Error` that names the file and says what is wrong. */
export function openFile(path: string, durability: Durability): OpenFile {
  const isFile = path !== ":memory:"
  return naming(path, () => {
    if (isFile && sizeOf(path) > 0) closing(openToRead(path, true), () => undefined)
    const lock = isFile ? lockFile(`${path}-lock`) : undefined
    try {
      const sqlite = new Database(path, { create: true, readwrite: true })
      sqlite.run(`PRAGMA busy_timeout = ${BUSY_MS}`)
      sqlite.run("PRAGMA journal_mode = WAL")
      sqlite.run(`PRAGMA journal_size_limit = ${LARGEST_LOG_BYTES}`)
      sqlite.run(`PRAGMA synchronous = ${durability === "power" ? "FULL" : "NORMAL"}`)
      migrate(sqlite)
      return { sqlite, close: () => close(sqlite, lock) }
    } catch (error) {
      lock?.release()
      throw error
    }
  })
}

/**
 * Opens a database to look at it, whether or not somebody is using it. Throws what is wrong with it; `mayBeUnmade`: but not
 * that there is nothing in it, as when its broker was killed while it made it.
 */
export function openToRead(path: string, mayBeUnmade = false): Database {
  return naming(path, () => {
    // Without a log and without a user nothing can change: then nothing need be left beside it, not even for a moment.
    const isAtRest = !existsSync(`${path}-lock`) && sizeOf(`${path}-wal`) === 0 && sizeOf(`${path}-journal`) === 0
    // A broker that was killed while it made the database may have left something to be undone: that takes writing.
    const readable = sizeOf(`${path}-journal`) === 0 ? { readonly: true } : { readwrite: true, create: false }
    const sqlite = isAtRest
      ? new Database(
          `${pathToFileURL(path).href}?immutable=1`,
          constants.SQLITE_OPEN_READONLY | constants.SQLITE_OPEN_URI,
        )
      : new Database(path, readable)
    try {
      assertOurs(sqlite, path, mayBeUnmade)
      return sqlite
    } catch (error) {
      sqlite.close()
      throw error
    }
  })
}

/** Does something with a database and closes it. */
export function closing<T>(sqlite: Database, act: (sqlite: Database) => T): T {
  try {
    return act(sqlite)
  } finally {
    sqlite.close()
  }
}

/** What goes wrong with a file says so with the file's name in front. */
export function naming<T>(path: string, act: () => T): T {
  try {
    return act()
  } catch (error) {
    const { message } = error as Error
    if (message.startsWith(`${path} `)) throw error
    const isForbidden = ["SQLITE_CANTOPEN", "SQLITE_READONLY"].some((code) =>
      String((error as { code?: unknown }).code).startsWith(code),
    )
    const reason =
      noPlaceFor(path) ??
      (isForbidden ? forbiddenAt(path) : undefined) ??
      ((error instanceof DrizzleQueryError && error.cause?.message) || message)
    throw new Error(`${path} cannot be used: ${reason.replaceAll("\n", " ")}`, { cause: error })
  }
}

/** Why there can be no file at a path, which SQLite does not tell; undefined: there could be one. */
function noPlaceFor(path: string): string | undefined {
  if (existsSync(path)) return statSync(path).isDirectory() ? "it is a folder" : undefined
  const folder = dirname(path)
  if (!existsSync(folder)) return "its folder is not there"
  return statSync(folder).isDirectory() ? undefined : "its folder is none"
}

/** What we are not allowed to do with a file; beside it SQLite makes others. */
function forbiddenAt(path: string): string | undefined {
  const isAllowed = (file: string, mode: number) => {
    try {
      accessSync(file, mode)
      return true
    } catch {
      return false
    }
  }
  if (existsSync(path) && !isAllowed(path, may.R_OK)) return "no permission to read it"
  if (existsSync(path) && !isAllowed(path, may.W_OK)) return "no permission to write it"
  return isAllowed(dirname(path), may.W_OK) ? undefined : "no permission to write its folder"
}

/** Leaves one file: the log is empty, so that a copy of the database is all of it. Where the disk is full, the log stays. */
function close(sqlite: Database, lock: { release(): void } | undefined): void {
  try {
    sqlite.run("PRAGMA wal_checkpoint(TRUNCATE)")
  } finally {
    sqlite.close()
    lock?.release()
  }
}

function migrate(sqlite: Database): void {
  const applied = pragma(sqlite, "user_version")
  sqlite.transaction(() => {
    for (const migration of migrations.slice(applied)) sqlite.run(migration)
    sqlite.run(`PRAGMA application_id = ${APPLICATION_ID}`) // also finds out whether the file can be written
    sqlite.run(`PRAGMA user_version = ${migrations.length}`)
  })()
}

/** Throws if the file is damaged, no database of ours, or of a newer version. It is read from end to end: 0.3 s for 180 MB. */
function assertOurs(sqlite: Database, path: string, mayBeUnmade: boolean): void {
  let applicationId: number
  let version: number
  try {
    applicationId = pragma(sqlite, "application_id")
    version = pragma(sqlite, "user_version")
    const [problem] = sqlite.query("PRAGMA quick_check(1)").values()[0] as [string]
    if (problem !== "ok") throw new Error(problem)
  } catch (error) {
    const reason = (error as Error).message.replaceAll("\n", " ")
    throw new Error(`${path} is not a database that can be read: ${reason}`, { cause: error })
  }
  if (mayBeUnmade && applicationId === 0 && version === 0 && isUnmade(sqlite)) return
  if (applicationId !== APPLICATION_ID) throw new Error(`${path} is a database, but not one of manju's`)
  if (version > migrations.length) {
    throw new Error(
      `${path} was written by a newer manju (version ${version} of the database, this one knows ${migrations.length})`,
    )
  }
}

function isUnmade(sqlite: Database): boolean {
  return sqlite.query("SELECT 1 FROM sqlite_schema").get() === null
}

function pragma(sqlite: Database, name: "application_id" | "user_version"): number {
  return (sqlite.query(`PRAGMA ${name}`).get() as Record<string, number>)[name]!
}

/** Locks a file that is there only for this. SQLite's own locks do it: the system's, everywhere, gone with the process. */
function lockFile(path: string): { release(): void } {
  for (let attempt = 0; attempt < LOCK_ATTEMPTS; attempt++) {
    const lock = new Database(path, { create: true, readwrite: true })
    const before = inodeOf(path)
    try {
      lock.run("BEGIN EXCLUSIVE")
    } catch (error) {
      lock.close()
      if ((error as { code?: string }).code !== "SQLITE_BUSY") throw error
      throw new Error("another broker is using it", { cause: error })
    }
    const release = () => {
      rmSync(path, { force: true })
      lock.close()
    }
    // Whoever held it before may have removed the file while this one was opening it.
    if (before !== undefined && before === inodeOf(path)) return { release }
    lock.close()
  }
  throw new Error("its lock comes and goes")
}

/** 0 for a file that is not there. */
function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino
}

/**
 * The database file: whose it is, of which version, and whether it is sound. One that a newer manju has written, or that is
 * none, is refused and left as it was.
 */
import { Database } from "bun:sqlite"
import { existsSync, statSync } from "node:fs"
import { migrations } from "./migrations.ts"

/** "manj": how a file says that it is ours. */
export const APPLICATION_ID = 0x6d616e6a

export function userVersion(sqlite: Database): number {
  return (sqlite.query("PRAGMA user_version").get() as { user_version: number }).user_version
}

/** Opens the file for writing, once it is sure that it is ours to write. */
export function openFile(path: string): Database {
  if (path !== ":memory:" && existsSync(path) && statSync(path).size > 0) {
    const sqlite = new Database(path, { readonly: true })
    try {
      assertOurs(sqlite, path)
    } finally {
      sqlite.close()
    }
  }
  try {
    return new Database(path, { create: true, readwrite: true })
  } catch (error) {
    throw new Error(`${path} cannot be opened: ${(error as Error).message}`, { cause: error })
  }
}

/** Throws if the file is damaged, no database of ours, or of a newer version. It is read from end to end: 0.3 s for 180 MB. */
export function assertOurs(sqlite: Database, path: string): void {
  let applicationId: number
  let version: number
  try {
    applicationId = (sqlite.query("PRAGMA application_id").get() as { application_id: number }).application_id
    version = userVersion(sqlite)
    const [problem] = sqlite.query("PRAGMA quick_check(1)").values()[0] as [string]
    if (problem !== "ok") throw new Error(problem)
  } catch (error) {
    throw new Error(`${path} is not a database that can be read: ${(error as Error).message}`)
  }
  if (applicationId !== APPLICATION_ID) throw new Error(`${path} is a database, but not one of manju's`)
  if (version > migrations.length) {
    throw new Error(
      `${path} was written by a newer manju (version ${version} of the database, this one knows ${migrations.length})`,
    )
  }
}

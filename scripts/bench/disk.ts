/** What there is to know about the disk that brokers keep their files on. */
import { closeSync, fdatasyncSync, openSync, readdirSync, rmSync, statfsSync, statSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** The magic numbers of tmpfs and ramfs, as statfs(2) has them. */
const memoryFileSystems = [0x01021994, 0x858458f6]
const syncs = 50

export const isInMemory = (folder: string) => memoryFileSystems.includes(statfsSync(folder).type)

/** For temporary files that are to be on a disk. /var/tmp outlives a restart of the machine, and so is on one. */
export function temporaryFolder(): string {
  return isInMemory(tmpdir()) ? "/var/tmp" : tmpdir()
}

/** The median time of a sync after 4 KiB have been appended: the least that a durable commit can take. */
export function syncMilliseconds(folder: string): number {
  const path = join(folder, "sync")
  const page = Buffer.alloc(4096)
  const file = openSync(path, "w")
  const times = Array.from({ length: syncs }, () => {
    writeSync(file, page)
    const startedAt = performance.now()
    fdatasyncSync(file)
    return performance.now() - startedAt
  })
  closeSync(file)
  rmSync(path)
  return times.sort((a, b) => a - b)[syncs >> 1]!
}

/** The bytes of the files in a folder. */
export function bytesIn(folder: string): number {
  return readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)
}

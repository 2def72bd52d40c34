/**
 * Changes a text file so that whoever reads it meanwhile, and a crash at any time, finds the old one whole or the new one
 * whole. The new one is written beside it under a name of its own, made durable and given the old one's name.
 *
 * That name is also the lock: who finds it taken waits until the other has finished, and then changes what that has left.
 */
import { type BigIntStats, constants } from "node:fs"
import { type FileHandle, open, realpath, rename, stat, unlink } from "node:fs/promises"
import { dirname } from "node:path"
import { readText } from "../auth/text-file.ts"
import { CommandFailure } from "./failure.ts"

const MODE_OF_A_NEW_FILE = 0o600
const PERMISSIONS = 0o7777n
const LOOK_EVERY_MS = 20
const PATIENCE_MS = 10_000

/**
 * `edit` gets what the file holds, undefined where there is none, and returns what it shall hold. A link stays one, and a
 * file keeps its owner and its mode. Another change may take `patienceMs`. Throws what `edit` does, or a `CommandFailure`;
 * the file is then as it was.
 */
export async function replaceFile(
  path: string,
  edit: (text: string | undefined) => string,
  patienceMs = PATIENCE_MS,
): Promise<void> {
  const target = await realpath(path).catch(() => path)
  const beside = `${target}.new`
  const file = await claim(beside, path, patienceMs)
  try {
    const stats = await statIfThere(target)
    const text = edit(stats === undefined ? undefined : await readText(target))
    if (stats !== undefined) await resemble(file, stats, path)
    await file.writeFile(text)
    await file.sync()
    await rename(beside, target)
  } catch (error) {
    await unlink(beside)
    throw "syscall" in (error as object) ? writeFailure(path, error) : error
  } finally {
    await file.close()
  }
  await syncFolder(dirname(target)).catch((error) => {
    throw writeFailure(path, error)
  })
}

/** Makes the file that nobody else may have while it is there. */
async function claim(beside: string, path: string, patienceMs: number): Promise<FileHandle> {
  const deadline = performance.now() + patienceMs
  for (;;) {
    try {
      return await open(beside, "wx", MODE_OF_A_NEW_FILE)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw writeFailure(path, error)
    }
    if (performance.now() > deadline) {
      throw new CommandFailure(`${beside} is in the way: another change is at work, or one was cut off; then remove it`)
    }
    await Bun.sleep(LOOK_EVERY_MS)
  }
}

function statIfThere(path: string): Promise<BigIntStats | undefined> {
  return stat(path, { bigint: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined
    throw error
  })
}

/** Gives the new file the owner and the mode of the old one, without which its readers could be others. */
async function resemble(file: FileHandle, { uid, gid, mode }: BigIntStats, path: string): Promise<void> {
  const own = await file.stat({ bigint: true })
  if (own.uid !== uid || own.gid !== gid) {
    await file.chown(Number(uid), Number(gid)).catch((error) => {
      throw new CommandFailure(`${path} belongs to somebody else, and only its owner may change it`, { cause: error })
    })
  }
  await file.chmod(Number(mode & PERMISSIONS))
}

/** Makes the new name of the file durable. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY)
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** Why a file could not be written, in words. */
export function writeFailure(path: string, error: unknown): CommandFailure {
  const { code, message } = error as NodeJS.ErrnoException
  const reasons: Record<string, string> = {
    ENOENT: "its folder does not exist",
    ENOTDIR: "its folder is none",
    EACCES: "no permission",
    EROFS: "the file system is read-only",
    ENOSPC: "the disk is full",
  }
  return new CommandFailure(`cannot write ${path}: ${reasons[code ?? ""] ?? message}`, { cause: error })
}

/**
 * Text files that an auth is made of: read when it opens, and again whenever they have changed. What is wrong with one
 * is an error of one line that names the file and the line; it never quotes the file, which may hold secrets.
 */
import { readFile } from "node:fs/promises"
import type { AuthContext } from "../broker/ports.ts"

/** `users.txt:3: what is wrong`, or without a line where it is the whole file. */
export class FileError extends Error {
  constructor(path: string, line: number | undefined, problem: string, options?: ErrorOptions) {
    super(line === undefined ? `${path}: ${problem}` : `${path}:${line}: ${problem}`, options)
    this.name = "FileError"
  }
}

const readProblems: Record<string, string> = {
  ENOENT: "there is no such file",
  EACCES: "no permission to read it",
  EISDIR: "is a folder",
}

/** Reads a file. Throws a `FileError`. */
export async function readBytes(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    throw new FileError(path, undefined, problemOfReading(error), { cause: error })
  }
}

/** Why something could not be read, in words. */
export function problemOfReading(error: unknown): string {
  const { code = "", message } = error as NodeJS.ErrnoException
  return readProblems[code] ?? message
}

/** Reads a file of UTF-8; a byte order mark in front is left out. Throws a `FileError`. */
export async function readText(path: string): Promise<string> {
  const bytes = await readBytes(path)
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch (error) {
    throw new FileError(path, lineOfInvalidText(bytes), "not UTF-8", { cause: error })
  }
}

/** Without the blanks around it, of those that C knows: a no-break space is part of a name. */
export function trim(text: string): string {
  return text.replace(/^[\t\v\f\r ]+|[\t\v\f\r ]+$/g, "")
}

/** The first line, counted from 1, that is not UTF-8. */
function lineOfInvalidText(bytes: Buffer): number | undefined {
  const decoded = bytes.toString("utf8").split("\n")
  const lines = bytes.toString("latin1").split("\n")
  const index = lines.findIndex((line, at) => !Buffer.from(line, "latin1").equals(Buffer.from(decoded[at]!)))
  return index < 0 ? undefined : index + 1
}

/**
 * Gives `take` the text of a file now and after each change, until the returned function is called. Rejects with what
 * reading or `take` throws now; later that is logged, and what `take` has taken before stays in force.
 */
export async function followFile(
  path: string,
  context: AuthContext,
  take: (text: string) => void,
): Promise<() => void> {
  /** The reading that counts: of two that overlap the later one. */
  let latest: object | undefined
  const reread = async () => {
    const reading = (latest = {})
    try {
      const text = await readText(path)
      if (reading !== latest) return
      take(text)
      context.logger.info(`${path}: read again`)
    } catch (error) {
      if (reading === latest) context.logger.error(`${(error as Error).message}; what it said before stays in force`)
    }
  }
  const unwatch = context.watch(path, () => void reread()) // first: what changes while it is read must not be missed
  const stop = () => {
    latest = undefined
    unwatch()
  }
  try {
    let text: string
    let reading: object
    do {
      reading = latest = {}
      text = await readText(path)
    } while (reading !== latest)
    take(text)
  } catch (error) {
    stop()
    throw error
  }
  return stop
}

/**
 * The password file, as Mosquitto has it: a line `user:hash` for each user, `#` comments, blank lines. Blanks around a
 * name or a hash do not count. Stricter than Mosquitto where that passes over a line or tells nobody which line it minds:
 * every other line is an error, and so is a user that is there twice.
 *
 * An edit changes the one line that it is about; everything else stays as somebody has written it.
 */
import { type PasswordHash, parseHash } from "./hashes.ts"
import { FileError, trim } from "./text-file.ts"

export type PasswordHashes = ReadonlyMap<string, PasswordHash>

/** The longest that fits into a CONNECT. */
const LONGEST_USERNAME_BYTES = 65_535

/** The users of a file and their hashes, in the order of the file. Throws a `FileError`. */
export function parsePasswords(path: string, text: string): PasswordHashes {
  const hashes = new Map<string, PasswordHash>()
  const lines = new Map<string, number>()
  for (const [index, line] of text.split("\n").entries()) {
    const entry = parseLine(line)
    if (entry === undefined) continue
    const complain = (problem: string) => new FileError(path, index + 1, problem)
    if (typeof entry === "string") throw complain(entry)
    const [username, hash] = entry
    if (lines.has(username)) throw complain(`the user is on line ${lines.get(username)} already`)
    lines.set(username, index + 1)
    hashes.set(username, hash)
  }
  return hashes
}

/** The text with that hash for the user, whose line is replaced, or put at the end. */
export function withPassword(text: string, username: string, hash: string): string {
  const entry = `${username}:${hash}`
  const lines = text.split("\n")
  const at = lineOf(lines, username)
  if (at >= 0) return lines.with(at, entry).join("\n")
  return text === "" || text.endsWith("\n") ? `${text}${entry}\n` : `${text}\n${entry}\n`
}

/** The text without the user's line. */
export function withoutUser(text: string, username: string): string {
  const lines = text.split("\n")
  const at = lineOf(lines, username)
  return at < 0 ? text : lines.toSpliced(at, 1).join("\n")
}

/** What is wrong with a user name, if anything is: it has to be what is read from the line that is written for it. */
export function usernameProblem(username: string): string | undefined {
  if (username === "") return "a user name must not be empty"
  if (Buffer.byteLength(username) > LONGEST_USERNAME_BYTES) {
    return `a user name must not be longer than ${LONGEST_USERNAME_BYTES} bytes`
  }
  if (!username.isWellFormed()) return "a user name must be UTF-8"
  if (username.includes(":")) return "a user name must not contain a colon"
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\u0000-\u001f\u007f-\u009f]/.test(username)) return "a user name must not contain control characters"
  if (username.startsWith("#")) return "a user name must not begin with #"
  if (trim(username) !== username) return "a user name must not begin or end with a blank"
  return undefined
}

/** Undefined for a line that says nothing; what is wrong with one that is. */
function parseLine(line: string): readonly [username: string, hash: PasswordHash] | string | undefined {
  const content = trim(line)
  if (content === "" || content.startsWith("#")) return undefined
  const colon = content.indexOf(":")
  if (colon < 0) return "no colon between a user name and a hash"
  const username = trim(content.slice(0, colon))
  const problem = usernameProblem(username)
  if (problem !== undefined) return problem
  const hash = parseHash(trim(content.slice(colon + 1)))
  return hash === undefined ? "not a hash that is known here: $argon2id$, or Mosquitto's $7$ or $6$" : [username, hash]
}

function lineOf(lines: readonly string[], username: string): number {
  return lines.findIndex((line) => {
    const entry = parseLine(line)
    return typeof entry === "object" && entry[0] === username
  })
}

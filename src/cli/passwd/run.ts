/** What `manju passwd` does. */
import { existsSync } from "node:fs"
import { hashPassword } from "../../auth/hashes.ts"
import { parsePasswords, usernameProblem, withoutUser, withPassword } from "../../auth/password-file.ts"
import { readText } from "../../auth/text-file.ts"
import { ManjuError } from "../../broker/errors.ts"
import { CommandFailure } from "../failure.ts"
import { print } from "../output.ts"
import { replaceFile } from "../replace-file.ts"
import { newPassword } from "../secret.ts"

/** What commander gives. */
export interface PasswordFlags {
  visiblePassword?: string
}

/** What the runtime makes of a byte in an argument that is not UTF-8. */
const NOT_UTF8 = "\ufffd"

export async function add(path: string, username: string, flags: PasswordFlags): Promise<void> {
  assertUsername(username)
  assertAbsent(path, existsSync(path) ? await readText(path) : "", username)
  const hash = await hashPassword(await newPassword(username, flags.visiblePassword))
  await replaceFile(path, (text = "") => {
    assertAbsent(path, text, username)
    return withPassword(text, username, hash)
  })
  console.log(`added ${username} to ${path}`)
}

export async function change(path: string, username: string, flags: PasswordFlags): Promise<void> {
  assertUsername(username)
  assertPresent(path, await readText(path), username)
  const hash = await hashPassword(await newPassword(username, flags.visiblePassword))
  await replaceFile(path, (text = "") => {
    assertPresent(path, text, username)
    return withPassword(text, username, hash)
  })
  console.log(`changed the password of ${username} in ${path}`)
}

export async function remove(path: string, username: string): Promise<void> {
  assertUsername(username)
  assertPresent(path, await readText(path), username)
  await replaceFile(path, (text = "") => {
    assertPresent(path, text, username)
    return withoutUser(text, username)
  })
  console.log(`removed ${username} from ${path}`)
}

export async function list(path: string): Promise<void> {
  const lines = Array.from(
    parsePasswords(path, await readText(path)),
    ([username, { kind }]) => `${username}\t${kind}\n`,
  )
  await print(lines.join(""))
}

function assertUsername(username: string): void {
  const problem = username.includes(NOT_UTF8) ? "a user name must be UTF-8" : usernameProblem(username)
  if (problem !== undefined) throw new ManjuError("INVALID_OPTION", problem)
}

function assertAbsent(path: string, text: string, username: string): void {
  if (!parsePasswords(path, text).has(username)) return
  throw new CommandFailure(`${path} has the user ${username} already; manju passwd change gives a new password`)
}

function assertPresent(path: string, text: string, username: string): void {
  if (!parsePasswords(path, text).has(username)) throw new CommandFailure(`${path} has no user ${username}`)
}

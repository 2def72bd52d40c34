/** `manju passwd`: adds, changes, removes and lists the users of a password file, which a broker may be using. */
import { existsSync } from "node:fs"
import type { Command } from "commander"
import { hashPassword } from "../auth/hashes.ts"
import { parsePasswords, usernameProblem, withoutUser, withPassword } from "../auth/password-file.ts"
import { readText } from "../auth/text-file.ts"
import { ManjuError } from "../broker/errors.ts"
import { CommandFailure } from "./failure.ts"
import { replaceFile } from "./replace-file.ts"
import { newPassword } from "./secret.ts"

interface PasswordFlags {
  visiblePassword?: string
}

/** What the runtime makes of a byte in an argument that is not UTF-8. */
const NOT_UTF8 = "\ufffd"

const passwordHelp = `
The password is asked for twice, and not shown. Where standard input is no terminal, its first line is the password.`

const examples = `
Examples:
  manju passwd add users.txt ada                  asks for the password
  manju passwd change users.txt ada < secret.txt  takes the first line of secret.txt`

/** Tells commander of it. */
export function describePasswd(program: Command): void {
  const passwd = program.command("passwd").description("look after a password file: one of Mosquitto's, or a new one")
  passwd.addHelpText("after", examples)
  const visible = "--visible-password <text>"
  const warning = "the password, for everybody to see: in the list of processes, in the history of the shell"
  const withUser = (name: string, description: string) =>
    passwd.command(name).description(description).argument("<file>", "password file").argument("<user>", "user name")
  withUser("add", "add a user; makes the file if it is not there")
    .option(visible, warning)
    .addHelpText("after", passwordHelp)
    .action(add)
  withUser("change", "give a user a new password, kept with argon2id whatever the old one was kept with")
    .option(visible, warning)
    .addHelpText("after", passwordHelp)
    .action(change)
  withUser("remove", "remove a user").action(remove)
  passwd
    .command("list")
    .description("print each user and, behind a tab, how the password is kept")
    .argument("<file>", "password file")
    .action(list)
}

async function add(path: string, username: string, flags: PasswordFlags): Promise<void> {
  assertUsername(username)
  assertAbsent(path, existsSync(path) ? await readText(path) : "", username)
  const hash = await hashPassword(await newPassword(username, flags.visiblePassword))
  await replaceFile(path, (text = "") => {
    assertAbsent(path, text, username)
    return withPassword(text, username, hash)
  })
  console.log(`added ${username} to ${path}`)
}

async function change(path: string, username: string, flags: PasswordFlags): Promise<void> {
  assertUsername(username)
  assertPresent(path, await readText(path), username)
  const hash = await hashPassword(await newPassword(username, flags.visiblePassword))
  await replaceFile(path, (text = "") => {
    assertPresent(path, text, username)
    return withPassword(text, username, hash)
  })
  console.log(`changed the password of ${username} in ${path}`)
}

async function remove(path: string, username: string): Promise<void> {
  assertUsername(username)
  assertPresent(path, await readText(path), username)
  await replaceFile(path, (text = "") => {
    assertPresent(path, text, username)
    return withoutUser(text, username)
  })
  console.log(`removed ${username} from ${path}`)
}

async function list(path: string): Promise<void> {
  for (const [username, { kind }] of parsePasswords(path, await readText(path))) console.log(`${username}\t${kind}`)
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

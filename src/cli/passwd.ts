/** `manju passwd`: adds, changes, removes and lists the users of a password file, which a broker may be using. */
import type { Command } from "commander"
import type { PasswordFlags } from "./passwd/run.ts"

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
    .action(async (path, username, flags: PasswordFlags) => (await run()).add(path, username, flags))
  withUser("change", "give a user a new password, kept with argon2id whatever the old one was kept with")
    .option(visible, warning)
    .addHelpText("after", passwordHelp)
    .action(async (path, username, flags: PasswordFlags) => (await run()).change(path, username, flags))
  withUser("remove", "remove a user").action(async (path: string, username: string) =>
    (await run()).remove(path, username),
  )
  passwd
    .command("list")
    .description("print each user and, behind a tab, how the password is kept")
    .argument("<file>", "password file")
    .action(async (path: string) => (await run()).list(path))
}

/** What a broker does without. */
const run = () => import("./passwd/run.ts")

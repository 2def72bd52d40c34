#!/usr/bin/env bun
/** The command: arguments in, a broker running or an exit code out. The only place that ends the process. */
import { Command, CommanderError } from "commander"
import { describeCheck } from "./cli/check.ts"
import { describeConfig } from "./cli/config.ts"
import { describeExplain } from "./cli/explain.ts"
import { complaintsOf, exitCodeOf, USAGE } from "./cli/failure.ts"
import { takeFlags } from "./cli/flags.ts"
import { describeHealth } from "./cli/health.ts"
import { describeImport } from "./cli/import/index.ts"
import { describePasswd } from "./cli/passwd.ts"
import { describePub } from "./cli/pub.ts"
import { describeService } from "./cli/service.ts"
import { start } from "./cli/start.ts"
import { complain, styled } from "./cli/stderr.ts"
import { describeSub } from "./cli/sub.ts"
import { describeTop } from "./cli/top.ts"
import { fullVersion } from "./version.ts"

const examples = `
Examples:
  manju                                       loopback only, port 1883, everybody on this machine may connect
  manju --tcp 1884 --log-level warn           another port, and a log of what is wrong alone
  manju --host 0.0.0.0 --allow-anonymous      for the whole network, without passwords
  manju --maximum-qos 1 --no-retain           with less to offer
  manju --config manju.toml                   as a file has it; manju config example makes one
  manju start --help                          everything that can be set

Exit codes: 0 stopped by SIGTERM or SIGINT; 1 failure, also where something could not be stored at the end; 2 usage; 130 or 143 stopped at
once by a second SIGINT or SIGTERM.`

function program(done: (code: number) => void): Command {
  const command = new Command("manju")
    .description("An MQTT 3.1, 3.1.1 and 5.0 broker.")
    .version(fullVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [command]", "print the help of a command")
    .enablePositionalOptions() // behind pub and sub, -h and -V are theirs
    .exitOverride()
    .configureOutput({ outputError: (text) => complain(styled("red", oneLine(text))) })
    .showSuggestionAfterError()
    .hook("preAction", (_, action) => {
      if (action !== starting) Bun.unsafe.setJITPolicy(1) // see start.ts
    })
  const starting = command
    .command("start", { isDefault: true })
    .description("run a broker (what manju does without a command)")
    .allowExcessArguments()
    .addHelpText("after", examples)
    .action(async () => {
      const [surplus] = starting.args
      const isAsked = command.args[0] === "start"
      if (surplus !== undefined) command.error(isAsked ? `start takes no '${surplus}'` : `unknown command '${surplus}'`)
      done(await start(given(process.env)))
    })
  starting.optionsGroup("Options:")
  const given = takeFlags(starting)
  describeCheck(command)
  describeConfig(command)
  describeImport(command, done)
  command
    .command("backup")
    .description("copy a database, whether or not a broker is using it")
    .requiredOption("--data <file>", "the database")
    .requiredOption("--to <file>", "where to put the copy; must not be there yet")
    .action(async (flags: { data: string; to: string }) => (await import("./cli/data.ts")).copy(flags))
  describeHealth(command)
  describePasswd(command)
  describePub(command, done)
  describeSub(command, done)
  describeExplain(command, done)
  describeTop(command, done)
  describeService(command)
  command.addHelpText("after", examples)
  return command
}

/** Commander's own errors begin with a word of their own, and put a suggestion on a second line. */
function oneLine(text: string): string {
  return `manju: ${text
    .replace(/^error: /, "")
    .trimEnd()
    .replaceAll("\n", " ")}`
}

async function run(argv: readonly string[]): Promise<number> {
  try {
    let code = 0
    await program((result) => (code = result)).parseAsync(argv)
    return code
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE
    const lines = complaintsOf(error)
    if (lines === undefined) throw error
    for (const line of lines) complain(styled("red", `manju: ${line}`))
    return exitCodeOf(error)
  }
}

process.exit(await run(process.argv))

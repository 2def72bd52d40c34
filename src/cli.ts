#!/usr/bin/env bun
/** The command: arguments in, a broker running or an exit code out. The only place that ends the process. */
import { Command, CommanderError } from "commander"
import { version } from "../package.json" with { type: "json" }
import { FileError } from "./auth/text-file.ts"
import { ManjuError } from "./broker/errors.ts"
import { describeCheck } from "./cli/check.ts"
import { describeConfig } from "./cli/config.ts"
import { copy } from "./cli/data.ts"
import { CommandFailure } from "./cli/failure.ts"
import { takeFlags } from "./cli/flags.ts"
import { describePasswd } from "./cli/passwd.ts"
import { describePub } from "./cli/pub.ts"
import { start } from "./cli/start.ts"
import { complain, styled } from "./cli/stderr.ts"
import { describeSub } from "./cli/sub.ts"
import { ConfigurationError } from "./config/errors.ts"

const USAGE = 2
const FAILURE = 1

const examples = `
Examples:
  manju                                       loopback only, port 1883, everybody on this machine may connect
  manju --tcp 1884 --log-level debug          another port, and every packet that is dropped
  manju --host 0.0.0.0 --allow-anonymous      for the whole network, without passwords
  manju --maximum-qos 1 --no-retain           with less to offer
  manju --config manju.toml                   as a file has it; manju config example makes one
  manju start --help                          everything that can be set

Exit codes: 0 stopped by a signal, 1 failure, 2 usage.`

function program(done: (code: number) => void): Command {
  const command = new Command("manju")
    .description("An MQTT 3.1, 3.1.1 and 5.0 broker.")
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .enablePositionalOptions() // behind pub and sub, -h and -V are theirs
    .exitOverride()
    .configureOutput({ outputError: (text) => complain(styled("red", oneLine(text))) })
    .showSuggestionAfterError()
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
  command
    .command("backup")
    .description("copy a database, whether or not a broker is using it")
    .requiredOption("--data <file>", "the database")
    .requiredOption("--to <file>", "where to put the copy; must not be there yet")
    .action((flags: { data: string; to: string }) => copy(flags))
  describePasswd(command)
  describePub(command, done)
  describeSub(command, done)
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
    const isForeseen = [ManjuError, CommandFailure, FileError].some((kind) => error instanceof kind)
    if (!isForeseen) throw error
    const lines = error instanceof ConfigurationError ? error.lines : [(error as Error).message]
    for (const line of lines) complain(styled("red", `manju: ${line}`))
    return error instanceof ManjuError && error.code === "INVALID_OPTION" ? USAGE : FAILURE
  }
}

process.exit(await run(process.argv))

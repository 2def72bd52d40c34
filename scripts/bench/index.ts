/**
 * `bun run bench [room]`: what manju does in a second, and what it takes, beside other brokers. Each room of this folder
 * measures one thing, and is a subcommand; `load` is meant where none is named. A mistake in the arguments is one line
 * and exit code 2.
 */
import { Command } from "commander"
import { command as campaign } from "./figures/campaign.ts"
import { command as figures } from "./figures/index.ts"
import { command as growth } from "./growth/index.ts"
import { command as load } from "./load/index.ts"
import { command as micro } from "./micro/index.ts"
import { UsageError } from "./options.ts"
import { command as startup } from "./startup/index.ts"
import { command as stresser } from "./stresser/index.ts"

/** The first is the default. */
const rooms = [load(), startup(), growth(), micro(), stresser(), campaign(), figures()]

const program = new Command("bench")
  .description("Measures manju. Without a command: load.")
  .configureOutput({ outputError: (text, write) => write(`${text.trim().replaceAll("\n", " ")}\n`) })
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
for (const [index, room] of rooms.entries()) {
  program.addCommand(room.copyInheritedSettings(program).allowExcessArguments(false), { isDefault: index === 0 })
}
program.helpOption(false) // so that --help, too, goes to the default

try {
  await program.parseAsync()
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  console.error(`error: ${error.message}`)
  process.exitCode = 2
}

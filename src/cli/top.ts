/** `manju top`: what a running broker is doing, live. */
import { type Command, InvalidArgumentError, Option } from "commander"
import { addAdminOptions } from "./admin-options.ts"
import { topicFilter, wholeNumber } from "./client/options.ts"
import type { TopFlags } from "./top/run.ts"

const MOST_SECONDS = 3600
const MOST_ROWS = 500

const help = `
Keys: q ends it, s and c sort topics and clients by something else, / takes another topic filter, space halts.
Where standard output is no terminal a frame is printed each time, in plain text.

The figures are those of the broker; topics and clients are those that it saw since the last frame. A broker with more than 500 busy topics
tells of some of them, others each time.

Examples:
  manju top
  manju top --topics 'sensors/+/temperature'
  MANJU_ADMIN_TOKEN=... manju top --url https://broker.example:8080
  manju top --once --json | jq .figures.rates

Exit codes: 0 ended by a key or a signal, 1 failure, 2 usage.`

/** Tells commander of it; `done` gets the exit code. */
export function describeTop(program: Command, done: (code: number) => void): void {
  const command = program
    .command("top")
    .description("show what a running broker does: rates, the busiest topics and clients")
    .addOption(new Option("--topics <filter>", "which topics").argParser(topicFilter).default("#"))
    .addOption(new Option("-d, --interval <seconds>", "time between frames").argParser(seconds).default(1))
    .addOption(
      new Option("-n, --rows <n>", "topics and clients in a frame of plain text")
        .argParser(wholeNumber(1, MOST_ROWS))
        .default(10),
    )
    .option("--once", "print one frame as plain text, and end")
    .option("--json", "print a line of JSON for each frame")
    .addHelpText("after", help)
    .action(async (flags: TopFlags) => {
      const { top } = await import("./top/run.ts") // which a broker does without
      await top(flags, process.env)
      done(0)
    })
  addAdminOptions(command)
}

function seconds(text: string): number {
  const value = Number(text)
  if (/^\d*\.?\d+$/.test(text) && value >= 1 && value <= MOST_SECONDS) return value
  throw new InvalidArgumentError(`It takes seconds from 1 to ${MOST_SECONDS}.`)
}

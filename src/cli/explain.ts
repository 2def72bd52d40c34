/** `manju explain`: asks a running broker why somebody does not get a message. */
import { type Command, InvalidArgumentError } from "commander"
import { addAdminOptions } from "./admin-options.ts"
import { topicName } from "./client/options.ts"
import type { ExplainFlags } from "./explain/run.ts"

const help = `
Topics are those of the broker: with the mount point of a listener in front, where it has one. What is marked ✗ lets no message through, what is
marked ! not every one; ✓ is in order, and · is to be known. What has happened is so only while the broker runs, and as far as it remembers.

Examples:
  manju explain --client dash-1 --topic a/b                    why does dash-1 not get it?
  manju explain --client dash-1 --topic a/b --from pump-7      ... when pump-7 publishes it?
  manju explain --client pump-7 --topic a/b --watch            and what becomes of each message from now on
  manju explain --client dash-1 --topic a/b --json | jq -r .receive.outcome

Exit codes: 0 the broker has answered, whatever it says, 1 failure, 2 usage.`

/** Tells commander of it; `done` gets the exit code. */
export function describeExplain(program: Command, done: (code: number) => void): void {
  const command = program
    .command("explain")
    .description("say why a client does not get messages of a topic, or nobody gets its: ask a running broker")
    .requiredOption("--client <id>", "who does not get it; or who publishes it", clientId)
    .requiredOption("--topic <topic>", "a topic name, without wildcards", topicName)
    .option("--from <id>", "who publishes it, where that is somebody else", clientId)
    .option("--watch", "go on, and tell what becomes of each message, until it is stopped")
    .option("--json", "print JSON: the explanation in a line, and each message in one")
    .addHelpText("after", help)
    .action(async (flags: ExplainFlags) => {
      const { explain } = await import("./explain/run.ts") // which a broker does without
      await explain(flags, process.env)
      done(0)
    })
  addAdminOptions(command)
}

function clientId(text: string): string {
  if (text !== "") return text
  throw new InvalidArgumentError("It takes a client id, not empty.")
}

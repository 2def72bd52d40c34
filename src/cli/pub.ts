/** `manju pub`: publishes, as mosquitto_pub does. */
import { type Command, InvalidArgumentError, Option } from "commander"
import { addClientOptions, MOST_SECONDS, topicName, wholeNumber } from "./client/options.ts"
import type { PubFlags } from "./client/publisher.ts"

const MOST_REPETITIONS = 0xffff_ffff

const help = `
Examples:
  manju pub -t hello/world -m hi                                  one message
  manju pub -t kitchen/light -m on -r -q 1                        retained, and acknowledged
  read-sensors | manju pub -t sensors/kitchen -l -q 1             a message for each line, until there are no more
  manju pub -t camera/door -f door.jpg -D publish content-type image/jpeg
  manju pub -t kitchen/light -n -r                                clears what is retained
  manju pub -L mqtts://ada@broker.example.com/alarms -m fire      over TLS; asks for the password
  manju pub -t beat -m tick --repeat 60 --repeat-delay 1          for a minute

Exit codes: 0 all is published, and at QoS 1 and 2 acknowledged; 1 failure, also when a message is refused; 2 usage.`

/** Tells commander of it; `done` gets the exit code. */
export function describePub(program: Command, done: (code: number) => void): void {
  const command = program
    .command("pub")
    .description("publish messages: mosquitto_pub's options")
    .helpOption("--help", "print this help")
    .addHelpText("after", help)
    .action(async (flags: PubFlags) => {
      const { pub } = await import("./client/publisher.ts") // which a broker does without
      done(await pub(flags))
    })
  const kinds = ["message", "file", "nullMessage", "stdinFile", "stdinLine"]
  const kind = (flags: string, about: string) => {
    const option = new Option(flags, about)
    return option.conflicts(kinds.filter((each) => each !== option.attributeName()))
  }
  const options = [
    new Option("-t, --topic <topic>", "where to").argParser(topicName),
    kind("-m, --message <text>", "publish that text"),
    kind("-f, --file <file>", "publish what is in that file"),
    kind("-n, --null-message", "publish an empty message"),
    kind("-s, --stdin-file", "publish standard input as one message"),
    kind("-l, --stdin-line", "publish each line of standard input as a message of its own"),
    new Option("-r, --retain", "the broker keeps it for who subscribes later"),
    new Option("-M, --max-inflight <n>", "how many may wait for their acknowledgement")
      .argParser(wholeNumber(1, 65_535))
      .default(20),
    new Option("--repeat <n>", "publish it that often")
      .argParser(wholeNumber(1, MOST_REPETITIONS))
      .default(1)
      .conflicts("stdinLine"),
    new Option("--repeat-delay <seconds>", "pause before each repetition, once the one before is acknowledged")
      .argParser(seconds)
      .default(0),
  ]
  for (const option of options) command.addOption(option.helpGroup("What:"))
  addClientOptions(command)
}

function seconds(text: string): number {
  const value = Number(text)
  if (/^\d*\.?\d+$/.test(text) && value <= MOST_SECONDS) return value
  throw new InvalidArgumentError(`It takes seconds, such as 0.5, to ${MOST_SECONDS}.`)
}

/** `manju sub`: subscribes, and prints what comes, as mosquitto_sub does. */
import { type Command, Option } from "commander"
import { addClientOptions, MOST_SECONDS, repeated, topicFilter, wholeNumber } from "./client/options.ts"
import type { SubFlags } from "./client/subscriber.ts"

const help = `
What -F takes, as mosquitto_sub does:
  %t topic     %p payload   %l its length   %x %X in hexadecimal   %q QoS   %r retained: 1 or 0   %m packet id
  %j %J        JSON, with the payload as a text, or as the JSON that it is
  %I %U        the time: ISO 8601, seconds since 1970          @H @M ...  its parts, as strftime(3) has them; @N nanoseconds
  %C %D %E %F %R %S %A %P   content type, correlation data, message expiry, payload format, response topic, subscription
               identifier, topic alias, user properties
  %-10t %010l %.5t          left, at least 10 wide; with zeros in front; at most 5
  %% @@ \\\\ \\0 \\a \\e \\n \\r \\t \\v

Examples:
  manju sub -t '#' -v                                       everything, with topics
  manju sub -t 'sensors/+/temperature' -F '@T %t %p'        with the time of day
  manju sub -t 'a/#' -t 'b/#' -T 'b/noise/#' --json         two trees without a branch, a line of JSON each
  manju sub -t status -C 1 -W 5                             one message, or exit code 27 after 5 seconds
  manju sub -L mqtts://ada@broker.example.com/alarms -q 1   over TLS; asks for the password
  manju sub -i keeper -c -q 1 -t 'orders/#'                 what came while it was away, too

Exit codes: 0 done or stopped by a signal, 1 failure, 2 usage, 27 the time of -W is over.`

/** Tells commander of it; `done` gets the exit code. */
export function describeSub(program: Command, done: (code: number) => void): void {
  const command = program
    .command("sub")
    .description("subscribe, and print what comes: mosquitto_sub's options")
    .helpOption("--help", "print this help")
    .addHelpText("after", help)
    .action(async (flags: SubFlags) => {
      const { sub } = await import("./client/subscriber.ts") // which a broker does without
      done(await sub(flags))
    })
  const filters = (flags: string, about: string) => new Option(flags, about).argParser(repeated(topicFilter))
  const options = [
    filters("-t, --topic <filter>", "what to subscribe to; may be repeated"),
    filters("-T, --filter-out <filter>", "what not to print; may be repeated"),
    filters("-U, --unsubscribe <filter>", "what to unsubscribe from; may be repeated"),
    new Option("-C, --count <n>", "end after that many messages").argParser(wholeNumber(1, Number.MAX_SAFE_INTEGER)),
    new Option("-W, --timeout <seconds>", "end after that time, with exit code 27").argParser(
      wholeNumber(1, MOST_SECONDS),
    ),
    new Option("-E, --only-subscribe", "end when the broker has acknowledged all subscriptions"),
    new Option("-R, --no-retained", "print no retained messages"),
    new Option("--retained-only", "print retained messages only, and end at the first other").conflicts("retained"),
    new Option("--retain-as-published", "keep the retain flag as the publisher set it, MQTT 5"),
    new Option("--remove-retained", "clear retained messages that come, but those of -T"),
    new Option("-v, --verbose", "print topic and payload, not the payload alone"),
    new Option("-F, --format <text>", "print that, with % for what a message holds; see below").conflicts("json"),
    new Option("--json", "print a line of JSON for each message"),
    new Option("--pretty", "JSON over several lines"),
    new Option("-N, --no-eol", "print no end of line behind a message"),
  ]
  for (const option of options) command.addOption(option.helpGroup("What:"))
  addClientOptions(command)
}

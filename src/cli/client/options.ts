/** What `manju pub` and `manju sub` share on the command line: where the broker is, who comes, and what it leaves behind. */
import { type Command, InvalidArgumentError, Option } from "commander"
import { ManjuError } from "../../broker/errors.ts"
import { NEVER_EXPIRES_SECONDS, type ProtocolLevel, type QoS } from "../../codec/index.ts"
import { isTopicName, parseTopicFilter } from "../../router/index.ts"

/** What commander gives for both. */
export interface ClientFlags {
  url?: string
  host?: string
  port?: number
  unix?: string
  ws?: true
  username?: string
  pw?: string
  id?: string
  idPrefix?: string
  qos: QoS
  keepalive: number
  protocolVersion?: ProtocolLevel
  disableCleanSession?: true
  sessionExpiryInterval?: number
  /** `command identifier value` or `command user-property name value`, one behind the other. */
  property?: string[]
  willTopic?: string
  willPayload?: string
  willQos?: QoS
  willRetain?: true
  cafile?: string
  cert?: string
  key?: string
  insecure?: true
  quiet?: true
}

/** What the protocol allows, whatever the broker does. */
export const LONGEST_TOPIC = { maximumTopicBytes: 65_535, maximumTopicLevels: Number.POSITIVE_INFINITY }
/** What a timer takes. */
export const MOST_SECONDS = 2_147_483
/** What the runtime makes of a byte in an argument that is not UTF-8. */
const NOT_UTF8 = "\ufffd"

/** Adds them to a command, which has to have no other `-h`. */
export function addClientOptions(command: Command): void {
  const group = (heading: string, ...options: Option[]) => {
    for (const option of options) command.addOption(option.helpGroup(heading))
  }
  group(
    "Where:",
    new Option("-h, --host <name>", "the broker's name or address (default: localhost)"),
    new Option("-p, --port <port>", "its port (default: 1883, with TLS 8883)").argParser(wholeNumber(1, 65_535)),
    new Option("--unix <path>", "its Unix domain socket").conflicts(["host", "port", "ws"]),
    new Option("--ws", "MQTT over WebSocket, at /mqtt (default port: 1882, with TLS 8884)"),
    new Option(
      "-L, --url <url>",
      "all at once: mqtt[s]://[user[:password]@]host[:port][/topic], or ws[s]://host[:port]/path",
    ).conflicts(["host", "port", "unix", "ws"]),
  )
  group(
    "Who:",
    new Option("-u, --username <name>", "user name; its password is $MANJU_PASSWORD, or asked for at a terminal"),
    new Option("-P, --pw <password>", "password, for everybody to see in the list of processes"),
    new Option("-i, --id <id>", "client id (default: a random one)").conflicts("idPrefix"),
    new Option("-I, --id-prefix <text>", "client id: this and the number of the process"),
    new Option("-c, --disable-clean-session", "go on with the session of that client id, and leave it behind"),
    new Option(
      "-x, --session-expiry-interval <seconds>",
      "how long the session stays, MQTT 5; -1 for ever (default: 0, with -c -1)",
    ).argParser(sessionExpiry),
    new Option("-k, --keepalive <seconds>", "longest silence; 0 for none")
      .argParser(wholeNumber(0, 65_535))
      .default(60),
    new Option(
      "-V, --protocol-version <version>",
      "mqttv5, mqttv311 or mqttv31, or the number alone (default: 5, and 311 where that is not spoken)",
    ).argParser(protocolLevel),
    new Option(
      "-D, --property <what...>",
      "a property of MQTT 5: command identifier value, or command user-property name value",
    ),
  )
  group(
    "TLS:",
    new Option(
      "--cafile <file>",
      "speak TLS, and believe this authority, PEM (default with mqtts:// or port 8883: the usual ones)",
    ),
    new Option("--cert <file>", "own certificate, PEM"),
    new Option("--key <file>", "its private key"),
    new Option("--insecure", "do not check that the certificate is that host's; for trials only"),
  )
  group(
    "Will:",
    new Option("--will-topic <topic>", "what the broker publishes when the connection breaks: its topic").argParser(
      topicName,
    ),
    new Option("--will-payload <text>", "its payload (default: none)"),
    new Option("--will-qos <qos>", "its QoS (default: 0)").argParser(qos),
    new Option("--will-retain", "it is retained"),
  )
  command.addOption(qosOption())
  command.option("--quiet", "print no errors but those of usage")
}

function qosOption(): Option {
  return new Option("-q, --qos <qos>", "quality of service: 0, 1 or 2").argParser(qos).default(0)
}

/** A commander parser for a whole number from `minimum` to `maximum`. */
export function wholeNumber(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= minimum && value <= maximum) return value
    throw new InvalidArgumentError(`It takes a whole number from ${minimum} to ${maximum}.`)
  }
}

/** A commander parser for an option that may be repeated. */
export function repeated<T>(parse: (text: string) => T): (text: string, previous: T[] | undefined) => T[] {
  return (text, previous = []) => [...previous, parse(text)]
}

/** A commander parser for a topic name. */
export function topicName(text: string): string {
  const bytes = Buffer.from(text)
  if (isTopicName(bytes, 0, bytes.length, LONGEST_TOPIC) && !text.includes(NOT_UTF8)) return text
  throw new InvalidArgumentError("It takes a topic: UTF-8, not empty, without + and #.")
}

/** A commander parser for a topic filter. */
export function topicFilter(text: string): string {
  if (parseTopicFilter(text, LONGEST_TOPIC) !== undefined && !text.includes(NOT_UTF8)) return text
  throw new InvalidArgumentError(
    "It takes a topic filter: levels, among them + for any one, # at the end for the rest.",
  )
}

function qos(text: string): QoS {
  return wholeNumber(0, 2)(text) as QoS
}

function protocolLevel(text: string): ProtocolLevel {
  const levels: Record<string, ProtocolLevel> = { "31": 3, "311": 4, "5": 5 }
  const level = levels[text.replace(/^mqttv/, "")]
  if (level !== undefined) return level
  throw new InvalidArgumentError("It takes mqttv5, mqttv311 or mqttv31.")
}

function sessionExpiry(text: string): number {
  if (text === "-1" || text === "∞") return NEVER_EXPIRES_SECONDS
  if (/^\d+$/.test(text) && Number(text) <= NEVER_EXPIRES_SECONDS) return Number(text)
  throw new InvalidArgumentError(`It takes seconds from 0 to ${NEVER_EXPIRES_SECONDS}, or -1 for ever.`)
}

/** Something in the flags that cannot be, in one line: exit code 2. */
export function misuse(problem: string): ManjuError {
  return new ManjuError("INVALID_OPTION", problem)
}

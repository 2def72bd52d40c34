/** Properties of MQTT 5 on the command line, as mosquitto_pub and mosquitto_sub take them: `-D publish content-type text/plain`. */
import { misuse, topicName, wholeNumber } from "./options.ts"

export type PropertyCommand = "connect" | "publish" | "subscribe" | "unsubscribe" | "disconnect" | "will"

/** In MQTT.js's names. */
export interface PropertyValues {
  userProperties?: Record<string, string | string[]>
  [name: string]: unknown
}

interface Definition {
  /** MQTT.js's. */
  readonly name: string
  readonly commands: readonly PropertyCommand[]
  readonly read: (text: string) => unknown
}

const U16 = 0xffff
const U32 = 0xffff_ffff
const VARINT = 0xfff_ffff

const flag = (text: string) => wholeNumber(0, 1)(text) === 1
const message = ["publish", "will"] as const
const connect = ["connect"] as const

const definitions: Record<string, Definition> = {
  "payload-format-indicator": { name: "payloadFormatIndicator", commands: message, read: flag },
  "message-expiry-interval": { name: "messageExpiryInterval", commands: message, read: wholeNumber(0, U32) },
  "content-type": { name: "contentType", commands: message, read: String },
  "response-topic": { name: "responseTopic", commands: message, read: topicName },
  "correlation-data": { name: "correlationData", commands: message, read: (text) => Buffer.from(text) },
  "topic-alias": { name: "topicAlias", commands: ["publish"], read: wholeNumber(1, U16) },
  "will-delay-interval": { name: "willDelayInterval", commands: ["will"], read: wholeNumber(0, U32) },
  "subscription-identifier": { name: "subscriptionIdentifier", commands: ["subscribe"], read: wholeNumber(1, VARINT) },
  "session-expiry-interval": {
    name: "sessionExpiryInterval",
    commands: ["connect", "disconnect"],
    read: wholeNumber(0, U32),
  },
  "receive-maximum": { name: "receiveMaximum", commands: connect, read: wholeNumber(1, U16) },
  "maximum-packet-size": { name: "maximumPacketSize", commands: connect, read: wholeNumber(1, U32) },
  "topic-alias-maximum": { name: "topicAliasMaximum", commands: connect, read: wholeNumber(0, U16) },
  "request-problem-information": {
    name: "requestProblemInformation",
    commands: connect,
    read: flag,
  },
  "request-response-information": {
    name: "requestResponseInformation",
    commands: connect,
    read: flag,
  },
}

/**
 * Reads the words behind all `-D`, for a client that sends those packets. Throws `INVALID_OPTION` for what is not a
 * property, does not belong to that packet, or stands twice.
 */
export function parseProperties(
  words: readonly string[],
  sent: readonly PropertyCommand[],
): Map<PropertyCommand, PropertyValues> {
  const values = new Map<PropertyCommand, PropertyValues>()
  const left = [...words]
  while (left.length > 0) {
    const [command, identifier] = [left.shift()!.toLowerCase() as PropertyCommand, left.shift() ?? ""]
    if (!sent.includes(command)) throw misuse(`-D ${command}: it takes one of ${sent.join(", ")} first`)
    const into = values.get(command) ?? {}
    values.set(command, into)
    if (identifier === "user-property") addUserProperty(into, left.splice(0, 2))
    else addProperty(into, command, identifier, left.shift())
  }
  return values
}

function addUserProperty(into: PropertyValues, [name, value]: string[]): void {
  if (name === undefined || value === undefined) throw misuse("-D … user-property takes a name and a value")
  const all = (into.userProperties ??= Object.create(null) as Record<string, string | string[]>)
  const before = all[name]
  all[name] = before === undefined ? value : [...[before].flat(), value]
}

function addProperty(
  into: PropertyValues,
  command: PropertyCommand,
  identifier: string,
  text: string | undefined,
): void {
  const definition = Object.hasOwn(definitions, identifier) ? definitions[identifier] : undefined
  if (definition === undefined) {
    const begun = identifier === "" ? `-D ${command} takes` : `-D ${command} ${identifier}: it takes`
    throw misuse(`${begun} one of ${identifiersOf(command).join(", ")}`)
  }
  const { name, commands, read } = definition
  if (!commands.includes(command)) throw misuse(`-D: ${identifier} is no property of ${command}`)
  if (text === undefined) throw misuse(`-D ${command} ${identifier} takes a value`)
  if (name in into) throw misuse(`-D ${command} ${identifier} stands there twice`)
  try {
    into[name] = read(text)
  } catch (error) {
    throw misuse(`-D ${command} ${identifier} '${text}' is invalid. ${(error as Error).message}`)
  }
}

function identifiersOf(command: PropertyCommand): string[] {
  const own = Object.entries(definitions).filter(([, { commands }]) => commands.includes(command))
  return [...own.map(([identifier]) => identifier), "user-property"]
}

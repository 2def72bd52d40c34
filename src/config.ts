/**
 * The configuration of the command: flags to options, checked in one place. The limits come from the broker's own table,
 * so that a limit added there has its flag, its help and its check.
 */
import { InvalidArgumentError, Option } from "commander"
import { ManjuError } from "./broker/errors.ts"
import { checkLimit, type LimitName, type ListenerLimits, limitDefinitions } from "./broker/limits.ts"
import type { BrokerOptions } from "./broker/options.ts"
import type { ProtocolLevel, QoS } from "./codec/index.ts"

export const logLevels = ["debug", "info", "warn", "error", "silent"] as const
export type LogLevel = (typeof logLevels)[number]

/** What commander gives for `start`. */
export interface StartFlags extends Partial<Record<LimitName, number>> {
  host: string
  tcp?: number | false
  ws?: number | false
  http?: number | false
  unix?: string
  allowAnonymous?: true
  passwords?: string
  acl?: string
  tlsCert?: string
  tlsKey?: string
  tlsCa?: string
  tlsUsername?: "cn" | "san"
  origins?: string[]
  logLevel: LogLevel
  data?: string
  durability: "power" | "process"
  validatePayloadFormat?: true
  protocolLevels?: ProtocolLevel[]
  maximumQos?: QoS
  retain: boolean
  wildcards: boolean
  shared: boolean
  assignClientIds: boolean
  clientIdPrefix?: string
  mountPoint?: string
  topicAliasMaximum?: number
  outgoingTopicAliasMaximum?: number
}

/** `maximumPacketBytes` -> `--maximum-packet-bytes` */
const kebab = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

function wholeNumber(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (text.trim() !== "" && Number.isInteger(value) && value >= minimum && value <= maximum) return value
    throw new InvalidArgumentError(`It takes a whole number from ${minimum} to ${maximum}.`)
  }
}

function protocolLevels(text: string): ProtocolLevel[] {
  const names: Record<string, ProtocolLevel> = { "3.1": 3, "3.1.1": 4, "5": 5, "5.0": 5 }
  return text.split(",").map((name) => {
    const level = names[name.trim()]
    if (level === undefined) throw new InvalidArgumentError("It takes a list of 3.1, 3.1.1 and 5.")
    return level
  })
}

function port(flags: string, help: string): Option {
  return new Option(flags, help).argParser(wholeNumber(0, 65_535))
}

/** The flags of `start` that say where to listen and what to say. */
export function generalFlags(): Option[] {
  return [
    new Option("--host <address>", "address to listen on").default("127.0.0.1"),
    port("--tcp <port>", "port for MQTT over TCP (default: 1883, with TLS 8883); 0 takes a free one"),
    port("--ws <port>", "port for MQTT over WebSocket (default: 1882, with TLS 8884)"),
    port("--http <port>", "port for health checks, /healthz and /readyz (default: 8080)"),
    new Option("--no-tcp", "nothing over TCP"),
    new Option("--no-ws", "nothing over WebSocket"),
    new Option("--no-http", "nothing over HTTP"),
    new Option("--unix <path>", "also MQTT over a Unix domain socket"),
    new Option(
      "--origins <list>",
      "origins of web pages that may connect (default: those from the same IP address or localhost, whatever the port)",
    ).argParser((text) => text.split(",").map((origin) => origin.trim())),
    new Option("--tls-cert <file>", "speak TLS: the certificate, PEM"),
    new Option("--tls-key <file>", "its private key"),
    new Option("--tls-ca <file>", "clients have to show a certificate signed by it"),
    new Option(
      "--tls-username <name>",
      "a client's user name is its certificate's common name, or subject alternative name, whatever it says itself; over TCP only",
    ).choices(["cn", "san"]),
    new Option("--passwords <file>", "users and their passwords, of manju passwd or mosquitto_passwd"),
    new Option(
      "--acl <file>",
      "who may do what with which topics, in Mosquitto's syntax; without --passwords or --tls-username anybody can take any user's name, so on loopback only",
    ),
    new Option(
      "--allow-anonymous",
      "let in who names no user (with neither --passwords nor --acl: everybody), on any address; without it only on loopback",
    ),
    new Option("--data <file>", "database for sessions and retained messages; made if it is not there"),
    new Option("--durability <kind>", "what a commit survives: power cuts, or only the end of the process")
      .choices(["power", "process"])
      .default("power"),
    new Option("--log-level <level>", "least important lines to print").choices(logLevels).default("info"),
  ]
}

/** What clients are offered. */
export function listenerFlags(): Option[] {
  return [
    new Option("--protocol-levels <list>", "MQTT versions to serve (default: 3.1,3.1.1,5)").argParser(protocolLevels),
    new Option("--maximum-qos <qos>", "highest QoS (default: 2)").argParser(wholeNumber(0, 2)),
    new Option("--no-retain", "no retained messages"),
    new Option("--no-wildcards", "no wildcard subscriptions"),
    new Option("--no-shared", "no shared subscriptions"),
    new Option("--no-assign-client-ids", "refuse clients without an id"),
    new Option("--client-id-prefix <text>", "what assigned client ids begin with (default: manju-)"),
    new Option("--mount-point <prefix>", "prefix before all topics, which clients don't see"),
    new Option("--topic-alias-maximum <n>", "topic aliases that a client may set (default: 256)").argParser(
      wholeNumber(0, 65_535),
    ),
    new Option("--outgoing-topic-alias-maximum <n>", "topic aliases set for a client (default: 64)").argParser(
      wholeNumber(0, 65_535),
    ),
    new Option("--validate-payload-format", "refuse payloads that claim to be UTF-8 and are not"),
  ]
}

/** A flag for every limit of the broker. */
export function limitFlags(): Option[] {
  return Object.entries(limitDefinitions).map(([name, { default: standard, minimum, maximum, help }]) =>
    new Option(`--${kebab(name)} <n>`, `${help} (default: ${standard})`).argParser(wholeNumber(minimum, maximum)),
  )
}

export function brokerOptions(flags: StartFlags): BrokerOptions {
  const limits: BrokerOptions["limits"] = {}
  for (const name of Object.keys(limitDefinitions) as LimitName[]) {
    if (flags[name] !== undefined) limits[name] = checkLimit(name, flags[name])
  }
  return { limits, validatePayloadFormat: flags.validatePayloadFormat ?? false }
}

export function listenerLimits(flags: StartFlags): Partial<ListenerLimits> {
  const limits: Partial<ListenerLimits> = {
    retainAvailable: flags.retain,
    wildcardSubscriptionAvailable: flags.wildcards,
    sharedSubscriptionAvailable: flags.shared,
    assignClientIds: flags.assignClientIds,
  }
  if (flags.protocolLevels !== undefined) limits.protocolLevels = flags.protocolLevels
  if (flags.maximumQos !== undefined) limits.maximumQoS = flags.maximumQos
  if (flags.clientIdPrefix !== undefined) limits.assignedClientIdPrefix = flags.clientIdPrefix
  if (flags.mountPoint !== undefined) limits.mountPoint = flags.mountPoint
  if (flags.topicAliasMaximum !== undefined) limits.topicAliasMaximum = flags.topicAliasMaximum
  if (flags.outgoingTopicAliasMaximum !== undefined) limits.outgoingTopicAliasMaximum = flags.outgoingTopicAliasMaximum
  return limits
}

/** Whether access rules go by user names that nothing proves, for some clients at least. */
export function believesNames({ acl, passwords, allowAnonymous, tlsUsername, unix }: StartFlags): boolean {
  if (acl === undefined || passwords !== undefined || allowAnonymous) return false
  return tlsUsername === undefined || unix !== undefined
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d+){3}$/.test(host)
}

/**
 * Throws `INVALID_OPTION` for flags that leave nothing to listen on or contradict each other, and for an address that others
 * can reach while nobody has said who may connect, or who is who.
 */
export function assertSensible(flags: StartFlags): void {
  const refuse = (what: string) => {
    throw new ManjuError("INVALID_OPTION", what)
  }
  const { host, tcp, ws, unix, allowAnonymous, passwords, tlsCert, tlsKey, tlsCa, tlsUsername } = flags
  if ((tlsCert === undefined) !== (tlsKey === undefined) || (tlsCa !== undefined && tlsCert === undefined)) {
    refuse("TLS takes both --tls-cert and --tls-key")
  }
  if (tlsUsername !== undefined) {
    if (tlsCa === undefined) refuse("--tls-username needs --tls-ca: whose certificates to believe")
    if (typeof ws === "number") refuse("--tls-username is for TCP: Bun does not tell whose certificate a WebSocket has")
    if (allowAnonymous) refuse("with --tls-username everybody has a user name: --allow-anonymous lets nobody in")
  }
  if (tcp === false && unix === undefined && (ws === false || tlsUsername !== undefined)) {
    refuse("nothing is left for MQTT to listen on: leave --no-tcp out, or give --unix")
  }
  if (isLoopback(host)) return
  const isOpen = `--host ${host} can be reached by others, and nothing says who`
  if (!allowAnonymous && passwords === undefined && tlsCa === undefined) {
    refuse(`${isOpen} may connect: give --passwords, --tls-ca, or let everybody in with --allow-anonymous`)
  }
  if (believesNames(flags) && tlsUsername === undefined) {
    refuse(
      `${isOpen} is who, which --acl goes by: give --passwords or --tls-username, or --allow-anonymous for who names no user`,
    )
  }
}

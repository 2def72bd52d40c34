/**
 * The limits of a broker and of a listener: one table each, from which come the types' defaults, the checks, the command's
 * flags and their help.
 */
import { LARGEST_PACKET_BYTES, NEVER_EXPIRES_SECONDS, type ProtocolLevel } from "../codec/index.ts"
import { ManjuError } from "./errors.ts"

interface LimitDefinition {
  default: number
  minimum: number
  maximum: number
  help: string
  /** When a change at run time does: at once, for each client from its next connection on, or never. */
  takesHold: "now" | "next connection" | "restart"
}

const COUNT = Number.MAX_SAFE_INTEGER
const taking =
  (takesHold: LimitDefinition["takesHold"]) =>
  (standard: number, minimum: number, maximum: number, help: string): LimitDefinition => ({
    default: standard,
    minimum,
    maximum,
    help,
    takesHold,
  })
const atOnce = taking("now")
const atConnect = taking("next connection")
/** Clients have been told, or something has been made of that size. */
const atStart = taking("restart")

/** Every number that bounds a broker, with its default. */
export const limitDefinitions = {
  maximumPacketBytes: atStart(
    2_097_152,
    64,
    LARGEST_PACKET_BYTES,
    "largest packet taken from a client, bytes; a WebSocket's frame may have twice that, from strangers too",
  ),
  maximumConnections: atOnce(100_000, 1, COUNT, "connections at once"),
  maximumSessions: atOnce(1_000_000, 1, COUNT, "sessions, connected or not"),
  maximumSubscriptionsPerClient: atOnce(10_000, 1, COUNT, "subscriptions of one client"),
  maximumInflight: atConnect(1024, 1, 65_535, "messages of QoS 1 and 2 on their way to one client"),
  receiveMaximum: atStart(1024, 1, 65_535, "messages of QoS 1 and 2 on their way from one client"),
  maximumQueuedMessages: atOnce(10_000, 0, COUNT, "messages waiting for one session; with a store any number"),
  maximumQueuedBytes: atOnce(67_108_864, 0, COUNT, "bytes waiting for one session; with a store 1 GiB"),
  maximumQueueMemoryBytes: atOnce(536_870_912, 0, COUNT, "bytes waiting for all sessions together"),
  maximumUnstoredBytes: atStart(67_108_864, 1024, COUNT, "bytes waiting for the disk; publishers wait beyond"),
  maximumBacklogBytes: atStart(4_194_304, 1024, COUNT, "bytes waiting for one socket; QoS 0 is dropped beyond"),
  maximumRetainedMessages: atOnce(1_000_000, 0, COUNT, "retained messages"),
  maximumPublishRate: atOnce(0, 0, COUNT, "messages a second from one client, the rest waits; 0: any"),
  maximumKeepAliveSeconds: atConnect(0, 0, 65_535, "keep-alive ceiling, seconds; 0: none"),
  maximumSessionExpirySeconds: atConnect(
    NEVER_EXPIRES_SECONDS,
    0,
    NEVER_EXPIRES_SECONDS,
    "session expiry ceiling, seconds",
  ),
  connectTimeoutSeconds: atStart(10, 1, 3600, "time for a connection's CONNECT to arrive, seconds"),
  maximumTopicBytes: atStart(65_535, 1, 65_535, "length of a topic, bytes"),
  maximumTopicLevels: atStart(128, 1, 4096, "levels of a topic"),
  retainedDelaySeconds: atOnce(1, 0, 3600, "seconds after which a retained QoS 0 message is stored; spares the disk"),
  sysIntervalSeconds: atStart(10, 0, 86_400, "seconds between updates of $SYS; 0: no $SYS"),
} as const satisfies Record<string, LimitDefinition>

/** With a store what waits is on disk: it is bounded in bytes there, not in messages. */
const storeDefaults = { maximumQueuedMessages: COUNT, maximumQueuedBytes: 1_073_741_824 }

/** The name of a limit, such as `maximumConnections`. */
export type LimitName = keyof typeof limitDefinitions

/** The bounds of a broker. Sizes in bytes, times in seconds; each may be given alone, the rest is default. */
export type Limits = { [name in LimitName]: number }

/** What one listener's clients are offered. What is switched off is told in CONNACK and refused with the right code. */
export interface ListenerLimits {
  /** Connections at once through this listener. Default: as the broker's. */
  maximumConnections: number
  /** Protocol levels served: 3 (MQTT 3.1), 4 (3.1.1), 5 (5.0). Default: all. */
  protocolLevels: readonly ProtocolLevel[]
  /** The highest QoS a client may publish with or is granted. Default: 2. */
  maximumQoS: 0 | 1 | 2
  /** Default: true. */
  retainAvailable: boolean
  /** Default: true. */
  wildcardSubscriptionAvailable: boolean
  /** Default: true. */
  sharedSubscriptionAvailable: boolean
  /** Topic aliases a client may set, which the broker must remember. Default: 256. */
  topicAliasMaximum: number
  /** Topic aliases that the broker sets for a client, if the client takes as many. Default: 64. */
  outgoingTopicAliasMaximum: number
  /** Whether a client without an id is given one. Default: true. */
  assignClientIds: boolean
  /** What assigned client ids begin with. Default: `manju-`. */
  assignedClientIdPrefix: string
  /** Response Information for clients that ask for it; `%c` is the client id. Default: none. */
  responseInformation: string
  /** A prefix before all topics of this listener's clients, which they don't see; ends in `/`. Default: none. */
  mountPoint: string
}

/** What a listener offers that is not told otherwise. */
export const listenerDefaults: ListenerLimits = {
  maximumConnections: COUNT,
  protocolLevels: [3, 4, 5],
  maximumQoS: 2,
  retainAvailable: true,
  wildcardSubscriptionAvailable: true,
  sharedSubscriptionAvailable: true,
  topicAliasMaximum: 256,
  outgoingTopicAliasMaximum: 64,
  assignClientIds: true,
  assignedClientIdPrefix: "manju-",
  responseInformation: "",
  mountPoint: "",
}

/** The limits with their defaults. Throws `INVALID_OPTION` for a name that is none, or a number out of range. */
export function resolveLimits(given: Partial<Limits> = {}, hasStore = false): Limits {
  const limits = {} as Limits
  for (const name of Object.keys(limitDefinitions) as LimitName[]) limits[name] = limitDefinitions[name].default
  if (hasStore) Object.assign(limits, storeDefaults)
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue
    limits[name as LimitName] = checkLimit(name, value)
  }
  return limits
}

/** The value, if the limit `name` takes it. */
export function checkLimit(name: string, value: number): number {
  const definition = limitDefinitions[name as LimitName] as LimitDefinition | undefined
  if (definition === undefined) {
    throw new ManjuError(
      "INVALID_OPTION",
      `limits.${name} does not exist; there are ${Object.keys(limitDefinitions).join(", ")}`,
    )
  }
  const { minimum, maximum } = definition
  if (Number.isInteger(value) && value >= minimum && value <= maximum) return value
  throw new ManjuError("INVALID_OPTION", `${name} must be a whole number from ${minimum} to ${maximum}, not ${value}`)
}

/** A listener's limits with their defaults. Throws `INVALID_OPTION` where one makes no sense. */
export function resolveListenerLimits(given: Partial<ListenerLimits> = {}): ListenerLimits {
  const limits = { ...listenerDefaults }
  for (const [name, value] of Object.entries(given)) {
    if (!(name in listenerDefaults)) {
      throw new ManjuError(
        "INVALID_OPTION",
        `the listener option ${name} does not exist; there are ${Object.keys(listenerDefaults).join(", ")}`,
      )
    }
    if (value !== undefined) Object.assign(limits, { [name]: value })
  }
  for (const name of ["topicAliasMaximum", "outgoingTopicAliasMaximum"] as const) {
    const value = limits[name]
    if (!Number.isInteger(value) || value < 0 || value > 65_535) {
      throw new ManjuError("INVALID_OPTION", `${name} must be a whole number from 0 to 65535, not ${value}`)
    }
  }
  if (!Number.isInteger(limits.maximumConnections) || limits.maximumConnections < 1) {
    throw new ManjuError(
      "INVALID_OPTION",
      `maximumConnections must be a whole number above 0, not ${limits.maximumConnections}`,
    )
  }
  if (limits.protocolLevels.length === 0 || !limits.protocolLevels.every((level) => [3, 4, 5].includes(level))) {
    throw new ManjuError("INVALID_OPTION", `protocolLevels must be some of 3, 4 and 5, not [${limits.protocolLevels}]`)
  }
  if (![0, 1, 2].includes(limits.maximumQoS)) {
    throw new ManjuError("INVALID_OPTION", `maximumQoS must be 0, 1 or 2, not ${limits.maximumQoS}`)
  }
  if (!/^([^+#\0]*\/)?$/.test(limits.mountPoint)) {
    throw new ManjuError(
      "INVALID_OPTION",
      `mountPoint is a topic prefix without wildcards that ends in /, not ${limits.mountPoint}`,
    )
  }
  return limits
}

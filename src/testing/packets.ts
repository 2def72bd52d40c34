/** What a test client sends, from the words in which a test says it. */
import type { IAuthPacket, IConnectPacket, IPublishPacket, ISubscribePacket } from "mqtt-packet"
import { ManjuError } from "../broker/errors.ts"
import type { Certificate } from "../broker/ports.ts"
import type { Properties, ProtocolLevel, QoS, Reason } from "../codec/index.ts"
import { encodeProperties } from "./properties.ts"

/** The message that the broker publishes if the client goes without a word. */
export interface TestWill {
  topic: string
  payload: string | Uint8Array
  /** Default: 0. */
  qos?: QoS
  /** Default: false. */
  retain?: boolean
  /** MQTT 5: those of the message, and `willDelaySeconds`. */
  properties?: Properties
}

/** What a test client's CONNECT says, where it comes from, and how it behaves. */
export interface TestClientOptions {
  /** Empty: the broker assigns one. Default: `test-1`, `test-2`, ..., after the listener's id. */
  clientId?: string
  username?: string
  /** Not without a user name. */
  password?: string | Uint8Array
  /** 3 (MQTT 3.1), 4 (3.1.1) or 5 (5.0). Default: 5. */
  protocolLevel?: ProtocolLevel
  /** Whether to begin without a session. Default: true. */
  cleanStart?: boolean
  /** MQTT 5: how long the session outlives the connection. Default: 0. (Before, one that is not clean outlives it.) */
  sessionExpirySeconds?: number
  /** How long it may be silent; it sends no pings by itself. Default: 0, for ever. */
  keepAliveSeconds?: number
  will?: TestWill
  /** MQTT 5: what else CONNECT says. */
  properties?: Properties
  /** Default: `memory`. An IP address from which too many have been refused is slowed down, and then waits for the clock. */
  remoteAddress?: string
  /** What a listener that asks for certificates would have seen. Default: none. */
  certificate?: Certificate
  /** Whether messages are acknowledged as they come. Default: true. If not, `client.acknowledge` does it. */
  acknowledge?: boolean
  /** MQTT 5: answers the challenges of the enhanced authentication whose method is in `properties`. */
  answerChallenge?(challenge: Uint8Array | undefined): Uint8Array
}

/** What a test client's PUBLISH says beside topic and payload. */
export interface TestPublishOptions {
  /** Default: 0. */
  qos?: QoS
  /** Default: false. */
  retain?: boolean
  /** MQTT 5: those of the message, and `topicAlias`. */
  properties?: Properties
}

/** What a test client's SUBSCRIBE says beside its filters. */
export interface TestSubscribeOptions {
  /** Default: 0. */
  qos?: QoS
  /** MQTT 5: not what this client publishes itself. Default: false. */
  noLocal?: boolean
  /** MQTT 5: messages keep the retain flag that they were published with. Default: false. */
  retainAsPublished?: boolean
  /** MQTT 5: retained messages are sent always (0), to a new subscription only (1), never (2). Default: 0. */
  retainHandling?: 0 | 1 | 2
  /** MQTT 5: comes with each message of the subscription. */
  identifier?: number
}

// All of these throw `INVALID_OPTION` for what the protocol level does not have. Packet ids are added by who sends them.

export function connectPacket(clientId: string, options: TestClientOptions): IConnectPacket {
  const { protocolLevel = 5, cleanStart = true, keepAliveSeconds = 0, sessionExpirySeconds } = options
  const { username, password, will, properties } = options
  return {
    cmd: "connect",
    protocolId: protocolLevel === 3 ? "MQIsdp" : "MQTT",
    protocolVersion: protocolLevel,
    clean: cleanStart,
    clientId,
    keepalive: keepAliveSeconds,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password: Buffer.from(password as Uint8Array) }),
    ...(will !== undefined && { will: willFields(protocolLevel, will) }),
    ...encodeProperties(protocolLevel, {
      ...properties,
      ...(sessionExpirySeconds !== undefined && { sessionExpirySeconds }),
    }),
  }
}

function willFields(level: ProtocolLevel, will: TestWill): NonNullable<IConnectPacket["will"]> {
  const { topic, payload, qos = 0, retain = false, properties = {} } = will
  return { topic, payload: Buffer.from(payload as Uint8Array), qos, retain, ...encodeProperties(level, properties) }
}

export function publishPacket(
  level: ProtocolLevel,
  topic: string,
  payload: string | Uint8Array,
  { qos = 0, retain = false, properties = {} }: TestPublishOptions,
): IPublishPacket {
  const bytes = Buffer.from(payload as Uint8Array)
  return { cmd: "publish", topic, payload: bytes, qos, retain, dup: false, ...encodeProperties(level, properties) }
}

export function subscribePacket(
  level: ProtocolLevel,
  filters: readonly string[],
  options: TestSubscribeOptions,
): ISubscribePacket {
  const { qos = 0, noLocal = false, retainAsPublished = false, retainHandling = 0, identifier } = options
  if (level < 5 && (noLocal || retainAsPublished || retainHandling !== 0)) {
    throw new ManjuError("INVALID_OPTION", "noLocal, retainAsPublished and retainHandling are for protocol level 5")
  }
  const subscription = { qos, nl: noLocal, rap: retainAsPublished, rh: retainHandling }
  const subscriptions = filters.map((topic) => ({ topic, ...subscription }))
  const subscriptionIdentifiers = identifier === undefined ? [] : [identifier]
  return { cmd: "subscribe", subscriptions, ...encodeProperties(level, { subscriptionIdentifiers }) }
}

/** A step of an enhanced authentication, with the method that CONNECT has named in its `properties`. */
export function authPacket(reasonCode: Reason, properties: Properties | undefined, data: Uint8Array | undefined) {
  const { authenticationMethod = "" } = properties ?? {}
  const authenticationData = data === undefined ? {} : { authenticationData: data }
  const encoded = encodeProperties(5, { authenticationMethod, ...authenticationData })
  return { cmd: "auth", reasonCode, ...encoded } satisfies IAuthPacket
}

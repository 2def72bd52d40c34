/** The numbers of the MQTT specifications, under their names. */

/** Control packet types. MQTT 5 §2.1.2 */
export const PacketType = {
  CONNECT: 1,
  CONNACK: 2,
  PUBLISH: 3,
  PUBACK: 4,
  PUBREC: 5,
  PUBREL: 6,
  PUBCOMP: 7,
  SUBSCRIBE: 8,
  SUBACK: 9,
  UNSUBSCRIBE: 10,
  UNSUBACK: 11,
  PINGREQ: 12,
  PINGRESP: 13,
  DISCONNECT: 14,
  AUTH: 15,
} as const
export type PacketType = (typeof PacketType)[keyof typeof PacketType]

/** Protocol levels: 3 is MQTT 3.1 (`MQIsdp`), 4 is MQTT 3.1.1, 5 is MQTT 5.0. */
export type ProtocolLevel = 3 | 4 | 5

/** Quality of service: 0 at most once, 1 at least once, 2 exactly once. MQTT 5 §4.3 */
export type QoS = 0 | 1 | 2

/** The QoS at which a message is delivered: the lower of its own and the one granted. [MQTT-3.8.4-8] */
export function deliveryQoS(published: QoS, granted: QoS): QoS {
  return published < granted ? published : granted
}

/**
 * Reason codes. MQTT 5 §2.4. Codes that share a number share a name here where the meaning is the same.
 *
 * @example
 * broker.use({ onConnect: ({ clientId }) => (clientId.startsWith("test-") ? { reason: Reason.Banned } : undefined) })
 */
export const Reason = {
  Success: 0x00,
  GrantedQoS1: 0x01,
  GrantedQoS2: 0x02,
  DisconnectWithWill: 0x04,
  NoMatchingSubscribers: 0x10,
  NoSubscriptionExisted: 0x11,
  ContinueAuthentication: 0x18,
  ReAuthenticate: 0x19,
  UnspecifiedError: 0x80,
  MalformedPacket: 0x81,
  ProtocolError: 0x82,
  ImplementationSpecificError: 0x83,
  UnsupportedProtocolVersion: 0x84,
  ClientIdentifierNotValid: 0x85,
  BadUserNameOrPassword: 0x86,
  NotAuthorized: 0x87,
  ServerUnavailable: 0x88,
  ServerBusy: 0x89,
  Banned: 0x8a,
  ServerShuttingDown: 0x8b,
  BadAuthenticationMethod: 0x8c,
  KeepAliveTimeout: 0x8d,
  SessionTakenOver: 0x8e,
  TopicFilterInvalid: 0x8f,
  TopicNameInvalid: 0x90,
  PacketIdentifierInUse: 0x91,
  PacketIdentifierNotFound: 0x92,
  ReceiveMaximumExceeded: 0x93,
  TopicAliasInvalid: 0x94,
  PacketTooLarge: 0x95,
  MessageRateTooHigh: 0x96,
  QuotaExceeded: 0x97,
  AdministrativeAction: 0x98,
  PayloadFormatInvalid: 0x99,
  RetainNotSupported: 0x9a,
  QoSNotSupported: 0x9b,
  UseAnotherServer: 0x9c,
  ServerMoved: 0x9d,
  SharedSubscriptionsNotSupported: 0x9e,
  ConnectionRateExceeded: 0x9f,
  MaximumConnectTime: 0xa0,
  SubscriptionIdentifiersNotSupported: 0xa1,
  WildcardSubscriptionsNotSupported: 0xa2,
} as const
export type Reason = (typeof Reason)[keyof typeof Reason]

const reasonNames = new Map<number, string>(Object.entries(Reason).map(([name, code]) => [code, name]))

/** `quota exceeded`: what a peer is told where nobody has said more. */
export function reasonText(reason: number): string {
  const name = (reasonNames.get(reason) ?? "unspecified error").replace("QoS", "Qos")
  return name.replaceAll(/(?<=[a-z])(?=[A-Z])/g, " ").toLowerCase()
}

/** `0x97 QuotaExceeded`: how a reason is written in logs. */
export function describeReason(reason: number): string {
  return `0x${reason.toString(16).padStart(2, "0")} ${reasonName(reason)}`
}

/** `QuotaExceeded` */
export function reasonName(reason: number): string {
  return reasonNames.get(reason) ?? "Unknown"
}

/** The return codes that a CONNACK of MQTT 3.1 and 3.1.1 knows. [v3.1.1 MQTT-3.2.2-4] */
export const ConnectReturnCode = {
  Accepted: 0,
  UnacceptableProtocolVersion: 1,
  IdentifierRejected: 2,
  ServerUnavailable: 3,
  BadUserNameOrPassword: 4,
  NotAuthorized: 5,
} as const

/** What a 3.x client is told where a 5.0 client would get `reason`; undefined: nothing fits. [v3.1.1 MQTT-3.2.2-6] */
export function connectReturnCode(reason: Reason): number | undefined {
  switch (reason) {
    case Reason.Success:
      return ConnectReturnCode.Accepted
    case Reason.UnsupportedProtocolVersion:
      return ConnectReturnCode.UnacceptableProtocolVersion
    case Reason.ClientIdentifierNotValid:
      return ConnectReturnCode.IdentifierRejected
    case Reason.BadUserNameOrPassword:
      return ConnectReturnCode.BadUserNameOrPassword
    case Reason.NotAuthorized:
    case Reason.Banned:
    case Reason.BadAuthenticationMethod:
      return ConnectReturnCode.NotAuthorized
    case Reason.ServerUnavailable:
    case Reason.ServerBusy:
    case Reason.QuotaExceeded:
    case Reason.UseAnotherServer:
    case Reason.ServerMoved:
    case Reason.ConnectionRateExceeded:
      return ConnectReturnCode.ServerUnavailable
    default:
      return undefined
  }
}

const connackRefusals = new Set<number>([
  ...[0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c],
  ...[0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9f],
])

/** Whether a CONNACK may refuse with it. MQTT 5 table 3-1 [MQTT-3.2.2-8] */
export function isConnackRefusal(reason: number): boolean {
  return connackRefusals.has(reason)
}

const clientDisconnects = new Set<number>([
  ...[0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99],
])
const serverDisconnects = new Set<number>([
  ...[0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99],
  ...[0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2],
])

/** Whether a DISCONNECT of that side may say it. MQTT 5 table 3-10 [MQTT-3.14.2-1] */
export function isDisconnectReason(reason: number, from: "client" | "server"): boolean {
  return (from === "client" ? clientDisconnects : serverDisconnects).has(reason)
}

/** The longest packet that the Remaining Length can announce, header included. MQTT 5 §2.1.4 */
export const LARGEST_PACKET_BYTES = 268_435_455 + 5

/** A Session Expiry Interval that never ends. MQTT 5 §3.1.2.11.2 */
export const NEVER_EXPIRES_SECONDS = 0xffff_ffff

/**
 * What must survive the process, as a list of changes: the vocabulary between the sessions and the journal.
 *
 * A delivery is named by the owner of its queue (a client id, or the text of a `$share` filter for a group's queue) and its
 * sequence there. The life of one: `queued`, `sent` (it has a packet id now), `released` (PUBREC came), `settled`.
 */
import type { Properties, QoS } from "../codec/index.ts"
import type { SubscriptionOptions, Topic } from "../router/index.ts"
import type { Message } from "./message.ts"

export type Change =
  | { kind: "session"; session: SessionRecord }
  | { kind: "sessionRemoved"; clientId: string }
  | { kind: "subscribed"; clientId: string; subscription: SubscriptionRecord }
  | { kind: "unsubscribed"; clientId: string; topicFilter: string }
  | { kind: "queued"; owner: string; delivery: DeliveryRecord }
  | { kind: "sent"; owner: string; sequence: number; packetId: number }
  | { kind: "released"; owner: string; sequence: number }
  | { kind: "settled"; owner: string; sequence: number }
  | { kind: "received"; clientId: string; packetId: number }
  | { kind: "completed"; clientId: string; packetId: number }
  | { kind: "retained"; message: Message }
  | { kind: "unretained"; topicName: string }
  | { kind: "total"; name: string; value: number }

export interface SessionRecord {
  clientId: string
  /** Whose it is, as `Session.username` has it. */
  username: string | null | undefined
  /** Session Expiry Interval; 0xFFFFFFFF never expires. */
  expirySeconds: number
  /** When its connection closed, milliseconds of the wall clock; undefined: connected. */
  disconnectedAt: number | undefined
  /** While it may still be published. */
  will: Will | undefined
}

/** A Will Message, not yet published: its expiry begins when it is. MQTT 5 §3.1.2.5 */
export interface Will {
  readonly topic: Topic
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
  readonly properties: Properties
  readonly delaySeconds: number
}

export interface SubscriptionRecord {
  topicFilter: string
  options: SubscriptionOptions
  identifier: number | undefined
}

export interface DeliveryRecord {
  sequence: number
  message: Message
  qos: QoS
  retain: boolean
  identifiers: readonly number[] | undefined
  /** The `$share` filter it came through. */
  group: string | undefined
}

/** Where changes go: the broker's journal. */
export interface ChangeLog {
  /** Whether anything is recorded at all; without a store nothing is. */
  readonly isActive: boolean
  /** The sequence number of the last change appended, and of the last that is durable. */
  readonly appended: number
  readonly durable: number
  append(change: Change): void
}

/**
 * What a store keeps, as plain data that can cross to another thread: the public vocabulary of the `Store` interface.
 *
 * A delivery is named by the owner of its queue (a client id, or the text of a `$share` filter for the queue of a group)
 * and its sequence there. The life of one: `queued`, `sent` (it has a packet id now), `released` (PUBREC came), `settled`.
 * A message has an id for as long as something refers to it; the same message under the same id may come several times,
 * and is kept once. Times are milliseconds since 1970.
 */
import type { QoS, RetainHandling } from "../codec/index.ts"

/** A message, under the id that is its own for as long as something refers to it. */
export interface StoredMessage {
  readonly id: number
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
  /** Encoded as in a PUBLISH of MQTT 5, without the length in front and without the expiry. */
  readonly properties: Uint8Array
  readonly expirySeconds: number | undefined
  readonly expiresAt: number | undefined
}

/** The will of a session, as long as it may still have to be published. */
export interface StoredWill {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
  readonly properties: Uint8Array
  readonly expirySeconds: number | undefined
  readonly delaySeconds: number
}

/** A session that outlives its connection. */
export interface StoredSession {
  readonly clientId: string
  /** The user that has made it; null: one without a name. Undefined: not known, of an older version. */
  readonly username: string | null | undefined
  /** Session Expiry Interval; 0xFFFFFFFF never expires. */
  readonly expirySeconds: number
  /** When its connection closed; undefined: it is connected. */
  readonly disconnectedAt: number | undefined
  readonly will: StoredWill | undefined
}

/** A subscription of a session, and its options. MQTT 5 §3.8.3.1 */
export interface StoredSubscription {
  readonly clientId: string
  readonly topicFilter: string
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: RetainHandling
  readonly identifier: number | undefined
}

/** A message on its way to a session, or in the queue of a group: its place there, and how far it has come. */
export interface StoredDelivery {
  readonly owner: string
  readonly sequence: number
  /** Undefined once it is released. */
  readonly message: StoredMessage | undefined
  readonly qos: QoS
  readonly retain: boolean
  readonly identifiers: readonly number[] | undefined
  /** The `$share` filter it came through. */
  readonly group: string | undefined
  /** Undefined while it waits in the queue. */
  readonly packetId: number | undefined
  /** What it weighs in the queue. */
  readonly bytes: number
}

/** A change to what is stored; a store applies them in order. */
export type StoredChange =
  | { readonly kind: "session"; readonly session: StoredSession }
  /** The session, its subscriptions, deliveries and received ids go. */
  | { readonly kind: "sessionRemoved"; readonly clientId: string }
  | { readonly kind: "subscribed"; readonly subscription: StoredSubscription }
  | { readonly kind: "unsubscribed"; readonly clientId: string; readonly topicFilter: string }
  | { readonly kind: "queued"; readonly delivery: StoredDelivery }
  | { readonly kind: "sent"; readonly owner: string; readonly sequence: number; readonly packetId: number }
  | { readonly kind: "released"; readonly owner: string; readonly sequence: number }
  | { readonly kind: "settled"; readonly owner: string; readonly sequence: number }
  | { readonly kind: "received"; readonly clientId: string; readonly packetId: number }
  | { readonly kind: "completed"; readonly clientId: string; readonly packetId: number }
  | { readonly kind: "retained"; readonly message: StoredMessage }
  | { readonly kind: "unretained"; readonly topicName: string }
  | { readonly kind: "total"; readonly name: string; readonly value: number }

/** What is in an owner's queue: enough to go on without reading it. */
export interface StoredQueue {
  readonly owner: string
  /** Deliveries that wait, those in flight not among them. */
  readonly count: number
  readonly bytes: number
  readonly lastSequence: number
}

/** What `load` gives, in this order: everything but the deliveries that wait, which `page` gives. */
export type Stored =
  | { readonly kind: "session"; readonly session: StoredSession }
  | { readonly kind: "subscribed"; readonly subscription: StoredSubscription }
  | { readonly kind: "received"; readonly clientId: string; readonly packetId: number }
  | { readonly kind: "inflight"; readonly delivery: StoredDelivery }
  | { readonly kind: "queue"; readonly queue: StoredQueue }
  | { readonly kind: "retained"; readonly message: StoredMessage }
  | { readonly kind: "total"; readonly name: string; readonly value: number }
  | { readonly kind: "lastMessageId"; readonly id: number }

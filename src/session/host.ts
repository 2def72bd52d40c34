/** What a session needs of the broker around it. */
import type { QoS, Reason } from "../codec/index.ts"
import type { ChangeLog } from "./changes.ts"
import type { Delivery } from "./delivery.ts"
import type { Message } from "./message.ts"

/** Why a message did not reach somebody who should have got it. Each is counted. */
export type DropReason =
  | "queue full"
  | "queue memory full"
  | "backlog full"
  | "packet too large"
  | "message expired"
  | "not authorized"
  | "outside mount point"
  | "retained limit"
  | "store failing"

export interface SessionLimits {
  maximumInflight: number
  maximumQueuedMessages: number
  maximumQueuedBytes: number
  maximumQueueMemoryBytes: number
}

export interface SessionHost {
  readonly limits: SessionLimits
  readonly changes: ChangeLog
  /** Bytes of all queues together. */
  queueBytes: number
  /** Messages in flight, all sessions together. */
  inflightCount: number
  /** The broker's clock, milliseconds. */
  now(): number
  /** Reads deliveries that wait in the store, behind the sequence `after`, in order; only ever asked with a store. */
  page(owner: string, after: number, limit: number): Promise<Delivery[]>
  /** What is retained for a topic now. */
  retainedMessage(topicName: string): Message | undefined
  dropped(reason: DropReason, clientId: string, message: Message): void
}

/** Sends a message to one client; false if it cannot ever be sent to it. */
export type SendPublish = (
  message: Message,
  qos: QoS,
  retain: boolean,
  identifiers: readonly number[] | undefined,
  packetId: number,
  dup: boolean,
) => boolean

/** The connection of a session, as the session sees it. */
export interface Outlet {
  /** Whether there is room for more; `Session.pump` is called when there is again. */
  readonly isWritable: boolean
  /** How many messages of QoS 1 and 2 the client takes at once. */
  readonly receiveMaximum: number
  readonly publish: SendPublish
  /** Sends a PUBREL when everything recorded so far is durable. */
  release(packetId: number): void
  /** Asks for `Session.pump` when more of the journal is durable. */
  waitForDurable(): void
  /** Ends the connection for this reason. */
  disconnect(reason: Reason): void
}

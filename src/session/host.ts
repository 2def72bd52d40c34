/** What a session needs of the broker around it. */
import type { QoS, Reason } from "../codec/index.ts"
import type { ChangeLog } from "./changes.ts"
import type { Delivery } from "./delivery.ts"
import type { DropReason } from "./drop-reason.ts"
import type { Message } from "./message.ts"

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
  /** Where much is to be done at once: whoever asks may do a piece of it, or has to wait for that. */
  readonly pace: { next(): Promise<void> | undefined }
  /** Messages in flight, all sessions together. */
  inflightCount: number
  /** The broker's clock, milliseconds. */
  now(): number
  /** Reads deliveries that wait in the store, behind the sequence `after`, in order; only ever asked with a store. */
  page(owner: string, after: number, limit: number): Promise<Delivery[]>
  /** Whether somebody wants to know, of every message, when its receiver has it: then none is forgotten before. */
  readonly isKeepingInflight: boolean
  dropped(reason: DropReason, clientId: string, message: Message): void
  /** Says a fault of our own for which no connection is to blame. */
  onBug(error: unknown): void
}

/** A message that a connection does not send, as it would have; and why. */
export interface Unsent {
  readonly reason: DropReason
  readonly message: Message
}

/**
 * What becomes of a message that a connection is to send; undefined: it is on its way. A promise: somebody decides on it, and then it
 * is sent or not; of a connection that ends before, it is never settled.
 */
export type Sending = Unsent | Promise<Unsent | undefined> | undefined

/** Whether it is clear already that a message is not sent. */
export function isUnsent(sending: Sending): sending is Unsent {
  return sending !== undefined && "reason" in sending
}

/** Sends a message to one client. What is not sent is for the session to count. */
export type SendPublish = (
  message: Message,
  qos: QoS,
  retain: boolean,
  identifiers: readonly number[] | undefined,
  packetId: number,
  dup: boolean,
) => Sending

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

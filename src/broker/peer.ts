/** A connection, as the broker sees it that knows nothing of packets. */
import type { Reason } from "../codec/index.ts"
import type { ConnectedClient } from "./hooks.ts"
import type { Action, Auth, Authority, Client, Permission } from "./ports.ts"
import type { Serving } from "./serving.ts"

/** How a client is served, for whoever wants to know why something does not get through. */
export interface PeerTerms {
  /** What its listener has opened with. */
  readonly serving: Serving
  /** Who decides what the client may do; undefined: it is not in yet. */
  readonly authority: Authority | undefined
  /** What that has decided; undefined: everything is allowed. Throws or rejects what the authority does. */
  readonly permissions: { ask(action: Action, topic: string): Permission | PromiseLike<Permission> } | undefined
  /** What the client takes: bytes of a packet, and messages of QoS 1 and 2 at once. */
  readonly maximumPacketBytes: number
  readonly receiveMaximum: number
  /** Whether an answer is awaited, and nothing is read until it is there. */
  readonly isBusy: boolean
  /** Whether there is room for more in what waits for its socket. */
  readonly isWritable: boolean
}

/** A connection, as far as the broker acts on it by itself. */
export interface Peer extends PeerTerms {
  /** The client, once it is in: who it is, and as others see it. */
  readonly client: Client | undefined
  readonly view: ConnectedClient
  /** What waits for its socket; the packets at most. */
  readonly backlogPackets: number
  readonly backlogBytes: number
  /** Says goodbye with `reason` and closes. */
  disconnect(reason: Reason): void
  /** Closes at once. */
  destroy(): void
  /** Looks again at what the client may do, if `auth` decides that: what is not allowed any more ends. */
  recheck(auth: Auth): void
}

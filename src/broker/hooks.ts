/**
 * What an embedding service may decide and see, in one object of optional functions; `broker.use` registers it.
 *
 * Deciders are asked before something happens. They answer nothing (it goes on), `false` or a reason (it does not), or a
 * change of it. Each is asked in the order of registration and sees what those before it have changed; the first refusal
 * ends it. An answer may be a promise: that client waits, in order, and nobody else does. One that throws has refused,
 * and is counted and reported.
 *
 * Observers are told after something has happened, in the order in which it did, once the packets at hand are done: what they do
 * cannot come between. What they return is ignored, what they throw is counted and reported.
 *
 * A hook that nobody has registered costs nothing.
 */
import type { Reason, SubscribeRequest } from "../codec/index.ts"
import type { DropReason } from "../session/index.ts"
import type { ApplicationMessage } from "./application-message.ts"
import type { Client, Connecting, Decision, Refusal } from "./ports.ts"

// biome-ignore lint/suspicious/noConfusingVoidType: a function that returns nothing at all is a hook, too
export type Nothing = undefined | void

/** An answer, or the promise of one. */
export type Awaitable<A> = A | PromiseLike<A>

/** A client that is connected, as hooks and `broker.client` see it: the same object for the whole connection. */
export interface ConnectedClient extends Client {
  /** False once the connection has ended; the rest stays as it was. */
  readonly isConnected: boolean
  readonly cleanStart: boolean
  /** How long its session lives without a connection; 0xFFFFFFFF: for ever. */
  readonly sessionExpirySeconds: number
  /** As granted; 0: none. */
  readonly keepAliveSeconds: number
  /** When it was let in, in milliseconds since 1970. */
  readonly connectedAt: number
  readonly counters: Readonly<ClientCounters>
  /** What it is subscribed to. */
  readonly subscriptions: readonly SubscribeRequest[]
  /** Messages of QoS 1 and 2 on their way to it, and those that wait for their turn. */
  readonly inflightMessages: number
  readonly queuedMessages: number
  /** Bytes that wait for its socket. */
  readonly backlogBytes: number
  /**
   * Ends the connection; the will is due. Default: 0x98, administrative action. MQTT 5 clients are told the reason.
   *
   * @example
   * broker.client("sensor-7")?.disconnect(Reason.QuotaExceeded, "too chatty")
   */
  disconnect(reason?: Reason, reasonString?: string): void
}

/** What has gone over one connection so far. */
export interface ClientCounters {
  bytesReceived: number
  bytesSent: number
  /** PUBLISH packets from the client, and to it. */
  messagesReceived: number
  messagesSent: number
}

/** How a connection ended. */
export interface Disconnection {
  /** What DISCONNECT said, the client's or ours; undefined: there was none, the network ended it. */
  readonly reason: Reason | undefined
  readonly by: "client" | "broker" | "network"
}

/** What has come of everybody and everything when the broker has been closed. */
export interface Stopped {
  /** How many clients were in, and have been said goodbye to. */
  readonly clients: number
  /** Connections that had not ended in time, and were cut off. */
  readonly cutOff: number
  /** Changes that the store has not taken: nothing that depends on them has been acknowledged. 0 without a store. */
  readonly unstored: number
}

/** A control packet as it went over the wire. */
export interface WirePacket {
  /** PacketType: 1 CONNECT … 15 AUTH. */
  readonly type: number
  /** Header included; yours to keep. */
  readonly bytes: Uint8Array
}

/**
 * Deciders and observers, all optional.
 *
 * @example
 * broker.use({
 *   onMessage(message, client) {
 *     if (message.topic.startsWith("cmd/") && client.username !== "ops") return Reason.NotAuthorized
 *     if (message.text() === "hello") return message.with({ payload: "hello world" })
 *   },
 *   onDropped: (message, reason, clientId) => console.warn(`${message.topic} for ${clientId}: ${reason}`),
 * })
 */
export interface Hooks {
  /** Before anybody is asked who the client is. A `Refusal` says which reason its CONNACK gets; `false`: 0x87. */
  onConnect?(client: Connecting): Awaitable<false | Refusal | Nothing>
  /**
   * Beside the listener's auth, after it: a refusal of either overrides, and one of them has to say yes. So a hook may let in whom the
   * auth has no opinion on, and everybody where a listener has no auth. Its admission adds to the auth's: the later user and authority
   * hold, and the earlier end.
   */
  onAuthenticate?(client: Connecting): Awaitable<Decision | Nothing>
  /** For each filter of a SUBSCRIBE that the auth allows. A `Reason` goes into SUBACK; `false`: 0x87. Fields replace the client's. */
  onSubscribe?(
    subscription: Readonly<SubscribeRequest>,
    client: ConnectedClient,
  ): Awaitable<Partial<SubscribeRequest> | Reason | false | Nothing>
  /** For each filter of an UNSUBSCRIBE. A `Reason` goes into UNSUBACK; `false`: 0x87. Text is the filter in its place. */
  onUnsubscribe?(topicFilter: string, client: ConnectedClient): Awaitable<string | Reason | false | Nothing>
  /**
   * A message from a client that its auth allows, before it is retained and routed. A message in its place is what everybody gets. A
   * `Reason` goes into the acknowledgement and the message to nobody; `false`: 0x87. Messages of `broker.publish` are not asked about.
   */
  onMessage?(
    message: ApplicationMessage,
    client: ConnectedClient,
  ): Awaitable<ApplicationMessage | Reason | false | Nothing>
  /**
   * A message on its way to one client that may receive it, each time it is sent. One in its place is what this client gets: its topic,
   * payload and properties. `false`: nothing. What it publishes meanwhile, and whom it disconnects, comes after the message has gone round.
   */
  onDeliver?(message: ApplicationMessage, client: ConnectedClient): Awaitable<ApplicationMessage | false | Nothing>
  /** A will that is due, whose client may be long gone, even from before a restart. One in its place is published; `false`: none. */
  onWill?(message: ApplicationMessage, clientId: string): Awaitable<ApplicationMessage | false | Nothing>

  /** The CONNACK is out. */
  onConnected?(client: ConnectedClient, info: { readonly isSessionPresent: boolean }): void
  onDisconnected?(client: ConnectedClient, disconnection: Disconnection): void
  /** What was granted, with the QoS that was. */
  onSubscribed?(subscription: Readonly<SubscribeRequest>, client: ConnectedClient): void
  onUnsubscribed?(topicFilter: string, client: ConnectedClient): void
  /** A message has been routed. No client: a will, or the embedding service's own. Not for `$SYS`. */
  onPublished?(message: ApplicationMessage, client: ConnectedClient | undefined): void
  /** A message has gone out to a client. */
  onDelivered?(message: ApplicationMessage, client: ConnectedClient): void
  /** A client has a message of QoS 1 or 2 for good: PUBACK, or PUBREC. */
  onAcknowledged?(message: ApplicationMessage, client: ConnectedClient): void
  /** Somebody should have got a message and does not. `clientId` may be a share's filter, or `-`: nobody in particular. */
  onDropped?(message: ApplicationMessage, reason: DropReason, clientId: string): void
  /** A topic has a new retained message; an empty payload: none any more. Not for `$SYS`. */
  onRetained?(message: ApplicationMessage): void
  /** A retained message has expired. */
  onRetainedExpired?(message: ApplicationMessage): void
  /** A session has ended because its time without a connection is over. */
  onSessionExpired?(clientId: string): void
  /** Every packet as it comes; no client: before it is let in. For tracing. */
  onPacketReceived?(packet: WirePacket, client: ConnectedClient | undefined): void
  /** Every packet as it goes, of connections that were made after this was registered. */
  onPacketSent?(packet: WirePacket, client: ConnectedClient | undefined): void
  /** Something has failed that no client is to blame for: a hook, an auth, a store, or manju. */
  onError?(error: unknown, where: string): void
  /** The broker has taken in what its store held, and goes to work. */
  onStarted?(): void
  /** Everything has ended and, but for what `stopped` says, is stored. */
  onStopped?(stopped: Stopped): void
}

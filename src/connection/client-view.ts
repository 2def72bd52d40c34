import { ManjuError } from "../broker/errors.ts"
import type { ClientCounters, ConnectedClient } from "../broker/hooks.ts"
import type { Client } from "../broker/ports.ts"
import {
  describeReason,
  isDisconnectReason,
  type ProtocolLevel,
  Reason,
  type SubscribeRequest,
} from "../codec/index.ts"
import type { Session } from "../session/index.ts"

/** The link, as far as this needs it. */
export interface ViewedLink {
  readonly client: Client | undefined
  readonly cleanStart: boolean
  readonly session: Session | undefined
  readonly state: string
  readonly level: ProtocolLevel
  readonly transport: { readonly remoteAddress: string }
  readonly serving: { readonly id: string }
  readonly outbox: { readonly bytesSent: number; readonly backlogBytes: number; readonly grown: number }
  readonly core: { readonly isAsking: boolean }
  readonly connectedAt: number
  readonly keepAliveSeconds: number
  readonly bytesReceived: number
  readonly messagesReceived: number
  readonly messagesTransmitted: number
  disconnect(reason: Reason, explanation?: string): void
}

/** What goes on, or ends, without the connection. */
type SessionPart = Pick<
  ConnectedClient,
  "sessionExpirySeconds" | "subscriptions" | "inflightMessages" | "queuedMessages"
>

/** A connected client as the embedding service sees it: looks at its link, and acts through it. */
export class ClientView implements ConnectedClient {
  readonly #link: ViewedLink
  /** As it was when the connection ended. */
  #last: SessionPart | undefined

  constructor(link: ViewedLink) {
    this.#link = link
  }

  get clientId(): string {
    return this.#link.client!.clientId
  }

  get username(): string | undefined {
    return this.#link.client!.username
  }

  get protocolLevel(): ProtocolLevel {
    return this.#link.level
  }

  get remoteAddress(): string {
    return this.#link.transport.remoteAddress
  }

  get listener(): string {
    return this.#link.serving.id
  }

  get isConnected(): boolean {
    return this.#link.state === "open"
  }

  get cleanStart(): boolean {
    return this.#link.cleanStart
  }

  get sessionExpirySeconds(): number {
    return this.#last?.sessionExpirySeconds ?? Math.max(0, this.#link.session?.expirySeconds ?? 0)
  }

  get keepAliveSeconds(): number {
    return this.#link.keepAliveSeconds
  }

  get connectedAt(): number {
    return this.#link.connectedAt
  }

  get counters(): ClientCounters {
    const { bytesReceived, messagesReceived, messagesTransmitted, outbox } = this.#link
    const messagesSent = messagesTransmitted + outbox.grown
    return { bytesReceived, bytesSent: outbox.bytesSent, messagesReceived, messagesSent }
  }

  get subscriptions(): readonly SubscribeRequest[] {
    if (this.#last !== undefined) return this.#last.subscriptions
    const subscriptions = this.#link.session?.subscriptions.values() ?? []
    return Array.from(subscriptions, ({ filter, options }) => ({ ...options, topicFilter: filter.text }))
  }

  get inflightMessages(): number {
    return this.#last?.inflightMessages ?? this.#link.session?.inflightCount ?? 0
  }

  get queuedMessages(): number {
    return this.#last?.queuedMessages ?? this.#link.session?.queuedCount ?? 0
  }

  get backlogBytes(): number {
    return this.#link.outbox.backlogBytes
  }

  disconnect(reason: Reason = Reason.AdministrativeAction, reasonString?: string): void {
    if (!isDisconnectReason(reason, "server")) {
      throw new ManjuError("INVALID_OPTION", `a broker cannot disconnect with ${describeReason(reason)}`)
    }
    const link = this.#link
    if (link.core.isAsking) queueMicrotask(() => link.disconnect(reason, reasonString))
    else link.disconnect(reason, reasonString)
  }

  /** The connection ends: what it shows stays as it is now. */
  end(): void {
    const { sessionExpirySeconds, subscriptions, inflightMessages, queuedMessages } = this
    this.#last = { sessionExpirySeconds, subscriptions, inflightMessages, queuedMessages }
  }
}

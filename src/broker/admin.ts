/**
 * What an operator can see of a broker, and do to it: `broker.admin`. The dashboard, its API and `/metrics` stand on it, and so can
 * whatever a service of its own shows to its people.
 *
 * Lists come in pages, sorted by name, each with the cursor of the next. A page is found in slices of a few milliseconds, between which
 * the broker goes on: what comes and goes meanwhile may be in it or not, everything else is in exactly one page.
 */
import type { ProtocolLevel, QoS, RetainHandling } from "../codec/index.ts"
import type { DropReason } from "../session/index.ts"
import type { ApplicationMessage, PublishProperties } from "./application-message.ts"
import type { ExplainQuery, Explanation } from "./explanation.ts"
import type { HistogramSnapshot } from "./histogram.ts"
import type { ConnectedClient } from "./hooks.ts"
import type { LimitName, Limits, ListenerLimits } from "./limits.ts"
import type { AreaLevels, LogLevel } from "./log/areas.ts"
import type { LimitHit } from "./metrics.ts"

/** Which part of a list. */
export interface PageQuery {
  /** How many at most, 1 to 1,000; there may be fewer where names or properties are long, `next` alone tells the last page. Default: 100. */
  limit?: number
  /** `next` of the page before. Default: from the beginning. */
  cursor?: string
}

/** A part of a list. */
export interface Page<Item> {
  readonly items: readonly Item[]
  /** How many there are in the whole list. */
  readonly total: number
  /** The cursor of the next page; undefined: this is the last. */
  readonly next: string | undefined
}

/** Which clients that are connected. What is given must all be so. */
export interface ClientQuery extends PageQuery {
  /** Part of its id, user name or address, in small or large letters. */
  text?: string
  username?: string
  /** The id of a listener. */
  listener?: string
}

/** Which sessions. What is given must all be so. */
export interface SessionQuery extends PageQuery {
  /** Part of the client id or the user name, in small or large letters. */
  text?: string
  username?: string
  /** True: with a connection; false: without one. Default: both. */
  isConnected?: boolean
}

/** Which subscriptions of clients. What is given must all be so. */
export interface SubscriptionQuery extends PageQuery {
  clientId?: string
  /** This very filter. */
  topicFilter?: string
  /** Those that match this topic name. */
  topic?: string
}

/** Which retained messages. */
export interface RetainedQuery extends PageQuery {
  /** Default: `#`, all but those below `$SYS`. */
  topicFilter?: string
}

/** What outlives a client's connections. */
export interface SessionInfo {
  readonly clientId: string
  /** Whose it is; undefined: somebody's without a name, or not known. */
  readonly username: string | undefined
  readonly isConnected: boolean
  /** How long it lives without a connection; 0xFFFFFFFF: for ever. */
  readonly expirySeconds: number
  /** When its connection ended, in milliseconds since 1970; undefined: it has one. */
  readonly disconnectedAt: number | undefined
  /** When it ends if its client does not come back; undefined: its client is there, or it never ends. */
  readonly expiresAt: number | undefined
  readonly subscriptions: number
  /** Messages of QoS 1 and 2 on their way to it, and those that wait. */
  readonly inflightMessages: number
  readonly queuedMessages: number
  readonly queuedBytes: number
  /** Where its will goes, if it still has one. */
  readonly willTopic: string | undefined
}

/** A subscription of a client. */
export interface SubscriptionInfo {
  readonly clientId: string
  readonly isConnected: boolean
  readonly topicFilter: string
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: RetainHandling
  /** Its Subscription Identifier. */
  readonly identifier: number | undefined
}

/** A door that is open. */
export interface ListenerInfo {
  readonly id: string
  /** Of a Unix socket its path, and port 0. */
  readonly hostname: string
  readonly port: number
  /** MQTT connections that are open through it; undefined: it lets none in. */
  readonly connections: number | undefined
  /** What its clients are offered. */
  readonly limits: (Omit<ListenerLimits, "protocolLevels"> & { protocolLevels: readonly ProtocolLevel[] }) | undefined
}

/** What has become of a change of limits. */
export interface LimitsReport {
  /** Those that have changed. */
  readonly changed: readonly LimitName[]
  /** Of these, those that hold for a client from its next connection on. */
  readonly fromNextConnection: readonly LimitName[]
  /** Those that are as they were, because only a start can change them. */
  readonly needRestart: readonly LimitName[]
}

/** What a reload has found. */
export interface ReloadReport {
  /** Keys of the configuration that have changed, and hold now. */
  readonly changed: readonly string[]
  /** Keys that have changed, and hold after a restart. */
  readonly needRestart: readonly string[]
}

/** How many, by QoS: 0, 1, 2. */
export type ByQoS = readonly [number, number, number]

/** The broker's figures at a moment. Counts are of this run, and only grow. */
export interface MetricsSnapshot {
  readonly version: string
  /** When it was taken, and when the broker began, in milliseconds since 1970. */
  readonly time: number
  readonly startedAt: number

  /** Open sockets; clients that are in; sessions, connected or not. */
  readonly connections: number
  readonly clients: number
  readonly sessions: number
  readonly subscriptions: number
  readonly sharedSubscriptions: number
  readonly retainedMessages: number
  /** Messages of QoS 1 and 2 on their way, and those that wait in sessions. */
  readonly inflightMessages: number
  readonly queuedMessages: number
  /** What waits in memory. */
  readonly queuedBytes: number

  /** PUBLISH packets, and their payloads. */
  readonly messagesReceived: ByQoS
  readonly messagesSent: ByQoS
  readonly payloadBytesReceived: ByQoS
  readonly payloadBytesSent: ByQoS
  /** Control packets of all kinds, and everything on the wire of MQTT. */
  readonly packetsReceived: number
  readonly packetsSent: number
  readonly bytesReceived: number
  readonly bytesSent: number

  readonly connectionsAccepted: number
  readonly connectsReceived: number
  readonly connectsRefused: number
  /** Clients, and users of the HTTP listener, who were not who they said they were. */
  readonly authFailures: number
  readonly adminAuthFailures: number
  readonly sessionsExpired: number
  readonly hooksFailed: number
  readonly dropped: Readonly<Record<DropReason, number>>
  readonly limitsHit: Readonly<Record<LimitHit, number>>

  /** Undefined without a store. */
  readonly store: StoreMetrics | undefined
  /** By how much the event loop was late, looked at once a second or more while anything is timed: a keep-alive, `$SYS`. */
  readonly eventLoopLag: HistogramSnapshot
  /** Of the process, in bytes. The heap is as the last garbage collection has left it: Bun tells nothing else of these. */
  readonly memory: {
    readonly residentBytes: number
    readonly heapTotalBytes: number
    readonly heapUsedBytes: number
    readonly externalBytes: number
  }
}

/** What the store does. */
export interface StoreMetrics {
  /** Whether it can be written and read. */
  readonly isReady: boolean
  readonly commits: number
  readonly failures: number
  /** In all runs, where the store knows. */
  readonly bytesWritten: number
  /** What waits for it. */
  readonly unstoredBytes: number
  /** How long commits took. */
  readonly commitTimes: HistogramSnapshot
}

/**
 * What an operator can see and do: `broker.admin`.
 *
 * @example
 * const { messagesReceived, dropped } = await broker.admin.metrics()
 *
 * @example
 * let cursor: string | undefined
 * do {
 *   const page = await broker.admin.clients({ text: "gateway", ...(cursor && { cursor }) })
 *   for (const client of page.items) console.log(client.clientId, client.counters.messagesSent)
 *   cursor = page.next
 * } while (cursor !== undefined)
 */
export interface Admin {
  /** The figures now. */
  metrics(): Promise<MetricsSnapshot>
  /** Clients that are connected, by client id; `broker.client(id)` gives one. Throws `INVALID_OPTION` for a query that makes no sense. */
  clients(query?: ClientQuery): Promise<Page<ConnectedClient>>
  /** Sessions, also of clients that are away, by client id. Throws `INVALID_OPTION` for a query that makes no sense. */
  sessions(query?: SessionQuery): Promise<Page<SessionInfo>>
  session(clientId: string): SessionInfo | undefined
  /**
   * Ends a session: its client, if it is connected, is sent away (0x98), its subscriptions and what waits are gone, and its will is
   * published. Resolves when that is durable, with false where there is no such session. Throws `STORE_FAILED` while the store fails.
   *
   * @example
   * const { items } = await broker.admin.sessions({ isConnected: false, text: "test-" })
   * for (const { clientId } of items) await broker.admin.deleteSession(clientId)
   */
  deleteSession(clientId: string): Promise<boolean>
  /**
   * Subscriptions of clients, by client id and filter. Throws `INVALID_OPTION` for a query that makes no sense.
   *
   * @example
   * const { items } = await broker.admin.subscriptions({ topic: "sensors/7/temp" }) // who gets that?
   */
  subscriptions(query?: SubscriptionQuery): Promise<Page<SubscriptionInfo>>
  /** Retained messages, by topic. Throws `INVALID_OPTION` for a query that makes no sense, `INVALID_TOPIC` for what is no filter. */
  retained(query?: RetainedQuery): Promise<Page<ApplicationMessage>>
  retainedMessage(topic: string): ApplicationMessage | undefined
  /**
   * Forgets the retained messages that a topic filter matches, in slices, and tells how many those were when that is durable. Subscribers
   * are not told; an empty retained message is for that. Throws `INVALID_TOPIC` for what is no filter and for `$SYS`, which is the
   * broker's, and `STORE_FAILED` while the store fails.
   *
   * @example
   * await broker.admin.deleteRetained("devices/7/#")
   */
  deleteRetained(topicFilter: string): Promise<number>
  /**
   * Why a client does not get messages of a topic, or nobody gets its: what is in the way now, by which rule or limit, and what has been
   * refused, dropped or has expired before. Auths are asked for it. Throws `INVALID_TOPIC` for what is no topic name.
   *
   * @example
   * const { receive } = await broker.admin.explain({ clientId: "dash-1", topic: "a/b", from: "pump-7" })
   * console.log(receive.words) // dash-1 gets no messages of a/b: it may not receive that: acl.txt:14 forbids user ada to read a/b
   */
  explain(query: ExplainQuery): Promise<Explanation>
  /** The listeners that are open. */
  listeners(): ListenerInfo[]
  /** The limits that hold. */
  limits(): Readonly<Limits>
  /**
   * Changes limits where that can be done without a restart, and says which. Throws `INVALID_OPTION`, and changes nothing, for a limit that
   * there is not, or a number that it does not take.
   *
   * @example
   * const { needRestart } = broker.admin.setLimits({ maximumPublishRate: 100 })
   */
  setLimits(limits: Partial<Limits>): LimitsReport
  /** Reads passwords, access rules, keys and certificates again, and whatever the program around the broker reads: see `BrokerOptions.onReload`. */
  reload(): Promise<ReloadReport>
  /**
   * Copies what the store holds to a file that is not there yet, while the broker goes on. Throws `INVALID_OPTION` where there is no store
   * that can do that, `STORE_FAILED` where the copy fails.
   *
   * @example
   * await broker.admin.backup("/backups/manju-monday.db")
   */
  backup(path: string): Promise<void>
  /** Which lines the log keeps; undefined: there is no logger, or it has a level of its own that is none of these. */
  logLevel(): LogLevel | undefined
  /** The levels of areas that have another. */
  logAreas(): AreaLevels
  /**
   * Which lines the log keeps from now on, in all areas but those that are given a level of their own; of any logger, `console` too. What
   * the logger has as its own `level` becomes the least of them. Throws `INVALID_OPTION` for what is no level or no area, and where there is
   * no logger.
   *
   * @example
   * broker.admin.setLogLevel("warn", { client: "info", auth: "debug" })
   */
  setLogLevel(level: LogLevel, areas?: AreaLevels): void
}

/** The public broker, as the HTTP listener acts on it: not exported. */
export interface Operable {
  readonly admin: Admin
  client(clientId: string): ConnectedClient | undefined
  publish(
    topic: string,
    payload: string | Uint8Array,
    options?: { qos?: QoS; retain?: boolean; properties?: PublishProperties },
  ): Promise<void>
}

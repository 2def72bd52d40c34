import { existsSync } from "node:fs"
import { Reason } from "../../codec/index.ts"
import { matches, parseTopicFilter, type Subscription } from "../../router/index.ts"
import { Message, type Session } from "../../session/index.ts"
import type {
  Admin,
  ClientQuery,
  LimitsReport,
  ListenerInfo,
  MetricsSnapshot,
  Page,
  ReloadReport,
  RetainedQuery,
  SessionInfo,
  SessionQuery,
  SubscriptionInfo,
  SubscriptionQuery,
} from "../admin.ts"
import { ApplicationMessage } from "../application-message.ts"
import type { Core } from "../core.ts"
import { ManjuError } from "../errors.ts"
import type { ExplainQuery, Explanation } from "../explanation.ts"
import type { ConnectedClient } from "../hooks.ts"
import { checkLimit, type LimitName, type Limits, limitDefinitions } from "../limits.ts"
import { type AreaLevels, checkLogArea, checkLogLevel, type LogLevel } from "../log/areas.ts"
import type { Store } from "../ports.ts"
import { describeSession, describeSubscription } from "./describe.ts"
import { explain } from "./explain/index.ts"
import { pageOf, slicesOf } from "./page.ts"
import { snapshotOf } from "./snapshot.ts"

/** What the public broker knows and the core does not. */
export interface Surroundings {
  readonly version: string
  readonly store: Store | undefined
  readonly onReload: (() => ReloadReport | Promise<ReloadReport>) | undefined
  /** The listeners that are open. */
  listeners(): Pick<ListenerInfo, "id" | "hostname" | "port">[]
  reload(): void
}

/** How many retained messages are forgotten before the store has to catch up. */
const DELETED_AT_ONCE = 1000
const EMPTY = Buffer.alloc(0)

export class Administration implements Admin {
  private readonly startedAt: number
  private readonly core: Core
  private readonly surroundings: Surroundings

  constructor(core: Core, surroundings: Surroundings) {
    this.core = core
    this.surroundings = surroundings
    this.startedAt = core.now()
  }

  metrics(): Promise<MetricsSnapshot> {
    return snapshotOf(this.core, this.surroundings.version, this.startedAt)
  }

  clients({ text, username, listener, ...page }: ClientQuery = {}): Promise<Page<ConnectedClient>> {
    const isNamed = containing(text)
    return pageOf(
      {
        entries: this.core.clients.values(),
        key: ({ client }) => [client!.clientId],
        includes({ client }) {
          if (client === undefined) return false
          if (username !== undefined && client.username !== username) return false
          if (listener !== undefined && client.listener !== listener) return false
          return isNamed(client.clientId, client.username, client.remoteAddress)
        },
        bytes: ({ client }) => client!.clientId.length + (client!.username?.length ?? 0),
        item: ({ view }) => view,
      },
      page,
    )
  }

  sessions({ text, username, isConnected, ...page }: SessionQuery = {}): Promise<Page<SessionInfo>> {
    const isNamed = containing(text)
    return pageOf(
      {
        entries: this.core.sessions.all(),
        key: ({ clientId }) => [clientId],
        includes(session) {
          if (username !== undefined && session.username !== username) return false
          if (isConnected !== undefined && (session.outlet !== undefined) !== isConnected) return false
          return isNamed(session.clientId, session.username ?? undefined)
        },
        bytes: ({ clientId, username, will }) => {
          return clientId.length + (username?.length ?? 0) + (will?.topic.name.length ?? 0)
        },
        item: describeSession,
      },
      page,
    )
  }

  session(clientId: string): SessionInfo | undefined {
    const session = this.core.sessions.get(clientId)
    return session && describeSession(session)
  }

  async deleteSession(clientId: string): Promise<boolean> {
    const { sessions, changes } = this.core
    await this.beginChange()
    const session = sessions.get(clientId)
    if (session === undefined) return false
    session.outlet?.disconnect(Reason.AdministrativeAction) // where it ends with its connection, that was it
    if (sessions.get(clientId) === session) sessions.end(session)
    await changes.settled()
    return true
  }

  subscriptions(query: SubscriptionQuery = {}): Promise<Page<SubscriptionInfo>> {
    const { clientId, topicFilter, topic, ...page } = query
    const { sessions } = this.core
    const some = clientId === undefined ? sessions.all() : [sessions.get(clientId)].filter((each) => each !== undefined)
    return pageOf(
      {
        entries: subscriptionsOf(some, topicFilter),
        key: ({ subscriber, filter }) => [subscriber.clientId, filter.text],
        includes: ({ filter }) => topic === undefined || matches(filter.pattern, topic),
        bytes: ({ subscriber, filter }) => subscriber.clientId.length + filter.text.length,
        item: describeSubscription,
      },
      page,
    )
  }

  async retained({ topicFilter = "#", ...page }: RetainedQuery = {}): Promise<Page<ApplicationMessage>> {
    const { core } = this
    const now = core.now()
    return pageOf(
      {
        entries: core.retained.matching(this.patternOf(topicFilter)),
        key: ({ topic }) => [topic.name],
        includes: (message) => !message.isExpired(now),
        bytes: ({ topic, propertiesStart, propertiesEnd }) => topic.bytes.length + propertiesEnd - propertiesStart,
        item: (message) => ApplicationMessage.of(message, now),
      },
      page,
    )
  }

  retainedMessage(topic: string): ApplicationMessage | undefined {
    const message = this.core.retained.get(topic)
    return message && ApplicationMessage.of(message, this.core.now())
  }

  async deleteRetained(topicFilter: string): Promise<number> {
    const { core } = this
    const pattern = this.patternOf(topicFilter)
    if (pattern === "$SYS" || pattern.startsWith("$SYS/")) {
      throw new ManjuError("INVALID_TOPIC", `what is retained at ${topicFilter} is the broker's own`)
    }
    await this.beginChange()
    let count = 0
    for await (const slice of slicesOf(core.retained.matching(pattern))) {
      for (const message of slice) {
        if (message === undefined) continue
        core.retained.put(Message.create(message.topic, EMPTY, 1, true, {}, core.now()))
        if (++count % DELETED_AT_ONCE === 0) break
      }
      if (core.changes.isStrained || count % DELETED_AT_ONCE === 0) await core.changes.settled()
    }
    await core.changes.settled()
    return count
  }

  explain(query: ExplainQuery): Promise<Explanation> {
    return explain(this.core, query)
  }

  listeners(): ListenerInfo[] {
    const servings = new Map(Array.from(this.core.servings, (serving) => [serving.id, serving]))
    return this.surroundings.listeners().map((listener) => {
      const serving = servings.get(listener.id)
      return { ...listener, connections: serving?.connections, limits: serving && { ...serving.limits } }
    })
  }

  limits(): Readonly<Limits> {
    return { ...this.core.limits }
  }

  setLimits(given: Partial<Limits>): LimitsReport {
    const { limits } = this.core
    for (const [name, value] of Object.entries(given)) checkLimit(name, value)
    const names = (Object.keys(given) as LimitName[]).filter((name) => given[name] !== limits[name])
    const holds = (name: LimitName) => limitDefinitions[name].takesHold
    const changed = names.filter((name) => holds(name) !== "restart")
    for (const name of changed) limits[name] = given[name]!
    return {
      changed,
      fromNextConnection: changed.filter((name) => holds(name) === "next connection"),
      needRestart: names.filter((name) => holds(name) === "restart"),
    }
  }

  async reload(): Promise<ReloadReport> {
    const { reload, onReload } = this.surroundings
    reload()
    return (await onReload?.()) ?? { changed: [], needRestart: [] }
  }

  async backup(path: string): Promise<void> {
    const { store } = this.surroundings
    if (store?.backup === undefined) {
      throw new ManjuError("INVALID_OPTION", store ? "this store cannot be copied" : "there is no store to be copied")
    }
    if (existsSync(path)) throw new ManjuError("INVALID_OPTION", `${path} is there already`)
    try {
      await store.backup(path)
    } catch (error) {
      throw new ManjuError("STORE_FAILED", error instanceof Error ? error.message : String(error), { cause: error })
    }
  }

  logLevel(): LogLevel | undefined {
    return this.core.logger.level
  }

  logAreas(): AreaLevels {
    return this.core.logger.areas
  }

  setLogLevel(level: LogLevel, areas: AreaLevels = {}): void {
    for (const each of [level, ...Object.values(areas)]) checkLogLevel(each)
    for (const area of Object.keys(areas)) checkLogArea(area)
    if (!this.core.logger.setLevels(level, areas)) throw new ManjuError("INVALID_OPTION", "there is no logger")
  }

  /** What changes the store waits until nobody is in the middle of routing. Throws `STORE_FAILED` while nothing can be stored. */
  private async beginChange(): Promise<void> {
    const { core } = this
    if (core.changes.isFailing) throw new ManjuError("STORE_FAILED", "the store cannot be written at the moment")
    if (core.isAsking) await null
  }

  private patternOf(topicFilter: string): string {
    const filter = parseTopicFilter(topicFilter, this.core.limits)
    if (filter !== undefined && filter.shareName === undefined) return filter.pattern
    throw new ManjuError("INVALID_TOPIC", `not a topic filter: ${JSON.stringify(topicFilter)}`)
  }
}

/** Whether a text is part of one of several, in small or large letters. */
function containing(text: string | undefined): (...names: (string | undefined)[]) => boolean {
  if (text === undefined || text === "") return () => true
  const part = text.toLowerCase()
  return (...names) => names.some((name) => name?.toLowerCase().includes(part))
}

function* subscriptionsOf(
  sessions: Iterable<Session>,
  topicFilter: string | undefined,
): Generator<Subscription<Session> | undefined> {
  for (const { subscriptions } of sessions) {
    if (topicFilter !== undefined) yield subscriptions.get(topicFilter)
    else {
      yield undefined
      yield* subscriptions.values()
    }
  }
}

/**
 * The broker within: what connections, and the public `Broker` around it, act upon.
 *
 * A message comes to `publish` from a client's connection, from a will, from `$SYS` or from the embedding service; it is
 * retained, routed and handed to the sessions. Everything runs on one thread and to completion, so that the order in
 * which messages come in is the order in which they go out. [MQTT-4.6.0-5]
 */
import { deliveryQoS, Reason, type SubscribeRequest } from "../codec/index.ts"
import {
  parseTopicFilter,
  Router,
  type ShareGroup,
  Subscription,
  type SubscriptionOptions,
  type TopicFilter,
} from "../router/index.ts"
import { Delivery, type DropReason, GroupQueue, Message, type Session, type Will } from "../session/index.ts"
import { Auths } from "./auths.ts"
import { Journal } from "./journal.ts"
import type { Limits } from "./limits.ts"
import { Metrics } from "./metrics.ts"
import { Offenders } from "./offenders.ts"
import type { Auth, Clock, Logger, Store } from "./ports.ts"
import { type RegistryOwner, SessionRegistry } from "./registry.ts"
import { Retention } from "./retention.ts"
import { StoreRetry } from "./retry.ts"
import { Storing } from "./storing.ts"
import { Timers } from "./timers.ts"
import { Turn } from "./turn.ts"
import { FileWatch } from "./watch.ts"

const RESTORE_PAGE = 1000

/** A connection, as far as the broker acts on it by itself. */
export interface Peer {
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

export class Core implements RegistryOwner {
  readonly limits: Limits
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics = new Metrics()
  readonly changes: Journal
  readonly storing: Storing
  readonly timers: Timers
  readonly turn = new Turn()
  readonly router: Router<Session>
  readonly retained: Retention
  readonly sessions: SessionRegistry
  readonly offenders = new Offenders()
  readonly files: FileWatch
  readonly auths: Auths
  /** Every open connection, before and after its CONNECT. */
  readonly peers = new Set<Peer>()
  /** Reject a payload that claims to be UTF-8 text and is not. */
  readonly validatePayloadFormat: boolean
  queueBytes = 0
  inflightCount = 0
  private readonly store: Store | undefined
  private readonly reads: StoreRetry
  private measuredBytes = 0
  private readonly savedTotals = new Map<string, number>()
  private readonly groupQueues = new Map<string, GroupQueue>()

  constructor(limits: Limits, clock: Clock, logger: Logger, store: Store | undefined, validatePayloadFormat: boolean) {
    this.limits = limits
    this.clock = clock
    this.logger = logger
    this.validatePayloadFormat = validatePayloadFormat
    this.store = store
    this.storing = new Storing((name) => this.router.topics.restored(name))
    this.changes = new Journal(store, this.storing, limits.maximumUnstoredBytes, clock, logger)
    this.reads = new StoreRetry("the store cannot be read, queues wait until it can", clock, logger)
    this.timers = new Timers(clock, (error) => this.onBug(error))
    this.router = new Router(limits)
    this.retained = new Retention(this)
    this.sessions = new SessionRegistry(this, this.timers)
    this.files = new FileWatch(clock)
    this.auths = new Auths(this.files, clock, logger, (auth) => {
      for (const peer of [...this.peers]) peer.recheck(auth)
    })
  }

  now(): number {
    return this.clock.now()
  }

  /** Reads deliveries that wait in the store, once everything recorded so far is there. */
  async page(owner: string, after: number, limit: number): Promise<Delivery[]> {
    await this.changes.settled()
    const stored = await this.reads.until(async () => this.store!.page(owner, after, limit))
    return stored.map((each) => this.storing.delivery(each, undefined))
  }

  /** A fault of our own, where no connection is to blame: it is said, and the broker goes on. */
  onBug(error: unknown): void {
    this.logger.error(`a fault of manju's own: ${error instanceof Error ? error.stack : error}`)
  }

  /** Counts a message that somebody should have got and did not. */
  dropped(reason: DropReason, clientId: string, message: Message): void {
    this.metrics.dropped[reason]++
    this.logger.debug(`dropped for ${clientId}: ${message.topic.name}: ${reason}`)
  }

  /** Retains and routes a message. `from` is the publisher's session, for No Local. */
  publish(message: Message, from: Session | undefined): Reason {
    if (message.retain) this.retained.put(message)
    const { targets, groups } = this.router.route(message.topic)
    message.isRouting = true
    for (let i = 0; i < targets.length; i++) {
      const target = targets[i]!
      const { subscriber } = target
      if (subscriber !== from) subscriber.deliver(message, target)
      else if (target.own !== undefined) subscriber.deliver(message, target.own) // [MQTT-3.8.3-3]
    }
    for (let i = 0; i < groups.length; i++) this.share(groups[i]!, message)
    message.endRouting()
    return targets.length + groups.length === 0 ? Reason.NoMatchingSubscribers : Reason.Success
  }

  /** Whether a message of QoS 1 or 2 may not be acknowledged before something of it is stored. */
  mustStore(message: Message, from: Session | undefined): boolean {
    if (!this.changes.isActive) return false
    if (message.retain || (message.qos === 2 && from?.isVolatile === false)) return true
    const { targets, groups } = this.router.route(message.topic)
    return groups.length > 0 || targets.some(({ subscriber, qos }) => qos > 0 && !subscriber.isVolatile)
  }

  /** Whether what must be stored can be, and what is stored can be read. */
  get isReady(): boolean {
    return !this.changes.isFailing && !this.reads.isFailing
  }

  /** A store that fails is not asked again: the broker closes. */
  stopRetrying(): void {
    this.changes.close()
    this.reads.close()
  }

  retainedMessage(topicName: string): Message | undefined {
    return this.retained.get(topicName)
  }

  /** Adds a subscription; true if the session had none with that filter. [MQTT-3.8.4-3] */
  subscribe(session: Session, filter: TopicFilter, request: SubscribeRequest, identifier: number | undefined): boolean {
    const { topicFilter: _, ...options } = request
    const isNew = !session.subscriptions.has(filter.text)
    this.resubscribe(session, filter, options, identifier)
    if (this.changes.isActive && !session.isVolatile) {
      const record = { topicFilter: filter.text, options, identifier }
      this.changes.append({ kind: "subscribed", clientId: session.clientId, subscription: record })
    }
    return isNew
  }

  /** Adds a subscription that the store knows already, or is about to be told of. */
  resubscribe(
    session: Session,
    filter: TopicFilter,
    options: SubscriptionOptions,
    identifier: number | undefined,
  ): void {
    const subscription = new Subscription(session, filter, options, identifier)
    session.subscriptions.set(filter.text, subscription)
    this.router.subscribe(subscription)
    if (filter.shareName !== undefined) session.joinGroup(this.groupQueue(filter.text), subscription)
  }

  /** Takes in what waited for a share group when the last run ended; nobody may be left to take it. */
  async restoreGroup(owner: string): Promise<void> {
    const queue = this.groupQueue(owner)
    for (let after = Number.MIN_SAFE_INTEGER; ; ) {
      const deliveries = await this.page(owner, after, RESTORE_PAGE)
      if (deliveries.length === 0) break
      queue.restore(deliveries)
      after = deliveries.at(-1)!.sequence
    }
    if (queue.takers.size > 0) return
    queue.clear()
    this.groupQueues.delete(owner)
  }

  /** Removes a subscription; false if there was none. [MQTT-3.10.4-1] */
  unsubscribe(session: Session, filterText: string): boolean {
    const subscription = session.subscriptions.get(filterText)
    if (subscription === undefined) return false
    session.subscriptions.delete(filterText)
    session.endReplay(filterText)
    this.leave(session, subscription)
    if (this.changes.isActive && !session.isVolatile) {
      this.changes.append({ kind: "unsubscribed", clientId: session.clientId, topicFilter: filterText })
    }
    return true
  }

  unsubscribeAll(session: Session): void {
    for (const subscription of session.subscriptions.values()) this.leave(session, subscription)
    session.subscriptions.clear()
  }

  /** Sends a session what is retained for a subscription it has just made. [MQTT-3.3.1-9] */
  replayRetained(session: Session, filterText: string): void {
    const subscription = session.subscriptions.get(filterText)
    if (subscription === undefined) return
    const topicNames: string[] = []
    this.retained.match(subscription.filter.pattern, (message) => topicNames.push(message.topic.name))
    if (topicNames.length > 0) session.replay(subscription, topicNames)
  }

  publishWill(will: Will, session: Session): void {
    const { topic, payload, qos, retain, properties } = will
    this.publish(Message.create(topic, payload, qos, retain, properties, this.now()), session)
  }

  sessionExpired(session: Session): void {
    this.metrics.sessionsExpired++
    this.logger.info(`session expired: ${session.clientId}`)
  }

  parseFilter(text: string): TopicFilter | undefined {
    return parseTopicFilter(text, this.limits)
  }

  private leave(session: Session, subscription: Subscription<Session>): void {
    this.router.unsubscribe(subscription)
    const { group, filter } = subscription
    if (group === undefined) return
    const queue = this.groupQueue(filter.text)
    session.leaveGroup(queue)
    if (group.members.length > 0) return
    queue.clear()
    this.groupQueues.delete(filter.text)
  }

  /** Takes what the store has written since the last look into the sums. */
  measureStore(): void {
    const written = this.store?.bytesWritten ?? 0
    this.metrics.storeBytesWritten += written - this.measuredBytes
    this.measuredBytes = written
  }

  /** Records the sums that go on with the next run, where they have changed. */
  saveTotals(): void {
    if (!this.changes.isActive || this.changes.isStrained) return
    this.measureStore()
    for (const name of Metrics.totals) {
      const value = this.metrics[name]
      if (value === (this.savedTotals.get(name) ?? 0)) continue
      this.savedTotals.set(name, value)
      this.changes.append({ kind: "total", name, value })
    }
  }

  /** One member gets it: the next in turn who can take it now. When nobody can, it waits for the first who will. */
  private share(group: ShareGroup<Session>, message: Message): void {
    const { members } = group
    const queue = this.groupQueue(`$share/${group.shareName}/${group.pattern}`)
    const mustQueue = message.qos > 0 && queue.waiting.length > 0 // what waits goes first
    for (let i = 0; i < members.length && !mustQueue; i++) {
      const index = (group.turn + i) % members.length
      const member = members[index]!
      if (!member.subscriber.isReadyFor(deliveryQoS(message.qos, member.qos))) continue
      group.turn = index + 1
      member.subscriber.deliverShared(message, member, queue)
      return
    }
    if (message.qos > 0) queue.put(new Delivery(message.keep(), message.qos, false, undefined, undefined))
    else if (members.some((member) => member.subscriber.outlet !== undefined)) {
      this.dropped("backlog full", queue.owner, message)
    }
  }

  /** What waits for a share group, by the text of its filter. */
  groupQueue(owner: string): GroupQueue {
    let queue = this.groupQueues.get(owner)
    if (queue === undefined) {
      queue = new GroupQueue(owner, this)
      this.groupQueues.set(owner, queue)
    }
    return queue
  }
}

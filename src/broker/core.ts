/**
 * The broker within: what connections, and the public `Broker` around it, act upon.
 *
 * A message comes to `publish` from a client's connection, from a will, from `$SYS` or from the embedding service; it is
 * retained, routed and handed to the sessions. Everything runs on one thread and to completion, so that the order in
 * which messages come in is the order in which they go out. [MQTT-4.6.0-5]
 */
import { Reason, type SubscribeRequest } from "../codec/index.ts"
import {
  parseTopicFilter,
  RetainedMessages,
  Router,
  type ShareGroup,
  Subscription,
  type TopicFilter,
} from "../router/index.ts"
import { Delivery, type DropReason, GroupQueue, Message, type Session, type Will } from "../session/index.ts"
import { Journal } from "./journal.ts"
import type { Limits } from "./limits.ts"
import { Metrics } from "./metrics.ts"
import type { Clock, Logger, Store } from "./ports.ts"
import { type RegistryOwner, SessionRegistry } from "./registry.ts"
import { type Timer, Timers } from "./timers.ts"
import { Turn } from "./turn.ts"

/** A connection, as far as the broker acts on it by itself. */
export interface Peer {
  /** What waits for its socket; the packets at most. */
  readonly backlogPackets: number
  readonly backlogBytes: number
  /** Says goodbye with `reason` and closes. */
  disconnect(reason: Reason): void
  /** Closes at once. */
  destroy(): void
}

export class Core implements RegistryOwner {
  readonly limits: Limits
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics = new Metrics()
  readonly changes: Journal
  readonly timers: Timers
  readonly turn = new Turn()
  readonly router: Router<Session>
  readonly retained = new RetainedMessages<Message>()
  readonly sessions: SessionRegistry
  /** Every open connection, before and after its CONNECT. */
  readonly peers = new Set<Peer>()
  /** Reject a payload that claims to be UTF-8 text and is not. */
  readonly validatePayloadFormat: boolean
  queueBytes = 0
  inflightCount = 0
  /** How many of the retained messages are the broker's own, which no limit counts. */
  private retainedSysCount = 0
  private readonly groupQueues = new Map<string, GroupQueue>()
  private readonly retainedExpiries = new Map<string, Timer>()

  constructor(limits: Limits, clock: Clock, logger: Logger, store: Store | undefined, validatePayloadFormat: boolean) {
    this.limits = limits
    this.clock = clock
    this.logger = logger
    this.validatePayloadFormat = validatePayloadFormat
    this.changes = new Journal(store, clock, logger)
    this.timers = new Timers(clock, (error) => this.onBug(error))
    this.router = new Router(limits)
    this.sessions = new SessionRegistry(this, this.timers)
  }

  now(): number {
    return this.clock.now()
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
    if (message.retain) this.retain(message)
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

  /** Whether a retained message for that topic could be kept now. */
  canRetain(topicName: string): boolean {
    const count = this.retained.count - this.retainedSysCount
    return count < this.limits.maximumRetainedMessages || this.retained.get(topicName) !== undefined
  }

  retainedMessage(topicName: string): Message | undefined {
    const message = this.retained.get(topicName)
    return message === undefined || message.isExpired(this.now()) ? undefined : message
  }

  /** Adds a subscription; true if the session had none with that filter. [MQTT-3.8.4-3] */
  subscribe(session: Session, filter: TopicFilter, request: SubscribeRequest, identifier: number | undefined): boolean {
    const { topicFilter: _, ...options } = request
    const subscription = new Subscription(session, filter, options, identifier)
    const isNew = !session.subscriptions.has(filter.text)
    session.subscriptions.set(filter.text, subscription)
    this.router.subscribe(subscription)
    if (filter.shareName !== undefined) session.joinGroup(this.groupQueue(filter.text), subscription)
    if (this.changes.isActive && !session.isVolatile) {
      const record = { topicFilter: filter.text, options, identifier }
      this.changes.append({ kind: "subscribed", clientId: session.clientId, subscription: record })
    }
    return isNew
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

  private retain(message: Message): void {
    const { name, isSys } = message.topic
    if (message.payloadBytes === 0) {
      this.stopExpiry(name)
      const removed = this.retained.delete(name) // [MQTT-3.3.1-6]
      if (removed !== undefined && this.changes.isActive && !isSys) {
        this.changes.append({ kind: "unretained", topicName: name })
      }
      return
    }
    if (!isSys && !this.canRetain(name)) {
      this.metrics.limitsHit["retained messages"]++
      this.dropped("retained limit", "-", message)
      return
    }
    const kept = message.keep()
    this.stopExpiry(name)
    const previous = this.retained.set(name, kept) // [MQTT-3.3.1-5]
    if (isSys && previous === undefined) this.retainedSysCount++
    if (this.changes.isActive && !isSys) this.changes.append({ kind: "retained", message: kept })
    if (kept.expirySeconds < 0) return
    const expiry = this.timers.schedule(kept.expiresAt, () => this.forgetRetained(name))
    this.retainedExpiries.set(name, expiry)
  }

  private forgetRetained(topicName: string): void {
    this.retainedExpiries.delete(topicName)
    this.retained.delete(topicName)
    if (this.changes.isActive) this.changes.append({ kind: "unretained", topicName })
  }

  /** The message whose expiry it was is replaced or removed. */
  private stopExpiry(topicName: string): void {
    this.retainedExpiries.get(topicName)?.cancel()
    this.retainedExpiries.delete(topicName)
  }

  /** One member gets it: the next in turn who can take it now. When nobody can, it waits for the first who will. */
  private share(group: ShareGroup<Session>, message: Message): void {
    const { members } = group
    const queue = this.groupQueue(`$share/${group.shareName}/${group.pattern}`)
    const mustQueue = message.qos > 0 && queue.waiting.length > 0 // what waits goes first
    for (let i = 0; i < members.length && !mustQueue; i++) {
      const index = (group.turn + i) % members.length
      const member = members[index]!
      if (!member.subscriber.isReadyFor(message.qos < member.qos ? message.qos : member.qos)) continue
      group.turn = index + 1
      member.subscriber.deliverShared(message, member, queue)
      return
    }
    if (message.qos > 0) queue.put(new Delivery(message.keep(), message.qos, false, undefined, undefined))
    else if (members.some((member) => member.subscriber.outlet !== undefined)) {
      this.dropped("backlog full", queue.owner, message)
    }
  }

  private groupQueue(owner: string): GroupQueue {
    let queue = this.groupQueues.get(owner)
    if (queue === undefined) {
      queue = new GroupQueue(owner, this)
      this.groupQueues.set(owner, queue)
    }
    return queue
  }
}

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
  type Route,
  Router,
  Subscription,
  type SubscriptionOptions,
  type TopicFilter,
} from "../router/index.ts"
import type { Delivery, DropReason, Message, Session, Will } from "../session/index.ts"
import type { Operable } from "./admin.ts"
import { ApplicationMessage } from "./application-message.ts"
import { Auths } from "./auths.ts"
import { ManjuError } from "./errors.ts"
import { HookChains, type Outcome, Refused } from "./hook-chains.ts"
import type { Hooks } from "./hooks.ts"
import { Incidents } from "./incidents.ts"
import { Journal } from "./journal.ts"
import { leaveAll } from "./leaving.ts"
import type { Limits } from "./limits.ts"
import { sayAuthFailed, sayDropped, sayExpired, sayFailed } from "./log/lines.ts"
import { Log } from "./log/log.ts"
import type { Who } from "./log/who.ts"
import { Metrics } from "./metrics.ts"
import { Offenders } from "./offenders.ts"
import { Pace } from "./pace.ts"
import type { Peer } from "./peer.ts"
import type { Clock, Logger, Store } from "./ports.ts"
import { type RegistryOwner, SessionRegistry } from "./registry.ts"
import { Retention } from "./retention.ts"
import { StoreRetry } from "./retry.ts"
import { Run } from "./run.ts"
import type { Sampled, Sampler } from "./sampler.ts"
import type { Serving } from "./serving.ts"
import { Sharing } from "./sharing.ts"
import { Storing } from "./storing.ts"
import { Timers } from "./timers.ts"
import { Totals } from "./totals.ts"
import { Turn } from "./turn.ts"
import { FileWatch } from "./watch.ts"
import { Wills } from "./wills.ts"

export class Core implements RegistryOwner, Sampled {
  readonly limits: Limits
  readonly clock: Clock
  readonly logger: Log
  readonly metrics = new Metrics()
  readonly changes: Journal
  readonly storing: Storing
  readonly totals: Totals
  readonly timers: Timers
  readonly turn = new Turn()
  readonly pace = new Pace()
  readonly router: Router<Session>
  readonly retained: Retention
  readonly sharing: Sharing
  readonly wills = new Wills(this)
  readonly sessions: SessionRegistry
  readonly offenders: Offenders
  /** What has gone wrong for whom. */
  readonly incidents = new Incidents()
  readonly files: FileWatch
  readonly auths: Auths
  readonly hooks = new HookChains((error, hook) => this.hookFailed(error, hook))
  /** What the listeners have opened with. */
  readonly servings = new Set<Serving>()
  /** The public broker around this, for the listener of its operator; there is none in tests of what is below. */
  broker: Operable | undefined
  /** Looks at the messages while somebody asks for that. */
  sampler: Sampler | undefined
  /** Every open connection, before and after its CONNECT. */
  readonly peers = new Set<Peer>()
  /** Those whose client is in, by its id. */
  readonly clients = new Map<string, Peer>()
  /** Reject a payload that claims to be UTF-8 text and is not. */
  readonly validatePayloadFormat: boolean
  /** Whether the broker has begun to close: nobody should come any more. */
  isStopping = false
  /** Whether somebody is being asked what a client gets, in the middle of routing: whatever they do has to wait. */
  isAsking = false
  queueBytes = 0
  inflightCount = 0
  private readonly store: Store | undefined
  private readonly reads: StoreRetry
  private readonly run = new Run(this)

  constructor(
    limits: Limits,
    clock: Clock,
    logger: Logger | undefined,
    store: Store | undefined,
    validatePayloadFormat: boolean,
  ) {
    this.limits = limits
    this.clock = clock
    this.timers = new Timers(clock, (error) => this.onBug(error))
    this.logger = new Log(logger, clock, this.timers)
    this.validatePayloadFormat = validatePayloadFormat
    this.store = store
    this.storing = new Storing((name) => this.router.topics.restored(name))
    this.changes = new Journal(store, this.storing, limits.maximumUnstoredBytes, this)
    this.totals = new Totals(this.metrics, this.changes, store)
    this.reads = new StoreRetry("the store cannot be read, queues wait until it can", this)
    this.router = new Router(limits)
    this.retained = new Retention(this)
    this.sharing = new Sharing(this)
    this.sessions = new SessionRegistry(this, this.timers)
    this.offenders = new Offenders(clock, this.timers, limits.connectTimeoutSeconds * 1000)
    this.files = new FileWatch(clock)
    this.auths = new Auths(this.files, clock, this.logger.of("auth"), (auth) => {
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

  get isKeepingInflight(): boolean {
    return this.hooks.wants.onAcknowledged !== undefined
  }

  /** A fault of our own, where no connection is to blame: it is said, and the broker goes on. */
  onBug(error: unknown): void {
    sayFailed(this.logger, "fault", error, "a fault of manju's own")
    this.hooks.tell("onError", error, "manju")
  }

  /** An auth has failed: it has refused. */
  authFailed(error: unknown, client: Who, topicName?: string): false {
    sayAuthFailed(this.logger, error, client, topicName)
    this.hooks.tell("onError", error, "auth")
    return false
  }

  storeFailed(error: unknown): void {
    this.hooks.tell("onError", error, "store")
  }

  /** A hook has failed: it has refused, or not seen, what it was called for; nobody else notices. */
  hookFailed(error: unknown, hook: keyof Hooks): void {
    this.metrics.hooksFailed++
    this.serviceFailed(error, `hook ${hook}`, hook)
  }

  /** Something of the embedding service's has failed: it is said, and the broker goes on. */
  serviceFailed(error: unknown, what: string, where: string): void {
    sayFailed(this.logger, "service", error, `${what} failed`)
    if (where !== "onError") this.hooks.tell("onError", error, where)
  }

  /**
   * Counts a message that somebody should have got and did not. `whose`: the client's that has sent it, or that it was for; `told`: why, in
   * the words that its sender gets, if these say more.
   */
  dropped(
    reason: DropReason,
    clientId: string,
    message: Message,
    whose: "sender" | "receiver" = "receiver",
    told?: Reason,
  ): void {
    this.metrics.dropped[reason]++
    const about = whose === "sender" ? "publish" : "receive"
    this.incidents.note(clientId, about, reason, message.topic.name, this.now(), told)
    sayDropped(this, reason, clientId, message, whose)
    if (this.hooks.wants.onDropped === undefined) return
    this.hooks.tell("onDropped", ApplicationMessage.of(message, this.now()), reason, clientId)
  }

  /** Retains and routes a message. `from` is the publisher's session, for No Local; `peer` its connection, unless it is a will. */
  publish(message: Message, from: Session | undefined, peer?: Peer): Reason {
    if (this.sampler !== undefined) this.sampler.see(message, from)
    if (message.recipients !== undefined) return this.publishTo(message.recipients, message, from, peer)
    if (message.retain) this.retained.put(message)
    const route = this.router.route(message.topic)
    if (!this.run.takes(message, route)) this.handRound(message, route, from)
    if (this.hooks.wants.onPublished !== undefined) this.tellPublished(message, peer)
    return route.targets.length + route.groups.length === 0 ? Reason.NoMatchingSubscribers : Reason.Success
  }

  private handRound(message: Message, route: Route<Session>, from: Session | undefined): void {
    const { targets, groups } = route
    this.turn.work += targets.length + groups.length + 1
    message.isRouting = true
    for (let i = 0; i < targets.length; i++) {
      const target = targets[i]!
      const { subscriber } = target
      if (subscriber !== from) subscriber.deliver(message, target)
      else if (target.own !== undefined) subscriber.deliver(message, target.own) // [MQTT-3.8.3-3]
    }
    for (let i = 0; i < groups.length; i++) this.sharing.deliver(groups[i]!, message)
    message.endRouting()
    this.run.begin(message, route)
  }

  /** Routes a message that only some may get. It is not retained: others would get it later. */
  private publishTo(
    recipients: ReadonlySet<string>,
    message: Message,
    from: Session | undefined,
    peer: Peer | undefined,
  ): Reason {
    const { targets, groups } = this.router.route(message.topic)
    const allowed = targets.filter(({ subscriber }) => recipients.has(subscriber.clientId))
    for (const target of allowed) {
      const own = target.subscriber === from ? target.own : target
      if (own !== undefined) target.subscriber.deliver(message, own)
    }
    for (const group of groups) this.sharing.deliver(group, message)
    if (this.hooks.wants.onPublished !== undefined) this.tellPublished(message, peer)
    return allowed.length + groups.length === 0 ? Reason.NoMatchingSubscribers : Reason.Success
  }

  private tellPublished(message: Message, peer: Peer | undefined): void {
    if (message.topic.isSys) return
    this.hooks.tell("onPublished", ApplicationMessage.of(message, this.now()), peer?.view)
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
    const client = this.hooks.wants.onSubscribed && this.clients.get(session.clientId)
    if (client !== undefined) this.hooks.tell("onSubscribed", { ...options, topicFilter: filter.text }, client.view)
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
    if (filter.shareName !== undefined) this.sharing.join(subscription)
  }

  /** Removes a subscription; false if there was none. [MQTT-3.10.4-1] */
  unsubscribe(session: Session, filterText: string): boolean {
    const subscription = session.subscriptions.get(filterText)
    if (subscription === undefined) return false
    session.subscriptions.delete(filterText)
    session.endReplay(filterText)
    this.leave(subscription)
    if (this.changes.isActive && !session.isVolatile) {
      this.changes.append({ kind: "unsubscribed", clientId: session.clientId, topicFilter: filterText })
    }
    const client = this.hooks.wants.onUnsubscribed && this.clients.get(session.clientId)
    if (client !== undefined) this.hooks.tell("onUnsubscribed", filterText, client.view)
    return true
  }

  unsubscribeAll(session: Session): void {
    leaveAll(session, this)
  }

  /** Sends a session what is retained for a subscription it has just made. [MQTT-3.3.1-9] */
  replayRetained(session: Session, filterText: string): void {
    const subscription = session.subscriptions.get(filterText)
    if (subscription === undefined) return
    const { pattern, hasWildcard } = subscription.filter
    if (!hasWildcard && this.retained.get(pattern) === undefined) return // as for most
    session.replay(subscription, this.retained.matching(pattern))
  }

  publishWill(will: Will, session: Session): void {
    this.wills.publish(will, session)
  }

  /** What a hook has made of a message: the same, another one, or, where it goes no further, undefined. */
  decided(
    message: Message,
    view: ApplicationMessage,
    outcome: Outcome<ApplicationMessage>,
    hook: keyof Hooks,
  ): Message | undefined {
    if (outcome === view) return message
    if (outcome instanceof Refused) return undefined
    const topic = outcome.topic === view.topic ? message.topic : this.router.topics.named(outcome.topic)
    if (topic !== undefined && (topic === message.topic || !topic.isSys)) return outcome.toMessage(topic, this.now())
    this.hookFailed(new ManjuError("INVALID_TOPIC", `nobody can publish to ${JSON.stringify(outcome.topic)}`), hook)
    return undefined
  }

  sessionExpired(session: Session): void {
    this.metrics.sessionsExpired++
    sayExpired(this.logger, session)
    this.hooks.tell("onSessionExpired", session.clientId)
  }

  parseFilter(text: string): TopicFilter | undefined {
    return parseTopicFilter(text, this.limits)
  }

  /** Takes a subscription out of the router, and its session out of the group. */
  leave(subscription: Subscription<Session>): void {
    this.router.unsubscribe(subscription)
    if (subscription.group !== undefined) this.sharing.leave(subscription, subscription.group)
  }
}

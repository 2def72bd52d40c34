/**
 * Subscriptions, and what becomes of several that match one topic: overlapping ones of one subscriber become one target, the highest QoS and every
 * identifier.
 */
import type { QoS, SubscribeRequest } from "../codec/index.ts"
import type { TopicFilter } from "./filter.ts"

/** What one subscriber gets of a topic. */
export interface Target<S> {
  readonly subscriber: S
  readonly qos: QoS
  readonly retainAsPublished: boolean
  /** The Subscription Identifiers of every matching subscription that has one. */
  readonly identifiers: readonly number[] | undefined
  /** What it gets of its own messages: nothing where No Local says so. [MQTT-3.8.3-3] */
  readonly own: Target<S> | undefined
}

export type SubscriptionOptions = Omit<SubscribeRequest, "topicFilter">

/** There may be a million of them: what can be told from the rest is no field. */
export class Subscription<S> implements Target<S> {
  readonly subscriber: S
  readonly filter: TopicFilter
  readonly qos: QoS
  readonly retainAsPublished: boolean
  readonly identifiers: readonly number[] | undefined
  readonly own: Target<S> | undefined
  private readonly retainHandling: SubscribeRequest["retainHandling"]
  /** The group it shares with, for `$share` filters. */
  group: ShareGroup<S> | undefined = undefined

  constructor(subscriber: S, filter: TopicFilter, options: SubscriptionOptions, identifier: number | undefined) {
    this.subscriber = subscriber
    this.filter = filter
    this.qos = options.qos
    this.retainAsPublished = options.retainAsPublished
    this.identifiers = identifier === undefined ? undefined : [identifier]
    this.own = options.noLocal ? undefined : this
    this.retainHandling = options.retainHandling
  }

  /** As they were asked for. */
  get options(): SubscriptionOptions {
    const { qos, own, retainAsPublished, retainHandling } = this
    return { qos, noLocal: own === undefined, retainAsPublished, retainHandling }
  }
}

/** The members of one Shared Subscription: each message goes to one of them. MQTT 5 §4.8.2 */
export class ShareGroup<S> {
  readonly shareName: string
  readonly pattern: string
  /** As its members write it: `$share/{name}/{pattern}`. */
  readonly text: string
  private readonly subscriptions = new Map<S, Subscription<S>>()

  constructor(shareName: string, pattern: string) {
    this.shareName = shareName
    this.pattern = pattern
    this.text = `$share/${shareName}/${pattern}`
  }

  get size(): number {
    return this.subscriptions.size
  }

  /** All of them: a copy. */
  get members(): Subscription<S>[] {
    return [...this.subscriptions.values()]
  }

  /** One after the other, in the order in which they joined. */
  subscribers(): MapIterator<S> {
    return this.subscriptions.keys()
  }

  has(subscriber: S): boolean {
    return this.subscriptions.has(subscriber)
  }

  /** Adds a member, or puts its new subscription in the place of its old one; true if it was none. */
  join(subscription: Subscription<S>): boolean {
    const { size } = this.subscriptions
    this.subscriptions.set(subscription.subscriber, subscription)
    return this.subscriptions.size > size
  }

  /** Removes a member; false if it has subscribed again since, or has gone. */
  leave(subscription: Subscription<S>): boolean {
    const { subscriber } = subscription
    return this.subscriptions.get(subscriber) === subscription && this.subscriptions.delete(subscriber)
  }
}

/** Everybody who gets the messages of one topic. */
export interface Route<S> {
  readonly targets: readonly Target<S>[]
  readonly groups: readonly ShareGroup<S>[]
}

/** One copy for overlapping subscriptions, at the highest QoS. [MQTT-3.3.4-2] [MQTT-3.3.4-3] */
export function merge<S>(a: Target<S>, b: Target<S>): Target<S> {
  const both = { ...union(a, b), own: undefined as Target<S> | undefined }
  if (a.own === a && b.own === b) both.own = both
  else if (a.own !== undefined && b.own !== undefined) both.own = merge(a.own, b.own)
  else both.own = a.own ?? b.own
  return both
}

function union<S>(a: Target<S>, b: Target<S>): Omit<Target<S>, "own"> {
  return {
    subscriber: a.subscriber,
    qos: (a.qos > b.qos ? a : b).qos,
    retainAsPublished: a.retainAsPublished || b.retainAsPublished,
    identifiers:
      a.identifiers && b.identifiers ? [...a.identifiers, ...b.identifiers] : (a.identifiers ?? b.identifiers),
  }
}

/**
 * Who gets a message: topic filters on one side, a topic name on the other.
 *
 * Filters without a wildcard live in a map, those with one in a trie by level. What a topic name matches is flattened
 * into a `Route`, which stays with the `Topic` until a subscription changes it: an exact filter invalidates the route of
 * its own topic, a wildcard filter all of them (a generation number, so that it costs nothing there and then).
 *
 * Overlapping subscriptions of one subscriber become one target: the highest QoS, every identifier. The first and
 * the last subscriber of a pattern are the moments at which its node appears and goes (`entry`, `prune`).
 */
import type { QoS, SubscribeRequest } from "../codec/index.ts"
import type { TopicFilter, TopicLimits } from "./filter.ts"
import { type Topic, Topics } from "./topics.ts"

/** How many targets the routes that wait with their topics may hold together. */
const MOST_KEPT_TARGETS = 1 << 20

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

export class Subscription<S> implements Target<S> {
  readonly subscriber: S
  readonly filter: TopicFilter
  readonly options: SubscriptionOptions
  readonly qos: QoS
  readonly retainAsPublished: boolean
  readonly identifiers: readonly number[] | undefined
  readonly own: Target<S> | undefined
  /** The group it shares with, for `$share` filters. */
  group: ShareGroup<S> | undefined = undefined

  constructor(subscriber: S, filter: TopicFilter, options: SubscriptionOptions, identifier: number | undefined) {
    this.subscriber = subscriber
    this.filter = filter
    this.options = options
    this.qos = options.qos
    this.retainAsPublished = options.retainAsPublished
    this.identifiers = identifier === undefined ? undefined : [identifier]
    this.own = options.noLocal ? undefined : this
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

interface Node<S> {
  children: Map<string, Node<S>> | undefined
  subscriptions: Map<S, Subscription<S>> | undefined
  groups: Map<string, ShareGroup<S>> | undefined
}

const newNode = <S>(): Node<S> => ({ children: undefined, subscriptions: undefined, groups: undefined })

export class Router<S> {
  readonly topics: Topics
  /** How many subscriptions there are, shared ones included, and how many are shared. */
  subscriptionCount = 0
  sharedCount = 0
  private readonly exact = new Map<string, Node<S>>()
  private readonly root = newNode<S>()
  /** Grows with every change of a wildcard filter; a route of an older one is stale. */
  private generation = 1
  /** Targets in all the routes found since they were let go last. */
  private keptTargets = 0

  constructor(limits: TopicLimits) {
    this.topics = new Topics(limits)
  }

  /** Adds a subscription, in the place of one with the same filter if the subscriber has it. [MQTT-3.8.4-3] */
  subscribe(subscription: Subscription<S>): void {
    const { filter, subscriber } = subscription
    const node = this.entry(filter)
    if (filter.shareName === undefined) {
      node.subscriptions ??= new Map()
      if (!node.subscriptions.has(subscriber)) this.subscriptionCount++
      node.subscriptions.set(subscriber, subscription)
    } else {
      node.groups ??= new Map()
      const known = node.groups.get(filter.shareName)
      const group = known ?? new ShareGroup(filter.shareName, filter.pattern)
      this.join(group, subscription)
      if (known !== undefined) return // every route that leads to it leads to its new member
      node.groups.set(filter.shareName, group)
    }
    this.invalidate(filter)
  }

  /** Removes a subscription. */
  unsubscribe(subscription: Subscription<S>): void {
    const { filter, subscriber, group } = subscription
    const node = this.lookup(filter)
    if (node === undefined) return
    if (group === undefined) {
      if (!node.subscriptions?.delete(subscriber)) return
      if (node.subscriptions.size === 0) node.subscriptions = undefined
    } else {
      if (!group.leave(subscription)) return
      this.sharedCount--
      if (group.size === 0) {
        node.groups!.delete(group.shareName)
        if (node.groups!.size === 0) node.groups = undefined
      }
    }
    this.subscriptionCount--
    if (group !== undefined && group.size > 0) return // the routes that lead to it still do
    if (isEmpty(node)) this.remove(filter)
    this.invalidate(filter)
  }

  /** Who gets the messages of `topic`. */
  route(topic: Topic): Route<S> {
    if (topic.route !== undefined && topic.generation === this.generation) return topic.route as Route<S>
    const route = this.match(topic.name)
    if (topic.cached) {
      this.keptTargets += route.targets.length
      if (this.keptTargets > MOST_KEPT_TARGETS) this.forgetRoutes()
      topic.route = route
      topic.generation = this.generation
    }
    return route
  }

  /** Whether a subscription of that subscriber matches: with no look at the others. */
  reaches(topic: Topic, subscriber: S): boolean {
    const isIn = ({ subscriptions, groups }: Node<S>) =>
      subscriptions?.has(subscriber) === true || groups?.values().some((group) => group.has(subscriber)) === true
    return this.find(topic.name).some(isIn)
  }

  /** Lets all routes go: those of many topics with many subscribers, and stale ones, would add up. */
  private forgetRoutes(): void {
    this.topics.forgetRoutes()
    this.keptTargets = 0
  }

  private match(name: string): Route<S> {
    return flatten(this.find(name))
  }

  private find(name: string): Node<S>[] {
    const found: Node<S>[] = []
    const exact = this.exact.get(name)
    if (exact !== undefined) found.push(exact)
    if (this.root.children !== undefined) walk(this.root, name.split("/"), 0, found)
    return found
  }

  private join(group: ShareGroup<S>, subscription: Subscription<S>): void {
    subscription.group = group
    if (!group.join(subscription)) return
    this.subscriptionCount++
    this.sharedCount++
  }

  private invalidate(filter: TopicFilter): void {
    if (filter.hasWildcard) {
      this.generation++
      return
    }
    const topic = this.topics.peek(filter.pattern)
    if (topic !== undefined) topic.route = undefined
  }

  private lookup(filter: TopicFilter): Node<S> | undefined {
    if (!filter.hasWildcard) return this.exact.get(filter.pattern)
    let node: Node<S> | undefined = this.root
    for (const level of filter.pattern.split("/")) {
      node = node?.children?.get(level)
    }
    return node
  }

  /** The node of a filter, made if it is not there: its first subscriber. */
  private entry(filter: TopicFilter): Node<S> {
    if (!filter.hasWildcard) return childOf(this.exact, filter.pattern)
    let node = this.root
    for (const level of filter.pattern.split("/")) {
      node.children ??= new Map()
      node = childOf(node.children, level)
    }
    return node
  }

  /** Takes away a node that is empty: its last subscriber has gone. */
  private remove(filter: TopicFilter): void {
    if (filter.hasWildcard) prune(this.root, filter.pattern.split("/"), 0)
    else this.exact.delete(filter.pattern)
  }
}

function childOf<S>(children: Map<string, Node<S>>, level: string): Node<S> {
  let child = children.get(level)
  if (child === undefined) {
    child = newNode()
    children.set(level, child)
  }
  return child
}

function isEmpty<S>(node: Node<S>): boolean {
  return node.children === undefined && node.subscriptions === undefined && node.groups === undefined
}

function prune<S>(node: Node<S>, levels: string[], depth: number): void {
  const level = levels[depth]
  const child = level === undefined ? undefined : node.children?.get(level)
  if (child === undefined) return
  prune(child, levels, depth + 1)
  if (!isEmpty(child)) return
  node.children!.delete(level!)
  if (node.children!.size === 0) node.children = undefined
}

/** Collects the wildcard nodes that match. A leading wildcard does not match a `$` topic. [MQTT-4.7.2-1] */
function walk<S>(node: Node<S>, levels: string[], depth: number, found: Node<S>[]): void {
  const { children } = node
  const mayBeWild = depth > 0 || !levels[0]!.startsWith("$")
  if (children !== undefined && mayBeWild) {
    const rest = children.get("#")
    if (rest !== undefined) found.push(rest) // `a/#` matches `a` too
  }
  if (depth === levels.length) {
    if (depth > 0 && (node.subscriptions !== undefined || node.groups !== undefined)) found.push(node)
    return
  }
  if (children === undefined) return
  const exact = children.get(levels[depth]!)
  if (exact !== undefined) walk(exact, levels, depth + 1, found)
  const any = mayBeWild ? children.get("+") : undefined
  if (any !== undefined) walk(any, levels, depth + 1, found)
}

function flatten<S>(nodes: readonly Node<S>[]): Route<S> {
  const groups: ShareGroup<S>[] = []
  const lists: Map<S, Subscription<S>>[] = []
  for (const node of nodes) {
    if (node.groups !== undefined) for (const group of node.groups.values()) groups.push(group)
    if (node.subscriptions !== undefined) lists.push(node.subscriptions)
  }
  if (lists.length === 1) return { targets: [...lists[0]!.values()], groups }
  const merged = new Map<S, Target<S>>()
  for (const list of lists) {
    for (const [subscriber, subscription] of list) {
      const known = merged.get(subscriber)
      merged.set(subscriber, known === undefined ? subscription : merge(known, subscription))
    }
  }
  return { targets: [...merged.values()], groups }
}

/** One copy for overlapping subscriptions, at the highest QoS. [MQTT-3.3.4-2] [MQTT-3.3.4-3] */
function merge<S>(a: Target<S>, b: Target<S>): Target<S> {
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

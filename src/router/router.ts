/**
 * Who gets a message: topic filters on one side, a topic name on the other.
 *
 * What a topic name matches (`filters.ts`) is flattened into a `Route`, which stays with the `Topic` until a subscription may have changed it: an
 * exact filter takes the route from its own topic, a wildcard filter makes those of all topics that begin as it does stale (`changes.ts`).
 */
import { Changes } from "./changes.ts"
import type { TopicFilter, TopicLimits } from "./filter.ts"
import { Filters } from "./filters.ts"
import { routeTo } from "./holders.ts"
import { type Route, ShareGroup, type Subscription } from "./subscription.ts"
import { type Topic, Topics } from "./topics.ts"

/** How many targets the routes that wait with their topics may hold together. */
const MOST_KEPT_TARGETS = 1 << 20

export class Router<S> {
  readonly topics: Topics
  /** How many subscriptions there are, shared ones included, and how many are shared. */
  subscriptionCount = 0
  sharedCount = 0
  private readonly filters = new Filters<S>()
  private readonly changes = new Changes()
  /** Targets in the routes that are kept, and in those that have gone one by one since they were all let go. */
  private keptTargets = 0

  constructor(limits: TopicLimits) {
    this.topics = new Topics(limits)
  }

  /** Adds a subscription, in the place of one with the same filter if the subscriber has it. [MQTT-3.8.4-3] */
  subscribe(subscription: Subscription<S>): void {
    const { filter } = subscription
    const { shareName, pattern } = filter
    const holders = this.filters.enter(filter)
    if (shareName === undefined) {
      if (holders.add(subscription)) this.subscriptionCount++
    } else {
      const known = holders.group(shareName)
      const group = known ?? new ShareGroup(shareName, pattern)
      this.join(group, subscription)
      if (known !== undefined) return // every route that leads to it leads to its new member
      holders.addGroup(group)
    }
    this.invalidate(filter)
  }

  /** Removes a subscription. */
  unsubscribe(subscription: Subscription<S>): void {
    const { filter, group } = subscription
    const holders = this.filters.get(filter)
    if (holders === undefined) return
    if (group === undefined) {
      if (!holders.remove(subscription)) return
    } else {
      if (!group.leave(subscription)) return
      this.sharedCount--
      if (group.size === 0) holders.removeGroup(group)
    }
    this.subscriptionCount--
    if (group !== undefined && group.size > 0) return // the routes that lead to it still do
    if (holders.isEmpty) this.filters.delete(filter)
    this.invalidate(filter)
  }

  /** Who gets the messages of `topic`. */
  route(topic: Topic): Route<S> {
    const known = topic.route as Route<S> | undefined
    if (known !== undefined && this.isCurrent(topic)) return known
    const route = routeTo(this.filters.match(topic.name))
    if (topic.cached) this.keep(topic, route)
    return route
  }

  /** Whether a subscription of that subscriber matches: with no look at the others. */
  reaches(topic: Topic, subscriber: S): boolean {
    return this.filters.match(topic.name).some((holders) => holders.has(subscriber))
  }

  /** Leaves a route with its topic. The routes of many topics with many subscribers would add up: then all are let go. */
  private keep(topic: Topic, route: Route<S>): void {
    const { targets } = route
    this.keptTargets += targets.length - ((topic.route as Route<S> | undefined)?.targets.length ?? 0)
    if (this.keptTargets > MOST_KEPT_TARGETS) {
      this.topics.forgetRoutes()
      this.keptTargets = targets.length
    }
    topic.route = route
    topic.generation = this.changes.count
  }

  private isCurrent(topic: Topic): boolean {
    const { count } = this.changes
    if (topic.generation === count) return true
    if (this.changes.concern(topic.name, topic.generation)) return false
    topic.generation = count
    return true
  }

  private join(group: ShareGroup<S>, subscription: Subscription<S>): void {
    subscription.group = group
    if (!group.join(subscription)) return
    this.subscriptionCount++
    this.sharedCount++
  }

  private invalidate(filter: TopicFilter): void {
    if (filter.hasWildcard) this.changes.note(filter.pattern)
    else {
      const topic = this.topics.peek(filter.pattern)
      if (topic !== undefined) topic.route = undefined
    }
  }
}

/**
 * Who has a filter: subscribers, and share groups by their name. Mostly that is one, and it is held as it is: a Map for each would be half of what
 * a subscription takes, and one more place in memory to look at in every match.
 */
import { merge, type Route, type ShareGroup, type Subscription, type Target } from "./subscription.ts"

export class Holders<S> {
  subscriptions: Subscription<S> | Map<S, Subscription<S>> | undefined = undefined
  groups: ShareGroup<S> | Map<string, ShareGroup<S>> | undefined = undefined

  /** Whether nobody has the filter. */
  get isEmpty(): boolean {
    return this.subscriptions === undefined && this.groups === undefined
  }

  /** Whether that subscriber has it, alone or with others: with no look at them. */
  has(subscriber: S): boolean {
    const { subscriptions, groups } = this
    const isOne =
      subscriptions instanceof Map ? subscriptions.has(subscriber) : subscriptions?.subscriber === subscriber
    if (isOne) return true
    if (groups instanceof Map) return groups.values().some((group) => group.has(subscriber))
    return groups?.has(subscriber) === true
  }

  /** Adds a subscription, or puts it in the place of its subscriber's; true if there was none. */
  add(subscription: Subscription<S>): boolean {
    const { subscriptions } = this
    const { subscriber } = subscription
    if (subscriptions instanceof Map) {
      const { size } = subscriptions
      return subscriptions.set(subscriber, subscription).size > size
    }
    if (subscriptions === undefined || subscriptions.subscriber === subscriber) {
      this.subscriptions = subscription
      return subscriptions === undefined
    }
    this.subscriptions = new Map([
      [subscriptions.subscriber, subscriptions],
      [subscriber, subscription],
    ])
    return true
  }

  /** Takes away a subscription; false if another has come in its place, or it has gone. */
  remove(subscription: Subscription<S>): boolean {
    const { subscriptions } = this
    if (subscriptions instanceof Map) {
      if (subscriptions.get(subscription.subscriber) !== subscription) return false
      subscriptions.delete(subscription.subscriber)
      if (subscriptions.size > 0) return true
    } else if (subscriptions !== subscription) return false
    this.subscriptions = undefined
    return true
  }

  group(shareName: string): ShareGroup<S> | undefined {
    const { groups } = this
    if (groups instanceof Map) return groups.get(shareName)
    return groups?.shareName === shareName ? groups : undefined
  }

  /** Adds a group, of whose name there is none. */
  addGroup(group: ShareGroup<S>): void {
    const { groups } = this
    if (groups === undefined) this.groups = group
    else if (groups instanceof Map) groups.set(group.shareName, group)
    else {
      this.groups = new Map([
        [groups.shareName, groups],
        [group.shareName, group],
      ])
    }
  }

  removeGroup({ shareName }: ShareGroup<S>): void {
    const { groups } = this
    if (groups instanceof Map) {
      groups.delete(shareName)
      if (groups.size > 0) return
    }
    this.groups = undefined
  }
}

const NONE: readonly never[] = []

/** Everybody who has one of these filters. */
export function routeTo<S>(found: readonly Holders<S>[]): Route<S> {
  return { targets: targetsOf(found), groups: groupsOf(found) }
}

function groupsOf<S>(found: readonly Holders<S>[]): readonly ShareGroup<S>[] {
  let all: ShareGroup<S>[] | undefined
  for (const { groups } of found) {
    if (groups === undefined) continue
    all ??= []
    if (groups instanceof Map) for (const group of groups.values()) all.push(group)
    else all.push(groups)
  }
  return all ?? NONE
}

function targetsOf<S>(found: readonly Holders<S>[]): readonly Target<S>[] {
  let only: NonNullable<Holders<S>["subscriptions"]> | undefined
  for (const { subscriptions } of found) {
    if (subscriptions === undefined) continue
    if (only !== undefined) return mergedTargets(found)
    only = subscriptions
  }
  if (only === undefined) return NONE
  return only instanceof Map ? [...only.values()] : [only]
}

function mergedTargets<S>(found: readonly Holders<S>[]): readonly Target<S>[] {
  const merged = new Map<S, Target<S>>()
  const add = (subscription: Subscription<S>) => {
    const known = merged.get(subscription.subscriber)
    merged.set(subscription.subscriber, known === undefined ? subscription : merge(known, subscription))
  }
  for (const { subscriptions } of found) {
    if (subscriptions instanceof Map) for (const subscription of subscriptions.values()) add(subscription)
    else if (subscriptions !== undefined) add(subscriptions)
  }
  return [...merged.values()]
}

/**
 * What a client has asked for one topic filter, and what is therefore certain: a subscription is in force from its SUBACK
 * until something else is asked, and may be from its SUBSCRIBE until something else is acknowledged.
 */
import { matches } from "../../../src/router/index.ts"

/** A SUBSCRIBE, an UNSUBSCRIBE or the end of the session, as the client has seen it. */
export interface Operation {
  readonly kind: "subscribe" | "unsubscribe" | "end"
  readonly qos: 1 | 2
  /** Its own, as Subscription Identifier. */
  readonly identifier: number
  readonly sentAt: number
  readonly life: number
  acknowledgedAt: number
}

export class History {
  readonly topicFilter: string
  readonly isShared: boolean
  /** One after the other: none is asked while one is under way, unless the connection was lost. */
  readonly operations: Operation[] = []
  private readonly pattern: string

  constructor(topicFilter: string) {
    this.topicFilter = topicFilter
    this.isShared = topicFilter.startsWith("$share/")
    this.pattern = this.isShared ? topicFilter.split("/").slice(2).join("/") : topicFilter
  }

  isFor(topic: string): boolean {
    return matches(this.pattern, topic)
  }

  /** The subscription that was certainly in force from `from` to `to`, whatever else was subscribed meanwhile. */
  certain(from: number, to: number): Operation | undefined {
    const { operations } = this
    for (let i = operations.length - 1; i >= 0; i--) {
      const operation = operations[i]!
      if (operation.acknowledgedAt <= from) return operation.kind === "subscribe" ? operation : undefined
      if (operation.kind !== "subscribe" && operation.sentAt <= to) return undefined
    }
    return undefined
  }

  /** The subscriptions that may have been in force at some time from `from` to `to`. */
  possible(from: number, to: number): Operation[] {
    return this.after(from).filter(({ kind, sentAt }) => kind === "subscribe" && sentAt <= to)
  }

  /** Whether the session may have ended after `at`, with what was on its way. */
  mayHaveEnded(at: number): boolean {
    return this.after(at).some(({ kind, acknowledgedAt }) => kind === "end" && acknowledgedAt > at)
  }

  /** What may still have been done at `at` or later: from the last that certainly was done before. */
  private after(at: number): Operation[] {
    const last = this.operations.findLastIndex(({ acknowledgedAt }) => acknowledgedAt <= at)
    return this.operations.slice(Math.max(0, last))
  }
}

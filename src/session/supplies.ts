/**
 * What a session takes and sends when nothing is queued: messages that wait for its share groups, then retained ones that it has still
 * to be sent; of these it keeps, for each subscription, the topics and not the messages.
 */
import { deliveryQoS } from "../codec/index.ts"
import type { Subscription } from "../router/index.ts"
import { Delivery } from "./delivery.ts"
import type { GroupQueue, Taker } from "./group.ts"
import type { SessionHost } from "./host.ts"

/** Retained messages still to be sent for a subscription, the next one last. */
interface Replay<S> {
  readonly subscription: Subscription<S>
  readonly topicNames: string[]
}

export class Supplies<S extends Taker> {
  /** Whether the session has done enough for this turn of the event loop. */
  isResting = false
  private readonly groups = new Map<GroupQueue, Subscription<S>>()
  private readonly replays: Replay<S>[] = []
  private readonly host: SessionHost

  constructor(host: SessionHost) {
    this.host = host
  }

  get areOut(): boolean {
    return this.groups.size === 0 && this.replays.length === 0
  }

  joinGroup(group: GroupQueue, member: Subscription<S>): void {
    this.groups.set(group, member)
  }

  leaveGroup(group: GroupQueue): void {
    this.groups.delete(group)
  }

  beginReplay(subscription: Subscription<S>, topicNames: string[]): void {
    this.endReplay(subscription.filter.text) // what is left of the last one comes with this one
    this.replays.push({ subscription, topicNames: topicNames.reverse() })
  }

  endReplay(filterText: string): void {
    const index = this.replays.findIndex(({ subscription }) => subscription.filter.text === filterText)
    if (index >= 0) this.replays.splice(index, 1)
  }

  next(session: S): Delivery | undefined {
    for (const [group, member] of this.groups) {
      const delivery = group.take(session, member)
      if (delivery !== undefined) return delivery
    }
    return this.nextRetained()
  }

  /** The next retained message, as it is now; its RETAIN flag is set. [MQTT-3.3.1-8] */
  private nextRetained(): Delivery | undefined {
    for (let replay = this.replays[0]; replay !== undefined; replay = this.replays[0]) {
      for (let name = replay.topicNames.pop(); name !== undefined; name = replay.topicNames.pop()) {
        const message = this.host.retainedMessage(name)
        if (message === undefined) continue
        const { qos, identifiers } = replay.subscription
        return new Delivery(message, deliveryQoS(message.qos, qos), true, identifiers, undefined)
      }
      this.replays.shift()
    }
    return undefined
  }
}

/**
 * Shared Subscriptions: of every message one member of the group gets it, the next in turn who can take it now. When nobody can, it
 * waits, in a queue for each group, for the first member who will. MQTT 5 §4.8.2
 */
import { deliveryQoS } from "../codec/index.ts"
import type { ShareGroup, Subscription } from "../router/index.ts"
import {
  Delivery,
  type DropReason,
  GroupQueue,
  isUnsent,
  type Message,
  type Round,
  type Session,
  type SessionHost,
  type Unsent,
} from "../session/index.ts"

const RESTORE_PAGE = 1000

export class Sharing {
  private readonly queues = new Map<string, GroupQueue<Session>>()
  private readonly host: SessionHost

  constructor(host: SessionHost) {
    this.host = host
  }

  /** What waits for a share group, by the text of its filter. */
  queue(owner: string): GroupQueue<Session> {
    let queue = this.queues.get(owner)
    if (queue === undefined) {
      queue = new GroupQueue<Session>(owner, this.host)
      this.queues.set(owner, queue)
    }
    return queue
  }

  join(subscription: Subscription<Session>): void {
    subscription.subscriber.joinGroup(this.queue(subscription.filter.text), subscription)
  }

  /** A member has gone from `group`; with the last one goes what waits: nobody will ever take it. */
  leave({ subscriber, filter }: Subscription<Session>, group: ShareGroup<Session>): void {
    const queue = this.queue(filter.text)
    subscriber.leaveGroup(queue)
    if (group.size > 0) return
    queue.clear()
    this.queues.delete(filter.text)
  }

  deliver(group: ShareGroup<Session>, message: Message): void {
    if (message.recipients !== undefined) {
      this.deliverTo(message.recipients, group, message)
      return
    }
    const queue = this.queue(group.text)
    const { members } = queue
    const { turn } = members
    const line = message.qos > 0 ? 1 : 0
    const mustQueue = message.qos > 0 && queue.waiting.length > 0 // what waits goes first
    let reason: DropReason = "backlog full"
    for (let place = mustQueue ? -1 : members.first(line); place >= 0; place = members.next(line, place, turn)) {
      const { taker, subscription, order } = members.at(place)
      const sending = taker.deliverShared(message, subscription, queue)
      if (isUnsent(sending)) {
        reason = sending.reason
        continue
      }
      members.served(place, line)
      if (sending !== undefined) {
        this.follow(sending, { first: order, asked: order, latest: members.latest }, queue, message.keep())
      }
      return
    }
    if (message.qos > 0) queue.put(new Delivery(message.keep(), message.qos, false, undefined, undefined))
    else if (members.online > 0) this.host.dropped(reason, queue.owner, message)
  }

  /** If what is being decided is that a member does not get a message of QoS 0, the first of the others that can take it does. */
  private follow(
    sending: Promise<Unsent | undefined>,
    round: Round,
    queue: GroupQueue<Session>,
    message: Message,
  ): void {
    sending
      .then((unsent) => unsent && this.offer(round, queue, message, unsent.reason))
      .catch((error) => this.host.onBug(error))
  }

  private offer(round: Round, queue: GroupQueue<Session>, message: Message, reason: DropReason): void {
    const { members } = queue
    let { asked } = round
    for (let place = members.following(0, round); place >= 0; place = members.following(0, { ...round, asked })) {
      const { taker, subscription, order } = members.at(place)
      asked = order
      const sending = taker.deliverShared(message, subscription, queue)
      if (isUnsent(sending)) continue
      if (sending !== undefined) this.follow(sending, { ...round, asked }, queue, message)
      return
    }
    this.host.dropped(reason, queue.owner, message)
  }

  /** Takes in what waited for a group when the last run ended; nobody may be left to take it. */
  async restore(owner: string): Promise<void> {
    const queue = this.queue(owner)
    for (let after = Number.MIN_SAFE_INTEGER; ; ) {
      const deliveries = await this.host.page(owner, after, RESTORE_PAGE)
      if (deliveries.length === 0) break
      queue.restore(deliveries)
      after = deliveries.at(-1)!.sequence
    }
    if (queue.members.size > 0) return
    queue.clear()
    this.queues.delete(owner)
  }

  /** Of a message for some only, one of them gets it; nobody else ever may, so it waits in the member's own queue. */
  private deliverTo(recipients: ReadonlySet<string>, group: ShareGroup<Session>, message: Message): void {
    const { members } = this.queue(group.text)
    const allowed = members.named(recipients)
    const isReady = ({ taker, subscription }: (typeof allowed)[number]) =>
      taker.isReadyFor(deliveryQoS(message.qos, subscription.qos))
    const member = allowed.find(isReady) ?? allowed[0]
    if (member === undefined) return
    members.turn = member.place + 1
    member.taker.deliver(message, member.subscription)
  }
}

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
  type Session,
  type SessionHost,
  type Unsent,
} from "../session/index.ts"

const RESTORE_PAGE = 1000

export class Sharing {
  private readonly queues = new Map<string, GroupQueue>()
  private readonly host: SessionHost

  constructor(host: SessionHost) {
    this.host = host
  }

  /** What waits for a share group, by the text of its filter. */
  queue(owner: string): GroupQueue {
    let queue = this.queues.get(owner)
    if (queue === undefined) {
      queue = new GroupQueue(owner, this.host)
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
    if (group.members.length > 0) return
    queue.clear()
    this.queues.delete(filter.text)
  }

  deliver(group: ShareGroup<Session>, message: Message): void {
    if (message.recipients !== undefined) {
      this.deliverTo(message.recipients, group, message)
      return
    }
    const { members } = group
    const queue = this.queue(`$share/${group.shareName}/${group.pattern}`)
    const mustQueue = message.qos > 0 && queue.waiting.length > 0 // what waits goes first
    let reason: DropReason = "backlog full"
    for (let i = 0; i < members.length && !mustQueue; i++) {
      const index = (group.turn + i) % members.length
      const member = members[index]!
      if (!member.subscriber.isReadyFor(deliveryQoS(message.qos, member.qos))) continue
      const sending = member.subscriber.deliverShared(message, member, queue)
      if (isUnsent(sending)) {
        reason = sending.reason
        continue
      }
      group.turn = index + 1
      if (sending !== undefined) {
        const others = members.slice(1).map((_, j) => members[(index + 1 + j) % members.length]!)
        this.follow(sending, others, queue, message.keep())
      }
      return
    }
    if (message.qos > 0) queue.put(new Delivery(message.keep(), message.qos, false, undefined, undefined))
    else if (members.some((member) => member.subscriber.outlet !== undefined)) {
      this.host.dropped(reason, queue.owner, message)
    }
  }

  /** If what is being decided is that a member does not get a message of QoS 0, the first of the others that can take it does. */
  private follow(
    sending: Promise<Unsent | undefined>,
    others: readonly Subscription<Session>[],
    queue: GroupQueue,
    message: Message,
  ): void {
    sending
      .then((unsent) => unsent && this.offer(others, queue, message, unsent.reason))
      .catch((error) => this.host.onBug(error))
  }

  private offer(
    members: readonly Subscription<Session>[],
    queue: GroupQueue,
    message: Message,
    reason: DropReason,
  ): void {
    for (const [index, member] of members.entries()) {
      const { subscriber } = member
      if (!queue.takers.has(subscriber) || !subscriber.isReadyFor(0)) continue
      const sending = subscriber.deliverShared(message, member, queue)
      if (isUnsent(sending)) continue
      if (sending !== undefined) this.follow(sending, members.slice(index + 1), queue, message)
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
    if (queue.takers.size > 0) return
    queue.clear()
    this.queues.delete(owner)
  }

  /** Of a message for some only, one of them gets it; nobody else ever may, so it waits in the member's own queue. */
  private deliverTo(recipients: ReadonlySet<string>, group: ShareGroup<Session>, message: Message): void {
    const { members, turn } = group
    const inTurn = members.map((_, i) => members[(turn + i) % members.length]!)
    const allowed = inTurn.filter(({ subscriber }) => recipients.has(subscriber.clientId))
    const isReady = ({ subscriber, qos }: (typeof allowed)[number]) =>
      subscriber.isReadyFor(deliveryQoS(message.qos, qos))
    const member = allowed.find(isReady) ?? allowed[0]
    if (member === undefined) return
    group.turn = members.indexOf(member) + 1
    member.subscriber.deliver(message, member)
  }
}

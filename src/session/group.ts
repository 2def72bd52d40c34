/**
 * What waits for a share group: messages that came while no member could take them, those of a member whose session ended, and
 * those that a member may not have. The members take from it, in order, as soon as they can.
 */
import { deliveryQoS } from "../codec/index.ts"
import { Delivery, Refusals, type ReturnAddress } from "./delivery.ts"
import type { DropReason } from "./drop-reason.ts"
import type { SessionHost } from "./host.ts"
import { Members, type Membership, type Supply, type Taker } from "./members.ts"
import { DeliveryQueue } from "./queue.ts"
import { RefusedDeliveries } from "./refused.ts"

export class GroupQueue<S extends Taker = Taker> implements ReturnAddress, Supply<S> {
  /** `$share/{name}/{filter}`, under which the store knows it. */
  readonly owner: string
  readonly waiting = new DeliveryQueue()
  readonly members = new Members<S>()
  /** What some of them could not have; it comes before what waits. Undefined: there has been none. */
  private refused: RefusedDeliveries | undefined = undefined
  /** Whether members are being offered what is here, and whether something has come back meanwhile. */
  private isOffering = false
  private mustOfferAgain = false
  /** Up to which number everybody who was ready has been offered what has been refused. */
  private offered = 0
  private readonly host: SessionHost
  /** Those of its ends: what comes back goes in front. */
  private firstSequence = 1
  private lastSequence = 0

  constructor(owner: string, host: SessionHost) {
    this.owner = owner
    this.host = host
  }

  /** Adds a delivery at the end; drops and counts it if there is no room. */
  put(delivery: Delivery): void {
    if (!this.hasRoomFor(delivery)) return
    delivery.sequence = ++this.lastSequence
    this.waiting.push(delivery)
    this.host.queueBytes += delivery.message!.sizeBytes
    this.record(delivery)
  }

  /** Takes back what a member could not finish, for the others; `loan`: the store has it under that sequence. */
  giveBack(delivery: Delivery, loan: number | undefined): void {
    if (this.members.size === 0 || !this.hasRoomFor(delivery)) {
      if (loan !== undefined) this.settle(loan)
      return
    }
    delivery.sequence = loan ?? --this.firstSequence
    this.waiting.unshift(delivery)
    this.host.queueBytes += delivery.message!.sizeBytes
    if (loan === undefined) this.record(delivery)
  }

  /**
   * Takes back what `outlet` does not send, for those who have not been asked: who can take it now has it at once. When everybody
   * has been asked, it is dropped.
   */
  pass({ message, loan, refusals = new Refusals() }: Delivery, outlet: object, reason: DropReason): void {
    refusals.add(outlet, reason)
    const delivery = new Delivery(message!.keep(), message!.qos, false, undefined, undefined)
    delivery.refusals = refusals
    const isExpired = message!.isExpired(this.host.now())
    if (isExpired || this.isRefusedByAll(delivery)) {
      this.host.dropped(isExpired ? "message expired" : reason, this.owner, message!)
      if (loan !== undefined) this.settle(loan)
    } else if (!this.hasRoomFor(delivery)) {
      if (loan !== undefined) this.settle(loan)
    } else {
      delivery.sequence = loan ?? ++this.lastSequence
      this.refused ??= new RefusedDeliveries()
      this.refused.push(delivery)
      this.host.queueBytes += delivery.message!.sizeBytes
      if (loan === undefined) this.record(delivery)
      this.offer()
    }
  }

  get isEmpty(): boolean {
    return this.length === 0
  }

  enter(membership: Membership<S>): void {
    this.members.add(membership)
    const { outlet } = membership.taker
    if (outlet !== undefined) this.refused?.count(outlet, 1)
  }

  /** A member has gone: of what is left some may have been refused by all the others. */
  leave(membership: Membership<S>): void {
    this.members.remove(membership)
    const { outlet } = membership.taker
    if (this.members.size === 0 || this.refused === undefined) return // what is left goes without it
    if (outlet !== undefined) this.refused.count(outlet, -1)
    for (const delivery of this.refused.takeIf((each) => this.isRefusedByAll(each))) {
      this.dropTaken(delivery.refusals!.lastReason, delivery)
    }
  }

  connected(): void {
    this.members.online++
  }

  disconnected(membership: Membership<S>, outlet: object): void {
    this.members.online--
    this.members.sideline(membership)
    this.refused?.count(outlet, -1)
  }

  /** Keeps a message in the store while a member that would not survive a crash has it; undefined: no need. */
  lend(delivery: Delivery): number | undefined {
    if (!this.isRecorded) return undefined
    delivery.sequence = ++this.lastSequence
    this.record(delivery)
    return delivery.sequence
  }

  /** A message is done for good. */
  settle(sequence: number): void {
    if (this.host.changes.isActive) this.host.changes.append({ kind: "settled", owner: this.owner, sequence })
  }

  /** Whether there is anybody to whom the messages must be kept over a crash. */
  private get isRecorded(): boolean {
    return this.host.changes.isActive && this.members.lasting > 0
  }

  /** Takes in what the last run left, in order. Members that are here already look when they are pumped next. */
  restore(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) {
      this.firstSequence = Math.min(this.firstSequence, delivery.sequence)
      this.lastSequence = Math.max(this.lastSequence, delivery.sequence)
      this.waiting.push(delivery)
      this.host.queueBytes += delivery.message!.sizeBytes
    }
    const { members } = this
    for (let place = members.ready(1, 0); place >= 0; place = members.ready(1, place + 1)) {
      const membership = members.at(place)
      membership.keeper.mayTake(membership)
    }
  }

  /** Lets the members take what is here. What one of them could not have, while this goes on, is offered to the others then. */
  offer(): void {
    this.mustOfferAgain = true
    if (this.isOffering) return
    this.isOffering = true
    try {
      while (this.mustOfferAgain) {
        this.mustOfferAgain = false
        this.offerToAll()
      }
    } finally {
      this.isOffering = false
    }
  }

  /** Whoever is passed over meanwhile looks by itself when it is ready again. */
  private offerToAll(): void {
    const { members, waiting, refused, offered } = this
    this.offered = refused?.lastNumber ?? 0
    for (let place = members.ready(1, 0); place >= 0; place = members.ready(1, place + 1)) {
      if (waiting.length === 0 && (refused?.newest ?? 0) <= offered) return // the rest everybody has looked at
      const membership = members.at(place)
      const { taker, keeper } = membership
      if (!this.hasFor(taker)) continue
      keeper.mayTake(membership)
      taker.pump()
    }
  }

  private hasFor({ outlet }: S): boolean {
    return outlet !== undefined && (this.waiting.length > 0 || this.refused?.hasFor(outlet) === true)
  }

  /** Nobody is left who might have it: not even somebody who is away. */
  private isRefusedByAll({ refusals }: Delivery): boolean {
    if (refusals!.count < this.members.size) return false
    // Of those who have refused it some may be members no longer, who went while it was another's.
    let count = 0
    for (const { taker } of this.members.all()) {
      if (taker.outlet !== undefined && refusals!.has(taker.outlet)) count++
    }
    refusals!.count = count
    return count === this.members.size
  }

  private get length(): number {
    return this.waiting.length + (this.refused?.length ?? 0)
  }

  private get bytes(): number {
    return this.waiting.bytes + (this.refused?.bytes ?? 0)
  }

  private hasRoomFor(delivery: Delivery): boolean {
    const { host } = this
    const message = delivery.message!
    const bytes = message.sizeBytes
    const { maximumQueuedMessages, maximumQueuedBytes, maximumQueueMemoryBytes } = host.limits
    if (this.length >= maximumQueuedMessages) this.dropExpired()
    if (this.length >= maximumQueuedMessages || this.bytes + bytes > maximumQueuedBytes) {
      host.dropped("queue full", this.owner, message)
      return false
    }
    if (host.queueBytes + bytes > maximumQueueMemoryBytes) {
      host.dropped("queue memory full", this.owner, message)
      return false
    }
    return true
  }

  /** The next one that has not expired; it is the taker's now, or, at QoS 1 to one that is volatile, on loan. */
  take({ taker, subscription }: Membership<S>): Delivery | undefined {
    const { qos: granted, retainAsPublished, identifiers } = subscription
    const taken = this.nextFor(taker.outlet!)
    if (taken === undefined) return undefined
    const message = taken.message!
    this.host.queueBytes -= message.sizeBytes
    const qos = deliveryQoS(message.qos, granted)
    const delivery = new Delivery(message, qos, message.retain && retainAsPublished, identifiers, this)
    delivery.refusals = taken.refusals
    const isLent = qos === 1 && taker.isVolatile && this.isRecorded // at QoS 2 it is its own, whatever comes [MQTT-4.8.2-5]
    if (isLent) delivery.loan = taken.sequence
    else this.settle(taken.sequence)
    return delivery
  }

  /** The last member has gone: nobody will ever take what is left. */
  clear(): void {
    for (const delivery of this.refused?.takeIf(() => true) ?? []) this.discard(delivery)
    for (let delivery = this.waiting.shift(); delivery !== undefined; delivery = this.waiting.shift()) {
      this.discard(delivery)
    }
  }

  private nextFor(outlet: object): Delivery | undefined {
    const now = this.host.now()
    for (;;) {
      const delivery = this.refused?.take(outlet) ?? this.waiting.shift()
      if (delivery === undefined || !delivery.message!.isExpired(now)) return delivery
      this.dropTaken("message expired", delivery)
    }
  }

  /** Makes room. */
  private dropExpired(): void {
    const now = this.host.now()
    const { waiting, refused } = this
    for (const delivery of refused?.takeIf(({ message }) => message!.isExpired(now)) ?? []) {
      this.dropTaken("message expired", delivery)
    }
    while (waiting.first?.message?.isExpired(now)) this.dropTaken("message expired", waiting.shift()!)
  }

  private dropTaken(reason: DropReason, delivery: Delivery): void {
    this.host.dropped(reason, this.owner, delivery.message!)
    this.discard(delivery)
  }

  /** Forgets what has been taken out. */
  private discard({ message, sequence }: Delivery): void {
    this.host.queueBytes -= message!.sizeBytes
    this.settle(sequence)
  }

  private record(delivery: Delivery): void {
    if (!this.isRecorded) return
    const { sequence, qos, retain, identifiers } = delivery
    const record = { sequence, message: delivery.message!, qos, retain, identifiers, group: undefined }
    this.host.changes.append({ kind: "queued", owner: this.owner, delivery: record })
  }
}

/**
 * The members of a share group in the order in which they joined, and whose turn it is.
 *
 * A group may have a million of them, so nobody goes through all to find one who can take a message. Whoever is met and cannot is
 * passed over from then on, and comes back by itself: its session lets the group know when it is ready again (`Memberships`). So those
 * who are not passed over are those who are ready, and some of whom nobody has noticed that they are not any more; each of these is
 * met once. There are two lines, since whose window is full can still take what is not acknowledged.
 */
import { deliveryQoS, type QoS } from "../codec/index.ts"
import type { Subscription } from "../router/index.ts"
import type { Delivery } from "./delivery.ts"
import { NumberSet } from "./number-set.ts"

/** A member's session. */
export interface Taker {
  readonly clientId: string
  readonly isVolatile: boolean
  /** Whether it has ended, and is about to leave. */
  readonly isOver: boolean
  /** Its connection. */
  readonly outlet: object | undefined
  isReadyFor(qos: QoS): boolean
  pump(): void
}

/** What waits for a group, and who is in it. */
export interface Supply<S extends Taker> {
  readonly members: Members<S>
  readonly isEmpty: boolean
  enter(membership: Membership<S>): void
  leave(membership: Membership<S>): void
  /** A member has a connection, which takes nothing yet; or its own has gone. */
  connected(): void
  disconnected(membership: Membership<S>, outlet: object): void
  /** The next that this member may have, which is its own from then on. */
  take(membership: Membership<S>): Delivery | undefined
}

/** Whoever brings back a member that has been passed over. */
export interface Keeper<S extends Taker> {
  /** It is to be brought back when its session is ready for `qos`. */
  passedOver(membership: Membership<S>, qos: QoS): void
  /** Something may wait for it: its session is to look as soon as it has room. */
  mayTake(membership: Membership<S>): void
}

/** Who is asked, one after the other, whether he gets a message: members, by their `order`. */
export interface Round {
  /** With whom it has begun, and who has been asked last. */
  readonly first: number
  readonly asked: number
  /** Who had joined last when it began: nobody behind is asked. */
  readonly latest: number
}

/** For messages of QoS 0, or for those of QoS 1 and 2. */
export type Line = 0 | 1

let joined = 0

/** A session in a share group. */
export class Membership<S extends Taker = Taker> {
  /** What it is granted. */
  subscription: Subscription<S>
  /** Grows from one that joins a group, whichever, to the next. */
  readonly order = ++joined
  /** Where it stands in its group; -1: it has left. */
  place = -1
  /** Its keeper's own: for which QoS it is to be brought back, as bits, and whether its session is to look. */
  awaited = 0
  isToLook = false
  readonly supply: Supply<S>
  readonly keeper: Keeper<S>

  constructor(subscription: Subscription<S>, supply: Supply<S>, keeper: Keeper<S>) {
    this.subscription = subscription
    this.supply = supply
    this.keeper = keeper
  }

  get taker(): S {
    return this.subscription.subscriber
  }

  /** What its session must be ready for to take a message of that line. */
  needs(line: Line): QoS {
    return deliveryQoS(line, this.subscription.qos)
  }
}

export class Members<S extends Taker = Taker> {
  size = 0
  /** How many are connected, and how many outlive their connection. */
  online = 0
  lasting = 0
  /** Where the turn is. */
  turn = 0
  /** Where somebody has left, the `order` that he had. */
  private places: (Membership<S> | number)[] = []
  /** The places of those who have not been passed over, by what they may be ready for: QoS 0, or QoS 1 and 2. */
  private openAtZero = new NumberSet()
  private openAboveZero = new NumberSet()
  /** Made when somebody asks for it. */
  private byClientId: Map<string, Membership<S>> | undefined

  /** The `order` of the one that has joined last. */
  get latest(): number {
    return orderOf(this.places.at(-1)!)
  }

  add(membership: Membership<S>): void {
    if (this.places.length > 2 * this.size + 16) this.closeRanks()
    membership.place = this.places.length
    this.places.push(membership)
    this.size++
    if (membership.taker.outlet !== undefined) this.online++
    if (!membership.taker.isVolatile) this.lasting++
    this.byClientId?.set(membership.taker.clientId, membership)
  }

  remove(membership: Membership<S>): void {
    const { place, taker, order } = membership
    this.sideline(membership)
    this.places[place] = order
    membership.place = -1
    this.size--
    if (taker.outlet !== undefined) this.online--
    if (!taker.isVolatile) this.lasting--
    if (this.byClientId?.get(taker.clientId) === membership) this.byClientId.delete(taker.clientId)
  }

  /** Looks at what a member is ready for now. */
  review(membership: Membership<S>): void {
    this.reviewFor(0, membership)
    this.reviewFor(1, membership)
  }

  /** Nobody meets a member any more, before the next review. */
  sideline({ place }: Membership<S>): void {
    this.openAtZero.delete(place)
    this.openAboveZero.delete(place)
  }

  *all(): Generator<Membership<S>> {
    for (const each of this.places) if (typeof each !== "number") yield each
  }

  at(place: number): Membership<S> {
    return this.places[place] as Membership<S>
  }

  /** The place of the first who is ready, from whose turn it is; -1: nobody is. */
  first(line: Line): number {
    const place = this.ready(line, this.turn, this.places.length)
    return place < 0 ? this.ready(line, 0, this.turn) : place
  }

  /** The same behind `place`, until it would be the turn of `start` again. */
  next(line: Line, place: number, start: number): number {
    if (place < start) return this.ready(line, place + 1, start)
    const next = this.ready(line, place + 1, this.places.length)
    return next < 0 ? this.ready(line, 0, start) : next
  }

  /**
   * The turn of the member at that place is over. One whose window is full now is passed over at once: if that were left to who meets
   * him, the last window to be filled would have somebody meet them all.
   */
  served(place: number, line: Line): void {
    this.turn = place + 1
    if (line === 1) this.ready(1, place, place + 1)
  }

  /** The place of the first who is ready, from `from` on and before `end`; -1: nobody is. */
  ready(line: Line, from: number, end = this.places.length): number {
    const open = this.open(line)
    for (let place = open.next(from); place >= 0 && place < end; place = open.next(place + 1)) {
      const membership = this.at(place)
      if (membership.taker.isReadyFor(membership.needs(line))) return place
      this.passOver(membership, line)
    }
    return -1
  }

  /** The place of the next in a round who is ready; -1: all have been asked. */
  following(line: Line, { first, asked, latest }: Round): number {
    const start = this.placeOf(first)
    const behind = this.placeOf(asked + 1)
    if (asked < first) return this.ready(line, behind, start)
    const next = this.ready(line, behind, this.placeOf(latest + 1))
    return next < 0 ? this.ready(line, 0, start) : next
  }

  /** Those of these clients who are members, in turn. */
  named(clientIds: ReadonlySet<string>): Membership<S>[] {
    const found = clientIds.size < this.size ? this.lookup(clientIds) : this.filter(clientIds)
    const distance = ({ place }: Membership<S>) => (place < this.turn ? place + this.places.length : place)
    return found.filter(({ taker }) => !taker.isOver).sort((a, b) => distance(a) - distance(b))
  }

  private lookup(clientIds: Iterable<string>): Membership<S>[] {
    this.byClientId ??= new Map(this.all().map((each) => [each.taker.clientId, each]))
    const found: Membership<S>[] = []
    for (const clientId of clientIds) {
      const membership = this.byClientId.get(clientId)
      if (membership !== undefined) found.push(membership)
    }
    return found
  }

  private filter(clientIds: ReadonlySet<string>): Membership<S>[] {
    return [...this.all().filter(({ taker }) => clientIds.has(taker.clientId))]
  }

  private open(line: Line): NumberSet {
    return line === 0 ? this.openAtZero : this.openAboveZero
  }

  private reviewFor(line: Line, membership: Membership<S>): void {
    if (membership.taker.isReadyFor(membership.needs(line))) this.open(line).add(membership.place)
    else this.passOver(membership, line)
  }

  /** Nobody comes to a member any more, of that line, until its keeper brings it back. */
  private passOver(membership: Membership<S>, line: Line): void {
    this.open(line).delete(membership.place)
    membership.keeper.passedOver(membership, membership.needs(line))
  }

  /** The first place of one who has not joined before the `order`. */
  private placeOf(order: number): number {
    let [low, high] = [0, this.places.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (orderOf(this.places[middle]!) < order) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Leaves out the places of those who have left: when they are the most, so that many who join and leave pay for it together. */
  private closeRanks(): void {
    const { places, turn, openAtZero, openAboveZero } = this
    this.places = []
    this.openAtZero = new NumberSet()
    this.openAboveZero = new NumberSet()
    for (const [before, each] of places.entries()) {
      if (before === turn) this.turn = this.places.length
      if (typeof each === "number") continue
      const after = this.places.push(each) - 1
      if (openAtZero.has(before)) this.openAtZero.add(after)
      if (openAboveZero.has(before)) this.openAboveZero.add(after)
      each.place = after
    }
    if (turn >= places.length) this.turn = this.places.length
  }
}

function orderOf(each: Membership | number): number {
  return typeof each === "number" ? each : each.order
}

/**
 * The share groups of a session: it may be in a hundred thousand of them, and looks only where something may wait for it.
 *
 * A group passes over whom it meets when he cannot take a message. That is noted here, and when the session is ready again (`wake`) the
 * group is told; where something waits there, the session takes from it, from the group first that it joined first. So of what waits in
 * a group every member knows that could not take it: it has been passed over, or it is to look.
 */
import type { QoS } from "../codec/index.ts"
import type { Subscription } from "../router/index.ts"
import type { Delivery } from "./delivery.ts"
import { type Keeper, Membership, type Supply, type Taker } from "./members.ts"

/** What every session has as long as nothing is noted. */
const NONE: never[] = []
/** Why a membership awaits its session, as bits. */
const AT_ZERO = 1
const ABOVE_ZERO = 2

export class Memberships<S extends Taker> implements Keeper<S> {
  /** Most sessions are in one group, and need no table. */
  private only: Membership<S> | undefined = undefined
  private more: Map<Supply<S>, Membership<S>> | undefined = undefined
  /** Those passed over, until the session is ready for QoS 0, and until it is for QoS 1 and 2. */
  private passedAtZero: Membership<S>[] = NONE
  private passedAboveZero: Membership<S>[] = NONE
  /** Where it is to look, as a heap: who is at `(i - 1) >> 1` joined before who is at `i`. */
  private toLook: Membership<S>[] = NONE
  private readonly taker: S

  constructor(taker: S) {
    this.taker = taker
  }

  /** Whether there is nothing to look for, and nobody to tell that it is ready again. */
  get areQuiet(): boolean {
    return this.noted === 0
  }

  /** Whether the session is in no group. */
  get areNone(): boolean {
    return this.only === undefined && (this.more === undefined || this.more.size === 0)
  }

  /** Joins a group, or stays in its place there with what is granted now. */
  join(supply: Supply<S>, subscription: Subscription<S>): void {
    let membership = this.find(supply)
    if (membership === undefined) {
      membership = new Membership(subscription, supply, this)
      this.add(membership)
      supply.enter(membership)
    }
    membership.subscription = subscription
    this.review(membership)
  }

  leave(supply: Supply<S>): void {
    const membership = this.find(supply)
    if (membership === undefined) return
    if (membership === this.only) this.only = undefined
    else this.more!.delete(supply)
    supply.leave(membership)
    if (this.noted > 4 * (this.more?.size ?? 0) + 16) this.tidy()
  }

  /** The session has a connection, which takes nothing yet. */
  connected(): void {
    for (const { supply } of this.all()) supply.connected()
  }

  /** It has none any more: nobody is to meet it who looks for one that is ready. */
  disconnected(outlet: object): void {
    for (const membership of this.all()) {
      membership.supply.disconnected(membership, outlet)
      this.passedOver(membership, 0) // on its return it is looked at what else it is ready for
    }
  }

  /** The session may be ready for more than before. */
  wake(): void {
    if (this.passedAtZero.length > 0 && this.taker.isReadyFor(0)) {
      const passed = this.passedAtZero
      this.passedAtZero = NONE
      this.bringBack(passed, AT_ZERO)
    }
    if (this.passedAboveZero.length > 0 && this.taker.isReadyFor(1)) {
      const passed = this.passedAboveZero
      this.passedAboveZero = NONE
      this.bringBack(passed, ABOVE_ZERO)
    }
  }

  /** What waits for it next; it is the session's from now on. */
  next(): Delivery | undefined {
    this.wake()
    for (let first = this.toLook[0]; first !== undefined; first = this.toLook[0]) {
      const delivery = first.place < 0 ? undefined : first.supply.take(first)
      if (delivery !== undefined) return delivery
      if (this.toLook[0] === first) this.looked() // whoever heard of a drop may have made it look meanwhile
    }
    return undefined
  }

  passedOver(membership: Membership<S>, qos: QoS): void {
    const bit = qos === 0 ? AT_ZERO : ABOVE_ZERO
    if ((membership.awaited & bit) !== 0) return
    membership.awaited |= bit
    if (qos === 0) this.passedAtZero = noting(this.passedAtZero, membership)
    else this.passedAboveZero = noting(this.passedAboveZero, membership)
  }

  mayTake(membership: Membership<S>): void {
    if (membership.isToLook) return
    membership.isToLook = true
    const toLook = (this.toLook = noting(this.toLook, membership))
    let at = toLook.length - 1
    for (let above = (at - 1) >> 1; at > 0 && toLook[above]!.order > membership.order; above = (at - 1) >> 1) {
      toLook[at] = toLook[above]!
      at = above
    }
    toLook[at] = membership
  }

  private review(membership: Membership<S>): void {
    const { supply } = membership
    supply.members.review(membership)
    if (!supply.isEmpty) this.mayTake(membership)
  }

  private bringBack(passed: readonly Membership<S>[], bit: number): void {
    for (const membership of passed) {
      membership.awaited &= ~bit
      if (membership.place >= 0) this.review(membership)
    }
  }

  private find(supply: Supply<S>): Membership<S> | undefined {
    return this.only?.supply === supply ? this.only : this.more?.get(supply)
  }

  private add(membership: Membership<S>): void {
    if (this.only === undefined && this.more === undefined) {
      this.only = membership
      return
    }
    this.more ??= new Map()
    this.more.set(membership.supply, membership)
  }

  private all(): Iterable<Membership<S>> {
    if (this.more === undefined) return this.only === undefined ? NONE : [this.only]
    return this.only === undefined ? this.more.values() : [this.only, ...this.more.values()]
  }

  /** How many are noted anywhere, those that it has left included. */
  private get noted(): number {
    return this.toLook.length + this.passedAtZero.length + this.passedAboveZero.length
  }

  /** There is nothing for it where it has looked first. */
  private looked(): void {
    const { toLook } = this
    toLook[0]!.isToLook = false
    const last = toLook.pop()!
    if (toLook.length === 0) {
      this.toLook = NONE
      return
    }
    let at = 0
    for (let below = 1; below < toLook.length; below = 2 * at + 1) {
      if (below + 1 < toLook.length && toLook[below + 1]!.order < toLook[below]!.order) below++
      if (toLook[below]!.order > last.order) break
      toLook[at] = toLook[below]!
      at = below
    }
    toLook[at] = last
  }

  /** Lets go of the groups that it has left: when they are the most, so that many that are left pay for it together. */
  private tidy(): void {
    const isIn = ({ place }: Membership<S>) => place >= 0
    this.passedAtZero = this.passedAtZero.filter(isIn)
    this.passedAboveZero = this.passedAboveZero.filter(isIn)
    this.toLook = this.toLook.filter(isIn).sort((a, b) => a.order - b.order) // what is sorted is a heap
  }
}

function noting<Each>(list: Each[], each: Each): Each[] {
  if (list === NONE) return [each]
  list.push(each)
  return list
}

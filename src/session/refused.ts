/**
 * Deliveries of a share group that some of its members may not have, or cannot take: they wait for those who have not been
 * asked. Each connection is shown each of them once, in order, and goes on from where it was, however many there are.
 */
import type { Delivery } from "./delivery.ts"

interface Entry {
  /** Its place in the order: they only grow. */
  readonly number: number
  /** Undefined: taken. */
  delivery: Delivery | undefined
}

export class RefusedDeliveries {
  length = 0
  bytes = 0
  /** The number of the one that came last. */
  lastNumber = 0
  private entries: Entry[] = []
  /** The number of the last one that a connection has seen. */
  private readonly seen = new WeakMap<object, number>()

  /** Adds one that has its refusals. */
  push(delivery: Delivery): void {
    this.entries.push({ number: ++this.lastNumber, delivery })
    this.length++
    this.bytes += delivery.message!.sizeBytes
  }

  /** Whether there is one that this connection has not refused. */
  hasFor(outlet: object): boolean {
    return this.length > 0 && this.entryFor(outlet) !== undefined
  }

  /** Takes the first one that this connection has not refused. */
  take(outlet: object): Delivery | undefined {
    if (this.length === 0) return undefined
    const entry = this.entryFor(outlet)
    return entry && this.remove(entry)
  }

  /** The number of the last one that is still here. */
  get newest(): number {
    const { entries } = this
    while (entries.length > 0 && entries.at(-1)!.delivery === undefined) entries.pop()
    return entries.at(-1)?.number ?? 0
  }

  /** A connection has come to be a member's (1), or is one's no longer (-1): what it has refused counts accordingly. */
  count(outlet: object, difference: 1 | -1): void {
    if (this.length === 0) return
    for (const { delivery } of this.entries) {
      const refusals = delivery?.refusals
      if (refusals?.has(outlet)) refusals.count += difference
    }
  }

  /** Takes all of which `isOver` says so. */
  takeIf(isOver: (delivery: Delivery) => boolean): Delivery[] {
    const over = this.entries.filter(({ delivery }) => delivery !== undefined && isOver(delivery))
    return over.map((entry) => this.remove(entry))
  }

  private entryFor(outlet: object): Entry | undefined {
    const { entries } = this
    let index = this.indexBehind(this.seen.get(outlet) ?? 0)
    for (; index < entries.length; index++) {
      const { delivery } = entries[index]!
      if (delivery !== undefined && !delivery.refusals!.has(outlet)) break
    }
    if (index > 0) this.seen.set(outlet, entries[index - 1]!.number)
    return entries[index]
  }

  private indexBehind(number: number): number {
    let [low, high] = [0, this.entries.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.entries[middle]!.number <= number) low = middle + 1
      else high = middle
    }
    return low
  }

  private remove(entry: Entry): Delivery {
    const delivery = entry.delivery!
    entry.delivery = undefined
    this.length--
    this.bytes -= delivery.message!.sizeBytes
    // What is taken goes when it is the most: a place is not worth keeping, but moving all for each is dear.
    if (this.entries.length > 2 * this.length + 16) {
      this.entries = this.entries.filter((each) => each.delivery !== undefined)
    }
    return delivery
  }
}

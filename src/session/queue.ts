import type { Delivery } from "./delivery.ts"

const SMALLEST = 8

/** A first-in, first-out ring of deliveries that knows what it weighs. */
export class DeliveryQueue {
  length = 0
  bytes = 0
  private ring: (Delivery | undefined)[] = []
  private head = 0

  get first(): Delivery | undefined {
    return this.ring[this.head]
  }

  push(delivery: Delivery): void {
    if (this.length === this.ring.length) this.grow()
    this.ring[(this.head + this.length) & (this.ring.length - 1)] = delivery
    this.length++
    this.bytes += delivery.message!.sizeBytes
  }

  /** Puts a delivery in front of all others: it had its turn and could not be delivered. */
  unshift(delivery: Delivery): void {
    if (this.length === this.ring.length) this.grow()
    this.head = (this.head - 1) & (this.ring.length - 1)
    this.ring[this.head] = delivery
    this.length++
    this.bytes += delivery.message!.sizeBytes
  }

  shift(): Delivery | undefined {
    const delivery = this.ring[this.head]
    if (delivery === undefined) return undefined
    this.ring[this.head] = undefined
    this.head = (this.head + 1) & (this.ring.length - 1)
    this.length--
    this.bytes -= delivery.message!.sizeBytes
    if (this.length === 0 && this.ring.length > SMALLEST) {
      this.ring = []
      this.head = 0
    }
    return delivery
  }

  *[Symbol.iterator](): Generator<Delivery> {
    for (let i = 0; i < this.length; i++) yield this.ring[(this.head + i) & (this.ring.length - 1)]!
  }

  private grow(): void {
    const all = [...this]
    this.ring = new Array(Math.max(SMALLEST, this.ring.length * 2)).fill(undefined)
    this.head = 0
    for (let i = 0; i < all.length; i++) this.ring[i] = all[i]
  }
}

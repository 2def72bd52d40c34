/**
 * The messages that a client has been sent and has not finished acknowledging, by packet id.
 *
 * Packet ids are given out in turn; an id's low bits are its place in a table of a power of two, so that finding one is
 * an index and no hash. A client that leaves one message unacknowledged while others pass makes its place be
 * skipped. The table starts at nothing (idle sessions are many) and doubles up to the window.
 */
import type { Delivery } from "./delivery.ts"

const SMALLEST = 8
const LARGEST_PACKET_ID = 0xffff
/** The tables of all sessions with nothing in flight so far. */
const NO_PLACES: (Delivery | undefined)[] = []
const NO_IDS = new Uint16Array(0)

export class Inflight {
  count = 0
  private places = NO_PLACES
  private ids = NO_IDS
  private next = 1

  /** Gives `delivery` a free packet id; never more than 65,535 at once. */
  add(delivery: Delivery): number {
    if (this.count === this.places.length) this.grow()
    const mask = this.places.length - 1
    while (this.places[this.next & mask] !== undefined) this.advance()
    const packetId = this.next
    this.put(packetId, delivery)
    this.advance()
    return packetId
  }

  /** Puts back a delivery with the id that it had, when a session is restored. */
  restore(packetId: number, delivery: Delivery): void {
    while (this.places.length === 0 || this.places[packetId & (this.places.length - 1)] !== undefined) this.grow()
    this.put(packetId, delivery)
    this.next = packetId
    this.advance()
  }

  get(packetId: number): Delivery | undefined {
    const place = packetId & (this.places.length - 1)
    return this.ids[place] === packetId ? this.places[place] : undefined
  }

  replace(packetId: number, delivery: Delivery): void {
    this.places[packetId & (this.places.length - 1)] = delivery
  }

  remove(packetId: number): void {
    this.places[packetId & (this.places.length - 1)] = undefined
    this.count--
  }

  /** All of them, in no order. */
  all(): Iterable<[packetId: number, delivery: Delivery]> {
    return this.count === 0 ? [] : this.walk()
  }

  private *walk(): Generator<[packetId: number, delivery: Delivery]> {
    for (let place = 0; place < this.places.length; place++) {
      const delivery = this.places[place]
      if (delivery !== undefined) yield [this.ids[place]!, delivery]
    }
  }

  private put(packetId: number, delivery: Delivery): void {
    const place = packetId & (this.places.length - 1)
    this.places[place] = delivery
    this.ids[place] = packetId
    this.count++
  }

  private advance(): void {
    this.next = this.next === LARGEST_PACKET_ID ? 1 : this.next + 1
  }

  /** Doubles the table: two ids that shared no place before share none after. */
  private grow(): void {
    const entries = [...this.all()]
    const size = Math.max(SMALLEST, this.places.length * 2)
    this.places = new Array(size).fill(undefined)
    this.ids = new Uint16Array(size)
    this.count = 0
    for (const [packetId, delivery] of entries) this.put(packetId, delivery)
  }
}

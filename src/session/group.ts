/**
 * What waits for a share group: messages that came while no member could take them, and those of a member whose session
 * ended. The members take from it, in order, as soon as they can.
 */
import type { Delivery, ReturnAddress } from "./delivery.ts"
import type { SessionHost } from "./host.ts"
import { DeliveryQueue } from "./queue.ts"

export class GroupQueue implements ReturnAddress {
  /** `$share/{name}/{filter}`, under which the store knows it. */
  readonly owner: string
  readonly waiting = new DeliveryQueue()
  /** The members, who look here whenever they have room. */
  readonly takers = new Set<{ pump(): void }>()
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
    this.record(delivery)
  }

  /** Takes back what a member could not finish, for the others. */
  giveBack(delivery: Delivery): void {
    if (this.takers.size === 0 || !this.hasRoomFor(delivery)) return
    delivery.sequence = --this.firstSequence
    this.waiting.unshift(delivery)
    this.record(delivery)
  }

  offer(): void {
    for (const taker of this.takers) if (this.waiting.length > 0) taker.pump()
  }

  private hasRoomFor(delivery: Delivery): boolean {
    const { host, waiting } = this
    const message = delivery.message!
    const bytes = message.sizeBytes
    const { maximumQueuedMessages, maximumQueuedBytes, maximumQueueMemoryBytes } = host.limits
    if (waiting.length >= maximumQueuedMessages) this.dropExpired()
    if (waiting.length >= maximumQueuedMessages || waiting.bytes + bytes > maximumQueuedBytes) {
      host.dropped("queue full", this.owner, message)
      return false
    }
    if (host.queueBytes + bytes > maximumQueueMemoryBytes) {
      host.dropped("queue memory full", this.owner, message)
      return false
    }
    return true
  }

  /** The next one that has not expired; it is the taker's now. */
  take(): Delivery | undefined {
    this.dropExpired()
    return this.shift()
  }

  /** The last member has gone: nobody will ever take what is left. */
  clear(): void {
    while (this.shift() !== undefined);
  }

  private dropExpired(): void {
    const { host, waiting } = this
    while (waiting.first?.message?.isExpired(host.now())) {
      host.dropped("message expired", this.owner, this.shift()!.message!)
    }
  }

  private shift(): Delivery | undefined {
    const { host } = this
    const delivery = this.waiting.shift()
    if (delivery === undefined) return undefined
    host.queueBytes -= delivery.message!.sizeBytes
    if (host.changes.isActive) {
      host.changes.append({ kind: "settled", owner: this.owner, sequence: delivery.sequence })
    }
    return delivery
  }

  private record(delivery: Delivery): void {
    const { host } = this
    const message = delivery.message!
    host.queueBytes += message.sizeBytes
    if (host.changes.isActive) {
      host.changes.append({ kind: "queued", owner: this.owner, delivery: { ...delivery, message } })
    }
  }
}

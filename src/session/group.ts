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
  private lastSequence = 0

  constructor(owner: string, host: SessionHost) {
    this.owner = owner
    this.host = host
  }

  /** Adds a delivery at the end; false (and counted) if there is no room. */
  put(delivery: Delivery): boolean {
    const { host, waiting } = this
    const message = delivery.message!
    const bytes = message.sizeBytes
    const { maximumQueuedMessages, maximumQueuedBytes, maximumQueueMemoryBytes } = host.limits
    if (waiting.length >= maximumQueuedMessages || waiting.bytes + bytes > maximumQueuedBytes) {
      host.dropped("queue full", this.owner, message)
      return false
    }
    if (host.queueBytes + bytes > maximumQueueMemoryBytes) {
      host.dropped("queue memory full", this.owner, message)
      return false
    }
    delivery.sequence = ++this.lastSequence
    waiting.push(delivery)
    host.queueBytes += bytes
    if (host.changes.isActive)
      host.changes.append({ kind: "queued", owner: this.owner, delivery: { ...delivery, message } })
    return true
  }

  /** Takes back what a member could not finish, for the others. */
  giveBack(delivery: Delivery): void {
    if (this.takers.size === 0 || !this.put(delivery)) return
    for (const taker of this.takers) taker.pump()
  }

  /** The next one that has not expired; it is the taker's now. */
  take(): Delivery | undefined {
    const { host } = this
    for (let delivery = this.waiting.shift(); delivery !== undefined; delivery = this.waiting.shift()) {
      const message = delivery.message!
      host.queueBytes -= message.sizeBytes
      if (host.changes.isActive) {
        host.changes.append({ kind: "settled", owner: this.owner, sequence: delivery.sequence })
      }
      if (!message.isExpired(host.now())) return delivery
      host.dropped("message expired", this.owner, message)
    }
    return undefined
  }

  /** The last member has gone: nobody will ever take what is left. */
  clear(): void {
    for (let delivery = this.waiting.shift(); delivery !== undefined; delivery = this.waiting.shift()) {
      this.host.queueBytes -= delivery.message!.sizeBytes
      if (this.host.changes.isActive) {
        this.host.changes.append({ kind: "settled", owner: this.owner, sequence: delivery.sequence })
      }
    }
  }
}

/**
 * What waits for a share group: messages that came while no member could take them, and those of a member whose session
 * ended. The members take from it, in order, as soon as they can.
 */
import type { Delivery, ReturnAddress } from "./delivery.ts"
import type { SessionHost } from "./host.ts"
import { DeliveryQueue } from "./queue.ts"

/** A member's session. */
interface Taker {
  readonly isVolatile: boolean
  pump(): void
}

export class GroupQueue implements ReturnAddress {
  /** `$share/{name}/{filter}`, under which the store knows it. */
  readonly owner: string
  readonly waiting = new DeliveryQueue()
  /** The members, who look here whenever they have room. */
  readonly takers = new Set<Taker>()
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
    if (this.takers.size === 0 || !this.hasRoomFor(delivery)) {
      if (loan !== undefined) this.settle(loan)
      return
    }
    delivery.sequence = loan ?? --this.firstSequence
    this.waiting.unshift(delivery)
    this.host.queueBytes += delivery.message!.sizeBytes
    if (loan === undefined) this.record(delivery)
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
    if (!this.host.changes.isActive) return false
    for (const taker of this.takers) if (!taker.isVolatile) return true
    return false
  }

  /** Takes in what the last run left, in order. */
  restore(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) {
      this.firstSequence = Math.min(this.firstSequence, delivery.sequence)
      this.lastSequence = Math.max(this.lastSequence, delivery.sequence)
      this.waiting.push(delivery)
      this.host.queueBytes += delivery.message!.sizeBytes
    }
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

  /** The next one that has not expired; it is the taker's now, or, to one that is volatile, on loan. */
  take(taker: Taker): Delivery | undefined {
    this.dropExpired()
    const delivery = this.waiting.shift()
    if (delivery === undefined) return undefined
    this.host.queueBytes -= delivery.message!.sizeBytes
    if (taker.isVolatile && this.isRecorded) delivery.loan = delivery.sequence
    else this.settle(delivery.sequence)
    return delivery
  }

  /** The last member has gone: nobody will ever take what is left. */
  clear(): void {
    while (this.discard() !== undefined);
  }

  private dropExpired(): void {
    const { host, waiting } = this
    while (waiting.first?.message?.isExpired(host.now())) {
      host.dropped("message expired", this.owner, this.discard()!.message!)
    }
  }

  private discard(): Delivery | undefined {
    const delivery = this.waiting.shift()
    if (delivery === undefined) return undefined
    this.host.queueBytes -= delivery.message!.sizeBytes
    this.settle(delivery.sequence)
    return delivery
  }

  private record(delivery: Delivery): void {
    if (!this.isRecorded) return
    const { sequence, qos, retain, identifiers } = delivery
    const record = { sequence, message: delivery.message!, qos, retain, identifiers, group: undefined }
    this.host.changes.append({ kind: "queued", owner: this.owner, delivery: record })
  }
}

/**
 * The queue of a session: its head in memory, the rest in the store.
 *
 * A million messages that wait must not be a million objects. Once `HEAD_LENGTH` of them wait in memory and the session is
 * one that survives, those that follow go to the store alone; when the head has half gone, the next page is read behind
 * it. Without a store everything stays in memory, within the limits.
 */
import type { Topic } from "../router/index.ts"
import type { Delivery } from "./delivery.ts"
import type { SessionHost } from "./host.ts"
import type { Message } from "./message.ts"
import { DeliveryQueue } from "./queue.ts"

const HEAD_LENGTH = 1000

export class Backlog {
  private readonly head = new DeliveryQueue()
  private storedCount = 0
  private storedBytes = 0
  /** The sequence behind which the store's part begins. */
  private storedAfter = 0
  private isReading = false
  private isClosed = false
  /** What of it, up to that sequence, may still go out; undefined: all. */
  private sieve: { readonly upTo: number; isWanted(topic: Topic): boolean } | undefined
  private readonly owner: string
  private readonly host: SessionHost
  private readonly mayStore: boolean

  constructor(owner: string, host: SessionHost, mayStore: boolean) {
    this.owner = owner
    this.host = host
    this.mayStore = mayStore
  }

  get length(): number {
    return this.head.length + this.storedCount
  }

  get bytes(): number {
    return this.head.bytes + this.storedBytes
  }

  /** The first one, if it is in memory. */
  get first(): Delivery | undefined {
    return this.head.first
  }

  /** Whether the next one to be pushed takes no memory. */
  get goesToStore(): boolean {
    return this.storedCount > 0 || (this.mayStore && this.head.length >= HEAD_LENGTH)
  }

  /** Whether another message may wait; one that may not is counted. */
  hasRoomFor(message: Message): boolean {
    const { host, owner } = this
    const bytes = message.sizeBytes
    const { maximumQueuedMessages, maximumQueuedBytes, maximumQueueMemoryBytes } = host.limits
    if (this.length >= maximumQueuedMessages) this.dropExpired()
    if (this.length >= maximumQueuedMessages || this.bytes + bytes > maximumQueuedBytes) {
      host.dropped("queue full", owner, message)
      return false
    }
    if (!this.goesToStore && host.queueBytes + bytes > maximumQueueMemoryBytes) {
      host.dropped("queue memory full", owner, message)
      return false
    }
    return true
  }

  /** Of what waits now, up to the sequence `upTo`, only that is given whose topic is wanted. Undefined: all of it. */
  sift(upTo: number, isWanted: ((topic: Topic) => boolean) | undefined): void {
    this.sieve = isWanted && this.length > 0 ? { upTo, isWanted } : undefined
  }

  /** Adds a delivery that has its sequence; what goes to the store must be recorded by the caller. */
  push(delivery: Delivery): void {
    const bytes = delivery.message!.sizeBytes
    if (this.goesToStore) {
      if (this.storedCount === 0) this.storedAfter = delivery.sequence - 1
      this.storedCount++
      this.storedBytes += bytes
    } else {
      this.head.push(delivery)
      this.host.queueBytes += bytes
    }
  }

  /** Takes the first one, if it is in memory; undefined if that was one to be dropped, which is done. */
  shift(): Delivery | undefined {
    const delivery = this.take()
    if (delivery === undefined) return undefined
    const message = delivery.message!
    const isExpired = message.isExpired(this.host.now())
    if (!isExpired && (this.sieve === undefined || this.passesSieve(delivery))) return delivery
    if (this.mayStore) {
      this.host.changes.append({ kind: "settled", owner: this.owner, sequence: delivery.sequence })
    }
    this.host.dropped(isExpired ? "message expired" : "not authorized", this.owner, message)
    return undefined
  }

  /** What the last run left in the store. */
  restore(count: number, bytes: number): void {
    this.storedCount = count
    this.storedBytes = bytes
    this.storedAfter = Number.MIN_SAFE_INTEGER
  }

  /** Reads on if the head runs short; `taker` is pumped when there is more. */
  refill(taker: { pump(): void }): void {
    if (this.storedCount === 0 || this.isReading || this.head.length > HEAD_LENGTH / 2) return
    this.isReading = true
    const expected = this.storedCount
    this.host.page(this.owner, this.storedAfter, HEAD_LENGTH).then((deliveries) => {
      this.isReading = false
      if (this.isClosed) return
      if (deliveries.length === 0) {
        this.storedCount -= expected // nothing of what was counted is there
        if (this.storedCount === 0) this.storedBytes = 0
      }
      for (const delivery of deliveries) this.load(delivery)
      taker.pump()
    })
  }

  /** Nothing more is read; gives what is in memory. */
  close(): Delivery[] {
    this.isClosed = true
    const rest: Delivery[] = []
    for (let delivery = this.take(); delivery !== undefined; delivery = this.take()) rest.push(delivery)
    return rest
  }

  private dropExpired(): void {
    while (this.first?.message?.isExpired(this.host.now())) this.shift()
  }

  private passesSieve({ sequence, message }: Delivery): boolean {
    const { upTo, isWanted } = this.sieve!
    if (sequence <= upTo) return isWanted(message!.topic)
    this.sieve = undefined
    return true
  }

  private take(): Delivery | undefined {
    const delivery = this.head.shift()
    if (delivery !== undefined) this.host.queueBytes -= delivery.message!.sizeBytes
    return delivery
  }

  private load(delivery: Delivery): void {
    const bytes = delivery.message!.sizeBytes
    this.head.push(delivery)
    this.host.queueBytes += bytes
    this.storedCount--
    this.storedBytes -= bytes
    this.storedAfter = delivery.sequence
  }
}

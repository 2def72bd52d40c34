import type { QoS } from "../codec/index.ts"
import type { DropReason } from "./drop-reason.ts"
import type { Message } from "./message.ts"

/** Which connections have been asked to take a delivery of a share group and could not have it; and why, the last of them. */
export class Refusals {
  lastReason: DropReason = "not authorized"
  /** How many of them are members' now: never fewer than there are, as long as it waits. */
  count = 0
  private readonly outlets = new WeakSet<object>()

  add(outlet: object, reason: DropReason): void {
    if (!this.has(outlet)) this.count++
    this.outlets.add(outlet)
    this.lastReason = reason
  }

  has(outlet: object): boolean {
    return this.outlets.has(outlet)
  }
}

/** Where a delivery goes back to that its session cannot finish, because it ends or its client may not have it: the queue of its share group. */
export interface ReturnAddress {
  /** Under which the store knows it. */
  readonly owner: string
  giveBack(delivery: Delivery, loan: number | undefined): void
  /** Takes back what `outlet` does not send, for those who have not been asked. */
  pass(delivery: Delivery, outlet: object, reason: DropReason): void
  /** What was lent is done. */
  settle(loan: number): void
  /** Lets the members take what has come back. */
  offer(): void
}

/** One message on its way to one session at QoS 1 or 2: waiting in the queue, or in flight. */
export class Delivery {
  /** Undefined once the receiver has it for good: after PUBREC, or where nothing would ever be sent again. */
  message: Message | undefined
  readonly qos: QoS
  readonly retain: boolean
  readonly identifiers: readonly number[] | undefined
  /** The share group it came through, where it may go to another member. */
  readonly group: ReturnAddress | undefined
  /** Under which sequence its group still keeps it in the store: a member that does not survive a crash only has it on loan. */
  loan: number | undefined = undefined
  /** Who of its group could not have it; undefined: nobody has been asked before. */
  refusals: Refusals | undefined = undefined
  /** Its place in the order of the session. */
  sequence = 0
  packetId = 0
  /** Whether a PUBLISH with it has gone out on any connection. */
  isSent = false
  /** Whether a PUBREC has come: PUBREL is what is sent from now on. */
  isReleased = false
  /** Whether it counts against the client's Receive Maximum on this connection. */
  holdsQuota = false
  /** The journal entry that must be durable before it is sent. */
  durableAfter = 0

  constructor(
    message: Message | undefined,
    qos: QoS,
    retain: boolean,
    identifiers: readonly number[] | undefined,
    group: ReturnAddress | undefined,
  ) {
    this.message = message
    this.qos = qos
    this.retain = retain
    this.identifiers = identifiers
    this.group = group
  }
}

/**
 * What stands for a delivery in a session that ends with its connection: nothing of it will ever be sent again, so
 * only its state is kept, and one object says that for all.
 */
export const unkept = (() => {
  const state = (qos: QoS, isReleased: boolean) => {
    const delivery = new Delivery(undefined, qos, false, undefined, undefined)
    delivery.isSent = true
    delivery.isReleased = isReleased
    delivery.holdsQuota = true
    return Object.freeze(delivery)
  }
  return { qos1: state(1, false), qos2: state(2, false), released: state(2, true) }
})()

/**
 * Gives back to their share groups what a session that ends has of them, of what is in flight, by its packet id, and of what waits. A
 * message of QoS 2 that has been sent stays with its client. [MQTT-4.8.2-5]
 */
export function returnAll(inflight: Iterable<[packetId: number, Delivery]>, queued: Iterable<Delivery>): void {
  const returned: Delivery[] = []
  for (const [, delivery] of inflight) {
    const mayMove = delivery.qos === 1 || !delivery.isSent
    if (delivery.group !== undefined && delivery.message !== undefined && mayMove) returned.push(delivery)
    else if (delivery.loan !== undefined) delivery.group!.settle(delivery.loan)
  }
  returned.sort((a, b) => a.sequence - b.sequence)
  for (const delivery of queued) if (delivery.group !== undefined) returned.push(delivery)
  for (const { message, group, loan } of returned.reverse()) {
    group!.giveBack(new Delivery(message, message!.qos, false, undefined, undefined), loan)
  }
  for (const group of new Set(returned.map(({ group }) => group!))) group.offer()
}

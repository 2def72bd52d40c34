/**
 * What outlives a socket: the subscriptions of a client, the messages on their way to it, and those of QoS 2 that it has
 * begun to send. MQTT 5 §4.1
 *
 * A message for the session takes one of three roads. At QoS 0 it goes to the connection, or nowhere. At QoS 1 and 2 it
 * goes out at once if the window is open and nothing waits before it; otherwise it waits in the queue, and `pump` sends
 * it when an acknowledgement, a drained socket or a new connection makes room. Order is the order of `deliver`. [MQTT-4.6.0-6]
 *
 * A session whose expiry is 0 ends with its connection (`isVolatile`): nothing of it is ever sent again or recorded, so
 * of a message in flight only the state is kept. Everything else is recorded as a `Change`, and what a crash must not
 * repeat waits until its change is durable: a PUBLISH of QoS 2 here, acknowledgements in the connection.
 */
import { deliveryQoS, type QoS, Reason } from "../codec/index.ts"
import type { Subscription, Target, Topic } from "../router/index.ts"
import { Backlog } from "./backlog.ts"
import type { ChangeLog, Will } from "./changes.ts"
import { Delivery, type ReturnAddress, returnAll, unkept } from "./delivery.ts"
import { recordQueued, recordReleased, recordSent, recordSettled } from "./delivery-log.ts"
import type { GroupQueue } from "./group.ts"
import { isUnsent, type Outlet, type Sending, type SessionHost, type Unsent } from "./host.ts"
import { Inflight } from "./inflight.ts"
import type { Message } from "./message.ts"
import { Supplies } from "./supplies.ts"

export class Session {
  readonly clientId: string
  readonly subscriptions = new Map<string, Subscription<Session>>()
  /** Negative: it has ended. */
  expirySeconds: number
  /** Whose it is: the user that has made it, null: one without a name; undefined: nobody knows, and whoever comes first has it. */
  username: string | null | undefined = undefined
  will: Will | undefined = undefined
  outlet: Outlet | undefined = undefined
  /** The same from `resume` on: what is sent goes there. */
  private live: Outlet | undefined = undefined
  /** When its connection closed, milliseconds of the broker's clock; undefined: it has one, or is being restored. */
  disconnectedAt: number | undefined = undefined
  /** The journal entry with which it began: until that is durable, a crash would forget it. */
  begunAt = 0

  private readonly host: SessionHost
  /** Whether it ends with its connection, so that nothing of it need be kept. */
  readonly isVolatile: boolean
  private readonly inflight = new Inflight()
  private received: Set<number> | undefined = undefined
  /** Made for the first that has to wait: most never do. */
  private queue: Backlog | undefined = undefined
  /** In flight, but not yet sent on this connection: resumed, or waiting to be durable. */
  private readonly unsent: Delivery[] = []
  /** Made for the first share group or retained message. */
  private supplies: Supplies<Session> | undefined = undefined
  private lastSequence = 0
  /** How many more messages of QoS 1 and 2 the client takes. [MQTT-4.9.0-1] */
  private quota = 0

  constructor(clientId: string, expirySeconds: number, host: SessionHost, isVolatile = expirySeconds === 0) {
    this.clientId = clientId
    this.expirySeconds = expirySeconds
    this.isVolatile = isVolatile
    this.host = host
  }

  get changes(): ChangeLog {
    return this.host.changes
  }

  /** Packet ids of QoS 2 messages that the client has published and not released; made for the first who asks, as few do. */
  get receivedIds(): Set<number> {
    return (this.received ??= new Set())
  }

  /** Whether it has ended: what still comes for it goes nowhere. */
  get isOver(): boolean {
    return this.expirySeconds < 0
  }

  get inflightCount(): number {
    return this.inflight.count
  }

  get queuedCount(): number {
    return this.queue === undefined ? 0 : this.queue.length
  }

  get queuedBytes(): number {
    return this.queue === undefined ? 0 : this.queue.bytes
  }

  /** Whether a message would leave at once: what a share group looks for in a member. */
  isReadyFor(qos: QoS): boolean {
    if (this.live === undefined || !this.live.isWritable) return false
    return qos === 0 || (this.quota > this.unsent.length && this.queuedCount === 0)
  }

  /** Takes a message that a subscription matches. */
  deliver(message: Message, target: Target<Session>): void {
    const qos = deliveryQoS(message.qos, target.qos)
    const retain = message.retain && target.retainAsPublished
    if (qos > 0) this.send(message, qos, retain, target.identifiers, undefined)
    else if (this.live !== undefined) {
      const sending = this.live.publish(message, 0, retain, target.identifiers, 0, false)
      if (sending !== undefined) this.missed(sending)
    }
  }

  /**
   * Takes a message for a share group of which it is a member, and for which it is ready. What does not go out goes back to the group,
   * save at QoS 0: then it is told what has become of it.
   */
  deliverShared(message: Message, member: Subscription<Session>, group: GroupQueue<Session>): Sending {
    const qos = deliveryQoS(message.qos, member.qos)
    const retain = message.retain && member.retainAsPublished
    if (qos > 0) this.send(message, qos, retain, member.identifiers, group)
    else if (message.qos > 0) {
      this.sendOnce(new Delivery(message.keep(), 0, retain, member.identifiers, group), this.live!)
    } else return this.live!.publish(message, 0, retain, member.identifiers, 0, false)
    return undefined
  }

  /** Sends the retained messages at these places, of which some have none, as fast as the client takes them and after what is queued. */
  replay(subscription: Subscription<Session>, places: Iterator<Message | undefined>): void {
    this.makeSupplies().beginReplay(subscription, places)
    this.pump()
  }

  /** Sends no more retained messages for that filter. [MQTT-3.10.4-2] */
  endReplay(filterText: string): void {
    this.supplies?.endReplay(filterText)
  }

  /** What is in flight under that packet id. */
  inflightDelivery(packetId: number): Readonly<Delivery> | undefined {
    return this.inflight.get(packetId)
  }

  /** PUBACK, or PUBREC with an error: the message is done. */
  acknowledge(packetId: number, qos: QoS): Reason {
    const delivery = this.inflight.get(packetId)
    if (delivery === undefined) return Reason.PacketIdentifierNotFound
    if (delivery.qos !== qos) return Reason.ProtocolError
    this.settle(packetId, delivery)
    return Reason.Success
  }

  /** PUBREC: the client has the message; PUBREL is next. [MQTT-4.3.3-4] */
  receive(packetId: number): Reason {
    const delivery = this.inflight.get(packetId)
    if (delivery === undefined) return Reason.PacketIdentifierNotFound
    if (delivery.qos !== 2) return Reason.ProtocolError
    if (delivery === unkept.qos2) this.inflight.replace(packetId, unkept.released)
    else if (!delivery.isReleased) this.markReleased(delivery)
    return Reason.Success
  }

  /** PUBCOMP: the message is done. */
  complete(packetId: number): Reason {
    const delivery = this.inflight.get(packetId)
    if (delivery === undefined) return Reason.PacketIdentifierNotFound
    if (delivery.qos !== 2 || !delivery.isReleased) return Reason.ProtocolError
    this.settle(packetId, delivery)
    return Reason.Success
  }

  /** A delivery that was in flight when the last run ended. */
  restoreInflight(delivery: Delivery): void {
    if (this.inflight.get(delivery.packetId) !== undefined) return // two with one id: only one can be acknowledged
    delivery.isSent = true
    delivery.isReleased = delivery.message === undefined
    this.inflight.restore(delivery.packetId, delivery)
    this.host.inflightCount++
  }

  /** What waited when the last run ended. */
  restoreQueue(count: number, bytes: number, lastSequence: number): void {
    this.lastSequence = lastSequence
    if (count > 0) this.makeQueue().restore(count, bytes)
  }

  /** Gives the session to a connection, to which nothing is sent before `resume`. */
  bind(outlet: Outlet): void {
    if (this.outlet === undefined) this.supplies?.groups.connected()
    this.outlet = outlet
    this.live = undefined
    this.disconnectedAt = undefined
    this.quota = 0
  }

  /**
   * Sends again what is in flight, in order, and goes on. [MQTT-4.4.0-1] [MQTT-4.6.0-1] Of what waits now only that goes out whose
   * topic is wanted; undefined: all of it.
   */
  resume(isWanted?: (topic: Topic) => boolean): void {
    const { outlet } = this
    if (outlet === undefined) return
    this.queue?.sift(this.lastSequence, isWanted)
    this.live = outlet
    const { maximumInflight } = this.host.limits
    this.quota = Math.min(outlet.receiveMaximum, maximumInflight)
    this.unsent.length = 0
    let released = 0
    for (const [, delivery] of this.inflight.all()) {
      // A PUBREL sent again takes nothing of the client's window, but a place in ours.
      delivery.holdsQuota = delivery.isReleased && ++released + this.quota > maximumInflight
      if (delivery.holdsQuota) this.quota--
      this.unsent.push(delivery)
    }
    if (this.unsent.length > 1) this.unsent.sort((a, b) => a.sequence - b.sequence)
    this.pump()
  }

  /** The connection has gone. */
  suspend(): void {
    if (this.outlet !== undefined) this.supplies?.groups.disconnected(this.outlet)
    this.outlet = undefined
    this.live = undefined
    this.unsent.length = 0
  }

  /**
   * The client may not have any more what it had subscribed to, and is about to be told: what of that is in flight is given up, and of
   * what waits only that goes out whose topic is wanted.
   */
  restrict(isForbidden: (delivery: Readonly<Delivery>) => boolean, isWanted: (topic: Topic) => boolean): void {
    this.queue?.sift(this.lastSequence, isWanted)
    for (const [, delivery] of [...this.inflight.all()]) {
      const { message } = delivery
      if (message === undefined || !isForbidden(delivery)) continue
      const stays = this.giveUp(delivery, this.outlet!, { reason: "not authorized", message })
      if (!stays) this.makeRoom(delivery)
    }
  }

  /** Sends what waits, as far as the window, the socket and the journal let it. */
  pump(): void {
    if (this.live !== undefined) this.pumpTo(this.live)
    this.wake()
  }

  /** It may be ready for more than before: its share groups hear of that, and nothing is sent that waits. */
  wake(): void {
    this.supplies?.groups.wake()
  }

  private pumpTo(outlet: Outlet): void {
    if (this.unsent.length > 0) this.pumpUnsent(outlet)
    while (this.quota > this.unsent.length && outlet.isWritable && this.supplies?.isResting !== true) {
      const { queue } = this
      queue?.refill(this)
      const isQueued = queue !== undefined && queue.length > 0
      if (isQueued && queue.first === undefined) return // it is being read from the store
      const delivery = isQueued ? queue.shift() : this.supplies?.next()
      if (delivery === undefined) {
        if (isQueued) continue
        if (this.supplies?.areUnused) this.supplies = undefined
        return
      }
      if (delivery.qos === 0) this.sendOnce(delivery, outlet)
      else this.dispatch(delivery, outlet)
    }
  }

  /** Joins the queue of a share group: it takes from it whenever it has nothing else to do. */
  joinGroup(group: GroupQueue<Session>, member: Subscription<Session>): void {
    this.makeSupplies().groups.join(group, member)
  }

  leaveGroup(group: GroupQueue<Session>): void {
    this.supplies?.groups.leave(group)
  }

  /** The session ends: what a share group may give to another member goes back to it. MQTT 5 §4.8.2 */
  end(): void {
    this.expirySeconds = -1
    this.host.inflightCount -= this.inflight.count
    returnAll(this.inflight.all(), this.queue?.close() ?? [])
  }

  private send(
    message: Message,
    qos: QoS,
    retain: boolean,
    identifiers: readonly number[] | undefined,
    group: GroupQueue<Session> | undefined,
  ): void {
    const outlet = this.live
    const isOpen = outlet?.isWritable && this.quota > this.unsent.length && this.queuedCount === 0
    if (isOpen && this.isVolatile && group === undefined && !this.host.isKeepingInflight) {
      const packetId = this.inflight.add(qos === 1 ? unkept.qos1 : unkept.qos2)
      const sending = outlet.publish(message, qos, retain, identifiers, packetId, false)
      if (isUnsent(sending)) {
        this.inflight.remove(packetId)
        this.missed(sending)
        return
      }
      this.quota--
      this.host.inflightCount++
      if (sending !== undefined) {
        const delivery = new Delivery(message.keep(), qos, retain, identifiers, undefined)
        delivery.packetId = packetId
        this.follow(sending, delivery, outlet)
      }
      return
    }
    const delivery = new Delivery(message.keep(), qos, retain, identifiers, group)
    if (group !== undefined && this.isVolatile && qos === 1) delivery.loan = group.lend(delivery)
    if (!isOpen) this.enqueue(delivery)
    else {
      delivery.sequence = ++this.lastSequence
      recordQueued(this, delivery)
      this.dispatch(delivery, outlet)
    }
  }

  private enqueue(delivery: Delivery): void {
    if (this.isOver) return
    const queue = this.makeQueue()
    if (!queue.hasRoomFor(delivery.message!)) return
    delivery.sequence = ++this.lastSequence
    queue.push(delivery)
    recordQueued(this, delivery)
  }

  /** Gives a delivery its packet id and sends it; at QoS 2 of a surviving session not before that is durable. */
  private dispatch(delivery: Delivery, outlet: Outlet): void {
    delivery.packetId = this.inflight.add(delivery)
    this.host.inflightCount++
    if (delivery.sequence === 0) {
      delivery.sequence = ++this.lastSequence // from a group: it is this session's from now on
      recordQueued(this, delivery)
    }
    recordSent(this, delivery)
    const { changes } = this.host
    if (delivery.qos === 2 && changes.isActive && !this.isVolatile) delivery.durableAfter = changes.appended
    this.unsent.push(delivery)
    this.pumpUnsent(outlet)
  }

  /** Sends the deliveries in flight that this connection has not seen, up to the first that must wait. */
  private pumpUnsent(outlet: Outlet): void {
    const { unsent, host } = this
    let refused: [delivery: Delivery, unsent: Unsent][] | undefined
    let done = 0
    while (done < unsent.length) {
      const delivery = unsent[done]!
      if (delivery.isReleased) outlet.release(delivery.packetId)
      else {
        if (this.quota === 0 || !outlet.isWritable) break
        if (delivery.durableAfter > host.changes.durable) {
          outlet.waitForDurable()
          break
        }
        const { message, qos, retain, identifiers, packetId, isSent } = delivery
        if (delivery.durableAfter > 0 && !isSent && message!.isExpired(host.now())) {
          host.dropped("message expired", this.clientId, message!) // while it waited [MQTT-3.3.2-5]
          this.forget(packetId, delivery)
        } else {
          const sending = outlet.publish(message!, qos, retain, identifiers, packetId, isSent)
          if (isUnsent(sending)) (refused ??= []).push([delivery, sending])
          else this.countSent(delivery, sending, outlet)
        }
      }
      done++
    }
    unsent.splice(0, done)
    if (refused === undefined) return
    for (const [delivery, unsent] of refused) {
      if (this.giveUp(delivery, outlet, unsent)) outlet.release(delivery.packetId)
    }
  }

  /** A delivery is on its way, or will be when it is decided on. */
  private countSent(delivery: Delivery, sending: Exclude<Sending, Unsent>, outlet: Outlet): void {
    const { qos, packetId } = delivery
    if (sending === undefined) delivery.isSent = true
    else this.follow(sending, delivery, outlet)
    delivery.holdsQuota = true
    this.quota--
    if (this.isVolatile && delivery.group === undefined && !this.host.isKeepingInflight) {
      this.inflight.replace(packetId, qos === 1 ? unkept.qos1 : unkept.qos2)
    }
  }

  /** Sees to it that a delivery in flight, on which somebody is deciding, becomes what is decided. */
  private follow(sending: Promise<Unsent | undefined>, delivery: Delivery, outlet: Outlet): void {
    const { qos, packetId } = delivery
    this.whenDecided(sending, (unsent) => {
      const current = this.inflight.get(packetId)
      const isSame = current === delivery || current === (qos === 1 ? unkept.qos1 : unkept.qos2)
      if (this.live !== outlet || !isSame) return // it is another connection's now, or done
      if (unsent === undefined) {
        delivery.isSent = true
        return
      }
      delivery.holdsQuota = false
      this.quota++
      if (this.giveUp(delivery, outlet, unsent)) outlet.release(packetId)
      this.pump()
    })
  }

  /** Sends at QoS 0, which nobody acknowledges. */
  private sendOnce(delivery: Delivery, outlet: Outlet): void {
    const { message, retain, identifiers, group } = delivery
    const sending = outlet.publish(message!, 0, retain, identifiers, 0, false)
    if (sending === undefined) return
    if (group === undefined) this.missed(sending)
    else if (isUnsent(sending)) this.pass(delivery, group, outlet, sending)
    else this.whenDecided(sending, (unsent) => unsent && this.pass(delivery, group, outlet, unsent))
  }

  /** Counts a message that does not go out; or may not, which is being decided. */
  private missed(sending: NonNullable<Sending>): void {
    if (isUnsent(sending)) this.drop(sending)
    else this.whenDecided(sending, (unsent) => unsent && this.drop(unsent))
  }

  private drop({ reason, message }: Unsent): void {
    this.host.dropped(reason, this.clientId, message)
  }

  private whenDecided(sending: Promise<Unsent | undefined>, act: (unsent: Unsent | undefined) => void): void {
    sending.then(act).catch((error) => this.host.onBug(error))
  }

  /**
   * A delivery in flight does not go out, and never will; one that came through a share group is for the others. True: its client
   * may have begun to receive it at QoS 2, and only its packet id is left, which is to be released. [MQTT-4.8.2-5]
   */
  private giveUp(delivery: Delivery, outlet: Outlet, unsent: Unsent): boolean {
    const { qos, isSent, group, packetId, loan } = delivery
    if (qos === 2 && isSent) {
      this.drop(unsent)
      this.markReleased(delivery)
      return true
    }
    delivery.loan = undefined // of which the group knows
    this.forget(packetId, delivery)
    delivery.loan = loan
    if (group === undefined) this.drop(unsent)
    else this.pass(delivery, group, outlet, unsent)
    return false
  }

  /** Leaves a delivery to the others of its group. Of what waits there this client may be refused all, one after another. */
  private pass(delivery: Delivery, group: ReturnAddress, outlet: Outlet, { reason }: Unsent): void {
    this.makeSupplies().mustRest()
    this.wake() // it is one of those to whom the group turns now
    group.pass(delivery, outlet, reason)
  }

  /** The client has the message, or is not to have it: only its packet id is kept. */
  private markReleased(delivery: Delivery): void {
    delivery.isReleased = true
    delivery.message = undefined
    recordReleased(this, delivery)
  }

  private makeQueue(): Backlog {
    this.queue ??= new Backlog(this.clientId, this.host, this.changes.isActive && !this.isVolatile)
    return this.queue
  }

  private makeSupplies(): Supplies<Session> {
    this.supplies ??= new Supplies<Session>(this.host, this)
    return this.supplies
  }

  /** The client is done with a message: its id is free, and there is room for another. [MQTT-4.9.0-2] */
  private settle(packetId: number, delivery: Delivery): void {
    this.forget(packetId, delivery)
    this.makeRoom(delivery)
    if (this.queuedCount > 0 || this.unsent.length > 0 || this.supplies?.areOut === false) this.pump()
  }

  private makeRoom(delivery: Delivery): void {
    if (delivery.holdsQuota) this.quota++
    const index = this.unsent.length === 0 ? -1 : this.unsent.indexOf(delivery)
    if (index >= 0) this.unsent.splice(index, 1) // acknowledged before it was sent again [MQTT-4.4.0-2]
    this.wake()
  }

  private forget(packetId: number, delivery: Delivery): void {
    this.inflight.remove(packetId)
    this.host.inflightCount--
    if (delivery.loan !== undefined) delivery.group!.settle(delivery.loan)
    recordSettled(this, delivery)
  }
}

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
import type { Subscription, Target } from "../router/index.ts"
import { Backlog } from "./backlog.ts"
import type { Will } from "./changes.ts"
import { Delivery, unkept } from "./delivery.ts"
import type { GroupQueue } from "./group.ts"
import type { Outlet, SessionHost } from "./host.ts"
import { Inflight } from "./inflight.ts"
import type { Message } from "./message.ts"

/** Retained messages still to be sent for a subscription, the next one last. */
interface Replay {
  readonly subscription: Subscription<Session>
  readonly topicNames: string[]
}

export class Session {
  readonly clientId: string
  readonly subscriptions = new Map<string, Subscription<Session>>()
  /** Packet ids of QoS 2 messages that the client has published and not released. */
  readonly receivedIds = new Set<number>()
  expirySeconds: number
  will: Will | undefined = undefined
  outlet: Outlet | undefined = undefined
  /** When its connection closed, milliseconds of the broker's clock; undefined: it has one, or is being restored. */
  disconnectedAt: number | undefined = undefined
  /** The journal entry with which it began: until that is durable, a crash would forget it. */
  begunAt = 0

  private readonly host: SessionHost
  /** Whether it ends with its connection, so that nothing of it need be kept. */
  readonly isVolatile: boolean
  private readonly inflight = new Inflight()
  private readonly queue: Backlog
  /** In flight, but not yet sent on this connection: resumed, or waiting to be durable. */
  private readonly unsent: Delivery[] = []
  private readonly groups = new Map<GroupQueue, Subscription<Session>>()
  private readonly replays: Replay[] = []
  private lastSequence = 0
  /** How many more messages of QoS 1 and 2 the client takes. [MQTT-4.9.0-1] */
  private quota = 0

  constructor(clientId: string, expirySeconds: number, host: SessionHost, isVolatile = expirySeconds === 0) {
    this.clientId = clientId
    this.expirySeconds = expirySeconds
    this.isVolatile = isVolatile
    this.host = host
    this.queue = new Backlog(clientId, host, host.changes.isActive && !this.isVolatile)
  }

  get inflightCount(): number {
    return this.inflight.count
  }

  get queuedCount(): number {
    return this.queue.length
  }

  get queuedBytes(): number {
    return this.queue.bytes
  }

  /** Whether a message would leave at once: what a share group looks for in a member. */
  isReadyFor(qos: QoS): boolean {
    if (this.outlet === undefined || !this.outlet.isWritable) return false
    return qos === 0 || (this.quota > this.unsent.length && this.queue.length === 0)
  }

  /** Takes a message that a subscription matches. */
  deliver(message: Message, target: Target<Session>): void {
    const qos = deliveryQoS(message.qos, target.qos)
    this.send(message, qos, message.retain && target.retainAsPublished, target.identifiers, undefined)
  }

  /** Takes a message for a share group of which it is a member. */
  deliverShared(message: Message, member: Subscription<Session>, group: GroupQueue): void {
    const qos = deliveryQoS(message.qos, member.qos)
    this.send(message, qos, message.retain && member.retainAsPublished, member.identifiers, group)
  }

  /** Sends the retained messages of these topics, as fast as the client takes them and after what is queued. */
  replay(subscription: Subscription<Session>, topicNames: string[]): void {
    this.endReplay(subscription.filter.text) // what is left of the last one comes with this one
    this.replays.push({ subscription, topicNames: topicNames.reverse() })
    this.pump()
  }

  /** Sends no more retained messages for that filter. [MQTT-3.10.4-2] */
  endReplay(filterText: string): void {
    const index = this.replays.findIndex(({ subscription }) => subscription.filter.text === filterText)
    if (index >= 0) this.replays.splice(index, 1)
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
    else if (!delivery.isReleased) {
      delivery.isReleased = true
      delivery.message = undefined
      this.record({ kind: "released", owner: this.clientId, sequence: delivery.sequence })
    }
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
    this.queue.restore(count, bytes)
  }

  /** Gives the session to a connection, to which nothing is sent before `resume`. */
  bind(outlet: Outlet): void {
    this.outlet = outlet
    this.disconnectedAt = undefined
    this.quota = 0
  }

  /** Sends again what is in flight, in order, and goes on. [MQTT-4.4.0-1] [MQTT-4.6.0-1] */
  resume(): void {
    const { outlet } = this
    if (outlet === undefined) return
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
    this.unsent.sort((a, b) => a.sequence - b.sequence)
    this.pump()
  }

  /** The connection has gone. */
  suspend(): void {
    this.outlet = undefined
    this.unsent.length = 0
  }

  /** Sends what waits, as far as the window, the socket and the journal let it. */
  pump(): void {
    const { outlet } = this
    if (outlet === undefined) return
    if (this.unsent.length > 0) this.pumpUnsent(outlet)
    while (this.quota > this.unsent.length && outlet.isWritable) {
      this.queue.refill(this)
      const isQueued = this.queue.length > 0
      if (isQueued && this.queue.first === undefined) return // it is being read from the store
      const delivery = isQueued ? this.unqueue() : (this.takeFromGroups() ?? this.takeFromReplays())
      if (delivery === undefined) {
        if (isQueued) continue
        return
      }
      const { message, qos, retain, identifiers } = delivery
      if (qos === 0) outlet.publish(message!, 0, retain, identifiers, 0, false)
      else this.dispatch(delivery, outlet)
    }
  }

  /** Joins the queue of a share group: it takes from it whenever it has nothing else to do. */
  joinGroup(group: GroupQueue, member: Subscription<Session>): void {
    this.groups.set(group, member)
    group.takers.add(this)
  }

  leaveGroup(group: GroupQueue): void {
    this.groups.delete(group)
    group.takers.delete(this)
  }

  /** The session ends: what a share group may give to another member goes back to it. MQTT 5 §4.8.2 */
  end(): void {
    const returned: Delivery[] = []
    for (const [, delivery] of this.inflight.all()) {
      const mayMove = delivery.qos === 1 || !delivery.isSent // a QoS 2 message once sent stays. [MQTT-4.8.2-5]
      if (delivery.group !== undefined && delivery.message !== undefined && mayMove) returned.push(delivery)
      else if (delivery.loan !== undefined) delivery.group!.settle(delivery.loan)
      this.host.inflightCount--
    }
    returned.sort((a, b) => a.sequence - b.sequence)
    for (const delivery of this.queue.close()) if (delivery.group !== undefined) returned.push(delivery)
    for (const { message, group, loan } of returned.reverse()) {
      group!.giveBack(new Delivery(message, message!.qos, false, undefined, undefined), loan)
    }
    for (const group of new Set(returned.map(({ group }) => group!))) group.offer()
  }

  private send(
    message: Message,
    qos: QoS,
    retain: boolean,
    identifiers: readonly number[] | undefined,
    group: GroupQueue | undefined,
  ): void {
    const { outlet } = this
    if (qos === 0) {
      if (outlet !== undefined) outlet.publish(message, 0, retain, identifiers, 0, false)
      return
    }
    const isOpen = outlet?.isWritable && this.quota > this.unsent.length && this.queue.length === 0
    if (isOpen && this.isVolatile && group === undefined) {
      const packetId = this.inflight.add(qos === 1 ? unkept.qos1 : unkept.qos2)
      if (outlet.publish(message, qos, retain, identifiers, packetId, false)) {
        this.quota--
        this.host.inflightCount++
      } else this.inflight.remove(packetId)
      return
    }
    const delivery = new Delivery(message.keep(), qos, retain, identifiers, group)
    if (group !== undefined && this.isVolatile && qos === 1) delivery.loan = group.lend(delivery)
    if (!isOpen) this.enqueue(delivery)
    else {
      delivery.sequence = ++this.lastSequence
      this.recordQueued(delivery)
      this.dispatch(delivery, outlet)
    }
  }

  private enqueue(delivery: Delivery): void {
    const { host, queue } = this
    const message = delivery.message!
    const bytes = message.sizeBytes
    const { maximumQueuedMessages, maximumQueuedBytes, maximumQueueMemoryBytes } = host.limits
    if (queue.length >= maximumQueuedMessages) this.dropExpired()
    if (queue.length >= maximumQueuedMessages || queue.bytes + bytes > maximumQueuedBytes) {
      host.dropped("queue full", this.clientId, message)
    } else if (!queue.goesToStore && host.queueBytes + bytes > maximumQueueMemoryBytes) {
      host.dropped("queue memory full", this.clientId, message)
    } else {
      delivery.sequence = ++this.lastSequence
      queue.push(delivery)
      this.recordQueued(delivery)
    }
  }

  private dropExpired(): void {
    while (this.queue.first?.message?.isExpired(this.host.now())) this.unqueue()
  }

  /** Takes the first delivery from the queue; undefined if it had expired, or there is none. */
  private unqueue(): Delivery | undefined {
    const delivery = this.queue.shift()
    if (delivery === undefined) return undefined
    const message = delivery.message!
    if (!message.isExpired(this.host.now())) return delivery
    this.record({ kind: "settled", owner: this.clientId, sequence: delivery.sequence })
    this.host.dropped("message expired", this.clientId, message)
    return undefined
  }

  /** Gives a delivery its packet id and sends it; at QoS 2 of a surviving session not before that is durable. */
  private dispatch(delivery: Delivery, outlet: Outlet): void {
    delivery.packetId = this.inflight.add(delivery)
    this.host.inflightCount++
    if (delivery.sequence === 0) {
      delivery.sequence = ++this.lastSequence // from a group: it is this session's from now on
      this.recordQueued(delivery)
    }
    const { sequence, packetId } = delivery
    this.record({ kind: "sent", owner: this.clientId, sequence, packetId })
    const { changes } = this.host
    if (delivery.qos === 2 && changes.isActive && !this.isVolatile) delivery.durableAfter = changes.appended
    this.unsent.push(delivery)
    this.pumpUnsent(outlet)
  }

  /** Sends the deliveries in flight that this connection has not seen, up to the first that must wait. */
  private pumpUnsent(outlet: Outlet): void {
    const { unsent, host } = this
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
        } else if (outlet.publish(message!, qos, retain, identifiers, packetId, isSent)) {
          delivery.isSent = true
          delivery.holdsQuota = true
          this.quota--
          if (this.isVolatile && delivery.group === undefined) {
            this.inflight.replace(packetId, qos === 1 ? unkept.qos1 : unkept.qos2)
          }
        } else this.forget(packetId, delivery)
      }
      done++
    }
    unsent.splice(0, done)
  }

  private takeFromGroups(): Delivery | undefined {
    for (const [group, member] of this.groups) {
      const taken = group.take(this)
      if (taken === undefined) continue
      const message = taken.message!
      const qos = deliveryQoS(message.qos, member.qos)
      const retain = message.retain && member.retainAsPublished
      const delivery = new Delivery(message, qos, retain, member.identifiers, group)
      if (qos === 1)
        delivery.loan = taken.loan // at QoS 2 it is this session's, whatever comes [MQTT-4.8.2-5]
      else if (taken.loan !== undefined) group.settle(taken.loan)
      return delivery
    }
    return undefined
  }

  /** The next retained message, as it is now; its RETAIN flag is set. [MQTT-3.3.1-8] */
  private takeFromReplays(): Delivery | undefined {
    for (let replay = this.replays[0]; replay !== undefined; replay = this.replays[0]) {
      for (let name = replay.topicNames.pop(); name !== undefined; name = replay.topicNames.pop()) {
        const message = this.host.retainedMessage(name)
        if (message === undefined) continue
        const { qos, identifiers } = replay.subscription
        return new Delivery(message, deliveryQoS(message.qos, qos), true, identifiers, undefined)
      }
      this.replays.shift()
    }
    return undefined
  }

  /** The client is done with a message: its id is free, and there is room for another. [MQTT-4.9.0-2] */
  private settle(packetId: number, delivery: Delivery): void {
    this.forget(packetId, delivery)
    if (delivery.holdsQuota) this.quota++
    if (this.unsent.length > 0) {
      const index = this.unsent.indexOf(delivery)
      if (index >= 0) this.unsent.splice(index, 1) // acknowledged before it was sent again [MQTT-4.4.0-2]
    }
    if (this.queue.length > 0 || this.unsent.length > 0 || this.groups.size > 0 || this.replays.length > 0) this.pump()
  }

  private forget(packetId: number, delivery: Delivery): void {
    this.inflight.remove(packetId)
    this.host.inflightCount--
    if (delivery.loan !== undefined) delivery.group!.settle(delivery.loan)
    if (delivery.sequence > 0) this.record({ kind: "settled", owner: this.clientId, sequence: delivery.sequence })
  }

  private recordQueued(delivery: Delivery): void {
    const { sequence, qos, retain, identifiers } = delivery
    const message = delivery.message!
    const record = { sequence, message, qos, retain, identifiers, group: delivery.group?.owner }
    this.record({ kind: "queued", owner: this.clientId, delivery: record })
  }

  private record(change: Parameters<SessionHost["changes"]["append"]>[0]): void {
    if (this.host.changes.isActive && !this.isVolatile) this.host.changes.append(change)
  }
}

/**
 * A `Publisher` sends runs of slots from its ring.
 *
 * The closed loop: a publisher may send up to one window past `settled`, the number of messages that every member
 * of its group has got; members are the group's subscribers and, above QoS 0, the publisher's own acknowledgements.
 * It isn't looked at per message. A publisher sets a `target` a quarter window ahead, each member that reaches it
 * reports once, and the last one moves `settled` there and frees a quarter window. So the slowest member sets the
 * pace, with one comparison a message and one scan of the group a quarter.
 */

import { MessageRing, PacketType, type Qos } from "../../wire.ts"
import { refillsPerWindow } from "../scenarios.ts"
import { Client, type Run } from "./client.ts"

/** Who a publisher waits for. */
export interface Member {
  /** Per publisher of the group: how far its sequence has been received or skipped. */
  readonly positions: Float64Array
}

export class Publisher extends Client {
  readonly ring: MessageRing
  /** The place in the group: index of this publisher's counters in each subscriber. */
  readonly index: number
  subscribers: readonly Member[] = []
  /** How many messages it sends at most. */
  limit = Number.POSITIVE_INFINITY
  sent = 0
  acknowledged = 0
  target = 0
  readonly #qos: Qos
  #window: number
  #refill = 0
  #settled = 0
  #lagging = 0
  #nextPacketId = 1
  #nextReceivedPacketId = 1

  constructor(
    run: Run,
    clientId: string,
    options: {
      topic: string
      qos: Qos
      payloadBytes: number
      index: number
      windowMessages: number
      slots: number
      stampEveryMessage: boolean
    },
  ) {
    super(run, clientId)
    this.ring = new MessageRing({ ...options, level: run.level, publisher: options.index })
    this.#window = options.windowMessages
    this.index = options.index
    this.#qos = options.qos
  }

  /** Fills the window for the first time; above QoS 0 with what the broker takes, if that is less. [MQTT-3.3.4-9] */
  start(): void {
    if (this.#qos > 0) this.#window = Math.min(this.#window, this.receiveMaximum)
    this.#refill = Math.max(1, Math.floor(this.#window / refillsPerWindow))
    this.target = this.#refill
    this.#lagging = this.#countLagging()
    this.#sendUpTo(this.#window)
  }

  /** Sends the next `count` messages; the sampled ones carry `stampMilliseconds`. */
  send(count: number, stampMilliseconds: number): void {
    const { bytes, packetBytes, slots } = this.ring
    while (count > 0) {
      const slot = this.sent % slots
      const run = Math.min(count, slots - slot)
      this.ring.stamp(slot, slot + run, stampMilliseconds)
      this.write(bytes, slot * packetBytes, run * packetBytes, true)
      this.sent += run
      count -= run
    }
  }

  /** A member of the group has got as far as `target`. */
  onMemberAtTarget(): void {
    if (--this.#lagging === 0) this.run.settled.push(this)
  }

  /** Every member has reached the target: sets the next one and sends what that frees. */
  settle(): void {
    do {
      this.#settled = this.target
      this.target += this.#refill
      this.#lagging = this.#countLagging()
    } while (this.#lagging === 0)
    if (this.run.isOpen) this.#sendUpTo(this.#settled + this.#window)
  }

  protected override onPacket(bytes: Buffer, at: number, end: number): void {
    const type = bytes[at]! >> 4
    if (type === PacketType.puback || type === PacketType.pubcomp) {
      if (this.#isExpected(bytes, at, end, this.#nextPacketId)) this.#nextPacketId = this.#following(this.#nextPacketId)
      if (this.run.acknowledgementLatencies !== undefined) this.#onTimedAcknowledgement(bytes, at)
      if (++this.acknowledged === this.target) this.onMemberAtTarget()
    } else if (type === PacketType.pubrec) {
      if (this.#isExpected(bytes, at, end, this.#nextReceivedPacketId))
        this.#nextReceivedPacketId = this.#following(this.#nextReceivedPacketId)
      this.acknowledge((PacketType.pubrel << 4) | 2, bytes, at + 2)
    } else super.onPacket(bytes, at, end)
  }

  /** Sends what is still missing of the first `end` messages. */
  #sendUpTo(end: number): void {
    this.send(Math.min(end, this.limit) - this.sent, performance.now())
  }

  /** Acknowledgements come in the order of the messages. [MQTT-4.6.0-2] [MQTT-4.6.0-3] */
  #isExpected(bytes: Buffer, at: number, end: number, packetId: number): boolean {
    const isRight = ((bytes[at + 2]! << 8) | bytes[at + 3]!) === packetId
    const isSuccess = end - at === 4 || bytes[at + 4]! < 0x80
    if (!isRight || !isSuccess) this.run.corrupted++
    return isRight
  }

  #onTimedAcknowledgement(bytes: Buffer, at: number): void {
    const slot = ((bytes[at + 2]! << 8) | bytes[at + 3]!) - 1
    if (!this.run.isMeasured || !this.ring.isStamped(slot)) return
    this.run.acknowledgementLatencies!.record(this.arrivedAt - this.ring.stampOf(slot))
  }

  #following(packetId: number): number {
    return packetId === this.ring.slots ? 1 : packetId + 1
  }

  #countLagging(): number {
    const { index, target, subscribers } = this
    let lagging = this.#qos > 0 && this.acknowledged < target ? 1 : 0
    for (let i = 0; i < subscribers.length; i++) if (subscribers[i]!.positions[index]! < target) lagging++
    return lagging
  }
}

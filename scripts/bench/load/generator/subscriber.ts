/** A `Subscriber` checks, counts and acknowledges what arrives. */

import { encodeSubscribe, PacketType, payloadHeaderBytes, type Qos } from "../../wire.ts"
import { Client, type Run } from "./client.ts"
import type { Member, Publisher } from "./publisher.ts"

export class Subscriber extends Client implements Member {
  delivered = 0
  readonly positions: Float64Array
  readonly #nextSlots: Uint32Array
  readonly #publishers: readonly Publisher[]
  readonly #qos: Qos
  readonly #firstByte: number
  readonly #payloadBytes: number
  readonly #packetBytes: number
  readonly #slots: number

  constructor(
    run: Run,
    clientId: string,
    publishers: readonly Publisher[],
    options: { qos: Qos; payloadBytes: number; isLasting: boolean },
  ) {
    super(run, clientId, options.isLasting)
    const { qos, payloadBytes } = options
    const { packetBytes, slots } = publishers[0]!.ring
    this.positions = new Float64Array(publishers.length)
    this.#nextSlots = new Uint32Array(publishers.length)
    this.#publishers = publishers
    this.#qos = qos
    this.#firstByte = (PacketType.publish << 4) | (qos << 1)
    this.#payloadBytes = payloadBytes
    this.#packetBytes = packetBytes
    this.#slots = slots
  }

  subscribe(topicFilter: string): Promise<void> {
    return this.request(encodeSubscribe(topicFilter, this.#qos, this.run.level), PacketType.suback)
  }

  protected override onPacket(bytes: Buffer, at: number, end: number): void {
    if (bytes[at] === this.#firstByte) this.#onPublish(bytes, at, end)
    else if (this.#qos === 2 && bytes[at]! >> 4 === PacketType.pubrel)
      this.acknowledge(PacketType.pubcomp << 4, bytes, at + 2)
    else super.onPacket(bytes, at, end)
  }

  #onPublish(bytes: Buffer, at: number, end: number): void {
    const payloadAt = end - this.#payloadBytes
    if (this.#payloadBytes < payloadHeaderBytes) {
      this.#onUnmarked(bytes, payloadAt, end - at)
      return
    }
    const slot = (bytes[payloadAt]! << 8) | bytes[payloadAt + 1]!
    const index = (bytes[payloadAt + 2]! << 8) | bytes[payloadAt + 3]!
    if (end - at !== this.#packetBytes || slot >= this.#slots || index >= this.positions.length) {
      this.run.corrupted++
      return
    }
    if (this.#qos > 0) this.#acknowledgePublish(bytes, payloadAt)
    const publisher = this.#publishers[index]!
    this.delivered++
    if (slot === this.#nextSlots[index]) {
      this.#nextSlots[index] = slot + 1 === this.#slots ? 0 : slot + 1
      if (++this.positions[index]! === publisher.target) publisher.onMemberAtTarget()
    } else this.#onGap(index, slot, publisher)
    if (bytes[payloadAt + 4] === 1) this.#onSample(bytes, payloadAt, end, slot, publisher)
  }

  /**
   * A message without a header is like every other one of its topic, whose only publisher there is. So the n-th to come
   * is taken for the n-th that was sent: one too few is lost, one too many is a repetition, and order is not looked at.
   */
  #onUnmarked(bytes: Buffer, payloadAt: number, packetBytes: number): void {
    const publisher = this.#publishers[0]!
    if (packetBytes !== this.#packetBytes) {
      this.run.corrupted++
      return
    }
    if (this.#qos > 0) this.#acknowledgePublish(bytes, payloadAt)
    if (this.delivered === publisher.sent) {
      this.run.disordered++
      return
    }
    const slot = this.delivered++ % this.#slots
    if (++this.positions[0]! === publisher.target) publisher.onMemberAtTarget()
    if (this.run.isMeasured && publisher.ring.isStamped(slot))
      this.run.latencies.record(this.arrivedAt - publisher.ring.stampOf(slot))
  }

  #acknowledgePublish(bytes: Buffer, payloadAt: number): void {
    const packetIdAt = payloadAt - (this.run.level === 5 ? 3 : 2)
    this.acknowledge((this.#qos === 1 ? PacketType.puback : PacketType.pubrec) << 4, bytes, packetIdAt)
  }

  /**
   * Messages are missing, or one came twice or late: whichever is the shorter way round the ring. A gap counts as
   * received, or the window would never open.
   */
  #onGap(index: number, slot: number, publisher: Publisher): void {
    const ahead = (slot - this.#nextSlots[index]! + this.#slots) % this.#slots
    if (ahead >= Math.min(publisher.sent - this.positions[index]!, this.#slots / 2)) {
      this.run.disordered++
      this.delivered--
      return
    }
    const before = this.positions[index]!
    this.positions[index]! += ahead + 1
    this.#nextSlots[index] = (slot + 1) % this.#slots
    if (before < publisher.target && this.positions[index]! >= publisher.target) publisher.onMemberAtTarget()
  }

  #onSample(bytes: Buffer, payloadAt: number, end: number, slot: number, publisher: Publisher): void {
    if (!publisher.ring.hasPayload(slot, bytes, payloadAt, end)) this.run.corrupted++
    if (!this.run.isMeasured) return
    this.run.latencies.record(this.arrivedAt - bytes.readDoubleBE(payloadAt + 8))
  }
}

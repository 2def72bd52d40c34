import type { Packet } from "mqtt-packet"
import { Reason } from "../codec/index.ts"

/** Packets with packet ids, and what the broker says to them. */
export class Requests {
  /** How many messages of QoS 1 and 2 may be under way at once; more wait. [MQTT-3.3.4-9] */
  receiveMaximum = 0xffff
  private readonly answers = new Map<number, PromiseWithResolvers<readonly Reason[]>>()
  /** What PUBREC has said, of messages that wait for PUBCOMP. */
  private readonly released = new Map<number, Reason>()
  private lastPacketId = 0
  private underWay = 0
  private readonly waiting: (() => void)[] = []
  private readonly send: (packet: Packet) => void

  /** `send` may throw: then the request fails with that. */
  constructor(send: (packet: Packet) => void) {
    this.send = send
  }

  /** Sends it with an id that is free. */
  async ask(packet: Packet): Promise<readonly Reason[]> {
    do this.lastPacketId = (this.lastPacketId % 0xffff) + 1
    while (this.answers.has(this.lastPacketId))
    const messageId = this.lastPacketId
    this.send({ ...packet, messageId })
    const answer = Promise.withResolvers<readonly Reason[]>()
    this.answers.set(messageId, answer)
    return answer.promise
  }

  async publish(packet: Packet): Promise<Reason> {
    if (this.underWay < this.receiveMaximum) this.underWay++
    else await new Promise<void>((resolve) => this.waiting.push(resolve)) // for the place of one that is done
    try {
      const [reason] = await this.ask(packet)
      return reason!
    } finally {
      const next = this.waiting.shift()
      if (next === undefined) this.underWay--
      else next()
    }
  }

  /** PUBACK, SUBACK, UNSUBACK. */
  onAnswer(packetId: number, reasons: readonly Reason[]): void {
    this.answers.get(packetId)?.resolve(reasons)
    this.answers.delete(packetId)
  }

  /** PUBREC; gives whether PUBREL is to follow. */
  onReceived(packetId: number, reason: Reason): boolean {
    if (reason < 0x80) this.released.set(packetId, reason)
    else this.onAnswer(packetId, [reason])
    return reason < 0x80
  }

  /** PUBCOMP. */
  onCompleted(packetId: number, reason: Reason): void {
    this.onAnswer(packetId, [reason === Reason.Success ? (this.released.get(packetId) ?? reason) : reason])
    this.released.delete(packetId)
  }

  fail(error: Error): void {
    for (const answer of this.answers.values()) answer.reject(error)
    this.answers.clear()
  }
}

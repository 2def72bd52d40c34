/**
 * The client's end of a stream that is nothing but memory: packets out, packets in. Bytes arrive in microtasks, here as in
 * `custom`, so that nothing ever happens within what has caused it.
 */
import mqtt from "mqtt-packet"
import { ManjuError } from "../broker/errors.ts"
import type { Certificate } from "../broker/ports.ts"
import type { ProtocolLevel } from "../codec/index.ts"
import type { Transport } from "../connection/index.ts"
import type { Accept, Accepted } from "../listeners/custom.ts"

/** Whoever speaks over it. */
export interface WireUser {
  onPacket(packet: mqtt.Packet): void
  /** The broker has closed. */
  onEnd(): void
}

export interface WireOptions {
  readonly level: ProtocolLevel
  readonly remoteAddress: string
  readonly certificate: Certificate | undefined
}

export class Wire implements Transport {
  readonly remoteAddress: string
  readonly certificate: Certificate | undefined
  private readonly level: ProtocolLevel
  private readonly user: WireUser
  private readonly parser: mqtt.Parser
  private readonly broker: Accepted
  private isCut = false
  private isReading = true

  constructor(accept: Accept, { level, remoteAddress, certificate }: WireOptions, user: WireUser) {
    this.level = level
    this.remoteAddress = remoteAddress
    this.certificate = certificate
    this.user = user
    this.parser = mqtt.parser({ protocolVersion: level })
    this.parser.on("packet", (packet) => !this.isCut && this.user.onPacket(packet))
    this.parser.on("error", (error) => {
      throw new Error(`the broker has sent what mqtt-packet does not understand: ${error.message}`)
    })
    this.broker = accept(this)
  }

  /** Throws `INVALID_OPTION` for what no packet can say. */
  send(packet: mqtt.Packet): void {
    let bytes: Buffer
    try {
      bytes = mqtt.generate(packet, { protocolVersion: this.level })
    } catch (error) {
      throw new ManjuError("INVALID_OPTION", `${packet.cmd}: ${(error as Error).message}`, { cause: error })
    }
    if (bytes.length === 0) throw new ManjuError("INVALID_OPTION", `${packet.cmd}: a property cannot be sent`)
    this.sendBytes(bytes)
  }

  sendBytes(bytes: Uint8Array): void {
    if (!this.isCut) this.broker.receive(bytes)
  }

  /** The stream breaks. */
  cut(): void {
    if (this.isCut) return
    this.isCut = true
    this.broker.closed(new Error("the test has cut it"))
  }

  /** Takes nothing any more, as a slow client. */
  stopReading(): void {
    this.isReading = false
  }

  readOn(): void {
    this.isReading = true
    this.broker.drained()
  }

  write(bytes: Buffer, start: number, end: number): number {
    if (!this.isReading) return 0
    const chunk = Buffer.from(bytes.subarray(start, end))
    queueMicrotask(() => this.parser.parse(chunk))
    return end - start
  }

  pause(): void {} // what comes all the same is held for us

  resume(): void {}

  end(): void {
    queueMicrotask(() => this.ended())
  }

  destroy(): void {
    queueMicrotask(() => this.ended())
  }

  private ended(): void {
    if (this.isCut) return
    this.isCut = true
    this.broker.closed()
    this.user.onEnd()
  }
}

/**
 * Acknowledgements that must not leave before the journal has got to where what they promise is durable. Those behind one that waits wait
 * as well, so that a client gets them in the order in which it asked. [MQTT-4.6.0-2]
 */
import type { Waiting } from "../broker/journal.ts"
import { type AckType, PacketType, type Reason } from "../codec/index.ts"

interface HeldAck {
  readonly after: number
  readonly packet: Buffer
  /** Whether a message of the client's is done with it. */
  readonly endsPublish: boolean
}

/** The link, as far as this needs it. */
export interface HoldingLink {
  readonly core: { readonly changes: { readonly durable: number; wait(waiting: Waiting): void } }
  sendHeld(packet: Buffer, endsPublish: boolean): void
  /** The journal has moved, and what it let go has been sent. */
  onDurable(): void
}

export class HeldAcks implements Waiting {
  private held: HeldAck[] = []
  private isWaiting = false
  private onEmpty: (() => void) | undefined
  private readonly link: HoldingLink

  constructor(link: HoldingLink) {
    this.link = link
  }

  get count(): number {
    return this.held.length
  }

  /** Keeps a copy of `packet` until everything up to the entry `after` is durable. */
  hold(packet: Buffer, after: number, endsPublish: boolean): void {
    this.held.push({ after, packet: Buffer.from(packet), endsPublish })
    this.wait()
  }

  /** Asks to be called when the journal moves. */
  wait(): void {
    if (this.isWaiting) return
    this.isWaiting = true
    this.link.core.changes.wait(this)
  }

  onDurable(): void {
    const { durable } = this.link.core.changes
    let released = 0
    while (released < this.held.length && this.held[released]!.after <= durable) {
      const { packet, endsPublish } = this.held[released]!
      this.link.sendHeld(packet, endsPublish)
      released++
    }
    this.held.splice(0, released)
    this.isWaiting = false
    this.link.onDurable()
    if (this.held.length > 0) this.wait()
    else this.onEmpty?.()
  }

  /** Resolves when none is held any more, or the connection has ended. */
  empty(): Promise<void> {
    return new Promise((resolve) => {
      this.onEmpty = resolve
    })
  }

  /** The connection has ended. */
  clear(): void {
    this.held = []
    this.onEmpty?.()
  }
}

/** Whether an acknowledgement is the last for a message: PUBACK, PUBCOMP, or a PUBREC that refuses it. */
export function endsPublish(type: AckType, reason: Reason): boolean {
  return type === PacketType.PUBACK || type === PacketType.PUBCOMP || (type === PacketType.PUBREC && reason >= 0x80)
}

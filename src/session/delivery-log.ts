import type { ChangeLog } from "./changes.ts"
import type { Delivery } from "./delivery.ts"

/** Tells the journal what becomes of the deliveries of a session; of one that ends with its connection, nothing. */
export class DeliveryLog {
  private readonly owner: string
  private readonly changes: ChangeLog
  private readonly isKept: boolean

  constructor(owner: string, changes: ChangeLog, isKept: boolean) {
    this.owner = owner
    this.changes = changes
    this.isKept = isKept && changes.isActive
  }

  queued({ sequence, message, qos, retain, identifiers, group }: Delivery): void {
    if (!this.isKept) return
    const record = { sequence, message: message!, qos, retain, identifiers, group: group?.owner }
    this.changes.append({ kind: "queued", owner: this.owner, delivery: record })
  }

  sent({ sequence, packetId }: Delivery): void {
    if (this.isKept) this.changes.append({ kind: "sent", owner: this.owner, sequence, packetId })
  }

  released({ sequence }: Delivery): void {
    if (this.isKept) this.changes.append({ kind: "released", owner: this.owner, sequence })
  }

  /** One that has its sequence: it has been queued. */
  settled({ sequence }: Delivery): void {
    if (this.isKept && sequence > 0) this.changes.append({ kind: "settled", owner: this.owner, sequence })
  }
}

/** Tells the journal what becomes of the deliveries of a session; of one that ends with its connection, nothing. */
import type { ChangeLog } from "./changes.ts"
import type { Delivery } from "./delivery.ts"

/** The session. */
interface Owner {
  readonly clientId: string
  readonly isVolatile: boolean
  readonly changes: ChangeLog
}

const isKept = ({ isVolatile, changes }: Owner) => !isVolatile && changes.isActive

export function recordQueued(owner: Owner, delivery: Delivery): void {
  if (!isKept(owner)) return
  const { sequence, message, qos, retain, identifiers, group } = delivery
  const record = { sequence, message: message!, qos, retain, identifiers, group: group?.owner }
  owner.changes.append({ kind: "queued", owner: owner.clientId, delivery: record })
}

export function recordSent(owner: Owner, { sequence, packetId }: Delivery): void {
  if (isKept(owner)) owner.changes.append({ kind: "sent", owner: owner.clientId, sequence, packetId })
}

export function recordReleased(owner: Owner, { sequence }: Delivery): void {
  if (isKept(owner)) owner.changes.append({ kind: "released", owner: owner.clientId, sequence })
}

/** One that has its sequence: it has been queued. */
export function recordSettled(owner: Owner, { sequence }: Delivery): void {
  if (isKept(owner) && sequence > 0) owner.changes.append({ kind: "settled", owner: owner.clientId, sequence })
}

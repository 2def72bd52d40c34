import type { QoS } from "../codec/index.ts"
import type { DropReason } from "../session/index.ts"

/** What a limit was hit by; each is counted under its name. */
export type LimitHit =
  | "connections"
  | "listener connections"
  | "sessions"
  | "subscriptions"
  | "packet size"
  | "receive maximum"
  | "publish rate"
  | "keep alive"
  | "attempts"
  | "connect timeout"
  | "keep alive timeout"
  | "retained messages"

/**
 * What of the PUBLISH packets that have gone one way was of QoS 1, and of QoS 2; of this run. The rest was of QoS 0: there it is not
 * worth a nanosecond.
 */
export class Acknowledged {
  /** By QoS. */
  readonly messages = [0, 0, 0]
  /** Of payload. */
  readonly bytes = [0, 0, 0]

  count(qos: QoS, bytes: number): void {
    this.messages[qos]!++
    this.bytes[qos]! += bytes
  }
}

/** Everything the broker counts. Plain numbers that only grow, except the gauges at the end. */
export class Metrics {
  bytesReceived = 0
  bytesSent = 0
  /** Control packets of every type. */
  packetsReceived = 0
  packetsSent = 0
  /** PUBLISH packets from clients, and to them. */
  publishReceived = 0
  publishSent = 0
  /** Payload bytes of PUBLISH packets. */
  publishBytesReceived = 0
  publishBytesSent = 0
  readonly receivedAcknowledged = new Acknowledged()
  readonly sentAcknowledged = new Acknowledged()
  /** Connections accepted by a listener, and CONNECT packets received. */
  socketsOpened = 0
  connectsReceived = 0
  connectsRefused = 0
  /** Clients, and users of the HTTP listener, who are not who they say they are. */
  authFailures = 0
  adminAuthFailures = 0
  /** Hooks that threw, rejected, or answered what is no answer. */
  hooksFailed = 0
  /** Sessions that ended because their expiry had passed. */
  sessionsExpired = 0
  /** Bytes written to the store's medium, where the store knows. */
  storeBytesWritten = 0
  readonly dropped: Record<DropReason, number> = {
    "queue full": 0,
    "queue memory full": 0,
    "backlog full": 0,
    "packet too large": 0,
    "message expired": 0,
    "not authorized": 0,
    "outside mount point": 0,
    "retained limit": 0,
    "store failing": 0,
    "refused by hook": 0,
  }
  readonly limitsHit: Record<LimitHit, number> = {
    connections: 0,
    "listener connections": 0,
    sessions: 0,
    subscriptions: 0,
    "packet size": 0,
    "receive maximum": 0,
    "publish rate": 0,
    "keep alive": 0,
    attempts: 0,
    "connect timeout": 0,
    "keep alive timeout": 0,
    "retained messages": 0,
  }
  /** Gauges: connections open, and the most sessions there ever were. */
  connections = 0
  clientsMaximum = 0

  private readonly restored = new Map<string, number>()

  /** The sums that go on where the last run left them. */
  static readonly totals = [
    "bytesReceived",
    "bytesSent",
    "packetsReceived",
    "packetsSent",
    "publishReceived",
    "publishSent",
    "publishBytesReceived",
    "publishBytesSent",
    "socketsOpened",
    "connectsReceived",
    "sessionsExpired",
    "clientsMaximum",
    "storeBytesWritten",
  ] as const

  /** Takes in a sum of the last run. */
  restore(name: string, value: number): void {
    const known = Metrics.totals.find((each) => each === name)
    if (known === undefined) return
    this[known] += value
    this.restored.set(known, value)
  }

  /** A sum of this run alone. */
  ofThisRun(name: (typeof Metrics.totals)[number]): number {
    return this[name] - (this.restored.get(name) ?? 0)
  }

  get droppedTotal(): number {
    let total = 0
    for (const count of Object.values(this.dropped)) total += count
    return total
  }
}

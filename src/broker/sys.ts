/**
 * `$SYS`: the broker's figures as retained messages, under the names of Mosquitto 2.1 and, where it has others, of Mochi. Names of our own
 * say what neither does: which limits were hit, and why messages were dropped.
 *
 * Every interval each figure that has changed is published, and nothing that has not. The load averages are exponentially
 * weighted over 1, 5 and 15 minutes, per minute, as Mosquitto computes them. None of it is ever stored.
 */
import { Message } from "../session/index.ts"
import type { Core } from "./core.ts"
import { Metrics } from "./metrics.ts"
import type { Timer } from "./timers.ts"

const PREFIX = "$SYS/broker/"
/** How often the sums that outlive the process are stored. */
const SAVE_MS = 60_000
const LOAD_MINUTES = [1, 5, 15] as const

/** What one pass over sessions and connections finds. */
interface Census {
  readonly core: Core
  connected: number
  messagesStored: number
  bytesStored: number
  packetsOut: number
  bytesOut: number
}

type Figure = (census: Census) => number

type Total = { [name in keyof Metrics]: Metrics[name] extends number ? name : never }[keyof Metrics]

const total =
  (name: Total): Figure =>
  ({ core }) =>
    core.metrics[name]
const disconnected: Figure = ({ core, connected }) => core.sessions.size - connected

/** A figure for each of several counts, under names such as `dropped/queue-full`. */
function each(folder: string, countsOf: (metrics: Metrics) => Record<string, number>): Record<string, Figure> {
  const names = Object.keys(countsOf(new Metrics()))
  return Object.fromEntries(
    names.map((name) => [`${folder}/${name.replaceAll(" ", "-")}`, ({ core }) => countsOf(core.metrics)[name]!]),
  )
}

const figures: Record<string, Figure> = {
  "clients/total": ({ core }) => core.sessions.size,
  "clients/maximum": total("clientsMaximum"),
  "clients/connected": ({ connected }) => connected,
  "clients/active": ({ connected }) => connected,
  "clients/disconnected": disconnected,
  "clients/inactive": disconnected,
  "clients/expired": total("sessionsExpired"),
  "messages/received": total("packetsReceived"),
  "messages/sent": total("packetsSent"),
  "messages/stored": ({ messagesStored }) => messagesStored,
  "messages/inflight": ({ core }) => core.inflightCount,
  "messages/dropped": total("droppedTotal"),
  "messages/publish/dropped": total("droppedTotal"),
  "store/messages/count": ({ messagesStored }) => messagesStored,
  "store/messages/bytes": ({ bytesStored }) => bytesStored,
  "subscriptions/count": ({ core }) => core.router.subscriptionCount,
  subscriptions: ({ core }) => core.router.subscriptionCount,
  "shared_subscriptions/count": ({ core }) => core.router.sharedCount,
  "retained messages/count": ({ core }) => core.retained.count,
  retained: ({ core }) => core.retained.count,
  "publish/messages/dropped": total("droppedTotal"),
  "publish/messages/received": total("publishReceived"),
  "publish/messages/sent": total("publishSent"),
  "publish/bytes/received": total("publishBytesReceived"),
  "publish/bytes/sent": total("publishBytesSent"),
  "bytes/received": total("bytesReceived"),
  "bytes/sent": total("bytesSent"),
  "packets/received": total("packetsReceived"),
  "packets/sent": total("packetsSent"),
  "packet/out/count": ({ packetsOut }) => packetsOut,
  "packet/out/bytes": ({ bytesOut }) => bytesOut,
  "connections/socket/count": total("socketsOpened"),
  "hooks/failed": total("hooksFailed"),
  "heap/current": () => process.memoryUsage.rss(),
  "heap/maximum": () => process.resourceUsage().maxRSS * 1024,
  "system/memory": () => process.memoryUsage.rss(),
  time: ({ core }) => Math.floor(core.now() / 1000),
  ...each("dropped", ({ dropped }) => dropped),
  ...each("limits", ({ limitsHit }) => limitsHit),
}

/** What there is with a store only. */
const storeFigures: Record<string, Figure> = {
  "store/bytes/written": total("storeBytesWritten"),
  "store/commits": ({ core }) => core.changes.commits,
  "store/commits/failed": ({ core }) => core.changes.failures,
}

/** What the load averages are of: totals whose growth counts. */
const loads: Record<string, Figure> = {
  "load/messages/received": total("packetsReceived"),
  "load/messages/sent": total("packetsSent"),
  "load/publish/dropped": total("droppedTotal"),
  "load/publish/received": total("publishReceived"),
  "load/publish/sent": total("publishSent"),
  "load/bytes/received": total("bytesReceived"),
  "load/bytes/sent": total("bytesSent"),
  "load/sockets": total("socketsOpened"),
  "load/connections": total("connectsReceived"),
}

/** Keeps `$SYS` up to date. */
export class SysTree {
  private readonly published = new Map<string, string>()
  private readonly averages = new Map<string, number>()
  private readonly lastTotals = new Map<string, number>()
  private readonly startedAt: number
  private updatedAt: number
  private savedAt: number
  private timer: Timer | undefined
  private readonly core: Core
  private readonly version: string

  constructor(core: Core, version: string) {
    this.core = core
    this.version = version
    this.startedAt = this.updatedAt = this.savedAt = core.now()
  }

  /** Publishes everything once, then what changes, every `sysIntervalSeconds`; nothing if that is 0. */
  start(): void {
    if (this.core.limits.sysIntervalSeconds === 0) return
    this.publish("version", `manju version ${this.version}`)
    this.publish("started", String(Math.floor(this.startedAt / 1000)))
    this.update()
  }

  stop(): void {
    this.timer?.cancel()
  }

  private update(): void {
    const { core } = this
    const census = takeCensus(core)
    const now = core.now()
    this.publish("uptime", `${Math.floor((now - this.startedAt) / 1000)} seconds`)
    for (const name in loads) this.updateLoad(name, loads[name]!(census), now - this.updatedAt)
    for (const name in figures) this.publish(name, String(figures[name]!(census)))
    if (core.changes.isActive) {
      core.totals.measureStore()
      for (const name in storeFigures) this.publish(name, String(storeFigures[name]!(census)))
    }
    this.updatedAt = now
    if (now - this.savedAt >= SAVE_MS) {
      this.savedAt = now
      core.totals.save()
    }
    this.timer = core.timers.schedule(now + core.limits.sysIntervalSeconds * 1000, () => this.update())
  }

  private updateLoad(name: string, value: number, passedMs: number): void {
    const perMinute = passedMs > 0 ? ((value - (this.lastTotals.get(name) ?? 0)) * 60_000) / passedMs : 0
    this.lastTotals.set(name, value)
    for (const minutes of LOAD_MINUTES) {
      const topic = `${name}/${minutes}min`
      const weight = Math.exp(-passedMs / (minutes * 60_000))
      const average = perMinute + weight * ((this.averages.get(topic) ?? 0) - perMinute)
      this.averages.set(topic, average)
      this.publish(topic, average.toFixed(2))
    }
  }

  private publish(name: string, value: string): void {
    if (this.published.get(name) === value) return
    this.published.set(name, value)
    const topic = this.core.router.topics.named(PREFIX + name)!
    this.core.publish(Message.create(topic, Buffer.from(value), 0, true, {}, this.core.now()), undefined)
  }
}

function takeCensus(core: Core): Census {
  const census: Census = {
    core,
    connected: 0,
    messagesStored: core.retained.count,
    bytesStored: core.queueBytes,
    packetsOut: 0,
    bytesOut: 0,
  }
  for (const session of core.sessions.all()) {
    if (session.outlet !== undefined) census.connected++
    census.messagesStored += session.queuedCount + session.inflightCount
  }
  for (const peer of core.peers) {
    census.packetsOut += peer.backlogPackets
    census.bytesOut += peer.backlogBytes
  }
  return census
}

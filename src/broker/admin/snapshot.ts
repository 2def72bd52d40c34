import type { ByQoS, MetricsSnapshot, StoreMetrics } from "../admin.ts"
import type { Core } from "../core.ts"
import type { Acknowledged } from "../metrics.ts"
import { slicesOf } from "./page.ts"

/** The figures now. Only what waits in sessions has to be counted for it, in slices. */
export async function snapshotOf(core: Core, version: string, startedAt: number): Promise<MetricsSnapshot> {
  let queuedMessages = 0
  for await (const slice of slicesOf(core.sessions.all())) {
    for (const session of slice) queuedMessages += session.queuedCount
  }
  const { metrics, router } = core
  const { rss, heapTotal, heapUsed, external } = process.memoryUsage()
  const ofThisRun = (name: Parameters<typeof metrics.ofThisRun>[0]) => metrics.ofThisRun(name)
  return {
    version,
    time: Math.round(core.now()),
    startedAt: Math.round(startedAt),
    connections: metrics.connections,
    clients: core.clients.size,
    sessions: core.sessions.size,
    subscriptions: router.subscriptionCount,
    sharedSubscriptions: router.sharedCount,
    retainedMessages: core.retained.count,
    inflightMessages: core.inflightCount,
    queuedMessages,
    queuedBytes: core.queueBytes,
    messagesReceived: byQoS(ofThisRun("publishReceived"), metrics.receivedAcknowledged, "messages"),
    messagesSent: byQoS(ofThisRun("publishSent"), metrics.sentAcknowledged, "messages"),
    payloadBytesReceived: byQoS(ofThisRun("publishBytesReceived"), metrics.receivedAcknowledged, "bytes"),
    payloadBytesSent: byQoS(ofThisRun("publishBytesSent"), metrics.sentAcknowledged, "bytes"),
    packetsReceived: ofThisRun("packetsReceived"),
    packetsSent: ofThisRun("packetsSent"),
    bytesReceived: ofThisRun("bytesReceived"),
    bytesSent: ofThisRun("bytesSent"),
    connectionsAccepted: ofThisRun("socketsOpened"),
    connectsReceived: ofThisRun("connectsReceived"),
    connectsRefused: metrics.connectsRefused,
    authFailures: metrics.authFailures,
    adminAuthFailures: metrics.adminAuthFailures,
    sessionsExpired: ofThisRun("sessionsExpired"),
    hooksFailed: metrics.hooksFailed,
    dropped: { ...metrics.dropped },
    limitsHit: { ...metrics.limitsHit },
    store: storeMetrics(core),
    eventLoopLag: core.timers.lag.snapshot(),
    memory: {
      residentBytes: rss,
      heapTotalBytes: heapTotal,
      heapUsedBytes: heapUsed,
      externalBytes: external,
    },
  }
}

/** What is of neither QoS 1 nor QoS 2 is of QoS 0. */
function byQoS(all: number, { messages, bytes }: Acknowledged, of: "messages" | "bytes"): ByQoS {
  const [, one, two] = (of === "messages" ? messages : bytes) as [number, number, number]
  return [all - one - two, one, two]
}

function storeMetrics(core: Core): StoreMetrics | undefined {
  const { changes, metrics } = core
  if (!changes.isActive) return undefined
  core.totals.measureStore()
  return {
    isReady: core.isReady,
    commits: changes.commits,
    failures: changes.failures,
    bytesWritten: metrics.storeBytesWritten,
    unstoredBytes: changes.unstoredBytes,
    commitTimes: changes.commitTimes.snapshot(),
  }
}

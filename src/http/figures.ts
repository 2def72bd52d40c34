import type { ByQoS, MetricsSnapshot } from "../broker/admin.ts"
import type { HistogramSnapshot } from "../broker/histogram.ts"

/** What a dashboard shows: how things are, and how fast they went since the figures before. */
export interface Figures {
  /** Milliseconds since 1970. */
  time: number
  uptimeSeconds: number
  connections: number
  clients: number
  sessions: number
  subscriptions: number
  retainedMessages: number
  inflightMessages: number
  queuedMessages: number
  queuedBytes: number
  /** How many a second, since the figures before. */
  rates: {
    messagesReceived: number
    messagesSent: number
    bytesReceived: number
    bytesSent: number
    connects: number
    connectsRefused: number
    authFailures: number
    dropped: number
  }
  /** By reason, those that there have been since the broker began. */
  dropped: Record<string, number>
  limitsHit: Record<string, number>
  memory: { residentBytes: number; heapUsedBytes: number }
  /** The longest that everything has had to wait, since the figures before. */
  eventLoopLagMs: number
  /** Undefined: there is none. */
  store?: StoreFigures | undefined
}

export interface StoreFigures {
  isReady: boolean
  unstoredBytes: number
  bytesWritten: number
  /** Commits a second, and how long they took, since the figures before; undefined: there were none. */
  commits: number
  commitP50Ms?: number | undefined
  commitP99Ms?: number | undefined
}

/** `eventLoopLagMs`: as whoever takes the snapshots has seen it. */
export function figuresOf(now: MetricsSnapshot, before: MetricsSnapshot, eventLoopLagMs: number): Figures {
  const seconds = (now.time - before.time) / 1000
  const rate = (of: (snapshot: MetricsSnapshot) => number) => perSecond(of(now) - of(before), seconds)
  const { connections, clients, sessions, subscriptions, retainedMessages } = now
  const { inflightMessages, queuedMessages, queuedBytes } = now
  const { residentBytes, heapUsedBytes } = now.memory
  return {
    time: now.time,
    uptimeSeconds: Math.round((now.time - now.startedAt) / 1000),
    ...{ connections, clients, sessions, subscriptions, retainedMessages },
    ...{ inflightMessages, queuedMessages, queuedBytes },
    rates: {
      messagesReceived: rate(({ messagesReceived }) => sum(messagesReceived)),
      messagesSent: rate(({ messagesSent }) => sum(messagesSent)),
      bytesReceived: rate(({ bytesReceived }) => bytesReceived),
      bytesSent: rate(({ bytesSent }) => bytesSent),
      connects: rate(({ connectsReceived }) => connectsReceived),
      connectsRefused: rate(({ connectsRefused }) => connectsRefused),
      authFailures: rate(({ authFailures, adminAuthFailures }) => authFailures + adminAuthFailures),
      dropped: rate(({ dropped }) => sum(Object.values(dropped))),
    },
    dropped: thatHappened(now.dropped),
    limitsHit: thatHappened(now.limitsHit),
    memory: { residentBytes, heapUsedBytes },
    eventLoopLagMs: Math.round(eventLoopLagMs * 10) / 10,
    store: storeFigures(now, before, seconds),
  }
}

function storeFigures(now: MetricsSnapshot, before: MetricsSnapshot, seconds: number): StoreFigures | undefined {
  if (now.store === undefined || before.store === undefined) return undefined
  const { isReady, unstoredBytes, bytesWritten, commits, commitTimes } = now.store
  return {
    ...{ isReady, unstoredBytes, bytesWritten },
    commits: perSecond(commits - before.store.commits, seconds),
    commitP50Ms: quantileMs(commitTimes, before.store.commitTimes, 0.5),
    commitP99Ms: quantileMs(commitTimes, before.store.commitTimes, 0.99),
  }
}

/** The bucket that holds the quantile of what has come between two snapshots, and where in it that lies if it is even there. */
function quantileMs(now: HistogramSnapshot, before: HistogramSnapshot, quantile: number): number | undefined {
  const wanted = (now.count - before.count) * quantile
  if (wanted === 0) return undefined
  let lower = { count: 0, seconds: 0 }
  for (const [index, { atMostSeconds, count }] of now.buckets.entries()) {
    const upper = { count: count - before.buckets[index]!.count, seconds: atMostSeconds }
    if (upper.count >= wanted) {
      const share = (wanted - lower.count) / (upper.count - lower.count)
      return Math.round((lower.seconds + share * (upper.seconds - lower.seconds)) * 1e6) / 1000
    }
    lower = upper
  }
  return lower.seconds * 1000 // beyond the last bound
}

function perSecond(count: number, seconds: number): number {
  return seconds > 0 ? Math.round((count / seconds) * 10) / 10 : 0
}

function sum(counts: readonly number[] | ByQoS): number {
  return counts.reduce<number>((total, count) => total + count, 0)
}

function thatHappened(counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0))
}

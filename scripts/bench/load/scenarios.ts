/**
 * What is measured: one plain table, and the types of what goes into a measurement and what comes out.
 *
 * Traffic is described as groups. A group is one topic with its publishers and subscribers: ten pairs are ten
 * groups of 1 and 1, a fan-out is one group of 1 and 100, a fan-in one of 50 and 1. A new scenario of a known
 * kind is a new row here; a new kind is a member of `Scenario`, a runner in `generator/` and its
 * columns in `report.ts`.
 */
import type { LatencySummary } from "../latencies.ts"
import type { Pauses } from "../pauses.ts"
import type { ProtocolLevel, Qos } from "../wire.ts"

export type Traffic = {
  groups: number
  publishersPerGroup: number
  subscribersPerGroup: number
  qos: Qos
  /** Below 16 a message cannot be told from another one, and a group has one publisher only. */
  payloadBytes: number
  /** Subscribers use a filter with `+` and `#` that matches their group's topic only. */
  wildcard?: true
  /** How many messages of one publisher are on their way at once, instead of what `windowMessages` finds right. */
  inflight?: number
}

/** As fast as the broker goes: a closed loop, every publisher with a bounded window of undelivered messages. */
export type ThroughputScenario = { kind: "throughput"; name: string; title: string } & Traffic

/**
 * A fixed rate over all publishers together: an open loop on a schedule that waits for nobody. Its warm-up is longer: code
 * that is compiled as it runs is done with that after a hundred thousand messages or so, which take 20 seconds at 5,000/s.
 * At a lower rate it would take half an hour, and `warmupMessagesPerSecond` is for that.
 */
export type LatencyScenario = {
  kind: "latency"
  name: string
  title: string
  messagesPerSecond: number
  warmupMessagesPerSecond?: number
  warmupSeconds: number
  /** How many times as long as others it is measured (default: 1): at a low rate messages are few. */
  spans?: number
} & Traffic

/**
 * Connections that say nothing: what each costs in memory, and all of them in CPU. They are as many as one process may
 * have files open, less some, where that is fewer.
 */
export type IdleScenario = {
  kind: "idle"
  name: string
  title: string
  connections: number
  keepAliveSeconds: number
}

/**
 * As fast as the broker goes, to sessions that outlive their connections, on a broker that keeps them in a file. With
 * `areAway` the subscribers disconnect before the first message, and come for theirs after the last one.
 */
export type DurableScenario = { kind: "durable"; name: string; title: string; areAway?: true } & Traffic

/**
 * The time of one acknowledgement of a message for a session that is away, at a rate that leaves the broker idle. Its
 * warm-up is a closed loop: at that rate it would take an hour until nothing is compiled any more.
 */
export type CommitScenario = {
  kind: "commit"
  name: string
  title: string
  messagesPerSecond: number
  warmupSeconds: number
  spans: number
} & Traffic

/** A long queue for one client that is away: it is filled, the broker ends by `signal` and comes back, it is drained. */
export type BacklogScenario = {
  kind: "backlog"
  name: string
  title: string
  messages: number
  signal: "SIGTERM" | "SIGKILL"
} & Traffic

/**
 * A quiet pair beside a storm that never ends: messages to many subscribers at once, clients that ask for everything that is retained,
 * and one that has subscribed to a lot and does not read. Latencies are those of the quiet pair.
 */
export type MixtureScenario = {
  kind: "mixture"
  name: string
  title: string
  /** Of the quiet pair. */
  messagesPerSecond: number
  fanOut: { subscribersPerGroup: number; payloadBytes: number; inflight: number }
  /** `clients` ask for that many messages, each again as soon as it has got them. */
  retained: { clients: number; messages: number; payloadBytes: number }
  slowReader: { bytesPerSecond: number; payloadBytes: number }
  warmupSeconds: number
  spans: number
}

/**
 * A fixed rate for a long time, half of the most that such a one can be, at QoS 0 and 1; beside it guests who come, subscribe, publish a
 * little and leave.
 */
export type SteadyScenario = {
  kind: "steady"
  name: string
  title: string
  /** How many guests there are at once, about. */
  guests: number
  /** How long the closed loop is measured, and each rate is tried with which the open one may keep up. */
  searchSeconds: number
  warmupSeconds: number
  spans: number
  isLong: true
} & Omit<Traffic, "qos">

export type Scenario =
  | ThroughputScenario
  | LatencyScenario
  | IdleScenario
  | DurableScenario
  | CommitScenario
  | BacklogScenario
  | MixtureScenario
  | SteadyScenario

/** Whether the broker has to keep sessions in a file. */
export const isKept = ({ kind }: Scenario) => kind === "durable" || kind === "commit" || kind === "backlog"

/** What `index.ts` hands to the generator process. */
export type Assignment = {
  scenario: Scenario
  host: string
  port: number
  protocolLevel: ProtocolLevel
  warmupSeconds: number
  seconds: number
  /** The broker's process; its CPU time and memory are sampled at the edges of the measured span. */
  brokerPid: number
  /** The broker has been started again on the files of the run before: what waits there is to be fetched. */
  isRestarted: boolean
}

/** What the measured span took. */
export type Span = {
  seconds: number
  messages: number
  messagesPerSecond: number
  brokerCpuPercent: number
  brokerCpuMicrosecondsPerMessage: number
  generatorCpuPercent: number
  residentBytes: number
  peakResidentBytes: number
}

/** Over the whole run, warm-up and drain included. */
export type Judgement = {
  /** Sent to a subscriber and never received. */
  lost: number
  /** Received out of sequence: duplicated or reordered. */
  disordered: number
  /** Received with a wrong header, size or payload, or acknowledged with an error or out of order. */
  corrupted: number
}

export type TrafficResult = {
  kind: "traffic"
  /** Delivered, without headers and topics. */
  payloadBytesPerSecond: number
  /** The 99th percentile of how late a scheduled message left the generator: its own part of the latency. */
  generatorLatenessMilliseconds: number
  /** From PUBLISH to delivery. */
  latencyMilliseconds: LatencySummary
} & Span &
  Judgement

/** Its messages are those that have been acknowledged to their publisher. */
export type DurableResult = {
  kind: "durable"
  generatorLatenessMilliseconds?: number
  /** From PUBLISH to PUBACK or PUBCOMP. */
  latencyMilliseconds: LatencySummary
  /** Messages per second that subscribers got who had been away. */
  fetchedPerSecond?: number
} & Span &
  Judgement

export type FilledResult = {
  kind: "filled"
  /** Acknowledged messages per second. */
  filledPerSecond: number
  /** By how much the broker's resident memory grew while the queue was filled. */
  grownBytes: number
  peakGrownBytes: number
}

export type DrainedResult = {
  kind: "drained"
  fetchedPerSecond: number
  residentBytes: number
  peakResidentBytes: number
} & Judgement

export type BacklogResult = {
  kind: "backlog"
  /** What the broker's files take when it has ended. */
  storedBytes: number
  /** From the second start of the broker to the first connection that it accepts. */
  startMilliseconds: number
} & Omit<FilledResult, "kind"> &
  Omit<DrainedResult, "kind">

/** How fast so many come, one after the other and a hundred at the same time. */
export type Coming = {
  connectionsPerSecond: number
  /** Of the broker, from the first connection to the last one. */
  cpuMicrosecondsPerConnect: number
}

/** Its `Coming` is that to a broker that has just been started. */
export type IdleResult = {
  kind: "idle"
  connections: number
  /** All have said goodbye and come once more, as after a fault of the network. */
  again: Coming
  /** By how much the broker's resident memory grew, divided by the number of connections. */
  bytesPerConnection: number
  seconds: number
  brokerCpuPercent: number
  residentBytes: number
  peakResidentBytes: number
} & Coming

/** Latencies, loss and order are those of the quiet pair; the rest is what the broker did beside. */
export type MixtureResult = {
  kind: "mixture"
  /** How long garbage collections have stopped the broker, where it tells. */
  pauses?: Pauses
  seconds: number
  latencyMilliseconds: LatencySummary
  generatorLatenessMilliseconds: number
  /** Messages delivered by the fan-out. */
  fannedOutPerSecond: number
  replaysPerSecond: number
  brokerCpuPercent: number
  residentBytes: number
  peakResidentBytes: number
} & Judgement

/** How a steady run went on for some seconds. */
export type SteadySample = {
  /** Since the span began. */
  seconds: number
  residentBytes: number
  p50Milliseconds: number
  p99Milliseconds: number
  p999Milliseconds: number
  longestMilliseconds: number
}

export type SteadyResult = {
  kind: "steady"
  /** The fastest open loop that kept up. */
  maximumMessagesPerSecond: number
  /** How many guests came a second. */
  visitsPerSecond: number
  latencyMilliseconds: LatencySummary
  /** The 99th percentile of how late a scheduled message left the generator, and the worst: its own part of the latency. */
  generatorLatenessMilliseconds: number
  generatorLongestLatenessMilliseconds: number
  /** At the beginning of the span. */
  firstResidentBytes: number
  /** By how much memory grows, without the first fifth of the span. */
  residentBytesPerMinute: number
  samples: SteadySample[]
  /** How long garbage collections have stopped the broker, where it tells. */
  pauses?: Pauses
} & Span &
  Judgement

export type FailedResult = { kind: "failed"; reason: string }

/** What the generator process prints. */
export type GeneratorResult =
  | TrafficResult
  | DurableResult
  | FilledResult
  | DrainedResult
  | IdleResult
  | MixtureResult
  | SteadyResult
  | FailedResult

/** What a measurement comes to. */
export type Result =
  | TrafficResult
  | DurableResult
  | BacklogResult
  | IdleResult
  | MixtureResult
  | SteadyResult
  | FailedResult

const pairs = (groups: number) => ({ groups, publishersPerGroup: 1, subscribersPerGroup: 1 })
const fanOut = (subscribersPerGroup: number) => ({ groups: 1, publishersPerGroup: 1, subscribersPerGroup })
const fanIn = (publishersPerGroup: number) => ({ groups: 1, publishersPerGroup, subscribersPerGroup: 1 })
const small = { payloadBytes: 64 }
const kibibytes = (count: number) => ({ payloadBytes: count * 1024 })
const large = kibibytes(16)

// biome-ignore format: a table reads best with a row a line
export const scenarios: readonly Scenario[] = [
  { kind: "throughput", name: "pairs-1", title: "1 pair, QoS 0, 64 B", ...pairs(1), qos: 0, ...small },
  { kind: "throughput", name: "pairs-10", title: "10 pairs, QoS 0, 64 B", ...pairs(10), qos: 0, ...small },
  { kind: "throughput", name: "pairs-500", title: "500 pairs, QoS 0, 64 B", ...pairs(500), qos: 0, ...small },
  { kind: "throughput", name: "pairs-10-0", title: "10 pairs, QoS 0, 0 B", ...pairs(10), qos: 0, payloadBytes: 0 },
  { kind: "throughput", name: "pairs-10-16", title: "10 pairs, QoS 0, 16 B", ...pairs(10), qos: 0, payloadBytes: 16 },
  { kind: "throughput", name: "pairs-10-256", title: "10 pairs, QoS 0, 256 B", ...pairs(10), qos: 0, payloadBytes: 256 },
  { kind: "throughput", name: "pairs-10-1k", title: "10 pairs, QoS 0, 1 KiB", ...pairs(10), qos: 0, ...kibibytes(1) },
  { kind: "throughput", name: "pairs-10-4k", title: "10 pairs, QoS 0, 4 KiB", ...pairs(10), qos: 0, ...kibibytes(4) },
  { kind: "throughput", name: "pairs-10-16k", title: "10 pairs, QoS 0, 16 KiB", ...pairs(10), qos: 0, ...large },
  { kind: "throughput", name: "pairs-10-64k", title: "10 pairs, QoS 0, 64 KiB", ...pairs(10), qos: 0, ...kibibytes(64) },
  { kind: "throughput", name: "pairs-10-256k", title: "10 pairs, QoS 0, 256 KiB", ...pairs(10), qos: 0, ...kibibytes(256) },
  { kind: "throughput", name: "pairs-10-1m", title: "10 pairs, QoS 0, 1 MiB", ...pairs(10), qos: 0, ...kibibytes(1024) },
  { kind: "throughput", name: "fanout-100", title: "1 to 100, QoS 0, 64 B", ...fanOut(100), qos: 0, ...small },
  { kind: "throughput", name: "fanout-1000", title: "1 to 1000, QoS 0, 64 B", ...fanOut(1000), qos: 0, ...small },
  { kind: "throughput", name: "fanout-100-qos1", title: "1 to 100, QoS 1, 64 B", ...fanOut(100), qos: 1, ...small },
  { kind: "throughput", name: "fanin-50", title: "50 to 1, QoS 0, 64 B", ...fanIn(50), qos: 0, ...small },
  { kind: "throughput", name: "wildcard-100", title: "100 pairs, wildcards, QoS 0, 64 B", ...pairs(100), qos: 0, ...small, wildcard: true },
  { kind: "throughput", name: "qos1-10", title: "10 pairs, QoS 1, 64 B", ...pairs(10), qos: 1, ...small },
  { kind: "throughput", name: "qos1-10-16k", title: "10 pairs, QoS 1, 16 KiB", ...pairs(10), qos: 1, ...large },
  { kind: "throughput", name: "qos2-10", title: "10 pairs, QoS 2, 64 B", ...pairs(10), qos: 2, ...small },
  { kind: "latency", name: "latency-100", title: "5,000/s over 100 pairs, QoS 0, 64 B", ...pairs(100), qos: 0, ...small, messagesPerSecond: 5000, warmupSeconds: 20 },
  { kind: "latency", name: "gateway-100", title: "100/s over 100 pairs, QoS 0, 64 B", ...pairs(100), qos: 0, ...small, messagesPerSecond: 100, warmupMessagesPerSecond: 5000, warmupSeconds: 20, spans: 5 },
  { kind: "durable", name: "durable-10", title: "10 durable pairs, QoS 1, 64 B", ...pairs(10), qos: 1, ...small, inflight: 64 },
  { kind: "durable", name: "durable-offline-10", title: "10 durable pairs, subscribers offline, QoS 1, 64 B", ...pairs(10), qos: 1, ...small, inflight: 64, areAway: true },
  { kind: "commit", name: "durable-latency", title: "50/s to an offline session, QoS 1, 64 B", ...pairs(1), qos: 1, ...small, messagesPerSecond: 50, inflight: 64, warmupSeconds: 4, spans: 4 },
  { kind: "backlog", name: "backlog-1m", title: "1,000,000 x 100 B for an offline client, restart", ...pairs(1), qos: 1, payloadBytes: 100, inflight: 1000, messages: 1_000_000, signal: "SIGTERM" },
  { kind: "backlog", name: "backlog-100k-kill", title: "100,000 x 100 B for an offline client, kill -9", ...pairs(1), qos: 1, payloadBytes: 100, inflight: 1000, messages: 100_000, signal: "SIGKILL" },
  { kind: "idle", name: "idle-1", title: "1 idle connection", connections: 1, keepAliveSeconds: 60 },
  { kind: "idle", name: "idle-100", title: "100 idle connections", connections: 100, keepAliveSeconds: 60 },
  { kind: "idle", name: "idle-1000", title: "1,000 idle connections", connections: 1000, keepAliveSeconds: 60 },
  { kind: "idle", name: "idle-5000", title: "5,000 idle connections", connections: 5000, keepAliveSeconds: 60 },
  { kind: "idle", name: "idle-10000", title: "10,000 idle connections", connections: 10_000, keepAliveSeconds: 60 },
  { kind: "idle", name: "idle-20000", title: "20,000 idle connections", connections: 20_000, keepAliveSeconds: 60 },
  { kind: "mixture", name: "mixture", title: "100/s beside a slow reader, 1 to 1000, 10,000 retained", messagesPerSecond: 100, fanOut: { subscribersPerGroup: 1000, ...small, inflight: 1000 }, retained: { clients: 2, messages: 10_000, payloadBytes: 256 }, slowReader: { bytesPerSecond: 4_000_000, payloadBytes: 4096 }, warmupSeconds: 5, spans: 4 },
  { kind: "steady", name: "steady", title: "half the most, 10 pairs QoS 0 and 10 QoS 1, 64 B, 500 guests", ...pairs(10), ...small, guests: 500, searchSeconds: 5, warmupSeconds: 5, spans: 150, isLong: true },
]

/** A window is refilled in quarters: large writes, and the pipe never runs dry while the next one is on its way. */
export const refillsPerWindow = 4

/** Brokers drop QoS 0 for a subscriber that leaves some MiB unread. */
const mostWindowBytes = 2 * 1024 * 1024

/**
 * How many messages a publisher may have on their way to its slowest subscriber. Large enough that the broker and
 * not the round trip sets the pace, small enough that no broker has a reason to drop QoS 0 or to swell.
 */
export function windowMessages(traffic: Traffic): number {
  const { groups, publishersPerGroup, subscribersPerGroup, qos, payloadBytes, inflight } = traffic
  if (inflight !== undefined) return inflight
  const window = Math.min(
    qos === 0 ? 4000 : 256,
    (256 * 1024) / payloadBytes,
    (1024 * 1024) / (payloadBytes * publishersPerGroup),
    100_000 / (groups * publishersPerGroup * subscribersPerGroup),
  )
  const most = Math.max(2, Math.floor(mostWindowBytes / payloadBytes))
  return Math.min(Math.max(4, Math.floor(window / refillsPerWindow)) * refillsPerWindow, most)
}

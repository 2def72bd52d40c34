/**
 * `/metrics`: the broker's figures for Prometheus. Names end in their unit, and counters in `_total`, as is usual there; what is known
 * under the same name of any process has that name.
 */
import { readdirSync, readFileSync } from "node:fs"
import type { ByQoS, MetricsSnapshot } from "../broker/admin.ts"
import type { HistogramSnapshot } from "../broker/histogram.ts"
import { build } from "../version.ts"
import type { CollectionCounts } from "./collections.ts"
import { CONTENT_TYPE, type Family, type MetricType, type Sample, textOf } from "./exposition.ts"
import { commonHeaders } from "./problem.ts"

export function exposition(snapshot: MetricsSnapshot, collected: CollectionCounts): Response {
  const text = textOf([...brokerFamilies(snapshot), ...processFamilies(snapshot), ...collectionFamilies(collected)])
  return new Response(text, { headers: { ...commonHeaders, "Content-Type": CONTENT_TYPE } })
}

function brokerFamilies(now: MetricsSnapshot): Family[] {
  const { store } = now
  return [
    gauge("manju_build_info", "What is running.", [
      {
        labels: { version: now.version, bun: Bun.version, platform: process.platform, arch: process.arch, ...build },
        value: 1,
      },
    ]),
    gauge("manju_connections", "Open MQTT connections, also of clients that are not in yet.", now.connections),
    gauge("manju_clients", "Clients that are in.", now.clients),
    gauge("manju_sessions", "Sessions, connected or not.", now.sessions),
    gauge("manju_subscriptions", "Subscriptions, shared ones included.", now.subscriptions),
    gauge("manju_shared_subscriptions", "Shared subscriptions.", now.sharedSubscriptions),
    gauge("manju_retained_messages", "Retained messages, those of $SYS included.", now.retainedMessages),
    gauge(
      "manju_inflight_messages",
      "Messages of QoS 1 and 2 that clients have not acknowledged.",
      now.inflightMessages,
    ),
    gauge("manju_queued_messages", "Messages that wait in sessions.", now.queuedMessages),
    gauge("manju_queued_bytes", "What waits in memory.", now.queuedBytes),

    counter("manju_messages_received_total", "PUBLISH packets from clients.", byQoS(now.messagesReceived)),
    counter("manju_messages_sent_total", "PUBLISH packets to clients.", byQoS(now.messagesSent)),
    counter("manju_payload_received_bytes_total", "Payloads from clients.", byQoS(now.payloadBytesReceived)),
    counter("manju_payload_sent_bytes_total", "Payloads to clients.", byQoS(now.payloadBytesSent)),
    counter("manju_packets_received_total", "Control packets from clients.", now.packetsReceived),
    counter("manju_packets_sent_total", "Control packets to clients.", now.packetsSent),
    counter("manju_received_bytes_total", "Everything that came over MQTT connections.", now.bytesReceived),
    counter("manju_sent_bytes_total", "Everything that went over MQTT connections.", now.bytesSent),

    counter("manju_connections_accepted_total", "MQTT connections.", now.connectionsAccepted),
    counter("manju_connects_total", "CONNECT packets.", now.connectsReceived),
    counter("manju_connects_refused_total", "CONNECT packets that were refused.", now.connectsRefused),
    counter("manju_auth_failures_total", "Whoever was not who they said they were.", [
      { labels: { interface: "mqtt" }, value: now.authFailures },
      { labels: { interface: "http" }, value: now.adminAuthFailures },
    ]),
    counter("manju_sessions_expired_total", "Sessions whose time was over.", now.sessionsExpired),
    counter("manju_hook_failures_total", "Hooks that have failed.", now.hooksFailed),
    counter("manju_dropped_total", "Messages that somebody should have got and did not.", each("reason", now.dropped)),
    counter("manju_limit_hits_total", "How often a limit was hit.", each("limit", now.limitsHit)),

    gauge("manju_store_ready", "Whether the store can be written and read.", store && Number(store.isReady)),
    counter("manju_commits_total", "Commits that the store has taken.", store?.commits),
    counter("manju_commit_failures_total", "Attempts at a commit that have failed.", store?.failures),
    histogram("manju_commit_seconds", "How long commits took.", store?.commitTimes),
    counter("manju_store_written_bytes_total", "What was written to the medium, in all runs.", store?.bytesWritten),
    gauge("manju_store_pending_bytes", "What waits to be stored.", store?.unstoredBytes),
    histogram(
      "manju_event_loop_lag_seconds",
      "How late the event loop was, looked at once a second or more.",
      now.eventLoopLag,
    ),
  ]
}

/** As Prometheus's own libraries call them. */
function processFamilies({ memory, startedAt }: MetricsSnapshot): Family[] {
  const { user, system } = process.cpuUsage()
  return [
    counter("process_cpu_user_seconds_total", "CPU time in user mode.", user / 1e6),
    counter("process_cpu_system_seconds_total", "CPU time in the kernel.", system / 1e6),
    counter("process_cpu_seconds_total", "CPU time.", (user + system) / 1e6),
    gauge("process_start_time_seconds", "When the broker began, since 1970.", startedAt / 1000),
    gauge("process_resident_memory_bytes", "Memory that is in use.", memory.residentBytes),
    gauge("process_virtual_memory_bytes", "Address space.", linux(virtualMemoryBytes)),
    gauge(
      "process_open_fds",
      "Open file descriptors.",
      linux(() => readdirSync("/proc/self/fd").length),
    ),
    gauge("process_max_fds", "The most there may be.", linux(mostFileDescriptors)),
    gauge("manju_heap_bytes", "JavaScript's heap.", memory.heapTotalBytes),
    gauge("manju_heap_used_bytes", "What the last garbage collection has left in it.", memory.heapUsedBytes),
    gauge("manju_external_memory_bytes", "What the heap holds on to outside of it.", memory.externalBytes),
  ]
}

function collectionFamilies(collected: CollectionCounts): Family[] {
  const byKind = (name: "count" | "seconds") =>
    (["young", "full"] as const).map((kind) => ({ labels: { kind }, value: collected[kind][name] }))
  const since = "since the metrics were first asked for"
  return [
    counter("manju_garbage_collections_total", `Garbage collections, ${since}.`, byKind("count")),
    counter(
      "manju_garbage_collection_seconds_total",
      `How long they took, in part beside the broker's work, ${since}.`,
      byKind("seconds"),
    ),
  ]
}

/** What the system tells there, if it is Linux and tells it. */
function linux(read: () => number): number | undefined {
  try {
    return process.platform === "linux" ? read() : undefined
  } catch {
    return undefined // a sandbox without /proc
  }
}

function virtualMemoryBytes(): number {
  return Number(/^VmSize:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "latin1"))![1]) * 1024
}

function mostFileDescriptors(): number {
  return Number(/^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"))![1])
}

/** A number alone, or samples; undefined: there is none. */
type Values = number | readonly Sample[] | undefined

const family =
  (type: MetricType) =>
  (name: string, help: string, values: Values): Family => {
    const samples = typeof values === "number" ? [{ value: values }] : (values ?? [])
    return { name, type, help, samples }
  }
const counter = family("counter")
const gauge = family("gauge")

function histogram(name: string, help: string, counted: HistogramSnapshot | undefined): Family {
  if (counted === undefined) return { name, type: "histogram", help, samples: [] }
  const bounded = counted.buckets.map(({ atMostSeconds, count }) => bucket(String(atMostSeconds), count))
  const samples: Sample[] = [
    ...bounded,
    bucket("+Inf", counted.count),
    { suffix: "_sum", value: counted.sumSeconds },
    { suffix: "_count", value: counted.count },
  ]
  return { name, type: "histogram", help, samples }
}

function bucket(le: string, value: number): Sample {
  return { suffix: "_bucket", labels: { le }, value }
}

function byQoS(counts: ByQoS): Sample[] {
  return counts.map((value, qos) => ({ labels: { qos: String(qos) }, value }))
}

function each(label: string, counts: Readonly<Record<string, number>>): Sample[] {
  return Object.entries(counts).map(([name, value]) => ({ labels: { [label]: name }, value }))
}

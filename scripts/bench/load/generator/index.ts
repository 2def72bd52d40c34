/**
 * The load generator: a process of its own that gets an `Assignment` as its argument, drives one scenario against
 * a running broker and prints one `Result` as JSON.
 *
 * A traffic run goes: connect, subscribe, warm up, sample, measure, sample, stop sending, drain. Rates, CPU and
 * latency are those of the measured span. Loss and order are judged over the whole run, once everything has
 * arrived. The runs in which sessions outlive connections are in `durable.ts`, a quiet pair beside a storm is
 * in `mixture.ts`, and what goes on for long in `steady.ts`.
 */

import { openFilesLimit, sampleProcess } from "../../proc.ts"
import type {
  Assignment,
  FailedResult,
  GeneratorResult,
  IdleResult,
  IdleScenario,
  LatencyScenario,
  ThroughputScenario,
  TrafficResult,
} from "../scenarios.ts"
import { Client, Run } from "./client.ts"
import { commit, drainBacklog, durable, fillBacklog } from "./durable.ts"
import { drain, eachWithin, Failure, Fleet, flow, observe } from "./fleet.ts"
import { mixture } from "./mixture.ts"
import { steady } from "./steady.ts"

/** Between what keeps the broker busy and a span that is to show it idle, or nearly. */
const settleSeconds = 2
/** How many files a broker, or this process, may have open beside its connections. */
const otherFiles = 200
/**
 * From one address Linux looks a millisecond for a free port once half of its 28,000 are taken, and a minute long they
 * are taken also by what was before: then it is not the broker who sets the pace.
 */
const connectionsPerAddress = 5000
/** The open loop waits for nobody; its rings last for 80 seconds at 50 messages/s a publisher. */
const openLoopSlots = 4096

async function traffic(assignment: Assignment, scenario: ThroughputScenario | LatencyScenario): Promise<TrafficResult> {
  const run = new Run(assignment)
  const isPaced = scenario.kind === "latency"
  const fleet = new Fleet(run, scenario, isPaced ? { slots: openLoopSlots, stampEveryMessage: true } : {})
  await fleet.connect()

  let lateness = isPaced ? fleet.pace(scenario.warmupMessagesPerSecond ?? scenario.messagesPerSecond) : undefined
  if (!isPaced) fleet.open()
  await flow(fleet, assignment.warmupSeconds)
  if (isPaced && scenario.warmupMessagesPerSecond !== undefined) {
    lateness = fleet.pace(scenario.messagesPerSecond)
    await flow(fleet, settleSeconds)
  }
  const span = await observe(fleet, assignment, assignment.seconds, () => fleet.delivered)

  fleet.close()
  await drain(fleet)
  return {
    kind: "traffic",
    ...span,
    payloadBytesPerSecond: span.messagesPerSecond * scenario.payloadBytes,
    generatorLatenessMilliseconds: lateness?.percentile(99) ?? 0,
    latencyMilliseconds: run.latencies.summary,
    ...fleet.judgement,
  }
}

/** A moment of the broker's. */
type Sample = { at: number; broker: ReturnType<typeof sampleProcess> }

/** One of the sixteen million, most likely one that nobody else has. */
function loopbackAddress(): string {
  const byte = () => 1 + Math.floor(Math.random() * 254)
  return `127.${byte()}.${byte()}.${byte()}`
}

/** Lets all of them come, some at a time, from addresses of their own: gives how fast the broker took them. */
async function connectAll(clients: readonly Client[], { keepAliveSeconds }: IdleScenario, sample: () => Sample) {
  const addresses = Array.from({ length: Math.ceil(clients.length / connectionsPerAddress) }, loopbackAddress)
  for (const [index, client] of clients.entries()) client.localAddress = addresses[index % addresses.length]
  const before = sample()
  await eachWithin(clients, "clients connected", (client) => client.connect(keepAliveSeconds))
  const after = sample()
  return {
    connectionsPerSecond: (clients.length / (after.at - before.at)) * 1000,
    cpuMicrosecondsPerConnect: ((after.broker.cpuSeconds - before.broker.cpuSeconds) / clients.length) * 1e6,
  }
}

async function idle(assignment: Assignment, scenario: IdleScenario): Promise<IdleResult> {
  const run = new Run(assignment)
  const connections = Math.min(scenario.connections, openFilesLimit() - otherFiles)
  const clients = Array.from({ length: connections }, (_, index) => new Client(run, `bench-i${index}`))
  const sample = () => ({ at: performance.now(), broker: sampleProcess(assignment.brokerPid) })
  await Bun.sleep(assignment.warmupSeconds * 1000)
  const empty = sample()
  const first = await connectAll(clients, scenario, sample)
  await Bun.sleep(settleSeconds * 1000)
  const before = sample()
  await Bun.sleep(Math.min(assignment.seconds * 2, scenario.keepAliveSeconds / 2) * 1000)
  const after = sample()
  if (run.failure) throw new Failure(run.failure)
  await eachWithin(clients, "pings answered", (client) => client.ping())
  await eachWithin(clients, "clients disconnected", (client) => client.disconnect())
  await Bun.sleep(settleSeconds * 1000)
  const again = await connectAll(clients, scenario, sample)

  const seconds = (after.at - before.at) / 1000
  return {
    kind: "idle",
    connections,
    ...first,
    again,
    bytesPerConnection: (after.broker.residentBytes - empty.broker.residentBytes) / connections,
    seconds,
    brokerCpuPercent: ((after.broker.cpuSeconds - before.broker.cpuSeconds) / seconds) * 100,
    residentBytes: after.broker.residentBytes,
    peakResidentBytes: after.broker.peakResidentBytes,
  }
}

function perform(assignment: Assignment): Promise<GeneratorResult> {
  const { scenario } = assignment
  switch (scenario.kind) {
    case "throughput":
    case "latency":
      return traffic(assignment, scenario)
    case "durable":
      return durable(assignment, scenario)
    case "commit":
      return commit(assignment, scenario)
    case "backlog":
      return assignment.isRestarted ? drainBacklog(assignment, scenario) : fillBacklog(assignment, scenario)
    case "idle":
      return idle(assignment, scenario)
    case "mixture":
      return mixture(assignment, scenario)
    case "steady":
      return steady(assignment, scenario)
  }
}

const failed = (error: unknown): FailedResult => ({
  kind: "failed",
  reason: error instanceof Error ? error.message : String(error),
})
const result = await perform(JSON.parse(process.argv[2]!) as Assignment).catch(failed)
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0))

/**
 * The load generator: a process of its own that gets an `Assignment` as its argument, drives one scenario against
 * a running broker and prints one `Result` as JSON.
 *
 * A traffic run goes: connect, subscribe, warm up, sample, measure, sample, stop sending, drain. Rates, CPU and
 * latency are those of the measured span. Loss and order are judged over the whole run, once everything has
 * arrived. The runs in which sessions outlive connections are in `durable.ts`.
 */
import { Client, Run } from "./client.ts"
import { commit, drainBacklog, durable, fillBacklog } from "./durable.ts"
import { drain, eachWithin, Failure, Fleet, flow, observe } from "./fleet.ts"
import { sampleProcess } from "./proc.ts"
import type {
  Assignment,
  FailedResult,
  GeneratorResult,
  IdleResult,
  IdleScenario,
  LatencyScenario,
  ThroughputScenario,
  TrafficResult,
} from "./scenarios.ts"

/** Between the last connection and the idle span. */
const settleSeconds = 2
/** The open loop waits for nobody; its rings last for 80 seconds at 50 messages/s a publisher. */
const openLoopSlots = 4096

async function traffic(assignment: Assignment, scenario: ThroughputScenario | LatencyScenario): Promise<TrafficResult> {
  const run = new Run(assignment)
  const isPaced = scenario.kind === "latency"
  const fleet = new Fleet(run, scenario, isPaced ? { slots: openLoopSlots, stampEveryMessage: true } : {})
  await fleet.connect()

  const lateness = isPaced ? fleet.pace(scenario.messagesPerSecond) : undefined
  if (!isPaced) fleet.open()
  await flow(fleet, assignment.warmupSeconds)
  const span = await observe(fleet, assignment, assignment.seconds, () => fleet.delivered)

  fleet.close()
  await drain(fleet)
  return {
    kind: "traffic",
    ...span,
    generatorLatenessMilliseconds: lateness?.percentile(99) ?? 0,
    latencyMilliseconds: run.latencies.summary,
    ...fleet.judgement,
  }
}

async function idle(assignment: Assignment, scenario: IdleScenario): Promise<IdleResult> {
  const run = new Run(assignment)
  const clients = Array.from({ length: scenario.connections }, (_, index) => new Client(run, `bench-i${index}`))
  const sample = () => ({ at: performance.now(), broker: sampleProcess(assignment.brokerPid) })
  await Bun.sleep(assignment.warmupSeconds * 1000)
  const empty = sample()
  await eachWithin(clients, "clients connected", (client) => client.connect(scenario.keepAliveSeconds))
  const connectSeconds = (performance.now() - empty.at) / 1000

  await Bun.sleep(settleSeconds * 1000)
  const before = sample()
  await Bun.sleep(Math.min(assignment.seconds * 2, scenario.keepAliveSeconds / 2) * 1000)
  const after = sample()
  if (run.failure) throw new Failure(run.failure)
  await eachWithin(clients, "pings answered", (client) => client.ping())

  const seconds = (after.at - before.at) / 1000
  return {
    kind: "idle",
    connections: clients.length,
    connectionsPerSecond: clients.length / connectSeconds,
    bytesPerConnection: (after.broker.residentBytes - empty.broker.residentBytes) / clients.length,
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
  }
}

const failed = (error: unknown): FailedResult => ({
  kind: "failed",
  reason: error instanceof Error ? error.message : String(error),
})
const result = await perform(JSON.parse(process.argv[2]!) as Assignment).catch(failed)
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0))

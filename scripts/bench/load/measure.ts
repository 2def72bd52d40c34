/**
 * One measurement: a broker is started in a folder of its own, put under load by a generator process (`generator/`), and
 * ended. A backlog takes two: the second broker goes on with the files of the first.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { join } from "node:path"
import type { Launch, Place } from "../broker.ts"
import { host, RunningBroker } from "../broker.ts"
import { bytesIn } from "../disk.ts"
import { pinned, type Site } from "../site.ts"
import type { Outcome } from "./report.ts"
import type {
  Assignment,
  BacklogResult,
  BacklogScenario,
  DrainedResult,
  DurableResult,
  FailedResult,
  FilledResult,
  GeneratorResult,
  IdleResult,
  MixtureResult,
  Scenario,
  SteadyResult,
  TrafficResult,
} from "./scenarios.ts"
import { isKept } from "./scenarios.ts"

export const warmupSeconds = 1
/** Beyond what the load's own watchdogs take. */
const graceSeconds = 60
/** Rates that are tried before a steady run, and what it takes to get back from one that was too high. */
const mostSearches = 20
/** A backlog is given as long as it takes at this rate. */
const leastMessagesPerSecond = 2000

export type MeasureOptions = { seconds: number; protocol: "3.1.1" | "5" }

export async function measure(
  scenario: Scenario,
  launch: Launch,
  round: number,
  options: MeasureOptions,
  site: Site,
): Promise<Outcome> {
  const identity = { scenario, broker: launch.label, round }
  const directory = mkdtempSync(join(site.directory, "broker-"))
  const place = { directory, isKept: isKept(scenario) }
  const under = { scenario, launch, place, options, site }
  try {
    return { ...identity, ...(await (scenario.kind === "backlog" ? measureBacklog(scenario, under) : load(under))) }
  } catch (error) {
    return { ...identity, result: { kind: "failed", reason: (error as Error).message } }
  } finally {
    rmSync(directory, { recursive: true })
  }
}

async function measureBacklog({ signal }: BacklogScenario, under: Conditions): Promise<Measured<BacklogResult>> {
  const { result: filled } = await load<FilledResult>(under, { signal })
  if (filled.kind === "failed") return { result: filled }
  const storedBytes = bytesIn(under.place.directory)
  const { startMilliseconds, result: drained } = await load<DrainedResult>(under, { isRestarted: true })
  if (drained.kind === "failed") return { result: drained }
  return { startMilliseconds, result: { ...filled, ...drained, kind: "backlog", storedBytes, startMilliseconds } }
}

type Conditions = { scenario: Scenario; launch: Launch; place: Place; options: MeasureOptions; site: Site }
type Measured<T> = { startMilliseconds?: number; result: T | FailedResult }

/** Starts the broker, puts it under load, and ends it by `signal`. */
async function load<
  T extends GeneratorResult = TrafficResult | DurableResult | IdleResult | MixtureResult | SteadyResult,
>(
  { scenario, launch, place, options, site }: Conditions,
  { isRestarted = false, signal = "SIGTERM" }: { isRestarted?: boolean; signal?: "SIGTERM" | "SIGKILL" } = {},
): Promise<Required<Measured<T>>> {
  const tellsPauses = scenario.kind === "mixture" || scenario.kind === "steady"
  const broker = await RunningBroker.start(launch, place, site.cpus.broker, site.signal, { tellsPauses })
  const { port, pid, startMilliseconds } = broker
  const assignment = {
    scenario,
    host,
    port,
    protocolLevel: options.protocol === "5" ? 5 : 4,
    warmupSeconds: "warmupSeconds" in scenario ? scenario.warmupSeconds : warmupSeconds,
    seconds: options.seconds * (("spans" in scenario ? scenario.spans : undefined) ?? 1),
    brokerPid: pid,
    isRestarted,
  } as const
  try {
    const result = await generate<T>(assignment, site)
    const { pauses } = broker
    return { startMilliseconds, result: { ...result, ...(pauses && { pauses }) } }
  } finally {
    await broker.stop(signal)
  }
}

async function generate<T>(assignment: Assignment, { cpus, signal }: Site): Promise<T | FailedResult> {
  const command = [
    ...pinned(cpus.generator),
    process.execPath,
    join(import.meta.dir, "generator/index.ts"),
    JSON.stringify(assignment),
  ]
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "pipe", signal })
  const timer = setTimeout(() => child.kill("SIGKILL"), patienceSeconds(assignment) * 1000)
  const [text, complaint] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])
  clearTimeout(timer)
  if (text !== "") return JSON.parse(text) as T | FailedResult
  const cause = child.signalCode ?? `code ${child.exitCode}`
  return { kind: "failed", reason: `the generator ended without a result (${cause}) ${complaint.trim().slice(-300)}` }
}

function patienceSeconds({ scenario, seconds }: Assignment): number {
  if (scenario.kind === "backlog") return graceSeconds + scenario.messages / leastMessagesPerSecond
  return graceSeconds + seconds + (scenario.kind === "steady" ? mostSearches * scenario.searchSeconds : 0)
}

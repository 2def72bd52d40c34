/**
 * The run that shows what remains flat: a closed loop finds out how many messages of QoS 0 and 1 the broker takes, then an open one sends
 * half as many for a long time, while guests come and go (`guest.ts`). Memory and latencies are looked at every few seconds.
 */
import { Latencies } from "../../latencies.ts"
import { sampleProcess } from "../../proc.ts"
import type { Assignment, SteadyResult, SteadySample, SteadyScenario } from "../scenarios.ts"
import { Run } from "./client.ts"
import { drain, eachWithin, Failure, Fleet, flow } from "./fleet.ts"
import { comeAndGo } from "./guest.ts"

/** At the rates at hand a ring lasts for half a second: so long the broker may be silent before order cannot be judged. */
const slots = 32_768
/** A burst leaves in one write, and as many writes a second are no burden. */
const writesPerSecond = 5000
const secondsPerSample = 10
/** Of the samples the first do not count for the slope: what is there for good has to come first. */
const settledShare = 0.2

export async function steady(assignment: Assignment, scenario: SteadyScenario): Promise<SteadyResult> {
  const run = new Run(assignment)
  const fleets = ([0, 1] as const).map(
    (qos) => new Fleet(run, { ...scenario, qos }, { slots, name: `steady-qos${qos}` }),
  )
  for (const fleet of fleets) await fleet.connect()
  const flowing = (seconds: number) => Promise.all(fleets.map((fleet) => flow(fleet, seconds)))

  for (const fleet of fleets) fleet.open()
  await flowing(assignment.warmupSeconds)
  const rates = await Promise.all(fleets.map((fleet) => rateOf(fleet, scenario.searchSeconds)))
  for (const fleet of fleets) fleet.close()
  for (const fleet of fleets) await drain(fleet)

  const paced = fleets.map((fleet, index) => {
    const rate = rates[index]! / 2
    return fleet.pace(rate, { burst: Math.ceil(rate / writesPerSecond) })
  })
  let visits = 0
  const guests = Array.from({ length: scenario.guests }, (_, number) => number)
  await eachWithin(guests, "guests came", async (number) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const onVisit = () => {
      visits++
      resolve()
    }
    comeAndGo(run, number, guests.length, onVisit).catch((error: Error) => run.fail(`guest: ${error.message}`))
    await promise
  })
  await flowing(assignment.warmupSeconds)

  const sample = () => ({
    at: performance.now(),
    messages: fleets.reduce((sum, fleet) => sum + fleet.delivered, 0),
    visits,
    broker: sampleProcess(assignment.brokerPid),
    generatorCpuSeconds: (process.cpuUsage().user + process.cpuUsage().system) / 1e6,
  })
  const before = sample()
  const latencies = new Latencies()
  const samples: SteadySample[] = []
  run.isMeasured = true
  const end = before.at + assignment.seconds * 1000
  while (performance.now() < end) {
    await flowing(Math.min(secondsPerSample, (end - performance.now()) / 1000))
    const { p50, p99, p999, maximum } = run.latencies.summary
    latencies.add(run.latencies)
    run.latencies.clear()
    samples.push({
      seconds: (performance.now() - before.at) / 1000,
      residentBytes: sampleProcess(assignment.brokerPid).residentBytes,
      p50Milliseconds: p50,
      p99Milliseconds: p99,
      p999Milliseconds: p999,
      longestMilliseconds: maximum,
    })
  }
  run.isMeasured = false
  const after = sample()
  for (const fleet of fleets) fleet.close()
  for (const fleet of fleets) await drain(fleet)
  if (run.failure) throw new Failure(run.failure)

  const seconds = (after.at - before.at) / 1000
  const messages = after.messages - before.messages
  const brokerCpuSeconds = after.broker.cpuSeconds - before.broker.cpuSeconds
  const lateness = new Latencies()
  for (const each of paced) lateness.add(each)
  return {
    kind: "steady",
    seconds,
    messages,
    messagesPerSecond: messages / seconds,
    maximumMessagesPerSecond: rates.reduce((sum, rate) => sum + rate, 0),
    visitsPerSecond: (after.visits - before.visits) / seconds,
    latencyMilliseconds: latencies.summary,
    generatorLatenessMilliseconds: lateness.percentile(99),
    generatorLongestLatenessMilliseconds: lateness.maximum,
    firstResidentBytes: before.broker.residentBytes,
    residentBytes: after.broker.residentBytes,
    peakResidentBytes: after.broker.peakResidentBytes,
    residentBytesPerMinute: slopeOf(samples.slice(Math.floor(samples.length * settledShare))) * 60,
    samples,
    brokerCpuPercent: (brokerCpuSeconds / seconds) * 100,
    brokerCpuMicrosecondsPerMessage: (brokerCpuSeconds / messages) * 1e6,
    generatorCpuPercent: ((after.generatorCpuSeconds - before.generatorCpuSeconds) / seconds) * 100,
    lost: fleets.reduce((sum, fleet) => sum + fleet.judgement.lost, 0),
    disordered: run.disordered,
    corrupted: run.corrupted,
  }
}

/** Messages a second that a closed loop gets through. */
async function rateOf(fleet: Fleet, seconds: number): Promise<number> {
  const delivered = fleet.delivered
  const startedAt = performance.now()
  await flow(fleet, seconds)
  return ((fleet.delivered - delivered) / (performance.now() - startedAt)) * 1000
}

/** Bytes a second, by the line that comes nearest to the samples; 0 for one alone. */
function slopeOf(samples: readonly SteadySample[]): number {
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const time = mean(samples.map(({ seconds }) => seconds))
  const bytes = mean(samples.map(({ residentBytes }) => residentBytes))
  const covariance = mean(samples.map(({ seconds, residentBytes }) => (seconds - time) * (residentBytes - bytes)))
  const variance = mean(samples.map(({ seconds }) => (seconds - time) ** 2))
  return variance === 0 ? 0 : covariance / variance
}

/**
 * The run that shows what remains flat: an open loop sends messages of QoS 0 and 1 for a long time, at half of the rate that is found to be
 * the most, while guests come and go (`guest.ts`). Memory and latencies are looked at every few seconds.
 *
 * What is the most, is found out in two steps, since an open loop takes more work than a closed one: who waits for nobody has more messages
 * under way, and they come in smaller pieces. A closed loop says in which proportion the two come, and what is too much in any case; then
 * the open loop, with the guests, is tried with larger and larger shares of that, in writes of the same size, as long as it keeps up. So the
 * most is what broker and generator sustain together. What the generator is late with is part of the latencies, and
 * `generatorLatenessMilliseconds` says how much that is: if it is no small part of them they tell of the machine.
 */
import { Latencies } from "../../latencies.ts"
import { sampleProcess } from "../../proc.ts"
import type { Assignment, Judgement, SteadyResult, SteadySample, SteadyScenario } from "../scenarios.ts"
import { refillsPerWindow, windowMessages } from "../scenarios.ts"
import { Run } from "./client.ts"
import { drain, eachWithin, Failure, Fleet, flow } from "./fleet.ts"
import { comeAndGo } from "./guest.ts"

/** At the rates at hand a ring lasts for half a second: so long the broker may be silent before order cannot be judged. */
const slots = 32_768
const secondsPerSample = 10
/** Of what the closed loop gets through, what the open one is tried with. */
const shares = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
/** Who does not keep up has more messages under way than come in this time. */
const mostSecondsUnderWay = 0.1
/** The machine may have done something else meanwhile. */
const attempts = 2
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

  pace(fleets, rates, shares[0]!)
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
  const most = await greatestShare(fleets, rates, scenario.searchSeconds)
  const overload = judge(fleets)
  const paced = pace(fleets, rates, most / 2)
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
  const judgement = judge(fleets)
  return {
    kind: "steady",
    seconds,
    messages,
    messagesPerSecond: messages / seconds,
    maximumMessagesPerSecond: most * sumOf(rates),
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
    lost: judgement.lost - overload.lost,
    disordered: judgement.disordered - overload.disordered,
    corrupted: judgement.corrupted - overload.corrupted,
  }
}

const sumOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0)

/** Over all that has been so far. */
function judge(fleets: readonly Fleet[]): Judgement {
  const { disordered, corrupted } = fleets[0]!.run
  return { lost: sumOf(fleets.map(({ missing }) => missing.messages)), disordered, corrupted }
}

/** Sends that share of these rates from now on; gives how late that is. */
function pace(fleets: readonly Fleet[], rates: readonly number[], share: number): Latencies[] {
  return fleets.map((fleet, index) => fleet.pace(rates[index]! * share, { burst: refillOf(fleet) }))
}

/** The greatest share of these rates with which everything keeps up; nothing is under way when it is known. */
async function greatestShare(fleets: readonly Fleet[], rates: readonly number[], seconds: number): Promise<number> {
  let greatest = 0
  for (const share of shares) {
    let failures = 0
    while (failures < attempts && !(await keepsUp(fleets, rates, share, seconds))) failures++
    if (failures === attempts) break
    greatest = share
  }
  if (greatest === 0)
    throw new Failure(`an open loop does not keep up with ${shares[0]} of what a closed one gets through`)
  return greatest
}

async function keepsUp(
  fleets: readonly Fleet[],
  rates: readonly number[],
  share: number,
  seconds: number,
): Promise<boolean> {
  for (const fleet of fleets) fleet.rest()
  for (const fleet of fleets) await drain(fleet)
  const { lost } = judge(fleets)
  const mostUnderWay = sumOf(rates) * share * mostSecondsUnderWay
  pace(fleets, rates, share)
  let isUp = true
  for (const end = performance.now() + seconds * 1000; isUp && performance.now() < end; ) {
    await Bun.sleep(20)
    isUp = judge(fleets).lost - lost < mostUnderWay
  }
  for (const fleet of fleets) fleet.rest()
  for (const fleet of fleets) await drain(fleet)
  return isUp
}

/**
 * As many messages as leave at once in the closed loop: a write of fewer costs the broker and the generator nearly as much, and half as many
 * messages in small writes are not half of the work.
 */
const refillOf = ({ traffic }: Fleet) => windowMessages(traffic) / refillsPerWindow

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

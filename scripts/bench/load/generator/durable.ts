/**
 * The runs in which sessions outlive connections, and the broker keeps them in a file.
 *
 * What counts is what the broker has acknowledged to the publishers: it has promised to keep that. Subscribers who are
 * away come for their messages when the measured span is over; loss and order are judged when they have got them.
 */

import { Latencies } from "../../latencies.ts"
import { sampleProcess } from "../../proc.ts"
import type {
  Assignment,
  BacklogScenario,
  CommitScenario,
  DrainedResult,
  DurableResult,
  DurableScenario,
  FilledResult,
  Traffic,
} from "../scenarios.ts"
import { Run } from "./client.ts"
import { drain, Fleet, flow, flowUntil, observe } from "./fleet.ts"

/** What waits is longer than any window: gaps of up to half a ring are told from repetitions. */
const slots = 32_768
/** Before memory is looked at: what has just been done leaves things to be tidied up. */
const settleSeconds = 2

function prepare(assignment: Assignment, traffic: Traffic, supply: { slots?: number; stampEveryMessage?: boolean }) {
  const run = new Run(assignment)
  const latencies = new Latencies()
  run.acknowledgementLatencies = latencies
  return { latencies, fleet: new Fleet(run, traffic, { ...supply, isLasting: true }) }
}

/** A closed loop of messages for sessions that last. */
export async function durable(assignment: Assignment, scenario: DurableScenario): Promise<DurableResult> {
  const { areAway } = scenario
  const { latencies, fleet } = prepare(assignment, scenario, areAway ? { slots } : {})
  await fleet.connect()
  if (areAway) await fleet.sendSubscribersAway()
  fleet.open()
  await flow(fleet, assignment.warmupSeconds)
  const span = await observe(fleet, assignment, assignment.seconds, () => fleet.acknowledged)

  fleet.close()
  await flowUntil(fleet, fleet.sent)
  const fetched = areAway ? { fetchedPerSecond: await fleet.fetch() } : {}
  await drain(fleet)
  return { kind: "durable", ...span, latencyMilliseconds: latencies.summary, ...fetched, ...fleet.judgement }
}

/**
 * A closed loop to warm up, and then an open one so slow that each message is acknowledged before the next one is due,
 * and so is a commit of its own.
 */
export async function commit(assignment: Assignment, scenario: CommitScenario): Promise<DurableResult> {
  const { latencies, fleet } = prepare(assignment, scenario, { slots, stampEveryMessage: true })
  await fleet.connect()
  await fleet.sendSubscribersAway()
  fleet.open()
  await flow(fleet, assignment.warmupSeconds)
  fleet.close()
  await flowUntil(fleet, fleet.sent)

  const lateness = fleet.pace(scenario.messagesPerSecond)
  const span = await observe(fleet, assignment, assignment.seconds, () => fleet.acknowledged)

  fleet.close()
  await flowUntil(fleet, fleet.sent)
  await fleet.fetch()
  return {
    kind: "durable",
    ...span,
    latencyMilliseconds: latencies.summary,
    generatorLatenessMilliseconds: lateness.percentile(99),
    ...fleet.judgement,
  }
}

/** The first half of a backlog run: the messages are acknowledged, nobody has got one. */
export async function fillBacklog(assignment: Assignment, scenario: BacklogScenario): Promise<FilledResult> {
  const { messages } = scenario
  const { fleet } = prepare(assignment, scenario, { slots })
  await fleet.connect()
  await fleet.sendSubscribersAway()
  await Bun.sleep(settleSeconds * 1000)

  const before = sampleProcess(assignment.brokerPid)
  const startedAt = performance.now()
  fleet.open(messages)
  const endedAt = await flowUntil(fleet, messages)
  const after = sampleProcess(assignment.brokerPid)
  return {
    kind: "filled",
    filledPerSecond: (messages / (endedAt - startedAt)) * 1000,
    grownBytes: after.residentBytes - before.residentBytes,
    peakGrownBytes: after.peakResidentBytes - before.residentBytes,
  }
}

/** The second half, with a broker that has been started anew. */
export async function drainBacklog(assignment: Assignment, scenario: BacklogScenario): Promise<DrainedResult> {
  const { fleet } = prepare(assignment, scenario, { slots })
  fleet.expect(scenario.messages)
  const fetchedPerSecond = await fleet.fetch()
  await Bun.sleep(settleSeconds * 1000)
  const { residentBytes, peakResidentBytes } = sampleProcess(assignment.brokerPid)
  return { kind: "drained", fetchedPerSecond, ...fleet.judgement, residentBytes, peakResidentBytes }
}

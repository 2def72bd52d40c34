/**
 * The load generator: a process of its own that gets an `Assignment` as its argument, drives one scenario against
 * a running broker and prints one `Result` as JSON.
 *
 * A traffic run goes: connect, subscribe, warm up, sample, measure, sample, stop sending, drain. Rates, CPU and
 * latency are those of the measured span. Loss and order are judged over the whole run, once everything has
 * arrived. A run that makes no progress for ten seconds has failed and says what it was waiting for.
 */
import { Client, Publisher, Run, Subscriber } from "./clients.ts"
import { Latencies } from "./latencies.ts"
import { sampleProcess } from "./proc.ts"
import type {
  Assignment,
  FailedResult,
  IdleResult,
  IdleScenario,
  LatencyScenario,
  Result,
  ThroughputScenario,
  TrafficResult,
} from "./scenarios.ts"
import { windowMessages } from "./scenarios.ts"

const stallSeconds = 10
/** With loss the last messages never come: a drain that stands still for so long is over. */
const drainSeconds = 3
/** A broker that pauses, to collect garbage say, has not stalled yet. */
const pauseSeconds = 0.5
const requestsAtOnce = 100
/** Between the last connection and the idle span. */
const settleSeconds = 2
/** The open loop waits for nobody; its rings last for 80 seconds at 50 messages/s a publisher. */
const openLoopSlots = 4096

class Failure extends Error {}

/** A scenario's clients, and the sums over them. */
class Fleet {
  readonly publishers: Publisher[] = []
  readonly subscribers: Subscriber[] = []
  readonly scenario: ThroughputScenario | LatencyScenario

  constructor(run: Run, scenario: ThroughputScenario | LatencyScenario) {
    this.scenario = scenario
    const { groups, publishersPerGroup, subscribersPerGroup, qos, payloadBytes } = scenario
    const window = windowMessages(scenario)
    const isPaced = scenario.kind === "latency"
    const slots = isPaced ? openLoopSlots : window * 2
    for (let group = 0; group < groups; group++) {
      const publishers = Array.from({ length: publishersPerGroup }, (_, index) => {
        const options = { topic: topicOf(group), qos, payloadBytes, index, windowMessages: window }
        return new Publisher(run, `bench-p${group}-${index}`, { ...options, slots, stampEveryMessage: isPaced })
      })
      const subscribers = Array.from(
        { length: subscribersPerGroup },
        (_, index) => new Subscriber(run, `bench-s${group}-${index}`, publishers, qos, payloadBytes),
      )
      for (const publisher of publishers) publisher.subscribers = subscribers
      this.publishers.push(...publishers)
      this.subscribers.push(...subscribers)
    }
  }

  async connect(): Promise<void> {
    const { subscribers, scenario } = this
    await eachWithin([...subscribers, ...this.publishers], "clients connected", (client) => client.connect(0))
    await eachWithin(subscribers, "subscriptions acknowledged", (subscriber, index) => {
      const group = Math.floor(index / scenario.subscribersPerGroup)
      return subscriber.subscribe(scenario.wildcard ? filterOf(group) : topicOf(group))
    })
  }

  get delivered(): number {
    return this.subscribers.reduce((sum, subscriber) => sum + subscriber.delivered, 0)
  }

  get acknowledged(): number {
    return this.publishers.reduce((sum, publisher) => sum + publisher.acknowledged, 0)
  }

  get sent(): number {
    return this.publishers.reduce((sum, publisher) => sum + publisher.sent, 0)
  }

  get missing(): { messages: number; acknowledgements: number } {
    return {
      messages: this.sent * this.scenario.subscribersPerGroup - this.delivered,
      acknowledgements: this.scenario.qos === 0 ? 0 : this.sent - this.acknowledged,
    }
  }
}

const topicOf = (group: number) => `bench/n/${group}/t`
const filterOf = (group: number) => `bench/+/${group}/#`

/** Runs `task` for every item, some at a time; fails when none has been done for the time a stall may take. */
async function eachWithin<T>(
  items: readonly T[],
  what: string,
  task: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0
  let done = 0
  const { promise: stalled, reject } = Promise.withResolvers<never>()
  const giveUp = () => reject(new Failure(`no progress for ${stallSeconds} s: ${done} of ${items.length} ${what}`))
  const timer = setTimeout(giveUp, stallSeconds * 1000)
  const work = async () => {
    while (next < items.length) {
      const index = next++
      await task(items[index]!, index)
      done++
      timer.refresh()
    }
  }
  try {
    await Promise.race([Promise.all(Array.from({ length: requestsAtOnce }, work)), stalled])
  } finally {
    clearTimeout(timer)
  }
}

/** Looks every 20 ms, with the time since the last progress, whether it's over; throws once the run has failed. */
async function watch(run: Run, fleet: Fleet, isOver: (stillSeconds: number) => boolean): Promise<void> {
  let progress = fleet.delivered + fleet.acknowledged
  let changedAt = performance.now()
  while (!isOver((performance.now() - changedAt) / 1000)) {
    await Bun.sleep(20)
    if (run.failure) throw new Failure(run.failure)
    const current = fleet.delivered + fleet.acknowledged
    if (current === progress) continue
    progress = current
    changedAt = performance.now()
  }
}

/** Lets traffic flow. It doesn't end in a pause: that is either over soon or a stall. */
function flow(run: Run, fleet: Fleet, seconds: number): Promise<void> {
  const end = performance.now() + seconds * 1000
  return watch(run, fleet, (stillSeconds) => {
    if (stillSeconds > stallSeconds) throw stall(fleet)
    return performance.now() >= end && stillSeconds < pauseSeconds
  })
}

/** Waits for what is still on its way. */
async function drain(run: Run, fleet: Fleet): Promise<void> {
  await watch(run, fleet, (stillSeconds) => {
    const { messages, acknowledgements } = fleet.missing
    if (messages <= 0 && acknowledgements <= 0) return true
    if (stillSeconds > stallSeconds) throw stall(fleet)
    return acknowledgements <= 0 && stillSeconds > drainSeconds
  })
}

function stall(fleet: Fleet): Failure {
  const { messages, acknowledgements } = fleet.missing
  const parts = [`${messages} of ${fleet.delivered + messages} messages not delivered`]
  if (acknowledgements > 0) parts.push(`${acknowledgements} of ${fleet.sent} not acknowledged`)
  return new Failure(`no progress for ${stallSeconds} s: ${parts.join(", ")}`)
}

async function traffic(assignment: Assignment, scenario: ThroughputScenario | LatencyScenario): Promise<TrafficResult> {
  const run = new Run(assignment)
  const fleet = new Fleet(run, scenario)
  const lateness = new Latencies()
  await fleet.connect()

  run.isOpen = true
  if (scenario.kind === "latency") pace(run, fleet.publishers, scenario.messagesPerSecond, lateness)
  else for (const publisher of fleet.publishers) publisher.start()
  await flow(run, fleet, assignment.warmupSeconds)

  const sample = () => ({
    at: performance.now(),
    delivered: fleet.delivered,
    broker: sampleProcess(assignment.brokerPid),
    generatorCpuSeconds: (process.cpuUsage().user + process.cpuUsage().system) / 1e6,
  })
  const before = sample()
  run.isMeasured = true
  await flow(run, fleet, assignment.seconds)
  run.isMeasured = false
  const after = sample()

  run.isOpen = false
  await drain(run, fleet)

  const seconds = (after.at - before.at) / 1000
  const delivered = after.delivered - before.delivered
  const brokerCpuSeconds = after.broker.cpuSeconds - before.broker.cpuSeconds
  const generatorCpuSeconds = after.generatorCpuSeconds - before.generatorCpuSeconds
  return {
    kind: "traffic",
    seconds,
    delivered,
    messagesPerSecond: delivered / seconds,
    brokerCpuPercent: (brokerCpuSeconds / seconds) * 100,
    brokerCpuMicrosecondsPerMessage: (brokerCpuSeconds / delivered) * 1e6,
    generatorCpuPercent: (generatorCpuSeconds / seconds) * 100,
    generatorLatenessMilliseconds: lateness.percentile(99),
    latencyMilliseconds: {
      p50: run.latencies.percentile(50),
      p99: run.latencies.percentile(99),
      p999: run.latencies.percentile(99.9),
      samples: run.latencies.samples,
    },
    lost: fleet.missing.messages,
    disordered: run.disordered,
    corrupted: run.corrupted,
    residentBytes: after.broker.residentBytes,
    peakResidentBytes: after.broker.peakResidentBytes,
  }
}

/** Sends message k at its scheduled time, and stamps it with that, however late it really is. */
function pace(run: Run, publishers: readonly Publisher[], messagesPerSecond: number, lateness: Latencies): void {
  const intervalMilliseconds = 1000 / messagesPerSecond
  const start = performance.now()
  let next = 0
  // The immediate queue polls sockets on every turn: this spins, because a timer would be late by a millisecond.
  const turn = () => {
    const now = performance.now()
    for (let due = start + next * intervalMilliseconds; due <= now; due = start + ++next * intervalMilliseconds) {
      publishers[next % publishers.length]!.send(1, due)
      if (run.isMeasured) lateness.record(now - due)
    }
    if (run.isOpen && !run.failure) setImmediate(turn)
  }
  turn()
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

function perform(assignment: Assignment): Promise<Result> {
  const { scenario } = assignment
  switch (scenario.kind) {
    case "throughput":
    case "latency":
      return traffic(assignment, scenario)
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

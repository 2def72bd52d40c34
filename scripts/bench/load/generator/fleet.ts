/**
 * All clients of one run, and how one waits for them: until they are there, while traffic flows, until everything has
 * arrived. What makes no progress for ten seconds has failed and says what it was waiting for.
 */

import { Latencies } from "../../latencies.ts"
import { sampleProcess } from "../../proc.ts"
import type { Assignment, Judgement, Span, Traffic } from "../scenarios.ts"
import { windowMessages } from "../scenarios.ts"
import type { Run } from "./client.ts"
import { Publisher } from "./publisher.ts"
import { Subscriber } from "./subscriber.ts"

const stallSeconds = 10
/** With loss the last messages never come: a drain that stands still for so long is over, unless it is given longer. */
const drainSeconds = 3
/** A broker that pauses, to collect garbage say, has not stalled yet. */
const pauseSeconds = 0.5
const requestsAtOnce = 100
/** Whoever is late does not send all at once, but looks at the sockets in between: else those are late, too, to whom it has to listen. */
const mostMessagesPerTurn = 100
/** By how much a timer may be late, roughly. */
const timerLatenessMilliseconds = 2

export class Failure extends Error {}

export type Supply = {
  /** How many messages a publisher's ring holds; else as many as a closed loop needs. */
  slots?: number
  stampEveryMessage?: boolean
  /** The subscribers' sessions survive their connections. */
  isLasting?: boolean
  /** What its client ids and topics begin with. */
  name?: string
}

/** A scenario's clients, and the sums over them. */
export class Fleet {
  readonly run: Run
  readonly publishers: Publisher[] = []
  readonly subscribers: Subscriber[] = []
  readonly traffic: Traffic
  /** What sends at a fixed rate, the last one that was asked for. */
  #schedule: (() => void) | undefined
  readonly #name: string

  constructor(run: Run, traffic: Traffic, supply: Supply = {}) {
    this.run = run
    this.traffic = traffic
    this.#name = supply.name ?? "bench"
    const { groups, publishersPerGroup, subscribersPerGroup, qos, payloadBytes } = traffic
    const window = windowMessages(traffic)
    const { slots = window * 2, stampEveryMessage = false, isLasting = false } = supply
    for (let group = 0; group < groups; group++) {
      const publishers = Array.from({ length: publishersPerGroup }, (_, index) => {
        const options = { topic: this.#topicOf(group), qos, payloadBytes, index, windowMessages: window }
        return new Publisher(run, `${this.#name}-p${group}-${index}`, { ...options, slots, stampEveryMessage })
      })
      const subscribers = Array.from({ length: subscribersPerGroup }, (_, index) => {
        return new Subscriber(run, `${this.#name}-s${group}-${index}`, publishers, { qos, payloadBytes, isLasting })
      })
      for (const publisher of publishers) publisher.subscribers = subscribers
      this.publishers.push(...publishers)
      this.subscribers.push(...subscribers)
    }
  }

  async connect(): Promise<void> {
    const { subscribers, traffic } = this
    await eachWithin([...subscribers, ...this.publishers], "clients connected", (client) => client.connect(0))
    await eachWithin(subscribers, "subscriptions acknowledged", (subscriber, index) => {
      const group = Math.floor(index / traffic.subscribersPerGroup)
      return subscriber.subscribe(traffic.wildcard ? this.#filterOf(group) : this.#topicOf(group))
    })
  }

  /** The subscribers disconnect, and no publisher waits for them any more. */
  async sendSubscribersAway(): Promise<void> {
    for (const publisher of this.publishers) publisher.subscribers = []
    await eachWithin(this.subscribers, "clients disconnected", (subscriber) => subscriber.disconnect())
  }

  /** The subscribers come for what has been kept for them; gives how many messages a second they got. */
  async fetch(): Promise<number> {
    const before = this.delivered
    const startedAt = performance.now()
    await eachWithin(this.subscribers, "clients connected again", (subscriber) => subscriber.connect(0))
    const endedAt = await drain(this, stallSeconds)
    return ((this.delivered - before) / (endedAt - startedAt)) * 1000
  }

  /** Takes `messages` as sent by each publisher, and acknowledged: by another process, to the last run of the broker. */
  expect(messages: number): void {
    for (const publisher of this.publishers) publisher.sent = publisher.acknowledged = messages
  }

  /** Lets every publisher keep its window full, until it has sent `limit` messages or the fleet is closed. */
  open(limit = Number.POSITIVE_INFINITY): void {
    this.run.isOpen = true
    for (const publisher of this.publishers) {
      publisher.limit = limit
      publisher.start()
    }
  }

  /** Nothing more is sent. */
  close(): void {
    this.run.isOpen = false
  }

  /**
   * Sends message k at its scheduled time, and stamps it with that, however late it really is. Gives how late that
   * was: the generator's own part of the latency. `burst`: how many messages are scheduled for the same time, and leave
   * in one write. `rests`: whoever else runs on this CPU may, as long as nothing is due.
   */
  pace(messagesPerSecond: number, { burst = 1, rests = false } = {}): Latencies {
    const { run, publishers } = this
    const lateness = new Latencies()
    const intervalMilliseconds = (1000 * burst) / messagesPerSecond
    const start = performance.now()
    let next = 0
    // The immediate queue polls sockets on every turn: this spins, because a timer would be late by a millisecond.
    const turn = () => {
      const now = performance.now()
      let due = start + next * intervalMilliseconds
      for (let sent = 0; due <= now && sent < mostMessagesPerTurn; due = start + ++next * intervalMilliseconds) {
        publishers[next % publishers.length]!.send(burst, due)
        sent += burst
        if (run.isMeasured) lateness.record(now - due)
      }
      if (!run.isOpen || run.failure || this.#schedule !== turn) return
      if (rests && due - now > timerLatenessMilliseconds) setTimeout(turn, due - now - timerLatenessMilliseconds)
      else setImmediate(turn)
    }
    run.isOpen = true
    this.#schedule = turn
    for (const publisher of publishers) publisher.limit = 0 // an acknowledgement sends nothing
    turn()
    return lateness
  }

  /** Sends nothing until it is told to go on. */
  rest(): void {
    this.#schedule = undefined
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
      messages: this.sent * this.traffic.subscribersPerGroup - this.delivered,
      acknowledgements: this.traffic.qos === 0 ? 0 : this.sent - this.acknowledged,
    }
  }

  get judgement(): Judgement {
    const { disordered, corrupted } = this.run
    return { lost: this.missing.messages, disordered, corrupted }
  }

  #topicOf(group: number): string {
    return `${this.#name}/n/${group}/t`
  }

  #filterOf(group: number): string {
    return `${this.#name}/+/${group}/#`
  }
}

/** Runs `task` for every item, some at a time; fails when none has been done for the time a stall may take. */
export async function eachWithin<T>(
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

/**
 * Looks every 20 ms, with the time since the last progress, whether it's over; throws once the run has failed. Gives
 * the time of the last progress.
 */
async function watch(fleet: Fleet, isOver: (stillSeconds: number) => boolean): Promise<number> {
  const { run } = fleet
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
  return changedAt
}

/** Lets traffic flow. It doesn't end in a pause: that is either over soon or a stall. */
export async function flow(fleet: Fleet, seconds: number): Promise<void> {
  const end = performance.now() + seconds * 1000
  await watch(fleet, (stillSeconds) => {
    if (stillSeconds > stallSeconds) throw stall(fleet)
    return performance.now() >= end && stillSeconds < pauseSeconds
  })
}

/** Lets traffic flow until `messages` have been acknowledged; gives the time when they were. */
export function flowUntil(fleet: Fleet, messages: number): Promise<number> {
  return watch(fleet, (stillSeconds) => {
    if (stillSeconds > stallSeconds) throw stall(fleet)
    return fleet.acknowledged >= messages
  })
}

/** Waits for what is still on its way; gives the time when the last of it came. */
export function drain(fleet: Fleet, patienceSeconds = drainSeconds): Promise<number> {
  return watch(fleet, (stillSeconds) => {
    const { messages, acknowledgements } = fleet.missing
    if (acknowledgements <= 0 && (messages <= 0 || stillSeconds > patienceSeconds)) return true
    if (stillSeconds > stallSeconds) throw stall(fleet)
    return false
  })
}

function stall(fleet: Fleet): Failure {
  const { messages, acknowledgements } = fleet.missing
  const parts = [`${messages} of ${fleet.delivered + messages} messages not delivered`]
  if (acknowledgements > 0) parts.push(`${acknowledgements} of ${fleet.sent} not acknowledged`)
  return new Failure(`no progress for ${stallSeconds} s: ${parts.join(", ")}`)
}

/** Lets traffic flow and looks at what it took; `count` says how many messages have come so far. */
export async function observe(
  fleet: Fleet,
  assignment: Assignment,
  seconds: number,
  count: () => number,
): Promise<Span> {
  const sample = () => ({
    at: performance.now(),
    messages: count(),
    broker: sampleProcess(assignment.brokerPid),
    generatorCpuSeconds: (process.cpuUsage().user + process.cpuUsage().system) / 1e6,
  })
  const before = sample()
  fleet.run.isMeasured = true
  await flow(fleet, seconds)
  fleet.run.isMeasured = false
  const after = sample()

  const passed = (after.at - before.at) / 1000
  const messages = after.messages - before.messages
  const brokerCpuSeconds = after.broker.cpuSeconds - before.broker.cpuSeconds
  const generatorCpuSeconds = after.generatorCpuSeconds - before.generatorCpuSeconds
  return {
    seconds: passed,
    messages,
    messagesPerSecond: messages / passed,
    brokerCpuPercent: (brokerCpuSeconds / passed) * 100,
    brokerCpuMicrosecondsPerMessage: (brokerCpuSeconds / messages) * 1e6,
    generatorCpuPercent: (generatorCpuSeconds / passed) * 100,
    residentBytes: after.broker.residentBytes,
    peakResidentBytes: after.broker.peakResidentBytes,
  }
}

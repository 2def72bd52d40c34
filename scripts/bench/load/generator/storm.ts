/**
 * What keeps a broker busy while `mixture.ts` measures a quiet pair, in a process of its own that gets an `Assignment` and speaks with its
 * parent by IPC: it says `blowing` when everything is under way, begins to count when it is told `measure`, and answers `stop` with a
 * `StormResult`.
 *
 * All of it is a closed loop, so that the broker is never idle: a fan-out, clients that ask for all retained messages again and again, and
 * one that has subscribed to a busy topic and does not read.
 */
import { encodePublish, encodeSubscribe, PacketType } from "../../wire.ts"
import type { Assignment, FailedResult, MixtureScenario } from "../scenarios.ts"
import { Client, Run } from "./client.ts"
import { eachWithin, Failure, Fleet } from "./fleet.ts"

/** What the storm got through while it was measured. */
export type StormResult = { kind: "storm"; fannedOutPerSecond: number; replaysPerSecond: number }

const retainedTopic = (index: number) => `bench/retained/${index % 100}/${index}`
const retainedFilter = "bench/retained/#"
const busyTopic = "bench/busy"
const busyIntervalMilliseconds = 5

class RetainedPublisher extends Client {
  async fill(messages: number, payload: Buffer): Promise<void> {
    for (let index = 0; index < messages; index++) {
      const packet = encodePublish(retainedTopic(index), payload, { qos: 0, retain: true }, this.run.level)
      this.write(packet, 0, packet.length)
      if (index % 100 === 99) await this.ping()
    }
    await this.ping()
  }
}

/** Asks for all retained messages, and when it has got them asks again. */
class Replayer extends Client {
  replays = 0
  #received = 0
  readonly #messages: number
  readonly #request: Buffer

  constructor(run: Run, clientId: string, messages: number) {
    super(run, clientId)
    this.#messages = messages
    this.#request = encodeSubscribe(retainedFilter, 0, run.level)
  }

  ask(): void {
    this.write(this.#request, 0, this.#request.length)
  }

  protected override onPacket(bytes: Buffer, at: number, end: number): void {
    const type = bytes[at]! >> 4
    if (type === PacketType.suback) return
    if (type !== PacketType.publish) {
      super.onPacket(bytes, at, end)
      return
    }
    if (++this.#received < this.#messages) return
    this.#received = 0
    this.replays++
    this.ask()
  }
}

/** Publishes much of the same, every few milliseconds. */
class BusyPublisher extends Client {
  publish(bytesPerSecond: number, payloadBytes: number): void {
    const packet = encodePublish(busyTopic, Buffer.alloc(payloadBytes), { qos: 0, retain: false }, this.run.level)
    const messages = Math.ceil((bytesPerSecond * busyIntervalMilliseconds) / 1000 / payloadBytes)
    const burst = Buffer.concat(Array.from({ length: messages }, () => packet))
    setInterval(() => this.write(burst, 0, burst.length), busyIntervalMilliseconds)
  }
}

class SlowReader extends Client {
  async subscribe(): Promise<void> {
    await this.request(encodeSubscribe(busyTopic, 0, this.run.level), PacketType.suback)
    this.stopReading()
  }
}

async function blow(assignment: Assignment & { scenario: MixtureScenario }): Promise<() => () => StormResult> {
  const { fanOut, retained, slowReader } = assignment.scenario
  const run = new Run(assignment)
  const fleet = new Fleet(run, { groups: 1, publishersPerGroup: 1, qos: 0, ...fanOut })
  const filler = new RetainedPublisher(run, "storm-filler")
  const busy = new BusyPublisher(run, "storm-busy")
  const slow = new SlowReader(run, "storm-slow")
  const replayers = Array.from(
    { length: retained.clients },
    (_, index) => new Replayer(run, `storm-r${index}`, retained.messages),
  )
  await fleet.connect()
  await eachWithin([filler, busy, slow, ...replayers], "clients connected", (client) => client.connect(0))
  await filler.fill(retained.messages, Buffer.alloc(retained.payloadBytes, "r"))
  await slow.subscribe()
  busy.publish(slowReader.bytesPerSecond, slowReader.payloadBytes)
  for (const replayer of replayers) replayer.ask()
  fleet.open()

  const sample = () => ({
    at: performance.now(),
    fannedOut: fleet.delivered,
    replays: replayers.reduce((sum, { replays }) => sum + replays, 0),
  })
  return () => {
    const before = sample()
    return () => {
      if (run.failure) throw new Failure(run.failure)
      const after = sample()
      const seconds = (after.at - before.at) / 1000
      return {
        kind: "storm",
        fannedOutPerSecond: (after.fannedOut - before.fannedOut) / seconds,
        replaysPerSecond: (after.replays - before.replays) / seconds,
      }
    }
  }
}

const say = (message: "blowing" | StormResult | FailedResult) => process.send!(message)

function attempt(act: () => StormResult): StormResult | FailedResult {
  try {
    return act()
  } catch (error) {
    return failed(error)
  }
}

const failed = (error: unknown): FailedResult => ({ kind: "failed", reason: `storm: ${(error as Error).message}` })

try {
  const measure = await blow(JSON.parse(process.argv[2]!))
  let stop: (() => StormResult) | undefined
  process.on("message", (order: "measure" | "stop") => {
    if (order === "measure") stop = measure()
    else say(attempt(stop!))
  })
  say("blowing")
} catch (error) {
  say(failed(error))
}

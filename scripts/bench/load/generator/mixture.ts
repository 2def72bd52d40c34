/**
 * The runs in which a quiet pair has to share the broker with a storm: how long its messages take says how long the broker does one thing
 * without looking at others.
 *
 * The pair is measured here, and the storm is made by a process of its own (`storm.ts`) on the same CPU. Where there is `chrt`, that one only
 * gets what this one leaves: what makes a message late is then the broker, or, as far as `generatorLatenessMilliseconds` says, the system.
 */
import { join } from "node:path"
import type { Assignment, FailedResult, MixtureResult, MixtureScenario } from "../scenarios.ts"
import { Run } from "./client.ts"
import { drain, Failure, Fleet, flow, observe } from "./fleet.ts"
import type { StormResult } from "./storm.ts"

export async function mixture(assignment: Assignment, scenario: MixtureScenario): Promise<MixtureResult> {
  const run = new Run(assignment)
  const quiet = { groups: 1, publishersPerGroup: 1, subscribersPerGroup: 1, qos: 0, payloadBytes: 64 } as const
  const fleet = new Fleet(run, quiet, { slots: 4096, stampEveryMessage: true, name: "quiet" })
  await using storm = await Storm.begin(assignment)
  await fleet.connect()
  const lateness = fleet.pace(scenario.messagesPerSecond, { rests: true })
  await flow(fleet, assignment.warmupSeconds)
  storm.measure()
  const { brokerCpuPercent, residentBytes, peakResidentBytes, seconds } = await observe(
    fleet,
    assignment,
    assignment.seconds,
    () => fleet.delivered,
  )
  const { fannedOutPerSecond, replaysPerSecond } = await storm.stop()
  fleet.close()
  await drain(fleet)
  return {
    kind: "mixture",
    seconds,
    latencyMilliseconds: run.latencies.summary,
    generatorLatenessMilliseconds: lateness.percentile(99),
    fannedOutPerSecond,
    replaysPerSecond,
    brokerCpuPercent,
    residentBytes,
    peakResidentBytes,
    ...fleet.judgement,
  }
}

type Word = "blowing" | StormResult | FailedResult

/** The process that makes the storm; it ends with the block that holds it. */
class Storm implements AsyncDisposable {
  #heard = Promise.withResolvers<Word>()
  readonly #process: Bun.Subprocess

  private constructor(assignment: Assignment) {
    const idly = Bun.which("chrt") ? ["chrt", "--idle", "0"] : []
    const command = [...idly, process.execPath, join(import.meta.dir, "storm.ts"), JSON.stringify(assignment)]
    this.#process = Bun.spawn(command, {
      stdio: ["ignore", "ignore", "inherit"],
      ipc: (word: Word) => this.#heard.resolve(word),
      onExit: (_, code) => this.#heard.reject(new Failure(`the storm ended with code ${code}`)),
    })
  }

  static async begin(assignment: Assignment): Promise<Storm> {
    const storm = new Storm(assignment)
    await storm.#hear()
    return storm
  }

  measure(): void {
    this.#process.send("measure")
  }

  async stop(): Promise<StormResult> {
    this.#process.send("stop")
    return (await this.#hear()) as StormResult
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL")
    await this.#process.exited
  }

  async #hear(): Promise<Word> {
    const word = await this.#heard.promise
    this.#heard = Promise.withResolvers()
    this.#heard.promise.catch(() => {}) // it ends some time, which is of interest to whom waits for a word only
    if (typeof word === "object" && word.kind === "failed") throw new Failure(word.reason)
    return word
  }
}

/** What the load's outcomes, read from files, say of a scenario and a broker: medians over the rounds. */
import type { Outcome } from "../load/report.ts"
import type { Result } from "../load/scenarios.ts"
import { median } from "../table.ts"
import type { LoadResults } from "./results.ts"

/** What they may be asked for: undefined where a result has no such figure. */
export type Figure = (result: Result) => number | undefined

// biome-ignore format: a table reads best with a row a line
export const figures = {
  messagesPerSecond: (result) => ("messagesPerSecond" in result ? result.messagesPerSecond : undefined),
  payloadBytesPerSecond: (result) => (result.kind === "traffic" ? result.payloadBytesPerSecond : undefined),
  cpuMicrosecondsPerMessage: (result) => ("brokerCpuMicrosecondsPerMessage" in result ? result.brokerCpuMicrosecondsPerMessage : undefined),
  p50Milliseconds: (result) => ("latencyMilliseconds" in result ? result.latencyMilliseconds.p50 : undefined),
  p99Milliseconds: (result) => ("latencyMilliseconds" in result ? result.latencyMilliseconds.p99 : undefined),
  p999Milliseconds: (result) => ("latencyMilliseconds" in result ? result.latencyMilliseconds.p999 : undefined),
  residentBytes: (result) => ("residentBytes" in result ? result.residentBytes : undefined),
  bytesPerConnection: (result) => (result.kind === "idle" ? result.bytesPerConnection : undefined),
  connectionsPerSecond: (result) => (result.kind === "idle" ? result.connectionsPerSecond : undefined),
  reconnectionsPerSecond: (result) => (result.kind === "idle" ? result.again.connectionsPerSecond : undefined),
} satisfies Record<string, Figure>

/** The one that others are set beside, another, or no broker but a yardstick, which is in no comparison. */
export type Role = "own" | "other" | "yardstick"

export class Outcomes {
  /** The first is the one that others are set beside. */
  readonly brokers: readonly string[]
  readonly #outcomes: readonly Outcome[]

  constructor({ versions, outcomes }: LoadResults) {
    this.#outcomes = outcomes
    this.brokers = versions.brokers.map(({ label }) => label)
  }

  role(broker: string): Role {
    if (broker === this.brokers[0]) return "own"
    return broker === "relay" ? "yardstick" : "other"
  }

  /** Of a scenario, by its name; "" where it was not measured. */
  titleOf(scenario: string): string {
    return this.scenarios.find(({ name }) => name === scenario)?.title ?? ""
  }

  get scenarios() {
    return [...new Map(this.#outcomes.map(({ scenario }) => [scenario.name, scenario])).values()]
  }

  /** Undefined where no round has such a figure. */
  median(scenario: string, broker: string, figure: Figure): number | undefined {
    const values = this.#of(scenario, broker)
      .map(({ result }) => figure(result))
      .filter((value) => value !== undefined)
    return values.length > 0 ? median(values) : undefined
  }

  /** Whether messages were lost, doubled, out of order or damaged in any round. */
  isFaulty(scenario: string, broker: string): boolean {
    return this.#of(scenario, broker).some(({ result }) => {
      return "lost" in result && result.lost + result.disordered + result.corrupted > 0
    })
  }

  #of(scenario: string, broker: string): Outcome[] {
    return this.#outcomes.filter((outcome) => outcome.scenario.name === scenario && outcome.broker === broker)
  }
}

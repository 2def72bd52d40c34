/** The load bench: its table of scenarios, what a subscriber makes of messages, and how results are set beside each other. */
import { describe, expect, test } from "bun:test"
import { Run } from "../../scripts/bench/load/generator/client.ts"
import { Publisher } from "../../scripts/bench/load/generator/publisher.ts"
import { Subscriber } from "../../scripts/bench/load/generator/subscriber.ts"
import { type Outcome, report } from "../../scripts/bench/load/report.ts"
import {
  type IdleResult,
  type Scenario,
  scenarios,
  type Traffic,
  type TrafficResult,
  windowMessages,
} from "../../scripts/bench/load/scenarios.ts"
import { payloadHeaderBytes } from "../../scripts/bench/wire.ts"

describe("the scenarios", () => {
  const traffic = scenarios.filter((scenario): scenario is Scenario & Traffic => "payloadBytes" in scenario)

  test("have names of their own", () => {
    expect(new Set(scenarios.map(({ name }) => name)).size).toBe(scenarios.length)
  })

  test("have at most 2 MiB on their way to a subscriber of QoS 0, and never less than two messages", () => {
    for (const scenario of traffic.filter(({ qos }) => qos === 0)) {
      const window = windowMessages(scenario)
      expect(window).toBeGreaterThanOrEqual(2)
      expect(window * scenario.payloadBytes * scenario.publishersPerGroup).toBeLessThanOrEqual(2 * 1024 * 1024)
    }
  })

  test("have one publisher for each topic where messages cannot be told apart", () => {
    const unmarked = traffic.filter(({ payloadBytes }) => payloadBytes < payloadHeaderBytes)
    expect(unmarked.map(({ publishersPerGroup }) => publishersPerGroup)).toEqual([1])
  })
})

describe("a subscriber", () => {
  class Probe extends Subscriber {
    receive(bytes: Buffer): void {
      this.read(bytes)
    }
  }
  const assignment = { host: "", port: 0, protocolLevel: 4 } as const
  const ring = { topic: "t", qos: 0, index: 0, windowMessages: 4, slots: 8, stampEveryMessage: false } as const

  /** A pair whose publisher has sent five messages; gives what came of it when those of these slots have arrived. */
  function afterSlots(payloadBytes: number, slots: readonly number[]) {
    const run = new Run(assignment)
    const publisher = new Publisher(run, "p", { ...ring, payloadBytes })
    const subscriber = new Probe(run, "s", [publisher], { qos: 0, payloadBytes, isLasting: false })
    publisher.sent = 5
    const { bytes, packetBytes } = publisher.ring
    for (const slot of slots) subscriber.receive(bytes.subarray(slot * packetBytes, (slot + 1) * packetBytes))
    return { delivered: subscriber.delivered, disordered: run.disordered, corrupted: run.corrupted }
  }

  test("counts what comes in order", () => {
    const counted = { delivered: 5, disordered: 0, corrupted: 0 }
    expect(afterSlots(64, [0, 1, 2, 3, 4])).toEqual(counted)
    expect(afterSlots(0, [0, 1, 2, 3, 4])).toEqual(counted)
  })

  test("sees a gap and a repetition where messages are numbered", () => {
    expect(afterSlots(64, [0, 1, 3, 4])).toEqual({ delivered: 4, disordered: 0, corrupted: 0 })
    expect(afterSlots(64, [0, 1, 1, 2])).toEqual({ delivered: 3, disordered: 1, corrupted: 0 })
  })

  test("sees one too few and one too many where there is no room for a number, and no order", () => {
    expect(afterSlots(0, [0, 1, 3, 4])).toEqual({ delivered: 4, disordered: 0, corrupted: 0 })
    expect(afterSlots(0, [0, 2, 1, 3, 4, 4])).toEqual({ delivered: 5, disordered: 1, corrupted: 0 })
  })

  test("sees one of another size", () => {
    const run = new Run(assignment)
    const publisher = new Publisher(run, "p", { ...ring, payloadBytes: 0 })
    const subscriber = new Probe(run, "s", [publisher], { qos: 0, payloadBytes: 0, isLasting: false })
    publisher.sent = 1
    subscriber.receive(Buffer.from([0x30, 4, 0, 1, 0x74, 0]))
    expect([subscriber.delivered, run.corrupted]).toEqual([0, 1])
  })
})

describe("the report", () => {
  const pairs = scenarios.find(({ name }) => name === "pairs-10")!
  const idle = scenarios.find(({ name }) => name === "idle-1000")!
  const brokers = [{ label: "manju" }, { label: "a" }, { label: "b" }, { label: "relay", isYardstick: true as const }]

  function traffic(broker: string, round: number, messagesPerSecond: number, p99: number, lost = 0): Outcome {
    const result: TrafficResult = {
      kind: "traffic",
      seconds: 1,
      messages: messagesPerSecond,
      messagesPerSecond,
      payloadBytesPerSecond: messagesPerSecond * 1024 * 1024,
      brokerCpuPercent: 50,
      brokerCpuMicrosecondsPerMessage: 2,
      generatorCpuPercent: 50,
      generatorLatenessMilliseconds: 0,
      latencyMilliseconds: { p50: 1, p99, p999: 9, maximum: 9, samples: 1000 },
      residentBytes: 10 * 1024 * 1024,
      peakResidentBytes: 20 * 1024 * 1024,
      lost,
      disordered: 0,
      corrupted: 0,
    }
    return { scenario: pairs, broker, round, result }
  }
  const printed = (outcomes: readonly Outcome[], count: number) =>
    report(outcomes, brokers.slice(0, count), { markdown: true, verbose: false }).split("\n")
  const outcomes = [
    traffic("manju", 1, 300, 4),
    traffic("manju", 2, 100, 8, 7),
    traffic("manju", 3, 200, 6),
    traffic("a", 1, 100, 2),
    traffic("b", 1, 50, 3),
    traffic("relay", 1, 400, 1.5),
  ]

  test("has the medians of the rounds, and of losses the most", () => {
    expect(printed(outcomes.slice(0, 3), 1)).toEqual([
      "| scenario | broker | messages/s | MiB/s | CPU µs/msg | p50 ms | p99 ms | p99.9 ms | lost | bad | RSS MiB | peak MiB |",
      "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
      "| 10 pairs, QoS 0, 64 B | manju | 200 | 200 | 2.00 | 1.00 | 6.00 | 9.00 | 7 | 0 | 10.0 | 20.0 |",
    ])
  })

  test("sets the first beside the only other one", () => {
    expect(printed(outcomes, 2)).toEqual([
      expect.anything(),
      expect.anything(),
      expect.stringContaining("| manju | 200 |"),
      expect.stringContaining("|  | a | 100 |"),
      "|  | ratio | 2.00x |  | 1.00x | 1.00x | 3.00x | 1.00x |  |  | 1.00x | 1.00x |",
    ])
  })

  test("sets it beside the best of several in each column, and beside a yardstick alone", () => {
    const better = [...outcomes.slice(0, 4), traffic("b", 1, 50, 1), outcomes.at(-1)!]
    expect(printed(better, 4).slice(-2)).toEqual([
      "|  | of next best | 2.00x |  | 1.00x | 1.00x | 6.00x | 1.00x |  |  | 1.00x | 1.00x |",
      "|  | of relay | 0.50x |  | 1.00x | 1.00x | 4.00x | 1.00x |  |  | 1.00x | 1.00x |",
    ])
  })

  test("leaves out who has no result, and tells why", () => {
    const failed = { ...outcomes[3]!, result: { kind: "failed", reason: "it ended" } } as const
    expect(printed([...outcomes.slice(0, 3), failed, outcomes[4]!], 4).slice(2)).toEqual([
      expect.stringContaining("| manju | 200 |"),
      expect.stringContaining("|  | b | 50 |"),
      expect.stringContaining("|  | of next best | 4.00x |"),
      "",
      "failed:",
      "pairs-10, a, round 1: it ended",
    ])
  })

  test("divides memory by connections only where there are a thousand", () => {
    const result: IdleResult = {
      kind: "idle",
      connections: 1000,
      connectionsPerSecond: 5000,
      cpuMicrosecondsPerConnect: 50,
      again: { connectionsPerSecond: 9000, cpuMicrosecondsPerConnect: 25 },
      bytesPerConnection: 4096,
      seconds: 8,
      brokerCpuPercent: 0.1,
      residentBytes: 1024 * 1024,
      peakResidentBytes: 1024 * 1024,
    }
    const row = (connections: number) =>
      printed([{ scenario: idle, broker: "manju", round: 1, result: { ...result, connections } }], 1)[2]
    expect(row(1000)).toBe(
      "| 1,000 idle connections | manju | 1,000 | 4.00 | 0.10 | 5,000 | 50.0 | 9,000 | 25.0 | 1.0 | 1.0 |",
    )
    expect(row(999)).toBe(
      "| 1,000 idle connections | manju | 999 |  | 0.10 | 5,000 | 50.0 | 9,000 | 25.0 | 1.0 | 1.0 |",
    )
  })
})

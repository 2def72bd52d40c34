/**
 * From raw results to tables. A cell is the median over the rounds; losses are the worst round's. With two brokers a
 * third row has the first divided by the second, so that both directions read alike: 5.0x the messages, 0.2x the CPU.
 * With more, the first is divided by the best that another one has in the column, whichever that is, and a yardstick
 * has a row of its own.
 */
import pc from "picocolors"
import type { Launch } from "../broker.ts"
import type { Pauses } from "../pauses.ts"
import { grouped, mebibytes, median, ratio, rendered, significant, type Table } from "../table.ts"
import type {
  BacklogResult,
  DurableResult,
  IdleResult,
  Judgement,
  MixtureResult,
  Result,
  Scenario,
  SteadyResult,
  SteadySample,
  TrafficResult,
} from "./scenarios.ts"

export type Outcome = { scenario: Scenario; broker: string; round: number; startMilliseconds?: number; result: Result }

type Subject = Pick<Launch, "label" | "isYardstick">

type Column<T> = {
  title: string
  value: (result: T) => number
  format: (value: number) => string
  /** Which way is good; a column without it has no ratio. */
  better?: "more" | "less"
  /** Instead of the median. */
  worst?: true
  verbose?: true
}

const trouble = (value: number) => (value > 0 ? pc.red(grouped(value)) : "0")
const percent = (value: number) => value.toFixed(1)
/** For what a scenario of the kind need not have. */
const ifAny = (format: (value: number) => string) => (value: number) => (Number.isNaN(value) ? "" : format(value))

type Resident = { residentBytes: number; peakResidentBytes: number }

// biome-ignore format: a table reads best with a row a line
const memory = [
  { title: "RSS MiB", value: (result: Resident) => result.residentBytes, format: mebibytes, better: "less" },
  { title: "peak MiB", value: (result: Resident) => result.peakResidentBytes, format: mebibytes, better: "less" },
] as const

// biome-ignore format: a table reads best with a row a line
const judgement = [
  { title: "lost", value: (result: Judgement) => result.lost, format: trouble, worst: true },
  { title: "bad", value: (result: Judgement) => result.disordered + result.corrupted, format: trouble, worst: true },
] as const

// biome-ignore format: a table reads best with a row a line
const trafficColumns: Column<TrafficResult>[] = [
  { title: "messages/s", value: (result) => result.messagesPerSecond, format: grouped, better: "more" },
  { title: "MiB/s", value: (result) => result.payloadBytesPerSecond, format: (bytes) => significant(bytes / 1024 / 1024) },
  { title: "CPU µs/msg", value: (result) => result.brokerCpuMicrosecondsPerMessage, format: significant, better: "less" },
  { title: "p50 ms", value: (result) => result.latencyMilliseconds.p50, format: significant, better: "less" },
  { title: "p99 ms", value: (result) => result.latencyMilliseconds.p99, format: significant, better: "less" },
  { title: "p99.9 ms", value: (result) => result.latencyMilliseconds.p999, format: significant, better: "less" },
  ...judgement,
  ...memory,
  { title: "CPU %", value: (result) => result.brokerCpuPercent, format: percent, verbose: true },
  { title: "late p99 ms", value: (result) => result.generatorLatenessMilliseconds, format: significant, verbose: true },
  { title: "generator %", value: (result) => result.generatorCpuPercent, format: percent, verbose: true },
]

// biome-ignore format: a table reads best with a row a line
const durableColumns: Column<DurableResult>[] = [
  { title: "acked/s", value: (result) => result.messagesPerSecond, format: grouped, better: "more" },
  { title: "CPU µs/msg", value: (result) => result.brokerCpuMicrosecondsPerMessage, format: significant, better: "less" },
  { title: "ack p50 ms", value: (result) => result.latencyMilliseconds.p50, format: significant, better: "less" },
  { title: "ack p99 ms", value: (result) => result.latencyMilliseconds.p99, format: significant, better: "less" },
  { title: "fetched/s", value: (result) => result.fetchedPerSecond ?? Number.NaN, format: ifAny(grouped), better: "more" },
  ...judgement,
  ...memory,
  { title: "CPU %", value: (result) => result.brokerCpuPercent, format: percent, verbose: true },
  { title: "late p99 ms", value: (result) => result.generatorLatenessMilliseconds ?? Number.NaN, format: ifAny(significant), verbose: true },
  { title: "generator %", value: (result) => result.generatorCpuPercent, format: percent, verbose: true },
]

// biome-ignore format: a table reads best with a row a line
const backlogColumns: Column<BacklogResult>[] = [
  { title: "filled/s", value: (result) => result.filledPerSecond, format: grouped, better: "more" },
  { title: "grown MiB", value: (result) => result.grownBytes, format: mebibytes, better: "less" },
  { title: "at most MiB", value: (result) => result.peakGrownBytes, format: mebibytes, better: "less" },
  { title: "files MiB", value: (result) => result.storedBytes, format: mebibytes, better: "less" },
  { title: "start ms", value: (result) => result.startMilliseconds, format: grouped, better: "less" },
  { title: "fetched/s", value: (result) => result.fetchedPerSecond, format: grouped, better: "more" },
  ...judgement,
  ...memory,
]

/** The broker's memory comes and goes by hundreds of KiB on its own: with few connections the quotient says nothing. */
const leastConnections = 1000
const kibibytesPerConnection = ({ connections, bytesPerConnection }: IdleResult) =>
  connections < leastConnections ? Number.NaN : bytesPerConnection / 1024

// biome-ignore format: a table reads best with a row a line
const idleColumns: Column<IdleResult>[] = [
  { title: "connections", value: (result) => result.connections, format: grouped },
  { title: "KiB/connection", value: kibibytesPerConnection, format: ifAny(significant), better: "less" },
  { title: "CPU %", value: (result) => result.brokerCpuPercent, format: (value) => value.toFixed(2) },
  { title: "connects/s", value: (result) => result.connectionsPerSecond, format: grouped, better: "more" },
  { title: "CPU µs/connect", value: (result) => result.cpuMicrosecondsPerConnect, format: significant, better: "less" },
  { title: "again/s", value: ({ again }) => again.connectionsPerSecond, format: grouped, better: "more" },
  { title: "CPU µs/again", value: ({ again }) => again.cpuMicrosecondsPerConnect, format: significant, better: "less" },
  ...memory,
]

/** Of a broker that tells. */
const longestPause = [
  {
    title: "GC max ms",
    value: ({ pauses }: { pauses?: Pauses }) => pauses?.longestMilliseconds ?? Number.NaN,
    format: ifAny(significant),
  },
] as const

// biome-ignore format: a table reads best with a row a line
const mixtureColumns: Column<MixtureResult>[] = [
  { title: "p50 ms", value: (result) => result.latencyMilliseconds.p50, format: significant, better: "less" },
  { title: "p99 ms", value: (result) => result.latencyMilliseconds.p99, format: significant, better: "less" },
  { title: "p99.9 ms", value: (result) => result.latencyMilliseconds.p999, format: significant, better: "less" },
  { title: "max ms", value: (result) => result.latencyMilliseconds.maximum, format: significant, better: "less" },
  { title: "late p99 ms", value: (result) => result.generatorLatenessMilliseconds, format: significant },
  { title: "fanned out/s", value: (result) => result.fannedOutPerSecond, format: grouped, better: "more" },
  { title: "replays/s", value: (result) => result.replaysPerSecond, format: significant, better: "more" },
  ...longestPause,
  ...judgement,
  ...memory,
  { title: "CPU %", value: (result) => result.brokerCpuPercent, format: percent, verbose: true },
]

// biome-ignore format: a table reads best with a row a line
const steadyColumns: Column<SteadyResult>[] = [
  { title: "most/s", value: (result) => result.maximumMessagesPerSecond, format: grouped, better: "more" },
  { title: "messages/s", value: (result) => result.messagesPerSecond, format: grouped },
  { title: "guests/s", value: (result) => result.visitsPerSecond, format: grouped },
  { title: "p50 ms", value: (result) => result.latencyMilliseconds.p50, format: significant, better: "less" },
  { title: "p99 ms", value: (result) => result.latencyMilliseconds.p99, format: significant, better: "less" },
  { title: "p99.9 ms", value: (result) => result.latencyMilliseconds.p999, format: significant, better: "less" },
  { title: "max ms", value: (result) => result.latencyMilliseconds.maximum, format: significant, better: "less" },
  { title: "late p99 ms", value: (result) => result.generatorLatenessMilliseconds, format: significant },
  { title: "late max ms", value: (result) => result.generatorLongestLatenessMilliseconds, format: significant },
  ...longestPause,
  ...judgement,
  { title: "first MiB", value: (result) => result.firstResidentBytes, format: mebibytes },
  { title: "last MiB", value: (result) => result.residentBytes, format: mebibytes, better: "less" },
  { title: "KiB/min", value: (result) => result.residentBytesPerMinute / 1024, format: grouped },
  { title: "CPU µs/msg", value: (result) => result.brokerCpuMicrosecondsPerMessage, format: significant, better: "less" },
  { title: "CPU %", value: (result) => result.brokerCpuPercent, format: percent, verbose: true },
  { title: "generator %", value: (result) => result.generatorCpuPercent, format: percent, verbose: true },
]

const summarize = <T>(column: Column<T>, results: readonly T[]) =>
  column.worst ? Math.max(...results.map(column.value)) : median(results.map(column.value))

function tabulate<T extends Result>(
  kind: T["kind"],
  columns: readonly Column<T>[],
  outcomes: readonly Outcome[],
  brokers: readonly Subject[],
): Table {
  const table: Table = { head: ["scenario", "broker", ...columns.map(({ title }) => title)], rows: [] }
  const isOfKind = (result: Result): result is T => result.kind === kind
  for (const scenario of new Set(outcomes.map((outcome) => outcome.scenario))) {
    const perBroker = brokers.map(({ label: broker }) => {
      const own = outcomes.filter((outcome) => outcome.scenario === scenario && outcome.broker === broker)
      return own.map((outcome) => outcome.result).filter(isOfKind)
    })
    let title = scenario.title
    for (const [index, results] of perBroker.entries()) {
      if (results.length === 0) continue
      const cells = columns.map((column) => column.format(summarize(column, results)))
      table.rows.push([title, brokers[index]!.label, ...cells])
      title = ""
    }
    for (const { label, others } of comparisons(brokers)) {
      const beside = others.map((index) => perBroker[index]!).filter(({ length }) => length > 0)
      if (perBroker[0]!.length === 0 || beside.length === 0) continue
      const ratios = columns.map((column) => ratioTo(beside, perBroker[0]!, column))
      table.rows.push(["", pc.bold(label), ...ratios])
    }
  }
  return table
}

/** The rows of ratios: what the first broker is set beside, as indices of others. */
function comparisons(brokers: readonly Subject[]): { label: string; others: number[] }[] {
  if (brokers.length === 2) return [{ label: "ratio", others: [1] }]
  const others = [...brokers.keys()].slice(1)
  const peers = others.filter((index) => !brokers[index]!.isYardstick)
  const peer = peers.length === 1 ? brokers[peers[0]!]!.label : "next best"
  return [
    { label: `of ${peer}`, others: peers },
    ...others
      .filter((index) => !peers.includes(index))
      .map((index) => ({ label: `of ${brokers[index]!.label}`, others: [index] })),
  ]
}

/** What `own` is of the best of the others in this column. */
function ratioTo<T>(others: readonly (readonly T[])[], own: readonly T[], column: Column<T>): string {
  const { better } = column
  if (better === undefined) return ""
  const values = others.map((results) => summarize(column, results)).filter((value) => !Number.isNaN(value))
  const best = better === "more" ? Math.max(...values) : Math.min(...values)
  const quotient = summarize(column, own) / best
  return best > 0 && Number.isFinite(quotient) ? ratio(quotient, better) : ""
}

/**
 * All tables, and what failed. `brokers` are in the order of their rows; the first is the one that the ratios are of.
 *
 *     report(outcomes, [{ label: "manju" }, { label: "mosquitto" }], { markdown: true, verbose: false })
 */
export function report(
  outcomes: readonly Outcome[],
  brokers: readonly Subject[],
  options: { markdown: boolean; verbose: boolean },
): string {
  const shown = <T>(columns: readonly Column<T>[]) => columns.filter((column) => options.verbose || !column.verbose)
  const tables = [
    tabulate<TrafficResult>("traffic", shown(trafficColumns), outcomes, brokers),
    tabulate<DurableResult>("durable", shown(durableColumns), outcomes, brokers),
    tabulate<BacklogResult>("backlog", backlogColumns, outcomes, brokers),
    tabulate<IdleResult>("idle", idleColumns, outcomes, brokers),
    tabulate<MixtureResult>("mixture", shown(mixtureColumns), outcomes, brokers),
    tabulate<SteadyResult>("steady", shown(steadyColumns), outcomes, brokers),
    ...outcomes.flatMap(({ broker, result }) => (result.kind === "steady" ? [courseOf(broker, result.samples)] : [])),
  ]
  const parts = tables.filter(({ rows }) => rows.length > 0).map((table) => rendered(table, options))
  const failures = outcomes.flatMap(({ scenario, broker, round, result }) =>
    result.kind === "failed" ? [`${scenario.name}, ${broker}, round ${round}: ${result.reason}`] : [],
  )
  if (failures.length > 0) parts.push([options.markdown ? "failed:" : pc.red("failed:"), ...failures].join("\n"))
  return parts.join("\n\n")
}

/** How a steady run went on, minute by minute: memory at the end of each, latencies of its worst sample. */
function courseOf(broker: string, samples: readonly SteadySample[]): Table {
  const minutes = Map.groupBy(samples, ({ seconds }) => Math.ceil(seconds / 60 - 0.5))
  const worst = (ofMinute: SteadySample[], name: keyof SteadySample) =>
    significant(Math.max(...ofMinute.map((sample) => sample[name])))
  return {
    head: ["broker", "minute", "RSS MiB", "worst p50 ms", "worst p99 ms", "worst p99.9 ms", "max ms"],
    rows: Array.from(minutes, ([minute, ofMinute]) => [
      broker,
      String(minute),
      mebibytes(ofMinute.at(-1)!.residentBytes),
      worst(ofMinute, "p50Milliseconds"),
      worst(ofMinute, "p99Milliseconds"),
      worst(ofMinute, "p999Milliseconds"),
      worst(ofMinute, "longestMilliseconds"),
    ]),
  }
}

/** One line about one measurement, while the run goes on. */
export function brief(outcome: Outcome): string {
  const { scenario, broker, result } = outcome
  return `${scenario.name.padEnd(18)} ${broker.padEnd(10)} ${briefResult(result)}`
}

function briefResult(result: Result): string {
  switch (result.kind) {
    case "failed":
      return pc.red(`failed: ${result.reason}`)
    case "idle":
      return `${grouped(result.connectionsPerSecond).padStart(10)} connects/s, ${grouped(result.again.connectionsPerSecond)} again, RSS ${mebibytes(result.residentBytes)} MiB, ${percent(result.brokerCpuPercent)} % CPU`
    case "mixture": {
      const { latencyMilliseconds, fannedOutPerSecond, replaysPerSecond } = result
      const { p50, p99, maximum } = latencyMilliseconds
      const latencies = `p50 ${significant(p50)} ms, p99 ${significant(p99)} ms, at most ${significant(maximum)} ms`
      const storm = `${grouped(fannedOutPerSecond)}/s fanned out, ${significant(replaysPerSecond)} replays/s`
      return `${latencies}, beside ${storm}${briefTrouble(result)}`
    }
    case "steady": {
      const { messagesPerSecond, latencyMilliseconds, firstResidentBytes, residentBytes, pauses } = result
      const { p50, p999, maximum } = latencyMilliseconds
      const latencies = `p50 ${significant(p50)} ms, p99.9 ${significant(p999)} ms, at most ${significant(maximum)} ms`
      const memory = `${mebibytes(firstResidentBytes)} to ${mebibytes(residentBytes)} MiB`
      const collections = pauses === undefined ? "" : `, GC at most ${significant(pauses.longestMilliseconds)} ms`
      return `${grouped(messagesPerSecond)}/s, ${latencies}, ${memory}${collections}${briefTrouble(result)}`
    }
    case "backlog": {
      const { filledPerSecond, startMilliseconds, fetchedPerSecond } = result
      const phases = `filled ${grouped(filledPerSecond)}/s, started in ${grouped(startMilliseconds)} ms, fetched ${grouped(fetchedPerSecond)}/s`
      return phases + briefTrouble(result)
    }
    case "traffic":
    case "durable": {
      const { messagesPerSecond, brokerCpuPercent, generatorCpuPercent } = result
      const cpu = `CPU: broker ${percent(brokerCpuPercent)} %, generator ${percent(generatorCpuPercent)} %`
      return `${grouped(messagesPerSecond).padStart(10)}/s, ${cpu}${briefTrouble(result)}`
    }
  }
}

function briefTrouble({ lost, disordered, corrupted }: Judgement): string {
  const sum = lost + disordered + corrupted
  return sum === 0 ? "" : `, ${pc.red(`${sum} lost or bad`)}`
}

/**
 * From raw results to tables. A cell is the median over the rounds; losses are the worst round's. With two brokers a
 * third row has the first divided by the second, so that both directions read alike: 5.0x the messages, 0.2x the CPU.
 */
import pc from "picocolors"
import type {
  BacklogResult,
  DurableResult,
  IdleResult,
  Judgement,
  Result,
  Scenario,
  TrafficResult,
} from "./scenarios.ts"

export type Outcome = { scenario: Scenario; broker: string; round: number; startMilliseconds?: number; result: Result }

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

const grouped = (value: number) => Math.round(value).toLocaleString("en-US")
const mebibytes = (bytes: number) => (bytes / 1024 / 1024).toFixed(1)
const trouble = (value: number) => (value > 0 ? pc.red(grouped(value)) : "0")
const percent = (value: number) => value.toFixed(1)
const significant = (value: number) => (value >= 100 ? grouped(value) : value.toPrecision(3))
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

// biome-ignore format: a table reads best with a row a line
const idleColumns: Column<IdleResult>[] = [
  { title: "KiB/connection", value: (result) => result.bytesPerConnection / 1024, format: significant, better: "less" },
  { title: "CPU %", value: (result) => result.brokerCpuPercent, format: (value) => value.toFixed(2) },
  { title: "connects/s", value: (result) => result.connectionsPerSecond, format: grouped, better: "more" },
  ...memory,
]

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

const summarize = <T>(column: Column<T>, results: readonly T[]) =>
  column.worst ? Math.max(...results.map(column.value)) : median(results.map(column.value))

/** A table as cells of text; a row of one cell runs across. */
export type Table = { head: string[]; rows: string[][] }

function tabulate<T extends Result>(
  kind: T["kind"],
  columns: readonly Column<T>[],
  outcomes: readonly Outcome[],
  brokers: readonly string[],
): Table {
  const table: Table = { head: ["scenario", "broker", ...columns.map(({ title }) => title)], rows: [] }
  const isOfKind = (result: Result): result is T => result.kind === kind
  for (const scenario of new Set(outcomes.map((outcome) => outcome.scenario))) {
    const perBroker = brokers.map((broker) => {
      const own = outcomes.filter((outcome) => outcome.scenario === scenario && outcome.broker === broker)
      return own.map((outcome) => outcome.result).filter(isOfKind)
    })
    let title = scenario.title
    for (const [index, results] of perBroker.entries()) {
      if (results.length === 0) continue
      const cells = columns.map((column) => column.format(summarize(column, results)))
      table.rows.push([title, brokers[index]!, ...cells])
      title = ""
    }
    const [own, other] = perBroker
    if (!own?.length || !other?.length) continue
    const ratios = columns.map((column) => {
      const divisor = summarize(column, other)
      return column.better && divisor > 0 ? ratio(summarize(column, own) / divisor, column.better) : ""
    })
    table.rows.push(["", pc.bold("ratio"), ...ratios])
  }
  return table
}

function ratio(value: number, better: "more" | "less"): string {
  const label = `${value >= 10 ? value.toFixed(0) : value.toFixed(2)}x`
  if (value === 1) return label
  return value > 1 === (better === "more") ? pc.green(label) : pc.red(label)
}

const plain = (cell: string) => Bun.stripANSI(cell)

function terminal({ head, rows }: Table): string {
  const widths = head.map((title, index) => Math.max(title.length, ...rows.map((row) => Bun.stringWidth(row[index]!))))
  const pad = (cell: string, index: number) => {
    const blanks = " ".repeat(widths[index]! - Bun.stringWidth(cell))
    return index < 2 ? cell + blanks : blanks + cell
  }
  const line = (cells: string[]) => cells.map(pad).join("  ").trimEnd()
  return [pc.dim(line(head)), ...rows.map(line)].join("\n")
}

function markdown({ head, rows }: Table): string {
  const line = (cells: string[]) => `| ${cells.map(plain).join(" | ")} |`
  return [line(head), line(head.map((_, index) => (index < 2 ? "---" : "---:"))), ...rows.map(line)].join("\n")
}

export function rendered(table: Table, options: { markdown: boolean }): string {
  return options.markdown ? markdown(table) : terminal(table)
}

export function report(
  outcomes: readonly Outcome[],
  brokers: readonly string[],
  options: { markdown: boolean; verbose: boolean },
): string {
  const shown = <T>(columns: readonly Column<T>[]) => columns.filter((column) => options.verbose || !column.verbose)
  const tables = [
    tabulate<TrafficResult>("traffic", shown(trafficColumns), outcomes, brokers),
    tabulate<DurableResult>("durable", shown(durableColumns), outcomes, brokers),
    tabulate<BacklogResult>("backlog", backlogColumns, outcomes, brokers),
    tabulate<IdleResult>("idle", idleColumns, outcomes, brokers),
  ]
  const parts = tables.filter(({ rows }) => rows.length > 0).map((table) => rendered(table, options))
  const failures = outcomes.flatMap(({ scenario, broker, round, result }) =>
    result.kind === "failed" ? [`${scenario.name}, ${broker}, round ${round}: ${result.reason}`] : [],
  )
  if (failures.length > 0) parts.push([pc.red("failed:"), ...failures].join("\n"))
  return parts.join("\n\n")
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
      return `${significant(result.bytesPerConnection / 1024)} KiB/connection, ${percent(result.brokerCpuPercent)} % CPU`
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

/** The table at the front of README: a line for each thing that a broker is asked for, a column for each broker, the best in bold. */
import { mebibytes, ratio, rendered, significant } from "../table.ts"
import { compact } from "./numbers.ts"
import { type Figure, figures, Outcomes } from "./outcomes.ts"
import type { LoadResults, Results } from "./results.ts"

type Line = {
  file: "throughput" | "latency" | "connections"
  scenario: string
  unit: string
  figure: Figure
  format: (value: number) => string
  better: "more" | "less"
}

const throughput = {
  file: "throughput",
  unit: "messages/s",
  figure: figures.messagesPerSecond,
  format: compact,
  better: "more",
} as const
const latency = { file: "latency", scenario: "latency-100", format: significant, better: "less" } as const
const connections = { file: "connections", scenario: "idle-20000" } as const

// biome-ignore format: a table reads best with a row a line
const lines: readonly Line[] = [
  { ...throughput, scenario: "pairs-1" },
  { ...throughput, scenario: "pairs-10" },
  { ...throughput, scenario: "fanout-100" },
  { ...throughput, scenario: "qos1-10" },
  { ...throughput, scenario: "qos2-10" },
  { ...latency, unit: "p50 ms", figure: figures.p50Milliseconds },
  { ...latency, unit: "p99 ms", figure: figures.p99Milliseconds },
  { ...latency, unit: "p99.9 ms", figure: figures.p999Milliseconds },
  { ...latency, unit: "CPU µs/message", figure: figures.cpuMicrosecondsPerMessage },
  { ...latency, unit: "RSS MiB", figure: figures.residentBytes, format: mebibytes },
  { ...latency, scenario: "gateway-100", unit: "CPU µs/message", figure: figures.cpuMicrosecondsPerMessage },
  { ...connections, unit: "KiB each", figure: figures.bytesPerConnection, format: (bytes) => significant(bytes / 1024), better: "less" },
  { ...connections, unit: "connects/s", figure: figures.connectionsPerSecond, format: compact, better: "more" },
  { ...connections, unit: "all again, connects/s", figure: figures.reconnectionsPerSecond, format: compact, better: "more" },
]

/** As Markdown; "" without results of the throughput. A broker that was not asked for something has an empty cell there. */
export function headline(results: Results): string {
  if (!results.throughput) return ""
  const { brokers } = new Outcomes(results.throughput)
  const rows = lines.flatMap((line) => {
    const file: LoadResults | undefined = results[line.file]
    return file ? rowOf(line, new Outcomes(file), brokers) : []
  })
  // A scenario's title stands once.
  const shown = rows.map(([title, ...cells], index) => [title === rows[index - 1]?.[0] ? "" : title!, ...cells])
  const [own, ...others] = brokers
  const table = rendered({ head: ["", "", own!, "of the best other", ...others], rows: shown }, { markdown: true })
  return rows.flat().some((cell) => cell.includes(lossMark))
    ? `${table}\n\n${lossMark} with messages lost or out of order`
    : table
}

const lossMark = "†"

function rowOf(
  { scenario, unit, figure, format, better }: Line,
  outcomes: Outcomes,
  brokers: readonly string[],
): string[][] {
  const values = new Map(brokers.map((broker) => [broker, outcomes.median(scenario, broker, figure)]))
  const own = values.get(brokers[0]!)
  if (own === undefined) return []
  const others = brokers.flatMap((broker) => (outcomes.role(broker) === "other" ? (values.get(broker) ?? []) : []))
  const choose = better === "more" ? Math.max : Math.min
  const best = choose(own, ...others)
  const cells = brokers.map((broker) => {
    const value = values.get(broker)
    if (value === undefined) return ""
    const text = outcomes.isFaulty(scenario, broker) ? `${format(value)} ${lossMark}` : format(value)
    return value === best && outcomes.role(broker) !== "yardstick" ? `**${text}**` : text
  })
  const quotient = others.length > 0 ? ratio(own / choose(...others), better) : ""
  return [[outcomes.titleOf(scenario), unit, cells[0]!, quotient, ...cells.slice(1)]]
}

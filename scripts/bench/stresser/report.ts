/**
 * From raw results to tables, one for each run, as Mochi's README has them. A cell is the median over the rounds, and the best of a column is
 * bold. A round in which a client did not get all of its messages is in no cell: how many rounds count stands beside, what happened below.
 */
import pc from "picocolors"
import { grouped, median, rendered, type Table } from "../table.ts"
import type { Rates, Report } from "./output.ts"

/** So many clients publish so many messages each, and each gets its own. */
export type Run = { clients: number; messages: number }

/** Of a whole run: CPU time, all of it one machine's, so that what one of them does not take the other may, and what made the broker run. */
export type Cost = { brokerMilliseconds: number; brokerWakeUps: number; toolMilliseconds: number }

export type Result =
  | ({ kind: "complete"; cost: Cost } & Report)
  | ({ kind: "incomplete"; reason: string; cost: Cost } & Report)
  | { kind: "failed"; reason: string }

export type Outcome = { run: Run; broker: string; round: number; result: Result }

/** `10 clients x 1,000 messages` */
export const titleOfRun = ({ clients, messages }: Run) =>
  `${clients} ${clients === 1 ? "client" : "clients"} x ${grouped(messages)} messages`

/** What a report comes to, with the reason where it is not complete. */
export function judged({ clients, messages }: Run, report: Report, cost: Cost): Result {
  const { receivedMessages, completedClients, failedClients } = report
  const wanted = clients * messages
  if (receivedMessages === wanted) return { kind: "complete", cost, ...report }
  const reason = [
    `${grouped(completedClients)} of ${grouped(clients)} clients completed`,
    `${grouped(receivedMessages)} of ${grouped(wanted)} messages were received`,
    ...Object.entries(failedClients).map(([name, count]) => `${name} ${grouped(count)}`),
  ].join(", ")
  return { kind: "incomplete", reason, cost, ...report }
}

/** How a run went with one broker: medians over the rounds that are complete. */
export type Summary = {
  broker: string
  rounds: number
  completeRounds: number
  /** Undefined without a complete round. */
  rates: { publishing: Rates; receiving: Rates } | undefined
  cost: Cost | undefined
}

/** In the order of their first outcomes, and within each in that of `brokers`. */
export function summarized(outcomes: readonly Outcome[], brokers: readonly string[]): [Run, Summary[]][] {
  const ofRun = Map.groupBy(outcomes, ({ run }) => titleOfRun(run))
  return Array.from(ofRun.values(), (group) => [group[0]!.run, brokers.map((broker) => summarizedOf(broker, group))])
}

function summarizedOf(broker: string, outcomes: readonly Outcome[]): Summary {
  const own = outcomes.filter((outcome) => outcome.broker === broker)
  const complete = own.map(({ result }) => result).filter((result) => result.kind === "complete")
  const medians = (rates: (report: Report) => Rates): Rates => {
    const of = (name: keyof Rates) => median(complete.map((report) => rates(report)[name]))
    return { fastest: of("fastest"), slowest: of("slowest"), median: of("median") }
  }
  const rates = {
    publishing: medians(({ publishing }) => publishing),
    receiving: medians(({ receiving }) => receiving),
  }
  const costs = (name: keyof Cost) => median(complete.map(({ cost }) => cost[name]))
  const cost: Cost = {
    brokerMilliseconds: costs("brokerMilliseconds"),
    brokerWakeUps: costs("brokerWakeUps"),
    toolMilliseconds: costs("toolMilliseconds"),
  }
  const counts = { broker, rounds: own.length, completeRounds: complete.length }
  return complete.length > 0 ? { ...counts, rates, cost } : { ...counts, rates: undefined, cost: undefined }
}

type Column = { title: string; of: (summary: Summary) => number | undefined; better?: "more" | "less" }

const columns: readonly Column[] = [
  { title: "SEND max", of: ({ rates }) => rates?.publishing.fastest, better: "more" },
  { title: "min", of: ({ rates }) => rates?.publishing.slowest, better: "more" },
  { title: "median", of: ({ rates }) => rates?.publishing.median, better: "more" },
  { title: "RECV max", of: ({ rates }) => rates?.receiving.fastest, better: "more" },
  { title: "min", of: ({ rates }) => rates?.receiving.slowest, better: "more" },
  { title: "median", of: ({ rates }) => rates?.receiving.median, better: "more" },
  { title: "broker CPU ms", of: ({ cost }) => cost?.brokerMilliseconds, better: "less" },
  { title: "wake-ups", of: ({ cost }) => cost?.brokerWakeUps },
  { title: "tool CPU ms", of: ({ cost }) => cost?.toolMilliseconds },
]

function tabulate(summaries: readonly Summary[], emphasized: (text: string) => string): Table {
  const best = columns.map(({ of, better }) => {
    const values = summaries.flatMap((summary) => of(summary) ?? [])
    return better && (better === "less" ? Math.min(...values) : Math.max(...values))
  })
  const rows = summaries.map((summary) => {
    const { broker, rounds, completeRounds } = summary
    const cells = columns.map(({ of }, index) => {
      const value = of(summary)
      if (value === undefined) return ""
      return value === best[index] ? emphasized(grouped(value)) : grouped(value)
    })
    return [broker, completeRounds === rounds ? `${rounds}` : `${completeRounds} of ${rounds}`, ...cells]
  })
  return { head: ["broker", "rounds", ...columns.map(({ title }) => title)], rows }
}

/**
 * In how many cells, SEND or RECV of a run, the median of the first broker is the highest, and who is ahead in the others:
 *
 *     manju's median is the highest in 7 of 8 cells. Ahead of it: aedes in SEND of 1 client x 10,000 messages (52,000; manju 51,000).
 */
export function standing(runs: readonly [Run, readonly Summary[]][], brokers: readonly string[]): string {
  const [first] = brokers
  const behind: string[] = []
  for (const [run, summaries] of runs) {
    for (const [title, direction] of [
      ["SEND", "publishing"],
      ["RECV", "receiving"],
    ] as const) {
      const medianOf = ({ rates }: Summary) => rates?.[direction].median ?? 0
      const [best] = summaries.toSorted((a, b) => medianOf(b) - medianOf(a))
      const own = medianOf(summaries.find(({ broker }) => broker === first)!)
      if (own > 0 && own === medianOf(best!)) continue
      behind.push(
        `${best!.broker} in ${title} of ${titleOfRun(run)} (${grouped(medianOf(best!))}; ${first} ${grouped(own)})`,
      )
    }
  }
  const count = runs.length * 2
  const claim = `${first}'s median is the highest in ${count - behind.length} of ${count} cells.`
  return behind.length === 0 ? claim : `${claim} Ahead of it: ${behind.join(", ")}.`
}

/** Of every round that is not complete: which, and why. */
export function failures(outcomes: readonly Outcome[]): string[] {
  return outcomes.flatMap(({ run, broker, round, result }) =>
    result.kind === "complete" ? [] : [`${titleOfRun(run)}, ${broker}, round ${round}: ${result.reason}`],
  )
}

export function report(
  outcomes: readonly Outcome[],
  brokers: readonly string[],
  options: { markdown: boolean },
): string {
  const title = (text: string) => (options.markdown ? text : pc.red(text))
  const bold = (text: string) => (options.markdown ? `**${text}**` : pc.bold(text))
  const runs = summarized(outcomes, brokers)
  const parts = runs.flatMap(([run, summaries]) => [
    bold(titleOfRun(run)),
    rendered(tabulate(summaries, bold), options),
  ])
  if (brokers.length > 1) parts.push(standing(runs, brokers))
  const failed = failures(outcomes)
  if (failed.length > 0) parts.push(title("Rounds that do not count:"), failed.map((each) => `- ${each}`).join("\n"))
  return parts.join("\n\n")
}

/** One line about one measurement, while the run goes on. */
export function brief({ run, broker, result }: Outcome): string {
  const begin = `${titleOfRun(run).padEnd(30)} ${broker.padEnd(16)}`
  if (result.kind === "failed") return `${begin} ${pc.red(`failed: ${result.reason}`)}`
  const medians = `SEND ${grouped(result.publishing.median)}, RECV ${grouped(result.receiving.median)}`
  return `${begin} ${medians}${result.kind === "incomplete" ? pc.red(`; ${result.reason}`) : ""}`
}

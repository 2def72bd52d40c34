/**
 * The texts that are made of results: what stands in README between markers, and RESULTS.md beside this file, which has all of it. Each part
 * ends with the machine, the versions, the day and the command that measures it again, as the results have them.
 */
import { relative } from "node:path"
import { report as growthReport } from "../growth/report.ts"
import { report as loadReport } from "../load/report.ts"
import { tabulate as startupTable } from "../startup/index.ts"
import { report as stresserReport } from "../stresser/report.ts"
import { rendered } from "../table.ts"
import { growth } from "./charts/growth.ts"
import { latency } from "./charts/latency.ts"
import { payload } from "./charts/payload.ts"
import { steady } from "./charts/steady.ts"
import { throughput } from "./charts/throughput.ts"
import { type Drawing, svgOf } from "./drawing.ts"
import { headline } from "./headline.ts"
import { Outcomes } from "./outcomes.ts"
import { type Circumstances, type LoadResults, type Results, repository } from "./results.ts"

/** By the names of their files. */
const charts = { throughput, payload, latency, growth, steady }
type Chart = keyof typeof charts

const markdown = { markdown: true, verbose: false }

/** The files of SVG, by their names. */
export function drawings(results: Results): Record<string, string> {
  const drawn = Object.entries(charts).flatMap(([name, draw]) => {
    const drawing = draw(results)
    return drawing ? [[`${name}.svg`, svgOf(drawing)]] : []
  })
  return Object.fromEntries(drawn)
}

/** What there is to tell of a file of results; nothing where there is no such file. */
type Part = {
  title: string
  file: keyof Results
  charts: readonly Chart[]
  /** What one has to know to read it. */
  note?: string
  tables?: (results: Results) => string
  /** In README, too: all of it, or the charts. Where the throughput comes from is told in front. */
  inReadme?: "whole" | "charts"
}

const notes = {
  durable:
    "manju syncs the disk before it acknowledges. Mosquitto with `persistence true` syncs nothing: it writes its file every half hour, and when it stops.",
  stresser:
    "[inovex's mqtt-stresser](https://github.com/inovex/mqtt-stresser) in the four runs of Mochi's README, in messages a second of one client: the fastest, the slowest, the median. SEND is how fast a client gets rid of its messages, RECV how fast it then reads those that wait for it. Both are bounded by the tool, which takes two to five times the CPU of most brokers (on the right, for a whole run) and shares two cores with them: who has a core at which moment makes the rounds of one broker differ by up to a factor of two, more than most medians do. The exceptions in SEND are brokers that take their messages late and leave the tool its time, and are slow in RECV: the same manju at idle priority (`chrt --idle 0`), which runs only while the tool waits, is sent to up to twice as fast. With a core each, in RESULTS.md, that shows.",
  profile:
    "The same with a core for the broker and one for the tool, so that neither can take the other's. What a broker delivers while the tool still sends takes the tool's time from its sending: by and large, the more often a broker is woken, each time for a few messages that it forwards at once, the slower it is sent to. With 10 clients x 10,000 the tool's own CPU time grows along. 10 clients x 1,000 are over in a tenth of a second, and tell the least.",
  latency:
    "Most of what is seen is the machine: the rounds of one broker differ by more than the brokers do. The relay is the least that there can be on Bun: what it takes of the CPU, most of what manju takes, is an event loop that is woken for each message.",
  connections:
    "connects/s is what a broker does that has just been started: manju's first thousands of clients go through code that is not compiled yet. For again/s all of them have said goodbye and come once more. The relay is the least that a connection takes on Bun. The rounds of one broker differ by up to a half: from some thousands of clients on it is the load generator that connects no faster.",
  steady:
    "An open loop at half of the rate at which it just keeps up, while clients come and go. The relay, at half of its own, tells how much of the latency is the machine's, the generator's and Bun's.",
  growth:
    "The broker in memory, without sockets. Of however many subscriptions there are a topic matches one. The dashed line is a yardstick, one look-up in a plain Map of as many topics: what is looked at is in the processor's caches the less, the more there is, and a first match looks up several things, as many among a million as among a few.",
  mixture:
    "Messages of one pair, while one client reads slowly what it has subscribed to, others fetch 10,000 retained messages again and again, and a publisher has 1,000 subscribers.",
}

// biome-ignore format: a table reads best with a row a line
const parts: readonly Part[] = [
  { title: "Raw load", file: "throughput", charts: ["throughput"], tables: ({ throughput }) => load(throughput!) },
  { title: "Payloads of different sizes", file: "payload", charts: ["payload"], inReadme: "charts", tables: ({ payload }) => load(payload!) },
  { title: "Latency at a fixed rate", file: "latency", charts: ["latency"], note: notes.latency, tables: ({ latency }) => load(latency!), inReadme: "charts" },
  { title: "A quiet pair beside a storm", file: "mixture", charts: [], note: notes.mixture, tables: ({ mixture }) => load(mixture!), inReadme: "whole" },
  { title: "Half of what it can do, for long", file: "steady", charts: ["steady"], note: notes.steady, tables: ({ steady }) => load(steady!), inReadme: "charts" },
  { title: "As subscriptions and retained messages become many", file: "growth", charts: ["growth"], note: notes.growth, tables: ({ growth }) => growthReport(growth!.costs, markdown), inReadme: "charts" },
  { title: "Connections that say nothing", file: "connections", charts: [], note: notes.connections, tables: ({ connections }) => load(connections!) },
  { title: "With a file to keep things in", file: "durable", charts: [], note: notes.durable, tables: ({ durable }) => load(durable!), inReadme: "whole" },
  { title: "mqtt-stresser", file: "stresser", charts: [], note: notes.stresser, tables: ({ stresser }) => stresserReport(stresser!.outcomes, labelsOf(stresser!), markdown), inReadme: "whole" },
  { title: "mqtt-stresser, a core each", file: "profile", charts: [], note: notes.profile, tables: ({ profile }) => stresserReport(profile!.outcomes, labelsOf(profile!), markdown) },
  { title: "A start", file: "startup", charts: [], tables: ({ startup }) => rendered(startupTable(new Map(Object.entries(startup!.starts))), markdown) },
]

/** What stands in README, by the names of its markers. */
export function sections(results: Results): Record<string, string> {
  const folder = relative(repository, import.meta.dir)
  const { throughput } = results
  const details = parts
    .filter(({ file, inReadme }) => results[file] && inReadme)
    .map(({ title, file, charts, note, tables, inReadme }) => {
      const shown = [...charts.map((name) => image(results, name, folder)), inReadme === "whole" && tables?.(results)]
      return joined([`**${title}**`, note, ...shown, file !== "throughput" && origin(results[file]!)])
    })
  return {
    headline: throughput
      ? joined([headline(results), image(results, "throughput", folder), origin(throughput)])
      : "Nothing has been measured.",
    details: joined(details),
  }
}

/** RESULTS.md. */
export function document(results: Results): string {
  const measured = parts
    .filter(({ file }) => results[file])
    .map(({ title, file, charts, note, tables }) => {
      const shown = [...charts.map((name) => image(results, name, ".")), tables?.(results)]
      return joined([`## ${title}`, note, ...shown, origin(results[file]!)])
    })
  return `# Results

Made by \`bun run bench figures\` of the files in [results](results). What is measured, and how, is said by \`bun run bench help\` and in the
first lines of each room of [scripts/bench](..).

${joined(measured)}
`
}

/** Replaces what stands between the markers of each section. Throws where README has none of that name. */
export function inserted(readme: string, texts: Record<string, string>): string {
  return Object.entries(texts).reduce((text, [name, section]) => {
    const [begin, end] = [`<!-- figures: ${name} -->`, "<!-- /figures -->"]
    const from = text.indexOf(begin) + begin.length
    const to = text.indexOf(end, from)
    if (from < begin.length || to < 0) throw new Error(`README.md has no ${begin} with ${end} behind it`)
    return `${text.slice(0, from)}\n\n${section}\n\n${text.slice(to)}`
  }, readme)
}

/** Without the colours that rooms give a terminal. */
const joined = (texts: readonly (string | false | undefined)[]) => Bun.stripANSI(texts.filter(Boolean).join("\n\n"))

function image(results: Results, name: Chart, folder: string): string | undefined {
  const drawing: Drawing | undefined = charts[name](results)
  return drawing && `![${drawing.title}](${folder}/${name}.svg)`
}

function load(results: LoadResults): string {
  const measured = new Outcomes(results)
  const subjects = measured.brokers.map((label) => ({
    label,
    ...(measured.role(label) === "yardstick" && { isYardstick: true as const }),
  }))
  return loadReport(results.outcomes, subjects, markdown)
}

const labelsOf = ({ versions }: Circumstances) => versions.brokers.map(({ label }) => label)

/** The command that measures it again, and what it was measured with. */
function origin({ command, date, machine, pinned, versions, options }: Circumstances): string {
  const brokers = versions.brokers.map(({ label, version }) => `${label} ${version}`.trim())
  const { cpu, cores, memoryBytes, kernel } = machine
  const facts = [
    brokers.join(", "),
    `Bun ${versions.bun}`,
    `${cpu}, ${cores} cores${pinned ? ", broker and load on one each" : ""}, ${Math.round(memoryBytes / 1024 ** 3)} GiB, Linux ${kernel}`,
    `${date.slice(0, 10)}`,
    `medians of ${options.rounds}`,
  ]
  return `    ${command}\n\n<sub>${facts.join("; ")}.</sub>`
}

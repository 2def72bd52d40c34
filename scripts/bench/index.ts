/**
 * `bun run bench`: measures manju, alone or in turn with another broker, and prints medians and ratios.
 *
 * For each scenario and round, each broker is started, put under load by a generator process (`load.ts`), sampled
 * and stopped; with two brokers they alternate, and take turns at going first, so that whatever else the machine
 * does hits both alike. Broker and generator are pinned to a CPU each. A measurement that fails is reported and the
 * run goes on; the exit code is then 1, and 2 for a mistake in the arguments.
 */
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { cpus, release, totalmem } from "node:os"
import { dirname, join } from "node:path"
import { Command, InvalidArgumentError, Option } from "commander"
import pc from "picocolors"
import { launchOf, manju, UsageError } from "./broker.ts"
import { isInMemory, syncMilliseconds, temporaryFolder } from "./disk.ts"
import { type Cpus, measure, type Site, warmupSeconds } from "./measure.ts"
import { allowedCpus } from "./proc.ts"
import type { Outcome } from "./report.ts"
import { brief, rendered, report } from "./report.ts"
import type { Scenario } from "./scenarios.ts"
import { isKept, scenarios } from "./scenarios.ts"
import { measureStartup } from "./startup.ts"

type Options = {
  against?: string
  broker?: string
  only?: string
  list?: true
  startup?: true
  seconds: number
  rounds: number
  protocol: "3.1.1" | "5"
  folder?: string
  json?: string
  markdown?: true
  verbose?: true
  pin: boolean
}

const examples = `
Examples:
  bun run bench                                     manju alone, every scenario
  bun run bench --against mosquitto                 both in turn, with ratios
  bun run bench --only pairs-10,qos1-10 --rounds 1  two scenarios, quickly
  bun run bench --only '^fanout' --protocol 5       scenarios by pattern, over MQTT 5
  bun run bench --against mosquitto --only durable,backlog --folder /mnt/card
  bun run bench --against 'nanomq start --url nmq-tcp://127.0.0.1:{port}'
  bun run bench --startup --rounds 9 --seconds 1    the start of manju: as one file, and from the sources
  bun run bench --broker relay --verbose            the ceiling, and the generator's own share of CPU`

function positive(text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new InvalidArgumentError("It takes a number above 0.")
  return value
}

function positiveInteger(text: string): number {
  if (!Number.isInteger(positive(text))) throw new InvalidArgumentError("It takes a whole number above 0.")
  return Number(text)
}

function readOptions(): Options {
  const command = new Command("bench")
    .description("Measures manju's throughput, CPU, latency, loss and memory.")
    .option("--against <broker>", "measure this one in turn: mosquitto, relay, or a command with {port}")
    .option("--broker <broker>", "measure this one in place of manju: the same choice")
    .option("--only <names>", "scenarios, by name or regular expression, separated by commas")
    .option("--list", "list the scenarios and end")
    .option("--startup", "measure, in place of scenarios, from exec to listening, and the memory after --seconds idle")
    .option(
      "--seconds <n>",
      `length of a measurement, after ${warmupSeconds} s of warm-up (latency-100: 20 s; durable-latency: 4 s, and four times as long)`,
      positive,
      4,
    )
    .option("--rounds <n>", "measurements of each scenario and broker; medians are printed", positiveInteger, 3)
    .addOption(new Option("--protocol <version>", "MQTT version").choices(["3.1.1", "5"]).default("3.1.1"))
    .option("--folder <path>", "where brokers keep their files, on the disk to be measured (default: temporary files)")
    .option("--json <file>", "write every raw result, the machine and the versions")
    .option("--markdown", "print the tables as Markdown")
    .option("--verbose", "also print the CPU use of broker and generator")
    .option("--no-pin", "don't pin broker and generator to a CPU each")
    .addHelpText("after", examples)
    .allowExcessArguments(false)
    .configureOutput({ outputError: (text, write) => write(`${text.trim().replaceAll("\n", " ")}\n`) })
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
  return command.parse().opts<Options>()
}

function select(only: string | undefined): Scenario[] {
  if (only === undefined) return [...scenarios]
  const chosen = new Set<Scenario>()
  for (const item of only.split(",")) {
    const named = scenarios.filter(({ name }) => name === item)
    const found = named.length > 0 ? named : scenarios.filter(({ name }) => pattern(item).test(name))
    if (found.length === 0) throw new UsageError(`--only: no scenario is called or matches '${item}'; see --list`)
    for (const scenario of found) chosen.add(scenario)
  }
  return scenarios.filter((scenario) => chosen.has(scenario))
}

function pattern(text: string): RegExp {
  try {
    return new RegExp(text)
  } catch {
    throw new UsageError(`--only: '${text}' is neither a name nor a regular expression`)
  }
}

/** Better now than after an hour. */
function assertUsable({ json, folder }: Options): void {
  attempt("--json", () => json !== undefined && writeFileSync(json, "", { flag: "a" }))
  attempt("--folder", () => folder !== undefined && accessSync(folder, constants.W_OK))
}

function attempt(option: string, act: () => void): void {
  try {
    act()
  } catch (error) {
    throw new UsageError(`${option}: ${(error as Error).message}`)
  }
}

/** What there is to know about the disk, where it is measured. */
function describeDisk({ directory }: Site, chosen: readonly Scenario[]): string[] {
  if (!chosen.some(isKept)) return []
  const kind = isInMemory(directory)
    ? "memory, not a disk"
    : `a sync takes ${syncMilliseconds(directory).toFixed(2)} ms`
  return [`files in ${dirname(directory)}: ${kind}`]
}

function prepareSite({ pin, folder }: Options): Site {
  const directory = mkdtempSync(join(folder ?? temporaryFolder(), "manju-bench-"))
  process.on("exit", () => rmSync(directory, { recursive: true, force: true }))
  const controller = new AbortController()
  for (const name of ["SIGINT", "SIGTERM"] as const)
    process.on(name, () => {
      controller.abort()
      process.exit(130)
    })
  return { cpus: chooseCpus(pin), directory, signal: controller.signal }
}

function chooseCpus(pin: boolean): Cpus {
  const [broker, generator] = allowedCpus()
  if (pin && generator !== undefined && Bun.which("taskset")) return { broker, generator }
  return { broker: undefined, generator: undefined }
}

async function main(): Promise<void> {
  const options = readOptions()
  if (options.list) {
    for (const { name, title } of scenarios) console.log(`${name.padEnd(18)} ${title}`)
    return
  }
  const chosen = select(options.only)
  const launches = [options.broker === undefined ? manju() : launchOf(options.broker)]
  if (options.against !== undefined) launches.push(launchOf(options.against))
  if (launches[0]!.label === launches[1]?.label) launches[1].label += " (2)"
  const labels = launches.map(({ label }) => label)
  assertUsable(options)
  const site = prepareSite(options)

  const machine = {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    kernel: release(),
    memoryBytes: totalmem(),
  }
  const versions = { bun: Bun.version, brokers: launches.map(({ label, version }) => ({ label, version })) }
  const title = [
    ...launches.map(({ label, version }) => `${label} ${version}`.trim()),
    `MQTT ${options.protocol}`,
    `Bun ${Bun.version}`,
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}`,
    site.cpus.broker === undefined
      ? "not pinned"
      : `broker on CPU ${site.cpus.broker}, generator on ${site.cpus.generator}`,
    ...describeDisk(site, chosen),
  ].join("; ")
  console.error(pc.dim(title))

  if (options.startup) {
    const { rounds, seconds: idleSeconds, markdown = false } = options
    if (markdown) console.log(`${title}\n`)
    console.log(rendered(await measureStartup({ rounds, idleSeconds, directory: site.directory }), { markdown }))
    return
  }
  const outcomes: Outcome[] = []
  for (const scenario of chosen) {
    for (let round = 1; round <= options.rounds; round++) {
      for (const launch of round % 2 === 1 ? launches : launches.toReversed()) {
        if (launch.forgets && isKept(scenario)) continue
        const outcome = await measure(scenario, launch, round, options, site)
        outcomes.push(outcome)
        console.error(pc.dim(brief(outcome)))
      }
    }
  }

  if (options.json !== undefined) {
    const measured = { date: new Date().toISOString(), machine, versions, options }
    writeFileSync(options.json, `${JSON.stringify({ ...measured, outcomes }, null, 2)}\n`)
  }
  if (options.markdown) console.log(`${title}\n`)
  console.log(report(outcomes, labels, { markdown: options.markdown === true, verbose: options.verbose === true }))
  process.exitCode = outcomes.some(({ result }) => result.kind === "failed") ? 1 : 0
}

try {
  await main()
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  console.error(`error: ${error.message}`)
  process.exitCode = 2
}

/**
 * `bun run bench`, or `bun run bench load`: measures manju, alone or in turn with other brokers, and prints medians and ratios.
 *
 * For each scenario and round, each broker is started, put under load by a generator process (`generator/`), sampled
 * and stopped; with several brokers they alternate, and take turns at going first, so that whatever else the machine
 * does hits all alike. Broker and generator are pinned to a CPU each. A measurement that fails is reported and the
 * run goes on; the exit code is then 1, and 2 for a mistake in the arguments.
 */
import { writeFileSync } from "node:fs"
import { dirname } from "node:path"
import { Command, Option } from "commander"
import pc from "picocolors"
import { launchesOf } from "../broker.ts"
import { isInMemory, syncMilliseconds } from "../disk.ts"
import { assertUsable, collected, positive, positiveInteger, selected } from "../options.ts"
import { circumstances, describePinning, prepareSite, rotated, type Site, titleOf } from "../site.ts"
import { measure, warmupSeconds } from "./measure.ts"
import { brief, type Outcome, report } from "./report.ts"
import { isKept, type Scenario, scenarios } from "./scenarios.ts"

type Options = {
  against: string[]
  broker: string
  only?: string
  list?: true
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
  bun run bench --against mosquitto --against relay the same with the ceiling on Bun
  bun run bench --only pairs-10,qos1-10 --rounds 1  two scenarios, quickly
  bun run bench --only '^fanout' --protocol 5       scenarios by pattern, over MQTT 5
  bun run bench --against mosquitto --only durable,backlog --folder /mnt/card
  bun run bench --against 'NanoMQ 0.24=nanomq start --url nmq-tcp://127.0.0.1:{port}'
  bun run bench --broker relay --verbose            the ceiling, and the generator's own share of CPU

What else can be measured: bun run bench help`

export function command(): Command {
  return new Command("load")
    .description("Throughput, CPU, latency, loss and memory under a load of messages or connections.")
    .option(
      "--against <broker>",
      "measure this one in turn, and that one if it is given again: manju, mosquitto, relay, or a command with {port}; NAME= in front says what it is called",
      collected,
      [],
    )
    .option("--broker <broker>", "measure this one first, and set the others beside it: the same choice", "manju")
    .option("--only <names>", "scenarios, by name or regular expression, separated by commas")
    .option("--list", "list the scenarios and end")
    .option(
      "--seconds <n>",
      `length of a measurement, after ${warmupSeconds} s of warm-up (latency-100: 20 s; gateway-100: 20 s, and five times as long; durable-latency: 4 s, and four times as long; mixture: 5 s, and four times as long; steady: 150 times as long, ten minutes)`,
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
    .action(run)
}

/** What there is to know about the disk, where it is measured. */
function describeDisk({ directory }: Site, chosen: readonly Scenario[]): string[] {
  if (!chosen.some(isKept)) return []
  const kind = isInMemory(directory)
    ? "memory, not a disk"
    : `a sync takes ${syncMilliseconds(directory).toFixed(2)} ms`
  return [`files in ${dirname(directory)}: ${kind}`]
}

async function run(options: Options): Promise<void> {
  if (options.list) {
    for (const scenario of scenarios)
      console.log(
        `${scenario.name.padEnd(18)} ${scenario.title}${"isLong" in scenario ? " (only if it is named)" : ""}`,
      )
    return
  }
  const chosen = selected(options.only, scenarios, "scenario")
  const launches = launchesOf([options.broker, ...options.against])
  assertUsable(options)
  const site = prepareSite(options)

  const title = titleOf(launches, `MQTT ${options.protocol}`, describePinning(site.cpus), ...describeDisk(site, chosen))
  console.error(pc.dim(title))

  const outcomes: Outcome[] = []
  for (const scenario of chosen) {
    for (let round = 1; round <= options.rounds; round++) {
      for (const launch of rotated(launches, round - 1)) {
        if (launch.forgets && isKept(scenario)) continue
        const outcome = await measure(scenario, launch, round, options, site)
        outcomes.push(outcome)
        console.error(pc.dim(brief(outcome)))
      }
    }
  }

  if (options.json !== undefined) {
    writeFileSync(
      options.json,
      `${JSON.stringify({ ...circumstances("load", site, launches, options), outcomes }, null, 2)}\n`,
    )
  }
  if (options.markdown) console.log(`${title}\n`)
  console.log(report(outcomes, launches, { markdown: options.markdown === true, verbose: options.verbose === true }))
  process.exitCode = outcomes.some(({ result }) => result.kind === "failed") ? 1 : 0
}

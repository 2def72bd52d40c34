/**
 * `bun run bench micro`: what single steps of codec, router and outbox take, in nanoseconds and bytes for each operation, beside a
 * baseline; the exit code is 1 where something has become slower or larger.
 *
 * What is measured is in `cases/`, how in `round.ts`: each round is a process of its own on a CPU of its own, and one more process
 * counts bytes. `baseline.ts` says when a case counts as slower; those that seem to be are measured in as many rounds again, and only
 * what is slower in all of them together is told. The baseline, `baseline.json`, is written by `--save`, after a change that was meant.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { cpus } from "node:os"
import { join } from "node:path"
import { Command } from "commander"
import pc from "picocolors"
import { manju } from "../broker.ts"
import { assertUsable, positive, positiveInteger, selected, UsageError } from "../options.ts"
import { circumstances, describePinning, pinned, prepareSite, type Site, titleOf } from "../site.ts"
import { type Baseline, baselineOf, calibrationOf, compare } from "./baseline.ts"
import type { Case } from "./case.ts"
import { allCases } from "./cases/index.ts"
import { regressions, report } from "./report.ts"
import type { Allocations, Times } from "./round.ts"

const ROUNDS = 3
const ROUNDS_TO_SAVE = 8

type Options = {
  only?: string
  list?: true
  save?: true
  rounds?: number
  threshold: number
  baseline?: string
  json?: string
  markdown?: true
  pin: boolean
}

const examples = `
Examples:
  bun run bench micro                                 every case, beside its baseline
  bun run bench micro --only '^codec,router-match'    some of them
  bun run bench micro --only outbox-many --rounds 9   one, thoroughly
  bun run bench micro --save                          makes what there is the baseline`

export function command(): Command {
  return new Command("micro")
    .description(
      "Single steps of codec, router and outbox, beside a baseline: exit code 1 where one has become slower.",
    )
    .option("--only <names>", "cases, by name or regular expression, separated by commas")
    .option("--list", "list the cases and end")
    .option("--save", "write the baseline, of all cases")
    .option(
      "--rounds <n>",
      `processes that measure; medians are printed (default: ${ROUNDS}, ${ROUNDS_TO_SAVE} with --save)`,
      positiveInteger,
    )
    .option("--threshold <percent>", "how much slower is slower", positive, 10)
    .option("--baseline <file>", "another baseline than the repository's")
    .option("--json <file>", "write every raw result, the machine and the versions")
    .option("--markdown", "print the table as Markdown")
    .option("--no-pin", "don't pin what is measured to a CPU")
    .addHelpText("after", examples)
    .action(run)
}

async function run(options: Options): Promise<void> {
  const cases = selected(options.only, allCases(), "case")
  if (options.list) {
    for (const { name, title } of cases) console.log(`${name.padEnd(28)} ${title}`)
    return
  }
  if (options.save && options.only !== undefined)
    throw new UsageError("--save: a baseline has all cases, so not with --only")
  assertUsable(options)
  const baselineFile = options.baseline ?? join(import.meta.dir, "baseline.json")
  const baseline = options.save ? undefined : readBaseline(baselineFile)
  const site = prepareSite(options)
  const subjects = [manju()]
  const title = titleOf(subjects, site.cpus.broker === undefined ? describePinning(site.cpus) : "on a CPU of its own")
  console.error(pc.dim(title))

  const rounds = options.rounds ?? (options.save ? ROUNDS_TO_SAVE : ROUNDS)
  const threshold = options.threshold / 100
  const measured = {
    rounds: await measureRounds("times", cases, rounds, site),
    allocations: await measureRounds("allocations", cases, options.save ? rounds : 1, site),
  }
  let comparisons = compare(measured, baseline, threshold)
  const suspects = (what: "isSlower" | "isLarger") => {
    const names = comparisons.filter((each) => each[what]).map(({ name }) => name)
    if (names.length > 0) console.error(pc.dim(`again: ${names.join(", ")}`))
    return cases.filter(({ name }) => names.includes(name))
  }
  measured.rounds.push(...(await measureRounds("times", suspects("isSlower"), rounds, site)))
  measured.allocations.push(...(await measureRounds("allocations", suspects("isLarger"), rounds, site)))
  comparisons = compare(measured, baseline, threshold)

  if (options.json !== undefined) {
    const results = { ...circumstances("micro", site, subjects, options), ...measured }
    writeFileSync(options.json, `${JSON.stringify(results, null, 2)}\n`)
  }
  if (options.save) {
    const place = { date: new Date().toISOString(), cpu: cpuModel(), bun: Bun.version }
    writeFileSync(baselineFile, `${JSON.stringify(baselineOf(measured, place), null, 2)}\n`)
  }
  if (options.markdown) console.log(`${title}\n`)
  console.log(report(comparisons, cases, { markdown: options.markdown === true }))
  if (baseline !== undefined) console.error(pc.dim(`\n${origin(baseline, calibrationOf(measured.rounds))}`))
  const worse = regressions(comparisons)
  for (const line of worse) console.error(pc.red(line))
  process.exitCode = worse.length > 0 ? 1 : 0
}

const cpuModel = () => cpus()[0]?.model ?? "unknown"

function readBaseline(path: string): Baseline {
  try {
    return JSON.parse(readFileSync(path, "utf8"))
  } catch (error) {
    throw new UsageError(`--baseline: ${(error as Error).message}; --save makes one`)
  }
}

/** Where the baseline is from, and how well it can be compared. */
function origin({ date, cpu, bun, calibrationNanoseconds }: Baseline, now: number): string {
  const speed = `the fixed piece of work took ${(calibrationNanoseconds / 1000).toFixed(1)} µs, now ${(now / 1000).toFixed(1)}`
  const others = [cpu !== cpuModel() && "another machine", bun !== Bun.version && "another Bun"].filter(Boolean)
  const caution = others.length > 0 ? `; it is of ${others.join(" and ")}, so that ratios are rough` : ""
  return `baseline of ${date.slice(0, 10)}, ${cpu}, Bun ${bun}: ${speed}${caution}`
}

type Round = { times: Times; allocations: Allocations }

/** No rounds of no cases. */
async function measureRounds<What extends keyof Round>(
  what: What,
  cases: readonly Case[],
  rounds: number,
  site: Site,
): Promise<Round[What][]> {
  const measured: Round[What][] = []
  for (let round = 1; cases.length > 0 && round <= rounds; round++) {
    measured.push(await measureRound(what, cases, site))
    console.error(pc.dim(`${what}: round ${round} of ${rounds}`))
  }
  return measured
}

async function measureRound<What extends keyof Round>(
  what: What,
  cases: readonly Case[],
  { cpus, signal }: Site,
): Promise<Round[What]> {
  const command = [process.execPath, join(import.meta.dir, "round.ts"), what, ...cases.map(({ name }) => name)]
  const env = what === "times" ? process.env : { ...process.env, BUN_JSC_useGC: "false" }
  const child = Bun.spawn([...pinned(cpus.broker), ...command], { stdio: ["ignore", "pipe", "inherit"], signal, env })
  const text = await child.stdout.text()
  if ((await child.exited) !== 0) throw new Error(`a round of ${what} ended with ${child.exitCode}`)
  return JSON.parse(text)
}

/**
 * `bun run bench growth`: how cost grows with what there is, from one subscription or retained message to a million.
 *
 * Of however many there are, each topic that is asked for matches one (`entries.ts` says which topics and filters): the time of a match must not
 * grow with those that do not match. For a topic that has had a message it does not: its receivers are known. A first match looks at as much among
 * many as among few (`look-ups`, which are counted), and yet takes longer: what it looks at is in none of the processor's caches. How much longer that
 * makes a look-up is measured beside it, in a plain Map of as many topics (`map.ts`).
 *
 * Measured is a broker in memory (`client.ts`), without sockets, each kind and number in a fresh process
 * (`probe.ts`) on a CPU of its own, after a rehearsal among few. Times are medians over many batches, and of the rounds the median is printed.
 */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { Command, InvalidArgumentError } from "commander"
import pc from "picocolors"
import { manju } from "../broker.ts"
import { assertUsable, positiveInteger, UsageError } from "../options.ts"
import { circumstances, describePinning, pinned, prepareSite, type Site, titleOf } from "../site.ts"
import { brief, report } from "./report.ts"
import { type Cost, type Kind, kinds } from "./results.ts"

const MOST_ENTRIES = 1_000_000

type Options = { only: Kind[]; entries: number[]; rounds: number; json?: string; markdown?: true; pin: boolean }

const examples = `
Examples:
  bun run bench growth                                        all kinds, 1 to 1,000,000
  bun run bench growth --only plus,hash --rounds 1            two kinds, quickly
  bun run bench growth --only retained --entries 1000,1000000 two sizes`

export function command(): Command {
  return new Command("growth")
    .description("How cost grows with the number of subscriptions and of retained messages.")
    .option("--only <kinds>", `some of ${kinds.join(", ")}, separated by commas`, kindsOf, [...kinds])
    .option("--entries <numbers>", "how many of each there are, separated by commas", entriesOf, powersOfTen())
    .option("--rounds <n>", "measurements of each; medians are printed", positiveInteger, 3)
    .option("--json <file>", "write every raw result, the machine and the versions")
    .option("--markdown", "print the tables as Markdown")
    .option("--no-pin", "don't pin what is measured to a CPU")
    .addHelpText("after", examples)
    .action(run)
}

function kindsOf(text: string): Kind[] {
  return text.split(",").map((word) => {
    const kind = kinds.find((each) => each === word)
    if (kind === undefined) throw new InvalidArgumentError(`There are ${kinds.join(", ")}.`)
    return kind
  })
}

function entriesOf(text: string): number[] {
  const numbers = text.split(",").map(positiveInteger)
  if (Math.max(...numbers) > MOST_ENTRIES) throw new InvalidArgumentError(`It takes at most ${MOST_ENTRIES}.`)
  return numbers
}

const powersOfTen = () => Array.from({ length: 7 }, (_, power) => 10 ** power)

async function run(options: Options): Promise<void> {
  if (process.platform !== "linux") throw new UsageError("growth reads what Linux tells of processes")
  assertUsable(options)
  const site = prepareSite(options)
  const subjects = [manju()]
  const title = titleOf(subjects, site.cpus.broker === undefined ? describePinning(site.cpus) : "on a CPU of its own")
  console.error(pc.dim(title))
  const costs: Cost[] = []
  for (let round = 1; round <= options.rounds; round++) {
    for (const kind of options.only) {
      for (const entries of options.entries) {
        const cost = await probe(kind, entries, round, site)
        costs.push(cost)
        console.error(pc.dim(brief(cost)))
      }
    }
  }
  if (options.json !== undefined) {
    const results = { ...circumstances("growth", site, subjects, options), costs }
    writeFileSync(options.json, `${JSON.stringify(results, null, 2)}\n`)
  }
  if (options.markdown) console.log(`${title}\n`)
  console.log(report(costs, { markdown: options.markdown === true }))
}

async function probe(kind: Kind, entries: number, round: number, { cpus, signal }: Site): Promise<Cost> {
  const command = [process.execPath, join(import.meta.dir, "probe.ts"), kind, String(entries), String(round)]
  const child = Bun.spawn([...pinned(cpus.broker), ...command], { stdio: ["ignore", "pipe", "inherit"], signal })
  const text = await child.stdout.text()
  if ((await child.exited) !== 0)
    throw new Error(`${kind}, ${entries} entries: the process ended with ${child.exitCode}`)
  return JSON.parse(text)
}

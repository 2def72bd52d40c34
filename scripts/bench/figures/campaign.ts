/**
 * `bun run bench campaign`: measures everything that README tells of, into `results/`, and draws the figures anew. That takes hours with
 * several brokers: each file of results is written when it is complete, and `--only` measures some of them again.
 */
import { copyFileSync, mkdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Command, InvalidArgumentError } from "commander"
import pc from "picocolors"
import { launchesOf } from "../broker.ts"
import { collected, UsageError } from "../options.ts"
import { writeFigures } from "./index.ts"
import { folder, type Results } from "./results.ts"

type Measurement = {
  /** Words of the command line. */
  words: readonly string[]
  /** What else it is given: the brokers, and the relay beside them; or the brokers, and the tool. */
  takes?: "brokers" | "brokers and relay" | "brokers and tool"
  /** Words that make it short. */
  quick: readonly string[]
}

const second = ["--rounds", "1", "--seconds", "1"]

/** By the names of their files. */
const measurements: Record<keyof Results, Measurement> = {
  throughput: {
    words: ["load", "--only", "^pairs-(1|10|500)$,^fan,^wildcard,^qos"],
    takes: "brokers and relay",
    quick: second,
  },
  payload: { words: ["load", "--only", "^pairs-10"], takes: "brokers and relay", quick: second },
  // At a fixed rate what is measured is mostly the machine's own jitter, which takes more rounds.
  latency: {
    words: ["load", "--only", "latency-100,gateway-100", "--rounds", "9", "--seconds", "6"],
    takes: "brokers and relay",
    quick: second,
  },
  connections: { words: ["load", "--only", "^idle"], takes: "brokers and relay", quick: second },
  mixture: { words: ["load", "--only", "mixture"], takes: "brokers", quick: second },
  // What others keep, and how, would have to be said of each.
  durable: { words: ["load", "--only", "^durable,^backlog", "--against", "mosquitto"], quick: second },
  steady: { words: ["load", "--only", "steady", "--rounds", "1", "--against", "relay"], quick: second },
  stresser: { words: ["stresser", "--rounds", "9", "--no-pin"], takes: "brokers and tool", quick: ["--rounds", "1"] },
  // The same with a core each: what is then taken of the CPU, and how often a broker is woken, says why.
  profile: { words: ["stresser", "--rounds", "9"], takes: "brokers and tool", quick: ["--rounds", "1"] },
  growth: { words: ["growth"], quick: ["--rounds", "1", "--entries", "1,1000,100000"] },
  startup: { words: ["startup", "--rounds", "9"], quick: second },
}
const names = Object.keys(measurements) as (keyof Results)[]

type Options = { against: string[]; stresser?: string; only: (keyof Results)[]; quick?: true }

const examples = `
Examples:
  bun run bench campaign --against mosquitto --stresser ./mqtt-stresser
  bun run bench campaign --against mosquitto --against 'Mochi 2.7.9=./mochi --port {port}' --only throughput,latency
  bun run bench campaign --against mosquitto --quick    whether everything works`

export function command(): Command {
  return new Command("campaign")
    .description("Everything that README tells of, and its figures.")
    .option(
      "--against <broker>",
      "beside manju, in turn; may be given again: mosquitto, or [NAME=]COMMAND with {port}",
      collected,
      [],
    )
    .option("--stresser <path>", "the executable of mqtt-stresser; without it what takes it is left out")
    .option("--only <names>", `some of ${names.join(", ")}, separated by commas`, namesOf, names)
    .option("--quick", "one round of each, as short as can be")
    .addHelpText("after", examples)
    .action(run)
}

function namesOf(text: string): (keyof Results)[] {
  return text.split(",").map((word) => {
    const name = names.find((each) => each === word)
    if (name === undefined) throw new InvalidArgumentError(`There are ${names.join(", ")}.`)
    return name
  })
}

async function run(options: Options): Promise<void> {
  launchesOf(options.against) // better now than after an hour
  const chosen = options.only.filter(
    (name) => measurements[name].takes !== "brokers and tool" || options.stresser !== undefined,
  )
  if (chosen.length === 0) throw new UsageError("--only: stresser and profile take --stresser, too")
  mkdirSync(folder, { recursive: true })
  const failed: string[] = []
  for (const name of chosen) if (!(await measure(name, options))) failed.push(name)
  for (const path of writeFigures()) console.error(pc.dim(path))
  if (failed.length === 0) return
  console.error(`error: not everything was measured: ${failed.join(", ")}`)
  process.exitCode = 1
}

/** Whether all of it could be measured. What could is kept. */
async function measure(name: keyof Results, options: Options): Promise<boolean> {
  const path = join(folder, `${name}.json`)
  const fresh = join(tmpdir(), `manju-${name}-${process.pid}.json`)
  const words = [...wordsOf(name, options), "--json", fresh]
  console.error(pc.bold(`\n${name}`))
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "../index.ts"), ...words], {
    stdio: ["ignore", "inherit", "inherit"],
  })
  const code = await child.exited
  // It is written at the end, so that there is all of it or nothing. With code 1 some of it has failed, which the results tell.
  if (Bun.file(fresh).size > 0) copyFileSync(fresh, path)
  rmSync(fresh, { force: true })
  return code === 0
}

function wordsOf(name: keyof Results, { against, stresser, quick }: Options): string[] {
  const { words, takes, quick: shorter } = measurements[name]
  const all = [...words]
  if (takes !== undefined) all.push(...against.flatMap((broker) => ["--against", broker]))
  if (takes === "brokers and relay") all.push("--against", "relay")
  if (takes === "brokers and tool") all.push("--tool", stresser!)
  if (quick) all.push(...shorter)
  return all
}

/**
 * `bun run bench startup`: how long manju takes from exec until it listens, and the memory that it then takes with nothing to do; as the
 * one file that scripts/build makes, and from the sources. Its listeners are those that it has by default, on free ports.
 *
 * How much of a file counts as resident depends on how the file came into the page cache: of one that has just been written whole runs of
 * pages are mapped, of one that a start has read itself, as after a boot, those around what it has touched. So the binary is dropped from
 * the cache, and alone from there, and a first start that is not measured reads it again.
 */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { $ } from "bun"
import { Command } from "commander"
import pc from "picocolors"
import { manju } from "../broker.ts"
import { assertUsable, positive, positiveInteger, UsageError } from "../options.ts"
import { sampleProcess } from "../proc.ts"
import { circumstances, prepareSite, titleOf } from "../site.ts"
import { mebibytes, median, rendered, type Table } from "../table.ts"

const root = join(import.meta.dir, "../../..")
const listeners = ["--tcp", "0", "--ws", "0", "--http", "0"]

type Options = { rounds: number; seconds: number; json?: string; markdown?: true }

export function command(): Command {
  return new Command("startup")
    .description("From exec to listening, and the memory that it then takes; as one file, and from the sources.")
    .option("--rounds <n>", "starts of each; medians are printed", positiveInteger, 5)
    .option("--seconds <n>", "after which the memory is looked at", positive, 4)
    .option("--json <file>", "write every raw result, the machine and the versions")
    .option("--markdown", "print the table as Markdown")
    .action(run)
}

async function run(options: Options): Promise<void> {
  if (process.platform !== "linux") throw new UsageError("startup reads what Linux tells of processes")
  assertUsable(options)
  const site = prepareSite({ pin: false })
  const subjects = [manju()]
  const title = titleOf(subjects)
  console.error(pc.dim(title))
  const starts = await measureStarts(options, await buildFor(site.directory))
  if (options.json !== undefined) {
    const results = Object.fromEntries(starts)
    writeFileSync(
      options.json,
      `${JSON.stringify({ ...circumstances("startup", site, subjects, options), starts: results }, null, 2)}\n`,
    )
  }
  if (options.markdown) console.log(`${title}\n`)
  console.log(rendered(tabulate(starts), { markdown: options.markdown === true }))
}

export interface Start {
  readonly milliseconds: number
  /** Of all threads, until it listens. */
  readonly cpuMilliseconds: number
  readonly residentBytes: number
  /** The part that no file has. */
  readonly anonymousBytes: number
}

async function measureStarts({ rounds, seconds }: Options, binary: string): Promise<Map<string, Start[]>> {
  const subjects = new Map([
    ["one file", [binary]],
    ["from the sources", [process.execPath, join(root, "src/cli.ts")]],
  ])
  await $`sync ${binary} && dd if=${binary} iflag=nocache count=0 status=none`
  for (const command of subjects.values()) await start(command, 0)
  const starts = new Map([...subjects.keys()].map((name) => [name, [] as Start[]]))
  for (let round = 0; round < rounds; round++) {
    for (const [name, command] of subjects) starts.get(name)!.push(await start(command, seconds))
  }
  return starts
}

/** Medians over the rounds, and the fastest start. */
export function tabulate(starts: ReadonlyMap<string, readonly Start[]>): Table {
  return {
    head: ["manju", "listeners", "listens after ms", "at best ms", "CPU ms", "RSS MiB", "not of files MiB"],
    rows: Array.from(starts, ([name, all]) => {
      const of = (value: (start: Start) => number) => median(all.map(value))
      const milliseconds = [of((each) => each.milliseconds), Math.min(...all.map((each) => each.milliseconds))]
      const memory = [of((each) => each.residentBytes), of((each) => each.anonymousBytes)]
      return [
        name,
        "tcp, websocket, http",
        ...[...milliseconds, of((each) => each.cpuMilliseconds)].map((value) => value.toFixed(1)),
        ...memory.map(mebibytes),
      ]
    }),
  }
}

async function buildFor(directory: string): Promise<string> {
  const target = `linux-${process.arch}`
  await $`${process.execPath} ${join(root, "scripts/build/index.ts")} --target ${target} --out ${directory}`.quiet()
  return join(directory, `manju-${target}`)
}

async function start(command: readonly string[], idleSeconds: number): Promise<Start> {
  const startedAt = performance.now()
  const child = Bun.spawn([...command, ...listeners], { cwd: "/", stdio: ["ignore", "pipe", "ignore"] })
  try {
    const { value } = await child.stdout.getReader().read()
    const milliseconds = performance.now() - startedAt
    if (value === undefined) throw new Error(`${command[0]} ended with code ${await child.exited}`)
    const cpuMilliseconds = sampleProcess(child.pid).cpuSeconds * 1000
    await Bun.sleep(idleSeconds * 1000)
    const { residentBytes, anonymousBytes } = sampleProcess(child.pid)
    return { milliseconds, cpuMilliseconds, residentBytes, anonymousBytes }
  } finally {
    child.kill("SIGKILL")
    await child.exited
  }
}

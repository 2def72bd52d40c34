/**
 * `bun run bench --startup`: how long manju takes from exec until it listens, and the memory that it then takes with nothing to do; as the
 * one file that scripts/build makes, and from the sources. Its listeners are those that it has by default, on free ports.
 *
 * How much of a file counts as resident depends on how the file came into the page cache: of one that has just been written whole runs of
 * pages are mapped, of one that a start has read itself, as after a boot, those around what it has touched. So the binary is dropped from
 * the cache, and alone from there, and a first start that is not measured reads it again.
 */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { $ } from "bun"
import { UsageError } from "./broker.ts"
import { sampleProcess } from "./proc.ts"
import { median, type Table } from "./report.ts"

const root = join(import.meta.dir, "../..")
const listeners = ["--tcp", "0", "--ws", "0", "--http", "0"]

interface Start {
  readonly milliseconds: number
  /** Of all threads, until it listens. */
  readonly cpuMilliseconds: number
  readonly residentBytes: number
  /** The part that no file has. */
  readonly anonymousBytes: number
}

export interface StartupOptions {
  readonly rounds: number
  /** After which the memory is looked at. */
  readonly idleSeconds: number
  /** For the binary. */
  readonly directory: string
}

/** Medians over the rounds, and the fastest start. */
export async function measureStartup({ rounds, idleSeconds, directory }: StartupOptions): Promise<Table> {
  if (process.platform !== "linux") throw new UsageError("--startup reads what Linux tells of processes")
  const binary = await buildFor(directory)
  const subjects = new Map([
    ["one file", [binary]],
    ["from the sources", [process.execPath, join(root, "src/cli.ts")]],
  ])
  await $`sync ${binary} && dd if=${binary} iflag=nocache count=0 status=none`
  for (const command of subjects.values()) await start(command, 0)
  const starts = new Map([...subjects.keys()].map((name) => [name, [] as Start[]]))
  for (let round = 0; round < rounds; round++) {
    for (const [name, command] of subjects) starts.get(name)!.push(await start(command, idleSeconds))
  }
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
        ...memory.map((bytes) => (bytes / 1024 / 1024).toFixed(1)),
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
    const cpuMilliseconds = cpuTimeOf(child.pid)
    await Bun.sleep(idleSeconds * 1000)
    const { residentBytes, anonymousBytes } = sampleProcess(child.pid)
    return { milliseconds, cpuMilliseconds, residentBytes, anonymousBytes }
  } finally {
    child.kill("SIGKILL")
    await child.exited
  }
}

/** In nanoseconds at the source: /proc/PID/stat counts hundredths of a second. */
function cpuTimeOf(pid: number): number {
  const ofThreads = readdirSync(`/proc/${pid}/task`).map((thread) => {
    return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "latin1").split(" ")[0])
  })
  return ofThreads.reduce((sum, each) => sum + each, 0) / 1e6
}

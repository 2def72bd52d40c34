/**
 * `bun run bench stresser --tool PATH`: mqtt-stresser against manju and other brokers in turn, in the four runs of Mochi's README.
 *
 * mqtt-stresser is inovex's load generator in Go (github.com/inovex/mqtt-stresser, whose README says how it is built, and where there are
 * binaries); PATH is its executable. Each of its clients publishes to a topic of its own and then, with a second connection, counts what has
 * come. So SEND is the rate at which a client gets rid of its messages, and RECV that at which it reads what waits for it by then: neither is
 * what a broker forwards in a second, which `bun run bench load` measures. What they are good for is what Mochi says of them: the same
 * calculation for every broker.
 *
 * The tool runs with its own defaults: QoS 0, some 20 bytes a message, 5 s for an answer, 60 s in all. Only the dot for each message is left
 * out, which costs it more than the message does; with `--dots` it stays.
 *
 * Beside the rates stands their profile: what broker and tool took of the CPU, and how often the broker was woken. Where the times are small
 * and alike, a rate tells who had a core at which moment; and a broker that was woken more often has given the tool, message by message, what
 * another gives it in one go.
 *
 * For each run and round each broker is started, put under load and stopped; brokers take turns at going first. What is measured is the second
 * time that it gets the run: a broker goes on for months, and the first seconds of its life, in which V8 and JavaScriptCore compile what a C
 * compiler has compiled before, have no part in it. Broker and tool are pinned to a CPU each. A round that fails, or in which not
 * every client got all of its messages, is told and in no median; the exit code is then 1.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { Command } from "commander"
import pc from "picocolors"
import { host, type Launch, launchesOf, RunningBroker } from "../broker.ts"
import { assertUsable, collected, positiveInteger, UsageError } from "../options.ts"
import { sampleProcess } from "../proc.ts"
import { circumstances, describePinning, pinned, prepareSite, rotated, type Site, titleOf } from "../site.ts"
import { readReport } from "./output.ts"
import { brief, judged, type Outcome, type Result, type Run, report } from "./report.ts"

/** Those of Mochi's README. */
const runs: readonly Run[] = [
  { clients: 1, messages: 10_000 },
  { clients: 10, messages: 1000 },
  { clients: 10, messages: 10_000 },
  { clients: 500, messages: 100 },
]

/** The tool ends by itself after 60 s, and 5 more for clients to disconnect. */
const patienceSeconds = 90

type Options = {
  tool: string
  against: string[]
  rounds: number
  dots?: true
  json?: string
  markdown?: true
  pin: boolean
}

const examples = `
Examples:
  bun run bench stresser --tool ./mqtt-stresser --against mosquitto
  bun run bench stresser --tool ./mqtt-stresser --against mosquitto --against 'mochi-v2=./mochi --port {port}' --rounds 9`

export function command(): Command {
  return new Command("stresser")
    .description("inovex's mqtt-stresser, in the four runs of Mochi's README.")
    .requiredOption("--tool <path>", "the executable of mqtt-stresser")
    .option(
      "--against <broker>",
      "measure this one in turn, and that one if it is given again: mosquitto, relay, or a command with {port}; NAME= in front says what it is called",
      collected,
      [],
    )
    .option("--rounds <n>", "measurements of each run and broker; medians are printed", positiveInteger, 3)
    .option("--dots", "let the tool print a dot for each message, as it does by itself")
    .option("--json <file>", "write every raw result, the machine and the versions")
    .option("--markdown", "print the tables as Markdown")
    .option("--no-pin", "don't pin broker and tool to a CPU each")
    .addHelpText("after", examples)
    .action(measureAll)
}

async function measureAll(options: Options): Promise<void> {
  const tool = Bun.which(options.tool.includes("/") ? resolve(options.tool) : options.tool)
  if (tool === null) throw new UsageError(`--tool: '${options.tool}' is no executable`)
  const launches = launchesOf(["manju", ...options.against])
  assertUsable(options)
  const site = prepareSite(options)
  const title = titleOf(launches, describePinning(site.cpus))
  console.error(pc.dim(title))

  const outcomes: Outcome[] = []
  for (const run of runs) {
    for (let round = 1; round <= options.rounds; round++) {
      for (const launch of rotated(launches, round - 1)) {
        const result = await measure(tool, run, launch, options, site)
        const outcome = { run, broker: launch.label, round, result }
        outcomes.push(outcome)
        console.error(pc.dim(brief(outcome)))
      }
    }
  }

  if (options.json !== undefined) {
    writeFileSync(
      options.json,
      `${JSON.stringify({ ...circumstances("stresser", site, launches, options), outcomes }, null, 2)}\n`,
    )
  }
  const labels = launches.map(({ label }) => label)
  if (options.markdown) console.log(`${title}\n`)
  console.log(report(outcomes, labels, { markdown: options.markdown === true }))
  process.exitCode = outcomes.every(({ result }) => result.kind === "complete") ? 0 : 1
}

async function measure(tool: string, run: Run, launch: Launch, options: Options, site: Site): Promise<Result> {
  const directory = mkdtempSync(join(site.directory, "broker-"))
  try {
    const broker = await RunningBroker.start(launch, { directory, isKept: false }, site.cpus.broker, site.signal)
    try {
      await stress(tool, run, broker, options, site)
      return await stress(tool, run, broker, options, site)
    } finally {
      await broker.stop()
    }
  } catch (error) {
    return { kind: "failed", reason: (error as Error).message }
  } finally {
    rmSync(directory, { recursive: true })
  }
}

async function stress(
  tool: string,
  run: Run,
  { port, pid }: RunningBroker,
  { dots }: Options,
  site: Site,
): Promise<Result> {
  const load = [`-num-clients=${run.clients}`, `-num-messages=${run.messages}`]
  const before = sampleProcess(pid)
  const child = Bun.spawn(
    [
      ...pinned(site.cpus.generator),
      tool,
      `-broker=tcp://${host}:${port}`,
      ...load,
      "-log-level=1",
      ...(dots ? [] : ["-no-progress"]),
    ],
    { stdin: "ignore", stdout: "pipe", stderr: "pipe", signal: site.signal },
  )
  const timer = setTimeout(() => child.kill("SIGKILL"), patienceSeconds * 1000)
  const [output, complaint] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])
  clearTimeout(timer)
  const told = readReport(output)
  if (told !== undefined) {
    const after = sampleProcess(pid)
    return judged(run, told, {
      brokerMilliseconds: (after.cpuSeconds - before.cpuSeconds) * 1000,
      brokerWakeUps: after.wakeUps - before.wakeUps,
      toolMilliseconds: Number(child.resourceUsage()!.cpuTime.total) / 1000,
    })
  }
  const cause = child.signalCode ?? `code ${child.exitCode}`
  const words = complaint.trim().split("\n").at(-1)
  return { kind: "failed", reason: `mqtt-stresser ended without a summary (${cause}) ${words}`.trim() }
}

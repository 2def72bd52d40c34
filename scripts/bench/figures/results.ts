/** The files of results that README's figures are made of: what `--json` of the other rooms has written. */
import { readdirSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"
import type { Cost } from "../growth/results.ts"
import type { Outcome as LoadOutcome } from "../load/report.ts"
import type { circumstances } from "../site.ts"
import type { Start } from "../startup/index.ts"
import type { Outcome as StresserOutcome } from "../stresser/report.ts"

export const repository = join(import.meta.dir, "../../..")
export const folder = join(import.meta.dir, "results")

export type Circumstances = ReturnType<typeof circumstances>
export type LoadResults = Circumstances & { outcomes: LoadOutcome[] }
export type StresserResults = Circumstances & { outcomes: StresserOutcome[] }
export type GrowthResults = Circumstances & { costs: Cost[] }
export type StartupResults = Circumstances & { starts: Record<string, Start[]> }

/** By the names of the files. Whatever has not been measured is not there, and nothing is said of it. */
export type Results = {
  throughput?: LoadResults
  payload?: LoadResults
  latency?: LoadResults
  durable?: LoadResults
  connections?: LoadResults
  mixture?: LoadResults
  steady?: LoadResults
  stresser?: StresserResults
  profile?: StresserResults
  growth?: GrowthResults
  startup?: StartupResults
}

/** Reads `*.json` in a folder. */
export function readResults(directory: string = folder): Results {
  const names = readdirSync(directory).filter((name) => name.endsWith(".json"))
  return Object.fromEntries(names.map((name) => [basename(name, ".json"), readOne(join(directory, name))]))
}

/** Outcomes of one scenario have it in common, as they had when they were measured. */
function readOne(path: string): unknown {
  const results = JSON.parse(readFileSync(path, "utf8"))
  const scenarios = new Map<string, unknown>()
  for (const outcome of results.outcomes ?? []) {
    if (outcome.scenario === undefined) continue
    const { name } = outcome.scenario
    if (!scenarios.has(name)) scenarios.set(name, outcome.scenario)
    outcome.scenario = scenarios.get(name)
  }
  return results
}

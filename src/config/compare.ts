/** What a configuration that has been read again says otherwise. */
import { type LimitName, type Limits, resolveLimits } from "../broker/limits.ts"
import { keyName } from "./keys.ts"
import type { Configuration } from "./load.ts"
import { leavesOf } from "./tree.ts"

const LIMITS = "limits."
const AREAS = "logAreas."

export interface Differences {
  /** Limits that have another value, with it. */
  readonly limits: Partial<Limits>
  /** Keys of levels of the log, with their values in JSON; undefined: there is none any more. */
  readonly logLevels: ReadonlyMap<string, string | undefined>
  /** The other keys, which a start alone looks at. */
  readonly others: readonly string[]
}

/** All values by the name of their key, in JSON. */
export function flat({ tree }: Pick<Configuration, "tree">): Map<string, string> {
  return new Map(Array.from(leavesOf(tree), ([path, { value }]) => [keyName(path), JSON.stringify(value)]))
}

/** Keys whose values differ from those that hold. */
export function differencesOf(holding: ReadonlyMap<string, string | undefined>, after: Configuration): Differences {
  const now = flat(after)
  // The database is that of the start, and so are the defaults that go with one or with none.
  const standard = resolveLimits({}, holding.has("data"))
  for (const [[, name], { source }] of leavesOf(after.tree.entries.get("limits")!, ["limits"])) {
    if (source.kind === "default") now.set(`${LIMITS}${name}`, JSON.stringify(standard[name as LimitName]))
  }
  const keys = [...new Set([...holding.keys(), ...now.keys()])].filter((key) => holding.get(key) !== now.get(key))
  const isLimit = (key: string) => key.startsWith(LIMITS)
  const isOfLog = (key: string) => key === "logLevel" || key.startsWith(AREAS)
  return {
    limits: Object.fromEntries(
      keys.filter(isLimit).map((key) => [key.slice(LIMITS.length), JSON.parse(now.get(key)!)]),
    ) as Partial<Limits>,
    logLevels: new Map(keys.filter(isOfLog).map((key) => [key, now.get(key)])),
    others: keys.filter((key) => !isOfLog(key) && !isLimit(key)),
  }
}

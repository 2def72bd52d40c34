/**
 * Values from the environment: `MANJU_` and the key, `MANJU_LISTENERS_0_PORT`. A table or a list of them may be given whole, as JSON; what
 * is given more precisely beside it counts more. `MANJU_ADMIN_TOKEN_FILE` names a file with the secret in it.
 */
import { readFileSync } from "node:fs"
import { FROM_FILE, type Path, PREFIX, pathOf, schemaAt, traitsOf } from "./keys.ts"
import { noSuchVariable } from "./nearest.ts"
import type { Problem } from "./problems.ts"
import { Reader } from "./read.ts"
import { fromText } from "./text.ts"
import type { Node, Source } from "./tree.ts"

export type Environment = Readonly<Record<string, string | undefined>>

/** What a variable sets. */
export interface Assignment {
  readonly path: Path
  readonly node: Node
}

/** Names the file of the configuration. */
export const CONFIG_VARIABLE = "MANJU_CONFIG"
/** Says where a running broker's admin API is, to the commands that ask it. */
export const ADMIN_URL_VARIABLE = "MANJU_ADMIN_URL"
/** Of other commands. */
const OTHERS = new Set([CONFIG_VARIABLE, ADMIN_URL_VARIABLE, "MANJU_PASSWORD"])
/** Kubernetes and Docker tell every container where a service is that is called `manju`. */
const ORCHESTRATOR = /^MANJU_(?:NAME|SERVICE_(?:HOST|PORT)(?:_\w+)?|PORT(?:_\d+_[A-Z]+(?:_(?:PROTO|PORT|ADDR))?)?)$/

/** What the environment sets: listeners in their order, tables and lists before what is in them. `problems` grow by what cannot be read. */
export function readEnvironment(environment: Environment, problems: Problem[]): Assignment[] {
  const assignments: Assignment[] = []
  const names = new Map<string, string>()
  for (const [name, text] of Object.entries(environment)) {
    if (text === undefined || !name.startsWith(PREFIX) || OTHERS.has(name) || ORCHESTRATOR.test(name)) continue
    const { path, isFromFile } = targetOf(name)
    const source: Source = { kind: "variable", name, path }
    const refuse = (what: string) => problems.push({ source, text: `${name}${what}` })
    const schema = path.length === 0 ? undefined : schemaAt(path)
    if (schema === undefined) {
      refuse(`: ${noSuchVariable(name)}`)
      continue
    }
    const other = names.get(String(path))
    if (other !== undefined) refuse(` and ${other} set the same: leave one out`)
    names.set(String(path), name)
    const value = isFromFile ? readSecret(text, refuse) : text
    const node =
      value === undefined ? undefined : new Reader(problems, () => source).read(schema, fromText(schema, value), path)
    if (node !== undefined) assignments.push({ path, node })
  }
  return assignments.sort((one, other) => numberIn(one) - numberIn(other) || one.path.length - other.path.length)
}

/** The key that a variable sets; empty for one that is none. */
function targetOf(name: string): { path: Path; isFromFile: boolean } {
  const path = pathOf(name.slice(PREFIX.length))
  if (path !== undefined || !name.endsWith(FROM_FILE)) return { path: path ?? [], isFromFile: false }
  const secret = pathOf(name.slice(PREFIX.length, -FROM_FILE.length))
  const isSecret = secret !== undefined && traitsOf(schemaAt(secret)!).isSecret
  return { path: isSecret ? secret : [], isFromFile: true }
}

/** A file ends with a line feed, a secret does not. Undefined, and said: it cannot be read. */
function readSecret(path: string, refuse: (what: string) => void): string | undefined {
  try {
    return readFileSync(path, "utf8").replace(/\r?\n$/, "")
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    refuse(`: ${path}: ${code === "ENOENT" ? "there is no such file" : message}`)
    return undefined
  }
}

/** Of a listener its number; before all of them what is none. */
function numberIn({ path }: Assignment): number {
  return Number(path.find((step) => typeof step === "number") ?? -1)
}

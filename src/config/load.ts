/** The effective configuration: what the file says, over it the environment, over that the flags, under all of it the defaults. */
import { dirname } from "node:path"
import { check } from "./check.ts"
import { complete } from "./complete.ts"
import { conflictsOf } from "./conflicts.ts"
import { type Assignment, CONFIG_VARIABLE, type Environment, readEnvironment } from "./environment.ts"
import { ConfigurationError } from "./errors.ts"
import { ConfigFile } from "./file.ts"
import { flags, standardListeners } from "./flags.ts"
import { root, variableOf } from "./keys.ts"
import { linesOf, type Problem } from "./problems.ts"
import { Reader } from "./read.ts"
import type { Config } from "./schema.ts"
import { byDefault, itemsOf, type Node, nodeAt, overlay, plain, type Table, table } from "./tree.ts"

/** What there is to go by. */
export interface Given {
  /** The file, or its name; undefined: the one that `MANJU_CONFIG` names, if it does. */
  readonly file?: ConfigFile | string | undefined
  readonly environment: Environment
  /** Values of flags, by the flag as it has been given: `--tcp`, `--no-ws`. */
  readonly flags: ReadonlyMap<string, unknown>
}

export interface Configuration {
  readonly values: Config
  /** The same, with where each value comes from. */
  readonly tree: Table
  readonly file: ConfigFile | undefined
  /** What works and may not be meant, a line each. */
  readonly warnings: readonly string[]
}

/** What can be told of a configuration, be it good or not. */
export interface Draft extends Pick<Configuration, "tree" | "file"> {
  readonly problems: readonly Problem[]
  readonly warnings: readonly Problem[]
}

/** Throws a `ConfigurationError` with everything that is wrong. */
export async function load(given: Given): Promise<Configuration> {
  const { tree, file, problems, warnings } = await draft(given)
  if (problems.length > 0) throw new ConfigurationError(await linesOf(problems, file))
  return { values: plain(tree) as Config, tree, file, warnings: await linesOf(warnings, file) }
}

/** Throws a `ConfigurationError` where the file cannot be read, or is no TOML. */
export async function draft({ file: path, environment, flags: given }: Given): Promise<Draft> {
  const problems: Problem[] = []
  const name = path ?? environment[CONFIG_VARIABLE]
  const file = typeof name === "string" ? await ConfigFile.read(name) : name
  const ofFile = new Reader(problems, (path) => ({ kind: "file", path }))
  const tree = (file && ofFile.readTable(root, file.values, [])) ?? table(byDefault)
  layEnvironment(tree, readEnvironment(environment, problems), problems)
  layFlags(tree, given, problems)
  check(tree, problems)
  complete(tree, file === undefined ? "" : dirname(file.path))
  const conflicts = conflictsOf(tree)
  return { tree, file, problems: [...problems, ...conflicts.problems], warnings: conflicts.warnings }
}

/** A listener that is given by its number changes the one that is there, or is the next. */
function layEnvironment(tree: Table, assignments: readonly Assignment[], problems: Problem[]): void {
  const [ofListeners, others] = [true, false].map((isIt) =>
    assignments.filter(({ path }) => (path[0] === "listeners" && path.length > 1) === isIt),
  )
  for (const { path, node } of others!) graft(tree, path, node)
  if (!tree.entries.has("listeners")) tree.entries.set("listeners", standardListeners())
  for (const { path, node } of ofListeners!) {
    const items = itemsOf(tree)
    const at = Number(path[1])
    if (at > items.length) {
      const next = variableOf(["listeners", items.length])
      problems.push({ source: node.source, text: `${variableOf(path)}: the next listener is ${next}` })
    } else {
      if (at === items.length) items.push(table(node.source))
      graft(tree, path, node)
    }
  }
}

function graft(tree: Table, path: readonly (string | number)[], node: Node): void {
  let around: Node = tree
  for (const step of path.slice(0, -1)) {
    let next = nodeAt(around, [step])
    if (next === undefined && around.kind === "table") around.entries.set(String(step), (next = table(node.source)))
    if (next === undefined) return
    around = next
  }
  const last = path.at(-1)!
  const there = nodeAt(around, [last])
  if (there?.kind === "table" && node.kind === "table") overlay(there, node)
  else if (around.kind === "table") around.entries.set(String(last), node)
}

/** Those first that make listeners, or take some out. */
function layFlags(tree: Table, given: ReadonlyMap<string, unknown>, problems: Problem[]): void {
  for (const isOfListeners of [true, false]) {
    for (const flag of flags) {
      const name = flag.spelling.split(" ")[0]!
      if (flag.isOfListeners !== isOfListeners || !given.has(name)) continue
      flag.apply({ tree, value: given.get(name), source: { kind: "flag", name }, problems })
    }
  }
}

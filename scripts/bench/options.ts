/** What the rooms' command lines have in common. */
import { accessSync, constants, writeFileSync } from "node:fs"
import { basename } from "node:path"
import { $ } from "bun"
import { InvalidArgumentError } from "commander"

/** A mistake of the caller: one line, exit code 2. */
export class UsageError extends Error {}

/** The value of an option that takes a number above 0. */
export function positive(text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new InvalidArgumentError("It takes a number above 0.")
  return value
}

/** The value of an option that takes a whole number above 0. */
export function positiveInteger(text: string): number {
  if (!Number.isInteger(positive(text))) throw new InvalidArgumentError("It takes a whole number above 0.")
  return Number(text)
}

/** That the results can be written, and brokers can keep files there: better now than after an hour. */
export function assertUsable({ json, folder }: { json?: string; folder?: string }): void {
  attempt("--json", () => json !== undefined && writeFileSync(json, "", { flag: "a" }))
  attempt("--folder", () => folder !== undefined && accessSync(folder, constants.W_OK))
}

function attempt(option: string, act: () => void): void {
  try {
    act()
  } catch (error) {
    throw new UsageError(`${option}: ${(error as Error).message}`)
  }
}

/**
 * Those of `items` that `--only` names, or matches: names and regular expressions, separated by commas. Where it is not given all of them
 * but those that take very long. `item` is what one is called.
 */
export function selected<T extends { name: string; isLong?: true }>(
  only: string | undefined,
  items: readonly T[],
  item: string,
): T[] {
  if (only === undefined) return items.filter(({ isLong }) => !isLong)
  const chosen = new Set<T>()
  for (const word of only.split(",")) {
    const named = items.filter(({ name }) => name === word)
    const found = named.length > 0 ? named : items.filter(({ name }) => pattern(word).test(name))
    if (found.length === 0) throw new UsageError(`--only: no ${item} is called or matches '${word}'; see --list`)
    for (const each of found) chosen.add(each)
  }
  return items.filter((each) => chosen.has(each))
}

function pattern(text: string): RegExp {
  try {
    return new RegExp(text)
  } catch {
    throw new UsageError(`--only: '${text}' is neither a name nor a regular expression`)
  }
}

/** The value of an option that may be given several times: to be declared with `[]` as its default. */
export const collected = (value: string, before: readonly string[]) => [...before, value]

/**
 * A broker as it is named on a command line, and what it is to be called, where that is put in front.
 *
 *     splitLabel("Mochi 2.7.9=./mochi --port {port}") // { label: "Mochi 2.7.9", broker: "./mochi --port {port}" }
 */
export function splitLabel(specification: string): { label: string | undefined; broker: string } {
  const [, label, broker = specification] = /^((?:(?! -)[^=/"'{}])+)=(.+)$/s.exec(specification) ?? []
  return { label, broker }
}

const labelOf = (specification: string) => splitLabel(specification).label ?? specification

/** How values are shown that name something on this machine; "" leaves the option out. */
const shownAs: Partial<Record<string, (value: string) => string>> = {
  against: labelOf,
  broker: labelOf,
  tool: (path) => basename(path),
  baseline: (path) => basename(path),
  json: () => "",
}

/** The command that measures the same again, for those who know what its labels stand for. */
export function commandLine(words: readonly string[]): string {
  const rest = words.filter((word) => word !== "--")
  const shown: string[] = []
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const [, name, attached] = /^--([a-z-]+)(?:=(.*))?$/s.exec(word) ?? []
    const show = shownAs[name ?? ""]
    if (!show) {
      shown.push(word)
      continue
    }
    const value = show(attached ?? rest.shift() ?? "")
    if (value !== "") shown.push(`--${name}`, value)
  }
  const quoted = shown.map((word) => (/^[\w.,:=/^-]+$/.test(word) ? word : $.escape(word)))
  return ["bun run bench", ...quoted].join(" ")
}

/** The same of options that are parsed. */
export function presentable(options: object): Record<string, unknown> {
  const shown = Object.entries(options).map(([name, value]) => {
    const show = shownAs[name]
    if (!show) return [name, value]
    return [name, Array.isArray(value) ? value.map(show) : show(value)]
  })
  return Object.fromEntries(shown.filter(([, value]) => value !== ""))
}

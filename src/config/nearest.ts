/** What to say of a name that is none: the nearest that is one, and what that takes. */
import { allKeys, EVERY, entriesOf, keyName, type Path, schemaAt, takesOf, variableOf } from "./keys.ts"

/** That there is no key of that name. */
export function noSuchKey(path: Path): string {
  const near = nearestKey(path)
  if (near !== undefined) return `there is no such key; ${keyName(near)} takes ${takesOf(schemaAt(near)!)}`
  return `there is no such key; there are ${siblingsOf(path).join(", ")}`
}

/** That there is no variable of that name. */
export function noSuchVariable(name: string): string {
  const number = Number(/(?<=_)\d+(?=_|$)/.exec(name)?.[0] ?? 0)
  const variables = allKeys().map(({ path, schema }) => ({ name: variableOf(numbered(path, number)), schema }))
  const near = nearest(name, variables, (variable) => variable.name)
  if (near === undefined) return "there is no such variable"
  return `there is no such variable; ${near.name} takes ${takesOf(near.schema)}`
}

/** In the same table, or anywhere. */
function nearestKey(path: Path): Path | undefined {
  const wrong = String(path.at(-1))
  const sibling = nearest(wrong, siblingsOf(path), (name) => name)
  if (sibling !== undefined) return [...path.slice(0, -1), sibling]
  const elsewhere = nearest(wrong, allKeys(), (key) => key.path.at(-1)!)
  const number = path.find((step) => typeof step === "number") ?? 0
  return elsewhere && numbered(elsewhere.path, number)
}

function siblingsOf(path: Path): string[] {
  return Object.keys(entriesOf(schemaAt(path.slice(0, -1))!) ?? {})
}

function numbered(path: readonly string[], number: number): Path {
  return path.map((step) => (step === EVERY ? number : step))
}

/** Of some the one whose name takes the fewest changes, if those are few for a name so long. */
function nearest<T>(wrong: string, candidates: readonly T[], nameOf: (candidate: T) => string): T | undefined {
  let best: T | undefined
  let fewest = Math.max(1, Math.floor(wrong.length / 3)) + 1
  for (const candidate of candidates) {
    const changes = changesBetween(plainly(wrong), plainly(nameOf(candidate)))
    if (changes < fewest) [best, fewest] = [candidate, changes]
  }
  return best
}

/** As `max_inflight` and `max-inflight` are `maxInflight`. */
function plainly(name: string): string {
  return name.replaceAll(/[_-]/g, "").toLowerCase()
}

/** Letters to put in, take out or replace (Levenshtein). */
function changesBetween(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, at) => at)
  for (const [i, letter] of [...one].entries()) {
    const next = [i + 1]
    for (let j = 0; j < other.length; j++) {
      next.push(Math.min(next[j]! + 1, row[j + 1]! + 1, row[j]! + (other[j] === letter ? 0 : 1)))
    }
    row = next
  }
  return row.at(-1)!
}

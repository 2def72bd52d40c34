/** Whether every value is what its key takes, and nothing is missing, when all sources are together. */
import * as v from "valibot"
import { schemaOfListener } from "./complete.ts"
import { entriesOf, keyName, type Path, type Schema, schemaAt, takesOf } from "./keys.ts"
import type { Problem } from "./problems.ts"
import { takesInstead } from "./read.ts"
import { configSchema, listenerSchemas, listenerTypes } from "./schema.ts"
import { itemsOf, nameOf, nearestTo, nodeAt, plain, type Table, valueAt } from "./tree.ts"

/** `problems` grow. What is no key of a listener's type is taken out. */
export function check(tree: Table, problems: Problem[]): void {
  for (const [at, item] of itemsOf(tree).entries()) checkKeys(item, ["listeners", at], problems)
  const { issues = [] } = v.safeParse(configSchema, plain(tree))
  for (const issue of issues) {
    const path = (issue.path ?? []).map(({ key }) => key as string | number)
    const isMissing = issue.input === undefined && nodeAt(tree, path) === undefined
    problems.push(isMissing ? missing(tree, path) : wrong(tree, leafAround(tree, path)))
  }
}

/** Keys of other types of listeners. */
function checkKeys(item: Table, path: Path, problems: Problem[]): void {
  const schema = schemaOfListener(item)
  if (schema === undefined) return
  for (const [name, { source }] of [...item.entries]) {
    if (Object.hasOwn(entriesOf(schema)!, name)) continue
    const others = listenerTypes.filter((type) => name in listenerSchemas[type].entries)
    const text = `${nameOf([...path, name], source)} is for listeners of type ${others.join(" or ")}`
    problems.push({ source, text: `${text}, not ${valueAt(item, "type")}` })
    item.entries.delete(name)
  }
}

function missing(tree: Table, path: Path): Problem {
  const { source } = nearestTo(tree, path)
  const own = source.kind === "file" ? [...source.path, path.at(-1)!] : path
  // Of the flags only those of TLS make a table that takes more than they give.
  if (source.kind === "flag") return { source, text: "TLS takes both --tls-cert and --tls-key" }
  const begin = source.kind === "variable" ? `${source.name}: ` : ""
  return { source, text: `${begin}${keyName(own)} is missing, which takes ${takesOf(schemaOf(tree, path))}` }
}

function wrong(tree: Table, path: Path): Problem {
  const { source } = nearestTo(tree, path)
  return { source, text: `${nameOf(path, source)} ${takesInstead(schemaOf(tree, path), valueAt(tree, ...path))}` }
}

/** The path of the value in which something is wrong, be it in the middle of it. */
function leafAround(tree: Table, path: Path): Path {
  for (let length = 1; length <= path.length; length++) {
    if (nodeAt(tree, path.slice(0, length))?.kind === "leaf") return path.slice(0, length)
  }
  return path
}

/** Some keys take another thing in a listener of another type. */
function schemaOf(tree: Table, path: Path): Schema {
  const [top, at, name] = path
  const item = top === "listeners" && typeof at === "number" ? itemsOf(tree)[at] : undefined
  const kind = item && schemaOfListener(item)
  const schema = schemaAt(path)!
  return path.length === 3 && kind !== undefined ? (entriesOf(kind)![String(name)] ?? schema) : schema
}

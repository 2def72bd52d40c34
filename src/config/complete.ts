/** What nobody has said: defaults, those too that hang on something else. And what a file says of files is relative to it. */
import { isAbsolute, join } from "node:path"
import { resolveLimits } from "../broker/limits.ts"
import { entriesOf, root, type Schema, traitsOf } from "./keys.ts"
import { isTable } from "./problems.ts"
import { listenerSchemas } from "./schema.ts"
import { byDefault, itemsOf, leaf, type Node, type Table, table, valueAt } from "./tree.ts"

const standardPorts: Readonly<Record<string, { plain: number; secure: number }>> = {
  tcp: { plain: 1883, secure: 8883 },
  websocket: { plain: 1882, secure: 8884 },
  http: { plain: 8080, secure: 8080 },
}

/** Fills in what is missing. `folder`: of the configuration file. */
export function complete(tree: Table, folder: string): void {
  const limits = tree.entries.get("limits") ?? table(byDefault)
  if (limits.kind === "table") fillWith(limits, resolveLimits({}, tree.entries.has("data")))
  tree.entries.set("limits", limits)
  for (const item of itemsOf(tree)) {
    const ports = standardPorts[String(valueAt(item, "type"))]
    if (ports !== undefined) fillWith(item, { port: item.entries.has("tls") ? ports.secure : ports.plain })
  }
  fill(tree, root, folder)
}

/** The schema of listeners of the type that it has; undefined for one of none. */
export function schemaOfListener(item: Table): Schema | undefined {
  const type = valueAt(item, "type") as keyof typeof listenerSchemas
  return Object.hasOwn(listenerSchemas, type) ? (listenerSchemas[type] as unknown as Schema) : undefined
}

function fill(node: Table, schema: Schema, folder: string): void {
  for (const [name, entry] of Object.entries(entriesOf(schema)!)) {
    const { default: standard } = entry
    if (isTable(standard) && !node.entries.has(name)) node.entries.set(name, table(byDefault))
    else if (standard !== undefined) fillWith(node, { [name]: standard })
    const inner = node.entries.get(name)
    if (inner?.kind === "table" && entriesOf(entry) !== undefined) fill(inner, entry, folder)
    if (inner?.kind === "leaf" && traitsOf(entry).isFile) node.entries.set(name, inFolder(inner, folder))
    if (inner?.kind !== "list") continue
    for (const item of inner.items) {
      const kind = schemaOfListener(item)
      if (kind !== undefined) fill(item, kind, folder)
    }
  }
}

function fillWith(node: Table, standards: Readonly<Record<string, unknown>>): void {
  for (const [name, standard] of Object.entries(standards)) {
    if (!node.entries.has(name)) node.entries.set(name, leaf(standard, byDefault))
  }
}

function inFolder(node: Node & { kind: "leaf" }, folder: string): Node {
  const { value, source } = node
  const isRelative = typeof value === "string" && value !== "" && !isAbsolute(value) && !value.includes("-----BEGIN")
  return isRelative && source.kind === "file" ? leaf(join(folder, value), source) : node
}

/**
 * The effective configuration as it could stand in a file: TOML, with where each value comes from behind it, and without secrets.
 */
import { schemaOfListener } from "./complete.ts"
import type { ConfigFile } from "./file.ts"
import { entriesOf, root, type Schema, traitsOf } from "./keys.ts"
import type { Configuration } from "./load.ts"
import type { Leaf, Node, Source, Table } from "./tree.ts"

/** As long as the shortest token may be: with it the rest can be read again. */
const MASKED = "*".repeat(16)
/** Where the comments begin, unless a value is longer. */
const COMMENT_COLUMN = 44

/** Lines of TOML. */
export async function describe({ tree, file }: Pick<Configuration, "tree" | "file">): Promise<string[]> {
  const lines: string[] = []
  await describeTable(lines, tree, root, "", file)
  return lines
}

async function describeTable(lines: string[], node: Table, schema: Schema, name: string, file?: ConfigFile) {
  const entries = Object.entries(entriesOf(schema)!).flatMap(([key, entry]): [string, Schema, Node][] => {
    const inner = node.entries.get(key)
    return inner === undefined ? [] : [[key, entry, inner]]
  })
  for (const [key, entry, inner] of entries) {
    if (inner.kind !== "leaf") continue
    const line = toml(key, masked(entry, inner))
    lines.push(`${line.padEnd(COMMENT_COLUMN - 1)} # ${await originOf(inner.source, file)}`)
  }
  for (const [key, entry, inner] of entries) {
    const path = name === "" ? key : `${name}.${key}`
    if (inner.kind === "table" && inner.entries.size > 0) {
      lines.push("", `[${path}]`)
      await describeTable(lines, inner, entry, path, file)
    }
    if (inner.kind !== "list") continue
    for (const item of inner.items) {
      lines.push("", `[[${path}]]`)
      await describeTable(lines, item, schemaOfListener(item)!, path, file)
    }
  }
}

/** `--tcp`, `MANJU_DATA`, `manju.toml:12` or `default`. */
async function originOf(source: Source, file: ConfigFile | undefined): Promise<string> {
  if (source.kind === "default") return "default"
  if (source.kind !== "file") return source.name
  const line = await file?.lineOf(source.path)
  return line === undefined ? file!.path : `${file!.path}:${line}`
}

/** What a value looks like to everybody. */
function masked(schema: Schema, { value }: Leaf): unknown {
  if (traitsOf(schema).isSecret) return typeof value === "string" ? MASKED : maskedTable(value as object)
  if (typeof value !== "string") return value
  if (value.includes("PRIVATE KEY-----")) return MASKED
  return URL.canParse(value) ? value.replace(/\?.*/, `?${MASKED}`) : value // a query may hold a secret
}

function maskedTable(value: object): Record<string, string> {
  return Object.fromEntries(Object.keys(value).map((name) => [name, MASKED]))
}

/** `key = value`, on one line. */
export function toml(key: string, value: unknown): string {
  if (typeof value !== "object" || Array.isArray(value)) return Bun.TOML.stringify({ [key]: value }).trimEnd()
  const entries = Object.entries(value as object).map(([name, each]) => toml(name, each))
  return `${key} = { ${entries.join(", ")} }`
}

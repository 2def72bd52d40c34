/**
 * A file with every key: what it is for, and, commented out, its default or else an example. As it stands it says what holds without any
 * file; without the `#` before a key it says that.
 */
import { toml } from "./describe.ts"
import { entriesOf, helpOf, itemOf, root, type Schema, traitsOf } from "./keys.ts"
import { listenerSchemas, listenerTypes } from "./schema.ts"

const LINE_LENGTH = 100

const introduction = `#:schema manju.schema.json

# The configuration of manju: manju --config manju.toml; manju check --config manju.toml says what holds then.
# Every key may be left out. One that stands behind # has its default there, or where it has none an example.
# Names of files are relative to this file. What the environment says (MANJU_DATA, MANJU_LISTENERS_0_PORT)
# counts more than what stands here, and what flags say counts more than that.
# Editors complete and check it by the file that this makes: manju config schema > manju.schema.json`

/** Of which listeners there is one without any being said. */
const standard = ["tcp", "websocket", "http"]
/** Tables that several listeners have: the first shows them, but for what is at the top already. */
const shared = ["tls", "auth", "limits"]

/** The text of the file. */
export function exampleFile(): string {
  const lines = introduction.split("\n")
  writeTable(lines, entriesOf(root)!, "", "")
  for (const type of listenerTypes) {
    const mark = standard.includes(type) ? "" : "#"
    const { type: literal, ...entries } = entriesOf(listenerSchemas[type] as unknown as Schema)!
    lines.push("", ...comment(helpOf(literal!)), `${mark}[[listeners]]`, `${mark}${toml("type", type)}`)
    writeTable(lines, entries, "listeners", mark, type === "tcp" ? ["auth"] : shared)
  }
  return `${lines.join("\n")}\n`
}

/** Keys, then the tables in it. `mark` stands before what would change something, `left`: tables that others show. */
function writeTable(
  lines: string[],
  entries: Readonly<Record<string, Schema>>,
  name: string,
  mark: string,
  left: readonly string[] = [],
): void {
  const all = Object.entries(entries).filter(([, entry]) => itemOf(entry) === undefined)
  for (const [key, entry] of all) {
    if (entriesOf(entry) !== undefined) continue
    lines.push("", ...comment(helpOf(entry)), `#${toml(key, entry.default ?? traitsOf(entry).example)}`)
  }
  for (const [key, entry] of all) {
    const inner = entriesOf(entry)
    if (inner === undefined) continue
    const path = name === "" ? key : `${name}.${key}`
    if (left.includes(key)) {
      lines.push("", `# ${key}: ${key === "auth" ? "a table as [auth]" : "as of the first listener"}`)
      continue
    }
    const own = entry.default === undefined ? "#" : mark
    lines.push("", ...comment(helpOf(entry)), `${own}[${path}]`)
    writeTable(lines, inner, path, own, left)
  }
}

/** A text as comment lines. */
function comment(text: string): string[] {
  const lines: string[] = []
  let line = "#"
  for (const word of text.split(" ")) {
    if (line.length + word.length >= LINE_LENGTH) {
      lines.push(line)
      line = "#"
    }
    line += ` ${word}`
  }
  return [...lines, line]
}

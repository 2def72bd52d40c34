/**
 * The conformance coverage table.
 *
 * test/conformance/statements/ lists every normative statement of MQTT 5.0 and 3.1.1. A test says which of them it
 * covers by a tag in its name: `[MQTT-3.1.0-2]` is MQTT 5.0, `[v3.1.1 MQTT-3.1.2-24]` is MQTT 3.1.1. From both comes
 * test/conformance/COVERAGE.md.
 *
 *     bun scripts/coverage.ts            writes the table
 *     bun scripts/coverage.ts --check    ends with 1 if a tag, a reason or the table is wrong
 */

import { join } from "node:path"
import { Glob, Transpiler } from "bun"
import mqtt5 from "../test/conformance/statements/mqtt5.json" with { type: "json" }
import mqtt311 from "../test/conformance/statements/mqtt311.json" with { type: "json" }

/** One normative statement. A reason in `untestable` stands in for a test. */
export interface Statement {
  id: string
  binds: "server" | "client" | "both"
  text: string
  untestable?: string
}

/** A specification; its tags are `[${tagPrefix}${id}]`. */
export interface Specification {
  name: string
  url: string
  tagPrefix: string
  statements: readonly Statement[]
}

/** Tag without its brackets -> test file below test/ -> how often it stands there. */
export type Tags = Map<string, Map<string, number>>

/** MQTT 5.0, then 3.1.1. */
export const specifications: readonly Specification[] = [
  {
    name: "MQTT 5.0",
    url: "https://docs.oasis-open.org/mqtt/mqtt/v5.0/os/mqtt-v5.0-os.html",
    tagPrefix: "",
    statements: mqtt5 as Statement[],
  },
  {
    name: "MQTT 3.1.1",
    url: "https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/os/mqtt-v3.1.1-os.html",
    tagPrefix: "v3.1.1 ",
    statements: mqtt311 as Statement[],
  },
]

const testFolder = join(import.meta.dir, "../test")
const tablePath = join(testFolder, "conformance/COVERAGE.md")
/** Its strings hold tags as samples. */
const ownTest = "conformance/coverage.test.ts"

const transpiler = new Transpiler({ loader: "ts" })
const legalComment = /(\/[/*])!/g
/** The name of a test that does not run covers nothing. */
const skippedName = /\b(?:describe|test|it)\.(?:skip|todo)\(\s*(["'`]).*?\1/gs
/** Wide on purpose: a tag with a slip in it is found here, and reported as unknown. */
const tagPattern = /\[((?:v[\d.]+\s+)?MQTT-[^\]]*)\]/g

/** The tags in the string literals of a test file: the transpiler drops comments, all but the legal ones (`//!`). */
export function tagsIn(source: string): string[] {
  const code = transpiler.transformSync(source.replace(legalComment, "$1")).replace(skippedName, "")
  return Array.from(code.matchAll(tagPattern), (match) => match[1]!)
}

/** The tags of all test files. */
export async function collectTags(): Promise<Tags> {
  const tags: Tags = new Map()
  const files = await Array.fromAsync(new Glob("**/*.test.ts").scan(testFolder))
  for (const file of files.sort()) {
    if (file === ownTest) continue
    for (const tag of tagsIn(await Bun.file(join(testFolder, file)).text())) {
      const counts = tags.get(tag) ?? new Map<string, number>()
      tags.set(tag, counts.set(file, (counts.get(file) ?? 0) + 1))
    }
  }
  return tags
}

/** What is wrong with the tags and the reasons, a line each. */
export function findProblems(tags: Tags): string[] {
  const known = new Set(specifications.flatMap((spec) => spec.statements.map(({ id }) => spec.tagPrefix + id)))
  const problems = Array.from(tags)
    .filter(([tag]) => !known.has(tag))
    .map(([tag, files]) => `unknown statement: [${tag}] in ${[...files.keys()].join(", ")}`)
  for (const spec of specifications) {
    const { open, stale } = classify(spec, tags)
    if (open.length > 0) problems.push(`${spec.name}: neither a test nor a reason: ${ids(open)}`)
    if (stale.length > 0) problems.push(`${spec.name}: has a test, so "untestable" is stale: ${ids(stale)}`)
  }
  return problems
}

/** COVERAGE.md. */
export function renderTable(tags: Tags): string {
  const totals = specifications.map((spec) => {
    const { server, covered, excused, open, client } = classify(spec, tags)
    const counts = [spec.statements, server, covered, excused, open, client].map((list) => list.length)
    return `| [${spec.name}](${spec.url}) | ${counts.join(" | ")} |`
  })
  return [
    "# Conformance coverage",
    "Written by `bun scripts/coverage.ts` from the tags in the names of the tests: `[MQTT-3.1.0-2]` is MQTT 5.0, " +
      "`[v3.1.1 MQTT-3.1.2-24]` is MQTT 3.1.1. The statements are abridged; the standards hold the full texts.",
    [
      "| Specification | Statements | Bind a server | Tested | Untestable | No test yet | Bind the client only |",
      "| --- | --: | --: | --: | --: | --: | --: |",
      ...totals,
    ].join("\n"),
    ...specifications.flatMap((spec) => renderSpecification(spec, tags)),
    "",
  ]
    .join("\n\n")
    .trimEnd()
    .concat("\n")
}

/** Everything that `--check` refuses: `findProblems`, and a table on disk that is not the one to write. */
export async function check(): Promise<string[]> {
  const tags = await collectTags()
  const table = Bun.file(tablePath)
  const written = (await table.exists()) ? await table.text() : ""
  const stale = written === renderTable(tags) ? [] : ["COVERAGE.md is out of date: run bun scripts/coverage.ts"]
  return [...findProblems(tags), ...stale]
}

function renderSpecification(spec: Specification, tags: Tags): string[] {
  const { server, excused, open, client } = classify(spec, tags)
  const rows = server.map(({ id, binds, text }) => {
    const files = Array.from(tags.get(spec.tagPrefix + id) ?? [], ([file, count]) => `${file} (${count})`)
    return `| ${id} | ${binds} | ${text.replaceAll("|", "\\|")} | ${files.join(", ")} |`
  })
  const reasons = [...excused, ...open].map(({ id, untestable }) => `- ${id}: ${untestable ?? "no test yet"}`)
  return [
    `## ${spec.name}`,
    ["| Statement | Binds | Text | Tests |", "| --- | --- | --- | --- |", ...rows].join("\n"),
    `### ${spec.name}: not covered`,
    reasons.join("\n") || "Nothing.",
    `### ${spec.name}: binds the client only`,
    `${ids(client)}.`,
  ]
}

function classify({ statements, tagPrefix }: Specification, tags: Tags) {
  const isTested = ({ id }: Statement) => tags.has(tagPrefix + id)
  const server = statements.filter(({ binds }) => binds !== "client")
  const untested = server.filter((statement) => !isTested(statement))
  return {
    server,
    client: statements.filter(({ binds }) => binds === "client"),
    covered: server.filter(isTested),
    excused: untested.filter(({ untestable }) => untestable !== undefined),
    open: untested.filter(({ untestable }) => untestable === undefined),
    stale: statements.filter((statement) => statement.untestable !== undefined && isTested(statement)),
  }
}

function ids(statements: readonly Statement[]): string {
  return statements.map(({ id }) => id).join(", ")
}

if (import.meta.main) {
  if (process.argv.includes("--check")) {
    const problems = await check()
    for (const problem of problems) console.error(problem)
    process.exitCode = problems.length > 0 ? 1 : 0
  } else {
    await Bun.write(tablePath, renderTable(await collectTags()))
  }
}

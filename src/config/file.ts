/** The file of a configuration, in TOML. Bun reads it; where in it a key stands is looked up when there is something to say of it. */
import type { AST } from "toml-eslint-parser"
import { readText } from "../auth/text-file.ts"
import { ConfigurationError } from "./errors.ts"
import type { Path } from "./keys.ts"

export class ConfigFile {
  readonly path: string
  /** As it is in the file, unchecked. */
  readonly values: Readonly<Record<string, unknown>>
  private readonly text: string
  private lines: Promise<ReadonlyMap<string, number>> | undefined

  private constructor(path: string, text: string) {
    this.path = path
    this.text = text
    this.values = parse(path, text)
  }

  /** Throws a `ConfigurationError` for a file that cannot be read, or is no TOML. */
  static async read(path: string): Promise<ConfigFile> {
    return new ConfigFile(path, await readFile(path))
  }

  /** As if it were in a file of that name, which need not be there. Throws a `ConfigurationError` for what is no TOML. */
  static of(path: string, text: string): ConfigFile {
    return new ConfigFile(path, text)
  }

  /** Where a key stands, or the table around it, counted from 1; undefined where that cannot be told. */
  async lineOf(path: Path): Promise<number | undefined> {
    this.lines ??= linesOf(this.text)
    const lines = await this.lines
    for (let length = path.length; length > 0; length--) {
      const line = lines.get(JSON.stringify(path.slice(0, length)))
      if (line !== undefined) return line
    }
    return undefined
  }
}

async function readFile(path: string): Promise<string> {
  try {
    return await readText(path)
  } catch (error) {
    throw new ConfigurationError([(error as Error).message])
  }
}

function parse(path: string, text: string): Record<string, unknown> {
  const problem = problemWith(text)
  if (problem === undefined) return Bun.TOML.parse(text) as Record<string, unknown>
  throw new ConfigurationError([`${path}:${lineOfProblem(text, problem)}: ${problem}`])
}

/** What Bun says is wrong with it. A value that it quotes may be a secret. */
function problemWith(text: string): string | undefined {
  try {
    Bun.TOML.parse(text)
    return undefined
  } catch (error) {
    const { message } = error as Error
    return message.replace(/^TOML Parse error: /, "").replaceAll(/:? *"[^"]*"?/g, "")
  }
}

/** Bun does not say where. What is wrong with the whole is wrong with its beginning, as soon as the line is in it that it is about. */
function lineOfProblem(text: string, problem: string): number {
  const lines = text.split("\n")
  const upTo = (count: number) => problemWith(lines.slice(0, count).join("\n") + (count < lines.length ? "\n" : ""))
  let good = lines.length - 1
  while (good > 0 && upTo(good) !== undefined) good--
  let line = good + 1
  while (line < lines.length && upTo(line) !== problem) line++
  return line
}

/** The lines of all keys and tables, by their path. Empty for what the parser does not understand. */
async function linesOf(text: string): Promise<ReadonlyMap<string, number>> {
  const { parseTOML } = await import("toml-eslint-parser")
  const lines = new Map<string, number>()
  try {
    const [top] = parseTOML(text, { tomlVersion: "latest" }).body
    for (const each of top.body) note(lines, [], each)
  } catch {
    // Bun takes it, and so it counts: its lines cannot be told.
  }
  return lines
}

function note(lines: Map<string, number>, around: Path, node: AST.TOMLKeyValue | AST.TOMLTable): void {
  if (node.type === "TOMLTable") {
    say(lines, node.resolvedKey, node)
    for (const each of node.body) note(lines, node.resolvedKey, each)
    return
  }
  const path = [...around, ...node.key.keys.map((key) => (key.type === "TOMLBare" ? key.name : key.value))]
  say(lines, path, node)
  noteValue(lines, path, node.value)
}

function noteValue(lines: Map<string, number>, path: Path, value: AST.TOMLContentNode): void {
  if (value.type === "TOMLInlineTable") for (const each of value.body) note(lines, path, each)
  if (value.type !== "TOMLArray") return
  for (const [at, element] of value.elements.entries()) {
    say(lines, [...path, at], element)
    noteValue(lines, [...path, at], element)
  }
}

/** A key that is written with dots is where the tables around it begin, too. */
function say(lines: Map<string, number>, path: Path, node: AST.TOMLNode): void {
  for (let length = 1; length <= path.length; length++) {
    const key = JSON.stringify(path.slice(0, length))
    if (!lines.has(key)) lines.set(key, node.loc.start.line)
  }
}

/** The house stands as the tables below draw it: who may import whom, how long a file may be, who may print. */
import { describe, expect, test } from "bun:test"
import { dirname, join, normalize } from "node:path"
import { Glob, Transpiler } from "bun"

const root = join(import.meta.dir, "../src")

const files = ["hostname.ts", "version.ts"]
const command = ["codec", "router", "broker", "listeners", "auth", "store", "http", "config", "cli", ...files]

/** What each room may import of ours, itself included. A room is a folder of src, or a file that stands alone. */
const mayImport: Record<string, string[]> = {
  codec: ["codec"],
  router: ["codec", "router"],
  session: ["codec", "router", "session"],
  broker: ["codec", "router", "session", "broker", "version.ts"],
  connection: ["codec", "router", "session", "broker", "connection"],
  listeners: ["codec", "router", "session", "broker", "connection", "listeners"],
  auth: ["auth", "broker/ports.ts"],
  store: ["store", "broker/ports.ts"],
  // What an operator sees is all of the broker; a dashboard is a listener over HTTP with a handler of its own.
  http: ["codec", "broker", "listeners/web.ts", "listeners/websocket.ts", "http", "hostname.ts", "version.ts"],
  testing: ["codec", "router", "session", "broker", "connection", "listeners", "auth", "store", "http", "testing"],
  // Which limits there are the broker says, and which algorithms of tokens the auths do; they are not listed twice.
  config: ["codec", "broker", "auth", "config", "hostname.ts"],
  "hostname.ts": [],
  "version.ts": [], // which of them knows what it has been made of
  "index.ts": ["codec", "router", "session", "broker", "connection", "listeners", "auth", "store", "http"],
  cli: command,
  "cli.ts": command,
}

/** Rooms that know neither the machine nor the time; of packages, only what computes. */
const pure = ["codec", "router", "session"]
const computing = ["node:buffer"]

/** Started from outside, so that nobody imports them. */
const entries = [
  ...["index.ts", "cli.ts", "auth/conformance.ts", "store/conformance.ts", "store/sqlite/worker.ts"],
  ...["testing/index.ts", "http/dashboard/index.html"],
]

/** What runs in a browser: of the broker it knows types alone. */
const isInBrowser = (path: string) => path.startsWith("http/dashboard/")

const MOST_LINES = 350
/** Files that may be longer, how long, and why that is better than two. */
const longFiles: Record<string, [lines: number, reason: string]> = {
  "auth/conformance.ts": [420, "a list of independent cases, each of which is read alone"],
  "broker/broker.ts": [380, "the public surface: short methods, and what each of them promises"],
  "connection/connect.ts": [400, "the steps by which a client is let in, read from top to bottom in their order"],
  "connection/link.ts": [410, "the sending half is the session's one Outlet; its parts would share all their state"],
  "store/conformance.ts": [420, "a list of independent cases, each of which is read alone"],
  "session/session.ts": [490, "three roads of a message through one window and one queue, whose order they keep"],
}

const statements = [
  /^\s*import\s+(?:type\s+)?(?:[\w$]+|\*\s+as\s+[\w$]+|\{[^}]*\})(?:\s*,\s*(?:\{[^}]*\}|\*\s+as\s+[\w$]+))?\s+from\s+["']([^"']+)["']/gm,
  /^\s*export\s+(?:type\s+)?(?:\*(?:\s+as\s+[\w$]+)?|\{[^}]*\})\s+from\s+["']([^"']+)["']/gm,
  /^\s*import\s+["']([^"']+)["']/gm,
  /\b(?:import|require)\(\s*["']([^"']+)["']/g,
  /^\s*<(?:link|script)\b[^>]*\s(?:href|src)="(\.[^"]+)"/gm,
]

interface Source {
  path: string
  text: string
  /** Comments taken out. */
  code: string
  /** What it imports, of types too: paths below src, or names of packages. */
  imports: string[]
}

/** The specifiers of every import, those of types included, which the transpiler drops. */
function importsOf(code: string): string[] {
  return [...new Set(statements.flatMap((pattern) => Array.from(code.matchAll(pattern), (match) => match[1]!)))]
}

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/(^|\s)\/\/.*$/gm, "$1")
}

/** `../codec/index.ts` as `broker/core.ts` says it -> `codec/index.ts`; a package stays as it is. */
function resolve(from: string, specifier: string): string {
  return specifier.startsWith(".") ? normalize(join(dirname(from), specifier)) : specifier
}

async function read(path: string): Promise<Source> {
  const text = await Bun.file(join(root, path)).text()
  const code = withoutComments(text)
  return { path, text, code, imports: importsOf(code).map((specifier) => resolve(path, specifier)) }
}

const generated = (path: string) => /\/migrations\/meta\/|\.d\.ts$|\/tsconfig\.json$/.test(path)
const paths = (await Array.fromAsync(new Glob("**/*").scan(root))).filter((path) => !generated(path)).sort()
const sources = await Promise.all(paths.filter((path) => /\.(?:tsx?|html)$/.test(path)).map(read))
const ours = new Set(sources.map(({ path }) => path))
const roomOf = (path: string) => path.split("/")[0]!

/** What is loaded with it: its imports without those of types, and without what JSX brings. */
function loadedBy({ path, text }: Pick<Source, "path" | "text">): string[] {
  const transpiler = new Transpiler({ loader: path.endsWith(".tsx") ? "tsx" : "ts" })
  const scanned = transpiler.scanImports(text.replace(/^#!.*/, "")).map((each) => resolve(path, each.path))
  return scanned.filter((each) => !/^react(?:\/|$)/.test(each))
}

/** Every import of a file by a file that the rule forbids, as `a -> b`. */
function forbidden(files: readonly Pick<Source, "path" | "imports">[]): string[] {
  return files.flatMap(({ path, imports }) => {
    const allowed = mayImport[roomOf(path)] ?? []
    const isAllowed = (target: string) => allowed.includes(roomOf(target)) || allowed.includes(target)
    return imports.filter((target) => ours.has(target) && !isAllowed(target)).map((target) => `${path} -> ${target}`)
  })
}

/** The first way round that leads back to its beginning, if there is one. */
function cycle(files: readonly Pick<Source, "path" | "imports">[]): string[] | undefined {
  const importsByPath = new Map(files.map(({ path, imports }) => [path, imports]))
  const done = new Set<string>()
  const visit = (path: string, way: string[]): string[] | undefined => {
    if (way.includes(path)) return [...way.slice(way.indexOf(path)), path]
    if (done.has(path)) return undefined
    for (const target of importsByPath.get(path) ?? []) {
      const found = visit(target, [...way, path])
      if (found !== undefined) return found
    }
    done.add(path)
    return undefined
  }
  for (const { path } of files) {
    const found = visit(path, [])
    if (found !== undefined) return found
  }
  return undefined
}

describe("this test", () => {
  test("sees every form of import, and none in comments", () => {
    const code = withoutComments(`
      import type { A } from "./a.ts"
      import {
        B,
        type C,
      } from './b.ts'
      import d, { e } from "./d.ts"
      import * as f from "./f.ts"
      import data from "./g.json" with { type: "json" }
      import "./h.ts"
      export * from "./i.ts"
      export { type J } from "./j.ts"
      export type { K } from "./k.ts"
      const l = await import("./l.ts")
      const q = require("./q.txt")
      // import { m } from "./m.ts"
      /** @example import { n } from "./n.ts" */
      const url = "mqtt://x" // import "./o.ts"
      export function from() { return "./p.ts" }`)
    const letters = importsOf(code).map((specifier) => specifier[2])
    expect(letters.sort().join("")).toBe("abdfghijklq")
  })

  test("misses nothing that the transpiler sees", () => {
    for (const source of sources.filter(({ path }) => !path.endsWith(".html"))) {
      const missed = loadedBy(source).filter((each) => !source.imports.includes(each))
      expect([source.path, missed]).toEqual([source.path, []])
    }
  })

  test("would find what it looks for", () => {
    const upwards = { path: "codec/writer.ts", imports: ["broker/core.ts"] }
    const sideways = { path: "router/topics.ts", imports: ["session/session.ts"] }
    const deeper = { path: "auth/allow.ts", imports: ["broker/ports.ts", "broker/core.ts"] }
    expect(forbidden([upwards, sideways, deeper])).toEqual([
      "codec/writer.ts -> broker/core.ts",
      "router/topics.ts -> session/session.ts",
      "auth/allow.ts -> broker/core.ts",
    ])
    const files = { a: ["b"], b: ["c", "d"], c: ["d"], d: ["b"] }
    expect(cycle(Object.entries(files).map(([path, imports]) => ({ path, imports })))).toEqual(["b", "c", "d", "b"])
  })
})

describe("the house", () => {
  test("has the rooms of the table and no other", () => {
    expect([...new Set(paths.map(roomOf))].filter((room) => !(room in mayImport))).toEqual([])
  })

  test("imports point one way", () => expect(forbidden(sources)).toEqual([]))

  test("every import of ours is of a file that is there", () => {
    const missing = sources.flatMap(({ path, imports }) =>
      imports
        .filter((target) => /^(?!uplot\/).*\.(?:tsx?|css)$/.test(target) && !paths.includes(target))
        .map((target) => `${path} -> ${target}`),
    )
    expect(missing).toEqual([])
  })

  test("no cycles, type imports included", () => expect(cycle(sources)).toBeUndefined())

  test("every file is imported by somebody", () => {
    const imported = new Set(sources.flatMap(({ imports }) => imports))
    expect(paths.filter((path) => !imported.has(path) && !entries.includes(path))).toEqual([])
  })

  test("codec, router and session know no package, no machine and no time", () => {
    for (const { path, code, imports } of sources.filter(({ path }) => pure.includes(roomOf(path)))) {
      const others = imports.filter((target) => !ours.has(target) && !computing.includes(target))
      expect([path, others]).toEqual([path, []])
      const uses = code.match(/\b(?:Bun|process|performance|Date|Math\.random|set(?:Timeout|Interval|Immediate))\b/g)
      expect([path, uses]).toEqual([path, null])
    }
  })

  test("commander stays with the command", () => {
    const users = sources.filter(({ imports }) => imports.includes("commander"))
    expect(users.map(({ path }) => path).filter((path) => !/^(?:cli\.ts|cli\/)/.test(path))).toEqual([])
  })

  test("what few starts of the command need is loaded for those alone", () => {
    const transpiler = new Transpiler({ loader: "ts" })
    const loaded = new Set<string>()
    const load = (path: string) => {
      if (loaded.has(path)) return
      loaded.add(path)
      const source = sources.find((each) => each.path === path)
      for (const each of transpiler.scanImports(source?.text.replace(/^#!.*/, "") ?? "")) {
        if (each.kind === "import-statement") load(resolve(path, each.path))
      }
    }
    load("cli.ts")
    expect(loaded).toContain("config/load.ts")
    const rare = [
      "store/sqlite/index.ts",
      "store/sqlite/file.ts",
      "cli/secret.ts",
      "http/page.ts",
      "http/page-files.ts",
      "cli/service/install.ts",
      "toml-eslint-parser",
      "@valibot/to-json-schema",
      "jose",
      "mqtt",
      "zod",
      "bun:ffi",
      "node:v8",
    ]
    expect(rare.filter((name) => loaded.has(name))).toEqual([])
  })

  test("what runs in a browser knows of the broker types alone, and nothing of Bun; nobody else knows of it", () => {
    const figures = "http/format.ts" // for people, wherever they read them
    const packages = [/^(?:@?preact|uplot)(?:\/|$)/, /^eventsource-parser\/stream$/]
    for (const source of sources) {
      const { path, code, imports } = source
      if (!isInBrowser(path)) expect([path, imports.filter(isInBrowser)]).toEqual([path, []])
      if ((isInBrowser(path) && !path.endsWith(".html")) || path === figures) {
        const strange = loadedBy(source).filter((each) => {
          return !isInBrowser(each) && each !== figures && !packages.some((pattern) => pattern.test(each))
        })
        expect([path, strange]).toEqual([path, []])
        expect([path, code.match(/\b(?:Bun|process|Buffer|require|import\.meta)\b/g)]).toEqual([path, null])
      }
    }
  })

  test("mqtt-packet is the client's half, and stays with manju/testing", () => {
    const users = sources.filter(({ imports }) => imports.includes("mqtt-packet"))
    expect(new Set(users.map(({ path }) => roomOf(path)))).toEqual(new Set(["testing"]))
  })
})

describe("tidiness", () => {
  test(`no file has more than ${MOST_LINES} lines without a reason`, () => {
    const long = sources
      .map(({ path, text }) => ({ path, lines: text.trimEnd().split("\n").length }))
      .filter(({ path, lines }) => lines > (longFiles[path]?.[0] ?? MOST_LINES))
    expect(long).toEqual([])
    expect(Object.keys(longFiles).filter((path) => !ours.has(path))).toEqual([])
  })

  test("nothing is printed outside the command", () => {
    const printing = sources.filter(({ code }) => /\bconsole\s*\.|process\.std(?:out|err)\b/.test(code))
    expect(printing.map(({ path }) => path).filter((path) => !path.startsWith("cli"))).toEqual([])
  })

  test("cli.ts alone ends the process", () => {
    const ending = sources.filter(({ code }) => /\bprocess\s*\.\s*(?:exit|abort|kill)\b/.test(code))
    expect(ending.map(({ path }) => path)).toEqual(["cli.ts"])
  })
})

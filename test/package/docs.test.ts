/**
 * What the editor shows of manju: every export says what it is, whatever can be called, made or implemented shows how, and what
 * it shows type-checks.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { join } from "node:path"
import { API, type Checker, type Symbol as ExportedSymbol, SymbolFlags } from "typescript/unstable/async"
import manifest from "../../package.json" with { type: "json" }
import tsconfig from "../../tsconfig.json" with { type: "json" }
import { entryPoints, root, Service, strict, Tarball } from "../support/package.ts"

setDefaultTimeout(60_000)

/** What the examples of an entry point take as given: their types. */
const given: Record<string, Record<string, string>> = {
  manju: {
    broker: 'import("manju").Broker',
    auth: 'import("manju").Auth',
    signal: "AbortSignal",
    /** A typed topic, as the first example of `TypedTopic` makes it, and a schema like its. */
    temp: 'import("manju").TypedTopic<{ id: string }, { celsius: number }, { celsius: number }>',
    schema: 'import("zod").ZodType<{ celsius: number }, { celsius: number }>',
    z: 'typeof import("zod").z',
    worker: 'import("node:worker_threads").Worker',
    duplex: 'import("node:stream").Duplex',
    encode: "(value: unknown) => Uint8Array",
    decode: "(bytes: Uint8Array) => unknown",
    /** What a service may have of its own. */
    remote: "any",
    database: "any",
    page: "(reason: unknown) => Promise<void>",
  },
  "manju/testing": {
    broker: 'import("manju/testing").TestBroker',
    client: 'import("manju/testing").TestClient',
    watcher: 'import("manju/testing").TestClient',
    service: '{ broker: import("manju").Broker }',
    expect: 'typeof import("bun:test").expect',
  },
}

interface Export {
  /** `manju: tcp` */
  readonly title: string
  readonly name: string
  readonly from: string
  readonly comment: string
  /** Its own examples, then those of its members. */
  readonly examples: readonly string[]
  /**
   * It is called, made with new, implemented, or a value. Types that only name a shape are not; nor are options, which are shown with
   * what takes them.
   */
  readonly isUsed: boolean
}

const Used = SymbolFlags.Function | SymbolFlags.Class | SymbolFlags.Variable
const WithMembers = SymbolFlags.Class | SymbolFlags.Interface

async function examplesOf(symbol: ExportedSymbol, checker: Checker): Promise<string[]> {
  const tags = await checker.getJsDocTagsOfSymbol(symbol)
  return tags.filter(({ name }) => name === "example").map(({ text = "" }) => text)
}

async function describeExport(from: string, symbol: ExportedSymbol, checker: Checker): Promise<Export> {
  const { name, flags } = symbol
  const members = flags & WithMembers ? [...(await symbol.getMembers()).values()] : []
  const examples = await Promise.all([symbol, ...members].map((each) => examplesOf(each, checker)))
  return {
    title: `${from}: ${name}`,
    name,
    from,
    comment: await checker.getDocumentationCommentOfSymbol(symbol),
    examples: examples.flat(),
    isUsed:
      (flags & Used) !== 0 ||
      (members.some((member) => member.flags & SymbolFlags.Method) && !name.endsWith("Options")),
  }
}

async function readExports(): Promise<Export[]> {
  const api = new API({ cwd: root })
  try {
    const snapshot = await api.updateSnapshot({ openProject: join(root, "tsconfig.json") })
    const { program, checker } = (await snapshot.getProjects())[0]!
    const found: Export[] = []
    for (const { name: from, source } of entryPoints) {
      const module = await checker.getSymbolAtLocation((await program.getSourceFile(source))!)
      for (const each of await checker.getExportsOfModule(module!)) {
        const symbol = each.flags & SymbolFlags.Alias ? await checker.getAliasedSymbol(each) : each
        found.push(await describeExport(from, symbol, checker))
      }
    }
    return found
  } finally {
    await api.close()
  }
}

const exported = await readExports()

describe("every entry point", () => {
  test("is where tsconfig.json says it is, so that our own files are checked against the sources", () => {
    const paths = Object.entries(manifest.exports).map(([name, { default: source }]) => [
      `manju${name.slice(1)}`,
      [source],
    ])
    expect(tsconfig.compilerOptions.paths as object).toEqual(Object.fromEntries(paths))
  })

  test("exports something", () => {
    for (const { name } of entryPoints) expect(exported.some(({ from }) => from === name)).toBeTrue()
  })
})

describe("every export", () => {
  test("says what it is", () => {
    expect(exported.filter(({ comment }) => comment === "").map(({ title }) => title)).toEqual([])
  })

  test("shows how it is used, unless it is a type that only names a shape", () => {
    const silent = exported.filter(({ isUsed, examples }) => isUsed && examples.length === 0)
    expect(silent.map(({ title }) => title)).toEqual([])
  })
})

/** An example as a module of its own: the exports that it names are imported, what is given is declared. */
function moduleOf(example: string, from: string): string {
  const named = exported.filter(({ name }) => isTakenFor(name, example))
  const imports = new Map(named.map((each) => [each.name, `import { ${each.name} } from "${each.from}"`]))
  const taken = Object.entries(given[from] ?? {}).filter(([name]) => isTakenFor(name, example))
  const declarations = taken.map(([name, type]) => `declare const ${name}: ${type}`)
  return [...imports.values(), ...declarations, example, "export {}"].join("\n")
}

/** Whether code uses a name that it neither declares nor imports. */
function isTakenFor(name: string, code: string): boolean {
  const isDeclared = new RegExp(
    `^(?:await |export )*(?:class|const|function|let|type|interface|using) ${name}\\b`,
    "m",
  ).test(code)
  const isImported = new RegExp(`^import .*\\b${name}\\b`, "m").test(code)
  return new RegExp(`(?<![.\\w])${name}\\b(?!:)`).test(code) && !isDeclared && !isImported
}

describe("in a project that has the package", () => {
  let tarball: Tarball
  let service: Service

  beforeAll(async () => {
    tarball = await Tarball.pack()
    service = await Service.install(tarball)
    service.borrow("zod")
  })
  afterAll(() => {
    tarball?.[Symbol.dispose]()
    service?.[Symbol.dispose]()
  })

  test("the examples type-check", async () => {
    let count = 0
    for (const { from, name, examples } of exported) {
      for (const [index, example] of examples.entries()) {
        await service.write(`examples/${from.replace("/", "-")}.${name}.${index + 1}.ts`, moduleOf(example, from))
        count++
      }
    }
    expect(count).toBeGreaterThan(20)
    const types = [join(root, "node_modules/bun-types")]
    const loose = { verbatimModuleSyntax: false, isolatedModules: false }
    expect(await service.typeErrors({ ...strict, ...loose, types })).toBe("")
  })
})

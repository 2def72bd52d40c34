/** What `bun pm pack` makes, in the hands of a service: installed, type-checked, imported, run, bundled and compiled. */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { renameSync, symlinkSync } from "node:fs"
import { join } from "node:path"
import { Glob } from "bun"
import manifest from "../../package.json" with { type: "json" }
import type { PageFiles } from "../../src/http/page-files.ts"
import { temporaryFolder } from "../support/broker-process.ts"
import { plain } from "../support/command.ts"
import { connect, endClients } from "../support/mqttjs.ts"
import { entryPoints, root, run, Service, strict, Tarball } from "../support/package.ts"

setDefaultTimeout(60_000)

const MOST_PACKED_BYTES = 600_000

let tarball: Tarball
let service: Service
let files: Map<string, Blob>

beforeAll(async () => {
  tarball = await Tarball.pack()
  service = await Service.install(tarball)
  files = await tarball.files()
})
afterAll(() => {
  tarball?.[Symbol.dispose]()
  service?.[Symbol.dispose]()
})
afterEach(endClients)

/** Leaves a message in a file, and says how many it has found there. */
const counting = `
  import { allowAll, Broker, sqlite, tcp } from "manju"

  async function main() {
    await using broker = new Broker({ store: sqlite("runs.db") })
    await broker.listen(tcp({ port: 0, auth: allowAll() }))
    const messages = broker.subscribe("runs/+")
    await broker.publish(\`runs/\${process.pid}\`, "ran", { qos: 1, retain: true })
    let before = 0
    for await (const { retain } of messages) {
      if (!retain) break
      before++
    }
    console.log(before)
  }

  void main()
`

/** Looks at its own dashboard: what each of the page's files is, and its text. */
const looking = `
  import { Broker, dashboard } from "manju"

  async function main() {
    await using broker = new Broker()
    const { port } = await broker.listen(dashboard({ port: 0 }))
    for (const name of ["", "dashboard.js", "dashboard.css"]) {
      const response = await fetch(\`http://127.0.0.1:\${port}/\${name}\`)
      console.log(response.status, response.headers.get("content-type"), String(Bun.hash(await response.text())))
    }
  }

  void main()
`

/** Of a run of `counting`. */
const counted = (before: number) => ({ code: 0, out: `${before}\n`, err: "" })

describe("the tarball", () => {
  test("has the sources, their declarations, what goes into bundles in one piece, README and LICENSE, and nothing else", async () => {
    const ours = /\/meta\/|^src\/http\/dashboard\// // of no use to others: the page goes in one piece
    const sources = (await Array.fromAsync(new Glob("src/**/*").scan(root))).filter((path) => !ours.test(path))
    const declarations = Object.values(manifest.exports).map(({ types }) => types.slice(2))
    const pieces = ["dist/dashboard.txt", "dist/store-worker.txt"]
    const expected = ["LICENSE", "README.md", "package.json", ...pieces, ...declarations, ...sources]
    const shared = [...files.keys()].filter((name) => /^dist\/types\/shared\d*\.d\.ts$/.test(name))
    expect([...files.keys()].sort()).toEqual([...expected, ...shared].sort())
  })

  test(`has at most ${MOST_PACKED_BYTES} bytes`, () => {
    const { size } = Bun.file(tarball.path)
    const unpacked = [...files.values()].reduce((sum, file) => sum + file.size, 0)
    console.log(`${files.size} files, ${size} bytes packed, ${unpacked} unpacked`)
    expect(size).toBeLessThanOrEqual(MOST_PACKED_BYTES)
  })

  test("its declarations know nothing of Bun, nor of what is ours alone", async () => {
    for (const [name, file] of files) {
      if (!name.startsWith("dist/types/")) continue
      const code = (await file.text()).replaceAll(/\/\*[\s\S]*?\*\//g, "")
      expect([name, code.match(/\b(?:Buffer|Bun|NodeJS|Core)\b|"(?:bun|node):?.*"|declare global/g)]).toEqual([
        name,
        null,
      ])
    }
  })
})

describe("installed in an empty project", () => {
  const nodenext = { module: "nodenext", moduleResolution: "nodenext" }
  const withBun = { lib: ["esnext"], types: [join(root, "node_modules/bun-types")] }
  for (const [about, options] of [
    ["as a bundler resolves", {}],
    ["as Node resolves", nodenext],
    ["as a bundler resolves, with the types of Bun", withBun],
    ["as Node resolves, with the types of Bun", { ...nodenext, ...withBun }],
  ] as const) {
    test(`every entry point type-checks under the strictest options, ${about}`, async () => {
      const imports = entryPoints.map(({ name }, index) => `import * as entry${index} from "${name}"`)
      const entries = entryPoints.map((_, index) => `entry${index}`)
      await service.write("service.ts", `${imports.join("\n")}\nexport const entries: readonly object[] = [${entries}]`)
      await service.write("counting.ts", "types" in options ? counting : "")
      expect(await service.typeErrors({ ...strict, types: [], ...options })).toBe("")
    })
  }

  test("what is wrong does not type-check", async () => {
    await service.write(
      "service.ts",
      `import { tcp } from "manju"\nexport const listener: string = tcp({ port: "1883" })`,
    )
    const errors = await service.typeErrors({ ...strict, types: [join(root, "node_modules/bun-types")] })
    expect(errors.match(/error TS\d+/g)).toEqual(["error TS2322", "error TS2322"])
    await service.write("service.ts", "")
  })

  test("it shows the dashboard", async () => {
    await service.write("looking.ts", looking)
    expect(await service.bun(["looking.ts"])).toEqual(await seen())
  })

  test("it runs, with a store, and the next run finds what the first has left", async () => {
    await service.write("counting.ts", counting)
    expect(await service.bun(["counting.ts"])).toEqual(counted(0))
    expect(await service.bun(["counting.ts"])).toEqual(counted(1))
  })
})

/** Of a run of `looking`: the page as the tarball has it. */
async function seen() {
  const page: PageFiles = await files.get("dist/dashboard.txt")!.json()
  const lines = ["index.html", "dashboard.js", "dashboard.css"].map((name) => {
    const { type, text } = page[name]!
    return `200 ${type} ${Bun.hash(text)}\n`
  })
  return { code: 0, out: lines.join(""), err: "" }
}

describe("an import", () => {
  const observed = `
    import { readdirSync, readlinkSync } from "node:fs"

    /** What an import might leave behind; of what is open, not the folders in which modules are looked for. */
    function state() {
      const descriptors = process.platform === "linux" ? readdirSync("/proc/self/fd") : []
      const targets = descriptors.map((each) => { try { return readlinkSync("/proc/self/fd/" + each) } catch { return "" } })
      return {
        listeners: process.eventNames().map((name) => [String(name), process.listenerCount(name)]).sort(),
        open: [...new Set(targets)].filter((target) => /^socket:|\\.(?:db|txt)\\b/.test(target)).sort(),
        globals: Object.getOwnPropertyNames(globalThis).sort(),
        environment: { ...process.env },
        folder: process.cwd(),
      }
    }
    const before = state()
    for (const name of ${JSON.stringify(entryPoints.map(({ name }) => name))}) await import(name)
    const after = state()
    for (const name in before) if (!Bun.deepEquals(after[name], before[name])) console.log(name, before[name], after[name])
  `

  test("opens nothing, says nothing, listens to no signal, adds no global, and lets the process end", async () => {
    await service.write("import.ts", observed)
    expect(await service.bun(["import.ts"])).toEqual({ code: 0, out: "", err: "" })
  })

  test("leaves nothing in a bundle that uses nothing of it", async () => {
    await service.write("unused.ts", entryPoints.map(({ name }) => `import "${name}"`).join("\n"))
    const { code, out } = await service.bun(["build", "--target=bun", "unused.ts"])
    expect({ code, out: out.replaceAll(/^\/\/.*$/gm, "").trim() }).toEqual({ code: 0, out: "" })
  })

  test("of a part brings no more than that part: no database where none is asked for", async () => {
    await service.write(
      "part.ts",
      'import { allowAll } from "manju"\nconsole.log(allowAll().authenticate({} as never))',
    )
    expect(await service.bun(["part.ts"])).toEqual({ code: 0, out: "true\n", err: "" })
    const { code, out } = await service.bun(["build", "--target=bun", "part.ts"])
    expect(code).toBe(0)
    expect(out.length).toBeLessThan(1000)
  })

  test("and a broker that has been closed, listeners, store and all, lets the process end", async () => {
    await service.write(
      "closed.ts",
      `
      import { allowAll, Broker, dashboard, sqlite, tcp } from "manju"

      const broker = new Broker({ store: sqlite("closed.db") })
      for (const listener of [tcp({ port: 0, auth: allowAll() }), dashboard({ port: 0 })]) await broker.listen(listener)
      await broker.close()
      const signals = process.eventNames().filter((name) => String(name).startsWith("SIG"))
      console.log("closed", ...signals)
    `,
    )
    expect(await service.bun(["closed.ts"])).toEqual({ code: 0, out: "closed\n", err: "" })
  })
})

describe("the command", () => {
  test("is where the package's bin is looked for, and says its version", async () => {
    const { code, out } = await service.bun(["x", "--no-install", "manju", "--version"])
    expect({ code, out }).toEqual({ code: 0, out: `${manifest.version}\n` })
  })

  test("starts a broker from the tarball, in an empty folder, where there is no command but Bun's", async () => {
    using empty = temporaryFolder()
    using path = temporaryFolder()
    symlinkSync(process.execPath, join(path.path, "bun"))
    using cache = temporaryFolder()
    const flags = ["--tcp", "0", "--no-ws", "--no-http"]
    const child = Bun.spawn([process.execPath, "x", "-p", tarball.path, "manju", ...flags], {
      cwd: empty.path,
      env: { ...plain, PATH: path.path, BUN_INSTALL_CACHE_DIR: cache.path },
      stdio: ["ignore", "pipe", "pipe"],
    })
    try {
      const port = await portIn(child.stdout)
      const { client, inbox } = await connect(port, 5)
      await client.subscribeAsync("hello/#")
      await client.publishAsync("hello/world", "hi", { qos: 1 })
      expect(await inbox.take(1)).toEqual(["hello/world hi"])
    } finally {
      child.kill("SIGTERM") // bunx passes it on
      await child.exited
    }
  })

  test("is one binary that has the dashboard, made with bun build --compile", async () => {
    using empty = temporaryFolder()
    const binary = join(empty.path, "manju")
    const cli = "node_modules/manju/src/cli.ts"
    expect(await service.bun(["build", "--compile", cli, "--outfile", binary])).toMatchObject({ code: 0, err: "" })
    const child = Bun.spawn([binary, "--tcp", "0", "--no-ws", "--http", "0"], {
      cwd: empty.path,
      env: plain,
      stdio: ["ignore", "pipe", "pipe"],
    })
    try {
      const page = await fetch(`http://127.0.0.1:${await portIn(child.stdout, "http")}/`)
      expect({ status: page.status, text: await page.text() }).toEqual({
        status: 200,
        text: ((await files.get("dist/dashboard.txt")!.json()) as PageFiles)["index.html"]!.text,
      })
    } finally {
      child.kill("SIGTERM")
      await child.exited
    }
  })
})

/** The port that the command says it has: of MQTT, or of HTTP. */
async function portIn(stdout: ReadableStream<Uint8Array<ArrayBuffer>>, scheme = "mqtt"): Promise<number> {
  let said = ""
  for await (const text of stdout.pipeThrough(new TextDecoderStream())) {
    said += text
    const port = new RegExp(`${scheme}://[^ ,]+:(\\d+)`).exec(said)?.[1]
    if (port !== undefined) return Number(port)
  }
  throw new Error(`it has not said where it listens: ${said}`)
}

describe("in one piece with a service", () => {
  const thread = "node_modules/manju/src/store/sqlite/worker.ts"

  /** Builds a service in an empty folder, beside a worker.ts and a page that are not manju's. */
  async function build(program: string, ...flags: string[]) {
    const folder = temporaryFolder()
    const path = join(folder.path, "service")
    await service.write("service.ts", program)
    for (const place of [service.path, folder.path]) {
      await Bun.write(join(place, "worker.ts"), 'throw new Error("not for you")')
      await Bun.write(join(place, "dashboard/index.html"), "not for you")
    }
    const { code, err } = await service.bun(["build", "service.ts", ...flags, "--outfile", path])
    expect({ code, err }).toEqual({ code: 0, err: "" })
    return {
      run: (...command: string[]) => run(folder.path, [...command, path]),
      [Symbol.dispose]: () => folder[Symbol.dispose](),
    }
  }

  /** While it is done, nothing of the project is where it was. */
  async function withoutProject<Result>(act: () => Promise<Result>): Promise<Result> {
    const hidden = `${service.path}.hidden`
    renameSync(service.path, hidden)
    return act().finally(() => renameSync(hidden, service.path))
  }

  for (const flags of [[], ["--minify"], ["--bytecode"], ["--bytecode", "--format=esm"], ["worker.ts"]]) {
    test(`the store is in what bun build --compile ${flags.join(" ")} makes, and nothing else is asked for it`, async () => {
      using built = await build(counting, "--compile", ...flags)
      const source = await Bun.file(join(service.path, thread)).text()
      await service.write(thread, 'throw new Error("not asked for")')
      expect(await built.run()).toEqual(counted(0))
      await service.write(thread, source)
      expect(await withoutProject(() => built.run())).toEqual(counted(1))
    })
  }

  for (const format of ["esm", "cjs"]) {
    test(`the store is in what bun build --target=bun --format=${format} makes`, async () => {
      using built = await build(counting, "--target=bun", `--format=${format}`)
      expect(await withoutProject(() => built.run(process.execPath))).toEqual(counted(0))
      expect(await withoutProject(() => built.run(process.execPath))).toEqual(counted(1))
    })
  }

  for (const flags of [["--compile"], ["--compile", "--minify", "--bytecode"], ["--target=bun"]]) {
    test(`the dashboard is in what bun build ${flags.join(" ")} makes`, async () => {
      using built = await build(looking, ...flags)
      const bun = flags.includes("--compile") ? [] : [process.execPath]
      expect(await withoutProject(() => built.run(...bun))).toEqual(await seen())
    })
  }
})

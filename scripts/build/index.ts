/**
 * `bun run build`: manju as one file for each system, with Bun, the store's thread, its migrations, the dashboard and everything else
 * inside, and their checksums.
 *
 * Bun's bundler makes them, also for other systems than this one: it fetches the Bun of the target, once, and puts behind it what it has
 * made of src/cli.ts, compiled to bytecode. What scripts/pack makes for other people's bundles comes in from memory, so that nothing that
 * lies in dist/ matters. Two builds of one commit are the same, byte for byte, wherever the repository is.
 */
import { createHash } from "node:crypto"
import { createReadStream, existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join, resolve } from "node:path"
import { $, type BunPlugin } from "bun"
import { Command, InvalidArgumentError } from "commander"
import { pieces } from "../pack/pieces.ts"

const root = join(import.meta.dir, "../..")

/** `linux-x64-baseline` is for processors without AVX2. */
const targets = [
  ...["linux-x64", "linux-x64-baseline", "linux-arm64", "linux-x64-musl", "linux-arm64-musl"],
  ...["darwin-x64", "darwin-arm64", "windows-x64", "windows-arm64"],
]

/**
 * How many times as much a function has to run before it is compiled, until the command has less of it (see
 * src/cli/start.ts): while it starts next to nothing is, which takes a third of the CPU time and 5 MiB less. More of it would not save more,
 * and what the start has called before would run uncompiled for longer.
 */
const PATIENCE = 50

interface Options {
  target: string[]
  out: string
}

function readOptions(): Options {
  return new Command("build")
    .description("Makes manju as one file, for each system.")
    .option("--target <name...>", `which of ${targets.join(", ")} (default: all)`, collectTarget, [])
    .option("--out <folder>", "where to", (path) => resolve(path), join(root, "dist"))
    .allowExcessArguments(false)
    .parse()
    .opts<Options>()
}

function collectTarget(name: string, before: string[]): string[] {
  if (targets.includes(name)) return [...before, name]
  throw new InvalidArgumentError(`It takes ${targets.join(", ")}.`)
}

/** The commit that the sources are of, as `manju --version` says it. */
async function commitOf(): Promise<string> {
  const git = (...args: string[]) => $`git -C ${root} ${args}`.quiet().text()
  try {
    if ((await git("rev-parse", "--show-prefix")).trim() !== "") return "unknown" // we are a part of somebody else's repository
    const commit = (await git("rev-parse", "--short=12", "HEAD")).trim()
    return (await git("status", "--porcelain")) === "" ? commit : `${commit}-dirty`
  } catch {
    return "unknown"
  }
}

/** Gives the sources what they ask for in dist/, whether or not there is one. */
function inMemory(texts: Record<string, string>): BunPlugin {
  return {
    name: "pieces",
    setup(bundler) {
      // By name, not by path: that of the repository would be in the names of the bundle's parts.
      bundler.onResolve({ filter: /\/dist\/[^/]+\.txt$/ }, ({ path }) => ({
        path: path.replace(/.*\/dist/, "dist"),
        namespace: "piece",
      }))
      bundler.onLoad({ filter: /.*/, namespace: "piece" }, ({ path }) => ({ contents: texts[path]!, loader: "text" }))
    },
  }
}

interface Recipe {
  /** Where it goes, and what it is for; undefined: for this machine. */
  readonly path: string
  readonly target?: string
  readonly commit: string
  /** What is beside the sources. */
  readonly beside: BunPlugin
  /** What `profile` has found. */
  readonly order?: string
}

async function make({ path, target, commit, beside, order }: Recipe): Promise<void> {
  await Bun.build({
    entrypoints: ["./src/cli.ts"],
    plugins: [beside],
    define: { MANJU_BUILD: JSON.stringify({ commit, target }) },
    minify: true,
    bytecode: true,
    format: "esm", // bytecode of the other kind knows no await at the top
    splitting: true, // what is imported later is loaded later
    compile: {
      ...(target !== undefined && { target: `bun-${target}` as Bun.Build.CompileTarget }),
      outfile: path,
      jitPolicy: PATIENCE,
      bytecodeOrder: order ?? null,
      // Whoever runs it in a folder of somebody else's runs nothing of theirs.
      autoloadDotenv: false,
      autoloadBunfig: false,
      autoloadTsconfig: false,
      autoloadPackageJson: false,
    },
  })
}

/**
 * Starts a broker and stops it when it listens; resolves with the path of what Bun has noted of that: which functions it takes, so that
 * they lie side by side in the file, and fewer of its pages are read. It is always the same. Undefined where nothing can be stopped softly.
 */
async function profile(folder: string, recipe: Pick<Recipe, "commit" | "beside">): Promise<string | undefined> {
  const path = join(folder, process.platform === "win32" ? "manju.exe" : "manju")
  const order = join(folder, "order.txt")
  await make({ ...recipe, path })
  const child = Bun.spawn([path, "--tcp", "0", "--ws", "0", "--http", "0"], {
    cwd: folder,
    env: { BUN_BYTECODE_ORDER_OUT: order },
    stdio: ["ignore", "pipe", "ignore"],
  })
  await child.stdout.getReader().read()
  child.kill("SIGTERM")
  await child.exited
  return existsSync(order) ? order : undefined
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256")
  for await (const chunk of createReadStream(path)) hash.update(chunk)
  return hash.digest("hex")
}

const { target, out } = readOptions()
mkdirSync(out, { recursive: true })
process.chdir(root) // paths relative to here, which is nowhere in what is made
const [commit, beside] = await Promise.all([commitOf(), pieces().then(inMemory)])
const scratch = mkdtempSync(join(tmpdir(), "manju-build-"))
try {
  const order = await profile(scratch, { commit, beside })
  const sums: string[] = []
  for (const each of target.length > 0 ? target : targets) {
    const path = join(out, `manju-${each}${each.startsWith("windows") ? ".exe" : ""}`)
    await make({ path, target: each, commit, beside, ...(order !== undefined && { order }) })
    const sum = await sha256(path)
    sums.push(`${sum}  ${basename(path)}\n`)
    console.log(`${(statSync(path).size / 1e6).toFixed(1).padStart(6)} MB  ${sum}  ${path}`)
  }
  await Bun.write(join(out, "SHA256SUMS"), sums.join(""))
} finally {
  rmSync(scratch, { recursive: true })
}

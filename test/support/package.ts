/** The package as `bun pm pack` makes it, and services that have it installed. */
import { cpSync, mkdirSync, rmSync, symlinkSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { Glob } from "bun"
import manifest from "../../package.json" with { type: "json" }
import { temporaryFolder } from "./broker-process.ts"
import { type Outcome, plain } from "./command.ts"

export const root = join(import.meta.dir, "../..")
/** What is not packed from, or is made anew. */
const leftOut = [".git", "node_modules", "dist", "test", "coverage"]

/** The names that a service imports, and the files of ours behind them. */
export const entryPoints = Object.entries(manifest.exports).map(([name, { default: source }]) => ({
  name: `manju${name.slice(1)}`,
  source: join(root, source),
}))

/** Runs a command in a folder, to the end. */
export async function run(cwd: string, command: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
  const pipes = { stdin: "ignore", stdout: "pipe", stderr: "pipe" } as const
  const child = Bun.spawn([...command], { cwd, env: { ...plain, ...env }, ...pipes })
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])
  return { code, out, err }
}

async function mustRun(cwd: string, ...command: string[]): Promise<string> {
  const { code, out, err } = await run(cwd, command)
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${out}${err}`)
  return out
}

/** A tarball of this tree. It is made of a copy, so that nobody else's dist/ is in the way. Removed with `using`. */
export class Tarball {
  private readonly folder = temporaryFolder()

  static async pack(): Promise<Tarball> {
    const made = new Tarball()
    const copy = join(made.folder.path, "repository")
    cpSync(root, copy, {
      recursive: true,
      filter: (path) => dirname(path) !== root || !leftOut.includes(basename(path)),
    })
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"))
    await mustRun(copy, process.execPath, "pm", "pack", "--quiet", "--destination", made.folder.path)
    return made
  }

  get path(): string {
    return join(this.folder.path, `manju-${manifest.version}.tgz`)
  }

  /** What is in it, by name. */
  async files(): Promise<Map<string, Blob>> {
    const archive = new Bun.Archive(await Bun.file(this.path).bytes())
    const files = await archive.files()
    return new Map([...files].map(([name, file]) => [name.replace(/^package\//, ""), file]))
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]()
  }
}

/** A project that was empty before manju came into it. Removed with `using`. */
export class Service {
  private readonly folder = temporaryFolder()

  static async install(tarball: Tarball): Promise<Service> {
    const service = new Service()
    await service.write("package.json", JSON.stringify({ name: "service", private: true, type: "module" }))
    const copied = "--backend=copyfile" // what a test changes here is not changed in Bun's cache
    await mustRun(service.path, process.execPath, "add", "--silent", "--prefer-offline", copied, tarball.path)
    await service.forget()
    return service
  }

  /** Bun keeps a copy of whatever it has installed, under its hash. Nobody will ask for this one again. */
  private async forget(): Promise<void> {
    const lock = await Bun.file(join(this.path, "bun.lock")).text()
    const hash = /"manju": \["manju@.*"sha512-([^"]+)"/.exec(lock)?.[1] ?? ""
    const cache = (await mustRun(this.path, process.execPath, "pm", "cache")).trim()
    const name = `@T@sha512-${Buffer.from(hash, "base64").toString("hex", 0, 16)}`
    for await (const path of new Glob(`${name}@*`).scan({ cwd: cache, onlyFiles: false })) {
      rmSync(join(cache, path), { recursive: true })
    }
  }

  get path(): string {
    return this.folder.path
  }

  async write(name: string, text: string): Promise<void> {
    mkdirSync(dirname(join(this.path, name)), { recursive: true })
    await Bun.write(join(this.path, name), text)
  }

  /** Puts a package beside manju, from among those that we have for our own tests. */
  borrow(...names: string[]): void {
    for (const name of names) symlinkSync(join(root, "node_modules", name), join(this.path, "node_modules", name))
  }

  /** Runs Bun in it, to the end. */
  bun(args: readonly string[], env?: Record<string, string>): Promise<Outcome> {
    return run(this.path, [process.execPath, ...args], env)
  }

  /** What our TypeScript has to say of its files under these options; nothing: all is well. */
  async typeErrors(compilerOptions: object, include: readonly string[] = ["**/*.ts"]): Promise<string> {
    const settings = { compilerOptions: { noEmit: true, ...compilerOptions }, include }
    await this.write("tsconfig.json", JSON.stringify(settings))
    const { code, out, err } = await this.bun([join(root, "node_modules/.bin/tsc"), "--pretty", "false"])
    return code === 0 ? "" : out + err
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]()
  }
}

/** The options that are strict about what they find in other people's declarations. */
export const strict = {
  target: "esnext",
  module: "preserve",
  moduleResolution: "bundler",
  strict: true,
  skipLibCheck: false,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  noImplicitOverride: true,
  verbatimModuleSyntax: true,
  isolatedModules: true,
}

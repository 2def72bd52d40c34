/**
 * Makes what the package has beside the sources, in dist/:
 *
 * - `types/`: declarations of what the entry points export and nothing else, so that a service's `tsc` does not read our sources
 *   under its own flags, and needs no types of Bun. Members that are marked `@internal` are left out.
 * - `store-worker.txt`: the thread of the SQLite store in one piece, for services that are bundled or compiled;
 * - `dashboard.txt`: the files of the dashboard's page, for them as well.
 *
 *     bun scripts/pack/index.ts     `bun pm pack` runs it as `prepack`
 */
import { rm } from "node:fs/promises"
import { basename, join } from "node:path"
import { $ } from "bun"
import { rolldown } from "rolldown"
import { dts } from "rolldown-plugin-dts"
import manifest from "../../package.json" with { type: "json" }
import { pieces } from "./pieces.ts"

const root = join(import.meta.dir, "../..")
const dist = join(root, "dist")
const declarations = join(dist, "declarations")

/** The declarations that tsc makes of the file that an entry point names, and the file in the package that they belong into. */
const entries = Object.values(manifest.exports).map(
  ({ types, default: source }) =>
    [basename(types, ".d.ts"), join(declarations, source.replace(/\.ts$/, ".d.ts"))] as const,
)

async function bundleTypes(): Promise<void> {
  await $`${process.execPath} ${join(root, "node_modules/.bin/tsc")} --project ${join(import.meta.dir, "tsconfig.json")}`
  const bundle = await rolldown({
    input: Object.fromEntries(entries),
    external: /^[^./]/,
    treeshake: { moduleSideEffects: false }, // what augments Bun's types is for our own sources
    plugins: [dts({ dtsInput: true, generator: "oxc" })],
  })
  await rm(join(dist, "types"), { recursive: true, force: true })
  await bundle.write({ dir: join(dist, "types"), entryFileNames: "[name].d.ts", chunkFileNames: "shared.d.ts" })
  await bundle.close()
  await rm(declarations, { recursive: true })
}

async function writePieces(): Promise<void> {
  const made = Object.entries(await pieces())
  await Promise.all(made.map(([path, text]) => Bun.write(join(root, path), text)))
}

await Promise.all([bundleTypes(), writePieces()])

/**
 * The files of the dashboard's page, in one piece each, wherever this code is.
 *
 * Beside its source they are made by Bun's bundler, in memory, in a few milliseconds. The package, a bundle, and a binary that
 * `bun build --compile` has made have no source: for them there are the files in a text, made by scripts/pack, that goes into each.
 */
import { existsSync } from "node:fs"
import { basename } from "node:path"

/** The text of each file, by its name, the type in front of it: `dashboard.js`. */
export type PageFiles = Record<string, { type: string; text: string }>

/** Throws where the bundle has been made without the page. */
export async function loadPage(): Promise<PageFiles> {
  const source = new URL("./dashboard/index.html", import.meta.url)
  // What is bundled may still name the place where its source was, and what is there is somebody else's.
  const isSource = !Bun.isStandaloneExecutable && import.meta.file === "page-files.ts" && existsSync(source)
  return isSource ? bundlePage(Bun.fileURLToPath(source)) : JSON.parse(bundledPage())
}

/** `path`: of index.html. */
export async function bundlePage(path: string): Promise<PageFiles> {
  const { outputs } = await Bun.build({
    entrypoints: [path],
    target: "browser",
    minify: true,
    naming: { entry: "[name].[ext]", chunk: "dashboard.[ext]", asset: "dashboard.[ext]" },
    publicPath: "./", // a proxy may have it below a path
    jsx: { runtime: "automatic", importSource: "preact", development: false }, // nobody reads a tsconfig.json in node_modules
  })
  const files = outputs.map(
    async (file) => [basename(file.path), { type: file.type, text: await file.text() }] as const,
  )
  return Object.fromEntries(await Promise.all(files))
}

function bundledPage(): string {
  try {
    const text = require("../../dist/dashboard.txt")
    return typeof text === "string" ? text : text.default // as a bundle has it; as a module, in node_modules
  } catch {
    throw new Error("the dashboard is not in this bundle: `bun run prepack` makes it, before the bundle is made")
  }
}

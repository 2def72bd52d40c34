/** What a bundle of manju needs beside its code, since bundlers do not follow to it: each in one piece of text. */
import { join } from "node:path"
import { bundlePage } from "../../src/http/page-files.ts"

const root = join(import.meta.dir, "../..")

/** The pieces, by the path below the repository at which the sources ask for them. */
export async function pieces(): Promise<Record<string, string>> {
  const [worker, page] = await Promise.all([storeWorker(), dashboard()])
  return { "dist/store-worker.txt": worker, "dist/dashboard.txt": page }
}

/** The thread of the SQLite store. */
async function storeWorker(): Promise<string> {
  const { outputs } = await Bun.build({
    entrypoints: [join(root, "src/store/sqlite/worker.ts")],
    target: "bun",
    minify: true,
    banner: "/* manju, and drizzle-orm (Apache License 2.0) */",
  })
  return outputs[0]!.text()
}

/** The files of the dashboard's page. */
async function dashboard(): Promise<string> {
  return JSON.stringify(await bundlePage(join(root, "src/http/dashboard/index.html")))
}

/**
 * Starts the store's thread, wherever its code is.
 *
 * Bundlers do not follow `new Worker`: in a bundle, and in a binary that `bun build --compile` has made, there is no worker.ts beside
 * this code. For them the package has the thread in one piece, made by scripts/pack: a text that goes into every bundle.
 */
import { existsSync } from "node:fs"

let url: string | undefined

export function startThread(): Worker {
  url ??= urlOfThread()
  return new Worker(url)
}

function urlOfThread(): string {
  const source = new URL("./worker.ts", import.meta.url)
  // What is bundled may still name the place where its source was, and a worker.ts beside the bundle is somebody else's.
  const isSource = !Bun.isStandaloneExecutable && import.meta.file === "thread.ts" && existsSync(source)
  return isSource ? source.href : URL.createObjectURL(new Blob([bundledThread()], { type: "text/javascript" }))
}

function bundledThread(): string {
  try {
    return require("../../../dist/store-worker.txt")
  } catch {
    throw new Error("the store's thread is not in this bundle: `bun run prepack` makes it, before the bundle is made")
  }
}

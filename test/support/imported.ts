/** A `mosquitto.conf` that a test writes, imported: what holds then, and what became of each line. */
import { mkdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import type { Left } from "../../src/cli/import/definition.ts"
import { readDirectives } from "../../src/cli/import/lines.ts"
import { translate } from "../../src/cli/import/translate.ts"
import { fileOf } from "../../src/cli/import/write.ts"
import { ConfigFile } from "../../src/config/file.ts"
import { load } from "../../src/config/load.ts"
import type { Config } from "../../src/config/schema.ts"
import { temporaryFolder } from "./broker-process.ts"

export interface Imported {
  /** The file that was written. */
  readonly text: string
  /** What holds with it. */
  readonly values: Config
  /** Lines that are not carried over, as `name value`, with why. */
  readonly left: readonly (Pick<Left, "kind" | "why"> & { readonly said: string })[]
}

/** A password file in which nobody is. */
export const NOBODY = "/dev/null"

/** Imports it from a folder of its own, with these files beside it. Files that it names are where it says. */
export async function imported(text: string, files: Readonly<Record<string, string>> = {}): Promise<Imported> {
  using folder = temporaryFolder()
  const write = (name: string, content: string) => {
    const path = join(folder.path, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, content.replaceAll("FOLDER", folder.path))
    return path
  }
  for (const [name, content] of Object.entries(files)) write(name, content)
  const path = write("mosquitto.conf", text)
  const translation = translate(await readDirectives(path), { locate: (path) => path, everywhere: "0.0.0.0" })
  const written = fileOf(translation, path)
  const { values } = await load({ file: ConfigFile.of("manju.toml", written), environment: {}, flags: new Map() })
  const left = translation.left.map(({ directive: { name, value }, kind, why }) => ({
    said: `${name} ${value}`.trimEnd().replaceAll(folder.path, "FOLDER"),
    kind,
    why,
  }))
  return { text: written.replaceAll(folder.path, "FOLDER"), values, left }
}

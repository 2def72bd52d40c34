/** A configuration from a file that a test writes, variables and flags: as it is loaded, or what is wrong with it. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { ConfigurationError } from "../../src/config/errors.ts"
import { type Configuration, load } from "../../src/config/load.ts"
import { temporaryFolder } from "./broker-process.ts"

/** What there is to go by: the text of a file, variables, and flags with their values. */
export interface Sources {
  readonly file?: string
  readonly environment?: Readonly<Record<string, string>>
  readonly flags?: Readonly<Record<string, unknown>>
}

/** Loads it. A file is `manju.toml` in a folder of its own, which `act` may look into. */
export async function withLoaded<T>(
  { file, environment = {}, flags = {} }: Sources,
  act: (configuration: Configuration, folder: string) => T | Promise<T>,
): Promise<T> {
  using folder = temporaryFolder()
  const path = join(folder.path, "manju.toml")
  if (file !== undefined) writeFileSync(path, file)
  const given = { file: file === undefined ? undefined : path, environment, flags: new Map(Object.entries(flags)) }
  return await act(await load(given), folder.path)
}

/** The values that hold. */
export function valuesOf(sources: Sources): Promise<Configuration["values"]> {
  return withLoaded(sources, ({ values }) => values)
}

/** What is wrong with it, a line each, the file as `manju.toml`; none where it is good. */
export async function problemsOf(sources: Sources): Promise<string[]> {
  try {
    await valuesOf(sources)
    return []
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error
    return error.lines.map((line) => line.replaceAll(/\S*\/(?=manju\.toml)/g, ""))
  }
}

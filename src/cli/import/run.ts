/** Reads, translates, checks, writes and tells. */
import { existsSync } from "node:fs"
import { writeFile } from "node:fs/promises"
import { networkInterfaces } from "node:os"
import { dirname, isAbsolute, join, relative, resolve } from "node:path"
import { ManjuError } from "../../broker/errors.ts"
import { ConfigurationError } from "../../config/errors.ts"
import { ConfigFile } from "../../config/file.ts"
import { load } from "../../config/load.ts"
import { linesOf } from "../../config/problems.ts"
import { problemsOf } from "../check/run.ts"
import { CommandFailure } from "../failure.ts"
import { print } from "../output.ts"
import { replaceFile, writeFailure } from "../replace-file.ts"
import { complain, type Style, styled } from "../stderr.ts"
import type { Left } from "./definition.ts"
import { readDirectives } from "./lines.ts"
import { type Translation, translate } from "./translate.ts"
import { fileOf, shown } from "./write.ts"

export interface ImportFlags {
  readonly output: string
  readonly force?: boolean
}

/** What is written is not all of who may come in, or does not work as it stands. */
const INCOMPLETE = 3
const STDOUT = "-"

const styles: Record<Left["kind"], Style | undefined> = {
  needless: "dim",
  lost: undefined,
  narrower: "yellow",
  closes: "red",
}

/** Resolves with the exit code. Throws for what cannot be read or written, or is no configuration in the end; then nothing is written. */
export async function importMosquitto(source: string, { output, force = false }: ImportFlags): Promise<number> {
  if (output === "") throw new ManjuError("INVALID_OPTION", "--output takes the name of a file, or -")
  if (output !== STDOUT && !force && existsSync(output)) {
    throw new ManjuError("INVALID_OPTION", `${output} is there already; --force replaces it, --output names another`)
  }
  const locate = (path: string) => located(path, dirname(source), output)
  const translation = translate(await readDirectives(source), { locate, everywhere: everywhere() })
  const text = fileOf(translation, source)
  const problems = await check(output, text)
  await write(output, text, force)
  for (const { directive, kind, why } of translation.left) complain(styled(styles[kind], `${shown(directive)}: ${why}`))
  for (const problem of problems) complain(styled("red", problem))
  tell(translation, output)
  const decides = translation.left.some(({ kind }) => kind === "narrower" || kind === "closes")
  return decides || problems.length > 0 ? INCOMPLETE : 0
}

function tell({ doors, left, total }: Translation, output: string): void {
  for (const { name, closed } of doors) {
    if (closed.length > 0) complain(styled("red", `${name} lets nobody in: ${closed.join("; ")}`))
  }
  const isThere = output === STDOUT ? "" : `${output} is written; `
  complain(
    `${isThere}of ${total} lines ${total - left.length} are carried over, ${left.length} are not, or not as they were`,
  )
}

/** What would not work yet: files that are missing or are not understood. */
async function check(output: string, text: string): Promise<string[]> {
  const name = output === STDOUT ? "manju.toml" : output
  const file = ConfigFile.of(name, text)
  try {
    const configuration = await load({ file, environment: {}, flags: new Map() })
    return await linesOf(await problemsOf(configuration), file)
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error
    throw new CommandFailure(`nothing is written, as it would be refused: ${error.lines.join("; ")}`, { cause: error })
  }
}

async function write(output: string, text: string, force: boolean): Promise<void> {
  if (output === STDOUT) await print(text)
  else if (existsSync(output) && force) await replaceFile(output, () => text)
  else {
    await writeFile(output, text, { flag: "wx" }).catch((error) => {
      throw writeFailure(output, error)
    })
  }
}

/**
 * Where a file is that Mosquitto names. It looks from the folder that it is started in, which is not known here: the one of this command is
 * tried, then that of its configuration. What manju reads is relative to its own file.
 */
function located(path: string, folder: string, output: string): string {
  if (isAbsolute(path)) return path
  const found = [path, join(folder, path)].find((each) => existsSync(each)) ?? join(folder, path)
  if (output === STDOUT) return resolve(found)
  const near = relative(dirname(resolve(output)), resolve(found))
  return near.startsWith("..") || isAbsolute(near) ? resolve(found) : near
}

/** Mosquitto listens on all addresses of both kinds; `::` does where there are both. */
function everywhere(): string {
  const addresses = Object.values(networkInterfaces()).flat()
  return addresses.some((address) => address?.family === "IPv6") ? "::" : "0.0.0.0"
}

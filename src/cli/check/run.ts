/**
 * `manju check`: what would hold, with where each value comes from, and whether it would work as far as that can be told without opening
 * a port: files can be read and say what they should, certificates and keys belong together. And what a database holds.
 */
import { existsSync, statSync } from "node:fs"
import { dirname } from "node:path"
import { systemClock } from "../../broker/clock.ts"
import type { Auth, AuthContext } from "../../broker/ports.ts"
import { describe } from "../../config/describe.ts"
import { CONFIG_VARIABLE } from "../../config/environment.ts"
import { ConfigurationError } from "../../config/errors.ts"
import type { Path } from "../../config/keys.ts"
import { type Configuration, type Given, load } from "../../config/load.ts"
import { linesOf, type Problem } from "../../config/problems.ts"
import { readKeys } from "../../listeners/tls.ts"
import { closing, openToRead } from "../../store/sqlite/file.ts"
import { describeData } from "../data.ts"
import { makeDoors, problemAt } from "../doors.ts"
import { print } from "../output.ts"
import { complain, styled } from "../stderr.ts"

/** Throws a `ConfigurationError` for a configuration that would not work, a `ManjuError` for a database that cannot be read. */
export async function check(given: Given): Promise<void> {
  const data = given.flags.get("--data") as string | undefined
  const isConfigured = given.file !== undefined || given.environment[CONFIG_VARIABLE] !== undefined
  const isOnlyData = data !== undefined && given.flags.size === 1 && !isConfigured
  if (!isOnlyData) await checkConfiguration(await load(given))
  if (data !== undefined) await describeData(data)
}

async function checkConfiguration(configuration: Configuration): Promise<void> {
  const { file, warnings } = configuration
  await print(`${(await describe(configuration)).join("\n")}\n`)
  for (const warning of warnings) complain(styled("yellow", `manju: warning: ${warning}`))
  const problems = await linesOf(await problemsOf(configuration), file)
  if (problems.length > 0) throw new ConfigurationError(problems)
}

/** What would not work: files that cannot be read or do not say what they should, keys that do not belong together. */
export async function problemsOf(configuration: Configuration): Promise<Problem[]> {
  const { doors, auths, problems } = await makeDoors(configuration)
  const found = [...problems]
  const attempt = async (path: Path, act: () => unknown) => {
    try {
      await act()
    } catch (error) {
      found.push(problemAt(configuration, path, (error as Error).message))
    }
  }
  for (const { proofs, rules } of auths) {
    for (const { path, auth } of [...proofs, ...(rules === undefined ? [] : [rules])]) {
      await attempt(path, () => tryOut(auth))
    }
  }
  for (const { path, config } of doors) {
    if (config.type === "unix") await attempt([...path, "path"], () => assertFolder(config.path))
    else if (config.tls !== undefined) await attempt(path, () => readKeys(config.tls!))
  }
  const { data } = configuration.values
  if (data !== undefined) await attempt(["data"], () => assertUsable(data))
  return found
}

/** Opens an auth, which reads its files, and closes it. */
async function tryOut(auth: Auth): Promise<void> {
  const silent = { debug() {}, info() {}, warn() {}, error() {} }
  const context: AuthContext = {
    logger: silent,
    clock: systemClock(),
    watch: () => () => {},
    open: async (member) => member.open?.(context),
    changed() {},
  }
  await auth.open?.(context)
  auth.close?.()
}

function assertFolder(path: string): void {
  if (!statSync(dirname(path), { throwIfNoEntry: false })?.isDirectory())
    throw new Error(`${path}: its folder is not there`)
}

function assertUsable(path: string): void {
  assertFolder(path)
  if (existsSync(path)) closing(openToRead(path, true), () => undefined)
}

/** `manju service install` and `uninstall`, at work. */
import { chmodSync, existsSync, lstatSync, mkdirSync, readFileSync, rmSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { CommandFailure } from "../failure.ts"
import { replaceFile } from "../replace-file.ts"
import { complain, styled } from "../stderr.ts"
import standardConfig from "./manju.toml" with { type: "text" }
import { advice, ownCommand, problemOf } from "./place.ts"
import * as systemd from "./systemd.ts"
import { authorOf, configPath, markedUnitFor, packagedPaths, UNIT, unitPath } from "./unit.ts"

const FOR_EVERYBODY_TO_READ = 0o644

export interface InstallFlags {
  readonly root?: string
  readonly binary?: string
  readonly start: boolean
  readonly force?: boolean
  readonly print?: boolean
}

export interface UninstallFlags {
  readonly root?: string
  readonly force?: boolean
}

/** Throws a `CommandFailure` where it cannot be done; what is wrong with the machine is found before anything is written. */
export async function install(flags: InstallFlags): Promise<void> {
  const root = resolve(flags.root ?? "/")
  const command = flags.binary === undefined ? ownCommand() : [flags.binary]
  const unit = markedUnitFor(command)
  const problem = problemOf(command, root)
  if (flags.print) {
    if (problem !== undefined) complain(styled("yellow", `manju: warning: ${problem}`))
    console.log(unit.trimEnd())
    return
  }
  const starts = flags.start && root === "/"
  assertMachine(root, starts, command)
  if (problem !== undefined) {
    const how = flags.binary === undefined && root === "/" ? advice() : "--binary says where it will be"
    throw new CommandFailure(`${problem}; ${how}`)
  }
  const isNew = writeable(root, unit, flags.force === true)
  await writeConfig(root)
  if (isNew) await write(join(root, unitPath), unit)
  console.log(`${join(root, unitPath)}: ${isNew ? `written; it runs ${command.join(" ")}` : "as it shall be already"}`)
  if (starts) systemd.reloadUnits()
  systemd.enable(root)
  if (!starts) console.log("manju will start with the machine")
  else start(isNew, command)
}

function start(isNew: boolean, command: readonly string[]): void {
  const [binary, script] = command
  if (!isNew && script === undefined && systemd.runs(binary!)) console.log("manju runs already, and is this one")
  else {
    systemd.restart()
    console.log("manju runs, and will start with the machine")
  }
  console.log(`
  manju health                                    whether it is well
  systemctl status manju                          what systemd says of it; journalctl -u manju: what it has logged
  manju check --config ${configPath}      what holds; how others may come in is said in that file`)
}

export async function uninstall(flags: UninstallFlags): Promise<void> {
  const root = resolve(flags.root ?? "/")
  const path = join(root, unitPath)
  if (!existsSync(path)) {
    console.log(`${path} is not there: nothing to do`)
    return
  }
  if (root === "/") assertRoot("uninstall")
  if (authorOf(readFileSync(path, "utf8")) === "stranger" && !flags.force) {
    throw new CommandFailure(`${path} is not of manju service install; --force removes it nevertheless`)
  }
  const isLive = root === "/" && systemd.isRunning()
  systemd.disable(root, isLive)
  attempt(path, () => rmSync(path))
  if (isLive) systemd.reloadUnits()
  console.log(`${path}: removed; manju does not start any more`)
  const left = ["/etc/manju", "/etc/default/manju", "/var/lib/manju", "/var/lib/private/manju", `${unitPath}.d`]
    .map((each) => join(root, each))
    .filter((each) => lstatSync(each, { throwIfNoEntry: false }) !== undefined)
  if (left.length > 0) console.log(`Configuration and data stay. This removes them: rm -r ${left.join(" ")}`)
}

/** Whether there is somebody to run the service, and we may tell them. */
function assertMachine(root: string, starts: boolean, command: readonly string[]): void {
  if (root !== "/") return
  if (starts && !systemd.isRunning()) {
    const instead = `have it run ${command.join(" ")} start --data FILE itself, and restart it; --no-start or --root DIR prepare an image`
    throw new CommandFailure(`no systemd runs this machine, so what does has to: ${instead}`)
  }
  assertRoot("install")
  const packaged = packagedPaths.find(existsSync)
  if (packaged !== undefined && !existsSync(unitPath)) {
    throw new CommandFailure(`a package has installed the service already (${packaged}): systemctl enable --now manju`)
  }
}

function assertRoot(command: string): void {
  if (process.geteuid?.() === 0) return
  throw new CommandFailure(`only root may: sudo ${ownCommand().join(" ")} service ${command}`)
}

/** Whether the unit has to be written; throws where that would undo what a person has done. */
function writeable(root: string, unit: string, isForced: boolean): boolean {
  const path = join(root, unitPath)
  if (!existsSync(path)) return true
  const present = readFileSync(path, "utf8")
  if (present === unit) return false
  const author = authorOf(present)
  if (author === "manju" || isForced) return true
  const whose = author === "changed" ? "has been changed by hand" : "is not of manju service install"
  const show = "manju service install --print shows what it would be"
  throw new CommandFailure(
    `${path} ${whose}, and stays so unless --force is given: changes belong into a file beside it (systemctl edit ${UNIT}); ${show}`,
  )
}

async function writeConfig(root: string): Promise<void> {
  const path = join(root, configPath)
  if (existsSync(path)) {
    console.log(`${path}: there already, and left as it is`)
    return
  }
  await write(path, standardConfig)
  console.log(`${path}: written; for this machine alone`)
}

async function write(path: string, text: string): Promise<void> {
  attempt(path, () => mkdirSync(dirname(path), { recursive: true }))
  await replaceFile(path, () => text)
  attempt(path, () => chmodSync(path, FOR_EVERYBODY_TO_READ))
}

function attempt(path: string, act: () => void): void {
  try {
    act()
  } catch (error) {
    throw new CommandFailure(`cannot write ${path}: ${(error as Error).message}`, { cause: error })
  }
}

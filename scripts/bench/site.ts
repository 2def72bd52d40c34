/**
 * Where measurements happen: the machine, the CPUs that broker and generator have to themselves, a folder that is gone afterwards, and a
 * signal that ends every process when this one is told to end.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { cpus, release, totalmem } from "node:os"
import { join } from "node:path"
import { temporaryFolder } from "./disk.ts"
import { commandLine, presentable } from "./options.ts"
import { allowedCpus, raiseOpenFilesLimit } from "./proc.ts"

/** 20,000 connections, and what else there is. */
const openFiles = 32_768

/** Undefined where they are not pinned: with one CPU, or without taskset. */
export type Cpus = { broker: number | undefined; generator: number | undefined }

export type Site = { cpus: Cpus; directory: string; signal: AbortSignal }

/** `folder` is where the site's own is made (default: one for temporary files that is on a disk). Once a process. */
export function prepareSite({ pin, folder }: { pin: boolean; folder?: string }): Site {
  raiseOpenFilesLimit(openFiles)
  const directory = mkdtempSync(join(folder ?? temporaryFolder(), "manju-bench-"))
  process.on("exit", () => rmSync(directory, { recursive: true, force: true }))
  const controller = new AbortController()
  for (const name of ["SIGINT", "SIGTERM"] as const)
    process.on(name, () => {
      controller.abort()
      process.exit(130)
    })
  return { cpus: chooseCpus(pin), directory, signal: controller.signal }
}

function chooseCpus(pin: boolean): Cpus {
  const [broker, generator] = allowedCpus()
  if (pin && generator !== undefined && Bun.which("taskset")) return { broker, generator }
  return { broker: undefined, generator: undefined }
}

/** What goes in front of a command so that it runs on `cpu` only. */
export const pinned = (cpu: number | undefined) => (cpu === undefined ? [] : ["taskset", "-c", String(cpu)])

/** `[b, c, a]` for `[a, b, c]` by 1: who goes first in which round. */
export function rotated<T>(items: readonly T[], by: number): T[] {
  const first = by % items.length
  return [...items.slice(first), ...items.slice(0, first)]
}

type Subject = { label: string; version: string }

const machine = () => ({
  cpu: cpus()[0]?.model ?? "unknown",
  cores: cpus().length,
  kernel: release(),
  memoryBytes: totalmem(),
})

/**
 * What results in a file begin with: how they were measured, when, on what, with which versions and options. Such a file
 * is shown around: of brokers, tools and files that are this machine's alone no paths are in it.
 */
export function circumstances(room: string, { cpus }: Site, brokers: readonly Subject[], options: object) {
  return {
    room,
    command: commandLine(process.argv.slice(2)),
    date: new Date().toISOString(),
    machine: machine(),
    pinned: cpus.broker !== undefined,
    versions: { bun: Bun.version, brokers: brokers.map(({ label, version }) => ({ label, version })) },
    options: presentable(options),
  }
}

/** The same in one line, for above a table. */
export function titleOf(brokers: readonly Subject[], ...more: readonly string[]): string {
  const { cpu, cores, kernel } = machine()
  return [
    ...brokers.map(({ label, version }) => `${label} ${version}`.trim()),
    `Bun ${Bun.version}`,
    `${cpu}, ${cores} cores, Linux ${kernel}`,
    ...more,
  ].join("; ")
}

/** Which CPUs they have, for the title. */
export function describePinning({ broker, generator }: Cpus): string {
  return broker === undefined ? "not pinned" : `broker on CPU ${broker}, generator on ${generator}`
}

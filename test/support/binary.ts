/**
 * Binaries of this tree, as scripts/build makes them, and a machine for each that has nothing else: the libraries of C that it asks for, no
 * Bun, no node_modules, no shell; nothing in it can be written but /data. One for arm64 runs under qemu.
 */
import { cpSync, linkSync, mkdirSync, realpathSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { temporaryFolder } from "./broker-process.ts"
import { type Outcome, plain } from "./command.ts"
import { root, run } from "./package.ts"

const QEMU = "qemu-aarch64-static"
/** Of Debian's libc6-arm64-cross. */
const ARM64_LIBRARIES = "/usr/aarch64-linux-gnu/lib"

/** What it is in, and where in the machine that is. */
export interface Library {
  readonly source: string
  readonly place: string
}

/** Makes binaries; resolves with the folder that they are in, beside SHA256SUMS. Removed with `using`. */
export async function build(...targets: string[]) {
  const folder = temporaryFolder()
  const flags = targets.flatMap((target) => ["--target", target])
  const script = join(root, "scripts/build/index.ts")
  const { code, out, err } = await run(root, [process.execPath, script, "--out", folder.path, ...flags])
  if (code !== 0) throw new Error(`the build ended with ${code}: ${out}${err}`)
  return folder
}

/** A machine with a binary and little else. Removed with `using`. */
export class Machine {
  private readonly folder = temporaryFolder()
  private readonly emulator: readonly string[]

  constructor(binary: string) {
    const isArm64 = basename(binary).includes("arm64") && process.arch !== "arm64"
    this.emulator = isArm64 ? [`/${QEMU}`] : []
    for (const name of ["proc", "data"]) mkdirSync(join(this.folder.path, name))
    this.put(binary, "/manju")
    if (isArm64) this.put(emulator(), `/${QEMU}`)
    for (const { source, place } of isArm64 ? arm64Libraries() : librariesOf(binary)) this.put(source, place)
  }

  /** The folder that it has as /data. */
  get data(): string {
    return join(this.folder.path, "data")
  }

  /** The command line that runs `manju` in it, in its root. The network is that of the test. */
  command(...args: string[]): string[] {
    const asRoot = process.getuid?.() === 0 ? [] : ["--map-root-user"]
    return [
      "unshare",
      "--mount",
      ...asRoot,
      "sh",
      "-ec",
      enter,
      "sh",
      this.folder.path,
      ...this.emulator,
      "/manju",
      ...args,
    ]
  }

  /** Runs `manju` in it, to the end. */
  manju(...args: string[]): Promise<Outcome> {
    return run(this.folder.path, this.command(...args))
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]()
  }

  private put(source: string, place: string): void {
    const target = join(this.folder.path, place)
    mkdirSync(dirname(target), { recursive: true })
    const path = realpathSync(source)
    try {
      linkSync(path, target) // a binary is large
    } catch {
      cpSync(path, target) // on another disk
    }
  }
}

/** Other processes see nothing of what is mounted here; with the last one inside it is gone. */
const enter = `
  mount --bind "$1" "$1"
  mount --bind "$1/data" "$1/data"
  mount --rbind /proc "$1/proc"
  mount -o remount,bind,ro "$1"
  cd "$1"
  shift
  exec chroot . "$@"
`

/** Why there can be no such machine here; undefined: there can. */
export function obstacle(): string | undefined {
  if (process.platform !== "linux") return "it takes Linux"
  const command = [
    "unshare",
    "--mount",
    ...(process.getuid?.() === 0 ? [] : ["--map-root-user"]),
    "mount",
    "--rbind", // without root, what is mounted below may not be left out
    "/",
    "/",
  ]
  const { exitCode, stderr } = Bun.spawnSync(command, { env: plain })
  return exitCode === 0
    ? undefined
    : `nothing can be mounted, which takes root with CAP_SYS_ADMIN, or user namespaces: ${stderr}`
}

function emulator(): string {
  const path = Bun.which(QEMU)
  if (path === null) throw new Error(`${QEMU} is not installed: apt-get install qemu-user-static libc6-arm64-cross`)
  return path
}

/** What the loader would load, and itself. */
export function librariesOf(binary: string): Library[] {
  const text = Bun.spawnSync(["ldd", binary], { env: plain }).stdout.toString()
  return Array.from(text.matchAll(/(\/\S+) \(0x/g), ([, path]) => ({ source: path!, place: path! }))
}

function arm64Libraries(): Library[] {
  return ["ld-linux-aarch64.so.1", "libc.so.6", "libpthread.so.0", "libdl.so.2", "libm.so.6"].map((name) => ({
    source: join(ARM64_LIBRARIES, name),
    place: join("/lib", name),
  }))
}

/**
 * The root of a machine with a binary of manju, the libraries of C and a shell, in which files are written and packages installed as if it
 * were the only one. Nothing outside of it is changed, whatever goes wrong.
 */
import { cpSync, existsSync, linkSync, mkdirSync, readdirSync, readFileSync, realpathSync, statSync } from "node:fs"
import { dirname, join } from "node:path"
import { librariesOf } from "./binary.ts"
import { temporaryFolder } from "./broker-process.ts"
import type { Outcome } from "./command.ts"
import { run } from "./package.ts"

/** Other processes see nothing of what is mounted here. */
const enter = `
  mount --rbind /proc "$1/proc"
  cd "$1"
  shift
  exec chroot . "$@"
`

/** Removed with `using`. */
export class PrivateRoot {
  private readonly folder = temporaryFolder()

  /** For what is linked as `binary` is. */
  constructor(binary: string) {
    for (const name of ["proc", "dev", "tmp", "usr/bin"]) mkdirSync(join(this.path, name), { recursive: true })
    for (const { source, place } of librariesOf(binary)) this.put(source, place)
    this.put("/bin/sh", "/bin/sh")
    this.put("/bin/cat", "/usr/bin/cat")
    this.write("/dev/null", "")
  }

  get path(): string {
    return this.folder.path
  }

  /** It may be the same file: its mode and what is in it are not to be changed. */
  put(source: string, place: string): void {
    const [path, target] = [realpathSync(source), join(this.path, place)]
    mkdirSync(dirname(target), { recursive: true })
    try {
      linkSync(path, target) // a binary is large
    } catch {
      cpSync(path, target) // on another disk
    }
  }

  async write(place: string, text: string): Promise<void> {
    await Bun.write(join(this.path, place), text)
  }

  read(place: string): string {
    return readFileSync(join(this.path, place), "utf8")
  }

  has(place: string): boolean {
    return existsSync(join(this.path, place))
  }

  mode(place: string): number {
    return statSync(join(this.path, place)).mode & 0o777
  }

  /** What is in it, but for what the machine itself keeps there. */
  everything(): string[] {
    const paths = readdirSync(this.path, { recursive: true, encoding: "utf8" })
    return paths.filter((path) => !/^(?:proc|var\/lib\/dpkg)\//.test(path)).sort()
  }

  /** The command line that runs another one in it, as its root. The network is that of the test. */
  command(...command: string[]): string[] {
    return [...asRoot("--mount"), "sh", "-ec", enter, "sh", this.path, ...command]
  }

  /** Runs a command in it, to the end. */
  run(...command: string[]): Promise<Outcome> {
    return run(this.path, this.command(...command), { PATH: "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" })
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]()
  }
}

/** The beginning of a command line that runs as root, or in a namespace of its own as if. */
export function asRoot(...flags: string[]): string[] {
  return ["unshare", ...flags, ...(process.getuid?.() === 0 ? [] : ["--map-root-user"])]
}

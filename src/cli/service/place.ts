/** The manju that the service shall run: where it is, and whether the service can see it there. */
import { statSync } from "node:fs"
import { dirname, join } from "node:path"
import { build } from "../../version.ts"

/** What the unit keeps from the service, or gives it a place of its own for. */
const hidden = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"]

const [READ, EXECUTE] = [0o4, 0o1]

/** The words that run what runs now: the binary; of sources Bun and the file. */
export function ownCommand(): readonly string[] {
  return build === undefined ? [process.execPath, Bun.main] : [process.execPath]
}

/** Why the service of the machine below `root` could not run that, if it could not. */
export function problemOf(command: readonly string[], root: string): string | undefined {
  for (const [index, path] of command.entries()) {
    const problem = problemAt(path, index === 0 ? READ | EXECUTE : READ, root)
    if (problem !== undefined) return `the service could not run ${path}: ${problem}`
  }
  return undefined
}

function problemAt(path: string, access: number, root: string): string | undefined {
  if (!/^\/[\w@+,./:-]+$/.test(path)) return "a unit takes whole paths, without spaces and the like"
  const cover = hidden.find((folder) => path.startsWith(`${folder}/`))
  if (cover !== undefined) return `it sees nothing of ${cover}`
  const stats = statSync(join(root, path), { throwIfNoEntry: false })
  if (stats === undefined) return root === "/" ? "it is not there" : `it is not there in ${root}`
  if (root === "/" && !isForEverybody(path, stats.mode, access)) return "it is not for everybody to read and to run"
  return undefined
}

/** The service is nobody in particular. */
function isForEverybody(path: string, mode: number, access: number): boolean {
  if ((mode & access) !== access) return false
  for (let folder = dirname(path); folder !== "/"; folder = dirname(folder)) {
    if ((statSync(folder).mode & EXECUTE) === 0) return false
  }
  return true
}

/** What to do so that it could. */
export function advice(): string {
  return build === undefined
    ? "put Bun and the sources where everybody may read them, such as /usr/local/bin and /opt, or take manju as one file (bun run build)"
    : `sudo install ${process.execPath} /usr/local/bin/manju && sudo /usr/local/bin/manju service install`
}

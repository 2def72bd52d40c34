/** What is asked of systemd, by its own commands. */
import { statSync } from "node:fs"
import { CommandFailure } from "../failure.ts"
import { complain } from "../stderr.ts"
import { UNIT } from "./unit.ts"

/** How much of the journal is shown where the service does not start. */
const JOURNAL_LINES = 10

/** Whether systemd runs this machine: not in most containers, and not in a chroot. */
export function isRunning(): boolean {
  if (Bun.which("systemctl") === null) return false
  return !["offline", "unknown", ""].includes(run(["systemctl", "is-system-running"]).out)
}

/** Of the machine below `root`, whether or not that is this one; throws a `CommandFailure`. */
export function enable(root: string): void {
  must([...inRoot(root), "enable", UNIT], "the unit is written, and not enabled")
}

/** Takes it away from what starts with the machine; with `stop`, also ends what runs. Throws a `CommandFailure`. */
export function disable(root: string, stop: boolean): void {
  must([...inRoot(root), "disable", ...(stop ? ["--now"] : []), UNIT], "nothing is removed")
}

export function reloadUnits(): void {
  must(["systemctl", "daemon-reload"], "systemd has not read the unit")
}

/** Starts it, again if it runs, and returns when clients can connect. Throws a `CommandFailure`, after saying what it has logged last. */
export function restart(): void {
  const { code, err } = run(["systemctl", "restart", UNIT])
  if (code === 0) return
  complain(err)
  if (Bun.which("journalctl") !== null) {
    const { out } = run(["journalctl", "--unit", UNIT, "--lines", `${JOURNAL_LINES}`, "--no-pager", "--output", "cat"])
    complain(out)
  }
  throw new CommandFailure("the service is installed, and does not start: see above, and systemctl status manju")
}

/** Whether the service runs that very file; a newer one of the same name is another. */
export function runs(path: string): boolean {
  const pid = Number(run(["systemctl", "show", "--property", "MainPID", "--value", UNIT]).out)
  if (!(pid > 0)) return false
  try {
    const [running, there] = [statSync(`/proc/${pid}/exe`), statSync(path)]
    return running.ino === there.ino && running.dev === there.dev
  } catch {
    return false // it has ended meanwhile, or is not for us to look at
  }
}

const inRoot = (root: string) => ["systemctl", ...(root === "/" ? [] : [`--root=${root}`])]

function must(command: readonly string[], consequence: string): void {
  if (Bun.which(command[0]!) === null) {
    throw new CommandFailure(`there is no ${command[0]}: manju service needs systemd; ${consequence}`)
  }
  const { code, err } = run(command)
  if (code !== 0) throw new CommandFailure(`${command.join(" ")} failed, so ${consequence}: ${err}`)
}

function run(command: readonly string[]) {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...command], { stdin: "ignore", stdout: "pipe", stderr: "pipe" })
  return { code: exitCode, out: stdout.toString().trim(), err: stderr.toString().trim() }
}

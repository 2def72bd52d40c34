/** The command as a process that does one thing and ends. */
import { join } from "node:path"

const cli = join(import.meta.dir, "../../src/cli.ts")

export interface Outcome {
  code: number
  out: string
  err: string
}

/** Runs `manju` to its end. */
export async function manju(...args: string[]): Promise<Outcome> {
  const child = Bun.spawn([process.execPath, cli, ...args], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined },
  })
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])
  return { code, out, err }
}

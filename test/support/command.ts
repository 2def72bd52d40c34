/** The command as a process that does one thing and ends. */
import { join } from "node:path"

const cli = join(import.meta.dir, "../../src/cli.ts")

export interface Outcome {
  code: number
  out: string
  err: string
}

/** Without colours and configuration, whatever the environment of the tests has. */
export const plain: Record<string, string | undefined> = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("MANJU_"))),
  NO_COLOR: "1",
  FORCE_COLOR: undefined,
}

/** The command line that runs `manju` from the sources. */
export const manjuCommand = (...args: string[]) => [process.execPath, cli, ...args]

/** The same for a shell. */
export const shellCommand = (...args: string[]) =>
  manjuCommand(...args)
    .map((word) => `'${word}'`)
    .join(" ")

/** Runs `manju` to its end, with nothing on its standard input. */
export function manju(...args: string[]): Promise<Outcome> {
  return run("ignore", args)
}

/** As `manju`, with these variables. */
export function manjuWith(environment: Readonly<Record<string, string>>, ...args: string[]): Promise<Outcome> {
  return run("ignore", args, environment)
}

/** Runs `manju` to its end, with that on its standard input. */
export function manjuFed(input: string | Uint8Array, ...args: string[]): Promise<Outcome> {
  return run(typeof input === "string" ? Buffer.from(input) : input, args)
}

async function run(
  stdin: "ignore" | Uint8Array,
  args: string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  const env = { ...plain, ...environment }
  const child = Bun.spawn(manjuCommand(...args), { stdin, stdout: "pipe", stderr: "pipe", env })
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])
  return { code, out, err }
}

/** What the tests with other people's clients share: a broker on a free port, and whether a client is there at all. */
import { describe, test } from "bun:test"
import { allowAll, Broker, type BrokerOptions, tcp } from "../../src/index.ts"
import { coreOf } from "../listeners/socket.ts"

/** A broker for a test, on loopback; gone with `await using`. */
export async function serve(options: BrokerOptions = {}) {
  const broker = new Broker(options)
  const { port } = await broker.listen(tcp({ port: 0, auth: allowAll() }))
  const core = coreOf(broker)
  return { broker, core, port, [Symbol.asyncDispose]: () => broker.close({ timeoutMs: 0 }) }
}

/**
 * `describe` where the client is installed. Elsewhere its tests are skipped with a notice; in CI, which installs it, its
 * absence is a failure.
 */
export function describeWith(client: string, isInstalled: boolean, install: string): typeof describe {
  if (isInstalled) return describe
  const notice = `${client} is not installed, so its tests do not run: ${install}`
  if (process.env.CI === "true") {
    test(`${client} is installed`, () => {
      throw new Error(notice)
    })
  } else console.warn(notice)
  return describe.skip as typeof describe
}

/** Runs a client to its end; fails with what it said if it fails. */
export async function run(command: string[]): Promise<string> {
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "pipe" })
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${out}${err}`)
  return out
}

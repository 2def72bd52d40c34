/**
 * Runs the Paho interoperability tests against manju.
 *
 *     bun scripts/paho.ts /path/to/paho.mqtt.testing [v3|v5] [arguments for the suite]
 *
 * The suites want a broker that is set up for them: a topic to which nobody may subscribe (and both expect 0x80 for it,
 * where manju would say 0x87 to a 5.0 client by itself), and for 5.0 a keep-alive ceiling of 60 seconds. So each gets a
 * broker of its own, on a free port.
 */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { type Auth, Broker, type Limits, Reason, tcp } from "../src/index.ts"

interface Suite {
  script: string
  limits: Partial<Limits>
  port: number
}

const suites: Record<string, Suite> = {
  v3: { script: "client_test.py", limits: {}, port: 1883 },
  v5: { script: "client_test5.py", limits: { maximumKeepAliveSeconds: 60 }, port: 0 },
}

const auth: Auth = {
  authenticate: () => true,
  authorize: (_client, action, topic) =>
    action === "subscribe" && topic === "test/nosubscribe" ? Reason.UnspecifiedError : true,
}

async function run(folder: string, { script, limits, port }: Suite, extra: string[]): Promise<boolean> {
  await using broker = new Broker({ limits })
  const address = await broker.listen(tcp({ port, auth }))
  const place = port === 0 ? ["-p", String(address.port)] : []
  const python = Bun.spawn(["python3", script, ...place, ...extra], {
    cwd: folder,
    stdout: "inherit",
    stderr: "inherit",
  })
  return (await python.exited) === 0
}

const [checkout, only, ...extra] = process.argv.slice(2)
const folder = join(checkout ?? "", "interoperability")
if (
  checkout === undefined ||
  !existsSync(join(folder, "client_test5.py")) ||
  (only !== undefined && !(only in suites))
) {
  console.error("usage: bun scripts/paho.ts CHECKOUT_OF_PAHO_MQTT_TESTING [v3|v5] [arguments for the suite]")
  process.exit(2)
}
const outcomes: [string, boolean][] = []
for (const [name, suite] of Object.entries(suites)) {
  if (only === undefined || only === name) outcomes.push([suite.script, await run(folder, suite, extra)])
}
for (const [script, passed] of outcomes) console.log(`${script}: ${passed ? "passed" : "FAILED"}`)
process.exit(outcomes.every(([, passed]) => passed) ? 0 : 1)

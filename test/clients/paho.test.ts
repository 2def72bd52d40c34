/** Paho's Python client, in all levels: paho_scenarios.py does it, this tells what it should have done. */
import { beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import { join } from "node:path"
import { describeWith, serve } from "./support.ts"

setDefaultTimeout(120_000)

const script = join(import.meta.dir, "paho_scenarios.py")
const always = ["every qos", "order", "retained", "will", "persistent session", "takeover"]
const only5 = ["properties", "subscription options", "shared subscription"]

/** The Python that has Paho: Debian's package belongs to /usr/bin/python3, whatever else is in the path. */
const python = ["/usr/bin/python3", "python3"].find((each) => {
  if (Bun.which(each) === null) return false
  return Bun.spawnSync([each, "-c", "import paho.mqtt.client"]).success
})

const describe = describeWith("Paho for Python", python !== undefined, "apt-get install python3-paho-mqtt")

for (const level of [3, 4, 5])
  describe(`[v3.1.1 MQTT-7.0.0-2] Paho, level ${level}`, () => {
    let outcomes: string[] = []
    let errors = ""

    beforeAll(async () => {
      await using served = await serve()
      const child = Bun.spawn([python!, script, String(served.port), String(level)], { stdout: "pipe", stderr: "pipe" })
      const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])
      outcomes = out.split("\n").filter((line) => /^(?:ok|FAILED) /.test(line))
      errors = err
    })

    for (const name of level === 5 ? [...always, ...only5] : always)
      test(name, () => {
        const outcome = outcomes.find((line) => line === `ok ${name}` || line.startsWith(`FAILED ${name}:`))
        if (outcome !== `ok ${name}`) console.error(errors)
        expect(outcome).toBe(`ok ${name}`)
      })
  })

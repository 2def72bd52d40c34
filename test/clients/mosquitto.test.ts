/** mosquitto_pub and mosquitto_sub, of MQTT 3.1, 3.1.1 and 5.0. */
import { expect, setDefaultTimeout, test } from "bun:test"
import { eventually } from "../listeners/socket.ts"
import { describeWith, run, serve } from "./support.ts"

setDefaultTimeout(60_000)

const isInstalled = Bun.which("mosquitto_pub") !== null && Bun.which("mosquitto_sub") !== null
const describe = describeWith("mosquitto_pub", isInstalled, "apt-get install mosquitto-clients")

const versions = ["mqttv31", "mqttv311", "mqttv5"] as const

describe("[v3.1.1 MQTT-7.0.0-2] mosquitto_pub and mosquitto_sub", () => {
  for (const version of versions) {
    const client = (port: number) => {
      const common = ["-h", "127.0.0.1", "-p", String(port), "-V", version]
      return {
        pub: (...args: string[]) => run(["mosquitto_pub", ...common, ...args]),
        sub: (...args: string[]) => run(["mosquitto_sub", ...common, "-F", "%t %q %r %p", ...args]),
        common,
      }
    }

    for (const qos of ["0", "1", "2"])
      test(`${version}: QoS ${qos}`, async () => {
        await using served = await serve()
        const { pub, sub } = client(served.port)
        const came = sub("-t", "a/+", "-t", "b/#", "-q", qos, "-C", "3")
        await eventually(() => served.core.router.subscriptionCount === 2, "the subscriptions")
        await pub("-t", "a/1", "-m", "one", "-q", qos)
        await pub("-t", "a/1/2", "-m", "for nobody", "-q", qos)
        await pub("-t", "b/1/2", "-m", "two words", "-q", qos)
        await pub("-t", "b", "-n", "-q", qos)
        expect(await came).toBe(`a/1 ${qos} 0 one\nb/1/2 ${qos} 0 two words\nb ${qos} 0 \n`)
      })

    test(`${version}: many messages over one connection keep their order`, async () => {
      await using served = await serve()
      const { sub, common } = client(served.port)
      const came = sub("-t", "lines", "-q", "1", "-C", "1000")
      await eventually(() => served.core.router.subscriptionCount === 1, "the subscription")
      const lines = Array.from({ length: 1000 }, (_, i) => `line ${i}`)
      const publisher = Bun.spawn(["mosquitto_pub", ...common, "-t", "lines", "-q", "1", "-l"], {
        stdin: new Blob([lines.map((line) => `${line}\n`).join("")]),
      })
      expect(await publisher.exited).toBe(0)
      expect(await came).toBe(lines.map((line) => `lines 1 0 ${line}\n`).join(""))
    })

    test(`${version}: a retained message waits for who comes later, until it is cleared`, async () => {
      await using served = await serve()
      const { pub, sub } = client(served.port)
      await pub("-t", "kept", "-m", "value", "-r", "-q", "1")
      expect(await sub("-t", "#", "-q", "1", "-C", "1")).toBe("kept 1 1 value\n")
      await pub("-t", "kept", "-n", "-r", "-q", "1")
      expect(served.core.retained.get("kept")).toBeUndefined()
    })

    test(`${version}: a will is published when its client is killed`, async () => {
      await using served = await serve()
      const { sub, common } = client(served.port)
      const came = sub("-t", "will", "-C", "1")
      await eventually(() => served.core.router.subscriptionCount === 1, "the subscription")
      const will = ["--will-topic", "will", "--will-payload", "gone", "--will-qos", "1"]
      const mortal = Bun.spawn(["mosquitto_sub", ...common, "-i", "mortal", "-t", "x", ...will])
      await eventually(() => served.core.router.subscriptionCount === 2, "the other")
      mortal.kill("SIGKILL")
      expect(await came).toBe("will 0 0 gone\n")
    })

    test(`${version}: a persistent session gets what came while it was away`, async () => {
      await using served = await serve()
      const { pub, sub } = client(served.port)
      const session = ["-i", "keeper", "-c", "-q", "2", "-t", "away/#", ...(version === "mqttv5" ? ["-x", "300"] : [])]
      await sub(...session, "-E")
      await eventually(() => served.core.peers.size === 0, "its departure")
      for (const qos of ["0", "1", "2"]) await pub("-t", `away/${qos}`, "-m", `at ${qos}`, "-q", qos)
      expect(await sub(...session, "-C", "2")).toBe("away/1 1 0 at 1\naway/2 2 0 at 2\n")
    })
  }

  test("mqttv5: properties travel", async () => {
    await using served = await serve()
    const common = ["-h", "127.0.0.1", "-p", String(served.port), "-V", "mqttv5"]
    const came = run(["mosquitto_sub", ...common, "-t", "p", "-C", "1", "-F", "%C|%R|%D|%F|%P|%E|%p"])
    await eventually(() => served.core.router.subscriptionCount === 1, "the subscription")
    const properties = [
      ["content-type", "text/plain"],
      ["response-topic", "answers"],
      ["correlation-data", "17"],
      ["payload-format-indicator", "1"],
      ["user-property", "a", "1"],
      ["message-expiry-interval", "60"],
    ].flatMap((property) => ["-D", "publish", ...property])
    await run(["mosquitto_pub", ...common, "-t", "p", "-m", "hi", ...properties])
    expect(await came).toBe("text/plain|answers|17|1|a:1|60|hi\n")
  })

  test("mqttv5: a shared subscription gives each message to one of its members", async () => {
    await using served = await serve()
    const common = ["-h", "127.0.0.1", "-p", String(served.port), "-V", "mqttv5"]
    const member = () => run(["mosquitto_sub", ...common, "-t", "$share/g/work", "-C", "5"])
    const members = [member(), member()]
    await eventually(() => served.core.router.sharedCount === 2, "both members")
    for (let i = 0; i < 10; i++) await run(["mosquitto_pub", ...common, "-t", "work", "-m", String(i)])
    const came = (await Promise.all(members)).flatMap((out) => out.trim().split("\n"))
    expect(came.map(Number).sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })
})

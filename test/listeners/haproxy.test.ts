/** A real haproxy in front: its headers of both versions, its health checks, and its clients of every kind. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test"
import { tcp } from "../../src/index.ts"
import { run } from "../clients/support.ts"
import { HAPROXY_ADDRESS, Haproxy } from "../support/haproxy.ts"
import { connect, endClients } from "../support/mqttjs.ts"
import { closeBrokers, Doorman, serve } from "./brokers.ts"
import { eventually } from "./socket.ts"

setDefaultTimeout(60_000)
afterEach(async () => {
  endClients()
  await closeBrokers()
})

/** Where the clients come from. */
const CLIENT_ADDRESS = "127.0.0.9"

async function served() {
  const auth = new Doorman()
  const proxied = await serve(tcp({ port: 0, id: "proxied", auth, proxy: { trusted: ["127.0.0.1"] } }))
  return { ...proxied, auth }
}

for (const [name, options] of [
  ["version 1", "send-proxy"],
  ["version 2", "send-proxy-v2"],
  ["version 2 with all that it can add", "send-proxy-v2 proxy-v2-options crc32c,unique-id"],
] as const)
  describe(`haproxy, ${name}`, () => {
    test("mosquitto_pub: the broker sees where it comes from", async () => {
      const { port, auth, logged } = await served()
      await using haproxy = await Haproxy.start(port, options)
      const from = ["-A", CLIENT_ADDRESS, "-h", HAPROXY_ADDRESS, "-p", String(haproxy.port)]
      await run(["mosquitto_pub", ...from, "-i", "far", "-t", "t", "-m", "through", "-q", "2"])
      expect(auth.asked.map(({ clientId, remoteAddress }) => [clientId, remoteAddress])).toEqual([
        ["far", CLIENT_ADDRESS],
      ])
      expect(logged).toContain(`info: connected far (${CLIENT_ADDRESS}) on proxied: MQTT 3.1.1`)
    })

    for (const level of [4, 5] as const)
      test(`MQTT.js, level ${level}: messages of a megabyte, whole and in order`, async () => {
        const { port } = await served()
        await using haproxy = await Haproxy.start(port, options)
        const { client, inbox } = await connect(haproxy.port, level, { host: HAPROXY_ADDRESS })
        await client.subscribeAsync("#", { qos: 1 })
        const payloads = Array.from({ length: 5 }, (_, index) => Buffer.alloc(1_000_000, index))
        for (const payload of payloads) await client.publishAsync("t", payload, { qos: 1 })
        for (const payload of payloads) expect(payload.equals((await inbox.next()).payload as Buffer)).toBe(true)
      })
  })

describe("haproxy's health checks", () => {
  for (const [name, options] of [
    ["of version 1", "send-proxy check-send-proxy check inter 20ms"],
    ["of version 2", "send-proxy-v2 check-send-proxy check inter 20ms"],
  ] as const)
    test(`${name}: connect and go, and nobody is told anything above info`, async () => {
      const { port, core, auth, logged } = await served()
      await using haproxy = await Haproxy.start(port, options)
      await eventually(() => core.metrics.socketsOpened >= 10, "ten checks")
      const { client } = await connect(haproxy.port, 5, { host: HAPROXY_ADDRESS })
      await client.publishAsync("t", "served meanwhile", { qos: 1 })
      expect(logged.filter((line) => !line.startsWith("info: ") && !line.startsWith("debug: "))).toEqual([])
      expect(logged.filter((line) => line.startsWith("info: "))).toEqual([expect.stringContaining("connected ")])
      expect(logged.filter((line) => line.includes("unix"))).toEqual([]) // who has gone has no address, yet is not local
      expect(auth.asked.length).toBe(1)
      await eventually(() => core.peers.size <= 2, "no checks left behind")
    })
})

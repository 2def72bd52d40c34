/** MQTT on a port of the service's own `Bun.serve`. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test"
import { allowAll, Broker, type UpgradeOptions, upgrade } from "../../src/index.ts"
import { connect, endClients } from "../support/mqttjs.ts"
import { FrameClient } from "./frames.ts"

setDefaultTimeout(60_000)
const running: { broker: Broker; server: Bun.Server<unknown> }[] = []
afterEach(async () => {
  endClients()
  for (const { broker, server } of running.splice(0)) {
    await broker.close()
    await server.stop(true)
  }
})

/** A service with a page of its own, and MQTT at /mqtt. */
async function serve(options: UpgradeOptions) {
  const broker = new Broker()
  const door = upgrade(options)
  await broker.listen(door)
  const routes = { "/mqtt": door.fetch, "/": new Response("the service itself") }
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, routes, websocket: door.websocket })
  running.push({ broker, server })
  return { broker, port: server.port! }
}

describe("a door in a service's own server", () => {
  for (const level of [3, 4, 5] as const)
    test(`lets MQTT ${level} in on its path, and leaves the others to the service`, async () => {
      const { broker, port } = await serve({ id: "shared", auth: allowAll() })
      const { inbox, client } = await connect(port, level, { protocol: "ws", path: "/mqtt", clientId: "browser" })
      await client.subscribeAsync("a", { qos: 1 })
      await broker.publish("a", "from the service", { qos: 1 })
      expect((await inbox.next()).payload.toString()).toBe("from the service")
      expect(broker.client("browser")).toMatchObject({ listener: "shared", remoteAddress: "127.0.0.1" })
      expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe("the service itself")
    })

  test("without an auth refuses everybody", async () => {
    const { port } = await serve({})
    await expect(connect(port, 5, { protocol: "ws", path: "/mqtt" })).rejects.toThrow("Not authorized")
  })

  test("checks origins and subprotocols, and answers what is no handshake", async () => {
    const { port } = await serve({ auth: allowAll(), origins: ["https://app.example.com"] })
    const statusOf = async (headers: Record<string, string>) =>
      (await FrameClient.request(port, { path: "/mqtt", headers })).status
    expect(await statusOf({ Origin: "https://app.example.com" })).toBe(101)
    expect(await statusOf({ Origin: "https://evil.example.com" })).toBe(403)
    expect(await statusOf({ "Sec-WebSocket-Protocol": "chat" })).toBe(400)
    expect((await fetch(`http://127.0.0.1:${port}/mqtt`)).status).toBe(426)
  })

  test("lets nobody in any more when the broker has closed; the service goes on", async () => {
    const { broker, port } = await serve({ auth: allowAll() })
    const { client } = await connect(port, 5, { protocol: "ws", path: "/mqtt" })
    const ended = new Promise<void>((resolve) => client.once("close", () => resolve()))
    await broker.close()
    await ended
    expect((await FrameClient.request(port, { path: "/mqtt" })).status).toBe(503)
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(200)
  })

  test("has nothing for a server before the broker listens, and refuses options that make no sense", () => {
    const code = (act: () => unknown) => {
      try {
        act()
      } catch (error) {
        return (error as { code?: string }).code
      }
      return undefined
    }
    expect(code(() => upgrade().websocket)).toBe("CLOSED")
    expect(code(() => upgrade({ origins: ["nonsense"] }))).toBe("INVALID_OPTION")
    expect(code(() => upgrade({ limits: { maximumQoS: 7 as 2 } }))).toBe("INVALID_OPTION")
  })
})

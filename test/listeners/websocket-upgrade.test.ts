/** Becoming a WebSocket: subprotocols, paths, pages of which origin, and everything else on the same port. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test"
import { Reason } from "../../src/codec/index.ts"
import { allowAll, type DashboardOptions, dashboard, type WebSocketOptions, websocket } from "../../src/index.ts"
import { closeBrokers, refusal, serve } from "./brokers.ts"
import { ACCEPT, FrameClient, type UpgradeRequest } from "./frames.ts"
import { eventually, RawClient } from "./socket.ts"

setDefaultTimeout(60_000)
afterEach(closeBrokers)

const door = (options: WebSocketOptions = {}) => websocket({ port: 0, id: "door", auth: allowAll(), ...options })

describe("[MQTT-6.0.0-3] [MQTT-6.0.0-4] [v3.1.1 MQTT-6.0.0-4] the subprotocol", () => {
  const table: [offered: string | undefined, chosen: string | undefined][] = [
    ["mqtt", "mqtt"],
    ["mqttv3.1", "mqttv3.1"],
    ["mqttv3.1, mqtt", "mqtt"],
    ["mqtt, mqttv3.1", "mqtt"],
    ["chat,mqttv3.1", "mqttv3.1"],
    ["chat, superchat ,mqtt , other", "mqtt"],
    [undefined, undefined],
    ["", undefined],
    ["chat", undefined],
    ["mqtt5", undefined],
    ["MQTT", undefined],
    ["xmqtt", undefined],
  ]
  for (const [offered, chosen] of table)
    test(`of ${offered ?? "nothing"}: ${chosen ?? "none, which is refused with 400"}`, async () => {
      const { port, core } = await serve(door())
      const client = await FrameClient.request(port, { headers: { "Sec-WebSocket-Protocol": offered } })
      expect(client.status).toBe(chosen === undefined ? 400 : 101)
      expect(client.header("Sec-WebSocket-Protocol")).toEqual(chosen === undefined ? [] : [chosen])
      if (chosen === undefined) {
        expect(client.answer).toContain("the subprotocol must be mqtt or mqttv3.1")
        expect(core.metrics.socketsOpened).toBe(0)
        return
      }
      expect(client.header("Sec-WebSocket-Accept")).toEqual([ACCEPT])
      client.sendConnect("in")
      expect((await client.next("connack")).reasonCode).toBe(Reason.Success)
    })
})

describe("the path", () => {
  const table: [path: string | undefined, asked: string, status: number][] = [
    [undefined, "/", 101],
    [undefined, "/mqtt", 101],
    [undefined, "/any/where?a=b", 101],
    ["/mqtt", "/mqtt", 101],
    ["/mqtt", "/mqtt?token=1", 101],
    ["/mqtt", "/", 404],
    ["/mqtt", "/mqtt/", 404],
    ["/mqtt", "/mqtt/more", 404],
    ["/mqtt", "/MQTT", 404],
    ["/mqtt", "/x/../mqtt", 101],
  ]
  for (const [path, asked, status] of table)
    test(`${path ?? "any by default"}: ${asked} is ${status}`, async () => {
      const { port } = await serve(door(path === undefined ? {} : { path }))
      const client = await FrameClient.request(port, { path: asked })
      expect(client.status).toBe(status)
      if (status === 404) expect(client.answer).toContain(`MQTT is at ${path}`)
    })
})

describe("pages", () => {
  const origins = ["https://app.example.com", "http://127.0.0.1:3000"]
  const table: [allowed: readonly string[] | undefined, origin: string | undefined, host: string, status: number][] = [
    // no origin: no browser
    [undefined, undefined, "anything.example", 101],
    [origins, undefined, "anything.example", 101],
    [[], undefined, "anything.example", 101],
    // by default: from where they connect to, where that cannot be made to point elsewhere
    [undefined, "http://127.0.0.1", "127.0.0.1:1882", 101],
    [undefined, "http://127.0.0.1:3000", "127.0.0.1:1882", 101],
    [undefined, "https://192.0.2.7", "192.0.2.7", 101],
    [undefined, "http://[::1]:8080", "[::1]:1882", 101],
    [undefined, "http://localhost:3000", "localhost:1882", 101],
    [undefined, "http://localhost", "127.0.0.1:1882", 403],
    [undefined, "http://127.0.0.1", "localhost:1882", 403],
    [undefined, "http://127.0.0.2", "127.0.0.1", 403],
    [undefined, "https://evil.example", "127.0.0.1:1882", 403],
    [undefined, "https://evil.example", "localhost:1882", 403],
    [undefined, "http://rebound.example", "rebound.example:1882", 403],
    [undefined, "http://localhost.evil.example", "localhost.evil.example", 403],
    [undefined, "http://127.0.0.1.nip.io", "127.0.0.1.nip.io", 403],
    [undefined, "http://127.0.0.1@evil.example", "127.0.0.1", 403],
    [undefined, "null", "127.0.0.1:1882", 403],
    [undefined, "null", "null", 403],
    [undefined, "", "", 403],
    [undefined, "not a url", "127.0.0.1", 403],
    // a list: these, to the letter
    [origins, "https://app.example.com", "broker.example.com", 101],
    [origins, "http://127.0.0.1:3000", "broker.example.com", 101],
    [origins, "http://app.example.com", "broker.example.com", 403],
    [origins, "https://app.example.com:8443", "broker.example.com", 403],
    [origins, "https://app.example.com.evil.example", "broker.example.com", 403],
    [origins, "http://127.0.0.1", "127.0.0.1", 403],
    [origins, "null", "broker.example.com", 403],
    [[], "http://127.0.0.1", "127.0.0.1", 403],
    // all
    [["*"], "https://evil.example", "127.0.0.1", 101],
    [["*"], "null", "127.0.0.1", 101],
  ]
  for (const [allowed, origin, host, status] of table)
    test(`origins ${allowed === undefined ? "not given" : `[${allowed}]`}: ${origin ?? "no origin"} at ${host} is ${status}`, async () => {
      const { port, logged, core } = await serve(door(allowed === undefined ? {} : { origins: allowed }))
      const { status: answered } = await FrameClient.request(port, { headers: { Origin: origin, Host: host } })
      expect(answered).toBe(status)
      if (status === 101) return
      const page = JSON.stringify(origin)
      expect(logged).toEqual([
        `info: refused a page of ${page} (127.0.0.1) on door: not among its origins; --origins adds it, in code the option origins`,
      ])
      expect(core.metrics.socketsOpened).toBe(0)
    })
})

describe("what is no WebSocket", () => {
  const table: [name: string, request: UpgradeRequest, status: number][] = [
    [
      "a request for a page",
      { headers: { Upgrade: undefined, Connection: undefined, "Sec-WebSocket-Key": undefined } },
      426,
    ],
    ["an upgrade to something else", { headers: { Upgrade: "h2c" } }, 426],
    ["a handshake without a key", { headers: { "Sec-WebSocket-Key": undefined } }, 400],
    ["a handshake with half a key", { headers: { "Sec-WebSocket-Key": "abc" } }, 400],
  ]
  for (const [name, request, status] of table)
    test(`${name} is ${status}`, async () => {
      const { port, core } = await serve(door())
      const client = await FrameClient.request(port, request)
      expect(client.status).toBe(status)
      if (status === 426) expect(client.header("Upgrade")).toEqual(["websocket"])
      expect(core.metrics.socketsOpened).toBe(0)
    })

  test("MQTT as over TCP is answered with an HTTP error, and closed", async () => {
    const { port, core } = await serve(door())
    const client = await FrameClient.request(port)
    const plain = await RawClient.open(port, 4).then((raw) => Object.assign(raw, { parse() {} }))
    plain.sendConnect("lost")
    await plain.until(() => plain.hasEnded, "the end")
    expect(core.metrics.socketsOpened).toBe(1)
    client.sendConnect("found")
    await client.next("connack")
  })
})

describe("options that make no sense are INVALID_OPTION", () => {
  const table: [options: object, message: string][] = [
    [{ path: "mqtt" }, 'a WebSocket\'s path begins with /, unlike "mqtt"'],
    [{ path: "" }, 'a WebSocket\'s path begins with /, unlike ""'],
    [{ origins: ["app.example.com"] }, 'origins are such as https://app.example.com, unlike "app.example.com"'],
    [
      { origins: ["https://app.example.com/"] },
      'origins are such as https://app.example.com, unlike "https://app.example.com/"',
    ],
    [
      { origins: ["https://*.example.com"] },
      'origins are such as https://app.example.com, unlike "https://*.example.com"',
    ],
    [{ limits: { maximumQoS: 3 } }, "maximumQoS must be 0, 1 or 2, not 3"],
    [{ usernameFrom: "commonName" }, "usernameFrom is for tcp(): Bun does not tell whose certificate a WebSocket has"],
  ]
  for (const [options, message] of table)
    test(JSON.stringify(options), async () => {
      expect(await refusal(() => door(options))).toBe(`INVALID_OPTION: ${message}`)
      expect(await refusal(() => dashboard({ port: 0, websocket: options }))).toBe(`INVALID_OPTION: ${message}`)
    })
})

describe("without an auth", () => {
  test("nobody is let in", async () => {
    const { port } = await serve(websocket({ port: 0 }))
    const client = await FrameClient.request(port)
    client.sendConnect("nobody")
    expect((await client.next("connack")).reasonCode).toBe(Reason.NotAuthorized)
    await client.until(() => client.closeCode !== undefined, "the close")
  })
})

describe("a dashboard with WebSocket on its port", () => {
  const house = (options: DashboardOptions["websocket"] = {}) =>
    dashboard({ port: 0, id: "house", websocket: { auth: allowAll(), ...options } })

  test("serves both, at the same time", async () => {
    const { port } = await serve(house())
    const [one, two] = [await FrameClient.connect(port, "one"), await FrameClient.connect(port, "two", { path: "/" })]
    await one.subscribe("t")
    for (const [path, status, body] of [
      ["/healthz", 200, "ok\n"],
      ["/readyz", 200, "ready\n"],
      ["/mqtt", 404, "there is /, /healthz, /readyz, /metrics and /api/v1/openapi.json\n"],
    ] as const) {
      const response = await fetch(`http://127.0.0.1:${port}${path}`)
      expect([response.status, await response.text()]).toEqual([status, body])
      two.publish("t", path)
      expect(String((await one.next("publish")).payload)).toBe(path)
    }
  })

  test("at one path alone, where it is asked for, and with the origins that are listed", async () => {
    const { port } = await serve(house({ path: "/mqtt", origins: ["https://app.example.com"] }))
    const status = async (request: UpgradeRequest) => (await FrameClient.request(port, request)).status
    expect(await status({ path: "/mqtt" })).toBe(101)
    expect(await status({ path: "/elsewhere" })).toBe(404)
    expect(await status({ path: "/mqtt", headers: { Origin: "https://evil.example" } })).toBe(403)
    expect(await status({ path: "/readyz" })).toBe(200)
  })

  const page = { Upgrade: undefined, "Sec-WebSocket-Key": undefined }
  const answers: [what: string, request: UpgradeRequest, status: number][] = [
    ["/healthz", { path: "/healthz", headers: page }, 200],
    ["/readyz", { path: "/readyz", headers: page }, 200],
    ["a path that is not there", { path: "/nothing", headers: page }, 404],
    ["a WebSocket elsewhere", { path: "/elsewhere" }, 404],
    ["no WebSocket", { path: "/mqtt", headers: { Upgrade: undefined } }, 426],
    ["another subprotocol", { path: "/mqtt", headers: { "Sec-WebSocket-Protocol": "chat" } }, 400],
    ["another version", { path: "/mqtt", headers: { "Sec-WebSocket-Version": "7" } }, 426],
    ["a page of elsewhere", { path: "/mqtt", headers: { Origin: "https://evil.example" } }, 403],
  ]
  for (const [what, request, status] of answers)
    test(`holds no connection for who asks for ${what}: ${status}, closed`, async () => {
      const { port } = await serve(house({ path: "/mqtt" }))
      const client = await FrameClient.request(port, request)
      expect([client.status, client.header("Connection")]).toEqual([status, ["close"]])
      await client.until(() => client.hasEnded, "the end")
      client.destroy()
    })

  test("and without, there is no MQTT", async () => {
    const { port, core } = await serve(dashboard({ port: 0 }))
    expect((await FrameClient.request(port)).status).toBe(404)
    expect(core.metrics.socketsOpened).toBe(0)
  })

  test("its clients are counted and named by its id", async () => {
    const { port, logged, core } = await serve(house({ limits: { maximumConnections: 1 } }))
    const first = await FrameClient.connect(port, "first")
    expect(logged).toEqual(["info: connected first (127.0.0.1) on house: MQTT 5.0"])
    const second = await FrameClient.request(port)
    second.sendConnect("second")
    expect((await second.next("connack")).reasonCode).toBe(Reason.ServerBusy)
    for (const client of [first, second]) client.destroy()
    await eventually(() => core.peers.size === 0, "both gone")
  })
})

/**
 * The admin API over a real listener: every route does what its description says, and answers as it says, also where something is wrong
 * with the request.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { allowAll, sqlite, tcp } from "../../src/index.ts"
import { inspect } from "../../src/store/sqlite/inspect.ts"
import { closeBrokers } from "../listeners/brokers.ts"
import { eventually, RawClient } from "../listeners/socket.ts"
import { temporaryFolder } from "../support/broker-process.ts"
import { type Asked, administered, Description } from "../support/http.ts"

setDefaultTimeout(30_000)

const TOKEN = "correct-horse-battery"
const authorized = { Authorization: `Bearer ${TOKEN}` }
const folder = temporaryFolder()
const logger = { level: "info", debug() {}, info() {}, warn() {}, error() {} }

let served: Awaited<ReturnType<typeof administered>>
let description: Description
let mqttPort: number

beforeAll(async () => {
  const store = sqlite(join(folder.path, "manju.db"))
  served = await administered({ id: "web", admin: { token: TOKEN } }, { store, logger })
  mqttPort = (await served.broker.listen(tcp({ id: "front", port: 0, auth: allowAll() }))).port
  description = new Description((await served.ask("/api/v1/openapi.json", { headers: authorized })).body)
})
afterAll(async () => {
  await closeBrokers()
  folder[Symbol.dispose]()
})

/** Asks, and fails where the answer is not as it is described. */
async function ask(method: string, path: string, asked: Asked = {}) {
  const answer = await served.ask(path, { method, ...asked, headers: { ...authorized, ...asked.headers } })
  expect(description.problemsOf(method, path, answer)).toEqual([])
  return answer
}

const at = (path: string, query: Record<string, string>) => `/api/v1/${path}?${new URLSearchParams(query)}`

/** A client whose names are such as strangers choose. */
const ODD = "../pump ü&?=#%/\u{1f95f}"

async function connect(clientId: string, fields: object = {}): Promise<RawClient> {
  return RawClient.connect(mqttPort, clientId, 5, { properties: { sessionExpiryInterval: 3600 }, ...fields })
}

describe("clients", () => {
  test("are listed, found, shown with their subscriptions, and disconnected", async () => {
    const client = await connect(ODD, { username: "ada", keepalive: 60 })
    await connect("lamp")
    await client.subscribe("odd/#", 1)
    client.publish("odd/1", "hello")
    await client.next("publish")

    const { status, body } = await ask("GET", at("clients", { text: "PUMP", listener: "front" }))
    expect([status, body.total, body.next]).toEqual([200, 1, undefined])
    expect(body.items).toMatchObject([
      {
        ...{ clientId: ODD, username: "ada", remoteAddress: "127.0.0.1", listener: "front", protocol: "5.0" },
        ...{ keepAliveSeconds: 60, sessionExpirySeconds: 3600, cleanStart: true, subscriptions: 1 },
        ...{ messagesReceived: 1, messagesSent: 1, inflightMessages: 0, queuedMessages: 0, backlogBytes: 0 },
      },
    ])
    expect(body.items[0].bytesReceived).toBeGreaterThan(20)
    expect(Math.abs(body.items[0].connectedAt - Date.now())).toBeLessThan(60_000)

    const one = await ask("GET", at("client", { clientId: ODD }))
    expect(one.body.subscriptions).toEqual([
      { topicFilter: "odd/#", qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 },
    ])
    const gone = await ask("DELETE", at("client", { clientId: ODD, reason: "151", reasonString: "too chatty" }))
    expect([gone.status, gone.body]).toEqual([204, ""])
    expect(await client.next("disconnect")).toMatchObject({
      reasonCode: 151,
      properties: { reasonString: "too chatty" },
    })
    await eventually(() => served.broker.client(ODD) === undefined, "it has gone")
    expect((await ask("GET", at("client", { clientId: ODD }))).body).toMatchObject({ type: "urn:manju:not-found" })
    expect((await ask("DELETE", at("client", { clientId: ODD }))).status).toBe(404)
  })

  test("come in pages", async () => {
    for (const clientId of ["page-1", "page-2", "page-3"]) await connect(clientId)
    const first = await ask("GET", at("clients", { text: "page-", limit: "2" }))
    const rest = await ask("GET", at("clients", { text: "page-", limit: "2", cursor: first.body.next }))
    const ids = ({ body }: typeof first) => body.items.map(({ clientId }: { clientId: string }) => clientId)
    expect([ids(first), ids(rest), first.body.total]).toEqual([["page-1", "page-2"], ["page-3"], 3])
    expect(rest.body.next).toBeUndefined()
  })
})

describe("sessions and subscriptions", () => {
  test("are listed, shown, and sessions deleted", async () => {
    const client = await connect("sleeper", { username: "bob" })
    await client.subscribe("sleep/+", 2)
    client.destroy()
    await eventually(() => served.broker.client("sleeper") === undefined, "it has gone")
    await served.broker.publish("sleep/1", "wake up", { qos: 1 })

    const { body } = await ask("GET", at("sessions", { isConnected: "false", username: "bob" }))
    expect(body.items).toMatchObject([
      { clientId: "sleeper", isConnected: false, expirySeconds: 3600, subscriptions: 1, queuedMessages: 1 },
    ])
    expect((await ask("GET", at("session", { clientId: "sleeper" }))).body).toEqual(body.items[0])
    const subscriptions = await ask("GET", at("subscriptions", { topic: "sleep/7" }))
    expect(subscriptions.body.items).toEqual([
      {
        ...{ clientId: "sleeper", isConnected: false, topicFilter: "sleep/+", qos: 2 },
        ...{ noLocal: false, retainAsPublished: false, retainHandling: 0 },
      },
    ])
    expect((await ask("DELETE", at("session", { clientId: "sleeper" }))).status).toBe(204)
    expect((await ask("GET", at("session", { clientId: "sleeper" }))).status).toBe(404)
    expect((await ask("DELETE", at("session", { clientId: "sleeper" }))).status).toBe(404)
    expect((await ask("GET", at("subscriptions", { clientId: "sleeper" }))).body.items).toEqual([])
  })
})

describe("messages", () => {
  const publish = (json: object) => ask("POST", "/api/v1/publish", { json })

  test("are published as text, bytes, JSON or nothing, with what goes with them", async () => {
    const subscriber = await connect("reader")
    await subscriber.subscribe("out/#", 2)
    const properties = {
      ...{ contentType: "text/plain", messageExpirySeconds: 100, payloadFormatIndicator: true, responseTopic: "back" },
      ...{
        userProperties: [
          ["a", "1"],
          ["a", "2"],
        ],
        correlationDataBase64: Buffer.from([0, 255]).toString("base64"),
      },
    }
    expect((await publish({ topic: "out/text", payload: "grüße", qos: 1, properties })).status).toBe(204)
    await publish({ topic: "out/bytes", payloadBase64: Buffer.from([0, 1, 255]).toString("base64") })
    await publish({ topic: "out/json", json: { celsius: 21.5 }, qos: 2 })
    await publish({ topic: "out/null", json: null })
    await publish({ topic: "out/nothing" })
    const text = await subscriber.next("publish")
    expect([text.topic, String(text.payload), text.qos]).toEqual(["out/text", "grüße", 1])
    expect(text.properties).toMatchObject({
      ...{ contentType: "text/plain", payloadFormatIndicator: true, responseTopic: "back" },
      ...{ userProperties: { a: ["1", "2"] }, correlationData: Buffer.from([0, 255]) },
    })
    expect((await subscriber.next("publish")).payload).toEqual(Buffer.from([0, 1, 255]))
    for (const expected of ['{"celsius":21.5}', "null", ""]) {
      expect(String((await subscriber.next("publish")).payload)).toBe(expected)
    }
  })

  test("that nobody can publish are refused", async () => {
    for (const [json, named] of [
      [{ payload: "x" }, "topic"],
      [{ topic: "a", payload: "x", json: 1 }, "one of payload, payloadBase64 and json"],
      [{ topic: "a", payloadBase64: "?" }, "payloadBase64"],
      [{ topic: "a", qos: 3 }, "qos"],
      [{ topic: "a", colour: "red" }, "colour"],
      [{ topic: "a", properties: { messageExpirySeconds: -1 } }, "properties.messageExpirySeconds"],
      [{ topic: "a/#" }, "not a topic name"],
      [{ topic: "" }, "not a topic name"],
      [{ topic: "$SYS/x" }, "only the broker publishes"],
      [[], "the body"],
    ] as const) {
      const { status, body } = await publish(json)
      expect([status, body.type]).toEqual([400, "urn:manju:invalid-request"])
      expect(JSON.stringify(body)).toContain(named)
    }
  })

  test("that are retained are listed, shown and forgotten", async () => {
    await publish({
      topic: "kept/a b&c",
      payload: "ä".repeat(1000),
      retain: true,
      qos: 1,
      properties: { contentType: "x/y" },
    })
    await publish({ topic: "kept/bytes", payloadBase64: "AP8=", retain: true })
    await publish({ topic: "kept/deep/1", payload: "1", retain: true })
    const list = await ask("GET", at("retained-messages", { topicFilter: "kept/#", previewBytes: "5" }))
    expect(list.body).toEqual({
      total: 3,
      items: [
        {
          topic: "kept/a b&c",
          qos: 1,
          payloadBytes: 2000,
          payload: "ää",
          isTruncated: true,
          properties: { contentType: "x/y" },
        },
        { topic: "kept/bytes", qos: 0, payloadBytes: 2, payloadBase64: "AP8=" },
        { topic: "kept/deep/1", qos: 0, payloadBytes: 1, payload: "1" },
      ],
    })
    const bare = await ask("GET", at("retained-messages", { topicFilter: "kept/deep/+" }))
    expect(bare.body.items).toEqual([{ topic: "kept/deep/1", qos: 0, payloadBytes: 1, payload: "", isTruncated: true }])
    const whole = await ask("GET", at("retained-message", { topic: "kept/a b&c" }))
    expect(whole.body.payload).toBe("ä".repeat(1000))

    expect((await ask("DELETE", at("retained-message", { topic: "kept/bytes" }))).status).toBe(204)
    expect((await ask("DELETE", at("retained-message", { topic: "kept/bytes" }))).status).toBe(404)
    expect((await ask("GET", at("retained-message", { topic: "kept/bytes" }))).status).toBe(404)
    expect((await ask("DELETE", at("retained-messages", { topicFilter: "kept/#" }))).body).toEqual({ deleted: 2 })
    expect((await ask("GET", at("retained-messages", {}))).body.total).toBe(0)
    for (const topicFilter of ["a/#/b", "$SYS/#"]) {
      expect((await ask("DELETE", at("retained-messages", { topicFilter }))).status).toBe(400)
    }
  })

  test("that are retained are forgotten by name, not by filter, where a name is asked for", async () => {
    await publish({ topic: "kept/1", payload: "1", retain: true })
    for (const topic of ["kept/+", "#", "$SYS/broker/version/+"]) {
      expect((await ask("DELETE", at("retained-message", { topic }))).status).toBe(404)
    }
    expect((await ask("DELETE", at("retained-message", { topic: "$SYS/broker/version" }))).status).toBe(400)
    expect((await ask("DELETE", at("retained-message", { topic: "kept/1" }))).status).toBe(204)
  })
})

describe("an explanation", () => {
  test("says why a client does not get what another one publishes", async () => {
    const client = await connect("silent")
    await client.subscribe("explained/#", 1)
    await connect("talker")
    const asked = { clientId: "silent", topic: "explained/1", from: "talker" }
    const { status, body } = await ask("GET", at("explain", asked))
    expect([status, body.publish.clientId, body.receive.clientId]).toEqual([200, "talker", "silent"])
    expect(body.receive).toMatchObject({ outcome: "yes", words: expect.stringContaining("silent gets messages") })
    const other = await ask("GET", at("explain", { clientId: "silent", topic: "other" }))
    expect(other.body.receive).toMatchObject({
      outcome: "no",
      findings: [{ code: "no subscription", effect: "stops" }, {}, {}],
    })
    expect((await ask("GET", at("explain", { clientId: ODD, topic: "nobody/there" }))).status).toBe(200)
  })

  test("is of a topic name: a filter is none", async () => {
    const { status, body } = await ask("GET", at("explain", { clientId: "silent", topic: "a/#" }))
    expect([status, body.detail]).toEqual([400, 'not a topic name: "a/#"'])
  })
})

describe("the broker", () => {
  test("shows its figures, its listeners and its limits", async () => {
    const { body } = await ask("GET", "/api/v1/metrics")
    expect(body).toMatchObject({ version: expect.any(String), store: { isReady: true } })
    expect(body.messagesReceived).toHaveLength(3)
    const listeners = await ask("GET", "/api/v1/listeners")
    expect(listeners.body).toMatchObject([
      { id: "web", hostname: "127.0.0.1", port: served.port },
      { id: "front", hostname: "127.0.0.1", port: mqttPort, limits: { maximumQoS: 2, protocolLevels: [3, 4, 5] } },
    ])
    expect(listeners.body[0].connections).toBeUndefined()
    expect(listeners.body[1].connections).toBe(served.core.metrics.connections)
    expect((await ask("GET", "/api/v1/limits")).body).toEqual(served.core.limits as object)
  })

  test("changes its limits, where that is safe", async () => {
    const change = (json: object) => ask("PATCH", "/api/v1/limits", { json })
    expect((await change({ maximumSessions: 5000, maximumInflight: 7, receiveMaximum: 9 })).body).toEqual({
      changed: ["maximumSessions", "maximumInflight"],
      fromNextConnection: ["maximumInflight"],
      needRestart: ["receiveMaximum"],
    })
    expect([served.core.limits.maximumSessions, served.core.limits.receiveMaximum]).toEqual([5000, 1024])
    for (const json of [{ maximumInflight: 0 }, { maximumInflight: "7" }, { maximumSession: 1 }]) {
      const { status, body } = await change(json)
      expect([status, body.errors.length]).toEqual([400, 1])
    }
  })

  test("tells and changes the level of its log", async () => {
    expect((await ask("GET", "/api/v1/log-level")).body).toEqual({ level: "info", areas: {} })
    expect((await ask("PUT", "/api/v1/log-level", { json: { level: "warn" } })).status).toBe(204)
    expect(logger.level).toBe("warn")
    const levels = { level: "warn", areas: { auth: "debug", client: "info" } }
    expect((await ask("PUT", "/api/v1/log-level", { json: levels })).status).toBe(204)
    expect((await ask("GET", "/api/v1/log-level")).body).toEqual(levels)
    for (const json of [{ level: "loud" }, { level: "warn", areas: { frob: "debug" } }, { areas: { auth: "debug" } }]) {
      expect((await ask("PUT", "/api/v1/log-level", { json })).status).toBe(400)
    }
    expect((await ask("PUT", "/api/v1/log-level", { json: { level: "warn" } })).status).toBe(204)
    expect((await ask("GET", "/api/v1/log-level")).body).toEqual({ level: "warn", areas: {} })
    logger.level = "of its own"
    expect((await ask("GET", "/api/v1/log-level")).status).toBe(409)
    expect((await ask("PUT", "/api/v1/log-level", { json: { level: "info" } })).status).toBe(409)
    logger.level = "info"
  })

  test("reads its files again", async () => {
    expect((await ask("POST", "/api/v1/reload")).body).toEqual({ changed: [], needRestart: [] })
  })

  test("copies its store", async () => {
    await served.broker.publish("backed/up", "x", { qos: 1, retain: true })
    const path = join(folder.path, "copy.db")
    const backup = (to: string) => ask("POST", "/api/v1/backup", { json: { path: to } })
    expect((await backup(path)).status).toBe(204)
    expect(inspect(path).retained).toBe(1)
    expect((await backup(path)).body).toMatchObject({ type: "urn:manju:conflict", detail: `${path} is there already` })
    const nowhere = join(folder.path, "nowhere", "copy.db")
    expect((await backup(nowhere)).body).toMatchObject({ type: "urn:manju:unavailable", status: 503 })
    expect(existsSync(nowhere)).toBe(false)
    expect((await backup("")).status).toBe(400)
  })
})

describe("what is asked wrongly is answered with what is wrong", () => {
  test("a parameter that there is not, that stands there twice, or that takes something else", async () => {
    for (const [path, name] of [
      ["clients?colour=red", "colour"],
      ["clients?limit=1&limit=2", "limit"],
      ["clients?limit=0", "limit"],
      ["clients?limit=1001", "limit"],
      ["clients?limit=many", "limit"],
      ["client", "clientId"],
      ["sessions?isConnected=maybe", "isConnected"],
      ["retained-messages?previewBytes=-1", "previewBytes"],
      ["live?clients=1000", "clients"],
      ["live?log=loud", "log"],
      ["metrics?x=1", "x"],
    ]) {
      const { status, body } = await ask("GET", `/api/v1/${path}`)
      expect([path, status, body.errors?.map((part: { name: string }) => part.name)]).toEqual([path, 400, [name]])
      expect(body.detail).toContain(name)
    }
  })

  test("a cursor that no page has given, and a filter that is none", async () => {
    for (const path of [
      "clients?cursor=x",
      "sessions?cursor=x",
      "subscriptions?cursor=x",
      "retained-messages?cursor=x",
    ]) {
      expect((await ask("GET", `/api/v1/${path}`)).body).toMatchObject({ type: "urn:manju:invalid-request" })
    }
    for (const path of [
      "retained-messages?topicFilter=a%23",
      "live?topics=a%23",
      "live?topics=%24share/g/a",
      "live?trace=a%23",
    ]) {
      expect((await ask("GET", `/api/v1/${path}`)).status).toBe(400)
    }
  })

  test("a body that is not JSON, not said to be, or too large", async () => {
    const post = (asked: Asked) =>
      served.ask("/api/v1/publish", { method: "POST", ...asked, headers: { ...authorized, ...asked.headers } })
    const json = { "Content-Type": "application/json" }
    expect((await post({ body: "{", headers: json })).body).toMatchObject({ type: "urn:manju:not-json", status: 415 })
    expect((await post({ headers: json })).status).toBe(415)
    expect((await post({ body: "{}" })).status).toBe(415)
    expect(
      (await post({ body: '{"topic":"a"}', headers: { "Content-Type": "application/json; charset=utf-8" } })).status,
    ).toBe(204)
    const size = 2 * served.core.limits.maximumPacketBytes + 100_000
    expect(
      (await post({ body: JSON.stringify({ topic: "a", payload: "x".repeat(size) }), headers: json })).status,
    ).toBe(413)
  })

  test("a parameter that every object seems to have", async () => {
    for (const name of ["constructor", "__proto__", "toString"]) {
      const { status, body } = await ask("GET", `/api/v1/limits?${name}=1`)
      expect([status, body.errors]).toEqual([400, [{ name, detail: "is no parameter; it takes none" }]])
    }
  })

  test("JSON that is too deep to be sent", async () => {
    const body = `{"topic":"a","json":${"[".repeat(200_000)}${"]".repeat(200_000)}}`
    const headers = { "Content-Type": "application/json" }
    expect((await ask("POST", "/api/v1/publish", { body, headers })).body).toMatchObject({
      type: "urn:manju:invalid-request",
      detail: expect.stringContaining("json cannot be sent"),
    })
  })

  test("a method that a path does not take, and a path that there is not", async () => {
    const headers = authorized
    const put = await served.ask("/api/v1/limits", { method: "PUT", headers })
    expect([put.status, put.headers.get("allow"), put.body.type]).toEqual([
      405,
      "GET, PATCH",
      "urn:manju:method-not-allowed",
    ])
    for (const path of ["/api/v1/", "/api/v1/nothing", "/api/v2/clients", "/api/v1/clients/"]) {
      const { status, body } = await served.ask(path, { headers })
      expect([path, status, body.type]).toEqual([path, 404, "urn:manju:not-found"])
    }
    for (const path of ["/api", "/index.html"]) expect((await served.ask(path, { headers })).status).toBe(404)
  })
})

test("no answer is kept by anybody, nor taken for something else", async () => {
  for (const path of ["/api/v1/limits", "/api/v1/nothing", "/api/v1/openapi.json", "/metrics", "/readyz", "/nothing"]) {
    const { headers } = await served.ask(path, { headers: authorized })
    expect([path, headers.get("cache-control")]).toEqual([path, "no-store"])
    if (path !== "/readyz") expect([path, headers.get("x-content-type-options")]).toEqual([path, "nosniff"])
  }
})

test("every operation has been asked for, and has answered as it should", async () => {
  const controller = new AbortController()
  const live = await fetch(`${served.url}/api/v1/live`, { headers: authorized, signal: controller.signal })
  const answer = { status: live.status, headers: live.headers, body: "a stream" }
  expect(description.problemsOf("GET", "/api/v1/live", answer)).toEqual([])
  controller.abort()
  const answered = new Set(
    [...description.seen].filter((each) => / 20[04]$/.test(each)).map((each) => each.slice(0, -4)),
  )
  expect([...answered].sort()).toEqual([...description.operations].sort())
})

/** What holds in the end: flags over the environment over the file over defaults, value by value. */
import { describe, expect, test } from "bun:test"
import { join } from "node:path"
import { listenerDefaults, resolveLimits } from "../../src/broker/limits.ts"
import type { Configuration } from "../../src/config/load.ts"
import { nodeAt } from "../../src/config/tree.ts"
import { type Sources, valuesOf, withLoaded } from "../support/configuration.ts"

/** Of each listener what tells it from others: `tcp 127.0.0.1:1883`. */
function places({ listeners }: Configuration["values"]): string[] {
  return listeners.map((each) => {
    return `${each.type} ${each.type === "unix" ? each.path : `${each.hostname}:${each.port}`}`
  })
}

describe("without any word", () => {
  test("MQTT is on TCP and WebSocket and the operator's pages on HTTP, all of it on loopback", async () => {
    const values = await valuesOf({})
    expect(places(values)).toEqual(["tcp 127.0.0.1:1883", "websocket 127.0.0.1:1882", "http 127.0.0.1:8080"])
    expect(values).toMatchObject({ durability: "power", logLevel: "info", validatePayloadFormat: false })
    expect(values.data).toBeUndefined()
  })

  test("limits are the broker's defaults, with a database those for one", async () => {
    expect((await valuesOf({})).limits).toEqual(resolveLimits())
    expect((await valuesOf({ file: 'data = "x.db"' })).limits).toEqual(resolveLimits({}, true))
  })

  test("a listener offers what the broker's listeners offer", async () => {
    const [tcp] = (await valuesOf({})).listeners
    const { maximumConnections: _, ...offered } = listenerDefaults
    expect(tcp).toMatchObject({ limits: { ...offered, protocolLevels: ["3.1", "3.1.1", "5"] } })
  })
})

describe("each value comes from the first that says it:", () => {
  const file = "[limits]\nmaximumInflight = 10\nreceiveMaximum = 20\nmaximumTopicLevels = 30\n"
  const environment = { MANJU_LIMITS_RECEIVE_MAXIMUM: "21", MANJU_LIMITS_MAXIMUM_TOPIC_LEVELS: "31" }
  const flags = { "--maximum-topic-levels": 32 }
  const table: [of: string, sources: Sources, limits: [number, number, number]][] = [
    ["the defaults", {}, [1024, 1024, 128]],
    ["the file", { file }, [10, 20, 30]],
    ["the environment", { environment }, [1024, 21, 31]],
    ["the environment before the file", { file, environment }, [10, 21, 31]],
    ["flags before both", { file, environment, flags }, [10, 21, 32]],
  ]
  for (const [of, sources, expected] of table)
    test(of, async () => {
      const { maximumInflight, receiveMaximum, maximumTopicLevels } = (await valuesOf(sources)).limits
      expect([maximumInflight, receiveMaximum, maximumTopicLevels]).toEqual(expected)
    })

  test("and is known by it", async () => {
    await withLoaded({ file, environment, flags }, async ({ tree, file }) => {
      const sources = ["maximumInflight", "receiveMaximum", "maximumTopicLevels", "maximumSessions"].map(
        (name) => nodeAt(tree, ["limits", name])!.source,
      )
      expect(sources.map(({ kind }) => kind)).toEqual(["file", "variable", "flag", "default"])
      expect(await file!.lineOf(["limits", "maximumInflight"])).toBe(2)
    })
  })
})

test("MANJU_CONFIG names the file, unless --config does", async () => {
  await withLoaded({ file: 'logLevel = "warn"' }, async ({ file }) => {
    const environment = { MANJU_CONFIG: file!.path }
    expect((await valuesOf({ environment })).logLevel).toBe("warn")
    expect((await valuesOf({ environment, file: "" })).logLevel).toBe("info")
  })
})

test("a listener may be given tables of its own", async () => {
  const values = await valuesOf({
    file: `
      [[listeners]]
      type = "tcp"
      [listeners.tls]
      cert = "/s.crt"
      key = "/s.key"
      [listeners.auth]
      allowAnonymous = true
      [listeners.limits]
      protocolLevels = ["5"]
      [[listeners]]
      type = "http"
      admin = false
      websocket = { path = "/mqtt" }`,
  })
  expect(values.listeners).toMatchObject([
    { port: 8883, tls: { cert: "/s.crt" }, auth: { allowAnonymous: true }, limits: { protocolLevels: ["5"] } },
    { port: 8080, admin: false, websocket: { path: "/mqtt", limits: { maximumQoS: 2 } } },
  ])
})

describe("names of files", () => {
  const file = `
    data = "manju.db"
    [auth]
    passwords = "etc/users.txt"
    acl = "/etc/acl.txt"
    jwt = { key = """-----BEGIN PUBLIC KEY-----\nx""" }
    [[listeners]]
    type = "unix"
    path = "manju.sock"
    [[listeners]]
    type = "websocket"
    path = "/mqtt"
    tls = { cert = "server.crt", key = "server.key" }`

  test("in the file are relative to the file; what is PEM, or a path of URLs, is no name of one", async () => {
    await withLoaded({ file }, ({ values }, folder) => {
      const inFolder = (name: string) => join(folder, name)
      expect(values.data).toBe(inFolder("manju.db"))
      expect(values.auth).toMatchObject({ passwords: inFolder("etc/users.txt"), acl: "/etc/acl.txt" })
      expect(values.auth.jwt?.key).toStartWith("-----BEGIN PUBLIC KEY-----")
      expect(values.listeners).toMatchObject([
        { path: inFolder("manju.sock") },
        { path: "/mqtt", tls: { cert: inFolder("server.crt"), key: inFolder("server.key") } },
      ])
    })
  })

  test("in variables and flags are relative to where the command runs", async () => {
    const environment = { MANJU_DATA: "my.db" }
    const { data, auth } = await valuesOf({ file, environment, flags: { "--passwords": "my.txt" } })
    expect([data, auth.passwords]).toEqual(["my.db", "my.txt"])
  })
})

describe("flags", () => {
  const listeners = `
    [[listeners]]
    type = "http"
    port = 81
    websocket = {}
    [[listeners]]
    type = "websocket"
    hostname = "127.0.0.2"
    port = 82
    [[listeners]]
    type = "tcp"
    port = 83
    [[listeners]]
    type = "tcp"
    port = 84`
  const table: [name: string, flags: Record<string, unknown>, file: string | undefined, places: string[]][] = [
    [
      "--tcp is the port of the listener for TCP",
      { "--tcp": 5 },
      undefined,
      ["tcp :5", "websocket :1882", "http :8080"],
    ],
    [
      "--ws and --http are those of theirs",
      { "--ws": 5, "--http": 6 },
      undefined,
      ["tcp :1883", "websocket :5", "http :6"],
    ],
    [
      "of several for TCP, --tcp is that of the first",
      { "--tcp": 5 },
      listeners,
      ["http :81", "websocket 2:82", "tcp :5", "tcp :84"],
    ],
    [
      "where there is none, --tcp adds one",
      { "--tcp": 5 },
      '[[listeners]]\ntype = "websocket"',
      ["tcp :5", "websocket :1882"],
    ],
    ["--unix adds one", { "--unix": "/s" }, undefined, ["tcp :1883", "unix /s", "websocket :1882", "http :8080"]],
    ["or is the path of the first", { "--unix": "/s" }, '[[listeners]]\ntype = "unix"\npath = "/t"', ["unix /s"]],
    ["--no-ws and --no-http take them out", { "--no-ws": undefined, "--no-http": undefined }, undefined, ["tcp :1883"]],
    ["--no-tcp takes all of them out", { "--no-tcp": undefined }, listeners, ["http :81", "websocket 2:82"]],
    [
      "--host is for all that have none",
      { "--host": "::1" },
      listeners,
      ["http ::1:81", "websocket 2:82", "tcp ::1:83", "tcp ::1:84"],
    ],
    [
      "with TLS the ports are others",
      { "--tls-cert": "a", "--tls-key": "b" },
      undefined,
      ["tcp :8883", "websocket :8884", "http :8080"],
    ],
    [
      "with names from certificates there is no WebSocket",
      { "--tls-cert": "a", "--tls-key": "b", "--tls-ca": "c", "--tls-username": "cn" },
      undefined,
      ["tcp :8883", "http :8080"],
    ],
  ]
  for (const [name, flags, file, expected] of table)
    test(name, async () => {
      const short = places(await valuesOf({ flags, ...(file !== undefined && { file }) }))
      expect(short.map((place) => place.replace("127.0.0.1", "").replace("127.0.0.", ""))).toEqual(expected)
    })

  test("of TLS are for all listeners for TCP and WebSocket, over what a file says of them", async () => {
    const flags = { "--tls-cert": "a.crt", "--tls-key": "a.key" }
    const file = `${listeners}\ntls = { cert = "b.crt", key = "b.key", passphrase = "p" }`
    const [http, ...others] = (await valuesOf({ file, flags })).listeners
    expect(http).not.toHaveProperty("tls")
    const mine = { cert: "a.crt", key: "a.key" }
    expect(others).toMatchObject([{ tls: mine }, { tls: mine }, { tls: { ...mine, passphrase: "p" } }])
  })

  test("of what clients are offered are for all listeners", async () => {
    const flags = { "--maximum-qos": 1, "--no-retain": undefined, "--protocol-levels": ["5"] }
    const limits = { maximumQoS: 1, retainAvailable: false, protocolLevels: ["5"], sharedSubscriptionAvailable: true }
    const [http, ...others] = (await valuesOf({ file: listeners, flags })).listeners
    expect(http).toMatchObject({ websocket: { limits } })
    for (const each of others) expect(each).toMatchObject({ limits })
  })

  test("--origins is for all WebSockets", async () => {
    const origins = ["https://a.example"]
    const values = await valuesOf({ file: listeners, flags: { "--origins": origins } })
    expect(values.listeners.slice(0, 2)).toMatchObject([{ websocket: { origins } }, { origins }])
  })

  test("of auth are for listeners that have none of their own", async () => {
    const file = `${listeners}\nauth = { passwords = "/mine.txt" }`
    const { auth, listeners: loaded } = await valuesOf({
      file,
      flags: { "--passwords": "users.txt", "--acl": "acl.txt" },
    })
    expect(auth).toMatchObject({ passwords: "users.txt", acl: "acl.txt" })
    expect(loaded.at(-1)).toMatchObject({ auth: { passwords: "/mine.txt" } })
    expect(loaded.at(-1)).not.toHaveProperty("auth.acl")
  })
})

/** Variables: every key has one, and which other ways there are to set it. */
import { describe, expect, test } from "bun:test"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { allKeys, EVERY, pathOf, traitsOf, variableOf } from "../../src/config/keys.ts"
import { temporaryFolder } from "../support/broker-process.ts"
import { problemsOf, valuesOf } from "../support/configuration.ts"

/** Every key, with the number of a listener where there is one. */
const paths = allKeys().map(({ path, schema }) => ({ path: path.map((step) => (step === EVERY ? 12 : step)), schema }))

describe("every key has a variable", () => {
  for (const [path, name] of [
    [["data"], "MANJU_DATA"],
    [["limits", "maximumInflight"], "MANJU_LIMITS_MAXIMUM_INFLIGHT"],
    [["listeners", 0, "tls", "cert"], "MANJU_LISTENERS_0_TLS_CERT"],
    [["listeners", 12, "limits", "maximumQoS"], "MANJU_LISTENERS_12_LIMITS_MAXIMUM_QOS"],
    [["auth", "http", "timeoutMs"], "MANJU_AUTH_HTTP_TIMEOUT_MS"],
  ] as const)
    test(`${path.join(".")} has ${name}`, () => expect(variableOf(path)).toBe(name))

  test("which is its own", () => {
    const names = paths.flatMap(({ path, schema }) => [
      variableOf(path),
      ...(traitsOf(schema).isSecret ? [`${variableOf(path)}_FILE`] : []),
    ])
    expect(names).toHaveLength(new Set(names).size)
  })

  test("by which it is found again", () => {
    for (const { path } of paths) expect(pathOf(variableOf(path).slice("MANJU_".length))).toEqual(path)
  })

  for (const name of [
    "LISTENERS_01_PORT",
    "LISTENERS_-1_PORT",
    "LISTENERS_1000_PORT",
    "LISTENERS__PORT",
    "LIMITS_",
    "limits",
    "",
  ])
    test(`MANJU_${name} is none`, () => expect(pathOf(name)).toBeUndefined())
})

describe("a variable", () => {
  test("may hold a table as JSON, beside which what is given by itself counts more", async () => {
    const environment = { MANJU_LIMITS_RECEIVE_MAXIMUM: "7", MANJU_LIMITS: '{"receiveMaximum":5,"maximumInflight":6}' }
    const file = "[limits]\nmaximumInflight = 1\nmaximumTopicLevels = 2"
    expect((await valuesOf({ file, environment })).limits).toMatchObject({
      receiveMaximum: 7,
      maximumInflight: 6,
      maximumTopicLevels: 2,
    })
  })

  test("may hold all listeners as JSON, in place of those of the file", async () => {
    const file = "[[listeners]]\ntype = 'unix'\npath = '/s'"
    const environment = {
      MANJU_LISTENERS: '[{"type":"tcp","port":5},{"type":"tcp","port":6}]',
      MANJU_LISTENERS_1_PORT: "7",
    }
    expect((await valuesOf({ file, environment })).listeners).toMatchObject([{ port: 5 }, { port: 7 }])
  })

  test("may change a listener by its number, one of the file or one that is there by itself, or add the next", async () => {
    const file = "[[listeners]]\ntype = 'tcp'"
    const environment = {
      MANJU_LISTENERS_0_PORT: "5",
      MANJU_LISTENERS_1: '{"type":"tcp"}',
      MANJU_LISTENERS_1_PORT: "6",
    }
    expect((await valuesOf({ file, environment })).listeners).toMatchObject([{ port: 5 }, { port: 6 }])
    const standard = await valuesOf({
      environment: { MANJU_LISTENERS_2_PORT: "5", MANJU_LISTENERS_3_TYPE: "tcp", MANJU_LISTENERS_3_PORT: "6" },
    })
    expect(standard.listeners.map(({ type }) => type)).toEqual(["tcp", "websocket", "http", "tcp"])
    expect(standard.listeners).toMatchObject([{}, {}, { port: 5 }, { port: 6 }])
  })

  test("may hold tables within a table, of which each value counts by itself", async () => {
    const file = "[auth.jwt]\njwks = '/k'\nusernameClaim = 'name'\n[auth]\nacl = '/a'\nallowAnonymous = true"
    const environment = { MANJU_AUTH: '{"jwt":{"usernameClaim":"email"},"acl":"/b"}' }
    const { acl, allowAnonymous, jwt } = (await valuesOf({ file, environment })).auth
    expect({ acl, allowAnonymous }).toEqual({ acl: "/b", allowAnonymous: true })
    expect(jwt).toMatchObject({ jwks: "/k", usernameClaim: "email" })
  })

  for (const [text, value] of [
    ["publish, receive", ["publish", "receive"]],
    ['["subscribe"]', ["subscribe"]],
    ["false", false],
  ] as const)
    test(`may hold one thing or a list of others: ${text}`, async () => {
      const environment = { MANJU_AUTH_HTTP_URL: "http://x", MANJU_AUTH_HTTP_AUTHORIZE: text }
      expect((await valuesOf({ environment })).auth.http?.authorize).toEqual(value as never)
    })

  for (const text of ["3.1.1, 5", '["3.1.1","5"]'])
    test(`may hold a list with commas or as JSON: ${text}`, async () => {
      const { listeners } = await valuesOf({ environment: { MANJU_LISTENERS_0_LIMITS_PROTOCOL_LEVELS: text } })
      expect(listeners[0]).toMatchObject({ limits: { protocolLevels: ["3.1.1", "5"] } })
    })

  test("may name a file with the secret in it, whose last line end does not count", async () => {
    using folder = temporaryFolder()
    const path = join(folder.path, "token")
    for (const end of ["", "\n", "\r\n"]) {
      writeFileSync(path, `a-token-of-the-operator${end}`)
      expect((await valuesOf({ environment: { MANJU_ADMIN_TOKEN_FILE: path } })).admin.token).toBe(
        "a-token-of-the-operator",
      )
    }
  })

  test("and that file do not say the same", async () => {
    const environment = { MANJU_ADMIN_TOKEN: "a-token-of-the-operator", MANJU_ADMIN_TOKEN_FILE: "/dev/null" }
    expect(await problemsOf({ environment })).toContain(
      "MANJU_ADMIN_TOKEN_FILE and MANJU_ADMIN_TOKEN set the same: leave one out",
    )
  })

  for (const name of [
    "MANJU_PASSWORD",
    "MANJU_ADMIN_URL",
    "MANJU_NAME",
    "MANJU_SERVICE_HOST",
    "MANJU_SERVICE_PORT",
    "MANJU_SERVICE_PORT_MQTT",
    "MANJU_PORT",
    "MANJU_PORT_1883_TCP",
    "MANJU_PORT_1883_TCP_ADDR",
  ])
    test(`of others is passed over: ${name}`, async () => {
      expect(await problemsOf({ environment: { [name]: "tcp://10.0.0.1:1883", PATH: "/bin" } })).toEqual([])
    })
})

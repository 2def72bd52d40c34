/** The schema for editors, the example, the help: they say what the configuration takes; and that takes what the library takes. */
import { describe, expect, test } from "bun:test"
import Ajv from "ajv"
import { type HttpAuthOptions, http } from "../../src/auth/http.ts"
import { type JwtOptions, jwt } from "../../src/auth/jwt.ts"
import { passwords } from "../../src/auth/passwords.ts"
import { limitDefinitions } from "../../src/broker/limits.ts"
import { exampleFile } from "../../src/config/example.ts"
import { flags } from "../../src/config/flags.ts"
import { jsonSchema } from "../../src/config/json-schema.ts"
import { allKeys, EVERY, entriesOf, helpOf, keyName, schemaAt, takesOf } from "../../src/config/keys.ts"
import { leavesOf } from "../../src/config/tree.ts"
import { Random } from "../support/bytes.ts"
import { problemsOf, valuesOf, withLoaded } from "../support/configuration.ts"
import { randomConfiguration } from "../support/random-configuration.ts"

const keys = allKeys()
const leaves = keys.filter(({ path, schema }) => entriesOf(schema) === undefined && path.at(-1) !== "listeners")

describe("every key", () => {
  for (const { path, schema } of keys) {
    if (path.length > 3) continue // below that they are those of other tables
    test(`${keyName(path)} says what it is for, and what it takes`, () => {
      expect(helpOf(schema)).toMatch(/^\S.*\S$/)
      expect(takesOf(schema)).not.toContain("undefined")
      expect(takesOf(schema)).toMatch(/^\S.*\S$/)
    })
  }
})

describe("the JSON Schema", () => {
  const ajv = new Ajv({ strict: true, strictTypes: false })
  const validate = ajv.compile(JSON.parse(jsonSchema()))
  const isValid = (text: string) => validate(Bun.TOML.parse(text))

  test("has a description for every property", () => {
    const silent: string[] = []
    const look = (schema: Record<string, unknown>, at: string): void => {
      for (const [name, each] of Object.entries((schema.properties ?? {}) as Record<string, Record<string, unknown>>)) {
        if (typeof each.description !== "string") silent.push(`${at}.${name}`)
        look(each, `${at}.${name}`)
      }
      for (const each of (schema.items as { oneOf?: Record<string, unknown>[] })?.oneOf ?? []) look(each, `${at}[]`)
    }
    look(JSON.parse(jsonSchema()), "")
    expect(silent).toEqual([])
  })

  test("takes what the configuration takes", () => {
    for (let seed = 0; seed < 100; seed++) {
      const values = randomConfiguration(new Random(seed))
      expect([seed, validate(values), validate.errors]).toEqual([seed, true, null])
    }
  })

  for (const file of [
    "limits.maximumInflight = 0",
    "limits.maximumInflght = 1",
    "logLevel = 'loud'",
    "data = ''",
    "admin.token = 'short'",
    "[[listeners]]\ntype = 'tpc'",
    "[[listeners]]\ntype = 'tcp'\norigins = ['https://a.example']",
    "[[listeners]]\ntype = 'unix'",
    "[[listeners]]\ntype = 'unix'\npath = '/s'\nmode = '999'",
    "[[listeners]]\ntype = 'tcp'\ntls = { cert = 'x' }",
    "[[listeners]]\ntype = 'tcp'\nlimits = { protocolLevels = [] }",
  ])
    test(`refuses what the configuration refuses: ${file.replaceAll("\n", "; ")}`, async () => {
      expect(isValid(file)).toBe(false)
      expect(await problemsOf({ file })).not.toEqual([])
    })
})

describe("the example", () => {
  const example = exampleFile()
  /** With everything in it that is commented out. */
  const whole = example.replaceAll(/^#(?=[\w[])/gm, "")

  test("as it stands says what holds without any file", async () => {
    expect(await valuesOf({ file: example })).toEqual(await valuesOf({}))
  })

  test("is taken with everything in it that is commented out, but for what does not go together", async () => {
    expect((await problemsOf({ file: whole })).map((line) => line.replace(/^[\w.]+:\d+: /, ""))).toEqual([
      "with listeners[0].usernameFrom everybody has a user name: auth.allowAnonymous lets nobody in",
      "auth.jwt takes one of secret, key and jwks, not secret and key and jwks",
      "listeners[0].proxy and listeners[0].tls do not go together: let the proxy speak TLS",
    ])
    expect(new Ajv({ strictTypes: false }).compile(JSON.parse(jsonSchema()))(Bun.TOML.parse(whole))).toBe(true)
  })

  test("has every key, with its default if it has one", () => {
    const table = Bun.TOML.parse(whole) as Record<string, unknown>
    // A table that stands in several places is written out once.
    const elsewhere = /^listeners\.\*\.(?:auth|websocket\.(?:auth|limits))\./
    const once = leaves.filter(({ path }) => !elsewhere.test(path.join(".")))
    for (const { path, schema } of once) {
      const found = at(table, path)
      expect([keyName(path), found.length > 0]).toEqual([keyName(path), true])
      if (schema.default !== undefined)
        expect([keyName(path), found]).toEqual([keyName(path), found.map(() => schema.default)])
    }
  })

  test("has no line that is too long to read", () => {
    expect(example.split("\n").filter((line) => line.length > 120)).toEqual([])
  })
})

/** What stands at a path; in listeners, of all of them that have it. */
function at(value: unknown, [first, ...rest]: readonly string[]): unknown[] {
  if (first === undefined) return value === undefined ? [] : [value]
  if (first === EVERY) return (value as unknown[]).flatMap((each) => at(each, rest))
  return at((value as Record<string, unknown> | undefined)?.[first], rest)
}

test("every default that a key has is what holds without a word on it", async () => {
  await withLoaded({ file: "auth = { jwt = { jwks = '/k' }, http = { url = 'http://x' } }" }, ({ tree }) => {
    const holding = new Map(
      Array.from(leavesOf(tree), ([path, { value }]) => [
        path.map((step) => (typeof step === "number" ? EVERY : step)).join("."),
        value,
      ]),
    )
    for (const { path, schema } of leaves) {
      const name = path.join(".")
      if (schema.default !== undefined && holding.has(name))
        expect([name, holding.get(name)]).toEqual([name, schema.default])
    }
  })
})

test("the help of every flag has the default of its key", () => {
  for (const { spelling, help, path } of flags) {
    const standard = schemaAt(path)?.default
    const isSaid = spelling.includes("<") && standard !== undefined && standard !== ""
    if (isSaid) expect(help).toContain(`(default: ${standard})`)
  }
})

describe("a number that the configuration takes the library takes, and no other:", () => {
  const bounds: [name: string, least: number, most: number, make: (value: number) => unknown][] = []
  const numbersOf = (path: string[], make: (name: string, value: number) => unknown) => {
    for (const [name, schema] of Object.entries(entriesOf(schemaAt(path)!)!)) {
      const [, least, most] = /^a whole number from (\d+) to (\d+)$/.exec(takesOf(schema)) ?? []
      if (least !== undefined)
        bounds.push([`${path.join(".")}.${name}`, Number(least), Number(most), (value) => make(name, value)])
    }
  }
  numbersOf(["auth", "jwt"], (name, value) => jwt({ jwks: "k", [name]: value } as JwtOptions))
  numbersOf(["auth", "http"], (name, value) => http({ url: "http://x", [name]: value } as HttpAuthOptions))
  numbersOf(["auth"], (_, value) => passwords("u", { verificationsAtOnce: value }))

  test("there are some", () => expect(bounds.map(([name]) => name)).toContain("auth.http.timeoutMs"))

  for (const [name, least, most, make] of bounds)
    test(`${name} from ${least} to ${most}`, () => {
      for (const value of [least, most]) expect(() => make(value)).not.toThrow()
      for (const value of [least - 1, most + 1]) expect(() => make(value)).toThrow()
    })
})

test("every limit of the broker is a key, by its name", () => {
  expect(Object.keys(entriesOf(schemaAt(["limits"])!)!)).toEqual(Object.keys(limitDefinitions))
})

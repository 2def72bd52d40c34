/** What holds, as `manju check` prints it: TOML with where each value comes from, and without secrets. */
import { describe as about, expect, test } from "bun:test"
import { describe } from "../../src/config/describe.ts"
import { Random } from "../support/bytes.ts"
import { type Sources, valuesOf, withLoaded } from "../support/configuration.ts"
import { randomConfiguration } from "../support/random-configuration.ts"

function described(sources: Sources): Promise<string[]> {
  return withLoaded(sources, async (configuration, folder) => {
    return (await describe(configuration)).map((line) => line.replaceAll(`${folder}/`, "").replace(/ +#/, " #"))
  })
}

about("a value stands with where it comes from:", () => {
  const sources = {
    file: `data = "x.db"\n[limits]\nmaximumInflight = 5\n[[listeners]]\ntype = "tcp"\ntls = {\n cert = "c",\n key = "k" }`,
    environment: { MANJU_LIMITS_RECEIVE_MAXIMUM: "6", MANJU_AUTH: '{"allowAnonymous":true}' },
    flags: { "--tcp": 7, "--no-retain": undefined },
  }
  for (const line of [
    'data = "x.db" # manju.toml:1',
    "maximumInflight = 5 # manju.toml:3",
    "receiveMaximum = 6 # MANJU_LIMITS_RECEIVE_MAXIMUM",
    "allowAnonymous = true # MANJU_AUTH",
    "maximumTopicLevels = 128 # default",
    'type = "tcp" # manju.toml:5',
    'cert = "c" # manju.toml:7',
    "port = 7 # --tcp",
    "retainAvailable = false # --no-retain",
    'protocolLevels = ["3.1", "3.1.1", "5"] # default',
  ])
    test(line, async () => expect(await described(sources)).toContain(line))

  test("tables stand as in a file", async () => {
    const tables = (await described(sources)).filter((line) => line.startsWith("["))
    expect(tables).toEqual(["[limits]", "[auth]", "[admin]", "[[listeners]]", "[listeners.tls]", "[listeners.limits]"])
  })
})

test("what is printed is a file that says the same", async () => {
  for (let seed = 0; seed < 50; seed++) {
    const values = randomConfiguration(new Random(seed))
    const file = Bun.TOML.stringify(values)
    const again = (await withLoaded({ file }, describe)).join("\n")
    const [one, other] = [await valuesOf({ file }), await valuesOf({ file: again })]
    expect([seed, masked(other)]).toEqual([seed, masked(one)])
  }
})

/** Without what is not printed. */
function masked(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (name, each) => {
    const isSecret = ["token", "password", "passphrase", "secret", "headers"].includes(name)
    return isSecret ? "masked" : typeof each === "string" ? each.replace(/^(http.*\?).*/, "$1") : each
  })
}

about("secrets are not printed:", () => {
  const secrets: [what: string, file: string, line: string][] = [
    ["a token", 'admin.token = "a-token-that-is-secret"', 'token = "****************"'],
    ["a password", 'admin.password = "secret"', 'password = "****************"'],
    ["what tokens are signed with", 'auth.jwt.secret = "secret"', 'secret = "****************"'],
    [
      "headers, but for their names",
      'auth.http = { url = "http://x", headers = { authorization = "secret", "x y" = "secret" } }',
      'headers = { authorization = "****************", "x y" = "****************" }',
    ],
    ["what is asked in a URL", 'auth.http.url = "http://x/y?key=secret"', 'url = "http://x/y?****************"'],
    [
      "a passphrase",
      "[[listeners]]\ntype='tcp'\ntls = { cert = 'c', key = 'k', passphrase = 'secret' }",
      'passphrase = "****************"',
    ],
    [
      "a private key",
      "[[listeners]]\ntype='tcp'\ntls = { cert = 'c', key = '-----BEGIN PRIVATE KEY-----secret' }",
      'key = "****************"',
    ],
  ]
  for (const [what, file, line] of secrets)
    test(what, async () => {
      const lines = await described({ file })
      expect(lines.map((each) => each.replace(/ #.*/, ""))).toContain(line)
      expect(lines.join("\n").replaceAll(/^secret = /gm, "")).not.toContain("secret")
    })
})

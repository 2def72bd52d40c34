/** What is said of a mistake: where it is, what it takes, which key is near; of all mistakes at once, a line each. */
import { describe, expect, test } from "bun:test"
import { problemsOf } from "../support/configuration.ts"

const ADDRESSES = "a list of addresses and networks such as 10.0.0.0/8"
const TOKENS = "HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519"

describe("in the file: its name, the line, the key, and", () => {
  const table: [what: string, file: string, lines: string[]][] = [
    [
      "of an unknown key the nearest, and what that takes",
      "[limits]\nmaximumInflght = 5",
      [
        "manju.toml:2: limits.maximumInflght: there is no such key; limits.maximumInflight takes a whole number from 1 to 65535",
      ],
    ],
    [
      "of one that is written as others write it",
      "log_level = 'info'",
      ["manju.toml:1: log_level: there is no such key; logLevel takes one of debug, info, warn, error, silent"],
    ],
    [
      "of one that is in another table",
      "\nmaximumInflight = 5",
      [
        "manju.toml:2: maximumInflight: there is no such key; limits.maximumInflight takes a whole number from 1 to 65535",
      ],
    ],
    [
      "of one in a listener",
      "[[listeners]]\ntype = 'tcp'\n[[listeners]]\ntype = 'websocket'\nhotsname = 'x'",
      ["manju.toml:5: listeners[1].hotsname: there is no such key; listeners[1].hostname takes text that is not empty"],
    ],
    [
      "where none is near, those that there are",
      "[listeners]\n[admin]\nxyzzy = 1",
      [
        "manju.toml:1: listeners takes a list of tables, each with a type, not a table",
        "manju.toml:3: admin.xyzzy: there is no such key; there are token, user, password, metrics",
      ],
    ],
    [
      "of names that all objects have that they are none",
      "constructor = 1\n__proto__ = 2\n[auth.toString]",
      [
        "manju.toml:1: constructor: there is no such key; there are data, durability, validatePayloadFormat, logLevel, logFormat, logAreas, stopTimeoutSeconds, limits, auth, admin, listeners",
        "manju.toml:2: __proto__: there is no such key; listeners[0].proxy takes a table with trusted",
        "manju.toml:3: auth.toString: there is no such key; there are allowAnonymous, passwords, verificationsAtOnce, acl, jwt, http",
      ],
    ],
    [
      "of a wrong type what it takes",
      "data = 5\nvalidatePayloadFormat = 'yes'\nlogLevel = 'loud'\nauth = 1\n[limits]\nmaximumInflight = 'many'",
      [
        "manju.toml:1: data takes the name of a file, not 5",
        'manju.toml:2: validatePayloadFormat takes true or false, not "yes"',
        'manju.toml:3: logLevel takes one of debug, info, warn, error, silent, not "loud"',
        "manju.toml:4: auth takes a table with allowAnonymous, passwords, verificationsAtOnce, acl, jwt, http, not 1",
        'manju.toml:6: limits.maximumInflight takes a whole number from 1 to 65535, not "many"',
      ],
    ],
    [
      "of a number out of its range the range",
      "[limits]\nmaximumInflight = 0\nreceiveMaximum = 65536\nmaximumPacketBytes = 1e3\nmaximumTopicLevels = 1.5\nmaximumTopicBytes = nan",
      [
        "manju.toml:2: limits.maximumInflight takes a whole number from 1 to 65535, not 0",
        "manju.toml:3: limits.receiveMaximum takes a whole number from 1 to 65535, not 65536",
        "manju.toml:5: limits.maximumTopicLevels takes a whole number from 1 to 4096, not 1.5",
        "manju.toml:6: limits.maximumTopicBytes takes a whole number from 1 to 65535, not NaN",
      ],
    ],
    [
      "of lists, and what is in them, what they take",
      `[auth.jwt]\njwks = 'k'\nalgorithms = [\n  'none',\n]\nissuer = []\n[[listeners]]\ntype = 'tcp'\nproxy = { trusted = '10.0.0.1' }\nlimits = { protocolLevels = ['4'] }`,
      [
        `manju.toml:3: auth.jwt.algorithms takes a list of ${TOKENS}, not ["none"]`,
        "manju.toml:6: auth.jwt.issuer takes text, or a list of texts, not []",
        `manju.toml:9: listeners[0].proxy.trusted takes ${ADDRESSES}, not "10.0.0.1"`,
        'manju.toml:10: listeners[0].limits.protocolLevels takes a list of 3.1, 3.1.1 and 5, not ["4"]',
      ],
    ],
    [
      "of dates that they are none of it",
      "data = 2026-01-01",
      ["manju.toml:1: data takes the name of a file, not 2026-01-01"],
    ],
    [
      "of what is missing, which table it is missing in",
      "[[listeners]]\nport = 5\n[[listeners]]\ntype = 'unix'\n[[listeners]]\ntype = 'tcp'\n[listeners.tls]\ncert = 'x'",
      [
        "manju.toml:1: listeners[0].type is missing, which takes one of tcp, unix, websocket, http",
        "manju.toml:3: listeners[1].path is missing, which takes the name of a file",
        "manju.toml:7: listeners[2].tls.key is missing, which takes the name of a PEM file, or what is in it",
      ],
    ],
    [
      "of a type of listener which there are, and of a key which types have it",
      "[[listeners]]\ntype = 'tpc'\n[[listeners]]\ntype = 'tcp'\norigins = ['https://a.example']\n[[listeners]]\ntype = 'websocket'\nusernameFrom = 'commonName'\nmode = '600'",
      [
        'manju.toml:2: listeners[0].type takes one of tcp, unix, websocket, http, not "tpc"',
        "manju.toml:5: listeners[1].origins is for listeners of type websocket, not tcp",
        "manju.toml:8: listeners[2].usernameFrom is for listeners of type tcp, not websocket",
        "manju.toml:9: listeners[2].mode is for listeners of type unix, not websocket",
      ],
    ],
    [
      "of a key what it takes in a listener of that type",
      "[[listeners]]\ntype = 'websocket'\npath = 'mqtt'\n[[listeners]]\ntype = 'unix'\npath = ''\nmode = 0o660",
      [
        'manju.toml:3: listeners[0].path takes a path that begins with /, not "mqtt"',
        'manju.toml:6: listeners[1].path takes the name of a file, not ""',
        'manju.toml:7: listeners[1].mode takes an octal number as text, such as "660", not 432',
      ],
    ],
    [
      "of what is no table where one should be, that",
      "listeners = [{ type = 'tcp' },\n5]",
      ["manju.toml:2: listeners[1] takes a table with a type, one of tcp, unix, websocket, http, not 5"],
    ],
    [
      "of secrets not what they are",
      "[admin]\ntoken = 'a short one'\npassword = 5\n[auth.http]\nurl = 'http://x'\nheaders = { authorization = 7 }",
      [
        "manju.toml:2: admin.token takes at least 16 printable characters without spaces",
        "manju.toml:3: admin.password takes text that is not empty",
        "manju.toml:6: auth.http.headers takes a table of texts",
      ],
    ],
    [
      "of private keys nothing either",
      '[[listeners]]\ntype = "tcp"\ntls = { cert = "c", key = ["-----BEGIN PRIVATE KEY-----hush"] }\n[[listeners]]\ntype = "tcp"\nauth = ["hush"]',
      [
        "manju.toml:3: listeners[0].tls.key takes the name of a PEM file, or what is in it, not that",
        "manju.toml:6: listeners[1].auth takes a table with allowAnonymous, passwords, verificationsAtOnce, acl, jwt, http, not a list",
      ],
    ],
    [
      "of long values the beginning",
      `data = ["${"x".repeat(100)}"]`,
      [`manju.toml:1: data takes the name of a file, not ["${"x".repeat(58)}…`],
    ],
  ]
  for (const [what, file, lines] of table)
    test(what, async () => {
      expect(await problemsOf({ file })).toEqual(lines)
    })

  test("the line that it has, also in tables in one line, dotted keys and lists", async () => {
    const file = `# a comment
limits.maximumInflight = 0
auth = { jwt = { jwks = "k", requireExpiry = 5 } }

listeners = [
  { type = "tcp", port = 1 },
  { type = "websocket",
    port = "x" },
]`
    expect((await problemsOf({ file })).map((line) => line.split(" ", 2).join(" "))).toEqual([
      "manju.toml:2: limits.maximumInflight",
      "manju.toml:3: auth.jwt.requireExpiry",
      "manju.toml:8: listeners[1].port",
    ])
  })
})

describe("in the environment: the variable, and", () => {
  const table: [what: string, environment: Record<string, string>, lines: string[]][] = [
    [
      "of an unknown one the nearest",
      { MANJU_LIMITS_MAXIMUM_INFLIGT: "5", MANJU_LISTENERS_1_PRT: "5", MANJU_XYZZY: "" },
      [
        "MANJU_LIMITS_MAXIMUM_INFLIGT: there is no such variable; MANJU_LIMITS_MAXIMUM_INFLIGHT takes a whole number from 1 to 65535",
        "MANJU_LISTENERS_1_PRT: there is no such variable; MANJU_LISTENERS_1_PORT takes a whole number from 0 to 65535",
        "MANJU_XYZZY: there is no such variable",
      ],
    ],
    [
      "of a wrong value what it takes",
      {
        MANJU_LISTENERS_0_PORT: "1883x",
        MANJU_VALIDATE_PAYLOAD_FORMAT: "yes",
        MANJU_DATA: "",
        MANJU_LISTENERS_0_LIMITS_PROTOCOL_LEVELS: "5,6",
      },
      [
        'MANJU_LISTENERS_0_PORT takes a whole number from 0 to 65535, not "1883x"',
        'MANJU_VALIDATE_PAYLOAD_FORMAT takes true or false, not "yes"',
        'MANJU_DATA takes the name of a file, not ""',
        'MANJU_LISTENERS_0_LIMITS_PROTOCOL_LEVELS takes a list of 3.1, 3.1.1 and 5, not ["5","6"]',
      ],
    ],
    [
      "in JSON the key",
      {
        MANJU_LIMITS: '{"maximumInflght":5,"receiveMaximum":0}',
        MANJU_AUTH: "passwords=x",
        MANJU_LISTENERS: '[{"type":"tcp","port":-1},{}]',
      },
      [
        "MANJU_LIMITS (limits.maximumInflght): there is no such key; limits.maximumInflight takes a whole number from 1 to 65535",
        "MANJU_LIMITS (limits.receiveMaximum) takes a whole number from 1 to 65535, not 0",
        "MANJU_AUTH takes a table with allowAnonymous, passwords, verificationsAtOnce, acl, jwt, http, not text",
        "MANJU_LISTENERS (listeners[0].port) takes a whole number from 0 to 65535, not -1",
        "MANJU_LISTENERS: listeners[1].type is missing, which takes one of tcp, unix, websocket, http",
      ],
    ],
    [
      "of a listener that would leave a gap which is the next",
      { MANJU_LISTENERS_5_PORT: "1" },
      ["MANJU_LISTENERS_5_PORT: the next listener is MANJU_LISTENERS_3"],
    ],
    [
      "of what is no JSON not what it is, since a secret may be in it",
      { MANJU_ADMIN: '{"token":"hush', MANJU_LISTENERS: "[hush" },
      [
        "MANJU_ADMIN takes a table with token, user, password, metrics, not text",
        "MANJU_LISTENERS takes a list of tables, each with a type, not text",
      ],
    ],
    [
      "of secrets not what they are",
      { MANJU_ADMIN_TOKEN: "short", MANJU_AUTH_HTTP_HEADERS: "secret" },
      [
        "MANJU_ADMIN_TOKEN takes at least 16 printable characters without spaces",
        "MANJU_AUTH_HTTP_HEADERS takes a table of texts",
        "MANJU_AUTH_HTTP_HEADERS: auth.http.url is missing, which takes an address that begins with http:// or https://",
      ],
    ],
    [
      "of a file with a secret that it is not there, or that there is no secret in such a file",
      { MANJU_ADMIN_TOKEN_FILE: "/no/token", MANJU_DATA_FILE: "/x" },
      [
        "MANJU_ADMIN_TOKEN_FILE: /no/token: there is no such file",
        "MANJU_DATA_FILE: there is no such variable; MANJU_DATA takes the name of a file",
      ],
    ],
  ]
  for (const [what, environment, lines] of table)
    test(what, async () => {
      expect((await problemsOf({ environment })).sort()).toEqual(lines.sort())
    })
})

test("what is wrong in several places is said of all of them, the file in its order first", async () => {
  const file = "[limits]\nreceiveMaximum = 0\nmaximumInflght = 1"
  const environment = { MANJU_LIMITS_MAXIMUM_SESSIONS: "x" }
  expect(await problemsOf({ file, environment, flags: { "--mount-point": "a" } })).toEqual([
    "manju.toml:2: limits.receiveMaximum takes a whole number from 1 to 65535, not 0",
    "manju.toml:3: limits.maximumInflght: there is no such key; limits.maximumInflight takes a whole number from 1 to 65535",
    'MANJU_LIMITS_MAXIMUM_SESSIONS takes a whole number from 1 to 9007199254740991, not "x"',
    '--mount-point takes a topic prefix without wildcards that ends in /, not "a"',
  ])
})

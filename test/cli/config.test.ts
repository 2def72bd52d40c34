/** The configuration as a process has it: what `manju config` and `manju check` print, and a broker that is started from a file. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { version } from "../../package.json" with { type: "json" }
import { eventually, RawClient } from "../listeners/socket.ts"
import { BrokerProcess, temporaryFolder } from "../support/broker-process.ts"
import { Certificates } from "../support/certificates.ts"
import { manju, manjuWith } from "../support/command.ts"
import { makeDatabase } from "../support/database.ts"
import { cheapHash } from "../support/password-file.ts"
import { roundTrip } from "../support/round-trip.ts"
import { secret, sign } from "../support/tokens.ts"

setDefaultTimeout(60_000)

/** A folder of its own for each test, and files in it. */
class Files {
  private readonly folder = temporaryFolder()

  path(name: string): string {
    return join(this.folder.path, name)
  }

  /** Writes a file and tells where it is. */
  write(name: string, text: string): string {
    writeFileSync(this.path(name), text)
    return this.path(name)
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]()
  }
}

const inFuture = () => Math.floor(Date.now() / 1000) + 3600

describe("manju config", () => {
  test("example prints a file that can be used as it is", async () => {
    using files = new Files()
    const { code, out, err } = await manju("config", "example")
    expect([code, err]).toEqual([0, ""])
    const checked = await manju("check", "--config", files.write("manju.toml", out))
    expect([checked.code, checked.err]).toEqual([0, ""])
    expect(checked.out).toMatch(/^port = 1883 +# default$/m)
  })

  test("schema prints a JSON Schema", async () => {
    const { code, out, err } = await manju("config", "schema")
    expect([code, err]).toEqual([0, ""])
    expect(JSON.parse(out)).toMatchObject({
      $schema: "http://json-schema.org/draft-07/schema#",
      type: "object",
      additionalProperties: false,
    })
  })

  test("is told what to print", async () => {
    const { code, out } = await manju("config")
    expect([code, out]).toEqual([2, ""])
    expect((await manju("config", "exmaple")).err).toBe("manju: unknown command 'exmaple' (Did you mean example?)\n")
  })
})

describe("manju check", () => {
  test("without a word prints what holds without a word", async () => {
    const { code, out, err } = await manju("check")
    expect([code, err]).toEqual([0, ""])
    expect(out).toMatch(/^durability = "power" +# default\n/)
    expect(Bun.TOML.parse(out)).toHaveProperty("limits.maximumInflight", 1024)
  })

  test("prints what holds with the file, the variables and the flags of start, and where it comes from", async () => {
    using files = new Files()
    const path = files.write(
      "manju.toml",
      '[limits]\nmaximumInflight = 5\n[admin]\ntoken = "a-token-that-nobody-knows"\n',
    )
    const environment = { MANJU_CONFIG: path, MANJU_LISTENERS_1_PORT: "5" }
    const { code, out, err } = await manjuWith(environment, "check", "--tcp", "6")
    expect([code, err]).toEqual([0, ""])
    for (const [key, origin] of [
      ["maximumInflight = 5", `${path}:2`],
      ["port = 6", "--tcp"],
      ["port = 5", "MANJU_LISTENERS_1_PORT"],
      ["port = 8080", "default"],
    ]) {
      expect(out).toMatch(new RegExp(`^${key} +# ${origin}$`, "m"))
    }
    expect(out).not.toContain("nobody-knows")
  })

  test("says all that is wrong with it, a line each, and ends with 2", async () => {
    using files = new Files()
    const path = files.write("manju.toml", "logLevel = 'loud'\n[limits]\nmaximumInflght = 5\n")
    const lines = [
      `manju: ${path}:1: logLevel takes one of debug, info, warn, error, silent, not "loud"`,
      `manju: ${path}:3: limits.maximumInflght: there is no such key; limits.maximumInflight takes a whole number from 1 to 65535`,
      'manju: MANJU_LISTENERS_0_PORT takes a whole number from 0 to 65535, not "x"',
    ]
    const err = `${lines.join("\n")}\n`
    const environment = { MANJU_LISTENERS_0_PORT: "x" }
    expect(await manjuWith(environment, "check", "--config", path)).toEqual({ code: 2, out: "", err })
    expect(await manjuWith(environment, "start", "--config", path)).toEqual({ code: 2, out: "", err })
  })

  test("warns of what works and may not be meant", async () => {
    using files = new Files()
    files.write("acl.txt", "topic a\n")
    const path = files.write("manju.toml", 'auth.acl = "acl.txt"')
    const { code, err } = await manju("check", "--config", path)
    const warning = `${path}:1: auth.acl without auth.passwords: anybody can take any user's name`
    expect([code, err]).toEqual([0, `manju: warning: ${warning}\n`])
  })

  describe("looks at the files that are named, and says what would not work:", () => {
    const certificates = Certificates.forTests()
    const tls = (cert: string, key: string, more = "") =>
      `[[listeners]]\ntype = "tcp"\ntls = { cert = "${certificates.path(cert)}", key = "${certificates.path(key)}"${more} }`
    const table: [what: string, file: () => string, problem: string][] = [
      [
        "a password file that is not there",
        () => 'auth.passwords = "no.txt"',
        ":1: auth.passwords: DIR/no.txt: there is no such file",
      ],
      [
        "one that no listener goes by",
        () => 'auth.passwords = "no.txt"\n[[listeners]]\ntype = "tcp"\nauth.allowAnonymous = true',
        ":1: auth.passwords: DIR/no.txt: there is no such file",
      ],
      [
        "one with a bad line",
        () => 'auth.passwords = "bad.txt"',
        ":1: auth.passwords: DIR/bad.txt:1: no colon between a user name and a hash",
      ],
      [
        "access rules with a bad line",
        () => 'auth.acl = "bad.txt"\nauth.allowAnonymous = true',
        ":1: auth.acl: DIR/bad.txt:1: takes «user», «topic» or «pattern» at the beginning",
      ],
      ["keys of tokens that are none", () => '\nauth.jwt.jwks = "bad.txt"', ":2: auth.jwt: DIR/bad.txt: is not JSON"],
      [
        "a secret that is too short, which is not shown",
        () => 'auth.jwt.secret = "hush"',
        ':1: auth.jwt: jwt: "secret" takes at least 32 bytes, not 4',
      ],
      [
        "a web service with another address",
        () => 'auth.http.url = "ftp://x"',
        ':1: auth.http: http: "url" takes an address that begins with http:// or https://',
      ],
      [
        "a certificate that is not there",
        () => tls("no.crt", "server.key"),
        ":3: listeners[0].tls.cert: there is no file CERTIFICATES/no.crt",
      ],
      [
        "a key that is another's",
        () => tls("server.crt", "client.key"),
        ":3: listeners[0].tls.cert (CERTIFICATES/server.crt) and listeners[0].tls.key (CERTIFICATES/client.key) cannot be used together: the key is not the certificate's",
      ],
      [
        "a key that is encrypted",
        () => tls("server.crt", "encrypted.key"),
        ":3: listeners[0].tls.cert (CERTIFICATES/server.crt) and listeners[0].tls.key (CERTIFICATES/encrypted.key) cannot be used together: the key is encrypted, which takes tls.passphrase",
      ],
      [
        "origins that are none",
        () => "[[listeners]]\ntype = 'websocket'\norigins = ['a.example']",
        ':1: listeners[0]: origins are such as https://app.example.com, unlike "a.example"',
      ],
      [
        "networks that are none",
        () => "[[listeners]]\ntype = 'tcp'\nproxy.trusted = ['10.0.0.0/99']",
        ':1: listeners[0]: proxy.trusted takes addresses and networks such as 10.0.0.0/8, not "10.0.0.0/99"',
      ],
      [
        "a socket in a folder that is not there",
        () => "[[listeners]]\ntype = 'unix'\npath = 'no/s'",
        ":3: listeners[0].path: DIR/no/s: its folder is not there",
      ],
      [
        "a database in a folder that is not there",
        () => "data = 'no/x.db'",
        ":1: data: DIR/no/x.db: its folder is not there",
      ],
      [
        "a database that is none",
        () => "data = 'bad.txt'",
        ":1: data: DIR/bad.txt is not a database that can be read: file is not a database",
      ],
    ]
    for (const [what, file, problem] of table)
      test(what, async () => {
        using files = new Files()
        files.write("bad.txt", "this is neither a database nor a password\n")
        const path = files.write("manju.toml", file())
        const { code, out, err } = await manju("check", "--config", path)
        const said = err
          .replaceAll(`${files.path("x").slice(0, -2)}/`, "DIR/")
          .replaceAll(`${certificates.folder}/`, "CERTIFICATES/")
        expect([code, said]).toEqual([2, `manju: DIR/manju.toml${problem}\n`])
        expect(out).toContain("[[listeners]]")
        expect(out + err).not.toContain("hush")
      })

    test("and all of it at once", async () => {
      using files = new Files()
      const path = files.write(
        "manju.toml",
        `data = "no/x.db"\nauth.acl = "no.txt"\nauth.passwords = "no.txt"\n${tls("no.crt", "server.key")}\n`,
      )
      const { code, err } = await manju("check", "--config", path)
      expect(code).toBe(2)
      expect(Array.from(err.matchAll(/manju\.toml:(\d+)/g), ([, line]) => Number(line))).toEqual([1, 2, 3, 6])
    })
  })

  test("with --data as well says what the database holds, too", async () => {
    using files = new Files()
    const data = files.path("manju.db")
    makeDatabase(data, 1)
    const path = files.write("manju.toml", 'logLevel = "warn"\n')
    const { code, out } = await manju("check", "--config", path, "--data", data)
    expect(code).toBe(0)
    expect(out).toMatch(/^logLevel = "warn" +# \S+:1$/m)
    expect(out).toMatch(new RegExp(`^data = "${data}" +# --data$`, "m"))
    expect(out).toContain(`${data} can be read. It holds:\n           4 sessions\n`)
  })
})

describe("manju --config", () => {
  const certificates = Certificates.forTests()
  let files: Files
  let broker: BrokerProcess
  const ca = () => ({ ca: certificates.text("ca") })
  const ada = { username: "ada", password: "her password" }

  beforeAll(async () => {
    files = new Files()
    mkdirSync(files.path("etc"))
    files.write("etc/users.txt", `ada:${await cheapHash("her password")}\n`)
    files.write("etc/acl.txt", "user ada\ntopic readwrite a/#\n")
    const { cert, key } = certificates.files("server")
    await Bun.write(files.path("etc/server.crt"), Bun.file(cert))
    await Bun.write(files.path("etc/server.key"), Bun.file(key))
    files.write("etc/manju.toml", configuration())
    broker = await BrokerProcess.run("--config", files.path("etc/manju.toml"))
  })

  afterAll(async () => {
    await broker?.kill()
    files?.[Symbol.dispose]()
  })

  const configuration = (more = "") => `
${more}
[auth]
passwords = "users.txt"
acl = "acl.txt"

[admin]
token = "a-token-that-nobody-knows"

[[listeners]]
id = "outside"
type = "tcp"
port = 0
tls = { cert = "server.crt", key = "server.key" }

[[listeners]]
id = "inside"
type = "unix"
path = "manju.sock"
mode = "600"
auth = { allowAnonymous = true }

[[listeners]]
id = "tokens"
type = "websocket"
port = 0
path = "/mqtt"
auth.jwt.secret = "${secret}"
limits = { mountPoint = "web/" }

[[listeners]]
id = "operator"
type = "http"
port = 0
websocket = { path = "/more" }
`

  test("listens wherever it says, for whom it says, with files relative to it", async () => {
    const [line] = broker.said.split("\n")
    const places = line!.replaceAll(/:\d+/g, ":PORT").replaceAll(files.path("etc"), "etc")
    expect(places).toBe(
      `manju ${version} listens on mqtts://127.0.0.1:PORT, ws://127.0.0.1:PORT for users and etc/manju.sock for everybody and ws://127.0.0.1:PORT for holders of a token; dashboard at http://127.0.0.1:PORT/; sessions are kept in memory`,
    )
  })

  test("lets users in over TLS, to do what the rules allow", async () => {
    const url = `mqtts://localhost:${broker.portOf("mqtts")}`
    expect(await roundTrip(url, { ...ca(), ...ada }, "a/b")).toBe("hello")
    expect(await roundTrip(url, { ...ca(), ...ada }, "b")).toContain("Not authorized")
    expect(await roundTrip(url, { ...ca(), ...ada, password: "guess" }, "a/b")).toBe("code 134")
  })

  test("lets everybody in at the socket, whose auth is its own", async () => {
    expect(await roundTrip(files.path("etc/manju.sock"), {}, "anything")).toBe("hello")
  })

  test("lets tokens in at the WebSocket, at its path and below its prefix", async () => {
    const [, port] = /ws:\/\/127\.0\.0\.1:(\d+) for holders/.exec(broker.said)!
    const claims = { sub: "eve", publish: ["#"], subscribe: ["#"], exp: inFuture() }
    const token = await sign(claims, "HS256", secret)
    expect(await roundTrip(`ws://127.0.0.1:${port}/mqtt`, { username: "eve", password: token }, "c")).toBe("hello")
    expect(await roundTrip(`ws://127.0.0.1:${port}/mqtt`, ada, "a/b")).toBe("code 134")
  })

  test("has MQTT beside the operator's pages, which take the token", async () => {
    const port = broker.portOf("http")
    expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200)
    expect((await fetch(`http://127.0.0.1:${port}/metrics`)).status).toBe(401)
    const headers = { authorization: "Bearer a-token-that-nobody-knows" }
    expect((await fetch(`http://127.0.0.1:${port}/metrics`, { headers })).status).toBe(200)
    expect(await roundTrip(`ws://127.0.0.1:${port}/more`, ada, "a/b")).toBe("hello")
  })

  test("reads the files that are named again on SIGHUP: passwords, rules, certificates", async () => {
    files.write("etc/users.txt", `ada:${await cheapHash("another")}\n`)
    files.write("etc/acl.txt", "user ada\ntopic readwrite b/#\n")
    const { cert, key } = certificates.files("renewed")
    await Bun.write(files.path("etc/server.crt"), Bun.file(cert))
    await Bun.write(files.path("etc/server.key"), Bun.file(key))
    broker.signal("SIGHUP")
    for (const said of [
      "users.txt: read again",
      "acl.txt: read again",
      "outside: new connections get the new certificate",
    ]) {
      await eventually(() => broker.logged.includes(said), said)
    }
    const url = `mqtts://localhost:${broker.portOf("mqtts")}`
    expect(await roundTrip(url, { ...ca(), ...ada }, "b")).toBe("code 134")
    expect(await roundTrip(url, { ...ca(), username: "ada", password: "another" }, "b/c")).toBe("hello")
  })

  test("reads itself again on SIGHUP: limits and the log's level hold, and what takes a restart is named", async () => {
    const { length } = broker.logged
    const more = "logLevel = 'debug'\nlimits.maximumPublishRate = 7\nlimits.receiveMaximum = 8\ndata = 'x.db'\n"
    files.write("etc/manju.toml", configuration(more))
    broker.signal("SIGHUP")
    const path = files.path("etc/manju.toml")
    await eventually(() => broker.logged.includes(`${path}: takes a restart`), "the report")
    const lines = broker.logged.slice(length).split("\n")
    const said = lines.filter((line) => line.includes(path)).map((line) => line.replace(/^\S+ /, ""))
    expect(said.slice(0, 2)).toEqual([
      `${path}: read again; now another: limits.maximumPublishRate, logLevel`,
      `warn: ${path}: takes a restart: limits.receiveMaximum, data`,
    ])
  })

  test("stays as it was where it is bad", async () => {
    files.write("etc/manju.toml", configuration("limits.maximumPublishRate = -1\nxyz = 1"))
    broker.signal("SIGHUP")
    const path = files.path("etc/manju.toml")
    await eventually(
      () => broker.logged.includes(`error: ${path}: what it said before stays in force\n`),
      "the complaint",
    )
    expect(broker.logged).toContain(`error: ${path}:2: limits.maximumPublishRate takes a whole number from 0`)
    expect(broker.logged).toContain(`error: ${path}:3: xyz: there is no such key`)
    expect(await roundTrip(files.path("etc/manju.sock"))).toBe("hello")
    expect(broker.logged).not.toContain("nobody-knows")
  })

  test("is read again by itself when it has changed", async () => {
    const { length } = broker.logged
    files.write("etc/manju.toml", configuration("limits.maximumPublishRate = 9\n"))
    const said = `${files.path("etc/manju.toml")}: read again`
    await eventually(
      () => broker.logged.slice(length).includes(`${said}; now another: limits.maximumPublishRate`),
      said,
    )
  })
})

describe("variables", () => {
  test("make a broker what a file would make it", async () => {
    const environment = {
      MANJU_LISTENERS: '[{"type":"tcp","port":0}]',
      MANJU_LISTENERS_0_LIMITS_MAXIMUM_QOS: "1",
      MANJU_LIMITS_RECEIVE_MAXIMUM: "7",
    }
    await using broker = await BrokerProcess.runWith(environment, "start", "--maximum-packet-bytes", "500")
    const client = await RawClient.open(broker.port)
    client.sendConnect("client")
    expect((await client.next("connack")).properties).toMatchObject({
      maximumQoS: 1,
      receiveMaximum: 7,
      maximumPacketSize: 500,
    })
  })
})

test("a port that is in use is told with the key that takes another", async () => {
  using files = new Files()
  using other = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } })
  const path = files.write("manju.toml", `[[listeners]]\ntype = "tcp"\nport = ${other.port}`)
  const { code, err } = await manju("--config", path, "--log-format", "human")
  const begin = `manju: listeners[0]: cannot listen on 127.0.0.1:${other.port}: the port is in use; `
  expect([code, err]).toEqual([1, `${begin}listeners[0].port takes another port\n`])
})

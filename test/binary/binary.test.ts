/**
 * What `bun run build` makes, on a machine that has nothing else: no Bun, no node_modules, a root that cannot be written but for /data.
 * That of arm64 runs under qemu, an order of magnitude slower.
 */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { cpSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { CryptoHasher } from "bun"
import { jsonSchema } from "../../src/config/json-schema.ts"
import { version } from "../../src/version.ts"
import { build, Machine, obstacle } from "../support/binary.ts"
import { BrokerProcess, temporaryFolder } from "../support/broker-process.ts"
import { Certificates } from "../support/certificates.ts"
import { LineProcess } from "../support/line-process.ts"
import { connect, endClients } from "../support/mqttjs.ts"
import { run } from "../support/package.ts"
import { roundTrip } from "../support/round-trip.ts"

setDefaultTimeout(120_000)

const targets = ["linux-x64", "linux-arm64"] as const
/** What this machine runs without an emulator. */
const native = process.arch === "arm64" ? "linux-arm64" : "linux-x64"
const why = obstacle()
const certificates = Certificates.forTests()
let made: Awaited<ReturnType<typeof build>>

beforeAll(async () => {
  made = await build(...targets)
})
afterAll(() => made?.[Symbol.dispose]())
afterEach(endClients)

const pathOf = (target: string) => join(made.path, `manju-${target}`)

/** Everything that listens, and a file to keep things in. */
const configuration = `
  data = "manju.db"
  [[listeners]]
  type = "tcp"
  port = 0
  [[listeners]]
  type = "websocket"
  port = 0
  [[listeners]]
  type = "tcp"
  port = 0
  tls = { cert = "server.crt", key = "server.key" }
  [[listeners]]
  type = "websocket"
  port = 0
  tls = { cert = "server.crt", key = "server.key" }
  [[listeners]]
  type = "http"
  port = 0
`

test("a machine with nothing on it can be had here", () => expect(why).toBeUndefined())

for (const target of targets) {
  describe.if(why === undefined)(target, () => {
    let machine: Machine
    let broker: BrokerProcess

    const start = () => BrokerProcess.of(machine.command("--config", "/data/manju.toml"))

    beforeAll(async () => {
      machine = new Machine(pathOf(target))
      for (const name of ["server.crt", "server.key"]) cpSync(certificates.path(name), join(machine.data, name))
      await Bun.write(join(machine.data, "manju.toml"), configuration)
      broker = await start()
    })
    afterAll(async () => {
      await broker?.kill()
      machine?.[Symbol.dispose]()
    })

    test("--version says what it has been made of, and what it is for", async () => {
      const { code, out, err } = await machine.manju("--version")
      expect({ code, err }).toEqual({ code: 0, err: "" })
      expect(out).toMatch(new RegExp(`^${RegExp.escape(version)} \\(([0-9a-f]{12}(-dirty)?|unknown), ${target}\\)\\n$`))
    })

    for (const scheme of ["mqtt", "ws"] as const)
      test(`messages of QoS 0, 1 and 2 go round over ${scheme}`, async () => {
        for (const level of [4, 5] as const) {
          const { client, inbox } = await connect(broker.portOf(scheme), level, { protocol: scheme })
          for (const qos of [0, 1, 2] as const) {
            await client.subscribeAsync(`round/${qos}`, { qos })
            await client.publishAsync(`round/${qos}`, "hello", { qos })
            expect(await inbox.next()).toMatchObject({ topic: `round/${qos}`, payload: Buffer.from("hello"), qos })
          }
        }
      })

    for (const scheme of ["mqtts", "wss"] as const)
      test(`and over TLS, ${scheme}`, async () => {
        const options = { ca: certificates.text("ca") }
        expect(await roundTrip(`${scheme}://localhost:${broker.portOf(scheme)}`, options)).toBe("hello")
      })

    test("the dashboard is served, and the figures name the build", async () => {
      const url = `http://127.0.0.1:${broker.portOf("http")}`
      const page = await fetch(url)
      expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html;charset=utf-8"])
      expect(await page.text()).toContain("dashboard.js")
      for (const name of ["dashboard.js", "dashboard.css"]) {
        const { status, headers } = await fetch(`${url}/${name}`)
        expect([name, status, Number(headers.get("content-length")) > 1000]).toEqual([name, 200, true])
      }
      const metrics = await (await fetch(`${url}/metrics`)).text()
      expect(metrics).toMatch(
        new RegExp(`^manju_build_info\\{version="${RegExp.escape(version)}",.*target="${target}"\\} 1$`, "m"),
      )
      const { openapi, info } = (await (await fetch(`${url}/api/v1/openapi.json`)).json()) as Record<string, unknown>
      expect({ openapi, info }).toMatchObject({ openapi: "3.1.0", info: { version } })
    })

    test("with --data a kill -9 takes nothing that was acknowledged", async () => {
      const lasting = { clientId: "lasting", clean: false, properties: { sessionExpiryInterval: 3600 } }
      const { client } = await connect(broker.port, 5, lasting)
      await client.subscribeAsync("kept/#", { qos: 2 })
      client.end(true)
      const { client: sender } = await connect(broker.port, 5)
      for (const qos of [1, 2] as const)
        await sender.publishAsync(`kept/${qos}`, `of QoS ${qos}`, { qos, retain: true })
      await broker.kill()
      broker = await start()
      const { inbox, connack } = await connect(broker.port, 5, lasting)
      expect(connack.sessionPresent).toBe(true)
      expect(await inbox.take(2)).toEqual(["kept/1 of QoS 1", "kept/2 of QoS 2"])
      const { client: other, inbox: retained } = await connect(broker.port, 4)
      await other.subscribeAsync("kept/+")
      expect((await retained.take(2)).sort()).toEqual(["kept/1 of QoS 1", "kept/2 of QoS 2"])
    })

    test("nothing but /data can be written", async () => {
      const { code, err } = await machine.manju("backup", "--data", "/data/manju.db", "--to", "/copy.db")
      expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining("EROFS") })
    })
  })
}

describe.if(why === undefined)(`the commands, ${native}`, () => {
  let machine: Machine
  let broker: BrokerProcess
  beforeAll(async () => {
    machine = new Machine(pathOf(native))
    broker = await BrokerProcess.of(machine.command("--data", "/data/manju.db", "--tcp", "0", "--no-ws", "--http", "0"))
  })
  afterAll(async () => {
    await broker?.kill()
    machine?.[Symbol.dispose]()
  })

  test("config prints the schema and an example, and check takes that", async () => {
    expect(await machine.manju("config", "schema")).toEqual({ code: 0, out: `${jsonSchema().trimEnd()}\n`, err: "" })
    const { out: example } = await machine.manju("config", "example")
    await Bun.write(join(machine.data, "example.toml"), example)
    const { code, out, err } = await machine.manju("check", "--config", "/data/example.toml")
    expect({ code, err, out }).toEqual({ code: 0, err: "", out: expect.stringContaining("maximumPacketBytes") })
  })

  test("pub and sub, with a broker that keeps what they send", async () => {
    const at = ["-h", "127.0.0.1", "-p", String(broker.port)] // nobody there knows of localhost
    await using subscriber = new LineProcess(machine.command("sub", ...at, "-t", "#", "-v", "-q", "2"))
    const published = () => machine.manju("pub", ...at, "-t", "a/b", "-m", "hello", "-q", "2", "-r")
    expect(await published()).toEqual({ code: 0, out: "", err: "" })
    expect(await subscriber.line()).toBe("a/b hello")
  })

  test("backup and check of a database in use", async () => {
    const copied = await machine.manju("backup", "--data", "/data/manju.db", "--to", "/data/copy.db")
    expect(copied).toEqual({ code: 0, out: "/data/manju.db copied to /data/copy.db\n", err: "" })
    const { out } = await machine.manju("check", "--data", "/data/copy.db")
    expect(out).toContain("1 retained message\n")
  })

  test("passwd, and who it lets in", async () => {
    expect(
      await machine.manju("passwd", "add", "/data/users.txt", "ada", "--visible-password", "engine"),
    ).toMatchObject({
      code: 0,
    })
    const flags = ["--passwords", "/data/users.txt", "--tcp", "0", "--no-ws", "--no-http"]
    await using closed = await BrokerProcess.of(machine.command(...flags))
    const url = `mqtt://127.0.0.1:${closed.port}`
    expect(await roundTrip(url, { username: "ada", password: "engine" })).toBe("hello")
    expect(await roundTrip(url, { username: "ada", password: "wrong" })).toBe("code 134")
  })

  test("import of Mosquitto's configuration", async () => {
    await Bun.write(join(machine.data, "mosquitto.conf"), "listener 1884 127.0.0.1\nallow_anonymous true\nmax_qos 1\n")
    const imported = await machine.manju(
      "import",
      "mosquitto",
      "/data/mosquitto.conf",
      "--output",
      "/data/imported.toml",
    )
    expect(imported.code).toBe(0)
    const { code, out } = await machine.manju("check", "--config", "/data/imported.toml")
    expect({ code, out }).toEqual({ code: 0, out: expect.stringMatching(/port.*1884/) })
  })

  test("top, explain and health ask the broker over HTTP", async () => {
    const url = ["--url", `http://127.0.0.1:${broker.portOf("http")}`]
    const { out } = await machine.manju("top", ...url, "--once", "--json")
    expect(JSON.parse(out)).toMatchObject({ figures: { store: { isReady: true } } })
    expect((await machine.manju("explain", ...url, "--client", "nobody", "--topic", "a/b")).out).toContain("nobody")
    expect((await machine.manju("health", ...url)).code).toBe(0)
  })
})

test("whatever lies in the folder that it is started in, it does the same", async () => {
  using folder = temporaryFolder()
  const binary = pathOf(native)
  const command = [binary, "check"]
  const before = await run(folder.path, command)
  const evil = 'require("node:fs").writeFileSync("ran", ""); process.exit(7)'
  const files = {
    ".env": "MANJU_MAXIMUM_QOS=0\nMANJU_LIMITS_MAXIMUM_INFLIGHT=7\nNODE_OPTIONS=--require=./evil.js\n",
    ".env.production": "MANJU_LIMITS_MAXIMUM_INFLIGHT=8\n",
    "bunfig.toml": 'preload = ["./evil.js"]\nsmol = true\n[run]\npreload = ["./evil.js"]\n',
    "evil.js": evil,
    "tsconfig.json": '{ "compilerOptions": { "paths": { "*": ["./evil.js"] } } }',
    "package.json": '{ "type": "commonjs", "imports": { "#*": "./evil.js" }, "main": "./evil.js" }',
    "index.ts": evil,
    ...Object.fromEntries(
      ["picocolors", "commander", "valibot", "mqtt", "drizzle-orm"].map((name) => [
        `node_modules/${name}/index.js`,
        evil,
      ]),
    ),
  }
  for (const [name, text] of Object.entries(files)) await Bun.write(join(folder.path, name), text)
  expect(before).toMatchObject({ code: 0, err: "" })
  expect(await run(folder.path, command)).toEqual(before)
  await using broker = new LineProcess(["env", "-C", folder.path, binary, "--tcp", "0", "--no-ws", "--no-http"])
  expect(await broker.line()).toStartWith(`manju ${version} listens on`)
  expect(readdirSync(folder.path)).not.toContain("ran")
})

test("two builds of one commit are the same, byte for byte, and as their checksums say", async () => {
  using again = await build(native)
  const sha256 = new CryptoHasher("sha256").update(await Bun.file(pathOf(native)).arrayBuffer()).digest("hex")
  expect(await Bun.file(join(again.path, "SHA256SUMS")).text()).toBe(`${sha256}  manju-${native}\n`)
  const checked = await run(again.path, ["sha256sum", "--check", "--strict", "SHA256SUMS"])
  expect(checked).toEqual({ code: 0, out: `manju-${native}: OK\n`, err: "" })
})

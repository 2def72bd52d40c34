/** What the command writes on standard error: as a process, into a pipe or at a terminal. */
import { describe, expect, setDefaultTimeout, test } from "bun:test"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { eventually, RawClient } from "../listeners/socket.ts"
import { BrokerProcess, temporaryFolder } from "../support/broker-process.ts"
import { manjuCommand, plain } from "../support/command.ts"
import { Terminal } from "../support/terminal.ts"

setDefaultTimeout(60_000)

/** Runs a command that fails, with standard output and standard error at a terminal or not; what standard error got. */
async function complaint(isTerminal: boolean, env: Record<string, string>): Promise<string> {
  let shown = ""
  const data = (_: unknown, bytes: Uint8Array) => void (shown += new TextDecoder().decode(bytes))
  await using terminal = new Bun.Terminal({ data })
  const { NO_COLOR: _, ...without } = plain
  const streams = isTerminal ? { terminal } : ({ stdout: "ignore", stderr: "pipe" } as const)
  const child = Bun.spawn(manjuCommand("frob"), { env: { ...without, TERM: "xterm", ...env }, ...streams })
  if (!isTerminal) return new Response(child.stderr as ReadableStream).text()
  await child.exited
  await eventually(() => shown.endsWith("\n"), "a line at the terminal")
  return shown.replaceAll("\r", "")
}

const line = "manju: unknown command 'frob'"
const red = `\u001b[31m${line}\u001b[39m\n`

describe("colour goes by standard error itself", () => {
  test("at a terminal, and nothing around it", async () => {
    expect(await complaint(true, {})).toBe(red)
    expect(await complaint(true, { NO_COLOR: "1" })).toBe(`${line}\n`)
    expect(await complaint(true, { TERM: "dumb" })).toBe(`${line}\n`)
  })

  test("not into a file, unless asked for", async () => {
    expect(await complaint(false, {})).toBe(`${line}\n`)
    expect(await complaint(false, { FORCE_COLOR: "1" })).toBe(red)
  })
})

test("what is said last is read to its end, however late its reader comes", async () => {
  const script = `import { complain } from ${JSON.stringify(join(import.meta.dir, "../../src/cli/stderr.ts"))}
    complain("x".repeat(300_000))
    process.exit(0)`
  const command = ["sh", "-c", '"$0" -e "$1" 2>&1 | (sleep 0.5; wc -c)', process.execPath, script]
  expect((await Bun.spawn(command, { stdout: "pipe" }).stdout.text()).trim()).toBe("300001")
})

test("a line has its time, and says that it is UTC", async () => {
  await using broker = await BrokerProcess.start()
  const before = new Date().toISOString()
  ;(await RawClient.connect(broker.port, "visitor")).destroy()
  await eventually(() => broker.logged.includes("connected visitor"), "the line")
  const [, time] = broker.logged.match(/^(\d\d:\d\d:\d\d\.\d{3}Z) connected visitor/m)!
  const logged = Date.parse(`${before.slice(0, 11)}${time}`)
  const DAY_MS = 86_400_000
  expect((logged - Date.parse(before) + DAY_MS) % DAY_MS).toBeLessThan(60_000)
})

test("a client cannot write lines of its own, nor to the terminal", async () => {
  await using broker = await BrokerProcess.start()
  ;(
    await RawClient.connect(broker.port, "a\n12:00:00.000Z error: \u001b[31mfire\r\u0085\u202e\u2028\n    at home")
  ).destroy()
  await eventually(() => broker.logged.includes("fire"), "the line")
  expect(broker.logged).toContain(
    " connected a\\x0a12:00:00.000Z error: \\x1b[31mfire\\x0d\\x85\\u{202e}\\u{2028}\n    at home (127.0.0.1)",
  )
})

/** What a broker has logged, each line an object: fails for what is none. */
function objectsOf({ logged }: BrokerProcess): Record<string, unknown>[] {
  return logged
    .trim()
    .split("\n")
    .map((text) => JSON.parse(text))
}

/** Nothing says in which form, but where standard error goes. */
const unsaid = { MANJU_LOG_FORMAT: "auto" }

describe("a log that a program reads", () => {
  test("is JSON and nothing else: of each line its time, its level, the message as it is, and who and why", async () => {
    await using broker = await BrokerProcess.runWith(unsaid, "start", "--tcp", "0", "--no-ws", "--no-http")
    const { port } = broker
    ;(await RawClient.connect(port, 'visitor "\\n"', 5, { username: "ada" })).destroy()
    await eventually(() => broker.logged.includes("disconnected visitor"), "the line")
    broker.signal("SIGTERM")
    expect(await broker.ended()).toBe(0)
    const [begin, connected, disconnected, end] = objectsOf(broker)
    const about = { clientId: 'visitor "\\n"', username: "ada", remoteAddress: "127.0.0.1", listener: "tcp:0" }
    const name = 'visitor "\\n", user ada (127.0.0.1)'
    const time = expect.any(String)
    expect(begin).toEqual({ time, level: "info", message: broker.said.split("\n")[0], area: "broker" })
    const message = `connected ${name} on tcp:0: MQTT 5.0`
    expect(connected).toEqual({ time, level: "info", message, area: "client", ...about })
    expect(new Date(connected!.time as string).toISOString()).toBe(connected!.time as string)
    expect(disconnected).toMatchObject({ message: `disconnected ${name}: without a DISCONNECT`, ...about })
    expect(end).toEqual({ time, level: "info", message: expect.stringContaining("stopping"), area: "broker" })
  })

  test("is for people where somebody says so", async () => {
    await using broker = await BrokerProcess.start("--log-format", "human")
    ;(await RawClient.connect(broker.port, "visitor")).destroy()
    await eventually(() => /Z connected visitor/.test(broker.logged), "the line")
  })
})

describe("a log at a terminal", () => {
  const flags = ["start", "--tcp", "0", "--no-ws", "--no-http"]
  const portOf = (shown: string) => Number(/mqtt:\/\/127\.0\.0\.1:(\d+)/.exec(shown)![1])

  test("is for people", async () => {
    using terminal = new Terminal()
    terminal.run(manjuCommand(...flags))
    await terminal.shows("try it")
    ;(await RawClient.connect(portOf(terminal.shown), "visitor")).destroy()
    await terminal.shows("disconnected visitor")
    process.kill(terminal.pid)
    expect(terminal.shown).toMatch(/^\d\d:\d\d:\d\d\.\d{3}Z connected visitor \(127\.0\.0\.1\) on/m)
    expect(terminal.shown).not.toContain("{")
  })

  test("is JSON where somebody says so", async () => {
    using terminal = new Terminal()
    terminal.run(manjuCommand(...flags, "--log-format", "json"))
    await terminal.shows('"message":"manju ')
    process.kill(terminal.pid)
  })
})

describe("levels of areas", () => {
  /** Somebody comes, subscribes to what is no filter, and goes. */
  async function visit({ port }: BrokerProcess): Promise<void> {
    const visitor = await RawClient.connect(port, "visitor")
    await visitor.subscribe("no/#/filter").catch(() => {})
    visitor.destroy()
  }

  test("are given behind the level of all", async () => {
    await using broker = await BrokerProcess.start("--log-level", "warn,message=info")
    await visit(broker)
    await eventually(() => broker.logged.includes("no/#/filter"), "the line")
    expect(broker.logged).not.toContain("connected")
  })

  test("change with the file, and over HTTP, while the broker runs; the log says so", async () => {
    using folder = temporaryFolder()
    const path = join(folder.path, "manju.toml")
    writeFileSync(path, 'logLevel = "warn"\n')
    await using broker = await BrokerProcess.start("--config", path, "--http", "0")
    const { body } = await asked(broker, "GET")
    expect(body).toEqual({ level: "warn", areas: {} })
    writeFileSync(path, 'logLevel = "warn"\n[logAreas]\nmessage = "info"\nbroker = "info"\n')
    broker.signal("SIGHUP")
    await eventually(() => broker.logged.includes("now another: logAreas.message, logAreas.broker"), "the reload")
    await visit(broker)
    await eventually(() => broker.logged.includes("no/#/filter"), "the line")
    expect(broker.logged).not.toContain("connected")
    const levels = { level: "error", areas: { client: "info", broker: "info" } }
    expect((await asked(broker, "PUT", levels)).status).toBe(204)
    const before = broker.logged.length
    await visit(broker)
    await eventually(() => broker.logged.includes("disconnected visitor"), "the line")
    expect(broker.logged.slice(before)).not.toContain("no/#/filter")
    broker.signal("SIGHUP") // the file says what it said
    await eventually(() => broker.logged.slice(before).includes(`${path}: read again\n`), "the reload")
    expect((await asked(broker, "GET")).body).toEqual(levels)
  })

  async function asked(broker: BrokerProcess, method: string, json?: object) {
    const url = `http://127.0.0.1:${broker.portOf("http")}/api/v1/log-level`
    const headers = { "content-type": "application/json" }
    const response = await fetch(url, { method, ...(json && { headers, body: JSON.stringify(json) }) })
    return { status: response.status, body: response.status === 200 ? await response.json() : undefined }
  }
})

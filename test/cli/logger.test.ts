/** What the command writes on standard error: as a process, into a pipe or at a terminal. */
import { describe, expect, setDefaultTimeout, test } from "bun:test"
import { join } from "node:path"
import { eventually, RawClient } from "../listeners/socket.ts"
import { BrokerProcess } from "../support/broker-process.ts"
import { manjuCommand, plain } from "../support/command.ts"

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

test("with --log-format json a line is an object: its time, its level and the message as it is", async () => {
  await using broker = await BrokerProcess.start("--log-format", "json")
  ;(await RawClient.connect(broker.port, 'visitor "\\n"')).destroy()
  await eventually(() => broker.logged.includes("connected visitor"), "the line")
  const lines = broker.logged
    .trim()
    .split("\n")
    .map((text) => JSON.parse(text))
  const [connected] = lines.filter(({ message }) => message.startsWith("connected"))
  expect(connected).toEqual({
    time: expect.any(String),
    level: "info",
    message: expect.stringContaining('visitor "\\n" ('),
  })
  expect(new Date(connected.time).toISOString()).toBe(connected.time)
})

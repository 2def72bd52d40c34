/** The command as a process: what it says, how it ends. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test"
import { join } from "node:path"
import { version } from "../package.json" with { type: "json" }
import { Reason } from "../src/codec/index.ts"
import { allowAll, Broker, tcp } from "../src/index.ts"
import { RawClient } from "./listeners/socket.ts"

setDefaultTimeout(60_000)

const cli = join(import.meta.dir, "../src/cli.ts")

function spawn(args: string[]) {
  const environment = { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined }
  return Bun.spawn([process.execPath, cli, ...args], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: environment,
  })
}

/** Runs the command to its end. */
async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(args)
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])
  return { code, out, err }
}

const running: ReturnType<typeof spawn>[] = []

/** Starts a broker, and waits for its two lines. */
async function start(...args: string[]) {
  const child = spawn(["--tcp", "0", "--no-ws", "--no-http", ...args])
  running.push(child)
  const logged = child.stderr.text()
  let out = ""
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    out += chunk
    if (out.split("\n").length > 2) break
  }
  const port = Number(out.match(/mqtt:\/\/[^ ]+:(\d+)/)?.[1])
  return { child, port, out, logged }
}

afterEach(async () => {
  for (const child of running.splice(0)) {
    child.kill("SIGKILL")
    await child.exited
  }
})

describe("manju --help, --version", () => {
  for (const args of [["--help"], ["-h"], ["start", "--help"], ["help", "start"]])
    test(`${args.join(" ")} explains, with examples, and ends with 0`, async () => {
      const { code, out, err } = await run(...args)
      expect([code, err]).toEqual([0, ""])
      for (const part of ["Usage: manju", "Examples:", "--allow-anonymous", "Exit codes:"]) expect(out).toContain(part)
    })

  test("manju start --help names every limit with its default", async () => {
    const { out } = await run("start", "--help")
    for (const part of [
      "--maximum-packet-bytes",
      "(default: 2097152)",
      "--maximum-qos",
      "--no-retain",
      "--log-level",
    ]) {
      expect(out).toContain(part)
    }
  })

  for (const flag of ["--version", "-V"])
    test(`${flag} says which`, async () => {
      expect(await run(flag)).toEqual({ code: 0, out: `${version}\n`, err: "" })
    })
})

describe("a mistake is one line, without a stack, and exit code 2", () => {
  const table: [args: string, message: string][] = [
    ["frob", "unknown command 'frob'"],
    ["start frob", "start takes no 'frob'"],
    ["--frob", "unknown option '--frob'"],
    ["--tpc 1884", "unknown option '--tpc' (Did you mean --tcp?)"],
    ["--tcp", "option '--tcp <port>' argument missing"],
    ["--tcp 65536", "option '--tcp <port>' argument '65536' is invalid. It takes a whole number from 0 to 65535."],
    ["--tcp abc", "option '--tcp <port>' argument 'abc' is invalid. It takes a whole number from 0 to 65535."],
    ["--tcp=", "option '--tcp <port>' argument '' is invalid. It takes a whole number from 0 to 65535."],
    [
      "--maximum-packet-bytes 3",
      "option '--maximum-packet-bytes <n>' argument '3' is invalid. It takes a whole number from 64 to 268435460.",
    ],
    ["--maximum-qos 3", "option '--maximum-qos <qos>' argument '3' is invalid. It takes a whole number from 0 to 2."],
    [
      "--protocol-levels 3.1,6",
      "option '--protocol-levels <list>' argument '3.1,6' is invalid. It takes a list of 3.1, 3.1.1 and 5.",
    ],
    [
      "--log-level loud",
      "option '--log-level <level>' argument 'loud' is invalid. Allowed choices are debug, info, warn, error, silent.",
    ],
    [
      "--host 0.0.0.0",
      "--host 0.0.0.0 can be reached by others, and nothing says who may connect: give --passwords, --tls-ca, or let everybody in with --allow-anonymous",
    ],
    [
      "--host ::",
      "--host :: can be reached by others, and nothing says who may connect: give --passwords, --tls-ca, or let everybody in with --allow-anonymous",
    ],
  ]
  for (const [args, message] of table)
    test(`manju ${args}`, async () => {
      expect(await run(...args.split(" "))).toEqual({ code: 2, out: "", err: `manju: ${message}\n` })
    })
})

describe("what does not work out is one line, without a stack, and exit code 1", () => {
  test("a busy port", async () => {
    await using broker = new Broker()
    const { port } = await broker.listen(tcp({ port: 0, auth: allowAll() }))
    const err = `manju: cannot listen on 127.0.0.1:${port}: the port is in use\n`
    expect(await run("--no-ws", "--no-http", "--tcp", String(port))).toEqual({ code: 1, out: "", err })
  })

  test("an address that is not this machine's", async () => {
    const err = "manju: cannot listen on 203.0.113.7:1: this machine does not have the address\n"
    expect(await run("--host", "203.0.113.7", "--allow-anonymous", "--tcp", "1")).toEqual({ code: 1, out: "", err })
  })
})

describe("manju, started", () => {
  test("says where it listens, with the real port, and how to try it", async () => {
    const { port, out } = await start()
    expect(port).toBeGreaterThan(0)
    const [first, second] = out.split("\n")
    expect(first).toBe(
      `manju ${version} listens on mqtt://127.0.0.1:${port} for everybody; sessions are kept in memory`,
    )
    expect(second).toStartWith("try it: mosquitto_sub -p ")
    expect(second).toContain(` -p ${port} `)
    const client = await RawClient.connect(port, "client")
    await client.subscribe("#")
    client.publish("a", "b")
    expect((await client.next("publish")).payload.toString()).toBe("b")
  })

  test("serves all addresses, once it is told that everybody may come", async () => {
    const { port, out } = await start("--host", "0.0.0.0", "--allow-anonymous")
    expect(out).toContain(`mqtt://0.0.0.0:${port}`)
    await RawClient.connect(port, "client")
  })

  test("its flags reach the broker: limits, and what a listener offers", async () => {
    const flags = ["--maximum-qos", "1", "--no-retain", "--no-wildcards", "--no-shared", "--receive-maximum", "7"]
    const { port } = await start(...flags, "--maximum-packet-bytes", "500", "--topic-alias-maximum", "3")
    const client = await RawClient.open(port)
    client.sendConnect("client")
    expect((await client.next("connack")).properties).toMatchObject({
      maximumQoS: 1,
      retainAvailable: false,
      wildcardSubscriptionAvailable: false,
      sharedSubscriptionAvailable: false,
      receiveMaximum: 7,
      maximumPacketSize: 500,
      topicAliasMaximum: 3,
    })
  })

  test("its log goes to standard error, and --log-level bounds it", async () => {
    for (const [level, says] of [
      ["info", true],
      ["silent", false],
    ] as const) {
      const { child, port, logged } = await start("--log-level", level)
      const visitor = await RawClient.connect(port, "visitor")
      visitor.destroy()
      child.kill("SIGTERM")
      expect(await child.exited).toBe(0)
      expect((await logged).includes("connected visitor (127.0.0.1)")).toBe(says)
      expect((await logged) === "").toBe(!says)
    }
  })
})

describe("a signal ends it", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const)
    test(`${signal}: DISCONNECT 0x8B to clients of 5.0, an end to the others, exit code 0`, async () => {
      const { child, port } = await start()
      const clients = await Promise.all(
        ([3, 4, 5] as const).map((level) => RawClient.connect(port, `v${level}`, level)),
      )
      child.kill(signal)
      await Promise.all(
        clients.map(async (client) => {
          await client.until(() => client.hasEnded, "the end")
          client.end()
        }),
      )
      expect(await child.exited).toBe(0)
      expect(clients.map((client) => client.take().map(({ reasonCode }) => reasonCode))).toEqual([
        [],
        [],
        [Reason.ServerShuttingDown],
      ])
    })

  test("a second one does not wait for a client that stays", async () => {
    const stop = async (...signals: NodeJS.Signals[]) => {
      const { child, port } = await start()
      const stubborn = await RawClient.connect(port, "stubborn")
      const began = performance.now()
      for (const signal of signals) {
        child.kill(signal)
        await stubborn.until(() => stubborn.hasEnded, "the end") // it has begun to stop
      }
      expect(await child.exited).toBe(0)
      return performance.now() - began
    }
    const patient = await stop("SIGTERM")
    expect(await stop("SIGTERM", "SIGINT")).toBeLessThan(patient / 2)
  })
})

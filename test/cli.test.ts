/** The command as a process: what it takes, what it says of itself and of mistakes, and its exit codes. */
import { describe, expect, setDefaultTimeout, test } from "bun:test"
import { join } from "node:path"
import { scripts, version } from "../package.json" with { type: "json" }
import { allowAll, Broker, tcp } from "../src/index.ts"
import { RawClient } from "./listeners/socket.ts"
import { BrokerProcess } from "./support/broker-process.ts"
import { manju, plain } from "./support/command.ts"

setDefaultTimeout(60_000)

describe("manju --help, --version", () => {
  for (const args of [["--help"], ["-h"], ["start", "--help"], ["help", "start"]])
    test(`${args.join(" ")} explains, with examples, and ends with 0`, async () => {
      const { code, out, err } = await manju(...args)
      expect([code, err]).toEqual([0, ""])
      for (const part of ["Usage: manju", "Examples:", "--allow-anonymous", "Exit codes:"]) expect(out).toContain(part)
    })

  test("the script that the README starts with takes the flags of start, and explains them", async () => {
    const [runtime, ...args] = scripts.start.split(" ")
    expect(runtime).toBe("bun")
    const command = [process.execPath, ...args, "--help"]
    const out = await Bun.spawn(command, { cwd: join(import.meta.dir, ".."), env: plain, stdout: "pipe" }).stdout.text()
    expect(out).toStartWith("Usage: manju start [options]")
  })

  test("manju start --help names every limit with its default", async () => {
    const { out } = await manju("start", "--help")
    const parts = ["--maximum-packet-bytes", "(default: 2097152)", "--maximum-qos", "--no-retain", "--log-level"]
    for (const part of parts) expect(out).toContain(part)
  })

  for (const flag of ["--version", "-V"])
    test(`${flag} says which`, async () => {
      expect(await manju(flag)).toEqual({ code: 0, out: `${version}\n`, err: "" })
    })
})

test("without a command it starts a broker, with the flags of start", async () => {
  await using broker = await BrokerProcess.run("--tcp", "0", "--no-ws", "--no-http", "--maximum-qos", "1")
  expect(broker.said).toStartWith(`manju ${version} listens on mqtt://127.0.0.1:${broker.port} for everybody;`)
  const client = await RawClient.open(broker.port)
  client.sendConnect("client")
  expect(await client.next("connack")).toMatchObject({ reasonCode: 0, properties: { maximumQoS: 1 } })
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
      '--log-level takes one of debug, info, warn, error, silent, and behind commas levels of client, auth, message, listener, store, broker, as in info,auth=debug, not "loud"',
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
  const names = "nothing says who is who, which --acl goes by"
  const ca = "--tls-cert x.crt --tls-key x.key --tls-ca ca.crt"
  table.push(
    ["--no-tcp --no-ws --no-http", "nothing is left for MQTT to listen on: leave --no-tcp out, or give --unix"],
    ["--no-tcp --no-ws", "nothing is left for MQTT to listen on: leave --no-tcp out, or give --unix"],
    [`${ca} --tls-username cn --no-tcp`, "nothing is left for MQTT to listen on: leave --no-tcp out, or give --unix"],
    [
      `--host 0.0.0.0 --acl acl.txt ${ca}`,
      `--host 0.0.0.0 can be reached by others, and ${names}: give --passwords or --tls-username, or --allow-anonymous for who names no user`,
    ],
    ["--tls-username cn", "--tls-username needs --tls-ca: whose certificates to believe"],
    ["--tls-username name", "option '--tls-username <name>' argument 'name' is invalid. Allowed choices are cn, san."],
    [
      `${ca} --tls-username cn --ws 0`,
      "--tls-username is for TCP: Bun does not tell whose certificate a WebSocket has",
    ],
    [
      `${ca} --tls-username cn --allow-anonymous`,
      "with --tls-username everybody has a user name: --allow-anonymous lets nobody in",
    ],
  )
  for (const [args, message] of table)
    test(`manju ${args}`, async () => {
      expect(await manju(...args.split(" "))).toEqual({ code: 2, out: "", err: `manju: ${message}\n` })
    })
})

describe("what does not work out is one line, without a stack, and exit code 1", () => {
  const human = ["--log-format", "human"]

  test("a busy port", async () => {
    await using broker = new Broker()
    const { port } = await broker.listen(tcp({ port: 0, auth: allowAll() }))
    const err = `manju: cannot listen on 127.0.0.1:${port}: the port is in use; --tcp takes another port\n`
    expect(await manju(...human, "--no-ws", "--no-http", "--tcp", String(port))).toEqual({ code: 1, out: "", err })
  })

  test("an address that is not this machine's", async () => {
    const err = "manju: cannot listen on 203.0.113.7:1: this machine does not have the address\n"
    const flags = ["--host", "203.0.113.7", "--allow-anonymous", "--tcp", "1"]
    expect(await manju(...human, ...flags)).toEqual({ code: 1, out: "", err })
  })

  test("of JSON, where the log is that", async () => {
    const { code, out, err } = await manju("--host", "203.0.113.7", "--allow-anonymous", "--tcp", "1")
    const message = "cannot listen on 203.0.113.7:1: this machine does not have the address"
    const time = expect.any(String)
    expect([code, out, JSON.parse(err)]).toEqual([1, "", { time, level: "error", message, area: "broker" }])
  })

  test("but for what somebody has typed", async () => {
    const { code, out, err } = await manju(
      ..."--tcp 0 --no-ws --no-http --tls-cert /no/x.pem --tls-key /no/y.pem".split(" "),
    )
    expect([code, out, err]).toEqual([2, "", "manju: --tls-cert: there is no file /no/x.pem\n"])
  })
})

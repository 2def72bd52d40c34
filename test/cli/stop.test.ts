/** How `manju start` ends: the command as a process, clients in front of it, and signals. */
import { describe, expect, setDefaultTimeout, test } from "bun:test"
import { closeSync, constants, existsSync, openSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Reason } from "../../src/codec/index.ts"
import { eventually, RawClient } from "../listeners/socket.ts"
import { BrokerProcess, temporaryFolder } from "../support/broker-process.ts"
import { manjuCommand, plain } from "../support/command.ts"
import { freePort } from "../support/mosquitto.ts"
import { roundTrip } from "../support/round-trip.ts"

setDefaultTimeout(60_000)

/** The last line that it has logged, without the time. */
const lastLine = ({ logged }: BrokerProcess) => logged.trimEnd().split("\n").at(-1)!.replace(/^\S+ /, "")

/** Opens a pipe that has a name; undefined: nobody reads from it. */
function writerOf(path: string): number | undefined {
  try {
    return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
  } catch {
    return undefined
  }
}

describe("a signal ends it", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const)
    test(`${signal}: DISCONNECT 0x8B to clients of 5.0, an end to the others, exit code 0`, async () => {
      await using broker = await BrokerProcess.start()
      const clients = await Promise.all(
        ([3, 4, 5] as const).map((level) => RawClient.connect(broker.port, `v${level}`, level)),
      )
      broker.signal(signal)
      await Promise.all(
        clients.map(async (client) => {
          await client.until(() => client.hasEnded, "the end")
          client.end()
        }),
      )
      expect(await broker.ended()).toBe(0)
      expect(clients.map((client) => client.take().map(({ reasonCode }) => reasonCode))).toEqual([
        [],
        [],
        [Reason.ServerShuttingDown],
      ])
      expect(broker.logged).toContain(` ${signal}: stopping; once more to stop at once\n`)
      expect(lastLine(broker)).toBe("stopped: said goodbye to 3 clients")
    })

  test("a client that stays is waited for no longer than --stop-timeout says, and then cut off: exit code 0", async () => {
    await using broker = await BrokerProcess.start("--stop-timeout", "0")
    const stubborn = await RawClient.connect(broker.port, "stubborn")
    broker.signal("SIGTERM")
    await stubborn.until(() => stubborn.hasEnded, "the end")
    expect(await broker.ended()).toBe(0)
    expect(lastLine(broker)).toBe("stopped: said goodbye to 1 client, cut off 1 connection that did not end")
  })

  for (const [second, code] of [
    ["SIGTERM", 143],
    ["SIGINT", 130],
  ] as const)
    test(`a second one does not wait for a client that stays: ${second}, exit code ${code}`, async () => {
      await using broker = await BrokerProcess.start("--stop-timeout", "3600")
      const stubborn = await RawClient.connect(broker.port, "stubborn")
      broker.signal("SIGTERM")
      await stubborn.until(() => stubborn.hasEnded, "the end") // it has begun to stop
      broker.signal(second)
      expect(await broker.ended()).toBe(code)
      expect(lastLine(broker)).toBe(`warn: ${second}: stopped at once, without waiting for clients and the database`)
    })

  for (const signal of ["SIGTERM", "SIGINT"] as const)
    test(`${signal} while it starts, too, with exit code 0`, async () => {
      using folder = temporaryFolder()
      const users = join(folder.path, "users.txt")
      await Bun.$`mkfifo ${users}`.quiet() // it waits for somebody to write there
      await using broker = BrokerProcess.spawn("--passwords", users)
      let writer: number | undefined
      await eventually(() => (writer = writerOf(users)) !== undefined, "it to wait for its users")
      broker.signal(signal)
      expect(await broker.ended()).toBe(0)
      expect(broker.said).toBe("")
      closeSync(writer!)
    })
})

test("nobody is told that it is ready, or lives, before all listeners are open, wherever that for HTTP stands", async () => {
  using folder = temporaryFolder()
  const [users, file] = [join(folder.path, "users.txt"), join(folder.path, "manju.toml")]
  await Bun.$`mkfifo ${users}`.quiet()
  const port = freePort()
  writeFileSync(
    file,
    `listeners = [{ type = "http", port = ${port} }, { type = "tcp", port = 0, auth = { passwords = "users.txt" } }]\n`,
  )
  const broker = BrokerProcess.run("start", "--config", file)
  let writer: number | undefined
  await eventually(() => (writer = writerOf(users)) !== undefined, "it to wait for its users")
  const ask = () =>
    fetch(`http://127.0.0.1:${port}/readyz`).then(
      ({ status }) => status,
      ({ code }) => code,
    )
  expect(await ask()).toBe("ECONNREFUSED")
  closeSync(writer!)
  await using _ = await broker
  expect(await ask()).toBe(200)
})

test("when nobody reads what it says, or what it logs, it works on and ends as ever", async () => {
  using folder = temporaryFolder()
  const path = join(folder.path, "manju.sock")
  const command = manjuCommand("start", "--no-tcp", "--no-ws", "--no-http", "--unix", path)
  const deaf = ["bash", "-c", 'exec "$@" > >(true) 2> >(true)', "-"]
  const child = Bun.spawn([...deaf, ...command], { stdin: "ignore", stdout: "ignore", stderr: "ignore", env: plain })
  await eventually(() => existsSync(path), "the socket")
  for (let i = 0; i < 3; i++) expect(await roundTrip(path)).toBe("hello")
  child.kill("SIGTERM")
  expect(await child.exited).toBe(0)
})

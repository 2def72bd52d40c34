/** What systemd hears of `manju start`: the command as a process, and a socket such as systemd's. */
import { describe, expect, setDefaultTimeout, test } from "bun:test"
import { existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { ServiceManager } from "../../src/cli/service-manager/manager.ts"
import { eventually, RawClient } from "../listeners/socket.ts"
import { BrokerProcess, temporaryFolder } from "../support/broker-process.ts"
import { manju, manjuWith } from "../support/command.ts"
import { Notified } from "../support/notified.ts"

setDefaultTimeout(60_000)

const onePort = ["start", "--tcp", "0", "--no-ws", "--no-http"]
/** Half a second between signs of life. */
const WATCHDOG_USEC = "1000000"

/** A broker that tells somebody, who has heard that it is ready. */
async function started(environment: Record<string, string> = {}, ...flags: string[]) {
  const folder = temporaryFolder()
  const systemd = await Notified.at(join(folder.path, "notify"))
  const broker = await BrokerProcess.runWith({ NOTIFY_SOCKET: systemd.socket, ...environment }, ...onePort, ...flags)
  expect((await systemd.next()).says.READY).toBe("1")
  const end = async () => {
    await broker.kill()
    await systemd[Symbol.asyncDispose]()
    folder[Symbol.dispose]()
  }
  return { systemd, broker, folder: folder.path, [Symbol.asyncDispose]: end }
}

describe("NOTIFY_SOCKET", () => {
  for (const kind of ["a path", "a name"])
    test(`with ${kind}: READY=1 comes from the broker itself, when clients can connect, and says where`, async () => {
      using folder = temporaryFolder()
      const path = join(folder.path, "notify")
      await using systemd = await Notified.at(kind === "a path" ? path : `@${path}`)
      const starting = BrokerProcess.runWith({ NOTIFY_SOCKET: systemd.socket }, ...onePort)
      const { says, pid } = await systemd.next()
      expect(Object.keys(says)).toEqual(["READY", "STATUS"])
      const port = Number(/listens on mqtt:\/\/127\.0\.0\.1:(\d+) for everybody/.exec(says.STATUS!)![1])
      await RawClient.connect(port, "first")
      await using broker = await starting
      expect(pid).toBe(broker.pid)
    })

  test("a broker that cannot listen is never ready", async () => {
    using other = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } })
    using folder = temporaryFolder()
    await using systemd = await Notified.at(join(folder.path, "notify"))
    const { code } = await manjuWith({ NOTIFY_SOCKET: systemd.socket }, "start", "--tcp", String(other.port))
    expect(code).toBe(1)
    expect(await systemd.untilNow()).toEqual([])
  })

  test("SIGHUP: RELOADING=1 with the time of this moment, and READY=1 behind it, also when the file is bad", async () => {
    using folder = temporaryFolder()
    const file = join(folder.path, "manju.toml")
    writeFileSync(file, "")
    await using all = await started({}, "--config", file)
    const { systemd, broker } = all
    for (const text of ["limits.maximumInflight = 7\n", "nonsense = 1\n"]) {
      const before = process.hrtime.bigint()
      writeFileSync(file, text)
      broker.signal("SIGHUP")
      const reloading = await systemd.next()
      expect(reloading.says).toMatchObject({ RELOADING: "1", STATUS: "reads its files again" })
      const elapsed = Number((process.hrtime.bigint() - before) / 1000n)
      const told = Number(reloading.says.MONOTONIC_USEC)
      expect(told).toBeLessThanOrEqual(reloading.microseconds)
      expect(told).toBeGreaterThanOrEqual(reloading.microseconds - elapsed)
      const { says } = await systemd.next()
      expect([says.READY, says.STATUS]).toEqual(["1", expect.stringContaining("listens on mqtt://")])
    }
    await eventually(() => broker.logged.includes("nonsense: there is no such key"), "the complaint")
  })

  test("SIGTERM: STOPPING=1, and how much time the end may take, before the end", async () => {
    await using all = await started({}, "--stop-timeout", "100")
    const { systemd, broker } = all
    broker.signal("SIGTERM")
    expect((await systemd.next()).says).toEqual({ STOPPING: "1", EXTEND_TIMEOUT_USEC: "105000000", STATUS: "stops" })
    expect(await broker.ended()).toBe(0)
    expect(await systemd.untilNow()).toEqual([])
  })

  test("a SIGHUP while it stops is not answered by READY=1", async () => {
    await using all = await started()
    const { systemd, broker } = all
    const stubborn = await RawClient.connect(broker.port, "stubborn")
    broker.signal("SIGTERM")
    expect((await systemd.next()).says.STOPPING).toBe("1")
    broker.signal("SIGHUP")
    stubborn.end()
    expect(await broker.ended()).toBe(0)
    expect(await systemd.untilNow()).toEqual([])
    expect(broker.logged).not.toContain("error")
  })

  test("what is still being read again when it stops is not answered by READY=1 either", async () => {
    using folder = temporaryFolder()
    await using systemd = await Notified.at(join(folder.path, "notify"))
    using manager = new ServiceManager(systemd.socket, {}, { pid: process.pid, complain() {} })
    manager.ready("listens")
    manager.reloading()
    manager.stopping(0)
    manager.reloaded()
    const keys = (await systemd.untilNow()).map(({ says }) => Object.keys(says)[0])
    expect(keys).toEqual(["READY", "RELOADING", "STOPPING"])
  })

  for (const [socket, complaint] of [
    ["/no/such/socket", "the service manager does not hear: nobody reads at NOTIFY_SOCKET"],
    ["vsock:2:1234", "NOTIFY_SOCKET vsock:2:1234 cannot be used: it takes a path, or @ and a name"],
    [`/${"x".repeat(107)}`, "cannot be used: it takes no more than 107 bytes"],
  ] as const)
    test(`nobody at ${socket.slice(0, 20)}: one line says so, and the broker works`, async () => {
      await using broker = await BrokerProcess.runWith({ NOTIFY_SOCKET: socket }, ...onePort)
      const client = await RawClient.connect(broker.port, "client")
      client.destroy()
      broker.signal("SIGTERM")
      expect(await broker.ended()).toBe(0)
      expect(broker.logged.match(/ warn: .*/g)).toEqual([expect.stringContaining(complaint)])
    })
})

describe("WATCHDOG_USEC", () => {
  test("WATCHDOG=1 comes twice in that time, not while the event loop is stuck, and then again", async () => {
    using folder = temporaryFolder()
    const [stuck, free] = [join(folder.path, "stuck"), join(folder.path, "free")]
    const sticking = join(folder.path, "sticking.ts")
    writeFileSync(
      sticking,
      `import { existsSync, writeFileSync } from "node:fs"
      process.on("SIGUSR2", () => { writeFileSync("${stuck}", ""); while (!existsSync("${free}")); })`,
    )
    await using all = await started({ WATCHDOG_USEC, BUN_OPTIONS: `--preload=${sticking}` })
    const { systemd, broker } = all
    const first = await systemd.next()
    const second = await systemd.next()
    expect([first.says, second.says]).toEqual(Array(2).fill({ WATCHDOG: "1" }))
    expect(first.pid).toBe(broker.pid)
    broker.signal("SIGUSR2")
    await eventually(() => existsSync(stuck), "the loop to be stuck")
    await systemd.untilNow()
    await Bun.sleep(1500) // three would have come
    expect(await systemd.untilNow()).toEqual([])
    writeFileSync(free, "")
    expect((await systemd.next()).says).toEqual({ WATCHDOG: "1" })
  })

  test("of another process, or none: nothing comes", async () => {
    for (const environment of [{ WATCHDOG_USEC: "20000", WATCHDOG_PID: "1" }, { WATCHDOG_USEC: "0" }, {}]) {
      await using all = await started(environment)
      await Bun.sleep(100)
      expect(await all.systemd.untilNow()).toEqual([])
    }
  })

  test("a broker that gives no sign is not said to live, until it stops, which has a bound of its own", async () => {
    using folder = temporaryFolder()
    await using systemd = await Notified.at(join(folder.path, "notify"))
    const environment = { WATCHDOG_USEC: "20000", WATCHDOG_PID: String(process.pid) }
    const complaints: string[] = []
    const host = { pid: process.pid, complain: (line: string) => void complaints.push(line) }
    using manager = new ServiceManager(systemd.socket, environment, host)
    let sign = Promise.resolve()
    manager.watch(() => sign)
    expect((await systemd.next()).says).toEqual({ WATCHDOG: "1" })
    sign = new Promise(() => {})
    await systemd.untilNow()
    await Bun.sleep(100)
    expect(await systemd.untilNow()).toEqual([])
    manager.stopping(1000)
    expect((await systemd.next()).says.STOPPING).toBe("1")
    expect((await systemd.next()).says).toEqual({ WATCHDOG: "1" })
    expect(complaints).toEqual([])
  })
})

test("without NOTIFY_SOCKET nothing is told, and a command that serves nobody tells nothing", async () => {
  using folder = temporaryFolder()
  await using systemd = await Notified.at(join(folder.path, "notify"))
  expect((await manjuWith({ NOTIFY_SOCKET: systemd.socket }, "config", "example")).code).toBe(0)
  expect((await manju("config", "example")).code).toBe(0)
  expect(await systemd.untilNow()).toEqual([])
})

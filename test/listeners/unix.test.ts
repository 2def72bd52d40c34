/** MQTT over a Unix domain socket: real clients through it, who may open it, and what is there already. */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test"
import { existsSync, lstatSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { createConnection } from "node:net"
import { join } from "node:path"
import { MqttClient } from "mqtt"
import { allowAll, type UnixOptions, unix } from "../../src/index.ts"
import { run } from "../clients/support.ts"
import { temporaryFolder } from "../support/broker-process.ts"
import { closeBrokers, Doorman, refusal, serve } from "./brokers.ts"
import { eventually, RawClient } from "./socket.ts"

setDefaultTimeout(60_000)

let folder: ReturnType<typeof temporaryFolder>
beforeEach(() => {
  folder = temporaryFolder()
})
afterEach(async () => {
  await closeBrokers()
  folder[Symbol.dispose]()
})

const at = (name = "m.sock") => join(folder.path, name)
const door = (options: Partial<UnixOptions> = {}) => unix({ path: at(), auth: allowAll(), ...options })

/** Who else may have been here: runs a line of Python that has the path, until it says something, and then while it lives. */
async function neighbour(path: string, code: string) {
  const program = `import socket, sys, time\npath = sys.argv[1]\n${code}\nprint("ready", flush=True)\ntime.sleep(60)`
  const child = Bun.spawn(["python3", "-c", program, path], { stdio: ["ignore", "pipe", "inherit"] })
  await child.stdout.getReader().read()
  const end = async () => {
    child.kill("SIGKILL")
    await child.exited
  }
  return { end, [Symbol.asyncDispose]: end }
}

const LISTENING = "s = socket.socket(socket.AF_UNIX)\ns.bind(path)\ns.listen(0)"
/** So many are waiting to be accepted that the next is turned away, as if nobody were there. */
const BUSY = `${LISTENING}
clients = [socket.socket(socket.AF_UNIX) for i in range(4)]
for client in clients:
  client.setblocking(False)
  client.connect_ex(path)`

describe("clients", () => {
  for (const version of ["mqttv311", "mqttv5"])
    test(`mosquitto_pub and mosquitto_sub, ${version}`, async () => {
      const { core } = await serve(door())
      const common = ["--unix", at(), "-V", version]
      const came = run(["mosquitto_sub", ...common, "-t", "t/#", "-q", "2", "-C", "3", "-F", "%t %q %p"])
      await eventually(() => core.router.subscriptionCount === 1, "the subscription")
      for (const qos of ["0", "1", "2"]) {
        await run(["mosquitto_pub", ...common, "-t", `t/${qos}`, "-m", "near", "-q", qos])
      }
      expect(await came).toBe("t/0 0 near\nt/1 1 near\nt/2 2 near\n")
    })

  for (const level of [4, 5] as const)
    test(`MQTT.js, level ${level}`, async () => {
      const { logged } = await serve(door())
      const client = new MqttClient(() => createConnection(at()), { protocolVersion: level, reconnectPeriod: 0 })
      await new Promise<void>((resolve, reject) => {
        client.once("connect", () => resolve())
        client.once("error", reject)
      })
      const came = new Promise<Buffer>((resolve) => client.once("message", (_, payload) => resolve(payload)))
      await client.subscribeAsync("#", { qos: 1 })
      const payload = Buffer.alloc(1_500_000, level)
      await client.publishAsync("t", payload, { qos: 1 })
      expect(payload.equals(await came)).toBe(true)
      await client.endAsync()
      expect(logged[0]).toMatch(/^info: connected mqttjs_\w+ \(unix\) on unix:.*m\.sock: MQTT /)
    })

  test("auth is told that it is a Unix socket", async () => {
    const auth = new Doorman()
    await serve(door({ auth, id: "local" }))
    await RawClient.connect({ unix: at() }, "a")
    expect(auth.asked.map(({ remoteAddress, listener }) => [remoteAddress, listener])).toEqual([["unix", "local"]])
  })

  test("a slow reader gets everything, whole and in order", async () => {
    const { core } = await serve(door(), { limits: { maximumBacklogBytes: 64 * 1024 * 1024 } })
    const slow = await RawClient.connect({ unix: at() }, "slow")
    await slow.subscribe("#")
    slow.pause()
    const publisher = await RawClient.connect({ unix: at() }, "publisher")
    for (let i = 0; i < 100; i++) publisher.publish(`t/${i}`, Buffer.alloc(100_000, i))
    await eventually(() => core.metrics.publishSent === 100, "all of them on their way")
    expect(Math.max(...[...core.peers].map((peer) => peer.backlogBytes))).toBeGreaterThan(5_000_000)
    slow.resume()
    for (let i = 0; i < 100; i++) {
      const { topic, payload } = await slow.next("publish")
      expect([topic, payload.equals(Buffer.alloc(100_000, i))]).toEqual([`t/${i}`, true])
    }
  })
})

describe("who may open it", () => {
  for (const mode of [undefined, 0o600, 0o666, 0o777, 0o400])
    test(`mode ${mode?.toString(8) ?? "not given, which is 660"}; the process's umask is what it was`, async () => {
      const umask = process.umask(0o027)
      try {
        await serve(door(mode === undefined ? {} : { mode }))
        expect((lstatSync(at()).mode & 0o7777).toString(8)).toBe((mode ?? 0o660).toString(8))
        expect(process.umask()).toBe(0o027)
      } finally {
        process.umask(umask)
      }
    })

  for (const mode of [660, -1, 1.5, 0o1000, Number.NaN])
    test(`mode ${mode} is none`, () => {
      expect(() => door({ mode })).toThrow(`a socket's mode is from 0 to 0o777, such as 0o660, not ${mode}`)
    })

  test("the umask is what it was when it could not be opened, too", async () => {
    const before = process.umask()
    expect(await refusal(() => door({ path: at("none/m.sock") }))).toMatch(/^LISTEN_FAILED/)
    expect(process.umask()).toBe(before)
  })
})

describe("what is there already", () => {
  test("a socket of somebody who is gone is replaced", async () => {
    await (await neighbour(at(), LISTENING)).end()
    expect(lstatSync(at()).isSocket()).toBe(true)
    await serve(door())
    await RawClient.connect({ unix: at() }, "a")
  })

  test("a socket of somebody who lives is left alone, and so is who lives", async () => {
    await serve(door())
    const client = await RawClient.connect({ unix: at() }, "a")
    expect(await refusal(() => door())).toBe(`LISTEN_FAILED: somebody listens on ${at()} already`)
    client.send({ cmd: "pingreq" })
    await client.next("pingresp")
    await RawClient.connect({ unix: at() }, "b")
  })

  for (const [name, code] of [
    ["listens and does not accept", LISTENING],
    ["is too busy to take another", BUSY],
    [
      "has bound it to something else than connections",
      "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\ns.bind(path)",
    ],
  ] as const)
    test(`so is one of somebody who ${name}`, async () => {
      await using _ = await neighbour(at(), code)
      const before = lstatSync(at()).ino
      expect(await refusal(() => door())).toBe(`LISTEN_FAILED: somebody listens on ${at()} already`)
      expect(lstatSync(at()).ino).toBe(before)
    })

  test("the same by another name of the folder", async () => {
    await serve(door())
    symlinkSync(folder.path, at("again"))
    expect(await refusal(() => door({ path: at("again/m.sock") }))).toContain("somebody listens on ")
  })

  const others: [name: string, make: () => void][] = [
    ["a file", () => writeFileSync(at(), "precious")],
    ["a folder", () => mkdirSync(at())],
    ["a link that leads nowhere", () => symlinkSync(at("nowhere"), at())],
    [
      "a link to a file",
      () => {
        writeFileSync(at("precious"), "precious")
        symlinkSync(at("precious"), at())
      },
    ],
  ]
  for (const [name, make] of others)
    test(`${name} is left alone`, async () => {
      make()
      const before = readdirSync(folder.path)
      expect(await refusal(() => door())).toBe(`LISTEN_FAILED: ${at()} is there already and is no socket`)
      expect(readdirSync(folder.path)).toEqual(before)
    })

  test("nothing, not even the folder, is an error that says so", async () => {
    expect(await refusal(() => door({ path: at("none/m.sock") }))).toBe(
      `LISTEN_FAILED: cannot listen on ${at("none/m.sock")}: its folder is not there`,
    )
  })
})

describe("the path", () => {
  test("of 107 bytes is taken, of 108 it is INVALID_OPTION, in whatever characters", async () => {
    const room = 107 - Buffer.byteLength(`${folder.path}/`)
    for (const name of ["a".repeat(room), "é".repeat(Math.floor(room / 2))]) {
      const path = at(name)
      await serve(door({ path }))
      await RawClient.connect({ unix: path }, "a")
      expect(() => door({ path: `${path}${"a".repeat(108 - Buffer.byteLength(path))}` })).toThrow(
        "a socket's path has from 1 to 107 bytes",
      )
    }
  })

  for (const path of ["", "\0abstract"])
    test(`${JSON.stringify(path)} is none`, async () => {
      expect(await refusal(() => door({ path }))).toContain("INVALID_OPTION: a socket's path has from 1 to 107 bytes")
    })
})

describe("broker.close()", () => {
  test("says goodbye, and leaves nothing behind", async () => {
    const { broker, core } = await serve(door())
    const client = await RawClient.connect({ unix: at() }, "a")
    const closed = broker.close()
    expect((await client.next("disconnect")).reasonCode).toBe(0x8b)
    await client.until(() => client.hasEnded, "the end")
    client.end()
    await closed
    expect([readdirSync(folder.path), core.peers.size]).toEqual([[], 0])
  })

  test("does not mind that the socket has gone already", async () => {
    const { broker } = await serve(door())
    rmSync(at())
    await broker.close()
    expect(existsSync(at())).toBe(false)
  })
})

/** What the flags of `manju start` open, and for whom: the command as a process, MQTT.js and HTTP in front of it. */
import { describe, expect, setDefaultTimeout, test } from "bun:test"
import { writeFileSync } from "node:fs"
import { connect } from "node:net"
import { join } from "node:path"
import mqtt from "mqtt"
import { eventually } from "../listeners/socket.ts"
import { temporaryFolder } from "../support/broker-process.ts"
import { Certificates } from "../support/certificates.ts"
import { manju, plain } from "../support/command.ts"
import { cheapHash } from "../support/password-file.ts"

setDefaultTimeout(60_000)

const cli = join(import.meta.dir, "../../src/cli.ts")

/** `manju start`, without a door that no flag names unless `isBare`; what it says, and the ports it says. */
class Started {
  out = ""
  err = ""
  readonly child: Bun.Subprocess<"ignore", "pipe", "pipe">

  private constructor(args: readonly string[], isBare: boolean) {
    const none = isBare ? [] : ["--no-tcp", "--no-ws", "--no-http"]
    this.child = Bun.spawn([process.execPath, cli, "start", ...none, ...args], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: plain,
    })
    void this.read("out")
    void this.read("err")
  }

  static async with(args: readonly string[], isBare = false): Promise<Started> {
    const started = new Started(args, isBare)
    await eventually(() => started.out.includes("\n") || started.child.exitCode !== null, "its first line")
    if (started.child.exitCode !== null) throw new Error(started.err)
    return started
  }

  portOf(scheme: string): number {
    return Number(new RegExp(`${scheme}://[^ ,]+:(\\d+)`).exec(this.out)?.[1])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL")
    await this.child.exited
  }

  private async read(name: "out" | "err"): Promise<void> {
    const stream = name === "out" ? this.child.stdout : this.child.stderr
    for await (const text of stream.pipeThrough(new TextDecoderStream())) this[name] += text
  }
}

/** Connects to a URL or a Unix socket, publishes to itself at QoS 1 and leaves; resolves with what it was refused with, if it was. */
async function roundTrip(to: string, options: mqtt.IClientOptions = {}, topic = "t"): Promise<string> {
  const settings = { reconnectPeriod: 0, protocolVersion: 5, ...options } as const
  const client = to.startsWith("/") ? new mqtt.MqttClient(() => connect(to), settings) : mqtt.connect(to, settings)
  try {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    client.on("connect", () => resolve())
    client.on("error", reject)
    client.on("close", () => reject(new Error("closed")))
    await promise
    await client.subscribeAsync(topic, { qos: 1 })
    const heard = Promise.withResolvers<string>()
    client.on("message", (_, payload) => heard.resolve(String(payload)))
    await client.publishAsync(topic, "hello", { qos: 1 })
    return await heard.promise
  } catch (error) {
    return (error as { code?: number }).code === undefined ? String(error) : `code ${(error as { code: number }).code}`
  } finally {
    client.end(true)
  }
}

describe("manju start", () => {
  test("serves TCP, WebSocket, a Unix socket and health checks", async () => {
    using folder = temporaryFolder()
    const path = join(folder.path, "manju.sock")
    await using broker = await Started.with(["--tcp", "0", "--ws", "0", "--http", "0", "--unix", path])
    expect(broker.out).toContain(path)
    expect(await roundTrip(`mqtt://127.0.0.1:${broker.portOf("mqtt")}`)).toBe("hello")
    expect(await roundTrip(`ws://127.0.0.1:${broker.portOf("ws")}`)).toBe("hello")
    expect(await roundTrip(path)).toBe("hello")
    const ready = await fetch(`http://127.0.0.1:${broker.portOf("http")}/readyz`)
    expect([ready.status, await ready.text()]).toEqual([200, "ready\n"])
  })

  test("speaks TLS with --tls-cert and --tls-key, over TCP and WebSocket", async () => {
    using certificates = await Certificates.make()
    const { cert, key } = certificates.files("server")
    const tls = ["--tls-cert", cert, "--tls-key", key]
    await using broker = await Started.with([...tls, "--tcp", "0", "--ws", "0"])
    const ca = certificates.text("ca")
    expect(await roundTrip(`mqtts://localhost:${broker.portOf("mqtts")}`, { ca })).toBe("hello")
    expect(await roundTrip(`wss://localhost:${broker.portOf("wss")}`, { ca })).toBe("hello")
  })

  test("lets in whom --passwords knows, to do what --acl allows; SIGHUP and a change of the files are heard", async () => {
    using folder = temporaryFolder()
    const [users, rules] = [join(folder.path, "users.txt"), join(folder.path, "acl.txt")]
    writeFileSync(users, `ada:${await cheapHash("secret")}\n`)
    writeFileSync(rules, "user ada\ntopic readwrite a/#\n")
    await using broker = await Started.with(["--tcp", "0", "--host", "0.0.0.0", "--passwords", users, "--acl", rules])
    expect(broker.out).toContain("for users;")
    const url = `mqtt://127.0.0.1:${broker.portOf("mqtt")}`
    const ada = { username: "ada", password: "secret" }
    expect(await roundTrip(url, ada, "a/b")).toBe("hello")
    expect(await roundTrip(url, ada, "b")).toContain("Not authorized")
    for (const wrong of [
      { username: "ada", password: "guess" },
      { username: "eve", password: "secret" },
    ]) {
      expect(await roundTrip(url, wrong)).toBe("code 134")
    }
    expect(await roundTrip(url)).toBe("code 135")
    writeFileSync(rules, "user ada\ntopic readwrite b/#\n")
    broker.child.kill("SIGHUP")
    let answer = ""
    for (let i = 0; i < 100 && answer !== "hello"; i++) answer = await roundTrip(url, ada, "b/c")
    expect(answer).toBe("hello")
    expect(broker.err).not.toContain("secret")
  })

  test("leaves out a WebSocket or health port that is in use and nobody has asked for, and says so", async () => {
    const occupied = [1882, 8080].map((port) => {
      try {
        return Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } })
      } catch {
        return undefined // somebody else has it, which will do
      }
    })
    try {
      await using broker = await Started.with(["--tcp", "0"], true)
      await eventually(() => broker.err.split("left out").length === 3, "both lines")
      expect(broker.err).toContain(
        "127.0.0.1:1882: the port is in use: left out; --ws takes another port, --no-ws none",
      )
      expect(await roundTrip(`mqtt://127.0.0.1:${broker.portOf("mqtt")}`)).toBe("hello")
      expect(broker.out).not.toContain("ws://")
    } finally {
      for (const listener of occupied) listener?.stop(true)
    }
  })

  test("does not open where one that was asked for is in use", async () => {
    using other = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } })
    const { code, out, err } = await manju("start", "--tcp", "0", "--no-http", "--ws", String(other.port))
    expect([code, out]).toEqual([1, ""])
    expect(err).toContain(`cannot listen on 127.0.0.1:${other.port}: the port is in use`)
  })

  const mistakes: [args: string[], message: string, code: number][] = [
    [["--tls-cert", "x.pem"], "TLS takes both --tls-cert and --tls-key", 2],
    [["--tls-cert", "/no/x.pem", "--tls-key", "/no/y.pem"], "tls.cert: there is no file /no/x.pem", 2],
    [["--passwords", "/no/users.txt"], "/no/users.txt: there is no such file", 1],
    [["--acl", "/no/acl.txt"], "/no/acl.txt: there is no such file", 1],
    [["--ws", "0", "--origins", "example.com"], "origins are such as https://app.example.com", 2],
    [["--unix", `/tmp/${"x".repeat(120)}`], "a socket's path has from 1 to 107 bytes", 2],
  ]
  for (const [args, message, code] of mistakes)
    test(`${args[0]} ${args[1]!.slice(0, 20)}: ${message}`, async () => {
      const ended = await manju("start", "--tcp", "0", "--no-ws", "--no-http", ...args)
      expect([ended.code, ended.out]).toEqual([code, ""])
      expect(ended.err).toMatch(/^manju: [^\n]+\n$/)
      expect(ended.err).toContain(message)
    })
})

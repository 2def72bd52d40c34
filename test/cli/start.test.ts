/** What the flags of `manju start` open, and for whom: the command as a process, MQTT.js and HTTP in front of it. */
import { describe, expect, setDefaultTimeout, test } from "bun:test"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { version } from "../../package.json" with { type: "json" }
import { eventually, RawClient } from "../listeners/socket.ts"
import { BrokerProcess, temporaryFolder } from "../support/broker-process.ts"
import { Certificates } from "../support/certificates.ts"
import { manju } from "../support/command.ts"
import { cheapHash } from "../support/password-file.ts"
import { roundTrip } from "../support/round-trip.ts"

setDefaultTimeout(60_000)

const human = ["--log-format", "human"]

describe("manju start", () => {
  test("says where it listens, with the real port, and how to try it", async () => {
    await using broker = await BrokerProcess.start()
    const { port, said } = broker
    expect(port).toBeGreaterThan(0)
    const [first, second] = said.split("\n")
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

  test("says how to try it only where that would work", async () => {
    using folder = temporaryFolder()
    using certificates = await Certificates.make()
    const { cert, key } = certificates.files("server")
    const [users, rules] = [join(folder.path, "users.txt"), join(folder.path, "acl.txt")]
    writeFileSync(users, `ada:${await cheapHash("secret")}\n`)
    writeFileSync(rules, "topic a\n")
    for (const flags of [
      ["--passwords", users],
      ["--acl", rules],
      ["--host", "0.0.0.0", "--allow-anonymous"],
      ["--tls-cert", cert, "--tls-key", key],
    ]) {
      await using broker = await BrokerProcess.start(...flags)
      expect(broker.said).not.toContain("try it")
    }
  })

  test("serves all addresses, once it is told that everybody may come", async () => {
    await using broker = await BrokerProcess.start("--host", "0.0.0.0", "--allow-anonymous")
    expect(broker.said).toContain(`mqtt://0.0.0.0:${broker.port}`)
    await RawClient.connect(broker.port, "client")
  })

  test("its flags reach the broker: limits, and what a listener offers", async () => {
    const flags = ["--maximum-qos", "1", "--no-retain", "--no-wildcards", "--no-shared", "--receive-maximum", "7"]
    const sizes = ["--maximum-packet-bytes", "500", "--topic-alias-maximum", "3"]
    await using broker = await BrokerProcess.start(...flags, ...sizes)
    const client = await RawClient.open(broker.port)
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

  for (const [level, isTold] of [
    ["info", true],
    ["silent", false],
  ] as const)
    test(`its log goes to standard error, and --log-level bounds it: ${level}`, async () => {
      await using broker = await BrokerProcess.start("--log-level", level)
      const visitor = await RawClient.connect(broker.port, "visitor")
      visitor.destroy()
      broker.signal("SIGTERM")
      expect(await broker.ended()).toBe(0)
      expect(broker.logged.includes("connected visitor (127.0.0.1)")).toBe(isTold)
      expect(broker.logged === "").toBe(!isTold)
    })

  test("serves TCP, WebSocket, a Unix socket, the dashboard and health checks", async () => {
    using folder = temporaryFolder()
    const path = join(folder.path, "manju.sock")
    await using broker = await BrokerProcess.start("--ws", "0", "--http", "0", "--unix", path)
    expect(broker.said).toContain(`, ${path}, ws://`)
    expect(broker.said).toContain(" for everybody; dashboard at http://127.0.0.1:")
    expect(await roundTrip(`mqtt://127.0.0.1:${broker.port}`)).toBe("hello")
    expect(await roundTrip(`ws://127.0.0.1:${broker.portOf("ws")}`)).toBe("hello")
    expect(await roundTrip(path)).toBe("hello")
    const url = /http:\S+\//.exec(broker.said)![0]
    expect(await (await fetch(url)).text()).toContain("<title>manju</title>")
    const ready = await fetch(`${url}readyz`)
    expect([ready.status, await ready.text()]).toEqual([200, "ready\n"])
  })

  test("speaks TLS with --tls-cert and --tls-key, over TCP and WebSocket", async () => {
    using certificates = await Certificates.make()
    const { cert, key } = certificates.files("server")
    await using broker = await BrokerProcess.start("--tls-cert", cert, "--tls-key", key, "--ws", "0")
    const ca = certificates.text("ca")
    expect(await roundTrip(`mqtts://localhost:${broker.portOf("mqtts")}`, { ca })).toBe("hello")
    expect(await roundTrip(`wss://localhost:${broker.portOf("wss")}`, { ca })).toBe("hello")
  })

  test("lets in whom --passwords knows, to do what --acl allows; SIGHUP and a change of the files are heard", async () => {
    using folder = temporaryFolder()
    const [users, rules] = [join(folder.path, "users.txt"), join(folder.path, "acl.txt")]
    writeFileSync(users, `ada:${await cheapHash("secret")}\n`)
    writeFileSync(rules, "user ada\ntopic readwrite a/#\n")
    await using broker = await BrokerProcess.start("--host", "0.0.0.0", "--passwords", users, "--acl", rules)
    expect(broker.said).toContain("for users;")
    const url = `mqtt://127.0.0.1:${broker.port}`
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
    broker.signal("SIGHUP")
    let answer = ""
    for (let i = 0; i < 100 && answer !== "hello"; i++) answer = await roundTrip(url, ada, "b/c")
    expect(answer).toBe("hello")
    expect(broker.logged).not.toContain("secret")
    for (const file of [users, rules]) expect(broker.logged).toContain(` ${file}: read again\n`)
  })

  test("with --acl alone says that nobody's name is proven, on loopback; elsewhere lets in who has none", async () => {
    using folder = temporaryFolder()
    const rules = join(folder.path, "acl.txt")
    writeFileSync(rules, "topic readwrite hall/#\nuser ada\ntopic readwrite a/#\n")
    {
      await using broker = await BrokerProcess.start("--acl", rules)
      const warning = " warn: --acl without --passwords: anybody can take any user's name\n"
      await eventually(() => broker.logged.includes(warning), "the warning")
      expect(await roundTrip(`mqtt://127.0.0.1:${broker.port}`, { username: "ada" }, "a/b")).toBe("hello")
    }
    await using broker = await BrokerProcess.start("--host", "0.0.0.0", "--acl", rules, "--allow-anonymous")
    expect(broker.said).toContain("for everybody who names no user;")
    const url = `mqtt://127.0.0.1:${broker.port}`
    expect(await roundTrip(url, { username: "ada" }, "a/b")).toBe("code 134")
    expect(await roundTrip(url, {}, "hall/light")).toBe("hello")
    expect(broker.logged).not.toContain("warn")
  })

  describe("with --tls-ca, who shows a certificate", () => {
    const certificates = Certificates.forTests()
    const flags = () => {
      const { cert, key } = certificates.files("server")
      return ["--tls-cert", cert, "--tls-key", key, "--tls-ca", certificates.path("ca.crt")]
    }
    const shown = () => ({ ca: certificates.text("ca"), ...certificates.texts("client") })

    test("is in, and at a Unix socket everybody, which is said apart", async () => {
      using folder = temporaryFolder()
      const path = join(folder.path, "manju.sock")
      await using broker = await BrokerProcess.start(...flags(), "--ws", "0", "--unix", path)
      expect(broker.said).toMatch(/mqtts:\S+, wss:\S+ for everybody with a certificate and \S+sock for everybody;/)
      expect(await roundTrip(`mqtts://localhost:${broker.portOf("mqtts")}`, shown())).toBe("hello")
      expect(await roundTrip(path)).toBe("hello")
    })

    for (const [kind, name] of [
      ["cn", "alice"],
      ["san", "alice@example.com"],
    ] as const)
      test(`has with --tls-username ${kind} the name there, to which the rules are applied`, async () => {
        using folder = temporaryFolder()
        const rules = join(folder.path, "acl.txt")
        writeFileSync(rules, `user ${name}\ntopic readwrite a/#\nuser eve\ntopic readwrite e/#\n`)
        await using broker = await BrokerProcess.run(
          ...["start", "--tcp", "0", "--no-http", "--tls-username", kind, "--acl", rules, ...flags()],
        )
        expect(broker.said).not.toContain("wss://")
        const url = `mqtts://localhost:${broker.portOf("mqtts")}`
        expect(await roundTrip(url, { ...shown(), username: "eve" }, "a/b")).toBe("hello")
        expect(await roundTrip(url, { ...shown(), username: "eve" }, "e/b")).toContain("Not authorized")
        expect(broker.logged).not.toContain("warn")
      })
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
      await using broker = await BrokerProcess.run("start", "--tcp", "0")
      await eventually(() => broker.logged.split("left out").length === 3, "both lines")
      expect(broker.logged).toContain(
        "127.0.0.1:1882: the port is in use: left out; --ws takes another port, --no-ws none",
      )
      expect(await roundTrip(`mqtt://127.0.0.1:${broker.port}`)).toBe("hello")
      expect(broker.said).not.toContain("ws://")
      const { code, err } = await manju("start", ...human, "--no-tcp", "--no-http") // there would be nothing left
      expect([code, err]).toEqual([
        1,
        "manju: cannot listen on 127.0.0.1:1882: the port is in use; --ws takes another port\n",
      ])
    } finally {
      for (const listener of occupied) listener?.stop(true)
    }
  })

  test("does not open where one that was asked for is in use", async () => {
    using other = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } })
    const { code, out, err } = await manju("start", ...human, "--tcp", "0", "--no-http", "--ws", String(other.port))
    expect([code, out]).toEqual([1, ""])
    expect(err).toBe(`manju: cannot listen on 127.0.0.1:${other.port}: the port is in use; --ws takes another port\n`)
  })

  const mistakes: [args: string[], message: string, code: number][] = [
    [["--tls-cert", "x.pem"], "TLS takes both --tls-cert and --tls-key", 2],
    [["--tls-cert", "/no/x.pem", "--tls-key", "/no/y.pem"], "--tls-cert: there is no file /no/x.pem", 2],
    [["--passwords", "/no/users.txt"], "/no/users.txt: there is no such file", 1],
    [["--acl", "/no/acl.txt"], "/no/acl.txt: there is no such file", 1],
    [["--ws", "0", "--origins", "example.com"], "origins are such as https://app.example.com", 2],
    [["--unix", `/tmp/${"x".repeat(120)}`], "a socket's path has from 1 to 107 bytes", 2],
  ]
  for (const [args, message, code] of mistakes)
    test(`${args[0]} ${args[1]!.slice(0, 20)}: ${message}`, async () => {
      const ended = await manju("start", ...human, "--tcp", "0", "--no-ws", "--no-http", ...args)
      expect([ended.code, ended.out]).toEqual([code, ""])
      expect(ended.err).toMatch(/^manju: [^\n]+\n$/)
      expect(ended.err).toContain(message)
    })
})

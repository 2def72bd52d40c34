/** How `manju pub` and `manju sub` get to a broker, as whom, and what they say when they do not. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test"
import { join } from "node:path"
import {
  type ApplicationMessage,
  type Auth,
  allowAll,
  type Listener,
  type ListenerLimits,
  Reason,
  tcp,
  unix,
  websocket,
} from "../../src/index.ts"
import { serve as serveTcp } from "../clients/support.ts"
import { closeBrokers, serve } from "../listeners/brokers.ts"
import { eventually } from "../listeners/socket.ts"
import { temporaryFolder } from "../support/broker-process.ts"
import { Certificates, PASSPHRASE } from "../support/certificates.ts"
import { at, subscribing } from "../support/client-commands.ts"
import { manju, manjuCommand, plain } from "../support/command.ts"
import { LineProcess } from "../support/line-process.ts"
import { ScriptedBroker, welcome } from "../support/scripted-broker.ts"
import { Terminal } from "../support/terminal.ts"

setDefaultTimeout(60_000)

const certificates = Certificates.forTests()
afterEach(closeBrokers)

const kept = ["-t", "t", "-m", "hello", "-r", "-q", "1"]
const one = ["-t", "t", "-C", "1"]

/** Publishes something retained and reads it again: what sub prints, or what went wrong. */
async function roundTrip(...where: string[]): Promise<string> {
  for (const args of [
    ["pub", ...where, ...kept],
    ["sub", ...where, ...one],
  ]) {
    const { code, out, err } = await manju(...args)
    if (code !== 0) return `${code}: ${err}`
    if (args[0] === "sub") return out + err
  }
  return ""
}

describe("a broker is reached", () => {
  const auth = allowAll()

  for (const version of [[], ["-V", "mqttv31"], ["-V", "311"], ["--protocol-version", "mqttv5"]])
    test(`over TCP ${version.join(" ")}`, async () => {
      const { port } = await serve(tcp({ port: 0, auth }))
      expect(await roundTrip("-h", "127.0.0.1", "-p", String(port), ...version)).toBe("hello\n")
    })

  test("at localhost, with nothing said but the port", async () => {
    const { port } = await serve(tcp({ port: 0, auth }))
    expect(await roundTrip("-p", String(port))).toBe("hello\n")
  })

  test("over a Unix socket", async () => {
    using folder = temporaryFolder()
    const path = join(folder.path, "manju.sock")
    await serve(unix({ path, auth }))
    expect(await roundTrip("--unix", path)).toBe("hello\n")
  })

  test("over WebSocket, with --ws and with a URL", async () => {
    const { port } = await serve(websocket({ port: 0, auth }))
    expect(await roundTrip("--ws", "-h", "127.0.0.1", "-p", String(port))).toBe("hello\n")
    expect(await roundTrip("-L", `ws://127.0.0.1:${port}/any/path`)).toBe("hello\n")
  })

  for (const [scheme, open] of [
    ["mqtts", tcp],
    ["wss", websocket],
  ] as const)
    describe(`over TLS, ${scheme}`, () => {
      const secure = (person: Parameters<Certificates["files"]>[0] = "server", options: object = {}) =>
        serve((open as typeof tcp)({ port: 0, auth, tls: { ...certificates.files(person), ...options } }))
      const to = (port: number, host = "localhost") => {
        const where = ["-h", host, "-p", String(port), "--cafile", certificates.path("ca.crt")]
        return scheme === "wss" ? [...where, "--ws"] : where
      }

      test("with --cafile", async () => {
        const { port } = await secure()
        expect(await roundTrip(...to(port))).toBe("hello\n")
      })

      test("with a URL", async () => {
        const { port } = await secure()
        const url = `${scheme}://localhost:${port}/`
        expect(await roundTrip("-L", url, "--cafile", certificates.path("ca.crt"))).toBe("hello\n")
      })

      test("with --cert and --key where it wants a certificate; without is a failure", async () => {
        const { port } = await secure("server", { ca: certificates.path("ca.crt") })
        const { cert, key } = certificates.files("client")
        expect(await roundTrip(...to(port), "--cert", cert, "--key", key)).toBe("hello\n")
        expect(await roundTrip(...to(port))).toMatch(
          /^1: manju: .*(?:it wants a certificate|ended the connection).*\n$/,
        )
      })

      test("with a key that is encrypted, whose passphrase is asked for at a terminal, and not shown", async () => {
        const { port } = await secure("server", { ca: certificates.path("ca.crt") })
        const encrypted = certificates.path("encrypted.key")
        const keys = ["--cert", certificates.files("server").cert, "--key", encrypted]
        const question = `Passphrase of ${encrypted}: `
        const wrong = `manju: ${encrypted}: that is not its passphrase\r\n`
        for (const [answer, code, said] of [
          [PASSPHRASE, 0, ""],
          ["open barley", 1, wrong],
        ] as const) {
          using terminal = new Terminal()
          terminal.run(manjuCommand("pub", ...to(port), ...keys, "-t", "t", "-n"))
          await terminal.shows(question)
          terminal.press(`${answer}\r`)
          expect(await terminal.ended(`${question}\r\n${said}`)).toMatchObject({
            code,
            shown: `${question}\r\n${said}`,
          })
        }
      })

      test("not where nobody we believe has signed its certificate, --insecure or not", async () => {
        const { port } = await secure("rogueServer")
        for (const insecure of [[], ["--insecure"]])
          expect(await roundTrip(...to(port), ...insecure)).toBe(
            `1: manju: cannot connect to ${scheme === "wss" ? `wss://localhost:${port}/mqtt` : `localhost:${port}`}: nobody we believe has signed its certificate; --cafile names an authority\n`,
          )
      })

      test("not where its certificate is for another host, unless --insecure says so", async () => {
        const tls = certificates.files("server")
        const { port } = await serve((open as typeof tcp)({ hostname: "127.0.0.2", port: 0, auth, tls }))
        expect(await roundTrip(...to(port, "127.0.0.2"))).toMatch(/^1: manju: .*its certificate is for another host\n$/)
        expect(await roundTrip(...to(port, "127.0.0.2"), "--insecure")).toBe("hello\n")
      })
    })

  test("with a topic in the URL, wildcards and all", async () => {
    const served = await serveTcp()
    const url = `mqtt://127.0.0.1:${served.port}`
    expect(await manju("pub", "-L", `${url}/a/b`, "-m", "x", "-r", "-q", "1")).toEqual({ code: 0, out: "", err: "" })
    const { out } = await manju("sub", "-L", `${url}/a/#`, "-v", "-C", "1")
    expect(out).toBe("a/b x\n")
    await served.broker.close({ timeoutMs: 0 })
  })
})

describe("what it speaks", () => {
  const speaking = (...protocolLevels: (3 | 4 | 5)[]) => {
    const levels: number[] = []
    const limits: Partial<ListenerLimits> = { protocolLevels }
    const auth: Auth = { authenticate: ({ protocolLevel }) => levels.push(protocolLevel) > 0 }
    return { levels, listener: tcp({ port: 0, auth, limits }) }
  }
  const publish = async (listener: Listener, ...args: string[]) => {
    const { port } = await serve(listener)
    return manju("pub", "-p", String(port), "-t", "t", "-m", "x", ...args)
  }

  const versions: [flag: string, level: number][] = [
    ["mqttv31", 3],
    ["31", 3],
    ["mqttv311", 4],
    ["311", 4],
    ["mqttv5", 5],
    ["5", 5],
  ]
  for (const [flag, level] of versions)
    test(`-V ${flag} is level ${level}`, async () => {
      const { levels, listener } = speaking(3, 4, 5)
      expect((await publish(listener, "-V", flag)).code).toBe(0)
      expect(levels).toEqual([level])
    })

  test("with nothing said it is 5.0, and 3.1.1 where that is not spoken", async () => {
    const modern = speaking(3, 4, 5)
    expect((await publish(modern.listener)).code).toBe(0)
    const old = speaking(3, 4)
    expect(await publish(old.listener)).toEqual({ code: 0, out: "", err: "" })
    expect([modern.levels, old.levels]).toEqual([[5], [4]])
  })

  test("the same with a broker that answers in the old way", async () => {
    using broker = new ScriptedBroker((packet, client) => {
      if (packet.cmd === "connect" && packet.protocolVersion === 5) client.send(Buffer.from("20020001", "hex"))
      else if (packet.cmd === "connect") client.send(welcome())
      if (packet.cmd === "disconnect") client.end()
    })
    expect((await manju("pub", ...at(broker), "-t", "t", "-m", "x")).code).toBe(0)
    expect(broker.packets.map(({ cmd, protocolVersion }) => protocolVersion ?? cmd)).toEqual([
      5,
      4,
      "publish",
      "disconnect",
    ])
  })

  test("with -V, -x or -D it is that or nothing", async () => {
    for (const args of [
      ["-V", "5"],
      ["-x", "10"],
      ["-D", "publish", "content-type", "x"],
    ]) {
      const { code, err } = await publish(speaking(3, 4).listener, ...args)
      expect([code, err]).toEqual([1, expect.stringMatching(/refused the connection: unsupported protocol version/)])
    }
  })
})

describe("who it is", () => {
  const identified = async () => {
    const seen: { clientId: string; username: string | undefined; password: string | undefined }[] = []
    const auth: Auth = {
      authenticate({ clientId, username, password }) {
        seen.push({ clientId, username, password: password && Buffer.from(password).toString() })
        return true
      },
    }
    const { port, core, broker } = await serve(tcp({ port: 0, auth }))
    return { seen, port, core, broker }
  }
  const publish = (port: number, args: string[], environment: Record<string, string> = {}) => {
    const command = manjuCommand("pub", "-h", "127.0.0.1", "-p", String(port), "-t", "t", "-m", "x", ...args)
    return Bun.spawn(command, { env: { ...plain, ...environment }, stdio: ["ignore", "ignore", "inherit"] })
  }

  const logins: [args: string[], environment: Record<string, string>, username?: string, password?: string][] = [
    [[], {}],
    [[], { MANJU_PASSWORD: "unused" }],
    [["-u", "ada"], {}, "ada"],
    [["-u", "ada", "-P", "secret"], { MANJU_PASSWORD: "other" }, "ada", "secret"],
    [["-u", "ada"], { MANJU_PASSWORD: "sécret" }, "ada", "sécret"],
  ]
  for (const [args, environment, username, password] of logins)
    test(`${args.join(" ")} ${JSON.stringify(environment)}: ${username}, ${password}`, async () => {
      const { seen, port } = await identified()
      expect(await publish(port, args, environment).exited).toBe(0)
      expect(seen).toEqual([{ clientId: expect.stringMatching(/^manju-pub-[0-9a-f]{8}$/), username, password }])
    })

  test("user name and password in a URL are decoded", async () => {
    const { seen, port } = await identified()
    const { code } = await manju("pub", "-L", `mqtt://ad%40:s%3Acret@127.0.0.1:${port}/t`, "-m", "x")
    expect([code, seen[0]?.username, seen[0]?.password]).toEqual([0, "ad@", "s:cret"])
  })

  test("-i is the client id, -I begins it, before the number of the process", async () => {
    const { seen, port } = await identified()
    expect(await publish(port, ["-i", "me"]).exited).toBe(0)
    const child = publish(port, ["-I", "job-"])
    expect(await child.exited).toBe(0)
    expect(seen.map(({ clientId }) => clientId)).toEqual(["me", `job-${child.pid}`])
  })

  const question = "Password for ada: "
  for (const answer of ["sécret", ""])
    test(`at a terminal the password is asked for, and not shown: «${answer}»`, async () => {
      const { seen, port, core, broker } = await identified()
      using terminal = new Terminal()
      const before = await terminal.settings()
      terminal.run(manjuCommand("sub", "-h", "127.0.0.1", "-p", String(port), "-u", "ada", "-t", "t", "-C", "1"))
      await terminal.shows(question)
      terminal.press(`${answer}\r`)
      await eventually(() => core.router.subscriptionCount === 1, "the subscription")
      await broker.publish("t", "hello")
      const { code, shown } = await terminal.ended("hello\r\n")
      expect([code, shown.slice(shown.indexOf(question))]).toEqual([0, `${question}\r\nhello\r\n`])
      expect(seen[0]!.password).toBe(answer === "" ? undefined : answer)
      expect(await terminal.settings()).toBe(before)
    })

  test("then lines are read from the terminal, too", async () => {
    const { seen, port, core } = await identified()
    using terminal = new Terminal()
    terminal.run(manjuCommand("pub", "-h", "127.0.0.1", "-p", String(port), "-u", "ada", "-t", "t", "-l", "-q", "1"))
    await terminal.shows(question)
    terminal.press("secret\r")
    await eventually(() => seen.length === 1, "the connection")
    terminal.press("one\rtwo\r")
    await eventually(() => core.metrics.publishReceived === 2, "the lines")
    terminal.press("\x04")
    expect((await terminal.ended("two\r\n")).code).toBe(0)
    expect(seen[0]!.password).toBe("secret")
  })

  test("Ctrl-C at the question is a failure, and nobody is asked", async () => {
    const { seen, port } = await identified()
    using terminal = new Terminal()
    terminal.run(manjuCommand("sub", "-h", "127.0.0.1", "-p", String(port), "-u", "ada", "-t", "t"))
    await terminal.shows(question)
    terminal.press("\x03")
    expect((await terminal.ended("manju: no password was given\r\n")).code).toBe(1)
    expect(seen).toEqual([])
  })
})

describe("at a terminal", () => {
  test("topics have a colour, unless NO_COLOR says otherwise", async () => {
    const served = await serveTcp()
    await served.broker.publish("a/b", "x", { retain: true })
    const command = manjuCommand("sub", ...at(served), "-t", "#", "-v", "-C", "1")
    for (const [environment, painted] of [
      [{ NO_COLOR: undefined, TERM: "xterm-256color" }, "\x1b[36ma/b\x1b[39m x\r\n"],
      [{}, "a/b x\r\n"],
    ] as const) {
      using terminal = new Terminal()
      terminal.run(command, environment)
      expect((await terminal.ended("a/b x\r\n")).code).toBe(0)
      expect(terminal.painted).toBe(painted)
    }
    await served.broker.close({ timeoutMs: 0 })
  })

  test("what others have written does no harm", async () => {
    const served = await serveTcp()
    await served.broker.publish("a", "\x1b[2Jgone", { retain: true })
    using terminal = new Terminal()
    terminal.run(manjuCommand("sub", ...at(served), "-t", "#", "-C", "1"))
    await terminal.ended("gone\r\n")
    expect(terminal.painted).toBe("\\x1b[2Jgone\r\n")
    await served.broker.close({ timeoutMs: 0 })
  })
})

describe("no connection is one line, and exit code 1", () => {
  const failed = async (...args: string[]) => {
    const { code, out, err } = await manju(...args)
    expect([code, out]).toEqual([1, ""])
    expect(err).toMatch(/^manju: [^\n]+\n$/)
    return err.slice("manju: ".length, -1)
  }

  test("nobody listens", async () => {
    using listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } })
    const { port } = listener
    listener.stop(true)
    expect(await failed("pub", "-h", "127.0.0.1", "-p", String(port), "-t", "t", "-n")).toBe(
      `cannot connect to 127.0.0.1:${port}: nothing listens there`,
    )
  })

  test("there is no such host, no such socket", async () => {
    expect(await failed("sub", "-h", "no.such.invalid", "-t", "t")).toBe(
      "cannot connect to no.such.invalid:1883: there is no host of that name",
    )
    expect(await failed("sub", "--unix", "/no/such.sock", "-t", "t")).toBe(
      "cannot connect to /no/such.sock: there is no such socket",
    )
  })

  test("something else listens: TLS, HTTP, nothing that speaks", async () => {
    const { port } = await serve(tcp({ port: 0, auth: allowAll(), tls: certificates.files("server") }))
    expect(await failed("pub", "-p", String(port), "-t", "t", "-n")).toBe(
      `localhost:${port} ended the connection without an answer: does it want TLS?`,
    )
    using web = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("hello") })
    for (const flags of [[], ["--ws"]]) {
      const said = await failed("pub", "-h", "127.0.0.1", "-p", String(web.port), "-t", "t", "-n", ...flags)
      expect(said).toContain(`127.0.0.1:${web.port}`)
    }
    using closing = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: { open: (socket) => void socket.end(), data() {} },
    })
    expect(await failed("pub", "-h", "127.0.0.1", "-p", String(closing.port), "-t", "t", "-n")).toBe(
      `127.0.0.1:${closing.port} ended the connection without an answer: does it want TLS?`,
    )
  })

  const refusals: [version: string, reason: Reason, said: string][] = [
    ["5", Reason.BadUserNameOrPassword, "bad user name or password"],
    ["5", Reason.NotAuthorized, "not authorized"],
    ["5", Reason.Banned, "banned"],
    ["5", Reason.ServerBusy, "server busy"],
    ["311", Reason.BadUserNameOrPassword, "bad user name or password"],
    ["311", Reason.NotAuthorized, "not authorized"],
    ["31", Reason.ServerUnavailable, "server unavailable"],
  ]
  for (const [version, reason, said] of refusals)
    test(`-V ${version}: ${said}`, async () => {
      const { port } = await serve(tcp({ port: 0, auth: { authenticate: () => ({ reason }) } }))
      const flags = ["-h", "127.0.0.1", "-p", String(port), "-V", version]
      expect(await failed("sub", ...flags, "-t", "t")).toBe(`127.0.0.1:${port} refused the connection: ${said}`)
    })

  test("with what the broker says besides", async () => {
    const refusal = { reason: Reason.NotAuthorized, reasonString: "not\x1b[31m today" }
    const { port } = await serve(tcp({ port: 0, auth: { authenticate: () => refusal } }))
    expect(await failed("sub", "-h", "127.0.0.1", "-p", String(port), "-t", "t")).toBe(
      `127.0.0.1:${port} refused the connection: not authorized (not\\x1b[31m today)`,
    )
  })

  test("not even that with --quiet", async () => {
    const ended = await manju("sub", "--unix", "/no/such.sock", "-t", "t", "--quiet")
    expect(ended).toEqual({ code: 1, out: "", err: "" })
  })

  test("files with no keys in them, or with keys of others", async () => {
    const [ca, { cert, key }] = [certificates.path("ca.crt"), certificates.files("client")]
    const encrypted = certificates.path("encrypted.key")
    const other = certificates.files("server").key
    const none = import.meta.path
    const pub = (...args: string[]) => failed("pub", "-h", "127.0.0.1", "-t", "t", "-n", ...args)
    expect(await pub("--cafile", none)).toBe(`${none}: there is no certificate in it`)
    expect(await pub("--cafile", ca, "--cert", none, "--key", key)).toBe(`${none}: there is no certificate in it`)
    expect(await pub("--cafile", ca, "--cert", cert, "--key", none)).toBe(`${none}: there is no private key in it`)
    const mismatch = "the key is not the certificate's"
    expect(await pub("--cafile", ca, "--cert", cert, "--key", other)).toBe(`${cert} and ${other}: ${mismatch}`)
    const secret = "the key is encrypted: its passphrase is asked for at a terminal only; openssl pkey takes it off"
    expect(await pub("--cafile", ca, "--cert", cert, "--key", encrypted)).toBe(`${encrypted}: ${secret}`)
  })

  test("files that are not there", async () => {
    expect(await failed("pub", "-t", "t", "-f", "/no/such")).toBe("/no/such: there is no such file")
    expect(await failed("pub", "-t", "t", "-n", "--cafile", "/no/ca.crt")).toBe("/no/ca.crt: there is no such file")
  })
})

describe("a will", () => {
  test("is published when the connection breaks, as it was described", async () => {
    const served = await serveTcp()
    const wills: string[] = []
    const note = (message: ApplicationMessage) =>
      void wills.push(`${message.topic} ${message.qos} ${message.properties.contentType} ${message.text()}`)
    served.broker.subscribe("w", note, { qos: 2 })
    const will = ["--will-topic", "w", "--will-payload", "gone", "--will-qos", "2", "--will-retain"]
    await using subscriber = await subscribing(served, "-t", "a", ...will, "-D", "will", "content-type", "text/plain")
    subscriber.signal("SIGKILL")
    await eventually(() => wills.length === 1, "the will")
    expect(wills).toEqual(["w 2 text/plain gone"])
    expect(served.core.retained.get("w")).toBeDefined()
    await served.broker.close({ timeoutMs: 0 })
  })
})

describe("what makes no sense is one line, and exit code 2", () => {
  const table: [args: string, message: string][] = [
    ["sub", "what to subscribe to? give -t"],
    ["sub -t a/#/b", "option '-t, --topic <filter>' argument 'a/#/b' is invalid. It takes a topic filter"],
    ["sub -t a -T +a", "option '-T, --filter-out <filter>' argument '+a' is invalid."],
    ["sub -t a -q 3", "option '-q, --qos <qos>' argument '3' is invalid. It takes a whole number from 0 to 2."],
    ["sub -t a -V 4", "argument '4' is invalid. It takes mqttv5, mqttv311 or mqttv31."],
    ["sub -t a -C 0", "option '-C, --count <n>' argument '0' is invalid."],
    ["sub -t a -F %y", "-F: %y is unknown: it takes"],
    ["sub -t a -F %t --json", "option '-F, --format <text>' cannot be used with option '--json'"],
    ["sub -t a -R --retained-only", "option '--retained-only' cannot be used with option '-R, --no-retained'"],
    ["sub -t a -c", "a session that stays takes a client id to come back with: give -i"],
    ["sub -t a -x -1", "a session that stays takes a client id"],
    ["sub -t a -x 1 -V 311", "-x is for MQTT 5: leave -V out, or give -V 5"],
    ["sub -t a -P x", "a password takes a user name: give -u"],
    ["sub -t a -i x -I y", "option '-i, --id <id>' cannot be used with option '-I, --id-prefix <text>'"],
    ["sub -t a --cert x", "a certificate takes both --cert and --key"],
    ["sub -t a --insecure", "--insecure is about TLS: give --cafile, or a URL with mqtts:// or wss://"],
    ["sub -t a --unix x --cafile y", "there is no TLS over a Unix socket"],
    ["sub -t a --unix x -p 1", "option '--unix <path>' cannot be used with option '-p, --port <port>'"],
    ["sub -t a --will-payload x", "a will takes a --will-topic"],
    ["sub -t a --will-topic a/#", "option '--will-topic <topic>' argument 'a/#' is invalid."],
    ["sub -L http://x/y", "-L takes mqtt[s]://"],
    ["sub -L mqtt://x/a/#/b", "-L: 'a/#/b' is no topic. It takes a topic filter"],
    ["sub -L mqtt://%zz@x/a", "-L: a % in a user name or password is written %25"],
    ["sub -L mqtt://x/a --cafile y", "--cafile and --cert are for mqtts://"],
    [
      "sub -t a -D publish content-type x",
      "-D publish: it takes one of connect, subscribe, unsubscribe, disconnect, will first",
    ],
    [
      "pub -t a -m x -D publish colour red",
      "-D publish colour: it takes one of payload-format-indicator, message-expiry-interval",
    ],
    ["pub -t a -m x -D connect content-type x", "-D: content-type is no property of connect"],
    [
      "pub -t a -m x -D publish topic-alias 0",
      "-D publish topic-alias '0' is invalid. It takes a whole number from 1 to 65535.",
    ],
    ["pub -t a -m x -D publish", "-D publish takes one of payload-format-indicator, message-expiry-interval"],
    ["sub -t a -x soon", "argument 'soon' is invalid. It takes seconds from 0 to 4294967295, or -1 for ever."],
    ["pub -t a -m x -D publish user-property a", "-D … user-property takes a name and a value"],
    ["pub -t a -m x -D publish content-type a -D publish content-type b", "-D publish content-type stands there twice"],
    ["pub -m x", "where to publish? give -t"],
    ["pub -t a", "what to publish? give one of -m, -f, -n, -s and -l"],
    ["pub -t a -m x -n", "option '-m, --message <text>' cannot be used with option '-n, --null-message'"],
    [
      "pub -t a/+ -m x",
      "option '-t, --topic <topic>' argument 'a/+' is invalid. It takes a topic: UTF-8, not empty, without + and #.",
    ],
    ["pub -t a -l --repeat 2", "option '--repeat <n>' cannot be used with option '-l, --stdin-line'"],
    ["pub -t a -m x --repeat-delay -1", "argument '-1' is invalid. It takes seconds"],
    ["pub -t a -m x --frob", "unknown option '--frob'"],
    ["pub a", "too many arguments for 'pub'. Expected 0 arguments but got 1: a."],
    ["pub -h", "option '-h, --host <name>' argument missing"],
  ]
  for (const [args, message] of table)
    test.concurrent(`manju ${args}`, async () => {
      const { code, out, err } = await manju(...args.split(" "))
      expect([code, out]).toEqual([2, ""])
      expect(err).toMatch(/^manju: [^\n]+\n$/)
      expect(err).toContain(message)
    })
})

describe("MQTT.js is loaded", () => {
  /** Runs `manju`, ends it when it listens, and counts the modules of MQTT.js that it has loaded. */
  async function modulesOf(...args: string[]): Promise<number> {
    using folder = temporaryFolder()
    const preload = join(folder.path, "preload.ts")
    const count = `Object.keys(require.cache).filter((path) => path.includes("/node_modules/mqtt/")).length`
    await Bun.write(preload, `process.on("exit", () => console.log("modules: " + ${count}))`)
    const [bun, ...command] = manjuCommand(...args)
    await using manju = new LineProcess([bun!, "--preload", preload, ...command])
    let line = await manju.line()
    if (line.includes("listens")) manju.signal("SIGTERM")
    while (!line.startsWith("modules: ")) line = await manju.line()
    return Number(line.slice("modules: ".length))
  }

  test("by pub and sub, when they connect", async () => {
    for (const args of [
      ["pub", "--unix", "/no/such.sock", "-t", "t", "-n"],
      ["sub", "--unix", "/no/such.sock", "-t", "t"],
    ]) {
      expect(await modulesOf(...args)).toBeGreaterThan(10)
    }
  })

  test("by nobody else: not by a broker, nor by who asks for help", async () => {
    const oneDoor = ["start", "--tcp", "0", "--no-ws", "--no-http"]
    for (const args of [oneDoor, ["--version"], ["sub", "--help"]]) expect(await modulesOf(...args)).toBe(0)
  })
})

/** `manju sub` in front of a broker: what it prints, when it ends and how, and what it leaves behind. */
import { describe, expect, setDefaultTimeout, test } from "bun:test"
import { join } from "node:path"
import type { Packet } from "mqtt"
import { allowAll, Broker, type QoS, tcp } from "../../src/index.ts"
import { serve } from "../clients/support.ts"
import { eventually, type Received } from "../listeners/socket.ts"
import { temporaryFolder } from "../support/broker-process.ts"
import { at, type Served, subscribing } from "../support/client-commands.ts"
import { manju, manjuCommand, plain, shellCommand } from "../support/command.ts"
import { LineProcess } from "../support/line-process.ts"
import { type Answering, ScriptedBroker, welcome } from "../support/scripted-broker.ts"

setDefaultTimeout(60_000)

describe("manju sub prints", () => {
  const table: [args: string[], printed: string][] = [
    [[], "one\ntwo words\n"],
    [["-v"], "a/1 one\na/2 two words\nb (null)\n"],
    [["-N"], "onetwo words"],
    [["-v", "-N"], "a/1 onea/2 two words"],
    [["-F", "%t=%p;", "-N"], "a/1=one;a/2=two words;b=;"],
    [["-F", "%q %r %l"], "0 0 3\n0 0 9\n0 0 0\n"],
  ]
  for (const [args, printed] of table)
    test(`with ${args.join(" ") || "no option"}: ${JSON.stringify(printed)}`, async () => {
      await using served = await serve()
      await using subscriber = await subscribing(served, "-t", "#", "-C", "3", ...args)
      await served.broker.publish("a/1", "one")
      await served.broker.publish("a/2", "two words")
      await served.broker.publish("b", "")
      expect(await subscriber.ended()).toBe(0)
      expect([subscriber.out, subscriber.err]).toEqual([printed, ""])
    })

  test("payloads byte for byte", async () => {
    await using served = await serve()
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i)
    await served.broker.publish("bytes", bytes, { retain: true })
    const command = manjuCommand("sub", ...at(served), "-t", "bytes", "-N", "-C", "1")
    const child = Bun.spawn(command, { stdout: "pipe", env: plain })
    expect(await child.stdout.bytes()).toEqual(bytes)
  })

  test("a line of JSON each with --json", async () => {
    await using served = await serve()
    await using subscriber = await subscribing(served, "-t", "a", "--json", "-C", "1")
    await served.broker.publish("a", "x\ny", { qos: 0, properties: { contentType: "text/plain" } })
    const { time, ...line } = JSON.parse(await subscriber.line())
    expect(line).toEqual({
      topic: "a",
      qos: 0,
      retain: false,
      payload: "x\ny",
      properties: { contentType: "text/plain" },
    })
    expect(Math.abs(Date.parse(time) - Date.now())).toBeLessThan(60_000)
  })

  test("what matches any -t, but nothing that matches a -T", async () => {
    await using served = await serve()
    await using subscriber = await subscribing(served, "-t", "a/#", "-t", "b", "-T", "a/+/x", "-T", "a/y/#", "-v")
    for (const topic of ["a/1", "a/1/x", "a/y", "a/y/z", "c", "b", "a/1/x/x"]) await served.broker.publish(topic, "-")
    expect([await subscriber.line(), await subscriber.line(), await subscriber.line()]).toEqual([
      ...["a/1 -", "b -", "a/1/x/x -"],
    ])
  })

  test("at the QoS of -q at most", async () => {
    await using served = await serve()
    await using subscriber = await subscribing(served, "-t", "#", "-q", "1", "-F", "%q")
    for (const qos of [0, 1, 2] as const) await served.broker.publish("a", "-", { qos })
    expect([await subscriber.line(), await subscriber.line(), await subscriber.line()]).toEqual(["0", "1", "1"])
  })

  test("a topic that comes as an alias, at every QoS", async () => {
    await using served = await serve()
    const alias = ["-D", "connect", "topic-alias-maximum", "5"]
    await using subscriber = await subscribing(served, "-t", "#", "-q", "2", "-F", "%t %p %A", "-C", "12", ...alias)
    const expected: string[] = []
    for (const qos of [0, 1, 2] as const)
      for (const topic of ["a/long/topic", "another/long/topic", "a/long/topic", "another/long/topic"]) {
        await served.broker.publish(topic, String(qos), { qos })
        expected.push(`${topic} ${qos}`)
      }
    await subscriber.ended()
    const lines = subscriber.out.trimEnd().split("\n")
    expect(lines.map((line) => line.replace(/ \d*$/, ""))).toEqual(expected)
    expect(lines.filter((line) => / [12]$/.test(line)).length).toBeGreaterThan(6)
  })
})

describe("retained messages", () => {
  const filled = async () => {
    const served = await serve()
    for (const name of ["a", "b", "c"]) await served.broker.publish(`kept/${name}`, name, { retain: true, qos: 1 })
    return served
  }

  test("come first, and -R leaves them out", async () => {
    await using served = await filled()
    await using all = await subscribing(served, "-t", "kept/#", "-C", "4", "-F", "%p%r")
    await using fresh = await subscribing(served, "-t", "kept/#", "-C", "1", "-R", "-F", "%p%r")
    await served.broker.publish("kept/d", "d", { retain: true })
    await Promise.all([all.ended(), fresh.ended()])
    expect([all.out, fresh.out]).toEqual(["a1\nb1\nc1\nd0\n", "d0\n"])
  })

  test("are the only ones with --retained-only, which ends at the first other", async () => {
    await using served = await filled()
    await using subscriber = await subscribing(served, "-t", "kept/#", "--retained-only", "-v")
    for (const name of ["a", "b", "c"]) expect(await subscriber.line()).toBe(`kept/${name} ${name}`)
    await served.broker.publish("kept/d", "d")
    expect(await subscriber.ended()).toBe(0)
    expect(subscriber.out).toBe("kept/a a\nkept/b b\nkept/c c\n")
  })

  test("are cleared with --remove-retained, but those of -T, before it ends", async () => {
    await using served = await filled()
    const { code, out } = await manju(
      "sub",
      ...at(served),
      "-t",
      "kept/#",
      "-T",
      "kept/b",
      "--remove-retained",
      "-C",
      "2",
    )
    expect([code, out]).toEqual([0, "a\nc\n"])
    const left = ["a", "b", "c"].filter((name) => served.core.retained.get(`kept/${name}`) !== undefined)
    expect(left).toEqual(["b"])
  })

  test("keep their flag as it was published with --retain-as-published", async () => {
    await using served = await serve()
    const flags = ["-t", "a", "-F", "%r", "-C", "1"]
    await using before = await subscribing(served, ...flags)
    await using after = await subscribing(served, ...flags, "--retain-as-published")
    await served.broker.publish("a", "x", { retain: true })
    expect([await before.line(), await after.line()]).toEqual(["0", "1"])
  })
})

/** A will, and whether it was published: what tells a DISCONNECT from a connection that broke. */
const will = ["--will-topic", "will", "--will-payload", "gone", "--will-qos", "1"]
const willsOf = ({ broker }: Served) => {
  const wills: string[] = []
  broker.subscribe("will", (message) => void wills.push(message.text()))
  return wills
}

describe("manju sub ends", () => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    test(`with 0 and a DISCONNECT at ${signal}`, async () => {
      await using served = await serve()
      const wills = willsOf(served)
      const before = served.core.peers.size
      await using subscriber = await subscribing(served, "-t", "a", ...will)
      await served.broker.publish("a", "x")
      expect(await subscriber.line()).toBe("x")
      subscriber.signal(signal)
      expect(await subscriber.ended()).toBe(0)
      await eventually(() => served.core.peers.size === before, "its departure")
      expect([wills, subscriber.out, subscriber.err]).toEqual([[], "x\n", ""])
    })

  test("without one when it is killed, so that its will is published", async () => {
    await using served = await serve()
    const wills = willsOf(served)
    await using subscriber = await subscribing(served, "-t", "a", ...will)
    subscriber.signal("SIGKILL")
    await eventually(() => wills.length > 0, "the will")
    expect(wills).toEqual(["gone"])
  })

  test("with 27 and a DISCONNECT when the time of -W is over, as mosquitto_sub does", async () => {
    await using served = await serve()
    const wills = willsOf(served)
    await served.broker.publish("a", "kept", { retain: true })
    const { code, out, err } = await manju("sub", ...at(served), "-t", "a", "-W", "1", ...will)
    expect([code, out, err]).toEqual([27, "kept\n", "manju: timed out after a second\n"])
    expect(wills).toEqual([])
  })

  test("with 0 when its subscriptions are acknowledged, with -E, and the session is there", async () => {
    await using served = await serve()
    const session = ["-i", "keeper", "-c", "-x", "300", "-q", "1", "-t", "a"]
    expect(await manju("sub", ...at(served), ...session, "-E")).toEqual({ code: 0, out: "", err: "" })
    await served.broker.publish("a", "meanwhile", { qos: 1 })
    expect(await manju("sub", ...at(served), ...session, "-C", "1")).toEqual({ code: 0, out: "meanwhile\n", err: "" })
  })

  test("with -E before anything that comes because of them", async () => {
    await using served = await serve()
    for (const topic of ["a/1", "a/2", "a/3"]) await served.broker.publish(topic, "kept", { retain: true })
    expect(await manju("sub", ...at(served), "-t", "a/#", "-q", "1", "-E")).toEqual({ code: 0, out: "", err: "" })
  })

  test("with 0 when whoever reads its output wants no more", async () => {
    await using served = await serve()
    const sub = shellCommand("sub", ...at(served), "-t", "a")
    await using shell = new LineProcess(["bash", "-c", `${sub} | head -n 1; echo ended \${PIPESTATUS[0]}`])
    await eventually(() => served.core.router.subscriptionCount === 1, "the subscription")
    await served.broker.publish("a", "first")
    expect(await shell.line()).toBe("first")
    await eventually(() => {
      void served.broker.publish("a", "more")
      return served.core.peers.size === 0
    }, "its departure")
    expect(await shell.line()).toBe("ended 0")
    expect(shell.err).toBe("")
  })

  test("with 1 when its output cannot be written", async () => {
    await using served = await serve()
    await served.broker.publish("a", "x", { retain: true })
    const sub = shellCommand("sub", ...at(served), "-t", "a")
    await using shell = new LineProcess(["bash", "-c", `${sub} > /dev/full`])
    expect(await shell.ended()).toBe(1)
    expect(shell.err).toMatch(/^manju: cannot write to standard output: .*no space left.*\n$/i)
  })

  test("also when that was the last message of -C", async () => {
    await using served = await serve()
    await served.broker.publish("a", "x", { retain: true })
    const sub = shellCommand("sub", ...at(served), "-t", "a", "-C", "1")
    await using shell = new LineProcess(["bash", "-c", `${sub} > /dev/full`])
    expect(await shell.ended()).toBe(1)
    expect(shell.err).toMatch(/^manju: cannot write to standard output: .*no space left.*\n$/i)
  })

  for (const qos of ["1", "2"])
    test(`then the message is not acknowledged, and comes again: QoS ${qos}`, async () => {
      await using served = await serve()
      const args = [...at(served), "-t", "a", "-q", qos, "-c", "-i", "keeper"]
      await manju("sub", ...args, "-E")
      await served.broker.publish("a", "first", { qos: 2 })
      for (const count of [["-C", "1"], []]) {
        const sub = shellCommand("sub", ...args, ...count)
        await using shell = new LineProcess(["bash", "-c", `${sub} > /dev/full`])
        expect(await shell.ended()).toBe(1)
      }
      expect((await manju("sub", ...args, "-C", "1", "-W", "20")).out).toBe("first\n")
    })
})

describe("a session that stays, -c", () => {
  for (const [version, expiry] of [
    ["311", []],
    ["5", ["-x", "300"]],
  ] as const)
    for (const qos of [1, 2] as const)
      test(`keeps what comes beyond the count of -C: ${version}, QoS ${qos}`, async () => {
        await using served = await serve()
        const session = ["-V", version, "-i", "keeper", "-c", ...expiry, "-q", String(qos), "-t", "a"]
        expect(await manju("sub", ...at(served), ...session, "-E")).toMatchObject({ code: 0 })
        for (let i = 1; i <= 5; i++) await served.broker.publish("a", String(i), { qos })
        const printed: string[] = []
        for (let i = 0; i < 2; i++) printed.push((await manju("sub", ...at(served), ...session, "-C", "2")).out)
        await served.broker.publish("a", "last", { qos })
        printed.push((await manju("sub", ...at(served), ...session, "-C", "2")).out)
        expect(printed).toEqual(["1\n2\n", "3\n4\n", "5\nlast\n"])
      })

  test("loses a subscription with -U", async () => {
    await using served = await serve()
    const session = ["-i", "keeper", "-c", "-x", "300", "-q", "1"]
    await manju("sub", ...at(served), ...session, "-t", "a", "-t", "b", "-E")
    expect(served.core.router.subscriptionCount).toBe(2)
    expect(await manju("sub", ...at(served), ...session, "-U", "a", "-E")).toEqual({ code: 0, out: "", err: "" })
    expect(served.core.router.subscriptionCount).toBe(1)
  })
})

describe("a subscription that is refused", () => {
  const guarded = async () => {
    const broker = new Broker()
    const authorize = (_: unknown, action: string, topic: string) =>
      action !== "subscribe" || !topic.startsWith("secret")
    const { port } = await broker.listen(tcp({ port: 0, auth: { authenticate: () => true, authorize } }))
    return { broker, port, [Symbol.asyncDispose]: () => broker.close({ timeoutMs: 0 }) }
  }

  for (const version of ["5", "311"])
    test(`-V ${version}: is a failure when there is no other`, async () => {
      await using served = await guarded()
      const { code, out, err } = await manju("sub", ...at(served), "-V", version, "-t", "secret/#")
      const reason = version === "5" ? "not authorized" : "unspecified error"
      expect([code, out]).toEqual([1, ""])
      expect(err).toBe(`manju: 127.0.0.1:${served.port} refused the subscription to secret/#: ${reason}\n`)
    })

  test("is told, and the others go on", async () => {
    await using served = await guarded()
    await served.broker.publish("a", "x", { retain: true })
    const { code, out, err } = await manju("sub", ...at(served), "-t", "secret/#", "-t", "a", "-C", "1")
    expect([code, out]).toEqual([0, "x\n"])
    expect(err).toBe(`manju: 127.0.0.1:${served.port} refused the subscription to secret/#: not authorized\n`)
  })
})

describe("a connection that is lost", () => {
  test("is made again, and what was subscribed is subscribed again", async () => {
    const first = await serve()
    const { port } = first
    await using subscriber = await subscribing(first, "-t", "a")
    await first.broker.publish("a", "before")
    expect(await subscriber.line()).toBe("before")
    await first.broker.close({ timeoutMs: 0 })
    await subscriber.complains(`the connection to 127.0.0.1:${port} is lost: server shutting down; trying again`)
    await using second = new Broker()
    await second.listen(tcp({ port, auth: allowAll() }))
    await subscriber.complains(`127.0.0.1:${port} is there again`)
    let came = ""
    void subscriber.line().then((line) => (came = line))
    await eventually(() => {
      void second.publish("a", "after")
      return came === "after"
    }, "a message after that")
  })

  test("is not, where somebody else has taken the session over", async () => {
    await using served = await serve()
    await using old = await subscribing(served, "-t", "a", "-i", "same")
    await using young = new LineProcess(manjuCommand("sub", ...at(served), "-t", "a", "-i", "same"))
    expect(await old.ended()).toBe(1)
    expect(old.err).toBe(`manju: 127.0.0.1:${served.port} ended the connection: session taken over\n`)
    await eventually(() => served.core.router.subscriptionCount === 1, "the other's subscription")
    await served.broker.publish("a", "mine")
    expect(await young.line()).toBe("mine")
  })
})

/** Lets in, and grants what is asked for. */
function hospitable(packet: Received, client: Answering): void {
  const { cmd, messageId, subscriptions } = packet
  if (cmd === "connect") client.send(welcome())
  if (cmd === "subscribe") client.send({ cmd: "suback", messageId: messageId!, granted: subscriptions.map(() => 2) })
  if (cmd === "pingreq") client.send({ cmd: "pingresp" })
  if (cmd === "disconnect") client.end()
}

const publish = (qos: QoS, payload: string | Buffer, fields: object = {}) =>
  ({ cmd: "publish", topic: "a", qos, payload, retain: false, dup: false, messageId: 1, ...fields }) as Packet

describe("a message of QoS 2", () => {
  test("is printed once, however often it comes, until it is released", async () => {
    let connects = 0
    const answers: Record<string, (client: Answering) => void> = {
      "1 subscribe": ({ send }) => send(publish(2, "one")),
      "1 pubrec": ({ end }) => end(), // PUBREL is lost with the connection, PUBREC as well, as far as the broker knows
      "2 connect": ({ send }) => send(publish(2, "one", { dup: true })),
      "2 pubrec": ({ send }) => send({ cmd: "pubrel", messageId: 1 }),
      "2 pubcomp": ({ send }) => send(publish(2, "two", { dup: true })), // the first time it went astray
    }
    using broker = new ScriptedBroker((packet, client) => {
      if (packet.cmd === "connect") connects++
      if (packet.cmd === "connect" && connects === 2) client.send({ ...welcome(), sessionPresent: true } as Packet)
      else hospitable(packet, client)
      answers[`${connects} ${packet.cmd}`]?.(client)
      if (packet.cmd === "pubcomp") delete answers["2 pubrec"]
    })
    const session = ["-i", "keeper", "-c", "-q", "2"]
    await using subscriber = new LineProcess(manjuCommand("sub", ...at(broker), ...session, "-t", "a"))
    expect([await subscriber.line(), await subscriber.line()]).toEqual(["one", "two"])
    expect(broker.count("pubrec")).toBe(3)
  })
})

test("what comes while retained messages are still being cleared is neither printed nor acknowledged", async () => {
  using broker = new ScriptedBroker((packet, client) => {
    hospitable(packet, client)
    if (packet.cmd === "subscribe") client.send(publish(1, "kept", { retain: true, messageId: 7 }))
    if (packet.cmd !== "pingreq") return // the sign of life of a client that waits
    client.send(publish(1, "too late", { messageId: 8 }))
    client.send({ cmd: "puback", messageId: broker.packets.find(({ cmd }) => cmd === "publish")!.messageId! })
  })
  const flags = ["-t", "a", "-q", "1", "-C", "1", "-k", "1", "--remove-retained"]
  expect(await manju("sub", ...at(broker), ...flags)).toEqual({ code: 0, out: "kept\n", err: "" })
  const commands = broker.packets.map(({ cmd, messageId }) => (cmd === "puback" ? `${cmd} ${messageId}` : cmd))
  expect(commands).toEqual(["connect", "subscribe", "publish", "puback 7", "pingreq", "disconnect"])
})

describe("a reader of the output that takes its time", () => {
  test("makes the broker wait for acknowledgements, for longer than the keep-alive, and gets everything", async () => {
    using folder = temporaryFolder()
    const go = join(folder.path, "go")
    expect(Bun.spawnSync(["mkfifo", go]).exitCode).toBe(0)
    const payloads = Array.from({ length: 10 }, (_, i) => String(i).repeat(200 * 1024))
    using broker = new ScriptedBroker((packet, client) => {
      hospitable(packet, client)
      if (packet.cmd !== "subscribe") return
      for (const [i, payload] of payloads.entries()) client.send(publish(1, payload, { messageId: i + 1 }))
    })
    const sub = shellCommand("sub", ...at(broker), "-t", "a", "-q", "1", "-k", "1", "-C", "10")
    await using shell = new LineProcess([
      "bash",
      "-c",
      `${sub} | { read -r _ < '${go}'; cat; }; echo \${PIPESTATUS[0]}`,
    ])
    await eventually(() => broker.count("pingreq") >= 5, "life while nothing is read")
    expect([broker.count("connect"), broker.count("puback")]).toEqual([1, 0])
    await Bun.write(go, "\n")
    expect(await shell.ended()).toBe(0)
    expect(shell.out).toBe([...payloads, "0", ""].join("\n"))
    expect([broker.count("connect"), broker.count("puback")]).toEqual([1, 10])
  })
})

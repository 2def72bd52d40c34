/** `manju pub` in front of a broker: what arrives, when it is acknowledged, and what it says when it is not. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test"
import { join } from "node:path"
import { allowAll, Broker, type PublishProperties, Reason, tcp } from "../../src/index.ts"
import { describeWith, serve } from "../clients/support.ts"
import { eventually } from "../listeners/socket.ts"
import { temporaryFolder } from "../support/broker-process.ts"
import { at, type Served } from "../support/client-commands.ts"
import { manju, manjuCommand, manjuFed, shellCommand } from "../support/command.ts"
import { LineProcess } from "../support/line-process.ts"
import { Mosquitto, mosquittoPath } from "../support/mosquitto.ts"
import { connect, endClients } from "../support/mqttjs.ts"
import { ScriptedBroker, welcome } from "../support/scripted-broker.ts"

setDefaultTimeout(60_000)
afterEach(endClients)

interface Arrival {
  line: string
  properties: PublishProperties
}

/** What clients publish to a broker, as `topic qos retain payload`. */
function arrivalsAt({ broker }: Pick<Served, "broker">): Arrival[] {
  const arrivals: Arrival[] = []
  broker.use({
    onMessage(message) {
      const { topic, qos, retain, properties } = message
      arrivals.push({ line: `${topic} ${qos} ${retain ? 1 : 0} ${message.text()}`, properties })
    },
  })
  return arrivals
}

const linesOf = (arrivals: readonly Arrival[]) => arrivals.map(({ line }) => line)
const done = { code: 0, out: "", err: "" }

describe("manju pub publishes", () => {
  const table: [args: string[], input: string, lines: string[]][] = [
    [["-m", "hi there"], "", ["t 0 0 hi there"]],
    [["-m", ""], "", ["t 0 0 "]],
    [["-m", "-5"], "", ["t 0 0 -5"]],
    [["-n", "-r"], "", ["t 0 1 "]],
    [["-m", "on", "-r", "-q", "1"], "", ["t 1 1 on"]],
    [["-m", "once", "-q", "2"], "", ["t 2 0 once"]],
    [["-s"], "one\ntwo\n", ["t 0 0 one\ntwo\n"]],
    [["-l"], "one\ntwo\n\nfour", ["t 0 0 one", "t 0 0 two", "t 0 0 ", "t 0 0 four"]],
    [["-l", "-q", "1", "-r"], "one\ntwo\n", ["t 1 1 one", "t 1 1 two"]],
    [["-l"], "", []],
    [["-m", "tick", "--repeat", "3"], "", ["t 0 0 tick", "t 0 0 tick", "t 0 0 tick"]],
    [
      ["-m", "tick", "--repeat", "3", "--repeat-delay", "0.01", "-q", "2"],
      "",
      ["t 2 0 tick", "t 2 0 tick", "t 2 0 tick"],
    ],
  ]
  for (const [args, input, lines] of table)
    test(`${args.join(" ")}${input === "" ? "" : ` < ${JSON.stringify(input)}`}`, async () => {
      await using served = await serve()
      const arrivals = arrivalsAt(served)
      expect(await manjuFed(input, "pub", ...at(served), "-t", "t", ...args)).toEqual(done)
      await eventually(() => arrivals.length === lines.length, "the messages")
      expect(linesOf(arrivals)).toEqual(lines)
    })

  test("a file byte for byte with -f", async () => {
    await using served = await serve()
    using folder = temporaryFolder()
    const path = join(folder.path, "bytes")
    const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => i)
    await Bun.write(path, bytes)
    expect(await manju("pub", ...at(served), "-t", "t", "-f", path, "-r", "-q", "1")).toEqual(done)
    const command = manjuCommand("sub", ...at(served), "-t", "t", "-N", "-C", "1")
    expect(await Bun.spawn(command, { stdout: "pipe" }).stdout.bytes()).toEqual(bytes)
  })

  test("what -D says of the message", async () => {
    await using served = await serve()
    const arrivals = arrivalsAt(served)
    const properties = [
      ["content-type", "text/plain"],
      ["response-topic", "answers"],
      ["correlation-data", "17"],
      ["payload-format-indicator", "1"],
      ["message-expiry-interval", "60"],
      ["user-property", "a", "1"],
      ["user-property", "a", "2"],
      ["user-property", "offset", "-5"],
      ["topic-alias", "3"],
    ].flatMap((property) => ["-D", "publish", ...property])
    expect(await manju("pub", ...at(served), "-t", "t", "-m", "x", "-q", "1", ...properties)).toEqual(done)
    expect(arrivals[0]!.properties).toEqual({
      contentType: "text/plain",
      responseTopic: "answers",
      correlationData: Buffer.from("17"),
      payloadFormatIndicator: true,
      messageExpirySeconds: 60,
      userProperties: [
        ["a", "1"],
        ["a", "2"],
        ["offset", "-5"],
      ],
    })
  })
})

describe("standard input, line by line", () => {
  const lines = Array.from({ length: 10_000 }, (_, i) => `line ${i}`)

  for (const qos of [0, 1, 2] as const)
    test(`10,000 lines at QoS ${qos} all arrive, in order, before it ends`, async () => {
      await using served = await serve()
      const arrivals = arrivalsAt(served)
      expect(await manjuFed(`${lines.join("\n")}\n`, "pub", ...at(served), "-t", "t", "-l", "-q", String(qos))).toEqual(
        done,
      )
      if (qos === 0) await eventually(() => arrivals.length === lines.length, "the rest")
      expect(linesOf(arrivals)).toEqual(lines.map((line) => `t ${qos} 0 ${line}`))
    })

  test("more than there are packet identifiers, of which mosquitto_pub 2.0.11 loses the rest", async () => {
    await using served = await serve()
    const arrivals = arrivalsAt(served)
    const many = Array.from({ length: 70_000 }, (_, i) => String(i))
    expect(await manjuFed(`${many.join("\n")}\n`, "pub", ...at(served), "-t", "t", "-l", "-q", "1")).toEqual(done)
    expect(arrivals.length).toBe(many.length)
    expect(arrivals.at(-1)!.line).toBe("t 1 0 69999")
  })

  test("is published as it comes, not when it ends", async () => {
    await using served = await serve()
    const arrivals = arrivalsAt(served)
    await using publisher = new LineProcess(manjuCommand("pub", ...at(served), "-t", "t", "-l", "-q", "1"))
    for (const line of ["one", "two"]) {
      await publisher.tell(`${line}\n`)
      await eventually(() => arrivals.at(-1)?.line === `t 1 0 ${line}`, line)
    }
    await publisher.hangUp()
    expect(await publisher.ended()).toBe(0)
  })

  for (const [what, args, properties, most] of [
    ["-M", ["-M", "7"], {}, 7],
    ["20, with nothing said", [], {}, 20],
    ["what the broker takes", ["-M", "500"], { receiveMaximum: 3 }, 3],
  ] as const)
    test(`no more wait for their acknowledgement than ${what}; the rest is not read`, async () => {
      const held: Parameters<ConstructorParameters<typeof ScriptedBroker>[0]>[] = []
      let isHolding = true
      using broker = new ScriptedBroker((packet, client) => {
        if (packet.cmd === "connect") client.send(welcome(properties))
        if (packet.cmd === "pingreq") client.send({ cmd: "pingresp" })
        if (packet.cmd === "publish" && isHolding) held.push([packet, client])
        else if (packet.cmd === "publish") client.send({ cmd: "puback", messageId: packet.messageId! })
        if (packet.cmd === "disconnect") client.end()
      })
      const command = manjuCommand("pub", ...at(broker), "-t", "t", "-l", "-q", "1", ...args)
      await using publisher = new LineProcess(command)
      void publisher.tell("x\n".repeat(1000)).then(() => publisher.hangUp())
      await eventually(() => held.length === most, "as many as may wait")
      const [first, client] = held[0]!
      client.send({ cmd: "puback", messageId: first.messageId! })
      await eventually(() => held.length === most + 1, "one more for one that is acknowledged")
      expect(broker.count("publish")).toBe(most + 1)
      isHolding = false
      for (const [{ messageId }, { send }] of held.slice(1)) send({ cmd: "puback", messageId: messageId! })
      expect(await publisher.ended()).toBe(0)
      expect(broker.count("publish")).toBe(1000)
    })
})

describe("standard input that cannot be read is one line, and exit code 1", () => {
  for (const flag of ["-l", "-s"])
    test(`${flag} < folder`, async () => {
      await using served = await serve()
      const command = shellCommand("pub", ...at(served), "-t", "a", flag)
      await using shell = new LineProcess(["bash", "-c", `${command} < /`])
      expect(await shell.ended()).toBe(1)
      expect(shell.err).toBe("manju: cannot read standard input: is a folder\n")
    })
})

describe("what is not acknowledged is a failure", () => {
  const silent = () =>
    new ScriptedBroker((packet, client) => {
      if (packet.cmd === "connect") client.send(welcome())
      if (packet.cmd === "disconnect") client.end()
    })

  for (const signal of ["SIGINT", "SIGTERM"] as const)
    test(`${signal} ends it with DISCONNECT, and says what is left`, async () => {
      using broker = silent()
      await using publisher = new LineProcess(manjuCommand("pub", ...at(broker), "-t", "t", "-m", "x", "-q", "1"))
      await eventually(() => broker.count("publish") === 1, "the message")
      publisher.signal(signal)
      expect(await publisher.ended()).toBe(1)
      expect(publisher.err).toBe("manju: stopped with 0 of 1 messages acknowledged\n")
      expect(broker.packets.at(-1)!.cmd).toBe("disconnect")
    })

  test("a signal while it waits for lines leaves nothing undone", async () => {
    await using served = await serve()
    const arrivals = arrivalsAt(served)
    await using publisher = new LineProcess(manjuCommand("pub", ...at(served), "-t", "t", "-l"))
    await publisher.tell("one\n")
    await eventually(() => arrivals.length === 1, "the line")
    publisher.signal("SIGINT")
    expect([await publisher.ended(), publisher.err]).toEqual([0, ""])
  })

  test("so is a broker that ends the connection", async () => {
    using broker = new ScriptedBroker((packet, client) => {
      if (packet.cmd === "connect") client.send(welcome())
      if (packet.cmd === "publish") client.end()
    })
    const ended = await manju("pub", ...at(broker), "-t", "t", "-m", "x", "-q", "1")
    expect(ended).toEqual({ code: 1, out: "", err: `manju: 127.0.0.1:${broker.port} ended the connection\n` })
  })

  test("and one that does so again and again, for what is sent again", async () => {
    using broker = new ScriptedBroker((packet, client) => {
      if (packet.cmd === "connect") client.send(welcome())
      if (packet.cmd === "publish") client.end()
    })
    const { code, err } = await manjuFed("x\n", "pub", ...at(broker), "-t", "t", "-l", "-q", "1")
    expect(code).toBe(1)
    const last = `manju: 127.0.0.1:${broker.port} ends the connection again and again without an acknowledgement`
    expect(err.trimEnd().split("\n").at(-1)).toBe(last)
  })

  test("lines outlive a broker that comes back", async () => {
    const first = await serve()
    const { port } = first
    const arrivals = arrivalsAt(first)
    await using publisher = new LineProcess(manjuCommand("pub", ...at(first), "-t", "t", "-l", "-q", "1"))
    await publisher.tell("one\n")
    await eventually(() => arrivals.length === 1, "the first line")
    await first.broker.close({ timeoutMs: 0 })
    await publisher.complains("trying again")
    await publisher.tell("two\nthree\n")
    await using second = new Broker()
    const later = arrivalsAt({ broker: second })
    await second.listen(tcp({ port, auth: allowAll() }))
    await publisher.tell("four\n")
    await publisher.hangUp()
    expect(await publisher.ended()).toBe(0)
    expect(linesOf(later)).toEqual(["t 1 0 two", "t 1 0 three", "t 1 0 four"])
  })
})

describe("a message that is refused", () => {
  const refusing = async (reason: Reason, isRefused: (payload: string) => boolean = () => true) => {
    const served = await serve()
    served.broker.use({ onMessage: (message) => (isRefused(message.text()) ? reason : undefined) })
    return served
  }

  for (const qos of ["1", "2"])
    test(`is a failure, in the reason's words: QoS ${qos}`, async () => {
      await using served = await refusing(Reason.QuotaExceeded)
      const { code, out, err } = await manju("pub", ...at(served), "-t", "t", "-m", "x", "-q", qos)
      expect([code, out]).toEqual([1, ""])
      expect(err).toBe(`manju: 127.0.0.1:${served.port} refused the message: quota exceeded\n`)
    })

  test("among others is told when it happens and counted in the end; the others are published", async () => {
    await using served = await refusing(Reason.NotAuthorized, (payload) => payload.startsWith("bad"))
    const arrivals = arrivalsAt(served)
    const { code, err } = await manjuFed("a\nbad\nb\nbad\nc\n", "pub", ...at(served), "-t", "t", "-l", "-q", "1")
    expect(code).toBe(1)
    const place = `127.0.0.1:${served.port}`
    expect(err).toMatch(new RegExp(`^manju: ${place} refused message \\d: not authorized\n`))
    expect(err).toEndWith(`manju: ${place} refused 2 of 5 messages: not authorized\n`)
    expect(linesOf(arrivals)).toEqual(["t 1 0 a", "t 1 0 b", "t 1 0 c"])
  })

  test("with --quiet, by the exit code alone", async () => {
    await using served = await refusing(Reason.NotAuthorized)
    const ended = await manju("pub", ...at(served), "-t", "t", "-m", "x", "-q", "1", "--quiet")
    expect(ended).toEqual({ code: 1, out: "", err: "" })
  })

  test("because it is too large, is not sent at all", async () => {
    await using served = await serve({ limits: { maximumPacketBytes: 1000 } })
    const { code, err } = await manjuFed("x".repeat(2000), "pub", ...at(served), "-t", "t", "-s", "-q", "1")
    expect(code).toBe(1)
    expect(err).toBe(`manju: 127.0.0.1:${served.port} refused the message: packets may have 1000 bytes there\n`)
  })
})

const isInstalled = mosquittoPath !== null && Bun.which("mosquitto_sub") !== null

describeWith(
  "mosquitto",
  isInstalled,
  "apt-get install mosquitto mosquitto-clients",
)("with Debian's mosquitto", () => {
  for (const version of ["mqttv31", "mqttv311", "mqttv5"])
    for (const qos of ["0", "1", "2"])
      test(`${version}, QoS ${qos}: what manju pub publishes, manju sub and mosquitto_sub print`, async () => {
        await using broker = await Mosquitto.start("allow_anonymous true")
        const options = [...at(broker), "-V", version, "-q", qos, "-t", "a/b"]
        const reading = ["-v", "-C", "10"]
        await using ours = new LineProcess(manjuCommand("sub", ...options, "-i", "ours", ...reading))
        await using theirs = new LineProcess(["mosquitto_sub", ...options, "-i", "theirs", ...reading])
        for (const id of ["ours", "theirs"]) await broker.logs(`Sending SUBACK to ${id}`)
        const lines = Array.from({ length: 10 }, (_, i) => `line ${i}`)
        expect(await manjuFed(`${lines.join("\n")}\n`, "pub", ...options, "-l")).toEqual(done)
        expect([await ours.ended(), await theirs.ended()]).toEqual([0, 0])
        expect(ours.out).toBe(lines.map((line) => `a/b ${line}\n`).join(""))
        expect(ours.out).toBe(theirs.out)
        await broker.logs("Received DISCONNECT from ours")
      })

  test("mqttv5: properties travel from pub to sub", async () => {
    await using broker = await Mosquitto.start("allow_anonymous true")
    await using subscriber = new LineProcess(
      manjuCommand("sub", ...at(broker), "-i", "reader", "-t", "p", "-C", "1", "-F", "%C|%R|%D|%F|%P|%p"),
    )
    await broker.logs("Sending SUBACK to reader")
    const properties = [
      ["content-type", "text/plain"],
      ["response-topic", "answers"],
      ["correlation-data", "17"],
      ["payload-format-indicator", "1"],
      ["user-property", "a", "1"],
    ].flatMap((property) => ["-D", "publish", ...property])
    expect(await manju("pub", ...at(broker), "-t", "p", "-m", "hi", ...properties)).toEqual(done)
    expect(await subscriber.line()).toBe("text/plain|answers|17|1|a:1|hi")
  })

  test("a message that its rules refuse", async () => {
    using folder = temporaryFolder()
    const rules = join(folder.path, "acl.txt")
    await Bun.write(rules, "topic read #\n")
    await using broker = await Mosquitto.start("allow_anonymous true", `acl_file ${rules}`)
    const { code, err } = await manju("pub", ...at(broker), "-t", "a", "-m", "x", "-q", "1")
    expect([code, err]).toEqual([1, `manju: 127.0.0.1:${broker.port} refused the message: not authorized\n`])
  })
})

test("what it publishes is heard by MQTT.js", async () => {
  await using served = await serve()
  const { client, inbox } = await connect(served.port, 5)
  await client.subscribeAsync("#", { qos: 2 })
  expect(await manju("pub", ...at(served), "-t", "a", "-m", "grün", "-q", "2")).toEqual(done)
  expect(await inbox.take(1)).toEqual(["a grün"])
})

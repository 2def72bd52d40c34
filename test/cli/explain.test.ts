/** `manju explain` against a broker that runs: what it prints, what it follows, and how it ends. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { RawClient } from "../listeners/socket.ts"
import { BrokerProcess, temporaryFolder } from "../support/broker-process.ts"
import { manjuCommand, manjuWith } from "../support/command.ts"
import { LineProcess } from "../support/line-process.ts"
import { cheapHash } from "../support/password-file.ts"

setDefaultTimeout(60_000)

const TOKEN = "correct-horse-battery"
const folder = temporaryFolder()
const path = (name: string) => join(folder.path, name)
let broker: BrokerProcess
let environment: Record<string, string>

const as = (username: string) => ({ username, password: Buffer.from(`${username}'s`) })
const connect = (clientId: string, username: string) => RawClient.connect(broker.port, clientId, 5, as(username))
const explain = (...args: string[]) => manjuWith(environment, "explain", ...args)

beforeAll(async () => {
  const users = await Promise.all(["ada", "bob"].map(async (name) => `${name}:${await cheapHash(`${name}'s`)}\n`))
  writeFileSync(path("users.txt"), users.join(""))
  writeFileSync(path("acl.txt"), "user ada\ntopic write a/#\ntopic deny a/secret\n\nuser bob\ntopic read a/#\n")
  const files = ["--passwords", path("users.txt"), "--acl", path("acl.txt")]
  const doors = ["--tcp", "0", "--no-ws", "--http", "0"]
  broker = await BrokerProcess.runWith({ MANJU_ADMIN_TOKEN: TOKEN }, "start", ...doors, ...files)
  const url = `http://127.0.0.1:${broker.portOf("http")}`
  environment = { MANJU_ADMIN_URL: url, MANJU_ADMIN_TOKEN: TOKEN, TZ: "UTC" }
})
afterAll(async () => {
  await broker.kill()
  folder[Symbol.dispose]()
})

describe("manju explain", () => {
  test("says why one client does not get what another one publishes: the rule, with its line", async () => {
    const dash = await connect("dash", "bob")
    await dash.subscribe("a/#", 1)
    const pump = await connect("pump", "ada")
    pump.publish("a/secret", "x", { qos: 1, messageId: 1 })
    await pump.next("puback")
    const { code, out, err } = await explain("--client", "dash", "--topic", "a/secret", "--from", "pump")
    expect([code, err]).toEqual([0, ""])
    const time = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`
    const refused = `it may not publish there: ${path("acl.txt")}:3 forbids user ada to read and write a/secret`
    const lines = out.split("\n")
    expect(lines.slice(0, 3)).toEqual([
      `pump cannot get a message of a/secret to anybody: ${refused}`,
      `  ✗ ${refused}`,
      expect.stringMatching(
        new RegExp(`^  ✓ it is connected as user ada from 127.0.0.1 through .*\\(since ${time}\\)$`),
      ),
    ])
    expect(lines.slice(3)).toEqual([
      "  ✓ it goes to dash",
      expect.stringMatching(new RegExp(`^  · 1 message was refused by its auth: 0x87 NotAuthorized \\(${time}\\)$`)),
      "",
      "dash gets messages of a/secret: nothing is in the way now",
      expect.stringMatching(/^ {2}✓ it is connected as user bob/),
      "  ✓ its subscription a/# matches, at QoS 1",
      `  ✓ it may receive that: ${path("acl.txt")}:6 lets user bob read a/#`,
      "  · what is published with a higher QoS comes to it with QoS 1",
      "",
    ])
    pump.destroy()
    dash.destroy()
  })

  test("prints JSON in a line", async () => {
    const { code, out } = await explain("--client", "nobody", "--topic", "b", "--json")
    expect([code, out.endsWith("\n"), out.trimEnd().includes("\n")]).toEqual([0, true, false])
    expect(JSON.parse(out)).toMatchObject({
      topic: "b",
      publish: { clientId: "nobody", outcome: "no" },
      receive: { clientId: "nobody", outcome: "no", findings: [{ code: "no session", effect: "stops" }] },
    })
  })

  test("has colours where there are any, and lets nothing that others have written move the cursor", async () => {
    const client = await connect("\u001b[31mred", "bob")
    const colourful = await manjuWith(
      { ...environment, NO_COLOR: "", FORCE_COLOR: "1" },
      "explain",
      "--client",
      "\u001b[31mred",
      "--topic",
      "a",
    )
    const [first] = colourful.out.split("\n")
    expect(first).toStartWith("\u001b[31m\\x1b[31mred cannot")
    client.destroy()
  })

  test("follows what becomes of each message with --watch, until it is stopped", async () => {
    const dash = await connect("watched", "bob")
    await dash.subscribe("a/+", 1)
    const pump = await connect("busy", "ada")
    const command = manjuCommand("explain", "--client", "watched", "--topic", "a/b", "--watch", "--json")
    await using watching = new LineProcess(command, environment)
    expect(JSON.parse(await watching.line())).toMatchObject({ receive: { outcome: "yes" } })
    await watching.complains("watching a/b; Ctrl-C ends it\n")
    pump.publish("a/b", "hello", { qos: 1, messageId: 1 })
    expect(JSON.parse(await watching.line())).toMatchObject({
      ...{ topic: "a/b", from: "busy", qos: 1, payloadBytes: 5 },
      fates: expect.arrayContaining([{ clientId: "watched", fate: "sent" }]),
    })
    watching.signal("SIGINT")
    expect(await watching.ended()).toBe(0)
    pump.destroy()
    dash.destroy()
  })

  test("with --watch ends with a failure when the broker does", async () => {
    const other = await BrokerProcess.run("start", "--tcp", "0", "--no-ws", "--http", "0")
    const url = `http://127.0.0.1:${other.portOf("http")}`
    const command = manjuCommand("explain", "--client", "x", "--topic", "y", "--watch", "--url", url)
    await using watching = new LineProcess(command)
    await watching.complains("watching")
    await other.kill()
    expect(await watching.ended()).toBe(1)
    expect(watching.err).toContain(`manju: `)
    expect(watching.err).toContain(url)
  })
})

describe("what cannot be asked is said in a line", () => {
  const cases: [what: string, args: string[], environment: Record<string, string>, code: number, problem: string][] = [
    ["a topic that is a filter", ["--topic", "a/#"], {}, 2, "argument 'a/#' is invalid. It takes a topic"],
    ["a client without an id", ["--from", ""], {}, 2, "argument '' is invalid. It takes a client id, not empty."],
    ["without a token", [], { MANJU_ADMIN_TOKEN: "" }, 1, "or $MANJU_ADMIN_TOKEN, gives the token"],
    ["with a wrong token", ["--token", "wrong-token-of-old"], {}, 1, ": a wrong token or password"],
    [
      "where nothing listens",
      ["--url", "http://127.0.0.1:1"],
      {},
      1,
      "cannot ask http://127.0.0.1:1: nothing listens there",
    ],
    ["at what is no URL", ["--url", "mqtt://localhost"], {}, 2, "--url takes http[s]://"],
    [
      "with a file that is not there",
      ["--token-file", "/nowhere/token"],
      {},
      1,
      "/nowhere/token: there is no such file",
    ],
  ]
  for (const [what, args, variables, code, problem] of cases) {
    test(what, async () => {
      const all = ["explain", "--client", "dash", ...(args.includes("--topic") ? [] : ["--topic", "a"]), ...args]
      const outcome = await manjuWith({ ...environment, ...variables }, ...all)
      expect([outcome.code, outcome.out]).toEqual([code, ""])
      expect(outcome.err).toStartWith("manju: ")
      expect(outcome.err).toContain(problem)
      expect(outcome.err.trimEnd()).not.toContain("\n")
    })
  }

  test("without a client", async () => {
    const { code, err } = await explain("--topic", "a")
    expect([code, err]).toEqual([2, "manju: required option '--client <id>' not specified\n"])
  })
})

/** One configuration, run by Mosquitto and, imported, by manju: both let in, refuse and deliver the same. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { BrokerProcess } from "../support/broker-process.ts"
import { Certificates } from "../support/certificates.ts"
import { manju, plain } from "../support/command.ts"
import { LineProcess } from "../support/line-process.ts"
import { freePort, Mosquitto, mosquittoPath } from "../support/mosquitto.ts"
import { sha512Hash } from "../support/password-file.ts"

const isInstalled = [mosquittoPath, Bun.which("mosquitto_pub"), Bun.which("mosquitto_passwd")].every(
  (path) => path !== null,
)
const certificates = Certificates.forTests()

const rules = `
topic read open/#

user ada
topic readwrite #

user bob
topic read open/#
topic write inbox/bob
topic deny open/secret

user alice
topic write cert/#

pattern write from/%u/%c
`

/** A port for users and strangers, and one for holders of a certificate. */
const lines = (securePort: number) => [
  "allow_anonymous true",
  `password_file ${certificates.path("users")}`,
  `acl_file ${certificates.path("rules")}`,
  "max_qos 1",
  `listener ${securePort} 127.0.0.1`,
  ...["cafile", "certfile", "keyfile"].map(
    (name, at) => `${name} ${certificates.path(["ca.crt", "server.crt", "server.key"][at]!)}`,
  ),
  "require_certificate true",
  "use_identity_as_username true",
]

type Place = readonly [name: string, port: number, securePort: number]
type Who = keyof typeof people

const people = {
  stranger: [],
  ada: ["-u", "ada", "-P", "engine"],
  bob: ["-u", "bob", "-P", "builder"],
  liar: ["-u", "bob", "-P", "wrong"],
  unknown: ["-u", "eve", "-P", "apple"],
  nameOnly: ["-u", "bob"],
}

/** mosquitto_pub or mosquitto_sub at one of the listeners. */
const client = (command: "pub" | "sub", port: number, ...args: string[]) => [
  `mosquitto_${command}`,
  ...["-h", "127.0.0.1", "-p", String(port)],
  ...args,
]

/** mosquitto_sub that says when it has subscribed, and a line for each message, at once. */
const listening = (port: number, ...args: string[]) =>
  new LineProcess(["stdbuf", "-oL", ...client("sub", port, "-d", "-F", "got %t", ...args)])

async function succeeds(command: string[]): Promise<boolean> {
  const child = Bun.spawn(command, { stdio: ["ignore", "ignore", "ignore"], env: plain })
  return (await child.exited) === 0
}

const withCertificate = (name: "client" | "rogueClient" | undefined) => [
  ...["--cafile", certificates.path("ca.crt")],
  ...(name === undefined
    ? []
    : ["--cert", certificates.path(`${name}.crt`), "--key", certificates.path(`${name}.key`)]),
]

/** Whether that person may come in. */
const comesIn = (port: number, who: Who) => succeeds(client("pub", port, ...people[who], "-t", "open/x", "-m", "x"))

/** What `who` gets of messages that ada, who may do everything, publishes to these topics. */
async function heard(port: number, who: Who, filters: string[], topics: string[]): Promise<string[]> {
  const subscriptions = [...filters, "open/end"].flatMap((filter) => ["-t", filter])
  await using subscriber = listening(port, ...people[who], ...subscriptions)
  await lineWith(subscriber, "Subscribed")
  for (const topic of [...topics, "open/end"]) {
    expect(await succeeds(client("pub", port, ...people.ada, "-q", "1", "-t", topic, "-m", "x"))).toBe(true)
  }
  await lineWith(subscriber, "got open/end")
  return Array.from(subscriber.out.matchAll(/^got (?!open\/end)(.*)/gm), ([, topic]) => topic!)
}

/** What reaches ada of what `args` publish, each a client of its own. */
async function arrives(port: number, publications: string[][]): Promise<string[]> {
  await using subscriber = listening(port, ...people.ada, "-t", "#")
  await lineWith(subscriber, "Subscribed")
  for (const command of publications) await succeeds(command)
  await succeeds(client("pub", port, ...people.ada, "-q", "1", "-t", "end", "-m", "x"))
  await lineWith(subscriber, "got end")
  return Array.from(subscriber.out.matchAll(/^got (?!end)(.*)/gm), ([, topic]) => topic!)
}

async function lineWith(process: LineProcess, text: string): Promise<void> {
  while (!(await process.line()).startsWith(text));
}

describe.skipIf(!isInstalled)("a configuration with two listeners, passwords, rules and certificates", () => {
  let mosquitto: Mosquitto
  let broker: BrokerProcess
  const places: Place[] = []

  beforeAll(async () => {
    // One hash as Mosquitto 1.6 made them, one as mosquitto_passwd makes them today.
    writeFileSync(certificates.path("users"), `ada:${sha512Hash("engine")}\n`)
    expect(await succeeds(["mosquitto_passwd", "-b", certificates.path("users"), "bob", "builder"])).toBe(true)
    writeFileSync(certificates.path("rules"), rules)
    const securePort = freePort()
    mosquitto = await Mosquitto.start(...lines(securePort))
    places.push(["mosquitto", mosquitto.port, securePort])
    const [source, output] = [certificates.path("mosquitto.conf"), join(certificates.folder, "manju.toml")]
    writeFileSync(source, ["listener 1883 127.0.0.1", ...lines(8883), ""].join("\n"))
    const { code, err } = await manju("import", "mosquitto", source, "--output", output)
    expect([code, err]).toEqual([0, expect.stringContaining("of 11 lines 11 are carried over")])
    const freePorts = { MANJU_LISTENERS_0_PORT: "0", MANJU_LISTENERS_1_PORT: "0" }
    broker = await BrokerProcess.runWith(freePorts, "--config", output)
    places.push(["manju", broker.port, broker.portOf("mqtts")])
  })
  afterAll(async () => {
    await mosquitto?.[Symbol.asyncDispose]()
    await broker?.kill()
  })

  /** That both do the same, and that it is this. */
  async function same(act: (place: Place) => Promise<unknown>, expected: unknown): Promise<void> {
    for (const place of places) expect([place[0], await act(place)]).toEqual([place[0], expected])
  }

  test.each([
    ["stranger", true],
    ["ada", true],
    ["bob", true],
    ["liar", false],
    ["unknown", false],
    ["nameOnly", false],
  ] as const)("%s comes in: %p", async (who, isIn) => {
    await same(([, port]) => comesIn(port, who), isIn)
  })

  test.each([
    ["client", true],
    ["rogueClient", false],
    [undefined, false],
  ] as const)("with a certificate of %s: %p", async (name, isIn) => {
    const publish = (port: number) => client("pub", port, ...withCertificate(name), "-t", "cert/x", "-m", "x")
    await same(([, , port]) => succeeds(publish(port)), isIn)
  })

  test("without TLS nobody comes in where it is spoken", async () => {
    await same(([, , port]) => succeeds(client("pub", port, ...people.ada, "-t", "x", "-m", "x")), false)
  })

  test("rules hold for what is delivered", async () => {
    const topics = ["open/a", "open/secret", "other/a", "inbox/bob"]
    await same(([, port]) => heard(port, "bob", ["open/#", "other/#", "inbox/#"], topics), ["open/a"])
    await same(([, port]) => heard(port, "stranger", ["#"], topics), ["open/a", "open/secret"])
    await same(([, port]) => heard(port, "ada", ["#"], topics), topics)
  })

  test("rules hold for what is published, with names from passwords and from certificates", async () => {
    const publications = (port: number, securePort: number) => [
      client("pub", port, "-t", "open/a", "-m", "x"),
      client("pub", port, ...people.bob, "-t", "inbox/bob", "-m", "x"),
      client("pub", port, ...people.bob, "-t", "inbox/ada", "-m", "x"),
      client("pub", port, ...people.bob, "-i", "b1", "-t", "from/bob/b1", "-m", "x"),
      client("pub", port, ...people.bob, "-i", "b1", "-t", "from/ada/b1", "-m", "x"),
      client("pub", securePort, ...withCertificate("client"), "-t", "cert/alice", "-m", "x"),
      client("pub", securePort, ...withCertificate("client"), ...people.ada, "-t", "other", "-m", "x"),
    ]
    const expected = ["inbox/bob", "from/bob/b1", "cert/alice"]
    await same(([, port, securePort]) => arrives(port, publications(port, securePort)), expected)
  })

  test("nothing is taken at QoS 2", async () => {
    await same(([, port]) => arrives(port, [client("pub", port, ...people.ada, "-q", "2", "-t", "x", "-m", "x")]), [])
  })
})

/** What clients and operators keep secret never comes up: in no line of the log, at no level, in no error, nowhere in $SYS. */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { copyFileSync, writeFileSync } from "node:fs"
import mqtt from "mqtt-packet"
import { type Auth, passwords, type TlsOptions, tcp, websocket } from "../../src/index.ts"
import { readKeys } from "../../src/listeners/tls.ts"
import { ManualClock } from "../../src/testing/clock.ts"
import { Certificates, PASSPHRASE } from "../support/certificates.ts"
import { cheapHash } from "../support/password-file.ts"
import { closeBrokers, lookUntil, serve } from "./brokers.ts"
import { FrameClient, frame, Opcode } from "./frames.ts"
import { RawClient } from "./socket.ts"

setDefaultTimeout(60_000)

const RIGHT = "right-horse-battery"
const WRONG = "wrong-horse-battery"
const TOKEN = "token-horse-battery"

let certificates: Certificates
let hash: string
beforeAll(async () => {
  certificates = await Certificates.make()
  hash = await cheapHash(RIGHT)
  writeFileSync(certificates.path("users.txt"), `alice:${hash}\n`)
})
afterAll(() => certificates[Symbol.dispose]())
afterEach(closeBrokers)

/** What must not be found, in every dress in which somebody might print it. */
function secrets(): string[] {
  const words = [RIGHT, WRONG, TOKEN, PASSPHRASE, hash]
  const dresses = words.flatMap((word) => {
    const bytes = Buffer.from(word)
    return [word, bytes.toString("hex"), bytes.toString("base64").replace(/=+$/, ""), `${[...bytes]}`]
  })
  const keyLines = certificates
    .text("server", "key")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("-"))
  return [...dresses, ...keyLines]
}

function expectNothingIn(text: string): void {
  expect(text.length).toBeGreaterThan(0)
  const squeezed = text.replaceAll(/\s/g, "") // bytes are printed over several lines
  expect(secrets().filter((secret) => text.includes(secret) || squeezed.includes(secret))).toEqual([])
}

test("passwords, tokens and what an exchange says: in no line, and nowhere in $SYS", async () => {
  const clock = new ManualClock()
  const known = passwords(certificates.path("users.txt"))
  const auth: Auth = {
    open: (context) => known.open!(context),
    authenticate(client) {
      if (client.clientId === "fault") throw new TypeError("a fault of the auth's own")
      if (client.clientId === "late") return Promise.reject(new Error("the service cannot be reached"))
      return known.authenticate(client)
    },
    exchange: () => ({ next: () => false }),
  }
  const { broker, port, core, logged } = await serve(tcp({ port: 0, auth }), {
    clock,
    limits: { sysIntervalSeconds: 1 },
  })
  const { port: webPort } = await broker.listen(websocket({ port: 0, auth, path: "/mqtt" }))
  const alice = (password: string) => ({ username: "alice", password: Buffer.from(password) })

  const watcher = await RawClient.connect(port, "watcher", 5, alice(RIGHT))
  await watcher.subscribe("$SYS/#")
  const attempts: [clientId: string, fields: object][] = [
    ["wrong", alice(WRONG)],
    ["unknown", { ...alice(WRONG), username: "bob" }],
    ["fault", alice(WRONG)],
    ["late", alice(WRONG)],
    ["exchange", { properties: { authenticationMethod: "M", authenticationData: Buffer.from(TOKEN) } }],
  ]
  for (const [clientId, fields] of attempts) {
    const client = await RawClient.open(port)
    client.sendConnect(clientId, fields)
    expect((await client.next("connack")).reasonCode).toBeGreaterThanOrEqual(0x80)
  }
  const twice = await RawClient.connect(port, "twice", 5, alice(RIGHT))
  twice.sendConnect("twice", alice(WRONG))
  await twice.next("disconnect")
  const packet = {
    cmd: "connect",
    protocolId: "MQTT",
    protocolVersion: 5,
    clean: true,
    keepalive: 0,
    clientId: "broken",
  }
  const broken = mqtt.generate({ ...packet, ...alice(WRONG) } as mqtt.Packet, { protocolVersion: 5 })
  broken[9]! |= 0x01 // a flag that must be 0
  const malformed = await RawClient.open(port)
  malformed.write(broken)
  await malformed.until(() => malformed.hasEnded, "the end")

  const headers = { Authorization: `Bearer ${TOKEN}`, Cookie: `session=${TOKEN}`, Origin: "https://evil.example" }
  const refused = await FrameClient.request(webPort, { path: `/mqtt?access_token=${TOKEN}`, headers })
  const lost = await FrameClient.request(webPort, { path: `/elsewhere?access_token=${TOKEN}` })
  expectNothingIn(refused.answer + lost.answer)
  const web = await FrameClient.request(webPort, { path: `/mqtt?access_token=${TOKEN}` })
  web.write(frame(Opcode.text, Buffer.from(TOKEN)))
  await web.until(() => web.hasEnded, "the end")

  const before = watcher.packets.length
  clock.advance(2)
  await watcher.until(() => watcher.packets.length > before, "$SYS")
  watcher.send({ cmd: "pingreq" })
  await watcher.until(() => watcher.packets.some(({ cmd }) => cmd === "pingresp"), "all of it")
  const topics = watcher.take().filter(({ cmd }) => cmd === "publish")
  expect(topics.length).toBeGreaterThan(20)
  expectNothingIn(topics.map(({ topic, payload }) => `${topic} ${payload}`).join("\n"))
  await broker.close({ timeoutMs: 0 })
  expect(logged.length).toBeGreaterThan(10)
  expectNothingIn(logged.join("\n"))
  expect(core.peers.size).toBe(0)
})

describe("keys and their passphrases", () => {
  test("in no error, inspected with everything that hangs on it", () => {
    const { cert, key } = certificates.texts("server")
    const encrypted = certificates.path("encrypted.key")
    writeFileSync(certificates.path("confused.key"), `${TOKEN}\n`)
    writeFileSync(certificates.path("torn.key"), key.replace("END", "EN"))
    const mistakes: TlsOptions[] = [
      { cert, key: encrypted, passphrase: WRONG },
      { cert, key: encrypted },
      { cert: certificates.text("client"), key },
      { cert: certificates.text("client"), key: encrypted, passphrase: PASSPHRASE },
      { cert, key: certificates.path("confused.key") },
      { cert, key: certificates.path("torn.key") },
      { cert: key, key },
      { cert, key, ca: key },
      { cert, key: new TextEncoder().encode(key).slice(0, 150) },
    ]
    for (const mistake of mistakes) {
      let error: unknown
      try {
        readKeys(mistake)
      } catch (thrown) {
        error = thrown
      }
      expect(error).toBeInstanceOf(Error)
      expectNothingIn(`${(error as Error).message}\n${(error as Error).stack}\n${Bun.inspect(error, { depth: 10 })}`)
    }
  })

  test("in no line when they change for the worse", async () => {
    const clock = new ManualClock()
    const files = { cert: certificates.path("own.crt"), key: certificates.path("own.key") }
    copyFileSync(certificates.path("server.crt"), files.cert)
    copyFileSync(certificates.path("encrypted.key"), files.key)
    const tls = { ...files, passphrase: PASSPHRASE }
    const { core, logged } = await serve(tcp({ port: 0, tls }), { clock })
    const worse = [TOKEN, certificates.text("client", "key"), certificates.text("server", "key").slice(0, 100)]
    for (const [index, content] of worse.entries()) {
      writeFileSync(files.key, content)
      await lookUntil(clock, () => logged.length > index, "a line")
    }
    core.files.touch()
    expectNothingIn(logged.join("\n"))
  })
})

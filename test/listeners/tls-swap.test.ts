/** Certificates that change under way: new connections get the new ones, those that are open notice nothing. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test"
import { copyFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { connect as connectSocket } from "node:net"
import { connect as connectSecurely } from "node:tls"
import { allowAll, type TcpOptions, type TlsOptions, tcp, websocket } from "../../src/index.ts"
import { type Keys, readKeys, watchKeys } from "../../src/listeners/tls.ts"
import { ManualClock } from "../../src/testing/clock.ts"
import { Certificates } from "../support/certificates.ts"
import { connect, endClients } from "../support/mqttjs.ts"
import { handshake } from "../support/s-client.ts"
import { closeBrokers, lookAgain, lookUntil, serve } from "./brokers.ts"
import { eventually, RawClient } from "./socket.ts"

setDefaultTimeout(60_000)

let certificates: Certificates
beforeAll(async () => {
  certificates = await Certificates.make()
})
afterAll(() => certificates[Symbol.dispose]())
beforeEach(() => put("server"))
afterEach(async () => {
  endClients()
  await closeBrokers()
})

/** The files that the listener has. */
const own = () => ({ cert: certificates.path("own.crt"), key: certificates.path("own.key") })

/** Puts another certificate and its key there, each at once and whole, as who renews them should. */
function put(person: "server" | "renewed", kinds: readonly ("crt" | "key")[] = ["crt", "key"]): void {
  for (const kind of kinds) {
    copyFileSync(certificates.path(`${person}.${kind}`), certificates.path("next"))
    renameSync(certificates.path("next"), certificates.path(`own.${kind}`))
  }
}

const doors = [
  ["tcp", (tls: TlsOptions) => tcp({ port: 0, id: "door", auth: allowAll(), tls })],
  ["websocket", (tls: TlsOptions) => websocket({ port: 0, id: "door", auth: allowAll(), tls })],
] as const

async function served(tls: TlsOptions = own(), open: (tls: TlsOptions) => ReturnType<typeof tcp> = doors[0][1]) {
  const clock = new ManualClock()
  const door = await serve(open(tls), { clock, limits: { connectTimeoutSeconds: 3600 } })
  /** Lets the files be looked at until as many lines that begin so have been logged. */
  const look = (begins: string, count = 1) => lookUntil(clock, () => lines(begins).length >= count, begins)
  const lines = (begins: string) => door.logged.filter((line) => line.startsWith(begins))
  return { ...door, clock, look, lines }
}

const RENEWED = "info: door: new connections get the new certificate"
const STAYS = "error: door: the certificate stays as it was: "

/** Whose certificate a new connection is shown. */
async function shown(port: number): Promise<string | undefined> {
  return (await handshake(port)).match(/subject=CN = (.*)/)?.[1]
}

for (const [kind, open] of doors)
  describe(`${kind}: when the files have changed`, () => {
    const client = (port: number) => {
      const protocol = kind === "tcp" ? "mqtts" : "wss"
      return connect(port, 5, { protocol, ca: certificates.text("ca"), keepalive: 0 })
    }

    test("new connections get the new certificate, and those that are open go on, at every QoS", async () => {
      const { port, look } = await served(own(), open)
      const { client: publisher } = await client(port)
      const { client: subscriber, inbox } = await client(port)
      await subscriber.subscribeAsync("#", { qos: 2 })
      const sent: string[] = []
      const publish = (count: number) =>
        Promise.all(
          Array.from({ length: count }, (_, index) => {
            const [topic, payload] = [`t/${index % 3}`, String(sent.length)]
            sent.push(`${topic} ${payload}`)
            return publisher.publishAsync(topic, payload, { qos: (index % 3) as 0 | 1 | 2 })
          }),
        )
      expect(await shown(port)).toBe("localhost")
      for (const [round, person] of (["renewed", "server", "renewed"] as const).entries()) {
        const published = publish(300)
        put(person)
        await look(RENEWED, round + 1)
        Bun.gc(true) // the listener that these connections came through has gone
        await published
        await publish(30)
        expect(await shown(port)).toBe(person === "server" ? "localhost" : "renewed")
      }
      await client(port)
      const came = await inbox.take(sent.length)
      for (const topic of ["t/0", "t/1", "t/2"]) {
        expect(came.filter((line) => line.startsWith(topic))).toEqual(sent.filter((line) => line.startsWith(topic)))
      }
    })

    test("as soon as the operator asks (SIGHUP); and nothing is swapped for the same", async () => {
      const { port, core, lines } = await served(own(), open)
      core.files.touch()
      expect(lines("")).toEqual([])
      put("renewed")
      core.files.touch()
      expect(lines("")).toEqual([RENEWED])
      expect(await shown(port)).toBe("renewed")
    })

    test("a new file that is no good is said once, and the old stays", async () => {
      const { port, look, lines, clock } = await served(own(), open)
      const { client: before } = await client(port)
      const spoil: [name: string, act: () => void, said: RegExp][] = [
        ["empty", () => writeFileSync(own().cert, ""), /tls\.cert \(.*own\.crt\) .* there is no certificate in it$/],
        [
          "cut off",
          () => writeFileSync(own().cert, certificates.text("renewed").slice(0, 300)),
          /own\.crt\) cannot be used/,
        ],
        ["gone", () => rmSync(own().cert), /tls\.cert: there is no file .*own\.crt$/],
        ["another's", () => put("renewed", ["crt"]), /own\.crt\) and tls\.key .*: the key is not the certificate's$/],
      ]
      for (const [index, [, act, said]] of spoil.entries()) {
        act()
        await look(STAYS, index + 1)
        expect(lines(STAYS).at(-1)).toMatch(said)
        expect(await shown(port)).toBe("localhost")
      }
      await lookAgain(clock)
      expect(lines(STAYS).length).toBe(spoil.length)
      await client(port)
      await before.publishAsync("t", "m", { qos: 2 })
      put("renewed", ["key"])
      await look(RENEWED)
      expect(await shown(port)).toBe("renewed")
    })
  })

describe("the files of a listener", () => {
  test("that were no good and are again as they were: that is said, once", async () => {
    const { core, lines } = await served()
    writeFileSync(own().cert, "not a certificate")
    core.files.touch()
    put("server")
    core.files.touch()
    core.files.touch()
    expect(lines("info")).toEqual(["info: door: the certificate that stayed is back in its files"])
  })

  test("both no good at once: that is said once", async () => {
    const { core, look, lines, clock } = await served()
    for (const path of Object.values(own())) writeFileSync(path, "not a certificate")
    await look(STAYS)
    await lookAgain(clock)
    expect(lines("error").length).toBe(1)
    core.files.touch() // who asks is told again
    expect(lines("error").length).toBe(2)
  })

  test("what has changed while it was being opened is not missed", async () => {
    const { core } = await served()
    const keys = readKeys(own())
    put("renewed")
    const renewed: string[] = []
    const end = watchKeys(core, "door", own(), keys, ({ cert }) => renewed.push(cert))
    end()
    expect(renewed).toEqual([certificates.text("renewed")])
  })

  test("new keys that the socket does not take after all are taken back, and tried again when they change", async () => {
    const { core, lines } = await served()
    const used: Keys[] = []
    const renew = (keys: Keys) => {
      used.push(keys)
      if (keys.cert === certificates.text("renewed")) throw new Error("no")
    }
    const end = watchKeys(core, "door", own(), readKeys(own()), renew)
    put("renewed")
    core.files.touch()
    const names = (): string[] =>
      used.splice(0).map(({ cert }) => (cert === certificates.text("renewed") ? "new" : "old"))
    const tries = ["new", "old", "new", "old"] // each of the two files asks
    expect([names(), lines(STAYS)]).toEqual([tries, [`${STAYS}no`]])
    core.files.touch()
    expect(names()).toEqual(tries)
    end()
    core.files.touch()
    expect(names()).toEqual([])
  })

  test("are not looked at any more when the broker has closed; those given as text never are", async () => {
    const first = await served()
    expect(first.clock.recurringCount).toBeGreaterThan(0)
    await first.broker.close({ timeoutMs: 0 })
    put("renewed")
    first.core.files.touch()
    expect(first.lines(RENEWED)).toEqual([])
    const { core, port, lines } = await served(certificates.texts("server"))
    put("renewed")
    core.files.touch()
    expect([lines(RENEWED), await shown(port)]).toEqual([[], "localhost"])
  })
})

describe("the authority of clients", () => {
  test("that changes: who was signed by the old one stays, and does not come again", async () => {
    const ca = certificates.path("own.ca")
    copyFileSync(certificates.path("ca.crt"), ca)
    const { port, look } = await served({ ...own(), ca })
    const as = (person: "client" | "rogueClient") =>
      ({ protocol: "mqtts", ca: certificates.text("ca"), keepalive: 0, ...certificates.texts(person) }) as const
    const { client } = await connect(port, 5, as("client"))
    const isOut = (person: "client" | "rogueClient") =>
      connect(port, 5, as(person)).then(
        () => false,
        () => true,
      )
    expect(await isOut("rogueClient")).toBe(true)
    copyFileSync(certificates.path("rogueCa.crt"), ca)
    await look(RENEWED)
    expect([await isOut("client"), await isOut("rogueClient")]).toEqual([true, false])
    await client.publishAsync("t", "still here", { qos: 1 })
  })
})

test("a connection that has been accepted, and shakes hands only after the swap, is not lost", async () => {
  const { port, core, look } = await served()
  const socket = connectSocket({ port, host: "127.0.0.1" })
  await eventually(() => core.peers.size === 1, "the connection")
  put("renewed")
  await look(RENEWED)
  const secured = connectSecurely({ socket, ca: certificates.text("ca"), host: "127.0.0.1" })
  await new Promise<void>((resolve, reject) => {
    secured.once("secureConnect", resolve)
    secured.once("error", reject)
  })
  expect(secured.getPeerCertificate().subject.CN).toBe("localhost")
  secured.destroy()
})

test("with an encrypted key: the passphrase goes for the new one, too", async () => {
  copyFileSync(certificates.path("encrypted.key"), own().key)
  const options: TcpOptions = { port: 0, id: "door", auth: allowAll() }
  const tls = { ...own(), passphrase: "open sesame" }
  const { port, look } = await served(tls, () => tcp({ ...options, tls }))
  copyFileSync(certificates.path("encrypted-ec.key"), own().key)
  await look(RENEWED)
  await RawClient.connect({ port, tls: { ca: certificates.text("ca") } }, "in")
})

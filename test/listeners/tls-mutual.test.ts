/** Mutual TLS: whose certificate holds is in, everybody else is told nothing of MQTT; and whose name it is. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test"
import { type TcpOptions, tcp } from "../../src/index.ts"
import { certificateOf } from "../../src/listeners/tls.ts"
import { run } from "../clients/support.ts"
import { hex } from "../support/bytes.ts"
import { Certificates } from "../support/certificates.ts"
import { connect, endClients } from "../support/mqttjs.ts"
import { gatheringRelay } from "../support/relay.ts"
import { talk } from "../support/s-client.ts"
import { closeBrokers, Doorman, refusal, serve } from "./brokers.ts"
import { eventually } from "./socket.ts"

setDefaultTimeout(60_000)

const certificates = Certificates.forTests()
afterEach(async () => {
  endClients()
  await closeBrokers()
})

type Person = Parameters<Certificates["files"]>[0]

async function served(options: TcpOptions = {}) {
  const auth = new Doorman()
  const tls = { ...certificates.files("server"), ca: certificates.path("ca.crt") }
  const listener = tcp({ port: 0, id: "mutual", auth, tls, ...options })
  return { ...(await serve(listener)), auth }
}

/** A CONNECT of MQTT 3.1.1 as `a`, user `said`; and a DISCONNECT. */
const visit = hex("10 13 0004 4d515454 04 82 003c 0001 61 0004 73616964  e0 00")

const versions = ["-tls1_2", "-tls1_3"] as const

describe("a client is let in", () => {
  for (const version of versions)
    for (const person of ["client", "chainedClient", "nameless"] as const)
      test(`${version}, ${person}: its certificate holds`, async () => {
        const { port, auth } = await served()
        const { received } = await talk(port, [version, ...certificates.shown(person)], visit)
        expect(received.toString("hex")).toBe("20020000")
        expect(auth.asked.map(({ username }) => username)).toEqual(["said"]) // nobody has asked for the certificate's
      })

  test("mosquitto_pub with --cert and --key", async () => {
    const { port, auth, core } = await served()
    const { cert, key } = certificates.files("client")
    const common = ["-h", "127.0.0.1", "-p", String(port), "--cafile", certificates.path("ca.crt")]
    await run(["mosquitto_pub", ...common, "--cert", cert, "--key", key, "-t", "t", "-m", "m", "-q", "2"])
    expect([auth.asked.length, core.metrics.publishReceived]).toEqual([1, 1])
    const bare = run(["mosquitto_pub", ...common, "-t", "t", "-m", "m"]).catch((error) => error.message)
    expect(await bare).toContain("ended with")
    expect(auth.asked.length).toBe(1)
  })

  for (const level of [4, 5] as const)
    test(`MQTT.js, level ${level}`, async () => {
      const { port, auth } = await served()
      const secure = { protocol: "mqtts", ca: certificates.text("ca") } as const
      const { client, inbox } = await connect(port, level, { ...secure, ...certificates.texts("client") })
      await client.subscribeAsync("#", { qos: 1 })
      await client.publishAsync("t", "sealed", { qos: 1 })
      expect(await inbox.take(1)).toEqual(["t sealed"])
      for (const person of ["rogueClient", "expired", undefined] as const) {
        const shown = person === undefined ? {} : certificates.texts(person)
        const failed = connect(port, level, { ...secure, ...shown }).then(String, () => "out")
        expect(await failed).toBe("out")
      }
      expect(auth.asked.length).toBe(1)
    })
})

describe("a client is not let in, it is said, and nothing of MQTT is answered", () => {
  const strangers: [name: string, person: Person | undefined, line: RegExp][] = [
    ["without a certificate", undefined, /TLS: .*PEER_DID_NOT_RETURN_A_CERTIFICATE$/],
    ["with one of an authority that nobody trusts", "rogueClient", /client certificate: ./],
    ["with one that has expired", "expired", /client certificate: certificate has expired$/],
    ["with the server's name, signed by nobody's authority", "rogueServer", /client certificate: ./],
  ]
  for (const version of versions)
    for (const [name, person, line] of strangers)
      test(`${version}: ${name}`, async () => {
        const { port, auth, core, logged } = await served()
        const { received } = await talk(port, [version, ...certificates.shown(person)], visit)
        expect(received.length).toBe(0)
        await eventually(() => core.peers.size === 0, "no peer")
        expect([auth.asked, core.metrics.connectsReceived, core.metrics.connections]).toEqual([[], 0, 0])
        const said = expect.stringMatching(new RegExp(`^info: closing 127\\.0\\.0\\.1 on mutual: ${line.source}`))
        expect(logged).toEqual([said])
      })

  test("with somebody else's certificate, without its key", async () => {
    const { port, auth } = await served()
    const { cert } = certificates.files("client")
    const { received } = await talk(port, ["-cert", cert, "-key", certificates.files("rogueClient").key], visit)
    expect([received.length, auth.asked]).toEqual([0, []])
  })

  for (const [person, connects] of [
    ["client", 1],
    ["rogueClient", 0],
    ["expired", 0],
    [undefined, 0],
  ] as const)
    test(`${person ?? "nobody"}, who sends the CONNECT with the end of the handshake, is heard ${connects} times`, async () => {
      const { port, core } = await served()
      const relay = gatheringRelay(port)
      try {
        await talk(relay.port, ["-tls1_3", "-no_ign_eof", ...certificates.shown(person)], visit)
        await eventually(() => core.metrics.socketsOpened === 1 && core.peers.size === 0, "come and gone")
        expect(core.metrics.connectsReceived).toBe(connects)
      } finally {
        relay.stop()
      }
    })

  for (const version of versions)
    test(`${version}: a session that began without a certificate is not a way in later`, async () => {
      const { port, auth } = await served()
      const ticket = certificates.path(`ticket${version}`)
      for (const person of ["rogueClient", "expired"] as const) {
        await talk(port, [version, ...certificates.shown(person), "-sess_out", ticket], visit)
        const again = (await Bun.file(ticket).exists()) ? ["-sess_in", ticket] : []
        expect((await talk(port, [version, ...again], visit)).received.length).toBe(0)
      }
      expect(auth.asked).toEqual([])
      await talk(port, [version, ...certificates.shown("client"), "-sess_out", ticket], visit)
      const { received } = await talk(port, [version, "-sess_in", ticket], visit) // that is what tickets are for
      expect(received.toString("hex")).toBe("20020000")
      expect(auth.asked.map(({ certificate }) => certificate?.commonName)).toEqual(["alice", "alice"])
    })
})

describe("who the client is", () => {
  const names: [usernameFrom: TcpOptions["usernameFrom"], person: Person, username: string][] = [
    [undefined, "client", "said"],
    ["commonName", "client", "alice"],
    ["subjectAltName", "client", "alice@example.com"],
    ["commonName", "odd", "first"],
    ["subjectAltName", "odd", "urn:a, DNS:root"],
    ["commonName", "chainedClient", "carol"],
    ["subjectAltName", "chainedClient", "carol@example.com"],
  ]
  for (const [usernameFrom, person, username] of names)
    test(`by its ${usernameFrom ?? "CONNECT"}, ${person}: ${username}, for auth, for what it may do, and in the logs`, async () => {
      const { port, auth, logged, core } = await served(usernameFrom === undefined ? {} : { usernameFrom })
      const publish = hex("30 04 0001 74 21")
      const bytes = Buffer.concat([visit.subarray(0, -2), publish, visit.subarray(-2)])
      await talk(port, certificates.shown(person), bytes)
      await eventually(() => core.peers.size === 0, "the end")
      expect([auth.asked[0]!.username, auth.clients[0]!.username]).toEqual([username, username])
      expect(logged).toContain(`info: connected a, user ${username} (127.0.0.1) on mutual: MQTT 3.1.1`)
    })

  for (const usernameFrom of ["commonName", "subjectAltName"] as const)
    test(`by its ${usernameFrom}, nameless: refused for want of it, and nobody is asked`, async () => {
      const { port, auth, logged } = await served({ usernameFrom })
      const { received } = await talk(port, certificates.shown("nameless"), visit)
      expect([received.toString("hex"), auth.asked]).toEqual(["20020004", []])
      const line = `info: refused a (127.0.0.1) on mutual: 0x86 BadUserNameOrPassword: the certificate has no ${usernameFrom}`
      expect(logged).toEqual([line])
    })

  test("auth sees the certificate itself", async () => {
    const { port, auth } = await served()
    await talk(port, certificates.shown("odd"), visit)
    await talk(port, certificates.shown("client"), visit)
    const fingerprint = expect.stringMatching(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/)
    expect(auth.asked.map(({ certificate }) => certificate)).toEqual([
      { commonName: "first", subjectAltNames: ["URI:urn:a, DNS:root", "IP Address:192.0.2.7"], fingerprint },
      { commonName: "alice", subjectAltNames: ["email:alice@example.com", "DNS:alice.example.com"], fingerprint },
    ])
    expect(auth.asked[0]!.certificate!.fingerprint).not.toBe(auth.asked[1]!.certificate!.fingerprint)
  })

  test("without tls.ca nobody is asked for a certificate, and one that is shown says nothing", async () => {
    const { port, auth } = await served({ tls: certificates.files("server") })
    for (const person of ["client", "rogueClient"] as const) {
      expect((await talk(port, certificates.shown(person), visit)).received.toString("hex")).toBe("20020000")
    }
    expect(auth.asked.map(({ username, certificate }) => [username, certificate])).toEqual([
      ["said", undefined],
      ["said", undefined],
    ])
  })

  test("a certificate of which nothing is known is none", () => {
    for (const peer of [null, undefined, {}]) expect(certificateOf(peer)).toBeUndefined()
  })

  test("usernameFrom without tls.ca, or with a name that is none, is INVALID_OPTION", async () => {
    const files = certificates.files("server")
    for (const options of [{}, { tls: files }]) {
      const said = await refusal(() => tcp({ port: 0, usernameFrom: "commonName", ...options }))
      expect(said).toBe("INVALID_OPTION: usernameFrom needs tls.ca: whose certificates to believe")
    }
    const tls = { ...files, ca: certificates.path("ca.crt") }
    const usernameFrom = "cn" as TcpOptions["usernameFrom"] & string
    expect(await refusal(() => tcp({ port: 0, tls, usernameFrom }))).toBe(
      'INVALID_OPTION: usernameFrom takes commonName or subjectAltName, not "cn"',
    )
  })
})

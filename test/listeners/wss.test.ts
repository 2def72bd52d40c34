/** MQTT over WebSocket over TLS: whose certificate holds is in, and nobody else gets as far as HTTP. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test"
import { allowAll, dashboard, type WebSocketOptions, websocket } from "../../src/index.ts"
import { hex } from "../support/bytes.ts"
import { Certificates } from "../support/certificates.ts"
import { connect, endClients } from "../support/mqttjs.ts"
import { gatheringRelay } from "../support/relay.ts"
import { handshake, talk } from "../support/s-client.ts"
import { closeBrokers, Doorman, refusal, serve } from "./brokers.ts"
import { FrameClient, frame, Opcode, upgradeText } from "./frames.ts"
import { eventually } from "./socket.ts"

setDefaultTimeout(60_000)

const certificates = Certificates.forTests()
afterEach(async () => {
  endClients()
  await closeBrokers()
})

const open = (options: WebSocketOptions = {}) =>
  websocket({ port: 0, id: "door", auth: allowAll(), tls: certificates.files("server"), ...options })

/** With an authority for client certificates. */
async function mutual() {
  const auth = new Doorman()
  const tls = { ...certificates.files("server"), ca: certificates.path("ca.crt") }
  return { ...(await serve(open({ auth, tls }))), auth }
}

/** Everything at once: the handshake of HTTP, a CONNECT of MQTT 3.1.1 as `a`, a DISCONNECT. */
const visit = Buffer.concat([
  Buffer.from(upgradeText()),
  frame(Opcode.binary, hex("10 0d 0004 4d515454 04 02 003c 0001 61  e0 00")),
])

const versions = ["-tls1_2", "-tls1_3"] as const

describe("[v3.1.1 MQTT-7.0.0-2] MQTT.js over wss", () => {
  for (const level of [3, 4, 5] as const)
    test(`level ${level}: QoS 0, 1 and 2, and a megabyte`, async () => {
      const { port } = await serve(open())
      const { client, inbox } = await connect(port, level, { protocol: "wss", ca: certificates.text("ca") })
      await client.subscribeAsync("#", { qos: 2 })
      for (const qos of [0, 1, 2] as const) {
        const published = Array.from({ length: 200 }, (_, i) => client.publishAsync(`n/${qos}`, String(i), { qos }))
        expect(await inbox.take(200)).toEqual(Array.from({ length: 200 }, (_, i) => `n/${qos} ${i}`))
        await Promise.all(published)
      }
      const large = Buffer.alloc(1024 * 1024, "large")
      await client.publishAsync("large", large, { qos: 1 })
      expect(large.equals((await inbox.next()).payload as Buffer)).toBe(true)
    })

  test("turns away from a server that it does not know", async () => {
    const { port, core } = await serve(open({ tls: certificates.files("rogueServer") }))
    const failed = connect(port, 5, { protocol: "wss", ca: certificates.text("ca") }).then(String, () => "out")
    expect([await failed, core.metrics.socketsOpened]).toEqual(["out", 0])
  })
})

describe("versions of TLS", () => {
  for (const [flag, told] of [
    ["-tls1_2", "TLSv1.2, Cipher is"],
    ["-tls1_3", "TLSv1.3, Cipher is"],
    ["-tls1_1", "alert protocol version"],
    ["-tls1", "alert protocol version"],
  ] as const)
    test(`${flag}: ${told}`, async () => {
      const { port } = await serve(open())
      expect(await handshake(port, flag, "-cipher", "ALL:@SECLEVEL=0")).toContain(told)
    })
})

test("many bytes at once reach a slow reader, whole and in order", async () => {
  const { port, core } = await serve(open(), { limits: { maximumBacklogBytes: 64 * 1024 * 1024 } })
  const place = { port, tls: { ca: certificates.text("ca") } }
  const slow = await FrameClient.connect(place, "slow")
  await slow.subscribe("#")
  slow.pause()
  const publisher = await FrameClient.connect(place, "publisher")
  for (let i = 0; i < 100; i++) publisher.publish(`t/${i}`, Buffer.alloc(200_000, i))
  await eventually(() => core.metrics.publishSent === 100, "all of them on their way")
  expect(Math.max(...[...core.peers].map((peer) => peer.backlogBytes))).toBeGreaterThan(1_000_000)
  slow.resume()
  for (let i = 0; i < 100; i++) {
    const { topic, payload } = await slow.next("publish")
    expect([topic, payload.equals(Buffer.alloc(200_000, i))]).toEqual([`t/${i}`, true])
  }
})

describe("client certificates", () => {
  for (const version of versions) {
    for (const person of ["client", "chainedClient"] as const)
      test(`${version}, ${person}: in`, async () => {
        const { port, auth } = await mutual()
        const { received } = await talk(port, [version, ...certificates.shown(person)], visit)
        expect(received.toString("latin1")).toStartWith("HTTP/1.1 101 ")
        expect(received.includes(hex("82 04 20020000"))).toBe(true)
        expect(auth.asked.length).toBe(1)
      })

    for (const person of [undefined, "rogueClient", "expired", "rogueServer"] as const)
      test(`${version}, ${person ?? "none"}: out, without an answer`, async () => {
        const { port, auth, core } = await mutual()
        const { received } = await talk(port, [version, ...certificates.shown(person)], visit)
        expect([received.length, auth.asked, core.metrics.socketsOpened]).toEqual([0, [], 0])
      })

    test(`${version}: a session that began without one is no way in later`, async () => {
      const { port, core } = await mutual()
      const ticket = certificates.path(`wss-ticket${version}`)
      for (const person of ["rogueClient", "expired"] as const) {
        await talk(port, [version, ...certificates.shown(person), "-sess_out", ticket], visit)
        const again = (await Bun.file(ticket).exists()) ? ["-sess_in", ticket] : []
        expect((await talk(port, [version, ...again], visit)).received.length).toBe(0)
      }
      expect(core.metrics.socketsOpened).toBe(0)
    })
  }

  for (const [person, sockets] of [
    ["client", 1],
    ["rogueClient", 0],
    ["expired", 0],
    [undefined, 0],
  ] as const)
    test(`${person ?? "none"}, with everything else in the same piece: ${sockets === 1 ? "in" : "out"}`, async () => {
      const { port, core } = await mutual()
      const relay = gatheringRelay(port)
      try {
        await talk(relay.port, ["-tls1_3", "-no_ign_eof", ...certificates.shown(person)], visit)
        if (sockets === 1) await eventually(() => core.metrics.connectsReceived === 1, "the CONNECT")
        else await talk(port, certificates.shown("rogueClient"), visit) // comes later, and has been dealt with
        expect(core.metrics.socketsOpened).toBe(sockets)
      } finally {
        relay.stop()
      }
    })

  test("MQTT.js with its own, another's, and none", async () => {
    const { port, auth } = await mutual()
    const secure = { protocol: "wss", ca: certificates.text("ca") } as const
    const { client, inbox } = await connect(port, 5, { ...secure, ...certificates.texts("client") })
    await client.subscribeAsync("#", { qos: 1 })
    await client.publishAsync("t", "sealed", { qos: 1 })
    expect(await inbox.take(1)).toEqual(["t sealed"])
    for (const person of ["rogueClient", "expired", undefined] as const) {
      const shown = person === undefined ? {} : certificates.texts(person)
      expect(await connect(port, 5, { ...secure, ...shown }).then(String, () => "out")).toBe("out")
    }
    expect(auth.asked.length).toBe(1)
  })

  test("health checks on a port that asks for one are for who has one, too", async () => {
    const tls = { ...certificates.files("server"), ca: certificates.path("ca.crt") }
    const { port } = await serve(dashboard({ port: 0, tls, websocket: { auth: allowAll() } }))
    const request = Buffer.from("GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    expect((await talk(port, certificates.shown("client"), request)).received.toString()).toContain("200 OK")
    for (const person of [undefined, "rogueClient"] as const) {
      expect((await talk(port, certificates.shown(person), request)).received.length).toBe(0)
    }
  })
})

test("usernameFrom, and keys that cannot be used, are INVALID_OPTION", async () => {
  const files = certificates.files("server")
  const tls = { ...files, ca: certificates.path("ca.crt") }
  const usernameFrom = { tls, usernameFrom: "commonName" } as WebSocketOptions
  const table: [options: WebSocketOptions, message: string][] = [
    [usernameFrom, "usernameFrom is for tcp(): Bun does not tell whose certificate a WebSocket has"],
    [{ tls: { ...files, cert: "/nowhere/a.crt" } }, "tls.cert: there is no file /nowhere/a.crt"],
  ]
  for (const [options, message] of table) {
    expect(await refusal(() => open(options))).toBe(`INVALID_OPTION: ${message}`)
  }
})

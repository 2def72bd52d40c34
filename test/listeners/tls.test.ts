/** MQTT over TLS: versions, ways to give the keys, real clients, and options that make no sense. */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { writeFileSync } from "node:fs"
import { allowAll, type TcpOptions, type TlsOptions, tcp } from "../../src/index.ts"
import { ManualClock } from "../../src/testing/clock.ts"
import { run } from "../clients/support.ts"
import { hex } from "../support/bytes.ts"
import { Certificates, PASSPHRASE } from "../support/certificates.ts"
import { connect, endClients } from "../support/mqttjs.ts"
import { handshake, talk } from "../support/s-client.ts"
import { closeBrokers, refusal, serve } from "./brokers.ts"
import { eventually, RawClient } from "./socket.ts"

setDefaultTimeout(60_000)

let certificates: Certificates
beforeAll(async () => {
  certificates = await Certificates.make()
})
afterAll(() => certificates[Symbol.dispose]())
afterEach(async () => {
  endClients()
  await closeBrokers()
})

const secure = (tls: TlsOptions = certificates.files("server"), options: TcpOptions = {}) =>
  tcp({ port: 0, id: "secure", auth: allowAll(), tls, ...options })

/** A CONNECT of MQTT 3.1.1 as `a`, and a DISCONNECT. */
const visit = hex("10 0d 0004 4d515454 04 02 003c 0001 61  e0 00")
const CONNACK = "20020000"

describe("versions of TLS", () => {
  for (const [version, flag] of [
    ["TLSv1.2", "-tls1_2"],
    ["TLSv1.3", "-tls1_3"],
  ] as const)
    test(`${version} is spoken`, async () => {
      const { port } = await serve(secure())
      expect(await handshake(port, flag)).toContain(`${version}, Cipher is`)
      expect((await talk(port, [flag], visit)).received.toString("hex")).toBe(CONNACK)
    })

  for (const flag of ["-tls1_1", "-tls1"])
    test(`${flag} is refused, whatever ciphers are offered, and it is said`, async () => {
      const { port, logged, core } = await serve(secure())
      const told = await handshake(port, flag, "-cipher", "ALL:@SECLEVEL=0")
      expect(told).toContain("alert protocol version")
      await eventually(() => core.peers.size === 0 && logged.length > 0, "the end")
      expect(logged).toEqual([
        expect.stringMatching(/^info: closing 127\.0\.0\.1 on secure: TLS: .*UNSUPPORTED_PROTOCOL/),
      ])
      expect(core.metrics.connectsReceived).toBe(0)
    })
})

describe("real clients", () => {
  for (const version of ["mqttv311", "mqttv5"])
    test(`mosquitto_pub and mosquitto_sub, ${version}`, async () => {
      const { port, core } = await serve(secure())
      const common = ["-h", "127.0.0.1", "-p", String(port), "-V", version, "--cafile", certificates.path("ca.crt")]
      const came = run(["mosquitto_sub", ...common, "-t", "t/#", "-q", "2", "-C", "3", "-F", "%t %q %p"])
      await eventually(() => core.router.subscriptionCount === 1, "the subscription")
      for (const qos of ["0", "1", "2"]) {
        await run(["mosquitto_pub", ...common, "-t", `t/${qos}`, "-m", "sealed", "-q", qos])
      }
      expect(await came).toBe("t/0 0 sealed\nt/1 1 sealed\nt/2 2 sealed\n")
    })

  for (const level of [3, 4, 5] as const)
    test(`MQTT.js, level ${level}`, async () => {
      const { port } = await serve(secure())
      const { client, inbox } = await connect(port, level, { protocol: "mqtts", ca: certificates.text("ca") })
      await client.subscribeAsync("#", { qos: 2 })
      for (const qos of [0, 1, 2] as const) await client.publishAsync("t", `at ${qos}`, { qos })
      expect((await inbox.take(3)).sort()).toEqual(["t at 0", "t at 1", "t at 2"])
    })

  test("a client that knows another authority turns away, and the broker goes on", async () => {
    const { port } = await serve(secure())
    const stranger = connect(port, 5, { protocol: "mqtts", ca: certificates.text("rogueCa") })
    expect(await stranger.then(String, (error) => error.code)).toMatch(/UNABLE_TO_VERIFY|SELF_SIGNED|CERT_SIGNATURE/)
    await connect(port, 5, { protocol: "mqtts", ca: certificates.text("ca") })
  })

  for (const version of ["-tls1_2", "-tls1_3"])
    test(`${version}: one that does not trust the certificate does not say so, and what it may mean is said`, async () => {
      const { port, logged, core } = await serve(secure())
      await talk(port, [version, "-CAfile", certificates.path("rogueCa.crt"), "-verify_return_error"], visit)
      await eventually(() => core.peers.size === 0 && logged.length > 0, "the end")
      expect(logged).toEqual([
        expect.stringMatching(/^info: closing .* TLS: .* \(perhaps it does not trust the certificate\)$/),
      ])
    })

  test("a certificate with those between it and the root is enough for who knows the root alone", async () => {
    const { port } = await serve(secure(certificates.files("chained")))
    const root = ["-CAfile", certificates.path("ca.crt"), "-verify_return_error"]
    expect((await talk(port, root, visit)).received.toString("hex")).toBe(CONNACK)
    writeFileSync(certificates.path("leaf.crt"), certificates.text("chained").split(/(?<=-----\n)(?=-----BEGIN)/)[0]!)
    const leaf = await serve(secure({ ...certificates.files("chained"), cert: certificates.path("leaf.crt") }))
    const { received, said } = await talk(leaf.port, root, visit)
    expect([received.length, said]).toEqual([0, expect.stringContaining("unable to get local issuer certificate")])
  })
})

describe("certificate and key may be given", () => {
  const files = () => certificates.files("server")
  const texts = () => certificates.texts("server")
  const bytes = (text: string) => new TextEncoder().encode(text)
  const table: [name: string, tls: () => TlsOptions][] = [
    ["as paths", files],
    ["as text", texts],
    ["as bytes", () => ({ cert: bytes(texts().cert), key: bytes(texts().key) })],
    ["one so, the other so", () => ({ cert: files().cert, key: bytes(texts().key) })],
    [
      "in one file",
      () => {
        const both = certificates.path("both.pem")
        writeFileSync(both, texts().key + texts().cert)
        return { cert: both, key: both }
      },
    ],
    ["with text around", () => ({ ...texts(), cert: `Subject: nobody - at all\n${texts().cert}\n# end\n` })],
    ["with a passphrase", () => ({ ...files(), key: certificates.path("encrypted.key"), passphrase: PASSPHRASE })],
    [
      "with a passphrase, in the old form",
      () => ({
        ...files(),
        key: certificates.path("encrypted-ec.key"),
        passphrase: PASSPHRASE,
      }),
    ],
  ]
  for (const [name, tls] of table)
    test(name, async () => {
      const { port } = await serve(secure(tls()))
      const { received } = await talk(port, ["-CAfile", certificates.path("ca.crt"), "-verify_return_error"], visit)
      expect(received.toString("hex")).toBe(CONNACK)
    })
})

describe("what makes no sense is INVALID_OPTION, with the file and the reason", () => {
  const file = (name: string, content: string) => {
    writeFileSync(certificates.path(name), content)
    return certificates.path(name)
  }
  const files = () => certificates.files("server")
  const half = (name: string, text: string) => file(name, text.slice(0, text.length / 2))
  const table: [name: string, tls: () => TlsOptions, message: string | RegExp][] = [
    [
      "no such certificate",
      () => ({ ...files(), cert: "/nowhere/a.crt" }),
      "tls.cert: there is no file /nowhere/a.crt",
    ],
    ["no such key", () => ({ ...files(), key: "/nowhere/a.key" }), "tls.key: there is no file /nowhere/a.key"],
    ["no such authority", () => ({ ...files(), ca: "/nowhere/ca.crt" }), "tls.ca: there is no file /nowhere/ca.crt"],
    ["a folder", () => ({ ...files(), cert: "/" }), /^tls\.cert \(\/\) cannot be used: EISDIR/],
    [
      "an empty certificate",
      () => ({ ...files(), cert: file("empty.crt", "") }),
      /^tls\.cert \(.*\/empty\.crt\) .* no certificate/,
    ],
    [
      "an empty key",
      () => ({ ...files(), key: file("empty.key", "") }),
      /^tls\.key \(.*\/empty\.key\) .* no private key/,
    ],
    [
      "an empty authority",
      () => ({ ...files(), ca: file("empty.ca", " \n") }),
      /^tls\.ca \(.*\/empty\.ca\) .* no certificate/,
    ],
    ["empty bytes", () => ({ ...files(), ca: new Uint8Array() }), /^tls\.ca cannot be used: .* no certificate/],
    [
      "a key for a certificate",
      () => ({ ...files(), cert: files().key }),
      /^tls\.cert \(.*\/server\.key\) .* no certificate/,
    ],
    [
      "a certificate for a key",
      () => ({ ...files(), key: files().cert }),
      /^tls\.key \(.*\/server\.crt\) .* no private key/,
    ],
    [
      "a key for an authority",
      () => ({ ...files(), ca: files().key }),
      /^tls\.ca \(.*\/server\.key\) .* no certificate/,
    ],
    [
      "half a certificate",
      () => ({ ...files(), cert: half("half.crt", certificates.text("server")) }),
      /^tls\.cert \(.*\/half\.crt\) cannot be used/,
    ],
    [
      "half a key",
      () => ({ ...files(), key: half("half.key", certificates.text("server", "key")) }),
      /\(.*\/half\.key\) cannot be used together/,
    ],
    [
      "a second authority that is not whole",
      () => ({ ...files(), ca: file("two.crt", certificates.text("ca") + certificates.text("rogueCa").slice(0, 200)) }),
      /^tls\.ca \(.*\/two\.crt\) cannot be used: it is not whole/,
    ],
    [
      "a second authority that is none",
      () => ({
        ...files(),
        ca: file("two.crt", certificates.text("ca") + certificates.text("rogueCa").replace(/^MII.{20}/m, "AAAA")),
      }),
      /^tls\.ca \(.*\/two\.crt\) cannot be used: ./,
    ],
    [
      "the key of another",
      () => ({ ...files(), key: certificates.path("client.key") }),
      /^tls\.cert \(.*\/server\.crt\) and tls\.key \(.*\/client\.key\) cannot be used together: the key is not the certificate's/,
    ],
    [
      "the key of another, as text",
      () => ({ ...certificates.texts("server"), key: certificates.text("client", "key") }),
      "tls.cert and tls.key cannot be used together: the key is not the certificate's",
    ],
    [
      "an encrypted key without its passphrase",
      () => ({ ...files(), key: certificates.path("encrypted.key") }),
      /\/encrypted\.key\) .*: the key is encrypted, which takes tls\.passphrase$/,
    ],
    [
      "an encrypted key with another passphrase",
      () => ({ ...files(), key: certificates.path("encrypted-ec.key"), passphrase: "abracadabra" }),
      /\/encrypted-ec\.key\) .*: tls\.passphrase does not fit$/,
    ],
    ["no key", () => ({ cert: files().cert }) as TlsOptions, "tls.key is missing"],
    ["no certificate", () => ({ key: files().key }) as TlsOptions, "tls.cert is missing"],
  ]
  for (const [name, tls, message] of table)
    test(name, async () => {
      const said = await refusal(() => secure(tls()))
      expect(said.startsWith("INVALID_OPTION: ")).toBe(true)
      const reason = said.slice("INVALID_OPTION: ".length)
      if (typeof message === "string") expect(reason).toBe(message)
      else expect(reason).toMatch(message)
      for (const secret of ["abracadabra", PASSPHRASE, certificates.text("server", "key").slice(40, 60)]) {
        expect(reason).not.toContain(secret)
      }
    })
})

describe("what is not TLS", () => {
  test("MQTT in clear is closed, and it is said", async () => {
    const { port, logged, core } = await serve(secure())
    const client = await RawClient.open(port)
    client.sendConnect("clear")
    await client.until(() => client.hasClosed, "the close")
    await eventually(() => core.peers.size === 0, "no peer")
    expect(core.metrics.connectsReceived).toBe(0)
    expect(logged).toEqual([
      expect.stringMatching(/^info: closing 127\.0\.0\.1 on secure: TLS: .* \(perhaps it does not speak TLS\)$/),
    ])
  })

  test("a handshake that never begins, or never ends, is closed after the time to CONNECT", async () => {
    const clock = new ManualClock()
    const { port, core } = await serve(secure(), { clock, limits: { connectTimeoutSeconds: 3 } })
    const silent = await RawClient.open(port)
    const half = await RawClient.open(port)
    half.write(hex("16 03 01 00 c8 01 00 00 c4 03 03"))
    const shaken = await RawClient.open({ port, tls: { ca: certificates.text("ca") } })
    expect(core.peers.size).toBe(3)
    clock.advance(3.5)
    for (const client of [silent, half, shaken]) await client.until(() => client.hasEnded, "the end")
    clock.advance(3) // who stays is cut off
    await eventually(() => core.peers.size === 0, "no peer")
    expect(core.metrics.limitsHit["connect timeout"]).toBe(3)
  })
})

/** A listener behind a proxy: who the client is for auth, logs and limits, who may say so, and what ends without a header. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test"
import { Reason } from "../../src/codec/index.ts"
import { allowAll, type TcpOptions, tcp } from "../../src/index.ts"
import { ManualClock } from "../../src/testing/clock.ts"
import { hex } from "../support/bytes.ts"
import { closeBrokers, Doorman, refusal, serve } from "./brokers.ts"
import { eventually, RawClient } from "./socket.ts"

setDefaultTimeout(60_000)
afterEach(closeBrokers)

const version1 = (address: string) => Buffer.from(`PROXY TCP4 ${address} 127.0.0.1 54321 1883\r\n`)
const LOCAL = hex("0d0a0d0a000d0a515549540a 20 00 0000")

function behindProxy(options: TcpOptions = {}): ReturnType<typeof tcp> {
  return tcp({ port: 0, id: "proxied", auth: allowAll(), proxy: { trusted: ["127.0.0.1"] }, ...options })
}

/** A client that comes through a proxy, as far as the broker can tell. */
async function through(port: number, header: Buffer, clientId: string): Promise<RawClient> {
  const client = await RawClient.open(port)
  client.write(header)
  client.sendConnect(clientId)
  return client
}

describe("the address in the header", () => {
  test("is what auth, the client it is asked about later, and the logs see", async () => {
    const auth = new Doorman()
    const { port, logged } = await serve(behindProxy({ auth }))
    const client = await through(port, version1("203.0.113.9"), "far")
    await client.next("connack")
    await client.subscribe("t")
    expect(auth.asked.map(({ remoteAddress, listener }) => [remoteAddress, listener])).toEqual([
      ["203.0.113.9", "proxied"],
    ])
    expect(auth.clients[0]!.remoteAddress).toBe("203.0.113.9")
    client.destroy()
    expect(logged).toContain("info: connected far (203.0.113.9) on proxied: MQTT 5.0")
    expect(logged.filter((line) => line.includes("127.0.0.1"))).toEqual([])
  })

  test("is whose failures count: who guesses waits, and who comes through the same proxy does not", async () => {
    const clock = new ManualClock()
    const auth = { authenticate: ({ clientId }: { clientId: string }) => clientId !== "guess" }
    const { port } = await serve(behindProxy({ auth }), { clock })
    let isHeldUp = false
    for (let attempt = 0; attempt < 50 && !isHeldUp; attempt++) {
      const guess = await through(port, version1("203.0.113.9"), "guess")
      const other = await through(port, version1("203.0.113.10"), "other") // comes later, and is answered
      expect((await other.next("connack")).reasonCode).toBe(Reason.Success)
      other.send({ cmd: "pingreq" })
      await other.next("pingresp")
      isHeldUp = guess.packets.length === 0
      if (!isHeldUp) continue
      clock.advance(9)
      expect((await guess.next("connack")).reasonCode).toBe(Reason.NotAuthorized)
    }
    expect(isHeldUp).toBe(true)
  })

  for (const [name, header] of [
    ["UNKNOWN of version 1", Buffer.from("PROXY UNKNOWN\r\n")],
    ["LOCAL of version 2", LOCAL],
  ] as const)
    test(`${name}: it is the proxy itself`, async () => {
      const auth = new Doorman()
      const { port } = await serve(behindProxy({ auth }))
      await (await through(port, header, "itself")).next("connack")
      expect(auth.asked[0]!.remoteAddress).toBe("127.0.0.1")
    })

  test("is read whatever the header comes with: byte by byte, or in one piece with what the client has said", async () => {
    const auth = new Doorman()
    const { port } = await serve(behindProxy({ auth }))
    const watcher = await through(port, LOCAL, "watcher")
    await watcher.next("connack")
    await watcher.subscribe("#")
    const slow = await RawClient.open(port)
    for (const byte of version1("203.0.113.1")) {
      slow.write(Buffer.from([byte]))
      watcher.send({ cmd: "pingreq" })
      await watcher.next("pingresp") // the broker has had its turn
    }
    slow.sendConnect("slow")
    await slow.next("connack")
    const words = await RawClient.open(port, 4)
    const pieces = [
      version1("203.0.113.2"),
      hex("10 0d 0004 4d515454 04 02 003c 0001 61"),
      hex("30 06 0001 74 68 69 21"),
    ]
    words.write(Buffer.concat(pieces))
    expect(String((await watcher.next("publish")).payload)).toBe("hi!")
    expect(auth.asked.map(({ remoteAddress }) => remoteAddress)).toEqual(["127.0.0.1", "203.0.113.1", "203.0.113.2"])
  })

  test("more behind the addresses is passed over", async () => {
    const auth = new Doorman()
    const { port } = await serve(behindProxy({ auth }))
    const addresses = "cb007109 7f000001 d431 075b"
    const header = hex(`0d0a0d0a000d0a515549540a 21 11 0100 ${addresses} ${"04 00f1".padEnd(7)} ${"00".repeat(241)}`)
    await (await through(port, header, "decorated")).next("connack")
    expect(auth.asked[0]!.remoteAddress).toBe("203.0.113.9")
  })
})

test("a health check that only connects and goes, in any way, is not worth a line above debug", async () => {
  const { port, core, logged } = await serve(behindProxy())
  for (let check = 0; check < 20; check++) {
    const client = await RawClient.open(port)
    if (check % 2 === 0) client.destroy()
    else client.end()
  }
  await eventually(() => core.metrics.socketsOpened === 20 && core.peers.size === 0, "all come and gone")
  expect(logged.filter((line) => !line.startsWith("debug: "))).toEqual([])
})

describe("who is not let in", () => {
  test("somebody who is no trusted proxy and says that he speaks for another", async () => {
    const auth = new Doorman()
    const { port, logged, core } = await serve(behindProxy({ auth, proxy: { trusted: ["10.0.0.0/8", "127.0.0.2"] } }))
    const spoof = await RawClient.open(port)
    spoof.write(version1("10.1.1.1"))
    spoof.sendConnect("spoof")
    await spoof.until(() => spoof.hasClosed, "the close")
    expect(spoof.receivedBytes).toBe(0)
    expect(logged).toEqual(["info: closing 127.0.0.1 on proxied: not a trusted proxy"])
    await eventually(() => core.peers.size === 0, "no peer")
    expect([auth.asked, core.metrics.connections]).toEqual([[], 0])
    const client = await RawClient.open({ port, hostname: "127.0.0.1" })
    await client.until(() => client.hasClosed, "the close of one that says nothing")
  })

  test("a client that comes to the listener without a proxy", async () => {
    const auth = new Doorman()
    const { port, logged, core } = await serve(behindProxy({ auth }))
    const client = await RawClient.open(port)
    client.sendConnect("direct")
    await client.until(() => client.hasClosed, "the close")
    expect([client.receivedBytes, auth.asked]).toEqual([0, []])
    expect(logged).toEqual(["info: closing 127.0.0.1 on proxied: not a PROXY header"])
    await eventually(() => core.peers.size === 0, "no peer")
  })

  test("a header that never comes, never ends or is followed by nothing: closed after the time to CONNECT", async () => {
    const clock = new ManualClock()
    const { port, core, logged } = await serve(behindProxy(), { clock, limits: { connectTimeoutSeconds: 3 } })
    const starts = [
      Buffer.alloc(0),
      Buffer.from("PROXY TCP4 203."),
      hex("0d0a0d0a000d0a515549540a 21 11 ffff 00"),
      version1("203.0.113.9"),
    ]
    const clients = await Promise.all(starts.map(() => RawClient.open(port)))
    for (const [index, start] of starts.entries()) if (start.length > 0) clients[index]!.write(start)
    const served = await through(port, LOCAL, "served")
    await served.next("connack") // and so the others have been read
    expect(core.peers.size).toBe(5)
    clock.advance(2.5)
    expect(clients.some((client) => client.hasEnded)).toBe(false)
    clock.advance(1)
    for (const client of clients) await client.until(() => client.hasEnded, "the end")
    clock.advance(3) // who stays is cut off
    await eventually(() => core.peers.size === 1, "no peer but the one that has said something")
    expect(core.metrics.limitsHit["connect timeout"]).toBe(4)
    const lines = logged.filter((line) => line.includes("no CONNECT in time")).sort()
    expect(lines).toEqual([
      ...Array.from({ length: 3 }, () => "info: closing 127.0.0.1 on proxied: no CONNECT in time"),
      "info: closing 203.0.113.9 on proxied: no CONNECT in time",
    ])
  })

  test("more connections than there may be, those without a header counted", async () => {
    const { port, core } = await serve(behindProxy({ limits: { maximumConnections: 2 } }))
    const silent = [await RawClient.open(port), await RawClient.open(port)]
    await eventually(() => core.peers.size === 2, "both")
    const surplus = await through(port, LOCAL, "surplus")
    expect((await surplus.next("connack")).reasonCode).toBe(Reason.ServerBusy)
    for (const each of silent) each.destroy()
    surplus.destroy()
    await eventually(() => core.peers.size === 0, "room")
    await (await through(port, LOCAL, "next")).next("connack")
  })
})

test("broker.close() ends those, too, whose header has not come", async () => {
  const { broker, port, core } = await serve(behindProxy())
  const silent = await RawClient.open(port)
  await eventually(() => core.metrics.connections === 1, "the connection")
  const closed = broker.close()
  await silent.until(() => silent.hasEnded, "the end")
  silent.end()
  await closed
  expect(core.peers.size).toBe(0)
})

test("together with TLS it is refused", async () => {
  const tls = { cert: "server.crt", key: "server.key" }
  expect(await refusal(() => behindProxy({ tls }))).toBe(
    "INVALID_OPTION: proxy and tls do not go together: let the proxy speak TLS",
  )
})

/** The stream of bytes through TLS: whole and in order whatever the sockets take, held back and ended as over TCP. */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import type { BrokerOptions } from "../../src/broker/broker.ts"
import { Reason } from "../../src/codec/index.ts"
import { type Auth, allowAll, tcp } from "../../src/index.ts"
import { Certificates } from "../support/certificates.ts"
import { ManualClock } from "../support/clock.ts"
import { closeBrokers, serve } from "./brokers.ts"
import { eventually, RawClient } from "./socket.ts"

setDefaultTimeout(60_000)

let certificates: Certificates
beforeAll(async () => {
  certificates = await Certificates.make()
})
afterAll(() => certificates[Symbol.dispose]())
afterEach(closeBrokers)

async function served(options: BrokerOptions = {}, auth: Auth = allowAll()) {
  const door = await serve(tcp({ port: 0, auth, tls: certificates.files("server") }), options)
  return { ...door, place: { port: door.port, tls: { ca: certificates.text("ca") } } }
}

const published = (client: RawClient) => client.packets.filter(({ cmd }) => cmd === "publish")

describe("many bytes at once", () => {
  for (const level of [4, 5] as const)
    test(`level ${level}: to a subscriber that stops reading, and to one that does not`, async () => {
      const limits = { maximumBacklogBytes: 256 * 1024 * 1024, maximumPacketBytes: 4 * 1024 * 1024 }
      const { place, core } = await served({ limits })
      const slow = await RawClient.connect(place, "slow", level)
      const fast = await RawClient.connect(place, "fast", level)
      await slow.subscribe("t/#")
      await fast.subscribe("t/#")
      slow.pause()
      const publisher = await RawClient.connect(place, "publisher", level)
      const sizes = Array.from({ length: 200 }, (_, i) => [10, 1000, 16_384, 70_000, 300_000][i % 5]!)
      sizes[100] = 3_000_000
      for (const [i, size] of sizes.entries()) publisher.publish(`t/${i}`, Buffer.alloc(size, i))
      await fast.until(() => published(fast).length === sizes.length, "all messages at the fast one")
      const backlog = Math.max(...[...core.peers].map((peer) => peer.backlogBytes))
      expect(backlog).toBeGreaterThan(1_000_000)
      expect(published(slow).length).toBeLessThan(sizes.length)
      for (let pause = 0; pause < 20; pause++) {
        const before = slow.receivedBytes
        slow.resume()
        await slow.until(() => slow.receivedBytes > before, "some more")
        slow.pause()
      }
      slow.resume()
      await slow.until(() => published(slow).length === sizes.length, "all messages at the slow one")
      for (const client of [slow, fast])
        for (const [i, { topic, payload }] of published(client).entries()) {
          expect(topic).toBe(`t/${i}`)
          expect(payload.equals(Buffer.alloc(sizes[i]!, i))).toBe(true)
        }
      await eventually(() => [...core.peers].every((peer) => peer.backlogBytes === 0), "empty outboxes")
    })

  test("a subscriber that does not read costs its backlog: QoS 0 is dropped and counted, QoS 1 comes whole", async () => {
    const maximumBacklogBytes = 1_000_000
    const { place, core } = await served({ limits: { maximumBacklogBytes } })
    const slow = await RawClient.connect(place, "slow")
    await slow.subscribe("q0")
    await slow.subscribe("q1", 1)
    slow.pause()
    const publisher = await RawClient.connect(place, "publisher")
    for (let i = 0; i < 400; i++) {
      publisher.publish("q0", Buffer.alloc(50_000))
      publisher.publish("q1", String(i), { qos: 1, messageId: i + 1 })
    }
    await publisher.until(() => publisher.packets.length === 400, "all acknowledgements")
    expect(core.metrics.dropped["backlog full"]).toBeGreaterThan(0)
    const backlog = Math.max(...[...core.peers].map((peer) => peer.backlogBytes))
    expect(backlog).toBeLessThanOrEqual(maximumBacklogBytes + 100_000)
    slow.resume()
    const came: string[] = []
    while (came.length < 400) {
      const { topic, messageId, payload } = await slow.next("publish")
      if (topic !== "q1") continue
      slow.send({ cmd: "puback", messageId: messageId! })
      came.push(payload.toString())
    }
    expect(came).toEqual(Array.from({ length: 400 }, (_, i) => String(i)))
  })
})

test("a decision that takes its time holds the connection: what follows waits in the client's own buffers", async () => {
  const { promise: decision, resolve: decide } = Promise.withResolvers<boolean>()
  const auth: Auth = { authenticate: ({ clientId }) => (clientId === "late" ? decision : true) }
  const { place, core } = await served({ limits: { maximumBacklogBytes: 256 * 1024 * 1024 } }, auth)
  const watcher = await RawClient.connect(place, "watcher")
  await watcher.subscribe("t/#")
  const late = await RawClient.open(place)
  late.sendConnect("late")
  const count = 300
  for (let i = 0; i < count; i++) late.publish(`t/${i}`, Buffer.alloc(100_000))
  await eventually(() => core.metrics.connectsReceived === 2, "the CONNECT")
  const other = await RawClient.connect(place, "other") // others are served meanwhile
  for (let unchanged = 0, before = -1; unchanged < 20; ) {
    other.send({ cmd: "pingreq" })
    await other.next("pingresp")
    unchanged = late.unwrittenBytes === before ? unchanged + 1 : 0
    before = late.unwrittenBytes
  }
  expect(late.unwrittenBytes).toBeGreaterThan(10_000_000)
  expect(core.metrics.bytesReceived).toBeLessThan(15_000_000)
  decide(true)
  for (let i = 0; i < count; i++) expect((await watcher.next("publish")).topic).toBe(`t/${i}`)
  expect((await late.next("connack")).reasonCode).toBe(0)
})

describe("the end", () => {
  test("the reason reaches a client that goes on writing; then the connection is closed", async () => {
    const { place, core } = await served()
    const client = await RawClient.connect(place, "client")
    client.sendConnect("client")
    for (let i = 0; i < 100; i++) client.publish("t", Buffer.alloc(50_000))
    expect((await client.next("disconnect")).reasonCode).toBe(Reason.ProtocolError)
    await client.until(() => client.hasEnded, "the end")
    client.end()
    await eventually(() => core.peers.size === 0, "no peer")
    expect(core.metrics.publishReceived).toBe(0)
  })

  test("a client that is told to go and stays is cut off", async () => {
    const clock = new ManualClock()
    const { place, core } = await served({ clock })
    const client = await RawClient.connect(place, "client")
    client.sendConnect("client")
    await client.next("disconnect")
    clock.advance(3)
    await eventually(() => core.peers.size === 0, "the close")
    expect(core.metrics.connections).toBe(0)
  })

  test("a connection that breaks is the will's hour", async () => {
    const { place } = await served()
    const watcher = await RawClient.connect(place, "watcher")
    await watcher.subscribe("will")
    const will = { topic: "will", payload: Buffer.from("gone"), qos: 0, retain: false }
    const client = await RawClient.connect(place, "client", 5, { will })
    client.destroy()
    expect((await watcher.next("publish")).payload.toString()).toBe("gone")
  })

  test("broker.close() says 0x8B, behind everything else that is on its way to a slow reader", async () => {
    const { broker, place, core, port } = await served({ limits: { maximumBacklogBytes: 64 * 1024 * 1024 } })
    const slow = await RawClient.connect(place, "slow")
    await slow.subscribe("#")
    slow.pause()
    const publisher = await RawClient.connect(place, "publisher")
    for (let i = 0; i < 100; i++) publisher.publish("t", Buffer.alloc(200_000, i))
    await eventually(() => core.metrics.publishSent === 100, "all of them on their way")
    const closed = broker.close({ timeoutMs: 20_000 })
    slow.resume()
    await slow.next("disconnect").then(({ reasonCode }) => expect(reasonCode).toBe(Reason.ServerShuttingDown))
    expect(slow.receivedBytes).toBeGreaterThan(20_000_000)
    await publisher.next("disconnect")
    for (const client of [slow, publisher]) client.end()
    await closed
    expect(core.peers.size).toBe(0)
    const again = await serve(tcp({ port, auth: allowAll() }))
    expect(again.port).toBe(port)
  })
})

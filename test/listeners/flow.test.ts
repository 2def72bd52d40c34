/** Bytes through every door: whole and in order whatever the sockets take, bounded where they wait, held back, and ended. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test"
import type { BrokerOptions } from "../../src/broker/broker.ts"
import type { Core } from "../../src/broker/core.ts"
import { type ProtocolLevel, Reason } from "../../src/codec/index.ts"
import { type Auth, allowAll, tcp, websocket } from "../../src/index.ts"
import { Certificates } from "../support/certificates.ts"
import { ManualClock } from "../support/clock.ts"
import { closeBrokers, serve } from "./brokers.ts"
import { FrameClient } from "./frames.ts"
import { eventually, type PacketClient, RawClient } from "./socket.ts"

setDefaultTimeout(60_000)
afterEach(closeBrokers)

const certificates = Certificates.forTests()

/** A kind of listener, and a client for it that has sent nothing yet. */
interface Door {
  readonly name: string
  listener(auth: Auth): Parameters<typeof serve>[0]
  open(port: number, level?: ProtocolLevel): Promise<PacketClient>
}

const overTcp: Door = {
  name: "TCP",
  listener: (auth) => tcp({ port: 0, auth }),
  open: (port, level) => RawClient.open(port, level),
}
const overTls: Door = {
  name: "TLS",
  listener: (auth) => tcp({ port: 0, auth, tls: certificates.files("server") }),
  open: (port, level) => RawClient.open({ port, tls: { ca: certificates.text("ca") } }, level),
}
const overWebSocket: Door = {
  name: "WebSocket",
  listener: (auth) => websocket({ port: 0, auth }),
  open: (port, level = 5) => FrameClient.request(port, { level }),
}
const streams = [overTcp, overTls]
const doors = [...streams, overWebSocket]

async function served(door: Door, options: BrokerOptions = {}, auth: Auth = allowAll()) {
  const { broker, core, port } = await serve(door.listener(auth), options)
  const open = (level?: ProtocolLevel) => door.open(port, level)
  /** A client with a session: clean start, no keep-alive. */
  const connect = async (clientId: string, level?: ProtocolLevel, fields?: object) => {
    const client = await open(level)
    await client.begin(clientId, fields)
    return client
  }
  return { broker, core, port, open, connect }
}

/** What waits for the slowest client: in its outbox, and in Bun's own buffer behind it, which only a WebSocket has. */
function waitingBytes(core: Core): number {
  const waiting = Array.from(core.peers, (peer) => {
    const { socket } = (peer as unknown as { transport: { socket: { getBufferedAmount?(): number } } }).transport
    return peer.backlogBytes + (socket.getBufferedAmount?.() ?? 0)
  })
  return Math.max(...waiting)
}

const published = (client: PacketClient) => client.packets.filter(({ cmd }) => cmd === "publish")

/** An auth that answers when the test says so, where it is `late` who asks. */
function hesitant() {
  const { promise: decision, resolve: decide } = Promise.withResolvers<boolean>()
  const auth: Auth = { authenticate: ({ clientId }) => (clientId === "late" ? decision : true) }
  return { auth, decide }
}

for (const door of doors)
  describe(`over ${door.name}`, () => {
    describe("[MQTT-4.2.0-1] [v3.1.1 MQTT-7.1.1-1] is an ordered, lossless stream of bytes in both directions", () => {
      for (const level of [3, 4, 5] as const)
        test(`level ${level}: megabytes to a subscriber that stops reading, and to one that does not`, async () => {
          const limits = { maximumBacklogBytes: 256 * 1024 * 1024, maximumPacketBytes: 4 * 1024 * 1024 }
          const { core, connect } = await served(door, { limits })
          const slow = await connect("slow", level)
          const fast = await connect("fast", level)
          await slow.subscribe("t/#")
          await fast.subscribe("t/#")
          slow.pause()
          const publisher = await connect("publisher", level)
          const sizes = Array.from({ length: 300 }, (_, i) => [10, 1000, 16_384, 70_000, 300_000][i % 5]!)
          sizes[150] = 3_000_000
          for (const [i, size] of sizes.entries()) publisher.publish(`t/${i}`, Buffer.alloc(size, i))
          await fast.until(() => published(fast).length === sizes.length, "all messages at the fast one")
          expect(waitingBytes(core)).toBeGreaterThan(1_000_000)
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
          await eventually(() => waitingBytes(core) === 0, "nothing that waits")
        })
    })

    describe("a subscriber that does not read", () => {
      test("costs at most its backlog: QoS 0 is dropped and counted, QoS 1 waits and comes whole, in order", async () => {
        const maximumBacklogBytes = 1_000_000
        const { core, connect } = await served(door, { limits: { maximumBacklogBytes } })
        const slow = await connect("slow")
        await slow.subscribe("q0")
        await slow.subscribe("q1", 1)
        slow.pause()
        const publisher = await connect("publisher")
        for (let i = 0; i < 600; i++) {
          publisher.publish("q0", Buffer.alloc(50_000))
          publisher.publish("q1", String(i), { qos: 1, messageId: i + 1 })
        }
        await publisher.until(() => publisher.packets.length === 600, "all acknowledgements")
        expect(core.metrics.dropped["backlog full"]).toBeGreaterThan(0)
        const surplus = door === overWebSocket ? 200_000 : 100_000 // a message over, and of a WebSocket a frame in Bun's buffer
        expect(waitingBytes(core)).toBeLessThanOrEqual(maximumBacklogBytes + surplus)
        slow.resume()
        const came: string[] = []
        while (came.length < 600) {
          const { topic, messageId, payload } = await slow.next("publish")
          if (topic !== "q1") continue
          slow.send({ cmd: "puback", messageId: messageId! })
          came.push(payload.toString())
        }
        expect(came).toEqual(Array.from({ length: 600 }, (_, i) => String(i)))
        expect(core.metrics.dropped["queue full"]).toBe(0)
      })

      test("or reads by sips costs no more", async () => {
        const [maximumBacklogBytes, messageBytes] = [10_000_000, 3_000_000]
        const { core, connect } = await served(door, { limits: { maximumBacklogBytes, maximumPacketBytes: 4_000_000 } })
        const slow = await connect("slow")
        await slow.subscribe("#")
        slow.pause()
        const publisher = await connect("publisher")
        let most = 0
        for (let round = 0; round < 8; round++) {
          for (let i = 0; i < 4; i++) publisher.publish("t", Buffer.alloc(messageBytes, i))
          publisher.send({ cmd: "pingreq" })
          await publisher.next("pingresp")
          most = Math.max(most, waitingBytes(core))
          const before = slow.receivedBytes
          slow.resume() // less than a message, but enough for the broker's socket to take some more
          await slow.until(() => slow.receivedBytes > before + 1_000_000, "a sip")
          slow.pause()
        }
        expect(core.metrics.dropped["backlog full"]).toBeGreaterThan(0)
        expect(most).toBeGreaterThan(maximumBacklogBytes)
        const surplus = (door === overWebSocket ? 2 : 1) * messageBytes
        expect(most).toBeLessThanOrEqual(maximumBacklogBytes + surplus + 1000)
      })
    })

    describe("the end", () => {
      test("[MQTT-3.14.4-2] the reason reaches a client that goes on writing; then the connection is closed", async () => {
        const { core, connect } = await served(door)
        const client = await connect("client")
        client.sendConnect("client")
        for (let i = 0; i < 200; i++) client.publish("t", Buffer.alloc(50_000))
        expect((await client.next("disconnect")).reasonCode).toBe(Reason.ProtocolError)
        await client.until(() => client.hasEnded, "the end")
        expect(client.hasClosed).toBe(false) // a reset might have cost the reason
        client.end()
        await eventually(() => core.peers.size === 0, "no peer")
        expect(core.metrics.publishReceived).toBe(0)
      })

      test("a connection that breaks is the will's hour", async () => {
        const { core, connect } = await served(door)
        const watcher = await connect("watcher")
        await watcher.subscribe("will")
        const will = { topic: "will", payload: Buffer.from("gone"), qos: 0, retain: false }
        const client = await connect("client", 5, { will })
        client.destroy()
        expect((await watcher.next("publish")).payload.toString()).toBe("gone")
        expect(core.peers.size).toBe(1)
      })

      test("broker.close() says 0x8B, behind everything else that is on its way to a slow reader", async () => {
        const { broker, core, port, connect } = await served(door, {
          limits: { maximumBacklogBytes: 64 * 1024 * 1024 },
        })
        const slow = await connect("slow")
        await slow.subscribe("#")
        slow.pause()
        const publisher = await connect("publisher")
        for (let i = 0; i < 100; i++) publisher.publish("t", Buffer.alloc(200_000, i))
        await eventually(() => core.metrics.publishSent === 100, "all of them on their way")
        const closed = broker.close({ timeoutMs: 20_000 })
        slow.resume()
        expect((await slow.next("disconnect")).reasonCode).toBe(Reason.ServerShuttingDown)
        expect(slow.receivedBytes).toBeGreaterThan(20_000_000)
        await publisher.next("disconnect")
        for (const client of [slow, publisher]) client.end()
        await closed
        expect(core.peers.size).toBe(0)
        expect((await serve(tcp({ port, auth: allowAll() }))).port).toBe(port)
      })
    })
  })

for (const door of streams)
  describe(`over ${door.name}`, () => {
    test("a client that says everything at once and closes its half has been heard", async () => {
      const { open, connect } = await served(door)
      const subscriber = await connect("subscriber")
      await subscriber.subscribe("#")
      const client = await open(4)
      client.sendConnect("brief")
      client.publish("a", "said")
      client.end()
      expect((await subscriber.next("publish")).payload.toString()).toBe("said")
      await client.until(() => client.hasClosed, "the close")
    })

    test("a decision that takes its time holds the connection: what follows waits, in order, and in the client's own buffers", async () => {
      const { auth, decide } = hesitant()
      const { core, open, connect } = await served(door, { limits: { maximumBacklogBytes: 256 * 1024 * 1024 } }, auth)
      const watcher = await connect("watcher")
      await watcher.subscribe("t/#")
      const late = await open()
      late.sendConnect("late")
      const count = 500
      for (let i = 0; i < count; i++) late.publish(`t/${i}`, Buffer.alloc(100_000))
      await eventually(() => core.metrics.connectsReceived === 2, "the CONNECT")
      // others are served meanwhile
      const other = await connect("other")
      other.publish("t/other", "now")
      expect((await watcher.next("publish")).topic).toBe("t/other")
      expect(core.metrics.publishReceived).toBe(1)
      for (let unchanged = 0, before = -1; unchanged < 20; ) {
        other.send({ cmd: "pingreq" })
        await other.next("pingresp")
        unchanged = late.unwrittenBytes === before ? unchanged + 1 : 0
        before = late.unwrittenBytes
      }
      expect(late.unwrittenBytes).toBeGreaterThan(20_000_000)
      expect(core.metrics.bytesReceived).toBeLessThan(15_000_000)
      decide(true)
      for (let i = 0; i < count; i++) expect((await watcher.next("publish")).topic).toBe(`t/${i}`)
      expect((await late.next("connack")).reasonCode).toBe(0)
    })

    test("a client that has gone while it was decided on is nobody any more", async () => {
      const { auth, decide } = hesitant()
      const { core, open } = await served(door, {}, auth)
      const late = await open()
      late.sendConnect("late")
      await eventually(() => core.metrics.connectsReceived === 1, "the CONNECT")
      late.destroy()
      await late.until(() => late.hasClosed, "the close")
      decide(true)
      await eventually(() => core.peers.size === 0, "no peer")
      expect([core.sessions.size, core.metrics.connections]).toEqual([0, 0])
    })

    test("a client that is told to go and stays is cut off", async () => {
      const clock = new ManualClock()
      const { core, connect } = await served(door, { clock })
      const client = await connect("client")
      client.sendConnect("client")
      await client.next("disconnect")
      await client.until(() => client.hasEnded, "the end of the broker's half")
      expect(core.peers.size).toBe(1)
      clock.advance(3)
      await eventually(() => core.peers.size === 0, "the close")
      expect(core.metrics.connections).toBe(0)
    })
  })

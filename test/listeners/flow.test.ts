/** Bytes through every door: whole and in order whatever the sockets take, bounded where they wait, held back, and ended. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test"
import type { Core } from "../../src/broker/core.ts"
import type { Hooks } from "../../src/broker/hooks.ts"
import type { BrokerOptions } from "../../src/broker/options.ts"
import { type ProtocolLevel, Reason } from "../../src/codec/index.ts"
import { type Auth, allowAll, tcp, websocket } from "../../src/index.ts"
import { ManualClock } from "../../src/testing/clock.ts"
import { Certificates } from "../support/certificates.ts"
import { LateStore } from "../support/store.ts"
import { closeBrokers, serve } from "./brokers.ts"
import { FrameClient, Opcode } from "./frames.ts"
import { eventually, type PacketClient, RawClient } from "./socket.ts"

setDefaultTimeout(60_000)
afterEach(closeBrokers)

const certificates = Certificates.forTests()

/** A kind of listener, and a client for it that has sent nothing yet. */
interface Door {
  readonly name: string
  listener(auth: Auth): Parameters<typeof serve>[0]
  open(port: number, level?: ProtocolLevel): Promise<PacketClient>
  /** Ends the connection, unbroken; resolves when the broker has seen it, if it would look while the client has to wait. */
  leave(client: PacketClient): Promise<void>
}

const closeHalf = async (client: PacketClient) => client.end()

const overTcp: Door = {
  name: "TCP",
  listener: (auth) => tcp({ port: 0, auth }),
  open: (port, level) => RawClient.open(port, level),
  leave: closeHalf,
}
const overTls: Door = {
  name: "TLS",
  listener: (auth) => tcp({ port: 0, auth, tls: certificates.files("server") }),
  open: (port, level) => RawClient.open({ port, tls: { ca: certificates.text("ca") } }, level),
  leave: closeHalf,
}
const overWebSocket: Door = {
  name: "WebSocket",
  listener: (auth) => websocket({ port: 0, auth }),
  open: (port, level = 5) => FrameClient.request(port, { level }),
  async leave(client) {
    ;(client as FrameClient).sendFrame(Opcode.close, Buffer.from([0x03, 0xe8])) // 1000
    await client.until(() => client.hasEnded, "the answer to it")
  },
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

/** What a client may have to wait for that is called `leaving` and publishes to `first`. */
interface Wait {
  readonly auth?: Auth
  readonly hooks?: Hooks
  readonly store?: LateStore
  /** How many of its messages the broker has taken when it has to wait. */
  readonly messages: number
  end(): unknown
}

function pending<A>(answer: A) {
  const { promise, resolve } = Promise.withResolvers<A>()
  return { promise, end: () => resolve(answer) }
}

const waits: [what: string, begin: () => Wait][] = [
  [
    "who it is",
    () => {
      const { promise, end } = pending(true)
      return { auth: { authenticate: ({ clientId }) => clientId !== "leaving" || promise }, messages: 0, end }
    },
  ],
  ["what it may publish", awaitedPermission],
  [
    "a hook",
    () => {
      const { promise, end } = pending(undefined)
      return { hooks: { onMessage: ({ topic }) => (topic === "first" ? promise : undefined) }, messages: 1, end }
    },
  ],
  [
    "the disk",
    () => {
      const store = new LateStore()
      return { store, messages: 3, end: () => store.commitAll() }
    },
  ],
]

function awaitedPermission(): Wait {
  const { promise, end } = pending(true)
  return {
    auth: { authenticate: () => true, authorize: (_, __, topic) => topic !== "first" || promise },
    messages: 1,
    end,
  }
}

/** A client with a will that has something to wait for, says more behind that, and goodbye; and who sees what comes of it. */
async function lastWords(door: Door, { auth, hooks, store, messages }: Wait) {
  const limits = { receiveMaximum: 1 } // so that few acknowledgements that the disk owes are too many
  const { broker, core, open, connect } = await served(door, { limits, ...(store !== undefined && { store }) }, auth)
  if (hooks !== undefined) broker.use(hooks)
  const watcher = await connect("watcher")
  await watcher.subscribe("#")
  const leaving = await open(4)
  leaving.sendConnect("leaving", { will: { topic: "will", payload: Buffer.from("lost"), qos: 0, retain: false } })
  for (const messageId of [1, 2, 3]) leaving.publish("first", "words", { qos: 1, messageId, retain: true })
  const { metrics } = core
  await eventually(() => metrics.connectsReceived === 2 && metrics.publishReceived === messages, "that it has to wait")
  leaving.publish("second", "words")
  leaving.send({ cmd: "disconnect" })
  /** The topics that have come since the last time. */
  const seen = async () => {
    watcher.send({ cmd: "pingreq" })
    await watcher.until(() => watcher.packets.some(({ cmd }) => cmd === "pingresp"), "the answer to a ping")
    return watcher.take().flatMap(({ cmd, topic }) => (cmd === "publish" ? [topic] : []))
  }
  return { core, leaving, seen }
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

      for (const [what, begin] of waits)
        test(`of a client that waits for ${what} comes after what it has said`, async () => {
          const wait = begin()
          const { core, leaving, seen } = await lastWords(door, wait)
          await door.leave(leaving)
          const before = await seen()
          expect([before.includes("second"), before.includes("will"), core.peers.size]).toEqual([false, false, 2])
          await wait.end()
          await eventually(() => core.peers.size === 1, "its end")
          expect([...before, ...(await seen())]).toEqual(["first", "first", "first", "second"]) // [MQTT-3.1.2-8]
        })

      test("of a client that waits is at once where its connection breaks, and nothing else is heard of it", async () => {
        const wait = awaitedPermission()
        const { core, leaving, seen } = await lastWords(door, wait)
        leaving.destroy()
        await eventually(() => core.peers.size === 1, "its end")
        expect(await seen()).toEqual(["will"])
        await wait.end()
        expect(await seen()).toEqual([])
      })

      test("of a client that breaks off while it is decided on leaves nothing of it", async () => {
        const { auth, decide } = hesitant()
        const { core, open } = await served(door, {}, auth)
        const late = await open()
        late.sendConnect("late")
        late.publish("t", "never")
        await eventually(() => core.metrics.connectsReceived === 1, "the CONNECT")
        late.destroy()
        await eventually(() => core.peers.size === 0, "no peer")
        decide(true)
        await Bun.sleep(0)
        expect([core.sessions.size, core.metrics.connections, core.metrics.publishReceived]).toEqual([0, 0, 0])
      })

      test("of a client that leaves and is never decided on comes with its time to CONNECT", async () => {
        const clock = new ManualClock()
        const { core, open } = await served(door, { clock, limits: { connectTimeoutSeconds: 10 } }, hesitant().auth)
        const late = await open()
        late.sendConnect("late")
        late.publish("t", "never")
        await eventually(() => core.metrics.connectsReceived === 1, "the CONNECT")
        await door.leave(late)
        expect(core.peers.size).toBe(1)
        clock.advance(10)
        clock.advance(3)
        await eventually(() => core.peers.size === 0, "no peer")
        expect(core.metrics.connections).toBe(0)
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

    test("and has been heard, too, when it is decided on only afterwards", async () => {
      const { auth, decide } = hesitant()
      const { core, open, connect } = await served(door, {}, auth)
      const subscriber = await connect("subscriber")
      await subscriber.subscribe("#")
      const late = await open(4)
      late.sendConnect("late")
      late.publish("a", "said")
      late.end()
      await eventually(() => core.metrics.connectsReceived === 2, "the CONNECT")
      subscriber.send({ cmd: "pingreq" })
      await subscriber.next("pingresp")
      decide(true)
      expect((await subscriber.next("publish")).payload.toString()).toBe("said")
      await late.until(() => late.hasClosed, "the close")
      await eventually(() => core.peers.size === 1, "its end")
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

/** A WebSocket that is slow, or has to wait: what is on its way to it and from it is bounded, and comes whole and in order. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test"
import type { ServerWebSocket } from "bun"
import mqtt from "mqtt-packet"
import type { BrokerOptions } from "../../src/broker/options.ts"
import { type Auth, allowAll, websocket } from "../../src/index.ts"
import { type DoorData, WebSocketDoor } from "../../src/listeners/websocket.ts"
import { ManualClock } from "../../src/testing/clock.ts"
import { settled } from "../../src/testing/settled.ts"
import { Harness } from "../support/harness.ts"
import { closeBrokers, serve } from "./brokers.ts"
import { FrameClient, Opcode } from "./frames.ts"
import { eventually } from "./socket.ts"

setDefaultTimeout(60_000)
afterEach(closeBrokers)

const served = (options: BrokerOptions = {}, auth: Auth = allowAll()) =>
  serve(websocket({ port: 0, id: "door", auth }), options)

/** A socket that is always full: whatever is written stays in Bun's buffer. */
class FullSocket {
  readonly remoteAddress = "192.0.2.1"
  readonly data: DoorData = { transport: undefined, connection: undefined }
  /** How long the frames are that have been written. */
  readonly frames: number[] = []
  buffered = 0
  isPaused = false

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
  }

  terminate(): void {}

  sendBinary({ length }: Buffer): number {
    this.frames.push(length)
    this.buffered += length
    return -1
  }

  getBufferedAmount(): number {
    return this.buffered
  }
}

describe("a slow reader", () => {
  test("is written to again when Bun's own buffer is empty, not when a part of it has gone", () => {
    const harness = new Harness()
    const socket = new FullSocket()
    const { open, message, drain } = new WebSocketDoor(harness.core, harness.serving, {}).handlers
    const its = socket as unknown as ServerWebSocket<DoorData>
    const send = (packet: object) => message!(its, Buffer.from(mqtt.generate(packet as mqtt.Packet)))
    open!(its)
    send({ cmd: "connect", protocolId: "MQTT", protocolVersion: 4, clean: true, keepalive: 0, clientId: "slow" })
    expect(socket.frames).toEqual([4])
    send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "t", qos: 0 }] })
    const publisher = harness.client("publisher")
    for (let i = 0; i < 3; i++) publisher.publish("t", Buffer.alloc(93))
    expect(socket.frames).toEqual([4]) // that is still on its way
    socket.buffered = 1
    drain!(its)
    expect(socket.frames).toEqual([4])
    socket.buffered = 0
    drain!(its)
    expect(socket.frames).toEqual([4, 5 + 3 * 98])
  })

  test("that asks and asks and never reads the answers is let go", async () => {
    const clock = new ManualClock()
    const limits = { maximumBacklogBytes: 10_000, maximumPacketBytes: 65_536 }
    const { port, core, logged } = await served({ clock, limits })
    const client = await FrameClient.connect(port, "asker")
    client.pause()
    const pings = Buffer.concat(Array.from({ length: 100_000 }, () => Buffer.from([0xc0, 0])))
    const isLetGo = () => logged.some((line) => line.includes("answers are not read"))
    for (let i = 0; i < 500 && !isLetGo(); i++) {
      client.sendBytes(pings)
      await Bun.sleep(1)
    }
    clock.advance(3) // what it has not read by now it does not get
    await eventually(() => core.peers.size === 0, "the end of it")
    expect(isLetGo()).toBe(true)
  })
})

describe("while a decision takes its time", () => {
  /** An auth that answers when the test says so. */
  function hesitant() {
    const { promise: decision, resolve: decide } = Promise.withResolvers<boolean>()
    const auth: Auth = { authenticate: ({ clientId }) => (clientId === "late" ? decision : true) }
    return { auth, decide }
  }

  test("what the client sends waits, whole and in order, and nobody else does", async () => {
    const { auth, decide } = hesitant()
    const { port, core } = await served({ limits: { maximumBacklogBytes: 64 * 1024 * 1024 } }, auth)
    const watcher = await FrameClient.connect(port, "watcher")
    await watcher.subscribe("t/#")
    const late = await FrameClient.request(port)
    late.sendConnect("late")
    const count = 300
    for (let i = 0; i < count; i++) late.publish(`t/${i}`, Buffer.alloc(10_000, i))
    late.send({ cmd: "pingreq" })
    late.sendFrame(Opcode.ping, Buffer.from("alive")) // WebSocket itself goes on
    await late.until(() => late.framesOf(Opcode.pong).length === 1, "the pong")
    const other = await FrameClient.connect(port, "other")
    other.publish("t/other", "now")
    expect((await watcher.next("publish")).topic).toBe("t/other")
    expect([late.packets, core.metrics.publishReceived]).toEqual([[], 1])
    decide(true)
    for (let i = 0; i < count; i++) {
      const { topic, payload } = await watcher.next("publish")
      expect([topic, payload.equals(Buffer.alloc(10_000, i))]).toEqual([`t/${i}`, true])
    }
    await late.next("pingresp")
    expect(late.hasEnded).toBe(false)
  })

  test("on every message, too: each waits for its own, in frames of any size", async () => {
    const auth: Auth = {
      authenticate: async () => true,
      authorize: async (_, action, topic) => {
        if (action === "publish") await Bun.sleep(Number(topic.split("/")[1]) % 3)
        return true
      },
    }
    const { port } = await served({}, auth)
    const watcher = await FrameClient.connect(port, "watcher")
    await watcher.subscribe("t/#")
    const client = await FrameClient.connect(port, "client")
    for (let i = 0; i < 100; i++) {
      client.publish(`t/${i}`, String(i), { qos: 1, messageId: i + 1 })
      if (i % 10 === 0) client.sendBytes(Buffer.alloc(0))
    }
    for (let i = 0; i < 100; i++) expect((await watcher.next("publish")).topic).toBe(`t/${i}`)
    await client.until(() => client.packets.length === 100, "all acknowledgements")
    expect(client.packets.map(({ messageId }) => messageId)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1))
  })

  test("a client that sends on is not read from any more once it has sent a packet and a backlog, and nothing is lost", async () => {
    const { auth, decide } = hesitant()
    const limits = { maximumPacketBytes: 100_000, maximumBacklogBytes: 400_000 }
    const { port, core } = await served({ limits }, auth)
    const late = await FrameClient.request(port)
    late.sendConnect("late")
    for (let i = 0; i < 3000; i++) late.publish("t", Buffer.alloc(10_000)) // more than the system's buffers hold as well
    const other = await FrameClient.connect(port, "other")
    for (let i = 0; i < 10; i++) {
      other.send({ cmd: "pingreq" })
      await other.next("pingresp")
    }
    expect(late.unwrittenBytes).toBeGreaterThan(0)
    decide(true)
    await late.next("connack")
    await eventually(() => core.metrics.publishReceived === 3000, "all of them")
    expect(late.hasClosed).toBe(false)
  })

  for (const size of [0, 1, 10_000])
    test(`what is held is bounded: frames of ${size} bytes cost memory, too`, async () => {
      const { auth, decide } = hesitant()
      const harness = new Harness({ limits: { maximumPacketBytes: 100_000, maximumBacklogBytes: 400_000 }, auth })
      const socket = new FullSocket()
      const { open, message } = new WebSocketDoor(harness.core, harness.serving, {}).handlers
      const its = socket as unknown as ServerWebSocket<DoorData>
      open!(its)
      const connect = {
        cmd: "connect",
        protocolId: "MQTT",
        protocolVersion: 4,
        clean: true,
        keepalive: 0,
        clientId: "late",
      }
      message!(its, Buffer.from(mqtt.generate(connect as mqtt.Packet)))
      let frames = 0
      for (; !socket.isPaused && frames < 10_000; frames++) message!(its, Buffer.alloc(size))
      expect(frames).toBeLessThan(1100)
      expect(frames * Math.max(size, 512)).toBeGreaterThan(400_000)
      decide(true)
      await settled()
      expect(socket.isPaused).toBe(false)
    })
})

test("a client that never closes its own half after ours is cut off all the same", async () => {
  const clock = new ManualClock()
  const { port, core } = await served({ clock })
  const client = await FrameClient.connect(port, "stubborn")
  client.sendConnect("stubborn") // a second CONNECT
  await client.next("disconnect")
  await client.until(() => client.hasEnded, "the end of the broker's half")
  expect(core.peers.size).toBe(0)
  await eventually(() => {
    clock.advance(3)
    if (!client.hasClosed) client.write(Buffer.alloc(100)) // which nobody is there for any more
    return client.hasClosed
  }, "a reset")
})

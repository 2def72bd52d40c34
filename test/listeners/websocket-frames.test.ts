/** MQTT in frames: a stream of bytes however it is cut, a frame a turn out, and what ends a WebSocket. MQTT 5 §6 */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test"
import mqtt from "mqtt-packet"
import { Reason } from "../../src/codec/index.ts"
import { allowAll, type WebSocketOptions, websocket } from "../../src/index.ts"
import { hex } from "../support/bytes.ts"
import { connect, endClients } from "../support/mqttjs.ts"
import { closeBrokers, serve } from "./brokers.ts"
import { type Frame, FrameClient, frame, Opcode } from "./frames.ts"
import { eventually } from "./socket.ts"

setDefaultTimeout(60_000)
afterEach(async () => {
  endClients()
  await closeBrokers()
})

const door = (options: WebSocketOptions = {}) => websocket({ port: 0, id: "door", auth: allowAll(), ...options })
const { binary, continuation, text, close, ping, pong } = Opcode

/** A whole visit: everything a client says that gets an answer which does not depend on anything. */
const visit = Buffer.concat(
  [
    { cmd: "connect", protocolId: "MQTT", protocolVersion: 4, clean: true, keepalive: 0, clientId: "visitor" },
    { cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "own/#", qos: 1 }] },
    { cmd: "publish", topic: "own/a", payload: "one", qos: 1, messageId: 2, dup: false, retain: false },
    { cmd: "publish", topic: "own/b", payload: "two", qos: 0, dup: false, retain: false },
    { cmd: "pingreq" },
    { cmd: "disconnect" },
  ].map((packet) => mqtt.generate(packet as mqtt.Packet)),
)
const answers = ["connack", "suback", "publish", "puback", "publish", "pingresp"]

/** The visit as frames of these pieces of it. */
const framed = (...pieces: Buffer[]) => Buffer.concat(pieces.map((piece) => frame(binary, piece)))
/** The visit as one message in fragments. RFC 6455 §5.4 */
const fragmented = (...pieces: Buffer[]) =>
  Buffer.concat(
    pieces.map((piece, index) => frame(index === 0 ? binary : continuation, piece, index === pieces.length - 1)),
  )
const cut = (at: number) => [visit.subarray(0, at), visit.subarray(at)]
const bytes = Array.from(visit, (_, index) => visit.subarray(index, index + 1))

/** Visits in those frames; gives what was answered, and how it ended. */
async function visited(port: number, frames: Buffer) {
  const client = await FrameClient.request(port, { level: 4 })
  client.write(frames)
  await client.until(() => client.closeCode !== undefined, "the close")
  const cmds = client.packets.map(({ cmd }) => cmd as string)
  client.destroy()
  return { cmds, code: client.closeCode }
}

describe("[MQTT-6.0.0-2] [v3.1.1 MQTT-6.0.0-2] packets and frames have nothing to do with each other", () => {
  const ways: [name: string, frames: () => Buffer[]][] = [
    ["everything in one frame", () => [framed(visit)]],
    ["a byte in each frame", () => [framed(...bytes)]],
    ["empty frames between all bytes", () => [framed(...bytes.flatMap((byte) => [Buffer.alloc(0), byte]))]],
    ["two frames, cut anywhere", () => bytes.map((_, at) => framed(...cut(at)))],
    ["two fragments, cut anywhere", () => bytes.map((_, at) => fragmented(...cut(at)))],
    ["a fragment for each byte", () => [fragmented(...bytes)]],
    [
      "a ping between two fragments",
      () => [
        Buffer.concat([
          frame(binary, visit.subarray(0, 9), false),
          frame(ping, Buffer.from("?")),
          frame(continuation, visit.subarray(9)),
        ]),
      ],
    ],
  ]
  for (const [name, frames] of ways)
    test(name, async () => {
      const { port, core } = await serve(door())
      for (const each of frames()) {
        const { cmds, code } = await visited(port, each)
        expect([...cmds].sort()).toEqual([...answers].sort())
        expect(cmds.filter((cmd) => cmd !== "puback")).toEqual(answers.filter((cmd) => cmd !== "puback"))
        expect(code).toBe(1000)
      }
      await eventually(() => core.peers.size === 0, "all gone")
    })

  test("frames cut anywhere by the network", async () => {
    const { port } = await serve(door())
    const watcher = await FrameClient.connect(port, "watcher")
    const client = await FrameClient.request(port, { level: 4 })
    for (const byte of framed(visit.subarray(0, 20), visit.subarray(20))) {
      client.write(Buffer.from([byte]))
      watcher.send({ cmd: "pingreq" })
      await watcher.next("pingresp") // the broker has had its turn
    }
    await client.until(() => client.closeCode !== undefined, "the close")
    expect(client.packets.length).toBe(answers.length)
  })
})

describe("a frame a turn", () => {
  test("a hundred messages that come in one frame go out in one, to everybody", async () => {
    const { port } = await serve(door())
    const subscribers = await Promise.all([1, 2, 3].map((id) => FrameClient.connect(port, `s${id}`)))
    for (const subscriber of subscribers) await subscriber.subscribe("t", 1)
    const before = subscribers.map(({ frames }) => frames.length)
    const publisher = await FrameClient.connect(port, "publisher")
    const packets = Array.from({ length: 100 }, (_, index) =>
      mqtt.generate(
        { cmd: "publish", topic: "t", payload: `${index}`, qos: 1, messageId: index + 1, dup: false, retain: false },
        { protocolVersion: 5 },
      ),
    )
    publisher.sendBytes(Buffer.concat(packets))
    await publisher.until(() => publisher.packets.length === 100, "all acknowledgements")
    expect(publisher.framesOf(binary).length).toBe(2) // CONNACK, and all of these
    for (const [index, subscriber] of subscribers.entries()) {
      await subscriber.until(() => subscriber.packets.length === 100, "all messages")
      expect(subscriber.packets.map(({ payload }) => String(payload))).toEqual(packets.map((_, each) => String(each)))
      const frames: Frame[] = subscriber.frames.slice(before[index])
      expect(frames.map(({ opcode, isFinal }) => [opcode, isFinal])).toEqual([[binary, true]])
    }
  })

  test("what is too much for one goes in few, not one a message", async () => {
    const { port } = await serve(door())
    const subscriber = await FrameClient.connect(port, "subscriber")
    await subscriber.subscribe("t")
    const publisher = await FrameClient.connect(port, "publisher")
    const packets = Array.from({ length: 1000 }, () =>
      mqtt.generate(
        { cmd: "publish", topic: "t", payload: "x".repeat(500), qos: 0, dup: false, retain: false },
        { protocolVersion: 5 },
      ),
    )
    const before = subscriber.frames.length
    publisher.sendBytes(Buffer.concat(packets))
    await subscriber.until(() => subscriber.packets.length === 1000, "all messages")
    expect(subscriber.frames.length - before).toBeLessThanOrEqual(10) // half a megabyte, 64 KiB each
  })
})

describe("[MQTT-6.0.0-1] [v3.1.1 MQTT-6.0.0-1] what ends a WebSocket", () => {
  const limits = { maximumPacketBytes: 65_536 }
  /** What a frame may hold at most. */
  const most = 1_048_576
  const zeros = (length: number) => Buffer.alloc(length)
  const table: [name: string, bytes: Buffer, code: number | undefined][] = [
    ["text, even if it is MQTT", frame(text, hex("30 05 0001 74 00 21")), 1003],
    ["text that is not even text", frame(text, hex("c0 00")), 1007],
    [
      "text in fragments",
      Buffer.concat([frame(text, Buffer.from("a"), false), frame(continuation, Buffer.from("b"))]),
      1003,
    ],
    ["a frame of more than may be, as soon as it is announced", frame(binary, zeros(0), true, most + 1), 1009],
    ["one of 256 MiB", frame(binary, zeros(0), true, 256 * 1024 * 1024), 1009],
    [
      "fragments of more than may be together",
      Buffer.concat([frame(binary, zeros(most - 10), false), frame(continuation, zeros(11))]),
      1009,
    ],
    ["the client's own close", frame(close, Buffer.from([0x03, 0xe8])), 1000],
    ["a fragment of nothing", frame(continuation, Buffer.from("a")), undefined],
    ["a frame without a mask", Buffer.from([0x82, 0x02, 0xc0, 0x00]), undefined],
    ["a kind of frame that there is not", frame(3 as Opcode, Buffer.from("a")), undefined],
    ["a ping in fragments", frame(ping, Buffer.from("a"), false), undefined],
    ["a ping too long", frame(ping, zeros(126)), undefined],
    [
      "reserved bits",
      Buffer.concat([Buffer.from([0xf2]), frame(binary, Buffer.from([0xc0, 0])).subarray(1)]),
      undefined,
    ],
  ]
  for (const [name, wrong, code] of table)
    test(`${name}: ${code ?? "closed"}; the will is published, and others go on`, async () => {
      const { port, core } = await serve(door(), { limits })
      const watcher = await FrameClient.connect(port, "watcher")
      await watcher.subscribe("will")
      const client = await FrameClient.request(port)
      client.sendConnect("client", { will: { topic: "will", payload: Buffer.from("gone"), qos: 0, retain: false } })
      await client.next("connack")
      client.write(wrong)
      await client.until(() => client.hasEnded, "the end")
      if (code !== undefined) expect(client.closeCode).toBe(code)
      expect(String((await watcher.next("publish")).payload)).toBe("gone")
      await eventually(() => core.peers.size === 1, "no peer but the watcher")
      expect(core.metrics.connections).toBe(1)
    })

  test("a frame of as much as may be is read", async () => {
    const { port, core } = await serve(door(), { limits })
    const client = await FrameClient.connect(port, "client")
    const payload = Buffer.alloc(65_528)
    const packet = mqtt.generate(
      { cmd: "publish", topic: "t", payload, qos: 0, dup: false, retain: false },
      { protocolVersion: 5 },
    )
    const packets = Buffer.concat(Array.from({ length: 16 }, () => packet))
    expect(packets.length).toBe(most)
    client.sendBytes(packets)
    client.send({ cmd: "pingreq" })
    await client.next("pingresp")
    expect(core.metrics.publishReceived).toBe(16)
  })

  test("a text frame is said in the log", async () => {
    const { port, logged } = await serve(door())
    const client = await FrameClient.connect(port, "texter")
    client.write(frame(text, Buffer.from("hello")))
    await client.until(() => client.hasEnded, "the end")
    expect(logged).toContain("info: closing texter (127.0.0.1) on door: a text frame")
  })

  test("a packet that is none ends with the reason, then a normal close", async () => {
    const { port } = await serve(door())
    const client = await FrameClient.connect(port, "client")
    client.sendBytes(Buffer.from([0xf0, 0x01, 0x00]))
    expect((await client.next("disconnect")).reasonCode).toBeGreaterThanOrEqual(0x80)
    await client.until(() => client.closeCode !== undefined, "the close")
    expect(client.closeCode).toBe(1000)
  })

  test("nothing at all: no CONNECT in time", async () => {
    const { port, core } = await serve(door(), { limits: { connectTimeoutSeconds: 1 } })
    const client = await FrameClient.request(port)
    const half = await FrameClient.request(port)
    half.write(frame(binary, Buffer.from([0x10, 0x20]), true, 34))
    for (const each of [client, half]) await each.until(() => each.hasEnded, "the end")
    await eventually(() => core.peers.size === 0, "no peer")
    expect(core.metrics.limitsHit["connect timeout"]).toBe(2)
  })
})

describe("ping and pong", () => {
  test("a ping is answered with what it says; a pong that nobody has asked for is nothing", async () => {
    const { port } = await serve(door())
    const client = await FrameClient.connect(port, "client")
    client.sendFrame(pong, Buffer.from("unasked"))
    client.sendFrame(ping, Buffer.from("are you there?"))
    client.sendFrame(ping, Buffer.alloc(0))
    client.sendFrame(ping, Buffer.alloc(125, 7))
    await client.until(() => client.framesOf(pong).length === 3, "three pongs")
    expect(client.framesOf(pong).map(({ payload }) => payload)).toEqual([
      Buffer.from("are you there?"),
      Buffer.alloc(0),
      Buffer.alloc(125, 7),
    ])
    client.send({ cmd: "pingreq" })
    await client.next("pingresp")
  })
})

describe("[v3.1.1 MQTT-7.0.0-2] MQTT.js over WebSocket", () => {
  for (const level of [3, 4, 5] as const)
    test(`level ${level}: QoS 0, 1 and 2, a thousand of each, and one of a megabyte`, async () => {
      const { port, core } = await serve(door({ path: "/mqtt" }))
      const where = { protocol: "ws", path: "/mqtt" } as const
      const { client, inbox } = await connect(port, level, where)
      const { client: publisher } = await connect(port, level, where)
      await client.subscribeAsync("#", { qos: 2 })
      for (const qos of [0, 1, 2] as const) {
        const published = Array.from({ length: 1000 }, (_, i) => publisher.publishAsync(`n/${qos}`, String(i), { qos }))
        expect(await inbox.take(1000)).toEqual(Array.from({ length: 1000 }, (_, i) => `n/${qos} ${i}`))
        await Promise.all(published)
      }
      const large = Buffer.alloc(1024 * 1024, "large")
      await publisher.publishAsync("large", large, { qos: 1 })
      expect(large.equals((await inbox.next()).payload as Buffer)).toBe(true)
      await client.endAsync()
      await publisher.endAsync()
      await eventually(() => core.peers.size === 0, "both gone")
    })
})

test("broker.close() says 0x8B in a frame, then closes the WebSocket", async () => {
  const { broker, port, core } = await serve(door())
  const clients = await Promise.all(["a", "b"].map((id) => FrameClient.connect(port, id)))
  const silent = await FrameClient.request(port)
  await eventually(() => core.peers.size === 3, "three peers")
  await Promise.all([
    broker.close(),
    ...clients.map(async (client) => {
      expect((await client.next("disconnect")).reasonCode).toBe(Reason.ServerShuttingDown)
      await client.until(() => client.closeCode === 1000 && client.hasEnded, "the close")
      client.destroy()
    }),
    silent.until(() => silent.closeCode === 1000 && silent.hasEnded, "the close").then(() => silent.destroy()),
  ])
  expect([core.peers.size, core.metrics.connections]).toEqual([0, 0])
  expect((await serve(door({ port }))).port).toBe(port)
})

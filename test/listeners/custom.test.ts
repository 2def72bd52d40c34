/** MQTT over whatever the embedding service has: what it gives, what it is told, and what it can do wrong. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test"
import { type Duplex, duplexPair } from "node:stream"
import { MessageChannel, type MessagePort } from "node:worker_threads"
import { MqttClient } from "mqtt"
import mqtt from "mqtt-packet"
import type { Transport } from "../../src/connection/index.ts"
import {
  type Accept,
  type Accepted,
  type Auth,
  allowAll,
  type BrokerOptions,
  type CustomOptions,
  custom,
} from "../../src/index.ts"
import { ManualClock, settled } from "../../src/testing/index.ts"
import { closeBrokers, Doorman, refusal, serve } from "./brokers.ts"
import { eventually } from "./socket.ts"

setDefaultTimeout(60_000)
afterEach(closeBrokers)

/** A client whose stream is this object. It is level 4 and sends nothing of its own accord. */
class Pipe implements Transport {
  readonly remoteAddress = "192.0.2.1"
  /** What the broker has done with the stream, beside writing. */
  readonly calls: string[] = []
  /** The packets that have come. */
  readonly packets: mqtt.Packet[] = []
  readonly stream: Accepted
  /** How many more bytes are taken. */
  room = Number.POSITIVE_INFINITY
  private readonly parser = mqtt.parser({ protocolVersion: 4 })

  constructor(accept: Accept, onPacket: (packet: mqtt.Packet, pipe: Pipe) => void = () => {}) {
    this.parser.on("packet", (packet) => {
      this.packets.push(packet)
      onPacket(packet, this)
    })
    this.stream = accept(this)
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    const taken = Math.min(this.room, end - start)
    this.room -= taken
    this.parser.parse(Buffer.from(bytes.subarray(start, start + taken)))
    return taken
  }

  pause(): void {
    this.calls.push("pause")
  }

  resume(): void {
    this.calls.push("resume")
  }

  end(): void {
    this.calls.push("end")
  }

  destroy(): void {
    this.calls.push("destroy")
  }

  send(...packets: mqtt.Packet[]): void {
    this.stream.receive(bytesOf(...packets))
  }

  /** What has come since the last time, a PUBLISH as its topic. */
  take(): string[] {
    return this.packets.splice(0).map((packet) => (packet.cmd === "publish" ? packet.topic : packet.cmd))
  }
}

const bytesOf = (...packets: mqtt.Packet[]) => Buffer.concat(packets.map((packet) => mqtt.generate(packet)))
const connect = (clientId: string, more: Partial<mqtt.IConnectPacket> = {}): mqtt.Packet => ({
  cmd: "connect",
  protocolId: "MQTT",
  protocolVersion: 4,
  clientId,
  ...more,
})
const subscribe = (topic: string): mqtt.Packet => ({
  cmd: "subscribe",
  messageId: 1,
  subscriptions: [{ topic, qos: 0 }],
})
const publish = (topic: string, payload: string | Buffer = ""): mqtt.Packet => ({
  cmd: "publish",
  topic,
  payload,
  qos: 0,
  dup: false,
  retain: false,
})

/** A broker with a listener of which the test has `accept`. */
async function listening(options: Partial<CustomOptions> = {}, brokerOptions: BrokerOptions = {}) {
  const { promise, resolve } = Promise.withResolvers<Accept>()
  const listener = custom({ id: "own", auth: allowAll(), open: resolve, ...options })
  const served = await serve(listener, brokerOptions)
  const accept = await promise
  /** A client that is in. */
  const client = async (clientId: string, more?: Partial<mqtt.IConnectPacket>) => {
    const pipe = new Pipe(accept)
    pipe.send(connect(clientId, more))
    await settled()
    expect(pipe.take()).toEqual(["connack"])
    return pipe
  }
  /** One that is in and sees everything. */
  const watcher = async () => {
    const pipe = await client("watcher")
    pipe.send(subscribe("#"))
    await settled()
    pipe.take()
    return pipe
  }
  return { ...served, listener, accept, client, watcher }
}

describe("a listener of the service's own", () => {
  test("without an auth lets nobody in", async () => {
    const pipes: Pipe[] = []
    await serve(custom({ open: (accept) => void pipes.push(new Pipe(accept)) }))
    const pipe = pipes[0]!
    pipe.send(connect("a"))
    await settled()
    expect(pipe.packets).toMatchObject([{ cmd: "connack", returnCode: 5 }])
    expect(pipe.calls).toEqual(["end"])
  })

  test("tells auth and the log its id, the stream's address and its certificate", async () => {
    const auth = new Doorman()
    const { accept, logged } = await listening({ auth })
    const certificate = { commonName: "ada", subjectAltNames: [], fingerprint: "00:11" }
    accept(Object.assign(Object.create(Pipe.prototype), { remoteAddress: "thread 7", certificate, write: () => 0 })) //
      .receive(bytesOf(connect("a")))
    await settled()
    expect(auth.asked).toMatchObject([{ clientId: "a", listener: "own", remoteAddress: "thread 7", certificate }])
    expect(logged).toContain("info: connected a (thread 7) on own: MQTT 3.1.1")
  })

  test("offers its clients what its limits say", async () => {
    const { accept, client, broker } = await listening({ limits: { mountPoint: "site/", maximumConnections: 1 } })
    const first = await client("a")
    first.send(subscribe("#"))
    await settled()
    await broker.publish("site/x", "")
    const second = new Pipe(accept)
    second.send(connect("b"))
    await settled()
    expect(first.take()).toEqual(["suback", "x"])
    expect(second.packets).toMatchObject([{ cmd: "connack", returnCode: 3 }])
  })

  test("refuses limits that make no sense", () => {
    expect(() => custom({ open() {}, limits: { topicAliasMaximum: -1 } })).toThrow("topicAliasMaximum")
  })

  test("is where it says, or else just at its id", async () => {
    const address = { hostname: "relay.example.com", port: 4000 }
    const { hostname, port } = await serve(custom({ open: async () => address }))
    expect({ hostname, port }).toEqual(address)
    const silent = await serve(custom({ open() {} }))
    expect([silent.hostname, silent.port]).toEqual(["custom", 0])
  })

  for (const [how, open] of [
    [
      "throws",
      () => {
        throw new Error("the relay is away")
      },
    ],
    [
      "rejects with",
      async () => {
        throw new Error("the relay is away")
      },
    ],
  ] as const)
    test(`that cannot begin fails with what it ${how}`, async () => {
      expect(await refusal(() => custom({ id: "own", open }))).toBe(
        "LISTEN_FAILED: cannot listen on own: the relay is away",
      )
    })

  test("does not begin before its auth is ready", async () => {
    let isOpened = false
    const auth: Auth = { authenticate: () => true, open: () => Promise.reject(new Error("no such file")) }
    const open = () => void (isOpened = true)
    expect(await refusal(() => custom({ auth, open }))).toBe("AUTH_FAILED: no such file")
    expect(isOpened).toBe(false)
  })

  test("may be an instance of a class", async () => {
    class Relay implements CustomOptions {
      readonly id = "relay"
      readonly said: string[] = []
      open() {
        this.said.push("open")
      }
      close() {
        this.said.push("close")
      }
    }
    const relay = new Relay()
    const { broker } = await serve(custom(relay))
    await broker.close()
    expect(relay.said).toEqual(["open", "close"])
  })

  test("that is closed accepts nobody; who is in stays", async () => {
    const { listener, accept, watcher, broker } = await listening()
    const pipe = await watcher()
    listener.close()
    expect(() => new Pipe(accept)).toThrow(expect.objectContaining({ code: "CLOSED" }))
    await broker.publish("t", "")
    await settled()
    expect(pipe.take()).toEqual(["t"])
  })

  for (const [how, close] of [
    [
      "throws",
      () => {
        throw new Error("stuck")
      },
    ],
    [
      "rejects",
      async () => {
        throw new Error("stuck")
      },
    ],
  ] as const)
    test(`that ${how} when it is closed does not keep the broker from closing`, async () => {
      const { broker, logged } = await listening({ close })
      await broker.close()
      expect(logged).toContain("error: closing own has failed: stuck")
    })
})

describe("real streams", () => {
  /** As the documentation has it. */
  const transportOf = (duplex: Duplex): Transport => ({
    remoteAddress: "192.0.2.7",
    write(bytes, start, end) {
      if (duplex.writableNeedDrain) return 0
      duplex.write(Buffer.from(bytes.subarray(start, end)))
      return end - start
    },
    pause: () => duplex.pause(),
    resume: () => duplex.resume(),
    end: () => duplex.end(),
    destroy: () => duplex.destroy(),
  })
  const acceptDuplex = (accept: Accept, duplex: Duplex) => {
    const stream = accept(transportOf(duplex))
    duplex.on("data", (chunk) => stream.receive(chunk))
    duplex.on("drain", () => stream.drained())
    duplex.on("close", () => stream.closed())
  }

  for (const protocolVersion of [4, 5] as const)
    test(`MQTT.js over a pair of Node's streams, level ${protocolVersion}`, async () => {
      const { accept, core } = await listening()
      const client = new MqttClient(
        () => {
          const [near, far] = duplexPair()
          acceptDuplex(accept, far)
          return near as never
        },
        { protocolVersion, reconnectPeriod: 0, clientId: "js" },
      )
      const came: string[] = []
      const { promise: all, resolve } = Promise.withResolvers<void>()
      client.on("message", (topic, payload) => {
        came.push(`${topic} ${payload.length}`)
        if (came.length === 3) resolve()
      })
      await client.subscribeAsync("t/#", { qos: 2 })
      for (const qos of [0, 1, 2] as const) await client.publishAsync(`t/${qos}`, Buffer.alloc(300_000), { qos })
      await all
      expect(came.sort()).toEqual(["t/0 300000", "t/1 300000", "t/2 300000"])
      await client.endAsync()
      await eventually(() => core.peers.size === 0, "its end")
    })

  test("message ports, which take whatever they are given", async () => {
    const { accept } = await listening()
    const { port1: port, port2: far } = new MessageChannel()
    const stream = accept({
      remoteAddress: "thread 1",
      write(bytes, start, end) {
        port.postMessage(Uint8Array.from(bytes.subarray(start, end)))
        return end - start
      },
      pause() {},
      resume() {},
      end: () => port.close(),
      destroy: () => port.close(),
    })
    port.on("message", (chunk: Uint8Array) => stream.receive(chunk))
    port.on("close", () => stream.closed())
    const next = (from: MessagePort) => new Promise<Uint8Array>((resolve) => from.once("message", resolve))
    far.postMessage(Uint8Array.from(bytesOf(connect("thread"))))
    expect(Buffer.from(await next(far))).toEqual(Buffer.from([0x20, 2, 0, 0]))
    far.postMessage(Uint8Array.from(bytesOf({ cmd: "pingreq" })))
    expect(Buffer.from(await next(far))).toEqual(Buffer.from([0xd0, 0]))
    far.postMessage(Uint8Array.from(bytesOf({ cmd: "disconnect" })))
    await new Promise((resolve) => far.once("close", resolve))
  })

  test("a tunnel that the broker's side has opened", async () => {
    const relay = Bun.listen<undefined>({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open: (socket) => void socket.write(bytesOf(connect("far"), publish("hello"), { cmd: "disconnect" })),
        data() {},
      },
    })
    const { watcher, accept, core } = await listening()
    const pipe = await watcher()
    await Bun.connect<Accepted>({
      hostname: "127.0.0.1",
      port: relay.port,
      socket: {
        open(socket) {
          socket.data = accept({
            remoteAddress: socket.remoteAddress,
            write: (bytes, start, end) => socket.write(bytes, start, end - start),
            pause: () => socket.pause(),
            resume: () => socket.resume(),
            end: () => socket.shutdown(),
            destroy: () => socket.terminate(),
          })
        },
        data: (socket, chunk) => socket.data.receive(chunk),
        drain: (socket) => socket.data.drained(),
        close: (socket, error) => socket.data?.closed(error),
      },
    })
    await eventually(() => core.peers.size === 1, "its end")
    expect(pipe.take()).toEqual(["hello"])
    relay.stop(true)
  })
})

describe("what a client sends", () => {
  const visit = [connect("visitor"), subscribe("own/#"), publish("own/a"), { cmd: "pingreq" } as const]

  test("is the same however it is cut", async () => {
    const { accept } = await listening()
    const whole = bytesOf(...visit)
    for (const size of [1, 2, 7, whole.length]) {
      const pipe = new Pipe(accept)
      for (let at = 0; at < whole.length; at += size) {
        pipe.stream.receive(Uint8Array.from(whole.subarray(at, at + size)))
        if (at % 3 === 0) await settled()
      }
      await settled()
      expect(pipe.take()).toEqual(["connack", "suback", "own/a", "pingresp"])
    }
  })

  test("may be handed over within `write`, and comes after what is being written", async () => {
    const { accept, watcher } = await listening()
    const pipe = await watcher()
    const [, ...rest] = visit
    const eager = new Pipe(accept, ({ cmd }, { stream }) => {
      if (cmd === "connack") for (const packet of rest) stream.receive(bytesOf(packet))
      if (cmd === "publish") stream.receive(bytesOf(publish("echo")))
    })
    eager.send(connect("eager"))
    await settled()
    expect(eager.take()).toEqual(["connack", "suback", "own/a", "pingresp"])
    expect(pipe.take()).toEqual(["own/a", "echo"])
  })

  test("may be handed over while the broker asks somebody, and comes after what it asks about", async () => {
    const streams: Accepted[] = []
    const auth: Auth = {
      authenticate: () => true,
      authorize(_, action, topic) {
        if (action === "publish" && topic === "first") streams[0]!.receive(bytesOf(publish("second")))
        return true
      },
    }
    const { client, watcher } = await listening({ auth })
    const pipe = await watcher()
    const publisher = await client("publisher")
    streams.push(publisher.stream)
    publisher.send(publish("first"), publish("first/too"))
    await settled()
    expect(pipe.take()).toEqual(["first", "first/too", "second"])
  })

  test("waits, in order, while a decision is awaited, although the stream goes on", async () => {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const auth: Auth = { authenticate: ({ clientId }) => clientId !== "late" || promise }
    const { accept, watcher } = await listening({ auth })
    const pipe = await watcher()
    const late = new Pipe(accept)
    late.send(connect("late"))
    await settled()
    for (const topic of ["a", "b", "c"]) late.send(publish(topic))
    await settled()
    expect([late.calls, late.take(), pipe.take()]).toEqual([["pause"], [], []])
    resolve(true)
    await settled()
    expect([late.calls, late.take(), pipe.take()]).toEqual([["pause", "resume"], ["connack"], ["a", "b", "c"]])
  })

  test("ends the connection when it is more than may wait", async () => {
    const limits = { maximumPacketBytes: 10_000, maximumBacklogBytes: 20_000 }
    const auth: Auth = { authenticate: () => new Promise(() => {}) }
    const { accept, core, logged } = await listening({ auth }, { limits })
    const late = new Pipe(accept)
    late.send(connect("late"))
    await settled()
    for (let sent = 0; sent < 3; sent++) late.send(publish("t", Buffer.alloc(9000)))
    await settled()
    expect([late.calls, core.peers.size]).toEqual([["pause"], 1])
    late.send(publish("t", Buffer.alloc(9000)))
    await settled()
    expect([late.calls, core.peers.size]).toEqual([["pause", "destroy"], 0])
    expect(logged).toContain("warn: closing late (192.0.2.1) on own: it sends on while it has to wait")
  })
})

describe("what a client is sent", () => {
  test("goes on where it stopped, when there is room again", async () => {
    const { watcher, broker } = await listening()
    const pipe = await watcher()
    pipe.room = 5
    const topics = Array.from({ length: 100 }, (_, index) => `topic/${index}`)
    for (const topic of topics) await broker.publish(topic, "")
    await settled()
    expect(pipe.take()).toEqual([])
    pipe.room = 500
    pipe.stream.drained()
    await settled()
    const first = pipe.take()
    expect(first.length).toBeWithin(30, 60)
    pipe.room = Number.POSITIVE_INFINITY
    pipe.stream.drained()
    await settled()
    expect([...first, ...pipe.take()]).toEqual(topics)
  })
})

describe("the end of a stream", () => {
  const will = { topic: "will", payload: Buffer.from("lost"), qos: 0, retain: false } as const

  test("comes after what has been received", async () => {
    const { client, watcher, core } = await listening()
    const pipe = await watcher()
    const leaving = await client("leaving", { will })
    leaving.send(publish("last words"), { cmd: "disconnect" })
    leaving.stream.closed()
    await settled()
    expect([pipe.take(), core.peers.size]).toEqual([["last words"], 1])
  })

  /** A client that has said something, been waited for, said more, and gone; and what of it others have got. */
  async function goneWhileWaiting(close: (stream: Accepted) => void) {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const auth: Auth = {
      authenticate: () => true,
      authorize: (_, action, topic) => action !== "publish" || topic !== "first" || promise,
    }
    const { client, watcher, core } = await listening({ auth })
    const pipe = await watcher()
    const leaving = await client("leaving", { will })
    leaving.send(publish("first"))
    await settled()
    leaving.send(publish("second"), { cmd: "disconnect" })
    close(leaving.stream)
    await settled()
    const openBefore = core.peers.size
    resolve(true)
    await settled()
    return { came: pipe.take(), openBefore, openAfter: core.peers.size }
  }

  test("comes after what waits, where it has not broken", async () => {
    const { came, openBefore, openAfter } = await goneWhileWaiting((stream) => stream.closed())
    expect({ came, openBefore, openAfter }).toEqual({ came: ["first", "second"], openBefore: 2, openAfter: 1 })
  })

  test("is at once, and the will due, where it has broken", async () => {
    const { came, openBefore } = await goneWhileWaiting((stream) => stream.closed(new Error("reset by peer")))
    expect({ came, openBefore }).toEqual({ came: ["will"], openBefore: 1 })
  })

  test("is one, however often it is told", async () => {
    const { client, core } = await listening()
    const { stream } = await client("a")
    stream.closed()
    stream.closed(new Error("again"))
    stream.receive(bytesOf(publish("t")))
    stream.drained()
    await settled()
    expect([core.peers.size, core.metrics.connections]).toEqual([0, 0])
  })

  test("is asked for when the broker closes it, and made when the peer does not follow", async () => {
    const clock = new ManualClock()
    const { client, core } = await listening({}, { clock })
    const pipe = await client("a")
    pipe.send(connect("a")) // a second CONNECT [MQTT-3.1.0-2]
    await settled()
    expect(pipe.calls).toEqual(["end"])
    clock.advance(3)
    await settled()
    expect([pipe.calls, core.peers.size]).toEqual([["end", "destroy"], 0])
  })
})

describe("a transport that throws", () => {
  const failing = ["write", "pause", "resume", "end", "destroy"] as const

  for (const name of failing)
    test(`in ${name} ends its own connection and no other`, async () => {
      const auth: Auth = {
        authenticate: () => true,
        authorize: (_, action) => (action === "publish" ? Promise.resolve(true) : true),
      }
      const { client, watcher, core, broker, logged } = await listening({ auth })
      const broken = await client("broken")
      broken.send(subscribe("#"))
      await settled()
      const pipe = await watcher()
      broken[name] = () => {
        throw new Error("it is broken")
      }
      await broker.publish("to all", "") // write
      broken.send(publish("from it")) // pause, resume
      await settled()
      broken.send({ cmd: "disconnect" }) // end
      await settled()
      if (name === "destroy") for (const peer of [...core.peers].slice(0, 1)) peer.destroy()
      await settled()
      expect(logged).toContain("error: closing broken (192.0.2.1) on own: its transport has failed: it is broken")
      expect([core.peers.size, pipe.take()[0]]).toEqual([1, "to all"])
      if (name !== "destroy") expect(broken.calls).toContain("destroy")
      await broker.publish("and on", "")
      await settled()
      expect(pipe.take()).toContain("and on")
    })
})

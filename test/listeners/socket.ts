/** Real sockets for tests: clients of bytes and of packets, and what is inside a broker. */
import type { Socket, SocketHandler } from "bun"
import mqtt from "mqtt-packet"
import type { Broker } from "../../src/broker/broker.ts"
import type { Core } from "../../src/broker/core.ts"
import type { ProtocolLevel } from "../../src/codec/index.ts"

const PATIENCE_MS = 20_000

/** The broker within, for its counters. */
export function coreOf(broker: Broker): Core {
  return (broker as unknown as { core: Core }).core
}

/** Waits for something that no event announces; fails after a generous time. */
export async function eventually(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited in vain: ${what}`)
    await Bun.sleep(5)
  }
}

// biome-ignore lint/suspicious/noExplicitAny: a packet of any type, compared in parts
export type Received = mqtt.Packet & Record<string, any>

/** Where a client connects: a port of 127.0.0.1 or of another address of this machine, with or without TLS, or a Unix socket. */
export type Place = number | { port: number; hostname?: string; tls?: Bun.TLSOptions } | { unix: string }

/** A client of bytes. It leaves its own half open until `end`. */
export abstract class ByteClient {
  receivedBytes = 0
  /** Whether the broker has closed its half, and whether all is over. */
  hasEnded = false
  hasClosed = false
  private socket!: Socket & { pause(): void; resume(): void }
  private unwritten: Buffer[] = []
  private waiting: (() => void)[] = []

  protected abstract receive(chunk: Buffer): void

  /** Opens the socket, TLS included; rejects where it is not let in. */
  protected async open(place: Place): Promise<void> {
    const where = typeof place === "number" ? { port: place } : place
    const isSecure = "tls" in where && where.tls !== undefined
    const { promise: ready, resolve, reject } = Promise.withResolvers<void>()
    const handlers: SocketHandler = {
      binaryType: "buffer",
      open: (socket) => {
        this.socket = socket as ByteClient["socket"]
        if (!isSecure) resolve()
      },
      handshake: (_, isDone, error) => (isDone ? resolve() : reject(error)),
      data: (_, chunk) => {
        this.receivedBytes += chunk.length
        this.receive(chunk)
        this.stir()
      },
      drain: () => this.flush(),
      end: () => {
        this.hasEnded = true
        this.stir()
      },
      close: () => {
        this.hasEnded = this.hasClosed = true
        reject(new Error("closed before it was open"))
        this.stir()
      },
      error() {},
    }
    const common = { allowHalfOpen: true, socket: handlers }
    if ("unix" in where) await Bun.connect({ ...where, ...common })
    else await Bun.connect({ hostname: "127.0.0.1", ...where, ...common })
    await ready
  }

  /** How many bytes the broker has not taken yet. */
  get unwrittenBytes(): number {
    return this.unwritten.reduce((sum, { length }) => sum + length, 0)
  }

  write(bytes: Buffer): void {
    this.unwritten.push(bytes)
    if (this.unwritten.length === 1) this.flush()
  }

  /** Reads nothing more from the socket, and goes on. */
  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  /** Closes our half. */
  end(): void {
    this.socket.shutdown()
  }

  /** Breaks the connection. */
  destroy(): void {
    this.socket.terminate()
  }

  /** Waits until an event makes the condition true; fails after a generous time. */
  async until(condition: () => boolean, what: string): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS
    while (!condition()) {
      const left = deadline - performance.now()
      if (left <= 0) throw new Error(`waited in vain for ${what}; ${this.receivedBytes} bytes had come`)
      let timer: Timer | undefined
      await new Promise<void>((resolve) => {
        this.waiting.push(resolve)
        timer = setTimeout(resolve, left)
      })
      clearTimeout(timer)
    }
  }

  private stir(): void {
    for (const resolve of this.waiting.splice(0)) resolve()
  }

  private flush(): void {
    while (this.unwritten.length > 0) {
      const bytes = this.unwritten[0]!
      const written = Math.max(0, this.socket.write(bytes))
      if (written < bytes.length) {
        this.unwritten[0] = bytes.subarray(written)
        return
      }
      this.unwritten.shift()
    }
    this.stir()
  }
}

/** A client that speaks in packets, put into bytes and read from them by mqtt-packet. */
export abstract class PacketClient extends ByteClient {
  readonly level: ProtocolLevel
  /** Packets that have come since the last `take`. */
  readonly packets: Received[] = []
  private readonly parser: mqtt.Parser

  protected constructor(level: ProtocolLevel) {
    super()
    this.level = level
    this.parser = mqtt.parser({ protocolVersion: level })
    this.parser.on("packet", (packet) => this.packets.push(packet as Received))
    this.parser.on("error", (error) => {
      throw error
    })
  }

  protected parse(bytes: Buffer): void {
    this.parser.parse(bytes)
  }

  /** Sends bytes of MQTT, however the transport carries them. */
  abstract sendBytes(bytes: Buffer): void

  /** Introduces itself: clean start, no keep-alive. Fails if it is not let in. */
  async begin(clientId: string, fields: object = {}): Promise<void> {
    this.sendConnect(clientId, fields)
    const connack = await this.next("connack")
    if ((connack.reasonCode ?? connack.returnCode) !== 0) throw new Error(`refused: ${JSON.stringify(connack)}`)
  }

  sendConnect(clientId: string, fields: object = {}): void {
    const protocolId = this.level === 3 ? "MQIsdp" : "MQTT"
    const packet = { cmd: "connect", protocolId, protocolVersion: this.level, clean: true, keepalive: 0, clientId }
    this.send({ ...packet, ...fields } as mqtt.Packet)
  }

  send(packet: mqtt.Packet): void {
    this.sendBytes(mqtt.generate(packet, { protocolVersion: this.level }))
  }

  publish(topic: string, payload: string | Buffer, fields: Partial<mqtt.IPublishPacket> = {}): void {
    this.send({ cmd: "publish", topic, payload, qos: 0, dup: false, retain: false, ...fields } as mqtt.Packet)
  }

  async subscribe(topic: string, qos: 0 | 1 | 2 = 0): Promise<void> {
    this.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic, qos }] } as mqtt.Packet)
    await this.next("suback")
  }

  take(): Received[] {
    return this.packets.splice(0)
  }

  /** The next packet of that type; those before it are passed over. */
  async next(cmd: string): Promise<Received> {
    await this.until(() => this.packets.some((packet) => packet.cmd === cmd), cmd)
    const index = this.packets.findIndex((packet) => packet.cmd === cmd)
    return this.packets.splice(0, index + 1).at(-1)!
  }
}

/** A client over a stream socket. */
export class RawClient extends PacketClient {
  /** Opens a socket and sends nothing. */
  static async open(place: Place, level: ProtocolLevel = 5): Promise<RawClient> {
    const client = new RawClient(level)
    await client.open(place)
    return client
  }

  /** Opens a socket and a session: clean start, no keep-alive. */
  static async connect(
    place: Place,
    clientId: string,
    level: ProtocolLevel = 5,
    fields: object = {},
  ): Promise<RawClient> {
    const client = await RawClient.open(place, level)
    await client.begin(clientId, fields)
    return client
  }

  sendBytes(bytes: Buffer): void {
    this.write(bytes)
  }

  protected receive(chunk: Buffer): void {
    this.parse(chunk)
  }
}

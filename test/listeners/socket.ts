/** Real sockets for tests: a client of bytes, and what is inside a broker. */
import type { Socket } from "bun"
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

/** A client of bytes over TCP. It leaves its own half open until `end`. */
export class RawClient {
  readonly level: ProtocolLevel
  /** Packets that have come since the last `take`. */
  readonly packets: Received[] = []
  receivedBytes = 0
  /** Whether the broker has closed its half, and whether all is over. */
  hasEnded = false
  hasClosed = false
  private socket!: Socket & { pause(): void; resume(): void }
  private readonly parser: mqtt.Parser
  private unwritten: Buffer[] = []
  private waiting: (() => void)[] = []

  private constructor(level: ProtocolLevel) {
    this.level = level
    this.parser = mqtt.parser({ protocolVersion: level })
    this.parser.on("packet", (packet) => this.packets.push(packet as Received))
    this.parser.on("error", (error) => {
      throw error
    })
  }

  /** Opens a socket and sends nothing. */
  static async open(port: number, level: ProtocolLevel = 5): Promise<RawClient> {
    const client = new RawClient(level)
    await Bun.connect({
      hostname: "127.0.0.1",
      port,
      allowHalfOpen: true,
      socket: {
        binaryType: "buffer",
        open(socket) {
          client.socket = socket as RawClient["socket"]
        },
        data(_, chunk: Buffer) {
          client.receivedBytes += chunk.length
          client.parser.parse(chunk)
          client.stir()
        },
        drain: () => client.flush(),
        end() {
          client.hasEnded = true
          client.stir()
        },
        close() {
          client.hasEnded = client.hasClosed = true
          client.stir()
        },
        error() {},
      },
    })
    return client
  }

  /** Opens a socket and a session: clean start, no keep-alive. */
  static async connect(
    port: number,
    clientId: string,
    level: ProtocolLevel = 5,
    fields: object = {},
  ): Promise<RawClient> {
    const client = await RawClient.open(port, level)
    client.sendConnect(clientId, fields)
    const connack = await client.next("connack")
    if ((connack.reasonCode ?? connack.returnCode) !== 0) throw new Error(`refused: ${JSON.stringify(connack)}`)
    return client
  }

  /** How many bytes the broker has not taken yet. */
  get unwrittenBytes(): number {
    return this.unwritten.reduce((sum, { length }) => sum + length, 0)
  }

  sendConnect(clientId: string, fields: object = {}): void {
    const protocolId = this.level === 3 ? "MQIsdp" : "MQTT"
    const packet = { cmd: "connect", protocolId, protocolVersion: this.level, clean: true, keepalive: 0, clientId }
    this.send({ ...packet, ...fields } as mqtt.Packet)
  }

  send(packet: mqtt.Packet): void {
    this.write(mqtt.generate(packet, { protocolVersion: this.level }))
  }

  publish(topic: string, payload: string | Buffer, fields: Partial<mqtt.IPublishPacket> = {}): void {
    this.send({ cmd: "publish", topic, payload, qos: 0, dup: false, retain: false, ...fields } as mqtt.Packet)
  }

  async subscribe(topic: string, qos: 0 | 1 | 2 = 0): Promise<void> {
    this.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic, qos }] } as mqtt.Packet)
    await this.next("suback")
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

  take(): Received[] {
    return this.packets.splice(0)
  }

  /** The next packet of that type; those before it are passed over. */
  async next(cmd: string): Promise<Received> {
    await this.until(() => this.packets.some((packet) => packet.cmd === cmd), cmd)
    const index = this.packets.findIndex((packet) => packet.cmd === cmd)
    return this.packets.splice(0, index + 1).at(-1)!
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

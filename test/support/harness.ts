/**
 * A broker without sockets: clients whose bytes go straight into a `Connection` and come straight out of it, and a clock
 * that the test moves. Packets are written and read by mqtt-packet, which is nobody's relative here.
 *
 * Everything is synchronous: what a packet causes has happened when `send` returns, unless the broker waits for a promise;
 * then `await microtasks()`.
 */
import mqtt from "mqtt-packet"
import { allowAll } from "../../src/auth/allow.ts"
import { Core } from "../../src/broker/core.ts"
import { type Limits, type ListenerLimits, resolveLimits, resolveListenerLimits } from "../../src/broker/limits.ts"
import type { Auth, LogDetails, Logger, Store } from "../../src/broker/ports.ts"
import type { Serving } from "../../src/broker/serving.ts"
import type { ProtocolLevel } from "../../src/codec/index.ts"
import { BlockPool, Connection, type Transport } from "../../src/connection/index.ts"
import { ManualClock } from "../../src/testing/clock.ts"

export interface HarnessOptions {
  limits?: Partial<Limits>
  listener?: Partial<ListenerLimits>
  /** Default: `allowAll()`. Null: none, so that everybody is refused. */
  auth?: Auth | null
  store?: Store
  validatePayloadFormat?: boolean
}

/** A packet as mqtt-packet has it; looser, so that tests can compare parts. */
// biome-ignore lint/suspicious/noExplicitAny: a union of fifteen packets would have to be narrowed at every line of every test
export type Received = mqtt.Packet & Record<string, any>

/** What a CONNECT says, where it differs from a clean start with the id `client` and no keep-alive. */
export type ConnectFields = Partial<Omit<mqtt.IConnectPacket, "cmd" | "protocolVersion">> & { level?: ProtocolLevel }

/** What the CONNECT of a client says whose session outlives its connection, in every version's own way. */
export function durable(level: ProtocolLevel = 5): ConnectFields {
  return { level, clean: false, ...(level === 5 && { properties: { sessionExpiryInterval: 3600 } }) }
}

export class Harness {
  readonly clock = new ManualClock()
  readonly core: Core
  /** What the broker has logged, as `level message`, and the details of each line. */
  readonly logged: string[] = []
  readonly details: (LogDetails | undefined)[] = []
  readonly serving: Serving
  private readonly pool = new BlockPool()

  constructor(options: HarnessOptions = {}) {
    const log = (level: string) => (message: string, details?: LogDetails) => {
      this.logged.push(`${level} ${message}`)
      this.details.push(details)
    }
    const logger: Logger = { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") }
    const { limits, store, validatePayloadFormat = false } = options
    this.core = new Core(resolveLimits(limits), this.clock, logger, store, validatePayloadFormat)
    this.serving = this.listener(options.listener, options.auth)
  }

  /** Another listener of the same broker: pass it to `open` or `connect`. */
  listener(limits: Partial<ListenerLimits> = {}, auth: Auth | null = allowAll()): Serving {
    return { id: "test", auth: auth ?? undefined, limits: resolveListenerLimits(limits), connections: 0 }
  }

  /** A socket that has been accepted and has sent nothing. */
  open(level: ProtocolLevel = 5, serving = this.serving): TestClient {
    return new TestClient(this.core, this.pool, serving, level)
  }

  /** A client that has sent its CONNECT; its CONNACK is the first of `received`. */
  connect(fields: ConnectFields = {}, serving = this.serving): TestClient {
    const client = this.open(fields.level ?? 5, serving)
    client.connect(fields)
    return client
  }

  /** A client that is in, with nothing in `received`. Fails if it was refused. */
  client(clientId: string, fields: ConnectFields = {}, serving = this.serving): TestClient {
    const client = this.connect({ clientId, ...fields }, serving)
    const [connack] = client.take()
    if (connack?.cmd !== "connack" || (connack.reasonCode ?? connack.returnCode) !== 0) {
      throw new Error(`${clientId} was not let in: ${JSON.stringify(connack)}`)
    }
    return client
  }

  /** A client that finds its session again; what the broker sends for it after the CONNACK is in `received`. */
  resume(clientId: string, fields: ConnectFields = durable(), serving = this.serving): TestClient {
    const client = this.connect({ clientId, ...fields }, serving)
    const connack = client.received.shift()
    const isPresent = connack?.sessionPresent === true || client.level === 3 // which has no such flag
    if (connack?.cmd !== "connack" || !isPresent) throw new Error(`${clientId}: ${JSON.stringify(connack)}`)
    return client
  }
}

export class TestClient implements Transport {
  readonly remoteAddress = "192.0.2.1"
  readonly level: ProtocolLevel
  /** What has come since the last `take`. */
  received: Received[] = []
  /** The same as bytes, never cleared. */
  bytes = Buffer.alloc(0)
  /** Whether the broker has closed its half, or everything. */
  isEnded = false
  isDestroyed = false
  isPaused = false
  /** How many more bytes the socket takes before it is full. */
  capacity = Number.POSITIVE_INFINITY
  readonly connection: Connection
  private readonly parser: mqtt.Parser
  private nextPacketId = 1

  constructor(core: Core, pool: BlockPool, serving: Serving, level: ProtocolLevel) {
    this.level = level
    this.parser = mqtt.parser({ protocolVersion: level })
    this.parser.on("packet", (packet) => this.received.push(packet as Received))
    this.parser.on("error", (error) => {
      throw error
    })
    this.connection = new Connection(core, this, serving, pool)
  }

  /** Sends CONNECT: clean start, id `client`, no keep-alive, unless `fields` say otherwise. */
  connect(fields: ConnectFields = {}): this {
    const { level = this.level, ...rest } = fields
    const protocolId = level === 3 ? "MQIsdp" : "MQTT"
    const packet = {
      cmd: "connect",
      protocolId,
      protocolVersion: level,
      clean: true,
      clientId: "client",
      keepalive: 0,
      ...rest,
    }
    return this.send(packet as mqtt.Packet)
  }

  /** Sends a packet. */
  send(packet: mqtt.Packet): this {
    return this.sendBytes(mqtt.generate(packet, { protocolVersion: this.level }))
  }

  /** Sends bytes, given as such or in hexadecimal with spaces anywhere. */
  sendBytes(bytes: Uint8Array | string): this {
    const chunk = typeof bytes === "string" ? Buffer.from(bytes.replaceAll(/\s/g, ""), "hex") : Buffer.from(bytes)
    this.connection.receive(chunk)
    return this
  }

  publish(topic: string, payload: string | Buffer = "", options: Partial<mqtt.IPublishPacket> = {}): this {
    const messageId = options.qos ? { messageId: this.nextPacketId++ } : {}
    const base = { cmd: "publish", topic, payload, qos: 0, dup: false, retain: false, ...messageId } as const
    return this.send({ ...base, ...options } as mqtt.Packet)
  }

  /** Subscribes, and takes the SUBACK (and whatever came with it) unless `keep`. */
  subscribe(
    filter: string | string[],
    options: Partial<mqtt.ISubscription> & { properties?: mqtt.ISubscribePacket["properties"] } = {},
  ): this {
    const { properties, ...subscription } = options
    const subscriptions = [filter].flat().map((topic) => ({ topic, qos: 0 as const, ...subscription }))
    const packet: mqtt.Packet = { cmd: "subscribe", messageId: this.nextPacketId++, subscriptions }
    if (properties !== undefined) packet.properties = properties
    return this.send(packet)
  }

  /** Sends an acknowledgement. */
  ack(cmd: "puback" | "pubrec" | "pubrel" | "pubcomp", messageId: number, reasonCode = 0): this {
    return this.send({ cmd, messageId, reasonCode } as mqtt.Packet)
  }

  disconnect(reasonCode = 0, properties: mqtt.IDisconnectPacket["properties"] = {}): this {
    return this.send({ cmd: "disconnect", reasonCode, properties } as mqtt.Packet)
  }

  /** The socket breaks. */
  drop(): void {
    this.isDestroyed = true
    this.connection.closed()
  }

  /** Everything that has come since the last time. */
  take(): Received[] {
    return this.received.splice(0)
  }

  /** The messages that have come since the last time, as `topic payload`. */
  messages(): string[] {
    return this.take()
      .filter(({ cmd }) => cmd === "publish")
      .map(({ topic, payload }) => `${topic} ${payload}`)
  }

  /** Whether the broker has ended the connection. */
  get isClosed(): boolean {
    return this.isEnded || this.isDestroyed
  }

  /** The socket takes `bytes` more. */
  drain(bytes = Number.POSITIVE_INFINITY): void {
    this.capacity = bytes
    this.connection.drained()
  }

  write(bytes: Buffer, start: number, end: number): number {
    if (this.isClosed) return -1
    const taken = Math.min(end - start, this.capacity)
    this.capacity -= taken
    const chunk = Buffer.from(bytes.subarray(start, start + taken))
    this.bytes = Buffer.concat([this.bytes, chunk])
    this.parser.parse(chunk)
    return taken
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
  }

  end(): void {
    this.isEnded = true
  }

  destroy(): void {
    if (this.isDestroyed) return
    this.isDestroyed = true
    this.connection.closed()
  }
}

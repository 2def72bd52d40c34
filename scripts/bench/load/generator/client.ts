/**
 * What every client of the generator is: a connection to the broker that reads packets, answers a read's
 * acknowledgements with one write, and may leave and come back.
 */
import type { Socket } from "bun"
import { Latencies } from "../../latencies.ts"
import {
  type ConnectOptions,
  encodeConnect,
  forever,
  PacketReader,
  PacketType,
  type ProtocolLevel,
  receiveMaximum,
} from "../../wire.ts"
import type { Assignment } from "../scenarios.ts"

/** Of what waits for the socket, so much is put together for one write; to copy more costs more than a write does. */
const mostMergedBytes = 64 * 1024

/** Who has to be told, at the end of a read, that what it waits for has come. */
export interface Settling {
  settle(): void
}

/** What all clients of one process share. */
export class Run {
  /** Publishers refill their windows. */
  isOpen = false
  /** Latencies are recorded. */
  isMeasured = false
  failure: string | undefined
  corrupted = 0
  disordered = 0
  /** Publishers whose target was reached during the current read. */
  readonly settled: Settling[] = []
  /** Acknowledgements of the current read; 4 bytes each, and no packet that asks for one is shorter. */
  readonly acknowledgements: Buffer = Buffer.alloc(1024 * 1024)
  acknowledgementBytes = 0

  /** From a PUBLISH to its delivery. */
  readonly latencies = new Latencies()
  /** From a PUBLISH to the end of its acknowledgement, in runs that ask for it. */
  acknowledgementLatencies: Latencies | undefined
  readonly host: string
  readonly port: number
  readonly level: ProtocolLevel

  constructor(assignment: Pick<Assignment, "host" | "port" | "protocolLevel">) {
    this.host = assignment.host
    this.port = assignment.port
    this.level = assignment.protocolLevel
  }

  fail(reason: string): void {
    this.failure ??= reason
  }
}

export class Client extends PacketReader {
  readonly run: Run
  readonly clientId: string
  /** From which of this machine's it connects, if that matters. */
  localAddress: string | undefined
  protected receiveMaximum = 65_535
  readonly #isLasting: boolean
  #socket: Socket | undefined
  /** What the socket has not taken yet, in order. */
  #backlog: Buffer[] = []
  #awaited: { type: number; resolve: () => void; reject: (reason: Error) => void } | undefined
  #leaving: (() => void) | undefined
  #readMilliseconds = 0

  /** `isLasting`: its session survives its connections. */
  constructor(run: Run, clientId: string, isLasting = false) {
    super()
    this.run = run
    this.clientId = clientId
    this.#isLasting = isLasting
  }

  /** Resolves when the broker has accepted the CONNECT; `will` and the like go with it. */
  async connect(keepAliveSeconds: number, more: Partial<ConnectOptions> = {}): Promise<void> {
    const { localAddress } = this
    this.#socket = await Bun.connect({
      ...(localAddress === undefined ? {} : { localAddress }), // Bun takes it, and its types don't name it
      hostname: this.run.host,
      port: this.run.port,
      socket: {
        data: (_, chunk) => this.#onData(chunk),
        drain: () => this.#onDrain(),
        close: () => this.#onClose("connection was closed by the broker"),
        error: (_, error) => this.#onClose(error.message),
      },
    })
    this.#socket.setNoDelay(true)
    const options = { keepAliveSeconds, sessionExpirySeconds: this.#isLasting ? forever : 0, ...more }
    await this.request(encodeConnect(this.clientId, options, this.run.level), PacketType.connack)
  }

  /** Says goodbye, and resolves when the broker has closed the connection: it knows then that nobody is there. */
  disconnect(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#leaving = resolve
    this.write(Buffer.from([PacketType.disconnect << 4, 0]), 0, 2)
    return promise
  }

  /** Goes without a word. */
  drop(): void {
    this.#leaving = () => {}
    this.#socket!.terminate()
  }

  ping(): Promise<void> {
    return this.request(Buffer.from([PacketType.pingreq << 4, 0]), PacketType.pingresp)
  }

  /** From here on nothing is read; what comes waits in the system's buffers, and then in the broker. */
  stopReading(): void {
    this.#socket!.pause()
  }

  protected request(packet: Buffer, answer: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#awaited = { type: answer, resolve, reject }
    this.write(packet, 0, packet.length)
    return promise
  }

  /** `isLasting`: the bytes stay as they are until they have been delivered, and need not be copied to wait. */
  protected write(bytes: Buffer, from: number, length: number, isLasting = false): void {
    const written = this.#backlog.length > 0 ? 0 : Math.max(0, this.#socket!.write(bytes, from, length))
    if (written === length) return
    const rest = bytes.subarray(from + written, from + length)
    this.#backlog.push(isLasting ? rest : Buffer.from(rest))
  }

  /** When the messages of this read arrived, all together: one look at the clock a read. */
  protected get arrivedAt(): number {
    if (this.#readMilliseconds === 0) this.#readMilliseconds = performance.now()
    return this.#readMilliseconds
  }

  /** Adds an acknowledgement of the packet identifier at `packetIdAt` to those that leave after this read. */
  protected acknowledge(firstByte: number, bytes: Buffer, packetIdAt: number): void {
    const out = this.run.acknowledgements
    const at = this.run.acknowledgementBytes
    out[at] = firstByte
    out[at + 1] = 2
    out[at + 2] = bytes[packetIdAt]!
    out[at + 3] = bytes[packetIdAt + 1]!
    this.run.acknowledgementBytes = at + 4
  }

  /** The packets around the traffic: answers to CONNECT, SUBSCRIBE and PINGREQ, and a DISCONNECT. */
  protected override onPacket(bytes: Buffer, at: number, end: number): void {
    const type = bytes[at]! >> 4
    if (type === PacketType.disconnect) {
      this.run.fail(`${this.clientId}: the broker sent DISCONNECT, reason 0x${(bytes[at + 2] ?? 0).toString(16)}`)
      return
    }
    const awaited = this.#awaited
    if (type !== awaited?.type) {
      this.run.corrupted++
      return
    }
    this.#awaited = undefined
    if (type === PacketType.connack) this.receiveMaximum = receiveMaximum(bytes, at, end, this.run.level)
    const code = type === PacketType.connack ? bytes[at + 3]! : type === PacketType.suback ? bytes[end - 1]! : 0
    const isRefused = type === PacketType.suback ? code >= 0x80 : code !== 0
    if (isRefused) awaited.reject(new Error(`${this.clientId}: refused with code 0x${code.toString(16)}`))
    else awaited.resolve()
  }

  #onData(chunk: Buffer): void {
    const { run } = this
    this.#readMilliseconds = 0
    this.read(chunk)
    if (run.acknowledgementBytes > 0) {
      this.write(run.acknowledgements, 0, run.acknowledgementBytes)
      run.acknowledgementBytes = 0
    }
    while (run.settled.length > 0) run.settled.pop()!.settle()
  }

  #onDrain(): void {
    const parts = this.#backlog
    if (parts.length === 0) return
    this.#backlog = []
    const bytes = parts.reduce((sum, part) => sum + part.length, 0)
    const merged = parts.length > 1 && bytes <= mostMergedBytes ? [Buffer.concat(parts)] : parts
    for (const part of merged) this.write(part, 0, part.length, true)
  }

  #onClose(reason: string): void {
    if (this.#leaving) {
      this.#leaving()
      this.#leaving = undefined
      return
    }
    this.run.fail(`${this.clientId}: ${reason}`)
    this.#awaited?.reject(new Error(`${this.clientId}: ${reason}`))
  }
}

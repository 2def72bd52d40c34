/**
 * The generator's clients. A `Publisher` sends runs of slots from its ring, a `Subscriber` checks and counts what
 * arrives; both answer a read's acknowledgements with one write.
 *
 * The closed loop: a publisher may send up to one window past `settled`, the number of messages that every member
 * of its group has got; members are the group's subscribers and, above QoS 0, the publisher's own acknowledgements.
 * It isn't looked at per message. A publisher sets a `target` a quarter window ahead, each member that reaches it
 * reports once, and the last one moves `settled` there and frees a quarter window. So the slowest member sets the
 * pace, with one comparison a message and one scan of the group a quarter.
 */
import type { Socket } from "bun"
import { Latencies } from "./latencies.ts"
import type { Assignment, ProtocolLevel, Qos } from "./scenarios.ts"
import { refillsPerWindow } from "./scenarios.ts"
import { encodeConnect, encodeSubscribe, MessageRing, PacketReader, PacketType, receiveMaximum } from "./wire.ts"

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
  readonly settled: Publisher[] = []
  /** Acknowledgements of the current read; 4 bytes each, and no packet that asks for one is shorter. */
  readonly acknowledgements: Buffer = Buffer.alloc(1024 * 1024)
  acknowledgementBytes = 0

  readonly latencies = new Latencies()
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
  protected receiveMaximum = 65_535
  #socket: Socket | undefined
  #backlog: Buffer | undefined
  #awaited: { type: number; resolve: () => void; reject: (reason: Error) => void } | undefined

  constructor(run: Run, clientId: string) {
    super()
    this.run = run
    this.clientId = clientId
  }

  /** Resolves when the broker has accepted the CONNECT. */
  async connect(keepAliveSeconds: number): Promise<void> {
    this.#socket = await Bun.connect({
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
    await this.request(encodeConnect(this.clientId, keepAliveSeconds, this.run.level), PacketType.connack)
  }

  ping(): Promise<void> {
    return this.request(Buffer.from([PacketType.pingreq << 4, 0]), PacketType.pingresp)
  }

  protected request(packet: Buffer, answer: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#awaited = { type: answer, resolve, reject }
    this.write(packet, 0, packet.length)
    return promise
  }

  protected write(bytes: Buffer, from: number, length: number): void {
    if (this.#backlog) {
      this.#backlog = Buffer.concat([this.#backlog, bytes.subarray(from, from + length)])
      return
    }
    const written = Math.max(0, this.#socket!.write(bytes, from, length))
    if (written < length) this.#backlog = Buffer.from(bytes.subarray(from + written, from + length))
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
    this.read(chunk)
    if (run.acknowledgementBytes > 0) {
      this.write(run.acknowledgements, 0, run.acknowledgementBytes)
      run.acknowledgementBytes = 0
    }
    while (run.settled.length > 0) run.settled.pop()!.settle()
  }

  #onDrain(): void {
    const backlog = this.#backlog
    if (!backlog) return
    this.#backlog = undefined
    this.write(backlog, 0, backlog.length)
  }

  #onClose(reason: string): void {
    this.run.fail(`${this.clientId}: ${reason}`)
    this.#awaited?.reject(new Error(`${this.clientId}: ${reason}`))
  }
}

export class Publisher extends Client {
  readonly ring: MessageRing
  /** The place in the group: index of this publisher's counters in each subscriber. */
  readonly index: number
  subscribers: readonly Subscriber[] = []
  sent = 0
  acknowledged = 0
  target = 0
  readonly #qos: Qos
  #window: number
  #refill = 0
  #settled = 0
  #lagging = 0
  #nextPacketId = 1
  #nextReceivedPacketId = 1

  constructor(
    run: Run,
    clientId: string,
    options: {
      topic: string
      qos: Qos
      payloadBytes: number
      index: number
      windowMessages: number
      slots: number
      stampEveryMessage: boolean
    },
  ) {
    super(run, clientId)
    this.ring = new MessageRing({ ...options, level: run.level, publisher: options.index })
    this.#window = options.windowMessages
    this.index = options.index
    this.#qos = options.qos
  }

  /** Fills the window for the first time; above QoS 0 with what the broker takes, if that is less. [MQTT-3.3.4-9] */
  start(): void {
    if (this.#qos > 0) this.#window = Math.min(this.#window, this.receiveMaximum)
    this.#refill = Math.max(1, Math.floor(this.#window / refillsPerWindow))
    this.target = this.#refill
    this.#lagging = this.#countLagging()
    this.send(this.#window, performance.now())
  }

  /** Sends the next `count` messages; the sampled ones carry `stampMilliseconds`. */
  send(count: number, stampMilliseconds: number): void {
    const { bytes, packetBytes, slots } = this.ring
    while (count > 0) {
      const slot = this.sent % slots
      const run = Math.min(count, slots - slot)
      this.ring.stamp(slot, slot + run, stampMilliseconds)
      this.write(bytes, slot * packetBytes, run * packetBytes)
      this.sent += run
      count -= run
    }
  }

  /** A member of the group has got as far as `target`. */
  onMemberAtTarget(): void {
    if (--this.#lagging === 0) this.run.settled.push(this)
  }

  /** Every member has reached the target: sets the next one and sends what that frees. */
  settle(): void {
    do {
      this.#settled = this.target
      this.target += this.#refill
      this.#lagging = this.#countLagging()
    } while (this.#lagging === 0)
    if (this.run.isOpen) this.send(this.#settled + this.#window - this.sent, performance.now())
  }

  protected override onPacket(bytes: Buffer, at: number, end: number): void {
    const type = bytes[at]! >> 4
    if (type === PacketType.puback || type === PacketType.pubcomp) {
      if (this.#isExpected(bytes, at, end, this.#nextPacketId)) this.#nextPacketId = this.#following(this.#nextPacketId)
      if (++this.acknowledged === this.target) this.onMemberAtTarget()
    } else if (type === PacketType.pubrec) {
      if (this.#isExpected(bytes, at, end, this.#nextReceivedPacketId))
        this.#nextReceivedPacketId = this.#following(this.#nextReceivedPacketId)
      this.acknowledge((PacketType.pubrel << 4) | 2, bytes, at + 2)
    } else super.onPacket(bytes, at, end)
  }

  /** Acknowledgements come in the order of the messages. [MQTT-4.6.0-2] [MQTT-4.6.0-3] */
  #isExpected(bytes: Buffer, at: number, end: number, packetId: number): boolean {
    const isRight = ((bytes[at + 2]! << 8) | bytes[at + 3]!) === packetId
    const isSuccess = end - at === 4 || bytes[at + 4]! < 0x80
    if (!isRight || !isSuccess) this.run.corrupted++
    return isRight
  }

  #following(packetId: number): number {
    return packetId === this.ring.slots ? 1 : packetId + 1
  }

  #countLagging(): number {
    const { index, target, subscribers } = this
    let lagging = this.#qos > 0 && this.acknowledged < target ? 1 : 0
    for (let i = 0; i < subscribers.length; i++) if (subscribers[i]!.positions[index]! < target) lagging++
    return lagging
  }
}

export class Subscriber extends Client {
  delivered = 0
  /** Per publisher of the group: how far its sequence has been received or skipped. */
  readonly positions: Float64Array
  readonly #nextSlots: Uint32Array
  readonly #publishers: readonly Publisher[]
  readonly #qos: Qos
  readonly #firstByte: number
  readonly #payloadBytes: number
  readonly #packetBytes: number
  readonly #slots: number
  #readMilliseconds = 0

  constructor(run: Run, clientId: string, publishers: readonly Publisher[], qos: Qos, payloadBytes: number) {
    super(run, clientId)
    const { packetBytes, slots } = publishers[0]!.ring
    this.positions = new Float64Array(publishers.length)
    this.#nextSlots = new Uint32Array(publishers.length)
    this.#publishers = publishers
    this.#qos = qos
    this.#firstByte = (PacketType.publish << 4) | (qos << 1)
    this.#payloadBytes = payloadBytes
    this.#packetBytes = packetBytes
    this.#slots = slots
  }

  subscribe(topicFilter: string): Promise<void> {
    return this.request(encodeSubscribe(topicFilter, this.#qos, this.run.level), PacketType.suback)
  }

  protected override read(chunk: Buffer): void {
    this.#readMilliseconds = 0
    super.read(chunk)
  }

  protected override onPacket(bytes: Buffer, at: number, end: number): void {
    if (bytes[at] === this.#firstByte) this.#onPublish(bytes, at, end)
    else if (this.#qos === 2 && bytes[at]! >> 4 === PacketType.pubrel)
      this.acknowledge(PacketType.pubcomp << 4, bytes, at + 2)
    else super.onPacket(bytes, at, end)
  }

  #onPublish(bytes: Buffer, at: number, end: number): void {
    const payloadAt = end - this.#payloadBytes
    const slot = (bytes[payloadAt]! << 8) | bytes[payloadAt + 1]!
    const index = (bytes[payloadAt + 2]! << 8) | bytes[payloadAt + 3]!
    if (end - at !== this.#packetBytes || slot >= this.#slots || index >= this.positions.length) {
      this.run.corrupted++
      return
    }
    if (this.#qos > 0) {
      const packetIdAt = payloadAt - (this.run.level === 5 ? 3 : 2)
      this.acknowledge((this.#qos === 1 ? PacketType.puback : PacketType.pubrec) << 4, bytes, packetIdAt)
    }
    const publisher = this.#publishers[index]!
    this.delivered++
    if (slot === this.#nextSlots[index]) {
      this.#nextSlots[index] = slot + 1 === this.#slots ? 0 : slot + 1
      if (++this.positions[index]! === publisher.target) publisher.onMemberAtTarget()
    } else this.#onGap(index, slot, publisher)
    if (bytes[payloadAt + 4] === 1) this.#onSample(bytes, payloadAt, end, slot, publisher)
  }

  /** Messages are missing, or one came twice or late. A gap counts as received, or the window would never open. */
  #onGap(index: number, slot: number, publisher: Publisher): void {
    const ahead = (slot - this.#nextSlots[index]! + this.#slots) % this.#slots
    if (ahead >= publisher.sent - this.positions[index]!) {
      this.run.disordered++
      this.delivered--
      return
    }
    const before = this.positions[index]!
    this.positions[index]! += ahead + 1
    this.#nextSlots[index] = (slot + 1) % this.#slots
    if (before < publisher.target && this.positions[index]! >= publisher.target) publisher.onMemberAtTarget()
  }

  #onSample(bytes: Buffer, payloadAt: number, end: number, slot: number, publisher: Publisher): void {
    if (!publisher.ring.hasPayload(slot, bytes, payloadAt, end)) this.run.corrupted++
    if (!this.run.isMeasured) return
    // One look at the clock a read: the messages of a read arrived together.
    if (this.#readMilliseconds === 0) this.#readMilliseconds = performance.now()
    this.run.latencies.record(this.#readMilliseconds - bytes.readDoubleBE(payloadAt + 8))
  }
}

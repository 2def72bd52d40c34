/**
 * A yardstick, not a broker: the least that can be done in Bun between a publisher and its subscribers. What it
 * reaches is the ceiling for a broker of this shape, and shows that the generator isn't what limits a result.
 *
 * Packets are found and forwarded in place; one sink and one write per connection and turn of the event loop. It
 * validates nothing, keeps nothing, grants every subscription its QoS and forwards at the publisher's QoS. Filters
 * are matched when a topic is first seen; after that a topic is one look-up in a Map.
 *
 *     bun scripts/bench/relay.ts PORT
 */
import type { Socket } from "bun"
import { PacketReader, PacketType } from "./wire.ts"

const routes = new Map<string, Peer[]>()
const subscriptions: { levels: string[]; peer: Peer }[] = []
const dirty: Peer[] = []

function matches(filter: readonly string[], topic: readonly string[]): boolean {
  for (let i = 0; i < filter.length; i++) {
    if (filter[i] === "#") return true
    if (filter[i] !== "+" && filter[i] !== topic[i]) return false
  }
  return filter.length === topic.length
}

function route(topic: string): Peer[] {
  let peers = routes.get(topic)
  if (!peers) {
    const levels = topic.split("/")
    peers = subscriptions.filter((subscription) => matches(subscription.levels, levels)).map(({ peer }) => peer)
    routes.set(topic, peers)
  }
  return peers
}

class Peer extends PacketReader {
  readonly #socket: Socket<Peer>
  readonly #sink = new Bun.ArrayBufferSink()
  #isDirty = false
  #backlog: Uint8Array | undefined
  #level = 4
  #lastPacketId = 0

  constructor(socket: Socket<Peer>) {
    super()
    this.#socket = socket
    this.#sink.start({ stream: true, asUint8Array: true })
  }

  onData(chunk: Buffer): void {
    this.read(chunk)
    while (dirty.length > 0) dirty.pop()!.#flush()
  }

  onDrain(): void {
    const backlog = this.#backlog
    if (!backlog) return
    this.#backlog = undefined
    this.#write(backlog)
    if (!this.#backlog) this.#flush()
  }

  onClose(): void {
    for (let i = subscriptions.length - 1; i >= 0; i--) if (subscriptions[i]!.peer === this) subscriptions.splice(i, 1)
    routes.clear()
  }

  protected override onPacket(bytes: Buffer, at: number, end: number): void {
    const type = bytes[at]! >> 4
    if (type === PacketType.publish) this.#onPublish(bytes, at, end)
    else if (type === PacketType.pubrec) this.#acknowledge((PacketType.pubrel << 4) | 2, bytes, at + 2)
    else if (type === PacketType.pubrel) this.#acknowledge(PacketType.pubcomp << 4, bytes, at + 2)
    else if (type === PacketType.connect) this.#onConnect(bytes, at)
    else if (type === PacketType.subscribe) this.#onSubscribe(bytes, at)
    else if (type === PacketType.pingreq) this.#push(Buffer.from([PacketType.pingresp << 4, 0]))
    else if (type === PacketType.disconnect) this.#socket.end()
  }

  #onConnect(bytes: Buffer, at: number): void {
    this.#level = bytes[at + 8]!
    this.#push(
      Buffer.from(this.#level === 5 ? [PacketType.connack << 4, 3, 0, 0, 0] : [PacketType.connack << 4, 2, 0, 0]),
    )
  }

  #onPublish(bytes: Buffer, at: number, end: number): void {
    const qos = (bytes[at]! >> 1) & 3
    let topicAt = at + 2
    while (bytes[topicAt - 1]! >= 0x80) topicAt++
    const topicEnd = topicAt + 2 + ((bytes[topicAt]! << 8) | bytes[topicAt + 1]!)
    const peers = route(bytes.latin1Slice(topicAt + 2, topicEnd))
    if (qos > 0) this.#acknowledge((qos === 1 ? PacketType.puback : PacketType.pubrec) << 4, bytes, topicEnd)
    const packet = bytes.subarray(at, end)
    for (let i = 0; i < peers.length; i++) {
      const peer = peers[i]!
      if (qos > 0) peer.#nextPacketId(packet, topicEnd - at)
      peer.#push(packet)
    }
  }

  #onSubscribe(bytes: Buffer, at: number): void {
    const filterAt = at + (this.#level === 5 ? 5 : 4)
    const filterEnd = filterAt + 2 + bytes.readUInt16BE(filterAt)
    subscriptions.push({ levels: bytes.latin1Slice(filterAt + 2, filterEnd).split("/"), peer: this })
    routes.clear()
    const packetId = [bytes[at + 2]!, bytes[at + 3]!]
    const code = bytes[filterEnd]! & 3
    const body = this.#level === 5 ? [...packetId, 0, code] : [...packetId, code]
    this.#push(Buffer.from([PacketType.suback << 4, body.length, ...body]))
  }

  #nextPacketId(packet: Buffer, packetIdAt: number): void {
    this.#lastPacketId = (this.#lastPacketId % 65_535) + 1
    packet[packetIdAt] = this.#lastPacketId >> 8
    packet[packetIdAt + 1] = this.#lastPacketId
  }

  #acknowledge(firstByte: number, bytes: Buffer, packetIdAt: number): void {
    acknowledgement[0] = firstByte
    acknowledgement[1] = 2
    acknowledgement[2] = bytes[packetIdAt]!
    acknowledgement[3] = bytes[packetIdAt + 1]!
    this.#push(acknowledgement)
  }

  #push(bytes: Uint8Array): void {
    this.#sink.write(bytes)
    if (this.#isDirty) return
    this.#isDirty = true
    dirty.push(this)
  }

  #flush(): void {
    if (this.#backlog) return
    this.#isDirty = false
    this.#write(this.#sink.flush() as Uint8Array)
  }

  #write(bytes: Uint8Array): void {
    const written = Math.max(0, this.#socket.write(bytes))
    if (written < bytes.length) this.#backlog = bytes.subarray(written)
  }
}

const acknowledgement = Buffer.alloc(4)

Bun.listen<Peer>({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  socket: {
    open(socket) {
      socket.data = new Peer(socket)
      socket.setNoDelay(true)
    },
    data: (socket, chunk) => socket.data.onData(chunk),
    drain: (socket) => socket.data.onDrain(),
    close: (socket) => socket.data.onClose(),
  },
})

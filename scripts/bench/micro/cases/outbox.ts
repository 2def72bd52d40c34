/** From packets to writes: sockets that take everything, or a part of it. */
import { resolveLimits } from "../../../../src/broker/limits.ts"
import { Metrics } from "../../../../src/broker/metrics.ts"
import { Turn } from "../../../../src/broker/turn.ts"
import { PacketType } from "../../../../src/codec/index.ts"
import { BlockPool, Outbox } from "../../../../src/connection/outbox.ts"
import type { Transport } from "../../../../src/connection/transport.ts"
import { packetIdAt, StablePacket } from "../../../../src/session/index.ts"
import type { Case } from "../case.ts"
import { chunkOf, publishPackets } from "../inputs.ts"

/** Counts what is written. */
class Socket implements Transport {
  readonly remoteAddress = "192.0.2.1"
  /** How much it takes of one write. */
  readonly mostBytes: number
  private bytes = 0
  private writes = 0
  /** The sum over the first byte of each write. */
  private types = 0

  constructor(mostBytes: number) {
    this.mostBytes = mostBytes
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    const taken = Math.min(this.mostBytes, end - start)
    this.bytes += taken
    this.writes++
    this.types += bytes[start]! >> 4
    return taken
  }

  /** What has come since the last time, as one number. */
  take(): number {
    const { bytes, writes, types } = this
    this.bytes = this.writes = this.types = 0
    return sum(bytes, types / writes)
  }

  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}
}

/** So many bytes, in writes that begin with a packet of that type. */
const sum = (bytes: number, type: number) => bytes + type * 1e9

/** A broker, as far as outboxes know it. */
class Outboxes {
  readonly turn = new Turn()
  readonly all: readonly Outbox[]
  private readonly sockets: readonly Socket[]

  constructor(count: number, mostBytes = Number.POSITIVE_INFINITY) {
    const core = { turn: this.turn, metrics: new Metrics(), limits: resolveLimits() }
    const pool = new BlockPool()
    this.sockets = Array.from({ length: count }, () => new Socket(mostBytes))
    this.all = this.sockets.map((socket) => new Outbox(socket, core, pool))
  }

  take(): number {
    let taken = 0
    for (const socket of this.sockets) taken += socket.take()
    return taken
  }
}

export function outboxCases(): Case[] {
  return [
    one(),
    many(),
    behind(),
    mixed(),
    withIds(),
    acks(),
    fanOut(1),
    fanOut(10),
    fanOut(100),
    fanOutMixed(),
    large(),
    drained(),
  ]
}

const plain = (count: number) => chunkOf(publishPackets(4, count))

/** A turn for each packet: nothing is copied. */
function one(): Case {
  const { bytes, places } = plain(300)
  const outboxes = new Outboxes(1)
  const { turn, all } = outboxes
  return {
    name: "outbox-one",
    title: "a packet pushed and written alone",
    operations: places.length,
    expected: sum(bytes.length, PacketType.PUBLISH),
    run() {
      for (const { start, end } of places) {
        turn.begin()
        all[0]!.pushStable(new StablePacket(bytes, start, end))
        turn.end()
      }
      return outboxes.take()
    },
  }
}

/** A turn for all, which lie one behind the other: what a publisher has sent at once. */
function many(): Case {
  const { bytes, places } = plain(300)
  const expected = sum(bytes.length, PacketType.PUBLISH)
  return inOneTurn("outbox-many", "a packet of 300 of one publisher pushed", places.length, expected, ([outbox]) => {
    for (const { start, end } of places) outbox!.pushStable(new StablePacket(bytes, start, end))
  })
}

/** The same behind a packet that began in the chunk before: it has been put together elsewhere. */
function behind(): Case {
  const { bytes, places } = plain(300)
  const first = plain(1)
  const expected = sum(first.bytes.length + bytes.length, PacketType.PUBLISH)
  const title = "a packet of 300 of one publisher pushed, behind another"
  return inOneTurn("outbox-behind", title, places.length + 1, expected, ([outbox]) => {
    outbox!.pushStable(new StablePacket(first.bytes))
    for (const { start, end } of places) outbox!.pushStable(new StablePacket(bytes, start, end))
  })
}

/** A turn for all, which come from here and there. */
function mixed(): Case {
  const { packets, length } = alternating(300)
  const expected = sum(length, PacketType.PUBLISH)
  return inOneTurn("outbox-mixed", "a packet of 300 of two publishers pushed", packets.length, expected, ([outbox]) => {
    for (const { bytes, start, end } of packets) outbox!.pushStable(new StablePacket(bytes, start, end))
  })
}

/** Packets of two chunks, in turn. */
function alternating(count: number) {
  const chunks = [plain(count), plain(count)] as const
  const packets = chunks[0].places.map((place, i) => ({ bytes: chunks[i % 2 === 0 ? 0 : 1].bytes, ...place }))
  return { packets, length: chunks[0].bytes.length }
}

function inOneTurn(
  name: string,
  title: string,
  operations: number,
  expected: number,
  push: (outboxes: readonly Outbox[]) => void,
  outboxes = new Outboxes(1),
): Case {
  const { turn, all } = outboxes
  return {
    name,
    title,
    operations,
    expected,
    run() {
      turn.begin()
      push(all)
      turn.end()
      return outboxes.take()
    },
  }
}

function withIds(): Case {
  const { bytes, places } = chunkOf(publishPackets(4, 300, { qos: 1 }))
  const topicBytes = places.map(({ body }) => bytes.readUInt16BE(body))
  const expected = sum(bytes.length, PacketType.PUBLISH)
  const title = "a packet of 300 pushed with a packet id of its own"
  return inOneTurn("outbox-id", title, places.length, expected, ([outbox]) => {
    for (let i = 0; i < places.length; i++) {
      const { start, end } = places[i]!
      outbox!.pushWithId(bytes, start, end, packetIdAt(bytes, start, topicBytes[i]!), i + 1)
    }
  })
}

function acks(): Case {
  const operations = 2000
  const expected = sum(operations * 4, PacketType.PUBACK)
  return inOneTurn("outbox-ack", "an acknowledgement of 2,000 pushed", operations, expected, ([outbox]) => {
    for (let packetId = 1; packetId <= operations; packetId++) outbox!.pushAck(PacketType.PUBACK << 4, packetId)
  })
}

/** Packets for a hundred subscribers each. */
function fanOut(count: number): Case {
  const { bytes, places } = plain(count)
  const outboxes = new Outboxes(100)
  const expected = outboxes.all.length * sum(bytes.length, PacketType.PUBLISH)
  const operations = outboxes.all.length * count
  const title = count === 1 ? "a packet to each of 100 outboxes" : `a packet of ${count} to each of 100 outboxes`
  const push = (all: readonly Outbox[]) => {
    pushToAll(
      all,
      places.map(({ start, end }) => new StablePacket(bytes, start, end)),
    )
  }
  return inOneTurn(`outbox-fanout-${count}`, title, operations, expected, push, outboxes)
}

function pushToAll(outboxes: readonly Outbox[], packets: readonly StablePacket[]): void {
  for (const packet of packets) for (const outbox of outboxes) outbox.pushStable(packet)
}

/** The same of two publishers: the outboxes have a block each, all at the same time. */
function fanOutMixed(): Case {
  const { packets, length } = alternating(10)
  const outboxes = new Outboxes(100)
  const expected = outboxes.all.length * sum(length, PacketType.PUBLISH)
  const operations = outboxes.all.length * packets.length
  const title = "a packet of 10 of two publishers to each of 100 outboxes"
  const push = (all: readonly Outbox[]) => {
    pushToAll(
      all,
      packets.map(({ bytes, start, end }) => new StablePacket(bytes, start, end)),
    )
  }
  return inOneTurn("outbox-fanout-mixed", title, operations, expected, push, outboxes)
}

/** More than blocks hold. */
function large(): Case {
  const { bytes, places } = chunkOf(publishPackets(4, 21, { payloadBytes: 16_384 }))
  const expected = sum(bytes.length, PacketType.PUBLISH)
  return inOneTurn("outbox-16k", "a packet of 16 KiB of 21 pushed", places.length, expected, ([outbox]) => {
    for (const { start, end } of places) outbox!.pushStable(new StablePacket(bytes, start, end))
  })
}

/** The socket takes 16 KiB at a time: the rest is kept, and goes when it drains. */
function drained(): Case {
  const piece = 16_384
  // Of one size, which fills those pieces: each begins with a packet.
  const { bytes, places } = chunkOf(publishPackets(4, 256, { topic: "plant-3/state", payloadBytes: 128 - 17 }))
  const outboxes = new Outboxes(1, piece)
  const { turn, all } = outboxes
  return {
    name: "outbox-drain",
    title: "a packet of 256 pushed, kept for a slow socket, drained",
    operations: places.length,
    expected: sum(bytes.length, PacketType.PUBLISH),
    run() {
      turn.begin()
      for (const { start, end } of places) all[0]!.pushStable(new StablePacket(bytes, start, end))
      turn.end()
      while (!all[0]!.drain());
      return outboxes.take()
    },
  }
}

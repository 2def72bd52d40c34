/** The outbox: bytes in the order in which they were pushed, one write a turn, and blocks that are never shared. */
import { describe, expect, test } from "bun:test"
import { resolveLimits } from "../../src/broker/limits.ts"
import { Metrics } from "../../src/broker/metrics.ts"
import { Turn } from "../../src/broker/turn.ts"
import { BlockPool, Outbox } from "../../src/connection/outbox.ts"
import type { Transport } from "../../src/connection/transport.ts"
import { StablePacket } from "../../src/session/index.ts"
import { hex, Random } from "../support/bytes.ts"

const SMALL = 4096
const LARGE = 65_536

/** A socket that takes as much as the test says. */
class FakeSocket implements Transport {
  readonly remoteAddress = "192.0.2.1"
  /** Each write as it was asked for: the buffer and how much of it. */
  readonly writes: { bytes: Buffer; start: number; end: number }[] = []
  private readonly chunks: Buffer[] = []
  /** How many more bytes it takes; -1: it says that it is broken. */
  capacity = Number.POSITIVE_INFINITY
  onWrite: (() => void) | undefined

  write(bytes: Buffer, start: number, end: number): number {
    this.writes.push({ bytes, start, end })
    this.onWrite?.()
    if (this.capacity < 0) return -1
    const taken = Math.min(this.capacity, end - start)
    this.capacity -= taken
    this.chunks.push(Buffer.from(bytes.subarray(start, start + taken)))
    return taken
  }

  get received(): Buffer {
    return Buffer.concat(this.chunks)
  }

  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}
}

/** A pool that knows who has what. */
class WatchedPool extends BlockPool {
  readonly out = new Set<Buffer>()
  taken: number[] = []

  override take(bytes: number): Buffer {
    const block = super.take(bytes)
    if (this.out.has(block)) throw new Error("a block has two owners")
    if (block.length < bytes) throw new Error("a block is too small")
    this.out.add(block)
    this.taken.push(block.length)
    return block
  }

  override give(block: Buffer): void {
    if (!this.out.delete(block)) throw new Error("a block is given back twice")
    block.fill(0xdd) // whoever still reads it sees rubbish
    super.give(block)
  }
}

function setup(maximumBacklogBytes = 1024 * 1024, pool = new WatchedPool()) {
  const socket = new FakeSocket()
  const core = { turn: new Turn(), metrics: new Metrics(), limits: resolveLimits({ maximumBacklogBytes }) }
  const outbox = new Outbox(socket, core, pool)
  const turn = (work: () => void) => {
    core.turn.begin()
    work()
    core.turn.end()
  }
  return { socket, pool, outbox, turn, metrics: core.metrics }
}

const packet = (length: number, value = length & 0xff) => Buffer.alloc(length, value)
const copied = (outbox: Outbox, bytes: Buffer) => outbox.push(bytes)
const stable = (outbox: Outbox, bytes: Buffer) => outbox.pushStable(new StablePacket(bytes))

describe("a turn", () => {
  test("a lone packet is written from where it is, without a block", () => {
    const { socket, pool, outbox, turn } = setup()
    const bytes = packet(100)
    turn(() => outbox.pushStable(new StablePacket(bytes)))
    expect(socket.writes).toHaveLength(1)
    expect(socket.writes[0]!.bytes).toBe(bytes)
    expect([socket.received, pool.taken]).toEqual([bytes, []])
  })

  test("packets that stand next to each other are one piece, written from where they are", () => {
    const { socket, pool, outbox, turn } = setup()
    const chunk = Buffer.from("one two three ")
    turn(() => {
      outbox.pushStable(new StablePacket(chunk, 0, 4))
      outbox.pushStable(new StablePacket(chunk, 4, 8))
      outbox.pushStable(new StablePacket(chunk, 8, 14))
    })
    expect(socket.writes).toEqual([{ bytes: chunk, start: 0, end: 14 }])
    expect(socket.writes[0]!.bytes).toBe(chunk)
    expect([pool.taken, outbox.packets]).toEqual([[], 0])
  })

  describe("packets that stand next to each other, behind others", () => {
    const chunk = Buffer.concat([packet(100), packet(200), packet(300)])
    const pushAll = (outbox: Outbox) => {
      outbox.pushStable(new StablePacket(chunk, 0, 100))
      outbox.pushStable(new StablePacket(chunk, 100, 300))
      outbox.pushStable(new StablePacket(chunk, 300, 600))
    }

    test("are copied as one, before what comes", () => {
      const { socket, pool, outbox, turn } = setup()
      let copies = 0
      chunk.copy = (...args) => {
        copies++
        return Buffer.prototype.copy.call(chunk, ...args)
      }
      turn(() => {
        outbox.pushAck(0x40, 1)
        pushAll(outbox)
        outbox.pushAck(0x40, 2)
      })
      expect(socket.received).toEqual(Buffer.concat([hex("40020001"), chunk, hex("40020002")]))
      expect([socket.writes.length, pool.taken, pool.out.size, copies]).toEqual([1, [SMALL], 0, 1])
    })

    test("are written behind them where no block holds all of it", () => {
      const { socket, pool, outbox, turn } = setup()
      const large = packet(LARGE - 1)
      turn(() => {
        outbox.push(packet(100))
        outbox.pushStable(new StablePacket(large, 0, 1000))
        outbox.pushStable(new StablePacket(large, 1000, LARGE - 1))
      })
      expect(socket.received).toEqual(Buffer.concat([packet(100), large]))
      expect([socket.writes.length, socket.writes[1]!.bytes === large, pool.taken]).toEqual([2, true, [SMALL]])
    })

    test("are written before what follows where no block holds them", () => {
      const { socket, pool, outbox, turn } = setup()
      const large = packet(2 * LARGE)
      turn(() => {
        stable(outbox, large)
        outbox.pushAck(0x40, 1)
      })
      expect(socket.received).toEqual(Buffer.concat([large, hex("40020001")]))
      expect([socket.writes.length, socket.writes[0]!.bytes === large, pool.taken]).toEqual([2, true, [SMALL]])
    })

    test("wait where the socket has not taken these whole", () => {
      const { socket, outbox, turn } = setup()
      const large = packet(2 * LARGE)
      socket.onWrite = () => {
        socket.capacity = socket.writes.length === 1 ? 3 : Number.POSITIVE_INFINITY
      }
      turn(() => {
        outbox.pushAck(0x40, 1)
        stable(outbox, large)
        outbox.pushAck(0x40, 2)
      })
      expect([socket.writes.length, outbox.backlogBytes]).toEqual([1, 1 + 2 * LARGE + 4])
      outbox.drain()
      expect(socket.received).toEqual(Buffer.concat([hex("40020001"), large, hex("40020002")]))
    })

    test("count at once where the socket has not taken what was before", () => {
      const { socket, outbox, turn } = setup()
      socket.capacity = 50
      turn(() => pushAll(outbox))
      turn(() => {
        pushAll(outbox)
        expect(outbox.backlogBytes).toBe(1150)
      })
      socket.capacity = Number.POSITIVE_INFINITY
      outbox.drain()
      expect(socket.received).toEqual(Buffer.concat([chunk, chunk]))
    })

    for (const bytes of [10, LARGE, 2 * LARGE]) {
      test(`are let go where the socket goes while it is given these: ${bytes} bytes`, () => {
        const { socket, pool, outbox, turn } = setup()
        socket.onWrite = () => outbox.close()
        turn(() => {
          outbox.push(packet(100))
          stable(outbox, packet(bytes))
        })
        expect([socket.writes.length, pool.out.size, outbox.isEmpty]).toEqual([1, 0, true])
      })
    }
  })

  test("packets with something between them are not", () => {
    const { socket, outbox, turn } = setup()
    const chunk = Buffer.from("one two three ")
    turn(() => {
      outbox.pushStable(new StablePacket(chunk, 0, 4))
      outbox.pushStable(new StablePacket(chunk, 8, 14))
      outbox.pushAck(0x40, 0x4142)
      outbox.pushStable(new StablePacket(chunk, 4, 8))
    })
    expect(socket.received.toString("latin1")).toBe("one three \x40\x02ABtwo ")
    expect(socket.writes).toHaveLength(1)
  })

  test("a piece as long as a large block is written there and then, and what follows is the next", () => {
    const { socket, pool, outbox, turn } = setup()
    const chunk = Buffer.alloc(3 * LARGE, 7)
    turn(() => {
      for (let at = 0; at < chunk.length; at += 1000)
        outbox.pushStable(new StablePacket(chunk, at, Math.min(at + 1000, chunk.length)))
      expect(socket.writes.map(({ start, end }) => [start, end])).toEqual([
        [0, 66_000],
        [66_000, 132_000],
      ])
    })
    expect(socket.received).toEqual(chunk)
    expect([socket.writes.length, pool.taken]).toEqual([3, []])
  })

  test("two packets and more are one write, from one small block that goes back", () => {
    const { socket, pool, outbox, turn } = setup()
    turn(() => {
      outbox.pushStable(new StablePacket(hex("ff 30 01 61 ff"), 1, 4))
      outbox.pushAck(0x40, 0x1234)
      outbox.push(hex("d0 00"))
      outbox.pushWithId(hex("ff 32 05 0001 61 0000 ff"), 1, 8, 6, 0xabcd)
      const at = outbox.reserve(2)
      outbox.block!.set(hex("e0 00"), at)
    })
    expect(socket.received).toEqual(hex("300161 40021234 d000 3205000161abcd e000"))
    expect([socket.writes.length, pool.taken, pool.out.size]).toEqual([1, [SMALL], 0])
  })

  test("outside of one, what is pushed together is written together", async () => {
    const { socket, outbox } = setup()
    outbox.push(hex("d000"))
    outbox.push(hex("d000"))
    expect(socket.writes).toHaveLength(0)
    await Promise.resolve()
    expect([socket.writes.length, socket.received]).toEqual([1, hex("d000d000")])
  })

  test("with nothing to say writes nothing", () => {
    const { socket, outbox, turn } = setup()
    turn(() => {})
    outbox.flush()
    expect([outbox.drain(), socket.writes]).toEqual([true, []])
  })

  test("many packets move to a large block and keep their order; a full block is written there and then", () => {
    const { socket, pool, outbox, turn } = setup()
    const packets = Array.from({ length: 300 }, (_, index) => packet(500, index))
    turn(() => {
      for (const each of packets) outbox.push(each)
      expect(socket.writes).toHaveLength(2)
    })
    expect(socket.received).toEqual(Buffer.concat(packets))
    expect([socket.writes.length, pool.taken, pool.out.size]).toEqual([3, [SMALL, LARGE, LARGE, LARGE], 0])
  })

  const sizes = [1, SMALL - 1, SMALL, SMALL + 1, LARGE - 1, LARGE, LARGE + 1, 200_000]
  for (const first of sizes)
    for (const second of sizes)
      test(`a packet of ${first} bytes and one of ${second}, then a small one`, () => {
        for (const push of [copied, stable]) {
          const { socket, pool, outbox, turn } = setup()
          turn(() => {
            push(outbox, packet(first, 1))
            push(outbox, packet(second, 2))
            push(outbox, packet(3, 3))
          })
          expect(socket.received.equals(Buffer.concat([packet(first, 1), packet(second, 2), packet(3, 3)]))).toBe(true)
          expect(pool.out.size).toBe(0)
        }
      })

  test("ends the promise on a stable packet: afterwards its bytes may change", () => {
    const { socket, outbox, turn } = setup()
    const bytes = packet(100, 1)
    socket.capacity = 10
    turn(() => outbox.pushStable(new StablePacket(bytes)))
    bytes.fill(9)
    socket.capacity = Number.POSITIVE_INFINITY
    expect(outbox.drain()).toBe(true)
    expect(socket.received).toEqual(packet(100, 1))
  })
})

describe("a socket that does not take everything", () => {
  test("is not written to again before it drains; then the rest goes first", () => {
    const { socket, pool, outbox, turn, metrics } = setup()
    socket.capacity = 5
    turn(() => outbox.pushStable(new StablePacket(packet(8, 1))))
    turn(() => outbox.pushStable(new StablePacket(packet(8, 2))))
    turn(() => outbox.push(packet(8, 3)))
    expect([socket.writes.length, outbox.backlogBytes, outbox.packets, outbox.isEmpty]).toEqual([1, 19, 3, false])
    expect([metrics.bytesSent, pool.out.size]).toEqual([5, 0])
    socket.capacity = 10
    expect([outbox.drain(), outbox.backlogBytes]).toEqual([false, 9])
    socket.capacity = 9
    expect([outbox.drain(), outbox.backlogBytes, outbox.packets, outbox.isEmpty]).toEqual([true, 0, 0, true])
    expect(socket.received).toEqual(Buffer.concat([packet(8, 1), packet(8, 2), packet(8, 3)]))
    expect(metrics.bytesSent).toBe(24)
  })

  for (const capacity of [0, -1])
    test(`a write that gives ${capacity} has taken nothing`, () => {
      const { socket, outbox, turn, metrics } = setup()
      socket.capacity = capacity
      turn(() => outbox.pushStable(new StablePacket(packet(8))))
      expect([outbox.drain(), outbox.backlogBytes, metrics.bytesSent]).toEqual([false, 8, 0])
      socket.capacity = 8
      expect([outbox.drain(), socket.received]).toEqual([true, packet(8)])
    })

  test("what comes while it drains, in the same turn, follows behind", () => {
    const { socket, outbox, turn } = setup()
    socket.capacity = 0
    turn(() => outbox.push(packet(3, 1)))
    socket.capacity = 4
    turn(() => {
      outbox.push(packet(3, 2))
      expect(outbox.drain()).toBe(false)
      outbox.push(packet(3, 3))
    })
    socket.capacity = 100
    expect(outbox.drain()).toBe(true)
    expect(socket.received).toEqual(Buffer.concat([packet(3, 1), packet(3, 2), packet(3, 3)]))
  })

  test("is writable while less waits than the bound", () => {
    const { socket, outbox, turn } = setup(2048)
    socket.capacity = 0
    turn(() => outbox.push(packet(2047)))
    expect([outbox.isWritable, outbox.backlogBytes]).toEqual([true, 2047])
    turn(() => outbox.push(packet(1)))
    expect([outbox.isWritable, outbox.backlogBytes]).toEqual([false, 2048])
    socket.capacity = 1
    outbox.drain()
    expect(outbox.isWritable).toBe(true)
  })

  test("a backlog of many small packets is a few large pieces: memory as its bytes, and few writes", () => {
    const { socket, outbox, turn } = setup()
    const pieces = () => (outbox as unknown as { unwritten: Buffer[] }).unwritten
    socket.capacity = 0
    for (let i = 0; i < 20_000; i++) turn(() => outbox.pushStable(new StablePacket(packet(40, i))))
    const held = pieces().reduce((sum, { length }) => sum + length, 0)
    expect([outbox.backlogBytes, held < outbox.backlogBytes + LARGE]).toEqual([800_000, true])
    socket.capacity = Number.POSITIVE_INFINITY
    const before = socket.writes.length
    expect(outbox.drain()).toBe(true)
    expect(socket.writes.length - before).toBeLessThanOrEqual(800_000 / LARGE + 2)
    expect(socket.received.equals(Buffer.concat(Array.from({ length: 20_000 }, (_, i) => packet(40, i))))).toBe(true)
    expect(pieces()).toHaveLength(0)
  })
})

describe("a socket that has gone", () => {
  test("gets nothing more, and everything is let go", () => {
    const { socket, pool, outbox, turn } = setup()
    socket.capacity = 0
    turn(() => outbox.push(packet(10)))
    turn(() => {
      outbox.push(packet(10))
      outbox.close()
      expect([pool.out.size, outbox.backlogBytes, outbox.isEmpty]).toEqual([0, 0, true])
    })
    const { length } = socket.writes
    socket.capacity = 100
    turn(() => outbox.pushStable(new StablePacket(packet(10))))
    turn(() => outbox.push(packet(70_000)))
    outbox.drain()
    expect([socket.writes.length, pool.out.size, outbox.backlogBytes]).toEqual([length, 0, 0])
  })

  for (const size of [10, 5000, 70_000])
    test(`in the middle of a write of ${size} bytes, or of a drain: nothing is kept, no block is lost`, () => {
      for (const push of [copied, stable]) {
        const { socket, pool, outbox, turn } = setup()
        socket.capacity = 4
        socket.onWrite = () => outbox.close()
        turn(() => {
          push(outbox, packet(size))
          push(outbox, packet(LARGE))
        })
        expect([pool.out.size, outbox.backlogBytes]).toEqual([0, 0])
        const draining = setup()
        draining.socket.capacity = 0
        draining.turn(() => push(draining.outbox, packet(size)))
        draining.socket.capacity = 4
        draining.socket.onWrite = () => draining.outbox.close()
        draining.outbox.drain()
        expect([draining.pool.out.size, draining.outbox.backlogBytes]).toEqual([0, 0])
      }
    })
})

describe("the pool", () => {
  test("gives a block again that came back, of the right size", () => {
    const pool = new BlockPool()
    const [small, large] = [pool.take(1), pool.take(SMALL + 1)]
    expect([small.length, large.length, pool.take(LARGE + 1).length]).toEqual([SMALL, LARGE, LARGE + 1])
    pool.give(small)
    pool.give(large)
    expect([pool.take(SMALL) === small, pool.take(LARGE) === large]).toEqual([true, true])
    expect([pool.take(SMALL) === small, pool.take(LARGE) === large]).toEqual([false, false])
  })

  test("keeps no block of another size, and not too many of its own", () => {
    const pool = new BlockPool()
    const odd = pool.take(LARGE + 1)
    pool.give(odd)
    expect(pool.take(LARGE + 1)).not.toBe(odd)
    const blocks = Array.from({ length: 200 }, () => pool.take(LARGE))
    for (const block of blocks) pool.give(block)
    const again = Array.from({ length: 200 }, () => pool.take(LARGE))
    expect(again.filter((block) => blocks.includes(block)).length).toBe(128) // 8 MiB of them
  })
})

describe("whatever happens in whatever order, every socket gets its bytes, and a block has one owner", () => {
  for (let seed = 1; seed <= 20; seed++)
    test(`run ${seed}`, () => {
      const random = new Random(seed)
      const pool = new WatchedPool()
      const turn = new Turn()
      const limits = resolveLimits({})
      const peers = Array.from({ length: 5 }, () => {
        const socket = new FakeSocket()
        const metrics = new Metrics()
        return {
          socket,
          metrics,
          outbox: new Outbox(socket, { turn, metrics, limits }, pool),
          expected: [] as Buffer[],
        }
      })
      for (let round = 0; round < 200; round++) {
        const stable: Buffer[] = []
        turn.begin()
        for (let steps = random.below(30); steps > 0; steps--) {
          const { socket, outbox, expected } = random.pick(peers)
          const bytes = random.bytes(random.pick([2, 2, 9, 40, 40, 300, 3000, 5000]))
          if (random.chance(0.02)) bytes.copy((stable[stable.length] = Buffer.alloc(random.pick([65_000, 80_000]))))
          const kind = random.below(7)
          if (kind === 0) {
            const large = stable.at(-1) ?? bytes
            outbox.pushStable(new StablePacket(large))
            expected.push(Buffer.from(large))
          } else if (kind === 1) {
            stable.push(bytes)
            outbox.pushStable(new StablePacket(bytes))
            expected.push(Buffer.from(bytes))
          } else if (kind === 2) {
            outbox.push(bytes)
            expected.push(Buffer.from(bytes))
            bytes.fill(0)
          } else if (kind === 3) {
            outbox.pushAck(0x40, 0x0102)
            expected.push(hex("40020102"))
          } else if (kind === 4) {
            const at = outbox.reserve(bytes.length)
            outbox.block!.set(bytes, at)
            expected.push(bytes)
          } else if (kind === 5) {
            stable.push(bytes)
            let start = 0
            for (let end = 1; end <= bytes.length; start = end, end += 1 + random.below(500)) {
              if (random.chance(0.1)) continue // one that this socket does not get
              outbox.pushStable(new StablePacket(bytes, start, end))
              expected.push(Buffer.from(bytes.subarray(start, end)))
            }
          } else {
            socket.capacity = random.pick([0, -1, 1, 100, 10_000, Number.POSITIVE_INFINITY])
            if (random.chance(0.5)) outbox.drain()
          }
        }
        turn.end()
        for (const bytes of stable) bytes.fill(0xee)
        expect(pool.out.size).toBe(0) // nobody owns a block between turns
      }
      for (const { socket, outbox, expected, metrics } of peers) {
        const sent = Buffer.concat(expected)
        expect(outbox.backlogBytes).toBe(sent.length - socket.received.length)
        socket.capacity = Number.POSITIVE_INFINITY
        expect(outbox.drain()).toBe(true)
        expect(socket.received.equals(sent)).toBe(true)
        expect([metrics.bytesSent, outbox.packets]).toEqual([sent.length, 0])
      }
    })
})

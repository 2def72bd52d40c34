/** Bytes to packets: however a stream is cut, the same packets come out of it. */
import { describe, expect, test } from "bun:test"
import { Framer, LARGEST_PACKET_BYTES, putVarint, Reason } from "../../src/codec/index.ts"
import { hex, Random } from "../support/bytes.ts"

interface Inside {
  gathered: Buffer | undefined
  chunk: Buffer
}

const inside = (framer: Framer) => framer as unknown as Inside

/** A packet of any type with that many bytes behind its fixed header. */
function packetOf(bodyBytes: number, random: Random): Buffer {
  const header = Buffer.alloc(5)
  header[0] = random.below(256)
  const end = putVarint(header, 1, bodyBytes)
  return Buffer.concat([header.subarray(0, end), random.bytes(bodyBytes)])
}

interface Framed {
  packet: Buffer
  headerBytes: number
}

/** Pushes the chunks one by one; takes what is whole after each, without copying it. */
function frame(chunks: Iterable<Buffer>, framer = new Framer(LARGEST_PACKET_BYTES)): Framed[] {
  const framed: Framed[] = []
  for (const chunk of chunks) {
    framer.push(chunk)
    while (framer.next()) {
      const { bytes, start, body, end } = framer
      framed.push({ packet: bytes.subarray(start, end), headerBytes: body - start })
    }
    framer.release()
  }
  return framed
}

function* cut(stream: Buffer, next: () => number): Generator<Buffer> {
  for (let at = 0; at < stream.length; ) {
    const length = next()
    yield Buffer.from(stream.subarray(at, at + length))
    at += length
  }
}

describe("one chunk, any cut, or byte by byte give the same packets", () => {
  const sizes = [0, 1, 2, 3, 60, 125, 126, 127, 128, 129, 250, 252, 253, 254, 255, 256, 257, 300, 16_383, 16_384]
  const large = [65_533, 65_536, 70_000, 100_000]
  for (let seed = 1; seed <= 12; seed++)
    test(`stream ${seed}`, () => {
      const random = new Random(seed)
      const packets = Array.from({ length: 30 }, () => packetOf(random.pick(sizes), random))
      if (seed % 3 === 0) packets.splice(random.below(packets.length), 0, packetOf(random.pick(large), random))
      const stream = Buffer.concat(packets)
      const headerBytes = (length: number) => (length < 130 ? 2 : length < 16_387 ? 3 : 4)
      const expected = packets.map((packet) => ({ packet, headerBytes: headerBytes(packet.length) }))
      expect(frame([stream])).toEqual(expected)
      expect(frame(cut(stream, () => 1))).toEqual(expected)
      for (const most of [3, 100, 5000, 100_000]) {
        expect(frame(cut(stream, () => random.between(1, most)))).toEqual(expected)
      }
    })

  test("cut in two at every byte", () => {
    const random = new Random(99)
    const packets = [0, 1, 130, 0, 127, 128, 2].map((size) => packetOf(size, random))
    const stream = Buffer.concat(packets)
    for (let at = 1; at < stream.length; at++) {
      const chunks = [Buffer.from(stream.subarray(0, at)), Buffer.from(stream.subarray(at))]
      expect(frame(chunks).map(({ packet }) => packet)).toEqual(packets)
    }
  })

  test("chunks that come while nobody reads are kept, in order", () => {
    const random = new Random(7)
    const packets = Array.from({ length: 50 }, () => packetOf(random.below(300), random))
    const framer = new Framer(LARGEST_PACKET_BYTES)
    const read: Buffer[] = []
    for (const chunk of cut(Buffer.concat(packets), () => random.between(1, 200))) {
      framer.push(chunk)
      if (random.chance(0.5)) continue
      for (let most = random.below(4); most > 0 && framer.next(); most--) {
        read.push(Buffer.from(framer.bytes.subarray(framer.start, framer.end)))
      }
      framer.release()
    }
    while (framer.next()) read.push(Buffer.from(framer.bytes.subarray(framer.start, framer.end)))
    expect(read).toEqual(packets)
    expect(framer.hasPending).toBe(false)
  })
})

describe("memory", () => {
  test("a packet that lies whole in its chunk is not copied", () => {
    const random = new Random(3)
    const chunk = Buffer.concat([packetOf(10, random), packetOf(200, random)])
    const framer = new Framer(LARGEST_PACKET_BYTES)
    framer.push(chunk)
    expect([framer.next(), framer.bytes === chunk, framer.next(), framer.bytes === chunk]).toEqual(Array(4).fill(true))
  })

  test("a peer that announces 256 MiB and sends nothing costs nothing", () => {
    const framer = new Framer(LARGEST_PACKET_BYTES)
    framer.push(hex("30 ffffff7f"))
    expect(framer.next()).toBe(false)
    expect(inside(framer).gathered!.length).toBe(256)
  })

  test("the gathered packet never grows ahead of twice what has come, and is copied a few times only", () => {
    const framer = new Framer(LARGEST_PACKET_BYTES)
    framer.push(hex("30 ffffff7f"))
    let received = 5
    let buffers = 0
    let last: Buffer | undefined
    while (received < 4_000_000) {
      framer.push(Buffer.alloc(1000))
      received += 1000
      expect(framer.next()).toBe(false)
      const { gathered } = inside(framer)
      if (gathered!.length > Math.max(256, received * 2)) expect(gathered!.length).toBeLessThanOrEqual(received * 2)
      if (gathered !== last) buffers++
      last = gathered
    }
    expect(buffers).toBeLessThanOrEqual(Math.ceil(Math.log2(4_000_000 / 256)) + 1)
  })

  test("it never grows beyond the packet", () => {
    const framer = new Framer(LARGEST_PACKET_BYTES)
    framer.push(Buffer.concat([hex("30 e807"), Buffer.alloc(600)])) // 1,000 bytes announced
    framer.next()
    framer.push(Buffer.alloc(399))
    framer.next()
    expect(inside(framer).gathered!.length).toBe(1003)
    framer.push(Buffer.alloc(1))
    expect([framer.next(), framer.end, inside(framer).gathered]).toEqual([true, 1003, undefined])
  })

  test("an idle connection holds on to no chunk", () => {
    const framer = new Framer(LARGEST_PACKET_BYTES)
    framer.push(hex("c000 c000"))
    framer.next()
    framer.release()
    expect(framer.hasPending).toBe(true)
    framer.next()
    framer.release()
    expect([inside(framer).chunk.length, framer.bytes.length, framer.hasPending]).toEqual([0, 0, false])
  })
})

describe("a stream that cannot be read on says why, however it is cut", () => {
  const table: [name: string, bytes: string, reason: Reason][] = [
    ["a length of five bytes", "30 ffffffff 01", Reason.MalformedPacket],
    ["a length of four bytes that go on", "30 80808080", Reason.MalformedPacket],
    ["[MQTT-1.5.5-1] a length of two bytes where one would do", "c0 8000", Reason.MalformedPacket],
    ["[MQTT-1.5.5-1] a length of four bytes where three would do", "30 ffff8000", Reason.MalformedPacket],
    ["a packet larger than allowed", "30 63", Reason.PacketTooLarge],
    ["a packet much larger than allowed", "30 ffffff7f", Reason.PacketTooLarge],
  ]
  for (const [name, bytes, reason] of table)
    for (const before of ["", "c000"])
      for (const size of [1, 2, 100])
        test(`${name}${before && ", behind another"}, ${size} at a time`, () => {
          const framer = new Framer(100)
          const framed = frame(
            cut(hex(before + bytes), () => size),
            framer,
          )
          expect([framed.length, framer.reason]).toEqual([before ? 1 : 0, reason])
        })

  test("a packet exactly as large as allowed is none of these", () => {
    for (const size of [1, 2, 100]) {
      const framer = new Framer(100)
      const framed = frame(
        cut(Buffer.concat([hex("30 62"), Buffer.alloc(98)]), () => size),
        framer,
      )
      expect([framed.length, framer.reason]).toEqual([1, Reason.Success])
    }
  })
})

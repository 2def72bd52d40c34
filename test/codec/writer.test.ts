/** The writer: its header, its blocks, and the buffer that grows and is let go. */
import { describe, expect, test } from "bun:test"
import { putVarint, Reader, varintBytes, Writer } from "../../src/codec/index.ts"
import { hex, Random } from "../support/bytes.ts"

const capacity = (writer: Writer) => (writer as unknown as { bytes: Buffer }).bytes.length

describe("[MQTT-1.5.5-1] a Variable Byte Integer takes the fewest bytes", () => {
  const table: [value: number, bytes: string][] = [
    [0, "00"],
    [127, "7f"],
    [128, "8001"],
    [16_383, "ff7f"],
    [16_384, "808001"],
    [2_097_151, "ffff7f"],
    [2_097_152, "80808001"],
    [268_435_455, "ffffff7f"],
  ]
  for (const [value, bytes] of table)
    test(`${value} is ${bytes}`, () => {
      const into = Buffer.alloc(4)
      const end = putVarint(into, 0, value)
      expect(into.subarray(0, end)).toEqual(hex(bytes))
      expect(varintBytes(value)).toBe(end as 1)
      expect(new Reader().reset(into, 0, end).varint()).toBe(value)
    })

  test("and is read in no other form, nor from less than all of it", () => {
    for (const bytes of ["8000", "ff00", "808000", "80808000", "80808080", "8080808001", "80", "ffff", "ffffff", ""]) {
      const reader = new Reader().reset(hex(bytes), 0, hex(bytes).length)
      reader.varint()
      expect([bytes, reader.failed]).toEqual([bytes, true])
    }
  })
})

describe("a packet", () => {
  test("is its fixed header and what was written, at every border of the length", () => {
    const writer = new Writer()
    const random = new Random(1)
    for (const length of [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152]) {
      const body = random.bytes(length)
      writer.begin(3, 5)
      writer.raw(body)
      const packet = writer.finish()
      const header = Buffer.alloc(5)
      header[0] = 0x35
      expect(packet.equals(Buffer.concat([header.subarray(0, putVarint(header, 1, length)), body]))).toBe(true)
    }
  })

  test("holds every kind of field", () => {
    const writer = new Writer().begin(8, 2)
    writer.u8(0xff)
    writer.u16(0x0102)
    writer.u32(0xfffefdfc)
    writer.varint(16_384)
    writer.text("é😀")
    writer.binary(hex("00ff"))
    writer.raw(hex("aabb"))
    expect(writer.finish()).toEqual(hex("82 18 ff 0102 fffefdfc 808001 0006 c3a9 f09f9880 0002 00ff aabb"))
  })

  test("what is written is read again, wherever the buffer has to grow", () => {
    const random = new Random(5)
    for (let start = 4060; start < 4100; start++) {
      const writer = new Writer().begin(0)
      writer.raw(Buffer.alloc(start))
      const text = random.text(10)
      const binary = random.bytes(random.below(5000))
      writer.text(text)
      const block = writer.beginBlock()
      writer.u32(7)
      writer.binary(binary)
      writer.endBlock(block)
      const packet = writer.finish()
      const reader = new Reader().reset(packet, 3 + start, packet.length)
      expect([reader.text(), reader.varint(), reader.u32(), reader.binary()]).toEqual([
        text,
        6 + binary.length,
        7,
        binary,
      ])
      expect([reader.failed, reader.rest]).toEqual([false, 0])
    }
  })

  test("a block within a block has its own length", () => {
    const writer = new Writer().begin(1)
    const outer = writer.beginBlock()
    writer.u8(1)
    const inner = writer.beginBlock()
    writer.raw(Buffer.alloc(200, 2))
    writer.endBlock(inner)
    writer.endBlock(outer)
    expect(writer.finish()).toEqual(Buffer.concat([hex("10 cd01 cb01 01 c801"), Buffer.alloc(200, 2)]))
  })
})

describe("the buffer", () => {
  test("grows with a large packet and stays for the next", () => {
    const writer = new Writer()
    expect(capacity(writer)).toBe(4096)
    writer.begin(3).raw(Buffer.alloc(100_000))
    writer.finish()
    const grown = capacity(writer)
    writer.begin(3).u8(1)
    expect([grown >= 100_000, capacity(writer)]).toEqual([true, grown])
  })

  test("doubles, so that many small fields are copied a few times only", () => {
    const writer = new Writer().begin(3)
    const capacities = new Set<number>()
    for (let i = 0; i < 500_000; i++) {
      writer.u8(i)
      capacities.add(capacity(writer))
    }
    expect(capacities.size).toBeLessThanOrEqual(8)
    expect(writer.finish().length).toBe(500_004)
  })

  test("of an exceptional packet is let go when the next one begins", () => {
    const writer = new Writer()
    writer.begin(3).raw(Buffer.alloc(3_000_000, 7))
    const packet = writer.finish()
    writer.begin(4).u16(1)
    expect(capacity(writer)).toBe(4096)
    expect(writer.finish()).toEqual(hex("40 02 0001"))
    expect(packet.at(-1)).toBe(7)
  })
})

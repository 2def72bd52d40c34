/** Packets cut short, altered or made up: never an exception, never a byte read beyond the packet. */
import { describe, expect, test } from "bun:test"
import { Framer, PacketType, type ProtocolLevel, Publish, Reason } from "../../src/codec/index.ts"
import { hex, Random, textHex } from "../support/bytes.ts"
import { type Fields, readPlace } from "./read.ts"

/** Good packets of every type that a client sends; the more fields, the better. */
const samples: Record<ProtocolLevel, string[]> = {
  3: [
    `10 20 ${textHex("MQIsdp")} 03 ee 003c ${textHex("id")} ${textHex("w")} 0002 6869 ${textHex("u")} 0004 70617373`,
    "32 09 0003 612f62 1234 6869",
    "62 02 1234",
    `82 0d 0001 ${textHex("a/+")} 00 ${textHex("#")} 02`,
    "a2 08 0001 0001 61 0001 23",
    "e0 00",
  ],
  4: [
    `10 1e ${textHex("MQTT")} 04 ee 003c ${textHex("id")} ${textHex("w")} 0002 6869 ${textHex("u")} 0004 70617373`,
    "3d 0b 0005 612fe282ac 1234 6869",
    "30 07 0003 612f62 6869",
    "40 02 1234",
    "50 02 1234",
    "62 02 1234",
    "70 02 1234",
    `82 0d 0001 ${textHex("a/+")} 00 ${textHex("#")} 02`,
    "a2 08 0001 0001 61 0001 23",
    "c0 00",
    "e0 00",
  ],
  5: [
    `10 5b ${textHex("MQTT")} 05 ee 003c 1c 11 0000000a 21 0010 27 00010000 22 0007 19 01 17 00 26 ${textHex("k")} ${textHex("é")}
     ${textHex("id")} 1e 18 00000005 01 01 02 ffffffff 03 ${textHex("t")} 08 ${textHex("r")} 09 0001 07 26 ${textHex("a")} 0000
     ${textHex("w")} 0002 6869 ${textHex("u")} 0002 7077`,
    `32 28 0003 612f62 1234 1e 01 01 02 01020304 03 ${textHex("t")} 08 ${textHex("r")} 09 0002 00ff 23 0007 26 ${textHex("a")} ${textHex("1")} 0002`,
    "40 08 1234 97 04 1f 0001 78",
    "50 12 1234 97 0e 26 0001 61 0001 62 26 0001 61 0001 62",
    "62 08 1234 92 04 1f 0001 78",
    "70 04 1234 92 00",
    `82 1a 0001 0c 0b ffffff7f 26 ${textHex("a")} ${textHex("b")} ${textHex("a")} 1d ${textHex("$x")} 2a`,
    "a2 0d 0001 07 26 0001 61 0001 62 0001 61",
    `e0 12 00 10 11 0000003c 1f ${textHex("x")} 26 ${textHex("a")} ${textHex("b")}`,
    `f0 14 18 12 15 ${textHex("m")} 16 0002 ffff 1f ${textHex("?")} 26 0000 0000`,
    "c0 00",
  ],
}

interface Sample {
  level: ProtocolLevel
  header: number
  body: Buffer
}

function parts(text: string, level: ProtocolLevel): Sample {
  const bytes = hex(text)
  return { level, header: bytes[0]!, body: Buffer.from(bytes.subarray(2)) }
}

const all = ([3, 4, 5] as const).flatMap((level) => samples[level].map((text) => parts(text, level)))

/**
 * Reads the body between other bytes, twice, with different ones: what lies outside the packet must not show in what is
 * read, and the memory ends with the packet once, so that a read beyond would be undefined.
 */
function readBetween({ level, header }: Sample, body: Buffer): Fields {
  const around = (filler: number) => {
    const bytes = Buffer.concat([Buffer.alloc(3, filler), Buffer.from([header]), body, Buffer.alloc(20, filler)])
    return readPlace({ bytes, start: 3, body: 4, end: 4 + body.length }, level)
  }
  const exact = Buffer.concat([Buffer.from([header]), body])
  const alone = readPlace({ bytes: exact, start: 0, body: 1, end: exact.length }, level)
  expect([around(0x00), around(0x41), around(0xff)]).toEqual([alone, alone, alone])
  return alone
}

test("the samples are good packets, to their last byte", () => {
  for (const sample of all) {
    const fields = readBetween(sample, sample.body)
    expect([sample.level, sample.header, sample.body.toString("hex"), typeof fields]).toEqual([
      sample.level,
      sample.header,
      sample.body.toString("hex"),
      "object",
    ])
  }
})

describe("a packet cut short", () => {
  for (const level of [3, 4, 5] as const)
    test(`level ${level}: at any byte, is malformed or means what it then says`, () => {
      for (const sample of all.filter((each) => each.level === level)) {
        const type = sample.header >> 4
        for (let length = 0; length < sample.body.length; length++) {
          const fields = readBetween(sample, sample.body.subarray(0, length))
          if (type === PacketType.CONNECT && level !== 3) expect(fields).toBeString()
          if (type === PacketType.SUBSCRIBE || type === PacketType.UNSUBSCRIBE) {
            const { requests, topicFilters } = fields as Record<string, unknown[]>
            expect((requests ?? topicFilters ?? ["failed"]).length).toBeGreaterThan(0)
          }
        }
      }
    })
})

describe("a packet with bytes altered, put in or taken out", () => {
  for (const level of [3, 4, 5] as const)
    for (const seed of [1, 2])
      test(`level ${level}, run ${seed}`, () => {
        const random = new Random(seed * 10 + level)
        const own = all.filter((each) => each.level === level)
        let failures = 0
        for (let i = 0; i < 4000; i++) {
          const sample = random.pick(own)
          let body = Buffer.from(sample.body)
          for (let changes = random.between(1, 3); changes > 0 && body.length > 0; changes--) {
            const at = random.below(body.length)
            const kind = random.below(3)
            if (kind === 0) body[at] = random.pick([0, 1, 2, 0x7f, 0x80, 0xff, random.below(256)])
            else if (kind === 1) body = Buffer.concat([body.subarray(0, at), random.bytes(1), body.subarray(at)])
            else body = Buffer.concat([body.subarray(0, at), body.subarray(at + 1)])
          }
          const header = random.chance(0.1) ? random.below(256) : sample.header
          if (typeof readBetween({ ...sample, header }, body) === "string") failures++
        }
        expect(failures).toBeGreaterThan(500)
      })
})

test("random bytes in the place of a body", () => {
  const random = new Random(77)
  for (let i = 0; i < 20_000; i++) {
    const level = random.pick([3, 4, 5] as const)
    const header = (random.between(1, 15) << 4) | random.below(16)
    readBetween({ level, header, body: Buffer.alloc(0) }, random.bytes(random.below(30)))
  }
})

describe("a stream of random bytes", () => {
  for (const seed of [1, 2, 3])
    test(`run ${seed}: packets that follow on one another without a gap, or a reason`, () => {
      const random = new Random(seed)
      for (let i = 0; i < 300; i++) {
        const framer = new Framer(random.pick([64, 1000, 100_000]))
        let pushed = 0
        let taken = 0
        while (framer.reason === Reason.Success && pushed < 5000) {
          const chunk = random.bytes(random.between(1, 400))
          pushed += chunk.length
          framer.push(chunk)
          while (framer.next()) {
            const { start, body, end, bytes } = framer
            expect(start < body && body <= end && end <= bytes.length).toBe(true)
            taken += end - start
            readPlace({ bytes, start, body, end }, 5)
          }
          expect(taken).toBeLessThanOrEqual(pushed)
        }
      }
    })
})

test("the fields of a good PUBLISH lie in the packet and do not overlap, whatever it is", () => {
  const random = new Random(4)
  const packet = new Publish()
  let good = 0
  for (let i = 0; i < 50_000; i++) {
    const bytes = random.bytes(random.between(1, 24))
    bytes[0] = 0x30 | (bytes[0]! & 0x0f)
    if (bytes.length > 3) bytes.set([0, random.below(4)], 1) // often a topic that fits
    if (random.chance(0.5) && bytes.length > 6) bytes.fill(0, 5, 7)
    const level = random.pick([4, 5] as const)
    if (packet.decode(bytes, 0, 1, bytes.length, level) !== Reason.Success) continue
    good++
    const { topicStart, topicEnd, propertiesStart, propertiesEnd, payloadStart, end } = packet
    const order = [1, topicStart, topicEnd, propertiesStart, propertiesEnd, payloadStart, end]
    expect(order).toEqual(order.toSorted((a, b) => a - b))
    expect(packet.forwardable().length).toBeLessThanOrEqual(propertiesEnd - propertiesStart)
  }
  expect(good).toBeGreaterThan(2000)
})

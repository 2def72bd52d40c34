/** PUBACK, PUBREC, PUBREL, PUBCOMP and DISCONNECT, read and written. */
import { describe, expect, test } from "bun:test"
import {
  type AckType,
  encodeAck,
  encodeDisconnect,
  PacketType,
  type Properties,
  type ProtocolLevel,
  Reason,
  Writer,
} from "../../src/codec/index.ts"
import { hex, textHex } from "../support/bytes.ts"
import { type Fields, readPacket } from "./read.ts"

const writer = new Writer()
const acks = [
  ["PUBACK", "40"],
  ["PUBREC", "50"],
  ["PUBREL", "62"],
  ["PUBCOMP", "70"],
] as const

for (const [name, first] of acks) {
  describe(`${name}, as read`, () => {
    for (const level of [3, 4] as const) {
      const table: [name: string, bytes: string, packet: Fields][] = [
        ["a packet id", "02 1234", { packetId: 0x1234, reason: 0 }],
        ["packet id 0", "02 0000", "0x82 ProtocolError"],
        ["half a packet id", "01 12", "0x81 MalformedPacket"],
        ["nothing", "00", "0x81 MalformedPacket"],
        ["a reason, which this level does not know", "03 1234 00", "0x81 MalformedPacket"],
      ]
      for (const [what, bytes, packet] of table)
        test(`level ${level}: ${what}`, () => expect(readPacket(hex(first + bytes), level)).toEqual(packet))
    }
    const reason = name === "PUBACK" || name === "PUBREC" ? "97" : "92"
    const packet = { packetId: 0x1234, reason: Number.parseInt(reason, 16) }
    const table: [name: string, bytes: string, packet: Fields][] = [
      ["a packet id", "02 1234", { packetId: 0x1234, reason: 0 }],
      ["a reason", `03 1234 ${reason}`, packet],
      ["a reason and no properties", `04 1234 ${reason} 00`, packet],
      ["a reason string", `08 1234 ${reason} 04 1f 0001 78`, packet],
      ["user properties", `12 1234 ${reason} 0e 26 0001 61 0001 62 26 0001 61 0001 62`, packet],
      ["packet id 0", "03 0000 00", "0x82 ProtocolError"],
      ["a reason of another packet", "03 1234 01", "0x82 ProtocolError"],
      ["a reason that does not exist", "03 1234 fe", "0x82 ProtocolError"],
      ["two reason strings", `0c 1234 ${reason} 08 1f 0001 78 1f 0001 78`, "0x82 ProtocolError"],
      ["a property of another packet", `07 1234 ${reason} 03 23 0001`, "0x81 MalformedPacket"],
      ["properties cut short", `05 1234 ${reason} 04 1f`, "0x81 MalformedPacket"],
      ["bytes behind the properties", `05 1234 ${reason} 00 00`, "0x81 MalformedPacket"],
      ["half a packet id", "01 12", "0x81 MalformedPacket"],
    ]
    for (const [what, bytes, packet] of table)
      test(`level 5: ${what}`, () => expect(readPacket(hex(first + bytes), 5)).toEqual(packet))
  })

  describe(`${name}, as written`, () => {
    const type = PacketType[name] as AckType
    const table: [level: ProtocolLevel, reason: Reason, properties: Properties | undefined, bytes: string][] = [
      [3, Reason.Success, undefined, "02 0007"],
      [4, Reason.QuotaExceeded, { reasonString: "x" }, "02 0007"],
      [5, Reason.Success, undefined, "02 0007"],
      [5, Reason.QuotaExceeded, undefined, "03 0007 97"],
      [5, Reason.Success, { reasonString: "x" }, "08 0007 00 04 1f 0001 78"],
      [
        5,
        Reason.NotAuthorized,
        { reasonString: "x", userProperties: [["a", "b"]] },
        "0f 0007 87 0b 1f 0001 78 26 0001 61 0001 62",
      ],
    ]
    for (const [level, reason, properties, bytes] of table)
      test(`level ${level}, reason ${reason}, ${properties === undefined ? "no" : "with"} properties`, () => {
        expect(encodeAck(writer, type, level, 7, reason, properties)).toEqual(hex(first + bytes))
      })
  })
}

describe("the reasons that an acknowledgement may give are those of its table", () => {
  const publishReasons = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]
  const releaseReasons = [0x00, 0x92]
  const expected: Record<string, number[]> = {
    PUBACK: publishReasons,
    PUBREC: publishReasons,
    PUBREL: releaseReasons,
    PUBCOMP: releaseReasons,
  }
  for (const [name, first] of acks)
    test(name, () => {
      const accepted = Array.from({ length: 256 }, (_, code) => code).filter((code) => {
        const bytes = Buffer.concat([hex(`${first} 03 0001`), Buffer.from([code])])
        return typeof readPacket(bytes, 5) !== "string"
      })
      expect(accepted).toEqual(expected[name]!)
    })
})

describe("DISCONNECT, as read", () => {
  const success = { reason: 0, properties: {} }
  const table: [name: string, level: ProtocolLevel, bytes: string, packet: Fields][] = [
    ["empty", 3, "e0 00", success],
    ["empty", 4, "e0 00", success],
    ["a reason, which this level does not know", 4, "e0 01 00", "0x81 MalformedPacket"],
    ["empty", 5, "e0 00", success],
    ["a reason alone", 5, "e0 01 04", { reason: 4, properties: {} }],
    ["a reason and no properties", 5, "e0 02 81 00", { reason: 0x81, properties: {} }],
    [
      "every property that a client may send",
      5,
      `e0 12 00 10 11 0000003c 1f ${textHex("x")} 26 ${textHex("a")} ${textHex("b")}`,
      { reason: 0, properties: { sessionExpirySeconds: 60, reasonString: "x", userProperties: [["a", "b"]] } },
    ],
    ["a Server Reference, which only the broker sends", 5, `e0 06 9c 04 1c ${textHex("s")}`, "0x82 ProtocolError"],
    ["a reason below 0x80 that is none of this packet", 5, "e0 02 10 00", "0x82 ProtocolError"],
    ["a property of another packet", 5, "e0 05 00 03 21 0001", "0x81 MalformedPacket"],
    ["a property length cut short", 5, "e0 02 00 80", "0x81 MalformedPacket"],
    ["bytes behind the properties", 5, "e0 03 00 00 00", "0x81 MalformedPacket"],
  ]
  for (const [name, level, bytes, packet] of table)
    test(`level ${level}: ${name}`, () => expect(readPacket(hex(bytes), level)).toEqual(packet))
})

test("the reasons that a client's DISCONNECT may give are those of table 3-10", () => {
  const accepted = Array.from({ length: 256 }, (_, code) => code).filter(
    (code) => typeof readPacket(Buffer.from([0xe0, 1, code]), 5) !== "string",
  )
  expect(accepted).toEqual([0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99])
})

describe("DISCONNECT, as written", () => {
  const table: [reason: Reason, properties: Properties | undefined, bytes: string][] = [
    [Reason.ServerShuttingDown, undefined, "e0 01 8b"],
    [Reason.UseAnotherServer, { serverReference: "s", reasonString: "x" }, "e0 0a 9c 08 1c 0001 73 1f 0001 78"],
  ]
  for (const [reason, properties, bytes] of table)
    test(`reason ${reason}, ${properties === undefined ? "no" : "with"} properties`, () => {
      expect(encodeDisconnect(writer, reason, properties)).toEqual(hex(bytes))
    })
})

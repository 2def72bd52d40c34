/** Every property of MQTT 5: its bytes, its value, the packets that may carry it. §2.2.2.2, table 2-4 */
import { describe, expect, test } from "bun:test"
import {
  PacketType,
  type Properties,
  Publish,
  Reader,
  Reason,
  readProperties,
  WILL,
  Writer,
  writeProperties,
} from "../../src/codec/index.ts"
import { hex, textHex } from "../support/bytes.ts"

const { CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK } =
  PacketType
const { DISCONNECT, AUTH } = PacketType
const acks = [PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK]

interface Row {
  name: keyof Properties
  bytes: string
  value: unknown
  places: number[]
  /** Values that the specification calls a protocol error. */
  forbidden?: string[]
  mayRepeat?: true
}

const flag = (id: string) => [`${id} 02`, `${id} ff`]

const table: Row[] = [
  { name: "payloadFormatIndicator", bytes: "01 01", value: true, places: [PUBLISH, WILL], forbidden: flag("01") },
  { name: "messageExpirySeconds", bytes: "02 ffffffff", value: 0xffffffff, places: [PUBLISH, WILL] },
  { name: "contentType", bytes: `03 ${textHex("text/é")}`, value: "text/é", places: [PUBLISH, WILL] },
  { name: "responseTopic", bytes: `08 ${textHex("a/b")}`, value: "a/b", places: [PUBLISH, WILL] },
  { name: "correlationData", bytes: "09 0003 00ff80", value: hex("00ff80"), places: [PUBLISH, WILL] },
  {
    name: "subscriptionIdentifiers",
    bytes: "0b ffffff7f",
    value: [268_435_455],
    places: [PUBLISH, SUBSCRIBE],
    forbidden: ["0b 00"],
  },
  { name: "sessionExpirySeconds", bytes: "11 00000000", value: 0, places: [CONNECT, CONNACK, DISCONNECT] },
  { name: "assignedClientIdentifier", bytes: `12 ${textHex("x")}`, value: "x", places: [CONNACK] },
  { name: "serverKeepAliveSeconds", bytes: "13 ffff", value: 65_535, places: [CONNACK] },
  { name: "authenticationMethod", bytes: `15 ${textHex("m")}`, value: "m", places: [CONNECT, CONNACK, AUTH] },
  { name: "authenticationData", bytes: "16 0000", value: hex(""), places: [CONNECT, CONNACK, AUTH] },
  { name: "requestProblemInformation", bytes: "17 00", value: false, places: [CONNECT], forbidden: flag("17") },
  { name: "willDelaySeconds", bytes: "18 80000000", value: 0x80000000, places: [WILL] },
  { name: "requestResponseInformation", bytes: "19 01", value: true, places: [CONNECT], forbidden: flag("19") },
  { name: "responseInformation", bytes: `1a ${textHex("r")}`, value: "r", places: [CONNACK] },
  { name: "serverReference", bytes: `1c ${textHex("s")}`, value: "s", places: [CONNACK, DISCONNECT] },
  { name: "reasonString", bytes: `1f ${textHex("why")}`, value: "why", places: [CONNACK, ...acks, DISCONNECT, AUTH] },
  { name: "receiveMaximum", bytes: "21 0001", value: 1, places: [CONNECT, CONNACK], forbidden: ["21 0000"] },
  { name: "topicAliasMaximum", bytes: "22 0000", value: 0, places: [CONNECT, CONNACK] },
  { name: "topicAlias", bytes: "23 ffff", value: 65_535, places: [PUBLISH] },
  { name: "maximumQoS", bytes: "24 01", value: 1, places: [CONNACK] },
  { name: "retainAvailable", bytes: "25 00", value: false, places: [CONNACK], forbidden: flag("25") },
  {
    name: "userProperties",
    bytes: `26 ${textHex("k")} ${textHex("v")}`,
    value: [["k", "v"]],
    places: [CONNECT, CONNACK, PUBLISH, WILL, ...acks, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT, AUTH],
    mayRepeat: true,
  },
  {
    name: "maximumPacketBytes",
    bytes: "27 00000001",
    value: 1,
    places: [CONNECT, CONNACK],
    forbidden: ["27 00000000"],
  },
  { name: "wildcardSubscriptionAvailable", bytes: "28 00", value: false, places: [CONNACK], forbidden: flag("28") },
  { name: "subscriptionIdentifierAvailable", bytes: "29 01", value: true, places: [CONNACK], forbidden: flag("29") },
  { name: "sharedSubscriptionAvailable", bytes: "2a 00", value: false, places: [CONNACK], forbidden: flag("2a") },
]

/** Reads a block; its bytes end where the reader's do. */
function read(block: string, place: number): { reason: Reason; properties: Properties; rest: number } {
  const bytes = hex(block)
  const properties: Properties = {}
  const writer = new Writer().begin(0)
  writer.varint(bytes.length)
  writer.raw(bytes)
  const packet = writer.finish()
  const reader = new Reader().reset(packet, 2, packet.length)
  const reason = readProperties(reader, place as PacketType, properties)
  return { reason, properties, rest: reader.rest }
}

for (const { name, bytes, value, places, forbidden = [], mayRepeat } of table) {
  describe(name, () => {
    const place = places[0]!

    test("is read", () => {
      expect(read(bytes, place)).toEqual({ reason: Reason.Success, properties: { [name]: value }, rest: 0 })
    })

    test("is written", () => {
      const writer = new Writer().begin(0)
      writeProperties(writer, { [name]: value })
      expect(writer.finish().subarray(3)).toEqual(hex(bytes))
    })

    test("belongs to its packets and to no other", () => {
      for (let other = WILL; other <= AUTH; other++) {
        const expected = places.includes(other) ? Reason.Success : Reason.MalformedPacket
        expect([other, read(bytes, other).reason]).toEqual([other, expected])
      }
    })

    test("cut short at any byte is malformed", () => {
      const digits = bytes.replaceAll(" ", "")
      for (let length = 2; length < digits.length; length += 2) {
        expect(read(digits.slice(0, length), place).reason).toBe(Reason.MalformedPacket)
      }
    })

    test(mayRepeat ? "may stand more than once" : "may stand only once", () => {
      const once = places.find((each) => each !== PUBLISH || name !== "subscriptionIdentifiers")!
      expect(read(bytes + bytes, once).reason).toBe(mayRepeat ? Reason.Success : Reason.ProtocolError)
    })

    for (const each of forbidden)
      test(`cannot be ${each.slice(3)}`, () => expect(read(each, place).reason).toBe(Reason.ProtocolError))

    if (typeof value === "string" || name === "userProperties")
      for (const illFormed of ["0001 00", "0002 c328", "0003 eda080", "0001 ff"])
        test(`[MQTT-1.5.4-1] [MQTT-1.5.4-2] cannot hold ${illFormed.slice(5)}`, () => {
          const id = bytes.slice(0, 2)
          const blocks =
            name === "userProperties" ? [`${id} ${illFormed} 0000`, `${id} 0000 ${illFormed}`] : [id + illFormed] // [MQTT-1.5.7-1]
          for (const block of blocks) expect(read(block, place).reason).toBe(Reason.MalformedPacket)
        })

    test(`a PUBLISH ${places.includes(PUBLISH) ? "takes" : "refuses"} it`, () => {
      const block = hex(bytes)
      const body = Buffer.concat([hex("0001 61"), Buffer.from([block.length]), block])
      const expected =
        name === "subscriptionIdentifiers"
          ? Reason.ProtocolError // a client must not send it
          : places.includes(PUBLISH)
            ? Reason.Success
            : Reason.MalformedPacket
      expect(new Publish().decode(Buffer.concat([hex("30 00"), body]), 0, 2, body.length + 2, 5)).toBe(expected)
    })
  })
}

describe("a property block", () => {
  test("holds every identifier of the table and no other", () => {
    const known = table.map(({ bytes }) => Number.parseInt(bytes.slice(0, 2), 16))
    for (let id = 0; id < 128; id++) {
      if (known.includes(id)) continue
      const block = `${id.toString(16).padStart(2, "0")} 00000000`
      for (let place = WILL; place <= AUTH; place++) expect(read(block, place).reason).toBe(Reason.MalformedPacket)
    }
  })

  test("keeps user properties in their order, names repeated or not", () => {
    const pair = (name: string, value: string) => `26 ${textHex(name)} ${textHex(value)}`
    const block = [pair("b", "1"), pair("a", "2"), `1f ${textHex("x")}`, pair("b", "1"), pair("", "")].join("")
    expect(read(block, PUBACK).properties).toEqual({
      userProperties: [
        ["b", "1"],
        ["a", "2"],
        ["b", "1"],
        ["", ""],
      ],
      reasonString: "x",
    })
  })

  test("of a PUBLISH to a client holds a Subscription Identifier for each subscription", () => {
    expect(read("0b01 0b8001 0b01", PUBLISH).properties.subscriptionIdentifiers).toEqual([1, 128, 1])
  })

  test("ends where its length says, and what follows is left", () => {
    const reader = new Reader().reset(hex("03 21 0007 ffff"), 0, 6)
    const properties: Properties = {}
    expect(readProperties(reader, CONNECT, properties)).toBe(Reason.Success)
    expect([properties, reader.at, reader.rest]).toEqual([{ receiveMaximum: 7 }, 4, 2])
  })

  test("cannot reach beyond its length, nor beyond the packet", () => {
    for (const bytes of ["02 21 0007", "04 21 0007", "ffffffff7f", "ffffff", ""]) {
      const block = hex(bytes)
      expect(readProperties(new Reader().reset(block, 0, block.length), CONNECT, {})).toBe(Reason.MalformedPacket)
    }
  })

  test("[MQTT-2.2.2-1] without properties is a length of zero", () => {
    const absent = new Writer().begin(0)
    writeProperties(absent, undefined)
    const empty = new Writer().begin(0)
    writeProperties(empty, { reasonString: undefined } as unknown as Properties)
    expect([absent.finish(), empty.finish()]).toEqual([hex("00 01 00"), hex("00 01 00")])
  })

  test("[MQTT-1.5.5-1] is as long as its length says, written with the fewest bytes", () => {
    for (const length of [127, 128, 16_383, 16_384, 60_000]) {
      const writer = new Writer().begin(CONNACK)
      const properties = { reasonString: "x".repeat(length - 3) }
      writeProperties(writer, properties)
      const block = Buffer.from(writer.finish())
      const reader = new Reader().reset(block, 0, block.length)
      reader.u8()
      expect(reader.varint()).toBe(length + (length < 128 ? 1 : length < 16_384 ? 2 : 3))
      const readBack: Properties = {}
      expect(readProperties(reader, CONNACK, readBack)).toBe(Reason.Success)
      expect([readBack, reader.rest]).toEqual([properties, 0])
    }
  })
})

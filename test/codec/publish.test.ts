/** PUBLISH as it is read, as it is written, and what of it travels on. */
import { describe, expect, test } from "bun:test"
import {
  type OutgoingPublish,
  outgoingPublishBytes,
  type Properties,
  Publish,
  publishProperties,
  Reason,
  writePublish,
} from "../../src/codec/index.ts"
import { hex, textHex } from "../support/bytes.ts"
import { type Fields, readPacket } from "./read.ts"

const base = {
  dup: false,
  qos: 0,
  retain: false,
  packetId: 0,
  topic: "a/b",
  payload: Buffer.from("hi"),
  topicAlias: 0,
  messageExpirySeconds: -1,
  payloadIsText: false,
  properties: {},
}

describe("a PUBLISH of levels 3 and 4, byte for byte", () => {
  const table: [name: string, bytes: string, packet: Fields][] = [
    ["QoS 0", "30 07 0003 612f62 6869", base],
    [
      "QoS 0: no packet id is read, the payload begins behind the topic",
      "30 07 0003 612f62 0001",
      { ...base, payload: hex("0001") },
    ],
    ["retained, with no payload", "31 05 0003 612f62", { ...base, retain: true, payload: Buffer.alloc(0) }],
    ["QoS 1", "32 09 0003 612f62 1234 6869", { ...base, qos: 1, packetId: 0x1234 }],
    [
      "QoS 2, once more, retained",
      "3d 09 0003 612f62 ffff 6869",
      { ...base, dup: true, qos: 2, retain: true, packetId: 0xffff },
    ],
    ["QoS 3", "36 09 0003 612f62 0001 6869", "0x81 MalformedPacket"],
    ["DUP at QoS 0", "38 07 0003 612f62 6869", "0x81 MalformedPacket"],
    ["packet id 0", "32 09 0003 612f62 0000 6869", "0x82 ProtocolError"],
    ["empty", "30 00", "0x81 MalformedPacket"],
    ["half of the topic's length", "30 01 00", "0x81 MalformedPacket"],
    ["a topic cut short", "30 04 0003 612f", "0x81 MalformedPacket"],
    ["a packet id cut short", "32 06 0003 612f62 00", "0x81 MalformedPacket"],
  ]
  for (const level of [3, 4] as const)
    for (const [name, bytes, packet] of table)
      test(`level ${level}: ${name}`, () => expect(readPacket(hex(bytes), level)).toEqual(packet))
})

describe("a PUBLISH of level 5, byte for byte", () => {
  const block = (properties: string) => {
    const bytes = hex(properties)
    const body = Buffer.concat([hex("0003 612f62"), Buffer.from([bytes.length]), bytes, Buffer.from("hi")])
    return Buffer.concat([Buffer.from([0x30, body.length]), body])
  }
  const expiry = { messageExpirySeconds: 0x01020304 }
  const table: [name: string, bytes: Buffer, packet: Fields][] = [
    ["no properties", hex("30 08 0003 612f62 00 6869"), base],
    ["QoS 1", hex("32 0a 0003 612f62 1234 00 6869"), { ...base, qos: 1, packetId: 0x1234 }],
    [
      "every property that a client may send",
      block(
        `01 01 02 01020304 03 ${textHex("t")} 08 ${textHex("r")} 09 0002 00ff 23 0007 26 ${textHex("a")} ${textHex("1")} 26 ${textHex("a")} ${textHex("")}`,
      ),
      {
        ...base,
        ...expiry,
        topicAlias: 7,
        payloadIsText: true,
        properties: {
          ...expiry,
          payloadFormatIndicator: true,
          contentType: "t",
          responseTopic: "r",
          correlationData: hex("00ff"),
          topicAlias: 7,
          userProperties: [
            ["a", "1"],
            ["a", ""],
          ],
        },
      },
    ],
    [
      "an alias and no topic",
      hex("30 06 0000 03 23 0001"),
      { ...base, topic: "", payload: Buffer.alloc(0), topicAlias: 1, properties: { topicAlias: 1 } },
    ],
    ["no property length", hex("30 05 0003 612f62"), "0x81 MalformedPacket"],
    ["a property length longer than needed", hex("30 09 0003 612f62 8000 6869"), "0x81 MalformedPacket"],
    ["a property length beyond the end", hex("30 08 0003 612f62 03 6869"), "0x81 MalformedPacket"],
    ["a property that begins and does not end", block("02 000000"), "0x81 MalformedPacket"],
    ["a user property without its value", block(`26 ${textHex("a")}`), "0x81 MalformedPacket"],
    ["a value that reaches into the payload", block("09 0003 00"), "0x81 MalformedPacket"],
    ["Payload Format 2", block("01 02"), "0x82 ProtocolError"],
    ["a Subscription Identifier, which only the broker sends", block("0b 01"), "0x82 ProtocolError"],
    ["Topic Alias 0", block("23 0000"), "0x94 TopicAliasInvalid"],
    ["an empty Response Topic", block("08 0000"), "0x82 ProtocolError"],
    ["a Response Topic with a wildcard", block(`08 ${textHex("a/+")}`), "0x82 ProtocolError"],
    ["a Response Topic with the other wildcard", block(`08 ${textHex("#")}`), "0x82 ProtocolError"],
    ["an ill-formed Content Type", block("03 0001 ff"), "0x81 MalformedPacket"],
    ["an ill-formed Response Topic", block("08 0002 c328"), "0x81 MalformedPacket"],
    ["an ill-formed name of a user property", block("26 0003 eda080 0000"), "0x81 MalformedPacket"],
    ["an ill-formed value of a user property", block("26 0000 0001 00"), "0x81 MalformedPacket"],
    ["a property of another packet", block("11 00000001"), "0x81 MalformedPacket"],
    ["a property that does not exist", block("7f 00"), "0x81 MalformedPacket"],
    ["a property identifier longer than needed", block("81 00 01"), "0x81 MalformedPacket"],
    ...["01 01", "02 00000001", `03 ${textHex("t")}`, `08 ${textHex("t")}`, "09 0000", "23 0001"].map(
      (property): [string, Buffer, string] => [
        `property ${property.slice(0, 2)} twice`,
        block(property + property),
        "0x82 ProtocolError",
      ],
    ),
  ]
  for (const [name, bytes, packet] of table) test(name, () => expect(readPacket(bytes, 5)).toEqual(packet))
})

describe("[MQTT-3.3.2-18] what travels on are the properties as they came, in their order", () => {
  const read = (properties: string) => {
    const block = hex(properties)
    const bytes = Buffer.concat([
      hex("30"),
      Buffer.from([block.length + 4]),
      hex("0001 61"),
      Buffer.from([block.length]),
      block,
    ])
    const packet = new Publish()
    expect(packet.decode(bytes, 0, 2, bytes.length, 5)).toBe(Reason.Success)
    return packet
  }
  const user = (name: string) => `26 ${textHex(name)} ${textHex("v")}`
  const table: [name: string, sent: string, kept: string][] = [
    ["alias first", `23 0001 ${user("a")} 01 01`, `${user("a")} 01 01`],
    ["alias last", `${user("b")} ${user("a")} 23 0001`, `${user("b")} ${user("a")}`],
    [
      "alias and expiry between others",
      `03 ${textHex("t")} 02 00000001 ${user("a")} 23 0001 09 0000`,
      `03 ${textHex("t")} ${user("a")} 09 0000`,
    ],
    ["nothing else", "02 00000001 23 0001", ""],
    ["neither", `08 ${textHex("r")}`, `08 ${textHex("r")}`],
  ]
  for (const [name, sent, kept] of table)
    test(name, () => {
      const packet = read(sent)
      expect(packet.forwardable()).toEqual(hex(kept))
      expect(packet.hasHopProperties).toBe(name !== "neither")
    })

  test("the copy is its own memory", () => {
    const packet = read(`23 0001 ${user("a")}`)
    const kept = packet.forwardable()
    packet.bytes.fill(0)
    expect(kept).toEqual(hex(user("a")))
  })

  test("and read as an object wherever they stand, however long the block", () => {
    for (const length of [0, 1, 100, 127, 128, 16_000, 65_535]) {
      const content = "x".repeat(length)
      const block = hex(`03 ${textHex(content)} ${user("a")}`)
      const properties = publishProperties(Buffer.concat([hex("ffff"), block, hex("ff")]), 2, 2 + block.length)
      expect(properties).toEqual({ contentType: content, userProperties: [["a", "v"]] })
    }
    expect(publishProperties(hex("0102"), 1, 1)).toEqual({})
  })
})

describe("PUBLISH, as written", () => {
  const outgoing = (fields: Partial<OutgoingPublish>): OutgoingPublish => ({
    level: 5,
    dup: false,
    qos: 0,
    retain: false,
    packetId: 0,
    topic: Buffer.from("a/b"),
    topicAlias: 0,
    messageExpirySeconds: -1,
    subscriptionIdentifiers: undefined,
    properties: Buffer.alloc(0),
    propertiesStart: 0,
    propertiesEnd: 0,
    payload: Buffer.from("hi"),
    payloadStart: 0,
    payloadEnd: 2,
    ...fields,
  })
  const write = (packet: OutgoingPublish) => {
    const into = Buffer.alloc(outgoingPublishBytes(packet) + 2, 0xee)
    expect(writePublish(packet, into, 1)).toBe(into.length - 1)
    expect([into[0], into.at(-1)]).toEqual([0xee, 0xee])
    return into.subarray(1, -1)
  }
  const table: [name: string, fields: Partial<OutgoingPublish>, bytes: string][] = [
    ["level 3, QoS 0", { level: 3 }, "30 07 0003 612f62 6869"],
    [
      "level 4, QoS 0: no packet id [MQTT-2.2.1-2] [v3.1.1 MQTT-2.3.1-5]",
      { level: 4, packetId: 7 },
      "30 07 0003 612f62 6869",
    ],
    [
      "level 4, QoS 2, retained, once more",
      { level: 4, qos: 2, retain: true, dup: true, packetId: 0x0102 },
      "3d 09 0003 612f62 0102 6869",
    ],
    [
      "level 4 has no properties",
      { level: 4, messageExpirySeconds: 5, topicAlias: 3, subscriptionIdentifiers: [1] },
      "30 07 0003 612f62 6869",
    ],
    ["level 5: no properties are a length of zero [MQTT-2.2.2-1]", {}, "30 08 0003 612f62 00 6869"],
    [
      "a part of a larger buffer",
      { payload: Buffer.from("<hi>"), payloadStart: 1, payloadEnd: 3 },
      "30 08 0003 612f62 00 6869",
    ],
    [
      "properties passed on, and the receiver's own around them",
      {
        qos: 1,
        packetId: 9,
        messageExpirySeconds: 0xfffffffe,
        topicAlias: 0xffff,
        subscriptionIdentifiers: [1, 128, 268_435_455],
        properties: hex("00 0101 00"),
        propertiesStart: 1,
        propertiesEnd: 3,
      },
      "32 1e 0003 612f62 0009 14 02 fffffffe 01 01 0b 01 0b 8001 0b ffffff7f 23 ffff 6869",
    ],
    ["only the alias", { topic: Buffer.alloc(0), topicAlias: 1 }, "30 08 0000 03 23 0001 6869"],
    ["expiry 0", { messageExpirySeconds: 0 }, "30 0d 0003 612f62 05 02 00000000 6869"],
  ]
  for (const [name, fields, bytes] of table) test(name, () => expect(write(outgoing(fields))).toEqual(hex(bytes)))

  test("[MQTT-1.5.5-1] lengths take the fewest bytes, on both sides of each border", () => {
    for (const length of [127, 128, 16_383, 16_384, 2_097_151, 2_097_152]) {
      const payload = Buffer.alloc(length - 6)
      const packet = write(outgoing({ payload, payloadEnd: payload.length }))
      let lengthBytes = 1
      while (packet[lengthBytes]! >= 0x80) lengthBytes++
      expect(packet.length).toBe(1 + lengthBytes + length)
      expect(lengthBytes).toBe([0x7f, 0x3fff, 0x1f_ffff].filter((most) => length > most).length + 1)
    }
    for (const length of [127, 128, 16_383, 16_384]) {
      const properties = hex(`03 ${textHex("x".repeat(length - 3))}`)
      const packet = write(outgoing({ properties, propertiesEnd: properties.length }))
      const read = readPacket(packet, 5) as { properties: Properties }
      expect(read.properties.contentType?.length).toBe(length - 3)
    }
  })
})

/** SUBSCRIBE and UNSUBSCRIBE as they are read, SUBACK and UNSUBACK as they are written. */
import { describe, expect, test } from "bun:test"
import { encodeSuback, encodeUnsuback, type ProtocolLevel, Reason, Writer } from "../../src/codec/index.ts"
import { hex, textHex } from "../support/bytes.ts"
import { type Fields, readPacket } from "./read.ts"

const plain = { noLocal: false, retainAsPublished: false, retainHandling: 0 }

describe("SUBSCRIBE, as read", () => {
  const table: [name: string, levels: ProtocolLevel[], bytes: string, packet: Fields][] = [
    [
      "one filter",
      [3, 4],
      "82 08 1234 0003 612f62 01",
      { packetId: 0x1234, requests: [{ ...plain, topicFilter: "a/b", qos: 1 }], properties: {} },
    ],
    [
      "three filters, each with its QoS",
      [3, 4],
      `82 0f 0001 ${textHex("#")} 00 ${textHex("+")} 01 ${textHex("$x")} 02`,
      {
        packetId: 1,
        requests: [
          { ...plain, topicFilter: "#", qos: 0 },
          { ...plain, topicFilter: "+", qos: 1 },
          { ...plain, topicFilter: "$x", qos: 2 },
        ],
        properties: {},
      },
    ],
    ["an option of MQTT 5", [3, 4], "82 06 0001 0001 61 04", "0x81 MalformedPacket"],
    ["a reserved bit", [3, 4], "82 06 0001 0001 61 80", "0x81 MalformedPacket"],
    ["QoS 3", [3, 4], "82 06 0001 0001 61 03", "0x81 MalformedPacket"],
    ["no filter", [3, 4], "82 02 0001", "0x82 ProtocolError"],
    ["packet id 0", [3, 4], "82 06 0000 0001 61 00", "0x82 ProtocolError"],
    ["a filter without its options", [3, 4], "82 05 0001 0001 61", "0x81 MalformedPacket"],
    ["a second filter cut short", [3, 4], "82 09 0001 0001 61 00 0002 61", "0x81 MalformedPacket"],
    ["an ill-formed filter", [3, 4], "82 06 0001 0001 ff 00", "0x81 MalformedPacket"],
    ["half a packet id", [3, 4], "82 01 00", "0x81 MalformedPacket"],
    [
      "every option and every property",
      [5],
      `82 29 0001 11 0b ffffff7f 26 ${textHex("a")} ${textHex("b")} 26 0000 0000 ${textHex("a")} 00 ${textHex("b")} 1d ${textHex("$share/g/c")} 2a`,
      {
        packetId: 1,
        requests: [
          { ...plain, topicFilter: "a", qos: 0 },
          { topicFilter: "b", qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 1 },
          { topicFilter: "$share/g/c", qos: 2, noLocal: false, retainAsPublished: true, retainHandling: 2 },
        ],
        properties: {
          subscriptionIdentifiers: [268_435_455],
          userProperties: [
            ["a", "b"],
            ["", ""],
          ],
        },
      },
    ],
    ["QoS 3", [5], "82 07 0001 00 0001 61 03", "0x82 ProtocolError"],
    ["Retain Handling 3", [5], "82 07 0001 00 0001 61 30", "0x82 ProtocolError"],
    ["a reserved bit", [5], "82 07 0001 00 0001 61 40", "0x81 MalformedPacket"],
    ["the other reserved bit", [5], "82 07 0001 00 0001 61 80", "0x81 MalformedPacket"],
    ["no property length", [5], "82 02 0001", "0x81 MalformedPacket"],
    ["no filter", [5], "82 03 0001 00", "0x82 ProtocolError"],
    ["Subscription Identifier 0", [5], "82 09 0001 02 0b00 0001 61 00", "0x82 ProtocolError"],
    ["two Subscription Identifiers", [5], "82 0b 0001 04 0b01 0b02 0001 61 00", "0x82 ProtocolError"],
    ["a Subscription Identifier of five bytes", [5], "82 0d 0001 06 0b ffffffff01 0001 61 00", "0x81 MalformedPacket"],
    ["a Subscription Identifier longer than needed", [5], "82 0a 0001 03 0b 8100 0001 61 00", "0x81 MalformedPacket"],
    ["a reason string", [5], "82 0b 0001 04 1f 0001 78 0001 61 00", "0x81 MalformedPacket"],
  ]
  for (const [name, levels, bytes, packet] of table)
    for (const level of levels)
      test(`level ${level}: ${name}`, () => expect(readPacket(hex(bytes), level)).toEqual(packet))
})

describe("UNSUBSCRIBE, as read", () => {
  const table: [name: string, levels: ProtocolLevel[], bytes: string, packet: Fields][] = [
    ["one filter", [3, 4], "a2 07 1234 0003 612f62", { packetId: 0x1234, topicFilters: ["a/b"], properties: {} }],
    ["two filters", [3, 4], "a2 08 0001 0001 61 0001 23", { packetId: 1, topicFilters: ["a", "#"], properties: {} }],
    ["no filter", [3, 4], "a2 02 0001", "0x82 ProtocolError"],
    ["packet id 0", [3, 4], "a2 05 0000 0001 61", "0x82 ProtocolError"],
    ["a filter cut short", [3, 4], "a2 05 0001 0002 61", "0x81 MalformedPacket"],
    ["an ill-formed filter", [3, 4], "a2 05 0001 0001 00", "0x81 MalformedPacket"],
    ["no properties", [5], "a2 06 0001 00 0001 61", { packetId: 1, topicFilters: ["a"], properties: {} }],
    [
      "user properties",
      [5],
      "a2 0d 0001 07 26 0001 61 0001 62 0001 61",
      { packetId: 1, topicFilters: ["a"], properties: { userProperties: [["a", "b"]] } },
    ],
    ["no filter", [5], "a2 03 0001 00", "0x82 ProtocolError"],
    ["a property of another packet", [5], "a2 08 0001 02 0b01 0001 61", "0x81 MalformedPacket"],
  ]
  for (const [name, levels, bytes, packet] of table)
    for (const level of levels)
      test(`level ${level}: ${name}`, () => expect(readPacket(hex(bytes), level)).toEqual(packet))
})

describe("SUBACK and UNSUBACK, as written", () => {
  const writer = new Writer()
  const granted = [Reason.Success, Reason.GrantedQoS1, Reason.GrantedQoS2]

  for (const level of [3, 4] as const) {
    test(`level ${level}: a SUBACK says what is granted, and 0x80 for every failure [v3.1.1 MQTT-3.9.3-2]`, () => {
      const reasons = [...granted, Reason.NotAuthorized, Reason.TopicFilterInvalid]
      expect(encodeSuback(writer, level, 0x0102, reasons)).toEqual(hex("90 07 0102 00 01 02 80 80"))
    })

    test(`level ${level}: an UNSUBACK has no reasons`, () => {
      const reasons = [Reason.Success, Reason.NoSubscriptionExisted]
      expect(encodeUnsuback(writer, level, 0x0102, reasons)).toEqual(hex("b0 02 0102"))
    })
  }

  test("level 5: a reason for each filter", () => {
    const reasons = [...granted, Reason.NotAuthorized]
    expect(encodeSuback(writer, 5, 1, reasons)).toEqual(hex("90 07 0001 00 00 01 02 87"))
    expect(encodeUnsuback(writer, 5, 1, [Reason.NoSubscriptionExisted])).toEqual(hex("b0 04 0001 00 11"))
  })

  test("level 5: with properties", () => {
    const properties = { reasonString: "x", userProperties: [["a", "b"] as const] }
    const block = "0b 1f 0001 78 26 0001 61 0001 62"
    expect(encodeSuback(writer, 5, 1, [Reason.Success], properties)).toEqual(hex(`90 0f 0001 ${block} 00`))
    expect(encodeUnsuback(writer, 5, 1, [Reason.Success], properties)).toEqual(hex(`b0 0f 0001 ${block} 00`))
  })
})

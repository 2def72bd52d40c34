/** CONNECT and AUTH as they are read, CONNACK and AUTH as they are written. */
import { describe, expect, test } from "bun:test"
import { encodeAuth, encodeConnack, type ProtocolLevel, Reason, Writer } from "../../src/codec/index.ts"
import { hex, textHex } from "../support/bytes.ts"
import { type Fields, readPacket } from "./read.ts"

const nothing = {
  cleanStart: false,
  keepAliveSeconds: 0,
  clientId: "",
  will: undefined,
  username: undefined,
  password: undefined,
  properties: {},
}

/** A CONNECT around its variable header and payload. */
function connect(level: number, flags: string, rest: string, keepAlive = "0000"): Buffer {
  const body = `${textHex(level === 3 ? "MQIsdp" : "MQTT")}${level.toString(16).padStart(2, "0")}${flags}${keepAlive}${rest}`
  return Buffer.concat([Buffer.from([0x10, hex(body).length]), hex(body)])
}

describe("a CONNECT of level 3, byte for byte", () => {
  const table: [name: string, bytes: string, packet: Fields][] = [
    [
      "clean, 60 s, client `a`",
      "10 0f 00 06 4d 51 49 73 64 70 03 02 00 3c 00 01 61",
      { ...nothing, level: 3, cleanStart: true, keepAliveSeconds: 60, clientId: "a" },
    ],
    [
      "everything",
      "10 1f 00 06 4d 51 49 73 64 70 03 ee ff ff 00 01 61 00 01 77 00 02 68 69 00 01 75 00 04 70 61 73 73",
      {
        level: 3,
        cleanStart: true,
        keepAliveSeconds: 65535,
        clientId: "a",
        will: { topic: "w", payload: Buffer.from("hi"), qos: 1, retain: true, properties: {} },
        username: "u",
        password: Buffer.from("pass"),
        properties: {},
      },
    ],
    [
      "no client id: for the broker to refuse",
      "10 0e 00064d5149736470 03 02 0000 0000",
      { ...nothing, level: 3, cleanStart: true },
    ],
    [
      "the user name flag, and the packet ends before it: valid in MQTT 3.1, where the Remaining Length has precedence",
      "10 0f 00064d5149736470 03 80 0000 0001 61",
      { ...nothing, level: 3, clientId: "a" },
    ],
    [
      "both flags, and the packet ends before the password",
      "10 12 00064d5149736470 03 c0 0000 0001 61 0001 75",
      { ...nothing, level: 3, clientId: "a", username: "u" },
    ],
    ["a name of the other version", "10 0d 0004 4d515454 03 02 0000 0001 61", "0x84 UnsupportedProtocolVersion in 4"],
  ]
  for (const [name, bytes, packet] of table) test(name, () => expect(readPacket(hex(bytes), 3)).toEqual(packet))
})

describe("a CONNECT of level 4, byte for byte", () => {
  const table: [name: string, bytes: string, packet: Fields][] = [
    ["nothing set", "10 0c 00 04 4d 51 54 54 04 00 00 00 00 00", { ...nothing, level: 4 }],
    ["a clean session", "10 0c 00044d515454 04 02 0000 0000", { ...nothing, level: 4, cleanStart: true }],
    [
      "a will of QoS 2, kept; its payload is empty",
      "10 11 00044d515454 04 34 000a 0000 0001 77 0000",
      {
        ...nothing,
        level: 4,
        keepAliveSeconds: 10,
        will: { topic: "w", payload: Buffer.alloc(0), qos: 2, retain: true, properties: {} },
      },
    ],
    [
      "a user name without a password",
      "10 0f 00044d515454 04 80 0000 0000 0001 75",
      { ...nothing, level: 4, username: "u" },
    ],
    [
      "an empty user name and an empty password",
      "10 10 00044d515454 04 c0 0000 0000 0000 0000",
      { ...nothing, level: 4, username: "", password: Buffer.alloc(0) },
    ],
    [
      "a client id that is not ASCII, U+FEFF in front",
      "10 12 00044d515454 04 02 0000 0006 efbbbf e282ac",
      { ...nothing, level: 4, cleanStart: true, clientId: "\ufeff€" },
    ],
  ]
  for (const [name, bytes, packet] of table) test(name, () => expect(readPacket(hex(bytes), 4)).toEqual(packet))
})

describe("a CONNECT of level 5, byte for byte", () => {
  test("nothing set", () => {
    const bytes = hex("10 0d 00 04 4d 51 54 54 05 02 00 00 00 00 00")
    expect(readPacket(bytes, 5)).toEqual({ ...nothing, level: 5, cleanStart: true })
  })

  test("a password without a user name", () => {
    const bytes = connect(5, "42", `00 ${textHex("a")} ${textHex("secret")}`)
    const packet = { ...nothing, level: 5, cleanStart: true, clientId: "a", password: Buffer.from("secret") }
    expect(readPacket(bytes, 5)).toEqual(packet)
  })

  test("every property, of the packet and of its will", () => {
    const own = hex(
      `11 0000000a 21 0010 27 00010000 22 0007 19 01 17 00 26 ${textHex("k")} ${textHex("1")} 26 ${textHex("k")} ${textHex("2")}
       15 ${textHex("SCRAM")} 16 0002 ff00`,
    )
    const wills = hex(
      `18 00000005 01 01 02 ffffffff 03 ${textHex("text/plain")} 08 ${textHex("r/t")} 09 0001 07 26 ${textHex("é")} ${textHex("")}`,
    )
    const block = (bytes: Buffer) => Buffer.concat([Buffer.from([bytes.length]), bytes]).toString("hex")
    const rest = `${block(own)} ${textHex("id")} ${block(wills)} ${textHex("w/t")} 0001 21 ${textHex("me")} 0002 7077`
    expect(readPacket(connect(5, "ce", rest, "001e"), 5)).toEqual({
      level: 5,
      cleanStart: true,
      keepAliveSeconds: 30,
      clientId: "id",
      will: {
        topic: "w/t",
        payload: Buffer.from("!"),
        qos: 1,
        retain: false,
        properties: {
          willDelaySeconds: 5,
          payloadFormatIndicator: true,
          messageExpirySeconds: 0xffffffff,
          contentType: "text/plain",
          responseTopic: "r/t",
          correlationData: Buffer.from([7]),
          userProperties: [["é", ""]],
        },
      },
      username: "me",
      password: Buffer.from("pw"),
      properties: {
        sessionExpirySeconds: 10,
        receiveMaximum: 16,
        maximumPacketBytes: 0x10000,
        topicAliasMaximum: 7,
        requestResponseInformation: true,
        requestProblemInformation: false,
        userProperties: [
          ["k", "1"],
          ["k", "2"],
        ],
        authenticationMethod: "SCRAM",
        authenticationData: Buffer.from([0xff, 0]),
      },
    })
  })
})

describe("a CONNECT that cannot be served says why, and in which level to answer", () => {
  const table: [name: string, bytes: Buffer, failure: string][] = [
    ["another protocol", hex("10 0c 0004 4d515458 04 02 0000 0000"), "0x84 UnsupportedProtocolVersion in undefined"],
    [
      "the name in small letters",
      hex("10 0c 0004 6d717474 04 02 0000 0000"),
      "0x84 UnsupportedProtocolVersion in undefined",
    ],
    ["no name", hex("10 08 0000 04 02 0000 0000"), "0x84 UnsupportedProtocolVersion in undefined"],
    ["level 0", connect(0, "02", "0000"), "0x84 UnsupportedProtocolVersion in 4"],
    ["level 3 under the new name", hex("10 0c 00044d515454 03 02 0000 0000"), "0x84 UnsupportedProtocolVersion in 4"],
    [
      "level 4 under the old name",
      hex("10 0e 00064d5149736470 04 02 0000 0000"),
      "0x84 UnsupportedProtocolVersion in 4",
    ],
    ["level 6", connect(6, "02", "000000"), "0x84 UnsupportedProtocolVersion in 5"],
    [
      "a bridge of Mosquitto's, level 0x84, which then tries 4",
      connect(0x84, "02", "0000"),
      "0x84 UnsupportedProtocolVersion in 4",
    ],
    ["an ill-formed name", hex("10 0c 0004 4d51ff54 04 02 0000 0000"), "0x81 MalformedPacket in undefined"],
    ["an empty packet", hex("10 00"), "0x81 MalformedPacket in undefined"],
    ["nothing after the level", hex("10 07 00044d515454 04"), "0x81 MalformedPacket in 4"],
    ...([4, 5] as const).flatMap((level): [string, Buffer, string][] => {
      const none = level === 5 ? "00" : ""
      const malformed = `0x81 MalformedPacket in ${level}`
      return [
        [`level ${level}: the reserved flag`, connect(level, "03", `${none}0000`), malformed],
        [`level ${level}: a will of QoS 3`, connect(level, "1e", `${none}0000${none}${textHex("w")}0000`), malformed],
        [`level ${level}: a will QoS without a will`, connect(level, "0a", `${none}0000`), malformed],
        [`level ${level}: will retain without a will`, connect(level, "22", `${none}0000`), malformed],
        [`level ${level}: bytes behind the end`, connect(level, "02", `${none}0000 00`), malformed],
        [`level ${level}: no client id`, connect(level, "02", none), malformed],
        [`level ${level}: a client id cut short`, connect(level, "02", `${none}0002 61`), malformed],
        [
          `level ${level}: a will without a payload`,
          connect(level, "06", `${none}0000${none}${textHex("w")}`),
          malformed,
        ],
        [`level ${level}: a user name announced and absent`, connect(level, "82", `${none}0000`), malformed],
        [
          `level ${level}: a password announced and absent`,
          connect(level, "c2", `${none}0000${textHex("u")}`),
          malformed,
        ],
        [`level ${level}: an ill-formed client id`, connect(level, "02", `${none}0002 c328`), malformed],
        [`level ${level}: a surrogate in the user name`, connect(level, "82", `${none}0000 0003 eda080`), malformed],
        [`level ${level}: U+0000 in the will topic`, connect(level, "06", `${none}0000${none}0001 00 0000`), malformed],
      ]
    }),
    ["level 4: a password without a user name", connect(4, "42", `0000${textHex("p")}`), "0x81 MalformedPacket in 4"],
    ["a property cut short", connect(5, "02", "03 11 0000 0000"), "0x81 MalformedPacket in 5"],
    ["a property length beyond the end", connect(5, "02", "20 0000"), "0x81 MalformedPacket in 5"],
    ["a property of another packet", connect(5, "02", `03 23 0001 0000`), "0x81 MalformedPacket in 5"],
    ["a will property among the packet's", connect(5, "02", `05 18 00000001 0000`), "0x81 MalformedPacket in 5"],
    ["a property twice", connect(5, "02", `06 21 0001 21 0001 0000`), "0x82 ProtocolError in 5"],
    ["Receive Maximum 0", connect(5, "02", `03 21 0000 0000`), "0x82 ProtocolError in 5"],
    ["Maximum Packet Size 0", connect(5, "02", `05 27 00000000 0000`), "0x82 ProtocolError in 5"],
    ["Request Problem Information 2", connect(5, "02", `02 17 02 0000`), "0x82 ProtocolError in 5"],
    ["Authentication Data without a method", connect(5, "02", `04 16 0001 00 0000`), "0x82 ProtocolError in 5"],
  ]
  for (const [name, bytes, failure] of table) test(name, () => expect(readPacket(bytes, 5)).toBe(failure))
})

describe("CONNACK, as written", () => {
  const writer = new Writer()
  const table: [level: ProtocolLevel, reason: Reason, isPresent: boolean, bytes: string][] = [
    [3, Reason.Success, false, "20 02 00 00"],
    [3, Reason.Success, true, "20 02 00 00"], // MQTT 3.1 has no Session Present
    [4, Reason.Success, true, "20 02 01 00"],
    [4, Reason.UnsupportedProtocolVersion, false, "20 02 00 01"],
    [4, Reason.ClientIdentifierNotValid, false, "20 02 00 02"],
    [4, Reason.ServerBusy, false, "20 02 00 03"],
    [4, Reason.QuotaExceeded, false, "20 02 00 03"],
    [4, Reason.BadUserNameOrPassword, false, "20 02 00 04"],
    [4, Reason.NotAuthorized, false, "20 02 00 05"],
    [4, Reason.Banned, false, "20 02 00 05"],
    [5, Reason.Success, true, "20 03 01 00 00"],
    [5, Reason.BadUserNameOrPassword, false, "20 03 00 86 00"],
  ]
  for (const [level, reason, isPresent, bytes] of table)
    test(`level ${level}, reason ${reason}, session present ${isPresent}`, () => {
      expect(encodeConnack(writer, level, reason, isPresent, undefined)).toEqual(hex(bytes))
    })

  test("with every property that a CONNACK may carry, in the order of their identifiers", () => {
    const properties = {
      sharedSubscriptionAvailable: false,
      subscriptionIdentifierAvailable: true,
      wildcardSubscriptionAvailable: false,
      maximumPacketBytes: 0x01020304,
      userProperties: [
        ["b", "2"],
        ["a", "1"],
      ] as const,
      retainAvailable: false,
      maximumQoS: 1,
      topicAliasMaximum: 10,
      receiveMaximum: 20,
      reasonString: "no",
      serverReference: "s",
      responseInformation: "r",
      authenticationData: Buffer.from([1, 2]),
      authenticationMethod: "m",
      serverKeepAliveSeconds: 60,
      assignedClientIdentifier: "c",
      sessionExpirySeconds: 0xffffffff,
    }
    const packet = encodeConnack(writer, 5, Reason.Success, false, {
      ...properties,
      userProperties: [...properties.userProperties],
    })
    expect(packet).toEqual(
      hex(`20 48 00 00 45 11 ffffffff 12 ${textHex("c")} 13 003c 15 ${textHex("m")} 16 0002 0102 1a ${textHex("r")} 1c ${textHex("s")}
           1f ${textHex("no")} 21 0014 22 000a 24 01 25 00 26 ${textHex("b")} ${textHex("2")} 26 ${textHex("a")} ${textHex("1")}
           27 01020304 28 00 29 01 2a 00`),
    )
  })
})

describe("AUTH", () => {
  const method = `15 ${textHex("m")}`
  const table: [name: string, bytes: string, packet: Fields][] = [
    ["empty: success", "f0 00", { reason: 0, properties: {} }],
    ["a reason alone", "f0 01 19", { reason: 0x19, properties: {} }],
    ["a reason and no properties", "f0 02 18 00", { reason: 0x18, properties: {} }],
    ["a reason that is the server's", "f0 02 87 00", "0x82 ProtocolError"],
    ["bytes behind the properties", `f0 07 18 04 ${method} 00`, "0x81 MalformedPacket"],
    ["a property of another packet", "f0 05 18 03 210001", "0x81 MalformedPacket"],
  ]
  for (const [name, bytes, packet] of table)
    test(`${name}, as read`, () => expect(readPacket(hex(bytes), 5)).toEqual(packet))

  test("every property, as written and read again", () => {
    const properties = {
      authenticationMethod: "m",
      authenticationData: Buffer.from([255]),
      reasonString: "?",
      userProperties: [["a", "b"] as const],
    }
    const bytes = hex(`f0 15 18 13 ${method} 16 0001 ff 1f ${textHex("?")} 26 ${textHex("a")} ${textHex("b")}`)
    expect(encodeAuth(new Writer(), Reason.ContinueAuthentication, properties)).toEqual(bytes)
    expect(readPacket(bytes, 5)).toEqual({ reason: 0x18, properties })
  })
})

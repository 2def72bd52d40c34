/** Bytes that mean the same in every packet: strings, lengths, reserved bits, packet identifiers. */
import { describe, expect, test } from "bun:test"
import type { ProtocolLevel } from "../../src/codec/index.ts"
import { hex, textHex } from "../support/bytes.ts"
import { Harness } from "../support/harness.ts"
import { block, connectBytes, fate, levels, packet, thrownOut, told, varint } from "./wire.ts"

/** A string as it is on the wire, from the hexadecimal of its characters. */
const string = (characters: string) => (characters.length / 2).toString(16).padStart(4, "0") + characters

/** A packet with one string in it, given with its length in front. */
type Place = (text: string, level: ProtocolLevel) => Buffer

/** The payload of a CONNECT whose will has these properties. */
const willWith = (properties: string) => textHex("a") + block(5, properties) + textHex("w") + textHex("x")

const inConnect: Record<string, Place> = {
  "client identifier [MQTT-3.1.3-4] [v3.1.1 MQTT-3.1.3-4]": (text, level) => connectBytes({ level, payload: text }),
  "will topic [MQTT-3.1.3-11] [v3.1.1 MQTT-3.1.3-10]": (text, level) =>
    connectBytes({ level, flags: "06", payload: textHex("a") + block(level) + text + textHex("x") }),
  "user name [MQTT-3.1.3-12] [v3.1.1 MQTT-3.1.3-11]": (text, level) =>
    connectBytes({ level, flags: "82", payload: textHex("a") + text }),
}
const inConnect5: Record<string, Place> = {
  "user property, name [MQTT-1.5.7-1]": (text) => connectBytes({ properties: `26${text}${textHex("v")}` }),
  "user property, value [MQTT-1.5.7-1]": (text) => connectBytes({ properties: `26${textHex("k")}${text}` }),
  "authentication method": (text) => connectBytes({ properties: `15${text}` }),
  "content type of the will": (text) => connectBytes({ flags: "06", payload: willWith(`03${text}`) }),
  "response topic of the will": (text) => connectBytes({ flags: "06", payload: willWith(`08${text}`) }),
  "user property of the will": (text) => connectBytes({ flags: "06", payload: willWith(`26${textHex("k")}${text}`) }),
}
const inOthers: Record<string, Place> = {
  "topic name of PUBLISH": (text, level) => packet("30", text + block(level)),
  "topic name of a longer PUBLISH": (text, level) => packet("32", `${text}0001${block(level)}${"78".repeat(200)}`),
  "topic filter of SUBSCRIBE": (text, level) => packet("82", `0001${block(level)}${text}00`),
  "second topic filter of SUBSCRIBE": (text, level) => packet("82", `0001${block(level)}${textHex("a")}00${text}00`),
  "topic filter of UNSUBSCRIBE": (text, level) => packet("a2", `0001${block(level)}${text}`),
}
const inOthers5: Record<string, Place> = {
  "content type": (text) => packet("30", textHex("a") + block(5, `03${text}`)),
  "response topic": (text) => packet("30", textHex("a") + block(5, `08${text}`)),
  "user property of PUBLISH, name [MQTT-1.5.7-1]": (text) =>
    packet("30", textHex("a") + block(5, `26${text}${textHex("v")}`)),
  "user property of PUBLISH, value [MQTT-1.5.7-1]": (text) =>
    packet("30", textHex("a") + block(5, `26${textHex("k")}${text}`)),
  "user property of SUBSCRIBE": (text) => packet("82", `0001${block(5, `26${textHex("k")}${text}`)}${textHex("a")}00`),
  "user property of UNSUBSCRIBE": (text) => packet("a2", `0001${block(5, `26${text}${textHex("v")}`)}${textHex("a")}`),
  "reason string of PUBACK": (text) => packet("40", `000100${block(5, `1f${text}`)}`),
  "reason string of DISCONNECT": (text) => packet("e0", `00${block(5, `1f${text}`)}`),
}

const illFormed: [name: string, characters: string][] = [
  ["C3 28, a lead without its follower", "c328"],
  ["ED A0 80, the surrogate U+D800", "eda080"],
  ["ED BF BF, the surrogate U+DFFF", "edbfbf"],
  ["C0 80, overlong", "c080"],
  ["F4 90 80 80, beyond U+10FFFF", "f4908080"],
  ["61 E2 82, cut off", "61e282"],
  ["80, a follower alone", "80"],
]
const withNull: [name: string, characters: string][] = [
  ["00 alone", "00"],
  ["00 inside", "610062"],
]

describe.each([
  ["[MQTT-1.5.4-1] [v3.1.1 MQTT-1.5.3-1] a string is well-formed UTF-8", illFormed],
  ["[MQTT-1.5.4-2] [v3.1.1 MQTT-1.5.3-2] a string has no U+0000", withNull],
] as const)("%s", (_, strings) => {
  for (const level of levels) {
    for (const [place, build] of Object.entries({ ...inConnect, ...(level === 5 && inConnect5) }))
      test(`level ${level}: ${place}`, () => {
        for (const [name, characters] of strings) {
          const client = new Harness().open(level).sendBytes(build(string(characters), level))
          expect([name, fate(client)]).toEqual([name, level === 5 ? "2003008100 closed" : "closed"])
        }
      })
    for (const [place, build] of Object.entries({ ...inOthers, ...(level === 5 && inOthers5) }))
      test(`level ${level}: ${place}`, () => {
        for (const [name, characters] of strings) {
          const harness = new Harness()
          const watcher = harness.client("watcher").subscribe("#")
          const client = harness.client("a", { level }).sendBytes(build(string(characters), level))
          expect([name, told(client)]).toEqual([name, thrownOut(level, "81")])
          expect(watcher.messages()).toEqual([])
        }
      })
  }
  for (const level of levels)
    test(`level ${level}: topic name on a listener with a mount point`, () => {
      for (const [, characters] of strings) {
        const client = new Harness({ listener: { mountPoint: "m/" } }).client("a", { level })
        client.sendBytes(inOthers["topic name of PUBLISH"]!(string(characters), level))
        expect(told(client)).toBe(thrownOut(level, "81"))
      }
    })
})

describe("[MQTT-1.5.4-3] [v3.1.1 MQTT-1.5.3-3] EF BB BF is a character like any other", () => {
  for (const level of levels) {
    const topic = string("efbbbf61")
    test(`level ${level}: a topic that begins with it keeps it, and is another than the one without`, () => {
      const harness = new Harness()
      const watcher = harness.client("watcher", { level })
      const plain = harness.client("plain", { level }).subscribe("a")
      watcher.sendBytes(packet("82", `0001${block(level)}${topic}00`))
      const before = watcher.bytes.length
      const properties = level === 5 ? `26${string("efbbbf")}${string("efbbbf76")}` : ""
      const publish = packet("30", `${topic}${block(level, properties)}78`)
      harness.client("publisher", { level }).sendBytes(publish)
      expect(watcher.bytes.subarray(before).toString("hex")).toBe(publish.toString("hex"))
      expect(plain.messages()).toEqual([])
    })
    test(`level ${level}: so does a client identifier`, () => {
      const harness = new Harness()
      harness.open(level).sendBytes(connectBytes({ level, payload: string("efbbbf61") }))
      expect([...harness.core.sessions.all()].map(({ clientId }) => clientId)).toEqual(["\ufeffa"])
    })
  }
})

describe("[MQTT-1.5.5-1] a Variable Byte Integer has the fewest bytes", () => {
  const lengths = ["8000", "808000", "8100", "ff00", "80808000"]
  for (const level of levels)
    for (const length of lengths)
      test(`level ${level}: a Remaining Length of ${length}`, () => {
        const client = new Harness().client("a", { level }).sendBytes(`c0${length}`)
        expect(told(client)).toBe(thrownOut(level, "81"))
      })
  for (const level of levels)
    test(`level ${level}: a Remaining Length of more than four bytes`, () => {
      expect(told(new Harness().client("a", { level }).sendBytes("30ffffffff01"))).toBe(thrownOut(level, "81"))
      expect(fate(new Harness().open(level).sendBytes("10ffffffff01"))).toBe("closed")
    })
  for (const length of lengths) {
    test(`a Property Length of ${length}`, () => {
      const client = new Harness().client("a").sendBytes(packet("30", `${textHex("a")}${length}78`))
      expect(told(client)).toBe("disconnect 81, closed")
    })
    test(`a Subscription Identifier of ${length}`, () => {
      const properties = block(5, `0b${length}`)
      const client = new Harness().client("a").sendBytes(packet("82", `0001${properties}${textHex("a")}00`))
      expect(told(client)).toBe("disconnect 81, closed")
    })
  }
  for (const level of levels)
    test(`level ${level}: what the broker sends has them too, on both sides of every step`, () => {
      const harness = new Harness({ limits: { maximumBacklogBytes: 8_388_608, maximumPacketBytes: 4_194_304 } })
      const watcher = harness.client("watcher", { level }).subscribe("a")
      const publisher = harness.client("publisher", { level })
      for (const remaining of [127, 128, 16_383, 16_384, 2_097_151, 2_097_152]) {
        const before = watcher.bytes.length
        const head = 3 + (level === 5 ? 1 : 0)
        publisher.publish("a", Buffer.alloc(remaining - head, 0x78))
        const length = varint(remaining)
        expect(watcher.bytes.toString("hex", before + 1, before + 1 + length.length)).toBe(length.toString("hex"))
        expect(watcher.bytes.length - before).toBe(1 + length.length + remaining)
      }
    })
})

describe("[MQTT-2.1.3-1] [v3.1.1 MQTT-2.2.2-2] reserved bits of the fixed header have the listed values", () => {
  const packets: [name: string, first: number, body: (level: ProtocolLevel) => string][] = [
    ["PUBACK", 0x40, () => "0001"],
    ["PUBREC", 0x50, () => "0001"],
    ["PUBREL [MQTT-3.6.1-1] [v3.1.1 MQTT-3.6.1-1]", 0x62, () => "0001"],
    ["PUBCOMP", 0x70, () => "0001"],
    ["SUBSCRIBE [MQTT-3.8.1-1] [v3.1.1 MQTT-3.8.1-1]", 0x82, (level) => `0001${block(level)}${textHex("a")}00`],
    ["UNSUBSCRIBE [MQTT-3.10.1-1] [v3.1.1 MQTT-3.10.1-1]", 0xa2, (level) => `0001${block(level)}${textHex("a")}`],
    ["PINGREQ", 0xc0, () => ""],
    ["DISCONNECT [MQTT-3.14.1-1] [v3.1.1 MQTT-3.14.1-1]", 0xe0, () => ""],
  ]
  for (const level of [4, 5] as const)
    for (const [name, first, body] of packets)
      test(`level ${level}: ${name}`, () => {
        for (let flags = 0; flags < 16; flags++) {
          if (flags === (first & 0x0f)) continue
          const client = new Harness().client("a", { level })
          client.sendBytes(packet(((first & 0xf0) | flags).toString(16), body(level)))
          expect([flags, told(client)]).toEqual([flags, thrownOut(level, "81")])
        }
      })
  for (const level of levels)
    for (const first of ["00", "0f", "20", "90", "b0", "d0", level === 5 ? "01" : "f0"])
      test(`level ${level}: a packet that no client sends: ${first}`, () => {
        expect(told(new Harness().client("a", { level }).sendBytes(packet(first, "0001")))).toBe(thrownOut(level, "82"))
      })
  test("level 3 has DUP there: a PUBREL, SUBSCRIBE and UNSUBSCRIBE may be sent again with it", () => {
    const client = new Harness().client("a", { level: 3 })
    client.sendBytes(packet("8a", `0001${textHex("a")}00`))
    client.sendBytes(packet("aa", `0002${textHex("a")}`)).sendBytes("6a 02 0003")
    expect(client.take().map(({ cmd, messageId }) => [cmd, messageId])).toEqual([
      ["suback", 1],
      ["unsuback", 2],
      ["pubcomp", 3],
    ])
  })
})

describe("[MQTT-2.1.3-1] [v3.1.1 MQTT-2.2.2-1] what the broker sends has them", () => {
  for (const level of levels)
    test(`level ${level}: the first byte of every packet`, () => {
      const harness = new Harness()
      const client = harness.client("a", { level })
      const firsts: string[] = [client.bytes.subarray(0, 1).toString("hex")]
      const after = (bytes: string | Buffer) => {
        const { length } = client.bytes
        client.sendBytes(bytes)
        firsts.push(client.bytes.subarray(length, length + 1).toString("hex"))
      }
      after(packet("82", `0001${block(level)}${textHex("a")}02`)) // SUBACK
      after(packet("30", textHex("a") + block(level))) // PUBLISH
      after(packet("32", `${textHex("b")}0001${block(level)}`)) // PUBACK
      after(packet("34", `${textHex("b")}0002${block(level)}`)) // PUBREC
      after("62 02 0002") // PUBCOMP
      after(packet("34", `${textHex("a")}0003${block(level)}`)) // PUBLISH of QoS 2
      after("50 02 0001") // PUBREL
      after(packet("a2", `0004${block(level)}${textHex("a")}`)) // UNSUBACK
      after("c0 00") // PINGRESP
      if (level === 5) after("c1 00") // DISCONNECT
      expect(firsts.join(" ")).toBe(`20 90 30 40 50 70 34 62 b0 d0${level === 5 ? " e0" : ""}`)
    })
})

describe("[MQTT-2.2.1-3] [v3.1.1 MQTT-2.3.1-1] a packet identifier is not 0", () => {
  const packets: [name: string, build: (level: ProtocolLevel) => Buffer][] = [
    ["PUBLISH of QoS 1", (level) => packet("32", `${textHex("a")}0000${block(level)}`)],
    ["PUBLISH of QoS 2", (level) => packet("34", `${textHex("a")}0000${block(level)}`)],
    ["SUBSCRIBE", (level) => packet("82", `0000${block(level)}${textHex("a")}00`)],
    ["UNSUBSCRIBE", (level) => packet("a2", `0000${block(level)}${textHex("a")}`)],
    ["PUBACK", () => hex("40020000")],
    ["PUBREC", () => hex("50020000")],
    ["PUBREL", () => hex("62020000")],
    ["PUBCOMP", () => hex("70020000")],
  ]
  for (const level of levels)
    for (const [name, build] of packets)
      test(`level ${level}: ${name}`, () => {
        expect(told(new Harness().client("a", { level }).sendBytes(build(level)))).toBe(thrownOut(level, "82"))
      })
})

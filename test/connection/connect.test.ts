/** CONNECT up to its payload: what a connection begins with, and which one is let in at all. */
import { describe, expect, test } from "bun:test"
import type { ProtocolLevel } from "../../src/codec/index.ts"
import { hex, textHex } from "../support/bytes.ts"
import { Harness } from "../support/harness.ts"
import { block, connectBytes, fate, levels, packet, told } from "./wire.ts"

/** What becomes of a client that sends this first. */
function sent(bytes: Buffer, level: ProtocolLevel = 5): string {
  return fate(new Harness().open(level).sendBytes(bytes))
}

/** A CONNECT that cannot be read: 5.0 is told, 3.x is not. [v3.1.1 MQTT-3.1.4-1] */
const unreadable = { 3: "closed", 4: "closed", 5: "2003008100 closed" }

describe("[MQTT-3.1.0-1] [v3.1.1 MQTT-3.1.0-1] the first packet is a CONNECT", () => {
  const others: [name: string, bytes: string][] = [
    ["CONNACK", "20 02 00 00"],
    ["PUBLISH", "30 05 00 01 61 00 78"],
    ["PUBACK", "40 02 00 01"],
    ["PUBREC", "50 02 00 01"],
    ["PUBREL", "62 02 00 01"],
    ["PUBCOMP", "70 02 00 01"],
    ["SUBSCRIBE", "82 06 00 01 00 01 61 00"],
    ["SUBACK", "90 03 00 01 00"],
    ["UNSUBSCRIBE", "a2 05 00 01 00 01 61"],
    ["UNSUBACK", "b0 02 00 01"],
    ["PINGREQ", "c0 00"],
    ["PINGRESP", "d0 00"],
    ["DISCONNECT", "e0 00"],
    ["AUTH", "f0 00"],
    ["a packet of type 0", "00 00"],
  ]
  for (const [name, bytes] of others)
    test(`${name}: the connection is closed, without a word`, () => {
      const harness = new Harness()
      const client = harness.open().sendBytes(Buffer.concat([hex(bytes), connectBytes()]))
      expect(fate(client)).toBe("closed")
      expect(harness.core.sessions.size).toBe(0)
    })
})

describe("[MQTT-3.1.0-2] [v3.1.1 MQTT-3.1.0-2] a second CONNECT is a protocol error", () => {
  for (const level of levels) {
    test(`level ${level}: the connection is closed, and the will is due`, () => {
      const harness = new Harness()
      const watcher = harness.client("watcher").subscribe("#")
      const will = { topic: "w", payload: Buffer.from("gone"), qos: 0, retain: false } as const
      const client = harness.client("a", { level, will })
      client.connect({ level })
      expect(told(client)).toBe(level === 5 ? "disconnect 82, closed" : "closed")
      expect(watcher.messages()).toEqual(["w gone"])
    })
    test(`level ${level}: both in one chunk`, () => {
      const connect = connectBytes({ level })
      const client = new Harness().open(level).sendBytes(Buffer.concat([connect, connect]))
      expect(told(client)).toBe(level === 5 ? "connack 00, disconnect 82, closed" : "connack 00, closed")
    })
  }
})

describe("[MQTT-3.1.2-1] [v3.1.1 MQTT-3.1.2-1] a protocol name that is not MQTT's is not served", () => {
  for (const level of levels)
    for (const name of ["MQTX", "mqtt", "MQT", "MQTTT", "", level === 3 ? "MQTT" : "MQIsdp"])
      test(`level ${level}: "${name}"`, () => {
        const harness = new Harness()
        const client = harness.open(level).sendBytes(connectBytes({ level, name }))
        expect(client.isClosed).toBe(true)
        expect(["", "20020001", "2003008400"]).toContain(client.bytes.toString("hex"))
        expect(harness.core.sessions.size).toBe(0)
      })
})

describe("an unknown protocol level gets the CONNACK that its own version prescribes", () => {
  const table: [name: string, levelByte: number, expected: string][] = [
    ["MQTT", 0, "20020001 closed"],
    ["MQTT", 1, "20020001 closed"],
    ["MQTT", 2, "20020001 closed"],
    ["MQTT", 3, "20020001 closed"],
    ["MQIsdp", 4, "20020001 closed"],
    ["MQTT", 6, "2003008400 closed"],
    ["MQTT", 0x7f, "2003008400 closed"],
  ]
  for (const [name, levelByte, expected] of table)
    test(`[MQTT-3.1.2-2] [v3.1.1 MQTT-3.1.2-2] ${name} ${levelByte}`, () => {
      expect(sent(connectBytes({ level: 4, name, levelByte }), levelByte > 5 ? 5 : 4)).toBe(expected)
    })
  for (const levelByte of [0x83, 0x84])
    test(`a Mosquitto bridge, which says 0x${levelByte.toString(16)} first, learns so in 3.1.1's form`, () => {
      expect(sent(connectBytes({ level: 4, levelByte }), 4)).toBe("20020001 closed")
    })
  for (const level of levels)
    test(`[MQTT-3.1.2-2] [v3.1.1 MQTT-3.1.2-2] level ${level} on a listener that does not serve it`, () => {
      const harness = new Harness({ listener: { protocolLevels: levels.filter((each) => each !== level) } })
      expect(told(harness.connect({ level }))).toBe(`connack ${level === 5 ? "84" : "01"}, closed`)
      for (const other of levels)
        if (other !== level) expect(told(harness.connect({ level: other }))).toBe("connack 00, open")
    })
})

describe("the connect flags", () => {
  const table: [name: string, flags: string][] = [
    ["[MQTT-3.1.2-3] [v3.1.1 MQTT-3.1.2-3] the reserved flag is 0", "03"],
    ["[MQTT-3.1.2-11] [v3.1.1 MQTT-3.1.2-11] [v3.1.1 MQTT-3.1.2-13] no will has QoS 1", "0a"],
    ["[MQTT-3.1.2-11] [v3.1.1 MQTT-3.1.2-11] [v3.1.1 MQTT-3.1.2-13] no will has QoS 2", "12"],
    ["[MQTT-3.1.2-13] [v3.1.1 MQTT-3.1.2-15] no will is retained", "22"],
  ]
  for (const level of levels)
    for (const [name, flags] of table)
      test(`${name}: level ${level}`, () => {
        expect(sent(connectBytes({ level, flags }), level)).toBe(unreadable[level])
      })

  for (const level of levels) {
    const payload = textHex("a") + block(level) + textHex("w") + textHex("gone")
    test(`[MQTT-3.1.2-12] [v3.1.1 MQTT-3.1.2-14] level ${level}: a will of QoS 3 is malformed`, () => {
      expect(sent(connectBytes({ level, flags: "1e", payload }), level)).toBe(unreadable[level])
    })
    for (const qos of [0, 1, 2] as const)
      test(`[MQTT-3.1.2-12] [v3.1.1 MQTT-3.1.2-14] level ${level}: a will of QoS ${qos} is published with it`, () => {
        const harness = new Harness()
        const watcher = harness.client("watcher").subscribe("w", { qos: 2 })
        const flags = (0x06 | (qos << 3)).toString(16).padStart(2, "0")
        harness.open(level).sendBytes(connectBytes({ level, flags, payload })).drop()
        expect(watcher.take().at(-1)).toMatchObject({ cmd: "publish", topic: "w", qos })
      })
  }
})

describe("[MQTT-3.1.4-1] [v3.1.1 MQTT-3.1.4-1] a CONNECT that is not as section 3.1 says is closed", () => {
  for (const level of levels) {
    const whole = connectBytes({ level })
    test(`level ${level}: cut at every byte of its body`, () => {
      const body = whole.subarray(2).toString("hex")
      for (let length = 0; length < body.length / 2; length++) {
        const outcome = sent(packet("10", body.slice(0, length * 2)), level)
        // Before the level byte nobody knows what is spoken.
        const known = length > 2 + (level === 3 ? 6 : 4)
        expect([length, outcome]).toEqual([length, known ? unreadable[level] : "closed"])
      }
    })
    test(`level ${level}: a byte too many`, () => {
      expect(sent(connectBytes({ level, payload: `${textHex("a")}00` }), level)).toBe(unreadable[level])
    })
    for (const first of ["11", "12", "14", "18", "1f"])
      test(`level ${level}: fixed header flags ${first}`, () => {
        const client = new Harness().open(level).sendBytes(Buffer.concat([hex(first), whole.subarray(1)]))
        expect(client.isClosed).toBe(true)
        expect(client.take()).toEqual([])
      })
  }

  const properties: [name: string, properties: string, reason: string][] = [
    ["a Session Expiry Interval twice", "11 00000001 11 00000001", "82"],
    ["a Receive Maximum of 0", "21 0000", "82"],
    ["a Maximum Packet Size of 0", "27 00000000", "82"],
    ["Request Problem Information 2", "17 02", "82"],
    ["Request Response Information 2", "19 02", "82"],
    ["Authentication Data without a method", "16 0001 78", "82"],
    ["a property of PUBLISH", "01 01", "81"],
    ["a property of CONNACK", "12 0001 61", "81"],
    ["an identifier that is none", "7f 00", "81"],
    ["a property cut off", "11 000000", "81"],
    ["a user property without its value", "26 0001 61", "81"],
  ]
  for (const [name, bytes, reason] of properties)
    test(`${name}: CONNACK 0x${reason}`, () => {
      expect(sent(connectBytes({ properties: bytes.replaceAll(" ", "") }))).toBe(`200300${reason}00 closed`)
    })
  test("a Property Length past the end", () => {
    expect(sent(packet("10", `${textHex("MQTT")}050200007f${textHex("a")}`))).toBe("2003008100 closed")
  })
  for (const topic of ["a/+", "#", ""])
    test(`a Response Topic of the will that is no topic name: "${topic}"`, () => {
      const payload = textHex("a") + block(5, `08${textHex(topic)}`) + textHex("w") + textHex("")
      expect(sent(connectBytes({ flags: "06", payload }))).toBe("2003008200 closed")
    })
})

describe("[MQTT-3.1.4-5] [v3.1.1 MQTT-3.1.4-4] a CONNECT that is in order is acknowledged with success", () => {
  for (const level of [3, 4] as const)
    test(`level ${level}`, () => expect(sent(connectBytes({ level }), level)).toBe("20020000 open"))
  test("level 5", () => expect(sent(connectBytes())).toMatch(/^20..0000.* open$/))
  for (const level of levels)
    test(`level ${level}: byte by byte`, () => {
      const client = new Harness().open(level)
      for (const byte of connectBytes({ level })) {
        expect(client.take()).toEqual([])
        client.sendBytes(Buffer.of(byte))
      }
      expect(told(client)).toBe("connack 00, open")
    })
})

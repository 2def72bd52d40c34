/** The payload of CONNECT: client identifier, will, user name and password. */
import { describe, expect, test } from "bun:test"
import type { Auth, Connecting } from "../../src/broker/ports.ts"
import type { ProtocolLevel } from "../../src/codec/index.ts"
import { textHex } from "../support/bytes.ts"
import { Harness } from "../support/harness.ts"
import { block, connectBytes, fate, levels, told } from "./wire.ts"

function sent(level: ProtocolLevel, flags: string, payload: string): string {
  return fate(new Harness().open(level).sendBytes(connectBytes({ level, flags, payload })))
}

const unreadable = { 3: "closed", 4: "closed", 5: "2003008100 closed" }

describe("what the flags announce is there, and nothing else", () => {
  for (const level of levels) {
    const will = block(level) + textHex("w") + textHex("x")
    const table: [name: string, flags: string, payload: string][] = [
      ["[MQTT-3.1.3-3] [v3.1.1 MQTT-3.1.3-3] no client identifier", "02", ""],
      ["[MQTT-3.1.2-9] [v3.1.1 MQTT-3.1.2-9] will flag, and nothing after the client identifier", "06", textHex("a")],
      [
        "[MQTT-3.1.2-9] [v3.1.1 MQTT-3.1.2-9] will flag, and nothing after the will topic",
        "06",
        textHex("a") + block(level) + textHex("w"),
      ],
      ["[v3.1.1 MQTT-3.1.2-11] a will without the flag", "02", textHex("a") + will],
      ["[MQTT-3.1.2-16] [v3.1.1 MQTT-3.1.2-18] a user name without the flag", "02", textHex("a") + textHex("u")],
      [
        "[MQTT-3.1.2-18] [v3.1.1 MQTT-3.1.2-20] a password without the flag",
        "82",
        textHex("a") + textHex("u") + textHex("p"),
      ],
    ]
    for (const [name, flags, payload] of table)
      test(`level ${level}: ${name}`, () => expect(sent(level, flags, payload)).toBe(unreadable[level]))
  }

  for (const level of [4, 5] as const) {
    test(`level ${level}: [MQTT-3.1.2-17] [v3.1.1 MQTT-3.1.2-19] the user name flag, and no user name`, () => {
      expect(sent(level, "82", textHex("a"))).toBe(unreadable[level])
    })
    test(`level ${level}: [MQTT-3.1.2-19] [v3.1.1 MQTT-3.1.2-21] the password flag, and no password`, () => {
      expect(sent(level, "c2", textHex("a") + textHex("u"))).toBe(unreadable[level])
    })
  }
  test("level 3 allows both to be missing: the Remaining Length has precedence over the flags", () => {
    expect(sent(3, "82", textHex("a"))).toBe("20020000 open")
    expect(sent(3, "c2", textHex("a") + textHex("u"))).toBe("20020000 open")
  })
  for (const level of [3, 4] as const)
    test(`[v3.1.1 MQTT-3.1.2-22] level ${level}: a password needs a user name`, () => {
      expect(sent(level, "42", textHex("a") + textHex("p"))).toBe("closed")
    })
  test("level 5: a password needs no user name", () => {
    expect(sent(5, "42", textHex("a") + textHex("p"))).toEndWith("open")
  })
})

describe("[MQTT-3.1.3-1] [v3.1.1 MQTT-3.1.3-1] the fields come in their order", () => {
  for (const level of levels)
    test(`level ${level}: each value gets to its place`, () => {
      const seen: Connecting[] = []
      const auth: Auth = {
        authenticate: (client) => {
          seen.push(client)
          return true
        },
      }
      const harness = new Harness({ auth })
      const watcher = harness.client("watcher").subscribe("#", { qos: 2 })
      const properties = block(level, `03${textHex("text/plain")}`)
      const client = harness.open(level).sendBytes(
        connectBytes({
          level,
          flags: "f6", // user name, password, will retain, will QoS 2, will, clean
          keepAlive: "012c",
          properties: level === 5 ? `26${textHex("k")}${textHex("v")}` : "",
          payload:
            textHex("id") + properties + textHex("will/topic") + textHex("payload") + textHex("user") + textHex("pass"),
        }),
      )
      expect(client.take()[0]).toMatchObject({ cmd: "connack" })
      expect(seen.at(-1)).toEqual({
        clientId: "id",
        username: "user",
        password: Buffer.from("pass"),
        protocolLevel: level,
        cleanStart: true,
        keepAliveSeconds: 300,
        userProperties: level === 5 ? [["k", "v"]] : [],
        remoteAddress: "192.0.2.1",
        listener: "test",
        isGone: expect.any(Function),
      })
      client.drop()
      const will = watcher.take().at(-1)!
      expect([will.topic, will.payload.toString(), will.qos]).toEqual(["will/topic", "payload", 2])
      if (level === 5) expect(will.properties).toMatchObject({ contentType: "text/plain" })
    })
})

describe("[MQTT-3.1.3-5] [v3.1.1 MQTT-3.1.3-5] client identifiers of 1 to 23 letters and digits are allowed", () => {
  const characters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
  const ids = [...characters, characters.slice(0, 23), characters.slice(23, 46), characters.slice(39)]
  for (const level of levels)
    test(`level ${level}: each character, and 23 of them`, () => {
      const harness = new Harness()
      for (const clientId of ids) expect(told(harness.connect({ level, clientId }))).toBe("connack 00, open")
      expect([...harness.core.sessions.all()].map(({ clientId }) => clientId)).toEqual(ids)
    })
  for (const level of levels)
    test(`level ${level}: so are longer and stranger ones`, () => {
      const harness = new Harness()
      for (const clientId of ["a".repeat(65_535), "a b/+#", "😀"])
        expect(told(harness.connect({ level, clientId }))).toBe("connack 00, open")
    })
})

describe("an empty client identifier", () => {
  for (const level of [4, 5] as const)
    test(`[MQTT-3.1.3-6] [v3.1.1 MQTT-3.1.3-6] level ${level}: each client gets one of its own`, () => {
      const harness = new Harness()
      const clients = [1, 2, 3].map(() => harness.connect({ level, clientId: "" }))
      for (const client of clients) expect(told(client)).toBe("connack 00, open")
      const ids = [...harness.core.sessions.all()].map(({ clientId }) => clientId)
      expect(new Set(ids).size).toBe(3)
      for (const id of ids) expect(id).toMatch(/^manju-\S{20,}$/)
    })
  test("[MQTT-3.1.3-7] it is returned, and stands for the session like one that the client has chosen", () => {
    const harness = new Harness({ listener: { assignedClientIdPrefix: "gateway-" } })
    const first = harness.connect({ clientId: "", properties: { sessionExpiryInterval: 60 } })
    const clientId = first.take()[0]!.properties.assignedClientIdentifier as string
    expect(clientId).toStartWith("gateway-")
    first.subscribe("a", { qos: 1 }).drop()
    harness.client("publisher").publish("a", "kept", { qos: 1 })
    const again = harness.connect({ clientId, clean: false })
    expect(again.take().map(({ cmd, sessionPresent, payload }) => [cmd, sessionPresent ?? `${payload}`])).toEqual([
      ["connack", true],
      ["publish", "kept"],
    ])
  })
  test("[v3.1.1 MQTT-3.1.3-8] [v3.1.1 MQTT-3.1.3-7] level 4 with CleanSession 0: refused with 0x02", () => {
    expect(sent(4, "00", "0000")).toBe("20020002 closed")
  })
  test("level 3 has none: refused with 0x02", () => expect(sent(3, "02", "0000")).toBe("20020002 closed"))
  for (const level of [4, 5] as const)
    test(`[MQTT-3.1.3-8] [v3.1.1 MQTT-3.1.3-9] level ${level}: on a listener that assigns none`, () => {
      const client = new Harness({ listener: { assignClientIds: false } }).connect({ level, clientId: "" })
      expect(told(client)).toBe(`connack ${level === 5 ? "85" : "02"}, closed`)
    })
})

describe("[MQTT-3.1.3-8] [v3.1.1 MQTT-3.1.3-9] a client identifier that is rejected", () => {
  for (const level of levels)
    test(`level ${level}: the connection is closed, with the reason`, () => {
      const auth: Auth = { authenticate: ({ clientId }) => (clientId === "good" ? true : { reason: 0x85 }) }
      const harness = new Harness({ auth })
      expect(told(harness.connect({ level, clientId: "bad" }))).toBe(`connack ${level === 5 ? "85" : "02"}, closed`)
      expect(told(harness.connect({ level, clientId: "good" }))).toBe("connack 00, open")
    })
})

describe("a will that cannot be published is refused at CONNECT", () => {
  const will = (fields: object) => ({
    topic: "w",
    payload: Buffer.from("x"),
    qos: 0 as const,
    retain: false,
    ...fields,
  })
  for (const level of levels) {
    const refused = (code: string) => (level === 5 ? `connack ${code}, closed` : "closed")
    test(`level ${level}: [MQTT-3.2.2-12] its QoS is above the listener's`, () => {
      const harness = new Harness({ listener: { maximumQoS: 1 } })
      expect(told(harness.connect({ level, will: will({ qos: 2 }) }))).toBe(refused("9b"))
      expect(told(harness.connect({ level, will: will({ qos: 1 }) }))).toBe("connack 00, open")
    })
    test(`level ${level}: [MQTT-3.2.2-13] it is retained where nothing is`, () => {
      const harness = new Harness({ listener: { retainAvailable: false } })
      expect(told(harness.connect({ level, will: will({ retain: true }) }))).toBe(refused("9a"))
      expect(told(harness.connect({ level, will: will({}) }))).toBe("connack 00, open")
    })
    for (const topic of ["a/+", "#", "a/#/b"])
      test(`level ${level}: its topic has a wildcard: ${topic}`, () => {
        expect(sent(level, "06", textHex("a") + block(level) + textHex(topic) + textHex("x"))).toMatch(
          level === 5 ? /^20..0090.* closed$/ : /^closed$/,
        )
      })
    test(`level ${level}: it goes to $SYS, which is the broker's alone`, () => {
      const client = new Harness().connect({ level, will: will({ topic: "$SYS/broker/version" }) })
      expect(told(client)).toBe(`connack ${level === 5 ? "87" : "05"}, closed`)
    })
  }
  test("level 5: it says that it is text and is not", () => {
    const bad = will({ payload: Buffer.from([0xff]), properties: { payloadFormatIndicator: true } })
    expect(told(new Harness({ validatePayloadFormat: true }).connect({ will: bad }))).toBe("connack 99, closed")
    expect(told(new Harness().connect({ will: bad }))).toBe("connack 00, open")
  })
})

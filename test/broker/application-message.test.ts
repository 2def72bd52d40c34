/** Messages as the embedding service sees them: values that never change, made from the broker's or by the service. */
import { describe, expect, test } from "bun:test"
import { ApplicationMessage, type MessageChanges } from "../../src/broker/application-message.ts"
import { ManjuError } from "../../src/broker/errors.ts"
import { Publish, type UserProperty } from "../../src/codec/index.ts"
import { Topic } from "../../src/router/index.ts"
import { Message } from "../../src/session/index.ts"
import { hex } from "../support/bytes.ts"

const NOW = 1_700_000_000_000
const topic = (name: string) => new Topic(name, Buffer.from(name), 0)
const made = (changes: Omit<MessageChanges, "topic" | "payload"> = {}) => ApplicationMessage.create("a/b", "x", changes)

/** The code of what is thrown. */
function codeOf(act: () => unknown): string | undefined {
  try {
    act()
  } catch (error) {
    expect(error).toBeInstanceOf(ManjuError)
    return (error as ManjuError).code
  }
  return undefined
}

/** A message as it comes from the wire: a view of a chunk that is somebody else's afterwards. */
function received(properties = "", payload = "6869") {
  const body = `000361 2f62 ${(properties.length / 2).toString(16).padStart(2, "0")} ${properties} ${payload}`
  const bytes = hex(body.replaceAll(" ", ""))
  const chunk = Buffer.concat([Buffer.from([0x31, bytes.length]), bytes])
  const packet = new Publish()
  expect(packet.decode(chunk, 0, 2, chunk.length, 5)).toBe(0)
  return { chunk, message: new Message().from(packet, topic("a/b"), NOW) }
}

describe("a view of a message of the broker's", () => {
  test("tells all of it", () => {
    const user = "26 0001 61 0001 31 26 0001 61 0001 32".replaceAll(" ", "")
    const { message } = received(`0101 02 0000000a 03 0001 74 08 0001 72 09 0002 00ff ${user}`.replaceAll(" ", ""))
    const view = ApplicationMessage.of(message, NOW)
    expect([view.topic, view.qos, view.retain, view.allowClients]).toEqual(["a/b", 0, true, undefined])
    expect(view.payload).toEqual(Buffer.from("hi"))
    expect(view.properties).toEqual({
      payloadFormatIndicator: true,
      messageExpirySeconds: 10,
      contentType: "t",
      responseTopic: "r",
      correlationData: Buffer.from([0, 255]),
      userProperties: [
        ["a", "1"],
        ["a", "2"],
      ],
    })
  })

  test("keeps its bytes, whatever becomes of the chunk in which it came", () => {
    const { chunk, message } = received("03000174")
    const view = ApplicationMessage.of(message, NOW)
    chunk.fill(0xff)
    expect([view.text(), view.properties]).toEqual(["hi", { contentType: "t" }])
  })

  test("tells what was left of its time when it came here, a second that has begun included", () => {
    const { message } = received("020000000a")
    const left = (now: number) => ApplicationMessage.of(message, now).properties.messageExpirySeconds
    expect([left(NOW), left(NOW + 1), left(NOW + 3500), left(NOW + 60_000)]).toEqual([10, 10, 7, 0])
  })

  test("goes back as the broker's own, not as a copy", () => {
    const { message } = received()
    expect(ApplicationMessage.of(message, NOW).toMessage(message.topic, NOW)).toBe(message.keep())
  })

  test("goes to another broker, which has a topic of its own by that name, as a copy with all of it", () => {
    const { message } = received("020000000a03000174")
    message.recipients = new Set(["a"])
    const other = topic("a/b")
    const copy = ApplicationMessage.of(message, NOW + 1000).toMessage(other, NOW + 2000)
    expect(copy).not.toBe(message.keep())
    expect(copy.topic).toBe(other)
    expect([copy.qos, copy.retain, copy.recipients, copy.expiresAt]).toEqual([0, true, new Set(["a"]), NOW + 10_000])
    expect([copy.payload.toString(), copy.decodeProperties(), copy.storedId]).toEqual(["hi", { contentType: "t" }, 0])
  })

  test("may have the QoS and the RETAIN of a subscription", () => {
    const { message } = received()
    const { qos, retain } = ApplicationMessage.of(message, NOW, 2, false)
    expect([qos, retain]).toEqual([2, false])
  })
})

describe("a payload", () => {
  test("is text, with U+FFFD for what is none", () => {
    expect(ApplicationMessage.create("t", "häll").text()).toBe("häll")
    expect(ApplicationMessage.create("t", new Uint8Array([0x61, 0xff])).text()).toBe("a\ufffd")
  })

  test("is JSON, or throws a SyntaxError", () => {
    expect(ApplicationMessage.create("t", '{"celsius":21.5}').json<{ celsius: number }>().celsius).toBe(21.5)
    for (const text of ["", "{", "undefined"]) {
      expect(() => ApplicationMessage.create("t", text).json()).toThrow(SyntaxError)
    }
  })

  test("is of a part of a buffer that part alone", () => {
    const message = ApplicationMessage.create("t", new Uint8Array(Buffer.from("[1234]")).subarray(1, 5))
    expect([message.text(), message.json(), message.payload.length]).toEqual(["1234", 1234, 4])
  })
})

describe("a message of the service's own", () => {
  test("has QoS 0, no RETAIN and no properties, unless it is given some", () => {
    const { qos, retain, properties, allowClients } = made()
    expect([qos, retain, properties, allowClients]).toEqual([0, false, {}, undefined])
    const other = made({ qos: 2, retain: true, properties: { contentType: "t" }, allowClients: ["a", "b", "a"] })
    expect([other.qos, other.retain, other.properties]).toEqual([2, true, { contentType: "t" }])
    expect(other.allowClients).toEqual(new Set(["a", "b"]))
  })

  test("is a copy of all that it was given", () => {
    const payload = Buffer.from("kept")
    const correlationData = Buffer.from("id")
    const userProperties: [string, string][] = [["a", "1"]]
    const allowClients = new Set(["a"])
    const properties = { contentType: "t", correlationData, userProperties }
    const message = ApplicationMessage.create("t", payload, { properties, allowClients })
    const changed = message.with({ properties })
    payload.fill(0)
    correlationData.fill(0)
    userProperties[0]![1] = "2"
    userProperties.push(["b", "3"])
    properties.contentType = "u"
    allowClients.add("b")
    for (const each of [message, changed]) {
      expect(each.text()).toBe("kept")
      expect(each.allowClients).toEqual(new Set(["a"]))
      expect(each.properties).toMatchObject({ contentType: "t", userProperties: [["a", "1"]] })
      expect(Buffer.from(each.properties.correlationData!).toString()).toBe("id")
    }
  })

  test("begins its time when the broker takes it", () => {
    const message = made({ properties: { messageExpirySeconds: 10 } }).toMessage(topic("a/b"), NOW + 5000)
    expect([message.remainingSeconds(NOW + 5000), message.expiresAt]).toEqual([10, NOW + 15_000])
  })
})

describe("with() makes another message", () => {
  const original = made({ qos: 1, retain: true, properties: { contentType: "t" }, allowClients: ["a"] })
  const changes: [name: keyof MessageChanges, change: MessageChanges, value: unknown][] = [
    ["topic", { topic: "c" }, "c"],
    ["payload", { payload: "y" }, Buffer.from("y")],
    ["payload", { payload: "" }, Buffer.alloc(0)],
    ["payload", { payload: new Uint8Array([1]) }, Buffer.from([1])],
    ["qos", { qos: 0 }, 0],
    ["qos", { qos: 2 }, 2],
    ["retain", { retain: false }, false],
    ["properties", { properties: {} }, {}],
    ["properties", { properties: { responseTopic: "r" } }, { responseTopic: "r" }],
    ["allowClients", { allowClients: [] }, new Set()],
    ["allowClients", { allowClients: new Set(["b"]) }, new Set(["b"])],
  ]
  for (const [name, change, value] of changes)
    test(`with ${JSON.stringify(change)}, and everything else as it was`, () => {
      const changed = original.with(change)
      expect(changed[name] as unknown).toEqual(value)
      for (const each of ["topic", "payload", "qos", "retain", "properties", "allowClients"] as const) {
        if (each !== name) expect(changed[each] as unknown).toEqual(original[each])
      }
      expect([original.topic, original.text(), original.qos, original.retain]).toEqual(["a/b", "x", 1, true])
      expect([original.properties, original.allowClients]).toEqual([{ contentType: "t" }, new Set(["a"])])
    })

  test("and what is undefined is as it was", () => {
    const nothing = { topic: undefined, payload: undefined, qos: undefined, retain: undefined, properties: undefined }
    const same = original.with(nothing as unknown as MessageChanges)
    expect([same.topic, same.text(), same.qos, same.retain, same.properties]).toEqual([
      "a/b",
      "x",
      1,
      true,
      { contentType: "t" },
    ])
  })
})

describe("the time of a message goes on while it is rewritten [MQTT-3.3.2-6]", () => {
  const taken = (changes: MessageChanges, waitedMs = 4000) => {
    const view = ApplicationMessage.of(received("020000000a").message, NOW + 1000)
    return view
      .with(changes)
      .with({ qos: 1 })
      .toMessage(topic("a/b"), NOW + waitedMs)
  }
  test("with another payload", () => {
    expect(taken({ payload: "y" }).expiresAt).toBe(NOW + 10_000)
    expect(taken({ payload: "y" }).remainingSeconds(NOW + 4000)).toBe(6)
    expect(taken({ payload: "y" }, 10_000).isExpired(NOW + 10_000)).toBe(true)
  })
  test("with other properties that repeat it", () => {
    expect(taken({ properties: { messageExpirySeconds: 9, contentType: "t" } }).expiresAt).toBe(NOW + 10_000)
  })
  test("but another one begins when the broker takes the message", () => {
    expect(taken({ properties: { messageExpirySeconds: 20 } }).expiresAt).toBe(NOW + 24_000)
  })
  test("and without one it never expires", () => {
    expect(taken({ properties: {} }).expiresAt).toBe(Number.POSITIVE_INFINITY)
  })
  test("as does one where there was none", () => {
    const view = ApplicationMessage.of(received().message, NOW)
    const message = view.with({ properties: { messageExpirySeconds: 5 } }).toMessage(topic("a/b"), NOW + 1000)
    expect(message.expiresAt).toBe(NOW + 6000)
  })
})

describe("what no PUBLISH can carry is refused there and then", () => {
  const long = "x".repeat(65_536)
  const topics = ["", "a/+", "#", "a\0", "\ud800", long, 5, undefined, null]
  const options: unknown[] = [
    { qos: 3 },
    { qos: -1 },
    { qos: "1" },
    { allowClients: "ops-1" },
    { properties: { responseTopic: "a/+" } },
    { properties: { responseTopic: "" } },
    { properties: { responseTopic: long } },
    { properties: { responseTopic: 5 } },
    { properties: { contentType: "\0" } },
    { properties: { contentType: long } },
    { properties: { contentType: 5 } },
    { properties: { userProperties: [["a", "\udfff"]] } },
    { properties: { userProperties: [["a"]] } },
    { properties: { userProperties: [["a", 1]] } },
    { properties: { userProperties: ["ab"] } },
    { properties: { userProperties: { a: "1" } } },
    { properties: { correlationData: new Uint8Array(65_536) } },
    { properties: { correlationData: "text" } },
    { properties: { messageExpirySeconds: -1 } },
    { properties: { messageExpirySeconds: 0.5 } },
    { properties: { messageExpirySeconds: 2 ** 32 } },
    { properties: { topicAlias: 1 } },
    { properties: { subscriptionIdentifiers: [1] } },
    { properties: { willDelaySeconds: 1 } },
  ]
  for (const name of topics)
    test(`the topic ${Bun.inspect(name).slice(0, 20)}`, () => {
      expect(codeOf(() => ApplicationMessage.create(name as string, ""))).toBe("INVALID_TOPIC")
      if (name !== undefined && name !== null) {
        expect(codeOf(() => made().with({ topic: name as string }))).toBe("INVALID_TOPIC")
      }
    })
  for (const option of options)
    test(JSON.stringify(option).slice(0, 60), () => {
      expect(codeOf(() => made(option as MessageChanges))).toBe("INVALID_OPTION")
      expect(codeOf(() => made().with(option as MessageChanges))).toBe("INVALID_OPTION")
    })
  for (const payload of [5, null, {}, [1], new ArrayBuffer(1)])
    test(`the payload ${Bun.inspect(payload)}`, () => {
      expect(codeOf(() => ApplicationMessage.create("t", payload as never))).toBe("INVALID_OPTION")
      expect(codeOf(() => made().with({ payload: payload as never }))).toBe("INVALID_OPTION")
    })
  test("and no payload at all", () => {
    expect(codeOf(() => ApplicationMessage.create("t", undefined as never))).toBe("INVALID_OPTION")
  })

  test("but what just fits is not", () => {
    const fit = "x".repeat(65_535)
    const userProperties: UserProperty[] = [
      ["", ""],
      [fit, "é"],
    ]
    const properties = {
      contentType: "",
      responseTopic: "/",
      correlationData: new Uint8Array(65_535),
      messageExpirySeconds: 2 ** 32 - 1,
      userProperties,
    }
    expect(ApplicationMessage.create(fit, "", { properties }).properties).toEqual(properties)
  })
})

import { describe, expect, test } from "bun:test"
import type { Auth } from "../../src/broker/ports.ts"
import { durable, Harness, type TestClient } from "../support/harness.ts"

/** The PUBLISH packets that came since `before`, as hexadecimal properties and payload. */
function forwarded(client: TestClient, before: number): { properties: string; payload: string }[] {
  const { bytes } = client
  const found: { properties: string; payload: string }[] = []
  for (let at = before; at < bytes.length; ) {
    const first = bytes[at]!
    const [length, body] = varint(bytes, at + 1)
    const end = body + length
    if (first >> 4 === 3) {
      const idBytes = (first & 6) > 0 ? 2 : 0
      const [size, start] = varint(bytes, body + 2 + bytes.readUInt16BE(body) + idBytes)
      found.push({
        properties: bytes.toString("hex", start, start + size),
        payload: bytes.toString("utf8", start + size, end),
      })
    }
    at = end
  }
  return found
}

function varint(bytes: Buffer, at: number): [value: number, next: number] {
  let value = 0
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++]!
    value |= (byte & 0x7f) << shift
    if (byte < 0x80) return [value, at]
  }
}

const text = (value: string | Buffer) => {
  const bytes = Buffer.from(value)
  return bytes.length.toString(16).padStart(4, "0") + bytes.toString("hex")
}
const user = (name: string, value: string) => `26${text(name)}${text(value)}`

/** A PUBLISH of QoS 1 or 0 to `a` with these properties. */
function publish(client: TestClient, properties: string, { qos = 0, retain = false } = {}): void {
  const block = Buffer.from(properties, "hex")
  const body = Buffer.concat([
    Buffer.from([0, 1, 0x61]),
    Buffer.from(qos > 0 ? [0, 9] : []),
    Buffer.from(block.length < 128 ? [block.length] : [(block.length & 0x7f) | 0x80, block.length >> 7]),
    block,
    Buffer.from("x"),
  ])
  const length = body.length < 128 ? [body.length] : [(body.length & 0x7f) | 0x80, body.length >> 7]
  client.sendBytes(Buffer.concat([Buffer.from([0x30 | (qos << 1) | (retain ? 1 : 0), ...length]), body]))
}

const cases = [
  { clause: "[MQTT-3.3.2-4] Payload Format Indicator 0", properties: "0100" },
  { clause: "[MQTT-3.3.2-4] Payload Format Indicator 1", properties: "0101" },
  { clause: "[MQTT-3.3.2-4] no Payload Format Indicator", properties: "" },
  { clause: "[MQTT-3.3.2-15] Response Topic", properties: `08${text("réponse/à/moi")}` },
  { clause: "[MQTT-3.3.2-16] Correlation Data", properties: `09${text(Buffer.from([0, 255, 0, 0x23]))}` },
  { clause: "[MQTT-3.3.2-16] empty Correlation Data", properties: "090000" },
  { clause: "[MQTT-3.3.2-20] Content Type", properties: `03${text("text/plain; charset=ü")}` },
  {
    clause: "[MQTT-3.3.2-17] [MQTT-3.3.2-18] User Properties, names repeated and values empty, in their order",
    properties: user("b", "1") + user("a", "2") + user("b", "3") + user("", "") + user("b", "1"),
  },
  {
    clause: "[MQTT-3.3.2-17] [MQTT-3.3.2-18] User Properties before, between and behind others",
    properties: `${user("z", "1")}0101${user("y", "2")}03${text("t")}08${text("r")}${user("x", "3")}09${text("c")}`,
  },
  { clause: "[MQTT-3.3.2-17] a User Property longer than one length byte", properties: user("name", "v".repeat(500)) },
]

describe("properties are forwarded unaltered", () => {
  for (const { clause, properties } of cases) {
    for (const qos of [0, 1, 2] as const)
      test(`${clause}: live, to all subscribers, QoS ${qos}`, () => {
        const harness = new Harness()
        const subscribers = ["one", "two"].map((id) => harness.client(id).subscribe("a", { qos }))
        const before = subscribers.map(({ bytes }) => bytes.length)
        publish(harness.client("pub"), properties, { qos: qos && 1 })
        subscribers.forEach((subscriber, index) => {
          expect(forwarded(subscriber, before[index]!)).toEqual([{ properties, payload: "x" }])
        })
      })

    test(`${clause}: from a queue, and sent again`, () => {
      const harness = new Harness()
      harness.client("sub", durable()).subscribe("a", { qos: 1 }).drop()
      publish(harness.client("pub"), properties, { qos: 1 })
      for (let connection = 0; connection < 2; connection++) {
        const subscriber = harness.resume("sub")
        expect(forwarded(subscriber, 0)).toEqual([{ properties, payload: "x" }])
        subscriber.drop()
      }
    })

    test(`${clause}: retained`, () => {
      const harness = new Harness()
      publish(harness.client("pub"), properties, { retain: true })
      expect(forwarded(harness.client("sub").subscribe("a"), 0)).toEqual([{ properties, payload: "x" }])
    })
  }

  test("what belongs to the hop is taken out wherever it stands, and the rest stays", () => {
    const harness = new Harness()
    const subscriber = harness.client("sub").subscribe("a")
    const before = subscriber.bytes.length
    const publisher = harness.client("pub")
    publish(publisher, `${user("a", "1")}230005${user("b", "2")}020000000a${user("c", "3")}`)
    const kept = user("a", "1") + user("b", "2") + user("c", "3")
    expect(forwarded(subscriber, before)).toEqual([{ properties: `020000000a${kept}`, payload: "x" }])
  })

  for (const level of [3, 4] as const)
    test(`a receiver of level ${level} gets the payload and no properties`, () => {
      const harness = new Harness()
      const subscriber = harness.client("sub", { level }).subscribe("a")
      const before = subscriber.bytes.length
      publish(harness.client("pub"), cases.at(-2)!.properties)
      expect(subscriber.bytes.toString("hex", before)).toBe("300400016178")
    })

  for (const level of [3, 4] as const)
    test(`a message of level ${level} gets none on its way to a 5.0 receiver`, () => {
      const harness = new Harness()
      const subscriber = harness.client("sub").subscribe("a")
      const before = subscriber.bytes.length
      harness.client("pub", { level }).publish("a", "x")
      expect(subscriber.bytes.toString("hex", before)).toBe("30050001610078")
    })
})

describe("properties that cannot be forwarded", () => {
  for (const { clause, property } of [
    { clause: "[MQTT-3.3.2-13] a Response Topic that is not UTF-8", property: "080002c328" },
    { clause: "[MQTT-3.3.2-13] a Response Topic with a surrogate in it", property: "080003eda080" },
    { clause: "[MQTT-3.3.2-13] a Response Topic with a null character in it", property: "0800026100" },
    { clause: "[MQTT-3.3.2-14] a Response Topic with #", property: `08${text("a/#")}` },
    { clause: "[MQTT-3.3.2-14] a Response Topic with +", property: `08${text("a/+/b")}` },
    { clause: "[MQTT-3.3.2-19] a Content Type that is not UTF-8", property: "030002c328" },
    { clause: "[MQTT-3.3.2-19] a Content Type with a surrogate in it", property: "030003eda080" },
  ])
    test(`${clause} ends the connection, and the message goes nowhere`, () => {
      const harness = new Harness()
      const witness = harness.client("witness").subscribe("#")
      witness.take()
      const publisher = harness.client("pub")
      publish(publisher, property, { qos: 1 })
      const [disconnect] = publisher.take()
      expect([disconnect!.cmd, publisher.isClosed]).toEqual(["disconnect", true])
      expect([0x81, 0x82, 0x90]).toContain(disconnect!.reasonCode!)
      expect(witness.take()).toEqual([])
    })

  for (const [name, value] of [
    ["[MQTT-3.3.2-14] a Response Topic with #", { responseTopic: "a/#" }],
    ["[MQTT-3.3.2-14] a Response Topic with +", { responseTopic: "+" }],
  ] as const)
    test(`${name} in a will is refused`, () => {
      const will = { topic: "w", payload: Buffer.from("x"), qos: 0 as const, retain: false, properties: value }
      const client = new Harness().connect({ will })
      expect(client.take()[0]!.reasonCode).toBeGreaterThanOrEqual(0x80)
      expect(client.isClosed).toBe(true)
    })
})

describe("[MQTT-3.1.2-29] a client that asks for no problem information", () => {
  test("gets no Reason String and no User Properties but in PUBLISH", () => {
    const auth: Auth = { authenticate: () => true, authorize: (_client, _action, topic) => topic !== "no" }
    const harness = new Harness({ auth })
    const client = harness.client("a", { properties: { requestProblemInformation: false } })
    client.subscribe(["no", "a/#/b", "yes"]).publish("no", "x", { qos: 1 }).publish("no", "x", { qos: 2 })
    client.ack("pubrel", 77).ack("pubrec", 78)
    client.send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: ["never"] })
    const answers = client.take()
    expect(answers.map(({ cmd }) => cmd)).toEqual(["suback", "puback", "pubrec", "pubcomp", "pubrel", "unsuback"])
    for (const { properties } of answers) {
      expect(properties?.reasonString).toBeUndefined()
      expect(properties?.userProperties).toBeUndefined()
    }
    client.publish("yes", "x", { properties: { userProperties: { a: "1" } } })
    expect({ ...client.take()[0]!.properties.userProperties }).toEqual({ a: "1" })
  })
})

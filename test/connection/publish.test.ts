import { describe, expect, test } from "bun:test"
import type { Auth } from "../../src/broker/ports.ts"
import { Harness, type TestClient } from "../support/harness.ts"

const levels = [3, 4, 5] as const

const hexSince = (client: TestClient, before: number) => client.bytes.subarray(before).toString("hex")

/** The reasons of the DISCONNECTs that came; undefined from a version without. */
function expectClosed(client: TestClient, reasonCode: number): void {
  expect(client.isClosed).toBe(true)
  const said = client.take().map((packet) => [packet.cmd, packet.reasonCode])
  expect(said).toEqual(client.level === 5 ? [["disconnect", reasonCode]] : [])
}

describe("[MQTT-3.3.4-1] [v3.1.1 MQTT-3.3.4-1] the answer to a PUBLISH is what its QoS asks for", () => {
  for (const level of levels)
    for (const [qos, answer] of [
      [0, []],
      [1, ["puback"]],
      [2, ["pubrec"]],
    ] as const)
      test(`level ${level}, QoS ${qos}: ${answer[0] ?? "none"}`, () => {
        const client = new Harness().client("a", { level }).publish("t", "x", { qos })
        expect(client.take().map(({ cmd }) => cmd)).toEqual([...answer])
      })
})

describe("[MQTT-4.3.1-1] [MQTT-3.3.1-2] [MQTT-2.2.1-2] [v3.1.1 MQTT-4.3.1-1] [v3.1.1 MQTT-3.3.1-2] [v3.1.1 MQTT-2.3.1-5] a message of QoS 0", () => {
  for (const level of levels) {
    const properties = level === 5 ? "00" : ""
    const length = level === 5 ? "08" : "07"
    test(`level ${level}: has neither DUP nor a packet id, on its way in and out`, () => {
      const harness = new Harness()
      const subscriber = harness.client("sub", { level }).subscribe("a")
      const before = subscriber.bytes.length
      // what stands where a packet id would stand is payload
      harness.client("pub", { level }).sendBytes(`30${length} 0001 61 ${properties} 0007 58 59`)
      expect(hexSince(subscriber, before)).toBe(`30${length}000161${properties}00075859`)
    })

    test(`level ${level}: delivered at QoS 0 because of the subscription, it has no id either`, () => {
      const harness = new Harness()
      const subscriber = harness.client("sub", { level }).subscribe("a")
      const before = subscriber.bytes.length
      harness.client("pub", { level }).publish("a", "x", { qos: 2, messageId: 0x0505, dup: true })
      expect(hexSince(subscriber, before)).toBe(`30${level === 5 ? "05" : "04"}000161${properties}78`)
    })

    test(`level ${level}: with DUP is malformed`, () => {
      const client = new Harness().client("a", { level })
      expectClosed(client.sendBytes(`38${level === 5 ? "05" : "04"}000161${properties}78`), 0x81)
    })
  }
})

describe("[MQTT-3.3.1-3] [v3.1.1 MQTT-3.3.1-3] DUP is not handed on", () => {
  for (const level of levels)
    for (const qos of [1, 2] as const)
      test(`level ${level}, QoS ${qos}: a first delivery has DUP 0, whatever the publisher's packet says`, () => {
        const harness = new Harness()
        const live = harness.client("live", { level }).subscribe("a", { qos })
        live.take()
        const publisher = harness.client("pub", { level }).publish("a", "x", { qos, dup: true })
        publisher.publish("a", "x", { qos, dup: true, retain: true })
        expect(live.take()).toMatchObject(new Array(2).fill({ cmd: "publish", dup: false, qos }))
        const late = harness.client("late", { level }).subscribe("a", { qos })
        expect(late.take().at(-1)).toMatchObject({ cmd: "publish", dup: false, qos })
      })
})

describe("[MQTT-3.3.1-4] [v3.1.1 MQTT-3.3.1-4] both QoS bits", () => {
  for (const level of levels)
    for (const first of ["36", "37", "3e", "3f"])
      test(`level ${level}: ${first} is malformed`, () => {
        expectClosed(new Harness().client("a", { level }).sendBytes(`${first} 06 000161 0001 00`), 0x81)
      })
})

describe("the topic name", () => {
  for (const level of levels) {
    for (const [what, sent] of [
      ["is missing", "30 00"],
      ["is cut off in its length", "30 01 00"],
      ["is longer than the packet", "30 04 0009 61 62"],
      ["is not UTF-8", "30 05 0002 c328 00"],
      ["has a surrogate in it", "30 06 0003 eda080 00"],
      ["has a null character in it", "30 05 0002 6100 00"],
    ] as const)
      test(`level ${level}: [MQTT-3.3.2-1] [v3.1.1 MQTT-3.3.2-1] ${what}: malformed`, () => {
        expectClosed(new Harness().client("a", { level }).sendBytes(sent), 0x81)
      })

    for (const qos of [0, 1, 2] as const)
      for (const topic of ["a/+", "a/#", "#", "+", "a+b"])
        test(`level ${level}: [MQTT-3.3.2-2] [v3.1.1 MQTT-3.3.2-2] ${topic} has a wildcard, QoS ${qos}: refused and not routed`, () => {
          const harness = new Harness()
          const witness = harness.client("witness").subscribe("#")
          witness.take()
          expectClosed(harness.client("a", { level }).publish(topic, "x", { qos }), 0x90)
          expect(witness.take()).toEqual([])
        })
  }
})

describe("overlapping subscriptions", () => {
  for (const level of levels)
    test(`level ${level}: [MQTT-3.3.4-2] [v3.1.1 MQTT-3.3.5-1] the highest QoS of those that match decides`, () => {
      const harness = new Harness()
      const publisher = harness.client("pub", { level })
      for (const filters of [
        ["a/#", "a/b"],
        ["a/b", "a/#"],
        ["a/+", "a/#", "+/b"],
      ]) {
        const subscriber = harness.client("sub", { level })
        for (const filter of filters) subscriber.subscribe(filter, { qos: filter === filters[1] ? 2 : 0 })
        subscriber.take()
        publisher.publish("a/b", "x", { qos: 2 })
        expect(subscriber.take()).toMatchObject([{ cmd: "publish", qos: 2 }])
      }
    })
})

describe("a listener that has something switched off", () => {
  for (const level of levels) {
    for (const [maximumQoS, qos] of [
      [0, 1],
      [0, 2],
      [1, 2],
    ] as const)
      test(`level ${level}: [MQTT-3.2.2-11] maximum QoS ${maximumQoS}: a PUBLISH of QoS ${qos} is refused with 0x9B`, () => {
        const harness = new Harness({ listener: { maximumQoS } })
        const witness = harness.client("witness").subscribe("#")
        witness.take()
        expectClosed(harness.client("a", { level }).publish("t", "x", { qos }), 0x9b)
        expect(witness.take()).toEqual([])
      })

    test(`level ${level}: [MQTT-3.2.2-14] no retained messages: a PUBLISH with RETAIN is refused with 0x9A`, () => {
      const harness = new Harness({ listener: { retainAvailable: false } })
      const connack = harness.connect({ clientId: "b" }).take()[0]!
      expect(connack.properties.retainAvailable).toBe(false)
      expectClosed(harness.client("a", { level }).publish("t", "x", { retain: true }), 0x9a)
      expect(harness.core.retained.count).toBe(0)
    })
  }
})

describe("$SYS is the broker's alone", () => {
  for (const level of levels)
    for (const topic of ["$SYS", "$SYS/broker/uptime", "$SYS/mine"])
      test(`level ${level}: a PUBLISH to ${topic} goes nowhere, whatever auth allows`, () => {
        const harness = new Harness()
        const witness = harness.client("witness").subscribe(["$SYS/#", "$SYS"])
        witness.take()
        const client = harness.client("a", { level })
        for (const qos of [0, 1, 2] as const) client.publish(topic, "x", { qos, retain: true })
        expect(client.take().map(({ cmd, reasonCode }) => `${cmd} ${reasonCode}`)).toEqual(
          level === 5 ? ["puback 135", "pubrec 135"] : ["puback undefined", "pubrec undefined"],
        )
        expect(witness.take()).toEqual([])
        expect(harness.core.retained.count).toBe(0)
      })
})

describe("a PUBLISH that auth denies", () => {
  const auth: Auth = {
    authenticate: () => true,
    authorize: (_, action, topic) => action !== "publish" || topic !== "no",
  }

  for (const level of [3, 4] as const)
    for (const [qos, answers] of [
      [0, []],
      [1, ["puback"]],
      [2, ["pubrec", "pubcomp"]],
    ] as const)
      test(`level ${level}, QoS ${qos}: [v3.1.1 MQTT-3.3.5-2] is acknowledged, for its sender cannot be told, and not routed`, () => {
        const harness = new Harness({ auth })
        const witness = harness.client("witness").subscribe("#")
        witness.take()
        const client = harness.client("a", { level }).publish("no", "x", { qos, retain: true })
        if (qos === 2) client.ack("pubrel", 1)
        expect(client.take().map(({ cmd }) => cmd)).toEqual([...answers])
        expect(witness.take()).toEqual([])
        expect(harness.core.retained.count).toBe(0)
        expect(harness.core.metrics.dropped["not authorized"]).toBe(1)
      })

  test("level 5: QoS 0 is dropped, QoS 1 and 2 are answered with 0x87, and the connection stays", () => {
    const client = new Harness({ auth }).client("a")
    for (const qos of [0, 1, 2] as const) client.publish("no", "x", { qos })
    expect(client.take().map(({ cmd, reasonCode }) => [cmd, reasonCode])).toEqual([
      ["puback", 0x87],
      ["pubrec", 0x87],
    ])
    expect(client.isClosed).toBe(false)
  })
})

describe("validatePayloadFormat", () => {
  const text = { properties: { payloadFormatIndicator: true } }
  const notText = Buffer.from([0xc3, 0x28])

  test("on: what claims to be UTF-8 and is not is refused with 0x99", () => {
    const harness = new Harness({ validatePayloadFormat: true })
    const witness = harness.client("witness").subscribe("#", { qos: 2 })
    witness.take()
    const client = harness.client("a")
    for (const qos of [0, 1, 2] as const) client.publish("t", notText, { qos, ...text })
    expect(client.take().map(({ cmd, reasonCode }) => [cmd, reasonCode])).toEqual([
      ["puback", 0x99],
      ["pubrec", 0x99],
    ])
    expect(witness.take()).toEqual([])
    client.publish("t", "søt\0", text).publish("t", notText)
    expect(witness.take()).toHaveLength(2)
  })

  test("off: it is delivered as it is", () => {
    const harness = new Harness()
    const witness = harness.client("witness").subscribe("#")
    witness.take()
    harness.client("a").publish("t", notText, text)
    expect(witness.take()).toMatchObject([{ payload: notText }])
  })

  test("on: a will is looked at too", () => {
    const harness = new Harness({ validatePayloadFormat: true })
    const will = { topic: "w", payload: notText, qos: 0 as const, retain: false, ...text }
    expect(harness.connect({ will }).take()).toMatchObject([{ cmd: "connack", reasonCode: 0x99 }])
  })
})

/** Topic names and topic filters as clients use them. MQTT 5 §4.7 */
import { describe, expect, test } from "bun:test"
import { Reason } from "../../src/codec/index.ts"
import { textHex } from "../support/bytes.ts"
import { durable, Harness, type TestClient } from "../support/harness.ts"

const levels = [3, 4, 5] as const

/** The filter, what it matches, and what it does not. */
const table: [filter: string, matching: string[], others: string[]][] = [
  ["sport/tennis/player1/#", ["sport/tennis/player1", "sport/tennis/player1/ranking", "sport/tennis/player1/score/wimbledon"], ["sport/tennis/player2", "sport/tennis"]], // biome-ignore format: a table
  ["sport/#", ["sport", "sport/", "sport/a", "sport/a/b"], ["sports", "Sport", "/sport"]],
  ["#", ["a", "/", "a/b", "/a", "a/", "//"], ["$a", "$SYS/x", "$"]],
  ["sport/tennis/+", ["sport/tennis/player1", "sport/tennis/"], ["sport/tennis/player1/ranking", "sport/tennis"]],
  ["sport/+", ["sport/", "sport/a"], ["sport", "sport/a/b"]],
  ["+", ["finance", "a b"], ["/finance", "a/b", "$SYS", "/"]],
  ["+/+", ["/finance", "a/b", "/", "a/"], ["finance", "a/b/c", "$SYS/x"]],
  ["/+", ["/finance", "/"], ["finance", "//", "/a/b"]],
  ["+/tennis/#", ["a/tennis", "/tennis", "a/tennis/b/c"], ["a/b/tennis", "$a/tennis"]],
  ["sport/+/player1", ["sport/a/player1", "sport//player1"], ["sport/player1", "sport/a/b/player1"]],
  ["a/+/c/+/#", ["a/b/c/d", "a//c//", "a/b/c/d/e/f"], ["a/b/c", "a/b/d/c/e"]],
  ["$a/#", ["$a", "$a/b"], ["a/b", "$b/b", "a"]],
  ["$a/+", ["$a/b", "$a/"], ["$a", "a/b"]],
  ["a/$b", ["a/$b"], ["a/b", "$b"]],
  ["a/+", ["a/$b"], []],
  ["a//b", ["a//b"], ["a/b", "a///b"]],
  ["/", ["/"], ["//", "a/"]],
  ["a b", ["a b"], ["a", "a  b", "ab"]],
  ["ACCOUNTS", ["ACCOUNTS"], ["Accounts", "accounts"]],
  ["é", ["é"], ["e\u0301", "e"]],
  ["\ufeffa", ["\ufeffa"], ["a", "\ufeff"]],
  ["\u{1f35e}/+/ÿ", ["\u{1f35e}/x/ÿ"], ["\u{1f35e}/x/y"]],
]

for (const level of levels)
  describe(`level ${level}: [MQTT-3.3.2-3] [v3.1.1 MQTT-3.3.2-3] [MQTT-4.7.1-1] [MQTT-4.7.1-2] [v3.1.1 MQTT-4.7.1-2] [v3.1.1 MQTT-4.7.1-3]`, () => {
    for (const [filter, matching, others] of table)
      test(`"${filter}" gets what it matches, live and retained, and nothing else`, () => {
        const harness = new Harness()
        const client = harness.client("s", { level }).subscribe(filter)
        client.take()
        const publisher = harness.client("p", { level })
        const names = [...matching, ...others]
        for (const topic of names) publisher.publish(topic, "x", { retain: true })
        const expected = matching.map((topic) => `${topic} x`)
        expect(client.messages()).toEqual(expected)
        for (const topic of names) publisher.publish(topic, "x")
        expect(client.messages()).toEqual(expected)
        expect(harness.client("later", { level }).subscribe(filter).messages().sort()).toEqual([...expected].sort())
      })
  })

for (const level of levels)
  describe(`level ${level}`, () => {
    const refused = { 3: 0, 4: 0x80, 5: Reason.TopicFilterInvalid }[level]

    const expectRefused = (filters: string[]) => {
      const harness = new Harness()
      const client = harness.client("s", { level })
      for (const filter of filters) {
        expect([filter, client.subscribe(filter).take()]).toMatchObject([
          filter,
          [{ cmd: "suback", granted: [refused] }],
        ])
      }
      expect(harness.core.router.subscriptionCount).toBe(0)
    }

    test("[MQTT-4.7.1-1] [v3.1.1 MQTT-4.7.1-2] # stands alone or behind a separator, and last", () => {
      expectRefused(["a#", "a/#/b", "#/a", "##", "#a", "a/b#", "#/", "+#", "/#/", "a/#b"])
    })

    test("[MQTT-4.7.1-2] [v3.1.1 MQTT-4.7.1-3] + takes a whole level", () => {
      expectRefused(["a+", "+a/b", "a/b+", "a/+b/c", "++", "a/++", "+#/a"])
    })

    test("[MQTT-4.7.2-1] [v3.1.1 MQTT-4.7.2-1] a filter that begins with a wildcard does not match a topic that begins with $", () => {
      const harness = new Harness()
      const filters = ["#", "+/x", "+/#", "+/+", "$a/#", "$a/+", "$a/x"]
      const publisher = harness.client("p", { level }).publish("$a/x", "kept", { retain: true })
      const clients = filters.map((filter) => harness.client(filter, { level }).subscribe(filter))
      const expected = (payload: string) => filters.map((filter) => (filter[0] === "$" ? [`$a/x ${payload}`] : []))
      expect(clients.map((client) => client.messages())).toEqual(expected("kept"))
      publisher.publish("$a/x", "live")
      expect(clients.map((client) => client.messages())).toEqual(expected("live"))
    })

    /** PUBLISH at QoS 0 of a topic given in hexadecimal, length and all. */
    const publishHex = (client: TestClient, topic: string) => {
      const body = Buffer.from(topic + (level === 5 ? "00" : ""), "hex")
      return client.sendBytes(Buffer.concat([Buffer.from([0x30, body.length]), body]))
    }

    const expectEnded = (client: TestClient, reason: number) => {
      const said = client.take().map(({ cmd, reasonCode }) => [cmd, reasonCode])
      expect(said).toEqual(level === 5 ? [["disconnect", reason]] : [])
      expect(client.isClosed).toBe(true)
    }

    test("[MQTT-4.7.0-1] [MQTT-3.3.2-2] [v3.1.1 MQTT-4.7.1-1] [v3.1.1 MQTT-3.3.2-2] a topic name has no wildcard", () => {
      for (const topic of ["a/+", "a/#", "#", "+", "a+b", "a#", "#/a"]) {
        const harness = new Harness()
        const subscriber = harness.client("s").subscribe(["#", "a/+"])
        subscriber.take()
        expectEnded(publishHex(harness.client("p", { level }), textHex(topic)), Reason.TopicNameInvalid)
        expect(subscriber.take()).toEqual([])
        const will = { topic, payload: Buffer.from("x"), qos: 0 as const, retain: false }
        const refusedClient = harness.connect({ level, clientId: "w", will })
        expect(refusedClient.isClosed).toBe(true)
        expect(subscriber.take()).toEqual([])
      }
    })

    test("[MQTT-4.7.3-1] [v3.1.1 MQTT-4.7.3-1] names and filters have at least one character", () => {
      expectEnded(publishHex(new Harness().client("p", { level }), "0000"), Reason.ProtocolError)
      const harness = new Harness()
      const client = harness.client("s", { level })
      client.sendBytes(level === 5 ? "82 06 0001 00 0000 00" : "82 05 0001 0000 00")
      expect(client.take()).toMatchObject([{ cmd: "suback", granted: [refused] }])
      expect(harness.core.router.subscriptionCount).toBe(0)
      client.sendBytes(level === 5 ? "a2 05 0001 00 0000" : "a2 04 0001 0000")
      expect(client.take()).toMatchObject([{ cmd: "unsuback", ...(level === 5 && { granted: [refused] }) }])
    })

    test("[MQTT-4.7.3-2] [v3.1.1 MQTT-4.7.3-2] names and filters have no U+0000", () => {
      for (const name of ["610062", "00", "6100"]) {
        const hex = (name.length / 2).toString(16).padStart(4, "0") + name
        expectEnded(publishHex(new Harness().client("p", { level }), hex), Reason.MalformedPacket)
        for (const [first, options] of [
          ["82", "00"],
          ["a2", ""],
        ]) {
          const body = Buffer.from(`0001${level === 5 ? "00" : ""}${hex}${options}`, "hex")
          const client = new Harness().client("s", { level })
          client.sendBytes(Buffer.concat([Buffer.from(first!, "hex"), Buffer.from([body.length]), body]))
          expectEnded(client, Reason.MalformedPacket)
        }
      }
    })

    test("[MQTT-4.7.3-3] [v3.1.1 MQTT-4.7.3-3] names and filters of 65,535 bytes travel whole", () => {
      const harness = new Harness()
      const name = `é/${"x".repeat(65_532)}`
      const client = harness.client("s", durable(level)).subscribe(name, { qos: 1 })
      const publisher = harness.client("p", { level }).publish(name, "1", { qos: 1, retain: true })
      client.drop()
      publisher.publish(name, "2", { qos: 1 })
      const resumed = harness.resume("s", durable(level))
      expect(resumed.messages()).toEqual([`${name} 1`, `${name} 2`])
      expect(harness.client("later", { level }).subscribe("é/+").messages()).toEqual([`${name} 1`])
      resumed.send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: [name] })
      expect(harness.core.router.subscriptionCount).toBe(1)
    })

    test("[MQTT-4.7.3-4] [v3.1.1 MQTT-4.7.3-4] names and filters are matched as they are", () => {
      const harness = new Harness()
      const names = [
        "é",
        "e\u0301",
        "A",
        "a",
        "Ⅷ",
        "VIII",
        "ﬁ",
        "fi",
        " a",
        "a ",
        "a/",
        "/a",
        "a//",
        "\ufeffa",
        "ß",
        "ss",
      ]
      const clients = names.map((name, index) => harness.client(String(index), { level }).subscribe(name))
      for (const client of clients) client.take()
      const publisher = harness.client("p", { level })
      for (const name of names) publisher.publish(name, "x")
      expect(clients.map((client) => client.messages())).toEqual(names.map((name) => [`${name} x`]))
    })

    test("names and filters are bounded in length and levels", () => {
      const limits = { maximumTopicBytes: 10, maximumTopicLevels: 3 }
      for (const [name, isValid] of [
        ["1234567890", true],
        ["12345678901", false],
        ["ééééé", true],
        ["éééééé", false],
        ["a/b/c", true],
        ["//", true],
        ["a/b/c/d", false],
        ["///", false],
      ] as const) {
        const harness = new Harness({ limits })
        const client = harness.client("s", { level }).subscribe(name)
        client.subscribe(`$share/a-long-share-name/${name}`)
        const reason = isValid ? 0 : refused
        expect(client.take()).toMatchObject([{ granted: [reason] }, { granted: [reason] }])
        const publisher = harness.client("p", { level })
        publisher.publish(name, "x")
        if (isValid) expect(client.messages()).toEqual([`${name} x`, `${name} x`])
        else expectEnded(publisher, Reason.TopicNameInvalid)
      }
    })
  })

test("the deepest topics that a broker can be told to take do not break it", () => {
  const harness = new Harness({ limits: { maximumTopicLevels: 4096 } })
  const client = harness.client("s")
  const name = new Array(4096).fill("").join("/")
  client.subscribe(name).subscribe(`+${name}`).subscribe(`${name}+`).subscribe("+/#").subscribe("#")
  client.publish(name, "x", { retain: true })
  expect(client.messages()).toEqual([`${name} x`])
  client.subscribe("#").publish(name, "", { retain: true })
  expect(harness.core.retained.count).toBe(0)
  client.disconnect()
  expect(harness.core.router.subscriptionCount).toBe(0)
})

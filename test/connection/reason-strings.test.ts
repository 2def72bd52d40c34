import { describe, expect, test } from "bun:test"
import { Harness } from "../support/harness.ts"

describe("a refusal says why, in words", () => {
  const refusing = () =>
    new Harness({ auth: { authenticate: () => true, authorize: (_client, action) => action === "receive" } })

  const cases = [
    ["PUBACK", (harness: Harness) => harness.client("a").publish("t", "x", { qos: 1 }), "not authorized"],
    ["PUBREC", (harness: Harness) => harness.client("a").publish("t", "x", { qos: 2 }), "not authorized"],
    ["SUBACK", (harness: Harness) => harness.client("a").subscribe("t"), "not authorized"],
    [
      "UNSUBACK",
      (harness: Harness) => harness.client("a").send({ cmd: "unsubscribe", messageId: 1, unsubscriptions: ["a#"] }),
      "topic filter invalid",
    ],
    ["DISCONNECT", (harness: Harness) => harness.client("a").sendBytes("30 03 0001 2b 00"), "malformed packet"],
    [
      "CONNACK",
      (harness: Harness) =>
        harness.connect({ clientId: "", clean: true }, harness.listener({ assignClientIds: false })),
      "a client identifier is required",
    ],
  ] as const

  for (const [packet, provoke, reasonString] of cases)
    test(packet, () => {
      const [answer] = provoke(refusing()).take()
      expect([answer?.cmd.toUpperCase(), answer?.properties?.reasonString]).toEqual([packet, reasonString])
    })

  test("[MQTT-3.1.2-29] not to a client that does not want to know", () => {
    const harness = refusing()
    const client = harness.client("a", { properties: { requestProblemInformation: false } })
    client.publish("t", "x", { qos: 1 }).subscribe("t")
    expect(client.take().map(({ cmd, properties }) => [cmd, properties?.reasonString])).toEqual([
      ["puback", undefined],
      ["suback", undefined],
    ])
  })

  test("not in words that cannot be sent", () => {
    const reasonString = "x".repeat(70_000)
    const authenticate = () => ({ reason: 0x9c, reasonString, serverReference: reasonString }) as const
    const [connack] = new Harness({ auth: { authenticate } }).connect().take()
    expect([connack?.reasonCode, connack?.properties]).toEqual([0x9c, undefined])
  })
})

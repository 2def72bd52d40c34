/** What the log says of clients: who, what, and why, so that the operator need not guess. */
import { describe, expect, test } from "bun:test"
import type { Auth } from "../../src/broker/ports.ts"
import { Reason } from "../../src/codec/index.ts"
import { Harness } from "../support/harness.ts"

const strict: Auth = {
  authenticate: ({ username }) => username !== "eve" || { reason: Reason.BadUserNameOrPassword },
  authorize: (_client, action, topic) => !topic.startsWith(`no ${action}`),
}

describe("a client that is refused is named", () => {
  for (const [what, fields, said] of [
    ["by its id and user", { clientId: "dev1", username: "eve" }, "dev1, user eve"],
    ["by its user, where it has no id", { clientId: "", username: "eve" }, "a client without an id, user eve"],
  ] as const)
    test(what, () => {
      const harness = new Harness({ auth: strict })
      harness.connect(fields)
      expect(harness.logged).toEqual([`info refused ${said} (192.0.2.1) on test: 0x86 BadUserNameOrPassword`])
    })

  test("also before anybody has been asked who it is", () => {
    const harness = new Harness({ listener: { protocolLevels: [5] } })
    harness.connect({ level: 4, clientId: "dev1" })
    expect(harness.logged).toEqual([
      "info refused dev1 (192.0.2.1) on test: 0x84 UnsupportedProtocolVersion: this listener does not serve this version",
    ])
  })
})

test("a subscription that is refused is said, with its filter and reason; one that is granted is not", () => {
  const harness = new Harness({ auth: strict })
  const client = harness.client("dev1")
  harness.logged.length = 0
  client.subscribe(["a", "no subscribe/x", "b/#/c"])
  expect(harness.logged).toEqual([
    "debug refused dev1 a subscription to no subscribe/x: 0x87 NotAuthorized",
    "debug refused dev1 a subscription to b/#/c: 0x8f TopicFilterInvalid",
  ])
})

describe("a message that is dropped", () => {
  test("was from its sender, where nobody gets it", () => {
    const harness = new Harness({ auth: strict })
    const client = harness.client("dev1")
    harness.logged.length = 0
    client.publish("no publish/x")
    expect(harness.logged).toEqual(["debug dropped from dev1: no publish/x: not authorized"])
  })

  test("was for its receiver, where others may get it", () => {
    const harness = new Harness({ auth: strict })
    harness.client("dev2").subscribe("#")
    const client = harness.client("dev1")
    harness.logged.length = 0
    client.publish("no receive/x")
    expect(harness.logged).toEqual(["debug dropped for dev2: no receive/x: not authorized"])
  })
})

test("the reason of a client's goodbye has its name", () => {
  const harness = new Harness()
  const client = harness.client("dev1")
  harness.logged.length = 0
  client.send({ cmd: "disconnect", reasonCode: Reason.DisconnectWithWill })
  expect(harness.logged).toEqual(["info disconnected dev1: 0x04 DisconnectWithWill"])
})

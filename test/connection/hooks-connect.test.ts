/** `onConnect`: who may try to be let in, before anybody is asked who it is. */
import { describe, expect, test } from "bun:test"
import type { Hooks } from "../../src/broker/hooks.ts"
import type { Auth, Refusal } from "../../src/broker/ports.ts"
import { Reason } from "../../src/codec/index.ts"
import { ways } from "../support/door.ts"
import { hooked } from "../support/hooked.ts"
import { Late } from "../support/late.ts"
import { microtasks } from "../support/store.ts"
import { levels, told } from "./wire.ts"

const password = { username: "claimed", password: Buffer.from("secret") }

describe("onConnect", () => {
  test("sees what the CONNECT says and where it comes from, before the auth is asked", () => {
    const asked: unknown[] = []
    const auth: Auth = { authenticate: () => asked.push("auth") > 0 }
    const harness = hooked({ onConnect: (client) => void asked.push(client) }, { auth })
    harness.client("a", { ...password, keepalive: 7, properties: { userProperties: { k: "v" } } })
    expect(asked).toMatchObject([
      {
        clientId: "a",
        username: "claimed",
        password: Buffer.from("secret"),
        protocolLevel: 5,
        cleanStart: true,
        keepAliveSeconds: 7,
        userProperties: [["k", "v"]],
        remoteAddress: "192.0.2.1",
        listener: "test",
      },
      "auth",
    ])
  })

  const refusals: [answer: false | Refusal, level5: string, level3: string][] = [
    [false, "connack 87, closed", "connack 05, closed"],
    [{ reason: Reason.NotAuthorized }, "connack 87, closed", "connack 05, closed"],
    [{ reason: Reason.Banned }, "connack 8a, closed", "connack 05, closed"],
    [{ reason: Reason.ServerBusy }, "connack 89, closed", "connack 03, closed"],
    [{ reason: Reason.BadUserNameOrPassword }, "connack 86, closed", "connack 04, closed"],
    [{ reason: Reason.ClientIdentifierNotValid }, "connack 85, closed", "connack 02, closed"],
    [{ reason: Reason.ConnectionRateExceeded }, "connack 9f, closed", "connack 03, closed"],
    [{ reason: Reason.TopicFilterInvalid }, "connack 80, closed", "closed"], // no reason of a CONNACK [MQTT-3.2.2-8]
  ]
  for (const level of levels)
    for (const [when, give] of ways)
      for (const [answer, level5, level3] of refusals)
        test(`level ${level}: refuses ${when} with ${JSON.stringify(answer)}`, async () => {
          let authenticated = 0
          const auth: Auth = { authenticate: () => ++authenticated > 0 }
          const harness = hooked({ onConnect: () => give(answer) }, { auth })
          const client = harness.connect({ level })
          await microtasks()
          expect(told(client)).toBe(level === 5 ? level5 : level3)
          expect([authenticated, harness.core.sessions.size, harness.core.metrics.connectsRefused]).toEqual([0, 0, 1])
        })

  test("says why and where to go instead", async () => {
    const refusal = { reason: Reason.UseAnotherServer, reasonString: "full", serverReference: "other:1883" }
    const client = hooked({ onConnect: () => refusal }).connect()
    expect(client.take()).toMatchObject([
      { reasonCode: 0x9c, properties: { reasonString: "full", serverReference: "other:1883" } },
    ])
  })

  for (const level of levels)
    for (const [how, onConnect] of [
      [
        "throws",
        () => {
          throw new Error("broken")
        },
      ],
      ["rejects", () => Promise.reject(new Error("broken"))],
      ["answers nonsense", () => "yes" as never],
    ] as [string, NonNullable<Hooks["onConnect"]>][])
      test(`level ${level}: that ${how} has refused, which is counted and reported`, async () => {
        const harness = hooked({ onConnect })
        const errors: unknown[] = []
        harness.core.hooks.use({ onError: (_, where) => errors.push(where) })
        const client = harness.connect({ level })
        await microtasks()
        expect(told(client)).toBe(level === 5 ? "connack 83, closed" : "closed")
        expect([harness.core.metrics.hooksFailed, errors]).toEqual([1, ["onConnect"]])
      })

  test("lets in by saying nothing, at once or late", async () => {
    for (const [, give] of ways) {
      const client = hooked({ onConnect: () => give(undefined) }).connect()
      await microtasks()
      expect(told(client)).toBe("connack 00, open")
    }
  })

  test("does not let in whom the auth refuses", () => {
    expect(told(hooked({ onConnect: () => undefined }, { auth: null }).connect())).toBe("connack 87, closed")
  })

  test("while it thinks, nothing more is read, and the time to connect goes on", async () => {
    const late = new Late<undefined>()
    let authenticated = 0
    const auth: Auth = { authenticate: () => ++authenticated > 0 }
    const harness = hooked(
      { onConnect: ({ clientId }) => late.ask(clientId) },
      { auth, limits: { connectTimeoutSeconds: 5 } },
    )
    const witness = harness.open()
    const client = harness.connect({ clientId: "a" }).publish("t", "1", { qos: 1 })
    witness.connect({ clientId: "b" })
    expect([client.isPaused, client.received, late.asked]).toEqual([true, [], ["a", "b"]])
    await late.give("a", undefined)
    expect(told(client)).toBe("connack 00, puback 10, open")
    harness.clock.advance(6)
    await late.give("b", undefined)
    expect([told(witness), harness.core.sessions.size, authenticated]).toEqual(["connack 88, closed", 1, 1])
  })
})

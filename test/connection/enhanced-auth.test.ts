/** Enhanced authentication and re-authentication: MQTT 5 §4.12. */
import { describe, expect, test } from "bun:test"
import type { Auth, Connecting, Exchange, ExchangeStep } from "../../src/broker/ports.ts"
import { textHex } from "../support/bytes.ts"
import { type ConnectFields, Harness, type TestClient } from "../support/harness.ts"
import { microtasks } from "../support/store.ts"
import { block, connectBytes, packet, told } from "./wire.ts"

type Step = (data: string, client: Connecting) => ExchangeStep | Promise<ExchangeStep>

/** An auth with the method `M`, whose exchange takes these steps; plain clients are let in. */
function methodM(...steps: Step[]): Auth {
  return {
    authenticate: () => true,
    exchange(client, method): Exchange | undefined {
      if (method !== "M") return undefined
      let taken = 0
      return { next: (data) => steps[taken++]!(String(data ?? ""), client) }
    },
  }
}

const challenge = (text: string): ExchangeStep => ({ challenge: Buffer.from(text) })
const authenticated = (text: string): ExchangeStep => ({ authenticated: true, data: Buffer.from(text) })

/** `hello` -> `who?`, `me` -> in. */
const twoSteps: Step[] = [
  (data) => (data === "hello" ? challenge("who?") : false),
  (data) => (data === "me" ? authenticated("welcome") : { reason: 0x87, reasonString: "not you" }),
]
const late = (steps: Step[]): Step[] => steps.map((step) => async (data, client) => step(data, client))

const withMethod = (data = "hello", authenticationMethod = "M"): ConnectFields => ({
  clientId: "a",
  properties: { authenticationMethod, authenticationData: Buffer.from(data) },
})

function sendAuth(client: TestClient, reasonCode: number, data: string, authenticationMethod = "M"): TestClient {
  const properties = { authenticationMethod, authenticationData: Buffer.from(data) }
  return client.send({ cmd: "auth", reasonCode, properties })
}

/** What has come, with methods and data. */
function seen(client: TestClient): string[] {
  const packets = client.take().map(({ cmd, reasonCode, properties }) => {
    const { authenticationMethod: method, authenticationData: data } = properties ?? {}
    return [cmd, reasonCode.toString(16).padStart(2, "0"), method, data && String(data)].filter(Boolean).join(" ")
  })
  return client.isClosed ? [...packets, "closed"] : packets
}

const kinds: [name: string, steps: Step[]][] = [
  ["at once", twoSteps],
  ["late", late(twoSteps)],
]

describe("[MQTT-4.12.0-2] [MQTT-4.12.0-5] an exchange: every AUTH and the CONNACK carry the method of the CONNECT", () => {
  for (const [name, steps] of kinds)
    test(`with a challenge, answered ${name}`, async () => {
      const harness = new Harness({ auth: methodM(...steps) })
      const client = harness.connect(withMethod())
      await microtasks()
      expect(seen(client)).toEqual(["auth 18 M who?"])
      expect(harness.core.sessions.size).toBe(0)
      sendAuth(client, 0x18, "me")
      await microtasks()
      expect(seen(client)).toEqual(["connack 00 M welcome"])
      client.send({ cmd: "pingreq" })
      expect(told(client)).toBe("pingresp, open")
    })
  test("without one", () => {
    const client = new Harness({ auth: methodM(() => authenticated("in")) }).connect(withMethod())
    expect(seen(client)).toEqual(["connack 00 M in"])
  })
  test("the username that it establishes takes the place of the CONNECT's", () => {
    const publishers: (string | undefined)[] = []
    const auth: Auth = {
      ...methodM(() => ({ authenticated: true, username: "proven" })),
      authorize: ({ username }) => publishers.push(username) > 0,
    }
    new Harness({ auth }).connect({ ...withMethod(), username: "claimed" }).publish("t")
    expect(publishers).toEqual(["proven"])
  })
  test("the exchange is told what the CONNECT said", () => {
    const told: unknown[] = []
    const step: Step = (data, { clientId, username, protocolLevel }) => {
      told.push([data, clientId, username, protocolLevel])
      return false
    }
    new Harness({ auth: methodM(step) }).connect({ ...withMethod("x"), username: "u" })
    expect(told).toEqual([["x", "a", "u", 5]])
  })
})

describe("[MQTT-4.12.0-1] a method that is not supported: CONNACK 0x8C, closed", () => {
  const throwing = () => {
    throw new Error("broken")
  }
  const table: [name: string, auth: Auth][] = [
    ["an unknown one", methodM(...twoSteps)],
    ["on a listener without any", { authenticate: () => true }],
    ["an exception at its beginning", { authenticate: () => true, exchange: throwing }],
  ]
  for (const [name, auth] of table)
    test(name, () => {
      const harness = new Harness({ auth })
      expect(told(harness.connect(withMethod("", "nope")))).toBe("connack 8c, closed")
      expect(told(harness.connect({ clientId: "b" }))).toBe("connack 00, open")
    })
})

describe("[MQTT-4.12.0-4] it may be rejected at any point", () => {
  const rejections: [name: string, outcome: () => ExchangeStep | Promise<ExchangeStep>, code: string][] = [
    ["false", () => false, "87"],
    ["a reason", () => ({ reason: 0x8a }), "8a"],
    ["late", async () => ({ reason: 0x86 }), "86"],
    [
      "an exception",
      () => {
        throw new Error("no")
      },
      "87",
    ],
    ["a rejected promise", () => Promise.reject(new Error("no")), "87"],
    ["nothing at all", (() => undefined) as unknown as () => ExchangeStep, "87"],
  ]
  for (const [name, outcome, code] of rejections) {
    test(`after the CONNECT: ${name}`, async () => {
      const client = new Harness({ auth: methodM(outcome) }).connect(withMethod())
      await microtasks()
      expect(told(client)).toBe(`connack ${code}, closed`)
    })
    test(`after the first and the second AUTH: ${name}`, async () => {
      const auth = methodM(
        () => challenge("1"),
        () => challenge("2"),
        outcome,
      )
      const harness = new Harness({ auth })
      const client = harness.connect(withMethod())
      sendAuth(sendAuth(client, 0x18, "x"), 0x18, "y")
      await microtasks()
      expect(told(client)).toBe(`auth 18, auth 18, connack ${code}, closed`)
      expect(harness.core.sessions.size).toBe(0)
    })
  }
})

describe("before the CONNACK the client sends AUTH or DISCONNECT only", () => {
  const table: [name: string, bytes: Buffer | string][] = [
    ["PUBLISH", packet("31", `${textHex("t")}0078`)],
    ["SUBSCRIBE", packet("82", `000100${textHex("t")}00`)],
    ["PINGREQ", "c0 00"],
    ["CONNECT", connectBytes()],
    ["PUBACK", "40 02 00 01"],
  ]
  for (const [name, bytes] of table)
    test(`[MQTT-3.1.2-30] ${name}: CONNACK 0x82, closed, nothing of it done`, () => {
      const harness = new Harness({ auth: methodM(...twoSteps) })
      const client = harness.connect(withMethod())
      client.sendBytes(bytes)
      sendAuth(client, 0x18, "me")
      expect(told(client)).toBe("auth 18, connack 82, closed")
      expect([harness.core.retained.count, harness.core.sessions.size]).toEqual([0, 0])
    })
  test("DISCONNECT ends it", () => {
    const client = new Harness({ auth: methodM(...twoSteps) }).connect(withMethod())
    expect(told(client.disconnect())).toBe("auth 18, closed")
  })
  test("one that never answers is closed in time", () => {
    const harness = new Harness({ auth: methodM(...twoSteps) })
    const client = harness.connect(withMethod())
    harness.clock.advance(10.5)
    expect(told(client)).toBe("auth 18, connack 87, closed")
  })
  for (const reasonCode of [0x00, 0x19])
    test(`[MQTT-4.12.0-3] an AUTH with 0x${reasonCode.toString(16)}: CONNACK 0x82, closed`, () => {
      const client = new Harness({ auth: methodM(...twoSteps) }).connect(withMethod())
      expect(told(sendAuth(client, reasonCode, "me"))).toBe("auth 18, connack 82, closed")
    })
  const auths: [name: string, bytes: Buffer | string, code: string][] = [
    ["[MQTT-3.15.2-1] of an unknown reason", packet("f0", `55${block(5, `15${textHex("M")}`)}`), "82"],
    ["[MQTT-4.12.0-5] with another method", packet("f0", `18${block(5, `15${textHex("N")}`)}`), "82"],
    ["[MQTT-4.12.0-5] without a method", packet("f0", "1800"), "82"],
    ["[MQTT-4.12.0-5] of nothing", "f0 00", "82"],
    ["with a property that it has not", packet("f0", `18${block(5, `15${textHex("M")}1100000001`)}`), "81"],
    ["cut short", packet("f0", "1805"), "81"],
  ]
  for (const [name, bytes, code] of auths)
    test(`an AUTH ${name}: CONNACK 0x${code}, closed`, () => {
      const client = new Harness({ auth: methodM(...twoSteps) }).connect(withMethod())
      expect(told(client.sendBytes(bytes))).toBe(`auth 18, connack ${code}, closed`)
    })
  test("[MQTT-3.15.1-1] an AUTH with reserved bits set is malformed, before and after CONNACK", () => {
    const rest = packet("f0", `18${block(5, `15${textHex("M")}`)}`).subarray(1)
    for (let flags = 1; flags < 16; flags++) {
      const bytes = Buffer.concat([Buffer.of(0xf0 | flags), rest])
      const during = new Harness({ auth: methodM(...twoSteps) }).connect(withMethod()).sendBytes(bytes)
      expect(told(during)).toBe("auth 18, connack 81, closed")
      const after = new Harness({ auth: methodM(() => authenticated("")) }).connect(withMethod()).sendBytes(bytes)
      expect(told(after)).toBe("connack 00, disconnect 81, closed")
    }
  })
})

describe("without a method in the CONNECT", () => {
  test("[MQTT-4.12.0-6] the broker sends no AUTH, and no method in CONNACK", () => {
    const client = new Harness({ auth: methodM(...twoSteps) }).connect()
    const packets = client.take()
    expect(packets.map(({ cmd }) => cmd)).toEqual(["connack"])
    expect(packets[0]!.properties).not.toHaveProperty("authenticationMethod")
  })
  for (const reasonCode of [0x18, 0x19, 0x00])
    test(`[MQTT-4.12.0-7] an AUTH 0x${reasonCode.toString(16)} from the client: DISCONNECT 0x82, closed`, () => {
      const client = new Harness({ auth: methodM(...twoSteps) }).client("a")
      expect(told(sendAuth(client, reasonCode, "hello"))).toBe("disconnect 82, closed")
    })
})

describe("re-authentication", () => {
  /** A client that is in by a method whose exchange takes `twoSteps` from now on. */
  function client(steps: Step[], fields: ConnectFields = {}) {
    let first = true
    const auth: Auth = {
      authenticate: () => true,
      exchange(connecting, method) {
        const isFirst = first
        first = false
        return isFirst ? { next: () => authenticated("") } : methodM(...steps).exchange!(connecting, method)
      },
    }
    const harness = new Harness({ auth })
    const watcher = harness.client("watcher").subscribe("#")
    const will = { topic: "w", payload: Buffer.from("gone"), qos: 0, retain: false } as const
    const connected = harness.connect({ will, ...fields, ...withMethod() })
    expect(seen(connected)).toEqual(["connack 00 M"])
    watcher.take()
    return { harness, watcher, client: connected }
  }

  for (const [name, steps] of kinds) {
    test(`[MQTT-4.12.1-1] [MQTT-3.2.0-2] succeeds ${name}: AUTH 0x18, AUTH 0x00, while messages flow`, async () => {
      const { client: connected, watcher } = client(steps)
      sendAuth(connected, 0x19, "hello")
      await microtasks()
      expect(seen(connected)).toEqual(["auth 18 M who?"])
      connected.publish("t", "meanwhile").subscribe("u")
      watcher.publish("u", "too")
      expect(watcher.messages()).toEqual(["t meanwhile", "u too"])
      expect(connected.take().map(({ cmd }) => cmd)).toEqual(["suback", "publish"])
      sendAuth(connected, 0x18, "me")
      await microtasks()
      expect(seen(connected)).toEqual(["auth 00 M welcome"])
      expect(told(sendAuth(connected, 0x18, "more"))).toBe("disconnect 82, closed")
    })
    test(`[MQTT-4.12.1-2] fails ${name}: DISCONNECT 0x87, closed, the will is published`, async () => {
      const { client: connected, watcher } = client(steps)
      sendAuth(connected, 0x19, "hello")
      await microtasks()
      connected.take()
      sendAuth(connected, 0x18, "somebody else")
      await microtasks()
      const [disconnect] = connected.take()
      expect(disconnect).toMatchObject({ cmd: "disconnect", reasonCode: 0x87 })
      expect({ ...disconnect!.properties }).toEqual({ reasonString: "not you" })
      expect(connected.isClosed).toBe(true)
      expect(watcher.messages()).toEqual(["w gone"])
    })
  }
  for (const [method, reasonCode] of [
    ["N", 0x19],
    ["N", 0x18],
    ["M", 0x18],
    ["M", 0x00],
  ] as const)
    test(`[MQTT-4.12.1-1] AUTH 0x${reasonCode.toString(16)} with the method ${method}: DISCONNECT 0x82, closed`, () => {
      const { client: connected } = client(twoSteps)
      expect(told(sendAuth(connected, reasonCode, "hello", method))).toBe("disconnect 82, closed")
    })
  test("a second one cannot begin inside the first", () => {
    const { client: connected } = client(twoSteps)
    expect(told(sendAuth(sendAuth(connected, 0x19, "hello"), 0x19, "hello"))).toBe("auth 18, disconnect 82, closed")
  })
  test("[MQTT-3.14.2-1] it is refused with a reason that a DISCONNECT knows, a redirect with where to go", () => {
    for (const reason of [0x86, 0x8c, 0x8a] as const)
      expect(told(sendAuth(client([() => ({ reason })]).client, 0x19, ""))).toBe("disconnect 87, closed")
    const { client: connected } = client([() => ({ reason: 0x9c, serverReference: "other" })])
    const [disconnect] = sendAuth(connected, 0x19, "").take()
    expect(disconnect).toMatchObject({ reasonCode: 0x9c, properties: { serverReference: "other" } })
  })
  test("the packets behind an AUTH wait for its decision", async () => {
    const { client: connected, watcher } = client(late(twoSteps))
    sendAuth(connected, 0x19, "hello").publish("t", "behind")
    expect(watcher.messages()).toEqual([])
    await microtasks()
    expect(watcher.messages()).toEqual(["t behind"])
  })
})

describe("[MQTT-3.15.2-2] [MQTT-3.15.2-3] an AUTH is never larger than the client takes", () => {
  for (const maximumPacketSize of [20, 60, 200])
    test(`${maximumPacketSize} bytes`, () => {
      const auth = methodM(() => challenge("x".repeat(100)))
      const client = new Harness({ auth }).connect({
        properties: { ...withMethod().properties, maximumPacketSize },
      })
      expect(client.bytes.length).toBeLessThanOrEqual(maximumPacketSize)
      expect(told(client)).toBe(maximumPacketSize === 200 ? "auth 18, open" : "connack 95, closed")
    })
})

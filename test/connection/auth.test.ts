/** Who may connect: decisions at once or late, with reasons or without, and what waits for them. */
import { describe, expect, test } from "bun:test"
import { all } from "../../src/auth/compose.ts"
import { denyAll } from "../../src/auth/deny.ts"
import type { Hooks } from "../../src/broker/hooks.ts"
import type { Auth, Connecting, Decision } from "../../src/broker/ports.ts"
import type { Reason } from "../../src/codec/index.ts"
import { textHex } from "../support/bytes.ts"
import { withMethod } from "../support/door.ts"
import { type ConnectFields, Harness } from "../support/harness.ts"
import { microtasks } from "../support/store.ts"
import { block, connectBytes, levels, packet, told } from "./wire.ts"

/** An auth whose decisions the test makes, in any order. */
class LateAuth implements Auth {
  readonly asked: (Pick<Connecting, "clientId" | "isGone"> & {
    resolve: (decision: Decision) => void
    reject: (error: Error) => void
  })[] = []

  authenticate({ clientId, isGone }: Connecting): Promise<Decision> {
    return new Promise((resolve, reject) => void this.asked.push({ clientId, isGone, resolve, reject }))
  }
}

/** An auth that answers what it should not. */
const saying = (answer: unknown): Auth => ({ authenticate: () => answer as Decision })

const failing = () => {
  throw new Error("the database is away")
}

describe("[MQTT-3.1.4-2] who is not let in is told so and disconnected", () => {
  const table: [name: string, auth: Auth | null, code5: string, code3: string][] = [
    ["no auth at all", null, "87", "05"],
    ["denyAll()", denyAll(), "87", "05"],
    ["false", { authenticate: () => false }, "87", "05"],
    ["a promise of false", { authenticate: async () => false }, "87", "05"],
    ["a reason", { authenticate: () => ({ reason: 0x86 }) }, "86", "04"],
    ["a promise of a reason", { authenticate: async () => ({ reason: 0x8a }) }, "8a", "05"],
    ["an exception", { authenticate: failing }, "87", "05"],
    ["a rejected promise", { authenticate: () => Promise.reject(new Error("no")) }, "87", "05"],
    ["nothing", { authenticate: (() => undefined) as unknown as () => boolean }, "87", "05"],
    ["another thing than a decision", { authenticate: (() => ({ ok: 1 })) as unknown as () => boolean }, "87", "05"],
    ["null", saying(null), "87", "05"],
    ["half an admission", saying({ authenticated: false, reason: 0 }), "87", "05"],
    ["an admission that ends at no time", saying({ authenticated: true, expiresAt: Number.NaN }), "87", "05"],
    ["an admission that never ends", saying({ authenticated: true, expiresAt: Number.POSITIVE_INFINITY }), "87", "05"],
  ]
  for (const level of levels)
    for (const [name, auth, code5, code3] of table)
      test(`level ${level}: ${name}`, async () => {
        const harness = new Harness({ auth })
        const client = harness.connect({ level })
        await microtasks()
        const connack = level === 5 ? `connack ${code5}, ` : code3 === "" ? "" : `connack ${code3}, `
        expect(told(client)).toBe(`${connack}closed`)
        expect(harness.core.sessions.size).toBe(0)
        expect(harness.core.metrics.connectsRefused).toBe(1)
      })
  for (const level of levels)
    for (const decision of [false, undefined])
      test(`level ${level}: who has given a user name is told that it or the password is wrong, by ${decision}`, () => {
        const client = new Harness({ auth: { authenticate: () => decision } }).connect({ level, username: "ada" })
        expect(told(client)).toBe(level === 5 ? "connack 86, closed" : "connack 04, closed")
      })
  test("an exception is logged", () => {
    const harness = new Harness({ auth: { authenticate: failing } })
    harness.connect()
    expect(harness.logged.filter((line) => line.startsWith("error"))).toEqual([
      "error auth failed for client (192.0.2.1): Error: the database is away",
    ])
  })
})

describe("while it is asked an auth can see whether the client has gone", () => {
  const naming: Auth = { authenticate: () => ({ authenticated: true, username: "ada" }) }
  for (const [name, wrap] of [
    ["alone", (auth: Auth) => auth],
    ["behind another one that has named the user", (auth: Auth) => all(naming, auth)],
  ] as const)
    test(name, async () => {
      const auth = new LateAuth()
      const harness = new Harness({ auth: wrap(auth) })
      const clients = ["leaves", "is late", "stays"].map((clientId) => harness.connect({ clientId }))
      const gone = () => auth.asked.map(({ isGone }) => isGone!())
      expect(gone()).toEqual([false, false, false])
      clients[0]!.drop()
      expect(gone()).toEqual([true, false, false])
      auth.asked[2]!.resolve(true)
      await microtasks()
      harness.clock.advance(11) // the connect timeout
      expect(clients.slice(1).map(told)).toEqual(["connack 88, closed", "connack 00, open"])
      expect(gone()).toEqual([true, true, false])
    })
})

describe("a client that has not been let in when its time to connect is over", () => {
  const never = () => new Promise<never>(() => {})
  const slow: [who: string, auth: Auth, hooks: Hooks][] = [
    ["an auth", { authenticate: never, exchange: () => ({ next: never }) }, {}],
    ["a hook before it", { authenticate: () => true, exchange: () => ({ next: () => true }) }, { onConnect: never }],
    [
      "a hook behind it",
      { authenticate: () => true, exchange: () => ({ next: () => true }) },
      { onAuthenticate: never },
    ],
  ]
  for (const [who, auth, hooks] of slow)
    for (const [kind, fields] of [
      ...levels.map((level) => [`level ${level}`, { level } as ConnectFields] as const),
      ["an exchange", withMethod as ConnectFields] as const,
    ])
      test(`${kind}: is told that the server is unavailable, where ${who} takes so long`, async () => {
        const harness = new Harness({ auth })
        harness.core.hooks.use(hooks)
        const client = harness.connect(fields)
        harness.clock.advance(9.9)
        expect(told(client)).toBe("open")
        harness.clock.advance(0.6)
        expect(told(client)).toBe((fields.level ?? 5) === 5 ? "connack 88, closed" : "connack 03, closed")
        const why = "0x88 ServerUnavailable: it was not decided on in time"
        expect(harness.logged).toEqual([`info refused client (192.0.2.1) on test: ${why}`])
        expect(harness.core.metrics.limitsHit["connect timeout"]).toBe(1)
        harness.clock.advance(3)
        expect(harness.core.metrics.connections).toBe(0)
      })
  test("is not authorized, where it has not answered a challenge", () => {
    const harness = new Harness({
      auth: { authenticate: () => true, exchange: () => ({ next: () => ({ challenge: Buffer.of(1) }) }) },
    })
    const client = harness.connect(withMethod)
    client.take()
    harness.clock.advance(10.5)
    expect(told(client)).toBe("connack 87, closed")
    expect(harness.logged).toEqual(["info refused client (192.0.2.1) on test: 0x87 NotAuthorized: no AUTH in time"])
  })
})

describe("who is let in", () => {
  const table: [name: string, authenticate: Auth["authenticate"]][] = [
    ["true", () => true],
    ["a promise of true", async () => true],
    ["the reason Success", () => ({ reason: 0 })],
  ]
  for (const level of levels)
    for (const [name, authenticate] of table)
      test(`level ${level}: ${name}`, async () => {
        const client = new Harness({ auth: { authenticate } }).connect({ level })
        await microtasks()
        expect(told(client)).toBe("connack 00, open")
      })
})

describe("[MQTT-3.1.4-6] [v3.1.1 MQTT-3.1.4-5] what follows a rejected CONNECT is not processed", () => {
  for (const level of levels)
    for (const [name, decision] of [
      ["at once", () => false],
      ["late", async () => false],
    ] as const)
      test(`level ${level}: rejected ${name}`, async () => {
        const harness = new Harness()
        const watcher = harness.client("watcher").subscribe("#")
        const listener = harness.listener({}, { authenticate: decision })
        const rest = [
          packet("31", `${textHex("a")}${block(level)}78`),
          packet("82", `0001${block(level)}${textHex("a")}00`),
          packet("c0", ""),
        ]
        const client = harness.open(level, listener)
        client.sendBytes(Buffer.concat([connectBytes({ level }), ...rest]))
        for (const bytes of rest) client.sendBytes(bytes)
        await microtasks()
        for (const bytes of rest) client.sendBytes(bytes)
        expect(told(client)).toBe(level === 5 ? "connack 87, closed" : "connack 05, closed")
        expect(watcher.messages()).toEqual([])
        expect([harness.core.retained.count, harness.core.sessions.size]).toEqual([0, 1])
      })
})

describe("while a decision is pending", () => {
  for (const level of levels) {
    test(`level ${level}: the client's packets wait in their order, it is not read from, and nobody else waits`, async () => {
      const auth = new LateAuth()
      const harness = new Harness()
      const watcher = harness.client("watcher").subscribe("#")
      const client = harness.open(level, harness.listener({}, auth))
      const numbered = (from: number) =>
        Buffer.concat(Array.from({ length: 5 }, (_, i) => packet("30", `${textHex("a")}${block(level)}3${from + i}`)))
      client.sendBytes(Buffer.concat([connectBytes({ level }), numbered(0)]))
      for (const byte of numbered(5)) client.sendBytes(Buffer.of(byte))
      expect(client.isPaused).toBe(true)
      harness.client("other").publish("b", "passes")
      expect(watcher.messages()).toEqual(["b passes"])
      auth.asked[0]!.resolve(true)
      await microtasks()
      expect(client.isPaused).toBe(false)
      expect(told(client)).toBe("connack 00, open")
      expect(watcher.messages()).toEqual(Array.from({ length: 10 }, (_, i) => `a ${i}`))
    })
    test(`level ${level}: a client that goes away meanwhile leaves nothing`, async () => {
      const auth = new LateAuth()
      const harness = new Harness({ auth })
      const client = harness.connect({ level })
      client.drop()
      auth.asked[0]!.resolve(true)
      await microtasks()
      expect(client.take()).toEqual([])
      expect([harness.core.sessions.size, harness.core.peers.size, harness.serving.connections]).toEqual([0, 0, 0])
    })
    test(`level ${level}: [MQTT-3.14.0-1] one that is not decided in time gets no DISCONNECT, and is not let in later`, async () => {
      const auth = new LateAuth()
      const harness = new Harness({ auth, limits: { connectTimeoutSeconds: 5 } })
      const client = harness.connect({ level })
      harness.clock.advance(4.9)
      expect(told(client)).toBe("open")
      harness.clock.advance(0.6)
      expect(told(client)).toBe(level === 5 ? "connack 88, closed" : "connack 03, closed")
      auth.asked[0]!.resolve(true)
      await microtasks()
      expect(told(client)).toBe("closed")
      expect(harness.core.sessions.size).toBe(0)
    })
    test(`level ${level}: clients are let in in the order of the decisions`, async () => {
      const auth = new LateAuth()
      const harness = new Harness({ auth })
      const [first, second] = ["a", "b"].map((clientId) => harness.connect({ level, clientId }))
      auth.asked[1]!.resolve(true)
      await microtasks()
      expect([told(first!), told(second!)]).toEqual(["open", "connack 00, open"])
      auth.asked[0]!.reject(new Error("no"))
      await microtasks()
      expect(told(first!)).toBe(level === 5 ? "connack 87, closed" : "connack 05, closed")
    })
  }
})

describe("a redirect", () => {
  for (const reason of [0x9c, 0x9d] as Reason[])
    test(`0x${reason.toString(16)}: a client of level 5 learns where to go`, () => {
      const auth: Auth = { authenticate: () => ({ reason, serverReference: "other:1883", reasonString: "moved" }) }
      const client = new Harness({ auth }).connect()
      const [connack] = client.take()
      expect(connack).toMatchObject({ reasonCode: reason, sessionPresent: false })
      expect({ ...connack!.properties }).toEqual({ serverReference: "other:1883", reasonString: "moved" })
      expect(client.isClosed).toBe(true)
    })
  for (const level of [3, 4] as const)
    test(`level ${level} knows none: the server is unavailable to it`, () => {
      const auth: Auth = { authenticate: () => ({ reason: 0x9c, serverReference: "other:1883" }) }
      expect(new Harness({ auth }).connect({ level }).bytes.toString("hex")).toBe("20020003")
    })
  test("without problem information there is no Reason String", () => {
    const auth: Auth = { authenticate: () => ({ reason: 0x9c, serverReference: "other", reasonString: "moved" }) }
    const [connack] = new Harness({ auth }).connect({ properties: { requestProblemInformation: false } }).take()
    expect({ ...connack!.properties }).toEqual({ serverReference: "other" })
  })
})

describe("[MQTT-3.1.4-2] a client whose will it may not publish is refused", () => {
  const will = { topic: "secret", payload: Buffer.from("x"), qos: 0, retain: false } as const
  const table: [name: string, authorize: NonNullable<Auth["authorize"]>][] = [
    ["at once", (_, action, topic) => action !== "publish" || topic !== "secret"],
    ["late", async (_, action, topic) => action !== "publish" || topic !== "secret"],
    ["by an exception", failing],
    ["by a rejected promise", () => Promise.reject(new Error("no"))],
  ]
  for (const level of levels)
    for (const [name, authorize] of table)
      test(`level ${level}: ${name}`, async () => {
        const harness = new Harness({ auth: { authenticate: () => true, authorize } })
        const client = harness.connect({ level, will })
        await microtasks()
        expect(told(client)).toBe(level === 5 ? "connack 87, closed" : "connack 05, closed")
        const open = harness.connect({
          level,
          clientId: "b",
          ...(name !== "at once" && name !== "late" ? {} : { will: { ...will, topic: "fine" } }),
        })
        await microtasks()
        expect(told(open)).toBe("connack 00, open")
      })
})

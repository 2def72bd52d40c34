/** `onAuthenticate`: who is let in, beside the listener's auth and without one. */
import { describe, expect, test } from "bun:test"
import type { Hooks } from "../../src/broker/hooks.ts"
import type { Authority, Connecting, Decision } from "../../src/broker/ports.ts"
import { Reason } from "../../src/codec/index.ts"
import { deciding, openDoor, sendAuth, ways, withMethod } from "../support/door.ts"
import { type ConnectFields, durable, Harness } from "../support/harness.ts"
import { hooked } from "../support/hooked.ts"
import { Late } from "../support/late.ts"
import { LateStore, microtasks } from "../support/store.ts"
import { levels, told } from "./wire.ts"

const will = { topic: "w", payload: Buffer.from("gone"), qos: 0, retain: false } as const
const password = { username: "claimed", password: Buffer.from("secret") }

describe("onAuthenticate beside the auth: a refusal of either overrides, and one has to say yes", () => {
  const admission = { authenticated: true } as const
  const refusal = { reason: Reason.Banned }
  type Answer = [name: string, decide: () => Decision]
  const fails = () => {
    throw new Error("broken")
  }
  const authSays: (Answer | undefined)[] = [
    undefined,
    ["nothing", () => undefined],
    ["yes", () => true],
    ["no", () => false],
    ["a refusal", () => refusal],
    ["an admission", () => admission],
    ["an exception", fails],
  ]
  const hookSays: Answer[] = [
    ["nothing", () => undefined],
    ["yes", () => true],
    ["no", () => false],
    ["a refusal", () => refusal],
    ["an admission", () => admission],
    ["an exception", fails],
  ]
  const outcomes: Record<string, Record<string, string>> = {
    "no auth": { nothing: "87", yes: "00", no: "87", "a refusal": "8a", "an admission": "00", "an exception": "83" },
    nothing: { nothing: "87", yes: "00", no: "87", "a refusal": "8a", "an admission": "00", "an exception": "83" },
    yes: { nothing: "00", yes: "00", no: "87", "a refusal": "8a", "an admission": "00", "an exception": "83" },
    "an admission": {
      nothing: "00",
      yes: "00",
      no: "87",
      "a refusal": "8a",
      "an admission": "00",
      "an exception": "83",
    },
  }
  const refusedByAuth: Record<string, string> = { no: "87", "a refusal": "8a", "an exception": "87" }
  for (const auth of authSays)
    for (const [hookName, hook] of hookSays)
      for (const when of ["at once", "late"]) {
        const authName = auth?.[0] ?? "no auth"
        test(`${authName} and ${hookName}, ${when}`, async () => {
          let asked = 0
          const onAuthenticate = () => {
            asked++
            return when === "late" ? Promise.try(hook) : hook()
          }
          const authenticate = () => (when === "late" ? Promise.try(auth![1]) : auth![1]())
          const harness = hooked({ onAuthenticate }, { auth: auth === undefined ? null : { authenticate } })
          const client = harness.connect()
          await microtasks()
          const code = refusedByAuth[authName] ?? outcomes[authName]![hookName]!
          expect(told(client)).toBe(`connack ${code}, ${code === "00" ? "open" : "closed"}`)
          expect(asked).toBe(authName in refusedByAuth ? 0 : 1)
        })
      }

  for (const level of levels)
    test(`level ${level}: of a client with a user name whom nobody knows it is as good as a wrong password`, () => {
      const client = hooked({ onAuthenticate: () => undefined }, { auth: null }).connect({ level, ...password })
      expect(told(client)).toBe(level === 5 ? "connack 86, closed" : "connack 04, closed")
    })

  test("a second one may refuse whom the first has let in, and is not asked about whom the first has refused", () => {
    const harness = hooked({ onAuthenticate: ({ clientId }) => clientId !== "b" }, { auth: null })
    const asked: string[] = []
    harness.core.hooks.use({
      onAuthenticate({ clientId }) {
        asked.push(clientId)
        return clientId === "c" ? false : undefined
      },
    })
    const fates = ["a", "b", "c"].map((clientId) => told(harness.connect({ clientId })))
    expect(fates).toEqual(["connack 00, open", "connack 87, closed", "connack 87, closed"])
    expect(asked).toEqual(["a", "c"])
  })

  test("is asked after onConnect, and not if that refuses", () => {
    const asked: string[] = []
    const harness = hooked({
      onAuthenticate: ({ clientId }) => asked.push(`authenticate ${clientId}`) > 0,
      onConnect({ clientId }) {
        asked.push(`connect ${clientId}`)
        return clientId === "b" ? false : undefined
      },
    })
    harness.connect({ clientId: "a" })
    harness.connect({ clientId: "b" })
    expect(asked).toEqual(["connect a", "authenticate a", "connect b"])
  })

  test("refusals slow down the address from which they come, failures of the hook do not", () => {
    const answered = (hooks: Hooks) => {
      const harness = hooked(hooks)
      for (let i = 0; i < 10; i++) harness.connect()
      return harness.connect().received.length
    }
    const broken = () => {
      throw new Error("broken")
    }
    expect(answered({ onAuthenticate: () => false })).toBe(0)
    expect([answered({ onAuthenticate: broken }), answered({ onConnect: broken })]).toEqual([1, 1])
    expect(answered({ onConnect: () => false })).toBe(1) // nobody has been asked who they are
  })

  test("once both have said yes the client is in, and its packets that waited are read", async () => {
    const late = new Late<Decision>()
    const harness = hooked({ onAuthenticate: ({ clientId }) => late.ask(clientId) })
    const client = harness.connect({ clientId: "a" }).subscribe("t").publish("t", "x")
    expect([client.isPaused, client.received]).toEqual([true, []])
    await late.give("a", true)
    expect(client.take().map(({ cmd }) => cmd)).toEqual(["connack", "suback", "publish"])
  })

  test("a client that has gone meanwhile is not let in", async () => {
    const late = new Late<Decision>()
    const harness = hooked({ onAuthenticate: ({ clientId }) => late.ask(clientId) })
    harness.connect({ clientId: "a", ...durable() }).drop()
    await late.give("a", true)
    expect([harness.core.sessions.size, harness.core.clients.size, harness.core.peers.size]).toEqual([0, 0, 0])
  })
})

describe("the admission of a hook", () => {
  /** How a client comes in: with each level, and by an exchange. */
  const roads: [name: string, fields: ConnectFields][] = [
    ...levels.map((level): [string, ConnectFields] => [`level ${level}`, { level }]),
    ["an exchange", withMethod],
  ]
  for (const [name, fields] of roads) {
    test(`${name}: names the user, for its rights and for everybody who sees it`, async () => {
      const asked: (string | undefined)[] = []
      const harness = hooked({ onAuthenticate: () => ({ authenticated: true, username: "proven" }) })
      const { listener } = openDoor(harness, {
        ...deciding(() => true),
        authorize: ({ username }) => asked.push(username) > 0,
      })
      const client = harness.connect({ clientId: "a", ...fields, ...password, will }, listener).publish("t")
      await microtasks()
      expect(told(client)).toBe("connack 00, open")
      expect(asked).toEqual(["proven", "proven"])
      expect(harness.core.clients.get("a")?.view.username).toBe("proven")
    })
    test(`${name}: says when the client has to go, unless the auth says earlier`, () => {
      for (const [authMs, hookMs] of [
        [undefined, 60_000],
        [60_000, 120_000],
        [120_000, 60_000],
      ]) {
        const harness = new Harness()
        const admit = (afterMs?: number): Decision => ({
          authenticated: true,
          ...(afterMs !== undefined && { expiresAt: harness.clock.now() + afterMs }),
        })
        const decisions = { auth: admit(authMs), hook: admit(hookMs) }
        harness.core.hooks.use({ onAuthenticate: () => decisions.hook })
        const { listener } = openDoor(
          harness,
          deciding(() => decisions.auth),
        )
        const client = harness.client("a", fields, listener)
        harness.clock.advance(59)
        expect(client.isClosed).toBe(false)
        harness.clock.advance(2)
        expect(told(client)).toBe(client.level === 5 ? "disconnect a0, closed" : "closed")
      }
    })
    test(`${name}: says who decides from then on`, async () => {
      const asked: string[] = []
      const authority: Authority = { authorize: (_, action, topic) => asked.push(`${action} ${topic}`) > 0 }
      const harness = hooked({ onAuthenticate: () => ({ authenticated: true, authority }) })
      const { listener } = openDoor(harness, { ...deciding(() => true), authorize: () => false })
      harness.client("a", fields, listener).publish("t")
      expect(asked).toEqual(["publish t"])
    })
  }
  test("keeps the authority that the auth has named, if it names none", () => {
    const authority: Authority = { authorize: () => false }
    const harness = hooked({ onAuthenticate: () => ({ authenticated: true, username: "u" }) })
    const { listener } = openDoor(
      harness,
      deciding(() => ({ authenticated: true, authority })),
    )
    const witness = harness.client("w").subscribe("#")
    harness.client("a", {}, listener).publish("t")
    expect(witness.messages()).toEqual([])
  })
  test("where no auth is, everything is allowed that no hook forbids", () => {
    const harness = hooked({ onAuthenticate: () => true }, { auth: null })
    const client = harness.client("a", { will }).subscribe("t").publish("t", "x")
    expect(client.messages()).toEqual(["t x"])
  })
  test("where no auth is, no exchange can be made", () => {
    const client = hooked({ onAuthenticate: () => true }, { auth: null }).connect(withMethod)
    expect(told(client)).toBe("connack 8c, closed")
  })
})

describe("onAuthenticate in enhanced authentication", () => {
  test("is asked when the exchange has succeeded, once, and not if it fails", async () => {
    for (const [when, give] of ways) {
      let asked = 0
      const harness = hooked({ onAuthenticate: () => give(++asked > 0) })
      const steps: Parameters<typeof give>[0][] = [{ challenge: Buffer.from("who?") }, true]
      const { listener } = openDoor(harness, { exchange: () => ({ next: () => steps.shift() as Decision }) })
      const client = harness.connect(withMethod, listener)
      await microtasks()
      expect([told(client), asked, when]).toEqual(["auth 18, open", 0, when])
      await sendAuth(client, 0x18)
      expect([told(client), asked]).toEqual(["connack 00, open", 1])
      const other = openDoor(
        harness,
        deciding(() => false),
      )
      expect(told(harness.connect({ ...withMethod, clientId: "b" }, other.listener))).toBe("connack 87, closed")
      expect(asked).toBe(1)
    }
  })

  for (const [when, give] of ways) {
    test(`re-authentication: a refusal ${when} ends the connection [MQTT-4.12.1-2]`, async () => {
      const decisions: Decision[] = [true, { reason: Reason.Banned, reasonString: "enough" }]
      const harness = hooked({ onAuthenticate: () => give(decisions.shift()) })
      const { listener } = openDoor(
        harness,
        deciding(() => true),
      )
      const client = harness.connect(withMethod, listener)
      await microtasks()
      await sendAuth(client, 0x19)
      // 0x8A is no reason of a DISCONNECT [MQTT-3.14.2-1]
      expect(told(client)).toBe("connack 00, disconnect 87, closed")
    })
    test(`re-authentication: an admission ${when} changes the user, in the same view of the client`, async () => {
      const names = ["ada", "bob"]
      const harness = hooked({ onAuthenticate: () => give({ authenticated: true, username: names.shift()! }) })
      const { listener } = openDoor(
        harness,
        deciding(() => true),
      )
      const client = harness.connect({ clientId: "a", ...withMethod }, listener)
      await microtasks()
      const { view } = harness.core.clients.get("a")!
      expect(view.username).toBe("ada")
      await sendAuth(client, 0x19)
      expect(told(client)).toBe("connack 00, auth 00, open")
      expect(harness.core.clients.get("a")!.view).toBe(view)
      expect(view.username).toBe("bob")
    })
  }

  test("re-authentication: packets wait for the hook", async () => {
    const late = new Late<Decision>()
    let isFirst = true
    const harness = hooked({
      onAuthenticate({ clientId }) {
        if (!isFirst) return late.ask(clientId)
        isFirst = false
        return true
      },
    })
    const { listener } = openDoor(
      harness,
      deciding(() => true),
    )
    const client = harness.client("a", withMethod, listener)
    await sendAuth(client, 0x19)
    client.send({ cmd: "pingreq" })
    expect(told(client)).toBe("open")
    await late.give("a", true)
    expect(told(client)).toBe("auth 00, pingresp, open")
  })
})

test("the time of a client that hooks keep waiting counts from its beginning", async () => {
  const late = new Late<Decision>()
  const harness = hooked(
    { onAuthenticate: ({ clientId }) => late.ask(clientId) },
    { limits: { connectTimeoutSeconds: 5 } },
  )
  const client = harness.connect({ clientId: "a" })
  harness.clock.advance(6)
  expect(told(client)).toBe("connack 88, closed")
  await late.give("a", true)
  expect(harness.core.sessions.size).toBe(0)
})

test("a hook can ask whether the client has gone", async () => {
  const late = new Late<Decision>()
  let asked: Connecting | undefined
  const harness = hooked({
    onAuthenticate(client) {
      asked = client
      return late.ask("a")
    },
  })
  const client = harness.connect()
  expect(asked!.isGone!()).toBe(false)
  client.drop()
  expect(asked!.isGone!()).toBe(true)
})

test("with a store the CONNACK waits for what was recorded, however late the hooks were", async () => {
  const store = new LateStore()
  const late = new Late<Decision>()
  const harness = hooked({ onAuthenticate: () => late.ask("a") }, { store })
  const client = harness.connect({ clientId: "a", ...durable() })
  await store.commitAll()
  await late.give("a", true)
  expect(client.take()).toEqual([])
  expect(store.pending).toHaveLength(1)
  await store.commitAll()
  expect(told(client)).toBe("connack 00, open")
})

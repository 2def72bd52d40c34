/** What an auth says of a client that it lets in: who it is, until when, and who decides on it. */
import { describe, expect, test } from "bun:test"
import type { Admission, Auth, Authority, Client, Decision } from "../../src/broker/ports.ts"
import { deciding, noting, openDoor, sendAuth, ways, withMethod } from "../support/door.ts"
import { type ConnectFields, durable, Harness, type TestClient } from "../support/harness.ts"
import { LateStore, microtasks } from "../support/store.ts"
import { levels, thrownOut, told } from "./wire.ts"

const HOUR_MS = 3_600_000
const will = { topic: "w", payload: Buffer.from("gone"), qos: 0, retain: false } as const
const password = { username: "claimed", password: Buffer.from("secret") }

/** The roads on which a client comes in: each level's CONNECT, and an exchange. */
const roads: [name: string, fields: ConnectFields][] = [
  ...levels.map((level): [string, ConnectFields] => [`level ${level}`, { level }]),
  ["an exchange", withMethod],
]

describe("a decision that says nothing is a refusal", () => {
  for (const [when, give] of ways) {
    for (const [name, fields] of roads) {
      const is5 = (fields.level ?? 5) === 5
      test(`${name}, ${when}: of a client without a user name it is not authorized`, async () => {
        const harness = new Harness()
        const client = harness.connect(
          fields,
          openDoor(
            harness,
            deciding(() => give(undefined)),
          ).listener,
        )
        await microtasks()
        expect(told(client)).toBe(is5 ? "connack 87, closed" : "connack 05, closed")
        expect([harness.core.sessions.size, harness.core.metrics.connectsRefused]).toEqual([0, 1])
      })
      test(`${name}, ${when}: of one with a user name that is as good as a wrong password`, async () => {
        const harness = new Harness()
        const { listener } = openDoor(
          harness,
          deciding(() => give(undefined)),
        )
        const client = harness.connect({ ...fields, ...password }, listener)
        await microtasks()
        expect(told(client)).toBe(is5 ? "connack 86, closed" : "connack 04, closed")
        expect(harness.core.sessions.size).toBe(0)
      })
    }
    test(`re-authentication, ${when}: DISCONNECT 0x87, the will is published`, async () => {
      const decisions: Decision[] = [true, undefined]
      const harness = new Harness()
      const watcher = harness.client("watcher").subscribe("w")
      const { listener } = openDoor(
        harness,
        deciding(() => give(decisions.shift())),
      )
      const client = harness.connect({ ...withMethod, will }, listener)
      await microtasks()
      await sendAuth(client, 0x19)
      expect(told(client)).toBe("connack 00, disconnect 87, closed")
      expect(watcher.messages()).toEqual(["w gone"])
    })
  }
})

describe("the user name of an admission takes the place of the CONNECT's", () => {
  for (const [when, give] of ways)
    for (const [name, fields] of roads)
      for (const claimed of [password, {}])
        test(`${name}, ${when}, ${"username" in claimed ? "in place of another" : "where there was none"}`, async () => {
          const asked: Client[] = []
          const auth: Partial<Auth> = {
            ...deciding(() => give<Decision>({ authenticated: true, username: "proven" })),
            authorize: (client) => asked.push(client) > 0,
            mayStay: (client) => asked.push(client) > 0,
          }
          const harness = new Harness()
          const { listener, change } = openDoor(harness, auth)
          const client = harness.connect({ ...fields, ...claimed, clientId: "a", will }, listener)
          await microtasks()
          client.publish("t")
          await change()
          const known = { clientId: "a", username: "proven", remoteAddress: "192.0.2.1", listener: "test" }
          const expected = { ...known, protocolLevel: fields.level ?? 5 }
          expect(asked).toEqual(Array(4).fill(expected)) // its will, the message, whether it may stay, and its will again
          expect(harness.logged.filter((line) => line.includes("claimed"))).toEqual([])
          expect(
            harness.logged.some((line) => line.startsWith("info connected a") && line.includes("user proven")),
          ).toBe(true)
        })
  test("an admission without one leaves it", () => {
    const names: (string | undefined)[] = []
    const harness = new Harness()
    const { listener } = openDoor(harness, {
      authenticate: () => ({ authenticated: true }),
      authorize: ({ username }) => names.push(username) > 0,
    })
    harness.client("a", password, listener).publish("t")
    harness.client("b", {}, listener).publish("t")
    expect(names).toEqual(["claimed", undefined])
  })
})

describe("an admission that ends", () => {
  /** A client that has to go in a minute, or when it says. */
  function timed(fields: ConnectFields = {}, afterMs = 60_000, store?: LateStore) {
    const harness = new Harness(store && { store })
    const watcher = harness.client("watcher").subscribe("w")
    const expiresAt = harness.clock.now() + afterMs
    const { listener } = openDoor(
      harness,
      deciding(() => ({ authenticated: true, expiresAt })),
    )
    const client = harness.connect({ clientId: "a", will, ...fields }, listener)
    watcher.take()
    return { harness, watcher, client, listener }
  }

  for (const [name, fields] of roads)
    test(`${name}: the client goes then and not earlier, and its will is published`, async () => {
      const { harness, watcher, client } = timed(fields)
      expect(told(client)).toBe("connack 00, open")
      harness.clock.advance(60)
      expect(told(client)).toBe("open")
      client.publish("w", "still here")
      expect(watcher.messages()).toEqual(["w still here"])
      harness.clock.advance(0.5)
      expect(told(client)).toBe(thrownOut(fields.level ?? 5, "a0"))
      await microtasks()
      expect(watcher.messages()).toEqual(["w gone"])
    })
  test("its session stays as long as any other", () => {
    const { harness, listener } = timed(durable(), 60_000)
    harness.clock.advance(61)
    expect(harness.resume("a", durable(), listener).isClosed).toBe(false)
  })
  test("one that has ended already ends at once", () => {
    const { harness, client } = timed({}, -HOUR_MS)
    harness.clock.advance(0.5)
    expect(told(client)).toBe("connack 00, disconnect a0, closed")
  })
  test("while the CONNACK waits for the store: there is none", async () => {
    const store = new LateStore()
    const { harness, client } = timed(durable(), 1000, store)
    harness.clock.advance(1.5)
    await store.commitAll()
    expect(told(client)).toBe("closed")
    expect(harness.core.sessions.get("a")?.outlet).toBeUndefined()
  })
  for (const [name, leave] of [
    ["breaks off", (client: TestClient) => client.drop()],
    ["says goodbye", (client: TestClient) => void client.disconnect().drop()],
  ] as const)
    test(`a client that ${name} before leaves no clock running`, () => {
      const { harness, client } = timed({}, HOUR_MS)
      leave(client)
      harness.clock.advance(1)
      expect(harness.clock.recurringCount).toBe(0)
    })
  test("a client that comes back stays as long as its new admission says", () => {
    const harness = new Harness()
    const ends = [60_000, 120_000].map((ms) => harness.clock.now() + ms)
    const authenticate = (): Admission => ({ authenticated: true, expiresAt: ends.shift()! })
    const { listener } = openDoor(harness, { authenticate })
    const first = harness.client("a", {}, listener)
    const second = harness.client("a", {}, listener)
    expect(told(first)).toBe("disconnect 8e, closed")
    harness.clock.advance(119)
    expect(told(second)).toBe("open")
    harness.clock.advance(1.5)
    expect(told(second)).toBe("disconnect a0, closed")
  })

  /** When a client goes that authenticates again after ten seconds, in seconds after its CONNECT. */
  async function goesAfter(first: number | undefined, again: number | undefined): Promise<number | undefined> {
    const harness = new Harness()
    const at = (seconds: number | undefined) => seconds && harness.clock.now() + seconds * 1000
    const decisions = [at(first), at(again)].map(
      (expiresAt): Admission => ({ authenticated: true, ...(expiresAt && { expiresAt }) }),
    )
    const { listener } = openDoor(
      harness,
      deciding(() => decisions.shift()!),
    )
    const client = harness.client("a", withMethod, listener)
    harness.clock.advance(10)
    await sendAuth(client, 0x19)
    expect(told(client)).toBe("auth 00, open")
    for (let seconds = 10; seconds <= 200; seconds++) {
      harness.clock.advance(1)
      if (client.isClosed) return seconds
    }
    return undefined
  }
  const moves: [name: string, first: number | undefined, again: number | undefined, goes: number | undefined][] = [
    ["later", 60, 120, 120],
    ["to an earlier time", 120, 60, 60],
    ["to where there was none", undefined, 60, 60],
    ["away", 60, undefined, undefined],
  ]
  for (const [name, first, again, goes] of moves)
    test(`re-authentication moves it ${name}`, async () => expect(await goesAfter(first, again)).toBe(goes))
  test("one that was refused moves nothing: the client has gone", async () => {
    const harness = new Harness()
    const decisions: Decision[] = [{ authenticated: true, expiresAt: harness.clock.now() + HOUR_MS }, false]
    const client = harness.client(
      "a",
      withMethod,
      openDoor(
        harness,
        deciding(() => decisions.shift()),
      ).listener,
    )
    await sendAuth(client, 0x19)
    expect(told(client)).toBe("disconnect 87, closed")
    client.drop()
    harness.clock.advance(0.5)
    expect(told(client)).toBe("closed")
  })
})

describe("the authority of an admission decides instead of the auth", () => {
  /** A client whose auth denies everything, and whose authority says this. */
  function under(authority: Authority, fields: ConnectFields) {
    const asked: string[] = []
    const auth: Partial<Auth> = {
      ...deciding(() => ({ authenticated: true, authority })),
      authorize: (_, action) => asked.push(action) < 0,
    }
    const harness = new Harness()
    const watcher = harness.client("watcher").subscribe("#")
    watcher.take()
    const client = harness.connect({ clientId: "a", ...fields }, openDoor(harness, auth).listener)
    return { client, watcher, asked }
  }

  for (const [name, fields] of roads) {
    test(`${name}: on its will, publications, subscriptions and messages`, () => {
      const { authority, take } = noting((topic) => topic !== "secret")
      const { client, watcher, asked } = under(authority, { ...fields, will })
      expect(told(client)).toBe("connack 00, open")
      client.subscribe(["t", "secret"]).publish("secret", "1").publish("t", "2")
      watcher.publish("secret", "3").publish("t", "4")
      expect(client.messages()).toEqual(["t 2", "t 4"])
      expect(watcher.messages()).toEqual(["t 2", "secret 3", "t 4"])
      const all = ["publish w", "subscribe t", "subscribe secret", "publish secret", "publish t", "receive t"]
      expect(take()).toEqual(all) // and «receive secret» not, for there is no such subscription
      expect(asked).toEqual([])
    })
    test(`${name}: a will that it does not allow is refused`, () => {
      const { client, asked } = under(noting(() => false).authority, { ...fields, will })
      expect(told(client)).toBe((fields.level ?? 5) === 5 ? "connack 87, closed" : "connack 05, closed")
      expect(asked).toEqual([])
    })
    test(`${name}: without an opinion on topics it allows everything`, () => {
      const { client, watcher, asked } = under({}, { ...fields, will })
      client.subscribe("t").publish("t", "1")
      expect(client.messages()).toEqual(["t 1"])
      client.drop()
      expect(watcher.messages()).toEqual(["t 1", "w gone"])
      expect(asked).toEqual([])
    })
  }
  test("it is asked as the object that it is", () => {
    class OneTopic implements Authority {
      readonly #topic = "mine"
      authorize(_: Client, __: string, topic: string): boolean {
        return topic === this.#topic
      }
    }
    const { client, watcher } = under(new OneTopic(), {})
    client.publish("mine").publish("other")
    expect(watcher.messages()).toEqual(["mine "])
  })
})

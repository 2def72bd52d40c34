/** Whose a session is: only the user that made it finds it again, takes it over or ends it. */
import { describe, expect, test } from "bun:test"
import { allowAll, allowAnonymous } from "../../src/auth/allow.ts"
import { all, any } from "../../src/auth/compose.ts"
import type { Admission, Auth, Decision } from "../../src/broker/ports.ts"
import type { Serving } from "../../src/broker/serving.ts"
import { memory } from "../../src/store/memory.ts"
import { deciding, openDoor, sendAuth, ways, withMethod } from "../support/door.ts"
import { type ConnectFields, durable, Harness, type TestClient } from "../support/harness.ts"
import { Runs } from "../support/runs.ts"
import { microtasks } from "../support/store.ts"
import { levels, told } from "./wire.ts"

/** Knows everybody by name, and that nobody else has that name. */
const known: Auth = { authenticate: () => true }
const password = Buffer.from("p")
const as = (username: string | undefined, fields: ConnectFields = durable()): ConnectFields =>
  username === undefined ? fields : { ...fields, username, password }
const refused = (level: 3 | 4 | 5) => (level === 5 ? "connack 85, closed" : "connack 02, closed")

/** A broker where somebody has a session `phone`, subscribed to `t` and away, with a message that waits. */
function withSession(auth: Auth, username: string | undefined) {
  const harness = new Harness({ auth })
  harness.client("phone", as(username)).subscribe("t", { qos: 1 }).drop()
  harness.client("publisher").publish("t", "1", { qos: 1 }).drop()
  return harness
}

describe("a session that somebody has made is nobody else's", () => {
  for (const level of levels)
    for (const clean of [false, true])
      for (const other of ["eve", undefined]) {
        const how = `level ${level}, ${clean ? "with" : "without"} a clean start, by ${other ?? "an anonymous client"}`
        test(`${how}: while its client is away`, () => {
          const harness = withSession(known, "alice")
          const eve = harness.connect({ ...as(other, durable(level)), clean, clientId: "phone" })
          expect([told(eve), harness.core.metrics.connectsRefused]).toEqual([refused(level), 1])
          expect(harness.resume("phone", as("alice")).messages()).toEqual(["t 1"])
        })
        test(`${how}: while its client is there, which hears nothing of it`, () => {
          const harness = new Harness({ auth: known })
          const alice = harness.client("phone", as("alice", durable(level))).subscribe("t")
          alice.take()
          const eve = harness.connect({ ...as(other, durable(level)), clean, clientId: "phone" })
          expect([told(eve), told(alice)]).toEqual([refused(level), "open"])
          harness.client("publisher").publish("t", "1")
          expect(alice.messages()).toEqual(["t 1"])
        })
      }
  test("also one that ends with its connection", () => {
    const harness = new Harness({ auth: known })
    const alice = harness.client("phone", as("alice", {}))
    expect(told(harness.connect({ ...as("eve", {}), clientId: "phone" }))).toBe(refused(5))
    alice.drop()
    expect(told(harness.connect({ ...as("eve", {}), clientId: "phone" }))).toBe("connack 00, open")
  })
  test("until it has expired", () => {
    const harness = withSession(known, "alice")
    harness.clock.advance(3601)
    expect(told(harness.connect({ ...as("eve"), clientId: "phone" }))).toBe("connack 00, open")
  })
  test("an anonymous client's is no named user's, and is found again by an anonymous client", () => {
    const harness = withSession(known, undefined)
    expect(told(harness.connect({ ...as("eve"), clientId: "phone" }))).toBe(refused(5))
    expect(harness.resume("phone", as(undefined)).messages()).toEqual(["t 1"])
  })
  test("nor is that of a user with an empty name an anonymous client's", () => {
    const harness = withSession(known, "")
    expect(told(harness.connect({ ...as(undefined), clientId: "phone" }))).toBe(refused(5))
    expect(harness.resume("phone", as("")).messages()).toEqual(["t 1"])
  })
  test("who is refused so is no offender, and the log says who wanted whose", () => {
    const harness = withSession(known, "alice")
    harness.logged.length = 0
    for (let i = 0; i < 9; i++) harness.connect({ ...as("eve"), clientId: "phone" })
    const why = "0x85 ClientIdentifierNotValid: the session belongs to user alice"
    expect(harness.logged[0]).toBe(`warn refused phone, user eve (192.0.2.1) on test: ${why}`)
    expect(told(harness.connect({ ...as("alice"), clientId: "phone" }))).toBe("connack 00, publish, open")
    expect(harness.core.metrics).toMatchObject({ connectsRefused: 9, authFailures: 0 })
  })
  test("the client is told that it is another's, not whose", () => {
    const harness = withSession(known, "alice")
    const eve = harness.connect({ ...as("eve"), clientId: "phone" })
    expect(eve.take()[0]?.properties?.reasonString).toBe("the session belongs to another user")
  })
})

describe("the user is who the auth says", () => {
  for (const [when, give] of ways)
    test(`${when}: not who the client says it is`, async () => {
      const admission = (claimed: string): Admission => ({ authenticated: true, username: claimed.toLowerCase() })
      const harness = new Harness({ auth: { authenticate: ({ username }) => give(admission(username!)) } })
      harness.connect({ ...as("Alice"), clientId: "phone" })
      await microtasks()
      const [again, eve] = ["ALICE", "Eve"].map((name) => harness.connect({ ...as(name), clientId: "phone" }))
      await microtasks()
      expect([told(again!), told(eve!)]).toEqual(["connack 00, open", refused(5)])
    })
  test("after another authentication it is who that says, and so is its session's", async () => {
    const users = ["ada", "bob", "ada", "bob"]
    const harness = new Harness()
    const { listener } = openDoor(
      harness,
      deciding(() => ({ authenticated: true, username: users.shift()! })),
    )
    const fields = { clean: false, properties: { sessionExpiryInterval: 3600, ...withMethod.properties } }
    const client = harness.client("phone", fields, listener)
    await sendAuth(client, 0x19)
    client.drop()
    expect(told(harness.connect({ ...fields, clientId: "phone" }, listener))).toBe(refused(5))
    expect(told(harness.connect({ ...fields, clientId: "phone" }, listener))).toBe("connack 00, open")
  })
})

describe("where names are taken as they are given, a session is whoever's who names its client id", () => {
  test("another name, or none, changes nothing", () => {
    const harness = withSession(allowAll(), "alice")
    expect(harness.resume("phone", as("eve")).messages()).toEqual(["t 1"])
    expect(told(harness.connect({ ...as(undefined), clientId: "phone" }))).toBe("connack 00, publish, open")
  })
  test("but not where the client's certificate says who it is, and everybody with one is let in", () => {
    const harness = new Harness()
    const listener: Serving = { ...harness.listener({}, allowAll()), usernameFrom: "commonName" }
    const connect = (commonName: string): TestClient =>
      Object.assign(harness.open(5, listener), { certificate: { commonName, subjectAltNames: [] } }).connect({
        ...durable(),
        clientId: "phone",
      })
    connect("alice")
    expect([told(connect("eve")), told(connect("alice"))]).toEqual([refused(5), "connack 00, open"])
  })
  test("elsewhere it stays that of the user that has made it", () => {
    const harness = withSession(known, "alice")
    harness.resume("phone", as("eve"), harness.listener({}, allowAll())).drop()
    expect(told(harness.connect({ ...as("eve"), clientId: "phone" }))).toBe(refused(5))
    expect(told(harness.connect({ ...as("alice"), clientId: "phone" }))).toBe("connack 00, publish, open")
  })

  /** Knows alice and eve, and has no opinion on others. */
  const two: Auth = { authenticate: ({ username }) => (["alice", "eve"].includes(username!) ? true : undefined) }
  const rules: Auth = { authenticate: () => undefined, authorize: () => true }
  const named: Auth = { authenticate: (): Admission => ({ authenticated: true, authority: { authorize: () => true } }) }
  const compositions: [name: string, auth: Auth, who: string | undefined, isLetIn: boolean][] = [
    ["all() of rules and what believes names", all(allowAll(), rules), "eve", true],
    ["the same in the other order, and deeper", all(rules, all(rules, any(allowAll()))), "eve", true],
    ["all() of what believes names and what names an authority", all(named, allowAll()), "eve", true],
    ["all() of those that don't", all(known, rules), "eve", false],
    ["any(): one whom it knows", any(two, allowAll()), "eve", false],
    ["any(): one whose name it only believes", any(two, allowAll()), "mallory", true],
    ["any(): an anonymous client beside users", any(two, allowAnonymous()), undefined, false],
    ["all() around that any()", all(any(two, allowAnonymous()), rules), undefined, false],
    ["all() around any(): one whom it knows", all(any(two, allowAll()), rules), "eve", false],
  ]
  for (const [name, auth, who, isLetIn] of compositions)
    test(`${name}: ${who ?? "nobody"} ${isLetIn ? "has" : "has not"} alice's`, () => {
      const harness = withSession(auth, "alice")
      const told0 = told(harness.connect({ ...as(who), clientId: "phone" }))
      expect(told0).toBe(isLetIn ? "connack 00, publish, open" : refused(5))
    })
  test("anonymous clients, where only they are let in beside users, have each other's", () => {
    const harness = withSession(any(two, allowAnonymous()), undefined)
    expect(told(harness.connect({ ...as("eve"), clientId: "phone" }))).toBe(refused(5))
    expect(harness.resume("phone", as(undefined)).messages()).toEqual(["t 1"])
  })
})

describe("over a restart", () => {
  for (const owner of ["alice", "ü'\"\\ \u{1f642}", "", undefined])
    test(`it is still ${owner === undefined ? "an anonymous client's" : JSON.stringify(owner)}`, async () => {
      const runs = new Runs({}, memory(), known)
      await runs.drop(await runs.client("phone", as(owner)))
      for (let run = 0; run < 2; run++) {
        await runs.restart()
        for (const other of ["eve", "", undefined].filter((name) => name !== owner)) {
          const client = runs.harness.connect({ ...as(other), clientId: "phone" })
          await runs.settled()
          expect(told(client)).toBe(refused(5))
        }
        await runs.drop(await runs.resume("phone", as(owner)))
      }
    })

  /** A store in which an older manju has left a session of which nobody knows whose it is. */
  async function ofUnknown(auth: Auth) {
    const store = memory()
    const session = { clientId: "phone", expirySeconds: 3600, disconnectedAt: undefined, username: undefined }
    await store.commit([{ kind: "session", session: { ...session, will: undefined } }])
    const runs = new Runs({}, store, auth)
    await runs.restart()
    return runs
  }
  for (const [first, other] of [
    ["alice", undefined],
    [undefined, "eve"],
  ] as const)
    test(`one of which nobody knows is whose comes first: ${first ?? "an anonymous client"}'s`, async () => {
      const runs = await ofUnknown(known)
      const client = await runs.resume("phone", as(first))
      expect(told(runs.harness.connect({ ...as(other), clientId: "phone" }))).toBe(refused(5))
      await runs.drop(client)
      await runs.restart()
      expect(told(runs.harness.connect({ ...as(other), clientId: "phone" }))).toBe(refused(5))
      await runs.resume("phone", as(first))
    })
  test("who has been refused has made nothing his own", async () => {
    const decisions: Decision[] = [false, true]
    const runs = await ofUnknown({ authenticate: () => decisions.shift() ?? true })
    expect(told(runs.harness.connect({ ...as("eve"), clientId: "phone" }))).toEndWith("closed")
    await runs.resume("phone", as("alice"))
  })
})

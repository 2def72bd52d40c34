/** What re-authentication changes: who the client is, who decides on it, and that it has to be done in time. */
import { describe, expect, test } from "bun:test"
import type { Auth, Authority, Decision, ExchangeStep } from "../../src/broker/ports.ts"
import { deciding, openDoor, sendAuth, withMethod } from "../support/door.ts"
import { Harness } from "../support/harness.ts"
import { microtasks } from "../support/store.ts"
import { told } from "./wire.ts"

const will = { topic: "w", payload: Buffer.from("gone"), qos: 0, retain: false } as const
const password = { username: "claimed", password: Buffer.from("secret") }

describe("re-authentication", () => {
  /** A client that is admitted so at first, and then so. */
  async function readmitted(first: Decision, again: Decision, parts: Partial<Auth> = {}) {
    const decisions = [first, again]
    const harness = new Harness()
    const door = openDoor(harness, { ...deciding(() => decisions.shift()), ...parts })
    const client = harness.client("a", { ...withMethod, ...password }, door.listener)
    return { harness, client, ...door }
  }

  test("changes user name and authority for what follows", async () => {
    const asked: string[] = []
    const named = (name: string): Authority => ({
      isCacheable: true,
      authorize: ({ username }, action, topic) => asked.push(`${name} ${username} ${action} ${topic}`) > 0,
      mayStay: ({ username }) => asked.push(`${name} ${username} stays`) > 0,
    })
    const { client, change } = await readmitted(
      { authenticated: true, username: "ada", authority: named("first") },
      { authenticated: true, username: "bob", authority: named("second") },
    )
    client.subscribe("t").publish("t", "1").publish("t", "2")
    await change()
    expect(asked.splice(0, 3)).toEqual(["first ada subscribe t", "first ada publish t", "first ada receive t"])
    expect(asked.splice(0)).toEqual(["first ada stays", "first ada subscribe t"])
    await sendAuth(client, 0x19)
    client.publish("t", "3").publish("t", "4").subscribe("u")
    await change()
    expect(asked.splice(0, 3)).toEqual(["second bob publish t", "second bob receive t", "second bob subscribe u"])
    expect(asked).toEqual(["second bob stays", "second bob subscribe t", "second bob subscribe u"])
    expect(client.messages()).toEqual(["t 1", "t 2", "t 3", "t 4"])
  })
  test("that names no user leaves the one there is, one that names no authority puts the auth in charge", async () => {
    const asked: string[] = []
    const { client } = await readmitted(
      { authenticated: true, username: "ada", authority: {} },
      { authenticated: true },
      { authorize: ({ username }, action) => asked.push(`${username} ${action}`) > 0 },
    )
    client.publish("t")
    expect(asked).toEqual([])
    await sendAuth(client, 0x19)
    client.publish("t")
    expect(asked).toEqual(["ada publish"])
  })
  test("leaves the subscriptions that there are; what they bring is the new authority's to allow", async () => {
    const { client, harness } = await readmitted(
      { authenticated: true, authority: { authorize: () => true } },
      { authenticated: true, authority: { authorize: (_, action) => action !== "receive" } },
    )
    client.subscribe("t")
    const publisher = harness.client("publisher").publish("t", "1")
    await sendAuth(client, 0x19)
    publisher.publish("t", "2")
    expect(client.messages()).toEqual(["t 1"])
    expect(client.isClosed).toBe(false)
  })

  /** A client that has begun to authenticate again, and has been asked something; `steps` are what follows. */
  function begun(...steps: ExchangeStep[]) {
    const all: ExchangeStep[] = [true, { challenge: Buffer.from("who?") }, ...steps]
    const harness = new Harness({ limits: { connectTimeoutSeconds: 5 } })
    const watcher = harness.client("watcher").subscribe("w")
    const { listener } = openDoor(harness, { exchange: () => ({ next: () => all.shift()! }) })
    const client = harness.client("a", { ...withMethod, will }, listener)
    harness.clock.advance(100)
    void sendAuth(client, 0x19)
    expect(told(client)).toBe("auth 18, open")
    const goOn = () => void sendAuth(client, 0x18)
    watcher.take()
    return { harness, watcher, client, goOn }
  }

  test("that is abandoned ends the connection, after the time that a CONNECT has and not earlier", async () => {
    const { harness, client, watcher } = begun()
    harness.clock.advance(4.9)
    client.send({ cmd: "pingreq" })
    expect(told(client)).toBe("pingresp, open")
    harness.clock.advance(0.6)
    expect(told(client)).toBe("disconnect 87, closed")
    await microtasks()
    expect(watcher.messages()).toEqual(["w gone"])
  })
  test("has all its steps in that time: another one makes it no longer", () => {
    const { harness, client, goOn } = begun({ challenge: Buffer.from("really?") })
    harness.clock.advance(4)
    goOn()
    harness.clock.advance(1.5)
    expect(told(client)).toBe("auth 18, disconnect 87, closed")
  })
  test("that is done in time is done; the next one has its own", async () => {
    const { harness, client, goOn } = begun(true, { challenge: Buffer.from("again?") })
    harness.clock.advance(4)
    goOn()
    expect(told(client)).toBe("auth 00, open")
    void sendAuth(client, 0x19)
    harness.clock.advance(4)
    expect(told(client)).toBe("auth 18, open")
    harness.clock.advance(1.5)
    expect(told(client)).toBe("disconnect 87, closed")
  })
})

/** What is remembered of an authority's answers on topics: for whom, how many, and how long. */
import { describe, expect, test } from "bun:test"
import type { Action, Permission } from "../../src/broker/ports.ts"
import { Permissions } from "../../src/connection/permissions.ts"
import { admitted } from "../support/auth-context.ts"
import { type Answer, noting, openDoor, ways } from "../support/door.ts"
import { Harness, type TestClient } from "../support/harness.ts"
import { microtasks } from "../support/store.ts"
import { told } from "./wire.ts"

/** What one client may do, by an authority that answers so and lets its answers be remembered. */
function remembering(decide: (topic: string, action: Action) => Answer) {
  const { authority, take } = noting(decide)
  return { permissions: Permissions.of(authority, admitted())!, take, authority }
}

describe("an authority whose answers may be remembered", () => {
  /** Everything that asks, twice, for the topics `t` and `u`. */
  async function everythingTwice(client: TestClient, publisher: TestClient): Promise<void> {
    for (let round = 0; round < 2; round++) {
      for (const topic of ["t", "u"]) {
        client.subscribe(topic, { qos: 1 })
        await microtasks()
        client.publish(topic, "mine", { qos: 1 })
        await microtasks()
        publisher.publish(topic, "theirs", { qos: 1 })
        await microtasks()
      }
    }
  }
  const once = ["subscribe t", "publish t", "receive t", "subscribe u", "publish u", "receive u"]

  for (const [name, give] of ways)
    for (const answer of [true, false, undefined, 0, 0x97] as Permission[]) {
      test(`is asked once for each topic and action, answers ${answer} ${name}, and by each client for itself`, async () => {
        // Subscriptions are granted, so that there is something to receive.
        const { authority, take } = noting((_, action) => give(action === "subscribe" || answer))
        const harness = new Harness()
        const { listener } = openDoor(harness, authority)
        const publisher = harness.client("publisher")
        const client = harness.client("a", {}, listener)
        await everythingTwice(client, publisher)
        expect(take().sort()).toEqual(once.toSorted())
        const expected = answer === true || answer === 0 ? { puback: "00", messages: 8 } : { puback: "87", messages: 0 }
        const code = answer === 0x97 ? "97" : expected.puback
        const received = client.take()
        const pubacks = received.filter(({ cmd }) => cmd === "puback")
        expect(pubacks.map(({ reasonCode }) => reasonCode.toString(16).padStart(2, "0"))).toEqual(Array(4).fill(code))
        expect(received.filter(({ cmd }) => cmd === "publish").length).toBe(expected.messages)
        await everythingTwice(harness.client("b", {}, listener), publisher)
        expect(take().sort()).toEqual(once.toSorted())
      })
    }

  test("is asked again by a client that comes back", () => {
    const { authority, take } = noting(() => true)
    const harness = new Harness()
    const { listener } = openDoor(harness, authority)
    harness.client("a", {}, listener).publish("t").publish("t").drop()
    harness.client("a", {}, listener).publish("t").publish("t")
    expect(take()).toEqual(["publish t", "publish t"])
  })

  test("is asked once by all messages that wait for the same answer, and they keep their order", async () => {
    const { promise, resolve } = Promise.withResolvers<Permission>()
    const { authority, take } = noting((topic, action) => (action === "receive" && topic === "t" ? promise : true))
    const harness = new Harness()
    const client = harness.client("a", {}, openDoor(harness, authority).listener).subscribe("#")
    const publisher = harness.client("publisher")
    const payloads = Array.from({ length: 20 }, (_, i) => [i % 3 === 0 ? "t" : "u", `${i}`] as const)
    for (const [topic, payload] of payloads) publisher.publish(topic, payload)
    expect(take()).toEqual(["subscribe #", "receive t", "receive u"])
    expect(client.messages()).toEqual([])
    resolve(true)
    await microtasks()
    expect(client.messages()).toEqual(payloads.map(([topic, payload]) => `${topic} ${payload}`))
    publisher.publish("t", "at once, now that the answer is there")
    expect(client.messages().length).toBe(1)
    expect(take()).toEqual([])
  })

  test("is asked anew after a change, and its new answers are remembered in their turn", async () => {
    let isAllowed = true
    const { authority, take } = noting((_, action) => action !== "publish" || isAllowed)
    const harness = new Harness()
    const { listener, change } = openDoor(harness, authority)
    const client = harness.client("a", {}, listener)
    const publish = () => {
      client.publish("t", "", { qos: 1 }).publish("t", "", { qos: 1 })
      return [told(client), ...take()]
    }
    expect(publish()).toEqual(["puback 10, puback 10, open", "publish t"])
    isAllowed = false
    await change()
    expect(publish()).toEqual(["puback 87, puback 87, open", "publish t"])
    isAllowed = true
    expect(publish()).toEqual(["puback 87, puback 87, open"]) // it has not said so
    await change()
    expect(publish()).toEqual(["puback 10, puback 10, open", "publish t"])
  })

  test("is asked anew for what it was asked before a change, even if it answers after it", async () => {
    const answers = [Promise.withResolvers<Permission>(), Promise.withResolvers<Permission>()]
    let count = 0
    const { permissions, take } = remembering(() => answers[count++]!.promise)
    const before = permissions.ask("publish", "t")
    permissions.forget()
    answers[0]!.resolve(true)
    expect(await before).toBe(true) // to the one who has asked it
    const after = permissions.ask("publish", "t")
    expect(take()).toEqual(["publish t", "publish t"])
    answers[1]!.resolve(false)
    expect(await after).toBe(false)
    expect([permissions.ask("publish", "t"), take()]).toEqual([false, []])
  })

  test("is remembered for 1,000 topics an action; with one more it begins anew", () => {
    const { permissions, take } = remembering(() => true)
    const ask = (from: number, to: number, action: Action = "publish") => {
      for (let i = from; i < to; i++) permissions.ask(action, `t/${i}`)
      return take().length
    }
    expect(ask(0, 1000)).toBe(1000)
    expect(ask(0, 1000)).toBe(0)
    expect(ask(0, 1000, "receive")).toBe(1000)
    expect(ask(1000, 1001)).toBe(1)
    expect(ask(1000, 1001)).toBe(0)
    expect(ask(0, 999)).toBe(999)
    expect(ask(0, 999)).toBe(0)
    expect(ask(0, 1000, "receive")).toBe(0) // which has a bound of its own
  })

  test("a late answer to what is remembered as pending takes no more room", async () => {
    const { promise, resolve } = Promise.withResolvers<Permission>()
    const { permissions, take } = remembering((topic) => (topic === "late" ? promise : true))
    permissions.ask("publish", "late")
    for (let i = 1; i < 1000; i++) permissions.ask("publish", `t/${i}`)
    resolve(true)
    await microtasks()
    take()
    for (let i = 1; i < 1000; i++) permissions.ask("publish", `t/${i}`)
    expect(permissions.ask("publish", "late")).toBe(true)
    expect(take()).toEqual([])
  })

  test("a failure that comes late does not undo what has been asked since", async () => {
    const answers = [Promise.withResolvers<Permission>(), Promise.withResolvers<Permission>()]
    let count = 0
    const { permissions, take } = remembering((topic) => (topic === "t" ? answers[count++]!.promise : true))
    const first = Promise.resolve(permissions.ask("publish", "t"))
    for (let i = 0; i < 1000; i++) permissions.ask("publish", `${i}`) // and it begins anew
    permissions.ask("publish", "t")
    take()
    answers[0]!.reject(new Error("no"))
    await first.catch(() => undefined)
    permissions.ask("publish", "t")
    expect(take()).toEqual([])
  })
  test("very long topics are asked for each time, so that what is remembered is bounded in bytes", () => {
    const { permissions, take } = remembering(() => true)
    const askTwice = (length: number) => {
      for (let i = 0; i < 2; i++) expect(permissions.ask("publish", "x".repeat(length))).toBe(true)
      return take().length
    }
    expect([askTwice(512), askTwice(513), askTwice(65_535)]).toEqual([1, 2, 2])
  })

  test("that does not want it any more after a change is asked every time", () => {
    const { permissions, take, authority } = remembering(() => true)
    const askTwice = () => {
      for (let i = 0; i < 2; i++) permissions.ask("publish", "t")
      return take().length
    }
    expect(askTwice()).toBe(1)
    authority.isCacheable = false
    permissions.forget()
    expect(askTwice()).toBe(2)
    authority.isCacheable = true
    permissions.forget()
    expect(askTwice()).toBe(1)
  })
})

describe("an authority whose answers may not be remembered", () => {
  for (const [name, give] of ways)
    for (const isCacheable of [false, undefined])
      test(`is asked every time, answers ${name}, isCacheable is ${isCacheable}`, async () => {
        const { authority, take } = noting(() => give(true))
        const { isCacheable: _, ...unsaid } = authority
        const harness = new Harness()
        const auth = isCacheable === undefined ? unsaid : { ...authority, isCacheable }
        const client = harness.client("a", {}, openDoor(harness, auth).listener)
        const publisher = harness.client("publisher")
        for (let i = 0; i < 3; i++) {
          client.subscribe("t").publish("u")
          await microtasks()
          publisher.publish("t")
          await microtasks()
        }
        const times = (question: string, count: number): string[] => Array(count).fill(question)
        const all = [...times("publish u", 3), ...times("receive t", 3), ...times("subscribe t", 3)]
        expect(take().sort()).toEqual(all)
      })
})

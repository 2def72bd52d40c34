/** What a client finds again that may not have everything any more: its subscriptions are asked for anew, before anything goes out. */
import { describe, expect, test } from "bun:test"
import type mqtt from "mqtt-packet"
import type { Auth } from "../../src/broker/ports.ts"
import type { QoS } from "../../src/codec/index.ts"
import { Message } from "../../src/session/index.ts"
import { memory } from "../../src/store/memory.ts"
import { type Answer, noting, openDoor, ways } from "../support/door.ts"
import { durable, Harness, type TestClient } from "../support/harness.ts"
import { Runs } from "../support/runs.ts"
import { LateStore, microtasks } from "../support/store.ts"
import { levels, thrownOut, told } from "./wire.ts"

/** Lets everybody in and do everything but subscribe to these filters; the test changes them. */
function denying(filters: Set<string>, give: <A>(answer: A) => A | Promise<A> = (answer) => answer) {
  return {
    authorize: (_: unknown, action: string, topic: string) => give(action !== "subscribe" || !filters.has(topic)),
  }
}

const subscriptionsOf = (harness: Harness, clientId = "a") => [
  ...harness.core.sessions.get(clientId)!.subscriptions.keys(),
]
const numbers = (count: number) => Array.from({ length: count }, (_, i) => String(i + 1))

describe("a subscription that is forbidden by now", () => {
  for (const level of levels)
    for (const [when, give] of ways)
      test(`level ${level}, ${when}: ends, the client is told behind its CONNACK, and nothing of it comes then or later`, async () => {
        const denied = new Set<string>()
        const harness = new Harness()
        const { listener } = openDoor(harness, denying(denied, give))
        const client = harness.client("a", durable(level), listener).subscribe(["t", "u", "v/+"], { qos: 2 })
        await microtasks()
        client.drop()
        const publisher = harness.client("publisher")
        for (const topic of ["t", "u", "v/w"]) publisher.publish(topic, "waits", { qos: 1 })
        for (const filter of ["t", "v/+"]) denied.add(filter)
        const back = harness.connect({ clientId: "a", ...durable(level) }, listener)
        await microtasks()
        expect(told(back)).toBe(`connack 00, ${thrownOut(level, "87")}`)
        expect(subscriptionsOf(harness)).toEqual(["u"])
        for (const topic of ["t", "u", "v/w"]) publisher.publish(topic, "later", { qos: 1 })
        const again = harness.resume("a", durable(level), listener)
        await microtasks()
        expect([again.messages(), again.isClosed]).toEqual([["u waits", "u later"], false])
        expect(harness.core.metrics.dropped["not authorized"]).toBe(2)
        expect(harness.core.queueBytes).toBe(0)
      })
  test("leaves what another one matches that is still allowed", () => {
    const denied = new Set<string>()
    const harness = new Harness()
    const { listener } = openDoor(harness, denying(denied))
    harness.client("a", durable(), listener).subscribe(["t/1", "t/+"], { qos: 1 }).drop()
    harness.client("publisher").publish("t/1", "1", { qos: 1 })
    denied.add("t/1")
    expect(told(harness.connect({ clientId: "a", ...durable() }, listener))).toBe("connack 00, disconnect 87, closed")
    expect(harness.resume("a", durable(), listener).messages()).toEqual(["t/1 1"])
  })
  test("stands behind the mount point, and may be a shared one", () => {
    const denied = new Set<string>()
    const harness = new Harness()
    const { listener } = openDoor(harness, denying(denied), { mountPoint: "house/" })
    harness.client("a", durable(), listener).subscribe(["$share/g/t", "u", "v"], { qos: 1 }).drop()
    denied.add("u").add("house/t")
    expect(told(harness.connect({ clientId: "a", ...durable() }, listener))).toBe("connack 00, disconnect 87, closed")
    expect(subscriptionsOf(harness)).toEqual(["house/u", "house/v"])
  })
  for (const [when, give] of ways)
    test(`is one on which the authority fails, or says nothing, ${when}`, async () => {
      let hasChanged = false
      const harness = new Harness()
      const authorize: Auth["authorize"] = async (_, __, topic) => {
        if (hasChanged && topic === "t") throw new Error("no")
        return give(hasChanged && topic === "u" ? undefined : true)
      }
      const { listener } = openDoor(harness, { authorize })
      const client = harness.client("a", durable(), listener).subscribe(["t", "u", "v"])
      await microtasks()
      client.drop()
      hasChanged = true
      const back = harness.connect({ clientId: "a", ...durable() }, listener)
      await microtasks()
      expect(told(back)).toBe("connack 00, disconnect 87, closed")
      expect(subscriptionsOf(harness)).toEqual(["v"])
      const errors = harness.logged.filter((line) => line.startsWith("error"))
      expect(errors).toEqual(["error auth failed for a (192.0.2.1): Error: no"])
    })
  test("ends in the store, too", async () => {
    const denied = new Set<string>()
    const store = new LateStore()
    const harness = new Harness({ store })
    const { listener } = openDoor(harness, denying(denied))
    const client = harness.connect({ clientId: "a", ...durable() }, listener)
    await store.commitAll()
    client.subscribe(["t", "u"]).drop()
    await store.commitAll()
    denied.add("t")
    harness.connect({ clientId: "a", ...durable() }, listener)
    await store.commitAll()
    const ended = store.committed.filter(({ kind }) => kind === "unsubscribed")
    expect(ended).toEqual([{ kind: "unsubscribed", clientId: "a", topicFilter: "t" }])
  })
})

describe("what was in flight of it", () => {
  test("is for others if it had come through a share, though another subscription matches it as well", () => {
    const denied = new Set<string>()
    const harness = new Harness()
    const { listener } = openDoor(harness, denying(denied))
    const client = harness.client("a", durable(), listener).subscribe(["$share/g/t/+", "t/1"], { qos: 1 })
    harness.client("publisher").publish("t/1", "1", { qos: 1 })
    client.drop()
    const other = harness.client("b").subscribe("$share/g/t/+", { qos: 1 })
    other.take()
    denied.add("t/+")
    harness.connect({ clientId: "a", ...durable() }, listener)
    expect(harness.resume("a", durable(), listener).messages()).toEqual(["t/1 1"])
    expect(other.messages()).toEqual(["t/1 1"])
  })
  /** A client with one message of QoS 1 in flight, and at QoS 2 one that it has not answered and one that it has. */
  function interrupted(level: (typeof levels)[number]) {
    const denied = new Set<string>()
    const limits = { maximumInflight: 3 }
    const harness = new Harness({ limits })
    const { listener } = openDoor(harness, denying(denied))
    const client = harness.client("a", durable(level), listener).subscribe(["t", "u"], { qos: 2 })
    client.take()
    const publisher = harness.client("publisher")
    publisher.publish("t", "1", { qos: 1 }).publish("t", "2", { qos: 2 }).publish("t", "3", { qos: 2 })
    const ids = client.take().map(({ messageId }) => messageId!)
    client.ack("pubrec", ids[2]!).drop()
    for (const payload of ["4", "5", "6"]) publisher.publish("u", payload, { qos: 2 })
    return { denied, harness, listener, publisher, ids }
  }

  for (const level of levels) {
    test(`level ${level}: is not sent again; of QoS 2 the ids are released, and the window is open for the rest`, () => {
      const { denied, harness, listener, ids } = interrupted(level)
      denied.add("t")
      harness.connect({ clientId: "a", ...durable(level) }, listener)
      const again = harness.resume("a", durable(level), listener)
      const [, second, third] = ids
      expect(
        again.take().map(({ cmd, messageId, payload }) => (cmd === "publish" ? `${payload}` : [cmd, messageId])),
      ).toEqual([["pubrel", second], ["pubrel", third], "4"])
      again.ack("pubcomp", second!).ack("pubcomp", third!)
      expect(again.messages()).toEqual(["u 5", "u 6"])
      expect(harness.core.metrics.dropped["not authorized"]).toBe(2)
      expect([harness.core.inflightCount, harness.core.queueBytes]).toEqual([3, 0])
    })
    test(`level ${level}: is sent again where nothing is forbidden`, () => {
      const { harness, listener } = interrupted(level)
      expect(harness.resume("a", durable(level), listener).messages()).toEqual(["t 1", "t 2"])
    })
  }
  for (const [when, give] of ways)
    test(`is given up also where the client was there when it was forbidden, ${when}; so is what had no room yet`, async () => {
      const denied = new Set<string>()
      const harness = new Harness({ limits: { maximumInflight: 2 } })
      const { listener, change } = openDoor(harness, denying(denied, give))
      const client = harness.client("a", durable(), listener).subscribe(["t", "u"], { qos: 2 })
      await microtasks()
      client.take()
      const publisher = harness.client("publisher")
      publisher.publish("t", "1", { qos: 1 }).publish("t", "2", { qos: 2 }).publish("t", "3", { qos: 1 })
      publisher.publish("u", "4", { qos: 1 })
      await microtasks()
      expect(client.messages()).toEqual(["t 1", "t 2"])
      denied.add("t")
      await change()
      expect(told(client)).toBe("disconnect 87, closed")
      const again = harness.resume("a", durable(), listener)
      await microtasks()
      expect(again.take().map(({ cmd, topic, payload }) => `${cmd} ${topic ?? ""} ${payload ?? ""}`)).toEqual([
        "pubrel  ",
        "publish u 4",
      ])
      expect(harness.core.metrics.dropped["not authorized"]).toBe(3)
      expect([harness.core.inflightCount, harness.core.queueBytes]).toEqual([2, 0])
    })
  test("is given up at once, though another subscription is still being decided on", async () => {
    let hasChanged = false
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const store = new LateStore()
    const harness = new Harness({ store })
    const authorize: Auth["authorize"] = (_, action, topic) => {
      if (action !== "subscribe" || !hasChanged) return true
      return topic === "u" ? promise : false
    }
    const { listener, change } = openDoor(harness, { authorize })
    const narrow = { clean: false, properties: { sessionExpiryInterval: 3600, receiveMaximum: 1 } }
    const client = harness.connect({ clientId: "a", ...narrow }, listener)
    await store.commitAll()
    client.subscribe(["t", "u"], { qos: 2 })
    await store.commitAll()
    client.take()
    harness
      .client("publisher")
      .publish("t", "1", { qos: 2 })
      .publish("t", "2", { qos: 2 })
      .publish("u", "3", { qos: 2 })
    hasChanged = true
    await change()
    await store.commitAll()
    expect(client.messages()).toEqual(["u 3"])
    resolve(true)
    await microtasks()
    expect(told(client)).toBe("disconnect 87, closed")
    expect(harness.core.metrics.dropped["not authorized"]).toBe(2)
  })
  test("[MQTT-3.10.4-3] is completed if it is the client that has given the subscription up", () => {
    const denied = new Set<string>()
    const harness = new Harness()
    const { listener } = openDoor(harness, denying(denied))
    const client = harness.client("a", durable(), listener).subscribe(["t", "u"], { qos: 2 })
    const publisher = harness.client("publisher")
    publisher.publish("t", "1", { qos: 1 }).publish("t", "2", { qos: 2 }).publish("u", "3", { qos: 1 })
    client.send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: ["t"] }).drop()
    denied.add("u")
    harness.connect({ clientId: "a", ...durable() }, listener)
    expect(harness.resume("a", durable(), listener).messages()).toEqual(["t 1", "t 2"])
  })
  for (const qos of [1, 2] as const satisfies QoS[])
    test(`QoS ${qos}, through a share group: ${qos === 1 ? "another member gets it" : "nobody else does, for it may have begun to receive it"}`, () => {
      const denied = new Set<string>()
      const harness = new Harness()
      const { listener } = openDoor(harness, denying(denied))
      const client = harness.client("a", durable(), listener).subscribe("$share/g/t", { qos })
      harness.client("publisher").publish("t", "1", { qos })
      client.drop()
      const other = harness.client("b").subscribe("$share/g/t", { qos })
      other.take()
      denied.add("t")
      harness.connect({ clientId: "a", ...durable() }, listener)
      const again = harness.resume("a", durable(), listener)
      expect(other.messages()).toEqual(qos === 1 ? ["t 1"] : [])
      expect(told(again)).toBe(qos === 1 ? "open" : "pubrel 00, open")
      expect(harness.core.metrics.droppedTotal).toBe(qos === 1 ? 0 : 1)
    })
})

test("what comes later waits as it always does, of a filter too that had been given up", () => {
  const harness = new Harness()
  const { listener } = openDoor(harness, denying(new Set()))
  const narrow = { clean: false, properties: { sessionExpiryInterval: 3600, receiveMaximum: 1 } }
  const client = harness.client("a", narrow, listener).subscribe(["t", "u"], { qos: 1 })
  const publisher = harness.client("publisher")
  publisher.publish("u", "1", { qos: 1 }).publish("t", "given up", { qos: 1 }).publish("u", "2", { qos: 1 })
  client.send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: ["t"] }).drop()
  const again = harness.resume("a", narrow, listener)
  expect(again.messages()).toEqual(["u 1"])
  expect(again.ack("puback", 1).messages()).toEqual(["u 2"])
  again.subscribe("t", { qos: 1 })
  publisher.publish("t", "3", { qos: 1 })
  expect(again.ack("puback", 2).messages()).toEqual(["t 3"])
  expect(harness.core.metrics.dropped["not authorized"]).toBe(1)
})

describe("over a restart", () => {
  const all = numbers(2500)
  /** A session with so much waiting that most of it is in the store alone: every second of it by a filter that is forbidden then. */
  async function waiting() {
    const denied = new Set<string>()
    const runs = new Runs({}, memory(), { authenticate: () => true, ...denying(denied) })
    const client = await runs.client("a")
    await runs.subscribe(client, ["t/#", "u/#"], { qos: 1 })
    await runs.drop(client)
    for (const [index, payload] of all.entries())
      runs.harness.core.publish(messageOf(runs.harness, index, payload), undefined)
    await runs.settled()
    denied.add("t/#")
    return { runs, denied }
  }
  const topics = ["t/1", "u/1", "t/2", "u/2"]
  const messageOf = (harness: Harness, index: number, payload: string) => {
    const topic = harness.core.router.topics.named(topics[index % topics.length]!)!
    return Message.create(topic, Buffer.from(payload), 1, false, {}, harness.core.now())
  }
  const allowed = all.filter((_, index) => index % 2 === 1)

  for (const [name, crash] of [
    ["before it comes back", async ({ runs }: Awaited<ReturnType<typeof waiting>>) => runs.restart()],
    ["after it has been told", async () => {}],
  ] as const)
    test(`what waits of it is dropped, in the store too, and the rest comes whole and in order: a crash ${name}`, async () => {
      const given = await waiting()
      const { runs } = given
      await crash(given)
      const back = runs.harness.connect({ clientId: "a", ...durable() })
      await runs.settled()
      expect(told(back)).toBe("connack 00, disconnect 87, closed")
      await runs.restart()
      expect(subscriptionsOf(runs.harness)).toEqual(["u/#"])
      expect(await runs.drain(await runs.resume("a"))).toEqual(allowed)
      expect(runs.harness.core.metrics.dropped["not authorized"]).toBe(all.length - allowed.length)
      expect(await runs.store.page("a", Number.MIN_SAFE_INTEGER, 10_000)).toEqual([])
      expect(await runs.stored("inflight")).toEqual([])
    })
  test("what was in flight of it is not sent again", async () => {
    const denied = new Set<string>()
    const runs = new Runs({}, memory(), { authenticate: () => true, ...denying(denied) })
    const client = await runs.client("a")
    await runs.subscribe(client, "t", { qos: 2 })
    for (const qos of [1, 2] as const) await runs.publish("t", `${qos}`, { qos })
    await runs.drop(client)
    denied.add("t")
    const back = runs.harness.connect({ clientId: "a", ...durable() })
    await runs.settled()
    expect(told(back)).toBe("connack 00, disconnect 87, closed")
    await runs.restart()
    const again = await runs.resume("a")
    await runs.settled()
    expect(again.take().map(({ cmd }) => cmd)).toEqual(["pubrel"])
    again.ack("pubcomp", 2)
    expect(await runs.stored("inflight")).toEqual([])
  })
})

describe("while it is being decided", () => {
  /** A client that has come back, and whose authority has been asked for `t`; then for `u`. */
  async function returning(level: (typeof levels)[number] = 5) {
    const answers: ((answer: Answer) => Promise<void>)[] = []
    let isLate = false
    const harness = new Harness()
    const { listener, change } = openDoor(harness, {
      authorize: (_, action) => {
        if (action !== "subscribe" || !isLate) return true
        const { promise, resolve } = Promise.withResolvers<Awaited<Answer>>()
        answers.push((answer) => {
          resolve(answer as Awaited<Answer>)
          return microtasks()
        })
        return promise
      },
    })
    harness.client("a", durable(level), listener).subscribe(["t", "u"], { qos: 1 }).drop()
    const publisher = harness.client("publisher").publish("t", "1", { qos: 1 })
    isLate = true
    const client = harness.connect({ clientId: "a", ...durable(level) }, listener)
    expect([told(client), answers.length]).toEqual(["connack 00, open", 1])
    const allow = async () => {
      for (let i = 0; i < answers.length; i++) await answers[i]!(true)
    }
    return { answers, allow, harness, listener, change, publisher, client, setLate: (late: boolean) => (isLate = late) }
  }

  for (const level of levels) {
    test(`level ${level}: nothing goes out, at no QoS; if all is allowed what waits follows in order`, async () => {
      const { allow, publisher, client } = await returning(level)
      for (const qos of [0, 1, 2] as const) publisher.publish("t", `live ${qos}`, { qos })
      expect(client.take()).toEqual([])
      await allow()
      expect(client.messages()).toEqual(["t 1", "t live 1", "t live 2"])
      publisher.publish("t", "0")
      expect(client.messages()).toEqual(["t 0"])
    })
    test(`level ${level}: nothing has gone out if something is forbidden, and all of them have been asked for`, async () => {
      const { answers, harness, publisher, client } = await returning(level)
      for (const qos of [0, 1, 2] as const) publisher.publish("t", `live ${qos}`, { qos })
      await answers[0]!(false)
      expect(told(client)).toBe("open")
      await answers[1]!(true)
      expect(told(client)).toBe(thrownOut(level, "87"))
      expect(subscriptionsOf(harness)).toEqual(["u"])
    })
  }
  test("a share group gives its messages to others", async () => {
    const { publisher, client, listener, harness, setLate, allow } = await returning()
    await allow()
    client.subscribe("$share/g/s", { qos: 1 })
    await allow()
    const other = harness.client("b").subscribe("$share/g/s", { qos: 1 })
    for (const each of [client, other]) each.take()
    client.drop()
    setLate(true)
    const again = harness.resume("a", durable(), listener)
    for (const qos of [0, 1, 0, 1] as const) publisher.publish("s", `${qos}`, { qos })
    expect([again.messages(), other.messages()]).toEqual([[], ["s 0", "s 1", "s 0", "s 1"]])
  })
  test("what the client sends waits, and is done in order", async () => {
    const { allow, client, setLate } = await returning()
    setLate(false)
    client.subscribe("v").send({ cmd: "pingreq" })
    expect([told(client), client.isPaused]).toEqual(["open", true])
    setLate(true)
    await allow()
    await allow()
    expect(client.take().map(({ cmd }) => cmd)).toEqual(["publish", "suback", "pingresp"])
  })
  test("a client that leaves has left: its session is as it was", async () => {
    const { answers, harness, client } = await returning()
    client.drop()
    await answers[0]!(false)
    expect([answers.length, subscriptionsOf(harness)]).toEqual([1, ["t", "u"]])
    expect(harness.core.sessions.get("a")!.queuedCount).toBe(1)
  })
  test("one that is taken over has left, and its successor is asked for anew", async () => {
    const { answers, harness, listener, client } = await returning()
    const successor = harness.connect({ clientId: "a", ...durable() }, listener)
    expect(told(client)).toBe("disconnect 8e, closed")
    await answers[0]!(false)
    expect([told(successor), subscriptionsOf(harness)]).toEqual(["connack 00, open", ["t", "u"]])
    await answers[1]!(true)
    await answers[2]!(true)
    expect(successor.messages()).toEqual(["t 1"])
  })
  test("a change of decisions is heeded: what was allowed before it is asked for once more", async () => {
    const { answers, change, client, harness } = await returning()
    await change()
    expect(answers.length).toBe(2)
    await answers[0]!(true) // what it had read before
    await answers[1]!(false) // for `t`, now
    for (let i = 2; i < answers.length; i++) await answers[i]!(true)
    expect(told(client)).toBe("disconnect 87, closed")
    expect(subscriptionsOf(harness)).toEqual(["u"])
  })
})

describe("who is asked, and what", () => {
  function asked() {
    const { authority, take } = noting(() => true, true)
    const harness = new Harness()
    const { listener } = openDoor(harness, authority)
    return { harness, listener, take }
  }
  test("for each subscription, on every resumption, whether or not the answers may be remembered", () => {
    const { harness, listener, take } = asked()
    harness.client("a", durable(), listener).subscribe(["t", "$share/g/u/+"])
    take()
    for (let i = 0; i < 2; i++) {
      harness.resume("a", durable(), listener)
      expect(take()).toEqual(["subscribe t", "subscribe u/+"])
    }
  })
  test("not for a session that is new, or begun anew", () => {
    const { harness, listener, take } = asked()
    harness.client("a", durable(), listener).subscribe("t").drop()
    take()
    harness.client("a", {}, listener)
    expect(take()).toEqual([])
  })
  test("where nobody has an opinion on topics, what waits comes, whatever it came by", () => {
    const harness = new Harness()
    const { listener } = openDoor(harness, {})
    const unsubscribe: mqtt.Packet = { cmd: "unsubscribe", messageId: 9, unsubscriptions: ["t"] }
    const client: TestClient = harness.client("a", {
      ...durable(),
      properties: { sessionExpiryInterval: 3600, receiveMaximum: 1 },
    })
    client.subscribe("t", { qos: 1 })
    const publisher = harness.client("publisher")
    for (const payload of ["1", "2"]) publisher.publish("t", payload, { qos: 1 })
    client.send(unsubscribe).drop()
    expect(harness.resume("a", durable(), listener).messages()).toEqual(["t 1", "t 2"])
  })
})

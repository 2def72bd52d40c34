/** Why somebody does not get a message: every cause as a sentence of its own. */
import { describe, expect, test } from "bun:test"
import { acl } from "../../../src/auth/acl.ts"
import { all } from "../../../src/auth/compose.ts"
import { explain } from "../../../src/broker/admin/explain/index.ts"
import { ApplicationMessage } from "../../../src/broker/application-message.ts"
import type { ExplanationSide, FindingCode } from "../../../src/broker/explanation.ts"
import type { Auth } from "../../../src/broker/ports.ts"
import { Reason } from "../../../src/codec/index.ts"
import { embed } from "../../support/embedded.ts"
import { durable, Harness, type HarnessOptions } from "../../support/harness.ts"
import { LateStore, microtasks } from "../../support/store.ts"
import { workOf } from "../../support/work.ts"

const open: Auth = { authenticate: () => true }
/** Who is in may do what the rules say. */
const ruled = (rules: Parameters<typeof acl>[0]) => all(open, acl(rules))

function explaining(options: HarnessOptions = {}) {
  const harness = new Harness(options)
  const { core } = harness
  const publish = async (clientId: string, topic: string) => (await explain(core, { clientId, topic })).publish
  const receive = async (clientId: string, topic: string, from?: string) =>
    (await explain(core, { clientId, topic, ...(from !== undefined && { from }) })).receive
  return { harness, core, publish, receive }
}

/** What a side says under a code, as `effect: words`. */
function said({ findings }: ExplanationSide, code: FindingCode): string[] {
  return findings.filter((finding) => finding.code === code).map(({ effect, words }) => `${effect}: ${words}`)
}

test("thousands of subscriptions are gone through in slices, and others have their turn in between", async () => {
  const { harness, core, receive } = explaining()
  harness.client("dash").subscribe(["a", "b"])
  const { subscriptions } = core.sessions.get("dash")!
  const [one] = [...subscriptions.values()]
  subscriptions.values = function* slowly() {
    for (let n = 0; n < 640; n++) {
      if (n % 64 === 0) for (const until = performance.now() + 3; performance.now() < until; );
      yield one!
    }
  } as typeof subscriptions.values
  let turns = 0
  let isDone = false
  setImmediate(function again(): void {
    turns++
    if (!isDone) setImmediate(again)
  })
  expect((await receive("dash", "a")).outcome).toBe("yes")
  isDone = true
  expect(turns).toBeGreaterThan(5)
})

test("thousands of subscribers are gone through in slices, and of thousands of members few are looked at", async () => {
  const works: number[] = []
  for (const count of [20, 4000]) {
    const { harness, core } = explaining()
    for (let n = 0; n < count; n++) {
      const client = harness.client(`dash-${n + 1000}`).subscribe(["a", "$share/g/a"])
      if (n % 2 === 1) client.drop()
    }
    for (let n = 0; n < 20; n++) harness.client(`many-${n}`).subscribe(`$share/g${n}/a`)
    core.router.route(core.router.topics.named("a")!)
    let answer: ReturnType<typeof explain> | undefined
    works.push(workOf(() => (answer = explain(core, { clientId: "dash-1000", topic: "a", from: "pump" }))))
    const { publish, receive } = await answer!
    const names = `dash-1000, dash-1002, dash-1004, dash-1006, dash-1008 and ${count / 2 - 5} more`
    const groups = [`one of ${count / 2} of $share/g/a`, ...[0, 1, 2].map((n) => `one of 1 of $share/g${n}/a`)]
    expect(said(publish, "subscribers")).toEqual([`passes: it goes to ${names}, ${groups.join(", ")} and 17 more`])
    const others = `dash-1002, dash-1004, dash-1006 or ${count / 2 - 4} more`
    const words = `of what $share/g/a matches each message goes to one member alone: to it, or to ${others}`
    expect(said(receive, "share group")).toEqual([`may stop: ${words}`])
  }
  expect(works[1]!).toBeLessThan(works[0]! + 40)
})

describe("a message that goes well", () => {
  test("is allowed, goes to somebody, and nothing is in its way", async () => {
    const { harness, core } = explaining()
    harness.client("pump", { username: "ada" })
    harness.client("dash").subscribe("a/#", { qos: 1 })
    const { publish, receive, time, topic } = await explain(core, { clientId: "dash", topic: "a/b", from: "pump" })
    expect([time, topic]).toEqual([harness.clock.now(), "a/b"])
    expect([publish.clientId, publish.outcome, publish.words]).toEqual([
      "pump",
      "yes",
      "pump can publish to a/b: nothing is in the way now",
    ])
    expect([receive.clientId, receive.outcome, receive.words]).toEqual([
      "dash",
      "yes",
      "dash gets messages of a/b: nothing is in the way now",
    ])
    expect(publish.findings).toEqual([
      {
        code: "connected",
        effect: "passes",
        words: "it is connected as user ada from 192.0.2.1 through test, MQTT 5.0",
        firstAt: harness.clock.now(),
      },
      { code: "permission", effect: "passes", words: "it may publish there: its auth restricts nobody" },
      { code: "subscribers", effect: "passes", words: "it goes to dash" },
    ])
    expect(said(receive, "subscription")).toEqual(["passes: its subscription a/# matches, at QoS 1"])
  })

  test("is the client's own where nobody else is named", async () => {
    const { harness, core } = explaining()
    harness.client("pump").subscribe("a")
    const { publish, receive } = await explain(core, { clientId: "pump", topic: "a" })
    expect([publish.clientId, publish.outcome, receive.clientId, receive.outcome]).toEqual([
      "pump",
      "yes",
      "pump",
      "yes",
    ])
  })

  test("has a topic name, and no filter", async () => {
    const { core } = explaining()
    const problem = explain(core, { clientId: "dash", topic: "a/#" })
    expect(await problem.catch(({ code, message }) => [code, message])).toEqual([
      "INVALID_TOPIC",
      'not a topic name: "a/#"',
    ])
  })
})

describe("a client that is not there", () => {
  test("is said not to be connected, and without a session nothing waits for it", async () => {
    const { harness, receive, publish } = explaining()
    harness.client("dash").subscribe("a").drop()
    const { outcome, words } = await receive("dash", "a")
    expect([outcome, words]).toEqual([
      "no",
      "dash gets no messages of a: it is not connected, and there is no session of it",
    ])
    expect((await publish("dash", "a")).outcome).toBe("no") // nobody else is subscribed
  })

  test("with a session gets what waits for it, but misses QoS 0", async () => {
    const { harness, receive } = explaining()
    harness.client("dash", durable()).subscribe("a", { qos: 1 }).drop()
    const leftAt = harness.clock.now()
    harness.client("pump").publish("a", "1", { qos: 1 })
    harness.clock.advance(60)
    const side = await receive("dash", "a")
    expect([side.outcome, said(side, "offline")]).toEqual([
      "perhaps",
      ["may stop: it is not connected: messages of QoS 1 and 2 wait for it, those of QoS 0 it misses"],
    ])
    expect(side.findings).toContainEqual({
      code: "not connected",
      effect: "note",
      words: "it is not connected; 1 message waits in its session",
      lastAt: leftAt,
    })
  })

  test("with a subscription of QoS 0 gets nothing", async () => {
    const { harness, receive } = explaining()
    harness.client("dash", durable()).subscribe("a").drop()
    const side = await receive("dash", "a")
    expect(said(side, "offline")).toEqual([
      "stops: it is not connected, and at QoS 0, which its subscription asks for, nothing waits for it",
    ])
  })

  test("may have been refused: how often, and what it was told", async () => {
    const { harness, receive } = explaining({ auth: { authenticate: () => false } })
    harness.connect({ clientId: "dash", username: "ada" })
    harness.clock.advance(5)
    harness.connect({ clientId: "dash", username: "ada" })
    const side = await receive("dash", "a")
    expect(side.findings).toContainEqual({
      code: "connect refused",
      effect: "note",
      words: "2 times it was not let in: 0x86 BadUserNameOrPassword",
      count: 2,
      firstAt: harness.clock.now() - 5000,
      lastAt: harness.clock.now(),
    })
  })

  test("may have been refused what it published before it went", async () => {
    const { harness, publish } = explaining({
      auth: { authenticate: () => true, authorize: (_, does) => does !== "publish" },
    })
    harness.client("dash").subscribe("a")
    const pump = harness.client("pump")
    expect((await publish("pump", "a")).outcome).toBe("no")
    pump.publish("a", "x", { qos: 1 }).disconnect()
    const { outcome, words } = await publish("pump", "a")
    expect([outcome, words]).toEqual([
      "perhaps",
      "pump may be able to publish to a, or may not: 1 message was refused by its auth: 0x87 NotAuthorized",
    ])
    expect((await publish("pump", "b")).words).toEndWith(": no subscription matches b")
  })

  test("may have been thrown out by another one with its client id", async () => {
    const { harness, receive } = explaining()
    for (let round = 0; round < 3; round++) harness.client("dash")
    const side = await receive("dash", "a")
    expect(said(side, "disconnected")).toEqual(["note: 2 times the broker ended its connection: 0x8e SessionTakenOver"])
  })
})

describe("a subscription", () => {
  test("is not there: which there are is said", async () => {
    const { harness, receive } = explaining()
    harness.client("dash").subscribe(["b", "c/+"])
    const { outcome, words } = await receive("dash", "a/b")
    expect([outcome, words]).toEqual([
      "no",
      "dash gets no messages of a/b: none of its 2 subscriptions matches a/b: it has b and c/+",
    ])
    harness.client("one").subscribe("b")
    expect(said(await receive("one", "a"), "no subscription")).toEqual([
      "stops: its only subscription, b, does not match a",
    ])
    harness.client("idle")
    expect((await receive("idle", "a")).words).toBe("idle gets no messages of a: it is subscribed to nothing")
  })

  test.each([
    ["Sensors/7/temp", "sensors/7/temp"],
    ["/sensors/7", "sensors/7"],
    ["sensors/7/", "sensors/7"],
    ["sensors/+/temp ", "sensors/7/temp"],
  ])("%p comes near %p, and that is said", async (filter, topic) => {
    const { harness, receive } = explaining()
    harness.client("dash").subscribe(["other/#", filter])
    expect(said(await receive("dash", topic), "similar subscription")).toEqual([
      `note: ${filter} comes near: capital letters, spaces and every / count`,
    ])
  })

  test("with a wildcard in front does not match what begins with $", async () => {
    const { harness, receive } = explaining()
    harness.client("dash").subscribe(["#", "+/x", "a"])
    const side = await receive("dash", "$devices/x")
    expect([side.outcome, said(side, "wildcards and $ topics")]).toEqual([
      "no",
      ["note: a filter that begins with a wildcard, as # and +/x, matches no topic that begins with $"],
    ])
  })

  test("was refused: which, how often, and what the client was told", async () => {
    const { harness, receive } = explaining({ auth: { authenticate: () => true, authorize: () => false } })
    harness.client("dash").subscribe("a/#").subscribe("a/#").subscribe("b")
    const side = await receive("dash", "a/b")
    expect(said(side, "subscription refused")).toEqual([
      "note: 2 times its subscription to a/# was refused: 0x87 NotAuthorized",
    ])
    expect(said(side, "permission")).toEqual(["stops: it may not subscribe to a/b: the auth of test refuses it"])
  })

  test("was refused behind a mount point, which the client does not see", async () => {
    const { harness, receive } = explaining()
    const auth: Auth = { authenticate: () => true, authorize: () => false }
    harness.client("dash", {}, harness.listener({ mountPoint: "t1/" }, auth)).subscribe("a/#")
    expect(said(await receive("dash", "t1/a/b"), "subscription refused")).toHaveLength(1)
    expect(said(await receive("dash", "a/b"), "subscription refused")).toEqual([])
  })

  test("with No Local leaves out what the client publishes itself, and nobody else's", async () => {
    const { harness, receive, publish } = explaining()
    harness.client("dash").subscribe("a", { nl: true })
    harness.client("pump")
    expect(said(await receive("dash", "a", "dash"), "no local")).toEqual([
      "stops: its subscription leaves out what it publishes itself (No Local)",
    ])
    expect(said(await receive("dash", "a"), "no local")[0]).toStartWith("note: ")
    expect(said(await receive("dash", "a", "pump"), "no local")).toEqual([])
    expect(said(await publish("dash", "a"), "no subscriber")).toEqual([
      "stops: its own subscription, which wants nothing of its own (No Local), matches a alone",
    ])
    expect((await publish("pump", "a")).outcome).toBe("yes")
  })

  test("caps the QoS, and the listener may cap that", async () => {
    const { harness, receive } = explaining()
    harness.client("dash").subscribe("a", { qos: 1 })
    harness.client("modest", {}, harness.listener({ maximumQoS: 0 })).subscribe("a", { qos: 2 })
    const what = "what is published with a higher QoS comes to it with QoS"
    expect(said(await receive("dash", "a"), "QoS")).toEqual([`note: ${what} 1`])
    expect(said(await receive("modest", "a"), "QoS")).toEqual([`note: ${what} 0, the most that its listener grants`])
  })

  test("is shared: another member may have got it", async () => {
    const { harness, receive, publish } = explaining()
    const one = harness.client("one").subscribe("$share/g/a/#", { qos: 1 })
    expect((await receive("one", "a/b")).outcome).toBe("yes")
    const two = harness.client("two").subscribe("$share/g/a/#", { qos: 1 })
    const side = await receive("one", "a/b")
    expect([side.outcome, said(side, "share group")]).toEqual([
      "perhaps",
      ["may stop: of what $share/g/a/# matches each message goes to one member alone: to it, or to two"],
    ])
    expect(said(await publish("one", "a/b"), "subscribers")).toEqual(["passes: it goes to one of 2 of $share/g/a/#"])
    expect([one.take().length, two.take().length]).toEqual([1, 1]) // the SUBACKs
  })
})

describe("an auth", () => {
  test("denies what is received, and the rule is named", async () => {
    const auth = ruled([
      { user: "ada", topics: [{ allow: "read", filter: "a/#" }] },
      { everybody: true, topics: [{ deny: "read", filter: "a/secret" }] },
    ])
    const { harness, receive } = explaining({ auth })
    harness.client("dash", { username: "ada" }).subscribe("a/#", { qos: 1 })
    expect((await receive("dash", "a/b")).outcome).toBe("yes")
    const { outcome, words } = await receive("dash", "a/secret")
    expect([outcome, words]).toEqual([
      "no",
      "dash gets no messages of a/secret: it may not receive that: acl: rule 2, topic 1 forbids everybody to read a/secret",
    ])
  })

  test("denies what is published, what was refused is counted, and what the sender was told is said", async () => {
    const { harness, publish } = explaining({
      auth: ruled([{ user: "ada", topics: [{ allow: "read", filter: "a/#" }] }]),
    })
    const pump = harness.client("pump", { username: "ada" })
    for (let round = 0; round < 3; round++) pump.publish("a/b", "x", { qos: 1 })
    const side = await publish("pump", "a/b")
    expect([side.outcome, said(side, "permission"), said(side, "not authorized")]).toEqual([
      "no",
      [
        "stops: it may not publish there: acl(...) has no rule that lets user ada write a/b; acl: rule 1, topic 1 lets user ada read a/#",
      ],
      ["note: 3 messages were refused by its auth: 0x87 NotAuthorized"],
    ])
  })

  test("that says nothing of its rules is named by its listener, and one that throws has refused", async () => {
    const { harness, publish } = explaining({
      auth: { authenticate: () => true, authorize: () => Reason.QuotaExceeded },
    })
    harness.client("pump")
    expect(said(await publish("pump", "a"), "permission")).toEqual([
      "stops: it may not publish there: the auth of test refuses it with 0x97 QuotaExceeded",
    ])
    const authorize = () => Promise.reject(new Error("no answer"))
    harness.client("other", {}, harness.listener({}, { authenticate: () => true, authorize }))
    expect(said(await publish("other", "a"), "permission")).toEqual([
      "stops: its auth has failed, which is a refusal: no answer",
    ])
  })
})

describe("a mount point", () => {
  test("puts what a client publishes elsewhere", async () => {
    const { harness, publish } = explaining()
    harness.client("pump", {}, harness.listener({ mountPoint: "t1/" }))
    expect(said(await publish("pump", "a/b"), "mount point")).toEqual([
      "stops: its topics are all below t1/, the mount point of its listener: what it calls a/b is t1/a/b",
    ])
    harness.client("dash").subscribe("#")
    const side = await publish("pump", "t1/a/b")
    expect([side.outcome, said(side, "mount point")]).toEqual([
      "yes",
      ["note: its topics are all below t1/, the mount point of its listener: it calls this one a/b"],
    ])
  })

  test("keeps what is outside of it from a client whose session has subscribed elsewhere", async () => {
    const { harness, receive } = explaining()
    const terms = { clean: false, properties: { sessionExpiryInterval: 3600 } }
    harness.client("dash", terms).subscribe("a/b").drop()
    harness.resume("dash", terms, harness.listener({ mountPoint: "t1/" }))
    harness.client("pump").publish("a/b", "x")
    const side = await receive("dash", "a/b")
    expect([side.outcome, said(side, "mount point"), said(side, "outside mount point")]).toEqual([
      "no",
      ["stops: it sees topics below t1/ alone, the mount point of its listener"],
      ["note: 1 message for it was dropped: outside its mount point"],
    ])
  })
})

describe("a publisher's message", () => {
  test("goes to nobody where nobody is subscribed", async () => {
    const { harness, publish } = explaining()
    harness.client("pump")
    const { outcome, words } = await publish("pump", "a/b")
    expect([outcome, words]).toEqual(["no", "pump cannot get a message of a/b to anybody: no subscription matches a/b"])
  })

  test("goes to so many, some of whom are away", async () => {
    const { harness, publish } = explaining()
    harness.client("pump")
    for (let n = 1; n <= 9; n++) harness.client(`dash-${n}`, durable()).subscribe("a", { qos: 1 })
    harness.client("dash-9", durable()).drop()
    expect(said(await publish("pump", "a"), "subscribers")).toEqual([
      "passes: it goes to dash-1, dash-2, dash-3, dash-4, dash-5 and 4 more, of whom 1 is not connected",
    ])
  })

  test("is none for the broker's own topics", async () => {
    const { harness, publish } = explaining()
    harness.client("pump").publish("$SYS/broker/uptime", "x", { qos: 1 })
    const side = await publish("pump", "$SYS/broker/uptime")
    expect([said(side, "reserved topic"), said(side, "publish refused")]).toEqual([
      ["stops: what is below $SYS is the broker's own: clients cannot publish there"],
      ["note: 1 message was refused: 0x87 NotAuthorized"],
    ])
  })

  test("has the limits of its listener: what is beyond them ends the connection", async () => {
    const { harness, publish } = explaining({ listener: { maximumQoS: 1, retainAvailable: false } })
    harness.client("pump").publish("a", "x", { qos: 2 })
    harness.client("pump")
    const side = await publish("pump", "a")
    expect([said(side, "listener limits"), said(side, "disconnected")]).toEqual([
      [
        "note: its listener takes QoS 1 at most, and ends its connection for more",
        "note: its listener takes no retained messages, and ends its connection for one",
      ],
      ["note: once the broker ended its connection: 0x9b QoSNotSupported"],
    ])
  })

  test("waits where there are too many a second", async () => {
    const { harness, publish } = explaining({ limits: { maximumPublishRate: 1 } })
    const pump = harness.client("pump")
    pump.publish("a", "1").publish("a", "2")
    const side = await publish("pump", "a")
    expect([said(side, "publish rate"), said(side, "waiting").length]).toEqual([
      [
        "note: it may publish 1 message a second; what is above that waits",
        "note: 1 message had to wait: it published faster than it may",
      ],
      1,
    ])
    harness.clock.advance(2)
    await microtasks()
    expect(said(await publish("pump", "a"), "waiting")).toEqual([])
  })

  test("is refused where it claims to be text and is not", async () => {
    const { harness, publish } = explaining({ validatePayloadFormat: true })
    const properties = { payloadFormatIndicator: true }
    harness.client("pump").publish("a", Buffer.from([0xff]), { qos: 1, properties })
    expect(said(await publish("pump", "a"), "publish refused")).toEqual([
      "note: 1 message was refused: 0x99 PayloadFormatInvalid",
    ])
  })

  test("is not retained where there are too many already", async () => {
    const { harness, publish } = explaining({ limits: { maximumRetainedMessages: 1 } })
    const pump = harness.client("pump").publish("kept", "x", { retain: true })
    pump.publish("a", "x", { retain: true, qos: 1 })
    const side = await publish("pump", "a")
    expect(said(side, "retained limit")).toEqual([
      "may stop: there are 1 retained message already, as many as may be: one more is not kept",
      "note: 1 message was refused: there were too many retained ones",
    ])
    expect(said(await publish("pump", "kept"), "retained limit")).toEqual([])
  })

  test("is refused while the store fails", async () => {
    const store = new LateStore()
    const { harness, publish } = explaining({ store })
    const pump = harness.client("pump")
    pump.publish("a", "x", { retain: true, qos: 1 })
    await microtasks()
    for (const { reject } of store.pending.splice(0)) reject(new Error("disk full"))
    await microtasks()
    pump.publish("a", "x", { retain: true, qos: 1 })
    const side = await publish("pump", "a")
    expect([said(side, "store"), said(side, "store failing")]).toEqual([
      ["may stop: the store fails: what has to be stored is not taken"],
      ["note: 1 message was refused: the store failed"],
    ])
  })

  test("waits while the store is behind, and what waits in a store that fails cannot be read", async () => {
    const store = new LateStore()
    const { harness, publish, receive } = explaining({ store, limits: { maximumUnstoredBytes: 1024 } })
    harness.client("dash").subscribe("a", { qos: 1 })
    const pump = harness.client("pump")
    for (let n = 0; n < 2; n++) pump.publish("a", "x".repeat(1024), { retain: true, qos: 1 })
    await microtasks()
    expect(said(await publish("pump", "a"), "store")).toEqual([
      "may stop: the store is behind: what has to be stored waits",
    ])
    expect(said(await receive("dash", "a"), "store")).toEqual([])
    for (const { reject } of store.pending.splice(0)) reject(new Error("disk full"))
    await microtasks()
    expect(said(await receive("dash", "a"), "store")).toEqual([
      "may stop: the store fails: what waits in it cannot be read",
    ])
  })

  test("has expired while somebody decided on it", async () => {
    const { harness, publish, core } = explaining()
    let decide = (_: undefined) => {}
    core.hooks.use({ onMessage: () => new Promise<undefined>((resolve) => (decide = resolve)) })
    harness.client("pump").publish("a", "x", { properties: { messageExpiryInterval: 5 } })
    harness.clock.advance(10)
    decide(undefined)
    await microtasks()
    expect(said(await publish("pump", "a"), "message expired")).toEqual([
      "note: 1 message expired before anybody could have it",
    ])
  })
})

describe("a hook", () => {
  test("that decides on messages may have refused one, and what the sender was told is said", async () => {
    const { harness, core, publish } = explaining()
    core.hooks.use({ onMessage: ({ topic }) => (topic === "a" ? Reason.QuotaExceeded : undefined) })
    harness.client("dash").subscribe("a")
    harness.client("pump").publish("a", "x", { qos: 1 })
    const side = await publish("pump", "a")
    expect([side.outcome, said(side, "hooks"), said(side, "refused by hook")]).toEqual([
      "perhaps",
      ["may stop: hooks of the service decide on every message that it publishes"],
      ["note: 1 message was refused by a hook: 0x97 QuotaExceeded"],
    ])
  })

  test("that decides on deliveries may have refused one", async () => {
    const { harness, core, receive } = explaining()
    core.hooks.use({ onDeliver: () => false })
    harness.client("dash").subscribe("a")
    harness.client("pump").publish("a", "x")
    const side = await receive("dash", "a")
    expect([side.outcome, said(side, "hooks"), said(side, "refused by hook")]).toEqual([
      "perhaps",
      ["may stop: hooks of the service decide on every message that it gets"],
      ["note: 1 message was refused by a hook"],
    ])
  })

  test("of a typed topic refuses what does not fit its schema, with 0x99", async () => {
    const { broker, client } = await embed()
    const isNumber = (value: unknown) =>
      typeof value === "number" ? { value } : { issues: [{ message: "no number" }] }
    const schema = { "~standard": { version: 1 as const, vendor: "test", validate: isNumber } }
    broker.topic("temp/:room", schema, { rejectInvalid: true })
    client("pump").publish("temp/hall", "warm", { qos: 1 })
    const { publish } = await broker.admin.explain({ clientId: "pump", topic: "temp/hall" })
    expect(said(publish, "refused by hook")).toEqual([
      "note: 1 message was refused by a hook: 0x99 PayloadFormatInvalid",
    ])
  })

  test("names the only ones who get a message: for the others nothing has gone wrong", async () => {
    const { harness, core, receive } = explaining()
    core.hooks.use({ onMessage: (message) => message.with({ allowClients: ["ops"] }) })
    const dash = harness.client("dash").subscribe("a")
    harness.client("pump").publish("a", "x")
    expect(dash.messages()).toEqual([])
    const side = await receive("dash", "a", "pump")
    expect(side.findings.filter(({ count }) => count !== undefined)).toEqual([])
  })
})

describe("on the way to a client", () => {
  test("a packet is larger than it takes", async () => {
    const { harness, receive } = explaining()
    harness.client("dash", { properties: { maximumPacketSize: 30 } }).subscribe("a")
    harness.client("pump").publish("a", "x".repeat(100), { retain: true })
    const side = await receive("dash", "a")
    expect([said(side, "packet size"), said(side, "packet too large"), said(side, "retained message")]).toEqual([
      [
        "may stop: the retained message is larger than it takes",
        "note: it takes packets of 30 bytes at most: a larger message is dropped",
      ],
      ["note: 1 message for it was dropped: larger than it takes"],
      ["note: a message of 100 bytes is retained there"],
    ])
  })

  test("it does not read: QoS 0 is dropped meanwhile", async () => {
    const { harness, receive } = explaining({ limits: { maximumBacklogBytes: 1024 } })
    const dash = harness.client("dash").subscribe("a")
    dash.capacity = 0
    const pump = harness.client("pump")
    for (let n = 0; n < 4; n++) pump.publish("a", "x".repeat(600))
    const side = await receive("dash", "a")
    const [backlog] = said(side, "backlog")
    expect([side.outcome, backlog]).toEqual([
      "no",
      expect.stringMatching(/^stops: it does not read: [\d,]+ bytes wait for its socket, QoS 0 is dropped meanwhile/),
    ])
    expect(said(side, "backlog full")).toEqual(["note: 2 messages for it were dropped: it did not read fast enough"])
  })

  test("it has not acknowledged as many as it takes at once", async () => {
    const { harness, receive } = explaining()
    harness.client("dash", { properties: { receiveMaximum: 2 } }).subscribe("a", { qos: 1 })
    const pump = harness.client("pump")
    for (let n = 0; n < 3; n++) pump.publish("a", "x", { qos: 1 })
    const side = await receive("dash", "a")
    expect([side.outcome, said(side, "receive maximum"), said(side, "queue")]).toEqual([
      "perhaps",
      ["may stop: it has not acknowledged 2 messages, and takes 2 at once: more of QoS 1 and 2 waits until it does"],
      [expect.stringMatching(/^note: its queue \(1 message, \d+ bytes\) has to go out first$/)],
    ])
  })

  test("its queue is full", async () => {
    const { harness, receive } = explaining({ limits: { maximumQueuedMessages: 2 } })
    harness.client("dash", durable()).subscribe("a", { qos: 1 }).drop()
    const pump = harness.client("pump")
    for (let n = 0; n < 5; n++) pump.publish("a", "x", { qos: 1 })
    const side = await receive("dash", "a")
    expect([side.outcome, said(side, "queue full")]).toEqual([
      "no",
      ["note: 3 messages for it were dropped: its queue was full"],
    ])
    expect(said(side, "queue")).toEqual([
      expect.stringMatching(
        /^stops: its queue \(2 messages, \d+ bytes\) is full: what does not go out at once is dropped$/,
      ),
    ])
  })

  test("a queue that is full keeps nothing from a client that takes messages at once", async () => {
    const { harness, receive } = explaining({ limits: { maximumQueuedMessages: 0 } })
    harness.client("dash").subscribe("a", { qos: 1 })
    const side = await receive("dash", "a")
    expect([side.outcome, said(side, "queue")]).toEqual([
      "yes",
      ["note: its queue (0 messages, 0 bytes) is full: what does not go out at once is dropped"],
    ])
  })

  test("the memory for all queues is full", async () => {
    const { harness, receive } = explaining({ limits: { maximumQueueMemoryBytes: 500 } })
    harness.client("dash", durable()).subscribe("a", { qos: 1 }).drop()
    const pump = harness.client("pump")
    for (let n = 0; n < 5; n++) pump.publish("a", "x", { qos: 1 })
    harness.core.queueBytes = 500
    const side = await receive("dash", "a")
    expect([said(side, "queue"), said(side, "queue memory full")]).toEqual([
      ["stops: the memory for all queues is full: what does not go out at once is dropped"],
      ["note: 3 messages for it were dropped: the memory for all queues was full"],
    ])
  })

  test("it expired while it waited", async () => {
    const { harness, receive } = explaining()
    harness.client("dash", durable()).subscribe("a", { qos: 1 }).drop()
    harness.client("pump").publish("a", "x", { qos: 1, properties: { messageExpiryInterval: 5 } })
    harness.clock.advance(10)
    harness.resume("dash")
    const side = await receive("dash", "a")
    expect([side.outcome, said(side, "message expired")]).toEqual([
      "yes",
      ["note: 1 message expired before anybody could have it"],
    ])
  })

  test("its share group had nobody who could take it", async () => {
    const { harness, receive } = explaining({ limits: { maximumQueuedMessages: 1 } })
    harness.client("one", durable()).subscribe("$share/g/a", { qos: 1 }).drop()
    const pump = harness.client("pump")
    for (let n = 0; n < 3; n++) pump.publish("a", "x", { qos: 1 })
    expect(said(await receive("one", "a"), "queue full")).toEqual([
      "note: 2 messages for it were dropped: its queue was full",
    ])
  })

  test("what is retained is not sent where the subscription does not ask for it", async () => {
    const { harness, receive } = explaining()
    harness.client("pump").publish("a", "x", { retain: true })
    harness.client("dash").subscribe("a", { rh: 2 })
    expect(said(await receive("dash", "a"), "retained message")).toEqual([
      "note: a message of 1 byte is retained there, which its subscriptions do not ask for",
    ])
  })
})

test("a message of the service itself needs no client: only who gets it is explained", async () => {
  const { broker, client } = await embed()
  client("dash").subscribe("a")
  await broker.publish("a", ApplicationMessage.name)
  expect((await broker.admin.explain({ clientId: "dash", topic: "a" })).receive.outcome).toBe("yes")
})

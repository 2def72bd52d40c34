/** What becomes of messages, one by one, for somebody who looks. */
import { describe, expect, test } from "bun:test"
import { acl } from "../../src/auth/acl.ts"
import { all } from "../../src/auth/compose.ts"
import { type Fate, Trace, type TraceQuery } from "../../src/broker/trace.ts"
import { Reason } from "../../src/codec/index.ts"
import { durable, Harness, type HarnessOptions } from "../support/harness.ts"
import { microtasks } from "../support/store.ts"

function traced(query: Partial<TraceQuery> = {}, options: HarnessOptions = {}) {
  const harness = new Harness(options)
  const { trace, end } = Trace.begin(harness.core, { topicFilter: "#", ...query })
  /** Each message as a line. */
  const lines = () =>
    trace.take().messages.map(({ topic, from = "-", refused, fates, moreReceivers, isLate }) => {
      const more = moreReceivers > 0 ? [`and ${moreReceivers} more`] : []
      const what = refused === undefined ? [...fates.map(inWords), ...more].join(", ") : `refused: ${refused}`
      return `${isLate ? "late " : ""}${from} ${topic}: ${what}`
    })
  return { harness, trace, end, lines }
}

function inWords({ clientId, fate, reason, share }: Fate): string {
  const via = share === undefined ? "" : ` (${share})`
  return `${fate}${clientId === undefined ? "" : ` ${clientId}`}${reason === undefined ? "" : `: ${reason}`}${via}`
}

describe("of a message that comes in", () => {
  test("there is what it was, and whom it was sent to", () => {
    const { harness, trace } = traced()
    harness.client("dash").subscribe("a/#", { qos: 1 })
    harness.client("pump").publish("a/b", "hello", { qos: 1, retain: true })
    expect(trace.take()).toEqual({
      messages: [
        {
          time: harness.clock.now(),
          topic: "a/b",
          from: "pump",
          qos: 1,
          retain: true,
          payloadBytes: 5,
          fates: [{ clientId: "dash", fate: "sent" }],
          moreReceivers: 0,
        },
      ],
      omitted: 0,
    })
    expect(trace.take()).toEqual({ messages: [], omitted: 0 })
  })

  test("there are those for whom it waits, and those who are not to have it, with why", () => {
    const { harness, lines } = traced()
    harness.client("away", durable()).subscribe("a", { qos: 1 }).drop()
    harness.client("away-0", durable()).subscribe("a").drop()
    harness.client("full", { properties: { receiveMaximum: 1 } }).subscribe("a", { qos: 1 })
    const pump = harness.client("pump").subscribe("a", { nl: true })
    pump.publish("a", "1", { qos: 1 })
    pump.publish("a", "2", { qos: 1 })
    const others = "skipped away-0: not connected"
    expect(lines()).toEqual([
      `pump a: queued away, ${others}, sent full, skipped pump: no local`,
      `pump a: queued away, ${others}, queued full, skipped pump: no local`,
    ])
  })

  test("there are those for whom it was dropped on its way", () => {
    const auth = all(
      { authenticate: () => true },
      acl([{ everybody: true, topics: [{ allow: "readwrite", filter: "#" }] }]),
    )
    const deny = { authorize: (_: unknown, action: string) => action !== "receive", authenticate: () => true }
    const { harness, lines } = traced({}, { auth, limits: { maximumBacklogBytes: 1024 } })
    harness.client("denied", {}, harness.listener({}, deny)).subscribe("a")
    harness.client("small", { properties: { maximumPacketSize: 30 } }).subscribe("a")
    const slow = harness.client("slow").subscribe("a")
    slow.capacity = 0
    const pump = harness.client("pump")
    for (let n = 0; n < 3; n++) pump.publish("a", "x".repeat(800))
    const dropped = "dropped denied: not authorized, dropped small: packet too large"
    expect(lines()).toEqual([
      `pump a: ${dropped}, sent slow`,
      `pump a: ${dropped}, sent slow`,
      `pump a: ${dropped}, dropped slow: backlog full`,
    ])
  })

  test("there is the member of a share group that got it, whoever refused before", () => {
    const { harness, lines } = traced()
    const deny = { authorize: (_: unknown, action: string) => action !== "receive", authenticate: () => true }
    const pump = harness.client("pump")
    const share = "$share/g/a"
    harness.client("one").subscribe(share, { qos: 1 })
    pump.publish("a", "1", { qos: 1 })
    harness.client("two").subscribe(share, { qos: 1 })
    harness.client("denied", {}, harness.listener({}, deny)).subscribe(share, { qos: 1 })
    for (let n = 0; n < 4; n++) pump.publish("a", "x", { qos: 1 })
    const sent = lines()
    expect(sent[0]).toBe(`pump a: sent one (${share})`)
    expect(sent.every((line) => / sent (one|two) \(/.test(line))).toBe(true)
    expect(sent.join()).toContain("sent two")
  })

  test("there is a share group of which nobody could have it", () => {
    const { harness, lines } = traced({}, { limits: { maximumQueuedMessages: 1 } })
    harness.client("one", durable()).subscribe("$share/g/a", { qos: 1 }).drop()
    const pump = harness.client("pump")
    pump.publish("a", "1", { qos: 1 }).publish("a", "2", { qos: 1 }).publish("a", "3")
    expect(lines()).toEqual([
      "pump a: queued ($share/g/a)",
      "pump a: dropped: queue full ($share/g/a)",
      "pump a: skipped: nobody of the group is connected ($share/g/a)",
    ])
  })

  test("there are those whom a hook has left out", () => {
    const { harness, lines } = traced()
    harness.core.hooks.use({ onMessage: (message) => message.with({ allowClients: ["ops"] }) })
    for (const id of ["dash", "ops"]) harness.client(id).subscribe("a")
    harness.client("pump").publish("a", "x")
    expect(lines()).toEqual(["pump a: skipped dash: it is for others alone, sent ops"])
  })
})

describe("of a message that does not come in", () => {
  test("there is why it was refused", () => {
    const { harness, lines } = traced({}, { auth: { authenticate: () => true, authorize: () => Reason.QuotaExceeded } })
    harness.client("pump").publish("a", "x", { qos: 1 }).publish("$SYS/a", "x", { qos: 1 })
    expect(lines()).toEqual(["pump a: refused: not authorized: quota exceeded"])
  })
})

describe("what is decided later", () => {
  test("is told as late", async () => {
    const { harness, lines } = traced()
    let decide = (_: false) => {}
    harness.core.hooks.use({ onDeliver: () => new Promise<false>((resolve) => (decide = resolve)) })
    harness.client("dash").subscribe("a")
    harness.client("pump").publish("a", "x")
    await microtasks()
    decide(false)
    await microtasks()
    expect(lines()).toEqual(["pump a: sent dash", "late - a: dropped dash: refused by hook"])
  })

  test("is the expiry of what has waited", async () => {
    const { harness, lines } = traced({ clientId: "dash" })
    harness.client("dash", durable()).subscribe("a", { qos: 1 }).drop()
    harness.client("pump").publish("a", "x", { qos: 1, properties: { messageExpiryInterval: 1 } })
    await microtasks()
    harness.clock.advance(5)
    harness.resume("dash")
    expect(lines()).toEqual(["pump a: queued dash", "late - a: dropped dash: message expired"])
  })
})

describe("who looks", () => {
  test("sees the topics that match alone", () => {
    const { harness, lines } = traced({ topicFilter: "a/+" })
    harness.client("pump").publish("a/b", "x").publish("a/b/c", "x").publish("$a/b", "x")
    expect(lines()).toEqual(["pump a/b: "])
  })

  test("for one client sees what that publishes or should get, and nothing else", () => {
    const { harness, lines } = traced({ clientId: "dash" }, { limits: { maximumBacklogBytes: 1024 } })
    const dash = harness.client("dash").subscribe(["a", "$share/g/s"])
    harness.client("other").subscribe("b")
    const pump = harness.client("pump")
    pump.publish("a", "x").publish("b", "x").publish("s", "x").publish("c", "x")
    dash.publish("c", "x")
    expect(lines()).toEqual(["pump a: sent dash", "pump s: sent dash ($share/g/s)", "dash c: "])
  })

  test("is told of 50 receivers, and always of the client that it is about", () => {
    const { harness, lines } = traced({ clientId: "last" })
    for (let n = 0; n < 60; n++) harness.client(`dash-${n}`).subscribe("a")
    harness.client("last").subscribe("a")
    harness.client("pump").publish("a", "x")
    const [line] = lines()
    expect(line!.match(/sent/g)!.length).toBe(51)
    expect(line).toEndWith("sent last, and 10 more")
  })

  test("is told of 200 messages at a time, and how many more there were", () => {
    const { harness, trace } = traced()
    const pump = harness.client("pump")
    for (let n = 0; n < 250; n++) pump.publish("a", "x")
    const { messages, omitted } = trace.take()
    expect([messages.length, omitted]).toEqual([200, 50])
  })

  test("is told of 50 share groups, too", () => {
    const { harness, lines } = traced()
    for (let n = 0; n < 60; n++) harness.client(`dash-${n}`, durable()).subscribe(`$share/g${n}/a`).drop()
    harness.client("pump").publish("a", "x")
    const [line] = lines()
    expect(line!.match(/skipped/g)!.length).toBe(50)
    expect(line).toEndWith("and 10 more")
  })

  test("is told of as many messages and receivers as there is room for the names that strangers have made long", () => {
    const { harness, trace } = traced()
    const long = (name: string) => name.padEnd(60_000, "x")
    for (let n = 0; n < 20; n++) harness.client(long(`dash-${n}`)).subscribe("a/#")
    const pump = harness.client("pump")
    pump.publish("a/0", "x").publish("a/1", "x")
    const [first, ...others] = trace.take().messages
    expect([first!.fates.length, first!.moreReceivers, others]).toEqual([9, 11, []])
    for (let n = 0; n < 20; n++) pump.publish(long(`b/${n}`), "x")
    const { messages, omitted } = trace.take()
    expect([messages.length, omitted]).toEqual([9, 11])
  })

  test("has what there is no room for counted, and nothing else is done for it", () => {
    const { harness, trace } = traced()
    harness.client("dash").subscribe("a", { qos: 1 })
    const dash = harness.core.sessions.get("dash")!
    const isReadyFor = dash.isReadyFor.bind(dash)
    let asked = 0
    dash.isReadyFor = (qos) => {
      asked++
      return isReadyFor(qos)
    }
    const pump = harness.client("pump")
    for (let n = 0; n < 200; n++) pump.publish("a", "x", { qos: 1 })
    const askedByThen = asked
    for (let n = 0; n < 1000; n++) pump.publish("a", "x", { qos: 1 })
    harness.core.sampler = undefined
    const afterwards = asked
    for (let n = 0; n < 1000; n++) pump.publish("a", "x", { qos: 1 })
    expect(afterwards - askedByThen).toBe(asked - afterwards)
    expect(trace.take().omitted).toBe(1000)
  })

  test("no more leaves nothing behind", () => {
    const authorize = (_: unknown, __: string, topic: string) => topic === "a"
    const { harness, end, lines } = traced({}, { auth: { authenticate: () => true, authorize } })
    expect(harness.core.sampler).toBeDefined()
    end()
    expect(harness.core.sampler).toBeUndefined()
    harness.client("pump").publish("a", "x").publish("refused", "x")
    expect(lines()).toEqual([])
  })
})

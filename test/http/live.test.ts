/** The live stream: what it tells, what it leaves out, and that it costs nothing when nobody listens. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test"
import type { Core } from "../../src/broker/core.ts"
import { Live, type LiveRequest } from "../../src/http/live.ts"
import { problemOf } from "../../src/http/problem.ts"
import { closeBrokers } from "../listeners/brokers.ts"
import { eventually } from "../listeners/socket.ts"
import { embed } from "../support/embedded.ts"
import { administered, Description, handled } from "../support/http.ts"

setDefaultTimeout(30_000)
afterEach(closeBrokers)

const { body: document } = await (await handled({})).ask("/api/v1/openapi.json")
const description = new Description(document)
const details = { area: "broker" } as const

interface Event {
  readonly name: string
  // biome-ignore lint/suspicious/noExplicitAny: compared in parts, and as a whole with its description
  readonly data: any
}

/** Every event must be as it is described. */
function eventsOf(text: string): Event[] {
  return text.split("\n\n").flatMap((block) => {
    const [, name, json] = /^event: (\w+)\ndata: (.*)$/.exec(block) ?? []
    if (name === undefined) return []
    const data = JSON.parse(json!)
    const component = `Live${name[0]!.toUpperCase()}${name.slice(1)}`
    expect([name, description.problemsOfComponent(component, data)]).toEqual([name, []])
    return [{ name, data }]
  })
}

/** Lets what does not wait for the clock happen, slices of long lists included. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Somebody who listens, in memory; `tick` lets a second pass and gives the events of it. */
function listen(live: Live, embedded: { clock: { advance(seconds: number): void } }, request: LiveRequest = {}) {
  const reader = live.open(request).body!.getReader()
  const received: string[] = []
  const reading = (async () => {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      received.push(Buffer.from(part.value).toString())
    }
  })()
  const take = async () => {
    await settled()
    return eventsOf(received.splice(0).join(""))
  }
  const tick = async () => {
    embedded.clock.advance(1)
    return take()
  }
  return { reader, reading, take, tick }
}

async function started(request: LiveRequest = {}) {
  const embedded = await embed()
  const live = new Live(embedded.core)
  const listener = listen(live, embedded, request)
  expect(await listener.take()).toEqual([])
  return { ...embedded, live, ...listener }
}

const named = (events: Event[], name: string) => events.find((event) => event.name === name)?.data

describe("figures", () => {
  test("come once a second, with rates of what has happened in it", async () => {
    const { client, tick } = await started()
    const publisher = client("publisher")
    client("subscriber").subscribe("#")
    for (let n = 0; n < 30; n++) publisher.publish("t", "12345")
    const [first, ...others] = await tick()
    expect(others).toEqual([])
    expect(first).toMatchObject({
      name: "figures",
      data: {
        ...{ uptimeSeconds: 1, connections: 2, clients: 2, sessions: 2, subscriptions: 1 },
        rates: { messagesReceived: 30, messagesSent: 30, connects: 2, connectsRefused: 0, dropped: 0 },
      },
    })
    expect(first!.data.rates.bytesReceived).toBeGreaterThan(30 * 5)
    expect(named(await tick(), "figures").rates).toMatchObject({ messagesReceived: 0, bytesSent: 0, connects: 0 })
  })

  test("of a store tell how long its commits took", async () => {
    const embedded = await embed({ store: (await import("../../src/store/memory.ts")).memory() })
    const { take, tick } = listen(new Live(embedded.core), embedded)
    await take()
    await embedded.broker.publish("t", "x", { qos: 1, retain: true })
    const { store } = named(await tick(), "figures")
    expect(store).toMatchObject({ isReady: true, commits: 1 })
    expect(store.commitP50Ms).toBeGreaterThan(0)
    expect(store.commitP99Ms).toBeGreaterThanOrEqual(store.commitP50Ms)
    expect(named(await tick(), "figures").store).toMatchObject({ commits: 0 })
  })

  test("are computed once, however many listen", async () => {
    const { core, live, tick, clock } = await started()
    let snapshots = 0
    const { admin } = core.broker!
    const metrics = admin.metrics.bind(admin)
    admin.metrics = () => {
      snapshots++
      return metrics()
    }
    const others = Array.from({ length: 5 }, () => listen(live, { clock }))
    expect(named(await tick(), "figures")).toBeDefined()
    for (const other of others) expect((await other.take()).map(({ name }) => name)).toEqual(["figures"])
    expect(snapshots).toBe(1)
  })
})

describe("the log, if asked for", () => {
  test("comes from the level on, and nothing comes where there was nothing", async () => {
    const { core, tick, clock } = await started({ log: "info" })
    core.logger.debug("not this", details)
    core.logger.info("this", { ...details, clientId: "dev1" })
    core.logger.error("and this", details)
    const time = clock.now()
    expect(named(await tick(), "log")).toEqual({
      lines: [
        { time, level: "info", message: "this", details: { area: "broker", clientId: "dev1" } },
        { time, level: "error", message: "and this", details },
      ],
      omitted: 0,
    })
    expect(named(await tick(), "log")).toBeUndefined()
  })

  test("in a storm is its beginning, and how much was left out", async () => {
    const { core, tick } = await started({ log: "debug" })
    for (let n = 0; n < 5000; n++) core.logger.debug(`line ${n}`, details)
    const { lines, omitted } = named(await tick(), "log")
    expect([lines.length, omitted]).toEqual([200, 4800])
  })

  test("a line cannot end its event, whatever it holds", async () => {
    const { core, tick } = await started({ log: "info" })
    core.logger.info("evil\n\nevent: figures\ndata: {}\n\n", details)
    const events = await tick()
    expect(events.map(({ name }) => name)).toEqual(["figures", "log"])
  })
})

describe("topics, if asked for", () => {
  test("have their last value, how many there were, and no more than one entry a second", async () => {
    const { client, tick } = await started({ topics: "sensors/#" })
    const publisher = client("publisher")
    for (let n = 1; n <= 100; n++) publisher.publish("sensors/1", `${n}`)
    publisher.publish("sensors/bytes", Buffer.from([0xff])).publish("other", "x")
    publisher.publish("sensors/long", "ü".repeat(1000), { qos: 1, retain: true })
    const { topics, omittedMessages } = named(await tick(), "topics")
    expect([topics, omittedMessages]).toEqual([
      [
        { topic: "sensors/1", messages: 100, qos: 0, retain: false, payloadBytes: 3, payload: "100" },
        { topic: "sensors/bytes", messages: 1, qos: 0, retain: false, payloadBytes: 1, payloadBase64: "/w==" },
        {
          ...{ topic: "sensors/long", messages: 1, qos: 1, retain: true, payloadBytes: 2000 },
          ...{ payload: "ü".repeat(128), isTruncated: true },
        },
      ],
      0,
    ])
    expect(named(await tick(), "topics")).toBeUndefined()
  })

  test("beyond 500 a second are left out, and counted", async () => {
    const { client, tick } = await started({ topics: "#" })
    const publisher = client("publisher")
    for (let n = 0; n < 600; n++) publisher.publish(`t/${n}`, "x")
    const { topics, omittedMessages } = named(await tick(), "topics")
    expect([topics.length, omittedMessages]).toEqual([500, 100])
  })
})

test("the busiest clients, if asked for, are those with the most messages in the second", async () => {
  const { client, tick, clock, live } = await started()
  const [a, b, c] = ["a", "b", "c"].map((clientId) => client(clientId, { username: `user of ${clientId}` }))
  b!.subscribe("#")
  for (let n = 0; n < 50; n++) a!.publish("t", "x")
  const busy = listen(live, { clock }, { clients: 2 })
  await busy.take()
  expect(named(await busy.tick(), "clients")).toBeUndefined() // what there was before is not of this second
  for (let n = 0; n < 5; n++) c!.publish("t", "x")
  a!.publish("t", "x")
  expect(named(await busy.tick(), "clients").clients).toEqual([
    { clientId: "b", username: "user of b", received: 0, sent: 6 },
    { clientId: "c", username: "user of c", received: 5, sent: 0 },
  ])
  expect(named(await busy.tick(), "clients").clients).toEqual([])
  expect(named(await tick(), "clients")).toBeUndefined()
})

describe("what becomes of messages, if asked for", () => {
  test("is told of those that a client publishes or should get", async () => {
    const { client, tick } = await started({ trace: "a/#", traceClient: "dash" })
    client("dash").subscribe("a/b")
    client("pump").publish("a/b", "x", { qos: 1 }).publish("a/c", "x").publish("b", "x")
    const { messages, omitted } = named(await tick(), "trace")
    expect([messages, omitted]).toMatchObject([
      [{ topic: "a/b", from: "pump", qos: 1, payloadBytes: 1, fates: [{ clientId: "dash", fate: "sent" }] }],
      0,
    ])
    expect(named(await tick(), "trace")).toBeUndefined()
  })

  test("costs nothing when nobody listens any more", async () => {
    const { core, reader } = await started({ trace: "#" })
    expect(core.sampler).toBeDefined()
    await reader.cancel()
    expect(core.sampler).toBeUndefined()
  })
})

describe("who does not read", () => {
  test("misses events, and the broker keeps no more than a few", async () => {
    const embedded = await embed()
    const live = new Live(embedded.core)
    const { body } = live.open({ log: "info" })
    for (let second = 0; second < 100; second++) {
      embedded.core.logger.info("line", details)
      embedded.clock.advance(1)
      await settled()
    }
    live.close()
    const events = eventsOf(await new Response(body).text())
    expect(events.length).toBeGreaterThan(5)
    expect(events.length).toBeLessThan(20)
  })
})

describe("who does not read", () => {
  test("has no more waiting for it than a MiB and an event, however long the names are that strangers choose", async () => {
    const { core, clock, client } = await embed()
    const live = new Live(core)
    const { body } = live.open({ topics: "#", trace: "#" })
    const publisher = client("publisher")
    for (let second = 0; second < 20; second++) {
      for (let n = 0; n < 20; n++) publisher.publish(`${second}/${n}/`.padEnd(60_000, "x"), "x")
      clock.advance(1)
      await settled()
    }
    live.close()
    const { length } = await new Response(body).text()
    expect(length).toBeGreaterThan(500_000)
    expect(length).toBeLessThan(2_500_000)
  })
})

test("a line that makes no JSON is left out, and holds up nobody", async () => {
  const { core, clock, live, logged, tick } = await started({ log: "debug" })
  const other = listen(live, { clock })
  await other.take()
  core.logger.info("odd", { ...details, reason: 1n as never })
  expect((await tick()).map(({ name }) => name)).toEqual(["figures"])
  expect((await other.take()).map(({ name }) => name)).toEqual(["figures"])
  expect(logged.join()).toContain("BigInt")
  core.logger.info("next", details)
  expect(named(await tick(), "log").lines.at(-1)).toMatchObject({ message: "next" })
})

test("none begins when the listener has closed, while somebody is being looked at who asks for one", async () => {
  const { core, clock } = await embed()
  const live = new Live(core)
  live.close()
  expect(() => live.open({})).toThrow("the broker closes")
  expect(clock.recurringCount).toBe(0)
})

describe("when nobody listens", () => {
  /** What a stream leaves in the broker while it is open. */
  const left = (core: Core) => [core.sampler, (core.logger as unknown as { watchers: unknown[] }).watchers.length]

  test("nothing ticks, and nothing is looked at", async () => {
    const { core, clock, live, reader, tick } = await started({ log: "debug", topics: "#", clients: 5 })
    const other = listen(live, { clock })
    expect([left(core)[0] !== undefined, left(core)[1], clock.recurringCount]).toEqual([true, 1, 1])
    await reader.cancel()
    expect([left(core), clock.recurringCount]).toEqual([[undefined, 0], 1])
    expect(named(await other.tick(), "figures")).toBeDefined()
    await other.reader.cancel()
    expect(clock.recurringCount).toBe(0)
    await tick()
  })

  test("it begins anew with the next who does", async () => {
    const { clock, live, reader, client } = await started()
    await reader.cancel()
    const publisher = client("publisher")
    for (let n = 0; n < 50; n++) publisher.publish("t", "x")
    clock.advance(60)
    const next = listen(live, { clock })
    expect(await next.take()).toEqual([])
    expect(named(await next.tick(), "figures").rates.messagesReceived).toBe(0)
  })
})

test("there are 32 streams at most", async () => {
  const embedded = await embed()
  const live = new Live(embedded.core)
  const streams = Array.from({ length: 32 }, () => listen(live, embedded))
  const refusal = () => {
    try {
      return live.open({}).status
    } catch (error) {
      return problemOf(error)?.kind
    }
  }
  expect(refusal()).toBe("too-many")
  await streams[0]!.reader.cancel()
  expect(refusal()).toBe(200)
  live.close()
})

describe("over a socket", () => {
  test("it goes on until whoever listens goes, and leaves nothing", async () => {
    const { url, core, broker } = await administered()
    const controller = new AbortController()
    const { status, headers, body } = await fetch(`${url}/api/v1/live?topics=%23&log=info`, {
      signal: controller.signal,
    })
    expect([status, headers.get("content-type")]).toEqual([200, "text/event-stream"])
    expect(headers.get("x-accel-buffering")).toBe("no")
    const publishing = setInterval(() => void broker.publish("t", "x"), 20)
    let text = ""
    for await (const chunk of body!.pipeThrough(new TextDecoderStream())) {
      text += chunk
      if (text.includes("event: topics")) break
    }
    clearInterval(publishing)
    controller.abort()
    expect(eventsOf(text.slice(0, text.lastIndexOf("\n\n"))).map(({ name }) => name)).toContain("figures")
    await eventually(() => core.sampler === undefined, "it has ended")
  })

  test("it ends with the broker, which does not wait for it", async () => {
    const { url, broker } = await administered()
    const { body } = await fetch(`${url}/api/v1/live`)
    const reading = new Response(body).text()
    await broker.close()
    expect(await reading).toStartWith("retry: 1000\n\n")
  })
})

/** $SYS: the broker's figures, under the names of Mosquitto 2.1. */
import { describe, expect, test } from "bun:test"
import { SysTree } from "../../src/broker/sys.ts"
import { Reason } from "../../src/codec/index.ts"
import { Harness, type HarnessOptions, type TestClient } from "../support/harness.ts"
import { LateStore, microtasks } from "../support/store.ts"

/** The topics of Mosquitto 2.1's src/sys_tree.c, below `$SYS/broker/`. */
const mosquittoNames = [
  "version",
  "uptime",
  "clients/total",
  "clients/maximum",
  "clients/disconnected",
  "clients/inactive",
  "clients/connected",
  "clients/active",
  "clients/expired",
  "messages/stored",
  "store/messages/count",
  "store/messages/bytes",
  "subscriptions/count",
  "shared_subscriptions/count",
  "retained messages/count",
  "heap/current",
  "heap/maximum",
  "messages/received",
  "messages/sent",
  "bytes/received",
  "bytes/sent",
  "publish/bytes/received",
  "publish/bytes/sent",
  "packet/out/count",
  "packet/out/bytes",
  "connections/socket/count",
  "publish/messages/dropped",
  "publish/messages/received",
  "publish/messages/sent",
  ...[
    "messages/received",
    "messages/sent",
    "publish/dropped",
    "publish/received",
    "publish/sent",
    "bytes/received",
    "bytes/sent",
    "sockets",
    "connections",
  ].flatMap((name) => ["1min", "5min", "15min"].map((span) => `load/${name}/${span}`)),
]

/** Mochi's, where Mosquitto has no such name. */
const mochiNames = ["messages/inflight", "messages/publish/dropped", "messages/dropped", "retained", "subscriptions"]

/** Values that change by themselves. */
const restless = ["uptime", "time", "heap/current", "heap/maximum", "system/memory"]

function start(options: HarnessOptions = {}) {
  const harness = new Harness(options)
  const tree = new SysTree(harness.core, "1.2.3")
  tree.start()
  const figure = (name: string) => String(harness.core.retained.get(`$SYS/broker/${name}`)?.payload ?? "none")
  return { harness, tree, figure }
}

/** Lets an interval pass: what has been published, as name -> value. */
async function interval(harness: Harness, watcher?: TestClient, seconds = 10.25): Promise<Record<string, string>> {
  harness.clock.advance(seconds)
  await microtasks()
  const published = watcher?.take() ?? []
  return Object.fromEntries(
    published.map(({ topic, payload }) => [topic!.slice("$SYS/broker/".length), String(payload)]),
  )
}

/** A client that sees everything, and is past the retained messages. */
function watch(harness: Harness): TestClient {
  const watcher = harness.client("watcher").subscribe("$SYS/#", { rh: 2, rap: true })
  watcher.take()
  return watcher
}

describe("the tree", () => {
  test("has the names of Mosquitto 2.1, and Mochi's, each with a value, from the start", () => {
    const { harness } = start()
    const client = harness.client("a").subscribe("$SYS/broker/#")
    const packets = client.take().filter(({ cmd }) => cmd === "publish")
    const names = packets.map(({ topic }) => topic.slice("$SYS/broker/".length))
    for (const name of [...mosquittoNames, ...mochiNames]) expect(names).toContain(name)
    expect(new Set(names).size).toBe(names.length)
    for (const { payload, retain, qos } of packets) {
      expect([payload.length > 0, retain, qos as number]).toEqual([true, true, 0])
    }
  })

  test("says version and uptime as Mosquitto does", async () => {
    const { harness, figure } = start()
    expect(figure("version")).toBe("manju version 1.2.3")
    expect(figure("uptime")).toBe("0 seconds")
    await interval(harness, undefined, 100)
    expect(figure("uptime")).toMatch(/^9\d seconds$/)
  })

  test("is hidden from filters that begin with a wildcard", async () => {
    const { harness } = start()
    const client = harness.client("a").subscribe(["#", "+/broker/#", "$share/g/#"])
    client.take()
    await interval(harness)
    expect(client.take()).toEqual([])
  })

  test("is not there with an interval of 0, and then nothing ticks", () => {
    const { harness } = start({ limits: { sysIntervalSeconds: 0 } })
    expect([harness.core.retained.count, harness.clock.recurringCount]).toEqual([0, 0])
  })
})

describe("its updates", () => {
  test("come every interval, and hold only what has changed", async () => {
    const { harness } = start()
    const watcher = watch(harness)
    await interval(harness, watcher)
    await interval(harness, watcher)
    const still = Object.keys(await interval(harness, watcher))
    expect(still).toContain("uptime")
    // The watcher itself is being sent to: what is counted as sent changes, and nothing else.
    const changed = still.filter((name) => !restless.includes(name) && !name.startsWith("load/"))
    expect(changed.sort()).toEqual([
      "bytes/sent",
      "messages/sent",
      "packets/sent",
      "publish/bytes/sent",
      "publish/messages/sent",
    ])
    harness.client("p").publish("t", "x", { retain: true })
    const next = await interval(harness, watcher)
    expect(next).toMatchObject({ "clients/total": "2", "publish/messages/received": "1", "messages/received": "4" })
    expect(next["shared_subscriptions/count"]).toBeUndefined()
    expect(next.version).toBeUndefined()
  })

  test("come at the interval that is set, not before", async () => {
    const { harness } = start({ limits: { sysIntervalSeconds: 60 } })
    const watcher = watch(harness)
    expect(await interval(harness, watcher, 59.5)).toEqual({})
    expect(await interval(harness, watcher, 1)).toMatchObject({ uptime: "60 seconds" })
    expect(await interval(harness, watcher, 59)).toEqual({})
  })

  test("end when it is stopped", async () => {
    const { harness, tree } = start()
    const watcher = watch(harness)
    tree.stop()
    expect(await interval(harness, watcher, 100)).toEqual({})
  })

  test("have RETAIN as a subscription wants it", async () => {
    const { harness } = start()
    const plain = harness.client("plain").subscribe("$SYS/broker/uptime", { rh: 2 })
    const watcher = watch(harness)
    plain.take()
    harness.clock.advance(10.25)
    await microtasks()
    expect(plain.take().map(({ retain }) => retain)).toEqual([false])
    expect(watcher.take().every(({ retain }) => retain)).toBe(true)
  })
})

describe("its figures", () => {
  test("of clients: connected, disconnected, expired, the most there were", async () => {
    const { harness, figure } = start()
    const lasting = { clean: false, properties: { sessionExpiryInterval: 30 } }
    for (const id of ["a", "b", "c"]) harness.client(id, lasting)
    harness.client("d", lasting).drop()
    await interval(harness)
    const clients = () =>
      ["total", "connected", "active", "disconnected", "inactive", "maximum", "expired"].map((name) =>
        figure(`clients/${name}`),
      )
    expect(clients()).toEqual(["4", "3", "3", "1", "1", "4", "0"])
    await interval(harness, undefined, 30)
    expect(clients()).toEqual(["3", "3", "3", "0", "0", "4", "1"])
    expect(figure("connections/socket/count")).toBe("4")
  })

  test("of subscriptions and retained messages", async () => {
    const { harness, figure } = start()
    const own = harness.core.retained.count
    const client = harness.client("a").subscribe(["a", "b/+", "$share/g/c"])
    client.publish("x", "1", { retain: true }).publish("y", "1", { retain: true }).publish("y", "", { retain: true })
    await interval(harness)
    expect(figure("subscriptions/count")).toBe("3")
    expect(figure("shared_subscriptions/count")).toBe("1")
    expect(figure("retained messages/count")).toBe(String(own + 1))
  })

  test("of messages and bytes: received, sent, dropped, waiting, in flight", async () => {
    const { harness, figure } = start({ limits: { maximumQueuedMessages: 1 } })
    const lasting = { clean: false, properties: { sessionExpiryInterval: 3600, receiveMaximum: 2 } }
    const client = harness.client("a", lasting).subscribe("t", { qos: 1 })
    const publisher = harness.client("p")
    for (let i = 0; i < 5; i++) publisher.publish("t", "12345", { qos: 1 })
    publisher.publish("nobody", "123")
    await interval(harness)
    expect(figure("publish/messages/received")).toBe("6")
    expect(figure("publish/bytes/received")).toBe("28")
    expect(figure("publish/messages/sent")).toBe("2")
    expect(figure("publish/bytes/sent")).toBe("10")
    expect(figure("publish/messages/dropped")).toBe("2")
    expect(figure("messages/publish/dropped")).toBe("2")
    expect(figure("messages/inflight")).toBe("2")
    expect(figure("messages/received")).toBe("9") // two CONNECT, one SUBSCRIBE
    expect(figure("messages/sent")).toBe("10") // two CONNACK, one SUBACK, two PUBLISH, five PUBACK
    expect(Number(figure("bytes/sent"))).toBe(client.bytes.length + publisher.bytes.length)
    expect(Number(figure("store/messages/bytes"))).toBeGreaterThan(0)
    client.ack("puback", 1).ack("puback", 2).ack("puback", 3)
    await interval(harness)
    expect([figure("messages/inflight"), figure("store/messages/bytes")]).toEqual(["0", "0"])
  })

  test("of what was dropped, by its reason", async () => {
    const { harness, figure } = start({
      auth: { authenticate: () => true, authorize: (_, action) => action !== "publish" },
    })
    expect([figure("dropped/not-authorized"), figure("dropped/queue-memory-full")]).toEqual(["0", "0"])
    harness.client("a").publish("t").publish("t")
    await interval(harness)
    const names = ["dropped/not-authorized", "dropped/queue-memory-full", "publish/messages/dropped"]
    expect(names.map(figure)).toEqual(["2", "0", "2"])
  })

  test("of limits, by which was hit", async () => {
    const { harness, figure } = start({ limits: { maximumPacketBytes: 100, connectTimeoutSeconds: 1 } })
    expect([figure("limits/packet-size"), figure("limits/connect-timeout")]).toEqual(["0", "0"])
    harness.client("a").publish("t", "x".repeat(200))
    harness.open()
    await interval(harness)
    expect([figure("limits/packet-size"), figure("limits/connect-timeout"), figure("limits/sessions")]).toEqual([
      "1",
      "1",
      "0",
    ])
  })

  test("of what waits for sockets", async () => {
    const { harness, figure } = start()
    const client = harness.client("a").subscribe("t")
    client.take()
    client.capacity = 0
    harness.client("p").publish("t", "x".repeat(100)).publish("t", "x".repeat(100))
    await interval(harness)
    expect([figure("packet/out/count"), figure("packet/out/bytes")]).toEqual(["2", "212"])
    client.drain()
    await interval(harness)
    expect([figure("packet/out/count"), figure("packet/out/bytes")]).toEqual(["0", "0"])
  })

  test("of load: exponentially weighted per minute, as Mosquitto computes them", async () => {
    const { harness, figure } = start()
    const load = () => ["1min", "5min", "15min"].map((span) => figure(`load/publish/received/${span}`))
    expect(load()).toEqual(["0.00", "0.00", "0.00"])
    const publisher = harness.client("p")
    const averages = [0, 0, 0]
    let before = harness.clock.now()
    for (const messages of [100, 0, 7, 0, 0, 0, 1000, 1]) {
      for (let i = 0; i < messages; i++) publisher.publish("t")
      const uptime = figure("uptime")
      while (figure("uptime") === uptime) await interval(harness, undefined, 0.25)
      const passed = (harness.clock.now() - before) / 1000
      before = harness.clock.now()
      const perMinute = (messages * 60) / passed
      for (const [index, minutes] of [1, 5, 15].entries()) {
        averages[index] = perMinute + Math.exp(-passed / (60 * minutes)) * (averages[index]! - perMinute)
      }
      expect(load()).toEqual(averages.map((average) => average.toFixed(2)))
    }
  })

  test("of load fall to nothing when nothing happens", async () => {
    const { harness, figure } = start()
    for (let i = 0; i < 10; i++) harness.client("p").publish("t").disconnect()
    await interval(harness, undefined, 30)
    expect(Number(figure("load/sockets/1min"))).toBeGreaterThan(5)
    expect(Number(figure("load/connections/1min"))).toBeGreaterThan(5)
    await interval(harness, undefined, 7200)
    expect(figure("load/sockets/1min")).toBe("0.00")
  })
})

describe("nobody but the broker publishes to it", () => {
  for (const level of [3, 4, 5] as const)
    test(`level ${level}: a PUBLISH is refused, and changes nothing`, () => {
      const { harness, figure } = start()
      const watcher = watch(harness)
      const version = figure("version")
      const client = harness.client("a", { level })
      for (const topic of ["$SYS", "$SYS/", "$SYS/broker/version", "$SYS/mine"])
        for (const qos of [0, 1, 2] as const) client.publish(topic, "x", { qos, retain: true })
      const reason = level === 5 ? Reason.NotAuthorized : 0
      const acks = client.take().map(({ cmd, reasonCode }) => `${cmd} ${reasonCode ?? 0}`)
      expect(acks).toEqual(new Array(4).fill([`puback ${reason}`, `pubrec ${reason}`]).flat())
      expect(watcher.take()).toEqual([])
      expect(figure("version")).toBe(version)
      client.publish("$SYS/broker/version", "", { retain: true })
      expect(figure("version")).toBe(version)
      expect(client.isClosed).toBe(false)
    })

  test("nor does a will: its CONNECT is refused", () => {
    const { harness } = start()
    for (const topic of ["$SYS", "$SYS/x"]) {
      const will = { topic, payload: Buffer.from("x"), qos: 0 as const, retain: true }
      const client = harness.connect({ clientId: "w", will })
      expect(client.take()).toMatchObject([{ cmd: "connack", reasonCode: Reason.NotAuthorized }])
      expect(client.isClosed).toBe(true)
    }
  })
})

test("it is never stored", async () => {
  const store = new LateStore()
  const { harness } = start({ store })
  for (let i = 0; i < 3; i++) {
    await interval(harness)
    await store.commitAll()
  }
  expect([store.pending, store.committed]).toEqual([[], []])
})

test("with a store it says how often that was written, how often in vain, and how many bytes it wrote in all its life", async () => {
  const store = Object.assign(new LateStore(), { bytesWritten: 0 })
  const { harness, figure } = start({ store })
  harness.core.metrics.restore("storeBytesWritten", 1_000_000)
  const names = ["store/commits", "store/commits/failed", "store/bytes/written"]
  expect(names.map(figure)).toEqual(["0", "0", "0"])
  harness.client("a").publish("t", "x", { qos: 1, retain: true })
  await microtasks()
  store.pending.shift()!.reject(new Error("disk full"))
  await microtasks()
  await interval(harness)
  store.bytesWritten = 8192
  await store.commitAll()
  await interval(harness)
  expect(names.map(figure)).toEqual(["1", "1", "1008192"])
  expect(start().figure("store/bytes/written")).toBe("none") // without a store
})

test("it does not count in the limit of retained messages", () => {
  const { harness } = start({ limits: { maximumRetainedMessages: 2 } })
  const client = harness.client("a")
  for (const topic of ["a", "b", "c", "b"]) client.publish(topic, "x", { qos: 1, retain: true })
  expect(client.take().map(({ reasonCode }) => reasonCode)).toEqual([0x10, 0x10, Reason.QuotaExceeded, 0x10])
  expect(harness.client("s").subscribe("+").messages()).toEqual(["a x", "b x"])
})

/** The public broker: what it publishes, what it refuses, how it ends. */
import { afterEach, describe, expect, spyOn, test } from "bun:test"
import { allowAll } from "../../src/auth/allow.ts"
import { Broker } from "../../src/broker/broker.ts"
import type { Core } from "../../src/broker/core.ts"
import { ManjuError } from "../../src/broker/errors.ts"
import type { BrokerOptions, Listener } from "../../src/broker/options.ts"
import type { Auth } from "../../src/broker/ports.ts"
import { BlockPool } from "../../src/connection/index.ts"
import { TestBroker } from "../../src/testing/broker.ts"
import { ManualClock } from "../../src/testing/clock.ts"
import { Harness, TestClient } from "../support/harness.ts"
import { LateStore, microtasks } from "../support/store.ts"

/** A listener without sockets: `client` is one that has come through it. */
class MemoryListener implements Listener {
  readonly id = "memory"
  isClosed = false
  core: Core | undefined
  private readonly auth: Auth

  constructor(auth: Auth = allowAll()) {
    this.auth = auth
  }

  async open(core: Core) {
    this.core = core
    await core.auths.open(this.auth)
    return { hostname: "memory", port: 1 }
  }

  close(): void {
    this.isClosed = true
  }

  client(clientId: string, fields: Parameters<TestClient["connect"]>[0] = {}): TestClient {
    const client = new TestClient(this.core!, new BlockPool(), new Harness().listener({}, this.auth), fields.level ?? 5)
    client.connect({ clientId, ...fields }).take()
    return client
  }
}

const open: Broker[] = []

async function start(options: BrokerOptions = {}) {
  const clock = new ManualClock()
  const broker = new Broker({ clock, ...options })
  open.push(broker)
  const listener = new MemoryListener()
  await broker.listen(listener)
  return { broker, listener, clock }
}

afterEach(async () => {
  for (const broker of open.splice(0)) await broker.close({ timeoutMs: 1 })
})

/** The code of the `ManjuError` that it rejects with. */
async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (reason) => reason,
  )
  expect(error).toBeInstanceOf(ManjuError)
  return (error as ManjuError).code
}

describe("publish", () => {
  test("reaches subscribers of every level, with payload, QoS and properties", async () => {
    const { broker, listener } = await start()
    const clients = ([3, 4, 5] as const).map((level) =>
      listener.client(`l${level}`, { level }).subscribe("a/+", { qos: 2 }),
    )
    for (const client of clients) client.take()
    await broker.publish("a/text", "häll")
    await broker.publish("a/bytes", new Uint8Array([0, 255]), { qos: 2 })
    await broker.publish("a/full", "x", {
      qos: 1,
      properties: {
        contentType: "text/plain",
        responseTopic: "re/é",
        correlationData: new Uint8Array([1, 2]),
        messageExpirySeconds: 60,
        payloadFormatIndicator: true,
        userProperties: [
          ["b", "1"],
          ["a", "2"],
        ],
      },
    })
    await microtasks()
    for (const client of clients) {
      const messages = client.take()
      expect(messages).toMatchObject([
        { topic: "a/text", payload: Buffer.from("häll"), qos: 0, retain: false },
        { topic: "a/bytes", payload: Buffer.from([0, 255]), qos: 2 },
        { topic: "a/full", qos: 1 },
      ])
      if (client.level < 5) continue
      expect(messages[2]?.properties).toMatchObject({
        contentType: "text/plain",
        responseTopic: "re/é",
        correlationData: Buffer.from([1, 2]),
        messageExpiryInterval: 60,
        payloadFormatIndicator: true,
        userProperties: { b: "1", a: "2" },
      })
    }
  })

  test("retains, and removes what is retained", async () => {
    const { broker, listener } = await start()
    await broker.publish("a", "kept", { retain: true })
    expect(listener.client("s").subscribe("a").messages()).toEqual(["a kept"])
    await broker.publish("a", "", { retain: true })
    expect(listener.client("s").subscribe("a").messages()).toEqual([])
  })

  test("takes a copy: bytes that the caller changes later change no message", async () => {
    const { broker, listener } = await start()
    const lasting = { clean: false, properties: { sessionExpiryInterval: 60 } }
    listener.client("s", lasting).subscribe("a", { qos: 1 }).drop()
    const bytes = new Uint8Array([0x61])
    await broker.publish("a", bytes, { qos: 1, retain: true })
    bytes[0] = 0x62
    expect(listener.client("s", lasting).messages()).toEqual([])
    const client = listener.client("t")
    expect(client.subscribe("a").messages()).toEqual(["a a"])
  })

  test("takes a view of a larger buffer for what it shows", async () => {
    const { broker, listener } = await start()
    await broker.publish("a", new Uint8Array(Buffer.from("xhix").buffer.slice(0)).subarray(0, 0), { retain: true })
    const whole = Uint8Array.from(Buffer.from("xhix"))
    await broker.publish("a", whole.subarray(1, 3), { retain: true })
    expect(listener.client("s").subscribe("a").messages()).toEqual(["a hi"])
  })

  test("at QoS 1 and 2 resolves when it is durable, at QoS 0 at once", async () => {
    const store = new LateStore()
    const { broker, listener } = await start({ store })
    listener.client("s", { clean: false, properties: { sessionExpiryInterval: 60 } })
    await store.commitAll()
    const done: string[] = []
    for (const qos of [1, 2] as const) {
      broker.publish("a", "x", { qos, retain: true }).then(() => done.push(`qos ${qos}`))
    }
    broker.publish("b", "x", { retain: true }).then(() => done.push("qos 0"))
    await microtasks()
    expect(done).toEqual(["qos 0"])
    await store.commitAll()
    expect(done).toEqual(["qos 0", "qos 1", "qos 2"])
  })

  test("refuses what is no topic name, and $SYS", async () => {
    const { broker, listener } = await start()
    const client = listener.client("s").subscribe(["#", "$SYS/x"])
    client.take()
    const names = ["", "a/+", "#", "a\0b", "\ud800", "x".repeat(65_536), "$SYS", "$SYS/x", `${"/".repeat(128)}`]
    for (const name of names) expect(await codeOf(broker.publish(name, "x"))).toBe("INVALID_TOPIC")
    await microtasks()
    expect(client.take()).toEqual([])
    await broker.publish("x".repeat(65_535), "x")
    await broker.publish("$other/x", "x")
  })

  test("refuses a QoS and properties that cannot be sent", async () => {
    const { broker, listener } = await start()
    const client = listener.client("s").subscribe("#")
    client.take()
    const wrong: object[] = [
      { qos: 3 },
      { qos: -1 },
      { qos: "1" },
      { properties: { responseTopic: "a/+" } },
      { properties: { responseTopic: "" } },
      { properties: { responseTopic: "a\0" } },
      { properties: { contentType: "\ud800" } },
      { properties: { contentType: "x".repeat(65_536) } },
      { properties: { userProperties: [["a", "\0"]] } },
      { properties: { userProperties: [["\udfff", "a"]] } },
      { properties: { correlationData: new Uint8Array(65_536) } },
      { properties: { messageExpirySeconds: -1 } },
      { properties: { messageExpirySeconds: 2 ** 32 } },
      { properties: { messageExpirySeconds: 1.5 } },
    ]
    for (const options of wrong) expect(await codeOf(broker.publish("a", "x", options))).toBe("INVALID_OPTION")
    await microtasks()
    expect(client.take()).toEqual([])
  })
})

describe("listen", () => {
  test("tells where the listener is, and passes on its failure", async () => {
    const { broker } = await start()
    expect(await broker.listen(new MemoryListener())).toEqual({ hostname: "memory", port: 1 })
    const failing = new MemoryListener()
    failing.open = () => Promise.reject(new ManjuError("LISTEN_FAILED", "cannot"))
    expect(await codeOf(broker.listen(failing))).toBe("LISTEN_FAILED")
    await broker.close()
    expect(failing.isClosed).toBe(false)
  })

  test("that is not done when the broker closes closes what it opened", async () => {
    const { broker } = await start()
    const listener = new MemoryListener()
    const listening = broker.listen(listener)
    const closing = broker.close()
    expect(await codeOf(listening)).toBe("CLOSED")
    expect(listener.isClosed).toBe(true)
    await closing
  })
})

describe("close", () => {
  test("closes every listener and refuses what comes after", async () => {
    const { broker, listener } = await start()
    await broker.close()
    expect(listener.isClosed).toBe(true)
    expect(await codeOf(broker.publish("a", "x"))).toBe("CLOSED")
    expect(await codeOf(broker.listen(new MemoryListener()))).toBe("CLOSED")
    await broker.close()
    await broker[Symbol.asyncDispose]()
  })

  test("says goodbye to clients with 0x8B where they know reasons, and ends their connections", async () => {
    const { broker, listener } = await start()
    const clients = ([3, 4, 5] as const).map((level) => listener.client(`l${level}`, { level }))
    const waiting = new TestClient(listener.core!, new BlockPool(), new Harness().listener(), 5)
    await broker.close({ timeoutMs: 1 })
    for (const client of clients) {
      const said = client.take().map(({ cmd, reasonCode }) => [cmd, reasonCode])
      expect(said).toEqual(client.level === 5 ? [["disconnect", 0x8b]] : [])
      expect(client.isEnded).toBe(true)
    }
    expect([waiting.take(), waiting.isEnded]).toEqual([[], true])
  })

  test("closes an auth when nobody can ask it any more: of the last will, too, it is asked who may receive it", async () => {
    const calls: string[] = []
    const listener = new MemoryListener({
      authenticate: () => true,
      authorize: ({ clientId }, action, topic) => calls.push(`${clientId} ${action} ${topic}`) > 0,
      close: () => calls.push("close"),
    })
    const broker = new Broker({ clock: new ManualClock() })
    await broker.listen(listener)
    const will = { topic: "w", payload: Buffer.from("gone"), qos: 0, retain: false } as const
    listener.client("a", { will })
    const watcher = listener.client("b").subscribe("w")
    watcher.take()
    calls.length = 0
    await broker.close({ timeoutMs: 1 })
    expect(watcher.messages()).toEqual(["w gone"])
    expect(calls).toEqual(["b receive w", "close"])
  })

  test("waits for the store, and closes it last", async () => {
    const store = new LateStore()
    let isStoreClosed = false
    store.close = async () => void (isStoreClosed = true)
    const { broker } = await start({ store })
    const published = broker.publish("a", "x", { qos: 1, retain: true })
    const closing = broker.close()
    await microtasks()
    expect(isStoreClosed).toBe(false)
    await store.commitAll()
    await published
    await closing
    expect(isStoreClosed).toBe(true)
    expect(store.committed).toMatchObject([{ kind: "retained" }])
  })

  test("with a store that fails to the end takes no longer than it may, and says what is not stored in one line", async () => {
    const store = new LateStore()
    const full = () => Promise.reject(new Error("the disk is full"))
    store.commit = full
    store.close = full
    const errors: string[] = []
    const logger = { debug() {}, info() {}, warn() {}, error: (line: string) => void errors.push(line) }
    const { broker } = await start({ store, logger })
    void broker.publish("a", "x", { qos: 1, retain: true })
    await microtasks()
    errors.length = 0
    const waits = spyOn(globalThis, "setTimeout")
    await broker.close({ timeoutMs: 100 })
    const waitedMs = waits.mock.calls.reduce((sum, [, delay]) => sum + (delay ?? 0), 0)
    waits.mockRestore()
    expect(waitedMs).toBeLessThan(200 + 1000) // timers count in whole milliseconds; the store may take a second for its end
    expect(errors).toEqual(["closing with 1 change not stored: the disk is full"])
  })

  test("says how many lines the log has left out, also of those who are sent away at the end", async () => {
    const logged: string[] = []
    const note = (message: string) => void logged.push(message)
    const broker = new TestBroker({ logger: { debug: note, info: note, warn: note, error: note } })
    for (let n = 0; n < 60; n++) await broker.connect()
    await broker.close()
    expect(logged.filter((line) => line.startsWith("closing"))).toHaveLength(10)
    expect(logged).toContain(
      "… and 50 more like it (in 1 s): connections closed, 0x8b ServerShuttingDown, all of them from memory",
    )
    expect(logged).toContain("… and 10 more like it (in 1 s): clients connected, all of them from memory")
  })

  test("does not wait for ever for a store that does not close, and says so", async () => {
    const store = new LateStore()
    store.close = () => new Promise(() => {})
    const errors: string[] = []
    const logger = { debug() {}, info() {}, warn() {}, error: (line: string) => void errors.push(line) }
    const { broker } = await start({ store, logger })
    await broker.close({ timeoutMs: 0 })
    expect(errors).toEqual(["the store has not closed as it should: it does not answer"])
  })

  test("tells onStopped how many clients were in, who had to be cut off, and what is not stored", async () => {
    const store = new LateStore()
    store.commit = () => Promise.reject(new Error("the disk is full"))
    const { broker, listener } = await start({ store })
    const told: unknown[] = []
    broker.use({ onStopped: (stopped) => told.push(stopped) })
    const leaving = listener.client("leaving")
    listener.client("staying")
    void broker.publish("a", "x", { qos: 1, retain: true })
    await microtasks()
    const closing = broker.close({ timeoutMs: 50 })
    await microtasks()
    leaving.drop()
    await closing
    expect(told).toEqual([{ clients: 2, cutOff: 1, unstored: 1 }])
  })

  test("leaves nothing that ticks", async () => {
    const { broker, clock } = await start()
    expect(clock.recurringCount).toBe(1)
    await broker.close()
    expect(clock.recurringCount).toBe(0)
  })
})

test("what the service says through the broker's logger is in its log, and goes by its levels", async () => {
  const logged: unknown[] = []
  const note = (...line: unknown[]) => void logged.push(line)
  await using broker = new Broker({ logger: { debug: note, info: note, warn: note, error: note } })
  broker.admin.setLogLevel("warn", { message: "info" })
  broker.logger.info("the valve is open", { area: "message", topic: "valve/7" })
  broker.logger.info("unheard")
  broker.logger.warn("the gateway is hot")
  expect(logged).toEqual([
    ["the valve is open", { area: "message", topic: "valve/7" }],
    ["the gateway is hot", { area: "broker" }],
  ])
})

describe("heartbeat", () => {
  test("comes with the next turn of the clockwork, again and again, also while the store fails", async () => {
    const store = new LateStore()
    store.commit = () => Promise.reject(new Error("the disk is full"))
    const { broker, clock } = await start({ store })
    void broker.publish("a", "x", { qos: 1, retain: true })
    await microtasks()
    let beats = 0
    for (const expected of [1, 2]) {
      void broker.heartbeat().then(() => beats++)
      await microtasks()
      expect(beats).toBe(expected - 1)
      clock.advance(0.5)
      await microtasks()
      expect(beats).toBe(expected)
    }
  })

  test("does not come from a broker that has been closed", async () => {
    const { broker, clock } = await start()
    let beats = 0
    void broker.heartbeat().then(() => beats++)
    await broker.close()
    clock.advance(10)
    await microtasks()
    expect(beats).toBe(0)
  })
})

test("options that make no sense are refused by name", () => {
  expect(() => new Broker({ limits: { maximumInflight: 0 } })).toThrow(/maximumInflight/)
})

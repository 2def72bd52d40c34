/** A broker for tests: with clients in memory, and with the time that the test gives it. */
import { describe, expect, spyOn, test } from "bun:test"
import { type Auth, acl, all, allowAll, Broker, denyAll, memory, Reason } from "manju"
import { ManualClock, RefusedError, settled, TestBroker, TestListener } from "manju/testing"

describe("a test broker", () => {
  test("lets everybody in and do everything, unless it is given an auth", async () => {
    await using open = new TestBroker()
    const client = await open.connect()
    expect(await client.subscribe("#")).toEqual([Reason.Success])
    await using closed = new TestBroker({ auth: denyAll() })
    await expect(closed.connect()).rejects.toMatchObject({ reason: Reason.NotAuthorized })
  })

  test("gives each client an id of its own, and the one it asks for", async () => {
    await using broker = new TestBroker()
    const clients = [await broker.connect(), await broker.connect(), await broker.connect({ clientId: "mine" })]
    expect(clients.map(({ clientId }) => clientId)).toEqual(["test-1", "test-2", "mine"])
    expect((await broker.connect({ clientId: "" })).clientId).toStartWith("manju-")
    expect(clients.every(({ isConnected }) => isConnected)).toBe(true)
  })

  test("lets clients in through other auths, too", async () => {
    await using broker = new TestBroker({ auth: denyAll() })
    const seen: string[] = []
    const guest: Auth = { authenticate: ({ listener, remoteAddress }) => seen.push(`${listener} ${remoteAddress}`) > 0 }
    const clients = await Promise.all([
      broker.connect({ auth: guest }),
      broker.connect({ auth: guest, remoteAddress: "192.0.2.9" }),
    ])
    expect(seen).toEqual(["test memory", "test 192.0.2.9"])
    const other = await broker.connect({
      auth: all(allowAll(), acl([{ everybody: true, topics: [{ allow: "write", filter: "a" }] }])),
    })
    expect(await other.publish("b", "", { qos: 1 })).toBe(Reason.NotAuthorized)
    expect(new Set([...clients, other].map(({ clientId }) => clientId)).size).toBe(3)
    await expect(broker.connect()).rejects.toBeInstanceOf(RefusedError)
  })

  test("slows down who is refused again and again only where it comes from an IP address, and by its own clock", async () => {
    const reason = Reason.BadUserNameOrPassword
    await using broker = new TestBroker({ auth: { authenticate: () => ({ reason }) } })
    const guess = (options = {}) => broker.connect({ username: "eve", ...options }).catch((error) => error.reason)
    for (let attempt = 0; attempt < 20; attempt++) expect(await guess()).toBe(reason)
    const remoteAddress = "192.0.2.9"
    for (let attempt = 0; attempt < 5; attempt++) expect(await guess({ remoteAddress })).toBe(reason)
    const late = guess({ remoteAddress })
    await broker.settled()
    expect(Bun.peek.status(late)).toBe("pending")
    broker.clock.advance(5)
    expect(await late).toBe(reason)
  })

  test("fails as a listener does where an auth cannot work, and tries again the next time", async () => {
    await using broker = new TestBroker()
    let isThere = false
    const auth: Auth = {
      authenticate: () => true,
      open() {
        if (!isThere) throw new Error("no such file")
      },
    }
    const failure = { code: "AUTH_FAILED", message: "no such file" }
    await expect(broker.connect({ auth })).rejects.toMatchObject(failure)
    await expect(broker.connect({ auth })).rejects.toMatchObject(failure)
    isThere = true
    expect((await broker.connect({ auth })).isConnected).toBe(true)
  })

  test("offers its clients what the listener's limits say", async () => {
    await using broker = new TestBroker({ listenerLimits: { maximumQoS: 1, topicAliasMaximum: 7 } })
    const { connack } = await broker.connect()
    expect(connack.properties).toMatchObject({ maximumQoS: 1, topicAliasMaximum: 7 })
    expect(() => new TestBroker({ limits: { maximumSessions: -1 } })).toThrow("maximumSessions")
  })

  test("says goodbye to its clients, and accepts nobody any more, when it is closed", async () => {
    const broker = new TestBroker()
    const [modern, older] = [await broker.connect(), await broker.connect({ protocolLevel: 4 })]
    await broker.close()
    expect(await modern.closed).toMatchObject({ reason: Reason.ServerShuttingDown, by: "broker" })
    expect(await older.closed).toMatchObject({ reason: undefined, by: "broker" })
    await expect(broker.connect()).rejects.toMatchObject({ code: "CLOSED" })
  })

  test("closes, although somebody's answer never comes", async () => {
    const never = new Promise<boolean>(() => {})
    const broker = new TestBroker({ auth: { authenticate: () => true, authorize: () => never } })
    const client = await broker.connect()
    void client.publish("t", "")
    await broker.settled()
    await broker.close({ timeoutMs: 60_000 })
    expect(client.disconnection?.reason).toBe(Reason.ServerShuttingDown)
  })

  test("has the time that the test gives it", async () => {
    await using broker = new TestBroker()
    const watcher = await broker.connect()
    await watcher.subscribe("status/#")
    const will = { topic: "status/1", payload: "lost", properties: { willDelaySeconds: 30 } }
    const sensor = await broker.connect({ keepAliveSeconds: 60, sessionExpirySeconds: 3600, will })
    broker.clock.advance(80)
    await sensor.ping()
    broker.clock.advance(80)
    await sensor.ping()
    broker.clock.advance(91)
    await broker.settled()
    expect(sensor.disconnection).toMatchObject({ reason: Reason.KeepAliveTimeout, by: "broker" })
    expect(watcher.messages).toEqual([])
    broker.clock.advance(31)
    expect((await watcher.nextMessage()).text()).toBe("lost")
  })

  test("finds what another on the same store has left", async () => {
    const store = memory()
    const clock = new ManualClock()
    const durable = { clientId: "sensor", sessionExpirySeconds: 3600, cleanStart: false }
    const first = new TestBroker({ store, clock })
    const before = await first.connect(durable)
    expect(before.connack.isSessionPresent).toBe(false)
    await before.subscribe("t", { qos: 1 })
    await before.drop()
    await first.publish("t", "meanwhile", { qos: 1 })
    await first.close()
    clock.advance(60)
    await using second = new TestBroker({ store, clock })
    const after = await second.connect(durable)
    expect(after.connack.isSessionPresent).toBe(true)
    expect(await after.nextMessage()).toMatchObject({ topic: "t", qos: 1, dup: false })
  })
})

describe("a test listener", () => {
  test("lets clients in to a broker that somebody else has made", async () => {
    await using broker = new Broker()
    const door = new TestListener({ id: "door", limits: { mountPoint: "site-1/" } })
    expect(await broker.listen(door)).toEqual({ hostname: "door", port: 0 })
    const client = await door.connect()
    await client.subscribe("#")
    await broker.publish("site-1/a", "hello")
    expect(client.clientId).toBe("door-1")
    expect(await client.nextMessage()).toMatchObject({ topic: "a" })
  })

  test("has to be listened on first", async () => {
    await expect(new TestListener().connect()).rejects.toMatchObject({ code: "CLOSED" })
  })
})

describe("settled", () => {
  test("is when nothing waits for promises any more, however many there are", async () => {
    await using broker = new TestBroker({
      auth: {
        authenticate: () => true,
        async authorize() {
          for (let turn = 0; turn < 1000; turn++) await undefined
          return true
        },
      },
    })
    const [one, other] = [await broker.connect(), await broker.connect()]
    await one.subscribe("ping")
    await other.subscribe("pong")
    void one.publish("pong", "", { qos: 2 })
    void other.publish("ping", "", { qos: 2 })
    await broker.settled()
    expect([one.messages.length, other.messages.length]).toEqual([1, 1])
  })

  test("does not wait for a promise that the test holds", async () => {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    await using broker = new TestBroker({ auth: { authenticate: () => promise } })
    const connecting = broker.connect()
    await broker.settled()
    expect(Bun.peek.status(connecting)).toBe("pending")
    resolve(true)
    await settled()
    expect(Bun.peek.status(connecting)).toBe("fulfilled")
  })

  test("does not go by timers that the test has replaced", async () => {
    const stopped = spyOn(globalThis, "setImmediate").mockImplementation((() => {}) as never)
    try {
      await settled()
    } finally {
      stopped.mockRestore()
    }
  })
})

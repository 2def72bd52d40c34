/** MQTT over TCP: bytes in order and whole, whatever the sockets do. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test"
import { Broker, type BrokerOptions } from "../../src/broker/broker.ts"
import { Reason } from "../../src/codec/index.ts"
import { type Auth, allowAll, denyAll, ManjuError, type TcpOptions, tcp } from "../../src/index.ts"
import { coreOf, eventually, RawClient } from "./socket.ts"

setDefaultTimeout(60_000)

const open: Broker[] = []

async function serve(options: BrokerOptions = {}, listener: TcpOptions = {}) {
  const broker = new Broker(options)
  open.push(broker)
  const { port, hostname } = await broker.listen(tcp({ port: 0, auth: allowAll(), ...listener }))
  return { broker, port, hostname, core: coreOf(broker) }
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((broker) => broker.close({ timeoutMs: 0 })))
})

describe("[MQTT-4.2.0-1] [v3.1.1 MQTT-7.1.1-1] an ordered, lossless stream of bytes in both directions", () => {
  for (const level of [3, 4, 5] as const)
    test(`level ${level}: megabytes to a subscriber that stops reading, and to one that does not`, async () => {
      const limits = { maximumBacklogBytes: 256 * 1024 * 1024, maximumPacketBytes: 4 * 1024 * 1024 }
      const { port, core } = await serve({ limits })
      const slow = await RawClient.connect(port, "slow", level)
      const fast = await RawClient.connect(port, "fast", level)
      await slow.subscribe("t/#")
      await fast.subscribe("t/#")
      slow.pause()
      const publisher = await RawClient.connect(port, "publisher", level)
      const sizes = Array.from({ length: 300 }, (_, i) => [10, 1000, 70_000, 300_000][i % 4]!)
      sizes[150] = 3_000_000
      for (const [i, size] of sizes.entries()) publisher.publish(`t/${i}`, Buffer.alloc(size, i))
      const messages = (client: RawClient) => client.packets.filter(({ cmd }) => cmd === "publish")
      await fast.until(() => messages(fast).length === sizes.length, "all messages at the fast one")
      const backlog = Math.max(...[...core.peers].map((peer) => peer.backlogBytes))
      expect(backlog).toBeGreaterThan(1_000_000)
      expect(messages(slow).length).toBeLessThan(sizes.length)
      slow.resume()
      await slow.until(() => messages(slow).length === sizes.length, "all messages at the slow one")
      for (const client of [slow, fast])
        for (const [i, { topic, payload }] of messages(client).entries()) {
          expect(topic).toBe(`t/${i}`)
          expect(payload.equals(Buffer.alloc(sizes[i]!, i))).toBe(true)
        }
      await eventually(() => [...core.peers].every((peer) => peer.backlogBytes === 0), "empty outboxes")
    })

  test("a client that says everything at once and closes its half has been heard", async () => {
    const { port } = await serve()
    const subscriber = await RawClient.connect(port, "subscriber")
    await subscriber.subscribe("#")
    const client = await RawClient.open(port, 4)
    client.sendConnect("brief")
    client.publish("a", "said")
    client.end()
    expect((await subscriber.next("publish")).payload.toString()).toBe("said")
    await client.until(() => client.hasClosed, "the close")
  })
})

describe("a subscriber that does not read", () => {
  test("costs at most its backlog: QoS 0 is dropped and counted, QoS 1 waits and comes whole, in order", async () => {
    const maximumBacklogBytes = 1_000_000
    const { port, core } = await serve({ limits: { maximumBacklogBytes } })
    const slow = await RawClient.connect(port, "slow", 5)
    await slow.subscribe("q0")
    await slow.subscribe("q1", 1)
    slow.pause()
    const publisher = await RawClient.connect(port, "publisher", 5)
    for (let i = 0; i < 600; i++) {
      publisher.publish("q0", Buffer.alloc(50_000))
      publisher.publish("q1", String(i), { qos: 1, messageId: i + 1 })
    }
    await publisher.until(() => publisher.packets.length === 600, "all acknowledgements")
    expect(core.metrics.dropped["backlog full"]).toBeGreaterThan(0)
    const backlog = Math.max(...[...core.peers].map((peer) => peer.backlogBytes))
    expect(backlog).toBeLessThanOrEqual(maximumBacklogBytes + 100_000)
    slow.resume()
    const came: string[] = []
    while (came.length < 600) {
      const { topic, messageId, payload } = await slow.next("publish")
      if (topic !== "q1") continue
      slow.send({ cmd: "puback", messageId: messageId! })
      came.push(payload.toString())
    }
    expect(came).toEqual(Array.from({ length: 600 }, (_, i) => String(i)))
    expect(core.metrics.dropped["queue full"]).toBe(0)
  })
})

describe("the end of a connection", () => {
  test("[MQTT-3.14.4-2] the reason reaches a client that goes on writing; then the connection is closed", async () => {
    const { port, core } = await serve()
    const client = await RawClient.connect(port, "client")
    client.sendConnect("client")
    for (let i = 0; i < 200; i++) client.publish("t", Buffer.alloc(50_000))
    expect((await client.next("disconnect")).reasonCode).toBe(Reason.ProtocolError)
    await client.until(() => client.hasEnded, "the end")
    expect(client.hasClosed).toBe(false) // a reset might have cost the reason
    client.end()
    await eventually(() => core.peers.size === 0, "no peer")
    expect(core.metrics.publishReceived).toBe(0)
  })

  test("a client that is told to go and stays is cut off", async () => {
    const { port, core } = await serve()
    const client = await RawClient.connect(port, "client")
    client.sendConnect("client")
    await client.next("disconnect")
    await client.until(() => client.hasEnded, "the end of the broker's half")
    await eventually(() => core.peers.size === 0, "the close")
    expect(core.metrics.connections).toBe(0)
  })

  test("a client that never sends CONNECT, or only a part of one, is let go after the time limit", async () => {
    const { port, core } = await serve({ limits: { connectTimeoutSeconds: 1 } })
    const [silent, partial] = [await RawClient.open(port), await RawClient.open(port)]
    partial.write(Buffer.from([0x10, 0x20, 0, 4]))
    for (const client of [silent, partial]) {
      await client.until(() => client.hasEnded, "the end")
      expect(client.receivedBytes).toBe(0)
      client.end()
    }
    await eventually(() => core.peers.size === 0, "no peer")
    expect(core.metrics.limitsHit["connect timeout"]).toBe(2)
  })

  test("a connection that breaks is the will's hour", async () => {
    const { port, core } = await serve()
    const watcher = await RawClient.connect(port, "watcher")
    await watcher.subscribe("will")
    const will = { topic: "will", payload: Buffer.from("gone"), qos: 0, retain: false }
    const client = await RawClient.connect(port, "client", 5, { will })
    client.destroy()
    expect((await watcher.next("publish")).payload.toString()).toBe("gone")
    expect(core.peers.size).toBe(1)
  })
})

describe("a decision that takes its time", () => {
  test("holds the connection: what follows waits, in order, and in the client's own buffers", async () => {
    let decide: (answer: boolean) => void = () => {}
    const decision = new Promise<boolean>((resolve) => {
      decide = resolve
    })
    const auth: Auth = { authenticate: ({ clientId }) => (clientId === "late" ? decision : true) }
    const { port, core } = await serve({ limits: { maximumBacklogBytes: 256 * 1024 * 1024 } }, { auth })
    const watcher = await RawClient.connect(port, "watcher")
    await watcher.subscribe("t/#")
    const late = await RawClient.open(port)
    late.sendConnect("late")
    const payload = Buffer.alloc(100_000)
    const count = 500
    for (let i = 0; i < count; i++) late.publish(`t/${i}`, payload)
    await eventually(() => core.metrics.connectsReceived === 2, "the CONNECT")
    // others are served meanwhile
    const other = await RawClient.connect(port, "other")
    other.publish("t/other", "now")
    expect((await watcher.next("publish")).topic).toBe("t/other")
    expect(core.metrics.publishReceived).toBe(1)
    for (let unchanged = 0, before = -1; unchanged < 20; ) {
      other.send({ cmd: "pingreq" })
      await other.next("pingresp")
      unchanged = late.unwrittenBytes === before ? unchanged + 1 : 0
      before = late.unwrittenBytes
    }
    expect(late.unwrittenBytes).toBeGreaterThan(20_000_000)
    expect(core.metrics.bytesReceived).toBeLessThan(20_000_000)
    decide(true)
    for (let i = 0; i < count; i++) expect((await watcher.next("publish")).topic).toBe(`t/${i}`)
    expect((await late.next("connack")).reasonCode).toBe(0)
  })

  test("a client that has gone meanwhile is nobody any more", async () => {
    let decide: (answer: boolean) => void = () => {}
    const decision = new Promise<boolean>((resolve) => {
      decide = resolve
    })
    const { port, core } = await serve({}, { auth: { authenticate: () => decision } })
    const client = await RawClient.open(port)
    client.sendConnect("client")
    await eventually(() => core.metrics.connectsReceived === 1, "the CONNECT")
    client.destroy()
    await client.until(() => client.hasClosed, "the close")
    decide(true)
    await eventually(() => core.peers.size === 0, "no peer")
    expect([core.sessions.size, core.metrics.connections]).toEqual([0, 0])
  })
})

describe("broker.close()", () => {
  test("says 0x8B to clients of 5.0, ends every socket, and the port is free", async () => {
    const { broker, port, core } = await serve()
    const clients = await Promise.all(([3, 4, 5] as const).map((level) => RawClient.connect(port, `v${level}`, level)))
    const silent = await RawClient.open(port)
    await eventually(() => core.peers.size === 4, "four peers")
    const closed = broker.close()
    await Promise.all(
      [...clients, silent].map(async (client) => {
        await client.until(() => client.hasEnded, "the end")
        client.end()
      }),
    )
    await closed
    expect(clients.map((client) => client.take().map(({ cmd, reasonCode }) => [cmd, reasonCode]))).toEqual([
      [],
      [],
      [["disconnect", Reason.ServerShuttingDown]],
    ])
    expect([silent.receivedBytes, core.peers.size, core.metrics.connections]).toEqual([0, 0, 0])
    expect((await serve({}, { port })).port).toBe(port)
  })

  test("does not wait for those who stay: they are cut off", async () => {
    const { broker, port, core } = await serve()
    const stubborn = await RawClient.connect(port, "stubborn")
    await broker.close({ timeoutMs: 100 })
    await stubborn.next("disconnect")
    await eventually(() => core.peers.size === 0, "no peer")
    expect(core.metrics.connections).toBe(0)
  })

  test("twice is once; afterwards nothing can be asked of it", async () => {
    const { broker } = await serve()
    await Promise.all([broker.close(), broker.close()])
    await broker.close()
    for (const asked of [broker.listen(tcp({ port: 0 })), broker.publish("a", "b")]) {
      expect(await asked.catch((error) => error.code)).toBe("CLOSED")
    }
  })
})

describe("listening", () => {
  test("a port in use, or an address of somebody else, is LISTEN_FAILED and says so", async () => {
    const { port } = await serve()
    const cases: [TcpOptions, RegExp][] = [
      [{ port }, new RegExp(`cannot listen on 127.0.0.1:${port}: the port is in use`)],
      [
        { hostname: "203.0.113.7", port: 0 },
        /cannot listen on 203\.0\.113\.7:0: this machine does not have the address/,
      ],
      [{ hostname: "nowhere.invalid", port: 0 }, /cannot listen on nowhere\.invalid:0: ./],
    ]
    for (const [options, message] of cases) {
      const failure = await new Broker().listen(tcp(options)).catch((error) => error)
      expect(failure).toBeInstanceOf(ManjuError)
      expect([failure.code, failure.message]).toEqual(["LISTEN_FAILED", expect.stringMatching(message)])
    }
  })

  test("without an auth, and with one that denies, everybody is refused", async () => {
    const { broker, port } = await serve({}, { auth: denyAll() })
    const { port: bare } = await broker.listen(tcp({ port: 0 }))
    for (const each of [port, bare]) {
      const client = await RawClient.open(each)
      client.sendConnect("client")
      expect((await client.next("connack")).reasonCode).toBe(Reason.NotAuthorized)
      await client.until(() => client.hasEnded, "the end")
    }
  })

  test("two brokers in one process share nothing", async () => {
    const [one, two] = [await serve(), await serve()]
    const [a, b] = [await RawClient.connect(one.port, "same"), await RawClient.connect(two.port, "same")]
    await a.subscribe("#")
    await b.subscribe("#")
    a.publish("t", "one", { retain: true })
    b.publish("t", "two", { retain: true })
    expect((await a.next("publish")).payload.toString()).toBe("one")
    expect((await b.next("publish")).payload.toString()).toBe("two")
    await one.broker.close({ timeoutMs: 0 })
    b.publish("t", "still here")
    expect((await b.next("publish")).payload.toString()).toBe("still here")
    expect([a.packets.filter(({ cmd }) => cmd === "publish"), b.packets]).toEqual([[], []])
  })

  test("two listeners of one broker are two doors to one house", async () => {
    const { broker, port } = await serve()
    const { port: second } = await broker.listen(tcp({ port: 0, auth: allowAll(), limits: { maximumQoS: 0 } }))
    const a = await RawClient.connect(port, "a")
    const b = await RawClient.open(second)
    b.sendConnect("b")
    expect((await b.next("connack")).properties.maximumQoS).toBe(0)
    await a.subscribe("#")
    b.publish("t", "through")
    expect((await a.next("publish")).payload.toString()).toBe("through")
  })
})

describe("many connections", () => {
  test("2,000 opened and closed in every way leave nothing behind", async () => {
    const { port, core } = await serve()
    for (let batch = 0; batch < 20; batch++) {
      const clients = await Promise.all(
        Array.from({ length: 100 }, async (_, i) => {
          const id = `${batch}-${i}`
          if (i % 5 === 0) return RawClient.open(port)
          return RawClient.connect(port, id, ([3, 4, 5] as const)[i % 3]!)
        }),
      )
      for (const [i, client] of clients.entries()) {
        if (i % 4 === 0) client.destroy()
        else if (i % 4 === 1) client.end()
        else if (i % 5 === 0) client.write(Buffer.from([0xff, 0x00]))
        else client.send({ cmd: "disconnect" } as Parameters<RawClient["send"]>[0])
      }
      await Promise.all(
        clients.map(async (client) => {
          await client.until(() => client.hasEnded, "the end")
          client.destroy()
        }),
      )
    }
    await eventually(() => core.peers.size === 0, "no peers")
    expect([core.metrics.connections, core.metrics.socketsOpened, core.sessions.size]).toEqual([0, 2000, 0])
    expect([core.router.subscriptionCount, core.queueBytes, core.inflightCount]).toEqual([0, 0, 0])
  })

  test("a surplus far beyond the limit is turned away, and the count comes back", async () => {
    const { port, core } = await serve({ limits: { maximumConnections: 2 } })
    const [a, b] = [await RawClient.connect(port, "a"), await RawClient.connect(port, "b")]
    const told: RawClient[] = []
    while (told.length < 1000) {
      told.push(...(await Promise.all(Array.from({ length: 100 }, () => RawClient.open(port)))))
      await eventually(() => core.metrics.limitsHit.connections === told.length, "the batch accepted")
    }
    const reset = await Promise.all(Array.from({ length: 100 }, () => RawClient.open(port).catch(() => undefined)))
    await eventually(() => core.metrics.limitsHit.connections === 1100, "all of them counted")
    for (const each of reset) await each?.until(() => each.hasEnded, "the end")
    told[0]!.sendConnect("too many")
    expect((await told[0]!.next("connack")).reasonCode).toBe(Reason.ServerBusy)
    for (const each of told) each.destroy()
    await eventually(() => core.peers.size === 2, "the surplus gone")
    expect(core.metrics.connections).toBe(2)
    a.send({ cmd: "pingreq" })
    await a.next("pingresp")
    b.destroy()
    await eventually(() => core.peers.size === 1, "room for another")
    await RawClient.connect(port, "c")
  })
})

/** MQTT over TCP: who may listen where, how long it waits, how it closes, and how many may come. Bytes: flow.test.ts */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test"
import { Broker } from "../../src/broker/broker.ts"
import type { BrokerOptions } from "../../src/broker/options.ts"
import { Reason } from "../../src/codec/index.ts"
import { allowAll, denyAll, ManjuError, type TcpOptions, tcp } from "../../src/index.ts"
import { closeBrokers, serve } from "./brokers.ts"
import { eventually, RawClient } from "./socket.ts"

setDefaultTimeout(60_000)
afterEach(closeBrokers)

const served = (options: BrokerOptions = {}, listener: TcpOptions = {}) =>
  serve(tcp({ port: 0, auth: allowAll(), ...listener }), options)

test("a client that never sends CONNECT, or only a part of one, is let go after the time limit", async () => {
  const { port, core } = await served({ limits: { connectTimeoutSeconds: 1 } })
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

describe("broker.close()", () => {
  test("says 0x8B to clients of 5.0, ends every socket, and the port is free", async () => {
    const { broker, port, core } = await served()
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
    expect((await served({}, { port })).port).toBe(port)
  })

  test("does not wait for those who stay: they are cut off", async () => {
    const { broker, port, core } = await served()
    const stubborn = await RawClient.connect(port, "stubborn")
    await broker.close({ timeoutMs: 100 })
    await stubborn.next("disconnect")
    await eventually(() => core.peers.size === 0, "no peer")
    expect(core.metrics.connections).toBe(0)
  })

  test("twice is once; afterwards nothing can be asked of it", async () => {
    const { broker } = await served()
    await Promise.all([broker.close(), broker.close()])
    await broker.close()
    for (const asked of [broker.listen(tcp({ port: 0 })), broker.publish("a", "b")]) {
      expect(await asked.catch((error) => error.code)).toBe("CLOSED")
    }
  })
})

describe("listening", () => {
  test("a port in use, or an address of somebody else, is LISTEN_FAILED and says so", async () => {
    const { port } = await served()
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
    const { broker, port } = await served({}, { auth: denyAll() })
    const { port: bare } = await broker.listen(tcp({ port: 0 }))
    for (const each of [port, bare]) {
      const client = await RawClient.open(each)
      client.sendConnect("client")
      expect((await client.next("connack")).reasonCode).toBe(Reason.NotAuthorized)
      await client.until(() => client.hasEnded, "the end")
    }
  })

  test("two brokers in one process share nothing", async () => {
    const [one, two] = [await served(), await served()]
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
    const { broker, port } = await served()
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
    const { port, core } = await served()
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
    const { port, core } = await served({ limits: { maximumConnections: 2 } })
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

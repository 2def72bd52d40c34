/** DISCONNECT, from the client and from the broker. */
import { describe, expect, test } from "bun:test"
import { Reason } from "../../src/codec/index.ts"
import { textHex } from "../support/bytes.ts"
import { Harness } from "../support/harness.ts"
import { microtasks } from "../support/store.ts"
import { block, levels, packet, thrownOut, told } from "./wire.ts"

const will = { topic: "w", payload: Buffer.from("gone"), qos: 0, retain: false } as const

/** A client with a will, and somebody who sees it. */
function withWill(level: (typeof levels)[number] = 5, properties = {}) {
  const harness = new Harness()
  const watcher = harness.client("watcher").subscribe("#")
  watcher.take()
  const client = harness.client("a", { level, will, ...(level === 5 && { properties }) })
  return { harness, watcher, client }
}

describe("a client says goodbye", () => {
  for (const level of levels)
    test(`[MQTT-3.14.4-3] [v3.1.1 MQTT-3.14.4-3] level ${level}: the connection is closed and its will forgotten`, () => {
      const { watcher, client } = withWill(level)
      client.sendBytes("e0 00")
      client.connection.closed()
      expect(told(client)).toBe("closed")
      expect(watcher.messages()).toEqual([])
    })
  for (const level of levels)
    test(`level ${level}: what stands behind it in the chunk, or comes after, is not read`, () => {
      const { watcher, client } = withWill(level)
      const publish = packet("30", `${textHex("t")}${block(level)}78`)
      client.sendBytes(Buffer.concat([publish, Buffer.from("e000", "hex"), publish, Buffer.from("c000", "hex")]))
      client.sendBytes(publish)
      expect(watcher.messages()).toEqual(["t x"])
      expect(told(client)).toBe("closed")
    })
  test("[MQTT-3.14.4-3] reason 0 forgets a will that would be delayed, too", () => {
    const harness = new Harness()
    const watcher = harness.client("watcher").subscribe("#")
    watcher.take()
    const delayed = { ...will, properties: { willDelayInterval: 5 } }
    harness.client("a", { will: delayed, properties: { sessionExpiryInterval: 100 } }).disconnect()
    harness.clock.advance(200)
    expect(watcher.messages()).toEqual([])
  })

  const clientReasons = [0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99]
  test("reason 4, and every error that a client may give: the will is published", () => {
    for (const reason of [0x04, ...clientReasons]) {
      const { watcher, client } = withWill()
      client.sendBytes(packet("e0", reason.toString(16).padStart(2, "0")))
      expect([reason, told(client), watcher.messages()]).toEqual([reason, "closed", ["w gone"]])
    }
  })
  test("[MQTT-3.14.2-1] every other reason is a protocol error", () => {
    for (let reason = 1; reason < 256; reason++) {
      if (reason === 0x04 || clientReasons.includes(reason)) continue
      const { watcher, client } = withWill()
      client.sendBytes(packet("e0", `${reason.toString(16).padStart(2, "0")}00`))
      expect([reason, told(client), watcher.messages()]).toEqual([reason, "disconnect 82, closed", ["w gone"]])
    }
  })
  const bodies: [name: string, body: string, code: string][] = [
    ["a Server Reference, which is the server's to send", `00${block(5, `1c${textHex("x")}`)}`, "82"],
    ["a property of CONNECT", `00${block(5, "2100ff")}`, "81"],
    ["a property twice", `00${block(5, "11000000001100000000")}`, "82"],
    ["a property cut off", "00 05 11 0000", "81"],
    ["a byte too many", "00 00 00", "81"],
  ]
  for (const [name, body, code] of bodies)
    test(`with ${name}: DISCONNECT 0x${code}, and the will is published`, () => {
      const { watcher, client } = withWill()
      client.sendBytes(packet("e0", body))
      expect(told(client)).toBe(`disconnect ${code}, closed`)
      expect(watcher.messages()).toEqual(["w gone"])
    })
  for (const level of [3, 4] as const)
    test(`level ${level}: with a body it is malformed, and the will is published`, () => {
      const { watcher, client } = withWill(level)
      client.sendBytes("e0 01 00")
      expect(told(client)).toBe("closed")
      expect(watcher.messages()).toEqual(["w gone"])
    })
  for (const level of levels)
    test(`[MQTT-3.14.1-1] [v3.1.1 MQTT-3.14.1-1] level ${level}: with reserved bits it is malformed, and the will is published`, () => {
      const flags = Array.from({ length: 15 }, (_, i) => i + 1).filter((each) => level !== 3 || each !== 8)
      for (const each of flags) {
        const { watcher, client } = withWill(level)
        client.sendBytes(Buffer.of(0xe0 | each, 0))
        expect([each, told(client), watcher.messages()]).toEqual([each, thrownOut(level, "81"), ["w gone"]])
      }
    })
})

describe("the session expiry in a DISCONNECT", () => {
  const expiries: [before: number, after: number, endsAfter: number | undefined][] = [
    [100, 10, 10],
    [10, 100, 100],
    [100, 0, 0],
    [10, 0xffff_ffff, undefined],
  ]
  for (const [before, after, endsAfter] of expiries)
    test(`${before} becomes ${after}`, () => {
      const harness = new Harness()
      const client = harness.client("a", { properties: { sessionExpiryInterval: before } })
      client.disconnect(0, { sessionExpiryInterval: after })
      expect(told(client)).toBe("closed")
      harness.clock.advance(Math.max(0, (endsAfter ?? 1_000_000) - 1))
      expect(harness.core.sessions.size).toBe(endsAfter === 0 ? 0 : 1)
      harness.clock.advance(2)
      expect(harness.core.sessions.size).toBe(endsAfter === undefined ? 1 : 0)
    })
  test("0 cannot become more: a protocol error", () => {
    for (const properties of [{}, { sessionExpiryInterval: 0 }]) {
      const { watcher, client } = withWill(5, properties)
      client.disconnect(0, { sessionExpiryInterval: 10 })
      expect(told(client)).toBe("disconnect 82, closed")
      expect(watcher.messages()).toEqual(["w gone"])
    }
  })
  test("0 may stay 0", () => {
    const { watcher, client } = withWill()
    expect(told(client.disconnect(0, { sessionExpiryInterval: 0 }))).toBe("closed")
    expect(watcher.messages()).toEqual([])
  })
  test("it keeps to the ceiling", () => {
    const harness = new Harness({ limits: { maximumSessionExpirySeconds: 50 } })
    const client = harness.client("a", { properties: { sessionExpiryInterval: 10 } })
    client.disconnect(0, { sessionExpiryInterval: 0xffff_ffff })
    harness.clock.advance(51)
    expect(harness.core.sessions.size).toBe(0)
  })
})

describe("[MQTT-3.14.0-1] the broker sends no DISCONNECT before a CONNACK", () => {
  const stop = (harness: Harness) => {
    for (const peer of [...harness.core.peers]) peer.disconnect(Reason.ServerShuttingDown)
  }
  test("to a connection that has sent nothing, when it stops", () => {
    const harness = new Harness()
    const client = harness.open()
    stop(harness)
    expect(told(client)).toBe("closed")
  })
  test("to a client whose decision is pending, when it stops, and then none at all", async () => {
    let decide: (decision: boolean) => void = () => {}
    const authenticate = () =>
      new Promise<boolean>((resolve) => {
        decide = resolve
      })
    const harness = new Harness({ auth: { authenticate } })
    const client = harness.connect()
    stop(harness)
    decide(true)
    await microtasks()
    expect(told(client)).toBe("closed")
  })
  test("to one in the course of its authentication, when it stops", () => {
    const exchange = () => ({ next: () => ({ challenge: Buffer.from("?") }) })
    const harness = new Harness({ auth: { authenticate: () => true, exchange } })
    const client = harness.connect({ properties: { authenticationMethod: "M" } })
    stop(harness)
    expect(told(client)).toBe("auth 18, closed")
  })
  for (const level of levels)
    test(`level ${level}: those that are in are told, where they know how (0x8B)`, () => {
      const { harness, watcher, client } = withWill(level)
      stop(harness)
      expect(told(client)).toBe(thrownOut(level, "8b"))
      expect(watcher.isClosed).toBe(true)
    })
})

describe("the broker throws a client out", () => {
  test("[MQTT-3.14.4-1] [MQTT-3.14.4-2] [MQTT-4.13.1-1] its DISCONNECT is the last packet, whatever waits, and the connection is closed", () => {
    const harness = new Harness()
    const client = harness.client("a").subscribe("#", { qos: 1 })
    client.take()
    const publish = packet("32", `${textHex("t")}00010078`).toString("hex")
    client.sendBytes(`${publish} c000 c1 00 ${publish} c000`)
    harness.client("b").publish("t", "late", { qos: 1 }).publish("t", "late")
    client.sendBytes("c0 00")
    expect(client.take().map(({ cmd }) => cmd)).toEqual(["publish", "puback", "pingresp", "disconnect"])
    expect(client.isClosed).toBe(true)
  })
  test("[MQTT-3.14.4-1] not even what its socket could not take before is followed by anything", () => {
    const harness = new Harness()
    const client = harness.client("a").subscribe("#", { qos: 1 })
    client.take()
    client.capacity = 0
    const publisher = harness.client("b").publish("t", "1", { qos: 1 })
    client.sendBytes("c1 00")
    publisher.publish("t", "2")
    expect(client.isClosed).toBe(false)
    client.drain()
    expect(client.take().map(({ cmd }) => cmd)).toEqual(["publish", "disconnect"])
    expect(client.isClosed).toBe(true)
  })
  test("[MQTT-4.13.2-1] a peer that takes no bytes is closed all the same, and soon", () => {
    const harness = new Harness()
    const client = harness.client("a")
    client.capacity = 0
    client.sendBytes("c1 00")
    harness.clock.advance(3)
    expect([client.isDestroyed, harness.core.peers.size]).toEqual([true, 0])
    expect(client.take()).toEqual([])
  })
  test("[MQTT-4.13.2-1] a peer that does not close its half is closed, and soon", () => {
    const harness = new Harness()
    const client = harness.client("a").sendBytes("c1 00")
    expect([client.isEnded, client.isDestroyed]).toEqual([true, false])
    harness.clock.advance(3)
    expect([client.isDestroyed, harness.core.peers.size]).toEqual([true, 0])
  })
  test("[MQTT-3.14.2-3] [MQTT-3.14.2-4] its Reason String comes only if the packet then fits, and only if it is wanted", () => {
    const reasons = [16, 30, 60, 100, 1000].map((maximumPacketSize) => {
      const client = new Harness().client("a", { properties: { maximumPacketSize } })
      const before = client.bytes.length
      client.subscribe("$share/g/a", { nl: true })
      expect(client.bytes.length - before).toBeLessThanOrEqual(maximumPacketSize)
      expect(client.isClosed).toBe(true)
      return client.take()[0]!.properties?.reasonString
    })
    expect(reasons.slice(0, 2)).toEqual([undefined, undefined])
    expect(reasons.at(-1)).toBe("No Local on a shared subscription")
    const client = new Harness().client("a", { properties: { requestProblemInformation: false } })
    const [disconnect] = client.subscribe("$share/g/a", { nl: true }).take()
    expect(disconnect).toMatchObject({ cmd: "disconnect", reasonCode: 0x82 })
    expect(disconnect!.properties?.reasonString).toBeUndefined()
  })
})

/** How many: connections of the broker and of a listener, sessions. */
import { describe, expect, test } from "bun:test"
import { Harness } from "../support/harness.ts"
import { microtasks } from "../support/store.ts"
import { connectBytes, fate, levels, told } from "./wire.ts"

const busy = { 3: "20020003 closed", 4: "20020003 closed", 5: "2003008900 closed" }

describe("the limit of connections", () => {
  for (const level of levels) {
    test(`level ${level}: one above the broker's is told that it is busy, and counted`, () => {
      const harness = new Harness({ limits: { maximumConnections: 2 } })
      const clients = ["a", "b"].map((clientId) => harness.client(clientId))
      const surplus = harness.connect({ level, clientId: "c" })
      expect(fate(surplus)).toBe(busy[level])
      expect(harness.core.metrics.limitsHit.connections).toBe(1)
      expect(harness.core.sessions.size).toBe(2)
      surplus.connection.closed()
      clients[0]!.drop()
      expect(told(harness.connect({ level, clientId: "c" }))).toBe("connack 00, open")
    })
    test(`level ${level}: one above the listener's, while another listener has room`, () => {
      const harness = new Harness({ listener: { maximumConnections: 1 } })
      const other = harness.listener()
      harness.client("a")
      expect(fate(harness.connect({ level, clientId: "b" }))).toBe(busy[level])
      expect(harness.core.metrics.limitsHit["listener connections"]).toBe(1)
      expect(told(harness.connect({ level, clientId: "c" }, other))).toBe("connack 00, open")
    })
    test(`level ${level}: a surplus one does not disturb the session of its name`, () => {
      const harness = new Harness({ limits: { maximumConnections: 1 } })
      const client = harness.client("a")
      harness.connect({ level, clientId: "a" })
      expect(told(client)).toBe("open")
    })
    test(`level ${level}: a surplus one whose CONNECT is malformed`, () => {
      const harness = new Harness({ limits: { maximumConnections: 1 } })
      harness.client("a")
      const surplus = harness.open(level).sendBytes(connectBytes({ level, flags: "03" }))
      expect(fate(surplus)).toBe(level === 5 ? "2003008100 closed" : "closed")
    })
  }
  test("a surplus one that sends something else is closed", () => {
    const harness = new Harness({ limits: { maximumConnections: 1 } })
    harness.client("a")
    expect(fate(harness.open().sendBytes("c000"))).toBe("closed")
  })
  test("a flood far above it is not even told", async () => {
    const harness = new Harness({ limits: { maximumConnections: 1 } })
    const client = harness.client("a")
    const flood = Array.from({ length: 1500 }, () => harness.open())
    await microtasks()
    expect(flood.filter(({ isDestroyed }) => isDestroyed)).toHaveLength(500)
    expect(harness.core.peers.size).toBe(1001)
    for (const each of flood) each.drop()
    harness.clock.advance(60)
    expect([harness.core.peers.size, harness.serving.connections, harness.core.metrics.connections]).toEqual([1, 1, 1])
    expect(told(client.send({ cmd: "pingreq" }))).toBe("pingresp, open")
  })
})

describe("the limit of sessions", () => {
  for (const level of levels)
    test(`level ${level}: a new one above it is refused, one that there is may come back`, () => {
      const harness = new Harness({ limits: { maximumSessions: 2 } })
      const lasting = { level, clean: false, ...(level === 5 && { properties: { sessionExpiryInterval: 100 } }) }
      harness.client("a", lasting).disconnect()
      const b = harness.client("b", lasting)
      const surplus = harness.connect({ level, clientId: "c" })
      expect(told(surplus)).toBe(level === 5 ? "connack 97, closed" : "connack 03, closed")
      expect(harness.core.metrics.limitsHit.sessions).toBe(1)
      const again = harness.connect({ clientId: "a", ...lasting })
      expect(told(again)).toBe("connack 00, open")
      expect(told(b)).toBe("open")
      again.drop()
      harness.connect({ clientId: "a", level, clean: true }).disconnect()
      expect(told(harness.connect({ level, clientId: "c" }))).toBe("connack 00, open")
    })
})

describe("what is open is counted", () => {
  test("connections of each listener and of the broker, whichever way they end", () => {
    const harness = new Harness()
    const other = harness.listener()
    const { core, serving } = harness
    const counts = () => [core.metrics.connections, serving.connections, other.connections, core.peers.size]
    const clients = [harness.client("a"), harness.client("b"), harness.client("c", {}, other), harness.open(4, other)]
    expect(counts()).toEqual([4, 2, 2, 4])
    clients[0]!.drop()
    clients[1]!.disconnect()
    clients[2]!.sendBytes("c1 00")
    clients[3]!.sendBytes("00 00")
    harness.clock.advance(3)
    expect(counts()).toEqual([0, 0, 0, 0])
    for (const { connection } of clients) connection.closed() // once more harms nobody
    expect(counts()).toEqual([0, 0, 0, 0])
  })
})

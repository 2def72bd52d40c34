/** Silence: keep-alive, PINGREQ, and the time in which a CONNECT has to come. */
import { describe, expect, test } from "bun:test"
import { Harness } from "../support/harness.ts"
import { microtasks } from "../support/store.ts"
import { connectBytes, levels, thrownOut, told } from "./wire.ts"

/** How much later than its time a deadline may be: one turn of the wheel. */
const TICK = 0.5

const will = { topic: "w", payload: Buffer.from("gone"), qos: 0, retain: false } as const

describe("[MQTT-3.12.4-1] [v3.1.1 MQTT-3.12.4-1] PINGREQ is answered with PINGRESP", () => {
  for (const level of levels) {
    test(`level ${level}`, () => {
      const client = new Harness().client("a", { level })
      const before = client.bytes.length
      client.sendBytes("c0 00")
      expect(client.bytes.subarray(before).toString("hex")).toBe("d000")
    })
    test(`level ${level}: each one, in one chunk`, () => {
      const client = new Harness().client("a", { level }).sendBytes("c000 c000 c000")
      expect(told(client)).toBe("pingresp, pingresp, pingresp, open")
    })
    test(`level ${level}: one with a body is malformed`, () => {
      expect(told(new Harness().client("a", { level }).sendBytes("c0 01 00"))).toBe(thrownOut(level, "81"))
    })
  }
})

describe("[MQTT-3.1.2-22] [v3.1.1 MQTT-3.1.2-24] silence for one and a half times the keep-alive", () => {
  for (const level of levels) {
    const connected = (keepalive: number) => {
      const harness = new Harness()
      const watcher = harness.client("watcher").subscribe("w")
      watcher.take()
      return { harness, watcher, client: harness.client("a", { level, keepalive, will }) }
    }
    for (const keepalive of [1, 10, 65_535])
      test(`level ${level}, ${keepalive} s: ends the connection as if the network had failed`, async () => {
        const { harness, watcher, client } = connected(keepalive)
        harness.clock.advance(keepalive * 1.5 - 0.1)
        expect(told(client)).toBe("open")
        harness.clock.advance(0.1 + TICK)
        await microtasks()
        expect(told(client)).toBe(thrownOut(level, "8d"))
        expect(watcher.messages()).toEqual(["w gone"])
        expect(harness.core.metrics.limitsHit["keep alive timeout"]).toBe(1)
      })
    test(`level ${level}: any packet begins the time anew`, () => {
      const { harness, client } = connected(10)
      const packets = ["c000", "40020007", "62020007", level === 5 ? "30040001 7400" : "30030001 74"]
      for (const bytes of packets) {
        harness.clock.advance(14.9)
        client.sendBytes(bytes)
      }
      harness.clock.advance(14.9)
      expect(client.isClosed).toBe(false)
      harness.clock.advance(0.1 + TICK)
      expect(client.isClosed).toBe(true)
    })
    test(`level ${level}: a part of a packet does not`, () => {
      const { harness, client } = connected(10)
      client.sendBytes("30 7f")
      for (let second = 0; second < 15; second++) {
        harness.clock.advance(1)
        client.sendBytes("00")
      }
      harness.clock.advance(TICK)
      expect(client.isClosed).toBe(true)
    })
    test(`level ${level}: what the broker sends does not`, () => {
      const { harness, client } = connected(10)
      client.subscribe("t")
      harness.clock.advance(10)
      harness.client("publisher").publish("t")
      harness.clock.advance(5 + TICK)
      expect(client.isClosed).toBe(true)
    })
    test(`level ${level}: 0 is never too long`, () => {
      const { harness, client } = connected(0)
      harness.clock.advance(1_000_000)
      expect(told(client)).toBe("open")
    })
    test(`level ${level}: a connection that has ended is not ended again`, () => {
      const { harness, watcher, client } = connected(10)
      client.disconnect()
      harness.clock.advance(100)
      expect(told(client)).toBe("closed")
      expect(watcher.messages()).toEqual([])
    })
  }
})

describe("a client that the broker makes wait is not too silent", () => {
  for (const level of levels) {
    test(`level ${level}: while a decision is pending`, async () => {
      let answer: (permission: boolean) => void = () => {}
      const authorize = () =>
        new Promise<boolean>((resolve) => {
          answer = resolve
        })
      const harness = new Harness({ auth: { authenticate: () => true, authorize } })
      const client = harness.client("a", { level, keepalive: 10 }).publish("t", "", { qos: 1 })
      harness.clock.advance(100)
      expect(told(client)).toBe("open")
      answer(true)
      await microtasks()
      expect(client.take().map(({ cmd }) => cmd)).toEqual(["puback"])
      harness.clock.advance(14.9)
      expect(client.isClosed).toBe(false)
      harness.clock.advance(0.1 + TICK)
      expect(client.isClosed).toBe(true)
    })
    test(`level ${level}: while its publish rate holds it back`, async () => {
      const harness = new Harness({ limits: { maximumPublishRate: 1 } })
      const watcher = harness.client("watcher").subscribe("#")
      watcher.take()
      const client = harness.client("a", { level, keepalive: 2 })
      const one = level === 5 ? "30040001 7400" : "30030001 74"
      client.sendBytes(one.repeat(20))
      for (let second = 0; second < 25; second++) {
        harness.clock.advance(1)
        await microtasks()
      }
      expect(watcher.messages()).toHaveLength(20)
    })
  }
})

describe("the keep-alive ceiling", () => {
  const harness = () => new Harness({ limits: { maximumKeepAliveSeconds: 60 } })
  for (const keepalive of [0, 61, 65_535])
    test(`[MQTT-3.2.2-22] level 5 asks for ${keepalive}: is told 60, and held to it`, () => {
      const broker = harness()
      const client = broker.connect({ keepalive })
      expect(client.take()[0]!.properties.serverKeepAlive).toBe(60)
      broker.clock.advance(89.9)
      expect(told(client)).toBe("open")
      broker.clock.advance(0.1 + TICK)
      expect(told(client)).toBe("disconnect 8d, closed")
      expect(broker.core.metrics.limitsHit["keep alive"]).toBe(1)
    })
  for (const keepalive of [1, 60])
    test(`[MQTT-3.2.2-22] level 5 asks for ${keepalive}: is told nothing, and held to that`, () => {
      const broker = harness()
      const client = broker.connect({ keepalive })
      expect(client.take()[0]!.properties).not.toHaveProperty("serverKeepAlive")
      broker.clock.advance(keepalive * 1.5 - 0.1)
      expect(told(client)).toBe("open")
      broker.clock.advance(0.1 + TICK)
      expect(told(client)).toBe("disconnect 8d, closed")
    })
  for (const level of [3, 4] as const) {
    for (const keepalive of [0, 61])
      test(`level ${level} asks for ${keepalive}: cannot be told, so it is refused`, () => {
        const broker = harness()
        expect(told(broker.connect({ level, keepalive }))).toBe("connack 03, closed")
        expect(broker.core.metrics.limitsHit["keep alive"]).toBe(1)
      })
    test(`level ${level} asks for 60: is let in`, () => {
      expect(told(harness().connect({ level, keepalive: 60 }))).toBe("connack 00, open")
    })
  }
})

describe("a CONNECT has to come in time", () => {
  test("a connection that sends nothing is closed", () => {
    const harness = new Harness({ limits: { connectTimeoutSeconds: 3 } })
    const client = harness.open()
    harness.clock.advance(2.9)
    expect(told(client)).toBe("open")
    harness.clock.advance(0.1 + TICK)
    expect(told(client)).toBe("closed")
    expect(harness.core.metrics.limitsHit["connect timeout"]).toBe(1)
  })
  test("one that sends it byte by byte gets no more time", () => {
    const harness = new Harness()
    const client = harness.open()
    const bytes = connectBytes()
    for (let i = 0; i < 10; i++) {
      client.sendBytes(bytes.subarray(i, i + 1))
      harness.clock.advance(1)
    }
    harness.clock.advance(TICK)
    expect(told(client)).toBe("closed")
  })
  test("one that is in has no such limit", () => {
    const harness = new Harness()
    const client = harness.client("a")
    harness.clock.advance(3600)
    expect(told(client)).toBe("open")
  })
  test("one that announces more than a CONNECT can need is not waited for", () => {
    const client = new Harness().open().sendBytes("10 ff ff 3f 00 04 4d 51 54 54 05 02")
    expect(told(client)).toBe("closed")
  })
  test("a flood of CONNECTs that never end is gone after it, and nothing is left", () => {
    const harness = new Harness()
    const bystander = harness.client("bystander").subscribe("t")
    const flood = Array.from({ length: 2000 }, () => harness.open().sendBytes("10 80 ff 0f 00 04 4d 51 54 54 05 02"))
    for (const client of flood) client.sendBytes(Buffer.alloc(100))
    bystander.publish("t", "still served")
    expect(bystander.messages()).toEqual(["t still served"])
    harness.clock.advance(10 + TICK)
    expect(flood.every((client) => client.isClosed)).toBe(true)
    harness.clock.advance(2 + TICK)
    expect([harness.core.peers.size, harness.serving.connections, harness.core.metrics.connections]).toEqual([1, 1, 1])
    expect(harness.core.metrics.limitsHit["connect timeout"]).toBe(2000)
    expect(told(bystander)).toBe("open")
  })
})

describe("an idle broker asks nothing of the clock", () => {
  test("once everybody has gone", () => {
    const harness = new Harness()
    for (const level of levels) harness.client(`${level}`, { level, keepalive: 10 }).disconnect()
    harness.clock.advance(60)
    expect(harness.clock.recurringCount).toBe(0)
  })
})

/** Addresses from which authentication fails again and again: what counts, how long they wait, and when it is forgotten. */
import { describe, expect, test } from "bun:test"
import { Offenders } from "../../src/broker/offenders.ts"
import type { Auth, Decision, ExchangeStep } from "../../src/broker/ports.ts"
import { connectBytes, levels, packet, told } from "../connection/wire.ts"
import { textHex } from "../support/bytes.ts"
import { deciding, openDoor, sendAuth, ways, withMethod } from "../support/door.ts"
import { type ConnectFields, Harness, type HarnessOptions, type TestClient } from "../support/harness.ts"
import { microtasks } from "../support/store.ts"

const ADDRESS = "192.0.2.1"
const NOW = 1_700_000_000_000
const MINUTE_MS = 60_000
/** The default of `connectTimeoutSeconds`. */
const TIMEOUT_MS = 10_000

describe("the delay", () => {
  test("is nothing for five failures, then 250 ms that double up to five seconds", () => {
    const offenders = new Offenders(TIMEOUT_MS)
    const delays: number[] = []
    for (let i = 0; i < 2000; i++) {
      delays.push(offenders.delayMs(ADDRESS, NOW))
      offenders.failed(ADDRESS, NOW)
    }
    expect(delays.slice(0, 12)).toEqual([0, 0, 0, 0, 0, 250, 500, 1000, 2000, 4000, 5000, 5000])
    expect(new Set(delays.slice(10))).toEqual(new Set([5000]))
  })
  test("is that of the address alone", () => {
    const offenders = new Offenders(TIMEOUT_MS)
    for (let i = 0; i < 6; i++) offenders.failed(ADDRESS, NOW)
    expect([offenders.delayMs(ADDRESS, NOW), offenders.delayMs("192.0.2.2", NOW)]).toEqual([500, 0])
  })
  test("is forgotten a minute after the last failure, not after the first, and all of it", () => {
    const offenders = new Offenders(TIMEOUT_MS)
    for (let i = 0; i < 6; i++) offenders.failed(ADDRESS, NOW + i * 50_000)
    const last = NOW + 5 * 50_000
    expect(offenders.delayMs(ADDRESS, last + MINUTE_MS)).toBe(500)
    expect(offenders.delayMs(ADDRESS, last + MINUTE_MS + 1)).toBe(0)
    offenders.failed(ADDRESS, last + MINUTE_MS + 1)
    expect(offenders.delayMs(ADDRESS, last + MINUTE_MS + 1)).toBe(0)
  })
  test("is kept for 10,000 addresses: with one more, that which failed longest ago is forgotten", () => {
    const offenders = new Offenders(TIMEOUT_MS)
    const address = (i: number) => `10.0.${i >> 8}.${i & 0xff}`
    for (let round = 0; round < 5; round++) for (let i = 0; i < 10_000; i++) offenders.failed(address(i), NOW)
    offenders.failed(address(0), NOW) // the first one, but now the latest
    offenders.failed(address(10_000), NOW)
    expect([0, 1, 2, 9999].map((i) => offenders.delayMs(address(i), NOW))).toEqual([500, 0, 250, 250])
  })

  for (const [timeoutSeconds, longestMs] of [
    [1, 500],
    [5, 2500],
    [9, 4500],
    [10, 5000],
    [3600, 5000],
  ] as const)
    test(`is at most half of what a connection has, so that there is time left: ${longestMs} ms of ${timeoutSeconds} s`, () => {
      const offenders = new Offenders(timeoutSeconds * 1000)
      for (let i = 0; i < 50; i++) offenders.failed(ADDRESS, NOW)
      expect(offenders.delayMs(ADDRESS, NOW)).toBe(longestMs)
    })
  for (const address of ["unix", "unknown", ""])
    test(`is nothing for who comes from no IP address: "${address}"`, () => {
      const offenders = new Offenders(TIMEOUT_MS)
      for (let i = 0; i < 50; i++) offenders.failed(address, NOW)
      expect(offenders.delayMs(address, NOW)).toBe(0)
    })

  const same: [name: string, one: string, other: string, isSame: boolean][] = [
    ["two of one network", "2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true],
    ["two written in different ways", "2001:db8::1", "2001:db8:0:0:0:0:0:1", true],
    ["with the gap inside the network", "2001:db8::2:3:4:5", "2001:db8:0:0:9::", true],
    ["with the gap behind the network", "2001:db8:1:2::", "2001:db8:1:2:3:4:5:6", true],
    ["of two networks", "2001:db8:1:2::1", "2001:db8:1:3::1", false],
    ["of two networks, with the gap inside them", "2001:db8::1:0:0:0:1", "2001:db8::2:0:0:0:1", false],
    ["the loopback and another one", "::1", "2001:db8::1", false],
    ["two IPv4 addresses in IPv6", "::ffff:192.0.2.1", "::ffff:192.0.2.2", false],
    ["an IPv4 address, and the same in IPv6", "192.0.2.1", "::ffff:192.0.2.1", true],
    ["two IPv4 addresses", "192.0.2.1", "192.0.2.2", false],
  ]
  for (const [name, one, other, isSame] of same)
    test(`of IPv6 it is by /64: ${name} ${isSame ? "are one" : "are two"}`, () => {
      for (const [failing, asking] of [
        [one, other],
        [other, one],
      ] as const) {
        const offenders = new Offenders(TIMEOUT_MS)
        for (let i = 0; i < 5; i++) offenders.failed(failing, NOW)
        expect(offenders.delayMs(asking, NOW)).toBe(isSame ? 250 : 0)
      }
    })
})

/** A broker whose auth refuses who has no password; `asked` is how often it has been asked. */
function guarded(fields: ConnectFields = {}, options: HarnessOptions = {}) {
  let asked = 0
  const decide = (password: Uint8Array | undefined): boolean => {
    asked++
    return password !== undefined
  }
  const harness = new Harness(options)
  const { listener } = openDoor(harness, {
    authenticate: ({ password }) => decide(password),
    exchange: ({ password }) => ({ next: () => decide(password) }),
  })
  const connect = (more: ConnectFields = {}, remoteAddress = ADDRESS): TestClient =>
    Object.assign(harness.open(fields.level ?? 5, listener), { remoteAddress }).connect({ ...fields, ...more })
  const fail = (times: number) => {
    for (let i = 0; i < times; i++) connect().drop()
  }
  return { harness, connect, fail, asked: () => asked }
}

const rightPassword = { username: "u", password: Buffer.from("p") }

describe("an address with five failures", () => {
  const kinds: [name: string, fields: ConnectFields][] = [
    ...levels.map((level): [string, ConnectFields] => [`level ${level}`, { level }]),
    ["an exchange", withMethod],
  ]
  for (const [name, fields] of kinds) {
    const refused = (fields.level ?? 5) === 5 ? "connack 87, closed" : "connack 05, closed"

    test(`${name}: was answered at once each time; the next has to wait before it is even looked at`, () => {
      const { harness, connect, asked } = guarded(fields)
      for (let i = 1; i <= 5; i++) expect([told(connect()), asked()]).toEqual([refused, i])
      for (const delayMs of [250, 500, 1000, 2000, 4000, 5000, 5000]) {
        const before = asked()
        const client = connect()
        harness.clock.advance(delayMs / 1000 - 0.01)
        expect([told(client), asked()]).toEqual(["open", before])
        harness.clock.advance(0.5) // give or take the ticks of the broker's clock
        expect(asked()).toBe(before + 1)
        expect(client.isClosed).toBe(true)
      }
    })
    test(`${name}: with the right password it gets in, after the delay`, async () => {
      const { harness, connect, fail } = guarded(fields)
      fail(5)
      const client = connect(rightPassword)
      expect(told(client)).toBe("open")
      harness.clock.advance(0.5)
      await microtasks()
      expect(told(client)).toBe("connack 00, open")
    })
  }
  test("is not read from meanwhile; what it has sent follows in its order", async () => {
    const { harness, connect, fail } = guarded()
    const watcher = harness.client("watcher").subscribe("#")
    watcher.take()
    fail(5)
    const client = connect(rightPassword).publish("t", "1").publish("t", "2")
    expect(client.isPaused).toBe(true)
    harness.clock.advance(0.5)
    await microtasks()
    expect(client.isPaused).toBe(false)
    expect(watcher.messages()).toEqual(["t 1", "t 2"])
  })
  test("delays nobody else: not another address, nor who is in", () => {
    const { harness, connect, fail } = guarded()
    const inside = connect(rightPassword)
    inside.take()
    fail(9)
    expect(told(connect({ ...rightPassword, clientId: "b" }, "192.0.2.2"))).toBe("connack 00, open")
    inside.send({ cmd: "pingreq" })
    expect(told(inside)).toBe("pingresp, open")
    expect(harness.core.metrics.connectsRefused).toBe(5) // four of the nine have gone while they waited
  })
  test("is as good as any a minute later", () => {
    const { harness, connect, fail } = guarded()
    fail(5)
    harness.clock.advance(60.5)
    expect(told(connect(rightPassword))).toBe("connack 00, open")
  })
  for (const connectTimeoutSeconds of [1, 2, 5])
    test(`can sit the longest delay out, be the connect timeout ${connectTimeoutSeconds} s`, async () => {
      const { harness, connect } = guarded({}, { limits: { connectTimeoutSeconds } })
      for (let i = 0; i < 50; i++) {
        connect()
        harness.clock.advance(connectTimeoutSeconds)
      }
      const client = connect(rightPassword)
      expect(told(client)).toBe("open")
      harness.clock.advance(connectTimeoutSeconds - 0.01)
      await microtasks()
      expect(told(client)).toBe("connack 00, open")
    })
  test("is delayed behind every listener of the broker", () => {
    const { harness, fail } = guarded()
    fail(5)
    expect(told(harness.connect({}, harness.listener()))).toBe("open")
  })
  for (const [name, leave] of [
    ["breaks off", (client: TestClient) => client.drop()],
    ["is cut off", (client: TestClient) => client.destroy()],
  ] as const)
    test(`a client that waits and ${name} leaves nothing, and nobody is asked about it`, async () => {
      const { harness, connect, fail, asked } = guarded()
      fail(5)
      const before = asked()
      for (let i = 0; i < 10; i++) leave(connect(rightPassword))
      expect([harness.core.peers.size, harness.core.metrics.connections]).toEqual([0, 0])
      harness.clock.advance(1)
      await microtasks()
      expect([asked(), harness.core.sessions.size, harness.clock.recurringCount]).toEqual([before, 0, 0])
      expect(told(connect(rightPassword))).toBe("open") // and has not failed again: the delay is what it was
      harness.clock.advance(0.5)
      expect(asked()).toBe(before + 1)
    })
})

describe("what counts as a failure", () => {
  /** Whether an address has to wait that has done this five times. */
  async function counts(
    auth: Partial<Auth> | null,
    attempt: (connect: () => TestClient) => unknown,
    fields: ConnectFields,
  ) {
    const harness = new Harness({ limits: { maximumSessions: 1 } })
    harness.client("other") // so that there is no room for a session
    const listener = auth === null ? harness.listener({}, null) : openDoor(harness, auth).listener
    for (let i = 0; i < 5; i++) {
      const open = () => harness.open(fields.level ?? 5, listener)
      await attempt(() => open().connect(fields))
      await microtasks()
    }
    return harness.core.offenders.delayMs(ADDRESS, harness.clock.now()) > 0
  }
  const connects = (connect: () => TestClient) => connect()

  for (const [when, give] of ways) {
    const decisions: [name: string, decide: () => Decision | Promise<Decision>][] = [
      ["false", () => give(false)],
      ["nothing", () => give(undefined)],
      ["a reason", () => give<Decision>({ reason: 0x86 })],
    ]
    for (const [name, decide] of decisions)
      for (const [kind, fields] of [
        ["a CONNECT", {}],
        ["an exchange", withMethod],
      ] as const)
        test(`${kind}, refused ${when} with ${name}`, async () => {
          expect(await counts(deciding(decide), connects, fields)).toBe(true)
        })
  }
  test("an exchange, refused after a challenge", async () => {
    const exchange: Auth["exchange"] = () => {
      const steps: ExchangeStep[] = [{ challenge: Buffer.from("who?") }, false]
      return { next: () => steps.shift()! }
    }
    expect(await counts({ exchange }, (connect) => sendAuth(connect(), 0x18), withMethod)).toBe(true)
  })

  const will = { topic: "w", payload: Buffer.from(""), qos: 0, retain: false } as const
  const open = (connect: () => TestClient, bytes: Buffer | string) => connect().sendBytes(bytes)
  const others: [name: string, auth: Partial<Auth> | null, attempt: typeof connects, fields: ConnectFields][] = [
    ["a client that is let in", {}, (connect) => connect().send({ cmd: "pingreq" }), { clientId: "other" }],
    ["a client for which there is no room", {}, connects, { clientId: "new" }],
    ["a will that may not be published", { authorize: () => false }, connects, { clientId: "other", will }],
    ["a client identifier that nobody may have", {}, connects, { clientId: "$share/a" }],
    ["a method that nobody knows", {}, connects, withMethod],
    ["a listener that lets nobody in", null, connects, {}],
    ["a mistake after it is in", {}, (connect) => open(connect, "00 00"), { clientId: "other" }],
    [
      "an exchange that is left",
      { exchange: () => ({ next: () => ({ challenge: Buffer.of(1) }) }) },
      (connect) => {
        const client = connect()
        client.drop()
        return client
      },
      withMethod,
    ],
    [
      "a mistake in an exchange",
      { exchange: () => ({ next: () => ({ challenge: Buffer.of(1) }) }) },
      (connect) => open(connect, connectBytes()),
      withMethod,
    ],
  ]
  for (const [name, auth, attempt, fields] of others)
    test(`not ${name}`, async () => expect(await counts(auth, attempt, fields)).toBe(false))

  const strangers: [name: string, bytes: Buffer | string][] = [
    ["bytes that are no MQTT", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
    ["a CONNECT that is malformed", connectBytes({ flags: "03" })],
    ["a version that nobody speaks", connectBytes({ levelByte: 9 })],
    ["another packet than CONNECT", packet("30", textHex("t"))],
    ["a connection that says nothing", ""],
  ]
  for (const [name, bytes] of strangers)
    test(`not ${name}`, () => {
      const harness = new Harness({ auth: { authenticate: () => false } })
      for (let i = 0; i < 5; i++) harness.open().sendBytes(bytes)
      harness.clock.advance(11)
      expect(told(harness.connect())).toBe("connack 87, closed")
    })
})

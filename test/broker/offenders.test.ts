/** Who may try to be let in, and when: places, turns, failures and what they cost, and who does not have to wait. */
import { describe, expect, test } from "bun:test"
import { KnownClients } from "../../src/broker/known-clients.ts"
import { Offenders } from "../../src/broker/offenders.ts"
import type { Auth, Connecting, Decision, ExchangeStep } from "../../src/broker/ports.ts"
import { Timers } from "../../src/broker/timers.ts"
import { ManualClock } from "../../src/testing/clock.ts"
import { connectBytes, levels, packet, told } from "../connection/wire.ts"
import { connecting } from "../support/auth-context.ts"
import { textHex } from "../support/bytes.ts"
import { deciding, openDoor, sendAuth, ways, withMethod } from "../support/door.ts"
import { type ConnectFields, Harness, type HarnessOptions, type TestClient } from "../support/harness.ts"
import { microtasks } from "../support/store.ts"

const ADDRESS = "192.0.2.1"
const ELSEWHERE = "192.0.2.2"
/** How late a deadline may be, in seconds: two ticks of the broker's clock. */
const LATE = 0.5

/** A clock, and who may try by it. `enter` gives what comes of an attempt: `now`, `waits`, later `turn`, or `busy`. */
function gatekeeping(connectTimeoutSeconds = 10) {
  const clock = new ManualClock()
  const timers = new Timers(clock, (error) => {
    throw error
  })
  const offenders = new Offenders(clock, timers, connectTimeoutSeconds * 1000)
  const enter = (remoteAddress = ADDRESS, fields: Partial<Connecting> = {}) => {
    const attempt = offenders.enter(connecting("ada", "guessed", { remoteAddress, ...fields }))
    const { turn } = attempt
    const entrant = { attempt, said: turn === true ? "now" : turn === false ? "busy" : "waits" }
    if (turn instanceof Promise) void turn.then((isTurn) => (entrant.said = isTurn ? "turn" : "busy"))
    return entrant
  }
  const fail = (times: number, address = ADDRESS) => {
    for (let i = 0; i < times; i++) enter(address).attempt.failed()
  }
  const advance = (seconds: number) => {
    clock.advance(seconds)
    return microtasks()
  }
  return { clock, offenders, enter, fail, advance }
}

const saidOf = (entrants: readonly { said: string }[]) => {
  const counts: Record<string, number> = {}
  for (const { said } of entrants) counts[said] = (counts[said] ?? 0) + 1
  return counts
}

describe("five failures cost nothing; after them", () => {
  test("an attempt has to wait until a second after the last of them", async () => {
    const { enter, fail, advance } = gatekeeping()
    const first = Array.from({ length: 5 }, () => {
      const entrant = enter()
      entrant.attempt.failed()
      return entrant.said
    })
    expect(first).toEqual(Array(5).fill("now"))
    await advance(0.4)
    const sixth = enter()
    await advance(0.59)
    expect(sixth.said).toBe("waits")
    await advance(0.01 + LATE)
    expect(sixth.said).toBe("turn")
    sixth.attempt.end()
    fail(1)
    expect(enter().said).toBe("waits")
  })
  test("one that comes later than that does not have to wait", async () => {
    const { enter, fail, advance } = gatekeeping()
    fail(5)
    await advance(1)
    expect(enter().said).toBe("now")
    expect(enter().said).toBe("waits") // for that one
  })
  test("one a second is looked at, however many there are, as long as they fail", async () => {
    const { enter, fail, advance } = gatekeeping()
    fail(5)
    const crowd = Array.from({ length: 1000 }, () => enter())
    for (let second = 0; second < 3; second++) {
      await advance(1 + LATE)
      expect(saidOf(crowd)).toEqual({ turn: second + 1, waits: 999 - second })
      crowd[second]!.attempt.failed()
    }
  })
  test("nobody who comes when it is time again passes one that has waited for it", async () => {
    const { enter, fail, advance } = gatekeeping()
    fail(5)
    await advance(0.1)
    const first = enter()
    await advance(0.95)
    const second = enter()
    expect(second.said).toBe("waits")
    await advance(LATE)
    expect([first.said, second.said]).toEqual(["turn", "waits"])
  })
  test("who succeeds keeps nobody waiting: those behind follow at once, in their order, up to one that fails", async () => {
    const { enter, fail, advance } = gatekeeping()
    fail(5)
    const crowd = Array.from({ length: 10 }, () => enter())
    await advance(1 + LATE)
    for (const { attempt } of crowd.slice(0, 7)) {
      expect(saidOf(crowd).turn).toBe(crowd.findIndex((each) => each.attempt === attempt) + 1)
      attempt.succeeded()
      await microtasks()
    }
    crowd[7]!.attempt.failed()
    await advance(0.9)
    expect(saidOf(crowd)).toEqual({ turn: 8, waits: 2 })
    await advance(0.1 + LATE)
    expect(saidOf(crowd)).toEqual({ turn: 9, waits: 1 })
  })
  test("a minute after the last of them all of them are forgotten, not a minute after the first", async () => {
    const { enter, fail, advance } = gatekeeping()
    for (let i = 0; i < 5; i++) {
      fail(1)
      await advance(60)
    }
    enter().attempt.failed()
    expect(enter().said).toBe("waits")
    await advance(60.001)
    expect(Array.from({ length: 6 }, () => enter().said)).toEqual(Array(6).fill("now"))
  })
  test("nobody from elsewhere has to wait", () => {
    const { enter, fail } = gatekeeping()
    fail(50)
    expect(enter(ELSEWHERE).said).toBe("now")
  })
  test("10,000 addresses are kept: with one more, that which failed longest ago is forgotten", () => {
    const { enter, offenders } = gatekeeping()
    const address = (i: number) => `10.0.${i >> 8}.${i & 0xff}`
    for (let round = 0; round < 5; round++) for (let i = 0; i < 10_000; i++) offenders.failed(address(i))
    offenders.failed(address(0)) // the first one, but now the latest
    offenders.failed(address(10_000))
    expect([0, 1, 2, 9999].map((i) => enter(address(i)).said)).toEqual(["waits", "now", "waits", "waits"])
  })
  for (const address of ["unix", "unknown", ""])
    test(`who comes from no IP address does not have to wait: "${address}"`, () => {
      const { enter, fail } = gatekeeping()
      fail(50, address)
      expect(saidOf(Array.from({ length: 50 }, () => enter(address)))).toEqual({ now: 50 })
    })
})

describe("as long as none has failed", () => {
  test("32 are under way at once, and each that ends makes room for the next", async () => {
    const { enter } = gatekeeping()
    const crowd = Array.from({ length: 40 }, () => enter())
    expect(saidOf(crowd)).toEqual({ now: 32, waits: 8 })
    const ends = ["succeeded", "end", "failed"] as const
    for (const [index, end] of ends.entries()) {
      crowd[index]!.attempt[end]()
      await microtasks()
      expect(saidOf(crowd)).toEqual({ now: 32, turn: index + 1, waits: 7 - index })
    }
    expect(enter(ELSEWHERE).said).toBe("now")
  })
  test("those of them that fail make no room when they are five: a burst is 32 guesses, and then it is one a second", async () => {
    const { enter, advance } = gatekeeping()
    const crowd = Array.from({ length: 1000 }, () => enter())
    for (const { attempt } of crowd.slice(0, 4)) attempt.failed()
    await microtasks()
    expect(saidOf(crowd)).toEqual({ now: 32, turn: 4, waits: 964 })
    for (const { attempt } of crowd.slice(4, 36)) attempt.failed()
    await microtasks()
    expect(saidOf(crowd)).toEqual({ now: 32, turn: 4, waits: 964 })
    await advance(1 + LATE)
    expect(saidOf(crowd)).toEqual({ now: 32, turn: 5, waits: 963 })
  })
  test("who has gone loses its place, under way or waiting, once", async () => {
    const { enter } = gatekeeping()
    const crowd = Array.from({ length: 40 }, () => enter())
    for (const { attempt } of crowd.slice(32, 36)) attempt.end()
    for (let times = 0; times < 2; times++) crowd[0]!.attempt.end()
    await microtasks()
    expect(crowd.map(({ said }) => said).slice(31)).toEqual([
      "now",
      ...Array(4).fill("waits"),
      "turn",
      ...Array(3).fill("waits"),
    ])
  })
  test("nothing is left when all have gone", async () => {
    const { clock, offenders, enter, advance } = gatekeeping()
    const crowd = Array.from({ length: 40 }, () => enter())
    for (const { attempt } of crowd) attempt.end()
    await advance(LATE)
    expect([clock.recurringCount, (offenders as unknown as { lines: Map<string, unknown> }).lines.size]).toEqual([0, 0])
  })
})

describe("the server is busy", () => {
  for (const [timeoutSeconds, longestSeconds] of [
    [1, 0.5],
    [5, 2.5],
    [9, 4.5],
    [10, 5],
    [3600, 5],
  ] as const)
    test(`for who has waited for half of what a connection has: ${longestSeconds} s of ${timeoutSeconds} s`, async () => {
      const { enter, advance } = gatekeeping(timeoutSeconds)
      const crowd = Array.from({ length: 40 }, () => enter())
      await advance(longestSeconds - 0.01)
      expect(saidOf(crowd)).toEqual({ now: 32, waits: 8 })
      await advance(0.01 + LATE)
      expect(saidOf(crowd)).toEqual({ now: 32, busy: 8 })
    })
  test("not for who has come later, who gets the place that is next", async () => {
    const { enter, advance } = gatekeeping()
    const crowd = Array.from({ length: 40 }, () => enter())
    await advance(3)
    const late = [enter(), enter()]
    await advance(2 + LATE)
    for (const { said, attempt } of crowd) if (said === "busy") attempt.end()
    await microtasks()
    expect([saidOf(crowd), saidOf(late)]).toEqual([{ now: 32, busy: 8 }, { waits: 2 }])
    crowd[0]!.attempt.end()
    await microtasks()
    expect(late.map(({ said }) => said)).toEqual(["turn", "waits"])
  })
  test("at once for who finds 10,000 waiting", async () => {
    const { enter } = gatekeeping()
    const crowd = Array.from({ length: 10_033 }, () => enter())
    expect(saidOf(crowd)).toEqual({ now: 32, waits: 10_000, busy: 1 })
    crowd[0]!.attempt.end()
    await microtasks()
    expect([enter().said, enter().said]).toEqual(["waits", "busy"])
    expect(enter(ELSEWHERE).said).toBe("now")
  })
})

describe("of IPv6 it is by /64:", () => {
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
    test(`${name} ${isSame ? "are one" : "are two"}`, () => {
      for (const [failing, asking] of [
        [one, other],
        [other, one],
      ] as const) {
        const { enter, fail } = gatekeeping()
        fail(5, failing)
        expect(enter(asking).said).toBe(isSame ? "waits" : "now")
      }
    })
})

describe("who has been let in from there before does not have to wait", () => {
  const ada = { clientId: "a", username: "ada", password: Buffer.from("right") }
  /** An address with five failures, from which that client has been let in. */
  function afterwards(client: Partial<Connecting> = ada) {
    const gate = gatekeeping()
    gate.enter(ADDRESS, client).attempt.succeeded()
    gate.fail(5)
    return gate
  }

  test("and is no delay to others", () => {
    const { enter } = afterwards()
    expect(saidOf(Array.from({ length: 50 }, () => enter(ADDRESS, ada)))).toEqual({ now: 50 })
  })
  const others: [what: string, fields: Partial<Connecting>, address?: string][] = [
    ["another password", { password: Buffer.from("Right") }],
    ["no password", { password: undefined }],
    ["another client id", { clientId: "b" }],
    ["another user name", { username: "Ada" }],
    ["no user name", { username: undefined }],
    ["what belongs to the name in the password", { username: "ad", password: Buffer.from("aright") }],
    ["another address", {}, "192.0.2.3"],
  ]
  for (const [what, fields, address = ADDRESS] of others)
    test(`unless it comes with ${what}`, () => {
      const { enter, fail } = afterwards()
      fail(5, address)
      expect(enter(address, { ...ada, ...fields }).said).toBe("waits")
    })
  test("once a wrong password has been tried for it, it has to wait, until it has been let in again", () => {
    const { enter } = afterwards()
    enter(ADDRESS, { ...ada, password: Buffer.from("guessed") })
    const itself = enter(ADDRESS, ada)
    expect(itself.said).toBe("waits")
    itself.attempt.succeeded()
    expect(enter(ADDRESS, ada).said).toBe("now")
  })
  test("a wrong password where nobody has to wait does not count for that", () => {
    const { enter, fail } = gatekeeping()
    enter(ADDRESS, ada).attempt.succeeded()
    enter(ADDRESS, { ...ada, password: Buffer.from("guessed") }).attempt.failed()
    fail(4)
    expect(enter(ADDRESS, ada).said).toBe("now")
  })
  test("one that was let in without a password has to wait", () => {
    const nobody = { clientId: "n", username: undefined, password: undefined }
    expect(afterwards(nobody).enter(ADDRESS, nobody).said).toBe("waits")
  })
  test("where its password is not right any more that is a failure like any other", async () => {
    const { enter, advance } = afterwards()
    await advance(0.9)
    enter(ADDRESS, ada).attempt.failed()
    await advance(0.9)
    expect(enter().said).toBe("waits")
  })
  test("the last 25,000 are known, with what they had last; not many more", () => {
    const known = new KnownClients()
    const client = (i: number, password = "right") => connecting("ada", password, { clientId: `c${i}` })
    for (let i = 0; i < 60_000; i++) known.remember(ADDRESS, client(i))
    known.remember(ADDRESS, client(35_000, "new"))
    const knows = (i: number, password?: string) => known.recognize(ADDRESS, client(i, password))
    expect([59_999, 35_001, 9999, 0].map((i) => knows(i))).toEqual([true, true, false, false])
    expect([knows(35_000, "new"), knows(35_000), knows(35_000, "new")]).toEqual([true, false, false])
    expect([knows(40_000, "guessed"), knows(40_000)]).toEqual([false, false])
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
  const advance = (seconds: number) => {
    harness.clock.advance(seconds)
    return microtasks()
  }
  return { harness, connect, fail, advance, asked: () => asked }
}

const rightPassword = { username: "u", password: Buffer.from("p") }

describe("a connection from an address with five failures", () => {
  const kinds: [name: string, fields: ConnectFields][] = [
    ...levels.map((level): [string, ConnectFields] => [`level ${level}`, { level }]),
    ["an exchange", withMethod],
  ]
  for (const [name, fields] of kinds) {
    const is5 = (fields.level ?? 5) === 5
    const refused = is5 ? "connack 87, closed" : "connack 05, closed"

    test(`${name}: was answered at once each time; the next has to wait before it is even looked at`, async () => {
      const { connect, advance, asked } = guarded(fields)
      for (let i = 1; i <= 5; i++) expect([told(connect()), asked()]).toEqual([refused, i])
      for (let i = 6; i < 10; i++) {
        const client = connect()
        await advance(0.99)
        expect([told(client), asked()]).toEqual(["open", i - 1])
        await advance(0.01 + LATE)
        expect([told(client), asked()]).toEqual([refused, i])
      }
    })
    test(`${name}: with the right password it gets in, after the delay`, async () => {
      const { connect, fail, advance } = guarded(fields)
      fail(5)
      const client = connect(rightPassword)
      expect(told(client)).toBe("open")
      await advance(1 + LATE)
      expect(told(client)).toBe("connack 00, open")
    })
    test(`${name}: at once, if it has been in before`, () => {
      const { connect, fail } = guarded(fields)
      connect(rightPassword).drop()
      fail(5)
      expect(told(connect(rightPassword))).toBe("connack 00, open")
    })
    test(`${name}: is told that the server is busy when it has waited too long, which is counted and no failure`, async () => {
      const { harness, connect, fail, advance, asked } = guarded(fields)
      fail(5)
      const crowd = Array.from({ length: 20 }, (_, i) => connect({ clientId: `c${i}` }))
      for (let seconds = 0; seconds < 5 + LATE; seconds += 0.25) await advance(0.25)
      const outcomes = Object.groupBy(crowd.map(told), (each) => each)
      const looked = asked() - 5
      expect(outcomes[refused]).toHaveLength(looked)
      expect(outcomes[is5 ? "connack 89, closed" : "connack 03, closed"]).toHaveLength(20 - looked)
      expect(looked).toBeWithin(3, 6)
      expect(harness.core.metrics.limitsHit.attempts).toBe(20 - looked)
      const line = "info refused c14 (192.0.2.1) on test: 0x89 ServerBusy: too many attempts from this address"
      expect(harness.logged).toContain(line)
      await advance(1)
      expect(told(connect(rightPassword))).toBe("connack 00, open")
    })
  }
  test("is not read from meanwhile; what it has sent follows in its order", async () => {
    const { harness, connect, fail, advance } = guarded()
    const watcher = harness.client("watcher").subscribe("#")
    watcher.take()
    fail(5)
    const client = connect(rightPassword).publish("t", "1").publish("t", "2")
    expect(client.isPaused).toBe(true)
    await advance(1 + LATE)
    expect(client.isPaused).toBe(false)
    expect(watcher.messages()).toEqual(["t 1", "t 2"])
  })
  test("delays nobody else: not another address, nor who is in", () => {
    const { harness, connect, fail } = guarded()
    const inside = connect(rightPassword)
    inside.take()
    fail(9)
    expect(told(connect({ ...rightPassword, clientId: "b" }, ELSEWHERE))).toBe("connack 00, open")
    inside.send({ cmd: "pingreq" })
    expect(told(inside)).toBe("pingresp, open")
    expect(harness.core.metrics.connectsRefused).toBe(5) // four of the nine have gone while they waited
  })
  test("is as good as any a minute later", () => {
    const { harness, connect, fail } = guarded()
    fail(5)
    harness.clock.advance(60.5)
    expect(told(connect(rightPassword))).toBe("connack 00, open")
    expect(told(connect())).toBe("connack 87, closed")
  })
  test("has to wait behind every listener of the broker", () => {
    const { harness, fail } = guarded()
    fail(5)
    expect(told(harness.connect({}, harness.listener()))).toBe("open")
  })
  for (const [name, leave] of [
    ["breaks off", (client: TestClient) => client.drop()],
    ["is cut off", (client: TestClient) => client.destroy()],
  ] as const) {
    test(`a client that waits and ${name} leaves nothing, and nobody is asked about it`, async () => {
      const { harness, connect, fail, advance, asked } = guarded()
      fail(5)
      for (let i = 0; i < 10; i++) leave(connect(rightPassword))
      expect([harness.core.peers.size, harness.core.metrics.connections]).toEqual([0, 0])
      await advance(LATE)
      expect([asked(), harness.core.sessions.size, harness.clock.recurringCount]).toEqual([5, 0, 0])
      expect(told(connect(rightPassword))).toBe("open") // the delay is what it was
      await advance(1)
      expect(asked()).toBe(6)
    })
    test(`one that ${name} when its turn has just come leaves it to the next`, async () => {
      const { harness, connect, fail, asked } = guarded()
      fail(5)
      const [first, second] = ["first", "second"].map((clientId) => connect({ ...rightPassword, clientId }))
      harness.clock.advance(1 + LATE)
      leave(first!)
      await microtasks()
      expect([told(second!), asked()]).toEqual(["connack 00, open", 6])
    })
  }
})

describe("an auth that takes its time", () => {
  /** A broker whose auth answers when the test says so. */
  function slow() {
    const asked: { clientId: string; decide: (decision: Decision) => void }[] = []
    const harness = new Harness()
    const { listener } = openDoor(harness, {
      authenticate: ({ clientId }) => new Promise((decide) => void asked.push({ clientId, decide })),
      exchange: () => ({ next: () => ({ challenge: Buffer.of(1) }) }),
    })
    const connect = (clientId: string, remoteAddress = ADDRESS, fields: ConnectFields = {}) =>
      Object.assign(harness.open(5, listener), { remoteAddress }).connect({ clientId, ...fields })
    const flood = (count: number, fields: ConnectFields = {}) =>
      Array.from({ length: count }, (_, i) => connect(`guess ${i}`, ADDRESS, fields))
    return { harness, asked, connect, flood }
  }

  test("is asked about 32 of an address at once, however many come, and about others as they come", async () => {
    const { asked, connect, flood } = slow()
    flood(5000)
    expect(asked).toHaveLength(32)
    const healthy = connect("healthy", ELSEWHERE)
    expect(asked.at(-1)!.clientId).toBe("healthy")
    asked.at(-1)!.decide(true)
    await microtasks()
    expect(told(healthy)).toBe("connack 00, open")
  })
  test("and not about the rest, once five of them have failed", async () => {
    const { harness, asked, flood } = slow()
    const clients = flood(5000)
    for (let seconds = 0; seconds < 10; seconds += 0.25) {
      for (const { decide } of asked) decide(false)
      await microtasks()
      harness.clock.advance(0.25)
    }
    expect(asked.length).toBeWithin(36 + 3, 36 + 6) // four of those that wait came in for the first four failures
    expect(clients.every((client) => client.isClosed)).toBe(true)
  })
  for (const [what, leave] of [
    ["have gone", (clients: TestClient[]) => clients.map((client) => client.drop())],
    [
      "were closed since they were not let in in time",
      (_: TestClient[], harness: Harness) => harness.clock.advance(11),
    ],
  ] as const)
    for (const [who, fields] of [
      ["whom it has not decided on", {}],
      ["that have not answered its challenge", withMethod],
    ] as const)
      test(`clients ${who} and that ${what} leave their places`, () => {
        const { harness, asked, connect, flood } = slow()
        leave(flood(40, fields), harness)
        const before = asked.length
        connect("next")
        expect(asked.slice(before).map(({ clientId }) => clientId)).toEqual(["next"])
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
    return harness.core.offenders.enter(connecting()).turn !== true
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

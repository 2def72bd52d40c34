/** What the log says of clients: who, what, and why, in words and in fields, so that the operator need not guess. */
import { describe, expect, test } from "bun:test"
import type { Auth } from "../../src/broker/ports.ts"
import { Reason } from "../../src/codec/index.ts"
import { durable, Harness, type TestClient } from "../support/harness.ts"

const strict: Auth = {
  authenticate: ({ username }) => username !== "eve" || { reason: Reason.BadUserNameOrPassword },
  authorize: (_client, action, topic) => !topic.startsWith(`no ${action}`),
}

describe("a client that is refused is named", () => {
  for (const [what, fields, said] of [
    ["by its id and user", { clientId: "dev1", username: "eve" }, "dev1, user eve"],
    ["by its user, where it has no id", { clientId: "", username: "eve" }, "a client without an id, user eve"],
  ] as const)
    test(what, () => {
      const harness = new Harness({ auth: strict })
      harness.connect(fields)
      expect(harness.logged).toEqual([`info refused ${said} (192.0.2.1) on test: 0x86 BadUserNameOrPassword`])
    })

  test("also before anybody has been asked who it is", () => {
    const harness = new Harness({ listener: { protocolLevels: [5] } })
    harness.connect({ level: 4, clientId: "dev1" })
    expect(harness.logged).toEqual([
      "info refused dev1 (192.0.2.1) on test: 0x84 UnsupportedProtocolVersion: this listener does not serve this version",
    ])
  })
})

test("a subscription that is refused is said, with its filter and reason; one that is granted is not", () => {
  const harness = new Harness({ auth: strict })
  const client = harness.client("dev1")
  harness.logged.length = 0
  client.subscribe(["a", "no subscribe/x", "b/#/c"])
  expect(harness.logged).toEqual([
    "info refused dev1 (192.0.2.1) a subscription to no subscribe/x: 0x87 NotAuthorized",
    "info refused dev1 (192.0.2.1) a subscription to b/#/c: 0x8f TopicFilterInvalid",
  ])
})

describe("a message that is dropped", () => {
  test("was from its sender, where nobody gets it", () => {
    const harness = new Harness({ auth: strict })
    const client = harness.client("dev1")
    harness.logged.length = 0
    client.publish("no publish/x")
    expect(harness.logged).toEqual(["info dropped from dev1 (192.0.2.1): no publish/x: not authorized"])
  })

  test("was for its receiver, where others may get it", () => {
    const harness = new Harness({ auth: strict })
    harness.client("dev2").subscribe("#")
    const client = harness.client("dev1")
    harness.logged.length = 0
    client.publish("no receive/x")
    expect(harness.logged).toEqual(["info dropped for dev2 (192.0.2.1): no receive/x: not authorized"])
  })
})

test("the reason of a client's goodbye has its name", () => {
  const harness = new Harness()
  const client = harness.client("dev1")
  harness.logged.length = 0
  client.send({ cmd: "disconnect", reasonCode: Reason.DisconnectWithWill })
  expect(harness.logged).toEqual(["info disconnected dev1 (192.0.2.1): 0x04 DisconnectWithWill"])
})

describe("each line about a client names it, its user and where it comes from, in fields as well", () => {
  const ada = { clientId: "dev1", username: "ada" } as const
  const about = { clientId: "dev1", username: "ada", remoteAddress: "192.0.2.1", listener: "test" } as const
  const who = "dev1, user ada (192.0.2.1)"

  /** The last line, when a client `dev1` of ada's is in, and has done that. */
  function after(act: (client: TestClient, harness: Harness) => void) {
    const harness = new Harness({ auth: strict })
    const client = harness.connect(ada)
    act(client, harness)
    return [harness.logged.at(-1), harness.details.at(-1)]
  }

  test("in", () => {
    const line = `info connected ${who} on test: MQTT 5.0`
    expect(after(() => {})).toEqual([line, { area: "client", ...about }])
  })

  test("refused", () => {
    const harness = new Harness({ auth: strict })
    harness.connect({ clientId: "dev1", username: "eve" })
    const eve = { ...about, username: "eve" }
    expect(harness.details).toEqual([{ area: "client", ...eve, reason: "BadUserNameOrPassword" }])
  })

  test("gone with a DISCONNECT", () => {
    expect(after((client) => client.disconnect())).toEqual([`info disconnected ${who}`, { area: "client", ...about }])
  })

  test("gone without one", () => {
    const line = `info disconnected ${who}: without a DISCONNECT`
    expect(after((client) => client.drop())).toEqual([line, { area: "client", ...about }])
  })

  test("sent away", () => {
    const line = `warn closing ${who}: 0x82 ProtocolError: unexpected packet of type 1`
    const reason = "ProtocolError"
    expect(after((client) => client.connect())).toEqual([line, { area: "client", ...about, reason }])
  })

  test("taken over, and at the broker's end, which is nothing to worry about", () => {
    const [line] = after((_, harness) => void harness.connect({ ...ada, clean: false }).drop())
    expect(line).toStartWith("info disconnected")
    const harness = new Harness()
    harness.client("dev1")
    harness.client("dev1")
    expect(harness.logged[1]).toBe("info closing dev1 (192.0.2.1): 0x8e SessionTakenOver")
  })

  test("not subscribed", () => {
    const [, details] = after((client) => client.subscribe("no subscribe/x"))
    expect(details).toEqual({ area: "message", ...about, topic: "no subscribe/x", reason: "NotAuthorized" })
  })

  test("not published, by its authority or because nobody may", () => {
    const dropped = after((client) => client.publish("no publish/x"))[1]
    expect(dropped).toEqual({ area: "message", ...about, topic: "no publish/x", reason: "not authorized" })
    expect(after((client) => client.publish("$SYS/x"))).toEqual([
      `info refused ${who} a message to $SYS/x: 0x87 NotAuthorized`,
      { area: "message", ...about, topic: "$SYS/x", reason: "NotAuthorized" },
    ])
  })

  test("away, and its queue is full", () => {
    const harness = new Harness({ limits: { maximumQueuedMessages: 1 } })
    harness
      .client("dev1", { ...durable(), username: "ada" })
      .subscribe("a", { qos: 1 })
      .drop()
    harness.client("dev2").publish("a", "1", { qos: 1 }).publish("a", "2", { qos: 1 })
    const details = { area: "message", clientId: "dev1", username: "ada", topic: "a", reason: "queue full" } as const
    expect([harness.logged.at(-1), harness.details.at(-1)]).toEqual([
      "info dropped for dev1, user ada: a: queue full",
      details,
    ])
  })

  test("expired", () => {
    const harness = new Harness()
    harness.client("dev1", { ...durable(), username: "ada" }).drop()
    harness.clock.advance(3601)
    const details = { area: "client", clientId: "dev1", username: "ada" } as const
    expect([harness.logged.at(-1), harness.details.at(-1)]).toEqual(["info session expired: dev1, user ada", details])
  })

  test("unknown: then by its address alone", () => {
    const harness = new Harness()
    harness.open().sendBytes("47 45 54 20")
    const details = { area: "client", remoteAddress: "192.0.2.1", listener: "test" } as const
    expect(harness.details).toEqual([details])
  })

  test("decided on by an auth that fails", () => {
    const auth: Auth = {
      authenticate: () => {
        throw new Error("the directory is away")
      },
    }
    const harness = new Harness({ auth })
    harness.connect(ada)
    expect([harness.logged[0], harness.details[0]]).toEqual([
      `error auth failed for ${who}: Error: the directory is away`,
      { area: "auth", ...about },
    ])
  })
})

test("a message that there is no room to retain is nobody's in particular", () => {
  const harness = new Harness({ limits: { maximumRetainedMessages: 1 } })
  harness.client("dev1").publish("a", "1", { retain: true }).publish("b", "2", { retain: true })
  const details = { area: "message", topic: "b", reason: "retained limit" } as const
  expect([harness.logged.at(-1), harness.details.at(-1)]).toEqual(["info dropped b: retained limit", details])
})

test("a name of 64 KiB does not make a line of 64 KiB", () => {
  const harness = new Harness({ auth: strict })
  const long = "x".repeat(60_000)
  harness.client("dev1", { username: long }).subscribe(`no subscribe/${long}`)
  harness.connect({ clientId: long, username: "eve" })
  expect(harness.logged).toHaveLength(3)
  for (const [at, line] of harness.logged.entries()) {
    expect([line.length < 1000, JSON.stringify(harness.details[at]).length < 1000]).toEqual([true, true])
  }
})

test("no line has a password in it, or what is in a message", () => {
  const harness = new Harness({ auth: strict })
  for (const username of ["ada", "eve"]) harness.connect({ username, password: Buffer.from("s3cret") })
  harness.client("dev2").publish("no publish/x", "s3cret")
  expect(JSON.stringify([harness.logged, harness.details])).not.toContain("s3cret")
})

describe("under attack the log has its beginning, and what became of it", () => {
  /** 10,000 a second that give a wrong password, for so long; what is logged, by its first words. */
  function besiege(seconds: number, address: (n: number) => string) {
    const harness = new Harness({ auth: strict })
    for (let n = 0; n < seconds * 100; n++) {
      for (let i = 0; i < 100; i++) {
        const client = harness.open(4)
        Object.assign(client, { remoteAddress: address(100 * n + i) })
        client.connect({ clientId: `c${n}`, username: "eve" }).drop()
      }
      harness.clock.advance(0.01)
    }
    harness.clock.advance(10.25)
    const lines = harness.logged.map((line) => line.replace(/^info /, ""))
    const omitted = lines.flatMap((line) => /^… and ([\d,]+) more/.exec(line)?.[1] ?? [])
    return { lines, total: lines.length - omitted.length + omitted.reduce((sum, n) => sum + numberOf(n), 0) }
  }
  const numberOf = (text: string) => Number(text.replaceAll(",", ""))

  test("a siege of 20,000 from everywhere is a few lines a second, and none is forgotten", () => {
    const { lines, total } = besiege(2, (n) => `198.${18 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}`)
    expect(total).toBe(20_000)
    expect(lines.length).toBeLessThan(120)
  })

  test("who is refused elsewhere is said all the same", () => {
    const harness = new Harness({ listener: { protocolLevels: [5] } })
    for (let n = 0; n < 1000; n++) harness.connect({ level: 4, clientId: `c${n}` })
    const visitor = Object.assign(harness.open(4), { remoteAddress: "198.51.100.1" })
    visitor.connect({ level: 4, clientId: "visitor" })
    expect(harness.logged).toHaveLength(11)
    expect(harness.logged.at(-1)).toStartWith("info refused visitor (198.51.100.1) on test: ")
  })

  test("a client that floods a slow one is a few lines, and each message is counted", () => {
    const harness = new Harness({ limits: { maximumBacklogBytes: 1024 } })
    const slow = harness.client("slow").subscribe("#")
    slow.capacity = 0
    const fast = harness.client("fast")
    harness.logged.length = 0
    for (let n = 0; n < 5000; n++) fast.publish("a/b", "x".repeat(100))
    harness.clock.advance(10.25)
    const { dropped } = harness.core.metrics
    const summary = `info … and ${(dropped["backlog full"] - 10).toLocaleString("en-US")} more like it (in 10 s): messages dropped, backlog full, all of them for slow`
    expect(harness.logged).toEqual([...Array(10).fill("info dropped for slow (192.0.2.1): a/b: backlog full"), summary])
  })

  test("a fault that every packet causes is not said for every packet", () => {
    const auth: Auth = {
      authenticate: () => true,
      authorize: () => {
        throw new Error("the directory is away")
      },
    }
    const harness = new Harness({ auth })
    const client = harness.client("dev1")
    for (let n = 0; n < 1000; n++) client.publish("a")
    harness.clock.advance(10.25)
    const errors = harness.logged.filter((line) => line.startsWith("error "))
    expect(errors).toHaveLength(11)
    expect(errors.at(-1)).toBe(
      "error … and 990 more like it (in 10 s): failures of an auth, all of them «Error: the directory is away»",
    )
  })
})

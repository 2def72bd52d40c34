/** What `broker.admin` shows and changes of the broker itself: limits, listeners, log level, reload, backup. */
import { describe, expect, test } from "bun:test"
import { join } from "node:path"
import { allowAll } from "../../../src/auth/allow.ts"
import { Broker } from "../../../src/broker/broker.ts"
import { type LimitName, limitDefinitions } from "../../../src/broker/limits.ts"
import type { Logger, Store } from "../../../src/broker/ports.ts"
import { memory } from "../../../src/store/memory.ts"
import { sqlite } from "../../../src/store/sqlite/index.ts"
import { inspect } from "../../../src/store/sqlite/inspect.ts"
import { TestListener } from "../../../src/testing/listener.ts"
import { temporaryFolder } from "../../support/broker-process.ts"
import { embed } from "../../support/embedded.ts"
import { durable } from "../../support/harness.ts"

const refusal = async (act: () => unknown) => {
  try {
    return await act()
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    return `${code}: ${message}`
  }
}

describe("limits", () => {
  test("change at once where they can, and it is said which need a restart", async () => {
    const { broker, core } = await embed()
    const before = broker.admin.limits()
    const report = broker.admin.setLimits({
      maximumRetainedMessages: 1,
      maximumInflight: 5,
      maximumPacketBytes: 1000,
      maximumSessions: before.maximumSessions,
    })
    expect(report).toEqual({
      changed: ["maximumRetainedMessages", "maximumInflight"],
      fromNextConnection: ["maximumInflight"],
      needRestart: ["maximumPacketBytes"],
    })
    expect(broker.admin.limits()).toEqual({ ...before, maximumRetainedMessages: 1, maximumInflight: 5 })
    await broker.publish("a", "x", { retain: true })
    await broker.publish("b", "x", { retain: true })
    expect([core.retained.count, core.metrics.limitsHit["retained messages"]]).toEqual([1, 1])
  })

  test("what is given out is a copy", async () => {
    const { broker, core } = await embed()
    Object.assign(broker.admin.limits(), { maximumSessions: 1 })
    expect(core.limits.maximumSessions).toBe(limitDefinitions.maximumSessions.default)
  })

  test("that there are not, or that take no such number, are refused, and nothing changes", async () => {
    const { broker } = await embed()
    const before = broker.admin.limits()
    const set = (limits: object) => refusal(() => broker.admin.setLimits({ maximumSessions: 5, ...limits }))
    expect(await set({ maximumPacketBytes: 1 })).toStartWith("INVALID_OPTION: maximumPacketBytes must be")
    expect(await set({ nothing: 1 })).toStartWith("INVALID_OPTION: limits.nothing does not exist")
    expect(await set({ maximumSessions: undefined })).toStartWith("INVALID_OPTION: maximumSessions must be")
    expect(broker.admin.limits()).toEqual(before)
  })

  test("on sessions, subscriptions and messages a second hold for whoever comes next", async () => {
    const { broker, core, client } = await embed()
    const a = client("a")
    broker.admin.setLimits({ maximumSessions: 1, maximumSubscriptionsPerClient: 1 })
    a.subscribe("x").take()
    expect(a.subscribe("y").take()).toMatchObject([{ cmd: "suback", granted: [0x97] }])
    expect(client("b").isClosed).toBe(true)
    const { limitsHit } = core.metrics
    expect([limitsHit.sessions, limitsHit.subscriptions]).toEqual([1, 1])
    broker.admin.setLimits({ maximumPublishRate: 1 })
    a.publish("t").publish("t")
    expect(limitsHit["publish rate"]).toBe(1)
  })

  test("on what a client has in flight hold from its next connection on", async () => {
    const { broker, client } = await embed()
    const first = client("a", durable()).subscribe("t", { qos: 1 })
    broker.admin.setLimits({ maximumInflight: 1 })
    for (let n = 0; n < 3; n++) await broker.publish("t", `${n}`, { qos: 1 })
    expect(first.messages()).toHaveLength(3)
    first.drop()
    const again = client("a", durable())
    expect(again.messages()).toHaveLength(1)
  })

  test("each says when a change of it holds", () => {
    const names = Object.keys(limitDefinitions) as LimitName[]
    const holds = (when: string) => names.filter((name) => limitDefinitions[name].takesHold === when)
    expect([...holds("now"), ...holds("next connection"), ...holds("restart")].sort()).toEqual(names.sort())
  })
})

test("listeners are those that are open, with what their clients are offered and how many there are", async () => {
  await using broker = new Broker()
  const door = new TestListener({ id: "front", auth: allowAll(), limits: { maximumQoS: 1 } })
  await broker.listen(door)
  await broker.listen({ id: "silent", open: async () => ({ hostname: "nowhere", port: 7 }), close() {} })
  await door.connect({ clientId: "a" })
  expect(broker.admin.listeners()).toMatchObject([
    { id: "front", connections: 1, limits: { maximumQoS: 1, retainAvailable: true } },
    { id: "silent", hostname: "nowhere", port: 7, connections: undefined, limits: undefined },
  ])
})

describe("the log's level", () => {
  const silent = { debug() {}, info() {}, warn() {}, error() {} }

  test("is the logger's, and changes there", async () => {
    const logger: Logger = { ...silent, level: "info" }
    const { broker } = await embed({ logger })
    expect(broker.admin.logLevel()).toBe("info")
    broker.admin.setLogLevel("debug")
    expect([logger.level, broker.admin.logLevel()]).toEqual(["debug", "debug"])
  })

  test("is the broker's own, of a logger that has none, and at first keeps everything", async () => {
    const { broker } = await embed({ logger: silent })
    expect(broker.admin.logLevel()).toBe("debug")
    broker.admin.setLogLevel("warn")
    expect(broker.admin.logLevel()).toBe("warn")
  })

  test("can be another in an area, until it is set again without", async () => {
    const { broker } = await embed({ logger: silent })
    broker.admin.setLogLevel("warn", { auth: "debug" })
    expect([broker.admin.logLevel(), broker.admin.logAreas()]).toEqual(["warn", { auth: "debug" }])
    broker.admin.setLogLevel("info")
    expect([broker.admin.logLevel(), broker.admin.logAreas()]).toEqual(["info", {}])
    const frob = { frob: "debug" } as object
    expect(await refusal(() => broker.admin.setLogLevel("info", frob))).toStartWith(
      "INVALID_OPTION: an area of the log",
    )
  })

  test("is not known, and cannot be set, where there is no logger", async () => {
    await using broker = new Broker()
    expect(broker.admin.logLevel()).toBeUndefined()
    expect(await refusal(() => broker.admin.setLogLevel("debug"))).toBe("INVALID_OPTION: there is no logger")
  })

  test("is one of five", async () => {
    const { broker } = await embed({ logger: { ...silent, level: "trace" } })
    expect(broker.admin.logLevel()).toBeUndefined()
    expect(await refusal(() => broker.admin.setLogLevel("loud" as "debug"))).toStartWith(
      "INVALID_OPTION: a level is one",
    )
  })
})

describe("a reload", () => {
  test("reads the files of auths, and what the program around the broker reads", async () => {
    let reads = 0
    const { broker, core } = await embed({
      onReload: () => Promise.resolve({ changed: [`limits.${++reads}`], needRestart: ["listeners"] }),
    })
    let looks = 0
    core.files.watch("/nowhere", () => looks++)
    expect(await broker.admin.reload()).toEqual({ changed: ["limits.1"], needRestart: ["listeners"] })
    expect([reads, looks]).toEqual([1, 1])
  })

  test("finds nothing of its own in a broker that nobody has configured", async () => {
    const { broker } = await embed()
    expect(await broker.admin.reload()).toEqual({ changed: [], needRestart: [] })
  })
})

describe("a backup", () => {
  test("of a database is a database with all of it, made while the broker goes on", async () => {
    using folder = temporaryFolder()
    const path = join(folder.path, "copy.db")
    await using broker = new Broker({ store: sqlite(join(folder.path, "manju.db")) })
    for (let n = 0; n < 50; n++) await broker.publish(`t/${n}`, "x", { qos: 1, retain: true })
    const copying = broker.admin.backup(path)
    await broker.publish("t/50", "x", { qos: 1, retain: true })
    await copying
    expect(inspect(path).retained).toBeGreaterThanOrEqual(50)
  })

  test("does not write over what is there, and leaves nothing where it fails", async () => {
    using folder = temporaryFolder()
    const path = join(folder.path, "copy.db")
    await Bun.write(path, "mine")
    await using broker = new Broker({ store: sqlite(join(folder.path, "manju.db")) })
    await broker.open()
    expect(await refusal(() => broker.admin.backup(path))).toBe(`INVALID_OPTION: ${path} is there already`)
    expect(await Bun.file(path).text()).toBe("mine")
    const nowhere = join(folder.path, "nowhere", "copy.db")
    expect(await refusal(() => broker.admin.backup(nowhere))).toStartWith(`STORE_FAILED: ${nowhere} cannot be used`)
  })

  test("takes a store that can be copied", async () => {
    const { broker } = await embed()
    expect(await refusal(() => broker.admin.backup("x"))).toBe("INVALID_OPTION: there is no store to be copied")
    const store: Store = memory()
    const other = await embed({ store })
    expect(await refusal(() => other.broker.admin.backup("x"))).toBe("INVALID_OPTION: this store cannot be copied")
  })
})

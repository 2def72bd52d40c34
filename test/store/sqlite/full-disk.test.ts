/**
 * A disk that is full, and one that fails, under the real broker: strace makes the calls of the store's thread fail, and
 * lets go of it when the disk is to work again. Clients of both versions live through it, and the broker is killed.
 */
import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { join } from "node:path"
import type { ProtocolLevel } from "../../../src/codec/index.ts"
import { eventually, RawClient } from "../../listeners/socket.ts"
import { BrokerProcess, temporaryFolder } from "../../support/broker-process.ts"
import { type Found, openDatabase } from "../../support/disk.ts"
import { durable } from "../../support/harness.ts"
import { faults, Strace, syncingThread, syncs } from "../../support/strace.ts"

setDefaultTimeout(60_000)

const SUCCESS = 0
const QUOTA_EXCEEDED = 0x97
const IMPLEMENTATION_SPECIFIC_ERROR = 0x83
const SERVER_UNAVAILABLE = 3

/** A client that uses a packet id once. */
class Client {
  private lastId = 0
  private readonly raw: RawClient

  constructor(raw: RawClient) {
    this.raw = raw
  }

  /** One whose session ends with its connection. */
  static async connect(port: number, clientId: string, level: ProtocolLevel): Promise<Client> {
    return new Client(await RawClient.connect(port, clientId, level))
  }

  /** One whose session does not. */
  static async lasting(port: number, clientId: string, level: ProtocolLevel): Promise<Client> {
    return new Client(await RawClient.connect(port, clientId, level, durable(level)))
  }

  /** The types of the packets that it has not looked at. */
  get unread(): string[] {
    return this.raw.packets.map(({ cmd }) => cmd)
  }

  /** Sends a message that is its own topic. */
  publish(topic: string, qos: 0 | 1 | 2): void {
    const messageId = ++this.lastId
    this.raw.publish(topic, topic, { qos, retain: topic.startsWith("retained/"), ...(qos > 0 && { messageId }) })
  }

  /** The reason of the broker's next answer. */
  async answer(cmd: "puback" | "pubrec" | "pubcomp"): Promise<number> {
    return (await this.raw.next(cmd)).reasonCode ?? SUCCESS
  }

  /** Releases the last message, of QoS 2. */
  release(): Promise<number> {
    this.raw.send({ cmd: "pubrel", messageId: this.lastId })
    return this.answer("pubcomp")
  }

  /** Sends a message and waits for the end of its flow; the reason there. */
  async send(topic: string, qos: 1 | 2): Promise<number> {
    this.publish(topic, qos)
    if (qos === 1) return this.answer("puback")
    return (await this.answer("pubrec")) || this.release()
  }

  async subscribe(...filters: string[]): Promise<number[]> {
    const subscriptions = filters.map((topic) => ({ topic, qos: 2 as const }))
    this.raw.send({ cmd: "subscribe", messageId: ++this.lastId, subscriptions })
    return (await this.raw.next("suback")).granted
  }

  async unsubscribe(filter: string): Promise<number[]> {
    this.raw.send({ cmd: "unsubscribe", messageId: ++this.lastId, unsubscriptions: [filter] })
    return (await this.raw.next("unsuback")).granted
  }

  /** The topics of all messages that have come, once one of `last` has. */
  async received(last: string): Promise<string[]> {
    const topics = () => this.raw.packets.filter(({ cmd }) => cmd === "publish").map(({ topic }) => topic)
    await this.raw.until(() => topics().includes(last), last)
    return topics()
  }

  leave(): void {
    this.raw.destroy()
  }
}

/** What a client is told that asks for a lasting session. */
async function knock(
  port: number,
  clientId: string,
  level: ProtocolLevel,
): Promise<[code: number, isPresent: boolean]> {
  const raw = await RawClient.open(port, level)
  raw.sendConnect(clientId, durable(level))
  const { reasonCode, returnCode, sessionPresent } = await raw.next("connack")
  raw.destroy()
  return [level === 5 ? reasonCode : returnCode, sessionPresent]
}

interface Disturbance {
  name: string
  calls: readonly string[]
  error: string
}

/** Sessions that wait for `kept/#`, and a publisher of each version. */
async function prepare({ pid, port }: BrokerProcess) {
  for (const level of [4, 5] as const) {
    const offline = await Client.lasting(port, `offline${level}`, level)
    await offline.subscribe("kept/#")
    offline.leave()
  }
  const three = await Client.connect(port, "three", 4)
  const five = await Client.connect(port, "five", 5)
  const thread = await syncingThread(pid, () => three.send("kept/1", 1))
  await five.send("kept/2", 2)
  return { three, five, thread }
}

/** What the store's thread is done to. */
function disturb(thread: number, { calls, error }: Disturbance): Promise<Strace> {
  return Strace.thread(thread, calls, faults.fail(calls, error))
}

/** What the operator has been told of the store, as `level: text`. */
function saidOfStore({ logged }: BrokerProcess): string[] {
  return Array.from(logged.matchAll(/\w+: the store .*/g), ([line]) => line)
}

/** What the sessions that were offline get from a broker, up to a message. */
async function backlogs(port: number, last: string): Promise<string[][]> {
  return Promise.all(
    ([4, 5] as const).map(async (level) => (await Client.lasting(port, `offline${level}`, level)).received(last)),
  )
}

async function liveThrough(disturbance: Disturbance) {
  using folder = temporaryFolder()
  const path = join(folder.path, "manju.db")
  await using broker = await BrokerProcess.start("--data", path, "--http", "0")
  const { port } = broker
  const { three, five, thread } = await prepare(broker)
  const isReady = async () => (await fetch(`http://127.0.0.1:${broker.portOf("http")}/readyz`)).ok
  const everybody = await Client.connect(port, "everybody", 5)
  await everybody.subscribe("#")
  const lasting = await Client.lasting(port, "lasting", 5)
  await lasting.subscribe("before")
  await knock(port, "known4", 4)
  await knock(port, "known5", 5)
  const readiness = [await isReady()]

  await using strace = await disturb(thread, disturbance)
  three.publish("kept/3", 1)
  await eventually(() => saidOfStore(broker).length > 0, "a word on the store")
  three.publish("retained/3", 1)
  three.publish("kept/4", 2)
  const refusals = {
    qos1: await five.send("kept/refused", 1),
    qos2: await five.send("kept/refused", 2),
    retained: await five.send("retained/refused", 1),
    subscribe: await lasting.subscribe("refused", "refused/#"),
    unsubscribe: await lasting.unsubscribe("before"),
  }
  const knocks = {
    new4: await knock(port, "new4", 4),
    new5: await knock(port, "new5", 5),
    known4: await knock(port, "known4", 4),
    known5: await knock(port, "known5", 5),
  }
  five.publish("free/0", 0)
  const free1 = await five.send("free/1", 1)
  const flowing = await everybody.received("free/1")
  readiness.push(await isReady())
  const failures = () => strace.moments.filter(({ call, isEnd }) => isEnd && call.result === -1).length
  await eventually(() => failures() >= 2, "the store to be tried again")
  const early = three.unread

  await strace.detach()
  const late = [await three.answer("puback"), await three.answer("puback"), await three.answer("pubrec")]
  late.push(await three.release())
  readiness.push(await isReady())
  const after = [await five.send("kept/5", 1), ...(await lasting.subscribe("after"))]
  const seen = await everybody.received("kept/5")

  await broker.kill()
  const log = saidOfStore(broker)
  await using heir = await BrokerProcess.start("--data", path)
  const restored = await backlogs(heir.port, "kept/5")
  await heir.kill()
  return {
    readiness,
    refusals,
    knocks,
    free1,
    flowing,
    early,
    late,
    after,
    seen,
    log,
    restored,
    found: openDatabase(path),
  }
}

const disturbances: Disturbance[] = [
  { name: "a full disk", calls: ["pwrite64"], error: "ENOSPC" },
  { name: "an I/O error", calls: syncs, error: "EIO" },
]

for (const disturbance of disturbances)
  describe(`${disturbance.name} does not stop the broker`, () => {
    let account: Awaited<ReturnType<typeof liveThrough>>

    beforeAll(async () => {
      account = await liveThrough(disturbance)
    })

    test("what needs no disk flows on: QoS 0, and QoS 1 that no lasting session waits for", () => {
      expect(account.free1).toBe(SUCCESS)
      expect(account.flowing).toContain("free/0")
    })

    test("what a client of 3.1.1 sends is acknowledged when the disk works again, and not before", () => {
      expect(account.early).toEqual([])
      expect(account.late).toEqual([SUCCESS, SUCCESS, SUCCESS, SUCCESS])
    })

    test("what a client of 5.0 sends, or changes in its session, is refused", () => {
      expect(account.refusals).toEqual({
        qos1: QUOTA_EXCEEDED,
        qos2: QUOTA_EXCEEDED,
        retained: QUOTA_EXCEEDED,
        subscribe: [QUOTA_EXCEEDED, QUOTA_EXCEEDED],
        unsubscribe: [IMPLEMENTATION_SPECIFIC_ERROR],
      })
    })

    test("what is refused goes to nobody; what is taken goes to everybody, once", () => {
      expect(account.seen.toSorted()).toEqual(["free/0", "free/1", "kept/3", "kept/4", "kept/5", "retained/3"])
    })

    test("a session that would have to be stored is refused, and one that is stored goes on", () => {
      expect(account.knocks).toEqual({
        new4: [SERVER_UNAVAILABLE, false],
        new5: [QUOTA_EXCEEDED, false],
        known4: [SUCCESS, true],
        known5: [SUCCESS, true],
      })
    })

    test("the operator is told once when it begins and once when it ends, and /readyz tells meanwhile", () => {
      expect(account.log.map((line) => line.replace(/(?<=the store) (?!works).*/, " ..."))).toEqual([
        "error: the store ...",
        "warn: the store works again",
      ])
      expect(account.readiness).toEqual([true, false, true])
    })

    test("once it is over, all is as before", () => {
      expect(account.after).toEqual([SUCCESS, 2])
    })

    test("after a kill, everything that was acknowledged is there, and nothing that was refused", () => {
      const kept = ["kept/1", "kept/2", "kept/3", "kept/4", "kept/5"]
      expect(account.restored).toEqual([kept, kept])
      const { sessions, subscriptions, retained }: Found = account.found
      expect([...retained.keys()]).toEqual(["retained/3"])
      expect([...sessions].sort()).toEqual(["known4", "known5", "lasting", "offline4", "offline5"])
      expect([...subscriptions].sort()).toEqual([
        "lasting after 2",
        "lasting before 2",
        "offline4 kept/# 2",
        "offline5 kept/# 2",
      ])
    })

    test("a kill while it lasts loses nothing that was acknowledged", async () => {
      using folder = temporaryFolder()
      const path = join(folder.path, "manju.db")
      await using broker = await BrokerProcess.start("--data", path)
      const { three, five, thread } = await prepare(broker)
      await using strace = await disturb(thread, disturbance)
      three.publish("kept/3", 1)
      await eventually(() => saidOfStore(broker).length > 0, "a word on the store")
      expect(await five.send("kept/refused", 1)).toBe(QUOTA_EXCEEDED)
      expect(three.unread).toEqual([])
      await broker.kill()
      await strace.detach()
      await using heir = await BrokerProcess.start("--data", path)
      await (await Client.connect(heir.port, "five", 5)).send("kept/4", 1)
      for (const topics of await backlogs(heir.port, "kept/4")) {
        const certain = topics.filter((topic) => topic !== "kept/3") // not acknowledged, it may be there
        expect(certain).toEqual(["kept/1", "kept/2", "kept/4"])
      }
    })
  })

test("a signal while the disk is full ends the broker in the usual time, with exit code 1, and the operator is told what is not stored", async () => {
  using folder = temporaryFolder()
  await using broker = await BrokerProcess.start("--data", join(folder.path, "manju.db"))
  const { three, thread } = await prepare(broker)
  await using _strace = await disturb(thread, disturbances[0]!)
  three.publish("kept/3", 1)
  await eventually(() => saidOfStore(broker).length > 0, "a word on the store")
  broker.signal("SIGTERM")
  expect(await broker.ended()).toBe(1)
  const [why, end] = broker.logged.trimEnd().split("\n").slice(-2)
  expect(why).toMatch(/error: closing with \d+ changes? not stored: .*(full|disk)/)
  expect(end).toMatch(/ stopped: said goodbye to 2 clients.*, \d+ changes? not stored$/)
  expect(broker.logged.match(/error: /g)).toHaveLength(2)
})

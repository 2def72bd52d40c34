/**
 * Nothing a peer sends may throw, hang, or disturb anybody else: thousands of sessions, valid but for a few bytes, against
 * one broker. A seed makes every run the same; the seed of a failure is in its message.
 */
import { describe, expect, test } from "bun:test"
import type { Auth, Store } from "../../src/broker/ports.ts"
import type { ProtocolLevel } from "../../src/codec/index.ts"
import { Random, textHex } from "../support/bytes.ts"
import { Harness, type TestClient } from "../support/harness.ts"
import { microtasks } from "../support/store.ts"
import { block, connectBytes, levels, packet } from "./wire.ts"

const SESSIONS = 3000

/** The packets of a session that uses a bit of everything. */
function validSession(level: ProtocolLevel, random: Random): Buffer[] {
  const id = `fuzz-${random.below(20)}`
  const topic = () => textHex(`fuzz/${random.below(5)}`)
  const five = (properties: string) => block(level, level === 5 && random.chance(0.5) ? properties : "")
  const packetId = () => random.between(1, 20).toString(16).padStart(4, "0")
  const text = () => textHex(random.text(random.below(8)))
  const willProperties = five(`1800000001${random.chance(0.5) ? `26${text()}${text()}` : ""}`)
  const willFields = willProperties + topic() + textHex("bye")
  const flags = random.pick(["02", "00", "06", "26", "0e", "c2", "ee"])
  const hasWill = (Number.parseInt(flags, 16) & 4) !== 0
  const hasUser = (Number.parseInt(flags, 16) & 0x80) !== 0
  const payload = textHex(id) + (hasWill ? willFields : "") + (hasUser ? textHex("u") + textHex("p") : "")
  const connectProperties = random.pick(["", "1100000010", "2100052200ff", "170027000000ff", `26${text()}${text()}`])
  const methods: (() => Buffer)[] = [
    () => packet("30", `${topic()}${five(`01010200000005${`26${text()}${text()}`}`)}78`),
    () => packet("31", `${topic()}${block(level)}78`),
    () => packet("32", `${topic()}${packetId()}${five(`03${text()}0900020102`)}78`),
    () => packet("34", `${topic()}${packetId()}${five("23000108000161")}78`),
    () => packet("62", packetId()),
    () => packet("40", packetId()),
    () => packet("50", packetId()),
    () => packet("70", packetId()),
    () => packet("82", `${packetId()}${five("0b05")}${textHex("fuzz/#")}0${random.below(3)}`),
    () => packet("82", `${packetId()}${block(level)}${textHex(`$share/g/fuzz/+`)}01${topic()}02`),
    () => packet("a2", `${packetId()}${block(level)}${textHex("fuzz/#")}`),
    () => packet("c0", ""),
    () => packet("30", `${topic()}${block(level)}${random.bytes(random.below(2000)).toString("hex")}`),
  ]
  const packets = Array.from({ length: random.below(20) }, () => random.pick(methods)())
  const connect = connectBytes({ level, flags, payload, properties: level === 5 ? connectProperties : "" })
  const end = random.chance(0.3) ? [packet("e0", "")] : []
  return [connect, ...packets, ...end]
}

/** A few bytes changed, cut, repeated or inserted; or none. */
function mutate(bytes: Buffer, random: Random): Buffer {
  let mutated = Buffer.from(bytes)
  for (let i = random.below(4); i > 0 && mutated.length > 0; i--) {
    const at = random.below(mutated.length)
    switch (random.below(6)) {
      case 0:
        mutated[at] = random.below(256)
        break
      case 1:
        mutated[at]! ^= 1 << random.below(8)
        break
      case 2:
        mutated = Buffer.concat([mutated.subarray(0, at), mutated.subarray(at + random.between(1, 8))])
        break
      case 3:
        mutated = Buffer.concat([mutated.subarray(0, at), random.bytes(random.between(1, 8)), mutated.subarray(at)])
        break
      case 4:
        mutated = Buffer.concat([mutated, mutated.subarray(at)])
        break
      case 5:
        mutated = mutated.subarray(0, at)
        break
    }
  }
  return mutated
}

/** Hands the bytes over in chunks of any size. */
function feed(client: TestClient, bytes: Buffer, random: Random): void {
  for (let at = 0; at < bytes.length; ) {
    const length = random.chance(0.7) ? bytes.length : random.between(1, 30)
    client.sendBytes(bytes.subarray(at, at + length))
    at += length
  }
}

/** Somebody who has nothing to do with it: counts up, and misses nothing. */
class Bystander {
  private count = 0
  private readonly clients: TestClient[]

  constructor(harness: Harness) {
    this.clients = levels.map((level) => harness.client(`bystander-${level}`, { level, keepalive: 0 }))
    for (const client of this.clients) client.subscribe("calm/#", { qos: 1 }).take()
  }

  async isUndisturbed(): Promise<void> {
    const payload = `${this.count++}`
    this.clients[this.count % 3]!.publish("calm/t", payload, { qos: 1, messageId: 1 })
    await microtasks()
    for (const client of this.clients) {
      expect(client.isClosed).toBe(false)
      const packets = client.take()
      const publishes = packets.filter(({ cmd }) => cmd === "publish")
      expect(publishes.map((each) => `${each.payload}`)).toEqual([payload])
      for (const { messageId } of publishes) client.ack("puback", messageId!)
    }
  }
}

/** Runs the sessions through `serving`; where the broker itself has to wait for something, so do they. */
async function run(harness: Harness, level: ProtocolLevel, seed: number, serving = harness.serving): Promise<void> {
  const mustWait = serving !== harness.serving || harness.core.changes.isActive
  const random = new Random(seed)
  const bystander = new Bystander(harness)
  let letIn = 0
  let thrownOut = 0
  for (let session = 0; session < SESSIONS; session++) {
    const client = harness.open(level, serving)
    const name = `seed ${seed}, session ${session}`
    try {
      const [connect, ...packets] = validSession(level, random)
      const bytes = Buffer.concat([random.chance(0.8) ? connect! : mutate(connect!, random), ...packets])
      const mangled = random.chance(0.1) ? bytes : mutate(bytes, random)
      if (random.chance(0.1)) client.capacity = random.below(50)
      feed(client, mangled, random)
      if (mustWait) await microtasks()
      if (client.isClosed) thrownOut++
      if (client.connection.link.client !== undefined) letIn++
      if (random.chance(0.5)) client.drain()
      if (random.chance(0.9)) client.drop()
      if (session % 50 === 0) {
        await bystander.isUndisturbed()
        harness.clock.advance(1)
      }
    } catch (error) {
      throw new Error(`${name}: ${error}`, { cause: error })
    }
  }
  await bystander.isUndisturbed()
  harness.clock.advance(60)
  expect(harness.logged.filter((line) => line.startsWith("error"))).toEqual([])
  // The sessions were neither all fine nor all wrong.
  expect(letIn).toBeGreaterThan(SESSIONS / 5)
  expect(thrownOut).toBeGreaterThan(SESSIONS / 5)
  await clear(harness)
}

/** Ends every session there is: then nothing may be left of them. */
async function clear(harness: Harness): Promise<void> {
  const { core } = harness
  for (const peer of [...core.peers]) peer.disconnect(0x8b)
  harness.clock.advance(3)
  for (const { clientId } of [...core.sessions.all()]) harness.connect({ clientId, clean: true }).drop()
  await microtasks()
  expect([core.peers.size, core.sessions.size, harness.serving.connections]).toEqual([0, 0, 0])
  expect([core.queueBytes, core.inflightCount]).toEqual([0, 0])
}

describe("mutated sessions neither throw nor hang nor disturb a bystander", () => {
  const slow: Auth = { authenticate: async () => true, authorize: async (_, __, topic) => !topic.endsWith("3") }
  const store: Store = { async *load() {}, page: async () => [], commit: async () => {}, close: async () => {} }
  for (const level of levels) {
    test(`level ${level}`, () => run(new Harness(), level, 0x6d616e + level), 60_000)
    test(`level ${level}: with small limits`, async () => {
      const limits = { maximumPacketBytes: 512, maximumBacklogBytes: 1024, maximumInflight: 2, receiveMaximum: 3 }
      const more = { maximumQueuedMessages: 5, maximumSubscriptionsPerClient: 2, maximumRetainedMessages: 3 }
      await run(new Harness({ limits: { ...limits, ...more } }), level, 0x6a75 + level)
    }, 60_000)
    test(`level ${level}: with decisions that take their time`, async () => {
      const harness = new Harness()
      await run(harness, level, 0x6d71 + level, harness.listener({}, slow))
    }, 60_000)
    test(`level ${level}: with a store`, () => run(new Harness({ store }), level, 0x7374 + level), 60_000)
  }
})

describe("bytes that are no session at all", () => {
  for (const level of levels)
    test(`level ${level}: noise, before and after the CONNECT`, async () => {
      const harness = new Harness()
      const bystander = new Bystander(harness)
      const random = new Random(0xb0b + level)
      for (let i = 0; i < SESSIONS; i++) {
        const client = harness.open(level)
        if (random.chance(0.5)) client.sendBytes(connectBytes({ level }))
        feed(client, random.bytes(random.below(100)), random)
        client.drop()
      }
      await bystander.isUndisturbed()
      expect(harness.logged.filter((line) => line.startsWith("error"))).toEqual([])
    })
})

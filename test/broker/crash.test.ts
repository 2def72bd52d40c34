/**
 * Crashes without a process: what has not been committed when the broker is thrown away has never been. Two clients that
 * keep to the specification, a publisher and a subscriber, live through many of them; then the account is drawn up.
 */
import { describe, expect, test } from "bun:test"
import { restore } from "../../src/broker/restore.ts"
import type { ProtocolLevel } from "../../src/codec/index.ts"
import { memory } from "../../src/store/memory.ts"
import { Random } from "../support/bytes.ts"
import { Harness, type Received, type TestClient } from "../support/harness.ts"
import { LateStore, microtasks } from "../support/store.ts"

const lasting = (level: ProtocolLevel) =>
  level === 5 ? { level, clean: false, properties: { sessionExpiryInterval: 1000 } } : { level, clean: false }

/** A publisher that keeps what is not acknowledged to the end, and sends it again. */
class Publisher {
  readonly open = new Map<number, { qos: 1 | 2; payload: string; isReceived: boolean }>()
  readonly acknowledged: string[] = []
  readonly exactlyOnce = new Set<string>()
  private lastId = 0

  publish(client: TestClient, qos: 1 | 2, payload: string): void {
    do this.lastId = (this.lastId % 50) + 1
    while (this.open.has(this.lastId))
    if (qos === 2) this.exactlyOnce.add(payload)
    this.open.set(this.lastId, { qos, payload, isReceived: false })
    client.publish("t", payload, { qos, messageId: this.lastId })
  }

  resume(client: TestClient): void {
    for (const [messageId, { qos, payload, isReceived }] of this.open) {
      if (isReceived) client.ack("pubrel", messageId)
      else client.publish("t", payload, { qos, messageId, dup: true })
    }
  }

  hear(client: TestClient, { cmd, messageId }: Received): void {
    const flow = this.open.get(messageId!)
    if (flow === undefined) return
    if (cmd === "pubrec") {
      flow.isReceived = true
      client.ack("pubrel", messageId!)
    } else if (cmd === "puback" || cmd === "pubcomp") {
      this.open.delete(messageId!)
      this.acknowledged.push(flow.payload)
    }
  }
}

/** A subscriber that delivers a QoS 2 message once however often its PUBLISH comes. */
class Subscriber {
  readonly delivered: string[] = []
  private readonly unreleased = new Set<number>()

  hear(client: TestClient, { cmd, messageId, qos, payload }: Received): void {
    if (cmd === "publish") {
      if (qos === 1 || !this.unreleased.has(messageId!)) this.delivered.push(String(payload))
      if (qos === 2) this.unreleased.add(messageId!)
      client.ack(qos === 1 ? "puback" : "pubrec", messageId!)
    } else if (cmd === "pubrel") {
      this.unreleased.delete(messageId!)
      client.ack("pubcomp", messageId!)
    }
  }
}

async function live(seed: number, level: ProtocolLevel): Promise<void> {
  const random = new Random(seed)
  const disk = memory()
  const publisher = new Publisher()
  const subscriber = new Subscriber()
  let published = 0
  let crashes = 0
  let isSubscribed = false
  let isSubscribeAcknowledged = false
  let store: LateStore
  let harness: Harness
  let clients: { pub: TestClient | undefined; sub: TestClient | undefined }

  const start = async () => {
    store = new LateStore(disk)
    harness = new Harness({ store })
    clients = { pub: undefined, sub: undefined }
    await restore(harness.core, store)
  }
  const known = new Set<string>()
  const connect = async (name: "pub" | "sub") => {
    const client = harness.connect({ clientId: name, ...lasting(level) })
    await store.commitAll()
    const [connack] = client.received.splice(0, 1)
    expect({ seed, name, isPresent: connack?.sessionPresent }).toEqual({ seed, name, isPresent: known.has(name) })
    known.add(name)
    clients[name] = client
    if (name === "pub") publisher.resume(client)
    else if (!isSubscribeAcknowledged) {
      client.subscribe("t", { qos: 2 })
      isSubscribed = true
    }
  }
  const hear = () => {
    for (const each of clients.pub?.take() ?? []) publisher.hear(clients.pub!, each)
    for (const each of clients.sub?.take() ?? []) {
      if (each.cmd === "suback") isSubscribeAcknowledged = true
      else subscriber.hear(clients.sub!, each)
    }
  }

  await start()
  for (let step = 0; step < 120; step++) {
    const dice = random.below(20)
    const { pub, sub } = clients!
    if (pub === undefined) await connect("pub")
    else if (sub === undefined && dice < 8) await connect("sub")
    else if (dice < 9 && isSubscribed && isSubscribeAcknowledged && publisher.open.size < 40) {
      publisher.publish(pub, random.below(2) === 0 ? 1 : 2, String(published++))
    } else if (dice < 13) hear()
    else if (dice < 17) {
      await microtasks()
      const { pending } = store!
      if (pending.length > 0) pending.shift()!.resolve()
      await microtasks()
    } else if (dice === 17) {
      sub?.drop()
      clients!.sub = undefined
    } else if (dice === 18) {
      pub.drop()
      clients!.pub = undefined
    } else {
      crashes++
      await start()
    }
  }
  for (let round = 0; round < 30 && (round < 3 || publisher.open.size > 0); round++) {
    if (clients!.pub === undefined) await connect("pub")
    if (clients!.sub === undefined) await connect("sub")
    await store!.commitAll()
    hear()
    await store!.commitAll()
  }
  for (let round = 0; round < 10; round++) {
    hear()
    await store!.commitAll()
  }

  expect({ seed, crashes, open: [...publisher.open.values()] }).toEqual({ seed, crashes, open: [] })
  const times = new Map<string, number>()
  for (const payload of subscriber.delivered) times.set(payload, (times.get(payload) ?? 0) + 1)
  const lost = publisher.acknowledged.filter((payload) => !times.has(payload))
  expect({ seed, crashes, lost }).toEqual({ seed, crashes, lost: [] })
  expect({ seed, left: [harness!.core.queueBytes, harness!.core.inflightCount] }).toEqual({ seed, left: [0, 0] })
  const twice = [...times].filter(([payload, count]) => count > 1 && publisher.exactlyOnce.has(payload))
  expect({ seed, twice }).toEqual({ seed, twice: [] })
}

describe("a crash loses nothing acknowledged and repeats nothing of QoS 2", () => {
  for (const level of [4, 5] as const)
    test(`level ${level}: 300 lives`, async () => {
      for (let seed = 1; seed <= 300; seed++) await live(seed, level)
    }, 60_000)
})

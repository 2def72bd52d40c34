/**
 * A session and its connections against a simple model, over random lives: messages of every QoS from two publishers,
 * acknowledged late or not yet, connections that break at any point of a flow on both sides, sockets that fill,
 * windows that change, a store that commits when it pleases and refuses at times. In the end everything is let run
 * out, and what each side has must be what MQTT promises: QoS 1 at least once, QoS 2 exactly once, in order, and
 * nothing of it left in the broker.
 */
import { describe, expect, test } from "bun:test"
import { Random } from "../support/bytes.ts"
import { type ConnectFields, durable, Harness, type Received, type TestClient } from "../support/harness.ts"
import { LateStore, microtasks } from "../support/store.ts"

const RECEIVE_MAXIMUM = 8
const QUOTA_EXCEEDED = 0x97

interface World {
  readonly random: Random
  readonly harness: Harness
  readonly store: LateStore | undefined
}

/** Lets the store take what it was given, if there is one: everything, or only the first commit asked for. */
async function commit({ store }: World, isAll = true): Promise<void> {
  if (store === undefined) return
  if (isAll) return store.commitAll()
  await microtasks()
  store.pending.shift()?.resolve()
  await microtasks()
}

/** One end of a lasting session, that connects again when it likes. */
abstract class Peer {
  protected client: TestClient | undefined
  protected readonly world: World
  protected readonly clientId: string
  protected readonly level: 4 | 5

  constructor(world: World, clientId: string) {
    this.world = world
    this.clientId = clientId
    this.level = world.random.below(2) === 0 ? 4 : 5
  }

  get isConnected(): boolean {
    return this.client !== undefined
  }

  async connect(fields: ConnectFields = {}): Promise<TestClient> {
    const base = durable(this.level)
    const properties = { ...base.properties, ...fields.properties }
    const client = this.world.harness.connect({
      ...base,
      clientId: this.clientId,
      ...(this.level === 5 && { properties }),
    })
    await commit(this.world)
    if (client.received.shift()?.cmd !== "connack") throw new Error(`${this.clientId} was not let in`)
    this.client = client
    return client
  }

  /** The socket breaks: what has come and was not looked at is lost. */
  drop(): void {
    this.client?.drop()
    this.client = undefined
  }

  /** Looks at the next packets that have come. */
  read(most = Number.POSITIVE_INFINITY): boolean {
    let count = 0
    while (this.client !== undefined && this.client.received.length > 0 && count++ < most) {
      this.on(this.client.received.shift()!)
    }
    return count > 0
  }

  protected abstract on(packet: Received): void
}

class Publisher extends Peer {
  /** What was published, by QoS, in order. */
  readonly published: string[][] = [[], [], []]
  /** Refused while the store failed: not the broker's, though a first copy may have been. */
  readonly refused = new Set<string>()
  /** Refused too, but the connection broke before it was heard: sent again, and so perhaps behind later ones. */
  readonly displaced = new Set<string>()
  /** In flight, in order: whether it is the PUBREL that is unacknowledged. */
  readonly inflight = new Map<number, { payload: string; qos: 1 | 2; isReleased: boolean }>()
  private lastId = 0

  override async connect(): Promise<TestClient> {
    const client = await super.connect()
    for (const [messageId, { payload, qos, isReleased }] of this.inflight) {
      if (isReleased) client.ack("pubrel", messageId)
      else client.publish("t", payload, { qos, messageId, dup: true })
    }
    return client
  }

  override drop(): void {
    for (const { cmd, messageId, reasonCode } of this.client?.received ?? []) {
      const flow = this.inflight.get(messageId!)
      if ((cmd === "puback" || cmd === "pubrec") && reasonCode === QUOTA_EXCEEDED) this.displaced.add(flow!.payload)
    }
    super.drop()
  }

  publish(qos: 0 | 1 | 2, count: number): void {
    const payload = `${this.clientId} ${count}`
    if (this.client === undefined || this.inflight.size >= RECEIVE_MAXIMUM) return
    this.published[qos]!.push(payload)
    if (qos === 0) {
      this.client.publish("t", payload)
      return
    }
    const messageId = (this.lastId = (this.lastId % 20) + 1)
    if (this.inflight.has(messageId)) {
      this.published[qos]!.pop()
      return
    }
    this.inflight.set(messageId, { payload, qos, isReleased: false })
    this.client.publish("t", payload, { qos, messageId })
  }

  protected on({ cmd, messageId, reasonCode }: Received): void {
    if (cmd === "disconnect") throw new Error(`${this.clientId} was sent away: ${reasonCode}`)
    const flow = this.inflight.get(messageId!)
    if ((cmd === "puback" || cmd === "pubrec") && reasonCode === QUOTA_EXCEEDED) {
      this.refused.add(flow!.payload)
      this.inflight.delete(messageId!)
      return
    }
    if (cmd === "puback" || cmd === "pubcomp") this.inflight.delete(messageId!)
    if (cmd !== "pubrec") return
    if (flow !== undefined) flow.isReleased = true
    this.client!.ack("pubrel", messageId!)
  }
}

class Subscriber extends Peer {
  /** What was delivered, by QoS, in order; once more each time that a QoS 1 message came again. */
  readonly delivered: string[][] = [[], [], []]
  /** Packet ids that are not done: QoS 2 after its PUBREC included. */
  private readonly open = new Map<number, { qos: number; isReceived: boolean }>()
  /** Those of them whose PUBLISH came on this connection. */
  private readonly window = new Set<number>()
  private maximum = 0xffff

  override async connect(): Promise<TestClient> {
    const receiveMaximum = 1 + this.world.random.below(6)
    this.window.clear()
    this.maximum = this.level === 5 ? receiveMaximum : 0xffff
    return super.connect({ properties: { receiveMaximum } })
  }

  subscribe(): void {
    this.client!.subscribe("t", { qos: 2 })
  }

  /** The socket takes only so much more. */
  choke(bytes: number): void {
    if (this.client !== undefined) this.client.capacity = bytes
  }

  drain(bytes: number): void {
    this.client?.drain(bytes)
  }

  protected on({ cmd, messageId, qos, dup, payload, reasonCode }: Received): void {
    if (cmd === "disconnect") throw new Error(`${this.clientId} was sent away: ${reasonCode}`)
    if (cmd === "pubrel") {
      this.client!.ack("pubcomp", messageId!)
      this.open.delete(messageId!)
      this.window.delete(messageId!)
    }
    if (cmd !== "publish") return
    if (qos === 0) this.delivered[0]!.push(`${payload}`)
    else this.onMessage(messageId!, qos, dup, `${payload}`)
  }

  private onMessage(messageId: number, qos: 1 | 2, dup: boolean, payload: string): void {
    const known = this.open.get(messageId)
    if (known !== undefined && !dup) throw new Error(`${messageId} is in use and was given to ${payload}`)
    if (known !== undefined && known.qos !== qos) throw new Error(`${messageId} changed its QoS`)
    this.window.add(messageId)
    if (this.window.size > this.maximum) throw new Error(`${this.window.size} in flight, asked for ${this.maximum}`)
    if (!known?.isReceived) this.delivered[qos]!.push(payload)
    this.open.set(messageId, { qos, isReceived: qos === 2 })
    if (qos === 2) this.client!.ack("pubrec", messageId)
    else {
      this.open.delete(messageId)
      this.window.delete(messageId)
      this.client!.ack("puback", messageId)
    }
  }
}

async function live(seed: number, isStored: boolean) {
  const random = new Random(seed)
  const store = isStored ? new LateStore() : undefined
  const limits = {
    maximumInflight: 1 + random.below(10),
    receiveMaximum: RECEIVE_MAXIMUM,
    maximumBacklogBytes: 1024 << random.below(4),
  }
  const harness = new Harness({ limits, ...(store && { store }) })
  const world: World = { random, harness, store }
  const subscriber = new Subscriber(world, "sub")
  const publishers = ["p", "q"].map((clientId) => new Publisher(world, clientId))
  for (const peer of [subscriber, ...publishers]) await peer.connect()
  subscriber.subscribe()
  await commit(world)

  for (let step = 0; step < 150; step++) {
    const publisher = publishers[random.below(2)]!
    switch (random.below(12)) {
      case 0:
        subscriber.drop()
        break
      case 1:
        publisher.drop()
        break
      case 2:
        subscriber.choke(random.below(40))
        break
      case 3:
        subscriber.drain(random.below(200))
        break
      case 4:
        if (random.below(3) === 0 && store !== undefined) {
          await microtasks()
          store.pending.shift()?.reject(new Error("not now"))
          await microtasks()
          harness.clock.advance(1)
        } else await commit(world, random.below(2) === 0)
        break
      case 5:
      case 6:
        subscriber.read(random.below(5))
        break
      case 7:
        publisher.read(random.below(5))
        break
      default:
        for (let i = random.below(4); i >= 0; i--) publisher.publish(random.below(3) as 0 | 1 | 2, step * 10 + i)
    }
    for (const peer of [subscriber, ...publishers]) if (!peer.isConnected && random.below(4) === 0) await peer.connect()
  }
  return { world, subscriber, publishers }
}

/** Everybody connects, reads and is read, until nothing more happens. */
async function runOut({ world, subscriber, publishers }: Awaited<ReturnType<typeof live>>): Promise<void> {
  for (const peer of [subscriber, ...publishers]) if (!peer.isConnected) await peer.connect()
  for (let isBusy = true; isBusy; ) {
    subscriber.drain(Number.POSITIVE_INFINITY)
    await commit(world)
    isBusy = [subscriber, ...publishers].map((peer) => peer.read()).includes(true)
    await commit(world)
  }
}

/** The first time of each, by publisher. */
const firsts = (payloads: string[], clientId: string) =>
  [...new Set(payloads)].filter((payload) => payload.startsWith(clientId))

for (const [name, isStored, seeds] of [
  ["in memory", false, 300],
  ["with a store that commits late", true, 150],
] as const)
  describe(name, () => {
    test(`${seeds} random lives: at most once, at least once, exactly once, in order, and nothing is left`, async () => {
      let refused = 0
      for (let seed = 1; seed <= seeds; seed++) {
        const lived = await live(seed, isStored)
        const { world, subscriber, publishers } = lived
        await runOut(lived)
        const { core } = world.harness
        const of = (what: unknown) => ({ seed, what })
        for (const { published, inflight, refused, displaced } of publishers) {
          const clientId = `${published.flat()[0] ?? "?"}`[0]!
          const taken = (payloads: string[]) => payloads.filter((payload) => !refused.has(payload))
          const inPlace = (payloads: string[]) => taken(payloads).filter((payload) => !displaced.has(payload))
          expect(of(inflight.size)).toEqual(of(0))
          for (const qos of [1, 2]) {
            const came = firsts(subscriber.delivered[qos]!, clientId)
            expect(of(inPlace(came))).toEqual(of(inPlace(published[qos]!)))
            expect(of(taken(came).sort())).toEqual(of(taken(published[qos]!).sort()))
          }
          const atMostOnce = published[0]!.filter((payload) => subscriber.delivered[0]!.includes(payload))
          expect(of(firsts(subscriber.delivered[0]!, clientId))).toEqual(of(atMostOnce))
        }
        expect(of(subscriber.delivered[2]!.length)).toEqual(of(new Set(subscriber.delivered[2]).size))
        expect(of(subscriber.delivered[0]!.length)).toEqual(of(new Set(subscriber.delivered[0]).size))
        const session = core.sessions.get("sub")!
        expect(of([core.queueBytes, core.inflightCount, session.queuedCount, session.inflightCount])).toEqual(
          of([0, 0, 0, 0]),
        )
        const { "backlog full": _, "store failing": refusals, ...dropped } = core.metrics.dropped
        expect(of(Object.values(dropped).reduce((sum, count) => sum + count, 0))).toEqual(of(0))
        refused += refusals
        expect(of(core.changes.durable)).toEqual(of(core.changes.appended))
      }
      expect(refused > 0).toBe(isStored)
    })

    test("a session that ends in the middle of everything leaves nothing behind", async () => {
      for (let seed = 1; seed <= 50; seed++) {
        const lived = await live(seed, isStored)
        const { world, subscriber, publishers } = lived
        for (const peer of [subscriber, ...publishers]) peer.drop()
        world.harness.clock.advance(3601)
        await commit(world)
        if (lived.world.random.below(2) === 0) await commit(world, false)
        const { core } = world.harness
        // 3.1.1 has no expiry: those sessions are ended by a clean start
        for (const clientId of ["sub", "p", "q"]) world.harness.connect({ clientId })
        await commit(world)
        expect({ seed, left: [core.queueBytes, core.inflightCount] }).toEqual({ seed, left: [0, 0] })
        expect({ seed, subscriptions: core.router.subscriptionCount }).toEqual({ seed, subscriptions: 0 })
      }
    })

    if (isStored)
      test("what was committed is what the sessions hold when everything has run out: no delivery, no open flow", async () => {
        for (let seed = 1; seed <= 50; seed++) {
          const lived = await live(seed, true)
          await runOut(lived)
          const open = new Set<string>()
          for (const change of lived.world.store!.committed) {
            if (change.kind === "queued") open.add(`${change.delivery.owner} ${change.delivery.sequence}`)
            if (change.kind === "settled") open.delete(`${change.owner} ${change.sequence}`)
            if (change.kind === "received") open.add(`${change.clientId} received ${change.packetId}`)
            if (change.kind === "completed") open.delete(`${change.clientId} received ${change.packetId}`)
          }
          expect({ seed, open: [...open] }).toEqual({ seed, open: [] })
        }
      })
  })

/**
 * The database against the plain store in memory: random batches of changes leave the same in both. A batch here is what a
 * broker might gather while its disk is slow: things begin, go on and end in it, and their names are given out again.
 */
import { Database } from "bun:sqlite"
import { describe, expect, test } from "bun:test"
import { join } from "node:path"
import type { StoredChange, StoredMessage } from "../../../src/broker/ports.ts"
import { memory } from "../../../src/store/memory.ts"
import { StoreDatabase } from "../../../src/store/sqlite/database.ts"
import { temporaryFolder } from "../../support/broker-process.ts"
import { Random } from "../../support/bytes.ts"
import {
  contentsOf,
  messageIdsIn,
  randomDelivery,
  randomMessage,
  randomSession,
  randomSubscription,
} from "../../support/stored.ts"

const clients = ["a", "b", "ü\u{1f642}", "d"]
const groups = ["$share/g/t", "$share/h/#"]
const topics = ["t", "a/b", "ü/\u{1f642}"]

/** How far a delivery has come. */
type State = "waiting" | "sent" | "released"

/** Makes changes such as a broker makes them, and knows what there is to change. */
class Changes {
  private readonly random: Random
  private readonly deliveries = new Map<string, Map<number, State>>()
  private readonly lastSequences = new Map<string, number>()
  private messages: StoredMessage[] = []
  private lastMessageId = 0

  constructor(random: Random) {
    this.random = random
  }

  batch(): StoredChange[] {
    return Array.from({ length: this.random.pick([1, 5, 30, 100]) }, () => this.some()).flat()
  }

  /** The broker has been started anew: message ids that nothing refers to are given out again. */
  restart(idsInUse: readonly number[]): void {
    this.messages = this.messages.filter(({ id }) => idsInUse.includes(id))
    this.lastMessageId = Math.max(0, ...idsInUse)
  }

  /** Ends everything. */
  end(): StoredChange[] {
    const settled = groups.flatMap((owner) => this.settleAll(owner))
    const unretained = topics.map((topicName) => ({ kind: "unretained", topicName }) as const)
    return [...clients.map((clientId) => ({ kind: "sessionRemoved", clientId }) as const), ...settled, ...unretained]
  }

  private some(): StoredChange[] {
    const { random } = this
    const clientId = random.pick(clients)
    switch (random.below(16)) {
      case 0:
        return [{ kind: "session", session: randomSession(random, clientId) }]
      case 1:
        if (random.chance(0.7)) return []
        this.deliveries.delete(clientId)
        this.lastSequences.delete(clientId)
        return [{ kind: "sessionRemoved", clientId }]
      case 2:
        return [{ kind: "subscribed", subscription: randomSubscription(random, clientId, random.pick(topics)) }]
      case 3:
        return [{ kind: "unsubscribed", clientId, topicFilter: random.pick(topics) }]
      case 4:
        return [{ kind: "received", clientId, packetId: random.between(1, 5) }]
      case 5:
        return [{ kind: "completed", clientId, packetId: random.between(1, 5) }]
      case 6:
        return [{ kind: "total", name: random.pick(topics), value: random.below(1000) }]
      case 7:
        return [{ kind: "retained", message: this.message() }]
      case 8:
        return [{ kind: "unretained", topicName: random.pick(topics) }]
      case 9:
        return this.settleAll(random.pick([...clients, ...groups]))
      case 10:
        return [{ kind: "settled", owner: random.pick([...clients, ...groups]), sequence: 1_000_000 }]
      case 11:
      case 12:
        return this.proceed(clientId)
      default:
        return this.queue()
    }
  }

  /** A message for one owner or for several, new or one that has been there before. */
  private queue(): StoredChange[] {
    const { random } = this
    const message = this.message()
    const owners = [...clients, ...groups].filter(() => random.chance(0.4))
    return owners.map((owner) => {
      const sequence = this.place(owner)
      this.statesOf(owner).set(sequence, "waiting")
      return { kind: "queued", delivery: randomDelivery(random, owner, sequence, message) }
    })
  }

  private message(): StoredMessage {
    const { random, messages } = this
    if (messages.length > 0 && random.chance(0.4)) return random.pick(messages)
    const message = randomMessage(random, ++this.lastMessageId, random.pick(topics))
    messages.push(message)
    return message
  }

  /** Where the next delivery stands: at the end, in a group at times in front, or where another one has been. */
  private place(owner: string): number {
    const { random } = this
    const states = this.statesOf(owner)
    const last = this.lastSequences.get(owner) ?? 0
    if (groups.includes(owner) && random.chance(0.4)) {
      const reused = random.between(-5, last)
      if (!states.has(reused)) return reused
    }
    this.lastSequences.set(owner, last + 1)
    return last + 1
  }

  /** A few deliveries of a client go on by a step. */
  private proceed(owner: string): StoredChange[] {
    const { random } = this
    const states = this.statesOf(owner)
    return [...states].slice(0, random.between(1, 10)).map(([sequence, state]): StoredChange => {
      if (state === "waiting" && random.chance(0.8)) {
        states.set(sequence, "sent")
        return { kind: "sent", owner, sequence, packetId: random.between(1, 65_535) }
      }
      if (state === "sent" && random.chance(0.5)) {
        states.set(sequence, "released")
        return { kind: "released", owner, sequence }
      }
      states.delete(sequence)
      return { kind: "settled", owner, sequence }
    })
  }

  private settleAll(owner: string): StoredChange[] {
    const states = this.statesOf(owner)
    const sequences = [...states.keys()]
    if (this.random.chance(0.3)) sequences.reverse()
    states.clear()
    return sequences.map((sequence) => ({ kind: "settled", owner, sequence }))
  }

  private statesOf(owner: string): Map<number, State> {
    let states = this.deliveries.get(owner)
    if (states === undefined) this.deliveries.set(owner, (states = new Map()))
    return states
  }
}

/** The ids of the messages that a database has. */
function messageIds(path: string): number[] {
  using sqlite = new Database(path, { readonly: true })
  return sqlite.query("SELECT id FROM message ORDER BY id").values().flat() as number[]
}

async function lastMessageId(database: StoreDatabase): Promise<number> {
  for (const item of database.load()) if (item.kind === "lastMessageId") return item.id
  return -1
}

/** What no database takes. */
const impossible = { kind: "total", name: "x", value: null as unknown as number } as const

/** Ends every delivery that there is. */
function settlingAll({ inflight, waiting }: Awaited<ReturnType<typeof contentsOf>>): StoredChange[] {
  const deliveries = [...inflight.map((item) => (item as { delivery: object }).delivery), ...waiting]
  return deliveries.map((each) => ({ kind: "settled", ...(each as { owner: string; sequence: number }) }))
}

describe("after every batch the database holds what the store in memory holds", () => {
  for (let seed = 1; seed <= 8; seed++)
    test(`life ${seed}`, async () => {
      using folder = temporaryFolder()
      const path = join(folder.path, "manju.db")
      const random = new Random(seed)
      const changes = new Changes(random)
      const model = memory()
      let database = new StoreDatabase(path, "process")
      for (let batch = 0; batch < 40; batch++) {
        const before = await contentsOf(model)
        const next = changes.batch()
        if (random.chance(0.2)) {
          expect(() => database.commit([...settlingAll(before), ...next, impossible])).toThrow()
          expect([batch, await contentsOf(database)]).toEqual([batch, before]) // all of a batch or nothing
        }
        database.commit(next)
        if (random.chance(0.2)) database.commit(next) // whoever has lost the answer asks again
        await model.commit(next)
        const contents = await contentsOf(model)
        expect([batch, await contentsOf(database)]).toEqual([batch, contents])
        const inUse = messageIdsIn(contents)
        expect([batch, messageIds(path)]).toEqual([batch, inUse]) // each once, and none that nobody refers to
        expect(await lastMessageId(database)).toBe(inUse.at(-1) ?? 0)
        if (random.chance(0.2)) {
          database.close()
          database = new StoreDatabase(path, "process")
          changes.restart(inUse)
          expect([batch, await contentsOf(database)]).toEqual([batch, contents])
        }
      }
      const end = changes.end()
      database.commit(end)
      const { totals } = await contentsOf(database)
      const nothing = await contentsOf(memory())
      expect(await contentsOf(database)).toEqual({ ...nothing, totals })
      expect(messageIds(path)).toEqual([])
      database.close()
    })
})

describe("a page", () => {
  test("is what waits behind a sequence, in order, at most as many as are asked for", () => {
    const database = new StoreDatabase(":memory:", "process")
    const random = new Random(1)
    const order = [7, -3, 12, 0, 5, -1, 30]
    const queued = order.map((sequence) => {
      return { kind: "queued", delivery: randomDelivery(random, "o", sequence, randomMessage(random, 1)) } as const
    })
    database.commit([...queued, { kind: "sent", owner: "o", sequence: 5, packetId: 1 }])
    const page = (after: number, limit: number) => database.page("o", after, limit).map(({ sequence }) => sequence)
    expect(page(Number.MIN_SAFE_INTEGER, 100)).toEqual([-3, -1, 0, 7, 12, 30])
    expect(page(-3, 3)).toEqual([-1, 0, 7])
    expect(page(8, 1)).toEqual([12])
    expect(page(30, 10)).toEqual([])
    expect(database.page("another", 0, 10)).toEqual([])
    database.close()
  })
})

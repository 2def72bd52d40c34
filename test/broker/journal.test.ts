import { describe, expect, test } from "bun:test"
import { Journal, type JournalHost } from "../../src/broker/journal.ts"
import type { Logger } from "../../src/broker/ports.ts"
import type { StoredChange } from "../../src/broker/stored.ts"
import { Storing } from "../../src/broker/storing.ts"
import { Topic } from "../../src/router/index.ts"
import { type Change, Message } from "../../src/session/index.ts"
import { ManualClock } from "../../src/testing/clock.ts"
import { Random } from "../support/bytes.ts"
import { LateStore, microtasks } from "../support/store.ts"

const storing = new Storing((name) => new Topic(name, Buffer.from(name), 0))
const message = Message.create(new Topic("t", Buffer.from("t"), 0), Buffer.from("x"), 1, false, {}, 0)
const queued = (owner: string, sequence: number): Change => ({
  kind: "queued",
  owner,
  delivery: { sequence, message, qos: 1, retain: false, identifiers: undefined, group: undefined },
})
const options = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
const sent = (owner: string, sequence: number): Change => ({ kind: "sent", owner, sequence, packetId: sequence })
const released = (owner: string, sequence: number): Change => ({ kind: "released", owner, sequence })
const settled = (owner: string, sequence: number): Change => ({ kind: "settled", owner, sequence })

/** `queued a 1`: a change in short. */
const brief = (change: StoredChange) => {
  if (change.kind === "queued") return `queued ${change.delivery.owner} ${change.delivery.sequence}`
  if ("sequence" in change) return `${change.kind} ${change.owner} ${change.sequence}`
  return change.kind
}

function started(maximumUnstoredBytes = 1e6) {
  const store = new LateStore()
  const clock = new ManualClock()
  const errors: string[] = []
  const journal = new Journal(store, storing, maximumUnstoredBytes, hostOf(clock, errors))
  return { store, clock, errors, journal, pending: () => store.pending.map(({ changes }) => changes.map(brief)) }
}

/** Notes what is logged as an error, and faults. */
function hostOf(clock: ManualClock, errors: string[]): JournalHost {
  const logger: Logger = { debug() {}, info() {}, warn() {}, error: (text) => errors.push(text) }
  return { clock, logger, storeFailed() {}, onBug: (error) => errors.push(`a fault: ${error}`) }
}

/** Whether a promise has been resolved by now. */
async function isResolved(promise: Promise<void>): Promise<boolean> {
  let done = false
  promise.then(() => (done = true))
  await microtasks()
  return done
}

describe("the journal", () => {
  test("without a store records nothing, and nothing waits", async () => {
    const journal = new Journal(undefined, storing, 1e6, hostOf(new ManualClock(), []))
    expect([journal.isActive, journal.appended, journal.durable]).toEqual([false, 0, 0])
    expect(await isResolved(journal.settled())).toBe(true)
  })

  test("commits what one turn appends in one batch, in order", async () => {
    const { journal, pending } = started()
    journal.append(queued("a", 1))
    journal.append(queued("b", 1))
    journal.append(sent("a", 1))
    expect(pending()).toEqual([])
    await microtasks()
    expect(pending()).toEqual([["queued a 1", "queued b 1", "sent a 1"]])
  })

  test("gathers the next batch while a commit is under way: one at a time", async () => {
    const { journal, pending, store } = started()
    journal.append(queued("a", 1))
    await microtasks()
    for (let sequence = 2; sequence < 5; sequence++) {
      journal.append(queued("a", sequence))
      await microtasks()
    }
    expect(pending()).toEqual([["queued a 1"]])
    expect([journal.appended, journal.durable]).toEqual([4, 0])
    store.pending.shift()!.resolve()
    await microtasks()
    expect(pending()).toEqual([["queued a 2", "queued a 3", "queued a 4"]])
    expect(journal.durable).toBe(1)
    await store.commitAll()
    expect(journal.durable).toBe(4)
  })

  test("a delivery queued and settled within a batch is never written, whatever happened to it between", async () => {
    const { journal, pending, store } = started()
    for (const change of [queued("a", 1), queued("a", 2), sent("a", 1), released("a", 1), queued("b", 1)]) {
      journal.append(change)
    }
    journal.append(settled("a", 1))
    await microtasks()
    expect(pending()).toEqual([["queued a 2", "queued b 1"]])
    await store.commitAll()
    expect([journal.appended, journal.durable]).toEqual([6, 6])
  })

  test("one that was written is settled in the store, without what happened to it between", async () => {
    const { journal, pending, store } = started()
    journal.append(queued("a", 1))
    await microtasks()
    for (const change of [sent("a", 1), released("a", 1), settled("a", 1)]) journal.append(change)
    store.pending.shift()!.resolve()
    await microtasks()
    expect(pending()).toEqual([["settled a 1"]])
  })

  test("of what happens to one thing within a batch only the outcome is written", async () => {
    const { journal, store } = started()
    const session = (expirySeconds: number): Change => ({
      kind: "session",
      session: { clientId: "a", username: null, expirySeconds, disconnectedAt: undefined, will: undefined },
    })
    const subscription = { topicFilter: "f", options, identifier: undefined }
    for (const change of [
      session(1),
      { kind: "subscribed", clientId: "a", subscription },
      { kind: "received", clientId: "a", packetId: 1 },
      { kind: "retained", message },
      { kind: "total", name: "n", value: 1 },
      { kind: "completed", clientId: "a", packetId: 1 },
      { kind: "unsubscribed", clientId: "a", topicFilter: "f" },
      { kind: "unretained", topicName: "t" },
      { kind: "total", name: "n", value: 2 },
      { kind: "subscribed", clientId: "b", subscription },
      session(2),
    ] satisfies Change[]) {
      journal.append(change)
    }
    await store.commitAll()
    expect(store.committed.map(brief)).toEqual([
      "completed",
      "unsubscribed",
      "unretained",
      "total",
      "subscribed",
      "session",
    ])
    expect(store.committed).toContainEqual({ kind: "total", name: "n", value: 2 })
    expect(store.committed.at(-1)).toMatchObject({ session: { expirySeconds: 2 } })
    expect([journal.appended, journal.durable, journal.unstoredBytes]).toEqual([11, 11, 0])
  })

  test("what ends a session stays where it is, between what was before and what comes after", async () => {
    const { journal, store } = started()
    journal.append(queued("a", 1))
    journal.append({ kind: "sessionRemoved", clientId: "a" })
    journal.append(queued("a", 1))
    journal.append(settled("a", 1))
    await store.commitAll()
    expect(store.committed.map(brief)).toEqual(["queued a 1", "sessionRemoved"])
  })

  test("is full when what waits weighs more than it may, and has room again when it is stored", async () => {
    const { journal, store } = started(1000)
    expect([journal.isFull, await isResolved(journal.room())]).toEqual([false, true])
    for (let sequence = 1; sequence < 5; sequence++) journal.append(queued("a", sequence))
    expect([journal.isFull, journal.isStrained, journal.isFailing]).toEqual([true, true, false])
    const room = journal.room()
    expect(await isResolved(room)).toBe(false)
    journal.append(queued("a", 5)) // into the next batch
    await store.commitAll()
    expect([await isResolved(room), journal.isFull, journal.unstoredBytes]).toEqual([true, false, 0])
  })

  test("what is settled before it is written weighs nothing", () => {
    const { journal } = started(1000)
    for (let sequence = 1; sequence < 100; sequence++) {
      journal.append(queued("a", sequence))
      journal.append(sent("a", sequence))
      journal.append(settled("a", sequence))
    }
    expect([journal.isFull, journal.unstoredBytes]).toEqual([false, 0])
  })

  test("once closed asks a store that fails no more", async () => {
    const { journal, store, clock } = started()
    journal.append(queued("a", 1))
    await microtasks()
    store.pending.shift()!.reject(new Error("disk full"))
    await microtasks()
    journal.close()
    clock.advance(10)
    await microtasks()
    expect([store.pending.length, clock.recurringCount]).toEqual([0, 0])
  })

  test("a batch of which nothing is left is durable without the store being asked", async () => {
    const { journal, store } = started()
    journal.append(queued("a", 1))
    journal.append(settled("a", 1))
    expect(await isResolved(journal.settled())).toBe(true)
    expect([store.pending.length, journal.durable]).toEqual([0, 2])
  })

  test("calls who waits once for each time that it asks, when durable has moved", async () => {
    const { journal, store } = started()
    const seen: number[] = []
    const waiting = { onDurable: () => void seen.push(journal.durable) }
    journal.append(queued("a", 1))
    journal.wait(waiting)
    journal.wait(waiting)
    await microtasks()
    expect(seen).toEqual([])
    await store.commitAll()
    expect(seen).toEqual([1])
    journal.append(queued("a", 2))
    await store.commitAll()
    expect(seen).toEqual([1])
  })

  test("settled() waits for what was appended before it, and for nothing after", async () => {
    const { journal, store } = started()
    journal.append(queued("a", 1))
    await microtasks()
    journal.append(queued("a", 2))
    const before = journal.settled()
    for (let sequence = 3; sequence < 6; sequence++) {
      store.pending.shift()!.resolve()
      await microtasks()
      journal.append(queued("a", sequence)) // the journal is never idle
      expect(await isResolved(before)).toBe(sequence > 3)
    }
  })

  test("a store that fails is asked again with the same batch, until it takes it; meanwhile nothing is durable", async () => {
    const { journal, store, clock, errors, pending } = started()
    journal.append(queued("a", 1))
    const done = journal.settled()
    for (let attempt = 0; attempt < 3; attempt++) {
      await microtasks()
      journal.append(queued("b", attempt + 1))
      expect(pending()).toEqual([["queued a 1"]])
      store.pending.shift()!.reject(new Error("disk full"))
      await microtasks()
      expect([pending(), journal.durable]).toEqual([[], 0])
      clock.advance(1)
      await microtasks()
    }
    expect(errors).toHaveLength(1) // said once
    expect(errors[0]).toContain("disk full")
    store.pending.shift()!.resolve()
    expect(await isResolved(done)).toBe(true)
    expect([pending(), journal.durable]).toEqual([[["queued b 1", "queued b 2", "queued b 3"]], 1])
    await store.commitAll()
    expect([journal.durable, clock.recurringCount]).toEqual([4, 0])
  })

  test("a store that throws is one that fails", async () => {
    const errors: string[] = []
    const clock = new ManualClock()
    let attempts = 0
    const store = {
      commit() {
        if (attempts++ === 0) throw new Error("no such table")
        return Promise.resolve()
      },
      async *load() {},
      page: async () => [],
      close: () => Promise.resolve(),
    }
    const journal = new Journal(store, storing, 1e6, hostOf(clock, errors))
    journal.append(queued("a", 1))
    await microtasks()
    expect([errors.length, journal.durable]).toEqual([1, 0])
    clock.advance(1)
    await microtasks()
    expect(journal.durable).toBe(1)
  })

  test("writes what replays to the same state, over random lives of deliveries and commits", async () => {
    for (let seed = 1; seed <= 100; seed++) {
      const random = new Random(seed)
      const { journal, store } = started()
      const states = new Map<number, string>()
      const next: Record<string, (sequence: number) => Change> = {
        queued: (sequence) => sent("a", sequence),
        sent: (sequence) => (random.below(2) === 0 ? released("a", sequence) : settled("a", sequence)),
        released: (sequence) => settled("a", sequence),
      }
      for (let step = 0, last = 0; step < 200; step++) {
        if (states.size === 0 || random.below(3) === 0) {
          journal.append(queued("a", ++last))
          states.set(last, "queued")
        } else {
          const [sequence, state] = [...states][random.below(states.size)]!
          const change = next[state]!(sequence)
          journal.append(change)
          if (change.kind === "settled") states.delete(sequence)
          else states.set(sequence, change.kind)
        }
        if (random.below(5) === 0) await microtasks()
        if (random.below(7) === 0) store.pending.shift()?.resolve()
      }
      await store.commitAll()
      const replayed = new Map<number, string>()
      for (const change of store.committed) {
        if (change.kind === "queued") {
          expect(replayed.has(change.delivery.sequence)).toBe(false)
          replayed.set(change.delivery.sequence, "queued")
        } else if ("sequence" in change) {
          expect(replayed.has(change.sequence)).toBe(true)
          if (change.kind === "settled") replayed.delete(change.sequence)
          else replayed.set(change.sequence, change.kind)
        }
      }
      expect(replayed).toEqual(states)
      expect(journal.durable).toBe(journal.appended)
    }
  })
})

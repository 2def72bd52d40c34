/** One write per connection and turn, and no turn that keeps others waiting. */
import { describe, expect, test } from "bun:test"
import { Turn } from "../../src/broker/turn.ts"
import { settled } from "../../src/testing/settled.ts"

/** Outboxes that note when they are flushed. */
function outboxes(count: number) {
  const flushed: number[] = []
  const all = Array.from({ length: count }, (_, index) => ({ flush: () => void flushed.push(index) }))
  return { all, flushed }
}

/** A turn in which all of these are marked. */
function take(turn: Turn, marked: readonly { flush(): void }[]): void {
  turn.begin()
  for (const each of marked) turn.mark(each)
  turn.end()
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)

describe("what a turn has marked", () => {
  test("is flushed when it ends, in order", () => {
    const { all, flushed } = outboxes(100)
    const turn = new Turn()
    turn.begin()
    for (const each of all) turn.mark(each)
    expect(flushed).toEqual([])
    turn.end()
    expect(flushed).toEqual(numbers(100))
  })

  test("outside of one is flushed with the microtasks", async () => {
    const { all, flushed } = outboxes(2)
    const turn = new Turn()
    for (const each of all) turn.mark(each)
    expect(flushed).toEqual([])
    await Promise.resolve()
    expect(flushed).toEqual([0, 1])
  })

  test("is flushed in slices when it is much, each once and in order, and a turn in between flushes its own at once", async () => {
    const many = outboxes(1000)
    const few = outboxes(3)
    const turn = new Turn()
    take(turn, many.all)
    expect(many.flushed.length).toBeLessThan(1000)
    for (let slices = 1; many.flushed.length < 1000; slices++) {
      expect(many.flushed.length).toBeGreaterThanOrEqual(slices * 50)
      expect(many.flushed.length).toBeLessThan(slices * 300)
      few.flushed.length = 0
      take(turn, few.all)
      expect(few.flushed).toEqual([0, 1, 2])
      await settled()
    }
    expect(many.flushed).toEqual(numbers(1000))
  })
})

describe("a turn that is interrupted", () => {
  test("goes on in the next, and what it has marked is flushed when it ends", async () => {
    const { all, flushed } = outboxes(2)
    const turn = new Turn()
    turn.begin()
    turn.mark(all[1]!)
    turn.interrupt(() => {
      turn.begin()
      turn.mark(all[0]!)
      turn.end()
    })
    take(turn, [])
    expect(flushed).toEqual([])
    await settled()
    expect(flushed).toEqual([1, 0])
  })

  test("goes on together with what is marked while others are flushed", async () => {
    const { all, flushed } = outboxes(2)
    const turn = new Turn()
    const late = outboxes(1000)
    take(turn, [...late.all, { flush: () => turn.mark(all[0]!) }])
    turn.begin()
    turn.mark(all[1]!)
    turn.interrupt(() => {})
    for (let slices = 0; slices < 20; slices++) {
      turn.begin()
      turn.interrupt(() => {}) // so that there is one to go on in the very turn of the event loop
      await settled()
    }
    expect(late.flushed).toHaveLength(1000)
    expect(flushed.sort()).toEqual([0, 1])
  })

  test("says when it ends whether all have been flushed, and if not goes on when they are, whatever is marked meanwhile", async () => {
    const many = outboxes(1000)
    const turn = new Turn()
    turn.begin()
    turn.mark(many.all[0]!)
    expect(turn.end()).toBe(true)
    turn.begin()
    for (const each of many.all) turn.mark(each)
    expect(turn.end()).toBe(false)
    let flushedBefore = 0
    turn.interrupt(() => {
      flushedBefore = many.flushed.length
    })
    const others = outboxes(10_000)
    for (let slices = 0; slices < 20; slices++) {
      take(turn, others.all.slice(slices * 500, slices * 500 + 500))
      await settled()
    }
    expect(flushedBefore).toBe(1001)
    expect(others.flushed.length).toBeLessThan(10_000)
  })

  test("does not hold up what is marked outside of one", async () => {
    const { all, flushed } = outboxes(1)
    const turn = new Turn()
    turn.begin()
    turn.interrupt(() => {})
    turn.mark(all[0]!)
    await Promise.resolve()
    expect(flushed).toEqual([0])
  })

  test("leaves nothing behind when it does not go on", async () => {
    const { all, flushed } = outboxes(1)
    const turn = new Turn()
    turn.begin()
    turn.mark(all[0]!)
    turn.interrupt(() => {})
    await settled()
    expect(flushed).toEqual([0])
    turn.mark(all[0]!) // nor is it still open
    await Promise.resolve()
    expect(flushed).toEqual([0, 0])
  })

  test("waits for those that were interrupted before, one in each turn of the event loop", async () => {
    const turn = new Turn()
    const went: string[] = []
    for (const name of ["a", "b", "c"]) {
      turn.begin()
      turn.interrupt(() => void went.push(name))
    }
    for (const expected of [["a"], ["a", "b"], ["a", "b", "c"]]) {
      await settled()
      expect(went).toEqual(expected)
    }
  })
})

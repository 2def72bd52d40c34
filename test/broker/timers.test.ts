import { describe, expect, test } from "bun:test"
import { TICK_MS, Timers } from "../../src/broker/timers.ts"
import { Turn } from "../../src/broker/turn.ts"
import { ManualClock } from "../../src/testing/clock.ts"
import { Random } from "../support/bytes.ts"
import { microtasks } from "../support/store.ts"

/** No deadline of these tests throws. */
const unexpected = (error: unknown) => {
  throw error
}

function started() {
  const clock = new ManualClock()
  const timers = new Timers(clock, unexpected)
  const start = clock.now()
  const rung: string[] = []
  const schedule = (name: string, afterMs: number) =>
    timers.schedule(start + afterMs, () => rung.push(`${name} ${clock.now() - start}`))
  return { clock, timers, rung, schedule }
}

describe("the wheel", () => {
  test("a deadline that throws is reported, and the others of its tick are called", () => {
    const clock = new ManualClock()
    const bugs: unknown[] = []
    const timers = new Timers(clock, (error) => bugs.push(error))
    const rung: number[] = []
    for (const each of [1, 2, 3]) {
      timers.schedule(clock.now() + 1000, () => {
        if (each === 2) throw new Error("a bug")
        rung.push(each)
      })
    }
    clock.advance(2)
    expect([rung, bugs.map(String)]).toEqual([[1, 3], ["Error: a bug"]])
  })
  test("calls at the deadline or up to two ticks later, never before", () => {
    for (const offsetMs of [0, 1, 100, 249]) {
      const clock = new ManualClock()
      clock.advance(offsetMs / 1000)
      const timers = new Timers(clock, unexpected)
      const late: number[] = []
      for (let afterMs = 0; afterMs < 2000; afterMs += 7) {
        const at = clock.now() + afterMs
        timers.schedule(at, () => late.push(clock.now() - at))
      }
      clock.advance(3)
      expect(late).toHaveLength(Math.ceil(2000 / 7))
      expect(Math.min(...late)).toBeGreaterThanOrEqual(0)
      expect(Math.max(...late)).toBeLessThanOrEqual(2 * TICK_MS)
    }
  })

  test("a deadline that has passed is met at the next tick", () => {
    const { clock, rung, schedule } = started()
    schedule("past", -5000)
    expect(rung).toEqual([])
    clock.advance(TICK_MS / 1000)
    expect(rung).toHaveLength(1)
  })

  test("what is cancelled is not called, whenever that was", () => {
    const { clock, timers, rung, schedule } = started()
    const one = schedule("one", 1000)
    schedule("two", 1000)
    one.cancel()
    clock.advance(2)
    expect(rung.map((line) => line.split(" ")[0])).toEqual(["two"])
    one.cancel()
    // of two that are due together, the first cancels the second
    const called: string[] = []
    let second = { cancel() {} }
    timers.schedule(clock.now() + 500, () => {
      called.push("first")
      second.cancel()
    })
    second = timers.schedule(clock.now() + 500, () => called.push("second"))
    clock.advance(2)
    expect(called).toEqual(["first"])
  })

  test("what is scheduled by what is due is called in its turn", () => {
    const { clock, timers } = started()
    const called: number[] = []
    const start = clock.now()
    const again = () => {
      called.push(clock.now() - start)
      if (called.length < 5) timers.schedule(clock.now() + 1000, again)
    }
    timers.schedule(start + 1000, again)
    clock.advance(10)
    expect(called).toHaveLength(5)
    for (let i = 1; i < 5; i++) expect(called[i]! - called[i - 1]!).toBeGreaterThanOrEqual(1000)
  })

  test("a clock that has stood still for long, as on a suspended machine, skips nothing and keeps the order", () => {
    for (const deadlines of [3, 2000]) {
      let now = 1_700_000_000_000
      let tick = () => {}
      const timers = new Timers(
        {
          now: () => now,
          every(_intervalMs, call) {
            tick = call
            return () => {}
          },
        },
        unexpected,
      )
      const called: number[] = []
      for (let i = 0; i < deadlines; i++) timers.schedule(now + i * 1000, () => called.push(i))
      timers.schedule(now + 10 ** 9, () => called.push(-1))
      now += (deadlines + 1) * 1000
      tick()
      expect(called).toEqual(Array.from({ length: deadlines }, (_, i) => i))
      now += 2 * 10 ** 9
      tick()
      expect(called.at(-1)).toBe(-1)
    }
  })

  test("turns only while something is on it", () => {
    const { clock, rung, schedule } = started()
    expect(clock.recurringCount).toBe(0)
    schedule("a", 1000)
    const b = schedule("b", 100_000)
    expect(clock.recurringCount).toBe(1)
    clock.advance(2)
    expect([rung.length, clock.recurringCount]).toEqual([1, 1])
    b.cancel()
    clock.advance(1)
    expect(clock.recurringCount).toBe(0)
    schedule("c", 10_000)
    clock.advance(20)
    expect([rung.length, clock.recurringCount]).toEqual([2, 0])
  })

  test("rests while nothing is due: with deadlines far away it turns once a second, and a nearer one wakes it in time", () => {
    let turns = 0
    const clock = new (class extends ManualClock {
      override every(intervalMs: number, tick: () => void) {
        return super.every(intervalMs, () => {
          turns++
          tick()
        })
      }
    })()
    const timers = new Timers(clock, unexpected)
    for (let minute = 1; minute <= 100; minute++) timers.schedule(clock.now() + minute * 60_000, () => {})
    clock.advance(50)
    expect(turns).toBe(50)
    const at = clock.now() + 100
    const rung: number[] = []
    timers.schedule(at, () => rung.push(clock.now() - at))
    clock.advance(2 * (TICK_MS / 1000))
    expect(rung).toHaveLength(1)
    expect(rung[0]).toBeWithin(0, 2 * TICK_MS)
  })

  test("forgets what was cancelled: a million deadlines far away leave nothing", () => {
    const { clock, schedule } = started()
    for (let i = 0; i < 1_000_000; i++) schedule("x", 86_400_000 + i * 1000).cancel()
    clock.advance(1)
    expect(clock.recurringCount).toBe(0)
  })

  test("agrees with a list of deadlines, over random steps", () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = new Random(seed)
      const { clock, timers } = started()
      const open = new Map<number, { at: number; cancel(): void }>()
      for (let step = 0, name = 0; step < 300; step++) {
        if (random.below(3) > 0) {
          const id = name++
          const at = clock.now() + random.below(20_000)
          const timer = timers.schedule(at, () => {
            expect(clock.now()).toBeGreaterThanOrEqual(at)
            expect(open.delete(id)).toBe(true)
          })
          open.set(id, { at, cancel: () => timer.cancel() })
        } else if (random.below(2) === 0 && open.size > 0) {
          const id = [...open.keys()][random.below(open.size)]!
          open.get(id)!.cancel()
          open.delete(id)
        } else {
          clock.advance(random.below(3000) / 1000)
          for (const { at } of open.values()) expect(at).toBeGreaterThan(clock.now() - 2 * TICK_MS)
        }
      }
      clock.advance(25)
      expect([open.size, clock.recurringCount]).toEqual([0, 0])
    }
  })
})

describe("a turn", () => {
  function outboxes(turn: Turn) {
    const flushed: string[] = []
    return { flushed, make: (name: string) => ({ flush: () => void flushed.push(name), mark: () => {} }), turn }
  }

  test("flushes at its end, in order of entry, each entry once", () => {
    const turn = new Turn()
    const { flushed, make } = outboxes(turn)
    turn.begin()
    turn.mark(make("a"))
    turn.mark(make("b"))
    expect(flushed).toEqual([])
    turn.end()
    expect(flushed).toEqual(["a", "b"])
    turn.begin()
    turn.end()
    expect(flushed).toEqual(["a", "b"])
  })

  test("outside of one, flushes when the microtasks are done, once for all", async () => {
    const turn = new Turn()
    const { flushed, make } = outboxes(turn)
    turn.mark(make("a"))
    turn.mark(make("b"))
    expect(flushed).toEqual([])
    await microtasks()
    expect(flushed).toEqual(["a", "b"])
  })

  test("what enters while it is flushed is flushed too", () => {
    const turn = new Turn()
    const { flushed, make } = outboxes(turn)
    turn.begin()
    turn.mark({ flush: () => turn.mark(make("late")) })
    turn.end()
    expect(flushed).toEqual(["late"])
  })
})

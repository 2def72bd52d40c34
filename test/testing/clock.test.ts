/** A clock that a test moves. */
import { describe, expect, test } from "bun:test"
import { ManualClock } from "manju/testing"

describe("a clock that stands still", () => {
  test("tells the same time until it is moved, and then as much later", () => {
    const clock = new ManualClock()
    const start = clock.now()
    expect(new Date(start).getUTCFullYear()).toBe(2023)
    clock.advance(0.25)
    expect(clock.now()).toBe(start + 250)
  })

  test("calls what is due, each at its own time and in order", () => {
    const clock = new ManualClock()
    const start = clock.now()
    const calls: [string, number][] = []
    for (const [name, ms] of [
      ["a", 300],
      ["b", 200],
      ["c", 200],
    ] as const) {
      clock.every(ms, () => calls.push([name, clock.now() - start]))
    }
    clock.advance(0.6)
    expect(calls).toEqual([
      ["b", 200],
      ["c", 200],
      ["a", 300],
      ["b", 400],
      ["c", 400],
      ["a", 600],
      ["b", 600],
      ["c", 600],
    ])
    expect(clock.now()).toBe(start + 600)
  })

  test("does not call what has been taken back, be it by what was due before", () => {
    const clock = new ManualClock()
    let calls = 0
    const stop = clock.every(100, () => calls++)
    clock.every(100, stop)
    clock.advance(1)
    expect([calls, clock.recurringCount]).toEqual([1, 1])
  })

  test("calls what has been asked for on the way", () => {
    const clock = new ManualClock()
    const calls: number[] = []
    const stop = clock.every(1000, () => {
      stop()
      clock.every(500, () => calls.push(clock.now()))
    })
    const start = clock.now()
    clock.advance(2)
    expect(calls).toEqual([start + 1500, start + 2000])
  })
})

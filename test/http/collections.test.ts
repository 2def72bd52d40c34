/** How often garbage is collected, as the metrics have it: the collections are this process's own. */
import { describe, expect, test } from "bun:test"
import { Collections } from "../../src/http/collections.ts"
import { ManualClock } from "../../src/testing/clock.ts"

/** Full ones. */
function collect(times: number): void {
  for (let i = 0; i < times; i++) Bun.gc(true)
}

describe("garbage collections", () => {
  test("are counted from the first question on, each once, with the time that they take", () => {
    const clock = new ManualClock()
    const collections = new Collections(clock)
    collect(2)
    expect(collections.read().full).toEqual({ count: 0, seconds: 0 })
    collect(3)
    const first = collections.read().full
    expect(first.count).toBe(3)
    expect(first.seconds).toBeGreaterThan(0)
    expect(first.seconds).toBeLessThan(60)
    collect(2)
    clock.advance(11) // the list has been emptied meanwhile
    collect(1)
    const second = collections.read().full
    expect(second.count).toBe(6)
    expect(second.seconds).toBeGreaterThan(first.seconds)
    collections.close()
  })

  test("young ones apart", () => {
    const collections = new Collections(new ManualClock())
    const before = collections.read()
    const kept: unknown[] = []
    for (let i = 0; collections.read().young.count === before.young.count; i++) kept[i % 1000] = [String(i)]
    expect(collections.read().young.seconds).toBeGreaterThan(0)
    collections.close()
  })

  test("nobody who asks: nothing is counted, and nothing ticks", () => {
    const clock = new ManualClock()
    const collections = new Collections(clock)
    expect(clock.recurringCount).toBe(0)
    collections.read()
    expect(clock.recurringCount).toBe(1)
    clock.advance(590)
    collections.read()
    clock.advance(590)
    expect(clock.recurringCount).toBe(1)
    clock.advance(60)
    expect(clock.recurringCount).toBe(0)
    collect(1)
    expect(collections.read().full.count).toBe(0)
    expect(clock.recurringCount).toBe(1)
    collections.close()
    expect(clock.recurringCount).toBe(0)
  })
})

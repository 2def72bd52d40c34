/** Much work at once, a slice in each turn of the event loop. */
import { describe, expect, test } from "bun:test"
import { Pace } from "../../src/broker/pace.ts"
import { settled } from "../../src/testing/settled.ts"

/** Takes pieces of work one after another, and notes them. */
async function work(pace: Pace, name: string, pieces: number, done: string[]): Promise<void> {
  for (let i = 0; i < pieces; i++) {
    const pause = pace.next()
    if (pause !== undefined) await pause
    done.push(name)
  }
}

/** How many pieces are in a slice. */
function slice(): number {
  const pace = new Pace()
  let pieces = 0
  while (pace.next() === undefined) pieces++
  return pieces
}

describe("what is to be done", () => {
  test("is done at once as long as it is little", () => {
    const done: string[] = []
    void work(new Pace(), "a", slice(), done)
    expect(done).toHaveLength(slice())
  })
  test("goes on in the next turn when it is much, and in each turn there is as much again", async () => {
    const done: string[] = []
    void work(new Pace(), "a", slice() * 3 + 1, done)
    for (const turns of [1, 2, 3]) {
      expect(done).toHaveLength(slice() * turns)
      await settled()
    }
    expect(done).toHaveLength(slice() * 3 + 1)
  })
  test("is little again in a later turn", async () => {
    const pace = new Pace()
    const done: string[] = []
    for (const turns of [1, 2, 3]) {
      void work(pace, "a", slice(), done)
      expect(done).toHaveLength(slice() * turns)
      await settled()
    }
  })
  test("is shared fairly by those who have to wait, in the order in which they came", async () => {
    const pace = new Pace()
    const done: string[] = []
    const names = ["a", "b", "c"]
    for (const name of names) void work(pace, name, 2 * slice(), done)
    expect(done).toEqual(Array(slice()).fill("a"))
    while (done.length < 6 * slice()) {
      const before = done.length
      await settled()
      expect(done.length - before).toBeGreaterThan(0)
      expect(done.length - before).toBeLessThanOrEqual(slice())
    }
    const lastOf = (name: string) => done.lastIndexOf(name)
    expect(names.map(lastOf)).toEqual(names.map(lastOf).sort((a, b) => a - b))
    expect(done.indexOf("c")).toBeLessThan(2 * slice())
  })
})

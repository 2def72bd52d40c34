import { expect, test } from "bun:test"
import { NumberSet } from "../../src/session/number-set.ts"
import { Random } from "../support/bytes.ts"

// Around the sizes at which a floor is added.
test.each([1, 32, 33, 1024, 1025, 33_000, 1_050_000])(
  "numbers below %d: next is the smallest that is there",
  (bound) => {
    const random = new Random(bound)
    const set = new NumberSet()
    const model = new Set<number>()
    for (let step = 0; step < 2000; step++) {
      const number = random.below(bound)
      if (random.chance(0.6)) {
        set.add(number)
        model.add(number)
      } else {
        set.delete(number)
        model.delete(number)
      }
      if (step % 50 !== 0) continue
      const from = random.below(bound + 40)
      const behind = [...model].filter((each) => each >= from)
      expect(set.next(from)).toBe(behind.length === 0 ? -1 : Math.min(...behind))
    }
    const all: number[] = []
    for (let number = set.next(0); number >= 0; number = set.next(number + 1)) all.push(number)
    expect(all).toEqual([...model].sort((a, b) => a - b))
  },
)

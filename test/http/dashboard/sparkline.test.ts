/** The small line of a topic's numbers, and its text. */
import { describe, expect, test } from "bun:test"
import { describeNumbers, numberText, type Point, sparkline } from "../../../src/http/dashboard/model/sparkline.ts"

const size = { width: 108, height: 28 } // 100 by 20, and a margin of 4
const points = (...values: number[]): Point[] => values.map((value, second) => ({ time: 1000 * second, value }))

describe("the line", () => {
  test("goes from left to right, the lowest at the bottom and the highest at the top", () => {
    expect(sparkline(points(10, 20, 15), size)).toEqual({ points: "4,24 54,4 104,14", end: [104, 14] })
  })
  test("leaves room for the time in which nothing came", () => {
    const uneven = [0, 9, 10].map((second) => ({ time: second * 1000, value: second }))
    expect(sparkline(uneven, size)!.points).toBe("4,24 94,6 104,4")
  })
  test("is in the middle where the value stays as it is", () => {
    expect(sparkline(points(7, 7), size)!.points).toBe("4,14 104,14")
  })
  test("of one value is a dot", () => expect(sparkline(points(7), size)).toEqual({ points: "104,14", end: [104, 14] }))
  test("of none is none", () => expect(sparkline([], size)).toBeUndefined())
})

describe("its text", () => {
  test("says how many there were, in what time, and what they were", () => {
    expect(describeNumbers(points(20, 23.25, 21.5))).toBe(
      "3 values in 2 s: last 21.5, lowest 20, highest 23.25, mean 21.5833",
    )
    const hour = [0, 3_600_000].map((time) => ({ time, value: 1 }))
    expect(describeNumbers(hour)).toStartWith("2 values in 60 min: ")
    expect(describeNumbers(points(5))).toBe("one value: 5")
    expect(describeNumbers([])).toBe("no numbers yet")
  })
  test("has six digits of a number", () => {
    expect([1 / 3, 123456789, 0.1 + 0.2, -0.000001].map(numberText)).toEqual([
      ...["0.333333", "123457000", "0.3", "-0.000001"],
    ])
  })
})

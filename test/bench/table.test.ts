/** Tables and the numbers in them. */
import { describe, expect, test } from "bun:test"
import { grouped, median, ratio, rendered, significant } from "../../scripts/bench/table.ts"

const table = {
  head: ["scenario", "broker", "messages/s"],
  rows: [
    ["pairs", "manju", "6,000,000"],
    ["", "\x1b[1mratio\x1b[22m", "\x1b[32m4.00x\x1b[39m"],
  ],
}

describe("a table", () => {
  test("has words on the left and numbers on the right, whatever colours they have", () => {
    const lines = Bun.stripANSI(rendered(table, { markdown: false })).split("\n")
    expect(lines).toEqual([
      "scenario  broker  messages/s",
      "pairs     manju    6,000,000",
      "          ratio        4.00x",
    ])
  })

  test("has no colours as Markdown", () => {
    expect(rendered(table, { markdown: true })).toBe(
      "| scenario | broker | messages/s |\n| --- | --- | ---: |\n| pairs | manju | 6,000,000 |\n|  | ratio | 4.00x |",
    )
  })
})

describe("a number", () => {
  test("is grouped, or has three digits that count", () => {
    expect([1_234_567.8, 0].map(grouped)).toEqual(["1,234,568", "0"])
    expect([1234.5, 99.96, 0.1234].map(significant)).toEqual(["1,235", "100", "0.123"])
  })

  test("is the one in the middle of an odd number of them, or between two", () => {
    expect([median([3, 1, 2]), median([4, 1, 3, 2])]).toEqual([2, 2.5])
  })

  test("as a ratio has two decimals below ten, and as many as it takes to be more than nothing", () => {
    expect([2, 9.994, 10.4, 1, 0.07, 0.0022, 0.00098].map((value) => Bun.stripANSI(ratio(value, "more")))).toEqual([
      "2.00x",
      "9.99x",
      "10x",
      "1.00x",
      "0.07x",
      "0.002x",
      "0.0010x",
    ])
  })
})

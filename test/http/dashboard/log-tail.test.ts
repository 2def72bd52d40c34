/** The last lines of the log, as the dashboard keeps them. */
import { describe, expect, test } from "bun:test"
import { aroundName, fieldsOf, isShown, type LogLine, LogTail } from "../../../src/http/dashboard/model/log-tail.ts"

const line = (message: string, more: Partial<LogLine> = {}): LogLine => ({ time: 1, level: "info", message, ...more })
const lines = (count: number, name = "m") => Array.from({ length: count }, (_, n) => line(`${name}${n}`))

describe("the tail", () => {
  test("keeps blocks as they came, and what has been given stays as it is", () => {
    const tail = new LogTail()
    tail.add(lines(2), 0)
    const before = tail.blocks
    tail.add(lines(1), 5)
    expect(before).toHaveLength(1)
    expect(tail.blocks.map(({ lines, omitted }) => [lines.length, omitted])).toEqual([
      [2, 0],
      [1, 5],
    ])
    expect(tail.blocks[0]).toBe(before[0]!)
    expect(tail.size).toBe(3)
  })
  test("is bounded: the oldest blocks leave", () => {
    const tail = new LogTail(10)
    for (let block = 0; block < 6; block++) tail.add(lines(4, `${block}-`), 0)
    expect([tail.size, tail.blocks.map(({ id }) => id)]).toEqual([8, [5, 6]])
    tail.add(lines(50), 0)
    expect([tail.size, tail.blocks.at(-1)!.lines.at(-1)!.message]).toEqual([10, "m49"])
  })
  test("has no blocks of nothing", () => {
    const tail = new LogTail()
    tail.add([], 0)
    expect(tail.blocks).toEqual([])
    tail.add(lines(1), 0)
    tail.clear()
    expect([tail.size, tail.blocks.length]).toEqual([0, 0])
  })
})

describe("lines are shown", () => {
  const all = { text: "", area: undefined, level: "debug" } as const
  const about = line("refused a Client", { level: "warn", details: { area: "auth", clientId: "Pump-7" } })
  test("by level: that one, and what matters more", () => {
    const shown = (["debug", "info", "warn", "error"] as const).map((level) => isShown(about, { ...all, level }))
    expect(shown).toEqual([true, true, true, false])
  })
  test("by a part of the message or of a field", () => {
    const shown = ["", "client", "REFUSED", "pump-7", "pump-8"].map((text) => isShown(about, { ...all, text }))
    expect(shown).toEqual([true, true, true, true, false])
  })
  test("by area", () => {
    expect(isShown(about, { ...all, area: "auth" })).toBe(true)
    expect(isShown(about, { ...all, area: "store" })).toBe(false)
    expect(isShown(line("x"), { ...all, area: "store" })).toBe(false)
  })
})

describe("a client is linked where the message names it", () => {
  const messages: [message: string, clientId: string, around: [string, string] | undefined][] = [
    ["connected pump-7 (192.0.2.1) on tcp", "pump-7", ["connected ", " (192.0.2.1) on tcp"]],
    ["refused pump-7, user ada", "pump-7", ["refused ", ", user ada"]],
    ["connected c on tcp", "c", ["connected ", " on tcp"]],
    ["connected pump-77", "pump-7", undefined],
    ["the store is full", "pump-7", undefined],
    ["a client without an id", "", undefined],
  ]
  for (const [message, clientId, around] of messages) {
    test(`${JSON.stringify(clientId)} in “${message}”`, () => expect(aroundName(message, clientId)).toEqual(around))
  }
})

test("whatever a logger is given beside the message, only the fields of an object are fields", () => {
  const given = [undefined, null, "text", 7, { clientId: "a", port: 1, reason: undefined, list: [1] }]
  expect(given.map((details) => fieldsOf(line("m", { details })))).toEqual([
    ...[[], [], [], []],
    [
      ["clientId", "a"],
      ["port", "1"],
      ["list", "[1]"],
    ],
  ])
})

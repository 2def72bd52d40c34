/** A frame of `manju top`: lines for a width, from what the stream has told. */
import { describe, expect, test } from "bun:test"
import type { LiveEvent } from "../../../src/cli/admin-client.ts"
import { Board } from "../../../src/cli/top/board.ts"
import { type Frame, plainLines, plainObject, screenLines } from "../../../src/cli/top/frame.ts"
import type { View } from "../../../src/cli/top/view.ts"
import { clients, figures, topics } from "../../support/live-events.ts"

const plain = (_: string, text: string) => text
const marked = (style: string, text: string) => `<${style}>${text}</${style}>`
const view: View = { topicOrder: "rate", clientOrder: "messages", filter: "#", draft: undefined, isHalted: false }

function frameOf(events: readonly LiveEvent[], more: Partial<Frame> = {}): Frame {
  const board = new Board()
  for (const event of events) board.take(event)
  const snapshot = board.seconds > 0 ? board.snapshot() : undefined
  return { snapshot, version: "1.2.3", place: "http://127.0.0.1:8080", view, trouble: undefined, ...more }
}

const busy = [
  figures({ messagesReceived: 1500, messagesSent: 12, bytesReceived: 2_097_152, bytesSent: 100, connects: 2 }),
  topics([
    ["kitchen/light", 2, 3],
    ["cameras/door", 12, 30_000],
    ["a", 2, 1],
  ]),
  clients([
    ["pump-7", 1500, 0, "ada"],
    ["dash", 0, 12],
  ]),
]
const stored = { isReady: true, unstoredBytes: 0, bytesWritten: 5, commits: 40, commitP99Ms: 2.5 }

/** The names in the rows of a table. */
const column = (lines: readonly string[], title: string): string[] => {
  const head = lines.findIndex((line) => line.trimEnd().endsWith(title))
  const rows = lines.slice(head + 1)
  const end = rows.findIndex((line) => line.trim() === "" || /^[a-z]/.test(line))
  return rows.slice(0, end < 0 ? undefined : end).map((line) => line.trim().split(/ +/).at(-1)!)
}

describe("as a text it has", () => {
  test("the figures, the busiest topics and the busiest clients", () => {
    expect(plainLines(frameOf(busy), 10)).toEqual([
      "manju 1.2.3 at http://127.0.0.1:8080, up 1 h 2 min",
      "clients   3   4 connections   5 sessions   1 subscription",
      "arrivals  2/s   refused 0/s",
      "in        1,500 messages/s   2 MiB/s",
      "out       12 messages/s   100 B/s   dropped 0/s",
      "kept      1,234 retained   2 queued (2 KiB)   0 in flight",
      "machine   memory 80 MiB   event loop late by 0.30 ms",
      "",
      "topics # by rate",
      "   MSG/S   MESSAGES       LAST  QOS  TOPIC",
      "      12         12   29.3 KiB   1   cameras/door",
      "       2          2        1 B   1   a",
      "       2          2        3 B   1   kitchen/light",
      "",
      "clients by messages",
      "    IN/S      OUT/S  USER              CLIENT",
      "   1,500          0  ada               pump-7",
      "       0         12  -                 dash",
    ])
  })

  test("no more rows than asked for", () => {
    const lines = plainLines(frameOf(busy), 1)
    expect([column(lines, "TOPIC"), column(lines, "CLIENT")]).toEqual([["cameras/door"], ["pump-7"]])
  })

  test("the disk, where there is one, and whether it works", () => {
    const lineOf = (store: object) =>
      plainLines(frameOf([figures({}, { store: { ...stored, ...store } }), clients([])]), 1).find((line) =>
        line.startsWith("disk"),
      )
    expect(lineOf({})).toBe("disk      commits 40/s, 99 % within 2.5 ms   unwritten 0 B")
    expect(lineOf({ commits: 0, commitP99Ms: undefined })).toBe("disk      commits 0/s   unwritten 0 B")
    expect(lineOf({ isReady: false, unstoredBytes: 4096 })).toBe("disk      fails: nothing is stored   unwritten 4 KiB")
  })

  test("how much went over topics that are not told", () => {
    expect(plainLines(frameOf([figures(), topics([["a", 1]], 40), clients([])]), 1)).toContain(
      "topics # by rate, and 40 messages/s over others",
    )
  })
})

test("as JSON it has the same", () => {
  const frame = frameOf(busy)
  expect(plainObject({ ...frame, snapshot: frame.snapshot! }, 1)).toMatchObject({
    figures: { clients: 3, rates: { messagesReceived: 1500 } },
    topics: [{ topic: "cameras/door", rate: 12, messages: 12, payloadBytes: 30_000, qos: 1, retain: false }],
    omittedRate: 0,
    clients: [{ clientId: "pump-7", username: "ada", received: 1500, sent: 0 }],
  })
})

describe("in the order that is asked for:", () => {
  const orders: [order: Partial<View>, topics: string[], clients: string[]][] = [
    [{ topicOrder: "size", clientOrder: "in" }, ["cameras/door", "kitchen/light", "a"], ["pump-7", "dash"]],
    [{ topicOrder: "messages", clientOrder: "out" }, ["cameras/door", "a", "kitchen/light"], ["dash", "pump-7"]],
    [{ topicOrder: "topic", clientOrder: "client" }, ["a", "cameras/door", "kitchen/light"], ["dash", "pump-7"]],
  ]
  test.each(orders)("%j", (order, ofTopics, ofClients) => {
    const lines = plainLines(frameOf(busy, { view: { ...view, ...order } }), 10)
    expect([column(lines, "TOPIC"), column(lines, "CLIENT")]).toEqual([ofTopics, ofClients])
  })
})

describe("on a screen", () => {
  const many = [
    figures(),
    topics(Array.from({ length: 50 }, (_, at): [string, number] => [`t/${at}`, 50 - at])),
    clients(Array.from({ length: 50 }, (_, at): [string, number, number] => [`c-${at}`, 50 - at, 0])),
  ]

  test.each([
    [80, 24],
    [120, 50],
    [40, 24],
    [20, 10],
    [10, 3],
    [1, 1],
  ])("of %d columns and %d lines it has that many lines, none of them wider", (width, height) => {
    const lines = screenLines(frameOf(many, { trouble: "x".repeat(200) }), { width, height }, plain)
    expect(lines).toHaveLength(height)
    expect(lines.filter((line) => Bun.stringWidth(line) > width)).toEqual([])
  })

  test("topics and clients share the lines, three to two", () => {
    const lines = screenLines(frameOf(many), { width: 80, height: 34 }, plain)
    expect([column(lines, "TOPIC").length, column(lines, "CLIENT").length]).toEqual([12, 8])
  })

  test("where there are few of the one there are more of the other", () => {
    const few = [many[0]!, topics([["a", 1]]), many[2]!]
    const lines = screenLines(frameOf(few), { width: 80, height: 34 }, plain)
    expect([column(lines, "TOPIC").length, column(lines, "CLIENT").length]).toEqual([1, 19])
    const lonely = [many[0]!, many[1]!, clients([["c", 1, 1]])]
    const others = screenLines(frameOf(lonely), { width: 80, height: 34 }, plain)
    expect([column(others, "TOPIC").length, column(others, "CLIENT").length]).toEqual([19, 1])
  })

  test("a name that is too wide is cut where it ends, with wide letters, too", () => {
    const wide = [figures(), topics([["玄関".repeat(20), 1]]), clients([])]
    const line = screenLines(frameOf(wide), { width: 60, height: 24 }, plain).find((each) => each.includes("玄"))!
    expect(line).toEndWith("玄…")
    expect(Bun.stringWidth(line)).toBeLessThanOrEqual(60)
  })

  test("nobody's name moves the cursor, breaks a line or turns it around", () => {
    const evil = [figures(), topics([["a\x1b[2J\n\u202eb", 1]]), clients([["c\r\u0085d", 1, 0, "u\tv"]])]
    const text = screenLines(frameOf(evil), { width: 80, height: 24 }, plain).join("")
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(text).not.toMatch(/[\x00-\x1f\x7f-\x9f\u202e]/)
    expect(text).toContain("a�[2J��b")
    expect(text).toContain("c��d")
  })

  test("what is wrong is red", () => {
    const lines = screenLines(
      frameOf([figures({ dropped: 3, authFailures: 2 }), clients([])]),
      { width: 200, height: 24 },
      marked,
    )
    expect(lines.join()).toContain("<red>dropped 3/s</red>")
    expect(lines.join()).toContain("<red>refused 2/s</red>")
    expect(screenLines(frameOf(busy), { width: 200, height: 24 }, marked).join()).not.toContain("<red>")
  })

  const bottoms: [more: Partial<Frame>, bottom: string][] = [
    [{}, "q quit  s sort topics  c sort clients  / topic filter  space halt"],
    [{ view: { ...view, isHalted: true } }, "halted: space goes on"],
    [{ view: { ...view, draft: "a/" } }, "topic filter, such as sensors/#: a/▏"],
    [{ trouble: "trying again: it is gone" }, "trying again: it is gone"],
  ]
  test.each(bottoms)("the last line says what there is to do: %j", (more, bottom) => {
    expect(screenLines(frameOf(busy, more), { width: 80, height: 24 }, plain).at(-1)).toBe(bottom)
  })

  test("before the first figures it says that it waits for them", () => {
    const lines = screenLines(frameOf([], { version: undefined }), { width: 80, height: 5 }, plain)
    expect(lines.slice(0, 3)).toEqual(["manju at http://127.0.0.1:8080", "", "waiting for the first figures"])
  })
})

/** What `manju top` makes of the live stream: rates over the time between two frames. */
import { describe, expect, test } from "bun:test"
import { Board } from "../../../src/cli/top/board.ts"
import { clients, figures, topics } from "../../support/live-events.ts"

describe("a frame", () => {
  test("is due with the clients of a second of which there are figures", () => {
    const board = new Board()
    expect(
      [topics([["a", 1]]), clients([["c", 1, 0]]), figures(), clients([])].map((event) => board.take(event)),
    ).toEqual([
      false,
      false, // the first second has none
      false,
      true,
    ])
  })

  test("is about all seconds since the one before: means of rates, and the longest delay", () => {
    const board = new Board()
    for (const event of [
      ...[
        figures({ messagesReceived: 10 }, { eventLoopLagMs: 9, clients: 4 }),
        topics([["a", 10]]),
        clients([["c", 10, 2]]),
      ],
      ...[
        figures({ messagesReceived: 20 }, { eventLoopLagMs: 1, clients: 5 }),
        topics([
          ["a", 20],
          ["b", 1],
        ]),
        clients([["d", 0, 1]]),
      ],
    ]) {
      board.take(event)
    }
    expect(board.seconds).toBe(2)
    const snapshot = board.snapshot()
    expect(snapshot.figures).toMatchObject({ clients: 5, eventLoopLagMs: 9, rates: { messagesReceived: 15 } })
    expect(snapshot.topics).toMatchObject([
      { topic: "a", rate: 15, messages: 30 },
      { topic: "b", rate: 0.5, messages: 1 },
    ])
    expect(snapshot.clients).toMatchObject([
      { clientId: "c", received: 5, sent: 1 },
      { clientId: "d", received: 0, sent: 0.5 },
    ])
    expect(board.seconds).toBe(0)
  })

  test("keeps topics that are silent, with what went over them, and no clients that are", () => {
    const board = new Board()
    for (const event of [figures(), topics([["a", 3]]), clients([["c", 1, 1]])]) board.take(event)
    board.snapshot()
    for (const event of [figures(), clients([])]) board.take(event)
    expect(board.snapshot()).toMatchObject({ topics: [{ topic: "a", rate: 0, messages: 3 }], clients: [] })
  })

  test("says how many messages went over topics that the broker did not tell of", () => {
    const board = new Board()
    for (const event of [figures(), topics([], 30), clients([]), figures(), topics([], 10), clients([])])
      board.take(event)
    expect(board.snapshot().omittedRate).toBe(20)
  })
})

test("of many topics the busiest are kept", () => {
  const board = new Board()
  const many = (from: number, messages: number) =>
    topics(Array.from({ length: 1500 }, (_, at): [string, number] => [`t/${from + at}`, messages]))
  for (const event of [figures(), many(0, 1), clients([]), figures(), many(1500, 2), clients([])]) board.take(event)
  const kept = board.snapshot().topics
  expect(kept).toHaveLength(2000)
  expect(kept.filter(({ messages }) => messages === 2)).toHaveLength(1500)
})

test("another filter begins anew", () => {
  const board = new Board()
  for (const event of [figures(), topics([["a", 1]]), clients([])]) board.take(event)
  board.clear()
  for (const event of [figures(), topics([["b", 1]]), clients([])]) board.take(event)
  expect(board.snapshot().topics.map(({ topic }) => topic)).toEqual(["b"])
})

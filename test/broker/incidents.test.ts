/** What is remembered of what has gone wrong, and how little that is, whatever somebody does. */
import { describe, expect, test } from "bun:test"
import { Incidents, keptName } from "../../src/broker/incidents.ts"
import { Reason } from "../../src/codec/index.ts"

/** The topics that are remembered of a client, with how often. */
function topicsOf(incidents: Incidents, clientId: string): string[] {
  return incidents.of(clientId).incidents.map(({ topic, count }) => `${topic} ${count}`)
}

describe("what happens again", () => {
  test("is counted, with the first time and the last", () => {
    const incidents = new Incidents()
    for (const now of [10, 20, 30]) incidents.note("pump", "publish", "not authorized", "a", now, Reason.NotAuthorized)
    expect(incidents.of("pump")).toEqual({
      incidents: [
        {
          about: "publish",
          code: "not authorized",
          topic: "a",
          reason: Reason.NotAuthorized,
          count: 3,
          firstAt: 10,
          lastAt: 30,
        },
      ],
      forgotten: 0,
    })
  })

  test("is another thing with another client, topic, direction, cause or answer", () => {
    const incidents = new Incidents()
    incidents.note("pump", "publish", "not authorized", "a", 1)
    incidents.note("pump", "publish", "not authorized", "b", 1)
    incidents.note("pump", "receive", "not authorized", "a", 1)
    incidents.note("pump", "publish", "message expired", "a", 1)
    incidents.note("pump", "publish", "not authorized", "a", 1, Reason.QuotaExceeded)
    incidents.note("other", "publish", "not authorized", "a", 1)
    expect(incidents.of("pump").incidents.map(({ count }) => count)).toEqual([1, 1, 1, 1, 1])
    expect(incidents.of("nobody")).toEqual({ incidents: [], forgotten: 0 })
  })
})

describe("under a flood", () => {
  test("of topics from one client its own lines go, those longest ago first, and nobody else's", () => {
    const incidents = new Incidents()
    incidents.note("quiet", "receive", "queue full", "a", 0)
    incidents.note("loud", "publish", "not authorized", "kept", 0)
    for (let n = 0; n < 100_000; n++) {
      incidents.note("loud", "publish", "not authorized", `t/${n}`, n)
      if (n % 10 === 0) incidents.note("loud", "publish", "not authorized", "kept", n)
    }
    expect(topicsOf(incidents, "quiet")).toEqual(["a 1"])
    const topics = topicsOf(incidents, "loud")
    expect(topics.length).toBe(16)
    expect(topics).toContain("kept 10001")
    expect(topics.at(-1)).toBe("t/99999 1")
    const { incidents: lines, forgotten } = incidents.of("loud")
    expect(lines.reduce((sum, { count }) => sum + count, forgotten)).toBe(110_001)
  })

  test("of strangers that are refused, nothing goes that has happened to messages of those who are in", () => {
    const incidents = new Incidents()
    incidents.note("quiet", "receive", "queue full", "a", 0)
    for (let n = 0; n < 100_000; n++) incidents.note(`stranger-${n}`, "connection", "connect refused", "", n)
    expect(topicsOf(incidents, "quiet")).toEqual(["a 1"])
    expect(topicsOf(incidents, "stranger-99999")).toEqual([" 1"])
    expect(topicsOf(incidents, "stranger-1")).toEqual([])
  })

  test("of clients, those go to which nothing has happened for the longest time", () => {
    const incidents = new Incidents()
    for (let n = 0; n < 10_000; n++) {
      incidents.note("steady", "receive", "backlog full", "a", n)
      incidents.note(`client-${n}`, "receive", "backlog full", "a", n)
    }
    expect(topicsOf(incidents, "steady")).toEqual(["a 10000"])
    const kept = Array.from({ length: 10_000 }, (_, n) => incidents.of(`client-${n}`)).filter(
      (each) => each.incidents.length,
    )
    expect(kept.length).toBe(511)
  })

  test("of long names, their beginnings are kept, and names that begin alike stay apart", () => {
    const long = "x".repeat(60_000)
    expect(keptName(long).length).toBeLessThan(300)
    expect(keptName(`${long}1`)).not.toBe(keptName(`${long}2`))
    expect(keptName("x".repeat(256))).toBe("x".repeat(256))
    const incidents = new Incidents()
    incidents.note(long, "publish", "not authorized", `${long}1`, 1)
    incidents.note(long, "publish", "not authorized", `${long}2`, 1)
    expect(incidents.of(long).incidents.length).toBe(2)
    expect(incidents.of(`${long}3`).incidents).toEqual([])
  })
})

/** What the log says of a flood: its beginning, and how much there was. */
import { describe, expect, test } from "bun:test"
import { Limiter, sourceOf } from "../../../src/broker/log/limiter.ts"
import { Timers } from "../../../src/broker/timers.ts"
import { Reason } from "../../../src/codec/index.ts"
import { ManualClock } from "../../../src/testing/clock.ts"

const OF_ONE = 10
const OF_ALL = 50
/** Ten seconds, and a tick of the timers. */
const WINDOW_SECONDS = 10.25

function limited() {
  const clock = new ManualClock()
  const summaries: string[] = []
  const details: unknown[] = []
  const timers = new Timers(clock, (error) => {
    throw error
  })
  const limiter = new Limiter(clock, timers, (level, message, about) => {
    summaries.push(`${level} ${message}`)
    details.push(about)
  })
  /** How many of so many lines are said. */
  const say = (count: number, source: string, variant: Reason | string = Reason.BadUserNameOrPassword) => {
    let said = 0
    for (let n = 0; n < count; n++) if (limiter.admits("refused", "info", source, variant)) said++
    return said
  }
  const { windows } = limiter as unknown as { windows: Map<string, Map<unknown, { sources: Map<string, unknown> }>> }
  const open = () => [...windows.values()].flatMap((byVariant) => [...byVariant.values()])
  return { clock, limiter, summaries, details, say, open }
}

describe("lines of a kind", () => {
  test("are all said while they are few, and no timer runs for them", () => {
    const { say, clock, summaries } = limited()
    expect([say(OF_ONE, "192.0.2.1"), clock.recurringCount]).toEqual([OF_ONE, 0])
    clock.advance(60)
    expect([say(OF_ONE, "192.0.2.1"), summaries]).toEqual([OF_ONE, []])
  })

  test("of one source are said ten times; the others are counted, and said in one line", () => {
    const { say, clock, summaries, details } = limited()
    expect(say(10 + 1234, "203.0.113.7")).toBe(OF_ONE)
    clock.advance(9)
    expect(summaries).toEqual([])
    clock.advance(WINDOW_SECONDS - 9)
    expect(summaries).toEqual([
      "info … and 1,234 more like it (in 10 s): clients refused, 0x86 BadUserNameOrPassword, all of them from 203.0.113.7",
    ])
    expect(details).toEqual([{ area: "client", omitted: 1234, reason: "BadUserNameOrPassword" }])
  })

  test("of many sources are said fifty times, and the line tells from where the most came", () => {
    const { say, clock, summaries } = limited()
    expect(say(30, "203.0.113.7")).toBe(OF_ONE)
    for (let n = 0; n < 1000; n++) say(1, `198.51.${n >> 8}.${n & 255}`)
    clock.advance(WINDOW_SECONDS)
    expect(summaries).toEqual([
      "info … and 980 more like it (in 10 s): clients refused, 0x86 BadUserNameOrPassword, 20 of them from 203.0.113.7",
    ])
  })

  test("of a source that has used up its part leave the others theirs", () => {
    const { say } = limited()
    say(100_000, "203.0.113.7")
    expect(say(3, "192.0.2.1")).toBe(3)
  })

  test("that have another reason are others", () => {
    const { say, clock, summaries } = limited()
    say(1000, "203.0.113.7")
    expect(say(OF_ONE, "203.0.113.7", Reason.ServerBusy)).toBe(OF_ONE)
    clock.advance(WINDOW_SECONDS)
    expect(summaries).toHaveLength(1)
  })

  test("are not said again before it has been said how many there were", () => {
    const { say, clock, summaries } = limited()
    clock.advance(0.1)
    say(11, "203.0.113.7")
    clock.advance(10.1) // between the end of the window and the tick that tells it
    expect([say(5, "203.0.113.7"), summaries]).toEqual([0, []])
    clock.advance(0.25)
    expect(summaries).toEqual([expect.stringContaining("and 6 more")])
  })

  test("are said again when ten seconds are over", () => {
    const { say, clock } = limited()
    for (let window = 0; window < 3; window++) {
      expect(say(500, "203.0.113.7")).toBe(OF_ONE)
      clock.advance(WINDOW_SECONDS)
    }
  })

  test("are counted without a gap, whenever they come", () => {
    const { say, clock, summaries } = limited()
    let said = 0
    for (let second = 0; second < 300; second++) {
      said += say(97, `203.0.113.${second % 3}`)
      clock.advance(1)
    }
    clock.advance(WINDOW_SECONDS)
    const omitted = summaries.map((line) => Number(/and ([\d,]+) more/.exec(line)![1]!.replaceAll(",", "")))
    expect(said + omitted.reduce((sum, each) => sum + each, 0)).toBe(300 * 97)
    expect(said + summaries.length).toBeLessThan(4 * 300)
  })
})

test("a fleet that comes back behind one address is said fifty times", () => {
  const { limiter } = limited()
  const said = Array.from({ length: 500 }, () => limiter.admits("connected", "info", "192.0.2.1", ""))
  expect(said.filter(Boolean)).toHaveLength(OF_ALL)
})

test("what is left out at the end is said at once", () => {
  const { say, clock, limiter, summaries } = limited()
  say(11, "192.0.2.1")
  clock.advance(3)
  limiter.flush()
  expect(summaries).toEqual([
    "info … and 1 more like it (in 3 s): clients refused, 0x86 BadUserNameOrPassword, all of them from 192.0.2.1",
  ])
  clock.advance(60)
  expect([summaries.length, clock.recurringCount]).toEqual([1, 0])
})

describe("memory is bounded", () => {
  test("by the lines that are said, however many sources there are", () => {
    const { say, open } = limited()
    for (let n = 0; n < 100_000; n++) say(1, `source ${n}`)
    expect(open().map(({ sources }) => sources.size)).toEqual([OF_ALL])
  })

  test("by the reasons there are, of which none is kept for long", () => {
    const { say, open, clock } = limited()
    for (let n = 0; n < 10_000; n++) {
      say(1, "192.0.2.1", `reason ${n}`)
      clock.advance(1)
    }
    expect(open().length).toBeLessThan(200)
  })
})

describe("a source", () => {
  test("is an IPv4 address, or the network that somebody has of IPv6", () => {
    expect(sourceOf("203.0.113.7")).toBe("203.0.113.7")
    expect(sourceOf("2001:db8::7")).toBe(sourceOf("2001:db8::8"))
    expect(sourceOf("2001:db8:1:2:3::7")).toBe("2001:db8:1:2::/64")
  })

  test("is itself where it is no address, but for the end of a very long one", () => {
    expect(sourceOf("thread 7")).toBe("thread 7")
    expect(sourceOf("x".repeat(100_000))).toHaveLength(257)
  })
})

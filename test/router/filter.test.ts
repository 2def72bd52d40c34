/** Topic names and filters, read and matched by definition. */
import { describe, expect, test } from "bun:test"
import { isTopicName, matches, parseTopicFilter } from "../../src/router/index.ts"

const limits = { maximumTopicBytes: 65_535, maximumTopicLevels: 128 }

describe("a topic filter is read as", () => {
  const table: [text: string, pattern: string | undefined, shareName?: string | undefined, hasWildcard?: boolean][] = [
    ["a", "a"],
    ["/", "/"],
    ["a/b/", "a/b/"],
    [" ", " "],
    ["#", "#", undefined, true],
    ["+", "+", undefined, true],
    ["+/+/#", "+/+/#", undefined, true],
    ["a/+/b", "a/+/b", undefined, true],
    ["$SYS/#", "$SYS/#", undefined, true],
    ["$share", "$share"],
    ["$shared/g/a", "$shared/g/a"],
    ["$SHARE/g/a", "$SHARE/g/a"],
    ["a/$share/g/b", "a/$share/g/b"],
    ["$share/g/a", "a", "g"],
    ["$share/g//", "/", "g"],
    ["$share/g//a", "/a", "g"],
    ["$share/ /+/#", "+/#", " ", true],
    ["$share/$share/$share/g/a", "$share/g/a", "$share"],
    ["", undefined],
    ["##", undefined],
    ["a#", undefined],
    ["#/a", undefined],
    ["a/#/", undefined],
    ["a+", undefined],
    ["+a", undefined],
    ["a/b+/c", undefined],
    ["$share/", undefined],
    ["$share//", undefined],
    ["$share//a", undefined],
    ["$share/g", undefined],
    ["$share/g/", undefined],
    ["$share/+/a", undefined],
    ["$share/#/a", undefined],
    ["$share/g#/a", undefined],
    ["$share/g/a#", undefined],
  ]
  for (const [text, pattern, shareName, hasWildcard = false] of table)
    test(`"${text}"`, () => {
      const expected = pattern === undefined ? undefined : { text, pattern, shareName, hasWildcard }
      expect(parseTopicFilter(text, limits)).toEqual(expected)
    })

  test("too long or too deep: undefined; the share counts for neither", () => {
    const tight = { maximumTopicBytes: 4, maximumTopicLevels: 2 }
    for (const text of ["abcd", "éé", "a/b", "+/#", "$share/long-name/a/b"]) {
      expect(parseTopicFilter(text, tight)?.text).toBe(text)
    }
    for (const text of ["abcde", "ééé", "a//b", "+/+/#", "$share/g/a/b/c"]) {
      expect(parseTopicFilter(text, tight)).toBeUndefined()
    }
  })
})

test("a topic name has no wildcard, is not empty and within the limits", () => {
  const is = (name: string, given = limits) => {
    const bytes = Buffer.from(`##${name}++`)
    return isTopicName(bytes, 2, bytes.length - 2, given)
  }
  for (const name of ["a", "/", "//", "a/b", "$SYS/x", "é", " "]) expect([name, is(name)]).toEqual([name, true])
  for (const name of ["", "+", "#", "a/+", "a#b", "a/#"]) expect([name, is(name)]).toEqual([name, false])
  const tight = { maximumTopicBytes: 4, maximumTopicLevels: 2 }
  expect(["abcd", "a/b", "abcde", "ééé", "a//"].map((name) => is(name, tight))).toEqual([
    true,
    true,
    false,
    false,
    false,
  ])
})

describe("a pattern matches by definition (the examples of MQTT 5 §4.7)", () => {
  const table: [pattern: string, topic: string, expected: boolean][] = [
    ["sport/tennis/player1/#", "sport/tennis/player1", true],
    ["sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true],
    ["sport/#", "sport", true],
    ["#", "a", true],
    ["sport/tennis/+", "sport/tennis/player1", true],
    ["sport/tennis/+", "sport/tennis/player1/ranking", false],
    ["sport/+", "sport", false],
    ["sport/+", "sport/", true],
    ["+/+", "/finance", true],
    ["/+", "/finance", true],
    ["+", "/finance", false],
    ["#", "$SYS/a", false],
    ["+/monitor/Clients", "$SYS/monitor/Clients", false],
    ["$SYS/#", "$SYS/a", true],
    ["$SYS/monitor/+", "$SYS/monitor/Clients", true],
    ["a", "A", false],
  ]
  for (const [pattern, topic, expected] of table)
    test(`${pattern} ${expected ? "matches" : "does not match"} ${topic}`, () => {
      expect(matches(pattern, topic)).toBe(expected)
    })
})

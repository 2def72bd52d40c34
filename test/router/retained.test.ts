/** The retained messages against their definition. */
import { describe, expect, test } from "bun:test"
import { matches, RetainedMessages } from "../../src/router/index.ts"
import { Random } from "../support/bytes.ts"

const words = ["", "a", "b", "c", "$a", "$SYS", "é"]

const randomName = (random: Random) =>
  Array.from({ length: random.between(1, 4) }, () => random.pick(words)).join("/") || "a"

function randomPattern(random: Random): string {
  const levels = Array.from({ length: random.between(1, 4) }, () => (random.chance(0.35) ? "+" : random.pick(words)))
  if (random.chance(0.35)) levels[levels.length - 1] = "#"
  return levels.join("/") || "+"
}

describe("match visits what the pattern matches, each once", () => {
  for (let seed = 1; seed <= 15; seed++)
    test(`while messages come, are replaced and go (seed ${seed})`, () => {
      const random = new Random(seed)
      const retained = new RetainedMessages<string>()
      const plain = new Map<string, string>()
      const names = Array.from({ length: 40 }, () => randomName(random))
      for (let step = 0; step < 300; step++) {
        const name = random.pick(names)
        if (random.chance(0.6)) {
          const message = `${name} ${step}`
          expect(retained.set(name, message)).toBe(plain.get(name)!)
          plain.set(name, message)
        } else {
          expect(retained.delete(name)).toBe(plain.get(name)!)
          plain.delete(name)
        }
        expect(retained.count).toBe(plain.size)
        const asked = random.pick(names)
        expect(retained.get(asked)).toBe(plain.get(asked)!)
        const pattern = random.chance(0.2) ? asked : randomPattern(random)
        const visited: string[] = []
        retained.match(pattern, (message) => visited.push(message))
        const expected = [...plain].filter(([each]) => matches(pattern, each)).map(([, message]) => message)
        expect(visited.sort()).toEqual(expected.sort())
        expect([...retained.matching(pattern)].filter((message) => message !== undefined).sort()).toEqual(expected)
      }
      for (const name of names) retained.delete(name)
      expect(retained.count).toBe(0)
      expect((retained as unknown as { root: { children: unknown } }).root.children).toBeUndefined()
    })
})

test("a topic that is only on the way to another has no message", () => {
  const retained = new RetainedMessages<string>()
  retained.set("a/b/c", "x")
  expect([retained.get("a"), retained.get("a/b"), retained.get("a/b/c/d"), retained.get("")]).toEqual(
    new Array(4).fill(undefined),
  )
  expect([retained.delete("a/b"), retained.delete("a/b/c/d"), retained.count]).toEqual([undefined, undefined, 1])
  expect([retained.delete("a/b/c"), retained.delete("a/b/c"), retained.count]).toEqual(["x", undefined, 0])
})

test("what is gone through in parts holds what stays, each once, while others come and go", () => {
  const retained = new RetainedMessages<string>()
  const stays = Array.from({ length: 50 }, (_, n) => `a/${n}/x`)
  for (const name of stays) {
    retained.set(name, name)
    retained.set(`${name}/passing`, "passing")
  }
  const seen: string[] = []
  for (const message of retained.matching("a/#")) {
    if (message !== undefined) seen.push(message)
    for (let n = 0; n < 50; n += 3) retained.delete(`a/${n}/x/passing`)
    retained.set("a/new", "passing")
    retained.set("a/0/new", "passing")
  }
  expect(seen.filter((message) => message !== "passing")).toEqual(stays)
})

for (const pattern of ["+/none", "a/+/x/none", "a/+/+/none", "+"])
  test(`where ${pattern} matches nothing for long, one can pause on the way`, () => {
    const retained = new RetainedMessages<string>()
    for (let n = 0; n < 1000; n++) {
      retained.set(`a/${n}/x`, "x")
      retained.set(`$${n}/x`, "hidden")
      retained.set(`${n}/x`, "x")
    }
    const seen = [...retained.matching(pattern)]
    expect(seen.length).toBeGreaterThan(1000)
    expect(seen.filter((message) => message !== undefined)).toEqual([])
  })

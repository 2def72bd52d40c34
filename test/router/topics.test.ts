/** The table of topic names: whatever collides, falls out or makes it grow, a name leads to its own topic. */
import { describe, expect, test } from "bun:test"
import { type Topic, Topics } from "../../src/router/index.ts"
import { Random } from "../support/bytes.ts"

const limits = { maximumTopicBytes: 65_535, maximumTopicLevels: 128 }

function expectIs(topic: Topic | undefined, name: string): void {
  expect(topic?.name).toBe(name)
  expect(topic?.bytes.toString()).toBe(name)
}

/** Names whose 31-polynomial is the same: `Aa` and `BB` add up alike. */
function colliding(pairs: number): string[] {
  let names = [""]
  for (let i = 0; i < pairs; i++) names = names.flatMap((name) => [`${name}Aa`, `${name}BB`])
  return names
}

test("names that collide in every bit of the hash are told apart", () => {
  const topics = new Topics(limits)
  const names = colliding(6)
  expect(new Set(names.map((name) => topics.named(name)!.hash)).size).toBe(1)
  for (let round = 0; round < 3; round++) for (const name of names) expectIs(topics.named(name), name)
  for (const name of names.slice(0, -1)) expect(topics.peek(name)).toBeUndefined()
  expectIs(topics.peek(names.at(-1)!), names.at(-1)!)
})

test("a name is found by its bytes wherever they lie, as the same object", () => {
  const topics = new Topics(limits)
  const topic = topics.named("a/é")
  const bytes = Buffer.from("..a/é..")
  expect(topics.find(bytes, 2, bytes.length - 2)).toBe(topic!)
  expect(topics.peek("a/é")).toBe(topic!)
  bytes.fill(0)
  expectIs(topic, "a/é")
})

test("a topic that another pushes out is not in the table any more, and its route is let go", () => {
  const topics = new Topics(limits)
  const [first, second] = colliding(1).map((name) => {
    const topic = topics.named(name)!
    expect(topic.cached).toBe(true)
    topic.route = {}
    return topic
  })
  expect([first!.cached, first!.route, second!.cached]).toEqual([false, undefined, true])
  const again = topics.named(first!.name)!
  expect(again).not.toBe(first!)
  expect([again.cached, first!.cached, second!.cached]).toEqual([true, false, false])
})

test("not even if it was the one found last", () => {
  const topics = new Topics(limits)
  const [name, other] = colliding(1)
  const first = topics.named(name!)!
  expect([topics.named(name!), topics.named(name!)]).toEqual([first, first])
  topics.named(other!)
  const again = topics.named(name!)!
  expect(again).not.toBe(first)
  expect([again.cached, first.cached]).toEqual([true, false])
})

describe("with more names than it has room for", () => {
  for (const count of [500, 5000, 70_000])
    test(`${count} names: each is found, and what is marked as cached is what the table holds`, () => {
      const topics = new Topics(limits)
      const random = new Random(count)
      const made = new Map<string, Topic>()
      const name = () => `site/${random.below(count)}/value`
      for (let i = 0; i < count * 3; i++) {
        const each = name()
        const topic = topics.named(each)!
        if (topic.name !== each) expectIs(topic, each)
        made.set(each, topic)
      }
      let cached = 0
      for (const [each, topic] of made) {
        const held = topics.peek(each)
        if (topic.cached !== (held === topic)) expect([each, topic.cached]).toEqual([each, held === topic])
        if (topic.cached) cached++
      }
      expect(cached).toBeGreaterThan(Math.min(count, 65_536) / 4)
      expect(cached).toBeLessThanOrEqual(65_536)
    })
})

test("a very long name has a topic, but no place", () => {
  const topics = new Topics(limits)
  const name = "x".repeat(513)
  const topic = topics.named(name)
  expectIs(topic, name)
  expect([topic?.cached, topics.peek(name)]).toEqual([false, undefined])
  expect(topics.named("x".repeat(512))?.cached).toBe(true)
})

test("what is no topic name has no topic, however often it is asked for", () => {
  const topics = new Topics({ maximumTopicBytes: 8, maximumTopicLevels: 3 })
  const invalid = ["", "+", "a/#", "a\0b", "a/b/c/d", "123456789"].map((name) => Buffer.from(name))
  invalid.push(Buffer.from("c328", "hex"), Buffer.from("eda080", "hex"), Buffer.from("61ff", "hex"))
  for (let round = 0; round < 2; round++) {
    for (const bytes of invalid) expect(topics.find(bytes, 0, bytes.length)).toBeUndefined()
  }
})

test("$SYS and what lies below it are the broker's own", () => {
  const topics = new Topics(limits)
  const own = ["$SYS", "$SYS/", "$SYS/broker/uptime"].map((name) => topics.named(name)?.isSys)
  const others = ["$SYSTEM", "$sys/a", "$S", "a/$SYS/b", "/$SYS/a"].map((name) => topics.named(name)?.isSys)
  expect([...own, ...others]).toEqual([true, true, true, false, false, false, false, false])
})

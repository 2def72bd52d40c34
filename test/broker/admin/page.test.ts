/** Pages of long lists: what a sorted copy would give, without one. */
import { describe, expect, test } from "bun:test"
import { pageOf, slicesOf } from "../../../src/broker/admin/page.ts"
import type { PageQuery } from "../../../src/broker/admin.ts"
import { Random } from "../../support/bytes.ts"

interface Entry {
  readonly owner: string
  readonly name: string
}

const listOf = (entries: Iterable<Entry | undefined>, includes?: (entry: Entry) => boolean) => ({
  entries,
  key: ({ owner, name }: Entry) => [owner, name] as const,
  ...(includes && { includes }),
  bytes: ({ owner, name }: Entry) => owner.length + name.length,
  item: ({ owner, name }: Entry) => `${owner}/${name}`,
})

async function all(
  entries: Iterable<Entry | undefined>,
  limit: number,
  includes?: (entry: Entry) => boolean,
): Promise<string[][]> {
  const pages: string[][] = []
  let query: PageQuery = { limit }
  for (;;) {
    const page = await pageOf(listOf(entries, includes), query)
    pages.push([...page.items])
    if (page.next === undefined) return pages
    query = { limit, cursor: page.next }
  }
}

const sorted = (entries: readonly Entry[]) =>
  entries
    .toSorted((a, b) => (a.owner === b.owner ? (a.name < b.name ? -1 : 1) : a.owner < b.owner ? -1 : 1))
    .map(({ owner, name }) => `${owner}/${name}`)

/** Entries with different keys, in an order that is none. */
function some(random: Random, count: number): Entry[] {
  const keys = new Map<string, Entry>()
  while (keys.size < count) {
    const entry = { owner: `o${random.below(5)}`, name: `${random.below(count * 10)}` }
    keys.set(`${entry.owner}/${entry.name}`, entry)
  }
  return [...keys.values()]
}

describe("the pages of a list", () => {
  for (let seed = 1; seed <= 10; seed++)
    test(`together are all of it, in order, each item once (seed ${seed})`, async () => {
      const random = new Random(seed)
      const entries = some(random, random.between(0, 300))
      const limit = random.between(1, 40)
      const pages = await all(entries, limit)
      expect(pages.flat()).toEqual(sorted(entries))
      for (const page of pages.slice(0, -1)) expect(page).toHaveLength(limit)
      expect(pages.at(-1)!.length).toBeGreaterThan(entries.length === 0 ? -1 : 0)
    })

  test("are of what is included, and say how many those are", async () => {
    const entries = some(new Random(1), 100)
    const includes = ({ owner }: Entry) => owner === "o1"
    const included = entries.filter(includes)
    expect((await all(entries, 7, includes)).flat()).toEqual(sorted(included))
    expect((await pageOf(listOf(entries, includes), { limit: 1 })).total).toBe(included.length)
  })

  test("have what stays, exactly once, whatever comes and goes between them", async () => {
    const random = new Random(3)
    const stays = some(random, 100)
    const passing = Array.from({ length: 100 }, (_, n) => ({ owner: `o${n % 5}`, name: `passing ${n}` }))
    const entries = new Set([...passing, ...stays])
    const seen: string[] = []
    for (let query: PageQuery = { limit: 9 }; ; ) {
      const page = await pageOf(listOf(entries), query)
      seen.push(...page.items)
      for (const each of passing) if (random.chance(0.5) && !entries.delete(each)) entries.add(each)
      if (page.next === undefined) break
      query = { limit: 9, cursor: page.next }
    }
    expect(seen.filter((item) => !item.includes("passing"))).toEqual(sorted(stays))
    expect(new Set(seen).size).toBe(seen.length)
  })

  test("hold an entry once that has been met twice", async () => {
    const twice = { owner: "a", name: "b" }
    expect(await all([twice, { owner: "a", name: "a" }, twice], 10)).toEqual([["a/a", "a/b"]])
    expect(await all([twice, twice, twice, twice, { owner: "a", name: "c" }], 1)).toEqual([["a/b"], ["a/c"]])
  })

  test("leave out what is nothing on the way", async () => {
    const [a, b] = ["a", "b"].map((name) => ({ owner: "o", name }))
    expect(await all([undefined, b, undefined, undefined, a], 1)).toEqual([["o/a"], ["o/b"]])
  })

  test("are shorter where strangers have chosen long names, and there is one item at least", async () => {
    const long = Array.from({ length: 30 }, (_, n) => ({ owner: `${n + 10}`, name: "x".repeat(65_000) }))
    const giant = { owner: "giant", name: "x".repeat(2_000_000) }
    const pages = await all([...long, giant, { owner: "z", name: "small" }], 1000)
    expect(pages.map((page) => page.length)).toEqual([8, 8, 8, 6, 1, 1])
    expect(pages.flat()).toEqual(sorted([...long, giant, { owner: "z", name: "small" }]))
  })

  test("go on with a cursor that fits an address, and miss nothing, however long and alike names are", async () => {
    for (const filler of ["x", "\u0001", "\u{1f95f}"]) {
      const entries = Array.from({ length: 50 }, (_, n) => ({
        owner: filler.repeat(5000),
        name: `${filler.repeat(5000)}${n}`,
      }))
      const seen: string[] = []
      for (let query: PageQuery = { limit: 9 }; ; ) {
        const page = await pageOf(listOf(entries), query)
        seen.push(...page.items)
        if (page.next === undefined) break
        expect(page.next.length).toBeLessThan(10_000)
        query = { limit: 9, cursor: page.next }
      }
      expect(seen.sort()).toEqual(sorted(entries).sort())
    }
  })

  test("have a hundred items, unless it is said how many", async () => {
    const page = await pageOf(listOf(some(new Random(1), 150)), {})
    expect([page.items.length, page.total]).toEqual([100, 150])
  })
})

test("a limit out of bounds, and a cursor that no page has given, are refused", async () => {
  for (const limit of [0, 1001, 1.5, Number.NaN]) {
    const error = await pageOf(listOf([]), { limit }).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: "INVALID_OPTION", message: expect.stringContaining("limit") })
  }
  for (const cursor of ["", "x", Buffer.from("[1]").toString("base64url"), Buffer.from("[]").toString("base64url")]) {
    const error = await pageOf(listOf([]), { cursor }).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: "INVALID_OPTION", message: expect.stringContaining("cursor") })
  }
})

describe("slices", () => {
  test("are all of it, in its order, and everybody else has their turn between them", async () => {
    let turns = 0
    const timer = setImmediate(function again(): void {
      turns++
      if (turns < 1000) setImmediate(again)
    })
    function* slow(): Generator<number> {
      for (let n = 0; n < 2000; n++) {
        if (n % 64 === 0) for (const until = performance.now() + 3; performance.now() < until; );
        yield n
      }
    }
    const seen: number[] = []
    let slices = 0
    for await (const slice of slicesOf(slow())) {
      slices++
      seen.push(...slice)
    }
    clearImmediate(timer)
    expect(seen).toEqual(Array.from({ length: 2000 }, (_, n) => n))
    expect(slices).toBeGreaterThan(10)
    expect(turns).toBeGreaterThan(10)
  })

  test("of many lists at once are one in each turn", async () => {
    let turn = 0
    let isDone = false
    setImmediate(function next(): void {
      turn++
      if (!isDone) setImmediate(next)
    })
    const slices = new Map<number, number>()
    function* slow(): Generator<number> {
      for (let n = 0; n < 320; n++) {
        if (n % 64 === 0) {
          slices.set(turn, (slices.get(turn) ?? 0) + 1)
          for (const until = performance.now() + 3; performance.now() < until; );
        }
        yield n
      }
    }
    const lists = Array.from({ length: 20 }, async () => {
      let count = 0
      for await (const slice of slicesOf(slow())) for (const _ of slice) count++
      return count
    })
    expect(await Promise.all(lists)).toEqual(new Array(20).fill(320))
    isDone = true
    expect(Math.max(...slices.values())).toBeLessThanOrEqual(2)
    expect(slices.size).toBeGreaterThan(50)
  })

  test("go on behind what has been taken when one is left", async () => {
    const seen: number[] = []
    for await (const slice of slicesOf([1, 2, 3, 4])) {
      for (const each of slice) {
        seen.push(each)
        if (each === 2) break
      }
    }
    expect(seen).toEqual([1, 2, 3, 4])
  })
})

/** Patterns of topic names: what they take, the names and filters they make, the params they find. */
import { describe, expect, expectTypeOf, test } from "bun:test"
import { ManjuError } from "../../../src/broker/errors.ts"
import { type TopicParams, TopicPattern } from "../../../src/broker/local/topic-pattern.ts"
import { matches, parseTopicFilter } from "../../../src/router/index.ts"
import { Random } from "../../support/bytes.ts"

const pattern = <const Pattern extends string>(text: Pattern) => new TopicPattern<TopicParams<Pattern>>(text)

/** What it throws, which must be an INVALID_TOPIC. */
function refusal(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    expect(error).toBeInstanceOf(ManjuError)
    expect((error as ManjuError).code).toBe("INVALID_TOPIC")
    return (error as ManjuError).message
  }
  throw new Error("it was not refused")
}

describe("the type of the params", () => {
  test("is read from the literal: a string for a level, a list for the rest", () => {
    expectTypeOf<TopicParams<"sensors/:id/temp">>().toEqualTypeOf<{ id: string }>()
    expectTypeOf<TopicParams<":site/sensors/:id">>().toEqualTypeOf<{ site: string; id: string }>()
    expectTypeOf<TopicParams<"logs/:service/:path*">>().toEqualTypeOf<{ service: string; path: readonly string[] }>()
    expectTypeOf<TopicParams<":all*">>().toEqualTypeOf<{ all: readonly string[] }>()
  })

  test("is empty without params, a colon within a level included", () => {
    expectTypeOf<keyof TopicParams<"sensors/7/temp">>().toBeNever()
    expectTypeOf<keyof TopicParams<"urn:x/a:b">>().toBeNever()
  })

  test("has forty params of a pattern of forty levels", () => {
    type Ten<Prefix extends string> =
      `:${Prefix}0/:${Prefix}1/:${Prefix}2/:${Prefix}3/:${Prefix}4/:${Prefix}5/:${Prefix}6/:${Prefix}7/:${Prefix}8/:${Prefix}9`
    type Forty = TopicParams<`${Ten<"a">}/${Ten<"b">}/${Ten<"c">}/${Ten<"d">}`>
    expectTypeOf<Forty>().toHaveProperty("a0")
    expectTypeOf<Forty["d9"]>().toEqualTypeOf<string>()
  })

  test("is that of what is known of a text made at run time", () => {
    expectTypeOf<TopicParams<`${string}/sensors/:id`>>().toEqualTypeOf<{ id: string }>()
    expectTypeOf<TopicParams<string>>().toEqualTypeOf<Record<string, string | readonly string[]>>()
  })

  test("names every param that `name` needs and no other", () => {
    const temp = pattern("sensors/:id/temp")
    expectTypeOf<Parameters<typeof temp.name>>().toEqualTypeOf<[params: { id: string }]>()
    expectTypeOf<ReturnType<typeof temp.params>>().toEqualTypeOf<{ id: string } | undefined>()
    // @ts-expect-error: a param is missing
    expect(() => temp.name({})).toThrow()
    // @ts-expect-error: no such param
    expect(() => temp.name({ di: "7" })).toThrow()
    // @ts-expect-error: a level is text
    expect(() => temp.name({ id: 7 })).toThrow()
    // @ts-expect-error: a rest is a list of levels
    expect(() => pattern("logs/:path*").name({ path: "a/b" })).toThrow()
  })
})

describe("a pattern", () => {
  test.each([
    ["", "not a pattern"],
    ["a\0b", "not a pattern"],
    ["a/\ud800", "not a pattern"],
    ["sensors/+/temp", "params in place of wildcards"],
    ["sensors/#", "params in place of wildcards"],
    ["sensors/a+", "params in place of wildcards"],
    ["a/:", "a param is a whole level"],
    ["a/:*", "a param is a whole level"],
    ["a/:id.json", "a param is a whole level"],
    ["a/:from-:to", "a param is a whole level"],
    ["a/:1st", "a param is a whole level"],
    ["a/:id**", "a param is a whole level"],
    ["a/:path*/b", "has to be the last"],
    ["a/:id/b/:id", ":id is there twice"],
    ["a/:id/:id*", ":id is there twice"],
    ["$share/group/a/:id", "without a share"],
  ])("%p is refused", (text, message) => {
    expect(refusal(() => new TopicPattern(text))).toContain(message)
  })

  test("of more than 65,535 bytes is refused, and not repeated whole", () => {
    expect(refusal(() => new TopicPattern("a".repeat(65_536))).length).toBeLessThan(120)
  })

  test("may have empty levels, `$` and `:` within levels, and what means something in a regular expression", () => {
    for (const text of ["/", "a//b", "urn:x/a:b", "$SYS/x", "a.b/(c)/[d]/e|f/^$/g*?/\\h", "a\nb"]) {
      const topic = new TopicPattern(text)
      expect([topic.name({}), topic.filter(), topic.params(text)]).toEqual([text, text, {}])
    }
    expect(pattern("a.b/:id").params("axb/7")).toBeUndefined()
  })

  test("may have params whose names every object knows", () => {
    const odd = pattern(":constructor/:__proto__/:toString")
    const params = Object.fromEntries([
      ["constructor", "a"],
      ["__proto__", "b"],
      ["toString", "c"],
    ])
    expect(odd.name(params as never)).toBe("a/b/c")
    expect(Object.entries(odd.params("a/b/c")!)).toEqual(Object.entries(params))
    expect(odd.filter({})).toBe("+/+/+")
    expect(refusal(() => odd.name({} as never))).toContain("needs :constructor")
  })

  test("may have params and levels in any language", () => {
    const messwert = pattern("haus/:größe/温度")
    expect(messwert.name({ größe: "Küche 🍥" })).toBe("haus/Küche 🍥/温度")
    expect(messwert.params("haus/Küche 🍥/温度")).toEqual({ größe: "Küche 🍥" })
  })
})

describe("a topic name", () => {
  const temp = pattern("sensors/:id/temp")
  const log = pattern("logs/:service/:path*")

  test("has each param in its place", () => {
    expect(temp.name({ id: "7" })).toBe("sensors/7/temp")
    expect(log.name({ service: "web", path: ["2024", "01"] })).toBe("logs/web/2024/01")
    expect(log.name({ service: "web", path: [] })).toBe("logs/web")
  })

  test("has what looks like an escape, a param or a path as it is", () => {
    for (const id of ["%2F", "..", ".", ":id", "*", " ", "$SYS", "a$", "\\", "$1", "$&"]) {
      expect(temp.name({ id })).toBe(`sensors/${id}/temp`)
      expect(temp.params(`sensors/${id}/temp`)).toEqual({ id })
    }
  })

  test.each(["", "a/b", "/", "+", "a+", "#", "a#b"])("is not made of the param %p", (id) => {
    const message = refusal(() => temp.name({ id }))
    expect(message).toContain(":id in sensors/:id/temp")
    expect(message).toEndWith(JSON.stringify(id))
    expect(refusal(() => temp.filter({ id }))).toBe(message)
    expect(refusal(() => log.name({ service: "web", path: ["x", id] }))).toContain(":path in logs")
    expect(refusal(() => log.filter({ path: ["x", id] }))).toContain(":path in logs")
  })

  test("is not made of what cannot be sent", () => {
    for (const id of ["\0", "\udc00", "x".repeat(65_530)]) {
      expect(refusal(() => temp.name({ id }))).toContain("cannot be sent")
      expect(refusal(() => temp.filter({ id }))).toContain("cannot be sent")
    }
  })

  test("is not made of what is no text, or is missing", () => {
    for (const id of [7, null, {}, ["7"]]) expect(refusal(() => temp.name({ id } as never))).toContain(":id")
    expect(refusal(() => temp.name({ id: undefined } as never))).toBe("sensors/:id/temp needs :id")
    expect(refusal(() => log.name({ service: "web", path: [7] } as never))).toEndWith("not number")
    expect(refusal(() => log.name({ service: "web", path: "ab" } as never))).toContain(":path of logs")
  })

  test("is not empty", () => {
    expect(refusal(() => pattern(":all*").name({ all: [] }))).toContain("leave nothing")
    expect(refusal(() => pattern("/:rest*").name({ rest: [] }))).toContain("leave nothing")
    expect(pattern("/:rest*").params("")).toBeUndefined()
  })
})

describe("a topic filter", () => {
  test("has wildcards in place of the params that are not given", () => {
    const log = pattern("logs/:service/:level/:path*")
    expect(log.filter()).toBe("logs/+/+/#")
    expect(log.filter({})).toBe("logs/+/+/#")
    expect(log.filter({ level: "error" })).toBe("logs/+/error/#")
    expect(log.filter({ service: "web", path: ["a", "b"] })).toBe("logs/web/+/a/b")
    expect(log.filter({ service: "web", level: "error", path: [] })).toBe("logs/web/error")
    expect(pattern(":all*").filter()).toBe("#")
  })
})

describe("[MQTT-4.7.2-1] a topic whose name begins with $", () => {
  test("is none of a pattern that begins with a param", () => {
    expect(pattern(":first/x").params("$SYS/x")).toBeUndefined()
    expect(pattern(":all*").params("$SYS/x")).toBeUndefined()
    expect(refusal(() => pattern(":first/x").name({ first: "$SYS" }))).toContain('"$"')
    expect(refusal(() => pattern(":all*").name({ all: ["$SYS", "x"] }))).toContain('"$"')
    expect(refusal(() => pattern(":first/:second/x").filter({ first: "$share" }))).toContain('"$"')
  })

  test("is one of a pattern that says so", () => {
    expect(pattern("$SYS/broker/:path*").params("$SYS/broker/uptime")).toEqual({ path: ["uptime"] })
    expect(pattern("$SYS/:what").filter()).toBe("$SYS/+")
  })
})

describe("the params of a topic name", () => {
  test("are found wherever the filter matches, in levels that are empty, too", () => {
    expect(pattern("sensors/:id/temp").params("sensors//temp")).toEqual({ id: "" })
    expect(pattern("logs/:path*").params("logs")).toEqual({ path: [] })
    expect(pattern("logs/:path*").params("logs/")).toEqual({ path: [""] })
    expect(pattern("logs/:path*").params("logs/a//b")).toEqual({ path: ["a", "", "b"] })
  })

  test("are none for what is another topic's name, or no name", () => {
    const temp = pattern("sensors/:id/temp")
    for (const name of ["sensors/7", "sensors/7/temp/x", "x/sensors/7/temp", "Sensors/7/temp", "", "sensors/+/temp"]) {
      expect(temp.params(name)).toBeUndefined()
      expect(temp.matches(name)).toBe(false)
    }
    expect(pattern("logs/:path*").params("logsx")).toBeUndefined()
    expect(pattern("logs/:path*").params("logs/#")).toBeUndefined()
  })
})

describe("whatever the pattern and the params", () => {
  const random = new Random(7)
  const literals = ["a", "b", "", "$SYS", "a.b", "(", "ü", "🍥"]
  const text = () => {
    if (random.chance(0.5)) return random.pick(["a", "b", "$SYS", "a.b", ":x", "%2F", "🍥"])
    return random.text(random.between(1, 6)).replaceAll(/[/+#]/g, "-")
  }

  /** A pattern with the names of its params, `true` for a rest. */
  const randomPattern = (): [text: string, places: [name: string, isRest: boolean][]] => {
    const places: [string, boolean][] = []
    const depth = random.between(1, 5)
    const levels = Array.from({ length: depth }, (_, at) => {
      if (random.chance(0.5)) return random.pick(literals)
      const isRest = at === depth - 1 && random.chance(0.4)
      places.push([`p${at}`, isRest])
      return `:p${at}${isRest ? "*" : ""}`
    })
    return [levels.join("/") || "x", places]
  }
  const randomParams = (places: [string, boolean][]) =>
    Object.fromEntries(
      places.map(([name, isRest]) => [name, isRest ? Array.from({ length: random.below(4) }, text) : text()]),
    )
  type AnyPattern = TopicPattern<Record<string, string | readonly string[]>>
  /** What it makes; undefined where that would begin with `$`, or be nothing at all. */
  const made = (make: () => string) => {
    try {
      return make()
    } catch (error) {
      expect((error as ManjuError).message).toMatch(/"\$" at the beginning|leave nothing/)
      return undefined
    }
  }
  const nameOf = (topic: AnyPattern, params: ReturnType<typeof randomParams>) => made(() => topic.name(params))
  const filterOf = (topic: AnyPattern, params: ReturnType<typeof randomParams>) => made(() => topic.filter(params))

  test("the params of a name are those it was made of, and its filters match it", () => {
    let names = 0
    for (let i = 0; i < 3000; i++) {
      const [written, places] = randomPattern()
      const topic: AnyPattern = new TopicPattern(written)
      const params = randomParams(places)
      const name = nameOf(topic, params)
      if (name === undefined) continue
      names++
      expect([written, topic.params(name)]).toEqual([written, params])
      const some = Object.fromEntries(Object.entries(params).filter(() => random.chance(0.5)))
      for (const filter of [topic.filter(), topic.filter(some), topic.filter(params)]) {
        expect(parseTopicFilter(filter, { maximumTopicBytes: 65_535, maximumTopicLevels: 100 })).toBeDefined()
        expect([filter, matches(filter, name)]).toEqual([filter, true])
      }
      expect(topic.filter(params)).toBe(name)
    }
    expect(names).toBeGreaterThan(2000)
  })

  test("a name has params exactly where the filter matches, and those that were asked for", () => {
    let matched = 0
    for (let i = 0; i < 3000; i++) {
      const [written, places] = randomPattern()
      const topic: AnyPattern = new TopicPattern(written)
      // A name near the pattern: its own levels, with others here and there.
      const levels = written.split("/").map((level) => (level.startsWith(":") || random.chance(0.1) ? text() : level))
      if (random.chance(0.2)) levels.pop()
      if (random.chance(0.2)) levels.push(random.pick(literals))
      const name = levels.join("/") || "x"
      const params = topic.params(name)
      if (params !== undefined) matched++
      expect([written, name, params !== undefined]).toEqual([written, name, matches(topic.filter(), name)])
      expect(topic.matches(name)).toBe(params !== undefined)
      const asked = Object.fromEntries(Object.entries(randomParams(places)).filter(() => random.chance(0.3)))
      const filter = filterOf(topic, asked)
      if (filter === undefined) continue
      const agrees = Object.entries(asked).every(([key, value]) => Bun.deepEquals(params?.[key], value))
      expect([filter, name, params !== undefined && agrees]).toEqual([filter, name, matches(filter, name)])
    }
    expect(matched).toBeGreaterThan(500)
  })
})

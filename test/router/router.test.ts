/**
 * The router against its definition: whatever is subscribed and unsubscribed between two messages, and whatever stays in
 * its caches, `route` gives who `matches` says.
 */
import { describe, expect, spyOn, test } from "bun:test"
import { matches, parseTopicFilter, Router, Subscription, type Target } from "../../src/router/index.ts"
import { Random } from "../support/bytes.ts"
import { workOf } from "../support/work.ts"

const limits = { maximumTopicBytes: 65_535, maximumTopicLevels: 128 }

interface Expected {
  subscriber: string
  qos: number
  rap: boolean
  identifiers: number[]
  own: { qos: number; rap: boolean; identifiers: number[] } | undefined
}

/** A router, and beside it the plain list of what is subscribed. */
class Model {
  readonly router = new Router<string>(limits)
  readonly subscriptions = new Map<string, Subscription<string>>()

  subscribe(
    subscriber: string,
    text: string,
    options: { qos?: 0 | 1 | 2; nl?: boolean; rap?: boolean; id?: number } = {},
  ) {
    const { qos = 0, nl = false, rap = false, id } = options
    const filter = parseTopicFilter(text, limits)!
    const fields = { qos, noLocal: nl, retainAsPublished: rap, retainHandling: 0 as const }
    const subscription = new Subscription(subscriber, filter, fields, id)
    this.router.subscribe(subscription)
    this.subscriptions.set(`${subscriber} ${text}`, subscription)
  }

  unsubscribe(subscriber: string, text: string) {
    const key = `${subscriber} ${text}`
    const subscription = this.subscriptions.get(key)
    if (subscription === undefined) return
    this.subscriptions.delete(key)
    this.router.unsubscribe(subscription)
  }

  /** What the route says, in a shape that can be compared. */
  actual(name: string) {
    const route = this.router.route(this.router.topics.named(name)!)
    const shown = ({ qos, retainAsPublished, identifiers }: Target<string>) => ({
      qos: qos as number,
      rap: retainAsPublished,
      identifiers: [...(identifiers ?? [])].sort((a, b) => a - b),
    })
    const targets = route.targets.map((target) => ({
      subscriber: target.subscriber,
      ...shown(target),
      own: target.own && shown(target.own),
    }))
    const groups = route.groups.map((group) => {
      const members = group.members.map(({ subscriber, qos }) => `${subscriber} ${qos}`).sort()
      return `${group.shareName} ${group.pattern}: ${members}`
    })
    return { targets: targets.sort(bySubscriber), groups: groups.sort() }
  }

  /** The same by definition. */
  expected(name: string) {
    const found = [...this.subscriptions.values()].filter(({ filter }) => matches(filter.pattern, name))
    const combine = (list: Subscription<string>[]) => ({
      qos: Math.max(...list.map(({ qos }) => qos)),
      rap: list.some(({ retainAsPublished }) => retainAsPublished),
      identifiers: list.flatMap(({ identifiers }) => identifiers ?? []).sort((a, b) => a - b),
    })
    const plain = Map.groupBy(
      found.filter(({ filter }) => filter.shareName === undefined),
      ({ subscriber }) => subscriber,
    )
    const targets: Expected[] = [...plain].map(([subscriber, list]) => {
      const local = list.filter(({ options }) => !options.noLocal)
      return { subscriber, ...combine(list), own: local.length === 0 ? undefined : combine(local) }
    })
    const shared = found.filter(({ filter }) => filter.shareName !== undefined)
    const groups = [...Map.groupBy(shared, ({ filter }) => `${filter.shareName} ${filter.pattern}`)].map(
      ([key, list]) => `${key}: ${list.map(({ subscriber, qos }) => `${subscriber} ${qos}`).sort()}`,
    )
    return { targets: targets.sort(bySubscriber), groups: groups.sort() }
  }

  check(name: string) {
    expect(this.actual(name)).toEqual(this.expected(name))
  }
}

const bySubscriber = (a: { subscriber: string }, b: { subscriber: string }) => (a.subscriber < b.subscriber ? -1 : 1)

const words = ["", "a", "b", "c", "$a", "$SYS", "é"]

const randomName = (random: Random) =>
  Array.from({ length: random.between(1, 4) }, () => random.pick(words)).join("/") || "a"

function randomFilter(random: Random): string {
  const levels = Array.from({ length: random.between(1, 4) }, () => (random.chance(0.25) ? "+" : random.pick(words)))
  if (random.chance(0.25)) levels[levels.length - 1] = "#"
  const filter = levels.join("/") || "+"
  return random.chance(0.25) ? `$share/${random.pick(["g", "h"])}/${filter}` : filter
}

describe("route gives who matches", () => {
  for (let seed = 1; seed <= 15; seed++)
    test(`while subscriptions come, change and go (seed ${seed})`, () => {
      const random = new Random(seed)
      const model = new Model()
      const names = Array.from({ length: 30 }, () => randomName(random))
      const filters = Array.from({ length: 30 }, () => randomFilter(random))
      // Some filters are names, so that exact and wildcard filters meet at the same topics.
      for (let i = 0; i < 10; i++) filters.push(random.pick(names))
      for (let step = 0; step < 400; step++) {
        const subscriber = random.pick(["x", "y", "z"])
        const filter = random.pick(filters)
        if (random.chance(0.5)) {
          const qos = random.below(3) as 0 | 1 | 2
          const id = random.chance(0.5) ? random.between(1, 5) : undefined
          const options = { qos, nl: random.chance(0.3), rap: random.chance(0.3), ...(id !== undefined && { id }) }
          model.subscribe(subscriber, filter, options)
        } else model.unsubscribe(subscriber, filter)
        for (let i = 0; i < 4; i++) model.check(random.pick(names))
      }
      const all = [...model.subscriptions.values()]
      expect(model.router.subscriptionCount).toBe(all.length)
      expect(model.router.sharedCount).toBe(all.filter(({ filter }) => filter.shareName !== undefined).length)
      for (const key of [...model.subscriptions.keys()]) {
        model.unsubscribe(key.slice(0, 1), key.slice(2))
        model.check(random.pick(names))
      }
      for (const name of names) expect(model.actual(name)).toEqual({ targets: [], groups: [] })
      expect([model.router.subscriptionCount, model.router.sharedCount]).toEqual([0, 0])
      expect(isBare(model.router)).toBe(true)
    })

  for (let seed = 100; seed < 103; seed++)
    test(`while topics push each other out of the table (seed ${seed})`, () => {
      const random = new Random(seed)
      const model = new Model()
      const filters = ["t/+", "#", "t/1", "t/2", "$share/g/t/+", "t/#"]
      const held = Array.from({ length: 20 }, (_, index) => model.router.topics.named(`t/${index}`)!)
      for (let step = 0; step < 3000; step++) {
        model.router.route(model.router.topics.named(`passing/${random.below(100_000)}`)!)
        if (random.chance(0.05)) model.subscribe(random.pick(["x", "y"]), random.pick(filters), { qos: 1 })
        if (random.chance(0.05)) model.unsubscribe(random.pick(["x", "y"]), random.pick(filters))
        if (!random.chance(0.2)) continue
        const topic = random.pick(held) // as a topic alias holds it, in the table or not
        model.check(topic.name)
        const { targets } = model.router.route(topic)
        const expected = model.expected(topic.name).targets.map(({ subscriber }) => subscriber)
        expect(targets.map(({ subscriber }) => subscriber).sort()).toEqual(expected)
      }
    })
})

test("a route is found once, and anew only where a subscription may have changed it", () => {
  const { router } = new Model()
  const model = { router, subscribe: Model.prototype.subscribe, subscriptions: new Map() }
  const topics = ["a", "b"].map((name) => router.topics.named(name)!)
  const routes = () => topics.map((topic) => router.route(topic))
  const before = routes()
  expect(routes()[0]).toBe(before[0]!)
  model.subscribe("x", "a")
  const after = routes()
  expect([after[0] === before[0], after[1] === before[1]]).toEqual([false, true])
})

describe("a route is found anew where a wildcard filter that changes begins as its topic does", () => {
  for (const [filter, name, isAnew] of [
    ["c/+", "a", false],
    ["c/#", "a/b", false],
    ["a/c/+", "a/b/c", false],
    ["ab/#", "a/b", false],
    ["a/+", "a/b", true],
    ["a/#", "a", true],
    ["a/b/#", "a/b/c/d", true],
    ["a/+/z", "a/b/c", true],
    ["/#", "/a", true],
    ["+/z", "a/b", true],
    ["#", "a", true],
    ["$share/g/a/+", "a/b", true],
    ["$share/g/c/+", "a/b", false],
  ] as const)
    test(`${filter} ${isAnew ? "begins" : "does not begin"} as ${name} does`, () => {
      const model = new Model()
      const topic = model.router.topics.named(name)!
      model.subscribe("always", name)
      for (const change of [() => model.subscribe("x", filter), () => model.unsubscribe("x", filter)]) {
        const before = model.router.route(topic)
        change()
        expect(model.router.route(topic) !== before).toBe(isAnew)
        model.check(name)
      }
    })
})

for (const filterOf of [
  (n: number) => `site/${n % 50}/device/${n}/temperature`,
  (n: number) => `site/${n % 50}/device/${n}/+`,
  (n: number) => `site/+/device/${n}/temperature`,
  (n: number) => `site/${n % 50}/device/${n}/#`,
])
  test(`a match looks at as much beside ten filters like ${filterOf(7)} as beside ten thousand`, () => {
    const looks = (count: number) => {
      const model = new Model()
      for (let n = 0; n < count; n++) model.subscribe("x", filterOf(n))
      const topic = model.router.topics.named("site/7/device/7/temperature")!
      const get = spyOn(Map.prototype, "get")
      try {
        const work = workOf(() => expect(model.router.route(topic).targets).toHaveLength(1))
        return work + get.mock.calls.length
      } finally {
        get.mockRestore()
      }
    }
    expect(looks(10_000)).toBeLessThanOrEqual(looks(10) + 1) // what is alone on its way needs no look
  })

test("the routes that are kept are counted once, however often they are found anew", () => {
  const model = new Model()
  for (let n = 0; n < 2000; n++) model.subscribe(`s${n}`, "busy")
  model.subscribe("x", "quiet")
  const [busy, quiet] = ["busy", "quiet"].map((name) => model.router.topics.named(name)!)
  const kept = model.router.route(quiet!)
  for (let n = 0; n < 1000; n++) {
    model.subscribe("y", "busy/+")
    model.unsubscribe("y", "busy/+")
    model.router.route(busy!)
  }
  expect(model.router.route(quiet!)).toBe(kept)
})

test("the routes kept are bounded together, however many topics and subscribers meet", () => {
  const model = new Model()
  const names = Array.from({ length: 10_000 }, (_, index) => `t/${index}`)
  for (let i = 0; i < 500; i++) model.subscribe(`s${i}`, "#")
  for (const name of names) expect(model.router.route(model.router.topics.named(name)!).targets.length).toBe(500)
  const kept = () => {
    const routes = names.map((name) => model.router.topics.peek(name)?.route as { targets: unknown[] } | undefined)
    return routes.reduce((sum, route) => sum + (route?.targets.length ?? 0), 0)
  }
  expect(kept()).toBeGreaterThan(1 << 16)
  expect(kept()).toBeLessThanOrEqual(1 << 20)
})

test("a name too long for the table is routed all the same, and never from a stale route", () => {
  const model = new Model()
  const name = `long/${"x".repeat(600)}`
  const topic = model.router.topics.named(name)!
  for (const [subscriber, filter] of [
    ["x", name],
    ["y", "long/+"],
  ] as const) {
    model.subscribe(subscriber, filter)
    model.check(name)
    expect(model.router.route(topic).targets).toHaveLength(model.subscriptions.size)
  }
  model.unsubscribe("x", name)
  expect(model.router.route(topic).targets.map(({ subscriber }) => subscriber)).toEqual(["y"])
})

test("unsubscribing twice, or what another subscription has replaced, changes nothing", () => {
  const router = new Router<string>(limits)
  const make = (text: string) => {
    const options = { qos: 0 as const, noLocal: false, retainAsPublished: false, retainHandling: 0 as const }
    return new Subscription("x", parseTopicFilter(text, limits)!, options, undefined)
  }
  for (const text of ["a", "a/+", "$share/g/a"]) {
    const subscription = make(text)
    router.subscribe(subscription)
    router.unsubscribe(subscription)
    router.unsubscribe(subscription)
    expect([router.subscriptionCount, router.sharedCount]).toEqual([0, 0])
  }
})

for (const others of [[], ["y"]])
  test(`what another subscription has replaced cannot take that away, beside ${others.length} more subscribers`, () => {
    const model = new Model()
    for (const subscriber of ["x", ...others]) model.subscribe(subscriber, "a", { qos: 0 })
    const replaced = model.subscriptions.get("x a")!
    model.subscribe("x", "a", { qos: 1 })
    model.router.unsubscribe(replaced)
    model.check("a")
    expect(model.router.subscriptionCount).toBe(model.subscriptions.size)
  })

describe("who has a subscription that matches is told from who has none", () => {
  for (const filter of ["a/b", "a/+", "a/#", "$share/g/a/b", "$share/g/a/+"])
    for (const others of [[], ["y"], ["y", "z"]])
      test(`${filter}, beside ${others.length} more`, () => {
        const model = new Model()
        const reached = () => model.router.reaches(model.router.topics.named("a/b")!, "x")
        for (const subscriber of others) model.subscribe(subscriber, filter)
        if (others.length > 1) model.subscribe(others[0]!, "$share/other/a/b")
        expect(reached()).toBe(false)
        model.subscribe("x", filter)
        expect(reached()).toBe(true)
        model.unsubscribe("x", filter)
        expect(reached()).toBe(false)
      })
})

type Bare = { exact: { size: number }; root: { isBare: boolean } }

/** Whether no node of a subscription that has gone is left. */
function isBare(router: Router<string>): boolean {
  const { exact, root } = (router as unknown as { filters: Bare }).filters
  return exact.size === 0 && root.isBare
}

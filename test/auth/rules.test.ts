/** Rules on topics: what they say of names and of filters, by table and against their definition. */
import { describe, expect, test } from "bun:test"
import { type Access, Rules, verdictOf } from "../../src/auth/rules.ts"
import type { Action, Client } from "../../src/broker/ports.ts"
import { matches } from "../../src/router/index.ts"
import { admitted } from "../support/auth-context.ts"
import { Random } from "../support/bytes.ts"

type Verdict = boolean | undefined

/** Rules as `allow read a/#`; all of them patterns. */
function rulesOf(...lines: string[]): Rules {
  const rules = new Rules()
  for (const line of lines) {
    const [, verdict, access, filter] = line.match(/^(allow|deny) (read|write|readwrite) (.*)$/)!
    rules.add(verdict as "allow" | "deny", access as Access, filter!, true)
  }
  return rules
}

function ask(rules: Rules, action: Action, topic: string, client: Client = admitted("ada")): Verdict {
  return verdictOf(rules.say(topic, client), action)
}

describe("a rule matches a topic as a subscription does", () => {
  const table: [filter: string, matching: string[], others: string[]][] = [
    ["a", ["a"], ["b", "a/", "/a", "aa", "A"]],
    ["a/b", ["a/b"], ["a", "a/b/c", "a/bb", "b/a"]],
    ["a/#", ["a", "a/", "a/b", "a/b/c"], ["b", "aa", "/a"]],
    ["+", ["a", " "], ["a/b", "/", "$SYS"]],
    ["+/b", ["a/b", "/b"], ["b", "a/b/", "$SYS/b"]],
    ["a/+", ["a/b", "a/"], ["a", "a/b/c"]],
    ["a/+/c", ["a/b/c", "a//c"], ["a/c", "a/b/c/d"]],
    ["+/+/#", ["a/b", "a/b/c", "/"], ["a"]],
    ["#", ["a", "a/b", "/", "a/$SYS"], ["$SYS", "$SYS/x", "$x"]],
    ["$SYS/#", ["$SYS", "$SYS/x", "$SYS/x/y"], ["SYS", "$SYSx", "x"]],
    ["$SYS/+", ["$SYS/x"], ["$SYS", "$SYS/x/y"]],
    ["/", ["/"], ["", "a/", "/a"]],
    ["a b/ c", ["a b/ c"], ["a b/c"]],
    ["ä/€/😀", ["ä/€/😀"], ["ä/€/😁", "a/€/😀"]],
  ]
  for (const [filter, matching, others] of table)
    test(filter, () => {
      const rules = rulesOf(`allow write ${filter}`)
      for (const topic of matching) expect([topic, ask(rules, "publish", topic)]).toEqual([topic, true])
      for (const topic of others) expect([topic, ask(rules, "publish", topic)]).toEqual([topic, undefined])
    })

  test("also where the hashes of two levels are the same", () => {
    const rules = rulesOf("allow write Aa/x", "deny write BB/x", "allow write AaBB", "deny write BBAa")
    expect(["Aa/x", "BB/x", "AaBB", "BBAa", "AaAa"].map((topic) => ask(rules, "publish", topic))).toEqual([
      true,
      false,
      true,
      false,
      undefined,
    ])
  })
})

describe("reading and writing are apart", () => {
  const table: [rule: string, publish: Verdict, subscribe: Verdict, receive: Verdict][] = [
    ["allow read a", undefined, true, true],
    ["allow write a", true, undefined, undefined],
    ["allow readwrite a", true, true, true],
    ["deny read a", undefined, false, false],
    ["deny write a", false, undefined, undefined],
    ["deny readwrite a", false, false, false],
  ]
  for (const [rule, publish, subscribe, receive] of table)
    test(rule, () => {
      const rules = rulesOf(rule)
      expect([ask(rules, "publish", "a"), ask(rules, "subscribe", "a"), ask(rules, "receive", "a")]).toEqual([
        publish,
        subscribe,
        receive,
      ])
    })
})

describe("a denial outweighs what allows", () => {
  for (const order of [
    ["allow readwrite a/#", "deny write a/b", "allow write a/b"],
    ["deny write a/b", "allow write a/b", "allow readwrite a/#"],
  ])
    test(`in the order ${order.join(", ")}`, () => {
      const rules = rulesOf(...order)
      expect([ask(rules, "publish", "a/b"), ask(rules, "receive", "a/b"), ask(rules, "publish", "a/c")]).toEqual([
        false,
        true,
        true,
      ])
    })
})

describe("a subscription", () => {
  const table: [filter: string, verdict: Verdict, ...rules: string[]][] = [
    // Some topic that may be read could match.
    ["a/#", true, "allow read a/b"],
    ["a/+", true, "allow read a/b"],
    ["a/+", undefined, "allow read a/b/c"],
    ["+/b", true, "allow read a/#"],
    ["+/+", true, "allow read a/#"],
    ["a/#", true, "allow read a"],
    ["a", true, "allow read a/#"],
    ["a/b/#", true, "allow read a/+/c"],
    ["a/x/#", undefined, "allow read a/b"],
    ["#", true, "allow read a/b/c/d"],
    ["#", undefined, "allow write a"],
    ["#", undefined],
    ["#", undefined, "allow read $SYS/#"],
    ["+/x", undefined, "allow read $SYS/x"],
    ["$SYS/#", undefined, "allow read #"],
    ["$SYS/+", undefined, "allow read +/x"],
    ["$SYS/#", true, "allow read $SYS/broker/uptime"],
    ["+", undefined, "allow read a/b"],
    // Denied as a whole, or in part.
    ["a/#", false, "allow read #", "deny read a/#"],
    ["a/b", false, "allow read #", "deny read a/+"],
    ["a/+", false, "allow read #", "deny read a/+"],
    ["a/+/c", false, "allow read #", "deny read a/#"],
    ["a", false, "allow read #", "deny read a/#"],
    ["#", false, "allow read #", "deny read #"],
    ["#", false, "allow read #", "deny read +/#"],
    ["+/a", false, "allow read #", "deny read #"],
    ["a/#", true, "allow read a/#", "deny read a/b"],
    ["a/#", true, "allow read a/#", "deny read a/+/#"],
    ["a/+", true, "allow read a/#", "deny read a/b"],
    ["+", true, "allow read #", "deny read a"],
    ["#", true, "allow read #", "deny read a/#"],
    ["a/#", true, "allow read a/#", "deny read a"],
    ["$SYS/#", true, "allow read $SYS/#", "deny read #"],
    ["$SYS/x", true, "allow read $SYS/#", "deny read +/x"],
    ["a/#", true, "allow read a/#", "deny write a/#"],
  ]
  for (const [filter, verdict, ...rules] of table)
    test(`to ${filter} is ${verdict} with ${rules.join(", ") || "no rule"}`, () => {
      expect(ask(rulesOf(...rules), "subscribe", filter)).toBe(verdict!)
    })
})

describe("%u and %c", () => {
  const sensor = (username: string | undefined, clientId: string) => admitted(username, { clientId })
  const patterns = rulesOf("allow write u/%u/x", "allow write c/%c/#", "allow write m/dev-%c.json", "allow write %u/%c")
  const table: [topic: string, username: string | undefined, clientId: string, verdict: Verdict][] = [
    ["u/ada/x", "ada", "c1", true],
    ["u/bob/x", "ada", "c1", undefined],
    ["u//x", "", "c1", undefined],
    ["u//x", undefined, "c1", undefined],
    ["u/undefined/x", undefined, "c1", undefined],
    ["u/%u/x", "ada", "c1", undefined],
    ["u/%u/x", "%u", "c1", true],
    ["c/c1", undefined, "c1", true],
    ["c/c1/a/b", undefined, "c1", true],
    ["c/c11", undefined, "c1", undefined],
    ["c/c", undefined, "c1", undefined],
    ["m/dev-c1.json", undefined, "c1", true],
    ["m/dev-c1", undefined, "c1", undefined],
    ["m/dev-c1.jpeg", undefined, "c1", undefined],
    ["m/log-c1.json", undefined, "c1", undefined],
    ["m/dev-.json", undefined, "", undefined],
    ["m/c1.json", undefined, "c1", undefined],
    ["ada/c1", "ada", "c1", true],
    ["$SYS/c1", "$SYS", "c1", undefined],
  ]
  for (const [topic, username, clientId, verdict] of table)
    test(`${topic} of user ${username}, client ${clientId || "without id"}: ${verdict}`, () => {
      expect(ask(patterns, "publish", topic, sensor(username, clientId))).toBe(verdict!)
    })

  test("a name that is a wildcard, or more than a level, widens nothing", () => {
    const rules = rulesOf("allow readwrite u/%u/#", "allow readwrite c/%c", "allow readwrite x/pre-%c/y")
    for (const name of ["+", "#", "a/b", "a/#", "+/a", "/", "a+", "#a"]) {
      const client = sensor(name, name)
      for (const topic of ["u/a/b", "u/+/b", "u/a", "u", "c/a", "c/a/b", "c/+", "c/#", `u/${name}/x`, `c/${name}`]) {
        expect([name, topic, ask(rules, "publish", topic, client)]).toEqual([name, topic, undefined])
        expect([name, topic, ask(rules, "subscribe", topic, client)]).toEqual([name, topic, undefined])
      }
      for (const filter of ["#", "+/+", "u/#", "u/+", "c/+", "x/+/y", "x/#", `x/pre-${name}/y`]) {
        expect([name, filter, ask(rules, "subscribe", filter, client)]).toEqual([name, filter, undefined])
      }
    }
  })

  test("a name that begins with $ is reached by no wildcard, unless the rule itself says $", () => {
    const rules = rulesOf("allow read %u/x", "allow read $dev-%c/y")
    const client = sensor("$SYS", "c1")
    const table: [filter: string, verdict: Verdict][] = [
      ["#", undefined],
      ["+/x", undefined],
      ["+/y", undefined],
      ["$SYS/#", undefined],
      ["$dev-c1/#", true],
    ]
    for (const [filter, verdict] of table) {
      expect([filter, ask(rules, "subscribe", filter, client)]).toEqual([filter, verdict])
    }
  })

  test("are filled in before a filter is compared", () => {
    const rules = rulesOf("allow read u/%u/#", "deny read u/%u/secret", "allow read c/%c")
    const ada = sensor("ada", "c1")
    const table: [filter: string, verdict: Verdict][] = [
      ["u/ada/#", true],
      ["u/+/#", true],
      ["u/bob/#", undefined],
      ["u/ada/secret", false],
      ["u/+/secret", true], // denied one by one
      ["c/+", true],
      ["c/c2", undefined],
      ["#", true],
    ]
    for (const [filter, verdict] of table) {
      expect([filter, ask(rules, "subscribe", filter, ada)]).toEqual([filter, verdict])
    }
  })

  test("are what they are where a rule is no pattern", () => {
    const rules = new Rules()
    rules.add("allow", "readwrite", "c/%c", false)
    expect([ask(rules, "publish", "c/client"), ask(rules, "publish", "c/%c")]).toEqual([undefined, true])
  })

  test("have a level of their own each", () => {
    expect(() => rulesOf("allow read x/%u-%c/y")).toThrow(
      '"%u-%c" has more than one of %u and %c: put a "/" between them',
    )
    expect(() => rulesOf("allow read %c%c")).toThrow('"%c%c" has more than one of %u and %c')
  })
})

describe("a filter that is none is an error", () => {
  for (const filter of ["", "a#", "#/a", "a/#/b", "+a", "a/b+", "##", "a/".repeat(32_768)])
    test(filter.slice(0, 20) || "an empty one", () => {
      expect(() => new Rules().add("allow", "read", filter, true)).toThrow(`"${filter}" is not a topic filter`)
    })
})

test("what they say is what follows from matching every topic there is", () => {
  const random = new Random(4)
  const client = admitted("u", { clientId: "c" })
  const universe: string[] = []
  const names = ["a", "b", "$x", "u", "z"] // z is in no rule: it stands for any other
  const grow = (prefix: string, depth: number) => {
    for (const name of names) {
      universe.push(prefix + name)
      if (depth < 3) grow(`${prefix}${name}/`, depth + 1)
    }
  }
  grow("", 1)
  universe.push(...universe.filter((topic) => topic.split("/").length === 3).map((topic) => `${topic}/z`))
  const filterOf = (levels: readonly string[]) => {
    const filter = Array.from({ length: random.between(1, 3) }, () => random.pick([...levels]))
    return (random.chance(0.3) ? [...filter.slice(0, -1), "#"] : filter).join("/")
  }
  let granted = 0
  for (let round = 0; round < 400; round++) {
    const rules = new Rules()
    const list = Array.from({ length: random.between(1, 4) }, () => {
      const verdict = random.pick(["allow", "allow", "deny"] as const)
      const access = random.pick(["read", "write", "readwrite"] as const)
      const filter = filterOf(["a", "b", "$x", "+", "+", "%u"])
      rules.add(verdict, access, filter, true)
      const filled = filter.replaceAll("%u", "u")
      return { verdict, access, topics: new Set(universe.filter((topic) => matches(filled, topic))) }
    })
    const concerning = (action: Action) =>
      list.filter(({ access }) => access === "readwrite" || access === (action === "publish" ? "write" : "read"))
    for (const action of ["publish", "receive"] as const) {
      for (const topic of universe) {
        const hits = concerning(action).filter(({ topics }) => topics.has(topic))
        const expected = hits.length === 0 ? undefined : hits.every(({ verdict }) => verdict === "allow")
        if (ask(rules, action, topic, client) !== expected) throw new Error(`${action} ${topic}`)
      }
    }
    const filter = filterOf(["a", "b", "$x", "u", "+", "+"])
    const wanted = universe.filter((topic) => matches(filter, topic))
    const reading = concerning("subscribe")
    const isAllowed = reading.some(({ verdict, topics }) => verdict === "allow" && wanted.some((t) => topics.has(t)))
    const isDenied = reading.some(({ verdict, topics }) => verdict === "deny" && wanted.every((t) => topics.has(t)))
    expect([filter, ask(rules, "subscribe", filter, client)]).toEqual([
      filter,
      isDenied ? false : isAllowed || undefined,
    ])
    if (isAllowed && !isDenied) granted++
  }
  expect(granted).toBeGreaterThan(50)
})

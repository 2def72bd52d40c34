/** The life of auths within others: each is opened once, told of changes to all that have it, and closed with the broker. */
import { describe, expect, test } from "bun:test"
import { all, any } from "../../src/auth/compose.ts"
import { Auths } from "../../src/broker/auths.ts"
import type { Auth, AuthContext } from "../../src/broker/ports.ts"
import { FileWatch } from "../../src/broker/watch.ts"
import { ManualClock } from "../../src/testing/clock.ts"
import { microtasks } from "../support/store.ts"

/** An auth that notes what becomes of it. */
class Noted implements Auth {
  readonly life: string[] = []
  context: AuthContext | undefined
  failure: Error | undefined

  constructor(failure?: Error) {
    this.failure = failure
  }

  async open(context: AuthContext): Promise<void> {
    this.life.push("open")
    this.context = context
    await Promise.resolve()
    if (this.failure !== undefined) throw this.failure
    this.life.push("opened")
  }

  close(): void {
    this.life.push("closed")
  }

  authenticate(): true {
    return true
  }
}

/** The auths of a broker, and which of them its listeners were told have changed. */
function opening() {
  const clock = new ManualClock()
  const told: Auth[] = []
  const logger = { debug() {}, info() {}, warn() {}, error() {} }
  return { auths: new Auths(new FileWatch(clock), clock, logger, (auth) => told.push(auth)), told }
}

describe("the members of a composition", () => {
  for (const compose of [all, any])
    test(`of ${compose.name}() are opened with it, once each, and closed with the broker`, async () => {
      const [first, second] = [new Noted(), new Noted()]
      const { auths } = opening()
      await auths.open(compose(first, { authenticate: () => true }, second, first))
      expect([first.life, second.life]).toEqual([
        ["open", "opened"],
        ["open", "opened"],
      ])
      auths.close()
      auths.close()
      await microtasks()
      expect([first.life, second.life]).toEqual([
        ["open", "opened", "closed"],
        ["open", "opened", "closed"],
      ])
    })

  test("that fail to open fail the whole; both are tried again the next time", async () => {
    const [first, failing] = [new Noted(), new Noted(new Error("users.txt: no such file"))]
    const { auths } = opening()
    const whole = all(first, failing)
    await expect(auths.open(whole)).rejects.toThrow("users.txt: no such file")
    failing.failure = undefined
    await auths.open(whole)
    expect([first.life, failing.life]).toEqual([
      ["open", "opened"],
      ["open", "open", "opened"],
    ])
  })
})

describe("an auth that a listener has alone, and others within compositions", () => {
  for (const isAloneFirst of [true, false])
    test(`is opened once, ${isAloneFirst ? "alone" : "within"} first`, async () => {
      const rules = new Noted()
      const { auths } = opening()
      const both = [rules, all(any(rules), new Noted())]
      for (const auth of isAloneFirst ? both : both.reverse()) await auths.open(auth)
      expect(rules.life).toEqual(["open", "opened"])
    })

  test("is opened once when all ask at the same time", async () => {
    const rules = new Noted()
    const { auths } = opening()
    await Promise.all([rules, all(rules), any(rules)].map((auth) => auths.open(auth)))
    expect(rules.life).toEqual(["open", "opened"])
  })

  test("tells the listeners of all of them that its decisions are others, once each, and nobody else", async () => {
    const rules = new Noted()
    const { auths, told } = opening()
    const inner = any(rules)
    const whole = all(inner, rules)
    const other = all(new Noted())
    for (const auth of [rules, whole, other]) await auths.open(auth)
    rules.context!.changed()
    expect(new Set(told)).toEqual(new Set([rules, whole]))
    expect(told).toHaveLength(2)
  })

  test("fails all of them if it fails to open", async () => {
    const rules = new Noted(new Error("no"))
    const { auths } = opening()
    const outcomes = await Promise.allSettled([all(rules), any(rules)].map((auth) => auths.open(auth)))
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"])
    expect(rules.life).toEqual(["open"])
  })
})

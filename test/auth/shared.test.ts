/** The life of auths within others: each is opened once, told of changes to all that have it, and closed after the last. */
import { describe, expect, test } from "bun:test"
import { all, any } from "../../src/auth/compose.ts"
import type { Auth, AuthContext } from "../../src/broker/ports.ts"
import { FakeAuthContext } from "../support/auth-context.ts"

/** An auth that notes what becomes of it. */
class Noted implements Auth {
  readonly life: string[] = []
  context: AuthContext | undefined
  private readonly failure: Error | undefined

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

describe("the members of a composition", () => {
  for (const compose of [all, any])
    test(`of ${compose.name}() are opened and closed with it, once each`, async () => {
      const [first, second] = [new Noted(), new Noted()]
      const context = new FakeAuthContext()
      const auth = compose(first, { authenticate: () => true }, second, first)
      await auth.open!(context)
      expect([first.life, second.life]).toEqual([
        ["open", "opened"],
        ["open", "opened"],
      ])
      auth.close!()
      auth.close!()
      expect([first.life, second.life]).toEqual([
        ["open", "opened", "closed"],
        ["open", "opened", "closed"],
      ])
    })

  test("have what the broker gives: its clock, its log, its files", async () => {
    const member = new Noted()
    const context = new FakeAuthContext()
    await all(member).open!(context)
    member.context!.logger.info("hello")
    const unwatch = member.context!.watch("a.txt", () => {})
    expect([member.context!.clock.now(), context.logged, context.watched]).toEqual([
      context.clock.now(),
      ["info: hello"],
      ["a.txt"],
    ])
    unwatch()
    expect(context.watched).toEqual([])
    member.context!.changed()
    expect(context.changes).toBe(1)
  })

  test("that fail to open fail the whole, which closes those that are open", async () => {
    const [first, failing, last] = [new Noted(), new Noted(new Error("users.txt: no such file")), new Noted()]
    const auth = all(first, failing, last)
    await expect(auth.open!(new FakeAuthContext())).rejects.toThrow("users.txt: no such file")
    expect([first.life, failing.life, last.life]).toEqual([["open", "opened", "closed"], ["open"], []])
    const throwing: Auth = {
      authenticate: () => true,
      open: () => {
        throw new Error("at once")
      },
    }
    await expect(any(throwing).open!(new FakeAuthContext())).rejects.toThrow("at once")
  })

  test("may be opened again, after they failed and after they were closed", async () => {
    let isFailing = true
    let opened = 0
    const member: Auth = {
      authenticate: () => true,
      open: () => {
        if (isFailing) throw new Error("not yet")
        opened++
      },
    }
    const auth = all(member)
    await expect(auth.open!(new FakeAuthContext())).rejects.toThrow("not yet")
    isFailing = false
    await auth.open!(new FakeAuthContext())
    auth.close!()
    await auth.open!(new FakeAuthContext())
    expect(opened).toBe(2)
  })
})

describe("an auth that several compositions have", () => {
  test("is opened by the first and closed after the last, in whatever order they end", async () => {
    const rules = new Noted()
    const [one, two] = [all(rules, new Noted()), any(rules)]
    const context = new FakeAuthContext()
    await Promise.all([one.open!(context), two.open!(context)])
    expect(rules.life).toEqual(["open", "opened"])
    one.close!()
    expect(rules.life).toEqual(["open", "opened"])
    two.close!()
    expect(rules.life).toEqual(["open", "opened", "closed"])
  })

  test("tells all of them that its decisions are others, and none that is closed", async () => {
    const rules = new Noted()
    const contexts = [new FakeAuthContext(), new FakeAuthContext()] as const
    const auths = [all(rules), all(any(rules), rules)] as const
    for (const [index, auth] of auths.entries()) await auth.open!(contexts[index]!)
    rules.context!.changed()
    expect(contexts[0].changes).toBe(1)
    expect(contexts[1].changes).toBeGreaterThan(0)
    auths[0].close!()
    rules.context!.changed()
    expect(contexts[0].changes).toBe(1)
  })

  test("fails all of them if it fails to open", async () => {
    const rules = new Noted(new Error("no"))
    const outcomes = await Promise.allSettled([all(rules), any(rules)].map((auth) => auth.open!(new FakeAuthContext())))
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"])
    expect(rules.life).toEqual(["open"])
  })
})

/** The auths of a broker's listeners: when each is opened and closed, what it is given, and what its faults do to others. */
import { describe, expect, test } from "bun:test"
import { all, any } from "../../src/auth/compose.ts"
import { Auths } from "../../src/broker/auths.ts"
import { Broker } from "../../src/broker/broker.ts"
import type { Listener } from "../../src/broker/options.ts"
import type { Auth, AuthContext } from "../../src/broker/ports.ts"
import { FileWatch } from "../../src/broker/watch.ts"
import { ManualClock } from "../../src/testing/clock.ts"
import { microtasks } from "../support/store.ts"

/** An auth that notes what is done with it; `opening` is what its opening does. */
class NotedAuth implements Auth {
  readonly calls: string[] = []
  context!: AuthContext
  private readonly opening: () => void | Promise<void>

  constructor(opening: () => void | Promise<void> = () => {}) {
    this.opening = opening
  }

  open(context: AuthContext): void | Promise<void> {
    this.calls.push("open")
    this.context = context
    return this.opening()
  }

  close(): void {
    this.calls.push("close")
  }

  authenticate(): boolean {
    return true
  }
}

/** Auths as a core has them, with what they have logged and who has changed. */
function auths() {
  const clock = new ManualClock()
  const files = new FileWatch(clock)
  const errors: string[] = []
  const changed: Auth[] = []
  const error = (message: string) => void errors.push(message)
  const logger = { debug() {}, info() {}, warn() {}, error }
  return { auths: new Auths(files, clock, logger, (auth) => changed.push(auth)), clock, files, logger, errors, changed }
}

/** A listener without a socket, that opens its auth as all do. */
function listener(auth: Auth, id = "memory"): Listener {
  return {
    id,
    async open(core) {
      await core.auths.open(auth)
      return { hostname: id, port: 1 }
    },
    close() {},
  }
}

const message = (promise: Promise<unknown>) =>
  promise.then(String, (error) => `${error.code ?? ""} ${error.message}`.trim())

describe("an auth is opened", () => {
  test("once, for however many listeners, and closed once with the broker", async () => {
    const auth = new NotedAuth()
    const other = new NotedAuth()
    const broker = new Broker({ clock: new ManualClock() })
    await broker.listen(listener(auth, "one"))
    await Promise.all([broker.listen(listener(auth, "two")), broker.listen(listener(other, "three"))])
    expect([auth.calls, other.calls]).toEqual([["open"], ["open"]])
    await broker.close({ timeoutMs: 1 })
    await broker.close()
    expect([auth.calls, other.calls]).toEqual([
      ["open", "close"],
      ["open", "close"],
    ])
  })
  test("once, for two listeners that open at the same time, and both wait until it is", async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const auth = new NotedAuth(() => promise)
    const { auths: all } = auths()
    const opened: number[] = []
    for (const i of [1, 2]) void all.open(auth).then(() => opened.push(i))
    await microtasks()
    expect([auth.calls, opened]).toEqual([["open"], []])
    resolve()
    await microtasks()
    expect(opened).toEqual([1, 2])
  })
  const why = "users.txt: there is no such file"
  const failures: [name: string, fail: () => Promise<void>][] = [
    ["rejected", () => Promise.reject(new Error(why))],
    [
      "thrown",
      () => {
        throw new Error(why)
      },
    ],
  ]
  for (const [name, fail] of failures)
    test(`again by the next listener, when it has ${name}; and is not closed unless it was open`, async () => {
      let isFailing = true
      const auth = new NotedAuth(() => (isFailing ? fail() : undefined))
      const unopened = new NotedAuth(fail)
      const { auths: all } = auths()
      expect(await Promise.all([auth, auth, unopened].map((each) => message(all.open(each))))).toEqual([why, why, why])
      expect(await message(all.open(auth))).toBe(why)
      expect(auth.calls.splice(0)).toEqual(["open", "open"]) // the first two have shared one
      isFailing = false
      await all.open(auth)
      await all.open(auth)
      all.close()
      expect([auth.calls, unopened.calls]).toEqual([["open", "close"], ["open"]])
    })
  test("to the listener's failure, if it cannot be: AUTH_FAILED", async () => {
    const broker = new Broker({ clock: new ManualClock() })
    const auth = new NotedAuth(() => Promise.reject(new Error("users.txt:3: what is this")))
    expect(await message(broker.listen(listener(auth)))).toBe("AUTH_FAILED users.txt:3: what is this")
    await broker.close({ timeoutMs: 1 })
    expect(auth.calls).toEqual(["open"])
  })
  test("if it has anything to open: one that has not is closed all the same", async () => {
    const { auths: all } = auths()
    const calls: string[] = []
    await all.open({ authenticate: () => true })
    await all.open({ authenticate: () => true, close: () => calls.push("close") })
    await all.open(undefined)
    all.close()
    all.close()
    expect(calls).toEqual(["close"])
  })
})

describe("an auth is closed", () => {
  test("even if it was not open yet: as soon as it is, and nobody is told that it is", async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const auth = new NotedAuth(() => promise)
    const { auths: all } = auths()
    const opening = message(all.open(auth))
    all.close()
    expect(auth.calls).toEqual(["open"])
    resolve()
    expect(await opening).toBe("CLOSED the broker has been closed")
    expect(auth.calls).toEqual(["open", "close"])
  })
  test("with a broker whose listener is still opening", async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const auth = new NotedAuth(() => promise)
    const broker = new Broker({ clock: new ManualClock() })
    const listening = message(broker.listen(listener(auth)))
    await microtasks()
    await broker.close({ timeoutMs: 1 })
    resolve()
    expect(await listening).toBe("CLOSED the broker has been closed")
    expect(auth.calls).toEqual(["open", "close"])
  })
  test("and not opened any more by what comes afterwards", async () => {
    const { auths: all } = auths()
    all.close()
    const auth = new NotedAuth()
    expect(await message(all.open(auth))).toBe("CLOSED the broker has been closed")
    expect(auth.calls).toEqual([])
  })
  test("whatever the others do: an exception is logged", async () => {
    const { auths: all, errors } = auths()
    const bad = new NotedAuth()
    bad.close = () => {
      throw new Error("cannot let go")
    }
    const good = new NotedAuth()
    await Promise.all([bad, good].map((auth) => all.open(auth)))
    all.close()
    await microtasks()
    expect([good.calls, errors]).toEqual([["open", "close"], ["auth failed: Error: cannot let go"]])
  })
})

describe("when everything is to be read again, an auth is told so", () => {
  const reloading = (calls: string[], name: string): Auth => ({
    authenticate: () => true,
    reload: () => void calls.push(name),
  })

  test("by itself and within others, once each, by the broker", async () => {
    const calls: string[] = []
    const [first, second] = [reloading(calls, "first"), reloading(calls, "second")]
    const broker = new Broker({ clock: new ManualClock() })
    broker.reload()
    await broker.listen(listener(all(first, { authenticate: () => true }), "one"))
    await broker.listen(listener(any(first, second), "two"))
    await broker.listen(listener(first, "three"))
    expect(calls).toEqual([])
    broker.reload()
    await microtasks()
    expect(calls).toEqual(["first", "second"])
    await broker.close({ timeoutMs: 1 })
    expect(() => broker.reload()).toThrow("closed")
    expect(calls).toEqual(["first", "second"])
  })
  test("but not before it is open: what it reads then is new", async () => {
    const calls: string[] = []
    const { promise, resolve } = Promise.withResolvers<void>()
    const { auths: all } = auths()
    const opened = all.open({ ...reloading(calls, "late"), open: () => promise })
    all.reload()
    resolve()
    await opened
    expect(calls).toEqual([])
    all.reload()
    await microtasks()
    expect(calls).toEqual(["late"])
  })
  test("whatever the others do: an exception is logged", async () => {
    const calls: string[] = []
    const { auths: all, errors } = auths()
    await all.open({ authenticate: () => true, reload: () => Promise.reject(new Error("no")) })
    await all.open(reloading(calls, "other"))
    all.reload()
    await microtasks()
    expect([calls, errors]).toEqual([["other"], ["auth failed: Error: no"]])
  })
})

describe("what an auth watches", () => {
  /** How many looks at files there are to come, and whom `touch` reaches. */
  const state = ({ clock, files }: ReturnType<typeof auths>, told: string[]) => {
    told.length = 0
    files.touch()
    return [clock.recurringCount, ...told]
  }

  test("is not watched any more once it is closed, though it has said nothing of that; others' is", async () => {
    const all = auths()
    const told: string[] = []
    await all.auths.open({ authenticate: () => true, open: ({ watch }) => void watch("/a", () => told.push("a")) })
    const unwatch = all.files.watch("/certificate", () => told.push("certificate"))
    expect(state(all, told)).toEqual([1, "a", "certificate"])
    all.auths.close()
    expect(state(all, told)).toEqual([1, "certificate"])
    unwatch()
    expect(state(all, told)).toEqual([0])
  })
  test("may be let go twice, by itself and by the broker", async () => {
    const all = auths()
    const stops: (() => void)[] = []
    await all.auths.open({
      authenticate: () => true,
      open: ({ watch }) => void stops.push(watch("/a", () => {})),
      close: () => stops[0]!(),
    })
    all.auths.close()
    stops[0]!()
    expect(state(all, [])).toEqual([0])
  })
  test("is not watched if it could not be opened", async () => {
    const all = auths()
    const told: string[] = []
    let context: AuthContext | undefined
    const auth: Auth = {
      authenticate: () => true,
      open: (given) => {
        context = given
        given.watch("/a", () => told.push("a"))
        throw new Error("no such file")
      },
    }
    expect(await message(all.auths.open(auth))).toBe("no such file")
    expect(state(all, told)).toEqual([0])
    context!.watch("/b", () => told.push("b"))
    expect(state(all, told)).toEqual([0])
  })
  test("is not begun to be watched by one that is still opening when the broker closes", async () => {
    const all = auths()
    const told: string[] = []
    const { promise, resolve } = Promise.withResolvers<void>()
    const opening = message(
      all.auths.open({
        authenticate: () => true,
        async open({ watch }) {
          watch("/a", () => told.push("a"))
          await promise
          watch("/b", () => told.push("b"))
        },
      }),
    )
    all.auths.close()
    expect(state(all, told)).toEqual([0])
    resolve()
    expect(await opening).toBe("CLOSED the broker has been closed")
    expect(state(all, told)).toEqual([0])
  })
})

describe("an auth is given", () => {
  test("the broker's logger and clock", async () => {
    const { auths: all, clock, logger } = auths()
    const auth = new NotedAuth()
    await all.open(auth)
    expect([auth.context.clock === clock, auth.context.logger === logger]).toEqual([true, true])
  })
  test("a way to say that it has changed, which is about itself alone", async () => {
    const { auths: all, changed } = auths()
    const [one, two] = [new NotedAuth(), new NotedAuth()] as const
    await Promise.all([one, two].map((auth) => all.open(auth)))
    two.context.changed()
    expect(changed).toEqual([two])
    one.context.changed()
    expect(changed).toEqual([two, one])
  })
  test("files to watch, until it has enough; what it throws on being told is logged, and others are told", async () => {
    const { auths: all, clock, files, errors } = auths()
    const auth = new NotedAuth()
    await all.open(auth)
    const told: string[] = []
    const late = async () => {
      throw new Error("second")
    }
    const stops = [
      auth.context.watch("/missing/a", () => {
        throw new Error("first")
      }),
      auth.context.watch("/missing/b", late as () => void),
      auth.context.watch("/missing/c", () => told.push("c")),
    ]
    files.touch()
    await microtasks()
    expect([told, errors]).toEqual([["c"], ["auth failed: Error: first", "auth failed: Error: second"]])
    for (const stop of stops) stop()
    files.touch()
    expect([told, clock.recurringCount]).toEqual([["c"], 0])
  })
})

/** Enhanced authentication through `all(...)` and `any(...)`: who carries it on, and who else has a say. */
import { describe, expect, test } from "bun:test"
import { all, any } from "../../src/auth/compose.ts"
import type { Auth, Authority, Connecting, Decision, ExchangeStep } from "../../src/broker/ports.ts"
import { Reason } from "../../src/codec/index.ts"
import { connecting } from "../support/auth-context.ts"

const data = Buffer.from("proof")

/** An auth that knows a method, whose exchange takes these steps. */
function knowing(method: string, ...steps: (ExchangeStep | Promise<ExchangeStep>)[]): Auth {
  return {
    authenticate: () => undefined,
    exchange: (_client, asked) => (asked === method ? { next: () => steps.shift() } : undefined),
  }
}

/** An auth that decides so, and notes whom it has seen. */
function deciding(decision: Decision | Promise<Decision>) {
  const seen: (string | undefined)[] = []
  const authenticate = ({ username }: Connecting) => {
    seen.push(username)
    return decision
  }
  return { authenticate, seen } satisfies Auth & { seen: unknown }
}

/** The step that a composition takes. */
async function step(auth: Auth, method = "X", client = connecting("zero")): Promise<ExchangeStep | "unknown method"> {
  const exchange = auth.exchange!(client, method)
  return exchange === undefined ? "unknown method" : await exchange.next(data)
}

for (const [name, compose] of [
  ["all", all],
  ["any", any],
] as const)
  describe(`an exchange through ${name}()`, () => {
    test("is that of the first member that knows the method", async () => {
      const first = { challenge: Buffer.from("first") }
      const auth = compose(deciding(true), knowing("Y", false), knowing("X", first), knowing("X", true))
      expect(await step(auth)).toBe(first)
      expect(await step(auth, "Y")).toBe(false)
      expect(await step(auth, "Z")).toBe("unknown method")
    })

    test("passes on challenges and refusals, and asks nobody else about them", async () => {
      const others = deciding(true)
      for (const outcome of [{ challenge: data }, false, { reason: Reason.Banned }, undefined] as ExchangeStep[]) {
        expect(await step(compose(others, knowing("X", outcome)))).toBe(outcome as ExchangeStep & object)
        expect(await step(compose(others, knowing("X", Promise.resolve(outcome))))).toBe(
          outcome as ExchangeStep & object,
        )
      }
      expect(others.seen).toEqual([])
    })

    test("takes no promise where the members take none", () => {
      const exchange = compose(knowing("X", { challenge: data }, true), deciding(undefined)).exchange!(
        connecting(),
        "X",
      )!
      for (let steps = 0; steps < 2; steps++) expect(exchange.next(data)).not.toBeInstanceOf(Promise)
    })

    test("gives back what proves the broker to the client", async () => {
      for (const outcome of [true, { authenticated: true, data, username: "ada" }] as const) {
        const result = await step(compose(knowing("X", outcome), deciding(undefined)))
        if (outcome === true) expect(result).not.toHaveProperty("data")
        else expect(result).toMatchObject({ authenticated: true, data, username: "ada" })
      }
    })

    test("that fails is an exception", async () => {
      const failing: Auth = {
        ...deciding(undefined),
        exchange: () => ({ next: () => Promise.reject(new Error("no such table")) }),
      }
      await expect(step(compose(failing))).rejects.toThrow("no such table")
    })
  })

describe("when an exchange has succeeded", () => {
  test("all() asks the others as well, in their order, and they may deny", async () => {
    const [before, after] = [deciding(undefined), deciding(Promise.resolve({ reason: Reason.Banned }))]
    const proof = { authenticated: true, data, username: "ada", expiresAt: 5000 } as const
    expect(await step(all(before, knowing("X", proof), after))).toEqual({ reason: Reason.Banned })
    expect([before.seen, after.seen]).toEqual([["zero"], ["ada"]])
  })

  test("all() gathers what the others say with it", async () => {
    const authority: Authority = { authorize: () => true }
    const auth = all(
      knowing("X", { authenticated: true, data, username: "ada", expiresAt: 5000 }),
      deciding({ authenticated: true, expiresAt: 4000, authority }),
    )
    const { authority: together, ...rest } = (await step(auth)) as { authority?: Authority }
    expect(rest).toEqual({ authenticated: true, data, username: "ada", expiresAt: 4000 } as object)
    expect(together!.authorize).toBeDefined()
  })

  test("all() gives back what proves the broker, also where others take their time", async () => {
    const auth = all(knowing("X", { authenticated: true, data }), deciding(Promise.resolve(true)))
    expect(await step(auth)).toEqual({ authenticated: true, data })
  })

  test("any() asks nobody else: that member has let the client in, and decides from then on", async () => {
    const others = deciding(false)
    const member = knowing("X", true, { authenticated: true, username: "ada" })
    expect(await step(any(others, member))).toEqual({ authenticated: true, authority: member })
    expect(await step(any(others, member))).toEqual({ authenticated: true, username: "ada", authority: member })
    expect(others.seen).toEqual([])
  })

  test("any() leaves the client to that member too where it says that it has named nobody", async () => {
    const member = knowing("X", { authenticated: true, authority: undefined } as unknown as ExchangeStep)
    expect(await step(any(deciding(true), member))).toEqual({ authenticated: true, authority: member })
  })

  test("half an admission is none, for nobody", async () => {
    for (const compose of [all, any])
      for (const half of [{ authenticated: false }, { authenticated: true, expiresAt: Number.NaN }] as ExchangeStep[]) {
        const others = deciding(true)
        expect(await step(compose(others, knowing("X", half)))).toBe(half as ExchangeStep & object)
        expect(others.seen).toEqual([])
      }
  })

  test("what must hold for everybody is put around any()", async () => {
    const bans = deciding({ reason: Reason.Banned })
    expect(await step(all(bans, any(deciding(undefined), knowing("X", true))))).toEqual({ reason: Reason.Banned })
  })
})

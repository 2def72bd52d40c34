/** `all(...)` and `any(...)`: who is let in, and what that client may do, by what the members say. */
import { describe, expect, test } from "bun:test"
import { all, any } from "../../src/auth/compose.ts"
import type { Admission, Auth, Authority, Decision, Permission } from "../../src/broker/ports.ts"
import { Reason } from "../../src/codec/index.ts"
import { refusalOf } from "../../src/connection/verdict.ts"
import { admitted, connecting } from "../support/auth-context.ts"
import { cheapHash, PasswordFile } from "../support/password-file.ts"
import { Verifications } from "../support/verifications.ts"

const banned = { reason: Reason.Banned }
const busy = { reason: Reason.ServerBusy }
const failure = new Error("the database is away")

/** What members say, and what comes of it: `-` is nothing. */
type Said = "-" | "yes" | "no" | "banned" | "throws"
const said: Said[] = ["-", "yes", "no", "banned", "throws"]

type Table = Record<Said, Record<Said, Said>>

/** Of what a client may do. Two members, the first down, the second across; three are the first two, and then the third. */
const outcome: Table = {
  "-": { "-": "-", yes: "yes", no: "no", banned: "banned", throws: "throws" },
  yes: { "-": "yes", yes: "yes", no: "no", banned: "banned", throws: "throws" },
  no: { "-": "no", yes: "no", no: "no", banned: "no", throws: "no" },
  banned: { "-": "banned", yes: "banned", no: "banned", banned: "banned", throws: "banned" },
  throws: { "-": "throws", yes: "throws", no: "throws", banned: "throws", throws: "throws" },
}
/** Of who is let in: a plain no, which may mean a wrong password, says less than any other denial. */
const admission: Table = {
  ...outcome,
  no: { ...outcome.no, banned: "banned", throws: "throws" },
  banned: { ...outcome.banned, throws: "throws" },
}

const pairs = said.flatMap((first) => said.map((second) => [first, second]))
const triples = pairs.flatMap(([first, second]) => said.map((third) => [first!, second!, third]))
/** Every row of the truth table. */
const rows = [...said.map((only) => [only]), ...pairs, ...triples] as Said[][]

const outcomeOf = (row: readonly Said[], table: Table): Said => row.reduce((before, next) => table[before][next])

const decisions: Record<Said, Decision> = { "-": undefined, yes: true, no: false, banned, throws: undefined }
const permissions: Record<Said, Permission> = {
  "-": undefined,
  yes: true,
  no: false,
  banned: Reason.QuotaExceeded,
  throws: undefined,
}

function answer<A>(word: Said, answers: Record<Said, A>, isLate: boolean): A | Promise<A> {
  if (isLate) return word === "throws" ? Promise.reject(failure) : Promise.resolve(answers[word])
  if (word === "throws") throw failure
  return answers[word]
}

/** What a question has led to, in the words of the table. */
async function wordFor<A>(answers: Record<Said, A>, ask: () => A | PromiseLike<A>): Promise<Said | undefined> {
  try {
    const result = await ask()
    if (typeof result === "object" && result !== null && "authenticated" in result) return "yes"
    return said.find((word) => word !== "throws" && answers[word] === result)
  } catch (error) {
    return error === failure ? "throws" : undefined
  }
}

const now = (_: number) => false
const later = (_: number) => true
const manners: [manner: string, isLate: (index: number) => boolean][] = [
  ["at once", now],
  ["by promises", later],
  ["at once and by promises in turn", (index) => index % 2 === 1],
  ["by promises and at once in turn", (index) => index % 2 === 0],
]

for (const [name, compose] of [
  ["all", all],
  ["any", any],
] as const) {
  describe(`${name}(): the truth table`, () => {
    for (const [manner, isLate] of manners) {
      test(`of who is let in, answered ${manner}`, async () => {
        for (const row of rows) {
          const members = row.map((word, index) => ({ authenticate: () => answer(word, decisions, isLate(index)) }))
          const came = await wordFor(decisions, () => compose(...members).authenticate(connecting("ada")))
          expect([row, came]).toEqual([row, outcomeOf(row, admission)])
        }
      })

      test(`of what a client may do, answered ${manner}`, async () => {
        for (const row of rows) {
          const members = row.map((word, index) => ({
            authenticate: () => true,
            authorize: () => answer(word, permissions, isLate(index)),
          }))
          const composed = compose(...members)
          const came = await wordFor(permissions, () => composed.authorize!(admitted("ada"), "publish", "a"))
          expect([row, came]).toEqual([row, outcomeOf(row, outcome)])
        }
      })
    }

    test("asks the next only after a promise, and all of them, also after a denial, unless one throws", async () => {
      for (const row of rows) {
        const asked: Said[] = []
        let pending = 0
        const members = row.map((word, index) => ({
          authenticate() {
            asked.push(word)
            expect(pending).toBe(0)
            pending++
            return Promise.resolve().then(() => {
              pending--
              return answer(word, decisions, index % 2 === 0)
            })
          },
        }))
        await wordFor(decisions, () => compose(...members).authenticate(connecting()))
        const end = row.indexOf("throws")
        expect(asked).toEqual(end < 0 ? row : row.slice(0, end + 1))
      }
    })

    test("asks nobody on topics after a denial", async () => {
      for (const [row, isLate] of rows.flatMap((row) => [[row, false] as const, [row, true] as const])) {
        const asked: Said[] = []
        const members = row.map((word) => ({
          authenticate: () => true,
          authorize: () => {
            asked.push(word)
            return answer(word, permissions, isLate)
          },
        }))
        await wordFor(permissions, () => compose(...members).authorize!(admitted(), "publish", "a"))
        const end = row.findIndex((word) => word !== "-" && word !== "yes")
        expect(asked).toEqual(end < 0 ? row : row.slice(0, end + 1))
      }
    })

    test("answers at once where its members do", () => {
      const member: Auth = { authenticate: () => true, authorize: () => true, mayStay: () => true }
      const composed = compose(member, { ...member, authenticate: () => undefined })
      expect(composed.authenticate(connecting())).not.toBeInstanceOf(Promise)
      expect(composed.authorize!(admitted(), "publish", "a")).toBe(true)
    })
  })

  describe(`${name}()`, () => {
    test("takes an auth at least, and each once", () => {
      expect(() => compose()).toThrow(`${name}() takes at least one auth`)
      let asked = 0
      const member = { authenticate: () => void asked++ }
      compose(member, member, member).authenticate(connecting())
      expect(asked).toBe(1)
    })

    test("a refusal whose reason is success is none; whatever else is no decision is one", () => {
      const decide = (decision: unknown) => compose({ authenticate: () => decision as Decision }).authenticate
      expect(decide({ reason: Reason.Success })(connecting())).not.toHaveProperty("reason")
      expect(decide({ reason: Reason.Success })(connecting())).toBeTruthy()
      const slips = [0, 1, "", "yes", null, {}, [], { ok: 1 }, { reason: undefined }]
      const halves = [
        { authenticated: false },
        { authenticated: 0 },
        { authenticated: "false", reason: Reason.Success },
      ]
      const endless = [Number.NaN, Number.POSITIVE_INFINITY, "2030", null].map((expiresAt) => {
        return { authenticated: true, expiresAt }
      })
      for (const decision of [...slips, ...halves, ...endless] as unknown[]) {
        expect(decide(decision)(connecting())).toBe((decision ?? false) as Decision)
        const beside = compose({ authenticate: () => true }, { authenticate: () => decision as Decision })
        expect(beside.authenticate(connecting())).toBe((decision ?? false) as Decision)
      }
    })

    test("has no opinion on topics where no member has one, and only then", () => {
      const silent: Auth = { authenticate: () => true }
      const deciding: Auth = { authenticate: () => undefined, authorize: () => undefined }
      expect(compose(silent, silent).authorize).toBeUndefined()
      expect(compose(silent, silent).mayStay).toBeUndefined()
      expect(compose(silent, deciding).authorize!(admitted(), "publish", "a")).toBeUndefined()
    })

    test("says that its answers may be remembered if all that decide on topics say so", () => {
      const silent: Auth = { authenticate: () => true }
      const kept: Auth = { authenticate: () => true, authorize: () => true, isCacheable: true }
      const fleeting: Auth = { authenticate: () => true, authorize: () => true }
      expect(
        [compose(kept, kept), compose(silent, kept), compose(kept, fleeting)].map((each) => each.isCacheable),
      ).toEqual([true, true, false])
    })

    test("Reason.Success is a permission, any other reason is none", () => {
      const with_ = (permission: Permission) =>
        compose({ authenticate: () => true, authorize: () => permission }).authorize!(admitted(), "publish", "a")
      expect([with_(Reason.Success), with_(Reason.GrantedQoS1), with_(Reason.NotAuthorized)]).toEqual([
        true,
        Reason.GrantedQoS1,
        Reason.NotAuthorized,
      ])
    })

    test("lets nobody stay whom a member does not let stay", async () => {
      for (const isLate of [now, later, (index: number) => index === 0]) {
        for (const answers of [[true], [false], [true, true], [true, false], [false, true], [true, true, false]]) {
          const members = answers.map((stays, index) => ({
            authenticate: () => true,
            mayStay: () => (isLate(index) ? Promise.resolve(stays) : stays),
          }))
          const composed = compose({ authenticate: () => true }, ...members)
          expect([answers, await composed.mayStay!(admitted())]).toEqual([answers, answers.every(Boolean)])
        }
      }
    })
  })
}

/** An auth that lets in on these terms. */
const admitting = (admission: Omit<Admission, "authenticated">): Auth => ({
  authenticate: () => ({ authenticated: true, ...admission }),
})
const deciding = (permission: Permission): Authority => ({ authorize: () => permission })
const silent: Auth = { authenticate: () => undefined }

describe("an admission by all()", () => {
  test("is a plain yes where nobody has said more", () => {
    expect(all({ authenticate: () => true }, silent, admitting({})).authenticate(connecting("ada"))).toBe(true)
  })

  test("has the user name that the last has established, and those behind already see it", () => {
    const seen: (string | undefined)[] = []
    const look = (): Auth => ({ authenticate: ({ username }) => void seen.push(username) })
    const names = all(look(), admitting({ username: "one" }), look(), admitting({ username: "two" }), look())
    expect(names.authenticate(connecting("zero"))).toEqual({ authenticated: true, username: "two" })
    expect(seen).toEqual(["zero", "one", "two"])
  })

  test("ends when the first of theirs does", () => {
    const times = all(admitting({ expiresAt: 2000 }), admitting({ expiresAt: 1000 }), admitting({ expiresAt: 3000 }))
    expect(times.authenticate(connecting())).toEqual({ authenticated: true, expiresAt: 1000 })
  })

  test("leaves decisions to the authorities that were named, and to the members that have named none", async () => {
    const asked: string[] = []
    const note = <A>(what: string, answer: A) => {
      asked.push(what)
      return answer
    }
    const noting = (name: string, permission: Permission, stays = true): Auth => ({
      ...silent,
      authorize: () => note(name, permission),
      mayStay: () => note(`${name} stays`, stays),
      isCacheable: true,
    })
    const named = noting("named", undefined)
    const composed = all(
      { ...noting("naming", false), ...admitting({ authority: named }) },
      noting("beside", true),
      noting("last", undefined, false),
    )
    const { authority } = (await composed.authenticate(connecting())) as Admission
    expect(authority!.authorize!(admitted(), "publish", "a")).toBe(true)
    expect(authority!.mayStay!(admitted())).toBe(false)
    expect(authority!.isCacheable).toBe(true)
    expect(asked).toEqual(["named", "beside", "last", "named stays", "beside stays", "last stays"])
  })

  test("may have authorities that do not decide on topics: then only the members' rules do", async () => {
    const user = { mayStay: () => true }
    const rules = { ...silent, ...deciding(undefined) }
    const { authority } = (await all(admitting({ authority: user }), rules).authenticate(connecting())) as Admission
    expect(authority!.authorize!(admitted(), "publish", "a")).toBeUndefined()
    const alone = (await all(admitting({ authority: user })).authenticate(connecting())) as Admission
    expect(alone.authority!.authorize).toBeUndefined()
  })
})

describe("an admission by any()", () => {
  test("is that member's too where it says that it has named nobody", () => {
    const lax: Auth = { authenticate: () => undefined, authorize: () => true }
    const strict = { authenticate: () => ({ authenticated: true, authority: undefined }), authorize: () => undefined }
    const { authority } = any(strict as unknown as Auth, lax).authenticate(connecting()) as Admission
    expect(authority!.authorize!(admitted(), "publish", "a")).toBeUndefined()
  })

  test("is that of the first that allows, whose authority decides alone", () => {
    const authority = deciding(true)
    const first = admitting({ username: "one", expiresAt: 2000, authority })
    const second = { ...admitting({ username: "two", expiresAt: 1000 }), ...deciding(false) }
    expect(any(silent, first, second).authenticate(connecting("zero"))).toEqual({
      authenticated: true,
      username: "one",
      expiresAt: 2000,
      authority,
    })
  })

  test("is that member's, if it has named no other", () => {
    const member: Auth = { authenticate: () => true, ...deciding(true) }
    expect(any(silent, member).authenticate(connecting())).toEqual({ authenticated: true, authority: member })
  })

  test("shows each of them the CONNECT's user name", () => {
    const seen: (string | undefined)[] = []
    const looking: Auth = { authenticate: ({ username }) => void seen.push(username) }
    any(admitting({ username: "one" }), looking).authenticate(connecting("zero"))
    expect(seen).toEqual(["zero"])
  })

  test("is none where one that comes later denies", async () => {
    expect(await any(admitting({}), { authenticate: async () => busy }).authenticate(connecting())).toBe(busy)
  })
})

describe("no refusal of a composition tells which of its members knows the user", () => {
  /** Like `passwords`: it has something to say on a user of its own alone, and that is no. */
  const knowing =
    (user: string): Auth["authenticate"] =>
    ({ username }) =>
      username === user ? { reason: Reason.BadUserNameOrPassword } : undefined
  const others: [name: string, decision: Decision][] = [
    ["says nothing", undefined],
    ["says no", false],
    ["says that user or password are wrong", { reason: Reason.BadUserNameOrPassword }],
    ["says why", { reason: Reason.BadUserNameOrPassword, reasonString: "the token has expired" }],
    ["bans", banned],
    ["cannot be asked", busy],
  ]
  for (const [name, compose] of [
    ["all", all],
    ["any", any],
  ] as const)
    for (const [what, decision] of others)
      for (const [where, order] of [
        ["before", (member: Auth, other: Auth) => [other, member]],
        ["behind", (member: Auth, other: Auth) => [member, other]],
      ] as const)
        test(`${name}(), one ${where} it ${what}`, async () => {
          let asked = 0
          const other: Auth = {
            authenticate() {
              asked++
              return decision
            },
          }
          const refusals = ["ada", "zoe"].map((username) => {
            const auth = compose(...order({ authenticate: knowing("ada") }, other))
            return refusalOf(auth.authenticate(connecting(username, "guessed")) as Decision, username)!
          })
          expect(refusals[0]).toEqual(refusals[1]!)
          expect(asked).toBe(2)
        })

  test("nor does the work that it takes: as many verifications, in whichever file the user is", async () => {
    const hash = await cheapHash("right")
    using one = await PasswordFile.open({ ada: hash })
    using other = await PasswordFile.open({ bob: hash })
    for (const compose of [all, any])
      for (const username of ["ada", "bob", "zoe"]) {
        using verifications = new Verifications()
        await compose(one.auth, other.auth).authenticate(connecting(username, "guessed"))
        expect([username, verifications.count]).toEqual([username, 2])
      }
  })
})

test("compositions nest", async () => {
  const rules: Auth = { ...silent, authorize: (_client, _action, topic) => topic === "a" || undefined }
  const tokens: Auth = { authenticate: ({ username }) => username === "token" && { authenticated: true, expiresAt: 5 } }
  const users: Auth = { authenticate: async ({ username }) => username === "user" || undefined }
  const either = any({ ...tokens, authenticate: (client) => tokens.authenticate(client) || undefined }, users)
  const auth = all(either, rules)
  for (const [username, admission] of [
    ["token", { authenticated: true, expiresAt: 5 }],
    ["user", { authenticated: true }],
  ] as const) {
    const { authority, ...rest } = (await auth.authenticate(connecting(username))) as Admission
    expect(rest).toEqual(admission)
    expect(authority!.authorize!(admitted(username), "publish", "a")).toBe(true)
    expect(authority!.authorize!(admitted(username), "publish", "b")).toBeUndefined()
  }
  expect(await auth.authenticate(connecting("nobody"))).toBeUndefined()
})

/** Who is let in by a password file, what that costs, and what a client learns from how it is refused. */
import { describe, expect, test } from "bun:test"
import { LONGEST_PASSWORD_BYTES } from "../../src/auth/hashes.ts"
import { passwords } from "../../src/auth/passwords.ts"
import type { Admission, Decision } from "../../src/broker/ports.ts"
import { Reason } from "../../src/codec/index.ts"
import { connecting } from "../support/auth-context.ts"
import { cheapHash, PasswordFile, sha512Hash } from "../support/password-file.ts"
import { microtasks } from "../support/store.ts"
import { Verifications } from "../support/verifications.ts"

const wrong = { reason: Reason.BadUserNameOrPassword }
const isIn = (decision: unknown) => (decision as Admission | undefined)?.authenticated === true
/** As cheap as it gets, of two kinds. */
const [adas, bobs] = await Promise.all([cheapHash("ada's"), cheapHash("bob's", 16)])

describe("who is let in", () => {
  const users = { ada: adas, bob: bobs, carl: sha512Hash("carl's") }
  const table: [what: string, username: string | undefined, password: string | undefined, decision: unknown][] = [
    ["a client without a user name is not its affair", undefined, undefined, undefined],
    ["nor is one with a password alone", undefined, "ada's", undefined],
    ["nor is a user that the file has not", "zoe", "ada's", undefined],
    ["nor is one of them without a password", "zoe", undefined, undefined],
    ["a user with another password is refused", "ada", "bob's", wrong],
    ["with an empty one", "ada", "", wrong],
    ["with none", "ada", undefined, wrong],
    ["with the hash for a password", "ada", adas, wrong],
    ["with one that is too long", "ada", "a".repeat(LONGEST_PASSWORD_BYTES + 1), wrong],
    ["with Mosquitto's hash and another password", "carl", "ada's", wrong],
    ["a name in another case is another name", "Ada", "ada's", undefined],
  ]
  for (const [what, username, password, decision] of table)
    test(what, async () => {
      using file = await PasswordFile.open(users)
      expect(await file.authenticate(username, password)).toEqual(decision as never)
    })

  test("each user with the password of its own, whatever its hash is", async () => {
    using file = await PasswordFile.open(users)
    for (const name of ["ada", "bob", "carl"]) expect(isIn(await file.authenticate(name, `${name}'s`))).toBe(true)
  })

  test("a password of bytes that are no text", async () => {
    const bytes = Uint8Array.of(0, 0xff, 0xc3)
    using file = await PasswordFile.open({ ada: await cheapHash(bytes) })
    expect(isIn(await file.authenticate("ada", bytes))).toBe(true)
    expect(await file.authenticate("ada", Buffer.from(bytes).toString())).toEqual(wrong)
  })

  test("nobody, when the file is empty", async () => {
    using file = await PasswordFile.open({})
    expect(await file.authenticate("ada", "ada's")).toBeUndefined()
  })
})

describe("no refusal tells whether the user exists", () => {
  /** What argon2 has to do for an attempt, as the kinds of hashes. */
  async function workOf(file: PasswordFile, username: string, password = "guessed"): Promise<string[]> {
    using verifications = new Verifications()
    expect(isIn(await file.authenticate(username, password))).toBe(false)
    return verifications.hashes.map((hash) => hash.split("$").slice(0, 4).join("$"))
  }
  const [eight, sixteen] = ["$argon2id$v=19$m=8,t=1,p=1", "$argon2id$v=19$m=16,t=1,p=1"]

  test("it takes one hash of each kind in the file, the cheapest first, for a user of any kind and for one that is not there", async () => {
    const users = { bob: bobs, carl: sha512Hash("carl's"), ada: adas, al: await cheapHash("al's") }
    using file = await PasswordFile.open(users)
    for (const name of ["ada", "al", "bob", "carl", "zoe"])
      expect([name, await workOf(file, name)]).toEqual([name, [eight, sixteen]])
  })

  test("for a user whose password is known already, too", async () => {
    using file = await PasswordFile.open({ ada: adas, bob: bobs })
    await file.authenticate("ada", "ada's")
    expect(await workOf(file, "ada")).toEqual([eight, sixteen])
  })

  test("for a user that is there its own hash is among them; another's password does not help", async () => {
    using file = await PasswordFile.open({ ada: adas, al: await cheapHash("al's"), bob: bobs })
    for (const [name, password] of [
      ["ada", "al's"],
      ["al", "ada's"],
      ["zoe", "ada's"],
      ["zoe", "al's"],
      ["zoe", "bob's"],
      ["ada", "bob's"],
    ] as const)
      expect([name, password, await workOf(file, name, password)]).toEqual([name, password, [eight, sixteen]])
  })

  test("it takes the kinds that the file has now", async () => {
    using file = await PasswordFile.open({ ada: adas, bob: bobs })
    await file.change({ ada: adas })
    expect(await workOf(file, "zoe")).toEqual([eight])
    await file.change({ ada: adas, carl: sha512Hash("carl's") })
    expect(await workOf(file, "carl")).toEqual([eight])
  })

  test("none at all where there is nothing to verify", async () => {
    using verifications = new Verifications()
    using file = await PasswordFile.open({ ada: adas })
    for (const name of ["ada", "zoe"]) {
      for (const password of [undefined, "a".repeat(LONGEST_PASSWORD_BYTES + 1)])
        await file.authenticate(name, password)
    }
    expect(verifications.count).toBe(0)
  })
})

describe("a password that has been verified is remembered", () => {
  test("the same client comes in at once, and without a promise", async () => {
    using file = await PasswordFile.open({ ada: adas })
    await file.authenticate("ada", "ada's")
    using verifications = new Verifications()
    expect(isIn(file.authenticate("ada", "ada's"))).toBe(true)
    expect(verifications.count).toBe(0)
  })

  test("so that ten thousand that come back are in at once", async () => {
    const names = Array.from({ length: 10_000 }, (_, index) => `client ${index}`)
    using file = await PasswordFile.open(Object.fromEntries(names.map((name) => [name, sha512Hash(name, name)])))
    await Promise.all(names.map((name) => file.authenticate(name, name)))
    expect(names.filter((name) => !isIn(file.authenticate(name, name)))).toEqual([])
  })

  test("a wrong one is not, nor does it make the right one be forgotten", async () => {
    using file = await PasswordFile.open({ ada: adas })
    await file.authenticate("ada", "ada's")
    using verifications = new Verifications()
    for (const _ of [1, 2]) expect(await file.authenticate("ada", "guessed")).toEqual(wrong)
    expect(verifications.count).toBe(2)
    expect(isIn(file.authenticate("ada", "ada's"))).toBe(true)
  })

  test("for that user only", async () => {
    using file = await PasswordFile.open({ ada: adas, bob: bobs })
    await file.authenticate("ada", "ada's")
    expect(await file.authenticate("bob", "ada's")).toEqual(wrong)
  })

  test("by one auth for itself", async () => {
    using file = await PasswordFile.open({ ada: adas })
    await file.authenticate("ada", "ada's")
    using other = await PasswordFile.open({ ada: bobs })
    expect(await other.authenticate("ada", "ada's")).toEqual(wrong)
  })
})

describe("verifications wait for each other", () => {
  const guesses = Array.from({ length: 5 }, (_, index) => `guess ${index}`)

  for (const [atOnce, options] of [
    [2, undefined],
    [3, { verificationsAtOnce: 3 }],
  ] as const)
    test(`${atOnce} at once, the others in their order${options === undefined ? "" : ", if so told"}`, async () => {
      using file = await PasswordFile.open({ ada: adas }, options)
      using verifications = new Verifications()
      verifications.hold()
      const decisions = guesses.map((guess) => file.authenticate("ada", guess))
      for (let begun = atOnce; begun <= guesses.length; begun++) {
        await microtasks()
        expect(verifications.passwords).toEqual(guesses.slice(0, begun))
        await verifications.endOne(Math.min(begun + 1, guesses.length))
      }
      for (let left = 1; left < atOnce; left++) await verifications.endOne()
      expect(await Promise.all(decisions)).toEqual(guesses.map(() => wrong))
    })

  test("those of other networks in turn, however many come from one", async () => {
    using file = await PasswordFile.open({ ada: adas, bob: adas, carl: adas }, { verificationsAtOnce: 1 })
    using verifications = new Verifications()
    verifications.hold()
    const ask = (name: string, password: string, remoteAddress: string) =>
      file.auth.authenticate(connecting(name, password, { remoteAddress }))
    const crowd = Array.from({ length: 50 }, (_, index) => ask("ada", `guess ${index}`, "192.0.2.1"))
    const others = [ask("bob", "b", "192.0.2.2"), ask("carl", "c", "192.0.2.3")]
    for (let begun = 2; begun <= 5; begun++) await verifications.endOne(begun)
    expect(verifications.passwords).toEqual(["guess 0", "guess 1", "b", "c", "guess 2"])
    verifications.release()
    await Promise.all([...crowd, ...others])
  })

  test("the same password of the same user is verified once for all who wait for it", async () => {
    using file = await PasswordFile.open({ ada: adas, al: adas })
    using verifications = new Verifications()
    const attempts = ["ada", "al", "zoe"].flatMap((name) => ["ada's", "guessed"].map((password) => [name, password]))
    const decisions = [...attempts, ...attempts, ...attempts].map(([name, password]) =>
      file.authenticate(name, password),
    )
    const outcomes: unknown[] = (await Promise.all(decisions)).map((each) => (isIn(each) ? "in" : each))
    const each = ["in", wrong, "in", wrong, undefined, undefined]
    expect(outcomes).toEqual([...each, ...each, ...each])
    expect(verifications.count).toBe(attempts.length)
  })

  test("and of no other, wherever the border between name and password lies", async () => {
    using file = await PasswordFile.open({ ada: await cheapHash("12"), ada1: adas })
    const [adas12, ada1s2] = [file.authenticate("ada", "12"), file.authenticate("ada1", "2")]
    expect(isIn(await adas12)).toBe(true)
    expect(await ada1s2).toEqual(wrong)
  })

  test("a wrong password that comes again later is verified again", async () => {
    using file = await PasswordFile.open({ ada: adas })
    using verifications = new Verifications()
    for (const count of [1, 2, 3]) {
      expect(await file.authenticate("ada", "guessed")).toEqual(wrong)
      expect(verifications.count).toBe(count)
    }
  })

  test("one that fails is a rejection for who has asked, and stops no other", async () => {
    using file = await PasswordFile.open({ ada: adas }, { verificationsAtOnce: 1 })
    const failing = () => Promise.reject(new Error("out of memory"))
    using verifications = new Verifications()
    verifications.next(failing)
    const decisions = [file.authenticate("ada", "guessed"), file.authenticate("ada", "ada's")]
    await expect(decisions[0]).rejects.toThrow("out of memory")
    expect(isIn(await decisions[1])).toBe(true)
    expect(await file.authenticate("ada", "guessed")).toEqual(wrong)
  })

  test("who has gone by its turn costs no verification, and the others go on", async () => {
    using file = await PasswordFile.open({ ada: adas }, { verificationsAtOnce: 1 })
    using verifications = new Verifications()
    verifications.hold()
    const gone = new Set<string>()
    const ask = (who: string, password: string) =>
      file.auth.authenticate(connecting("ada", password, { isGone: () => gone.has(who) }))
    const decisions = ["0", "1", "2", "3", "4"].map((who) => ask(who, `guess ${who}`))
    const shared = ["5", "6", "7"].map((who) => ask(who, "ada's"))
    for (const who of ["0", "1", "2", "4", "5", "7"]) gone.add(who)
    await verifications.endOne(2) // the first had begun before it went
    expect(verifications.passwords).toEqual(["guess 0", "guess 3"])
    await verifications.endOne(3)
    expect(verifications.passwords.at(-1)).toBe("ada's") // one of the three is still there
    await verifications.endOne()
    expect(isIn(await shared[1])).toBe(true)
    await Promise.all([...decisions, ...shared])
    expect(verifications.count).toBe(3)
  })

  test("who has gone and comes again is verified", async () => {
    using file = await PasswordFile.open({ ada: adas }, { verificationsAtOnce: 1 })
    using verifications = new Verifications()
    verifications.hold()
    const first = file.authenticate("ada", "guessed")
    const isGone = () => true
    const gone = file.auth.authenticate(connecting("ada", "ada's", { isGone }))
    await verifications.endOne()
    await Promise.all([first, gone])
    verifications.release()
    expect(isIn(await file.authenticate("ada", "ada's"))).toBe(true)
  })

  test("who comes with the same password at the moment at which that is found out is verified", async () => {
    using file = await PasswordFile.open({ ada: adas }, { verificationsAtOnce: 1 })
    using verifications = new Verifications()
    verifications.hold()
    const first = file.authenticate("ada", "guessed")
    const { promise: next, resolve } = Promise.withResolvers<Decision>()
    let isWaiting = false
    const isGone = () => {
      if (isWaiting) queueMicrotask(() => resolve(file.authenticate("ada", "ada's")))
      return isWaiting
    }
    const gone = file.auth.authenticate(connecting("ada", "ada's", { isGone }))
    isWaiting = true
    await verifications.endOne()
    await Promise.all([first, gone])
    verifications.release()
    expect(isIn(await next)).toBe(true)
  })

  test("as many as may; whoever comes then finds the server busy, known or not, unless it has been in before", async () => {
    using file = await PasswordFile.open({ ada: adas, bob: adas })
    await file.authenticate("bob", "ada's")
    using verifications = new Verifications()
    verifications.hold()
    const waiting = Array.from({ length: 20_002 }, (_, index) => file.authenticate("ada", `guess ${index}`))
    for (const name of ["ada", "zoe"]) {
      const busy = { reason: Reason.ServerBusy, reasonString: "too many passwords are being verified" }
      expect(file.authenticate(name, "another guess") as Decision).toEqual(busy)
    }
    expect(file.authenticate("ada", "guess 7")).toBe(waiting[7]!)
    expect(isIn(file.authenticate("bob", "ada's"))).toBe(true)
    await verifications.endOne(3)
    const late = file.authenticate("ada", "another guess")
    expect(late).toBeInstanceOf(Promise)
    verifications.release()
    await Promise.all([...waiting, late])
  })
})

describe("a caller's mistake is an error", () => {
  for (const verificationsAtOnce of [0, -1, 1.5, 65, Number.NaN])
    test(`verificationsAtOnce: ${verificationsAtOnce}`, () => {
      const message = "verificationsAtOnce takes a whole number from 1 to 64"
      expect(() => passwords("users.txt", { verificationsAtOnce })).toThrow(message)
    })

  test("to ask before it is open, or after it has been closed", async () => {
    using file = new PasswordFile({ ada: adas })
    const ask = () => file.auth.authenticate(connecting("ada", "ada's"))
    expect(ask).toThrow(`passwords(${file.path}) is not open`)
    await file.auth.open!(file.context)
    await ask()
    file.auth.close!()
    expect(ask).toThrow(`passwords(${file.path}) is not open`)
  })

  test("to open it for a second broker; once it is closed it may be", async () => {
    using file = await PasswordFile.open({ ada: adas })
    await expect(file.auth.open!(file.context)).rejects.toThrow(
      `passwords(${file.path}) is open: each broker needs its own`,
    )
    file.auth.close!()
    await file.auth.open!(file.context)
    expect(isIn(await file.authenticate("ada", "ada's"))).toBe(true)
  })
})

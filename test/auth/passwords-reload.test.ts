/** A password file that changes: who may stay, who is let in from then on, and that a bad one changes nothing. */
import { describe, expect, test } from "bun:test"
import { rmSync } from "node:fs"
import type { Admission, Authority } from "../../src/broker/ports.ts"
import { Reason } from "../../src/codec/index.ts"
import { admitted } from "../support/auth-context.ts"
import { cheapHash, PasswordFile, sha512Hash } from "../support/password-file.ts"
import { Verifications } from "../support/verifications.ts"

const wrong = { reason: Reason.BadUserNameOrPassword }
const [old, other, bobs] = await Promise.all([cheapHash("old"), cheapHash("new"), cheapHash("bob's")])

/** Lets a client in: who decides from then on whether it may stay. */
async function letIn(file: PasswordFile, username: string, password: string): Promise<Authority> {
  const { authenticated, authority } = (await file.authenticate(username, password)) as Admission
  expect(authenticated).toBe(true)
  return authority!
}

const mayStay = (authority: Authority, username: string) => authority.mayStay!(admitted(username))

describe("after the file has changed", () => {
  test("a client whose user is gone may not stay, nor one whose hash is another; the others may", async () => {
    using file = await PasswordFile.open({ ada: old, bob: bobs, carl: old })
    const [ada, bob, carl] = [
      await letIn(file, "ada", "old"),
      await letIn(file, "bob", "bob's"),
      await letIn(file, "carl", "old"),
    ]
    expect([mayStay(ada, "ada"), mayStay(bob, "bob"), mayStay(carl, "carl")]).toEqual([true, true, true])
    await file.change({ zoe: old, bob: bobs, carl: other })
    expect([mayStay(ada, "ada"), mayStay(bob, "bob"), mayStay(carl, "carl")]).toEqual([false, true, false])
  })

  test("a client that came in after a change may stay after the next, and one from before still may not", async () => {
    using file = await PasswordFile.open({ ada: old })
    const before = await letIn(file, "ada", "old")
    await file.change({ ada: other })
    const after = await letIn(file, "ada", "new")
    await file.change({ ada: other, bob: bobs })
    expect([mayStay(before, "ada"), mayStay(after, "ada")]).toEqual([false, true])
    await file.change({ ada: old })
    expect([mayStay(before, "ada"), mayStay(after, "ada")]).toEqual([false, false])
  })

  test("a user with another hash of the same password has to say it again", async () => {
    using file = await PasswordFile.open({ ada: old })
    const before = await letIn(file, "ada", "old")
    await file.change({ ada: sha512Hash("old") })
    expect(mayStay(before, "ada")).toBe(false)
    expect(mayStay(await letIn(file, "ada", "old"), "ada")).toBe(true)
  })

  test("a password that had been verified counts no more, and the new one does", async () => {
    using file = await PasswordFile.open({ ada: old, bob: old })
    await letIn(file, "ada", "old")
    await letIn(file, "bob", "old")
    await file.change({ ada: other })
    expect(await file.authenticate("ada", "old")).toEqual(wrong)
    expect(await file.authenticate("bob", "old")).toBeUndefined()
    await letIn(file, "ada", "new")
  })

  test("the passwords of all the others are still known", async () => {
    using file = await PasswordFile.open({ ada: old, bob: bobs })
    await letIn(file, "bob", "bob's")
    await file.change({ ada: other, bob: bobs })
    using verifications = new Verifications()
    expect(file.authenticate("bob", "bob's")).toMatchObject({ authenticated: true })
    expect(verifications.count).toBe(0)
  })
})

describe("while a password is verified", () => {
  test("its user may go, or get another hash: then it is let in no more", async () => {
    using file = await PasswordFile.open({ ada: old, bob: bobs })
    using verifications = new Verifications()
    verifications.hold()
    const decisions = [file.authenticate("ada", "old"), file.authenticate("bob", "bob's")]
    await file.change({ ada: other })
    for (const _ of [1, 2]) await verifications.endOne()
    expect(await Promise.all(decisions)).toEqual([wrong, undefined])
    verifications.release()
    expect(await file.authenticate("ada", "old")).toEqual(wrong)
  })

  test("it may stay as it is while others change: then it is let in", async () => {
    using file = await PasswordFile.open({ ada: old, bob: bobs })
    using verifications = new Verifications()
    verifications.hold()
    const decision = file.authenticate("bob", "bob's")
    await file.change({ ada: other, bob: bobs })
    await verifications.endOne()
    expect(await decision).toMatchObject({ authenticated: true })
  })

  test("one that waits for its turn is compared with the hash that the file has then", async () => {
    using file = await PasswordFile.open({ ada: old, bob: bobs }, { verificationsAtOnce: 1 })
    using verifications = new Verifications()
    verifications.hold()
    const first = file.authenticate("bob", "bob's")
    const second = file.authenticate("ada", "new")
    await file.change({ ada: other, bob: bobs })
    await verifications.endOne(2)
    await verifications.endOne()
    expect(await first).toMatchObject({ authenticated: true })
    expect(await second).toMatchObject({ authenticated: true })
  })
})

describe("the broker is told that decisions may be others now", () => {
  test("once for each change that is one: a user more, a user less, another hash", async () => {
    using file = await PasswordFile.open({ ada: old })
    expect(file.context.changes).toBe(0)
    for (const [index, users] of [{ ada: old, bob: bobs }, { ada: old }, { ada: other }, {}].entries()) {
      await file.change(users)
      expect(file.context.changes).toBe(index + 1)
    }
  })

  test("not for comments, blanks and order", async () => {
    using file = await PasswordFile.open({ ada: old, bob: bobs })
    const ada = await letIn(file, "ada", "old")
    file.write(`# all of them\n\nbob:${bobs}\n  ada : ${old}`)
    file.context.touch(file.path)
    for (const _ of [1, 2, 3]) await Bun.file(file.path).text() // the auth has read it meanwhile
    expect(file.context.changes).toBe(0)
    await file.change({ bob: other, ada: old })
    expect([file.context.changes, mayStay(ada, "ada")]).toEqual([1, true])
  })
})

describe("a file that is no good", () => {
  test("keeps the listener from opening, in one line", async () => {
    using file = new PasswordFile({})
    const open = () => Promise.resolve(file.auth.open!(file.context))
    file.write(`ada:${old}\nbob:s3cret\n`)
    const problem = "not a hash that is known here: $argon2id$, or Mosquitto's $7$ or $6$"
    await expect(open()).rejects.toThrow(`${file.path}:2: ${problem}`)
    rmSync(file.path)
    await expect(open()).rejects.toThrow(`${file.path}: there is no such file`)
    expect([file.context.watched, file.context.changes]).toEqual([[], 0])
    file.write({ ada: old })
    await open()
    await letIn(file, "ada", "old")
  })

  test("is logged, without what it says, and the old one stays in force until there is a good one", async () => {
    using file = await PasswordFile.open({ ada: old, bob: bobs })
    const ada = await letIn(file, "ada", "old")
    const logged = await file.spoil(`ada:${other}\nbob s3cret\n`)
    const problem = "no colon between a user name and a hash; what it said before stays in force"
    expect(logged).toBe(`error: ${file.path}:2: ${problem}`)
    expect([file.context.changes, mayStay(ada, "ada")]).toEqual([0, true])
    expect(await file.authenticate("ada", "new")).toEqual(wrong)
    await letIn(file, "bob", "bob's")
    await file.change({ ada: other })
    expect(mayStay(ada, "ada")).toBe(false)
    expect(file.context.logged).toEqual([logged, `info: ${file.path}: read again`])
  })
})

test("nothing is watched once it is closed", async () => {
  using file = await PasswordFile.open({ ada: old })
  expect(file.context.watched).toEqual([file.path])
  file.auth.close!()
  expect(file.context.watched).toEqual([])
})

test("what is logged tells no name, no password and no hash", async () => {
  using file = await PasswordFile.open({ ada: old })
  await file.authenticate("ada", "old")
  await file.authenticate("ada", "s3cret")
  await file.change({ ada: other })
  expect(file.context.logged).toEqual([`info: ${file.path}: read again`])
  await file.spoil("ada:s3cret\n")
  expect(file.context.logged.join()).not.toMatch(/ada:|s3cret|argon2id\$v/)
})

/** `acl(...)`: whose rules hold for whom, from a file and as values, and what happens when the file changes. */
import { describe, expect, test } from "bun:test"
import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type AclEntry, acl } from "../../src/auth/acl.ts"
import type { Action, Auth, Client } from "../../src/broker/ports.ts"
import { eventually } from "../listeners/socket.ts"
import { admitted, connecting, FakeAuthContext } from "../support/auth-context.ts"
import { temporaryFolder } from "../support/broker-process.ts"

/** An ACL file in a folder of its own. */
class AclFile {
  readonly context = new FakeAuthContext()
  private readonly folder = temporaryFolder()
  readonly path = join(this.folder.path, "acl.txt")
  readonly auth = acl(this.path)

  static async open(text: string): Promise<AclFile> {
    const file = new AclFile()
    file.write(text)
    await file.auth.open!(file.context)
    return file
  }

  write(text: string): void {
    writeFileSync(this.path, text)
  }

  /** Another text, of which the auth has heard; waits until `isNoticed`. */
  async change(text: string, isNoticed: () => boolean): Promise<void> {
    this.write(text)
    this.context.touch(this.path)
    await eventually(isNoticed, "the file to be read again")
  }

  may(action: Action, topic: string, client: Client): boolean | undefined {
    return this.auth.authorize!(client, action, topic) as boolean | undefined
  }

  [Symbol.dispose](): void {
    this.auth.close!()
    this.folder[Symbol.dispose]()
  }
}

const ada = admitted("ada", { clientId: "c1" })
const bob = admitted("bob", { clientId: "c2" })
const nobody = admitted(undefined, { clientId: "c3" })

const example = `
topic read $SYS/#
topic deny $SYS/secret
user ada
topic readwrite lab/#
topic deny lab/safe
user bob
topic read lab/+/state
pattern write sensors/%c/data
pattern read users/%u/#
pattern deny lab/private
`
const values: AclEntry[] = [
  {
    anonymous: true,
    topics: [
      { allow: "read", filter: "$SYS/#" },
      { deny: "readwrite", filter: "$SYS/secret" },
    ],
  },
  { user: ["ada"], topics: [{ allow: "readwrite", filter: "lab/#" }] },
  { user: "bob", topics: [{ allow: "read", filter: "lab/+/state" }] },
  {
    everybody: true,
    topics: [
      { allow: "write", filter: "sensors/%c/data" },
      { allow: "read", filter: "users/%u/#" },
      { deny: "readwrite", filter: "lab/private" },
    ],
  },
  { user: "ada", topics: [{ deny: "readwrite", filter: "lab/safe" }] },
]

const table: [client: Client, action: Action, topic: string, verdict: boolean | undefined][] = [
  [nobody, "receive", "$SYS/broker/uptime", true],
  [nobody, "subscribe", "$SYS/#", true],
  [nobody, "receive", "$SYS/secret", false],
  [nobody, "publish", "$SYS/broker/uptime", undefined],
  [nobody, "receive", "lab/a", undefined],
  [nobody, "subscribe", "#", undefined],
  [nobody, "publish", "sensors/c3/data", true],
  [nobody, "publish", "sensors/c1/data", undefined],
  [nobody, "receive", "users/undefined/a", undefined],
  [ada, "receive", "$SYS/broker/uptime", undefined],
  [ada, "publish", "lab/a", true],
  [ada, "receive", "lab/a", true],
  [ada, "subscribe", "lab/#", true],
  [ada, "subscribe", "#", true],
  [ada, "publish", "lab/safe", false],
  [ada, "subscribe", "lab/safe", false],
  [ada, "publish", "lab/private", false],
  [ada, "receive", "sensors/c1/data", undefined],
  [ada, "receive", "users/ada/x", true],
  [ada, "subscribe", "users/bob/#", undefined],
  [bob, "receive", "lab/a/state", true],
  [bob, "publish", "lab/a/state", undefined],
  [bob, "subscribe", "lab/+/state", true],
  [bob, "subscribe", "lab/private", false],
  [admitted("carl"), "receive", "lab/a", undefined],
  [admitted("carl"), "receive", "users/carl/x", true],
  [admitted(""), "receive", "$SYS/broker/uptime", undefined],
]

describe("from a file or as values", () => {
  for (const [client, action, topic, verdict] of table)
    test(`${client.username ?? "a client without a name"} may ${action} ${topic}: ${verdict}`, async () => {
      using file = await AclFile.open(example)
      expect(file.may(action, topic, client)).toBe(verdict!)
      expect(acl(values).authorize!(client, action, topic)).toBe(verdict!)
    })

  test("they say nothing on who may come in or stay, and may be remembered", async () => {
    using file = await AclFile.open(example)
    for (const auth of [file.auth, acl(values)]) {
      expect(auth.authenticate(connecting("ada", "secret"))).toBeUndefined()
      expect([auth.isCacheable, auth.mayStay, auth.exchange]).toEqual([true, undefined, undefined])
    }
  })

  test("no rules are no answer", async () => {
    using file = await AclFile.open("")
    expect([file.may("publish", "a", ada), acl([]).authorize!(ada, "publish", "a")]).toEqual([undefined, undefined])
  })
})

test("values have %u and %c everywhere, a file in patterns only", async () => {
  using file = await AclFile.open("user ada\ntopic c/%c\n")
  const rules = acl([{ user: "ada", topics: [{ allow: "readwrite", filter: "c/%c" }] }])
  expect([file.may("publish", "c/c1", ada), rules.authorize!(ada, "publish", "c/c1")]).toEqual([undefined, true])
})

test("values can deny reading or writing alone", () => {
  const rules = acl([
    { everybody: true, topics: [{ allow: "readwrite", filter: "a/#" }] },
    { user: ["ada", "bob"], topics: [{ deny: "write", filter: "a/b" }] },
  ])
  for (const client of [ada, bob]) {
    expect([rules.authorize!(client, "publish", "a/b"), rules.authorize!(client, "receive", "a/b")]).toEqual([
      false,
      true,
    ])
  }
  expect(rules.authorize!(nobody, "publish", "a/b")).toBe(true)
})

describe("values that are no rules are an error that says where", () => {
  const whose = 'rule 1: takes "topics" and one of "user" (a name, or several), "anonymous: true", "everybody: true"'
  const topic = 'rule 1, topic 1: takes "filter" and one of "allow", "deny", which take read, write or readwrite'
  const bad: [what: string, entry: object, problem: string][] = [
    ["nobody's", { topics: [] }, whose],
    ["two people's", { user: "ada", everybody: true, topics: [] }, whose],
    ["a number's", { user: 7, topics: [] }, whose],
    ["a list with a number", { user: ["ada", 7], topics: [] }, whose],
    ["anonymous: false", { anonymous: false, topics: [] }, whose],
    ["a key too many", { user: "ada", client: "c1", topics: [] }, whose],
    ["no topics", { user: "ada" }, 'rule 1: "topics" takes a list'],
    ["a topic that is neither", { user: "ada", topics: [{ filter: "a" }] }, topic],
    ["a topic that is both", { user: "ada", topics: [{ allow: "read", deny: "read", filter: "a" }] }, topic],
    ["another access", { user: "ada", topics: [{ allow: "all", filter: "a" }] }, topic],
    ["no filter", { user: "ada", topics: [{ allow: "read" }] }, topic],
    ["a topic with a key too many", { user: "ada", topics: [{ allow: "read", filter: "a", qos: 1 }] }, topic],
    [
      "a filter that is none",
      { everybody: true, topics: [{ allow: "read", filter: "a#" }] },
      'rule 1, topic 1: "a#" is not a topic filter',
    ],
  ]
  for (const [what, entry, problem] of bad)
    test(what, () => expect(() => acl([entry as AclEntry])).toThrow(`acl: ${problem}`))
})

describe("an ACL file", () => {
  test("that is missing or bad does not open", async () => {
    using file = new AclFile()
    await expect(file.auth.open!(file.context)).rejects.toThrow(`${file.path}: there is no such file`)
    file.write("user ada\ntopic read a\ntopic red b\n")
    await expect(file.auth.open!(file.context)).rejects.toThrow(
      `${file.path}:3: takes read, write, readwrite or deny before a topic filter with spaces`,
    )
    file.write("topic a/#/b")
    await expect(file.auth.open!(file.context)).rejects.toThrow(`${file.path}:1: "a/#/b" is not a topic filter`)
    expect(() => file.may("publish", "a", ada)).toThrow("acl() is not open")
    expect(file.context.watched).toEqual([])
  })

  test("replaces all rules at once when it changes, and says so", async () => {
    using file = await AclFile.open("topic a\ntopic b\n")
    const { context } = file
    expect([context.changes, context.watched]).toEqual([0, [file.path]])
    await file.change("topic b\ntopic c\n", () => context.changes > 0)
    expect(["a", "b", "c"].map((topic) => file.may("publish", topic, nobody))).toEqual([undefined, true, true])
    expect([context.changes, context.logged]).toEqual([1, [`info: ${file.path}: read again`]])
  })

  test("that has only been touched changes nothing", async () => {
    using file = await AclFile.open("topic a\n")
    const { context } = file
    file.write("topic a\n")
    context.touch(file.path)
    using other = await AclFile.open("topic a\n")
    await other.change("topic b\n", () => other.context.changes === 1) // by then the first has been read too
    await other.change("topic c\n", () => other.context.changes === 2)
    expect([context.changes, file.may("publish", "a", nobody)]).toEqual([0, true])
  })

  test("that has become bad, or is gone, leaves the old rules in force", async () => {
    using file = await AclFile.open("topic a\n")
    const { context } = file
    await file.change("topic b\ntopic deny\nuser\n", () => context.logged.length === 1)
    rmSync(file.path)
    context.touch(file.path)
    await eventually(() => context.logged.length === 2, "the missing file to be noticed")
    expect(context.logged).toEqual([
      `error: ${file.path}:3: a user name is missing; what it said before stays in force`,
      `error: ${file.path}: there is no such file; what it said before stays in force`,
    ])
    expect([file.may("publish", "a", nobody), file.may("publish", "b", nobody), context.changes]).toEqual([
      true,
      undefined,
      0,
    ])
    await file.change("topic b\n", () => context.changes === 1)
    expect(file.may("publish", "b", nobody)).toBe(true)
  })

  test("is watched until it is closed, and belongs to one broker", async () => {
    using file = await AclFile.open("topic a\n")
    await expect(file.auth.open!(file.context)).rejects.toThrow("each broker needs its own")
    file.auth.close!()
    expect(file.context.watched).toEqual([])
    const again: Auth = file.auth
    await again.open!(file.context)
    expect(file.context.watched).toEqual([file.path])
  })
})

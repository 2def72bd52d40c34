/** Why an auth answers as it does, in the words that an operator gets. */
import { describe, expect, test } from "bun:test"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { acl } from "../../src/auth/acl.ts"
import { all, any } from "../../src/auth/compose.ts"
import { denyAll } from "../../src/auth/deny.ts"
import { http } from "../../src/auth/http.ts"
import { jwt } from "../../src/auth/jwt.ts"
import type { Action, Admission, Auth, Authority } from "../../src/broker/ports.ts"
import { Reason } from "../../src/codec/index.ts"
import { eventually } from "../listeners/socket.ts"
import { admitted, connecting, FakeAuthContext } from "../support/auth-context.ts"
import { temporaryFolder } from "../support/broker-process.ts"
import { QuestionedService } from "../support/questions.ts"
import { claimsOf, secret, sign } from "../support/tokens.ts"

const ada = admitted("ada", { clientId: "c1" })
const nobody = admitted(undefined, { clientId: "c3" })

/** `publish a/b`, of ada unless it is another's. */
function why(authority: Authority, question: string, client = ada) {
  const [, action, topic] = question.match(/^(\w+) (.*)$/)!
  return authority.explain!(client, action as Action, topic!)
}

const rules = `# who may do what
topic read $SYS/#
user ada
topic readwrite lab/#
topic deny lab/safe
topic read news/+/today
pattern write sensors/%c/data
pattern deny lab/private
`

async function aclFile(text = rules) {
  const folder = temporaryFolder()
  const path = join(folder.path, "acl.txt")
  const write = (text: string) => writeFileSync(path, text)
  write(text)
  const auth = acl(path)
  const context = new FakeAuthContext()
  await auth.open!(context)
  const dispose = () => {
    auth.close!()
    folder[Symbol.dispose]()
  }
  return { auth, path, write, context, [Symbol.dispose]: dispose }
}

describe("an ACL file", () => {
  test.each([
    ["publish lab/a", ":4 lets user ada read and write lab/#"],
    ["subscribe lab/#", ":4 lets user ada read and write lab/#"],
    ["receive lab/safe", ":5 forbids user ada to read and write lab/safe"],
    ["publish lab/private", ":8 forbids everybody to read and write lab/private"],
    ["publish sensors/c1/data", ":7 lets everybody write sensors/%c/data"],
    ["subscribe news/#", ":6 lets user ada read news/+/today"],
  ])("%p is decided by the rule on one line", async (question, words) => {
    using file = await aclFile()
    expect(await why(file.auth, question)).toBe(file.path + words)
  })

  test("without a rule for it says so, and which comes near", async () => {
    using file = await aclFile()
    const none = `${file.path} has no rule that lets`
    expect(await why(file.auth, "publish other")).toBe(`${none} user ada write other`)
    expect(await why(file.auth, "publish other", nobody)).toBe(`${none} clients without a user name write other`)
    expect(await why(file.auth, "publish news/a/today")).toBe(
      `${none} user ada write news/a/today; ${file.path}:6 lets user ada read news/+/today`,
    )
  })

  test("that has changed is explained as it is now, and one that is bad as the rules that are in force", async () => {
    using file = await aclFile("user ada\ntopic lab/#\n")
    file.write("user ada\n\n\ntopic deny lab/#\n")
    file.context.touch(file.path)
    await eventually(() => file.context.changes === 1, "the file to be read again")
    expect(await why(file.auth, "publish lab/a")).toBe(`${file.path}:4 forbids user ada to read and write lab/#`)
    file.write("nonsense\n")
    file.context.touch(file.path)
    await eventually(() => file.context.logged.length === 2, "the file to be refused")
    expect(await why(file.auth, "publish lab/a")).toBe(`${file.path}:4 forbids user ada to read and write lab/#`)
  })

  test("agrees in its words with what it decides, whatever is asked", async () => {
    using file = await aclFile()
    const topics = [
      "lab",
      "lab/a",
      "lab/+",
      "#",
      "+/safe",
      "lab/safe",
      "lab/private",
      "news/x/today",
      "$SYS/a",
      "$SYS/#",
    ]
    for (const action of ["publish", "subscribe", "receive"] as const) {
      for (const topic of [...topics, "sensors/c1/data", "sensors/c3/data"]) {
        for (const client of [ada, nobody]) {
          const permission = file.auth.authorize!(client, action, topic) as boolean | undefined
          const verb = permission === undefined ? " has no rule that " : permission ? " lets " : " forbids "
          const words = await file.auth.explain!(client, action, topic)
          expect([action, topic, words.replace(/; .*/, "")]).toEqual([action, topic, expect.stringContaining(verb)])
        }
      }
    }
  })
})

test("rules as values are named by their places", async () => {
  const auth = acl([
    { everybody: true, topics: [{ allow: "read", filter: "a" }] },
    {
      user: ["ada", "bob"],
      topics: [
        { allow: "write", filter: "b" },
        { deny: "read", filter: "a" },
      ],
    },
  ])
  expect(await why(auth, "receive a")).toBe("acl: rule 2, topic 2 forbids user ada to read a")
  expect(await why(auth, "receive a", nobody)).toBe("acl: rule 1, topic 1 lets everybody read a")
})

describe("auths that are made of others", () => {
  const lets = acl([{ everybody: true, topics: [{ allow: "readwrite", filter: "#" }] }])
  const silent: Auth = { authenticate: () => true }
  const mute: Auth = { authenticate: () => undefined, authorize: () => undefined }
  const strict: Auth = { authenticate: () => undefined, authorize: async () => Reason.QuotaExceeded }

  test("say which of them refuses, by its own words if it has any", async () => {
    expect(await why(all(silent, lets, denyAll()), "publish a")).toBe("denyAll() refuses everything")
    expect(await why(all(silent, lets, strict), "publish a")).toBe("auth 3 of 3 refuses it")
    expect(await why(all(lets, any(silent, strict)), "publish a")).toBe("auth 2 of 2 refuses it")
  })

  test("say which of them allow it, or that nobody has an opinion", async () => {
    expect(await why(all(silent, lets, mute), "publish a")).toBe("acl: rule 1, topic 1 lets everybody read and write #")
    expect(await why(all(silent, mute), "publish a")).toBe("auth 2 of 2 has no opinion")
  })

  test("without one that decides on topics have nothing to explain", () => {
    expect(all(silent).explain).toBeUndefined()
  })
})

describe("a token", () => {
  async function authorityOf(claims: Record<string, unknown>): Promise<Authority> {
    const auth = jwt({ secret })
    await auth.open!(new FakeAuthContext())
    const token = await sign(claimsOf(claims), "HS256", secret)
    return ((await auth.authenticate(connecting("ada", token))) as Admission).authority!
  }

  test("allows by a claim, denies by one, or has none", async () => {
    const denied = { permission: "deny", action: "publish", topic: "a/secret" }
    const authority = await authorityOf({ publish: ["a/#"], acl: [denied] })
    expect(await why(authority, "publish a/b")).toBe("a claim of the client's token allows it")
    expect(await why(authority, "publish a/secret")).toBe("a claim of the client's token denies it")
    expect(await why(authority, "subscribe a/b")).toBe("the client's token has no claim that lets it subscribe there")
    expect(await why(await authorityOf({}), "publish a")).toBe("the client's token says nothing of topics")
  })
})

test("a web service is asked, and called without its secrets", async () => {
  await using service = new QuestionedService()
  const auth = http({ url: `${service.url}?key=secret`, cacheSeconds: 0 })
  auth.open!(new FakeAuthContext())
  expect(await why(auth, "publish a")).toBe(`${service.url} allows it`)
  service.answer = () => Response.json({ allow: false })
  expect(await why(auth, "publish a")).toBe(`${service.url} does not allow it`)
  expect(await why(auth, "receive a")).toBe(`${service.url} is not asked whether a client may receive`)
  auth.close!()
})

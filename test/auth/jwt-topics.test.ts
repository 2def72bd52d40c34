/** What the claims of a token let its client do, alone and beside other auths. */
import { describe, expect, test } from "bun:test"
import { acl } from "../../src/auth/acl.ts"
import { all } from "../../src/auth/compose.ts"
import { type JwtOptions, jwt } from "../../src/auth/jwt.ts"
import type { Action, Admission, Auth, Authority, Decision } from "../../src/broker/ports.ts"
import { Reason } from "../../src/codec/index.ts"
import { admitted, connecting, FakeAuthContext } from "../support/auth-context.ts"
import { claimsOf, secret, sign } from "../support/tokens.ts"

async function decisionOn(claims: Record<string, unknown>, auth: Auth): Promise<Decision> {
  await auth.open!(new FakeAuthContext())
  return await auth.authenticate(connecting("zero", await sign(claimsOf(claims), "HS256", secret)))
}

/** Who decides on a client with these claims. */
async function authorityOf(claims: Record<string, unknown>, auth = jwt({ secret })): Promise<Authority> {
  const { authenticated, authority = auth } = (await decisionOn(claims, auth)) as Admission
  expect(authenticated).toBe(true)
  return authority
}

/** `publish a` of user ada with the client id c1. */
function ask(authority: Authority, question: string) {
  const [, action, topic] = question.match(/^(\w+) (.*)$/)!
  return authority.authorize!(admitted("ada", { clientId: "c1" }), action as Action, topic!)
}

describe("claims say what a client may do", () => {
  const allow = (action: string, topic: string) => ({ permission: "allow", action, topic })
  const deny = (action: string, topic: string) => ({ permission: "deny", action, topic })
  const table: [claims: Record<string, unknown>, allowed: string[], refused: string[]][] = [
    [
      { publish: ["a/#"], subscribe: ["b/+"] },
      ["publish a", "publish a/b", "subscribe b/+", "subscribe b/x", "receive b/x"],
      ["publish b/x", "subscribe a/#", "receive a", "subscribe c", "publish $SYS/x"],
    ],
    [{ publish: ["a"] }, ["publish a"], ["subscribe a", "receive a", "publish b"]],
    [{ subscribe: ["#"] }, ["subscribe #", "subscribe a/b", "receive a"], ["publish a", "subscribe $SYS/#"]],
    [{ publish: [] }, [], ["publish a", "subscribe a", "receive a"]],
    [{ acl: [] }, [], ["publish a", "subscribe a", "receive a"]],
    [
      { publish: ["c/%c/#", "u/%u"], subscribe: ["c/%c/in"] },
      ["publish c/c1/x", "publish u/ada", "subscribe c/c1/in"],
      ["publish c/c2/x", "publish u/zero", "subscribe c/+/x"],
    ],
    [
      { acl: [allow("publish", "a/#"), allow("subscribe", "b/#"), allow("all", "c"), deny("subscribe", "b/secret")] },
      ["publish a/b", "subscribe b/#", "receive b/x", "publish c", "receive c"],
      ["publish b/x", "subscribe b/secret", "receive b/secret", "receive a/b"],
    ],
    [{ acl: [allow("all", "#"), deny("all", "a/#")] }, ["publish b"], ["publish a/b", "subscribe a/b"]],
    [
      // biome-ignore lint/suspicious/noTemplateCurlyInString: EMQX writes it so
      { acl: [allow("publish", "c/${clientid}/#"), allow("publish", "u/${username}")] },
      ["publish c/c1/x", "publish u/ada"],
      ["publish c/c2/x", "publish u/bob"],
    ],
    [{ publish: ["a", "b"], acl: [deny("publish", "b")] }, ["publish a"], ["publish b"]],
  ]
  for (const [claims, allowed, refused] of table)
    test(JSON.stringify(claims), async () => {
      const authority = await authorityOf(claims)
      for (const question of allowed) expect([question, ask(authority, question)]).toEqual([question, true])
      for (const question of refused) expect([question, ask(authority, question)]).toEqual([question, false])
      expect(authority.isCacheable).toBe(true)
    })

  test("a client id that is a wildcard widens nothing", async () => {
    const authority = await authorityOf({ subscribe: ["c/%c/#"] })
    for (const clientId of ["+", "#", "c2/x"]) {
      for (const topic of ["c/c2/x", "c/+/x", "c/#", `c/${clientId}`]) {
        const permission = authority.authorize!(admitted("ada", { clientId }), "subscribe", topic)
        expect([clientId, topic, permission]).toEqual([clientId, topic, false])
      }
    }
  })

  test("they may have other names", async () => {
    const options: JwtOptions = { secret, publishClaim: "https://x/pub", subscribeClaim: "sub2", aclClaim: "rules" }
    const claims = {
      "https://x/pub": ["a"],
      sub2: ["b"],
      rules: [{ permission: "allow", action: "all", topic: "c" }],
      publish: ["d"],
      subscribe: ["d"],
      acl: "not looked at",
    }
    const authority = await authorityOf(claims, jwt(options))
    expect(
      ["publish a", "receive b", "publish c", "publish d", "receive d"].map((each) => ask(authority, each)),
    ).toEqual([true, true, true, false, false])
  })
})

describe("a token that says nothing of topics", () => {
  test("leaves them to others: alone, everything is refused", async () => {
    const authority = await authorityOf({})
    for (const question of ["publish a", "subscribe #", "receive a"]) expect(ask(authority, question)).toBeUndefined()
  })

  test("has the rules beside it decide", async () => {
    const rules = acl([{ user: "ada", topics: [{ allow: "readwrite", filter: "a" }] }])
    const authority = await authorityOf({}, all(jwt({ secret }), rules))
    expect([ask(authority, "publish a"), ask(authority, "publish b")]).toEqual([true, undefined])
  })
})

test("a token that says something of topics has said everything: rules beside it take away, and add nothing", async () => {
  const rules = acl([
    {
      everybody: true,
      topics: [
        { allow: "readwrite", filter: "#" },
        { deny: "write", filter: "a/b" },
      ],
    },
  ])
  const authority = await authorityOf({ publish: ["a/#"] }, all(jwt({ secret }), rules))
  expect(["publish a/c", "publish a/b", "publish c", "receive c"].map((each) => ask(authority, each))).toEqual([
    true,
    false,
    false,
    false,
  ])
})

test("whoever has no token has no authority here", () => {
  expect(jwt({ secret }).authorize!(admitted("ada"), "publish", "a")).toBeUndefined()
})

describe("a token whose claims are not understood is refused: they may have been restrictions", () => {
  const rule = { permission: "allow", action: "publish", topic: "a" }
  const table: [what: string, claims: Record<string, unknown>, name: string][] = [
    ["publish is a text", { publish: "a" }, "publish"],
    ["publish is null", { publish: null }, "publish"],
    ["publish has a number", { publish: ["a", 1] }, "publish"],
    ["publish has what is no filter", { publish: ["a#"] }, "publish"],
    ["publish has two names in a level", { publish: ["%u%c"] }, "publish"],
    ["subscribe is an object", { subscribe: { a: 1 } }, "subscribe"],
    ["acl is an object, as EMQX once had it", { acl: { pub: ["a"] } }, "acl"],
    ["acl has a text", { acl: ["a"] }, "acl"],
    ["acl has null", { acl: [null] }, "acl"],
    ["another permission", { acl: [{ ...rule, permission: "maybe" }] }, "acl"],
    ["no permission", { acl: [{ action: "publish", topic: "a" }] }, "acl"],
    ["another action", { acl: [{ ...rule, action: "pubsub" }] }, "acl"],
    ["an action that every object has", { acl: [{ ...rule, action: "toString" }] }, "acl"],
    ["a filter meant to the letter", { acl: [{ ...rule, permission: "deny", topic: "eq a/#" }] }, "acl"],
    ["a condition", { acl: [{ ...rule, qos: [0] }] }, "acl"],
    ["no topic", { acl: [{ permission: "allow", action: "publish" }] }, "acl"],
  ]
  for (const [what, claims, name] of table)
    test(what, async () => {
      expect(await decisionOn(claims, jwt({ secret }))).toEqual({
        reason: Reason.BadUserNameOrPassword,
        reasonString: `the token's claim "${name}" is not understood`,
      })
    })
})

/** `http(...)`: what the web service is asked, what its answers mean, and how often it is asked. */
import { describe, expect, test } from "bun:test"
import { all, any } from "../../src/auth/compose.ts"
import { type HttpAuthOptions, http } from "../../src/auth/http.ts"
import type { Action, Auth, Client, Connecting, Decision, Permission } from "../../src/broker/ports.ts"
import { Reason } from "../../src/codec/index.ts"
import { eventually } from "../listeners/socket.ts"
import { admitted, connecting, FakeAuthContext } from "../support/auth-context.ts"
import { QuestionedService } from "../support/questions.ts"

/** A service, and an auth that asks it. */
class Asked implements AsyncDisposable {
  readonly service = new QuestionedService()
  readonly context = new FakeAuthContext()
  readonly auth: Auth

  constructor(options: Partial<HttpAuthOptions> = {}) {
    this.auth = http({ url: this.service.url, ...options })
    this.auth.open!(this.context)
  }

  async decision(client: Connecting = connecting("ada", "secret")): Promise<Decision> {
    return await this.auth.authenticate(client)
  }

  may(action: Action, topic: string, client: Client = admitted("ada")): Permission | PromiseLike<Permission> {
    return this.auth.authorize!(client, action, topic)
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.auth.close!()
    return this.service.stop()
  }
}

const who = { clientId: "client", username: "ada", remoteAddress: "192.0.2.1", listener: "tcp", protocolLevel: 5 }
const json = (answer: unknown, init?: ResponseInit) => () => Response.json(answer, init)
const status = (code: number) => () => new Response(null, { status: code })

describe("a question", () => {
  test("on who may come in is a POST with what the client has said", async () => {
    await using asked = new Asked({ headers: { authorization: "Bearer 7", "Content-Type": "text/plain" } })
    await asked.decision()
    expect(asked.service.asked).toEqual([{ ask: "authenticate", ...who, password: "secret" }])
    const { method, url, headers } = asked.service.questions[0]!
    expect([method, url]).toEqual(["POST", asked.service.url])
    expect([headers.get("authorization"), headers.get("content-type")]).toEqual(["Bearer 7", "application/json"])
    expect(JSON.stringify([...headers])).not.toContain("secret")
  })

  test("has null for what the client has not said, and the bytes of a password that is no text", async () => {
    await using asked = new Asked()
    await asked.decision(connecting(undefined, undefined))
    await asked.decision(connecting("", ""))
    await asked.decision(connecting("ada", "\ufeffä€😀\0"))
    await asked.decision(connecting("ada", Buffer.from([0xff, 0xfe])))
    const common = { ask: "authenticate", ...who }
    expect(asked.service.asked).toEqual([
      { ...common, username: null, password: null },
      { ...common, username: "", password: "" },
      { ...common, password: "\ufeffä€😀\0" },
      { ...common, password: null, passwordBase64: "//4=" },
    ])
  })

  test("has the certificate that the client has shown", async () => {
    await using asked = new Asked()
    const certificate = { commonName: "pump", subjectAltNames: ["DNS:pump.local"], fingerprint: "AB:CD" }
    await asked.decision(connecting("ada", "secret", { certificate }))
    expect(asked.service.asked[0]).toEqual({ ask: "authenticate", ...who, password: "secret", certificate })
  })

  test("on what it may do names the topic", async () => {
    await using asked = new Asked({ authorize: ["publish", "subscribe", "receive"] })
    await asked.may("publish", "a/b")
    await asked.may("subscribe", "a/#", admitted(undefined))
    await asked.may("receive", "ä\n")
    expect(asked.service.asked).toEqual([
      { ask: "authorize", action: "publish", topic: "a/b", ...who },
      { ask: "authorize", action: "subscribe", topic: "a/#", ...who, username: null },
      { ask: "authorize", action: "receive", topic: "ä\n", ...who },
    ])
  })
})

describe("an answer on who may come in", () => {
  const NOW = new FakeAuthContext().clock.now()
  const table: [what: string, answer: () => Response, decision: Decision][] = [
    ["allow: true", json({ allow: true }), { authenticated: true }],
    ["allow: true, and more that nobody asked for", json({ allow: true, x: 1 }), { authenticated: true }],
    ["allow: false", json({ allow: false }), false],
    ["a username", json({ allow: true, username: "root" }), { authenticated: true, username: "root" }],
    ["an end", json({ allow: true, expiresAt: 5000 }), { authenticated: true, expiresAt: 5000 }],
    ["a duration", json({ allow: true, expiresInSeconds: 60 }), { authenticated: true, expiresAt: NOW + 60_000 }],
    [
      "an end and a duration: the earlier",
      json({ allow: true, expiresAt: NOW + 5000, expiresInSeconds: 60 }),
      { authenticated: true, expiresAt: NOW + 5000 },
    ],
    ["null for everything", json({ allow: true, username: null, expiresAt: null }), { authenticated: true }],
    ["a reason", json({ allow: false, reason: "expired" }), { reason: Reason.NotAuthorized, reasonString: "expired" }],
    [
      "a reason of two lines",
      json({ allow: false, reason: "a\r\n\u0000b\u202e" }),
      { reason: Reason.NotAuthorized, reasonString: "a b " },
    ],
    [
      "a reason without end",
      json({ allow: false, reason: "x".repeat(1000) }),
      { reason: Reason.NotAuthorized, reasonString: "x".repeat(256) },
    ],
    ["a reason that is no text", json({ allow: false, reason: 5 }), false],
    ["204", status(204), undefined],
    ["401", status(401), { reason: Reason.BadUserNameOrPassword }],
    ["403", status(403), false],
    ["403 with a body", json({ allow: true }, { status: 403 }), false],
  ]
  for (const [what, answer, decision] of table)
    test(what, async () => {
      await using asked = new Asked()
      asked.service.answer = answer
      expect(await asked.decision()).toEqual(decision)
      expect(asked.context.logged).toEqual([])
    })

  test("is that service's in a composition too", async () => {
    await using asked = new Asked()
    const users: Auth = { authenticate: () => true }
    const outcomes: Decision[] = []
    for (const code of [204, 403]) {
      asked.service.answer = status(code)
      outcomes.push(await any(users, asked.auth).authenticate(connecting("ada", "secret")))
      outcomes.push(await all(users, asked.auth).authenticate(connecting("ada", "secret")))
    }
    expect(outcomes).toEqual([{ authenticated: true, authority: users }, true, false, false])
  })
})

describe("an answer on what a client may do", () => {
  const table: [what: string, answer: () => Response, permission: Permission][] = [
    ["allow: true", json({ allow: true }), true],
    ["allow: false", json({ allow: false, reason: "no" }), false],
    ["204", status(204), undefined],
    ["401", status(401), false],
    ["403", status(403), false],
  ]
  for (const [what, answer, permission] of table)
    test(`${what}, and it holds for cacheSeconds`, async () => {
      await using asked = new Asked({ cacheSeconds: 10 })
      asked.service.answer = answer
      expect(await asked.may("publish", "a")).toBe(permission!)
      asked.service.answer = status(500)
      asked.context.clock.advance(9)
      expect(asked.may("publish", "a")).toBe(permission!) // no promise
      expect(asked.service.questions.length).toBe(1)
      asked.service.answer = answer
      asked.context.clock.advance(1)
      expect(await asked.may("publish", "a")).toBe(permission!)
      expect(asked.service.questions.length).toBe(2)
    })

  test("holds for that client, action and topic only", async () => {
    await using asked = new Asked()
    const questions: [Action, string, Client][] = [
      ["publish", "a", admitted("ada")],
      ["subscribe", "a", admitted("ada")],
      ["publish", "b", admitted("ada")],
      ["publish", "a", admitted("bob")],
      ["publish", "a", admitted(undefined)],
      ["publish", "a", admitted("ada", { clientId: "other" })],
      ["publish", "a", admitted("ada", { listener: "ws" })],
      ["publish", "a", admitted("ada", { remoteAddress: "192.0.2.2" })],
    ]
    for (const question of questions) expect(asked.may(...question)).toBeInstanceOf(Promise)
    await eventually(() => asked.service.questions.length === questions.length, "all of them to be asked")
  })

  test("is asked for each time where cacheSeconds is 0, and where it is about something very long", async () => {
    await using uncached = new Asked({ cacheSeconds: 0 })
    await using asked = new Asked()
    const long = "x".repeat(2048)
    for (let times = 0; times < 2; times++) {
      expect(await uncached.may("publish", "a")).toBe(true)
      expect(await asked.may("publish", long)).toBe(true)
    }
    expect([uncached.service.questions.length, asked.service.questions.length]).toEqual([2, 2])
  })

  test("is forgotten, the oldest first, where there are more than cacheEntries", async () => {
    await using asked = new Asked({ cacheEntries: 2 })
    for (const topic of ["a", "b", "c"]) await asked.may("publish", topic)
    expect([asked.may("publish", "b"), asked.may("publish", "c")]).toEqual([true, true])
    await asked.may("publish", "a")
    expect(asked.service.asked.map(({ topic }) => topic)).toEqual(["a", "b", "c", "a"])
  })

  test("is forgotten when the auth is closed", async () => {
    await using asked = new Asked()
    await asked.may("publish", "a")
    asked.auth.close!()
    asked.auth.open!(asked.context)
    await asked.may("publish", "a")
    expect(asked.service.questions.length).toBe(2)
  })
})

describe("when everything is to be read again", () => {
  test("it forgets what is kept, and has those who are in asked about", async () => {
    await using asked = new Asked()
    await asked.may("publish", "a")
    asked.service.answer = json({ allow: false })
    asked.auth.reload!()
    expect(asked.context.changes).toBe(1)
    expect(await asked.may("publish", "a")).toBe(false)
  })

  test("what it was asked before is answered, and kept no more", async () => {
    await using asked = new Asked()
    const give = asked.service.hold()
    const before = asked.may("publish", "a")
    await eventually(() => asked.service.questions.length === 1, "the question")
    asked.auth.reload!()
    const after = asked.may("publish", "a")
    await eventually(() => asked.service.questions.length === 2, "the question again")
    give(Response.json({ allow: true }))
    expect(await before).toBe(true)
    const beside = asked.may("publish", "a")
    give(Response.json({ allow: false }))
    expect([await after, await beside, asked.may("publish", "a")]).toEqual([false, false, false])
    expect(asked.service.questions.length).toBe(2)
  })
})

describe("authorize", () => {
  test("true: the service is asked before a client publishes or subscribes, and it receives what it has subscribed to", async () => {
    for (const options of [{}, { authorize: true }] as const) {
      await using asked = new Asked(options)
      asked.service.answer = json({ allow: false })
      expect(await asked.may("publish", "a")).toBe(false)
      expect(await asked.may("subscribe", "a")).toBe(false)
      expect(asked.may("receive", "a")).toBe(true)
      expect(asked.service.questions.length).toBe(2)
    }
  })

  test("false: it is not asked on topics, and has no say there", async () => {
    await using asked = new Asked({ authorize: false })
    expect(asked.auth.authorize).toBeUndefined()
  })

  test("a list: it is asked on these, and says nothing on the others", async () => {
    await using asked = new Asked({ authorize: ["publish"] })
    expect(await asked.may("publish", "a")).toBe(true)
    expect([asked.may("subscribe", "a"), asked.may("receive", "a")]).toEqual([undefined, undefined])
    expect(asked.service.questions.length).toBe(1)
  })

  test("its answers are not to be remembered elsewhere: they do not hold until something changes", async () => {
    await using asked = new Asked()
    expect(asked.auth.isCacheable).not.toBe(true)
  })
})

describe("the service", () => {
  test("is asked a question once that is asked again before it has answered", async () => {
    await using asked = new Asked({ cacheSeconds: 0 })
    const give = asked.service.hold()
    const same = [asked.may("publish", "a"), asked.may("publish", "a")]
    const logins = [asked.decision(), asked.decision(), asked.decision(connecting("ada", "other"))]
    await eventually(() => asked.service.questions.length === 3, "three questions")
    for (let count = 0; count < 3; count++) give(Response.json({ allow: true }))
    expect(await Promise.all([...same, ...logins])).toEqual([
      true,
      true,
      { authenticated: true },
      { authenticated: true },
      { authenticated: true },
    ])
    expect(asked.service.questions.length).toBe(3)
    asked.service.answer = json({ allow: false })
    expect(await asked.decision()).toBe(false) // who may come in is not remembered
  })

  test("has requestsAtOnce under way at most; the others wait their turn", async () => {
    await using asked = new Asked({ requestsAtOnce: 2 })
    const give = asked.service.hold()
    const topics = ["a", "b", "c", "d", "e"]
    const answers = topics.map((topic) => asked.may("publish", topic))
    for (let given = 0; given < topics.length; given++) {
      await eventually(() => asked.service.questions.length >= Math.min(topics.length, given + 2), "questions")
      give(Response.json({ allow: given % 2 === 0 }))
    }
    expect(await Promise.all(answers)).toHaveLength(5)
    expect([asked.service.mostWaiting, asked.service.asked.map(({ topic }) => topic)]).toEqual([2, topics])
  })

  test("is asked about clients of two networks in turn, however many come from one", async () => {
    await using asked = new Asked({ requestsAtOnce: 1 })
    const give = asked.service.hold()
    const crowd = Array.from({ length: 50 }, (_, index) => asked.decision(connecting("ada", `guess ${index}`)))
    const other = asked.decision(connecting("bob", "secret", { remoteAddress: "192.0.2.2" }))
    const topic = asked.may("publish", "a", admitted("carl", { remoteAddress: "192.0.2.2" }))
    for (let questions = 1; questions <= 5; questions++) {
      await eventually(() => asked.service.questions.length === questions, "the question")
      give(Response.json({ allow: false }))
    }
    expect([await other, await topic]).toEqual([false, false])
    const names = asked.service.asked.slice(0, 5).map(({ username }) => username)
    expect(names).toEqual(["ada", "ada", "bob", "ada", "carl"])
    asked.auth.close!()
    await Promise.all(crowd)
  })

  test("keeps its connection from one question to the next", async () => {
    await using asked = new Asked({ cacheSeconds: 0 })
    for (const answer of [
      json({ allow: true }),
      json({ x: 1 }, { status: 403 }),
      status(204),
      json({ allow: false }),
    ]) {
      asked.service.answer = answer
      await asked.may("publish", "a")
    }
    expect(new Set(asked.service.questions.map(({ port }) => port)).size).toBe(1)
  })
})

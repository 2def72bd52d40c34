/** Our auths do what every auth must, and the suite that says so finds those that do not. */
import { afterAll, describe, expect, test } from "bun:test"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Auth, acl, all, allowAll, allowAnonymous, any, denyAll, http, jwt, passwords, Reason } from "manju"
import { type AuthSubject, authConformance } from "manju/auth-conformance"
import { temporaryFolder } from "../support/broker-process.ts"
import { cheapHash, sha512Hash } from "../support/password-file.ts"
import { QuestionedService } from "../support/questions.ts"
import { keys, pem, secret, sign } from "../support/tokens.ts"

const folder = temporaryFolder()
const service = new QuestionedService()
afterAll(async () => {
  folder[Symbol.dispose]()
  await service.stop()
})

const written = (name: string, text: string) => {
  const path = join(folder.path, name)
  writeFileSync(path, text)
  return path
}

const users = written("users.txt", `ada:${await cheapHash("her password")}\nbob:${sha512Hash("his password")}\n`)
const rules = written("acl.txt", "user ada\ntopic readwrite lab/#\ntopic deny lab/safe\n")

const ada = { username: "ada", password: "her password" }
const notAda = {
  "a wrong password": { username: "ada", password: "his password" },
  "a user without a password": { username: "ada" },
  "an unknown user": { username: "eve", password: "her password" },
}
const others = { ...notAda, nobody: {}, "a password without a user": { password: "her password" } }
const allowed = { publish: ["lab/door"], subscribe: ["lab/#", "lab/+"], receive: ["lab/door"] }
const denied = { publish: ["lab/safe", "attic"], subscribe: ["lab/safe", "attic"], receive: ["lab/safe", "attic"] }
const anything = { publish: ["lab/safe", "$SYS/x"], subscribe: ["#"], receive: ["attic"] }

const now = Date.now() / 1000
const token = (claims: object, algorithm = "HS256", key: Parameters<typeof sign>[2] = secret) =>
  sign({ sub: "ada", exp: now + 3600, ...claims }, algorithm, key)
const badTokens = {
  "an expired token": { password: await token({ exp: now - 1 }) },
  "a token that is signed by somebody else": {
    password: await token({}, "HS256", "another secret of more than 32 bytes"),
  },
  "a token of another kind of key": { password: await token({}, "ES256", keys.ES256.privateKey) },
  "a token without a user": { password: await token({ sub: undefined }) },
}
const claims = { publish: ["lab/door"], subscribe: ["lab/#"] }

const subjects: Record<string, AuthSubject> = {
  "passwords()": { make: () => passwords(users), accepted: ada, refused: others, allowed: anything },
  "passwords(), older hashes": {
    make: () => passwords(users),
    accepted: { username: "bob", password: "his password" },
    refused: { "a wrong password": { username: "bob", password: "her password" }, nobody: {} },
  },
  "acl(), a file": { make: () => acl(rules), refused: others, client: { username: "ada" }, allowed, denied },
  "acl(), values": {
    make: () => acl([{ everybody: true, topics: [{ allow: "write", filter: "of/%c" }] }]),
    client: { clientId: "c" },
    allowed: { publish: ["of/c"] },
    denied: { publish: ["of/d", "of/c/d"], subscribe: ["of/c"], receive: ["of/c"] },
  },
  "jwt(), a secret": {
    make: () => jwt({ secret }),
    accepted: { username: "ada", password: await token(claims) },
    refused: { ...badTokens, nobody: {}, "a password that is no token": ada },
    allowed: { publish: ["lab/door"], subscribe: ["lab/#"], receive: ["lab/x"] },
    denied: { publish: ["lab/x"], subscribe: ["attic/#"], receive: ["attic"] },
  },
  "jwt(), a public key": {
    make: () => jwt({ key: pem(keys.EdDSA.publicKey), usernameMustMatch: true }),
    accepted: { username: "ada", password: await token({}, "EdDSA", keys.EdDSA.privateKey) },
    refused: {
      ...badTokens,
      "another user's token": { username: "bob", password: await token({}, "EdDSA", keys.EdDSA.privateKey) },
    },
    denied: anything,
  },
  "http()": {
    make: () => http({ url: service.url }),
    accepted: ada,
    refused: others,
    allowed: { ...allowed, receive: ["lab/safe"] }, // that it is not asked about
    denied: { publish: ["lab/safe"], subscribe: ["attic"] },
  },
  "allowAll()": { make: allowAll, accepted: {}, allowed: anything },
  "allowAnonymous()": { make: allowAnonymous, accepted: {}, refused: { "a user": ada }, allowed: anything },
  "denyAll()": { make: denyAll, refused: { ada, nobody: {} }, denied: anything },
  "all()": { make: () => all(passwords(users), acl(rules)), accepted: ada, refused: others, allowed, denied },
  "any()": {
    make: () => any(jwt({ secret }), all(passwords(users), acl(rules))),
    accepted: ada,
    refused: { ...others, ...badTokens },
    allowed,
    denied,
  },
  "any(), with strangers": {
    make: () => any(passwords(users), allowAnonymous()),
    accepted: ada,
    refused: notAda,
    allowed: anything,
  },
}

service.answer = ({ text }) => {
  const { ask, username, password, topic } = JSON.parse(text)
  if (ask === "authenticate") return Response.json({ allow: username === "ada" && password === "her password" })
  return Response.json({ allow: topic.startsWith("lab/") && topic !== "lab/safe" })
}

for (const [name, subject] of Object.entries(subjects))
  describe(`an auth does what it must: ${name}`, () => {
    for (const { name, run } of authConformance(subject)) test(name, run)
  })

/** What is wrong with an auth, what it does, and the case that finds it. */
const right = ({ username, password }: { username?: string | undefined; password?: Uint8Array | undefined }) =>
  username === "ada" && password !== undefined && Buffer.from(password).toString() === "her password"

const flawed: [flaw: string, make: () => Auth, found: string][] = [
  ["lets in everybody", allowAll, "a wrong password is not let in"],
  ["lets in nobody", denyAll, "the right one is let in"],
  [
    "looks at the name only",
    () => ({ authenticate: ({ username }) => username === "ada" }),
    "a wrong password is not let in",
  ],
  [
    "takes what every object has for a user",
    () => {
      const users: Record<string, string> = {}
      return { authenticate: (client) => right(client) || (client.username ?? "") in users }
    },
    "strangers of every kind are not let in",
  ],
  [
    "looks at the beginning of a password only",
    () => ({
      authenticate: ({ username, password }) =>
        right({ username, password: password?.subarray(0, "her password".length) }),
    }),
    "strangers of every kind are not let in",
  ],
  [
    "minds no missing byte",
    () => ({
      authenticate: ({ username, password }) =>
        username === "ada" &&
        password !== undefined &&
        password.length > 0 &&
        "her password".startsWith(String(password)),
    }),
    "strangers of every kind are not let in",
  ],
  [
    "throws without a password",
    () => ({ authenticate: (client) => right({ ...client, password: client.password!.subarray() }) }),
    "a user without a password is not let in",
  ],
  [
    "throws for what is no text",
    () => ({
      authenticate(client) {
        new TextDecoder("utf-8", { fatal: true }).decode(client.password)
        return right(client)
      },
    }),
    "strangers of every kind are not let in",
  ],
  [
    "throws for a long client id",
    () => ({
      authenticate(client) {
        if (client.clientId.length > 1000) throw new RangeError("too long")
        return right(client)
      },
    }),
    "a client id may be anything",
  ],
  [
    "remembers the name and not the password",
    () => {
      const known = new Set<string | undefined>()
      return {
        authenticate(client) {
          if (right(client)) known.add(client.username)
          return known.has(client.username)
        },
      }
    },
    "no answer depends on who has asked before",
  ],
  [
    "mixes up those who ask at once",
    () => {
      let asking: Parameters<Auth["authenticate"]>[0]
      return {
        async authenticate(client) {
          asking = client
          await undefined
          return right(asking)
        },
      }
    },
    "questions that are asked at once are answered each for itself",
  ],
  [
    "refuses with one who has gone those who ask the same",
    () => {
      const pending = new Map<string, Promise<boolean>>()
      return {
        authenticate(client) {
          const key = `${client.username} ${client.password}`
          const answer = pending.get(key) ?? Promise.resolve().then(() => client.isGone?.() !== true && right(client))
          pending.set(key, answer)
          void answer.then(() => pending.delete(key))
          return answer
        },
      }
    },
    "a client that has gone meanwhile is not in the way of one that asks the same",
  ],
  [
    "logs passwords",
    () => {
      let log = (_: string) => {}
      return {
        open: ({ logger }) => void (log = logger.debug),
        authenticate(client) {
          log(`asked for ${client.username} with ${client.password}`)
          return right(client)
        },
      }
    },
    "no password is logged, or told to the client",
  ],
  [
    "tells the password",
    () => ({
      authenticate: (client) =>
        right(client) || { reason: Reason.NotAuthorized, reasonString: `not with ${client.password}` },
    }),
    "no password is logged, or told to the client",
  ],
  [
    "says what is no decision",
    () => ({ authenticate: (client) => right(client) || (null as never) }),
    "a wrong password is not let in",
  ],
  [
    "says a reason that there is not",
    () => ({ authenticate: (client) => right(client) || { reason: 999 as Reason } }),
    "a wrong password is not let in",
  ],
  [
    "ends an admission at no time",
    () => ({ authenticate: (client) => right(client) && { authenticated: true, expiresAt: Number.NaN } }),
    "the right one is let in",
  ],
  [
    "knows every method",
    () => ({ authenticate: right, exchange: () => ({ next: () => true }) }),
    "an authentication method that nobody knows is none",
  ],
  [
    "allows what it should deny",
    () => ({ authenticate: right, authorize: () => true }),
    "what the client may do with topics is what it should be",
  ],
  [
    "denies what it should allow",
    () => ({ authenticate: right, authorize: () => undefined }),
    "what the client may do with topics is what it should be",
  ],
  [
    "asks for something in a topic",
    () => ({ authenticate: right, authorize: (_, __, topic) => topic.match(/lab|attic/)![0] === "lab" }),
    "a topic may be anything, and so may the client",
  ],
  [
    "says what is no permission",
    () => ({ authenticate: right, authorize: (_, __, topic) => topic.startsWith("lab/") && (topic.length as never) }),
    "what the client may do with topics is what it should be",
  ],
  [
    "lets answers be kept that change",
    () => {
      let count = 0
      return { authenticate: right, isCacheable: true, authorize: () => ++count % 2 === 0 }
    },
    "an answer that may be kept stays the same",
  ],
  ["throws out who is in", () => ({ authenticate: right, mayStay: () => false }), "a client that is in may stay"],
  [
    "cannot be closed twice",
    () => {
      let isOpen = false
      return {
        authenticate: right,
        open: () => void (isOpen = true),
        close() {
          if (!isOpen) throw new Error("it is not open")
          isOpen = false
        },
      }
    },
    "it can be closed, twice, and opened again",
  ],
  [
    "shares with another what it has",
    (() => {
      let isOpen = false
      return () => ({
        authenticate: (client: Parameters<typeof right>[0]) => isOpen && right(client),
        open: () => void (isOpen = true),
        close: () => void (isOpen = false),
      })
    })(),
    "another that is closed is not missed",
  ],
]

describe("an auth is found out that", () => {
  for (const [flaw, make, found] of flawed)
    test(flaw, async () => {
      const cases = authConformance({
        make,
        accepted: ada,
        refused: others,
        allowed: { publish: ["lab/door"] },
        denied: { publish: ["attic"] },
      })
      const case_ = cases.find(({ name }) => name === found)!
      await expect(case_.run()).rejects.toThrow()
    })

  test("and the one that does everything right is not", async () => {
    const make = (): Auth => ({ authenticate: right, authorize: (_, __, topic) => topic.startsWith("lab/") })
    const subject = {
      make,
      accepted: ada,
      refused: others,
      allowed: { publish: ["lab/door"] },
      denied: { publish: ["attic"] },
    }
    for (const { run } of authConformance(subject)) await run()
  })
})

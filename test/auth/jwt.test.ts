/** `jwt(...)`: which tokens let a client in, as whom and until when, and what becomes of all others. */
import { describe, expect, test } from "bun:test"
import { type JwtOptions, jwt } from "../../src/auth/jwt.ts"
import type { Admission, Connecting, Decision, Refusal } from "../../src/broker/ports.ts"
import { Reason } from "../../src/codec/index.ts"
import { connecting, FakeAuthContext } from "../support/auth-context.ts"
import { claimsOf, forge, type KeyName, keys, NOW, pem, secret, sign } from "../support/tokens.ts"

/** What becomes of a client that gives this as its password. */
async function decisionOn(
  password: string | Uint8Array | undefined,
  options: Omit<JwtOptions, "key" | "jwks"> = {},
  fields: Partial<Connecting> = {},
): Promise<Decision> {
  const auth = jwt({ secret, ...options })
  await auth.open!(new FakeAuthContext())
  return await auth.authenticate({ ...connecting("zero", password), ...fields })
}

const signed = (others?: Record<string, unknown>) => sign(claimsOf(others), "HS256", secret)
const invalid = (reasonString: string): Refusal => ({ reason: Reason.BadUserNameOrPassword, reasonString })

/** The user and the end of an admission. */
async function admissionOf(decision: Promise<Decision>) {
  const { authenticated, username, expiresAt } = (await decision) as Admission
  return { authenticated, username, expiresAt }
}

describe("a token that is good", () => {
  test("says who the client is and when it has to go, whatever its CONNECT says", async () => {
    expect(await admissionOf(decisionOn(await signed()))).toEqual({
      authenticated: true,
      username: "ada",
      expiresAt: (NOW + 60) * 1000,
    })
  })

  test("may name the user in another claim", async () => {
    const token = await signed({ device: "pump" })
    expect(await admissionOf(decisionOn(token, { usernameClaim: "device" }))).toMatchObject({ username: "pump" })
  })

  for (const name of ["RS256", "ES256", "EdDSA"] as KeyName[])
    test(`is signed with ${name}`, async () => {
      const auth = jwt({ key: pem(keys[name].publicKey) })
      await auth.open!(new FakeAuthContext())
      const decide = async (token: string) => auth.authenticate(connecting(undefined, token))
      const token = await sign(claimsOf(), name, keys[name].privateKey)
      expect(await admissionOf(decide(token))).toMatchObject({ authenticated: true, username: "ada" })
      const [header, , signature] = token.split(".")
      const others = Buffer.from(JSON.stringify(claimsOf({ sub: "root" }))).toString("base64url")
      expect(await decide(`${header}.${others}.${signature}`)).toEqual(
        invalid("the token is signed with no key that is known here"),
      )
    })
})

describe("a password that is no token is not judged", () => {
  const table: [what: string, password: string | Uint8Array | undefined][] = [
    ["none", undefined],
    ["an empty one", ""],
    ["a word", "secret"],
    ["three words", "open.the.door"],
    ["three words that are base64 of JSON", forge(["alg"], {}, "")],
    ["a header without an algorithm", forge({ typ: "JWT" }, claimsOf(), secret)],
    ["a header with another one", forge({ alg: 5 }, claimsOf(), secret)],
    ["two parts", forge({ alg: "HS256" }, claimsOf(), secret, "").replace(/\.$/, "")],
    ["five parts", `${forge({ alg: "dir", enc: "A256GCM" }, claimsOf(), secret)}.a.b`],
    ["bytes", Buffer.from([0xff, 0x2e, 0xfe, 0x2e, 0xfd])],
  ]
  for (const [what, password] of table) test(what, async () => expect(await decisionOn(password)).toBeUndefined())

  test("and is answered at once", async () => {
    const auth = jwt({ secret })
    await auth.open!(new FakeAuthContext())
    expect(auth.authenticate(connecting("ada", "secret"))).toBeUndefined()
  })
})

describe("a token that is not good is refused", () => {
  const unknown = "the token is signed with no key that is known here"
  const table: [what: string, token: string | Promise<string>, problem: string][] = [
    ["expired", signed({ exp: NOW - 1 }), "the token has expired"],
    ["expires now", signed({ exp: NOW }), "the token has expired"],
    ["not valid yet", signed({ nbf: NOW + 1 }), `the token's "nbf" is not accepted`],
    ["without an end", signed({ exp: undefined }), `the token's "exp" is not accepted`],
    ["an end that is no time", signed({ exp: "never" as unknown as number }), `the token's "exp" is not accepted`],
    ["without a user", signed({ sub: undefined }), 'the token has no "sub"'],
    ["an empty user", signed({ sub: "" }), 'the token has no "sub"'],
    ["a user that is no text", signed({ sub: 7 as unknown as string }), 'the token has no "sub"'],
    ["another secret", sign(claimsOf(), "HS256", `not ${secret}`), unknown],
    ["no signature", forge({ alg: "HS256" }, claimsOf(), secret, ""), unknown],
    ["a signature cut short", signed().then((token) => token.slice(0, -4)), unknown],
    ["alg none", forge({ alg: "none" }, claimsOf(), secret, ""), unknown],
    ["alg none, and a signature", forge({ alg: "none" }, claimsOf(), secret), unknown],
    ["alg None", forge({ alg: "None" }, claimsOf(), secret, ""), unknown],
    ["an algorithm of public keys", forge({ alg: "RS256" }, claimsOf(), secret), unknown],
    ["an algorithm that nobody knows", forge({ alg: "HS1" }, claimsOf(), secret), unknown],
    [
      "a part that must be understood",
      forge({ alg: "HS256", crit: ["x"], x: 1 }, claimsOf(), secret),
      "the token is not valid",
    ],
    ["claims that are a list", forge({ alg: "HS256" }, [1], secret), "the token is not valid"],
  ]
  for (const [what, token, problem] of table)
    test(what, async () => {
      expect(await decisionOn(await token)).toEqual(invalid(problem))
    })

  test("whatever character of it is another", async () => {
    const token = await signed()
    const signatureOf = (text: string) => Buffer.from(text.split(".")[2] ?? "", "base64url").toString("hex")
    for (let at = 0; at < token.length; at++) {
      const other = token.slice(0, at) + (token[at] === "A" ? "B" : "A") + token.slice(at + 1)
      if (at === token.length - 1 && signatureOf(other) === signatureOf(token)) continue // its last bits mean nothing
      expect([at, await decisionOn(other)]).not.toEqual([at, expect.objectContaining({ authenticated: true })])
    }
  })
})

describe("options", () => {
  test("clockToleranceSeconds is how far the issuer's clock may be off", async () => {
    const options = { clockToleranceSeconds: 10 }
    expect(await admissionOf(decisionOn(await signed({ exp: NOW - 9, nbf: NOW + 9 }), options))).toEqual({
      authenticated: true,
      username: "ada",
      expiresAt: (NOW + 1) * 1000,
    })
    expect(await decisionOn(await signed({ exp: NOW - 10 }), options)).toEqual(invalid("the token has expired"))
  })

  test("requireExpiry: false takes tokens without an end, and such a client need not go", async () => {
    const token = await signed({ exp: undefined })
    const admission = await decisionOn(token, { requireExpiry: false })
    expect(admission).toMatchObject({ authenticated: true })
    expect(admission).not.toHaveProperty("expiresAt")
    expect(await decisionOn(await signed({ exp: NOW - 1 }), { requireExpiry: false })).toEqual(
      invalid("the token has expired"),
    )
  })

  const table: [
    name: "issuer" | "audience",
    claim: string,
    wanted: string | string[],
    good: unknown[],
    bad: unknown[],
  ][] = [
    ["issuer", "iss", "me", ["me"], ["you", undefined, ["me"]]],
    ["issuer", "iss", ["me", "us"], ["me", "us"], ["you"]],
    ["audience", "aud", "mqtt", ["mqtt", ["http", "mqtt"]], ["http", [], undefined]],
    ["audience", "aud", ["mqtt", "mqtts"], ["mqtts", ["mqtt"]], ["http"]],
  ]
  for (const [name, claim, wanted, good, bad] of table)
    test(`${name}: ${JSON.stringify(wanted)} is what "${claim}" must be`, async () => {
      for (const value of good) {
        expect(await decisionOn(await signed({ [claim]: value }), { [name]: wanted })).toMatchObject({
          authenticated: true,
        })
      }
      for (const value of bad) {
        expect(await decisionOn(await signed({ [claim]: value }), { [name]: wanted })).toEqual(
          invalid(`the token's "${claim}" is not accepted`),
        )
      }
    })

  test("usernameMustMatch refuses a CONNECT with another user name, not one without", async () => {
    const options = { usernameMustMatch: true }
    const token = await signed()
    const other = { reason: Reason.NotAuthorized, reasonString: "the token is for another user" }
    expect(await decisionOn(token, options, { username: "ada" })).toMatchObject({ username: "ada" })
    expect(await decisionOn(token, options, { username: undefined })).toMatchObject({ username: "ada" })
    for (const username of ["bob", "", "Ada"]) expect(await decisionOn(token, options, { username })).toEqual(other)
  })

  test("clientIdClaim names the only client id that the token is good for", async () => {
    const options = { clientIdClaim: "cid" }
    const other = { reason: Reason.NotAuthorized, reasonString: "the token is for another client" }
    expect(await decisionOn(await signed({ cid: "client" }), options)).toMatchObject({ authenticated: true })
    expect(await decisionOn(await signed({ cid: "c2" }), options)).toEqual(other)
    expect(await decisionOn(await signed(), options)).toEqual(other)
    expect(await decisionOn(await signed({ cid: "client" }), options, { clientId: "" })).toEqual(other)
  })

  const contradictions: [what: string, options: JwtOptions, problem: string][] = [
    ["no key", {}, 'takes one of "secret", "key" and "jwks"'],
    ["two", { secret, jwks: "keys.json" }, 'takes one of "secret", "key" and "jwks"'],
    ["a short secret", { secret: "secret" }, '"secret" takes at least 32 bytes, not 6'],
    ["no algorithm", { secret, algorithms: [] }, '"algorithms" takes some of HS256'],
    ["none", { secret, algorithms: ["HS256", "none"] }, '"algorithms" takes some of HS256'],
    ["none that the secret is good for", { secret, algorithms: ["RS256"] }, "none that the secret is good for"],
    ["one that needs a longer secret", { secret: "x".repeat(47), algorithms: ["HS384"] }, "none that the secret"],
    ["a tolerance below zero", { secret, clockToleranceSeconds: -1 }, '"clockToleranceSeconds" takes 0 to 3600'],
    ["a tolerance that is no number", { secret, clockToleranceSeconds: Number.NaN }, '"clockToleranceSeconds" takes'],
  ]
  for (const [what, options, problem] of contradictions)
    test(`${what}: an error`, () => expect(() => jwt(options)).toThrow(problem))

  test("algorithms are all that the secret is long enough for, or fewer", async () => {
    const long = "x".repeat(64)
    const taken = async (options: JwtOptions) => {
      const auth = jwt(options)
      await auth.open!(new FakeAuthContext())
      const good: string[] = []
      for (const algorithm of ["HS256", "HS384", "HS512"]) {
        const token = await sign(claimsOf(), algorithm, String(options.secret))
        const decision = (await auth.authenticate(connecting("ada", token))) as Partial<Admission>
        if (decision.authenticated) good.push(algorithm)
      }
      return good.join(" ")
    }
    expect(await taken({ secret: long })).toBe("HS256 HS384 HS512")
    expect(await taken({ secret: long.slice(0, 48) })).toBe("HS256 HS384")
    expect(await taken({ secret: long.slice(0, 32) })).toBe("HS256")
    expect(await taken({ secret: long, algorithms: ["HS512"] })).toBe("HS512")
  })
})

test("asked before it is open, and opened twice, it throws", async () => {
  const auth = jwt({ secret })
  expect(() => auth.authenticate(connecting("ada", "secret"))).toThrow("jwt() is not open")
  await auth.open!(new FakeAuthContext())
  await expect(auth.open!(new FakeAuthContext())).rejects.toThrow("each broker needs its own")
  auth.close!()
  await auth.open!(new FakeAuthContext())
})

test("neither a token nor the secret is in what it says or is", async () => {
  const context = new FakeAuthContext()
  const auth = jwt({ secret })
  await auth.open!(context)
  const tokens = [await signed({ sub: "HIDDEN", exp: NOW - 1 }), await signed({ sub: "HIDDEN", acl: "HIDDEN" })]
  for (const token of tokens) {
    const decision = await auth.authenticate(connecting("ada", token))
    const said = `${JSON.stringify(decision)} ${context.logged}`
    expect([said.includes("HIDDEN"), said.includes(token.split(".")[1]!)]).toEqual([false, false])
  }
  expect(Bun.inspect(auth, { depth: 10 })).not.toContain(secret)
  expect(() => jwt({ secret: "too short" })).not.toThrow("too short")
})

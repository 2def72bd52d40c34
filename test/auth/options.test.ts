/** What is wrong with an auth's options is said when it is made, with the code that programs go by. */
import { expect, test } from "bun:test"
import { acl, all, any, http, jwt, ManjuError, passwords } from "../../src/index.ts"

const secret: string | undefined = process.env.A_VARIABLE_THAT_NOBODY_SETS

const mistakes: [what: string, make: () => unknown, problem: string][] = [
  ["jwt, of a variable that is not set", () => jwt({ secret: secret! }), 'jwt: "secret" is undefined'],
  ["jwt, of no key", () => jwt({}), 'jwt: takes one of "secret", "key" and "jwks"'],
  ["jwt, of a private key", () => jwt({ key: "-----BEGIN PRIVATE KEY-----" }), "jwt: key: holds a private key"],
  ["http, of no address", () => http({ url: "example.com" }), 'http: "url" takes an address'],
  ["acl, of no rules", () => acl([{ user: "ada", topics: "#" as never }]), 'acl: rule 1: "topics" takes a list'],
  ["passwords, of too many threads", () => passwords("x", { verificationsAtOnce: 65 }), "verificationsAtOnce takes"],
  ["all, of nobody", () => all(), "all() takes at least one auth"],
  ["any, of nobody", () => any(), "any() takes at least one auth"],
]
for (const [what, make, problem] of mistakes)
  test(`${what}: INVALID_OPTION`, () => {
    let thrown: unknown
    try {
      make()
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBeInstanceOf(ManjuError)
    expect([(thrown as ManjuError).code, (thrown as ManjuError).message]).toEqual([
      "INVALID_OPTION",
      expect.stringContaining(problem),
    ])
  })

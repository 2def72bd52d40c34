/** Mosquitto's ACL file: what its lines mean, and what is said of one that means nothing. */
import { describe, expect, test } from "bun:test"
import { type AclRule, readAclFile } from "../../src/auth/acl-file.ts"
import { FileError } from "../../src/auth/text-file.ts"

/** The rules as text: `ada: allow read a/#`, patterns with a `*`. */
function read(text: string): string[] {
  const rules: string[] = []
  readAclFile("acl.txt", text, ({ whose, verdict, access, filter, isPattern }: AclRule) => {
    const name = typeof whose === "object" ? `user ${whose.user}` : whose
    rules.push(`${name}: ${verdict} ${access} ${filter}${isPattern ? " *" : ""}`)
  })
  return rules
}

describe("a line", () => {
  const table: [line: string, rule: string | undefined][] = [
    ["topic a/#", "anonymous: allow readwrite a/#"],
    ["topic read a", "anonymous: allow read a"],
    ["topic write a", "anonymous: allow write a"],
    ["topic readwrite a", "anonymous: allow readwrite a"],
    ["topic deny a", "anonymous: deny readwrite a"],
    ["pattern a/%u", "everybody: allow readwrite a/%u *"],
    ["pattern read a/%c", "everybody: allow read a/%c *"],
    ["pattern deny a/%c", "everybody: deny readwrite a/%c *"],
    ["topic c/%c", "anonymous: allow readwrite c/%c"],
    ["topic read home/living room/#", "anonymous: allow read home/living room/#"],
    ["topic read   a  b ", "anonymous: allow read a  b"],
    ["topic read", "anonymous: allow readwrite read"],
    ["topic read read", "anonymous: allow read read"],
    ["topic deny deny", "anonymous: deny readwrite deny"],
    ["  topic \t read \t a \t ", "anonymous: allow read a"],
    ["\ttopic\tread\ta", "anonymous: allow read a"],
    ["topic read a\u00a0b", "anonymous: allow read a\u00a0b"],
    ["topic read \u00e4/\u20ac", "anonymous: allow read \u00e4/\u20ac"],
    ["topic $SYS/#", "anonymous: allow readwrite $SYS/#"],
    ["# topic a", undefined],
    ["#", undefined],
    ["#topic a", undefined],
    ["  # topic a", undefined],
    ["", undefined],
    [" \t ", undefined],
  ]
  for (const [line, rule] of table)
    for (const end of ["", "\n", "\r\n"])
      test(JSON.stringify(line + end), () => expect(read(line + end)).toEqual(rule === undefined ? [] : [rule]))
})

test("rules are those of the user above, before the first those of clients without a name; patterns are everybody's", () => {
  const text = `
# This affects access control for clients with no username.
topic read $SYS/#

user ada
topic read a
pattern write p/%u

topic write b
user Bob the Builder
topic c
user ada
topic deny d
`
  expect(read(text)).toEqual([
    "anonymous: allow read $SYS/#",
    "user ada: allow read a",
    "everybody: allow write p/%u *",
    "user ada: allow write b",
    "user Bob the Builder: allow readwrite c",
    "user ada: deny readwrite d",
  ])
})

test("a user's name is the rest of the line, whatever is in it", () => {
  expect(read("user ada # no comment\ntopic a")).toEqual(["user ada # no comment: allow readwrite a"])
  expect(read("user \t #1 \t\ntopic a")).toEqual(["user #1: allow readwrite a"])
})

describe("a line that means nothing is an error that names it", () => {
  const table: [line: string, problem: string][] = [
    ["user", "a user name is missing"],
    ["user  ", "a user name is missing"],
    ["topic", "a topic filter is missing"],
    ["pattern ", "a topic filter is missing"],
    ["topic a b", "takes read, write, readwrite or deny before a topic filter with spaces"],
    ["topic READ a", "takes read, write, readwrite or deny before a topic filter with spaces"],
    ["topic toString a", "takes read, write, readwrite or deny before a topic filter with spaces"],
    ["topics a", "takes «user», «topic» or «pattern» at the beginning"],
    ["Topic a", "takes «user», «topic» or «pattern» at the beginning"],
    ["a/#", "takes «user», «topic» or «pattern» at the beginning"],
  ]
  for (const [line, problem] of table)
    test(line, () => {
      expect(() => read(`# one\nuser two\n${line}\ntopic four`)).toThrow(new FileError("acl.txt", 3, problem))
    })

  test("also where it is what the rules make of it that is wrong", () => {
    const refuse = () => {
      throw new Error("not this one")
    }
    expect(() => readAclFile("acl.txt", "\n\ntopic a", refuse)).toThrow(new FileError("acl.txt", 3, "not this one"))
  })

  test("and does not quote it: it may be a line of a password file", () => {
    const problem = (() => {
      try {
        read("ada:$argon2id$secret")
      } catch (error) {
        return `${error} ${(error as Error).stack}`
      }
      return ""
    })()
    expect(problem).toContain("acl.txt:1")
    expect(problem).not.toContain("secret")
  })
})

/** The password file: what its lines mean, which line is wrong, and what an edit leaves alone. */
import { describe, expect, test } from "bun:test"
import { parsePasswords, usernameProblem, withoutUser, withPassword } from "../../src/auth/password-file.ts"
import { FileError } from "../../src/auth/text-file.ts"

const salt = Buffer.alloc(12, 1).toString("base64")
/** Hashes that can be told apart. */
const hash = (number: number) => `$6$${salt}$${Buffer.alloc(64, number).toString("base64")}`

/** What is read: user names and hashes. */
const read = (text: string) => Array.from(parsePasswords("users.txt", text), ([name, { text }]) => [name, text])

describe("a password file has", () => {
  const table: [what: string, text: string, users: string[]][] = [
    ["nobody, when it is empty", "", []],
    ["a user and a hash on a line", `ada:${hash(1)}\nbob:${hash(2)}\n`, ["ada", "bob"]],
    ["a last line with or without its end", `ada:${hash(1)}\nbob:${hash(2)}`, ["ada", "bob"]],
    ["comments and blank lines", `# who\n\n  \t\nada:${hash(1)}\n  # and\n#bob:${hash(2)}\n`, ["ada"]],
    ["line ends of Windows", `# who\r\n\r\nada:${hash(1)}\r\nbob:${hash(2)}\r\n`, ["ada", "bob"]],
    ["blanks around a name and around a hash", `  ada\t: ${hash(1)} \t\nbob :${hash(2)}\n`, ["ada", "bob"]],
    ["blanks, signs and any letters within a name", `ada m. (Büro)\u00a0#1:${hash(1)}\n`, ["ada m. (Büro)\u00a0#1"]],
    ["names that differ in their case only", `ada:${hash(1)}\nAda:${hash(2)}\n`, ["ada", "Ada"]],
    [
      "names that objects have of their own",
      `constructor:${hash(1)}\n__proto__:${hash(2)}\n`,
      ["constructor", "__proto__"],
    ],
  ]
  for (const [what, text, users] of table)
    test(what, () => expect(read(text)).toEqual(users.map((name, index) => [name, hash(index + 1)])))
})

describe("a line that is wrong is named, and not quoted", () => {
  const unknown = "not a hash that is known here: $argon2id$, or Mosquitto's $7$ or $6$"
  const table: [what: string, line: string, problem: string][] = [
    ["no colon", "s3cret", "no colon between a user name and a hash"],
    ["no user name", `:${hash(1)}`, "a user name must not be empty"],
    ["a user name of blanks", ` \t:${hash(1)}`, "a user name must not be empty"],
    [
      "a control character in a user name",
      `s3\u001bcret:${hash(1)}`,
      "a user name must not contain control characters",
    ],
    ["no hash", "s3cret:", unknown],
    ["a password as it is", "bob:s3cret", unknown],
    ["a hash with more behind it", `bob:${hash(1)}:s3cret`, unknown],
    ["a user for the second time", `ada:${hash(2)}`, "the user is on line 2 already"],
    ["the same line again", `ada:${hash(1)}`, "the user is on line 2 already"],
  ]
  for (const [what, line, problem] of table)
    test(what, () => {
      const parse = () => parsePasswords("/etc/users.txt", `# who\nada:${hash(1)}\n\n${line}\nzoe:${hash(3)}\n`)
      expect(parse).toThrow(new FileError("/etc/users.txt", 4, problem))
      expect(parse).toThrow(`/etc/users.txt:4: ${problem}`)
    })
})

describe("an edit", () => {
  const text = `# who\r\n\n ada : ${hash(1)}\n# bob:${hash(9)}\nbob:${hash(2)}\r\n\n# the end`

  test("of a user replaces the line", () => {
    expect(withPassword(text, "ada", hash(7))).toBe(text.replace(` ada : ${hash(1)}`, `ada:${hash(7)}`))
    expect(withPassword(text, "bob", hash(7))).toBe(text.replace(`bob:${hash(2)}\r\n`, `bob:${hash(7)}\n`))
  })

  test("with a new user puts the line at the end", () => {
    expect(withPassword(text, "zoe", hash(7))).toBe(`${text}\nzoe:${hash(7)}\n`)
    expect(withPassword(`${text}\n`, "zoe", hash(7))).toBe(`${text}\nzoe:${hash(7)}\n`)
    expect(withPassword("", "zoe", hash(7))).toBe(`zoe:${hash(7)}\n`)
  })

  test("without a user takes out the line", () => {
    expect(withoutUser(text, "ada")).toBe(text.replace(` ada : ${hash(1)}\n`, ""))
    expect(withoutUser(`ada:${hash(1)}\n`, "ada")).toBe("")
    expect(withoutUser(text, "who")).toBe(text)
  })

  test("leaves what is read again as it is meant", () => {
    const edited = withoutUser(withPassword(withPassword(text, "zoe", hash(3)), "ada", hash(4)), "bob")
    expect(read(edited)).toEqual([
      ["ada", hash(4)],
      ["zoe", hash(3)],
    ])
  })
})

describe("a user name", () => {
  const bad: [what: string, name: string, problem: string][] = [
    ["is not empty", "", "a user name must not be empty"],
    ["has no colon", "a:b", "a user name must not contain a colon"],
    ["has no line break", "a\nb", "a user name must not contain control characters"],
    ["has no carriage return", "a\rb", "a user name must not contain control characters"],
    ["has no NUL", "a\0b", "a user name must not contain control characters"],
    ["has none of the newer control characters", "a\u0085b", "a user name must not contain control characters"],
    ["is UTF-8", "a\ud800b", "a user name must be UTF-8"],
    ["is no comment", "#ada", "a user name must not begin with #"],
    ["does not begin with a blank", " ada", "a user name must not begin or end with a blank"],
    ["does not end with a blank", "ada ", "a user name must not begin or end with a blank"],
    ["fits into a CONNECT", `${"ü".repeat(32_768)}`, "a user name must not be longer than 65535 bytes"],
  ]
  for (const [what, name, problem] of bad) test(what, () => expect(usernameProblem(name)).toBe(problem))

  test("may be anything else, and is then read from the line that is written for it", () => {
    const names = ["a", "a#b", "a b", "Ådå", "$6$", "\u00a0ada\u00a0", "😀", "a,b;c|d\\e'f\"g", "x".repeat(65_535)]
    for (const name of names) {
      expect([name, usernameProblem(name)]).toEqual([name, undefined])
      expect(read(withPassword("", name, hash(1)))).toEqual([[name, hash(1)]])
    }
  })
})

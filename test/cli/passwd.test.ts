/** `manju passwd` as a process: what it does to a file, and what it says. */
import { describe, expect, setDefaultTimeout, test } from "bun:test"
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { LONGEST_PASSWORD_BYTES, parseHash } from "../../src/auth/hashes.ts"
import { parsePasswords } from "../../src/auth/password-file.ts"
import { temporaryFolder } from "../support/broker-process.ts"
import { manju, manjuCommand, manjuFed, type Outcome, plain } from "../support/command.ts"
import { filesIn } from "../support/database.ts"
import { cheapHash, sha512Hash } from "../support/password-file.ts"

setDefaultTimeout(60_000)

const kind = "argon2id m=19456,t=2,p=1"
const refused = (code: number, message: string): Outcome => ({ code, out: "", err: `manju: ${message}\n` })

/** A folder with a password file in it, if a text is given for it. */
function passwordFolder(text?: string) {
  const folder = temporaryFolder()
  const path = join(folder.path, "users.txt")
  if (text !== undefined) writeFileSync(path, text, { mode: 0o600 })
  return {
    path,
    folder: folder.path,
    text: () => readFileSync(path, "utf8"),
    /** Whether the file has that password for the user. */
    has: (username: string, password: string | Uint8Array) =>
      parsePasswords(path, readFileSync(path, "utf8"))
        .get(username)!
        .verify(Buffer.from(password as Uint8Array)),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  }
}

describe("manju passwd add", () => {
  test("makes the file, for its owner only, with the user in it", async () => {
    using file = passwordFolder()
    const outcome = await manjuFed("ada's\n", "passwd", "add", file.path, "ada")
    expect(outcome).toEqual({ code: 0, out: `added ada to ${file.path}\n`, err: "" })
    expect(statSync(file.path).mode & 0o7777).toBe(0o600)
    const [, hash] = file.text().match(/^ada:([^\n]+)\n$/)!
    expect(parseHash(hash!)!.kind).toBe(kind)
    expect(await file.has("ada", "ada's")).toBe(true)
    expect(Object.keys(filesIn(file.folder))).toEqual(["users.txt"])
  })

  test("puts the user behind those that are there, and leaves these and all comments as they are", async () => {
    const before = `# who\n\n bob : ${sha512Hash("bob's")}\r\n# the end`
    using file = passwordFolder(before)
    chmodSync(file.path, 0o640)
    expect((await manjuFed("ada's", "passwd", "add", file.path, "ada m. ü")).code).toBe(0)
    expect(file.text()).toStartWith(`${before}\nada m. ü:$argon2id$`)
    expect(statSync(file.path).mode & 0o7777).toBe(0o640)
    expect(await file.has("bob", "bob's")).toBe(true)
    expect(await file.has("ada m. ü", "ada's")).toBe(true)
  })

  test("does nothing to a user that is there", async () => {
    using file = passwordFolder(`ada:${sha512Hash("ada's")}\n`)
    const before = file.text()
    const message = `${file.path} has the user ada already; manju passwd change gives a new password`
    expect(await manjuFed("other", "passwd", "add", file.path, "ada")).toEqual(refused(1, message))
    expect(file.text()).toBe(before)
  })

  test("several at once all get in", async () => {
    using file = passwordFolder()
    const names = ["ada", "bob", "carl", "dora"]
    const outcomes = await Promise.all(names.map((name) => manjuFed(`${name}'s`, "passwd", "add", file.path, name)))
    expect(outcomes.map(({ code, err }) => [code, err])).toEqual(names.map(() => [0, ""]))
    expect([...parsePasswords(file.path, file.text()).keys()].sort()).toEqual(names)
    for (const name of names) expect(await file.has(name, `${name}'s`)).toBe(true)
  })
})

describe("the password comes from standard input, where that is no terminal:", () => {
  const table: [what: string, input: string | Uint8Array, password: string | Uint8Array][] = [
    ["a line", "pass word\n", "pass word"],
    ["a line of Windows", "pass word\r\n", "pass word"],
    ["a line without an end", "pass word", "pass word"],
    ["the first of several", "first\nsecond\n", "first"],
    ["with blanks around it", " \tpass word \n", " \tpass word "],
    ["bytes that are no text", Uint8Array.of(0xff, 0, 0xc3, 0x0a), Uint8Array.of(0xff, 0, 0xc3)],
    ["the longest", "x".repeat(LONGEST_PASSWORD_BYTES), "x".repeat(LONGEST_PASSWORD_BYTES)],
  ]
  for (const [what, input, password] of table)
    test(what, async () => {
      using file = passwordFolder()
      expect((await manjuFed(input, "passwd", "add", file.path, "ada")).code).toBe(0)
      expect(await file.has("ada", password)).toBe(true)
    })

  const bad: [what: string, input: string, problem: string][] = [
    ["not nothing", "", "a password must not be empty"],
    ["not an empty line", "\nsecond\n", "a password must not be empty"],
    [
      "not more than the longest",
      "x".repeat(LONGEST_PASSWORD_BYTES + 1),
      `a password must not be longer than ${LONGEST_PASSWORD_BYTES} bytes`,
    ],
    [
      "not anything without an end",
      "x".repeat(10_000_000),
      `a password must not be longer than ${LONGEST_PASSWORD_BYTES} bytes`,
    ],
  ]
  for (const [what, input, problem] of bad)
    test(what, async () => {
      using file = passwordFolder()
      expect(await manjuFed(input, "passwd", "add", file.path, "ada")).toEqual(refused(2, problem))
      expect(existsSync(file.path)).toBe(false)
    })
})

test("the password is taken from the command line where that is said in so many words", async () => {
  using file = passwordFolder()
  expect((await manju("passwd", "add", file.path, "ada", "--visible-password", "pass wörd")).code).toBe(0)
  expect((await manju("passwd", "add", file.path, "bob", "--visible-password=-1")).code).toBe(0)
  expect(await file.has("ada", "pass wörd")).toBe(true)
  expect(await file.has("bob", "-1")).toBe(true)
  const surplus = "too many arguments for 'add'. Expected 2 arguments but got 3"
  expect((await manju("passwd", "add", file.path, "carl", "s3cret")).err).toStartWith(`manju: ${surplus}`)
  const empty = await manju("passwd", "add", file.path, "dora", "--visible-password=")
  expect(empty).toEqual(refused(2, "a password must not be empty"))
})

describe("manju passwd change", () => {
  test("gives a new password, kept with argon2id whatever the old one was kept with; the rest stays", async () => {
    const [adas, bobs, carls] = [sha512Hash("ada's"), sha512Hash("bob's"), await cheapHash("carl's")]
    using file = passwordFolder(`# who\nada:${adas}\n bob : ${bobs} \n\ncarl:${carls}\n`)
    for (const name of ["bob", "carl"]) {
      const outcome = await manjuFed("new\n", "passwd", "change", file.path, name)
      expect(outcome).toEqual({ code: 0, out: `changed the password of ${name} in ${file.path}\n`, err: "" })
      expect([await file.has(name, "new"), await file.has(name, `${name}'s`)]).toEqual([true, false])
    }
    expect(file.text().replaceAll(/(bob|carl):\S+/g, "$1:…")).toBe(`# who\nada:${adas}\nbob:…\n\ncarl:…\n`)
    expect([...parsePasswords(file.path, file.text()).values()].map((hash) => hash.kind)).toEqual([
      "sha512",
      kind,
      kind,
    ])
  })

  test("does not add a user, nor make a file", async () => {
    using file = passwordFolder(`ada:${sha512Hash("ada's")}\n`)
    const before = file.text()
    const change = (path: string, name: string) => manjuFed("new", "passwd", "change", path, name)
    expect(await change(file.path, "bob")).toEqual(refused(1, `${file.path} has no user bob`))
    const missing = join(file.folder, "missing.txt")
    expect(await change(missing, "ada")).toEqual(refused(1, `${missing}: there is no such file`))
    expect(filesIn(file.folder)).toEqual({ "users.txt": Buffer.from(before).toString("hex") })
  })
})

describe("manju passwd remove", () => {
  test("takes out the user's line alone", async () => {
    const [adas, bobs] = [sha512Hash("ada's"), sha512Hash("bob's")]
    using file = passwordFolder(`# ada:\nada:${adas}\n# bob:\nbob:${bobs}\n`)
    const outcome = await manju("passwd", "remove", file.path, "ada")
    expect(outcome).toEqual({ code: 0, out: `removed ada from ${file.path}\n`, err: "" })
    expect(file.text()).toBe(`# ada:\n# bob:\nbob:${bobs}\n`)
    expect(await manju("passwd", "remove", file.path, "ada")).toEqual(refused(1, `${file.path} has no user ada`))
    expect((await manju("passwd", "remove", file.path, "bob")).code).toBe(0)
    expect(file.text()).toBe("# ada:\n# bob:\n")
  })
})

describe("manju passwd list", () => {
  test("prints the users in their order, and how each password is kept", async () => {
    using file = passwordFolder(`# who\nbob m.:${sha512Hash("bob's")}\n\nada:${await cheapHash("ada's")}\n`)
    const out = "bob m.\tsha512\nada\targon2id m=8,t=1,p=1\n"
    expect(await manju("passwd", "list", file.path)).toEqual({ code: 0, out, err: "" })
  })

  test("prints nothing where there is nobody", async () => {
    using file = passwordFolder("# nobody\n")
    expect(await manju("passwd", "list", file.path)).toEqual({ code: 0, out: "", err: "" })
  })
})

describe("a mistake is one line and an exit code, and changes nothing", () => {
  const names: [name: string, problem: string][] = [
    ["", "a user name must not be empty"],
    ["a:b", "a user name must not contain a colon"],
    ["a\nb", "a user name must not contain control characters"],
    ["#ada", "a user name must not begin with #"],
    [" ada", "a user name must not begin or end with a blank"],
  ]
  for (const [name, problem] of names)
    test(`the user name ${JSON.stringify(name)}`, async () => {
      using file = passwordFolder()
      for (const command of ["add", "change", "remove"]) {
        expect(await manjuFed("ada's", "passwd", command, file.path, name)).toEqual(refused(2, problem))
      }
      expect(existsSync(file.path)).toBe(false)
    })

  test("a user name that is not UTF-8", async () => {
    using file = passwordFolder()
    const add = manjuCommand("passwd", "add", file.path).join(" ")
    const shell = Bun.spawn(["sh", "-c", `exec ${add} "$(printf 'j\\374rgen')"`], { env: plain, stderr: "pipe" })
    expect([await shell.stderr.text(), await shell.exited]).toEqual(["manju: a user name must be UTF-8\n", 2])
    expect(existsSync(file.path)).toBe(false)
  })

  for (const command of [["add"], ["change"], ["remove"], ["list"]])
    test(`a file with a line that is wrong: ${command}`, async () => {
      using file = passwordFolder(`ada:${sha512Hash("ada's")}\nbob:s3cret\n`)
      const before = file.text()
      const problem = "not a hash that is known here: $argon2id$, or Mosquitto's $7$ or $6$"
      const user = command[0] === "list" ? [] : ["ada"]
      const outcome = await manjuFed("new", "passwd", ...command, file.path, ...user)
      expect(outcome).toEqual(refused(1, `${file.path}:2: ${problem}`))
      expect(filesIn(file.folder)).toEqual({ "users.txt": Buffer.from(before).toString("hex") })
    })

  test("a folder that is missing", async () => {
    using file = passwordFolder()
    const path = join(file.folder, "missing", "users.txt")
    const message = `cannot write ${path}: its folder does not exist`
    expect(await manjuFed("ada's", "passwd", "add", path, "ada")).toEqual(refused(1, message))
    expect(filesIn(file.folder)).toEqual({})
  })

  test("a folder in place of the file", async () => {
    using file = passwordFolder()
    mkdirSync(file.path)
    expect(await manjuFed("ada's", "passwd", "add", file.path, "ada")).toEqual(refused(1, `${file.path}: is a folder`))
  })

  const usage: [args: string[], message: string][] = [
    [["add"], "missing required argument 'file'"],
    [["add", "users.txt"], "missing required argument 'user'"],
    [["remove", "users.txt"], "missing required argument 'user'"],
    [["list"], "missing required argument 'file'"],
    [["ad", "users.txt"], "unknown command 'ad' (Did you mean add?)"],
    [["remove", "users.txt", "ada", "--visible-password", "x"], "unknown option '--visible-password'"],
  ]
  for (const [args, message] of usage)
    test(`manju passwd ${args.join(" ")}`, async () => {
      expect(await manju("passwd", ...args)).toEqual(refused(2, message))
    })
})

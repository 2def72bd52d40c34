/** Password files that Mosquitto's own program has written, or has a hand in, are read as they are. */
import { describe, expect, setDefaultTimeout, test } from "bun:test"
import { readFileSync } from "node:fs"
import { parsePasswords } from "../../src/auth/password-file.ts"
import { manju } from "../support/command.ts"
import { PasswordFile } from "../support/password-file.ts"

setDefaultTimeout(60_000)

/** Runs `mosquitto_passwd`, which comes with the broker, not with its clients. */
async function mosquittoPasswd(...args: string[]): Promise<void> {
  if (Bun.which("mosquitto_passwd") === null) {
    throw new Error("mosquitto_passwd is not installed: apt install mosquitto")
  }
  const child = Bun.spawn(["mosquitto_passwd", ...args], { stdin: "ignore", stdout: "ignore", stderr: "pipe" })
  const [said, code] = await Promise.all([child.stderr.text(), child.exited])
  if (code !== 0) throw new Error(`mosquitto_passwd ends with ${code}: ${said}`)
}

const kindsIn = (path: string) =>
  Array.from(parsePasswords(path, readFileSync(path, "utf8")), ([username, { kind }]) => [username, kind])

async function expectUsers(file: PasswordFile, users: Record<string, string>): Promise<void> {
  await file.auth.open!(file.context)
  for (const [username, password] of Object.entries(users)) {
    expect([username, await file.authenticate(username, password)]).toMatchObject([username, { authenticated: true }])
    expect([username, await file.authenticate(username, `${password}!`)]).toMatchObject([username, { reason: 0x86 }])
  }
}

describe("a file of mosquitto_passwd", () => {
  for (const scheme of ["sha512", "sha512-pbkdf2"])
    test(`with ${scheme}`, async () => {
      const users = { ada: "ada's", "bob m.": "p:a$s s", "jürgen €": "€uro", eve: "x".repeat(500) }
      using file = new PasswordFile({})
      for (const [index, [username, password]] of Object.entries(users).entries()) {
        await mosquittoPasswd("-H", scheme, ...(index === 0 ? ["-c"] : []), "-b", file.path, username, password)
      }
      await expectUsers(file, users)
    })

  test("with both, made from passwords as they were", async () => {
    using file = new PasswordFile("ada:ada's\nbob:bob's\n")
    await mosquittoPasswd("-U", file.path)
    await mosquittoPasswd("-H", "sha512", "-b", file.path, "carl", "carl's")
    expect(kindsIn(file.path).map(([, kind]) => kind!.split(" ")[0])).toEqual([
      "pbkdf2-sha512",
      "pbkdf2-sha512",
      "sha512",
    ])
    await expectUsers(file, { ada: "ada's", bob: "bob's", carl: "carl's" })
  })
})

test("manju passwd and mosquitto_passwd may take turns with a file", async () => {
  using file = new PasswordFile({})
  const visible = (password: string) => ["--visible-password", password]
  await mosquittoPasswd("-H", "sha512", "-c", "-b", file.path, "ada", "forgotten")
  await mosquittoPasswd("-b", file.path, "bob", "bob's")
  expect((await manju("passwd", "change", file.path, "ada", ...visible("ada's"))).code).toBe(0)
  expect((await manju("passwd", "add", file.path, "carl", ...visible("forgotten"))).code).toBe(0)
  await mosquittoPasswd("-H", "sha512", "-b", file.path, "carl", "carl's")
  await mosquittoPasswd("-D", file.path, "bob")
  expect(kindsIn(file.path)).toEqual([
    ["ada", "argon2id m=19456,t=2,p=1"],
    ["carl", "sha512"],
  ])
  await expectUsers(file, { ada: "ada's", carl: "carl's" })
})

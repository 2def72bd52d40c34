/** The hashes of a password file: those that other programs have written are understood, and nothing that only looks alike. */
import { describe, expect, test } from "bun:test"
import { hashPassword, LONGEST_PASSWORD_BYTES, parseHash } from "../../src/auth/hashes.ts"

/** All of the password `geheim`, by who has written them. */
const written: [program: string, kind: string, text: string][] = [
  [
    "mosquitto_passwd 2.1.2, argon2id",
    "argon2id m=47104,t=1,p=1",
    "$argon2id$v=19$m=47104,t=1,p=1$B4+qmLiRUYqwtcG8wo1eocTi9py6hT3UZ4MM+9/HsFUvZGfUzUinH42SA/HPGf8unJ3uWxG0eMlKpGoco0mpCQ$hIExOvpvn7t60fmXSYZ5fXmkXdm8kz+uoe2JOXngNTo8OMc5WUmFNXWNR+88EaxiWCpyhhA0JZO3dxamognrBQ",
  ],
  [
    "mosquitto_passwd 2.1.2, sha512-pbkdf2",
    "pbkdf2-sha512 i=1000",
    "$7$1000$GFdq4XSIxtpPyFfd1tXsqZYlSda+YXLhLDr0GMI2PV4pIB0Iw6+ChlGt8ltzgcsHcVRAlzS22AiqkML/Gmt5CA==$9RO8mXVt+aiyk1r6qMKPunpzqi1Ba1BRqJCE3uqnr6cj07F7LiIji0FgeButFPGhju2RaLA/iAe+wsEXuFv/cw==",
  ],
  [
    "mosquitto_passwd 2.1.2, sha512",
    "sha512",
    "$6$b44lbDAFa70xiyn4S9K2fZZGehm3MejMbQrJvxrXHrcIPr0hQcE9aqUr/FtJ/fwafQor0kUMgKQCuvadcdRwkw==$awClhBTHrv4AKM6UkyfYowIsKUhj+2UuvEA83PWLEWjxb5t+ulSC9Pxt/qUr1GCq3clrv0gmOpqWzlLJIGEXqw==",
  ],
  [
    "mosquitto_passwd 2.0.11, sha512-pbkdf2",
    "pbkdf2-sha512 i=101",
    "$7$101$qMN3krufJTejRykv$r8AnJSI0MSop4SZlGLB/bmbLMpxG7qxuDXtKkxiaqXmSqLQcWWtGNogib+AB4OIJkg/oD/40UIsLJbwThJrXfQ==",
  ],
  [
    "mosquitto_passwd 2.0.11, sha512",
    "sha512",
    "$6$NcOWBw6f/qRx1L7Q$tIJPok+uRWhuABgApQUugGzztB0xoKzgDBnPrEcE2e4MxsxAub025HeaCQGP28eYsrDS20v3JbfBPZgcJaw+RA==",
  ],
  [
    "libargon2, four lanes and three passes",
    "argon2id m=4096,t=3,p=4",
    "$argon2id$v=19$m=4096,t=3,p=4$MBXdi2UsFrwVpHH6fK5KaA$wMoDdRW8xtJ95G9IPr62kP1wvXuWZlUTksYKLAqX8aA",
  ],
  [
    "libargon2, the least that it takes",
    "argon2id m=8,t=1,p=1",
    "$argon2id$v=19$m=8,t=1,p=1$OsV2KW5ILik$iEje/zOoNurvUyMj/++UPg",
  ],
]

describe("a hash that another program has written is understood", () => {
  for (const [program, kind, text] of written)
    test(program, async () => {
      const hash = parseHash(text)!
      expect([hash.text, hash.kind]).toEqual([text, kind])
      const tried = ["geheim", "geheim ", "geheiM", "", "\0geheim"].map((password) =>
        hash.verify(Buffer.from(password)),
      )
      expect(await Promise.all(tried)).toEqual([true, false, false, false, false])
    })
})

test("kinds are told apart by what they cost, as the time to verify them has it", () => {
  const threePasses = written.find(([, kind]) => kind === "argon2id m=4096,t=3,p=4")![2]
  const texts = [...written.map(([, , text]) => text), threePasses.replace("m=4096,t=3", "m=8192,t=1")]
  const byCost = texts.map((text) => parseHash(text)!).sort((one, other) => one.cost - other.cost)
  expect([...new Set(byCost.map(({ kind }) => kind))]).toEqual([
    "sha512",
    "argon2id m=8,t=1,p=1",
    "pbkdf2-sha512 i=101",
    "pbkdf2-sha512 i=1000",
    "argon2id m=8192,t=1,p=4",
    "argon2id m=4096,t=3,p=4",
    "argon2id m=47104,t=1,p=1",
  ])
})

describe("what is none of those hashes is not taken for one", () => {
  const salt = Buffer.alloc(16, 1).toString("base64")
  const sum = Buffer.alloc(64, 2).toString("base64")
  const [short, cut] = [Buffer.alloc(63, 2).toString("base64"), sum.replace(/=+$/, "")]
  const [bareSalt, bareSum] = [salt, sum].map((text) => text.replace(/=+$/, ""))
  const argon2 = (parameters: string) => `$argon2id$v=19$${parameters}$${bareSalt}$${bareSum}`
  const table: [what: string, text: string][] = [
    ["nothing", ""],
    ["a password", "geheim"],
    ["crypt(3)'s SHA-512", `$6$saltstring$${"a".repeat(86)}`],
    ["crypt(3)'s SHA-512 with rounds", `$6$rounds=5000$saltstring$${"a".repeat(86)}`],
    ["crypt(3)'s bcrypt", "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"],
    ["a scheme to come", `$8$${salt}$${sum}`],
    ["SHA-512 without a salt", `$6$$${sum}`],
    ["SHA-512 that is too short", `$6$${salt}$${short}`],
    ["SHA-512 in a base64 without padding", `$6$${salt}$${cut}`],
    ["SHA-512 with a line break in it", `$6$${salt}$${sum.slice(0, 20)}\n${sum.slice(20)}`],
    ["SHA-512 with a letter that base64 has not", `$6$${salt}$${sum.replace("A", "!")}`],
    ["SHA-512 with more behind it", `$6$${salt}$${sum}$`],
    ["PBKDF2 without iterations", `$7$${salt}$${sum}`],
    ["PBKDF2 with none", `$7$0$${salt}$${sum}`],
    ["PBKDF2 with less than none", `$7$-1$${salt}$${sum}`],
    ["PBKDF2 with more than can be counted", `$7$2147483648$${salt}$${sum}`],
    ["PBKDF2 that is too short", `$7$101$${salt}$${short}`],
    ["argon2i", argon2("m=64,t=1,p=1").replace("argon2id", "argon2i")],
    ["argon2id of the first version", argon2("m=64,t=1,p=1").replace("v=19", "v=16")],
    ["argon2id that names no version", argon2("m=64,t=1,p=1").replace("v=19$", "")],
    ["argon2id with its parameters in another order", argon2("t=1,m=64,p=1")],
    ["argon2id with a key's name", argon2("m=64,t=1,p=1,keyid=abcd")],
    ["argon2id without passes", argon2("m=64,t=0,p=1")],
    ["argon2id without lanes", argon2("m=64,t=1,p=0")],
    ["argon2id with less memory than its lanes need", argon2("m=31,t=1,p=4")],
    ["argon2id with more than 4 GiB", argon2("m=4194305,t=1,p=1")],
    ["argon2id with padding", `${argon2("m=64,t=1,p=1")}==`],
    ["argon2id with a salt that is too short", argon2("m=64,t=1,p=1").replace(bareSalt!, "AQEBAQEBAQ")],
    ["argon2id that is cut off", argon2("m=64,t=1,p=1").slice(0, -bareSum!.length)],
    ["argon2id with more behind it", `${argon2("m=64,t=1,p=1")}$`],
  ]
  for (const [what, text] of table) test(what, () => expect(parseHash(text)).toBeUndefined())

  test("while what they were made from is", () => {
    for (const text of [`$6$${salt}$${sum}`, `$7$101$${salt}$${sum}`, argon2("m=64,t=1,p=1"), argon2("m=32,t=1,p=4")]) {
      expect(parseHash(text)?.text).toBe(text)
    }
  })
})

describe("the hash of a new password", () => {
  test("is argon2id with 19 MiB and two passes, whatever other one there is", async () => {
    const password = Buffer.from("geheim")
    const hash = parseHash(await hashPassword(password))!
    expect(hash.kind).toBe("argon2id m=19456,t=2,p=1")
    expect(await hash.verify(password)).toBe(true)
    expect(await hash.verify(Buffer.from("geheim2"))).toBe(false)
  })

  test("is another one each time", async () => {
    const password = Buffer.from("geheim")
    expect(await hashPassword(password)).not.toBe(await hashPassword(password))
  })

  test("is of bytes, which need not be text, up to the longest", async () => {
    const password = Buffer.alloc(LONGEST_PASSWORD_BYTES, 0xff)
    const hash = parseHash(await hashPassword(password))!
    expect(await hash.verify(password)).toBe(true)
    expect(await hash.verify(password.subarray(1))).toBe(false)
    expect(await hash.verify(Buffer.from(password.toString()))).toBe(false)
  })
})

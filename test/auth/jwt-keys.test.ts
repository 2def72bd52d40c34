/** The keys of `jwt(...)`: where they come from, which tokens they are good for, and how they are exchanged. */
import { describe, expect, spyOn, test } from "bun:test"
import { generateKeyPairSync, type KeyObject } from "node:crypto"
import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { importPKCS8, SignJWT } from "jose"
import { type JwtOptions, jwt } from "../../src/auth/jwt.ts"
import type { Admission, Auth, Refusal } from "../../src/broker/ports.ts"
import { Reason } from "../../src/codec/index.ts"
import { eventually } from "../listeners/socket.ts"
import { admitted, connecting, FakeAuthContext } from "../support/auth-context.ts"
import { temporaryFolder } from "../support/broker-process.ts"
import { claimsOf, forge, type KeyName, keys, pem, sign } from "../support/tokens.ts"

const unknown: Refusal = {
  reason: Reason.BadUserNameOrPassword,
  reasonString: "the token is signed with no key that is known here",
}

async function opened(options: JwtOptions, context = new FakeAuthContext()): Promise<Auth> {
  const auth = jwt(options)
  await auth.open!(context)
  return auth
}

/** Who the token lets in; undefined if it is refused for its key. */
async function userOf(auth: Auth, token: string | Promise<string>): Promise<string | undefined> {
  const decision = await auth.authenticate(connecting("zero", await token))
  if (typeof decision === "object" && "authenticated" in decision) return decision.username
  expect(decision).toEqual(unknown)
  return undefined
}

/** A key as it stands in a set. */
function jwk(name: KeyName, fields: object = {}, key: KeyObject = keys[name].publicKey): object {
  return { ...key.export({ format: "jwk" }), ...fields }
}

const setOf = (...entries: object[]) => JSON.stringify({ keys: entries })

/** A file of keys in a folder of its own. */
class KeyFile {
  readonly context = new FakeAuthContext()
  private readonly folder = temporaryFolder()
  readonly path = join(this.folder.path, "keys")

  constructor(text: string) {
    this.write(text)
  }

  write(text: string): void {
    writeFileSync(this.path, text)
  }

  /** Another text, of which the auth has heard; waits until `isNoticed`. */
  async change(text: string, isNoticed: () => boolean): Promise<void> {
    this.write(text)
    this.context.touch(this.path)
    await eventually(isNoticed, "the file to be read again")
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]()
  }
}

/** A certificate of its own making, for a key that is made with it. */
function certificate(): { certificate: string; privateKey: string } {
  using folder = temporaryFolder()
  const [key, crt] = [join(folder.path, "key"), join(folder.path, "crt")]
  const made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=issuer -days 2".split(" ")
  const { success, stderr } = Bun.spawnSync(["openssl", ...made, "-keyout", key, "-out", crt])
  if (!success) throw new Error(`openssl cannot make a certificate: ${stderr}`)
  return { certificate: readFileSync(crt, "utf8"), privateKey: readFileSync(key, "utf8") }
}

describe("a public key in PEM", () => {
  for (const name of ["RS256", "ES256", "EdDSA"] as KeyName[])
    test(`of ${name} may be a text, bytes or a file`, async () => {
      const text = pem(keys[name].publicKey)
      using file = new KeyFile(text)
      for (const key of [text, Buffer.from(text), file.path]) {
        const auth = await opened({ key })
        expect(await userOf(auth, sign(claimsOf(), name, keys[name].privateKey))).toBe("ada")
      }
    })

  test("may be in the older form for RSA, or in a certificate, and there may be several", async () => {
    const { certificate: issuer, privateKey } = certificate()
    const older = keys.RS256.publicKey.export({ type: "pkcs1", format: "pem" })
    const auth = await opened({ key: `# ours\n${older}\n\n${issuer}${pem(keys.EdDSA.publicKey)}` })
    const token = await new SignJWT(claimsOf())
      .setProtectedHeader({ alg: "ES256" })
      .sign(await importPKCS8(privateKey, "ES256"))
    expect(await userOf(auth, token)).toBe("ada")
    for (const name of ["RS256", "EdDSA"] as const) {
      expect(await userOf(auth, sign(claimsOf(), name, keys[name].privateKey))).toBe("ada")
    }
    expect(await userOf(auth, sign(claimsOf(), "ES256", keys.ES256.privateKey))).toBeUndefined()
  })

  const bad: [what: string, text: string, problem: string][] = [
    ["none", "-----BEGIN nothing", "holds no public key in PEM"],
    ["a private one", pem(keys.ES256.privateKey), "holds a private key: give its public half"],
    ["a private one beside", pem(keys.ES256.publicKey) + pem(keys.EdDSA.privateKey), "holds a private key"],
    ["a broken one", pem(keys.ES256.publicKey).replace(/\n.{20}/, "\n"), "the key cannot be read"],
    [
      "a small one",
      pem(generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey),
      "the key has less than 2048 bits",
    ],
    ["one for other things", pem(generateKeyPairSync("x25519").publicKey), "the key is not one for a known algorithm"],
  ]
  for (const [what, text, problem] of bad)
    test(`that is ${what} is an error, which does not quote it`, async () => {
      expect(() => jwt({ key: text })).toThrow(`jwt: key: ${problem}`)
      using file = new KeyFile(text)
      await expect(opened({ key: file.path })).rejects.toThrow(`${file.path}: ${problem}`)
      const { message } = (await opened({ key: file.path }).catch((error) => error)) as Error
      expect(message).not.toMatch(/[A-Za-z0-9+/]{30}/)
    })

  test("in a file that is missing keeps the listener from opening", async () => {
    await expect(opened({ key: "/nowhere/key.pem" })).rejects.toThrow("/nowhere/key.pem: there is no such file")
  })
})

describe("a public key is never taken for a secret", () => {
  const forms = (key: KeyObject) => [
    pem(key),
    pem(key).trim(),
    key.export({ format: "der", type: "spki" }).toString("latin1"),
  ]
  for (const name of ["RS256", "ES256", "EdDSA"] as KeyName[])
    for (const algorithm of ["HS256", "HS384", "HS512", "none"])
      test(`${name}: a token by ${algorithm} with its text is refused`, async () => {
        const { publicKey } = keys[name]
        using file = new KeyFile(setOf(jwk(name, { kid: "k" })))
        const auths = [await opened({ key: pem(publicKey) }), await opened({ jwks: file.path })]
        for (const auth of auths) {
          for (const form of [...forms(publicKey), JSON.stringify(jwk(name))]) {
            for (const header of [{ alg: algorithm }, { alg: algorithm, kid: "k" }]) {
              expect(await userOf(auth, forge(header, claimsOf(), form))).toBeUndefined()
            }
          }
        }
      })

  test("nor are tokens taken that bring their own key", async () => {
    const theirs = generateKeyPairSync("ec", { namedCurve: "P-256" })
    const auth = await opened({ key: pem(keys.ES256.publicKey) })
    const header = { alg: "ES256", jwk: theirs.publicKey.export({ format: "jwk" }) as object, jku: "http://127.0.0.1/" }
    const token = await new SignJWT(claimsOf()).setProtectedHeader(header).sign(theirs.privateKey)
    expect(await userOf(auth, token)).toBeUndefined()
  })

  test("algorithms can be narrowed further, not widened", async () => {
    const key = pem(keys.RS256.publicKey)
    const auth = await opened({ key, algorithms: ["PS256", "ES256"] })
    expect(await userOf(auth, sign(claimsOf(), "PS256", keys.RS256.privateKey))).toBe("ada")
    expect(await userOf(auth, sign(claimsOf(), "RS256", keys.RS256.privateKey))).toBeUndefined()
    expect(() => jwt({ key, algorithms: ["HS256"] })).toThrow('jwt: "algorithms" has none that the key is good for')
    using file = new KeyFile(setOf(jwk("ES256")))
    await expect(opened({ jwks: file.path, algorithms: ["RS256"] })).rejects.toThrow("is good for")
  })
})

describe("a set of keys", () => {
  test("has the one that a token names, or, where one has no name, any that fits", async () => {
    const other = generateKeyPairSync("ec", { namedCurve: "P-256" })
    using file = new KeyFile(
      setOf(jwk("ES256", { kid: "a" }), jwk("ES256", { kid: "b" }, other.publicKey), jwk("EdDSA")),
    )
    const auth = await opened({ jwks: file.path })
    const table: [algorithm: string, key: KeyObject, kid: string | undefined, user: string | undefined][] = [
      ["ES256", keys.ES256.privateKey, "a", "ada"],
      ["ES256", other.privateKey, "b", "ada"],
      ["ES256", other.privateKey, "a", undefined],
      ["ES256", keys.ES256.privateKey, "b", undefined],
      ["ES256", keys.ES256.privateKey, "c", undefined],
      ["ES256", other.privateKey, undefined, "ada"],
      ["EdDSA", keys.EdDSA.privateKey, undefined, "ada"],
      ["EdDSA", keys.EdDSA.privateKey, "c", "ada"],
      ["RS256", keys.RS256.privateKey, undefined, undefined],
    ]
    for (const [algorithm, key, kid, user] of table) {
      expect([kid, algorithm, await userOf(auth, sign(claimsOf(), algorithm, key, kid))]).toEqual([
        kid,
        algorithm,
        user,
      ])
    }
  })

  test("has keys for one algorithm, where it says so", async () => {
    using file = new KeyFile(setOf(jwk("RS256", { alg: "RS512" })))
    const auth = await opened({ jwks: file.path })
    expect(await userOf(auth, sign(claimsOf(), "RS512", keys.RS256.privateKey))).toBe("ada")
    expect(await userOf(auth, sign(claimsOf(), "RS256", keys.RS256.privateKey))).toBeUndefined()
  })

  test("may have others beside, which are passed over", async () => {
    const others = [
      { kty: "oct", k: "c2VjcmV0" },
      { kty: "XYZ" },
      jwk("RS256", { use: "enc" }),
      jwk("RS256", { key_ops: ["encrypt"] }),
      { kty: "EC", crv: "P-256", x: "AA", y: "AA" },
    ]
    using file = new KeyFile(setOf(...others, jwk("EdDSA", { use: "sig", key_ops: ["verify"] })))
    const auth = await opened({ jwks: file.path })
    expect(await userOf(auth, sign(claimsOf(), "EdDSA", keys.EdDSA.privateKey))).toBe("ada")
    expect(await userOf(auth, sign(claimsOf(), "RS256", keys.RS256.privateKey))).toBeUndefined()
    expect(await userOf(auth, forge({ alg: "HS256" }, claimsOf(), "secret"))).toBeUndefined()
  })

  const bad: [what: string, text: string, problem: string][] = [
    ["not JSON", "{ secret", "is not JSON"],
    ["null", "null", 'is not a set of keys: { "keys": [...] }'],
    ["a key alone", JSON.stringify(jwk("ES256")), "is not a set of keys"],
    ["a list with something else", '{ "keys": [1] }', "is not a set of keys"],
    ["empty", setOf(), "holds no public key to verify with: it is empty"],
    ["a secret", setOf({ kty: "oct", k: "c2VjcmV0" }), "key 1 is a secret, which has its own option"],
    ["a broken key", setOf({ kty: "EC", crv: "P-256", x: "AA", y: "secret" }), "key 1 cannot be read"],
    ["not for verifying", setOf(jwk("RS256", { use: "enc" })), "key 1 is not for verifying"],
    ["for another algorithm", setOf(jwk("ES256", { alg: "ES384" })), "key 1 is not one for ES384"],
  ]
  for (const [what, text, problem] of bad)
    test(`that is ${what} does not open, and is not quoted`, async () => {
      using file = new KeyFile(text)
      const { message } = (await opened({ jwks: file.path }).catch((error) => error)) as Error
      expect(message).toStartWith(file.path)
      expect(message).toContain(problem)
      expect(message.replace("is a secret,", "")).not.toContain("secret")
    })
})

describe("when the keys change", () => {
  test("a new key is added, then used, then the old one goes; who came in by that goes too", async () => {
    const before = jwk("ES256", { kid: "2024" })
    const after = jwk("EdDSA", { kid: "2025" })
    using file = new KeyFile(setOf(before))
    const { context } = file
    const auth = await opened({ jwks: file.path }, context)
    const old = await sign(claimsOf(), "ES256", keys.ES256.privateKey, "2024")
    const fresh = await sign(claimsOf(), "EdDSA", keys.EdDSA.privateKey, "2025")
    const stays = ({ authority }: Admission) => authority!.mayStay!(admitted("ada"))
    expect([await userOf(auth, old), await userOf(auth, fresh)]).toEqual(["ada", undefined])
    const first = (await auth.authenticate(connecting("ada", old))) as Admission

    await file.change(setOf(before, after), () => context.changes === 1)
    expect([await userOf(auth, old), await userOf(auth, fresh)]).toEqual(["ada", "ada"])
    const second = (await auth.authenticate(connecting("ada", fresh))) as Admission
    expect([stays(first), stays(second)]).toEqual([true, true])

    await file.change(setOf(after), () => context.changes === 2)
    expect([await userOf(auth, old), await userOf(auth, fresh)]).toEqual([undefined, "ada"])
    expect([stays(first), stays(second)]).toEqual([false, true])
  })

  test("nothing has changed where they are the same in another order of members", async () => {
    using file = new KeyFile(setOf({ kid: "k", ...jwk("ES256") }))
    using other = new KeyFile(setOf(jwk("ES256")))
    await opened({ jwks: file.path }, file.context)
    await opened({ jwks: other.path }, other.context)
    file.write(`${setOf({ ...jwk("ES256"), kid: "k" })}\n`)
    file.context.touch(file.path)
    await other.change(setOf(jwk("EdDSA")), () => other.context.changes === 1) // by then the first has been read too
    await other.change(setOf(jwk("ES256")), () => other.context.changes === 2)
    expect(file.context.changes).toBe(0)
  })

  test("a bad file is logged, and the old keys stay in force", async () => {
    for (const [name, text] of [
      ["jwks", setOf(jwk("ES256"))],
      ["key", pem(keys.ES256.publicKey)],
    ] as const) {
      using file = new KeyFile(text)
      const { context } = file
      const auth = await opened({ [name]: file.path }, context)
      const token = await sign(claimsOf(), "ES256", keys.ES256.privateKey)
      await file.change("{", () => context.logged.length === 1)
      rmSync(file.path)
      context.touch(file.path)
      await eventually(() => context.logged.length === 2, "the missing file to be noticed")
      expect(context.logged).toEqual([
        `error: ${file.path}: ${name === "jwks" ? "is not JSON" : "holds no public key in PEM"}; what it said before stays in force`,
        `error: ${file.path}: there is no such file; what it said before stays in force`,
      ])
      expect([await userOf(auth, token), context.changes]).toEqual(["ada", 0])
      auth.close!()
      expect(context.watched).toEqual([])
    }
  })

  test("a key that goes while it verifies a token lets nobody in", async () => {
    using file = new KeyFile(setOf(jwk("RS256")))
    const { context } = file
    const auth = await opened({ jwks: file.path }, context)
    const token = await sign(claimsOf(), "RS256", keys.RS256.privateKey)
    const verify = crypto.subtle.verify.bind(crypto.subtle)
    const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    using _ = spyOn(crypto.subtle, "verify").mockImplementation(async (...given) => {
      begun.resolve()
      await goOn.promise
      return verify(...given)
    })
    const decision = auth.authenticate(connecting("ada", token))
    await begun.promise
    await file.change(setOf(jwk("EdDSA")), () => context.changes === 1)
    goOn.resolve()
    expect(await decision).toEqual(unknown)
  })
})

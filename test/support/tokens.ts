/** JSON Web Tokens for tests: signed with keys that are made here, or forged. */
import { createHmac, generateKeyPairSync, type KeyObject } from "node:crypto"
import { type JWTPayload, SignJWT } from "jose"
import { ManualClock } from "../../src/testing/clock.ts"

/** A moment for a test's clock, in seconds since 1970. */
export const NOW = new ManualClock().now() / 1000

export const secret = "a secret of thirty-two characters, and more"

/** A key of each type, with the algorithm that the tests use it for. */
export const keys = {
  RS256: generateKeyPairSync("rsa", { modulusLength: 2048 }),
  ES256: generateKeyPairSync("ec", { namedCurve: "P-256" }),
  EdDSA: generateKeyPairSync("ed25519"),
} satisfies Record<string, { publicKey: KeyObject; privateKey: KeyObject }>
export type KeyName = keyof typeof keys

export function pem(key: KeyObject): string {
  return key.export({ type: key.type === "private" ? "pkcs8" : "spki", format: "pem" }).toString()
}

/** The claims of a good token, and others in their place or beside them. */
export function claimsOf(others: Record<string, unknown> = {}): JWTPayload {
  return { sub: "ada", exp: NOW + 60, ...others }
}

/** A token that is signed as it should be. */
export function sign(claims: JWTPayload, algorithm: string, key: KeyObject | string, kid?: string): Promise<string> {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: algorithm, ...(kid !== undefined && { kid }) })
    .sign(typeof key === "string" ? Buffer.from(key) : key)
}

/** A token with whatever header, and a signature that somebody has made up, by default HMAC-SHA256 with `key`. */
export function forge(header: object, claims: object, key: string, signature?: string): string {
  const content = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".")
  return `${content}.${signature ?? createHmac("sha256", key).update(content).digest("base64url")}`
}

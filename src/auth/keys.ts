/**
 * What the signatures of tokens are verified with: a shared secret, public keys in PEM, or a set of JSON Web Keys.
 *
 * Each key knows the algorithms that it is good for, by its type: a token cannot have a public key taken for a secret
 * (`HS256` signed with the PEM text), nor do without a signature. RFC 7518, RFC 8725 §3.1
 */
import { createHash, createPublicKey, createSecretKey, type JsonWebKeyInput, type KeyObject } from "node:crypto"
import { FileError } from "./text-file.ts"

export interface VerificationKey {
  readonly key: KeyObject
  /** The `kid` by which tokens name it. */
  readonly id: string | undefined
  readonly algorithms: readonly string[]
  /** Which key it is, wherever it stands. */
  readonly fingerprint: string
}

/** By key type, or curve. */
const algorithmsOf: Record<string, readonly string[]> = {
  rsa: ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  prime256v1: ["ES256"],
  secp384r1: ["ES384"],
  secp521r1: ["ES512"],
  ed25519: ["EdDSA", "Ed25519"],
}
const leastSecretBytes: Record<string, number> = { HS256: 32, HS384: 48, HS512: 64 } // RFC 7518 §3.2
const LEAST_RSA_BITS = 2048 // RFC 7518 §3.3

/** Every algorithm that is known here. `none` is not among them. */
export const knownAlgorithms: ReadonlySet<string> = new Set([
  ...Object.keys(leastSecretBytes),
  ...Object.values(algorithmsOf).flat(),
])

/** A shared secret, good for what it is long enough for. */
export function secretKey(secret: string | Uint8Array): VerificationKey {
  const bytes = Buffer.from(secret as string)
  const algorithms = Object.keys(leastSecretBytes).filter((each) => bytes.length >= leastSecretBytes[each]!)
  if (algorithms.length === 0) {
    throw new Error(`jwt: "secret" takes at least ${leastSecretBytes.HS256} bytes, not ${bytes.length}`)
  }
  return { key: createSecretKey(bytes), id: undefined, algorithms, fingerprint: "" }
}

/** The keys of a PEM text: public keys, or certificates. `name` is what an error calls it. */
export function pemKeys(name: string, text: string): VerificationKey[] {
  const blocks = text.match(/-----BEGIN ([A-Z0-9 ]+)-----[^-]*-----END \1-----/g) ?? []
  if (text.includes("PRIVATE KEY-----")) {
    throw new FileError(name, undefined, "holds a private key: give its public half («openssl pkey -pubout»)")
  }
  if (blocks.length === 0) throw new FileError(name, undefined, "holds no public key in PEM")
  return blocks.map((block) => {
    const key = publicKey(block, undefined, undefined)
    if (typeof key === "string") throw new FileError(name, undefined, `the key ${key}`)
    return key
  })
}

/**
 * The keys of a JSON Web Key Set that are there to verify with; others are passed over, as RFC 7517 §5 has it. `path` is
 * what an error calls it.
 */
export function jwksKeys(path: string, text: string): VerificationKey[] {
  const keys: VerificationKey[] = []
  let problem = "it is empty"
  for (const [index, entry] of setOf(path, text).entries()) {
    const { kty, use = "sig", key_ops: operations = ["verify"], kid, alg } = entry
    const isForVerifying = use === "sig" && Array.isArray(operations) && operations.includes("verify")
    const key =
      kty === "oct"
        ? "is a secret, which has its own option"
        : !isForVerifying
          ? "is not for verifying"
          : publicKey({ key: entry, format: "jwk" }, textOf(kid), textOf(alg))
    if (typeof key === "object") keys.push(key)
    else problem = `key ${index + 1} ${key}`
  }
  if (keys.length === 0) throw new FileError(path, undefined, `holds no public key to verify with: ${problem}`)
  return keys
}

function setOf(path: string, text: string): Record<string, unknown>[] {
  let set: unknown
  try {
    set = JSON.parse(text)
  } catch {
    throw new FileError(path, undefined, "is not JSON") // what the parser says would quote it
  }
  const keys = (set as { keys?: unknown } | null)?.keys
  if (!Array.isArray(keys) || keys.some((each) => typeof each !== "object" || each === null)) {
    throw new FileError(path, undefined, 'is not a set of keys: { "keys": [...] }')
  }
  return keys
}

/** A key, or why it cannot be used. What the parsers say is left out: it may quote. */
function publicKey(
  source: string | JsonWebKeyInput,
  id: string | undefined,
  algorithm: string | undefined,
): VerificationKey | string {
  let key: KeyObject
  try {
    key = createPublicKey(source)
  } catch {
    return "cannot be read"
  }
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key
  if (type === "rsa" && details!.modulusLength! < LEAST_RSA_BITS) return `has less than ${LEAST_RSA_BITS} bits`
  const possible = algorithmsOf[type === "ec" ? details!.namedCurve! : type!] ?? []
  const algorithms = algorithm === undefined ? possible : possible.filter((each) => each === algorithm)
  if (algorithms.length === 0) return `is not one for ${algorithm ?? "a known algorithm"}`
  const fingerprint = createHash("sha256")
    .update(key.export({ type: "spki", format: "der" }))
    .digest("base64")
  return { key, id, algorithms, fingerprint }
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined
}

/**
 * The hashes that a password file may hold: argon2id in its usual form, and Mosquitto's own two.
 *
 *     $argon2id$v=19$m=19456,t=2,p=1$salt$hash   Mosquitto 2.1 and manju; base64 without padding
 *     $7$iterations$salt$hash                    PBKDF2-HMAC-SHA512, 64 bytes; Mosquitto 2.0 (101 iterations, later 1000)
 *     $6$salt$hash                               SHA-512 of password and salt, Mosquitto 1.6; not crypt(3)'s $6$
 *
 * A hash is checked for its form when the file is read, so that to verify a password can only say yes or no. Hashes of
 * one kind (scheme and parameters) take the same time and memory to verify.
 */
import { createHash, pbkdf2, timingSafeEqual } from "node:crypto"

export interface PasswordHash {
  /** As it stands in the file. */
  readonly text: string
  /** Scheme and parameters, for people and to compare: `argon2id m=19456,t=2,p=1`. */
  readonly kind: string
  /** How long it takes to verify a password, in microseconds on some machine: enough to order kinds by it. */
  readonly cost: number
  /** Whether it is this password's. */
  verify(password: Uint8Array): boolean | Promise<boolean>
}

/** Longer ones are refused unread: what may have to wait its turn in memory is bounded. */
export const LONGEST_PASSWORD_BYTES = 4096

/** OWASP's least for argon2id, chosen there for the memory that it takes; 50 ms or so on a Raspberry Pi. */
const MEMORY_KIB = 19_456
const PASSES = 2

const SHA512_BYTES = 64
const MOST_ITERATIONS = 2 ** 31 - 1
const MOST_MEMORY_KIB = 4 * 1024 * 1024
const MOST_PASSES = 2 ** 32 - 1
const MOST_LANES = 255
const SHORTEST_ARGON2_SALT_BYTES = 8
const SHORTEST_ARGON2_HASH_BYTES = 12

/** The hash for a new password, with argon2id. The password must not be empty. */
export function hashPassword(password: Uint8Array): Promise<string> {
  return Bun.password.hash(password, { algorithm: "argon2id", memoryCost: MEMORY_KIB, timeCost: PASSES })
}

/** Undefined: none of the hashes that are known here. */
export function parseHash(text: string): PasswordHash | undefined {
  return parseArgon2id(text) ?? parsePbkdf2(text) ?? parseSha512(text)
}

function parseArgon2id(text: string): PasswordHash | undefined {
  const match = /^\$argon2id\$v=19\$(m=(\d{1,10}),t=(\d{1,10}),p=(\d{1,3}))\$([^$]+)\$([^$]+)$/.exec(text)
  if (match === null) return undefined
  const [, parameters, memory, passes, lanes, salt, hash] = match
  const isPossible =
    isWithin(Number(lanes), 1, MOST_LANES) &&
    isWithin(Number(passes), 1, MOST_PASSES) &&
    isWithin(Number(memory), 8 * Number(lanes), MOST_MEMORY_KIB) &&
    (decodeBase64(salt!, "unpadded")?.length ?? 0) >= SHORTEST_ARGON2_SALT_BYTES &&
    (decodeBase64(hash!, "unpadded")?.length ?? 0) >= SHORTEST_ARGON2_HASH_BYTES
  if (!isPossible) return undefined
  const cost = Number(memory) * Number(passes)
  return { text, kind: `argon2id ${parameters}`, cost, verify: (password) => Bun.password.verify(password, text) }
}

function parsePbkdf2(text: string): PasswordHash | undefined {
  const match = /^\$7\$(\d{1,10})\$([^$]+)\$([^$]+)$/.exec(text)
  if (match === null) return undefined
  const iterations = Number(match[1])
  const salt = decodeBase64(match[2]!, "padded")
  const hash = decodeBase64(match[3]!, "padded")
  if (!isWithin(iterations, 1, MOST_ITERATIONS) || salt === undefined || hash?.length !== SHA512_BYTES) return undefined
  const verify = (password: Uint8Array) =>
    new Promise<boolean>((resolve, reject) =>
      pbkdf2(password, salt, iterations, SHA512_BYTES, "sha512", (error, derived) =>
        error === null ? resolve(timingSafeEqual(derived, hash)) : reject(error),
      ),
    )
  return { text, kind: `pbkdf2-sha512 i=${iterations}`, cost: iterations, verify }
}

function parseSha512(text: string): PasswordHash | undefined {
  const match = /^\$6\$([^$]+)\$([^$]+)$/.exec(text)
  if (match === null) return undefined
  const salt = decodeBase64(match[1]!, "padded")
  const hash = decodeBase64(match[2]!, "padded")
  if (salt === undefined || hash?.length !== SHA512_BYTES) return undefined
  const verify = (password: Uint8Array) =>
    timingSafeEqual(createHash("sha512").update(password).update(salt).digest(), hash)
  return { text, kind: "sha512", cost: 1, verify }
}

function isWithin(value: number, least: number, most: number): boolean {
  return value >= least && value <= most
}

/** Undefined for what an encoder would not have written: `Buffer` passes over what it does not understand. */
function decodeBase64(text: string, form: "padded" | "unpadded"): Buffer | undefined {
  const bytes = Buffer.from(text, "base64")
  const encoded = bytes.toString("base64")
  return text === (form === "padded" ? encoded : encoded.replace(/=+$/, "")) ? bytes : undefined
}

/**
 * User names and passwords from a file.
 *
 * To verify an argon2 hash takes time and memory by design, so that few are verified at once and the others queue, networks
 * in turn; who has gone by its turn costs nothing any more. A verification that has succeeded is remembered with the user, as an HMAC of the
 * password under a key that only this process knows: a client that comes back is let in at once, without a promise. It is
 * forgotten when the hash changes.
 *
 * No refusal tells whether a user exists. It takes the work of one hash of each kind (scheme and parameters) that the file
 * holds, one after another in an order that is the file's, whether the user is there or not and whatever its own kind is;
 * where the user is there, its own hash stands for its kind. (Its own first would be quicker for who knows the password,
 * but even the order can be told from the time: memory is warm or cold.) What comes before that is the same for everybody.
 *
 * A client keeps the right to stay for as long as the user it came in as has the hash it came in with: that entry of the
 * file is its authority.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto"
import {
  type Admission,
  type Auth,
  type AuthContext,
  type Authority,
  type Connecting,
  type Decision,
  ManjuError,
  Reason,
  type Refusal,
} from "../broker/ports.ts"
import { Gate } from "./gate.ts"
import { LONGEST_PASSWORD_BYTES, type PasswordHash } from "./hashes.ts"
import { type PasswordHashes, parsePasswords } from "./password-file.ts"
import { followFile } from "./text-file.ts"

/** What `passwords()` takes beside the file. */
export interface PasswordsOptions {
  /**
   * How many passwords of this file are verified at once, each on a thread and with the memory of its hash (19 MiB for one
   * that `manju passwd` wrote). 1 to 64. Default: 2.
   */
  verificationsAtOnce?: number
}

const MOST_AT_ONCE = 64
/** So many of a network may wait for their verification; whoever comes from there then is told that the server is busy. */
const MOST_WAITING = 20_000

const wrong: Refusal = { reason: Reason.BadUserNameOrPassword }
const busy: Refusal = { reason: Reason.ServerBusy, reasonString: "too many passwords are being verified" }

/**
 * Lets in who gives the password that the file has for the user. What they may do is not restricted: `all(...)` with an
 * `acl(...)` does that.
 *
 * The file is one that `manju passwd` or `mosquitto_passwd` has written: lines `user:hash`, with argon2id or Mosquitto's
 * `$7$` and `$6$`. It is read when the first listener opens, which fails when the file is missing or has a line that is not
 * understood, and again when it has changed; a bad new file is logged, and the old one stays in force. A client whose user
 * is gone from the new file, or has another hash there, is disconnected (0x98).
 *
 * A wrong password is refused with `BadUserNameOrPassword`; about a client without a user name, or with one that is not in
 * the file, it has nothing to say. Throws `INVALID_OPTION` for an option out of its range.
 *
 * @example
 * await broker.listen(tcp({ port: 1883, auth: passwords("users.txt") }))
 */
export function passwords(file: string, options: PasswordsOptions = {}): Auth {
  const { verificationsAtOnce = 2 } = options
  if (!Number.isInteger(verificationsAtOnce) || verificationsAtOnce < 1 || verificationsAtOnce > MOST_AT_ONCE) {
    throw new ManjuError("INVALID_OPTION", `verificationsAtOnce takes a whole number from 1 to ${MOST_AT_ONCE}`)
  }
  return new Passwords(file, new Gate(verificationsAtOnce, MOST_WAITING))
}

/** A user as the file has it, for as long as its hash stays the same. */
class User implements Authority {
  readonly hash: PasswordHash
  readonly admission: Admission = { authenticated: true, authority: this }
  /** What its password has been proven with, once it has. */
  proof: Buffer | undefined
  /** Whether the file still has it so. */
  isCurrent = true

  constructor(hash: PasswordHash) {
    this.hash = hash
  }

  mayStay(): boolean {
    return this.isCurrent
  }

  hasProven(proof: Buffer): boolean {
    return this.proof !== undefined && timingSafeEqual(this.proof, proof)
  }
}

/** A password that is being verified or waits for it. */
interface Attempt {
  readonly decision: Promise<Decision>
  /** Of everybody who waits for it, whether it has gone. */
  readonly whoAsks: (() => boolean)[]
}

class Passwords implements Auth {
  private users = new Map<string, User>()
  /** One hash of each kind that the file holds, the cheapest first: the work of a refusal. */
  private samples: readonly PasswordHash[] = []
  /** What is being verified or waits for it, by the proof: the same password of the same user is verified once. */
  private readonly pending = new Map<string, Attempt>()
  private readonly key = randomBytes(32)
  private stopFollowing: (() => void) | undefined
  private readonly file: string
  private readonly gate: Gate

  constructor(file: string, gate: Gate) {
    this.file = file
    this.gate = gate
  }

  async open(context: AuthContext): Promise<void> {
    if (this.stopFollowing !== undefined) throw new Error(`passwords(${this.file}) is open: each broker needs its own`)
    this.stopFollowing = await followFile(this.file, context, (text) => {
      const isOther = this.replace(parsePasswords(this.file, text))
      if (isOther && this.stopFollowing !== undefined) context.changed()
    })
  }

  close(): void {
    this.stopFollowing?.()
    this.stopFollowing = undefined
  }

  authenticate(connecting: Connecting): Decision | Promise<Decision> {
    const { username, password, remoteAddress, isGone = () => false } = connecting
    if (this.stopFollowing === undefined) throw new Error(`passwords(${this.file}) is not open`)
    if (username === undefined) return undefined
    if (password === undefined || password.length > LONGEST_PASSWORD_BYTES) return this.refusal(username)
    const proof = this.proofOf(username, password)
    const user = this.users.get(username)
    if (user?.hasProven(proof)) return user.admission
    const key = proof.toString("base64")
    const begun = this.pending.get(key)
    if (begun !== undefined) {
      begun.whoAsks.push(isGone)
      return begun.decision
    }
    if (this.gate.isFullFor(remoteAddress) || isGone()) return busy
    const whoAsks = [isGone]
    const verified = this.gate.run(remoteAddress, async () => {
      if (!whoAsks.every((isGone) => isGone())) return this.verify(username, password, proof)
      this.pending.delete(key) // whoever asks from now on is there
      return busy
    })
    const decision = verified.finally(() => this.pending.delete(key))
    this.pending.set(key, { decision, whoAsks })
    return decision
  }

  private async verify(username: string, password: Uint8Array, proof: Buffer): Promise<Decision> {
    const { samples } = this
    const user = this.users.get(username)
    for (const sample of samples) {
      const own = user?.hash.kind === sample.kind ? user : undefined
      const isRight = await (own?.hash ?? sample).verify(password)
      if (isRight && own?.isCurrent) {
        own.proof = proof
        return own.admission
      }
    }
    return this.refusal(username)
  }

  /** What a client gets whose password is not the user's: nothing to say, if there is no such user. */
  private refusal(username: string): Refusal | undefined {
    return this.users.has(username) ? wrong : undefined
  }

  private proofOf(username: string, password: Uint8Array): Buffer {
    const length = Buffer.byteLength(username)
    return createHmac("sha256", this.key).update(`${length}:${username}`).update(password).digest()
  }

  /** Takes what the file says now. Users whose hash is the same stay who they are. Returns whether anything is another. */
  private replace(hashes: PasswordHashes): boolean {
    const users = new Map<string, User>()
    const samples = new Map<string, PasswordHash>()
    let kept = 0
    for (const [username, hash] of hashes) {
      const known = this.users.get(username)
      const isSame = known?.hash.text === hash.text
      if (isSame) kept++
      users.set(username, isSame ? known! : new User(hash))
      samples.set(hash.kind, hash)
    }
    const isOther = kept < users.size || kept < this.users.size
    for (const [username, user] of this.users) user.isCurrent = users.get(username) === user
    this.users = users
    this.samples = [...samples.values()].sort((one, other) => one.cost - other.cost)
    return isOther
  }
}

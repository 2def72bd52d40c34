/**
 * Clients that have been let in before from where they come: who gives the same client id, user name and password again is no
 * stranger who guesses. What is kept of them is an HMAC under a key that only this process knows, up to a bound.
 */
import { randomBytes } from "node:crypto"
import type { Connecting } from "./ports.ts"

/** Of so many at least the proof is kept, of twice as many at most. */
const CLIENTS = 25_000

export class KnownClients {
  private readonly key = randomBytes(32)
  /** What each has proven itself with: the latest, and those before them, who are forgotten together. */
  private proofs = new Map<string, string>()
  private older = new Map<string, string>()

  /** A client has been let in from that network. One without a password has proven nothing that could be told again. */
  remember(network: string, client: Connecting): void {
    const { password } = client
    if (password === undefined) return
    const identity = this.identityOf(network, client)
    this.proofs.set(identity, this.digest(identity, password))
    if (this.proofs.size < CLIENTS) return
    this.older = this.proofs
    this.proofs = new Map()
  }

  /** Whether it is one of them. With another password it is forgotten: there is one guess at that of each, not a thousand. */
  recognize(network: string, client: Connecting): boolean {
    const { password } = client
    const identity = this.identityOf(network, client)
    const proof = this.proofs.get(identity) ?? this.older.get(identity)
    if (proof === undefined) return false
    if (password !== undefined && proof === this.digest(identity, password)) return true
    this.proofs.delete(identity)
    this.older.delete(identity)
    return false
  }

  private identityOf(network: string, { clientId, username }: Pick<Connecting, "clientId" | "username">): string {
    return this.digest(JSON.stringify([network, clientId, username]))
  }

  private digest(...parts: (string | Uint8Array)[]): string {
    const hmac = new Bun.CryptoHasher("sha256", this.key)
    for (const part of parts) hmac.update(part)
    return hmac.digest("base64")
  }
}

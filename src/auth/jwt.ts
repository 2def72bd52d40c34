/**
 * JSON Web Tokens as passwords (RFC 7519, through `jose`).
 *
 * A password that is no token is somebody else's to judge. A token that is not good in every respect is a refusal, also
 * beside other auths. A good one says who the client is, until when, and, if it speaks of topics, what it may do: its
 * claims are the client's authority from then on, and so is the key that has signed it: when that is gone from the file,
 * the client has to go as well.
 *
 * No token, claim or key appears in a log line, an error or a reason string.
 */
import { decodeProtectedHeader, errors, type JWTPayload, jwtVerify, type ProtectedHeaderParameters } from "jose"
import {
  type Action,
  type Auth,
  type AuthContext,
  type Authority,
  type Client,
  type Connecting,
  type Decision,
  Reason,
  type Refusal,
} from "../broker/ports.ts"
import { type ClaimNames, rulesOf } from "./claims.ts"
import { jwksKeys, knownAlgorithms, pemKeys, secretKey, type VerificationKey } from "./keys.ts"
import { making } from "./options.ts"
import { type Rules, verdictOf } from "./rules.ts"
import { followFile } from "./text-file.ts"

/** Exactly one of `secret`, `key` and `jwks` is needed. */
export interface JwtOptions {
  /** What both sides know, for HS256 (from 32 bytes), HS384 (from 48) and HS512 (from 64). */
  secret?: string | Uint8Array
  /** The issuer's public keys or certificates: PEM, or the path of a PEM file, which is read again when it changes. */
  key?: string | Uint8Array
  /** The path of a JSON Web Key Set, which is read again when it changes. A token names its key there by `kid`. */
  jwks?: string
  /** What a token may be signed with. Default: all that the keys are good for. Never `none`. */
  algorithms?: readonly string[]
  /** The `iss` that a token must have, or one of several. Default: any. */
  issuer?: string | readonly string[]
  /** The `aud` that a token must be for, or one of several. Default: it is not looked at; give it wherever tokens have one. */
  audience?: string | readonly string[]
  /** How far the issuer's clock may be off, in seconds. Default: 0. */
  clockToleranceSeconds?: number
  /** Whether a token without `exp` is refused. Default: true. */
  requireExpiry?: boolean
  /** The claim that names the user, in place of the CONNECT's user name; a token without it is refused. Default: `sub`. */
  usernameClaim?: string
  /** Whether a CONNECT with another user name than the token's is refused. Default: false, the token's counts. */
  usernameMustMatch?: boolean
  /** The claim that must be the client id. Default: a token is good for any. */
  clientIdClaim?: string
  /** The claim with the topic filters that the client may publish to. Default: `publish`. */
  publishClaim?: string
  /** The claim with the topic filters that the client may subscribe to and receive from. Default: `subscribe`. */
  subscribeClaim?: string
  /** The claim with rules as EMQX has them, `[{ permission, action, topic }]`. Default: `acl`. */
  aclClaim?: string
}

const MOST_TOLERANCE_SECONDS = 3600

/**
 * Lets in who gives a JSON Web Token as the password that is signed with a known key, is not expired, and is meant for
 * this broker. The client is disconnected (0xA0) when its token expires, and (0x98) when the token's key is gone.
 *
 * Claims say what it may do: `publish` and `subscribe`, lists of topic filters with `%u` for the user name and `%c` for the
 * client id, and EMQX's `acl`. A token that has one of them has said everything: what it does not list is refused, and an auth
 * beside it can take away from that but not add to it. A token that has none of them says nothing of topics: everything is
 * refused, unless an auth beside it, like `acl(...)` in `all(...)`, decides.
 *
 * A password that is no token is not judged, so that `any(jwt(...), passwords(...))` takes both. A token that is not valid is
 * refused with `BadUserNameOrPassword`, one that is somebody else's with `NotAuthorized`.
 *
 * Throws `INVALID_OPTION` for options that contradict each other or a key that cannot be used; where a file of keys is missing or
 * bad, the listener does not open. When it is bad later, that is logged and the old keys stay in force.
 *
 * @example
 * const auth = jwt({ jwks: "keys.json", issuer: "https://login.example.com/", audience: "mqtt" })
 *
 * @example
 * const auth = all(jwt({ secret: process.env.TOKEN_SECRET! }), acl("acl.txt"))
 */
export function jwt(options: JwtOptions): Auth {
  return making(() => new Tokens(options))
}

class Tokens implements Auth {
  private keys: readonly VerificationKey[] = []
  private context: AuthContext | undefined
  private stopFollowing: (() => void) | undefined
  /** A file of keys, if that is where they are. */
  private readonly file: { path: string; parse: (path: string, text: string) => VerificationKey[] } | undefined
  private readonly options: Omit<JwtOptions, "secret" | "key" | "jwks">
  private readonly claimNames: ClaimNames

  constructor(options: JwtOptions) {
    const { secret, key, jwks, ...others } = options
    const { algorithms, clockToleranceSeconds: tolerance = 0 } = others
    const given = [secret, key, jwks].filter((each) => each !== undefined)
    const unset = (["secret", "key", "jwks"] as const).find((name) => name in options)
    if (given.length === 0 && unset !== undefined) throw new Error(`jwt: "${unset}" is undefined`)
    if (given.length !== 1) throw new Error('jwt: takes one of "secret", "key" and "jwks"')
    if (algorithms?.length === 0 || algorithms?.some((each) => !knownAlgorithms.has(each))) {
      throw new Error(`jwt: "algorithms" takes some of ${[...knownAlgorithms].join(", ")}`)
    }
    if (!(tolerance >= 0 && tolerance <= MOST_TOLERANCE_SECONDS)) {
      throw new Error(`jwt: "clockToleranceSeconds" takes 0 to ${MOST_TOLERANCE_SECONDS}`)
    }
    this.options = others
    const { publishClaim = "publish", subscribeClaim = "subscribe", aclClaim = "acl" } = others
    this.claimNames = { publish: publishClaim, subscribe: subscribeClaim, acl: aclClaim }
    if (secret !== undefined) this.keys = this.usable([secretKey(secret)], "secret")
    else if (jwks !== undefined) this.file = { path: jwks, parse: jwksKeys }
    else if (typeof key === "string" && !key.includes("-----BEGIN ")) this.file = { path: key, parse: pemKeys }
    else this.keys = this.usable(pemKeys("jwt: key", Buffer.from(key as string).toString()), "key")
  }

  async open(context: AuthContext): Promise<void> {
    if (this.context !== undefined) throw new Error("jwt() is open: each broker needs its own")
    const { file } = this
    if (file !== undefined) {
      this.stopFollowing = await followFile(file.path, context, (text) => {
        const keys = this.usable(file.parse(file.path, text), file.path)
        const isSame = String(keys.map(identityOf)) === String(this.keys.map(identityOf))
        this.keys = keys
        if (!isSame && this.context !== undefined) context.changed()
      })
    }
    this.context = context
  }

  close(): void {
    this.stopFollowing?.()
    this.stopFollowing = undefined
    this.context = undefined
  }

  authenticate(connecting: Connecting): Decision | Promise<Decision> {
    if (this.context === undefined) throw new Error("jwt() is not open")
    const { password } = connecting
    if (password === undefined) return undefined
    const token = Buffer.from(password).toString("latin1")
    const header = headerOf(token)
    return header && this.verify(token, header, connecting, this.context)
  }

  /** Whoever is in by a token has its claims for an authority; nobody else may do anything. */
  authorize(): undefined {
    return undefined
  }

  explain(): string {
    return "jwt(...) allows nothing to a client that has come in without a token of its own"
  }

  /** Whether tokens that this key has signed are still good. */
  has(key: VerificationKey): boolean {
    return this.keys.some(({ fingerprint }) => fingerprint === key.fingerprint)
  }

  private async verify(
    token: string,
    { alg, kid }: ProtectedHeaderParameters,
    connecting: Connecting,
    { clock }: AuthContext,
  ): Promise<Decision> {
    const { issuer, audience, clockToleranceSeconds = 0, requireExpiry = true } = this.options
    for (const key of this.keys) {
      const isMeant = kid === undefined || key.id === undefined || kid === key.id
      if (!isMeant || !key.algorithms.includes(alg ?? "")) continue
      try {
        const { payload } = await jwtVerify(token, key.key, {
          algorithms: [...key.algorithms],
          clockTolerance: clockToleranceSeconds,
          currentDate: new Date(clock.now()),
          requiredClaims: requireExpiry ? ["exp"] : [],
          ...(issuer !== undefined && { issuer: listOf(issuer) }),
          ...(audience !== undefined && { audience: listOf(audience) }),
        })
        if (this.has(key)) return this.admission(payload, connecting, key)
      } catch (error) {
        if (!(error instanceof errors.JOSEError)) throw error
        if (!(error instanceof errors.JWSSignatureVerificationFailed)) return refusalOf(error)
      }
    }
    return refuse("the token is signed with no key that is known here")
  }

  private admission(claims: JWTPayload, connecting: Connecting, key: VerificationKey): Decision {
    const { usernameClaim = "sub", usernameMustMatch = false, clientIdClaim, clockToleranceSeconds = 0 } = this.options
    const username = claims[usernameClaim]
    if (typeof username !== "string" || username === "") return refuse(`the token has no "${usernameClaim}"`)
    if (usernameMustMatch && connecting.username !== undefined && connecting.username !== username) {
      return refuse("the token is for another user", Reason.NotAuthorized)
    }
    if (clientIdClaim !== undefined && claims[clientIdClaim] !== connecting.clientId) {
      return refuse("the token is for another client", Reason.NotAuthorized)
    }
    let rules: Rules | undefined
    try {
      rules = rulesOf(claims, this.claimNames)
    } catch (error) {
      return refuse((error as Error).message)
    }
    return {
      authenticated: true,
      username,
      authority: new Claims(this, key, rules),
      ...(claims.exp !== undefined && { expiresAt: (claims.exp + clockToleranceSeconds) * 1000 }),
    }
  }

  /** The keys that are good for an algorithm that is wanted. */
  private usable(keys: readonly VerificationKey[], name: string): VerificationKey[] {
    const { algorithms: wanted } = this.options
    const narrowed = keys.map((key) => ({
      ...key,
      algorithms: key.algorithms.filter((each) => wanted?.includes(each) ?? true),
    }))
    const usable = narrowed.filter(({ algorithms }) => algorithms.length > 0)
    if (usable.length === 0) throw new Error(`jwt: "algorithms" has none that the ${name} is good for`)
    return usable
  }
}

/** What a client may do that has come in by a token. */
class Claims implements Authority {
  readonly isCacheable = true
  private readonly tokens: Tokens
  private readonly key: VerificationKey
  private readonly rules: Rules | undefined

  constructor(tokens: Tokens, key: VerificationKey, rules: Rules | undefined) {
    this.tokens = tokens
    this.key = key
    this.rules = rules
  }

  authorize(client: Client, action: Action, topic: string): boolean | undefined {
    return this.rules && (verdictOf(this.rules.say(topic, client), action) ?? false)
  }

  explain(client: Client, action: Action, topic: string): string {
    if (this.rules === undefined) return "the client's token says nothing of topics"
    const verdict = verdictOf(this.rules.say(topic, client), action)
    if (verdict === undefined) return `the client's token has no claim that lets it ${action} there`
    return verdict ? "a claim of the client's token allows it" : "a claim of the client's token denies it"
  }

  mayStay(): boolean {
    return this.tokens.has(this.key)
  }
}

/** The header of a token; undefined if it is none. */
function headerOf(token: string): ProtectedHeaderParameters | undefined {
  if (!/^[\w-]+\.[\w-]*\.[\w-]*$/.test(token)) return undefined
  try {
    const header = decodeProtectedHeader(token)
    return typeof header.alg === "string" ? header : undefined
  } catch {
    return undefined // three words with dots between them: a password like any other
  }
}

function refusalOf(error: InstanceType<typeof errors.JOSEError>): Refusal {
  if (error instanceof errors.JWTExpired) return refuse("the token has expired")
  if (error instanceof errors.JWTClaimValidationFailed) return refuse(`the token's "${error.claim}" is not accepted`)
  return refuse("the token is not valid")
}

function refuse(reasonString: string, reason: Reason = Reason.BadUserNameOrPassword): Refusal {
  return { reason, reasonString }
}

function identityOf({ id, fingerprint, algorithms }: VerificationKey): string {
  return JSON.stringify([id, fingerprint, algorithms])
}

function listOf(names: string | readonly string[]): string[] {
  return typeof names === "string" ? [names] : [...names]
}

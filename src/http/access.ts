/**
 * Who may administer.
 *
 * 1. Without a token and a password: whoever can reach a listener that is on a loopback address, which are the processes of this
 *    machine. To a listener that others can reach nobody is let in, and it is said what to set.
 * 2. With a token or a password: whoever has it, from anywhere; this machine's processes need it as well. They are compared in a time that
 *    tells nothing of them, and an address from which wrong ones come has to wait, as MQTT clients have.
 * 3. Browsers send what they are told by any page. What a page of another site has made them send is refused, whatever it is; without a
 *    token or a password, so is what asks for another host than an address or localhost: a name could be made to point here by whoever
 *    owns it. And what has come through a proxy may come from anywhere.
 */
import { createHash, timingSafeEqual } from "node:crypto"
import { isIP } from "node:net"
import type { Core } from "../broker/core.ts"
import { ManjuError } from "../broker/errors.ts"
import { sourceOf } from "../broker/log/limiter.ts"
import type { Connecting } from "../broker/ports.ts"
import { isLoopback } from "../hostname.ts"
import { Problem } from "./problem.ts"

/** Who may administer the broker over HTTP: whoever has the token or the password, and without both only this machine. */
export interface AdminOptions {
  /** Sent as `Authorization: Bearer ...`. At least 16 printable characters without spaces. */
  token?: string
  /** Sent as HTTP Basic: what a browser asks its user for. */
  password?: { user: string; password: string }
  /** Who may read `/metrics`. True: everybody who reaches the listener; false: nobody. Default: who may use the admin API. */
  metrics?: boolean
}

const SHORTEST_TOKEN = 16
const CHALLENGES = 'Basic realm="manju", charset="UTF-8", Bearer realm="manju"'
/** What proxies add. */
const PROXY_HEADERS = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"]

/** Throws `INVALID_OPTION` for what nobody could send, or anybody could guess. */
export function checkAdminOptions({ token, password }: AdminOptions): void {
  if (token !== undefined && (!/^[\x21-\x7e]+$/.test(token) || token.length < SHORTEST_TOKEN)) {
    throw new ManjuError(
      "INVALID_OPTION",
      `admin.token must have at least ${SHORTEST_TOKEN} printable characters, and no spaces`,
    )
  }
  if (password === undefined) return
  if (password.user === "" || password.user.includes(":")) {
    throw new ManjuError("INVALID_OPTION", "admin.password.user must be a name without a colon")
  }
  if (password.password === "") throw new ManjuError("INVALID_OPTION", "admin.password.password must not be empty")
}

/** What a request has shown. */
type Shown = { readonly token: string } | { readonly user: string; readonly password: string }

export class Access {
  /** Whether anything has to be shown. */
  readonly isProtected: boolean
  private readonly core: Core
  private readonly listener: string
  private readonly isLoopback: boolean
  private readonly token: Buffer | undefined
  private readonly user: Buffer | undefined
  private readonly password: Buffer | undefined

  constructor(core: Core, place: { id: string; hostname: string }, { token, password }: AdminOptions) {
    this.core = core
    this.listener = place.id
    this.isLoopback = isLoopback(place.hostname)
    this.token = token === undefined ? undefined : digest(token)
    this.user = password && digest(password.user)
    this.password = password && digest(password.password)
    this.isProtected = token !== undefined || password !== undefined
  }

  /** Resolves where the request may go on; throws a `Problem` where it may not. */
  async check(request: Request, remoteAddress: string): Promise<void> {
    const { headers } = request
    if (!isOwnPage(headers)) {
      throw new Problem("other-site", "a page of another site has sent this: open the dashboard at its own address")
    }
    if (this.isProtected) await this.identify(headers, remoteAddress)
    else this.assertLocal(headers)
  }

  private assertLocal(headers: Headers): void {
    const remedy = "set a token or a password (admin.token, admin.password) to use it from there"
    if (!this.isLoopback) {
      throw new Problem("not-open-to-others", `this listener can be reached by other machines: ${remedy}`)
    }
    const host = hostOf(headers.get("host"))
    if (host === undefined || !isUnambiguous(host)) {
      const asked = JSON.stringify(headers.get("host"))
      throw new Problem("not-open-to-others", `it was asked for as ${asked}, not as localhost or an address: ${remedy}`)
    }
    const proxied = PROXY_HEADERS.find((name) => headers.has(name))
    if (proxied !== undefined) {
      throw new Problem("not-open-to-others", `the request has come through a proxy (${proxied}): ${remedy}`)
    }
  }

  private async identify(headers: Headers, remoteAddress: string): Promise<void> {
    const shown = shownBy(headers.get("authorization"))
    if (shown === undefined) {
      throw new Problem("unauthorized", "show the token (Bearer) or the password (Basic)", {
        "WWW-Authenticate": CHALLENGES,
      })
    }
    const { offenders, metrics, logger } = this.core
    const attempt = offenders.enter(attemptOf(shown, remoteAddress, this.listener))
    if (!(await attempt.turn)) {
      throw new Problem("too-many", "too many attempts from this address", { "Retry-After": "5" })
    }
    if (this.isRight(shown)) {
      attempt.succeeded()
      return
    }
    attempt.failed()
    metrics.adminAuthFailures++
    if (logger.admits("operator", "warn", sourceOf(remoteAddress))) {
      const line = `refused an operator (${remoteAddress}) on ${this.listener}: a wrong token or password`
      logger.warn(line, { area: "auth", remoteAddress, listener: this.listener })
    }
    throw new Problem("unauthorized", "a wrong token or password", { "WWW-Authenticate": CHALLENGES })
  }

  /** Whatever is wrong, the same is computed. */
  private isRight(shown: Shown): boolean {
    if ("token" in shown) return isSame(digest(shown.token), this.token)
    const isUser = isSame(digest(shown.user), this.user)
    const isPassword = isSame(digest(shown.password), this.password)
    return isUser && isPassword
  }
}

/** As the offenders know those who try: by what they show. */
function attemptOf(shown: Shown, remoteAddress: string, listener: string): Connecting {
  const [username, password] = "token" in shown ? [undefined, shown.token] : [shown.user, shown.password]
  return {
    clientId: "an operator",
    username,
    password: Buffer.from(password),
    protocolLevel: 5,
    cleanStart: true,
    keepAliveSeconds: 0,
    userProperties: [],
    remoteAddress,
    listener,
  }
}

function shownBy(authorization: string | null): Shown | undefined {
  const [, scheme, value = ""] = /^(basic|bearer) +(\S+)$/i.exec(authorization ?? "") ?? []
  if (scheme === undefined) return undefined
  if (scheme.toLowerCase() === "bearer") return { token: value }
  const [, user, password] = /^([^:]*):(.*)$/s.exec(Buffer.from(value, "base64").toString()) ?? []
  return user === undefined || password === undefined ? undefined : { user, password }
}

/** Whether what a browser has sent is its user's wish, or that of a page of ours. What is no browser says nothing on that. */
function isOwnPage(headers: Headers): boolean {
  const site = headers.get("sec-fetch-site") // which no page can set, nor a proxy make wrong
  if (site !== null) return site === "same-origin" || site === "none"
  const origin = headers.get("origin")
  return origin === null || URL.parse(origin)?.host === URL.parse(`http://${headers.get("host")}`)?.host
}

function hostOf(host: string | null): string | undefined {
  return host === null ? undefined : URL.parse(`http://${host}`)?.hostname
}

/** Whether nobody can make it mean another place than it means. */
function isUnambiguous(host: string): boolean {
  return host === "localhost" || isIP(host.replace(/^\[|\]$/g, "")) !== 0
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest()
}

function isSame(digest: Buffer, expected: Buffer | undefined): boolean {
  return expected !== undefined && timingSafeEqual(digest, expected)
}

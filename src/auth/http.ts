/**
 * Authentication and authorisation asked of a web service.
 *
 * Whatever is not a clear answer is a refusal: no connection, no answer in time, another status, something that is not
 * understood. That is logged when it begins and when it is over, not for every client that it hits.
 *
 * Answers on topics are kept for a while, in a table of bounded size, and come without a promise from there, until everything
 * is to be read again. Answers on who may come in are not kept: they hang on a password.
 */
import {
  type Action,
  type Admission,
  type Auth,
  type AuthContext,
  type Client,
  type Connecting,
  type Decision,
  type Permission,
  Reason,
} from "../broker/ports.ts"
import { making } from "./options.ts"
import { type Answer, WebService } from "./web-service.ts"

/** Which service `http()` asks, and what. */
export interface HttpAuthOptions {
  /** Where questions are sent by POST: `http:` or `https:`, without a user name or password in it. */
  url: string | URL
  /** Sent with each question: `{ authorization: "Bearer …" }`. */
  headers?: Readonly<Record<string, string>>
  /** How long an answer may take, in milliseconds, waiting for its turn included. 1 to 60,000. Default: 5000. */
  timeoutMs?: number
  /**
   * What is asked on topics. `true`: before a client publishes or subscribes; it receives what it has subscribed to. A list of
   * actions: exactly these; the service has nothing to say on the others. `false`: nothing; clients that are in may do
   * everything, unless an auth beside it says otherwise. Default: true.
   */
  authorize?: boolean | readonly Action[]
  /**
   * How long an answer on a topic holds for the client, in seconds; 0: it is asked each time. To 86,400. Default: 60. After
   * `broker.reload()` none holds, and for clients that are in the service is asked about their subscriptions again.
   */
  cacheSeconds?: number
  /** How many answers on topics are kept at most. 1 to 1,000,000. Default: 10,000. */
  cacheEntries?: number
  /** How many questions are under way at once; others wait for their turn. 1 to 1000. Default: 32. */
  requestsAtOnce?: number
}

const LONGEST_CACHED_QUESTION = 2048
const LONGEST_REASON_STRING = 256
const LOG_AT_MOST_EVERY_MS = 10_000

/**
 * Asks a web service who may come in and what they may do.
 *
 * A question is a POST with one of these (`username`, `password` may be null; a password that is not UTF-8 is
 * `passwordBase64`; `certificate` is there if the client has shown one):
 *
 *     { "ask": "authenticate", "clientId", "username", "password", "remoteAddress", "listener", "protocolLevel",
 *       "certificate": { "commonName", "subjectAltNames", "fingerprint" } }
 *     { "ask": "authorize", "action": "publish" | "subscribe" | "receive", "topic", "clientId", "username",
 *       "remoteAddress", "listener", "protocolLevel" }
 *
 * Answers: 200 with `{ "allow": true | false }`, 401 and 403 for no, 204 for no opinion. To `allow: true` an authentication
 * may add `username` (who the client is), `expiresAt` (milliseconds since 1970) or `expiresInSeconds` (when it has to go),
 * to `allow: false` a `reason` for a person to read. Everything else is a refusal, `ServerUnavailable` for a client that
 * wants to come in, and is logged.
 *
 * Throws `INVALID_OPTION` for an option out of its range.
 *
 * @example
 * const auth = http({ url: "https://devices.example.com/mqtt", headers: { authorization: `Bearer ${process.env.TOKEN}` } })
 *
 * @example
 * const auth = all(http({ url: "http://127.0.0.1:9000/", authorize: false }), acl("acl.txt"))
 */
export function http(options: HttpAuthOptions): Auth {
  const { authorize = true } = options
  const actions = authorize === true ? (["publish", "subscribe"] as const) : authorize || []
  const auth = making(() => new HttpAuth(options))
  return {
    open: (context) => auth.open(context),
    close: () => auth.close(),
    reload: () => auth.reload(),
    authenticate: (connecting) => auth.authenticate(connecting),
    ...(actions.length > 0 && {
      authorize: (client: Client, action: Action, topic: string) => {
        if (actions.includes(action)) return auth.authorize(client, action, topic)
        return authorize === true ? true : undefined
      },
      explain: async (client: Client, action: Action, topic: string) => {
        if (!actions.includes(action)) return `${auth.name} is not asked whether a client may ${action}`
        return `${auth.name} ${(await auth.authorize(client, action, topic)) === true ? "allows it" : "does not allow it"}`
      },
    }),
  }
}

class HttpAuth {
  private outage: Outage | undefined
  private kept: KeptAnswers
  private readonly service: WebService
  /** How people call the service: a query may hold a secret. */
  readonly name: string

  constructor(options: HttpAuthOptions) {
    const url = urlOf(options.url)
    const headers = headersOf(options.headers)
    const timeoutMs = within(options.timeoutMs ?? 5000, "timeoutMs", 1, 60_000)
    const requestsAtOnce = within(options.requestsAtOnce ?? 32, "requestsAtOnce", 1, 1000)
    const cacheSeconds = within(options.cacheSeconds ?? 60, "cacheSeconds", 0, 86_400)
    const cacheEntries = within(options.cacheEntries ?? 10_000, "cacheEntries", 1, 1_000_000)
    this.name = `${url.origin}${url.pathname}`
    this.service = new WebService({ url, headers, timeoutMs, requestsAtOnce })
    this.kept = new KeptAnswers(cacheSeconds * 1000, cacheEntries)
  }

  open(context: AuthContext): void {
    if (this.outage !== undefined) throw new Error("http() is open: each broker needs its own")
    this.outage = new Outage(this.name, context)
  }

  close(): void {
    this.outage = undefined
    this.service.abandon()
    this.kept = this.kept.anew()
  }

  /** What is being answered now may be as old as what is kept. */
  reload(): void {
    this.kept = this.kept.anew()
    this.service.forget()
    this.outage?.context.changed()
  }

  async authenticate({ password, certificate, ...client }: Connecting): Promise<Decision> {
    const { now } = this.started()
    const text = password && textOf(password)
    const question = JSON.stringify({
      ask: "authenticate",
      ...identityOf(client),
      password: text ?? null,
      ...(password !== undefined && text === undefined && { passwordBase64: Buffer.from(password).toString("base64") }),
      ...(certificate !== undefined && { certificate }),
    })
    const unavailable = { reason: Reason.ServerUnavailable, reasonString: "who may come in cannot be asked now" }
    return this.ask<Decision>(question, client, (answer) => decisionOf(answer, now()), unavailable)
  }

  authorize(client: Client, action: Action, topic: string): Permission | Promise<Permission> {
    const { now } = this.started()
    const question = JSON.stringify({ ask: "authorize", action, topic, ...identityOf(client) })
    const { kept } = this
    const known = kept.get(question, now())
    if (known !== undefined) return known.permission
    const keep = (answer: Answer) => {
      const permission = permissionOf(answer)
      kept.set(question, permission, now())
      return permission
    }
    return this.ask<Permission>(question, client, keep, Reason.ImplementationSpecificError)
  }

  private async ask<A>(
    question: string,
    { remoteAddress }: Pick<Client, "remoteAddress">,
    read: (answer: Answer) => A,
    otherwise: A,
  ): Promise<A> {
    try {
      const result = read(await this.service.ask(question, remoteAddress))
      this.outage?.answered()
      return result
    } catch (error) {
      this.outage?.failed((error as Error).message)
      return otherwise
    }
  }

  private started(): Outage {
    if (this.outage === undefined) throw new Error("http() is not open")
    return this.outage
  }
}

function identityOf(client: Client | Omit<Connecting, "password" | "certificate">) {
  const { clientId, username = null, remoteAddress, listener, protocolLevel } = client
  return { clientId, username, remoteAddress, listener, protocolLevel }
}

// What an answer says. Each throws where it is not understood.

function decisionOf(answer: Answer, now: number): Decision {
  if (answer.status === 204) return undefined
  if (answer.status === 401) return { reason: Reason.BadUserNameOrPassword }
  if (answer.status === 403) return false
  const { allow, username, expiresAt, expiresInSeconds, reason } = jsonOf(answer)
  if (!allow) {
    if (typeof reason !== "string") return false
    return { reason: Reason.NotAuthorized, reasonString: printable(reason).slice(0, LONGEST_REASON_STRING) }
  }
  const ends = [
    ...optional("expiresAt", expiresAt, isTime),
    ...optional("expiresInSeconds", expiresInSeconds, isTime).map((seconds) => now + seconds * 1000),
  ]
  const [name] = optional("username", username, isName)
  const admission: Admission = {
    authenticated: true,
    ...(name !== undefined && { username: name }),
    ...(ends.length > 0 && { expiresAt: Math.min(...ends) }),
  }
  return admission
}

function permissionOf(answer: Answer): Permission {
  if (answer.status === 204) return undefined
  if (answer.status === 401 || answer.status === 403) return false
  return jsonOf(answer).allow
}

function jsonOf({ status, text }: Answer): Record<string, unknown> & { allow: boolean } {
  if (status !== 200) throw new Error(`answers with status ${status}`)
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new Error("answers with something that is not JSON")
  }
  const { allow, ...rest } = Object(json) as Record<string, unknown>
  if (typeof allow !== "boolean") throw new Error('answers without "allow": true or false')
  return { ...rest, allow }
}

/** The value, or none: JSON of many makes has null for what is not there. */
function optional<A>(name: string, value: unknown, is: (value: unknown) => value is A): A[] {
  if (value === undefined || value === null) return []
  if (!is(value)) throw new Error(`answers with what "${name}" cannot be`)
  return [value]
}

function isTime(value: unknown): value is number {
  return typeof value === "number" && value >= 0
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value !== ""
}

/** One line of log, whatever is in it. */
function printable(text: string): string {
  return text.replaceAll(/\p{C}+/gu, " ")
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined // a password may be anything
  }
}

// Options

function urlOf(text: string | URL): URL {
  const url = URL.parse(String(text))
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new Error('http: "url" takes an address that begins with http:// or https://')
  }
  if (url.username !== "" || url.password !== "") {
    throw new Error('http: "url" takes no user name or password: put them into "headers"')
  }
  return url
}

function headersOf(given: HttpAuthOptions["headers"]): Headers {
  try {
    const headers = new Headers(given)
    headers.set("content-type", "application/json")
    headers.set("accept", "application/json")
    return headers
  } catch {
    throw new Error('http: "headers" has a name or a value that HTTP does not allow') // without quoting it
  }
}

function within(value: number, name: string, least: number, most: number): number {
  if (value >= least && value <= most) return value
  throw new Error(`http: "${name}" takes ${least} to ${most}`)
}

/** Answers on topics, by the question; the oldest goes first. */
class KeptAnswers {
  private readonly answers = new Map<string, { readonly permission: Permission; readonly until: number }>()
  private readonly durationMs: number
  private readonly most: number

  constructor(durationMs: number, most: number) {
    this.durationMs = durationMs
    this.most = most
  }

  get(question: string, now: number): { readonly permission: Permission } | undefined {
    const answer = this.answers.get(question)
    return answer !== undefined && now < answer.until ? answer : undefined
  }

  set(question: string, permission: Permission, now: number): void {
    if (this.durationMs === 0 || question.length > LONGEST_CACHED_QUESTION) return
    this.answers.delete(question)
    this.answers.set(question, { permission, until: now + this.durationMs })
    if (this.answers.size > this.most) this.answers.delete(this.answers.keys().next().value!)
  }

  /** Empty ones, on the same terms. */
  anew(): KeptAnswers {
    return new KeptAnswers(this.durationMs, this.most)
  }
}

/** Says when the service begins to fail and when it answers again, at most every few seconds. */
class Outage {
  private failures = 0
  private isLogged = false
  private loggedAt = Number.NEGATIVE_INFINITY
  readonly context: AuthContext
  private readonly name: string

  constructor(name: string, context: AuthContext) {
    this.name = name
    this.context = context
  }

  readonly now = () => this.context.clock.now()

  failed(problem: string): void {
    this.failures++
    if (this.isLogged || this.now() - this.loggedAt < LOG_AT_MOST_EVERY_MS) return
    this.isLogged = true
    this.loggedAt = this.now()
    this.context.logger.error(`${this.name} ${problem}; what it would have to decide is refused until it answers`)
  }

  answered(): void {
    if (this.isLogged) this.context.logger.info(`${this.name} answers again; ${this.failures} questions were refused`)
    this.failures = 0
    this.isLogged = false
  }
}

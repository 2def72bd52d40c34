/**
 * A running broker's admin API, for the commands that ask it: where it is, what has to be shown there, and what went wrong in a line.
 *
 * The environment is the broker's own, so that in its container nothing has to be said twice: what lets others in by `MANJU_ADMIN_TOKEN`,
 * or `MANJU_ADMIN_USER` and `MANJU_ADMIN_PASSWORD`, lets these commands in. `MANJU_ADMIN_TOKEN_FILE` and `MANJU_ADMIN_PASSWORD_FILE` name
 * files with the secrets in them.
 */
import { EventSourceParserStream } from "eventsource-parser/stream"
import { readText } from "../auth/text-file.ts"
import { ManjuError } from "../broker/errors.ts"
import { ADMIN_URL_VARIABLE, type Environment } from "../config/environment.ts"
import { isLoopback } from "../hostname.ts"
import type { Problem, ProblemKind } from "../http/problem.ts"
import { type AdminFlags, STANDARD_URL } from "./admin-options.ts"
import { inWords } from "./client/trouble.ts"
import { CommandFailure } from "./failure.ts"
import { readCertificates } from "./pem.ts"
import { printable } from "./printable.ts"

const STANDARD_TIMEOUT_MS = 10_000

/** A query; what is undefined is left out. */
export type Query = Readonly<Record<string, string | number | boolean | undefined>>

export interface Call {
  readonly query?: Query
  /** Sent as JSON. */
  readonly json?: unknown
  /** Default: 10,000. */
  readonly timeoutMs?: number
}

/** Something that a live stream has sent. */
export interface LiveEvent {
  /** `figures`, `log`, ... */
  readonly name: string
  /** Its JSON, read. */
  readonly data: unknown
}

/** The API has answered that it will not: one line on standard error, and exit code 1. */
export class ApiRefusal extends CommandFailure {
  readonly status: number
  /** Undefined: the answer is none of a manju. */
  readonly kind: ProblemKind | undefined

  constructor(message: string, status: number, kind: ProblemKind | undefined) {
    super(message)
    this.name = "ApiRefusal"
    this.status = status
    this.kind = kind
  }
}

/**
 * Everything in it throws a `CommandFailure` in one line where the broker cannot be reached, and an `ApiRefusal`, which is one, where it
 * refuses.
 *
 * @example
 * const api = await AdminClient.from(flags, process.env)
 * const { clients } = await api.get<{ clients: number }>("/api/v1/metrics")
 */
export class AdminClient {
  /** Where it is, as messages name it: without a password. */
  readonly place: string
  private readonly isLoopback: boolean
  private readonly authorization: string | undefined
  private readonly ca: string | undefined

  private constructor(url: URL, authorization: string | undefined, ca: string | undefined) {
    this.place = url.origin
    this.isLoopback = isLoopback(url.hostname.replace(/^\[|\]$/g, ""))
    this.authorization = authorization
    this.ca = ca
  }

  /** Throws `INVALID_OPTION` for a URL that is none, a `FileError` for a file that cannot be read. */
  static async from(flags: AdminFlags, environment: Environment): Promise<AdminClient> {
    const text = flags.url ?? environment[ADMIN_URL_VARIABLE] ?? STANDARD_URL
    const url = URL.parse(/^\w+:\/\//.test(text) ? text : `http://${text}`)
    if (url === null || !["http:", "https:"].includes(url.protocol) || url.pathname !== "/" || url.hostname === "") {
      throw new ManjuError(
        "INVALID_OPTION",
        `--url takes http[s]://[user:password@]host[:port], not ${printable(text)}`,
      )
    }
    const ca = flags.cafile === undefined ? undefined : await readCertificates(flags.cafile)
    const authorization = await authorizationOf(flags, url, environment)
    return new AdminClient(url, authorization, ca)
  }

  /** Gives the JSON of the answer. */
  get<Result>(path: string, query?: Query, timeoutMs?: number): Promise<Result> {
    return this.call<Result>("GET", path, { ...(query && { query }), ...(timeoutMs !== undefined && { timeoutMs }) })
  }

  /** Gives the JSON of the answer; undefined where it has none. */
  async call<Result>(method: string, path: string, call: Call = {}): Promise<Result> {
    const signal = AbortSignal.timeout(call.timeoutMs ?? STANDARD_TIMEOUT_MS)
    const response = await this.fetch(method, path, call, signal)
    if (response.status === 204) return undefined as Result
    const text = await this.reading(response.text())
    return this.read(text, response.status) as Result
  }

  /** What a live stream sends, until it ends or `signal` ends it. */
  async *live(path: string, query: Query, signal: AbortSignal): AsyncGenerator<LiveEvent, void, undefined> {
    const response = await this.fetch("GET", path, { query }, signal)
    const events = response.body!.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())
    try {
      for await (const { event: name = "message", data } of events) {
        yield { name, data: this.read(data, response.status) }
      }
    } catch (error) {
      if (!signal.aborted) throw error instanceof CommandFailure ? error : this.failure(error)
    }
  }

  /** Gives an answer that is none of a problem. */
  private async fetch(method: string, path: string, call: Call, signal: AbortSignal): Promise<Response> {
    const url = new URL(path, this.place)
    for (const [name, value] of Object.entries(call.query ?? {})) {
      if (value !== undefined) url.searchParams.set(name, String(value))
    }
    const hasBody = call.json !== undefined
    const headers = {
      ...(this.authorization !== undefined && { Authorization: this.authorization }),
      ...(hasBody && { "Content-Type": "application/json" }),
    }
    const request = {
      ...{ method, signal, headers },
      redirect: "manual", // what is shown is for that broker alone
      ...(hasBody && { body: JSON.stringify(call.json) }),
      ...(this.ca !== undefined && { tls: { ca: this.ca } }),
      ...(this.isLoopback && { proxy: false }), // a proxy's loopback is another one
    }
    const response = await this.reading(fetch(url, request as RequestInit))
    if (response.ok) return response
    throw this.refusal(response.status, await this.reading(response.text()))
  }

  /** Waits for something from the network. */
  private async reading<Result>(result: Promise<Result>): Promise<Result> {
    try {
      return await result
    } catch (error) {
      throw this.failure(error)
    }
  }

  private read(text: string, status: number): unknown {
    try {
      return JSON.parse(text)
    } catch {
      throw this.noManju(status)
    }
  }

  private failure(error: unknown): CommandFailure {
    const { name, code = "", message } = error as NodeJS.ErrnoException
    const problems: Record<string, string> = {
      ...inWords,
      ECONNREFUSED: "nothing listens there; is the broker running, with an HTTP listener? --url says where",
      ECONNRESET: "it ended the connection without an answer; is it HTTP, and not HTTPS?",
      EPROTO: "there is no TLS at that port",
    }
    const isLate = name === "TimeoutError"
    const why = isLate ? "nobody answers" : (own(problems, code) ?? printable(message))
    return new CommandFailure(`cannot ask ${this.place}: ${why}`, { cause: error })
  }

  private refusal(status: number, text: string): ApiRefusal {
    const problem = problemIn(text)
    if (problem === undefined) return this.noManju(status)
    const { kind, detail } = problem
    const remedy = kind === "unauthorized" ? this.remedy() : ""
    return new ApiRefusal(`${this.place}: ${printable(detail)}${remedy}`, status, kind)
  }

  private remedy(): string {
    if (this.authorization !== undefined) return ""
    return "; --token-file, or $MANJU_ADMIN_TOKEN, gives the token, $MANJU_ADMIN_PASSWORD the password"
  }

  private noManju(status: number): ApiRefusal {
    return new ApiRefusal(
      `${this.place} answers as no manju does (${status}); --url says where one is`,
      status,
      undefined,
    )
  }
}

/** A token is more than a password, what is said here more than what the environment says. */
async function authorizationOf(flags: AdminFlags, url: URL, environment: Environment): Promise<string | undefined> {
  const token = flags.token ?? (flags.tokenFile === undefined ? undefined : await secretIn(flags.tokenFile))
  if (token !== undefined) return `Bearer ${token}`
  if (url.username !== "") return basic(decoded(url.username), decoded(url.password))
  const known = await secretOf("MANJU_ADMIN_TOKEN", environment)
  if (known !== undefined) return `Bearer ${known}`
  const password = await secretOf("MANJU_ADMIN_PASSWORD", environment)
  return password === undefined ? undefined : basic(environment.MANJU_ADMIN_USER ?? "admin", password)
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new ManjuError("INVALID_OPTION", "--url: a % in a user name or password is written %25")
  }
}

function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`
}

async function secretOf(variable: string, environment: Environment): Promise<string | undefined> {
  const path = environment[`${variable}_FILE`]
  return environment[variable] || (path ? secretIn(path) : undefined)
}

/** A file ends with a line feed, a secret does not. */
async function secretIn(path: string): Promise<string> {
  return (await readText(path)).replace(/\r?\n$/, "")
}

/** Undefined: the text is no problem of a manju's. */
function problemIn(text: string): { kind: ProblemKind; detail: string } | undefined {
  try {
    const { type, detail } = JSON.parse(text) as { type?: unknown; detail?: unknown }
    if (typeof type !== "string" || typeof detail !== "string" || !type.startsWith("urn:manju:")) return undefined
    return { kind: type.slice("urn:manju:".length) as Problem["kind"], detail }
  } catch {
    return undefined
  }
}

function own(words: Readonly<Record<string, string>>, code: string): string | undefined {
  return Object.hasOwn(words, code) ? words[code] : undefined
}

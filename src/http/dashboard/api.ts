/**
 * The admin API, as the page asks it. What goes wrong is thrown as an `ApiError`, which `<Problem>` shows.
 *
 * Who the operator is, is kept for this tab alone, and sent with every request by this code, never by the browser by itself: so no page of
 * another site can use it.
 */
import { signal } from "@preact/signals"
import type { Answers, ProblemBody } from "./types.ts"

const STORED_UNDER = "manju.authorization"
/** From wherever the page is: a proxy may have it below a path. */
const BASE = "api/v1/"

/** What a query may hold; what is undefined or empty is left out. */
export type Query = Record<string, string | number | boolean | undefined>

/** Why the API has not done what it was asked for, or that it could not be reached. */
export class ApiError extends Error {
  /** 0: there was no answer. */
  readonly status: number
  /** The name of the kind of problem, as `not-found`. */
  readonly kind: string
  readonly title: string
  readonly parts: readonly { name: string; detail: string }[]
  /** How long to wait before the next try, where it is said. */
  readonly retryAfterSeconds: number | undefined

  constructor(status: number, { type, title, detail, errors }: Partial<ProblemBody>, retryAfterSeconds?: number) {
    super(detail ?? "")
    this.name = "ApiError"
    this.status = status
    this.kind = type?.replace(/^urn:manju:/, "") ?? "unknown"
    this.title = title ?? `The broker has answered ${status}`
    this.parts = errors ?? []
    this.retryAfterSeconds = retryAfterSeconds
  }
}

/** Why the page is shut: it has to be logged in to, or may not be used from here. Undefined: it is open, as far as known. */
export const refusal = signal<ApiError | undefined>(undefined)

const authorization = signal(sessionStorage.getItem(STORED_UNDER) ?? undefined)
/** Whether there is something to log out of. */
export const isLoggedIn = () => authorization.value !== undefined

/** Shows the API a token, or a user's password, and keeps it if that is right. Throws an `ApiError`. */
export async function logIn(shown: { token: string } | { user: string; password: string }): Promise<void> {
  const value = "token" in shown ? `Bearer ${shown.token}` : `Basic ${base64(`${shown.user}:${shown.password}`)}`
  await answered(await request("GET", "log-level", {}, undefined, { Authorization: value }), [409])
  sessionStorage.setItem(STORED_UNDER, value)
  authorization.value = value
  refusal.value = undefined
}

export function logOut(): void {
  sessionStorage.removeItem(STORED_UNDER)
  authorization.value = undefined
  location.reload() // and nothing of what was shown stays in memory
}

/** `get("clients", { text: "sensor" })` */
export async function get<Path extends keyof Answers>(
  path: Path,
  query: Query = {},
  stop?: AbortSignal,
): Promise<Answers[Path]> {
  return (await open("GET", path, query, undefined, stop)).json()
}

/** `post("publish", { topic, payload })`. Gives what the API gives: undefined where that is nothing. */
export function post<Result = void>(path: string, body?: unknown): Promise<Result> {
  return change("POST", path, {}, body)
}

export function put<Result = void>(path: string, body: unknown): Promise<Result> {
  return change("PUT", path, {}, body)
}

export function patch<Result = void>(path: string, body: unknown): Promise<Result> {
  return change("PATCH", path, {}, body)
}

/** `remove("client", { clientId })` */
export function remove<Result = void>(path: string, query: Query): Promise<Result> {
  return change("DELETE", path, query)
}

async function change<Result>(method: string, path: string, query: Query, body?: unknown): Promise<Result> {
  const response = await open(method, path, query, body)
  return response.status === 204 ? (undefined as Result) : response.json()
}

/** An answer that is one of success. Throws an `ApiError`; one that shuts the page out is told to all of it. */
export async function open(
  method: string,
  path: string,
  query: Query,
  body?: unknown,
  stop?: AbortSignal,
): Promise<Response> {
  const shown: Record<string, string> = authorization.value === undefined ? {} : { Authorization: authorization.value }
  const response = await request(method, path, query, body, shown, stop)
  try {
    return await answered(response)
  } catch (error) {
    if (error instanceof ApiError && isShut(error)) shut(error)
    throw error
  }
}

function isShut({ status, kind }: ApiError): boolean {
  return status === 401 || kind === "not-open-to-others" || kind === "other-site"
}

/** What has been shown is not right any more: it is not shown again, since too many wrong ones keep everybody waiting. */
function shut(error: ApiError): void {
  sessionStorage.removeItem(STORED_UNDER)
  authorization.value = undefined
  refusal.value = error
}

async function request(
  method: string,
  path: string,
  query: Query,
  body: unknown,
  headers: Record<string, string>,
  signal?: AbortSignal,
): Promise<Response> {
  const asked = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") asked.set(name, String(value))
  }
  const init: RequestInit = { method, headers, cache: "no-store", credentials: "omit", signal: signal ?? null }
  if (body !== undefined) {
    init.headers = { ...headers, "Content-Type": "application/json" }
    init.body = JSON.stringify(body)
  }
  try {
    return await fetch(`${BASE}${path}${asked.size === 0 ? "" : `?${asked}`}`, init)
  } catch (error) {
    if (signal?.aborted) throw error
    throw new ApiError(0, {
      type: "urn:manju:unreachable",
      title: "The broker cannot be reached",
      detail: "It may have been stopped, or the network between is down.",
    })
  }
}

/** `alsoFine`: statuses of which nothing is wrong this time. */
async function answered(response: Response, alsoFine: readonly number[] = []): Promise<Response> {
  if (response.ok || alsoFine.includes(response.status)) return response
  const isProblem = response.headers.get("content-type")?.startsWith("application/problem+json")
  const body: Partial<ProblemBody> = isProblem ? await response.json() : { detail: await response.text() }
  const wait = Number(response.headers.get("retry-after") ?? Number.NaN)
  throw new ApiError(response.status, body, Number.isFinite(wait) ? wait : undefined)
}

/** Of the UTF-8 of a text. */
function base64(text: string): string {
  return btoa(String.fromCodePoint(...new TextEncoder().encode(text)))
}

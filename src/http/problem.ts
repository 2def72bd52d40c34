/** What has gone wrong with a request, as `application/problem+json`. RFC 9457 */
import { type ErrorCode, ManjuError } from "../broker/errors.ts"

/** Every kind of problem: its status, and what it is called. A program goes by `type`, which is the name behind `urn:manju:`. */
export const problemKinds = {
  "invalid-request": [400, "The request makes no sense"],
  unauthorized: [401, "Who are you?"],
  "not-open-to-others": [403, "The admin API is closed to other machines"],
  "other-site": [403, "Pages of other sites may not do this"],
  "needs-credentials": [403, "Not without a token or a password"],
  "not-found": [404, "There is no such thing"],
  "method-not-allowed": [405, "That cannot be done with it"],
  conflict: [409, "It cannot be done now"],
  "not-json": [415, "A body has to be JSON"],
  "too-many": [429, "Too many at once"],
  fault: [500, "A fault of the broker's own"],
  unavailable: [503, "The broker cannot do that at the moment"],
} as const satisfies Record<string, [status: number, title: string]>

export type ProblemKind = keyof typeof problemKinds

/** Something wrong with a part of the request. */
export interface ProblemPart {
  /** A parameter of the query, or of the body a path such as `properties.contentType`. */
  readonly name: string
  readonly detail: string
}

/** Thrown wherever a request cannot be served; `detail` says what to do. */
export class Problem extends Error {
  readonly kind: ProblemKind
  readonly headers: Record<string, string>
  readonly parts: readonly ProblemPart[] | undefined

  constructor(kind: ProblemKind, detail: string, headers: Record<string, string> = {}, parts?: readonly ProblemPart[]) {
    super(detail)
    this.name = "Problem"
    this.kind = kind
    this.headers = headers
    this.parts = parts
  }

  get status(): number {
    return problemKinds[this.kind][0]
  }

  toResponse(): Response {
    const [status, title] = problemKinds[this.kind]
    const body = { type: `urn:manju:${this.kind}`, title, status, detail: this.message, errors: this.parts }
    return Response.json(body, {
      status,
      headers: { ...commonHeaders, ...this.headers, "Content-Type": "application/problem+json" },
    })
  }
}

/** Of every answer that is the operator's: nobody keeps it, nobody takes it for what it is not. */
export const commonHeaders = { "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff" }

const kindsByCode: Partial<Record<ErrorCode, ProblemKind>> = {
  INVALID_OPTION: "invalid-request",
  INVALID_TOPIC: "invalid-request",
  INVALID_PAYLOAD: "invalid-request",
  STORE_FAILED: "unavailable",
  CLOSED: "unavailable",
}

/** The problem that an error is to whoever asked; undefined: a fault of ours. */
export function problemOf(error: unknown): Problem | undefined {
  if (error instanceof Problem) return error
  const kind = error instanceof ManjuError ? kindsByCode[error.code] : undefined
  return kind && new Problem(kind, (error as Error).message)
}

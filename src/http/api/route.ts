/**
 * A route of the admin API: one object from which it is served, checked and described. What is asked stands in the query and in a JSON
 * body, never in the path: client ids and topics are chosen by strangers, and `..` or `a/b` would be another path.
 */
import type * as v from "valibot"
import type { Operable } from "../../broker/admin.ts"
import type { Core } from "../../broker/core.ts"
import type { Live } from "../live.ts"
import type { ProblemKind } from "../problem.ts"

export type Method = "GET" | "PUT" | "POST" | "PATCH" | "DELETE"

/** What the handlers of all routes act on. */
export interface Tools {
  readonly core: Core
  readonly broker: Operable
  readonly live: Live
  /** Whether whoever asks has shown a token or a password. */
  readonly isProtected: boolean
}

/** The parameters of a query: texts, numbers, and true or false, as the schema says. */
export type QuerySchema = v.StrictObjectSchema<v.ObjectEntries, undefined>

/** A request whose parts have been checked. */
export interface Call<Query, Body> {
  readonly query: Query
  readonly body: Body
}

/** What a route takes and gives; without `query` or `body` it takes none, without `result` it gives 204. */
export interface Definition<Query extends QuerySchema, Body extends v.GenericSchema, Result extends v.GenericSchema> {
  readonly method: Method
  readonly path: `/api/v1/${string}`
  /** What programs that are made from the description call it. */
  readonly id: string
  readonly summary: string
  readonly description?: string
  readonly query?: () => Query
  readonly body?: () => Body
  readonly result?: () => Result
  /** Default: `application/json`. */
  readonly contentType?: string
  /** What can go wrong beside what can everywhere, and when. */
  readonly problems?: Partial<Record<ProblemKind, string>>
  handle(call: Call<v.InferOutput<Query>, v.InferOutput<Body>>, tools: Tools): Answer<Result> | Promise<Answer<Result>>
}

/** What is sent as JSON; a response is sent as it is. */
type Answer<Result extends v.GenericSchema> = Sendable<v.InferInput<Result>> | Response

/** Nobody writes to what is only sent. */
type Sendable<Value> = Value extends object ? { readonly [name in keyof Value]: Sendable<Value[name]> } : Value

/** Any route, as the server and the description see it. */
export type Route = Omit<Definition<QuerySchema, v.GenericSchema, v.GenericSchema>, "handle"> & {
  handle(call: Call<never, never>, tools: Tools): unknown
}

/** A route of the table; its schemas are made when they are needed first. */
export function route<
  Query extends QuerySchema = v.StrictObjectSchema<Record<never, never>, undefined>,
  Body extends v.GenericSchema = v.UndefinedSchema<undefined>,
  Result extends v.GenericSchema = v.VoidSchema<undefined>,
>(definition: Definition<Query, Body, Result>): Route {
  const { query, body, result } = definition
  return {
    ...definition,
    ...(query && { query: once(query) }),
    ...(body && { body: once(body) }),
    ...(result && { result: once(result) }),
  } as Route
}

/** Makes something when it is asked for first, and gives it from then on. */
export function once<Value>(make: () => Value): () => Value {
  let made: { readonly value: Value } | undefined
  return () => {
    made ??= { value: make() }
    return made.value
  }
}

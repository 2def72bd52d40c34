/** The admin API: finds the route, checks what is asked against its schemas, and sends what it gives as JSON. */
import * as v from "valibot"
import type { Core } from "../../broker/core.ts"
import type { Live } from "../live.ts"
import { commonHeaders, Problem, type ProblemPart } from "../problem.ts"
import { clientRoutes } from "./clients.ts"
import { explainRoutes } from "./explain.ts"
import { messageRoutes } from "./messages.ts"
import { describeApi } from "./openapi.ts"
import { operationRoutes } from "./operation.ts"
import type { Route, Tools } from "./route.ts"

/** Every route but the description itself. */
export const routes: readonly Route[] = [...clientRoutes, ...messageRoutes, ...explainRoutes, ...operationRoutes]

const DESCRIPTION_PATH = "/api/v1/openapi.json"

export class Api {
  private readonly routes = new Map<string, Map<string, Route>>()
  private readonly tools: Tools
  private description: object | undefined

  constructor(core: Core, live: Live, isProtected: boolean) {
    this.tools = { core, broker: core.broker!, live, isProtected }
    for (const route of routes) {
      const methods = this.routes.get(route.path) ?? new Map<string, Route>()
      this.routes.set(route.path, methods.set(route.method, route))
    }
  }

  /** Throws a `Problem`, and what the broker throws. */
  async answer(request: Request): Promise<Response> {
    const pathname = URL.parse(request.url)?.pathname // none where a Host header makes no URL
    if (pathname === DESCRIPTION_PATH && request.method === "GET") {
      this.description ??= describeApi(routes)
      return Response.json(this.description, { headers: commonHeaders })
    }
    const methods = this.routes.get(pathname ?? "")
    if (methods === undefined)
      throw new Problem("not-found", `there is no ${pathname}; ${DESCRIPTION_PATH} says what there is`)
    const route = methods.get(request.method)
    if (route === undefined) {
      const allowed = [...methods.keys()].join(", ")
      throw new Problem("method-not-allowed", `${pathname} takes ${allowed}, not ${request.method}`, { Allow: allowed })
    }
    const call = { query: queryOf(request, route), body: await bodyOf(request, route) }
    const result = await route.handle(call as { query: never; body: never }, this.tools)
    if (result instanceof Response) return result
    if (result === undefined) return new Response(null, { status: 204, headers: commonHeaders })
    return Response.json(result, { headers: commonHeaders })
  }
}

function queryOf(request: Request, route: Route): unknown {
  const entries = route.query?.().entries ?? {}
  const given = new URL(request.url).searchParams
  const parts: ProblemPart[] = []
  for (const name of new Set(given.keys())) {
    if (!Object.hasOwn(entries, name)) {
      const known = Object.keys(entries)
      const detail = `is no parameter; ${known.length === 0 ? "it takes none" : `there are ${known.join(", ")}`}`
      parts.push({ name, detail })
    } else if (given.getAll(name).length > 1) parts.push({ name, detail: "stands there more than once" })
  }
  if (parts.length > 0) throw invalid("the query", parts)
  const query = Object.fromEntries(Array.from(given, ([name, text]) => [name, read(text, entries[name]!)]))
  return route.query && checked("the query", route.query(), query)
}

/** A parameter as what its schema takes; what is none of that stays the text that it is. */
function read(text: string, schema: v.GenericSchema): unknown {
  const { type } = "wrapped" in schema ? (schema.wrapped as v.GenericSchema) : schema
  if (type === "number" && text.trim() !== "" && Number.isFinite(Number(text))) return Number(text)
  if (type === "boolean" && (text === "true" || text === "false")) return text === "true"
  return text
}

async function bodyOf(request: Request, { body }: Route): Promise<unknown> {
  if (body === undefined) return undefined
  const type = request.headers.get("content-type") ?? ""
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    throw new Problem("not-json", `the body has to be application/json, not ${type === "" ? "of no type" : type}`)
  }
  const json = await request.json().catch((error) => {
    throw new Problem("not-json", `the body is not JSON: ${error instanceof Error ? error.message : error}`)
  })
  return checked("the body", body(), json)
}

function checked(what: string, schema: v.GenericSchema, value: unknown): unknown {
  const { success, output, issues } = v.safeParse(schema, value)
  if (success) return output
  throw invalid(
    what,
    issues.map((issue) => ({ name: v.getDotPath(issue) ?? what, detail: issue.message })),
  )
}

function invalid(what: string, parts: readonly ProblemPart[]): Problem {
  const [first] = parts
  const detail =
    first === undefined ? `${what} makes no sense` : `${what} makes no sense: ${first.name}: ${first.detail}`
  return new Problem("invalid-request", detail, {}, parts)
}

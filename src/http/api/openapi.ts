/** The description of the admin API, made from what serves it. */
import { toJsonSchemaDefs } from "@valibot/to-json-schema"
import type * as v from "valibot"
import { version } from "../../version.ts"
import { type ProblemKind, problemKinds } from "../problem.ts"
import { liveEvents } from "./live-schemas.ts"
import type { Route } from "./route.ts"
import { components, problem } from "./schemas.ts"

/** What can go wrong with any request. */
const everywhere: Partial<Record<ProblemKind, string>> = {
  "invalid-request": "The request makes no sense.",
  unauthorized: "There is a token or a password, and it has not been shown.",
  "not-open-to-others": "Others can reach this listener, and there is neither a token nor a password.",
  "other-site": "A page of another site has sent this.",
  "too-many": "Too many wrong tokens or passwords have come from this address.",
}
const ofBodies: Partial<Record<ProblemKind, string>> = { "not-json": "The body is not JSON." }

/** An OpenAPI 3.1 document. */
export function describeApi(routes: readonly Route[]): object {
  const schemas = schemasOf(routes)
  const problemSchema = schemas.of(problem)

  const paths: Record<string, Record<string, object>> = {}
  for (const route of routes) {
    const { method, path, id, summary, description, query, body, result, contentType = "application/json" } = route
    const success =
      result === undefined
        ? { 204: { description: "Done." } }
        : { 200: content("It is so.", contentType, schemas.of(result)) }
    const problems = { ...everywhere, ...(body && ofBodies), ...route.problems }
    paths[path] = {
      ...paths[path],
      [method.toLowerCase()]: {
        operationId: id,
        summary,
        ...(description !== undefined && { description }),
        ...(query !== undefined && { parameters: parametersOf(schemas.of(query)) }),
        ...(body !== undefined && {
          requestBody: { required: true, ...content(undefined, "application/json", schemas.of(body)) },
        }),
        responses: { ...success, ...problemResponses(problems, problemSchema) },
      },
    }
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "manju",
      version,
      summary: "The admin API of an MQTT broker",
      description:
        "Times are milliseconds since 1970. Lists come in pages: `next` is the cursor of the following one. Errors are `application/problem+json`. Without a token and a password it is for the processes of the broker's machine alone.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/" }],
    security: [{}, { token: [] }, { password: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: "http", scheme: "bearer" }, password: { type: "http", scheme: "basic" } },
      schemas: schemas.named,
    },
  }
}

function content(description: string | undefined, type: string, schema: object): object {
  return { ...(description !== undefined && { description }), content: { [type]: { schema } } }
}

/** Several kinds of problem may have one status. */
function problemResponses(problems: Partial<Record<ProblemKind, string>>, schema: object): Record<string, object> {
  const byStatus = new Map<number, string[]>()
  for (const [kind, when] of Object.entries(problems)) {
    const [status] = problemKinds[kind as ProblemKind]
    byStatus.set(status, [...(byStatus.get(status) ?? []), `${when} (\`urn:manju:${kind}\`)`])
  }
  return Object.fromEntries(
    Array.from(byStatus, ([status, lines]) => [status, content(lines.join(" "), "application/problem+json", schema)]),
  )
}

type Make = () => v.GenericSchema

/** All schemas in JSON: those with a name, and, of the others, what stands where they are. */
function schemasOf(routes: readonly Route[]): { named: Record<string, object>; of(make: Make): object } {
  const ids = new Map<v.GenericSchema, string>(Array.from(components, ([id, make]) => [make(), id]))
  const used = [...Object.values(liveEvents), ...routes.flatMap(({ query, body, result }) => [query, body, result])]
  for (const make of used) if (make !== undefined && !ids.has(make())) ids.set(make(), `${ids.size}`)
  const definitions = Object.fromEntries(Array.from(ids, ([schema, id]) => [id, schema]))
  const converted = toJsonSchemaDefs(definitions, {
    target: "draft-2020-12",
    ignoreActions: ["check"],
    overrideRef: ({ referenceId }) => `#/components/schemas/${referenceId}`,
  })
  return {
    named: Object.fromEntries([...components.keys()].sort().map((id) => [id, plain(converted[id]!)])),
    of(make) {
      const id = ids.get(make())!
      return components.has(id) ? { $ref: `#/components/schemas/${id}` } : plain(converted[id]!)
    },
  }
}

/** Without what a schema alone would say of itself. */
function plain({ $schema: _, ...schema }: { $schema?: string | undefined }): object {
  return schema
}

interface ObjectSchema {
  readonly properties?: Record<string, { description?: string }>
  readonly required?: readonly string[]
}

function parametersOf(query: ObjectSchema): object[] {
  return Object.entries(query.properties ?? {}).map(([name, { description, ...schema }]) => ({
    name,
    in: "query",
    required: query.required?.includes(name) ?? false,
    ...(description !== undefined && { description }),
    schema,
  }))
}

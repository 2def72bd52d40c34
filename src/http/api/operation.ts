/** The broker itself: how it is, what bounds it, and what can be done with it while it runs. */
import * as v from "valibot"
import { ManjuError } from "../../broker/errors.ts"
import { Problem } from "../problem.ts"
import { given } from "./clients.ts"
import { type Route, route } from "./route.ts"
import {
  described,
  limits,
  limitsReport,
  listener,
  logLevel,
  metrics,
  reloadReport,
  someLimits,
  text,
  wholeNumber,
} from "./schemas.ts"

export const operationRoutes: Route[] = [
  route({
    method: "GET",
    path: "/api/v1/metrics",
    id: "getMetrics",
    summary: "The figures now; `/metrics` has them for Prometheus",
    result: metrics,
    handle: (_, { broker }) => broker.admin.metrics(),
  }),
  route({
    method: "GET",
    path: "/api/v1/listeners",
    id: "listListeners",
    summary: "The listeners that are open",
    result: () => v.array(listener()),
    handle: (_, { broker }) => broker.admin.listeners(),
  }),
  route({
    method: "GET",
    path: "/api/v1/limits",
    id: "getLimits",
    summary: "The limits that hold",
    result: limits,
    handle: (_, { broker }) => broker.admin.limits(),
  }),
  route({
    method: "PATCH",
    path: "/api/v1/limits",
    id: "setLimits",
    summary: "Changes limits, until the next start",
    body: someLimits,
    result: limitsReport,
    handle: ({ body }, { broker }) => broker.admin.setLimits(given(body)),
  }),
  route({
    method: "GET",
    path: "/api/v1/log-level",
    id: "getLogLevel",
    summary: "Which lines the log keeps",
    result: logLevel,
    problems: { conflict: "There is no logger, or its own level is none of these." },
    handle: (_, { broker }) => ({ level: broker.admin.logLevel() ?? noLevel(), areas: broker.admin.logAreas() }),
  }),
  route({
    method: "PUT",
    path: "/api/v1/log-level",
    id: "setLogLevel",
    summary: "Which lines the log keeps from now on, until the next start",
    body: logLevel,
    description: "Areas that are not named have the level of all.",
    problems: { conflict: "There is no logger, or its own level is none of these." },
    handle({ body: { level, areas } }, { broker }) {
      if (broker.admin.logLevel() === undefined) noLevel()
      broker.admin.setLogLevel(level, areas)
    },
  }),
  route({
    method: "POST",
    path: "/api/v1/reload",
    id: "reload",
    summary: "Reads passwords, access rules, keys, certificates and the configuration again",
    description:
      "Files of auths and certificates are looked at shortly afterwards; what is wrong with one is in the log.",
    result: reloadReport,
    handle: (_, { broker }) => broker.admin.reload(),
  }),
  route({
    method: "POST",
    path: "/api/v1/backup",
    id: "backup",
    summary: "Copies what the store holds to a file on the broker's machine, while it goes on",
    description: "It writes a file, so it takes a token or a password, also on loopback.",
    body: () =>
      v.strictObject({ path: described(v.pipe(v.string(), v.nonEmpty()), "Where; nothing may be there yet") }),
    problems: {
      "needs-credentials": "Neither a token nor a password is set.",
      conflict: "There is no store that can be copied, or there is a file already.",
      unavailable: "The copy has failed.",
    },
    async handle({ body: { path } }, { broker, isProtected }) {
      if (!isProtected)
        throw new Problem("needs-credentials", "a backup writes a file: set admin.token or admin.password")
      await broker.admin.backup(path).catch((error) => {
        if (error instanceof ManjuError && error.code === "INVALID_OPTION") throw new Problem("conflict", error.message)
        throw error
      })
    },
  }),
  route({
    method: "GET",
    path: "/api/v1/live",
    id: "live",
    summary: "What happens, as it happens: Server-Sent Events",
    description:
      "`event: figures` once a second, from the first second on (`LiveFigures`); what else is asked for at most once a second: `event: log` (`LiveLog`), `event: topics` (`LiveTopics`), `event: clients` (`LiveClients`), `event: trace` (`LiveTrace`). The data of each is JSON. A listener that reads too slowly misses events.",
    query: () =>
      v.strictObject({
        log: v.optional(
          described(v.picklist(["debug", "info", "warn", "error"]), "Lines of the log of this level and above"),
        ),
        topics: v.optional(text("What goes over topics that match this filter: the last value of each")),
        clients: v.optional(described(wholeNumber(1, 100), "How many of the busiest clients")),
        trace: v.optional(text("What becomes of each message of topics that match this filter")),
        traceClient: v.optional(text("Of these messages those that this client publishes, or should get")),
      }),
    result: () => v.string(),
    contentType: "text/event-stream",
    problems: { "too-many": "There are too many live streams." },
    handle({ query }, { core, live }) {
      for (const name of ["topics", "trace"] as const) {
        const text = query[name]
        const filter = text === undefined ? undefined : core.parseFilter(text)
        const isFilter = filter !== undefined && filter.shareName === undefined
        if (text !== undefined && !isFilter) throw noFilter(name, text)
      }
      return live.open(query)
    },
  }),
]

function noLevel(): never {
  throw new Problem(
    "conflict",
    "the broker has been given no logger, or one with a level of its own that is none of these",
  )
}

function noFilter(name: string, text: string): Problem {
  return new Problem("invalid-request", `${name} is no topic filter: ${JSON.stringify(text)}`)
}

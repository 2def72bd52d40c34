/** Clients, and what outlives their connections. */
import * as v from "valibot"
import type { ConnectedClient } from "../../broker/hooks.ts"
import { Reason } from "../../codec/index.ts"
import { Problem } from "../problem.ts"
import { type Route, route, type Tools } from "./route.ts"
import {
  client,
  clientDetails,
  described,
  pageOf,
  pageQuery,
  session,
  subscription,
  text,
  wholeNumber,
} from "./schemas.ts"

const oneClient = () => v.strictObject({ clientId: text() })
const notConnected = "There is no such client, or it is not connected."

export const clientRoutes: Route[] = [
  route({
    method: "GET",
    path: "/api/v1/clients",
    id: "listClients",
    summary: "Clients that are connected, by client id",
    query: () =>
      v.strictObject({
        ...pageQuery(),
        text: v.optional(text("Part of the client id, the user name or the address, in small or large letters")),
        username: v.optional(text()),
        listener: v.optional(text("The id of a listener")),
      }),
    result: pageOf(client),
    async handle({ query }, tools) {
      const page = await tools.broker.admin.clients(given(query))
      return { ...page, items: page.items.map((each) => describe(each, tools)) }
    },
  }),
  route({
    method: "GET",
    path: "/api/v1/client",
    id: "getClient",
    summary: "One client that is connected, with its subscriptions",
    query: oneClient,
    result: clientDetails,
    problems: { "not-found": notConnected },
    handle({ query }, tools) {
      const found = connected(query.clientId, tools)
      return { ...describe(found, tools), subscriptions: found.subscriptions.map((each) => ({ ...each })) }
    },
  }),
  route({
    method: "DELETE",
    path: "/api/v1/client",
    id: "disconnectClient",
    summary: "Disconnects a client; its will is due, and its session lives on",
    query: () =>
      v.strictObject({
        clientId: text(),
        reason: v.optional(
          described(wholeNumber(0x80, 0xff), "The reason code that MQTT 5 clients are told"),
          Reason.AdministrativeAction,
        ),
        reasonString: v.optional(text("The same for people")),
      }),
    problems: { "not-found": notConnected },
    handle({ query: { clientId, reason, reasonString } }, tools) {
      connected(clientId, tools).disconnect(reason as Reason, reasonString)
    },
  }),
  route({
    method: "GET",
    path: "/api/v1/sessions",
    id: "listSessions",
    summary: "Sessions, also of clients that are away, by client id",
    query: () =>
      v.strictObject({
        ...pageQuery(),
        text: v.optional(text("Part of the client id or the user name, in small or large letters")),
        username: v.optional(text()),
        isConnected: v.optional(v.boolean()),
      }),
    result: pageOf(session),
    handle: ({ query }, { broker }) => broker.admin.sessions(given(query)),
  }),
  route({
    method: "GET",
    path: "/api/v1/session",
    id: "getSession",
    summary: "One session",
    query: oneClient,
    result: session,
    problems: { "not-found": "There is no such session." },
    handle: ({ query: { clientId } }, { broker }) => broker.admin.session(clientId) ?? noSession(clientId),
  }),
  route({
    method: "DELETE",
    path: "/api/v1/session",
    id: "deleteSession",
    summary: "Ends a session: its client is disconnected, what waits for it is gone, its will is published",
    query: oneClient,
    problems: { "not-found": "There is no such session.", unavailable: "The store fails." },
    async handle({ query: { clientId } }, { broker }) {
      if (!(await broker.admin.deleteSession(clientId))) noSession(clientId)
    },
  }),
  route({
    method: "GET",
    path: "/api/v1/subscriptions",
    id: "listSubscriptions",
    summary: "Subscriptions of clients, by client id and topic filter",
    query: () =>
      v.strictObject({
        ...pageQuery(),
        clientId: v.optional(text()),
        topicFilter: v.optional(text("This very filter")),
        topic: v.optional(text("Those that match this topic name")),
      }),
    result: pageOf(subscription),
    handle: ({ query }, { broker }) => broker.admin.subscriptions(given(query)),
  }),
]

/** Without what has not been given. */
export function given<Query extends object>(query: Query): { [name in keyof Query]: Exclude<Query[name], undefined> } {
  return Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined)) as never
}

function connected(clientId: string, { broker }: Tools): ConnectedClient {
  const found = broker.client(clientId)
  if (found === undefined) throw new Problem("not-found", `no client is connected as ${JSON.stringify(clientId)}`)
  return found
}

function noSession(clientId: string): never {
  throw new Problem("not-found", `there is no session of ${JSON.stringify(clientId)}`)
}

function describe(client: ConnectedClient, { core }: Tools) {
  const { clientId, username, remoteAddress, listener, connectedAt, cleanStart } = client
  const { keepAliveSeconds, sessionExpirySeconds, inflightMessages, queuedMessages, backlogBytes, counters } = client
  return {
    ...{ clientId, username, remoteAddress, listener },
    protocol: (["3.1", "3.1.1", "5.0"] as const)[client.protocolLevel - 3]!,
    connectedAt: Math.round(connectedAt),
    ...{ cleanStart, keepAliveSeconds, sessionExpirySeconds },
    subscriptions: core.sessions.get(clientId)?.subscriptions.size ?? 0,
    ...{ inflightMessages, queuedMessages, backlogBytes, ...counters },
  }
}

/** Messages: those that are retained, and new ones. */
import * as v from "valibot"
import type { ApplicationMessage, PublishProperties } from "../../broker/application-message.ts"
import { showPayload } from "../payload.ts"
import { Problem } from "../problem.ts"
import { given } from "./clients.ts"
import { type Route, route } from "./route.ts"
import { count, described, pageOf, pageQuery, publication, retainedMessage, text, wholeNumber } from "./schemas.ts"

const LARGEST_PREVIEW_BYTES = 1024
const oneTopic = () => v.strictObject({ topic: text("A topic name") })
const nothingRetained = "Nothing is retained there."

export const messageRoutes: Route[] = [
  route({
    method: "GET",
    path: "/api/v1/retained-messages",
    id: "listRetainedMessages",
    summary: "Retained messages, by topic",
    query: () =>
      v.strictObject({
        ...pageQuery(),
        topicFilter: v.optional(text("`#`: all but those below `$SYS`"), "#"),
        previewBytes: v.optional(
          described(wholeNumber(0, LARGEST_PREVIEW_BYTES), "How much of each payload to show"),
          0,
        ),
      }),
    result: pageOf(retainedMessage),
    async handle({ query: { previewBytes, ...query } }, { broker }) {
      const page = await broker.admin.retained(given(query))
      return { ...page, items: page.items.map((message) => show(message, previewBytes)) }
    },
  }),
  route({
    method: "DELETE",
    path: "/api/v1/retained-messages",
    id: "deleteRetainedMessages",
    summary: "Forgets the retained messages that a topic filter matches",
    description: "Subscribers are not told; an empty retained message is for that.",
    query: () => v.strictObject({ topicFilter: text("Not below `$SYS`") }),
    result: () => v.strictObject({ deleted: count("How many there were") }),
    problems: { unavailable: "The store fails." },
    handle: async ({ query }, { broker }) => ({ deleted: await broker.admin.deleteRetained(query.topicFilter) }),
  }),
  route({
    method: "GET",
    path: "/api/v1/retained-message",
    id: "getRetainedMessage",
    summary: "What is retained for a topic, whole",
    query: oneTopic,
    result: retainedMessage,
    problems: { "not-found": nothingRetained },
    handle({ query: { topic } }, { broker }) {
      const message = broker.admin.retainedMessage(topic)
      return message === undefined ? nothing(topic) : show(message, message.payload.length)
    },
  }),
  route({
    method: "DELETE",
    path: "/api/v1/retained-message",
    id: "deleteRetainedMessage",
    summary: "Forgets what is retained for a topic",
    query: oneTopic,
    problems: { "not-found": nothingRetained, unavailable: "The store fails." },
    async handle({ query: { topic } }, { broker }) {
      if (broker.admin.retainedMessage(topic) === undefined) nothing(topic)
      await broker.admin.deleteRetained(topic)
    },
  }),
  route({
    method: "POST",
    path: "/api/v1/publish",
    id: "publish",
    summary: "Publishes a message; answers when the broker has it, at QoS 1 and 2 durably",
    description: "It is the broker's own: no access rules are asked, and no hooks that decide on messages.",
    body: publication,
    problems: { unavailable: "It must be stored, and the store fails." },
    async handle({ body: { topic, payload, payloadBase64, json, properties, ...options } }, { broker }) {
      const bytes = payloadBase64 === undefined ? undefined : Buffer.from(payloadBase64, "base64")
      const characters = json === undefined ? (payload ?? "") : textOf(json)
      const { correlationDataBase64: correlation, ...rest } = properties ?? {}
      const travelling: PublishProperties = {
        ...given(rest),
        ...(correlation !== undefined && { correlationData: Buffer.from(correlation, "base64") }),
      }
      await broker.publish(topic, bytes ?? characters, { ...options, properties: travelling })
    },
  }),
]

function textOf(json: unknown): string {
  try {
    return JSON.stringify(json)
  } catch (error) {
    throw new Problem("invalid-request", `json cannot be sent: ${error instanceof Error ? error.message : error}`)
  }
}

function nothing(topic: string): never {
  throw new Problem("not-found", `nothing is retained for ${JSON.stringify(topic)}`)
}

function show({ topic, qos, payload, properties }: ApplicationMessage, mostBytes: number) {
  const { correlationData, userProperties, ...rest } = properties
  const shown = {
    ...given(rest),
    ...(userProperties !== undefined && {
      userProperties: userProperties.map(([name, value]) => [name, value] as const),
    }),
    ...(correlationData !== undefined && { correlationDataBase64: Buffer.from(correlationData).toString("base64") }),
  }
  const hasProperties = Object.keys(shown).length > 0
  return {
    ...{ topic, qos, ...showPayload(payload.subarray(0, mostBytes), payload.length) },
    ...(hasProperties && { properties: shown }),
  }
}

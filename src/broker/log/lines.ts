/** What the broker says of messages and sessions, and of what has failed: in words, and in fields. */
import { reasonName } from "../../codec/index.ts"
import type { DropReason, Message, Session } from "../../session/index.ts"
import type { Client } from "../ports.ts"
import type { Log } from "./log.ts"
import { brief, fieldsOf, nameOf, type Who } from "./who.ts"

/** Who clients are, where that is known. */
interface Directory {
  readonly logger: Log
  readonly clients: { get(clientId: string): { readonly client: Client | undefined } | undefined }
  readonly sessions: { get(clientId: string): Session | undefined }
}

/** Stands for the client of a message that there is no room to retain: it was for nobody in particular. */
const NOBODY = "-"

/** A message is dropped. */
export function sayDropped(
  { logger, clients, sessions }: Directory,
  reason: DropReason,
  clientId: string,
  message: Message,
  whose: "sender" | "receiver",
): void {
  const kind = whose === "sender" ? "droppedFrom" : "droppedFor"
  if (!logger.admits(kind, "info", clientId, reason)) return
  const topic = brief(message.topic.name)
  if (clientId === NOBODY) {
    logger.info(`dropped ${topic}: ${reason}`, { area: "message", topic, reason })
    return
  }
  const who = clients.get(clientId)?.client ?? { clientId, username: sessions.get(clientId)?.username }
  const side = whose === "sender" ? "from" : "for"
  logger.info(`dropped ${side} ${nameOf(who)}: ${topic}: ${reason}`, {
    area: "message",
    ...fieldsOf(who),
    topic,
    reason,
  })
}

export function sayExpired(logger: Log, session: Session): void {
  if (!logger.admits("expired", "info", session.clientId)) return
  logger.info(`session expired: ${nameOf(session)}`, { area: "client", ...fieldsOf(session) })
}

/** Something of the service's around the broker has failed, or of our own, and may fail again and again. */
export function sayFailed(logger: Log, kind: "service" | "fault", error: unknown, what: string): void {
  if (!logger.admits(kind, "error", brief(String(error)))) return
  logger.error(`${what}: ${error instanceof Error ? error.stack : error}`, { area: "broker" })
}

/** An auth has failed at a client. */
export function sayAuthFailed(logger: Log, error: unknown, client: Who, topicName: string | undefined): void {
  if (!logger.admits("auth", "error", brief(String(error)))) return
  const [on, topic] = topicName === undefined ? ["", {}] : [` on ${brief(topicName)}`, { topic: brief(topicName) }]
  logger.error(`auth failed for ${nameOf(client)}${on}: ${error}`, { area: "auth", ...fieldsOf(client), ...topic })
}

/** The reason as a field. */
export function reasonField(reason: number): { readonly reason: string } {
  return { reason: reasonName(reason) }
}

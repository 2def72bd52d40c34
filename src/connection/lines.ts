/** What the log says of clients: who, in words and in fields, and why. Nothing is put together that is not said. */

import type { KindName } from "../broker/log/kinds.ts"
import { sourceOf } from "../broker/log/limiter.ts"
import { reasonField } from "../broker/log/lines.ts"
import type { LineDetails, Log } from "../broker/log/log.ts"
import { brief, fieldsOf, nameOf, type Who } from "../broker/log/who.ts"
import type { LogDetails } from "../broker/ports.ts"
import { describeReason, type ProtocolLevel, Reason } from "../codec/index.ts"

/** A connection, as far as its lines need it. */
export interface SpokenOf {
  readonly core: { readonly logger: Log }
  readonly client: Who | undefined
  readonly connecting: Who | undefined
  readonly connect: { readonly clientId: string } | undefined
  readonly level: ProtocolLevel
  readonly transport: { readonly remoteAddress: string }
  readonly serving: { readonly id: string }
}

const versions = { 3: "3.1", 4: "3.1.1", 5: "5.0" } as const
/** How the broker ends connections when all is well. */
const ordinary: readonly Reason[] = [Reason.SessionTakenOver, Reason.ServerShuttingDown]

/** Who is on a connection, as far as it has said so. */
export function whoOf({ client, connecting, connect, transport, serving }: SpokenOf): Who {
  const { remoteAddress } = transport
  const { clientId, username } = client ?? connecting ?? { clientId: connect?.clientId, username: undefined }
  return { clientId, username, remoteAddress, listener: serving.id }
}

export function sayConnected(link: SpokenOf, isPresent: boolean): void {
  if (!admits(link, "connected")) return
  const who = whoOf(link)
  const resumed = isPresent ? ", session resumed" : ""
  const line = `connected ${nameOf(who)} on ${link.serving.id}: MQTT ${versions[link.level]}${resumed}`
  link.core.logger.info(line, about(who))
}

/** It has gone by itself; `reason`: what its DISCONNECT says, undefined: there was none. */
export function sayDisconnected(link: SpokenOf, reason: Reason | undefined): void {
  if (!admits(link, "disconnected")) return
  const who = whoOf(link)
  const why = reason === undefined ? ": without a DISCONNECT" : reason === Reason.Success ? "" : because(reason)
  link.core.logger.info(`disconnected ${nameOf(who)}${why}`, about(who, reason ? reasonField(reason) : {}))
}

/** It is not let in. `warning`: what the log says, louder, in place of what the client is told. */
export function sayRefused(
  link: SpokenOf,
  reason: Reason,
  told: string | undefined,
  warning: string | undefined,
): void {
  const level = warning === undefined ? "info" : "warn"
  if (!admits(link, "refused", level, reason)) return
  const who = whoOf(link)
  const line = `refused ${nameOf(who)} on ${link.serving.id}${because(reason, warning ?? told)}`
  link.core.logger[level](line, about(who, reasonField(reason)))
}

/** The broker ends it. */
export function sayClosing(link: SpokenOf, reason: Reason, explanation: string | undefined): void {
  const level = ordinary.includes(reason) ? "info" : "warn"
  if (!admits(link, "closing", level, reason)) return
  const who = whoOf(link)
  link.core.logger[level](`closing ${nameOf(who)}${because(reason, explanation)}`, about(who, reasonField(reason)))
}

/** It ends before it has begun: nobody knows who that was. */
export function sayStranger(link: SpokenOf, why: string): void {
  if (!admits(link, "stranger")) return
  const { remoteAddress } = link.transport
  const details = { area: "client", remoteAddress, listener: link.serving.id } as const
  link.core.logger.info(`closing ${remoteAddress} on ${link.serving.id}: ${why}`, details)
}

/** It ends for what came over it, or because its transport has failed. */
export function sayBroken(
  link: SpokenOf,
  kind: KindName & ("misuse" | "transport"),
  level: "debug" | "info" | "warn" | "error",
  why: string,
): void {
  const source = kind === "misuse" ? sourceOf(link.transport.remoteAddress) : why
  if (!link.core.logger.admits(kind, level, source)) return
  const who = whoOf(link)
  link.core.logger[level](`closing ${nameOf(who)} on ${link.serving.id}: ${why}`, about(who))
}

/** A fault of our own ends it. */
export function sayFault(link: SpokenOf, error: unknown): void {
  if (!link.core.logger.admits("fault", "error", brief(String(error)))) return
  const who = whoOf(link)
  const text = error instanceof Error ? error.stack : error
  link.core.logger.error(`closing ${nameOf(who)}: ${text}`, { ...about(who), area: "broker" })
}

/** It may not subscribe to that. */
export function sayNotSubscribed(link: SpokenOf, topicFilter: string, reason: Reason): void {
  sayOf(link, "subscription", `a subscription to ${brief(topicFilter)}`, topicFilter, reason)
}

/** It may not publish that, whoever it is. */
export function sayNotPublished(link: SpokenOf, topic: string, reason: Reason): void {
  sayOf(link, "publication", `a message to ${brief(topic)}`, topic, reason)
}

function sayOf(link: SpokenOf, kind: "subscription" | "publication", what: string, topic: string, reason: Reason) {
  const who = whoOf(link)
  if (!link.core.logger.admits(kind, "info", who.clientId ?? "", reason)) return
  const line = `refused ${nameOf(who)} ${what}${because(reason)}`
  link.core.logger.info(line, { ...about(who, reasonField(reason)), area: "message", topic: brief(topic) })
}

function admits(link: SpokenOf, kind: KindName, level: "info" | "warn" = "info", reason?: Reason): boolean {
  return link.core.logger.admits(kind, level, sourceOf(link.transport.remoteAddress), reason)
}

function because(reason: Reason, explanation?: string): string {
  return `: ${describeReason(reason)}${explanation ? `: ${brief(explanation)}` : ""}`
}

function about(who: Who, more: LogDetails = {}): LineDetails {
  return { area: "client", ...fieldsOf(who), ...more }
}

/** Sessions and subscriptions, as an operator sees them. */
import { NEVER_EXPIRES_SECONDS } from "../../codec/index.ts"
import type { Subscription } from "../../router/index.ts"
import type { Session } from "../../session/index.ts"
import type { SessionInfo, SubscriptionInfo } from "../admin.ts"

export function describeSession(session: Session): SessionInfo {
  const { clientId, username, expirySeconds, disconnectedAt } = session
  const isAway = disconnectedAt !== undefined && expirySeconds !== NEVER_EXPIRES_SECONDS
  return {
    clientId,
    username: username ?? undefined,
    isConnected: session.outlet !== undefined,
    expirySeconds,
    disconnectedAt: disconnectedAt && Math.round(disconnectedAt),
    expiresAt: isAway ? Math.round(disconnectedAt + expirySeconds * 1000) : undefined,
    subscriptions: session.subscriptions.size,
    inflightMessages: session.inflightCount,
    queuedMessages: session.queuedCount,
    queuedBytes: session.queuedBytes,
    willTopic: session.will?.topic.name,
  }
}

export function describeSubscription(subscription: Subscription<Session>): SubscriptionInfo {
  const { subscriber, filter, options, identifiers } = subscription
  return {
    clientId: subscriber.clientId,
    isConnected: subscriber.outlet !== undefined,
    topicFilter: filter.text,
    qos: options.qos,
    noLocal: options.noLocal,
    retainAsPublished: options.retainAsPublished,
    retainHandling: options.retainHandling,
    identifier: identifiers?.[0],
  }
}

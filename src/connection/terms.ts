/**
 * The terms on which a client is in: what it asked for, what it gets, and what CONNACK must tell it of the difference.
 * MQTT 5 §3.2.2.3
 */
import { type Connect, NEVER_EXPIRES_SECONDS, type Properties, Reason } from "../codec/index.ts"
import type { Link } from "./link.ts"

/** How long the session is kept without a connection. */
export function sessionExpirySeconds(link: Link, { level, cleanStart, properties }: Connect): number {
  const asked = level === 5 ? (properties.sessionExpirySeconds ?? 0) : cleanStart ? 0 : NEVER_EXPIRES_SECONDS
  return Math.min(asked, link.core.limits.maximumSessionExpirySeconds)
}

/** Whether a keep-alive, or none, is more than the broker grants. */
export function isAboveKeepAliveCeiling(link: Link, seconds: number): boolean {
  const ceiling = link.core.limits.maximumKeepAliveSeconds
  return ceiling > 0 && (seconds === 0 || seconds > ceiling)
}

/** The keep-alive that holds. */
export function keepAliveSeconds(link: Link, { keepAliveSeconds: asked }: Connect): number {
  return isAboveKeepAliveCeiling(link, asked) ? link.core.limits.maximumKeepAliveSeconds : asked
}

/** What the client is told where it differs from what it would assume. [MQTT-3.2.2-9] to [MQTT-3.2.2-22] */
export function connackProperties(link: Link, connect: Connect, clientId: string, expirySeconds: number): Properties {
  const { limits } = link.serving
  const { maximumPacketBytes, receiveMaximum } = link.core.limits
  const properties: Properties = { maximumPacketBytes }
  if (receiveMaximum < 0xffff) properties.receiveMaximum = receiveMaximum
  if (expirySeconds !== (connect.properties.sessionExpirySeconds ?? 0)) properties.sessionExpirySeconds = expirySeconds
  if (limits.maximumQoS < 2) properties.maximumQoS = limits.maximumQoS
  if (!limits.retainAvailable) properties.retainAvailable = false
  if (connect.clientId === "") properties.assignedClientIdentifier = clientId // [MQTT-3.2.2-16]
  if (limits.topicAliasMaximum > 0) properties.topicAliasMaximum = limits.topicAliasMaximum
  if (!limits.wildcardSubscriptionAvailable) properties.wildcardSubscriptionAvailable = false
  if (!limits.sharedSubscriptionAvailable) properties.sharedSubscriptionAvailable = false
  const keepAlive = keepAliveSeconds(link, connect)
  if (keepAlive !== connect.keepAliveSeconds) {
    link.core.metrics.limitsHit["keep alive"]++
    properties.serverKeepAliveSeconds = keepAlive // [MQTT-3.2.2-21]
  }
  if (connect.properties.requestResponseInformation && limits.responseInformation !== "") {
    properties.responseInformation = limits.responseInformation.replaceAll("%c", clientId)
  }
  return properties
}

/** A client that is silent for one and a half times its keep-alive is gone. [MQTT-3.1.2-22] */
export function startKeepAlive(link: Link, seconds: number): void {
  link.deadline?.cancel()
  link.deadline = undefined
  link.keepAliveSeconds = seconds
  if (seconds === 0) return
  expectPacket(link, link.connectedAt)
}

/** The client was last heard of at `heardAt`. */
function expectPacket(link: Link, heardAt: number): void {
  link.deadline = link.core.timers.schedule(heardAt + silenceMs(link), checkKeepAlive, link)
}

function silenceMs({ keepAliveSeconds }: Link): number {
  return keepAliveSeconds * 1500
}

function checkKeepAlive(link: Link): void {
  const now = link.core.now()
  const heardAt = link.isBusy ? now : link.lastReceivedAt // what it sends meanwhile is not read
  if (now - heardAt < silenceMs(link)) {
    expectPacket(link, heardAt)
    return
  }
  link.core.metrics.limitsHit["keep alive timeout"]++
  link.disconnect(Reason.KeepAliveTimeout)
}

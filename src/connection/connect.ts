/**
 * Letting a client in: CONNECT, the authentication, CONNACK. MQTT 5 §3.1.4, §4.12
 *
 * The order is: can it be served at all, is it who it says, may its will be published; then the session is attached,
 * what that changed becomes durable, CONNACK goes out, and what waits in the session follows.
 */
import { randomUUIDv7 } from "bun"
import type { Connecting, Decision, ExchangeStep, Permission, Refusal } from "../broker/ports.ts"
import {
  type Connect,
  classify,
  decodeAuth,
  decodeConnect,
  encodeAuth,
  encodeConnack,
  NEVER_EXPIRES_SECONDS,
  type Properties,
  type ProtocolLevel,
  Reader,
  Reason,
  Text,
} from "../codec/index.ts"
import type { Will } from "../session/index.ts"
import { decide } from "./decide.ts"
import { type Link, writer } from "./link.ts"
import { isPermitted } from "./receiving.ts"

const reader = new Reader()

export function onConnect(link: Link, bytes: Buffer, body: number, end: number): void | Promise<void> {
  link.core.metrics.connectsReceived++
  const connect = decodeConnect(reader.reset(bytes, body, end))
  if ("reason" in connect) {
    if (connect.level === undefined) return closeUnanswered(link, connect.reason)
    return refuse(link, connect.level, connect)
  }
  link.level = connect.level
  link.connect = connect
  link.wantsProblemInformation = connect.properties.requestProblemInformation ?? true
  link.maximumPacketBytes = connect.properties.maximumPacketBytes ?? link.maximumPacketBytes
  link.receiveMaximum = connect.properties.receiveMaximum ?? 0xffff
  const refusal = cannotServe(link, connect)
  if (refusal !== undefined) return refuse(link, connect.level, refusal)
  link.connecting = {
    clientId: connect.clientId,
    username: connect.username,
    password: connect.password,
    protocolLevel: connect.level,
    cleanStart: connect.cleanStart,
    keepAliveSeconds: connect.keepAliveSeconds,
    userProperties: connect.properties.userProperties ?? [],
    remoteAddress: link.transport.remoteAddress,
    listener: link.serving.id,
  }
  return authenticate(link, link.connecting, connect)
}

/** AUTH: the client's next step of an enhanced authentication, or the first of another one. */
export function onAuth(link: Link, bytes: Buffer, body: number, end: number): void | Promise<void> {
  const auth = decodeAuth(reader.reset(bytes, body, end))
  if (typeof auth === "number") return fail(link, auth)
  const { reason, properties } = auth
  if (link.authenticationMethod === undefined || properties.authenticationMethod !== link.authenticationMethod) {
    return fail(link, Reason.ProtocolError) // [MQTT-4.12.0-5] [MQTT-4.12.1-1]
  }
  if (reason === Reason.ReAuthenticate && link.state === "open" && !link.isReauthenticating) {
    link.exchange = link.serving.auth?.exchange?.(link.connecting!, link.authenticationMethod)
    link.isReauthenticating = true
  } else if (reason !== Reason.ContinueAuthentication || link.exchange === undefined) {
    return fail(link, Reason.ProtocolError)
  }
  return step(link, properties.authenticationData)
}

/** Refuses in the client's own words and closes. */
export function refuse(link: Link, level: ProtocolLevel, { reason, reasonString, serverReference }: Refusal): void {
  link.core.metrics.connectsRefused++
  link.core.logger.info(
    `refused ${link.name} (${link.transport.remoteAddress}) on ${link.serving.id}: 0x${reason.toString(16)}${reasonString ? ` ${reasonString}` : ""}`,
  )
  const properties: Properties = { ...link.problem(reasonString), ...(serverReference && { serverReference }) }
  link.sendPacket(encodeConnack(writer, level, reason, false, properties)) // [MQTT-3.2.2-6]
  link.close(true)
}

/** A connection that is over its listener's or the broker's count. */
export function refuseSurplus(link: Link, bytes: Buffer, body: number, end: number): void {
  const connect = decodeConnect(reader.reset(bytes, body, end))
  refuse(link, connect.level ?? 4, { reason: Reason.ServerBusy, reasonString: "too many connections" })
}

/** Not MQTT, or none that we know how to answer: the connection just ends. [MQTT-3.1.4-1] */
function closeUnanswered(link: Link, reason: Reason): void {
  link.core.metrics.connectsRefused++
  link.core.logger.info(`closing ${link.transport.remoteAddress}: not an MQTT CONNECT (0x${reason.toString(16)})`)
  link.close(true)
}

/** Why this CONNECT cannot be served, whoever sends it. */
function cannotServe(link: Link, connect: Connect): Refusal | undefined {
  const { limits } = link.serving
  const { level, clientId, will } = connect
  if (!limits.protocolLevels.includes(level)) {
    return { reason: Reason.UnsupportedProtocolVersion, reasonString: "this listener does not serve this version" }
  }
  if (clientId === "" && !(limits.assignClientIds && (level === 5 || (level === 4 && connect.cleanStart)))) {
    // [MQTT-3.1.3-8] [v3.1.1 MQTT-3.1.3-8]; MQTT 3.1 knows no empty client id
    return { reason: Reason.ClientIdentifierNotValid, reasonString: "a client identifier is required" }
  }
  if (level !== 5 && isAboveKeepAliveCeiling(link, connect.keepAliveSeconds)) {
    link.core.metrics.limitsHit["keep alive"]++
    return { reason: Reason.ServerUnavailable, reasonString: "keep-alive above the ceiling" }
  }
  if (will === undefined) return undefined
  if (will.qos > limits.maximumQoS) {
    return { reason: Reason.QoSNotSupported, reasonString: `will QoS above ${limits.maximumQoS}` } // [MQTT-3.2.2-12]
  }
  if (will.retain && !limits.retainAvailable) {
    return { reason: Reason.RetainNotSupported, reasonString: "retained messages are switched off" } // [MQTT-3.2.2-13]
  }
  if (link.core.router.topics.named(limits.mountPoint + will.topic) === undefined) {
    return { reason: Reason.TopicNameInvalid, reasonString: "not a topic name for a will" }
  }
  const { payload, properties } = will
  const mustBeText = link.core.validatePayloadFormat && properties.payloadFormatIndicator === true
  if (mustBeText && classify(payload, 0, payload.length) === Text.Invalid) {
    return { reason: Reason.PayloadFormatInvalid, reasonString: "the will's payload is not UTF-8" }
  }
  return undefined
}

function isAboveKeepAliveCeiling(link: Link, seconds: number): boolean {
  const ceiling = link.core.limits.maximumKeepAliveSeconds
  return ceiling > 0 && (seconds === 0 || seconds > ceiling)
}

function authenticate(link: Link, connecting: Connecting, connect: Connect): void | Promise<void> {
  const { auth } = link.serving
  if (auth === undefined) {
    return refuse(link, link.level, { reason: Reason.NotAuthorized, reasonString: "the listener has no auth" })
  }
  const method = connect.properties.authenticationMethod
  if (method === undefined) {
    return decide(
      () => auth.authenticate(connecting),
      (error) => authFailed(link, error),
      (decision) => (link.state === "waiting" ? conclude(link, decision) : undefined),
    )
  }
  link.exchange = auth.exchange?.(connecting, method)
  if (link.exchange === undefined) {
    return refuse(link, 5, { reason: Reason.BadAuthenticationMethod, reasonString: `no such method: ${method}` })
  }
  link.authenticationMethod = method
  link.state = "authenticating"
  return step(link, connect.properties.authenticationData)
}

function authFailed(link: Link, error: unknown): false {
  link.core.logger.error(`auth failed for ${link.name}: ${error}`)
  return false
}

/** One step of an exchange, at the beginning of a connection or in its course. */
function step(link: Link, data: Uint8Array | undefined): void | Promise<void> {
  const { exchange } = link
  if (exchange === undefined) return fail(link, Reason.BadAuthenticationMethod)
  return decide<ExchangeStep>(
    () => exchange.next(data),
    (error) => authFailed(link, error),
    (outcome) => {
      if (link.state !== "authenticating" && link.state !== "open") return undefined
      return onStep(link, outcome)
    },
  )
}

function onStep(link: Link, outcome: ExchangeStep): void | Promise<void> {
  const method = { authenticationMethod: link.authenticationMethod! } // [MQTT-4.12.0-5]
  if (typeof outcome === "object" && "challenge" in outcome) {
    const properties = { ...method, authenticationData: outcome.challenge }
    link.sendPacket(encodeAuth(writer, Reason.ContinueAuthentication, properties))
    return undefined
  }
  link.exchange = undefined
  const accepted = typeof outcome === "object" && "authenticated" in outcome ? outcome : undefined
  const proof = { ...method, ...(accepted?.data && { authenticationData: accepted.data }) }
  if (!link.isReauthenticating) {
    if (accepted === undefined) return conclude(link, outcome as Decision, proof)
    if (accepted.username !== undefined) link.connecting = { ...link.connecting!, username: accepted.username }
    return conclude(link, true, proof)
  }
  link.isReauthenticating = false
  const refusal = accepted === undefined ? refusalOf(outcome as Decision) : undefined
  if (refusal === undefined) link.sendPacket(encodeAuth(writer, Reason.Success, proof))
  else link.disconnect(refusal.reason, refusal.reasonString) // [MQTT-4.12.0-4]
  return undefined
}

function refusalOf(decision: Decision): Refusal | undefined {
  if (typeof decision === "object") return decision.reason === Reason.Success ? undefined : decision
  return decision ? undefined : { reason: Reason.NotAuthorized }
}

/** The client is who it says, or not; what is left is whether its will may be published. */
function conclude(link: Link, decision: Decision, proof?: Properties): void | Promise<void> {
  const refusal = refusalOf(decision)
  if (refusal !== undefined) return refuse(link, link.level, refusal)
  const { serving } = link
  const connect = link.connect!
  const clientId = connect.clientId || `${serving.limits.assignedClientIdPrefix}${randomUUIDv7("base64url")}` // [MQTT-3.1.3-6]
  const { username, protocolLevel, remoteAddress, listener } = link.connecting!
  link.connecting = { ...link.connecting!, clientId }
  const client = { clientId, username, protocolLevel, remoteAddress, listener }
  const willTopic = connect.will && link.core.router.topics.named(serving.limits.mountPoint + connect.will.topic)!.name
  if (willTopic === undefined) return admit(link, client, proof)
  return decide<Permission>(
    () => !willTopic.startsWith("$SYS/") && (serving.auth?.authorize?.(client, "publish", willTopic) ?? true),
    (error) => authFailed(link, error),
    (permission) => {
      if (link.state !== "waiting" && link.state !== "authenticating") return undefined
      if (isPermitted(permission)) return admit(link, client, proof)
      return refuse(link, link.level, { reason: Reason.NotAuthorized, reasonString: "may not publish its will" })
    },
  )
}

function admit(link: Link, client: NonNullable<Link["client"]>, proof?: Properties): void | Promise<void> {
  const { core } = link
  const connect = link.connect!
  const { clientId } = client
  if (core.sessions.get(clientId) === undefined && core.sessions.size >= core.limits.maximumSessions) {
    core.metrics.limitsHit.sessions++
    return refuse(link, link.level, { reason: Reason.QuotaExceeded, reasonString: "too many sessions" })
  }
  const expirySeconds = sessionExpiry(link, connect)
  const { session, isPresent } = core.sessions.attach(clientId, connect.cleanStart, expirySeconds)
  core.metrics.clientsMaximum = Math.max(core.metrics.clientsMaximum, core.sessions.size)
  session.bind(link)
  link.session = session
  session.will = willOf(link, connect)
  core.sessions.record(session)
  const greet = () => {
    if (session.outlet !== link) return
    const properties =
      link.level === 5 ? { ...connackProperties(link, connect, clientId, expirySeconds), ...proof } : undefined
    link.welcome(session, client)
    link.sendPacket(encodeConnack(writer, link.level, Reason.Success, isPresent, properties))
    core.logger.info(
      `connected ${clientId} (${client.remoteAddress}) on ${link.serving.id}: MQTT ${["3.1", "3.1.1", "5.0"][link.level - 3]}${client.username === undefined ? "" : `, user ${client.username}`}${isPresent ? ", session resumed" : ""}`,
    )
    startKeepAlive(link, keepAliveSeconds(link, connect))
    session.resume()
  }
  if (!core.changes.isActive || session.isVolatile) return greet()
  return core.changes.settled().then(greet)
}

function sessionExpiry(link: Link, { level, cleanStart, properties }: Connect): number {
  const asked = level === 5 ? (properties.sessionExpirySeconds ?? 0) : cleanStart ? 0 : NEVER_EXPIRES_SECONDS
  return Math.min(asked, link.core.limits.maximumSessionExpirySeconds)
}

function willOf(link: Link, { will }: Connect): Will | undefined {
  if (will === undefined) return undefined
  const { willDelaySeconds = 0, ...properties } = will.properties
  const topic = link.core.router.topics.named(link.serving.limits.mountPoint + will.topic)!
  return {
    topic,
    payload: will.payload,
    qos: will.qos,
    retain: will.retain,
    properties,
    delaySeconds: willDelaySeconds,
  }
}

function keepAliveSeconds(link: Link, { keepAliveSeconds: asked }: Connect): number {
  return isAboveKeepAliveCeiling(link, asked) ? link.core.limits.maximumKeepAliveSeconds : asked
}

/** What the client is told where it differs from what it would assume. [MQTT-3.2.2-9] to [MQTT-3.2.2-22] */
function connackProperties(link: Link, connect: Connect, clientId: string, expirySeconds: number): Properties {
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
function startKeepAlive(link: Link, seconds: number): void {
  link.deadline?.cancel()
  if (seconds === 0) return
  const allowedMs = seconds * 1500
  const check = () => {
    const silentMs = link.core.now() - link.lastReceivedAt
    if (silentMs < allowedMs) {
      link.deadline = link.core.timers.schedule(link.lastReceivedAt + allowedMs, check)
      return
    }
    link.core.metrics.limitsHit["keep alive timeout"]++
    link.disconnect(Reason.KeepAliveTimeout)
  }
  link.deadline = link.core.timers.schedule(link.core.now() + allowedMs, check)
}

/** A packet that cannot be served, before or after CONNACK. */
function fail(link: Link, reason: Reason): void {
  if (link.state === "open") link.disconnect(reason)
  else refuse(link, link.level, { reason })
}

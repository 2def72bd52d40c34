/**
 * Letting a client in: CONNECT, the authentication, CONNACK. MQTT 5 §3.1.4, §4.12
 *
 * The order is: can it be served at all, is it who it says, may its will be published; then the session is attached,
 * what that changed becomes durable, CONNACK goes out, and what waits in the session follows.
 */
import { randomUUIDv7 } from "bun"
import type {
  Admission,
  Authenticated,
  Connecting,
  Decision,
  Exchange,
  ExchangeStep,
  Permission,
  Refusal,
} from "../broker/ports.ts"
import {
  type Connect,
  type ConnectFailure,
  connectReturnCode,
  decodeAuth,
  decodeConnect,
  describeReason,
  encodeAuth,
  encodeConnack,
  isConnackRefusal,
  isDisconnectReason,
  isEncodable,
  isPayloadText,
  type Properties,
  type ProtocolLevel,
  Reader,
  Reason,
} from "../codec/index.ts"
import type { Will } from "../session/index.ts"
import { decide } from "./decide.ts"
import { type Link, writer } from "./link.ts"
import { isPermitted } from "./permissions.ts"
import {
  connackProperties,
  isAboveKeepAliveCeiling,
  keepAliveSeconds,
  sessionExpirySeconds,
  startKeepAlive,
} from "./terms.ts"
import { brokenAuth, isAdmission, isOffence, refusalOf } from "./verdict.ts"

const reader = new Reader()

export function onConnect(link: Link, bytes: Buffer, body: number, end: number): void | Promise<void> {
  link.core.metrics.connectsReceived++
  const connect = decodeConnect(reader.reset(bytes, body, end))
  if ("reason" in connect) return onUnreadableConnect(link, connect)
  link.level = connect.level
  link.connect = connect
  link.wantsProblemInformation = connect.properties.requestProblemInformation ?? true
  link.maximumPacketBytes = connect.properties.maximumPacketBytes ?? link.maximumPacketBytes
  link.receiveMaximum = connect.properties.receiveMaximum ?? 0xffff
  const refusal = cannotServe(link, connect)
  if (refusal !== undefined) return refuse(link, connect.level, refusal)
  link.connecting = {
    clientId: connect.clientId,
    username: usernameOf(link, connect),
    password: connect.password,
    protocolLevel: connect.level,
    cleanStart: connect.cleanStart,
    keepAliveSeconds: connect.keepAliveSeconds,
    userProperties: connect.properties.userProperties ?? [],
    remoteAddress: link.transport.remoteAddress,
    listener: link.serving.id,
    certificate: link.transport.certificate,
  }
  const delayMs = link.core.offenders.delayMs(link.transport.remoteAddress, link.core.now())
  if (delayMs === 0) return authenticate(link, link.connecting, connect)
  return new Promise((resolve) => {
    link.core.timers.schedule(link.core.now() + delayMs, () => {
      resolve(link.state === "waiting" ? authenticate(link, link.connecting!, connect) : undefined)
    })
  })
}

/** Who the client says it is: its certificate, where the listener goes by that. */
function usernameOf({ serving, transport }: Link, { username }: Connect): string | undefined {
  const { certificate } = transport
  switch (serving.usernameFrom) {
    case "commonName":
      return certificate?.commonName
    case "subjectAltName":
      return certificate?.subjectAltNames[0]?.replace(/^[^:]+:/, "")
    default:
      return username
  }
}

/** AUTH: the client's next step of an enhanced authentication, or the first of another one. */
export function onAuth(link: Link, bytes: Buffer, body: number, end: number): void | Promise<void> {
  const auth = decodeAuth(reader.reset(bytes, body, end))
  if (typeof auth === "number") return fail(link, { reason: auth })
  const { reason, properties } = auth
  if (link.authenticationMethod === undefined || properties.authenticationMethod !== link.authenticationMethod) {
    return fail(link, { reason: Reason.ProtocolError }) // [MQTT-4.12.0-5] [MQTT-4.12.1-1]
  }
  if (reason === Reason.ReAuthenticate && link.state === "open" && !link.isReauthenticating) {
    link.exchange = beginExchange(link, link.authenticationMethod)
    link.isReauthenticating = true
    awaitReauthentication(link, link.exchange)
  } else if (reason !== Reason.ContinueAuthentication || link.exchange === undefined) {
    return fail(link, { reason: Reason.ProtocolError })
  }
  return step(link, properties.authenticationData)
}

/** Refuses in the client's own words, where it has any, and closes. */
export function refuse(link: Link, level: ProtocolLevel, { reason, reasonString, serverReference }: Refusal): void {
  const known = isConnackRefusal(reason) ? reason : Reason.UnspecifiedError // [MQTT-3.2.2-8]
  link.core.metrics.connectsRefused++
  link.core.logger.info(
    `refused ${link.name} (${link.transport.remoteAddress}) on ${link.serving.id}: ${describeReason(known)}${reasonString ? `: ${reasonString}` : ""}`,
  )
  if (level === 5 || connectReturnCode(known) !== undefined) {
    const properties: Properties = { ...link.problem(known, reasonString), ...referenceTo(serverReference) }
    link.sendPacket(encodeConnack(writer, level, known, false, properties)) // [MQTT-3.2.2-6]
  }
  link.close(true) // [v3.1.1 MQTT-3.2.2-6]
}

/** A connection that is over its listener's or the broker's count. */
export function refuseSurplus(link: Link, bytes: Buffer, body: number, end: number): void {
  const connect = decodeConnect(reader.reset(bytes, body, end))
  if ("reason" in connect) onUnreadableConnect(link, connect)
  else refuse(link, connect.level, { reason: Reason.ServerBusy, reasonString: "too many connections" })
}

/** Malformed, or not MQTT at all: then the connection just ends. [MQTT-3.1.4-1] [v3.1.1 MQTT-3.1.4-1] */
function onUnreadableConnect(link: Link, { level, reason }: ConnectFailure): void {
  if (level !== undefined) {
    refuse(link, level, { reason })
    return
  }
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
  if (clientId.startsWith("$share/")) {
    return { reason: Reason.ClientIdentifierNotValid, reasonString: "a client identifier cannot begin with $share/" }
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
  if (link.topicNamed(will.topic) === undefined) {
    return { reason: Reason.TopicNameInvalid, reasonString: "not a topic name for a will" }
  }
  const { payload, properties } = will
  const mustBeText = link.core.validatePayloadFormat && properties.payloadFormatIndicator === true
  if (mustBeText && !isPayloadText(payload, 0, payload.length)) {
    return { reason: Reason.PayloadFormatInvalid, reasonString: "the will's payload is not UTF-8" }
  }
  return undefined
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
      (error) => {
        link.authFailed(error)
        return brokenAuth
      },
      (decision) => (link.state === "waiting" ? conclude(link, decision) : undefined),
    )
  }
  link.exchange = beginExchange(link, method)
  if (link.exchange === undefined) {
    return refuse(link, 5, { reason: Reason.BadAuthenticationMethod, reasonString: `no such method: ${method}` })
  }
  link.authenticationMethod = method
  link.state = "authenticating"
  return step(link, connect.properties.authenticationData)
}

/** The exchange of that method; undefined if there is none or it failed to begin. */
function beginExchange(link: Link, method: string): Exchange | undefined {
  try {
    return link.serving.auth?.exchange?.(link.connecting!, method)
  } catch (error) {
    link.authFailed(error)
    return undefined
  }
}

/** A client that begins to authenticate again has as long as one that connects. */
function awaitReauthentication(link: Link, exchange: Exchange | undefined): void {
  const { core } = link
  if (exchange === undefined) return
  link.reauthentication = core.timers.schedule(core.now() + core.limits.connectTimeoutSeconds * 1000, () =>
    fail(link, { reason: Reason.NotAuthorized }),
  )
}

/** One step of an exchange, at the beginning of a connection or in its course. */
function step(link: Link, data: Uint8Array | undefined): void | Promise<void> {
  const { exchange } = link
  if (exchange === undefined) return fail(link, { reason: Reason.BadAuthenticationMethod })
  return decide<ExchangeStep>(
    () => exchange.next(data),
    (error) => {
      link.authFailed(error)
      return brokenAuth
    },
    (outcome) => {
      if (link.state !== "authenticating" && link.state !== "open") return undefined
      return onStep(link, outcome)
    },
  )
}

function onStep(link: Link, outcome: ExchangeStep): void | Promise<void> {
  const method = { authenticationMethod: link.authenticationMethod! } // [MQTT-4.12.0-5]
  if (typeof outcome === "object" && "challenge" in outcome) {
    return sendAuth(link, Reason.ContinueAuthentication, { ...method, authenticationData: outcome.challenge })
  }
  link.exchange = undefined
  link.reauthentication?.cancel()
  const accepted: Partial<Authenticated> = isAdmission(outcome) ? outcome : {}
  const proof = { ...method, ...(accepted.data && { authenticationData: accepted.data }) }
  const decision = outcome as Decision
  if (!link.isReauthenticating) return conclude(link, decision, proof)
  link.isReauthenticating = false
  const refusal = refusalOf(decision, link.connecting!.username)
  if (refusal !== undefined) return fail(link, refusal) // [MQTT-4.12.1-2]
  const client = link.client!
  const username = accepted.username ?? client.username
  link.connecting = { ...link.connecting!, username }
  link.admit({ ...client, username }, accepted)
  sendAuth(link, Reason.Success, proof)
  return undefined
}

function sendAuth(link: Link, reason: Reason, properties: Properties): void {
  const packet = encodeAuth(writer, reason, properties)
  if (packet.length <= link.maximumPacketBytes) link.sendPacket(packet)
  else fail(link, { reason: Reason.PacketTooLarge })
}

/** The client is who it says, or not; what is left is whether its will may be published. */
function conclude(link: Link, decision: Decision, proof?: Properties): void | Promise<void> {
  const refusal = refusalOf(decision, link.connecting!.username)
  if (refusal !== undefined) {
    if (isOffence(refusal)) link.core.offenders.failed(link.transport.remoteAddress, link.core.now())
    return refuse(link, link.level, refusal)
  }
  const { serving } = link
  const admission: Partial<Admission> = isAdmission(decision) ? decision : {}
  const connect = link.connect!
  const clientId = connect.clientId || `${serving.limits.assignedClientIdPrefix}${randomUUIDv7("base64url")}` // [MQTT-3.1.3-6]
  const { protocolLevel, remoteAddress, listener } = link.connecting!
  const username = admission.username ?? link.connecting!.username
  link.connecting = { ...link.connecting!, clientId, username }
  const client = { clientId, username, protocolLevel, remoteAddress, listener }
  link.admit(client, admission)
  const willTopic = connect.will && link.topicNamed(connect.will.topic)!
  const { permissions } = link
  if (willTopic === undefined) return admit(link, client, proof)
  return decide<Permission>(
    () => !willTopic.isSys && (permissions === undefined || permissions.ask("publish", willTopic.name)),
    (error) => link.authFailed(error),
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
  const expirySeconds = sessionExpirySeconds(link, connect)
  const properties =
    link.level === 5 ? { ...connackProperties(link, connect, clientId, expirySeconds), ...proof } : undefined
  if (encodeConnack(writer, link.level, Reason.Success, false, properties).length > link.maximumPacketBytes) {
    return refuse(link, link.level, { reason: Reason.PacketTooLarge }) // it could never be told that it is in
  }
  const canResume = isStored(link, connect, clientId)
  if (core.changes.isFailing && !canResume && mustStore(link, clientId, expirySeconds)) {
    return refuse(link, link.level, { reason: Reason.QuotaExceeded, reasonString: "sessions cannot be stored now" })
  }
  const before = core.changes.appended
  const { session, isPresent } = core.sessions.attach(clientId, connect.cleanStart, expirySeconds)
  core.metrics.clientsMaximum = Math.max(core.metrics.clientsMaximum, core.sessions.size)
  session.bind(link)
  link.session = session
  session.will = willOf(link, connect)
  core.sessions.record(session)
  if (!isPresent) session.begunAt = core.changes.appended
  const greet = () => {
    if (session.outlet !== link) return
    link.welcome(session)
    link.sendPacket(encodeConnack(writer, link.level, Reason.Success, isPresent, properties))
    core.logger.info(
      `connected ${clientId} (${client.remoteAddress}) on ${link.serving.id}: MQTT ${["3.1", "3.1.1", "5.0"][link.level - 3]}${client.username === undefined ? "" : `, user ${client.username}`}${isPresent ? ", session resumed" : ""}`,
    )
    startKeepAlive(link, keepAliveSeconds(link, connect))
    session.resume()
  }
  // Of a session that is stored, what a crash would forget now is only when it was last seen, and a new will.
  if (core.changes.isFailing && canResume) return greet()
  if (core.changes.appended === before && core.sessions.removedAt(clientId) <= core.changes.durable) return greet()
  return core.changes.settled().then(greet)
}

/** Whether the client goes on with a session that a crash would not forget. */
function isStored(link: Link, { cleanStart }: Connect, clientId: string): boolean {
  const session = link.core.sessions.get(clientId)
  return session !== undefined && !cleanStart && session.begunAt <= link.core.changes.durable
}

/** Whether letting the client in makes a session that must be stored, or one that is stored has to end first. */
function mustStore(link: Link, clientId: string, expirySeconds: number): boolean {
  const { sessions, changes } = link.core
  if (expirySeconds > 0 || sessions.get(clientId)?.isVolatile === false) return true
  return sessions.removedAt(clientId) > changes.durable
}

function willOf(link: Link, { will }: Connect): Will | undefined {
  if (will === undefined) return undefined
  const { willDelaySeconds = 0, ...properties } = will.properties
  const topic = link.topicNamed(will.topic)!
  return {
    topic,
    payload: will.payload,
    qos: will.qos,
    retain: will.retain,
    properties,
    delaySeconds: willDelaySeconds,
  }
}

/** An authentication that cannot go on, before or after CONNACK. */
function fail(link: Link, refusal: Refusal): void {
  if (link.state !== "open") {
    refuse(link, link.level, refusal)
    return
  }
  const { reason, reasonString, serverReference } = refusal
  const known = isDisconnectReason(reason, "server") ? reason : Reason.NotAuthorized // [MQTT-3.14.2-1]
  link.disconnect(known, reasonString, referenceTo(serverReference))
}

/** Where to go instead, if it can be sent at all. */
function referenceTo(serverReference: string | undefined): Properties {
  return serverReference !== undefined && isEncodable(serverReference) ? { serverReference } : {}
}

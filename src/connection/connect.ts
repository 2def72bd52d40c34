/**
 * Letting a client in: CONNECT, and who it is. MQTT 5 §3.1.4, §4.12
 *
 * The order is: can it be served at all, do the hooks let it try, is it who it says; then `admission.ts` goes on.
 */
import { decide, isPromise } from "../broker/decide.ts"
import { type HookChains, type Outcome, Refused } from "../broker/hook-chains.ts"
import {
  type Admission,
  type Authenticated,
  type Certificate,
  type Connecting,
  type Decision,
  type Exchange,
  type ExchangeStep,
  isAdmission,
  type Refusal,
} from "../broker/ports.ts"
import {
  type Connect,
  decodeAuth,
  decodeConnect,
  encodeAuth,
  isPayloadText,
  type Properties,
  Reader,
  Reason,
} from "../codec/index.ts"
import { askHooks, conclude } from "./admission.ts"
import type { EnhancedAuthentication } from "./authentication.ts"
import { type Link, writer } from "./link.ts"
import { fail, refuse, refuseUnreadable } from "./refusal.ts"
import { isAboveKeepAliveCeiling } from "./terms.ts"
import { brokenAuth, refusalOf } from "./verdict.ts"

const reader = new Reader()

export function onConnect(link: Link, bytes: Buffer, body: number, end: number): void | Promise<void> {
  link.core.metrics.connectsReceived++
  const connect = decodeConnect(reader.reset(bytes, body, end))
  if ("reason" in connect) return refuseUnreadable(link, connect)
  link.level = connect.level
  link.connect = connect
  link.wantsProblemInformation = connect.properties.requestProblemInformation ?? true
  link.maximumPacketBytes = connect.properties.maximumPacketBytes ?? link.maximumPacketBytes
  link.receiveMaximum = connect.properties.receiveMaximum ?? 0xffff
  link.cleanStart = connect.cleanStart
  const refusal = cannotServe(link, connect)
  if (refusal !== undefined) return refuse(link, connect.level, refusal)
  const { certificate } = link.transport
  link.connecting = {
    clientId: connect.clientId,
    username: usernameOf(link, connect, certificate),
    password: connect.password,
    protocolLevel: connect.level,
    cleanStart: connect.cleanStart,
    keepAliveSeconds: connect.keepAliveSeconds,
    userProperties: connect.properties.userProperties ?? [],
    remoteAddress: link.transport.remoteAddress,
    listener: link.serving.id,
    certificate,
    isGone: isGoneOf(link),
  }
  if (link.serving.usernameFrom !== undefined && !link.connecting.username) {
    // Without a name it would be nobody in particular, whom an auth may well let in.
    const reasonString = `the certificate has no ${link.serving.usernameFrom}`
    return refuse(link, connect.level, { reason: Reason.BadUserNameOrPassword, reasonString })
  }
  const attempt = link.core.offenders.enter(link.connecting)
  link.attempt = attempt
  return isPromise(attempt.turn) ? tryLater(link, attempt.turn) : tryNow(link, attempt.turn)
}

async function tryLater(link: Link, turn: Promise<boolean>): Promise<void> {
  return tryNow(link, await turn)
}

/** Its turn has come, or it comes from where too many do. */
function tryNow(link: Link, isTurn: boolean): void | Promise<void> {
  if (link.state !== "waiting") return undefined
  const { connect: ask } = link.core.hooks
  if (isTurn) return ask === undefined ? authenticate(link) : begin(link, ask)
  link.core.metrics.limitsHit.attempts++
  return refuse(link, link.level, { reason: Reason.ServerBusy, reasonString: "too many attempts from this address" })
}

/** Made apart: whoever keeps it is to hold on to nothing else of the CONNECT. */
function isGoneOf(link: Link): () => boolean {
  return () => link.state === "closing" || link.state === "closed"
}

/** Who the client says it is: its certificate, where the listener goes by that. */
function usernameOf(
  { serving }: Link,
  { username }: Connect,
  certificate: Certificate | undefined,
): string | undefined {
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
  const { authentication } = link
  if (authentication === undefined || properties.authenticationMethod !== authentication.method) {
    return fail(link, { reason: Reason.ProtocolError }) // [MQTT-4.12.0-5] [MQTT-4.12.1-1]
  }
  if (reason === Reason.ReAuthenticate && link.state === "open" && !authentication.isAgain) {
    beginAgain(link, authentication)
  } else if (reason !== Reason.ContinueAuthentication || authentication.exchange === undefined) {
    return fail(link, { reason: Reason.ProtocolError })
  }
  return step(link, properties.authenticationData)
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
  if (clientId.startsWith("$") && /^\$(?:share|will|local)\//.test(clientId)) {
    // so are named what waits for groups, wills that are being decided on, and subscriptions of the embedding service
    return { reason: Reason.ClientIdentifierNotValid, reasonString: "a client identifier cannot begin so" }
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

/** Asks the hooks whether it may try. */
function begin(link: Link, ask: NonNullable<HookChains["connect"]>): void | Promise<void> {
  const decided = (outcome: Outcome<Connecting>) => {
    if (link.state !== "waiting") return undefined
    if (outcome instanceof Refused) return refuse(link, link.level, outcome.refusal)
    return authenticate(link)
  }
  const outcome = ask(link.connecting!, undefined)
  return isPromise(outcome) ? Promise.resolve(outcome).then(decided) : decided(outcome)
}

function authenticate(link: Link): void | Promise<void> {
  if (link.serving.auth === undefined && link.core.hooks.authenticate === undefined) {
    return refuse(link, link.level, { reason: Reason.NotAuthorized, reasonString: "the listener has no auth" })
  }
  const { authenticationMethod: method, authenticationData } = link.connect!.properties
  if (method === undefined) {
    return decide(
      () => link.serving.auth?.authenticate(link.connecting!),
      (error) => {
        link.authFailed(error)
        return brokenAuth
      },
      (decision) => (link.state === "waiting" ? conclude(link, decision) : undefined),
    )
  }
  const exchange = beginExchange(link, method)
  if (exchange === undefined) {
    return refuse(link, 5, { reason: Reason.BadAuthenticationMethod, reasonString: `no such method: ${method}` })
  }
  link.authentication = { method, exchange, isAgain: false, deadline: undefined }
  link.state = "authenticating"
  return step(link, authenticationData)
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
function beginAgain(link: Link, authentication: EnhancedAuthentication): void {
  const { core } = link
  authentication.isAgain = true
  authentication.exchange = beginExchange(link, authentication.method)
  if (authentication.exchange === undefined) return
  authentication.deadline = core.timers.schedule(core.now() + core.limits.connectTimeoutSeconds * 1000, () =>
    fail(link, { reason: Reason.NotAuthorized }),
  )
}

/** One step of an exchange, at the beginning of a connection or in its course. */
function step(link: Link, data: Uint8Array | undefined): void | Promise<void> {
  const exchange = link.authentication?.exchange
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
  const authentication = link.authentication!
  const method = { authenticationMethod: authentication.method } // [MQTT-4.12.0-5]
  if (typeof outcome === "object" && outcome !== null && "challenge" in outcome) {
    return sendAuth(link, Reason.ContinueAuthentication, { ...method, authenticationData: outcome.challenge })
  }
  authentication.exchange = undefined
  authentication.deadline?.cancel()
  const accepted: Partial<Authenticated> = isAdmission(outcome) ? outcome : {}
  const proof = { ...method, ...(accepted.data && { authenticationData: accepted.data }) }
  const decision = outcome as Decision
  if (!authentication.isAgain) return conclude(link, decision, proof)
  return askHooks(link, decision, (decision) => {
    authentication.isAgain = false
    const refusal = refusalOf(decision, link.connecting!.username)
    if (refusal !== undefined) return fail(link, refusal) // [MQTT-4.12.1-2]
    const client = link.client!
    const admission: Partial<Admission> = isAdmission(decision) ? decision : {}
    const { username = client.username } = admission
    link.connecting = { ...link.connecting!, username }
    link.admit({ ...client, username }, admission)
    if (username !== client.username) link.core.sessions.give(link.session!, username)
    return sendAuth(link, Reason.Success, proof)
  })
}

function sendAuth(link: Link, reason: Reason, properties: Properties): void {
  const packet = encodeAuth(writer, reason, properties)
  if (packet.length <= link.maximumPacketBytes) link.sendPacket(packet)
  else fail(link, { reason: Reason.PacketTooLarge })
}

/** A connection that is over its listener's or the broker's count. */
export function refuseSurplus(link: Link, bytes: Buffer, body: number, end: number): void {
  const connect = decodeConnect(reader.reset(bytes, body, end))
  if ("reason" in connect) refuseUnreadable(link, connect)
  else refuse(link, connect.level, { reason: Reason.ServerBusy, reasonString: "too many connections" })
}

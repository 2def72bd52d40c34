/**
 * What is left when the auth has spoken: the hooks beside it, the will, the session, CONNACK.
 *
 * The session is attached, what that changed becomes durable, CONNACK goes out, and what waits in the session follows.
 */
import { randomUUIDv7 } from "bun"
import { decide, isPromise } from "../broker/decide.ts"
import { type HookChains, type Outcome, Refused } from "../broker/hook-chains.ts"
import {
  type Admission,
  type Client,
  type Decision,
  isAdmission,
  isAllowing,
  type Permission,
} from "../broker/ports.ts"
import {
  type Connect,
  encodeConnack,
  LARGEST_PACKET_BYTES,
  type Properties,
  Reason,
  type WillFields,
} from "../codec/index.ts"
import type { Session, Will } from "../session/index.ts"
import { sayConnected } from "./lines.ts"
import { type Link, writer } from "./link.ts"
import { isPermitted } from "./permissions.ts"
import { refuse } from "./refusal.ts"
import { resume } from "./resume.ts"
import { connackProperties, keepAliveSeconds, sessionExpirySeconds, startKeepAlive } from "./terms.ts"
import { isOffence, refusalOf } from "./verdict.ts"

/** Asks the hooks beside the auth, unless that has refused. */
export function askHooks(
  link: Link,
  decision: Decision,
  next: (decision: Decision) => void | Promise<void>,
): void | Promise<void> {
  const { authenticate: ask } = link.core.hooks
  const isRefused = decision !== undefined && !isAllowing(decision)
  return ask === undefined || isRefused ? next(decision) : askAll(ask, link, decision, next)
}

function askAll(
  ask: NonNullable<HookChains["authenticate"]>,
  link: Link,
  decision: Decision,
  next: (decision: Decision) => void | Promise<void>,
): void | Promise<void> {
  const decided = (outcome: Outcome<Decision>) => {
    if (link.state === "closing" || link.state === "closed") return undefined
    return next(outcome instanceof Refused ? outcome.refusal : outcome)
  }
  const outcome = ask(decision, link.connecting!)
  return isPromise(outcome) ? Promise.resolve(outcome).then(decided) : decided(outcome)
}

/** The auth has said who the client is, or that it is not; the hooks have their say, and a refusal is answered. */
export function conclude(link: Link, decision: Decision, proof?: Properties): void | Promise<void> {
  return askHooks(link, decision, (decision) => {
    const refusal = refusalOf(decision, link.connecting!.username)
    if (refusal === undefined) {
      link.attempt?.succeeded()
      link.attempt = undefined
      return identify(link, isAdmission(decision) ? decision : {}, proof)
    }
    if (isOffence(refusal)) {
      link.core.metrics.authFailures++
      link.attempt?.failed()
    }
    return refuse(link, link.level, refusal)
  })
}

/** It is known who the client is, and who decides what it may do. */
function identify(link: Link, admission: Partial<Admission>, proof?: Properties): void | Promise<void> {
  const { serving } = link
  const connect = link.connect!
  const clientId = connect.clientId || `${serving.limits.assignedClientIdPrefix}${randomUUIDv7("base64url")}` // [MQTT-3.1.3-6]
  const { protocolLevel, remoteAddress, listener } = link.connecting!
  const username = admission.username ?? link.connecting!.username
  const client = { clientId, username, protocolLevel, remoteAddress, listener }
  link.admit(client, admission)
  return connect.will === undefined ? admit(link, client, proof) : decideWill(link, connect.will, client, proof)
}

/** It is let in if its will may be published. */
function decideWill(link: Link, will: WillFields, client: Client, proof?: Properties): void | Promise<void> {
  const willTopic = link.topicNamed(will.topic)!
  const { permissions } = link
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

function admit(link: Link, client: Client, proof?: Properties): void | Promise<void> {
  const { core } = link
  const connect = link.connect!
  const { clientId } = client
  const present = core.sessions.get(clientId)
  const owner = otherOwner(link, client, present)
  if (owner !== undefined) {
    const reasonString = "the session belongs to another user"
    const warning = `the session belongs to ${owner === null ? "an anonymous client" : `user ${owner}`}`
    return refuse(link, link.level, { reason: Reason.ClientIdentifierNotValid, reasonString }, warning)
  }
  if (present === undefined && core.sessions.size >= core.limits.maximumSessions) {
    core.metrics.limitsHit.sessions++
    return refuse(link, link.level, { reason: Reason.QuotaExceeded, reasonString: "too many sessions" })
  }
  const expirySeconds = sessionExpirySeconds(link, connect)
  const properties =
    link.level === 5 ? { ...connackProperties(link, connect, clientId, expirySeconds), ...proof } : undefined
  if (properties !== undefined && isTooLarge(link, properties)) {
    return refuse(link, link.level, { reason: Reason.PacketTooLarge }) // it could never be told that it is in
  }
  // Whether it goes on with a session that a crash would not forget.
  const canResume = present !== undefined && !connect.cleanStart && present.begunAt <= core.changes.durable
  if (core.changes.isFailing && !canResume && mustStore(link, clientId, present, expirySeconds)) {
    return refuse(link, link.level, { reason: Reason.QuotaExceeded, reasonString: "sessions cannot be stored now" })
  }
  const before = core.changes.appended
  const { session, isPresent } = core.sessions.attach(clientId, connect.cleanStart, expirySeconds)
  core.metrics.clientsMaximum = Math.max(core.metrics.clientsMaximum, core.sessions.size)
  session.bind(link)
  link.session = session
  if (session.username === undefined) session.username = client.username ?? null
  session.will = willOf(link, connect)
  core.sessions.record(session)
  if (!isPresent) session.begunAt = core.changes.appended
  // Of a session that is stored, what a crash would forget now is only when it was last seen, and a new will.
  const isDurable = core.changes.appended === before && core.sessions.removedAt(clientId) <= core.changes.durable
  const mustWait = !isDurable && !(core.changes.isFailing && canResume)
  return mustWait ? greetWhenDurable(link, isPresent, properties) : greet(link, isPresent, properties)
}

async function greetWhenDurable(link: Link, isPresent: boolean, properties: Properties | undefined): Promise<void> {
  await link.core.changes.settled()
  return greet(link, isPresent, properties)
}

/** Tells the client that it is in, unless its session has become another's, and lets what waits in it follow. */
function greet(link: Link, isPresent: boolean, properties: Properties | undefined): void | Promise<void> {
  const { core, level } = link
  const session = link.session!
  const connect = link.connect!
  if (session.outlet !== link) return undefined
  link.welcome(session)
  link.sendPacket(encodeConnack(writer, level, Reason.Success, isPresent, properties))
  sayConnected(link, isPresent)
  startKeepAlive(link, keepAliveSeconds(link, connect))
  if (core.hooks.wants.onConnected !== undefined) {
    core.hooks.tell("onConnected", link.view, { isSessionPresent: isPresent })
  }
  return resume(link)
}

function isTooLarge({ level, maximumPacketBytes }: Link, properties: Properties): boolean {
  if (maximumPacketBytes === LARGEST_PACKET_BYTES) return false
  return encodeConnack(writer, level, Reason.Success, false, properties).length > maximumPacketBytes
}

/** The user whose the session of that client id is, if it may not be this client's: neither to go on with nor to end. */
function otherOwner(
  { serving, authority }: Link,
  { username }: Client,
  present: Session | undefined,
): string | null | undefined {
  const owner = present?.username
  const isBelieved = authority!.believesNames === true && serving.usernameFrom === undefined
  return isBelieved || owner === (username ?? null) ? undefined : owner
}

/** Whether letting the client in makes a session that must be stored, or one that is stored has to end first. */
function mustStore({ core }: Link, clientId: string, present: Session | undefined, expirySeconds: number): boolean {
  const { sessions, changes } = core
  if (expirySeconds > 0 || present?.isVolatile === false) return true
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

/**
 * Messages from the client: PUBLISH, PUBREL, and its acknowledgements of ours. MQTT 5 §3.3 to §3.7, §4.3
 *
 * The hot path of the broker is `onPublish` with a message of QoS 0 from a client whose auth has no opinion on topics: it
 * reads where the fields are, finds the topic by its bytes, and routes.
 */
import { ApplicationMessage } from "../broker/application-message.ts"
import { decide, isPromise } from "../broker/decide.ts"
import { type Outcome, Refused } from "../broker/hook-chains.ts"
import type { Permission } from "../broker/ports.ts"
import {
  Ack,
  type AckType,
  classify,
  decodeText,
  isPayloadText,
  isPublishRefusal,
  PacketType,
  Publish,
  type QoS,
  Reader,
  Reason,
  Text,
} from "../codec/index.ts"
import type { Topic } from "../router/index.ts"
import { Message } from "../session/index.ts"
import { sayNotPublished } from "./lines.ts"
import type { Link } from "./link.ts"
import { isPermitted } from "./permissions.ts"

const packet = new Publish()
const incoming = new Message()
const reader = new Reader()
const ack = new Ack()

export function onPublish(link: Link, bytes: Buffer, start: number, body: number, end: number): void | Promise<void> {
  const { core, serving } = link
  const failure = packet.decode(bytes, start, body, end, link.level)
  if (failure !== Reason.Success) return link.disconnect(failure)
  const { metrics } = core
  metrics.publishReceived++
  link.messagesReceived++
  metrics.publishBytesReceived += end - packet.payloadStart
  const { qos, packetId } = packet
  if (qos > 0) metrics.receivedAcknowledged.count(qos, end - packet.payloadStart)
  const topic = topicOf(link)
  if (topic === undefined) return undefined
  const { maximumQoS, retainAvailable } = serving.limits
  if (qos > maximumQoS) return link.disconnect(Reason.QoSNotSupported) // [MQTT-3.2.2-11]
  if (packet.retain && !retainAvailable) return link.disconnect(Reason.RetainNotSupported) // [MQTT-3.2.2-14]
  if (qos > 0 && !hasRoom(link, qos, packetId)) return undefined
  incoming.from(packet, topic, link.lastReceivedAt)
  if (packet.payloadIsText && core.validatePayloadFormat && !isPayloadText(bytes, packet.payloadStart, end)) {
    return turnAway(link, qos, packetId, Reason.PayloadFormatInvalid)
  }
  if (topic.isSys) return turnAway(link, qos, packetId, Reason.NotAuthorized)
  if (core.limits.maximumPublishRate > 0 && isAboveRate(link)) return routeLater(link)
  if (link.permissions === undefined && core.hooks.message === undefined) return route(link, incoming, qos, packetId)
  return authorize(link, incoming, qos, packetId)
}

/** PUBREL: the message of that id is released, and the id free. [MQTT-4.3.3-11] [MQTT-4.3.3-12] */
export function onPubrel(link: Link, bytes: Buffer, body: number, end: number): void {
  if (!readAck(link, PacketType.PUBREL, bytes, body, end)) return
  const session = link.session!
  const { changes } = link.core
  const isKnown = session.receivedIds.delete(ack.packetId)
  if (isKnown && changes.isActive && !session.isVolatile) {
    changes.append({ kind: "completed", clientId: session.clientId, packetId: ack.packetId })
  }
  const reason = isKnown ? Reason.Success : Reason.PacketIdentifierNotFound
  link.acknowledge(PacketType.PUBCOMP, ack.packetId, reason, session.isVolatile ? 0 : changes.appended)
}

export function onPuback(link: Link, bytes: Buffer, body: number, end: number): void {
  if (!readAck(link, PacketType.PUBACK, bytes, body, end)) return
  const message = deliveredMessage(link)
  const outcome = link.session!.acknowledge(ack.packetId, 1)
  if (outcome === Reason.ProtocolError) link.disconnect(Reason.ProtocolError)
  else if (message !== undefined) tellAcknowledged(link, message)
}

export function onPubrec(link: Link, bytes: Buffer, body: number, end: number): void {
  if (!readAck(link, PacketType.PUBREC, bytes, body, end)) return
  const { packetId, reason } = ack
  const session = link.session!
  const message = deliveredMessage(link)
  const outcome = reason >= 0x80 ? session.acknowledge(packetId, 2) : session.receive(packetId)
  if (outcome === Reason.ProtocolError) link.disconnect(Reason.ProtocolError)
  else {
    if (message !== undefined) tellAcknowledged(link, message)
    if (reason >= 0x80) return
    if (outcome === Reason.Success) link.release(packetId)
    else link.acknowledge(PacketType.PUBREL, packetId, outcome, 0)
  }
}

export function onPubcomp(link: Link, bytes: Buffer, body: number, end: number): void {
  if (!readAck(link, PacketType.PUBCOMP, bytes, body, end)) return
  if (link.session!.complete(ack.packetId) === Reason.ProtocolError) link.disconnect(Reason.ProtocolError)
}

/** The message of which the acknowledgement just read says that the client has it, where a hook wants to know. */
function deliveredMessage({ core, session }: Link): ApplicationMessage | undefined {
  if (core.hooks.wants.onAcknowledged === undefined || ack.reason >= 0x80) return undefined
  const delivery = session!.inflightDelivery(ack.packetId)
  if (delivery?.message === undefined) return undefined
  return ApplicationMessage.of(delivery.message, core.now(), delivery.qos, delivery.retain)
}

function tellAcknowledged({ core, view }: Link, message: ApplicationMessage): void {
  core.hooks.tell("onAcknowledged", message, view)
}

function readAck(link: Link, type: AckType, bytes: Buffer, body: number, end: number): boolean {
  const failure = ack.decode(reader.reset(bytes, body, end), type, link.level)
  if (failure === Reason.Success) return true
  link.disconnect(failure)
  return false
}

/** The topic of the packet just read, by its name or its alias; undefined: the connection has been ended. */
function topicOf(link: Link): Topic | undefined {
  const { topics } = link.core.router
  const { topicAlias, topicStart, topicEnd } = packet
  const { mountPoint } = link.serving.limits
  if (topicAlias !== 0 && !link.incomingAliases!.accepts(topicAlias)) {
    link.disconnect(Reason.TopicAliasInvalid) // [MQTT-3.3.2-9]
    return undefined
  }
  if (topicEnd === topicStart && topicAlias !== 0) {
    const known = link.incomingAliases!.get(topicAlias)
    if (known === undefined) link.disconnect(Reason.ProtocolError, "the topic alias has not been set") // [MQTT-3.3.2-8]
    return known
  }
  const topic =
    mountPoint === ""
      ? topics.find(packet.bytes, topicStart, topicEnd)
      : link.topicNamed(decodeText(packet.bytes, topicStart, topicEnd) ?? "")
  if (topic === undefined) link.disconnect(whyNoTopic())
  else if (topicAlias !== 0) link.incomingAliases!.set(topicAlias, topic)
  return topic
}

function whyNoTopic(): Reason {
  const { bytes, topicStart, topicEnd } = packet
  if (topicStart === topicEnd) return Reason.ProtocolError // neither a name nor an alias
  return classify(bytes, topicStart, topicEnd) === Text.Invalid ? Reason.MalformedPacket : Reason.TopicNameInvalid
}

/** Whether a message of QoS 1 or 2 is a new one that fits the window; what is not has been answered. */
function hasRoom(link: Link, qos: QoS, packetId: number): boolean {
  const session = link.session!
  if (qos === 2 && session.receivedIds.has(packetId)) {
    link.acknowledge(PacketType.PUBREC, packetId, Reason.Success, session.isVolatile ? 0 : link.core.changes.appended)
    return false // it has been routed once [MQTT-4.3.3-10]
  }
  if (link.level !== 5 || link.unacknowledged++ < link.core.limits.receiveMaximum) return true
  link.core.metrics.limitsHit["receive maximum"]++
  link.disconnect(Reason.ReceiveMaximumExceeded) // [MQTT-3.3.4-8]
  return false
}

function isAboveRate(link: Link): boolean {
  const second = Math.floor(link.lastReceivedAt / 1000)
  if (link.rate === undefined || second > link.rate.second) link.rate = { second, messages: 0 }
  return ++link.rate.messages > link.core.limits.maximumPublishRate
}

/** Above the publish rate nothing is lost: the client is not read from until its next second. */
function routeLater(link: Link): Promise<void> {
  const { core } = link
  const second = link.rate!.second + 1
  core.metrics.limitsHit["publish rate"]++
  const message = incoming.keep()
  core.incidents.note(link.name, "publish", "publish rate", message.topic.name, core.now())
  const { qos, packetId } = packet
  return new Promise((resolve) => {
    core.timers.schedule(second * 1000, () => {
      link.rate = { second, messages: 1 }
      resolve(link.state === "open" ? authorize(link, message, qos, packetId) : undefined)
    })
  })
}

function authorize(link: Link, message: Message, qos: QoS, packetId: number): void | Promise<void> {
  const { permissions } = link
  if (permissions === undefined) return routeIf(link, true, message, qos, packetId)
  let permission: Permission | PromiseLike<Permission>
  try {
    permission = permissions.ask("publish", message.topic.name)
  } catch (error) {
    permission = link.authFailed(error)
  }
  if (!isPromise(permission)) return routeIf(link, permission, message, qos, packetId)
  const kept = message.keep()
  return decide<Permission>(
    () => permission,
    (error) => link.authFailed(error),
    (answer) => routeIf(link, answer, kept, qos, packetId),
  )
}

function routeIf(
  link: Link,
  permission: Permission,
  message: Message,
  qos: QoS,
  packetId: number,
): void | Promise<void> {
  if (link.state !== "open") return undefined
  if (isPermitted(permission)) return consider(link, message, qos, packetId)
  const reason = typeof permission === "number" ? permission : Reason.NotAuthorized
  link.core.dropped("not authorized", link.name, message, "sender", reason)
  return refuse(link, qos, packetId, reason)
}

/** The hooks may change a message, or keep it from everybody. */
function consider(link: Link, message: Message, qos: QoS, packetId: number): void | Promise<void> {
  const { core } = link
  const { message: ask } = core.hooks
  if (ask === undefined) return routeOn(link, message, qos, packetId)
  const view = ApplicationMessage.of(message, core.now())
  const outcome = ask(view, link.view)
  if (!isPromise(outcome)) return routeDecided(link, message, view, outcome, qos, packetId)
  const kept = message.keep()
  return Promise.resolve(outcome).then((outcome) => routeDecided(link, kept, view, outcome, qos, packetId))
}

function routeDecided(
  link: Link,
  message: Message,
  view: ApplicationMessage,
  outcome: Outcome<ApplicationMessage>,
  qos: QoS,
  packetId: number,
): void | Promise<void> {
  const { core } = link
  if (link.state !== "open") return undefined // whoever decides may have ended it
  const decided = core.decided(message, view, outcome, "onMessage")
  if (decided !== undefined) return routeOn(link, decided, qos, packetId)
  const reason = outcome instanceof Refused ? outcome.reason : Reason.ImplementationSpecificError
  core.dropped("refused by hook", link.name, message, "sender", reason)
  if (reason >= 0x80) return refuse(link, qos, packetId, reason)
  const isKnown = reason === Reason.NoMatchingSubscribers // [MQTT-3.4.2-1] [MQTT-3.5.2-1]
  return swallow(link, qos, packetId, isKnown ? reason : Reason.Success)
}

function routeOn(link: Link, message: Message, qos: QoS, packetId: number): void | Promise<void> {
  return message === incoming ? route(link, message, qos, packetId) : routeAged(link, message, qos, packetId)
}

/** A message that has waited is older; one that has expired meanwhile is taken, but goes to nobody. [MQTT-3.3.2-5] */
function routeAged(link: Link, message: Message, qos: QoS, packetId: number): void | Promise<void> {
  const { core } = link
  const now = core.now()
  message.age(now)
  if (!message.isExpired(now)) return route(link, message, qos, packetId)
  core.dropped("message expired", link.name, message, "sender")
  return swallow(link, qos, packetId, Reason.Success)
}

/** Takes a message that goes to nobody. */
function swallow(link: Link, qos: QoS, packetId: number, reason: Reason): void {
  if (qos === 0) return
  const after = qos === 2 && noteReceived(link, packetId) ? link.core.changes.appended : 0
  link.acknowledge(qos === 1 ? PacketType.PUBACK : PacketType.PUBREC, packetId, reason, after)
}

/** Refuses a message for a reason that may be none of those that an acknowledgement knows. [MQTT-3.4.2-1] [MQTT-3.5.2-1] */
function refuse(link: Link, qos: QoS, packetId: number, reason: Reason): void {
  reject(link, qos, packetId, isPublishRefusal(reason) ? reason : Reason.NotAuthorized)
}

/** Remembers a message of QoS 2 until its PUBREL; true if that has to become durable. [MQTT-4.3.3-10] */
function noteReceived(link: Link, packetId: number): boolean {
  const session = link.session!
  const { changes } = link.core
  session.receivedIds.add(packetId)
  if (!changes.isActive || session.isVolatile) return false
  changes.append({ kind: "received", clientId: session.clientId, packetId })
  return true
}

/** The broker takes the message: from here on it is not lost. */
function route(link: Link, message: Message, qos: QoS, packetId: number): void | Promise<void> {
  const { core } = link
  const session = link.session!
  if (qos === 0) {
    core.publish(message, session, link)
    return undefined
  }
  if (core.changes.isStrained && core.mustStore(message, session)) {
    if (core.changes.isFailing && link.level === 5) {
      core.dropped("store failing", link.name, message, "sender")
      return reject(link, qos, packetId, Reason.QuotaExceeded)
    }
    if (core.changes.isFull) return routeWhenThereIsRoom(link, message.keep(), qos, packetId)
  }
  const isKept = message.retain && message.recipients === undefined && message.payloadBytes > 0
  if (isKept && link.level === 5 && !core.retained.hasRoom(message.topic.name)) {
    core.metrics.limitsHit["retained messages"]++
    core.dropped("retained limit", link.name, message, "sender")
    return reject(link, qos, packetId, Reason.QuotaExceeded)
  }
  const { changes } = core
  const before = changes.appended
  if (qos === 2) noteReceived(link, packetId)
  const reason = core.publish(message, session, link)
  const after = changes.appended > before ? changes.appended : 0
  link.acknowledge(qos === 1 ? PacketType.PUBACK : PacketType.PUBREC, packetId, reason, after)
}

/** The store is behind, and what waits for it fills the memory it may have: the client is not read from until it catches up. */
async function routeWhenThereIsRoom(link: Link, message: Message, qos: QoS, packetId: number): Promise<void> {
  await link.core.changes.room()
  if (link.state === "open") return routeAged(link, message, qos, packetId)
}

/** A message that the broker itself does not want. */
function turnAway(link: Link, qos: QoS, packetId: number, reason: Reason): void {
  const { core, name } = link
  core.incidents.note(name, "publish", "publish refused", incoming.topic.name, core.now(), reason)
  sayNotPublished(link, incoming.topic.name, reason)
  reject(link, qos, packetId, reason)
}

/** The message is not taken. A 3.x client cannot be told, so its packet is acknowledged. [v3.1.1 MQTT-3.3.5-2] */
function reject(link: Link, qos: QoS, packetId: number, reason: Reason): void {
  if (qos > 0) link.acknowledge(qos === 1 ? PacketType.PUBACK : PacketType.PUBREC, packetId, reason, 0)
}

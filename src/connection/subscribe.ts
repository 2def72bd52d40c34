/** SUBSCRIBE and UNSUBSCRIBE. MQTT 5 §3.8 to §3.11 */
import type { Permission } from "../broker/ports.ts"
import {
  decodeSubscribe,
  decodeUnsubscribe,
  encodeSuback,
  encodeUnsuback,
  type Properties,
  Reader,
  Reason,
  type Subscribe,
  type SubscribeRequest,
} from "../codec/index.ts"
import type { TopicFilter } from "../router/index.ts"
import { decide, isPromise } from "./decide.ts"
import { type Link, writer } from "./link.ts"
import { isPermitted } from "./permissions.ts"

const reader = new Reader()

export function onSubscribe(link: Link, bytes: Buffer, body: number, end: number): void | Promise<void> {
  const packet = decodeSubscribe(reader.reset(bytes, body, end), link.level)
  if (typeof packet === "number") return link.disconnect(packet)
  if (packet.requests.some(({ topicFilter, noLocal }) => noLocal && topicFilter.startsWith("$share/"))) {
    return link.disconnect(Reason.ProtocolError, "No Local on a shared subscription") // [MQTT-3.8.3-4]
  }
  return decideAll(link, packet, [])
}

/** Decides the filters one after the other, then acts on them all: one SUBACK with a reason for each. [MQTT-3.9.3-1] */
function decideAll(link: Link, packet: Subscribe, reasons: Reason[]): void | Promise<void> {
  while (reasons.length < packet.requests.length) {
    const request = packet.requests[reasons.length]!
    const filter = filterOf(link, request.topicFilter)
    const refusal = filter === undefined ? Reason.TopicFilterInvalid : cannotSubscribe(link, filter)
    if (refusal !== undefined) {
      reasons.push(refusal)
      continue
    }
    const pending = permission(link, filter!)
    if (!isPromise(pending)) {
      reasons.push(reasonOf(link, pending, request))
      continue
    }
    return decide<Permission>(
      () => pending,
      (error) => link.authFailed(error),
      (answer) => {
        if (link.state !== "open") return undefined
        reasons.push(reasonOf(link, answer, request))
        return decideAll(link, packet, reasons)
      },
    )
  }
  return subscribe(link, packet, reasons)
}

function subscribe(link: Link, packet: Subscribe, reasons: Reason[]): void {
  const { core } = link
  const session = link.session!
  const identifier = packet.properties.subscriptionIdentifiers?.[0]
  const toReplay: string[] = []
  packet.requests.forEach((request, index) => {
    if (reasons[index]! > 2) return
    if (link.cannotKeep) {
      reasons[index] = Reason.QuotaExceeded
      return
    }
    const filter = filterOf(link, request.topicFilter)!
    const isKnown = session.subscriptions.has(filter.text)
    if (!isKnown && session.subscriptions.size >= core.limits.maximumSubscriptionsPerClient) {
      core.metrics.limitsHit.subscriptions++
      reasons[index] = Reason.QuotaExceeded
      return
    }
    const qos = reasons[index] as 0 | 1 | 2
    core.subscribe(session, filter, { ...request, qos }, identifier)
    const wantsRetained = request.retainHandling === 0 || (request.retainHandling === 1 && !isKnown)
    if (wantsRetained && filter.shareName === undefined) toReplay.push(filter.text) // [MQTT-3.3.1-9] to [MQTT-3.3.1-11]
  })
  // MQTT 3.1 §3.8: a client of that version cannot be told of a refusal, it gets a positive answer.
  const answers = link.level === 3 ? reasons.map((reason) => (reason > 2 ? Reason.Success : reason)) : reasons
  link.acknowledgeWith(encodeSuback(writer, link.level, packet.packetId, answers, why(link, reasons)))
  for (const text of toReplay) core.replayRetained(session, text)
  if (packet.requests.some(({ topicFilter }) => topicFilter.startsWith("$share/"))) session.pump()
}

export function onUnsubscribe(link: Link, bytes: Buffer, body: number, end: number): void {
  const packet = decodeUnsubscribe(reader.reset(bytes, body, end), link.level)
  if (typeof packet === "number") {
    link.disconnect(packet)
    return
  }
  const reasons = packet.topicFilters.map((text) => {
    const filter = filterOf(link, text)
    if (filter === undefined) return Reason.TopicFilterInvalid
    if (link.cannotKeep) return Reason.ImplementationSpecificError
    return link.core.unsubscribe(link.session!, filter.text) ? Reason.Success : Reason.NoSubscriptionExisted
  })
  const answer = encodeUnsuback(writer, link.level, packet.packetId, reasons, why(link, reasons))
  link.acknowledgeWith(answer) // [MQTT-3.10.4-4]
}

/** One reason string for the packet: that of the first filter refused. */
function why(link: Link, reasons: readonly Reason[]): Properties | undefined {
  const refusal = reasons.find((reason) => reason >= 0x80)
  return refusal === undefined ? undefined : link.problem(refusal)
}

/** What the listener has switched off. */
function cannotSubscribe(link: Link, filter: TopicFilter): Reason | undefined {
  const { sharedSubscriptionAvailable, wildcardSubscriptionAvailable } = link.serving.limits
  if (filter.shareName !== undefined && !sharedSubscriptionAvailable) return Reason.SharedSubscriptionsNotSupported
  if (filter.hasWildcard && !wildcardSubscriptionAvailable) return Reason.WildcardSubscriptionsNotSupported
  return undefined
}

function permission(link: Link, filter: TopicFilter): Permission | PromiseLike<Permission> {
  const { permissions } = link
  try {
    return permissions === undefined || permissions.ask("subscribe", filter.pattern)
  } catch (error) {
    return link.authFailed(error)
  }
}

/** The QoS that is granted, or why none is. [MQTT-3.9.3-2] */
function reasonOf(link: Link, answer: Permission, request: SubscribeRequest): Reason {
  if (!isPermitted(answer)) return typeof answer === "number" && mayRefuse(answer) ? answer : Reason.NotAuthorized
  const { maximumQoS } = link.serving.limits
  return request.qos < maximumQoS ? request.qos : maximumQoS
}

/** Whether a SUBACK may refuse with it. MQTT 5 table 3-8 */
function mayRefuse(reason: Reason): boolean {
  switch (reason) {
    case Reason.UnspecifiedError:
    case Reason.ImplementationSpecificError:
    case Reason.NotAuthorized:
    case Reason.TopicFilterInvalid:
    case Reason.PacketIdentifierInUse:
    case Reason.QuotaExceeded:
    case Reason.SharedSubscriptionsNotSupported:
    case Reason.SubscriptionIdentifiersNotSupported:
    case Reason.WildcardSubscriptionsNotSupported:
      return true
    default:
      return false
  }
}

/** The filter with the listener's mount point in front of its topics; undefined if it is not a valid one. */
function filterOf(link: Link, text: string): TopicFilter | undefined {
  const { mountPoint } = link.serving.limits
  const filter = link.core.parseFilter(text)
  if (filter === undefined || mountPoint === "") return filter
  const share = text.slice(0, text.length - filter.pattern.length)
  return link.core.parseFilter(share + mountPoint + filter.pattern)
}

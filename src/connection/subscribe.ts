/** SUBSCRIBE and UNSUBSCRIBE. MQTT 5 §3.8 to §3.11 */
import { slicesOf } from "../broker/admin/page.ts"
import { isPromise } from "../broker/decide.ts"
import { ManjuError } from "../broker/errors.ts"
import { type Outcome, Refused } from "../broker/hook-chains.ts"
import type { Awaitable } from "../broker/hooks.ts"
import type { Permission } from "../broker/ports.ts"
import {
  decodeSubscribe,
  decodeUnsubscribe,
  encodeSuback,
  encodeUnsuback,
  isEncodable,
  type Properties,
  Reader,
  Reason,
  type Subscribe,
  type SubscribeRequest,
  type Unsubscribe,
} from "../codec/index.ts"
import type { TopicFilter } from "../router/index.ts"
import { sayNotSubscribed } from "./lines.ts"
import { type Link, writer } from "./link.ts"
import { isPermitted } from "./permissions.ts"

const reader = new Reader()
/** So many filters are a millisecond or two. */
const MOST_AT_ONCE = 500

/** What became of one filter of a SUBSCRIBE: what is granted, or why nothing is. */
type Decision = Reason | { readonly filter: TopicFilter; readonly options: SubscribeRequest }

export function onSubscribe(link: Link, bytes: Buffer, body: number, end: number): void | Promise<void> {
  const packet = decodeSubscribe(reader.reset(bytes, body, end), link.level)
  if (typeof packet === "number") return link.disconnect(packet)
  if (packet.requests.some(({ topicFilter, noLocal }) => noLocal && topicFilter.startsWith("$share/"))) {
    return link.disconnect(Reason.ProtocolError, "No Local on a shared subscription") // [MQTT-3.8.3-4]
  }
  return inTurn(
    link,
    packet.requests,
    (request) => decideOn(link, request),
    (decisions) => subscribe(link, packet, decisions),
  )
}

/**
 * Decides on one thing after the other, then goes on with all decisions: one answer for the packet. [MQTT-3.9.3-1] Where the connection
 * has ended meanwhile, whoever decides may have seen to that, nothing comes of it.
 */
export function inTurn<Item, Answer>(
  link: Link,
  items: readonly Item[],
  decide: (item: Item) => Awaitable<Answer>,
  next: (answers: Answer[]) => void | Promise<void>,
): void | Promise<void> {
  return items.length > MOST_AT_ONCE ? inSlices(link, items, decide, next) : inOne(link, items, decide, next, [])
}

/** A packet may hold a hundred thousand filters: others are served in between. */
async function inSlices<Item, Answer>(
  link: Link,
  items: readonly Item[],
  decide: (item: Item) => Awaitable<Answer>,
  next: (answers: Answer[]) => void | Promise<void>,
): Promise<void> {
  const answers: Answer[] = []
  for await (const slice of slicesOf(items)) {
    for (const item of slice) {
      if (link.state !== "open") return
      const answer = decide(item)
      answers.push(isPromise(answer) ? await answer : answer)
    }
  }
  if (link.state === "open") await next(answers)
}

function inOne<Item, Answer>(
  link: Link,
  items: readonly Item[],
  decide: (item: Item) => Awaitable<Answer>,
  next: (answers: Answer[]) => void | Promise<void>,
  answers: Answer[],
): void | Promise<void> {
  while (answers.length < items.length && link.state === "open") {
    const answer = decide(items[answers.length]!)
    if (isPromise(answer)) {
      return Promise.resolve(answer).then((answer) => {
        answers.push(answer)
        return inOne(link, items, decide, next, answers)
      })
    }
    answers.push(answer)
  }
  return link.state === "open" ? next(answers) : undefined
}

function decideOn(link: Link, request: SubscribeRequest): Awaitable<Decision> {
  const filter = filterOf(link, request.topicFilter)
  if (filter === undefined) return Reason.TopicFilterInvalid
  const refusal = cannotSubscribe(link, filter)
  if (refusal !== undefined) return refusal
  const answered = (permission: Permission) => {
    if (isPermitted(permission)) return consider(link, filter, request)
    return typeof permission === "number" && mayRefuse(permission) ? permission : Reason.NotAuthorized
  }
  const permission = ask(link, filter)
  if (!isPromise(permission)) return answered(permission)
  return Promise.resolve(permission)
    .catch((error) => link.authFailed(error))
    .then(answered)
}

/** The hooks may change what is asked for. Their filters are the broker's own, mount point included. */
function consider(link: Link, filter: TopicFilter, request: SubscribeRequest): Awaitable<Decision> {
  const { maximumQoS } = link.serving.limits
  const granted = (request: SubscribeRequest) => (request.qos > maximumQoS ? { ...request, qos: maximumQoS } : request)
  const { subscribe: asked } = link.core.hooks
  if (asked === undefined) return { filter, options: granted(request) }
  const decided = (outcome: Outcome<SubscribeRequest>): Decision => {
    if (outcome instanceof Refused) return mayRefuse(outcome.reason) ? outcome.reason : Reason.NotAuthorized
    const { topicFilter } = outcome
    const changed = isEncodable(topicFilter) ? link.core.parseFilter(topicFilter) : undefined
    if (changed !== undefined) return { filter: changed, options: granted(outcome) }
    const problem = `nobody can subscribe to ${JSON.stringify(topicFilter)}`
    link.core.hookFailed(new ManjuError("INVALID_TOPIC", problem), "onSubscribe")
    return Reason.ImplementationSpecificError
  }
  const outcome = asked({ ...request, topicFilter: filter.text }, link.view)
  return isPromise(outcome) ? Promise.resolve(outcome).then(decided) : decided(outcome)
}

function subscribe(link: Link, packet: Subscribe, decisions: readonly Decision[]): void | Promise<void> {
  const { core } = link
  const session = link.session!
  const identifier = packet.properties.subscriptionIdentifiers?.[0]
  const toReplay: string[] = []
  const act = (decision: Decision): Reason => {
    if (typeof decision === "number") return decision
    if (link.cannotKeep) return Reason.QuotaExceeded
    const { filter, options } = decision
    const isKnown = session.subscriptions.has(filter.text)
    if (!isKnown && session.subscriptions.size >= core.limits.maximumSubscriptionsPerClient) {
      core.metrics.limitsHit.subscriptions++
      return Reason.QuotaExceeded
    }
    core.subscribe(session, filter, options, identifier)
    const wantsRetained = options.retainHandling === 0 || (options.retainHandling === 1 && !isKnown)
    if (wantsRetained && filter.shareName === undefined) toReplay.push(filter.text) // [MQTT-3.3.1-9] to [MQTT-3.3.1-11]
    return options.qos // [MQTT-3.9.3-2]
  }
  return inTurn(link, decisions, act, (reasons) => acknowledge(link, packet, decisions, reasons, toReplay))
}

function acknowledge(
  link: Link,
  packet: Subscribe,
  decisions: readonly Decision[],
  reasons: readonly Reason[],
  toReplay: readonly string[],
): void {
  const { core } = link
  const session = link.session!
  for (const [index, reason] of reasons.entries())
    if (reason >= 0x80) noteRefused(link, packet.requests[index]!, reason)
  // MQTT 3.1 §3.8: a client of that version cannot be told of a refusal, it gets a positive answer.
  const answers = link.level === 3 ? reasons.map((reason) => (reason > 2 ? Reason.Success : reason)) : reasons
  link.acknowledgeWith(encodeSuback(writer, link.level, packet.packetId, answers, why(link, reasons)))
  for (const text of toReplay) core.replayRetained(session, text)
  if (decisions.some((decision) => typeof decision === "object" && decision.filter.shareName !== undefined)) {
    session.pump()
  }
}

function noteRefused(link: Link, { topicFilter }: SubscribeRequest, reason: Reason): void {
  const { core, name } = link
  core.incidents.note(name, "subscribe", "subscription refused", topicFilter, core.now(), reason)
  sayNotSubscribed(link, topicFilter, reason)
}

export function onUnsubscribe(link: Link, bytes: Buffer, body: number, end: number): void | Promise<void> {
  const packet = decodeUnsubscribe(reader.reset(bytes, body, end), link.level)
  if (typeof packet === "number") return link.disconnect(packet)
  return inTurn(
    link,
    packet.topicFilters,
    (text) => decideOnLeaving(link, text),
    (decisions) => unsubscribe(link, packet, decisions),
  )
}

/** The filter that is given up, or why none is; the hooks may name another. */
function decideOnLeaving(link: Link, text: string): Awaitable<string | Reason> {
  const filter = filterOf(link, text)
  if (filter === undefined) return Reason.TopicFilterInvalid
  const { unsubscribe: asked } = link.core.hooks
  if (asked === undefined) return filter.text
  const decided = (outcome: Outcome<string>): string | Reason => {
    if (!(outcome instanceof Refused)) return outcome
    return mayRefuseLeaving(outcome.reason) ? outcome.reason : Reason.NotAuthorized
  }
  const outcome = asked(filter.text, link.view)
  return isPromise(outcome) ? Promise.resolve(outcome).then(decided) : decided(outcome)
}

function unsubscribe(
  link: Link,
  { packetId }: Unsubscribe,
  decisions: readonly (string | Reason)[],
): void | Promise<void> {
  const act = (decision: string | Reason): Reason => {
    if (typeof decision === "number") return decision
    if (link.cannotKeep) return Reason.ImplementationSpecificError
    return link.core.unsubscribe(link.session!, decision) ? Reason.Success : Reason.NoSubscriptionExisted
  }
  return inTurn(link, decisions, act, (reasons) => {
    link.acknowledgeWith(encodeUnsuback(writer, link.level, packetId, reasons, why(link, reasons))) // [MQTT-3.10.4-4]
  })
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

/** Whether the client may subscribe to a filter. May reject what the authority does. */
export function ask(link: Link, filter: TopicFilter): Permission | PromiseLike<Permission> {
  const { permissions } = link
  try {
    return permissions === undefined || permissions.ask("subscribe", filter.pattern)
  } catch (error) {
    return link.authFailed(error)
  }
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

/** Whether an UNSUBACK may refuse with it. MQTT 5 table 3-9 */
function mayRefuseLeaving(reason: Reason): boolean {
  switch (reason) {
    case Reason.UnspecifiedError:
    case Reason.ImplementationSpecificError:
    case Reason.NotAuthorized:
    case Reason.TopicFilterInvalid:
    case Reason.PacketIdentifierInUse:
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

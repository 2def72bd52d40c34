/**
 * What becomes of messages, one by one, for somebody who looks: whom each was sent to, for whom it waits, and who did not get it and why.
 *
 * It stands where messages come in, behind auths and hooks (`Sampler`), and where what goes wrong is noted (`Incidents`). Of a message that
 * comes in it asks each subscriber, before the message goes round, whether it would leave at once; what then goes wrong with one is heard
 * of while it goes round, and put right. What somebody has decided only later, or when nobody looked at that message any more, is told as
 * a line of its own that is late. What was refused before it came in is only heard of.
 *
 * While nobody looks, nothing is done. While somebody does, it is done for messages that match, and a look-up for the others; so many are
 * kept until they are taken, and of each so many receivers, as far as there is room for their names. What comes then is only counted.
 */
import { deliveryQoS, type QoS, reasonText } from "../codec/index.ts"
import { matches, type ShareGroup, type Target } from "../router/index.ts"
import type { Message, Session } from "../session/index.ts"
import type { Core } from "./core.ts"
import type { Heard } from "./incidents.ts"
import { type Look, Sampler } from "./sampler.ts"

const MOST_MESSAGES = 200
const MOST_FATES = 50
/** What the names in all of them may have together: strangers choose them. */
const MOST_CHARACTERS = 524_288

/** Which messages. */
export interface TraceQuery {
  /** Those of topics that it matches. */
  readonly topicFilter: string
  /** Those that this client publishes, or should get. Default: all. */
  readonly clientId?: string | undefined
}

/** What has become of a message for one who should get it. */
export interface Fate {
  /** Who; undefined: nobody of the share group. */
  readonly clientId?: string | undefined
  /** `skipped`: it is not for that one, although a subscription matches. */
  fate: "sent" | "queued" | "dropped" | "skipped"
  /** Why it was dropped or skipped. */
  reason?: string | undefined
  /** The share group through which it came, by its filter. */
  readonly share?: string | undefined
}

/** A message, and what has become of it. */
export interface TracedMessage {
  /** In milliseconds since 1970. */
  readonly time: number
  readonly topic: string
  /** Who has published it; undefined: the broker, its service, or nobody knows any more. */
  readonly from?: string | undefined
  /** Of one that came in. */
  readonly qos?: QoS | undefined
  readonly retain?: boolean | undefined
  readonly payloadBytes?: number | undefined
  /** Why it goes to nobody. */
  readonly refused?: string | undefined
  readonly fates: readonly Fate[]
  /** For whom there was no room among the fates. */
  readonly moreReceivers: number
  /** What has become of an earlier one. */
  readonly isLate?: true | undefined
}

type Writable<T> = { -readonly [name in keyof T]: T[name] }

/** The one that goes round. */
interface Open {
  readonly traced: Writable<TracedMessage> & { readonly fates: Fate[] }
  /** The share groups of which one member gets it, and how many messages each member had been sent before. */
  readonly groups: readonly { readonly share: string; readonly sentBefore: ReadonlyMap<string, number> }[]
}

/** Somebody's look at what becomes of messages. */
export class Trace implements Look {
  private messages: TracedMessage[] = []
  private omitted = 0
  private characters = 0
  private open: Open | undefined
  private readonly core: Core
  private readonly pattern: string
  private readonly clientId: string | undefined

  private constructor(core: Core, { topicFilter, clientId }: TraceQuery) {
    this.core = core
    this.pattern = topicFilter
    this.clientId = clientId
  }

  /** Begins to look, until `end` is called. */
  static begin(core: Core, query: TraceQuery): { readonly trace: Trace; end(): void } {
    const trace = new Trace(core, query)
    const endLook = Sampler.watch(core, trace)
    const endListening = core.incidents.watch((incident) => trace.hear(incident))
    const end = () => {
      endLook()
      endListening()
    }
    return { trace, end }
  }

  /** What there was since the last time. */
  take(): { messages: readonly TracedMessage[]; omitted: number } {
    this.close()
    const { messages, omitted } = this
    this.messages = []
    this.omitted = 0
    this.characters = 0
    return { messages, omitted }
  }

  /** A message comes in, and goes round next. */
  see(message: Message, from: Session | undefined): void {
    this.close()
    const { topic, qos, retain, payloadBytes } = message
    if (!matches(this.pattern, topic.name)) return
    const { targets, groups } = this.core.router.route(topic)
    if (!this.concerns(from, targets, groups)) return
    if (this.isFull) {
      this.omitted++
      return
    }
    const traced = {
      ...{ time: Math.round(this.core.now()), topic: topic.name, ...(from && { from: from.clientId }) },
      ...{ qos, retain, payloadBytes, fates: [], moreReceivers: 0 },
    }
    this.open = {
      traced,
      groups: groups.map(({ shareName, pattern, members }) => ({
        share: `$share/${shareName}/${pattern}`,
        sentBefore: new Map(members.map(({ subscriber }) => [subscriber.clientId, this.sentTo(subscriber.clientId)])),
      })),
    }
    for (const target of targets) {
      if (this.hasRoomFor(target.subscriber.clientId)) this.tell(this.foreseen(target, message, from))
      else traced.moreReceivers++
    }
    queueMicrotask(() => this.close())
  }

  /** Whether somebody asks for what comes from there, or goes there. */
  private concerns(
    from: Session | undefined,
    targets: readonly Target<Session>[],
    groups: readonly ShareGroup<Session>[],
  ): boolean {
    const { clientId } = this
    if (clientId === undefined || from?.clientId === clientId) return true
    const isThat = ({ subscriber }: Target<Session>) => subscriber.clientId === clientId
    return targets.some(isThat) || groups.some(({ members }) => members.some(isThat))
  }

  /** What becomes of it where nothing goes wrong. */
  private foreseen(
    { subscriber, qos: granted, own }: Target<Session>,
    message: Message,
    from: Session | undefined,
  ): Fate {
    const { clientId, outlet } = subscriber
    if (message.recipients?.has(clientId) === false)
      return { clientId, fate: "skipped", reason: "it is for others alone" }
    if (subscriber === from && own === undefined) return { clientId, fate: "skipped", reason: "no local" }
    const qos = deliveryQoS(message.qos, granted)
    if (qos === 0 && outlet === undefined) return { clientId, fate: "skipped", reason: "not connected" }
    return { clientId, fate: qos === 0 || subscriber.isReadyFor(qos) ? "sent" : "queued" }
  }

  private tell(fate: Fate): void {
    const { traced } = this.open!
    if (!this.hasRoomFor(fate.clientId)) {
      traced.moreReceivers++
      return
    }
    traced.fates.push(fate)
    this.characters += lengthOf(fate)
  }

  /** For whom somebody asks there always is. */
  private hasRoomFor(clientId: string | undefined): boolean {
    if (clientId !== undefined && clientId === this.clientId) return true
    return this.open!.traced.fates.length < MOST_FATES && this.characters < MOST_CHARACTERS
  }

  private get isFull(): boolean {
    return this.messages.length >= MOST_MESSAGES || this.characters >= MOST_CHARACTERS
  }

  /** Something has gone wrong. */
  private hear({ clientId, about, topic, code, reason: told, now }: Heard): void {
    if (!matches(this.pattern, topic) || (about !== "publish" && about !== "receive")) return
    const reason = told === undefined ? code : `${code}: ${reasonText(told)}`
    const { open } = this
    if (about === "publish") {
      if (this.clientId !== undefined && this.clientId !== clientId) return
      this.pushHeard({ time: Math.round(now), topic, from: clientId, refused: reason, fates: [], moreReceivers: 0 })
    } else if (open?.traced.topic === topic) {
      const known = open.traced.fates.find((each) => each.clientId === clientId)
      if (known !== undefined) Object.assign(known, { fate: "dropped", reason })
      else if (open.groups.some(({ share }) => share === clientId))
        this.tell({ fate: "dropped", reason, share: clientId })
    } else if (this.clientId === undefined || this.isOf(clientId, this.clientId)) {
      const fate: Fate = clientId.startsWith("$share/")
        ? { fate: "dropped", reason, share: clientId }
        : { clientId, fate: "dropped", reason }
      this.pushHeard({ time: Math.round(now), topic, fates: [fate], moreReceivers: 0, isLate: true })
    }
  }

  /** Whether a name is the client's, or that of a share group in which it is. */
  private isOf(name: string, clientId: string): boolean {
    return name === clientId || this.core.sessions.get(clientId)?.subscriptions.has(name) === true
  }

  /** The message has gone round. */
  private close(): void {
    const { open } = this
    if (open === undefined) return
    const { traced, groups } = open
    for (const { share, sentBefore } of groups) {
      if (traced.fates.some((fate) => fate.share === share)) continue
      const taker = [...sentBefore].find(([clientId, sent]) => this.sentTo(clientId) > sent)
      if (taker !== undefined) this.tell({ clientId: taker[0], fate: "sent", share })
      else if (traced.qos! > 0) this.tell({ fate: "queued", share })
      else this.tell({ fate: "skipped", reason: "nobody of the group is connected", share })
    }
    this.open = undefined
    this.push(traced)
  }

  /** One that did not come in just now. */
  private pushHeard(message: TracedMessage): void {
    if (this.isFull) {
      this.omitted++
      return
    }
    for (const fate of message.fates) this.characters += lengthOf(fate)
    this.push(message)
  }

  private push(message: TracedMessage): void {
    const { topic, from = "" } = message
    this.characters += topic.length + from.length
    this.messages.push(message)
  }

  private sentTo(clientId: string): number {
    return this.core.clients.get(clientId)?.view.counters.messagesSent ?? 0
  }
}

function lengthOf({ clientId = "", share = "" }: Fate): number {
  return clientId.length + share.length
}

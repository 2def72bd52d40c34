/**
 * The messages that wait for a consumer in this process: the outlet of a session that has no client.
 *
 * One bound, `capacity`, holds for all that wait here. Messages of QoS 1 and 2 are in flight until they are taken, and are then
 * acknowledged; those that find no room wait in the session's queue, under the broker's limits, as they would for a client.
 * QoS 0 that finds no room is dropped, the oldest or the newest, and counted.
 *
 * The consumer is never called: it takes, or awaits `arrival`. So it runs when the turn is over, and nothing that it does comes in the
 * middle of routing. One that awaits cannot keep up with what comes before it runs: that fills no bound. (A chunk
 * from a socket may hold ten thousand messages. An outbox counts in the same way.)
 */
import type { QoS } from "../../codec/index.ts"
import type { TopicFilter } from "../../router/index.ts"
import { type DropReason, type Message, type Outlet, Session, type SessionHost } from "../../session/index.ts"
import { ApplicationMessage } from "../application-message.ts"
import type { Core } from "../core.ts"

/** What becomes of a message of QoS 0 for which there is no room. */
export type Overflow = "drop-oldest" | "drop-newest" | "close"

/** Given to subscriptions that share, as their identifier: a message tells by it how it has come. */
const SHARED = 1

/** A message that waits. */
interface Entry {
  readonly message: Message
  readonly qos: QoS
  readonly retain: boolean
  /** Whether it has come through a share group. */
  readonly isShared: boolean
  readonly packetId: number
  /** When it has come: there are two lines. */
  readonly order: number
  next: Entry | undefined
}

/** First in, first out. */
class Line {
  first: Entry | undefined
  length = 0
  private last: Entry | undefined

  push(entry: Entry): void {
    if (this.last === undefined) this.first = entry
    else this.last.next = entry
    this.last = entry
    this.length++
  }

  shift(): Entry | undefined {
    const { first } = this
    if (first === undefined) return undefined
    this.first = first.next
    if (this.first === undefined) this.last = undefined
    this.length--
    return first
  }
}

export class Mailbox implements Outlet {
  readonly receiveMaximum: number
  /** Whether nothing comes any more. */
  isClosed = false
  private readonly core: Core
  private readonly session: Session
  private readonly capacity: number
  private readonly overflow: Overflow
  private readonly onOverflow: () => void
  /** QoS 1 and 2. */
  private inflight = new Line()
  /** QoS 0: what may be dropped. */
  private passing = new Line()
  private arrivals = 0
  private hasOverflowed = false
  /** Ends the waiting of the consumer, while it waits. */
  private wake: (() => void) | undefined
  /** Whether the consumer was waiting when the first message came, and has not run since. */
  private isWaking = false

  /** `onOverflow` is called once, in a microtask, where `overflow` is "close" and a message finds no room. */
  constructor(core: Core, name: string, capacity: number, overflow: Overflow, onOverflow: () => void) {
    this.core = core
    this.capacity = capacity
    this.overflow = overflow
    this.onOverflow = onOverflow
    this.receiveMaximum = capacity
    this.session = new Session(name, 0, overflow === "close" ? this.watched() : core)
    this.session.bind(this)
    this.session.resume()
  }

  get isWritable(): boolean {
    return this.length < this.capacity && !this.hasOverflowed && !this.isClosed
  }

  subscribe(filter: TopicFilter, qos: QoS, retainAsPublished: boolean): void {
    const request = { topicFilter: filter.text, qos, retainAsPublished, retainHandling: 0, noLocal: false } as const
    this.core.subscribe(this.session, filter, request, filter.shareName === undefined ? undefined : SHARED)
  }

  /** Asks for what is retained, each message once, however many filters match it. [MQTT-3.3.1-9] */
  replay(): void {
    const seen = new Set<string>()
    for (const subscription of this.session.subscriptions.values()) {
      const { pattern, shareName } = subscription.filter
      if (shareName !== undefined) continue // MQTT 5 §4.8.2
      this.session.replay(subscription, unseen(this.core.retained.matching(pattern), seen))
    }
  }

  /** Takes what already waits for its share groups. */
  pump(): void {
    this.session.pump()
  }

  publish(
    message: Message,
    qos: QoS,
    retain: boolean,
    identifiers: readonly number[] | undefined,
    packetId: number,
  ): undefined {
    if (qos === 0 && !this.makeRoom(message)) return
    const isShared = identifiers !== undefined
    const order = ++this.arrivals
    const line = qos === 0 ? this.passing : this.inflight
    line.push({ message: message.keep(), qos, retain, isShared, packetId, order, next: undefined })
    this.rouse()
  }

  /** The next message, the consumer's from now on; undefined: there is none now. */
  take(): ApplicationMessage | undefined {
    this.isWaking = false
    for (let entry = this.shift(); entry !== undefined; entry = this.shift()) {
      const { message, qos, retain } = entry
      if (!this.isClosed) this.settle(entry)
      const now = this.core.now()
      if (!message.isExpired(now)) return ApplicationMessage.of(message, now, qos, retain)
      this.core.dropped("message expired", this.session.clientId, message)
    }
    return undefined
  }

  /** Resolves when there is something to take, or nothing comes any more. For one at a time. */
  arrival(): Promise<void> {
    if (this.length > 0 || this.isClosed) return Promise.resolve()
    return new Promise((resolve) => {
      this.wake = resolve
    })
  }

  /** Nothing comes any more. What has come can still be taken, save what goes back to a share group: another member gets that. */
  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    // While somebody is asked in the middle of routing, the groups must stay as they are.
    if (this.core.isAsking) queueMicrotask(() => this.endSession())
    else this.endSession()
    this.wake?.()
  }

  /** Forgets what waits. */
  clear(): void {
    this.inflight = new Line()
    this.passing = new Line()
  }

  /** A PUBLISH is never sent without being received: there is nothing to release. */
  release(): void {}

  /** The session does not outlive its connection: nothing of it waits for the journal. */
  waitForDurable(): void {}

  /** Nobody else can take the session over. */
  disconnect(): void {}

  private endSession(): void {
    this.core.unsubscribeAll(this.session)
    this.session.end()
    const { inflight } = this
    this.inflight = new Line()
    for (let entry = inflight.shift(); entry !== undefined; entry = inflight.shift()) {
      entry.next = undefined
      if (entry.qos === 2 || !entry.isShared) this.inflight.push(entry)
    }
  }

  private get length(): number {
    return this.passing.length + this.inflight.length
  }

  private rouse(): void {
    if (this.wake === undefined) return
    this.isWaking = true
    this.wake()
    this.wake = undefined
  }

  /** Whether there is room for a message of QoS 0 now; if not, it is dropped. */
  private makeRoom(message: Message): boolean {
    const { core, overflow, session } = this
    if (this.isClosed) return false
    if (!this.hasOverflowed) {
      if (this.length < this.capacity || this.isWaking) return true
      const oldest = overflow === "drop-oldest" ? this.passing.shift() : undefined
      if (oldest !== undefined) {
        core.dropped("backlog full", session.clientId, oldest.message)
        return true
      }
    }
    core.dropped("backlog full", session.clientId, message)
    if (overflow === "close") this.overflowed()
    return false
  }

  /** Not there and then: somebody is routing. */
  private overflowed(): void {
    if (this.hasOverflowed) return
    this.hasOverflowed = true
    queueMicrotask(this.onOverflow)
  }

  private shift(): Entry | undefined {
    const { inflight, passing } = this
    if (inflight.first === undefined) return passing.shift()
    return passing.first !== undefined && passing.first.order < inflight.first.order
      ? passing.shift()
      : inflight.shift()
  }

  /** The consumer has taken an entry: there is room for another. */
  private settle({ qos, packetId }: Entry): void {
    const { session } = this
    if (qos === 0) {
      if (this.length === this.capacity - 1) session.pump()
    } else if (qos === 1) session.acknowledge(packetId, 1)
    else {
      session.receive(packetId)
      session.complete(packetId)
    }
  }

  /** The broker as the session sees it, where what the session's queue drops is an overflow as well. */
  private watched(): SessionHost {
    const dropped = (reason: DropReason, name: string, message: Message) => {
      this.core.dropped(reason, name, message)
      if (reason === "queue full" || reason === "queue memory full") this.overflowed()
    }
    return new Proxy(this.core, {
      get: (core, name) => (name === "dropped" ? dropped : Reflect.get(core, name)),
    })
  }
}

/** Goes through retained messages, and the places between them, that have not been seen; from then on they have. */
function* unseen(places: Iterable<Message | undefined>, seen: Set<string>): Generator<Message | undefined> {
  for (const message of places) {
    const name = message?.topic.name
    yield name === undefined || seen.has(name) ? undefined : message
    if (name !== undefined) seen.add(name)
  }
}

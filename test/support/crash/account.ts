/** One subscriber of a crash test: what it has asked, what has come to it, and whether that could be. */
import type { Received } from "../../listeners/socket.ts"
import { History, type Operation } from "./history.ts"
import { contentTypeOf, describe, type Message, NEVER, numberIn, payloadOf } from "./message.ts"
import type { Client } from "./role.ts"

/** What a broker can say that it has done: taken a message, done what was asked about a subscription or a session. */
export type Acknowledged = "message" | "request" | "session"

/** The ledger that it belongs to. */
export interface Book {
  readonly life: number
  readonly messages: readonly Message[]
  /** The next place in the order of events. */
  now(): number
  isRetainedTopic(topic: string): boolean
  onAcknowledged(what: Acknowledged): void
  report(problem: string): void
}

export class Account {
  readonly client: Client
  readonly histories = new Map<string, History>()
  /** What came, and how often at QoS 2. */
  readonly arrivals = new Map<Message, { timesAtQoS2: number }>()
  arrivalCount = 0
  private readonly newest = new Map<string, Message>()
  private readonly book: Book

  constructor(client: Client, book: Book) {
    this.client = client
    this.book = book
  }

  /** How many subscriptions are certainly in force. */
  get subscriptionCount(): number {
    const now = this.book.now()
    return [...this.histories.values()].filter((each) => each.certain(now, now) !== undefined).length
  }

  history(topicFilter: string): History {
    let history = this.histories.get(topicFilter)
    if (history === undefined) this.histories.set(topicFilter, (history = new History(topicFilter)))
    return history
  }

  /** The client asks for something. */
  ask(topicFilter: string, kind: Operation["kind"], qos: 1 | 2 = 1): Operation {
    const { book } = this
    const sentAt = book.now()
    const operation = { kind, qos, identifier: sentAt, sentAt, life: book.life, acknowledgedAt: NEVER }
    this.history(topicFilter).operations.push(operation)
    return operation
  }

  /** What it has asked for is so from now on. */
  acknowledged(operation: Operation): void {
    operation.acknowledgedAt = this.book.now()
    this.book.onAcknowledged("request")
  }

  /** The client asks for the end of its session. */
  askEnd(): void {
    for (const topicFilter of this.histories.keys()) this.ask(topicFilter, "end")
  }

  /** The broker has said that it has no session of the client's. */
  end(): void {
    for (const topicFilter of this.histories.keys()) this.ask(topicFilter, "end").acknowledgedAt = this.book.now()
  }

  report(what: string, message?: Message): void {
    this.book.report(`${this.client.name} ${what}${message === undefined ? "" : `: ${describe(message)}`}`)
  }

  /** A message has come, and the client takes it for a new one. */
  arrived(packet: Received): void {
    const { book, arrivals } = this
    const { topic, payload } = packet
    if (payload.length === 0 && book.isRetainedTopic(topic)) return // a removal, which could be any
    const message = book.messages[Number(numberIn(payload))]
    if (message === undefined || message.topic !== topic || !payloadOf(message).equals(payload)) {
      this.report(`got what nobody published: ${topic}, ${payload.length} bytes, "${numberIn(payload)}"`)
      return
    }
    this.judgeOptions(message, packet)
    this.judgeSubscription(message, packet)
    this.judgeOrder(message)
    this.arrivalCount++
    const arrival = arrivals.get(message) ?? { timesAtQoS2: 0 }
    arrivals.set(message, arrival)
    if (packet.qos === 2 && ++arrival.timesAtQoS2 > 1) this.report("got twice at QoS 2", message)
  }

  private judgeOptions(message: Message, { retain, properties }: Received): void {
    const { name, level, noLocal, retainAsPublished } = this.client
    if (noLocal && message.publisher.name === name) this.report("got its own", message)
    if (retainAsPublished && message.retain && !retain) this.report("got without its RETAIN flag", message)
    if (level === 5 && properties?.contentType !== contentTypeOf(message)) {
      this.report(`got with the content type ${properties?.contentType}`, message)
    }
  }

  /** It must have come for a subscription that may have been in force when it was routed, and as that one asked. */
  private judgeSubscription(message: Message, { qos, retain, properties }: Received): void {
    const now = this.book.now()
    const history = [...this.histories.values()].find((each) => each.isFor(message.topic))
    // What is retained comes when it is asked for, and what waits for a group when somebody has room.
    const from = retain ? 0 : message.firstSentAt
    const to = retain || history?.isShared ? now : Math.min(message.acknowledgedAt, now)
    const possible = history?.possible(from, to) ?? []
    const identifier = properties?.subscriptionIdentifier
    const isAsAsked = (each: Operation) =>
      qos === Math.min(message.qos, each.qos) && (this.client.level !== 5 || identifier === each.identifier)
    if (possible.some(isAsAsked)) return
    const asked = possible.map((each) => `${each.identifier} of life ${each.life}, at QoS ${each.qos}`)
    this.report(`got at QoS ${qos} for subscription ${identifier}, but has ${asked.join(" or ") || "none"}`, message)
  }

  /** What one client publishes on one topic comes in its order, the first time that it comes. [MQTT-4.6.0-5] */
  private judgeOrder(message: Message): void {
    if (message.qos === 0 || this.arrivals.has(message)) return
    const stream = `${message.publisher.name} ${message.topic}`
    const newest = this.newest.get(stream)
    if (newest === undefined || newest.number < message.number) {
      this.newest.set(stream, message)
      return
    }
    // It may have been published a second time, for somebody who had not subscribed at the first.
    const to = Math.min(message.acknowledgedAt, this.book.now())
    const history = [...this.histories.values()].find((each) => !each.isShared && each.isFor(message.topic))
    if (history?.certain(message.firstSentAt, to)) this.report(`got message ${newest.number} before`, message)
  }
}

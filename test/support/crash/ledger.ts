/**
 * What clients have seen of a broker that may die at any moment, written down as it happens, and what must follow from it.
 *
 * Every event has its place in one order. A message is routed at some time between its first PUBLISH and the answer that
 * makes the broker responsible for it; a subscription is in force for certain from its SUBACK until something else is
 * asked. Where the two leave no doubt the message must arrive, or must not; where there is doubt nothing is demanded.
 */
import { Account, type Acknowledged, type Book } from "./account.ts"
import type { History, Operation } from "./history.ts"
import { describe, type Message, NEVER, numberIn, payloadOf } from "./message.ts"
import type { Client } from "./role.ts"

export class Ledger implements Book {
  /** How many brokers there have been. */
  life = 0
  readonly messages: Message[] = []
  readonly problems: string[] = []
  /** How many deliveries were found to be without doubt. */
  demanded = 0
  private readonly accounts: Account[] = []
  private readonly retained = new Map<string, Message[]>()
  private clock = 0
  private readonly awaited = new Map<Acknowledged, () => void>()

  now(): number {
    return ++this.clock
  }

  /** How many messages have come to all together. */
  get arrivals(): number {
    return this.accounts.reduce((sum, { arrivalCount }) => sum + arrivalCount, 0)
  }

  open(client: Client): Account {
    const account = new Account(client, this)
    this.accounts.push(account)
    return account
  }

  published(publisher: Client, topic: string, qos: 0 | 1 | 2, retain: boolean, bytes: number): Message {
    const sentAt = this.now()
    const sent = { firstSentAt: sentAt, lastSentAt: sentAt, sentIn: [this.life] }
    const answered = { acknowledgedAt: NEVER, acknowledgedIn: undefined }
    const number = this.messages.length
    const message = { number, topic, qos, retain, publisher, bytes, ...sent, ...answered }
    this.messages.push(message)
    if (retain) {
      const values = this.retained.get(topic)
      if (values === undefined) this.retained.set(topic, [message])
      else values.push(message)
    }
    return message
  }

  publishedAgain(message: Message): void {
    message.lastSentAt = this.now()
    message.sentIn.push(this.life)
  }

  acknowledged(message: Message): void {
    message.acknowledgedAt = this.now()
    message.acknowledgedIn = this.life
    this.onAcknowledged("message")
  }

  /** Resolves when the next thing of that kind is acknowledged. */
  acknowledgement(what: Acknowledged): Promise<void> {
    return new Promise((resolve) => this.awaited.set(what, resolve))
  }

  onAcknowledged(what: Acknowledged): void {
    this.awaited.get(what)?.()
  }

  isRetainedTopic(topic: string): boolean {
    return this.retained.has(topic)
  }

  report(problem: string): void {
    this.problems.push(`life ${this.life}: ${problem}`)
  }

  /** What is retained, as somebody was told who asked at `askedAt`: what was acknowledged last, or something later. */
  judgeRetained(found: ReadonlyMap<string, Buffer>, askedAt: number): void {
    for (const [topic, values] of this.retained) {
      const last = values.findLastIndex(({ acknowledgedAt }) => acknowledgedAt < askedAt)
      const payload = found.get(topic)
      if (last < 0 && payload === undefined) continue
      const possible = values.slice(Math.max(0, last))
      const isFound = (value: Message) => (value.bytes === 0 ? !payload : payload?.equals(payloadOf(value)))
      if (possible.some(isFound)) continue
      const instead = payload === undefined ? "nothing" : `message ${numberIn(payload)}`
      this.report(`${topic} retains ${instead}, and must retain ${possible.map(describe).join(", or ")}`)
    }
  }

  /** Finds what had to arrive and did not, now that nothing is on its way any more. */
  judgeLost(): void {
    const shared = new Set<string>()
    for (const account of this.accounts) {
      for (const history of account.histories.values()) {
        if (history.isShared) shared.add(history.topicFilter)
        else this.judgeSubscriber(account, history)
      }
    }
    for (const topicFilter of shared) this.judgeGroup(topicFilter)
  }

  private judgeSubscriber(account: Account, history: History): void {
    for (const message of this.messages) {
      const subscription = demand(account.client, history, message)
      if (subscription === undefined) continue
      this.demanded++
      if (account.arrivals.has(message)) continue
      account.report(`subscribed to ${history.topicFilter} in life ${subscription.life} and never got`, message)
    }
  }

  /** What is shared comes to one of those who share it. */
  private judgeGroup(topicFilter: string): void {
    const members = this.accounts.filter(({ histories }) => histories.has(topicFilter))
    const histories = members.map((member) => member.history(topicFilter))
    for (const message of this.messages.filter(({ topic }) => histories[0]!.isFor(topic))) {
      const reached = members.filter(({ arrivals }) => arrivals.has(message))
      const atQoS2 = reached.filter(({ arrivals }) => arrivals.get(message)!.timesAtQoS2 > 0)
      const names = atQoS2.map(({ client }) => client.name)
      if (names.length > 1) this.report(`${names.join(" and ")} each got at QoS 2 ${describe(message)}`)
      if (!members.some(({ client }, index) => demand(client, histories[index]!, message))) continue
      this.demanded++
      if (reached.length === 0) this.report(`nobody of ${topicFilter} ever got ${describe(message)}`)
    }
  }
}

/** The subscription for which a message certainly has to come to a client, or to its group. */
function demand({ name, noLocal, isVisitor }: Client, history: History, message: Message): Operation | undefined {
  const { qos, acknowledgedAt, firstSentAt, lastSentAt, bytes, publisher } = message
  if (acknowledgedAt === NEVER || bytes === 0 || !history.isFor(message.topic)) return undefined
  if (isVisitor || (noLocal && publisher.name === name) || history.mayHaveEnded(firstSentAt)) return undefined
  // At QoS 1 every PUBLISH is routed, and the last one was acknowledged; at QoS 2 only the first that came.
  return history.certain(qos === 1 ? lastSentAt : firstSentAt, acknowledgedAt)
}

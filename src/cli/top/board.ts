/**
 * What the live stream has told, put together for one frame after the other. The broker tells each second what was in that second: the
 * figures, then topics, then clients, which end it. A frame is about one such second or several.
 */
import type { Figures } from "../../http/figures.ts"
import type { LiveEvents } from "../../http/live.ts"
import type { LiveEvent } from "../admin-client.ts"

/** Of topics that are silent the busiest are kept, so that a topic does not come and go. */
const MOST_TOPICS = 2000

export interface TopicRow {
  readonly topic: string
  /** Messages a second since the frame before; and since it is watched. */
  readonly rate: number
  readonly messages: number
  /** Of the last one. */
  readonly payloadBytes: number
  readonly qos: number
  readonly retain: boolean
}

export interface ClientRow {
  readonly clientId: string
  readonly username: string | undefined
  /** PUBLISH packets a second since the frame before, from it and to it. */
  readonly received: number
  readonly sent: number
}

export interface Snapshot {
  readonly figures: Figures
  readonly topics: readonly TopicRow[]
  readonly clients: readonly ClientRow[]
  /** Messages a second over topics that the broker has not told of. */
  readonly omittedRate: number
}

interface Topic {
  messages: number
  /** Since the frame before. */
  recent: number
  payloadBytes: number
  qos: number
  retain: boolean
}

interface Client {
  username: string | undefined
  received: number
  sent: number
}

export class Board {
  /** Those since the frame before, at least one once there was one. */
  private figures: Figures[] = []
  private omitted = 0
  private readonly topics = new Map<string, Topic>()
  private clients = new Map<string, Client>()

  /** Takes what the stream has sent; returns whether a second is over of which there are figures. */
  take({ name, data }: LiveEvent): boolean {
    if (name === "figures") this.figures.push(data as LiveEvents["figures"])
    else if (name === "topics") this.takeTopics(data as LiveEvents["topics"])
    else if (name === "clients") this.takeClients(data as LiveEvents["clients"])
    return name === "clients" && this.figures.length > 0
  }

  /** How many seconds there are figures of. */
  get seconds(): number {
    return this.figures.length
  }

  /** What there is since the frame before; the next is about what comes. There must be figures. */
  snapshot(): Snapshot {
    const { length } = this.figures
    const topics = Array.from(this.topics, ([topic, { recent, ...rest }]) => ({
      topic,
      rate: recent / length,
      ...rest,
    }))
    const clients = Array.from(this.clients, ([clientId, { username, received, sent }]) => {
      return { clientId, username, received: received / length, sent: sent / length }
    })
    const snapshot = { figures: meanOf(this.figures), topics, clients, omittedRate: this.omitted / length }
    this.figures = []
    this.omitted = 0
    this.clients = new Map()
    for (const topic of this.topics.values()) topic.recent = 0
    return snapshot
  }

  /** Forgets topics: others are asked for. */
  clear(): void {
    this.topics.clear()
    this.figures = []
    this.omitted = 0
  }

  private takeTopics({ topics, omittedMessages }: LiveEvents["topics"]): void {
    this.omitted += omittedMessages
    for (const { topic, messages, payloadBytes, qos, retain } of topics) {
      const { messages: before, recent } = this.topics.get(topic) ?? { messages: 0, recent: 0 }
      this.topics.set(topic, { messages: before + messages, recent: recent + messages, payloadBytes, qos, retain })
    }
    const surplus = this.topics.size - MOST_TOPICS
    if (surplus <= 0) return
    const leastBusy = [...this.topics].sort(
      ([, one], [, other]) => one.recent - other.recent || one.messages - other.messages,
    )
    for (const [topic] of leastBusy.slice(0, surplus)) this.topics.delete(topic)
  }

  private takeClients({ clients }: LiveEvents["clients"]): void {
    for (const { clientId, username, received, sent } of clients) {
      const before = this.clients.get(clientId) ?? { received: 0, sent: 0 }
      this.clients.set(clientId, { username, received: before.received + received, sent: before.sent + sent })
    }
  }
}

/** The last figures, with the rates of all, and the longest that had to be waited. */
function meanOf(all: readonly Figures[]): Figures {
  const last = all.at(-1)!
  const names = Object.keys(last.rates) as (keyof Figures["rates"])[]
  const mean = (name: keyof Figures["rates"]) => all.reduce((sum, { rates }) => sum + rates[name], 0) / all.length
  const rates = Object.fromEntries(names.map((name) => [name, mean(name)])) as Figures["rates"]
  return { ...last, rates, eventLoopLagMs: Math.max(...all.map(({ eventLoopLagMs }) => eventLoopLagMs)) }
}

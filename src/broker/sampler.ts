/**
 * What goes over which topics, for somebody who looks: of each topic the last value and how many there were, in bounded memory.
 *
 * Every message is seen, and costs whoever looks a lookup and a copy of the first bytes of its payload; nobody else is told, and to a
 * publisher a topic at which only somebody looks has no subscribers. Of more topics than fit, some are chosen by chance, others each
 * time, so that none stays unseen for long.
 */
import type { QoS } from "../codec/index.ts"
import { matches, type Topic } from "../router/index.ts"
import type { Message, Session } from "../session/index.ts"

const MOST_TOPICS = 500
const PREVIEW_BYTES = 256
/** What the names of those topics may have together: strangers choose them. */
const MOST_CHARACTERS = 524_288
/** How many names that do not match are remembered, so that they are not compared each time, and how long they may be. */
const MOST_OTHERS = 10_000
const LONGEST_OTHER = 256
const EVERY_TOPIC = 256

/** What has gone over a topic since the last look. */
export interface TopicSample {
  readonly topic: string
  messages: number
  /** Of the last one: the first bytes of its payload, and how many there are. */
  preview: Buffer
  payloadBytes: number
  qos: QoS
  retain: boolean
}

/** What somebody looks with. */
export interface Look {
  /** A message comes in, and is routed next; `from`: the session of who has published it. */
  see(message: Message, from: Session | undefined): void
}

/** Somebody's look at the topics that a pattern matches. */
export class TopicWatch implements Look {
  private samples = new Map<string, TopicSample>()
  /** Of their names. */
  private characters = 0
  /** Of topics for which there was no room. */
  private unseenMessages = 0
  private readonly others = new Set<string>()
  private readonly pattern: string
  private readonly memory = Buffer.allocUnsafeSlow(MOST_TOPICS * PREVIEW_BYTES)
  /** Which topics are taken: of 256 parts, by their names' hashes, the first so many. */
  private taken = EVERY_TOPIC
  private salt = 0

  constructor(pattern: string) {
    this.pattern = pattern
  }

  see(message: Message): void {
    const { topic, payload, payloadStart, payloadEnd } = message
    const sample = this.samples.get(topic.name) ?? this.enter(topic)
    if (sample === undefined) return
    sample.messages++
    payload.copy(sample.preview, 0, payloadStart, payloadEnd)
    sample.payloadBytes = payloadEnd - payloadStart
    sample.qos = message.qos
    sample.retain = message.retain
  }

  /** What there was since the last time. The previews are to be read before the next message is seen. */
  take(): { samples: TopicSample[]; unseenMessages: number } {
    const samples = [...this.samples.values()]
    const { unseenMessages } = this
    if (this.isFull) this.taken = Math.max(1, this.taken >> 1)
    else if (samples.length < MOST_TOPICS / 2) this.taken = Math.min(EVERY_TOPIC, this.taken * 2)
    this.salt = Math.floor(Math.random() * 0xffff_ffff)
    this.samples = new Map()
    this.characters = 0
    this.unseenMessages = 0
    return { samples, unseenMessages }
  }

  private enter(topic: Topic): TopicSample | undefined {
    const { samples, others } = this
    const { name, hash } = topic
    if (others.has(name)) return undefined
    if (!matches(this.pattern, name)) {
      if (others.size === MOST_OTHERS) others.clear()
      if (name.length <= LONGEST_OTHER) others.add(name)
      return undefined
    }
    if (this.isFull || Math.imul(hash ^ this.salt, 0x9e37_79b1) >>> 24 >= this.taken) {
      this.unseenMessages++
      return undefined
    }
    const at = samples.size * PREVIEW_BYTES
    const preview = this.memory.subarray(at, at + PREVIEW_BYTES)
    const sample: TopicSample = { topic: name, messages: 0, preview, payloadBytes: 0, qos: 0, retain: false }
    samples.set(name, sample)
    this.characters += name.length
    return sample
  }

  private get isFull(): boolean {
    return this.samples.size === MOST_TOPICS || this.characters >= MOST_CHARACTERS
  }
}

/** Whose messages are looked at. */
export interface Sampled {
  sampler: Sampler | undefined
}

/** Those who look; there is one only while somebody does. */
export class Sampler {
  private readonly looks = new Set<Look>()

  /** Adds a look; the returned function ends it. */
  static watch(sampled: Sampled, look: Look): () => void {
    sampled.sampler ??= new Sampler()
    const { looks } = sampled.sampler
    looks.add(look)
    return () => {
      looks.delete(look)
      if (looks.size === 0) sampled.sampler = undefined
    }
  }

  see(message: Message, from: Session | undefined): void {
    for (const look of this.looks) look.see(message, from)
  }
}

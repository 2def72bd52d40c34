/**
 * The topic names in use, each as one object.
 *
 * A publisher sends the same few names again and again. Here the bytes of a name lead, by a hash and one comparison, to its
 * `Topic`: nothing is decoded, checked or allocated twice, and what the router found for it waits there as well. The
 * table is direct-mapped and bounded: a name that falls out is simply read anew next time, and very long names are
 * never kept.
 */
import { decodeText } from "../codec/index.ts"
import { isTopicName, type TopicLimits } from "./filter.ts"

const SMALLEST_TABLE = 1 << 10
const LARGEST_TABLE = 1 << 16
const LONGEST_CACHED_BYTES = 512

export class Topic {
  readonly name: string
  /** The name as it goes over the wire. */
  readonly bytes: Buffer
  readonly hash: number
  /** Whether it is one of the broker's own, to which nobody else publishes. */
  readonly isSys: boolean
  /** Whether the table holds it: only then may the router keep a route with it. */
  cached = false
  /** The router's own: the route found last, and when. */
  route: object | undefined = undefined
  generation = 0

  constructor(name: string, bytes: Buffer, hash: number) {
    this.name = name
    this.bytes = bytes
    this.hash = hash
    this.isSys = name === "$SYS" || name.startsWith("$SYS/")
  }
}

export class Topics {
  private slots: (Topic | undefined)[] = new Array(SMALLEST_TABLE).fill(undefined)
  /** The one found last: who sends several messages at once mostly sends them to one topic. */
  private last = new Topic("", Buffer.alloc(0), 0)
  private evictions = 0
  private readonly limits: TopicLimits

  constructor(limits: TopicLimits) {
    this.limits = limits
  }

  /** The topic whose name is `bytes[start, end)`; undefined if that is not a valid topic name. */
  find(bytes: Buffer, start: number, end: number): Topic | undefined {
    const { last } = this
    if (last.cached && isSame(last.bytes, bytes, start, end)) return last
    const hash = hashOf(bytes, start, end)
    const known = this.slots[hash & (this.slots.length - 1)]
    if (known === undefined || known.hash !== hash || !isSame(known.bytes, bytes, start, end)) {
      return this.enter(bytes, start, end, hash)
    }
    this.last = known
    return known
  }

  /** The topic of that name; undefined if it is not a valid topic name. */
  named(name: string): Topic | undefined {
    const bytes = Buffer.from(name)
    return this.find(bytes, 0, bytes.length)
  }

  /** The topic of that name, which was a valid one once: within whatever limits. */
  restored(name: string): Topic {
    return this.named(name) ?? new Topic(name, Buffer.from(name), 0)
  }

  /** The topic of that name if it is in the table. */
  peek(name: string): Topic | undefined {
    const bytes = Buffer.from(name)
    const hash = hashOf(bytes, 0, bytes.length)
    const known = this.slots[hash & (this.slots.length - 1)]
    return known !== undefined && known.hash === hash && isSame(known.bytes, bytes, 0, bytes.length) ? known : undefined
  }

  /** Takes the routes from all topics. */
  forgetRoutes(): void {
    for (const topic of this.slots) if (topic !== undefined) topic.route = undefined
  }

  private enter(bytes: Buffer, start: number, end: number, hash: number): Topic | undefined {
    const name = decodeText(bytes, start, end)
    if (name === undefined || !isTopicName(bytes, start, end, this.limits)) return undefined
    const topic = new Topic(name, Buffer.from(bytes.subarray(start, end)), hash)
    if (end - start > LONGEST_CACHED_BYTES) return topic
    if (this.place(topic) && ++this.evictions > this.slots.length && this.slots.length < LARGEST_TABLE) this.grow()
    return topic
  }

  /** Puts the topic in its slot; true if another one had to go. */
  private place(topic: Topic): boolean {
    const slot = topic.hash & (this.slots.length - 1)
    const previous = this.slots[slot]
    if (previous !== undefined) {
      previous.cached = false
      previous.route = undefined
    }
    this.slots[slot] = topic
    topic.cached = true
    return previous !== undefined
  }

  private grow(): void {
    const before = this.slots
    this.slots = new Array(before.length * 4).fill(undefined)
    this.evictions = 0
    for (const topic of before) if (topic !== undefined) this.place(topic)
  }
}

function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0
  for (let at = start; at < end; at++) hash = (Math.imul(hash, 31) + bytes[at]!) | 0
  return hash ^ (hash >>> 15)
}

function isSame(name: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  const length = end - start
  if (name.length !== length) return false
  for (let i = 0; i < length; i++) if (name[i] !== bytes[start + i]) return false
  return true
}

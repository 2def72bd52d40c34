/**
 * The broker's retained messages: at most as many as the limit says, gone when they expire, and recorded so that they
 * outlive the process. What `$SYS` retains counts for no limit and is never recorded.
 *
 * Messages of QoS 0 are recorded some time later, the last of each topic only: a sensor that retains a value ten times a
 * second costs an SD card one write a second.
 */
import type { QoS } from "../codec/index.ts"
import { RetainedMessages } from "../router/index.ts"
import type { Message, SessionHost } from "../session/index.ts"
import { ApplicationMessage } from "./application-message.ts"
import type { HookChains } from "./hook-chains.ts"
import type { Journal } from "./journal.ts"
import type { Limits } from "./limits.ts"
import type { Metrics } from "./metrics.ts"
import type { Timer, Timers } from "./timers.ts"

/** How long what can wait does so while the journal is strained. */
const STRAINED_DELAY_MS = 1000

export interface RetentionHost extends Pick<SessionHost, "now" | "dropped"> {
  readonly limits: Limits
  readonly metrics: Metrics
  readonly changes: Journal
  readonly timers: Timers
  readonly hooks: HookChains
}

export class Retention {
  private readonly messages = new RetainedMessages<Message>()
  private readonly expiries = new Map<string, Timer>()
  /** Topics whose message is not recorded yet. */
  private readonly unrecorded = new Set<string>()
  /** How many are the broker's own. */
  private sysCount = 0
  private readonly host: RetentionHost

  constructor(host: RetentionHost) {
    this.host = host
  }

  get count(): number {
    return this.messages.count
  }

  /** What is retained for a topic now. */
  get(topicName: string): Message | undefined {
    const message = this.messages.get(topicName)
    return message === undefined || message.isExpired(this.host.now()) ? undefined : message
  }

  /** Visits every message whose topic the pattern matches, those that expire at this moment included. */
  match(pattern: string, visit: (message: Message) => void): void {
    this.messages.match(pattern, visit)
  }

  /** The same, to go through in parts: see `RetainedMessages`. */
  matching(pattern: string): Generator<Message | undefined> {
    return this.messages.matching(pattern)
  }

  /** Whether a message for that topic could be kept now. */
  hasRoom(topicName: string): boolean {
    const { maximumRetainedMessages } = this.host.limits
    return this.count - this.sysCount < maximumRetainedMessages || this.messages.get(topicName) !== undefined
  }

  /** Keeps a message as its topic's; an empty one ends what is retained there. */
  put(message: Message): void {
    const { name, isSys } = message.topic
    if (message.payloadBytes === 0) {
      this.stopExpiry(name)
      const wasKept = this.messages.delete(name) !== undefined // [MQTT-3.3.1-6]
      // What somebody else has just removed may still be stored: who is told that it is gone must be able to rely on it.
      if ((wasKept || message.qos > 0) && !isSys) this.record(name, message.qos)
      if (wasKept && !isSys) this.tell("onRetained", message)
      return
    }
    if (!isSys && !this.hasRoom(name)) {
      this.host.metrics.limitsHit["retained messages"]++
      this.host.dropped("retained limit", "-", message)
      return
    }
    const previous = this.set(message) // [MQTT-3.3.1-5]
    if (isSys) {
      if (previous === undefined) this.sysCount++
      return
    }
    this.record(name, message.qos)
    this.tell("onRetained", message)
  }

  /** Takes in a message of the last run. */
  restore(message: Message): void {
    this.set(message)
  }

  /** Records every message that has waited for it, unless the store has enough to do. */
  flush(): void {
    const { changes, timers } = this.host
    if (changes.isStrained) timers.schedule(this.host.now() + STRAINED_DELAY_MS, () => this.flush())
    else for (const topicName of [...this.unrecorded]) this.record(topicName, 1)
  }

  private set(message: Message): Message | undefined {
    const { name } = message.topic
    const kept = message.keep()
    this.stopExpiry(name)
    const previous = this.messages.set(name, kept)
    if (kept.expirySeconds >= 0) {
      this.expiries.set(
        name,
        this.host.timers.schedule(kept.expiresAt, () => this.expire(name)),
      )
    }
    return previous
  }

  /** Records what is retained for a topic now: at QoS 0 some time later, the last of several only. */
  private record(topicName: string, qos: QoS): void {
    const { changes, limits, timers } = this.host
    if (!changes.isActive) return
    if (qos === 0 && limits.retainedDelaySeconds > 0) {
      this.unrecorded.add(topicName)
      if (this.unrecorded.size > 1) return
      timers.schedule(this.host.now() + limits.retainedDelaySeconds * 1000, () => this.flush())
      return
    }
    this.unrecorded.delete(topicName)
    const message = this.messages.get(topicName)
    changes.append(message === undefined ? { kind: "unretained", topicName } : { kind: "retained", message })
  }

  private expire(topicName: string): void {
    this.expiries.delete(topicName)
    const message = this.messages.delete(topicName)
    this.record(topicName, 1)
    if (message !== undefined) this.tell("onRetainedExpired", message)
  }

  private tell(hook: "onRetained" | "onRetainedExpired", message: Message): void {
    const { hooks } = this.host
    if (hooks.wants[hook] !== undefined) hooks.tell(hook, ApplicationMessage.of(message, this.host.now()))
  }

  /** The message whose expiry it was is replaced or removed. */
  private stopExpiry(topicName: string): void {
    this.expiries.get(topicName)?.cancel()
    this.expiries.delete(topicName)
  }
}

/**
 * Requests of the embedding service, and the responses to them. MQTT 5 §4.10
 *
 * A request names a response topic, and carries correlation data that nobody can guess; the first message with the same on that topic is
 * its response. All requests of a broker have one response topic, with one subscription that begins with the first of them,
 * unless they choose another. Whoever may see the requests, or subscribe to the response topic, sees what is needed to forge a response:
 * that is for the access rules to say.
 */
import { Reason } from "../../codec/index.ts"
import type { ApplicationMessage, PublishProperties } from "../application-message.ts"
import type { Core } from "../core.ts"
import { ManjuError } from "../errors.ts"
import type { LocalSubscription, LocalSubscriptions } from "./subscription.ts"

const CORRELATION_BYTES = 16

/** What `broker.request` takes beside what `broker.publish` does. */
export interface RequestTerms {
  /** Where to respond. Default: `manju/response/` and a random name, one for each broker. */
  responseTopic?: string
  /** How long to wait for the response, in milliseconds of the broker's clock. Default: 5,000. */
  timeoutMs?: number
  /** Ends the waiting; the request then rejects with the signal's reason. */
  signal?: AbortSignal
}

/** A request that waits for its response. */
interface Pending {
  readonly responseTopic: string
  resolve(response: ApplicationMessage): void
  reject(error: unknown): void
}

export class Requests {
  private readonly core: Core
  private readonly subscriptions: LocalSubscriptions
  private readonly publish: (message: ApplicationMessage) => Promise<Reason>
  private readonly responseTopic = `manju/response/${crypto.randomUUID()}`
  private subscription: LocalSubscription | undefined
  /** By their correlation data. */
  private readonly pending = new Map<string, Pending>()

  /** `publish` gives whether anybody has subscribed to the topic. */
  constructor(
    core: Core,
    subscriptions: LocalSubscriptions,
    publish: (message: ApplicationMessage) => Promise<Reason>,
  ) {
    this.core = core
    this.subscriptions = subscriptions
    this.publish = publish
  }

  /** Publishes the message as a request, and gives the response. */
  async request(message: ApplicationMessage, terms: RequestTerms): Promise<ApplicationMessage> {
    const { core, pending } = this
    const { responseTopic = this.responseTopic, timeoutMs = 5000, signal } = terms
    checkTimeout(timeoutMs)
    signal?.throwIfAborted()
    const correlationData = crypto.getRandomValues(Buffer.alloc(CORRELATION_BYTES))
    const request = message.with({ properties: { ...message.properties, responseTopic, correlationData } })
    const listening = this.listen(responseTopic)
    const key = keyOf(correlationData)
    const { promise, resolve, reject } = Promise.withResolvers<ApplicationMessage>()
    const timer = core.timers.schedule(core.now() + timeoutMs, () =>
      reject(new ManjuError("TIMEOUT", `no response from ${message.topic} within ${timeoutMs} ms`)),
    )
    const abort = () => reject(signal!.reason)
    signal?.addEventListener("abort", abort)
    pending.set(key, { responseTopic, resolve, reject })
    try {
      this.publish(request).then((reason) => {
        if (reason !== Reason.NoMatchingSubscribers) return
        reject(new ManjuError("NO_RESPONDER", `nobody is subscribed to ${message.topic}`))
      }, reject)
      return await promise
    } finally {
      pending.delete(key)
      timer.cancel()
      signal?.removeEventListener("abort", abort)
      if (listening !== this.subscription) listening.close()
    }
  }

  /** The broker closes: nobody will respond any more. */
  close(): void {
    for (const { reject } of this.pending.values()) reject(new ManjuError("CLOSED", "the broker has been closed"))
  }

  private listen(responseTopic: string): LocalSubscription {
    if (responseTopic === this.responseTopic) return (this.subscription ??= this.subscribe(responseTopic))
    if (!responseTopic.startsWith("$share/")) return this.subscribe(responseTopic)
    throw new ManjuError("INVALID_OPTION", `responseTopic must be a topic name, not ${responseTopic}`)
  }

  private subscribe(responseTopic: string): LocalSubscription {
    const take = (message: ApplicationMessage) => this.take(message)
    return this.subscriptions.subscribe(responseTopic, take, { qos: 2, retainHandling: 2 }, undefined)
  }

  private take(message: ApplicationMessage): void {
    const { correlationData } = message.properties
    if (correlationData === undefined) return
    const request = this.pending.get(keyOf(correlationData))
    if (request?.responseTopic === message.topic) request.resolve(message)
  }
}

/** Where the response to a request goes, and what it has to carry. Throws `INVALID_OPTION` if it wants none. */
export function responseTo(request: ApplicationMessage): { topic: string; properties: PublishProperties } {
  const { responseTopic, correlationData } = request.properties
  if (responseTopic === undefined) {
    throw new ManjuError("INVALID_OPTION", `the message on ${request.topic} names no response topic`)
  }
  return { topic: responseTopic, properties: correlationData === undefined ? {} : { correlationData } }
}

function keyOf(correlationData: Uint8Array): string {
  return Buffer.from(correlationData.buffer, correlationData.byteOffset, correlationData.byteLength).toString("latin1")
}

function checkTimeout(timeoutMs: number): void {
  if (Number.isFinite(timeoutMs) && timeoutMs > 0) return
  throw new ManjuError("INVALID_OPTION", `timeoutMs must be a number above 0, not ${Bun.inspect(timeoutMs)}`)
}

/**
 * Subscriptions of the embedding service: no client, no socket, the same rules.
 *
 * Each is a session of its own that the registry does not know and that ends with it, so that QoS, overlapping filters, retained
 * messages and share groups are as for any client. Its messages wait in a `Mailbox`, from which one consumer takes them in the
 * order in which they came: an iterator, or a handler that is called with one after the other.
 *
 * A subscription that is closed or aborted ends at once, and what waits is forgotten. One that the broker ends, because it closes or
 * because the subscription has overflowed, still gives what had come until then.
 */
import { isEncodable, type QoS, type RetainHandling } from "../../codec/index.ts"
import type { TopicFilter } from "../../router/index.ts"
import type { ApplicationMessage } from "../application-message.ts"
import type { Core } from "../core.ts"
import { isPromise } from "../decide.ts"
import { ManjuError } from "../errors.ts"
import { Mailbox, type Overflow } from "./mailbox.ts"

/** What `broker.subscribe` takes beside the filters. */
export interface SubscribeOptions {
  /** The highest QoS at which messages come. Default: 0. */
  qos?: QoS
  /** 2: no retained messages. Default: 0, all that match. */
  retainHandling?: RetainHandling
  /** Whether `message.retain` says what the publisher said, not only whether the message had been retained before. Default: false. */
  retainAsPublished?: boolean
  /** Closes the subscription. One that is aborted already makes one that has ended. */
  signal?: AbortSignal
  /**
   * How many messages may wait for the consumer. Default: 1,000. Beyond that, QoS 1 and 2 wait in a queue, within the broker's limits, and
   * QoS 0 goes by `overflow`. What comes in one turn of the event loop, while the consumer waits for it, never goes beyond.
   */
  buffer?: number
  /**
   * What becomes of QoS 0 beyond `buffer`: the oldest that waits is dropped, or the new one, or the subscription ends with
   * `OVERFLOW` after what has come before, as it does when its queue of QoS 1 and 2 is full. Drops are counted. Default: "drop-oldest".
   */
  overflow?: Overflow
}

/** Gets one message after the other; a promise is awaited before the next. What it throws is reported, and it goes on. */
export type MessageHandler = (message: ApplicationMessage) => unknown

/** What a subscription needs to know of the others. */
interface Register {
  readonly core: Core
  /** Enters `end`, to be called when the broker closes; the returned function takes it out. */
  enter(end: () => void): () => void
}

/**
 * A subscription of the embedding service, made by `broker.subscribe`: an async iterable of its messages, unless it has a handler. The
 * broker has acknowledged a message once it has been taken.
 *
 * @example
 * for await (const message of broker.subscribe("sensors/+/temp", { qos: 1, signal })) {
 *   console.log(message.topic, message.text())
 * }
 */
export class LocalSubscription implements AsyncIterable<ApplicationMessage>, Disposable, AsyncDisposable {
  /**
   * Settles when no message comes into it any more: resolves when it, or the broker, is closed; rejects with the `OVERFLOW`, or with
   * what the store has failed by. Nobody has to look at it.
   */
  readonly closed: Promise<void>
  private readonly mailbox: Mailbox
  private readonly core: Core
  private readonly handler: MessageHandler | undefined
  private readonly signal: AbortSignal | undefined
  private readonly leave: () => void
  private readonly settleClosed: ReturnType<typeof Promise.withResolvers<void>>
  private readonly abort = () => this.close()
  private failure: ManjuError | undefined
  private messages: AsyncGenerator<ApplicationMessage, undefined, undefined> | undefined

  /** @internal Called by `LocalSubscriptions`. `restored`: what the store holds is being taken in; undefined: it is there. */
  constructor(
    register: Register,
    name: string,
    filters: readonly TopicFilter[],
    handler: MessageHandler | undefined,
    options: SubscribeOptions,
    restored: Promise<void> | undefined,
  ) {
    const { qos = 0, retainAsPublished = false, buffer = 1000, overflow = "drop-oldest", signal } = options
    this.core = register.core
    this.handler = handler
    this.signal = signal
    this.settleClosed = Promise.withResolvers()
    this.closed = this.settleClosed.promise
    this.closed.catch(() => {}) // the iterator throws it, or it has been reported
    this.mailbox = new Mailbox(this.core, name, buffer, overflow, () => this.end(overflowOf(name, buffer)))
    this.leave = register.enter(() => this.end(undefined))
    if (signal?.aborted) {
      this.close()
      return
    }
    signal?.addEventListener("abort", this.abort)
    for (const filter of filters) this.mailbox.subscribe(filter, qos, retainAsPublished)
    if (handler !== undefined) this.handle(handler)
    const start = () => this.start(options.retainHandling !== 2)
    if (restored === undefined) start()
    else restored.then(start, (error) => this.end(error))
  }

  /** Ends it: nothing more comes, and what waits is forgotten. Of a share group, the other members get that. */
  close(): void {
    this.mailbox.clear()
    this.end(undefined)
  }

  /**
   * The messages, until it ends; throws `OVERFLOW` if that is why. Leaving the loop closes the subscription. There is one line of
   * messages: whoever iterates a second time takes from the same. Throws `INVALID_OPTION` where there is a handler.
   */
  [Symbol.asyncIterator](): AsyncIterator<ApplicationMessage, undefined, undefined> {
    if (this.handler !== undefined) {
      throw new ManjuError("INVALID_OPTION", "a subscription with a handler gives its messages to that alone")
    }
    const messages = (this.messages ??= this.takeAll())
    return {
      next: () => messages.next(),
      return: () => {
        this.close() // first: a `next` that waits would not let go
        return messages.return(undefined)
      },
    }
  }

  [Symbol.dispose](): void {
    this.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
  }

  /** Takes in what is there already. */
  private start(isReplaying: boolean): void {
    if (isReplaying) this.mailbox.replay()
    this.mailbox.pump()
  }

  /** Nothing more comes; what has come can still be taken. */
  private end(failure: ManjuError | undefined): void {
    if (this.mailbox.isClosed) return
    this.failure = failure
    this.leave()
    this.signal?.removeEventListener("abort", this.abort)
    this.mailbox.close()
    if (failure === undefined) this.settleClosed.resolve()
    else {
      this.settleClosed.reject(failure)
      if (this.handler !== undefined) this.report(failure)
    }
  }

  private async *takeAll(): AsyncGenerator<ApplicationMessage, undefined, undefined> {
    const { mailbox } = this
    for (;;) {
      await mailbox.arrival()
      for (let message = mailbox.take(); message !== undefined; message = mailbox.take()) yield message
      if (!mailbox.isClosed) continue
      if (this.failure !== undefined) throw this.failure
      return undefined
    }
  }

  private async handle(handler: MessageHandler): Promise<void> {
    const { mailbox } = this
    do {
      await mailbox.arrival()
      for (let message = mailbox.take(); message !== undefined; message = mailbox.take()) {
        try {
          const pending = handler(message)
          if (isPromise(pending)) await pending
        } catch (error) {
          this.report(error)
        }
      }
    } while (!mailbox.isClosed)
  }

  private report(error: unknown): void {
    this.core.serviceFailed(error, "a subscription", "subscription")
  }
}

/** Those that are open. */
export class LocalSubscriptions implements Register {
  readonly core: Core
  private readonly open = new Set<() => void>()
  private made = 0

  constructor(core: Core) {
    this.core = core
  }

  /** Throws `INVALID_TOPIC` and `INVALID_OPTION`. `restored` as for `LocalSubscription`. */
  subscribe(
    topicFilter: string | readonly string[],
    handler: MessageHandler | undefined,
    options: SubscribeOptions,
    restored: Promise<void> | undefined,
  ): LocalSubscription {
    const filters = [topicFilter].flat().map((text) => this.parse(text))
    if (filters.length === 0) throw new ManjuError("INVALID_TOPIC", "a subscription needs a topic filter")
    checkOptions(handler, options)
    return new LocalSubscription(this, `$local/${++this.made}`, filters, handler, options, restored)
  }

  /** The broker closes: they end, once what has come has been taken. */
  close(): void {
    for (const end of [...this.open]) end()
  }

  enter(end: () => void): () => void {
    this.open.add(end)
    return () => this.open.delete(end)
  }

  private parse(text: string): TopicFilter {
    const isText = typeof text === "string" && isEncodable(text)
    const filter = isText ? this.core.parseFilter(text) : undefined
    if (filter === undefined) throw new ManjuError("INVALID_TOPIC", `not a topic filter: ${Bun.inspect(text)}`)
    return filter
  }
}

function overflowOf(name: string, buffer: number): ManjuError {
  return new ManjuError("OVERFLOW", `more messages than the ${buffer} that may wait for the consumer of ${name}`)
}

const OVERFLOWS: readonly unknown[] = ["drop-oldest", "drop-newest", "close"] satisfies Overflow[]

function checkOptions(handler: MessageHandler | undefined, options: SubscribeOptions): void {
  const { qos = 0, retainHandling = 0, buffer = 1, overflow = "close", signal } = options
  const check = (isRight: boolean, name: string, expected: string, value: unknown) => {
    if (!isRight) throw new ManjuError("INVALID_OPTION", `${name} must be ${expected}, not ${Bun.inspect(value)}`)
  }
  check(handler === undefined || typeof handler === "function", "the handler", "a function", handler)
  check([0, 1, 2].includes(qos), "qos", "0, 1 or 2", qos)
  check([0, 1, 2].includes(retainHandling), "retainHandling", "0, 1 or 2", retainHandling)
  check(Number.isSafeInteger(buffer) && buffer > 0, "buffer", "a whole number above 0", buffer)
  check(OVERFLOWS.includes(overflow), "overflow", `one of ${OVERFLOWS.join(", ")}`, overflow)
  check(signal === undefined || signal instanceof AbortSignal, "signal", "an AbortSignal", signal)
}

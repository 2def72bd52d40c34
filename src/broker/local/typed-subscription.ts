/**
 * A subscription to a typed topic: the messages of a `LocalSubscription`, read one after the other. While a schema thinks about one, the
 * others wait, so that they come in their order; those that it does not take are skipped.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec"
import type { ApplicationMessage } from "../application-message.ts"
import { isPromise } from "../decide.ts"
import type { Awaitable } from "../hooks.ts"
import type { LocalSubscription, MessageHandler } from "./subscription.ts"

/**
 * A message of a typed topic: the params of its name, what the schema has made of its payload, and the message itself.
 *
 * @example
 * for await (const { params, value, message } of temp.subscribe()) console.log(params.id, value.celsius, message.retain)
 */
export interface TypedMessage<Params, Value> {
  readonly params: Params
  readonly value: Value
  readonly message: ApplicationMessage
}

/** What a message turns out to be; undefined: nothing to give, nor to complain of. */
export type Reading<Params, Value> = StandardSchemaV1.Result<TypedMessage<Params, Value>> | undefined

/**
 * Gets one message after the other; a promise is awaited before the next. What it throws is reported, and it goes on.
 *
 * @example
 * const note: TypedHandler<{ id: string }, number> = async ({ params, value }) => { await database.insert(params.id, value) }
 */
export type TypedHandler<Params, Value> = (message: TypedMessage<Params, Value>) => unknown

/**
 * A subscription to a typed topic, made by `TypedTopic.subscribe`: an async iterable of its messages, unless it has a handler. Leaving
 * the loop closes it.
 *
 * @example
 * const subscription = temp.subscribe({ qos: 1, onInvalid: (message, issues) => console.warn(message.topic, issues) })
 * for await (const { params, value } of subscription) if (value.celsius > 90) break
 * console.log(`${subscription.invalidMessages} were invalid`)
 */
export class TypedSubscription<Params, Value>
  implements AsyncIterable<TypedMessage<Params, Value>>, Disposable, AsyncDisposable
{
  private readonly source: LocalSubscription
  private readonly read: (message: ApplicationMessage) => Awaitable<Reading<Params, Value>>
  private readonly skip: (message: ApplicationMessage, issues: readonly StandardSchemaV1.Issue[]) => void
  private readonly signal: AbortSignal | undefined
  private messages: AsyncGenerator<TypedMessage<Params, Value>, undefined, undefined> | undefined
  private isClosed = false
  private invalid = 0

  /** Called by `TypedTopic.subscribe`. `skip` is told what is invalid. */
  constructor(
    subscribe: (handler: MessageHandler | undefined) => LocalSubscription,
    read: (message: ApplicationMessage) => Awaitable<Reading<Params, Value>>,
    skip: (message: ApplicationMessage, issues: readonly StandardSchemaV1.Issue[]) => void,
    handler: TypedHandler<Params, Value> | undefined,
    signal: AbortSignal | undefined,
  ) {
    this.read = read
    this.skip = skip
    this.signal = signal
    this.source = subscribe(handler && ((message) => this.handle(message, handler)))
  }

  /** How many messages have been skipped because they were invalid. */
  get invalidMessages(): number {
    return this.invalid
  }

  /** Settles when no message comes into it any more, as that of `LocalSubscription` does. */
  get closed(): Promise<void> {
    return this.source.closed
  }

  /** Ends it: nothing more comes, and what waits is forgotten. */
  close(): void {
    this.isClosed = true
    this.source.close()
  }

  /**
   * The messages, until it ends; throws `OVERFLOW` if that is why. Whoever iterates a second time takes from the same line. Throws
   * `INVALID_OPTION` where there is a handler.
   */
  [Symbol.asyncIterator](): AsyncIterator<TypedMessage<Params, Value>, undefined, undefined> {
    const messages = (this.messages ??= this.takeAll(this.source[Symbol.asyncIterator]()))
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

  private async *takeAll(
    source: AsyncIterator<ApplicationMessage, undefined>,
  ): AsyncGenerator<TypedMessage<Params, Value>, undefined, undefined> {
    try {
      for (let next = await source.next(); !next.done; next = await source.next()) {
        const reading = this.read(next.value)
        const typed = this.take(next.value, isPromise(reading) ? await reading : reading)
        if (typed !== undefined) yield typed
      }
      return undefined
    } finally {
      this.close() // where `skip` has thrown
    }
  }

  private handle(message: ApplicationMessage, handler: TypedHandler<Params, Value>): unknown {
    const give = (reading: Reading<Params, Value>): unknown => {
      const typed = this.take(message, reading)
      return typed === undefined ? undefined : handler(typed)
    }
    const reading = this.read(message)
    return isPromise(reading) ? reading.then(give) : give(reading)
  }

  /** What came of a message; undefined: it is skipped, or has come out when all was over. */
  private take(message: ApplicationMessage, reading: Reading<Params, Value>): TypedMessage<Params, Value> | undefined {
    if (reading === undefined || this.isClosed || this.signal?.aborted) return undefined
    if (!reading.issues) return reading.value
    this.invalid++
    this.skip(message, reading.issues)
    return undefined
  }
}

/**
 * Typed topics: a pattern of topic names, a schema of values and a codec, between a service that has values and a broker that has
 * messages.
 *
 * The schema is that of the value as it travels. `publish` asks it whether it takes the value, and sends the value as it was given: what
 * the schema makes of it (defaults, transforms) is for those who read. So a topic has two types, `Input`, which is published, and
 * `Output`, which a subscription gives.
 *
 * A payload is invalid if the codec cannot read it or the schema has issues with it; a codec or a schema that throws has one. What a
 * service publishes through its topic is valid. What comes from elsewhere may not be:
 *
 * - A subscription skips it, says so (`onInvalid`, else at debug level) and counts it. The broker does not count it as dropped:
 *   it has been delivered, and others, whose schemas are others, may take it. An empty payload that is not a value says that a retained
 *   one is gone, and is skipped without a word.
 * - With `rejectInvalid`, clients cannot publish it: a hook refuses it (0x99), before it is retained or routed. A client's will,
 *   which nobody can refuse any more, is not published. Retained clears pass. `broker.publish` is the service's own and is not
 *   looked at.
 *
 * Where several topics match a name, each looks by itself: what one of those that reject finds invalid is refused.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec"
import { Reason } from "../../codec/index.ts"
import type { ApplicationMessage, MessageChanges } from "../application-message.ts"
import { isPromise } from "../decide.ts"
import { ManjuError } from "../errors.ts"
import type { Awaitable, Hooks } from "../hooks.ts"
import type { Log } from "../log/log.ts"
import { brief } from "../log/who.ts"
import type { LocalSubscription, MessageHandler, SubscribeOptions } from "./subscription.ts"
import { TopicPattern } from "./topic-pattern.ts"
import { type Reading, type TypedHandler, TypedSubscription } from "./typed-subscription.ts"

/**
 * How values become payloads and payloads values.
 *
 * @example
 * const cbor: TopicCodec = { contentType: "application/cbor", encode: (value) => encode(value), decode: (bytes) => decode(bytes) }
 * const temp = broker.topic("sensors/:id/temp", schema, { codec: cbor })
 */
export interface TopicCodec<Value = unknown> {
  /** The Content Type of messages that are published. Default: none. */
  readonly contentType?: string
  /**
   * Text or bytes; of text, MQTT 5 subscribers are told that it is UTF-8. Nothing at all, retained, is how MQTT takes a retained
   * message away. What it throws makes the value invalid.
   */
  encode(value: Value): string | Uint8Array
  /** What the schema is to validate. What it throws makes the payload invalid. The bytes are not to be written to. */
  decode(bytes: Uint8Array): unknown
}

/**
 * What `broker.topic` takes beside the pattern and the schema.
 *
 * @example
 * const temp = broker.topic("sensors/:id/temp", schema, { rejectInvalid: true })
 */
export interface TopicOptions<Value = unknown> {
  /** Default: JSON, as `application/json`. */
  codec?: TopicCodec<Value>
  /** Refuse invalid payloads of clients (0x99), until the topic is closed. Default: false. */
  rejectInvalid?: boolean
}

/**
 * What `TypedTopic.publish` takes beside the value. What the codec says of the payload is added to the properties, unless they say it.
 *
 * @example
 * await temp.publish({ id: "7" }, { celsius: 21.5 }, { qos: 1, retain: true, properties: { messageExpirySeconds: 60 } })
 */
export type TypedPublishOptions = Pick<MessageChanges, "qos" | "retain" | "properties">

/**
 * What `TypedTopic.subscribe` takes: which of the topic's messages, and what any subscription takes.
 *
 * @example
 * temp.subscribe({ params: { id: "7" }, qos: 1, onInvalid: (message, issues) => console.warn(message.topic, issues) })
 */
export interface TypedSubscribeOptions<Params> extends SubscribeOptions {
  /** Only messages with these params. Default: all of the topic. */
  params?: Partial<Params>
  /** Take turns with others that subscribe with the same filter and share name. Default: no share. */
  share?: string
  /**
   * Gets what is skipped because it is invalid, and why. What it throws, the subscription throws, or reports, as with a handler's.
   * Default: a line at debug level, without the payload.
   */
  onInvalid?(message: ApplicationMessage, issues: readonly StandardSchemaV1.Issue[]): void
}

/** What a topic needs of its broker. */
interface TopicHost {
  publish(topicName: string, payload: string | Uint8Array, options: TypedPublishOptions): Promise<void>
  subscribe(topicFilter: string, options: SubscribeOptions): LocalSubscription
  subscribe(topicFilter: string, handler: MessageHandler, options: SubscribeOptions): LocalSubscription
  use(hooks: Hooks): () => void
}

type Result<Value> = StandardSchemaV1.Result<Value>

/** How many issues a message or a log line names. */
const MOST_ISSUES_TOLD = 10

const utf8 = new TextDecoder("utf-8", { fatal: true })

const json: TopicCodec = {
  contentType: "application/json",
  encode(value) {
    const text: string | undefined = JSON.stringify(value)
    if (text === undefined) throw new TypeError(`JSON has no ${typeof value}`)
    return text
  },
  decode: (bytes) => JSON.parse(utf8.decode(bytes)),
}

/**
 * A topic whose values have a type, made by `broker.topic`.
 *
 * @example
 * const temp = broker.topic("sensors/:id/temp", z.object({ celsius: z.number() }), { rejectInvalid: true })
 * await temp.publish({ id: "7" }, { celsius: 21.5 }, { qos: 1, retain: true })
 * for await (const { params, value } of temp.subscribe({ qos: 1, signal })) {
 *   console.log(params.id, value.celsius)
 * }
 */
export class TypedTopic<Params extends object, Input, Output> implements Disposable {
  private readonly host: TopicHost
  private readonly logger: Log
  private readonly topics: TopicPattern<Params>
  private readonly schema: StandardSchemaV1<Input, Output>
  private readonly codec: TopicCodec<Input>
  private readonly letGo: () => void

  /** Called by `broker.topic`. */
  constructor(
    host: TopicHost,
    logger: Log,
    pattern: string,
    schema: StandardSchemaV1<Input, Output>,
    options: TopicOptions<Input> = {},
  ) {
    const { codec = json, rejectInvalid = false } = options
    if (typeof schema?.["~standard"]?.validate !== "function") {
      throw new ManjuError("INVALID_OPTION", `the schema of ${pattern} is none of Standard Schema`)
    }
    this.host = host
    this.logger = logger
    this.topics = new TopicPattern(pattern)
    this.schema = schema
    this.codec = codec
    this.letGo = rejectInvalid ? this.watch() : () => {}
  }

  /** As it was given: `sensors/:id/temp`. */
  get pattern(): string {
    return this.topics.text
  }

  /**
   * The topic name with these params. A param is whole levels: one that is empty or holds `/`, `+` or `#` throws `INVALID_TOPIC`, as
   * does a `$` where the name would begin with it.
   *
   * @example
   * broker.topic("sensors/:id/temp", schema).name({ id: "7" })                        // "sensors/7/temp"
   * broker.topic("logs/:service/:path*", schema).name({ service: "web", path: ["a", "b"] }) // "logs/web/a/b"
   */
  name(params: Params): string {
    return this.topics.name(params)
  }

  /**
   * The topic filter with these params, and wildcards for the others. Throws `INVALID_TOPIC` for params that `name` does not take.
   *
   * @example
   * broker.topic(":site/sensors/:id", schema).filter({ site: "attic" }) // "attic/sensors/+"
   */
  filter(params: Partial<Params> = {}): string {
    return this.topics.filter(params)
  }

  /**
   * The params of a topic name; undefined for one that `filter()` does not match. A level that somebody has left empty is an empty param.
   *
   * @example
   * broker.topic("sensors/:id/temp", schema).params("sensors/7/temp") // { id: "7" }
   */
  params(topicName: string): Params | undefined {
    return this.topics.params(topicName)
  }

  /**
   * Publishes a value, if the schema takes it: as it is given, without what the schema makes of it. Resolves as `broker.publish` does. A
   * value is not to be changed while a schema that answers later looks at it. Throws `INVALID_PAYLOAD`, whose message and `cause`
   * have the schema's issues, `INVALID_TOPIC` for params that `name` does not take, and what `broker.publish` throws.
   *
   * @example
   * await temp.publish({ id: "7" }, { celsius: 21.5 }, { qos: 1 })
   */
  async publish(params: Params, value: Input, options: TypedPublishOptions = {}): Promise<void> {
    const topicName = this.name(params)
    const validated = this.validate(value)
    const { issues } = isPromise(validated) ? await validated : validated // sync: in the order of the calls
    if (issues) throw invalid(topicName, issues)
    const payload = this.encode(topicName, value)
    const properties = {
      ...(typeof payload === "string" && { payloadFormatIndicator: true }),
      ...(this.codec.contentType !== undefined && { contentType: this.codec.contentType }),
      ...options.properties,
    }
    await this.host.publish(topicName, payload, { ...options, properties })
  }

  /**
   * Subscribes to the topic: an async iterable of its values with their params and messages, or, with a handler, calls of it, one after
   * the other. See `broker.subscribe` for the rest. Throws `INVALID_TOPIC` for params that `name` does not take and for what is
   * no share name, and what `broker.subscribe` throws.
   *
   * @example
   * for await (const { params, value } of temp.subscribe({ params: { id: "7" }, signal })) console.log(value.celsius)
   *
   * @example
   * using subscription = temp.subscribe(({ params, value }) => console.log(params.id, value.celsius), { qos: 1 })
   */
  subscribe(options?: TypedSubscribeOptions<Params>): TypedSubscription<Params, Output>
  subscribe(
    handler: TypedHandler<Params, Output>,
    options?: TypedSubscribeOptions<Params>,
  ): TypedSubscription<Params, Output>
  subscribe(
    first: TypedHandler<Params, Output> | TypedSubscribeOptions<Params> = {},
    second: TypedSubscribeOptions<Params> = {},
  ): TypedSubscription<Params, Output> {
    const handler = typeof first === "function" ? first : undefined
    const { params, share, onInvalid, ...options } = typeof first === "function" ? second : first
    const filter = share === undefined ? this.filter(params) : shared(share, this.filter(params))
    return new TypedSubscription(
      (handle) =>
        handle === undefined ? this.host.subscribe(filter, options) : this.host.subscribe(filter, handle, options),
      (message) => this.read(message),
      (message, issues) => (onInvalid === undefined ? this.log(message, issues) : onInvalid(message, issues)),
      handler,
      options.signal,
    )
  }

  /** Lets clients publish what they like again, where `rejectInvalid` is set. Subscriptions go on. */
  close(): void {
    this.letGo()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** The hook of `rejectInvalid`. */
  private watch(): () => void {
    return this.host.use({
      onMessage: (message) => this.judge(message, Reason.PayloadFormatInvalid),
      onWill: (message) => this.judge(message, false),
    })
  }

  /** What a hook answers to a message: nothing, unless it is one of this topic and invalid. */
  private judge<Refusal>(message: ApplicationMessage, refusal: Refusal): Awaitable<Refusal | undefined> {
    if (!this.topics.matches(message.topic)) return undefined
    if (message.retain && message.payload.length === 0) return undefined
    const verdict = ({ issues }: Result<unknown>) => (issues ? refusal : undefined)
    const validated = this.decode(message.payload)
    return isPromise(validated) ? validated.then(verdict) : verdict(validated)
  }

  /** What a message that the filter matches says. */
  private read(message: ApplicationMessage): Awaitable<Reading<Params, Output>> {
    const typed = (result: Result<Output>): Reading<Params, Output> => {
      if (!result.issues) return { value: { params: this.params(message.topic)!, value: result.value, message } }
      return message.payload.length === 0 ? undefined : result
    }
    const validated = this.decode(message.payload)
    return isPromise(validated) ? validated.then(typed) : typed(validated)
  }

  private decode(payload: Uint8Array): Result<Output> | Promise<Result<Output>> {
    let value: unknown
    try {
      value = this.codec.decode(payload)
    } catch (error) {
      return failure(error)
    }
    return this.validate(value)
  }

  private validate(value: unknown): Result<Output> | Promise<Result<Output>> {
    try {
      const result = this.schema["~standard"].validate(value)
      return isPromise(result) ? Promise.resolve(result).catch(failure) : result
    } catch (error) {
      return failure(error)
    }
  }

  private encode(topicName: string, value: Input): string | Uint8Array {
    try {
      return this.codec.encode(value)
    } catch (error) {
      throw invalid(topicName, failure(error).issues)
    }
  }

  private log(message: ApplicationMessage, issues: readonly StandardSchemaV1.Issue[]): void {
    if (!this.logger.admits("skipped", "debug", this.pattern)) return
    const where = told(issues.map((issue) => pathOf(issue) || "the whole"))
    const topic = brief(message.topic)
    this.logger.debug(`skipped, no payload of ${this.pattern}: ${topic}: ${where}`, { area: "message", topic })
  }
}

function shared(share: string, filter: string): string {
  if (typeof share === "string" && /^[^/+#]+$/.test(share)) return `$share/${share}/${filter}`
  throw new ManjuError("INVALID_TOPIC", `no share name: ${Bun.inspect(share)}`)
}

function failure(error: unknown): StandardSchemaV1.FailureResult {
  return { issues: [{ message: error instanceof Error ? error.message : String(error) }] }
}

function invalid(topicName: string, issues: readonly StandardSchemaV1.Issue[]): ManjuError {
  const lines = issues.map((issue) => [pathOf(issue), issue.message].filter((part) => part !== "").join(": "))
  return new ManjuError("INVALID_PAYLOAD", `no payload for ${topicName}: ${told(lines)}`, { cause: issues })
}

/** `readings.0.celsius`; empty: it is the value itself. */
function pathOf({ path = [] }: StandardSchemaV1.Issue): string {
  return path.map((segment) => String(typeof segment === "object" ? segment.key : segment)).join(".")
}

function told(lines: readonly string[]): string {
  const more = lines.length - MOST_ISSUES_TOLD
  return lines.slice(0, MOST_ISSUES_TOLD).join("; ") + (more > 0 ? `; and ${more} more` : "")
}

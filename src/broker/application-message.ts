/**
 * A message as the embedding service sees it, in hooks and subscriptions: a value that never changes and may be kept.
 *
 * One that the broker hands out is a view of a `Message` in memory of its own. `with` and `create` make one that stands for itself,
 * checked there and then; it becomes a `Message` when the broker takes it.
 */
import { isEncodable, LARGEST_PACKET_BYTES, type Properties, type QoS } from "../codec/index.ts"
import { isTopicName, type Topic } from "../router/index.ts"
import { Message } from "../session/index.ts"
import { ManjuError } from "./errors.ts"

/** The broker's own limits are checked when it takes the message. */
const NO_LIMITS = { maximumTopicBytes: 0xffff, maximumTopicLevels: Number.POSITIVE_INFINITY }

/** The properties that travel with a message. */
export type PublishProperties = Pick<
  Properties,
  | "payloadFormatIndicator"
  | "messageExpirySeconds"
  | "contentType"
  | "responseTopic"
  | "correlationData"
  | "userProperties"
>

/** What `ApplicationMessage.with` changes. */
export interface MessageChanges {
  topic?: string
  payload?: string | Uint8Array
  qos?: QoS
  retain?: boolean
  /** In place of all that it had. The time of a message that expires goes on, unless `messageExpirySeconds` says another. */
  properties?: PublishProperties
  /** Only these clients get it, of those that subscribe to it. Such a message is retained for nobody. */
  allowClients?: Iterable<string>
}

/** The parts of a message that stands for itself. */
type Parts = Omit<Required<MessageChanges>, "allowClients" | "payload"> & {
  payload: Uint8Array
  allowClients: ReadonlySet<string> | undefined
  /** When it expires, in milliseconds of the broker's clock; undefined: its time begins when the broker takes it. */
  expiresAt: number | undefined
}

/**
 * An application message: topic, payload, and what goes with them. Not to be changed in place; `with` makes another.
 *
 * @example
 * broker.use({ onMessage: (message) => message.with({ payload: message.text().toUpperCase() }) })
 */
export class ApplicationMessage {
  readonly topic: string
  readonly qos: QoS
  /** As published; in a subscription: whether it was retained already. */
  readonly retain: boolean
  /** The only clients that get it; undefined: all that subscribe to it. */
  readonly allowClients: ReadonlySet<string> | undefined
  private readonly source: Message | undefined
  private readonly expirySeconds: number
  private readonly expiresAt: number | undefined
  private bytes: Uint8Array | undefined
  private decoded: PublishProperties | undefined

  private constructor(parts: Omit<Parts, "payload" | "properties">, source: Message | undefined, now: number) {
    this.topic = parts.topic
    this.qos = parts.qos
    this.retain = parts.retain
    this.allowClients = parts.allowClients
    this.source = source
    this.expirySeconds = source === undefined ? -1 : source.remainingSeconds(now)
    this.expiresAt = parts.expiresAt
  }

  /** @internal A view of a message of the broker's; copied unless it has memory of its own. `now` is the broker's clock. */
  static of(message: Message, now: number, qos = message.qos, retain = message.retain): ApplicationMessage {
    const source = message.keep()
    return new ApplicationMessage(
      { topic: source.topic.name, qos, retain, allowClients: source.recipients, expiresAt: source.expiresAt },
      source,
      now,
    )
  }

  /**
   * A message of the service's own making, for tests of hooks, say. Throws `INVALID_TOPIC` and `INVALID_OPTION` for what no PUBLISH
   * can carry.
   *
   * @example
   * const message = ApplicationMessage.create("a/b", "21.5", { qos: 1 })
   */
  static create(topic: string, payload: string | Uint8Array, options: Omit<MessageChanges, "topic" | "payload"> = {}) {
    const { qos = 0, retain = false, properties = {}, allowClients } = options
    return ApplicationMessage.made({
      topic,
      payload: bytesOf(payload),
      qos,
      retain,
      properties: takenOver(properties),
      allowClients: clientsOf(allowClients),
      expiresAt: undefined,
    })
  }

  private static made(parts: Parts): ApplicationMessage {
    const { topic, payload, qos, properties } = parts
    if (typeof topic !== "string" || !isEncodable(topic) || !isTopicName(...whole(topic), NO_LIMITS)) {
      throw new ManjuError("INVALID_TOPIC", `not a topic name: ${JSON.stringify(topic)}`)
    }
    if (![0, 1, 2].includes(qos)) refuse(`qos must be 0, 1 or 2, not ${qos}`)
    if (payload.length > LARGEST_PACKET_BYTES) {
      refuse(`a payload has at most ${LARGEST_PACKET_BYTES} bytes, not ${payload.length}`)
    }
    const message = new ApplicationMessage(parts, undefined, 0)
    message.bytes = payload
    message.decoded = properties
    return message
  }

  /** As it was published. Not to be written to. */
  get payload(): Uint8Array {
    this.bytes ??= this.source!.payload.subarray(this.source!.payloadStart, this.source!.payloadEnd)
    return this.bytes
  }

  /** MQTT 5 properties that travel with it; `messageExpirySeconds` is what was left when it came here. */
  get properties(): Readonly<PublishProperties> {
    if (this.decoded === undefined) {
      const properties = this.source!.decodeProperties()
      this.decoded = this.expirySeconds < 0 ? properties : { ...properties, messageExpirySeconds: this.expirySeconds }
    }
    return this.decoded
  }

  /** The payload as UTF-8 text; what is none becomes U+FFFD. */
  text(): string {
    return Buffer.from(this.payload.buffer, this.payload.byteOffset, this.payload.byteLength).toString()
  }

  /** The payload as JSON. Throws a `SyntaxError` for what is none. */
  json<Value = unknown>(): Value {
    return JSON.parse(this.text()) as Value
  }

  /** The same message with other parts. Throws `INVALID_TOPIC` and `INVALID_OPTION` for what no PUBLISH can carry. */
  with(changes: MessageChanges): ApplicationMessage {
    const { payload } = changes
    const properties = changes.properties === undefined ? this.properties : takenOver(changes.properties)
    const goesOn = properties.messageExpirySeconds === this.properties.messageExpirySeconds
    return ApplicationMessage.made({
      topic: changes.topic ?? this.topic,
      payload: payload === undefined ? this.payload : bytesOf(payload),
      qos: changes.qos ?? this.qos,
      retain: changes.retain ?? this.retain,
      properties,
      allowClients: clientsOf(changes.allowClients) ?? this.allowClients,
      expiresAt: goesOn ? this.expiresAt : undefined,
    })
  }

  /** @internal The broker's own form of it, `topic` being the one of that name. */
  toMessage(topic: Topic, now: number): Message {
    if (this.source?.topic === topic) return this.source // with another topic it may be another broker's
    const message = Message.create(topic, this.payload, this.qos, this.retain, this.properties, now)
    message.recipients = this.allowClients
    if (this.expiresAt !== undefined) message.expiresAt = this.expiresAt
    return message
  }
}

/** A copy: the message may be kept, and the caller's bytes change. */
function bytesOf(payload: string | Uint8Array): Uint8Array {
  if (typeof payload === "string" || payload instanceof Uint8Array) return Buffer.from(payload as Uint8Array)
  return refuse(`a payload is text or bytes, not ${payload === null ? "null" : typeof payload}`)
}

function clientsOf(clientIds: Iterable<string> | undefined): ReadonlySet<string> | undefined {
  if (clientIds === undefined) return undefined
  if (typeof clientIds !== "string") return new Set(clientIds)
  return refuse("allowClients is a list of client ids, not one text")
}

function whole(text: string): [bytes: Uint8Array, start: number, end: number] {
  const bytes = Buffer.from(text)
  return [bytes, 0, bytes.length]
}

/** A copy, as the service may change what it has given. Throws `INVALID_OPTION` for what no PUBLISH can carry. */
function takenOver(properties: PublishProperties): PublishProperties {
  const { responseTopic, contentType, userProperties, correlationData, messageExpirySeconds, ...rest } = properties
  const { payloadFormatIndicator: _, ...others } = rest
  for (const [name, value] of Object.entries(others)) {
    if (value !== undefined) refuse(`no message travels with a property ${name}`)
  }
  if (responseTopic !== undefined && (!/^[^+#]+$/.test(responseTopic) || !isText(responseTopic))) {
    refuse(`responseTopic must be a topic name, not ${Bun.inspect(responseTopic)}`)
  }
  if (contentType !== undefined && !isText(contentType)) refuse(`contentType cannot be sent as UTF-8 text`)
  if (userProperties !== undefined && !isPairs(userProperties)) {
    refuse("userProperties must be pairs of a name and a value that can be sent as UTF-8 text")
  }
  if (correlationData !== undefined && !(correlationData instanceof Uint8Array && correlationData.length <= 0xffff)) {
    refuse("correlationData must be at most 65535 bytes")
  }
  const seconds = messageExpirySeconds ?? 0
  if (!Number.isInteger(seconds) || seconds < 0 || seconds > 0xffff_ffff) {
    refuse(`messageExpirySeconds must be a whole number from 0 to 4294967295, not ${messageExpirySeconds}`)
  }
  return {
    ...properties,
    ...(correlationData !== undefined && { correlationData: Uint8Array.from(correlationData) }),
    ...(userProperties !== undefined && { userProperties: structuredClone(userProperties) }),
  }
}

function isPairs(userProperties: unknown): boolean {
  return (
    Array.isArray(userProperties) &&
    userProperties.every((pair) => Array.isArray(pair) && pair.length === 2 && pair.every(isText))
  )
}

function isText(text: unknown): boolean {
  return typeof text === "string" && isEncodable(text)
}

function refuse(problem: string): never {
  throw new ManjuError("INVALID_OPTION", problem)
}

/**
 * The public broker: options checked, listeners opened and closed, messages published by the embedding service. What it
 * does, it does through the `Core`.
 */
import { version } from "../../package.json" with { type: "json" }
import { isEncodable, type Properties, type QoS, Reason } from "../codec/index.ts"
import { Message } from "../session/index.ts"
import { systemClock } from "./clock.ts"
import { Core } from "./core.ts"
import { ManjuError } from "./errors.ts"
import { type Limits, resolveLimits } from "./limits.ts"
import type { Clock, Logger, Store } from "./ports.ts"
import { restore } from "./restore.ts"
import { SysTree } from "./sys.ts"

export interface BrokerOptions {
  /** Bounds of everything; each has a default. See `Limits`. */
  limits?: Partial<Limits>
  /** Refuse payloads that say they are UTF-8 text and are not (0x99). Default: false. */
  validatePayloadFormat?: boolean
  /** Where to keep what must survive the process. Default: nowhere, sessions live in memory. */
  store?: Store
  /** Where to say what happens. Default: nowhere. */
  logger?: Logger
  /** The time. Default: the system's. */
  clock?: Clock
}

export interface PublishOptions {
  /** Default: 0. */
  qos?: QoS
  /** Default: false. */
  retain?: boolean
  /** MQTT 5 properties that travel with the message. */
  properties?: Pick<
    Properties,
    | "payloadFormatIndicator"
    | "messageExpirySeconds"
    | "contentType"
    | "responseTopic"
    | "correlationData"
    | "userProperties"
  >
}

export interface ListenerAddress {
  hostname: string
  port: number
}

/** A door of the broker: made by `tcp()` and its like, opened by `broker.listen`. */
export interface Listener {
  /** Under which it appears in logs and to auth. */
  readonly id: string
  /** Opens it; throws `LISTEN_FAILED`. */
  open(core: Core): Promise<ListenerAddress>
  /** Lets nobody in any more; connections stay. */
  close(): void
}

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }
/** How often `close` looks whether everybody has gone. */
const CLOSE_POLL_MS = 20

/**
 * An MQTT 3.1, 3.1.1 and 5.0 broker.
 *
 * @example
 * await using broker = new Broker()
 * const { port } = await broker.listen(tcp({ port: 0, auth: allowAll() }))
 * await broker.publish("a/b", "hello", { retain: true })
 */
export class Broker implements AsyncDisposable {
  private readonly core: Core
  private readonly listeners: Listener[] = []
  private readonly sys: SysTree
  private readonly store: Store | undefined
  private opening: Promise<void> | undefined
  private closing: Promise<void> | undefined

  /** Throws `INVALID_OPTION` for limits that make no sense. */
  constructor(options: BrokerOptions = {}) {
    const { limits, store, clock = systemClock(), logger = silent, validatePayloadFormat = false } = options
    this.store = store
    this.core = new Core(resolveLimits(limits, store !== undefined), clock, logger, store, validatePayloadFormat)
    this.sys = new SysTree(this.core, version)
    if (store === undefined) this.sys.start()
  }

  /**
   * Takes in what the last run left in the store. `listen` and `publish` do it by themselves; who wants to know first
   * calls it. Throws `STORE_FAILED` where the store cannot be opened or read.
   */
  open(): Promise<void> {
    this.opening ??= this.restore()
    return this.opening
  }

  /**
   * Opens a listener and tells where it is, with the real port where 0 was asked. Throws `LISTEN_FAILED`, and `AUTH_FAILED`
   * where its auth cannot work: a file of passwords that cannot be read, say.
   */
  async listen(listener: Listener): Promise<ListenerAddress> {
    this.assertOpen()
    await this.open()
    const address = await listener.open(this.core).catch((error) => {
      if (error instanceof ManjuError) throw error
      throw new ManjuError("AUTH_FAILED", error instanceof Error ? error.message : String(error), { cause: error })
    })
    if (this.closing !== undefined) listener.close()
    this.assertOpen()
    this.listeners.push(listener)
    return address
  }

  /**
   * Publishes a message of the service's own. Resolves once the broker has it: at QoS 1 and 2, with a store, once it is
   * durable. Throws `INVALID_TOPIC` for what is no topic name or lies under `$SYS`, `INVALID_OPTION` for a QoS or a
   * property that cannot be sent, `STORE_FAILED` for a message that must be stored while the store fails.
   */
  async publish(topicName: string, payload: string | Uint8Array, options: PublishOptions = {}): Promise<void> {
    this.assertOpen()
    const { qos = 0, retain = false, properties = {} } = options
    const topic = isEncodable(topicName) ? this.core.router.topics.named(topicName) : undefined
    if (topic === undefined) throw new ManjuError("INVALID_TOPIC", `not a topic name: ${JSON.stringify(topicName)}`)
    if (topic.isSys) throw new ManjuError("INVALID_TOPIC", `only the broker publishes to ${topicName}`)
    if (![0, 1, 2].includes(qos)) throw new ManjuError("INVALID_OPTION", `qos must be 0, 1 or 2, not ${qos}`)
    checkProperties(properties)
    if (this.store !== undefined) await this.open()
    const bytes = Buffer.from(payload as Uint8Array) // a copy: the message may be kept, and the caller's bytes change
    const { core } = this
    const message = Message.create(topic, bytes, qos, retain, properties, core.now())
    if (qos > 0 && core.changes.isStrained && core.mustStore(message, undefined)) {
      if (core.changes.isFailing) throw new ManjuError("STORE_FAILED", "the store cannot be written at the moment")
      await core.changes.room()
    }
    core.publish(message, undefined)
    if (qos > 0) await core.changes.settled()
  }

  /** Reads passwords, access rules, keys and certificates again, whether or not their files look changed. */
  reload(): void {
    this.assertOpen()
    this.core.files.touch()
  }

  /**
   * Closes the listeners, says goodbye to every client (0x8B), publishes the wills that are due, and resolves when
   * all connections have ended and everything is stored: after `timeoutMs` (default 5,000) at the latest.
   */
  async close({ timeoutMs = 5000 }: { timeoutMs?: number } = {}): Promise<void> {
    this.closing ??= this.shutDown(timeoutMs)
    await this.closing
  }

  private async restore(): Promise<void> {
    if (this.store === undefined) return
    try {
      await restore(this.core, this.store)
    } catch (error) {
      throw new ManjuError("STORE_FAILED", error instanceof Error ? error.message : String(error), { cause: error })
    }
    this.sys.start()
  }

  private async shutDown(timeoutMs: number): Promise<void> {
    for (const listener of this.listeners) listener.close()
    this.core.auths.close()
    this.sys.stop()
    const { core } = this
    await atMost(timeoutMs, core.changes.settled())
    for (const peer of [...core.peers]) peer.disconnect(Reason.ServerShuttingDown)
    const deadline = performance.now() + timeoutMs
    while (core.peers.size > 0 && performance.now() < deadline) await Bun.sleep(CLOSE_POLL_MS)
    for (const peer of [...core.peers]) peer.destroy()
    await atMost(timeoutMs, core.changes.settled())
    core.retained.flush()
    core.saveTotals()
    await atMost(timeoutMs, core.changes.settled())
    core.timers.close()
    core.stopRetrying()
    const { isActive, appended, durable } = core.changes
    if (isActive && durable < appended) core.logger.error(`closing with ${appended - durable} changes not stored`)
    await this.store?.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  private assertOpen(): void {
    if (this.closing !== undefined) throw new ManjuError("CLOSED", "the broker has been closed")
  }
}

/** Throws `INVALID_OPTION` for what no PUBLISH can carry. */
function checkProperties(properties: NonNullable<PublishOptions["properties"]>): void {
  const { responseTopic, contentType = "", userProperties = [], correlationData, messageExpirySeconds = 0 } = properties
  const refuse = (what: string) => {
    throw new ManjuError("INVALID_OPTION", what)
  }
  if (responseTopic !== undefined && (!/^[^+#]+$/.test(responseTopic) || !isEncodable(responseTopic))) {
    refuse(`responseTopic must be a topic name, not ${JSON.stringify(responseTopic)}`)
  }
  for (const text of [contentType, ...userProperties.flat()]) {
    if (!isEncodable(text)) refuse(`a property cannot be sent as UTF-8 text: ${JSON.stringify(text.slice(0, 80))}`)
  }
  if (correlationData !== undefined && correlationData.length > 0xffff) {
    refuse(`correlationData has ${correlationData.length} bytes; 65535 can be sent`)
  }
  if (!Number.isInteger(messageExpirySeconds) || messageExpirySeconds < 0 || messageExpirySeconds > 0xffff_ffff) {
    refuse(`messageExpirySeconds must be a whole number from 0 to 4294967295, not ${messageExpirySeconds}`)
  }
}

/** Waits for `promise`, but no longer than that. */
async function atMost(timeoutMs: number, promise: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs)
  })
  await Promise.race([promise, timeout])
  clearTimeout(timer)
}

/**
 * The public broker: options checked, listeners opened and closed, messages published by the embedding service. What it
 * does, it does through the `Core`.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec"
import type { Reason } from "../codec/index.ts"
import { version } from "../version.ts"
import { Administration } from "./admin/administration.ts"
import type { Admin, Operable } from "./admin.ts"
import { ApplicationMessage } from "./application-message.ts"
import { systemClock } from "./clock.ts"
import { close } from "./closing.ts"
import { Core } from "./core.ts"
import { ManjuError } from "./errors.ts"
import type { ConnectedClient, Hooks } from "./hooks.ts"
import { resolveLimits } from "./limits.ts"
import { Requests, responseTo } from "./local/requests.ts"
import {
  type LocalSubscription,
  LocalSubscriptions,
  type MessageHandler,
  type SubscribeOptions,
} from "./local/subscription.ts"
import type { TopicParams } from "./local/topic-pattern.ts"
import { type TopicOptions, TypedTopic } from "./local/typed-topic.ts"
import type { BrokerOptions, Listener, ListenerAddress, PublishOptions, RequestOptions } from "./options.ts"
import type { Logger, Store } from "./ports.ts"
import { restore } from "./restore.ts"
import { SysTree } from "./sys.ts"

/**
 * An MQTT 3.1, 3.1.1 and 5.0 broker.
 *
 * @example
 * await using broker = new Broker()
 * const { port } = await broker.listen(tcp({ port: 0, auth: allowAll() }))
 * await broker.publish("a/b", "hello", { retain: true })
 */
export class Broker implements AsyncDisposable {
  /**
   * What an operator can see and do: figures, clients, sessions, subscriptions, retained messages, limits.
   *
   * @example
   * for (const { clientId } of (await broker.admin.sessions({ isConnected: false })).items) console.log(clientId)
   */
  readonly admin: Admin
  /**
   * Says a line in the broker's log, as the broker does: the logger gets it if the level of its area keeps it, and whoever looks at the log
   * over HTTP sees it. Its area is `broker` unless it has another.
   *
   * @example
   * broker.logger.info("the valve is open", { area: "message", topic: "valve/7" })
   */
  readonly logger: Logger
  private readonly core: Core
  private readonly listeners = new Map<Listener, ListenerAddress>()
  private readonly sys: SysTree
  private readonly store: Store | undefined
  private readonly subscriptions: LocalSubscriptions
  private readonly requests: Requests
  /** Whether everything that the store holds has been taken in. */
  private isRestored: boolean
  private opening: Promise<void> | undefined
  private closing: Promise<void> | undefined

  /** Throws `INVALID_OPTION` for limits that make no sense. */
  constructor(options: BrokerOptions = {}) {
    const { limits, store, clock = systemClock(), logger, validatePayloadFormat = false, onReload } = options
    this.store = store
    this.core = new Core(resolveLimits(limits, store !== undefined), clock, logger, store, validatePayloadFormat)
    const listeners = () => Array.from(this.listeners, ([{ id }, address]) => ({ id, ...address }))
    this.admin = new Administration(this.core, { version, store, onReload, listeners, reload: () => this.reload() })
    this.logger = this.core.logger.of("broker")
    this.core.broker = this satisfies Operable
    this.sys = new SysTree(this.core, version)
    this.subscriptions = new LocalSubscriptions(this.core)
    this.requests = new Requests(this.core, this.subscriptions, (message) => this.accept(message))
    this.isRestored = store === undefined
    if (this.isRestored) this.sys.start()
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
    this.listeners.set(listener, address)
    return address
  }

  /**
   * Registers hooks behind those there are; the returned function takes them out again. See `Hooks`. Throws `INVALID_OPTION` for a hook that
   * is no function.
   *
   * @example
   * const remove = broker.use({ onConnected: (client) => console.log(`${client.clientId} from ${client.remoteAddress}`) })
   */
  use(hooks: Hooks): () => void {
    this.assertOpen()
    return this.core.hooks.use(hooks)
  }

  /**
   * The clients that are connected now, through whatever listener.
   *
   * @example
   * for (const client of broker.clients()) if (client.username === "guest") client.disconnect()
   */
  *clients(): IterableIterator<ConnectedClient> {
    for (const { view } of [...this.core.clients.values()]) yield view
  }

  /** The client of that id, if it is connected. */
  client(clientId: string): ConnectedClient | undefined {
    return this.core.clients.get(clientId)?.view
  }

  /**
   * Publishes a message of the service's own: text, bytes, or with `json` any value. Resolves once the broker has it: at QoS 1 and 2,
   * with a store, once it is durable. Hooks that decide on messages are not asked. Throws `INVALID_TOPIC` for what is no topic name
   * or lies under `$SYS`, `INVALID_OPTION` for a payload, a QoS or a property that cannot be sent, `STORE_FAILED` for a message that
   * must be stored while the store fails.
   *
   * @example
   * await broker.publish("sensors/7", { celsius: 21.5 }, { json: true, qos: 1, retain: true })
   */
  async publish(topic: string, payload: unknown, options: PublishOptions & { json: true }): Promise<void>
  async publish(topic: string, payload: string | Uint8Array, options?: PublishOptions): Promise<void>
  async publish(topic: string, payload: unknown, { json = false, ...options }: PublishOptions = {}): Promise<void> {
    this.assertOpen()
    const bytes = json ? jsonOf(payload) : (payload as string | Uint8Array)
    await this.accept(ApplicationMessage.create(topic, bytes, options))
  }

  /**
   * Subscribes the service itself, to one filter or to several: `$share/...` and `$SYS/#` as well. What is retained comes first. No auth
   * and no hook is asked. Without a handler the subscription is iterated; leaving the loop closes it. With one, it goes on until it
   * is closed or aborted, or the broker closes; what the handler throws is reported, and it is called with the next message.
   *
   * Throws `INVALID_TOPIC` for what is no topic filter, `INVALID_OPTION` for an option that makes no sense.
   *
   * @example
   * for await (const message of broker.subscribe("sensors/+/temp", { qos: 1, signal })) {
   *   console.log(message.topic, message.text())
   * }
   *
   * @example
   * using alarms = broker.subscribe("alarms/#", async (message) => { await page(message.json()) }, { qos: 1 })
   */
  subscribe(topicFilter: string | readonly string[], options?: SubscribeOptions): LocalSubscription
  subscribe(
    topicFilter: string | readonly string[],
    handler: MessageHandler,
    options?: SubscribeOptions,
  ): LocalSubscription
  subscribe(
    topicFilter: string | readonly string[],
    first?: MessageHandler | SubscribeOptions,
    second: SubscribeOptions = {},
  ): LocalSubscription {
    this.assertOpen()
    const [handler, options] = typeof first === "object" ? [undefined, first] : [first, second]
    return this.subscriptions.subscribe(topicFilter, handler, options, this.isRestored ? undefined : this.open())
  }

  /**
   * Publishes a request and resolves with the response: the first message on its response topic that has its correlation data. MQTT 5
   * clients respond by themselves, a service does with `reply`.
   *
   * Throws as `publish` does, and `NO_RESPONDER` at once where nobody is subscribed to the topic, `TIMEOUT` (up to 250 ms late) where
   * nobody responds, `CLOSED` when the broker closes, and the reason of a signal that aborts.
   *
   * @example
   * const state = (await broker.request("devices/7/get", "state", { timeoutMs: 2000 })).json()
   */
  async request(topic: string, payload: unknown, options: RequestOptions & { json: true }): Promise<ApplicationMessage>
  async request(topic: string, payload: string | Uint8Array, options?: RequestOptions): Promise<ApplicationMessage>
  async request(
    topic: string,
    payload: unknown,
    { json = false, ...options }: RequestOptions = {},
  ): Promise<ApplicationMessage> {
    this.assertOpen()
    const bytes = json ? jsonOf(payload) : (payload as string | Uint8Array)
    return this.requests.request(ApplicationMessage.create(topic, bytes, options), options)
  }

  /**
   * Responds to a request: publishes to its response topic, with its correlation data and, unless `options` say otherwise, at its QoS.
   * Throws as `publish` does, and `INVALID_OPTION` for a message that names no response topic.
   *
   * @example
   * broker.subscribe("devices/7/get", (request) => broker.reply(request, { celsius: 21.5 }, { json: true }))
   */
  async reply(request: ApplicationMessage, payload: unknown, options: PublishOptions & { json: true }): Promise<void>
  async reply(request: ApplicationMessage, payload: string | Uint8Array, options?: PublishOptions): Promise<void>
  async reply(
    request: ApplicationMessage,
    payload: unknown,
    { json = false, ...options }: PublishOptions = {},
  ): Promise<void> {
    this.assertOpen()
    const { topic, properties } = responseTo(request)
    const bytes = json ? jsonOf(payload) : (payload as string | Uint8Array)
    const response = { qos: request.qos, ...options, properties: { ...options.properties, ...properties } }
    await this.accept(ApplicationMessage.create(topic, bytes, response))
  }

  /**
   * A topic whose values have a type. In `pattern`, `:name` is a param of one level, and `:name*`, at the end, one of all the levels
   * that are left; the other levels are as they are. `schema` is any that implements Standard Schema: of zod, valibot, arktype and others.
   *
   * Throws `INVALID_TOPIC` for a pattern with wildcards, or whose params are no whole levels, and `INVALID_OPTION` for what is no schema.
   *
   * @example
   * const temp = broker.topic("sensors/:id/temp", z.object({ celsius: z.number() }), { rejectInvalid: true })
   * await temp.publish({ id: "7" }, { celsius: 21.5 }, { retain: true })
   * for await (const { params, value } of temp.subscribe({ signal })) console.log(params.id, value.celsius)
   */
  topic<const Pattern extends string, Input, Output>(
    pattern: Pattern,
    schema: StandardSchemaV1<Input, Output>,
    options?: TopicOptions<Input>,
  ): TypedTopic<TopicParams<Pattern>, Input, Output> {
    this.assertOpen()
    return new TypedTopic(this, this.core.logger, pattern, schema, options)
  }

  /**
   * Reads passwords, access rules, keys and certificates again, whether or not their files look changed, and forgets what web
   * services have answered.
   */
  reload(): void {
    this.assertOpen()
    this.core.files.touch()
    this.core.auths.reload()
  }

  /**
   * Resolves when the clockwork on which all deadlines are has turned once more: a sign of life, for a watchdog. That takes up to half a
   * second, whether or not the store works; a broker that has been closed gives none.
   *
   * @example
   * setInterval(async () => {
   *   await broker.heartbeat()
   *   await fetch("http://127.0.0.1:9000/alive", { method: "POST" })
   * }, 15_000)
   */
  heartbeat(): Promise<void> {
    const { timers } = this.core
    return new Promise((resolve) => timers.schedule(this.core.now(), resolve))
  }

  /**
   * Closes the listeners, says goodbye to every client (0x8B), publishes the wills that are due, and resolves when
   * all connections have ended and everything is stored: after `timeoutMs` (default 5,000) at the latest, and a second more for a store
   * that does not close. The hook `onStopped` is told what has come of it.
   */
  async close({ timeoutMs = 5000 }: { timeoutMs?: number } = {}): Promise<void> {
    this.closing ??= this.shutDown(timeoutMs)
    await this.closing
  }

  /** Takes a message of the service's own, and waits until it is safe; gives whether anybody has subscribed to it. */
  private async accept(message: ApplicationMessage): Promise<Reason> {
    const { core } = this
    const topic = core.router.topics.named(message.topic)
    if (topic === undefined) {
      throw new ManjuError("INVALID_TOPIC", `longer or deeper than the limits: ${JSON.stringify(message.topic)}`)
    }
    if (topic.isSys) throw new ManjuError("INVALID_TOPIC", `only the broker publishes to ${message.topic}`)
    if (this.store !== undefined) await this.open()
    if (core.isAsking) await null // a message is being handed round: this one comes after it
    const accepted = message.toMessage(topic, core.now())
    if (accepted.qos > 0 && core.changes.isStrained && core.mustStore(accepted, undefined)) {
      if (core.changes.isFailing) throw new ManjuError("STORE_FAILED", "the store cannot be written at the moment")
      await core.changes.room()
    }
    const reason = core.publish(accepted, undefined)
    if (accepted.qos > 0) await core.changes.settled()
    return reason
  }

  private async restore(): Promise<void> {
    if (this.store !== undefined) await this.restoreFrom(this.store)
    this.isRestored = true
    this.core.hooks.tell("onStarted")
  }

  private async restoreFrom(store: Store): Promise<void> {
    try {
      await restore(this.core, store)
    } catch (error) {
      throw new ManjuError("STORE_FAILED", error instanceof Error ? error.message : String(error), { cause: error })
    }
    this.sys.start()
  }

  private async shutDown(timeoutMs: number): Promise<void> {
    const { core, store, requests, subscriptions, sys } = this
    const closing = { listeners: this.listeners.keys(), store, requests, subscriptions, sys }
    core.hooks.tell("onStopped", await close(core, closing, timeoutMs))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  private assertOpen(): void {
    if (this.closing !== undefined) throw new ManjuError("CLOSED", "the broker has been closed")
  }
}

/** Throws `INVALID_OPTION` for what has no JSON: undefined, a function, a BigInt, a circle. */
function jsonOf(value: unknown): string {
  let json: string | undefined
  try {
    json = JSON.stringify(value)
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error)
    throw new ManjuError("INVALID_OPTION", `a payload that cannot be sent as JSON: ${problem}`, { cause: error })
  }
  if (json !== undefined) return json
  throw new ManjuError("INVALID_OPTION", `a payload that cannot be sent as JSON: ${typeof value}`)
}

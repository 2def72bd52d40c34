/** What the public `Broker` takes: options of its own, of a message, and its doors. */
import type { QoS } from "../codec/index.ts"
import type { ReloadReport } from "./admin.ts"
import type { PublishProperties } from "./application-message.ts"
import type { Core } from "./core.ts"
import type { Limits } from "./limits.ts"
import type { RequestTerms } from "./local/requests.ts"
import type { Clock, Logger, Store } from "./ports.ts"

/** What `new Broker()` takes; all of it has a default. */
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
  /**
   * What else `broker.admin.reload` reads again beside the files of auths and listeners, and what came of it: the configuration of the
   * program around the broker. Default: nothing.
   */
  onReload?: () => ReloadReport | Promise<ReloadReport>
}

/** What `broker.publish` takes beside topic and payload. */
export interface PublishOptions {
  /** Default: 0. */
  qos?: QoS
  /** Default: false. */
  retain?: boolean
  /** MQTT 5 properties that travel with the message. */
  properties?: PublishProperties
  /** The payload is a value, sent as JSON. Default: false. */
  json?: boolean
}

/** What `broker.request` takes: as `publish`, save for what makes it a request. */
export interface RequestOptions extends Omit<PublishOptions, "properties">, RequestTerms {
  /** MQTT 5 properties that travel with the request. */
  properties?: Omit<PublishProperties, "responseTopic" | "correlationData">
}

/** Where a listener is: the real port where 0 was asked for; of a Unix socket its path, and port 0. */
export interface ListenerAddress {
  hostname: string
  port: number
}

/**
 * A door of the broker: made by `tcp()` and its like, opened by `broker.listen`.
 *
 * @example
 * const doors: Listener[] = [tcp({ port: 0, auth }), unix({ path: "/run/manju.sock", auth })]
 * for (const door of doors) console.log(door.id, await broker.listen(door))
 */
export interface Listener {
  /** Under which it appears in logs and to auth. */
  readonly id: string
  /** @internal Opens it; throws `LISTEN_FAILED`. */
  open(core: Core): Promise<ListenerAddress>
  /** Lets nobody in any more; connections stay. */
  close(): void
}

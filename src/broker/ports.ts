/**
 * What the broker needs of others, as interfaces: who may do what, what time it is, where to keep what must survive,
 * and where to say what happened. `auth`, `store` and the embedding service implement them and reach no deeper.
 */
import { type ProtocolLevel, Reason, type UserProperty } from "../codec/index.ts"
import type { LogArea } from "./log/areas.ts"
import type { Stored, StoredChange, StoredDelivery } from "./stored.ts"

/** A client that asks to be let in. */
export interface Connecting {
  /** Empty: it wants one to be assigned. */
  readonly clientId: string
  readonly username: string | undefined
  readonly password: Uint8Array | undefined
  readonly protocolLevel: ProtocolLevel
  readonly cleanStart: boolean
  readonly keepAliveSeconds: number
  readonly userProperties: readonly UserProperty[]
  /** IP address, or what else the listener knows of where it comes from. */
  readonly remoteAddress: string
  /** The id of the listener it came through. */
  readonly listener: string
  /** The certificate it has shown, verified by the listener; undefined where none was asked for or given. */
  readonly certificate?: Certificate | undefined
  /**
   * Whether it has gone while it waited for its decision, which nobody would hear: to be asked before dear work. The end of a
   * socket that is not read shows late, but at the latest when the time to connect is over.
   */
  readonly isGone?: (() => boolean) | undefined
}

/** Who a client certificate says that somebody is. */
export interface Certificate {
  readonly commonName: string | undefined
  /** `DNS:…`, `IP Address:…`, `email:…`, `URI:…` */
  readonly subjectAltNames: readonly string[]
  /** SHA-256 of the certificate, in hexadecimal with colons. */
  readonly fingerprint: string
}

/** A client that has been let in. */
export interface Client {
  readonly clientId: string
  readonly username: string | undefined
  readonly protocolLevel: ProtocolLevel
  readonly remoteAddress: string
  readonly listener: string
}

/** A refusal that says why. The client gets `reason` in CONNACK (a 3.x client: the nearest return code). */
export interface Refusal {
  readonly reason: Reason
  /** For a person to read; sent only where the client asked for problem information. */
  readonly reasonString?: string
  /** Where to go instead, with `UseAnotherServer` or `ServerMoved`. */
  readonly serverReference?: string
}

/** The client is in, and there is more to say of it. */
export interface Admission {
  readonly authenticated: true
  /** The user that it is, in place of the CONNECT's. */
  readonly username?: string
  /** When it has to go (0xA0), in milliseconds since 1970. With anything but a finite number nobody is let in. */
  readonly expiresAt?: number
  /** Who decides from now on what it may do. Default: the auth that has admitted it. */
  readonly authority?: Authority
}

/**
 * What an authentication decides. `false` is a plain no, undefined is «not mine to say», a refusal unless another auth beside
 * it says more. A client that has given a user name gets 0x86 for both, so that it learns nothing on which users there are;
 * one without gets 0x87.
 */
export type Decision = boolean | Refusal | Admission | undefined

/** Whether an answer is an admission in all its parts. */
export function isAdmission<A>(answer: A): answer is A & Admission {
  if (typeof answer !== "object" || answer === null) return false
  const { authenticated, expiresAt } = answer as Partial<Admission>
  return authenticated === true && (expiresAt === undefined || Number.isFinite(expiresAt))
}

/** Whether a decision lets the client in. Whatever is not clearly that is none: the slip of an auth shuts doors, it opens none. */
export function isAllowing(decision: unknown): boolean {
  if (decision === true || isAdmission(decision)) return true
  if (typeof decision !== "object" || decision === null || "authenticated" in decision) return false
  return "reason" in decision && decision.reason === Reason.Success
}

/** One step of an enhanced authentication: a decision, or `challenge` to send to the client and go on. */
export type ExchangeStep = Decision | { readonly challenge: Uint8Array } | Authenticated

/** The exchange has succeeded. */
export interface Authenticated extends Admission {
  /** Authentication Data for the CONNACK, or the last AUTH. */
  readonly data?: Uint8Array
}

/**
 * One enhanced authentication. MQTT 5 §4.12
 *
 * @example
 * import { createHmac, timingSafeEqual } from "node:crypto"
 *
 * class Prover implements Exchange {
 *   private readonly challenge = crypto.getRandomValues(new Uint8Array(32))
 *
 *   next(data: Uint8Array | undefined) {
 *     if (data === undefined) return { challenge: this.challenge }
 *     const proof = createHmac("sha256", process.env.SECRET!).update(this.challenge).digest()
 *     return data.length === proof.length && timingSafeEqual(data, proof)
 *   }
 * }
 * const auth: Auth = {
 *   authenticate: () => undefined,
 *   exchange: (_client, method) => (method === "HMAC" ? new Prover() : undefined),
 * }
 */
export interface Exchange {
  /** Takes the client's Authentication Data. */
  next(data: Uint8Array | undefined): ExchangeStep | PromiseLike<ExchangeStep>
}

/** What a client is about to do with a topic: publish to a name, subscribe to a filter, receive a message. */
export type Action = "publish" | "subscribe" | "receive"

/** `false` is «not authorized»; a `Reason` says something else, `Reason.Success` included; undefined: not mine to say, a refusal. */
export type Permission = boolean | Reason | undefined

/**
 * Who decides what a client that is in may do.
 *
 * @example
 * const readOnly: Authority = { authorize: (_client, action) => action !== "publish", isCacheable: true }
 * const auth: Auth = {
 *   authenticate: ({ username }) => (username === "guest" ? { authenticated: true, authority: readOnly } : undefined),
 * }
 */
export interface Authority {
  /** Without it, it may do everything. */
  authorize?(client: Client, action: Action, topic: string): Permission | PromiseLike<Permission>
  /**
   * Why `authorize` answers as it does, for an operator who asks `broker.admin.explain`: by which rule, and where that stands. No client is
   * told. In a sentence without a full stop, such as `acl.txt:14 forbids user ada to read a/b`. Default: the answer alone is said.
   */
  explain?(client: Client, action: Action, topic: string): string | PromiseLike<string>
  /** Whether answers of `authorize` hold for a client and a topic until `AuthContext.changed` is called. Default: false. */
  readonly isCacheable?: boolean
  /**
   * Whether it takes a user name as it is given, which nothing proves. Of a client that it has let in, a session is then whoever's who names
   * its client id; everywhere else only the user that has made it may have it. Default: false.
   */
  readonly believesNames?: boolean
  /** Asked after `AuthContext.changed`: whether a client that is in may stay. One that may not goes without its will. Default: yes. */
  mayStay?(client: Client): boolean | PromiseLike<boolean>
}

/**
 * What an auth is given to work with, when the first listener opens that has it or another that is made of it.
 *
 * @example
 * class Tenants implements Auth {
 *   private names = new Set<string>()
 *
 *   async open({ watch, changed, logger }: AuthContext) {
 *     const read = async () => {
 *       this.names = new Set((await Bun.file("tenants.txt").text()).split("\n"))
 *     }
 *     await read()
 *     watch("tenants.txt", () => read().then(changed, (error) => logger.error(`tenants.txt: ${error}`)))
 *   }
 *
 *   authenticate = ({ username = "" }: Connecting) => this.names.has(username)
 *   mayStay = ({ username = "" }: Client) => this.names.has(username)
 * }
 */
export interface AuthContext {
  readonly logger: Logger
  readonly clock: Clock
  /**
   * Calls `changed` some time after the file at `path` has changed, or has come or gone, until the returned function is
   * called or the auth is closed.
   */
  watch(path: string, changed: () => void): () => void
  /** Opens an auth of which this one is made, unless it is open already, alone or within others; it closes with the broker. */
  open(member: Auth): Promise<void>
  /**
   * Says that decisions may be others now: who may not stay (0x98), or not keep a subscription (0x87), is disconnected. The subscriptions of
   * who is away are asked for when it comes back.
   */
  changed(): void
}

/**
 * Who may connect, and who may do what. Given per listener; a listener without one refuses everybody.
 *
 * Answers may be promises: the packets of that client then wait, in order, and nobody else does. An exception is a
 * refusal, and is logged.
 *
 * @example
 * const auth: Auth = {
 *   authenticate: (client) => client.username === "sensor",
 *   authorize: (client, action, topic) => topic.startsWith(`${client.clientId}/`),
 * }
 */
export interface Auth extends Authority {
  /** Reads its files and watches them. Throws what makes it useless: the listener then does not open. */
  open?(context: AuthContext): void | PromiseLike<void>
  close?(): void
  /** Everything is to be read again (`broker.reload()`, SIGHUP): forgets what it keeps. For files that it watches it is told apart. */
  reload?(): void | PromiseLike<void>
  authenticate(client: Connecting): Decision | PromiseLike<Decision>
  /** Starts an enhanced authentication; undefined: the method is not supported (0x8C). */
  exchange?(client: Connecting, method: string): Exchange | undefined
}

/**
 * Time, and one recurring call. Tests bring one that they move: the `ManualClock` of `manju/testing`.
 *
 * @example
 * // A device that was made long ago and has never heard from a time server.
 * const birth = Date.UTC(2001, 0, 1)
 * const clock: Clock = {
 *   now: () => birth + performance.now(),
 *   every(intervalMs, tick) {
 *     const timer = setInterval(tick, intervalMs)
 *     return () => clearInterval(timer)
 *   },
 * }
 * await using broker = new Broker({ clock })
 */
export interface Clock {
  /** Milliseconds since 1970 that never jump: the wall clock at start plus what has passed since. */
  now(): number
  /** Calls `tick` about every `intervalMs` until the returned function is called. */
  every(intervalMs: number, tick: () => void): () => void
}

/** What a line of the log is about, in fields: a line says it in its message as well. What it is not about is left out. */
export interface LogDetails {
  /**
   * `client`: who comes in, is refused and goes; `auth`: files and services that decide on that; `message`: what is dropped, and
   * subscriptions that are refused; `listener`: certificates, handshakes, pages; `store`; `broker`: all else. Each of the broker's lines has
   * one; what an auth says through its `AuthContext` is of `auth` unless it says otherwise.
   */
  readonly area?: LogArea
  readonly clientId?: string
  readonly username?: string
  /** IP address, or what else the listener knows of where it comes from. */
  readonly remoteAddress?: string
  /** The id of a listener. */
  readonly listener?: string
  /** The name of the MQTT reason, such as `BadUserNameOrPassword`; of a message that is dropped a `DropReason`. */
  readonly reason?: string
  readonly topic?: string
  /** How many lines have been left out, of which this one says so: see `Logger`. */
  readonly omitted?: number
}

/**
 * Where the broker says what happens: a sentence for people, which names who and why, and the same in fields. `console`, pino and whatever
 * has these four methods will do. `console` gets the sentence alone, with control characters made visible; pino gets the fields in front,
 * as it wants them. Other loggers may get in a message what a stranger has sent, in names and reasons: line ends, control characters,
 * anything but secrets. Who makes lines of it for a terminal or a file has to escape that.
 *
 * A flood does not get here: of lines that others can cause (who connects, is refused, goes, what is dropped) a few are said in ten
 * seconds, 10 of one network and 50 of all with the same reason (of who comes and goes 50 of one), and then one that says how many more
 * there were. Who needs each has hooks: `onConnected`, `onDropped`.
 *
 * @example
 * const line = (level: string) => (message: string, details?: LogDetails) =>
 *   console.log(JSON.stringify({ level, message, ...details }))
 * const logger: Logger = { debug() {}, info: line("info"), warn: line("warn"), error: line("error") }
 * await using broker = new Broker({ logger })
 * // {"level":"info","message":"refused pump-7, user ada (192.0.2.1) on tcp: 0x86 BadUserNameOrPassword","area":"client",
 * //  "clientId":"pump-7","username":"ada","remoteAddress":"192.0.2.1","listener":"tcp","reason":"BadUserNameOrPassword"}
 */
export interface Logger {
  debug(message: string, details?: LogDetails): void
  info(message: string, details?: LogDetails): void
  warn(message: string, details?: LogDetails): void
  error(message: string, details?: LogDetails): void
  /**
   * The least important lines that it keeps, `debug`, `info`, `warn`, `error` or `silent`, where that can be changed at run time, as
   * pino's can: then `broker.admin.setLogLevel` changes it there too. Without it the logger gets what the broker keeps.
   */
  level?: string | undefined
}

/**
 * Keeps what must survive the process. One broker at a time uses it: `load` once, then the rest.
 *
 * `sqlite()` and `memory()` implement it, and `manju/store-conformance` has the tests that any other must pass.
 *
 * @example
 * class RemoteStore implements Store {
 *   async *load() { for (const row of await remote.everything()) yield row as Stored }
 *   commit(changes: readonly StoredChange[]) { return remote.transaction(changes) }
 *   page(owner: string, after: number, limit: number) { return remote.deliveries(owner, after, limit) }
 *   close() { return remote.close() }
 * }
 */
export interface Store {
  /** What the last run left; opens what has to be opened, and throws where that cannot be done. */
  load(): AsyncIterable<Stored>
  /**
   * Applies all of them or none, in order; durable when it resolves. After a rejection it is asked again with the same
   * changes, which may have been applied: to apply them twice must be the same as once.
   */
  commit(changes: readonly StoredChange[]): Promise<void>
  /** Deliveries of an owner that wait (have no packet id), behind the sequence `after`, in order, at most `limit`. */
  page(owner: string, after: number, limit: number): Promise<StoredDelivery[]>
  close(): Promise<void>
  /** Bytes written to the medium since `load`, where it knows: what the wear of an SD card is read from. */
  readonly bytesWritten?: number | undefined
  /**
   * Copies everything to a file at `path`, where it can; meanwhile commits go on. Throws, and leaves no file, where there is one already
   * or none can be.
   */
  backup?(path: string): Promise<void>
}

export { isPromise } from "./decide.ts"
export { ManjuError } from "./errors.ts"
export type { AreaLevels, LogArea, LogLevel } from "./log/areas.ts"
export { networkOf } from "./network.ts"
export type {
  Stored,
  StoredChange,
  StoredDelivery,
  StoredMessage,
  StoredQueue,
  StoredSession,
  StoredSubscription,
  StoredWill,
} from "./stored.ts"
export { Reason }

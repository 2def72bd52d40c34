/**
 * The hooks that are registered, as the broker asks and tells them: one chain for each decider, undefined while nobody has it, and one
 * queue for what observers are told.
 *
 * A chain hands a value from one decider to the next; whoever refuses ends it, and one that throws or rejects has refused. As long as
 * nobody answers with a promise it is a plain loop. Observers are called in a microtask, when what is at hand is done: whatever they
 * do, publish included, comes after it.
 */
import { Reason, type SubscribeRequest } from "../codec/index.ts"
import { ApplicationMessage } from "./application-message.ts"
import { isPromise } from "./decide.ts"
import { ManjuError } from "./errors.ts"
import type { Awaitable, ConnectedClient, Hooks } from "./hooks.ts"
import { type Admission, type Connecting, type Decision, isAdmission, isAllowing, type Refusal } from "./ports.ts"

/** A decider has said no. */
export class Refused {
  readonly refusal: Refusal

  constructor(refusal: Refusal) {
    this.refusal = refusal
  }

  get reason(): Reason {
    return this.refusal.reason
  }
}

/** What came of a value: what the deciders have made of it, or that it goes no further. */
export type Outcome<Value> = Value | Refused

const deciders = [
  "onConnect",
  "onAuthenticate",
  "onSubscribe",
  "onUnsubscribe",
  "onMessage",
  "onDeliver",
  "onWill",
] as const
const observers = [
  "onConnected",
  "onDisconnected",
  "onSubscribed",
  "onUnsubscribed",
  "onPublished",
  "onDelivered",
  "onAcknowledged",
  "onDropped",
  "onRetained",
  "onRetainedExpired",
  "onSessionExpired",
  "onPacketReceived",
  "onPacketSent",
  "onError",
  "onStarted",
  "onStopped",
] as const
type Observer = (typeof observers)[number]

type Chain<Value, About> = (value: Value, about: About) => Awaitable<Outcome<Value>>

const NOT_AUTHORIZED = new Refused({ reason: Reason.NotAuthorized })
const FAILED = new Refused({ reason: Reason.ImplementationSpecificError, reasonString: "a hook has failed" })

export class HookChains {
  connect: Chain<Connecting, undefined> | undefined
  /** The value is what the listener's auth has said; a refusal is not asked about. */
  authenticate: Chain<Decision, Connecting> | undefined
  subscribe: Chain<SubscribeRequest, ConnectedClient> | undefined
  unsubscribe: Chain<string, ConnectedClient> | undefined
  message: Chain<ApplicationMessage, ConnectedClient> | undefined
  deliver: Chain<ApplicationMessage, ConnectedClient> | undefined
  will: Chain<ApplicationMessage, string> | undefined
  /** Whether anybody looks at what goes to clients, to decide on it or to be told. */
  hasDeliveries = false
  /** Who wants to be told what; undefined: nobody. */
  readonly wants: Record<Observer, readonly Hooks[] | undefined>
  private registered: readonly { readonly hooks: Hooks }[] = []
  private untold: (() => void)[] = []
  private readonly onFailure: (error: unknown, hook: keyof Hooks) => void

  /** `onFailure` is told of every hook that threw, rejected, or answered what is no answer. */
  constructor(onFailure: (error: unknown, hook: keyof Hooks) => void) {
    this.onFailure = onFailure
    this.wants = Object.fromEntries(observers.map((name) => [name, undefined])) as typeof this.wants
  }

  /** Adds hooks behind those there are; the returned function takes them out. Throws `INVALID_OPTION` for what is no function. */
  use(hooks: Hooks): () => void {
    for (const name of [...deciders, ...observers]) {
      const hook: unknown = hooks[name]
      if (hook === undefined || typeof hook === "function") continue
      throw new ManjuError("INVALID_OPTION", `${name} must be a function, not ${hook === null ? "null" : typeof hook}`)
    }
    const entry = { hooks }
    this.registered = [...this.registered, entry]
    this.link()
    return () => {
      this.registered = this.registered.filter((each) => each !== entry)
      this.link()
    }
  }

  /** Tells those who want it, when what is at hand is done. */
  tell<Name extends Observer>(name: Name, ...about: Parameters<NonNullable<Hooks[Name]>>): void {
    const told = this.wants[name]
    if (told === undefined) return
    if (this.untold.length === 0) queueMicrotask(() => this.tellAll())
    this.untold.push(() => {
      for (const hooks of told) this.tellOne(hooks, name, about)
    })
  }

  private tellAll(): void {
    const { untold } = this
    this.untold = []
    for (const tell of untold) tell()
  }

  private tellOne(hooks: Hooks, name: Observer, about: unknown[]): void {
    try {
      const answer = (hooks[name] as (...about: unknown[]) => unknown)(...about)
      if (isPromise(answer)) Promise.resolve(answer).catch((error) => this.onFailure(error, name))
    } catch (error) {
      this.onFailure(error, name)
    }
  }

  /** Makes the chains anew. */
  private link(): void {
    const having = (name: keyof Hooks): readonly Hooks[] | undefined => {
      const all = this.registered.map(({ hooks }) => hooks).filter((hooks) => hooks[name] !== undefined)
      return all.length > 0 ? all : undefined
    }
    for (const name of observers) this.wants[name] = having(name)
    const chain = <Value, About>(
      name: keyof Hooks,
      ask: (hooks: Hooks, value: Value, about: About) => unknown,
      take: (value: Value, answer: unknown) => Outcome<Value>,
    ): Chain<Value, About> | undefined => {
      const asked = having(name)
      if (asked === undefined) return undefined
      return (value, about) => this.run(name, asked, 0, value, (hooks, value) => ask(hooks, value, about), take)
    }
    this.connect = chain("onConnect", (hooks, client) => hooks.onConnect!(client), takeConnect)
    this.authenticate = chain("onAuthenticate", (hooks, _, client) => hooks.onAuthenticate!(client), takeDecision)
    this.subscribe = chain("onSubscribe", (hooks, request, client) => hooks.onSubscribe!(request, client), takeRequest)
    this.unsubscribe = chain(
      "onUnsubscribe",
      (hooks, filter, client) => hooks.onUnsubscribe!(filter, client),
      takeFilter,
    )
    this.message = chain("onMessage", (hooks, message, client) => hooks.onMessage!(message, client), takeMessage)
    this.deliver = chain("onDeliver", (hooks, message, client) => hooks.onDeliver!(message, client), takeMessage)
    this.hasDeliveries = this.deliver !== undefined || this.wants.onDelivered !== undefined
    this.will = chain("onWill", (hooks, message, clientId) => hooks.onWill!(message, clientId), takeMessage)
  }

  private run<Value>(
    name: keyof Hooks,
    asked: readonly Hooks[],
    from: number,
    value: Value,
    ask: (hooks: Hooks, value: Value) => unknown,
    take: (value: Value, answer: unknown) => Outcome<Value>,
  ): Awaitable<Outcome<Value>> {
    let current = value
    for (let i = from; i < asked.length; i++) {
      try {
        const answer = ask(asked[i]!, current)
        if (isPromise(answer)) {
          return Promise.resolve(answer)
            .then((answer) => take(current, answer))
            .then(
              (next) => (next instanceof Refused ? next : this.run(name, asked, i + 1, next, ask, take)),
              (error) => this.failed(error, name),
            )
        }
        const next = take(current, answer)
        if (next instanceof Refused) return next
        current = next
      } catch (error) {
        return this.failed(error, name)
      }
    }
    return current
  }

  private failed(error: unknown, name: keyof Hooks): Refused {
    this.onFailure(error, name)
    return FAILED
  }
}

function takeConnect(client: Connecting, answer: unknown): Outcome<Connecting> {
  if (answer === undefined) return client
  if (answer === false) return NOT_AUTHORIZED
  if (isRefusal(answer)) return isSuccess(answer) ? client : new Refused(answer)
  throw noAnswer(answer, "nothing, false or a refusal")
}

/** A refusal overrides; of those who say yes, the later adds to what the earlier has said, and the first deadline holds. */
function takeDecision(decision: Decision, answer: unknown): Outcome<Decision> {
  if (answer === undefined) return decision
  if (answer === false) return NOT_AUTHORIZED
  if (isAdmission(answer)) return add(answer, isAdmission(decision) ? decision : {})
  if (isAllowing(answer)) return decision ?? true
  if (isRefusal(answer) && !isSuccess(answer)) return new Refused(answer)
  throw noAnswer(answer, "a decision")
}

/** What two have said of a client that both let in. */
function add(later: Admission, earlier: Partial<Admission>): Admission {
  const username = later.username ?? earlier.username
  const authority = later.authority ?? earlier.authority
  const expiresAt = Math.min(later.expiresAt ?? Number.POSITIVE_INFINITY, earlier.expiresAt ?? Number.POSITIVE_INFINITY)
  return {
    authenticated: true,
    ...(username !== undefined && { username }),
    ...(authority !== undefined && { authority }),
    ...(expiresAt < Number.POSITIVE_INFINITY && { expiresAt }),
  }
}

function takeRequest(request: SubscribeRequest, answer: unknown): Outcome<SubscribeRequest> {
  if (!isObject(answer)) return take(request, answer, "nothing, false, a reason or parts of a subscription")
  const { topicFilter, qos, noLocal, retainAsPublished, retainHandling } = answer as Partial<SubscribeRequest>
  const changed = {
    topicFilter: topicFilter ?? request.topicFilter,
    qos: qos ?? request.qos,
    noLocal: noLocal ?? request.noLocal,
    retainAsPublished: retainAsPublished ?? request.retainAsPublished,
    retainHandling: retainHandling ?? request.retainHandling,
  }
  const isSubscription =
    typeof changed.topicFilter === "string" &&
    typeof changed.noLocal === "boolean" &&
    typeof changed.retainAsPublished === "boolean" &&
    [0, 1, 2].includes(changed.qos) &&
    [0, 1, 2].includes(changed.retainHandling)
  if (!isSubscription) throw new TypeError("a hook answers with parts that no subscription can have")
  return changed
}

function takeFilter(topicFilter: string, answer: unknown): Outcome<string> {
  if (typeof answer === "string") return answer
  return take(topicFilter, answer, "nothing, false, a reason or a topic filter")
}

function takeMessage(message: ApplicationMessage, answer: unknown): Outcome<ApplicationMessage> {
  if (answer instanceof ApplicationMessage) return answer
  return take(message, answer, "nothing, false, a reason or a message")
}

function take<Value>(value: Value, answer: unknown, expected: string): Outcome<Value> {
  if (answer === undefined) return value
  if (answer === false) return NOT_AUTHORIZED
  if (typeof answer === "number" && Number.isInteger(answer) && answer >= 0 && answer <= 0xff) {
    return new Refused({ reason: answer as Reason })
  }
  throw noAnswer(answer, expected)
}

function isObject(answer: unknown): answer is object {
  return typeof answer === "object" && answer !== null
}

function isRefusal(answer: unknown): answer is Refusal {
  return isObject(answer) && "reason" in answer && typeof answer.reason === "number"
}

/** A refusal that says so is none, as it is none of an auth's. */
function isSuccess({ reason }: Refusal): boolean {
  return reason === Reason.Success
}

/** Of text and objects only the type is said: a hook may have answered with a password. */
function noAnswer(answer: unknown, expected: string): TypeError {
  const isPlain = answer === null || typeof answer === "number" || typeof answer === "boolean"
  return new TypeError(`a hook answers ${expected}, not ${isPlain ? answer : typeof answer}`)
}

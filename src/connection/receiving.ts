/**
 * What a client may receive and what it gets of it, where its auth or a hook decides that too.
 *
 * A decision may take its time. Messages that come meanwhile queue behind the one that waits, so that their order is
 * kept; the bytes held are bounded like a backlog, and QoS 0 beyond is dropped.
 */
import { ApplicationMessage } from "../broker/application-message.ts"
import type { Core } from "../broker/core.ts"
import { isPromise } from "../broker/decide.ts"
import type { Outcome } from "../broker/hook-chains.ts"
import type { Awaitable, ConnectedClient } from "../broker/hooks.ts"
import type { QoS } from "../codec/index.ts"
import { type DropReason, isUnsent, type Message, type Sending, type Unsent } from "../session/index.ts"
import { isPermitted, type Permissions } from "./permissions.ts"

/** A PUBLISH on its way to one client. */
export interface HeldPublish {
  readonly message: Message
  readonly qos: QoS
  readonly retain: boolean
  readonly identifiers: readonly number[] | undefined
  readonly packetId: number
  readonly dup: boolean
}

/** The link, as far as this needs it. */
export interface ReceivingLink {
  readonly core: Core
  readonly session: { pump(): void } | undefined
  readonly view: ConnectedClient
  readonly state: string
  authFailed(error: unknown, topicName: string): false
  /** Sends a message; or says why it cannot be sent. */
  transmit(
    message: Message,
    qos: QoS,
    retain: boolean,
    identifiers: readonly number[] | undefined,
    packetId: number,
    dup: boolean,
  ): DropReason | undefined
}

/** The message to send, which may be another one; or why none is. */
type Verdict = Message | DropReason

/** One that waits for its verdict, or for that of one before it. */
interface Held {
  readonly publish: HeldPublish
  verdict: Verdict | undefined
  /** Told what has become of it. */
  readonly resolve: (unsent: Unsent | undefined) => void
}

export class Receiving {
  private readonly held: Held[] = []
  private heldBytes = 0
  /** Undefined: the auth allows everything, by now. */
  permissions: Permissions | undefined
  private readonly link: ReceivingLink

  constructor(permissions: Permissions | undefined, link: ReceivingLink) {
    this.permissions = permissions
    this.link = link
  }

  /** Whether it may hold more: as much as a backlog. */
  get hasRoom(): boolean {
    return this.heldBytes < this.link.core.limits.maximumBacklogBytes
  }

  /** Sends a message, now or when it is decided on. */
  take(publish: HeldPublish): Sending {
    const verdict = this.decideInRouting(publish)
    if (!isPromise(verdict)) {
      const isInOrder = this.held.length === 0 || typeof verdict === "string"
      return isInOrder ? this.send(publish, verdict) : this.hold(publish, verdict)
    }
    const sending = this.hold(publish, undefined)
    if (isUnsent(sending)) return sending
    const entry = this.held.at(-1)!
    Promise.resolve(verdict)
      .then((verdict) => {
        entry.verdict = verdict
        this.sendDecided()
      })
      .catch((error) => this.link.core.onBug(error))
    return sending
  }

  /** What whoever decides publishes or ends meanwhile comes after what is decided on. */
  private decideInRouting(publish: HeldPublish): Awaitable<Verdict> {
    const { core } = this.link
    core.isAsking = true
    try {
      return this.decide(publish)
    } finally {
      core.isAsking = false
    }
  }

  private decide(publish: HeldPublish): Awaitable<Verdict> {
    const { message } = publish
    const permission = this.ask(message.topic.name)
    if (!isPromise(permission)) return permission ? this.consider(publish) : "not authorized"
    const kept = { ...publish, message: message.keep() }
    return permission.then((allowed) => (allowed ? this.consider(kept) : "not authorized"))
  }

  private ask(topicName: string): boolean | Promise<boolean> {
    const failed = (error: unknown) => this.link.authFailed(error, topicName)
    try {
      if (this.permissions === undefined) return true
      const permission = this.permissions.ask("receive", topicName)
      if (!isPromise(permission)) return isPermitted(permission)
      return Promise.resolve(permission).then(isPermitted, failed)
    } catch (error) {
      return failed(error)
    }
  }

  /** The hooks may change what this client gets, or that it gets it. */
  private consider({ message, qos, retain }: HeldPublish): Awaitable<Verdict> {
    const { core, view: client } = this.link
    const { deliver } = core.hooks
    if (deliver === undefined) return message
    const view = ApplicationMessage.of(message, core.now(), qos, retain)
    const verdict = (message: Message, outcome: Outcome<ApplicationMessage>): Verdict =>
      core.decided(message, view, outcome, "onDeliver") ?? "refused by hook"
    const outcome = deliver(view, client)
    if (!isPromise(outcome)) return verdict(message, outcome)
    const kept = message.keep()
    return outcome.then((outcome) => verdict(kept, outcome))
  }

  private send(publish: HeldPublish, verdict: Verdict): Unsent | undefined {
    const { message, qos, retain, identifiers, packetId, dup } = publish
    if (typeof verdict === "string") return { reason: verdict, message }
    const reason = this.link.transmit(verdict, qos, retain, identifiers, packetId, dup)
    return reason && { reason, message: verdict }
  }

  private hold(publish: HeldPublish, verdict: Verdict | undefined): Exclude<Sending, undefined> {
    if (publish.qos === 0 && !this.hasRoom) return { reason: "backlog full", message: publish.message }
    const message = publish.message.keep()
    const { promise, resolve } = Promise.withResolvers<Unsent | undefined>()
    this.heldBytes += message.sizeBytes
    const kept = { ...publish, message }
    this.held.push({ publish: kept, verdict: verdict === publish.message ? message : verdict, resolve })
    return promise
  }

  private sendDecided(): void {
    const { core } = this.link
    const hadRoom = this.hasRoom
    while (this.link.state === "open" && this.held[0]?.verdict !== undefined) {
      const { publish, verdict, resolve } = this.held.shift()!
      this.heldBytes -= publish.message.sizeBytes
      const isLate = typeof verdict === "object" && !publish.dup && verdict.isExpired(core.now()) // [MQTT-3.3.2-5]
      resolve(this.send(publish, isLate ? "message expired" : verdict!))
    }
    if (!hadRoom && this.hasRoom && this.link.state === "open") this.link.session?.pump()
  }
}

/**
 * What a client may receive, where its auth decides that too.
 *
 * A decision may take its time. Messages that come meanwhile queue behind the one that waits, so that their order is
 * kept; the bytes held are bounded like a backlog, and QoS 0 beyond is dropped.
 */
import type { QoS, Reason } from "../codec/index.ts"
import type { Message, SendPublish } from "../session/index.ts"
import { isPromise } from "./decide.ts"
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
  readonly core: {
    readonly limits: { readonly maximumBacklogBytes: number }
    readonly logger: { error(message: string): void }
    dropped(reason: "not authorized" | "backlog full", clientId: string, message: Message): void
  }
  readonly session: { acknowledge(packetId: number, qos: QoS): Reason } | undefined
  readonly name: string
  readonly state: string
  readonly transmit: SendPublish
}

export class Receiving {
  private readonly held: (HeldPublish & { allowed: boolean | undefined })[] = []
  private heldBytes = 0
  /** Undefined: by now everything is allowed. */
  permissions: Permissions | undefined
  private readonly link: ReceivingLink

  constructor(permissions: Permissions, link: ReceivingLink) {
    this.permissions = permissions
    this.link = link
  }

  /** `allowed`: send it now. `held`: it is sent later, or dropped and settled. `denied`: it never is. */
  take(publish: HeldPublish): "allowed" | "held" | "denied" {
    const { message } = publish
    const permission = this.ask(message.topic.name)
    if (!(permission instanceof Promise)) {
      if (!permission) return this.deny(message)
      return this.held.length === 0 ? "allowed" : this.hold(publish, true)
    }
    const outcome = this.hold(publish, undefined)
    if (outcome === "held") {
      const entry = this.held.at(-1)!
      permission.then((allowed) => {
        entry.allowed = allowed
        this.sendDecided()
      })
    }
    return outcome
  }

  private ask(topicName: string): boolean | Promise<boolean> {
    const failed = (error: unknown) => {
      this.link.core.logger.error(`auth failed for ${this.link.name} on ${topicName}: ${error}`)
      return false
    }
    try {
      if (this.permissions === undefined) return true
      const permission = this.permissions.ask("receive", topicName)
      if (!isPromise(permission)) return isPermitted(permission)
      return Promise.resolve(permission).then(isPermitted, failed)
    } catch (error) {
      return failed(error)
    }
  }

  private deny(message: Message): "denied" {
    this.link.core.dropped("not authorized", this.link.name, message)
    return "denied"
  }

  private hold(publish: HeldPublish, allowed: boolean | undefined): "held" | "denied" {
    if (publish.qos === 0 && this.heldBytes >= this.link.core.limits.maximumBacklogBytes) {
      this.link.core.dropped("backlog full", this.link.name, publish.message)
      return "denied"
    }
    const message = publish.message.keep()
    this.heldBytes += message.sizeBytes
    this.held.push({ ...publish, message, allowed })
    return "held"
  }

  private sendDecided(): void {
    if (this.link.state !== "open") return // what it had in flight is its session's
    while (this.held.length > 0 && this.held[0]!.allowed !== undefined) {
      const { message, qos, retain, identifiers, packetId, dup, allowed } = this.held.shift()!
      this.heldBytes -= message.sizeBytes
      if (!allowed) this.deny(message)
      const isSent = allowed && this.link.transmit(message, qos, retain, identifiers, packetId, dup)
      if (!isSent && qos > 0) this.link.session?.acknowledge(packetId, qos)
    }
  }
}

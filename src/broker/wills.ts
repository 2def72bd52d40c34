/**
 * Wills that are due. One on which a hook decides late is kept meanwhile as that of a session of its own, so that a crash does not lose
 * it: the next run asks about it again.
 */
import { Message, type Session, type Will } from "../session/index.ts"
import { ApplicationMessage } from "./application-message.ts"
import { isPromise } from "./decide.ts"
import type { HookChains, Outcome } from "./hook-chains.ts"
import type { Hooks } from "./hooks.ts"
import { SessionRegistry } from "./registry.ts"

/** The broker, as far as this needs it. */
export interface WillsHost {
  readonly hooks: HookChains
  readonly sessions: SessionRegistry
  now(): number
  publish(message: Message, from: Session): void
  /** What a hook has made of a message; undefined: it goes no further. */
  decided(
    message: Message,
    view: ApplicationMessage,
    outcome: Outcome<ApplicationMessage>,
    hook: keyof Hooks,
  ): Message | undefined
  dropped(reason: "refused by hook" | "message expired", clientId: string, message: Message, whose: "sender"): void
  onBug(error: unknown): void
}

export class Wills {
  /** Those on which hooks are deciding; they resolve when they are published, or not. */
  readonly undecided = new Set<Promise<void>>()
  private readonly host: WillsHost

  constructor(host: WillsHost) {
    this.host = host
  }

  /** Publishes a will that is due, unless a hook says otherwise. */
  publish(will: Will, session: Session): void {
    const { host } = this
    const { topic, payload, qos, retain, properties } = will
    const message = Message.create(topic, payload, qos, retain, properties, host.now())
    const { will: ask } = host.hooks
    if (ask === undefined) {
      host.publish(message, session)
      return
    }
    const view = ApplicationMessage.of(message, host.now())
    const outcome = ask(view, SessionRegistry.authorOf(session.clientId))
    if (!isPromise(outcome)) {
      this.publishDecided(message, view, outcome, session)
      return
    }
    const parked = host.sessions.park(will, session)
    const publishing = Promise.resolve(outcome)
      .then((outcome) => {
        this.undecided.delete(publishing)
        this.publishDecided(message, view, outcome, session)
        parked() // at once: a crash finds either the one or the other
      })
      .catch((error) => host.onBug(error))
    this.undecided.add(publishing)
  }

  private publishDecided(
    message: Message,
    view: ApplicationMessage,
    outcome: Outcome<ApplicationMessage>,
    session: Session,
  ): void {
    const { host } = this
    const clientId = SessionRegistry.authorOf(session.clientId)
    const decided = host.decided(message, view, outcome, "onWill")
    if (decided === undefined) {
      host.dropped("refused by hook", clientId, message, "sender")
      return
    }
    const now = host.now()
    decided.age(now)
    if (decided.isExpired(now)) host.dropped("message expired", clientId, decided, "sender")
    else host.publish(decided, session)
  }
}

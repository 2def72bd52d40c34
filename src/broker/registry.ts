/**
 * The sessions there are, connected or not: who takes over from whom, when one ends, and when a will is due.
 *
 * A session is resumed, replaced or made in `attach`, let go in `detach`. Without a connection it waits for its expiry;
 * its will waits for its delay or the end of the session, whichever is first. [MQTT-3.1.2-10]
 */
import { NEVER_EXPIRES_SECONDS, Reason } from "../codec/index.ts"
import { type Outlet, Session, type SessionHost, type Will } from "../session/index.ts"
import type { Timer, Timers } from "./timers.ts"

/** What the registry needs done when a session ends or a will is due. */
export interface RegistryOwner extends SessionHost {
  publishWill(will: Will, session: Session): void
  /** Takes the session out of the router. */
  unsubscribeAll(session: Session): void
  sessionExpired(session: Session): void
}

/** Client ids that begin so stand for no client, but for a will on which a hook is deciding; its client's id follows. */
const PARKED = "$will/"
const PARKED_BYTES = PARKED.length + crypto.randomUUID().length + 1

export interface Attachment {
  readonly session: Session
  /** Whether the client finds what it left. [MQTT-3.2.2-2] [MQTT-3.2.2-3] */
  readonly isPresent: boolean
}

export class SessionRegistry {
  private readonly sessions = new Map<string, Session>()
  private readonly expiries = new Map<Session, Timer>()
  private readonly delayedWills = new Map<Session, Timer>()
  /** The journal entries with which stored sessions ended, as long as a crash would bring these back; oldest first. */
  private readonly removals = new Map<string, number>()
  private readonly owner: RegistryOwner
  private readonly timers: Timers

  constructor(owner: RegistryOwner, timers: Timers) {
    this.owner = owner
    this.timers = timers
  }

  get size(): number {
    return this.sessions.size
  }

  get(clientId: string): Session | undefined {
    return this.sessions.get(clientId)
  }

  all(): IterableIterator<Session> {
    return this.sessions.values()
  }

  /** The session for a client that connects: its own again, or a new one. The connection it had is ended. */
  attach(clientId: string, cleanStart: boolean, expirySeconds: number): Attachment {
    let session = this.sessions.get(clientId)
    if (session?.outlet !== undefined) {
      session.outlet.disconnect(Reason.SessionTakenOver) // [MQTT-3.1.4-3]; detaches it
      session = this.sessions.get(clientId) // it may have ended with its connection
    }
    if (session !== undefined && cleanStart) {
      this.end(session) // [MQTT-3.1.2-4]
      session = undefined
    }
    if (session === undefined) {
      const created = new Session(clientId, expirySeconds, this.owner)
      this.add(created)
      return { session: created, isPresent: false }
    }
    this.stopWaiting(session) // a will that was delayed is not published any more [MQTT-3.1.3-9]
    session.will = undefined
    session.expirySeconds = expirySeconds
    return { session, isPresent: true }
  }

  /** The connection of a session has ended; `isWillDue`: not by a DISCONNECT that deletes the will. */
  detach(session: Session, outlet: Outlet, isWillDue: boolean): void {
    if (session.outlet !== outlet) return
    session.suspend()
    session.disconnectedAt = this.owner.now()
    if (!isWillDue) session.will = undefined // [MQTT-3.14.4-3]
    if (session.expirySeconds === 0) {
      this.end(session)
      return
    }
    this.await(session, session.disconnectedAt)
    this.record(session)
  }

  /** Makes a session known. */
  add(session: Session): void {
    this.sessions.set(session.clientId, session)
  }

  /**
   * A session of the last run is complete. It has had no connection since `disconnectedAt`, or, undefined, since the last run
   * ended: nobody knows when that was, so its time runs from now on, once and for all. What is overdue happens now.
   */
  restore(session: Session, disconnectedAt: number | undefined): void {
    const { expirySeconds } = session
    const now = this.owner.now()
    session.disconnectedAt = disconnectedAt ?? now
    if (expirySeconds !== NEVER_EXPIRES_SECONDS && session.disconnectedAt + expirySeconds * 1000 <= now) {
      this.expire(session)
      return
    }
    if (disconnectedAt === undefined) this.record(session)
    this.await(session, session.disconnectedAt)
  }

  /** Ends a session: whatever it held is gone, and its will is due. [MQTT-3.1.4-4] */
  end(session: Session): void {
    this.stopWaiting(session)
    this.sessions.delete(session.clientId)
    this.owner.unsubscribeAll(session)
    session.end()
    if (this.owner.changes.isActive && !session.isVolatile) {
      this.owner.changes.append({ kind: "sessionRemoved", clientId: session.clientId })
      this.noteRemoval(session.clientId)
    }
    this.publishWill(session)
  }

  /** The journal entry that must be durable before a client may be told that the id's last session is gone. */
  removedAt(clientId: string): number {
    return this.removals.get(clientId) ?? 0
  }

  /** Keeps a will over a crash while somebody decides on it, by the name of a session that is over; the returned function ends that. */
  park(will: Will, session: Session): () => void {
    const { changes } = this.owner
    if (!changes.isActive || session.isVolatile) return () => {}
    const clientId = `${PARKED}${crypto.randomUUID()}/${SessionRegistry.authorOf(session.clientId)}`
    const parked = { ...will, delaySeconds: 0 }
    changes.append({
      kind: "session",
      session: { clientId, username: undefined, expirySeconds: 0, disconnectedAt: this.owner.now(), will: parked },
    })
    return () => changes.append({ kind: "sessionRemoved", clientId })
  }

  /** Whose will a session has: its own client's, unless it is a will that a crash has left undecided. */
  static authorOf(clientId: string): string {
    return clientId.startsWith(PARKED) ? clientId.slice(PARKED_BYTES) : clientId
  }

  /** A session is that user's from now on. */
  give(session: Session, username: string | undefined): void {
    session.username = username ?? null
    this.record(session)
  }

  /** Records what a surviving session looks like now. */
  record(session: Session): void {
    if (!this.owner.changes.isActive || session.isVolatile) return
    const { clientId, username, expirySeconds, will, disconnectedAt } = session
    this.owner.changes.append({ kind: "session", session: { clientId, username, expirySeconds, disconnectedAt, will } })
  }

  /** A session without a connection waits for its expiry, and its will for its delay. */
  private await(session: Session, since: number): void {
    const { expirySeconds, will } = session
    if (expirySeconds !== NEVER_EXPIRES_SECONDS) {
      const expiry = this.timers.schedule(since + expirySeconds * 1000, () => this.expire(session))
      this.expiries.set(session, expiry)
    }
    if (will === undefined) return
    const dueAt = since + will.delaySeconds * 1000
    if (dueAt <= this.owner.now()) this.publishWill(session)
    else {
      this.delayedWills.set(
        session,
        this.timers.schedule(dueAt, () => this.publishWill(session)),
      )
    }
  }

  private noteRemoval(clientId: string): void {
    const { appended, durable } = this.owner.changes
    for (const [id, entry] of this.removals) {
      if (entry > durable) break
      this.removals.delete(id)
    }
    this.removals.delete(clientId)
    this.removals.set(clientId, appended)
  }

  private expire(session: Session): void {
    this.end(session)
    if (!session.clientId.startsWith(PARKED)) this.owner.sessionExpired(session)
  }

  private publishWill(session: Session): void {
    const { will } = session
    if (will === undefined) return
    session.will = undefined // published once [MQTT-3.1.2-10]
    this.delayedWills.delete(session)
    this.owner.publishWill(will, session)
    if (this.sessions.get(session.clientId) === session) this.record(session)
  }

  private stopWaiting(session: Session): void {
    this.expiries.get(session)?.cancel()
    this.expiries.delete(session)
    this.delayedWills.get(session)?.cancel()
    this.delayedWills.delete(session)
  }
}

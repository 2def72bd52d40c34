/**
 * What a session takes and sends when nothing is queued: messages that wait for its share groups, then retained ones that it has still
 * to be sent. These are looked for as they are sent, so that nothing is kept of them, and in slices: many sessions may look through all
 * that is retained, and others are served in between.
 */
import { deliveryQoS } from "../codec/index.ts"
import type { Subscription } from "../router/index.ts"
import { Delivery } from "./delivery.ts"
import type { SessionHost } from "./host.ts"
import type { Taker } from "./members.ts"
import { Memberships } from "./memberships.ts"
import type { Message } from "./message.ts"

/** To look at so many places where nothing is retained is as much work as to send a message, about. */
const PLACES_PER_PIECE = 16

/** What is still to be looked at for a subscription: retained messages, and places that have none. */
interface Replay<S> {
  readonly subscription: Subscription<S>
  readonly places: Iterator<Message | undefined>
}

export class Supplies<S extends Taker> {
  /** Whether the session has done enough for this turn of the event loop. */
  isResting = false
  readonly groups: Memberships<S>
  /** By the text of the filter, in their order, and the one that is at hand; made for the first. */
  private replays: Map<string, Replay<S>> | undefined = undefined
  private order: Iterator<Replay<S>> | undefined = undefined
  private current: Replay<S> | undefined = undefined
  private readonly host: SessionHost
  private readonly session: S
  private emptyPlaces = 0

  constructor(host: SessionHost, session: S) {
    this.host = host
    this.session = session
    this.groups = new Memberships(session)
  }

  /** Whether nothing comes of looking here. */
  get areOut(): boolean {
    return this.groups.areQuiet && !this.isReplaying
  }

  /** Whether nothing is lost with this. */
  get areUnused(): boolean {
    return this.groups.areNone && !this.isReplaying && !this.isResting
  }

  private get isReplaying(): boolean {
    return this.replays !== undefined && this.replays.size > 0
  }

  beginReplay(subscription: Subscription<S>, places: Iterator<Message | undefined>): void {
    const { text } = subscription.filter
    this.endReplay(text) // what is left of the last one comes with this one
    this.replays ??= new Map()
    this.replays.set(text, { subscription, places })
  }

  endReplay(filterText: string): void {
    if (this.current?.subscription.filter.text === filterText) this.current = undefined
    this.replays?.delete(filterText)
  }

  next(): Delivery | undefined {
    return this.groups.next() ?? this.nextRetained()
  }

  /** Whether the session has to wait for its next piece of work: others have theirs first. It goes on by itself. */
  mustRest(): boolean {
    const pause = this.isResting ? undefined : this.host.pace.next()
    if (pause !== undefined) {
      this.isResting = true
      const goOn = () => {
        this.isResting = false
        this.session.pump()
      }
      pause.then(goOn).catch((error) => this.host.onBug(error))
    }
    return this.isResting
  }

  /** The next retained message, as it is now; its RETAIN flag is set. [MQTT-3.3.1-8] Undefined: there is none, or not in this slice. */
  private nextRetained(): Delivery | undefined {
    for (let replay = this.replay(); replay !== undefined; replay = this.replay()) {
      const { places, subscription } = replay
      const { value: message, done } = places.next()
      if (done) {
        this.endReplay(subscription.filter.text)
        continue
      }
      if (message !== undefined && !message.isExpired(this.host.now())) {
        this.mustRest()
        return new Delivery(
          message,
          deliveryQoS(message.qos, subscription.qos),
          true,
          subscription.identifiers,
          undefined,
        )
      }
      if (++this.emptyPlaces % PLACES_PER_PIECE === 0 && this.mustRest()) return undefined
    }
    return undefined
  }
  /** The first that is not at its end. */
  private replay(): Replay<S> | undefined {
    if (this.current !== undefined || this.replays === undefined) return this.current
    this.order ??= this.replays.values() // those that are begun meanwhile come last
    this.current = this.order.next().value
    if (this.current === undefined) this.order = undefined
    return this.current
  }
}

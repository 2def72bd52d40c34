import { deliveryQoS } from "../codec/index.ts"
import type { Subscription } from "../router/index.ts"
import { Delivery } from "./delivery.ts"
import type { SessionHost } from "./host.ts"

/** Retained messages still to be sent for a subscription, the next one last. */
interface Replay<S> {
  readonly subscription: Subscription<S>
  readonly topicNames: string[]
}

/** The retained messages that a session has still to be sent: of each subscription the topics, not the messages. */
export class Replays<S> {
  private readonly replays: Replay<S>[] = []
  private readonly host: SessionHost

  constructor(host: SessionHost) {
    this.host = host
  }

  get length(): number {
    return this.replays.length
  }

  begin(subscription: Subscription<S>, topicNames: string[]): void {
    this.end(subscription.filter.text) // what is left of the last one comes with this one
    this.replays.push({ subscription, topicNames: topicNames.reverse() })
  }

  end(filterText: string): void {
    const index = this.replays.findIndex(({ subscription }) => subscription.filter.text === filterText)
    if (index >= 0) this.replays.splice(index, 1)
  }

  /** The next retained message, as it is now; its RETAIN flag is set. [MQTT-3.3.1-8] */
  next(): Delivery | undefined {
    for (let replay = this.replays[0]; replay !== undefined; replay = this.replays[0]) {
      for (let name = replay.topicNames.pop(); name !== undefined; name = replay.topicNames.pop()) {
        const message = this.host.retainedMessage(name)
        if (message === undefined) continue
        const { qos, identifiers } = replay.subscription
        return new Delivery(message, deliveryQoS(message.qos, qos), true, identifiers, undefined)
      }
      this.replays.shift()
    }
    return undefined
  }
}

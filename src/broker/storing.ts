/**
 * Between the broker's own objects and what a store keeps of them. Messages get their ids here: the same object, however
 * many wait for it, is the same message to the store.
 */
import type { Properties } from "../codec/index.ts"
import { publishProperties } from "../codec/index.ts"
import type { Topic } from "../router/index.ts"
import { type Change, Delivery, encodeProperties, Message, type ReturnAddress, type Will } from "../session/index.ts"
import type { StoredChange, StoredDelivery, StoredMessage, StoredWill } from "./stored.ts"

export class Storing {
  lastMessageId = 0
  private readonly topicNamed: (name: string) => Topic

  constructor(topicNamed: (name: string) => Topic) {
    this.topicNamed = topicNamed
  }

  /** A batch of changes as plain data; a message that several refer to is one object. */
  toStored(changes: readonly Change[]): StoredChange[] {
    const messages = new Map<Message, StoredMessage>()
    return changes.map((change) => this.changeToStored(change, messages))
  }

  message(stored: StoredMessage): Message {
    const topic = this.topicNamed(stored.topic)
    const { payload, qos, retain, properties, expirySeconds, expiresAt } = stored
    const message = Message.restore(topic, payload, qos, retain, properties, expirySeconds, expiresAt)
    message.storedId = stored.id
    return message
  }

  /** `group`: the queue of the share group that the delivery came through. */
  delivery(stored: StoredDelivery, group: ReturnAddress | undefined): Delivery {
    const message = stored.message === undefined ? undefined : this.message(stored.message)
    const delivery = new Delivery(message, stored.qos, stored.retain, stored.identifiers, group)
    delivery.sequence = stored.sequence
    delivery.packetId = stored.packetId ?? 0
    return delivery
  }

  will(stored: StoredWill): Will {
    const topic = this.topicNamed(stored.topic)
    const properties: Properties = publishProperties(Buffer.from(stored.properties), 0, stored.properties.length)
    if (stored.expirySeconds !== undefined) properties.messageExpirySeconds = stored.expirySeconds
    const { payload, qos, retain, delaySeconds } = stored
    return { topic, payload, qos, retain, properties, delaySeconds }
  }

  private changeToStored(change: Change, messages: Map<Message, StoredMessage>): StoredChange {
    switch (change.kind) {
      case "session": {
        const { will, ...session } = change.session
        return { kind: "session", session: { ...session, will: will && willToStored(will) } }
      }
      case "subscribed": {
        const { topicFilter, options, identifier } = change.subscription
        return { kind: "subscribed", subscription: { clientId: change.clientId, topicFilter, ...options, identifier } }
      }
      case "queued": {
        // Every field by its name here and in the store's protocol: a spread costs more than all the rest of it.
        const { message, sequence, qos, retain, identifiers, group } = change.delivery
        const bytes = message.sizeBytes
        const { owner } = change
        const stored = this.messageToStored(message, messages)
        const delivery = {
          owner,
          sequence,
          message: stored,
          qos,
          retain,
          identifiers,
          group,
          packetId: undefined,
          bytes,
        }
        return { kind: "queued", delivery }
      }
      case "retained":
        return { kind: "retained", message: this.messageToStored(change.message, messages) }
      default:
        return change
    }
  }

  private messageToStored(message: Message, messages: Map<Message, StoredMessage>): StoredMessage {
    let stored = messages.get(message)
    if (stored === undefined) {
      if (message.storedId === 0) message.storedId = ++this.lastMessageId
      const { topic, qos, retain, expirySeconds, expiresAt } = message
      stored = {
        id: message.storedId,
        topic: topic.name,
        payload: message.payload.subarray(message.payloadStart, message.payloadEnd),
        qos,
        retain,
        properties: message.properties.subarray(message.propertiesStart, message.propertiesEnd),
        expirySeconds: expirySeconds < 0 ? undefined : expirySeconds,
        expiresAt: expirySeconds < 0 ? undefined : Math.round(expiresAt),
      }
      messages.set(message, stored)
    }
    return stored
  }
}

function willToStored({ topic, payload, qos, retain, properties, delaySeconds }: Will): StoredWill {
  const { messageExpirySeconds: expirySeconds, ...travelling } = properties
  const encoded = encodeProperties(travelling)
  return { topic: topic.name, payload, qos, retain, properties: encoded, expirySeconds, delaySeconds }
}

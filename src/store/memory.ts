/**
 * A store in memory: for tests, and as the shortest implementation of what a store must do. What it holds outlives the
 * broker that uses it, not the process.
 */
import type {
  Store,
  Stored,
  StoredChange,
  StoredDelivery,
  StoredMessage,
  StoredQueue,
  StoredSession,
  StoredSubscription,
} from "../broker/ports.ts"

class MemoryStore implements Store {
  private readonly sessions = new Map<string, StoredSession>()
  private readonly subscriptions = new Map<string, Map<string, StoredSubscription>>()
  private readonly received = new Map<string, Set<number>>()
  private readonly deliveries = new Map<string, Map<number, StoredDelivery>>()
  private readonly retained = new Map<string, StoredMessage>()
  private readonly totals = new Map<string, number>()
  private lastMessageId = 0

  async *load(): AsyncGenerator<Stored> {
    for (const session of this.sessions.values()) yield { kind: "session", session }
    for (const each of this.subscriptions.values()) {
      for (const subscription of each.values()) yield { kind: "subscribed", subscription }
    }
    for (const [clientId, ids] of this.received)
      for (const packetId of ids) yield { kind: "received", clientId, packetId }
    for (const each of this.deliveries.values()) {
      for (const delivery of each.values()) if (delivery.packetId !== undefined) yield { kind: "inflight", delivery }
    }
    for (const [owner, each] of this.deliveries) yield { kind: "queue", queue: queueOf(owner, [...each.values()]) }
    for (const [name, value] of this.totals) yield { kind: "total", name, value }
    yield { kind: "lastMessageId", id: this.lastMessageId }
    for (const message of this.retained.values()) yield { kind: "retained", message }
  }

  async commit(changes: readonly StoredChange[]): Promise<void> {
    for (const change of changes) this.apply(change)
  }

  async page(owner: string, after: number, limit: number): Promise<StoredDelivery[]> {
    return [...(this.deliveries.get(owner)?.values() ?? [])]
      .filter(({ sequence, packetId }) => sequence > after && packetId === undefined)
      .sort((a, b) => a.sequence - b.sequence)
      .slice(0, limit)
  }

  async close(): Promise<void> {}

  private apply(change: StoredChange): void {
    switch (change.kind) {
      case "session":
        this.sessions.set(change.session.clientId, change.session)
        break
      case "sessionRemoved":
        for (const table of [this.sessions, this.subscriptions, this.received, this.deliveries])
          table.delete(change.clientId)
        break
      case "subscribed":
        entry(this.subscriptions, change.subscription.clientId).set(
          change.subscription.topicFilter,
          change.subscription,
        )
        break
      case "unsubscribed":
        this.subscriptions.get(change.clientId)?.delete(change.topicFilter)
        break
      case "queued":
        this.lastMessageId = Math.max(this.lastMessageId, change.delivery.message?.id ?? 0)
        entry(this.deliveries, change.delivery.owner).set(change.delivery.sequence, change.delivery)
        break
      case "sent":
        this.amend(change.owner, change.sequence, { packetId: change.packetId })
        break
      case "released":
        this.amend(change.owner, change.sequence, { message: undefined })
        break
      case "settled":
        this.deliveries.get(change.owner)?.delete(change.sequence)
        break
      case "received":
        if (!this.received.has(change.clientId)) this.received.set(change.clientId, new Set())
        this.received.get(change.clientId)!.add(change.packetId)
        break
      case "completed":
        this.received.get(change.clientId)?.delete(change.packetId)
        break
      case "retained":
        this.lastMessageId = Math.max(this.lastMessageId, change.message.id)
        this.retained.set(change.message.topic, change.message)
        break
      case "unretained":
        this.retained.delete(change.topicName)
        break
      case "total":
        this.totals.set(change.name, change.value)
        break
    }
  }

  private amend(owner: string, sequence: number, part: Partial<StoredDelivery>): void {
    const each = this.deliveries.get(owner)
    const delivery = each?.get(sequence)
    if (delivery !== undefined) each!.set(sequence, { ...delivery, ...part })
  }
}

function entry<K, V>(tables: Map<string, Map<K, V>>, owner: string): Map<K, V> {
  let table = tables.get(owner)
  if (table === undefined) {
    table = new Map()
    tables.set(owner, table)
  }
  return table
}

function queueOf(owner: string, deliveries: StoredDelivery[]): StoredQueue {
  const waiting = deliveries.filter(({ packetId }) => packetId === undefined)
  return {
    owner,
    count: waiting.length,
    bytes: waiting.reduce((sum, { bytes }) => sum + bytes, 0),
    lastSequence: deliveries.reduce((last, { sequence }) => Math.max(last, sequence), 0),
  }
}

/**
 * A store in memory.
 *
 * @example
 * const store = memory()
 * await using broker = new Broker({ store })
 */
export function memory(): Store {
  return new MemoryStore()
}

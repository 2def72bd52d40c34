/**
 * The SQLite store itself, synchronous: opened, migrated, written, read. It runs in the store's worker, so that a sync of
 * the disk stops nobody; tests and `manju check` use it directly.
 *
 * WAL, and `synchronous=FULL` for durability against power cuts: every commit is one sync of the log.
 */
import type { Database } from "bun:sqlite"
import { eq } from "drizzle-orm"
import { type BunSQLiteDatabase, drizzle } from "drizzle-orm/bun-sqlite"
import type {
  Stored,
  StoredChange,
  StoredDelivery,
  StoredMessage,
  StoredSession,
  StoredWill,
} from "../../broker/ports.ts"
import { type Durability, naming, type OpenFile, openFile } from "./file.ts"
import {
  type deliveries,
  messages,
  receivedIds,
  retained,
  sessions,
  subscriptions,
  totals,
  type WillColumn,
} from "./schema.ts"
import { Settlements } from "./settlements.ts"
import { type PageRow, prepareStatements, type Statements } from "./statements.ts"

export class StoreDatabase {
  private readonly file: OpenFile
  private readonly sqlite: Database
  private readonly db: BunSQLiteDatabase
  private readonly statements: Statements
  private readonly settlements: Settlements
  /** Messages that are known to be there, within one commit. */
  private readonly written = new Set<number>()

  /** Opens or makes the database. Throws an `Error` that names the file and says what is wrong with it. */
  constructor(path: string, durability: Durability) {
    this.file = openFile(path, durability)
    this.sqlite = this.file.sqlite
    this.db = drizzle(this.sqlite)
    try {
      this.statements = naming(path, () => prepareStatements(this.db, this.sqlite))
    } catch (error) {
      this.file.close()
      throw error
    }
    this.settlements = new Settlements(this.statements)
  }

  /** Applies all changes or none. */
  commit(changes: readonly StoredChange[]): void {
    this.sqlite.run("BEGIN IMMEDIATE")
    try {
      this.written.clear()
      this.settlements.begin()
      for (const change of changes) this.apply(change)
      this.settlements.end()
      this.sqlite.run("COMMIT")
    } catch (error) {
      if (this.sqlite.inTransaction) this.sqlite.run("ROLLBACK")
      throw error
    }
  }

  /** Everything but the deliveries that wait. */
  *load(): Generator<Stored> {
    const { db, statements } = this
    for (const row of db.select().from(sessions).all()) yield { kind: "session", session: sessionOf(row) }
    for (const { identifier, qos, retainHandling, ...rest } of db.select().from(subscriptions).all()) {
      const options = { qos: qos as 0 | 1 | 2, retainHandling: retainHandling as 0 | 1 | 2 }
      yield { kind: "subscribed", subscription: { ...rest, ...options, identifier: identifier ?? undefined } }
    }
    for (const row of db.select().from(receivedIds).all()) yield { kind: "received", ...row }
    for (const row of statements.inflight.all()) yield { kind: "inflight", delivery: deliveryOf(row) }
    for (const { owner, lastSequence, count, bytes } of statements.queues.all()) {
      yield { kind: "queue", queue: { owner, count, bytes, lastSequence: lastSequence ?? 0 } }
    }
    for (const row of db.select().from(totals).all()) yield { kind: "total", ...row }
    yield { kind: "lastMessageId", id: statements.lastMessageId.get()?.id ?? 0 }
    yield* this.loadRetained()
  }

  /** The deliveries of `owner` that wait, behind the sequence `after`, in order. */
  page(owner: string, after: number, limit: number): StoredDelivery[] {
    return this.statements.page.rows({ owner, after, limit }).map((row) => waitingOf(owner, row))
  }

  close(): void {
    this.file.close()
  }

  private apply(change: StoredChange): void {
    const { statements } = this
    switch (change.kind) {
      case "session":
        this.putSession(change.session)
        break
      case "sessionRemoved":
        this.removeSession(change.clientId)
        break
      case "subscribed":
        statements.putSubscription.run({
          ...change.subscription,
          identifier: change.subscription.identifier ?? null,
        })
        break
      case "unsubscribed":
        statements.removeSubscription.run({ clientId: change.clientId, topicFilter: change.topicFilter })
        break
      case "queued":
        this.putDelivery(change.delivery)
        break
      case "sent":
        statements.setPacketId.run({
          owner: change.owner,
          sequence: change.sequence,
          packetId: change.packetId,
        })
        break
      case "released":
        this.release(change.owner, change.sequence)
        break
      case "settled":
        this.settlements.settle(change.owner, change.sequence)
        break
      case "received":
        statements.putReceived.run({ clientId: change.clientId, packetId: change.packetId })
        break
      case "completed":
        statements.removeReceived.run({ clientId: change.clientId, packetId: change.packetId })
        break
      case "retained":
        this.putRetained(change.message)
        break
      case "unretained":
        this.removeRetained(change.topicName)
        break
      case "total":
        statements.putTotal.run({ name: change.name, value: change.value })
        break
    }
  }

  private putSession({ clientId, username, expirySeconds, disconnectedAt, will }: StoredSession): void {
    this.statements.putSession.run({
      clientId,
      username: username ?? null,
      isAnonymous: username === null,
      expirySeconds,
      disconnectedAt: disconnectedAt ?? null,
      will: will === undefined ? null : JSON.stringify(columnOf(will)),
    })
  }

  private removeSession(clientId: string): void {
    const { statements } = this
    statements.removeSession.run({ clientId })
    statements.removeSubscriptions.run({ clientId })
    statements.removeAllReceived.run({ clientId })
    for (const { id } of statements.removeDeliveries.all({ owner: clientId })) this.settlements.abandon(id)
  }

  private putDelivery(delivery: StoredDelivery): void {
    const { owner, sequence, qos, retain, identifiers, group, packetId, bytes } = delivery
    const message = delivery.message!
    this.settlements.flush(owner)
    this.putMessage(message)
    this.statements.putDelivery.run({
      owner,
      sequence,
      messageId: message.id,
      qos,
      retain,
      identifiers: identifiers === undefined ? null : JSON.stringify(identifiers),
      group: group ?? null,
      packetId: packetId ?? null,
      bytes,
    })
  }

  private putMessage(message: StoredMessage): void {
    const { id, topic, qos, retain, payload, properties, expirySeconds = null, expiresAt = null } = message
    if (this.written.has(id)) return
    this.written.add(id)
    this.statements.putMessage.run({ id, topic, qos, retain, payload, properties, expirySeconds, expiresAt })
  }

  /** The receiver has the message: only the packet id is kept. */
  private release(owner: string, sequence: number): void {
    this.settlements.abandon(this.statements.messageOf.rows({ owner, sequence })[0]?.[0])
    this.statements.release.run({ owner, sequence })
  }

  private putRetained(message: StoredMessage): void {
    const { topic, id: messageId } = message
    const previous = this.statements.retainedMessageOf.get({ topic })?.id
    this.putMessage(message)
    this.statements.putRetained.run({ topic, messageId })
    this.settlements.abandon(previous)
  }

  private removeRetained(topic: string): void {
    const previous = this.statements.retainedMessageOf.get({ topic })?.id
    if (previous === undefined) return
    this.statements.removeRetained.run({ topic })
    this.settlements.abandon(previous)
  }

  private *loadRetained(): Generator<Stored> {
    const rows = this.db
      .select({ message: messages })
      .from(retained)
      .innerJoin(messages, eq(messages.id, retained.messageId))
      .all()
    for (const { message } of rows) yield { kind: "retained", message: messageOf(message) }
  }
}

function sessionOf({
  isAnonymous,
  username,
  disconnectedAt,
  will,
  ...rest
}: typeof sessions.$inferSelect): StoredSession {
  return {
    ...rest,
    username: isAnonymous ? null : (username ?? undefined),
    disconnectedAt: disconnectedAt ?? undefined,
    will: willOf(will),
  }
}

function deliveryOf({
  delivery,
  message,
}: {
  delivery: typeof deliveries.$inferSelect
  message: typeof messages.$inferSelect | null
}): StoredDelivery {
  const { owner, sequence, qos, retain, identifiers, group, packetId, bytes } = delivery
  return {
    owner,
    sequence,
    message: message === null ? undefined : messageOf(message),
    qos: qos as StoredMessage["qos"],
    retain,
    identifiers: identifiers ?? undefined,
    group: group ?? undefined,
    packetId: packetId ?? undefined,
    bytes,
  }
}

function waitingOf(owner: string, row: PageRow): StoredDelivery {
  const [sequence, qos, retain, identifiers, group, bytes, id, topic, messageQos, messageRetain, ...rest] = row
  const [payload, properties, expirySeconds, expiresAt] = rest
  return {
    owner,
    sequence,
    message: {
      id,
      topic,
      payload,
      qos: messageQos as StoredMessage["qos"],
      retain: messageRetain !== 0,
      properties,
      expirySeconds: expirySeconds ?? undefined,
      expiresAt: expiresAt ?? undefined,
    },
    qos: qos as StoredMessage["qos"],
    retain: retain !== 0,
    identifiers: identifiers === null ? undefined : (JSON.parse(identifiers) ?? undefined),
    group: group ?? undefined,
    packetId: undefined,
    bytes,
  }
}

function messageOf({ expirySeconds, expiresAt, qos, ...rest }: typeof messages.$inferSelect): StoredMessage {
  return {
    ...rest,
    qos: qos as StoredMessage["qos"],
    expirySeconds: expirySeconds ?? undefined,
    expiresAt: expiresAt ?? undefined,
  }
}

function columnOf(will: StoredWill): WillColumn {
  return { ...will, payload: will.payload.toBase64(), properties: will.properties.toBase64() }
}

function willOf(column: WillColumn | null): StoredWill | undefined {
  if (column === null) return undefined
  return {
    ...column,
    payload: Buffer.from(column.payload, "base64"),
    properties: Buffer.from(column.properties, "base64"),
  }
}

/** Every statement of the store, prepared once. Placeholders bear the names of the fields of `broker/stored.ts`. */
import type { Database } from "bun:sqlite"
import { and, asc, between, eq, gt, isNotNull, isNull, max, sql } from "drizzle-orm"
import type { BunSQLiteDatabase } from "drizzle-orm/bun-sqlite"
import { Direct } from "./direct.ts"
import { deliveries, messages, receivedIds, retained, sessions, subscriptions, totals } from "./schema.ts"

const p = sql.placeholder

type DeliveryName = { owner: string; sequence: number }
type ReceivedName = { clientId: string; packetId: number }
type MessageValues = {
  id: number
  topic: string
  qos: number
  retain: boolean
  payload: Uint8Array
  properties: Uint8Array
  expirySeconds: number | null
  expiresAt: number | null
}
type DeliveryValues = DeliveryName & {
  messageId: number
  qos: number
  retain: boolean
  /** JSON already. */
  identifiers: string | null
  group: string | null
  packetId: number | null
  bytes: number
}

export function prepareStatements(db: BunSQLiteDatabase, sqlite: Database) {
  const theDelivery = and(eq(deliveries.owner, p("owner")), eq(deliveries.sequence, p("sequence")))
  const isOrphan = sql`NOT EXISTS (SELECT 1 FROM ${deliveries} WHERE ${deliveries.messageId} = ${messages.id})
    AND NOT EXISTS (SELECT 1 FROM ${retained} WHERE ${retained.messageId} = ${messages.id})`
  return {
    putSession: db
      .insert(sessions)
      .values({
        clientId: p("clientId"),
        username: p("username"),
        isAnonymous: p("isAnonymous"),
        expirySeconds: p("expirySeconds"),
        disconnectedAt: p("disconnectedAt"),
        will: sql`${p("will")}`, // JSON already
      })
      .onConflictDoUpdate({
        target: sessions.clientId,
        set: {
          username: sql`excluded.username`,
          isAnonymous: sql`excluded.is_anonymous`,
          expirySeconds: sql`excluded.expiry_seconds`,
          disconnectedAt: sql`excluded.disconnected_at`,
          will: sql`excluded.will`,
        },
      })
      .prepare(),
    removeSession: db
      .delete(sessions)
      .where(eq(sessions.clientId, p("clientId")))
      .prepare(),
    putSubscription: db
      .insert(subscriptions)
      .values({
        clientId: p("clientId"),
        topicFilter: p("topicFilter"),
        qos: p("qos"),
        noLocal: p("noLocal"),
        retainAsPublished: p("retainAsPublished"),
        retainHandling: p("retainHandling"),
        identifier: p("identifier"),
      })
      .onConflictDoUpdate({
        target: [subscriptions.clientId, subscriptions.topicFilter],
        set: {
          qos: sql`excluded.qos`,
          noLocal: sql`excluded.no_local`,
          retainAsPublished: sql`excluded.retain_as_published`,
          retainHandling: sql`excluded.retain_handling`,
          identifier: sql`excluded.identifier`,
        },
      })
      .prepare(),
    removeSubscription: db
      .delete(subscriptions)
      .where(and(eq(subscriptions.clientId, p("clientId")), eq(subscriptions.topicFilter, p("topicFilter"))))
      .prepare(),
    removeSubscriptions: db
      .delete(subscriptions)
      .where(eq(subscriptions.clientId, p("clientId")))
      .prepare(),
    putMessage: new Direct<MessageValues>(
      sqlite,
      db
        .insert(messages)
        .values({
          id: p("id"),
          topic: p("topic"),
          qos: p("qos"),
          retain: p("retain"),
          payload: p("payload"),
          properties: p("properties"),
          expirySeconds: p("expirySeconds"),
          expiresAt: p("expiresAt"),
        })
        .onConflictDoNothing()
        .prepare(),
    ),
    /** Of the messages `first` to `last`, those that nothing refers to. */
    removeOrphans: new Direct<{ first: number; last: number }>(
      sqlite,
      db
        .delete(messages)
        .where(and(between(messages.id, p("first"), p("last")), isOrphan))
        .prepare(),
    ),
    putDelivery: new Direct<DeliveryValues>(
      sqlite,
      db
        .insert(deliveries)
        .values({
          owner: p("owner"),
          sequence: p("sequence"),
          messageId: p("messageId"),
          qos: p("qos"),
          retain: p("retain"),
          identifiers: sql`${p("identifiers")}`,
          group: p("group"),
          packetId: p("packetId"),
          bytes: p("bytes"),
        })
        .onConflictDoUpdate({
          target: [deliveries.owner, deliveries.sequence], // the same commit once more
          set: { messageId: sql`excluded.message_id`, packetId: sql`null` },
        })
        .prepare(),
    ),
    setPacketId: new Direct<DeliveryName & { packetId: number }>(
      sqlite,
      db
        .update(deliveries)
        .set({ packetId: sql`${p("packetId")}` })
        .where(theDelivery)
        .prepare(),
    ),
    messageOf: new Direct<DeliveryName, MessageIdRow>(
      sqlite,
      db.select({ id: deliveries.messageId }).from(deliveries).where(theDelivery).prepare(),
    ),
    release: new Direct<DeliveryName>(
      sqlite,
      db.update(deliveries).set({ messageId: sql`null` }).where(theDelivery).prepare(),
    ),
    /** The deliveries `first` to `last` of an owner; gives the ids of their messages. */
    settle: new Direct<{ owner: string; first: number; last: number }, MessageIdRow>(
      sqlite,
      db
        .delete(deliveries)
        .where(and(eq(deliveries.owner, p("owner")), between(deliveries.sequence, p("first"), p("last"))))
        .returning({ id: deliveries.messageId })
        .prepare(),
    ),
    removeDeliveries: db
      .delete(deliveries)
      .where(eq(deliveries.owner, p("owner")))
      .returning({ id: deliveries.messageId })
      .prepare(),
    putReceived: new Direct<ReceivedName>(
      sqlite,
      db
        .insert(receivedIds)
        .values({ clientId: p("clientId"), packetId: p("packetId") })
        .onConflictDoNothing()
        .prepare(),
    ),
    removeReceived: new Direct<ReceivedName>(
      sqlite,
      db
        .delete(receivedIds)
        .where(and(eq(receivedIds.clientId, p("clientId")), eq(receivedIds.packetId, p("packetId"))))
        .prepare(),
    ),
    removeAllReceived: db
      .delete(receivedIds)
      .where(eq(receivedIds.clientId, p("clientId")))
      .prepare(),
    retainedMessageOf: db
      .select({ id: retained.messageId })
      .from(retained)
      .where(eq(retained.topic, p("topic")))
      .prepare(),
    putRetained: db
      .insert(retained)
      .values({ topic: p("topic"), messageId: p("messageId") })
      .onConflictDoUpdate({ target: retained.topic, set: { messageId: sql`excluded.message_id` } })
      .prepare(),
    removeRetained: db
      .delete(retained)
      .where(eq(retained.topic, p("topic")))
      .prepare(),
    putTotal: db
      .insert(totals)
      .values({ name: p("name"), value: p("value") })
      .onConflictDoUpdate({ target: totals.name, set: { value: sql`excluded.value` } })
      .prepare(),
    /** What waits behind the sequence `after`, in order. */
    page: new Direct<{ owner: string; after: number; limit: number }, PageRow>(
      sqlite,
      db
        .select({
          sequence: deliveries.sequence,
          qos: deliveries.qos,
          retain: deliveries.retain,
          identifiers: deliveries.identifiers,
          group: deliveries.group,
          bytes: deliveries.bytes,
          messageId: messages.id,
          topic: messages.topic,
          messageQos: messages.qos,
          messageRetain: messages.retain,
          payload: messages.payload,
          properties: messages.properties,
          expirySeconds: messages.expirySeconds,
          expiresAt: messages.expiresAt,
        })
        .from(deliveries)
        .innerJoin(messages, eq(messages.id, deliveries.messageId))
        .where(and(eq(deliveries.owner, p("owner")), gt(deliveries.sequence, p("after")), isNull(deliveries.packetId)))
        .orderBy(asc(deliveries.sequence))
        .limit(p("limit"))
        .prepare(),
    ),
    inflight: db
      .select({ delivery: deliveries, message: messages })
      .from(deliveries)
      .leftJoin(messages, eq(messages.id, deliveries.messageId))
      .where(isNotNull(deliveries.packetId))
      .orderBy(asc(deliveries.owner), asc(deliveries.sequence))
      .prepare(),
    queues: db
      .select({
        owner: deliveries.owner,
        lastSequence: max(deliveries.sequence),
        count: sql<number>`count(*) filter (where ${deliveries.packetId} is null)`,
        bytes: sql<number>`coalesce(sum(${deliveries.bytes}) filter (where ${deliveries.packetId} is null), 0)`,
      })
      .from(deliveries)
      .groupBy(deliveries.owner)
      .prepare(),
    lastMessageId: db
      .select({ id: max(messages.id) })
      .from(messages)
      .prepare(),
  }
}

/** Null: it is released. */
type MessageIdRow = [id: number | null]

/** What `page` selects, in its order, as SQLite gives it. */
export type PageRow = [
  sequence: number,
  qos: number,
  retain: number,
  identifiers: string | null,
  group: string | null,
  bytes: number,
  messageId: number,
  topic: string,
  messageQos: number,
  messageRetain: number,
  payload: Uint8Array,
  properties: Uint8Array,
  expirySeconds: number | null,
  expiresAt: number | null,
]

export type Statements = ReturnType<typeof prepareStatements>

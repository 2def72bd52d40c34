/**
 * The tables of the SQLite store. `drizzle-kit generate` turns a change here into the next migration.
 *
 * A message stands once in `message`, however many deliveries and retained topics point to it; it goes with the last of
 * them. Times are milliseconds since 1970, so that what expires does so whether or not the broker ran.
 */
import { blob, index, integer, primaryKey, sqliteTable, text } from "drizzle-orm/sqlite-core"
import type { StoredWill } from "../../broker/ports.ts"

/** A `StoredWill` as JSON can have it. */
export type WillColumn = Omit<StoredWill, "payload" | "properties"> & { payload: string; properties: string }

export const sessions = sqliteTable("session", {
  clientId: text("client_id").primaryKey(),
  /** Whose it is. Null: an anonymous client's, if the other column says so; else nobody knows, the row is older than that. */
  username: text("username"),
  isAnonymous: integer("is_anonymous", { mode: "boolean" }).notNull().default(false),
  expirySeconds: integer("expiry_seconds").notNull(),
  /** Null: it was connected when the broker stopped. */
  disconnectedAt: integer("disconnected_at"),
  /** Its Will Message and the delay; the byte strings in base64. Null: it has none; older rows say so in JSON, as `null`. */
  will: text("will", { mode: "json" }).$type<WillColumn>(),
})

export const subscriptions = sqliteTable(
  "subscription",
  {
    clientId: text("client_id").notNull(),
    topicFilter: text("topic_filter").notNull(),
    qos: integer("qos").notNull(),
    noLocal: integer("no_local", { mode: "boolean" }).notNull(),
    retainAsPublished: integer("retain_as_published", { mode: "boolean" }).notNull(),
    retainHandling: integer("retain_handling").notNull(),
    identifier: integer("identifier"),
  },
  (table) => [primaryKey({ columns: [table.clientId, table.topicFilter] })],
)

export const messages = sqliteTable("message", {
  id: integer("id").primaryKey(),
  topic: text("topic").notNull(),
  qos: integer("qos").notNull(),
  retain: integer("retain", { mode: "boolean" }).notNull(),
  payload: blob("payload", { mode: "buffer" }).notNull(),
  /** Encoded as on the wire, without the length in front. */
  properties: blob("properties", { mode: "buffer" }).notNull(),
  expirySeconds: integer("expiry_seconds"),
  expiresAt: integer("expires_at"),
})

export const deliveries = sqliteTable(
  "delivery",
  {
    /** A client id, or the text of a `$share` filter. */
    owner: text("owner").notNull(),
    sequence: integer("sequence").notNull(),
    /** Null: released, the receiver has it. */
    messageId: integer("message_id"),
    qos: integer("qos").notNull(),
    retain: integer("retain", { mode: "boolean" }).notNull(),
    /** Subscription Identifiers, as JSON. */
    identifiers: text("identifiers", { mode: "json" }).$type<number[]>(),
    /** The share group it came through. */
    group: text("share_group"),
    /** Null: waiting; else in flight. */
    packetId: integer("packet_id"),
    /** What it weighs in the session's queue, bytes. */
    bytes: integer("bytes").notNull(),
  },
  (table) => [primaryKey({ columns: [table.owner, table.sequence] }), index("delivery_message").on(table.messageId)],
)

export const receivedIds = sqliteTable(
  "received",
  {
    clientId: text("client_id").notNull(),
    packetId: integer("packet_id").notNull(),
  },
  (table) => [primaryKey({ columns: [table.clientId, table.packetId] })],
)

export const retained = sqliteTable(
  "retained",
  {
    topic: text("topic").primaryKey(),
    messageId: integer("message_id").notNull(),
  },
  (table) => [index("retained_message").on(table.messageId)],
)

/** Sums that go on where the last run left them. */
export const totals = sqliteTable("total", {
  name: text("name").primaryKey(),
  value: integer("value").notNull(),
})

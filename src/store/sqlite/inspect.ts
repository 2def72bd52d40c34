/** Looking at a database without being its broker: what it holds, and a copy of it, while one may be using it. */
import { existsSync, rmSync } from "node:fs"
import { count, isNotNull, isNull, sql, sum } from "drizzle-orm"
import { drizzle } from "drizzle-orm/bun-sqlite"
import { closing, naming, openToRead } from "./file.ts"
import { deliveries, messages, retained, sessions, subscriptions } from "./schema.ts"

export interface Inspection {
  sessions: number
  subscriptions: number
  /** Deliveries that wait in queues, and those sent and not acknowledged. */
  waiting: number
  inflight: number
  retained: number
  messages: number
  payloadBytes: number
}

/** What a database holds. Throws an `Error` that says what is wrong with the file. */
export function inspect(path: string): Inspection {
  return closing(openToRead(path), (sqlite) => {
    const db = drizzle(sqlite)
    const all = [sessions, subscriptions, retained, messages].map(
      (table) => db.select({ n: count() }).from(table).get()!.n,
    )
    const waiting = db.select({ n: count() }).from(deliveries).where(isNull(deliveries.packetId)).get()!.n
    const inflight = db.select({ n: count() }).from(deliveries).where(isNotNull(deliveries.packetId)).get()!.n
    const payload = db
      .select({ bytes: sum(sql<number>`length(${messages.payload})`) })
      .from(messages)
      .get()!.bytes
    return {
      sessions: all[0]!,
      subscriptions: all[1]!,
      waiting,
      inflight,
      retained: all[2]!,
      messages: all[3]!,
      payloadBytes: Number(payload ?? 0),
    }
  })
}

/**
 * Copies a database, in use or not, to a file that must not be there yet. Throws an `Error` that says what is wrong; what there is of the
 * copy then goes.
 */
export function backup(path: string, to: string): void {
  if (existsSync(to)) throw new Error(`${to} is there already`)
  closing(openToRead(path), (sqlite) => {
    try {
      naming(to, () => drizzle(sqlite).run(sql`VACUUM INTO ${to}`))
    } catch (error) {
      rmSync(to, { force: true })
      throw error
    }
  })
}

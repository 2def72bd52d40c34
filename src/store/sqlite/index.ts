/**
 * `sqlite(path)`: the store that survives kill -9 and power cuts. The database works in a thread of its own; this side
 * only sends it what is to be done and waits.
 */
import type { Store, Stored, StoredChange, StoredDelivery } from "../../broker/ports.ts"
import type { Durability } from "./database.ts"
import type { Answer, Request } from "./protocol.ts"

export interface SqliteOptions {
  /** `power` (default): durable against power cuts, a sync of the disk per commit. `process`: against crashes only. */
  durability?: Durability
}

class SqliteStore implements Store {
  private readonly worker = new Worker(new URL("./worker.ts", import.meta.url).href)
  private readonly waiting = new Map<number, { resolve(value: never): void; reject(error: Error): void }>()
  private lastId = 0
  private readonly path: string
  private readonly durability: Durability

  constructor(path: string, durability: Durability) {
    this.path = path
    this.durability = durability
    this.worker.onmessage = ({ data }: MessageEvent<Answer>) => this.onAnswer(data)
    this.worker.onerror = (event) => this.onDeath(new Error(`the store's thread has died: ${event.message}`))
  }

  async *load(): AsyncGenerator<Stored> {
    await this.ask({ name: "open", path: this.path, durability: this.durability })
    yield* await this.ask<Stored[]>({ name: "load" })
  }

  commit(changes: readonly StoredChange[]): Promise<void> {
    return this.ask({ name: "commit", changes })
  }

  page(owner: string, after: number, limit: number): Promise<StoredDelivery[]> {
    return this.ask({ name: "page", owner, after, limit })
  }

  async close(): Promise<void> {
    await this.ask({ name: "close" })
    this.worker.terminate()
  }

  private ask<T>(call: Request["call"]): Promise<T> {
    const id = ++this.lastId
    return new Promise<T>((resolve, reject) => {
      this.waiting.set(id, { resolve, reject })
      this.worker.postMessage({ id, call } satisfies Request)
    })
  }

  private onAnswer({ id, value, error }: Answer): void {
    const { resolve, reject } = this.waiting.get(id)!
    this.waiting.delete(id)
    if (error === undefined) resolve(value as never)
    else reject(Object.assign(new Error(error.message), { code: error.code }))
  }

  private onDeath(error: Error): void {
    for (const { reject } of this.waiting.values()) reject(error)
    this.waiting.clear()
  }
}

/**
 * A store in a SQLite database, made where there is none.
 *
 * @example
 * await using broker = new Broker({ store: sqlite("manju.db") })
 */
export function sqlite(path: string, { durability = "power" }: SqliteOptions = {}): Store {
  return new SqliteStore(path, durability)
}

/**
 * `sqlite(path)`: the store that survives kill -9 and power cuts. The database works in a thread of its own; this side
 * only sends it what is to be done and waits.
 */
import type { Store, Stored, StoredChange, StoredDelivery } from "../../broker/ports.ts"
import type { Durability } from "./database.ts"
import { type Answer, type Parcel, packItems, type Request, unpackDeliveries, unpackItems } from "./protocol.ts"

export interface SqliteOptions {
  /** `power` (default): durable against power cuts, a sync of the disk per commit. `process`: against crashes only. */
  durability?: Durability
}

class SqliteStore implements Store {
  bytesWritten: number | undefined = undefined
  private readonly worker = new Worker(new URL("./worker.ts", import.meta.url).href)
  private readonly waiting = new Map<number, { resolve(value: Parcel | undefined): void; reject(error: Error): void }>()
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
    for (;;) {
      const items = unpackItems<Stored>((await this.ask({ name: "load" }))!)
      if (items.length === 0) return
      yield* items
    }
  }

  async commit(changes: readonly StoredChange[]): Promise<void> {
    const parcel = packItems(changes)
    await this.ask({ name: "commit", changes: parcel }, parcel)
  }

  async page(owner: string, after: number, limit: number): Promise<StoredDelivery[]> {
    return unpackDeliveries((await this.ask({ name: "page", owner, after, limit }))!)
  }

  async close(): Promise<void> {
    await this.ask({ name: "close" })
    this.worker.terminate()
  }

  /** `moved`: what the thread takes over. */
  private ask(call: Request["call"], moved?: Parcel): Promise<Parcel | undefined> {
    const id = ++this.lastId
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject })
      this.worker.postMessage(
        { id, call } satisfies Request,
        moved === undefined ? [] : [moved.bytes.buffer as ArrayBuffer],
      )
    })
  }

  private onAnswer({ id, value, error, written }: Answer): void {
    this.bytesWritten = written ?? this.bytesWritten
    const { resolve, reject } = this.waiting.get(id)!
    this.waiting.delete(id)
    if (error === undefined) resolve(value)
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

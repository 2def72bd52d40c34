/**
 * `sqlite(path)`: the store that survives kill -9 and power cuts. The database works in a thread of its own; this side
 * only sends it what is to be done and waits.
 */
import type { Store, Stored, StoredChange, StoredDelivery } from "../../broker/ports.ts"
import type { Durability } from "./file.ts"
import { type Answer, type Parcel, packItems, type Request, unpackDeliveries, unpackItems } from "./protocol.ts"
import { startThread } from "./thread.ts"

/** What `sqlite()` takes beside the path. */
export interface SqliteOptions {
  /** `power` (default): durable against power cuts, a sync of the disk per commit. `process`: against crashes only. */
  durability?: Durability
}

interface Question {
  resolve(value: Parcel | undefined): void
  reject(error: Error): void
}

class SqliteStore implements Store {
  bytesWritten: number | undefined = undefined
  private worker: Worker | undefined
  private writtenBefore = 0
  private readonly waiting = new Map<number, Question>()
  private lastId = 0
  private readonly path: string
  private readonly durability: Durability

  constructor(path: string, durability: Durability) {
    this.path = path
    this.durability = durability
  }

  async *load(): AsyncGenerator<Stored> {
    if (this.worker === undefined) await this.open()
    for (let isFirst = true; ; isFirst = false) {
      const items = unpackItems<Stored>((await this.ask({ name: "load", isFirst }))!)
      if (items.length === 0) return
      yield* items
    }
  }

  async commit(changes: readonly StoredChange[]): Promise<void> {
    if (this.worker === undefined) await this.open()
    const parcel = packItems(changes)
    await this.ask({ name: "commit", changes: parcel }, parcel)
  }

  async page(owner: string, after: number, limit: number): Promise<StoredDelivery[]> {
    if (this.worker === undefined) await this.open()
    return unpackDeliveries((await this.ask({ name: "page", owner, after, limit }))!)
  }

  /** By a thread of its own, so that commits need not wait. */
  async backup(to: string): Promise<void> {
    const worker = startThread()
    try {
      await new Promise<void>((resolve, reject) => {
        worker.onmessage = ({ data }: MessageEvent<Answer>) =>
          data.error === undefined ? resolve() : reject(new Error(data.error.message))
        worker.onerror = (event) => reject(new Error(event.message))
        worker.postMessage({ id: 0, call: { name: "backup", path: this.path, to } } satisfies Request)
      })
    } finally {
      worker.terminate()
    }
  }

  async close(): Promise<void> {
    const { worker } = this
    if (worker === undefined) return
    try {
      await this.ask({ name: "close" })
    } finally {
      this.worker = undefined
      worker.terminate()
    }
  }

  /** Starts the thread, at first and after it has died. */
  private async open(): Promise<void> {
    const worker = startThread()
    worker.onmessage = ({ data }: MessageEvent<Answer>) => this.onAnswer(data)
    worker.onerror = (event) => this.onDeath(worker, event.message)
    worker.addEventListener("close", () => this.onDeath(worker, "it has ended"))
    this.worker = worker
    this.writtenBefore = this.bytesWritten ?? 0
    try {
      await this.ask({ name: "open", path: this.path, durability: this.durability })
    } catch (error) {
      this.worker = undefined
      worker.terminate()
      throw error
    }
  }

  /** `moved`: what the thread takes over. */
  private ask(call: Request["call"], moved?: Parcel): Promise<Parcel | undefined> {
    const id = ++this.lastId
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject })
      this.worker!.postMessage(
        { id, call } satisfies Request,
        moved === undefined ? [] : [moved.bytes.buffer as ArrayBuffer],
      )
    })
  }

  private onAnswer({ id, value, error, written }: Answer): void {
    if (written !== undefined) this.bytesWritten = this.writtenBefore + written
    const question = this.waiting.get(id)
    this.waiting.delete(id)
    if (error === undefined) question?.resolve(value)
    else question?.reject(Object.assign(new Error(error.message), { code: error.code }))
  }

  /** What it was asked has failed; whatever is asked next starts another. */
  private onDeath(worker: Worker, why: string): void {
    if (this.worker !== worker) return
    this.worker = undefined
    worker.terminate()
    for (const { reject } of this.waiting.values()) reject(new Error(`the store's thread has died: ${why}`))
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

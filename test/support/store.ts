import type { Store } from "../../src/broker/ports.ts"
import type { Stored, StoredChange, StoredDelivery } from "../../src/broker/stored.ts"
import { memory } from "../../src/store/memory.ts"

/** A store that commits when the test says so. */
export class LateStore implements Store {
  /** Commits that have been asked for and not been answered. */
  readonly pending: { changes: readonly StoredChange[]; resolve: () => void; reject: (error: Error) => void }[] = []
  /** Everything that has been committed. */
  readonly committed: StoredChange[] = []

  private readonly inner: Store

  /** What is committed goes to `inner`, which may have been another broker's before. */
  constructor(inner = memory()) {
    this.inner = inner
  }

  load(): AsyncIterable<Stored> {
    return this.inner.load()
  }

  page(owner: string, after: number, limit: number): Promise<StoredDelivery[]> {
    return this.inner.page(owner, after, limit)
  }

  commit(changes: readonly StoredChange[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const commit = () => {
        this.committed.push(...changes)
        this.inner.commit(changes).then(resolve)
      }
      this.pending.push({ changes, resolve: commit, reject })
    })
  }

  /** Answers every commit asked for so far, and lets what waited for it happen. */
  async commitAll(): Promise<void> {
    await microtasks()
    while (this.pending.length > 0) {
      for (const { resolve } of this.pending.splice(0)) resolve()
      await microtasks()
    }
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

/** The owner of the delivery that a change is about, if it is about one. */
export function ownerOf(change: StoredChange): string | undefined {
  if (change.kind === "queued") return change.delivery.owner
  return "owner" in change ? change.owner : undefined
}

/** Lets everything that waits only for promises happen. */
export async function microtasks(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve()
}

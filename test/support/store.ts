import type { Store } from "../../src/broker/ports.ts"
import type { Change } from "../../src/session/index.ts"

/** A store that commits when the test says so. */
export class LateStore implements Store {
  /** Commits that have been asked for and not been answered. */
  readonly pending: { changes: readonly Change[]; resolve: () => void; reject: (error: Error) => void }[] = []
  /** Everything that has been committed. */
  readonly committed: Change[] = []

  commit(changes: readonly Change[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const commit = () => {
        this.committed.push(...changes)
        resolve()
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

/** Lets everything that waits only for promises happen. */
export async function microtasks(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve()
}

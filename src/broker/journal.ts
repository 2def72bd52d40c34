/**
 * The journal: changes that must survive, on their way to the store.
 *
 * While one commit is under way the next batch gathers: the busier the broker, the larger the batch and the fewer the
 * syncs. `durable` is the sequence number up to which everything is safe; it only grows. An acknowledgement remembers
 * the number it must wait for, and whoever holds some asks to be called when `durable` moves (`wait`).
 *
 * A delivery that is queued and settled within one batch never reaches the store, and of one that is sent and settled only
 * the latter. Without a store nothing is recorded, and nobody ever waits.
 */
import type { Change, ChangeLog } from "../session/index.ts"
import type { Clock, Logger, Store } from "./ports.ts"
import type { StoredChange } from "./stored.ts"
import type { Storing } from "./storing.ts"

const RETRY_MS = 1000

export interface Waiting {
  onDurable(): void
}

/** What a batch has on one delivery. */
interface Entries {
  /** Whether it was queued in this batch, so that the store does not know it. */
  readonly isNew: boolean
  readonly indices: number[]
}

export class Journal implements ChangeLog {
  readonly isActive: boolean
  /** Whether the last commit failed: what must be stored cannot be, for now. */
  isFailing = false
  appended = 0
  durable = 0
  private batch: (Change | undefined)[] = []
  /** Where in the batch the entries of each delivery stand that is not settled. */
  private readonly unsettled = new Map<string, Entries>()
  private isCommitting = false
  private waiting = new Set<Waiting>()
  private readonly settling: { upTo: number; resolve: () => void }[] = []
  private readonly store: Store | undefined
  private readonly storing: Storing
  private readonly clock: Clock
  private readonly logger: Logger

  constructor(store: Store | undefined, storing: Storing, clock: Clock, logger: Logger) {
    this.store = store
    this.storing = storing
    this.isActive = store !== undefined
    this.clock = clock
    this.logger = logger
  }

  append(change: Change): void {
    this.appended++
    if (this.batch.length === 0 && !this.isCommitting) queueMicrotask(() => this.commit())
    const index = this.batch.push(change) - 1
    switch (change.kind) {
      case "queued":
        this.unsettled.set(`${change.owner}\0${change.delivery.sequence}`, { isNew: true, indices: [index] })
        break
      case "sent":
      case "released": {
        const key = `${change.owner}\0${change.sequence}`
        const entries = this.unsettled.get(key)
        if (entries === undefined) this.unsettled.set(key, { isNew: false, indices: [index] })
        else entries.indices.push(index)
        break
      }
      case "settled":
        this.annul(`${change.owner}\0${change.sequence}`, index)
        break
    }
  }

  /** Calls `onDurable` of `waiting` once, when `durable` has moved. */
  wait(waiting: Waiting): void {
    this.waiting.add(waiting)
  }

  /** Resolves when everything appended so far is durable. */
  settled(): Promise<void> {
    if (this.durable === this.appended) return Promise.resolve()
    return new Promise((resolve) => this.settling.push({ upTo: this.appended, resolve }))
  }

  /** Of what is settled only that is recorded; queued and settled in one batch, it is as if it had never been. */
  private annul(key: string, settledAt: number): void {
    const entries = this.unsettled.get(key)
    if (entries === undefined) return
    this.unsettled.delete(key)
    for (const index of entries.indices) this.batch[index] = undefined
    if (entries.isNew) this.batch[settledAt] = undefined
  }

  private async commit(): Promise<void> {
    this.isCommitting = true
    while (this.batch.length > 0) {
      const changes = this.batch.filter((change) => change !== undefined)
      const upTo = this.appended
      this.batch = []
      this.unsettled.clear()
      if (changes.length > 0) await this.commitUntilDone(this.storing.toStored(changes))
      this.durable = upTo
      this.release()
    }
    this.isCommitting = false
  }

  /** A store that fails is asked again: nothing that waits for it is acknowledged meanwhile. */
  private async commitUntilDone(changes: StoredChange[]): Promise<void> {
    for (;;) {
      try {
        await this.store!.commit(changes)
        if (this.isFailing) this.logger.warn("the store works again")
        this.isFailing = false
        return
      } catch (error) {
        if (!this.isFailing)
          this.logger.error(`the store fails; nothing it must keep is acknowledged until it works: ${error}`)
        this.isFailing = true
        await new Promise<void>((resolve) => {
          const stop = this.clock.every(RETRY_MS, () => {
            stop()
            resolve()
          })
        })
      }
    }
  }

  private release(): void {
    while (this.settling.length > 0 && this.settling[0]!.upTo <= this.durable) this.settling.shift()!.resolve()
    const { waiting } = this
    if (waiting.size === 0) return
    this.waiting = new Set()
    for (const each of waiting) {
      try {
        each.onDurable()
      } catch (error) {
        this.logger.error(`a fault of manju's own: ${error instanceof Error ? error.stack : error}`)
      }
    }
  }
}

/**
 * The journal: changes that must survive, on their way to the store.
 *
 * While one commit is under way the next batch gathers: the busier the broker, the larger the batch and the fewer the
 * syncs. `durable` is the sequence number up to which everything is safe; it only grows. An acknowledgement remembers
 * the number it must wait for, and whoever holds some asks to be called when `durable` moves (`wait`).
 *
 * Of what happens to one thing within a batch only the outcome is written: the last retained message of a topic, the last
 * state of a session; of a delivery that is sent and settled only the latter, and of one that is queued and settled
 * nothing at all. Without a store nothing is recorded, and nobody ever waits.
 *
 * A store that fails is asked again until it works, and nothing that waits for it is acknowledged. Meanwhile, and when
 * more has gathered than `maximumUnstoredBytes`, the journal is strained: whoever would add to it without need refrains.
 */
import type { Change, ChangeLog } from "../session/index.ts"
import { Histogram } from "./histogram.ts"
import type { Store } from "./ports.ts"
import { type RetryHost, StoreRetry } from "./retry.ts"
import type { Storing } from "./storing.ts"

/** What a change without a payload counts for, in bytes of memory. */
const CHANGE_BYTES = 100
const COMMIT_SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export interface Waiting {
  onDurable(): void
}

export interface JournalHost extends RetryHost {
  /** Somebody who waited has failed. */
  onBug(error: unknown): void
}

/** Where a batch has something on one delivery. */
interface Entries {
  /** Whether it was queued in this batch, so that the store does not know it. */
  readonly isNew: boolean
  readonly first: number
  /** Those that have followed, if any. */
  others: number[] | undefined
}

export class Journal implements ChangeLog {
  readonly isActive: boolean
  appended = 0
  durable = 0
  /** Commits that the store has taken. */
  commits = 0
  /** How long they took, attempts that failed included. */
  readonly commitTimes = new Histogram(COMMIT_SECONDS)
  private batch: (Change | undefined)[] = []
  /** The deliveries in the batch that are not settled, by owner and sequence. */
  private readonly unsettled = new Map<string, Map<number, Entries>>()
  /** Where in the batch the last state of each other thing stands. */
  private readonly latest = new Map<string, number>()
  private batchBytes = 0
  private committingBytes = 0
  private isCommitting = false
  private waiting = new Set<Waiting>()
  private readonly settling: { upTo: number; resolve: () => void }[] = []
  private awaitingRoom: (() => void)[] = []
  private readonly store: Store | undefined
  private readonly storing: Storing
  private readonly maximumBytes: number
  private readonly writes: StoreRetry
  private readonly host: JournalHost

  constructor(store: Store | undefined, storing: Storing, maximumUnstoredBytes: number, host: JournalHost) {
    this.store = store
    this.storing = storing
    this.isActive = store !== undefined
    this.maximumBytes = maximumUnstoredBytes
    this.writes = new StoreRetry(
      "the store cannot be written, what it must keep is refused or waits until it can",
      host,
    )
    this.host = host
  }

  /** Whether the last commit failed: what must be stored cannot be, for now. */
  get isFailing(): boolean {
    return this.writes.isFailing
  }

  get failures(): number {
    return this.writes.failures
  }

  /** Whether so much waits for the store that no more should come. */
  get isFull(): boolean {
    return this.unstoredBytes > this.maximumBytes
  }

  /** Failing or full: time to look whether a message must be stored before it is taken. */
  get isStrained(): boolean {
    return this.writes.isFailing || this.isFull
  }

  /** What waits for the store, in bytes of memory. */
  get unstoredBytes(): number {
    return this.batchBytes + this.committingBytes
  }

  append(change: Change): void {
    this.appended++
    if (this.batch.length === 0 && !this.isCommitting) queueMicrotask(() => this.commit())
    const index = this.batch.push(change) - 1
    this.batchBytes += weigh(change)
    switch (change.kind) {
      case "queued":
        this.unsettledOf(change.owner).set(change.delivery.sequence, { isNew: true, first: index, others: undefined })
        break
      case "sent":
      case "released":
        this.follow(change.owner, change.sequence, index)
        break
      case "settled":
        this.annul(change.owner, change.sequence, index)
        break
      case "sessionRemoved":
        break
      default:
        this.supersede(thingOf(change), index)
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

  /** Resolves when the journal is not full any more. */
  room(): Promise<void> {
    if (!this.isFull) return Promise.resolve()
    return new Promise((resolve) => this.awaitingRoom.push(resolve))
  }

  /** A store that fails is not asked again. */
  close(): void {
    this.writes.close()
  }

  private follow(owner: string, sequence: number, index: number): void {
    const unsettled = this.unsettledOf(owner)
    const entries = unsettled.get(sequence)
    if (entries === undefined) unsettled.set(sequence, { isNew: false, first: index, others: undefined })
    else if (entries.others === undefined) entries.others = [index]
    else entries.others.push(index)
  }

  /** Of what is settled only that is recorded; queued and settled in one batch, it is as if it had never been. */
  private annul(owner: string, sequence: number, settledAt: number): void {
    const unsettled = this.unsettledOf(owner)
    const entries = unsettled.get(sequence)
    if (entries === undefined) return
    unsettled.delete(sequence)
    this.void(entries.first)
    for (const index of entries.others ?? []) this.void(index)
    if (entries.isNew) this.void(settledAt)
  }

  private unsettledOf(owner: string): Map<number, Entries> {
    let unsettled = this.unsettled.get(owner)
    if (unsettled === undefined) this.unsettled.set(owner, (unsettled = new Map()))
    return unsettled
  }

  private supersede(thing: string, index: number): void {
    const previous = this.latest.get(thing)
    if (previous !== undefined) this.void(previous)
    this.latest.set(thing, index)
  }

  private void(index: number): void {
    this.batchBytes -= weigh(this.batch[index]!)
    this.batch[index] = undefined
  }

  private async commit(): Promise<void> {
    this.isCommitting = true
    while (this.batch.length > 0) {
      const changes = this.batch.filter((change) => change !== undefined)
      const upTo = this.appended
      this.batch = []
      this.unsettled.clear()
      this.latest.clear()
      this.committingBytes = this.batchBytes
      this.batchBytes = 0
      if (changes.length > 0) {
        const stored = this.storing.toStored(changes)
        const begunAt = performance.now()
        await this.writes.until(async () => this.store!.commit(stored))
        this.commitTimes.observe((performance.now() - begunAt) / 1000)
        this.commits++
      }
      this.committingBytes = 0
      this.durable = upTo
      this.release()
    }
    this.isCommitting = false
  }

  private release(): void {
    while (this.settling.length > 0 && this.settling[0]!.upTo <= this.durable) this.settling.shift()!.resolve()
    if (this.awaitingRoom.length > 0 && !this.isFull) {
      for (const resolve of this.awaitingRoom.splice(0)) resolve()
    }
    const { waiting } = this
    if (waiting.size === 0) return
    this.waiting = new Set()
    for (const each of waiting) {
      try {
        each.onDurable()
      } catch (error) {
        this.host.onBug(error)
      }
    }
  }
}

/** What a change is about, where only the last one counts. */
function thingOf(
  change: Exclude<Change, { kind: "queued" | "sent" | "released" | "settled" | "sessionRemoved" }>,
): string {
  switch (change.kind) {
    case "session":
      return `session\0${change.session.clientId}`
    case "subscribed":
      return `subscription\0${change.clientId}\0${change.subscription.topicFilter}`
    case "unsubscribed":
      return `subscription\0${change.clientId}\0${change.topicFilter}`
    case "received":
    case "completed":
      return `received\0${change.clientId}\0${change.packetId}`
    case "retained":
      return `retained\0${change.message.topic.name}`
    case "unretained":
      return `retained\0${change.topicName}`
    case "total":
      return `total\0${change.name}`
  }
}

function weigh(change: Change): number {
  switch (change.kind) {
    case "queued":
      return CHANGE_BYTES + change.delivery.message.sizeBytes
    case "retained":
      return CHANGE_BYTES + change.message.sizeBytes
    case "session":
      return CHANGE_BYTES + (change.session.will?.payload.length ?? 0)
    default:
      return CHANGE_BYTES
  }
}

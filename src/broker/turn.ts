/**
 * One write per connection per turn. Whoever has something to send enters the list; at the end of the turn (a chunk
 * received, a timer, a commit) everybody on it is flushed once, however many packets that is.
 *
 * A turn may be long: one chunk holds ten thousand messages, one message goes to ten thousand clients. So that nobody waits for more than
 * a slice of it, the rest is left for the next turns of the event loop, and the turns of others come in between:
 * - A turn that has caused `WORK_PER_SLICE` deliveries is to be interrupted (`isLong`). What it has marked so far is flushed when it ends, a
 *   write for each, as if nothing had been. Of several that are interrupted one goes on at a time, in the order in which they came.
 * - Where more than `FLUSHES_PER_SLICE` are marked when a turn ends, the others are flushed later. An outbox that waits there gathers on.
 *   Whoever has marked them waits until they are flushed (`end`): to add to what they have gathered would be to copy it, for all of them.
 * - Where so many have gathered as much as they may (`fill`), the turn is interrupted as well, and they are flushed before it goes on, so
 *   many at a time.
 */

/** As it is when this is loaded: a test that replaces the timers does not mean this one. */
const { setImmediate } = globalThis

/** Some hundred microseconds of work, up to ten times as much where messages are kept for those who are away. */
const WORK_PER_SLICE = 10_000
/** Some microseconds each, since each is a write. */
export const FLUSHES_PER_SLICE = 128

export interface Flushable {
  flush(): void
}

/** What is left of a turn. */
interface Interrupted {
  readonly goOn: () => void
  readonly marked: Flushable[]
  /** Whether these are to be flushed before it goes on. */
  isFull: boolean
  /** It goes on when so many late ones have been flushed: all that waited when it was interrupted. */
  readonly after: number
}

export class Turn {
  /** What has been done since the turn began, or went on: messages and their deliveries. */
  work = 0
  /** How many have begun, or gone on. */
  count = 0
  private dirty: Flushable[] = []
  private isOpen = false
  private isFull = false
  private isScheduled = false
  /** Those who wait to be flushed, the first one first. */
  private late: Flushable[] = []
  /** How many of them have been flushed so far. */
  private lateFlushes = 0
  private readonly interrupted: Interrupted[] = []
  private isSliceScheduled = false

  /** Whether enough has been done for now. */
  get isLong(): boolean {
    return this.work >= WORK_PER_SLICE || this.isFull
  }

  /** What many outboxes have gathered is to be written before they gather more: enough has been done for now. */
  fill(): void {
    this.isFull = true
  }

  /** Enters `outbox` for the end of this turn; outside of one, for the end of the current microtasks. */
  mark(outbox: Flushable): void {
    this.dirty.push(outbox)
    if (!this.isOpen && !this.isScheduled) this.schedule()
  }

  /** A chunk is being worked on: what it causes is flushed by the `end` that follows. */
  begin(): void {
    this.isOpen = true
    this.isFull = false
    this.work = 0
    this.count++
  }

  /** False: some of those that it has marked are flushed later, and whoever does more of the same is to `interrupt` first. */
  end(): boolean {
    this.isOpen = false
    return this.dirty.length === 0 || this.flush()
  }

  /** Leaves the rest of this turn for later: `goOn` is called then, to begin and end it, or to interrupt it once more. */
  interrupt(goOn: () => void): void {
    this.isOpen = false
    const after = this.lateFlushes + this.late.length
    this.interrupted.push({ goOn, marked: this.dirty, isFull: this.isFull, after })
    this.dirty = []
    this.scheduleSlice()
  }

  private schedule(): void {
    this.isScheduled = true
    queueMicrotask(() => {
      this.isScheduled = false
      this.flush()
    })
  }

  private flush(): boolean {
    const { dirty } = this // which grows when a flush marks another
    for (let i = 0; i < dirty.length && i < FLUSHES_PER_SLICE; i++) dirty[i]!.flush()
    const areAll = dirty.length <= FLUSHES_PER_SLICE
    if (!areAll) this.postpone(dirty.slice(FLUSHES_PER_SLICE))
    dirty.length = 0
    return areAll
  }

  private postpone(marked: Flushable[]): void {
    this.late = this.late.length === 0 ? marked : this.late.concat(marked)
    this.scheduleSlice()
  }

  private scheduleSlice(): void {
    if (this.isSliceScheduled) return
    this.isSliceScheduled = true
    setImmediate(() => this.slice())
  }

  private slice(): void {
    this.isSliceScheduled = false
    const due = this.late.splice(0, FLUSHES_PER_SLICE)
    for (const outbox of due) outbox.flush()
    this.lateFlushes += due.length
    const isNextDue = this.interrupted.length > 0 && this.interrupted[0]!.after <= this.lateFlushes
    const next = isNextDue ? this.interrupted.shift() : undefined
    if (next?.isFull) this.relieve(next)
    else if (next !== undefined) this.goOn(next)
    if (this.late.length > 0 || this.interrupted.length > 0) this.scheduleSlice()
  }

  private relieve(turn: Interrupted): void {
    for (const outbox of turn.marked.splice(0, FLUSHES_PER_SLICE)) outbox.flush()
    turn.isFull = turn.marked.length > 0
    this.interrupted.push(turn)
  }

  private goOn({ goOn, marked }: Interrupted): void {
    this.dirty = marked.concat(this.dirty) // what the flushes before it have marked
    this.isOpen = true
    goOn()
    if (this.isOpen) this.end()
  }
}

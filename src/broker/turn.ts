/**
 * One write per connection per turn. Whoever has something to send enters the list; at the end of the turn (a chunk
 * received, a timer, a commit) everybody on it is flushed once, however many packets that is.
 */
export interface Flushable {
  flush(): void
}

export class Turn {
  private dirty: Flushable[] = []
  private isOpen = false
  private isScheduled = false

  /** Enters `outbox` for the end of this turn; outside of one, for the end of the current microtasks. */
  mark(outbox: Flushable): void {
    this.dirty.push(outbox)
    if (!this.isOpen && !this.isScheduled) this.schedule()
  }

  /** A chunk is being worked on: what it causes is flushed by the `end` that follows. */
  begin(): void {
    this.isOpen = true
  }

  end(): void {
    this.isOpen = false
    if (this.dirty.length > 0) this.flush()
  }

  private schedule(): void {
    this.isScheduled = true
    queueMicrotask(() => {
      this.isScheduled = false
      this.flush()
    })
  }

  private flush(): void {
    const { dirty } = this
    for (let i = 0; i < dirty.length; i++) dirty[i]!.flush()
    dirty.length = 0
  }
}

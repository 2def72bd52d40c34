import type { Clock, Logger } from "./ports.ts"

const RETRY_MS = 1000

/** What is asked of the store, asked again every second until it is done. An outage is said when it begins and when it ends. */
export class StoreRetry {
  /** Whether the last attempt failed. */
  isFailing = false
  failures = 0
  private isClosed = false
  private readonly complaint: string
  private readonly clock: Clock
  private readonly logger: Logger

  constructor(complaint: string, clock: Clock, logger: Logger) {
    this.complaint = complaint
    this.clock = clock
    this.logger = logger
  }

  async until<T>(act: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        const result = await act()
        if (this.isFailing) this.logger.warn("the store works again")
        this.isFailing = false
        return result
      } catch (error) {
        this.failures++
        if (!this.isFailing && !this.isClosed) this.logger.error(`${this.complaint}: ${messageOf(error)}`)
        this.isFailing = true
      }
      await this.pause()
    }
  }

  /** Nothing is asked again: what has not been done never will be. */
  close(): void {
    this.isClosed = true
  }

  private pause(): Promise<void> {
    return new Promise((resolve) => {
      if (this.isClosed) return
      const stop = this.clock.every(RETRY_MS, () => {
        stop()
        if (!this.isClosed) resolve()
      })
    })
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

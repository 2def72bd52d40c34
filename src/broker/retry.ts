import type { Clock, Logger } from "./ports.ts"

const RETRY_MS = 1000

export interface RetryHost {
  readonly clock: Clock
  readonly logger: Logger
  /** The store has failed, after it had worked. */
  storeFailed(error: unknown): void
}

/** What is asked of the store, asked again every second until it is done. An outage is said when it begins and when it ends. */
export class StoreRetry {
  /** Whether the last attempt failed. */
  isFailing = false
  failures = 0
  private isClosed = false
  private readonly complaint: string
  private readonly host: RetryHost

  constructor(complaint: string, host: RetryHost) {
    this.complaint = complaint
    this.host = host
  }

  async until<T>(act: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        const result = await act()
        if (this.isFailing) this.host.logger.warn("the store works again", { area: "store" })
        this.isFailing = false
        return result
      } catch (error) {
        this.failures++
        if (!this.isFailing && !this.isClosed) this.complain(error)
        this.isFailing = true
      }
      await this.pause()
    }
  }

  /** Nothing is asked again: what has not been done never will be. */
  close(): void {
    this.isClosed = true
  }

  private complain(error: unknown): void {
    this.host.logger.error(`${this.complaint}: ${messageOf(error)}`, { area: "store" })
    this.host.storeFailed(error)
  }

  private pause(): Promise<void> {
    return new Promise((resolve) => {
      if (this.isClosed) return
      const stop = this.host.clock.every(RETRY_MS, () => {
        stop()
        if (!this.isClosed) resolve()
      })
    })
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

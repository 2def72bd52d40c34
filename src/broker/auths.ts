import { ManjuError } from "./errors.ts"
import type { Auth, AuthContext, Clock, Logger } from "./ports.ts"
import type { FileWatch } from "./watch.ts"

/** The auths of the open listeners: each is opened once, however many listeners have it, and closed with the broker. */
export class Auths {
  /** Those that are open or about to be. */
  private readonly opened = new Map<Auth, Promise<void>>()
  private readonly ready = new Set<Auth>()
  private isClosed = false
  private readonly files: FileWatch
  private readonly clock: Clock
  private readonly logger: Logger
  private readonly onChanged: (auth: Auth) => void

  constructor(files: FileWatch, clock: Clock, logger: Logger, onChanged: (auth: Auth) => void) {
    this.files = files
    this.clock = clock
    this.logger = logger
    this.onChanged = onChanged
  }

  /** Makes an auth ready to be asked. Rejects with what makes it useless; the next time it is tried again. */
  open(auth: Auth | undefined): Promise<void> {
    if (auth === undefined) return Promise.resolve()
    let opening = this.opened.get(auth)
    if (opening === undefined) {
      opening = this.begin(auth)
      this.opened.set(auth, opening)
      opening.catch(() => this.opened.delete(auth))
    }
    return opening
  }

  close(): void {
    this.isClosed = true
    for (const auth of this.ready) this.end(auth)
    this.ready.clear()
    this.opened.clear()
  }

  private async begin(auth: Auth): Promise<void> {
    const { files, clock, logger, onChanged } = this
    const watch: AuthContext["watch"] = (path, changed) => files.watch(path, () => this.guard(changed))
    this.assertOpen()
    await auth.open?.({ logger, clock, watch, changed: () => onChanged(auth) })
    if (this.isClosed) this.end(auth) // that came too late
    this.assertOpen()
    this.ready.add(auth)
  }

  private assertOpen(): void {
    if (this.isClosed) throw new ManjuError("CLOSED", "the broker has been closed")
  }

  private end(auth: Auth): void {
    this.guard(() => auth.close?.())
  }

  /** What an auth does when nobody waits for its answer: its fault is said, and is nobody else's. */
  private guard(act: () => void): void {
    Promise.try(act).catch((error) => this.logger.error(`auth failed: ${error}`))
  }
}

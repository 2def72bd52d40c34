import type { Auth, AuthContext, Clock, Logger } from "./ports.ts"
import type { FileWatch } from "./watch.ts"

/** The auths of the open listeners: each is opened once, however many listeners have it. */
export class Auths {
  private readonly opened = new Map<Auth, Promise<void>>()
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

  /** Makes an auth ready to be asked. Rejects with what makes it useless. */
  open(auth: Auth | undefined): Promise<void> {
    if (auth?.open === undefined) return Promise.resolve()
    let opening = this.opened.get(auth)
    if (opening === undefined) {
      const { files, clock, logger } = this
      const watch: AuthContext["watch"] = (path, changed) => files.watch(path, changed)
      opening = Promise.resolve(auth.open({ logger, clock, watch, changed: () => this.onChanged(auth) }))
      this.opened.set(auth, opening)
      opening.catch(() => this.opened.delete(auth))
    }
    return opening
  }

  close(): void {
    for (const auth of this.opened.keys()) auth.close?.()
    this.opened.clear()
  }
}

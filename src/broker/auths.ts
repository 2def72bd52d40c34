import { ManjuError } from "./errors.ts"
import type { Auth, AuthContext, Clock, Logger } from "./ports.ts"
import type { FileWatch } from "./watch.ts"

/** An auth that is open or about to be. */
interface Opened {
  readonly opening: Promise<void>
  readonly watches: Watches
  isReady: boolean
  /** Whether a listener has it by itself. */
  isAsked: boolean
  /** Those that are made of it. */
  readonly compositions: Set<Auth>
}

/** What an auth watches: it ends with the auth at the latest, whether or not that says so itself. */
class Watches {
  private readonly ends = new Set<() => void>()
  private isEnded = false

  /** Begins one, unless it is too late for that; gives what ends it. */
  add(begin: () => () => void): () => void {
    if (this.isEnded) return () => {}
    const stop = begin()
    const end = () => {
      this.ends.delete(end)
      stop()
    }
    this.ends.add(end)
    return end
  }

  end(): void {
    this.isEnded = true
    for (const end of this.ends) end()
  }
}

/**
 * The auths of the open listeners, and those that they are made of: each is opened once, however many listeners and
 * compositions have it, and closed with the broker. When its decisions change, all of them are told.
 */
export class Auths {
  private readonly opened = new Map<Auth, Opened>()
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
  async open(auth: Auth | undefined): Promise<void> {
    if (auth === undefined) return
    const opened = this.entry(auth)
    opened.isAsked = true
    await opened.opening
  }

  /** Everything is to be read again. */
  reload(): void {
    for (const [auth, { isReady }] of this.opened) if (isReady) this.guard(() => auth.reload?.())
  }

  close(): void {
    this.isClosed = true
    for (const [auth, { isReady, watches }] of this.opened) {
      watches.end()
      if (isReady) this.end(auth)
    }
    this.opened.clear()
  }

  private entry(auth: Auth): Opened {
    let opened = this.opened.get(auth)
    if (opened === undefined) {
      const watches = new Watches()
      opened = { opening: this.begin(auth, watches), watches, isReady: false, isAsked: false, compositions: new Set() }
      this.opened.set(auth, opened)
      opened.opening.catch(() => {
        watches.end()
        this.opened.delete(auth)
      })
    }
    return opened
  }

  private async begin(auth: Auth, watches: Watches): Promise<void> {
    const { files, clock, logger } = this
    const context: AuthContext = {
      logger,
      clock,
      watch: (path, changed) => watches.add(() => files.watch(path, () => this.guard(changed))),
      open: (member) => this.openMember(member, auth),
      changed: () => this.changed(auth, new Set()),
    }
    this.assertOpen()
    await auth.open?.(context)
    if (this.isClosed) this.end(auth) // that came too late
    this.assertOpen()
    this.opened.get(auth)!.isReady = true
  }

  private async openMember(member: Auth, composition: Auth): Promise<void> {
    const opened = this.entry(member)
    opened.compositions.add(composition)
    await opened.opening
  }

  /** Tells the listeners that have the auth, by itself or in others. */
  private changed(auth: Auth, told: Set<Auth>): void {
    const opened = this.opened.get(auth)
    if (opened === undefined || told.has(auth)) return
    told.add(auth)
    if (opened.isAsked) this.onChanged(auth)
    for (const composition of opened.compositions) this.changed(composition, told)
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

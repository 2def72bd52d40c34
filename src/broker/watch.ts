/**
 * Files that somebody wants to be told about when they change: passwords, access rules, keys, certificates.
 *
 * They are looked at every few seconds rather than left to the system's notifications, which miss what editors, secret
 * mounts and network file systems do: a rename over the file, a link that points elsewhere. Nobody watching, no looking.
 */
import { type BigIntStats, promises, statSync } from "node:fs"
import type { Clock } from "./ports.ts"

const LOOK_EVERY_MS = 1000
/** What a file looks like that is not there, or cannot be looked at. */
const MISSING = "missing"

interface Watched {
  readonly path: string
  readonly changed: () => void
  /** What the file looked like last. */
  seen: string
  /** A slow disk is not asked again before it has answered. */
  isLooking: boolean
  /** It has changed and has not come to rest since. */
  isChanged: boolean
}

export class FileWatch {
  private readonly watched = new Set<Watched>()
  private stop: (() => void) | undefined
  private readonly clock: Clock

  constructor(clock: Clock) {
    this.clock = clock
  }

  /** Calls `changed` after the file has changed from what it is now, come or gone, until the returned function is called. */
  watch(path: string, changed: () => void): () => void {
    const watched: Watched = { path, changed, seen: looksNow(path), isChanged: false, isLooking: false }
    this.watched.add(watched)
    this.stop ??= this.clock.every(LOOK_EVERY_MS, () => this.lookAtAll())
    return () => {
      this.watched.delete(watched)
      if (this.watched.size > 0) return
      this.stop?.()
      this.stop = undefined
    }
  }

  /** Tells everybody that their files have changed, whether or not they have: an operator has asked for it. */
  touch(): void {
    for (const watched of [...this.watched]) if (this.watched.has(watched)) watched.changed()
  }

  private lookAtAll(): void {
    for (const watched of this.watched) if (!watched.isLooking) void this.look(watched)
  }

  private async look(watched: Watched): Promise<void> {
    watched.isLooking = true
    const stats = await promises.stat(watched.path, { bigint: true }).catch(() => undefined)
    watched.isLooking = false
    const looks = fingerprint(stats)
    // Told is what has stayed the same for two looks: some write a file in place, and for a moment it is empty.
    const isSettled = looks === watched.seen
    watched.seen = looks
    if (!isSettled) watched.isChanged = true
    else if (watched.isChanged) {
      watched.isChanged = false
      if (this.watched.has(watched)) watched.changed()
    }
  }
}

/** At once, so that nothing between this look and the first reading of the file is missed. */
function looksNow(path: string): string {
  try {
    return fingerprint(statSync(path, { bigint: true, throwIfNoEntry: false }))
  } catch {
    return MISSING
  }
}

function fingerprint(stats: BigIntStats | undefined): string {
  if (stats === undefined) return MISSING
  const { mtimeNs, ctimeNs, size, ino } = stats
  return `${mtimeNs} ${ctimeNs} ${size} ${ino}`
}

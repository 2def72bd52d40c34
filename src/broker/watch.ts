/**
 * Files that somebody wants to be told about when they change: passwords, access rules, keys, certificates.
 *
 * They are looked at every few seconds rather than left to the system's notifications, which miss what editors, secret
 * mounts and network file systems do: a rename over the file, a link that points elsewhere. Nobody watching, no looking.
 */
import { type BigIntStats, promises } from "node:fs"
import type { Clock } from "./ports.ts"

const LOOK_EVERY_MS = 2000

interface Watched {
  readonly path: string
  readonly changed: () => void
  /** What the file looked like last; undefined before the first look. */
  seen: string | undefined
}

export class FileWatch {
  private readonly watched = new Set<Watched>()
  private stop: (() => void) | undefined
  private readonly clock: Clock

  constructor(clock: Clock) {
    this.clock = clock
  }

  /** Calls `changed` after the file has changed, come or gone, until the returned function is called. */
  watch(path: string, changed: () => void): () => void {
    const watched: Watched = { path, changed, seen: undefined }
    this.watched.add(watched)
    void this.look(watched)
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
    for (const { changed } of [...this.watched]) changed()
  }

  private lookAtAll(): void {
    for (const watched of this.watched) void this.look(watched)
  }

  private async look(watched: Watched): Promise<void> {
    const stats = await promises.stat(watched.path, { bigint: true }).catch(() => undefined)
    const looks = stats === undefined ? "missing" : fingerprint(stats)
    const isChanged = watched.seen !== undefined && watched.seen !== looks
    watched.seen = looks
    if (isChanged && this.watched.has(watched)) watched.changed()
  }
}

function fingerprint({ mtimeNs, ctimeNs, size, ino }: BigIntStats): string {
  return `${mtimeNs} ${ctimeNs} ${size} ${ino}`
}

/**
 * What has gone wrong for whom, for whoever asks why: refusals, drops, expiries, as many as there is room for.
 *
 * It is written only when something has gone wrong, and then it is a look-up and a few numbers: the same thing that happens again, to the
 * same client with the same topic, is counted and not kept once more. No payload is kept.
 *
 * Memory is bounded, a few megabytes at the worst, also while somebody attacks:
 *
 * 1. A client has a page of so many lines. One more, and its line that is longest ago goes; how many there were is said. So
 *    one client that is refused a million topics pushes out its own lines, and nobody else's.
 * 2. There are so many pages. One more, and the client's goes that nothing has happened to for the longest time.
 * 3. Who connects in vain, or is sent away, has a book of his own: strangers choose client ids as they like, and may not push out what
 *    has happened to the messages of those who are in.
 * 4. Names that are long are kept by their beginning.
 */
import type { Reason } from "../codec/index.ts"
import type { DropReason } from "../session/index.ts"

const MOST_PAGES = 512
const MOST_LINES = 16
const LONGEST_NAME = 256

/** What it was about: messages of the client, or for it; its subscriptions; or the client itself. */
export type IncidentAbout = "publish" | "receive" | "subscribe" | "connection"

export type IncidentCode =
  | DropReason
  | "publish refused"
  | "publish rate"
  | "subscription refused"
  | "connect refused"
  | "disconnected"

/** Something that has happened, once or several times. */
export interface Incident {
  readonly about: IncidentAbout
  readonly code: IncidentCode
  /** A topic name, or a filter; empty: no topic in particular. */
  readonly topic: string
  /** What the client was told, if that says more. */
  readonly reason: Reason | undefined
  count: number
  readonly firstAt: number
  lastAt: number
}

/** One that happens now, for whoever listens; `topic` is whole. */
export interface Heard extends Pick<Incident, "about" | "code" | "topic" | "reason"> {
  readonly clientId: string
  readonly now: number
}

interface Page {
  /** The one that happened last is last. */
  readonly lines: Incident[]
  /** How many incidents were on lines that have gone. */
  forgotten: number
}

/** What is remembered of one client. */
export interface IncidentsOfClient {
  readonly incidents: readonly Readonly<Incident>[]
  /** How many more there were, which are not remembered. */
  readonly forgotten: number
}

export class Incidents {
  /** The page that something was written on last is last. */
  private readonly ofMessages = new Map<string, Page>()
  private readonly ofConnections = new Map<string, Page>()
  private readonly listeners = new Set<(incident: Heard) => void>()

  /** Something has happened. `clientId`: to whom, or the filter of a share group. */
  note(clientId: string, about: IncidentAbout, code: IncidentCode, topic: string, now: number, reason?: Reason): void {
    if (this.listeners.size > 0) this.tell({ clientId, about, code, topic, now, reason })
    const page = pageOf(about === "connection" ? this.ofConnections : this.ofMessages, keptName(clientId))
    const { lines } = page
    const name = keptName(topic)
    for (let at = lines.length - 1; at >= 0; at--) {
      const line = lines[at]!
      if (line.code !== code || line.topic !== name || line.about !== about || line.reason !== reason) continue
      line.count++
      line.lastAt = now
      if (at < lines.length - 1) lines.push(...lines.splice(at, 1))
      return
    }
    if (lines.length === MOST_LINES) page.forgotten += lines.shift()!.count
    lines.push({ about, code, topic: name, reason, count: 1, firstAt: now, lastAt: now })
  }

  private tell(incident: Heard): void {
    for (const hear of this.listeners) hear(incident)
  }

  /** Tells `hear` of everything as it happens, until the returned function is called. */
  watch(hear: (incident: Heard) => void): () => void {
    this.listeners.add(hear)
    return () => this.listeners.delete(hear)
  }

  /** What is remembered of a client, or of a share group by its filter. */
  of(clientId: string): IncidentsOfClient {
    const name = keptName(clientId)
    const pages = [this.ofConnections.get(name), this.ofMessages.get(name)].filter((page) => page !== undefined)
    return {
      incidents: pages.flatMap(({ lines }) => lines),
      forgotten: pages.reduce((sum, { forgotten }) => sum + forgotten, 0),
    }
  }
}

/** As a name is kept: of a long one the beginning, in memory of its own, and what tells it from others that begin so. */
export function keptName(name: string): string {
  if (name.length <= LONGEST_NAME) return name
  return `${Buffer.from(name.slice(0, LONGEST_NAME))}…${Bun.hash(name).toString(36)}`
}

function pageOf(book: Map<string, Page>, name: string): Page {
  const known = book.get(name)
  if (known !== undefined) book.delete(name)
  else if (book.size === MOST_PAGES) book.delete(book.keys().next().value!)
  const page = known ?? { lines: [], forgotten: 0 }
  book.set(name, page)
  return page
}

/**
 * Keeps the log readable, and the disk that it is on, whatever others do: a line of a kind that they can cause as often as they like is
 * said a few times in ten seconds, of one source and of all; the rest is counted, and one line says how many those were.
 *
 * 1. The same for everybody: it stands before the logger, so that a service that embeds the broker has it as well, and before the words
 *    are put together, so that what is left out costs a look into a table.
 * 2. What differs in its reason is not the same: of each reason there are as many. Reasons are few, and ours, never a client's words.
 * 3. A source that has used up its part takes nothing from the others. Only a source that has had a line is remembered, so that the table
 *    is bounded by the lines; behind very many sources a line may be missing, never its count.
 * 4. What happens by itself (a full disk, a reload, a listener, a broken auth file) is of no kind, and always said.
 */
import { describeReason, type Reason, reasonName } from "../../codec/index.ts"
import { networkOf } from "../network.ts"
import type { Clock, LogDetails } from "../ports.ts"
import type { Timer, Timers } from "../timers.ts"
import type { LineLevel, LogArea } from "./areas.ts"
import { type Kind, type KindName, kinds } from "./kinds.ts"
import { brief } from "./who.ts"

const WINDOW_MS = 10_000
const MOST_OF_ALL = 50
const MOST_OF_ONE = 10
/** Windows that are over are looked for when there are so many. */
const MANY_WINDOWS = 100

/** What lines of a kind differ in: the reason, or which hook it was. */
export type Variant = Reason | string

/** Says that lines have been left out. */
type Summarize = (level: LineLevel, message: string, details: LogDetails & { readonly area: LogArea }) => void

interface Source {
  said: number
  omitted: number
}

/** Lines of a kind and a variant, from the first one on. */
class Window {
  said = 0
  omitted = 0
  /** Ends it, once something has been left out. */
  timer: Timer | undefined
  readonly sources = new Map<string, Source>()
  readonly name: KindName
  readonly variant: Variant
  readonly level: LineLevel
  readonly openedAt: number
  /** The source of the last line: a flood comes from one, most of the time. */
  private recentName = ""
  private recent: Source | undefined

  constructor(name: KindName, variant: Variant, level: LineLevel, openedAt: number) {
    this.name = name
    this.variant = variant
    this.level = level
    this.openedAt = openedAt
  }

  source(name: string): Source | undefined {
    if (name === this.recentName) return this.recent
    this.recentName = name
    this.recent = this.sources.get(name)
    return this.recent
  }

  add(name: string): void {
    this.recentName = name
    this.recent = { said: 1, omitted: 0 }
    this.sources.set(name, this.recent)
  }
}

export class Limiter {
  private readonly windows = new Map<KindName, Map<Variant, Window>>()
  private count = 0
  /** The window of the last line. */
  private recent: Window | undefined
  private readonly clock: Clock
  private readonly timers: Pick<Timers, "schedule">
  private readonly summarize: Summarize

  constructor(clock: Clock, timers: Pick<Timers, "schedule">, summarize: Summarize) {
    this.clock = clock
    this.timers = timers
    this.summarize = summarize
  }

  /** Whether there is room for a line; if not, it is counted. */
  admits(name: KindName, level: LineLevel, source: string, variant: Variant): boolean {
    const { ofOne = MOST_OF_ONE }: Kind = kinds[name]
    const window = this.window(name, variant) ?? this.open(name, variant, level)
    const from = brief(source)
    const known = window.source(from)
    if (window.said < MOST_OF_ALL && (known === undefined || known.said < ofOne)) {
      window.said++
      if (known === undefined) window.add(from)
      else known.said++
      return true
    }
    window.omitted++
    if (known !== undefined) known.omitted++
    if (window.timer === undefined) this.endLater(window)
    return false
  }

  /** Says now what has been left out. */
  flush(): void {
    for (const byVariant of this.windows.values()) for (const window of byVariant.values()) this.end(window)
  }

  private window(name: KindName, variant: Variant): Window | undefined {
    const { recent } = this
    const isRecent = recent !== undefined && recent.name === name && recent.variant === variant
    const window = isRecent ? recent : this.windows.get(name)?.get(variant)
    if (window === undefined || this.isOver(window)) return undefined
    this.recent = window
    return window
  }

  /** What has left something out is over when that is said. */
  private isOver({ omitted, openedAt }: Window): boolean {
    return omitted === 0 && this.clock.now() >= openedAt + WINDOW_MS
  }

  private open(name: KindName, variant: Variant, level: LineLevel): Window {
    if (this.count >= MANY_WINDOWS) this.sweep()
    const byVariant = this.windows.get(name) ?? new Map<Variant, Window>()
    const window = new Window(name, variant, level, this.clock.now())
    if (!byVariant.has(variant)) this.count++
    this.windows.set(name, byVariant.set(variant, window))
    this.recent = window
    return window
  }

  private sweep(): void {
    for (const byVariant of this.windows.values()) {
      for (const window of byVariant.values()) if (this.isOver(window)) this.remove(window)
    }
  }

  private endLater(window: Window): void {
    window.timer = this.timers.schedule(window.openedAt + WINDOW_MS, () => this.end(window))
  }

  private end(window: Window): void {
    const { name, variant } = window
    window.timer?.cancel()
    this.remove(window)
    if (window.omitted === 0) return
    const { area, many, source }: Kind = kinds[name]
    const seconds = Math.max(1, Math.round((this.clock.now() - window.openedAt) / 1000))
    const [reason, field] =
      typeof variant === "number" ? [describeReason(variant), reasonName(variant)] : [variant, variant]
    const [most, { omitted: count }] = busiest(window.sources)
    const whose = source === undefined ? `«${most}»` : `${source} ${most}`
    const of = `${count === window.omitted ? "all" : numeral(count)} of them ${whose}`
    const what = [many, ...(reason === "" ? [] : [reason]), ...(count > 0 ? [of] : [])].join(", ")
    const message = `… and ${numeral(window.omitted)} more like it (in ${seconds} s): ${what}`
    this.summarize(window.level, message, { area, omitted: window.omitted, ...(field !== "" && { reason: field }) })
  }

  private remove(window: Window): void {
    if (this.recent === window) this.recent = undefined
    if (this.windows.get(window.name)?.delete(window.variant)) this.count--
  }
}

/** The source of which the most lines have been left out. */
function busiest(sources: ReadonlyMap<string, Source>): [string, Source] {
  return [...sources].reduce((most, each) => (each[1].omitted > most[1].omitted ? each : most))
}

function numeral(count: number): string {
  return count.toLocaleString("en-US")
}

/** The network that an address is in, which counts as one source; of what is no address, itself. */
export function sourceOf(address: string): string {
  const network = networkOf(address)
  if (network === undefined) return brief(address)
  return network.includes(":") ? `${network}::/64` : network
}

/**
 * The broker's log: in front of the logger that it has been given, if any. It knows which lines are kept, by level and area, lets others
 * watch for a while, as the dashboard's log does, and holds back floods.
 *
 * Whoever has a line that others can cause asks `admits` first, and puts its words together only then.
 */
import type { Clock, LogDetails, Logger } from "../ports.ts"
import type { Timers } from "../timers.ts"
import { type AreaLevels, type LineLevel, type LogArea, type LogLevel, logLevels, rankOf } from "./areas.ts"
import { type Say, sayingWith } from "./fit.ts"
import { type KindName, kinds } from "./kinds.ts"
import { Limiter, type Variant } from "./limiter.ts"

/** The details of a line as the broker says it. */
export type LineDetails = LogDetails & { readonly area: LogArea }
/** Sees the lines of the log, whatever the logger keeps of them. */
export type LogWatcher = (level: LineLevel, message: string, details: LineDetails) => void

export class Log {
  /** Of areas without one of their own. Undefined: the logger's. */
  private general: LogLevel | undefined
  private byArea: AreaLevels = {}
  private watchers: readonly LogWatcher[] = []
  private readonly limiter: Limiter
  private readonly logger: Logger | undefined
  private readonly tell: Say | undefined

  constructor(logger: Logger | undefined, clock: Clock, timers: Pick<Timers, "schedule">) {
    this.logger = logger
    this.tell = logger && sayingWith(logger)
    this.limiter = new Limiter(clock, timers, (level, message, details) => this.say(level, message, details))
  }

  /** What is kept of areas without a level of their own; undefined: there is no logger, or its level is none of ours. */
  get level(): LogLevel | undefined {
    if (this.logger === undefined) return undefined
    const level = this.general ?? this.logger.level ?? "debug"
    return logLevels.find((each) => each === level)
  }

  get areas(): AreaLevels {
    return { ...this.byArea }
  }

  /** False: there is no logger. */
  setLevels(level: LogLevel, areas: AreaLevels): boolean {
    const { logger } = this
    if (logger === undefined) return false
    const hasOwn = logger.level !== undefined
    this.general = hasOwn && Object.keys(areas).length === 0 ? undefined : level
    this.byArea = { ...areas }
    const least = Math.min(...[level, ...Object.values(areas)].map(rankOf))
    if (hasOwn) logger.level = logLevels[least]
    return true
  }

  /** Tells `watcher` every line until the returned function is called. It must not throw, and must not log. */
  watch(watcher: LogWatcher): () => void {
    this.watchers = [...this.watchers, watcher]
    return () => {
      this.watchers = this.watchers.filter((each) => each !== watcher)
    }
  }

  /**
   * Whether a line of a kind is to be put together and said now. `source`: whom it is about, as far as that matters; `variant`: what tells it
   * from others of its kind, of which there are few.
   */
  admits(name: KindName, level: LineLevel, source: string, variant: Variant = ""): boolean {
    const isWanted = this.watchers.length > 0 || this.isKept(level, kinds[name].area)
    return isWanted && this.limiter.admits(name, level, source, variant)
  }

  /** Says how much has been left out. */
  flush(): void {
    this.limiter.flush()
  }

  debug(message: string, details: LineDetails): void {
    this.say("debug", message, details)
  }

  info(message: string, details: LineDetails): void {
    this.say("info", message, details)
  }

  warn(message: string, details: LineDetails): void {
    this.say("warn", message, details)
  }

  error(message: string, details: LineDetails): void {
    this.say("error", message, details)
  }

  /** A logger for others, whose lines are of that area unless they say another. */
  of(area: LogArea): Logger {
    const line = (level: LineLevel) => (message: string, details?: LogDetails) =>
      this.say(level, message, { ...details, area: details?.area ?? area })
    return { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") }
  }

  private isKept(level: LineLevel, area: LogArea): boolean {
    if (this.logger === undefined) return false
    return rankOf(level) >= rankOf(this.byArea[area] ?? this.general ?? this.logger.level ?? "debug")
  }

  private say(level: LineLevel, message: string, details: LineDetails): void {
    if (this.isKept(level, details.area)) this.tell!(level, message, details)
    for (const watch of this.watchers) watch(level, message, details)
  }
}

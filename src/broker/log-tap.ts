import type { Logger } from "./ports.ts"

type Level = "debug" | "info" | "warn" | "error"

/** Sees every line of the log, whatever the logger keeps of them. */
export type LogWatcher = (level: Level, ...line: Parameters<Logger["info"]>) => void

/** The logger that the broker has been given, and whoever looks at what it says for a while: the dashboard's log. */
export class LogTap implements Logger {
  private watchers: readonly LogWatcher[] = []
  private readonly logger: Logger

  constructor(logger: Logger) {
    this.logger = logger
  }

  get level(): string | undefined {
    return this.logger.level
  }

  set level(level: string | undefined) {
    this.logger.level = level
  }

  /** Tells `watcher` every line until the returned function is called. It must not throw, and must not log. */
  watch(watcher: LogWatcher): () => void {
    this.watchers = [...this.watchers, watcher]
    return () => {
      this.watchers = this.watchers.filter((each) => each !== watcher)
    }
  }

  debug(...line: Parameters<Logger["info"]>): void {
    this.say("debug", line)
  }

  info(...line: Parameters<Logger["info"]>): void {
    this.say("info", line)
  }

  warn(...line: Parameters<Logger["info"]>): void {
    this.say("warn", line)
  }

  error(...line: Parameters<Logger["info"]>): void {
    this.say("error", line)
  }

  private say(level: Level, line: Parameters<Logger["info"]>): void {
    this.logger[level](...line)
    for (const watch of this.watchers) watch(level, ...line)
  }
}

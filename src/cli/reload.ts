/**
 * The configuration while the broker runs: its file is read again when it has changed, or when somebody asks for it. Limits and the level
 * of the log then hold at once; what else is another is told of, and waits for the next start. A bad file changes nothing.
 */
import type { ReloadReport } from "../broker/admin.ts"
import type { Broker } from "../broker/broker.ts"
import { systemClock } from "../broker/clock.ts"
import type { LimitName } from "../broker/limits.ts"
import type { Logger } from "../broker/ports.ts"
import { FileWatch } from "../broker/watch.ts"
import { differencesOf, flat } from "../config/compare.ts"
import { ConfigurationError } from "../config/errors.ts"
import { type Configuration, type Given, load } from "../config/load.ts"

const UNCHANGED: ReloadReport = { changed: [], needRestart: [] }

export class LiveConfiguration {
  private readonly given: Given
  private readonly file: string | undefined
  /** What holds, by key. */
  private readonly holding: Map<string, string>
  private readonly broker: () => Broker
  private readonly logger: Logger

  constructor(given: Given, configuration: Configuration, broker: () => Broker, logger: Logger) {
    this.given = given
    this.file = configuration.file?.path
    this.holding = flat(configuration)
    this.broker = broker
    this.logger = logger
  }

  /** Reads the file again whenever it has changed. */
  watch(): void {
    const { file } = this
    if (file === undefined) return
    new FileWatch(systemClock()).watch(file, () => {
      this.reload().catch((error) => this.complain(error))
    })
  }

  /** Reads it again and says what has come of it. Throws a `ConfigurationError`. */
  async reload(): Promise<ReloadReport> {
    if (this.file === undefined) return UNCHANGED
    const { admin } = this.broker()
    const { limits, logLevel, others } = differencesOf(this.holding, await load(this.given))
    const { needRestart: late } = admin.setLimits(limits)
    const keys = Object.keys(limits) as LimitName[]
    const changed = keys.filter((name) => !late.includes(name)).map((name) => `limits.${name}`)
    for (const name of changed)
      this.holding.set(name, JSON.stringify(limits[name.slice("limits.".length) as LimitName]))
    if (logLevel !== undefined) {
      admin.setLogLevel(logLevel)
      this.holding.set("logLevel", JSON.stringify(logLevel))
      changed.push("logLevel")
    }
    const needRestart = [...late.map((name) => `limits.${name}`), ...others]
    this.logger.info(`${this.file}: read again${listed("; now another: ", changed)}`)
    if (needRestart.length > 0) this.logger.warn(`${this.file}: takes a restart${listed(": ", needRestart)}`)
    return { changed, needRestart }
  }

  /** Says why it could not be read again. */
  complain(error: unknown): void {
    const lines = error instanceof ConfigurationError ? error.lines : [String(error)]
    for (const line of lines) this.logger.error(line)
    if (this.file !== undefined) this.logger.error(`${this.file}: what it said before stays in force`)
  }
}

function listed(before: string, keys: readonly string[]): string {
  return keys.length === 0 ? "" : before + keys.join(", ")
}

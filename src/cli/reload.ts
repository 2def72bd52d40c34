/**
 * The configuration while the broker runs: its file is read again when it has changed, or when somebody asks for it. Limits and the levels
 * of the log then hold at once; what else is another is told of, and waits for the next start. A bad file changes nothing.
 */
import type { ReloadReport } from "../broker/admin.ts"
import type { Broker } from "../broker/broker.ts"
import { systemClock } from "../broker/clock.ts"
import type { LimitName } from "../broker/limits.ts"
import { FileWatch } from "../broker/watch.ts"
import { differencesOf, flat } from "../config/compare.ts"
import { ConfigurationError } from "../config/errors.ts"
import { type Configuration, type Given, load } from "../config/load.ts"

const UNCHANGED: ReloadReport = { changed: [], needRestart: [] }

export class LiveConfiguration {
  private readonly given: Given
  private readonly file: string | undefined
  /** What holds, by key. */
  private readonly holding: Map<string, string | undefined>
  private readonly broker: () => Broker

  constructor(given: Given, configuration: Configuration, broker: () => Broker) {
    this.given = given
    this.file = configuration.file?.path
    this.holding = flat(configuration)
    this.broker = broker
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
    const { admin, logger } = this.broker()
    const configuration = await load(this.given)
    const { limits, logLevels, others } = differencesOf(this.holding, configuration)
    const { needRestart: late } = admin.setLimits(limits)
    const keys = Object.keys(limits) as LimitName[]
    const changed = keys.filter((name) => !late.includes(name)).map((name) => `limits.${name}`)
    for (const name of changed)
      this.holding.set(name, JSON.stringify(limits[name.slice("limits.".length) as LimitName]))
    const { logLevel, logAreas } = configuration.values
    if (logLevels.size > 0) admin.setLogLevel(logLevel, logAreas)
    for (const [name, value] of logLevels) this.holding.set(name, value)
    changed.push(...logLevels.keys())
    const needRestart = [...late.map((name) => `limits.${name}`), ...others]
    logger.info(`${this.file}: read again${listed("; now another: ", changed)}`)
    if (needRestart.length > 0) logger.warn(`${this.file}: takes a restart${listed(": ", needRestart)}`)
    return { changed, needRestart }
  }

  /** Says why it could not be read again. */
  complain(error: unknown): void {
    const { logger } = this.broker()
    const lines = error instanceof ConfigurationError ? error.lines : [String(error)]
    for (const line of lines) logger.error(line)
    if (this.file !== undefined) logger.error(`${this.file}: what it said before stays in force`)
  }
}

function listed(before: string, keys: readonly string[]): string {
  return keys.length === 0 ? "" : before + keys.join(", ")
}

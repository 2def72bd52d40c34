/** What a line of the log is about, and how important it is. */
import { ManjuError } from "../errors.ts"

/** From the least important line to none at all. */
export const logLevels = ["debug", "info", "warn", "error", "silent"] as const

/** Which lines a log keeps: those of the level, and more important ones. */
export type LogLevel = (typeof logLevels)[number]
/** How important a line is. */
export type LineLevel = Exclude<LogLevel, "silent">

/** The areas, and what is said in each. */
export const logAreas = {
  client: "who comes in, is refused and goes, and sessions that end",
  auth: "files of passwords and rules that are read again, services that do not answer, operators who are refused",
  message: "messages that are dropped, subscriptions that are refused",
  listener: "certificates, handshakes that fail, pages that are refused",
  store: "a disk that is full, and that works again",
  broker: "all else: start and stop, what has been read again, hooks that fail",
} as const

/** What a line is about; the level of each can be another. */
export type LogArea = keyof typeof logAreas
/** Levels of areas that have one of their own. */
export type AreaLevels = Readonly<Partial<Record<LogArea, LogLevel>>>

const ranks: Readonly<Record<string, number>> = { debug: 0, info: 1, warn: 2, error: 3, silent: 4 }

/** How important a level is, 0 to 4; a name that is none of ours, such as pino's `trace`, keeps everything. */
export function rankOf(level: string): number {
  return ranks[level] ?? 0
}

/** Throws `INVALID_OPTION` for what is no level. */
export function checkLogLevel(level: unknown): void {
  if (logLevels.some((each) => each === level)) return
  throw new ManjuError("INVALID_OPTION", `a level is one of ${logLevels.join(", ")}, not ${Bun.inspect(level)}`)
}

/** Throws `INVALID_OPTION` for what is no area. */
export function checkLogArea(area: string): void {
  if (Object.hasOwn(logAreas, area)) return
  const known = Object.keys(logAreas).join(", ")
  throw new ManjuError("INVALID_OPTION", `an area of the log is one of ${known}, not ${Bun.inspect(area)}`)
}

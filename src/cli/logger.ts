import pc from "picocolors"
import type { Logger } from "../broker/ports.ts"
import { type LogLevel, logLevels } from "../config.ts"

const paint: Record<keyof Logger, (text: string) => string> = {
  debug: pc.gray,
  info: (text) => text,
  warn: pc.yellow,
  error: pc.red,
}

/** Lines for people on standard error: the time, the level where it matters, the message. */
export function consoleLogger(level: LogLevel): Logger {
  const least = logLevels.indexOf(level)
  const line = (name: keyof Logger) => (message: string) => {
    if (logLevels.indexOf(name) < least) return
    const time = new Date().toISOString().slice(11, 23)
    console.error(`${pc.dim(time)} ${paint[name](name === "info" ? message : `${name}: ${message}`)}`)
  }
  return { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") }
}

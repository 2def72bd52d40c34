import type { Logger } from "../broker/ports.ts"
import { type LogLevel, logLevels } from "../config/schema.ts"
import { complain, type Style, styled } from "./stderr.ts"

type LineLevel = Exclude<LogLevel, "silent">

const styles: Record<LineLevel, Style | undefined> = { debug: "gray", info: undefined, warn: "yellow", error: "red" }

/**
 * Lines on standard error. For people: the time in UTC, the level where it matters, the message. As JSON: an object with `time`, `level` and
 * `message` in each.
 */
export function consoleLogger(level: LogLevel, format: "human" | "json" = "human"): Logger {
  const line = (name: LineLevel) => (message: string) => {
    if (logLevels.indexOf(name) < logLevels.indexOf(logger.level as LogLevel)) return
    const time = new Date().toISOString()
    complain(format === "json" ? JSON.stringify({ time, level: name, message }) : forPeople(name, time, message))
  }
  const logger: Logger = { level, debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") }
  return logger
}

function forPeople(name: LineLevel, time: string, message: string): string {
  const text = name === "info" ? message : `${name}: ${message}`
  return `${styled("dim", time.slice("2026-01-01T".length))} ${styled(styles[name], printable(text))}`
}

/**
 * Clients choose their names: none may move the cursor, turn the text around, or write what looks like a line of its own. The
 * lines of a stack trace alone stay lines, which begin as no other does.
 */
function printable(text: string): string {
  return text.replaceAll(/(?!\n {4}at )[\p{C}\p{Zl}\p{Zp}]/gu, (character) => {
    const code = character.codePointAt(0)!.toString(16)
    return code.length > 2 ? `\\u{${code}}` : `\\x${code.padStart(2, "0")}`
  })
}

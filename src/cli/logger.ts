import { printableLine } from "../broker/log/printable.ts"
import type { LogDetails, Logger } from "../broker/ports.ts"
import type { Config } from "../config/schema.ts"
import { complain, type Style, styled } from "./stderr.ts"

export type LogFormat = Exclude<Config["logFormat"], "auto">
type LineLevel = "debug" | "info" | "warn" | "error"

const styles: Record<LineLevel, Style | undefined> = { debug: "gray", info: undefined, warn: "yellow", error: "red" }

/** For people where standard error is a terminal; where a program reads it, a journal or a container's log, JSON. */
export function logFormatOf(format: Config["logFormat"], isTerminal = process.stderr.isTTY): LogFormat {
  if (format !== "auto") return format
  return isTerminal ? "human" : "json"
}

/**
 * Lines on standard error. For people: the time in UTC, the level where it matters, the message. As JSON: an object with `time`, `level`,
 * `message` and the details in each. Which lines there are the broker decides, which has the levels.
 */
export function consoleLogger(format: LogFormat): Logger {
  const line = (level: LineLevel) => (message: string, details?: LogDetails) => {
    const time = new Date().toISOString()
    const text =
      format === "json" ? JSON.stringify({ time, level, message, ...details }) : forPeople(level, time, message)
    complain(text)
  }
  return { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") }
}

function forPeople(level: LineLevel, time: string, message: string): string {
  const text = level === "info" ? message : `${level}: ${message}`
  return `${styled("dim", time.slice("2026-01-01T".length))} ${styled(styles[level], printableLine(text))}`
}

import { describe, expect, test } from "bun:test"
import { LogTap } from "../../src/broker/log-tap.ts"
import type { Logger } from "../../src/broker/ports.ts"

function tapped() {
  const logged: string[] = []
  const note = (level: string) => (message: string) => void logged.push(`${level} ${message}`)
  const logger: Logger = { debug: note("debug"), info: note("info"), warn: note("warn"), error: note("error") }
  return { logger, logged, tap: new LogTap(logger) }
}

describe("a tapped logger", () => {
  test("says what it is told, and so does whoever watches, for as long as that", () => {
    const { logged, tap } = tapped()
    const seen: string[] = []
    const end = tap.watch((level, message) => void seen.push(`${level} ${message}`))
    for (const level of ["debug", "info", "warn", "error"] as const) tap[level]("line")
    end()
    tap.info("later")
    const lines = ["debug line", "info line", "warn line", "error line"]
    expect([logged, seen]).toEqual([[...lines, "info later"], lines])
  })

  test("has the level of the one it stands for", () => {
    const { logger, tap } = tapped()
    expect(tap.level).toBeUndefined()
    tap.level = "warn"
    expect(logger.level).toBe("warn")
  })

  test("is called on the logger, which may be an instance of a class", () => {
    class Counting implements Logger {
      lines = 0
      debug() {}
      info() {
        this.lines++
      }
      warn() {}
      error() {}
    }
    const logger = new Counting()
    new LogTap(logger).info("x")
    expect(logger.lines).toBe(1)
  })
})

/** Which lines a log keeps, how loggers of different makes get them, and who watches. */
import { describe, expect, spyOn, test } from "bun:test"
import pino from "pino"
import { type LogArea, logAreas, logLevels } from "../../../src/broker/log/areas.ts"
import { Log } from "../../../src/broker/log/log.ts"
import type { LogDetails, Logger } from "../../../src/broker/ports.ts"
import { Timers } from "../../../src/broker/timers.ts"
import { ManualClock } from "../../../src/testing/clock.ts"

const broker = { area: "broker" } as const

function logOf(logger: Logger | undefined): Log {
  const clock = new ManualClock()
  const timers = new Timers(clock, (error) => {
    throw error
  })
  return new Log(logger, clock, timers)
}

function noting(more: Pick<Logger, "level"> = {}) {
  const logged: string[] = []
  const details: (LogDetails | undefined)[] = []
  const note = (level: string) => (message: string, about?: LogDetails) => {
    logged.push(`${level} ${message}`)
    details.push(about)
  }
  const logger: Logger = { debug: note("debug"), info: note("info"), warn: note("warn"), error: note("error"), ...more }
  return { logger, logged, details, log: logOf(logger) }
}

const lineLevels = logLevels.filter((level) => level !== "silent")

/** Says a line of each level in some areas, and gives which are kept. */
function kept(log: Log, logged: string[], areas: LogArea[]): string[] {
  logged.length = 0
  for (const area of areas) for (const level of lineLevels) log[level](area, { area })
  return [...logged]
}

describe("a line is kept", () => {
  for (const [at, least] of logLevels.entries())
    test(`at ${least}: if it is as important as that`, () => {
      const { log, logged } = noting()
      log.setLevels(least, {})
      const expected = lineLevels.slice(at).map((level) => `${level} client`)
      expect(kept(log, logged, ["client"])).toEqual(expected)
    })

  test("in an area with a level of its own by that, in the others by the level of all", () => {
    const { log, logged } = noting()
    log.setLevels("warn", { auth: "debug", message: "silent" })
    expect(kept(log, logged, ["auth", "message", "client"])).toEqual([
      ...["debug auth", "info auth", "warn auth", "error auth"],
      ...["warn client", "error client"],
    ])
    log.setLevels("error", {})
    expect(kept(log, logged, ["auth", "message"])).toEqual(["error auth", "error message"])
  })

  test("always, until somebody says which, by a logger without a level", () => {
    const { log, logged } = noting()
    expect(log.level).toBe("debug")
    expect(kept(log, logged, ["store"])).toHaveLength(4)
  })

  test("by a logger with a level as that says, also when it is changed there", () => {
    const { logger, log, logged } = noting({ level: "warn" })
    expect([log.level, kept(log, logged, ["store"])]).toEqual(["warn", ["warn store", "error store"]])
    logger.level = "error"
    expect([log.level, kept(log, logged, ["store"])]).toEqual(["error", ["error store"]])
  })

  test("by none where there is no logger, which has no level and takes none", () => {
    const log = logOf(undefined)
    log.error("unheard", broker)
    expect([log.level, log.setLevels("debug", {}), log.admits("fault", "error", "")]).toEqual([undefined, false, false])
  })
})

describe("a logger's own level", () => {
  test("becomes the least of those of all areas: it must not hold back what one keeps", () => {
    const { logger, log } = noting({ level: "info" })
    log.setLevels("error", { auth: "debug", client: "silent" })
    expect([logger.level, log.level, log.areas]).toEqual(["debug", "error", { auth: "debug", client: "silent" }])
    log.setLevels("warn", {})
    expect([logger.level, log.level, log.areas]).toEqual(["warn", "warn", {}])
  })

  test("that is none of ours is not told; the logger itself knows what it keeps", () => {
    const { log, logged } = noting({ level: "trace" })
    expect([log.level, kept(log, logged, ["store"]).length]).toEqual([undefined, 4])
  })
})

test("what is not kept is not put together, unless somebody watches", () => {
  const { log } = noting({ level: "warn" })
  expect(log.admits("connected", "info", "192.0.2.1")).toBe(false)
  const end = log.watch(() => {})
  expect(log.admits("connected", "info", "192.0.2.1")).toBe(true)
  end()
  expect(log.admits("connected", "info", "192.0.2.1")).toBe(false)
})

describe("who watches", () => {
  test("sees every line, whatever is kept of it, for as long as that", () => {
    const { log, logged } = noting()
    log.setLevels("warn", {})
    const seen: unknown[] = []
    const end = log.watch((...line) => void seen.push(line))
    for (const level of lineLevels) log[level]("line", { ...broker, clientId: "a" })
    end()
    log.error("later", broker)
    expect(seen).toEqual(lineLevels.map((level) => [level, "line", { area: "broker", clientId: "a" }]))
    expect(logged).toEqual(["warn line", "error line", "error later"])
  })

  test("sees them also where there is no logger", () => {
    const log = logOf(undefined)
    const seen: string[] = []
    log.watch((_, message) => void seen.push(message))
    log.info("line", broker)
    expect(seen).toEqual(["line"])
  })
})

describe("the logger for others", () => {
  test("stamps its area on lines that say none", () => {
    const { log, details } = noting()
    const logger = log.of("auth")
    logger.info("read again")
    logger.warn("of another", { area: "message", topic: "a" })
    expect(details).toEqual([{ area: "auth" }, { area: "message", topic: "a" }])
  })

  test("goes by the level of that area", () => {
    const { log, logged } = noting()
    log.setLevels("error", { auth: "info" })
    log.of("auth").info("read again")
    log.of("broker").info("read again")
    expect(logged).toEqual(["info read again"])
  })
})

describe("a line gets to", () => {
  const details = { area: "client", clientId: "%o", username: "ada" } as const
  const line = "connected %o, user ada\u001b[31m\n12:00:00 error: fire"

  test("a logger as ours, with the details behind it, called as a method", () => {
    class Noting implements Logger {
      lines: unknown[] = []
      debug() {}
      info(...line: unknown[]) {
        this.lines.push(line)
      }
      warn() {}
      error() {}
    }
    const logger = new Noting()
    logOf(logger).info(line, details)
    expect(logger.lines).toEqual([[line, details]])
  })

  test("console alone, and what a stranger has written moves no cursor", () => {
    const said = spyOn(console, "info").mockImplementation(() => {})
    logOf(console).info(line, details)
    const { calls } = said.mock
    said.mockRestore()
    expect(calls).toEqual([["connected %o, user ada\\x1b[31m\\x0a12:00:00 error: fire"]])
  })

  test("pino with the details in front: they are fields there, and nothing in the message is filled in", () => {
    const written: string[] = []
    const logger = pino({ level: "debug" }, { write: (text: string) => void written.push(text) })
    const log = logOf(logger)
    log.info(line, details)
    logOf(logger.child({ service: "gateway" })).error("child", broker)
    const [first, second] = written.map((text) => JSON.parse(text))
    expect(first).toMatchObject({ level: 30, msg: line, ...details })
    expect(second).toMatchObject({ level: 50, msg: "child", service: "gateway", area: "broker" })
  })

  test("pino at the level that an area has", () => {
    const written: string[] = []
    const logger = pino({ level: "error" }, { write: (text: string) => void written.push(JSON.parse(text).msg) })
    const log = logOf(logger)
    log.setLevels("error", { auth: "debug" })
    log.debug("of auth", { area: "auth" })
    log.debug("of the broker", broker)
    expect([written, logger.level]).toEqual([["of auth"], "debug"])
  })
})

test("every area says what it is about", () => {
  expect(Object.values(logAreas).every((about) => about.length > 10)).toBe(true)
})

/** Loggers take what is to be said in different ways; three are known here, whatever else there is takes them as `Logger` says. */
import { Console } from "node:console"
import type { LogDetails, Logger } from "../ports.ts"
import type { LineLevel } from "./areas.ts"
import { printableLine } from "./printable.ts"

/** Says a line. */
export type Say = (level: LineLevel, message: string, details: LogDetails) => void

/** pino's methods: first an object with fields, then the message. */
type DetailsFirst = Record<LineLevel, (details: LogDetails, message: string) => void>

export function sayingWith(logger: Logger): Say {
  // For people: the message names who, and an object behind it would take lines of its own, and let a `%o` in a topic show it.
  if (logger instanceof Console) return (level, message) => logger[level](printableLine(message))
  if (isLikePino(logger)) return (level, message, details) => logger[level](details, message)
  return (level, message, details) => logger[level](message, details)
}

/** Whether it is pino, or a child of one, such as Fastify's `log`: nothing else has both. */
function isLikePino(logger: object): logger is DetailsFirst {
  const { bindings, child } = logger as { bindings?: unknown; child?: unknown }
  return typeof bindings === "function" && typeof child === "function"
}

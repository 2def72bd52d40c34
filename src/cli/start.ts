/** `manju start`: a broker as the configuration has it, until a signal ends it. */
import { Broker } from "../broker/broker.ts"
import { ManjuError } from "../broker/errors.ts"
import type { Logger } from "../broker/ports.ts"
import { type Configuration, type Given, load } from "../config/load.ts"
import { nameOf, nodeAt } from "../config/tree.ts"
import { sqlite } from "../store/sqlite/index.ts"
import { announcement, type Opened } from "./announcement.ts"
import { type Door, openableDoors, portFlags, problemAt } from "./doors.ts"
import { consoleLogger } from "./logger.ts"
import { LiveConfiguration } from "./reload.ts"

/** Runs a broker until SIGTERM or SIGINT; resolves with the exit code. Throws a `ConfigurationError` with all that is wrong. */
export async function start(given: Given): Promise<number> {
  const configuration = await load(given)
  const { values, warnings } = configuration
  const doors = await openableDoors(configuration)
  const logger = consoleLogger(values.logLevel, values.logFormat)
  const { data, durability, limits, validatePayloadFormat } = values
  const store = data === undefined ? {} : { store: sqlite(data, { durability }) }
  const live = new LiveConfiguration(given, configuration, () => broker, logger)
  const onReload = () => live.reload()
  const broker: Broker = new Broker({ limits, validatePayloadFormat, ...store, logger, onReload })
  await broker.open()
  const opened: Opened[] = []
  for (const door of doors) {
    const address = await open(broker, door, configuration, logger)
    if (address !== undefined) opened.push({ config: door.config, address })
  }
  for (const warning of warnings) logger.warn(warning)
  console.log(announcement(opened, values))
  live.watch()
  process.on("SIGHUP", () => {
    logger.info("SIGHUP: files are read again")
    broker.admin.reload().catch((error) => live.complain(error))
  })
  await stopSignal()
  logger.info("stopping; once more to stop at once")
  await Promise.race([broker.close(), stopSignal()])
  return 0
}

/** Opens a listener. Undefined: its port is in use, or takes privileges, and it is left out. */
async function open(broker: Broker, door: Door, configuration: Configuration, logger: Logger) {
  try {
    return await broker.listen(door.listener)
  } catch (error) {
    if (!(error instanceof ManjuError)) throw error
    const { code, message, cause } = error
    const flag = portFlags[door.config.type]
    if (door.isOptional && code === "LISTEN_FAILED") {
      logger.warn(`${message}: left out; ${flag} takes another port, ${flag?.replace("--", "--no-")} none`)
      return undefined
    }
    const isPort = ["EADDRINUSE", "EACCES"].includes((cause as { code?: string } | undefined)?.code ?? "")
    const { text } = problemAt(configuration, door.path, message)
    throw new ManjuError(code, isPort ? `${text}; ${portName(door, configuration)} takes another port` : text, {
      cause: error,
    })
  }
}

/** What sets the port of a listener. */
function portName({ path, config }: Door, { tree }: Configuration): string {
  const port = [...path, "port"]
  const source = nodeAt(tree, port)?.source
  const isStandard = nodeAt(tree, path)?.source.kind === "default" && source?.kind !== "variable"
  return (isStandard ? portFlags[config.type] : undefined) ?? nameOf(port, source ?? { kind: "default" })
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    process.once("SIGTERM", () => resolve())
    process.once("SIGINT", () => resolve())
  })
}

/** `manju start`: a broker as the configuration has it, until a signal ends it. */
import { Broker } from "../broker/broker.ts"
import { ManjuError } from "../broker/errors.ts"
import type { ListenerAddress } from "../broker/options.ts"
import type { Logger, Store } from "../broker/ports.ts"
import { type Configuration, type Given, load } from "../config/load.ts"
import type { Config } from "../config/schema.ts"
import { nameOf, nodeAt } from "../config/tree.ts"
import { announcement, type Opened } from "./announcement.ts"
import { type Door, openableDoors, portFlags, problemAt } from "./doors.ts"
import { complaintsOf, exitCodeOf, USAGE } from "./failure.ts"
import { consoleLogger, logFormatOf } from "./logger.ts"
import { LiveConfiguration } from "./reload.ts"
import type { ServiceManager } from "./service-manager/manager.ts"
import { StopSignals, stop } from "./stop.ts"

/** Runs a broker until SIGTERM or SIGINT; resolves with the exit code. Throws a `ConfigurationError` with all that is wrong. */
export async function start(given: Given): Promise<number> {
  const signals = new StopSignals() // at once: nothing else ends the first process of a container, also while it starts
  const configuration = await load(given)
  const { values, warnings } = configuration
  const doors = await openableDoors(configuration)
  const format = logFormatOf(values.logFormat)
  const logger = consoleLogger(format)
  const { data, durability, limits, validatePayloadFormat, stopTimeoutSeconds } = values
  const store = data === undefined ? {} : { store: await storeIn(data, durability) }
  const live = new LiveConfiguration(given, configuration, () => broker)
  const onReload = () => live.reload()
  const broker: Broker = new Broker({ limits, validatePayloadFormat, ...store, logger, onReload })
  broker.admin.setLogLevel(values.logLevel, values.logAreas)
  const manager = await serviceManager(broker.logger)
  const reload = async () => {
    broker.logger.info("SIGHUP: files are read again")
    manager?.reloading()
    await broker.admin.reload().catch((error) => live.complain(error))
    manager?.reloaded()
  }
  try {
    const opened = await Promise.race([openAll(broker, doors, configuration), signals.first])
    if (typeof opened !== "string") {
      const said = announcement(opened, values)
      const [first] = Bun.stripANSI(said).split("\n") as [string]
      for (const warning of warnings) broker.logger.warn(warning)
      console.log(said)
      if (format === "json") broker.logger.info(first)
      live.watch()
      process.on("SIGHUP", reload)
      manager?.ready(first)
      manager?.watch(() => broker.heartbeat())
    }
  } catch (error) {
    if (format === "human" || exitCodeOf(error) === USAGE) throw error // what somebody has typed is for a person
    // Whoever reads the log finds there why there is no more of it, whatever its level.
    for (const line of complaintsOf(error) ?? [(error as Error).stack]) logger.error(line!, { area: "broker" })
    return exitCodeOf(error)
  }
  const name = await signals.first
  process.on("SIGHUP", () => {}).off("SIGHUP", reload) // from now on there is nothing to be read again
  broker.logger.info(`${name}: stopping; once more to stop at once`)
  const timeoutMs = stopTimeoutSeconds * 1000
  manager?.stopping(timeoutMs)
  return stop(broker, signals, timeoutMs)
}

/** Whoever has asked to be told how it goes; nobody, where that cannot be done. */
async function serviceManager(logger: Logger): Promise<ServiceManager | undefined> {
  const { NOTIFY_SOCKET: socket = "" } = process.env
  if (socket === "" || process.platform !== "linux") return undefined
  const complain = (line: string) => logger.warn(line)
  try {
    const { ServiceManager } = await import("./service-manager/manager.ts") // which most starts do without
    return new ServiceManager(socket, process.env, { pid: process.pid, complain })
  } catch (error) {
    complain(`NOTIFY_SOCKET ${socket} cannot be used: ${(error as Error).message}`)
    return undefined
  }
}

/** Loaded for those alone who have one. */
async function storeIn(path: string, durability: Config["durability"]): Promise<Store> {
  const { sqlite } = await import("../store/sqlite/index.ts")
  return sqlite(path, { durability })
}

/**
 * How many times as much as JavaScriptCore thinks a function has to run before it is compiled. A broker lives for months, and what counts runs a
 * thousand times in its first second of work; to compile at once whatever a start or the first clients come by takes the processor from those
 * who wait: with a core to itself the broker lets the first thousand clients in half as fast again so, for a third less memory each.
 */
const PATIENCE = 32

/** Opens the listeners, those for health checks last: what they answer holds for all. Gives them in their order. */
async function openAll(broker: Broker, doors: readonly Door[], configuration: Configuration): Promise<Opened[]> {
  Bun.unsafe.setJITPolicy(PATIENCE) // a binary has begun with more of it: what runs once, as all until here, is not worth the work
  await broker.open()
  const addresses = new Map<Door, ListenerAddress | undefined>()
  const isLast = ({ config }: Door) => config.type === "http"
  for (const door of [...doors.filter((each) => !isLast(each)), ...doors.filter(isLast)]) {
    addresses.set(door, await open(broker, door, configuration))
  }
  return doors.flatMap((door) => {
    const address = addresses.get(door)
    return address === undefined ? [] : [{ config: door.config, address }]
  })
}

/** Opens a listener. Undefined: its port is in use, or takes privileges, and it is left out. */
async function open(broker: Broker, door: Door, configuration: Configuration) {
  try {
    return await broker.listen(door.listener)
  } catch (error) {
    if (!(error instanceof ManjuError)) throw error
    const { code, message, cause } = error
    const flag = portFlags[door.config.type]
    if (door.isOptional && code === "LISTEN_FAILED") {
      const line = `${message}: left out; ${flag} takes another port, ${flag?.replace("--", "--no-")} none`
      broker.logger.warn(line, { area: "listener", listener: door.listener.id })
      return undefined
    }
    const isPort =
      door.config.type !== "unix" &&
      ["EADDRINUSE", "EACCES"].includes((cause as { code?: string } | undefined)?.code ?? "")
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

import pc from "picocolors"
import { version } from "../../package.json" with { type: "json" }
import { allowAll } from "../auth/allow.ts"
import { Broker } from "../broker/broker.ts"
import { assertGuarded, brokerOptions, listenerLimits, type StartFlags } from "../config.ts"
import { tcp } from "../listeners/tcp.ts"
import { dashboard } from "../listeners/web.ts"
import { sqlite } from "../store/sqlite/index.ts"
import { consoleLogger } from "./logger.ts"

/** `manju start`: runs a broker until SIGTERM or SIGINT; resolves with the exit code. */
export async function start(flags: StartFlags): Promise<number> {
  assertGuarded(flags)
  const logger = consoleLogger(flags.logLevel)
  const store = flags.data === undefined ? {} : { store: sqlite(flags.data, { durability: flags.durability }) }
  const broker = new Broker({ ...brokerOptions(flags), ...store, logger })
  await broker.open()
  const listener = tcp({ hostname: flags.host, port: flags.tcp, auth: allowAll(), limits: listenerLimits(flags) })
  const { hostname, port } = await broker.listen(listener)
  const health =
    flags.http === undefined ? undefined : await broker.listen(dashboard({ hostname: flags.host, port: flags.http }))
  const kept = flags.data === undefined ? "sessions are kept in memory" : `sessions are kept in ${flags.data}`
  const host = hostname.includes(":") ? `[${hostname}]` : hostname
  if (health !== undefined) logger.info(`health checks at http://${host}:${health.port}/readyz`)
  console.log(`${pc.bold(`manju ${version}`)} listens on ${pc.green(`mqtt://${host}:${port}`)} for everybody; ${kept}`)
  console.log(
    `try it: mosquitto_sub -p ${port} -t 'hello/#' -v & sleep 1; mosquitto_pub -p ${port} -t hello/world -m hi`,
  )
  await stopSignal()
  logger.info("stopping; once more to stop at once")
  await Promise.race([broker.close(), stopSignal()])
  return 0
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    process.once("SIGTERM", () => resolve())
    process.once("SIGINT", () => resolve())
  })
}

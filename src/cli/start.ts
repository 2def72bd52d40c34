import pc from "picocolors"
import { version } from "../../package.json" with { type: "json" }
import { allowAll } from "../auth/allow.ts"
import { Broker } from "../broker/broker.ts"
import { assertGuarded, brokerOptions, listenerLimits, type StartFlags } from "../config.ts"
import { tcp } from "../listeners/tcp.ts"
import { consoleLogger } from "./logger.ts"

/** `manju start`: runs a broker until SIGTERM or SIGINT; resolves with the exit code. */
export async function start(flags: StartFlags): Promise<number> {
  assertGuarded(flags)
  const logger = consoleLogger(flags.logLevel)
  const broker = new Broker({ ...brokerOptions(flags), logger })
  const listener = tcp({ hostname: flags.host, port: flags.tcp, auth: allowAll(), limits: listenerLimits(flags) })
  const { hostname, port } = await broker.listen(listener)
  const host = hostname.includes(":") ? `[${hostname}]` : hostname
  console.log(
    `${pc.bold(`manju ${version}`)} listens on ${pc.green(`mqtt://${host}:${port}`)} for everybody; sessions are kept in memory`,
  )
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

import pc from "picocolors"
import { version } from "../../package.json" with { type: "json" }
import { acl } from "../auth/acl.ts"
import { allowAll, allowAnonymous } from "../auth/allow.ts"
import { all, any } from "../auth/compose.ts"
import { passwords } from "../auth/passwords.ts"
import { Broker, type Listener } from "../broker/broker.ts"
import { ManjuError } from "../broker/errors.ts"
import type { Auth } from "../broker/ports.ts"
import { assertGuarded, brokerOptions, listenerLimits, type StartFlags } from "../config.ts"
import { tcp } from "../listeners/tcp.ts"
import { unix } from "../listeners/unix.ts"
import { dashboard, websocket } from "../listeners/web.ts"
import { sqlite } from "../store/sqlite/index.ts"
import { consoleLogger } from "./logger.ts"

/** `manju start`: runs a broker until SIGTERM or SIGINT; resolves with the exit code. */
export async function start(flags: StartFlags): Promise<number> {
  assertGuarded(flags)
  const logger = consoleLogger(flags.logLevel)
  const store = flags.data === undefined ? {} : { store: sqlite(flags.data, { durability: flags.durability }) }
  const broker = new Broker({ ...brokerOptions(flags), ...store, logger })
  await broker.open()
  const places: string[] = []
  let mqttPort: number | undefined
  for (const [scheme, listener] of listenersOf(flags)) {
    const address = await broker.listen(listener).catch((error: unknown) => {
      const flag = scheme === "http" ? "http" : scheme.startsWith("ws") ? "ws" : undefined
      const isAsked = flag === undefined || flags[flag] !== undefined
      if (isAsked || !(error instanceof ManjuError) || error.code !== "LISTEN_FAILED") throw error
      logger.warn(`${error.message}: left out; --${flag} takes another port, --no-${flag} none`)
      return undefined
    })
    if (address === undefined) continue
    const { hostname, port } = address
    const host = hostname.includes(":") ? `[${hostname}]` : hostname
    places.push(pc.green(scheme === "unix" ? hostname : `${scheme}://${host}:${port}`))
    if (scheme === "mqtt") mqttPort = port
    if (scheme === "http") logger.info(`health checks at http://${host}:${port}/readyz`)
  }
  const kept = flags.data === undefined ? "sessions are kept in memory" : `sessions are kept in ${flags.data}`
  console.log(`${pc.bold(`manju ${version}`)} listens on ${places.join(", ")} for ${clientsOf(flags)}; ${kept}`)
  if (mqttPort !== undefined) {
    console.log(
      `try it: mosquitto_sub -p ${mqttPort} -t 'hello/#' -v & sleep 1; mosquitto_pub -p ${mqttPort} -t hello/world -m hi`,
    )
  }
  process.on("SIGHUP", () => broker.reload())
  await stopSignal()
  logger.info("stopping; once more to stop at once")
  await Promise.race([broker.close(), stopSignal()])
  return 0
}

/** Everything to listen on, with its scheme. */
function listenersOf(flags: StartFlags): [scheme: string, Listener][] {
  const { tlsCert, tlsKey, tlsCa, host: hostname, origins } = flags
  const isSecure = tlsCert !== undefined
  const secure = isSecure && { tls: { cert: tlsCert, key: tlsKey!, ...(tlsCa !== undefined && { ca: tlsCa }) } }
  const shared = { hostname, auth: authOf(flags), limits: listenerLimits(flags), ...secure }
  const { tcp: tcpPort = isSecure ? 8883 : 1883, ws = isSecure ? 8884 : 1882, http = 8080, unix: path } = flags
  const listeners: [string, Listener][] = []
  if (tcpPort !== false) listeners.push([isSecure ? "mqtts" : "mqtt", tcp({ ...shared, port: tcpPort })])
  if (path !== undefined) listeners.push(["unix", unix({ path, auth: shared.auth, limits: shared.limits })])
  if (ws !== false) {
    const pages = origins === undefined ? {} : { origins }
    listeners.push([isSecure ? "wss" : "ws", websocket({ ...shared, ...pages, port: ws })])
  }
  if (http !== false) listeners.push(["http", dashboard({ hostname, port: http })])
  return listeners
}

/** Who may come in, and what for. */
function authOf({ passwords: file, acl: rules, allowAnonymous: letsStrangersIn }: StartFlags): Auth {
  const known = file === undefined ? allowAll() : passwords(file)
  const auth = file !== undefined && letsStrangersIn ? any(known, allowAnonymous()) : known
  return rules === undefined ? auth : all(auth, acl(rules))
}

function clientsOf({ passwords: file, allowAnonymous: letsStrangersIn, tlsCa }: StartFlags): string {
  const who = file === undefined ? "everybody" : letsStrangersIn ? "users and strangers" : "users"
  return tlsCa === undefined ? who : `${who} with a certificate`
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    process.once("SIGTERM", () => resolve())
    process.once("SIGINT", () => resolve())
  })
}

import pc from "picocolors"
import { version } from "../../package.json" with { type: "json" }
import { acl } from "../auth/acl.ts"
import { allowAll, allowAnonymous } from "../auth/allow.ts"
import { all, any } from "../auth/compose.ts"
import { passwords } from "../auth/passwords.ts"
import { Broker } from "../broker/broker.ts"
import { ManjuError } from "../broker/errors.ts"
import type { Listener, ListenerAddress } from "../broker/options.ts"
import type { Auth, Logger } from "../broker/ports.ts"
import { assertSensible, believesNames, brokerOptions, isLoopback, listenerLimits, type StartFlags } from "../config.ts"
import { dashboard } from "../http/index.ts"
import { tcp } from "../listeners/tcp.ts"
import { unix } from "../listeners/unix.ts"
import { websocket } from "../listeners/web.ts"
import { sqlite } from "../store/sqlite/index.ts"
import { consoleLogger } from "./logger.ts"

/** Somewhere to listen. */
interface Door {
  readonly scheme: "mqtt" | "mqtts" | "ws" | "wss" | "unix" | "http"
  readonly listener: Listener
  /** The flag that takes its port. */
  readonly flag?: "tcp" | "ws" | "http"
  /** Whether the broker starts without it where its port is not to be had. */
  readonly isOptional: boolean
}

/** `manju start`: runs a broker until SIGTERM or SIGINT; resolves with the exit code. */
export async function start(flags: StartFlags): Promise<number> {
  assertSensible(flags)
  const logger = consoleLogger(flags.logLevel)
  const store = flags.data === undefined ? {} : { store: sqlite(flags.data, { durability: flags.durability }) }
  const broker = new Broker({ ...brokerOptions(flags), ...store, logger })
  await broker.open()
  const opened: [Door, ListenerAddress][] = []
  for (const door of doorsOf(flags)) {
    const address = await open(broker, door, logger)
    if (address !== undefined) opened.push([door, address])
  }
  if (believesNames(flags)) {
    const where = flags.tlsUsername === undefined ? "" : `at ${flags.unix} `
    logger.warn(`--acl without --passwords: ${where}anybody can take any user's name`)
  }
  console.log(announcement(opened, flags))
  process.on("SIGHUP", () => {
    logger.info("SIGHUP: files are read again")
    broker.reload()
  })
  await stopSignal()
  logger.info("stopping; once more to stop at once")
  await Promise.race([broker.close(), stopSignal()])
  return 0
}

function doorsOf(flags: StartFlags): Door[] {
  const { tlsCert, tlsKey, tlsCa, tlsUsername, host: hostname, origins, unix: path } = flags
  const isSecure = tlsCert !== undefined
  const secure = isSecure && { tls: { cert: tlsCert, key: tlsKey!, ...(tlsCa !== undefined && { ca: tlsCa }) } }
  const shared = { hostname, auth: authOf(flags), limits: listenerLimits(flags), ...secure }
  const { tcp: tcpPort = isSecure ? 8883 : 1883, ws = isSecure ? 8884 : 1882, http = 8080 } = flags
  const doors: Door[] = []
  if (tcpPort !== false) {
    const names = { cn: "commonName", san: "subjectAltName" } as const
    const usernames = tlsUsername === undefined ? {} : { usernameFrom: names[tlsUsername] }
    const listener = tcp({ ...shared, ...usernames, port: tcpPort })
    doors.push({ scheme: isSecure ? "mqtts" : "mqtt", flag: "tcp", listener, isOptional: false })
  }
  if (path !== undefined) {
    const listener = unix({ path, auth: shared.auth, limits: shared.limits })
    doors.push({ scheme: "unix", listener, isOptional: false })
  }
  if (ws !== false && tlsUsername === undefined) {
    const listener = websocket({ ...shared, ...(origins !== undefined && { origins }), port: ws })
    const isOptional = flags.ws === undefined && doors.length > 0
    doors.push({ scheme: isSecure ? "wss" : "ws", flag: "ws", listener, isOptional })
  }
  if (http !== false) {
    const isOptional = flags.http === undefined
    doors.push({ scheme: "http", flag: "http", listener: dashboard({ hostname, port: http }), isOptional })
  }
  return doors
}

/** Who may come in, and what for. */
function authOf({ passwords: file, acl: rules, allowAnonymous: letsStrangersIn }: StartFlags): Auth {
  // Rules go by names: without passwords a stranger has none, or could have any.
  const others = rules !== undefined && letsStrangersIn ? allowAnonymous() : allowAll()
  const known = file === undefined ? others : passwords(file)
  const auth = file !== undefined && letsStrangersIn ? any(known, allowAnonymous()) : known
  return rules === undefined ? auth : all(auth, acl(rules))
}

/** Opens a listener. Undefined: its port is in use, or takes privileges, and it is left out. */
async function open(broker: Broker, { listener, flag, isOptional }: Door, logger: Logger) {
  try {
    return await broker.listen(listener)
  } catch (error) {
    if (!(error instanceof ManjuError)) throw error
    const { code, message, cause } = error
    if (isOptional && code === "LISTEN_FAILED") {
      logger.warn(`${message}: left out; --${flag} takes another port, --no-${flag} none`)
      return undefined
    }
    const isPort = ["EADDRINUSE", "EACCES"].includes((cause as { code?: string } | undefined)?.code ?? "")
    const advice = flag !== undefined && isPort ? `; --${flag} takes another port` : ""
    const inFlags = message.replaceAll(/\btls\.(cert|key|ca)\b/g, "--tls-$1")
    throw new ManjuError(code, inFlags + advice, { cause: error })
  }
}

/** Where it listens, for whom, what it keeps; and how to try it, where that is as easy as that. */
function announcement(opened: readonly [Door, ListenerAddress][], flags: StartFlags): string {
  const { host: givenHost, data, passwords: file, acl: rules } = flags
  const placesByClients = new Map<string, string[]>()
  const notes: string[] = []
  const trials: string[] = []
  for (const [{ scheme }, { hostname, port }] of opened) {
    const host = hostname.includes(":") ? `[${hostname}]` : hostname
    const place = pc.green(scheme === "unix" ? hostname : `${scheme}://${host}:${port}`)
    if (scheme === "http") {
      notes.push(`health checks at ${place}/readyz`)
      continue
    }
    const clients = clientsOf(flags, scheme)
    placesByClients.set(clients, [...(placesByClients.get(clients) ?? []), place])
    if (scheme === "mqtt" && isLoopback(givenHost) && file === undefined && rules === undefined) {
      const at = `${hostname === "127.0.0.1" ? "" : `-h ${hostname} `}-p ${port}`
      trials.push(`try it: mosquitto_sub ${at} -t 'hello/#' -v & sleep 1; mosquitto_pub ${at} -t hello/world -m hi`)
    }
  }
  const places = [...placesByClients].map(([clients, places]) => `${places.join(", ")} for ${clients}`)
  notes.push(data === undefined ? "sessions are kept in memory" : `sessions are kept in ${data}`)
  const first = `${pc.bold(`manju ${version}`)} listens on ${[places.join(" and "), ...notes].join("; ")}`
  return [first, ...trials].join("\n")
}

function clientsOf({ passwords, acl, allowAnonymous, tlsCa }: StartFlags, scheme: Door["scheme"]): string {
  const others = acl !== undefined && allowAnonymous ? "everybody who names no user" : "everybody"
  const who = passwords === undefined ? others : allowAnonymous ? "users and strangers" : "users"
  return tlsCa === undefined || scheme === "unix" ? who : `${who} with a certificate`
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    process.once("SIGTERM", () => resolve())
    process.once("SIGINT", () => resolve())
  })
}

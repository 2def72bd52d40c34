/** Where a broker is, from the flags or a URL. */
import { InvalidArgumentError } from "commander"
import { bracketed } from "../../hostname.ts"
import { type ClientFlags, misuse, topicFilter, topicName } from "./options.ts"

export interface Place {
  readonly scheme: "mqtt" | "mqtts" | "ws" | "wss" | "unix"
  readonly host: string
  readonly port: number
  /** Of the socket, or of the WebSocket behind the host. */
  readonly path: string
}

/** What a URL tells besides. */
export interface Address extends Place {
  readonly username?: string
  readonly password?: string
  readonly topic?: string
}

type Scheme = "mqtt" | "mqtts" | "ws" | "wss"

const ports: Record<Scheme, number> = { mqtt: 1883, mqtts: 8883, ws: 1882, wss: 8884 }
const portsInUrls: Record<Scheme, number> = { ...ports, ws: 80, wss: 443 }
const PORT_OF_TLS = 8883
const WEBSOCKET_PATH = "/mqtt"

/** Throws `INVALID_OPTION` for a URL that is none, and for TLS where there can be none. */
export function addressOf(flags: ClientFlags): Address {
  const { url, unix, ws, host = "localhost", port, cafile, cert, key, insecure } = flags
  if ((cert === undefined) !== (key === undefined)) throw misuse("a certificate takes both --cert and --key")
  if (unix !== undefined) {
    if (cafile ?? cert ?? insecure) throw misuse("there is no TLS over a Unix socket")
    return { scheme: "unix", host: "", port: 0, path: unix }
  }
  const wantsTls = (cafile ?? cert) !== undefined
  const address = url === undefined ? undefined : parseUrl(url)
  const isSecure = wantsTls || (address ? isTls(address) : port === PORT_OF_TLS)
  if (insecure && !isSecure) throw misuse("--insecure is about TLS: give --cafile, or a URL with mqtts:// or wss://")
  if (address !== undefined) {
    if (isSecure && !isTls(address)) throw misuse(`--cafile and --cert are for ${address.scheme}s://`)
    return address
  }
  const scheme: Scheme = ws ? (isSecure ? "wss" : "ws") : isSecure ? "mqtts" : "mqtt"
  return { scheme, host, port: port ?? ports[scheme], path: ws ? WEBSOCKET_PATH : "" }
}

export function isTls({ scheme }: Place): boolean {
  return scheme === "mqtts" || scheme === "wss"
}

/** `localhost:1883`, `[::1]:1883`, `ws://localhost:80/mqtt`, `/run/manju.sock`: as messages name it. */
export function describePlace({ scheme, host, port, path }: Place): string {
  if (scheme === "unix") return path
  const name = `${bracketed(host)}:${port}`
  return scheme.startsWith("ws") ? `${scheme}://${name}${path}` : name
}

/**
 * The topic behind the host goes as it stands, `#` and all, as mosquitto_sub takes it. User name and password are decoded
 * as in any URL.
 */
function parseUrl(text: string): Address {
  const parts = /^(mqtts?|wss?):\/\/[^/]+(?:\/(.*))?$/is.exec(text)
  const url = parts === null ? null : URL.parse(text)
  if (parts === null || url === null || url.hostname === "") {
    throw misuse(`-L takes mqtt[s]://[user[:password]@]host[:port][/topic] or ws[s]://host[:port]/path`)
  }
  const scheme = parts[1]!.toLowerCase() as Scheme
  const rest = parts[2] ?? ""
  const isWebSocket = scheme.startsWith("ws")
  return {
    scheme,
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? portsInUrls[scheme] : Number(url.port),
    path: isWebSocket ? `/${rest}` : "",
    ...(url.username !== "" && { username: decoded(url.username) }),
    ...(url.password !== "" && { password: decoded(url.password) }),
    ...(!isWebSocket && rest !== "" && { topic: rest }),
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw misuse("-L: a % in a user name or password is written %25")
  }
}

/** What commander has checked of an option, for the topic in a URL. */
export function topicInUrl(text: string, kind: "name" | "filter"): string {
  try {
    return kind === "name" ? topicName(text) : topicFilter(text)
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error
    throw misuse(`-L: '${text}' is no topic. ${error.message}`)
  }
}

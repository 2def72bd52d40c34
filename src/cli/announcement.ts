/** What the command says when it listens: where, for whom, what it keeps; and how to try it, where that is as easy as that. */

import type { ListenerAddress } from "../broker/options.ts"
import type { AuthConfig, Config, ListenerConfig } from "../config/schema.ts"
import { bracketed, isLoopback } from "../hostname.ts"
import { version } from "../version.ts"
import { styledFor } from "./terminal.ts"

/** A listener that is open. */
export interface Opened {
  readonly config: ListenerConfig
  readonly address: ListenerAddress
}

const schemes = { tcp: ["mqtt", "mqtts"], websocket: ["ws", "wss"], http: ["http", "https"] } as const

export function announcement(opened: readonly Opened[], { auth, data }: Config): string {
  const placesByClients = new Map<string, string[]>()
  const notes: string[] = []
  const trials: string[] = []
  for (const { config, address } of opened) {
    const { hostname, port } = address
    const place = placeOf(config, address)
    if (config.type === "http") notes.push(config.admin ? `dashboard at ${place}/` : `health checks at ${place}/readyz`)
    const door = config.type === "http" ? config.websocket : config
    if (door === undefined) continue
    const clients = clientsOf(door.auth ?? auth, config)
    const isSecure = "tls" in config && config.tls !== undefined
    const doorPlace = config.type === "http" ? place.replace(/http/, "ws") : place
    placesByClients.set(clients, [...(placesByClients.get(clients) ?? []), doorPlace])
    const isTried = trials.length > 0 || config.type !== "tcp" || isSecure || clients !== "everybody"
    if (isTried || !isLoopback(config.hostname) || (door.auth ?? auth).acl !== undefined) continue
    const at = `${hostname === "127.0.0.1" ? "" : `-h ${hostname} `}-p ${port}`
    trials.push(`try it: mosquitto_sub ${at} -t 'hello/#' -v & sleep 1; mosquitto_pub ${at} -t hello/world -m hi`)
  }
  const places = [...placesByClients].map(([clients, places]) => `${places.join(", ")} for ${clients}`)
  notes.push(data === undefined ? "sessions are kept in memory" : `sessions are kept in ${data}`)
  const first = `${styledFor("stdout", "bold", `manju ${version}`)} listens on ${[places.join(" and "), ...notes].join("; ")}`
  return [first, ...trials].join("\n")
}

function placeOf(config: ListenerConfig, { hostname, port }: ListenerAddress): string {
  if (config.type === "unix") return styledFor("stdout", "green", hostname)
  const scheme = schemes[config.type][config.tls === undefined ? 0 : 1]
  return styledFor("stdout", "green", `${scheme}://${bracketed(hostname)}:${port}`)
}

function clientsOf(auth: AuthConfig, config: ListenerConfig): string {
  const known = [
    ...(auth.passwords === undefined ? [] : ["users"]),
    ...(auth.jwt === undefined ? [] : ["holders of a token"]),
    ...(auth.http === undefined ? [] : [`whom ${new URL(auth.http.url).host} lets in`]),
  ]
  const others = auth.acl !== undefined && auth.allowAnonymous ? "everybody who names no user" : "everybody"
  const who = known.length === 0 ? others : [...known, ...(auth.allowAnonymous ? ["strangers"] : [])].join(" and ")
  return "tls" in config && config.tls?.ca !== undefined ? `${who} with a certificate` : who
}

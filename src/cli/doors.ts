/** The listeners of the configuration, made and not yet open. */
import { ManjuError } from "../broker/errors.ts"
import type { ListenerLimits } from "../broker/limits.ts"
import type { Listener } from "../broker/options.ts"
import type { Auth } from "../broker/ports.ts"
import { ConfigurationError } from "../config/errors.ts"
import { keyName, type Path } from "../config/keys.ts"
import type { Configuration } from "../config/load.ts"
import { linesOf, type Problem } from "../config/problems.ts"
import { type Config, type ListenerConfig, protocolLevels } from "../config/schema.ts"
import { itemsOf, nameOf, nearestTo, nodeAt, type Source } from "../config/tree.ts"
import type { AdminOptions } from "../http/access.ts"
import { dashboard } from "../http/index.ts"
import { tcp } from "../listeners/tcp.ts"
import { unix } from "../listeners/unix.ts"
import { websocket } from "../listeners/web.ts"
import { type AuthParts, authOf } from "./auths.ts"

/** Somewhere to listen. */
export interface Door {
  /** Of the listener in the configuration. */
  readonly path: Path
  readonly config: ListenerConfig
  readonly listener: Listener
  /** Whether the broker starts without it where its port is not to be had: nobody has asked for it. */
  readonly isOptional: boolean
}

/** All of them, and the auths that they have, each once. */
export interface Doors {
  readonly doors: readonly Door[]
  readonly auths: readonly AuthParts[]
  readonly problems: readonly Problem[]
}

/** Flags that take the port of a listener that is there without a file. */
export const portFlags = { tcp: "--tcp", websocket: "--ws", http: "--http", unix: undefined } as const

/** Makes them. Throws a `ConfigurationError` with all that makes no sense. */
export async function openableDoors(configuration: Configuration): Promise<readonly Door[]> {
  const { doors, problems } = await makeDoors(configuration)
  if (problems.length === 0) return doors
  throw new ConfigurationError(await linesOf(problems, configuration.file))
}

/** Makes them as far as they make sense. */
export async function makeDoors(configuration: Configuration): Promise<Doors> {
  const { values, tree } = configuration
  const problems: Problem[] = []
  const auths = new Map<string, AuthParts>()
  const doors: Door[] = []
  const refuse = (path: Path, why: string) => problems.push(problemAt(configuration, path, why))
  const authAt = async (path: Path, own: Config["auth"] | undefined): Promise<Auth> => {
    const [at, config] = own === undefined ? [["auth"], values.auth] : [[...path, "auth"], own]
    const known = auths.get(keyName(at)) ?? (await authOf(config, at, refuse))
    auths.set(keyName(at), known)
    return known.auth
  }
  for (const [at, config] of values.listeners.entries()) {
    const path = ["listeners", at]
    const isOptional = isUnasked(itemsOf(tree)[at]!.source, nodeAt(tree, [...path, "port"])?.source)
    try {
      const listener = await makeListener(config, path, values, authAt)
      doors.push({ path, config, listener, isOptional: isOptional && isSpare(config, doors) })
    } catch (error) {
      if (!(error instanceof ManjuError)) throw error
      refuse(path, error.message)
    }
  }
  await authAt([], undefined) // also where every listener has one of its own: what is said of it must make sense
  return { doors, auths: [...auths.values()], problems }
}

/** What is wrong with a key, be it of a listener: in the words of whoever has given it. */
export function problemAt({ tree }: Pick<Configuration, "tree">, path: Path, why: string): Problem {
  let { source } = nearestTo(tree, path)
  const isListener = path[0] === "listeners" && path.length === 2
  const text = why.replaceAll(/\btls\.(cert|key|ca|passphrase)\b/g, (name) => {
    const at = [...path, ...name.split(".")]
    const pem = nodeAt(tree, at)
    if (isListener && pem !== undefined) source = pem.source
    return isListener && pem !== undefined ? nameOf(at, pem.source) : name
  })
  const isNamed = text !== why || (isListener && (source.kind === "default" || source.kind === "flag"))
  return { source, text: isNamed ? text : `${nameOf(path, source)}: ${text}` }
}

function isUnasked(item: Source, port: Source | undefined): boolean {
  return item.kind === "default" && port?.kind === "default"
}

/** Whether there is something for MQTT without it. */
function isSpare({ type }: ListenerConfig, others: readonly Door[]): boolean {
  return type === "http" || (type === "websocket" && others.length > 0)
}

type AuthAt = (path: Path, own: Config["auth"] | undefined) => Promise<Auth>

async function makeListener(config: ListenerConfig, path: Path, values: Config, authAt: AuthAt): Promise<Listener> {
  if (config.type === "http") {
    const { type: _, admin, websocket: door, ...place } = config
    const inside = door && (await mqttOptions(door, [...path, "websocket"], authAt))
    return dashboard({
      ...place,
      admin: admin && adminOptions(values.admin),
      ...(inside !== undefined && { websocket: inside }),
    })
  }
  if (config.type === "unix") {
    const { type: _, mode, ...options } = await mqttOptions(config, path, authAt)
    return unix({ ...options, mode: Number.parseInt(mode, 8) })
  }
  if (config.type === "websocket") {
    const { type: _, ...options } = await mqttOptions(config, path, authAt)
    return websocket(options)
  }
  const { type: _, ...options } = await mqttOptions(config, path, authAt)
  return tcp(options)
}

/** With the auth that holds there, and limits as the listeners take them. */
async function mqttOptions<D extends Pick<Extract<ListenerConfig, { type: "tcp" }>, "auth" | "limits">>(
  door: D,
  path: Path,
  authAt: AuthAt,
): Promise<Omit<D, "auth" | "limits"> & { auth: Auth; limits: Partial<ListenerLimits> }> {
  const { auth, limits, ...options } = door
  return { ...options, auth: await authAt(path, auth), limits: listenerLimits(limits) }
}

function listenerLimits(limits: Extract<ListenerConfig, { type: "tcp" }>["limits"]): Partial<ListenerLimits> {
  const { protocolLevels: names, maximumQoS, ...others } = limits
  return { ...others, maximumQoS: maximumQoS as 0 | 1 | 2, protocolLevels: names.map((name) => protocolLevels[name]) }
}

function adminOptions({ token, user, password, metrics }: Config["admin"]): AdminOptions {
  return {
    ...(token !== undefined && { token }),
    ...(password !== undefined && { password: { user, password } }),
    ...(metrics !== undefined && { metrics }),
  }
}

/**
 * The flags of `start` that set keys: most of them one, some the same key of several listeners. What a flag takes, and what it is for,
 * the key says, unless there is more to say.
 */
import { type LimitName, type ListenerLimits, limitDefinitions } from "../broker/limits.ts"
import { logAreas, logLevels } from "../broker/log/areas.ts"
import { EVERY, helpOf, keyName, type Schema, schemaAt } from "./keys.ts"
import { type Problem, shown } from "./problems.ts"
import { type ListenerType, listenerTypes } from "./schema.ts"
import {
  byDefault,
  itemsOf,
  type List,
  leaf,
  list,
  nodeAt,
  put,
  type Source,
  type Table,
  table,
  valueAt,
} from "./tree.ts"

export interface Flag {
  /** As commander has it: `--tcp <port>`; without an argument it is a switch. */
  readonly spelling: string
  readonly help: string
  readonly group: "general" | "clients" | "limits"
  /** The key that it sets, of every listener where there is a `*`. */
  readonly path: readonly string[]
  /** What its argument is read as and checked by; undefined: it has none. */
  readonly schema: Schema | undefined
  /** Whether it makes listeners or takes them out, which comes first. */
  readonly isOfListeners: boolean
  readonly apply: Apply
}

/** A flag that has been given, and the values that it changes. */
interface Setting {
  readonly tree: Table
  readonly value: unknown
  readonly source: Source
  readonly problems: Problem[]
}

type Apply = (setting: Setting) => void

/** Listeners where none are said: MQTT over TCP and WebSocket, and HTTP. */
export function standardListeners(): List {
  const types = ["tcp", "websocket", "http"] as const
  return list(
    byDefault,
    types.map((type) => table(byDefault, [["type", leaf(type, byDefault)]])),
  )
}

function flag(spelling: string, path: readonly string[], apply: Apply, more: Partial<Flag> = {}): Flag {
  const schema = spelling.includes("<") ? schemaAt(path) : undefined
  return { spelling, path, apply, schema, help: helpFor(path), group: "general", isOfListeners: false, ...more }
}

/** `highest QoS (default: 2)` */
function helpFor(path: readonly string[]): string {
  const schema = schemaAt(path)!
  const { default: standard } = schema
  const isWorthSaying = standard !== undefined && standard !== "" && standard !== false
  return isWorthSaying ? `${helpOf(schema)} (default: ${standard})` : helpOf(schema)
}

/** Sets a key at the top. */
function topFlag(spelling: string, path: readonly string[], more: Partial<Flag> = {}): Flag {
  return flag(spelling, path, ({ tree, value, source }) => put(tree, path, value, source), more)
}

/** Sets a key of all listeners of some types. */
function listenerFlag(spelling: string, path: readonly string[], types: ListenerType[], more?: Partial<Flag>): Flag {
  const apply: Apply = ({ tree, value, source }) => {
    for (const item of itemsOf(tree)) if (isOf(item, types)) put(item, path, value, source)
  }
  return flag(spelling, ["listeners", EVERY, ...path], apply, more)
}

/** Sets a key wherever MQTT comes in through listeners of some types. A switch stands for the value that `more` says. */
function doorFlag(
  spelling: string,
  path: readonly string[],
  types: readonly ListenerType[],
  { stands, ...more }: Partial<Flag> & { stands?: boolean } = {},
): Flag {
  const apply: Apply = ({ tree, value, source }) => {
    for (const item of itemsOf(tree)) {
      const door = typeOf(item) === "http" ? nodeAt(item, ["websocket"]) : item
      if (isOf(item, types) && door?.kind === "table") put(door, path, stands ?? value, source)
    }
  }
  return flag(spelling, ["listeners", EVERY, ...path], apply, more)
}

function offerFlag(
  spelling: string,
  name: keyof ListenerLimits,
  more: Partial<Flag> & { stands?: boolean } = {},
): Flag {
  return doorFlag(spelling, ["limits", name], listenerTypes, { group: "clients", ...more })
}

/** Sets the port, or the path, of the first listener of a type, or of a new one. */
function placeFlag(spelling: string, type: ListenerType, key: "port" | "path", help: string): Flag {
  const apply: Apply = ({ tree, value, source }) => {
    const item = itemsOf(tree).find((each) => isOf(each, [type])) ?? addListener(tree, type, source)
    put(item, [key], value, source)
  }
  return flag(spelling, ["listeners", EVERY, key], apply, { help, isOfListeners: true })
}

/** Behind those of its type and of the types that come before it. */
function addListener(tree: Table, type: ListenerType, source: Source): Table {
  const items = itemsOf(tree)
  const added = table(source, [["type", leaf(type, source)]])
  const earlier = listenerTypes.slice(0, listenerTypes.indexOf(type) + 1)
  items.splice(items.findLastIndex((each) => isOf(each, earlier)) + 1, 0, added)
  return added
}

/** Takes listeners of a type out. */
function withoutFlag(spelling: string, type: ListenerType, help: string): Flag {
  const apply: Apply = ({ tree }) => {
    const items = itemsOf(tree)
    items.splice(0, items.length, ...items.filter((item) => !isOf(item, [type])))
  }
  return flag(spelling, ["listeners"], apply, { help, isOfListeners: true })
}

/** An address for all that have none. */
const setHost: Apply = ({ tree, value, source }) => {
  for (const item of itemsOf(tree)) {
    const isPlaced = isOf(item, ["unix"]) || item.entries.has("hostname")
    if (!isPlaced) put(item, ["hostname"], value, source)
  }
}

const usernames = { cn: "commonName", san: "subjectAltName" } as const
export const usernameChoices = Object.keys(usernames) as (keyof typeof usernames)[]

/** With names from certificates MQTT is on TCP: a WebSocket listener that nobody has asked for goes. */
const setUsernames: Apply = ({ tree, value, source, problems }) => {
  const items = itemsOf(tree)
  const refuse = (remedy = "") => {
    const text = `--tls-username is for TCP: Bun does not tell whose certificate a WebSocket has${remedy}`
    problems.push({ source, text })
  }
  for (const [at, item] of [...items.entries()]) {
    if (isOf(item, ["tcp"])) put(item, ["usernameFrom"], usernames[value as keyof typeof usernames], source)
    if (!isOf(item, ["websocket"])) continue
    const isAskedFor = item.source.kind === "flag" || item.entries.get("port")?.source.kind === "flag"
    if (isAskedFor) refuse()
    else if (item.source.kind === "default") items.splice(items.indexOf(item), 1)
    else refuse(`; --no-ws takes ${keyName(item.source.kind === "file" ? item.source.path : ["listeners", at])} out`)
  }
}

/** `info,auth=debug`: the level, levels of areas, or both. */
const setLogLevels: Apply = ({ tree, value, source, problems }) => {
  for (const part of String(value).split(",")) {
    const [, area, level] = /^\s*(?:(.*?)\s*=\s*)?(.*?)\s*$/.exec(part)!
    const isArea = area === undefined || Object.hasOwn(logAreas, area)
    if (isArea && logLevels.some((each) => each === level)) {
      put(tree, area === undefined ? ["logLevel"] : ["logAreas", area], level, source)
      continue
    }
    const takes = `${logLevels.join(", ")}, and behind commas levels of ${Object.keys(logAreas).join(", ")}`
    problems.push({ source, text: `--log-level takes one of ${takes}, as in info,auth=debug, not ${shown(part)}` })
  }
}

function typeOf(item: Table): unknown {
  return valueAt(item, "type")
}

function isOf(item: Table, types: readonly ListenerType[]): boolean {
  return types.some((type) => type === typeOf(item))
}

const kebab = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

const anyAddress = ["tcp", "websocket"] as ListenerType[]

/** All of them, in the order of the help. */
export const flags: readonly Flag[] = [
  flag("--host <address>", ["listeners", EVERY, "hostname"], setHost),
  placeFlag("--tcp <port>", "tcp", "port", "port for MQTT over TCP (default: 1883, with TLS 8883); 0 takes a free one"),
  placeFlag("--ws <port>", "websocket", "port", "port for MQTT over WebSocket (default: 1882, with TLS 8884)"),
  placeFlag(
    "--http <port>",
    "http",
    "port",
    "port for the dashboard, its API, metrics and health checks (default: 8080)",
  ),
  withoutFlag("--no-tcp", "tcp", "nothing over TCP"),
  withoutFlag("--no-ws", "websocket", "nothing over WebSocket"),
  withoutFlag("--no-http", "http", "nothing over HTTP"),
  placeFlag("--unix <path>", "unix", "path", "also MQTT over a Unix domain socket"),
  doorFlag("--origins <list>", ["origins"], ["websocket", "http"]),
  listenerFlag("--tls-cert <file>", ["tls", "cert"], anyAddress, { help: "speak TLS: the certificate, PEM" }),
  listenerFlag("--tls-key <file>", ["tls", "key"], anyAddress),
  listenerFlag("--tls-ca <file>", ["tls", "ca"], anyAddress),
  flag("--tls-username <name>", ["listeners", EVERY, "usernameFrom"], setUsernames),
  topFlag("--passwords <file>", ["auth", "passwords"]),
  topFlag("--acl <file>", ["auth", "acl"]),
  topFlag("--allow-anonymous", ["auth", "allowAnonymous"]),
  topFlag("--data <file>", ["data"]),
  topFlag("--durability <kind>", ["durability"]),
  flag("--log-level <levels>", ["logLevel"], setLogLevels, {
    help: `${helpFor(["logLevel"])}, and levels of areas: info,auth=debug`,
  }),
  topFlag("--log-format <format>", ["logFormat"]),
  topFlag("--stop-timeout <seconds>", ["stopTimeoutSeconds"]),
  offerFlag("--protocol-levels <list>", "protocolLevels"),
  offerFlag("--maximum-qos <qos>", "maximumQoS"),
  offerFlag("--no-retain", "retainAvailable", { stands: false, help: "no retained messages" }),
  offerFlag("--no-wildcards", "wildcardSubscriptionAvailable", { stands: false, help: "no wildcard subscriptions" }),
  offerFlag("--no-shared", "sharedSubscriptionAvailable", { stands: false, help: "no shared subscriptions" }),
  offerFlag("--no-assign-client-ids", "assignClientIds", { stands: false, help: "refuse clients without an id" }),
  offerFlag("--client-id-prefix <text>", "assignedClientIdPrefix"),
  offerFlag("--mount-point <prefix>", "mountPoint"),
  offerFlag("--topic-alias-maximum <n>", "topicAliasMaximum"),
  offerFlag("--outgoing-topic-alias-maximum <n>", "outgoingTopicAliasMaximum"),
  topFlag("--validate-payload-format", ["validatePayloadFormat"], { group: "clients" }),
  ...(Object.keys(limitDefinitions) as LimitName[]).map((name) =>
    topFlag(`--${kebab(name)} <n>`, ["limits", name], { group: "limits" }),
  ),
]

/** What a connection is made with: the flags, checked, with the files and the password that they name. */
import type { IClientOptions } from "mqtt"
import { NEVER_EXPIRES_SECONDS, type ProtocolLevel } from "../../codec/index.ts"
import { readCertificates, readPair } from "../pem.ts"
import { askPassword } from "../secret.ts"
import { type ClientFlags, misuse } from "./options.ts"
import { addressOf, isTls, type Place } from "./place.ts"
import { type PropertyCommand, type PropertyValues, parseProperties } from "./properties.ts"
import { type Tell, teller } from "./tell.ts"

export interface Settings {
  readonly place: Place
  /** Levels to speak, the one to try first in front. */
  readonly levels: readonly [ProtocolLevel, ...ProtocolLevel[]]
  /** For MQTT.js, all but the level. */
  readonly options: IClientOptions
  /** For its `publish`, `subscribe` and `unsubscribe`; undefined where `-D` gives none. */
  readonly properties: ReadonlyMap<PropertyCommand, PropertyValues>
  /** Behind the host of a URL. */
  readonly topic: string | undefined
  /** Whether a connection that is lost is made again. */
  readonly reconnects: boolean
  readonly isQuiet: boolean
  readonly tell: Tell
}

/** What MQTT.js passes on to `tls.connect`, whatever its types say. */
type TlsOptions = Pick<IClientOptions, "ca" | "cert" | "key"> & {
  passphrase?: string
  checkServerIdentity?: () => undefined
}

interface Login {
  readonly username: string | undefined
  readonly password: string | undefined
}

/** The environment's password, for whom it is not asked for, nor given in clear. */
const PASSWORD_VARIABLE = "MANJU_PASSWORD"

/**
 * Reads files, and asks for the password where that is needed. Throws `INVALID_OPTION` for flags that contradict each other,
 * a `FileError` for a file that cannot be read.
 */
export async function settingsOf(
  flags: ClientFlags,
  { name, sends, reconnects }: { name: "pub" | "sub"; sends: readonly PropertyCommand[]; reconnects: boolean },
): Promise<Settings> {
  const address = addressOf(flags)
  const login = { username: flags.username ?? address.username, password: flags.pw ?? address.password }
  if (login.username === undefined && login.password !== undefined)
    throw misuse("a password takes a user name: give -u")
  const properties = parseProperties(flags.property ?? [], sends)
  const levels = levelsOf(flags, properties)
  const identity = { ...idOf(flags, name), ...sessionOf(flags, properties) }
  const will = willOf(flags, properties)
  const tls = await tlsOf(flags, address)
  const options = { keepalive: flags.keepalive, resubscribe: false, ...identity, ...will, ...tls }
  return {
    place: address,
    levels,
    options: { ...options, ...(await loginOf(login)) },
    properties,
    topic: address.topic,
    reconnects,
    isQuiet: flags.quiet ?? false,
    tell: teller(flags),
  }
}

/** With nothing said, 5.0, and 3.1.1 for a broker that does not know it; with what only 5.0 has, that alone. */
function levelsOf(flags: ClientFlags, properties: Settings["properties"]): Settings["levels"] {
  const { protocolVersion, sessionExpiryInterval } = flags
  const needs = properties.size > 0 ? "-D" : sessionExpiryInterval !== undefined ? "-x" : undefined
  if (needs === undefined) return protocolVersion === undefined ? [5, 4] : [protocolVersion]
  if ((protocolVersion ?? 5) !== 5) throw misuse(`${needs} is for MQTT 5: leave -V out, or give -V 5`)
  return [5]
}

function idOf({ id, idPrefix, disableCleanSession, sessionExpiryInterval }: ClientFlags, name: string): IClientOptions {
  const lasts = disableCleanSession || sessionExpiryInterval === NEVER_EXPIRES_SECONDS
  if (lasts && !id) throw misuse("a session that stays takes a client id to come back with: give -i")
  if (id !== undefined) return { clientId: id }
  if (idPrefix !== undefined) return { clientId: `${idPrefix}${process.pid}` }
  return { clientId: `manju-${name}-${crypto.randomUUID().slice(0, 8)}` } // MQTT 3.1 takes 23 characters
}

function sessionOf(flags: ClientFlags, properties: Settings["properties"]): IClientOptions {
  const { disableCleanSession = false, sessionExpiryInterval } = flags
  const given = properties.get("connect")
  if (sessionExpiryInterval !== undefined && given?.sessionExpiryInterval !== undefined) {
    throw misuse("-x and -D connect session-expiry-interval are the same: give one")
  }
  const expiry = sessionExpiryInterval ?? (disableCleanSession ? NEVER_EXPIRES_SECONDS : undefined)
  return {
    clean: !disableCleanSession,
    properties: { ...(expiry !== undefined && { sessionExpiryInterval: expiry }), ...given },
  }
}

function willOf(flags: ClientFlags, properties: Settings["properties"]): IClientOptions {
  const { willTopic: topic, willPayload, willQos, willRetain } = flags
  const values = properties.get("will")
  if (topic === undefined) {
    if (willPayload ?? willQos ?? willRetain ?? values) throw misuse("a will takes a --will-topic")
    return {}
  }
  const payload = Buffer.from(willPayload ?? "")
  return {
    will: { topic, payload, qos: willQos ?? 0, retain: willRetain ?? false, ...(values && { properties: values }) },
  }
}

async function tlsOf({ cafile, cert, key, insecure }: ClientFlags, place: Place): Promise<IClientOptions> {
  if (!isTls(place)) return {}
  const tls: TlsOptions = {
    ...(cafile !== undefined && { ca: await readCertificates(cafile) }),
    ...(cert !== undefined && key !== undefined && (await readPair(cert, key))),
    ...(insecure && { checkServerIdentity: () => undefined }),
  }
  return { ...tls, ...(place.scheme === "wss" && { wsOptions: tls as object }) }
}

/** The password is the one that is given, or that of the environment, or asked for where somebody sits who can be asked. */
async function loginOf({ username, password }: Login): Promise<IClientOptions> {
  if (username === undefined) return {}
  const known = password ?? process.env[PASSWORD_VARIABLE]
  const answer = known ?? (process.stdin.isTTY ? await askPassword(`Password for ${username}: `) : "")
  return { username, ...(known === undefined && answer === "" ? {} : { password: answer }) }
}

/** How a client is called in a line of the log: in words, and in fields. */
import type { LogDetails } from "../ports.ts"

/** A client, as far as it is known. */
export interface Who {
  /** Empty: it has named none; undefined: it has said nothing yet. */
  readonly clientId: string | undefined
  readonly username?: string | null | undefined
  readonly remoteAddress?: string | undefined
  readonly listener?: string | undefined
}

/** A line has an end, also where somebody has a name of 64 KiB. */
const LONGEST_NAME = 256

/** `pump-7, user ada (192.0.2.1)` */
export function nameOf({ clientId, username, remoteAddress }: Who): string {
  if (clientId === undefined) return remoteAddress ?? "somebody"
  const name = clientId === "" ? "a client without an id" : brief(clientId)
  const user = username ? `, user ${brief(username)}` : ""
  return `${name}${user}${remoteAddress === undefined ? "" : ` (${remoteAddress})`}`
}

/** The same in fields. */
export function fieldsOf({ clientId, username, remoteAddress, listener }: Who): LogDetails {
  return {
    ...(clientId && { clientId: brief(clientId) }),
    ...(username && { username: brief(username) }),
    ...(remoteAddress !== undefined && { remoteAddress }),
    ...(listener !== undefined && { listener }),
  }
}

/** A name that somebody has chosen, but for the end of a very long one. */
export function brief(name: string): string {
  return name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME)}…` : name
}

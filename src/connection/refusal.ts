/** Turning a client away, before or after CONNACK, in words that its version of MQTT has. */
import type { Refusal } from "../broker/ports.ts"
import {
  type ConnectFailure,
  connectReturnCode,
  encodeConnack,
  isConnackRefusal,
  isDisconnectReason,
  isEncodable,
  type Properties,
  type ProtocolLevel,
  Reason,
} from "../codec/index.ts"
import { sayRefused, sayStranger } from "./lines.ts"
import { type Link, writer } from "./link.ts"

/**
 * Refuses in the client's own words, where it has any, and closes. `warning`: what the log says, louder, in place of what the
 * client is told.
 */
export function refuse(
  link: Link,
  level: ProtocolLevel,
  { reason, reasonString, serverReference }: Refusal,
  warning?: string,
): void {
  const known = isConnackRefusal(reason) ? reason : Reason.UnspecifiedError // [MQTT-3.2.2-8]
  link.core.metrics.connectsRefused++
  link.core.incidents.note(link.name, "connection", "connect refused", "", link.core.now(), known)
  sayRefused(link, known, reasonString, warning)
  if (level === 5 || connectReturnCode(known) !== undefined) {
    const properties: Properties = { ...link.problem(known, reasonString), ...referenceTo(serverReference) }
    link.sendPacket(encodeConnack(writer, level, known, false, properties)) // [MQTT-3.2.2-6]
  }
  link.close(true) // [v3.1.1 MQTT-3.2.2-6]
}

/** Malformed, or not MQTT at all: then the connection just ends. [MQTT-3.1.4-1] [v3.1.1 MQTT-3.1.4-1] */
export function refuseUnreadable(link: Link, { level, reason }: ConnectFailure): void {
  if (level !== undefined) {
    refuse(link, level, { reason })
    return
  }
  link.core.metrics.connectsRefused++
  sayStranger(link, `not an MQTT CONNECT (0x${reason.toString(16)})`)
  link.close(true)
}

/** An authentication that cannot go on, before or after CONNACK. */
export function fail(link: Link, refusal: Refusal): void {
  if (link.state !== "open") {
    refuse(link, link.level, refusal)
    return
  }
  const { reason, reasonString, serverReference } = refusal
  const known = isDisconnectReason(reason, "server") ? reason : Reason.NotAuthorized // [MQTT-3.14.2-1]
  link.disconnect(known, reasonString, referenceTo(serverReference))
}

/** Where to go instead, if it can be sent at all. */
function referenceTo(serverReference: string | undefined): Properties {
  return serverReference !== undefined && isEncodable(serverReference) ? { serverReference } : {}
}

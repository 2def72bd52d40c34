/** A PUBLISH with something in it that is one receiver's own: aliases, identifiers, what is left of its expiry, a mount point. */
import type { Core } from "../broker/core.ts"
import type { Serving } from "../broker/serving.ts"
import { outgoingPublishBytes, type ProtocolLevel, type QoS, writePublish } from "../codec/index.ts"
import { type DropReason, type Message, newOutgoingPublish } from "../session/index.ts"
import type { OutgoingAliases } from "./aliases.ts"
import type { Outbox } from "./outbox.ts"

/** The link, as far as this needs it. */
export interface SendingLink {
  readonly core: Pick<Core, "now">
  readonly serving: Serving
  readonly level: ProtocolLevel
  readonly maximumPacketBytes: number
  readonly outgoingAliases: OutgoingAliases | undefined
  readonly outbox: Outbox
}

const EMPTY = Buffer.alloc(0)
const outgoing = newOutgoingPublish()

/** Encodes a PUBLISH that is this receiver's own, straight into the outbox; or says why it cannot be sent. */
export function encodeOwn(
  link: SendingLink,
  message: Message,
  qos: QoS,
  retain: boolean,
  identifiers: readonly number[] | undefined,
  packetId: number,
  dup: boolean,
): DropReason | undefined {
  const { mountPoint } = link.serving.limits
  const { topic } = message
  if (mountPoint !== "" && (!topic.name.startsWith(mountPoint) || topic.name === mountPoint)) {
    return "outside mount point"
  }
  const alias = link.outgoingAliases?.get(topic.name) ?? 0
  outgoing.level = link.level
  outgoing.dup = dup
  outgoing.qos = qos
  outgoing.retain = retain
  outgoing.packetId = packetId
  outgoing.topic =
    alias > 0 ? EMPTY : mountPoint === "" ? topic.bytes : topic.bytes.subarray(Buffer.byteLength(mountPoint))
  outgoing.topicAlias = Math.abs(alias)
  outgoing.messageExpirySeconds = message.remainingSeconds(link.core.now())
  outgoing.subscriptionIdentifiers = identifiers
  message.fill(outgoing)
  let bytes = outgoingPublishBytes(outgoing)
  if (bytes > link.maximumPacketBytes && alias < 0) {
    outgoing.topicAlias = 0 // setting an alias costs three bytes that the packet may not have
    bytes = outgoingPublishBytes(outgoing)
  }
  if (bytes > link.maximumPacketBytes) return "packet too large" // [MQTT-3.1.2-24] [MQTT-3.1.2-25]
  const at = link.outbox.reserve(bytes)
  writePublish(outgoing, link.outbox.block!, at)
  if (alias < 0 && outgoing.topicAlias > 0) link.outgoingAliases!.confirm(topic.name, -alias)
  return undefined
}

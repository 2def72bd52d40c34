/** The properties of MQTT 5, in the broker's words and in those of mqtt-packet, which writes and reads the client's packets. */
import { ManjuError } from "../broker/errors.ts"
import type { Properties, ProtocolLevel, UserProperty } from "../codec/index.ts"

/** Those that the two name differently. */
const otherNames: Partial<Record<keyof Properties, string>> = {
  messageExpirySeconds: "messageExpiryInterval",
  subscriptionIdentifiers: "subscriptionIdentifier",
  sessionExpirySeconds: "sessionExpiryInterval",
  serverKeepAliveSeconds: "serverKeepAlive",
  willDelaySeconds: "willDelayInterval",
  maximumPacketBytes: "maximumPacketSize",
  subscriptionIdentifierAvailable: "subscriptionIdentifiersAvailable",
}
const ourNames = new Map(Object.entries(otherNames).map(([ours, theirs]) => [theirs, ours]))

/** What a packet has for `properties`: nothing where there are none. Throws `INVALID_OPTION` for what no level but 5 has. */
export function encodeProperties(level: ProtocolLevel, properties: Properties): { properties?: object } {
  const encoded: [name: string, value: unknown][] = []
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || (Array.isArray(value) && value.length === 0)) continue
    encoded.push([otherNames[name as keyof Properties] ?? name, encodeValue(name, value)])
  }
  if (encoded.length === 0) return {}
  if (level < 5) throw new ManjuError("INVALID_OPTION", `properties are for protocol level 5: ${encoded[0]![0]}`)
  return { properties: Object.fromEntries(encoded) }
}

/** The properties of a packet. User properties of different names are not always in the order in which they were sent. */
export function decodeProperties(packet: object): Properties {
  const { properties = {} } = packet as { properties?: object }
  const decoded = Object.entries(properties).map(([name, value]) => {
    const ours = ourNames.get(name) ?? name
    return [ours, decodeValue(ours, value)]
  })
  return Object.fromEntries(decoded)
}

function encodeValue(name: string, value: unknown): unknown {
  // Each a list of its own: one list for all would bring together what has the same name.
  if (name === "userProperties") return (value as UserProperty[]).map(([key, text]) => ({ [key]: text }))
  return value instanceof Uint8Array ? Buffer.from(value) : value
}

function decodeValue(name: string, value: unknown): unknown {
  if (name === "subscriptionIdentifiers") return [value].flat()
  if (name !== "userProperties") return value
  const entries = Object.entries(value as Record<string, string | string[]>)
  return entries.flatMap(([key, texts]) => [texts].flat().map((text) => [key, text]))
}

/** Random properties of MQTT 5, and how mqtt-packet has the same. */
import type { Properties, UserProperty } from "../../src/codec/index.ts"
import type { Random } from "../support/bytes.ts"

/** How mqtt-packet calls what it calls differently. */
const theirNames: Partial<Record<keyof Properties, string>> = {
  messageExpirySeconds: "messageExpiryInterval",
  subscriptionIdentifiers: "subscriptionIdentifier",
  sessionExpirySeconds: "sessionExpiryInterval",
  serverKeepAliveSeconds: "serverKeepAlive",
  willDelaySeconds: "willDelayInterval",
  maximumPacketBytes: "maximumPacketSize",
  subscriptionIdentifierAvailable: "subscriptionIdentifiersAvailable",
}

/** The properties under mqtt-packet's names. It keeps user properties by name, and so the order only within one. */
export function theirs(properties: Properties): Record<string, unknown> | undefined {
  const entries = Object.entries(properties).map(([name, value]) => {
    const theirName = theirNames[name as keyof Properties] ?? name
    if (name === "userProperties") return [theirName, grouped(value as UserProperty[])]
    if (name === "subscriptionIdentifiers") return [theirName, value.length === 1 ? value[0] : value]
    return [theirName, value]
  })
  return entries.length === 0 ? undefined : Object.fromEntries(entries)
}

function grouped(pairs: UserProperty[]): Record<string, string | string[]> {
  const groups = Map.groupBy(pairs, ([name]) => name)
  return Object.fromEntries(
    [...groups].map(([name, pairs]) => [name, pairs.length === 1 ? pairs[0]![1] : pairs.map(([, value]) => value)]),
  )
}

/** User properties in the order in which mqtt-packet writes them. */
export function inTheirOrder(properties: Properties): Properties {
  if (properties.userProperties === undefined) return properties
  const groups = Map.groupBy(properties.userProperties, ([name]) => name)
  return { ...properties, userProperties: [...groups.values()].flat() }
}

const make: { [name in keyof Properties]-?: (random: Random) => Properties[name] } = {
  payloadFormatIndicator: (random) => random.chance(0.5),
  messageExpirySeconds: u32,
  contentType: text,
  responseTopic: (random) => `r/${random.below(1000)}`,
  correlationData: binary,
  subscriptionIdentifiers: (random) => [random.between(1, 268_435_455)],
  sessionExpirySeconds: u32,
  assignedClientIdentifier: text,
  serverKeepAliveSeconds: u16,
  authenticationMethod: text,
  authenticationData: binary,
  requestProblemInformation: (random) => random.chance(0.5),
  willDelaySeconds: u32,
  requestResponseInformation: (random) => random.chance(0.5),
  responseInformation: text,
  serverReference: text,
  reasonString: text,
  receiveMaximum: (random) => random.between(1, 65_535),
  topicAliasMaximum: u16,
  topicAlias: (random) => random.between(1, 65_535),
  maximumQoS: (random) => random.below(2),
  retainAvailable: (random) => random.chance(0.5),
  userProperties: (random) =>
    Array.from({ length: random.between(1, 5) }, () => {
      const value = random.text(random.pick([1, 5, 130])) // mqtt-packet loses an empty first value of a repeated name
      return [random.pick(["a", "b", "ключ"]), value] as const
    }),
  maximumPacketBytes: (random) => random.between(1, 0xffff_ffff),
  wildcardSubscriptionAvailable: (random) => random.chance(0.5),
  subscriptionIdentifierAvailable: (random) => random.chance(0.5),
  sharedSubscriptionAvailable: (random) => random.chance(0.5),
}

export function u16(random: Random): number {
  return random.below(65_536)
}

function u32(random: Random): number {
  return random.pick([0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, random.below(0x1_0000_0000)])
}

export function text(random: Random): string {
  return random.text(random.pick([0, 1, 5, 50, 130]))
}

export function binary(random: Random): Buffer {
  return random.bytes(random.pick([0, 1, 20, 200]))
}

/** Some of the properties of that packet. */
export function some(random: Random, names: readonly (keyof Properties)[]): Properties {
  const properties: Record<string, unknown> = {}
  for (const name of names) if (random.chance(0.5)) properties[name] = make[name](random)
  return properties as Properties
}

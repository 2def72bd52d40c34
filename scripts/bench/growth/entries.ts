/**
 * What there is many of, by its number: topics as a building's sensors have them, `site/{site}/device/{device}/{metric}`.
 *
 * Devices are numbered through, a hundred to a site, so that a million of them are 10,000 sites of equal size. A subscription is for one device:
 *
 * - exact: `site/3/device/342/temperature`
 * - plus: `site/3/device/342/+`, and for every second one, `site/+/device/343/temperature`
 * - hash: `site/3/device/342/#`
 * - shared: `$share/workers/site/3/device/342/temperature`, ten members to a group
 *
 * Of any number of them one matches the topic that is asked for, or one group. Retained messages come ten from a device.
 */
import type { SubscriptionCost } from "./results.ts"

const DEVICES_PER_SITE = 100
const METRICS = "temperature humidity pressure voltage current power signal uptime errors version".split(" ")
const METRICS_PER_DEVICE = METRICS.length
const MEMBERS_PER_GROUP = 10

/** How many subscriptions a client has. */
const SUBSCRIPTIONS_PER_CLIENT = 1000

const siteOf = (device: number) => Math.floor(device / DEVICES_PER_SITE)
const topicOf = (device: number, metric: string) => `site/${siteOf(device)}/device/${device}/${metric}`

/** The subscriptions of a kind, from the first to as many as one likes. */
export interface Subscriptions {
  /** Of the subscription with that number. */
  filter(entry: number): string
  /** What it matches, and no other filter does, save those of its group. */
  topic(entry: number): string
  /** Which of so many clients has it. */
  client(entry: number, clients: number): number
  /** How many clients so many need. */
  clients(entries: number): number
}

const inBlocks = {
  client: (entry: number) => Math.floor(entry / SUBSCRIPTIONS_PER_CLIENT),
  clients: (entries: number) => Math.ceil(entries / SUBSCRIPTIONS_PER_CLIENT),
}
const temperature = (device: number) => topicOf(device, METRICS[0]!)
const groupOf = (entry: number) => Math.floor(entry / MEMBERS_PER_GROUP)

export const subscriptions: Record<SubscriptionCost["kind"], Subscriptions> = {
  exact: { ...inBlocks, filter: temperature, topic: temperature },
  plus: {
    ...inBlocks,
    filter: (entry) => (entry % 2 === 0 ? topicOf(entry, "+") : temperature(entry).replace(/^site\/\d+/, "site/+")),
    topic: temperature,
  },
  hash: { ...inBlocks, filter: (entry) => topicOf(entry, "#"), topic: temperature },
  shared: {
    filter: (entry) => `$share/workers/${temperature(groupOf(entry))}`,
    topic: (entry) => temperature(groupOf(entry)),
    // Neighbours belong to different clients, as the members of a group do.
    client: (entry, clients) => entry % clients,
    clients: (entries) => Math.max(MEMBERS_PER_GROUP, inBlocks.clients(entries)),
  },
}

/** The retained message with that number, and filters that match it. */
export const retained = {
  topic: (entry: number) => topicOf(deviceOf(entry), METRICS[entry % METRICS_PER_DEVICE]!),
  /** All ten of its device. */
  plus: (entry: number) => topicOf(deviceOf(entry), "+"),
  hash: (entry: number) => topicOf(deviceOf(entry), "#"),
  /** It alone, whatever the site. */
  across: (entry: number) => retained.topic(entry).replace(/^site\/\d+/, "site/+"),
  /** How many messages `plus` and `hash` match. */
  perDevice: (entries: number) => Math.min(entries, METRICS_PER_DEVICE),
}
const deviceOf = (entry: number) => Math.floor(entry / METRICS_PER_DEVICE)

/** `count` different numbers below `entries`, from all over it and in no order; all of them if there are not so many. */
export function sample(count: number, entries: number): number[] {
  const stride = 611_953 // a prime: no number of entries is a multiple
  return Array.from({ length: Math.min(count, entries) }, (_, index) => (index * stride) % entries)
}

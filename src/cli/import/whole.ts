/** What several lines say of the broker together: what it keeps, what it tells, how large a packet may be. */
import { join } from "node:path"
import { LARGEST_PACKET_BYTES } from "../../codec/index.ts"
import type { Directive } from "./lines.ts"
import type { LeftLines, Said, Section } from "./sections.ts"

/** A key with its value, and the lines that it comes from. */
export interface Setting {
  /** From the top, or from the listener: `limits.maximumInflight`. */
  readonly key: string
  readonly value: unknown
  readonly from: readonly Directive[]
  /** What there is to know of it. */
  readonly note?: string
}

/** What else a packet has than its payload, at most, by MQTT 3.1.1: header, topic and packet id. */
const MOST_BESIDE_PAYLOAD_BYTES = 5 + 2 + 65_535 + 2
const LEAST_PACKET_BYTES = 64
const DATABASE = "manju.db"

const levels = new Map([
  ...["debug", "all"].map((type) => [type, "debug"] as const),
  ...["information", "notice", "subscribe", "unsubscribe"].map((type) => [type, "info"] as const),
  ["warning", "warn"] as const,
  ["error", "error"] as const,
])
const inOrder = ["debug", "info", "warn", "error"]

/** `locate` finds a file that Mosquitto names. `left` grows by what is not carried over. */
export function brokerSettings(broker: Section, locate: (path: string) => string, left: LeftLines): Setting[] {
  const settings = [...dataOf(broker, locate, left), ...levelOf(broker, left), ...packetBytesOf(broker, left)]
  for (const { directive, definition, fate } of broker) {
    if (fate.kind === "keys" && definition.scope === "broker") {
      for (const [key, value] of Object.entries(fate.values)) settings.push({ key, value, from: [directive] })
    }
  }
  return settings
}

function dataOf(broker: Section, locate: (path: string) => string, left: LeftLines): Setting[] {
  const persistence = broker.get("persistence") ?? broker.get("retained_persistence")
  const location = broker.get("persistence_location")
  if (persistence?.value !== true) {
    if (persistence !== undefined) leave(persistence, left, "nothing is kept here without data")
    if (location !== undefined) leave(location, left, "nothing is kept without persistence true")
    return []
  }
  const folder = location === undefined ? "" : locate(String(location.value))
  const from = [persistence, location].filter((said) => said !== undefined).map(({ directive }) => directive)
  return [
    {
      key: "data",
      value: join(folder, DATABASE),
      from,
      note: "a new database: what is in Mosquitto's is not taken over",
    },
  ]
}

function levelOf(broker: Section, left: LeftLines): Setting[] {
  const destinations = broker.all("log_dest")
  const isSilent = destinations.length > 0 && destinations.every(({ value }) => value === "none")
  for (const said of destinations) {
    if (!isSilent)
      leave(said, left, whyNoDestination(String(said.value)), said.value === "stderr" || said.value === "none")
  }
  const types = broker.all("log_type")
  const last = types.findLastIndex(({ value }) => value === "none")
  const lines = [...(isSilent ? destinations : []), ...types].map(({ directive }) => directive)
  if (isSilent || (last >= 0 && last === types.length - 1)) return [{ key: "logLevel", value: "silent", from: lines }]
  const level = inOrder.find((each) => types.slice(last + 1).some(({ value }) => levels.get(String(value)) === each))
  if (level !== undefined) return [{ key: "logLevel", value: level, from: lines }]
  for (const said of types) leave(said, left, "there is no such kind of line here")
  return []
}

function whyNoDestination(value: string): string {
  if (value === "stderr") return "so it is here anyway"
  if (value === "none") return "other destinations are said beside it"
  if (value === "topic") return "the log is no topic here: the admin API has it, live"
  if (value === "stdout") return "the log goes to standard error"
  return "the log goes to standard error: systemd's journal keeps it, or 2>> a file"
}

/** Mosquitto bounds packets and payloads, manju packets. */
function packetBytesOf(broker: Section, left: LeftLines): Setting[] {
  const packet = broker.get("max_packet_size")
  const payload = broker.get("message_size_limit")
  const [ofPackets, ofPayloads] = [bytesOf(packet), bytesOf(payload, MOST_BESIDE_PAYLOAD_BYTES)]
  const [said, other] =
    ofPackets <= ofPayloads && packet !== undefined ? [packet, payload] : [payload ?? packet, packet]
  if (said === undefined) return []
  if (other !== undefined && other !== said) leave(other, left, `${said.directive.name} says less`)
  const value = Math.max(LEAST_PACKET_BYTES, Math.min(ofPackets, ofPayloads, LARGEST_PACKET_BYTES))
  const isOfPayload = said === payload && value === ofPayloads
  const note = "of the whole packet: the payload and the longest topic; who sends more is disconnected"
  return [{ key: "limits.maximumPacketBytes", value, from: [said.directive], ...(isOfPayload && { note }) }]
}

/** 0 is any number. */
function bytesOf(said: Said | undefined, more = 0): number {
  const value = Number(said?.value ?? 0)
  return value > 0 ? value + more : Number.POSITIVE_INFINITY
}

function leave({ directive }: Said, left: LeftLines, why: string, isNeedless = true): void {
  left.set(directive, { kind: isNeedless ? "needless" : "lost", why })
}

/** What is remembered that has gone wrong, in words. */
import { describeReason } from "../../../codec/index.ts"
import { matches } from "../../../router/index.ts"
import type { Core } from "../../core.ts"
import type { FindingEffect } from "../../explanation.ts"
import { type Incident, type IncidentAbout, type IncidentCode, keptName } from "../../incidents.ts"
import { counted, type Findings } from "./findings.ts"

type Words = (of: Of) => string

/** What the words are made of. */
interface Of {
  /** `1 message`, `12 messages`. */
  readonly messages: string
  readonly times: string
  readonly were: string
  /** `: 0x87 NotAuthorized`, or nothing. */
  readonly why: string
  readonly topic: string
}

const inWords: Readonly<Record<IncidentCode, Words>> = {
  "queue full": ({ messages, were }) => `${messages} for it ${were} dropped: its queue was full`,
  "queue memory full": ({ messages, were }) => `${messages} for it ${were} dropped: the memory for all queues was full`,
  "backlog full": ({ messages, were }) => `${messages} for it ${were} dropped: it did not read fast enough`,
  "packet too large": ({ messages, were }) => `${messages} for it ${were} dropped: larger than it takes`,
  "message expired": ({ messages }) => `${messages} expired before anybody could have it`,
  "not authorized": ({ messages, were, why }) => `${messages} ${were} refused by its auth${why}`,
  "outside mount point": ({ messages, were }) => `${messages} for it ${were} dropped: outside its mount point`,
  "retained limit": ({ messages, were }) => `${messages} ${were} refused: there were too many retained ones`,
  "store failing": ({ messages, were }) => `${messages} ${were} refused: the store failed`,
  "refused by hook": ({ messages, were, why }) => `${messages} ${were} refused by a hook${why}`,
  "publish refused": ({ messages, were, why }) => `${messages} ${were} refused${why}`,
  "publish rate": ({ messages }) => `${messages} had to wait: it published faster than it may`,
  "subscription refused": ({ times, topic, why }) => `${times} its subscription to ${topic} was refused${why}`,
  "connect refused": ({ times, why }) => `${times} it was not let in${why}`,
  disconnected: ({ times, why }) => `${times} the broker ended its connection${why}`,
}

export interface HistoryOptions {
  /** Of the listener of a client; it does not see it in its own filters. */
  readonly mountPoint?: string
  /** What it means, that which has happened to a message last. Default: it is only to be known. */
  readonly latest?: FindingEffect
}

/** What has happened to a client's messages on the topic, in one direction; and to itself, and to its subscriptions. */
export function addHistory(
  findings: Findings,
  { incidents }: Core,
  clientId: string,
  topic: string,
  about: Exclude<IncidentAbout, "subscribe" | "connection">,
  { mountPoint = "", latest = "note" }: HistoryOptions = {},
): void {
  const { incidents: all, forgotten } = incidents.of(clientId)
  const name = keptName(topic)
  const isAbout = (incident: Incident) => {
    if (incident.about === "connection") return true
    if (incident.about === about) return incident.topic === name
    return about === "receive" && incident.about === "subscribe" && isFilterOf(incident.topic, mountPoint, topic)
  }
  const told = all.filter(isAbout).sort((one, other) => other.lastAt - one.lastAt)
  const last = told.find((incident) => incident.about === about)
  for (const incident of told) {
    const { code, count, firstAt, lastAt } = incident
    findings.add(incident === last ? latest : "note", code, wordsOf(incident), {
      count,
      firstAt: Math.round(firstAt),
      lastAt: Math.round(lastAt),
    })
  }
  if (forgotten === 0) return
  const what = counted(forgotten, "other refusal and drop")
  findings.add("note", "more incidents", `${what} of its messages are not remembered: there were too many topics`)
}

function wordsOf({ code, count, topic, reason }: Incident): string {
  return inWords[code]({
    messages: counted(count, "message"),
    times: count === 1 ? "once" : `${count.toLocaleString("en")} times`,
    were: count === 1 ? "was" : "were",
    why: reason === undefined ? "" : `: ${describeReason(reason)}`,
    topic,
  })
}

/** Whether a filter that a client has asked for is one that matches. */
function isFilterOf(filter: string, mountPoint: string, topic: string): boolean {
  const pattern = filter.replace(/^\$share\/[^/]*\//, "")
  return matches(mountPoint + pattern, topic)
}

/**
 * Why somebody does not get a message: what `broker.admin.explain` answers to a person in front of a silent subscriber.
 *
 * It stands on two legs.
 *
 * 1. What is so now is worked out when somebody asks, and costs nothing before: who is connected, which subscriptions match, what the
 *    auth says and by which rule, which limit, queue or window is in the way. The same questions are put to the same parts that a
 *    message would meet, in the order in which it would: see `admin/explain.ts`.
 * 2. What has happened is remembered only where something has gone wrong, a refusal, a drop, an expiry, and in bounded memory: see
 *    `incidents.ts`. Of a message that went well nothing is known, and of no message its payload.
 *
 * Hooks cannot be asked without something for them to decide on. That there are some which might is said; what they have refused is
 * among what has happened. What becomes of messages from now on, one by one, a `Trace` tells while somebody looks: `trace.ts`.
 */
/** What a finding can be. */
export const findingCodes = [
  // Who is there
  "connected",
  "not connected",
  "no session",
  "connect refused",
  "disconnected",
  // From the publisher to the router
  "reserved topic",
  "mount point",
  "listener limits",
  "permission",
  "publish rate",
  "waiting",
  "hooks",
  "store",
  "subscribers",
  "no subscriber",
  // From the router to the subscriber
  "subscription",
  "no subscription",
  "similar subscription",
  "wildcards and $ topics",
  "subscription refused",
  "share group",
  "no local",
  "offline",
  "QoS",
  "packet size",
  "backlog",
  "receive maximum",
  "queue",
  "retained message",
  // What has happened to messages: the reasons for a drop, and what else there is
  "queue full",
  "queue memory full",
  "backlog full",
  "packet too large",
  "message expired",
  "not authorized",
  "outside mount point",
  "retained limit",
  "store failing",
  "refused by hook",
  "publish refused",
  "more incidents",
] as const

/** What a finding is, for programs. */
export type FindingCode = (typeof findingCodes)[number]

/**
 * What it means for messages: because of it none gets through, some may not, it is in order, or it is only to be known. What has happened
 * is to be known, since it may be in order by now; of a publisher that is not there to be asked, what was refused last may well be again.
 */
export type FindingEffect = "stops" | "may stop" | "passes" | "note"

/** Something that was looked at. */
export interface Finding {
  readonly code: FindingCode
  readonly effect: FindingEffect
  /** In a sentence, without a full stop. */
  readonly words: string
  /** Of what has happened: how often, as far as it is remembered, and when first and last, in milliseconds since 1970. */
  readonly count?: number
  readonly firstAt?: number
  readonly lastAt?: number
}

/** What becomes of messages at one end. */
export interface ExplanationSide {
  readonly clientId: string
  /** Whether they get through now. `perhaps`: it depends on what `words` and the findings say. */
  readonly outcome: "yes" | "perhaps" | "no"
  /** The answer in a sentence, without a full stop. */
  readonly words: string
  /** What stops comes first, then what may, what is in order, what is to be known, and what has happened. */
  readonly findings: readonly Finding[]
}

/** Why messages of a topic do, or do not, get from one client to another. */
export interface Explanation {
  /** When it was so, in milliseconds since 1970. */
  readonly time: number
  readonly topic: string
  /** What becomes of a message that the publisher sends there. */
  readonly publish: ExplanationSide
  /** Whether the subscriber gets it. */
  readonly receive: ExplanationSide
}

/** What is to be explained. */
export interface ExplainQuery {
  /** Who does not get it; and who publishes it, unless `from` says otherwise. */
  clientId: string
  /** A topic name, as the broker calls it: with the mount point of the listener, if it has one. */
  topic: string
  /** Who publishes it. */
  from?: string
}

/** What the API gives, as its schemas have it: types alone, nothing of the broker comes into the page. */
import type { GenericSchema, InferOutput } from "valibot"
import type { Explanation } from "../../broker/explanation.ts"
import type * as schemas from "../api/schemas.ts"

export type { Explanation } from "../../broker/explanation.ts"
export type { TracedMessage } from "../../broker/trace.ts"
export type { Figures } from "../figures.ts"
export type { ClientActivity, LiveEvents, LogEvent, LogLine, TopicActivity, TopicsEvent } from "../live.ts"

type Shown<Schema extends () => GenericSchema> = InferOutput<ReturnType<Schema>>

export type Client = Shown<typeof schemas.client>
export type ClientDetails = Shown<typeof schemas.clientDetails>
export type Session = Shown<typeof schemas.session>
export type Subscription = Shown<typeof schemas.subscription>
export type RetainedMessage = Shown<typeof schemas.retainedMessage>
export type Publication = Shown<typeof schemas.publication>
export type Limits = Shown<typeof schemas.limits>
export type Listener = Shown<typeof schemas.listener>
export type LimitsReport = Shown<typeof schemas.limitsReport>
export type ReloadReport = Shown<typeof schemas.reloadReport>
export type LogLevel = Shown<typeof schemas.logLevel>
export type Metrics = Shown<typeof schemas.metrics>
export type ProblemBody = Shown<typeof schemas.problem>

/** A part of a list. */
export interface Page<Item> {
  items: Item[]
  /** How many there are in the whole list. */
  total: number
  /** The cursor of the next part; undefined: this is the last. */
  next?: string | undefined
}

/** What a GET gives, by the path behind `/api/v1/`. */
export interface Answers {
  clients: Page<Client>
  client: ClientDetails
  sessions: Page<Session>
  session: Session
  subscriptions: Page<Subscription>
  "retained-messages": Page<RetainedMessage>
  "retained-message": RetainedMessage
  listeners: Listener[]
  limits: Limits
  "log-level": LogLevel
  metrics: Metrics
  explain: Explanation
}

/** Who takes part in a crash test. */

/** A client, as far as it matters for what it may expect. */
export interface Client {
  readonly name: string
  readonly level: 4 | 5
  /** Options of all its subscriptions. */
  readonly noLocal?: boolean
  readonly retainAsPublished?: boolean
  /** Whether its session ends with its connection, and with that every claim. */
  readonly isVisitor?: boolean
}

/** What a client does. */
export interface Role extends Client {
  /** How likely it is there when a broker starts. */
  readonly attendance: number
  /** Where it publishes, and where values that are retained. */
  readonly topics?: readonly string[]
  readonly retainedTopics?: readonly string[]
  readonly topicFilters?: readonly string[]
  /** What it subscribes at, one of them. */
  readonly qos?: readonly (1 | 2)[]
  readonly receiveMaximum?: number
  /** Whether it ends its session now and then. */
  readonly isFickle?: boolean
}

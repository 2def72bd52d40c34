/** Topic aliases, one table each way; both end with the connection. MQTT 5 §3.3.2.3.4 */
import type { Topic } from "../router/index.ts"

/** The aliases that the client has set. */
export class IncomingAliases {
  /** Made for the first: most clients set none. */
  private topics: Map<number, Topic> | undefined = undefined
  private readonly maximum: number

  constructor(maximum: number) {
    this.maximum = maximum
  }

  /** Whether the client may use that alias at all. [MQTT-3.3.2-9] */
  accepts(alias: number): boolean {
    return alias > 0 && alias <= this.maximum
  }

  get(alias: number): Topic | undefined {
    return this.topics?.get(alias)
  }

  set(alias: number, topic: Topic): void {
    this.topics ??= new Map()
    this.topics.set(alias, topic)
  }
}

/** The aliases that the broker has set: first come, first served. */
export class OutgoingAliases {
  private readonly aliases = new Map<string, number>()
  private readonly maximum: number

  constructor(maximum: number) {
    this.maximum = maximum
  }

  /** The alias of a topic: positive if the client knows it, negative if this packet must set it, 0: none left. */
  get(topicName: string): number {
    return this.aliases.get(topicName) ?? (this.aliases.size < this.maximum ? -(this.aliases.size + 1) : 0)
  }

  /** The packet that sets the alias is on its way. */
  confirm(topicName: string, alias: number): void {
    this.aliases.set(topicName, alias)
  }
}
